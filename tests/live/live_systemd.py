"""A systemd of the test's own, for one unit: in namespaces for mounts, processes and control groups, which go with it.

It sees no unit of this machine's: a folder of the test's is mounted over theirs. Kernel settings are read-only to it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Final

import pytest

from tests.live.live_tools import PATIENCE, wait_for

SYSTEMD: Final = Path("/lib/systemd/systemd")
_UNITS: Final = Path("/usr/lib/systemd/system")
_TARGETS: Final = ("basic", "sysinit", "shutdown", "network-online", "multi-user", "nothing")
_TARGET: Final = "[Unit]\nDescription=nothing\nDefaultDependencies=no\n"
_START: Final = """
umount -l /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /etc/systemd/system
mount --bind "$1" /usr/lib/systemd/system
exec env -i container=test PATH="$PATH" /lib/systemd/systemd --unit=nothing.target --log-target=console --show-status=no
"""


class Systemd:
    """The manager, as a context manager; skips the test where it cannot be."""

    def __init__(self, folder: Path, unit: str, override: str) -> None:
        """`unit`: the text of `sniffer.service`; `override`: what the test changes of it."""
        self._folder = folder
        units = folder / "units"
        (units / "sniffer.service.d").mkdir(parents=True)
        for name in _TARGETS:
            (units / f"{name}.target").write_text(_TARGET)
        (units / "sniffer.service").write_text(unit)
        (units / "sniffer.service.d" / "test.conf").write_text(override)
        group = next(
            (path for path in map(Path, ("/sys/fs/cgroup/unified", "/sys/fs/cgroup")) if (path / "cgroup.procs").exists()), None
        )
        if group is None or not SYSTEMD.exists() or not _UNITS.is_dir() or shutil.which("nsenter") is None:
            pytest.skip("no systemd, or no control groups of version 2")
        self._group = group / f"sniffer-test-{os.getpid()}"

    def __enter__(self) -> Systemd:
        try:
            self._group.mkdir()
        except OSError as error:
            pytest.skip(f"no control group can be made here: {error}")
        namespaces = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--cgroup", "--uts", "--ipc"]
        join = f'echo $$ > {self._group}/cgroup.procs; exec unshare {" ".join(namespaces)} sh -ec "$0" sh "$1"'
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(["sh", "-ec", join, _START, self._folder / "units"], stdout=log, stderr=log)
        try:
            wait_for(
                lambda: self._process.poll() is not None or self.run("is-active", "nothing.target").strip() == "active",
                "systemd",
            )
            if self._process.poll() is not None:
                pytest.skip(f"systemd does not run here: {self._log.read_text()}")
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()
        if kind is not None:
            print(self._log.read_text())

    def run(self, *call: str) -> str:
        """What `systemctl` says to this."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        if not children:
            return ""
        enter = ["nsenter", f"--target={children[0]}", "--mount", "--pid", "--cgroup"]
        done = subprocess.run([*enter, "systemctl", *call], capture_output=True, text=True, check=False, timeout=PATIENCE)
        return done.stdout or done.stderr

    def facts(self, *names: str) -> list[str]:
        """Properties of the unit."""
        return [self.run("show", "--value", "-p", name, "sniffer").strip() for name in names]

    @property
    def _log(self) -> Path:
        return self._folder / "systemd.log"

    def _end(self) -> None:
        """Its first process takes all others with it; then the control groups are empty."""
        self._process.kill()
        self._process.wait()

        def removed() -> bool:
            for path in sorted(self._group.rglob("*/"), reverse=True):
                with contextlib.suppress(OSError):
                    path.rmdir()
            with contextlib.suppress(OSError):
                self._group.rmdir()
            return not self._group.exists()

        wait_for(removed, "the end of its processes")

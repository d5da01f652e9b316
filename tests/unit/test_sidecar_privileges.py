from __future__ import annotations

import os
import pwd
import resource
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from sniffer.errors import UsageError
from sniffer.sidecar.privileges import capabilities, confine, name_process, owner_of

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give it up")
NOBODY = pwd.getpwnam("nobody")


def in_child(body: Callable[[], None]) -> None:
    """Run `body` in a process of its own; what it gives up is gone with that."""
    child = os.fork()
    if not child:
        status = 1
        try:
            body()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@ROOT_ONLY
@pytest.mark.parametrize("owner", [None, NOBODY], ids=["root", "nobody"])
def test_what_a_confined_process_cannot_do(owner: pwd.struct_passwd | None) -> None:
    def body() -> None:
        confine(owner)
        for family, kind in ((socket.AF_PACKET, socket.SOCK_RAW), (socket.AF_INET, socket.SOCK_RAW)):
            with pytest.raises(PermissionError):
                socket.socket(family, kind, socket.IPPROTO_TCP)
        with pytest.raises(PermissionError):
            os.setuid(12345)
        with pytest.raises(PermissionError):
            os.setgid(12345)
        assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
        status = Path("/proc/self/status").read_text()
        assert "NoNewPrivs:\t1" in status
        assert "CapBnd:\t0000000000000000" in status
        kept = capabilities()
        assert bin(kept).count("1") == (0 if owner else 3)

    in_child(body)


@ROOT_ONLY
def test_another_users_files_are_closed_to_it(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("root's")
    secret.chmod(0o600)

    def body() -> None:
        os.chdir(tmp_path)  # above it, the folder itself may be closed
        confine(NOBODY)
        assert (os.getresuid(), os.getresgid()) == ((NOBODY.pw_uid,) * 3, (NOBODY.pw_gid,) * 3)
        for path in (secret, Path("/etc/shadow"), Path("/proc/1/environ")):
            with pytest.raises(PermissionError):
                path.open()

    in_child(body)


@ROOT_ONLY
def test_no_program_that_it_starts_gets_a_privilege_back() -> None:
    def body() -> None:
        confine(NOBODY)
        done = subprocess.run(["su", "root", "-c", "true"], capture_output=True, check=False, stdin=subprocess.DEVNULL)
        assert done.returncode != 0

    in_child(body)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux")
def test_its_memory_is_closed_and_its_name_is_seen() -> None:
    reading, writing = os.pipe()

    def body() -> None:
        name_process("sniffer-capture-and-more")
        assert Path("/proc/self/comm").read_text() == "sniffer-capture\n"
        confine(None)
        os.write(writing, str(Path("/proc/self/status").stat().st_uid).encode())

    in_child(body)
    assert os.read(reading, 10) == b"0"  # /proc of what must not be dumped belongs to root
    os.close(reading)
    os.close(writing)


def test_who_the_owner_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert owner_of(None) is None
    assert owner_of("nobody") == NOBODY
    monkeypatch.setenv("SUDO_USER", "nobody")
    assert owner_of(None) == NOBODY
    with pytest.raises(UsageError, match="--user no-such-user: there is no such user"):
        owner_of("no-such-user")
    monkeypatch.setattr(os, "geteuid", lambda: NOBODY.pw_uid)
    assert owner_of(None) is None
    assert owner_of("nobody") is None
    with pytest.raises(UsageError, match="only root can become another user"):
        owner_of("root")

"""What the doctor says of key logs: whether a strategy can write them, and who can read them."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sniffer.config import Settings
from sniffer.doctor import Check, checks, keys
from sniffer.doctor.keys import strategy_user
from sniffer.errors import UsageError

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
NOBODY = "nobody"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as `tmpfiles.conf` makes it, below ones that everybody may enter."""
    for parent in tmp_path.parents:
        if parent.stat().st_uid == os.geteuid() and parent != Path("/"):  # pytest's own, which it closes
            parent.chmod(parent.stat().st_mode | 0o011)
    tmp_path.chmod(0o755)
    made = tmp_path / "keys"
    made.mkdir()
    made.chmod(0o3770)
    return made


def found(folder: Path, *named: Path, user: str | None = None) -> list[Check]:
    return list(keys.checks(Settings(keylog_dir=folder, keylog=named), strategy_user(user)))


def saying(words: str, lines: list[Check]) -> Check:
    (check,) = [check for check in lines if words in check.text]
    return check


def test_a_folder_as_it_should_be(folder: Path) -> None:
    (folder / "maker.log").touch(mode=0o640)
    lines = found(folder)
    assert {check.state for check in lines} == {"OK"}
    assert "can write key logs there" in lines[0].text
    assert [path.name for path in folder.iterdir()] == ["maker.log"], "what it tried with is gone"


def test_no_folder(tmp_path: Path) -> None:
    line = saying("is not there", found(tmp_path / "nope"))
    assert line.state == "WARN"
    assert f"cp {keys.TMPFILES} /etc/tmpfiles.d/sniffer.conf" in line.text


def test_the_folder_that_is_shipped_is_what_the_doctor_wants(folder: Path) -> None:
    lines = [line.split() for line in keys.TMPFILES.read_text().splitlines() if line and not line.startswith("#")]
    (entry,) = [line for line in lines if line[1] == str(Settings().keylog_dir)]
    assert entry[0] == "d"
    assert int(entry[2], 8) == stat.S_IMODE(folder.stat().st_mode)


@ROOT_ONLY
@pytest.mark.skipif(not shutil.which("systemd-tmpfiles"), reason="systemd-tmpfiles is not installed")
def test_systemd_makes_the_folder_that_is_shipped(tmp_path: Path) -> None:
    for name in ("etc/tmpfiles.d", "run"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (tmp_path / "etc/group").write_text("root:x:0:\nsniffer:x:987:\n")
    shutil.copy(keys.TMPFILES, tmp_path / "etc/tmpfiles.d/sniffer.conf")
    command = ["systemd-tmpfiles", f"--root={tmp_path}", "--create", "sniffer.conf"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    made = (tmp_path / "run/sniffer/keys").stat()
    assert (stat.S_IMODE(made.st_mode), made.st_uid, made.st_gid) == (0o3770, 0, 987)


def test_it_is_tried_without_touching_our_own_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSLKEYLOGFILE", raising=False)
    found(folder)
    assert "SSLKEYLOGFILE" not in os.environ


@ROOT_ONLY
def test_it_is_tried_as_the_strategys_user(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = saying("cannot write key logs there", found(folder, user=NOBODY))
    assert (line.state, "Permission denied" in line.text) == ("WARN", True)
    assert f"usermod --append --groups {folder.group()} {NOBODY}" in line.text
    os.chown(folder, 0, pwd.getpwnam(NOBODY).pw_gid)
    assert saying("can write key logs there", found(folder, user=NOBODY)).text.startswith(f"{folder}: {NOBODY} can")
    monkeypatch.setenv("SUDO_USER", NOBODY)
    assert saying("can write key logs there", found(folder)).text.startswith(f"{folder}: {NOBODY} can")


@pytest.fixture
def full(folder: Path) -> Iterator[Path]:
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=3770", "none", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("tmpfs cannot be mounted here")
    try:
        (folder / "filling").write_bytes(bytes(64 << 10))
        (folder / "filling").chmod(0o600)
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@ROOT_ONLY
def test_a_full_tmpfs(full: Path) -> None:
    assert "the file system is full" in saying("cannot write key logs there", found(full)).text


@ROOT_ONLY
def test_a_group_without_a_name(folder: Path) -> None:
    os.chown(folder, 0, 54321)
    assert f"chown root:sniffer {folder}; usermod" in saying("cannot write", found(folder, user=NOBODY)).text


def test_a_folder_for_everybody_and_one_without_the_group(folder: Path) -> None:
    folder.chmod(0o3777)
    assert saying("every user of this machine can write there", found(folder)).state == "WARN"
    folder.chmod(0o770)
    assert "chmod g+s" in saying("instead of the folder's", found(folder)).text


def test_a_key_log_that_everybody_can_read(folder: Path) -> None:
    """If the folder lets them in."""
    log = folder / "a.log"
    log.touch()
    log.chmod(0o644)
    assert {check.state for check in found(folder)} == {"OK"}
    folder.chmod(0o3775)
    line = saying("every user of this machine can read it", found(folder))
    assert (line.state, f"chmod o-r {log}" in line.text) == ("WARN", True)
    for number in range(20):
        (folder / f"{number}.log").touch()
        (folder / f"{number}.log").chmod(0o644)
    lines = found(folder)
    assert len([check for check in lines if "can read it" in check.text]) == 5
    assert saying("16 more key logs like these", lines).state == "WARN"


def test_key_logs_of_the_settings(folder: Path, tmp_path: Path) -> None:
    named = tmp_path / "other.log"
    assert saying("no such key log", found(folder, named)).text.startswith(f"{named}: ")
    named.touch(mode=0o600)
    (folder / "a.log").touch(mode=0o600)
    assert saying("2 key logs", found(folder, named)).state == "OK"


@pytest.mark.parametrize("trouble", ["file", "folder"])
def test_key_logs_that_cannot_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch, trouble: str) -> None:
    (folder / "a.log").touch(mode=0o600)
    if trouble == "file":
        monkeypatch.setattr(keys.os, "access", lambda path, _: "a.log" not in str(path))
        assert saying("must run as a member of its group", found(folder)).state == "WARN"
        return

    def refuse(self: Path) -> Iterator[Path]:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert saying("a recording of this user reads no key there", found(folder)).state == "WARN"


def test_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_USER", raising=False)
    assert strategy_user(None).pw_uid == os.geteuid()
    with pytest.raises(UsageError, match="--user no-such-user: there is no such user"):
        strategy_user("no-such-user")
    monkeypatch.setattr(os, "geteuid", lambda: 4321)
    assert strategy_user(None).pw_name == "4321"
    with pytest.raises(UsageError, match="only root can try as another user"):
        strategy_user("root")
    with pytest.raises(UsageError, match="--user no-such-user"):
        list(checks(Settings(), None, "no-such-user"))

"""Key logs: is the folder for them there, can a strategy write into it, and who can read what stands in it?"""

from __future__ import annotations

import multiprocessing
import os
import pwd
import ssl
import stat
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from sniffer.config import Settings
from sniffer.doctor.check import Check
from sniffer.errors import UsageError
from sniffer.execute import VARIABLE

TMPFILES: Final = Path(__file__).parents[1] / "system" / "tmpfiles.conf"
"""The folder of key logs, for systemd-tmpfiles."""
FULL: Final = "the file system is full"
_NAMED: Final = 5
"""Files that get a line of their own; the rest is counted."""
_PATIENCE: Final = 10
"""Seconds for a trial: a folder may be on a file system that does not answer."""


def strategy_user(user: str | None) -> pwd.struct_passwd:
    """As whom the strategies run: `user`, else the caller of sudo, else we ourselves. Raises `UsageError`."""
    ourselves = os.geteuid()
    name = user or (os.environ.get("SUDO_USER") if ourselves == 0 else None)
    try:
        found = pwd.getpwnam(name) if name else pwd.getpwuid(ourselves)
    except KeyError:
        if name is None:  # a number without a name, as in containers
            return pwd.struct_passwd((str(ourselves), "", ourselves, os.getegid(), "", "/", ""))
        raise UsageError(f"--user {name}: there is no such user") from None
    if ourselves not in (0, found.pw_uid):
        raise UsageError(f"--user {name}: only root can try as another user; start with sudo, or leave --user out")
    return found


def checks(settings: Settings, user: pwd.struct_passwd) -> Iterator[Check]:
    """The folder of `sniffer exec`, and the key logs that a recording reads."""
    folder = settings.keylog_dir
    if folder.is_dir():
        yield from _folder(folder)
        yield _trial(folder, user)
    else:
        yield Check(
            "WARN",
            f"{folder}: the folder of key logs is not there, so `sniffer exec` starts strategies without; as root, "
            f"`groupadd --system sniffer; cp {TMPFILES} /etc/tmpfiles.d/sniffer.conf; "
            "systemd-tmpfiles --create sniffer.conf` makes it, now and at each start (docs/tls.md)",
        )
    yield from _logs([folder, *(path for path in settings.keylog if path != folder)], named=settings.keylog)


def _folder(folder: Path) -> Iterator[Check]:
    mode = folder.stat().st_mode
    if mode & stat.S_IWOTH:
        yield Check("WARN", f"{folder}: every user of this machine can write there; `chmod o-w {folder}`")
    if mode & stat.S_IWGRP and not mode & stat.S_ISGID:
        yield Check("WARN", f"{folder}: key logs get their strategy's group instead of the folder's; `chmod g+s {folder}`")


def _trial(folder: Path, user: pwd.struct_passwd) -> Check:
    """What Python does when a strategy of `user` starts, done in a child that has become this user."""
    receive, send = multiprocessing.get_context("fork").Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=_try_as, args=(send, folder, user))
    child.start()
    send.close()
    try:
        trouble = receive.recv() if receive.poll(_PATIENCE) else "the file system does not answer"
    except EOFError:
        trouble = f"this user's trial ended with exit code {child.exitcode}"
    child.kill()
    child.join()
    who = user.pw_name
    if trouble is None:
        return Check("OK", f"{folder}: {who} can write key logs there (made one, and took it away)")
    way_out = "remove key logs that no journal needs any more" if trouble == FULL else f"as root, `{_admit(folder, who)}`"
    return Check("WARN", f"{folder}: {who} cannot write key logs there: {trouble}; {way_out}")


def _admit(folder: Path, who: str) -> str:
    """The command that lets a user in, by the folder's group."""
    try:
        return f"usermod --append --groups {folder.group()} {who}"
    except KeyError:  # a number without a name
        return f"chown root:sniffer {folder}; usermod --append --groups sniffer {who}"


def _try_as(send: Connection, folder: Path, user: pwd.struct_passwd) -> None:
    """In a child: become the user, make a key log as Python does, take it away, and send what went wrong, or None."""
    trouble = None
    try:
        if os.geteuid() == 0 and user.pw_uid != 0:
            os.initgroups(user.pw_name, user.pw_gid)
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
        file = folder / f".doctor-{os.getpid()}"
        os.environ[VARIABLE] = str(file)
        try:
            ssl.create_default_context()
            if not file.stat().st_size:  # Python writes a first line, and does not mind if it cannot
                trouble = FULL
        finally:
            file.unlink(missing_ok=True)
    except OSError as error:
        trouble = error.strerror or str(error)
    send.send(trouble)


def _logs(paths: list[Path], named: tuple[Path, ...]) -> Iterator[Check]:
    """The files there: is there any, and who can read them?"""
    files: list[Path] = []
    for path in paths:
        try:
            files += sorted(path.iterdir()) if path.is_dir() else [path] if path.exists() else []
            if path in named and not path.exists():
                yield Check("WARN", f"{path}: there is no such key log; it is read when it appears")
        except OSError as error:
            yield Check(
                "WARN", f"{path}: cannot be read by this user: {error.strerror}; a recording of this user reads no key there"
            )
    unreadable = [file for file in files if not os.access(file, os.R_OK)]
    exposed = [file for file in files if _readable_by_others(file)]
    for file in unreadable[:_NAMED]:
        yield Check("WARN", f"{file}: cannot be read by this user; `sniffer record` must run as a member of its group")
    for file in exposed[:_NAMED]:
        yield Check("WARN", f"{file}: every user of this machine can read it, and so your traffic; `chmod o-r {file}`")
    left = len(unreadable[_NAMED:]) + len(exposed[_NAMED:])
    if left:
        yield Check("WARN", f"and {left:,} more key logs like these")
    if not unreadable and not exposed:
        yield Check("OK", f"{len(files):,} key logs, readable by this user and not by everybody")


def _readable_by_others(file: Path) -> bool:
    """Its own mode allows it, and no folder above it keeps them out."""
    try:
        return bool(file.stat().st_mode & stat.S_IROTH) and all(
            folder.stat().st_mode & stat.S_IXOTH for folder in file.absolute().parents
        )
    except OSError:
        return False

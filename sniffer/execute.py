"""`sniffer exec`: starts a strategy with a key log file for its TLS library, and then is gone: the strategy takes its place.

The file comes first. With SSLKEYLOGFILE in a folder that is missing or cannot be written, Python's `ssl.create_default_context`
raises, and the strategy would not start. So where there is anything wrong with folder or file, the strategy starts without the
variable, and its traffic stays unreadable: a line says so.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NoReturn

from sniffer.capture.owner import STRATEGY, strategy_name
from sniffer.errors import CommandError, SnifferError

VARIABLE: Final = "SSLKEYLOGFILE"
"""Names the file to which OpenSSL's and NSS's users write the secrets of their TLS connections."""
ROOM: Final = 64 << 10
"""Bytes that must be free: a connection takes some 900, so a strategy may connect 70 times."""
WITHOUT: Final = "the command starts without a key log, so its TLS traffic will not be readable"
_MODE: Final = 0o640


def run_command(command: Sequence[str], folder: Path, say: Callable[[str], None], *, option: bool = False) -> NoReturn:
    """Become `command`, with a key log in `folder`, or where SSLKEYLOGFILE says already; `say` warns where that fails.

    `option`: the folder was named in this very call, and the variable, which is inherited, gives way to it.
    Raises `CommandError` if there is no such command, or it cannot be run.
    """
    named = os.environ.pop(VARIABLE, None)
    if named and option:
        say(f"{VARIABLE}={named}, which is set already, is not used: --keylog-dir says where the key log is")
        named = None
    try:
        file = (Path(named) if named else folder / file_name(command)).absolute()  # the strategy may change its folder
        prepare(file)
        os.environ[VARIABLE] = str(file)
    except (SnifferError, OSError) as error:
        say(f"{error}; {WITHOUT}")
    start(command)


def start(command: Sequence[str]) -> NoReturn:
    """Become `command`, with the environment as it is. Raises `CommandError`."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores these, and what is ignored stays so
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvpe(command[0], list(command), os.environ)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        why = "there is no such program" if missing else error.strerror
    raise CommandError(f"{command[0]}: cannot be started: {why}; name one, as in: sniffer exec -- python bot.py", missing)


def file_name(command: Sequence[str]) -> str:
    """One file a strategy: after its SNIFFER_STRATEGY, else after its script and its process, which will be this one."""
    name = os.environ.get(STRATEGY) or f"{strategy_name(command, {})}-{os.getpid()}"
    return re.sub(r"[^\w.-]|^\.", "_", name, flags=re.ASCII)[:100] + ".log"


def prepare(file: Path) -> None:
    """Make the key log `file` if it is not there, and see that it can be written, and not be read by everybody.

    A new one is for its owner and the folder's group (0640). Raises `SnifferError` with what is wrong and what helps.
    """
    try:
        free = os.statvfs(file.parent)
        if free.f_bavail * free.f_frsize < ROOM:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        descriptor = _open(file)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise SnifferError(f"{file}: is not a file; remove it, or name another folder with --keylog-dir")
            if found.st_mode & 0o007 and found.st_uid == os.geteuid():
                os.fchmod(descriptor, stat.S_IMODE(found.st_mode) & ~0o007)
            os.write(descriptor, b"# sniffer exec, process %d\n" % os.getpid())  # there may be a quota
        finally:
            os.close(descriptor)
    except OSError as error:
        raise SnifferError(f"{file}: {_trouble(error, file.parent)}") from None


def _open(file: Path) -> int:
    """A descriptor to append to `file`, which is made if need be. Raises `OSError`; a FIFO blocks nobody."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(file, flags | os.O_CREAT | os.O_EXCL, _MODE)
    except FileExistsError:
        return os.open(file, flags)
    with contextlib.suppress(PermissionError):  # not a member of that group: then it is for its owner alone
        os.fchown(descriptor, -1, file.parent.stat().st_gid)
    os.fchmod(descriptor, _MODE)
    return descriptor


def _trouble(error: OSError, folder: Path) -> str:
    """What an error means for a key log, and what helps."""
    if not folder.is_dir():
        return f"the folder of key logs is not there; `sniffer doctor` says how to make {folder}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the file system is full; remove key logs that no journal needs any more"
    if error.errno == errno.ELOOP:
        return "is a symbolic link; remove it"
    if isinstance(error, PermissionError):
        return "cannot be written by this user; `sniffer doctor` says who may write there"
    return f"cannot be written: {error.strerror}; name another folder with --keylog-dir"

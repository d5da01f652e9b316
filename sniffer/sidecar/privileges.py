"""Who the unprivileged processes are, and how they give up for good what they do not need.

Constants are from linux/prctl.h and linux/capability.h. No library is used for this: the two calls are older than Python.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import resource
import struct
import sys
from pathlib import Path
from typing import Final

from sniffer.capture.segment import folder_error
from sniffer.errors import SnifferError, StoreError, UsageError

_PR_SET_DUMPABLE: Final = 4
_PR_SET_NAME: Final = 15
_PR_CAPBSET_DROP: Final = 24
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4
_CAPABILITY_VERSION_3: Final = 0x20080522
_CAP_CHOWN, _CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH, _CAP_FOWNER, _CAP_SYS_PTRACE = 0, 1, 2, 3, 19
_CAPABILITIES: Final = 64  # a kernel says EINVAL to those that it does not know
_FILES: Final = 1 << _CAP_CHOWN | 1 << _CAP_DAC_OVERRIDE | 1 << _CAP_FOWNER
LOOK_AT_PROCESSES: Final = 1 << _CAP_DAC_READ_SEARCH | 1 << _CAP_SYS_PTRACE
"""What /proc/PID/fd and /proc/PID/environ of other users' processes take (proc(5))."""


def owner_of(user: str | None) -> pwd.struct_passwd | None:
    """Whom the unprivileged processes become: `--user`, else the caller under sudo; None: no change."""
    if os.geteuid() != 0:
        if user is not None and user != pwd.getpwuid(os.geteuid()).pw_name:
            raise UsageError(f"--user {user}: only root can become another user; start with sudo, or leave --user out")
        return None
    name = user or os.environ.get("SUDO_USER")
    if name is None:
        return None
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise UsageError(f"--user {name}: there is no such user") from None


def name_process(name: str) -> None:
    """What `ps` and `top` show of this process: 15 bytes at most."""
    if sys.platform == "linux":
        _prctl(_PR_SET_NAME, ctypes.c_char_p(name.encode()[:15]))


def keep_memory_private() -> None:
    """No core dump of this process, and no look into its memory by others: it holds keys, and what they open."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        _prctl(_PR_SET_DUMPABLE, 0)


def confine(owner: pwd.struct_passwd | None, needed: int = 0) -> None:
    """Become `owner`, without any capability, for good: no program that this process starts gets one back either.

    Root that nobody stands behind (no sudo, no `--user`) stays root, with what files take (to write for their owners) and no
    more. `needed`: capabilities, a set of bits, that are kept instead, as far as they are there. Raises `SnifferError` if the
    system does not let go.
    """
    if sys.platform != "linux":
        _become(owner)
        return
    for capability in range(_CAPABILITIES) if os.geteuid() == 0 else ():
        _prctl(_PR_CAPBSET_DROP, capability)
    _become(owner)
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    kept = needed or (_FILES if os.geteuid() == 0 else 0)
    _keep_capabilities(kept)
    if _prctl(_PR_SET_NO_NEW_PRIVS, 1) < 0 or capabilities() & ~kept:
        raise SnifferError("a process cannot give up its privileges here; start it without root, or on another system")
    keep_memory_private()  # once more: a change of user undoes it


def capabilities() -> int:
    """The capabilities of this process that are permitted, as a set of bits."""
    for line in Path("/proc/self/status").read_bytes().splitlines():
        if line.startswith(b"CapPrm:"):
            return int(line.split()[1], 16)
    return 0


def make_folder(folder: Path, db: Path, owner: pwd.struct_passwd | None) -> bool:
    """The journal's default folder, made when it is not there (True); a folder named by the user must exist."""
    if not folder.parent.is_dir():
        raise StoreError(f"{db}: there is no folder {folder.parent}; `mkdir -p` makes it")
    try:
        made = not folder.exists()
        folder.mkdir(mode=0o700, exist_ok=True)
        if owner is not None:
            os.chown(folder, owner.pw_uid, owner.pw_gid)
    except OSError as error:
        raise folder_error(folder, error) from None
    return made


def _become(owner: pwd.struct_passwd | None) -> None:
    if owner is None or os.geteuid() != 0 or owner.pw_uid == 0:
        return
    os.initgroups(owner.pw_name, owner.pw_gid)
    os.setresgid(owner.pw_gid, owner.pw_gid, owner.pw_gid)
    os.setresuid(owner.pw_uid, owner.pw_uid, owner.pw_uid)
    os.environ["HOME"] = owner.pw_dir


def _keep_capabilities(kept: int) -> None:
    """Of what is permitted keep only `kept`, and let nothing be inherited; see capset(2)."""
    kept &= capabilities()
    head = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    low, high = kept & 0xFFFFFFFF, kept >> 32
    libc = ctypes.CDLL(None, use_errno=True)
    libc.capset(head, struct.pack("=6I", low, low, 0, high, high, 0))


def _prctl(option: int, argument: object) -> int:
    return int(ctypes.CDLL(None, use_errno=True).prctl(option, argument, 0, 0, 0))

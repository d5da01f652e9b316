"""Who the unprivileged processes are, and how they give up what they do not need."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from sniffer.capture.segment import folder_error
from sniffer.errors import StoreError, UsageError


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


def become(owner: pwd.struct_passwd) -> None:
    """Give up root for good."""
    if os.geteuid() != 0 or owner.pw_uid == 0:
        return
    os.initgroups(owner.pw_name, owner.pw_gid)
    os.setgid(owner.pw_gid)
    os.setuid(owner.pw_uid)
    os.environ["HOME"] = owner.pw_dir


def make_folder(folder: Path, db: Path, owner: pwd.struct_passwd | None) -> None:
    """The journal's default folder, made when it is not there; a folder named by the user must exist."""
    if not folder.parent.is_dir():
        raise StoreError(f"{db}: there is no folder {folder.parent}; `mkdir -p` makes it")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if owner is not None:
            os.chown(folder, owner.pw_uid, owner.pw_gid)
    except OSError as error:
        raise folder_error(folder, error) from None

"""`sniffer service`: a systemd unit for a recording, with as few rights as it works with; see systemd.exec(5)."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sniffer.config import Settings
from sniffer.errors import UsageError

_USER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,31}")
_UNIT: Final = """\
# Made by `sniffer service`. To install it:
#   useradd --system --home-dir {shell_folder} {user}    (where there is no such user yet)
#   install -d -m 750 -o {user} {shell_folder}
#   sniffer service ... > /etc/systemd/system/sniffer.service
#   systemctl daemon-reload && systemctl enable --now sniffer
# `sudo -u {user} sniffer status --db {shell_db}` says how it is.

[Unit]
Description=Order sniffer: records the orders of trading strategies from {interfaces}
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
NotifyAccess=main
WatchdogSec=30
ExecStart={command}
User={user}
WorkingDirectory={folder}
Restart=always
RestartSec=1
# The supervisor ends its processes itself, in their order.
KillMode=mixed
TimeoutStopSec=90
UMask=0077
LimitCORE=0

# All that capturing takes, and only the supervisor keeps it.
AmbientCapabilities=CAP_NET_RAW
CapabilityBoundingSet=CAP_NET_RAW
NoNewPrivileges=yes

ProtectSystem=strict
ReadWritePaths={writable}
ProtectHome={home}
PrivateTmp={tmp}
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_UNIX AF_PACKET AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""


def unit(settings: Settings, interfaces: Sequence[str], user: str) -> str:
    """The text of the unit. Raises `UsageError` for what cannot stand in one."""
    if not _USER.fullmatch(user):
        raise UsageError(f"--user {user}: is no name of a system user")
    db = settings.db.absolute()
    journal = settings.journal.absolute() if settings.journal else None
    keylogs = [path.absolute() for path in settings.keylog]
    call = [_program(), "record", *(part for name in interfaces for part in ("-i", name)), "--db", str(db)]
    for option, values in (("--host", settings.hosts), ("--port", settings.ports), ("--keylog", keylogs)):
        call += [part for value in values for part in (option, str(value))]
    if journal:
        call += ["--journal", str(journal)]
    if settings.keep != "orders":
        call += ["--keep", settings.keep]
    if settings.metrics_port:
        call += ["--metrics-port", str(settings.metrics_port)]
    writable = [db.parent, *([journal] if journal else [])]
    # What must not be hidden from it: the interpreter of an environment, too, may stand in a home folder (pyenv, uv).
    needed = (*writable, *keylogs, Path(_program()), Path(sys.executable).resolve())
    return _UNIT.format(
        interfaces=", ".join(_plain(name) for name in interfaces),
        user=user,
        shell_db=shlex.quote(str(db)),
        shell_folder=shlex.quote(str(db.parent)),
        folder=_plain(str(db.parent)),
        writable=" ".join(_word(str(path)) for path in writable),
        command=" ".join(_word(part) for part in call),
        home="read-only" if _any_in(needed, "/home", "/root", "/run/user") else "yes",
        tmp="no" if _any_in(needed, "/tmp", "/var/tmp") else "yes",
    )


def _any_in(paths: Sequence[Path], *folders: str) -> bool:
    return any(path.is_relative_to(folder) for path in paths for folder in folders)


def _program() -> str:
    """The `sniffer` that this is."""
    beside = Path(sys.executable).with_name("sniffer")
    return str(beside if beside.exists() else Path(sys.argv[0]).absolute())


def _plain(text: str) -> str:
    """`text` for a setting that takes the rest of its line."""
    if not text.isprintable():
        raise UsageError(f"{text!r}: cannot stand in a systemd unit")
    return text.replace("%", "%%")


def _word(text: str) -> str:
    """`text` as one word of a command line in a unit; see "Quoting" in systemd.syntax(7)."""
    text = _plain(text).replace("$", "$$")
    if re.fullmatch(r"[\w./:@+,=%$-]+", text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

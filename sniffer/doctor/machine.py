"""The machine: privilege, interfaces, folders."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sniffer.config import Settings
from sniffer.doctor.check import Check

INTERFACES: Final = Path("/sys/class/net")
"""What Linux says of each interface."""
_IFF_UP: Final = 1  # linux/if.h


def checks(settings: Settings, interface: str | None) -> Iterator[Check]:
    """Can it capture, and where would the recording go?"""
    yield Check("OK", f"Python {sys.version.split()[0]} on {sys.platform}")
    yield from _privilege()
    yield from _interfaces(interface)
    beside = settings.db.absolute().parent
    if settings.journal is not None:
        yield from _folder(beside, "database", 1 << 30)
    yield from _folder(settings.journal or beside, "journal" if settings.journal else "database", settings.journal_max_bytes)


def _privilege() -> Iterator[Check]:
    if sys.platform != "linux":
        yield Check("WARN", "not Linux: live capture goes through scapy and libpcap")
        return
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    except PermissionError:
        yield Check(
            "FAIL",
            "this user may not capture; run `sudo sniffer record`, or start it with the capability CAP_NET_RAW "
            "(systemd: AmbientCapabilities=CAP_NET_RAW)",
        )
    except OSError as error:
        yield Check("FAIL", f"packet sockets do not work here: {error.strerror}")
    else:
        yield Check("OK", "this user may capture (packet socket opened)")


def _interfaces(wanted: str | None) -> Iterator[Check]:
    names = [name for _, name in socket.if_nameindex()]
    if wanted is None:
        yield Check("OK", f"interfaces: {', '.join(names)}")
        return
    if wanted not in names:
        yield Check("FAIL", f"interface {wanted} is not there; there are {', '.join(names)}")
        return
    try:
        up = int((INTERFACES / wanted / "flags").read_text(), 16) & _IFF_UP
        state = (INTERFACES / wanted / "operstate").read_text().strip()
    except (OSError, ValueError):  # another system
        up, state = _IFF_UP, "unknown"
    if not up:
        yield Check("WARN", f"interface {wanted} is down; `ip link set {wanted} up` starts it")
    elif state in ("down", "lowerlayerdown"):
        yield Check("WARN", f"interface {wanted} has no link, so nothing goes over it; see to its cable, or what it stands on")
    else:
        yield Check("OK", f"interface {wanted} is there ({state})")


def _folder(folder: Path, what: str, wanted: int) -> Iterator[Check]:
    """`wanted`: bytes that a recording may need there."""
    if not folder.is_dir():
        yield Check("FAIL", f"{folder}: the folder of the {what} is not there; `mkdir -p {folder}` makes it")
    elif not os.access(folder, os.W_OK | os.X_OK):
        yield Check("FAIL", f"{folder}: the folder of the {what} cannot be written by this user; `chown` gives it to one")
    elif (free := shutil.disk_usage(folder).free) < wanted:
        yield Check("WARN", f"{folder}: {_gib(free)} free, and a recording may take {_gib(wanted)}; make room")
    else:
        yield Check("OK", f"{folder}: the {what} can be written there, {_gib(free)} free")


def _gib(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB"

"""Whether this machine can capture, and what to do where it cannot."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from sniffer.config import Settings
from sniffer.errors import SnifferError

RECENT: Final = 15
"""Minutes of a recording that are looked at."""


class Check(NamedTuple):
    """One line: OK, WARN or FAIL, and what to do."""

    state: str
    text: str


def checks(settings: Settings, interface: str | None) -> Iterator[Check]:
    """All checks, in the order in which a user meets their causes."""
    yield Check("OK", f"Python {sys.version.split()[0]} on {sys.platform}")
    yield from _privilege()
    yield from _interfaces(interface)
    beside = settings.db.absolute().parent
    if settings.journal is not None:
        yield from _folder(beside, "database", 1 << 30)
    yield from _folder(settings.journal or beside, "journal" if settings.journal else "database", settings.journal_max_bytes)
    yield from _database(settings.db)


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
    state = Path(f"/sys/class/net/{wanted}/operstate")
    up = state.read_text().strip() if state.exists() else "unknown"
    if up == "down":
        yield Check("WARN", f"interface {wanted} is down; `ip link set {wanted} up` starts it")
    else:
        yield Check("OK", f"interface {wanted} is there ({up})")


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


def _database(db: Path) -> Iterator[Check]:
    if not db.exists():
        yield Check("OK", f"{db}: not there yet; `sniffer record` or `sniffer replay` makes it")
        return
    from sniffer.report import UNEXAMINED
    from sniffer.store import read
    from sniffer.table import visible

    recent = f"captured_at > (SELECT max(captured_at) FROM order_events) - INTERVAL {RECENT} MINUTE"
    try:
        _, _, events = read.query(db, f"SELECT count(*) FROM order_events WHERE {recent}")
        _, _, unexamined = read.query(db, UNEXAMINED)
        _, _, unreadable = read.query(
            db,
            "SELECT coalesce(host, server_ip || ':' || server_port), unreadable_reason, count(*) FROM connections "
            "WHERE NOT readable GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 10",
        )
        _, _, drops = read.query(db, "SELECT sum(kernel_drops)::BIGINT FROM captures")
    except SnifferError as error:
        yield Check("FAIL", str(error))
        return
    yield Check("OK", f"{db}: readable, {events[0][0]:,} order events in its last {RECENT} minutes")
    if drops[0][0]:
        yield Check("WARN", f"the kernel dropped {drops[0][0]:,} packets; narrow the capture with --host or --port")
    for where, count in unexamined:
        yield Check("WARN", f"{visible(where)}: {count:,} messages are readable, but no venue examines them")
    for where, reason, count in unreadable:
        yield Check("WARN", f"{visible(where)}: {count:,} connections cannot be read: {visible(reason)}")

"""What a recording holds, and what of it nobody reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sniffer.doctor.check import RECENT, Check
from sniffer.errors import SnifferError


def checks(db: Path) -> Iterator[Check]:
    """The database, its events, and the connections that no venue examines or that cannot be read at all."""
    if not db.exists():
        yield Check("OK", f"{db}: not there yet; `sniffer record` or `sniffer replay` makes it")
        return
    from sniffer.follow import UNEXAMINED
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

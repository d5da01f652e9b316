"""What a run says of itself when it is over."""

from __future__ import annotations

import contextlib
import itertools
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from sniffer.config import load_settings
from sniffer.errors import UsageError
from sniffer.summary import Summary
from sniffer.table import visible

_LISTED: Final = 8
"""Kinds of loss, hosts and so on that a summary names; the rest is counted."""


def summary_lines(summary: Summary, db: str) -> Iterator[str]:
    """A run, for the user: what was stored, what could not be read, and which traffic nobody looked at."""
    ask, name, db = query_call("SELECT * FROM losses", db), visible(summary.name), visible(db)
    if summary.already_loaded and summary.already_loaded >= summary.packets:
        yield f"{name}: already in {db} ({summary.packets:,} packets); nothing changed (--replace loads it anew)"
        return
    if summary.already_loaded:
        yield f"{name}: {summary.already_loaded:,} packets were in {db} already; went on from there"
    rate = f" in {summary.seconds:.1f} s" if summary.seconds >= 0.05 else ""
    yield (
        f"{_many(summary.packets, 'packet')}, {_many(summary.connections, 'connection')}{rate}: "
        f"{_many(summary.order_events, 'order event')}, {_many(summary.fill_events, 'fill')} -> {db}"
    )
    yield from _listed(
        f"lost ({layer}): {visible(reason)}" + (f" ({count:,} times)" if count > 1 else "")
        for (layer, reason), count in summary.losses.most_common()
    )
    if summary.lost_bytes:
        yield f"  {_many(summary.lost_bytes, 'byte')} lost in all; `{ask}` says where"
    yield from _listed(unexamined(where, count) for where, count in summary.unexamined.most_common())
    yield from _listed(
        f"not readable: {visible(where)}" + (f" ({_many(count, 'connection')})" if count > 1 else "")
        for where, count in summary.unreadable.most_common()
    )


def query_call(sql: str, db: str) -> str:
    """The call that asks this database, for a shell; it is named where `sniffer query` would ask another."""
    with contextlib.suppress(UsageError):
        if load_settings().db.absolute() == Path(db).absolute():
            return f"sniffer query {shlex.quote(sql)}"
    return visible(f"sniffer query --db {shlex.quote(db)} {shlex.quote(sql)}")


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")


def _listed(lines: Iterable[str]) -> Iterator[str]:
    """The first lines, and how many more there are."""
    rest = iter(lines)
    for line in itertools.islice(rest, _LISTED):
        yield f"  {line}"
    if more := sum(1 for _ in rest):
        yield f"  and {more:,} more of this kind"


def unexamined(where: str, count: int) -> str:
    """A line about a host whose messages can be read, and nobody examines."""
    return f"not examined: {_many(count, 'message')} of {visible(where)}, which no venue recognises"

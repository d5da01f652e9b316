"""The database against the books, and the measures against the promises."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from bench.messages import LOT
from tests.live.live_tools import rows
from tests.soak.gauges import Gauges, quantile
from tests.soak.readers import Log
from tests.soak.traffic import SLOTS, Books, line

PAUSE: Final = 5.0
"""Seconds between two publishes, at most, while there is something to publish: a reader delays nothing."""
GROWTH: Final = 1.10
"""Of a process's memory from the second quarter of a soak to the last one, at most; less than `LITTLE` is none."""
LITTLE: Final = 8 << 20
LONG: Final = 300.0
"""Seconds from which on memory, seals and rotations are judged."""
MANY: Final = 10
"""Seals and rotations that a long soak must have seen, else it shows nothing."""


@dataclass
class Found:
    """What the database holds."""

    messages: int
    connections: int
    orders: int
    fills: int
    filled: Decimal
    losses: int
    kernel_drops: int
    unreadable: int
    events: list[str]
    fill_events: list[str]
    """Digests, as in the books."""

    @classmethod
    def read(cls, db: Path) -> Found:
        ((messages, connections, orders, fills, filled, losses, drops, unreadable),) = rows(
            db,
            """SELECT (SELECT sum(messages) FROM connections)::BIGINT, (SELECT count(*) FROM connections),
                (SELECT count(*) FROM order_events), (SELECT count(*) FROM fills), (SELECT sum(quantity) FROM fills),
                (SELECT count(*) FROM losses), (SELECT sum(kernel_drops) FROM captures)::BIGINT,
                (SELECT count(*) FROM connections WHERE NOT readable)""",
        )
        events, executions = (
            [_digest(db, table, columns, slot) for slot in range(SLOTS)]
            for table, columns in (
                ("order_events", "order_id, client_order_id, status, filled_quantity, price, quantity"),
                ("fill_events", "trade_id, order_id, quantity, price, fee"),
            )
        )
        return cls(messages, connections, orders, fills, filled, losses, drops, unreadable, events, executions)


def _digest(db: Path, table: str, columns: str, slot: int) -> str:
    """Of one strategy's rows, in the order in which they were said: its numbers have 40 bits of their own."""
    digest = hashlib.blake2b(digest_size=16)
    sql = f"""SELECT {columns} FROM {table} JOIN connections USING (connection_id)
        WHERE order_id::BIGINT >> 40 = ? ORDER BY opened_at, position, item"""
    for row in rows(db, sql, slot):
        digest.update(line(*row))
    return digest.hexdigest()


def broken(found: Found, books: Books, log: Log, gauges: Gauges) -> Iterator[str]:
    """Each promise that was broken, in a line."""
    truth = books.truth

    def same(what: str, there: Any, sent: Any) -> Iterator[str]:
        if there != sent:
            yield f"{what}: {there} stored, {sent} sent"

    yield from same("connections", found.connections, books.connections)
    yield from same("messages", found.messages, truth.messages + 2 * books.connections)  # and the upgrades
    yield from same("order events", found.orders, truth.orders)
    yield from same("fills", found.fills, truth.fills)
    yield from same("filled quantity", found.filled or 0, Decimal(truth.filled_lots) / LOT)
    yield from same("order events, in their order, of each strategy", found.events, books.events)
    yield from same("fills, in their order, of each strategy", found.fill_events, books.fills)
    yield from same("unreadable connections", found.unreadable, 0)
    if found.losses:
        yield f"losses: {found.losses} rows"
    if found.kernel_drops:
        yield f"the kernel dropped {found.kernel_drops} packets"
    for failure in log.unexcused()[:20]:
        yield f"a reader failed: {failure.manner}: {failure.reason}"
    if (slowest := max(gauges.publishes, default=0.0)) > PAUSE:
        yield f"nothing was published for {slowest:.1f} s"
    if books.seconds >= LONG:
        yield from _long(gauges)


def _long(gauges: Gauges) -> Iterator[str]:
    for name, samples in gauges.memory.items():
        sizes = [size for _, size in samples]
        quarter = len(sizes) // 4
        early, late = (sum(some) / len(some) for some in (sizes[quarter : 2 * quarter], sizes[-quarter:]))
        if late > early * GROWTH and late - early > LITTLE:
            yield f"{name} grew from {early / (1 << 20):.1f} to {late / (1 << 20):.1f} MiB"
    for what, seen in (("sealed files", gauges.sealed), ("journal segments", gauges.segments)):
        if len(seen) < MANY:
            yield f"only {len(seen)} {what} in so long a time"


def summary(found: Found, books: Books, log: Log, gauges: Gauges) -> Iterator[str]:
    """The figures, a subject a line."""
    truth = books.truth
    load = f"{quantile(gauges.load, 0.5):.1f}, at most {max(gauges.load):.1f}"
    yield f"machine     {os.cpu_count()} processors, load average {load}"
    yield (
        f"traffic     {truth.messages:,} messages in {books.seconds:.0f} s ({truth.messages / books.seconds:,.0f} a second) "
        f"over {books.connections:,} connections; {truth.orders:,} order events, {truth.fills:,} fills"
    )
    yield (
        f"stored      {found.messages - 2 * found.connections:,} messages seen, {found.orders:,} order events, "
        f"{found.fills:,} fills; losses {found.losses}, kernel drops {found.kernel_drops}"
    )
    yield f"history     {len(gauges.sealed)} sealed files, {len(gauges.segments)} journal segments"
    yield "looks       " + ", ".join(f"{manner} {count:,}" for manner, count in sorted(log.looks.items()))
    unexcused = len(log.unexcused())
    yield (f"failures    {unexcused} of readers, and {len(log.failures) - unexcused} while a privileged client held the file")
    yield f"clients     {log.kills} readers killed; read-write {log.refused} refused, {log.written} that wrote"
    yield f"publishes   {len(gauges.publishes):,}, apart {_spread(gauges.publishes)}"
    yield f"age         of the newest row in a reader's hand {_spread(log.ages)}"
    for name, samples in gauges.memory.items():
        sizes = [size for _, size in samples]
        third = max(1, len(sizes) // 10)
        middle = len(sizes) // 2
        parts = (sizes[:third], sizes[middle : middle + third], sizes[-third:])
        told = " / ".join(f"{sum(part) / len(part) / (1 << 20):.1f}" for part in parts)
        yield f"memory      {name}: {told} MiB at start / middle / end, {max(sizes) / (1 << 20):.1f} at most"


def _spread(values: list[float]) -> str:
    return f"p50 {quantile(values, 0.5):.2f} s, p99 {quantile(values, 0.99):.2f} s, at most {max(values, default=0.0):.2f} s"

"""From the wire to a reader: how long after its wire time each order event can be selected."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import duckdb

from bench.options import Options
from bench.processes import Failed
from bench.recording import Generator, may_capture, not_measured, recorder
from bench.report import Figure, load, quantile
from bench.runners import scratch

GOALS: Final = {"1": 1.5, "0.1": 0.3}
"""`--publish-interval` (the default is 1), and seconds until 99 of 100 events can be selected."""
RATE: Final = 2_000
"""Messages a second, of which one in ten is an order."""
PAUSE: Final = 0.005
"""Seconds between two looks at whether the file was replaced."""
LATE: Final = 5_000_000_000
"""How far behind the newest event (ns) the reader looks for others that it has not seen."""
PATIENCE: Final = 15.0


class Reader:
    """Opens the published file anew whenever it was replaced, as any client may, and notes when it first saw an event."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._version = 0
        self._newest = 0
        self.waits: dict[tuple[int, str, int, int], int] = {}
        """Nanoseconds from an event's wire time to its first appearance."""

    def look(self) -> None:
        """See what the file holds now, if it is another than before."""
        version = self._database.stat().st_ino
        if version == self._version:
            return
        with duckdb.connect(str(self._database), read_only=True) as connection:
            rows = connection.execute(
                "SELECT connection_id, sender, position, item, epoch_ns(captured_at) FROM order_events"
                " WHERE captured_at >= make_timestamp_ns(?)",
                [max(0, self._newest - LATE)],
            ).fetchall()
        now = time.time_ns()
        self._version = version
        for *key, at in rows:
            self.waits.setdefault((key[0], key[1], key[2], key[3]), now - at)
            self._newest = max(self._newest, at)


def figure(options: Options) -> Figure:
    goal = ", ".join(f"99 % under {most} s at --publish-interval {interval}" for interval, most in GOALS.items())
    if not may_capture():
        return not_measured("Wire to reader", goal)
    seconds = 0.5 if options.quick else 20.0
    rows, raw, met = [], dict[str, object](), True
    for interval, most in list(GOALS.items())[options.quick :]:
        waits = sorted(_waits(interval, seconds))
        half, nearly_all = quantile(waits, 0.5), quantile(waits, 0.99)
        met = met and nearly_all < most
        rows.append(
            [interval + " s", f"{len(waits):,}", *(f"{one:.3f} s" for one in (half, nearly_all, waits[-1])), f"{most} s"]
        )
        raw[interval] = {"load": load(), "seconds": [quantile(waits, share / 1000) for share in range(1, 1001)]}
    return Figure(
        name="Wire to reader",
        goal=goal,
        found=", ".join(f"{row[3]} at {row[0]}" for row in rows),
        met=None if options.quick else met,
        columns=["publish interval", "order events", "p50", "p99", "most", "goal of p99"],
        rows=rows,
        raw=raw,
    )


def _waits(interval: str, seconds: float) -> list[float]:
    """Seconds, of each order event. Raises `Failed` if one does not come."""
    with (
        scratch() as folder,
        Generator(RATE, seconds) as generator,
        recorder(folder, [generator.port], "--publish-interval", interval),
    ):
        reader = Reader(folder / "orders.duckdb")
        generator.begin()
        while generator.process.poll() is None:
            reader.look()
            time.sleep(PAUSE)
        orders = generator.finish().truth.orders
        end = time.monotonic() + PATIENCE
        while len(reader.waits) < orders:
            if time.monotonic() > end:
                raise Failed(f"{len(reader.waits)} of {orders} order events could be selected after {PATIENCE:g} s")
            reader.look()
            time.sleep(PAUSE)
    return [one / 1e9 for one in reader.waits.values()]

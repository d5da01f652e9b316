"""What a recording takes beside strategies that trade: CPU and memory of each of its processes, in interleaved rounds."""

from __future__ import annotations

import contextlib
import re
import sys
import time
from pathlib import Path
from typing import Final

import duckdb

from bench.options import Options
from bench.processes import Background, Failed, Sample, percent, sample
from bench.recording import Generator, free_port, kernel_drops, may_capture, not_measured, recorder
from bench.report import Figure, load, median, megabytes, spread
from bench.runners import scratch

ORDERS: Final = 200
"""A second, of all strategies."""
MARKET: Final = 5_000
"""Messages of market data a second, on connections beside theirs."""
GOALS: Final = {"orders only": 2.0, "with market data": 10.0}
"""Percent of a core, of all processes."""
_ASSETS: Final = 100
_STRATEGIES: Final = 110
"""Of the demo with `_ASSETS` assets: one in ten has two."""
_SETTLING: Final = 3.0
"""Seconds for connections and logins."""


def figure(options: Options) -> Figure:
    """CPU of all processes over the middle of a run of `strategies.demo`."""
    goal = f"{ORDERS} orders a second under {GOALS['orders only']:g} % of a core, with {MARKET:,} messages beside them under "
    goal += f"{GOALS['with market data']:g} %"
    if not may_capture():
        return not_measured("Idle", goal)
    settling, seconds = (0.5, 0.5) if options.quick else (_SETTLING, 30.0)
    names = list(GOALS)[1:] if options.quick else list(GOALS)
    samples: dict[str, list[tuple[Sample, Sample]]] = {name: [] for name in names}
    rates: dict[str, list[float]] = {name: [] for name in names}
    loads = []
    for _ in range(options.rounds):
        for name in names:
            loads.append(load())
            before, after, rate = _record(name == "with market data", settling, seconds)
            samples[name].append((before, after))
            rates[name].append(rate)
    used = {name: [percent(*pair) for pair in pairs] for name, pairs in samples.items()}
    rows = []
    for name, pairs in samples.items():
        rows.append([name, "all", spread(used[name], "%"), megabytes(median([after.pss for _, after in pairs]))])
        shares = [_by_process(before, after) for before, after in pairs]
        for process in sorted(set().union(*shares)):
            found = [share[process] for share in shares if process in share]
            rows.append([name, process, spread([cpu for cpu, _ in found], "%"), megabytes(median([pss for _, pss in found]))])
    return Figure(
        name="Idle",
        goal=goal,
        found=", ".join(f"{name} {median(used[name]):.1f} % at {median(rates[name]):.0f} orders a second" for name in names),
        met=None if options.quick else all(median(used[name]) < GOALS[name] for name in names),
        columns=["traffic", "process", "CPU, of a core", "resident (shared pages divided)"],
        rows=rows,
        raw={"load": loads, "percent": used, "orders_a_second": rates}
        | {name: [_by_process(before, after) for before, after in pairs] for name, pairs in samples.items()},
    )


def _record(market: bool, settling: float, seconds: float) -> tuple[Sample, Sample, float]:
    """Two samples, and the orders a second. Raises `Failed` if an order is missing, or anything was lost."""
    port, whole = free_port(), settling + seconds + 1
    demo = [sys.executable, "-m", "strategies.demo", "--assets", str(_ASSETS), "--port", str(port)]
    demo += ["--rate", f"{ORDERS / _STRATEGIES:.3f}", "--seconds", str(whole)]
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(scratch())
        feed = stack.enter_context(Generator(MARKET, whole, 0.0)) if market else None
        ports = [port, feed.port] if feed else [port]
        recording = stack.enter_context(recorder(folder, ports))
        traders = stack.enter_context(Background(demo))
        if feed:
            feed.begin()
        time.sleep(settling)
        before = sample(recording.process.pid)
        time.sleep(seconds)
        after = sample(recording.process.pid)
        said = traders.finish()
        sent = feed.finish().truth.messages if feed else 0
        recording.stop()
        placed = re.search(r"(\d+) orders placed", said)
        return before, after, _checked(folder, int(placed[1]) if placed else -1, sent)


def _checked(folder: Path, placed: int, market: int) -> float:
    """Orders placed a second, as stored."""
    with duckdb.connect(str(folder / "orders.duckdb"), read_only=True) as connection:
        row = connection.execute(
            "SELECT count(*), epoch_ns(max(captured_at)) - epoch_ns(min(captured_at)), (SELECT count(*) FROM losses),"
            " (SELECT sum(messages) FROM connections)"
            " FROM order_events WHERE kind = 'request' AND action = 'place'"
        ).fetchone()
    assert row is not None
    found = (row[0], row[2], kernel_drops(folder))
    if found != (placed, 0, 0) or row[3] < market:
        raise Failed(
            f"orders, losses, kernel drops are {found}, not ({placed}, 0, 0), of {row[3]} messages {market} market data"
        )
    return float(row[0] / (row[1] / 1e9))


def _by_process(before: Sample, after: Sample) -> dict[str, tuple[float, int]]:
    """Percent of a core and bytes, by the process's name."""
    shares: dict[str, tuple[float, int]] = {}
    for pid, one in after.processes.items():
        begun = before.processes[pid].cpu if pid in before.processes else 0.0
        used, pss = shares.get(one.name, (0.0, 0))
        shares[one.name] = used + 100 * (one.cpu - begun) / (after.at - before.at), pss + one.pss
    return shares

"""Memory and time of a replay against the size of its capture: ten times the traffic, as much memory, ten times the time."""

from __future__ import annotations

import resource
from typing import Final

from bench.captures import Workload, capture
from bench.options import Options
from bench.processes import Failed, Run
from bench.report import Figure, load, median, megabytes, spread
from bench.runners import replay, startup

PEAK: Final = 200e6
"""Bytes resident at most."""
SLOWER: Final = 1.2
"""A message of the large capture costs at most so many times one of the small: linear, and the noise of a shared machine."""


def figure(options: Options) -> Figure:
    small = 5_000 if options.quick else 500_000
    runs: dict[int, list[Run]] = {small: [], 10 * small: []}
    begin, loads = [], []
    for _ in range(options.rounds):
        loads.append(load())
        begin.append(startup())
        for messages, found in runs.items():
            found.append(_replay(messages, options))
    start = median([run.seconds for run in begin])
    each = {messages: (median([run.seconds for run in found]) - start) / messages for messages, found in runs.items()}
    peak = max(run.peak_rss for run in runs[10 * small])
    slower = each[10 * small] / each[small]
    rows = [
        [
            f"{messages:,}",
            spread([run.seconds for run in found]),
            f"{median([run.cpu for run in found]):.2f} s",
            f"{each[messages] * 1e6:.2f} us",
            megabytes(max(run.peak_rss for run in found)),
        ]
        for messages, found in runs.items()
    ]
    return Figure(
        name="Growth",
        goal=f"under {megabytes(PEAK)} resident on {10 * small:,} messages, and a message no dearer than {SLOWER} times",
        found=f"{megabytes(peak)}, {slower:.2f} times",
        met=None if options.quick else peak < PEAK and slower <= SLOWER,
        columns=["messages", "time", "CPU", "a message, without start-up", "peak resident memory"],
        rows=rows,
        raw={"load": loads, "startup": [run.seconds for run in begin]}
        | {
            str(messages): [{"seconds": run.seconds, "cpu": run.cpu, "peak_rss": run.peak_rss} for run in found]
            for messages, found in runs.items()
        },
    )


def _replay(messages: int, options: Options) -> Run:
    """Raises `Failed` too if the peak may be our own: Linux hands a process's on to the program that it starts (execve)."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    result = replay(capture(Workload(messages), options.cache))
    if result.peak_rss <= own:
        raise Failed(f"a peak of {megabytes(result.peak_rss)} cannot be told from the benchmark's own; run growth by itself")
    return result

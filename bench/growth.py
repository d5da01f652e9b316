"""Time and memory of a replay against the size of its capture, and against the number of its connections."""

from __future__ import annotations

import json
import os
import resource
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Final

from bench.captures import Workload, capture, write
from bench.messages import Truth
from bench.options import Options
from bench.processes import Background, Failed, Run, run
from bench.report import Figure, load, median, megabytes, spread
from bench.runners import SNIFFER, check, replay, scratch

FACTORS: Final = (1, 10, 100)
SLOWER: Final = 1.05
"""A message of any of the captures costs at most so many times the CPU time of one of the smallest."""
FLAT: Final = 1.1
"""The largest capture takes at most so many times the memory of the one a tenth of its size."""
FIRST: Final = 1_000
"""Messages of the capture that stands for all that is done once: it is taken off time and count."""
FILE: Final = 5_000_000
"""Messages of a capture that is a file (3 GB); a longer one is made while it is read, so its wall time is its maker's."""
CONNECTIONS: Final = (10, 100, 1_000, 10_000)


def figure(options: Options) -> Figure:
    """Ten and a hundred times the traffic: as much a message, and as much memory."""
    sizes = [factor * options.size(50_000, 200) for factor in FACTORS[: 2 if options.quick else None]]
    first = min(FIRST, sizes[0] // 2)
    runs: dict[int, list[Run]] = {size: [] for size in (first, *sizes)}
    loads = []
    for number in range(options.rounds):
        loads.append(load())
        for size in runs:
            if number == 0 or size < sizes[-1]:  # the largest once: long enough to be its own median
                runs[size].append(_replay(size, options))
    cpu = {size: median([one.cpu for one in found]) for size, found in runs.items()}
    each = {size: (cpu[size] - cpu[first]) / (size - first) for size in sizes}
    peak = {size: max(one.peak_rss for one in found) for size, found in runs.items()}
    slower = max(each[size] / each[sizes[0]] for size in sizes)
    more = peak[sizes[-1]] / peak[sizes[-2]]
    return Figure(
        name="Growth",
        goal=f"100 times the capture: at most {SLOWER} times the CPU time a message, {FLAT} times the memory of 10 times",
        found=f"{slower:.2f} times, {more:.2f} times; {megabytes(peak[sizes[-1]])}",
        met=None if options.quick else slower <= SLOWER and more <= FLAT,
        columns=["messages", "time", "CPU", "CPU a message", "peak resident memory"],
        rows=[
            [
                f"{size:,}",
                spread([one.seconds for one in runs[size]]) + (" (from a pipe)" if size > FILE else ""),
                f"{cpu[size]:.2f} s",
                f"{each[size] * 1e6:.2f} us",
                megabytes(peak[size]),
            ]
            for size in sizes
        ],
        raw={"load": loads} | {str(size): _raw(found) for size, found in runs.items()},
    )


def connections(options: Options) -> Figure:
    """The same messages in 10 to 10,000 connections."""
    messages = options.size(100_000, 1_000)
    counts = (10, 200) if options.quick else CONNECTIONS
    runs: dict[int, list[Run]] = {count: [] for count in counts}
    loads = []
    for _ in range(options.rounds):
        loads.append(load())
        for count, found in runs.items():
            found.append(replay(capture(Workload(messages, connections=count), options.cache)))
    cpu = {count: median([one.cpu for one in found]) for count, found in runs.items()}
    most, least = max(counts), min(counts)
    each = (cpu[most] - cpu[least]) / (most - least)
    return Figure(
        name="Connections",
        goal="none: what a connection costs",
        found=f"{each * 1e6:.0f} us of CPU a connection, its handshakes, messages and end included",
        met=None,
        columns=["connections", "time", "CPU", "peak resident memory"],
        rows=[
            [
                f"{count:,}",
                spread([one.seconds for one in found]),
                f"{cpu[count]:.2f} s",
                megabytes(max(one.peak_rss for one in found)),
            ]
            for count, found in runs.items()
        ],
        raw={"messages": messages, "load": loads} | {str(count): _raw(found) for count, found in runs.items()},
    )


def _raw(runs: list[Run]) -> list[dict[str, float]]:
    return [{"seconds": one.seconds, "cpu": one.cpu, "peak_rss": one.peak_rss} for one in runs]


def _replay(messages: int, options: Options) -> Run:
    """Raises `Failed` too if the peak may be our own: Linux hands a process's on to the program that it starts (execve)."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    workload = Workload(messages)
    result = _piped(workload) if messages > FILE else replay(capture(workload, options.cache))
    if result.peak_rss <= own:
        raise Failed(f"a peak of {megabytes(result.peak_rss)} cannot be told from the benchmark's own; run growth by itself")
    return result


def _piped(workload: Workload) -> Run:
    """`sniffer replay` of a capture that is never a file."""
    with scratch() as folder:
        pipe = folder / "capture.pcap"
        os.mkfifo(pipe)
        with Background([sys.executable, "-m", "bench.growth", json.dumps(asdict(workload)), pipe]) as maker:
            result = run([SNIFFER, "replay", pipe, "--db", folder / "orders.duckdb"])
            truth = Truth(**json.loads(maker.finish()))
        check(folder / "orders.duckdb", truth, workload.connections)
    return result


def _make(description: str, path: str) -> None:
    """The other end of the pipe."""
    print(json.dumps(asdict(write(Workload(**json.loads(description)), Path(path)))))


if __name__ == "__main__":
    _make(sys.argv[1], sys.argv[2])

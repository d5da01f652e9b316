"""One run: exchange, strategy and what saving needs beside them, until the strategy is killed and its orders are counted."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import IO, Final

from bench.cost.job import Job
from bench.cost.saving import Order, Way
from bench.cost.times import Times
from bench.cost.ways import WAYS
from bench.cost.workload import Workload
from bench.processes import Failed, sample
from bench.runners import scratch

LIMIT: Final = 12.0
"""Seconds after which a run is cut off: a way that is slower than its traffic would go on for minutes."""


@dataclass(frozen=True)
class Outcome:
    """Of one run. Times in seconds; `responses` in microseconds, by message."""

    responses: list[float]
    cut: int
    """Messages that were not handled yet when the run was cut off: their response is the time until then, and so too short."""
    wall: float
    cpu: float
    """Of the strategy's process, from when its connections were open."""
    cpu_beside: float
    """Of everything else: the exchange (with the kernel's work for what it sends) and what runs beside."""
    saved: int | None
    """None: the way keeps nothing."""
    total: int


def measure(name: str, workload: Workload, seed: int, core: int) -> Outcome:
    """Raises `Failed` if a process fails, or if something is stored that was never sent."""
    way, times = WAYS[name], Times.new(workload)
    try:
        with scratch() as folder:
            job = Job(way.opens, workload, folder, times.descriptor, core, way.tls, seed)
            with child("bench.cost.exchange", job) as exchange:
                job = replace(job, port=int(line(exchange.stdout, "bench.cost.exchange")))
                with way.beside(job) as pid, child("bench.cost.strategy", job, way.keylog) as strategy:
                    line(strategy.stdout, "bench.cost.strategy")
                    beside = [exchange.pid] if pid is None else [exchange.pid, pid]
                    before = used(beside)
                    begun = time.monotonic_ns()
                    assert exchange.stdin is not None
                    exchange.stdin.write("begin\n")
                    exchange.stdin.flush()
                    cpu = killed(strategy) - times.cpu
                    ended = time.monotonic_ns()
                    saved = readable(way, job) if way.keeps else None
                    cpu_beside = used(beside) - before
        responses = [((done or ended) - sent) / 1e3 for sent, done in zip(times.sent, times.done, strict=True) if sent]
        return Outcome(
            responses=responses,
            cut=sum(not done for done in times.done),
            wall=(max(max(times.done), ended if 0 in times.done else 0) - begun) / 1e9,
            cpu=cpu,
            cpu_beside=cpu_beside,
            saved=saved,
            total=workload.total,
        )
    finally:
        os.close(times.descriptor)


def used(pids: list[int]) -> float:
    """CPU seconds of these processes and their descendants."""
    return sum(sample(pid).cpu for pid in pids)


@contextlib.contextmanager
def child(module: str, job: Job, keylog: bool = False) -> Iterator[subprocess.Popen[str]]:
    """A process of the run; leaving the `with` block ends it."""
    environment = os.environ | ({"SSLKEYLOGFILE": str(job.keylog)} if keylog else {})
    command = [sys.executable, "-m", module, job.text()]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, pass_fds=[job.times]
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def line(output: IO[str] | None, module: str) -> str:
    assert output is not None
    found = output.readline()
    if not found:
        raise Failed(f"{module} did not start")
    return found


def killed(strategy: subprocess.Popen[str]) -> float:
    """Wait until the strategy has killed itself, else kill it at `LIMIT`. Its CPU seconds, from its beginning."""
    descriptor = os.pidfd_open(strategy.pid)
    try:
        if not select.select([descriptor], [], [], LIMIT)[0]:
            strategy.kill()
    finally:
        os.close(descriptor)
    _, status, usage = os.wait4(strategy.pid, 0)
    strategy.returncode = os.waitstatus_to_exitcode(status)
    if strategy.returncode != -signal.SIGKILL:
        raise Failed(f"bench.cost.strategy: exit code {strategy.returncode}")
    return usage.ru_utime + usage.ru_stime


def readable(way: Way, job: Job) -> int:
    """Orders that a reader finds, at once or within what the way may lag. Raises `Failed` if one of them was never sent."""
    end = time.monotonic() + way.lag
    found: set[Order] = way.saved(job)
    while len(found) < job.workload.total and time.monotonic() < end:
        time.sleep(0.1)
        found = way.saved(job)
    wrong = [order for order in found if not (0 <= order[0] < job.workload.connections and 0 <= order[1] < job.workload.orders)]
    if wrong:
        raise Failed(f"{way.title}: {len(wrong)} orders are stored that were never sent, as {wrong[0]}")
    return len(found)

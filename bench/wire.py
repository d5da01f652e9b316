"""A capture, replayed onto a virtual wire by tcpreplay, and recorded at its other end: two network namespaces of our own."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bench.captures import Capture, Workload, capture
from bench.options import Options
from bench.processes import Failed, run, sample
from bench.recording import PATIENCE, kernel_drops, may_capture, not_measured, recorder
from bench.report import Figure, load, megabytes
from bench.runners import check, scratch

RATES: Final = (55_000, 100_000)
"""Messages a second; the goal is that of the first, the other says how far it goes."""
GOAL: Final = 50_000
PACKETS: Final = 1.5
"""A message: every second one is acknowledged."""


def figure(options: Options) -> Figure:
    goal = f"{GOAL:,} messages a second, none lost"
    if not may_capture():
        return not_measured("Wire", goal)
    if os.geteuid() != 0 or shutil.which("tcpreplay") is None or shutil.which("ip") is None:
        return not_measured("Wire", goal, "it takes root, tcpreplay and iproute2")
    made = capture(Workload(2_000 if options.quick else 500_000), options.cache)
    rows, raw = [], list[dict[str, Any]]()
    with _wire() as (here, there):
        for rate in (10_000,) if options.quick else RATES:
            row, values = _replayed(made, rate, here, there)
            rows.append(row)
            raw.append(values)
    fast_and_whole = raw[0]["reached"] >= GOAL and not raw[0]["lost"] and not raw[0]["kernel_drops"]
    return Figure(
        name="Wire",
        goal=goal,
        found=f"{raw[0]['reached']:,.0f} a second, lost: {rows[0][2]}",
        met=None if options.quick else bool(fast_and_whole),
        columns=["rate", "reached", "lost", "CPU a message", "resident, all", "end after"],
        rows=rows,
        raw={"load": load(), "packets_file": made.path.name, "rates": raw},
    )


def _replayed(made: Capture, rate: int, here: str, there: str) -> tuple[list[str], dict[str, Any]]:
    messages = made.truth.messages
    replaying = ["ip", "netns", "exec", here, "tcpreplay", "--quiet", "--preload-pcap", "-i", "v0"]
    with scratch() as folder:
        with recorder(folder, [9443], "-i", "v1", inside=["ip", "netns", "exec", there]) as recording:
            before = sample(recording.process.pid)
            said = run([*replaying, f"--pps={round(rate * PACKETS)}", made.path]).output
            stopping = time.monotonic()
            pss = sample(recording.process.pid).pss
            recording.stop(PATIENCE)
            end = time.monotonic() - stopping
            cpu = recording.cpu - before.cpu
        taken = re.search(r"sent in ([\d.]+) seconds", said)
        if taken is None:
            raise Failed(f"tcpreplay does not say how long it took: {said}")
        reached, drops, lost = messages / float(taken[1]), kernel_drops(folder), ""
        try:
            check(folder / "orders.duckdb", made.truth, made.workload.connections)
        except Failed as error:
            lost = str(error).partition(": ")[2]
    verdict = lost or (f"{drops} packets" if drops else "none")
    each = cpu / messages * 1e6
    row = [f"{rate:,}", f"{reached:,.0f}", verdict, f"{each:.1f} us", megabytes(pss), f"{end:.1f} s"]
    return row, {"asked": rate, "reached": reached, "lost": lost, "kernel_drops": drops, "cpu": cpu, "pss": pss, "end": end}


@contextlib.contextmanager
def _wire() -> Iterator[tuple[str, str]]:
    """The names of two namespaces, `v0` in the first and `v1` in the second being the ends of one wire."""
    here, there = (f"bench-{os.getpid()}-{number}" for number in range(2))
    try:
        for name in (here, there):
            _ip("netns", "add", name)
            silent = Path("/proc/sys/net/ipv6/conf/all/disable_ipv6")
            if silent.exists():  # else the kernel itself speaks on the wire
                _ip("netns", "exec", name, "sh", "-c", f"echo 1 > {silent}")
        _ip("link", "add", "v0", "netns", here, "type", "veth", "peer", "name", "v1", "netns", there)
        _ip("-n", here, "link", "set", "v0", "up")
        _ip("-n", there, "link", "set", "v1", "up")
        yield here, there
    finally:
        for name in (here, there):
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def _ip(*arguments: str) -> None:
    run(["ip", *arguments])

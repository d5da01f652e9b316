"""What a message costs with the libraries that one would use instead, on a small capture, in interleaved rounds."""

from __future__ import annotations

import importlib.util
import sys
from typing import Final

from bench.captures import Capture, Workload, capture
from bench.options import Options
from bench.peers import PROGRAMS
from bench.processes import Failed, Run, run
from bench.report import Figure, load, median, spread
from bench.runners import EMPTY, have_tshark, replay, scratch, startup, tshark, tshark_startup

READS: Final = {"plain": ("scapy", "pyshark", "wsproto"), "compressed": ("wsproto",)}
"""scapy does not inflate; what tshark, and so pyshark, does of it is in `speed`."""


def figure(options: Options) -> Figure:
    """CPU and wall time of a message, without start-up, and how many times that of `sniffer replay`."""
    messages = options.size(10_000, 500)
    rows: list[list[str]] = []
    raw: dict[str, object] = {"messages": messages}
    missing = [name for name in PROGRAMS if importlib.util.find_spec(name) is None or (name == "pyshark" and not have_tshark())]
    for kind, names in list(READS.items())[: 1 if options.quick else None]:
        made = capture(Workload(messages, compressed=kind == "compressed"), options.cache)
        ours = [] if options.quick else ["sniffer", *["tshark"] * have_tshark()]  # these have their quick run in `speed`
        programs = [*ours, *(name for name in names if name not in missing)]
        runs: dict[str, list[Run]] = {name: [] for name in programs}
        begin: dict[str, list[Run]] = {name: [] for name in programs}
        loads = []
        for _ in range(options.rounds):
            loads.append(load())
            for name in programs:
                begin[name].append(_startup(name))
                runs[name].append(_read(name, made))
        cost = {name: _each([one.seconds for one in runs[name]], begin[name], messages) for name in programs}
        for name in programs:
            start = spread([one.seconds for one in begin[name]])
            times = f"{cost[name] / cost['sniffer']:.1f}" if ours else ""
            rows.append([kind, name, f"{cost[name] * 1e6:.1f} us", times, start])
        raw[kind] = {"load": loads} | {
            name: {
                "seconds": [one.seconds for one in runs[name]],
                "cpu": [one.cpu for one in runs[name]],
                "startup": [one.seconds for one in begin[name]],
            }
            for name in programs
        }
    said = "times sniffer's time, by tool, are in the table"
    return Figure(
        name="Other tools",
        goal="none: what else a trader might use, counting messages only",
        found=said + (f"; missing: {', '.join(missing)}" if missing else ""),
        met=None,
        columns=["traffic", "tool", "a message", "times sniffer's", "start-up"],
        rows=rows,
        raw=raw,
    )


def _each(seconds: list[float], begin: list[Run], messages: int) -> float:
    return max(median(seconds) - median([one.seconds for one in begin]), 1e-3) / messages


def _startup(name: str) -> Run:
    if name == "sniffer":
        return startup()
    if name == "tshark":
        return tshark_startup()
    with scratch() as folder:
        (empty := folder / "empty.pcap").write_bytes(EMPTY)
        return run([sys.executable, "-m", "bench.peers", name, empty])


def _read(name: str, made: Capture) -> Run:
    """Raises `Failed` if it did not see every message."""
    if name == "sniffer":
        return replay(made)
    if name == "tshark":
        return tshark(made)
    done = run([sys.executable, "-m", "bench.peers", name, made.path])
    if int(done.output) != made.truth.messages:
        raise Failed(f"{name} saw {done.output.strip()} messages of {made.truth.messages}")
    return done

"""Replay speed, against tshark on the same capture and against the bare loop of what cannot be avoided, in interleaved rounds.

Ours stores orders, tshark only lists frames. Start-up is measured apart, on a capture without packets, and taken off.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Final

from bench.captures import Capture, Workload, capture
from bench.floor import floor
from bench.options import Options
from bench.processes import Run
from bench.report import Figure, load, median, ratios
from bench.runners import have_tshark, replay, startup, tshark, tshark_startup

FASTER: Final = 10.0
"""Times as fast as tshark, at least, where one message in ten is an order."""
FLOOR: Final = 2.0
"""Times the floor, at most."""
KINDS: Final = {
    "plain": ("", False),
    "compressed": ("", True),
    "TLS 1.3": ("1.3", False),
    "TLS 1.2": ("1.2", False),
    "TLS 1.3, compressed": ("1.3", True),
}
"""Version of TLS, and whether permessage-deflate is spoken."""
SHAPES: Final = ((10, 0.1), (1000, 0.1), (10, 1.0), (1000, 1.0))
"""Connections, and the share of orders."""
QUICK: Final = ((SHAPES[0], "TLS 1.3, compressed"),)
COLUMNS: Final = [
    "traffic",
    "connections",
    "orders",
    "sniffer",
    "its CPU",
    "a message",
    "tshark",
    "times as fast",
    "by CPU",
    "floor",
    "times the floor",
    "by CPU",
]


@dataclass
class Cell:
    """What was measured on one capture, a value a round. Seconds, without start-up."""

    capture: Capture
    sniffer: list[float] = field(default_factory=list)
    sniffer_cpu: list[float] = field(default_factory=list)
    tshark: list[float] = field(default_factory=list)
    tshark_cpu: list[float] = field(default_factory=list)
    floor: list[float] = field(default_factory=list)
    floor_cpu: list[float] = field(default_factory=list)
    load: list[float] = field(default_factory=list)

    @property
    def faster(self) -> float | None:
        """Times as fast as tshark; None: there is none."""
        return median(ratios(self.tshark, self.sniffer)) if self.tshark else None

    @property
    def above_floor(self) -> float:
        """Times the CPU time of the floor."""
        return median(ratios(self.sniffer_cpu, self.floor_cpu))

    def row(self, kind: str) -> list[str]:
        workload = self.capture.workload
        sniffer, cpu = median(self.sniffer), median(self.sniffer_cpu)
        theirs = ["none", "", ""]
        if self.faster is not None:
            by_cpu = median(ratios(self.tshark_cpu, self.sniffer_cpu))
            theirs = [f"{median(self.tshark):.2f} s", f"{self.faster:.2f}", f"{by_cpu:.2f}"]
        bare = median(self.floor), median(ratios(self.sniffer, self.floor))
        return [
            kind,
            f"{workload.connections:,}",
            f"{workload.order_share:.0%}",
            f"{sniffer:.2f} s",
            f"{cpu:.2f} s",
            f"{sniffer / workload.messages * 1e6:.2f} us",
            *theirs,
            f"{bare[0]:.2f} s",
            f"{bare[1]:.2f}",
            f"{self.above_floor:.2f}",
        ]


def figure(options: Options) -> Figure:
    """All kinds in all shapes; `--quick`: one of them."""
    messages = options.size(100_000, 2_000)
    shapes = [shape for shape in SHAPES if options.orders in (None, shape[1])]
    cells = {
        (kind, shape): Cell(capture(Workload(messages, *shape, compressed=deflated, tls=version), options.cache))
        for shape, kind in (QUICK if options.quick else itertools.product(shapes, KINDS))
        for version, deflated in (KINDS[kind],)
    }
    begin = [startup() for _ in range(options.rounds)]
    theirs = [tshark_startup() for _ in range(options.rounds)] if have_tshark() else []
    for _ in range(options.rounds):
        for cell in cells.values():
            _measure(cell, begin, theirs)
    faster = [one.faster for one in cells.values() if one.faster is not None and one.capture.workload.order_share < 1]
    above = max(one.above_floor for one in cells.values())
    judged = bool(faster) and not options.quick
    start = f"start-up {median([run.seconds for run in begin]):.2f} s"
    if theirs:
        start += f", tshark's {median([run.seconds for run in theirs]):.2f} s"
    slowest = f"{min(faster):.2f} times as fast at worst" if faster else "not compared with tshark"
    return Figure(
        name="Replay",
        goal=f"{FASTER:g} times as fast as tshark lists frames (at 10 % orders); {FLOOR:g} times the CPU time of the floor",
        found=f"{slowest}; {above:.2f} times the floor at worst; {start}",
        met=min(faster) >= FASTER and above <= FLOOR if judged else None,
        columns=COLUMNS,
        rows=[cell.row(kind) for (kind, _), cell in cells.items()],
        raw={"messages": messages, "startup": _raw(begin), "tshark_startup": _raw(theirs)}
        | {label(kind, shape): _cell(cell) for (kind, shape), cell in cells.items()},
    )


def label(kind: str, shape: tuple[int, float]) -> str:
    """Of a cell, in the raw results."""
    return f"{kind}, {shape[0]} connections, {shape[1]:.0%} orders"


def _measure(cell: Cell, begin: list[Run], theirs: list[Run]) -> None:
    cell.load.append(load())
    ours = replay(cell.capture)
    cell.sniffer.append(_without(ours.seconds, [run.seconds for run in begin]))
    cell.sniffer_cpu.append(_without(ours.cpu, [run.cpu for run in begin]))
    if theirs:
        other = tshark(cell.capture)
        cell.tshark.append(_without(other.seconds, [run.seconds for run in theirs]))
        cell.tshark_cpu.append(_without(other.cpu, [run.cpu for run in theirs]))
    seconds, cpu = floor(cell.capture)
    cell.floor.append(seconds)
    cell.floor_cpu.append(cpu)


def _without(taken: float, begin: list[float]) -> float:
    """Less the start-up; a capture so small that nothing is left is too small to judge, and counts as a millisecond."""
    return max(taken - median(begin), 0.001)


def _raw(runs: list[Run]) -> list[dict[str, float]]:
    return [{"seconds": run.seconds, "cpu": run.cpu, "peak_rss": run.peak_rss} for run in runs]


def _cell(cell: Cell) -> dict[str, object]:
    names = ("sniffer", "sniffer_cpu", "tshark", "tshark_cpu", "floor", "floor_cpu", "load")
    return {"capture_bytes": cell.capture.bytes} | {name: getattr(cell, name) for name in names}

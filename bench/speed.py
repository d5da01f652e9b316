"""Replay speed against tshark on the same capture, in interleaved rounds. Ours stores orders, tshark only lists frames."""

from __future__ import annotations

from bench.captures import Workload, capture
from bench.options import Options
from bench.processes import Run
from bench.report import Figure, load, median, spread
from bench.runners import have_tshark, replay, startup, tshark

GOAL = 0.2
GOAL_TLS = 0.25
COLUMNS = [
    "traffic",
    "sniffer",
    "tshark",
    "ratio",
    "CPU sniffer",
    "CPU tshark",
    "CPU ratio",
    "start-up of sniffer",
    "a message",
]


def figure(options: Options) -> Figure:
    """Plaintext."""
    return _compare(options, "Replay against tshark", GOAL, ["plain", "compressed"])


def secured(options: Options) -> Figure:
    """TLS with its key log; tshark has the same one."""
    kinds = [f"TLS {version}, {kind}" for version in ("1.3", "1.2") for kind in ("plain", "compressed")]
    return _compare(options, "Replay of TLS against tshark", GOAL_TLS, kinds)


def _workload(messages: int, kind: str) -> Workload:
    """What a row of the table is called."""
    version = kind.partition("TLS ")[2].partition(",")[0]
    return Workload(messages, compressed=kind.endswith("compressed"), tls=version)


def _compare(options: Options, name: str, goal: float, kinds: list[str]) -> Figure:
    messages = 5_000 if options.quick else 500_000
    rows: list[list[str]] = []
    raw: dict[str, object] = {}
    worst = 0.0
    for kind in kinds:
        made = capture(_workload(messages, kind), options.cache)
        runs: dict[str, list[Run]] = {"start-up": [], "sniffer": [], "tshark": []}
        loads = []
        for _ in range(options.rounds):
            loads.append(load())
            runs["start-up"].append(startup())
            runs["sniffer"].append(replay(made))
            if have_tshark():
                runs["tshark"].append(tshark(made))
        ratio = cpu_ratio = "no tshark"
        if runs["tshark"]:
            ratios = [ours.seconds / theirs.seconds for ours, theirs in zip(runs["sniffer"], runs["tshark"], strict=True)]
            worst = max(worst, median(ratios))
            ratio = spread(ratios, "")
            pairs = zip(runs["sniffer"], runs["tshark"], strict=True)
            cpu_ratio = f"{median([ours.cpu / theirs.cpu for ours, theirs in pairs]):.2f}"
        cells = [
            spread([run.seconds for run in runs[program]]) if runs[program] else ""
            for program in ("sniffer", "tshark", "start-up")
        ]
        cpu = [
            f"{median([run.cpu for run in runs[program]]):.2f} s" if runs[program] else "" for program in ("sniffer", "tshark")
        ]
        each = median([run.seconds for run in runs["sniffer"]]) - median([run.seconds for run in runs["start-up"]])
        rows.append([kind, *cells[:2], ratio, *cpu, cpu_ratio, cells[2], f"{each / messages * 1e6:.2f} us"])
        raw[kind] = {"load": loads, "capture_bytes": made.bytes, "packets_file": made.path.name} | {
            program: [{"seconds": run.seconds, "cpu": run.cpu, "peak_rss": run.peak_rss} for run in found]
            for program, found in runs.items()
        }
    judged = worst > 0 and not options.quick
    return Figure(
        name=name,
        goal=f"{messages:,} messages into DuckDB in at most {goal} of the time in which tshark lists the frames",
        found=f"{worst:.2f}" if worst else "no tshark to compare with",
        met=worst <= goal if judged else None,
        columns=COLUMNS,
        rows=rows,
        raw=raw,
    )

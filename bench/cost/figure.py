"""The figure `cost`: what each way of saving adds to a strategy's response time, and whether the sidecar adds little enough."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from bench.cost.cores import two_cores
from bench.cost.rounds import PAIRS, Runs, measured
from bench.cost.run import LIMIT, Outcome
from bench.cost.statistics import QUANTILES, interval, percentiles
from bench.cost.ways import BASES, NOTHING, QUICK, SIDECAR, SIDECAR_TLS, WAYS
from bench.cost.workload import ASSETS, FULL
from bench.cost.workload import QUICK as SMALL
from bench.options import Options
from bench.recording import may_capture
from bench.report import Figure, load, median

SHARE: Final = 0.02
MICROSECONDS: Final = 20.0
"""What the sidecar may add to p50 and p99: this, or the share of what they are without it, whichever is more."""
JUDGED: Final = ("p50", "p99")


def figure(options: Options) -> Figure:
    """Raises `Failed` if there are not two cores, or if a run goes wrong."""
    named = QUICK if options.quick else tuple(WAYS)
    missing = {name: f"missing: {lack}" for name in named if (lack := _lack(name))}
    ways = [name for name in named if name not in missing]
    workloads, rounds = ((SMALL,), options.rounds) if options.quick else ((FULL, ASSETS), PAIRS * options.rounds)
    with two_cores() as core:
        found = {workload.name: measured(workload, ways, rounds, core) for workload in workloads}
    verdicts = [
        verdict(workload, runs, way) for workload, runs in found.items() for way in (SIDECAR, SIDECAR_TLS) if way in runs
    ]
    kept = [one.met for one in verdicts]
    return Figure(
        name="Cost",
        goal="with the sidecar p50 and p99 are at most the larger of 2 % and 20 us above saving nothing, and all is saved",
        found="; ".join(one.text for one in verdicts) or "the sidecar was not measured",
        met=None if options.quick or not kept or None in kept else all(kept),
        columns=[
            "way of saving",
            "wall",
            *QUANTILES,
            *(f"{name} more" for name in JUDGED),
            "CPU strategy",
            "CPU else",
            "saved",
        ],
        rows=[row for workload, runs in found.items() for row in _table(workload, runs, missing)],
        raw={"load": load(), "missing": missing, "workloads": {name: _raw(runs) for name, runs in found.items()}},
    )


def _lack(name: str) -> str | None:
    """What is missing for a way, or None."""
    if name in (SIDECAR, SIDECAR_TLS) and not may_capture():
        return "this user may not capture live (root or CAP_NET_RAW can)"
    return WAYS[name].missing()


@dataclass(frozen=True)
class Verdict:
    """Of the sidecar on one workload. `met` is None if there were too few rounds to tell."""

    met: bool | None
    text: str


def verdict(workload: str, runs: dict[str, Runs], way: str) -> Verdict:
    """Whether the upper ends of the intervals keep to what is allowed, and every order of every round was saved."""
    base, texts, ends = runs[BASES.get(way, NOTHING)], [], []
    for name in JUDGED:
        bounds = interval(runs[way].beyond(base, name))
        allowed = max(SHARE * base.median(name), MICROSECONDS)
        ends.append(None if bounds is None else bounds[1] <= allowed)
        texts.append(f"{name} {_more(runs[way], base, name)} us of {allowed:.0f} us")
    saved = all(outcome.saved == outcome.total for outcome in runs[way].outcomes.values())
    text = f"{WAYS[way].title}, {workload}: {', '.join(texts)}, {'all' if saved else 'NOT all'} saved"
    return Verdict(None if None in ends else saved and all(ends), text)


def _more(runs: Runs, base: Runs, name: str) -> str:
    """The median difference, and its interval."""
    differences = runs.beyond(base, name)
    bounds = interval(differences)
    ends = f" ({bounds[0]:+,.0f} to {bounds[1]:+,.0f})" if bounds else ""
    return f"{'>' * runs.cut}{median(differences):+,.0f}{ends}"


def _table(workload: str, runs: dict[str, Runs], missing: dict[str, str]) -> Iterator[list[str]]:
    """Response times in microseconds, CPU in microseconds an order; medians of the rounds, but for `saved`: the least."""
    yield [f"**{workload}**", *[""] * (6 + len(QUANTILES))]
    wanting = missing | {name: f"failed: {of.failed.splitlines()[0]}" for name, of in runs.items() if of.failed}
    for name, of in runs.items():
        if name in wanting:
            continue
        outcomes, base = list(of.outcomes.values()), runs[BASES.get(name, NOTHING)]
        saved = [outcome.saved for outcome in outcomes if outcome.saved is not None]
        yield [
            WAYS[name].title,
            f"{'>' * of.cut}{median([outcome.wall for outcome in outcomes]):.1f} s",
            *(f"{'>' * of.cut}{of.median(quantile):,.0f}" for quantile in QUANTILES),
            *("" if of is base else _more(of, base, quantile) for quantile in JUDGED),
            f"{median([outcome.cpu / _handled(outcome) for outcome in outcomes]) * 1e6:,.0f}",
            f"{median([outcome.cpu_beside / _handled(outcome) for outcome in outcomes]) * 1e6:,.0f}",
            f"{min(saved):,} of {outcomes[0].total:,}" if saved else "-",
        ]
    for name, lack in wanting.items():
        yield [WAYS[name].title, lack, *[""] * (5 + len(QUANTILES))]


def _handled(outcome: Outcome) -> int:
    return max(1, outcome.total - outcome.cut)


def _raw(runs: dict[str, Runs]) -> dict[str, Any]:
    """Of each way that did not fail, a list with an object a round."""
    return {
        way: [
            of.quantiles[number]
            | {"round": number, "wall": one.wall, "cpu": one.cpu, "cpu_beside": one.cpu_beside, "cut": one.cut, "limit": LIMIT}
            | {"saved": one.saved, "total": one.total, "percentiles": percentiles(one.responses)}
            for number, one in of.outcomes.items()
        ]
        for way, of in runs.items()
        if not of.failed
    }

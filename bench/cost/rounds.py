"""Rounds of runs: in each, every way of saving has its turn, so that what else the machine does meets all of them alike."""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from bench.cost.run import Outcome, measure
from bench.cost.statistics import quantiles
from bench.cost.ways import COMPARED
from bench.cost.workload import Workload
from bench.processes import Failed
from bench.report import median

PAIRS: Final = 5
"""Only each so many rounds, those ways have their turn that no goal is about: what they add is seen without statistics."""


@dataclass
class Runs:
    """Of one way on one workload, by the number of the round."""

    outcomes: dict[int, Outcome] = field(default_factory=dict)
    quantiles: dict[int, dict[str, float]] = field(default_factory=dict)
    failed: str = ""
    """Why it has no further rounds."""

    def add(self, number: int, outcome: Outcome) -> None:
        self.outcomes[number] = outcome
        self.quantiles[number] = quantiles(outcome.responses)

    @property
    def cut(self) -> bool:
        """Whether a run was cut off, so that response times are at least what they seem."""
        return any(outcome.cut for outcome in self.outcomes.values())

    def median(self, quantile: str) -> float:
        """Over the rounds, in microseconds."""
        return median([found[quantile] for found in self.quantiles.values()])

    def beyond(self, base: Runs, quantile: str) -> list[float]:
        """What this way has more than `base` in the same round, in microseconds, round by round."""
        return [found[quantile] - base.quantiles[number][quantile] for number, found in self.quantiles.items()]


def measured(workload: Workload, ways: Sequence[str], rounds: int, core: int) -> dict[str, Runs]:
    """Each round has an order of its own; what is compared with care comes first, close together.

    A way that fails has no further turns, and says why; one that a goal is about, or its base, raises `Failed`.
    """
    found = {way: Runs() for way in ways}
    compared = [way for way in ways if way in COMPARED]
    others = [way for way in ways if way not in COMPARED]
    order = random.Random(1)
    for number in range(rounds):
        turns = order.sample(compared, len(compared)) + order.sample(others, 0 if number % PAIRS else len(others))
        for turn, way in enumerate(turns, 1):
            where = f"{workload.name}: round {number + 1} of {rounds}, {turn} of {len(turns)}"
            print(f"bench: {where}: {way}", file=sys.stderr, flush=True)
            if found[way].failed:
                continue
            try:
                found[way].add(number, measure(way, workload, seed=number, core=core))
            except Failed as error:
                if way in COMPARED:
                    raise
                found[way].failed = str(error)
    return found

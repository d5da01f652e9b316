"""Quantiles of response times, and intervals of differences between ways of saving."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

QUANTILES: Final = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "max": 1.0}
RESAMPLES: Final = 10_000
LEAST_ROUNDS: Final = 5
"""Of fewer rounds no interval is given: the bootstrap knows nothing beyond the values that it was given."""


def quantiles(responses: Sequence[float]) -> dict[str, float]:
    """Of one run: those of `QUANTILES`, each a response time that was measured (no interpolation)."""
    found = np.quantile(np.asarray(responses), list(QUANTILES.values()), method="inverted_cdf")
    return dict(zip(QUANTILES, found.tolist(), strict=True))


def percentiles(responses: Sequence[float]) -> list[float]:
    """The shape of a distribution, to be kept: from 0 to 100 in whole percents."""
    return [round(value, 1) for value in np.quantile(np.asarray(responses), np.linspace(0, 1, 101)).tolist()]


def interval(differences: Sequence[float], level: float = 0.95) -> tuple[float, float] | None:
    """Of the median of paired differences: percentile bootstrap, rounds drawn with replacement. None for too few rounds.

    It is drawn with a fixed seed: the same rounds give the same interval.
    """
    if len(differences) < LEAST_ROUNDS:
        return None
    values, rng = np.asarray(differences), np.random.default_rng(1)
    medians = np.median(rng.choice(values, (RESAMPLES, len(values))), axis=1)
    low, high = np.quantile(medians, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)

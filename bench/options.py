"""What a run of the benchmarks is told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """`quick`: small sizes that take seconds, no goal judged. `cache`: where captures are kept."""

    quick: bool
    rounds: int
    cache: Path

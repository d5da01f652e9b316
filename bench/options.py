"""What a run of the benchmarks is told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """`quick`: small sizes that take seconds, no goal judged. `cache`: where captures are kept.

    `messages` of a capture and `rows` of history: None leaves each figure its own size. `orders`: the share of orders, of those
    that `speed` has; None: all.
    """

    quick: bool
    rounds: int
    cache: Path
    messages: int | None = None
    rows: int | None = None
    orders: float | None = None

    def size(self, usual: int, quick: int) -> int:
        """Messages of a capture."""
        return self.messages or (quick if self.quick else usual)

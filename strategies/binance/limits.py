"""The `rateLimits` that responses carry: counted, never enforced (web-socket-api.md, "Rate limits")."""

from __future__ import annotations

from typing import Final

from strategies.dialect import Json
from strategies.orders import now_ms

_ORDERS_PER_10_SECONDS: Final = 100
_ORDERS_PER_DAY: Final = 200_000
_WEIGHT_PER_MINUTE: Final = 6000


class RateLimits:
    """Counts of the current windows, as responses carry them."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, int], tuple[int, int]] = {}

    def count(self, weight: int, orders: int) -> list[Json]:
        """Add to the counts and return the `rateLimits` of this response."""
        limits = [self._limit("REQUEST_WEIGHT", "MINUTE", 1, 60_000, _WEIGHT_PER_MINUTE, weight)]
        if orders:
            second = self._limit("ORDERS", "SECOND", 10, 10_000, _ORDERS_PER_10_SECONDS, orders)
            limits = [second, self._limit("ORDERS", "DAY", 1, 86_400_000, _ORDERS_PER_DAY, orders), *limits]
        return limits

    def _limit(self, kind: str, interval: str, number: int, width: int, limit: int, add: int) -> Json:
        window = now_ms() // width
        seen, count = self._counts.get((kind, width), (window, 0))
        count = add + (count if seen == window else 0)
        self._counts[kind, width] = (window, count)
        return {"rateLimitType": kind, "interval": interval, "intervalNum": number, "limit": limit, "count": count}

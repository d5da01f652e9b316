"""The traffic: which order is sent when. Each message is `exchange_id:order_id`, as text."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Workload:
    """`connections` strategies with a websocket each; each is sent `orders` messages, `interval` seconds apart in the mean."""

    name: str
    connections: int
    orders: int
    interval: float

    @property
    def total(self) -> int:
        return self.connections * self.orders

    def schedule(self, seed: int) -> list[tuple[float, int, int]]:
        """(seconds after the beginning, exchange_id, order_id) of all messages, in the order of their times.

        Each order of a connection has an interval of its own and comes somewhere in it: two that follow each other are between
        0 and twice the interval apart, and all connections are busy until the end.
        """
        rng = random.Random(seed)
        orders = [(exchange, order) for exchange in range(self.connections) for order in range(self.orders)]
        return sorted(((order + rng.random()) * self.interval, exchange, order) for exchange, order in orders)


FULL: Final = Workload("5 exchanges at full speed", 5, 1_000, 0.001)
ASSETS: Final = Workload("100 assets, 2 orders a second each", 100, 10, 0.5)
QUICK: Final = Workload("20 assets, to see whether everything runs", 20, 10, 0.02)

"""Everybody whose orders we do not see: a few levels quoted on both sides of a wandering price."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Final

from strategies.instruments import Instrument
from strategies.position import Side

LEVELS: Final = 5
"""Price levels that the crowd quotes a side."""


class Crowd:
    """The crowd of one symbol. `levels` are [price, quantity] a side, best first; trading takes the quantity away."""

    def __init__(self, instrument: Instrument, rng: random.Random) -> None:
        self.instrument = instrument
        self.rng = rng
        self.mid = instrument.start
        self.levels: dict[Side, list[list[Decimal]]] = {"BUY": [], "SELL": []}
        self.quote()

    def move(self) -> None:
        """Wander by up to two ticks, between half and twice the first price, and quote anew."""
        start, step = self.instrument.start, self.instrument.tick * self.rng.choice((-2, -1, -1, 0, 0, 1, 1, 2))
        self.mid = min(max(self.mid + step, self.instrument.to_tick(start / 2)), start * 2)
        self.quote()

    def quote(self) -> None:
        """Fresh quantities, worth some 200 to 2,000 of the quote asset, one tick apart around the price."""
        tick, lot = self.instrument.tick, self.instrument.lot
        size = max(int(Decimal(200) / (self.mid * lot)), 1)
        for side, levels in self.levels.items():
            away = -tick if side == "BUY" else tick
            levels[:] = [[self.mid + away * (level + 1), lot * self.rng.randint(size, 10 * size)] for level in range(LEVELS)]

    def best(self, side: Side) -> list[Decimal] | None:
        """The best level of a side that still has something."""
        return next((level for level in self.levels[side] if level[1]), None)

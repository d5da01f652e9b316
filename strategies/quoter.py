"""An example strategy: quotes around the market at random, and does now and then everything else that a trader may do."""

from __future__ import annotations

import asyncio
import random
import ssl
from decimal import Decimal
from typing import Final

from strategies.dialect import Trader
from strategies.position import Side
from strategies.strategy import Order, Strategy

ACTIONS: Final = {"quote": 60, "market": 8, "ioc": 5, "fok": 4, "post_only": 5, "replace": 7, "amend": 5, "mistake": 6}
"""What it does, and how often of a hundred times."""
MOST_OPEN: Final = 5
"""Open orders it keeps; the oldest goes first."""
CANCEL_ONE: Final = 0.25
"""How often it cancels some order after acting."""


class RandomQuoter(Strategy):
    """Acts about `rate` times a second; everything it does follows from `seed` and from the market."""

    def __init__(self, trader: Trader, url: str, rate: float, seed: int, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(trader, url, tls)
        self.rate = rate
        self.rng = random.Random(f"{self.name} {seed}")

    async def trade(self) -> None:
        """Act, wait, act again."""
        while True:
            await asyncio.sleep(self.rng.uniform(0.5, 1.5) / self.rate)
            if self.bid and self.ask:
                await self.act(self.rng.choices(list(ACTIONS), weights=list(ACTIONS.values()))[0])
                await self._tidy()

    async def act(self, action: str) -> None:
        """Do one of `ACTIONS`."""
        side: Side = self.rng.choice(("BUY", "SELL"))
        working = [order for order in self.orders.values() if order.status in ("NEW", "PARTIALLY_FILLED")]
        if action == "market":
            await self.place(side, self._quantity())
        elif action == "ioc":
            await self.place(side, self._quantity() * 4, self._price(side, -2), time_in_force="IOC")
        elif action == "fok":
            await self.place(side, self._quantity() * 4, self._price(side, self.rng.choice((-2, 0))), time_in_force="FOK")
        elif action == "post_only":
            await self.place(side, self._quantity(), self._price(side, self.rng.choice((0, 1))), type="LIMIT_MAKER")
        elif action == "mistake":
            await self._mistake(side, working)
        elif action == "replace" and working:
            order = self.rng.choice(working)
            await self.replace(order, self._quantity(), self._price(order.side, self.rng.choice((0, 1, 2))))
        elif action == "amend" and working:
            order = self.rng.choice(working)
            quantity = self.instrument.to_lot((order.filled + order.quantity) / 2)
            price = self._price(order.side, self.rng.choice((-1, 1, 2))) if self.rng.random() < 0.5 else None
            await self.amend(order, quantity, price, keep_id=self.rng.random() < 0.5)
        else:
            await self.place(side, self._quantity(), self._price(side, self.rng.choice((-1, 0, 0, 0, 1, 2, 3))))

    async def _mistake(self, side: Side, working: list[Order]) -> None:
        """One of the things that an exchange refuses."""
        kind = self.rng.randrange(5)
        price = self._price(side, 0)
        if kind == 0:  # worth less than the least notional
            await self.place(side, self.instrument.lot, price)
        elif kind == 1:  # not a whole tick
            await self.place(side, self._quantity(), price + self.instrument.tick / 2)
        elif kind == 2:  # more than there is on the account
            await self.place(side, self.instrument.to_lot(Decimal(10**9) / price), price)
        elif kind == 3 and working:  # the old order goes, the new one would take and is refused
            order = self.rng.choice(working)
            await self.replace(order, self._quantity(), self._price(order.side, -3), type="LIMIT_MAKER")
        elif self.closed:  # not open any more
            await self.cancel(self.rng.choice(self.closed))

    async def _tidy(self) -> None:
        working = [order for order in self.orders.values() if order.status in ("NEW", "PARTIALLY_FILLED")]
        if len(working) > MOST_OPEN:
            await self.cancel(working[0])
        elif working and self.rng.random() < CANCEL_ONE:
            await self.cancel(self.rng.choice(working))

    def _price(self, side: Side, ticks_away: int) -> Decimal:
        """So many ticks behind the best price of our side; a negative number is towards the other side."""
        away = self.instrument.tick * ticks_away
        return self.bid - away if side == "BUY" else self.ask + away

    def _quantity(self) -> Decimal:
        """Worth 20 to 400 of the quote asset."""
        return self.instrument.to_lot(Decimal(self.rng.randint(20, 400)) / self.ask)

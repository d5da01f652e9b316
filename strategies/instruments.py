"""What is traded: symbols with their tick and lot sizes, made up from a seed so that both sides know the same ones."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

_BASES = ("BTC", "ETH", "SOL", "XRP", "ADA", "DOGE", "LTC", "LINK", "AVAX", "DOT", "ATOM", "UNI", "NEAR", "APT", "FIL", "ARB")
"""Familiar names first; further assets are numbered."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """One symbol. Prices are multiples of `tick` (quote asset), quantities of `lot` (base asset)."""

    symbol: str
    base: str
    quote: str
    tick: Decimal
    lot: Decimal
    start: Decimal
    """Where its price begins."""

    min_notional: Decimal = Decimal(5)
    """Least price times quantity of an order, in the quote asset."""
    code: int = 0
    """Its number, at venues that count them."""

    def to_tick(self, price: Decimal) -> Decimal:
        """`price` rounded down to a whole tick, at least one."""
        return max(price // self.tick, Decimal(1)) * self.tick

    def to_lot(self, quantity: Decimal) -> Decimal:
        """`quantity` rounded down to a whole lot, at least one."""
        return max(quantity // self.lot, Decimal(1)) * self.lot


def instruments(
    assets: int, seed: int, quote: str = "USDT", spell: Callable[[str, str], str] = str.__add__
) -> list[Instrument]:
    """`assets` symbols against `quote`, named by `spell` of both; the same seed gives the same ones.

    Prices spread from 0.1 to 50,000; a tick is about a ten-thousandth of the price, a lot is worth about a tenth of a USDT.
    """
    rng = random.Random(f"instruments {seed}")
    made = []
    for number in range(assets):
        base = _BASES[number] if number < len(_BASES) else f"C{number:03d}"
        magnitude = rng.uniform(-1, 4.7)
        tick = Decimal(1).scaleb(math.floor(magnitude) - 4)
        lot = Decimal(1).scaleb(-1 - math.floor(magnitude))
        start = Decimal(round(10 ** (magnitude - math.floor(magnitude) + 4))) * tick
        made.append(Instrument(spell(base, quote), base, quote, tick, lot, start, code=rng.randint(1, 9) * 10_000 + number))
    return made

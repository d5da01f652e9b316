"""The exchange's side of a customer: keys, balances, and who listens to the account's events."""

from __future__ import annotations

import random
import string
from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal

ZERO = Decimal(0)
_ALPHABET = string.ascii_letters + string.digits

Sink = Callable[[str], None]
"""Takes one event, as the dialect writes it, and sends it in its socket's envelope."""

BNB_PRICE = Decimal(600)
"""USDT a BNB, always."""
START_QUOTE = Decimal(10_000_000)
START_BASE_NOTIONAL = Decimal(5_000_000)
"""Every account begins with so much of the quote asset, and with this much worth of each asset: demos should not run dry."""


def make_key(rng: random.Random) -> str:
    """64 letters and digits: what an API key or a listen key looks like. It opens nothing."""
    return "".join(rng.choices(_ALPHABET, k=64))


class Account:
    """One customer. Balances are free or locked by open orders; both in whole asset units."""

    def __init__(self, api_key: str, pays_in_bnb: bool, user_id: int = 0) -> None:
        self.api_key = api_key
        self.user_id = user_id
        self.pays_in_bnb = pays_in_bnb
        self.free: defaultdict[str, Decimal] = defaultdict(lambda: ZERO)
        self.locked: defaultdict[str, Decimal] = defaultdict(lambda: ZERO)
        self.touched: set[str] = set()
        """Assets whose balance moved since the last event that says so."""
        self.sinks: defaultdict[str, list[Sink]] = defaultdict(list)
        """Who listens, by the dialect's channel."""

    @property
    def is_heard(self) -> bool:
        """Does anybody listen?"""
        return any(self.sinks.values())

    def deposit(self, asset: str, amount: Decimal) -> None:
        """Add to the free balance."""
        self.free[asset] += amount

    def lock(self, asset: str, amount: Decimal) -> None:
        """Move from free to locked; the caller has checked that it is there."""
        self.free[asset] -= amount
        self.locked[asset] += amount
        self.touched.add(asset)

    def unlock(self, asset: str, amount: Decimal) -> None:
        """Move from locked back to free."""
        self.lock(asset, -amount)

    def pay(self, asset: str, amount: Decimal, from_locked: bool) -> None:
        """Take `amount` (negative: give) out of the free or the locked balance."""
        (self.locked if from_locked else self.free)[asset] -= amount
        self.touched.add(asset)

    def publish(self, channel: str, event: str) -> None:
        """Hand one event to every socket that listens to this channel of the account."""
        for sink in tuple(self.sinks[channel]):
            sink(event)

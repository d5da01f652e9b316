"""What the exchange knows of an order: the request, the order, its fills, and refusals.

Statuses and types are the venue's words: binance-spot-api-docs, enums.md.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from decimal import Decimal

from strategies.accounts import ZERO, Account
from strategies.position import Side


def now_ms() -> int:
    """The exchange's clock: ms since the epoch."""
    return time.time_ns() // 1_000_000


class Rejected(Exception):
    """A request that the exchange refuses: its error code, its message, and the reject reason an event would carry."""

    def __init__(self, code: int, message: str, reason: str = "NONE") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = reason


@dataclass(slots=True)
class Fill:
    """One side of one trade. `fee` is in `fee_asset`; `time` in ms since the epoch; `heard`: a socket was told of it."""

    trade_id: int
    order_id: int
    side: Side
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_asset: str
    maker: bool
    time: int
    heard: bool


@dataclass(slots=True)
class OrderRequest:
    """What a customer asks for. `price` and one of the quantities may be missing, as the type allows."""

    side: Side
    type: str
    time_in_force: str = "GTC"
    price: Decimal = ZERO
    quantity: Decimal = ZERO
    client_order_id: str = ""


@dataclass(slots=True, eq=False)
class Order:
    """One order and all that happened to it. `quote` is the quote asset transacted; times in ms since the epoch."""

    account: Account
    symbol: str
    order_id: int
    client_order_id: str
    side: Side
    type: str
    time_in_force: str
    price: Decimal
    quantity: Decimal
    created: int
    status: str = "NEW"
    expiry_reason: str = ""
    reject_reason: str = "NONE"
    filled: Decimal = ZERO
    quote: Decimal = ZERO
    updated: int = 0
    resting: bool = False
    fills: list[Fill] = field(default_factory=list)
    client_order_ids: list[str] = field(default_factory=list)
    """Every client order id it has had while open, oldest first: an amendment may change it."""

    @property
    def remaining(self) -> Decimal:
        """Quantity still to be filled."""
        return self.quantity - self.filled

    @property
    def is_open(self) -> bool:
        """May it still change?"""
        return self.status in ("NEW", "PARTIALLY_FILLED")

    @property
    def rank(self) -> tuple[Decimal, int]:
        """Sorts a side of the book: best price first, then oldest."""
        return (-self.price if self.side == "BUY" else self.price, self.order_id)

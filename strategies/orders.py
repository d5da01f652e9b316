"""What the exchange knows of an order: the request, the order, its fills, and refusals.

Statuses and types are binance-spot's words (binance-spot-api-docs, enums.md); dialects that have other words translate.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum, auto

from strategies.accounts import ZERO, Account
from strategies.position import Side


def now_ms() -> int:
    """The exchange's clock: ms since the epoch."""
    return time.time_ns() // 1_000_000


class Refusal(Enum):
    """Why the engine refuses a request; with which code and text it is told is the dialect's."""

    ACCOUNTS = auto()
    """There are too many already."""
    SYMBOL = auto()
    """No such instrument."""
    TICK = auto()
    """The price is no whole number of ticks, or not above zero."""
    LOT = auto()
    """The same of the quantity and lots, or no more than is filled."""
    FAR = auto()
    """The price is far from the market."""
    SMALL = auto()
    """The order is worth too little."""
    OPEN_ORDERS = auto()
    """The account has too many open ones."""
    DUPLICATE = auto()
    """An open order has this client order id."""
    TAKES = auto()
    """A post-only order would match at once."""
    FUNDS = auto()
    """More than there is on the account."""
    UNKNOWN = auto()
    """No such open order of this account."""
    INCREASE = auto()
    """The venue amends to less only."""
    NO_CHANGE = auto()
    """An amendment that amends nothing."""


class Rejected(Exception):
    """A request that the engine refuses."""

    def __init__(self, why: Refusal) -> None:
        super().__init__(why.name)
        self.why = why


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
    queued: int = 0
    """Its turn among orders of the same price."""
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
        """Sorts a side of the book: best price first, then who came first."""
        return (-self.price if self.side == "BUY" else self.price, self.queued)

"""A dialect: how one venue writes what the exchange and its strategies have to say to each other.

Matching and books are the same whatever the dialect. What goes over the wire is the dialect's: on the exchange's side its
`sessions` and the events that it writes, on the strategies' side a `Trader` and a `Feed`. Both sides of it are plain: text in,
text out, no socket.
"""

from __future__ import annotations

import json
import re
import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, NamedTuple, Protocol, TypeAlias

from strategies.instruments import Instrument
from strategies.rules import Rules

if TYPE_CHECKING:
    from strategies.accounts import Account
    from strategies.credentials import Credentials
    from strategies.orders import Fill, Order
    from strategies.strategy import Order as OwnOrder
    from strategies.venue import Venue

Json: TypeAlias = dict[str, Any]
Send: TypeAlias = Callable[[str], None]
"""Sends one text message."""
Watched: TypeAlias = set[tuple[str, int, int]]
"""(symbol, trade id, order id) of each fill that a watcher heard of: both sides of a self trade share the trade id."""
Top: TypeAlias = tuple[Decimal, Decimal]
"""Price and quantity of the best level of a side."""

dumps = json.JSONEncoder(separators=(",", ":")).encode
"""Compact JSON, as exchanges send it."""


_DIGITS: Final = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?")


def exactly(value: object) -> Decimal | None:
    """A number that a client has written as text, exactly; None for anything else."""
    return Decimal(value) if isinstance(value, str) and _DIGITS.fullmatch(value) else None


class Event(NamedTuple):
    """Something that an account is told: the dialect's channel, and the text in it."""

    channel: str
    body: str


class Session(Protocol):
    """One connection, on the exchange's side."""

    def handle(self, text: str | bytes, events_first: bool) -> None:
        """Carry out a message of the client, answer it, and let the events go, before or after the answer."""

    def close(self) -> None:
        """The connection has ended: forget its subscriptions."""


# --- the strategies' side -------------------------------------------------------------------------------------------------

Action: TypeAlias = Literal["place", "cancel", "amend"]


class Request(NamedTuple):
    """One message to the exchange, and the answers that it awaits: what for and of which order, by a key of the dialect's."""

    text: str
    awaits: dict[str, tuple[Action, OwnOrder]]


class Say(NamedTuple):
    """To be sent at once."""

    text: str


class Ready(NamedTuple):
    """From now on the account's events come, and orders may be placed."""


class Answer(NamedTuple):
    """The answer to what was awaited under `key`; `refusal` is "" if it was granted."""

    key: str
    refusal: str


class Change(NamedTuple):
    """What an order has come to; `client_order_id` is the one it had, `renamed` its new one if that has changed."""

    client_order_id: str
    order_id: int
    status: str
    quantity: Decimal
    filled: Decimal
    price: Decimal | None = None
    renamed: str = ""
    reason: str = ""


class Execution(NamedTuple):
    """One execution of an order; `fee` is positive when paid."""

    client_order_id: str
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str


Heard: TypeAlias = Say | Ready | Answer | Change | Execution


class Trader(ABC):
    """How a strategy speaks on its connection.

    Raises `PermissionError` from `hear` when the exchange does not let it in.
    """

    path: ClassVar[str]

    def __init__(self, name: str, instrument: Instrument, credentials: Credentials) -> None:
        self.name = name
        self.instrument = instrument
        self.credentials = credentials

    @abstractmethod
    def opening(self) -> str:
        """The first message."""

    @abstractmethod
    def client_order_id(self) -> str:
        """A new one, of the shape that the venue asks for."""

    @abstractmethod
    def place(self, order: OwnOrder) -> Request:
        """A new order."""

    @abstractmethod
    def cancel(self, order: OwnOrder) -> Request:
        """No more of an order."""

    @abstractmethod
    def amend(self, order: OwnOrder, quantity: Decimal, price: Decimal | None, keep_id: bool) -> Request:
        """Another quantity or price for an order; with `keep_id` it keeps its client order id, too."""

    def replace(self, order: OwnOrder, new: OwnOrder) -> Sequence[Request]:
        """Another order in the place of one: in one request where the venue has such."""
        return self.cancel(order), self.place(new)

    @abstractmethod
    def hear(self, text: str | bytes) -> Iterable[Heard]:
        """What a message of the exchange says."""


class Feed(ABC):
    """How market data is asked for and read. At most `symbols_a_socket` go over one socket."""

    path: ClassVar[str]
    symbols_a_socket: ClassVar[int]

    @abstractmethod
    def subscribe(self, symbols: Sequence[str]) -> Iterable[str]:
        """The messages that ask for best prices and trades of `symbols`."""

    @abstractmethod
    def hear(self, text: str | bytes) -> Iterable[tuple[str, Decimal, Decimal]]:
        """Symbol, best bid and best ask, as often as a message says them."""


class Watcher(Protocol):
    """A socket that only listens to an account."""

    fills: Watched

    async def run(self) -> None:
        """Listen until the connection ends. Raises as `Strategy.run` does."""


# --- all of it ------------------------------------------------------------------------------------------------------------


class Dialect(ABC):
    """One venue's way to put things."""

    name: ClassVar[str]
    quote: ClassVar[str]
    rules: ClassVar[Rules]
    trader: ClassVar[type[Trader]]
    feed: ClassVar[type[Feed]]

    @staticmethod
    @abstractmethod
    def symbol(base: str, quote: str) -> str:
        """The name of an instrument."""

    @abstractmethod
    def serves(self, path: str) -> bool:
        """Is there something at this path?"""

    @abstractmethod
    def session(self, venue: Venue, target: str, send: Send) -> Session:
        """A session for a connection to `target`, a path that it serves, with its query."""

    def watcher(self, url: str, credentials: Credentials, number: int, tls: ssl.SSLContext | None) -> Watcher | None:
        """The `number`th socket that only listens to an account, where the venue has such."""
        return None

    @abstractmethod
    def executed(self, order: Order, execution: str, fill: Fill | None, original: str, execution_id: int) -> Iterable[Event]:
        """One execution (NEW, TRADE, REPLACED, CANCELED, EXPIRED, REJECTED) of an order, as it stands now.

        `original` is the client order id before this execution, "" where it has not been asked to change.
        """

    @abstractmethod
    def balances(self, account: Account, assets: Sequence[str]) -> Iterable[Event]:
        """The balances that have moved."""

    @abstractmethod
    def top(self, symbol: str, update_id: int, bid: Top, ask: Top) -> str:
        """Best prices, as those hear them who listen to the market stream ("top", symbol)."""

    @abstractmethod
    def trades(self, symbol: str, trade_id: int, price: Decimal, quantity: Decimal, at: int, buyer_is_maker: bool) -> list[str]:
        """A trade between anybody, for the market stream ("trade", symbol). `at` is in ms since the epoch."""

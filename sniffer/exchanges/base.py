"""What a venue module has to give, and what all of them share.

A venue is one module with one `Venue` object, listed in `exchanges/__init__.py`. The pipeline asks it, in this order:

    recognises / looks_like    is this connection yours? by host and path, else by a message
    decoder(facts)             one `Decoder` a connection: it holds what joins messages (requests that await an answer)
    wanted(sender, opcode)     the byte search that keeps market data out of JSON, asked once, called for every message
    decode(message)            order events and fills of a message that passed the search
    redact, redact_path        the text of what is kept, secrets out

A decoder never raises, whatever the bytes. What looks like an order message and cannot be read for sure is kept raw, with a
`problem` that becomes a `decoder` row in `losses`; a row is either what the message says or it is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

from sniffer.config import account_name
from sniffer.exchanges.numbers import Broken
from sniffer.model import FillEvent, Message, OrderEvent, Sender

V = TypeVar("V")

REQUEST: Final = "request"
RESPONSE: Final = "response"
UPDATE: Final = "update"
REFERENCE: Final = "reference"
"""A message from which a decoder took state (instrument lists): kept, so that decoding again gives the same."""
OTHER: Final = "other"
LOGIN: Final = "login"
"""A message that exists to carry a secret: never stored, not even with `--keep all`."""

PLACE: Final = "place"
AMEND: Final = "amend"
CANCEL: Final = "cancel"

PENDING: Final = 1024
"""Requests of one connection that await their answer; exchanges allow some hundred orders in ten seconds."""
JOINED_BYTES: Final = 16 << 10
"""A request longer than this is not kept for the join; the longest order requests (batches of 20) take 8 kB."""
ALIASES: Final = 4096
"""Listen keys whose API key is known, over all connections."""
INSTRUMENTS: Final = 32_768
"""Symbols known by a number, over all connections; OKX, options included, lists some 5,000."""

_COLUMNS: Final = {name: column for column, name in enumerate(OrderEvent._fields)}


class Decoded(NamedTuple):
    """What one message means. `problem`: why it, or a part of it, could not be read; the message is kept and a loss counted."""

    kind: str
    orders: list[OrderEvent]
    fills: list[FillEvent]
    problem: str | None = None


class Bounded(dict[Hashable, V], Generic[V]):
    """A dict that drops its oldest entry beyond `limit`: traffic decides what goes in, so it has to be bounded."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit

    def __reduce__(self) -> tuple[Any, ...]:
        """For a snapshot: the limit before the entries."""
        return type(self), (self.limit,), None, None, iter(self.items())

    def __setitem__(self, key: Hashable, value: V) -> None:
        super().__setitem__(key, value)
        if len(self) > self.limit:
            del self[next(iter(self))]


class Pending(Generic[V]):
    """Requests awaiting their answers, by request id, the oldest dropped beyond `PENDING`.

    An id that is in flight twice makes the join ambiguous: no answer is joined until all of that id are here.
    """

    def __init__(self) -> None:
        self._waiting: Bounded[tuple[int, V | None]] = Bounded(PENDING)
        """Answers to come, by id; and whose, if that is told by the id."""

    def put(self, request_id: Hashable, request: V) -> None:
        """Notes a request."""
        count, _ = self._waiting.get(request_id, (0, None))
        self._waiting[request_id] = (count + 1, None if count else request)

    def peek(self, request_id: Hashable) -> V | None:
        """As `take`, of what is not the last answer."""
        return self._waiting.get(request_id, (0, None))[1]

    def take(self, request_id: Hashable) -> V | None:
        """The request that this id answers; None if there is none, or may be more than one."""
        count, request = self._waiting.pop(request_id, (0, None))
        if count > 1:
            self._waiting[request_id] = (count - 1, None)
        return request


def account_without_salt(secret: str) -> str:
    """An account's name where names need not be recognised elsewhere."""
    return account_name(b"", secret)


@dataclass(frozen=True, slots=True)
class ConnectionFacts:
    """What is known of a connection when its decoder is made.

    `path` is the raw one of the upgrade request, secrets included; None where the capture starts too late to see it.
    `account` is the configured name, used until a key is seen. `name_of` turns a key into the name that the tables show.
    `aliases`, shared by all decoders of a capture, holds which account a listen key was given to; `instruments`, shared
    likewise, which symbol a venue's number for it stands for (see `instruments.py`).
    """

    connection_id: int = 0
    host: str | None = None
    path: str | None = None
    port: int | None = None
    account: str | None = None
    name_of: Callable[[str], str] = account_without_salt
    aliases: Bounded[str] = field(default_factory=lambda: Bounded(ALIASES))
    instruments: Bounded[str] = field(default_factory=lambda: Bounded(INSTRUMENTS))


class Decoder(Protocol):
    """Decodes the messages of one connection, both directions, in the order in which they were captured."""

    @property
    def account(self) -> str | None:
        """The account seen so far, else the configured one; rows carry the one that they belong to, which may be another."""
        ...

    def wanted(self, sender: Sender, opcode: int) -> Callable[[bytes], bool]:
        """The search for this side's messages of this opcode: False only for what is surely no order message."""
        ...

    def decode(self, message: Message) -> Decoded | None:
        """The meaning of a message; None: not an order message after all, and not kept."""
        ...


@runtime_checkable
class Remembers(Protocol):
    """A decoder that completes messages by what earlier ones said."""

    def hole(self, sender: Sender) -> None:
        """Messages of `sender` were lost before the one that comes next: whatever they may have changed is not known now."""
        ...


class Venue(Protocol):
    """One exchange API."""

    @property
    def name(self) -> str:
        """As in the tables and after `--venue`: lower case, words joined by hyphens."""
        ...

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts that it is recognised by."""
        ...

    def recognises(self, host: str | None, path: str | None, port: int | None) -> bool:
        """Whether a connection is this venue's, by what its handshake says."""
        ...

    def looks_like(self, sender: Sender, payload: bytes) -> bool:
        """Whether a message of an unknown connection is an order message of this venue, which no other one writes."""
        ...

    def decoder(self, facts: ConnectionFacts) -> Decoder:
        """A decoder for one connection."""
        ...

    def redact(self, sender: Sender, text: str) -> str:
        """The text of a message (or of an HTTP body) without secrets."""
        ...

    def redact_path(self, path: str) -> str:
        """A connection's path or a request target without secrets."""
        ...


def always(payload: bytes) -> bool:
    """A search that every message passes."""
    return True


def never(payload: bytes) -> bool:
    """A search that no message passes."""
    return False


class Rows:
    """Builds the rows of one message: their common columns, and their ordinals, a count for each table."""

    __slots__ = ("_message", "_skipped", "_venue", "account", "fills", "orders")

    def __init__(self, message: Message, venue: str, account: str | None) -> None:
        self._message = message
        self._venue = venue
        self._skipped = 0
        self.account = account
        self.orders: list[OrderEvent] = []
        self.fills: list[FillEvent] = []

    def order(
        self,
        kind: str,
        *,
        exchange_time: int | None = None,
        symbol: str | None = None,
        action: str | None = None,
        request_id: str | None = None,
        client_order_id: str | None = None,
        order_id: str | None = None,
        side: str | None = None,
        order_type: str | None = None,
        time_in_force: str | None = None,
        status: str | None = None,
        status_raw: str | None = None,
        price: Decimal | None = None,
        stop_price: Decimal | None = None,
        quantity: Decimal | None = None,
        quantity_unit: str | None = None,
        filled_quantity: Decimal | None = None,
        average_price: Decimal | None = None,
        reason: str | None = None,
    ) -> OrderEvent:
        """Adds an order event; what is not given is not said."""
        connection_id, sender, position, _, captured_at, _, _, _ = self._message
        row = OrderEvent._make((  # two thirds of what the call of a class of 26 fields takes
            connection_id, sender, position, self._item(), captured_at, exchange_time, self._venue, self.account,
            symbol, kind, action, request_id, client_order_id, order_id, side, order_type, time_in_force, status, status_raw,
            price, stop_price, quantity, quantity_unit, filled_quantity, average_price, reason,
        ))  # fmt: skip
        self.orders.append(row)
        return row

    def fill(
        self,
        *,
        exchange_time: int | None = None,
        symbol: str | None = None,
        trade_id: str | None = None,
        order_id: str | None = None,
        client_order_id: str | None = None,
        side: str | None = None,
        price: Decimal | None = None,
        quantity: Decimal | None = None,
        quantity_unit: str | None = None,
        fee: Decimal | None = None,
        fee_asset: str | None = None,
        liquidity: str | None = None,
    ) -> FillEvent:
        """Adds a fill; what is not given is not said."""
        connection_id, sender, position, _, captured_at, _, _, _ = self._message
        row = FillEvent._make((
            connection_id, sender, position, len(self.fills), captured_at, exchange_time, self._venue, self.account,
            symbol, trade_id, order_id, client_order_id, side, price, quantity, quantity_unit, fee, fee_asset, liquidity,
        ))  # fmt: skip
        self.fills.append(row)
        return row

    def rejoined(self, asked: OrderEvent, **columns: Any) -> OrderEvent:
        """Adds a response that says nothing of the order itself: its columns are those of the request `asked`."""
        message = self._message
        columns |= {
            "sender": message.sender,
            "position": message.position,
            "item": self._item(),
            "captured_at": message.captured_at,
            "kind": RESPONSE,
        }
        values = list(asked)
        for name, value in columns.items():  # in a third of the time of `_replace`, which goes over all 26
            values[_COLUMNS[name]] = value
        row = OrderEvent._make(values)
        self.orders.append(row)
        return row

    def unchanged(self, asked: OrderEvent, **columns: Any) -> OrderEvent:
        """The same where what the request wanted to change has not changed, or not yet."""
        return self.rejoined(asked, price=None, stop_price=None, quantity=None, quantity_unit=None, **columns)

    def refused(self, asked: OrderEvent, unknown: bool = False, **columns: Any) -> OrderEvent:
        """The same for a refusal: a placement is rejected, unless what became of it is `unknown`; all else is unchanged."""
        if asked.action != PLACE:
            return self.unchanged(asked, **columns)
        return self.rejoined(asked, status=None if unknown else "REJECTED", **columns)

    def skip(self) -> None:
        """An order of the message cannot be read: it keeps its ordinal, since answers go by the ordinals of what was asked."""
        self._skipped += 1

    def _item(self) -> int:
        return len(self.orders) + self._skipped

    def decoded(self, kind: str, problem: str | None = None) -> Decoded:
        """The rows so far as the meaning of the message."""
        return Decoded(kind, self.orders, self.fills, problem)

    def decoded_if_any(self, kind: str, problem: str | None = None) -> Decoded | None:
        """The same; None if there is neither a row nor a problem."""
        return Decoded(kind, self.orders, self.fills, problem) if self.orders or self.fills or problem else None

    def all_or_none(self, ask: Callable[[], str | None], *, needed: bool = False) -> Decoded:
        """The meaning of a request whose orders `ask` adds, returning a problem if it has one.

        They belong together: where `ask` raises `Broken`, none of them stands. `needed`: that there is none is a problem.
        """
        try:
            problem = ask()
        except Broken as error:
            self.orders.clear()
            self._skipped = 0
            problem = str(error)
        if needed and not self.orders:
            problem = problem or "an order request that names no order"
        return self.decoded(REQUEST, problem)

    def to_join(self) -> tuple[OrderEvent, ...]:
        """The orders of a request, for its answer; none of a request that is longer than `JOINED_BYTES`."""
        return tuple(self.orders) if len(self._message.payload) <= JOINED_BYTES else ()

    def to_join_by_ordinal(self, size: int) -> tuple[OrderEvent | None, ...]:
        """The same for a request of `size` orders, in its order; None: one that could not be read."""
        orders = {order.item: order for order in self.to_join()}
        return tuple(orders.get(item) for item in range(size)) if orders else ()

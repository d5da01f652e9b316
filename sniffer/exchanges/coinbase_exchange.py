"""Coinbase Exchange (formerly Pro, GDAX): the feed with its user channel, and REST, by which alone orders are placed.

Hosts      ws-feed.exchange.coinbase.com, ws-direct.exchange.coinbase.com (feeds), api.exchange.coinbase.com (REST); the same of
           the sandbox; formerly ws-feed.pro.coinbase.com and api.pro.coinbase.com.
Channels   Flat events: {"type": "received", "open", "done", "match", "change" or "activate", ...}. The full channel has those
           of all participants; one's own hold `user_id` and `profile_id`, there and in the user channel.
Markers    `"user_id"`.
Identity   An order: `order_id`. A fill: (product, `trade_id`), which both of its orders share.
Times      RFC 3339; of `activate`, seconds with a fraction.
Pitfalls   - Without `user_id` an event is market data, whatever it looks like.
           - The side of a match is the maker's; which of its two orders is one's own say `maker_user_id` and `taker_user_id`.
           - `received` alone tells type, size and client id of an order: they complete what follows (`lastknown.py`).
           - `done` has a `reason`, filled or canceled. The sizes of `open` and `change` are what is left, not what was asked.
           - `activate` is a stop order that waits; `received` follows when it triggers.
           - A refused placement is {"message"} with a HTTP status of 400 and above. Cancels are answered by bare ids.
Docs       https://docs.cdp.coinbase.com/exchange/websocket-feed/channels,
           https://docs.cdp.coinbase.com/api-reference/exchange-api/rest-api
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final
from urllib.parse import unquote

from sniffer.exchanges.base import LOGIN, PLACE, RESPONSE, UPDATE, ConnectionFacts, Decoded, Rows
from sniffer.exchanges.calls import Calls, header, parameters
from sniffer.exchanges.coinbase_exchange_orders import EVENTS, Call, ask_cancel, ask_place, canceled, event, fill, refused, told
from sniffer.exchanges.fields import each, text
from sniffer.exchanges.jsontext import Row, parse, parse_object
from sniffer.exchanges.lastknown import LastKnown
from sniffer.exchanges.numbers import Broken
from sniffer.exchanges.redact import Secrets
from sniffer.exchanges.venue import ListedVenue, VenueDecoder
from sniffer.model import OPCODE_HTTP, HttpHead, Message, Sender

NAME: Final = "coinbase-exchange"
HOSTS: Final = (
    *(f"{name}.exchange.coinbase.com" for name in ("ws-feed", "ws-direct", "api")),
    *(f"{name}.sandbox.exchange.coinbase.com" for name in ("ws-feed-public", "ws-direct", "api-public")),
    *(f"{name}.pro.coinbase.com" for name in ("ws-feed", "api")),
)
ORDERS: Final = "/orders"
FILLS: Final = "/fills"

_SECRETS: Final = Secrets(
    ("key", "signature", "passphrase", "CB-ACCESS-KEY", "CB-ACCESS-SIGN", "CB-ACCESS-PASSPHRASE", "Authorization")
)
_OWN: Final = b'"user_id"'
_OWN_WORDS: Final = (_OWN, b'"profile_id"', b'"product_id"', b'"type"')


def marked(payload: bytes) -> bool:
    """Whether an event of the feed may be one's own: 0.2 us for 500 bytes."""
    return _OWN in payload


class CoinbaseExchangeDecoder(VenueDecoder):
    """Decodes one connection; remembers what its orders ask for, and the REST calls that await an answer."""

    __slots__ = ("_calls", "_known")

    wanted_text = staticmethod(marked)

    def __init__(self, facts: ConnectionFacts) -> None:
        super().__init__(facts)
        self._calls: Calls[Call] = Calls()
        self._known = LastKnown()

    def hole(self, sender: Sender) -> None:
        """As `Remembers.hole`."""
        if sender == "server":
            self._known.clear()

    def _websocket(self, message: Message) -> Decoded | None:
        if message.sender == "client":
            return self._subscription(parse_object(message.payload))
        return self._event(message)

    def _unread(self, message: Message) -> str | None:
        if message.opcode != OPCODE_HTTP:
            if message.sender == "client" or _OWN not in message.payload:
                return None
            self._known.clear()  # whose event it was may not be readable
        return super()._unread(message)

    def _subscription(self, document: Row) -> Decoded | None:
        if "signature" not in document and "passphrase" not in document:
            return None
        self._accounts.key(document.get("key"))
        return Decoded(LOGIN, [], [])

    def _event(self, message: Message) -> Decoded | None:
        document = parse_object(message.payload)
        kind = document.get("type")
        if "user_id" not in document or (type(kind) is str and kind not in EVENTS):
            return None
        rows = Rows(message, NAME, self.account)
        event(rows, document, self._known)
        return rows.decoded(UPDATE)

    # --- REST ---

    def _call(self, message: Message, head: HttpHead) -> Decoded | None:
        path, name = _split(head.target)
        account = self._accounts.key(header(head, "cb-access-key"))
        rows = Rows(message, NAME, account)
        decoded = None
        if path == ORDERS and head.method == "POST" and not name:
            decoded = rows.all_or_none(lambda: ask_place(rows, parse_object(message.payload)))
        elif path == ORDERS and head.method == "DELETE":
            decoded = rows.all_or_none(lambda: ask_cancel(rows, name, _product(head.target)))
        self._calls.put(head, Call(head.method or "", head.target or "", rows.to_join(), account))
        return decoded

    def _call_answer(self, message: Message, head: HttpHead) -> Decoded | None:
        call = self._calls.take(head) or self._unseen(message, head)
        path, name = _split(call.path)
        if path == FILLS and call.method == "GET" and not name:
            return self._queried(message, call, fill)
        if path != ORDERS or (call.method, bool(name)) == ("POST", True):
            return None
        if call.method == "GET":
            return self._queried(message, call, lambda rows, row: told(rows, row, None))
        if call.method not in ("POST", "DELETE"):
            return None
        rows = Rows(message, NAME, call.account)
        document = parse(message.payload)
        if type(document) is dict and "message" in document and "id" not in document:
            refused(rows, call, text(document, "message"), head.status)
        elif call.method == "DELETE":
            canceled(rows, call, document)
        elif type(document) is dict:
            told(rows, document, PLACE)
        else:
            raise Broken("an answer that is no object")
        return rows.decoded(RESPONSE) if rows.orders else None

    def _unseen(self, message: Message, head: HttpHead) -> Call:
        """A call that was not seen, as far as its target tells it: a cancel's names the order."""
        rows = Rows(message, NAME, self.account)
        path, name = _split(head.target)
        if path == ORDERS and head.method == "DELETE" and name:
            ask_cancel(rows, name, _product(head.target))
        return Call(head.method or "", head.target or "", rows.to_join(), self.account)

    @staticmethod
    def _queried(message: Message, call: Call, read: Callable[[Rows, Row], None]) -> Decoded | None:
        rows = Rows(message, NAME, call.account)
        document = parse(message.payload)
        if type(document) is dict and "message" in document:
            return None
        items = document if type(document) is list else [document]
        return rows.decoded_if_any(RESPONSE, each(items, partial(read, rows), what="an item"))


class CoinbaseExchange(ListedVenue):
    """The venue, as in `base.Venue`."""

    def looks_like(self, sender: Sender, payload: bytes) -> bool:
        """A subscription with a passphrase and products, or an own event of the feed."""
        if sender == "client":
            return b'"passphrase"' in payload and b'"signature"' in payload and b'"subscribe"' in payload
        return all(word in payload for word in _OWN_WORDS)


VENUE: Final = CoinbaseExchange(NAME, HOSTS, _SECRETS, CoinbaseExchangeDecoder)


def _split(target: str | None) -> tuple[str, str]:
    """The first part of a path, and what follows it: the id of an order, or nothing."""
    first, _, rest = (target or "").partition("?")[0].lstrip("/").partition("/")
    return f"/{first}", unquote(rest.rstrip("/"))


def _product(target: str | None) -> str | None:
    found = parameters((target or "").partition("?")[2]).get("product_id")
    return found or None

"""Kraken Futures: the feeds of its websocket, and REST. Orders are entered over REST alone.

Hosts      futures.kraken.com: /ws/v1 (feeds), /derivatives/api/v3 (REST; api.futures.kraken.com too); demo-futures.kraken.com.
Channels   {"feed": ...}: `open_orders` and `open_orders_verbose` with `_snapshot` (orders), `fills` with `fills_snapshot`.
Markers    `order_id"`, or the feed's name; public feeds have neither.
Identity   An order: order_id. A fill: fill_id, which REST's answers call executionId.
Times      Milliseconds on feeds, RFC 3339 in REST.
Pitfalls   - `qty` is what is still open, computed in floating point: the order's quantity only until something is filled.
           - is_cancel is true for a full fill too: `reason` says why the order left the book.
           - A removal may name the order by its id alone: what was said of it before completes the row.
           - The side is `direction` (0, 1), `buy` (a boolean), or a word.
           - REST answers "success" to a placement that was refused: sendStatus.status says so; a batch mixes both.
           - An edit sets the size that is still open, unless qtyMode is ABSOLUTE.
           - Each private subscription holds the key, the challenge and its signature, and its answer repeats them.
Docs       https://docs.kraken.com/api/docs/futures-api, https://github.com/krakenfx/api-specs (futures-rest/trading)
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from sniffer.exchanges.base import (
    AMEND,
    CANCEL,
    LOGIN,
    OTHER,
    PLACE,
    REQUEST,
    RESPONSE,
    UPDATE,
    ConnectionFacts,
    Decoded,
    Rows,
    never,
)
from sniffer.exchanges.calls import Calls, body_parameters, header, parameters, path_and_query
from sniffer.exchanges.fields import each, mapped, objects, optional_flag, optional_text
from sniffer.exchanges.jsontext import Row, parse, parse_object
from sniffer.exchanges.kraken_futures_answers import Answer, Request, add_listed_fill, add_listed_order
from sniffer.exchanges.kraken_futures_orders import add_fill, add_open_order, ask
from sniffer.exchanges.lastknown import LastKnown
from sniffer.exchanges.numbers import Broken
from sniffer.exchanges.redact import Secrets
from sniffer.exchanges.venue import ListedVenue, VenueDecoder
from sniffer.model import OPCODE_HTTP, HttpHead, Message, Sender

NAME: Final = "kraken-futures"
HOSTS: Final = (
    "futures.kraken.com", "api.futures.kraken.com", "demo-futures.kraken.com", "www.cryptofacilities.com",
    "conformance.cryptofacilities.com",
)  # fmt: skip
REST_PATH: Final = "/derivatives/api/v3/"

_FEEDS: Final = frozenset(("open_orders", "open_orders_snapshot", "open_orders_verbose", "open_orders_verbose_snapshot"))
_FILL_FEEDS: Final = frozenset(("fills", "fills_snapshot"))
_CALLS: Final = {"sendorder": PLACE, "editorder": AMEND, "cancelorder": CANCEL, "cancelallorders": CANCEL, "batchorder": None}
_INSTRUCTIONS: Final = {"send": PLACE, "edit": AMEND, "cancel": CANCEL}
_QUERIES: Final = frozenset(("openorders", "orders/status", "fills"))
_FEED_END: Final = 64
_FEED_WORDS: Final = (b"open_orders", b'"fills')
_CHALLENGES: Final = (b"_challenge", b'"challenge"', b'"api_key"')

_SECRETS: Final = Secrets(("api_key", "original_challenge", "signed_challenge", "APIKey", "Authent"))


def marked(payload: bytes) -> bool:
    """Whether a message of the server may be about orders, or is a challenge, which is not kept: 0.3 us for 500 bytes."""
    return (
        b'rder_id"' in payload
        or b'"challenge"' in payload
        or any(payload.find(word, 0, _FEED_END) >= 0 for word in _FEED_WORDS)
    )


class KrakenFuturesDecoder(VenueDecoder):
    """Decodes one connection; remembers the terms of its open orders, and the calls that await an answer."""

    __slots__ = ("_calls", "_known")

    wanted_text = staticmethod(marked)
    wanted_binary = staticmethod(never)

    def __init__(self, facts: ConnectionFacts) -> None:
        super().__init__(facts)
        self._known = LastKnown()
        self._calls: Calls[Request] = Calls()

    def hole(self, sender: Sender) -> None:
        """As `Remembers.hole`."""
        if sender == "server":
            self._known.clear()

    def _websocket(self, message: Message) -> Decoded | None:
        document = parse_object(message.payload)
        if document.keys() & {"signed_challenge", "original_challenge", "api_key"} or document.get("event") == "challenge":
            if message.sender == "client":
                self._accounts.key(document.get("api_key"), login=True)
            return Decoded(LOGIN, [], [])
        return self._feed(message, document) if message.sender == "server" else None

    def _unread(self, message: Message) -> str | None:
        if message.opcode != OPCODE_HTTP:
            if any(word in message.payload for word in _CHALLENGES):
                return LOGIN
            if message.sender == "client" or not marked(message.payload):
                return None
            self._known.clear()  # any order may have changed
        return super()._unread(message)

    # --- feeds ---

    def _feed(self, message: Message, document: Row) -> Decoded | None:
        feed = document.get("feed")
        if type(feed) is not str:
            if "feed" in document:
                raise Broken("field feed: not a text")
            return None
        if "event" in document or feed not in _FEEDS | _FILL_FEEDS:
            return None
        rows = Rows(message, NAME, self._accounts.current)
        if feed in _FILL_FEEDS:
            problem = each(objects(document, "fills"), lambda fill: add_fill(rows, fill))
        elif "orders" in document:
            problem = each(objects(document, "orders"), lambda order: add_open_order(rows, order, None, False, self._known))
        else:
            problem = each([document], lambda delta: self._delta(rows, delta))
        return rows.decoded_if_any(UPDATE, problem) or Decoded(OTHER, [], [])

    def _delta(self, rows: Rows, document: Row) -> None:
        order = document.get("order", document)  # a removal may give the ids alone
        removed = optional_flag(document, "is_cancel")
        if type(order) is not dict or removed is None:
            raise Broken("field order or is_cancel: not an object, or not a boolean")
        add_open_order(rows, order, optional_text(document, "reason"), removed, self._known)

    # --- REST ---

    def _call(self, message: Message, head: HttpHead) -> Decoded | None:
        call, query = _asked(head)
        key = header(head, "apikey")
        request = Request(_CALLS.get(call), (), self._accounts.key(key))
        try:
            if call not in _CALLS:
                return None
            rows = Rows(message, NAME, request.account)
            params = {**body_parameters(message.payload), **parameters(query)}
            if call == "batchorder":
                for order in objects(_batch(params), "batchOrder"):
                    ask(rows, mapped(order, "order", _INSTRUCTIONS), order)
            else:
                ask(rows, _CALLS[call] or PLACE, params)
            request = request._replace(orders=rows.to_join())
            return rows.decoded(REQUEST, None if rows.orders else "an order call that names no order")
        finally:
            self._calls.put(head, request)

    def _call_answer(self, message: Message, head: HttpHead) -> Decoded | None:
        call, _ = _asked(head)
        request = self._calls.take(head)
        if call in _QUERIES:
            return self._listed(message, request)
        if not call:
            return None
        if request is None:
            request = Request(_CALLS[call], (), self.account)
        answer = Answer(Rows(message, NAME, request.account), request, (head.status or 200) >= 500)
        return answer.read(parse_object(message.payload))

    def _listed(self, message: Message, request: Request | None) -> Decoded | None:
        """The orders or fills that a query answers with."""
        document = parse_object(message.payload)
        rows = Rows(message, NAME, request.account if request else self.account)
        problem: str | None = None
        for key, add in (("openOrders", add_listed_order), ("orders", add_listed_order), ("fills", add_listed_fill)):
            if key in document:
                found = each(objects(document, key), partial(add, rows))
                problem = problem or found
        return rows.decoded_if_any(RESPONSE, problem)


class KrakenFutures(ListedVenue):
    """The venue, as in `base.Venue`."""

    def owns_path(self, path: str) -> bool:
        """That of REST."""
        return path.startswith(REST_PATH)

    def looks_like(self, sender: Sender, payload: bytes) -> bool:
        """A message of the feeds of open orders or fills."""
        if sender == "client" or b'"feed"' not in payload:
            return False
        return b'"open_orders' in payload or (b'"fills' in payload and b'"fill_id"' in payload)


VENUE: Final = KrakenFutures(NAME, HOSTS, _SECRETS, KrakenFuturesDecoder)


def _asked(head: HttpHead) -> tuple[str, str]:
    """The name of a call about orders (empty for any other), and its query."""
    path, query = path_and_query(head)
    call = path.removeprefix("/derivatives").removeprefix("/api/v3/")
    changes = call in _CALLS and head.method in ("POST", "PUT", None)
    return call if changes or call in _QUERIES else "", query


def _batch(params: Row) -> Row:
    """The batch, which is JSON in the parameter `json`."""
    value: Any = params.get("json", params)
    if type(value) is str:
        value = parse(value.encode("utf-8", "surrogatepass"))
    if type(value) is not dict:
        raise Broken("field json: not an object")
    return value

"""BitMEX: the realtime tables of its websocket, and REST, of bitmex.com and its test net. Orders are entered over REST alone.

Hosts      ws.bitmex.com and ws.testnet.bitmex.com, path /realtime (/realtimemd: several accounts in one connection);
           www.bitmex.com and testnet.bitmex.com, /api/v1 (REST, once the websocket too).
Channels   {"table": "order" or "execution", "action", "data": [...]}; `partial` and `insert` tell rows in full, `update` what
           changed, `delete` names rows that leave the table. In /realtimemd each message is [type, id, topic, message].
Markers    `orderID"` or `execID"`, or the table; of public tables only `liquidation` has the first.
Identity   An order: orderID. A fill: execID of an execution of type Trade (trdMatchID is the match's, the same for both sides).
Times      RFC 3339: `timestamp`, and of fills `transactTime`.
Pitfalls   - An update is completed by what was said of the order before on the same connection.
           - CancelReject comes with ordStatus Rejected: the request is rejected, the order is not.
           - A post-only order that would take is Canceled, not Rejected; `text` says why.
           - Funding and settlement stand in the execution table.
           - Quantities count contracts (on spot the smallest unit of the base currency); execComm counts the smallest unit of
             settlCurrency (XBt: satoshi). Both are kept as they are said.
           - A liquidation's orderID is all zeros. A request's negative orderQty sells.
           - The answer to a login repeats the key and the signature in request.args.
Docs       https://www.bitmex.com/app/wsAPI, https://www.bitmex.com/app/restAPI, https://www.bitmex.com/api/explorer
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from sniffer.exchanges.accounts import SUBSCRIPTIONS
from sniffer.exchanges.base import (
    AMEND,
    CANCEL,
    LOGIN,
    OTHER,
    PLACE,
    REQUEST,
    RESPONSE,
    UPDATE,
    Bounded,
    ConnectionFacts,
    Decoded,
    Rows,
    never,
)
from sniffer.exchanges.bitmex_orders import add_answer, add_execution, add_update, ask
from sniffer.exchanges.calls import Calls, body_parameters, header, parameters, path_and_query
from sniffer.exchanges.fields import each, objects, optional_text, text
from sniffer.exchanges.jsontext import Row, parse
from sniffer.exchanges.lastknown import LastKnown
from sniffer.exchanges.numbers import Broken
from sniffer.exchanges.redact import Secrets
from sniffer.exchanges.venue import ListedVenue, VenueDecoder
from sniffer.model import OPCODE_HTTP, HttpHead, Message, OrderEvent, Sender

NAME: Final = "bitmex"
HOSTS: Final = (
    "ws.bitmex.com", "www.bitmex.com", "ws.testnet.bitmex.com", "testnet.bitmex.com", "testnet-ws.bitmex.com",
)  # fmt: skip

_LOGINS: Final = frozenset(("authKeyExpires", "authKey"))
_REST: Final = {
    ("POST", "/api/v1/order"): PLACE,
    ("PUT", "/api/v1/order"): AMEND,
    ("DELETE", "/api/v1/order"): CANCEL,
    ("POST", "/api/v1/order/bulk"): PLACE,
    ("PUT", "/api/v1/order/bulk"): AMEND,
    ("DELETE", "/api/v1/order/all"): CANCEL,
    ("POST", "/api/v1/order/closePosition"): PLACE,
}
_NOT_ORDERS: Final = frozenset(("/api/v1/order/cancelAllAfter", "/api/v1/order/test"))
_QUERIES: Final = frozenset(("/api/v1/order", "/api/v1/execution", "/api/v1/execution/tradeHistory"))
_TABLE_END: Final = 64
_TABLES: Final = (b'"order"', b'"execution"')
_MARKET_PUSH: Final = re.compile(
    rb'\{"table":"(?:orderBook(?:L2|L2_25|10)|trade(?:Bin\w+)?|quote(?:Bin\w+)?|instrument|funding|settlement)"'
).match
_TABLE: Final = re.compile(rb'"table"\s*:\s*"(?:order|execution)"')
_TOPIC: Final = re.compile(r"\w{1,20}(?::.*)?")


def _is_public(name: str) -> bool:
    """Topics (`order`, `trade:XBTUSD`) and numbers; API keys have 24 characters, signatures more."""
    return _TOPIC.fullmatch(name) is not None


_SECRETS: Final = Secrets(("api-key", "api-signature", "apiKey", "signature"), channels=("args",), public=_is_public)


class Request(NamedTuple):
    """A call that awaits its answer: what it asks, the orders that it names, and whose it is."""

    action: str | None
    orders: tuple[OrderEvent, ...]
    account: str | None


def marked(payload: bytes) -> bool:
    """Whether a message of the server may be about orders: 0.2 us for 500 bytes of market data."""
    if _MARKET_PUSH(payload):
        return False
    if b'rderID"' in payload or b'xecID"' in payload:
        return True
    return any(payload.find(table, 0, _TABLE_END) >= 0 for table in _TABLES)


class BitmexDecoder(VenueDecoder):
    """Decodes one connection; remembers the terms of its open orders, and the calls that await an answer."""

    __slots__ = ("_calls", "_known", "_streams")

    wanted_text = staticmethod(marked)
    wanted_binary = staticmethod(never)

    def __init__(self, facts: ConnectionFacts) -> None:
        super().__init__(facts)
        self._known = LastKnown()
        self._calls: Calls[Request] = Calls()
        self._streams: Bounded[str | None] = Bounded(SUBSCRIPTIONS)
        for pair in (facts.path or "").partition("?")[2].split("&"):
            name, _, value = pair.partition("=")
            if name == "api-key":
                self._accounts.key(unquote(value), login=True)

    def hole(self, sender: Sender) -> None:
        """As `Remembers.hole`."""
        if sender == "server":
            self._known.clear()

    def _websocket(self, message: Message) -> Decoded | None:
        return self._login(message.payload) if message.sender == "client" else self._table(message)

    def _unread(self, message: Message) -> str | None:
        if message.opcode != OPCODE_HTTP:
            if b'"authKey' in message.payload:
                return LOGIN
            if message.sender == "client" or not marked(message.payload):
                return None
            self._known.clear()  # any order may have changed
        return super()._unread(message)

    # --- the websocket ---

    def _login(self, payload: bytes) -> Decoded | None:
        if not payload.startswith((b"{", b"[")):
            return None  # "ping", "help"
        stream, document = _stream(parse(payload))
        if document.get("op") not in _LOGINS:
            return None
        args = document.get("args")
        account = self._accounts.key(args[0] if type(args) is list and args else None, login=stream is None)
        if stream is not None:
            self._streams[stream] = account
        return Decoded(LOGIN, [], [])

    def _table(self, message: Message) -> Decoded | None:
        stream, document = _stream(parse(message.payload))
        request = document.get("request")
        if type(request) is dict and request.get("op") in _LOGINS:
            return Decoded(LOGIN, [], [])
        account = self._accounts.current if stream is None else self._streams.get(stream, self._accounts.current)
        rows = Rows(message, NAME, account)
        if "table" not in document:
            return self._row(rows, document)
        table, action = text(document, "table"), optional_text(document, "action")
        if table not in ("order", "execution"):
            return None

        def add(row: Row) -> None:
            if action == "delete":
                self._known.forget(text(row, "orderID"))
            elif table == "order":
                add_update(rows, row, self._known)
            else:
                add_execution(rows, row)

        return rows.decoded_if_any(UPDATE, each(objects(document, "data"), add)) or Decoded(OTHER, [], [])

    def _row(self, rows: Rows, row: Row) -> Decoded | None:
        """A row without its table, as tools that store them leave it."""
        if "execID" in row:
            add_execution(rows, row)
        elif "ordStatus" in row:
            add_update(rows, row, self._known)
        return rows.decoded(UPDATE) if rows.orders or rows.fills else None

    # --- REST ---

    def _call(self, message: Message, head: HttpHead) -> Decoded | None:
        action, _, query = _asked(head)
        key = header(head, "api-key")
        request = Request(action, (), self._accounts.key(key))
        try:
            if action is None:
                return None
            rows = Rows(message, NAME, request.account)
            params = {**body_parameters(message.payload), **parameters(query)}
            orders = _objects(params["orders"]) if "orders" in params else [params]
            for order in orders:
                ask(rows, action, order)
            request = request._replace(orders=rows.to_join())
            return rows.decoded(REQUEST, None if orders else "an order request that names no order")
        finally:
            self._calls.put(head, request)

    def _call_answer(self, message: Message, head: HttpHead) -> Decoded | None:
        action, path, _ = _asked(head)
        request = self._calls.take(head)
        if action is None and (head.method != "GET" or path not in _QUERIES):
            return None
        if request is None or request.action != action:
            request = Request(action, (), self.account)
        body = parse(message.payload)
        rows = Rows(message, NAME, request.account)
        if type(body) is dict and type(body.get("error")) is dict:
            if request.action is None:
                return None
            _refuse(rows, request, body["error"], head.status or 200)
            return rows.decoded(RESPONSE)

        def add(row: Row) -> None:
            if "execID" in row:
                add_execution(rows, row, RESPONSE)
            else:
                add_answer(rows, request.action, row)

        told = rows.decoded_if_any(RESPONSE, each(_objects(body if type(body) is list else [body]), add))
        return told or (Decoded(OTHER, [], []) if request.action is not None else None)  # nothing was open


class Bitmex(ListedVenue):
    """The venue, as in `base.Venue`."""

    def looks_like(self, sender: Sender, payload: bytes) -> bool:
        """A row of the tables of orders and executions."""
        return sender == "server" and b'"orderID"' in payload and _TABLE.search(payload) is not None


VENUE: Final = Bitmex(NAME, HOSTS, _SECRETS, BitmexDecoder)


def _stream(document: Any) -> tuple[str | None, Row]:
    """The stream of /realtimemd that a message belongs to (None: there are no streams), and the message."""
    stream = None
    if type(document) is list and len(document) >= 3:
        stream = text({"id": document[1]}, "id")
        document = document[3] if len(document) > 3 else {}
    if type(document) is not dict:
        raise Broken("not a JSON object")
    return stream, document


def _asked(head: HttpHead) -> tuple[str | None, str, str]:
    """What a call asks of orders (None: nothing), its path and query. Raises `Broken` for an order call that is not known."""
    path, query = path_and_query(head)
    path = path.rstrip("/")
    action = _REST.get((head.method or "", path))
    known = path in _NOT_ORDERS or head.method == "GET" or head.method is None
    if action is None and path.startswith("/api/v1/order/") and not known:
        raise Broken(f"an order call that is not known: {head.method} {path}")
    return action, path, query


def _objects(value: Any) -> list[Row]:
    """The orders of a bulk request or of an answer; in a form they are written as JSON."""
    if type(value) is str:
        value = parse(value.encode("utf-8", "surrogatepass"))
    return objects({"orders": value}, "orders")


def _refuse(rows: Rows, request: Request, error: Row, status: int) -> None:
    """Adds the refusal of a whole call to each order that it named."""
    name = optional_text(error, "name")
    reason = optional_text(error, "message") or name or "error"  # a refusal without a reason would count as taken
    said: dict[str, Any] = {"status_raw": name, "reason": reason}
    for order in request.orders:
        rows.refused(order, status >= 500, **said)
    if not request.orders:
        rejected = "REJECTED" if request.action == PLACE and status < 500 else None
        rows.order(RESPONSE, action=request.action, status=rejected, **said)

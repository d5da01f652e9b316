"""OKX API v5, over websocket and REST, of okx.com, its regional hosts and its demo environment; and order pushes of API v3.

Hosts      ws.okx.com, wspap.okx.com (demo), wseea.okx.com, wsus.okx.com... port 8443: /ws/v5/private (orders),
           /ws/v5/business (algo orders, spreads), /ws/v5/public (market data); www.okx.com, eea., us., my., aws. (REST).
Channels   {"arg": {"channel"...}, "data": [...]}: orders, fills, orders-algo, algo-advance, sprd-orders, sprd-trades. Requests
           are {"id", "op", "args"}, answers {"id", "op", "code", "msg", "data"}; REST has the same bodies without id and op.
Markers    ordId" or clOrdId"; "op" or "event" where no order is named. Market data holds none of them.
Identity   An order: (instId, ordId); an algo order has ids of its own, `algoId` and `algoClOrdId`. A fill: (instId, tradeId).
Times      Milliseconds, as strings. `uTime` is the order's, `fillTime` the fill's, `ts` the answer's.
Pitfalls   - `sz` counts contracts of derivatives, and quote currency in market orders with `tgtCcy` quote_ccy; filled
             quantities are in base currency all the same.
           - A batch may fail in part: `code` 1 or 2 outside, each order's `sCode` inside; a refusal is told nowhere else.
           - An answer with sCode 0 says that the request was taken, not that it was carried out.
           - Fees below zero are paid, above zero received. The fills channel repeats those of the order channel, without fee.
           - Requests may name an instrument by number, `instIdCode`; instrument lists say which it is.
           - Heartbeats are the bare texts ping and pong. The old API v3 (okx_v3.py) compressed its messages itself.
Docs       https://www.okx.com/docs-v5/en/ (Order Book Trading: Trade, Algo Trading; Spread Trading; Public Data: Instruments)
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from sniffer.exchanges import okx_orders, okx_requests, okx_v3
from sniffer.exchanges.base import (
    LOGIN,
    OTHER,
    REFERENCE,
    REQUEST,
    RESPONSE,
    UPDATE,
    ConnectionFacts,
    Decoded,
    Pending,
    Rows,
    always,
)
from sniffer.exchanges.calls import Calls, header
from sniffer.exchanges.fields import identity, optional_text, text
from sniffer.exchanges.inflate import inflate, inflated
from sniffer.exchanges.instruments import Instruments
from sniffer.exchanges.jsontext import Row, parse, parse_object
from sniffer.exchanges.numbers import Broken
from sniffer.exchanges.okx_requests import ACTIONS, NO_ORDERS, REST, Request
from sniffer.exchanges.redact import Secrets
from sniffer.exchanges.venue import ListedVenue, VenueDecoder
from sniffer.model import OPCODE_BINARY, OPCODE_HTTP, HttpHead, Message, Sender

NAME: Final = "okx"
HOSTS: Final = (
    *(f"{name}.okx.com" for name in ("ws", "wsaws", "wspap", "wseea", "wseeapap", "wsus", "wsuspap")),
    *(f"{name}.okx.com" for name in ("www", "aws", "eea", "us", "my", "app", "tr")),
    *(f"{name}.okex.com" for name in ("ws", "wsaws", "wspap", "real", "www")),
)
WS_PATHS: Final = ("/ws/v5/private", "/ws/v5/business", "/ws/v5/public")
_TRADE_PATHS: Final = ("/api/v5/trade/", "/api/v5/sprd/")

_OLD_CHANNEL: Final = re.compile(r"(?:spot|margin|futures|swap|option|index|information|account)/[\w/]+(?::[\w\-]+)?")
"""What is no secret in the `args` of v3, where a login's key, passphrase and signature stand too."""
_SECRETS: Final = Secrets(
    (
        "apiKey",
        "passphrase",
        "sign",
        "uid",
        "OK-ACCESS-KEY",
        "OK-ACCESS-SIGN",
        "OK-ACCESS-PASSPHRASE",
        "Authorization",
        "Cookie",
    ),
    channels=("args",),
    public=lambda name: _OLD_CHANNEL.fullmatch(name) is not None,
)

_PUSHED: Final = (b'{"arg":{"channel":"', b'{"arg": {"channel": "')
_WORDS: Final = (b'"op"', b'"event"', b'"sCode"', b'instIdCode"')
_OLD_ORDERS: Final = re.compile(rb'"table"\s*:\s*"\w+/order')
_ORDER_OP: Final = re.compile(rb'"op"\s*:\s*"(?:batch-)?(?:amend-|cancel-|mass-)?(?:orders?|cancel)"')
_SBE: Final = "SBE: a binary format of market data, which is not decoded"
_OLD: Final = "a table of API v3 that is not known"
_CHANNELS: Final[dict[str, Callable[[Rows, Row], str | None]]] = {
    "orders": lambda rows, row: okx_orders.order(rows, UPDATE, row),
    "fills": lambda rows, row: okx_orders.fill(rows, row),
    "orders-algo": lambda rows, row: okx_orders.algo_order(rows, UPDATE, row),
    "algo-advance": lambda rows, row: okx_orders.algo_order(rows, UPDATE, row),
    "sprd-orders": lambda rows, row: okx_orders.order(rows, UPDATE, row, spread=True),
    "sprd-trades": lambda rows, row: okx_orders.fill(rows, row, spread=True),
}
_QUERIES: Final[dict[str, Callable[[Rows, Row], str | None]]] = {
    "orders": lambda rows, row: okx_orders.order(rows, RESPONSE, row),
    "fills": _CHANNELS["fills"],
    "algos": lambda rows, row: okx_orders.algo_order(rows, RESPONSE, row),
    "sprd-orders": lambda rows, row: okx_orders.order(rows, RESPONSE, row, spread=True),
    "sprd-trades": _CHANNELS["sprd-trades"],
}


def marked(payload: bytes) -> bool:
    """Whether a message of the server may be about orders, or tells something of the connection or of instruments.

    It is called for every message, so market data leaves after one search and one comparison.
    """
    if b'rdId"' in payload:
        return True
    if payload.startswith(_PUSHED):
        return b'instIdCode"' in payload
    return any(map(payload.__contains__, _WORDS)) or _OLD_ORDERS.search(payload) is not None


class OkxDecoder(VenueDecoder):
    """Decodes one connection; remembers the requests and calls that await an answer."""

    __slots__ = ("_calls", "_instruments", "_pending", "_sbe", "_sbe_told")

    wanted_text = staticmethod(marked)
    wanted_binary = staticmethod(inflated(marked))

    def __init__(self, facts: ConnectionFacts) -> None:
        super().__init__(facts)
        self._instruments = Instruments(facts, NAME)
        self._pending: Pending[Request] = Pending()
        self._calls: Calls[Request] = Calls()
        self._sbe = "sbe" in (facts.path or "")
        self._sbe_told = False

    def wanted(self, sender: Sender, opcode: int) -> Callable[[bytes], bool]:
        """As `Decoder.wanted`. SBE is not inflated."""
        return always if self._sbe and opcode == OPCODE_BINARY else super().wanted(sender, opcode)

    def _websocket(self, message: Message) -> Decoded | None:
        if message.opcode == OPCODE_BINARY and self._sbe:
            told, self._sbe_told = self._sbe_told, True
            return None if told else Decoded(OTHER, [], [], _SBE)
        payload = inflate(message.payload)
        if payload in (b"ping", b"pong"):
            return None
        return self._request(message, payload) if message.sender == "client" else self._push_or_answer(message, payload)

    def _unread(self, message: Message) -> str | None:
        if message.sender == "client" and message.opcode != OPCODE_HTTP and b"rder" not in message.payload:
            return None
        return super()._unread(message)

    # --- websocket ---

    def _request(self, message: Message, payload: bytes) -> Decoded | None:
        document = parse_object(payload)
        op, args = text(document, "op"), document.get("args")
        if op == "login":
            if type(args) is list and args:  # v3 lists the key itself
                self._accounts.key(args[0].get("apiKey") if type(args[0]) is dict else args[0], login=True)
            return Decoded(LOGIN, [], [])
        if op not in ACTIONS:
            if "order" in op or "cancel" in op:
                return Decoded(REQUEST, [], [], "an order operation that is not known")
            return None
        if type(args) is not list or not args:
            raise Broken("field args: not a list of orders")
        request_id = identity(document, "id")
        request, decoded = self._ask(message, op, args, request_id, self.account)
        if request_id is not None:
            self._pending.put(request_id, request)
        return decoded

    def _ask(
        self, message: Message, op: str, args: list[Any], request_id: str | None, account: str | None
    ) -> tuple[Request, Decoded]:
        """A request to be joined to its answer, and its meaning."""
        rows = Rows(message, NAME, account)
        problem = okx_requests.ask(rows, op, args, request_id, self._instruments)
        decoded = rows.decoded(REQUEST, problem or (None if rows.orders else "a request that names no order"))
        return Request(op, rows.to_join_by_ordinal(len(args)), account), decoded

    def _push_or_answer(self, message: Message, payload: bytes) -> Decoded | None:
        document = parse_object(payload)
        if "event" in document:
            return self._event(message, document)
        if "op" in document:
            request_id = identity(document, "id")
            request = self._pending.take(request_id)
            op = text(document, "op")
            if op not in ACTIONS or (request is not None and request.op != op):
                raise Broken("an answer to an operation that is not known")
            return self._answer(message, op, request, request_id, document)
        if "table" in document:
            unit = okx_v3.TABLES.get(text(document, "table"))
            if unit is None:
                return Decoded(OTHER, [], [], _OLD)
            rows = Rows(message, NAME, self.account)
            return self._told(rows, UPDATE, lambda rows, row: okx_v3.order(rows, row, unit), document)
        arg = document.get("arg")
        if type(arg) is not dict:
            raise Broken("field arg: not an object")
        channel = text(arg, "channel")
        if channel == "instruments":
            return self._learned(document)
        if channel not in _CHANNELS:
            return None
        return self._told(Rows(message, NAME, self.account), UPDATE, _CHANNELS[channel], document)

    def _event(self, message: Message, document: Row) -> Decoded | None:
        """Login and subscriptions; an error may be the answer to an order request, which it names by its id or repeats."""
        event = document.get("event")
        if event == "login":
            return Decoded(LOGIN, [], [])
        if event != "error":
            return None
        repeated = okx_requests.repeated(document) if document.get("id") is None else {}
        op = optional_text(repeated, "op")
        if repeated:
            if op not in ACTIONS:
                return None
            document = {**document, "msg": okx_requests.ILLEGAL}  # the rest is no reason, and may hold a secret
        request_id = identity(document, "id") or identity(repeated, "id")
        request = self._pending.take(request_id) if request_id is not None else None
        if request is not None and op not in (None, request.op):
            request = None
        op = op or (request.op if request is not None else None)
        return None if op is None else self._answer(message, op, request, request_id, document)

    def _answer(self, message: Message, op: str, request: Request | None, request_id: str | None, document: Row) -> Decoded:
        rows = Rows(message, NAME, request.account if request else self.account)
        failed = message.http is not None and (message.http.status or 0) >= 500
        problem = okx_requests.answer(rows, op, request, request_id, document, failed)
        return rows.decoded(RESPONSE, problem or (None if rows.orders else "an answer that names no order"))

    @staticmethod
    def _told(rows: Rows, kind: str, read: Callable[[Rows, Row], str | None], document: Row) -> Decoded | None:
        """The orders or fills of `data`; one that cannot be read leaves the others as they are."""
        data = document.get("data")
        if type(data) is not list:
            raise Broken("field data: not a list")
        problem = None
        for row in data:
            try:
                if type(row) is not dict:
                    raise Broken("an order that is no object")
                problem = read(rows, row) or problem
            except Broken as error:
                problem = problem or str(error)
        return rows.decoded_if_any(kind, problem)

    def _learned(self, document: Row) -> Decoded | None:
        """Symbols by number, from an instrument list; the message is kept if it held news."""
        data = document.get("data")
        news = False
        for row in data if type(data) is list else ():
            if type(row) is dict and type(row.get("instId")) is str and type(row.get("instIdCode")) in (int, str):
                news |= self._instruments.learn(row["instIdCode"], row["instId"])
        return Decoded(REFERENCE, [], []) if news else None

    # --- REST ---

    def _call(self, message: Message, head: HttpHead) -> Decoded | None:
        account = self._accounts.key(header(head, "ok-access-key"))
        verb, path = _call_of(head)
        op = REST.get((verb, path))
        request = Request(op or "", (), account)
        try:
            if op in ACTIONS:
                body = parse(message.payload)
                request, decoded = self._ask(message, op, body if type(body) is list else [body], None, account)
                return decoded
            if op is None and verb == "POST" and path.startswith(_TRADE_PATHS) and path not in NO_ORDERS:
                raise Broken(f"an order call that is not known: {verb} {path}")
            return None
        finally:
            self._calls.put(head, request)

    def _call_answer(self, message: Message, head: HttpHead) -> Decoded | None:
        request = self._calls.take(head)
        op = REST.get(_call_of(head))
        if op is None:
            return None
        document = parse_object(message.payload)
        if op in ACTIONS:
            return self._answer(message, op, request, None, document)
        if op == "instruments":
            return self._learned(document)
        if document.get("code") != okx_requests.DONE:
            return None
        rows = Rows(message, NAME, request.account if request else self.account)
        return self._told(rows, RESPONSE, _QUERIES[op], document)


def _call_of(head: HttpHead) -> tuple[str, str]:
    return head.method or "", (head.target or "").partition("?")[0]


def _looks_old(payload: bytes) -> bool:
    try:
        payload = inflate(payload)
    except Broken:
        return False
    return _OLD_ORDERS.search(payload) is not None and b'"instrument_id"' in payload


class Okx(ListedVenue):
    """The venue, as in `base.Venue`."""

    def owns_path(self, path: str) -> bool:
        """Those of the websocket API."""
        return path.startswith(WS_PATHS)

    def looks_like(self, sender: Sender, payload: bytes) -> bool:
        """Orders with OKX's short names, an order operation, or the result of one."""
        if sender == "client":
            return _ORDER_OP.search(payload) is not None and (b'"instId' in payload or b'"sprdId"' in payload)
        if b'ordId"' not in payload:
            return _looks_old(payload)
        return (b'"instId"' in payload and b'"fillSz"' in payload) or (b'"sCode"' in payload and b'"op"' in payload)


VENUE: Final = Okx(NAME, HOSTS, _SECRETS, OkxDecoder)

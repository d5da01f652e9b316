"""HTX (Huobi): spot, and USDT-M and coin-M contracts, over websockets and REST.

Hosts      api.huobi.pro, api-aws.huobi.pro, api.htx.com (spot); api.hbdm.com, api.hbdm.vn, api.btcgateway.pro (contracts).
Channels   /ws/v2 is private and plain text: {"action": "push", "ch", "data"} of `orders#<symbol>` (events of orders) and
           `trade.clearing#<symbol>` (trades with their fees). /ws/trade takes orders: {"cid", "ch", "params"}, answered by
           {"cid", "status", "data"}. /linear-swap-notification, /swap-notification and /notification push contracts: {"op":
           "notify", "topic": "orders_cross.<contract>", ...}, the order beside the topic. /ws/v5/notification pushes USDT-M
           contracts of version 5: {"op": "notify", "topic": "orders", "data"}, and /linear-swap-trade takes their orders
           (`htx_v5.py`). /ws, /feed and /linear-swap-ws are market data. All but /ws/v2 and /ws/trade send gzip in binary
           frames, each on its own.
Markers    `orders`, `clearing#`, `"trade`, `"cid"`, what answers without it have; market data has a `"tick"`, as none of these.
Identity   An order: orderId; a conditional one has only a clientOrderId until it triggers. A fill: tradeId; of contracts
           `id`, since their trade_id is shared by all trades of one taker order.
Times      Milliseconds: tradeTime, lastActTime, orderCreateTime; `ts` of contracts.
Pitfalls   - Side and order type are one word (`buy-limit-maker`); conditional orders say `orderSide` instead.
           - A market order to buy counts the quote currency.
           - A trade is told by `orders#` without and by `trade.clearing#` with its fee; both have its tradeId.
           - A fee may be paid in points (`feeDeduct`). Fees of contracts are below zero when paid.
           - Answers hold an id, or one for each order "in same order of the request"; refusals hold none.
           - REST has the access key and the signature in the query.
Docs       https://www.htx.com/en-us/opend/newApiPages/ (Spot: Trading, Conditional Order, Websocket Account and Order,
           Websocket Trade; USDT-M futures: Swap Trade Interface, WebSocket Subscriptions; version 5: see `htx_v5.py`)
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from sniffer.exchanges import htx_requests as requests
from sniffer.exchanges import htx_v5
from sniffer.exchanges.base import LOGIN, REQUEST, RESPONSE, UPDATE, ConnectionFacts, Decoded, Pending, Rows, never
from sniffer.exchanges.calls import Calls, parameters, path_and_query
from sniffer.exchanges.fields import optional_amount, request_id_of
from sniffer.exchanges.htx_answers import Answer
from sniffer.exchanges.htx_orders import Told
from sniffer.exchanges.htx_requests import Call, Request
from sniffer.exchanges.inflate import inflate, inflated
from sniffer.exchanges.jsontext import Row, parse, parse_object
from sniffer.exchanges.numbers import Broken
from sniffer.exchanges.redact import Secrets
from sniffer.exchanges.venue import ListedVenue, VenueDecoder
from sniffer.model import OPCODE_BINARY, OPCODE_HTTP, HttpHead, Message, Sender

NAME: Final = "htx"
HOSTS: Final = (
    "api.huobi.pro", "api-aws.huobi.pro", "api.htx.com", "api-aws.htx.com", "api.hbdm.com", "api.hbdm.vn", "api.btcgateway.pro",
)  # fmt: skip
MARKET_PATHS: Final = frozenset(("/ws", "/feed", "/linear-swap-ws", "/swap-ws", "/ws_index"))

_SECRETS: Final = Secrets(("accessKey", "AccessKeyId", "signature"))
_PUSH: Final = re.compile(rb'"(?:ch|topic)"\s*:\s*"(?:orders#|trade\.clearing#|(?:match)?[oO]rders(?:_cross)?\.)')
_PUSH_V5: Final = re.compile(rb'"topic"\s*:\s*"(?:(?:match_|algo_)?orders|trade(?:_detail)?)"')
_OPERATION_V5: Final = re.compile(rb'"op"\s*:\s*"(?:%s)"' % "|".join(htx_v5.OPERATIONS).encode())
_TRADES_V5: Final = frozenset(("trade", "trade_detail"))
_ORDERS_V5: Final = frozenset(("orders", "match_orders", "algo_orders"))
_ANSWER: Final = frozenset(("status", "data", "code"))
"""What the answer to an operation has, one of them at least."""
_NO_ANSWER: Final = frozenset(("action", "op", "topic", "id", "subbed", "unsubbed", "rep", "tick"))
"""What answers to subscriptions and queries have, and market data."""
_ORDER_CALL: Final = re.compile(rb'"(?:ch|op)"\s*:\s*"(?:create[-_](?:cross_)?(?:margin-)?(?:batch)?order)"')
_MARKERS: Final = (
    *(b"orders", b"Orders", b"clearing#", b"trigger_order", b'"trade', b'"cid"'),
    *(b'order_id"', b'orderId"', b'"message"', b'err-code"', b'err_code"'),  # answers to requests that had no cid
)


def marked(payload: bytes) -> bool:
    """Whether a message of the server may be about orders, or is an answer: 0.2 us for 500 bytes of market data."""
    if b'"tick"' in payload:
        return False
    return any(map(payload.__contains__, _MARKERS))


class HtxDecoder(VenueDecoder):
    """Decodes one connection; remembers the requests and calls that await an answer."""

    __slots__ = ("_calls", "_market_only", "_pending")

    wanted_text = staticmethod(marked)
    wanted_binary = staticmethod(inflated(marked))

    def __init__(self, facts: ConnectionFacts) -> None:
        super().__init__(facts)
        self._pending: Pending[Request] = Pending()
        self._calls: Calls[Request] = Calls()
        self._market_only = (facts.path or "").partition("?")[0].rstrip("/") in MARKET_PATHS

    def wanted(self, sender: Sender, opcode: int) -> Callable[[bytes], bool]:
        """As `Decoder.wanted`. A path of market data spares the inflating."""
        return never if self._market_only and opcode != OPCODE_HTTP else super().wanted(sender, opcode)

    def _websocket(self, message: Message) -> Decoded | None:
        document = parse_object(inflate(message.payload))
        return self._request(message, document) if message.sender == "client" else self._push_or_answer(message, document)

    def _unread(self, message: Message) -> str | None:
        if message.opcode == OPCODE_HTTP:
            return super()._unread(message)
        try:
            payload = inflate(message.payload)
        except Broken:  # orders, for all we know
            payload = message.payload
        if message.sender == "client":
            return REQUEST if b'"cid"' in payload or _ORDER_CALL.search(payload) or _OPERATION_V5.search(payload) else None
        if b'"cid"' in payload:
            return RESPONSE
        unread = message.opcode == OPCODE_BINARY and not payload.isascii()
        return UPDATE if unread or marked(payload) else None

    # --- websocket ---

    def _push_or_answer(self, message: Message, document: Row) -> Decoded | None:
        if document.get("ch") == "auth" or document.get("op") == "auth":
            return Decoded(LOGIN, [], [])
        if document.get("action") == "push" or document.get("op") == "notify":
            return self._push(message, document)
        if not document.keys() & _ANSWER or document.keys() & _NO_ANSWER:
            return None
        request_id = request_id_of(document, "cid")
        return self._answered(message, self._pending.take(request_id), request_id, document)

    def _push(self, message: Message, document: Row) -> Decoded | None:
        told = Told(Rows(message, NAME, self._accounts.current), UPDATE)
        channel, data = document.get("ch", document.get("topic")), document.get("data")
        if type(channel) is not str:
            raise Broken("field ch or topic: not a text")
        if channel.startswith("orders#"):
            told.part(told.order_push, data)
        elif channel.startswith("trade.clearing#"):
            told.part(told.clearing, data)
        elif channel in _ORDERS_V5 | _TRADES_V5:
            read = _trade_v5 if channel in _TRADES_V5 else _order_v5
            for row in data if type(data) is list else [] if data is None else [data]:  # none: a snapshot of nothing
                told.part(partial(read, told.rows), row)
        elif channel.lower().startswith(("orders", "matchorders")):
            told.part(told.contract, document)
        elif channel.startswith("trigger_order"):
            raise Broken("a conditional order of contracts, which is not read")
        return told.decoded()

    def _request(self, message: Message, document: Row) -> Decoded | None:
        if document.get("ch") == "auth" or document.get("op") == "auth":
            params = document.get("params", document)
            if type(params) is dict:
                self._accounts.key(params.get("accessKey", params.get("AccessKeyId")), login=True)
            return Decoded(LOGIN, [], [])
        op = document.get("op")
        v5 = htx_v5.OPERATIONS.get(op) if type(op) is str else None
        call, params = (v5, document.get("data")) if v5 is not None else requests.operation(document)
        if call is None:
            return None
        request_id = request_id_of(document, "cid")
        request, decoded = self._ask(message, call, params, self._accounts.current, request_id)
        self._pending.put(request_id, request)
        return decoded

    @staticmethod
    def _ask(
        message: Message, call: Call, params: Any, account: str | None, request_id: str | None = None
    ) -> tuple[Request, Decoded | None]:
        """A request to be joined to its answer, and its meaning; one of several orders that is broken leaves the others."""
        rows = Rows(message, NAME, account)
        decoded = None
        if call.action is not None:
            ask = htx_v5.ask if call in htx_v5.CALLS else requests.ask
            decoded = rows.all_or_none(lambda: ask(rows, call, params, request_id))
        return Request(call, rows.to_join(), account), decoded

    def _answered(self, message: Message, request: Request | None, request_id: str | None, document: Row) -> Decoded | None:
        failed = message.http is not None and (message.http.status or 200) >= 500
        told = Answer(Rows(message, NAME, request.account if request else self.account), request, request_id, failed)
        told.part(told.answered, document)
        decoded = told.decoded()
        asked = request is not None and request.call is not None and request.call.action is not None
        if decoded is None and (asked or request is None) and document.get("data") not in ([], {}, None):
            raise Broken("an answer to an order request that names no order")
        return decoded

    # --- REST ---

    def _call(self, message: Message, head: HttpHead) -> Decoded | None:
        path, query = path_and_query(head)
        request = Request(None, (), None)
        try:
            call, said = _rest_call(head.method, path)
            if call is None:
                return None
            account = self._accounts.key(parameters(query).get("AccessKeyId"))
            params: Any = parse(message.payload) if message.payload.strip() else {}
            if said:
                params = {**params, **said} if type(params) is dict else said
            request, decoded = self._ask(message, call, params, account)
            return decoded
        finally:  # each call takes its place in the queue, a broken one too
            self._calls.put(head, request)

    def _call_answer(self, message: Message, head: HttpHead) -> Decoded | None:
        request = self._calls.take(head)
        if request is None:
            call, _ = _rest_call(head.method, (head.target or "").partition("?")[0])
            request = Request(call, (), self.account)
        if request.call is None:
            return None
        return self._answered(message, request, None, parse_object(message.payload))


class Htx(ListedVenue):
    """The venue, as in `base.Venue`."""

    def looks_like(self, sender: Sender, payload: bytes) -> bool:
        """A push of orders or of trades, compressed or not, or an order operation."""
        if sender == "client":
            if _ORDER_CALL.search(payload) is not None:
                return True
            return b'"contract_code"' in payload and _OPERATION_V5.search(payload) is not None
        if payload.startswith(b"\x1f\x8b"):
            try:
                payload = inflate(payload)
            except Broken:
                return False
        if _PUSH_V5.search(payload) is not None:
            return b'"notify"' in payload and b'"contract_code"' in payload
        return _PUSH.search(payload) is not None and (b'"push"' in payload or b'"notify"' in payload)


VENUE: Final = Htx(NAME, HOSTS, _SECRETS, HtxDecoder)


def _rest_call(verb: str | None, path: str) -> tuple[Call | None, Row]:
    """As `htx_requests.rest_call`, of all versions."""
    return (htx_v5.rest_call(verb, path), {}) if path.startswith(htx_v5.PATHS) else requests.rest_call(verb, path)


def _order_v5(rows: Rows, row: Row) -> None:
    """An order, and of `match_orders` the trade that is its news."""
    htx_v5.order(rows, UPDATE, row)
    if "match_time" in row and optional_amount(row, "trade_volume"):
        htx_v5.trade(rows, row, at="match_time")


def _trade_v5(rows: Rows, row: Row) -> None:
    htx_v5.trade(rows, row)

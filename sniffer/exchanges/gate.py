"""Gate API v4: spot, perpetual and delivery futures, and options, over websocket and REST.

Hosts      api.gateio.ws (/ws/v4/ spot; REST), fx-ws.gateio.ws (/v4/ws/usdt, btc, delivery), op-ws.gateio.live (options),
           fx-api.gateio.ws (REST of futures), ws-testnet.gate.com and the other test nets.
Channels   Pushes {"time", "channel", "event": "update", "result": [...]}: spot.orders, spot.orders_v2, spot.usertrades,
           spot.usertrades_v2, futures.orders, futures.usertrades, options.orders, options.usertrades. Requests of the WebSocket
           API {"channel": "spot.order_place", "event": "api", "payload": {"req_id", "req_param"}}, answers {"request_id",
           "header", "data": {"result" or "errs"}}; a placement is acknowledged first ("ack": true), with its own payload.
Markers    orders", usertrades, order_... in the channel, "header". spot.order_book_update is market data.
Identity   An order: its `id`; `text` is the trader's when it begins with t-. A fill: the `id` of a user trade.
Times      Milliseconds in ..._ms, in pushes as text with a fraction too; else seconds, as a number with a fraction.
Pitfalls   - `size` of contracts is a number with a sign, below zero for a sale; price 0 is a market order.
           - A market order to buy on spot has `amount` and `left` in quote currency.
           - How an order ended stands in `finish_as`, whether in `status` or `event`.
           - A result of a batch that failed has `succeeded` false, `label` and `message`.
           - Every private subscription holds an API key and a signature (`auth`), and answers echo keys.
Docs       https://www.gate.com/docs/developers/apiv4/ws/en/, https://www.gate.com/docs/developers/futures/ws/en/,
           https://www.gate.com/docs/developers/apiv4/en/
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any, Final

from sniffer.exchanges import gate_orders, gate_requests
from sniffer.exchanges.base import LOGIN, OTHER, REQUEST, RESPONSE, UPDATE, ConnectionFacts, Decoded, Pending, Rows
from sniffer.exchanges.calls import Calls, header, parameters, path_and_query
from sniffer.exchanges.fields import each, identity, optional_text, text
from sniffer.exchanges.gate_requests import ACTIONS, ORDERS, TRADES, Request, rest_call
from sniffer.exchanges.jsontext import Row, parse, parse_object
from sniffer.exchanges.numbers import Broken
from sniffer.exchanges.redact import Secrets
from sniffer.exchanges.venue import ListedVenue, VenueDecoder
from sniffer.model import OPCODE_BINARY, OPCODE_HTTP, HttpHead, Message, Sender

NAME: Final = "gate"
HOSTS: Final = (
    "api.gateio.ws", "fx-ws.gateio.ws", "fx-api.gateio.ws", "op-ws.gateio.live", "ws.gate.io", "ws.gateio.ws",
    "webws.gateio.live", "fx-webws.gateio.live", "api.gate.io", "api.gate.com", "ws-testnet.gate.com", "ws-testnet.gate.io",
    "fx-ws-testnet.gateio.ws", "op-ws-testnet.gateio.live", "api-testnet.gateapi.io", "fx-api-testnet.gateio.ws",
)  # fmt: skip
_WS_PATH: Final = re.compile(r"/ws/v4/?|/v4/ws/(?:usdt|btc|usd|delivery|spot|futures|options)(?:/.*)?")
_REST_PATH: Final = "/api/v4/"

_SECRETS: Final = Secrets(("KEY", "SIGN", "api_key", "signature", "apikey", "Cookie"))

_MARKETS: Final = frozenset(("spot", "futures", "delivery", "options"))
_PUSHES: Final = frozenset(("orders", "orders_v2"))
_TRADE_PUSHES: Final = frozenset(("usertrades", "usertrades_v2"))
_TRIGGERS: Final = frozenset(("priceorders", "autoorders"))
_TRIGGERED: Final = "price-triggered orders are not decoded; the orders that they bring forth are"
_SBE: Final = "SBE: a binary format, of orders too, that is not decoded; have the client leave /sbe out of the path"
_MARKET_PUSH: Final = re.compile(
    rb'\{(?:"time(?:_ms)?":\d+,)*"channel":"\w+\.(?!orders|usertrades|priceorders|autoorders)\w+","event":"update"'
).match
_WORDS: Final = (b"orders", b"usertrades", b'"header"', b"request_id")
_ORDER_OP: Final = re.compile(rb'"channel"\s*:\s*"(?:spot|futures|options)\.order_(?:batch_)?(?:place|cancel|amend)')
_ORDER_PUSH: Final = re.compile(
    rb'"channel"\s*:\s*"(?:spot|futures|options)\.(?:orders|usertrades|order_(?:batch_)?(?:place|cancel|amend))'
)


def marked(payload: bytes) -> bool:
    """Whether a message of the server may be about orders, or is an answer of the WebSocket API.

    It is called for every message: the pushes of market data, as Gate writes them, leave by their first bytes.
    """
    return _MARKET_PUSH(payload) is None and any(map(payload.__contains__, _WORDS))


class GateDecoder(VenueDecoder):
    """Decodes one connection; remembers the requests and calls that await an answer."""

    __slots__ = ("_calls", "_pending", "_sbe_told")

    wanted_text = staticmethod(marked)

    def __init__(self, facts: ConnectionFacts) -> None:
        super().__init__(facts)
        self._pending: Pending[Request] = Pending()
        self._calls: Calls[Request] = Calls()
        self._sbe_told = False

    def _websocket(self, message: Message) -> Decoded | None:
        if message.opcode == OPCODE_BINARY and not message.payload.startswith(b"{"):
            told, self._sbe_told = self._sbe_told, True
            return None if told else Decoded(OTHER, [], [], _SBE)
        return self._request(message) if message.sender == "client" else self._push_or_answer(message)

    def _unread(self, message: Message) -> str | None:
        payload = message.payload
        if message.opcode != OPCODE_HTTP and b"order" not in payload and b"usertrades" not in payload:
            return None
        return super()._unread(message)

    # --- the WebSocket API ---

    def _request(self, message: Message) -> Decoded | None:
        document = parse_object(message.payload)
        market, _, op = text(document, "channel").partition(".")
        payload, auth = document.get("payload"), document.get("auth")
        if type(auth) is dict:  # a subscription
            self._accounts.key(auth.get("KEY"))
        if document.get("event") != "api" or market not in _MARKETS:
            return None
        if type(payload) is not dict:
            raise Broken("field payload: not an object")
        account = self._accounts.key(payload.get("api_key"), login=op == "login")
        if op == "login":
            return Decoded(LOGIN, [], [])
        if op in ORDERS:
            request, decoded = Request(op, (), account), None
        elif op in ACTIONS:
            request, decoded = self._ask(message, market, op, payload.get("req_param"), identity(payload, "req_id"), account)
        else:
            return Decoded(REQUEST, [], [], "an order operation that is not known") if "order" in op else None
        self._pending.put(identity(payload, "req_id"), request)
        return decoded

    @staticmethod
    def _ask(
        message: Message, market: str, op: str, params: Any, request_id: str | None, account: str | None
    ) -> tuple[Request, Decoded]:
        """A request to be joined to its answer, and its meaning."""
        rows = Rows(message, NAME, account)
        problem = gate_requests.ask(rows, market, op, params, request_id)
        decoded = rows.decoded(REQUEST, problem or (None if rows.orders else "a request that names no order"))
        size = len(params) if type(params) is list else 1
        return Request(op, rows.to_join_by_ordinal(size), account), decoded

    def _push_or_answer(self, message: Message) -> Decoded | None:
        document = parse_object(message.payload)
        if "header" in document or "request_id" in document:
            return self._answer(message, document)
        market, _, name = text(document, "channel").partition(".")
        if document.get("event") != "update" or market not in _MARKETS:
            return None
        if name in _TRIGGERS:
            return Decoded(OTHER, [], [], _TRIGGERED)
        if name not in _PUSHES and name not in _TRADE_PUSHES:
            return None
        rows = Rows(message, NAME, self.account)
        result = document.get("result")
        if type(result) is not list:
            raise Broken("field result: not a list")
        return rows.decoded(UPDATE, self._read(rows, result, name in _PUSHES)) if result else None

    @staticmethod
    def _read(rows: Rows, result: list[Any], orders: bool) -> str | None:
        """The orders or trades of a list; one that cannot be read leaves the others as they are."""
        return each(result, partial(gate_orders.order, rows, UPDATE) if orders else partial(gate_orders.fill, rows))

    def _answer(self, message: Message, document: Row) -> Decoded | None:
        header, data = document.get("header"), document.get("data")
        if type(header) is not dict or type(data) is not dict:
            raise Broken("field header or data: not an object")
        result, errors = data.get("result"), data.get("errs")
        request_id = identity(document, "request_id")
        market, _, op = (optional_text(header, "channel") or "").partition(".")
        if op == "login" or (type(result) is dict and "api_key" in result and "req_param" not in result):
            return Decoded(LOGIN, [], [])
        if document.get("ack") is True:  # the answer follows
            request = self._pending.peek(request_id)
            rows = Rows(message, NAME, request.account if request else self.account)
            if request is not None and op in ACTIONS:  # who has not seen the request cannot tell whether the order has ended
                gate_requests.acknowledged(rows, market, op, result, request_id)
            return rows.decoded(RESPONSE) if rows.orders else Decoded(OTHER, [], [])
        request = self._pending.take(request_id)
        op = op or (request.op if request is not None and request.op is not None else "")
        if op not in ACTIONS and op not in ORDERS:
            raise Broken("an answer to an operation that is not known")
        status = identity(header, "status") or ""
        return self._answered(message, op, request, request_id, result, errors, status.startswith("5"))

    def _answered(
        self, message: Message, op: str, request: Request | None, request_id: str | None, result: Any, errors: Any, failed: bool
    ) -> Decoded | None:
        rows = Rows(message, NAME, request.account if request else self.account)
        if type(errors) is dict:
            if op not in ACTIONS:
                return None
            gate_requests.refused(rows, op, request, request_id, errors, failed)
            return rows.decoded(RESPONSE)
        problem = gate_requests.answer(rows, op, request, request_id, result)
        return rows.decoded_if_any(RESPONSE, problem)

    # --- REST ---

    def _call(self, message: Message, head: HttpHead) -> Decoded | None:
        account = self._accounts.key(header(head, "key"))
        request = Request(None, (), account)
        try:
            path, query = path_and_query(head)
            market, op, params = rest_call(head.method, path)
            if op not in ACTIONS:
                return None
            body = parse(message.payload) if message.payload.strip() else {}
            if type(body) is dict:
                body = {**parameters(query), **body, **params}
            request, decoded = self._ask(message, market, op, body, None, account)
            return decoded
        finally:
            self._calls.put(head, request)

    def _call_answer(self, message: Message, head: HttpHead) -> Decoded | None:
        request = self._calls.take(head)
        op = rest_call(head.method, (head.target or "").partition("?")[0]).op
        if op is None:
            return None
        body = parse(message.payload)
        refused = type(body) is dict and "label" in body and "id" not in body
        if op == TRADES:
            rows = Rows(message, NAME, request.account if request else self.account)
            problem = self._read(rows, body, False) if type(body) is list else None
            return rows.decoded_if_any(RESPONSE, problem)
        return self._answered(message, op, request, None, body, body if refused else None, (head.status or 0) >= 500)


class Gate(ListedVenue):
    """The venue, as in `base.Venue`."""

    def owns_path(self, path: str) -> bool:
        """Those of its websockets."""
        return _WS_PATH.fullmatch(path.partition("?")[0]) is not None

    def looks_like(self, sender: Sender, payload: bytes) -> bool:
        """By the names of the channels of orders and user trades."""
        return (_ORDER_OP if sender == "client" else _ORDER_PUSH).search(payload) is not None


VENUE: Final = Gate(NAME, HOSTS, _SECRETS, GateDecoder)

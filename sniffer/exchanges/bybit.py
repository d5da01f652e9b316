"""Bybit v5: private topics, the trade websocket and REST, of bybit.com, its test net and demo, and the regional sites.

Hosts      stream.bybit.com: /v5/private (topics), /v5/trade (order entry), /v5/public/... (market data); api.bybit.com (REST);
           the same of testnet and demo, and of bybit.eu, .tr, .kz, .nl, .id, bybit-tr.com, bybitgeorgia.ge, bytick.com.
Channels   {"topic", "data": [...]}: `order`, `execution`, `execution.fast`, each also by category (`order.linear`), and
           `spread.order`, `spread.execution`. Requests are {"reqId", "op": "order.create", "args": [...]}, answers {"reqId",
           "retCode", "op", "data"}; REST answers {"retCode", "result"}, the same inside.
Markers    `orderId"` or `"retCode"`, or the topic; public topics have none of them.
Identity   An order: orderId. A fill: execId, the same in `execution` and in `execution.fast`, which has no fee.
Times      Milliseconds, as strings. An order's updatedTime may be empty: then createdTime, then the envelope's creationTime.
Pitfalls   - An answer acknowledges alone: the topic `order` tells the outcome. It names the order by ids only, and a refusal by
             none: both are joined to the request by reqId, or by `op`.
           - A batch answers OK outside; each order's code stands in retExtInfo.list, in the order of the request.
           - Not every `execution` is a trade: Funding, Delivery and Settle are not.
           - A second Filled with cancelType CancelByUser is a cancel request that came too late.
           - Inverse quantities count US dollars; a spot market purchase the quote currency, unless marketUnit says not.
           - The login is {"op": "auth", "args": [key, expiry, signature]}: secrets without names.
Docs       https://bybit-exchange.github.io/docs/v5: ws/connect, websocket/trade/guideline, order/*, execution, enum, error,
           spread, websocket/private (order, execution, fast-execution)
"""

from __future__ import annotations

import re
from typing import Final

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
    Pending,
    Rows,
)
from sniffer.exchanges.bybit_answers import Answer, Request
from sniffer.exchanges.bybit_orders import add_execution, add_order, ask
from sniffer.exchanges.calls import Calls, header
from sniffer.exchanges.fields import each, objects, optional_text, text, time
from sniffer.exchanges.jsontext import Row, parse_object
from sniffer.exchanges.numbers import MILLISECONDS, Broken
from sniffer.exchanges.redact import Secrets
from sniffer.exchanges.venue import ListedVenue, VenueDecoder
from sniffer.model import OPCODE_BINARY, OPCODE_HTTP, HttpHead, Message, Sender

NAME: Final = "bybit"

_SITES: Final = (
    "bybit.com", "bytick.com", "bybit.eu", "bybit.nl", "bybit.tr", "bybit-tr.com", "bybit.kz", "bybit.id", "bybitgeorgia.ge",
    "bybit.com.hk", "manepa.jp",
)  # fmt: skip
_NAMES: Final = ("stream", "api", "stream-testnet", "api-testnet", "stream-demo", "api-demo")
HOSTS: Final = tuple(f"{name}.{site}" for site in _SITES for name in _NAMES)
SOCKET_PATHS: Final = ("/v5/private", "/v5/trade", "/v5/public/")

_VERBS: Final = {"create": PLACE, "amend": AMEND, "cancel": CANCEL}
ACTIONS: Final = {
    **{f"order.{verb}{batch}": action for verb, action in _VERBS.items() for batch in ("", "-batch")},
    "order.cancel-all": CANCEL,
}
"""What is asked, by `op`; REST's path says the same with slashes (`/v5/order/create`, `/v5/spread/order/create`)."""
_CALL: Final = re.compile(r"/v5/(?:spread/)?(order)/([a-z\-]+)")
_STATES: Final = re.compile(r"/v5/(?:spread/)?(?:order/(?:realtime|history)|execution/list)")
_NOT_ORDERS: Final = frozenset(("order.pre-check", "order.disconnected-cancel-all"))

_TOPIC_END: Final = 256
"""Where the topic has been told, after a message id of at most some 100 characters."""
_TOPICS: Final = (b'"order"', b'"order.', b'"execution', b'"spread.', b'"strategy"')
_MARKET_PUSH: Final = re.compile(rb'\{"topic":"(?:orderbook|publicTrade|tickers|kline|allLiquidation|liquidation)\.').match
_PRIVATE_TOPICS: Final = frozenset(("order", "execution", "position", "wallet", "greeks", "dcp", "strategy"))
_ORDER_OP: Final = re.compile(rb'"op"\s*:\s*"order\.(?:create|amend|cancel)')
_STRATEGY_CALLS: Final = "/v5/strategy/"
_STRATEGIES: Final = "strategy orders (TWAP, chase, iceberg) are not decoded; the orders that they bring forth are"
_SBE: Final = "SBE: a binary format that is not decoded; have the client use the JSON endpoints"


def _is_public(name: str) -> bool:
    """Topics have a dot (`orderbook.1.BTCUSDT`) or are one of a few words; API keys and signatures neither."""
    return "." in name or name in _PRIVATE_TOPICS or name.isdigit()


_SECRETS: Final = Secrets(
    ("X-BAPI-API-KEY", "X-BAPI-SIGN", "api_key", "apiKey", "sign", "signature"), channels=("args",), public=_is_public
)


def marked(payload: bytes) -> bool:
    """Whether a message of the server may be about orders, or answers one: 0.2 us for 500 bytes of market data."""
    if _MARKET_PUSH(payload):
        return False
    if b'rderId"' in payload or b'"retCode"' in payload:
        return True
    return any(payload.find(topic, 0, _TOPIC_END) >= 0 for topic in _TOPICS)


class BybitDecoder(VenueDecoder):
    """Decodes one connection; remembers the requests and calls that await an answer."""

    __slots__ = ("_calls", "_market_only", "_pending", "_sbe_told")

    wanted_text = staticmethod(marked)

    def __init__(self, facts: ConnectionFacts) -> None:
        super().__init__(facts)
        self._pending: Pending[Request] = Pending()
        self._calls: Calls[Request] = Calls()
        self._market_only = "/public" in (facts.path or "")
        self._sbe_told = False

    def _websocket(self, message: Message) -> Decoded | None:
        if message.opcode == OPCODE_BINARY and not message.payload.startswith(b"{"):
            return self._binary()
        return self._request(message) if message.sender == "client" else self._topic_or_answer(message)

    def _unread(self, message: Message) -> str | None:
        payload = message.payload
        if message.opcode != OPCODE_HTTP:
            if b'"auth"' in payload:
                return LOGIN
            if not (b"order" in payload if message.sender == "client" else marked(payload)):
                return None
            if message.sender == "server" and b'"topic"' not in payload:
                return RESPONSE
        return super()._unread(message)

    def _binary(self) -> Decoded | None:
        """SBE: market streams hold no orders, and are told once."""
        if self._market_only and self._sbe_told:
            return None
        self._sbe_told = True
        return Decoded(OTHER, [], [], _SBE)

    # --- topics ---

    def _topic_or_answer(self, message: Message) -> Decoded | None:
        document = parse_object(message.payload)
        if "topic" not in document:
            return self._answer(message, document)
        topic = text(document, "topic")
        words = topic.removeprefix("spread.").split(".")
        if topic == "strategy":
            return Decoded(OTHER, [], [], _STRATEGIES)
        if words[0] not in ("order", "execution"):
            return None
        rows = Rows(message, NAME, self._accounts.current)
        category = words[-1] if words[-1] in ("spot", "linear", "inverse", "option") else None

        def add(item: Row) -> None:
            if words[0] == "order":
                add_order(rows, UPDATE, item, category, document.get("creationTime"))
            else:
                add_execution(rows, item, category)

        told = rows.decoded_if_any(UPDATE, each(objects(document, "data"), add))
        return told or Decoded(OTHER, [], [])  # funding and settlements alone

    # --- the trade websocket ---

    def _request(self, message: Message) -> Decoded | None:
        document = parse_object(message.payload)
        op = optional_text(document, "op")
        args = document.get("args")
        if op == "auth":
            self._accounts.key(args[0] if type(args) is list and args else None, login=True)
            return Decoded(LOGIN, [], [])
        if op is None or not op.startswith("order."):
            return None
        request_id = optional_text(document, "reqId")
        if op not in ACTIONS:
            return Decoded(REQUEST, [], [], "an order operation that is not known")
        asked = objects(document, "args")
        if len(asked) != 1:
            raise Broken("field args: not one object")
        request, decoded = self._ask(message, op, asked[0], request_id, self._accounts.current)
        self._pending.put(request_id, request)
        return decoded

    def _ask(
        self, message: Message, op: str, params: Row, request_id: str | None, account: str | None
    ) -> tuple[Request, Decoded]:
        """A request to be joined to its answer, and its meaning."""
        rows = Rows(message, NAME, account)

        def add() -> None:
            category = optional_text(params, "category")
            for order in objects(params, "request") if op.endswith("-batch") else [params]:
                ask(rows, ACTIONS[op], order, category, request_id)

        decoded = rows.all_or_none(add, needed=True)
        return Request(ACTIONS[op], rows.to_join(), account), decoded

    def _answer(self, message: Message, document: Row) -> Decoded | None:
        op = optional_text(document, "op")
        if op == "auth":
            return Decoded(LOGIN, [], [])
        if op not in ACTIONS:
            return None
        request_id = optional_text(document, "reqId")
        request = self._pending.take(request_id) if request_id is not None else None
        if request is None or request.action != ACTIONS[op]:
            request = Request(ACTIONS[op], (), self.account)
        header = document.get("header")
        at = time(header, "Timenow", MILLISECONDS) if type(header) is dict and header.get("Timenow") else None
        return Answer(Rows(message, NAME, request.account), request, request_id, at).read(document, document.get("data"))

    # --- REST ---

    def _call(self, message: Message, head: HttpHead) -> Decoded | None:
        op, _ = _asked(head)
        key = header(head, "x-bapi-api-key")
        request = Request(None, (), self._accounts.key(key))
        try:
            if op is None:
                return None
            request, decoded = self._ask(message, op, parse_object(message.payload), None, request.account)
            return decoded
        finally:
            self._calls.put(head, request)

    def _call_answer(self, message: Message, head: HttpHead) -> Decoded | None:
        op, path = _asked(head)
        request = self._calls.take(head)
        if op is None:
            return self._states(message, request) if _STATES.fullmatch(path) else None
        if request is None:
            request = Request(ACTIONS[op], (), self.account)
        document = parse_object(message.payload)
        at = time(document, "time", MILLISECONDS) if document.get("time") is not None else None
        answer = Answer(Rows(message, NAME, request.account), request, None, at, (head.status or 200) >= 500)
        return answer.read(document, document.get("result"))

    def _states(self, message: Message, request: Request | None) -> Decoded | None:
        """The orders or executions that a query answers with."""
        document = parse_object(message.payload)
        result = document.get("result")
        if type(result) is not dict or not result.get("list"):
            return None
        rows = Rows(message, NAME, request.account if request else self.account)

        def add(item: Row) -> None:
            if "execId" in item:
                add_execution(rows, item, optional_text(result, "category"))
            else:
                add_order(rows, RESPONSE, item, optional_text(result, "category"))

        return rows.decoded_if_any(RESPONSE, each(objects(result, "list"), add))


class Bybit(ListedVenue):
    """The venue, as in `base.Venue`."""

    def owns_path(self, path: str) -> bool:
        """Those of its websockets."""
        return path.startswith(SOCKET_PATHS)

    def looks_like(self, sender: Sender, payload: bytes) -> bool:
        """An order or an execution on a topic, or an operation on an order."""
        if sender == "client":
            return _ORDER_OP.search(payload) is not None
        known = b'"orderLinkId"' in payload and (b'"topic"' in payload or b'"op"' in payload)
        return known and (b'"execId"' in payload or b'"orderStatus"' in payload or _ORDER_OP.search(payload) is not None)


VENUE: Final = Bybit(NAME, HOSTS, _SECRETS, BybitDecoder)


def _asked(head: HttpHead) -> tuple[str | None, str]:
    """What a call asks of orders (None: nothing), and its path. Raises `Broken` for an order call that is not known."""
    path = (head.target or "").partition("?")[0]
    call = _CALL.fullmatch(path)
    op = ".".join(call.groups()) if call and head.method == "POST" else None
    if head.method == "POST" and path.startswith(_STRATEGY_CALLS):
        raise Broken(_STRATEGIES)
    if op is None or op in _NOT_ORDERS:
        return None, path
    if op not in ACTIONS:
        raise Broken(f"an order call that is not known: {head.method} {path}")
    return op, path

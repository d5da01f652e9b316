"""Binance USDⓈ-M Futures: WebSocket API, user data events, market streams and REST, with portfolio margin; and COIN-M likewise.

Hosts      ws-fapi.binance.com/ws-fapi/v1 (orders), fstream.binance.com (streams), fapi.binance.com and papi.binance.com (REST);
           COIN-M: ws-dapi, dstream, dapi; the same of the test net (testnet and stream.binancefuture.com) and with `demo-`.
Channels   A user event comes bare, on a path that holds the listen key (`/private/ws/<key>`, `/private/ws?listenKey=<key>`,
           once `/ws/<key>`, portfolio margin `/pm/ws/<key>`), or as {"stream", "data"}. Requests are
           {"id", "method", "params"}, answers {"id", "status", "result" or "error"}; REST has the same parameters in query
           or form, and the bare bodies.
Markers    ORDER_TRADE_UPDATE, TRADE_LITE, ALGO_UPDATE, CONDITIONAL_ORDER_...; in answers `status"` with an id or `error"`.
Identity   An order: (symbol, i). A fill: (symbol, t), in ORDER_TRADE_UPDATE and, without fee, in TRADE_LITE. Conditional (algo)
           orders have ids and client ids of their own (`aid`, `caid`); what they trigger is a new order.
Times      Milliseconds. `T` is the transaction time, `E` when the event was pushed.
Pitfalls   - `c` stays the order's own id on a cancel, unlike on spot.
           - `n` and `N` may be there before any trade: a fill is x = TRADE, or CALCULATED (liquidation), with t > 0.
           - ACCOUNT_UPDATE says "m": "ORDER" and is no order; public `forceOrder` events are others' liquidations.
           - A batch answers 200 with refusals among its orders, in the order of the request.
           - COIN-M quantities are contracts; portfolio margin mixes both (`fs` UM, CM), so the symbol says which.
           - Portfolio margin's stream has spot margin's executionReport too: those rows are binance-spot's.
Docs       https://developers.binance.com/docs/derivatives: usds-margined-futures (websocket-api-general-info, trade,
           user-data-streams, common-definition, error-code), coin-margined-futures, portfolio-margin
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from sniffer.exchanges import binance_spot_updates as spot
from sniffer.exchanges import binance_usdm_requests as calls
from sniffer.exchanges.base import LOGIN, REQUEST, RESPONSE, UPDATE, ConnectionFacts, Decoded, Pending, Rows, never
from sniffer.exchanges.binance_usdm_answers import (
    Answer,
    algo_update,
    order_trade_update,
    strategy_update,
    trade_lite,
    trigger_reject,
)
from sniffer.exchanges.binance_usdm_requests import Request
from sniffer.exchanges.calls import Calls, form_parameters, header
from sniffer.exchanges.fields import request_id_of, text, whole
from sniffer.exchanges.jsontext import Row, parse, parse_object
from sniffer.exchanges.numbers import MILLISECONDS, Broken
from sniffer.exchanges.redact import Secrets
from sniffer.exchanges.venue import ListedVenue, VenueDecoder
from sniffer.model import OPCODE_HTTP, HttpHead, Message, Sender

NAME: Final = "binance-usdm"
COIN_M: Final = "binance-coinm"

_TEST_NETS: Final = ("testnet.binancefuture.com", "stream.binancefuture.com", "fstream.binancefuture.com")
HOSTS: Final = (
    *(f"{name}.binance.com" for name in ("ws-fapi", "fstream", "fstream-auth", "fapi", "papi")),
    *(f"demo-{name}.binance.com" for name in ("ws-fapi", "fstream", "fapi")),
    *_TEST_NETS,
)
COIN_M_HOSTS: Final = (
    *(f"{name}.binance.com" for name in ("ws-dapi", "dstream", "dstream-auth", "dapi", "demo-dstream", "demo-dapi")),
    "dstream.binancefuture.com",
)
_PATHS: Final = {"/ws-fapi/": NAME, "/fapi/": NAME, "/papi/": NAME, "/ws-dapi/": COIN_M, "/dapi/": COIN_M}
"""Paths that no other venue has; the test net serves both venues on one host."""
_ENTRIES: Final = ("/private", "/public", "/market", "/pm")
"""What may stand before `/ws/` in the path of a stream connection."""
_LISTEN_KEY: Final = re.compile(r"[A-Za-z0-9]{40,}")
_EVENT_NAME: Final = re.compile(r"[A-Z_]+")

_UNDERSCORE: Final = ord("_")
_R: Final = ord("R")
_EVENT_WORDS: Final = (b"ORDER_TR", b"TRADE_LITE", b"ALGO_UPDATE")
"""They stand in ORDER_TRADE_UPDATE, CONDITIONAL_ORDER_TRADE_UPDATE and _TRIGGER_REJECT, and the two others."""
_EVENT_HEADS: Final = (b'{"e":"', b'{"stream":"')
_ANSWER_WORDS: Final = (b'rderId"', b'lgoId"', b'"error"', b'Key"')
_EVENTS: Final[dict[str, tuple[str, Callable[[Rows, Row, Row], Decoded]]]] = {
    "ORDER_TRADE_UPDATE": ("o", order_trade_update),
    "ALGO_UPDATE": ("o", algo_update),
    "CONDITIONAL_ORDER_TRADE_UPDATE": ("so", strategy_update),
    "CONDITIONAL_ORDER_TRIGGER_REJECT": ("or", trigger_reject),
}
_COIN_M_SYMBOL: Final = re.compile(rb'"(?:s|symbol)"\s*:\s*"[A-Z0-9]+USD_(?:PERP|\d{6})"')
"""Contracts of COIN-M are quoted in USD and say when they expire; those of USDⓈ-M are quoted in coins (BTCUSDT_260327)."""
_ORDER_CALL: Final = re.compile(rb'"method"\s*:\s*"(?:v\d/)?(?:order\.modify|algoOrder\.\w+)"')


def _is_public(name: str) -> bool:
    """Names of market streams (`btcusdt@depth`, `!bookTicker`) and of events are public; listen keys, alone or `@`, are not."""
    head, at, _ = name.partition("@")
    return name.startswith("!") or _EVENT_NAME.fullmatch(name) is not None or (at != "" and _LISTEN_KEY.fullmatch(head) is None)


_SECRETS: Final = Secrets(
    ("apiKey", "signature", "listenKey", "X-MBX-APIKEY"),
    channels=("stream", "streams", "params", "result"),
    channel_path="/ws/",
    public=_is_public,
)


def marked(payload: bytes) -> bool:
    """Whether a message of the server may be about orders, or tells something of the connection: 0.2 us for market data."""
    if _UNDERSCORE in payload and any(map(payload.__contains__, _EVENT_WORDS)):
        return True
    if _R in payload and b"executionReport" in payload:
        return True
    if payload.startswith(_EVENT_HEADS):
        return False
    # An answer that does not end like JSON has lost its end, and with it perhaps the word.
    return b'tatus"' in payload and (any(map(payload.__contains__, _ANSWER_WORDS)) or not payload.endswith(b"}"))


class BinanceFuturesDecoder(VenueDecoder):
    """Decodes one connection; remembers the requests and calls that await an answer."""

    __slots__ = ("_calls", "_name", "_pending")

    wanted_text = staticmethod(marked)
    wanted_binary = staticmethod(never)

    def __init__(self, name: str, facts: ConnectionFacts) -> None:
        self._name = name
        super().__init__(facts, _LISTEN_KEY)
        self._pending: Pending[Request] = Pending()
        self._calls: Calls[Request] = Calls()
        for channel in _channels_of(facts.path or ""):
            self._accounts.channel(channel)

    def _websocket(self, message: Message) -> Decoded | None:
        return self._request(message) if message.sender == "client" else self._event_or_answer(message)

    def _unread(self, message: Message) -> str | None:
        payload = message.payload
        if message.sender == "client":
            return REQUEST if message.opcode == OPCODE_HTTP or b"rder" in payload else None
        if message.opcode != OPCODE_HTTP and not marked(payload):
            return None
        return UPDATE if any(map(payload.__contains__, _EVENT_WORDS)) else RESPONSE

    # --- events ---

    def _event_or_answer(self, message: Message) -> Decoded | None:
        event = document = parse_object(message.payload)
        account = self._accounts.current
        if "e" not in document and "data" in document:
            stream = document.get("stream")
            account = self._accounts.channel(stream.partition("@")[0] if type(stream) is str else None)
            event = document["data"]
            if type(event) is not dict:
                return None  # a market stream of all symbols
        elif "e" not in document:
            return self._answer(message, document)
        name = event.get("e")
        if type(name) is not str:
            raise Broken("field e: not the name of an event")
        rows = Rows(message, self._name, account)
        if name in _EVENTS:
            key, read = _EVENTS[name]
            order = event.get(key)
            if type(order) is not dict:
                raise Broken(f"field {key}: no object")
            return read(rows, event, order)
        if name == "TRADE_LITE":
            return trade_lite(rows, event)
        if name == "executionReport":  # of a margin order, whose market is the spot one
            return spot.report(Rows(message, "binance-spot", account), event, MILLISECONDS)
        return None

    # --- the WebSocket API ---

    def _request(self, message: Message) -> Decoded | None:
        document = parse_object(message.payload)
        method = text(document, "method").rpartition("/")[2]  # "v2/account.balance" asks for a version
        params = document.get("params")
        if type(params) is list:  # SUBSCRIBE, on a stream connection
            for name in params:
                self._accounts.channel(name.partition("@")[0] if type(name) is str else None)
            return None
        if params is None:
            params = {}
        if type(params) is not dict:
            raise Broken("field params: no object")
        account = self._accounts.key(params.get("apiKey"), login=method in calls.LOGINS)
        request_id = request_id_of(document, "id")
        request, decoded = self._ask(message, method, params, account, request_id)
        self._pending.put(request_id, request)
        return decoded

    def _ask(
        self, message: Message, method: str, params: Row, account: str | None, request_id: str | None = None
    ) -> tuple[Request, Decoded | None]:
        """A request to be joined to its answer, and its meaning."""
        rows = Rows(message, self._name, account)
        decoded = None
        if method in calls.ACTIONS:
            decoded = rows.all_or_none(lambda: calls.ask(rows, method, params, request_id), needed=True)
        elif method in calls.LOGINS:
            decoded = Decoded(LOGIN, [], [])
        elif method.startswith(calls.ORDER_METHODS) and method not in calls.QUERIES | {"order.test"}:
            decoded = Decoded(REQUEST, [], [], "an order method that is not known")
        return Request(method, rows.to_join(), account), decoded

    def _answer(self, message: Message, document: Row) -> Decoded | None:
        if "status" not in document:
            return None  # to SUBSCRIBE and the like
        request_id, status = request_id_of(document, "id"), whole(document, "status")
        request = self._pending.take(request_id)
        result = document.get("result")
        if type(result) is dict:
            if "authorizedSince" in result or (request and request.method in calls.LOGINS):
                return Decoded(LOGIN, [], [])
            self._accounts.granted(result, request.account if request else self.account)
        return self._answered(message, request, request_id, status, result, document.get("error"))

    def _answered(
        self, message: Message, request: Request | None, request_id: str | None, status: int, result: Any, error: Any
    ) -> Decoded | None:
        method = request.method if request else None
        if method is not None and method not in calls.ACTIONS and (error is not None or method not in calls.QUERIES):
            return None
        answer = Answer(Rows(message, self._name, request.account if request else self.account), request, request_id)
        try:
            if error is not None:
                answer.refused(error, status)
            else:
                answer.told(result)
        except Broken as broken:
            answer.problem = answer.problem or str(broken)
        return answer.decoded()

    # --- REST ---

    def _call(self, message: Message, head: HttpHead) -> Decoded | None:
        key = header(head, "x-mbx-apikey")
        request = Request("", (), self._accounts.key(key))
        try:
            method, _, params = calls.rest_call(head.method, head.target)
            if method is None:
                return None
            if method in calls.ACTIONS:  # where both name a parameter, the query counts
                params = {**form_parameters(message.payload), **params}
            request, decoded = self._ask(message, method, params, request.account)
            return decoded
        finally:
            self._calls.put(head, request)

    def _call_answer(self, message: Message, head: HttpHead) -> Decoded | None:
        request = self._calls.take(head)
        method, path, params = calls.rest_call(head.method, head.target)
        if path in calls.LISTEN_KEY_PATHS:
            self._accounts.granted(parse_object(message.payload), request.account if request else self.account)
            return Decoded(LOGIN, [], [])
        if request is None and method is not None:
            request, _ = self._ask(message, method, params, self.account)
        if request is None or not request.method:
            return None
        body = parse(message.payload)
        failed = type(body) is dict and "code" in body and "algoId" not in body
        return self._answered(message, request, None, head.status or 200, body, body if failed else None)


class BinanceFutures(ListedVenue):
    """A venue, as in `base.Venue`."""

    def __init__(self, name: str, hosts: tuple[str, ...]) -> None:
        super().__init__(name, hosts, _SECRETS, partial(BinanceFuturesDecoder, name))

    def recognises(self, host: str | None, path: str | None, port: int | None) -> bool:
        """By the path, where only one venue has it, else by host."""
        told = next((venue for prefix, venue in _PATHS.items() if (path or "").startswith(prefix)), None)
        return told == self.name if told is not None else super().recognises(host, path, port)

    def looks_like(self, sender: Sender, payload: bytes) -> bool:
        """A user event or a request that only Binance's futures have, of the market whose symbol it names.

        Who names no symbol trades USDⓈ-M, as nearly all do.
        """
        if sender == "server":
            found = any(map(payload.__contains__, _EVENT_WORDS)) and b'"e"' in payload
        else:
            found = _ORDER_CALL.search(payload) is not None or (b'"order.place"' in payload and b'"positionSide"' in payload)
        return found and (_COIN_M_SYMBOL.search(payload) is not None) == (self.name == COIN_M)

    def redact_path(self, path: str) -> str:
        """The listen key in `.../ws/<key>`, `streams=` and `listenKey=`, and the secrets of a query."""
        entry = next((entry for entry in _ENTRIES if path.startswith(entry + "/")), "")
        return entry + super().redact_path(path[len(entry) :])


VENUE: Final = BinanceFutures(NAME, HOSTS)
VENUE_COIN_M: Final = BinanceFutures(COIN_M, COIN_M_HOSTS)


def _channels_of(path: str) -> list[str]:
    """The listen keys in a connection's path."""
    head, _, query = path.partition("?")
    names = head.partition("/ws/")[2].split("/")
    for pair in query.split("&"):
        key, _, value = pair.partition("=")
        if key in ("streams", "listenKey"):
            names += value.split("/")
    return [key for key in (name.partition("@")[0] for name in names) if _LISTEN_KEY.fullmatch(key)]

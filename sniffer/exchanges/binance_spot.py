"""Binance Spot: WebSocket API, user data events, market streams and REST, of binance.com, its test nets, and Binance.US.

Hosts      ws-api.binance.com (443 and 9443; orders, user events), stream.binance.com (market data; user events by listen key),
           stream-sbe (market data), api, api1 to api4, api-gcp (REST); the same of the test net and with `demo-`; binance.us.
Channels   A user event comes bare (`/ws/<listen key>`), as {"stream", "data"} (`/stream?streams=`), or as
           {"subscriptionId", "event"} on the WebSocket API. Requests are {"id", "method", "params"}, answers {"id", "status",
           "result" or "error"}; REST has the same parameters in query or form, and the same bodies without the envelope.
Markers    `executionReport`; `status"` with `orderId"` or `error"`. Market data streams hold neither.
Identity   An order: (symbol, i); an update of it: `I`. A fill: (symbol, t). An SOR order may also be filled by allocations,
           which have t = -1 and an id `a` of their own, counted per symbol: it then stands as the trade id.
Times      Milliseconds; microseconds if the URL says timeUnit=MICROSECOND. `T`, the matching engine's time, is the event's time
           (`E` is when it was pushed). Where the URL was not seen, the times of a message have to agree on the unit.
Pitfalls   - On a cancel `c` is the id of the cancel request and `C` the order's own; after an amendment (x = REPLACED) the
             order goes by the new `c`. In answers `clientOrderId` and `origClientOrderId` likewise.
           - A fill is x = TRADE with l > 0 and an id; TRADE_PREVENTION may carry l and L and is none, and an EXPIRED report
             with t = -1 is none.
           - A refusal names no order: it is joined to its request by `id`. A refused place is REJECTED; a refused cancel or
             amendment says nothing about the order. With status 5xx, and some codes, the outcome is unknown.
           - A market order by `quoteOrderQty` has `q` 0 and the quote amount in `Q`.
           - `order.test` is never an order. An average price is not said (Z / z would be ours), so it stays null.
Docs       https://github.com/binance/binance-spot-api-docs: user-data-stream.md, web-socket-api.md, rest-api.md, enums.md,
           errors.md, faqs/order_amend_keep_priority.md, faqs/stp_faq.md, faqs/sor_faq.md
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import unquote

from sniffer.exchanges import binance_spot_requests as calls
from sniffer.exchanges.base import LOGIN, OTHER, REQUEST, RESPONSE, UPDATE, ConnectionFacts, Decoded, Pending, Rows
from sniffer.exchanges.binance_spot_requests import Request
from sniffer.exchanges.binance_spot_responses import Answer
from sniffer.exchanges.binance_spot_updates import report
from sniffer.exchanges.calls import Calls, form_parameters, header
from sniffer.exchanges.fields import request_id_of, text, whole
from sniffer.exchanges.jsontext import Row, parse, parse_object
from sniffer.exchanges.numbers import MICROSECONDS, MILLISECONDS, Broken
from sniffer.exchanges.redact import Secrets
from sniffer.exchanges.venue import ListedVenue, VenueDecoder
from sniffer.model import OPCODE_BINARY, OPCODE_HTTP, HttpHead, Message, Sender

NAME: Final = "binance-spot"

_PRODUCTION: Final = ("ws-api", "stream", "stream-sbe", "api", "api1", "api2", "api3", "api4", "api-gcp")
HOSTS: Final = (
    *(f"{name}.binance.com" for name in _PRODUCTION),
    *(f"demo-{name}.binance.com" for name in ("ws-api", "stream", "stream-sbe", "api")),
    *(f"{name}.testnet.binance.vision" for name in ("ws-api", "stream", "stream-sbe", "api")),
    *(f"{name}.binance.vision" for name in ("testnet", "data-stream", "data-api")),
    *(f"{name}.binance.us" for name in ("ws-api", "stream", "api")),
)
API_PATH: Final = "/ws-api/v3"

_STREAM_PATH: Final = "/ws/"


def _is_market_stream(name: str) -> bool:
    """Names of market streams have an @ (`btcusdt@trade`) or begin with ! (`!miniTicker@arr`); a listen key has neither."""
    return "@" in name or name.startswith("!")


_SECRETS: Final = Secrets(
    ("apiKey", "signature", "listenKey", "listenToken", "token", "X-MBX-APIKEY"),
    channels=("stream", "streams", "params", "result"),
    channel_path=_STREAM_PATH,
    public=_is_market_stream,
)
"""A user event's `stream`, and a subscription to it, is the listen key itself."""
_LISTEN_KEY: Final = re.compile(r"[A-Za-z0-9_\-]{20,}")

_EVENT_HEADS: Final = (b'{"e":"', b'{"stream":"')
_R: Final = ord("R")
_EVENT_NAME_END: Final = 128
"""Where an event's name has come to an end, after a listen key of 64 characters."""
_ANSWER_WORDS: Final = (b'rderId"', b'"error"', b'ptionId"', b'Key"', b'"listStatus"')
"""Order ids, refusals, subscriptions by number (and their events), API and listen keys."""
_OWN_CALL: Final = re.compile(
    rb'"method"\s*:\s*"(?:v3/)?(?:orderList\.|sor\.order\.|openOrders\.|order\.cancelReplace|order\.amend\.)'
)
_PLACE_CALL: Final = re.compile(rb'"method"\s*:\s*"(?:v3/)?order\.place"')
_OWN_WORDS: Final = (
    b'"quoteOrderQty"', b'"icebergQty"', b'"strategyId"', b'"trailingDelta"', b'"LIMIT_MAKER"', b'"STOP_LOSS',
    b'"TAKE_PROFIT_LIMIT"', b'"FULL"',
)  # fmt: skip
"""Of an `order.place` only spot has these parameters, types and values; all others may as well be of Binance's futures."""
_ORDER_ANSWER: Final = (b'"transactTime"', b'"orderId"', b'"clientOrderId"', b'"id"', b'"result"')
_FUTURES_WORDS: Final = (b'"positionSide"', b'"reduceOnly"', b'"workingType"', b'"closePosition"', b'"priceMatch"')
_SBE: Final = "SBE: a binary format that is not decoded; have the client ask for JSON (leave responseFormat=sbe out)"


def marked(payload: bytes) -> bool:
    """Whether a message of the server may be about orders, or tells something of the connection.

    It is called for every message, so market data has to leave soon: 0.2 us for 500 bytes. A search for a word costs 0.2 us,
    for a byte given as a number 0.02 (CPython first tries to make a number of b"R", which takes 0.1), and few market data
    messages have an R.
    """
    if _R in payload and b"executionReport" in payload:
        return True
    if payload.startswith(_EVENT_HEADS):
        return payload.find(b'"listStatus"', 0, _EVENT_NAME_END) >= 0  # no order message: it may be looked for in haste
    # An answer that does not end like JSON has lost its end, and with it perhaps the word.
    return b'tatus"' in payload and (any(map(payload.__contains__, _ANSWER_WORDS)) or not payload.endswith(b"}"))


class BinanceSpotDecoder(VenueDecoder):
    """Decodes one connection; remembers the requests and calls that await an answer."""

    __slots__ = ("_calls", "_market_only", "_pending", "_sbe_told", "_unit")

    wanted_text = staticmethod(marked)

    def __init__(self, facts: ConnectionFacts) -> None:
        super().__init__(facts, _LISTEN_KEY)
        self._pending: Pending[Request] = Pending()
        self._calls: Calls[tuple[str | None, str | None, Request]] = Calls()
        self._market_only = "stream-sbe" in (facts.host or "")
        self._sbe_told = False
        self._unit: int | None = None
        if facts.path is not None:
            self._unit = MICROSECONDS if "timeunit=microsecond" in facts.path.lower() else MILLISECONDS
            for name in _channels_of(facts.path):
                self._accounts.listen_key(name)

    def _websocket(self, message: Message) -> Decoded | None:
        if message.opcode == OPCODE_BINARY and not message.payload.startswith(b'{"'):
            return self._binary(message)
        return self._request(message) if message.sender == "client" else self._event_or_answer(message)

    def _unread(self, message: Message) -> str | None:
        if b"executionReport" in message.payload:
            return UPDATE
        if message.sender == "client":
            return REQUEST if message.opcode == OPCODE_HTTP or b"rder" in message.payload else None
        return RESPONSE if message.opcode == OPCODE_HTTP or marked(message.payload) else None

    # --- events ---

    def _event_or_answer(self, message: Message) -> Decoded | None:
        event = document = parse_object(message.payload)
        account = self._accounts.current
        if "e" not in document:
            if "event" in document:
                account = self._accounts.of_subscription(document.get("subscriptionId"))
                event = document["event"]
            elif "data" in document and "stream" in document:
                account = self._accounts.channel(document["stream"])
                event = document["data"]
            elif "x" not in document:
                return self._answer(message, document)
        if type(event) is not dict:
            raise Broken("an event that is no object")
        name = event.get("e")
        if name == "executionReport":
            return report(Rows(message, NAME, account), event, self._unit)
        if name == "listStatus":  # each order of the list has an executionReport of its own
            return Decoded(OTHER, [], [])
        if type(name) is not str and "x" in event and "X" in event:
            return Decoded(UPDATE, [], [], "field e: not the name of an event")
        return None

    def _binary(self, message: Message) -> Decoded | None:
        """SBE: on the WebSocket API each message may be about orders; SBE market streams hold none, and are told once."""
        if self._market_only:
            if self._sbe_told:
                return None
            self._sbe_told = True
        return Decoded(OTHER, [], [], _SBE)

    # --- the WebSocket API ---

    def _request(self, message: Message) -> Decoded | None:
        document = parse_object(message.payload)
        method = text(document, "method").rpartition("/")[2]  # "v3/order.place" asks for a version
        params = document.get("params")
        if type(params) is list:  # SUBSCRIBE, on a stream connection
            for name in params:
                self._accounts.channel(name)
            return None
        if params is None:
            params = {}
        if type(params) is not dict:
            raise Broken("field params: no object")
        account = self._accounts.key(params.get("apiKey"), login=method in calls.LOGINS)
        request, decoded = self._ask(message, method, params, account, request_id_of(document, "id"))
        self._pending.put(document.get("id"), request)
        return decoded

    @staticmethod
    def _ask(
        message: Message, method: str, params: Row, account: str | None, request_id: str | None = None
    ) -> tuple[Request, Decoded | None]:
        """A request to be joined to its answer, and its meaning."""
        rows = Rows(message, NAME, account)
        decoded = None
        if method in calls.ACTIONS:
            decoded = rows.all_or_none(lambda: calls.ask(rows, method, params, request_id))
        elif method in calls.LOGINS:
            decoded = Decoded(LOGIN, [], [])
        elif method.startswith(calls.ORDER_METHODS) and method not in calls.QUERIES | calls.NOT_ORDERS:
            decoded = Decoded(REQUEST, [], [], "an order method that is not known")
        return Request(method, rows.to_join(), account), decoded

    def _answer(self, message: Message, document: Row) -> Decoded | None:
        request_id, status = request_id_of(document, "id"), whole(document, "status")
        request = self._pending.take(document.get("id"))
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
        rows = Rows(message, NAME, request.account if request else self.account)
        unit = None if message.opcode == OPCODE_HTTP else self._unit  # REST: a header of the call may change it
        answer = Answer(rows, request, request_id, unit)
        try:
            if error is not None:
                answer.refused(error, status)
            else:
                answer.told(result, calls.ACTIONS.get(method or ""))
        except Broken as broken:  # the halves and parts before it stand
            answer.problem = answer.problem or str(broken)
        return answer.decoded()

    # --- REST ---

    def _call(self, message: Message, head: HttpHead) -> Decoded | None:
        key = header(head, "x-mbx-apikey")
        account = self._accounts.key(key)
        request: Request | None = None
        try:
            method, _, params = calls.rest_call(head.method, head.target)
            if method is None:
                return None
            if method in calls.ACTIONS:  # where both name a parameter, the query counts
                params = {**form_parameters(message.payload), **params}
            request, decoded = self._ask(message, method, params, account)
            return decoded
        finally:  # calls and answers of a connection come in turn, so each call takes its place in the queue
            self._calls.put(head, (head.method, head.target, request or Request("", (), account)))

    def _call_answer(self, message: Message, head: HttpHead) -> Decoded | None:
        verb, target, request = self._calls.take(head) or (head.method, head.target, None)
        method, path, params = calls.rest_call(verb, target)
        if path in calls.LISTEN_KEY_PATHS:
            result = parse_object(message.payload)
            self._accounts.granted(result, request.account if request else self.account)
            return Decoded(LOGIN, [], [])
        if method is None:
            return None
        if request is None:
            request, _ = self._ask(message, method, params, self.account)
        body = parse(message.payload)
        refused = type(body) is dict and "code" in body and "msg" in body
        status = head.status or (400 if refused else 200)
        return self._answered(message, request, None, status, body, body if refused else None)


class BinanceSpot(ListedVenue):
    """The venue, as in `base.Venue`."""

    def owns_path(self, path: str) -> bool:
        """That of the WebSocket API, which only Binance Spot has."""
        return path.partition("?")[0].rstrip("/") == API_PATH

    def looks_like(self, sender: Sender, payload: bytes) -> bool:
        """An executionReport, an order request that Binance's futures do not have, or the answer to one without their words."""
        if sender == "server":
            if b"executionReport" in payload:
                return b'"X"' in payload and b'"x"' in payload
            found = all(word in payload for word in _ORDER_ANSWER)
        else:
            own = _PLACE_CALL.search(payload) is not None and any(word in payload for word in _OWN_WORDS)
            found = own or _OWN_CALL.search(payload) is not None
        return found and not any(word in payload for word in _FUTURES_WORDS)


VENUE: Final = BinanceSpot(NAME, HOSTS, _SECRETS, BinanceSpotDecoder)


def _channels_of(path: str) -> list[str]:
    """The stream names in a connection's path that are no market stream's: listen keys."""
    head, _, query = path.partition("?")
    names = head.removeprefix(_STREAM_PATH).split("/") if head.startswith(_STREAM_PATH) else []
    for pair in query.split("&"):
        key, _, value = pair.partition("=")
        if key == "streams":
            names += value.split("/")
    return [name for name in map(unquote, names) if name and not _is_market_stream(name)]

"""KuCoin: classic spot, margin and futures, and unified accounts, over websocket and REST.

Hosts      ws-api-spot, ws-api-futures and others of kucoin.com, with ?token= (classic pushes); wsapi.kucoin.com/v1/private
           (order entry); wsapi-push.kucoin.com (unified pushes); api.kucoin.com, api-futures.kucoin.com (REST); kucoin.eu.
Channels   Classic {"type": "message", "topic", "subject", "data"}: /spotMarket/tradeOrders, /spotMarket/tradeOrdersV2,
           /contractMarket/tradeOrders[:symbol], /spotMarket/advancedOrders, /contractMarket/advancedOrders, /spot/tradeFills.
           Unified {"T", "P", "d"}: orderAll.<type>, execution.<type>. Order entry {"id", "op", "args"}, answered by "data".
Markers    Orders or tradeFills in the topic, orderAll, execution., "op". /market/match is public, and has `type` match too.
Identity   An order: (symbol, orderId). A fill: (symbol, tradeId). An amendment makes a new order: `newOrderId`.
Times      `ts` in nanoseconds, REST in milliseconds, some in either: their size tells the unit.
Pitfalls   - `type` tells what happened, `status` where the order stands; match is a fill, and no fee is said of it.
           - Market orders may be placed for `funds`, an amount of quote currency; contracts are counted.
           - A batch may fail in part: `success` false or a `code` of its own inside a code 200000.
           - The token in a connection's path, and the API key, signature and passphrase in that of order entry, are secrets;
             and so is the bare text with which a client answers the greeting of order entry: a signature.
Docs       https://www.kucoin.com/docs-new/, https://www.kucoin.com/docs/websocket/
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import unquote

from sniffer.config import REDACTED
from sniffer.exchanges import kucoin_orders, kucoin_requests
from sniffer.exchanges.base import LOGIN, REQUEST, RESPONSE, UPDATE, ConnectionFacts, Decoded, Pending, Rows
from sniffer.exchanges.calls import Calls, header, parameters, path_and_query
from sniffer.exchanges.fields import identity, text
from sniffer.exchanges.jsontext import Row, parse, parse_object
from sniffer.exchanges.kucoin_requests import ACTIONS, FILLS, WS_OPS, Request, rest_call
from sniffer.exchanges.numbers import Broken
from sniffer.exchanges.redact import Secrets
from sniffer.exchanges.venue import ListedVenue, VenueDecoder
from sniffer.model import OPCODE_HTTP, HttpHead, Message, Sender

NAME: Final = "kucoin"
_DOMAINS: Final = (".kucoin.com", ".kucoin.eu")
HOSTS: Final = tuple(
    name + domain
    for domain in _DOMAINS
    for name in (
        "api", "api-futures", "openapi-v2", "ws-api", "ws-api-spot", "ws-api-futures", "push-private", "wsapi", "wsapi-push",
    )
)  # fmt: skip

_SECRETS: Final = Secrets(
    ("token", "apikey", "sign", "passphrase", "KC-API-KEY", "KC-API-SIGN", "KC-API-PASSPHRASE", "KC-API-PARTNER-SIGN", "Cookie")
)
_SIGNATURE: Final = re.compile(r"[A-Za-z0-9+/]{40,}={0,2}")
"""The answer to the greeting of order entry: a base64 HMAC, on its own."""
_TOKENS: Final = re.compile(r"/api/v\d/bullet-private")

_MARKET_PUSH: Final = re.compile(
    rb'\{(?:"id":"[^"]*",)?(?:"type":"message",)?"topic":"/(?:market/|indicator/|spotMarket/level|contractMarket/(?!trade|adv))'
    rb'|\{"T":"(?!order|execution)[a-z]\w*\.\w+"'
).match
_WORDS: Final = (b"Orders", b'"op"', b"orderAll", b"execution.", b"tradeFills")
_OWN_PUSH: Final = re.compile(
    rb'"topic"\s*:\s*"/(?:(?:spotMarket|contractMarket)/(?:trade|advanced)Orders|spot/tradeFills)'
    rb'|"T"\s*:\s*"(?:orderAll|execution)\.'
)
_OP: Final = re.compile(rb'"op"\s*:\s*"(?:spot|margin|futures)\.(?:(?:sync_|multi_)?(?:order|cancel)|modify)"')

_TOPICS: Final[dict[str, Callable[[Rows, Row], None]]] = {
    "/spotMarket/tradeOrders": kucoin_orders.change,
    "/spotMarket/tradeOrdersV2": kucoin_orders.change,
    "/contractMarket/tradeOrders": kucoin_orders.change,
    "/spotMarket/advancedOrders": kucoin_orders.stop_order,
    "/contractMarket/advancedOrders": kucoin_orders.stop_order,
    "/spot/tradeFills": kucoin_orders.told_fill,
}
_CHANNELS: Final[dict[str, Callable[[Rows, Row], None]]] = {
    "orderAll": kucoin_orders.unified_order,
    "execution": kucoin_orders.unified_fill,
}


def marked(payload: bytes) -> bool:
    """Whether a message of the server may be about orders.

    It is called for every message: the pushes of market data, as KuCoin writes them, leave by their first bytes.
    """
    return _MARKET_PUSH(payload) is None and any(map(payload.__contains__, _WORDS))


class KucoinDecoder(VenueDecoder):
    """Decodes one connection; remembers the requests and calls that await an answer."""

    __slots__ = ("_calls", "_pending")

    wanted_text = staticmethod(marked)
    wanted_binary = staticmethod(marked)

    def __init__(self, facts: ConnectionFacts) -> None:
        super().__init__(facts)
        self._pending: Pending[Request] = Pending()
        self._calls: Calls[Request] = Calls()
        for name, value in _query(facts.path):
            if name == "token":
                self._accounts.borrowed(value)
            elif name == "apikey":
                self._accounts.key(value)

    def _websocket(self, message: Message) -> Decoded | None:
        if message.sender == "server":
            return self._push_or_answer(message)
        return self._request(message) if message.payload.lstrip().startswith(b"{") else Decoded(LOGIN, [], [])

    def _unread(self, message: Message) -> str | None:
        if message.sender == "client" and message.opcode != OPCODE_HTTP and b'"op"' not in message.payload:
            return None
        return super()._unread(message)

    # --- websocket ---

    def _request(self, message: Message) -> Decoded | None:
        document = parse_object(message.payload)
        if "op" not in document:
            return None
        name = text(document, "op")
        op = WS_OPS.get(name)
        if op is None:
            ours = "order" in name or "cancel" in name or "modify" in name
            return Decoded(REQUEST, [], [], "an order operation that is not known") if ours else None
        request_id = identity(document, "id")
        request, decoded = self._ask(message, op, document.get("args"), request_id, self.account)
        if request_id is not None:
            self._pending.put(request_id, request)
        return decoded

    @staticmethod
    def _ask(message: Message, op: str, body: Any, request_id: str | None, account: str | None) -> tuple[Request, Decoded]:
        """A request to be joined to its answer, and its meaning."""
        rows = Rows(message, NAME, account)
        params = kucoin_requests.listed(body)
        problem = kucoin_requests.ask(rows, op, params, request_id)
        decoded = rows.decoded(REQUEST, problem or (None if rows.orders else "a request that names no order"))
        return Request(op, rows.to_join_by_ordinal(len(params)), account), decoded

    def _push_or_answer(self, message: Message) -> Decoded | None:
        document = parse_object(message.payload)
        rows = Rows(message, NAME, self.account)
        if "T" in document:
            read, data = _CHANNELS.get(text(document, "T").partition(".")[0]), document.get("d")
        elif "topic" in document:
            read, data = _TOPICS.get(text(document, "topic").partition(":")[0]), document.get("data")
            if document.get("type") == "ack":
                return None
        elif "op" in document:
            return self._answer_of_op(message, document)
        else:
            return None
        if read is None:
            return None
        if type(data) is not dict:
            raise Broken("field data: not an object")
        read(rows, data)
        return rows.decoded(UPDATE)

    def _answer_of_op(self, message: Message, document: Row) -> Decoded | None:
        op = WS_OPS.get(text(document, "op"))
        if op is None:
            return None
        request_id = identity(document, "id")
        request = self._pending.take(request_id)
        if request is not None and request.op != op:
            request = None
        return self._answer(message, op, request, request_id, document, False)

    def _answer(
        self, message: Message, op: str, request: Request | None, request_id: str | None, document: Row, failed: bool
    ) -> Decoded:
        rows = Rows(message, NAME, request.account if request else self.account)
        problem = kucoin_requests.answer(rows, op, request, request_id, document, failed)
        return rows.decoded(RESPONSE, problem or (None if rows.orders else "an answer that names no order"))

    # --- REST ---

    def _call(self, message: Message, head: HttpHead) -> Decoded | None:
        account = self._accounts.key(header(head, "kc-api-key"))
        request = Request(None, (), account)
        try:
            path, query = path_and_query(head)
            op, named = rest_call(head.method, path)
            if op not in ACTIONS:
                return None
            body = parse(message.payload) if message.payload.strip() else {}
            if type(body) is dict:
                body = {**parameters(query), **body, **named}
            request, decoded = self._ask(message, op, body, None, account)
            return decoded
        finally:
            self._calls.put(head, request)

    def _call_answer(self, message: Message, head: HttpHead) -> Decoded | None:
        request = self._calls.take(head)
        path = (head.target or "").partition("?")[0]
        if _TOKENS.fullmatch(path):
            data = parse_object(message.payload).get("data")
            if type(data) is dict:
                self._accounts.lend(data.get("token"), request.account if request else self.account)
            return Decoded(LOGIN, [], [])
        op, _ = rest_call(head.method, path)
        if op is None:
            return None
        document = parse_object(message.payload)
        if op in ACTIONS:
            return self._answer(message, op, request, None, document, (head.status or 0) >= 500)
        return self._told(Rows(message, NAME, request.account if request else self.account), op, document.get("data"))

    @staticmethod
    def _told(rows: Rows, op: str, data: Any) -> Decoded | None:
        """The orders or fills that a query answers with; one that cannot be read leaves the others as they are."""
        if type(data) is dict and type(data.get("items")) is list:
            data = data["items"]
        problem = None
        for row in data if type(data) is list else [data]:
            try:
                if type(row) is dict and row:
                    (kucoin_orders.told_fill if op == FILLS else kucoin_orders.queried_order)(rows, row)
            except Broken as error:
                problem = problem or str(error)
        return rows.decoded_if_any(RESPONSE, problem)


def _query(path: str | None) -> list[tuple[str, str]]:
    """The parameters of a connection's path."""
    pairs = (pair.partition("=") for pair in (path or "").partition("?")[2].split("&"))
    return [(name.lower(), unquote(value)) for name, _, value in pairs if value]


class Kucoin(ListedVenue):
    """The venue, as in `base.Venue`."""

    def recognises(self, host: str | None, path: str | None, port: int | None) -> bool:
        """By host: connections are told theirs by REST, and all end alike."""
        return (host or "").lower().rstrip(".").endswith(_DOMAINS)

    def looks_like(self, sender: Sender, payload: bytes) -> bool:
        """By the topics of orders, and by the operations of order entry."""
        return (_OP.search(payload) or (_OWN_PUSH.search(payload) if sender == "server" else None)) is not None

    def redact(self, sender: Sender, text: str) -> str:
        """Tokens, API keys, signatures and passphrases, in JSON and header lines, and a signature on its own."""
        return REDACTED if _SIGNATURE.fullmatch(text.strip().strip('"')) else super().redact(sender, text)


VENUE: Final = Kucoin(NAME, HOSTS, _SECRETS, KucoinDecoder)

"""Hyperliquid: one websocket for events, market data and requests, and two REST paths, of the main and the test net.

Hosts      api.hyperliquid.xyz and api.hyperliquid-testnet.xyz (api-ui too): /ws, POST /exchange, POST /info.
Channels   Events are {"channel", "data"}: `orderUpdates`, `user` (of the subscription userEvents), `userFills`,
           `userTwapSliceFills`, `userTwapHistory`, `userHistoricalOrders`, `openOrders`. Requests are {"method": "post", "id",
           "request": {"type": "action" or "info", "payload"}}, answered on the channel `post`; the payloads are the bodies
           of /exchange and /info.
Markers    `"oid"`, `wapId"`, `"post"`. Market data has none: public trades have a `tid` and no `oid`.
Identity   An order: oid; cloid is the trader's, 128 bits in hex. A modified order gets a new oid. A fill: tid is a hash of
           (buyer oid, seller oid), so "for a globally unique trade id, use (block_time, coin, tid)".
Times      Milliseconds; seconds in the history of TWAP orders.
Pitfalls   - No login: what an event is about was told by the `user` of its subscription. Actions are signed; for whom
             (the vault, or the signer) only `vaultAddress` says.
           - An asset is an index into lists that other messages bring (`meta`, `spotMeta`); sides are B and A, or a boolean.
           - `userFills` begins with a snapshot of old fills, at every subscription.
           - `sz` is what is left; of an order that was cancelled it says nothing.
           - Answers hold no ids of what was asked: their statuses go by ordinal.
           - A fill with tid 0 is a dust conversion: no trade, but balances have moved.
Docs       https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api: websocket/subscriptions, websocket/post-requests,
           exchange-endpoint, info-endpoint, asset-ids
"""

from __future__ import annotations

import re
from typing import Any, Final

from sniffer.exchanges import hyperliquid_requests as calls
from sniffer.exchanges.base import REFERENCE, REQUEST, RESPONSE, UPDATE, Bounded, ConnectionFacts, Decoded, Pending, Rows
from sniffer.exchanges.calls import Calls
from sniffer.exchanges.fields import text
from sniffer.exchanges.hyperliquid_orders import Told
from sniffer.exchanges.hyperliquid_requests import Request
from sniffer.exchanges.instruments import Instruments
from sniffer.exchanges.jsontext import Row, parse, parse_object
from sniffer.exchanges.numbers import Broken
from sniffer.exchanges.redact import Secrets
from sniffer.exchanges.venue import ListedVenue, VenueDecoder
from sniffer.model import OPCODE_HTTP, HttpHead, Message, Sender

NAME: Final = "hyperliquid"
HOSTS: Final = tuple(
    f"{name}.{domain}" for name in ("api", "api-ui") for domain in ("hyperliquid.xyz", "hyperliquid-testnet.xyz")
)

CHANNELS: Final = frozenset(
    (
        "orderUpdates",
        "user",
        "userEvents",
        "userFills",
        "userTwapSliceFills",
        "userTwapHistory",
        "userHistoricalOrders",
        "openOrders",
    )
)
SUBSCRIPTIONS: Final = 64
"""Kinds of subscriptions of one connection whose user is remembered; there are some thirty."""
LONGEST_REASON: Final = 200
"""Bytes of an HTTP error's body that are taken as a reason: the venue's are one line, a proxy's may be a page."""
QUESTIONS: Final = frozenset(
    (
        "openOrders", "frontendOpenOrders", "orderStatus", "historicalOrders", "userFills", "userFillsByTime",
        "userTwapSliceFills", "userTwapSliceFillsByTime", "twapHistory",
    )
)  # fmt: skip
"""`info` requests whose answers tell orders or fills."""
LISTS: Final = frozenset(("meta", "spotMeta", "allPerpMetas", "metaAndAssetCtxs", "spotMetaAndAssetCtxs"))
"""`info` requests whose answers tell which asset is which."""
_SECRETS: Final = Secrets(("signature", "signatures", "nonce"))
_EVENT: Final = re.compile(rb'"channel"\s*:\s*"(?:orderUpdates|userFills|userTwapSliceFills|userHistoricalOrders|user)"')
_MARKET_PUSH: Final = re.compile(rb'\{"channel":"(?:l2Book|trades|bbo|candle|allMids|activeAssetCtx|activeSpotAssetCtx)"').match
_ACTION: Final = re.compile(rb'"action"\s*:\s*\{\s*"type"\s*:\s*"(?:order|cancel|cancelByCloid|modify|batchModify|twap\w+)"')


def marked(payload: bytes) -> bool:
    """Whether a message of the server may be about orders, or is an answer: 0.2 us for 500 bytes of market data."""
    if _MARKET_PUSH(payload):
        return False
    return b'"oid"' in payload or b'"post"' in payload or b'wapId"' in payload


class HyperliquidDecoder(VenueDecoder):
    """Decodes one connection; remembers requests that await an answer, and whose events its subscriptions bring."""

    __slots__ = ("_calls", "_instruments", "_pending", "_users")

    wanted_text = staticmethod(marked)
    wanted_binary = staticmethod(marked)

    def __init__(self, facts: ConnectionFacts) -> None:
        super().__init__(facts)
        self._instruments = Instruments(facts, NAME)
        self._pending: Pending[Request] = Pending()
        self._calls: Calls[Request] = Calls()
        self._users: Bounded[str | None] = Bounded(SUBSCRIPTIONS)

    def _websocket(self, message: Message) -> Decoded | None:
        document = parse_object(message.payload)
        if message.sender == "client":
            return self._asked(message, document)
        return self._answer(message, document) if document.get("channel") == "post" else self._event(message, document)

    def _unread(self, message: Message) -> str | None:
        if message.opcode != OPCODE_HTTP:
            if message.sender == "client":
                return REQUEST if b'"action"' in message.payload else None
            if not marked(message.payload):
                return None
            if b'"post"' in message.payload:
                return RESPONSE
        return super()._unread(message)

    # --- events ---

    def _event(self, message: Message, document: Row) -> Decoded | None:
        channel, data = document.get("channel"), document.get("data")
        if type(channel) is not str:
            raise Broken("field channel: not a text")
        if channel not in CHANNELS:
            return None
        user = data.get("user") if type(data) is dict else None
        account = self._account_of(user) if user is not None else self._users.get(channel, self._accounts.current)
        told = Told(Rows(message, NAME, account), UPDATE)
        if type(data) not in (dict, list):
            raise Broken("field data: neither an object nor a list")
        told.tell(data)
        decoded = told.decoded()
        if decoded is None:
            raise Broken("an event about orders that names none")
        return decoded

    def _account_of(self, address: Any) -> str | None:
        """The account of an address, which is written in either case."""
        return self._accounts.key(address.lower() if type(address) is str else None)

    # --- requests and answers ---

    def _asked(self, message: Message, document: Row) -> Decoded | None:
        method = document.get("method")
        if method == "subscribe":
            wanted = document.get("subscription")
            if type(wanted) is dict and type(wanted.get("type")) is str and wanted.get("user") is not None:
                channel = "user" if wanted["type"] == "userEvents" else wanted["type"]
                self._users[channel] = self._account_of(wanted["user"])
            return None
        if method != "post":
            return None
        request_id, request = document.get("id"), document.get("request")
        if type(request_id) is not int:
            raise Broken("field id: not a whole number")
        if type(request) is not dict:
            raise Broken("field request: not an object")
        payload = request.get("payload")
        if type(payload) is not dict:
            raise Broken("field payload: not an object")
        asked, decoded = self._ask(message, payload, str(request_id))
        self._pending.put(request_id, asked)
        return decoded

    def _ask(self, message: Message, payload: Row, request_id: str | None) -> tuple[Request, Decoded | None]:
        """A request to be joined to its answer, and its meaning. An `info` request has its type where an action has more."""
        action = payload.get("action")
        if action is None:
            question = payload.get("type")
            account = self._account_of(payload.get("user"))
            return Request((), 0, account, question if type(question) is str else ""), None
        if type(action) is not dict:
            raise Broken("field action: not an object")
        if action.get("type") == "multiSig":
            inner = action.get("payload")
            action = inner.get("action") if type(inner) is dict else None
            if type(action) is not dict:
                raise Broken("a multiSig action without an action")
        account = self._account_of(payload.get("vaultAddress"))
        rows = Rows(message, NAME, account)
        size, problem = calls.ask(rows, action, request_id, self._instruments)
        return Request(rows.to_join(), size, account), rows.decoded(REQUEST, problem) if size else None

    def _answer(self, message: Message, document: Row) -> Decoded | None:
        data = document.get("data")
        response = data.get("response") if type(data) is dict else None
        if type(data) is not dict or type(response) is not dict or type(data.get("id")) is not int:
            raise Broken("an answer without an id or a response")
        request = self._pending.take(data["id"])
        kind, payload = text(response, "type"), response.get("payload")
        told = Told(Rows(message, NAME, request.account if request else self.account), RESPONSE, str(data["id"]))
        if kind == "error":
            if type(payload) is not str:
                raise Broken("field payload: not a text")
            if request is not None and request.question is not None:
                return None
            told.refused(payload, request, unknown=payload.startswith("5"))  # it begins with the HTTP status
            return told.decoded()
        if kind == "info":
            question = payload.get("type") if type(payload) is dict else None
            return self._told(told, payload.get("data") if type(payload) is dict else None, question)
        return self._done(told, payload, request)

    def _told(self, told: Told, value: Any, question: Any) -> Decoded | None:
        """The answer to an `info` request; one whose request was not seen is read by its shape."""
        if (question is None or question in LISTS) and calls.learn(self._instruments, value):
            return Decoded(REFERENCE, [], [])
        if question is None or question in QUESTIONS:
            told.tell(value)
        return told.decoded()

    @staticmethod
    def _done(told: Told, answer: Any, request: Request | None) -> Decoded | None:
        """The answer to an action; None if that asked nothing of an order."""
        if request is not None and not request.size:
            return None
        told.answered(answer, request)
        return told.decoded()

    # --- REST ---

    def _http(self, message: Message) -> Decoded | None:
        path = _path(message.http)
        return None if path and path not in ("/exchange", "/info") else super()._http(message)

    def _call(self, message: Message, head: HttpHead) -> Decoded | None:
        request = Request((), 0, None, "")
        try:
            request, decoded = self._ask(message, parse_object(message.payload), None)
            return decoded
        finally:  # each call takes its place in the queue, a broken one too
            self._calls.put(head, request)

    def _call_answer(self, message: Message, head: HttpHead) -> Decoded | None:
        request = self._calls.take(head)
        told = Told(Rows(message, NAME, request.account if request else self.account), RESPONSE)
        if head.status is not None and head.status >= 400:
            if request is None or request.orders:
                failed = head.status >= 500
                reason = _short_text(message.payload) or (None if failed else f"HTTP {head.status}")
                told.refused(reason, request, unknown=failed)
            return told.decoded()
        if _path(head) == "/info" or (request is not None and request.question is not None):
            return self._told(told, parse(message.payload), request.question if request is not None else None)
        return self._done(told, parse(message.payload), request)


class Hyperliquid(ListedVenue):
    """The venue, as in `base.Venue`."""

    def looks_like(self, sender: Sender, payload: bytes) -> bool:
        """An event with an order id on one of the user's channels, or an action about orders."""
        if sender == "server":
            return b'"oid"' in payload and b'"coin"' in payload and _EVENT.search(payload) is not None
        return b'"post"' in payload and _ACTION.search(payload) is not None


VENUE: Final = Hyperliquid(NAME, HOSTS, _SECRETS, HyperliquidDecoder)


def _path(head: HttpHead | None) -> str:
    return "" if head is None else (head.target or "").partition("?")[0]


def _short_text(body: bytes) -> str | None:
    """The body of an HTTP error, if it is a line of text."""
    return body.decode("ascii") if len(body) <= LONGEST_REASON and body.isascii() and body.strip() else None

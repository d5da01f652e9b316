"""Bitfinex: websocket version 2 and REST version 2.

Hosts      api.bitfinex.com (websocket /ws/2, REST /v2/auth/...), api-pub.bitfinex.com (market data).
Channels   After {"event": "auth"}, channel 0 is the account: [0, TYPE, DATA]. Inputs are [0, "on", null, {...}]. All else has
           another channel number. With flags set, messages have sequence numbers and a time behind their data.
Markers    The message begins with `[0,"`; `os`, `on`, `ou`, `oc`, `te`, `tu`, `n`. Public trades are `te` and `tu` as well, on
           channels of their own.
Identity   An order: ID. A fill: ID of the trade, told by `te` without its fee and by `tu` with it; `oc` may come before either.
Times      Milliseconds; of notifications, sometimes seconds with a fraction.
Pitfalls   - The sign of an amount is the side. AMOUNT is what is left, AMOUNT_ORIG what was asked for.
           - `oc` says that an order has ended, by a fill or by a cancel: STATUS is free text, read by its first words.
           - FEE is below zero where it was paid.
           - PRICE is the trigger of a stop; the limit of a stop limit is PRICE_AUX_LIMIT.
           - A refusal is a notification with STATUS ERROR, and an order array that is mostly null: joined to its request by
             order id or client id. Of a client id that was not given, the exchange makes one; `te` writes 0 for none.
           - `wu` (wallets) and `ps`, `pu`, `pc` (positions) hold order ids and prices, and are no orders.
           - The answer to a REST order call is the same notification; a refusal may be ["error", code, text] as well.
Docs       https://docs.bitfinex.com/docs (ws-auth, flag-values), https://docs.bitfinex.com/reference
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from sniffer.exchanges.base import LOGIN, PLACE, REQUEST, RESPONSE, UPDATE, ConnectionFacts, Decoded, Rows
from sniffer.exchanges.bitfinex_orders import FindAsked, Notices, add_each, add_order, add_trade
from sniffer.exchanges.bitfinex_requests import ACTIONS, ORDER_QUERY, REST, SEVERAL, TRADE_QUERY, Asked, Call, ask
from sniffer.exchanges.calls import Calls, header
from sniffer.exchanges.jsontext import Row, parse
from sniffer.exchanges.numbers import Broken
from sniffer.exchanges.redact import Secrets
from sniffer.exchanges.venue import ListedVenue, VenueDecoder
from sniffer.model import OPCODE_HTTP, HttpHead, Message, Sender

NAME: Final = "bitfinex"
HOSTS: Final = ("api.bitfinex.com", "api-pub.bitfinex.com", "api.staging.bitfinex.com")
ACCOUNT_CHANNEL: Final = 0

TOKENS: Final = "/v2/auth/w/token"
"""Whose answer is a token, on its own."""

_SECRETS: Final = Secrets(
    (
        *("apiKey", "authSig", "authPayload", "authNonce", "authToken", "token"),
        *("bfx-apikey", "bfx-signature", "bfx-token", "X-BFX-APIKEY", "X-BFX-PAYLOAD", "X-BFX-SIGNATURE"),
    )
)
_TOLD: Final = re.compile(rb'\s*\[\s*0\s*,\s*"(?:os|on|ou|oc|hos|te|tu|n)"')
_INPUT: Final = re.compile(rb'\s*\[\s*0\s*,\s*"(?:on|ou|oc|oc_multi|ox_multi)"')
_ORDER_LIKE: Final = re.compile(rb'\s*\[\s*0\s*,\s*"(?:os|on|ou|oc|te|tu)"\s*,\s*\[.*"t[A-Z0-9]', re.DOTALL)
_NOTICE_LIKE: Final = re.compile(rb'\s*\[\s*0\s*,\s*"n"\s*,\s*\[[^\[]*"(?:on|ou|oc|oc_multi|ox_multi)-req"')
_ADDERS: Final[dict[str, Callable[[Rows, Any], Any]]] = {
    "on": add_order,
    "ou": add_order,
    "oc": add_order,
    "te": add_trade,
    "tu": add_trade,
    "os": lambda rows, data: add_each(rows, data, add_order),
    "hos": lambda rows, data: add_each(rows, data, add_order),
}


def marked(payload: bytes) -> bool:
    """Whether a message of the server is of the account's channel. Market data leaves at its first bytes, in 0.2 us."""
    if payload.startswith(b"[") and not payload.startswith((b"[0", b"[ ", b"[\n", b"[\r", b"[\t")):
        return False
    return _TOLD.match(payload) is not None or (b'"auth"' in payload and not payload.lstrip().startswith(b"["))


class BitfinexDecoder(VenueDecoder):
    """Decodes one connection; remembers the requests and calls that await an answer."""

    __slots__ = ("_asked", "_calls")

    wanted_text = staticmethod(marked)

    def __init__(self, facts: ConnectionFacts) -> None:
        super().__init__(facts)
        self._asked = Asked()
        self._calls: Calls[Call] = Calls()

    def _websocket(self, message: Message) -> Decoded | None:
        document = parse(message.payload)
        if type(document) is dict:
            return self._event(document)
        if type(document) is not list or len(document) < 2 or document[0] != ACCOUNT_CHANNEL:
            return None
        return self._input(message, document) if message.sender == "client" else self._told(message, document)

    def _unread(self, message: Message) -> str | None:
        if message.opcode != OPCODE_HTTP:
            if not (_INPUT if message.sender == "client" else _TOLD).match(message.payload):
                return None
            if message.sender == "server" and b'-req"' in message.payload:
                return RESPONSE
        return super()._unread(message)

    # --- websocket ---

    def _event(self, document: Row) -> Decoded | None:
        if document.get("event") != "auth":
            return None
        self._accounts.key(document.get("apiKey"), login=True)
        return Decoded(LOGIN, [], [])

    def _input(self, message: Message, document: list[Any]) -> Decoded | None:
        name = document[1]
        if type(name) is not str or (name not in ACTIONS and name != SEVERAL):
            return None
        request_id = document[2] if len(document) > 2 else None
        if type(request_id) not in (str, int, type(None)):
            raise Broken("a request id that is neither text nor whole number")
        rows = Rows(message, NAME, self.account)
        ask(rows, name, document[3] if len(document) > 3 else None, None if request_id is None else str(request_id))
        self._asked.put(rows.orders)
        return rows.decoded(REQUEST)

    def _told(self, message: Message, document: list[Any]) -> Decoded | None:
        name = document[1]
        data = document[2] if len(document) > 2 else None
        rows = Rows(message, NAME, self.account)
        if name == "n":
            return self._notice(rows, data, self._asked.take)
        if type(name) is not str or name not in _ADDERS:
            return None
        problem = _ADDERS[name](rows, data)
        return rows.decoded_if_any(UPDATE, problem if type(problem) is str else None)  # None: an empty snapshot

    @staticmethod
    def _notice(rows: Rows, data: Any, asked: FindAsked) -> Decoded | None:
        notices = Notices(rows, asked)
        notices.read(data)
        return rows.decoded_if_any(RESPONSE, notices.problem)

    # --- REST ---

    def _call(self, message: Message, head: HttpHead) -> Decoded | None:
        path = _path(head)
        account = self._accounts.key(header(head, "bfx-apikey"))
        rows = Rows(message, NAME, account)
        decoded = None
        if path in REST:
            decoded = rows.all_or_none(lambda: ask(rows, REST[path], parse(message.payload)))
        self._calls.put(head, Call(path, rows.to_join(), account))
        return decoded

    def _call_answer(self, message: Message, head: HttpHead) -> Decoded | None:
        call = self._calls.take(head) or Call(_path(head), (), self.account)
        if call.path == TOKENS:
            return Decoded(LOGIN, [], [])
        rows = Rows(message, NAME, call.account)
        if call.path in REST:
            document = parse(message.payload)
            if type(document) is not list:
                raise Broken("an answer that is no array")
            if document[:1] == ["error"]:
                return self._refused(rows, call, document)
            decoded = self._notice(rows, document, call.asked)
            return decoded or rows.decoded(RESPONSE, "an answer to an order call that names no order")
        add = add_trade if TRADE_QUERY.fullmatch(call.path) else _queried if ORDER_QUERY.fullmatch(call.path) else None
        if add is None:
            return None
        document = parse(message.payload)
        if type(document) is list and document[:1] == ["error"]:
            return None
        problem = add_each(rows, document, add)
        return rows.decoded_if_any(RESPONSE, problem)

    @staticmethod
    def _refused(rows: Rows, call: Call, document: list[Any]) -> Decoded:
        """["error", code, text]: all that was asked has failed."""
        code, reason = document[1:3] if len(document) > 2 else (None, None)
        if type(code) is not int or type(reason) is not str:
            raise Broken("an error without a code and a text")
        said: dict[str, Any] = {"status_raw": str(code), "reason": reason or str(code)}
        for order in call.orders:
            if order.action == PLACE:
                rows.rejoined(order, status="REJECTED", **said)
            else:  # what the request wanted to change has not changed
                rows.unchanged(order, side=None, **said)
        if not call.orders:
            action = ACTIONS.get(REST[call.path])
            if action is None:
                raise Broken("a refusal of a request that was not seen")
            rows.order(RESPONSE, action=action, status="REJECTED" if action == PLACE else None, **said)
        return rows.decoded(RESPONSE)


class Bitfinex(ListedVenue):
    """The venue, as in `base.Venue`."""

    def looks_like(self, sender: Sender, payload: bytes) -> bool:
        """An input, a login, an order or a trade of the account's channel."""
        if sender == "client":
            return _INPUT.match(payload) is not None or (b'"authPayload"' in payload and b'"auth"' in payload)
        return _ORDER_LIKE.match(payload) is not None or _NOTICE_LIKE.match(payload) is not None


VENUE: Final = Bitfinex(NAME, HOSTS, _SECRETS, BitfinexDecoder)


def _path(head: HttpHead) -> str:
    return (head.target or "").partition("?")[0].rstrip("/")


def _queried(rows: Rows, array: Any) -> None:
    add_order(rows, array, RESPONSE)

"""Coinbase Advanced Trade: the user channel, and REST, by which alone orders are placed.

Hosts      advanced-trade-ws-user.coinbase.com (user channel), advanced-trade-ws.coinbase.com (market data, user channel too),
           api.coinbase.com (REST, /api/v3/brokerage/orders...), api-sandbox.coinbase.com.
Channels   {"channel": "user", "timestamp", "sequence_num", "events": [{"type": "snapshot" or "update", "orders": [...]}]}.
Markers    `"user"`; market data has other channels. An acknowledgement of subscriptions holds it too, and is no order.
Identity   An order: `order_id`. A fill: `trade_id`; fills are told by REST alone, the user channel has only sums of them.
Times      RFC 3339. An update has none of its own: the message's is taken.
Pitfalls   - A refusal of a placement comes with HTTP status 200 and `success` false.
           - An update does not say how much was asked for: `leaves_quantity` is in the currency of the request, base or quote,
             `cumulative_quantity` in base, so their sum would be a guess.
           - The type of an order and its time in force are in the name of its configuration: `limit_limit_gtc`.
           - Words like UNKNOWN_FAILURE_REASON stand where nothing is to be said.
           - Each subscription, of public channels too, holds a JWT, a new one each time; its claim `sub` names the API key.
Docs       https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis (websocket channels, REST),
           https://github.com/coinbase/coinbase-advanced-py
"""

from __future__ import annotations

import base64
import binascii
from functools import partial
from typing import Any, Final

from sniffer.exchanges.base import LOGIN, RESPONSE, UPDATE, ConnectionFacts, Decoded, Rows
from sniffer.exchanges.calls import Calls
from sniffer.exchanges.coinbase_advanced_orders import ACTIONS, FILLS, HISTORY, Call, answer, ask, fill, queried, update
from sniffer.exchanges.fields import each, optional_list, rfc3339
from sniffer.exchanges.jsontext import Row, parse_object
from sniffer.exchanges.redact import Secrets
from sniffer.exchanges.venue import ListedVenue, VenueDecoder
from sniffer.model import OPCODE_HTTP, HttpHead, Message, Sender

NAME: Final = "coinbase-advanced"
HOSTS: Final = (
    *("advanced-trade-ws.coinbase.com", "advanced-trade-ws-user.coinbase.com"),
    *("api.coinbase.com", "api-sandbox.coinbase.com"),
)
LONGEST_JWT: Final = 4096
"""Characters of a JWT that is looked into; they have some 500."""

_SECRETS: Final = Secrets(
    ("jwt", "signature", "api_key", "token", "Authorization", "CB-ACCESS-KEY", "CB-ACCESS-SIGN", "CB-ACCESS-TOKEN")
)
_USER: Final = b'"user"'
_ITEM: Final = "an item"


def marked(payload: bytes) -> bool:
    """Whether a message of the server may be of the user channel."""
    return _USER in payload


class CoinbaseAdvancedDecoder(VenueDecoder):
    """Decodes one connection; remembers the REST calls that await an answer."""

    __slots__ = ("_calls",)

    wanted_text = staticmethod(marked)

    def __init__(self, facts: ConnectionFacts) -> None:
        super().__init__(facts)
        self._calls: Calls[Call] = Calls()

    def _websocket(self, message: Message) -> Decoded | None:
        if message.sender == "client":
            return self._subscription(parse_object(message.payload))
        return self._told(message)

    def _unread(self, message: Message) -> str | None:
        if message.opcode != OPCODE_HTTP and (message.sender == "client" or b'"order' not in message.payload):
            return None
        return super()._unread(message)

    # --- websocket ---

    def _subscription(self, document: Row) -> Decoded | None:
        jwt = document.get("jwt")
        if jwt is None and "signature" not in document:
            return None
        self._accounts.key(key_name(jwt) or document.get("api_key"))
        return Decoded(LOGIN, [], [])

    def _told(self, message: Message) -> Decoded | None:
        document = parse_object(message.payload)
        if document.get("channel") != "user":
            return None
        at = rfc3339(document, "timestamp") if "timestamp" in document else None
        rows = Rows(message, NAME, self.account)

        def orders_of(event: Row) -> str | None:
            return each(optional_list(event, "orders"), lambda row: update(rows, row, at), what=_ITEM)

        return rows.decoded_if_any(UPDATE, each(optional_list(document, "events"), orders_of, what=_ITEM))

    # --- REST ---

    def _call(self, message: Message, head: HttpHead) -> Decoded | None:
        path = _path(head)
        headers = dict(head.headers)
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        rows = Rows(message, NAME, self._accounts.key(key_name(bearer) or headers.get("cb-access-key")))
        decoded = None
        if head.method == "POST" and path in ACTIONS:
            decoded = rows.all_or_none(lambda: ask(rows, path, parse_object(message.payload)))
        self._calls.put(head, Call(path, rows.to_join(), rows.account))
        return decoded

    def _call_answer(self, message: Message, head: HttpHead) -> Decoded | None:
        call = self._calls.take(head) or Call(_path(head), (), self.account)
        rows = Rows(message, NAME, call.account)
        if head.method == "POST" and call.path in ACTIONS:
            failed = (head.status or 200) >= 500
            return rows.decoded(RESPONSE, answer(rows, call, parse_object(message.payload), failed))
        if head.method != "GET" or not call.path.startswith(HISTORY):
            return None
        document = parse_object(message.payload)
        if call.path == FILLS:
            problem = each(optional_list(document, "fills"), partial(fill, rows), what=_ITEM)
        else:
            told = [document["order"]] if "order" in document else optional_list(document, "orders")
            problem = each(told, partial(queried, rows), what=_ITEM)
        return rows.decoded_if_any(RESPONSE, problem)


class CoinbaseAdvanced(ListedVenue):
    """The venue, as in `base.Venue`."""

    def looks_like(self, sender: Sender, payload: bytes) -> bool:
        """A subscription with a JWT, or an order of the user channel."""
        if sender == "client":
            return b'"jwt"' in payload and b'"channel"' in payload
        return _USER in payload and b'"order_side"' in payload and b'"leaves_quantity"' in payload


VENUE: Final = CoinbaseAdvanced(NAME, HOSTS, _SECRETS, CoinbaseAdvancedDecoder)


def key_name(jwt: Any) -> str | None:
    """The name of the API key that a JWT was made with: its claim `sub` (RFC 7519 section 4.1.2). None if it cannot be told."""
    parts = jwt.split(".") if type(jwt) is str and len(jwt) <= LONGEST_JWT else []
    if len(parts) != 3:
        return None
    try:
        claims = parse_object(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError):  # of which `Broken` is one
        return None
    name = claims.get("sub")
    return name if type(name) is str and name else None


def _path(head: HttpHead) -> str:
    return (head.target or "").partition("?")[0].rstrip("/")

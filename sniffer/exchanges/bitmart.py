"""BitMart: spot and margin, and futures (v2), over websocket and REST.

Hosts      ws-manager-compress.bitmart.com/user?protocol=1.1 (spot), openapi-ws-v2.bitmart.com/user?protocol=1.1 (futures), the
           same with /api (market data); api-cloud.bitmart.com and api-cloud-v2.bitmart.com (REST), and the demo environment.
Channels   Spot {"table": "spot/user/order" or "spot/user/orders", "data": [order]}; futures {"group": "futures/order", "data":
           [{"action", "order"}]}. Orders are placed over REST alone: {"code": 1000, "message", "trace", "data"}.
Markers    /order in the channel's name. A subscription's answer has it too, under `topic` or `action`.
Identity   An order: `order_id`. A fill: `detail_id` on spot, `lastTradeID` of `last_trade` on futures.
Times      Milliseconds, as text or numbers.
Pitfalls   - Spot messages are raw deflate in binary frames, each on its own.
           - A push holds the order's latest fill, also when nothing new was filled: the same fill is then told again.
           - A futures side is a number that opens or closes a position; 1 and 2 buy. `size` counts contracts.
           - A market order to buy on spot is for `notional`, in quote currency.
           - A refusal is a `code` other than 1000, in a batch inside `data` too.
           - A login's key and signature stand in a list: {"op": "login", "args": [key, timestamp, sign]}, futures "access".
Docs       https://developer-pro.bitmart.com/en/spot/, https://developer-pro.bitmart.com/en/futuresv2/
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from sniffer.exchanges import bitmart_orders, bitmart_requests
from sniffer.exchanges.base import LOGIN, REQUEST, RESPONSE, UPDATE, ConnectionFacts, Decoded, Rows
from sniffer.exchanges.bitmart_requests import ACTIONS, REST, Request, changes_orders
from sniffer.exchanges.calls import Calls, header, parameters, path_and_query
from sniffer.exchanges.fields import each
from sniffer.exchanges.inflate import inflate, inflated
from sniffer.exchanges.jsontext import Row, parse, parse_object
from sniffer.exchanges.numbers import Broken
from sniffer.exchanges.redact import Secrets
from sniffer.exchanges.venue import ListedVenue, VenueDecoder
from sniffer.model import HttpHead, Message, Sender

NAME: Final = "bitmart"
HOSTS: Final = (
    "ws-manager-compress.bitmart.com", "openapi-ws-v2.bitmart.com", "openapi-ws.bitmart.com", "openapi-wsdemo-v2.bitmart.com",
    "api-cloud.bitmart.com", "api-cloud-v2.bitmart.com", "demo-api-cloud-v2.bitmart.com",
)  # fmt: skip
_WS_PATHS: Final = ("/user?protocol=1.1", "/api?protocol=1.1")

_CLIENT_KINDS: Final = frozenset(("web", "ios", "android"))


def _is_public(name: str) -> bool:
    """Of what stands in `args`: channels begin so, a login's time is digits and its device a word; the rest is secret."""
    return name.startswith(("spot/", "futures/")) or name.isdigit() or name in _CLIENT_KINDS


_SECRETS: Final = Secrets(("X-BM-KEY", "X-BM-SIGN", "Authorization", "Cookie"), channels=("args",), public=_is_public)
_LOGIN: Final = re.compile(rb'"(?:op|action)"\s*:\s*"(?:login|access)"')
_OWN_PUSH: Final = re.compile(rb'"table"\s*:\s*"spot/user/orders?"|"group"\s*:\s*"futures/order"')
_SPOT: Final = ("spot/user/order", "spot/user/orders")
_FUTURES: Final = "futures/order"
_ANSWER: Final = frozenset(("action", "event", "success"))
"""What an answer to a subscription has, and a push does not."""


def marked(payload: bytes) -> bool:
    """Whether a message of the server may be about orders: no channel of market data has a name with this in it."""
    return b"/order" in payload


class BitmartDecoder(VenueDecoder):
    """Decodes one connection; remembers the calls that await an answer."""

    __slots__ = ("_calls",)

    wanted_text = staticmethod(marked)
    wanted_binary = staticmethod(inflated(marked))

    def __init__(self, facts: ConnectionFacts) -> None:
        super().__init__(facts)
        self._calls: Calls[Request] = Calls()

    def _websocket(self, message: Message) -> Decoded | None:
        return self._login(message.payload) if message.sender == "client" else self._push(message)

    # --- websocket ---

    def _login(self, payload: bytes) -> Decoded | None:
        """A login, whole or not, is never stored; nothing else that a client says is about orders."""
        if _LOGIN.search(payload) is None:
            return None
        try:
            args = parse_object(payload).get("args")
        except Broken:
            args = None
        if type(args) is list and args:
            self._accounts.key(args[0], login=True)
        return Decoded(LOGIN, [], [])

    def _push(self, message: Message) -> Decoded | None:
        document = parse_object(inflate(message.payload))
        channel = document.get("table", document.get("group"))
        if channel not in _SPOT and channel != _FUTURES:
            return None
        if "data" not in document and document.keys() & _ANSWER:
            return None
        data = document.get("data")
        if type(data) is not list:
            raise Broken("field data: not a list")
        rows = Rows(message, NAME, self.account)
        problem = None
        for item in data:
            try:
                if type(item) is dict and channel == _FUTURES:
                    item = item.get("order")
                if type(item) is not dict:
                    raise Broken("an order that is no object")
                if channel == _FUTURES:
                    problem = bitmart_orders.futures_order(rows, UPDATE, item) or problem
                else:
                    problem = bitmart_orders.spot_order(rows, item) or problem
            except Broken as error:
                problem = problem or str(error)
        return rows.decoded_if_any(UPDATE, problem)

    # --- REST ---

    def _call(self, message: Message, head: HttpHead) -> Decoded | None:
        account = self._accounts.key(header(head, "x-bm-key"))
        path, query = path_and_query(head)
        op = REST.get((head.method or "", path))
        request = Request(op, (), account)
        try:
            if op is None and changes_orders(head.method, path):
                raise Broken(f"an order call that is not known: {head.method} {path}")
            if op not in ACTIONS:
                return None
            body = parse(message.payload) if message.payload.strip() else parameters(query)
            rows = Rows(message, NAME, account)
            params = bitmart_requests.listed(body)
            problem = bitmart_requests.ask(rows, op, path.startswith("/contract/"), params)
            request = Request(op, rows.to_join_by_ordinal(len(params)), account)
            return rows.decoded(REQUEST, problem or (None if rows.orders else "a request that names no order"))
        finally:
            self._calls.put(head, request)

    def _call_answer(self, message: Message, head: HttpHead) -> Decoded | None:
        request = self._calls.take(head)
        path = (head.target or "").partition("?")[0]
        op = REST.get((head.method or "", path))
        if op is None:
            return None
        document = parse_object(message.payload)
        rows = Rows(message, NAME, request.account if request else self.account)
        if op in ACTIONS:
            problem = bitmart_requests.answer(rows, op, request, document, (head.status or 0) >= 500)
            return rows.decoded(RESPONSE, problem or (None if rows.orders else "an answer that names no order"))
        if document.get("code") != bitmart_requests.DONE:
            return None
        return self._told(rows, op, document.get("data"))

    @staticmethod
    def _told(rows: Rows, op: str, data: Any) -> Decoded | None:
        """The orders or trades that a query answers with; one that cannot be read leaves the others as they are."""
        return rows.decoded_if_any(RESPONSE, each(data if type(data) is list else [data], partial(_READERS[op], rows)))


def _spot_order(rows: Rows, row: Row) -> None:
    bitmart_orders.queried_spot_order(rows, RESPONSE, row)


def _futures_order(rows: Rows, row: Row) -> None:
    bitmart_orders.futures_order(rows, RESPONSE, {**row, "last_trade": None})


_READERS: Final[dict[str, Callable[[Rows, Row], None]]] = {
    bitmart_requests.SPOT_ORDERS: _spot_order,
    bitmart_requests.SPOT_TRADES: bitmart_orders.queried_spot_trade,
    bitmart_requests.FUTURES_ORDERS: _futures_order,
    bitmart_requests.FUTURES_TRADES: bitmart_orders.queried_futures_trade,
}


class Bitmart(ListedVenue):
    """The venue, as in `base.Venue`."""

    def owns_path(self, path: str) -> bool:
        """Those of its websockets, protocol and all."""
        return path in _WS_PATHS

    def looks_like(self, sender: Sender, payload: bytes) -> bool:
        """By the names of the order channels, in a compressed message too."""
        if sender == "client":
            return False
        try:
            return _OWN_PUSH.search(inflate(payload)) is not None
        except Broken:
            return False


VENUE: Final = Bitmart(NAME, HOSTS, _SECRETS, BitmartDecoder)

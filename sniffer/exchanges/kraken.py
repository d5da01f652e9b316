"""Kraken Spot: websocket version 2 and version 1, and REST.

Hosts      ws-auth.kraken.com (orders and user events: /v2 version 2, else version 1), ws.kraken.com (market data), the same
           with `beta-`; uws.kraken.com (the unified API: version 2, derivatives too); api.kraken.com (REST, /0/private/...).
Channels   Version 2: {"channel": "executions", "type", "data", "sequence"}; requests {"method", "params", "req_id"}, answers
           {"method", "success", "result" or "error", "req_id"}. Version 1: [[{id: order}], "openOrders", {"sequence"}] and
           "ownTrades"; requests {"event": "addOrder", "reqid"}, answers {"event": "addOrderStatus", "status", "reqid"}.
Markers    `executions"`, `"method"`, `openOrders"`, `ownTrades"`, `rderStatus"`; market data holds none of them.
Identity   An order: `order_id` (`txid`). A fill: `exec_id`, unique for an account, which version 1 and REST use as the trade's
           key; `trade_id` is a count of each market. `order_userref`, which many orders may share, is no client order id.
Times      RFC 3339 in version 2; in version 1 and REST seconds with a fraction.
Pitfalls   - Updates carry only what changed: the rest comes from what was said before (`lastknown.py`). `sequence` counts
             messages; a missing one makes everything known doubtful.
           - A trade that fills the whole order says `partially_filled`; `filled` follows as an update of its own.
           - An answer gives ids alone, and a refusal none: they are joined to the request by `req_id`. One `cancel_order` of
             several orders is answered once for each of them.
           - A batch may succeed as a whole and hold orders that were refused.
           - `edit_order` cancels the order and places another, whose id its answer gives; `amend_order` keeps the id.
           - Requests with `validate` are never placed. `cancel_all_orders_after` sets a timer, and names no order.
           - Prices may be offsets from the market (`limit_price_type` pct, `+5%`): they are no prices, and are left null.
           - `cash_order_qty`, and `viqc` among the flags: the quantity is in quote currency.
           - Each private request holds a token. It stands for the API key of the REST call that fetched it, if that was seen.
Docs       https://docs.kraken.com/exchange/api-reference (spot-websocket-v2, spot-websocket-v1, unified-ws, spot-rest),
           https://github.com/krakenfx/api-specs
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from sniffer.exchanges import kraken_requests as calls
from sniffer.exchanges.base import AMEND, LOGIN, RESPONSE, UPDATE, ConnectionFacts, Decoded, Pending, Rows
from sniffer.exchanges.calls import Calls, body_parameters, header
from sniffer.exchanges.fields import identity, optional_rfc3339
from sniffer.exchanges.jsontext import Row, parse, parse_object
from sniffer.exchanges.kraken_requests import Request
from sniffer.exchanges.kraken_responses import ORDER_QUERIES, TRADE_QUERIES, Answer
from sniffer.exchanges.kraken_updates import Updates
from sniffer.exchanges.numbers import Broken
from sniffer.exchanges.redact import Secrets
from sniffer.exchanges.venue import ListedVenue, VenueDecoder
from sniffer.model import OPCODE_HTTP, HttpHead, Message, Sender

NAME: Final = "kraken"
UNIFIED: Final = "uws.kraken.com"
HOSTS: Final = (
    *("ws-auth.kraken.com", "ws.kraken.com", "ws-l3.kraken.com", "beta-ws-auth.kraken.com", "beta-ws.kraken.com"),
    *(UNIFIED, "api.kraken.com"),
)
REST_PATH: Final = "/0/private/"

_SECRETS: Final = Secrets(("token", "API-Key", "API-Sign", "otp"))
_CHANNEL: Final = b'{"channel":"'
_ORDER_WORDS: Final = (
    *(f'"{name}"'.encode() for name in (*calls.V2, *calls.V1, *calls.V1_ANSWERS)),
    *(b'executions"', b'openOrders"', b'ownTrades"'),
)
"""A message that cannot be read and holds one of these is about orders."""
_REQUEST: Final = re.compile(rb'"(?:method|event)"\s*:\s*"(?:%s)"' % "|".join((*calls.V2, *calls.V1)).encode())


def marked(payload: bytes) -> bool:
    """Whether a message of the server may be about orders: 0.2 us for 500 bytes of market data."""
    if payload.startswith(_CHANNEL):  # a message of a channel, so no answer
        return b'executions"' in payload
    if b'openOrders"' in payload or b'ownTrades"' in payload:
        return True
    if payload.startswith(b"["):  # market data of version 1
        return False
    return b'"method"' in payload or b'executions"' in payload or b'rderStatus"' in payload or b'cancelAllStatus"' in payload


class KrakenDecoder(VenueDecoder):
    """Decodes one connection; remembers what its orders ask for, and the requests and calls that await an answer."""

    __slots__ = ("_calls", "_facts", "_pending", "_unit", "_updates")

    wanted_text = staticmethod(marked)

    def __init__(self, facts: ConnectionFacts) -> None:
        self._facts = facts
        super().__init__(facts)
        self._pending: Pending[Request] = Pending()
        self._calls: Calls[Request] = Calls()
        # Derivatives are counted in contracts or in coins, depending on the market: on the unified API the unit is not said.
        self._unit = None if (facts.host or "").lower() == UNIFIED else "base"
        self._updates = Updates(self._unit)

    def hole(self, sender: Sender) -> None:
        """As `Remembers.hole`."""
        if sender == "server":
            self._updates.clear()

    def _websocket(self, message: Message) -> Decoded | None:
        return self._request(message) if message.sender == "client" else self._told(message)

    def _unread(self, message: Message) -> str | None:
        payload = message.payload
        if message.opcode != OPCODE_HTTP:
            if not any(word in payload for word in _ORDER_WORDS):
                return None
            if message.sender == "server" and (b"Status" in payload or b'"method"' in payload):
                return RESPONSE
        return super()._unread(message)

    # --- websocket ---

    def _request(self, message: Message) -> Decoded | None:
        document = parse_object(message.payload)
        name, params = document.get("method"), document.get("params")
        if type(name) is str and name in calls.V2:
            row, request_id = params, identity(document, "req_id")
        else:
            name, row, request_id = document.get("event"), document, identity(document, "reqid")
        account = self._token(params) or self._token(document) or self._token(document.get("subscription"))
        if type(name) is not str or (name not in calls.V2 and name not in calls.V1):
            return None
        if type(row) is not dict:
            raise Broken("field params: no object")
        rows = Rows(message, NAME, account or self.account)
        validate = calls.validates(row)
        decoded = None
        if not validate and name in calls.V2:
            decoded = rows.all_or_none(lambda: calls.ask_v2(rows, name, row, request_id, self._unit))
        elif not validate:
            decoded = rows.all_or_none(lambda: calls.ask_v1(rows, name, row, request_id))
        if request_id is not None:
            self._pending.put(request_id, Request(name, rows.to_join(), rows.account, validate))
        return decoded

    def _token(self, row: object) -> str | None:
        """The account that the token of a request stands for, if the call that fetched it was seen.

        A token is a new one each time, and each connection has its own: by itself it does not tell whose it is.
        """
        token = row.get("token") if type(row) is dict else None
        if type(token) is not str or self._facts.name_of(token) not in self._facts.aliases:
            return None
        return self._accounts.listen_key(token)

    def _told(self, message: Message) -> Decoded | None:
        document = parse(message.payload)
        rows = Rows(message, NAME, self.account)
        if type(document) is list:
            return self._told_v1(rows, document)
        if type(document) is not dict:
            return None
        if document.get("channel") == "executions":
            self._updates.executions(rows, document)
            if document["data"] == []:
                return None
            return rows.decoded(UPDATE, self._updates.problem)
        name, event = document.get("method"), document.get("event")
        if type(name) is str and name in calls.V2:
            request_id = identity(document, "req_id")
            asked = self._taken(request_id, name)
            # What an amendment changed was so before its answer left, and trades may have followed.
            at = optional_rfc3339(document, "time_in" if calls.V2[name] == AMEND else "time_out")
            answer = Answer(self._rows(message, asked), asked, calls.V2[name], request_id, at)
            return self._answered(answer, asked, answer.version_2, document)
        if type(event) is str and event in calls.V1_ANSWERS:
            request_id = identity(document, "reqid")
            asked = self._taken(request_id, event.removesuffix("Status"))
            answer = Answer(self._rows(message, asked), asked, calls.V1_ANSWERS[event], request_id, None)
            return self._answered(answer, asked, answer.version_1, document)
        return None

    def _told_v1(self, rows: Rows, document: list[object]) -> Decoded | None:
        if len(document) < 2 or document[1] not in ("openOrders", "ownTrades"):
            return None
        if document[1] == "ownTrades":
            self._updates.own_trades(rows, document[0])
        else:
            tail = document[2] if len(document) > 2 else None
            self._updates.open_orders(rows, document[0], tail.get("sequence") if type(tail) is dict else None)
        return rows.decoded_if_any(UPDATE, self._updates.problem)  # None: an empty snapshot

    def _taken(self, request_id: str | None, name: str) -> Request | None:
        """The request that an answer to `name` answers."""
        asked = self._pending.take(request_id) if request_id is not None else None
        return asked if asked is not None and asked.name == name else None

    def _rows(self, message: Message, asked: Request | None) -> Rows:
        return Rows(message, NAME, asked.account if asked else self.account)

    @staticmethod
    def _answered(answer: Answer, asked: Request | None, read: Callable[[Row], None], document: Row) -> Decoded | None:
        if asked is not None and asked.validate:
            return None
        read(document)
        return answer.decoded()

    # --- REST ---

    def _call(self, message: Message, head: HttpHead) -> Decoded | None:
        name = _call_name(head.target)
        account = self._accounts.key(header(head, "api-key"))
        rows = Rows(message, NAME, account)
        request = Request(name, (), account, False)
        try:
            if name not in calls.REST:
                return None
            body = body_parameters(message.payload)
            if calls.validates(body):
                request = request._replace(validate=True)
                return None
            decoded = rows.all_or_none(lambda: calls.ask_rest(rows, name, body))
            request = request._replace(orders=rows.to_join())
            return decoded
        finally:  # each call takes its place in the queue, a broken one too
            self._calls.put(head, request)

    def _call_answer(self, message: Message, head: HttpHead) -> Decoded | None:
        asked = self._calls.take(head)
        name = asked.name if asked else _call_name(head.target)
        if name == "GetWebSocketsToken":
            result = parse_object(message.payload).get("result")
            if type(result) is dict:
                self._accounts.granted({"listenKey": result.get("token")}, asked.account if asked else self.account)
            return Decoded(LOGIN, [], [])
        if name not in calls.REST and name not in ORDER_QUERIES and name not in TRADE_QUERIES:
            return None
        failed = (head.status or 200) >= 500
        answer = Answer(self._rows(message, asked), asked, calls.REST.get(name), failed=failed)
        document = parse_object(message.payload)
        if name in calls.REST:
            return self._answered(answer, asked, answer.rest, document)
        if name in ORDER_QUERIES:
            answer.orders(document, ORDER_QUERIES[name])
        else:
            answer.trades(document, TRADE_QUERIES[name])
        decoded = answer.decoded()
        return decoded if decoded.orders or decoded.fills or decoded.problem else None


class Kraken(ListedVenue):
    """The venue, as in `base.Venue`."""

    def looks_like(self, sender: Sender, payload: bytes) -> bool:
        """An order request with its token, an answer with its times, an executions message, openOrders or ownTrades."""
        if sender == "client":
            return b'"token"' in payload and _REQUEST.search(payload) is not None
        if b'"exec_type"' in payload:
            return b'"executions"' in payload and b'"order_id"' in payload
        if b'"time_out"' in payload:
            return _REQUEST.search(payload) is not None
        return payload.startswith(b"[") and (b'"openOrders"' in payload or b'"ownTrades"' in payload)


VENUE: Final = Kraken(NAME, HOSTS, _SECRETS, KrakenDecoder)


def _call_name(target: str | None) -> str:
    """The name of a private REST call; empty for any other."""
    path = (target or "").partition("?")[0]
    return path.removeprefix(REST_PATH) if path.startswith(REST_PATH) else ""

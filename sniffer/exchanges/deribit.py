"""Deribit: JSON-RPC 2.0 over websockets and over HTTP, of deribit.com, its test net, and the one that Coinbase runs.

Hosts      www.deribit.com and test.deribit.com, path /ws/api/v2 (all) and /api/v2/<method> (REST); drb.coinbase.com.
Channels   Notifications are {"method": "subscription", "params": {"channel", "data"}}. About orders are `user.orders.*`,
           `user.trades.*`, `user.combo_trades.*` and `user.changes.*` (orders, trades and positions in one); the data is one
           object at `raw` intervals and a list at the others, save in `user.changes`, where it is an object that holds lists.
           Requests are {"id", "method", "params"}, answers {"id", "result" or "error"}. REST names the method in the path and
           takes its parameters in the query or as a JSON-RPC body.
Markers    `"user.` in a notification; each message that is no notification may be an answer. Public channels have neither.
Identity   An order: order_id (`ETH-100234`, `USDC-1048...`; `SLTB-...` before a trigger, after which another order stands for
           it). An update of it: last_update_timestamp. A fill: trade_id, "unique (per currency)".
Times      Milliseconds; `usIn` and `usOut`, the gateway's, are microseconds and are not used.
Pitfalls   - The side of a request is its method: private/buy, private/sell.
           - `amount` counts USD for inverse futures, the base currency for options, spot and linear futures; a request may
             say `contracts` instead.
           - An open order that is partly filled is still `open`.
           - `price` may be the word "market_price"; numbers are JSON numbers, `9.21e4` and `5.0e-8` too.
           - One answer holds an order and its trades, and the notifications tell both again.
           - A mass quote answers `result` with `errors` inside. Cancelling by label, or all, answers with a number.
           - Tokens stand in requests (`access_token`) and in answers; they change by the hour, so they are no account's name.
Docs       https://docs.deribit.com: api-reference/trading, subscriptions/user, articles/errors, articles/authentication
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, Final

from sniffer.exchanges import deribit_requests as calls
from sniffer.exchanges.base import LOGIN, REQUEST, RESPONSE, UPDATE, ConnectionFacts, Decoded, Pending, Rows
from sniffer.exchanges.calls import Calls, header, parameters, path_and_query
from sniffer.exchanges.deribit_answers import Told
from sniffer.exchanges.deribit_requests import Request
from sniffer.exchanges.fields import request_id_of, text
from sniffer.exchanges.jsontext import Row, parse_object
from sniffer.exchanges.numbers import Broken
from sniffer.exchanges.redact import Secrets
from sniffer.exchanges.venue import ListedVenue, VenueDecoder
from sniffer.model import OPCODE_HTTP, HttpHead, Message, Sender

NAME: Final = "deribit"
HOSTS: Final = ("www.deribit.com", "deribit.com", "test.deribit.com", "history.deribit.com", "drb.coinbase.com")
SOCKET_PATH: Final = "/ws/api/v2"
REST_PATH: Final = "/api/v2/"

CHANNELS: Final = ("user.orders.", "user.trades.", "user.combo_trades.", "user.changes.")
_SECRETS: Final = Secrets(
    ("client_id", "client_secret", "signature", "access_token", "refresh_token", "authorization", "tfa", "otp")
)
_ORDER_CALL: Final = re.compile(
    rb'"method"\s*:\s*"private/(?:buy|sell|edit|edit_by_label|close_position|mass_quote|cancel|cancel_by_label|cancel_all'
    rb'|cancel_all_by_[a-z_]+)"'
)
_ORDER_NEWS: Final = re.compile(rb'"channel"\s*:\s*"user\.(?:orders|trades|combo_trades|changes)\.')
_HMAC_KEY: Final = re.compile(r"deri-hmac-sha256\s+id=([^,\s]+)", re.IGNORECASE)


def marked(payload: bytes) -> bool:
    """Whether a message of the server may be about orders, or is an answer: 0.3 us for 500 bytes of market data."""
    return b'"user.' in payload or (b'"subscription"' not in payload and b'"heartbeat"' not in payload)


class DeribitDecoder(VenueDecoder):
    """Decodes one connection; remembers the requests and calls that await an answer."""

    __slots__ = ("_calls", "_pending")

    wanted_text = staticmethod(marked)
    wanted_binary = staticmethod(marked)

    def __init__(self, facts: ConnectionFacts) -> None:
        super().__init__(facts)
        self._pending: Pending[Request] = Pending()
        self._calls: Calls[Request] = Calls()

    def _websocket(self, message: Message) -> Decoded | None:
        return self._request(message) if message.sender == "client" else self._notification_or_answer(message)

    def _unread(self, message: Message) -> str | None:
        payload = message.payload
        if message.sender == "client":
            return REQUEST if message.opcode == OPCODE_HTTP or b"private/" in payload else None
        if b'"user.' in payload:
            return UPDATE
        return RESPONSE if message.opcode == OPCODE_HTTP or marked(payload) else None

    # --- notifications ---

    def _notification_or_answer(self, message: Message) -> Decoded | None:
        document = parse_object(message.payload)
        if "method" not in document and ("result" in document or "error" in document):
            return self._answer(message, document)
        params = document.get("params")
        channel = params.get("channel") if type(params) is dict else None
        if type(channel) is not str:
            if b'"user.' in message.payload:
                raise Broken("field channel is missing")
            return None
        if not channel.startswith(CHANNELS) or type(params) is not dict:
            return None
        told = Told(Rows(message, NAME, self._accounts.current), UPDATE)
        data = params.get("data")
        if type(data) not in (dict, list):
            raise Broken("field data: neither an object nor a list")
        told.tell(data)
        decoded = told.decoded()
        if decoded is None and not _is_empty(data):
            raise Broken("a notification about orders that names none")
        return decoded

    # --- requests and answers ---

    def _request(self, message: Message) -> Decoded | None:
        document = parse_object(message.payload)
        method = text(document, "method")
        params = document.get("params", {})
        if type(params) is not dict:
            raise Broken("field params: no object")
        request_id = request_id_of(document, "id")
        request, decoded = self._ask(message, method, params, self._account_of(method, params), request_id)
        self._pending.put(request_id, request)
        return decoded

    def _account_of(self, method: str, params: Row) -> str | None:
        if method in calls.LOGINS:
            if params.get("client_id"):
                return self._accounts.key(params["client_id"], login=True)
            return self._accounts.borrowed(params.get("refresh_token"))
        return self._accounts.borrowed(params.get("access_token"))

    @staticmethod
    def _ask(
        message: Message, method: str, params: Row, account: str | None, request_id: str | None
    ) -> tuple[Request, Decoded | None]:
        """A request to be joined to its answer, and its meaning."""
        rows = Rows(message, NAME, account)
        decoded = None
        if method in calls.ACTIONS:
            decoded = rows.all_or_none(lambda: calls.ask(rows, method, params, request_id), needed=True)
        elif method in calls.LOGINS:
            decoded = Decoded(LOGIN, [], [])
        elif method not in calls.QUERIES and calls.may_be_about_orders(method):
            decoded = Decoded(REQUEST, [], [], "an order method that is not known")
        return Request(method, rows.to_join(), account), decoded

    def _answer(self, message: Message, document: Row) -> Decoded | None:
        request_id = request_id_of(document, "id")
        request = self._pending.take(request_id)
        return self._answered(message, request, request_id, document, None)

    def _answered(
        self, message: Message, request: Request | None, request_id: str | None, document: Row, status: int | None
    ) -> Decoded | None:
        result, error = document.get("result"), document.get("error")
        method = request.method if request is not None else None
        if method in calls.LOGINS or (type(result) is dict and "access_token" in result):
            if type(result) is dict:
                for token in ("access_token", "refresh_token"):
                    self._accounts.lend(result.get(token), request.account if request else self.account)
            return Decoded(LOGIN, [], [])
        action = calls.ACTIONS.get(method or "")
        if method is not None and action is None and (error is not None or method not in calls.QUERIES):
            return None
        told = Told(Rows(message, NAME, request.account if request else self.account), RESPONSE, request, request_id)
        if error is not None:
            told.refused(error, status)
        else:
            told.tell(result, action)
            if action is not None and told.decoded() is None:
                told.counted(result)
        decoded = told.decoded()
        if decoded is None and action is not None and not _is_empty(result):
            raise Broken("an answer to an order request that names no order")
        return decoded

    # --- REST ---

    def _call(self, message: Message, head: HttpHead) -> Decoded | None:
        request = Request("", (), None)
        try:
            method, params, request_id = _rest_request(head, message.payload)
            if method is None:
                return None
            account = self._account_of_header(header(head, "authorization") or "") or self._account_of(method, params)
            request, decoded = self._ask(message, method, params, account, request_id)
            return decoded
        finally:  # each call takes its place in the queue, a broken one too
            self._calls.put(head, request)

    def _account_of_header(self, authorization: str) -> str | None:
        scheme, _, credentials = authorization.partition(" ")
        if (hmac := _HMAC_KEY.match(authorization)) is not None:
            return self._accounts.key(hmac[1])
        if scheme.lower() == "basic":
            try:
                return self._accounts.key(base64.b64decode(credentials, validate=True).decode().partition(":")[0])
            except (binascii.Error, UnicodeDecodeError, ValueError):
                return None
        return self._accounts.borrowed(credentials) if scheme.lower() == "bearer" else None

    def _call_answer(self, message: Message, head: HttpHead) -> Decoded | None:
        request = self._calls.take(head)
        if request is None:  # a GET says all in its target
            method, params, request_id = _rest_request(head, b"")
            if method is None:
                return None
            request, _ = self._ask(message, method, params, self.account, request_id)
        if not request.method:
            return None
        document = parse_object(message.payload)
        return self._answered(message, request, request_id_of(document, "id"), document, head.status)


class Deribit(ListedVenue):
    """The venue, as in `base.Venue`."""

    def owns_path(self, path: str) -> bool:
        """That of its websocket."""
        return path.partition("?")[0].rstrip("/") == SOCKET_PATH

    def looks_like(self, sender: Sender, payload: bytes) -> bool:
        """An order request, or a notification of a user's channel."""
        return (_ORDER_CALL if sender == "client" else _ORDER_NEWS).search(payload) is not None


VENUE: Final = Deribit(NAME, HOSTS, _SECRETS, DeribitDecoder)


def _is_empty(data: Any) -> bool:
    """Whether nothing was said: no orders, none cancelled, or lists of orders and trades that are empty."""
    if type(data) is dict:
        return [] in (data.get("orders"), data.get("trades"))
    return bool(data == [] or data == 0)


def _rest_request(head: HttpHead, body: bytes) -> tuple[str | None, Row, str | None]:
    """The method that a REST call names, its parameters, and its id; None for a path of another kind."""
    path, query = path_and_query(head)
    if not path.startswith(REST_PATH.rstrip("/")):
        return None, {}, None
    method = path[len(REST_PATH) :]
    if not body.strip():
        return method or None, parameters(query) if method.startswith(("private/", "public/auth")) else {}, None
    document = parse_object(body)
    if not method:  # JSON-RPC, posted
        method = text(document, "method")
    params = document.get("params", document if "jsonrpc" not in document else {})
    if type(params) is not dict:
        raise Broken("field params: no object")
    return method, {**params, **parameters(query)}, request_id_of(document, "id")

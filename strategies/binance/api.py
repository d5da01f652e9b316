"""The WebSocket API, `/ws-api/v3`: one session a connection, one request after the other.

Methods, errors and statuses: binance-spot-api-docs, web-socket-api.md and errors.md. API keys and signatures are checked for
their shape only, and rate limits are counted but never enforced: there is nothing here to protect.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from strategies.accounts import Account, make_key
from strategies.binance import formats
from strategies.binance.limits import RateLimits
from strategies.binance.params import api_key, client_id, decimal, order_request, signed_key, which_order
from strategies.binance.refusals import REASONS, UNKNOWN_TO_AMEND, Failed, failed
from strategies.binance.streams import EVENTS
from strategies.dialect import Json
from strategies.orders import Order, Refusal, Rejected, now_ms
from strategies.venue import Venue


class PartlyFailed(Failed):
    """A cancel-replace of which at least one half failed: status, error code, message, and both halves."""

    def __init__(self, status: int, code: int, message: str, data: Json) -> None:
        super().__init__(code, message)
        self.status = status
        self.data = data


class ApiSession:
    """One connection to the WebSocket API. `send` sends one text message."""

    def __init__(self, venue: Venue, send: Callable[[str], None]) -> None:
        self.venue = venue
        self.send = send
        self.limits = RateLimits()
        self.connected_since = now_ms()
        self.logged_on: Account | None = None
        self.authorized_since: int | None = None
        self.subscriptions: dict[int, tuple[Account, Callable[[str], None]]] = {}
        self.next_subscription = 0
        # method: (handler, weight, orders)
        self.methods: dict[str, tuple[Callable[[Json], object], int, int]] = {
            "ping": (lambda _: {}, 1, 0),
            "time": (lambda _: {"serverTime": now_ms()}, 1, 0),
            "session.logon": (self._logon, 2, 0),
            "session.status": (lambda _: self._status(), 2, 0),
            "session.logout": (self._logout, 2, 0),
            "order.place": (self._place, 1, 1),
            "order.cancel": (self._cancel, 1, 0),
            "order.cancelReplace": (self._cancel_replace, 1, 1),
            "order.amend.keepPriority": (self._amend, 4, 0),
            "openOrders.cancelAll": (self._cancel_all, 1, 0),
            "userDataStream.subscribe": (self._subscribe, 2, 0),
            "userDataStream.subscribe.signature": (self._subscribe, 2, 0),
            "userDataStream.unsubscribe": (self._unsubscribe, 2, 0),
            "userDataStream.start": (self._start_stream, 2, 0),
        }

    def close(self) -> None:
        """Forget the subscriptions of this connection."""
        self._unsubscribe({})

    def handle(self, text: str | bytes, events_first: bool) -> None:
        """Carry out one request, answer it, and let the events go, before or after the answer: the venue promises neither."""
        answer = self._answer(text)
        if events_first:
            self.venue.settle()
        self.send(answer)
        if not events_first:
            self.venue.settle()

    def _answer(self, text: str | bytes) -> str:
        try:
            request = json.loads(text)
        except (ValueError, RecursionError):
            request = None
        if not isinstance(request, dict) or not isinstance(request.get("params", {}), dict):
            return formats.error(None, 400, -1135, "Invalid JSON Request", None)
        request_id, params = request.get("id"), request.get("params", {})
        method = str(request.get("method")).removeprefix("v3/")
        if method not in self.methods:
            return formats.error(request_id, 400, -1020, "This operation is not supported.", None)
        handler, weight, orders = self.methods[method]
        limits = self.limits.count(weight, orders) if params.get("returnRateLimits", True) else None
        if isinstance(params.get("signature"), str):
            self.venue.secrets.append(params["signature"])
        try:
            return formats.response(request_id, handler(params), limits)
        except Rejected as rejected:
            error = failed(rejected.why)
        except Failed as refused:
            error = refused
        names = (params.get("apiKey"), params.get("symbol"), params.get("newClientOrderId"))
        self.venue.refused(request_id, method, *names, error.code, error.message)
        status, data = (error.status, error.data) if isinstance(error, PartlyFailed) else (400, None)
        return formats.error(request_id, status, error.code, error.message, limits, data)

    # --- trading -------------------------------------------------------------------------------------------------------

    def _account(self, params: Json) -> Account:
        """Whose request it is: signed, or of a session that has logged on."""
        if "apiKey" not in params and self.logged_on:
            return self.logged_on
        return self.venue.account(signed_key(params))

    def _place(self, params: Json) -> object:
        book, account = self.venue.book(params.get("symbol")), self._account(params)
        return _placed(self.venue.place(book, account, order_request(params)), params)

    def _cancel(self, params: Json) -> object:
        book, account = self.venue.book(params.get("symbol")), self._account(params)
        which = which_order(params, "orderId", "origClientOrderId")
        return formats.canceled(*book.cancel(account, *which, self._client_id(params, "newClientOrderId")))

    def _client_id(self, params: Json, name: str) -> str:
        """What a client order id becomes: what is asked for, else a made-up one (never the old one)."""
        return client_id(params, name) or make_key(self.venue.rng)[:22]

    def _cancel_all(self, params: Json) -> object:
        book, account = self.venue.book(params.get("symbol")), self._account(params)
        ids = [order.order_id for order in book.by_id.values() if order.account is account]
        if not ids:
            raise Rejected(Refusal.UNKNOWN)
        return [formats.canceled(*book.cancel(account, order_id, None, make_key(self.venue.rng)[:22])) for order_id in ids]

    def _amend(self, params: Json) -> object:
        book, account = self.venue.book(params.get("symbol")), self._account(params)
        which = which_order(params, "orderId", "origClientOrderId")
        quantity, new_id = decimal(params, "newQty"), self._client_id(params, "newClientOrderId")
        try:
            amended = book.amend(account, *which, quantity, new_client_id=new_id)
        except Rejected as rejected:
            if rejected.why is Refusal.UNKNOWN:
                raise Failed(UNKNOWN_TO_AMEND, failed(rejected.why).message) from None
            raise
        return formats.amended(*amended, book.execution_id)

    def _cancel_replace(self, params: Json) -> object:
        """Not atomic: either half may fail alone. The filters come before both ("Cancel and replace order", notes)."""
        book, account = self.venue.book(params.get("symbol")), self._account(params)
        request = order_request(params)
        which = which_order(params, "cancelOrderId", "cancelOrigClientOrderId")
        canceled_id = self._client_id(params, "cancelNewClientOrderId")
        book.check(account, request)
        data: Json = {"cancelResult": "SUCCESS", "newOrderResult": "SUCCESS"}
        try:
            data["cancelResponse"] = formats.canceled(*book.cancel(account, *which, canceled_id))
        except Rejected as refused:
            data |= {"cancelResult": "FAILURE", "cancelResponse": formats.refusal(failed(refused.why))}
            if params.get("cancelReplaceMode") != "ALLOW_FAILURE":
                data |= {"newOrderResult": "NOT_ATTEMPTED", "newOrderResponse": None}
                raise PartlyFailed(400, -2022, "Order cancel-replace failed.", data) from None
        try:
            data["newOrderResponse"] = _placed(book.place(account, request), params)
        except Rejected as refused:
            data |= {"newOrderResult": "FAILURE", "newOrderResponse": formats.refusal(failed(refused.why))}
            if data["cancelResult"] == "FAILURE":
                raise PartlyFailed(400, -2022, "Order cancel-replace failed.", data) from None
            book.reject(account, request, REASONS.get(refused.why, "NONE"))
        if "FAILURE" in (data["cancelResult"], data["newOrderResult"]):
            raise PartlyFailed(409, -2021, "Order cancel-replace partially failed.", data)
        return data

    # --- session and events -----------------------------------------------------------------------------------------------

    def _logon(self, params: Json) -> object:
        self.logged_on = self._account(params)
        self.authorized_since = now_ms()
        return self._status()

    def _logout(self, _: Json) -> object:
        self.logged_on = self.authorized_since = None
        return self._status()

    def _status(self) -> Json:
        return {
            "apiKey": self.logged_on.api_key if self.logged_on else None,
            "authorizedSince": self.authorized_since,
            "connectedSince": self.connected_since,
            "returnRateLimits": True,
            "serverTime": now_ms(),
            "userDataStream": bool(self.subscriptions),
        }

    def _subscribe(self, params: Json) -> object:
        account = self._account(params)
        if any(owner is account for owner, _ in self.subscriptions.values()):
            raise Failed(-2035, "User Data Stream subscription already active.")
        number = self.next_subscription
        self.next_subscription += 1

        def sink(event: str) -> None:
            self.send(f'{{"subscriptionId":{number},"event":{event}}}')

        self.subscriptions[number] = (account, sink)
        account.sinks[EVENTS].append(sink)
        return {"subscriptionId": number}

    def _unsubscribe(self, params: Json) -> object:
        wanted = params.get("subscriptionId")
        if wanted is not None and (not isinstance(wanted, int) or wanted not in self.subscriptions):
            raise Failed(-2036, "User Data Stream subscription not active.")
        for number in [wanted] if wanted is not None else list(self.subscriptions):
            account, sink = self.subscriptions.pop(number)
            account.sinks[EVENTS].remove(sink)
        return {}

    def _start_stream(self, params: Json) -> object:
        return {"listenKey": self.venue.listen_key(self.venue.account(api_key(params)))}


def _placed(order: Order, params: Json) -> Json:
    default = "ACK" if order.type == "LIMIT_MAKER" else "FULL"
    return formats.placed(order, str(params.get("newOrderRespType", default)))

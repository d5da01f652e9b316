"""Bitfinex's websocket, on the exchange's side: subscriptions, a login, and order inputs, alone or several at once.

Source: https://docs.bitfinex.com/docs/ws-general, ws-auth, and https://docs.bitfinex.com/reference, ws-auth-input-*.
Keys and signatures are checked for being there only: there is nothing here to protect.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any, Final

from strategies.accounts import ZERO, Account
from strategies.bitfinex import messages
from strategies.bitfinex.texts import ERRORS, array
from strategies.dialect import Json, Send, dumps, exactly
from strategies.orders import OrderRequest, Rejected, now_ms
from strategies.venue import Stream, Venue

ACCOUNT: Final = "account"
"""The only channel of an account: channel 0."""
STREAMS: Final[dict[str, Callable[[str], Stream]]] = {
    "ticker": lambda symbol: ("top", symbol),
    "trades": lambda symbol: ("trade", symbol),
}
MAX_CHANNELS: Final = 25
"""Public channels that one connection may have."""
MAX_OPERATIONS: Final = 75
"""Operations of one multi-operation."""
TYPES: Final = {
    "EXCHANGE LIMIT": ("LIMIT", "GTC"),
    "EXCHANGE MARKET": ("MARKET", "GTC"),
    "EXCHANGE IOC": ("LIMIT", "IOC"),
    "EXCHANGE FOK": ("LIMIT", "FOK"),
}


class Failed(Exception):
    """An input that makes no sense."""


class BitfinexSession:
    """One connection, as in `dialect.Session`."""

    def __init__(self, venue: Venue, send: Send) -> None:
        self.venue = venue
        self.send = send
        self.account: Account | None = None
        self.channels: dict[int, Callable[[], None]] = {}
        """By channel number: what ends it."""
        self.inputs: dict[str, Callable[[Account, Json], tuple[list[Any], str]]] = {
            "on": self._new,
            "ou": self._update,
            "oc": self._cancel,
        }
        self.send(dumps({"event": "info", "version": 2, "serverId": "simulated", "platform": {"status": 1}}))

    def close(self) -> None:
        """As in `dialect.Session`."""
        for end in self.channels.values():
            end()
        self.channels.clear()

    def handle(self, text: str | bytes, events_first: bool) -> None:
        """As in `dialect.Session`. Answers and events share a channel, and an answer is always first."""
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            message = None
        if isinstance(message, dict):
            self._event(message)
        elif isinstance(message, list) and len(message) == 4 and message[0] == 0 and self.account:
            _, name, _, details = message
            self._account(self._input(self.account, name, details))
            self.venue.settle()
        else:
            self._error(10000, "unknown event")

    # --- session ----------------------------------------------------------------------------------------------------------

    def _event(self, message: Json) -> None:
        event = message.get("event")
        if event == "auth":
            self._log_in(message)
        elif event == "subscribe":
            self._subscribe(message.get("channel"), message.get("symbol"))
        elif event == "ping":
            self.send(dumps({"event": "pong", "ts": now_ms(), "cid": message.get("cid")}))
        else:
            self._error(10000, "unknown event")

    def _error(self, code: int, text: str) -> None:
        self.send(dumps({"event": "error", "msg": text, "code": code}))

    def _log_in(self, message: Json) -> None:
        said = [message.get(name) for name in ("apiKey", "authSig", "authPayload")]
        refusal: Json = {"event": "auth", "status": "FAILED", "chanId": 0, "code": 10100, "msg": "apikey: invalid"}
        if self.account or not all(isinstance(value, str) and value for value in said):
            self.send(dumps(refusal))
            return
        key, *secrets = map(str, said)
        try:
            self.account = account = self.venue.account(key)
        except Rejected:
            self.send(dumps(refusal))
            return
        self.venue.secrets += secrets
        number = account.user_id % 10**8
        self.send(dumps({"event": "auth", "status": "OK", "chanId": 0, "userId": number, "caps": {"orders": {"write": 1}}}))
        books = self.venue.books.values()
        orders = [messages.order(order) for book in books for order in book.by_id.values() if order.account is account]
        self._account(("ps", []))
        self._account(("ws", [messages.wallet(account, asset) for asset in sorted(account.free)]))
        self._account(("os", orders))
        account.sinks[ACCOUNT].append(self.send)
        self.channels[0] = partial(account.sinks[ACCOUNT].remove, self.send)

    def _account(self, message: tuple[str, list[Any]]) -> None:
        self.send(array([0, *message]))

    def _subscribe(self, channel: object, symbol: object) -> None:
        if not isinstance(channel, str) or channel not in STREAMS or not isinstance(symbol, str):
            self._error(10302, "channel: unknown")
        elif symbol not in self.venue.books:
            self._error(10300, "symbol: invalid")
        elif len(self.channels) > MAX_CHANNELS:
            self._error(10305, "channels: limit")
        else:
            number = self.venue.rng.randrange(10_000, 1_000_000)
            self.send(
                dumps({"event": "subscribed", "channel": channel, "chanId": number, "symbol": symbol, "pair": symbol[1:]})
            )
            stream = STREAMS[channel](symbol)

            def sink(body: str) -> None:
                self.send(f"[{number},{body}]")

            self.venue.listen(stream, sink)
            self.channels[number] = partial(self.venue.unlisten, stream, sink)

    # --- orders -----------------------------------------------------------------------------------------------------------

    def _input(self, account: Account, name: object, details: object) -> tuple[str, list[Any]]:
        """Carry out an input; what is returned is the notification that answers it."""
        if name == "ox_multi" and isinstance(details, list) and len(details) <= MAX_OPERATIONS:
            answers = [self._operate(account, *pair) for pair in details if isinstance(pair, list) and len(pair) == 2]
            return "n", messages.notification("ox_multi-req", answers, "", f"Submitting {len(answers)} order operations.")
        return "n", self._operate(account, name, details)

    def _operate(self, account: Account, name: object, details: object) -> list[Any]:
        if not isinstance(name, str) or name not in self.inputs or not isinstance(details, dict):
            return messages.notification(f"{name}-req", messages.nothing(None, None), "input: invalid", "")
        info, text, refusal = messages.nothing(_whole(details, "id"), _whole(details, "cid")), "", ""
        try:
            info, text = self.inputs[name](account, details)
        except Rejected as rejected:
            refusal = ERRORS[rejected.why]
        except Failed as failed:
            refusal = str(failed)
        if refusal:
            ids = (details.get("symbol"), details.get("cid"))
            self.venue.refused(None, name, account.api_key, *ids, "ERROR", refusal)
        return messages.notification(f"{name}-req", info, refusal, text)

    def _new(self, account: Account, details: Json) -> tuple[list[Any], str]:
        """Answered as it was submitted, whatever became of it at once."""
        kind, flags, client_id = details.get("type"), details.get("flags", 0), _whole(details, "cid")
        amount = _number(details, "amount")
        if not isinstance(kind, str) or kind not in TYPES or not amount:
            raise Failed("type: invalid" if amount else "amount: invalid")
        book = self.venue.book(details.get("symbol"))
        type_, force = TYPES[kind]
        if isinstance(flags, int) and flags & messages.POST_ONLY and kind == "EXCHANGE LIMIT":
            type_ = "LIMIT_MAKER"
        price = ZERO if type_ == "MARKET" else _number(details, "price")
        request = OrderRequest("BUY" if amount > 0 else "SELL", type_, force, price, abs(amount), str(client_id or ""))
        order = self.venue.place(book, account, request)
        submitted = replace(order, status="NEW", filled=ZERO, quote=ZERO, fills=[], updated=order.created)
        what = f"{kind.lower()} {request.side.lower()} order for {abs(amount)} {book.instrument.base}."
        return messages.order(submitted), f"Submitting {what}"

    def _update(self, account: Account, details: Json) -> tuple[list[Any], str]:
        """`amount` is what shall be left, `delta` what shall be added to it."""
        which = (_whole(details, "id"), None)
        book = self.venue.book_of(account, *which)
        order = copy(book.by_id[which[0] or 0])
        order.fills, quantity = list(order.fills), None
        if "amount" in details:
            quantity = order.filled + abs(_number(details, "amount"))
        elif "delta" in details:
            quantity = order.quantity + _number(details, "delta") * (1 if order.side == "BUY" else -1)
        price = _number(details, "price") if "price" in details else None
        after, _ = book.amend(account, *which, quantity, price)
        order.quantity, order.price, order.updated = after.quantity, after.price, after.updated
        return messages.order(order), f"Submitting update to {messages.order_type(order).lower()} order."

    def _cancel(self, account: Account, details: Json) -> tuple[list[Any], str]:
        """By id, or by client id and day; answered before it has been done."""
        order_id, client_id = _whole(details, "id"), _whole(details, "cid")
        if order_id is None and (client_id is None or "cid_date" not in details):
            raise Failed("id: invalid")
        which: tuple[int | None, str | None] = (order_id, None) if order_id is not None else (None, str(client_id))
        book = self.venue.book_of(account, *which)
        order = book.find(account, *which)
        info = messages.order(order) if order else []
        book.cancel(account, *which, "")
        return info, "Submitted for cancellation; waiting for confirmation."


def _whole(details: Json, name: str) -> int | None:
    value = details.get(name)
    return value if type(value) is int else None


def _number(details: Json, name: str) -> Decimal:
    """An amount or price, which clients write as text."""
    number = exactly(details.get(name))
    if number is None:
        raise Failed(f"{name}: invalid")
    return number

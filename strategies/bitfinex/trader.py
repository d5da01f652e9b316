"""What a strategy says on Bitfinex, and what it hears (https://docs.bitfinex.com/docs/ws-auth, and the reference of inputs)."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import time
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, Final

from strategies.bitfinex.messages import POST_ONLY
from strategies.bitfinex.texts import number, signed
from strategies.dialect import Action, Answer, Change, Execution, Feed, Heard, Json, Ready, Request, Trader, dumps
from strategies.strategy import Order

_CLIENT_IDS: Final = itertools.count(time.time_ns() // 1_000_000)
"""Client ids are numbers, and unique a day and account: the time this began, and on from there."""
_STATUSES: Final = {
    "ACTIVE": "NEW",
    "PARTIALLY FILLED": "PARTIALLY_FILLED",
    "EXECUTED": "FILLED",
    "CANCELED": "CANCELED",
}
"""By the words that a status begins with; all else has expired."""


class BitfinexTrader(Trader):
    """As in `Trader`. There are no request ids: an answer names its order by client id, or by id."""

    path = "/ws/2"

    def opening(self) -> str:
        """As in `Trader`."""
        nonce = time.time_ns() // 1000
        payload = f"AUTH{nonce}"
        signature = hmac.new(self.credentials.secret.encode(), payload.encode(), hashlib.sha384).hexdigest()
        said = {"apiKey": self.credentials.api_key, "authSig": signature, "authPayload": payload, "authNonce": str(nonce)}
        return dumps({"event": "auth"} | said)

    def client_order_id(self) -> str:
        """As in `Trader`."""
        return str(next(_CLIENT_IDS))

    def place(self, order: Order) -> Request:
        """As in `Trader`."""
        return _request("on", self._terms(order), {f"on {order.client_order_id}": ("place", order)})

    def cancel(self, order: Order) -> Request:
        """As in `Trader`."""
        name, key = _cancelled(order)
        return _request("oc", name, {key: ("cancel", order)})

    def amend(self, order: Order, quantity: Decimal, price: Decimal | None, keep_id: bool) -> Request:
        """As in `Trader`; what is said is what shall be left."""
        terms: Json = {"id": order.order_id, "amount": number(signed(order.side, quantity - order.filled))}
        if price is not None:
            terms["price"] = number(price)
        return _request("ou", terms, {f"ou {order.order_id}": ("amend", order)})

    def replace(self, order: Order, new: Order) -> Sequence[Request]:
        """As in `Trader`: one request, with an answer for each half."""
        name, key = _cancelled(order)
        awaits: dict[str, tuple[Action, Order]] = {key: ("cancel", order), f"on {new.client_order_id}": ("place", new)}
        return (_request("ox_multi", [["oc", name], ["on", self._terms(new)]], awaits),)

    def hear(self, text: str | bytes) -> Iterable[Heard]:
        """As in `Trader`."""
        message = json.loads(text, parse_float=Decimal)
        if isinstance(message, dict):
            if message.get("event") == "auth":
                if message["status"] != "OK":
                    raise PermissionError(message["msg"])
                yield Ready()
        elif message[0] == 0:
            yield from self._account(message[1], message[2])

    def _account(self, kind: str, data: list[Any]) -> Iterable[Heard]:
        if kind == "n":
            for notice in data[4] if data[1] == "ox_multi-req" else (data,):
                yield from _answered(notice)
        elif kind in ("on", "ou", "oc") and data[3] == self.instrument.symbol:
            quantity, left = abs(Decimal(data[7])), abs(Decimal(data[6]))
            words = data[13].partition(" @")[0].partition(" was")[0]
            price = Decimal(data[16]) if data[16] else None
            status, filled = _STATUSES.get(words, "EXPIRED"), quantity - left
            yield Change(str(data[2]), data[0], status, quantity, filled, price=price, reason=data[13])
        elif kind == "tu" and data[1] == self.instrument.symbol:  # `te` says the same, but for the fee
            yield Execution(str(data[11]), abs(Decimal(data[4])), Decimal(data[5]), -Decimal(data[9]), data[10])

    def _terms(self, order: Order) -> Json:
        kind = "MARKET" if order.price is None else {"GTC": "LIMIT"}.get(order.time_in_force, order.time_in_force)
        terms: Json = {"cid": int(order.client_order_id), "type": f"EXCHANGE {kind}", "symbol": self.instrument.symbol}
        terms["amount"] = number(signed(order.side, order.quantity))
        if order.price is not None:
            terms["price"] = number(order.price)
        return terms | ({"flags": POST_ONLY} if order.type == "LIMIT_MAKER" else {})


def _request(name: str, details: object, awaits: dict[str, tuple[Action, Order]]) -> Request:
    return Request(dumps([0, name, None, details]), awaits)


def _cancelled(order: Order) -> tuple[Json, str]:
    """What names an order to cancel, and the key of its answer: the id, or until it is known the client id."""
    if order.order_id is not None:
        return {"id": order.order_id}, f"oc {order.order_id}"
    today = time.strftime("%Y-%m-%d", time.gmtime())
    return {"cid": int(order.client_order_id), "cid_date": today}, f"oc cid {order.client_order_id}"


def _answered(notice: list[Any]) -> Iterable[Heard]:
    """An answer, under both names that its order may have been asked by."""
    action, info, refusal = notice[1].removesuffix("-req"), notice[4], "" if notice[6] == "SUCCESS" else notice[7]
    yield Answer(f"on {info[2]}" if action == "on" else f"{action} {info[0]}", refusal)
    yield Answer(f"{action} cid {info[2]}", refusal)


class BitfinexFeed(Feed):
    """As in `Feed`: tickers and trades."""

    path = "/ws/2"
    symbols_a_socket = 12
    """With two channels a symbol, below the 25 that a connection may have."""

    def __init__(self) -> None:
        self._tickers: dict[int, str] = {}

    def subscribe(self, symbols: Sequence[str]) -> Iterable[str]:
        """As in `Feed`."""
        for symbol in symbols:
            for channel in ("ticker", "trades"):
                yield dumps({"event": "subscribe", "channel": channel, "symbol": symbol})

    def hear(self, text: str | bytes) -> Iterable[tuple[str, Decimal, Decimal]]:
        """As in `Feed`."""
        message = json.loads(text, parse_float=Decimal)
        if isinstance(message, dict):
            if message.get("event") == "subscribed" and message["channel"] == "ticker":
                self._tickers[message["chanId"]] = message["symbol"]
        elif message[0] in self._tickers:
            yield self._tickers[message[0]], Decimal(message[1][0]), Decimal(message[1][2])

"""What a strategy says on OKX, and what it hears (https://www.okx.com/docs-v5/en/, WebSocket; Order Book Trading, Trade)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import time
from collections.abc import Iterable, Sequence
from decimal import Decimal

from strategies.credentials import Credentials
from strategies.dialect import Action, Answer, Change, Execution, Feed, Heard, Json, Ready, Request, Say, Trader, dumps
from strategies.instruments import Instrument
from strategies.okx.messages import SIDES
from strategies.strategy import Order

TYPES = {("LIMIT", "GTC"): "limit", ("LIMIT", "IOC"): "ioc", ("LIMIT", "FOK"): "fok", ("LIMIT_MAKER", "GTC"): "post_only"}
STATES = {"live": "NEW", "partially_filled": "PARTIALLY_FILLED", "filled": "FILLED", "canceled": "CANCELED"}
CANCELED_BY_USER = "1"


class OkxTrader(Trader):
    """As in `Trader`: logs in, then subscribes to orders and fills. Orders name their instrument by number."""

    path = "/ws/v5/private"

    def __init__(self, name: str, instrument: Instrument, credentials: Credentials) -> None:
        super().__init__(name, instrument, credentials)
        self._started = f"{time.time_ns() // 1_000_000:x}"
        self._count = itertools.count(1)

    def opening(self) -> str:
        """As in `Trader`."""
        at, owner = str(time.time_ns() // 1_000_000_000), self.credentials
        digest = hmac.new(owner.secret.encode(), f"{at}GET/users/self/verify".encode(), hashlib.sha256).digest()
        signature = base64.b64encode(digest).decode()
        login = {"apiKey": owner.api_key, "passphrase": owner.passphrase, "timestamp": at, "sign": signature}
        return dumps({"op": "login", "args": [login]})

    def client_order_id(self) -> str:
        """As in `Trader`: letters and digits alone."""
        return f"{self.name}x{self._started}x{next(self._count)}"

    def place(self, order: Order) -> Request:
        """As in `Trader`."""
        terms = {"tdMode": "cash", "clOrdId": order.client_order_id, "side": SIDES[order.side], "sz": f"{order.quantity:f}"}
        if order.price is None:
            terms |= {"ordType": "market", "tgtCcy": "base_ccy"}
        else:
            terms |= {"ordType": TYPES[order.type, order.time_in_force], "px": f"{order.price:f}"}
        return self._request("place", "order", order, terms)

    def cancel(self, order: Order) -> Request:
        """As in `Trader`."""
        return self._request("cancel", "cancel-order", order, {"clOrdId": order.client_order_id})

    def amend(self, order: Order, quantity: Decimal, price: Decimal | None, keep_id: bool) -> Request:
        """As in `Trader`."""
        terms = {"clOrdId": order.client_order_id, "newSz": f"{quantity:f}"}
        if price is not None:
            terms["newPx"] = f"{price:f}"
        return self._request("amend", "amend-order", order, terms)

    def hear(self, text: str | bytes) -> Iterable[Heard]:
        """As in `Trader`."""
        message = json.loads(text)
        event, channel = message.get("event"), message.get("arg", {}).get("channel")
        if "op" in message:
            (result,) = message["data"]
            yield Answer(message["id"], "" if result["sCode"] == "0" else f"{result['sCode']} {result['sMsg']}")
        elif event == "error":
            raise PermissionError(f"{message['code']} {message['msg']}")
        elif event == "login":
            channels = [{"channel": "orders", "instType": "SPOT"}, {"channel": "fills"}]
            yield Say(dumps({"op": "subscribe", "args": channels}))
        elif event == "subscribe" and channel == "fills":
            yield Ready()
        elif event is None and channel == "orders":
            for row in message["data"]:
                yield from self._order(row)

    def _order(self, row: Json) -> Iterable[Heard]:
        """An order as it stands, then its fill. That a cancel was not asked for is told by its source."""
        known_as, filled, status = row["clOrdId"], Decimal(row["accFillSz"]), STATES[row["state"]]
        if status == "CANCELED" and row["cancelSource"] != CANCELED_BY_USER:
            status = "EXPIRED"
        price, reason = Decimal(row["px"]) if row["px"] else None, row["cancelSourceReason"]
        yield Change(known_as, int(row["ordId"]), status, Decimal(row["sz"]), filled, price=price, reason=reason)
        if row["fillSz"] != "0":
            fee = -Decimal(row["fillFee"])
            yield Execution(known_as, Decimal(row["fillSz"]), Decimal(row["fillPx"]), fee, row["fillFeeCcy"])

    def _request(self, action: Action, op: str, order: Order, terms: Json) -> Request:
        key = f"{self.name}{next(self._count)}"
        args = [{"instIdCode": self.instrument.code} | terms]
        return Request(dumps({"id": key, "op": op, "args": args}), {key: (action, order)})


class OkxFeed(Feed):
    """As in `Feed`: best prices and trades of the public websocket, behind the list of instruments."""

    path = "/ws/v5/public"
    symbols_a_socket = 200
    """With two channels a symbol, below the 480 subscriptions that a connection may have."""

    def subscribe(self, symbols: Sequence[str]) -> Iterable[str]:
        """As in `Feed`."""
        yield dumps({"op": "subscribe", "args": [{"channel": "instruments", "instType": "SPOT"}]})
        args = [{"channel": channel, "instId": symbol} for symbol in symbols for channel in ("bbo-tbt", "trades")]
        yield dumps({"op": "subscribe", "args": args})

    def hear(self, text: str | bytes) -> Iterable[tuple[str, Decimal, Decimal]]:
        """As in `Feed`."""
        message = json.loads(text)
        if message.get("arg", {}).get("channel") == "bbo-tbt" and "data" in message:
            (top,) = message["data"]
            yield message["arg"]["instId"], Decimal(top["bids"][0][0]), Decimal(top["asks"][0][0])

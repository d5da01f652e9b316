"""What a strategy says on Binance Spot, and what it hears (binance-spot-api-docs, web-socket-api.md, user-data-stream.md)."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from strategies.credentials import Credentials
from strategies.dialect import Action, Answer, Change, Execution, Feed, Heard, Json, Ready, Request, Trader, dumps
from strategies.instruments import Instrument
from strategies.strategy import Order

_SYMBOLS_A_REQUEST = 50


class BinanceTrader(Trader):
    """As in `Trader`. Requests are signed one by one; events come by a subscription on the same socket."""

    path = "/ws-api/v3"

    def __init__(self, name: str, instrument: Instrument, credentials: Credentials) -> None:
        super().__init__(name, instrument, credentials)
        self._started = f"{time.time_ns() // 1_000_000:x}"
        self._count = itertools.count(1)
        self._opening = ""

    def opening(self) -> str:
        """As in `Trader`."""
        self._opening, text = self._request("userDataStream.subscribe.signature", {})
        return text

    def client_order_id(self) -> str:
        """As in `Trader`."""
        return f"{self.name}-{self._started}-{next(self._count)}"

    def place(self, order: Order) -> Request:
        """As in `Trader`."""
        return self._about("place", order, "order.place", self._terms(order))

    def cancel(self, order: Order) -> Request:
        """As in `Trader`."""
        return self._about("cancel", order, "order.cancel", {"origClientOrderId": order.client_order_id})

    def amend(self, order: Order, quantity: Decimal, price: Decimal | None, keep_id: bool) -> Request:
        """As in `Trader`; there is no way to say another price."""
        params = {"origClientOrderId": order.client_order_id, "newQty": str(quantity)}
        if keep_id:
            params["newClientOrderId"] = order.client_order_id
        return self._about("amend", order, "order.amend.keepPriority", params)

    def replace(self, order: Order, new: Order) -> Sequence[Request]:
        """As in `Trader`."""
        params = {"cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrigClientOrderId": order.client_order_id}
        return (self._about("place", new, "order.cancelReplace", params | self._terms(new)),)

    def hear(self, text: str | bytes) -> Iterable[Heard]:
        """As in `Trader`."""
        message = json.loads(text)
        if "event" in message:
            yield from self._executed(message["event"])
            return
        refusal = "" if message["status"] == 200 else f"{message['error']['code']} {message['error']['msg']}"
        if message["id"] != self._opening:
            yield Answer(message["id"], refusal)
        elif refusal:
            raise PermissionError(refusal)
        else:
            yield Ready()

    def _executed(self, report: Json) -> Iterable[Heard]:
        """An `executionReport`: what has become of the order, then its fill."""
        if report["e"] != "executionReport" or report["s"] != self.instrument.symbol:
            return
        known_as = report["C"] or report["c"]
        yield Change(
            known_as, report["i"], report["X"], Decimal(report["q"]), Decimal(report["z"]),
            renamed=report["c"] if report["x"] == "REPLACED" else "", reason=report.get("eR", ""),
        )  # fmt: skip
        if report["x"] == "TRADE":
            yield Execution(known_as, Decimal(report["l"]), Decimal(report["L"]), Decimal(report["n"]), report["N"])

    def _about(self, action: Action, order: Order, method: str, params: Json) -> Request:
        key, text = self._request(method, {"symbol": self.instrument.symbol} | params)
        return Request(text, {key: (action, order)})

    def _request(self, method: str, params: Json) -> tuple[str, str]:
        key = f"{self.name}-{next(self._count)}"
        return key, json.dumps({"id": key, "method": method, "params": self.credentials.sign(params)})

    @staticmethod
    def _terms(order: Order) -> dict[str, Any]:
        params = {"side": order.side, "type": order.type, "quantity": str(order.quantity)}
        if order.price is not None:
            params["price"] = str(order.price)
        if order.type == "LIMIT":
            params["timeInForce"] = order.time_in_force
        return params | {"newClientOrderId": order.client_order_id, "newOrderRespType": "FULL"}


class BinanceFeed(Feed):
    """As in `Feed`: best prices, trades and depth on the combined stream (web-socket-streams.md)."""

    path = "/stream"
    symbols_a_socket = 300
    """With three streams a symbol, below the 1024 that a socket may have ("Websocket Limits")."""

    def subscribe(self, symbols: Sequence[str]) -> Iterable[str]:
        """As in `Feed`."""
        for start in range(0, len(symbols), _SYMBOLS_A_REQUEST):
            batch = symbols[start : start + _SYMBOLS_A_REQUEST]
            streams = [f"{symbol.lower()}@{kind}" for symbol in batch for kind in ("bookTicker", "trade", "depth")]
            yield dumps({"method": "SUBSCRIBE", "params": streams, "id": start + 1})

    def hear(self, text: str | bytes) -> Iterable[tuple[str, Decimal, Decimal]]:
        """As in `Feed`."""
        message = json.loads(text)
        if message.get("stream", "").endswith("@bookTicker"):
            top = message["data"]
            yield top["s"], Decimal(top["b"]), Decimal(top["a"])

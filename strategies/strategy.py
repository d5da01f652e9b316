"""One strategy: one websocket to the exchange, its orders in memory, and hooks for what happens to them.

Subclass `Strategy`, override the hooks you care about, and trade in `trade`:

    class Mine(Strategy):
        async def trade(self) -> None:
            order = await self.place("BUY", quantity, price)
            ...
            await self.cancel(order)

        def on_fill(self, order: Order, quantity: Decimal, price: Decimal) -> None:
            print(self.position)

Requests and events: binance-spot-api-docs, web-socket-api.md and user-data-stream.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import time
from collections import deque
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from strategies.credentials import Credentials
from strategies.instruments import Instrument
from strategies.position import Position, Side

OPEN: Final = ("PENDING_NEW", "NEW", "PARTIALLY_FILLED")
LAST_ANSWERS: Final = 2.0
"""Seconds to wait for answers before leaving."""
REMEMBERED: Final = 1000
"""Closed orders, and acknowledgement times, that a strategy keeps."""


@dataclass(slots=True, eq=False)
class Order:
    """An order as its strategy knows it. `status` is PENDING_NEW until the exchange has answered."""

    client_order_id: str
    side: Side
    type: str
    time_in_force: str
    price: Decimal | None
    quantity: Decimal
    order_id: int | None = None
    status: str = "PENDING_NEW"
    filled: Decimal = Decimal(0)
    reason: str = ""

    @property
    def is_open(self) -> bool:
        """May it still fill?"""
        return self.status in OPEN


@dataclass(slots=True)
class Counts:
    """What a strategy has done so far."""

    placed: int = 0
    acknowledged: int = 0
    fills: int = 0
    canceled: int = 0
    amended: int = 0
    expired: int = 0
    rejected: int = 0


@dataclass(slots=True)
class Sent:
    """A request under way."""

    method: str
    at: float
    order: Order | None = None


class Strategy:
    """Trades one instrument on one account over one websocket; `tls` is the context of a `wss` url."""

    def __init__(
        self, name: str, instrument: Instrument, credentials: Credentials, url: str, tls: ssl.SSLContext | None = None
    ) -> None:
        self.name = name
        self.instrument = instrument
        self.credentials = credentials
        self.url = url
        self.tls = tls
        self.orders: dict[str, Order] = {}
        """Open orders by client order id."""
        self.closed: deque[Order] = deque(maxlen=REMEMBERED)
        self.position = Position()
        self.bid = self.ask = Decimal(0)
        self.counts = Counts()
        self.acknowledgements: deque[float] = deque(maxlen=REMEMBERED)
        """Seconds from a new order's request to its answer."""
        self._socket: ClientConnection | None = None
        self._trading: asyncio.Task[None] | None = None
        self._sent: dict[str, Sent] = {}
        self._last_id = 0
        self._started = f"{time.time_ns() // 1_000_000:x}"

    # --- hooks ------------------------------------------------------------------------------------------------------------

    async def trade(self) -> None:
        """The strategy itself: runs once connected; the strategy ends when it returns."""
        raise NotImplementedError

    def on_book(self, bid: Decimal, ask: Decimal) -> None:
        """The best prices have changed."""
        self.bid, self.ask = bid, ask

    def on_order_update(self, order: Order) -> None:
        """An order of ours has changed; `order` is as it stands now."""

    def on_fill(self, order: Order, quantity: Decimal, price: Decimal) -> None:
        """An order of ours has traded; the position has it already."""

    # --- actions ----------------------------------------------------------------------------------------------------------

    async def place(
        self, side: Side, quantity: Decimal, price: Decimal | None = None, *, type: str = "LIMIT", time_in_force: str = "GTC"
    ) -> Order:
        """Send a new order; a `price` of None makes it a market order. What becomes of it comes to `on_order_update`."""
        order = self._new_order(side, quantity, price, type, time_in_force)
        await self._request("order.place", self._order_params(order), order)
        return order

    async def cancel(self, order: Order) -> None:
        """Ask for an order to be cancelled."""
        params = {"symbol": self.instrument.symbol, "origClientOrderId": order.client_order_id}
        await self._request("order.cancel", params, order)

    async def amend(self, order: Order, quantity: Decimal, *, keep_id: bool = True) -> None:
        """Ask for a smaller quantity, keeping the place in the queue, and the client order id if so wished."""
        params = {"symbol": self.instrument.symbol, "origClientOrderId": order.client_order_id, "newQty": str(quantity)}
        if keep_id:
            params["newClientOrderId"] = order.client_order_id
        await self._request("order.amend.keepPriority", params, order)

    async def replace(self, order: Order, quantity: Decimal, price: Decimal, *, type: str = "LIMIT") -> Order:
        """Cancel an order and place another in one request; returns the new one."""
        new = self._new_order(order.side, quantity, price, type, "GTC")
        params = {"cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrigClientOrderId": order.client_order_id}
        await self._request("order.cancelReplace", params | self._order_params(new), new)
        return new

    # --- the socket -------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Connect, subscribe to the account's events and trade until `trade` returns or the connection ends.

        Raises `OSError` or `websockets.exceptions.InvalidHandshake` if the exchange cannot be reached.
        """
        async with connect(f"{self.url}/ws-api/v3", ssl=self.tls, proxy=None) as socket:
            self._socket = socket
            await self._request("userDataStream.subscribe.signature", {})
            self._trading = asyncio.create_task(self._trade())
            try:
                async for text in socket:
                    self._receive(json.loads(text))
            except ConnectionClosed:
                pass  # the exchange has gone: so has the strategy
            finally:
                self._trading.cancel()
                await asyncio.wait([self._trading])

    async def rest(self) -> None:
        """Stop trading, stay connected, and wait a moment for the answers still under way."""
        if self._trading:
            self._trading.cancel()
        give_up = time.monotonic() + LAST_ANSWERS
        while self._sent and time.monotonic() < give_up:
            await asyncio.sleep(0.01)

    async def close(self) -> None:
        """Hang up; open orders stay with the exchange."""
        if self._socket:
            await self._socket.close()

    async def _trade(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            await self.trade()
            await self.close()

    async def _request(self, method: str, params: dict[str, Any], order: Order | None = None) -> None:
        if self._socket is None:
            raise RuntimeError(f"{self.name} is not connected")
        request_id = f"{self.name}-{self._next()}"
        self._sent[request_id] = Sent(method, time.perf_counter(), order)
        await self._socket.send(json.dumps({"id": request_id, "method": method, "params": self.credentials.sign(params)}))

    def _next(self) -> int:
        self._last_id += 1
        return self._last_id

    def _new_order(self, side: Side, quantity: Decimal, price: Decimal | None, type: str, time_in_force: str) -> Order:
        client_id = f"{self.name}-{self._started}-{self._next()}"
        order = Order(client_id, side, "MARKET" if price is None else type, time_in_force, price, quantity)
        self.orders[client_id] = order
        self.counts.placed += 1
        return order

    def _order_params(self, order: Order) -> dict[str, Any]:
        params = {"symbol": self.instrument.symbol, "side": order.side, "type": order.type, "quantity": str(order.quantity)}
        if order.price is not None:
            params["price"] = str(order.price)
        if order.type == "LIMIT":
            params["timeInForce"] = order.time_in_force
        return params | {"newClientOrderId": order.client_order_id, "newOrderRespType": "FULL"}

    # --- what comes in ----------------------------------------------------------------------------------------------------

    def _receive(self, message: dict[str, Any]) -> None:
        if "event" in message:
            if message["event"]["e"] == "executionReport":
                self._executed(message["event"])
        elif (sent := self._sent.pop(message["id"], None)) is not None:
            self._answered(sent, message)

    def _answered(self, sent: Sent, message: dict[str, Any]) -> None:
        """An answer: of a new order only its failure matters, for its life is told by events."""
        new = sent.method in ("order.place", "order.cancelReplace")
        if message["status"] == 200:
            if new:
                self.counts.acknowledged += 1
                self.acknowledgements.append(time.perf_counter() - sent.at)
            return
        self.counts.rejected += 1
        order, error = sent.order, message["error"]
        if order is None:
            raise RuntimeError(f"{self.name}: {sent.method} refused: {error['code']} {error['msg']}")
        order.reason = f"{error['code']} {error['msg']}"
        if new and order.is_open:
            order.status = "REJECTED"
            self._close(order)
        self.on_order_update(order)

    def _executed(self, report: dict[str, Any]) -> None:
        """An `executionReport`. Another strategy of the same account may have caused it: then it is not ours."""
        order = self.orders.get(report["C"] or report["c"])
        if order is None or report["s"] != self.instrument.symbol:
            return
        execution = report["x"]
        if execution == "REPLACED":
            del self.orders[order.client_order_id]
            order.client_order_id = report["c"]
            self.orders[order.client_order_id] = order
            self.counts.amended += 1
        order.order_id, order.status = report["i"], report["X"]
        order.quantity, order.filled = Decimal(report["q"]), Decimal(report["z"])
        if execution == "TRADE":
            quantity, price = Decimal(report["l"]), Decimal(report["L"])
            self.position.fill(order.side, quantity, price, Decimal(report["n"]), report["N"])
            self.counts.fills += 1
            self.on_fill(order, quantity, price)
        elif execution == "CANCELED":
            self.counts.canceled += 1
        elif execution == "EXPIRED":
            order.reason = report.get("eR", "")
            self.counts.expired += 1
        if not order.is_open:
            self._close(order)
        self.on_order_update(order)

    def _close(self, order: Order) -> None:
        self.orders.pop(order.client_order_id, None)
        self.closed.append(order)

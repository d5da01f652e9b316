"""One strategy: one websocket to the exchange, its orders in memory, and hooks for what happens to them.

Subclass `Strategy`, override the hooks you care about, and trade in `trade`:

    class Mine(Strategy):
        async def trade(self) -> None:
            order = await self.place("BUY", quantity, price)
            ...
            await self.cancel(order)

        def on_fill(self, order: Order, quantity: Decimal, price: Decimal) -> None:
            print(self.position)

What goes over the wire is its venue's dialect: the `Trader` that it is given.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections import deque
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from strategies.dialect import Action, Answer, Change, Execution, Ready, Request, Say, Trader
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

    action: Action
    at: float
    order: Order


class Strategy:
    """Trades one instrument on one account over one websocket; `tls` is the context of a `wss` url."""

    def __init__(self, trader: Trader, url: str, tls: ssl.SSLContext | None = None) -> None:
        self.trader = trader
        self.name = trader.name
        self.instrument = trader.instrument
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
        self._sent: dict[str, list[Sent]] = {}
        """What awaits its answer, by the trader's key, which more than one request may share."""

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
        await self._request(self.trader.place(order))
        return order

    async def cancel(self, order: Order) -> None:
        """Ask for an order to be cancelled."""
        await self._request(self.trader.cancel(order))

    async def amend(self, order: Order, quantity: Decimal, price: Decimal | None = None, *, keep_id: bool = True) -> None:
        """Ask for another quantity, and price where the venue can; with less alone it keeps its place in the queue.

        With `keep_id` it keeps its client order id, too, where the venue would change it.
        """
        await self._request(self.trader.amend(order, quantity, price, keep_id))

    async def replace(self, order: Order, quantity: Decimal, price: Decimal, *, type: str = "LIMIT") -> Order:
        """Cancel an order and place another, in one request where the venue has such; returns the new one."""
        new = self._new_order(order.side, quantity, price, type, "GTC")
        for request in self.trader.replace(order, new):
            await self._request(request)
        return new

    # --- the socket -------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Connect, listen to the account's events and trade until `trade` returns or the connection ends.

        Raises `OSError` or `websockets.exceptions.InvalidHandshake` if the exchange cannot be reached, or does not let us in.
        """
        async with connect(self.url + self.trader.path, ssl=self.tls, proxy=None) as socket:
            self._socket = socket
            await socket.send(self.trader.opening())
            try:
                async for text in socket:
                    await self._receive(text)
            except ConnectionClosed:
                pass  # the exchange has gone: so has the strategy
            finally:
                if self._trading:
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

    async def _request(self, request: Request) -> None:
        if self._socket is None:
            raise RuntimeError(f"{self.name} is not connected")
        for key, (action, order) in request.awaits.items():
            self._sent.setdefault(key, []).append(Sent(action, time.perf_counter(), order))
        await self._socket.send(request.text)

    def _new_order(self, side: Side, quantity: Decimal, price: Decimal | None, type: str, time_in_force: str) -> Order:
        client_id = self.trader.client_order_id()
        order = Order(client_id, side, "MARKET" if price is None else type, time_in_force, price, quantity)
        self.orders[client_id] = order
        self.counts.placed += 1
        return order

    # --- what comes in ----------------------------------------------------------------------------------------------------

    async def _receive(self, text: str | bytes) -> None:
        for heard in self.trader.hear(text):
            if isinstance(heard, Change):
                self._changed(heard)
            elif isinstance(heard, Execution):
                self._filled(heard)
            elif isinstance(heard, Answer):
                self._answered(heard)
            elif isinstance(heard, Say) and self._socket:
                await self._socket.send(heard.text)
            elif isinstance(heard, Ready):
                self._trading = asyncio.create_task(self._trade())

    def _answered(self, answer: Answer) -> None:
        """An answer: of an order only its failure matters, for its life is told by events."""
        waiting = self._sent.pop(answer.key, None)
        if not waiting:
            return
        sent, *later = waiting
        if later:
            self._sent[answer.key] = later
        new, order = sent.action == "place", sent.order
        if not answer.refusal:
            if new:
                self.counts.acknowledged += 1
                self.acknowledgements.append(time.perf_counter() - sent.at)
            self.counts.amended += sent.action == "amend"
            return
        self.counts.rejected += 1
        order.reason = answer.refusal
        if new and order.is_open:
            order.status = "REJECTED"
            self._close(order)
        self.on_order_update(order)

    def _changed(self, change: Change) -> None:
        """Another strategy of the same account may have caused it: then it is not ours."""
        order = self.orders.get(change.client_order_id)
        if order is None:
            return
        if change.renamed:
            del self.orders[order.client_order_id]
            order.client_order_id = change.renamed
            self.orders[order.client_order_id] = order
        order.order_id, order.status = change.order_id, change.status
        order.quantity, order.filled = change.quantity, change.filled
        if change.price is not None:
            order.price = change.price
        if order.status == "CANCELED":
            self.counts.canceled += 1
        elif order.status == "EXPIRED":
            order.reason = change.reason
            self.counts.expired += 1
        if not order.is_open:
            self._close(order)
        self.on_order_update(order)

    def _filled(self, fill: Execution) -> None:
        """A fill; that of a closed order may come after its end."""
        order = self.orders.get(fill.client_order_id)
        if order is None:
            order = next((one for one in reversed(self.closed) if one.client_order_id == fill.client_order_id), None)
        if order is None:
            return
        self.position.fill(order.side, fill.quantity, fill.price, fill.fee, fill.fee_asset)
        self.counts.fills += 1
        self.on_fill(order, fill.quantity, fill.price)

    def _close(self, order: Order) -> None:
        self.orders.pop(order.client_order_id, None)
        self.closed.append(order)

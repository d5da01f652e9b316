"""One order book: order lifecycles, fills and fees, among our customers' orders and a crowd around them.

The crowd quotes a few levels on both sides of a wandering price and trades against resting orders at random; it stands for
everybody whose orders we do not see. Customers' orders match by price, then time; at one price they go before the crowd.
Orders of one account may trade with each other (self trade prevention is NONE): both sides then carry one trade id.

What venues decide differently is in `Rules`; the rest is binance-spot's: filters.md, enums.md and
faqs/order_amend_keep_priority.md of binance-spot-api-docs.
"""

from __future__ import annotations

import operator
import random
from bisect import insort
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Final

from strategies.accounts import ZERO, Account
from strategies.crowd import Crowd
from strategies.fees import commission
from strategies.instruments import Instrument
from strategies.orders import Fill, Order, OrderRequest, Refusal, Rejected, now_ms
from strategies.position import Side
from strategies.rules import Rules

FOUNDED: Final = 1_700_000_000_000
"""When ids began, in ms: nobody sees an order a millisecond, so two runs never give out the same id."""
MAX_OPEN_ORDERS: Final = 200
"""The MAX_NUM_ORDERS filter: open orders an account may have on a symbol."""

POST_ONLY_TAKES: Final = "POST_ONLY_WOULD_TAKE"
"""The expiry reason of a post-only order where the venue takes it and cancels it, rather than refuse it."""

OnExecution = Callable[[Order, str, Fill | None, str, int], None]
"""Told of each execution: order, execution type (x), fill, original client order id (C), execution id (I)."""
OnTrade = Callable[[str, int, Decimal, Decimal, int, bool], None]
"""Told of each public trade: symbol, trade id, price, quantity, time in ms, whether the buyer was the maker."""


class Ids:
    """The latest ids, as a venue with a past has them: they grow from run to run. Of one symbol, or of all."""

    def __init__(self, first: int, rng: random.Random) -> None:
        self.order = first + now_ms() - FOUNDED + rng.randrange(1000)
        self.trade = self.order // 10


class Book:
    """The order book of one symbol."""

    def __init__(
        self, instrument: Instrument, rules: Rules, ids: Ids, rng: random.Random, on_execution: OnExecution, on_trade: OnTrade
    ) -> None:
        self.instrument = instrument
        self.rules = rules
        self.ids = ids
        self.on_execution = on_execution
        self.on_trade = on_trade
        self.rng = rng
        self.crowd = Crowd(instrument, rng)
        self.resting: dict[Side, list[Order]] = {"BUY": [], "SELL": []}
        self.by_client_id: dict[tuple[Account, str], Order] = {}
        self.by_id: dict[int, Order] = {}
        """Open orders only, as the one above."""
        self.execution_id = 2 * ids.order
        self.update_id = ids.order
        self.queued = 0

    # --- requests ---------------------------------------------------------------------------------------------------------

    def check(self, account: Account, request: OrderRequest) -> None:
        """The symbol's filters, which come before the matching engine. Raises `Rejected`."""
        rules, reference = self.instrument, request.price or self.crowd.mid
        if request.type != "MARKET" and (request.price <= 0 or request.price % rules.tick):
            raise Rejected(Refusal.TICK)
        if request.quantity <= 0 or request.quantity % rules.lot:
            raise Rejected(Refusal.LOT)
        if not self.crowd.mid / 5 <= reference <= self.crowd.mid * 5:
            raise Rejected(Refusal.FAR)
        if reference * request.quantity < rules.min_notional:
            raise Rejected(Refusal.SMALL)
        if sum(order.account is account for order in self.by_id.values()) >= MAX_OPEN_ORDERS:
            raise Rejected(Refusal.OPEN_ORDERS)

    def place(self, account: Account, request: OrderRequest) -> Order:
        """Accept, match, then rest or expire what is left. Raises `Rejected` for what the engine refuses."""
        if (account, request.client_order_id) in self.by_client_id:
            raise Rejected(Refusal.DUPLICATE)
        takes = request.type == "LIMIT_MAKER" and self._crosses(request)
        if takes and self.rules.refuses_takers:
            raise Rejected(Refusal.TAKES)
        if account.free[self._spends(request.side)] < self._cost(request):
            raise Rejected(Refusal.FUNDS)
        order = self.new_order(account, request)
        self.by_id[order.order_id] = order
        if order.client_order_id:
            self.by_client_id[account, order.client_order_id] = order
        if order.type != "MARKET":
            account.lock(self._spends(order.side), self._cost(request))
        self._execution(order, "NEW")
        if not takes and (order.time_in_force != "FOK" or self._available(order) >= order.quantity):
            self._match(order)
        if order.remaining and (takes or order.type == "MARKET" or order.time_in_force != "GTC"):
            reasons = {"IOC": "UNFILLED_IOC_QUANTITY_EXPIRED", "FOK": "UNFILLED_FOK_ORDER_EXPIRED"}
            order.expiry_reason = POST_ONLY_TAKES if takes else reasons.get(order.time_in_force, "INSUFFICIENT_LIQUIDITY")
            self._close(order, "EXPIRED")
            self._execution(order, "EXPIRED")
        elif order.remaining:
            self._rest(order)
        return order

    def new_order(self, account: Account, request: OrderRequest) -> Order:
        """An order with the next order id, not yet in the book."""
        self.ids.order += self.rng.randint(1, 5)  # the crowd's orders take ids too
        client_id = request.client_order_id or self.rules.new_client_id(self.rng)
        return Order(
            account, self.instrument.symbol, self.ids.order, client_id, request.side, request.type, request.time_in_force,
            request.price, request.quantity, created=now_ms(), updated=now_ms(), client_order_ids=[client_id],
        )  # fmt: skip

    def reject(self, account: Account, request: OrderRequest, reason: str) -> Order:
        """Report an order as REJECTED: what the events say when a cancel-replace cancels but cannot place."""
        order = self.new_order(account, request)
        order.status, order.reject_reason = "REJECTED", reason
        self._execution(order, "REJECTED")
        return order

    def find(self, account: Account, order_id: int | None, client_order_id: str | None) -> Order | None:
        """An open order of `account` by either id; if both are given, they must agree."""
        order = self.by_id.get(order_id) if order_id is not None else self.by_client_id.get((account, client_order_id or ""))
        if order is None or order.account is not account or client_order_id not in (None, order.client_order_id):
            return None
        return order

    def cancel(
        self, account: Account, order_id: int | None, client_order_id: str | None, new_client_id: str
    ) -> tuple[Order, str]:
        """Cancel an open order; `new_client_id`, if any, becomes its client order id.

        Returns the order and its original client order id. Raises `Rejected` if there is no such open order.
        """
        order = self.find(account, order_id, client_order_id)
        if order is None:
            raise Rejected(Refusal.UNKNOWN)
        original = order.client_order_id
        self._close(order, "CANCELED")
        order.client_order_id = new_client_id or original
        self._execution(order, "CANCELED", original=original)
        self._moved()
        return order, original

    def amend(
        self,
        account: Account,
        order_id: int | None,
        client_order_id: str | None,
        quantity: Decimal | None,
        price: Decimal | None = None,
        new_client_id: str = "",
    ) -> tuple[Order, str]:
        """Change quantity, price (None: as it is) and client order id ("": as it is) of an open order.

        With less quantity it keeps its place in the queue; with more, or another price, it goes to the end, and may match.
        Returns the order and its original client order id. Raises `Rejected`.
        """
        order = self.find(account, order_id, client_order_id)
        if order is None:
            raise Rejected(Refusal.UNKNOWN)
        quantity = order.quantity if quantity is None else quantity
        price = order.price if price is None else price
        moves = price != order.price or quantity > order.quantity
        if self.rules.amends_to_less_only:
            if moves:
                raise Rejected(Refusal.INCREASE)
            if quantity == order.quantity:
                raise Rejected(Refusal.NO_CHANGE)
        if quantity <= order.filled or quantity % self.instrument.lot:
            raise Rejected(Refusal.LOT)
        if price <= 0 or price % self.instrument.tick:
            raise Rejected(Refusal.TICK)
        changed = replace(order, quantity=quantity, price=price)
        if order.type == "LIMIT_MAKER" and moves and self._crosses(changed):
            raise Rejected(Refusal.TAKES)
        more = self._left(changed) - self._left(order)
        if account.free[self._spends(order.side)] < more:
            raise Rejected(Refusal.FUNDS)
        account.lock(self._spends(order.side), more)
        original = order.client_order_id
        self.by_client_id.pop((account, original), None)
        order.quantity, order.price, order.client_order_id, order.updated = quantity, price, new_client_id or original, now_ms()
        if order.client_order_id != original:
            order.client_order_ids.append(order.client_order_id)
        if order.client_order_id:
            self.by_client_id[account, order.client_order_id] = order
        self._execution(order, "REPLACED", original=original)
        self._moved()
        if moves:
            self.resting[order.side].remove(order)
            order.resting = False
            self._match(order)
            if order.remaining:
                self._rest(order)
        return order, original

    # --- the market around ------------------------------------------------------------------------------------------------

    def tick(self, fill_probability: float) -> None:
        """One step of the crowd: the price wanders; a side's best resting order is hit with `fill_probability`."""
        self.crowd.move()
        sides: tuple[tuple[Side, Side], ...] = (("BUY", "SELL"), ("SELL", "BUY"))
        for side, other in sides:
            through, near = self.crowd.levels[other][0][0], self.crowd.levels[side][0][0]
            better = operator.ge if side == "BUY" else operator.le
            for order in tuple(self.resting[side]):
                if better(order.price, through):  # the price has moved through it
                    self._trade(order, order.remaining, order.price, maker=True)
            first = self.resting[side][0] if self.resting[side] else None
            if first and better(first.price, near) and self.rng.random() < fill_probability:
                part = Decimal(self.rng.choice((25, 50, 100))) / 100
                self._trade(first, self.instrument.to_lot(first.remaining * part), first.price, maker=True)
        if self.rng.random() < 0.3:  # a trade among the crowd: no business of ours, but market data
            taker: Side = self.rng.choice(("BUY", "SELL"))
            price, quantity = self.crowd.levels["SELL" if taker == "BUY" else "BUY"][0]
            self._public_trade(price, self.instrument.to_lot(quantity / 3), taker == "SELL")
        self._moved()

    def levels(self, side: Side) -> dict[Decimal, Decimal]:
        """All quantity of a side by price: the crowd's and our customers'."""
        total = {price: quantity for price, quantity in self.crowd.levels[side] if quantity}
        for order in self.resting[side]:
            total[order.price] = total.get(order.price, ZERO) + order.remaining
        return total

    def best(self, side: Side) -> tuple[Decimal, Decimal]:
        """Best price of a side and the quantity there; zeros when the side is empty."""
        total = self.levels(side)
        if not total:
            return ZERO, ZERO
        price = max(total) if side == "BUY" else min(total)
        return price, total[price]

    # --- the engine -------------------------------------------------------------------------------------------------------

    def _rest(self, order: Order) -> None:
        """Into the book, behind those of the same price."""
        self.queued += 1
        order.queued, order.resting = self.queued, True
        insort(self.resting[order.side], order, key=lambda resting: resting.rank)
        self._moved()

    def _spends(self, side: Side) -> str:
        return self.instrument.quote if side == "BUY" else self.instrument.base

    def _cost(self, request: OrderRequest | Order) -> Decimal:
        """What an order can cost at most, in the asset it spends; a market buy is estimated with some slack."""
        if request.side == "SELL":
            return request.quantity
        return request.quantity * (request.price or self.crowd.mid * Decimal("1.01"))

    @staticmethod
    def _left(order: Order) -> Decimal:
        """What an order has locked, in the asset it spends."""
        return order.remaining * order.price if order.side == "BUY" else order.remaining

    def _reaches(self, order: OrderRequest | Order, price: Decimal) -> bool:
        if order.type == "MARKET":
            return True
        return price <= order.price if order.side == "BUY" else price >= order.price

    def _crosses(self, request: OrderRequest | Order) -> bool:
        price, quantity = self.best("SELL" if request.side == "BUY" else "BUY")
        return bool(quantity) and self._reaches(request, price)

    def _available(self, order: Order) -> Decimal:
        opposite = self.levels("SELL" if order.side == "BUY" else "BUY")
        return sum((quantity for price, quantity in opposite.items() if self._reaches(order, price)), ZERO)

    def _match(self, taker: Order) -> None:
        other: Side = "SELL" if taker.side == "BUY" else "BUY"
        while taker.remaining:
            maker = self.resting[other][0] if self.resting[other] else None
            level = self.crowd.best(other)
            if maker and level and (level[0] < maker.price if other == "SELL" else level[0] > maker.price):
                maker = None  # the crowd is better
            price = maker.price if maker else level[0] if level else None
            if price is None or not self._reaches(taker, price):
                break
            if maker:
                self._trade(taker, min(taker.remaining, maker.remaining), price, maker=False, against=maker)
            elif level:
                quantity = min(taker.remaining, level[1])
                level[1] -= quantity
                self._trade(taker, quantity, price, maker=False)
        self._moved()

    def _trade(self, order: Order, quantity: Decimal, price: Decimal, *, maker: bool, against: Order | None = None) -> None:
        """One trade of `order`, with the crowd or `against` another customer's resting order."""
        quantity = min(quantity, order.remaining)
        at = self._public_trade(price, quantity, (order.side == "BUY") == maker)
        self._fill(order, quantity, price, maker, at)
        if against:
            self._fill(against, quantity, price, True, at)

    def _public_trade(self, price: Decimal, quantity: Decimal, buyer_is_maker: bool) -> int:
        self.ids.trade += 1
        at = now_ms()
        self.on_trade(self.instrument.symbol, self.ids.trade, price, quantity, at, buyer_is_maker)
        return at

    def _fill(self, order: Order, quantity: Decimal, price: Decimal, maker: bool, at: int) -> None:
        account, value = order.account, quantity * price
        earned = self.instrument.base if order.side == "BUY" else self.instrument.quote
        income = quantity if order.side == "BUY" else value
        fee, fee_asset = commission(self.rules, account, earned, income, value, maker)
        spent = value if order.side == "BUY" else quantity
        account.pay(self._spends(order.side), spent, from_locked=order.type != "MARKET")
        if order.side == "BUY" and order.type != "MARKET":
            account.unlock(self.instrument.quote, (order.price - price) * quantity)  # filled better than its limit
        account.pay(earned, -income, from_locked=False)
        account.pay(fee_asset, fee, from_locked=False)
        order.filled += quantity
        order.quote += value
        order.updated = at
        fill = Fill(self.ids.trade, order.order_id, order.side, price, quantity, fee, fee_asset, maker, at, account.is_heard)
        order.fills.append(fill)
        if order.remaining:
            order.status = "PARTIALLY_FILLED"
        else:
            self._close(order, "FILLED")
        self._execution(order, "TRADE", fill)

    def _close(self, order: Order, status: str) -> None:
        """Take an order out of the book and give back what it still had locked."""
        if order.resting:
            self.resting[order.side].remove(order)
            order.resting = False
        if order.type != "MARKET":
            order.account.unlock(self._spends(order.side), self._left(order))
        del self.by_id[order.order_id]
        self.by_client_id.pop((order.account, order.client_order_id), None)
        order.status = status
        order.updated = now_ms()

    def _execution(self, order: Order, execution: str, fill: Fill | None = None, original: str = "") -> None:
        self.execution_id += self.rng.randint(1, 3)
        self.on_execution(order, execution, fill, original, self.execution_id)

    def _moved(self) -> None:
        self.update_id += self.rng.randint(1, 9)

from __future__ import annotations

import random
from collections import defaultdict
from decimal import Decimal
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies.accounts import Account
from strategies.dialects import DIALECTS
from strategies.instruments import Instrument, instruments
from strategies.matching import Book, Ids
from strategies.orders import Fill, Order, OrderRequest, Refusal, Rejected
from strategies.position import Side

INSTRUMENT = Instrument("ABCUSDT", "ABC", "USDT", Decimal("0.01"), Decimal("0.1"), Decimal("50.00"))


class Execution(NamedTuple):
    order: Order
    type: str
    status: str
    fill: Fill | None
    original: str
    price: Decimal
    """The order's, at the time."""


class Market:
    """A book without a crowd, unless asked for, that remembers what it reported."""

    def __init__(self, crowd: bool = False, seed: int = 5, venue: str = "binance-spot") -> None:
        self.executions: list[Execution] = []
        self.trades: list[tuple[int, Decimal, Decimal, bool]] = []
        rng, rules = random.Random(seed), DIALECTS[venue].rules
        self.book = Book(INSTRUMENT, rules, Ids(rules.first_id, rng), rng, self._executed, self._traded)
        if not crowd:
            self.book.crowd.levels = {"BUY": [], "SELL": []}

    def _executed(self, order: Order, kind: str, fill: Fill | None, original: str, _: int) -> None:
        self.executions.append(Execution(order, kind, order.status, fill, original, order.price))

    def _traded(self, symbol: str, trade_id: int, price: Decimal, quantity: Decimal, at: int, buyer_is_maker: bool) -> None:
        self.trades.append((trade_id, price, quantity, buyer_is_maker))

    def types(self) -> list[tuple[str, str]]:
        return [(execution.type, execution.status) for execution in self.executions]


def account(bnb: bool = False, **free: int) -> Account:
    made = Account("k" * 64, bnb)
    for asset, amount in ({"USDT": 1_000_000, "ABC": 10_000, "BNB": 10} | free).items():
        made.deposit(asset, Decimal(amount))
    return made


def limit(
    side: Side, quantity: str, price: str, in_force: str = "GTC", kind: str = "LIMIT", client_id: str = ""
) -> OrderRequest:
    return OrderRequest(side, kind, in_force, Decimal(price), Decimal(quantity), client_id)


def test_better_prices_go_first_then_older_orders() -> None:
    market, mine = Market(), account()
    first, second, better = (market.book.place(mine, limit("SELL", "1", price)) for price in ("50.10", "50.10", "50.05"))
    taker = market.book.place(account(), limit("BUY", "2.5", "50.20"))
    assert [(fill.price, fill.quantity) for fill in taker.fills] == [
        (Decimal("50.05"), 1),
        (Decimal("50.10"), 1),
        (Decimal("50.10"), Decimal("0.5")),
    ]
    assert (better.status, first.status, second.status) == ("FILLED", "FILLED", "PARTIALLY_FILLED")
    assert not any(buyer_is_maker for *_, buyer_is_maker in market.trades)
    assert taker.quote == Decimal("50.05") + Decimal("50.10") * Decimal("1.5")


def test_both_sides_of_a_self_trade_share_the_trade_id() -> None:
    market, mine = Market(), account()
    maker = market.book.place(mine, limit("BUY", "2", "50"))
    taker = market.book.place(mine, limit("SELL", "2", "50"))
    (bought,), (sold,) = maker.fills, taker.fills
    assert bought.trade_id == sold.trade_id == market.trades[0][0]
    assert (bought.maker, sold.maker) == (True, False)
    assert market.trades[0][3]  # the buyer was the maker
    assert bought.order_id != sold.order_id


def test_an_ioc_order_fills_what_it_can_and_expires() -> None:
    market = Market()
    market.book.place(account(), limit("SELL", "1", "50"))
    order = market.book.place(account(), limit("BUY", "3", "50", "IOC"))
    assert (order.status, order.filled, order.expiry_reason) == ("EXPIRED", 1, "UNFILLED_IOC_QUANTITY_EXPIRED")
    executions = [(execution.type, execution.status) for execution in market.executions if execution.order is order]
    assert executions == [("NEW", "NEW"), ("TRADE", "PARTIALLY_FILLED"), ("EXPIRED", "EXPIRED")]


def test_a_fok_order_fills_whole_or_not_at_all() -> None:
    market = Market()
    market.book.place(account(), limit("SELL", "1", "50"))
    none = market.book.place(account(), limit("BUY", "1.1", "50", "FOK"))
    assert (none.status, none.filled, none.expiry_reason) == ("EXPIRED", 0, "UNFILLED_FOK_ORDER_EXPIRED")
    whole = market.book.place(account(), limit("BUY", "1", "50", "FOK"))
    assert (whole.status, whole.filled) == ("FILLED", 1)


def test_a_market_order_expires_when_the_book_is_empty() -> None:
    market = Market()
    order = market.book.place(account(), OrderRequest("BUY", "MARKET", quantity=Decimal(1)))
    assert (order.status, order.expiry_reason) == ("EXPIRED", "INSUFFICIENT_LIQUIDITY")
    assert market.types() == [("NEW", "NEW"), ("EXPIRED", "EXPIRED")]


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (limit("BUY", "1", "50.005"), Refusal.TICK),
        (limit("BUY", "1.05", "50"), Refusal.LOT),
        (limit("BUY", "0.1", "40"), Refusal.SMALL),
        (limit("BUY", "1", "300"), Refusal.FAR),
    ],
)
def test_filters_refuse(request_: OrderRequest, why: Refusal) -> None:
    market = Market()
    with pytest.raises(Rejected) as refused:
        market.book.check(account(), request_)
    assert refused.value.why is why
    assert not market.executions


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (limit("BUY", "30000", "50"), Refusal.FUNDS),
        (limit("BUY", "1", "50", kind="LIMIT_MAKER"), Refusal.TAKES),
        (limit("BUY", "1", "49", client_id="twice"), Refusal.DUPLICATE),
    ],
)
def test_the_engine_refuses(request_: OrderRequest, why: Refusal) -> None:
    market, mine = Market(), account()
    market.book.place(account(), limit("SELL", "1", "50"))
    market.book.place(mine, limit("BUY", "1", "48", client_id="twice"))
    with pytest.raises(Rejected) as refused:
        market.book.place(mine, request_)
    assert refused.value.why is why


def test_a_venue_may_take_a_post_only_order_and_cancel_it() -> None:
    market, mine = Market(venue="okx"), account()
    market.book.place(account(), limit("SELL", "1", "50"))
    order = market.book.place(mine, limit("BUY", "1", "50", kind="LIMIT_MAKER"))
    assert (order.status, order.expiry_reason, order.fills) == ("EXPIRED", "POST_ONLY_WOULD_TAKE", [])
    assert market.types()[1:] == [("NEW", "NEW"), ("EXPIRED", "EXPIRED")]
    assert mine.locked["USDT"] == 0


def test_a_cancel_frees_the_order_and_its_client_order_id() -> None:
    market, mine = Market(), account()
    order = market.book.place(mine, limit("BUY", "2", "49", client_id="mine"))
    assert mine.locked["USDT"] == 98
    canceled, original = market.book.cancel(mine, None, "mine", "bye")
    assert (canceled, original, order.status, order.client_order_id) == (order, "mine", "CANCELED", "bye")
    assert market.executions[-1].original == "mine"
    assert (mine.locked["USDT"], mine.free["USDT"]) == (0, 1_000_000)
    market.book.place(mine, limit("BUY", "1", "49", client_id="mine"))
    with pytest.raises(Rejected, match="UNKNOWN"):
        market.book.cancel(mine, order.order_id, None, "")
    with pytest.raises(Rejected, match="UNKNOWN"):
        market.book.cancel(account(), None, "mine", "")  # another account's


def test_an_amendment_keeps_the_place_in_the_queue() -> None:
    market, mine = Market(), account()
    first = market.book.place(mine, limit("SELL", "5", "50", client_id="first"))
    second = market.book.place(mine, limit("SELL", "5", "50"))
    market.book.amend(mine, None, "first", Decimal(2), new_client_id="other")
    assert first.client_order_id == "other"
    assert first.client_order_ids == ["first", "other"]
    assert mine.locked["ABC"] == 7
    market.book.place(account(), limit("BUY", "3", "50"))
    assert (first.status, first.filled, second.filled) == ("FILLED", 2, 1)
    for quantity, why in ((5, "NO_CHANGE"), (6, "INCREASE"), (1, "LOT")):
        with pytest.raises(Rejected, match=why):
            market.book.amend(mine, second.order_id, None, Decimal(quantity))


def test_an_amended_price_loses_the_place_in_the_queue_and_may_match() -> None:
    market, mine = Market(venue="bitfinex"), account()
    first, second = (market.book.place(mine, limit("SELL", "5", price)) for price in ("50", "51"))
    market.book.amend(mine, first.order_id, None, Decimal(6), Decimal(51))
    assert mine.locked["ABC"] == 11
    taker = market.book.place(account(), limit("BUY", "1", "50.5"))
    assert taker.resting
    market.book.amend(mine, first.order_id, None, None, Decimal("50.5"))
    assert (taker.status, first.filled, first.status) == ("FILLED", 1, "PARTIALLY_FILLED")
    market.book.amend(mine, first.order_id, None, None, Decimal(51))
    assert [order is second for order in market.book.resting["SELL"]] == [True, False]
    for quantity, price, why in ((1, None, "LOT"), (None, Decimal("50.001"), "TICK"), (20_000, None, "FUNDS")):
        with pytest.raises(Rejected, match=why):
            market.book.amend(mine, first.order_id, None, None if quantity is None else Decimal(quantity), price)
    assert mine.locked["ABC"] == 10


@pytest.mark.parametrize("bnb", [False, True])
def test_fees(bnb: bool) -> None:
    market, maker, taker = Market(), account(bnb), account(bnb)
    resting = market.book.place(maker, limit("BUY", "10", "60"))
    (sold,) = market.book.place(taker, limit("SELL", "10", "60")).fills
    (bought,) = resting.fills
    if bnb:  # 600 USDT at 0.08 % or 0.1 %, three quarters of it, at 600 USDT a BNB
        assert (bought.fee, bought.fee_asset, sold.fee, sold.fee_asset) == (Decimal("0.0006"), "BNB", Decimal("0.00075"), "BNB")
    else:
        assert (bought.fee, bought.fee_asset, sold.fee, sold.fee_asset) == (Decimal("0.008"), "ABC", Decimal("0.6"), "USDT")
    assert maker.free["ABC"] == 10_010 - (0 if bnb else bought.fee)


def test_the_crowd_fills_what_waits_and_moves_on() -> None:
    market, mine = Market(crowd=True), account()
    order = market.book.place(mine, limit("BUY", "400", "49.99"))
    for _ in range(200):
        market.book.tick(fill_probability=0.5)
    assert order.status == "FILLED"
    assert len(order.fills) > 1
    assert all(fill.maker for fill in order.fills)
    assert len({trade[0] for trade in market.trades}) == len(market.trades)


requests = st.builds(
    OrderRequest,
    side=st.sampled_from(("BUY", "SELL")),
    type=st.sampled_from(("LIMIT", "LIMIT", "LIMIT_MAKER", "MARKET")),
    time_in_force=st.sampled_from(("GTC", "GTC", "IOC", "FOK")),
    price=st.integers(4990, 5010).map(lambda ticks: Decimal(ticks) / 100),
    quantity=st.integers(2, 3000).map(lambda lots: Decimal(lots) / 10),
)
steps = st.lists(
    st.tuples(st.sampled_from(("place", "place", "cancel", "amend", "tick")), requests, st.integers(0, 9)), max_size=60
)


@settings(max_examples=150, deadline=None)
@given(steps, st.integers(0, 1000), st.sampled_from(sorted(DIALECTS)))
def test_books_always_balance(todo: list[tuple[str, OrderRequest, int]], seed: int, venue: str) -> None:
    """Whatever is done: fills add up, what open orders may cost is what is locked, and the book does not stay crossed."""
    market, owners = Market(crowd=True, seed=seed, venue=venue), [account(), account(bnb=True)]
    book = market.book
    for what, request, number in todo:
        owner = owners[number % 2]
        try:
            if what == "tick":
                book.tick(0.5)
            elif what == "place":
                if request.type == "MARKET":
                    request.price, request.time_in_force = Decimal(0), "GTC"
                book.check(owner, request)
                book.place(owner, request)
            elif book.by_id:
                order = list(book.by_id.values())[number % len(book.by_id)]
                if what == "cancel":
                    book.cancel(order.account, order.order_id, None, "")
                else:
                    price = None if book.rules.amends_to_less_only else request.price or None
                    book.amend(order.account, order.order_id, None, INSTRUMENT.to_lot(order.quantity / 2), price)
        except Rejected:
            pass
        locked: defaultdict[tuple[Account, str], Decimal] = defaultdict(Decimal)
        for order in book.by_id.values():
            assert order.is_open
            assert order.resting
            locks = order.remaining * order.price if order.side == "BUY" else order.remaining
            locked[order.account, "USDT" if order.side == "BUY" else "ABC"] += locks
        for owner in owners:
            assert all(owner.locked[asset] == locked[owner, asset] for asset in ("USDT", "ABC"))
    for order in {execution.order for execution in market.executions}:
        assert order.filled == sum((fill.quantity for fill in order.fills), Decimal(0)) <= order.quantity
        assert order.quote == sum((fill.quantity * fill.price for fill in order.fills), Decimal(0))
    for execution in market.executions:
        if (fill := execution.fill) and execution.order.type != "MARKET":
            assert fill.price <= execution.price if fill.side == "BUY" else fill.price >= execution.price
    bids, asks = book.resting["BUY"], book.resting["SELL"]
    assert not bids or not asks or bids[0].price < asks[0].price


def test_instruments_are_the_same_on_both_sides() -> None:
    assert instruments(40, 7) == instruments(40, 7) != instruments(40, 8)
    for instrument in instruments(200, 3):
        assert instrument.start % instrument.tick == 0
        assert Decimal("0.01") < instrument.lot * instrument.start < 5
        assert instrument.tick.as_tuple().exponent >= -8
        assert instrument.lot.as_tuple().exponent >= -8

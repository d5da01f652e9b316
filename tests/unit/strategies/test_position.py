from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies.position import Position, Side


def position(*fills: tuple[Side, str, str]) -> Position:
    held = Position()
    for side, quantity, price in fills:
        held.fill(side, Decimal(quantity), Decimal(price))
    return held


def test_fills_in_one_direction_average() -> None:
    held = position(("BUY", "1", "100"), ("BUY", "3", "120"))
    assert (held.quantity, held.average_price, held.realised) == (4, 115, 0)


def test_a_fill_against_it_realises_and_keeps_the_average() -> None:
    held = position(("BUY", "4", "115"), ("SELL", "1", "125"))
    assert (held.quantity, held.average_price, held.realised) == (3, 115, 10)
    assert held.unrealised(Decimal(110)) == -15


def test_a_short_earns_when_the_price_falls() -> None:
    held = position(("SELL", "2", "50"), ("BUY", "2", "45"))
    assert (held.quantity, held.average_price, held.realised) == (0, 0, 10)


def test_going_through_zero_opens_the_rest_at_the_new_price() -> None:
    held = position(("BUY", "1", "100"), ("SELL", "3", "90"))
    assert (held.quantity, held.average_price, held.realised) == (-2, 90, -10)


def test_fees_are_kept_by_asset() -> None:
    held = Position()
    held.fill("BUY", Decimal(1), Decimal(10), Decimal("0.001"), "ABC")
    held.fill("SELL", Decimal(1), Decimal(10), Decimal("0.01"), "USDT")
    held.fill("BUY", Decimal(1), Decimal(10), Decimal("0.002"), "ABC")
    assert held.fees == {"ABC": Decimal("0.003"), "USDT": Decimal("0.01")}


@pytest.mark.parametrize(("quantity", "price"), [("0", "1"), ("-1", "1"), ("1", "0")])
def test_a_fill_of_nothing_is_refused(quantity: str, price: str) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Position().fill("BUY", Decimal(quantity), Decimal(price))


amounts = st.integers(1, 1000).map(Decimal)


@given(st.lists(st.tuples(st.sampled_from(("BUY", "SELL")), amounts, amounts), max_size=30), amounts)
def test_profit_is_what_the_cash_says(fills: list[tuple[Side, Decimal, Decimal]], mark: Decimal) -> None:
    """Realised and unrealised profit add up to cash spent and earned, plus what the rest is worth."""
    held, cash = Position(), Decimal(0)
    for side, quantity, price in fills:
        held.fill(side, quantity, price)
        cash += -quantity * price if side == "BUY" else quantity * price
    assert abs(held.realised + held.unrealised(mark) - (cash + held.quantity * mark)) < Decimal("1e-15")

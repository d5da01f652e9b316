"""The last known terms of orders whose updates carry only what changed."""

from __future__ import annotations

from decimal import Decimal

import pytest

from sniffer.exchanges import lastknown
from sniffer.exchanges.lastknown import LastKnown

PLACED = {"symbol": "ADA/USD", "side": "sell", "price": Decimal("0.7"), "quantity": Decimal(40), "status": "NEW"}


def test_what_is_left_out_is_what_was_said_last() -> None:
    known = LastKnown()
    assert known.completed("O-1", PLACED) == PLACED
    assert known.completed("O-1", {"price": Decimal("0.8")}) == {
        "symbol": "ADA/USD",
        "side": "sell",
        "price": Decimal("0.8"),
        "quantity": Decimal(40),
    }
    assert known.completed("O-1", {})["price"] == Decimal("0.8")


def test_a_null_that_is_said_replaces_what_was_known() -> None:
    known = LastKnown()
    known.completed("O-1", PLACED)
    assert known.completed("O-1", {"price": None})["price"] is None
    assert known.completed("O-1", {})["price"] is None


def test_nothing_comes_from_another_order_or_from_before_the_capture() -> None:
    known = LastKnown()
    known.completed("O-1", PLACED)
    assert known.completed("O-2", {"status": "CANCELED"}) == {"status": "CANCELED"}


def test_a_state_is_never_repeated() -> None:
    known = LastKnown()
    known.completed("O-1", PLACED | {"filled_quantity": Decimal(5), "reason": "x"})
    assert set(known.completed("O-1", {})) == {"symbol", "side", "price", "quantity"}


def test_what_has_become_doubtful_is_forgotten() -> None:
    known = LastKnown()
    known.completed("O-1", PLACED)
    known.completed("O-2", PLACED)
    known.forget("O-1")
    known.forget("never seen")
    assert known.completed("O-1", {}) == {}
    assert known.completed("O-2", {}) != {}
    known.clear()
    assert known.completed("O-2", {}) == {}


def test_the_order_silent_longest_is_dropped_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lastknown, "ORDERS", 3)
    known = LastKnown()
    for order_id in ("O-1", "O-2", "O-3"):
        known.completed(order_id, PLACED)
    known.completed("O-1", {})
    known.completed("O-4", PLACED)
    assert known.completed("O-1", {}) != {}
    assert known.completed("O-2", {}) == {}


def test_the_callers_columns_are_not_changed() -> None:
    known, said = LastKnown(), dict(PLACED)
    columns = known.completed("O-1", said)
    columns["price"] = Decimal(9)
    assert known.completed("O-1", {})["price"] == Decimal("0.7")

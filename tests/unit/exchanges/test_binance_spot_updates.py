from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from sniffer.model import FillEvent, OrderEvent
from tests.unit.exchanges.binance_messages import JSON, T0, of_server, report, trade

LISTEN_KEY = "pN4fQ8rTz2LkXw7VbY1cDs9hJm3gKe6uAo5iWx0RqEvBnSlGtCyHdPfZjMaUk4Ob"


def test_a_new_order() -> None:
    assert of_server(report()).orders == [
        OrderEvent(
            77, "server", 3, 0, 2000, T0 * 1_000_000, "binance-spot", None, "ADAUSDC", "update", None, None, "strat7-0001",
            "9184736251", "sell", "limit", "gtc", "NEW", "NEW", Decimal("0.7135"), Decimal(0), Decimal(250), "base", Decimal(0),
            None, None,
        )
    ]  # fmt: skip


def test_a_fill_comes_with_its_update() -> None:
    decoded = of_server(trade())
    assert decoded.kind == "update"
    assert decoded.problem is None
    assert [(order.status, order.filled_quantity) for order in decoded.orders] == [("PARTIALLY_FILLED", Decimal(100))]
    assert decoded.fills == [
        FillEvent(
            77, "server", 3, 0, 2000, T0 * 1_000_000, "binance-spot", None, "ADAUSDC", "55512345", "9184736251", "strat7-0001",
            "sell", Decimal("0.7136"), Decimal(100), "base", Decimal("0.07136"), "USDC", "maker",
        )
    ]  # fmt: skip


@pytest.mark.parametrize(
    "envelope",
    [
        lambda event: event,
        lambda event: {"stream": LISTEN_KEY, "data": event},
        lambda event: {"subscriptionId": 4, "event": event},
        lambda event: {"event": event},
    ],
    ids=["bare", "stream", "subscription", "old subscription"],
)
def test_all_envelopes_say_the_same(envelope: Any) -> None:
    plain, wrapped = of_server(trade()), of_server(envelope(trade()))
    assert [row._replace(account=None) for row in wrapped.orders] == plain.orders
    assert [row._replace(account=None) for row in wrapped.fills] == plain.fills


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("NEW", "NEW"), ("PENDING_NEW", "PENDING_NEW"), ("PARTIALLY_FILLED", "PARTIALLY_FILLED"), ("FILLED", "FILLED"),
        ("CANCELED", "CANCELED"), ("PENDING_CANCEL", "PENDING_CANCEL"), ("REJECTED", "REJECTED"), ("EXPIRED", "EXPIRED"),
        ("EXPIRED_IN_MATCH", "EXPIRED"), ("SOMETHING_NEW", None), ("new", None),
    ],
)  # fmt: skip
def test_statuses_one_by_one(word: str, status: str | None) -> None:
    (order,) = of_server(report(X=word)).orders
    assert (order.status, order.status_raw) == (status, word)


@pytest.mark.parametrize(
    ("word", "force", "expected"),
    [
        ("LIMIT", "GTC", ("limit", "gtc")),
        ("LIMIT", "FOK", ("limit", "fok")),
        ("MARKET", "IOC", ("market", "ioc")),
        ("LIMIT_MAKER", "GTC", ("limit", "post_only")),
        ("LIMIT", "GTX", ("limit", "post_only")),
        ("STOP_LOSS", "GTC", ("stop", "gtc")),
        ("STOP_LOSS_LIMIT", "GTC", ("stop_limit", "gtc")),
        ("TAKE_PROFIT", "GTC", ("take_profit", "gtc")),
        ("TAKE_PROFIT_LIMIT", "GTC", ("take_profit_limit", "gtc")),
        ("BRAND_NEW", "DAY", ("brand_new", "day")),
    ],
)
def test_order_types_and_times_in_force(word: str, force: str, expected: tuple[str, str]) -> None:
    (order,) = of_server(report(o=word, f=force)).orders
    assert (order.order_type, order.time_in_force) == expected


def test_a_cancel_is_of_the_original_client_id() -> None:
    (order,) = of_server(report(x="CANCELED", X="CANCELED", c="cancel-of-0001", C="strat7-0001")).orders
    assert (order.client_order_id, order.status) == ("strat7-0001", "CANCELED")


@pytest.mark.parametrize("original", ["", "null"])
def test_a_cancel_without_an_original_id_keeps_the_only_one(original: str) -> None:
    (order,) = of_server(report(x="CANCELED", X="CANCELED", c="strat7-0001", C=original)).orders
    assert order.client_order_id == "strat7-0001"


def test_an_amended_order_goes_by_its_new_client_id() -> None:
    (order,) = of_server(report(x="REPLACED", X="NEW", c="amended-0001", C="strat7-0001", q="200.00000000")).orders
    assert (order.client_order_id, order.status, order.quantity) == ("amended-0001", "NEW", Decimal(200))


def test_a_rejection_says_why() -> None:
    (order,) = of_server(report(x="REJECTED", X="REJECTED", r="INSUFFICIENT_BALANCE")).orders
    assert (order.status, order.reason) == ("REJECTED", "INSUFFICIENT_BALANCE")


def test_self_trade_prevention_is_no_fill() -> None:
    decoded = of_server(report(x="TRADE_PREVENTION", X="EXPIRED_IN_MATCH", l="10.0", L="0.7", B="10.0", t=-1, v=8))
    assert (decoded.fills, decoded.problem) == ([], None)
    assert decoded.orders[0].status == "EXPIRED"


def test_the_expiry_of_a_rest_is_no_fill() -> None:
    decoded = of_server(trade(x="EXPIRED", X="EXPIRED", t=-1, l="0.00000000", L="0.00000000"))
    assert (decoded.fills, decoded.problem) == ([], None)


def test_an_allocation_of_smart_order_routing_is_a_fill_with_its_own_id() -> None:
    (fill,) = of_server(trade(t=-1, a=17, b="ONE_PARTY_TRADE_REPORT", k="SOR", uS=True, m=False)).fills
    assert (fill.trade_id, fill.liquidity) == ("17", "taker")


@pytest.mark.parametrize("changes", [{"t": -1}, {"l": "0.00000000"}])
def test_a_trade_that_cannot_be_one_is_a_problem(changes: JSON) -> None:
    decoded = of_server(trade(**changes))
    assert (len(decoded.orders), decoded.fills) == (1, [])
    assert decoded.problem is not None


def test_an_unknown_execution_type_may_hide_a_fill() -> None:
    decoded = of_server(trade(x="MATCHED"))
    assert (len(decoded.orders), decoded.fills) == (1, [])
    assert decoded.problem is not None


def test_a_market_order_for_a_quote_amount() -> None:
    (order,) = of_server(report(o="MARKET", q="0.00000000", Q="150.00000000", p="0.00000000")).orders
    assert (order.quantity, order.quantity_unit, order.price) == (Decimal(150), "quote", Decimal(0))


def test_numbers_in_exponent_notation_are_exact() -> None:
    payload = (
        b'{"e":"executionReport","E":1,"s":"X","c":"c","S":"BUY","o":"LIMIT","f":"GTC","q":9.21e4,"p":5.0e-8,"P":"0","C":"",'
    )
    (order,) = of_server(payload + b'"x":"NEW","X":"NEW","r":"NONE","i":5,"l":"0","z":"0","L":"0","T":7,"t":-1}').orders
    assert (order.quantity, order.price) == (Decimal(92100), Decimal("0.00000005"))


def test_microseconds_where_the_url_says_so() -> None:
    micro = report(E=T0 * 1000 + 2456, T=T0 * 1000 + 456, O=T0 * 1000)
    wanted = T0 * 1_000_000 + 456_000
    for path in ("/ws-api/v3?timeUnit=MICROSECOND", "/ws-api/v3?timeUnit=microsecond&returnRateLimits=false", None):
        assert of_server(micro, path=path).orders[0].exchange_time == wanted
    decoded = of_server(micro, path="/ws-api/v3")
    assert (decoded.orders, decoded.problem) == ([], "field T: a time out of range")


def test_one_time_in_the_year_50000_is_not_taken_for_microseconds() -> None:
    decoded = of_server(report(T=1_515_722_400_000_000))
    assert (decoded.orders, decoded.problem) == ([], "field T: a time out of range")


def test_list_status_is_kept_and_is_no_order_event() -> None:
    event = {"e": "listStatus", "E": T0, "s": "ADAUSDC", "g": 2, "c": "OCO", "l": "EXEC_STARTED", "L": "EXECUTING", "r": "NONE"}
    decoded = of_server({"subscriptionId": 0, "event": event})
    assert (decoded.kind, decoded.orders, decoded.problem) == ("other", [], None)


@pytest.mark.parametrize(
    "changes",
    [
        {"i": "12"}, {"i": True}, {"i": None}, {"s": ""}, {"s": 5}, {"S": "HOLD"}, {"S": ["SELL"]}, {"p": True}, {"p": "1e400"},
        {"q": None}, {"q": "-1"}, {"z": "NaN"}, {"x": 1}, {"X": None}, {"X": {}}, {"c": None}, {"o": ""}, {"T": "soon"},
        {"T": -1}, {"r": []}, {"e": 5}, {"x": "CANCELED", "C": None}, {"p": "1234567890123456789012"},
        {"p": "0.1234567890123456789"},
    ],
)  # fmt: skip
def test_a_broken_field_gives_no_row_but_a_problem(changes: JSON) -> None:
    decoded = of_server(report(**changes))
    assert (decoded.kind, decoded.orders, decoded.fills) == ("update", [], [])
    assert decoded.problem is not None


@pytest.mark.parametrize("changes", [{"t": None}, {"t": "5"}, {"L": "x"}, {"l": None}, {"n": []}, {"N": 5}, {"m": "yes"}])
def test_a_broken_fill_takes_its_update_with_it(changes: JSON) -> None:
    decoded = of_server(trade(**changes))
    assert (decoded.orders, decoded.fills) == ([], [])
    assert decoded.problem is not None

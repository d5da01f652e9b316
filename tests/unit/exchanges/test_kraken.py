"""Kraken Spot: websocket version 2 and 1, and REST. Messages as the documentation describes them, with values of our own."""

from __future__ import annotations

import json
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from sniffer.exchanges import guess_venue
from sniffer.exchanges.base import LOGIN, ConnectionFacts
from sniffer.exchanges.kraken import VENUE, marked
from sniffer.exchanges.numbers import rfc3339_ns
from sniffer.model import OPCODE_HTTP, OPCODE_TEXT, FillEvent, HttpHead, Message, Sender
from tests.unit.exchanges.conversation import connect, message, shown
from tests.unit.exchanges.conversation import last as last_of

JSON = dict[str, Any]

AT = "2025-03-04T05:06:07.123456Z"
ORDER_ID = "OAAAAA-BBBBB-CCCCCC"
FEES = [{"asset": "EUR", "qty": 0.0421}]


def ask(method: str, req_id: Any = 71, **params: Any) -> JSON:
    return {"method": method, "params": params | {"token": "TOKEN-of-alice"}} | ({} if req_id is None else {"req_id": req_id})


def add(req_id: Any = 71, **changes: Any) -> JSON:
    terms: JSON = {
        "order_type": "limit", "side": "buy", "symbol": "ADA/EUR", "order_qty": 30.5, "limit_price": 0.6125,
        "time_in_force": "gtc", "cl_ord_id": "strat-9",
    }  # fmt: skip
    return ask("add_order", req_id, **(terms | changes))


def answer(method: str, result: Any = None, error: str | None = None, req_id: Any = 71) -> JSON:
    told: JSON = {"method": method, "req_id": req_id, "success": error is None, "time_in": AT, "time_out": AT}
    return told | ({"result": result} if error is None else {"error": error})


def executions(*data: JSON, sequence: int | None = 4, type_: str = "update") -> JSON:
    return {"channel": "executions", "type": type_, "data": [*data]} | ({} if sequence is None else {"sequence": sequence})


def pending(**changes: Any) -> JSON:
    row: JSON = {
        "order_id": ORDER_ID, "symbol": "ADA/EUR", "order_qty": 30.5, "cum_cost": 0.0, "time_in_force": "GTC",
        "exec_type": "pending_new", "side": "buy", "order_type": "limit", "cl_ord_id": "strat-9", "limit_price_type": "static",
        "limit_price": 0.6125, "stop_price": 0.0, "order_status": "pending_new", "timestamp": AT,
    }  # fmt: skip
    return row | changes


def delta(**changes: Any) -> JSON:
    return {"timestamp": AT, "order_status": "new", "exec_type": "new", "order_id": ORDER_ID} | changes


def trade(**changes: Any) -> JSON:
    row: JSON = {
        "order_id": ORDER_ID, "exec_id": "TAAAAA-11111-BBBBBB", "exec_type": "trade", "trade_id": 7654321, "symbol": "ADA/EUR",
        "side": "buy", "last_qty": 10.5, "last_price": 0.6124, "liquidity_ind": "m", "cost": 6.4302, "order_type": "limit",
        "timestamp": AT, "order_status": "partially_filled", "cum_qty": 10.5, "avg_price": 0.6124, "fees": FEES,
    }  # fmt: skip
    return row | changes


def order_v1(**changes: Any) -> JSON:
    row: JSON = {
        "avg_price": "0.00000", "cost": "0.00000", "fee": "0.00000", "vol": "30.50000000", "vol_exec": "0.00000000",
        "status": "pending", "opentm": "1741064767.123456", "oflags": "fciq", "cl_ord_id": "strat-9", "limitprice": "0.00000",
        "descr": {"ordertype": "limit", "pair": "ADA/EUR", "price": "0.61250", "price2": "0.00000", "type": "buy"},
    }  # fmt: skip
    return row | changes


def trade_of_v1(**changes: Any) -> JSON:
    row: JSON = {
        "ordertxid": ORDER_ID, "postxid": "TZZZZZ-1", "pair": "ADA/EUR", "time": "1741064767.123456", "type": "buy",
        "ordertype": "limit", "price": "0.61240", "cost": "6.43", "fee": "0.0421", "vol": "10.50000000", "margin": "0.0",
    }  # fmt: skip
    return row | changes


ADD_V1 = {
    "event": "addOrder", "token": "TOKEN-of-alice", "reqid": 5, "ordertype": "stop-loss-limit", "type": "sell",
    "pair": "ADA/EUR", "price": "0.55", "price2": "0.54", "volume": "12", "oflags": "fciq,post", "timeinforce": "GTC",
}  # fmt: skip
ADDED_V1 = {"event": "addOrderStatus", "status": "ok", "txid": ORDER_ID, "descr": "sell 12 ADAEUR @ ...", "reqid": 5}
ADD_REST = "nonce=1741064767000&ordertype=limit&type=buy&volume=30.5&pair=ADAEUR&price=0.6125&cl_ord_id=strat-9&oflags=post"
BATCH = [
    {"order_type": "limit", "side": "buy", "order_qty": 1.25, "limit_price": 0.5, "cl_ord_id": "b-1"},
    {"order_type": "limit", "side": "sell", "order_qty": 2.75, "limit_price": 0.9, "cl_ord_id": "b-2"},
]
BATCHED = [
    {"order_id": "OB1", "cl_ord_id": "b-1", "success": True},
    {"cl_ord_id": "b-2", "success": False, "error": "EOrder:Invalid price"},
]

FIXTURES: list[tuple[str, Sender, Any] | tuple[str, Sender, Any, str]] = [
    ("kraken", "client", add()),
    ("kraken", "server", answer("add_order", {"order_id": ORDER_ID, "cl_ord_id": "strat-9"})),
    ("kraken", "client", add(72)),
    ("kraken", "server", answer("add_order", error="EOrder:Insufficient funds", req_id=72)),
    ("kraken", "client", ask("batch_add", 73, symbol="ADA/EUR", orders=BATCH)),
    ("kraken", "server", answer("batch_add", {"orders": BATCHED}, req_id=73)),
    ("kraken", "client", ask("amend_order", 74, order_id=ORDER_ID, order_qty=20.25, limit_price=0.625)),
    ("kraken", "server", answer("amend_order", {"amend_id": "TM1", "order_id": ORDER_ID}, req_id=74)),
    ("kraken", "client", ask("cancel_order", 75, order_id=[ORDER_ID, "O2"])),
    ("kraken", "server", answer("cancel_order", {"order_id": ORDER_ID}, req_id=75)),
    ("kraken", "server", executions(pending())),
    ("kraken", "server", executions(delta(), sequence=5)),
    ("kraken", "server", executions(trade(), delta(exec_type="filled", order_status="filled", cum_qty=10.5), sequence=6)),
    ("kraken", "client", ADD_V1),
    ("kraken", "server", ADDED_V1),
    ("kraken", "server", [[{ORDER_ID: order_v1()}], "openOrders", {"sequence": 1}]),
    ("kraken", "server", [[{ORDER_ID: {"status": "open", "userref": 0}}], "openOrders", {"sequence": 2}]),
    ("kraken", "server", [[{"TAAAAA-11111-BBBBBB": trade_of_v1()}], "ownTrades", {"sequence": 1}]),
    ("kraken", "client", ADD_REST, "POST /0/private/AddOrder"),
    ("kraken", "server", {"error": [], "result": {"txid": [ORDER_ID], "descr": {"order": "x"}}}, "POST /0/private/AddOrder"),
    ("kraken", "client", {"nonce": 1, "txid": ORDER_ID, "order_qty": "20.25"}, "POST /0/private/AmendOrder"),
    ("kraken", "server", {"error": ["EOrder:Unknown order"]}, "POST /0/private/AmendOrder"),
    ("kraken", "server", {"error": [], "result": {"open": {ORDER_ID: order_v1()}}}, "POST /0/private/OpenOrders"),
    ("kraken", "server", {"error": [], "result": {"trades": {"T1": trade_of_v1()}}}, "POST /0/private/TradesHistory"),
]
DERIVED = frozenset({"reason"})
"""Of a refusal that gives none."""


decoder = partial(connect, VENUE)
last = partial(last_of, VENUE)

IDS = ("action", "request_id", "order_id", "client_order_id")
TERMS = ("symbol", "side", "order_type", "time_in_force", "price", "stop_price", "quantity", "quantity_unit")
LIMIT = ("ADA/EUR", "buy", "limit", "gtc", Decimal("0.6125"), None, Decimal("30.5"), "base")


# --- requests ---


def test_a_placement() -> None:
    decoded = last(("client", add()))
    (row,) = decoded.orders
    assert decoded.kind == "request"
    assert shown(row, *IDS) == ("place", "71", None, "strat-9")
    assert shown(row, *TERMS) == LIMIT
    assert (row.status, row.exchange_time, row.account) == (None, None, None)


@pytest.mark.parametrize(
    ("changes", "column", "value"),
    [
        ({"order_type": "stop-loss", "triggers": {"price": 0.5, "reference": "last"}}, "stop_price", Decimal("0.5")),
        ({"order_type": "stop-loss"}, "order_type", "stop"),
        ({"order_type": "stop-loss-limit"}, "order_type", "stop_limit"),
        ({"order_type": "take-profit-limit"}, "order_type", "take_profit_limit"),
        ({"order_type": "trailing-stop", "triggers": {"price": 2, "price_type": "pct"}}, "stop_price", None),
        ({"order_type": "trailing-stop-limit", "limit_price": 1, "limit_price_type": "quote"}, "price", None),
        ({"post_only": True}, "time_in_force", "post_only"),
        ({"time_in_force": "ioc"}, "time_in_force", "ioc"),
    ],
)
def test_terms_of_a_placement(changes: JSON, column: str, value: Any) -> None:
    (row,) = last(("client", add(**changes))).orders
    assert getattr(row, column) == value


def test_a_market_order_for_an_amount_of_cash() -> None:
    request = ask("add_order", order_type="market", side="buy", symbol="ADA/EUR", cash_order_qty=75.5)
    (row,) = last(("client", request)).orders
    assert shown(row, "quantity", "quantity_unit", "price") == (Decimal("75.5"), "quote", None)


def test_the_unit_of_derivatives_is_not_said() -> None:
    (row,) = last(("client", add(asset_class="derivatives")), host="uws.kraken.com").orders
    assert shown(row, "quantity", "quantity_unit") == (Decimal("30.5"), None)


def test_a_batch_is_a_request_an_order() -> None:
    rows = last(("client", ask("batch_add", symbol="ADA/EUR", orders=BATCH))).orders
    assert [shown(row, "item", "symbol", "client_order_id", "side", "price") for row in rows] == [
        (0, "ADA/EUR", "b-1", "buy", Decimal("0.5")),
        (1, "ADA/EUR", "b-2", "sell", Decimal("0.9")),
    ]


def test_amendments_and_cancels() -> None:
    (row,) = last(("client", ask("amend_order", cl_ord_id="strat-9", order_qty=20, trigger_price=0.7))).orders
    assert shown(row, *IDS, "quantity", "stop_price") == ("amend", "71", None, "strat-9", Decimal(20), Decimal("0.7"))
    (row,) = last(("client", ask("edit_order", order_id=ORDER_ID, symbol="ADA/EUR", limit_price=0.7))).orders
    assert shown(row, *IDS, "symbol", "price") == ("amend", "71", ORDER_ID, None, "ADA/EUR", Decimal("0.7"))
    rows = last(("client", ask("cancel_order", order_id=["O1", "O2"]))).orders
    assert [shown(row, *IDS) for row in rows] == [("cancel", "71", "O1", None), ("cancel", "71", "O2", None)]
    rows = last(("client", ask("batch_cancel", orders=["O1", 17], cl_ord_id=["c"]))).orders
    assert [shown(row, *IDS[2:]) for row in rows] == [("O1", None), (None, None), (None, "c")]
    (row,) = last(("client", ask("cancel_all"))).orders
    assert shown(row, *IDS) == ("cancel", "71", None, None)


@pytest.mark.parametrize(
    "payload",
    [
        add(validate=True), ask("cancel_all_orders_after", timeout=60), {"method": "ping"}, {"event": "ping"}, b"x", b"[]", 5,
        {"method": "subscribe", "params": {"channel": "executions", "token": "t"}}, ADD_V1 | {"validate": "true"},
    ],
)  # fmt: skip
def test_what_is_no_order_request(payload: Any) -> None:
    assert decoder().decode(message("client", payload)) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"side": "both"}, {"side": None}, {"order_qty": True}, {"order_qty": "lots"}, {"limit_price": -1}, {"symbol": 5},
        {"order_qty": 1e30}, {"limit_price": "0.1234567890123456789"}, {"triggers": 7}, {"order_type": []}, {"cl_ord_id": {}},
    ],
)  # fmt: skip
def test_a_broken_request_gives_a_problem(changes: JSON) -> None:
    decoded = last(("client", add(**changes)))
    assert (decoded.kind, decoded.orders) == ("request", [])
    assert decoded.problem is not None


# --- answers ---


def test_an_answer_gives_the_order_its_id() -> None:
    (row,) = last(("client", add()), ("server", answer("add_order", {"order_id": ORDER_ID, "cl_ord_id": "strat-9"}))).orders
    assert shown(row, *IDS) == ("place", "71", ORDER_ID, "strat-9")
    assert shown(row, *TERMS) == LIMIT
    assert shown(row, "sender", "kind", "status", "exchange_time") == ("server", "response", None, rfc3339_ns(AT))


def test_an_answer_whose_request_was_not_seen() -> None:
    (row,) = last(("server", answer("add_order", {"order_id": ORDER_ID}))).orders
    assert shown(row, *IDS, *TERMS) == ("place", "71", ORDER_ID, None, *[None] * 8)


def test_a_refusal_is_joined_by_its_request_id() -> None:
    (row,) = last(("client", add()), ("server", answer("add_order", error="EOrder:Insufficient funds"))).orders
    assert shown(row, "action", "client_order_id", "price", "status", "status_raw", "reason") == (
        "place", "strat-9", Decimal("0.6125"), "REJECTED", "EOrder:Insufficient funds", "EOrder:Insufficient funds",
    )  # fmt: skip
    (row,) = last(("client", add(None)), ("server", answer("add_order", error="EOrder:x", req_id=None))).orders
    assert shown(row, "action", "client_order_id", "status") == ("place", None, "REJECTED")
    (row,) = last(("client", add()), ("client", add()), ("server", answer("add_order", error="EOrder:x"))).orders
    assert row.client_order_id is None  # the id was in flight twice


def test_a_refused_amendment_leaves_the_order_as_it_was() -> None:
    request = ask("amend_order", order_id=ORDER_ID, order_qty=20, limit_price=0.5)
    (row,) = last(("client", request), ("server", answer("amend_order", error="EOrder:Unknown order"))).orders
    assert shown(row, *IDS, "status", "price", "quantity", "reason") == (
        "amend", "71", ORDER_ID, None, None, None, None, "EOrder:Unknown order",
    )  # fmt: skip


def test_an_unknown_outcome_is_no_rejection() -> None:
    (row,) = last(("client", add()), ("server", answer("add_order", error="EService:Timeout"))).orders
    assert shown(row, "status", "reason") == (None, "EService:Timeout")


@pytest.mark.parametrize("result", [BATCHED, {"orders": BATCHED}])
def test_a_batch_that_failed_in_part(result: Any) -> None:
    rows = last(("client", ask("batch_add", symbol="ADA/EUR", orders=BATCH)), ("server", answer("batch_add", result))).orders
    assert [shown(row, "order_id", "client_order_id", "quantity", "status", "reason") for row in rows] == [
        ("OB1", "b-1", Decimal("1.25"), None, None),
        (None, "b-2", Decimal("2.75"), "REJECTED", "EOrder:Invalid price"),
    ]


def test_a_batch_in_another_order_is_not_joined() -> None:
    rows = last(("client", ask("batch_add", symbol="S", orders=BATCH)), ("server", answer("batch_add", BATCHED[::-1]))).orders
    assert [shown(row, "client_order_id", "quantity") for row in rows] == [("b-2", None), ("b-1", None)]


def test_a_refused_batch_refuses_each() -> None:
    rows = last(
        ("client", ask("batch_add", symbol="S", orders=BATCH)), ("server", answer("batch_add", error="EGeneral:x"))
    ).orders
    assert [shown(row, "client_order_id", "status") for row in rows] == [("b-1", "REJECTED"), ("b-2", "REJECTED")]


def test_cancels_are_answered_one_by_one() -> None:
    one = decoder()
    one.decode(message("client", ask("cancel_order", order_id=["O1", "O2"])))
    for order_id in ("O1", "O2"):
        decoded = one.decode(message("server", answer("cancel_order", {"order_id": order_id})))
        assert decoded is not None
        assert [shown(row, *IDS[:3]) for row in decoded.orders] == [("cancel", "71", order_id)]
    one.decode(message("client", ask("cancel_order", order_id=["O1", "O2"])))
    decoded = one.decode(message("server", answer("cancel_order", error="EOrder:Unknown order")))
    assert decoded is not None
    assert [shown(row, *IDS[:3]) for row in decoded.orders] == [("cancel", "71", None)]  # which of the two is not said


def test_a_cancellation_of_none_is_a_refusal() -> None:
    request = ask("batch_cancel", orders=["O1", "O2"])
    for told, reason in (
        (answer("batch_cancel") | {"orders_cancelled": 2}, None),
        (answer("batch_cancel") | {"orders_cancelled": 0}, "no order was cancelled"),
        (answer("batch_cancel", {"count": 0}), "no order was cancelled"),  # the unified API
    ):
        rows = last(("client", request), ("server", told)).orders
        assert [shown(row, *IDS[:3], "status", "reason") for row in rows] == [
            ("cancel", "71", order_id, None, reason) for order_id in ("O1", "O2")
        ]
    call = "POST /0/private/CancelOrder"
    for told, reason in (({"count": 0}, "no order was cancelled"), ({"count": 0, "pending": True}, None)):
        (row,) = last(("client", b"txid=O1", call), ("server", {"error": [], "result": told}, call)).orders
        assert shown(row, "order_id", "status", "reason") == ("O1", None, reason)


def test_an_edited_order_has_a_new_id() -> None:
    request = ask("edit_order", order_id=ORDER_ID, symbol="ADA/EUR", order_qty=5)
    result = {"order_id": "ONEW", "original_order_id": ORDER_ID}
    row, old = last(("client", request), ("server", answer("edit_order", result))).orders
    assert shown(row, *IDS, "quantity", "status") == ("amend", "71", "ONEW", None, Decimal(5), None)
    assert shown(old, *IDS, "quantity", "status") == ("amend", "71", ORDER_ID, None, None, "CANCELED")
    (row,) = last(("client", request), ("server", answer("edit_order", error="EOrder:Unknown order"))).orders
    assert shown(row, "order_id", "status") == (ORDER_ID, None)


def test_an_amendment_was_made_before_its_answer_left() -> None:
    left = "2025-03-04T05:06:07.999999Z"
    for method, at in (("amend_order", AT), ("edit_order", AT), ("add_order", left), ("cancel_order", left)):
        rows = last(("server", answer(method, {"order_id": ORDER_ID}) | {"time_out": left})).orders
        assert [row.exchange_time for row in rows] == [rfc3339_ns(at)]  # trades may have followed it by then


@pytest.mark.parametrize(
    "payload",
    [
        answer("subscribe", {"channel": "executions"}), {"method": "pong", "req_id": 1}, {"event": "heartbeat"},
        {"channel": "heartbeat"}, executions(type_="snapshot"), [[], "openOrders", {"sequence": 1}], [], [5, 6], 7, b"x",
        [337, {"a": []}, "book-10", "ADA/EUR"], {"channel": "trade", "type": "update", "data": [{"order_id": "x"}]},
    ],
)  # fmt: skip
def test_what_is_no_order_message(payload: Any) -> None:
    assert decoder().decode(message("server", payload)) is None


def test_an_answer_to_a_check_is_none() -> None:
    one = decoder()
    assert one.decode(message("client", add(validate=True))) is None
    assert one.decode(message("server", answer("add_order", {"cl_ord_id": "strat-9"}))) is None


# --- executions ---


def test_the_life_of_an_order() -> None:
    one = decoder()
    told = [
        executions(pending(), sequence=4),
        executions(delta(), sequence=5),
        executions(delta(exec_type="amended", order_qty=20, limit_price=0.65, reason="User requested"), sequence=6),
        executions(trade(), sequence=7),
        executions(delta(exec_type="canceled", order_status="canceled", cum_qty=10.5, reason="User requested"), sequence=8),
        executions(delta(), sequence=9),
    ]
    rows = []
    for each in told:
        decoded = one.decode(message("server", each))
        assert decoded is not None
        assert (decoded.kind, decoded.problem) == ("update", None)
        rows += decoded.orders
    columns = ("status", "symbol", "side", "price", "quantity", "filled_quantity", "reason", "client_order_id")
    p, q = Decimal("0.6125"), Decimal("30.5")
    assert [shown(row, *columns) for row in rows] == [
        ("PENDING_NEW", "ADA/EUR", "buy", p, q, None, None, "strat-9"),
        ("NEW", "ADA/EUR", "buy", p, q, None, None, "strat-9"),
        ("NEW", "ADA/EUR", "buy", Decimal("0.65"), Decimal(20), None, None, "strat-9"),
        ("PARTIALLY_FILLED", "ADA/EUR", "buy", Decimal("0.65"), Decimal(20), Decimal("10.5"), None, "strat-9"),
        ("CANCELED", "ADA/EUR", "buy", Decimal("0.65"), Decimal(20), Decimal("10.5"), "User requested", "strat-9"),
        ("NEW", None, None, None, None, None, None, None),  # nothing is known of an order that has ended
    ]
    assert {row.action for row in rows} == {None}
    assert rows[0].exchange_time == rfc3339_ns(AT)
    assert rows[0].stop_price == 0


def test_a_fill() -> None:
    decoded = last(("server", executions(pending())), ("server", executions(trade(), sequence=5)))
    (fill,) = decoded.fills
    assert fill == FillEvent(
        7, "server", 3, 0, 2000, rfc3339_ns(AT), "kraken", None, "ADA/EUR", "TAAAAA-11111-BBBBBB", ORDER_ID, "strat-9", "buy",
        Decimal("0.6124"), Decimal("10.5"), "base", Decimal("0.0421"), "EUR", "maker",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fees", "fee", "asset", "problem"),
    [
        ([{"asset": "EUR", "qty": -0.01}], Decimal("-0.01"), "EUR", None),
        ([{"asset": "EUR", "qty": 0}, {"asset": "KFEE", "qty": 4.2}], Decimal("4.2"), "KFEE", None),
        ([], None, None, None),
        ([{"asset": "EUR", "qty": 1}, {"asset": "ADA", "qty": 2}], None, None, "fees in more than one asset: none is stored"),
    ],
)
def test_fees(fees: Any, fee: Decimal | None, asset: str | None, problem: str | None) -> None:
    decoded = last(("server", executions(trade(fees=fees))))
    assert [shown(row, "fee", "fee_asset") for row in decoded.fills] == [(fee, asset)]
    assert decoded.problem == problem


@pytest.mark.parametrize(
    "between",
    [
        executions(delta(order_id="O2"), sequence=6),  # 5 is missing
        executions(delta(limit_price="x"), sequence=5),
        executions({"order_status": "new"}, sequence=5),
        executions(delta(order_id="O2"), sequence=1, type_="snapshot"),
        executions(delta(order_id="O2"), sequence=None),
    ],
)
def test_what_may_have_changed_unseen_is_not_repeated(between: JSON) -> None:
    one = decoder()
    sequence = between.get("sequence")
    for each in (executions(pending(), sequence=4), between):
        one.decode(message("server", each))
    decoded = one.decode(message("server", executions(delta(), sequence=sequence + 1 if sequence else None)))
    assert decoded is not None
    assert [shown(row, "price", "symbol") for row in decoded.orders] == [(None, None)]


def test_an_unknown_status_is_kept_raw() -> None:
    (row,) = last(("server", executions(pending(order_status="suspended")))).orders
    assert shown(row, "status", "status_raw") == (None, "suspended")


def test_an_execution_type_tells_the_state_where_nothing_else_does() -> None:
    for execution, status in (("canceled", "CANCELED"), ("amended", None)):
        (row,) = last(("server", executions({"order_id": ORDER_ID, "exec_type": execution, "timestamp": AT}))).orders
        assert shown(row, "status", "status_raw") == (status, execution if status else None)


@pytest.mark.parametrize(
    "changes",
    [
        {"exec_id": None}, {"last_qty": "x"}, {"last_price": None}, {"timestamp": "50000-01-01T00:00:00Z"}, {"timestamp": 5},
        {"fees": {}}, {"fees": [5]}, {"side": "none"}, {"cum_qty": 1e40}, {"order_id": 7}, {"exec_type": None}, {"symbol": ""},
    ],
)  # fmt: skip
def test_a_broken_item_is_a_problem_and_the_others_stay(changes: JSON) -> None:
    decoded = last(("server", executions(trade(**changes), pending(order_id="O2"))))
    assert [row.order_id for row in decoded.orders] == ["O2"]
    assert decoded.fills == []
    assert decoded.problem is not None


@pytest.mark.parametrize(
    "payload",
    [
        json.dumps(executions(trade()))[:-40].encode(), b'{"channel":"executions","data":[{"order_id":"a","order_id":"b"}]}',
        b'{"channel":"executions","data":5,"exec_type":1}', b'{"channel":"executions","data":[{"exec_type":NaN}]}',
    ],
)  # fmt: skip
def test_a_broken_message_is_a_problem(payload: bytes) -> None:
    decoded = last(("server", payload))
    assert (decoded.kind, decoded.orders, decoded.fills) == ("update", [], [])
    assert decoded.problem is not None


# --- version 1 ---


def test_requests_and_answers_of_version_1() -> None:
    (row,) = last(("client", ADD_V1)).orders
    assert shown(row, *IDS) == ("place", "5", None, None)
    assert shown(row, *TERMS) == (
        "ADA/EUR", "sell", "stop_limit", "post_only", Decimal("0.54"), Decimal("0.55"), Decimal(12), "base",
    )  # fmt: skip
    (row,) = last(("client", ADD_V1), ("server", ADDED_V1)).orders
    assert shown(row, *IDS, "quantity") == ("place", "5", ORDER_ID, None, Decimal(12))
    refused = {"event": "addOrderStatus", "status": "error", "errorMessage": "EOrder:Margin", "reqid": 5}
    (row,) = last(("client", ADD_V1), ("server", refused)).orders
    assert shown(row, "action", "status", "reason", "quantity") == ("place", "REJECTED", "EOrder:Margin", Decimal(12))
    rows = last(("client", {"event": "cancelOrder", "token": "t", "reqid": 6, "txid": ["O1", "O2"]})).orders
    assert [shown(row, *IDS[:3]) for row in rows] == [("cancel", "6", "O1"), ("cancel", "6", "O2")]
    (row,) = last(("server", {"event": "cancelAllStatus", "status": "ok", "count": 4, "reqid": 7})).orders
    assert shown(row, *IDS) == ("cancel", "7", None, None)


def test_offsets_from_the_market_are_no_prices() -> None:
    for price in ("+50", "-2%", "#10", "5%"):
        (row,) = last(("client", ADD_V1 | {"ordertype": "limit", "price": price})).orders
        assert (row.price, row.stop_price) == (None, None)


def test_open_orders_of_version_1() -> None:
    one = decoder()
    rows = []
    for sequence, order in enumerate(
        [order_v1(), {"status": "open"}, {"vol_exec": "10.5", "avg_price": "0.6124"}, {"status": "closed"}], 1
    ):
        decoded = one.decode(message("server", [[{ORDER_ID: order}], "openOrders", {"sequence": sequence}]))
        assert decoded is not None
        rows += decoded.orders
    assert [shown(row, "status", "status_raw", "filled_quantity", "price", "quantity") for row in rows] == [
        ("PENDING_NEW", "pending", Decimal(0), Decimal("0.6125"), Decimal("30.5")),
        ("NEW", "open", None, Decimal("0.6125"), Decimal("30.5")),
        (None, None, Decimal("10.5"), Decimal("0.6125"), Decimal("30.5")),
        ("FILLED", "closed", None, Decimal("0.6125"), Decimal("30.5")),
    ]
    assert [row.exchange_time for row in rows] == [rfc3339_ns("2025-03-04T05:06:07.123456Z"), None, None, None]


def test_a_fill_told_by_both_versions_has_one_id() -> None:
    old = last(("server", [[{"TAAAAA-11111-BBBBBB": trade_of_v1()}], "ownTrades", {"sequence": 1}])).fills
    new = last(("server", executions(trade()))).fills
    columns = ("symbol", "trade_id", "order_id", "side", "price", "quantity", "fee", "exchange_time")
    assert [shown(row, *columns) for row in old] == [shown(row, *columns) for row in new]


# --- REST ---

ADD_CALL = "POST /0/private/AddOrder"


@pytest.mark.parametrize(
    "body",
    [
        ADD_REST.encode(),
        {"ordertype": "limit", "type": "buy", "volume": 30.5, "pair": "ADAEUR", "price": "0.6125", "cl_ord_id": "strat-9",
         "oflags": "post"},
    ],
)  # fmt: skip
def test_rest_calls_and_answers(body: Any) -> None:
    (row,) = last(("client", body, ADD_CALL)).orders
    assert shown(row, *IDS) == ("place", None, None, "strat-9")
    assert shown(row, *TERMS) == ("ADAEUR", "buy", "limit", "post_only", Decimal("0.6125"), None, Decimal("30.5"), "base")
    placed = {"error": [], "result": {"txid": [ORDER_ID], "descr": {"order": "buy 30.5 ADAEUR @ limit 0.6125"}}}
    (row,) = last(("client", body, ADD_CALL), ("server", placed, ADD_CALL)).orders
    assert shown(row, *IDS, "price", "status") == ("place", None, ORDER_ID, "strat-9", Decimal("0.6125"), None)
    (row,) = last(("client", body, ADD_CALL), ("server", {"error": ["EOrder:Insufficient funds"]}, ADD_CALL)).orders
    assert shown(row, "client_order_id", "status", "reason") == ("strat-9", "REJECTED", "EOrder:Insufficient funds")
    (row,) = last(("client", body, ADD_CALL), ("server", {"error": ["EService:Busy"]}, ADD_CALL, 503)).orders
    assert shown(row, "client_order_id", "status", "reason") == ("strat-9", None, "EService:Busy")


def test_rest_batches_fail_in_part() -> None:
    call = "POST /0/private/AddOrderBatch"
    orders = [
        {"ordertype": "limit", "type": "buy", "volume": "1", "price": "2"},
        {"ordertype": "limit", "type": "sell", "volume": "3", "price": "4"},
    ]
    result = {"orders": [{"txid": "OB1", "descr": {}}, {"error": "EOrder:Cost minimum not met"}]}
    rows = last(
        ("client", {"pair": "ADAEUR", "orders": orders}, call), ("server", {"error": [], "result": result}, call)
    ).orders
    assert [shown(row, "symbol", "order_id", "side", "status") for row in rows] == [
        ("ADAEUR", "OB1", "buy", None),
        ("ADAEUR", None, "sell", "REJECTED"),
    ]


def test_rest_cancels_amendments_and_edits() -> None:
    (row,) = last(("client", f"nonce=1&txid={ORDER_ID}".encode(), "POST /0/private/CancelOrder")).orders
    assert shown(row, *IDS) == ("cancel", None, ORDER_ID, None)
    (row,) = last(("client", b"nonce=1&txid=1234", "POST /0/private/CancelOrder")).orders
    assert shown(row, *IDS) == ("cancel", None, None, None)  # a userref
    call = "POST /0/private/CancelOrder"
    done = {"error": [], "result": {"count": 1}}
    (row,) = last(("client", f"txid={ORDER_ID}".encode(), call), ("server", done, call)).orders
    assert shown(row, *IDS, "status", "kind") == ("cancel", None, ORDER_ID, None, None, "response")
    rows = last(("client", {"orders": ["O1", {"txid": "O2"}]}, "POST /0/private/CancelOrderBatch")).orders
    assert [row.order_id for row in rows] == ["O1", "O2"]
    call = "POST /0/private/EditOrder"
    result = {"status": "ok", "txid": "ONEW", "originaltxid": ORDER_ID, "volume": "2.5", "descr": {}}
    row, old = last(
        ("client", f"txid={ORDER_ID}&pair=ADAEUR&volume=2.5".encode(), call), ("server", {"result": result}, call)
    ).orders
    assert shown(row, *IDS, "quantity", "symbol") == ("amend", None, "ONEW", None, Decimal("2.5"), "ADAEUR")
    assert shown(old, "order_id", "status") == (ORDER_ID, "CANCELED")


def test_rest_queries_tell_states_and_fills() -> None:
    order = order_v1(status="canceled", price="0.00000", closetm=1741064768.5, reason="User requested")
    (row,) = last(("server", {"error": [], "result": {"closed": {ORDER_ID: order}}}, "POST /0/private/ClosedOrders")).orders
    assert shown(row, "action", "status", "reason", "order_id") == (None, "CANCELED", "User requested", ORDER_ID)
    assert row.exchange_time == 1_741_064_768_500_000_000
    (fill,) = last(("server", {"result": {"T9": trade_of_v1(maker=False)}}, "POST /0/private/QueryTrades")).fills
    assert shown(fill, "trade_id", "liquidity", "fee", "fee_asset") == ("T9", "taker", Decimal("0.0421"), None)


def test_other_calls_are_none_of_ours() -> None:
    for call in ("POST /0/private/Balance", "GET /0/public/Trades", "POST /0/private/CancelAllOrdersAfter"):
        assert decoder().decode(message("client", b"nonce=1", call)) is None
        assert decoder().decode(message("server", {"error": [], "result": {}}, call)) is None
    assert decoder().decode(Message(7, "client", 0, 0, 0, OPCODE_HTTP, b"", HttpHead("POST", None, None, ()))) is None


# --- whose, and secrets ---


def test_a_token_goes_by_the_name_of_its_key() -> None:
    facts = ConnectionFacts(connection_id=7, name_of=lambda secret: f"name of {secret}")
    rest, ws = VENUE.decoder(facts), VENUE.decoder(facts)
    call = "POST /0/private/GetWebSocketsToken"
    assert rest.decode(message("client", b"nonce=1", call, api_key="KEY-of-alice")) is None
    told = rest.decode(message("server", {"error": [], "result": {"token": "TOKEN-of-alice", "expires": 900}}, call))
    assert told is not None
    assert told.kind == LOGIN
    ws.decode(message("client", {"method": "subscribe", "params": {"channel": "executions", "token": "TOKEN-of-alice"}}))
    assert (rest.account, ws.account) == ("name of KEY-of-alice", "name of KEY-of-alice")
    messages: list[tuple[Sender, Any]] = [("server", executions(pending())), ("client", add())]
    for sender, payload in messages:
        decoded = ws.decode(message(sender, payload))
        assert decoded is not None
        assert {row.account for row in decoded.orders} == {"name of KEY-of-alice"}


def test_a_token_of_unknown_origin_names_nobody() -> None:
    """Each connection has a token of its own: named by it, one account would be many."""
    one = decoder(account="configured")
    for payload in (add(), ADD_V1, {"method": "subscribe", "params": {"channel": "executions", "token": "T"}}):
        one.decode(message("client", payload))
    decoded = one.decode(message("server", executions(pending())))
    assert decoded is not None
    assert {row.account for row in decoded.orders} == {one.account} == {"configured"}


@pytest.mark.parametrize(
    ("sender", "text"),
    [
        ("client", json.dumps(add()).replace("TOKEN-of-alice", "SECRET")),
        ("client", '{"event":"subscribe","subscription":{"name":"openOrders","token":"SECRET"}}'),
        ("server", '{"error":[],"result":{"token":"SECRET","expires":900}}'),
        ("client", "nonce=1&otp=SECRET&pair=ADAEUR"),
        ("client", "API-Key: SECRET\r\nAPI-Sign: SECRET\r\n"),
    ],
)
def test_secrets_are_taken_out(sender: Sender, text: str) -> None:
    assert "SECRET" in text
    assert "SECRET" not in VENUE.redact(sender, text)
    assert "SECRET" not in VENUE.redact_path("/0/private/Balance?token=SECRET")


# --- recognition ---


@pytest.mark.parametrize(("sender", "payload"), [(fixture[1], fixture[2]) for fixture in FIXTURES if len(fixture) == 3])
def test_order_messages_pass_the_search(sender: Sender, payload: Any) -> None:
    for separators in ((",", ":"), (", ", ": ")):
        raw = json.dumps(payload, separators=separators).encode()
        assert decoder().wanted(sender, OPCODE_TEXT)(raw)
        if b"addOrderStatus" not in raw:
            assert guess_venue(sender, raw) is VENUE


MARKET = [
    b'{"channel":"book","type":"update","data":[{"symbol":"ADA/EUR","bids":[{"price":0.6,"qty":1.5}],"asks":[]}]}',
    b'{"channel":"trade","type":"update","data":[{"symbol":"ADA/EUR","side":"buy","price":0.6,"qty":1,"ord_type":"limit"}]}',
    b'{"channel":"heartbeat"}', b'{"event":"heartbeat"}', b'[0,{"a":[["0.6","1","1"]]},"book-10","ADA/EUR"]',
    b'[0,[["0.6","1","1741064767.1","b","l",""]],"trade","ADA/EUR"]',
]  # fmt: skip


@pytest.mark.parametrize("payload", MARKET)
def test_market_data_does_not(payload: bytes) -> None:
    assert not marked(payload)
    assert not VENUE.looks_like("server", payload)


def test_hosts() -> None:
    assert VENUE.recognises("ws-auth.kraken.com", "/v2", 443)
    assert VENUE.recognises("API.kraken.com.", "/0/private/AddOrder", 443)
    assert not VENUE.recognises("futures.kraken.com", "/ws/v1", 443)
    assert not VENUE.recognises(None, "/v2", 443)

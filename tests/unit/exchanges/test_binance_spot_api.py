from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from sniffer.exchanges.base import LOGIN, PENDING
from tests.unit.exchanges.binance_messages import (
    JSON,
    T0,
    answer,
    ask,
    canceled,
    decoder,
    full,
    joined,
    message,
    of_client,
    of_server,
    order,
    place,
    refusal,
    report,
    trade,
)

FIXTURES: list[tuple[str, str, Any]] = [
    ("binance-spot", "client", place()),
    ("binance-spot", "server", answer(full())),
    ("binance-spot", "client", ask("order.cancel", "r-2", symbol="ADAUSDC", orderId=5)),
    ("binance-spot", "server", answer(canceled(), "r-2")),
    ("binance-spot", "server", report()),
    ("binance-spot", "server", {"subscriptionId": 2, "event": trade(X="FILLED", m=False)}),
]


def brief(row: Any) -> tuple[Any, ...]:
    return (row.action, row.client_order_id, row.order_id, row.side, row.order_type, row.price, row.stop_price, row.quantity)


# --- requests ---


def test_a_placement_request() -> None:
    decoded = of_client(place())
    assert decoded.kind == "request"
    (row,) = decoded.orders
    assert brief(row) == ("place", "strat7-0001", None, "sell", "limit", Decimal("0.7135"), None, Decimal(250))
    assert (row.sender, row.kind, row.request_id, row.symbol, row.time_in_force) == (
        "client",
        "request",
        "r-1",
        "ADAUSDC",
        "gtc",
    )
    assert (row.exchange_time, row.status, row.status_raw, row.quantity_unit) == (None, None, None, "base")
    assert row.account == "name of KEY-of-alice"


@pytest.mark.parametrize(("request_id", "shown"), [("abc", "abc"), (17, "17"), (None, None)])
def test_request_ids_of_every_type(request_id: Any, shown: str | None) -> None:
    assert of_client(place(request_id)).orders[0].request_id == shown


def test_json_numbers_and_a_version_before_the_method() -> None:
    (row,) = of_client(place(method="v3/sor.order.place", quantity=0.5, price=31000)).orders
    assert (row.quantity, row.price) == (Decimal("0.5"), Decimal(31000))


def test_a_market_order_by_quote_amount() -> None:
    request = ask("order.place", symbol="ADAUSDC", side="BUY", type="MARKET", quoteOrderQty="75.5")
    (row,) = of_client(request).orders
    assert (row.quantity, row.quantity_unit, row.price, row.time_in_force) == (Decimal("75.5"), "quote", None, None)


def test_cancel_and_amend_requests() -> None:
    (row,) = of_client(ask("order.cancel", symbol="ADAUSDC", orderId=9184736251, newClientOrderId="cancel-of-0001")).orders
    assert brief(row) == ("cancel", None, "9184736251", None, None, None, None, None)
    (row,) = of_client(ask("order.amend.keepPriority", symbol="ADAUSDC", origClientOrderId="strat7-0001", newQty="200")).orders
    assert brief(row) == ("amend", "strat7-0001", None, None, None, None, None, Decimal(200))
    (row,) = of_client(ask("openOrders.cancelAll", symbol="ADAUSDC")).orders
    assert (row.symbol, *brief(row)) == ("ADAUSDC", "cancel", None, None, None, None, None, None, None)


def test_cancel_replace_asks_for_two_things() -> None:
    request = place(
        method="order.cancelReplace", cancelReplaceMode="ALLOW_FAILURE", cancelOrderId=5, cancelOrigClientOrderId="o"
    )
    rows = of_client(request).orders
    assert [brief(row) for row in rows] == [
        ("cancel", "o", "5", None, None, None, None, None),
        ("place", "strat7-0001", None, "sell", "limit", Decimal("0.7135"), None, Decimal(250)),
    ]
    assert [row.item for row in rows] == [0, 1]


LISTS: list[tuple[JSON, list[tuple[Any, ...]]]] = [
    (
        ask(
            "orderList.place.oco", symbol="S", side="BUY", quantity="4", aboveType="STOP_LOSS_LIMIT", abovePrice="1.5",
            aboveStopPrice="1.4", aboveTimeInForce="GTC", aboveClientOrderId="up", belowType="LIMIT_MAKER", belowPrice="1.1",
        ),
        [
            ("place", "up", None, "buy", "stop_limit", Decimal("1.5"), Decimal("1.4"), Decimal(4)),
            ("place", None, None, "buy", "limit", Decimal("1.1"), None, Decimal(4)),
        ],
    ),
    (
        ask(
            "orderList.place.oto", symbol="S", workingType="LIMIT", workingSide="SELL", workingPrice=1, workingQuantity=2,
            workingTimeInForce="GTC", workingClientOrderId="w", pendingType="MARKET", pendingSide="BUY", pendingQuantity=3,
        ),
        [
            ("place", "w", None, "sell", "limit", Decimal(1), None, Decimal(2)),
            ("place", None, None, "buy", "market", None, None, Decimal(3)),
        ],
    ),
    (
        ask(
            "orderList.place.otoco", symbol="S", workingType="LIMIT", workingSide="BUY", workingPrice="1.5", workingQuantity=1,
            pendingSide="SELL", pendingQuantity=5, pendingAboveType="TAKE_PROFIT", pendingAboveStopPrice="2",
            pendingBelowType="STOP_LOSS", pendingBelowStopPrice="0.5", pendingBelowClientOrderId="low",
        ),
        [
            ("place", None, None, "buy", "limit", Decimal("1.5"), None, Decimal(1)),
            ("place", None, None, "sell", "take_profit", None, Decimal(2), Decimal(5)),
            ("place", "low", None, "sell", "stop", None, Decimal("0.5"), Decimal(5)),
        ],
    ),
    (
        ask(
            "orderList.place.opo", symbol="S", workingType="LIMIT", workingSide="BUY", workingPrice="1.5", workingQuantity=1,
            pendingSide="SELL", pendingType="LIMIT", pendingPrice="1.7", pendingTimeInForce="GTC",
        ),
        [
            ("place", None, None, "buy", "limit", Decimal("1.5"), None, Decimal(1)),
            ("place", None, None, "sell", "limit", Decimal("1.7"), None, None),
        ],
    ),
    (
        ask(
            "orderList.place", symbol="S", side="SELL", price="9", quantity="2", stopPrice="7", stopLimitPrice="6.9",
            stopLimitTimeInForce="GTC", limitClientOrderId="lim", stopClientOrderId="stp",
        ),
        [
            ("place", "lim", None, "sell", "limit", Decimal(9), None, Decimal(2)),
            ("place", "stp", None, "sell", "stop_limit", Decimal("6.9"), Decimal(7), Decimal(2)),
        ],
    ),
    (
        ask("orderList.place", symbol="S", side="SELL", price="9", quantity="2", stopPrice="7"),
        [
            ("place", None, None, "sell", "limit", Decimal(9), None, Decimal(2)),
            ("place", None, None, "sell", "stop", None, Decimal(7), Decimal(2)),
        ],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "rows"), LISTS, ids=[request["method"] for request, _ in LISTS])
def test_order_lists_name_each_of_their_orders(request_: JSON, rows: list[tuple[Any, ...]]) -> None:
    assert [brief(row) for row in of_client(request_).orders] == rows


@pytest.mark.parametrize(
    "request_",
    [
        place(method="order.test"), place(method="sor.order.test"), ask("order.status", symbol="S", orderId=1), ask("klines"),
        {"id": 1, "method": "ping"}, {"method": "SUBSCRIBE", "params": ["adausdc@trade"], "id": 1}, "ok", 5, b"ping",
        b"\xff", {"id": 1, "method": "userDataStream.subscribe"},
    ],
)  # fmt: skip
def test_what_is_no_order_request(request_: Any) -> None:
    assert decoder().decode(message("client", request_)) is None


def test_an_order_method_of_the_future_is_a_problem() -> None:
    decoded = of_client(ask("order.placeAndForget", symbol="S"))
    assert (decoded.kind, decoded.orders) == ("request", [])
    assert decoded.problem == "an order method that is not known"


@pytest.mark.parametrize(
    "changes", [{"side": "BOTH"}, {"quantity": "lots"}, {"quantity": True}, {"price": "1e30"}, {"symbol": 7}, {"type": []}]
)
def test_a_broken_request_gives_no_row_but_a_problem(changes: JSON) -> None:
    decoded = of_client(place(**changes))
    assert (decoded.kind, decoded.orders) == ("request", [])
    assert decoded.problem is not None


def test_a_request_that_is_cut_short_is_a_problem() -> None:
    assert of_client(b'{"id":"r-1","method":"order.place","params":{"symbol":"ADAUS').problem == "not JSON"


def test_logins_are_never_stored() -> None:
    one = decoder()
    sent = one.decode(message("client", ask("session.logon")))
    got = one.decode(message("server", answer({"apiKey": "KEY-of-alice", "authorizedSince": T0, "connectedSince": T0})))
    late = decoder().decode(message("server", answer({"apiKey": "KEY-of-alice", "authorizedSince": T0})))
    assert [decoded.kind if decoded else None for decoded in (sent, got, late)] == [LOGIN, LOGIN, LOGIN]
    assert one.account == "name of KEY-of-alice"


# --- answers ---


def test_a_result_is_read_without_its_request() -> None:
    decoded = of_server(answer(order()))
    assert decoded.kind == "response"
    (row,) = decoded.orders
    assert brief(row) == ("place", "strat7-0001", "9184736251", "sell", "limit", Decimal("0.7135"), None, Decimal(250))
    assert (row.status, row.status_raw, row.filled_quantity, row.request_id) == ("NEW", "NEW", Decimal(0), "r-1")
    assert (row.exchange_time, row.average_price) == (T0 * 1_000_000, None)


def test_an_ack_says_only_that_the_order_has_arrived() -> None:
    ack = {key: order()[key] for key in ("symbol", "orderId", "orderListId", "clientOrderId", "transactTime")}
    (row,) = joined(place(), answer(ack)).orders
    assert brief(row) == ("place", "strat7-0001", "9184736251", None, None, None, None, None)
    assert row.status is None


def test_a_full_answer_gives_its_fills() -> None:
    decoded = of_server(answer(full()))
    assert [row.status for row in decoded.orders] == ["FILLED"]
    assert [(row.item, row.trade_id, row.price, row.quantity, row.fee, row.fee_asset, row.side) for row in decoded.fills] == [
        (0, "55512345", Decimal("0.7136"), Decimal(200), Decimal("0.14272"), "USDC", "sell"),
        (1, "55512346", Decimal("0.7135"), Decimal(50), Decimal("0.035675"), "USDC", "sell"),
    ]
    assert {(row.order_id, row.client_order_id, row.exchange_time, row.liquidity) for row in decoded.fills} == {
        ("9184736251", "strat7-0001", T0 * 1_000_000, None)
    }


def test_smart_order_routing_answers_with_a_list() -> None:
    fill = {"matchType": "ONE_PARTY_TRADE_REPORT", "price": "0.7", "qty": "1", "commission": "0", "tradeId": -1, "allocId": 0}
    decoded = of_server(answer([full(fills=[fill])]))
    assert [(row.trade_id, row.fee, row.fee_asset) for row in decoded.fills] == [("0", Decimal(0), None)]


def test_a_cancel_answer_is_of_the_original_client_id() -> None:
    for decoded in (of_server(answer(canceled())), joined(ask("order.cancel", symbol="ADAUSDC"), answer(canceled()))):
        (row,) = decoded.orders
        assert (row.action, row.client_order_id, row.status) == ("cancel", "strat7-0001", "CANCELED")


def test_an_amended_order() -> None:
    amended = {
        "symbol": "ADAUSDC", "orderId": 9184736251, "origClientOrderId": "strat7-0001", "clientOrderId": "amended-0001",
        "price": "0.7135", "qty": "200.0", "executedQty": "0.0", "quoteOrderQty": "0.0", "status": "NEW", "timeInForce": "GTC",
        "type": "LIMIT", "side": "SELL", "workingTime": T0,
    }  # fmt: skip
    (row,) = of_server(answer({"transactTime": T0 + 9, "executionId": 16, "amendedOrder": amended})).orders
    assert brief(row) == ("amend", "amended-0001", "9184736251", "sell", "limit", Decimal("0.7135"), None, Decimal(200))
    assert row.exchange_time == (T0 + 9) * 1_000_000


def test_order_lists_answer_with_a_report_an_order() -> None:
    head = {"orderListId": 7, "contingencyType": "OCO", "orders": [{"symbol": "ADAUSDC", "orderId": 1, "clientOrderId": "a"}]}
    placed = of_server(answer(head | {"orderReports": [order(orderId=1), order(orderId=2, stopPrice="0.6")]})).orders
    assert [(row.item, row.action, row.order_id, row.stop_price) for row in placed] == [
        (0, "place", "1", None),
        (1, "place", "2", Decimal("0.6")),
    ]
    gone = of_server(answer([canceled(orderId=1), head | {"orderReports": [canceled(orderId=2), canceled(orderId=3)]}])).orders
    assert [(row.action, row.order_id, row.status) for row in gone] == [("cancel", str(n), "CANCELED") for n in (1, 2, 3)]
    assert decoder().decode(message("server", answer(head))) is None  # a query of the list: no state of an order in it


def test_the_reports_of_a_list_are_joined_by_what_they_say() -> None:
    """The venue puts the stop of an OCO first, wherever it was asked for."""
    asked = ask(
        "orderList.place.oco", symbol="ADAUSDC", side="SELL", quantity="4", aboveType="LIMIT_MAKER", abovePrice="9",
        belowType="STOP_LOSS", belowStopPrice="7",
    )  # fmt: skip
    stop = order(orderId=1, clientOrderId="a", type="STOP_LOSS", stopPrice="7", price="0")
    limit = order(orderId=2, clientOrderId="b", type="LIMIT_MAKER", price="9")
    for reports, items in (([stop, limit], [(0, "2"), (1, "1")]), ([stop], [(1, "1")]), ([limit, limit], [(0, "2"), (2, "2")])):
        rows = joined(asked, answer({"orderListId": 7, "orderReports": reports})).orders
        assert [(row.item, row.order_id) for row in rows] == items
    acknowledged = [{"symbol": "ADAUSDC", "orderId": n, "clientOrderId": str(n), "transactTime": T0} for n in (1, 2)]
    rows = joined(asked, answer({"orderListId": 7, "orderReports": acknowledged})).orders
    assert [(row.item, row.order_id) for row in rows] == [(0, "1"), (1, "2")]


def test_queries_tell_states_that_no_action_asked_for() -> None:
    shown = order(time=T0, updateTime=T0 + 5, status="PARTIALLY_FILLED", executedQty="100")
    del shown["transactTime"]
    for decoded in (of_server(answer([shown])), joined(ask("openOrders.status"), answer([shown]))):
        (row,) = decoded.orders
        assert (row.kind, row.action, row.status) == ("response", None, "PARTIALLY_FILLED")
        assert row.exchange_time == (T0 + 5) * 1_000_000


def test_trade_history_gives_fills() -> None:
    shown = {
        "symbol": "ADAUSDC", "id": 55512345, "orderId": 9184736251, "orderListId": -1, "price": "0.7136", "qty": "100",
        "quoteQty": "71.36", "commission": "0.07136", "commissionAsset": "USDC", "time": T0, "isBuyer": False, "isMaker": True,
        "isBestMatch": True,
    }  # fmt: skip
    decoded = joined(ask("myTrades", symbol="ADAUSDC"), answer([shown]))
    (fill,) = decoded.fills
    (live,) = of_server(trade()).fills
    assert decoded.orders == []
    assert fill._replace(client_order_id="strat7-0001", account=None) == live


# --- refusals ---


def test_a_refused_placement_is_a_rejected_order() -> None:
    (row,) = joined(place(), refusal(-2010, "Account has insufficient balance for requested action.")).orders
    assert brief(row) == ("place", "strat7-0001", None, "sell", "limit", Decimal("0.7135"), None, Decimal(250))
    assert (row.sender, row.kind, row.symbol, row.status, row.status_raw) == (
        "server",
        "response",
        "ADAUSDC",
        "REJECTED",
        "-2010",
    )
    assert row.reason == "Account has insufficient balance for requested action."
    assert (row.captured_at, row.position, row.exchange_time) == (2000, 3, None)


def test_a_refusal_that_says_itself_what_was_refused() -> None:
    (row,) = of_server(refusal(-2010, "Filter failure")).orders
    assert (row.action, row.status, row.status_raw, row.symbol) == ("place", "REJECTED", "-2010", None)
    (row,) = of_server(refusal(-2011, "Unknown order sent.")).orders
    assert (row.action, row.status, row.reason) == ("cancel", None, "Unknown order sent.")


def test_a_refusal_of_something_unseen_is_a_problem() -> None:
    decoded = of_server(refusal(-1013, "Filter failure: LOT_SIZE"))
    assert (decoded.orders, decoded.problem) == ([], "a refusal (-1013) of a request that was not seen")


@pytest.mark.parametrize("request_", [place(method="order.test"), ask("klines"), ask("order.status", symbol="S", orderId=1)])
def test_a_refusal_of_something_else_is_none_of_ours(request_: JSON) -> None:
    one = decoder()
    one.decode(message("client", request_))
    assert one.decode(message("server", refusal(-2010, "no"))) is None


@pytest.mark.parametrize("method", ["order.cancel", "order.amend.keepPriority"])
def test_a_refused_cancel_or_amendment_leaves_the_order_as_it_was(method: str) -> None:
    request = ask(method, symbol="ADAUSDC", origClientOrderId="strat7-0001", newQty="200")
    (row,) = joined(request, refusal(-2011, "Unknown order sent.")).orders
    assert (row.client_order_id, row.symbol, row.status, row.quantity) == ("strat7-0001", "ADAUSDC", None, None)
    assert row.status_raw == "-2011"
    (row,) = joined(request, refusal(-2011, "")).orders  # a refusal always has a reason
    assert row.reason == "-2011"


@pytest.mark.parametrize(("code", "status"), [(-1007, 408), (-1006, 400), (-1000, 503), (-2010, 500)])
def test_an_unknown_outcome_is_no_rejection(code: int, status: int) -> None:
    (row,) = joined(place(), refusal(code, "execution status unknown", status=status)).orders
    assert (row.status, row.status_raw) == (None, str(code))


def test_each_order_of_a_refused_list_is_rejected() -> None:
    request, rows = LISTS[2]
    found = joined(request, refusal(-1013, "Filter failure")).orders
    assert [brief(row) for row in found] == rows
    assert {row.status for row in found} == {"REJECTED"}


CANCEL_REPLACE = place(method="order.cancelReplace", cancelReplaceMode="ALLOW_FAILURE", cancelOrigClientOrderId="old-1")
NO_ORDER = {"code": -2011, "msg": "Unknown order sent."}
WOULD_TAKE = {"code": -2010, "msg": "Order would immediately match and take."}


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (
            answer(
                {"cancelResult": "SUCCESS", "newOrderResult": "SUCCESS", "cancelResponse": canceled(origClientOrderId="old-1"),
                 "newOrderResponse": order()}
            ),
            [("cancel", "old-1", "CANCELED", None), ("place", "strat7-0001", "NEW", None)],
        ),
        (
            refusal(-2021, "partially failed", status=409, cancelResult="SUCCESS", newOrderResult="FAILURE",
                    cancelResponse=canceled(origClientOrderId="old-1"), newOrderResponse=WOULD_TAKE),
            [("cancel", "old-1", "CANCELED", None), ("place", "strat7-0001", "REJECTED", WOULD_TAKE["msg"])],
        ),
        (
            refusal(-2021, "partially failed", status=409, cancelResult="FAILURE", newOrderResult="SUCCESS",
                    cancelResponse=NO_ORDER, newOrderResponse=order()),
            [("cancel", "old-1", None, NO_ORDER["msg"]), ("place", "strat7-0001", "NEW", None)],
        ),
        (
            refusal(-2022, "failed", cancelResult="FAILURE", newOrderResult="NOT_ATTEMPTED", cancelResponse=NO_ORDER,
                    newOrderResponse=None),
            [("cancel", "old-1", None, NO_ORDER["msg"]), ("place", "strat7-0001", "REJECTED", "NOT_ATTEMPTED")],
        ),
        (
            refusal(-1015, "Too many new orders", status=429, cancelResult="NOT_ATTEMPTED", newOrderResult="NOT_ATTEMPTED",
                    cancelResponse=None, newOrderResponse=None),
            [("cancel", "old-1", None, "NOT_ATTEMPTED"), ("place", "strat7-0001", "REJECTED", "NOT_ATTEMPTED")],
        ),
        (
            refusal(-2022, "failed", cancelResult="FAILURE", newOrderResult="FAILURE", cancelResponse=NO_ORDER,
                    newOrderResponse=WOULD_TAKE),
            [("cancel", "old-1", None, NO_ORDER["msg"]), ("place", "strat7-0001", "REJECTED", WOULD_TAKE["msg"])],
        ),
        (
            refusal(-1015, "Too many new orders", status=429),
            [("cancel", "old-1", None, "Too many new orders"), ("place", "strat7-0001", "REJECTED", "Too many new orders")],
        ),
    ],
    ids=["both", "new order fails", "cancel fails", "not attempted", "neither attempted", "both fail", "rate limit"],
)  # fmt: skip
def test_both_halves_of_a_cancel_replace(response: JSON, expected: list[tuple[Any, ...]]) -> None:
    decoded = joined(CANCEL_REPLACE, response)
    assert [(row.action, row.client_order_id, row.status, row.reason) for row in decoded.orders] == expected
    assert decoded.problem is None


def test_halves_tell_what_they_are_without_the_request() -> None:
    response = refusal(-2022, "failed", cancelResult="FAILURE", newOrderResult="FAILURE", cancelResponse=NO_ORDER,
                       newOrderResponse=WOULD_TAKE)  # fmt: skip
    assert [(row.action, row.status) for row in of_server(response).orders] == [("cancel", None), ("place", "REJECTED")]


# --- the join ---


def test_answers_out_of_order_find_their_requests() -> None:
    one = decoder()
    for n in range(3):
        one.decode(message("client", place(n, newClientOrderId=f"c{n}")))
    found = [one.decode(message("server", refusal(-2010, "no", n))) for n in (2, 0, 1)]
    assert [decoded.orders[0].client_order_id for decoded in found if decoded] == ["c2", "c0", "c1"]


def test_an_id_in_flight_twice_joins_neither() -> None:
    one = decoder()
    for name in ("a", "b"):
        one.decode(message("client", place("same", newClientOrderId=name)))
    found = [one.decode(message("server", refusal(-2010, "no", "same"))) for _ in range(2)]
    assert [decoded.orders[0].client_order_id for decoded in found if decoded] == [None, None]


def test_an_id_may_be_used_again_after_its_answer() -> None:
    one = decoder()
    for name in ("a", "b"):
        one.decode(message("client", place(None, newClientOrderId=name)))
        decoded = one.decode(message("server", refusal(-2010, "no", None)))
        assert decoded is not None
        assert decoded.orders[0].client_order_id == name


def test_a_number_and_its_text_are_different_ids() -> None:
    one = decoder()
    one.decode(message("client", place(5)))
    decoded = one.decode(message("server", refusal(-1013, "no", "5")))
    assert decoded is not None
    assert decoded.problem is not None


def test_requests_that_nobody_answers_are_forgotten() -> None:
    one = decoder()
    for n in range(PENDING + 10):
        one.decode(message("client", place(n)))
    forgotten, kept = (one.decode(message("server", refusal(-2010, "no", n))) for n in (5, 15))
    assert forgotten is not None
    assert kept is not None
    assert (forgotten.orders[0].symbol, kept.orders[0].symbol) == (None, "ADAUSDC")


@pytest.mark.parametrize(
    "response",
    [
        answer(order(orderId="x")), answer(order(side="?")), answer(order(price=True)), answer(full(fills=5)),
        answer(full(fills=[{"price": "1", "qty": "1", "commission": "0", "tradeId": -1}])), answer(full(side=None)),
        answer({"cancelResult": "SUCCESS", "newOrderResult": "PERHAPS"}), answer(order(), request_id=[1]),
        answer(order(), request_id=True), answer(order(), status="200"), refusal("x", "y"), answer(order(transactTime=10**18)),  # type: ignore[arg-type]
        {"id": 1, "status": 400, "error": "orderId"}, b'{"id":1,"status":200,"result":{"orderId":1',
        b'{"id":1,"status":200,"result":{"symbol":"A","orderId":1,"orderId":2,"clientOrderId":"x"}}',
    ],
)  # fmt: skip
def test_a_broken_answer_gives_no_row_but_a_problem(response: Any) -> None:
    decoded = of_server(response)
    assert (decoded.fills, [row.order_id for row in decoded.orders if row.action != "cancel"]) == ([], [])
    assert decoded.problem is not None


def test_the_good_orders_of_a_batch_stay() -> None:
    decoded = of_server(answer([canceled(orderId=1), canceled(orderId=None), canceled(orderId=3)]))
    assert [(row.item, row.order_id) for row in decoded.orders] == [(0, "1"), (1, "3")]
    assert decoded.problem == "field orderId: not a whole number"


def test_an_answer_to_an_order_request_has_to_name_an_order() -> None:
    assert joined(place(), answer({})).problem is not None
    assert joined(place(), answer(None)).problem is not None

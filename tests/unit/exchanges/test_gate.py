"""Gate: each message of its documentation, with values of our own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sniffer.exchanges import guess_venue, venue_of
from sniffer.exchanges.base import LOGIN, OTHER, ConnectionFacts
from sniffer.exchanges.gate import VENUE
from sniffer.model import OPCODE_BINARY, OPCODE_TEXT, Message, Sender
from tests.unit.exchanges.conversation import leaves_soon
from tests.unit.exchanges.talk import Talk, brief, known

JSON = dict[str, Any]
T0 = 1_751_000_000_123
NS = T0 * 1_000_000


def order(**changes: Any) -> JSON:
    shown: JSON = {
        "id": "880120455", "text": "t-grid7x1", "create_time": str(T0 // 1000), "update_time": str(T0 // 1000),
        "currency_pair": "SOL_USDT", "type": "limit", "account": "spot", "side": "sell", "amount": "12.5", "price": "141.25",
        "time_in_force": "gtc", "left": "12.5", "filled_total": "0", "filled_amount": "0", "avg_deal_price": "0", "fee": "0",
        "fee_currency": "USDT", "create_time_ms": str(T0 - 9), "update_time_ms": str(T0), "user": 7719, "event": "put",
        "finish_as": "open", "amend_text": "-",
    }  # fmt: skip
    return shown | changes


def contract(**changes: Any) -> JSON:
    shown: JSON = {
        "contract": "ETH_USDT", "create_time": T0 // 1000, "create_time_ms": T0 - 9, "fill_price": 0, "finish_as": "_new",
        "finish_time": 0, "finish_time_ms": 0, "id": 4501236, "left": "-30", "price": 2411.5, "size": "-30", "status": "open",
        "text": "t-h2", "tif": "poc", "update_id": 1, "update_time": T0, "user": "7719",
    }  # fmt: skip
    return shown | changes


def trade(**changes: Any) -> JSON:
    shown: JSON = {
        "id": 5512077, "user_id": 7719, "order_id": "880120455", "currency_pair": "SOL_USDT", "create_time": T0 // 1000,
        "create_time_ms": f"{T0}.456", "side": "sell", "amount": "4.5", "role": "maker", "price": "141.25", "fee": "0.6356",
        "fee_currency": "USDT", "point_fee": "0", "gt_fee": "0", "text": "t-grid7x1",
    }  # fmt: skip
    return shown | changes


def futures_trade(**changes: Any) -> JSON:
    shown: JSON = {
        "id": "9001",
        "create_time": T0 // 1000,
        "create_time_ms": T0,
        "contract": "ETH_USDT",
        "order_id": "4501236",
        "size": "-12",
        "price": "2411.5",
        "role": "taker",
        "text": "api",
        "fee": 0.0144,
        "point_fee": 0,
    }
    return shown | changes


def push(channel: str, *result: JSON, event: str = "update") -> JSON:
    return {"time": T0 // 1000, "time_ms": T0, "channel": channel, "event": event, "result": list(result)}


def ask(channel: str, param: Any, req_id: str = "r31") -> JSON:
    return {"time": T0 // 1000, "channel": channel, "event": "api", "payload": {"req_id": req_id, "req_param": param}}


def header(channel: str, status: str = "200") -> JSON:
    return {"response_time": str(T0), "status": status, "channel": channel, "event": "api", "client_id": "x"}


def answer(channel: str, result: Any, req_id: str = "r31") -> JSON:
    return {"request_id": req_id, "header": header(channel), "data": {"result": result}}


def refusal(channel: str, label: str, message: str, status: str = "400", req_id: str = "r31") -> JSON:
    error = {"label": label, "message": message}
    return {"request_id": req_id, "header": header(channel, status), "data": {"errs": error}}


SELL: JSON = {
    "text": "t-grid7x1", "currency_pair": "SOL_USDT", "type": "limit", "side": "sell", "amount": "12.5", "price": "141.25",
    "time_in_force": "poc",
}  # fmt: skip
SHORT: JSON = {"contract": "ETH_USDT", "size": -30, "price": "2411.5", "tif": "gtc", "text": "t-h2"}
ORDERS = "POST /api/v4/spot/orders"

DERIVED = frozenset(("filled_quantity", "fee_asset"))
FIXTURES: list[tuple[str, Sender, Any] | tuple[str, Sender, Any, str]] = [
    ("gate", "client", ask("spot.order_place", SELL)),
    ("gate", "server", {"ack": True, **answer("spot.order_place", {"req_id": "r31", "req_param": SELL})}),
    ("gate", "server", answer("spot.order_place", order(status="open"))),
    ("gate", "server", push("spot.orders", order(), order(id="2", event="update", left="8.0", filled_amount="4.5"))),
    ("gate", "server", push("spot.usertrades", trade())),
    (
        "gate",
        "client",
        ask("spot.order_amend", {"order_id": "880120455", "currency_pair": "SOL_USDT", "price": "141.5"}, "r32"),
    ),
    ("gate", "server", refusal("spot.order_amend", "ORDER_NOT_FOUND", "Order gone", req_id="r32")),
    ("gate", "client", ask("futures.order_batch_place", [SHORT, SHORT | {"text": "t-h3"}], "r33")),
    (
        "gate",
        "server",
        answer(
            "futures.order_batch_place",
            [contract(succeeded=True), {"succeeded": False, "label": "INSUFFICIENT", "message": "no"}],
            "r33",
        ),
    ),
    ("gate", "server", push("futures.orders", contract(), contract(finish_as="_update", left="-18", fill_price=2411.25))),
    ("gate", "server", push("futures.usertrades", futures_trade())),
    ("gate", "client", SELL, ORDERS),
    ("gate", "server", order(status="open"), ORDERS),
    ("gate", "client", "", "DELETE /api/v4/spot/orders/880120455?currency_pair=SOL_USDT"),
    (
        "gate",
        "server",
        order(status="cancelled", finish_as="cancelled"),
        "DELETE /api/v4/spot/orders/880120455?currency_pair=SOL_USDT",
    ),
    ("gate", "server", [trade()], "GET /api/v4/spot/my_trades?currency_pair=SOL_USDT"),
]

ASKED = (
    "action",
    "request_id",
    "symbol",
    "client_order_id",
    "order_id",
    "side",
    "order_type",
    "time_in_force",
    "price",
    "quantity",
    "quantity_unit",
)


# --- requests ---


@pytest.mark.parametrize(
    ("channel", "param", "expected"),
    [
        (
            "spot.order_place",
            SELL,
            ("place", "SOL_USDT", "t-grid7x1", None, "sell", "limit", "post_only", "141.25", "12.5", "base"),
        ),
        (
            "spot.order_place",
            {"currency_pair": "SOL_USDT", "type": "market", "side": "buy", "amount": "500", "time_in_force": "ioc"},
            ("place", "SOL_USDT", None, None, "buy", "market", "ioc", None, "500", "quote"),
        ),
        (
            "spot.order_place",
            {"currency_pair": "SOL_USDT", "type": "market", "side": "sell", "amount": "5", "time_in_force": "fok"},
            ("place", "SOL_USDT", None, None, "sell", "market", "fok", None, "5", "base"),
        ),
        ("futures.order_place", SHORT, ("place", "ETH_USDT", "t-h2", None, "sell", "limit", "gtc", "2411.5", "30", "contract")),
        (
            "futures.order_place",
            {"contract": "ETH_USDT", "size": "1.5", "price": "0", "tif": "ioc"},
            ("place", "ETH_USDT", None, None, "buy", "market", "ioc", "0", "1.5", "contract"),
        ),
        (
            "futures.order_place",
            {"contract": "ETH_USDT", "size": 0, "price": "0", "tif": "ioc", "close": True},
            ("place", "ETH_USDT", None, None, None, "market", "ioc", "0", "0", "contract"),
        ),
        (
            "spot.order_cancel",
            {"order_id": "88", "currency_pair": "SOL_USDT"},
            ("cancel", "SOL_USDT", None, "88", None, None, None, None, None, None),
        ),
        (
            "spot.order_cancel",
            {"order_id": "t-grid7x1", "currency_pair": "SOL_USDT"},
            ("cancel", "SOL_USDT", "t-grid7x1", None, None, None, None, None, None, None),
        ),
        (
            "spot.order_cancel_cp",
            {"currency_pair": "SOL_USDT", "side": "buy"},
            ("cancel", "SOL_USDT", None, None, None, None, None, None, None, None),
        ),
        (
            "spot.order_amend",
            {"order_id": "88", "currency_pair": "SOL_USDT", "amount": "10.5"},
            ("amend", "SOL_USDT", None, "88", None, None, None, None, "10.5", "base"),
        ),
        (
            "futures.order_amend",
            {"order_id": "45", "price": "2412", "size": -25},
            ("amend", None, None, "45", None, None, None, "2412", "25", "contract"),
        ),
    ],
)
def test_requests(channel: str, param: JSON, expected: tuple[Any, ...]) -> None:
    (row,) = known(Talk("gate").client(ask(channel, param))).orders
    assert brief(row, *ASKED) == (expected[0], "r31", *expected[1:])
    assert (row.kind, row.status) == ("request", None)


def test_several_in_one_request() -> None:
    rows = known(Talk("gate").client(ask("spot.order_place", [SELL, SELL | {"text": "t-2"}]))).orders
    assert [(row.item, row.client_order_id) for row in rows] == [(0, "t-grid7x1"), (1, "t-2")]
    rows = known(Talk("gate").client(ask("futures.order_cancel_ids", ["45", "46"]))).orders
    assert [(row.action, row.order_id) for row in rows] == [("cancel", "45"), ("cancel", "46")]
    rows = known(Talk("gate").client(ask("spot.order_cancel_ids", [{"id": "88", "currency_pair": "SOL_USDT"}]))).orders
    assert [(row.symbol, row.order_id) for row in rows] == [("SOL_USDT", "88")]
    told = known(Talk("gate").client(ask("spot.order_place", [SELL | {"amount": "NaN"}, SELL])), "field amount")
    assert [row.item for row in told.orders] == [1]


# --- answers ---


def test_a_placement_is_acknowledged_and_answered() -> None:
    talk = Talk("gate")
    talk.client(ask("spot.order_place", SELL))
    (row,) = known(talk.server(FIXTURES[1][2])).orders
    assert brief(row, "kind", "action", "request_id", "client_order_id", "order_id", "status", "price") == (
        "response", "place", "r31", "t-grid7x1", None, None, "141.25",
    )  # fmt: skip
    (row,) = known(talk.server(answer("spot.order_place", order(status="open", event=None)))).orders
    assert brief(row, "action", "request_id", "order_id", "client_order_id", "status", "status_raw") == (
        "place", "r31", "880120455", "t-grid7x1", "NEW", "open",
    )  # fmt: skip
    assert row.exchange_time == NS


def test_an_acknowledgement_without_an_id_of_the_traders_waits_for_the_answer() -> None:
    talk = Talk("gate")
    bare = {key: value for key, value in SELL.items() if key != "text"}
    talk.client(ask("spot.order_place", bare))
    told = known(talk.server({"ack": True, **answer("spot.order_place", {"req_id": "r31", "req_param": bare})}))
    assert (told.kind, told.orders) == (OTHER, [])
    (row,) = known(talk.server(answer("spot.order_place", {"id": "880120455", "text": "apiv4-ws", "amend_text": "-"}))).orders
    assert brief(row, "order_id", "client_order_id", "side", "price", "quantity") == (
        "880120455", "apiv4-ws", "sell", "141.25", "12.5",
    )  # fmt: skip


def test_an_acknowledgement_of_a_request_that_was_not_seen_begins_no_order() -> None:
    """It has no order id and no time: a push may have told the end of its order before, and the answer follows."""
    told = known(Talk("gate").server(FIXTURES[1][2]))
    assert (told.kind, told.orders) == (OTHER, [])


def test_a_refusal_is_joined_to_its_request() -> None:
    talk = Talk("gate")
    talk.client(ask("spot.order_place", SELL))
    (row,) = known(talk.server(refusal("spot.order_place", "BALANCE_NOT_ENOUGH", "Not enough balance"))).orders
    assert brief(row, "action", "client_order_id", "symbol", "status", "status_raw", "reason") == (
        "place", "t-grid7x1", "SOL_USDT", "REJECTED", "BALANCE_NOT_ENOUGH", "Not enough balance",
    )  # fmt: skip
    talk.client(ask("spot.order_cancel", {"order_id": "88", "currency_pair": "SOL_USDT"}))
    (row,) = known(talk.server(refusal("spot.order_cancel", "ORDER_NOT_FOUND", "Order gone"))).orders
    assert brief(row, "action", "order_id", "status", "reason") == ("cancel", "88", None, "Order gone")
    (row,) = known(Talk("gate").server(refusal("spot.order_place", "TOO_MANY_REQUESTS", "Slow down", "429"))).orders
    assert brief(row, "action", "status", "client_order_id", "request_id") == ("place", "REJECTED", None, "r31")


def test_a_server_that_failed_leaves_the_outcome_open() -> None:
    (row,) = known(Talk("gate").server(refusal("futures.order_place", "SERVER_ERROR", "x", "500"))).orders
    assert brief(row, "status", "status_raw") == (None, "SERVER_ERROR")


def test_a_batch_that_fails_in_part() -> None:
    talk = Talk("gate")
    talk.client(ask("futures.order_batch_place", [SHORT, SHORT | {"text": "t-h3"}]))
    result = [contract(succeeded=True), {"succeeded": False, "label": "INSUFFICIENT_AVAILABLE", "message": "No margin"}]
    taken, refused = known(talk.server(answer("futures.order_batch_place", result))).orders
    assert brief(taken, "order_id", "status", "side", "quantity", "request_id") == ("4501236", "NEW", "sell", "30", "r31")
    assert brief(refused, "item", "client_order_id", "status", "status_raw", "reason", "side") == (
        1, "t-h3", "REJECTED", "INSUFFICIENT_AVAILABLE", "No margin", "sell",
    )  # fmt: skip


def test_cancels_by_list() -> None:
    talk = Talk("gate")
    talk.client(
        ask("spot.order_cancel_ids", [{"id": "88", "currency_pair": "SOL_USDT"}, {"id": "89", "currency_pair": "SOL_USDT"}])
    )
    result = [
        {"currency_pair": "SOL_USDT", "id": "88", "succeeded": True},
        {"currency_pair": "SOL_USDT", "id": "89", "succeeded": False, "label": "ORDER_NOT_FOUND", "message": "Order gone"},
    ]
    done, refused = known(talk.server(answer("spot.order_cancel_ids", result))).orders
    assert brief(done, "action", "order_id", "status", "reason") == ("cancel", "88", None, None)
    assert brief(refused, "action", "order_id", "status", "reason") == ("cancel", "89", None, "Order gone")


def test_answers_to_queries() -> None:
    talk = Talk("gate")
    talk.client(ask("spot.order_status", {"order_id": "880120455", "currency_pair": "SOL_USDT"}))
    (row,) = known(talk.server(answer("spot.order_status", order(status="open", left="2.5")))).orders
    assert brief(row, "kind", "action", "status") == ("response", None, "PARTIALLY_FILLED")
    talk.client(ask("futures.order_list", {"contract": "ETH_USDT", "status": "open"}))
    assert talk.server(answer("futures.order_list", [])) is None
    assert talk.server(refusal("spot.order_status", "ORDER_NOT_FOUND", "gone")) is None


# --- updates and fills ---


def test_an_update_of_spot() -> None:
    (row,) = known(Talk("gate").server(push("spot.orders", order()))).orders
    assert brief(row, "kind", *ASKED, "status", "status_raw", "filled_quantity", "average_price") == (
        "update",
        None,
        None,
        "SOL_USDT",
        "t-grid7x1",
        "880120455",
        "sell",
        "limit",
        "gtc",
        "141.25",
        "12.5",
        "base",
        "NEW",
        "put",
        "0",
        "0",
    )
    assert row.exchange_time == NS


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({}, "NEW", None),
        ({"event": "update", "left": "8"}, "PARTIALLY_FILLED", None),
        ({"event": "update"}, "NEW", None),
        ({"event": "finish", "finish_as": "filled", "left": "0"}, "FILLED", None),
        ({"event": "finish", "finish_as": "cancelled"}, "CANCELED", "cancelled"),
        ({"event": "finish", "finish_as": "poc"}, "CANCELED", "poc"),
        ({"event": "finish", "finish_as": "stp"}, "CANCELED", "stp"),
        ({"event": "finish", "finish_as": "by_magic"}, None, None),
        ({"event": "finish", "finish_as": None, "left": "0"}, "FILLED", None),
        ({"event": "finish", "finish_as": None, "left": "3"}, "CANCELED", None),
        ({"event": None, "status": "closed", "finish_as": None}, "FILLED", None),
        ({"event": None, "status": "cancelled", "finish_as": "by_magic"}, "CANCELED", "by_magic"),
        ({"event": "dance"}, None, None),
    ],
)  # fmt: skip
def test_states(changes: JSON, status: str | None, reason: str | None) -> None:
    (row,) = known(Talk("gate").server(push("spot.orders", order(**changes)))).orders
    assert (row.status, row.reason) == (status, reason)


def test_an_update_of_contracts() -> None:
    partly = contract(finish_as="_update", left="-18", fill_price=2411.25)
    new, partial, done = known(
        Talk("gate").server(push("futures.orders", contract(), partly, contract(finish_as="filled", left=0, status="finished")))
    ).orders
    assert brief(new, *ASKED[2:], "status", "filled_quantity") == (
        "ETH_USDT", "t-h2", "4501236", "sell", "limit", "post_only", "2411.5", "30", "contract", "NEW", "0",
    )  # fmt: skip
    assert brief(partial, "status", "filled_quantity", "average_price") == ("PARTIALLY_FILLED", "12", "2411.25")
    assert brief(done, "status", "filled_quantity") == ("FILLED", "30")


def test_what_is_filled_of_an_amount_of_quote_currency_is_not_computed() -> None:
    market = order(type="market", side="buy", amount="500", left="120", filled_amount=None, event="update")
    (row,) = known(Talk("gate").server(push("spot.orders", market))).orders
    assert brief(row, "quantity", "quantity_unit", "filled_quantity", "status") == ("500", "quote", None, "PARTIALLY_FILLED")
    (row,) = known(Talk("gate").server(push("spot.orders_v2", market | {"filled_amount": "2.7"}))).orders
    assert brief(row, "filled_quantity") == ("2.7",)


def test_times() -> None:
    def at(**changes: Any) -> int | None:
        return known(Talk("gate").server(push("futures.orders", contract(**changes)))).orders[0].exchange_time

    assert at() == NS
    assert at(update_time=None) == NS - 9_000_000, "its creation, since nothing else has been"
    assert at(update_time=None, left="-18") is None
    assert at(update_time=None, left="-18", finish_time=1751000000.5) == 1_751_000_000_500_000_000


def test_a_fill_of_spot() -> None:
    (fill,) = known(Talk("gate").server(push("spot.usertrades", trade()))).fills
    assert brief(fill, "symbol", "trade_id", "order_id", "client_order_id", "side", "price", "quantity", "quantity_unit", "fee",
                 "fee_asset", "liquidity") == (
        "SOL_USDT", "5512077", "880120455", "t-grid7x1", "sell", "141.25", "4.5", "base", "0.6356", "USDT", "maker",
    )  # fmt: skip
    assert fill.exchange_time == NS + 456_000


def test_fees_in_tokens_and_of_contracts() -> None:
    talk = Talk("gate")
    assert brief(known(talk.server(push("spot.usertrades", trade(fee="0", gt_fee="0.02")))).fills[0], "fee", "fee_asset") == (
        "0.02", "GT",
    )  # fmt: skip
    (fill,) = known(talk.server(push("futures.usertrades", futures_trade()))).fills
    assert brief(fill, "side", "quantity", "quantity_unit", "fee", "fee_asset", "client_order_id") == (
        "sell", "12", "contract", "0.0144", None, "api",
    )  # fmt: skip
    known(talk.server(push("futures.usertrades", futures_trade(size=0))), "without a size")


def test_a_fill_told_twice_has_one_name() -> None:
    talk = Talk("gate")
    light = {key: value for key, value in trade().items() if "fee" not in key}
    first, again = (known(talk.server(push("spot.usertrades" + v, row))).fills[0] for v, row in (("_v2", light), ("", trade())))
    names = ("venue", "account", "symbol", "trade_id", "order_id", "side", "price", "quantity")
    assert brief(first, *names) == brief(again, *names)
    assert (first.fee, again.fee is None) == (None, False)


# --- REST ---


def test_rest_calls_and_their_answers() -> None:
    talk = Talk("gate")
    (asked,) = known(talk.call(ORDERS, SELL, KEY="no", key="KEY-1")).orders
    assert brief(asked, "account", "action", "client_order_id") == ("name of KEY-1", "place", "t-grid7x1")
    (row,) = known(talk.reply(ORDERS, order(status="open"))).orders
    assert brief(row, "account", "action", "order_id", "status") == ("name of KEY-1", "place", "880120455", "NEW")
    talk.call(ORDERS, SELL)
    (row,) = known(talk.reply(ORDERS, {"label": "INVALID_PARAM_VALUE", "message": "Bad price"}, 400)).orders
    assert brief(row, "client_order_id", "status", "status_raw", "reason") == (
        "t-grid7x1", "REJECTED", "INVALID_PARAM_VALUE", "Bad price",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("call", "body", "expected"),
    [
        ("DELETE /api/v4/spot/orders/88?currency_pair=SOL_USDT", "", ("cancel", "SOL_USDT", "88", None)),
        ("DELETE /api/v4/spot/orders?currency_pair=SOL_USDT", "", ("cancel", "SOL_USDT", None, None)),
        ("PATCH /api/v4/spot/orders/88?currency_pair=SOL_USDT", {"price": "9.5"}, ("amend", "SOL_USDT", "88", "9.5")),
        ("PUT /api/v4/futures/usdt/orders/45", {"price": "9.5", "size": -3}, ("amend", None, "45", "9.5")),
        ("POST /api/v4/futures/btc/orders", SHORT, ("place", "ETH_USDT", None, "2411.5")),
        ("POST /api/v4/delivery/usdt/orders", SHORT, ("place", "ETH_USDT", None, "2411.5")),
        ("POST /api/v4/options/orders", SHORT | {"contract": "BTC_USDT-20261225-90000-C"},
         ("place", "BTC_USDT-20261225-90000-C", None, "2411.5")),
        ("POST /api/v4/spot/batch_orders", [SELL], ("place", "SOL_USDT", None, "141.25")),
        ("POST /api/v4/futures/usdt/batch_cancel_orders", ["45"], ("cancel", None, "45", None)),
        ("POST /api/v4/spot/amend_batch_orders", [{"order_id": "88", "currency_pair": "SOL_USDT", "price": "9.5"}],
         ("amend", "SOL_USDT", "88", "9.5")),
    ],
)  # fmt: skip
def test_rest_calls(call: str, body: Any, expected: tuple[Any, ...]) -> None:
    (row,) = known(Talk("gate").call(call, body)).orders
    assert brief(row, "action", "symbol", "order_id", "price") == expected


def test_rest_queries() -> None:
    talk = Talk("gate")
    listed = [{"currency_pair": "SOL_USDT", "total": 1, "orders": [order(status="open")]}]
    (row,) = known(talk.reply("GET /api/v4/spot/open_orders", listed)).orders
    assert brief(row, "action", "status") == (None, "NEW")
    (row,) = known(talk.reply("GET /api/v4/futures/usdt/orders?status=open", [contract()])).orders
    assert row.order_id == "4501236"
    (fill,) = known(
        talk.reply("GET /api/v4/futures/usdt/my_trades", [futures_trade(create_time=1751000000.5, create_time_ms=None)])
    ).fills
    assert fill.exchange_time == 1_751_000_000_500_000_000
    assert talk.reply("GET /api/v4/spot/tickers", [{"currency_pair": "SOL_USDT"}]) is None
    assert talk.reply("GET /api/v4/spot/my_trades", {"label": "INVALID_KEY", "message": "x"}, 401) is None


def test_the_settlement_currency_may_stand_in_capitals() -> None:
    call = "POST /api/v4/futures/USDT/batch_cancel_orders"
    talk = Talk("gate")
    rows = known(talk.call(call, ["5", "6"])).orders
    assert [brief(row, "action", "order_id") for row in rows] == [("cancel", "5"), ("cancel", "6")]
    answered = known(
        talk.reply(call, [{"id": "5", "succeeded": True}, {"id": "6", "succeeded": False, "label": "GONE"}])
    ).orders
    assert [brief(row, "order_id", "status", "status_raw") for row in answered] == [("5", None, None), ("6", None, "GONE")]


def test_a_refusal_without_a_text_has_a_reason_all_the_same() -> None:
    talk = Talk("gate")
    call = "DELETE /api/v4/futures/usdt/orders/88"
    talk.call(call)
    (row,) = known(talk.reply(call, {"label": "TOO_MANY_REQUESTS"}, 429)).orders
    assert brief(row, "action", "order_id", "status", "reason") == ("cancel", "88", None, "TOO_MANY_REQUESTS")
    call = "POST /api/v4/futures/usdt/batch_cancel_orders"
    talk.call(call, ["5", "6"])
    refused = [{"id": "5", "succeeded": False, "message": ""}, {"id": "6", "succeeded": False, "label": "GONE"}]
    assert [row.reason for row in known(talk.reply(call, refused)).orders] == ["succeeded", "GONE"]


def test_an_acknowledged_amendment_is_not_made_yet() -> None:
    echo = {"req_id": "r31", "req_param": {"order_id": "t-7", "currency_pair": "SOL_USDT", "price": "140"}}
    talk = Talk("gate")
    talk.client(ask("spot.order_amend", echo["req_param"]))
    (row,) = known(talk.server({"ack": True, **answer("spot.order_amend", echo)})).orders
    assert brief(row, "kind", "action", "client_order_id", "price") == ("response", "amend", "t-7", None)


def test_what_is_not_decoded_is_not_silent() -> None:
    talk = Talk("gate")
    known(talk.call("POST /api/v4/futures/usdt/price_orders", {}), "an order call that is not known")
    known(talk.call("POST /api/v4/futures/usdt/autoorder/v1/trail/create", {}), "an order call that is not known")
    known(talk.call("DELETE /api/v4/crossex/orders/5"), "an order call that is not known")
    assert talk.call("GET /api/v4/futures/usdt/autoorder/v1/trail/list") is None
    known(talk.client(ask("spot.order_dance", {})), "an order operation that is not known")
    assert known(talk.server(push("futures.autoorders", {"id": 1})), "price-triggered").orders == []
    one = VENUE.decoder(ConnectionFacts())
    told = [one.decode(Message(1, "server", 0, 0, 0, OPCODE_BINARY, b"\x00\xff\x01\x02")) for _ in range(2)]
    assert known(told[0], "SBE").orders == []
    assert told[1] is None


# --- what is no order, what is broken ---

MARKET: list[Any] = [
    {
        "time": 1,
        "channel": "spot.order_book_update",
        "event": "update",
        "result": {"e": "depthUpdate", "b": [["1", "2"]], "a": []},
    },
    {"time": 1, "channel": "spot.trades", "event": "update", "result": {"id": 5, "side": "buy", "amount": "1", "price": "2"}},
    {"time": 1, "channel": "futures.trades", "event": "update", "result": [{"size": -108, "id": 27753479, "price": "96.4"}]},
    {"time": 1, "channel": "spot.orders", "event": "subscribe", "payload": ["!all"], "result": {"status": "success"}},
    {"time": 1, "channel": "spot.pong", "event": "", "result": None},
    {"time": 1, "channel": "futures.orders", "event": "update", "result": []},
]


@pytest.mark.parametrize("message", MARKET)
def test_what_is_no_order(message: Any) -> None:
    assert Talk("gate").server(message) is None
    assert Talk("gate").client({"time": 1, "channel": "spot.ping"}) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("amount", "1e30"), ("amount", "-1"), ("amount", ""), ("price", "0.1234567890123456789"), ("price", True),
        ("update_time_ms", "99999999999999999999"), ("id", ""), ("id", ["x"]), ("currency_pair", None), ("side", "hold"),
        ("left", "NaN"), ("text", 5), ("event", 3),
    ],
)  # fmt: skip
def test_a_field_that_cannot_be_read(field: str, value: Any) -> None:
    told = known(Talk("gate").server(push("spot.orders", order(**{field: value}), order(id="2"))), f"field {field}")
    assert [row.order_id for row in told.orders] == ["2"]


def test_an_empty_batch_is_not_silent() -> None:
    known(Talk("gate").call("POST /api/v4/spot/batch_orders", []), "a request that names no order")


def test_duplicate_keys_and_cut_messages() -> None:
    text = json.dumps(push("spot.orders", order()))
    for broken in (text.replace('"price"', '"amount": "1", "price"'), text[:-3]):
        assert known(Talk("gate").server(broken), "").orders == []


# --- whose, secrets, which venue ---


def test_the_account_is_that_of_the_key() -> None:
    talk = Talk("gate", account="mine")
    assert known(talk.server(push("spot.orders", order()))).orders[0].account == "mine"
    talk.client({"channel": "spot.orders", "event": "subscribe", "payload": ["!all"], "auth": {"KEY": "KEY-1", "SIGN": "s"}})
    assert known(talk.server(push("spot.orders", order()))).orders[0].account == "name of KEY-1"
    login = {"channel": "spot.login", "event": "api", "payload": {"req_id": "1", "api_key": "KEY-2", "signature": "s"}}
    assert known(talk.client(login)).kind == LOGIN
    assert known(talk.server(answer("spot.login", {"api_key": "KEY-2", "uid": "1"}, "1"))).kind == LOGIN
    assert (
        known(talk.server({"request_id": "1", "header": {"status": 200}, "data": {"result": {"api_key": "x"}}})).kind == LOGIN
    )
    assert known(talk.client(ask("spot.order_place", SELL))).orders[0].account == "name of KEY-2"


def test_secrets_are_redacted() -> None:
    echo = {"req_id": "r", "req_param": SELL, "api_key": "PLANTED", "signature": "PLANTED"}
    texts = [
        json.dumps({"channel": "spot.orders", "auth": {"method": "api_key", "KEY": "PLANTED", "SIGN": "PLANTED"}}),
        json.dumps({"channel": "spot.login", "payload": {"api_key": "PLANTED", "signature": "PLANTED"}}),
        json.dumps({"ack": True, **answer("spot.order_place", echo)}),
        "KEY: PLANTED\r\nSIGN: PLANTED\r\n",
    ]
    for text in texts:
        assert "PLANTED" not in VENUE.redact("client", text)
        assert "[redacted]" in VENUE.redact("server", text)
    assert VENUE.redact_path("/ws/v4/?api_key=PLANTED") == "/ws/v4/?api_key=[redacted]"


def test_recognised_and_guessed() -> None:
    assert venue_of("api.gateio.ws", "/ws/v4/", 443) is VENUE
    assert venue_of("FX-WS.gateio.ws.", None, None) is VENUE
    assert venue_of("127.0.0.1", "/v4/ws/usdt", 8080) is VENUE
    assert venue_of("indexer.dydx.trade", "/v4/ws", 443) is not VENUE
    assert venue_of("gateio.ws.evil.example", "/ws", 443) is not VENUE
    for _, sender, payload, *http in FIXTURES:
        if not http:
            assert guess_venue(sender, json.dumps(payload).encode()) is VENUE
    for payload in MARKET[:3]:
        assert guess_venue("server", json.dumps(payload).encode()) is not VENUE


def test_the_search_is_quick() -> None:
    search = VENUE.decoder(ConnectionFacts()).wanted("server", OPCODE_TEXT)
    payload = json.dumps(MARKET[0], separators=(",", ":")).replace('"a":[]', '"a":[' + '["141.25","12.5"],' * 22 + "]").encode()
    leaves_soon(search, payload)

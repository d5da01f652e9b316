"""HTX's version 5 of USDT-M contracts."""

from __future__ import annotations

import gzip
import json

import pytest

from sniffer.exchanges import guess_venue
from sniffer.exchanges.htx import VENUE
from sniffer.model import OPCODE_BINARY, Message
from tests.unit.exchanges.htx_v5_messages import (
    ALGO,
    ALGO_ORDER,
    BATCH,
    CANCEL,
    CANCEL_ALGO,
    CANCEL_ALL,
    CANCELS,
    DETAIL,
    JSON,
    ORDER,
    PLACE,
    PLACE_ALGO,
    REFUSED,
    T0,
    TAKE_PROFIT,
    TAKEN,
    TRADE,
    done,
    executed,
    matched,
    notify,
    operation,
    order,
)  # fmt: skip
from tests.unit.exchanges.talk import Talk, brief, known

ASKED = ("action", "request_id", "symbol", "client_order_id", "order_id", "side", "order_type", "time_in_force", "price",
         "stop_price", "quantity", "quantity_unit")  # fmt: skip


# --- pushes ---


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("new", "NEW"), ("partially_filled", "PARTIALLY_FILLED"), ("filled", "FILLED"), ("partially_canceled", "CANCELED"),
        ("canceled", "CANCELED"), ("rejected", "REJECTED"), ("sleeping", None),
    ],
)  # fmt: skip
def test_the_life_of_an_order(state: str, status: str | None) -> None:
    (row,) = known(Talk("htx").server(notify("orders", order(state=state, cancel_reason="by system")))).orders
    assert brief(row, "kind", "symbol", "order_id", "client_order_id", "side", "order_type", "time_in_force", "price",
                 "quantity", "quantity_unit", "filled_quantity", "average_price", "exchange_time") == (
        "update", "ADA-USDT", "990077", "71", "sell", "limit", "gtc", "0.7135", "30", "contract", "10", "0.7136",
        T0 * 1_000_000,
    )  # fmt: skip
    assert brief(row, "status", "status_raw", "reason") == (status, state, "by system")


def test_a_trade_has_one_id_in_all_topics() -> None:
    seen = []
    for topic, row in (
        ("match_orders", matched(role="Taker")),
        ("trade", executed()),
        ("trade_detail", executed(trade_fee="1")),
    ):
        (fill,) = known(Talk("htx").server(notify(topic, [row]))).fills
        seen.append(brief(fill, "symbol", "trade_id", "order_id", "client_order_id", "side", "price", "quantity",
                          "quantity_unit", "exchange_time", "liquidity", "fee", "fee_asset"))  # fmt: skip
    assert seen == [(
        "ADA-USDT", "44-990077-1", "990077", "71", "sell", "0.7136", "10", "contract", T0 * 1_000_000, "taker", None, None,
    )] * 3  # fmt: skip


def test_the_orders_of_the_matching_engine() -> None:
    (row,) = known(Talk("htx").server(notify("match_orders", [matched()]))).orders
    assert brief(row, "status", "filled_quantity", "exchange_time") == ("PARTIALLY_FILLED", "20", T0 * 1_000_000)
    for changes in ({"state": "new", "trade_volume": None, "trade_price": None}, {"state": "canceled", "trade_volume": "0"}):
        decoded = known(Talk("htx").server(notify("match_orders", [matched(**changes)])))
        assert (len(decoded.orders), decoded.fills) == (1, [])


def test_types_and_prices_that_the_venue_picks() -> None:
    for changes, expected in (
        ({"type": "market", "price": "0"}, ("market", "gtc", "0")),
        ({"type": "post_only"}, ("limit", "post_only", "0.7135")),
        ({"price_match": "optimal_5", "price": ""}, ("optimal_5", "gtc", None)),
    ):
        (row,) = known(Talk("htx").server(notify("orders", order(**changes)))).orders
        assert brief(row, "order_type", "time_in_force", "price") == expected


def test_conditional_orders_are_orders_of_their_own() -> None:
    (row,) = known(Talk("htx").server(notify("algo_orders", [ALGO_ORDER]))).orders
    assert brief(row, "order_id", "client_order_id", "side", "order_type", "status", "price", "stop_price", "quantity") == (
        "880", "a1", "sell", "stop", "PENDING_TRIGGER", None, "0.69", "30",
    )  # fmt: skip
    trigger = {"type": "trigger", "trigger_price": "0.7", "price": "0.71", "state": "effective"}
    (row,) = known(Talk("htx").server(notify("algo_orders", [{**ALGO_ORDER, **trigger}]))).orders
    assert brief(row, "order_type", "status", "status_raw", "price", "stop_price") == (
        "trigger",
        None,
        "effective",
        "0.71",
        "0.7",
    )


def test_pushes_that_tell_no_order() -> None:
    talk = Talk("htx")
    assert talk.server(notify("orders", [])) is None
    assert talk.server({"op": "notify", "topic": "orders", "contract_code": "*", "ts": T0}) is None
    assert talk.server(notify("positions", [{"trade_volume": "1"}])) is None
    assert talk.server({"op": "sub", "cid": "1", "topic": "orders", "err-code": 0, "ts": T0}) is None
    known(talk.server({"op": "notify", "topic": "trigger_order.ADA-USDT", "ts": T0, "data": [{}]}), "not read")


# --- requests and answers ---


def test_an_order_over_rest() -> None:
    talk = Talk("htx")
    (row,) = known(talk.call(PLACE, ORDER)).orders
    assert brief(row, *ASKED) == (
        "place", None, "ADA-USDT", "71", None, "sell", "limit", "ioc", "0.7135", None, "30", "contract",
    )  # fmt: skip
    assert row.account == "name of KEY-1"
    (row,) = known(talk.reply(PLACE, done(TAKEN))).orders
    assert brief(row, "kind", "action", "order_id", "client_order_id", "price", "status") == (
        "response", "place", "990077", "71", "0.7135", None,
    )  # fmt: skip
    talk.call(PLACE, ORDER)
    (row,) = known(talk.reply(PLACE, REFUSED)).orders
    assert brief(row, "client_order_id", "status", "status_raw", "reason") == (
        "71", "REJECTED", "1047", "Insufficient margin available.",
    )  # fmt: skip
    talk.call(PLACE, ORDER)
    assert known(talk.reply(PLACE, REFUSED, 503)).orders[0].status is None
    talk.call(PLACE, ORDER)
    known(talk.reply(PLACE, done({})), "names no order")


def test_results_of_a_batch_go_by_their_ids() -> None:
    talk = Talk("htx")
    decoded = known(
        talk.call(BATCH, [ORDER, {**ORDER, "volume": "NaN"}, {**ORDER, "client_order_id": "72", "price": "0.8"}]), "volume"
    )
    assert [row.item for row in decoded.orders] == [0, 2]
    answer = done([
        {"order_id": "2", "client_order_id": "72", "code": 200}, {"client_order_id": "71", "code": 1047, "message": "no"},
        {"order_id": "3", "client_order_id": "3", "code": 200},
    ])  # fmt: skip
    rows = known(talk.reply(BATCH, answer)).orders
    assert [brief(row, "order_id", "client_order_id", "price", "status") for row in rows] == [
        ("2", "72", "0.8", None), (None, "71", "0.7135", "REJECTED"), ("3", "3", None, None),
    ]  # fmt: skip


def test_cancellations() -> None:
    talk = Talk("htx")
    (row,) = known(talk.call(CANCEL, {"contract_code": "ADA-USDT", "order_id": "5", "client_order_id": 71})).orders
    assert brief(row, "action", "symbol", "order_id", "client_order_id") == ("cancel", "ADA-USDT", "5", "71")
    (row,) = known(talk.reply(CANCEL, {"code": 1061, "message": "gone", "ts": T0})).orders
    assert brief(row, "order_id", "status", "status_raw") == ("5", None, "1061")
    both = {"contract_code": "ADA-USDT", "order_id": ["5", "6"], "client_order_id": ["5", "6"]}
    rows = known(talk.call(CANCELS, both)).orders
    assert [brief(row, "order_id", "client_order_id") for row in rows] == [("5", None), ("6", None), (None, "5"), (None, "6")]
    answer = [{"order_id": "6", "client_order_id": "6", "code": 200}, {"order_id": "5", "code": 1061, "message": "gone"}]
    rows = known(talk.reply(CANCELS, done(answer))).orders
    assert [brief(row, "symbol", "order_id", "status_raw") for row in rows] == [
        ("ADA-USDT", "6", None),
        ("ADA-USDT", "5", "1061"),
    ]
    (row,) = known(talk.call(CANCEL_ALL, {"contract_code": "ADA-USDT", "side": "sell"})).orders
    assert brief(row, "action", "symbol", "side", "order_id") == ("cancel", "ADA-USDT", "sell", None)
    rows = known(talk.reply(CANCEL_ALL, done([{"order_id": "5", "code": 200}, {"order_id": "6", "code": 200}]))).orders
    assert [brief(row, "action", "symbol", "order_id") for row in rows] == [
        ("cancel", "ADA-USDT", "5"), ("cancel", "ADA-USDT", "6"),
    ]  # fmt: skip
    known(talk.call(CANCEL, {"contract_code": "ADA-USDT"}), "names no order")


def test_conditional_calls() -> None:
    talk = Talk("htx")
    (row,) = known(talk.call(PLACE_ALGO, TAKE_PROFIT)).orders
    assert brief(row, *ASKED) == (
        "place", None, "ADA-USDT", "a1", None, "sell", "take_profit", None, "0.7495", "0.75", "30", "contract",
    )  # fmt: skip
    (row,) = known(talk.reply(PLACE_ALGO, done([{"algo_id": "880", "algo_client_order_id": None}]))).orders
    assert brief(row, "order_id", "client_order_id", "status") == ("880", "a1", "PENDING_TRIGGER")
    for body in ([{"contract_code": "ADA-USDT", "algo_id": "880"}], {"contract_code": "ADA-USDT", "algo_id": "880"}):
        (row,) = known(talk.call(CANCEL_ALGO, body)).orders
        assert brief(row, "action", "order_id") == ("cancel", "880")
        (row,) = known(talk.reply(CANCEL_ALGO, done([{"algo_id": "880", "code": 200}]))).orders
        assert brief(row, "action", "order_id", "symbol", "status") == ("cancel", "880", "ADA-USDT", None)


def test_closing_a_position_places_an_order() -> None:
    talk = Talk("htx")
    call = f"POST {TRADE}position"
    (row,) = known(talk.call(call, {"contract_code": "ADA-USDT", "margin_mode": "cross"})).orders
    assert brief(row, "action", "symbol", "quantity") == ("place", "ADA-USDT", None)
    (row,) = known(talk.reply(call, done({"order_id": 7, "client_order_id": 7}))).orders
    assert brief(row, "action", "symbol", "order_id") == ("place", "ADA-USDT", "7")


def test_queries() -> None:
    talk = Talk("htx")
    for path, data in (("order", order()), ("order/opens", [order()]), ("order/history?contract_code=ADA-USDT", [order()])):
        (row,) = known(talk.reply(f"GET {TRADE}{path}", done(data))).orders
        assert brief(row, "kind", "action", "order_id", "status", "filled_quantity") == (
            "response", None, "990077", "PARTIALLY_FILLED", "10",
        )  # fmt: skip
    (row,) = known(talk.reply(f"GET {ALGO}order/opens", done([ALGO_ORDER]))).orders
    assert brief(row, "order_id", "status") == ("880", "PENDING_TRIGGER")
    assert talk.reply(f"GET {TRADE}order/opens", done([])) is None


def test_an_execution_that_pushes_and_a_query_tell_is_one() -> None:
    talk = Talk("htx")
    (pushed,) = known(talk.server(notify("trade", [executed()]))).fills
    assert (pushed.trade_id, DETAIL["id"]) == ("44-990077-1", "1513834754679549965")
    known(talk.server(notify("match_orders", [matched(id="44-990077-2")])))  # another one of the same trade_id
    decoded = known(talk.reply(f"GET {TRADE}order/details", done([DETAIL])), "not those of the pushes")
    assert (decoded.orders, decoded.fills) == ([], [])
    assert talk.reply(f"GET {TRADE}order/details", done([])) is None


def test_operations_of_the_websocket() -> None:
    talk = Talk("htx")
    (row,) = known(talk.client(operation("place_order", ORDER))).orders
    assert brief(row, *ASKED) == (
        "place", "q1", "ADA-USDT", "71", None, "sell", "limit", "ioc", "0.7135", None, "30", "contract",
    )  # fmt: skip
    (row,) = known(talk.server({"code": 1047, "message": "no", "ts": T0, "cid": "q1"})).orders
    assert brief(row, "request_id", "client_order_id", "status", "status_raw") == ("q1", "71", "REJECTED", "1047")
    talk.client(operation("cancel_order", {"contract_code": "ADA-USDT", "order_id": "5"}, "q2"))
    (row,) = known(talk.server({**done({"orderId": "5", "clientOrderId": "71"}), "cid": "q2"})).orders
    assert brief(row, "action", "order_id", "client_order_id") == ("cancel", "5", "71")
    assert len(known(talk.client(operation("place_batch_orders", [ORDER, ORDER], "q3"))).orders) == 2
    assert known(talk.client(operation("cancel_all_orders", {"contract_code": "ADA-USDT"}, "q4"))).orders[0].action == "cancel"


def test_a_request_without_a_cid_is_answered_while_it_is_the_only_one() -> None:
    talk = Talk("htx")
    request = {"op": "place_order", "data": ORDER}
    for answer, status in ((done(TAKEN), None), (REFUSED, "REJECTED")):
        talk.client(request)
        (row,) = known(talk.server(answer)).orders
        assert brief(row, "client_order_id", "price", "status") == ("71", "0.7135", status)
    talk.client(request)
    talk.client(request)
    known(talk.server(done(TAKEN)), "names no order")
    known(talk.server(REFUSED), "not seen")


def test_calls_that_are_not_about_orders_and_calls_that_are_not_known() -> None:
    talk = Talk("htx")
    assert talk.call("GET /v5/account/balance") is None
    assert talk.reply("GET /v5/account/balance", done({})) is None
    assert talk.call("POST /v5/position/lever", {"lever_rate": 5}) is None
    assert talk.call(f"POST {TRADE}cancel-after", {"on_off": 1}) is None
    known(talk.call(f"POST {TRADE}later", {}), "not known")


@pytest.mark.parametrize(
    ("topic", "row"),
    [
        ("orders", order(volume="-1")), ("orders", order(side="hold")), ("orders", order(order_id=None)),
        ("orders", order(updated_time="later")), ("orders", order(state=None)), ("trade", executed(trade_price=None)),
        ("trade", executed(id=None)), ("trade", executed(updated_time=None)), ("match_orders", matched(trade_price=None)),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_a_problem(topic: str, row: JSON) -> None:
    decoded = Talk("htx").server(notify(topic, [row]))
    assert decoded is not None
    assert decoded.problem is not None
    assert decoded.fills == []


def test_compressed_and_on_a_host_that_tells_nothing() -> None:
    for topic, data in (("orders", order()), ("trade", [executed()])):
        packed = gzip.compress(json.dumps(notify(topic, data)).encode())
        decoder = Talk("htx").decoder
        assert decoder.wanted("server", OPCODE_BINARY)(packed)
        decoded = known(decoder.decode(Message(1, "server", 0, 5, 7, OPCODE_BINARY, packed)))
        assert len(decoded.orders) + len(decoded.fills) == 1
        assert guess_venue("server", packed) is VENUE
    assert guess_venue("client", json.dumps(operation("place_order", ORDER)).encode()) is VENUE
    assert guess_venue("client", b'{"op":"place_order","data":{}}') is None

"""HTX: each message of its documentation, with values of our own."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from sniffer.exchanges import guess_venue, venue_of
from sniffer.exchanges.base import LOGIN, ConnectionFacts
from sniffer.exchanges.htx import VENUE
from sniffer.model import OPCODE_BINARY, OPCODE_TEXT, Message, Sender
from tests.unit.exchanges.htx_v5_messages import MESSAGES
from tests.unit.exchanges.talk import Talk, brief, known

JSON = dict[str, Any]
T0 = 1_751_000_000_123


def push(channel: str, **data: Any) -> JSON:
    return {"action": "push", "ch": channel, "data": data}


def event(kind: str, **changes: Any) -> JSON:
    shown: JSON = {
        "eventType": kind, "symbol": "adausdt", "orderId": 880012345, "clientOrderId": "grid-7", "orderPrice": "0.7135",
        "orderSize": "250", "type": "sell-limit", "orderSource": "spot-api",
    }  # fmt: skip
    more: dict[str, JSON] = {
        "creation": {"orderStatus": "submitted", "orderCreateTime": T0},
        "trade": {
            "orderStatus": "partial-filled", "tradePrice": "0.7136", "tradeVolume": "100", "tradeId": 5512, "tradeTime": T0,
            "aggressor": True, "execAmt": "100", "remainAmt": "150",
        },
        "cancellation": {
            "orderStatus": "partial-canceled", "lastActTime": T0, "execAmt": "100", "remainAmt": "150",
            "canceledSourceDesc": "api",
        },
    }  # fmt: skip
    return push("orders#adausdt", **(shown | more.get(kind, {}) | changes))


def cleared(**changes: Any) -> JSON:
    shown: JSON = {
        "eventType": "trade", "symbol": "adausdt", "orderId": 880012345, "orderSide": "sell", "orderType": "sell-limit",
        "clientOrderId": "grid-7", "tradePrice": "0.7136", "tradeVolume": "100", "tradeId": 5512, "tradeTime": T0,
        "aggressor": False, "transactFee": "0.14272", "feeCurrency": "usdt", "feeDeduct": "0", "feeDeductType": "",
        "orderStatus": "filled", "orderPrice": "0.7135", "orderSize": "250",
    }  # fmt: skip
    return push("trade.clearing#adausdt#1", **(shown | changes))


def contract(topic: str = "orders_cross.ada-usdt", **changes: Any) -> JSON:
    shown: JSON = {
        "op": "notify", "topic": topic, "ts": T0, "symbol": "ADA", "contract_code": "ADA-USDT", "volume": 30, "price": 0.7135,
        "order_price_type": "limit", "direction": "sell", "offset": "open", "status": 4, "order_id": 990077,
        "order_id_str": "990077", "client_order_id": 71, "created_at": T0 - 50, "trade_volume": 10,
        "trade_avg_price": 0.7136, "fee": -0.0357, "trade": [{
            "trade_id": 44, "id": "44-990077-1", "trade_volume": 10, "trade_price": 0.7136, "trade_turnover": 71.36,
            "trade_fee": -0.0357, "fee_asset": "USDT", "created_at": T0 - 1, "role": "maker",
        }],
    }  # fmt: skip
    return shown | changes


PLACE: JSON = {
    "account-id": "5", "symbol": "adausdt", "type": "sell-limit", "amount": "250", "price": "0.7135", "source": "spot-api",
    "client-order-id": "grid-7",
}  # fmt: skip
ORDERS = "POST /v1/order/orders/place"
BATCH = "POST /v1/order/batch-orders"
BATCH_CANCEL = "POST /v1/order/orders/batchcancel"
REFUSED = {"status": "error", "err-code": "order-limitorder-price-error", "err-msg": "limit order price error", "data": None}


def operation(channel: str, params: Any, request_id: str = "q1") -> JSON:
    return {"cid": request_id, "ch": channel, "params": params}


FIXTURES: list[tuple[str, Sender, Any] | tuple[str, Sender, Any, str]] = [
    ("htx", "server", event("creation")),
    ("htx", "server", event("trade")),
    ("htx", "server", event("cancellation")),
    ("htx", "server", cleared()),
    ("htx", "server", contract()),
    ("htx", "client", operation("create-order", PLACE)),
    ("htx", "server", {"cid": "q1", "status": "ok", "data": "880012345"}),
    ("htx", "client", operation("create-batchorder", [PLACE, {**PLACE, "client-order-id": "grid-8"}], "q2")),
    ("htx", "server", {"cid": "q2", "status": "ok", "data": [
        {"order-id": 880012345, "client-order-id": "grid-7"},
        {"client-order-id": "grid-8", "err-code": "invalid-amount", "err-msg": "Invalid amount"},
    ]}),
    ("htx", "client", PLACE, ORDERS),
    ("htx", "server", REFUSED, ORDERS),
    ("htx", "client", {"order-ids": ["880012345"], "client-order-ids": ["grid-8"]}, BATCH_CANCEL),
    ("htx", "server", {"status": "ok", "data": {"success": ["880012345"], "failed": [
        {"client-order-id": "grid-8", "err-code": "base-record-invalid", "err-msg": "record invalid"}]}}, BATCH_CANCEL),
    *MESSAGES,
]  # fmt: skip
DERIVED = frozenset({"reason"})
"""Of a refusal that gives none."""

ASKED = ("action", "request_id", "symbol", "client_order_id", "order_id", "side", "order_type", "time_in_force", "price",
         "stop_price", "quantity", "quantity_unit")  # fmt: skip


# --- pushes ---


@pytest.mark.parametrize(
    ("message", "status", "filled", "reason"),
    [
        (event("creation"), "NEW", None, None),
        (event("creation", orderStatus="created"), "PENDING_NEW", None, None),
        (event("trade"), "PARTIALLY_FILLED", "100", None),
        (event("trade", orderStatus="filled", execAmt="250"), "FILLED", "250", None),
        (event("cancellation"), "CANCELED", "100", "api"),
        (event("cancellation", orderStatus="canceling"), "PENDING_CANCEL", "100", "api"),
        (event("creation", orderStatus="sleeping"), None, None, None),
    ],
)
def test_the_life_of_an_order(message: JSON, status: str | None, filled: str | None, reason: str | None) -> None:
    (row,) = known(Talk("htx").server(message)).orders
    assert brief(row, "kind", "symbol", "order_id", "client_order_id", "side", "order_type", "price", "quantity",
                 "quantity_unit", "exchange_time") == (
        "update", "adausdt", "880012345", "grid-7", "sell", "limit", "0.7135", "250", "base", T0 * 1_000_000,
    )  # fmt: skip
    assert brief(row, "status", "status_raw", "filled_quantity", "reason") == (
        status, message["data"]["orderStatus"], filled, reason,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("buy-market", ("buy", "market", None)), ("sell-ioc", ("sell", "limit", "ioc")),
        ("buy-limit-maker", ("buy", "limit", "post_only")), ("sell-limit-fok", ("sell", "limit", "fok")),
        ("buy-stop-limit", ("buy", "stop_limit", None)), ("sell-limit-grid", ("sell", "limit-grid", None)),
    ],
)  # fmt: skip
def test_types(word: str, expected: tuple[Any, ...]) -> None:
    (row,) = known(Talk("htx").server(event("creation", type=word))).orders
    assert (row.side, row.order_type, row.time_in_force) == expected


def test_a_market_order_to_buy_counts_the_quote_currency() -> None:
    message = event("trade", type="buy-market", orderSize="0", orderValue="75.5", execAmt="30.25", orderPrice="0")
    decoded = known(Talk("htx").server(message))
    assert brief(decoded.orders[0], "quantity", "quantity_unit", "filled_quantity") == ("75.5", "quote", "30.25")
    assert brief(decoded.fills[0], "quantity", "quantity_unit") == ("100", "base")


def test_conditional_orders_that_fail_or_are_deleted() -> None:
    base = {"orderSide": "buy", "lastActTime": T0, "clientOrderId": "algo-1", "symbol": "adausdt"}
    failed = push("orders#adausdt", eventType="trigger", orderStatus="rejected", errCode=2002, errMessage="invalid", **base)
    (row,) = known(Talk("htx").server(failed)).orders
    assert brief(row, "side", "order_id", "client_order_id", "status", "reason") == (
        "buy",
        None,
        "algo-1",
        "REJECTED",
        "invalid",
    )
    (row,) = known(Talk("htx").server(push("orders#adausdt", eventType="deletion", orderStatus="canceled", **base))).orders
    assert brief(row, "status", "exchange_time") == ("CANCELED", T0 * 1_000_000)


def test_a_trade_is_told_twice_with_one_id_and_its_fee_once() -> None:
    first = known(Talk("htx").server(event("trade"))).fills[0]
    decoded = known(Talk("htx").server(cleared()))
    (second,) = decoded.fills
    key = ("symbol", "trade_id", "order_id", "side", "price", "quantity")
    assert decoded.orders == []
    assert brief(first, *key) == brief(second, *key) == ("adausdt", "5512", "880012345", "sell", "0.7136", "100")
    assert brief(first, "fee", "liquidity") == (None, "taker")
    assert brief(second, "fee", "fee_asset", "liquidity", "client_order_id") == ("0.14272", "usdt", "maker", "grid-7")
    paid = known(Talk("htx").server(cleared(transactFee="0", feeDeduct="0.31", feeDeductType="ht"))).fills[0]
    assert brief(paid, "fee", "fee_asset") == ("0.31", "ht")
    (row,) = known(Talk("htx").server(cleared(eventType="cancellation", orderStatus="canceled", remainAmt="1"))).orders
    assert brief(row, "status", "side", "order_type") == ("CANCELED", "sell", "limit")


# --- contracts ---


def test_contracts() -> None:
    for topic in ("orders_cross.ada-usdt", "orders.ADA-USDT", "matchOrders_cross.ada-usdt", "matchorders.ada-usdt"):
        decoded = known(Talk("htx").server(contract(topic)))
        assert brief(decoded.orders[0], "symbol", "order_id", "client_order_id", "side", "status", "status_raw", "price",
                     "quantity", "quantity_unit", "filled_quantity", "average_price", "exchange_time") == (
            "ADA-USDT", "990077", "71", "sell", "PARTIALLY_FILLED", "4", "0.7135", "30", "contract", "10", "0.7136",
            T0 * 1_000_000,
        )  # fmt: skip
        assert brief(decoded.fills[0], "trade_id", "order_id", "price", "quantity", "quantity_unit", "fee", "fee_asset",
                     "liquidity", "side") == (
            "44-990077-1", "990077", "0.7136", "10", "contract", "0.0357", "USDT", "maker", "sell",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("number", "status"),
    [(1, "PENDING_NEW"), (3, "NEW"), (5, "CANCELED"), (6, "FILLED"), (7, "CANCELED"), (11, "PENDING_CANCEL"), (99, None)],
)
def test_states_of_contracts(number: int, status: str | None) -> None:
    (row,) = known(Talk("htx").server(contract(status=number, trade=[]))).orders
    assert (row.status, row.status_raw) == (status, str(number))


def test_price_types_of_contracts() -> None:
    for word, expected in (
        ("post_only", ("limit", "post_only")),
        ("fok", ("limit", "fok")),
        ("optimal_5_ioc", ("optimal_5", "ioc")),
    ):
        (row,) = known(Talk("htx").server(contract(order_price_type=word, trade=[]))).orders
        assert (row.order_type, row.time_in_force) == expected


CROSS = "POST /linear-swap-api/v1/swap_cross_"
FUTURE = {
    "contract_code": "ADA-USDT",
    "volume": 30,
    "direction": "sell",
    "offset": "open",
    "price": 0.71,
    "order_price_type": "ioc",
}


def test_calls_of_contracts() -> None:
    talk = Talk("htx")
    (row,) = known(talk.call(CROSS + "order?AccessKeyId=KEY-1&Signature=s", {**FUTURE, "client_order_id": 71})).orders
    assert brief(row, *ASKED) == (
        "place", None, "ADA-USDT", "71", None, "sell", "limit", "ioc", "0.71", None, "30", "contract",
    )  # fmt: skip
    assert row.account == "name of KEY-1"
    data = {"order_id": 990077, "order_id_str": "990077", "client_order_id": 71}
    (row,) = known(talk.reply(CROSS + "order?AccessKeyId=KEY-1&Signature=s", {"status": "ok", "data": data})).orders
    assert brief(row, "order_id", "client_order_id", "price") == ("990077", "71", "0.71")
    talk.call(CROSS + "batchorder", {"orders_data": [FUTURE, {**FUTURE, "client_order_id": 72}]})
    answer = {
        "success": [{"index": 2, "order_id_str": "5", "client_order_id": 72}],
        "errors": [{"index": 1, "err_code": 1047, "err_msg": "no"}],
    }
    rows = known(talk.reply(CROSS + "batchorder", {"status": "ok", "data": answer})).orders
    assert [brief(row, "item", "order_id", "status", "status_raw") for row in rows] == [
        (0, None, "REJECTED", "1047"), (1, "5", None, None),
    ]  # fmt: skip
    rows = known(talk.call(CROSS + "cancel", {"order_id": "5,6", "contract_code": "ADA-USDT"})).orders
    assert [row.order_id for row in rows] == ["5", "6"]
    left = {"successes": "5", "errors": [{"order_id": "6", "err_code": 1061, "err_msg": "gone"}]}
    rows = known(talk.reply(CROSS + "cancel", {"status": "ok", "data": left})).orders
    assert [brief(row, "order_id", "status_raw", "reason") for row in rows] == [("5", None, None), ("6", "1061", "gone")]
    talk.call(CROSS + "openorders", {"contract_code": "ADA-USDT"})
    (row,) = known(talk.reply(CROSS + "openorders", {"status": "ok", "data": {"orders": [contract()]}})).orders
    assert brief(row, "kind", "action", "order_id") == ("response", None, "990077")


def test_histories_of_contracts() -> None:
    talk = Talk("htx")
    history = {**contract(order_price_type=6, client_order_id=None), "ts": None, "update_time": T0, "trade": None}
    for name in ("swap_hisorders", "swap_hisorders_exact", "contract_hisorders"):
        (row,) = known(talk.reply(f"POST /swap-api/v3/{name}", {"code": 200, "msg": "", "data": [history]})).orders
        assert brief(row, "order_id", "status", "order_type", "exchange_time") == (
            "990077", "PARTIALLY_FILLED", None, T0 * 1_000_000,
        )  # fmt: skip
    match = {
        "match_id": 44, "id": "44-990077-1", "order_id": 990077, "order_id_str": "990077", "contract_code": "ADA-USD",
        "direction": "sell", "trade_volume": 10, "trade_price": 0.7136, "trade_fee": -0.0357, "create_date": T0,
        "role": "Maker", "fee_asset": "ADA",
    }  # fmt: skip
    for data in ([match], {"trades": [match], "remain_size": 0, "next_id": None}):
        (fill,) = known(talk.reply("POST /swap-api/v3/swap_matchresults_exact", {"code": 200, "data": data})).fills
        assert brief(fill, "trade_id", "order_id", "side", "price", "quantity", "quantity_unit", "fee", "fee_asset",
                     "liquidity", "exchange_time") == (
            "44-990077-1", "990077", "sell", "0.7136", "10", "contract", "0.0357", "ADA", "maker", T0 * 1_000_000,
        )  # fmt: skip


# --- spot requests and answers ---


def test_websocket_orders() -> None:
    talk = Talk("htx")
    (row,) = known(talk.client(operation("create-order", PLACE))).orders
    assert brief(row, *ASKED) == (
        "place",
        "q1",
        "adausdt",
        "grid-7",
        None,
        "sell",
        "limit",
        None,
        "0.7135",
        None,
        "250",
        "base",
    )
    (row,) = known(talk.server({"cid": "q1", "status": "ok", "data": "880012345"})).orders
    assert brief(row, "kind", "action", "order_id", "client_order_id", "status") == (
        "response",
        "place",
        "880012345",
        "grid-7",
        None,
    )
    talk.client(operation("create-order", PLACE))
    (row,) = known(talk.server({"cid": "q1", **REFUSED})).orders
    assert brief(row, "status", "status_raw", "reason", "client_order_id") == (
        "REJECTED", "order-limitorder-price-error", "limit order price error", "grid-7",
    )  # fmt: skip
    talk.client(operation("cancel", {"order-ids": ["1"], "client-order-ids": ["c2"]}, "q3"))
    answer = {"success": ["c2"], "failed": [{"order-id": "1", "err-code": "x", "err-msg": "y", "order-state": 7}]}
    rows = known(talk.server({"cid": "q3", "status": "ok", "data": answer})).orders
    assert [brief(row, "order_id", "client_order_id", "status_raw", "status") for row in rows] == [
        (None, "c2", None, None), ("1", None, "x", None),
    ]  # fmt: skip
    talk.client(operation("cancel", {"order-ids": ["1"]}, "q5"))
    answer = {"success": [[], "1"], "failed": []}
    (row,) = known(talk.server({"cid": "q5", "status": "ok", "data": answer}), "field id: not an id").orders
    assert row.order_id == "1"
    (row,) = known(talk.client(operation("cancelall", {"symbol": "adausdt", "side": "buy"}, "q4"))).orders
    assert brief(row, "action", "symbol", "side") == ("cancel", "adausdt", "buy")
    (row,) = known(talk.server({"cid": "q4", "status": "ok", "data": {"success-count": 2, "failed-count": 0}})).orders
    assert brief(row, "kind", "action") == ("response", "cancel")


def test_a_batch_in_the_order_of_its_request() -> None:
    talk = Talk("htx")
    broken = {**PLACE, "amount": "NaN"}
    decoded = known(talk.call(BATCH, [PLACE, broken, {**PLACE, "client-order-id": "c3"}]), "field amount")
    assert [row.item for row in decoded.orders] == [0, 2]
    answer = [{"order-id": 1}, {"err-code": "e", "err-msg": "m"}, {"order-id": 3, "client-order-id": "c3"}]
    rows = known(talk.reply(BATCH, {"status": "ok", "data": answer})).orders
    assert [brief(row, "item", "order_id", "client_order_id", "status") for row in rows] == [
        (0, "1", "grid-7", None), (1, None, None, "REJECTED"), (2, "3", "c3", None),
    ]  # fmt: skip


def test_rest_cancellations() -> None:
    talk = Talk("htx")
    (row,) = known(talk.call("POST /v1/order/orders/880012345/submitcancel")).orders
    assert brief(row, "action", "order_id") == ("cancel", "880012345")
    (row,) = known(talk.reply("POST /v1/order/orders/880012345/submitcancel", {"status": "ok", "data": "880012345"})).orders
    assert brief(row, "kind", "order_id", "status") == ("response", "880012345", None)
    call = "POST /v1/order/orders/submitCancelClientOrder"
    assert known(talk.call(call, {"client-order-id": "grid-7"})).orders[0].client_order_id == "grid-7"
    (row,) = known(talk.reply(call, {"status": "error", "err-code": "order-orderstate-error", "err-msg": "m"})).orders
    assert brief(row, "client_order_id", "status", "status_raw") == ("grid-7", None, "order-orderstate-error")


@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [
        (-1, None, "already closed"), ("0", None, "client-order-id not found"), ("8", None, "failed"), ("10", None, None),
        ("3", None, None), ("5", "CANCELED", None), (6, "FILLED", None), ("7", "CANCELED", None), ("880012345", None, None),
    ],
)  # fmt: skip
def test_a_cancellation_by_the_clients_id_is_answered_by_a_code(code: Any, status: str | None, reason: str | None) -> None:
    talk = Talk("htx")
    call = "POST /v1/order/orders/submitCancelClientOrder"
    talk.call(call, {"client-order-id": "grid-7"})
    (row,) = known(talk.reply(call, {"status": "ok", "data": code})).orders
    assert brief(row, "action", "client_order_id", "order_id", "status", "reason") == ("cancel", "grid-7", None, status, reason)


def test_a_refusal_without_a_text_is_one_all_the_same() -> None:
    talk = Talk("htx")
    call = "POST /v1/order/orders/880012345/submitcancel"
    talk.call(call)
    (row,) = known(talk.reply(call, {"status": "error", "err-code": "order-queryorder-invalid"})).orders
    assert brief(row, "order_id", "status", "reason") == ("880012345", None, "order-queryorder-invalid")
    call = "POST /v2/algo-orders/cancellation"
    for seen in (True, False):
        if seen:
            talk.call(call, {"clientOrderIds": ["algo-1", "algo-2"]})
        rows = known(talk.reply(call, {"code": 200, "data": {"accepted": ["algo-1"], "rejected": ["algo-2"]}})).orders
        assert [brief(row, "client_order_id", "order_id", "reason") for row in rows] == [
            ("algo-1", None, None), ("algo-2", None, "rejected"),
        ]  # fmt: skip


def test_ids_of_either_kind_are_told_by_the_request_alone() -> None:
    talk = Talk("htx")
    answer = {"status": "ok", "data": {"success": ["grid-7", "880012345"], "failed": []}}
    decoded = known(talk.reply("POST /v1/order/orders/batchcancel", answer), "a request that was not seen")
    assert decoded.orders == []
    call = "POST /linear-swap-api/v1/swap_cancelall"
    (row,) = known(talk.reply(call, {"status": "ok", "data": {"errors": [], "successes": "5"}})).orders
    assert row.order_id == "5"


ALGO = {
    "symbol": "adausdt", "orderSide": "sell", "orderType": "limit", "orderPrice": "0.69", "orderSize": "250",
    "timeInForce": "boc", "clientOrderId": "algo-1", "stopPrice": "0.70",
}  # fmt: skip


def test_conditional_orders() -> None:
    talk = Talk("htx")
    (row,) = known(talk.call("POST /v2/algo-orders", ALGO)).orders
    assert brief(row, *ASKED) == (
        "place", None, "adausdt", "algo-1", None, "sell", "stop_limit", "post_only", "0.69", "0.70", "250", "base",
    )  # fmt: skip
    (row,) = known(talk.reply("POST /v2/algo-orders", {"code": 200, "data": {"clientOrderId": "algo-1"}})).orders
    assert brief(row, "client_order_id", "status") == ("algo-1", "PENDING_TRIGGER")
    talk.call("POST /v2/algo-orders", ALGO)
    (row,) = known(talk.reply("POST /v2/algo-orders", {"code": 2002, "message": "invalid field"})).orders
    assert brief(row, "status", "status_raw", "reason") == ("REJECTED", "2002", "invalid field")
    talk.call("POST /v2/algo-orders/cancellation", {"clientOrderIds": ["algo-1", "algo-2"]})
    answer = {"code": 200, "data": {"accepted": ["algo-1"], "rejected": ["algo-2"]}}
    rows = known(talk.reply("POST /v2/algo-orders/cancellation", answer)).orders
    assert [brief(row, "action", "client_order_id") for row in rows] == [("cancel", "algo-1"), ("cancel", "algo-2")]
    talk.call("GET /v2/algo-orders/opening")
    shown = {**ALGO, "orderOrigTime": T0, "lastActTime": T0, "orderStatus": "triggered", "orderId": 880}
    (row,) = known(talk.reply("GET /v2/algo-orders/opening", {"code": 200, "data": [shown]})).orders
    assert brief(row, "status", "order_id", "client_order_id") == ("NEW", "880", "algo-1")


def test_queries() -> None:
    order = {
        "id": 880012345, "symbol": "adausdt", "account-id": 5, "amount": "250", "price": "0.7135", "created-at": T0,
        "type": "sell-limit", "filled-amount": "100", "filled-cash-amount": "71.3", "state": "partial-filled",
        "client-order-id": "grid-7",
    }  # fmt: skip
    talk = Talk("htx")
    for call, data in (("openOrders?symbol=adausdt", [order]), ("orders/880012345", order), ("orders/getClientOrder", order)):
        talk.call(f"GET /v1/order/{call}")
        (row,) = known(talk.reply(f"GET /v1/order/{call}", {"status": "ok", "data": data})).orders
        assert brief(row, "kind", "action", "order_id", "client_order_id", "status", "filled_quantity", "quantity") == (
            "response", None, "880012345", "grid-7", "PARTIALLY_FILLED", "100", "250",
        )  # fmt: skip
    match = {
        "id": 9, "symbol": "adausdt", "order-id": 880012345, "match-id": 7, "trade-id": 5512, "price": "0.7136",
        "filled-amount": "100", "filled-fees": "0", "fee-currency": "usdt", "filled-points": "0.3", "fee-deduct-currency": "ht",
        "created-at": T0, "type": "sell-limit", "role": "taker",
    }  # fmt: skip
    talk.call("GET /v1/order/matchresults")
    (fill,) = known(talk.reply("GET /v1/order/matchresults", {"status": "ok", "data": [match]})).fills
    assert brief(fill, "trade_id", "order_id", "side", "price", "quantity", "fee", "fee_asset", "liquidity") == (
        "5512", "880012345", "sell", "0.7136", "100", "0.3", "ht", "taker",
    )  # fmt: skip
    talk.call("GET /v1/order/openOrders")
    assert talk.reply("GET /v1/order/openOrders", {"status": "ok", "data": []}) is None


def test_calls_that_are_not_about_orders_and_calls_that_are_not_known() -> None:
    talk = Talk("htx")
    assert talk.call("GET /v1/account/accounts") is None
    assert talk.reply("GET /v1/account/accounts", {"status": "ok", "data": []}) is None
    assert talk.call("POST /v2/algo-orders/cancel-all-after", {"timeout": 10}) is None
    known(talk.call("POST /v1/order/orders/later", {}), "not known")
    known(talk.reply(ORDERS, {"status": "ok", "data": {}}), "answer that names no order")
    known(Talk("htx").server({"cid": "q9", **REFUSED}), "not seen")


# --- what cannot be read ---


@pytest.mark.parametrize(
    "changes",
    [
        {"orderPrice": "-1"}, {"orderSize": True}, {"type": "hold-limit"}, {"type": None}, {"orderStatus": 7}, {"symbol": ""},
        {"orderId": []}, {"orderCreateTime": 10**18}, {"eventType": "later"}, {"orderPrice": "0.1234567890123456789"},
        {"clientOrderId": 5}, {"orderSize": "1e99"},
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_a_problem(changes: JSON) -> None:
    decoded = known(Talk("htx").server(event("creation", **changes)), "field")
    assert (decoded.kind, decoded.orders) == ("update", [])


def test_duplicate_keys_and_exponents() -> None:
    text = json.dumps(event("creation")).replace('"250"', "2.5E-7")
    assert brief(known(Talk("htx").server(text)).orders[0], "quantity") == ("0.00000025",)
    assert known(Talk("htx").server(text.replace('"orderSize"', '"orderSize":"1","orderSize"')), "twice").orders == []


MARKET: list[JSON] = [
    {
        "ch": "market.adausdt.trade.detail",
        "ts": T0,
        "tick": {"id": 1, "data": [{"tradeId": 1, "amount": 4.7e-4, "price": 0.7}]},
    },
    {"ch": "market.adausdt.mbp.5", "ts": T0, "tick": {"seqNum": 1, "bids": [[0.71, 5]], "asks": []}},
    {"ping": T0},
    {"action": "ping", "data": {"ts": T0}},
    {"action": "sub", "code": 200, "ch": "accounts.update#1", "data": {}},
    push("accounts.update#1", currency="usdt", accountId=5, balance="1", changeType="order.match"),
]


def test_market_data_is_dropped_by_the_search() -> None:
    talk = Talk("htx")
    wanted, packed = talk.decoder.wanted("server", OPCODE_TEXT), talk.decoder.wanted("server", OPCODE_BINARY)
    assert [wanted(json.dumps(message).encode()) for message in MARKET] == [False] * len(MARKET)
    assert [packed(gzip.compress(json.dumps(message).encode())) for message in MARKET] == [False] * len(MARKET)
    for path in ("/ws", "/feed", "/linear-swap-ws"):
        assert not VENUE.decoder(ConnectionFacts(path=path)).wanted("server", OPCODE_BINARY)(b"\x1f\x8b")


def test_compressed_messages_are_read() -> None:
    packed = gzip.compress(json.dumps(contract()).encode())
    decoder = Talk("htx").decoder
    assert decoder.wanted("server", OPCODE_BINARY)(packed)
    decoded = known(decoder.decode(Message(1, "server", 0, 5, 7, OPCODE_BINARY, packed)))
    assert (len(decoded.orders), len(decoded.fills)) == (1, 1)
    assert decoder.wanted("server", OPCODE_BINARY)(packed[:-9])
    assert guess_venue("server", packed) is VENUE


# --- whose, secrets, which venue ---


def test_logins_are_not_kept_and_name_the_account() -> None:
    talk = Talk("htx", account="configured")
    auth = {"action": "req", "ch": "auth", "params": {"authType": "api", "accessKey": "KEY-1", "signature": "s"}}
    assert known(talk.client(auth)).kind == LOGIN
    granted = json.dumps({"action": "req", "code": 200, "ch": "auth", "data": {}}).encode()
    assert known(talk.decoder.decode(Message(1, "server", 0, 5, 7, OPCODE_TEXT, granted))).kind == LOGIN
    assert known(talk.server(event("creation"))).orders[0].account == "name of KEY-1"
    assert known(Talk("htx").client({"op": "auth", "type": "api", "AccessKeyId": "KEY-2", "Signature": "s"})).kind == LOGIN


def test_secrets_are_redacted() -> None:
    text = json.dumps(
        {"params": {"accessKey": "PLANTED", "signature": "PLANTED"}, "AccessKeyId": "PLANTED", "Signature": "PLANTED"}
    )
    assert "PLANTED" not in VENUE.redact("client", text)
    path = "/v1/order/orders/place?AccessKeyId=PLANTED&Signature=PLANTED&Timestamp=now"
    assert "PLANTED" not in VENUE.redact_path(path)
    assert "Timestamp=now" in VENUE.redact_path(path)


def test_recognised_and_guessed() -> None:
    for host in ("api.huobi.pro", "api-aws.huobi.pro", "api.hbdm.com"):
        assert venue_of(host, "/ws/v2", 443) is VENUE
    assert venue_of("127.0.0.1", "/ws/v2", 443) is not VENUE
    for payload in (event("trade"), cleared(), contract()):
        assert guess_venue("server", json.dumps(payload).encode()) is VENUE
    assert guess_venue("client", json.dumps(operation("create-order", PLACE)).encode()) is VENUE
    for payload in MARKET:
        assert guess_venue("server", json.dumps(payload).encode()) is not VENUE

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from sniffer.config import REDACTED
from sniffer.exchanges import guess_venue, venue_of
from sniffer.exchanges.base import LOGIN
from sniffer.exchanges.binance_usdm import VENUE, VENUE_COIN_M, marked
from tests.unit.exchanges.conversation import leaves_soon
from tests.unit.exchanges.meaning import fill, order, problem, said, told
from tests.unit.exchanges.talk import Talk

JSON = dict[str, Any]
T0 = 1_780_000_000_321
NS = T0 * 1_000_000
LISTEN_KEY = "Qm7" * 20
MARK = "pLaNtEd0123456789pLaNtEd0123456789pLaNtEd0123456789"


def update(**changes: Any) -> JSON:
    shown: JSON = {
        "s": "LTCUSDT", "c": "grid-11", "S": "SELL", "o": "LIMIT", "f": "GTX", "q": "7.5", "p": "84.20", "ap": "0", "sp": "0",
        "x": "NEW", "X": "NEW", "i": 55123456789, "l": "0", "z": "0", "L": "0", "n": "0", "N": "USDT", "T": T0, "t": 0,
        "b": "0",
        "a": "631.5", "m": False, "R": False, "wt": "CONTRACT_PRICE", "ot": "LIMIT", "ps": "BOTH", "cp": False, "rp": "0",
        "er": "0",
    }  # fmt: skip
    return {"e": "ORDER_TRADE_UPDATE", "E": T0 + 3, "T": T0, "o": shown | changes}


def traded(**changes: Any) -> JSON:
    filled: JSON = {
        "x": "TRADE", "X": "PARTIALLY_FILLED", "l": "2.5", "z": "2.5", "L": "84.21", "ap": "84.21000", "n": "0.04210500",
        "N": "USDT", "t": 918273, "m": True,
    }  # fmt: skip
    return update(**(filled | changes))


def lite(**changes: Any) -> JSON:
    return {
        "e": "TRADE_LITE", "E": T0 + 1, "T": T0, "s": "LTCUSDT", "q": "7.5", "p": "84.20", "m": True, "c": "grid-11",
        "S": "SELL",
        "L": "84.21", "l": "2.5", "t": 918273, "i": 55123456789,
    } | changes  # fmt: skip


def algo(**changes: Any) -> JSON:
    shown: JSON = {
        "caid": "stop-9", "aid": 7000123, "at": "CONDITIONAL", "o": "STOP_MARKET", "s": "LTCUSDT", "S": "BUY", "ps": "BOTH",
        "f": "GTC", "q": "3.0", "X": "NEW", "ai": "", "ap": "0.00000", "aq": "0.00000", "act": "0", "tp": "91.5", "p": "0",
        "wt": "MARK_PRICE", "tt": 0, "gtd": 0,
    }  # fmt: skip
    return {"e": "ALGO_UPDATE", "T": T0, "E": T0 + 4, "o": shown | changes}


def result(**changes: Any) -> JSON:
    return {
        "orderId": 55123456789, "symbol": "LTCUSDT", "status": "NEW", "clientOrderId": "grid-11", "price": "84.20",
        "avgPrice": "0.00", "origQty": "7.5", "executedQty": "0.0", "cumQty": "0.0", "cumQuote": "0.0", "timeInForce": "GTX",
        "type": "LIMIT", "reduceOnly": False, "side": "SELL", "positionSide": "BOTH", "stopPrice": "0.00", "updateTime": T0,
    } | changes  # fmt: skip


def answer(shown: Any, request_id: Any = "u-1") -> JSON:
    return {"id": request_id, "status": 200, "result": shown, "rateLimits": []}


def refusal(code: int, request_id: Any = "u-1", status: int = 400) -> JSON:
    return {"id": request_id, "status": status, "error": {"code": code, "msg": "Margin is insufficient."}}


def ask(method: str, request_id: Any = "u-1", **params: Any) -> JSON:
    return {"id": request_id, "method": method, "params": params | {"apiKey": "KEY-a", "signature": "S", "timestamp": T0}}


PLACE: JSON = {
    "symbol": "LTCUSDT", "side": "SELL", "positionSide": "BOTH", "type": "LIMIT", "timeInForce": "GTX", "price": "84.20",
    "quantity": 7.5, "newClientOrderId": "grid-11",
}  # fmt: skip
ALGO: JSON = {
    "algoType": "CONDITIONAL", "symbol": "LTCUSDT", "side": "BUY", "type": "STOP", "quantity": "3", "price": "92",
    "triggerPrice": 91.5,
    "clientAlgoId": "stop-9",
}  # fmt: skip
ALGO_RESULT: JSON = {
    "algoId": 7000123, "clientAlgoId": "stop-9", "algoType": "CONDITIONAL", "orderType": "STOP", "symbol": "LTCUSDT",
    "side": "BUY", "timeInForce": "GTC", "quantity": "3.0", "algoStatus": "NEW", "triggerPrice": "91.50", "price": "92.00",
    "createTime": T0 - 1, "updateTime": T0,
}  # fmt: skip
BATCH = [
    PLACE | {"quantity": "1"},
    {"symbol": "ETCUSDT", "side": "BUY", "type": "MARKET", "quantity": "4", "newClientOrderId": "b2"},
]
BATCH_CALL = f"POST /fapi/v1/batchOrders?batchOrders={quote(json.dumps(BATCH))}&timestamp=1&signature=abc"
PLACE_CALL = (
    "POST /fapi/v1/order?symbol=LTCUSDT&side=SELL&type=LIMIT&price=84.20&quantity=7.5&newClientOrderId=grid-11&signature=s"
)

FIXTURES: list[Any] = [
    ("binance-usdm", "client", ask("order.place", **PLACE)),
    ("binance-usdm", "server", answer(result())),
    ("binance-usdm", "client", ask("algoOrder.place", "u-2", **ALGO)),
    ("binance-usdm", "server", answer(ALGO_RESULT, "u-2")),
    ("binance-usdm", "client", ask("order.modify", "u-3", symbol="LTCUSDT", side="SELL", orderId=55123456789, price="84",
    quantity="6")),
    ("binance-usdm", "server", refusal(-2019, "u-3")),
    ("binance-usdm", "client", ask("order.cancel", "u-4", symbol="LTCUSDT", origClientOrderId="grid-11")),
    ("binance-usdm", "server", answer(result(status="CANCELED"), "u-4")),
    ("binance-usdm", "server", update()),
    ("binance-usdm", "server", {"stream": LISTEN_KEY, "data": traded()}),
    ("binance-usdm", "server", lite()),
    ("binance-usdm", "server", algo(X="FINISHED", aq="3.0", ap="91.7", ai="5512")),
    ("binance-usdm", "server", {"e": "CONDITIONAL_ORDER_TRIGGER_REJECT", "E": T0, "T": T0, "or": {"s": "LTCUSDT", "i": 7,
    "r": "No"}}),
    ("binance-usdm", "client", b"", BATCH_CALL),
    ("binance-usdm", "server", [result(), {"code": -2022, "msg": "ReduceOnly Order is rejected."}], BATCH_CALL),
    ("binance-usdm", "client", "symbol=LTCUSDT&side=BUY&type=MARKET&quantity=2.50", "POST /fapi/v1/order"),
    ("binance-coinm", "server", traded(s="LTCUSD_PERP", ma="LTC", N="LTC")),
]  # fmt: skip


# --- events ---


def test_a_new_order() -> None:
    assert said(order(Talk("binance-usdm").server(update()))) == {
        "exchange_time": NS, "symbol": "LTCUSDT", "kind": "update", "client_order_id": "grid-11", "order_id": "55123456789",
        "side": "sell", "order_type": "limit", "time_in_force": "post_only", "status": "NEW", "status_raw": "NEW",
        "price": "84.20", "stop_price": "0", "quantity": "7.5", "quantity_unit": "base", "filled_quantity": "0",
        "average_price": "0",
    }  # fmt: skip


def test_a_fill_is_told_twice_and_the_fee_once() -> None:
    talk = Talk("binance-usdm")
    first, second = told(talk.server(lite())), told(talk.server(traded()))
    common = {
        "exchange_time": NS, "symbol": "LTCUSDT", "trade_id": "918273", "order_id": "55123456789", "client_order_id": "grid-11",
        "side": "sell", "price": "84.21", "quantity": "2.5", "quantity_unit": "base", "liquidity": "maker",
    }  # fmt: skip
    assert (first.orders, said(fill(first))) == ([], common)
    assert said(fill(second)) == common | {"fee": "0.04210500", "fee_asset": "USDT"}
    assert [(row.status, str(row.average_price)) for row in second.orders] == [("PARTIALLY_FILLED", "84.21000")]


@pytest.mark.parametrize(
    ("execution", "raw", "status"),
    [
        ("CANCELED", "CANCELED", "CANCELED"), ("EXPIRED", "EXPIRED", "EXPIRED"), ("EXPIRED", "EXPIRED_IN_MATCH", "EXPIRED"),
        ("AMENDMENT", "NEW", "NEW"), ("NEW", "NEW_ADL", None),
    ],
)  # fmt: skip
def test_statuses(execution: str, raw: str, status: str | None) -> None:
    row = order(Talk("binance-usdm").server(update(x=execution, X=raw, er="2")))
    assert (row.status, row.status_raw, row.client_order_id, row.reason) == (status, raw, "grid-11", "2")


def test_a_liquidation_is_a_fill_and_an_unknown_execution_a_problem() -> None:
    talk = Talk("binance-usdm")
    assert fill(talk.server(traded(x="CALCULATED", X="FILLED", sp=None, AP=None))).trade_id == "918273"
    odd = talk.server(traded(x="SETTLED"))
    assert odd is not None
    assert ([row.status for row in odd.orders], odd.fills) == (["PARTIALLY_FILLED"], [])
    assert odd.problem == "field x: an unknown word, so a fill may be missing"
    none = talk.server(traded(t=0))
    assert none is not None
    assert (none.fills, none.problem) == ([], "a trade without a trade id or a quantity")


def test_conditional_orders() -> None:
    talk = Talk("binance-usdm")
    assert said(order(talk.server(algo()))) == {
        "exchange_time": NS, "symbol": "LTCUSDT", "kind": "update", "client_order_id": "stop-9", "order_id": "7000123",
        "side": "buy", "order_type": "stop", "time_in_force": "gtc", "status": "PENDING_TRIGGER", "status_raw": "NEW",
        "price": "0", "stop_price": "91.5", "quantity": "3.0", "quantity_unit": "base", "filled_quantity": "0.00000",
        "average_price": "0.00000",
    }  # fmt: skip
    life = [
        {"X": "TRIGGERING"},
        {"X": "TRIGGERED"},
        {"X": "FINISHED", "aq": "3"},
        {"X": "FINISHED", "aq": "1"},
        {"X": "REJECTED"},
    ]
    found = [order(talk.server(algo(**part))).status for part in life]
    assert found == ["PENDING_NEW", "NEW", "FILLED", "CANCELED", "REJECTED"]
    assert order(talk.server(algo(X="FINISHED", q="0"))).status is None  # closes a position: how much, it does not say
    row = order(talk.server({"e": "CONDITIONAL_ORDER_TRIGGER_REJECT", "E": T0, "T": T0, "or": {"s": "A", "i": 7, "r": "FOK"}}))
    assert (row.status, row.order_id, row.reason) == ("REJECTED", "7", "FOK")


def test_portfolio_margin() -> None:
    talk = Talk("binance-usdm", path=f"/pm/ws/{LISTEN_KEY}")
    row = order(talk.server(update(s="BTCUSD_260925", q="4") | {"fs": "CM"}))
    assert (row.quantity_unit, row.account) == ("contract", f"name of {LISTEN_KEY}")
    so = {
        "s": "BTCUSDT", "c": "T", "si": 17, "S": "SELL", "st": "TRAILING_STOP_MARKET", "f": "GTC", "q": "0.1", "p": "0",
        "sp": "7",
        "os": "NEW", "T": T0,
    }  # fmt: skip
    row = order(talk.server({"e": "CONDITIONAL_ORDER_TRADE_UPDATE", "T": T0, "E": T0, "fs": "UM", "so": so}))
    assert (row.order_id, row.client_order_id, row.order_type, row.status) == ("17", "T", "trailing_stop", "PENDING_TRIGGER")
    margin = {
        "e": "executionReport", "E": T0, "s": "BTCUSDT", "c": "m1", "S": "BUY", "o": "LIMIT", "f": "GTC", "q": "1", "p": "2",
        "C": "", "x": "NEW", "X": "NEW", "i": 3, "l": "0", "z": "0", "L": "0", "T": T0, "t": -1, "m": False,
    }  # fmt: skip
    assert order(talk.server(margin)).venue == "binance-spot"


# --- requests and answers ---


def test_a_placement_and_its_answer() -> None:
    talk = Talk("binance-usdm")
    request = order(talk.client(ask("order.place", **PLACE)))
    assert said(request) == {
        "account": "name of KEY-a", "symbol": "LTCUSDT", "kind": "request", "action": "place", "request_id": "u-1",
        "client_order_id": "grid-11", "side": "sell", "order_type": "limit", "time_in_force": "post_only", "price": "84.20",
        "quantity": "7.5", "quantity_unit": "base",
    }  # fmt: skip
    row = order(talk.server(answer(result())))
    assert (row.kind, row.action, row.order_id, row.status, row.account) == (
        "response", "place", "55123456789", "NEW", "name of KEY-a",
    )  # fmt: skip


def test_an_answer_alone_does_not_say_whether_it_is_to_a_placement_or_an_amendment() -> None:
    talk = Talk("binance-usdm")
    row = order(talk.server(answer(result())))
    assert (row.kind, row.action, row.order_id, row.status) == ("response", None, "55123456789", "NEW")
    row = order(talk.server(answer(result(status="CANCELED"), "u-2")))
    assert (row.action, row.status) == ("cancel", "CANCELED")


def test_refusals_are_joined_to_their_requests() -> None:
    talk = Talk("binance-usdm")
    talk.client(ask("order.place", 1, **PLACE))
    talk.client(ask("order.modify", 2, symbol="LTCUSDT", side="SELL", origClientOrderId="grid-11", price="84", quantity="6"))
    talk.client(ask("order.place", 3, **PLACE))
    row = order(talk.server(refusal(-2019, 1)))
    assert (row.client_order_id, row.status, row.status_raw, row.reason) == (
        "grid-11", "REJECTED", "-2019", "Margin is insufficient.",
    )  # fmt: skip
    row = order(talk.server(refusal(-2011, 2)))
    assert (row.action, row.client_order_id, row.status, row.price, row.quantity) == ("amend", "grid-11", None, None, None)
    assert order(talk.server(refusal(-1007, 3, 408))).status is None  # "execution status unknown"
    assert "not seen" in problem(talk.server(refusal(-2019, 9)))
    assert order(talk.server(refusal(-2011, 9))).action == "cancel"
    assert order(talk.server({"id": 10, "status": 400, "error": {"code": -2011, "msg": ""}})).reason == "-2011"


@pytest.mark.parametrize("code", ["--5", "²", "-", "-1_007", "9" * 5000])
def test_a_code_that_is_no_number_is_one_that_is_not_known(code: str) -> None:
    answer = {"id": "1", "status": 400, "error": {"code": code, "msg": "x"}}
    assert "a refusal (0) of a request that was not seen" in problem(Talk("binance-usdm").server(answer))


def test_algo_orders() -> None:
    talk = Talk("binance-usdm")
    row = order(talk.client(ask("algoOrder.place", **ALGO)))
    assert (row.client_order_id, row.order_type, str(row.price), str(row.stop_price)) == ("stop-9", "stop_limit", "92", "91.5")
    row = order(talk.server(answer(ALGO_RESULT)))
    assert (row.order_id, row.status, row.status_raw, row.quantity_unit) == ("7000123", "PENDING_TRIGGER", "NEW", "base")
    talk.client(ask("algoOrder.cancel", algoId=7000123, clientAlgoId="stop-9"))
    row = order(talk.server(answer({"algoId": 7000123, "clientAlgoId": "stop-9", "code": "200", "msg": "success"})))
    assert (row.action, row.order_id, row.client_order_id, row.status) == ("cancel", "7000123", "stop-9", None)


# --- REST ---


def test_a_call_and_its_answer() -> None:
    talk = Talk("binance-usdm")
    row = order(talk.call(PLACE_CALL, x_mbx_apikey="KEY-b"))
    assert (row.account, row.client_order_id, row.side, str(row.quantity)) == ("name of KEY-b", "grid-11", "sell", "7.5")
    row = order(talk.reply(PLACE_CALL, result()))
    assert (row.action, row.status, row.account) == ("place", "NEW", "name of KEY-b")
    talk.call(PLACE_CALL)
    assert order(talk.reply(PLACE_CALL, {"code": -2019, "msg": "no"}, 400)).status == "REJECTED"
    talk.call(PLACE_CALL)
    assert order(talk.reply(PLACE_CALL, {"code": -1000, "msg": "unknown"}, 503)).status is None


def test_a_batch_that_fails_in_part() -> None:
    talk = Talk("binance-usdm")
    asked = told(talk.call(BATCH_CALL))
    assert [(row.client_order_id, row.item, row.order_type) for row in asked.orders] == [
        ("grid-11", 0, "limit"),
        ("b2", 1, "market"),
    ]
    answered = told(talk.reply(BATCH_CALL, [result(), {"code": -2022, "msg": "ReduceOnly Order is rejected."}]))
    assert [(row.client_order_id, row.status, row.symbol) for row in answered.orders] == [
        ("grid-11", "NEW", "LTCUSDT"), ("b2", "REJECTED", "ETCUSDT"),
    ]  # fmt: skip
    call = 'DELETE /fapi/v1/batchOrders?symbol=A&orderIdList=[5,6]&origClientOrderIdList=["x"]'
    assert [(row.order_id, row.client_order_id) for row in told(talk.call(call)).orders] == [
        ("5", None),
        ("6", None),
        (None, "x"),
    ]
    lower = 'DELETE /fapi/v1/batchOrders?symbol=A&orderidlist=[5,6]&origclientorderidlist=["x"]'
    assert [said(row) for row in told(talk.call(lower)).orders] == [said(row) for row in told(talk.call(call)).orders]
    call = "PUT /fapi/v1/batchOrders?batchOrders=" + quote(
        '[{"orderId":5,"symbol":"A","side":"BUY","quantity":"1","price":"2"}]'
    )
    row = order(talk.call(call))
    assert (row.action, row.order_id, str(row.quantity), str(row.price)) == ("amend", "5", "1", "2")


def test_cancel_all_names_no_order() -> None:
    talk = Talk("binance-usdm")
    call = "DELETE /fapi/v1/allOpenOrders?symbol=LTCUSDT&timestamp=1"
    assert said(order(talk.call(call))) == {"symbol": "LTCUSDT", "kind": "request", "action": "cancel"}
    row = order(talk.reply(call, {"code": 200, "msg": "The operation of cancel all open order is done."}))
    assert said(row) == {"symbol": "LTCUSDT", "kind": "response", "action": "cancel"}


def test_queries_of_orders_and_trades() -> None:
    talk = Talk("binance-usdm")
    assert talk.call("GET /fapi/v1/openOrders") is None
    row = order(talk.reply("GET /fapi/v1/openOrders", [result(time=T0)]))
    assert (row.action, row.status) == (None, "NEW")
    talk.call("GET /fapi/v1/userTrades?symbol=LTCUSDT")
    trade = {
        "buyer": False, "commission": "0.0421", "commissionAsset": "USDT", "id": 918273, "maker": True, "orderId": 5,
        "price": "84.21", "qty": "2.5", "quoteQty": "210", "realizedPnl": "0", "side": "SELL", "symbol": "LTCUSDT", "time": T0,
    }  # fmt: skip
    row = fill(talk.reply("GET /fapi/v1/userTrades?symbol=LTCUSDT", [trade]))
    assert said(row) == {
        "exchange_time": NS, "symbol": "LTCUSDT", "trade_id": "918273", "order_id": "5", "side": "sell", "price": "84.21",
        "quantity": "2.5", "quantity_unit": "base", "fee": "0.0421", "fee_asset": "USDT", "liquidity": "maker",
    }  # fmt: skip


def test_conditional_orders_of_portfolio_margin_over_rest() -> None:
    talk = Talk("binance-usdm")
    params = "symbol=A&side=BUY&strategyType=STOP&quantity=1&price=2&stopPrice=3&newClientStrategyId=z"
    call = f"POST /papi/v1/um/conditional/order?{params}"
    row = order(talk.call(call))
    assert (row.client_order_id, row.order_type, str(row.stop_price)) == ("z", "stop_limit", "3")
    shown = {
        "newClientStrategyId": "z", "strategyId": 12, "strategyStatus": "NEW", "strategyType": "STOP", "origQty": "1",
        "price": "2", "side": "BUY", "stopPrice": "3", "symbol": "A", "timeInForce": "GTC", "updateTime": T0,
    }  # fmt: skip
    row = order(talk.reply(call, shown))
    assert (row.order_id, row.client_order_id, row.status) == ("12", "z", "PENDING_TRIGGER")
    ended = shown | {"strategyStatus": "CANCELLED", "orderId": 0}
    row = order(talk.reply("GET /papi/v1/um/conditional/orderHistory?strategyId=12", ended))
    assert (row.order_id, row.status, row.status_raw) == ("12", "CANCELED", "CANCELLED")


def test_algo_orders_of_portfolio_margin_over_rest() -> None:
    talk = Talk("binance-usdm")
    call = "POST /papi/v1/um/algo/order?algoType=CONDITIONAL&symbol=LTCUSDT&side=BUY&type=STOP&quantity=3&triggerPrice=91.5"
    row = order(talk.call(call))
    assert (row.action, row.order_type, str(row.stop_price)) == ("place", "stop_limit", "91.5")
    row = order(talk.reply(call, ALGO_RESULT))
    assert (row.action, row.order_id, row.client_order_id, row.status) == ("place", "7000123", "stop-9", "PENDING_TRIGGER")
    for call, order_id in (
        ("DELETE /papi/v1/um/algo/order?algoId=7000123", "7000123"),
        ("DELETE /papi/v1/um/algo/allOpenOrders?symbol=LTCUSDT", None),
    ):
        assert order(talk.call(call)).order_id == order_id
        row = order(talk.reply(call, {"complete": True}))
        assert (row.kind, row.action, row.order_id, row.status) == ("response", "cancel", order_id, None)
    row = order(talk.reply("GET /papi/v1/um/algo/openAlgoOrders", [ALGO_RESULT]))
    assert (row.action, row.status) == (None, "PENDING_TRIGGER")


# --- what is no order, and what is broken ---


def test_what_is_no_order() -> None:
    talk = Talk("binance-usdm")
    for event in (
        {"e": "ACCOUNT_UPDATE", "T": T0, "E": T0, "a": {"B": [], "P": [], "m": "ORDER"}},
        {"e": "ACCOUNT_CONFIG_UPDATE", "T": T0, "E": T0, "ac": {"s": "A", "l": 5}},
        {"e": "forceOrder", "E": T0, "o": {"s": "A", "S": "SELL", "o": "LIMIT", "q": "1", "p": "2", "X": "FILLED", "l": "1"}},
        {"stream": "ltcusdt@aggTrade", "data": {"e": "aggTrade", "s": "LTCUSDT", "p": "1", "q": "2", "m": True}},
        {"stream": "!bookTicker", "data": [{"e": "bookTicker"}]},
        {"e": "STRATEGY_UPDATE", "T": T0, "E": T0, "su": {"si": 1, "s": "A"}},
        {"result": None, "id": 1},
    ):
        assert talk.server(event) is None
    assert talk.client({"method": "SUBSCRIBE", "params": ["ltcusdt@depth"], "id": 1}) is None
    assert talk.client(ask("v2/account.balance")) is None
    assert talk.call("POST /fapi/v1/order/test?symbol=A") is None
    assert talk.call("GET /fapi/v1/depth?symbol=A") is None


@pytest.mark.parametrize(
    "changes",
    [
        {"q": None}, {"p": True}, {"z": "NaN"}, {"q": "1" * 21}, {"p": "0.1234567890123456789"}, {"S": "LONG"}, {"i": "x"},
        {"X": 5}, {"s": ""}, {"c": None}, {"ap": []},
    ],
)  # fmt: skip
def test_wrong_fields_are_problems(changes: JSON) -> None:
    assert problem(Talk("binance-usdm").server(update(**changes)))


def test_broken_messages_are_problems() -> None:
    talk = Talk("binance-usdm")
    text = json.dumps(update())
    assert problem(talk.server(text[:-9]))
    assert "twice" in problem(talk.server(text.replace('"q":', '"q": "9", "q":')))
    assert problem(talk.server(update() | {"T": 10**17})) == "field T: a time out of range"
    assert problem(talk.client(ask("order.place", **(PLACE | {"quantity": "lots"}))))
    assert problem(talk.client(ask("order.brandNew", symbol="A")))
    assert problem(talk.call("POST /fapi/v1/batchOrders?batchOrders=[{]"))
    assert problem(talk.call("POST /papi/v1/margin/order?symbol=A"))
    assert problem(talk.reply(PLACE_CALL, b"<html>502</html>", 502))


# --- venue, account, secrets, speed ---


def test_recognised() -> None:
    for host, path in (
        ("ws-fapi.binance.com", "/ws-fapi/v1"), ("fstream.binance.com", f"/private/ws/{LISTEN_KEY}"), (None, "/ws-fapi/v1"),
        ("papi.binance.com", "/papi/v1/um/order"), ("testnet.binancefuture.com", "/fapi/v1/order"),
    ):  # fmt: skip
        assert venue_of(host, path, 443) is VENUE
    for host, path in (("dstream.binance.com", "/ws/x"), ("testnet.binancefuture.com", "/dapi/v1/order")):
        assert venue_of(host, path, 443) is VENUE_COIN_M
    for payload in (update(), lite(), algo()):
        assert guess_venue("server", json.dumps(payload).encode()) is VENUE
    assert guess_venue("client", json.dumps(ask("order.place", **PLACE)).encode()) is VENUE
    assert guess_venue("server", b'{"e":"ACCOUNT_UPDATE","a":{"m":"ORDER"}}') is None


def test_coin_margined_quantities_are_contracts() -> None:
    row = fill(Talk("binance-coinm").server(traded(s="LTCUSD_PERP", q="20", l="20")))
    assert (row.venue, row.quantity_unit, str(row.quantity)) == ("binance-coinm", "contract", "20")


def test_whose_orders() -> None:
    talk = Talk("binance-usdm", account="desk 4")
    assert order(talk.server(update())).account == "desk 4"
    for path in (
        f"/private/ws/{LISTEN_KEY}",
        f"/ws/{LISTEN_KEY}",
        f"/private/ws?listenKey={LISTEN_KEY}&events=ORDER_TRADE_UPDATE",
    ):
        assert order(Talk("binance-usdm", path=path).server(update())).account == f"name of {LISTEN_KEY}"
    assert (
        order(talk.server({"stream": f"{LISTEN_KEY}@ORDER_TRADE_UPDATE", "data": update()})).account == f"name of {LISTEN_KEY}"
    )
    talk.call("POST /fapi/v1/listenKey", x_mbx_apikey="KEY-b")
    granted = talk.reply("POST /fapi/v1/listenKey", {"listenKey": LISTEN_KEY})
    assert granted is not None
    assert granted.kind == LOGIN
    assert order(talk.server({"stream": LISTEN_KEY, "data": update()})).account == "name of KEY-b"


def test_secrets() -> None:
    for sender, message in (
        ("client", ask("order.place", **PLACE) | {"params": {"apiKey": MARK, "signature": MARK}}),
        ("client", {"method": "SUBSCRIBE", "params": ["ltcusdt@depth", MARK, f"{MARK}@ORDER_TRADE_UPDATE"], "id": 1}),
        ("server", {"stream": MARK, "data": update()}), ("server", {"stream": f"{MARK}@ORDER_TRADE_UPDATE", "data": update()}),
        ("server", {"e": "listenKeyExpired", "E": T0, "listenKey": MARK}), ("server", answer({"listenKey": MARK})),
    ):  # fmt: skip
        clean = VENUE.redact(sender, json.dumps(message))  # type: ignore[arg-type]
        assert MARK not in clean
        assert REDACTED in clean
    for path in (
        f"/ws/{MARK}", f"/private/ws/{MARK}", f"/pm/ws/{MARK}", f"/private/ws?listenKey={MARK}&events=X",
        f"/stream?streams={MARK}",
        f"/fapi/v1/order?symbol=A&signature={MARK}",
    ):  # fmt: skip
        assert MARK not in VENUE.redact_path(path)
    assert VENUE.redact_path("/market/ws/ltcusdt@aggTrade") == "/market/ws/ltcusdt@aggTrade"
    untouched = json.dumps({"stream": "ltcusdt@depth", "data": update()})
    assert VENUE.redact("server", untouched) == untouched


@pytest.mark.parametrize("payload", [ask("session.logon"), ask("session.status")])
def test_logins_are_not_stored(payload: JSON) -> None:
    decoded = Talk("binance-usdm").client(payload)
    assert decoded is not None
    assert decoded.kind == LOGIN


def test_market_data_leaves_soon() -> None:
    depth = {
        "e": "depthUpdate",
        "E": T0,
        "T": T0,
        "s": "BTCUSDT_260925",
        "U": 1,
        "u": 2,
        "pu": 0,
        "b": [["84.20", "7.5"]] * 25,
        "a": [],
    }
    payload = json.dumps(depth, separators=(",", ":")).encode()
    leaves_soon(marked, payload)

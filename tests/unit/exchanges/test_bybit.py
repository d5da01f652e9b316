from __future__ import annotations

import json
from typing import Any

import pytest

from sniffer.config import REDACTED
from sniffer.exchanges import guess_venue, venue_of
from sniffer.exchanges.base import LOGIN, ConnectionFacts
from sniffer.exchanges.bybit import VENUE, marked
from sniffer.model import OPCODE_BINARY, Message
from tests.unit.exchanges.conversation import leaves_soon
from tests.unit.exchanges.meaning import fill, order, problem, said, told
from tests.unit.exchanges.talk import Talk

JSON = dict[str, Any]
T0 = 1_766_000_000_456
NS = T0 * 1_000_000
ORDER_ID = "3d1c7a60-9b4e-4f0e-8a55-0c2f1e9d7b21"
MARK = "pLaNtEd0123456789pLaNtEd"


def state(**changes: Any) -> JSON:
    return {
        "category": "linear", "symbol": "SUIUSDT", "orderId": ORDER_ID, "orderLinkId": "mm-31", "side": "Sell",
        "orderType": "Limit", "price": "3.4150", "qty": "120", "timeInForce": "PostOnly", "orderStatus": "New",
        "cancelType": "UNKNOWN", "rejectReason": "EC_NoError", "avgPrice": "", "leavesQty": "120", "cumExecQty": "0",
        "cumExecFee": "0", "stopOrderType": "", "triggerPrice": "", "triggerDirection": 0, "reduceOnly": False,
        "createdTime": str(T0 - 5), "updatedTime": str(T0), "positionIdx": 0,
    } | changes  # fmt: skip


def execution(**changes: Any) -> JSON:
    return {
        "category": "linear", "symbol": "SUIUSDT", "orderId": ORDER_ID, "orderLinkId": "mm-31", "side": "Sell",
        "orderPrice": "3.4150", "orderQty": "120", "leavesQty": "80", "execFee": "-0.013664", "execId": "e7a1-0001",
        "execPrice": "3.4160", "execQty": "40", "execType": "Trade", "execValue": "136.64", "execTime": str(T0),
        "isMaker": True,
        "feeRate": "-0.0001", "feeCurrency": "USDT", "seq": 7,
    } | changes  # fmt: skip


FAST: JSON = {
    "category": "linear", "symbol": "SUIUSDT", "execId": "e7a1-0001", "execPrice": "3.4160", "execQty": "40",
    "orderId": ORDER_ID,
    "isMaker": True, "orderLinkId": "", "side": "Sell", "execTime": str(T0), "seq": 7,
}  # fmt: skip
NEW: JSON = {
    "category": "linear", "symbol": "SUIUSDT", "side": "Sell", "orderType": "Limit", "qty": "120", "price": "3.4150",
    "timeInForce": "PostOnly", "orderLinkId": "mm-31",
}  # fmt: skip
LEGS = [
    {"symbol": "SUIUSDT", "side": "Buy", "orderType": "Market", "qty": "5", "orderLinkId": "b-1"},
    {"symbol": "APTUSDT", "side": "Sell", "orderType": "Limit", "qty": "6", "price": "9.5", "orderLinkId": "b-2"},
]


def topic(name: str, *items: JSON) -> JSON:
    return {"id": "a-1", "topic": name, "creationTime": T0 + 3, "data": list(items)}


def ask(op: str, args: JSON, request_id: Any = "q-1") -> JSON:
    return {"reqId": request_id, "header": {"X-BAPI-TIMESTAMP": str(T0)}, "op": op, "args": [args]}


def ack(op: str, data: JSON, request_id: Any = "q-1", code: int = 0, text: str = "OK", info: Any = None) -> JSON:
    return {
        "reqId": request_id, "retCode": code, "retMsg": text, "op": op, "data": data, "retExtInfo": info or {},
        "header": {"Timenow": str(T0), "Traceid": "t"}, "connId": "c",
    }  # fmt: skip


IDS: JSON = {"orderId": ORDER_ID, "orderLinkId": "mm-31"}
BATCH_ACK: JSON = {
    "list": [
        {"category": "linear", "symbol": "SUIUSDT", "orderId": "n-1", "orderLinkId": "b-1", "createAt": str(T0)},
        {"category": "linear", "symbol": "APTUSDT", "orderId": "", "orderLinkId": "b-2", "createAt": ""},
    ]
}
BATCH_CODES: JSON = {"list": [{"code": 0, "msg": "OK"}, {"code": 110007, "msg": "ab not enough for new order"}]}
CREATE = "POST /v5/order/create"

FIXTURES: list[Any] = [
    ("bybit", "client", ask("order.create", NEW)),
    ("bybit", "server", ack("order.create", IDS)),
    ("bybit", "client", ask("order.create", NEW | {"triggerPrice": "3.5"}, "q-2")),
    ("bybit", "server", ack("order.create", {}, "q-2", 110007, "ab not enough")),
    ("bybit", "client", ask("order.amend", {"category": "linear", "symbol": "SUIUSDT", "orderId": ORDER_ID, "qty": "90.5"},
    "q-3")),
    ("bybit", "client", ask("order.create-batch", {"category": "linear", "request": LEGS}, "q-4")),
    ("bybit", "server", ack("order.create-batch", BATCH_ACK, "q-4", info=BATCH_CODES)),
    ("bybit", "server", topic("order", state(), state(orderId="other", orderStatus="Untriggered", triggerPrice="3.50"))),
    ("bybit", "server", topic("execution", execution())),
    ("bybit", "server", topic("execution.fast.linear", FAST)),
    ("bybit", "client", NEW, CREATE),
    ("bybit", "server", {"retCode": 0, "retMsg": "OK", "result": IDS, "retExtInfo": {}, "time": T0}, CREATE),
    ("bybit", "server", {"topic": "orderbook.1.SUIUSDT", "ts": T0, "data": {"s": "SUIUSDT", "b": [["3.4", "5"]], "a": []}}),
]  # fmt: skip


# --- topics ---


def test_a_resting_order() -> None:
    assert said(order(Talk("bybit").server(topic("order", state())))) == {
        "exchange_time": NS, "symbol": "SUIUSDT", "kind": "update", "client_order_id": "mm-31", "order_id": ORDER_ID,
        "side": "sell", "order_type": "limit", "time_in_force": "post_only", "status": "NEW", "status_raw": "New",
        "price": "3.4150", "quantity": "120", "quantity_unit": "base", "filled_quantity": "0",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        ("Created", "PENDING_NEW"), ("PartiallyFilled", "PARTIALLY_FILLED"), ("PartiallyFilledCanceled", "CANCELED"),
        ("Filled", "FILLED"), ("Cancelled", "CANCELED"), ("Rejected", "REJECTED"), ("Untriggered", "PENDING_TRIGGER"),
        ("Triggered", "PENDING_NEW"), ("Deactivated", "CANCELED"), ("Active", None),
    ],
)  # fmt: skip
def test_statuses(raw: str, status: str | None) -> None:
    row = order(Talk("bybit").server(topic("order.linear", state(orderStatus=raw))))
    assert (row.status, row.status_raw) == (status, raw)


def test_reasons_and_times() -> None:
    talk = Talk("bybit")
    row = order(talk.server(topic("order", state(orderStatus="Cancelled", cancelType="CancelByUser"))))
    assert row.reason == "CancelByUser"
    row = order(talk.server(topic("order", state(orderStatus="Cancelled", rejectReason="EC_PostOnlyWillTakeLiquidity"))))
    assert row.reason == "EC_PostOnlyWillTakeLiquidity"
    assert order(talk.server(topic("order", state(updatedTime="")))).exchange_time == NS - 5_000_000
    assert order(talk.server(topic("order", state(updatedTime="", createdTime="0")))).exchange_time == NS + 3_000_000


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"stopOrderType": "Stop", "triggerPrice": "3.5"}, "stop_limit"),
        ({"stopOrderType": "Stop", "triggerPrice": "3.5", "orderType": "Market"}, "stop"),
        ({"stopOrderType": "TakeProfit", "orderType": "Market"}, "take_profit"),
        ({"stopOrderType": "PartialStopLoss"}, "stop_limit"),
        ({"stopOrderType": "TrailingStop", "orderType": "Market"}, "trailing_stop"),
        ({"stopOrderType": "UNKNOWN", "triggerPrice": "0.00"}, "limit"),
        ({"stopOrderType": "MmRateClose", "orderType": "Market"}, "market"),
    ],
)
def test_order_types(changes: JSON, kind: str) -> None:
    assert order(Talk("bybit").server(topic("order", state(**changes)))).order_type == kind


@pytest.mark.parametrize(
    ("changes", "unit"),
    [
        ({"category": "inverse", "symbol": "SUIUSD"}, "quote"), ({"category": "option"}, "base"), ({"category": "spot"},
        "base"),
        ({"category": "spot", "orderType": "Market", "side": "Buy"}, "quote"), ({"category": "combination"}, None),
        ({"category": "spot", "orderType": "Market", "side": "Buy", "marketUnit": "baseCoin"}, "base"),
        ({"category": "spot", "orderType": "Market", "marketUnit": "quoteCoin"}, "quote"),
    ],
)  # fmt: skip
def test_units(changes: JSON, unit: str | None) -> None:
    assert order(Talk("bybit").server(topic("order", state(**changes)))).quantity_unit == unit


def test_a_fill_is_told_twice_and_the_fee_once() -> None:
    talk = Talk("bybit")
    common = {
        "exchange_time": NS, "symbol": "SUIUSDT", "trade_id": "e7a1-0001", "order_id": ORDER_ID, "side": "sell",
        "price": "3.4160", "quantity": "40", "quantity_unit": "base", "liquidity": "maker",
    }  # fmt: skip
    assert said(fill(talk.server(topic("execution.fast", FAST)))) == common
    assert said(fill(talk.server(topic("execution", execution())))) == common | {
        "client_order_id": "mm-31", "fee": "-0.013664", "fee_asset": "USDT",
    }  # fmt: skip


def test_the_currency_of_a_fee_has_two_names() -> None:
    shown = execution()
    shown.pop("feeCurrency", None)
    assert fill(Talk("bybit").server(topic("execution", shown | {"feeCoin": "USDT"}))).fee_asset == "USDT"
    both = shown | {"feeCurrency": "SUI", "feeCoin": ""}
    assert fill(Talk("bybit").server(topic("execution", both))).fee_asset == "SUI"


def test_not_every_execution_is_a_trade() -> None:
    talk = Talk("bybit")
    decoded = talk.server(topic("execution", execution(execType="Funding", side="Buy"), execution(execType="Settle")))
    assert decoded is not None
    assert (decoded.kind, decoded.fills, decoded.problem) == ("other", [], None)
    mixed = told(talk.server(topic("execution", execution(execType="Funding"), execution(execType="AdlTrade"))))
    assert [row.trade_id for row in mixed.fills] == ["e7a1-0001"]
    odd = talk.server(topic("execution", execution(execType="NewKind"), execution()))
    assert odd is not None
    assert (len(odd.fills), odd.problem) == (1, "field execType: an unknown word, so a fill may be missing")


def test_spreads() -> None:
    talk = Talk("bybit")
    combination = execution(category="combination", symbol="SUIUSDT_SUI/USDT", execFee="", parentExecId="")
    assert fill(talk.server(topic("spread.execution", combination))).fee is None
    leg = talk.server(topic("spread.execution", execution(orderId="", parentExecId="e7a1-0001", execType="FutureSpread")))
    assert leg is not None
    assert (leg.kind, leg.fills) == ("other", [])
    assert order(talk.server(topic("spread.order", state(category="combination")))).status == "NEW"


# --- the trade websocket ---


def test_a_request_and_its_acknowledgement() -> None:
    talk = Talk("bybit")
    login = talk.client({"op": "auth", "args": ["KEY-a", T0, "SIGNED"]})
    assert login is not None
    assert login.kind == LOGIN
    assert said(order(talk.client(ask("order.create", NEW)))) == {
        "account": "name of KEY-a", "symbol": "SUIUSDT", "kind": "request", "action": "place", "request_id": "q-1",
        "client_order_id": "mm-31", "side": "sell", "order_type": "limit", "time_in_force": "post_only", "price": "3.4150",
        "quantity": "120", "quantity_unit": "base",
    }  # fmt: skip
    row = order(talk.server(ack("order.create", {"orderId": ORDER_ID, "orderLinkId": ""})))
    assert (row.kind, row.action, row.order_id, row.client_order_id, row.status, row.exchange_time) == (
        "response", "place", ORDER_ID, "mm-31", None, NS,
    )  # fmt: skip


def test_refusals_are_joined_to_their_requests() -> None:
    talk = Talk("bybit")
    talk.client(ask("order.create", NEW, "a"))
    talk.client(ask("order.amend", {"category": "linear", "symbol": "SUIUSDT", "orderLinkId": "mm-31", "price": "4"}, "b"))
    talk.client(ask("order.cancel", {"category": "linear", "symbol": "SUIUSDT", "orderId": ORDER_ID}, "c"))
    talk.client(ask("order.create", NEW, "d"))
    row = order(talk.server(ack("order.create", {}, "a", 110007, "ab not enough")))
    assert (row.client_order_id, row.status, row.status_raw, row.reason) == ("mm-31", "REJECTED", "110007", "ab not enough")
    row = order(talk.server(ack("order.amend", {}, "b", 110001, "order not exists")))
    assert (row.action, row.client_order_id, row.status, row.price) == ("amend", "mm-31", None, None)
    row = order(talk.server(ack("order.cancel", {}, "c", 110001, "order not exists")))
    assert (row.action, row.order_id, row.status, row.status_raw) == ("cancel", ORDER_ID, None, "110001")
    assert order(talk.server(ack("order.create", {}, "d", 10016, "server error"))).status is None
    assert order(talk.server(ack("order.cancel", {}, "f", 110001, ""))).reason == "110001"
    for code in (170001, 170032, 170035, 170146, 3400214):
        talk.client(ask("order.create", NEW, "e"))
        row = order(talk.server(ack("order.create", {}, "e", code, "Order creation timeout")))
        assert (row.client_order_id, row.status, row.status_raw) == ("mm-31", None, str(code))
    row = order(talk.server(ack("order.create", {}, "unseen", 110003, "price is invalid")))
    assert (row.action, row.status, row.client_order_id, row.request_id) == ("place", "REJECTED", None, "unseen")


def test_a_batch_that_fails_in_part() -> None:
    for seen in (True, False):
        talk = Talk("bybit")
        if seen:
            asked = told(talk.client(ask("order.create-batch", {"category": "linear", "request": LEGS}))).orders
            assert [(row.client_order_id, row.item, row.order_type) for row in asked] == [
                ("b-1", 0, "market"),
                ("b-2", 1, "limit"),
            ]
        rows = told(talk.server(ack("order.create-batch", BATCH_ACK, info=BATCH_CODES))).orders
        assert [(row.client_order_id, row.order_id, row.status, row.reason) for row in rows] == [
            ("b-1", "n-1", None, None), ("b-2", None, "REJECTED", "ab not enough for new order"),
        ]  # fmt: skip
        assert [row.side for row in rows] == (["buy", "sell"] if seen else [None, None])
    assert "retExtInfo" in problem(Talk("bybit").server(ack("order.create-batch", BATCH_ACK, info={"list": [{"code": 0}]})))


# --- REST ---


def test_a_call_and_its_answers() -> None:
    talk = Talk("bybit")
    row = order(talk.call(CREATE, NEW, x_bapi_api_key="KEY-b"))
    assert (row.account, row.action, row.client_order_id) == ("name of KEY-b", "place", "mm-31")
    reply = {"retCode": 0, "retMsg": "OK", "result": IDS, "retExtInfo": {}, "time": T0}
    row = order(talk.reply(CREATE, reply))
    assert (row.account, row.order_id, row.symbol, row.exchange_time) == ("name of KEY-b", ORDER_ID, "SUIUSDT", NS)
    talk.call(CREATE, NEW)
    refused = {"retCode": 110007, "retMsg": "ab not enough", "result": {}, "retExtInfo": {}, "time": T0}
    assert order(talk.reply(CREATE, refused)).status == "REJECTED"
    assert order(talk.reply(CREATE, refused)).client_order_id is None  # whose call was not seen
    talk.call("POST /v5/order/create-batch", {"category": "linear", "request": LEGS})
    rows = told(
        talk.reply("POST /v5/order/create-batch", {"retCode": 0, "result": BATCH_ACK, "retExtInfo": BATCH_CODES})
    ).orders
    assert [(row.client_order_id, row.status) for row in rows] == [("b-1", None), ("b-2", "REJECTED")]


def test_codes_may_be_texts() -> None:
    codes = {"list": [{"code": "0", "msg": "OK"}, {"code": "110007", "msg": "ab not enough"}]}
    reply = {"retCode": "0", "retMsg": "OK", "result": BATCH_ACK, "retExtInfo": codes, "time": str(T0)}
    rows = told(Talk("bybit").reply("POST /v5/order/create-batch", reply)).orders
    assert [(row.client_order_id, row.status, row.status_raw) for row in rows] == [
        ("b-1", None, None), ("b-2", "REJECTED", "110007"),
    ]  # fmt: skip
    for odd in ("", "1_0", "x", True, None, "9" * 10):
        assert "retCode" in problem(Talk("bybit").reply(CREATE, reply | {"retCode": odd}))


def test_strategies_are_not_silent() -> None:
    talk = Talk("bybit")
    running = {"strategyId": "5", "strategyType": "iceberg", "symbol": "SUIUSDT", "size": "9", "side": "Buy", "status": 2}
    assert "strategy orders" in problem(talk.server(topic("strategy", running)))
    assert "strategy orders" in problem(talk.call("POST /v5/strategy/create", {"strategyType": "twap", "size": "9"}))
    assert talk.call("GET /v5/strategy/list") is None


def test_cancel_all() -> None:
    talk = Talk("bybit")
    call = "POST /v5/order/cancel-all"
    assert said(order(talk.call(call, {"category": "linear", "symbol": None, "settleCoin": "USDT"}))) == {
        "kind": "request", "action": "cancel",
    }  # fmt: skip
    rows = told(
        talk.reply(call, {"retCode": 0, "result": {"list": [IDS], "success": "1"}, "retExtInfo": {}, "time": T0})
    ).orders
    assert [(row.action, row.order_id, row.client_order_id, row.status) for row in rows] == [
        ("cancel", ORDER_ID, "mm-31", None)
    ]
    talk.call(call, {"category": "spot", "symbol": "SUIUSDT"})
    assert order(talk.reply(call, {"retCode": 0, "result": {"success": "1"}, "time": T0})).symbol == "SUIUSDT"


def test_queries() -> None:
    talk = Talk("bybit")
    assert talk.call("GET /v5/order/realtime?category=inverse") is None
    row = order(
        talk.reply("GET /v5/order/realtime", {"retCode": 0, "result": {"category": "inverse", "list": [state(category="")]}})
    )
    assert (row.kind, row.action, row.status, row.quantity_unit) == ("response", None, "NEW", "quote")
    found = talk.reply("GET /v5/execution/list", {"retCode": 0, "result": {"category": "linear", "list": [execution()]}})
    assert fill(found).trade_id == "e7a1-0001"
    assert talk.reply("GET /v5/order/history", {"retCode": 0, "result": {"list": []}}) is None
    assert talk.reply("GET /v5/market/time", {"retCode": 0, "result": {}}) is None


# --- what is no order, and what is broken ---


def test_what_is_no_order() -> None:
    talk = Talk("bybit")
    for message in (
        {"topic": "publicTrade.SUIUSDT", "ts": T0, "type": "snapshot", "data": [{"i": "1", "T": T0, "p": "3", "v": "1",
        "S": "Buy"}]},
        {"topic": "orderbook.50.SUIUSDT", "data": {"s": "SUIUSDT", "b": [], "a": []}},
        {"topic": "allLiquidation.SUIUSDT", "data": [{"T": T0, "s": "SUIUSDT", "S": "Sell", "v": "20", "p": "3"}]},
        {"topic": "wallet", "data": [{"accountType": "UNIFIED", "totalOrderIM": "0"}]},
        {"success": True, "ret_msg": "", "op": "subscribe", "conn_id": "c"},
        {"req_id": "t", "op": "pong", "args": [str(T0)], "conn_id": "c"}, {"retCode": 0, "retMsg": "OK", "op": "pong",
        "data": ["1"]},
    ):  # fmt: skip
        assert talk.server(message) is None
    assert talk.client({"op": "subscribe", "args": ["order", "execution.fast"]}) is None
    assert talk.client({"op": "ping", "req_id": "1"}) is None
    assert talk.call("POST /v5/order/pre-check", NEW) is None
    assert talk.call("POST /v5/position/trading-stop", {"takeProfit": "4"}) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"qty": None}, {"price": True}, {"cumExecQty": "NaN"}, {"qty": "1" * 21}, {"price": "0.1234567890123456789"},
        {"side": "None"}, {"orderId": 5}, {"orderStatus": None}, {"symbol": ""}, {"updatedTime": "9" * 17},
        {"triggerPrice": "x"},
    ],
)  # fmt: skip
def test_wrong_fields_are_problems(changes: JSON) -> None:
    talk = Talk("bybit")
    assert problem(talk.server(topic("order", state(**changes))))
    around = talk.server(topic("order", state(orderId="a"), state(**changes), state(orderId="b")))
    assert around is not None
    assert [row.order_id for row in around.orders] == ["a", "b"]


def test_broken_messages_are_problems() -> None:
    talk = Talk("bybit")
    text = json.dumps(topic("order", state()))
    assert problem(talk.server(text[:-9]))
    assert "twice" in problem(talk.server(text.replace('"qty":', '"qty": "9", "qty":')))
    assert problem(talk.server({"topic": "order", "data": 5}))
    assert problem(talk.client(ask("order.create", NEW | {"qty": "lots"})))
    assert problem(talk.client(ask("order.brandNew", NEW)))
    assert problem(talk.client({"op": "order.create", "reqId": "1", "args": []}))
    assert problem(talk.client(ask("order.create-batch", {"category": "linear", "request": []})))
    assert problem(talk.call("POST /v5/order/brand-new", NEW))
    assert problem(talk.reply(CREATE, b"<html>502</html>", 502))
    cut = talk.client('{"op":"auth","args":["KEY')
    assert cut is not None
    assert cut.kind == LOGIN


# --- venue, secrets, speed ---


def test_recognised() -> None:
    for host, path in (
        ("stream.bybit.com", "/v5/private"), ("stream.bybit.kz", None), ("api-testnet.bybit.com", "/v5/order/create"),
        ("127.0.0.1", "/v5/trade"), (None, "/v5/private?max_alive_time=1m"),
    ):  # fmt: skip
        assert venue_of(host, path, 443) is VENUE
    assert venue_of("stream.bybit.com.evil.example", "/", 443) is None
    for sender, message in (
        ("server", topic("order", state())), ("server", topic("execution", execution())), ("server", ack("order.create", IDS)),
        ("client", ask("order.cancel", {"orderId": ORDER_ID})),
    ):  # fmt: skip
        assert guess_venue(sender, json.dumps(message).encode()) is VENUE  # type: ignore[arg-type]


def test_secrets() -> None:
    for message in (
        {"op": "auth", "args": [MARK, T0, MARK]}, {"req_id": "1", "args": [MARK, 5.0, MARK, "order"], "op": "auth"},
        {"log": json.dumps({"op": "auth", "args": [MARK, T0, MARK]})}, {"result": {"apiKey": MARK}},
    ):  # fmt: skip
        for text in (json.dumps(message), json.dumps(message, indent=1), json.dumps(message)[:-12]):
            clean = VENUE.redact("client", text)
            assert MARK not in clean
            assert REDACTED in clean
    assert MARK not in VENUE.redact("client", f"X-BAPI-API-KEY: {MARK}\r\nX-BAPI-SIGN: {MARK}\r\nHost: a")
    assert MARK not in VENUE.redact_path(f"/v5/order/realtime?api_key={MARK}&sign={MARK}")
    for untouched in (
        json.dumps(ask("order.create", NEW)), json.dumps({"op": "subscribe", "args": ["order", "execution.fast",
        "orderbook.1.A"]}),
        json.dumps({"op": "pong", "args": [str(T0)]}), json.dumps(topic("order", state())),
    ):  # fmt: skip
        assert VENUE.redact("client", untouched) == untouched


def test_sbe_is_recognised() -> None:
    sent = Message(1, "server", 0, 0, 0, OPCODE_BINARY, b"\x10\x00\x20\x4e\x01\x00")
    private = VENUE.decoder(ConnectionFacts(path="/v5/private-sbe"))
    public = VENUE.decoder(ConnectionFacts(path="/v5/public-sbe/spot"))
    for decoder, kinds in ((private, ["other", "other"]), (public, ["other", None])):  # each private one may be an order
        assert [decoded and decoded.kind for decoded in (decoder.decode(sent), decoder.decode(sent))] == kinds


def test_market_data_leaves_soon() -> None:
    book = {
        "topic": "orderbook.50.SUIUSDT",
        "type": "delta",
        "ts": T0,
        "data": {"s": "SUIUSDT", "b": [["3.4150", "120"]] * 25, "a": []},
    }
    payload = json.dumps(book, separators=(",", ":")).encode()
    leaves_soon(marked, payload)

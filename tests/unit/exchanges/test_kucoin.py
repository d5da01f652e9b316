"""KuCoin: each message of its documentation, with values of our own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sniffer.exchanges import guess_venue, venue_of
from sniffer.exchanges.base import LOGIN, Bounded, ConnectionFacts
from sniffer.exchanges.kucoin import VENUE
from sniffer.exchanges.kucoin_requests import rest_call
from sniffer.model import OPCODE_TEXT, Sender
from tests.unit.exchanges.conversation import leaves_soon
from tests.unit.exchanges.talk import Talk, brief, known

JSON = dict[str, Any]
T0 = 1_751_000_000_123
NS = T0 * 1_000_000 + 456


def change(topic: str = "/spotMarket/tradeOrdersV2", **changes: Any) -> JSON:
    data: JSON = {
        "symbol": "SOL-USDT", "orderType": "limit", "side": "sell", "orderId": "68f01c22aa", "type": "open", "status": "open",
        "orderTime": T0, "size": "12.5", "originSize": "12.5", "filledSize": "0", "remainSize": "12.5", "canceledSize": "0",
        "price": "141.25", "clientOid": "grid7-1", "ts": NS,
    }  # fmt: skip
    shown = {key: value for key, value in (data | changes).items() if value is not None}
    return {
        "type": "message",
        "topic": topic,
        "subject": "orderChange",
        "channelType": "private",
        "userId": "u1",
        "data": shown,
    }


def match(**changes: Any) -> JSON:
    filled: JSON = {
        "type": "match", "liquidity": "maker", "filledSize": "4.5", "remainSize": "8", "matchPrice": "141.25",
        "matchSize": "4.5", "tradeId": "990017",
    }  # fmt: skip
    return change(**(filled | changes))


def stop(**changes: Any) -> JSON:
    data: JSON = {
        "orderId": "vs8hoo9z", "orderPrice": "150.5", "orderType": "stop", "side": "buy", "size": "2.5", "stop": "entry",
        "stopPrice": "150", "symbol": "SOL-USDT", "type": "open", "createdAt": T0, "ts": NS,
    }  # fmt: skip
    return {"type": "message", "topic": "/spotMarket/advancedOrders", "subject": "stopOrder", "data": data | changes}


def unified(**changes: Any) -> JSON:
    data: JSON = {
        "tT": "FUTURES",
        "oi": "41493868",
        "ci": "h-2",
        "os": 2,
        "eT": "OPEN",
        "s": "XBTUSDTM",
        "S": "BUY",
        "oT": "LIMIT",
        "p": "50000.5",
        "q": "3",
        "qU": "UNIT",
        "fS": "0",
        "aP": "0",
        "cR": "",
        "cS": "0",
        "rS": "3",
        "tP": "",
        "tIF": "GTC",
        "pO": True,
        "O": NS - 9,
        "U": NS,
    }
    return {"T": "orderAll.UNIFIED", "P": NS, "d": data | changes}


def execution(**changes: Any) -> JSON:
    data: JSON = {
        "E": NS, "S": "SELL", "f": "-0.0031", "p": "141.25", "q": "4.5", "s": "SOL-USDT", "fC": "USDT", "lR": "MAKER",
        "oT": "LIMIT", "oi": "68f01c22aa", "ti": "990017",
    }  # fmt: skip
    return {"P": NS, "T": "execution.SPOT", "d": data | changes}


def ask(op: str, args: Any, request_id: str = "r31") -> JSON:
    return {"id": request_id, "op": op, "args": args}


def answer(op: str, data: Any, request_id: str = "r31", **changes: Any) -> JSON:
    return {"id": request_id, "op": op, "code": "200000", "data": data, "inTime": T0, "outTime": T0 + 5} | changes


SELL: JSON = {
    "clientOid": "grid7-1", "symbol": "SOL-USDT", "side": "sell", "type": "limit", "price": "141.25", "size": "12.5",
    "timeInForce": "GTC", "postOnly": True,
}  # fmt: skip
LONG: JSON = {"clientOid": "h-2", "symbol": "XBTUSDTM", "side": "buy", "type": "market", "size": 3, "leverage": "5"}
HF = "POST /api/v1/hf/orders"

FIXTURES: list[tuple[str, Sender, Any] | tuple[str, Sender, Any, str]] = [
    ("kucoin", "client", ask("spot.order", SELL)),
    ("kucoin", "server", answer("spot.order", {"orderId": "68f01c22aa", "clientOid": "grid7-1"})),
    ("kucoin", "server", change(type="received", status="new", size=None, price="141.25")),
    ("kucoin", "server", change()),
    ("kucoin", "server", match()),
    ("kucoin", "server", execution()),
    ("kucoin", "server", unified()),
    ("kucoin", "server", stop()),
    ("kucoin", "client", ask("futures.multi_order", [LONG, LONG | {"clientOid": "h-3"}], "r32")),
    (
        "kucoin",
        "server",
        answer(
            "futures.multi_order",
            [
                {"orderId": "5", "clientOid": "h-2", "code": "200000"},
                {"clientOid": "h-3", "code": "300003", "msg": "No margin"},
            ],
            "r32",
        ),
    ),
    ("kucoin", "client", ask("spot.cancel", {"symbol": "SOL-USDT", "clientOid": "grid7-1"}, "r33")),
    ("kucoin", "server", {"id": "r33", "op": "spot.cancel", "code": "400100", "msg": "Order gone"}),
    ("kucoin", "client", SELL, HF),
    ("kucoin", "server", {"code": "200000", "data": {"orderId": "68f01c22aa", "clientOid": "grid7-1"}}, HF),
    (
        "kucoin",
        "server",
        {
            "code": "200000",
            "data": {
                "items": [
                    {
                        "id": "68f01c22aa",
                        "symbol": "SOL-USDT",
                        "type": "limit",
                        "side": "sell",
                        "price": "141.25",
                        "size": "12.5",
                        "dealSize": "4.5",
                        "active": True,
                        "cancelExist": False,
                        "clientOid": "grid7-1",
                        "lastUpdatedAt": T0,
                        "funds": "0",
                    }
                ]
            },
        },
        "GET /api/v1/hf/orders/done?symbol=SOL-USDT",
    ),
    (
        "kucoin",
        "server",
        {
            "code": "200000",
            "data": {
                "items": [
                    {
                        "symbol": "SOL-USDT",
                        "tradeId": 990017,
                        "orderId": "68f01c22aa",
                        "side": "sell",
                        "liquidity": "maker",
                        "price": "141.25",
                        "size": "4.5",
                        "fee": "0.0031",
                        "feeCurrency": "USDT",
                        "createdAt": T0,
                    }
                ]
            },
        },
        "GET /api/v1/hf/fills?symbol=SOL-USDT",
    ),
]

ASKED = ("action", "request_id", "symbol", "client_order_id", "order_id", "side", "order_type", "time_in_force", "price",
         "stop_price", "quantity", "quantity_unit")  # fmt: skip


# --- requests and answers ---


@pytest.mark.parametrize(
    ("op", "args", "expected"),
    [
        ("spot.order", SELL,
         ("place", "r31", "SOL-USDT", "grid7-1", None, "sell", "limit", "post_only", "141.25", None, "12.5", "base")),
        ("spot.sync_order", {"symbol": "SOL-USDT", "side": "buy", "type": "market", "funds": "500"},
         ("place", "r31", "SOL-USDT", None, None, "buy", "market", None, None, None, "500", "quote")),
        ("futures.order", LONG,
         ("place", "r31", "XBTUSDTM", "h-2", None, "buy", "market", None, None, None, "3", "contract")),
        ("futures.order", LONG | {"type": "limit", "price": "50000", "stop": "up", "stopPrice": "50100", "timeInForce": "IOC"},
         ("place", "r31", "XBTUSDTM", "h-2", None, "buy", "stop_limit", "ioc", "50000", "50100", "3", "contract")),
        ("spot.cancel", {"symbol": "SOL-USDT", "orderId": "68f0"}, ("cancel", "r31", "SOL-USDT", None, "68f0", *[None] * 7)),
        ("spot.modify", {"symbol": "SOL-USDT", "clientOid": "grid7-1", "newPrice": "140.5", "newSize": "10"},
         ("amend", "r31", "SOL-USDT", "grid7-1", None, None, None, None, "140.5", None, "10", "base")),
    ],
)  # fmt: skip
def test_requests(op: str, args: JSON, expected: tuple[Any, ...]) -> None:
    (row,) = known(Talk("kucoin").client(ask(op, args))).orders
    assert brief(row, *ASKED) == expected
    assert (row.kind, row.status) == ("request", None)


def test_an_order_that_is_taken() -> None:
    talk = Talk("kucoin")
    talk.client(ask("spot.order", SELL))
    (row,) = known(talk.server(FIXTURES[1][2])).orders
    assert brief(row, "kind", *ASKED, "status") == (
        "response", "place", "r31", "SOL-USDT", "grid7-1", "68f01c22aa", "sell", "limit", "post_only", "141.25", None, "12.5",
        "base", None,
    )  # fmt: skip


def test_an_answer_that_waited_for_the_match() -> None:
    talk = Talk("kucoin")
    talk.client(ask("spot.sync_order", SELL))
    done = {"orderId": "68f0", "orderTime": T0, "originSize": "12.5", "dealSize": "4.5", "remainSize": "8", "canceledSize": "0",
            "status": "open", "matchTime": T0}  # fmt: skip
    (row,) = known(talk.server(answer("spot.sync_order", done))).orders
    assert brief(row, "order_id", "status", "filled_quantity", "price") == ("68f0", "PARTIALLY_FILLED", "4.5", "141.25")
    assert row.exchange_time == T0 * 1_000_000
    for changes, status in (
        ({"status": "done", "dealSize": "12.5"}, "FILLED"),
        ({"status": "done", "canceledSize": "8"}, "CANCELED"),
        ({"status": "open", "dealSize": "0"}, "NEW"),
        ({"status": "dance"}, None),
    ):
        assert known(talk.server(answer("spot.sync_order", done | changes))).orders[0].status == status


def test_a_refusal_is_joined_to_its_request() -> None:
    talk = Talk("kucoin")
    talk.client(ask("futures.order", LONG))
    refusal = {"id": "r31", "op": "futures.order", "code": "330008", "msg": "Insufficient margin"}
    (row,) = known(talk.server(refusal)).orders
    assert brief(row, "client_order_id", "symbol", "status", "status_raw", "reason") == (
        "h-2", "XBTUSDTM", "REJECTED", "330008", "Insufficient margin",
    )  # fmt: skip
    (row,) = known(Talk("kucoin").server(refusal)).orders
    assert brief(row, "action", "request_id", "client_order_id", "status") == ("place", "r31", None, "REJECTED")
    talk.client(ask("spot.cancel", {"symbol": "SOL-USDT", "orderId": "68f0"}))
    (row,) = known(talk.server({"id": "r31", "op": "spot.cancel", "code": "400100", "msg": "Order gone"})).orders
    assert brief(row, "action", "order_id", "status", "reason") == ("cancel", "68f0", None, "Order gone")
    (row,) = known(talk.server({"id": "x", "op": "spot.order", "code": "500000", "msg": "Internal Server Error"})).orders
    assert brief(row, "status", "status_raw") == (None, "500000")


def test_a_batch_that_fails_in_part() -> None:
    talk = Talk("kucoin")
    talk.client(ask("futures.multi_order", [LONG, LONG | {"clientOid": "h-3"}], "r32"))
    taken, refused = known(talk.server(FIXTURES[9][2])).orders
    assert brief(taken, "order_id", "client_order_id", "status", "quantity") == ("5", "h-2", None, "3")
    assert brief(refused, "item", "order_id", "client_order_id", "status", "status_raw", "reason") == (
        1, None, "h-3", "REJECTED", "300003", "No margin",
    )  # fmt: skip
    asked = known(talk.client(ask("futures.multi_order", [LONG | {"size": "NaN"}, LONG])), "field size")
    assert [row.item for row in asked.orders] == [1]


def test_an_amendment_makes_a_new_order() -> None:
    talk = Talk("kucoin")
    talk.client(ask("spot.modify", {"symbol": "SOL-USDT", "orderId": "old", "newPrice": "140.5"}))
    (row,) = known(talk.server(answer("spot.modify", {"newOrderId": "new", "clientOid": "grid7-1"}))).orders
    assert brief(row, "action", "order_id", "client_order_id", "price") == ("amend", "new", "grid7-1", "140.5")
    talk.client(ask("spot.modify", {"symbol": "SOL-USDT", "orderId": "old", "newPrice": "140.5"}))
    (row,) = known(talk.server(answer("spot.modify", None, code="400100", msg="gone"))).orders
    assert brief(row, "action", "order_id", "status", "price", "reason") == ("amend", "old", None, None, "gone")


# --- updates and fills ---


def test_an_update() -> None:
    (row,) = known(Talk("kucoin").server(change())).orders
    assert brief(row, "kind", *ASKED, "status", "status_raw", "filled_quantity") == (
        "update", None, None, "SOL-USDT", "grid7-1", "68f01c22aa", "sell", "limit", None, "141.25", None, "12.5", "base", "NEW",
        "open", "0",
    )  # fmt: skip
    assert row.exchange_time == NS


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"type": "received", "status": "new", "filledSize": None}, "PENDING_NEW"),
        ({}, "NEW"),
        ({"filledSize": "4.5"}, "PARTIALLY_FILLED"),
        ({"type": "update", "filledSize": "0"}, "NEW"),
        ({"type": "update", "filledSize": "1"}, "PARTIALLY_FILLED"),
        ({"type": "update", "status": "done"}, "CANCELED"),
        ({"type": "filled", "status": "done"}, "FILLED"),
        ({"type": "canceled", "status": "done"}, "CANCELED"),
        ({"type": "dance"}, None),
    ],
)  # fmt: skip
def test_states(changes: JSON, status: str | None) -> None:
    (row,) = known(Talk("kucoin").server(change(**changes))).orders
    assert (row.status, row.status_raw) == (status, changes.get("type", "open"))


def test_what_stands_for_the_size() -> None:
    talk = Talk("kucoin")
    by_funds = change(type="received", status="new", orderType="market", size=None, originSize="0", originFunds="500")
    assert brief(known(talk.server(by_funds)).orders[0], "quantity", "quantity_unit") == ("500", "quote")
    by_size = change(type="received", status="new", size=None)
    assert brief(known(talk.server(by_size)).orders[0], "quantity", "quantity_unit") == ("12.5", "base")


def test_a_match_is_a_fill() -> None:
    told = known(Talk("kucoin").server(match()))
    (row,), (fill,) = told.orders, told.fills
    assert brief(row, "status", "filled_quantity", "quantity") == ("PARTIALLY_FILLED", "4.5", "12.5")
    assert brief(fill, "symbol", "trade_id", "order_id", "client_order_id", "side", "price", "quantity", "quantity_unit", "fee",
                 "liquidity") == (
        "SOL-USDT", "990017", "68f01c22aa", "grid7-1", "sell", "141.25", "4.5", "base", None, "maker",
    )  # fmt: skip
    assert fill.exchange_time == NS


def test_of_the_last_match_the_order_is_told_by_what_follows() -> None:
    last = match(topic="/contractMarket/tradeOrders:XBTUSDTM", symbol="XBTUSDTM", remainSize="0", filledSize="3", matchSize="3")
    told = known(Talk("kucoin").server(last))
    assert told.orders == []
    assert brief(told.fills[0], "symbol", "quantity", "quantity_unit") == ("XBTUSDTM", "3", "contract")


def test_unified_orders_and_fills() -> None:
    talk = Talk("kucoin")
    (row,) = known(talk.server(unified())).orders
    assert brief(row, *ASKED[2:], "status", "status_raw") == (
        "XBTUSDTM", "h-2", "41493868", "buy", "limit", "post_only", "50000.5", None, "3", "contract", "NEW", "2",
    )  # fmt: skip
    for state, status in (
        (0, "PENDING_TRIGGER"),
        (1, None),
        (3, "FILLED"),
        (4, "PARTIALLY_FILLED"),
        (5, "CANCELED"),
        (9, None),
    ):
        assert known(talk.server(unified(os=state))).orders[0].status == status
    (fill,) = known(talk.server(execution())).fills
    assert brief(fill, "trade_id", "order_id", "side", "fee", "fee_asset", "liquidity") == (
        "990017", "68f01c22aa", "sell", "-0.0031", "USDT", "maker",
    )  # fmt: skip


def test_a_fill_told_twice_has_one_name() -> None:
    talk = Talk("kucoin")
    first, again = known(talk.server(match())).fills[0], known(talk.server(execution())).fills[0]
    names = ("venue", "account", "symbol", "trade_id", "order_id", "side", "price", "quantity", "quantity_unit")
    assert brief(first, *names) == brief(again, *names)
    assert (first.fee, again.fee is None) == (None, False)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ("stop_limit", "150.5", "150", "PENDING_TRIGGER", None)),
        ({"orderPrice": None}, ("stop", None, "150", "PENDING_TRIGGER", None)),
        ({"type": "triggered"}, ("stop_limit", "150.5", "150", None, None)),
        (
            {"type": "triggered", "triggerSuccess": False, "error": "no money"},
            ("stop_limit", "150.5", "150", "REJECTED", "no money"),
        ),
        ({"type": "cancel"}, ("stop_limit", "150.5", "150", "CANCELED", None)),
    ],
)
def test_stop_orders(changes: JSON, expected: tuple[Any, ...]) -> None:
    (row,) = known(Talk("kucoin").server(stop(**changes))).orders
    assert brief(row, "order_type", "price", "stop_price", "status", "reason") == expected


@pytest.mark.parametrize("stamp", [T0, T0 * 1000, T0 * 1_000_000])
def test_the_size_of_a_time_tells_its_unit(stamp: int) -> None:
    (row,) = known(Talk("kucoin").server(change(ts=stamp))).orders
    assert row.exchange_time == T0 * 1_000_000


# --- REST ---


def test_rest_calls_and_their_answers() -> None:
    talk = Talk("kucoin")
    (asked,) = known(talk.call(HF, SELL, KC_API_KEY="no", kc_api_key="KEY-1")).orders
    assert brief(asked, "account", "action", "client_order_id") == ("name of KEY-1", "place", "grid7-1")
    (row,) = known(talk.reply(HF, {"code": "200000", "data": {"orderId": "68f0"}})).orders
    assert brief(row, "account", "order_id", "client_order_id", "price") == ("name of KEY-1", "68f0", "grid7-1", "141.25")
    talk.call(HF, SELL)
    (row,) = known(talk.reply(HF, {"code": "200004", "msg": "Balance insufficient!"})).orders
    assert brief(row, "client_order_id", "status", "status_raw", "reason") == (
        "grid7-1", "REJECTED", "200004", "Balance insufficient!",
    )  # fmt: skip
    talk.call(HF, SELL)
    (row,) = known(talk.reply(HF, {"code": "400001", "msg": "?"}, 503)).orders
    assert row.status is None


@pytest.mark.parametrize(
    ("call", "body", "expected"),
    [
        ("POST /api/v1/orders", LONG, [("place", "XBTUSDTM", None, "h-2")]),
        ("POST /api/v1/hf/orders/multi", {"orderList": [SELL, SELL]}, [("place", "SOL-USDT", None, "grid7-1")] * 2),
        (
            "POST /api/v1/orders/multi",
            {"symbol": "SOL-USDT", "orderList": [{"side": "buy", "size": "1", "price": "2"}]},
            [("place", "SOL-USDT", None, None)],
        ),
        (
            "POST /api/v1/hf/orders/alter",
            {"symbol": "SOL-USDT", "orderId": "9", "newSize": "2"},
            [("amend", "SOL-USDT", "9", None)],
        ),
        ("POST /api/v1/stop-order", SELL | {"stopPrice": "140"}, [("place", "SOL-USDT", None, "grid7-1")]),
        ("POST /api/v3/hf/margin/order", SELL, [("place", "SOL-USDT", None, "grid7-1")]),
        (
            "POST /api/ua/v1/unified/order/place",
            {
                "tradeType": "SPOT",
                "symbol": "SOL-USDT",
                "side": "BUY",
                "orderType": "MARKET",
                "size": "2",
                "sizeUnit": "QUOTECCY",
            },
            [("place", "SOL-USDT", None, None)],
        ),
        (
            "POST /api/ua/v1/unified/order/cancel-batch",
            {"cancelOrderList": [{"orderId": "1"}, {"clientOid": "b"}]},
            [("cancel", None, "1", None), ("cancel", None, None, "b")],
        ),
        ("DELETE /api/v1/hf/orders/77?symbol=SOL-USDT", "", [("cancel", "SOL-USDT", "77", None)]),
        ("DELETE /api/v1/hf/orders/sync/client-order/b?symbol=SOL-USDT", "", [("cancel", "SOL-USDT", None, "b")]),
        ("DELETE /api/v1/order/client-order/b", "", [("cancel", None, None, "b")]),
        (
            "DELETE /api/v1/orders/multi-cancel",
            {"orderIdsList": ["1", "2"]},
            [("cancel", None, "1", None), ("cancel", None, "2", None)],
        ),
        ("DELETE /api/v1/hf/orders?symbol=SOL-USDT", "", [("cancel", "SOL-USDT", None, None)]),
        ("DELETE /api/v1/stopOrders?symbol=XBTUSDTM", "", [("cancel", "XBTUSDTM", None, None)]),
    ],
)
def test_rest_calls(call: str, body: Any, expected: list[Any]) -> None:
    rows = known(Talk("kucoin").call(call, body)).orders
    assert [brief(row, "action", "symbol", "order_id", "client_order_id") for row in rows] == expected


def test_answers_to_cancels() -> None:
    talk = Talk("kucoin")
    call = "DELETE /api/v1/orders/77"
    talk.call(call)
    (row,) = known(talk.reply(call, {"code": "200000", "data": {"cancelledOrderIds": ["77"]}})).orders
    assert brief(row, "action", "order_id", "status") == ("cancel", "77", None)
    call = "DELETE /api/v1/hf/orders?symbol=SOL-USDT"
    talk.call(call)
    (row,) = known(talk.reply(call, {"code": "200000", "data": "success"})).orders
    assert brief(row, "action", "symbol", "order_id") == ("cancel", "SOL-USDT", None)
    (row,) = known(talk.reply("DELETE /api/v1/hf/orders/client-order/b", {"code": "200000", "data": {"clientOid": "b"}})).orders
    assert row.client_order_id == "b"


def test_answers_that_name_what_was_cancelled() -> None:
    talk = Talk("kucoin")
    call = "DELETE /api/v1/stop-order/cancelOrderByClientOid?clientOid=b"
    talk.call(call)
    (row,) = known(talk.reply(call, {"code": "200000", "data": {"cancelledOrderId": "vs9", "clientOid": "b"}})).orders
    assert brief(row, "action", "order_id", "client_order_id") == ("cancel", "vs9", "b")
    call = "DELETE /api/v1/orders?symbol=XBTUSDTM"
    for named, shown in (([], [None]), (["77"], ["77"]), (["77", "78"], ["77", "78"])):
        talk.call(call)
        rows = known(talk.reply(call, {"code": "200000", "data": {"cancelledOrderIds": named}})).orders
        assert [brief(row, "action", "symbol", "order_id") for row in rows] == [("cancel", "XBTUSDTM", one) for one in shown]
    unified = {"tradeType": "SPOT", "ts": NS, "items": [{"orderId": "5"}]}
    (row,) = known(talk.reply("POST /api/ua/v1/unified/order/cancel-all", {"code": "200000", "data": unified})).orders
    assert brief(row, "action", "order_id") == ("cancel", "5")


def test_a_classic_batch_is_answered_in_an_envelope() -> None:
    call = "POST /api/v1/orders/multi"
    legs = [{"clientOid": name, "side": "buy", "type": "limit", "price": "50", "size": "1"} for name in ("a", "b")]
    shown = [
        {"symbol": "SOL-USDT", "id": "674a", "status": "success", "failMsg": None, "clientOid": "a"},
        {"symbol": "SOL-USDT", "id": "674b", "status": "fail", "failMsg": "Balance insufficient!", "clientOid": "b"},
    ]
    talk = Talk("kucoin")
    talk.call(call, {"symbol": "SOL-USDT", "orderList": legs})
    rows = known(talk.reply(call, {"code": "200000", "data": {"data": shown}})).orders
    assert [brief(row, "symbol", "order_id", "client_order_id", "status", "status_raw", "reason", "price") for row in rows] == [
        ("SOL-USDT", "674a", "a", None, None, None, "50"),
        ("SOL-USDT", "674b", "b", "REJECTED", None, "Balance insufficient!", "50"),
    ]


def test_a_refusal_without_a_text_has_a_reason_all_the_same() -> None:
    talk = Talk("kucoin")
    call = "POST /api/v1/hf/orders/alter"
    talk.call(call, {"symbol": "SOL-USDT", "orderId": "77", "newPrice": "50"})
    (row,) = known(talk.reply(call, {"code": "400100", "data": None})).orders
    assert brief(row, "order_id", "price", "status", "status_raw", "reason") == ("77", None, None, "400100", "400100")
    call = "DELETE /api/v1/orders/multi-cancel"
    talk.call(call, {"orderIdsList": ["1", "2"]})
    shown = [{"orderId": "1", "code": "200"}, {"orderId": "2", "code": "100004", "msg": ""}]
    rows = known(talk.reply(call, {"code": "200000", "data": shown})).orders
    assert [brief(row, "order_id", "reason") for row in rows] == [("1", None), ("2", "100004")]


def test_a_part_of_an_order_may_be_cancelled() -> None:
    call = "DELETE /api/v1/hf/orders/cancel/77?symbol=SOL-USDT&cancelSize=2"
    talk = Talk("kucoin")
    (row,) = known(talk.call(call)).orders
    assert brief(row, "action", "order_id", "quantity") == ("amend", "77", None)
    (row,) = known(talk.reply(call, {"code": "200000", "data": {"orderId": "77", "cancelSize": "2"}})).orders
    assert brief(row, "action", "order_id", "symbol", "status") == ("amend", "77", "SOL-USDT", None)


def test_an_oco_has_the_prices_of_both_its_legs() -> None:
    oco = {"symbol": "SOL-USDT", "side": "buy", "price": "94", "size": "1", "clientOid": "o", "stopPrice": "98"}
    (row,) = known(Talk("kucoin").call("POST /api/v3/oco/order", oco | {"limitPrice": "96"})).orders
    assert brief(row, "order_type", "price", "stop_price", "client_order_id") == ("oco", "94", "98", "o")


def test_an_order_that_closes_a_position_has_no_side() -> None:
    close = {"symbol": "XBTUSDTM", "closeOrder": True, "clientOid": "h-9", "type": "market"}
    talk = Talk("kucoin")
    (row,) = known(talk.call("POST /api/v1/orders", close)).orders
    assert brief(row, "action", "symbol", "client_order_id", "side", "order_type", "quantity") == (
        "place", "XBTUSDTM", "h-9", None, "market", None,
    )  # fmt: skip
    known(talk.call("POST /api/v1/orders", close | {"closeOrder": False}), "side")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ("PARTIALLY_FILLED", None)),
        ({"dealSize": "0"}, ("NEW", None)),
        ({"active": False}, ("FILLED", None)),
        ({"active": False, "cancelExist": True}, ("CANCELED", None)),
        ({"active": None, "status": 6}, ("CANCELED", "6")),
        ({"active": None, "status": "NEW"}, ("PENDING_TRIGGER", "NEW")),
        ({"active": None, "status": "odd"}, (None, "odd")),
        ({"active": None, "isActive": False, "status": "done"}, ("FILLED", "done")),
    ],
)
def test_queried_orders(changes: JSON, expected: tuple[Any, ...]) -> None:
    shown = {key: value for key, value in (FIXTURES[14][2]["data"]["items"][0] | changes).items() if value is not None}
    (row,) = known(Talk("kucoin").reply("GET /api/v1/hf/orders/68f0", {"code": "200000", "data": shown})).orders
    assert (row.action, (row.status, row.status_raw)) == (None, expected)
    assert brief(row, "quantity", "quantity_unit", "price") == ("12.5", "base", "141.25")


def test_queried_fills() -> None:
    (fill,) = known(Talk("kucoin").reply("GET /api/v1/hf/fills?symbol=SOL-USDT", FIXTURES[15][2])).fills
    assert brief(fill, "trade_id", "side", "fee", "fee_asset", "liquidity") == ("990017", "sell", "0.0031", "USDT", "maker")


def test_fills_of_their_own_topic_have_their_fee() -> None:
    data = {
        "fee": 0.0189, "feeCurrency": "USDT", "feeRate": 0.001, "orderId": "68f01c22aa", "orderType": "market", "price": 141.25,
        "side": "buy", "size": 0.134, "symbol": "SOL-USDT", "time": NS, "tradeId": "990017",
    }  # fmt: skip
    push = {
        "type": "message",
        "topic": "/spot/tradeFills",
        "channelType": "private",
        "subject": "/spot/tradeFills",
        "data": data,
    }
    decoded = known(Talk("kucoin").server(push))
    (fill,) = decoded.fills
    assert (decoded.kind, decoded.orders) == ("update", [])
    assert brief(fill, "trade_id", "order_id", "side", "price", "quantity", "quantity_unit", "fee", "fee_asset") == (
        "990017", "68f01c22aa", "buy", "141.25", "0.134", "base", "0.0189", "USDT",
    )  # fmt: skip
    assert fill.exchange_time == NS
    assert guess_venue("server", json.dumps(push).encode()) is VENUE


def test_unknown_order_calls_are_not_silent() -> None:
    talk = Talk("kucoin")
    known(talk.call("POST /api/v1/hf/orders/dance", SELL), "an order call that is not known")
    known(talk.client(ask("spot.order_dance", SELL)), "an order operation that is not known")
    for path in ("/api/v1/orders/test", "/api/v1/hf/orders/test", "/api/v1/hf/orders/dead-cancel-all", "/api/v1/bullet-public"):
        assert rest_call("POST", path) == (None, {})


# --- what is no order, what is broken ---

MARKET: list[Any] = [
    {
        "type": "message",
        "topic": "/market/match:SOL-USDT",
        "subject": "trade.l3match",
        "data": {
            "type": "match",
            "side": "buy",
            "price": "1",
            "size": "2",
            "tradeId": "5",
            "takerOrderId": "a",
            "makerOrderId": "b",
        },
    },
    {
        "type": "message",
        "topic": "/market/level2:SOL-USDT",
        "subject": "trade.l2update",
        "data": {"changes": {"asks": [["1", "2", "3"]]}},
    },
    {"topic": "/contractMarket/execution:XBTUSDTM", "type": "message", "subject": "match", "data": {"side": "sell", "size": 1}},
    {"T": "trade.SPOT", "P": 1, "d": {"s": "SOL-USDT", "S": "BUY", "p": "1", "q": "2", "ti": "5"}},
    {
        "topic": "/account/balance",
        "type": "message",
        "data": {"relationContext": {"symbol": "SOL-USDT", "orderId": "6721d063"}},
    },
    {"id": "5", "type": "ack"},
    {"id": "5", "type": "pong"},
    {
        "topic": "/margin/loan:BTC",
        "type": "message",
        "subject": "order.open",
        "data": {"orderId": "a", "size": 1, "side": "lend"},
    },
]


@pytest.mark.parametrize("message", MARKET)
def test_what_is_no_order(message: Any) -> None:
    for payload in (message, json.dumps(message, separators=(",", ":"))):
        assert Talk("kucoin").server(payload) is None
    assert Talk("kucoin").client({"id": "1", "type": "subscribe", "topic": "/spotMarket/tradeOrdersV2"}) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("size", "1e30"),
        ("size", "-1"),
        ("price", "0.1234567890123456789"),
        ("price", True),
        ("ts", 10**20),
        ("ts", -5),
        ("orderId", ""),
        ("orderId", 5),
        ("symbol", 7),
        ("side", "hold"),
        ("filledSize", "NaN"),
        ("clientOid", ["x"]),
        ("type", ""),
    ],
)
def test_a_field_that_cannot_be_read(field: str, value: Any) -> None:
    assert known(Talk("kucoin").server(change(**{field: value})), f"field {field}").orders == []


def test_a_fill_without_an_id_is_none() -> None:
    told = known(Talk("kucoin").server(match(tradeId=None)), "field tradeId is missing")
    assert (told.orders, told.fills) == ([], [])


def test_an_empty_batch_is_not_silent() -> None:
    known(Talk("kucoin").call("POST /api/v1/hf/orders/multi", {"orderList": []}), "a request that names no order")


def test_duplicate_keys_and_cut_messages() -> None:
    text = json.dumps(change())
    for broken in (text.replace('"price"', '"size": "1", "price"'), text[:-3]):
        assert known(Talk("kucoin").server(broken), "").orders == []


# --- whose, secrets, which venue ---


def test_the_account_is_that_of_the_key() -> None:
    assert Talk("kucoin", path="/v1/private?apikey=KEY-1&sign=s&passphrase=p&timestamp=1").decoder.account == "name of KEY-1"
    shared: Bounded[str] = Bounded(8)
    rest = Talk("kucoin", aliases=shared)
    call = "POST /api/v1/bullet-private"
    rest.call(call, "", kc_api_key="KEY-1")
    assert known(rest.reply(call, {"code": "200000", "data": {"token": "TOKEN-9", "instanceServers": []}})).kind == LOGIN
    assert Talk("kucoin", aliases=shared, path="/?token=TOKEN-9&connectId=1").decoder.account == "name of KEY-1"
    assert Talk("kucoin", aliases=shared, path="/?token=other", account="mine").decoder.account == "mine"


def test_the_signature_of_order_entry_is_a_login() -> None:
    signature = "u6rmpIAfoQD5hOJrTzwCO5YRbs0jDcQzZ3b2yGkK3SA="
    assert known(Talk("kucoin").client(signature)).kind == LOGIN
    assert VENUE.redact("client", signature) == "[redacted]"


def test_secrets_are_redacted() -> None:
    texts = [
        json.dumps({"code": "200000", "data": {"token": "PLANTED", "instanceServers": []}}),
        "KC-API-KEY: PLANTED\r\nKC-API-SIGN: PLANTED\r\nKC-API-PASSPHRASE: PLANTED\r\n",
    ]
    for text in texts:
        assert "PLANTED" not in VENUE.redact("client", text)
        assert "[redacted]" in VENUE.redact("server", text)
    for path in ("/?token=PLANTED&connectId=7", "/v1/private?apikey=PLANTED&sign=PLANTED&passphrase=PLANTED&timestamp=1"):
        assert "PLANTED" not in VENUE.redact_path(path)
    assert VENUE.redact_path("/?token=a&connectId=7") == "/?token=[redacted]&connectId=7"


def test_recognised_and_guessed() -> None:
    for host in ("ws-api-spot.kucoin.com", "WSAPI.kucoin.com.", "x-push-private.kucoin.com", "api-futures.kucoin.com"):
        assert venue_of(host, "/", 443) is VENUE
    assert venue_of("kucoin.com.evil.example", "/", 443) is not VENUE
    for _, sender, payload, *http in FIXTURES:
        if not http:
            assert guess_venue(sender, json.dumps(payload).encode()) is VENUE
    for payload in MARKET:
        assert guess_venue("server", json.dumps(payload).encode()) is not VENUE


def test_the_search_is_quick() -> None:
    search = VENUE.decoder(ConnectionFacts()).wanted("server", OPCODE_TEXT)
    payload = (
        json.dumps(MARKET[1], separators=(",", ":")).replace('["1","2","3"]', ",".join(['["141.2","12.5","3"]'] * 20)).encode()
    )
    leaves_soon(search, payload)

"""OKX: each message of its documentation, with values of our own."""

from __future__ import annotations

import json
import zlib
from typing import Any

import pytest

from sniffer.exchanges import guess_venue, venue_of
from sniffer.exchanges.base import LOGIN, OTHER, REFERENCE, Bounded, ConnectionFacts
from sniffer.exchanges.okx import VENUE
from sniffer.model import OPCODE_BINARY, OPCODE_PING, OPCODE_TEXT, Message, Sender
from tests.unit.exchanges.conversation import leaves_soon
from tests.unit.exchanges.talk import Talk, brief, known

JSON = dict[str, Any]
T0 = 1_751_000_000_123


def order(**changes: Any) -> JSON:
    shown: JSON = {
        "accFillSz": "0", "algoId": "", "amendResult": "", "avgPx": "0", "cTime": str(T0 - 5), "cancelSource": "", "ccy": "",
        "category": "normal", "clOrdId": "grid7x1", "code": "0", "execType": "", "fee": "0", "feeCcy": "SOL", "fillFee": "0",
        "fillFeeCcy": "", "fillPx": "", "fillSz": "0", "fillTime": "", "instId": "SOL-USDC", "instType": "SPOT", "lever": "0",
        "msg": "", "ordId": "9920412100765", "ordType": "limit", "px": "141.25", "rebate": "0", "rebateCcy": "USDC",
        "reqId": "", "side": "buy", "state": "live", "sz": "12.5", "tdMode": "cash", "tgtCcy": "", "tradeId": "",
        "uTime": str(T0),
    }  # fmt: skip
    return shown | changes


def filled(**changes: Any) -> JSON:
    fill: JSON = {
        "state": "partially_filled",
        "accFillSz": "4.5",
        "avgPx": "141.2",
        "fillSz": "4.5",
        "fillPx": "141.2",
        "tradeId": "55120",
        "fillTime": str(T0 + 1),
        "uTime": str(T0 + 2),
        "execType": "T",
        "fillFee": "-0.0045",
        "fillFeeCcy": "SOL",
        "fee": "-0.0045",
    }
    return order(**(fill | changes))


def algo(**changes: Any) -> JSON:
    shown: JSON = {
        "algoId": "7731",
        "algoClOrdId": "stop9",
        "clOrdId": "",
        "ordId": "",
        "instId": "ETH-USDT-SWAP",
        "instType": "SWAP",
        "ordType": "conditional",
        "state": "live",
        "side": "sell",
        "sz": "3",
        "slTriggerPx": "2290",
        "slOrdPx": "-1",
        "tpTriggerPx": "",
        "tpOrdPx": "",
        "triggerPx": "",
        "ordPx": "",
        "failCode": "",
        "uTime": str(T0),
    }
    return shown | changes


def push(channel: str, *data: JSON) -> JSON:
    return {"arg": {"channel": channel, "instType": "ANY", "uid": "77100200300"}, "data": list(data)}


def ask(op: str, *args: JSON, request_id: Any = "r31") -> JSON:
    return {"id": request_id, "op": op, "args": list(args)}


def answer(op: str, *data: JSON, code: str = "0", msg: str = "", request_id: Any = "r31") -> JSON:
    return {"id": request_id, "op": op, "code": code, "msg": msg, "data": list(data), "inTime": "1", "outTime": "2"}


def result(**changes: Any) -> JSON:
    return {"clOrdId": "grid7x1", "ordId": "9920412100765", "tag": "", "ts": str(T0), "sCode": "0", "sMsg": ""} | changes


BUY: JSON = {
    "instId": "SOL-USDC",
    "tdMode": "cash",
    "clOrdId": "grid7x1",
    "side": "buy",
    "ordType": "post_only",
    "px": "141.25",
    "sz": "12.5",
}
SELL: JSON = {"instId": "ETH-USDT-SWAP", "tdMode": "cross", "side": "sell", "ordType": "market", "sz": "3", "clOrdId": "h2"}
REST = "POST /api/v5/trade/order"

OLD_SPOT: JSON = {
    "table": "spot/order",
    "data": [
        {
            "client_oid": "v3a",
            "created_at": "2021-02-03T04:05:06.007Z",
            "fee": "-0.0021",
            "fee_currency": "LTC",
            "filled_notional": "287.5",
            "filled_size": "2.0",
            "instrument_id": "LTC-USDT",
            "last_fill_id": "88123",
            "last_fill_px": "143.75",
            "last_fill_qty": "2.0",
            "last_fill_time": "2021-02-03T04:05:07.250Z",
            "margin_trading": "1",
            "notional": "",
            "order_id": "7754120099",
            "order_type": "0",
            "price": "144",
            "side": "buy",
            "size": "3.5",
            "state": "1",
            "status": "part_filled",
            "timestamp": "2021-02-03T04:05:07.260Z",
            "type": "limit",
        }
    ],
}
OLD_SWAP: JSON = {
    "table": "swap/order",
    "data": [
        {
            "client_oid": "",
            "contract_val": "10",
            "fee": "0",
            "filled_qty": "0",
            "instrument_id": "ETH-USD-SWAP",
            "last_fill_qty": "0",
            "order_id": "61-b",
            "order_type": "1",
            "price": "1622.25",
            "price_avg": "0.00",
            "size": "40",
            "state": "0",
            "timestamp": "2021-02-03T04:05:07.260Z",
            "type": "2",
        }
    ],
}

FIXTURES: list[tuple[str, Sender, Any] | tuple[str, Sender, Any, str]] = [
    ("okx", "client", ask("order", BUY)),
    ("okx", "server", answer("order", result())),
    ("okx", "server", push("orders", order())),
    ("okx", "client", ask("amend-order", {"instId": "SOL-USDC", "ordId": "9920412100765", "newSz": "10.5"}, request_id="r32")),
    ("okx", "server", answer("amend-order", result(sCode="51503", sMsg="Order gone"), code="1", request_id="r32")),
    ("okx", "server", push("orders", filled(), filled(tradeId="55121", accFillSz="12.5", fillSz="8", state="filled"))),
    (
        "okx",
        "server",
        push(
            "fills",
            {
                "instId": "SOL-USDC",
                "fillSz": "4.5",
                "fillPx": "141.2",
                "side": "buy",
                "ts": str(T0),
                "ordId": "9920412100765",
                "tradeId": "55120",
                "execType": "T",
                "count": "1",
            },
        ),
    ),
    ("okx", "client", ask("batch-orders", BUY, SELL, request_id="r33")),
    (
        "okx",
        "server",
        answer(
            "batch-orders",
            result(),
            result(clOrdId="h2", ordId="", sCode="51008", sMsg="No balance"),
            code="2",
            request_id="r33",
        ),
    ),
    ("okx", "server", push("orders-algo", algo(), algo(ordType="trigger", triggerPx="2300", ordPx="2299.5", slTriggerPx=""))),
    ("okx", "client", BUY, REST),
    ("okx", "server", {"code": "0", "msg": "", "data": [result()]}, REST),
    (
        "okx",
        "client",
        [{"instId": "SOL-USDC", "ordId": "1"}, {"instId": "SOL-USDC", "clOrdId": "b"}],
        "POST /api/v5/trade/cancel-batch-orders",
    ),
    (
        "okx",
        "server",
        {"code": "0", "msg": "", "data": [order(state="canceled", cancelSource="1")]},
        "GET /api/v5/trade/order?instId=SOL-USDC&ordId=9920412100765",
    ),
    (
        "okx",
        "server",
        {
            "code": "0",
            "msg": "",
            "data": [
                {
                    "instId": "SOL-USDC",
                    "fillSz": "4.5",
                    "fillPx": "141.2",
                    "side": "buy",
                    "ts": str(T0),
                    "fillTime": str(T0),
                    "ordId": "99",
                    "tradeId": "5",
                    "clOrdId": "",
                    "execType": "M",
                    "fee": "0.001",
                    "feeCcy": "SOL",
                }
            ],
        },
        "GET /api/v5/trade/fills?instType=SPOT",
    ),
    ("okx", "server", OLD_SPOT),
    ("okx", "server", OLD_SWAP),
]

ASKED = ("action", "request_id", "symbol", "client_order_id", "order_id", "side", "order_type", "time_in_force", "price",
         "stop_price", "quantity", "quantity_unit")  # fmt: skip


# --- requests ---


@pytest.mark.parametrize(
    ("op", "arg", "expected"),
    [
        (
            "order",
            BUY,
            ("place", "r31", "SOL-USDC", "grid7x1", None, "buy", "limit", "post_only", "141.25", None, "12.5", "base"),
        ),
        ("order", SELL, ("place", "r31", "ETH-USDT-SWAP", "h2", None, "sell", "market", None, None, None, "3", "contract")),
        (
            "order",
            BUY | {"ordType": "market", "px": ""},
            ("place", "r31", "SOL-USDC", "grid7x1", None, "buy", "market", None, None, None, "12.5", "quote"),
        ),
        (
            "order",
            BUY | {"ordType": "market", "px": "", "tgtCcy": "base_ccy"},
            ("place", "r31", "SOL-USDC", "grid7x1", None, "buy", "market", None, None, None, "12.5", "base"),
        ),
        (
            "order",
            BUY | {"ordType": "market", "px": "", "side": "sell"},
            ("place", "r31", "SOL-USDC", "grid7x1", None, "sell", "market", None, None, None, "12.5", "base"),
        ),
        (
            "cancel-order",
            {"instId": "SOL-USDC", "ordId": "99"},
            ("cancel", "r31", "SOL-USDC", None, "99", *[None] * 7),
        ),
        (
            "amend-order",
            {"instId": "ETH-USD-251226", "clOrdId": "h2", "newPx": "2400.5", "newSz": "4"},
            ("amend", "r31", "ETH-USD-251226", "h2", None, None, None, None, "2400.5", None, "4", "contract"),
        ),
        ("mass-cancel", {"instType": "OPTION", "instFamily": "BTC-USD"}, ("cancel", "r31", *[None] * 10)),
        (
            "sprd-order",
            {"sprdId": "SOL-USDT_SOL-USDT-SWAP", "side": "buy", "ordType": "limit", "px": "-1.5", "sz": "2"},
            ("place", "r31", "SOL-USDT_SOL-USDT-SWAP", None, None, "buy", "limit", None, "-1.5", None, "2", None),
        ),
    ],
)
def test_requests(op: str, arg: JSON, expected: tuple[Any, ...]) -> None:
    (row,) = known(Talk("okx").client(ask(op, arg))).orders
    assert brief(row, *ASKED) == expected
    assert (row.kind, row.status, row.exchange_time) == ("request", None, None)


@pytest.mark.parametrize(
    ("word", "terms"),
    [
        ("fok", ("limit", "fok")),
        ("ioc", ("limit", "ioc")),
        ("optimal_limit_ioc", ("market", "ioc")),
        ("op_fok", ("limit", "fok")),
        ("mmp_and_post_only", ("limit", "post_only")),
        ("elp", ("elp", None)),
        ("NEW_kind", ("new_kind", None)),
    ],
)
def test_order_types(word: str, terms: tuple[str, str | None]) -> None:
    (row,) = known(Talk("okx").client(ask("order", BUY | {"ordType": word}))).orders
    assert (row.order_type, row.time_in_force) == terms


def test_algo_requests_of_rest() -> None:
    talk = Talk("okx")
    body = {"instId": "ETH-USDT-SWAP", "side": "sell", "ordType": "trigger", "sz": "3", "triggerPx": "2300", "orderPx": "-1"}
    (row,) = known(talk.call("POST /api/v5/trade/order-algo", body | {"algoClOrdId": "s1"})).orders
    assert brief(row, "action", "client_order_id", "order_type", "price", "stop_price", "quantity") == (
        "place", "s1", "trigger", None, "2300", "3",
    )  # fmt: skip
    reply = {"code": "0", "msg": "", "data": [{"algoId": "77", "algoClOrdId": "s1", "sCode": "0", "sMsg": ""}]}
    (row,) = known(talk.reply("POST /api/v5/trade/order-algo", reply)).orders
    assert brief(row, "order_id", "client_order_id", "side", "stop_price") == ("77", "s1", "sell", "2300")
    (row,) = known(talk.call("POST /api/v5/trade/cancel-algos", [{"algoId": "77", "instId": "ETH-USDT-SWAP"}])).orders
    assert brief(row, "action", "order_id", "client_order_id") == ("cancel", "77", None)


def test_an_instrument_by_number() -> None:
    shared: Bounded[str] = Bounded(8)
    talk = Talk("okx", instruments=shared)
    by_number = {key: value for key, value in BUY.items() if key != "instId"} | {"instIdCode": 20459}
    assert known(talk.client(ask("order", by_number))).orders[0].symbol == "20459"
    lists = {"code": "0", "data": [{"instId": "SOL-USDC", "instIdCode": 20459, "instType": "SPOT"}], "msg": ""}
    other = Talk("okx", instruments=shared)
    assert known(other.reply("GET /api/v5/public/instruments?instType=SPOT", lists)).kind == REFERENCE
    assert other.reply("GET /api/v5/public/instruments?instType=SPOT", lists) is None, "no news"
    (row,) = known(talk.client(ask("order", by_number))).orders
    assert (row.symbol, row.quantity_unit) == ("SOL-USDC", "base")


def test_instruments_of_the_public_channel() -> None:
    talk = Talk("okx")
    update = {"arg": {"channel": "instruments", "instType": "SWAP"}, "data": [{"instId": "ETH-USDT-SWAP", "instIdCode": 7}]}
    assert known(talk.server(json.dumps(update, separators=(",", ":")))).kind == REFERENCE
    assert known(talk.client(ask("cancel-order", {"instIdCode": 7, "ordId": "1"}))).orders[0].symbol == "ETH-USDT-SWAP"


# --- answers ---


def test_an_order_that_is_taken() -> None:
    talk = Talk("okx")
    talk.client(ask("order", BUY))
    (row,) = known(talk.server(answer("order", result()))).orders
    assert brief(row, "kind", *ASKED) == (
        "response",
        "place",
        "r31",
        "SOL-USDC",
        "grid7x1",
        "9920412100765",
        "buy",
        "limit",
        "post_only",
        "141.25",
        None,
        "12.5",
        "base",
    )
    assert (row.status, row.reason, row.exchange_time) == (None, None, T0 * 1_000_000)


def test_a_batch_that_fails_in_part() -> None:
    talk = Talk("okx")
    talk.client(ask("batch-orders", BUY, SELL))
    reply = answer("batch-orders", result(), result(clOrdId="h2", ordId="", sCode="51008", sMsg="No balance"), code="2")
    taken, refused = known(talk.server(reply)).orders
    assert brief(taken, "item", "order_id", "status", "symbol") == (0, "9920412100765", None, "SOL-USDC")
    assert brief(refused, "item", "order_id", "client_order_id", "status", "status_raw", "reason", "symbol") == (
        1, None, "h2", "REJECTED", "51008", "No balance", "ETH-USDT-SWAP",
    )  # fmt: skip


def test_what_cannot_be_read_in_a_batch_keeps_its_place() -> None:
    talk = Talk("okx")
    asked = known(talk.client(ask("batch-orders", BUY | {"sz": "NaN"}, SELL)), "field sz: not a decimal number")
    assert [row.item for row in asked.orders] == [1]
    told = known(talk.server(answer("batch-orders", result(clOrdId=""), result(clOrdId="", ordId="5"))))
    assert [brief(row, "item", "order_id", "client_order_id") for row in told.orders] == [
        (0, "9920412100765", None), (1, "5", "h2"),
    ]  # fmt: skip


def test_results_that_name_another_order_are_not_joined() -> None:
    talk = Talk("okx")
    talk.client(ask("order", BUY))
    (row,) = known(talk.server(answer("order", result(clOrdId="another")))).orders
    assert brief(row, "client_order_id", "side", "price") == ("another", None, None)


def test_a_refusal_of_the_whole_request() -> None:
    talk = Talk("okx")
    talk.client(ask("batch-orders", BUY, SELL))
    refused = known(talk.server(answer("batch-orders", code="60013", msg="Invalid args"))).orders
    assert [brief(row, "client_order_id", "status", "status_raw", "reason") for row in refused] == [
        ("grid7x1", "REJECTED", "60013", "Invalid args"), ("h2", "REJECTED", "60013", "Invalid args"),
    ]  # fmt: skip
    talk.client(ask("order", BUY, request_id="r9"))
    (row,) = known(talk.server({"event": "error", "id": "r9", "code": "60011", "msg": "Please log in"})).orders
    assert brief(row, "request_id", "client_order_id", "status") == ("r9", "grid7x1", "REJECTED")


def illegal(request: str) -> JSON:
    return {"event": "error", "msg": f"Illegal request: {request}", "code": "60012", "connId": "0a1b"}


def test_a_refusal_that_repeats_its_request_instead_of_naming_it() -> None:
    asked = ask("batch-orders", BUY, SELL, request_id="r40")
    refusal = illegal(json.dumps(asked))
    talk = Talk("okx")
    talk.client(asked)
    refused = known(talk.server(refusal)).orders
    assert [brief(row, "request_id", "client_order_id", "status", "status_raw", "reason") for row in refused] == [
        ("r40", "grid7x1", "REJECTED", "60012", "Illegal request"), ("r40", "h2", "REJECTED", "60012", "Illegal request"),
    ]  # fmt: skip
    unseen = ask("amend-order", {"instId": "SOL-USDC", "ordId": "1"}, request_id="r41")
    (row,) = known(talk.server(illegal(json.dumps(unseen)))).orders
    assert brief(row, "request_id", "action", "client_order_id", "status") == ("r41", "amend", None, None)
    talk.client(ask("order", BUY, request_id="r42"))
    assert talk.server(illegal('{"id":"r42","op":"subscribe","args":["spot/ticker:BTC-USDT"]}')) is None
    (row,) = known(talk.server(answer("order", result(), request_id="r42"))).orders
    assert brief(row, "client_order_id", "side", "status") == ("grid7x1", "buy", None)
    assert talk.server(illegal("hello")) is None
    known(talk.server(illegal(json.dumps(asked)[:-9])), "repeats a part")


def test_a_time_out_leaves_the_outcome_open() -> None:
    talk = Talk("okx")
    talk.client(ask("order", BUY))
    (row,) = known(talk.server(answer("order", code="50004", msg="Endpoint request timeout"))).orders
    assert brief(row, "status", "status_raw") == (None, "50004")
    for status, code in ((503, "50001"), (500, "50026"), (200, "50026")):
        talk.call(REST, BUY)
        (row,) = known(talk.reply(REST, {"code": code, "msg": "Try again later", "data": []}, status)).orders
        assert brief(row, "client_order_id", "status", "status_raw") == ("grid7x1", None, code)


def test_a_refused_cancel_or_amendment_says_nothing_of_the_order() -> None:
    talk = Talk("okx")
    for op in ("cancel-order", "amend-order"):
        talk.client(ask(op, {"instId": "SOL-USDC", "ordId": "9920412100765", "newPx": "140"}))
        reply = answer(op, result(clOrdId="", sCode="51400", sMsg="Gone"), code="1")
        (row,) = known(talk.server(reply)).orders
        assert brief(row, "order_id", "status", "price", "reason") == ("9920412100765", None, None, "Gone")
    talk.client(ask("cancel-order", {"instId": "SOL-USDC", "ordId": "9920412100765"}))
    (row,) = known(talk.server(answer("cancel-order", result(clOrdId="", sCode="51400", sMsg=""), code="1"))).orders
    assert brief(row, "status", "reason") == (None, "51400")


def test_an_answer_without_its_request() -> None:
    (row,) = known(Talk("okx").server(answer("order", result(sCode="51008", sMsg="No balance"), code="1"))).orders
    assert brief(row, "action", "client_order_id", "status", "symbol") == ("place", "grid7x1", "REJECTED", None)
    known(Talk("okx").server(answer("order")), "says nothing of its orders")
    known(Talk("okx").server(answer("order", code="2")), "says nothing of its orders")


# --- updates and fills ---


def test_an_update() -> None:
    (row,) = known(Talk("okx").server(push("orders", order()))).orders
    assert brief(row, "kind", *ASKED, "status", "status_raw", "filled_quantity", "average_price", "reason") == (
        "update",
        None,
        None,
        "SOL-USDC",
        "grid7x1",
        "9920412100765",
        "buy",
        "limit",
        None,
        "141.25",
        None,
        "12.5",
        "base",
        "NEW",
        "live",
        "0",
        "0",
        None,
    )
    assert row.exchange_time == T0 * 1_000_000


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("live", "NEW"), ("partially_filled", "PARTIALLY_FILLED"), ("filled", "FILLED"), ("canceled", "CANCELED"),
        ("mmp_canceled", "CANCELED"), ("Live", None), ("new_state", None),
    ],
)  # fmt: skip
def test_states(state: str, status: str | None) -> None:
    (row,) = known(Talk("okx").server(push("orders", order(state=state)))).orders
    assert (row.status, row.status_raw) == (status, state)


def test_why_an_order_was_canceled() -> None:
    (row,) = known(Talk("okx").server(push("orders", order(state="canceled", cancelSource="31")))).orders
    assert row.reason == "31"
    worded = order(state="canceled", cancelSource="31", cancelSourceReason="Post-only would take")
    assert known(Talk("okx").server(push("orders", worded))).orders[0].reason == "Post-only would take"
    failed = order(amendResult="-1", code="51002", msg="Price out of range")
    assert known(Talk("okx").server(push("orders", failed))).orders[0].reason == "Price out of range"


def test_a_fill_with_its_update() -> None:
    told = known(Talk("okx").server(push("orders", filled())))
    (row,), (fill,) = told.orders, told.fills
    assert brief(row, "status", "filled_quantity", "average_price") == ("PARTIALLY_FILLED", "4.5", "141.2")
    assert brief(fill, "symbol", "trade_id", "order_id", "client_order_id", "side", "price", "quantity", "quantity_unit", "fee",
                 "fee_asset", "liquidity") == (
        "SOL-USDC", "55120", "9920412100765", "grid7x1", "buy", "141.2", "4.5", "base", "0.0045", "SOL", "taker",
    )  # fmt: skip
    assert fill.exchange_time == (T0 + 1) * 1_000_000


def test_fees() -> None:
    talk = Talk("okx")
    rebate = known(talk.server(push("orders", filled(fillFee="0.002", execType="M")))).fills[0]
    assert brief(rebate, "fee", "liquidity") == ("-0.002", "maker")
    only = known(talk.server(push("orders", filled(fillFee="")))).fills[0]
    assert brief(only, "fee", "fee_asset") == ("0.0045", "SOL"), "the order's, of which this fill is all"
    later = known(talk.server(push("orders", filled(fillFee="", accFillSz="9")))).fills[0]
    assert brief(later, "fee", "fee_asset") == (None, None)


def test_units_of_market_orders_and_contracts() -> None:
    talk = Talk("okx")
    told = known(talk.server(push("orders", filled(ordType="market", px="", sz="500", tgtCcy="quote_ccy"))))
    assert brief(told.orders[0], "quantity", "quantity_unit", "filled_quantity") == ("500", "quote", "4.5")
    assert told.fills[0].quantity_unit == "base"
    told = known(talk.server(push("orders", filled(instId="ETH-USDT-SWAP", instType="SWAP"))))
    assert (told.orders[0].quantity_unit, told.fills[0].quantity_unit) == ("contract", "contract")


def test_a_fill_told_twice_has_one_name() -> None:
    talk = Talk("okx")
    first = known(talk.server(push("orders", filled()))).fills[0]
    again = known(talk.server(FIXTURES[6][2])).fills[0]
    names = ("venue", "account", "symbol", "trade_id", "order_id", "side", "price", "quantity", "quantity_unit", "liquidity")
    assert brief(first, *names) == brief(again, *names)
    assert (first.fee is not None, again.fee) == (True, None)


def test_a_fill_without_an_id_is_none() -> None:
    told = known(Talk("okx").server(push("orders", filled(tradeId=""), order(ordId="2"))), "field tradeId is missing")
    assert (len(told.orders), told.fills) == (2, [])


def test_one_order_of_a_push_that_cannot_be_read() -> None:
    told = known(Talk("okx").server(push("orders", order(side="hold"), order(ordId="2"))), "field side: an unknown word")
    assert [row.order_id for row in told.orders] == ["2"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ("stop", None, "2290", "PENDING_TRIGGER")),
        ({"slOrdPx": "2289"}, ("stop_limit", "2289", "2290", "PENDING_TRIGGER")),
        (
            {"slTriggerPx": "", "slOrdPx": "", "tpTriggerPx": "2600", "tpOrdPx": "-1"},
            ("take_profit", None, "2600", "PENDING_TRIGGER"),
        ),
        ({"ordType": "oco", "tpTriggerPx": "2600"}, ("oco", None, "2290", "PENDING_TRIGGER")),
        ({"ordType": "oco", "tpTriggerPx": "2600", "tpOrdPx": "2599"}, ("oco", None, "2290", "PENDING_TRIGGER")),
        ({"tpTriggerPx": "2600", "tpOrdPx": "2599"}, ("stop", None, "2290", "PENDING_TRIGGER")),
        ({"tpTriggerPx": "0", "tpOrdPx": "0"}, ("stop", None, "2290", "PENDING_TRIGGER")),
        (
            {"ordType": "trigger", "triggerPx": "2300", "ordPx": "-1", "slOrdPx": "2289"},
            ("trigger", None, "2300", "PENDING_TRIGGER"),
        ),
        ({"ordType": "trigger", "triggerPx": "2300", "ordPx": "2301"}, ("trigger", "2301", "2300", "PENDING_TRIGGER")),
        (
            {"ordType": "move_order_stop", "slTriggerPx": "", "moveTriggerPx": "2277"},
            ("trailing_stop", None, "2277", "PENDING_TRIGGER"),
        ),
        ({"state": "effective"}, ("stop", None, "2290", None)),
        ({"state": "order_failed", "failCode": "51008"}, ("stop", None, "2290", "REJECTED")),
        ({"state": "canceled"}, ("stop", None, "2290", "CANCELED")),
    ],
)
def test_algo_orders(changes: JSON, expected: tuple[Any, ...]) -> None:
    (row,) = known(Talk("okx").server(push("orders-algo", algo(**changes)))).orders
    assert brief(row, "order_type", "price", "stop_price", "status") == expected
    assert brief(row, "order_id", "client_order_id", "quantity", "quantity_unit") == ("7731", "stop9", "3", "contract")


def test_an_algo_order_that_has_not_failed_has_no_reason() -> None:
    codes = {"": None, "0": None, "51008": "51008"}
    for code, reason in codes.items():
        assert known(Talk("okx").server(push("orders-algo", algo(failCode=code)))).orders[0].reason == reason


def test_requests_for_algo_orders_name_the_prices_of_one_leg() -> None:
    both: JSON = {"slTriggerPx": "2290", "slOrdPx": "-1", "tpTriggerPx": "2600", "tpOrdPx": "2599"}
    asked: JSON = {"instId": "ETH-USDT-SWAP", "tdMode": "cross", "side": "sell", "ordType": "conditional", "sz": "3", **both}
    call = "POST /api/v5/trade/order-algo"
    (row,) = known(Talk("okx").call(call, asked)).orders
    assert brief(row, "order_type", "price", "stop_price") == ("stop", None, "2290")
    (row,) = known(Talk("okx").call(call, asked | {"ordType": "trigger", "triggerPx": "2300", "orderPx": "2301"})).orders
    assert brief(row, "order_type", "price", "stop_price") == ("trigger", "2301", "2300")
    call = "POST /api/v5/trade/amend-algos"
    for changes, prices in (
        ({"newSlTriggerPx": "2280", "newSlOrdPx": "-1", "newTpTriggerPx": "2700", "newTpOrdPx": "2699"}, (None, "2280")),
        ({"newTpOrdPx": "2699"}, ("2699", None)),
    ):
        (row,) = known(Talk("okx").call(call, {"instId": "ETH-USDT-SWAP", "algoId": "7731", **changes})).orders
        assert brief(row, "price", "stop_price") == prices


def test_spreads() -> None:
    talk = Talk("okx")
    spread = order(
        sprdId="SOL-USDT_SOL-USDT-SWAP", px="-0.5", avgPx="-0.5", instId=None, instType=None, fillSz="1", tradeId="3"
    )
    told = known(talk.server(push("sprd-orders", spread)))
    assert brief(told.orders[0], "symbol", "price", "quantity_unit") == ("SOL-USDT_SOL-USDT-SWAP", "-0.5", None)
    assert told.fills == []
    trade = {
        "sprdId": "SOL-USDT_SOL-USDT-SWAP",
        "tradeId": "8",
        "ordId": "4",
        "clOrdId": "",
        "fillPx": "-0.5",
        "fillSz": "1",
        "state": "filled",
        "side": "sell",
        "execType": "T",
        "ts": str(T0),
    }
    (fill,) = known(talk.server(push("sprd-trades", trade))).fills
    assert brief(fill, "trade_id", "price", "quantity") == ("8", "-0.5", "1")
    known(talk.server(push("sprd-trades", trade | {"state": "rejected"})), "not filled")


# --- REST ---


def test_rest_calls_and_their_answers() -> None:
    talk = Talk("okx")
    (asked,) = known(talk.call(REST, BUY, ok_access_key="KEY-1")).orders
    assert brief(asked, "account", "action", "client_order_id", "request_id") == ("name of KEY-1", "place", "grid7x1", None)
    (row,) = known(talk.reply(REST, {"code": "0", "msg": "", "data": [result()], "inTime": "1", "outTime": "2"})).orders
    assert brief(row, "account", "order_id", "price", "status") == ("name of KEY-1", "9920412100765", "141.25", None)
    talk.call("GET /api/v5/account/balance")
    assert talk.reply("GET /api/v5/account/balance", {"code": "0", "data": []}) is None
    talk.call("POST /api/v5/trade/cancel-order", {"instId": "SOL-USDC", "clOrdId": "grid7x1"})
    (row,) = known(talk.reply("POST /api/v5/trade/cancel-order", {"code": "50011", "msg": "Too many", "data": []}, 429)).orders
    assert brief(row, "action", "client_order_id", "status", "reason") == ("cancel", "grid7x1", None, "Too many")


def test_rest_queries() -> None:
    talk = Talk("okx")
    body = {"code": "0", "msg": "", "data": [filled(), order(ordId="2")]}
    told = known(talk.reply("GET /api/v5/trade/orders-pending", body))
    assert [(row.kind, row.action, row.status) for row in told.orders] == [
        ("response", None, "PARTIALLY_FILLED"), ("response", None, "NEW"),
    ]  # fmt: skip
    assert told.fills == [], "the latest fill of an order is not news"
    body["data"] = [algo()]
    (row,) = known(talk.reply("GET /api/v5/trade/orders-algo-pending?ordType=conditional", body)).orders
    assert row.status == "PENDING_TRIGGER"
    assert talk.reply("GET /api/v5/trade/orders-pending", {"code": "0", "data": []}) is None


def test_unknown_order_calls_are_not_silent() -> None:
    talk = Talk("okx")
    known(talk.call("POST /api/v5/trade/order-by-voice", BUY), "an order call that is not known")
    known(talk.client(ask("order-by-voice", BUY)), "an order operation that is not known")
    assert talk.call("POST /api/v5/trade/order-precheck", BUY) is None
    assert talk.call("POST /api/v5/account/set-leverage", {}) is None


# --- what is no order, what is broken ---

MARKET: list[Any] = [
    {
        "arg": {"channel": "trades", "instId": "SOL-USDC"},
        "data": [{"instId": "SOL-USDC", "tradeId": "5", "px": "1", "sz": "2", "side": "buy", "ts": str(T0)}],
    },
    {
        "arg": {"channel": "books", "instId": "SOL-USDC"},
        "action": "update",
        "data": [{"asks": [["1", "2", "0", "1"]], "bids": []}],
    },
    {"arg": {"channel": "liquidation-orders", "instType": "SWAP"}, "data": [{"details": [{"side": "buy", "sz": "13"}]}]},
    {"arg": {"channel": "account", "uid": "1"}, "data": [{"details": [{"ccy": "BTC", "ordFrozen": "0"}]}]},
    {"event": "subscribe", "arg": {"channel": "orders", "instType": "ANY"}, "connId": "a"},
    {"event": "error", "code": "60012", "msg": "Invalid request", "connId": "a"},
    "ping",
    "pong",
]


@pytest.mark.parametrize("message", MARKET)
def test_what_is_no_order(message: Any) -> None:
    compact = message if isinstance(message, str) else json.dumps(message, separators=(",", ":"))
    for payload in (message, compact):
        assert Talk("okx").server(payload) is None
    assert Talk("okx").client({"op": "subscribe", "args": [{"channel": "orders", "instType": "ANY"}]}) is None
    assert Talk("okx").client("ping") is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sz", "1e30"), ("sz", "-1"), ("sz", ""), ("px", "0.1234567890123456789"), ("px", True), ("uTime", "99999999999999999"),
        ("uTime", None), ("ordId", ""), ("ordId", 5), ("instId", None), ("state", 3), ("accFillSz", "NaN"), ("clOrdId", ["x"]),
    ],
)  # fmt: skip
def test_a_field_that_cannot_be_read(field: str, value: Any) -> None:
    told = known(Talk("okx").server(push("orders", order(**{field: value}))), f"field {field}")
    assert told.orders == []


def test_an_empty_batch_is_not_silent() -> None:
    known(Talk("okx").call("POST /api/v5/trade/cancel-batch-orders", []), "a request that names no order")


def test_duplicate_keys_and_cut_messages() -> None:
    text = json.dumps(push("orders", order()))
    for broken in (text.replace('"px"', '"sz": "1", "px"'), text[:-3]):
        told = known(Talk("okx").server(broken), "")
        assert told.orders == []
    assert known(Talk("okx").client(json.dumps(ask("order", BUY))[:-1]), "not JSON").orders == []


def test_compressed_payloads() -> None:
    one = VENUE.decoder(ConnectionFacts())

    def said(value: Any) -> Any:
        stream = zlib.compressobj(wbits=-15)
        payload = stream.compress(json.dumps(value).encode()) + stream.flush()
        message = Message(1, "server", 0, 0, 0, OPCODE_BINARY, payload)
        return one.decode(message) if one.wanted("server", OPCODE_BINARY)(payload) else None

    assert known(said(push("orders", order()))).orders[0].order_id == "9920412100765"
    assert said(MARKET[0]) is None
    assert [row.order_id for row in known(said(OLD_SPOT)).orders] == ["7754120099"]
    old = known(said({"table": "spot/order_algo", "data": [{"order_id": "1", "side": "buy"}]}), "API v3")
    assert (old.kind, old.orders) == (OTHER, [])


def test_api_v3() -> None:
    columns = (
        "symbol", "client_order_id", "order_id", "side", "order_type", "time_in_force", "status", "price", "quantity",
        "quantity_unit", "filled_quantity",
    )  # fmt: skip
    told = known(Talk("okx").server(OLD_SPOT))
    assert brief(told.orders[0], *columns) == (
        "LTC-USDT", "v3a", "7754120099", "buy", "limit", None, "PARTIALLY_FILLED", "144", "3.5", "base", "2.0",
    )  # fmt: skip
    assert told.orders[0].exchange_time == 1_612_325_107_260_000_000
    assert brief(told.fills[0], "trade_id", "order_id", "side", "price", "quantity", "quantity_unit", "fee") == (
        "88123", "7754120099", "buy", "143.75", "2.0", "base", None,
    )  # fmt: skip
    assert told.fills[0].exchange_time == 1_612_325_107_250_000_000
    swap = known(Talk("okx").server(OLD_SWAP))
    assert brief(swap.orders[0], *columns) == (
        "ETH-USD-SWAP", None, "61-b", "sell", "limit", "post_only", "NEW", "1622.25", "40", "contract", "0",
    )  # fmt: skip
    assert (swap.orders[0].average_price, swap.fills) == (None, [])
    assert guess_venue("server", json.dumps(OLD_SWAP).encode()) is VENUE


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"state": "-2"}, ("REJECTED", "-2", "limit", "3.5", "base")),
        ({"state": "4"}, ("PENDING_CANCEL", "4", "limit", "3.5", "base")),
        ({"state": None, "status": "cancelled"}, ("CANCELED", "cancelled", "limit", "3.5", "base")),
        ({"state": "9"}, (None, "9", "limit", "3.5", "base")),
        ({"type": "market", "size": "0", "notional": "500"}, ("PARTIALLY_FILLED", "1", "market", "500", "quote")),
        ({"order_type": "4"}, ("PARTIALLY_FILLED", "1", "market", "3.5", "base")),
    ],
)
def test_terms_of_api_v3(changes: JSON, expected: tuple[Any, ...]) -> None:
    row = known(Talk("okx").server({"table": "spot/order", "data": [OLD_SPOT["data"][0] | changes]})).orders[0]
    assert brief(row, "status", "status_raw", "order_type", "quantity", "quantity_unit") == expected


def test_a_fill_of_api_v3_without_an_id_is_none() -> None:
    row = {key: value for key, value in OLD_SPOT["data"][0].items() if key != "last_fill_id"}
    told = known(Talk("okx").server({"table": "spot/order", "data": [row]}), "field last_fill_id")
    assert (len(told.orders), told.fills) == (1, [])


def test_the_login_of_api_v3() -> None:
    talk = Talk("okx")
    login = {"op": "login", "args": ["KEY-3", "pass/PLANTED", "1612325107.26", "sig+/PLANTED="]}
    assert known(talk.client(login)).kind == LOGIN
    assert known(talk.server(OLD_SPOT)).orders[0].account == "name of KEY-3"
    assert "PLANTED" not in VENUE.redact("client", json.dumps(login))
    assert "KEY-3" not in VENUE.redact("client", json.dumps(login))
    subscription = json.dumps({"op": "subscribe", "args": ["spot/order:LTC-USDT", "swap/depth_l2_tbt:ETH-USD-SWAP"]})
    assert VENUE.redact("client", subscription) == subscription


def test_binary_market_data_is_told_once() -> None:
    one = VENUE.decoder(ConnectionFacts(path="/ws/v5/public-sbe"))
    told = [one.decode(Message(1, "server", 0, 0, 0, OPCODE_BINARY, b"\x00\xff\x01\x02")) for _ in range(2)]
    assert known(told[0], "SBE").orders == []
    assert told[1] is None


# --- whose, secrets, which venue ---


def test_the_account_is_that_of_the_login() -> None:
    talk = Talk("okx", account="mine")
    assert known(talk.server(push("orders", order()))).orders[0].account == "mine"
    login = ask("login", {"apiKey": "KEY-1", "passphrase": "p", "timestamp": "1", "sign": "s"})
    assert known(talk.client(login)).kind == LOGIN
    assert known(talk.server({"event": "login", "code": "0", "msg": "", "connId": "a"})).kind == LOGIN
    assert known(talk.server(push("orders", order()))).orders[0].account == "name of KEY-1"


def test_secrets_are_redacted() -> None:
    texts = [
        json.dumps(ask("login", {"apiKey": "PLANTED", "passphrase": "PLANTED", "timestamp": "1", "sign": "PLANTED"})),
        json.dumps(push("orders", order())).replace("77100200300", "PLANTED"),
        "OK-ACCESS-KEY: PLANTED\r\nOK-ACCESS-SIGN: PLANTED\r\nOK-ACCESS-PASSPHRASE: PLANTED\r\n",
    ]
    for text in texts:
        assert "PLANTED" not in VENUE.redact("client", text)
        assert "[redacted]" in VENUE.redact("server", text)
    assert "PLANTED" not in VENUE.redact_path("/ws/v5/private?apiKey=PLANTED&sign=PLANTED")


def test_recognised_and_guessed() -> None:
    assert venue_of("ws.okx.com", "/ws/v5/private", 8443) is VENUE
    assert venue_of("WSPAP.okx.com.", None, None) is VENUE
    assert venue_of("127.0.0.1", "/ws/v5/business?brokerId=9999", 8080) is VENUE
    assert venue_of("okx.com.evil.example", "/ws", 443) is not VENUE
    for _, sender, payload, *http in FIXTURES[:12]:
        if not http and "orders-algo" not in str(payload):
            assert guess_venue(sender, json.dumps(payload).encode()) is VENUE
    for payload in MARKET:
        assert guess_venue("server", json.dumps(payload).encode()) is not VENUE


def test_the_search_is_quick() -> None:
    search = VENUE.decoder(ConnectionFacts()).wanted("server", OPCODE_TEXT)
    book = json.dumps(MARKET[1], separators=(",", ":")).replace(
        '"bids":[]', '"bids":[' + '["141.25","12.5","0","1"],' * 16 + "]"
    )
    payload = book.encode()
    leaves_soon(search, payload)
    assert not VENUE.decoder(ConnectionFacts()).wanted("server", OPCODE_PING)(b"")

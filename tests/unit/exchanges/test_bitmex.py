from __future__ import annotations

import json
from typing import Any

import pytest

from sniffer.config import REDACTED
from sniffer.exchanges import guess_venue, venue_of
from sniffer.exchanges.base import LOGIN
from sniffer.exchanges.bitmex import VENUE, marked
from sniffer.model import OPCODE_TEXT, Message
from tests.unit.exchanges.conversation import leaves_soon
from tests.unit.exchanges.meaning import fill, order, problem, said, told
from tests.unit.exchanges.talk import Talk

JSON = dict[str, Any]
AT = "2026-02-03T04:05:06.789Z"
NS = 1_770_091_506_789_000_000
ORDER_ID = "0c8f2b1e-77aa-4c0e-9d5b-2f1e00aa4411"
MARK = "pLaNtEd0123456789pLaNtEd"
CALL = "POST /api/v1/order"


def row(**changes: Any) -> JSON:
    return {
        "orderID": ORDER_ID, "clOrdID": "swing-5", "account": 77, "symbol": "SOLUSD", "side": "Sell", "orderQty": 300,
        "price": 142.75, "stopPx": None, "ordType": "Limit", "timeInForce": "GoodTillCancel", "execInst": "",
        "ordStatus": "New", "workingIndicator": True, "ordRejReason": "", "leavesQty": 300, "cumQty": 0, "avgPx": None,
        "text": "Submitted via API.", "transactTime": AT, "timestamp": AT,
    } | changes  # fmt: skip


def execution(**changes: Any) -> JSON:
    filled: JSON = {
        "execID": "e-00000001", "execType": "Trade", "lastQty": 120, "lastPx": 142.80, "lastLiquidityInd": "AddedLiquidity",
        "ordStatus": "PartiallyFilled", "cumQty": 120, "leavesQty": 180, "execComm": -85, "settlCurrency": "XBt",
        "commission": -0.0001, "trdMatchID": "m-1",
    }  # fmt: skip
    return row(**(filled | changes))


def table(name: str, action: str, *rows: JSON) -> JSON:
    return {"table": name, "action": action, "data": list(rows)}


DELTA: JSON = {
    "orderID": ORDER_ID,
    "ordStatus": "PartiallyFilled",
    "cumQty": 120,
    "leavesQty": 180,
    "avgPx": 142.8,
    "timestamp": AT,
}
REJECT: JSON = {
    "execID": "e-2", "orderID": ORDER_ID, "execType": "CancelReject", "ordStatus": "Rejected",
    "ordRejReason": "Invalid orderID",
    "timestamp": AT,
}  # fmt: skip
NEW: JSON = {"symbol": "SOLUSD", "side": "Sell", "orderQty": 300, "price": 142.75, "ordType": "Limit", "clOrdID": "swing-5"}

FIXTURES: list[Any] = [
    ("bitmex", "server", table("order", "partial", row(), row(orderID="o-2", price=142.5, ordType="StopLimit", stopPx=141.25))),
    ("bitmex", "server", table("order", "update", DELTA)),
    ("bitmex", "server", table("execution", "insert", execution(), execution(execID="e-3", execType="Canceled",
    ordStatus="Canceled"))),
    ("bitmex", "server", table("execution", "insert", REJECT)),
    ("bitmex", "client", NEW, CALL),
    ("bitmex", "server", row(), CALL),
    ("bitmex", "client", b"", 'DELETE /api/v1/order?orderID=["a-1","a-2"]'),
    ("bitmex", "server", [row(ordStatus="Canceled"), {"orderID": "a-2", "error": "Unable to cancel order"}],
    "DELETE /api/v1/order"),
    ("bitmex", "client", "symbol=SOLUSD&orderQty=-2.50&ordType=Market", CALL),
    ("bitmex", "server", table("trade", "insert", {"symbol": "SOLUSD", "side": "Sell", "size": 4, "price": 142.5,
    "trdMatchID": "m"})),
]  # fmt: skip
DERIVED = frozenset({"reason"})
"""Of a refusal that gives none."""


# --- tables ---


def test_a_resting_order() -> None:
    assert said(order(Talk("bitmex").server(table("order", "insert", row())))) == {
        "exchange_time": NS, "symbol": "SOLUSD", "kind": "update", "client_order_id": "swing-5", "order_id": ORDER_ID,
        "side": "sell", "order_type": "limit", "time_in_force": "gtc", "status": "NEW", "status_raw": "New", "price": "142.75",
        "quantity": "300", "quantity_unit": "contract", "filled_quantity": "0",
    }  # fmt: skip


def test_an_update_is_completed_by_what_was_said_before() -> None:
    talk = Talk("bitmex")
    talk.server(table("order", "partial", row()))
    assert said(order(talk.server(table("order", "update", DELTA)))) == {
        "exchange_time": NS, "symbol": "SOLUSD", "kind": "update", "client_order_id": "swing-5", "order_id": ORDER_ID,
        "side": "sell", "order_type": "limit", "time_in_force": "gtc", "status": "PARTIALLY_FILLED",
        "status_raw": "PartiallyFilled", "price": "142.75", "quantity": "300", "quantity_unit": "contract",
        "filled_quantity": "120", "average_price": "142.8",
    }  # fmt: skip
    amended = order(talk.server(table("order", "update", {"orderID": ORDER_ID, "price": 143, "orderQty": 250})))
    assert (str(amended.price), str(amended.quantity), amended.side, amended.status) == ("143", "250", "sell", None)
    unpriced = order(talk.server(table("order", "update", {"orderID": ORDER_ID, "price": None})))
    assert (unpriced.price, str(unpriced.quantity)) == (None, "250")
    talk.server(table("order", "update", {"orderID": ORDER_ID, "ordStatus": "Filled", "cumQty": 250}))
    assert order(talk.server(table("order", "update", DELTA))).side is None


def test_where_the_capture_starts_too_late_nothing_is_guessed() -> None:
    assert said(order(Talk("bitmex").server(table("order", "update", DELTA)))) == {
        "exchange_time": NS, "kind": "update", "order_id": ORDER_ID, "status": "PARTIALLY_FILLED",
        "status_raw": "PartiallyFilled", "filled_quantity": "120", "average_price": "142.8",
    }  # fmt: skip


def test_what_could_not_be_read_is_not_remembered() -> None:
    talk = Talk("bitmex")
    talk.server(table("order", "insert", row()))
    assert problem(talk.server(table("order", "update", DELTA | {"cumQty": "lots"})))
    assert order(talk.server(table("order", "update", DELTA))).side is None
    talk.server(table("order", "insert", row()))
    assert problem(talk.server(json.dumps(table("order", "update", DELTA))[:-4]))
    assert order(talk.server(table("order", "update", DELTA))).side is None


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        ("PendingNew", "PENDING_NEW"), ("Filled", "FILLED"), ("Canceled", "CANCELED"), ("Rejected", "REJECTED"),
        ("Expired", "EXPIRED"), ("PendingCancel", "PENDING_CANCEL"), ("PendingReplace", None), ("Stopped", None),
    ],
)  # fmt: skip
def test_statuses(raw: str, status: str | None) -> None:
    found = order(Talk("bitmex").server(table("order", "insert", row(ordStatus=raw))))
    assert (found.status, found.status_raw) == (status, raw)


def test_words() -> None:
    talk = Talk("bitmex")
    for changes, kind, force in (
        ({"ordType": "Stop"}, "stop", "gtc"), ({"ordType": "LimitIfTouched"}, "take_profit_limit", "gtc"),
        ({"ordType": "Stop", "pegPriceType": "TrailingStopPeg"}, "trailing_stop", "gtc"),
        ({"execInst": "ParticipateDoNotInitiate,ReduceOnly"}, "limit", "post_only"),
        ({"ordType": "Iceberg", "timeInForce": "AtTheClose"}, "iceberg", "attheclose"),
    ):  # fmt: skip
        found = order(talk.server(table("order", "insert", row(**changes))))
        assert (found.order_type, found.time_in_force) == (kind, force)
    text = "Canceled: Order had execInst of ParticipateDoNotInitiate"
    assert order(talk.server(table("order", "insert", row(ordStatus="Canceled", text=text)))).reason == text
    assert order(talk.server(table("order", "insert", row(symbol="SOL_USDT")))).quantity_unit is None


def test_a_fill() -> None:
    decoded = told(Talk("bitmex").server(table("execution", "insert", execution())))
    assert decoded.orders == []
    assert said(fill(decoded)) == {
        "exchange_time": NS, "symbol": "SOLUSD", "trade_id": "e-00000001", "order_id": ORDER_ID, "client_order_id": "swing-5",
        "side": "sell", "price": "142.8", "quantity": "120", "quantity_unit": "contract", "fee": "-85", "fee_asset": "XBt",
        "liquidity": "maker",
    }  # fmt: skip


def test_a_snapshot_repeats_old_fills_under_the_same_id() -> None:
    talk = Talk("bitmex")
    first = fill(talk.server(table("execution", "insert", execution())))
    assert fill(talk.server(table("execution", "partial", execution()))).trade_id == first.trade_id


def test_executions_that_are_no_trades() -> None:
    talk = Talk("bitmex")
    found = order(talk.server(table("execution", "insert", execution(execType="Replaced", ordStatus="New", price=150))))
    assert (found.status, str(found.price), found.kind) == ("NEW", "150", "update")
    refused = order(talk.server(table("execution", "insert", REJECT)))  # the request was rejected, the order was not
    assert (refused.status, refused.status_raw, refused.reason, refused.order_id) == (
        None,
        "Rejected",
        "Invalid orderID",
        ORDER_ID,
    )
    for execution_type, action in (("CancelReject", "cancel"), ("AmendReject", "amend")):  # as an answer without a reason
        reject = {**REJECT, "execType": execution_type, "ordRejReason": ""}
        refused = order(talk.server(table("execution", "insert", reject)))
        assert (refused.kind, refused.action, refused.status, refused.reason) == ("response", action, None, "Rejected")
    for payment in ("Funding", "Settlement"):
        decoded = talk.server(table("execution", "insert", execution(execType=payment, side="")))
        assert decoded is not None
        assert (decoded.kind, decoded.fills, decoded.problem) == ("other", [], None)
    odd = talk.server(table("execution", "insert", execution(execType="Surprise"), execution()))
    assert odd is not None
    assert (len(odd.fills), odd.problem) == (1, "field execType: an unknown word, so a fill may be missing")


def test_rows_that_leave_the_table_are_forgotten() -> None:
    talk = Talk("bitmex")
    talk.server(table("order", "insert", row()))
    left = talk.server(table("order", "delete", {"orderID": ORDER_ID}))
    assert left is not None
    assert (left.kind, left.orders) == ("other", [])
    assert order(talk.server(table("order", "update", DELTA))).side is None


def test_rows_without_their_table() -> None:
    assert fill(Talk("bitmex").server(execution())).trade_id == "e-00000001"
    assert order(Talk("bitmex").server(row())).status == "NEW"


# --- REST ---


def test_a_call_and_its_answer() -> None:
    talk = Talk("bitmex")
    assert said(order(talk.call(CALL, NEW, api_key="KEY-a"))) == {
        "account": "name of KEY-a", "symbol": "SOLUSD", "kind": "request", "action": "place", "client_order_id": "swing-5",
        "side": "sell", "order_type": "limit", "price": "142.75", "quantity": "300", "quantity_unit": "contract",
    }  # fmt: skip
    found = order(talk.reply(CALL, row()))
    assert (found.kind, found.action, found.order_id, found.status, found.account) == (
        "response", "place", ORDER_ID, "NEW", "name of KEY-a",
    )  # fmt: skip


def test_a_sign_is_a_side_and_forms_are_read() -> None:
    talk = Talk("bitmex")
    for form, side in (
        ("symbol=SOLUSD&orderQty=-2.50&ordType=Market", "sell"),
        ("symbol=SOLUSD&orderQty=2.5&ordType=Market", "buy"),
    ):
        found = order(talk.call(CALL, form))
        assert (found.side, str(found.quantity.normalize() if found.quantity else None), found.order_type) == (
            side,
            "2.5",
            "market",
        )
    bulk = told(talk.call("POST /api/v1/order/bulk", {"orders": [NEW, NEW | {"clOrdID": "b"}]}))
    assert [(one.client_order_id, one.item) for one in bulk.orders] == [("swing-5", 0), ("b", 1)]


def test_a_call_that_leaves_the_time_in_force_out_may_be_post_only_all_the_same() -> None:
    for instruction, force in (("ParticipateDoNotInitiate", "post_only"), ("ReduceOnly", None), ("", None)):
        call = {"symbol": "XBTUSD", "side": "Buy", "orderQty": 10, "price": 5000, "execInst": instruction}
        assert order(Talk("bitmex").call(CALL, call)).time_in_force == force


def test_refusals_are_joined_to_their_calls() -> None:
    talk = Talk("bitmex")
    error = {"error": {"message": "Account has insufficient Available Balance", "name": "ValidationError"}}
    talk.call(CALL, NEW)
    found = order(talk.reply(CALL, error, 400))
    assert (found.client_order_id, found.status, found.status_raw, found.reason) == (
        "swing-5", "REJECTED", "ValidationError", "Account has insufficient Available Balance",
    )  # fmt: skip
    talk.call(CALL, NEW)
    assert order(talk.reply(CALL, error, 503)).status is None
    amend = "PUT /api/v1/order"
    assert order(talk.call(amend, {"origClOrdID": "swing-5", "clOrdID": "swing-6", "price": 140})).client_order_id == "swing-5"
    found = order(talk.reply(amend, error, 400))
    assert (found.action, found.client_order_id, found.status, found.price) == ("amend", "swing-5", None, None)
    for scant, reason in (({"name": "HTTPError"}, "HTTPError"), ({}, "error")):  # without one it would count as taken
        talk.call(amend, {"origClOrdID": "swing-5", "price": 140})
        assert order(talk.reply(amend, {"error": scant}, 400)).reason == reason
    assert order(talk.reply(CALL, error, 400)).status == "REJECTED"  # whose call was not seen


def test_cancellations() -> None:
    talk = Talk("bitmex")
    for call, body in (
        ('DELETE /api/v1/order?orderID=["a-1","a-2"]', b""), ("DELETE /api/v1/order", {"orderID": ["a-1", "a-2"]}),
        ("DELETE /api/v1/order", "orderID=a-1%2Ca-2"),
    ):  # fmt: skip
        assert [one.order_id for one in told(talk.call(call, body)).orders] == ["a-1", "a-2"]
    assert order(talk.call("DELETE /api/v1/order", {"clOrdID": "swing-5"})).client_order_id == "swing-5"
    parts = [
        row(ordStatus="Canceled", text="Canceled via API."),
        {"orderID": "a-2", "error": "Unable to cancel order", "timestamp": AT},
    ]
    found = told(talk.reply("DELETE /api/v1/order", parts)).orders
    assert [(one.action, one.order_id, one.status, one.reason) for one in found] == [
        ("cancel", ORDER_ID, "CANCELED", "Canceled via API."), ("cancel", "a-2", None, "Unable to cancel order"),
    ]  # fmt: skip
    late = order(
        talk.reply("DELETE /api/v1/order", [{"orderID": "a-3", "ordStatus": "Rejected", "ordRejReason": "Invalid orderID"}])
    )
    assert (late.status, late.status_raw) == (None, "Rejected")
    assert said(order(talk.call("DELETE /api/v1/order/all", {"symbol": "SOLUSD"}))) == {
        "symbol": "SOLUSD", "kind": "request", "action": "cancel",
    }  # fmt: skip
    nothing = talk.reply("DELETE /api/v1/order/all", [])
    assert nothing is not None
    assert (nothing.kind, nothing.problem) == ("other", None)


def test_queries() -> None:
    talk = Talk("bitmex")
    assert talk.call("GET /api/v1/order?symbol=SOLUSD") is None
    found = order(talk.reply("GET /api/v1/order?symbol=SOLUSD", [row(ordStatus="Filled")]))
    assert (found.kind, found.action, found.status) == ("response", None, "FILLED")
    assert fill(talk.reply("GET /api/v1/execution/tradeHistory", [execution(lastLiquidityInd="Removed")])).liquidity == "taker"
    assert talk.reply("GET /api/v1/order", []) is None


# --- logins, what is no order, what is broken ---


def test_logins() -> None:
    talk = Talk("bitmex")
    asked = talk.client({"op": "authKeyExpires", "args": ["KEY-a", 1770000000, "SIGNED"]})
    cut = talk.client('{"op":"authKeyExpires","args":["KEY')
    assert [one and one.kind for one in (asked, cut)] == [LOGIN] * 2
    for answer in (  # the search drops them; where all messages are kept, they are not stored either
        {"success": True, "request": {"op": "authKeyExpires", "args": ["KEY-a", 1770000000, "SIGNED"]}},
        {"status": 401, "error": "Signature not valid.", "request": {"op": "authKey", "args": ["KEY-a", 1, "x"]}},
    ):
        sent = Message(1, "server", 0, 0, 0, OPCODE_TEXT, json.dumps(answer).encode())
        decoded = talk.decoder.decode(sent)
        assert decoded is not None
        assert decoded.kind == LOGIN
    assert order(talk.server(table("order", "insert", row()))).account == "name of KEY-a"
    path = "/realtime?subscribe=order&api-expires=1&api-key=KEY-b&api-signature=s"
    assert order(Talk("bitmex", path=path).server(table("order", "insert", row()))).account == "name of KEY-b"


def test_several_accounts_in_one_connection() -> None:
    talk = Talk("bitmex")
    for stream, key in (("s-1", "KEY-1"), ("s-2", "KEY-2")):
        talk.client([1, stream, "userStream"])
        talk.client([0, stream, "userStream", {"op": "authKeyExpires", "args": [key, 1770000000, "SIGNED"]}])
    found = [
        order(talk.server([0, stream, "userStream", table("order", "insert", row())])).account for stream in ("s-2", "s-1")
    ]
    assert found == ["name of KEY-2", "name of KEY-1"]


def test_what_is_no_order() -> None:
    talk = Talk("bitmex")
    for message in (
        table("trade", "insert", {"symbol": "SOLUSD", "side": "Sell", "size": 4, "price": 142.5, "trdMatchID": "m"}),
        table("orderBookL2", "update", {"symbol": "SOLUSD", "id": 5, "side": "Sell", "size": 4}),
        table("liquidation", "insert", {"orderID": ORDER_ID, "symbol": "SOLUSD", "side": "Sell", "price": 1, "leavesQty": 4}),
        table("position", "update", {"account": 77, "symbol": "SOLUSD", "openOrderSellQty": 5}),
        {"success": True, "subscribe": "order:SOLUSD", "request": {"op": "subscribe", "args": ["order:SOLUSD"]}},
        {"info": "Welcome to the BitMEX Realtime API.", "version": "2"}, "pong",
    ):  # fmt: skip
        assert talk.server(message) is None
    empty = talk.server(table("order", "partial") | {"types": {"orderID": "guid", "execID": "guid"}})
    assert empty is not None
    assert (empty.kind, empty.problem) == ("other", None)
    assert talk.client("ping") is None
    assert talk.client({"op": "subscribe", "args": ["order", "execution"]}) is None
    assert talk.call("POST /api/v1/order/cancelAllAfter", {"timeout": 5}) is None
    assert talk.call("POST /api/v1/position/leverage", {"leverage": 5}) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"orderQty": True}, {"price": "NaN"}, {"cumQty": -1}, {"orderQty": 10**21}, {"price": "0.1234567890123456789"},
        {"side": "Short"}, {"orderID": None}, {"ordStatus": 5}, {"timestamp": "yesterday"},
        {"timestamp": "9999-01-01T00:00:00Z"},
    ],
)  # fmt: skip
def test_wrong_fields_are_problems(changes: JSON) -> None:
    talk = Talk("bitmex")
    assert problem(talk.server(table("order", "insert", row(**changes))))
    around = talk.server(table("order", "insert", row(orderID="a"), row(**changes), row(orderID="b")))
    assert around is not None
    assert [one.order_id for one in around.orders] == ["a", "b"]


def test_broken_messages_are_problems() -> None:
    talk = Talk("bitmex")
    text = json.dumps(table("order", "insert", row()))
    assert "twice" in problem(talk.server(text.replace('"price":', '"price": 9, "price":')))
    assert problem(talk.server({"table": "order", "action": "insert", "data": 5}))
    assert problem(talk.call(CALL, NEW | {"orderQty": "lots"}))
    assert problem(talk.call("POST /api/v1/order/brandNew", NEW))
    assert problem(talk.call("DELETE /api/v1/order", {"orderID": [5]}))
    assert problem(talk.reply(CALL, b"<html>502</html>", 502))


# --- venue, secrets, speed ---


def test_recognised() -> None:
    assert venue_of("ws.bitmex.com", "/realtime", 443) is VENUE
    assert venue_of("testnet.bitmex.com", "/api/v1/order", 443) is VENUE
    assert venue_of("bitmex.com.evil.example", "/realtime", 443) is None
    for message in (table("order", "update", DELTA), table("execution", "insert", execution())):
        assert guess_venue("server", json.dumps(message).encode()) is VENUE
    assert guess_venue("server", json.dumps(table("liquidation", "insert", DELTA)).encode()) is None


def test_secrets() -> None:
    for message in (
        {"op": "authKeyExpires", "args": [MARK, 1770000000, MARK * 2]},
        {"success": True, "request": {"op": "authKey", "args": [MARK, 1770000000, MARK]}},
        [0, "s-1", "userStream", {"op": "authKeyExpires", "args": [MARK, 1770000000, MARK]}],
    ):  # fmt: skip
        for text in (json.dumps(message), json.dumps(message, indent=1), json.dumps(message)[:-12]):
            clean = VENUE.redact("server", text)
            assert MARK not in clean
            assert REDACTED in clean
    assert MARK not in VENUE.redact("client", f"api-key: {MARK}\r\napi-signature: {MARK}\r\nHost: a")
    assert MARK not in VENUE.redact_path(f"/realtime?subscribe=order&api-key={MARK}&api-signature={MARK}")
    for untouched in (
        json.dumps({"op": "subscribe", "args": ["order", "publicNotifications", "orderBookL2_25:SOLUSD"]}),
        json.dumps(table("order", "insert", row())),
    ):  # fmt: skip
        assert VENUE.redact("client", untouched) == untouched


def test_market_data_leaves_soon() -> None:
    book = table(
        "orderBookL2", "update", *({"symbol": "SOLUSD", "id": n, "side": "Sell", "size": 4, "price": 142.5} for n in range(7))
    )
    payload = json.dumps(book, separators=(",", ":")).encode()
    leaves_soon(marked, payload)

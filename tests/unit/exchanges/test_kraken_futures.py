from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from sniffer.config import REDACTED
from sniffer.exchanges import guess_venue, venue_of
from sniffer.exchanges.base import LOGIN
from sniffer.exchanges.kraken_futures import VENUE, marked
from sniffer.model import OPCODE_TEXT, Message
from tests.unit.exchanges.conversation import leaves_soon
from tests.unit.exchanges.meaning import fill, order, problem, said, told
from tests.unit.exchanges.talk import Talk, known

JSON = dict[str, Any]
T0 = 1_771_000_000_789
NS = T0 * 1_000_000
AT = "2026-02-13T16:26:40.789Z"
ORDER_ID = "7e0f5c11-2c0d-4b0a-8f6e-aa10bb20cc30"
MARK = "pLaNtEd0123456789+/pLaNtEd0123456789=="
REST = "POST /derivatives/api/v3/"


def shown(**changes: Any) -> JSON:
    """An order of the feed."""
    return {
        "instrument": "PF_ADAUSD", "time": T0 - 9, "last_update_time": T0, "qty": 1500.0, "filled": 0.0, "limit_price": 0.7135,
        "stop_price": 0.0, "type": "limit", "order_id": ORDER_ID, "cli_ord_id": "swing-1", "direction": 1, "reduce_only": False,
    } | changes  # fmt: skip


def delta(reason: str, removed: bool = False, feed: str = "open_orders", **changes: Any) -> JSON:
    return {"feed": feed, "order": shown(**changes), "is_cancel": removed, "reason": reason}


def traded(**changes: Any) -> JSON:
    return {
        "instrument": "PF_ADAUSD", "time": T0, "price": 0.7136, "seq": 4, "buy": False, "qty": 400.25,
        "remaining_order_qty": 1099.75,
        "order_id": ORDER_ID, "cli_ord_id": "swing-1", "fill_id": "f-0001", "fill_type": "maker", "fee_paid": -0.0571,
        "fee_currency": "USD", "taker_order_type": "ioc", "order_type": "lmt",
    } | changes  # fmt: skip


def event_order(**changes: Any) -> JSON:
    """An order of REST's order events."""
    return {
        "orderId": ORDER_ID, "cliOrdId": "swing-1", "type": "lmt", "symbol": "PF_ADAUSD", "side": "sell", "quantity": 1500,
        "filled": 0, "limitPrice": 0.7135, "reduceOnly": False, "timestamp": AT, "lastUpdateTimestamp": AT,
    } | changes  # fmt: skip


def sent(status: str, *events: JSON, key: str = "sendStatus", **changes: Any) -> JSON:
    told_by: JSON = {
        "status": status,
        "receivedTime": AT,
        "order_id": ORDER_ID,
        "cliOrdId": "swing-1",
        "orderEvents": list(events),
    }
    return {"result": "success", "serverTime": AT, key: told_by | changes}


PLACED: JSON = {"type": "PLACE", "order": event_order(), "reducedQuantity": None}
EXECUTED: JSON = {
    "type": "EXECUTION", "executionId": "f-0001", "price": 0.7136, "amount": 1500, "orderPriorEdit": None,
    "orderPriorExecution": event_order(), "takerReducedQuantity": None,
}  # fmt: skip
NEW: JSON = {
    "orderType": "lmt", "symbol": "PF_ADAUSD", "side": "sell", "size": "1500", "limitPrice": "0.7135", "cliOrdId": "swing-1",
}  # fmt: skip
BATCH = [
    {"order": "send", "order_tag": "1"} | NEW | {"size": 1500, "limitPrice": 0.7135},
    {"order": "edit", "order_id": "o-2", "limitPrice": 5.5, "qtyMode": "ABSOLUTE", "size": 8.5},
    {"order": "cancel", "cliOrdId": "swing-3"},
]
BATCH_ANSWER: JSON = {
    "result": "success", "serverTime": AT,
    "batchStatus": [
        {"status": "insufficientAvailableFunds", "order_tag": "1", "orderEvents": []},
        {"status": "edited", "order_id": "o-2", "orderEvents": [
            {"type": "EDIT", "old": event_order(orderId="o-2"), "new": event_order(orderId="o-2", quantity=8.5,
            limitPrice=5.5)},
        ]},
        {"status": "notFound", "cliOrdId": "swing-3"},
    ],
}  # fmt: skip
SUBSCRIBE: JSON = {
    "event": "subscribe",
    "feed": "fills",
    "api_key": "KEY-a",
    "original_challenge": "c",
    "signed_challenge": "s",
}

FIXTURES: list[Any] = [
    ("kraken-futures", "server", {"feed": "open_orders_snapshot", "account": "a", "orders": [shown(), shown(order_id="o-2",
    type="stop")]}),
    ("kraken-futures", "server", delta("partial_fill", qty=1099.75, filled=400.25)),
    ("kraken-futures", "server", {"feed": "open_orders", "order_id": ORDER_ID, "is_cancel": True,
    "reason": "cancelled_by_user"}),
    ("kraken-futures", "server", {"feed": "fills", "username": "u", "fills": [traded()]}),
    ("kraken-futures", "client", urlencode(NEW), REST + "sendorder"),
    ("kraken-futures", "server", sent("placed", PLACED), REST + "sendorder"),
    ("kraken-futures", "server", sent("placed", EXECUTED), REST + "sendorder"),
    ("kraken-futures", "client", urlencode({"json": json.dumps({"batchOrder": BATCH})}), REST + "batchorder"),
    ("kraken-futures", "server", BATCH_ANSWER, REST + "batchorder"),
    ("kraken-futures", "server", {"feed": "trade", "product_id": "PF_ADAUSD", "uid": "u", "side": "sell", "qty": 4.5,
    "price": 0.7}),
]  # fmt: skip
DERIVED = frozenset({"quantity", "filled_quantity", "reason"})
"""Sums; a refusal that gives no reason."""


# --- feeds ---


def test_a_new_order() -> None:
    for feed in ("open_orders", "open_orders_verbose"):
        assert said(order(Talk("kraken-futures").server(delta("new_placed_order_by_user", feed=feed)))) == {
            "exchange_time": NS, "symbol": "PF_ADAUSD", "kind": "update", "client_order_id": "swing-1", "order_id": ORDER_ID,
            "side": "sell", "order_type": "limit", "status": "NEW", "status_raw": "new_placed_order_by_user", "price": "0.7135",
            "stop_price": "0.0", "quantity": "1500.0", "quantity_unit": "base", "filled_quantity": "0.0",
        }  # fmt: skip


def test_an_orders_life() -> None:
    talk = Talk("kraken-futures")
    talk.server(delta("new_placed_order_by_user"))
    part = order(talk.server(delta("partial_fill", qty=1099.7500000000002, filled=400.25)))
    assert (part.status, str(part.quantity), str(part.filled_quantity)) == ("PARTIALLY_FILLED", "1500.0", "400.25")
    gone = order(talk.server({"feed": "open_orders", "order_id": ORDER_ID, "is_cancel": True, "reason": "cancelled_by_user"}))
    assert said(gone) == {
        "symbol": "PF_ADAUSD", "kind": "update", "client_order_id": "swing-1", "order_id": ORDER_ID, "side": "sell",
        "order_type": "limit", "status": "CANCELED", "status_raw": "cancelled_by_user", "price": "0.7135", "stop_price": "0.0",
        "quantity": "1500.0", "quantity_unit": "base", "reason": "cancelled_by_user",
    }  # fmt: skip
    again = order(talk.server({"feed": "open_orders", "order_id": ORDER_ID, "is_cancel": True, "reason": "cancelled_by_user"}))
    assert (again.symbol, again.quantity) == (None, None)


def test_an_edit_may_have_changed_the_quantity() -> None:
    talk = Talk("kraken-futures")
    talk.server(delta("new_placed_order_by_user"))
    edited = order(talk.server(delta("edited_by_user", qty=1000.0, limit_price=0.7)))
    assert (str(edited.quantity), str(edited.price)) == ("1000.0", "0.7")
    talk.server(delta("partial_fill", qty=600.0, filled=400.0))
    assert str(order(talk.server(delta("edited_by_user", qty=50.0, filled=400.0))).quantity) == "450.0"
    noisy: JSON = {"qty": 49.800000000000004, "filled": 400.2}  # the venue's sums, and so no quantity that anybody ordered
    assert str(order(talk.server(delta("partial_fill", **noisy))).quantity) == "450.0"
    assert order(talk.server(delta("edited_by_user", **noisy))).quantity is None
    assert order(talk.server(delta("cancelled_by_user", True, qty=0.0, filled=440.0))).quantity is None


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        ("full_fill", "FILLED"), ("partial_fill", "CANCELED"), ("cancelled_by_admin", "CANCELED"), ("dead_man_switch",
        "CANCELED"),
        ("liquidation", "CANCELED"), ("contract_expired", "EXPIRED"), ("would_execute_self", "REJECTED"),
        ("post_order_failed_because_it_would_filled", "REJECTED"), ("stop_order_triggered", None), ("a_new_word", None),
    ],
)  # fmt: skip
def test_why_an_order_left_the_book(reason: str, status: str | None) -> None:
    found = order(Talk("kraken-futures").server(delta(reason, True, qty=0.0, filled=1500.0)))
    ended = reason not in ("full_fill", "stop_order_triggered")
    assert (found.status, found.status_raw, found.reason) == (status, reason, reason if ended else None)
    assert found.quantity == (1500 if reason == "full_fill" else None)


def test_a_snapshot_and_orders_that_wait() -> None:
    orders = [shown(), shown(order_id="o-2", type="stop", stop_price=0.65), shown(order_id="o-3", filled=3.5)]  # qty is open
    rows = told(Talk("kraken-futures").server({"feed": "open_orders_snapshot", "account": "a", "orders": orders})).orders
    assert [(row.order_id, row.status, row.order_type, str(row.quantity)) for row in rows] == [
        (ORDER_ID, "NEW", "limit", "1500.0"), ("o-2", "PENDING_TRIGGER", "stop_limit", "1500.0"),
        ("o-3", "PARTIALLY_FILLED", "limit", "1503.5"),
    ]  # fmt: skip
    inverse = order(Talk("kraken-futures").server(delta("new_placed_order_by_user", instrument="PI_XBTUSD", direction=0)))
    assert (inverse.quantity_unit, inverse.side) == ("contract", "buy")


def test_fills() -> None:
    talk = Talk("kraken-futures")
    expected = {
        "exchange_time": NS, "symbol": "PF_ADAUSD", "trade_id": "f-0001", "order_id": ORDER_ID, "client_order_id": "swing-1",
        "side": "sell", "price": "0.7136", "quantity": "400.25", "quantity_unit": "base", "fee": "-0.0571", "fee_asset": "USD",
        "liquidity": "maker",
    }  # fmt: skip
    for feed in ("fills_snapshot", "fills"):  # the same fill, told again
        assert said(fill(talk.server({"feed": feed, "account": "a", "fills": [traded()]}))) == expected
    assert fill(talk.server({"feed": "fills", "fills": [traded(fill_type="liquidation")]})).liquidity is None
    empty = talk.server({"feed": "fills_snapshot", "account": "a", "fills": []})
    assert empty is not None
    assert (empty.kind, empty.problem) == ("other", None)


# --- REST ---


def test_a_call_and_its_answer() -> None:
    talk = Talk("kraken-futures")
    call = REST + "sendorder"
    assert said(order(talk.call(call, urlencode(NEW), apikey="KEY-b"))) == {
        "account": "name of KEY-b", "symbol": "PF_ADAUSD", "kind": "request", "action": "place", "client_order_id": "swing-1",
        "side": "sell", "order_type": "limit", "price": "0.7135", "quantity": "1500", "quantity_unit": "base",
    }  # fmt: skip
    found = order(talk.reply(call, sent("placed", PLACED)))
    assert (found.kind, found.action, found.status, found.order_id, found.account, found.exchange_time) == (
        "response", "place", "NEW", ORDER_ID, "name of KEY-b", NS,
    )  # fmt: skip
    assert order(talk.call(f"{call}?{urlencode(NEW | {'orderType': 'post'})}")).time_in_force == "post_only"


def test_executions_in_an_answer_have_the_ids_of_the_feed() -> None:
    talk = Talk("kraken-futures")
    decoded = told(talk.reply(REST + "sendorder", sent("placed", EXECUTED)))
    assert [(row.status, str(row.filled_quantity)) for row in decoded.orders] == [("FILLED", "1500")]
    assert said(fill(decoded)) == {
        "symbol": "PF_ADAUSD", "trade_id": "f-0001", "order_id": ORDER_ID, "client_order_id": "swing-1", "side": "sell",
        "price": "0.7136", "quantity": "1500", "quantity_unit": "base",
    }  # fmt: skip
    partly = told(talk.reply(REST + "sendorder", sent("placed", EXECUTED | {"amount": 20})))
    assert [(row.status, str(row.filled_quantity)) for row in partly.orders] == [(None, "20")]
    rest = {"type": "PLACE", "order": event_order(quantity=1480, filled=20)}
    gone = {"type": "CANCEL", "order": event_order(quantity=1480, filled=20)}
    for event, status in ((rest, "PARTIALLY_FILLED"), (gone, "CANCELED")):
        (row,) = told(talk.reply(REST + "sendorder", sent("placed", EXECUTED | {"amount": 20}, event))).orders
        assert (row.status, str(row.quantity), str(row.filled_quantity)) == (status, "1500", "20")


def test_a_market_order_is_shown_as_an_ioc_with_a_limit_that_nobody_asked_for() -> None:
    talk = Talk("kraken-futures")
    shown_as = event_order(type="ioc", limitPrice=0.65)
    events = [EXECUTED | {"amount": amount, "orderPriorExecution": shown_as} for amount in (20, 30)]
    for asked, shown_in_the_end in (
        ({"orderType": "mkt", "limitPrice": None}, ("market", None)),
        ({"orderType": "ioc"}, ("limit", "0.7135")),
        (None, (None, None)),
    ):
        if asked is not None:
            call = {name: value for name, value in (NEW | asked).items() if value is not None}
            talk.call(REST + "sendorder", urlencode(call))
        (row,) = told(talk.reply(REST + "sendorder", sent("placed", *events))).orders
        price = None if row.price is None else str(row.price)
        assert (row.order_type, price) == shown_in_the_end
        assert (row.status, str(row.filled_quantity), row.time_in_force) == ("CANCELED", "50", "ioc")  # what is left is gone


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (sent("insufficientAvailableFunds"), "REJECTED"), (sent("postWouldExecute", {"type": "REJECT", "order": event_order(),
         "reason": "POST_WOULD_EXECUTE"}), "REJECTED"), (sent("attempted"), "PENDING_NEW"), (sent("aNewWord"), None),
        ({"result": "error", "error": "invalidArgument: size", "serverTime": AT}, "REJECTED"),
    ],
)  # fmt: skip
def test_success_may_hold_a_refusal(answer: JSON, status: str | None) -> None:
    talk = Talk("kraken-futures")
    talk.call(REST + "sendorder", urlencode(NEW))
    found = order(talk.reply(REST + "sendorder", answer))
    assert (found.client_order_id, found.side, found.status, found.action) == ("swing-1", "sell", status, "place")
    assert (found.reason is None) == (status != "REJECTED")


def test_orders_that_wait_for_a_trigger() -> None:
    talk = Talk("kraken-futures")
    stop = NEW | {"orderType": "stp", "stopPrice": "0.65"}
    assert order(talk.call(REST + "sendorder", urlencode(stop))).order_type == "stop_limit"
    trigger = {
        "uid": ORDER_ID, "clientId": "swing-1", "type": "lmt", "symbol": "PF_ADAUSD", "side": "sell", "quantity": 1500,
        "limitPrice": 0.7135, "triggerPrice": 0.65, "triggerSide": "trigger_below",
    }  # fmt: skip
    found = order(talk.reply(REST + "sendorder", sent("placed", {"type": "PLACE", "orderTrigger": trigger})))
    assert (found.status, found.order_type, str(found.stop_price)) == ("PENDING_TRIGGER", "stop_limit", "0.65")


def test_edits_and_cancels() -> None:
    talk = Talk("kraken-futures")
    edit = order(talk.call(REST + "editorder", urlencode({"orderId": ORDER_ID, "limitPrice": "0.7", "size": "10"})))
    assert (edit.action, edit.order_id, str(edit.price), edit.quantity) == ("amend", ORDER_ID, "0.7", None)
    event = {"type": "EDIT", "old": event_order(), "new": event_order(limitPrice=0.70, quantity=10)}
    found = order(talk.reply(REST + "editorder", sent("edited", event, key="editStatus")))
    assert (found.action, found.status, str(found.price), str(found.quantity)) == ("amend", "NEW", "0.7", "10")
    assert order(talk.reply(REST + "editorder", sent("orderForEditNotFound", key="editStatus"))).status is None
    assert order(talk.call(REST + "cancelorder", urlencode({"order_id": ORDER_ID}))).action == "cancel"
    gone = {"type": "CANCEL", "uid": ORDER_ID, "order": event_order()}
    found = order(talk.reply(REST + "cancelorder", sent("cancelled", gone, key="cancelStatus")))
    assert (found.action, found.status, found.order_id) == ("cancel", "CANCELED", ORDER_ID)
    talk.call(REST + "cancelorder", urlencode({"cliOrdId": "swing-9"}))
    late = order(
        talk.reply(REST + "cancelorder", {"result": "success", "cancelStatus": {"status": "notFound", "receivedTime": AT}})
    )
    assert (late.client_order_id, late.status, late.reason) == ("swing-9", None, "notFound")


def test_a_batch_that_fails_in_part() -> None:
    for seen in (True, False):
        talk = Talk("kraken-futures")
        if seen:
            asked = told(talk.call(REST + "batchorder", urlencode({"json": json.dumps({"batchOrder": BATCH})}))).orders
            assert [(row.action, row.item, row.order_id) for row in asked] == [
                ("place", 0, None),
                ("amend", 1, "o-2"),
                ("cancel", 2, None),
            ]
        rows = told(talk.reply(REST + "batchorder", BATCH_ANSWER)).orders
        assert [(row.action, row.order_id, row.status, row.reason) for row in rows] == [
            ("place", None, "REJECTED", "insufficientAvailableFunds"), ("amend", "o-2", "NEW", None), ("cancel", None, None,
            "notFound"),
        ]  # fmt: skip
        assert rows[0].client_order_id == ("swing-1" if seen else None)


def test_cancel_all() -> None:
    talk = Talk("kraken-futures")
    call = REST + "cancelallorders"
    assert said(order(talk.call(call, "symbol=PF_ADAUSD"))) == {"symbol": "PF_ADAUSD", "kind": "request", "action": "cancel"}
    gone = {"type": "CANCEL", "uid": ORDER_ID, "order": event_order()}
    status = {
        "status": "cancelled",
        "receivedTime": AT,
        "cancelledOrders": [{"order_id": ORDER_ID}, {"order_id": "o-2"}],
        "orderEvents": [gone],
    }
    rows = told(talk.reply(call, {"result": "success", "cancelStatus": status})).orders
    assert [(row.order_id, row.status, row.symbol) for row in rows] == [
        (ORDER_ID, "CANCELED", "PF_ADAUSD"),
        ("o-2", "CANCELED", None),
    ]


def test_queries() -> None:
    talk = Talk("kraken-futures")
    listed = {
        "order_id": ORDER_ID, "symbol": "PF_ADAUSD", "side": "sell", "orderType": "lmt", "limitPrice": 0.7135,
        "unfilledSize": 1500,
        "filledSize": 0, "status": "untouched", "receivedTime": AT, "lastUpdateTime": AT, "cliOrdId": "swing-1",
    }  # fmt: skip
    call = "GET /derivatives/api/v3/openorders"
    rows = told(
        talk.reply(call, {"result": "success", "openOrders": [listed, listed | {"orderType": "stop", "stopPrice": 1.5}]})
    ).orders
    assert [(row.kind, row.action, row.status, str(row.quantity)) for row in rows] == [
        ("response", None, "NEW", "1500"), ("response", None, "PENDING_TRIGGER", "1500"),
    ]  # fmt: skip
    wrapped = {
        "order": event_order(filled=500, quantity=1000) | {"type": "ORDER"},
        "status": "CANCELLED",
        "updateReason": "PARTIAL_FILL",
    }
    row = order(talk.reply(REST + "orders/status", {"result": "success", "orders": [wrapped]}))
    assert (row.status, row.reason, row.quantity, str(row.filled_quantity)) == ("CANCELED", "PARTIAL_FILL", None, "500")
    told_fill = {
        "fill_id": "f-0001", "symbol": "PF_ADAUSD", "side": "sell", "order_id": ORDER_ID, "fillTime": AT, "size": 400.25,
        "price": 0.7136, "fillType": "takerAfterEdit",
    }  # fmt: skip
    found = fill(talk.reply("GET /derivatives/api/v3/fills", {"result": "success", "fills": [told_fill]}))
    assert (found.trade_id, found.liquidity, found.exchange_time) == ("f-0001", "taker", NS)
    broken = known(talk.reply(call, {"result": "success", "openOrders": [{}], "fills": [told_fill]}), "field status")
    assert (broken.orders, len(broken.fills)) == ([], 1)


# --- logins, what is no order, what is broken ---


def test_logins() -> None:
    talk = Talk("kraken-futures")
    for message in ({"event": "challenge", "api_key": "KEY-a"}, SUBSCRIBE, '{"event":"subscribe","signed_challenge":"x'):
        decoded = talk.client(message)
        assert decoded is not None
        assert decoded.kind == LOGIN
    for answer in ({"event": "challenge", "message": "c-1"}, SUBSCRIBE | {"event": "subscribed"}):
        decoded = talk.decoder.decode(Message(1, "server", 0, 0, 0, OPCODE_TEXT, json.dumps(answer).encode()))
        assert decoded is not None
        assert decoded.kind == LOGIN
    assert order(talk.server(delta("new_placed_order_by_user"))).account == "name of KEY-a"


def test_what_is_no_order() -> None:
    talk = Talk("kraken-futures")
    for message in (
        {"feed": "trade", "product_id": "PF_ADAUSD", "uid": "u", "side": "sell", "type": "fill", "qty": 4.5, "price": 0.7},
        {"feed": "book", "product_id": "PF_ADAUSD", "side": "sell", "seq": 4, "price": 0.7, "qty": 0.0},
        {"feed": "ticker", "product_id": "PF_ADAUSD", "bid": 0.7, "openInterest": 5}, {"feed": "heartbeat", "time": T0},
        {"feed": "open_positions", "account": "a", "positions": []}, {"feed": "balances", "account": "a"},
        {"event": "subscribed", "feed": "trade", "product_ids": ["PF_ADAUSD"]}, {"event": "info", "version": 1},
    ):  # fmt: skip
        assert talk.server(message) is None
    assert talk.client({"event": "subscribe", "feed": "trade", "product_ids": ["PF_ADAUSD"]}) is None
    assert talk.call(REST + "cancelallordersafter", "timeout=60") is None
    assert talk.call("GET /derivatives/api/v3/tickers") is None


@pytest.mark.parametrize(
    "changes",
    [
        {"qty": True}, {"limit_price": "NaN"}, {"filled": -1.5}, {"qty": 10**21}, {"limit_price": "0.1234567890123456789"},
        {"direction": 2}, {"direction": "buy"}, {"order_id": None}, {"instrument": 5}, {"last_update_time": 10**17},
        {"type": 4},
    ],
)  # fmt: skip
def test_wrong_fields_are_problems(changes: JSON) -> None:
    talk = Talk("kraken-futures")
    assert problem(talk.server(delta("new_placed_order_by_user", **changes)))
    orders = [shown(order_id="a"), shown(**changes), shown(order_id="b")]
    around = talk.server({"feed": "open_orders_snapshot", "orders": orders})
    assert around is not None
    assert [row.order_id for row in around.orders] == ["a", "b"]


def test_broken_messages_are_problems() -> None:
    talk = Talk("kraken-futures")
    text = json.dumps(delta("new_placed_order_by_user"))
    assert problem(talk.server(text[:-9]))
    assert "twice" in problem(talk.server(text.replace('"qty":', '"qty": 9, "qty":')))
    assert problem(talk.server(delta("x") | {"is_cancel": "yes"}))
    assert problem(talk.server({"feed": "fills", "fills": [traded(buy=None)]}))
    assert problem(talk.call(REST + "sendorder", urlencode(NEW | {"size": "lots"})))
    assert problem(talk.call(REST + "batchorder", "json=%7B%22batchOrder%22%3A5%7D"))
    assert problem(talk.reply(REST + "sendorder", b"<html>502</html>", 502))
    assert problem(talk.reply(REST + "sendorder", {"result": "success", "sendStatus": 5}))


# --- venue, secrets, speed ---


def test_recognised() -> None:
    assert venue_of("futures.kraken.com", "/ws/v1", 443) is VENUE
    assert venue_of("127.0.0.1", "/derivatives/api/v3/sendorder", 8080) is VENUE
    assert venue_of("ws.kraken.com", "/v2", 443) is not VENUE
    for message in (delta("full_fill", True), {"feed": "fills", "fills": [traded()]}):
        assert guess_venue("server", json.dumps(message).encode()) is VENUE


def test_secrets() -> None:
    for message in (
        SUBSCRIBE | {"api_key": MARK, "original_challenge": MARK, "signed_challenge": MARK},
        {"event": "subscribed", "feed": "fills", "api_key": MARK, "original_challenge": MARK, "signed_challenge": MARK},
    ):
        for text in (json.dumps(message), json.dumps(message, indent=1), json.dumps(message)[:-12]):
            clean = VENUE.redact("server", text)
            assert MARK not in clean
            assert REDACTED in clean
    assert MARK not in VENUE.redact("client", f"APIKey: {MARK}\r\nAuthent: {MARK}\r\nHost: a")
    untouched = json.dumps(delta("full_fill", True))
    assert VENUE.redact("server", untouched) == untouched


def test_market_data_leaves_soon() -> None:
    book = {
        "feed": "book_snapshot",
        "product_id": "PF_ADAUSD",
        "seq": 4,
        "bids": [{"price": 0.7135, "qty": 1500.0}] * 16,
        "asks": [],
    }
    payload = json.dumps(book, separators=(",", ":")).encode()
    leaves_soon(marked, payload)

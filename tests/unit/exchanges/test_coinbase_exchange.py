"""Coinbase Exchange: own events of the feed, and REST. Messages as the documentation describes them, with values of our own."""

from __future__ import annotations

import json
import pickle
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from sniffer.exchanges import guess_venue
from sniffer.exchanges.base import LOGIN, ConnectionFacts
from sniffer.exchanges.coinbase_exchange import VENUE, marked
from sniffer.exchanges.numbers import rfc3339_ns
from sniffer.model import OPCODE_HTTP, OPCODE_TEXT, FillEvent, HttpHead, Message, OrderEvent, Sender
from tests.unit.exchanges.conversation import connect, message, shown
from tests.unit.exchanges.conversation import last as last_of

JSON = dict[str, Any]

AT = "2025-03-04T05:06:07.123456Z"
ORDER_ID = "6f1f0b52-1111-4222-8333-444455556666"
OTHER_ID = "0a0a0a0a-1111-4222-8333-444455556666"
PLACE, CANCEL, FILLS = "POST /orders", f"DELETE /orders/{ORDER_ID}?product_id=ADA-EUR", "GET /fills?product_id=ADA-EUR"


def event(kind: str, **fields: Any) -> JSON:
    """An own event of the feed."""
    row: JSON = {
        "type": kind, "side": "sell", "product_id": "ADA-EUR", "time": AT, "sequence": 90210, "profile_id": "p-1",
        "user_id": "u-1", "order_id": ORDER_ID,
    }  # fmt: skip
    return row | fields


def received(**fields: Any) -> JSON:
    return event("received", **({"order_type": "limit", "size": "4.5", "price": "0.71", "client_oid": "strat-5"} | fields))


def done(reason: str = "filled", **fields: Any) -> JSON:
    return event("done", **({"reason": reason, "price": "0.71", "remaining_size": "0"} | fields))


def match(role: str = "taker", **fields: Any) -> JSON:
    ids = {"maker_order_id": OTHER_ID, "taker_order_id": ORDER_ID}
    if role == "maker":
        ids = {"maker_order_id": ORDER_ID, "taker_order_id": OTHER_ID}
    row = event("match", trade_id=771122, size="1.25", price="0.7125", **ids, **{f"{role}_user_id": "u-1"})
    del row["order_id"]
    return row | fields


def placed(**fields: Any) -> JSON:
    row: JSON = {
        "id": ORDER_ID, "price": "0.71000000", "size": "4.50000000", "product_id": "ADA-EUR", "profile_id": "p-1",
        "side": "sell", "type": "limit", "time_in_force": "GTC", "post_only": False, "created_at": AT, "fill_fees": "0",
        "filled_size": "0", "executed_value": "0", "status": "pending", "settled": False, "client_oid": "strat-5",
    }  # fmt: skip
    return row | fields


def rest_fill(**fields: Any) -> JSON:
    row: JSON = {
        "trade_id": 771122, "product_id": "ADA-EUR", "order_id": ORDER_ID, "user_id": "u-1", "profile_id": "p-1",
        "liquidity": "T", "price": "0.7125", "size": "1.25", "fee": "0.0053", "created_at": AT, "side": "sell", "settled": True,
    }  # fmt: skip
    return row | fields


BODY = {"type": "limit", "side": "sell", "product_id": "ADA-EUR", "price": "0.71", "size": "4.5", "client_oid": "strat-5"}
SUBSCRIBE = {
    "type": "subscribe", "channels": [{"name": "user", "product_ids": ["ADA-EUR"]}], "key": "KEY-of-alice", "signature": "s",
    "passphrase": "p", "timestamp": "1741064767.5",
}  # fmt: skip

FIXTURES: list[tuple[str, Sender, Any] | tuple[str, Sender, Any, str]] = [
    ("coinbase-exchange", "server", received()),
    ("coinbase-exchange", "server", event("open", price="0.71", remaining_size="3.25")),
    ("coinbase-exchange", "server", match()),
    ("coinbase-exchange", "server", match("maker")),
    ("coinbase-exchange", "server", event("change", reason="STP", old_size="4.5", new_size="3.5", price="0.71")),
    ("coinbase-exchange", "server", done()),
    ("coinbase-exchange", "server", done("canceled", cancel_reason="102:Self Trade Prevention", remaining_size="3.25")),
    ("coinbase-exchange", "server", event("activate", stop_type="loss", stop_price="0.6", size="4.5", funds="5", private=True)),
    ("coinbase-exchange", "client", BODY, PLACE),
    ("coinbase-exchange", "server", placed(), PLACE),
    ("coinbase-exchange", "client", BODY, PLACE),
    ("coinbase-exchange", "server", {"message": "Insufficient funds"}, PLACE),
    ("coinbase-exchange", "client", b"", CANCEL),
    ("coinbase-exchange", "server", f'"{ORDER_ID}"', CANCEL),
    ("coinbase-exchange", "server", [ORDER_ID, OTHER_ID], "DELETE /orders"),
    ("coinbase-exchange", "server", [placed(status="done", done_reason="canceled", done_at=AT)], "GET /orders?status=all"),
    ("coinbase-exchange", "server", [rest_fill(), rest_fill(trade_id=2, liquidity="M")], FILLS),
]
DERIVED = frozenset({"filled_quantity"})
"""Of the size, what is not left."""


decoder = partial(connect, VENUE)
last = partial(last_of, VENUE)

IDS = ("action", "order_id", "client_order_id")
TERMS = ("symbol", "side", "order_type", "time_in_force", "price", "stop_price", "quantity", "quantity_unit")
LIMIT = ("ADA-EUR", "sell", "limit", None, Decimal("0.71"), None, Decimal("4.5"), "base")


# --- the feed ---


def test_the_life_of_an_order() -> None:
    one = decoder()
    rows: list[OrderEvent] = []
    for each in (received(), event("open", price="0.71", remaining_size="3.25"), match(), done("canceled"), event("open")):
        decoded = one.decode(message("server", each))
        assert decoded is not None
        assert (decoded.kind, decoded.problem) == ("update", None)
        rows += decoded.orders
        for fill in decoded.fills:
            assert fill.client_order_id == "strat-5"
    assert [shown(row, *IDS, "status", "status_raw") for row in rows] == [
        (None, ORDER_ID, "strat-5", "NEW", "received"),
        (None, ORDER_ID, "strat-5", "NEW", "open"),
        (None, ORDER_ID, "strat-5", "CANCELED", "canceled"),
        (None, ORDER_ID, None, "NEW", "open"),  # nothing is known of an order that has ended
    ]
    assert [shown(row, *TERMS) for row in rows[:3]] == [LIMIT] * 3
    assert {row.exchange_time for row in rows} == {rfc3339_ns(AT)}
    assert [row.filled_quantity for row in rows] == [None, Decimal("1.25"), None, None]


@pytest.mark.parametrize(
    ("events", "filled"),
    [
        ([received(), done("canceled", remaining_size="3.25")], "1.25"),
        ([received(), done()], "4.5"),
        ([received(order_type="market", price=None), done(remaining_size=None)], "4.5"),
        ([received(), event("open", remaining_size="4.5")], None),  # said once, it would stand when matches follow
        ([received(order_type="market", price=None), done("canceled", remaining_size=None)], None),
        ([received(), done("canceled", remaining_size="0")], None),
        ([received(), done("canceled", remaining_size="5")], None),
        ([received(), event("change", old_size="4.5", new_size="3.5"), done()], None),
        ([received(size=None, funds="50"), done()], None),
        ([done()], None),
    ],
)
def test_what_is_filled_is_what_is_not_left(events: list[JSON], filled: str | None) -> None:
    (row,) = last(*(("server", each) for each in events)).orders
    assert row.filled_quantity == (None if filled is None else Decimal(filled))


def test_what_was_not_seen_is_not_said() -> None:
    (row,) = last(("server", done("filled", price=None))).orders
    assert shown(row, "status", "client_order_id", *TERMS) == ("FILLED", None, "ADA-EUR", "sell", *[None] * 6)


@pytest.mark.parametrize(
    ("row", "columns"),
    [
        (
            received(order_type="market", price=None, size=None, funds="75.5"),
            {"quantity": Decimal("75.5"), "quantity_unit": "quote"},
        ),
        ({**received(), "client_oid": None, "client-oid": "old"}, {"client_order_id": "old"}),
        (done("canceled", cancel_reason="101:Time In Force"), {"status": "CANCELED", "reason": "101:Time In Force"}),
        (done("melted"), {"status": None, "status_raw": "melted"}),
        (
            event("activate", stop_type="loss", stop_price="0.6", size="4.5", timestamp="1741064767.25", time=AT),
            {"status": "PENDING_TRIGGER", "order_type": "stop", "stop_price": Decimal("0.6"), "quantity": Decimal("4.5")},
        ),
        (event("change", old_size="5", new_size="4", price="0.71"), {"status": None, "status_raw": "change", "quantity": None}),
        (event("change", reason="modify_order", old_price="1", new_price="2"), {"price": Decimal(2)}),
    ],
)
def test_events(row: JSON, columns: JSON) -> None:
    (found,) = last(("server", row)).orders
    assert {name: getattr(found, name) for name in columns} == columns


def test_the_time_of_an_activation() -> None:
    row = event("activate", stop_price="0.6", size="4.5", timestamp="1741064767.299")
    del row["time"]
    assert last(("server", row)).orders[0].exchange_time == 1_741_064_767_299_000_000


def test_a_change_makes_the_quantity_unknown() -> None:
    rows = last(("server", received()), ("server", event("change", old_size="4.5", new_size="4")), ("server", done())).orders
    assert [shown(row, "quantity", "client_order_id") for row in rows] == [(None, "strat-5")]


@pytest.mark.parametrize(("role", "side"), [("taker", "buy"), ("maker", "sell")])
def test_the_side_of_a_match_is_the_makers(role: str, side: str) -> None:
    decoded = last(("server", match(role)))
    assert decoded.orders == []
    assert decoded.fills == [
        FillEvent(
            7, "server", 3, 0, 2000, rfc3339_ns(AT), "coinbase-exchange", None, "ADA-EUR", "771122", ORDER_ID, None, side,
            Decimal("0.7125"), Decimal("1.25"), "base", None, None, role,
        )
    ]  # fmt: skip


def test_a_trade_with_oneself_is_two_fills() -> None:
    fills = last(("server", match("taker", maker_user_id="u-1"))).fills
    assert [shown(fill, "item", "order_id", "side", "liquidity", "trade_id") for fill in fills] == [
        (0, OTHER_ID, "sell", "maker", "771122"),
        (1, ORDER_ID, "buy", "taker", "771122"),
    ]


@pytest.mark.parametrize(
    "payload",
    [
        match(taker_user_id="u-2"), match(trade_id=None), match(size="x"), match(price=None), match(side="none"), match(time=5),
        received(order_id=5), received(side="none"), received(price="1e40"), received(size=True), event("done", reason=None),
        received(time="50000-01-01T00:00:00Z"), received(product_id=""), event("open", time=None), received(type=5),
        json.dumps(received()).encode()[:-5], b'{"type":"open","user_id":"u","user_id":"v"}', received(size="-1"),
    ],
)  # fmt: skip
def test_a_broken_event_is_a_problem(payload: Any) -> None:
    decoded = last(("server", payload))
    assert (decoded.kind, decoded.orders, decoded.fills) == ("update", [], [])
    assert decoded.problem is not None


def test_what_could_not_be_read_is_not_completed() -> None:
    (row,) = last(("server", received()), ("server", event("change", new_price="x")), ("server", done())).orders
    assert row.client_order_id is None


MARKET = [
    json.dumps({name: value for name, value in row.items() if name not in ("user_id", "profile_id", "taker_user_id")}).encode()
    for row in (received(), event("open", price="1", remaining_size="2"), match(), done())
] + [b'{"type":"l2update","product_id":"ADA-EUR","changes":[["buy","0.7","5"]]}', b'{"type":"heartbeat","sequence":5}']


@pytest.mark.parametrize("payload", MARKET)
def test_events_of_others_are_market_data(payload: bytes) -> None:
    assert not marked(payload)
    assert not VENUE.looks_like("server", payload)
    assert decoder().decode(message("server", payload)) is None


def test_other_messages_are_no_orders() -> None:
    for payload in (event("ticker"), {"type": "subscriptions", "channels": []}, {"type": "error", "message": "user_id"}):
        assert decoder().decode(message("server", payload)) is None


# --- REST ---


def test_calls() -> None:
    decoded = last(("client", BODY, PLACE))
    (row,) = decoded.orders
    assert (decoded.kind, row.status, row.exchange_time) == ("request", None, None)
    assert shown(row, *IDS, *TERMS) == ("place", None, "strat-5", *LIMIT)
    (row,) = last(("client", b"", CANCEL)).orders
    assert shown(row, *IDS, "symbol") == ("cancel", ORDER_ID, None, "ADA-EUR")
    (row,) = last(("client", b"", "DELETE /orders/client:strat-5")).orders
    assert shown(row, *IDS) == ("cancel", None, "strat-5")
    (row,) = last(("client", b"", "DELETE /orders?product_id=ADA-EUR")).orders
    assert shown(row, *IDS, "symbol") == ("cancel", None, None, "ADA-EUR")


@pytest.mark.parametrize(
    ("changes", "columns"),
    [
        ({"type": "market", "price": None, "size": None, "funds": "50"}, {"order_type": "market", "quantity_unit": "quote"}),
        ({"stop": "loss", "stop_price": "0.6"}, {"order_type": "stop_limit", "stop_price": Decimal("0.6")}),
        ({"type": "market", "stop": "entry", "stop_price": "0.8"}, {"order_type": "stop"}),
        ({"post_only": True, "time_in_force": "GTC"}, {"time_in_force": "post_only"}),
        ({"time_in_force": "GTT"}, {"time_in_force": "gtd"}),
        ({"type": None}, {"order_type": None}),
    ],
)
def test_terms(changes: JSON, columns: JSON) -> None:
    (row,) = last(("client", BODY | changes, PLACE)).orders
    assert {name: getattr(row, name) for name in columns} == columns


def test_a_placed_order() -> None:
    for told in (("server", placed(), PLACE),), (("client", BODY, PLACE), ("server", placed(), PLACE)):
        (row,) = last(*told).orders
        assert shown(row, *IDS, *TERMS) == ("place", ORDER_ID, "strat-5", *LIMIT[:3], "gtc", *LIMIT[4:])
        assert shown(row, "kind", "status", "status_raw", "filled_quantity", "exchange_time") == (
            "response", "PENDING_NEW", "pending", Decimal(0), rfc3339_ns(AT),
        )  # fmt: skip
    for filled, known in (("0", None), ("1.25", Decimal("1.25"))):  # that nothing is yet would stand for good
        (row,) = last(("server", placed(type="market", filled_size=filled), PLACE)).orders
        assert row.filled_quantity == known


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({"status": "open"}, "NEW", None),
        ({"status": "active"}, "PENDING_TRIGGER", None),
        ({"status": "rejected", "reject_reason": "post only"}, "REJECTED", "post only"),
        ({"status": "done", "done_reason": "filled"}, "FILLED", None),
        ({"status": "done", "done_reason": "canceled"}, "CANCELED", None),
        ({"status": "done", "done_reason": "melted"}, None, "melted"),
        ({"status": "new word"}, None, None),
    ],
)
def test_statuses_of_rest(changes: JSON, status: str | None, reason: str | None) -> None:
    for call, body in (("GET /orders", [placed(**changes)]), (f"GET /orders/{ORDER_ID}", placed(**changes))):
        (row,) = last(("server", body, call)).orders
        assert shown(row, "action", "status", "status_raw", "reason") == (None, status, changes["status"], reason)


def test_refusals() -> None:
    error = {"message": "Insufficient funds"}
    (row,) = last(("client", BODY, PLACE), ("server", error, PLACE, 400)).orders
    assert shown(row, *IDS, *TERMS) == ("place", None, "strat-5", *LIMIT)
    assert shown(row, "status", "reason", "kind") == ("REJECTED", "Insufficient funds", "response")
    (row,) = last(("client", BODY, PLACE), ("server", error, PLACE, 503)).orders
    assert row.status is None
    (row,) = last(("server", error, PLACE)).orders
    assert shown(row, "action", "status", "reason") == ("place", "REJECTED", "Insufficient funds")
    (row,) = last(("client", b"", CANCEL), ("server", {"message": "order not found"}, CANCEL, 404)).orders
    assert shown(row, *IDS, "status", "reason") == ("cancel", ORDER_ID, None, None, "order not found")


def test_cancels_are_answered_by_ids() -> None:
    for body in (ORDER_ID, [ORDER_ID]):
        (row,) = last(("client", b"", CANCEL), ("server", body, CANCEL)).orders
        assert shown(row, *IDS, "symbol", "status", "kind") == ("cancel", ORDER_ID, None, "ADA-EUR", None, "response")
    rows = last(("server", ["a", "b"], "DELETE /orders")).orders
    assert [shown(row, *IDS) for row in rows] == [("cancel", "a", None), ("cancel", "b", None)]
    call = "DELETE /orders/client:strat-5"
    for told, order_id in (("strat-5", None), (ORDER_ID, ORDER_ID)):
        for seen in ((("client", b"", call),), ()):  # the target says whose id it is
            (row,) = last(*seen, ("server", told, call)).orders
            assert shown(row, *IDS) == ("cancel", order_id, "strat-5")
    assert decoder().decode(message("server", [], "DELETE /orders")) is None


def test_fills_of_rest_and_feed_are_one() -> None:
    (queried,) = last(("server", [rest_fill(side="buy")], FILLS)).fills
    (live,) = last(("server", match())).fills
    assert queried == live._replace(fee=Decimal("0.0053"))
    decoded = last(("server", [rest_fill(price="x"), rest_fill()], FILLS))
    assert (len(decoded.fills), decoded.problem) == (1, "field price: not a decimal number")


@pytest.mark.parametrize(
    ("sender", "body"), [("client", b"{"), ("client", BODY | {"side": "x"}), ("server", b"no"), ("server", 5)]
)
def test_broken_bodies_give_a_problem(sender: Sender, body: Any) -> None:
    decoded = last((sender, body, PLACE))
    assert decoded.orders == []
    assert decoded.problem is not None


def test_other_calls_are_none_of_ours() -> None:
    for call in ("GET /products/ADA-EUR/trades", "POST /orders/x", "PUT /orders", "GET /accounts", "GET /fills"):
        assert decoder().decode(message("client", b"", call)) is None
        assert decoder().decode(message("server", {"message": "x"}, call)) is None
    assert decoder().decode(Message(7, "client", 0, 0, 0, OPCODE_HTTP, b"", HttpHead("POST", None, None, ()))) is None


# --- whose, secrets, recognition ---


def test_subscriptions_are_logins() -> None:
    one = decoder()
    decoded = one.decode(message("client", SUBSCRIBE))
    assert decoded is not None
    assert (decoded.kind, one.account) == (LOGIN, "name of KEY-of-alice")
    decoded = one.decode(message("server", received()))
    assert decoded is not None
    assert [row.account for row in decoded.orders] == ["name of KEY-of-alice"]
    decoded = one.decode(message("client", BODY, PLACE, cb_access_key="KEY-of-bob"))
    assert decoded is not None
    assert [row.account for row in decoded.orders] == ["name of KEY-of-bob"]
    assert one.decode(message("client", {"type": "subscribe", "channels": ["ticker"]})) is None


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"subscribe","key":"SECRET","signature":"SECRET","passphrase":"SECRET","timestamp":"1"}',
        "CB-ACCESS-KEY: SECRET\r\nCB-ACCESS-SIGN: SECRET\r\nCB-ACCESS-PASSPHRASE: SECRET\r\n", "Authorization: Bearer SECRET",
    ],
)  # fmt: skip
def test_secrets_are_taken_out(text: str) -> None:
    assert "SECRET" not in VENUE.redact("client", text)
    assert "SECRET" not in VENUE.redact_path("/orders?signature=SECRET")


def test_recognition() -> None:
    assert VENUE.recognises("ws-feed.exchange.coinbase.com", "/", 443)
    assert not VENUE.recognises("advanced-trade-ws.coinbase.com", "/", 443)
    for each in (received(), match(), done()):
        raw = json.dumps(each).encode()
        assert decoder().wanted("server", OPCODE_TEXT)(raw)
        assert guess_venue("server", raw) is VENUE
    assert guess_venue("client", json.dumps(SUBSCRIBE).encode()) is VENUE


def test_a_decoder_can_be_kept() -> None:
    one = VENUE.decoder(ConnectionFacts(connection_id=7))
    one.decode(message("server", received()))
    decoded = pickle.loads(pickle.dumps(one)).decode(message("server", done()))
    assert decoded is not None
    assert [row.client_order_id for row in decoded.orders] == ["strat-5"]

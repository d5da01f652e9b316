"""Coinbase Advanced Trade: the user channel and REST. Messages as the documentation describes them, with values of our own."""

from __future__ import annotations

import base64
import json
import pickle
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from sniffer.exchanges import guess_venue
from sniffer.exchanges.base import LOGIN, ConnectionFacts
from sniffer.exchanges.coinbase_advanced import VENUE, key_name, marked
from sniffer.exchanges.numbers import rfc3339_ns
from sniffer.model import OPCODE_HTTP, OPCODE_TEXT, FillEvent, HttpHead, Message, Sender
from tests.unit.exchanges.conversation import connect, message, shown
from tests.unit.exchanges.conversation import last as last_of

JSON = dict[str, Any]

AT = "2025-03-04T05:06:07.123456789Z"
ORDER_ID = "6f1f0b52-1111-4222-8333-444455556666"
CREATE, EDIT, CANCEL, CLOSE = (
    f"POST /api/v3/brokerage/orders{tail}" for tail in ("", "/edit", "/batch_cancel", "/close_position")
)
FILLS, LIST = (f"GET /api/v3/brokerage/orders/historical/{tail}" for tail in ("fills?order_ids=1", "batch?limit=5"))


def user(*orders: Any, type_: str = "update", **changes: Any) -> JSON:
    head = {"channel": "user", "client_id": "", "timestamp": AT, "sequence_num": 3}
    return head | {"events": [{"type": type_, "orders": [*orders]}]} | changes


def order(**changes: Any) -> JSON:
    row: JSON = {
        "order_id": ORDER_ID, "client_order_id": "strat-5", "cumulative_quantity": "1.25", "leaves_quantity": "2.75",
        "avg_price": "0.7125", "total_fees": "0.004", "status": "OPEN", "product_id": "ADA-EUR", "order_side": "SELL",
        "creation_time": "2025-03-04T05:00:00.1Z", "order_type": "Limit", "cancel_reason": "", "reject_reason": "",
        "limit_price": "0.71", "stop_price": "", "time_in_force": "GOOD_UNTIL_CANCELLED", "post_only": "false",
        "trigger_status": "INVALID_ORDER_TYPE", "number_of_fills": "2",
    }  # fmt: skip
    return row | changes


LIMIT_GTC = {"limit_limit_gtc": {"base_size": "4", "limit_price": "0.71", "post_only": False}}


def create(configuration: Any = None, **changes: Any) -> JSON:
    body: JSON = {
        "client_order_id": "strat-5", "product_id": "ADA-EUR", "side": "SELL",
        "order_configuration": LIMIT_GTC if configuration is None else configuration,
    }  # fmt: skip
    return body | changes


CREATED = {
    "success": True,
    "success_response": {"order_id": ORDER_ID, "product_id": "ADA-EUR", "side": "SELL", "client_order_id": "strat-5"},
    "order_configuration": LIMIT_GTC,
}
REFUSED = {
    "success": False, "failure_reason": "UNKNOWN_FAILURE_REASON", "order_id": "",
    "error_response": {
        "error": "INSUFFICIENT_FUND", "message": "Insufficient balance in source account", "error_details": "",
        "preview_failure_reason": "PREVIEW_INSUFFICIENT_FUND",
    },
    "order_configuration": LIMIT_GTC,
}  # fmt: skip
RESULTS = {
    "results": [
        {"success": True, "failure_reason": "UNKNOWN_CANCEL_FAILURE_REASON", "order_id": ORDER_ID},
        {"success": False, "failure_reason": "DUPLICATE_CANCEL_REQUEST", "order_id": "o-2"},
    ]
}


def fill(**changes: Any) -> JSON:
    row: JSON = {
        "entry_id": "e-1", "trade_id": "9d1c-77", "order_id": ORDER_ID, "trade_time": AT, "trade_type": "FILL",
        "price": "0.7125", "size": "1.25", "commission": "0.0053", "product_id": "ADA-EUR", "side": "SELL",
        "sequence_timestamp": AT, "liquidity_indicator": "MAKER", "size_in_quote": False, "user_id": "u-1",
    }  # fmt: skip
    return row | changes


def queried(**changes: Any) -> JSON:
    row: JSON = {
        "order_id": ORDER_ID, "product_id": "ADA-EUR", "user_id": "u-1", "order_configuration": LIMIT_GTC, "side": "SELL",
        "client_order_id": "strat-5", "status": "CANCELLED", "time_in_force": "GOOD_UNTIL_CANCELLED", "created_time": AT,
        "filled_size": "1.25", "average_filled_price": "0.7125", "order_type": "LIMIT", "reject_message": "",
        "reject_reason": "REJECT_REASON_UNSPECIFIED", "cancel_message": "User requested cancel", "last_update_time": AT,
    }  # fmt: skip
    return row | changes


FIXTURES: list[tuple[str, Sender, Any] | tuple[str, Sender, Any, str]] = [
    ("coinbase-advanced", "server", user(order(), order(order_id="o-2", status="FILLED"))),
    ("coinbase-advanced", "server", user(order(status="CANCELLED", cancel_reason="User requested"), type_="snapshot")),
    ("coinbase-advanced", "client", create(), CREATE),
    ("coinbase-advanced", "server", CREATED, CREATE),
    ("coinbase-advanced", "client", create(), CREATE),
    ("coinbase-advanced", "server", REFUSED, CREATE),
    ("coinbase-advanced", "client", {"order_id": ORDER_ID, "price": "0.75", "size": "3.5"}, EDIT),
    ("coinbase-advanced", "server", {"success": True, "success_response": {"order_id": ORDER_ID}, "errors": []}, EDIT),
    ("coinbase-advanced", "client", {"order_ids": [ORDER_ID, "o-2"]}, CANCEL),
    ("coinbase-advanced", "server", RESULTS, CANCEL),
    ("coinbase-advanced", "server", {"fills": [fill(), fill(trade_id="2", side="BUY")], "cursor": ""}, FILLS),
    ("coinbase-advanced", "server", {"orders": [queried()], "has_next": False}, LIST),
]
DERIVED = frozenset({"reason"})
"""Of a refusal that gives none."""


def jwt(claims: Any) -> str:
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({"alg": "ES256"}, claims)]
    return ".".join([*parts, "SIGNATURE"])


decoder = partial(connect, VENUE)
last = partial(last_of, VENUE)

IDS = ("action", "order_id", "client_order_id")
TERMS = ("symbol", "side", "order_type", "time_in_force", "price", "stop_price", "quantity", "quantity_unit")
LIMIT = ("ADA-EUR", "sell", "limit", "gtc", Decimal("0.71"), None, Decimal(4), "base")


# --- the user channel ---


def test_an_update() -> None:
    decoded = last(("server", user(order())))
    (row,) = decoded.orders
    assert (decoded.kind, decoded.problem, row.action) == ("update", None, None)
    assert shown(row, *IDS[1:], *TERMS) == (
        ORDER_ID, "strat-5", "ADA-EUR", "sell", "limit", "gtc", Decimal("0.71"), None, None, None,
    )  # fmt: skip
    assert shown(row, "status", "status_raw", "filled_quantity", "average_price", "exchange_time", "reason") == (
        "NEW", "OPEN", Decimal("1.25"), Decimal("0.7125"), rfc3339_ns(AT), None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        ("PENDING", "PENDING_NEW"), ("QUEUED", "PENDING_NEW"), ("OPEN", "NEW"), ("EDIT_QUEUED", "NEW"), ("FILLED", "FILLED"),
        ("CANCEL_QUEUED", "PENDING_CANCEL"), ("CANCELLED", "CANCELED"), ("EXPIRED", "EXPIRED"), ("FAILED", "REJECTED"),
        ("UNKNOWN_ORDER_STATUS", None), ("MELTED", None),
    ],
)  # fmt: skip
def test_statuses(raw: str, status: str | None) -> None:
    (row,) = last(("server", user(order(status=raw)))).orders
    assert shown(row, "status", "status_raw") == (status, raw)


@pytest.mark.parametrize(
    ("changes", "column", "value"),
    [
        ({"order_type": "Stop Limit"}, "order_type", "stop_limit"),
        ({"order_type": "MARKET"}, "order_type", "market"),
        ({"order_type": "UNKNOWN_ORDER_TYPE"}, "order_type", None),
        ({"stop_price": "0.8"}, "stop_price", Decimal("0.8")),
        ({"post_only": "true"}, "time_in_force", "post_only"),
        ({"time_in_force": "FILL_OR_KILL"}, "time_in_force", "fok"),
        ({"time_in_force": "UNKNOWN_TIME_IN_FORCE"}, "time_in_force", None),
        ({"reject_reason": "NO_LIQUIDITY"}, "reason", "NO_LIQUIDITY"),
        ({"cancel_reason": "User requested"}, "reason", "User requested"),
    ],
)
def test_terms_and_reasons(changes: JSON, column: str, value: Any) -> None:
    (row,) = last(("server", user(order(**changes)))).orders
    assert getattr(row, column) == value


@pytest.mark.parametrize(
    "changes",
    [
        {"order_id": 5}, {"order_side": "NONE"}, {"status": None}, {"cumulative_quantity": "x"}, {"avg_price": True},
        {"limit_price": "1e40"}, {"product_id": ""}, {"order_type": []}, {"cumulative_quantity": "-1"},
    ],
)  # fmt: skip
def test_a_broken_order_is_a_problem_and_the_others_stay(changes: JSON) -> None:
    decoded = last(("server", user(order(**changes), 5, order(order_id="o-2"))))
    assert [row.order_id for row in decoded.orders] == ["o-2"]
    assert decoded.problem is not None


@pytest.mark.parametrize(
    "payload",
    [
        user(order(), timestamp="50000-01-01T00:00:00Z"), user(events=[{"orders": 5}]), user(order(), timestamp=5),
        json.dumps(user(order())).encode()[:-60], b'{"channel":"user","events":[{"orders":[{"order_id":"a","order_id":"b"}]}]}',
    ],
)  # fmt: skip
def test_a_broken_message_is_a_problem(payload: Any) -> None:
    decoded = last(("server", payload))
    assert (decoded.kind, decoded.orders) == ("update", [])
    assert decoded.problem is not None


MARKET = [
    b'{"channel":"market_trades","client_id":"","events":[{"type":"update","trades":[{"product_id":"ADA-EUR","trade_id":"1"}]}]}',
    b'{"channel":"l2_data","events":[{"type":"update","updates":[{"side":"bid","price_level":"0.7","new_quantity":"5"}]}]}',
    b'{"channel":"heartbeats","client_id":"","events":[{"heartbeat_counter":5}]}',
    json.dumps({"channel": "ticker", "events": [{"tickers": [{"product_id": "ADA-EUR", "price": "0.7"}] * 8}]}).encode(),
]


@pytest.mark.parametrize("payload", MARKET)
def test_market_data_is_no_order(payload: bytes) -> None:
    assert not marked(payload)
    assert not VENUE.looks_like("server", payload)
    assert decoder().decode(message("server", payload)) is None


def test_acknowledgements_and_empty_updates_are_no_orders() -> None:
    subscribed = {"channel": "subscriptions", "events": [{"subscriptions": {"user": ["3e62"]}}]}
    for payload in (subscribed, user(), user(events=[{"type": "update", "positions": {}}]), 5, "user"):
        assert decoder().decode(message("server", payload)) is None


# --- REST ---


@pytest.mark.parametrize(
    ("name", "terms", "shown_as"),
    [
        ("market_market_ioc", {"quote_size": "50"}, ("market", "ioc", None, None, Decimal(50), "quote")),
        ("market_market_fok", {"base_size": "5"}, ("market", "fok", None, None, Decimal(5), "base")),
        ("sor_limit_ioc", {"base_size": "5", "limit_price": "2"}, ("limit", "ioc", Decimal(2), None, Decimal(5), "base")),
        (
            "limit_limit_gtd",
            {"base_size": "5", "limit_price": "2", "post_only": True},
            ("limit", "post_only", Decimal(2), None, Decimal(5), "base"),
        ),
        ("limit_limit_fok", {"base_size": "5", "limit_price": "2"}, ("limit", "fok", Decimal(2), None, Decimal(5), "base")),
        (
            "stop_limit_stop_limit_gtc",
            {"base_size": "5", "limit_price": "2", "stop_price": "3"},
            ("stop_limit", "gtc", Decimal(2), Decimal(3), Decimal(5), "base"),
        ),
        (
            "trigger_bracket_gtd",
            {"base_size": "5", "limit_price": "2", "stop_trigger_price": "1"},
            ("bracket", "gtd", Decimal(2), Decimal(1), Decimal(5), "base"),
        ),
        ("twap_limit_gtd", {"base_size": "5", "limit_price": "2"}, ("twap", "gtd", Decimal(2), None, Decimal(5), "base")),
        ("limit_limit_gtc", {"base_size": "5", "quote_size": "10"}, ("limit", "gtc", None, None, None, None)),
        ("iceberg_new", {"base_size": "5"}, ("iceberg_new", None, None, None, Decimal(5), "base")),
    ],
)
def test_configurations(name: str, terms: JSON, shown_as: tuple[Any, ...]) -> None:
    (row,) = last(("client", create({name: terms}), CREATE)).orders
    assert shown(row, *TERMS[2:]) == shown_as


def test_calls() -> None:
    decoded = last(("client", create(), CREATE))
    (row,) = decoded.orders
    assert (decoded.kind, row.status, row.exchange_time) == ("request", None, None)
    assert shown(row, *IDS, *TERMS) == ("place", None, "strat-5", *LIMIT)
    (row,) = last(("client", {"order_id": ORDER_ID, "price": "0.75", "size": "3"}, EDIT)).orders
    assert shown(row, *IDS, "price", "quantity") == ("amend", ORDER_ID, None, Decimal("0.75"), Decimal(3))
    rows = last(("client", {"order_ids": [ORDER_ID, "o-2"]}, CANCEL)).orders
    assert [shown(row, *IDS) for row in rows] == [("cancel", ORDER_ID, None), ("cancel", "o-2", None)]
    (row,) = last(("client", {"client_order_id": "c", "product_id": "P", "size": "2"}, CLOSE)).orders
    assert shown(row, *IDS, "symbol", "quantity", "quantity_unit") == ("place", None, "c", "P", Decimal(2), None)


def test_a_created_order() -> None:
    for told in (("server", CREATED, CREATE),), (("client", create(), CREATE), ("server", CREATED, CREATE)):
        (row,) = last(*told).orders
        assert shown(row, *IDS, *TERMS) == ("place", ORDER_ID, "strat-5", *LIMIT)
        assert shown(row, "kind", "status", "reason") == ("response", None, None)


def test_a_refused_order_comes_with_status_200() -> None:
    (row,) = last(("client", create(), CREATE), ("server", REFUSED, CREATE)).orders
    assert shown(row, *IDS, *TERMS) == ("place", None, "strat-5", *LIMIT)
    assert shown(row, "status", "status_raw", "reason") == (
        "REJECTED", "INSUFFICIENT_FUND", "Insufficient balance in source account",
    )  # fmt: skip
    (row,) = last(("server", REFUSED, CREATE)).orders
    assert shown(row, *IDS, "status") == ("place", None, None, "REJECTED")
    gateway = {"error": "INVALID_ARGUMENT", "error_details": "account is not available", "message": "x"}
    (row,) = last(("client", create(), CREATE), ("server", gateway, CREATE)).orders
    assert shown(row, "client_order_id", "status", "status_raw", "reason") == (
        "strat-5", "REJECTED", "INVALID_ARGUMENT", "account is not available",
    )  # fmt: skip
    for answer in (gateway, REFUSED):  # the exchange itself failed: whether the order stands is not known
        (row,) = last(("client", create(), CREATE), ("server", answer, CREATE, 503)).orders
        assert shown(row, "client_order_id", "status") == ("strat-5", None)


def test_edits() -> None:
    edit = {"order_id": ORDER_ID, "price": "0.75", "size": "3"}
    errors = [{"edit_failure_reason": "UNKNOWN_EDIT_ORDER_FAILURE_REASON"}]
    for done in ({"success": True, "success_response": {"order_id": ORDER_ID}}, {"success": True, "errors": errors}):
        (row,) = last(("client", edit, EDIT), ("server", done, EDIT)).orders
        assert shown(row, *IDS, "price", "status", "reason") == ("amend", ORDER_ID, None, Decimal("0.75"), None, None)
    failed = {"success": False, "errors": [{"edit_failure_reason": "ONLY_OPEN_ORDERS_CAN_BE_EDITED"}]}
    (row,) = last(("client", edit, EDIT), ("server", failed, EDIT)).orders
    assert shown(row, *IDS, "price", "quantity", "status", "reason") == (
        "amend", ORDER_ID, None, None, None, None, "ONLY_OPEN_ORDERS_CAN_BE_EDITED",
    )  # fmt: skip


def test_a_refusal_without_a_reason_is_one_all_the_same() -> None:
    for word in ("UNKNOWN_CANCEL_ORDER", "UNKNOWN_CANCEL_FAILURE_REASON"):
        results = {"results": [{"success": False, "failure_reason": word, "order_id": ORDER_ID}]}
        (row,) = last(("client", {"order_ids": [ORDER_ID]}, CANCEL), ("server", results, CANCEL)).orders
        assert shown(row, *IDS[:2], "status", "reason") == ("cancel", ORDER_ID, None, word)
    edit = {"order_id": ORDER_ID, "price": "0.75"}
    for errors, reason in (
        ([{"edit_failure_reason": "UNKNOWN_EDIT_ORDER_FAILURE_REASON"}], "UNKNOWN_EDIT_ORDER_FAILURE_REASON"),
        ([], "success false"),
    ):
        (row,) = last(("client", edit, EDIT), ("server", {"success": False, "errors": errors}, EDIT)).orders
        assert shown(row, "price", "status", "reason") == (None, None, reason)


def test_cancels_fail_one_by_one() -> None:
    rows = last(("server", RESULTS, CANCEL)).orders
    assert [shown(row, *IDS[:2], "status", "reason") for row in rows] == [
        ("cancel", ORDER_ID, None, None),
        ("cancel", "o-2", None, "DUPLICATE_CANCEL_REQUEST"),
    ]


def test_fills() -> None:
    decoded = last(("server", {"fills": [fill()], "cursor": "x"}, FILLS))
    assert decoded.fills == [
        FillEvent(
            7, "server", 3, 0, 2000, rfc3339_ns(AT), "coinbase-advanced", None, "ADA-EUR", "9d1c-77", ORDER_ID, None, "sell",
            Decimal("0.7125"), Decimal("1.25"), "base", Decimal("0.0053"), None, "maker",
        )
    ]  # fmt: skip
    (row,) = last(("server", {"fills": [fill(size_in_quote=True)]}, FILLS)).fills
    assert row.quantity_unit == "quote"
    decoded = last(("server", {"fills": [fill(trade_type="REVERSAL"), fill()]}, FILLS))
    assert (len(decoded.fills), decoded.problem) == (1, "field trade_type: not a FILL")


def test_orders_of_queries() -> None:
    for call, body in ((LIST, {"orders": [queried()]}), (LIST.replace("batch?limit=5", ORDER_ID), {"order": queried()})):
        (row,) = last(("server", body, call)).orders
        assert shown(row, *IDS, *TERMS) == (None, ORDER_ID, "strat-5", *LIMIT)
        assert shown(row, "status", "filled_quantity", "reason", "exchange_time") == (
            "CANCELED", Decimal("1.25"), "User requested cancel", rfc3339_ns(AT),
        )  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        create(side="BOTH"), create(5), create({"limit_limit_gtc": 5}), create({"limit_limit_gtc": {"base_size": "lots"}}),
        create(client_order_id=5), b"{", b"", create({"limit_limit_gtc": {"limit_price": "0.1234567890123456789"}}),
    ],
)  # fmt: skip
def test_a_broken_call_gives_a_problem(body: Any) -> None:
    decoded = last(("client", body, CREATE))
    assert (decoded.kind, decoded.orders) == ("request", [])
    assert decoded.problem is not None


@pytest.mark.parametrize(
    "body",
    [b"Unauthorized\n", {}, {"success": "yes"}, {"success": True}, {"success": True, "success_response": {"order_id": 5}}],
)
def test_a_broken_answer_gives_a_problem(body: Any) -> None:
    decoded = last(("client", create(), CREATE), ("server", body, CREATE))
    assert (decoded.kind, decoded.orders) == ("response", [])
    assert decoded.problem is not None


def test_previews_and_other_calls_are_none_of_ours() -> None:
    for call in (
        "POST /api/v3/brokerage/orders/preview",
        "POST /api/v3/brokerage/orders/edit_preview",
        "GET /api/v3/brokerage/accounts",
    ):
        assert decoder().decode(message("client", create(), call)) is None
        assert decoder().decode(message("server", {"orders": [queried()]}, call)) is None
    assert decoder().decode(message("server", {"fills": []}, FILLS)) is None
    assert decoder().decode(Message(7, "client", 0, 0, 0, OPCODE_HTTP, b"", HttpHead("POST", None, None, ()))) is None


# --- whose, secrets, recognition ---


def test_the_key_is_named_in_the_token() -> None:
    assert key_name(jwt({"sub": "organizations/1/apiKeys/2"})) == "organizations/1/apiKeys/2"
    for token in (
        "",
        "a.b",
        "a.b.c",
        "a.!!.c",
        jwt({}),
        jwt({"sub": 5}),
        jwt([]),
        None,
        5,
        "x" * 9000,
        "a.\N{GREEK SMALL LETTER ALPHA}.c",
    ):
        assert key_name(token) is None


def test_subscriptions_are_logins() -> None:
    one = decoder()
    for claims in ({"sub": "alice", "nbf": 1}, {"sub": "alice", "nbf": 2}):
        decoded = one.decode(message("client", {"type": "subscribe", "channel": "user", "jwt": jwt(claims)}))
        assert decoded is not None
        assert decoded.kind == LOGIN
        assert one.account == "name of alice"
    decoded = one.decode(message("client", create(), CREATE, authorization=f"Bearer {jwt({'sub': 'bob'})}"))
    assert decoded is not None
    assert [row.account for row in decoded.orders] == ["name of bob"]
    assert one.decode(message("client", {"type": "subscribe", "channel": "heartbeats"})) is None


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"subscribe","channel":"user","jwt":"SECRET"}', '{"api_key":"SECRET","signature":"SECRET"}',
        "Authorization: Bearer SECRET\r\n", "CB-ACCESS-KEY: SECRET\r\nCB-ACCESS-SIGN: SECRET",
    ],
)  # fmt: skip
def test_secrets_are_taken_out(text: str) -> None:
    assert "SECRET" not in VENUE.redact("client", text)
    assert "SECRET" not in VENUE.redact_path("/api/v3/x?token=SECRET")


def test_recognition() -> None:
    assert VENUE.recognises("advanced-trade-ws-user.coinbase.com", "/", 443)
    assert not VENUE.recognises("ws-feed.exchange.coinbase.com", "/", 443)
    for raw in (json.dumps(user(order())).encode(), json.dumps(user(order()), separators=(",", ":")).encode()):
        assert decoder().wanted("server", OPCODE_TEXT)(raw)
        assert guess_venue("server", raw) is VENUE
    assert guess_venue("client", b'{"type":"subscribe","channel":"user","jwt":"x"}') is VENUE


def test_a_decoder_can_be_kept() -> None:
    one = VENUE.decoder(ConnectionFacts(connection_id=7))
    one.decode(message("client", create(), CREATE))
    decoded = pickle.loads(pickle.dumps(one)).decode(message("server", REFUSED, CREATE))
    assert decoded is not None
    assert [shown(row, "client_order_id", "status") for row in decoded.orders] == [("strat-5", "REJECTED")]

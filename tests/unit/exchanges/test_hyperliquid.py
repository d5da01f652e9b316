"""Hyperliquid: each message of its documentation, with values of our own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sniffer.exchanges import guess_venue, venue_of
from sniffer.exchanges.base import Bounded
from sniffer.exchanges.hyperliquid import VENUE
from sniffer.exchanges.hyperliquid_orders import STATUSES
from sniffer.model import OPCODE_TEXT, Sender
from tests.unit.exchanges.talk import Talk, brief, known

JSON = dict[str, Any]
T0 = 1_751_000_000_123
ALICE = "0xA11CE00000000000000000000000000000000001"
CLOID = "0x0000000000000000000000005eed0001"


def order(**changes: Any) -> JSON:
    shown: JSON = {
        "coin": "SOL", "side": "A", "limitPx": "143.25", "sz": "7.5", "oid": 90210077, "timestamp": T0 - 5, "origSz": "7.5",
        "cloid": CLOID,
    }  # fmt: skip
    return shown | changes


def update(status: str = "open", **changes: Any) -> JSON:
    return {"order": order(**changes), "status": status, "statusTimestamp": T0}


def updates(*rows: JSON) -> JSON:
    return {"channel": "orderUpdates", "data": list(rows)}


def fill(**changes: Any) -> JSON:
    shown: JSON = {
        "coin": "SOL", "px": "143.3", "sz": "2.5", "side": "A", "time": T0 + 8, "startPosition": "0.0", "dir": "Open Short",
        "closedPnl": "0.0", "hash": "0x77", "oid": 90210077, "crossed": False, "fee": "-0.0107", "tid": 55512345678,
        "cloid": CLOID, "feeToken": "USDC", "twapId": None,
    }  # fmt: skip
    return shown | changes


def place(*orders: JSON) -> JSON:
    return {"type": "order", "orders": list(orders), "grouping": "na"}


def wire(**changes: Any) -> JSON:
    shown: JSON = {
        "a": 5, "b": False, "p": "143.25", "s": "7.5", "r": False, "t": {"limit": {"tif": "Gtc"}}, "c": CLOID,
    }  # fmt: skip
    return shown | changes


def signed(action: JSON, **more: Any) -> JSON:
    return {"action": action, "nonce": T0, "signature": {"r": "0xPLANTED", "s": "0xPLANTED", "v": 27}, **more}


def post(action: JSON, request_id: int = 3, **more: Any) -> JSON:
    return {"method": "post", "id": request_id, "request": {"type": "action", "payload": signed(action, **more)}}


def done(*statuses: Any, kind: str = "order") -> JSON:
    return {"status": "ok", "response": {"type": kind, "data": {"statuses": list(statuses)}}}


def answer(payload: Any, request_id: int = 3, kind: str = "action") -> JSON:
    return {"channel": "post", "data": {"id": request_id, "response": {"type": kind, "payload": payload}}}


RESTING = {"resting": {"oid": 90210077, "cloid": CLOID}}
MODIFY = {"type": "modify", "oid": 90210077, "order": wire(p="143.5")}
FILLS: JSON = {
    "channel": "userFills",
    "data": {"isSnapshot": True, "user": ALICE, "fills": [fill(), fill(tid=8, crossed=True)]},
}

FIXTURES: list[tuple[str, Sender, Any] | tuple[str, Sender, Any, str]] = [
    ("hyperliquid", "client", post(place(wire(), wire(c=None, b=True)))),
    ("hyperliquid", "server", answer(done(RESTING, {"filled": {"totalSz": "7.5", "avgPx": "143.2", "oid": 90210078}}))),
    ("hyperliquid", "client", post(MODIFY, 4)),
    ("hyperliquid", "server", answer({"status": "ok", "response": {"type": "default"}}, 4)),
    ("hyperliquid", "client", post({"type": "cancel", "cancels": [{"a": 5, "o": 90210077}]}, 5)),
    (
        "hyperliquid",
        "server",
        answer(done({"error": "Order was never placed, already canceled, or filled."}, kind="cancel"), 5),
    ),
    ("hyperliquid", "client", post(place(wire()), 6)),
    ("hyperliquid", "server", answer("429 Too Many Requests", 6, "error")),
    ("hyperliquid", "server", updates(update(), update("canceled", sz="5.0", oid=4))),
    ("hyperliquid", "server", FILLS),
    ("hyperliquid", "server", {"channel": "user", "data": {"nonUserCancel": [{"coin": "SOL", "oid": 90210077}]}}),
    (
        "hyperliquid",
        "client",
        signed(place(wire(t={"trigger": {"isMarket": True, "triggerPx": "150", "tpsl": "sl"}}))),
        "POST /exchange",
    ),
    ("hyperliquid", "server", done("waitingForTrigger"), "POST /exchange"),
    ("hyperliquid", "client", {"type": "orderStatus", "user": ALICE, "oid": 90210077}, "POST /info"),
    ("hyperliquid", "server", {"status": "order", "order": update("filled", sz="0.0")}, "POST /info"),
]
DERIVED = frozenset(("filled_quantity",))
"""What is ordered less what is left."""

ASKED = ("action", "request_id", "symbol", "client_order_id", "order_id", "side", "order_type", "time_in_force", "price",
         "stop_price", "quantity", "quantity_unit")  # fmt: skip


def trigger(market: bool, tpsl: str) -> JSON:
    return {"trigger": {"isMarket": market, "triggerPx": "150.5", "tpsl": tpsl}}


# --- requests ---


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (place(wire()), ("place", "3", "5", CLOID, None, "sell", "limit", "gtc", "143.25", None, "7.5", "base")),
        (
            place(wire(b=True, t={"limit": {"tif": "FrontendMarket"}}, c=None)),
            ("place", "3", "5", None, None, "buy", "market", "ioc", "143.25", None, "7.5", "base"),
        ),
        (
            place(wire(t=trigger(True, "sl"))),
            ("place", "3", "5", CLOID, None, "sell", "stop", None, "143.25", "150.5", "7.5", "base"),
        ),
        (
            place(wire(t=trigger(False, "tp"))),
            ("place", "3", "5", CLOID, None, "sell", "take_profit_limit", None, "143.25", "150.5", "7.5", "base"),
        ),
        (MODIFY, ("amend", "3", "5", None, "90210077", "sell", "limit", "gtc", "143.5", None, "7.5", "base")),
        (
            {"type": "batchModify", "modifies": [{"oid": CLOID, "order": wire(c=None)}]},
            ("amend", "3", "5", CLOID, None, "sell", "limit", "gtc", "143.25", None, "7.5", "base"),
        ),
        ({"type": "cancel", "cancels": [{"a": 5, "o": 11}]}, ("cancel", "3", "5", None, "11", *[None] * 7)),
        (
            {"type": "cancelByCloid", "cancels": [{"asset": 5, "cloid": CLOID}]},
            ("cancel", "3", "5", CLOID, None, *[None] * 7),
        ),
        (
            {"type": "twapOrder", "twap": {"a": 5, "b": True, "s": "30", "r": False, "m": 10, "t": True}},
            ("place", "3", "5", None, None, "buy", "twap", None, None, None, "30", "base"),
        ),
        ({"type": "twapCancel", "a": 5, "t": 771}, ("cancel", "3", "5", None, "771", *[None] * 7)),
        (
            {"type": "multiSig", "payload": {"action": place(wire(t={"limit": {"tif": "Alo"}}))}, "signatures": []},
            ("place", "3", "5", CLOID, None, "sell", "limit", "post_only", "143.25", None, "7.5", "base"),
        ),
    ],
)
def test_actions(action: JSON, expected: tuple[Any, ...]) -> None:
    decoded = known(Talk("hyperliquid").client(post(action)))
    (row,) = decoded.orders
    assert (decoded.kind, row.status, row.exchange_time) == ("request", None, None)
    assert brief(row, *ASKED) == expected


@pytest.mark.parametrize(
    "action", [{"type": "updateLeverage", "asset": 5, "leverage": 3}, {"type": "scheduleCancel", "time": 1}]
)
def test_actions_that_name_no_order(action: JSON) -> None:
    talk = Talk("hyperliquid")
    assert talk.client(post(action)) is None
    assert talk.server(answer({"status": "ok", "response": {"type": "default"}})) is None
    assert talk.client({"method": "ping"}) is None


def test_an_order_of_a_batch_that_cannot_be_read_keeps_its_place() -> None:
    talk = Talk("hyperliquid")
    decoded = known(talk.client(post(place(wire(), wire(s="NaN"), wire(c="0x3")))), "field s")
    assert [brief(row, "item", "client_order_id") for row in decoded.orders] == [(0, CLOID), (2, "0x3")]
    rows = known(talk.server(answer(done(RESTING, {"error": "no"}, {"resting": {"oid": 5}})))).orders
    shown = [brief(row, "item", "order_id", "client_order_id", "status", "reason") for row in rows]
    assert shown == [(0, "90210077", CLOID, "NEW", None), (1, None, None, "REJECTED", "no"), (2, "5", "0x3", "NEW", None)]


def test_an_action_that_is_not_known_is_a_problem() -> None:
    known(Talk("hyperliquid").client(post({"type": "order2", "orders": [wire()]})), "not known")
    known(Talk("hyperliquid").client(post({"type": "order", "orders": []})), "without orders")


# --- answers ---


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (RESTING, ("90210077", CLOID, "NEW", "resting", None, None, None)),
        (
            {"filled": {"totalSz": "7.5", "avgPx": "143.31", "oid": 6}},
            ("6", CLOID, "FILLED", "filled", "7.5", "143.31", None),
        ),
        (
            {"filled": {"totalSz": "7", "avgPx": "143.31", "oid": 6}},
            ("6", CLOID, "PARTIALLY_FILLED", "filled", "7", "143.31", None),
        ),
        ("waitingForFill", (None, CLOID, "PENDING_TRIGGER", "waitingForFill", None, None, None)),
        (
            {"error": "Insufficient margin to place order."},
            (None, CLOID, "REJECTED", "error", None, None, "Insufficient margin to place order."),
        ),
    ],
)
def test_answers_joined_to_their_orders(status: Any, expected: tuple[Any, ...]) -> None:
    talk = Talk("hyperliquid")
    talk.client(post(place(wire())))
    (row,) = known(talk.server(answer(done(status)))).orders
    assert (
        brief(row, "order_id", "client_order_id", "status", "status_raw", "filled_quantity", "average_price", "reason")
        == expected
    )
    assert brief(row, "kind", "action", "price", "quantity", "request_id") == ("response", "place", "143.25", "7.5", "3")


def test_answers_to_cancellations_and_amendments() -> None:
    talk = Talk("hyperliquid")
    talk.client(post({"type": "cancel", "cancels": [{"a": 5, "o": 1}, {"a": 5, "o": 2}]}))
    rows = known(talk.server(answer(done("success", {"error": "gone"}, kind="cancel")))).orders
    assert [brief(row, "order_id", "status", "reason") for row in rows] == [("1", "CANCELED", None), ("2", None, "gone")]
    talk.client(post(MODIFY))
    (row,) = known(talk.server(answer({"status": "ok", "response": {"type": "default"}}))).orders
    assert brief(row, "action", "order_id", "price", "quantity", "time_in_force") == ("amend", "90210077", *[None] * 3)
    talk.client(post({"type": "twapCancel", "a": 5, "t": 771}))
    (row,) = known(
        talk.server(answer({"status": "ok", "response": {"type": "twapCancel", "data": {"status": "success"}}}))
    ).orders
    assert brief(row, "action", "order_id", "status") == ("cancel", "771", "CANCELED")


def test_a_modified_order_has_another_oid_and_its_new_terms_are_that_ones() -> None:
    talk = Talk("hyperliquid")
    (asked,) = known(
        talk.client(post({"type": "batchModify", "modifies": [{"oid": 1, "order": wire(c="0x7", p="143.5")}]}))
    ).orders
    assert brief(asked, "order_id", "client_order_id") == ("1", None)
    (row,) = known(talk.server(answer(done({"resting": {"oid": 2, "cloid": "0x7"}})))).orders
    assert brief(row, "action", "order_id", "client_order_id", "price", "status") == ("amend", "2", "0x7", "143.5", "NEW")
    talk.client(post({"type": "batchModify", "modifies": [{"oid": "0x7", "order": wire(c=None)}]}))
    (row,) = known(talk.server(answer(done({"resting": {"oid": 3}})))).orders
    assert brief(row, "order_id", "client_order_id", "price") == ("3", None, "143.25")


def test_an_order_that_rests_until_its_price_comes_waits() -> None:
    talk = Talk("hyperliquid")
    talk.client(post(place(wire(t=trigger(True, "sl")), wire())))
    rows = known(talk.server(answer(done(RESTING, {"resting": {"oid": 5}})))).orders
    assert [brief(row, "status", "order_id") for row in rows] == [("PENDING_TRIGGER", "90210077"), ("NEW", "5")]


def test_a_refusal_of_the_whole() -> None:
    talk = Talk("hyperliquid")
    for payload, kind, status in (
        ({"status": "err", "response": "Must deposit"}, "action", "REJECTED"),
        (done({"error": "Must deposit"}), "action", "REJECTED"),
        ("429 Too Many Requests", "error", "REJECTED"),
        ("502 Bad Gateway", "error", None),
    ):
        talk.client(post(place(wire(), wire(c="0x3"))))
        rows = known(talk.server(answer(payload, kind=kind))).orders
        assert [brief(row, "client_order_id", "status") for row in rows] == [(CLOID, status), ("0x3", status)]
    talk.client(post(place(wire(), wire(c="0x3"))))
    known(talk.server(answer(done(RESTING))), "another number")


def test_answers_without_their_requests() -> None:
    (row,) = known(Talk("hyperliquid").server(answer(done(RESTING)))).orders
    assert brief(row, "action", "order_id", "status", "symbol") == (None, "90210077", "NEW", None)
    assert known(Talk("hyperliquid").server(answer(done({"error": "no"}))), "not seen").orders == []
    (row,) = known(Talk("hyperliquid").server(answer(done({"error": "no"}, kind="cancel")))).orders
    assert brief(row, "action", "status", "reason") == ("cancel", None, "no")
    known(Talk("hyperliquid").server(answer({"status": "err", "response": "no"})), "not seen")
    known(Talk("hyperliquid").server(answer(done({"later": {}}))), "not known")


# --- events ---


@pytest.mark.parametrize(
    ("status", "left", "expected", "filled"),
    [
        ("open", "7.5", "NEW", "0.0"),
        ("open", "5", "PARTIALLY_FILLED", "2.5"),
        ("triggered", "7.5", "NEW", "0.0"),
        ("filled", "0.0", "FILLED", "7.5"),
        ("canceled", "5", "CANCELED", None),
        ("siblingFilledCanceled", "7.5", "CANCELED", None),
        ("badAloPxRejected", "7.5", "REJECTED", None),
        ("sleeping", "7.5", None, None),
    ],
)
def test_the_life_of_an_order(status: str, left: str, expected: str | None, filled: str | None) -> None:
    decoded = known(Talk("hyperliquid").server(updates(update(status, sz=left))))
    (row,) = decoded.orders
    assert brief(row, "kind", "symbol", "order_id", "client_order_id", "side", "price", "quantity", "exchange_time") == (
        "update", "SOL", "90210077", CLOID, "sell", "143.25", "7.5", T0 * 1_000_000,
    )  # fmt: skip
    assert brief(row, "status", "status_raw", "filled_quantity") == (expected, status, filled)
    assert row.reason == (status if status.endswith(("Canceled", "Rejected")) else None)


def test_every_status_is_mapped() -> None:
    assert len(STATUSES) == 32
    for word, status in STATUSES.items():
        assert status == (
            "CANCELED" if "ancel" in word and "Rejected" not in word else "REJECTED" if "eject" in word else status
        )


def test_fills_and_snapshots() -> None:
    first, second = known(Talk("hyperliquid").server(FILLS)).fills
    assert brief(first, "symbol", "trade_id", "order_id", "client_order_id", "side", "price", "quantity", "fee", "fee_asset",
                 "liquidity", "exchange_time", "account") == (
        "SOL", "55512345678", "90210077", CLOID, "sell", "143.3", "2.5", "-0.0107", "USDC", "maker", (T0 + 8) * 1_000_000,
        f"name of {ALICE.lower()}",
    )  # fmt: skip
    assert second.liquidity == "taker"
    for data in ({"fills": [fill()]}, {"twapSliceFills": [{"fill": fill(), "twapId": 3}]}):
        assert known(Talk("hyperliquid").server({"channel": "user", "data": data})).fills[0][10:18] == first[10:18]
    assert Talk("hyperliquid").server({"channel": "userFills", "data": {"user": ALICE, "fills": []}}) is None
    assert Talk("hyperliquid").server({"channel": "user", "data": {"funding": {"coin": "SOL", "usdc": "1"}}}) is None


def test_cancellations_by_the_venue_and_twap_orders() -> None:
    talk = Talk("hyperliquid")
    (row,) = known(talk.server({"channel": "user", "data": {"nonUserCancel": [{"coin": "SOL", "oid": 7}]}})).orders
    assert brief(row, "symbol", "order_id", "status", "status_raw") == ("SOL", "7", "CANCELED", "nonUserCancel")
    state = {"coin": "SOL", "user": ALICE, "side": "B", "sz": "30.0", "executedSz": "12.5", "executedNtl": "1", "minutes": 10}
    entry = {"time": 1_751_000_000, "state": state, "status": {"status": "activated"}, "twapId": 771}
    (row,) = known(talk.server({"channel": "userTwapHistory", "data": {"user": ALICE, "history": [entry]}})).orders
    assert brief(row, "order_id", "order_type", "status", "quantity", "filled_quantity", "exchange_time") == (
        "771", "twap", "NEW", "30.0", "12.5", 1_751_000_000 * 10**9,
    )  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {"limitPx": "-1"}, {"limitPx": None}, {"side": "S"}, {"oid": "7"}, {"oid": True}, {"sz": "x"}, {"sz": "9"}, {"coin": 5},
        {"cloid": 1}, {"origSz": "1e40"}, {"origSz": "0.1234567890123456789"},
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_a_problem(changes: JSON) -> None:
    decoded = known(Talk("hyperliquid").server(updates(update(), update(**changes))), "field")
    assert [row.item for row in decoded.orders] == [0]
    for at in (-1, 10**18, "now", None):
        known(Talk("hyperliquid").server(updates({**update(), "statusTimestamp": at})), "statusTimestamp")
    doubled = json.dumps(updates(update())).replace('"oid"', '"oid": 1, "oid"')
    assert known(Talk("hyperliquid").server(doubled), "twice").orders == []


MARKET: list[JSON] = [
    {
        "channel": "trades",
        "data": [{"coin": "SOL", "side": "A", "px": "143", "sz": "1", "time": T0, "tid": 9, "users": ["a", "b"]}],
    },
    {"channel": "l2Book", "data": {"coin": "SOL", "time": T0, "levels": [[{"px": "143", "sz": "1", "n": 2}], []]}},
    {"channel": "pong"},
    {
        "channel": "subscriptionResponse",
        "data": {"method": "subscribe", "subscription": {"type": "orderUpdates", "user": ALICE}},
    },
    {"channel": "error", "data": "Error parsing JSON"},
]


def test_market_data_is_dropped_by_the_search() -> None:
    wanted = Talk("hyperliquid").decoder.wanted("server", OPCODE_TEXT)
    assert [wanted(json.dumps(message).encode()) for message in MARKET] == [False] * len(MARKET)


# --- symbols ---


def info(question: JSON, request_id: int = 8) -> JSON:
    return {"method": "post", "id": request_id, "request": {"type": "info", "payload": question}}


PERPETUALS = {"universe": [{"name": name, "szDecimals": 2} for name in ("BTC", "ETH", "ATOM", "MATIC", "DYDX", "SOL")]}
PAIRS = {"universe": [{"name": "@107", "tokens": [150, 0], "index": 107}], "tokens": [{"name": "USDC", "index": 0}]}
BUILT = {"universe": [{"name": "xyz:OIL", "szDecimals": 2}]}


def test_assets_are_resolved_once_a_list_was_seen_on_any_connection() -> None:
    instruments: Bounded[str] = Bounded(99)
    other = Talk("hyperliquid", instruments=instruments)
    other.call("POST /info", {"type": "meta"})
    assert known(other.reply("POST /info", PERPETUALS)).kind == "reference"
    other.call("POST /info", {"type": "meta"})
    assert other.reply("POST /info", PERPETUALS) is None  # nothing new
    talk = Talk("hyperliquid", instruments=instruments)
    talk.client(info({"type": "spotMeta"}))
    assert known(talk.server(answer({"type": "spotMeta", "data": PAIRS}, 8, "info"))).kind == "reference"
    assert known(talk.reply("POST /info", [PERPETUALS, BUILT])).kind == "reference"
    assets = [wire(a=5), wire(a=10107), wire(a=110000), wire(a=77)]
    assert [row.symbol for row in known(talk.client(post(place(*assets)))).orders] == ["SOL", "@107", "xyz:OIL", "77"]


def test_a_list_that_does_not_say_its_exchange_teaches_nothing() -> None:
    talk = Talk("hyperliquid")
    talk.call("POST /info", {"type": "meta", "dex": "xyz"})
    assert talk.reply("POST /info", BUILT) is None
    talk.call("POST /info", {"type": "metaAndAssetCtxs"})
    assert known(talk.reply("POST /info", [PERPETUALS, [{"markPx": "1"}]])).kind == "reference"


# --- REST and info ---


def test_rest() -> None:
    talk = Talk("hyperliquid")
    (row,) = known(talk.call("POST /exchange", signed(place(wire()), vaultAddress=ALICE))).orders
    assert brief(row, "client_order_id", "request_id", "account") == (CLOID, None, f"name of {ALICE.lower()}")
    (row,) = known(talk.reply("POST /exchange", done(RESTING))).orders
    assert brief(row, "order_id", "client_order_id", "status", "account") == (
        "90210077",
        CLOID,
        "NEW",
        f"name of {ALICE.lower()}",
    )
    talk.call("POST /exchange", signed(place(wire())))
    (row,) = known(talk.reply("POST /exchange", "Failed to deserialize", 422)).orders
    assert brief(row, "status", "reason") == ("REJECTED", "Failed to deserialize")
    talk.call("POST /exchange", signed(place(wire())))
    (row,) = known(talk.reply("POST /exchange", "<html>" * 99, 502)).orders
    assert brief(row, "status", "reason") == (None, None)
    talk.call("POST /exchange", signed({"type": "cancel", "cancels": [{"a": 5, "o": 1}]}))
    (row,) = known(talk.reply("POST /exchange", "<html>" * 99, 429)).orders
    assert brief(row, "action", "status", "reason") == ("cancel", None, "HTTP 429")
    assert Talk("hyperliquid").call("POST /other", {"action": {}}) is None


def test_queries() -> None:
    talk = Talk("hyperliquid")
    shown: list[tuple[JSON, Any, str | None]] = [
        ({"type": "openOrders", "user": ALICE}, [order()], "NEW"),
        (
            {"type": "frontendOpenOrders", "user": ALICE},
            [order(orderType="Stop Market", tif=None, triggerPx="9", isTrigger=True)],
            "NEW",
        ),
        ({"type": "historicalOrders", "user": ALICE}, [update("filled", sz="0.0")], "FILLED"),
        ({"type": "orderStatus", "user": ALICE, "oid": 1}, {"status": "order", "order": update("canceled")}, "CANCELED"),
    ]
    for question, reply, status in shown:
        talk.call("POST /info", question)
        (row,) = known(talk.reply("POST /info", reply)).orders
        assert brief(row, "kind", "action", "status", "account") == ("response", None, status, f"name of {ALICE.lower()}")
        talk.client(info(question))
        (row,) = known(talk.server(answer({"type": question["type"], "data": reply}, 8, "info"))).orders
        assert brief(row, "status", "request_id") == (status, "8")
        assert brief(row, "order_type", "stop_price") == (("stop", "9") if "front" in question["type"] else (None, None))
    talk.call("POST /info", {"type": "userFills", "user": ALICE})
    assert len(known(talk.reply("POST /info", [fill(), fill(tid=3)])).fills) == 2
    talk.call("POST /info", {"type": "orderStatus", "user": ALICE, "oid": 1})
    assert talk.reply("POST /info", {"status": "unknownOid"}) is None
    talk.call("POST /info", {"type": "recentTrades", "coin": "SOL"})
    assert talk.reply("POST /info", MARKET[0]["data"]) is None


@pytest.mark.parametrize(
    ("condition", "status", "expected"),
    [
        ("Price above 150", "open", "PENDING_TRIGGER"),
        ("Price above 150", "triggered", "NEW"),
        ("Price above 150", "filled", "FILLED"),
        ("N/A", "open", "NEW"),
    ],
)
def test_an_open_order_that_awaits_a_price(condition: str, status: str, expected: str) -> None:
    shown = order(orderType="Stop Limit", triggerPx="150", isTrigger=True, triggerCondition=condition)
    talk = Talk("hyperliquid")
    if status == "open":  # a list of open orders says no more
        (row,) = known(talk.server({"channel": "openOrders", "data": {"dex": "", "user": ALICE, "orders": [shown]}})).orders
        assert row.status == expected
    history = [{"order": shown, "status": status, "statusTimestamp": T0}]
    pushed = {"channel": "userHistoricalOrders", "data": {"isSnapshot": True, "user": ALICE, "orderHistory": history}}
    (row,) = known(talk.server(pushed)).orders
    assert brief(row, "status", "status_raw", "stop_price") == (expected, status, "150")


# --- whose, secrets, which venue ---


def test_subscriptions_say_whose_events_they_bring() -> None:
    talk = Talk("hyperliquid", account="configured")
    assert known(talk.server(updates(update()))).orders[0].account == "configured"
    for kind, user in (("orderUpdates", ALICE), ("userEvents", ALICE.upper().replace("0X", "0x")), ("orderUpdates", "0xB0B")):
        assert talk.client({"method": "subscribe", "subscription": {"type": kind, "user": user}}) is None
    assert talk.decoder.account == f"name of {ALICE.lower()}"
    assert known(talk.server(updates(update()))).orders[0].account == "name of 0xb0b"
    assert known(talk.server({"channel": "user", "data": {"fills": [fill()]}})).fills[0].account == f"name of {ALICE.lower()}"


def test_signatures_are_redacted() -> None:
    text = VENUE.redact("client", json.dumps(post(place(wire()))))
    assert "PLANTED" not in text
    assert str(T0) not in text
    assert CLOID in text


def test_recognised_and_guessed() -> None:
    assert venue_of("api.hyperliquid.xyz", "/ws", 443) is VENUE
    assert venue_of("api.hyperliquid-testnet.xyz", None, None) is VENUE
    assert venue_of("127.0.0.1", "/ws", 443) is not VENUE
    for sender, payload in (("server", updates(update())), ("server", FILLS), ("client", post(place(wire())))):
        assert guess_venue(sender, json.dumps(payload).encode()) is VENUE  # type: ignore[arg-type]
    for payload in MARKET:
        assert guess_venue("server", json.dumps(payload).encode()) is not VENUE

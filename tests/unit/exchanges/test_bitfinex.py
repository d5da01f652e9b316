"""Bitfinex: the account's channel, inputs, notifications and REST. Messages as the documentation describes them, own values."""

from __future__ import annotations

import copy
import json
import pickle
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from sniffer.exchanges import guess_venue
from sniffer.exchanges.base import LOGIN, ConnectionFacts
from sniffer.exchanges.bitfinex import VENUE, marked
from sniffer.model import OPCODE_HTTP, OPCODE_TEXT, FillEvent, HttpHead, Message, Sender
from tests.unit.exchanges.conversation import connect, message, shown
from tests.unit.exchanges.conversation import last as last_of
from tests.unit.exchanges.talk import Talk, known

T0 = 1_741_064_767_123
NS = 1_000_000
ID, CID = 88_700_123_456, 1_741_064_766_001
DERIVED = frozenset(("filled_quantity",))
SUBMIT, UPDATE, CANCEL = (f"POST /v2/auth/w/order/{name}" for name in ("submit", "update", "cancel"))


def order(**changes: Any) -> list[Any]:
    """An order array: a resting limit order to sell."""
    places: dict[str, Any] = {
        "id": ID, "gid": None, "cid": CID, "symbol": "tADAUST", "create": T0, "update": T0 + 5, "amount": -12.5,
        "original": -12.5, "type": "EXCHANGE LIMIT", "previous": None, "tif": None, "none": None, "flags": 0,
        "status": "ACTIVE", "none2": None, "none3": None, "price": 0.7125, "average": 0, "trailing": 0, "limit": 0,
        "none4": None, "none5": None, "none6": None, "notify": 0, "hidden": 0, "placed": None, "none7": None, "none8": None,
        "routing": "API>BFX",
    }  # fmt: skip
    return list((places | changes).values())


def trade(fee: Any = None, asset: Any = None, cid: Any = CID, amount: Any = -2.5, maker: Any = 1) -> list[Any]:
    return [402_911_007, "tADAUST", T0 + 9, ID, amount, 0.7126, "EXCHANGE LIMIT", 0.7125, maker, fee, asset, cid]


def notice(kind: str, info: Any, status: str = "SUCCESS", text: str = "Done", mts: Any = T0 + 7) -> list[Any]:
    return [mts, kind, None, None, info, None, status, text]


def new(**changes: Any) -> list[Any]:
    terms: dict[str, Any] = {"type": "EXCHANGE LIMIT", "symbol": "tADAUST", "amount": "-12.5", "price": "0.7125", "cid": CID}
    return [0, "on", None, terms | changes]


REFUSED = [
    None,
    None,
    CID,
    "tADAUST",
    None,
    None,
    -12.5,
    None,
    "EXCHANGE LIMIT",
    None,
    None,
    None,
    None,
    None,
    None,
    None,
    0.7125,
]

FIXTURES: list[tuple[str, Sender, Any] | tuple[str, Sender, Any, str]] = [
    ("bitfinex", "client", new()),
    ("bitfinex", "server", [0, "n", notice("on-req", order(cid=CID))]),
    ("bitfinex", "client", new(cid=CID + 1)),
    ("bitfinex", "server", [0, "n", notice("on-req", REFUSED, "ERROR", "Invalid order: not enough tradable balance")]),
    ("bitfinex", "client", [0, "ou", None, {"id": ID, "amount": "-10.5", "price": "0.72"}]),
    ("bitfinex", "server", [0, "n", notice("ou-req", order(original=-10.5, amount=-10.5))]),
    ("bitfinex", "client", [0, "oc", None, {"id": ID}]),
    ("bitfinex", "server", [0, "n", notice("oc-req", [ID, None, None], "ERROR", "Order not found.")]),
    ("bitfinex", "client", [0, "ox_multi", None, [["on", new()[3]], ["oc", {"id": ID}]]]),
    ("bitfinex", "client", [0, "oc_multi", None, {"id": [ID, ID + 1], "cid": [[CID, "2025-03-04"]]}]),
    ("bitfinex", "server", [0, "os", [order(), order(id=ID + 1, original=3.5, amount=3.5)]]),
    ("bitfinex", "server", [0, "on", order()]),
    ("bitfinex", "server", [0, "te", trade(), 17, 4]),
    ("bitfinex", "server", [0, "tu", trade(-0.0178, "UST")]),
    ("bitfinex", "server", [0, "ou", order(amount=-10.0, status="PARTIALLY FILLED @ 0.7126(-2.5)")]),
    ("bitfinex", "server", [0, "oc", order(amount=0, status="EXECUTED @ 0.7126(-10.0): was PARTIALLY FILLED @ 0.7126(-2.5)")]),
    ("bitfinex", "client", new()[3], SUBMIT),
    ("bitfinex", "server", notice("on-req", [order()]), SUBMIT),
    ("bitfinex", "client", new()[3], SUBMIT),
    ("bitfinex", "server", ["error", 10001, "Invalid order: minimum size for ADAUST is 4.0"], SUBMIT),
    ("bitfinex", "server", [order()], "POST /v2/auth/r/orders"),
    ("bitfinex", "server", [trade(-0.0178, "UST")], "POST /v2/auth/r/trades/tADAUST/hist"),
]


decoder = partial(connect, VENUE)
last = partial(last_of, VENUE)

IDS = ("action", "order_id", "client_order_id")
TERMS = ("symbol", "side", "order_type", "time_in_force", "price", "stop_price", "quantity", "quantity_unit")
LIMIT = ("tADAUST", "sell", "limit", None, Decimal("0.7125"), None, Decimal("12.5"), "base")


# --- inputs ---


def test_a_new_order() -> None:
    decoded = last(("client", new()))
    (row,) = decoded.orders
    assert (decoded.kind, row.request_id, row.exchange_time, row.status) == ("request", None, None, None)
    assert shown(row, *IDS) == ("place", None, str(CID))
    assert shown(row, *TERMS) == LIMIT


@pytest.mark.parametrize(
    ("changes", "columns"),
    [
        ({"type": "MARKET", "price": None}, {"order_type": "market", "price": None}),
        ({"type": "EXCHANGE STOP"}, {"order_type": "stop", "price": None, "stop_price": Decimal("0.7125")}),
        (
            {"type": "STOP LIMIT", "price_aux_limit": "0.7"},
            {"order_type": "stop_limit", "price": Decimal("0.7"), "stop_price": Decimal("0.7125")},
        ),
        ({"type": "TRAILING STOP", "price": None, "price_trailing": "5"}, {"order_type": "trailing_stop", "stop_price": None}),
        ({"type": "EXCHANGE FOK"}, {"order_type": "limit", "time_in_force": "fok"}),
        ({"type": "IOC"}, {"order_type": "limit", "time_in_force": "ioc"}),
        ({"flags": 4096 + 64}, {"time_in_force": "post_only"}),
        ({"tif": "2025-06-07 08:09:10"}, {"time_in_force": "gtd"}),
        ({"amount": "4"}, {"side": "buy", "quantity": Decimal(4)}),
        ({"type": "EXCHANGE ICEBERG"}, {"order_type": "iceberg"}),
    ],
)  # fmt: skip
def test_terms(changes: dict[str, Any], columns: dict[str, Any]) -> None:
    (row,) = last(("client", new(**changes))).orders
    assert {name: getattr(row, name) for name in columns} == columns


def test_changes_and_cancels() -> None:
    (row,) = last(("client", [0, "ou", None, {"id": ID, "amount": "-10.5", "price": "0.72"}])).orders
    assert shown(row, *IDS, "quantity", "price", "order_type") == (
        "amend", str(ID), None, Decimal("10.5"), Decimal("0.72"), None,
    )  # fmt: skip
    (row,) = last(("client", [0, "ou", None, {"id": ID, "delta": "0.5"}])).orders
    assert shown(row, *IDS, "quantity") == ("amend", str(ID), None, None)
    (row,) = last(("client", [0, "oc", None, {"cid": CID, "cid_date": "2025-03-04"}])).orders
    assert shown(row, *IDS) == ("cancel", None, str(CID))
    rows = last(("client", [0, "oc_multi", None, {"id": [5, 6], "cid": [[7, "2025-03-04"]]}])).orders
    assert [shown(row, *IDS) for row in rows] == [("cancel", "5", None), ("cancel", "6", None), ("cancel", None, "7")]
    (row,) = last(("client", [0, "oc_multi", None, {"all": 1}])).orders
    assert shown(row, *IDS) == ("cancel", None, None)


def test_several_operations_at_once() -> None:
    operations = [["on", new()[3]], ["ou", {"id": 5, "price": "2"}], ["oc", {"id": 6}], ["oc_multi", {"id": [7, 8]}]]
    rows = last(("client", [0, "ox_multi", None, operations])).orders
    assert [shown(row, "item", "action", "order_id") for row in rows] == [
        (0, "place", None), (1, "amend", "5"), (2, "cancel", "6"), (3, "cancel", "7"), (4, "cancel", "8"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "payload",
    [
        [0, "calc", None, [["balance"]]], [0, "fon", None, {"type": "LIMIT"}], {"event": "ping"}, [5, "on", None, {}], 7, b"x",
        {"event": "subscribe", "channel": "trades", "symbol": "tADAUST"}, [],
    ],
)  # fmt: skip
def test_what_is_no_order_input(payload: Any) -> None:
    assert decoder().decode(message("client", payload)) is None


@pytest.mark.parametrize(
    "payload",
    [
        new(amount="lots"), new(amount=True), new(price="-5"), new(symbol=5), new(type=[]), new(flags="x"), new(cid={}),
        new(amount="1e30"), new(price="0.1234567890123456789"), [0, "on"], [0, "on", None, 5], [0, "on", [], {}],
        [0, "ox_multi", None, []], [0, "ox_multi", None, [["fly", {}]]], [0, "oc_multi", None, {"id": 5}],
        json.dumps(new()).encode()[:-9], b'[0,"on",null,{"cid":1,"cid":2}]',
    ],
)  # fmt: skip
def test_a_broken_input_gives_a_problem(payload: Any) -> None:
    decoded = last(("client", payload))
    assert (decoded.kind, decoded.orders) == ("request", [])
    assert decoded.problem is not None


# --- notifications ---


@pytest.mark.parametrize(("kind", "action"), [("on-req", "place"), ("ou-req", "amend"), ("oc-req", "cancel")])
def test_an_answer_holds_the_order(kind: str, action: str) -> None:
    decoded = last(("server", [0, "n", notice(kind, order())]))
    (row,) = decoded.orders
    assert (decoded.kind, row.kind, row.action) == ("response", "response", action)
    assert shown(row, *TERMS) == LIMIT
    status = None if action == "cancel" else "NEW"  # submitted for cancellation: ACTIVE is how it was before
    assert shown(row, "status", "status_raw", "order_id", "exchange_time") == (status, "ACTIVE", str(ID), (T0 + 5) * NS)


def test_the_answer_to_a_cancellation_may_show_how_the_order_ended() -> None:
    ended = order(amount=-10.25, status="CANCELED was: PARTIALLY FILLED @ 0.71(-1.25)")
    (row,) = last(("server", [0, "n", notice("oc-req", ended)])).orders
    assert row.status == "CANCELED"


def test_a_refusal_without_a_text_is_one_all_the_same() -> None:
    (row,) = last(("client", {"id": ID}, CANCEL), ("server", notice("oc-req", [ID], "ERROR", ""), CANCEL)).orders
    assert shown(row, "status", "reason") == (None, "ERROR")
    (row,) = last(("client", {"id": ID}, CANCEL), ("server", ["error", 10001, ""], CANCEL)).orders
    assert shown(row, "status", "reason") == (None, "10001")


def test_a_refusal_is_joined_by_client_id() -> None:
    bare = [None, None, CID, None, None, None, None]
    (row,) = last(("client", new()), ("server", [0, "n", notice("on-req", bare, "ERROR", "not enough balance")])).orders
    assert shown(row, *IDS, *TERMS) == ("place", None, str(CID), *LIMIT)
    assert shown(row, "status", "status_raw", "reason", "kind", "sender") == (
        "REJECTED", "ERROR", "not enough balance", "response", "server",
    )  # fmt: skip
    assert row.exchange_time == (T0 + 7) * NS


def test_a_refusal_whose_request_was_not_seen() -> None:
    (row,) = last(("server", [0, "n", notice("on-req", REFUSED, "ERROR", "no", mts=1741064767.25)])).orders
    assert shown(row, *IDS, *TERMS, "status") == ("place", None, str(CID), *LIMIT, "REJECTED")
    assert row.exchange_time == 1_741_064_767_250_000_000
    (row,) = last(("server", [0, "n", notice("on-req", None, "FAILURE", "no")])).orders
    assert shown(row, *IDS, "status", "status_raw") == ("place", None, None, "REJECTED", "FAILURE")


def test_a_success_may_tell_ids_alone() -> None:
    request = [0, "oc", None, {"cid": CID, "cid_date": "2025-03-04"}]
    for info, order_id in (([None, None, CID, *[None] * 20], None), ([ID, None, None, *[None] * 20], str(ID))):
        decoded = last(("client", request), ("server", [0, "n", notice("oc-req", info, text="Submitted for cancellation")]))
        assert [shown(row, "action", "order_id", "status", "reason") for row in decoded.orders] == [
            ("cancel", order_id, None, None)
        ]
        assert decoded.problem is None
    (row,) = last(("client", {"id": ID}, CANCEL), ("server", notice("oc-req", []), CANCEL)).orders
    assert shown(row, *IDS, "kind") == ("cancel", str(ID), None, "response")


@pytest.mark.parametrize(("name", "kind", "action"), [("ou", "ou-req", "amend"), ("oc", "oc-req", "cancel")])
def test_a_refused_change_leaves_the_order_as_it_was(name: str, kind: str, action: str) -> None:
    request = [0, name, None, {"id": ID, "amount": "-3.5", "price": "0.5"}]
    (row,) = last(("client", request), ("server", [0, "n", notice(kind, [ID, None, None], "ERROR", "Order not found.")])).orders
    assert shown(row, *IDS, "status", "price", "quantity", "side", "reason") == (
        action, str(ID), None, None, None, None, None, "Order not found.",
    )  # fmt: skip


def test_several_cancels_and_operations_in_one_answer() -> None:
    rows = last(("server", [0, "n", notice("oc_multi-req", [order(), order(id=5)])])).orders
    assert [shown(row, *IDS[:2]) for row in rows] == [("cancel", str(ID)), ("cancel", "5")]
    inner = [notice("on-req", [order()]), notice("oc-req", [9, None, None], "ERROR", "Order not found.")]
    rows = last(("server", [0, "n", notice("ox_multi-req", inner)])).orders
    assert [shown(row, *IDS[:2], "status", "reason") for row in rows] == [
        ("place", str(ID), "NEW", None),
        ("cancel", "9", None, "Order not found."),
    ]


# --- orders and trades ---


@pytest.mark.parametrize(
    ("raw", "status", "has_reason"),
    [
        ("ACTIVE", "NEW", False),
        ("PARTIALLY FILLED @ 0.7(-1.5)", "PARTIALLY_FILLED", False),
        ("EXECUTED @ 107.6(-0.2)", "FILLED", False),
        ("EXECUTED @ 0.7(-1.0): was PARTIALLY FILLED @ 0.7(-1.5)", "FILLED", False),
        ("CANCELED", "CANCELED", False),
        ("CANCELED was: PARTIALLY FILLED @ 0.7(-1.5)", "CANCELED", False),
        ("POSTONLY CANCELED", "CANCELED", True),
        ("FILLORKILL CANCELED", "CANCELED", True),
        ("IOC CANCELED", "CANCELED", True),
        ("INSUFFICIENT MARGIN was: PARTIALLY FILLED @ 0.7(-1.5)", "CANCELED", True),
        ("INSUFFICIENT BALANCE (U1) was: ACTIVE", "CANCELED", True),
        ("RSN_DUST", "REJECTED", True),
        ("SOMETHING NEW", None, True),
    ],
)
def test_statuses(raw: str, status: str | None, has_reason: bool) -> None:
    (row,) = last(("server", [0, "oc", order(status=raw)])).orders
    assert shown(row, "status", "status_raw", "reason") == (status, raw, raw if has_reason else None)


def test_what_is_filled_is_what_is_not_left() -> None:
    (row,) = last(("server", [0, "ou", order(amount=-10.0, average=0.7126)])).orders
    assert shown(row, "quantity", "filled_quantity", "average_price") == (Decimal("12.5"), Decimal("2.5"), Decimal("0.7126"))
    exact = [0, "ou", order(amount=0.000000000000000001, original=12345678901234567890)]
    (row,) = last(("server", exact)).orders
    assert row.filled_quantity == Decimal("12345678901234567889.999999999999999999")
    for amount in (-13, 3):
        assert last(("server", [0, "ou", order(amount=amount)])).problem == "field AMOUNT: more is left than was asked for"


def test_a_snapshot_and_its_broken_parts() -> None:
    decoded = last(("server", [0, "os", [order(), order(original="x"), 5, order(id=6)]]))
    assert [row.order_id for row in decoded.orders] == [str(ID), "6"]
    assert decoded.problem == "field AMOUNT_ORIG: not a decimal number"


def test_a_fill_told_twice_has_one_id_and_the_fee_once() -> None:
    one = decoder()
    fills = []
    for name, array in (("te", trade()), ("tu", trade(-0.0178, "UST"))):
        decoded = one.decode(message("server", [0, name, array]))
        assert decoded is not None
        assert (decoded.kind, decoded.problem, decoded.orders) == ("update", None, [])
        fills += decoded.fills
    assert fills[0] == FillEvent(
        7, "server", 3, 0, 2000, (T0 + 9) * NS, "bitfinex", None, "tADAUST", "402911007", str(ID), str(CID), "sell",
        Decimal("0.7126"), Decimal("2.5"), "base", None, None, "maker",
    )  # fmt: skip
    assert fills[1] == fills[0]._replace(fee=Decimal("0.0178"), fee_asset="UST")


def test_shapes_of_trades() -> None:
    (fill,) = last(("server", [0, "te", trade(maker=-1, amount=2)[:9]])).fills
    assert shown(fill, "side", "liquidity", "fee", "client_order_id") == ("buy", "taker", None, None)
    (fill,) = last(("server", [0, "tu", trade(0.001, "UST", cid=0, maker=None)])).fills
    assert shown(fill, "fee", "liquidity", "client_order_id") == (Decimal("-0.001"), None, "0")


@pytest.mark.parametrize(
    "payload",
    [
        [0, "te", trade(amount=0)], [0, "te", trade(amount="x")], [0, "te", 5], [0, "te"], [0, "tu", trade(fee=True)],
        [0, "on", order(id=None)], [0, "on", order(symbol=5)], [0, "on", order(status=None)], [0, "on", order(update=10**15)],
        [0, "on", order(price=-1)], [0, "on", order()[:12]], [0, "oc", order(price=1e30)], b'[0,"on",[1,NaN]]',
        json.dumps([0, "on", order()]).encode()[:-30],
    ],
)  # fmt: skip
def test_a_broken_message_is_a_problem(payload: Any) -> None:
    decoded = last(("server", payload))
    assert (decoded.kind, decoded.orders, decoded.fills) == ("update", [], [])
    assert decoded.problem is not None


MARKET = [
    b'[18788,"te",[569022120,1741064767123,0.5,0.7126],2]', b'[18788,"tu",[569022120,1741064767123,-0.5,0.7126],3]',
    b'[266343,"hb"]', b'[17082,[0.7126,3,-12.5]]', b'[0,"hb"]', b'[0,"wu",["exchange","ADA",5.5,0,5.5,"x",{"order_id":1}]]',
    b'[0,"pu",["tADAF0:USTF0","ACTIVE",1.5,0.7,0,0,null,null,null,null,null,142]]', b'[0,"bu",[1,2]]', b'[0,"ps",[]]',
]  # fmt: skip


@pytest.mark.parametrize("payload", MARKET)
def test_public_trades_and_wallets_are_no_orders(payload: bytes) -> None:
    assert not marked(payload)
    assert not VENUE.looks_like("server", payload)
    assert decoder().decode(message("server", payload)) is None


def test_other_notifications_and_empty_snapshots_are_no_orders() -> None:
    for payload in ([0, "os", []], [0, "n", notice("uca", None)], [0, "n", notice("fon-req", [1, 2])], {"event": "info"}):
        assert decoder().decode(message("server", payload)) is None


# --- REST ---


def test_rest_calls_and_answers() -> None:
    (row,) = last(("client", new()[3], SUBMIT)).orders
    assert shown(row, *IDS, *TERMS) == ("place", None, str(CID), *LIMIT)
    (row,) = last(("client", new()[3], SUBMIT), ("server", notice("on-req", [order()]), SUBMIT)).orders
    assert shown(row, *IDS, *TERMS, "status") == ("place", str(ID), str(CID), *LIMIT, "NEW")
    (row,) = last(("client", {"id": ID, "price": "2"}, UPDATE), ("server", notice("ou-req", order()), UPDATE)).orders
    assert shown(row, *IDS) == ("amend", str(ID), str(CID))
    multi = {"ops": [["on", new()[3]], ["oc", {"id": 5}]]}
    rows = last(("client", multi, "POST /v2/auth/w/order/multi")).orders
    assert [shown(row, *IDS[:2]) for row in rows] == [("place", None), ("cancel", "5")]


def test_rest_refusals() -> None:
    error = ["error", 10001, "Invalid order: minimum size"]
    (row,) = last(("client", new()[3], SUBMIT), ("server", error, SUBMIT)).orders
    assert shown(row, *IDS, *TERMS) == ("place", None, str(CID), *LIMIT)
    assert shown(row, "status", "status_raw", "reason") == ("REJECTED", "10001", "Invalid order: minimum size")
    (row,) = last(("client", {"id": ID}, CANCEL), ("server", error, CANCEL)).orders
    assert shown(row, *IDS, "status", "reason") == ("cancel", str(ID), None, None, "Invalid order: minimum size")
    (row,) = last(("server", error, SUBMIT)).orders
    assert shown(row, "action", "status") == ("place", "REJECTED")
    assert last(("server", ["error", "x", 5], SUBMIT)).problem is not None


def test_rest_queries_tell_states_and_fills() -> None:
    decoded = last(("server", [order(status="CANCELED")], "POST /v2/auth/r/orders/tADAUST/hist"))
    assert [shown(row, "kind", "action", "status") for row in decoded.orders] == [("response", None, "CANCELED")]
    decoded = last(("server", [trade(-0.0178, "UST")], f"POST /v2/auth/r/order/tADAUST:{ID}/trades"))
    assert [shown(fill, "trade_id", "fee") for fill in decoded.fills] == [("402911007", Decimal("0.0178"))]
    for call in ("POST /v2/auth/r/wallets", "GET /v2/trades/tADAUST/hist", "POST /v2/auth/r/orders"):
        assert decoder().decode(message("server", [], call)) is None
    assert decoder().decode(Message(7, "client", 0, 0, 0, OPCODE_HTTP, b"", HttpHead("POST", None, None, ()))) is None


# --- whose, secrets, recognition ---


def test_logins_name_the_account_and_are_not_stored() -> None:
    one = decoder()
    login = {"event": "auth", "apiKey": "KEY-of-alice", "authSig": "s", "authPayload": "AUTH1", "authNonce": "1"}
    sent, got = one.decode(message("client", login)), one.decode(message("server", {"event": "auth", "status": "OK"}))
    assert [decoded.kind if decoded else None for decoded in (sent, got)] == [LOGIN, LOGIN]
    decoded = one.decode(message("server", [0, "on", order()]))
    assert decoded is not None
    assert {row.account for row in decoded.orders} == {"name of KEY-of-alice"}
    decoded = one.decode(message("client", new()[3], SUBMIT, bfx_apikey="KEY-of-bob"))
    assert decoded is not None
    assert {row.account for row in decoded.orders} == {"name of KEY-of-bob"}


@pytest.mark.parametrize(
    "text",
    [
        '{"event":"auth","apiKey":"SECRET","authSig":"SECRET","authPayload":"SECRET","authNonce":"SECRET"}',
        '{"event":"auth","token":"SECRET"}', '["pub:api:TOKEN"]{"token": "SECRET"}',
        "bfx-apikey: SECRET\r\nbfx-signature: SECRET\r\n", "X-BFX-PAYLOAD: SECRET\r\nX-BFX-SIGNATURE: SECRET",
    ],
)  # fmt: skip
def test_secrets_are_taken_out(text: str) -> None:
    assert "SECRET" not in VENUE.redact("client", text)
    assert "SECRET" not in VENUE.redact_path("/v2/x?token=SECRET")


@pytest.mark.parametrize(("sender", "payload"), [(fixture[1], fixture[2]) for fixture in FIXTURES if len(fixture) == 3])
def test_order_messages_are_recognised(sender: Sender, payload: Any) -> None:
    for raw in (json.dumps(payload, separators=(",", ":")).encode(), json.dumps(payload, indent=2).encode()):
        assert decoder().wanted(sender, OPCODE_TEXT)(raw)
        assert guess_venue(sender, raw) is VENUE


def test_hosts() -> None:
    assert VENUE.recognises("api.bitfinex.com", "/ws/2", 443)
    assert not VENUE.recognises("api.example.com", "/ws/2", 443)


def test_a_decoder_can_be_kept() -> None:
    one = VENUE.decoder(ConnectionFacts(connection_id=7))
    one.decode(message("client", new()))
    for kept in (pickle.loads(pickle.dumps(one)), copy.deepcopy(one)):
        decoded = kept.decode(message("server", [0, "n", notice("on-req", [None, None, CID], "ERROR", "no")]))
        assert decoded is not None
        assert [shown(row, "price", "status") for row in decoded.orders] == [(Decimal("0.7125"), "REJECTED")]


def test_a_token_is_not_stored() -> None:
    talk = Talk("bitfinex")
    talk.call("POST /v2/auth/w/token", {"ttl": 3600, "scope": "api"})
    assert known(talk.reply("POST /v2/auth/w/token", ["pub:api:0a1b-caps:s:o-write"])).kind == LOGIN
    assert known(talk.reply("POST /v2/auth/w/token", '["pub:api:0a1b')).kind == LOGIN, "nor a cut one"

"""Mutated messages of Binance Spot: never an exception, never a guess.

Each fixture is changed in ways that real damage and future versions change messages: a field dropped, retyped or replaced, the
text cut, a key doubled, NaN, huge numbers, deep nesting. The outcome has to be the same rows, or rows that say what the mutated
message says, or a problem.
"""

from __future__ import annotations

import copy
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sniffer.exchanges.base import ConnectionFacts, Decoded
from sniffer.exchanges.binance_spot import VENUE
from sniffer.model import OPCODE_BINARY, OPCODE_HTTP, OPCODE_TEXT, FillEvent, HttpHead, Message, OrderEvent, Sender
from tests.property.test_venues_property import ANYTHING
from tests.unit.exchanges.binance_messages import answer, ask, canceled, full, order, place, refusal, report, trade

FIXTURES: list[tuple[Sender, Any]] = [
    ("server", report()),
    ("server", trade()),
    ("server", {"stream": "a" * 60, "data": report(x="CANCELED", X="CANCELED", c="cancel-1", C="strat7-0001")}),
    ("server", {"subscriptionId": 2, "event": trade(X="FILLED", m=False)}),
    ("server", answer(order())),
    ("server", answer(full())),
    ("server", answer([canceled(), {"orderListId": 3, "orderReports": [canceled(orderId=5), canceled(orderId=6)]}])),
    ("server", answer({"transactTime": 5, "executionId": 6, "amendedOrder": order(qty="200")})),
    ("server", refusal(-2010, "Account has insufficient balance.")),
    (
        "server",
        refusal(
            -2021, "x", status=409, cancelResult="SUCCESS", newOrderResult="FAILURE", cancelResponse=canceled(),
            newOrderResponse={"code": -2010, "msg": "y"},
        ),
    ),
    ("client", place()),
    ("client", ask("order.cancel", symbol="ADAUSDC", orderId=5)),
    ("client", ask("order.amend.keepPriority", symbol="ADAUSDC", origClientOrderId="strat7-0001", newQty="200")),
    ("client", place(method="order.cancelReplace", cancelOrderId=5)),
    ("client", ask("orderList.place.oto", symbol="S", workingSide="BUY", workingQuantity=1, pendingSide="SELL")),
]  # fmt: skip

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(10**14, 10**40),
    st.sampled_from(
        ["", "NaN", "Infinity", "1e400", "0.1234567890123456789", "-1", "BUY", "TRADE", "FILLED", "x", "\x00", "9" * 200]
    ),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.text(max_size=8),
)
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=2), st.dictionaries(st.text(max_size=3), SCALARS, max_size=2))


def decode(sender: Sender, payload: bytes, opcode: int = OPCODE_TEXT, http: HttpHead | None = None) -> Decoded | None:
    """As the pipeline does: redacts what it keeps, and decodes only what the search lets through, with the request known."""
    one = VENUE.decoder(ConnectionFacts())
    one.decode(Message(1, "client", 0, 0, 0, OPCODE_TEXT, json.dumps(place()).encode()))
    if not one.wanted(sender, opcode)(payload):
        return None
    return one.decode(Message(1, sender, 0, 0, 0, opcode, payload, http))


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to each field and item inside a message."""
    items = value.items() if type(value) is dict else enumerate(value) if type(value) is list else ()
    return [found for key, child in items for found in [(*path, key), *paths(child, (*path, key))]]


def said(value: Any) -> set[str]:
    """All strings and numbers of a message, as text, and numbers in their canonical form too."""
    if type(value) is dict:
        return {text for child in value.values() for text in said(child)}
    if type(value) is list:
        return {text for child in value for text in said(child)}
    return {str(value), *canonical(value)}


def canonical(value: Any) -> set[str]:
    try:
        return {format(Decimal(str(value)).normalize(), "f")} if Decimal(str(value)).is_finite() else set()
    except ArithmeticError:
        return set()


def check(sender: Sender, payload: bytes, document: Any) -> None:
    """Whatever stands in a row stands in the message (or in the request, for a refusal)."""
    decoded = decode(sender, payload)
    if decoded is None:
        return
    told = said(document) | said(place())
    rows: list[OrderEvent | FillEvent] = [*decoded.orders, *decoded.fills]
    for row in rows:
        columns: dict[str, Any] = dict(zip(row._fields, row, strict=True))
        for name in ("symbol", "client_order_id", "order_id", "trade_id", "request_id", "status_raw", "fee_asset", "reason"):
            assert columns.get(name) is None or str(columns[name]) in told, (name, columns[name])
        for name in ("price", "stop_price", "quantity", "filled_quantity", "fee"):
            if (value := columns.get(name)) is not None:
                assert canonical(value) & told, (name, value)
                assert -18 <= value.as_tuple().exponent <= 0
                assert value.adjusted() < 20
        assert columns.get("status") in {None, *STATUSES}
        assert columns["side"] in (None, "buy", "sell")
        assert columns["exchange_time"] is None or 0 <= columns["exchange_time"] < 2**63
    if decoded.kind == "update" and decoded.orders:
        check_report(decoded, document.get("data") or document.get("event") or document)
    for fill in decoded.fills:
        assert None not in (fill.trade_id, fill.price, fill.quantity, fill.side, fill.symbol)
    if decoded.problem is None and decoded.kind in ("request", "response", "update"):
        assert decoded.orders or decoded.fills


def check_report(decoded: Decoded, event: Any) -> None:
    """Each column of an executionReport's rows stands in its own field."""
    (row,) = decoded.orders
    on_cancel = event["C"] if event["x"] == "CANCELED" and event["C"] not in ("", "null") else event["c"]
    assert (row.symbol, row.order_id, row.client_order_id) == (event["s"], str(event["i"]), on_cancel)
    assert (row.side, row.status_raw, row.status) == (event["S"].lower(), event["X"], KNOWN.get(event["X"]))
    assert (row.price, row.filled_quantity) == (Decimal(str(event["p"])), Decimal(str(event["z"])))
    assert row.quantity == Decimal(str(event["Q" if row.quantity_unit == "quote" else "q"]))
    assert row.exchange_time == Decimal(str(event["T"])) * 1_000_000
    assert (len(decoded.fills) == 1) == (event["x"] == "TRADE" and decoded.problem is None)
    for fill in decoded.fills:
        assert (fill.price, fill.quantity) == (Decimal(str(event["L"])), Decimal(str(event["l"])))
        assert fill.trade_id == str(event["t"] if event["t"] != -1 else event["a"])
        assert (fill.symbol, fill.order_id, fill.side) == (row.symbol, row.order_id, row.side)


STATUSES = ("PENDING_NEW", "NEW", "PARTIALLY_FILLED", "FILLED", "PENDING_CANCEL", "CANCELED", "REJECTED", "EXPIRED")
KNOWN = {status: status for status in STATUSES} | {"EXPIRED_IN_MATCH": "EXPIRED"}


@settings(max_examples=400, deadline=None, print_blob=True)
@given(st.data())
def test_a_field_is_dropped_or_replaced(data: st.DataObject) -> None:
    sender, fixture = data.draw(st.sampled_from(FIXTURES))
    document = copy.deepcopy(fixture)
    for _ in range(data.draw(st.integers(1, 2))):
        found = paths(document)
        if not found:
            break
        *way, last = data.draw(st.sampled_from(found))
        parent = document
        for key in way:
            parent = parent[key]
        if data.draw(st.booleans()):
            del parent[last]
        else:
            parent[last] = data.draw(VALUES)
    check(sender, json.dumps(document).encode(), document)


@settings(max_examples=300, deadline=None, print_blob=True)
@given(st.sampled_from(FIXTURES), st.data())
def test_a_number_is_spelled_in_another_way(fixture: tuple[Sender, Any], data: st.DataObject) -> None:
    """JSON number for string, exponent, more zeros: the same values, exactly, wherever the venue takes both."""
    sender, document = fixture
    payload = json.dumps(document, separators=(",", ":"))
    names = ["p", "q", "z", "price", "origQty", "executedQty", "quantity", "newQty", "qty", "l", "L", "n", "commission"]
    name = data.draw(st.sampled_from([name for name in names if f'"{name}":"' in payload] or ["none"]))
    head, found, tail = payload.partition(f'"{name}":"')
    if not found:
        return
    digits, _, rest = tail.partition('"')
    value = Decimal(digits)
    longer = (digits if "." in digits else digits + ".") + "0" * 5
    forms = [digits, longer, f'"{longer}"', f"{value:E}", f'"{value:e}"', f"{value.normalize():f}", f'"00{digits}"']
    spelled = data.draw(st.sampled_from(forms))
    changed, same = decode(sender, f"{head}{found[:-1]}{spelled}{rest}".encode()), decode(sender, payload.encode())
    assert changed == same


@settings(max_examples=300, deadline=None, print_blob=True)
@given(st.sampled_from(FIXTURES), st.data())
def test_a_message_is_cut_or_a_byte_changed(fixture: tuple[Sender, Any], data: st.DataObject) -> None:
    sender, document = fixture
    payload = bytearray(json.dumps(document, separators=data.draw(st.sampled_from([(",", ":"), (", ", ": ")]))).encode())
    at = data.draw(st.integers(0, len(payload) - 1))
    if data.draw(st.booleans()):
        decoded = decode(sender, bytes(payload[:at]))
        assert decoded is None or (decoded.orders, decoded.fills) == ([], [])
        assert decoded is None or decoded.problem is not None
        return
    payload[at] = data.draw(st.integers(0, 255))
    try:
        changed = json.loads(payload.decode(), parse_float=str)
    except ValueError:
        changed = None
    if changed is None:
        decoded = decode(sender, bytes(payload))
        assert decoded is None or not (decoded.orders or decoded.fills)
    else:
        check(sender, bytes(payload), changed)


@settings(max_examples=300, deadline=None, print_blob=True)
@given(st.sampled_from(FIXTURES), st.data())
def test_a_key_stands_twice(fixture: tuple[Sender, Any], data: st.DataObject) -> None:
    sender, document = fixture
    payload = json.dumps(document)
    places = [at for at in range(len(payload)) if payload[at] == "{" and payload[at + 1] == '"']
    at = data.draw(st.sampled_from(places)) + 1
    key = json.loads(payload[at : payload.index('"', at + 1) + 1])
    doubled = f"{payload[:at]}{json.dumps(key)}: {json.dumps(data.draw(SCALARS))}, {payload[at:]}"
    decoded = decode(sender, doubled.encode())
    assert decoded is not None
    assert (decoded.orders, decoded.fills) == ([], [])
    assert decoded.problem == "a key stands twice in one object"


@pytest.mark.parametrize(("sender", "document"), FIXTURES, ids=range(len(FIXTURES)))
@pytest.mark.parametrize(
    "value", ["[" * 5000, "[" * 5000 + "]" * 5000, '{"a":' * 3000 + "1" + "}" * 3000, "NaN", "-Infinity", "1" * 9000]
)
def test_what_no_parser_should_take(sender: Sender, document: Any, value: str) -> None:
    payload = json.dumps(document)
    for at in [at for at in range(len(payload)) if payload.startswith(": ", at)]:
        end = payload.find(",", at)
        decoded = decode(sender, f"{payload[:at]}: {value}{payload[end:] if end > 0 else '}'}".encode())
        assert decoded is None or decoded.problem is not None or decoded.orders or decoded.kind in ("other", "login")
        for row in decoded.orders if decoded else []:
            assert "1" * 30 not in str(row)


@settings(max_examples=150, deadline=None, print_blob=True)
@given(
    st.sampled_from(["client", "server"]),
    st.sampled_from([OPCODE_TEXT, OPCODE_BINARY, OPCODE_HTTP]),
    ANYTHING,
    st.sampled_from(["GET", "POST", "PUT", "DELETE", "", None]),
    st.one_of(
        st.none(), st.text(max_size=30), st.sampled_from(["/api/v3/order", "/api/v3/order/x", "/api/v3/openOrders?symbol=A"])
    ),
    st.sampled_from([None, 0, 200, 400, 503]),
)
def test_anything_at_all(
    sender: Sender, opcode: int, body: Any, method: str | None, target: str | None, status: int | None
) -> None:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    decode(sender, payload, opcode, HttpHead(method, target, status, (("x-mbx-apikey", "k"),)))
    VENUE.redact(sender, payload.decode("latin-1"))
    VENUE.redact_path(target or "")
    VENUE.looks_like(sender, payload)

"""Mutated messages of every venue: never an exception, never a guess.

A venue's test module in `tests/unit/exchanges/` registers its fixtures by being there and holding

    FIXTURES: list[tuple[str, Sender, Any] | tuple[str, Sender, Any, str]]

of `(venue, sender, payload)`, or `(venue, sender, payload, "POST /path?query")` for an HTTP body. A payload is a JSON value (it
is written as JSON here, spaced in more than one way), or `str` or `bytes` that are sent as they are. What a fixture is joined
to (a request, the insert before a delta) stands before it in the list. Columns that a venue computes (a sum) are named in

    DERIVED: frozenset[str]

of the same module. Each fixture is damaged as real traffic and future versions damage messages; the outcome has to be the same
rows, rows that say what the damaged message says, or a problem. A message of no order is None or of kind `other`: a `request`,
`response` or `update` without rows and without a problem is an order that was lost without a word.

One venue alone: `pytest tests/property/test_venues_property.py -k okx`.
"""

from __future__ import annotations

import copy
import importlib
import json
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sniffer.exchanges import by_name
from sniffer.exchanges.base import ConnectionFacts, Decoded
from sniffer.exchanges.decode import http_head
from sniffer.model import OPCODE_BINARY, OPCODE_HTTP, OPCODE_TEXT, HttpHead, Message, Sender

UNIT_TESTS = Path(__file__).parents[1] / "unit" / "exchanges"
MODULES = sorted(path.stem for path in UNIT_TESTS.glob("test_*.py") if "\nFIXTURES" in path.read_text(encoding="utf-8"))

STATUSES = {"PENDING_NEW", "NEW", "PARTIALLY_FILLED", "FILLED", "PENDING_CANCEL", "CANCELED", "REJECTED", "EXPIRED"}
WORDS: dict[str, set[str | None]] = {
    "status": {None, "PENDING_TRIGGER", *STATUSES},
    "side": {None, "buy", "sell"},
    "action": {None, "place", "amend", "cancel"},
    "quantity_unit": {None, "base", "quote", "contract"},
    "liquidity": {None, "maker", "taker"},
}
TEXTS = ("symbol", "client_order_id", "order_id", "trade_id", "request_id", "status_raw", "fee_asset", "reason")
NUMBERS = ("price", "stop_price", "quantity", "filled_quantity", "average_price", "fee")

Fixture = tuple[str, Sender, Any, str | None]

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(10**14, 10**40),
    st.sampled_from(
        ["", "NaN", "Infinity", "1e400", "0.1234567890123456789", "-1", "0", "BUY", "sell", "Filled", "x", "\x00", "9" * 200]
    ),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.text(max_size=8),
)
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=2), st.dictionaries(st.text(max_size=3), SCALARS, max_size=2))
ANYTHING = st.one_of(
    st.binary(max_size=60),
    st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=8,
    ),
)
"""Most of it is turned away at once; what comes further is what the other tests, and `make fuzz`, change."""
SPACED = st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", " :\t")])
THOROUGH = settings(max_examples=120, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
MALFORMED = ["[" * 5000, "[" * 5000 + "]" * 5000, '{"a":' * 3000 + "1" + "}" * 3000, "NaN", "-Infinity", "1" * 9000]


@cache
def registered(module: str) -> tuple[tuple[Fixture, ...], frozenset[str]]:
    """The fixtures of a test module, in order, and the columns that are computed."""
    found = importlib.import_module(f"tests.unit.exchanges.{module}")
    fixtures = tuple((*fixture, None)[:4] for fixture in found.FIXTURES)
    return fixtures, getattr(found, "DERIVED", frozenset())


def raw(payload: Any, separators: tuple[str, str] = (",", ":")) -> bytes:
    if isinstance(payload, bytes):
        return payload
    return payload.encode() if isinstance(payload, str) else json.dumps(payload, separators=separators).encode()


def sent(sender: Sender, payload: bytes, call: str | None) -> Message:
    if call is not None:
        return Message(1, sender, 0, 0, 0, OPCODE_HTTP, payload, http_head(call))
    try:
        payload.decode()
    except UnicodeDecodeError:
        return Message(1, sender, 0, 0, 0, OPCODE_BINARY, payload)
    return Message(1, sender, 0, 0, 0, OPCODE_TEXT, payload)


def decode(fixture: Fixture, payload: bytes, before: tuple[Fixture, ...] = ()) -> Decoded | None:
    """The meaning of `payload` in the place of `fixture`, as the pipeline has it: searched, decoded, redacted."""
    venue, sender, _, call = fixture
    one = by_name(venue).decoder(ConnectionFacts())
    for _, other, earlier, its_call in before:
        one.decode(sent(other, raw(earlier), its_call))
    message = sent(sender, payload, call)
    by_name(venue).redact(sender, payload.decode("latin-1"))
    return one.decode(message) if one.wanted(sender, message.opcode)(payload) else None


def rows_of(decoded: Decoded | None) -> list[Any]:
    return [] if decoded is None else [*decoded.orders, *decoded.fills]


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to each field and item inside a message."""
    items = value.items() if type(value) is dict else enumerate(value) if type(value) is list else ()
    return [found for key, child in items for found in [(*path, key), *paths(child, (*path, key))]]


def said(payload: bytes, call: str | None) -> set[str]:
    """All that a message says: keys, strings and numbers, numbers in their canonical form too."""
    text = payload.decode("utf-8", "replace")
    try:
        value = json.loads(text, parse_float=str)
    except (ValueError, RecursionError):
        value = None
    told = words(value) | (pairs(text) if type(value) not in (dict, list) else set())  # a form may be a JSON text, too
    return told | (pairs(call.partition("?")[2]) | words(call.partition("?")[0].split("/")) if call else set())


def pairs(form: str) -> set[str]:
    return words([unquote_plus(word) for pair in form.split("&") for word in pair.split("=", 1)])


def words(value: Any) -> set[str]:
    if type(value) is dict:
        return {text for key, child in value.items() for text in {str(key)} | words(child)}
    if type(value) is list:
        return {text for child in value for text in words(child)}
    if type(value) is str and value[:1] in ("{", "["):  # a JSON text inside a string
        try:
            return {value} | words(json.loads(value, parse_float=str))
        except (ValueError, RecursionError):
            pass
    return {str(value), *canonical(value)}


def canonical(value: Any) -> set[str]:
    """A number without its sign and its trailing zeros: venues write a fee, and some an amount, with either sign."""
    try:
        number = abs(Decimal(str(value)))
        return {format(number.normalize(), "f")} if number.is_finite() and -400 < number.adjusted() < 400 else set()
    except ArithmeticError:
        return set()


def check(decoded: Decoded | None, told: set[str], derived: frozenset[str]) -> None:
    """Whatever stands in a row stands in what was `told`."""
    if decoded is None:
        return
    for row in rows_of(decoded):
        columns = row._asdict()
        for name in set(TEXTS) & set(columns) - derived:
            assert columns[name] is None or columns[name] in told, (name, columns[name])
        for name in set(NUMBERS) & set(columns):
            if (value := columns[name]) is not None:
                assert name in derived or canonical(value) & told, (name, value)
                assert -18 <= value.as_tuple().exponent <= 0
                assert value.adjusted() < 20
        for name in set(WORDS) & set(columns):
            assert columns[name] in WORDS[name], (name, columns[name])
        assert columns["exchange_time"] is None or 0 <= columns["exchange_time"] < 2**63
    for fill in decoded.fills:
        assert None not in (fill.price, fill.quantity)
    if decoded.problem is None and decoded.kind in ("request", "response", "update"):
        assert rows_of(decoded)


def drawn(module: str, data: st.DataObject) -> tuple[Fixture, tuple[Fixture, ...]]:
    """A fixture, and those before it (half of the time none: then its rows can only say what it says itself)."""
    fixtures, _ = registered(module)
    at = data.draw(st.integers(0, len(fixtures) - 1))
    return fixtures[at], fixtures[:at] if data.draw(st.booleans()) else ()


def checked(module: str, fixture: Fixture, payload: bytes, before: tuple[Fixture, ...]) -> Decoded | None:
    told = said(payload, fixture[3]).union(*(said(raw(earlier), call) for _, _, earlier, call in before))
    decoded = decode(fixture, payload, before)
    check(decoded, told, registered(module)[1])
    return decoded


each_module = pytest.mark.parametrize("module", MODULES)


@each_module
def test_fixtures_as_they_are(module: str) -> None:
    """However JSON is spaced, the rows are the same; and each venue has orders among its fixtures."""
    fixtures, _ = registered(module)
    found = []
    for at, fixture in enumerate(fixtures):
        decoded = checked(module, fixture, raw(fixture[2]), fixtures[:at])
        for separators in ((", ", ": "), (" ,\n", " :\t")):
            assert decode(fixture, raw(fixture[2], separators), fixtures[:at]) == decoded
        found += rows_of(decoded)
    assert found


@each_module
@THOROUGH
@given(st.data())
def test_a_field_is_dropped_or_replaced(module: str, data: st.DataObject) -> None:
    fixture, before = drawn(module, data)
    document = copy.deepcopy(fixture[2])
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
    checked(module, fixture, raw(document, data.draw(SPACED)), before)


@each_module
@THOROUGH
@given(st.data())
def test_a_message_is_cut_or_a_byte_changed(module: str, data: st.DataObject) -> None:
    fixture, before = drawn(module, data)
    payload = bytearray(raw(fixture[2], data.draw(SPACED)))
    if not payload:
        return
    at = data.draw(st.integers(0, len(payload) - 1))
    if data.draw(st.booleans()):
        cut = checked(module, fixture, bytes(payload[:at]), before)
        if payload[:1] in (b"{", b"["):
            assert cut is None or cut.kind in ("other", "login") or fixture[3] or (rows_of(cut) == [] and cut.problem)
        return
    payload[at] = data.draw(st.integers(0, 255))
    checked(module, fixture, bytes(payload), before)


@each_module
@THOROUGH
@given(st.data())
def test_a_key_stands_twice(module: str, data: st.DataObject) -> None:
    fixture, before = drawn(module, data)
    payload = raw(fixture[2], data.draw(SPACED)).decode("latin-1")
    places = [at + 1 for at in range(len(payload) - 1) if payload[at] == "{" and payload[at + 1] == '"']
    if not places or payload[0] not in "{[":
        return
    at = data.draw(st.sampled_from(places))
    key = json.loads(payload[at : payload.index('"', at + 1) + 1])
    doubled = f"{payload[:at]}{json.dumps(key)}:{json.dumps(data.draw(SCALARS))},{payload[at:]}"
    decoded = decode(fixture, doubled.encode("latin-1"), before)
    assert rows_of(decoded) == []
    if rows_of(decode(fixture, payload.encode("latin-1"), before)):
        assert decoded is not None
        assert decoded.problem is not None


@each_module
@THOROUGH
@given(st.data())
def test_a_number_is_spelled_in_another_way(module: str, data: st.DataObject) -> None:
    """More zeros, an exponent, a JSON number for a string: the same rows, or a problem."""
    fixture, before = drawn(module, data)
    payload = raw(fixture[2]).decode("latin-1")
    if payload[:1] not in ("{", "["):
        return
    amounts = [path for path in paths(fixture[2]) if _is_amount(_at(fixture[2], path))]
    if not amounts:
        return
    path = data.draw(st.sampled_from(amounts))
    digits = str(_at(fixture[2], path))
    value = Decimal(digits)
    forms = [
        digits,
        digits + "0" * 5,
        f"{value:E}",
        f'"{value:e}"',
        f"{value.normalize():f}",
        f'"{digits}000"',
        f'"00{digits}"',
    ]
    document = copy.deepcopy(fixture[2])
    _at(document, path[:-1])[path[-1]] = "@@"
    spelled = raw(document).decode("latin-1").replace('"@@"', data.draw(st.sampled_from(forms)))
    changed, same = decode(fixture, spelled.encode("latin-1"), before), decode(fixture, raw(fixture[2]), before)
    if changed != same:
        assert changed is not None
        assert changed.problem is not None


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def _is_amount(value: Any) -> bool:
    text = str(value) if type(value) in (str, float) else ""
    return text.count(".") == 1 and text.replace(".", "").isdigit() and not text.startswith(".") and not text.endswith(".")


@each_module
@THOROUGH
@given(st.data())
def test_what_no_parser_should_take(module: str, data: st.DataObject) -> None:
    fixture, before = drawn(module, data)
    payload = raw(fixture[2], (", ", ": ")).decode("latin-1")
    places = [at for at in range(len(payload)) if payload.startswith(": ", at)]
    if not places:
        return
    at = data.draw(st.sampled_from(places))
    end = payload.find(",", at)
    damaged = f"{payload[:at]}: {data.draw(st.sampled_from(MALFORMED))}{payload[end:] if end > 0 else '}'}"
    checked(module, fixture, damaged.encode("latin-1"), before)


@each_module
@THOROUGH
@given(
    st.data(),
    st.sampled_from(["client", "server"]),
    st.sampled_from([OPCODE_TEXT, OPCODE_BINARY, OPCODE_HTTP]),
    ANYTHING,
    st.sampled_from(["GET", "POST", "PUT", "DELETE", "", None]),
    st.sampled_from([None, 0, 200, 400, 503]),
)
def test_anything_at_all(
    module: str, data: st.DataObject, sender: Sender, opcode: int, body: Any, method: str | None, status: int | None
) -> None:
    fixtures, _ = registered(module)
    calls = [call.partition(" ")[2] for _, _, _, call in fixtures if call]
    target = data.draw(st.one_of(st.none(), st.text(max_size=30), st.sampled_from(calls) if calls else st.nothing()))
    payload = raw(body) if type(body) is not str else body.encode("utf-8", "replace")
    venue = by_name(fixtures[0][0])
    head = HttpHead(method, target, status, (("api-key", "k"),)) if opcode == OPCODE_HTTP else None
    decoded = venue.decoder(ConnectionFacts()).decode(Message(1, sender, 0, 0, 0, opcode, payload, head))
    assert rows_of(decoded) == [] or opcode == OPCODE_HTTP
    venue.redact(sender, payload.decode("latin-1"))
    venue.redact_path(target or "")
    venue.looks_like(sender, payload)

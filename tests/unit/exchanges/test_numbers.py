from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from sniffer.exchanges.fields import amount, identity, mapped, number, optional_amount, optional_text, text, time, whole
from sniffer.exchanges.jsontext import parse, parse_object
from sniffer.exchanges.numbers import (
    MICROSECONDS,
    MILLISECONDS,
    NANOSECONDS,
    SECONDS,
    Broken,
    Number,
    decimal,
    parse_decimal,
    time_ns,
)


@pytest.mark.parametrize(
    ("digits", "plain"),
    [
        ("0.71350000", "0.71350000"),
        ("-1.5", "-1.5"),
        ("9.21e4", "92100"),
        ("5.0e-8", "0.000000050"),
        ("1E+3", "1000"),
        ("007", "7"),
        ("0.1" + "0" * 40, "0.1" + "0" * 17),
        ("12345678901234567890.123456789012345678", "12345678901234567890.123456789012345678"),
        ("0e5", "0"),
        ("-0.00", "0.00"),
        ("1" + "0" * 17 + "e-18", "0." + "1" + "0" * 17),
    ],
)
def test_digits_are_kept_exactly(digits: str, plain: str) -> None:
    value = parse_decimal(digits)
    assert format(value, "f") == plain
    assert value == Decimal(digits)
    assert -18 <= int(value.as_tuple().exponent) <= 0


@pytest.mark.parametrize(
    "digits",
    [
        "", " 1", "1 ", "1_0", "NaN", "Infinity", "-inf", "0x1f", "1.", ".5", "+1", "1e", "1,5", "\uff11", "--1",
        "123456789012345678901", "1e20", "0.1234567890123456789", "1e-19", "1e99999999999", "1" + "0" * 90,
    ],
)  # fmt: skip
def test_what_is_no_number_or_does_not_fit_is_refused(digits: str) -> None:
    with pytest.raises(Broken):
        parse_decimal(digits)


def test_json_numbers_come_from_their_text() -> None:
    row = parse_object(b'{"a":0.1000000000000000055,"b":2973.55,"c":12345678901234567890,"d":9.21e4}')
    with pytest.raises(Broken):  # 19 decimal places: nothing is rounded
        decimal(row["a"])
    assert str(decimal(row["b"])) == "2973.55"
    assert decimal(row["c"]) == Decimal(12345678901234567890)
    assert decimal(row["d"]) == 92100


@pytest.mark.parametrize("value", [True, False, None, [], {}, 10**20, -(10**20)])
def test_other_types_are_no_numbers(value: Any) -> None:
    with pytest.raises(Broken):
        decimal(value)


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (1_751_000_000_123, MILLISECONDS, 1_751_000_000_123_000_000),
        (1_751_000_000_123_456, MICROSECONDS, 1_751_000_000_123_456_000),
        ("1751000000", SECONDS, 1_751_000_000_000_000_000),
        (Number("1751000000.123456789"), SECONDS, 1_751_000_000_123_456_789),
        (2**63 - 1, NANOSECONDS, 2**63 - 1),
        (0, MILLISECONDS, 0),
    ],
)
def test_times(value: Any, unit: int, expected: int) -> None:
    assert time_ns(value, unit) == expected


@pytest.mark.parametrize(
    "value",
    [1_515_722_400_000_000, -1, True, None, "soon", 10**40, Number("1751000000123.0000001"), 2**63],
    ids=["year 50000", "before 1970", "boolean", "null", "word", "huge", "below a nanosecond", "after 2262"],
)
def test_times_that_are_none(value: Any) -> None:
    with pytest.raises(Broken):
        time_ns(value, MILLISECONDS)


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"{", b'{"a":1}x', b'{"a":NaN}', b'{"a":-Infinity}', b"\xff", b'{"a":"\xff"}', b'{"a":01}', b"[" * 100_000,
        b'{"a":' * 100_000, b'{"a":1' + b"0" * 9000 + b"}", b'{"a":"\\ud800"}',
    ],
)  # fmt: skip
def test_what_is_not_json_is_refused(payload: bytes) -> None:
    with pytest.raises(Broken):
        parse(payload)


@pytest.mark.parametrize(
    "payload",
    [
        b'{"a":1,"a":2}',
        b'{"a":1,"a":1}',
        b'{"a" :1, "a":2}',
        b'{"b":":","a":1,"a":2}',
        b'{"a":1,"\\u0061":2}',
        b'{"x":{"a":1,"a":2}}',
        b'{"x":[{"y":"::"},{"a":1,"a":2}]}',
    ],
)
def test_duplicate_keys_are_refused(payload: bytes) -> None:
    with pytest.raises(Broken, match="twice"):
        parse(payload)


@pytest.mark.parametrize(
    "value",
    [
        {"a": "12:30:00", "b": {"c": ":", "a": 1}},
        [{"a": 1}, {"a": 2}],
        {"a:b": 1, "c": 'x":y'},
        {"a": {"a": {"a": 1}}},
        5,
        "x:y",
    ],
)
def test_equal_keys_in_different_objects_and_colons_in_texts_are_fine(value: Any) -> None:
    assert parse(json.dumps(value).encode()) == value


def test_readers_say_what_is_wrong_and_where() -> None:
    row: dict[str, Any] = {"text": "x", "empty": "", "null": None, "n": "-1.5", "list": [], "flag": True, "int": 7}
    assert text(row, "text") == "x"
    assert optional_text(row, "empty") is None
    assert optional_text(row, "absent") is None
    assert identity(row, "int") == "7"
    assert identity(row, "text") == "x"
    assert number(row, "n") == Decimal("-1.5")
    assert optional_amount(row, "null") is None
    assert mapped(row, "text", {"x": 1}) == 1
    assert whole(row, "int") == 7
    for reader in (text, whole, amount, number):
        for key in ("empty", "null", "list", "flag", "absent"):
            with pytest.raises(Broken, match=f"field {key}"):
                reader(row, key)
    for optional in (optional_text, identity, optional_amount):
        for key in ("list", "flag"):
            with pytest.raises(Broken, match=f"field {key}"):
                optional(row, key)
    with pytest.raises(Broken, match="field n: below zero"):
        amount(row, "n")
    with pytest.raises(Broken, match="field text: an unknown word"):
        mapped(row, "text", {"y": 1})
    with pytest.raises(Broken, match="field list: not a number"):
        time(row, "list", SECONDS)

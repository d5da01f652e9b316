"""Times as RFC 3339 writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sniffer.exchanges.fields import optional_rfc3339, rfc3339
from sniffer.exchanges.jsontext import parse
from sniffer.exchanges.numbers import SECONDS, Broken, rfc3339_ns

T0 = 1_714_979_289 * SECONDS


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("2024-05-06T07:08:09Z", T0),
        ("2024-05-06T07:08:09.5Z", T0 + 500_000_000),
        ("2024-05-06T07:08:09.123456Z", T0 + 123_456_000),
        ("2024-05-06T07:08:09.000000001Z", T0 + 1),
        ("2024-05-06T07:08:09.123456000000Z", T0 + 123_456_000),
        ("2024-05-06 07:08:09.25+00:00", T0 + 250_000_000),
        ("2024-05-06t09:08:09z", T0 + 7200 * SECONDS),
        ("2024-05-06T02:38:09-04:30", T0),
        ("1970-01-01T00:00:00Z", 0),
    ],
)
def test_exact_to_the_nanosecond(text: str, nanoseconds: int) -> None:
    assert rfc3339_ns(text) == nanoseconds


@pytest.mark.parametrize(
    "text",
    [
        "", "2024-05-06", "2024-05-06T07:08:09", "2024-05-06T07:08:09.Z", "2024-13-06T07:08:09Z", "2024-05-06T25:08:09Z",
        "2024-05-06T07:08:09.0000000001Z", "1969-12-31T23:59:59Z", "2262-04-12T00:00:00Z", "9999-12-31T23:59:59Z",
        "50000-01-01T00:00:00Z", "0000-00-00T00:00:00Z", "2024-05-06T07:08:09+99:99", "1714979289",
        "\N{ARABIC-INDIC DIGIT TWO}024-05-06T07:08:09Z",
    ],
)  # fmt: skip
def test_anything_else_is_broken(text: str) -> None:
    with pytest.raises(Broken):
        rfc3339_ns(text)


@given(st.datetimes(), st.text(max_size=6))
def test_never_an_error_of_another_kind(time: object, tail: str) -> None:
    for text in (f"{time}Z", f"{time}{tail}", tail):
        try:
            assert 0 <= rfc3339_ns(text) < 2**63
        except Broken:
            pass


def test_readers_name_the_field() -> None:
    assert rfc3339({"t": "2024-05-06T07:08:09Z"}, "t") == T0
    assert optional_rfc3339({"t": ""}, "t") is None
    assert optional_rfc3339({}, "t") is None
    values: tuple[object, ...] = (5, [], "now", True)
    for value in values:
        with pytest.raises(Broken, match="field t: "):
            optional_rfc3339({"t": value}, "t")
    with pytest.raises(Broken, match="field t is missing"):
        rfc3339({}, "t")


def test_their_colons_hide_no_duplicate_keys() -> None:
    text = '{"t":"2024-05-06T07:08:09Z","a" :"12:30:05 : x", "b"\n:[{"t":1}]'
    assert parse(f"{text}}}".encode()) == {"t": "2024-05-06T07:08:09Z", "a": "12:30:05 : x", "b": [{"t": 1}]}
    for key in ('"t":', '"t" :', '"t"\n:', '"t" \t:', '"t"\r:', '"\\u0074":'):
        with pytest.raises(Broken, match="a key stands twice"):
            parse(f"{text},{key}5}}".encode())

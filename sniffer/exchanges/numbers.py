"""From the venue's digits to exact decimals and integer nanoseconds. Nothing here passes through a float or rounds.

A number that does not fit its column is `Broken`: the message stays raw and becomes a loss, never a nearby number.
"""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Context, Decimal, DivisionByZero, Inexact, InvalidOperation
from functools import lru_cache
from typing import Final

SECONDS: Final = 1_000_000_000
MILLISECONDS: Final = 1_000_000
MICROSECONDS: Final = 1_000
NANOSECONDS: Final = 1
"""Time units, in nanoseconds."""

INTEGER_DIGITS: Final = 20
DECIMAL_PLACES: Final = 18
"""What DECIMAL(38, 18) holds before and after the point."""

_LAST_NS: Final = 2**63 - 1
"""The end of TIMESTAMP_NS, in April 2262."""
_LONGEST: Final = 80
"""Characters of a number: 38 digits, sign, point and exponent, and zeros that some venues pad with."""
_CACHED: Final = 8192
"""Parsed numbers kept: venues repeat a few (zeros, lot sizes, resting prices), and a hit costs a tenth of a parse."""

_PLAIN: Final = re.compile(rf"[0-9]{{1,{INTEGER_DIGITS}}}(?:\.[0-9]{{1,{DECIMAL_PLACES}}})?")
"""What venues write nearly always; it fits as it stands."""
_NUMBER: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,4})?")
_RFC3339: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9})0*)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_EXACT: Final = Context(prec=2 * _LONGEST, traps=[Inexact, InvalidOperation, DivisionByZero])
_SMALLEST: Final = Decimal(1).scaleb(-DECIMAL_PLACES)
_ONE: Final = Decimal(1)
_TOO_LARGE: Final = 10**INTEGER_DIGITS


class Broken(ValueError):
    """A field of an order message is missing, of the wrong type or out of range; the text says which and why."""


class Number(str):
    """A JSON number with a fraction or an exponent, as its text: told apart from a JSON string, never made a float."""

    __slots__ = ()


@lru_cache(maxsize=_CACHED)
def parse_decimal(text: str) -> Decimal:
    """The exact value of decimal digits, with at most 18 decimal places and no exponent above zero.

    Takes what JSON takes (`-1.50`, `9.21e4`) and leading zeros. Raises `Broken` for anything else (`NaN`, `1_0`, an empty
    text), for more than 20 integer digits, and for more than 18 decimal places unless the rest are zeros.
    """
    if _PLAIN.fullmatch(text):
        return Decimal(text)
    if len(text) > _LONGEST or not _NUMBER.fullmatch(text):
        raise Broken("not a decimal number")
    value = Decimal(text)
    if not value:
        value = value.copy_abs()  # there is no -0 in a database
    elif value.adjusted() >= INTEGER_DIGITS:
        raise Broken("does not fit DECIMAL(38, 18)")
    exponent = int(value.as_tuple().exponent)
    if -DECIMAL_PLACES <= exponent <= 0:
        return value
    try:
        return value.quantize(_ONE if exponent > 0 else _SMALLEST, context=_EXACT)
    except (Inexact, InvalidOperation):
        raise Broken("does not fit DECIMAL(38, 18)") from None


def decimal(value: object) -> Decimal:
    """The exact value of a JSON string or number. Raises `Broken` for any other type: a boolean is not a number."""
    if isinstance(value, str):
        return parse_decimal(value)
    if type(value) is int:
        if abs(value) >= _TOO_LARGE:
            raise Broken("does not fit DECIMAL(38, 18)")
        return Decimal(value)
    raise Broken("not a number")


def difference(whole: Decimal, part: Decimal) -> Decimal:
    """`whole` less `part`, exactly: the context that Python starts with would round at 28 digits."""
    return _EXACT.subtract(whole, part)


def total(one: Decimal, other: Decimal) -> Decimal:
    """The exact sum of two parsed numbers (an operator would round to 28 digits). Raises `Broken` if it does not fit."""
    found = _EXACT.add(one, other)
    if found and found.adjusted() >= INTEGER_DIGITS:
        raise Broken("does not fit DECIMAL(38, 18)")
    return found


def time_ns(value: object, unit: int) -> int:
    """A time since the Unix epoch in `unit` nanoseconds, as nanoseconds.

    `value` is a JSON integer, a JSON number or a string of digits; with a fraction it has to end on a whole nanosecond.
    Raises `Broken` for other types, times before 1970 and times after April 2262, where TIMESTAMP_NS ends.
    """
    if type(value) is int:
        time = value * unit
    else:
        exact = _EXACT.multiply(decimal(value), Decimal(unit))
        time = int(exact)
        if time != exact:
            raise Broken("not a whole number of nanoseconds")
    if not 0 <= time <= _LAST_NS:
        raise Broken("a time out of range")
    return time


def rfc3339_ns(text: str) -> int:
    """A time as RFC 3339 section 5.6 writes it (`2024-05-06T07:08:09.123456Z`), as nanoseconds since the Unix epoch.

    Raises `Broken` for another form (one without a zone says no instant), for what ends beyond a nanosecond, and for times
    before 1970 and after April 2262.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise Broken("not an RFC 3339 time")
    second, fraction, zone = match.groups()
    time = _seconds(second, zone) * SECONDS + (int(fraction.ljust(9, "0")) if fraction else 0)
    if not 0 <= time <= _LAST_NS:
        raise Broken("a time out of range")
    return time


@lru_cache(maxsize=64)  # the messages of a burst share the second; the rest costs 0.4 us
def _seconds(second: str, zone: str) -> int:
    """Whole seconds since the Unix epoch."""
    try:
        return int(datetime.fromisoformat(second.upper() + zone.upper()).timestamp())
    except ValueError:
        raise Broken("not an RFC 3339 time") from None

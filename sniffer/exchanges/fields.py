"""Typed fields of a JSON object. Each reader returns what the message says, or raises `Broken` naming the field.

In optional readers, None stands for a field that is missing, null or empty: not said. Texts of `Broken` hold field names and
expectations, never values: a value could be a secret.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, TypeVar

from sniffer.exchanges.jsontext import Row
from sniffer.exchanges.numbers import Broken, decimal, parse_decimal, rfc3339_ns, time_ns

T = TypeVar("T")


def text(row: Row, key: str) -> str:
    """A string that is not empty."""
    value = row.get(key)
    if type(value) is str and value:
        return value
    raise Broken(f"field {key}: not a text" if key in row else f"field {key} is missing")


def optional_text(row: Row, key: str) -> str | None:
    """A string, or None."""
    value = row.get(key)
    if type(value) is str:
        return value or None
    if value is None:
        return None
    raise Broken(f"field {key}: not a text")


def mapped(row: Row, key: str, words: Mapping[str, T]) -> T:
    """The meaning of the venue's word; a word that is not in `words` is `Broken`."""
    value = row.get(key)
    if type(value) is str and value in words:
        return words[value]
    raise Broken(f"field {key}: an unknown word" if key in row else f"field {key} is missing")


def whole(row: Row, key: str) -> int:
    """A JSON integer."""
    value = row.get(key)
    if type(value) is int:
        return value
    raise Broken(f"field {key}: not a whole number" if key in row else f"field {key} is missing")


def identity(row: Row, key: str) -> str | None:
    """An id that the venue writes as a string or as a whole number, as text."""
    value = row.get(key)
    if type(value) is str:
        return value or None
    if type(value) is int:
        return str(value)
    if value is None:
        return None
    raise Broken(f"field {key}: not an id")


def amount(row: Row, key: str) -> Decimal:
    """A price or a quantity: exact and not below zero."""
    value = number(row, key)
    if value.is_signed():
        raise Broken(f"field {key}: below zero")
    return value


def optional_amount(row: Row, key: str) -> Decimal | None:
    """A price or a quantity, or None."""
    value = row.get(key)
    return None if value is None or value == "" else amount(row, key)


def number(row: Row, key: str) -> Decimal:
    """An exact number of either sign."""
    value = row.get(key)
    if value is None:
        raise Broken(f"field {key}: null" if key in row else f"field {key} is missing")
    try:
        return parse_decimal(value) if type(value) is str else decimal(value)
    except Broken as error:
        raise Broken(f"field {key}: {error}") from None


def optional_number(row: Row, key: str) -> Decimal | None:
    """An exact number of either sign, or None."""
    value = row.get(key)
    return None if value is None or value == "" else number(row, key)


def time(row: Row, key: str, unit: int) -> int:
    """A time in `unit` nanoseconds, as nanoseconds since the Unix epoch."""
    if row.get(key) is None:
        raise Broken(f"field {key} is missing")
    try:
        return time_ns(row[key], unit)
    except Broken as error:
        raise Broken(f"field {key}: {error}") from None


def rfc3339(row: Row, key: str) -> int:
    """A time as RFC 3339 writes it, as nanoseconds since the Unix epoch."""
    value = text(row, key)
    try:
        return rfc3339_ns(value)
    except Broken as error:
        raise Broken(f"field {key}: {error}") from None


def optional_rfc3339(row: Row, key: str) -> int | None:
    """The same, or None."""
    value = row.get(key)
    return None if value is None or value == "" else rfc3339(row, key)


def optional_flag(row: Row, key: str) -> bool | None:
    """A boolean, or None."""
    value = row.get(key)
    if value is None or type(value) is bool:
        return value
    raise Broken(f"field {key}: not a boolean")


def request_id_of(row: Row, key: str) -> str | None:
    """The id that a client gave to its request, a text (an empty one too) or a whole number, as text; None if it gave none."""
    value = row.get(key)
    if type(value) not in (str, int, type(None)):
        raise Broken(f"field {key}: neither text nor whole number")
    return None if value is None else str(value)


def objects(row: Row, key: str) -> list[Row]:
    """A list of objects."""
    value = row.get(key)
    if type(value) is not list:
        raise Broken(f"field {key}: not a list of objects" if key in row else f"field {key} is missing")
    for item in value:  # in half the time of `all`
        if type(item) is not dict:
            raise Broken(f"field {key}: not a list of objects")
    return value


def optional_objects(row: Row, key: str) -> list[Row]:
    """A list of objects that may be missing, or null: then an empty one."""
    return [] if row.get(key) is None else objects(row, key)


def optional_list(row: Row, key: str) -> list[Any]:
    """A list that may be missing, or null: then an empty one."""
    value = row.get(key)
    if value is None:
        return []
    if type(value) is not list:
        raise Broken(f"field {key}: no list")
    return value


def each(
    items: Iterable[Any], read: Callable[[Row], str | None], *, what: str = "an order", broken: Callable[[], None] | None = None
) -> str | None:
    """Reads each of a list of objects; returns the first thing that could not be read, if anything.

    An item that is broken leaves the others as they are. `read` may return a problem of its own. `what`: an item's name in
    a problem; `broken` is called for each item that is.
    """
    problem: str | None = None
    for item in items:
        try:
            if type(item) is not dict:
                raise Broken(f"{what} that is no object")
            found = read(item)
        except Broken as error:
            found = str(error)
            if broken is not None:
                broken()
        problem = problem or found
    return problem

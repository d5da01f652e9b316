"""JSON of order messages: numbers as their text, no duplicate keys, bounded depth.

msgspec parses (1.3 us for an execution report of 530 bytes, where the standard library takes 7). It keeps the last of two
equal keys without a word, so duplicates are looked for here: every key of the text has one colon after it, and other colons
stand only inside strings. So as many colons as keys means that no key was swallowed. Where there are more (times are written
with colons), those count that follow a quote, as a key's does unless there is white space between; and only where these are
more too does the standard library go over the text again (8.3 -> 3.0 us for an order with two times in RFC 3339).
"""

from __future__ import annotations

import json
from typing import Any, Final, TypeAlias

import msgspec

from sniffer.exchanges.numbers import Broken, Number

Row: TypeAlias = dict[str, Any]
"""A JSON object; values are str, int, bool, None, `Number`, list or another object."""

_SPACED_COLONS: Final = (b" :", b"\t:", b"\n:", b"\r:")
_decode: Final = msgspec.json.Decoder(float_hook=Number).decode


def parse(payload: bytes) -> Any:
    """The JSON value of `payload`, integers as int and other numbers as `Number`.

    Raises `Broken` if it is not JSON (NaN and Infinity are not), not UTF-8, nested deeper than the interpreter's recursion
    limit (1,000; order messages need 6), or if any object names a key twice: which of the two is meant is anyone's guess.
    """
    try:
        value = _decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Broken("not JSON") from None
    except RecursionError:
        raise Broken("JSON nested too deeply") from None
    if not _has_keys(value, payload.count(b":")):
        spaced = any(map(payload.__contains__, _SPACED_COLONS))
        if spaced or not _has_keys(value, payload.count(b'":')):
            _refuse_duplicates(payload)
    return value


def parse_object(payload: bytes) -> Row:
    """As `parse`, for a message that has to be an object."""
    value = parse(payload)
    if type(value) is not dict:
        raise Broken("not a JSON object")
    return value


def _has_keys(value: Any, wanted: int) -> bool:
    """Whether all objects in `value`, at any depth, have `wanted` keys together; more they cannot have.

    It ends where that many are found, so the values of the last object, nearly all of a message, are not looked at.
    """
    found = 0
    waiting = [value]
    for item in waiting:  # which grows
        if type(item) is dict:
            found += len(item)
            if found == wanted:
                return True
            waiting += item.values()
        elif type(item) is list:
            waiting += item
    return found == wanted


def _refuse_duplicates(payload: bytes) -> None:
    """Goes over the text a second time and raises `Broken` at the first object that names a key twice."""
    try:
        json.loads(payload, object_pairs_hook=_no_duplicates, parse_int=str, parse_float=str)
    except RecursionError:
        raise Broken("JSON nested too deeply") from None
    except Broken:
        raise
    except ValueError:
        raise Broken("not JSON") from None


def _no_duplicates(pairs: list[tuple[str, Any]]) -> int:
    keys = {key for key, _ in pairs}
    if len(keys) != len(pairs):
        raise Broken("a key stands twice in one object")
    return len(pairs)

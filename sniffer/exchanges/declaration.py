"""The `[venues]` table of the settings, read into venues. `docs/own-venue.md` shows the form, with examples."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, get_args

from sniffer.errors import UsageError
from sniffer.exchanges.base import LOGIN, REQUEST, RESPONSE, UPDATE, Venue
from sniffer.exchanges.declared import Column, DeclaredVenue, Path, Place, Shape
from sniffer.exchanges.numbers import MICROSECONDS, MILLISECONDS, NANOSECONDS, SECONDS, Broken, decimal
from sniffer.model import Sender

STATUSES: Final = (
    "PENDING_NEW", "NEW", "PARTIALLY_FILLED", "FILLED", "PENDING_CANCEL", "CANCELED", "REJECTED", "EXPIRED", "PENDING_TRIGGER",
)  # fmt: skip
WORDS: Final = {
    "side": ("buy", "sell"),
    "status": STATUSES,
    "quantity_unit": ("base", "quote", "contract"),
    "liquidity": ("maker", "taker"),
}
"""Columns with words of their own; a map has to lead to these."""
UNITS: Final = {"s": SECONDS, "ms": MILLISECONDS, "us": MICROSECONDS, "ns": NANOSECONDS}
ORDER: Final = {
    "exchange_time": "time", "symbol": "id", "request_id": "id", "client_order_id": "id", "order_id": "id", "side": "word",
    "order_type": "word", "time_in_force": "word", "status": "word", "status_raw": "id", "price": "amount",
    "stop_price": "amount", "quantity": "amount", "quantity_unit": "word", "filled_quantity": "amount",
    "average_price": "amount", "reason": "id",
}  # fmt: skip
FILL: Final = {
    "exchange_time": "time", "symbol": "id", "trade_id": "id", "order_id": "id", "client_order_id": "id", "side": "word",
    "price": "amount", "quantity": "amount", "quantity_unit": "word", "fee": "number", "fee_asset": "id", "liquidity": "word",
}  # fmt: skip
KINDS: Final = (REQUEST, RESPONSE, UPDATE, LOGIN)
ACTIONS: Final = ("place", "amend", "cancel")
_NAME: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_PLACE_KEYS: Final = ("hosts", "ports", "paths")
_MESSAGE_KEYS: Final = (
    "sender", "kind", "action", "marker", "pattern", "http", "when", "each", "account", "order", "fill",
)  # fmt: skip


def declarations(
    table: Mapping[str, Any] | None, known: Iterable[Venue]
) -> tuple[list[DeclaredVenue], list[tuple[Place, Venue]]]:
    """Venues that the settings declare, and places that they add to `known` ones, by name.

    Raises `UsageError` that names the setting.
    """
    declared: list[DeclaredVenue] = []
    places: list[tuple[Place, Venue]] = []
    names = {venue.name: venue for venue in known}
    for name, value in (table or {}).items():
        where = f"venues.{name}"
        place = _place(where, value)
        if name in names:
            _known_keys(where, value, _PLACE_KEYS, f"{name} is known already, so its messages need no description")
            places.append((place, names[name]))
        else:
            declared.append(_venue(where, name, value, place))
    return declared, places


def _venue(where: str, name: str, value: Mapping[str, Any], place: Place) -> DeclaredVenue:
    if not _NAME.fullmatch(name):
        raise _wrong(where, "a venue's name is lower case letters and digits, words joined by hyphens")
    _known_keys(where, value, (*_PLACE_KEYS, "secrets", "messages"))
    messages = value.get("messages")
    if type(messages) is not list or not messages:
        raise _wrong(where, f"it has no [[{where}.messages]]")
    shapes = tuple(_shape(f"{where}.messages, number {number}", one) for number, one in enumerate(messages, 1))
    secrets = _texts(f"{where}.secrets", value.get("secrets", []))
    return DeclaredVenue(name, place.hosts, place.ports, place.paths, secrets, shapes)


def _place(where: str, value: Any) -> Place:
    if type(value) is not dict:
        raise _wrong(where, f"not a table, as [{where}] begins one")
    ports = value.get("ports", [])
    if type(ports) is not list or not all(type(port) is int and 0 < port < 65536 for port in ports):
        raise _wrong(f"{where}.ports", "not a list of ports, as [9001]")
    hosts = tuple(host.lower() for host in _texts(f"{where}.hosts", value.get("hosts", [])))
    place = Place(hosts, tuple(ports), _texts(f"{where}.paths", value.get("paths", [])))
    if not any(place):
        raise _wrong(where, "it names no hosts, ports or paths, so no connection would be its")
    return place


def _shape(where: str, value: Any) -> Shape:
    if type(value) is not dict:
        raise _wrong(where, "not a table")
    _known_keys(where, value, _MESSAGE_KEYS)
    sender: Sender = _one_of(where, "sender", value.get("sender"), get_args(Sender))
    kind = _one_of(where, "kind", value.get("kind"), KINDS)
    action = None if value.get("action") is None else _one_of(where, "action", value["action"], ACTIONS)
    pattern = _pattern(where, value.get("pattern"))
    groups = None if pattern is None else frozenset(pattern.groupindex)

    def path(key: str, text: Any) -> Path:
        return _path(f"{where}: {key}", text, groups)

    when = value.get("when", {})
    if type(when) is not dict:
        raise _wrong(where, "when is no table of paths and the values that they have to have")
    if groups is not None and value.get("each") is not None:
        raise _wrong(where, "each is for JSON; a pattern makes one row")
    order, fill = (
        tuple(
            _column(f"{where}.{name}.{column}", kinds, column, spec, groups)
            for column, spec in _table(where, value, name).items()
        )
        for name, kinds in (("order", ORDER), ("fill", FILL))
    )
    if kind != LOGIN and not order and not fill:
        raise _wrong(where, "it says neither order nor fill, so it would make no rows")
    marker = value.get("marker", "")
    if type(marker) is not str:
        raise _wrong(where, "marker is no text")
    return Shape(
        sender, kind, action, marker.encode(), pattern, _call(where, value.get("http")),
        tuple((path("when", key), wanted) for key, wanted in _conditions(where, "", when)),
        None if value.get("each") is None else path("each", value["each"]),
        None if value.get("account") is None else path("account", value["account"]), order, fill,
    )  # fmt: skip


def _conditions(where: str, begins: str, table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Paths and the values that they have to have. A key with dots and without quotes is a table, in which its path goes on."""
    for key, value in table.items():
        at = f"{begins}{key}"
        if type(value) is dict and value:
            yield from _conditions(where, f"{at}.", value)
        elif type(value) in (str, bool):
            yield at, value
        elif type(value) in (int, float):
            yield at, _constant(f"{where}: when {at}", at, "number", value)
        else:
            raise _wrong(f"{where}: when {at}", f"{value!r} is neither a text nor a number, true or false")


def _column(where: str, kinds: Mapping[str, str], name: str, spec: Any, groups: frozenset[str] | None) -> Column:
    if name not in kinds:
        raise _wrong(where, f"no such column; known are {', '.join(kinds)}")
    kind = kinds[name]
    if type(spec) is str:
        spec = {"at": spec}
    if type(spec) is not dict or ("at" in spec) == ("is" in spec):
        raise _wrong(where, 'give a path, as "data.price", or a table with either at or is')
    _known_keys(where, spec, ("at", "is", "map", "unit"))
    strict = name in WORDS and name != "status"
    if "is" in spec:
        return Column(name, kind, (), constant=_constant(where, name, kind, spec["is"]))
    unit = NANOSECONDS
    if kind == "time":
        unit = UNITS[_one_of(where, "unit", spec.get("unit"), tuple(UNITS))]
    elif "unit" in spec:
        raise _wrong(where, "unit is for times; what a quantity counts is the column quantity_unit")
    words = spec.get("map")
    if words is None:
        words = {form: word for word in WORDS.get(name, ()) for form in (word, word.upper(), word.lower(), word.capitalize())}
    elif type(words) is not dict or kind not in ("word", "id") or not all(type(word) is str for word in words.values()):
        raise _wrong(where, "map is a table from the venue's words to those of the column, for columns of words")
    for word in words.values():
        if name in WORDS and word not in WORDS[name]:
            raise _wrong(where, f"{word} is no {name}; it is one of {', '.join(WORDS[name])}")
    return Column(name, kind, _path(where, spec["at"], groups), words=words or None, unit=unit, strict=strict)


def _constant(where: str, name: str, kind: str, value: Any) -> Any:
    """What a column always is: a word of it, a number, or a text."""
    if kind in ("amount", "number"):
        try:
            return decimal(str(value) if type(value) is float else value)
        except Broken:
            raise _wrong(where, f"{value!r} is no number") from None
    if kind == "time" or type(value) is not str or not value:
        raise _wrong(where, f"{value!r} is no text" if kind != "time" else "a time is read from the message")
    return _one_of(where, "is", value, WORDS[name]) if name in WORDS else value


def _pattern(where: str, value: Any) -> re.Pattern[str] | None:
    if value is None:
        return None
    try:
        if type(value) is str:
            return re.compile(value)
    except re.error as error:
        raise _wrong(where, f"pattern is no regular expression: {error}") from None
    raise _wrong(where, "pattern is no text")


def _path(where: str, value: Any, groups: frozenset[str] | None) -> Path:
    if type(value) is not str or not value:
        raise _wrong(where, "not a path, as data.price")
    if groups is not None and value not in groups:
        raise _wrong(where, f"the pattern has no group {value}; it has {', '.join(sorted(groups)) or 'none'}")
    return (value,) if groups is not None else tuple(value.split("."))


def _call(where: str, value: Any) -> tuple[str, str] | None:
    if value is None:
        return None
    method, _, path = value.partition(" ") if type(value) is str else ("", "", "")
    if not method.isalpha() or not path.startswith("/"):
        raise _wrong(where, 'http is a method and a path, as "POST /orders"')
    return method.upper(), path


def _table(where: str, value: Mapping[str, Any], key: str) -> dict[str, Any]:
    table = value.get(key, {})
    if type(table) is not dict:
        raise _wrong(where, f"{key} is no table of columns")
    return table


def _texts(where: str, value: Any) -> tuple[str, ...]:
    if type(value) is not list or not all(type(text) is str and text for text in value):
        raise _wrong(where, "not a list of texts")
    return tuple(value)


def _one_of(where: str, key: str, value: Any, words: tuple[str, ...]) -> Any:
    if value not in words:
        raise _wrong(where, f"{key} is {value!r}; it is one of {', '.join(words)}")
    return value


def _known_keys(where: str, value: Mapping[str, Any], keys: tuple[str, ...], because: str = "") -> None:
    for key in value:
        if key not in keys:
            raise _wrong(where, f"unknown key {key}; known are {', '.join(keys)}" + (f" ({because})" if because else ""))


def _wrong(where: str, what: str) -> UsageError:
    text = f"setting {where}: {what}; docs/own-venue.md shows the form"
    return UsageError("".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text))

"""Venues that a user declares in the settings, without Python: how their messages are recognised and read.

`declaration.py` makes these values of the settings' text; `docs/own-venue.md` shows the form. A declared venue is decoded by
the same rules as any other: a row is what the message says or it is not there, numbers are exact, what cannot be read is kept
raw with a problem. Nothing joins its messages but the ids that they hold.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple, TypeAlias

from sniffer.exchanges.accounts import Accounts
from sniffer.exchanges.base import LOGIN, ConnectionFacts, Decoded, Rows, always, never
from sniffer.exchanges.fields import amount, identity, number, time
from sniffer.exchanges.jsontext import Row, parse
from sniffer.exchanges.numbers import Broken, decimal
from sniffer.exchanges.redact import Secrets
from sniffer.model import OPCODE_BINARY, OPCODE_HTTP, OPCODE_TEXT, Message, Sender

Path: TypeAlias = tuple[str, ...]
"""The way to a value inside a message: keys of objects, and ordinals of lists."""

LONGEST_TEXT: Final = 64 << 10
"""Bytes of a message that a pattern is tried on; the time that a pattern takes may grow with the length."""
_NAMES: Final = ("order_id", "client_order_id", "request_id", "symbol")
"""An order event that says none of these is about no order."""


class Column(NamedTuple):
    """How one column of a row is read: from `path`, or it is always `constant`.

    `kind`: id, word, amount, number or time. `words`: what the venue's words mean. `unit`: of a time, in nanoseconds.
    `strict`: a word that is not in `words` is a problem; else it stands in lower case, or, as a status, leaves a null.
    """

    name: str
    kind: str
    path: Path
    constant: Any = None
    words: Mapping[str, str] | None = None
    unit: int = 1
    strict: bool = False


class Shape(NamedTuple):
    """One kind of message: who sends it, how it is told from others, and the rows that it makes."""

    sender: Sender
    kind: str
    action: str | None
    marker: bytes
    pattern: re.Pattern[str] | None
    """Of a plain text: the whole message is of this form. None: the message is JSON."""
    call: tuple[str, str] | None
    """Method and path of the HTTP call that the message is the body of, or answers; None: a websocket message."""
    when: tuple[tuple[Path, str | bool | Decimal], ...]
    each: Path | None
    account: Path | None
    order: tuple[Column, ...]
    fill: tuple[Column, ...]


class DeclaredDecoder:
    """Decodes one connection of a declared venue."""

    __slots__ = ("_accounts", "_venue")

    def __init__(self, venue: DeclaredVenue, facts: ConnectionFacts) -> None:
        self._venue = venue
        self._accounts = Accounts(facts)

    @property
    def account(self) -> str | None:
        """As `Decoder.account`."""
        return self._accounts.current

    def wanted(self, sender: Sender, opcode: int) -> Callable[[bytes], bool]:
        """As `Decoder.wanted`: a search for the markers of this side's messages."""
        if opcode not in (OPCODE_TEXT, OPCODE_BINARY, OPCODE_HTTP):
            return never
        markers = [
            shape.marker
            for shape in self._venue.shapes
            if shape.sender == sender and (shape.call is None) == (opcode != OPCODE_HTTP)
        ]
        if not markers:
            return never
        if b"" in markers:
            return always
        return lambda payload: any(marker in payload for marker in markers)

    def decode(self, message: Message) -> Decoded | None:
        """As `Decoder.decode`: by the first shape that the message has."""
        for shape in self._venue.shapes:
            if shape.sender != message.sender or not _is_call(shape, message) or shape.marker not in message.payload:
                continue
            try:
                document = _document(shape, message.payload)
                if document is None or not all(_is(_quietly_at(document, path), wanted) for path, wanted in shape.when):
                    continue
            except Broken as error:
                if shape.marker or message.payload.lstrip()[:1] in (b"{", b"["):
                    return Decoded(shape.kind, [], [], str(error))
                continue
            return self._read(shape, message, document)
        return None

    def _read(self, shape: Shape, message: Message, document: Any) -> Decoded:
        if shape.kind == LOGIN:
            if shape.account is not None:
                self._accounts.key(_quietly_at(document, shape.account), login=True)
            return Decoded(LOGIN, [], [])
        account = self._accounts.current
        if shape.account is not None:
            account = self._accounts.key(_quietly_at(document, shape.account))
        rows = Rows(message, self._venue.name, account)
        problem = None
        try:
            items = [document] if shape.each is None else _items(document, shape.each)
        except Broken as error:
            return Decoded(shape.kind, [], [], str(error))
        for item in items:
            try:
                order = _columns(item, shape.order)
                fill = _columns(item, shape.fill)
                _check(shape, order, fill)
                if shape.order:
                    rows.order(shape.kind, action=shape.action, **order)
                if shape.fill:
                    rows.fill(**fill)
            except Broken as error:
                rows.skip()
                problem = problem or str(error)
        return rows.decoded(shape.kind, problem)


class DeclaredVenue:
    """A venue of the settings, as in `base.Venue`."""

    def __init__(
        self,
        name: str,
        hosts: tuple[str, ...],
        ports: tuple[int, ...],
        paths: tuple[str, ...],
        secrets: tuple[str, ...],
        shapes: tuple[Shape, ...],
    ) -> None:
        self.name = name
        self.hosts = hosts
        self.shapes = shapes
        self._place = Place(hosts, ports, paths)
        self._secrets = Secrets(secrets) if secrets else None

    def recognises(self, host: str | None, path: str | None, port: int | None) -> bool:
        """By all that the settings name of host, path and port."""
        return self._place.holds(host, path, port)

    def looks_like(self, sender: Sender, payload: bytes) -> bool:
        """Never: only the place tells a declared venue."""
        return False

    def decoder(self, facts: ConnectionFacts) -> DeclaredDecoder:
        """A decoder for one connection."""
        return DeclaredDecoder(self, facts)

    def redact(self, sender: Sender, text: str) -> str:
        """The values of the names that the settings call secrets."""
        return text if self._secrets is None else self._secrets.text(text)

    def redact_path(self, path: str) -> str:
        """The same in a query."""
        return path if self._secrets is None else self._secrets.target(path)


class Place(NamedTuple):
    """Where a venue is reached: each of the three that is not empty has to fit."""

    hosts: tuple[str, ...]
    ports: tuple[int, ...]
    paths: tuple[str, ...]

    def holds(self, host: str | None, path: str | None, port: int | None) -> bool:
        """Whether a connection's handshake names this place."""
        return (
            (not self.hosts or (host or "").lower().rstrip(".") in self.hosts)
            and (not self.ports or port in self.ports)
            and (not self.paths or (path or "").partition("?")[0] in self.paths)
        )


def _is_call(shape: Shape, message: Message) -> bool:
    if message.opcode != OPCODE_HTTP or message.http is None:
        return shape.call is None and message.opcode != OPCODE_HTTP
    return shape.call == (message.http.method, (message.http.target or "").partition("?")[0])


def _document(shape: Shape, payload: bytes) -> Any:
    """The message as JSON, or the named groups of its pattern; None: it is not of that form."""
    if shape.pattern is None:
        return parse(payload)
    if len(payload) > LONGEST_TEXT:
        return None
    try:
        found = shape.pattern.fullmatch(payload.decode())
    except UnicodeDecodeError:
        return None
    return None if found is None else found.groupdict()


def _at(document: Any, path: Path) -> Any:
    """The value at the end of a path; None where a key or an item on the way is missing, or null."""
    value = document
    for step in path:
        if type(value) is dict:
            value = value.get(step)
        elif type(value) is list and step.isdecimal():
            value = value[int(step)] if int(step) < len(value) else None
        elif value is None:
            return None
        else:
            raise Broken(f"field {'.'.join(path)}: what should hold {step} is neither an object nor a list")
    return value


def _is(value: Any, wanted: Any) -> bool:
    """Whether a value of the message is the one that it has to be; a number is the same however it is written."""
    if not isinstance(wanted, Decimal):
        return type(value) is not int and bool(value == wanted)  # in Python 1 is True
    try:
        return decimal(value) == wanted
    except Broken:
        return False


def _quietly_at(document: Any, path: Path) -> Any:
    try:
        return _at(document, path)
    except Broken:
        return None


def _items(document: Any, path: Path) -> list[Any]:
    value = _at(document, path)
    if type(value) is not list:
        raise Broken(f"field {'.'.join(path)}: not a list")
    return value


def _columns(item: Any, columns: tuple[Column, ...]) -> Row:
    found: Row = {}
    for column in columns:
        value = column.constant if column.constant is not None else _value(column, _at(item, column.path), found)
        if value is not None or column.name not in found:
            found[column.name] = value
    return found


def _value(column: Column, value: Any, found: Row) -> Any:
    """What a value of the message is in a column; the readers of `fields` name it in their problems."""
    if value is None or value == "":
        return None
    name = ".".join(column.path)
    if type(value) is bool and column.words is not None:
        value = "true" if value else "false"
    row = {name: value}
    if column.kind == "amount":
        return amount(row, name)
    if column.kind == "number":
        return number(row, name)
    if column.kind == "time":
        return time(row, name, column.unit)
    text = identity(row, name)
    if column.kind == "id" or text is None:
        return text if column.words is None or text is None else column.words.get(text, text)
    if column.name == "status":
        found.setdefault("status_raw", text)
    if column.words is not None and text in column.words:
        return column.words[text]
    if column.strict:
        raise Broken(f"field {name}: an unknown word")
    return None if column.name == "status" else text.lower()


def _check(shape: Shape, order: Row, fill: Row) -> None:
    if shape.order and all(order.get(name) is None for name in _NAMES):
        raise Broken("an order message that names no order")
    if shape.fill and (fill.get("price") is None or not fill.get("quantity")):
        raise Broken("a fill without price or quantity")

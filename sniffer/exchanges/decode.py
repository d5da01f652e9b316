"""The engine of `sniffer decode`: message payloads in, one dict a row out.

A dict holds `file`, `table` (`order_events` or `fill_events`) and then that table's columns: decimals as exact strings in plain
notation, times in ISO 8601 with nanoseconds. A payload has no wire time, so `captured_at` is None. What cannot be read goes to
`problem`, a callable that is given the file's name and the reason; what was read and tells no order, to `nothing`, another one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TypeAlias

from sniffer import exchanges
from sniffer.config import SECOND
from sniffer.errors import UsageError
from sniffer.exchanges.base import LOGIN, ConnectionFacts, Decoded, Venue
from sniffer.model import OPCODE_BINARY, OPCODE_HTTP, OPCODE_TEXT, FillEvent, HttpHead, Message, OrderEvent, Sender

Problem: TypeAlias = Callable[[str, str], None]

STANDARD_INPUT: Final = "-"
LARGEST_FILE: Final = 64 << 20
"""A payload; the largest messages of exchanges are some 5 MB."""
_TIMES: Final = frozenset(("captured_at", "exchange_time"))
_WAY_OUT: Final = "--venue, --sender and --http say how it is read"


def _unsaid(file: str, reason: str) -> None:
    """Where nobody asks what told no order."""


def decode_files(
    venue: Venue,
    sender: Sender,
    files: Iterable[Path],
    facts: ConnectionFacts,
    problem: Problem,
    *,
    together: bool = False,
    http: str | None = None,
    nothing: Problem = _unsaid,
) -> Iterator[dict[str, Any]]:
    """Rows of files that hold one message each, sent by `sender`. Each that gives none, and is no problem, goes to `nothing`.

    Each file is a connection of its own; with `together`, all are one connection, in order. `http` ("POST /api/v3/order") makes
    them bodies of that call. Raises `UsageError` for a file that cannot be read and for an `http` that is no call.
    """
    head = None if http is None else http_head(http)
    decoder = venue.decoder(facts)
    for position, file in enumerate(files):
        if not together:
            decoder = venue.decoder(facts)
        payload = _read(file)
        decoded = exchanges.meaning(decoder, _message(facts, sender, position if together else 0, payload, head))
        yield from _rows(str(file), decoded, problem)
        if _is_empty(decoded):
            nothing(str(file), _why_nothing(venue, sender, payload, decoded, http))


def decode_lines(
    venue: Venue,
    lines: Iterable[str | bytes],
    facts: ConnectionFacts,
    problem: Problem,
    *,
    http: str | None = None,
    nothing: Problem = _unsaid,
) -> Iterator[dict[str, Any]]:
    """Rows of JSON lines `{"sender": "client" or "server", "payload": text}` that are one connection, in order.

    Most messages of a connection are about no order, so `nothing` hears of one that is about none at all. Raises `UsageError`
    for a line that is not of this form.
    """
    head = None if http is None else http_head(http)
    decoder = venue.decoder(facts)
    positions = {"client": 0, "server": 0}
    found = False
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        sender, payload = _line(number, line)
        message = _message(facts, sender, positions[sender], payload.encode("utf-8", "surrogatepass"), head)
        positions[sender] += 1
        decoded = exchanges.meaning(decoder, message)
        found = found or not _is_empty(decoded)
        yield from _rows(STANDARD_INPUT, decoded, problem)
    if not any(positions.values()):
        nothing(STANDARD_INPUT, "no message in it")
    elif not found:
        nothing(STANDARD_INPUT, f"no order or fill in it, read as a connection to {venue.name}; {_WAY_OUT}")


def http_head(call: str) -> HttpHead:
    """The head of a call given as `METHOD target`. Raises `UsageError` if it is not of this form."""
    method, _, target = call.strip().partition(" ")
    if not method.isalpha() or not target.startswith("/") or " " in target:
        raise UsageError(f'--http {call!r}: give a method and a target, as in --http "POST /api/v3/order"')
    return HttpHead(method.upper(), target, None, ())


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as source:
            payload = source.read(LARGEST_FILE + 1)
    except OSError as error:
        raise UsageError(f"{file}: cannot read it: {error.strerror or error}; name files that hold one message each") from None
    if len(payload) > LARGEST_FILE:
        raise UsageError(f"{file}: larger than {LARGEST_FILE >> 20} MB; a file holds one message")
    return payload


def _line(number: int, line: str | bytes) -> tuple[Sender, str]:
    try:
        value = json.loads(line)
        sender, payload = value["sender"], value["payload"]
    except (ValueError, TypeError, KeyError, RecursionError):
        sender, payload = None, None
    if sender not in ("client", "server") or not isinstance(payload, str):
        raise UsageError(
            f'standard input, line {number}: not of the form {{"sender": "client" or "server", "payload": "..."}}; '
            "give one such JSON object a line"
        )
    return sender, payload


def _message(facts: ConnectionFacts, sender: Sender, position: int, payload: bytes, head: HttpHead | None) -> Message:
    if head is not None:
        return Message(facts.connection_id, sender, position, 0, 0, OPCODE_HTTP, payload, head)
    try:
        payload.decode()
        opcode = OPCODE_TEXT
    except UnicodeDecodeError:
        opcode = OPCODE_BINARY
    return Message(facts.connection_id, sender, position, 0, 0, opcode, payload)


def _is_empty(decoded: Decoded | None) -> bool:
    return decoded is None or not (decoded.orders or decoded.fills or decoded.problem)


def _why_nothing(venue: Venue, sender: Sender, payload: bytes, decoded: Decoded | None, http: str | None) -> str:
    if not payload.strip():
        return "it is empty; a file holds one message"
    if decoded is not None and decoded.kind == LOGIN:
        return "a login, which is never stored"
    what = "a message" if http is None else f"a body of {http}"
    return f"no order or fill in it, read as {what} of {venue.name} that the {sender} sent; {_WAY_OUT}"


def _rows(file: str, decoded: Decoded | None, problem: Problem) -> Iterator[dict[str, Any]]:
    if decoded is None:
        return
    for order in decoded.orders:
        yield _row(file, "order_events", order)
    for fill in decoded.fills:
        yield _row(file, "fill_events", fill)
    if decoded.problem is not None:
        problem(file, decoded.problem)


def _row(file: str, table: str, row: OrderEvent | FillEvent) -> dict[str, Any]:
    columns = row._replace(captured_at=None)._asdict()  # type: ignore[arg-type]  # printed, never stored
    return {"file": file, "table": table} | {name: _plain(name, value) for name, value in columns.items()}


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    return iso_time(value) if name in _TIMES and value is not None else value


def iso_time(time: int) -> str:
    """Nanoseconds since the epoch as ISO 8601, UTC, with all nine decimal places."""
    seconds, nanoseconds = divmod(time, SECOND)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"

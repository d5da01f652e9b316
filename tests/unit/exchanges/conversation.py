"""Messages of one connection, and how soon a search turns one away, for the tests of venues."""

from __future__ import annotations

import json
import timeit
from collections.abc import Callable
from typing import Any

from sniffer.exchanges.base import ConnectionFacts, Decoded, Decoder, Venue
from sniffer.exchanges.decode import http_head
from sniffer.model import OPCODE_HTTP, OPCODE_TEXT, FillEvent, Message, OrderEvent, Sender

Said = tuple[Sender, Any] | tuple[Sender, Any, str] | tuple[Sender, Any, str, int]
"""Who says what: a websocket message, or the body of a call or of its answer, with the answer's status."""


def connect(venue: Venue, **facts: Any) -> Decoder:
    """A decoder whose accounts say whose they are."""
    return venue.decoder(ConnectionFacts(connection_id=7, name_of=lambda secret: f"name of {secret}", **facts))


def message(sender: Sender, payload: Any, call: str | None = None, status: int | None = None, **headers: str) -> Message:
    """A message; bytes are sent as they are, all else as JSON. Underscores in names of headers stand for hyphens."""
    raw = payload if isinstance(payload, bytes) else json.dumps(payload, separators=(",", ":")).encode()
    if call is None:
        return Message(7, sender, 3, 1000, 2000, OPCODE_TEXT, raw)
    fields = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Message(7, sender, 3, 1000, 2000, OPCODE_HTTP, raw, http_head(call)._replace(headers=fields, status=status))


def last(venue: Venue, *said: Said, **facts: Any) -> Decoded:
    """The meaning of the last of the messages of one connection."""
    decoder = connect(venue, **facts)
    found = [decoder.decode(message(*each)) for each in said][-1]
    assert found is not None
    return found


def shown(row: OrderEvent | FillEvent, *columns: str) -> tuple[Any, ...]:
    """Some columns of a row."""
    return tuple(getattr(row, column) for column in columns)


def leaves_soon(search: Callable[[bytes], bool], payload: bytes) -> None:
    """500 bytes of market data are turned away in under a microsecond; five times that here: other work may run beside."""
    assert len(payload) > 480
    assert not search(payload)
    assert min(timeit.repeat(lambda: search(payload), number=1000, repeat=5)) < 1000 * 5e-6

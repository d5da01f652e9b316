"""One connection of a venue, as tests talk over it."""

from __future__ import annotations

import json
from typing import Any

from sniffer.exchanges import by_name
from sniffer.exchanges.base import ConnectionFacts, Decoded
from sniffer.model import OPCODE_HTTP, OPCODE_TEXT, FillEvent, HttpHead, Message, OrderEvent, Sender


def named(secret: str) -> str:
    return f"name of {secret}"


def raw(payload: Any) -> bytes:
    if isinstance(payload, bytes):
        return payload
    return payload.encode() if isinstance(payload, str) else json.dumps(payload, separators=(",", ":")).encode()


class Talk:
    """Decodes messages of one connection. Whatever the search drops is decoded all the same: it must have no meaning."""

    def __init__(self, venue: str, **facts: Any) -> None:
        self.venue = by_name(venue)
        self.decoder = self.venue.decoder(ConnectionFacts(**({"connection_id": 77, "name_of": named} | facts)))

    def client(self, payload: Any) -> Decoded | None:
        return self._decode("client", OPCODE_TEXT, raw(payload))

    def server(self, payload: Any) -> Decoded | None:
        return self._decode("server", OPCODE_TEXT, raw(payload))

    def call(self, call: str, body: Any = b"", **headers: str) -> Decoded | None:
        method, _, target = call.partition(" ")
        fields = tuple((name.replace("_", "-"), value) for name, value in headers.items())
        return self._decode("client", OPCODE_HTTP, raw(body), HttpHead(method, target, None, fields))

    def answer(self, call: str, body: Any, status: int | None = 200) -> Decoded | None:
        method, _, target = call.partition(" ")
        return self._decode("server", OPCODE_HTTP, raw(body), HttpHead(method, target, status, ()))

    def _decode(self, sender: Sender, opcode: int, payload: bytes, http: HttpHead | None = None) -> Decoded | None:
        decoded = self.decoder.decode(Message(77, sender, 3, 1000, 2000, opcode, payload, http))
        if not self.decoder.wanted(sender, opcode)(payload):
            assert decoded is None, payload
        return decoded


def told(decoded: Decoded | None) -> Decoded:
    """A message that has a meaning, without a problem."""
    assert decoded is not None
    assert decoded.problem is None, decoded.problem
    return decoded


def order(decoded: Decoded | None) -> OrderEvent:
    """The one order of a message that has no fills."""
    found = told(decoded)
    assert found.fills == []
    (row,) = found.orders
    return row


def fill(decoded: Decoded | None) -> FillEvent:
    """The one fill of a message."""
    (row,) = told(decoded).fills
    return row


def said(row: OrderEvent | FillEvent) -> dict[str, Any]:
    """What a row says beyond where it was seen: its columns that are not null, decimals as text."""
    skipped = ("connection_id", "sender", "position", "item", "captured_at", "venue")
    columns: dict[str, Any] = row._asdict()  # type: ignore[assignment]
    return {
        name: format(value, "f") if name in NUMBERS else value
        for name, value in columns.items()
        if value is not None and name not in skipped
    }


NUMBERS = ("price", "stop_price", "quantity", "filled_quantity", "average_price", "fee")


def problem(decoded: Decoded | None) -> str:
    """Why a message could not be read; it has no rows then."""
    assert decoded is not None
    assert (decoded.orders, decoded.fills) == ([], [])
    assert decoded.problem is not None
    return decoded.problem

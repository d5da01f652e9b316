"""A conversation with a venue's decoder, for the tests of venues: JSON values in, what they mean out."""

from __future__ import annotations

import json
from typing import Any

from sniffer.exchanges import by_name
from sniffer.exchanges.base import ConnectionFacts, Decoded
from sniffer.exchanges.decode import http_head
from sniffer.model import OPCODE_HTTP, OPCODE_TEXT, HttpHead, Message, Sender


class Talk:
    """One connection of a venue. Keys become accounts that say whose they are."""

    def __init__(self, venue: str, **facts: Any) -> None:
        self.decoder = by_name(venue).decoder(ConnectionFacts(name_of="name of {}".format, **facts))
        self._positions = {"client": 0, "server": 0}

    def client(self, value: Any) -> Decoded | None:
        return self._say("client", value, None)

    def server(self, value: Any) -> Decoded | None:
        return self._say("server", value, None)

    def call(self, call: str, body: Any = "", **headers: str) -> Decoded | None:
        """An HTTP request, as "POST /path"; underscores in names of headers stand for hyphens."""
        head = http_head(call)
        named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
        return self._say("client", body, head._replace(headers=named))

    def reply(self, call: str, body: Any, status: int = 200) -> Decoded | None:
        """The HTTP response to that call."""
        return self._say("server", body, http_head(call)._replace(status=status))

    def _say(self, sender: Sender, value: Any, head: HttpHead | None) -> Decoded | None:
        payload = (
            value if isinstance(value, bytes) else value.encode() if isinstance(value, str) else json.dumps(value).encode()
        )
        self._positions[sender] += 1
        opcode = OPCODE_TEXT if head is None else OPCODE_HTTP
        message = Message(1, sender, self._positions[sender], 5, 7, opcode, payload, head)
        return self.decoder.decode(message) if self.decoder.wanted(sender, opcode)(payload) else None


def known(decoded: Decoded | None, problem: str | None = None) -> Decoded:
    """A meaning that is there, with this problem (a part of its text), or none."""
    assert decoded is not None
    assert decoded.problem is None if problem is None else decoded.problem is not None and problem in decoded.problem, decoded
    return decoded


def brief(row: Any, *columns: str) -> tuple[Any, ...]:
    """Some columns of a row; decimals as text."""
    values = (getattr(row, column) for column in columns)
    return tuple(value if value is None or isinstance(value, str | int) else format(value, "f") for value in values)

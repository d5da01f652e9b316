"""Whose connections are, as the journal tells: its facts and the connections are joined by their ends and by time.

A fact may stand before or behind the packets that it is about, since it comes another way into the journal.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sniffer.capture.owner import Endpoints, Owner
from sniffer.capture.ownership import Owned
from sniffer.exchanges.base import Bounded
from sniffer.wire.connection import Connection

FACTS: Final = 16_384
"""The latest owners, of connections that are there and of others; one costs some 500 bytes."""


class Owners:
    """The processes that have the clients' ends."""

    def __init__(self) -> None:
        self._told: Bounded[tuple[int, int, str, str]] = Bounded(FACTS)
        self._known: dict[int, tuple[int, str, str]] = {}

    def note(self, told: Iterable[Owned], connections: Iterable[Connection]) -> list[Connection]:
        """Take facts in; those of `connections`, the open ones, that have an owner now."""
        new = set()
        for at, ends, owner in told:
            self._told[ends] = (at, *owner)
            new.add(ends)
        found = [connection for connection in connections if _ends(connection) in new] if new else []
        return [connection for connection in found if connection.id not in self._known and self.of(connection) is not None]

    def of(self, connection: Connection) -> Owner | None:
        """Who has, or had, the client's end of a connection; None: not known."""
        known = self._known.get(connection.id)
        told = self._told.get(_ends(connection)) if known is None else None
        if told is not None:
            at, pid, process, strategy = told
            begun = at >= connection.opened_at or connection.joined_midway  # else it is an earlier one with the same ends
            if begun and (connection.closed_at is None or at <= connection.closed_at):
                known = self._known[connection.id] = pid, process, strategy
        return None if known is None else Owner(*known)

    def forget(self, connection_id: int) -> None:
        """The connection has ended, and its row is stored."""
        self._known.pop(connection_id, None)


def _ends(connection: Connection) -> Endpoints:
    return (*connection.client_address, *connection.server_address)

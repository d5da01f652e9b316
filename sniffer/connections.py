"""The rows of connections: what is new of one is told with the rows that it brought, and its mere counters every few seconds.

A hundred connections count on with each message; to replace their rows each second took a tenth of what a recording costs.
"""

from __future__ import annotations

import time
from typing import Final

from sniffer.examine import Examiner
from sniffer.model import ConnectionRow
from sniffer.wire.connection import Connection

COUNTED: Final = 5.0
"""Seconds that pass at least between two rows of an open connection that differ in their counters alone."""


class Connections:
    """Which connections of one capture have changed since their row was last told."""

    def __init__(self) -> None:
        self._changed: dict[int, Connection] = {}
        self._told: dict[int, tuple[ConnectionRow, float]] = {}  # with counters of 0, and when

    def note(self, connection: Connection) -> None:
        """Something of it may have changed."""
        self._changed[connection.id] = connection

    def rows(self, examiner: Examiner, capture_id: str, *, counters: bool) -> list[tuple[ConnectionRow, bool]]:
        """Rows to be stored, each with whether its connection has ended. `counters`: also of those that only counted on."""
        now = time.monotonic()
        found: list[tuple[ConnectionRow, bool]] = []
        waiting: dict[int, Connection] = {}
        for key, connection in self._changed.items():
            row = _row(examiner, capture_id, connection)
            known = row._replace(client_bytes=0, server_bytes=0, messages=0, unexamined=0)
            before, at = self._told.get(key, (None, 0.0))
            if known == before and now - at < COUNTED and not (counters or connection.ended):
                waiting[key] = connection
                continue
            found.append((row, connection.ended))
            self._told[key] = known, now
            if connection.ended:
                del self._told[key]
        self._changed = waiting
        return found

    def forget(self, examiner: Examiner) -> None:
        """What has changed so far is stored already."""
        for connection in self._changed.values():
            if connection.ended:
                examiner.forget(connection.id)
        self._changed = {}


def _row(examiner: Examiner, capture_id: str, connection: Connection) -> ConnectionRow:
    venue, guessed, account, path, unexamined = examiner.facts(connection)
    client, server = connection.client, connection.server
    owner = examiner.owners.of(connection)
    return ConnectionRow(
        connection_id=connection.id,
        capture_id=capture_id,
        opened_at=connection.opened_at,
        closed_at=connection.closed_at,
        client_ip=connection.client_address[0],
        client_port=connection.client_address[1],
        server_ip=connection.server_address[0],
        server_port=connection.server_address[1],
        protocol=connection.protocol,
        host=connection.host,
        path=path,
        venue=venue,
        venue_guessed=guessed,
        account=account,
        tls_version=connection.tls_version,
        cipher=connection.cipher,
        compression=connection.compression,
        readable=connection.readable,
        unreadable_reason=connection.unreadable_reason,
        client_bytes=client.stream.extent,
        server_bytes=server.stream.extent,
        lost_bytes=client.stream.lost + server.stream.lost,
        messages=connection.messages,
        unexamined=unexamined,
        pid=owner.pid if owner else None,
        process=owner.process if owner else None,
        strategy=owner.strategy if owner else None,
        unreadable_bytes=connection.ledger.unreadable,
    )

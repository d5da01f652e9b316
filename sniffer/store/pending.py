"""What was appended and is not in the file yet: it gets there with the next publish, or straight into sealed files.

Readers see rows at a publish, so nothing asks for them earlier, and one insert a table costs little more than one row of it.
Events are held as Arrow, as they are inserted; order events also as they came, since orders are folded from them then.
"""

from __future__ import annotations

import duckdb
import pyarrow as pa

from sniffer.model import Batch, CaptureRow, ConnectionRow, OrderEvent, Position
from sniffer.store.rows import to_arrow
from sniffer.store.schema import EVENTS


class Pending:
    """Batches in the order of their appends. `schemas` are those of the tables, without `batch`."""

    def __init__(self, schemas: dict[str, pa.Schema]) -> None:
        self._schemas = schemas
        self._events: dict[str, list[pa.Table]] = {table: [] for table in EVENTS}
        self.number = 0
        """Of the latest append; 0: nothing is pending."""
        self.rows = self.bytes = 0
        """Of events, as Arrow; connections count as rows."""
        self.captures: dict[str, tuple[CaptureRow, int]] = {}
        self.positions: dict[str, tuple[Position, int]] = {}
        self.connections: dict[int, ConnectionRow] = {}
        self.order_events: list[OrderEvent] = []
        self.withdrawn = 0
        """The append whose events go: a capture's end brought them forth, and the capture goes on. 0: there is none."""

    def __bool__(self) -> bool:
        return self.number > 0

    def add(self, batch: Batch, position: Position, number: int) -> None:
        """Append `number`. Raises `StoreError` where a value does not fit its column; then nothing was added."""
        given = {
            table: to_arrow(table, self._schemas[table], rows, number) for table in EVENTS if (rows := getattr(batch, table))
        }
        to_arrow("connections", self._schemas["connections"], batch.connections, number)
        for table, values in given.items():
            self._events[table].append(values)
            self.rows += values.num_rows
            self.bytes += values.nbytes
        self.rows += len(batch.connections)
        self.connections.update((one.connection_id, one) for one in batch.connections)
        self.order_events += batch.order_events
        if batch.capture is not None:
            self.captures[batch.capture.capture_id] = batch.capture, number
        self.positions[position.capture_id] = position, number
        self.number = number

    def events(self) -> dict[str, pa.Table]:
        """The rows of each table of events that has any, with the column `batch`."""
        return {table: pa.concat_tables(parts) for table, parts in self._events.items() if parts}

    def put_state(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Captures and positions into the attached file, inside a transaction."""
        for capture, number in self.captures.values():
            connection.execute("DELETE FROM _sniffer.captures WHERE capture_id = ?", [capture.capture_id])
            connection.execute(
                "INSERT INTO _sniffer.captures VALUES (?, ?, make_timestamp_ns(?), make_timestamp_ns(?), ?, ?, ?, ?)",
                [*capture, number],
            )
        for position, number in self.positions.values():
            _, packets, complete, _, *rest = position
            moved = connection.execute(
                "UPDATE _sniffer.position SET packets = ?, complete = ?, ticked = ?, keyless = ?, digests = ?, ending = ?,"
                " options = ?, batch = ? WHERE capture_id = ? AND fingerprint = ?",
                [packets, complete, *rest, number, position.capture_id, position.fingerprint],
            ).fetchall()
            if moved == [(0,)]:
                connection.execute("DELETE FROM _sniffer.position WHERE capture_id = ?", [position.capture_id])
                connection.execute("INSERT INTO _sniffer.position VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", [*position, number])

"""Events made anew from the stored messages: what differs from the tables replaces it, in one transaction.

New rows stand in temporary tables first and are compared with the old ones, so what is the same is not written again, and its
sealed files stay. Each row keeps the number of the append that brought its message: a capture that goes on takes back what its
end had brought forth by that number. Orders that changed events touch are folded anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import duckdb
import pyarrow as pa

from sniffer.model import FillEvent, Loss, MessageRow, OrderEvent, Sender
from sniffer.store.history import make_views, sealed_rows
from sniffer.store.interrupts import uninterrupted
from sniffer.store.removal import fold_again, remove, touch
from sniffer.store.rows import exact, insert, to_arrow
from sniffer.store.sealed import Sealed

_FETCH: Final = 5_000
"""Messages read at a time; a payload has some 500 bytes."""
_FETCH_SIZE: Final = 8_000_000
"""And about how many bytes of payloads: where all messages are kept, some have megabytes."""
_KEYS: Final = {
    "messages": "connection_id, sender, position",
    "order_events": "connection_id, sender, position, item",
    "fill_events": "connection_id, sender, position, item",
    "losses": "connection_id, sender, from_time, reason",
}
"""What tells the rows of a table apart. A loss is its key: how many bytes an older reading counted does not make it another."""
_DECODED: Final = {"losses": "layer = 'decoder'"}
"""Of a table, the rows that decoding makes."""


class Conversation(NamedTuple):
    """A connection as the tables have it, as far as decoding depends on it."""

    connection_id: int
    capture_id: str
    server_port: int
    host: str | None
    path: str | None
    venue: str | None
    venue_guessed: bool
    account: str | None
    unexamined: int


class Stored(NamedTuple):
    """A stored message, the append that brought it, and the account of the rows that it has (None: it has none)."""

    message: MessageRow
    batch: int
    account: str | None


class Hole(NamedTuple):
    """Where messages of one sender were lost, by wire time (ns): behind the last packet before it, and known at the latest."""

    since: int
    until: int


class Changes(NamedTuple):
    """Rows of one table: how many came, went, or are not what they were."""

    added: int
    removed: int
    changed: int


@dataclass
class Rewritten:
    """What a rewriting came to. `messages`: how many messages are now of this venue and kind, that were of that before."""

    tables: dict[str, Changes] = field(default_factory=dict)
    messages: list[tuple[str | None, str, str | None, str | None, int]] = field(default_factory=list)
    """(venue and kind before, venue and kind now: None for a message that is not kept any more, how many)"""

    def __bool__(self) -> bool:
        return any(any(changes) for changes in self.tables.values())


class Rewrite:
    """A rewriting under way, inside a transaction on the attached database. `schemas` are without `batch`."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, sealed: Sealed, folder: Path, schemas: dict[str, pa.Schema]
    ) -> None:
        self._connection = connection
        self._sealed = sealed
        self._folder = folder
        self._schemas = schemas
        for table in (*_KEYS, "connections"):
            connection.execute(f"CREATE OR REPLACE TEMP TABLE new_{table} AS FROM _sniffer.{table} LIMIT 0")

    def captures(self) -> list[str]:
        """The captures that have messages."""
        found = self._connection.execute(
            "SELECT DISTINCT capture_id FROM main.connections SEMI JOIN main.messages USING (connection_id) ORDER BY ALL"
        )
        return [capture for (capture,) in found.fetchall()]

    def conversations(self, capture_id: str) -> list[Conversation]:
        """The connections of a capture."""
        columns = ", ".join(Conversation._fields)
        found = self._connection.execute(f"SELECT {columns} FROM main.connections WHERE capture_id = ?", [capture_id])
        return [Conversation(*values) for values in found.fetchall()]

    @uninterrupted()
    def holes(self, capture_id: str) -> dict[int, dict[Sender, list[Hole]]]:
        """What was lost, by connection and sender, the earliest first; holes that may be one are one.

        A loss that is of no bytes, or has no place in the stream, is none of messages: it says what was not verified, and which
        damaged packets came to nothing.
        """
        found = self._connection.execute(
            "SELECT connection_id, sender, epoch_ns(from_time), epoch_ns(to_time) FROM main.losses WHERE capture_id = ?"
            " AND connection_id IS NOT NULL AND layer <> 'decoder' AND stream_offset IS NOT NULL AND bytes IS DISTINCT FROM 0"
            " ORDER BY ALL",
            [capture_id],
        )
        holes: dict[int, dict[Sender, list[Hole]]] = {}
        while rows := found.fetchmany(_FETCH):
            for connection_id, sender, since, until in rows:
                known = holes.setdefault(connection_id, {}).setdefault(sender, [])
                if known and since <= known[-1].until:
                    known[-1] = Hole(known[-1].since, max(known[-1].until, until))
                else:
                    known.append(Hole(since, until))
        return holes

    def messages(self, capture_id: str) -> Iterator[Stored]:
        """The messages of a capture, as they were decoded: by wire time, the client's first."""
        reader = self._connection.cursor()  # a result of its own: rows are put while it is read
        reader.execute("USE private.main")
        columns = exact(self._schemas["messages"])
        key = _KEYS["messages"]
        accounts = " UNION ALL ".join(f"SELECT {key}, account FROM main.{table}" for table in ("order_events", "fill_events"))
        sql = (
            f"WITH owned AS (SELECT {key}, any_value(account) AS account FROM ({accounts}) GROUP BY ALL)"
            f" SELECT {columns}, batch, account FROM ({self._all('messages')})"
            f" SEMI JOIN (FROM main.connections WHERE capture_id = ?) USING (connection_id) LEFT JOIN owned USING ({key})"
            " ORDER BY captured_at, sender, connection_id, position"
        )
        try:
            with uninterrupted():
                found = reader.execute(sql, [capture_id])
            count = 1
            while True:
                with uninterrupted():
                    fetched = found.fetchmany(count)
                if not fetched:
                    return
                rows = [Stored(MessageRow(*values), batch, account) for *values, batch, account in fetched]
                yield from rows
                size = sum(row.message.payload_size for row in rows)
                count = max(1, min(2 * count, _FETCH, _FETCH_SIZE * len(rows) // max(1, size)))
        finally:
            reader.close()

    @uninterrupted()
    def put(
        self,
        messages: Sequence[tuple[MessageRow, int]],
        orders: Sequence[tuple[OrderEvent, int]],
        fills: Sequence[tuple[FillEvent, int]],
        losses: Sequence[tuple[Loss, int]],
    ) -> None:
        """Add rows as they are now, each with its append."""
        for table, rows in (("messages", messages), ("order_events", orders), ("fill_events", fills), ("losses", losses)):
            if rows:
                self._insert(table, rows)

    @uninterrupted()
    def redecoded(self, conversations: Sequence[Conversation]) -> None:
        """These connections, as they are now, were decoded anew; all others stay as they are."""
        ids = [one.connection_id for one in conversations]
        if not ids:
            return
        columns = exact(self._schemas["connections"])
        found = self._connection.execute(
            f"SELECT {columns}, batch FROM ({self._all('connections')}) WHERE connection_id IN (SELECT unnest(?))", [ids]
        ).fetchall()
        now = {one.connection_id: one for one in conversations}
        names = self._schemas["connections"].names
        rows = []
        for *values, batch in found:
            row = dict(zip(names, values, strict=True))
            row |= {name: value for name, value in now[row["connection_id"]]._asdict().items() if name in row}
            rows.append((tuple(row.values()), batch))
        self._insert("connections", rows)

    @uninterrupted()
    def finish(self) -> Rewritten:
        """Put the new rows in the place of the old ones where they differ. What came to what is returned."""
        connection = self._connection
        done = Rewritten()
        for table, key in _KEYS.items():
            columns = key if table == "losses" else ", ".join(self._schemas[table].names)
            old = f"SELECT * FROM ({self._all(table)}) SEMI JOIN temp.new_connections USING (connection_id)"
            old += f" WHERE {_DECODED.get(table, 'true')}"
            connection.execute(f"CREATE OR REPLACE TEMP TABLE old_{table} AS {old}")
            done.tables[table] = self._differences(table, key, columns)
        done.tables["connections"] = self._changed_connections()
        done.messages = connection.execute(
            "SELECT o.venue, o.kind, n.venue, n.kind, count(*) FROM temp.old_messages AS o"
            f" LEFT JOIN temp.new_messages AS n USING ({_KEYS['messages']})"
            " WHERE (o.venue, o.kind) IS DISTINCT FROM (n.venue, n.kind) GROUP BY ALL ORDER BY ALL"
        ).fetchall()
        if done:
            self._replace()
        for table in (*_KEYS, "connections"):
            connection.execute(f"DROP TABLE IF EXISTS temp.new_{table}; DROP TABLE IF EXISTS temp.old_{table}")
            connection.execute(f"DROP TABLE IF EXISTS temp.keys_{table}")
        return done

    def _differences(self, table: str, key: str, columns: str) -> Changes:
        """Make `keys_<table>`, the keys of rows that differ, and count them."""
        one, other = (
            f"SELECT {columns} FROM (SELECT {columns} FROM temp.{a}_{table} EXCEPT ALL SELECT {columns} FROM temp.{b}_{table})"
            for a, b in (("old", "new"), ("new", "old"))
        )
        self._connection.execute(
            f"CREATE OR REPLACE TEMP TABLE keys_{table} AS SELECT {key}, sum(gone) AS gone, sum(came) AS came FROM"
            f" (SELECT {key}, 1 AS gone, 0 AS came FROM ({one}) UNION ALL SELECT {key}, 0, 1 FROM ({other})) GROUP BY ALL"
        )
        counts = self._connection.execute(
            "SELECT coalesce(sum(greatest(came - gone, 0)), 0)::BIGINT, coalesce(sum(greatest(gone - came, 0)), 0)::BIGINT,"
            f" coalesce(sum(least(gone, came)), 0)::BIGINT FROM temp.keys_{table}"
        ).fetchall()[0]
        return Changes(*counts)

    def _changed_connections(self) -> Changes:
        columns = ", ".join(self._schemas["connections"].names)
        self._connection.execute(
            "CREATE OR REPLACE TEMP TABLE keys_connections AS SELECT connection_id FROM"
            f" (SELECT {columns} FROM temp.new_connections EXCEPT SELECT {columns} FROM main.connections)"
        )
        return Changes(0, 0, self._connection.execute("SELECT count(*) FROM temp.keys_connections").fetchall()[0][0])

    def _replace(self) -> None:
        connection = self._connection
        differ = " UNION ALL ".join(
            f"SELECT * FROM temp.{age}_order_events SEMI JOIN temp.keys_order_events USING ({_KEYS['order_events']})"
            for age in ("old", "new")
        )
        touch(connection, self._sealed, f"({differ})")
        where = {
            table: f"({key}) IN (SELECT ({key}) FROM temp.keys_{table}) AND {_DECODED.get(table, 'true')}"
            for table, key in (*_KEYS.items(), ("connections", "connection_id"))
        }
        remove(connection, self._sealed, where)
        for table, key in (*_KEYS.items(), ("connections", "connection_id")):
            connection.execute(
                f"INSERT INTO _sniffer.{table} SELECT * FROM temp.new_{table} SEMI JOIN temp.keys_{table} USING ({key})"
            )
        make_views(connection, self._folder, self._schemas)
        fold_again(connection, self._schemas)

    def _insert(self, table: str, rows: Sequence[tuple[tuple[object, ...], int]]) -> None:
        given = to_arrow(table, self._schemas[table], [row for row, _ in rows], [batch for _, batch in rows])
        insert(self._connection, f"temp.new_{table}", given)

    def _all(self, table: str) -> str:
        """SQL for a table's rows, recent and sealed, with `batch`."""
        sealed = sealed_rows(self._connection, self._folder, table)
        return f"SELECT * FROM _sniffer.{table}" + (f" UNION ALL BY NAME {sealed}" if sealed else "")

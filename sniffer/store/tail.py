"""What has come since one last looked: order events and fills, by the append that brought them and not by their times.

Appends are numbered and every row keeps its append's number, in sealed files too; so rows that come late, or of an old capture,
are shown like any other, and publishing, sealing and merging show nothing twice.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from sniffer.model import FillEvent, OrderEvent
from sniffer.store.history import sealed_rows
from sniffer.store.read import connect
from sniffer.store.rows import exact, schemas
from sniffer.store.schema import sealed_folder


class Cursor(NamedTuple):
    """How far one has looked. `version` (inode, mtime in ns) is that of the file, so that an unchanged one is not opened."""

    database_id: str
    batch: int
    version: tuple[int, int]


class Change(NamedTuple):
    """A row that is new, and the strategy of its connection where that is known."""

    event: OrderEvent | FillEvent
    strategy: str | None


def changes(path: str | Path, cursor: Cursor | None = None, since: int | None = None) -> tuple[list[Change], Cursor]:
    """What came after `cursor`, by wire time, and the cursor to go on with. Without a cursor: nothing, and where to begin.

    `since`: without a cursor, the rows of the last so many appends. A file that is another database by now begins anew.
    Raises as `read.connect` does.
    """
    path = Path(path).resolve()
    version = _version(path)
    if cursor is not None and cursor.version == version:
        return [], cursor
    with connect(path) as connection:
        database_id, batch = connection.execute("SELECT database_id, batch FROM _sniffer.state").fetchall()[0]
        if cursor is None:
            seen = max(0, batch - since) if since is not None else batch
        else:
            seen = cursor.batch if cursor.database_id == database_id else 0
        found: list[OrderEvent | FillEvent] = []
        tables = schemas(connection)
        for table, kind in (("order_events", OrderEvent), ("fill_events", FillEvent)):
            columns = exact(tables[table])
            sql = f"SELECT {columns} FROM _sniffer.{table} WHERE batch > {seen}"
            if sealed := sealed_rows(connection, sealed_folder(path), table, f"max_batch > {seen}"):
                sql += f" UNION ALL SELECT {columns} FROM ({sealed}) WHERE batch > {seen}"
            found.extend(kind(*values) for values in connection.execute(sql).fetchall())
        found.sort(key=lambda event: event.captured_at)
        ids = sorted({event.connection_id for event in found})
        named = "SELECT connection_id, strategy FROM main.connections WHERE connection_id IN (SELECT unnest(?))"
        strategies: dict[int, str | None] = dict(connection.execute(named, [ids]).fetchall()) if ids else {}
    return [Change(event, strategies.get(event.connection_id)) for event in found], Cursor(database_id, batch, version)


def _version(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return (0, 0)  # `connect` says what is wrong
    return status.st_ino, status.st_mtime_ns

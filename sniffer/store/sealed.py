"""Sealed rows: immutable Parquet files beside the database, and the views that join them with the recent rows.

A file belongs to the database if the table `_sniffer.sealed` lists it, and the published views name exactly those files, with
absolute paths; so what a reader sees changes by the rename of the database alone. A file that is no longer listed is deleted an
hour later (`GRACE`), for the readers that still hold an older version. Files of another database are never touched: the
database's id stands in the names of its files.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from sniffer.store.book import SETTLED
from sniffer.store.files import Files

ROWS: Final = 122_880
"""Recent rows that are sealed at once: DuckDB's row group."""
BYTES: Final = 8_000_000
"""Growth of the private file on disk, since it was last sealed, at which its recent rows are sealed."""
GRACE: Final = 3600
"""Seconds that a replaced file outlives its last listing."""
MERGE: Final = 16
"""Small files of a table and day that are merged into one: a year must not become 100,000 files."""
LARGE: Final = 1_000_000
"""Rows of a file that is not merged any more."""
OPEN_ORDERS: Final = 65_536
"""Open orders that stay in the file; beyond, the ones idle longest are sealed as they are (in one-sided captures none closes)."""

MARK_END: Final = "capture ended"
"""How the reason of a loss begins that is withdrawn when the capture goes on: such a row is never sealed."""

_TIME: Final = {
    "messages": "captured_at",
    "order_events": "captured_at",
    "fill_events": "captured_at",
    "losses": "coalesce(from_time, to_time, make_timestamp_ns(0))",
    "connections": "closed_at",
    "orders": "updated_at",
}
"""What is sealed, and the time that names its day."""
EVENTS: Final = ("messages", "order_events", "fill_events", "losses")
"""Tables that only grow."""
_KEY: Final = {"connections": "connection_id", "orders": "key"}
"""Tables whose sealed rows may be superseded, and their keys."""
ORDER_COLUMNS: Final = 24
"""The first columns of `_sniffer.orders`, without the key, are for users; the rest is the fold's."""


class Sealed:
    """The sealed files of one database, which `connection` has attached as the current one. `schemas` are without `batch`."""

    def __init__(self, files: Files, schemas: dict[str, pa.Schema]) -> None:
        self._files = files
        self._schemas = schemas

    def missing(self, connection: duckdb.DuckDBPyConnection) -> list[Path]:
        """Listed files that are not there."""
        return [path for path in map(Path, self.listed(connection)) if not path.is_file()]

    def listed(self, connection: duckdb.DuckDBPyConnection, table: str | None = None, where: str = "true") -> list[str]:
        """Absolute paths of the listed files, of one table or of all; `where` is a condition on `_sniffer.sealed`."""
        rows = connection.execute(
            f"SELECT file FROM _sniffer.sealed WHERE table_name = coalesce(?, table_name) AND ({where}) ORDER BY file", [table]
        ).fetchall()
        return [str(self._files.folder / file) for (file,) in rows]

    def source(self, connection: duckdb.DuckDBPyConnection, table: str, where: str = "true") -> str | None:
        """SQL for the sealed rows of a table that no later row supersedes, as `name.*` with the column `batch`; None: no file."""
        listed = self.listed(connection, table, where)
        if not listed:
            return None
        sql = f"SELECT * FROM {read_parquet(listed)}"
        if key := _KEY.get(table):
            gone = f"SELECT key AS {key}, batch FROM _sniffer.superseded WHERE table_name = '{table}'"
            sql += f" ANTI JOIN ({gone}) USING ({key}, batch)"
        return sql

    def make_views(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Make the tables' views again, over the recent rows and the files that are listed now."""
        for table in ("captures", "connections", *EVENTS):
            columns = ", ".join(self._schemas[table].names)
            self._make_view(connection, f"main.{table}", table, columns)
        columns = ", ".join(self._schemas["orders"].names[1:ORDER_COLUMNS])
        columns += ", price::DOUBLE AS price_f, quantity::DOUBLE AS quantity_f"
        self._make_view(connection, "main.orders_all", "orders", columns)
        day = "max_time >= (SELECT make_timestamp_ns(epoch_ns(newest) - 86400000000000) FROM _sniffer.state)"
        self._make_view(connection, "_sniffer.orders_at_hand", "orders", columns, f"open_rows > 0 OR {day}")

    def seal(self, connection: duckdb.DuckDBPyConnection, newest: int) -> set[int]:
        """Move the recent rows into files and make the views again; the keys of the orders that were moved are returned.

        `newest` is the latest wire time (ns): connections and orders that closed within `SETTLED` of it stay.
        """
        settled = f"make_timestamp_ns({newest - SETTLED})"
        idle = f"SELECT key FROM _sniffer.orders WHERE is_open IS NOT false ORDER BY updated_at DESC OFFSET {OPEN_ORDERS}"
        which = {
            "losses": f"NOT coalesce(starts_with(reason, '{MARK_END}'), false)",
            "connections": f"closed_at <= {settled}",
            "orders": f"(is_open = false AND updated_at <= {settled}) OR key IN ({idle})",
        }
        orders = {key for (key,) in connection.execute(f"SELECT key FROM _sniffer.orders WHERE {which['orders']}").fetchall()}
        for table in _TIME:
            where = which.get(table, "true")
            self._write(connection, table, f"SELECT * FROM _sniffer.{table} WHERE {where}")
            connection.execute(f"DELETE FROM _sniffer.{table} WHERE {where}")
            self._merge(connection, table)
        self.make_views(connection)
        return orders

    def remove(self, connection: duckdb.DuckDBPyConnection, table: str, where: str) -> None:
        """Rewrite the files of `table` that hold rows for which `where` is true, without those rows; then make the views again."""
        listed = self.listed(connection, table)
        if not listed:
            return
        found = f"SELECT DISTINCT filename FROM {read_parquet(listed, filename=True)} WHERE {where}"
        for (file,) in connection.execute(found).fetchall():
            self._write(connection, table, f"SELECT * FROM {read_parquet([file])} WHERE ({where}) IS NOT true")
            self._unlist(connection, [file])

    def sweep(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Delete this database's files that are not listed and have not been for `GRACE`."""
        database_id = _database_id(connection)
        listed = set(self.listed(connection))
        old = time.time() - GRACE
        for path in self._files.folder.glob(f"*/date=*/{database_id}-*.parquet"):
            if str(path) not in listed and path.stat().st_mtime < old:
                path.unlink(missing_ok=True)

    def _make_view(
        self, connection: duckdb.DuckDBPyConnection, view: str, table: str, columns: str, where: str = "true"
    ) -> None:
        sql = f"SELECT {columns} FROM _sniffer.{table}"
        if source := self.source(connection, table, where):
            sql += f" UNION ALL SELECT {columns} FROM ({source})"
        connection.execute(f"CREATE OR REPLACE VIEW {view} AS {sql}")

    def _merge(self, connection: duckdb.DuckDBPyConnection, table: str) -> None:
        days: dict[str, list[str]] = {}
        for path in self.listed(connection, table, f"rows < {LARGE}"):
            days.setdefault(Path(path).parent.name, []).append(path)
        for paths in days.values():
            if len(paths) >= MERGE:
                paths.sort(key=lambda path: Path(path).stat().st_mtime)
                self._write(connection, table, f"SELECT * FROM {read_parquet(paths)}")
                self._unlist(connection, paths)

    def _write(self, connection: duckdb.DuckDBPyConnection, table: str, select: str) -> None:
        """Write the rows of `select`, one file a UTC day, and list the files."""
        day = f"strftime(make_timestamp(epoch_ns({_TIME[table]}) // 1000), '%Y-%m-%d')"
        opened = "count(*) FILTER (is_open IS NOT false)" if table == "orders" else "NULL"
        statistics = (
            f"SELECT {day} AS day, count(*), max(batch), epoch_ns(max({_TIME[table]})), {opened} FROM ({select}) GROUP BY day"
        )
        database_id = _database_id(connection)
        for date, rows, batch, latest, open_rows in connection.execute(statistics).fetchall():
            file = f"{table}/date={date}/{database_id}-{uuid.uuid4().hex[:12]}.parquet"
            path = self._files.folder / file
            self._files.make_folder(path.parent)
            connection.execute(
                f"COPY (SELECT * FROM ({select}) WHERE {day} = '{date}') TO {_quoted(str(path))} (FORMAT parquet, COMPRESSION zstd)"
            )
            _sync(path)
            self._files.own(path, 0o440)
            connection.execute(
                "INSERT INTO _sniffer.sealed VALUES (?, ?, ?, ?, make_timestamp_ns(?), ?)",
                [table, file, rows, batch, latest, open_rows],
            )

    def _unlist(self, connection: duckdb.DuckDBPyConnection, paths: Iterable[str]) -> None:
        for path in paths:
            connection.execute("DELETE FROM _sniffer.sealed WHERE file = ?", [str(Path(path).relative_to(self._files.folder))])
            os.utime(path)  # its grace begins


def read_parquet(paths: Iterable[str], *, filename: bool = False) -> str:
    """The table function over exactly these files: none of their names is taken as a pattern."""
    names = ", ".join(_quoted("".join(f"[{char}]" if char in "*?[" else char for char in path)) for path in paths)
    return f"read_parquet([{names}], hive_partitioning = false{', filename = true' if filename else ''})"


def _database_id(connection: duckdb.DuckDBPyConnection) -> str:
    return str(connection.execute("SELECT database_id FROM _sniffer.state").fetchall()[0][0])


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _sync(path: Path) -> None:
    for target in (path, path.parent):
        descriptor = os.open(target, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

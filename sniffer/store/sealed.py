"""Sealing: recent rows become immutable Parquet files beside the database.

A file belongs to the database if `_sniffer.sealed` lists it, so what a reader sees changes by the rename of the database alone.
A file that is no longer listed is deleted an hour later (`GRACE`), for the readers that still hold an older version. Files of
another database are never touched: the database's id stands in the names of its files.
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
from sniffer.store.history import listed, quoted, read_parquet, sealed_rows
from sniffer.store.merging import Merged, Merger, group
from sniffer.store.rows import in_parts

ROWS: Final = 122_880
"""Recent rows that are sealed at once: DuckDB's row group."""
BYTES: Final = 8_000_000
"""Arrow bytes of recent rows that are sealed at once: they take as much memory, and less than half of it in the file."""
_ROW_GROUP: Final = 8_192
"""Rows of a Parquet row group: its columns are held uncompressed until it is full. Measured: 40 MB less than with 122,880."""
_ROW_GROUP_BYTES: Final = 4_000_000
"""And bytes: rows are of some 100 bytes, or of some megabytes where all messages are kept."""
GRACE: Final = 3600
"""Seconds that a replaced file outlives its last listing."""
OPEN_ORDERS: Final = 65_536
"""Open orders that stay in the file; beyond, those idle longest are sealed as they are (in one-sided captures none closes)."""

_TIME: Final = {
    "messages": "captured_at",
    "order_events": "captured_at",
    "fill_events": "captured_at",
    "losses": "coalesce(from_time, to_time, make_timestamp_ns(0))",
    "connections": "closed_at",
    "orders": "updated_at",
}
"""What is sealed, and the time that names its day."""


class Sealed:
    """The sealed files of one database, which `connection` has attached as the current one."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._merger = Merger(files.private.parent / "temporary")
        self._changed = True  # files were listed since it was last looked whether some are to be merged

    def close(self) -> None:
        """Give up a merge that is under way."""
        self._merger.close()

    def missing(self, connection: duckdb.DuckDBPyConnection) -> list[Path]:
        """Listed files that are not there."""
        return [path for path in map(Path, listed(connection, self._files.folder)) if not path.is_file()]

    def seal(self, connection: duckdb.DuckDBPyConnection, newest: int, pending: dict[str, pa.Table]) -> set[int]:
        """Move recent rows into files, inside a transaction; `make_views` is to follow. The keys of moved orders are returned.

        `newest` is the latest wire time (ns): connections and orders that closed within `SETTLED` of it stay. `pending`: rows
        that go with those of the tables, and never were in them.
        """
        settled = f"make_timestamp_ns({newest - SETTLED})"
        idle = f"SELECT key FROM _sniffer.orders WHERE is_open IS NOT false ORDER BY updated_at DESC, key OFFSET {OPEN_ORDERS}"
        which = {
            "connections": f"closed_at <= {settled}",
            "orders": f"(is_open = false AND updated_at <= {settled}) OR key IN ({idle})",
        }
        orders = {key for (key,) in connection.execute(f"SELECT key FROM _sniffer.orders WHERE {which['orders']}").fetchall()}
        for table in _TIME:
            where = which.get(table, "true")
            recent = f"SELECT * FROM _sniffer.{table} WHERE {where}"
            # Nearly always there is one part, and one file. A single append may be large, and DuckDB has little memory.
            for part in in_parts(pending[table], 2 * BYTES) if table in pending else [None]:
                self._write_both(connection, table, recent, part)
                recent = ""
            connection.execute(f"DELETE FROM _sniffer.{table} WHERE {where}")
        return orders

    def rows(self, connection: duckdb.DuckDBPyConnection, table: str) -> str | None:
        """SQL for the sealed rows of a table; see `sealed_rows`."""
        return sealed_rows(connection, self._files.folder, table)

    def remove(self, connection: duckdb.DuckDBPyConnection, table: str, where: str, which: str = "true") -> None:
        """Rewrite the files of `table` that hold rows for which `where` is true, without those; `make_views` is to follow.

        `which`: a condition on `_sniffer.sealed`, for the files that can.
        """
        files = listed(connection, self._files.folder, table, which)
        if not files:
            return
        found = f"SELECT DISTINCT filename FROM {read_parquet(files, filename=True)} WHERE {where}"
        for (file,) in connection.execute(found).fetchall():
            self._write(connection, table, f"SELECT * FROM {read_parquet([file])} WHERE ({where}) IS NOT true")
            self._unlist(connection, [file])

    def sweep(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Delete this database's files that are not listed and have not been for `GRACE`."""
        kept = set(listed(connection, self._files.folder))
        if self._merger.under_way is not None:
            kept.add(str(self._merger.under_way.file))
        old = time.time() - GRACE
        for path in self._files.folder.glob(f"*/date=*/{_database_id(connection)}-*.parquet"):
            if str(path) not in kept and path.stat().st_mtime < old:
                path.unlink(missing_ok=True)

    def merge(self, connection: duckdb.DuckDBPyConnection) -> bool:
        """List the file that a merge has made, in the place of its parts, inside a transaction; and begin the next one.

        True: the list has changed, and `make_views` is to follow.
        """
        done = self._merger.take()
        listed_anew = done is not None and self._list_merged(connection, done)
        if self._merger.under_way is None and (self._changed or done is not None):
            self._changed = False
            self._begin_merge(connection)
        return listed_anew

    def _list_merged(self, connection: duckdb.DuckDBPyConnection, done: Merged) -> bool:
        parts = [str(Path(part).relative_to(self._files.folder)) for part in done.parts]
        of_parts = "FROM _sniffer.sealed WHERE file IN (SELECT unnest(?))"
        if connection.execute(f"SELECT count(*) {of_parts}", [parts]).fetchall() != [(len(parts),)]:
            done.file.unlink(missing_ok=True)  # rows were taken back meanwhile
            return False
        _sync(done.file)
        self._files.own(done.file, 0o440)
        statistics = "sum(rows), max(max_batch), max(max_time), sum(open_rows)"
        connection.execute(
            f"INSERT INTO _sniffer.sealed SELECT '{done.table}', ?, {statistics} {of_parts}",
            [str(done.file.relative_to(self._files.folder)), parts],
        )
        self._unlist(connection, done.parts)
        return True

    def _begin_merge(self, connection: duckdb.DuckDBPyConnection) -> None:
        known: dict[str, list[tuple[str, int]]] = {}
        for table, file, rows in connection.execute("SELECT table_name, file, rows FROM _sniffer.sealed").fetchall():
            path = str(self._files.folder / file)
            if self._merger.may_merge(path):
                known.setdefault(table, []).append((path, rows))
        for table, files in known.items():
            parts = group(files)
            if parts is not None:
                file = Path(parts[0]).with_name(_new_name(connection))
                self._merger.begin(
                    Merged(table, tuple(parts), file), copy_statement(table, f"SELECT * FROM {read_parquet(parts)}", file)
                )
                return

    def _write_both(self, connection: duckdb.DuckDBPyConnection, table: str, select: str, given: pa.Table | None) -> None:
        """As `_write`: the rows of `select`, if it is one, and those that are given."""
        if given is None:
            self._write(connection, table, select)
            return
        connection.register("given", pa.concat_tables(in_parts(given, _ROW_GROUP_BYTES)))
        try:
            self._write(connection, table, f"{select} UNION ALL SELECT * FROM given" if select else "SELECT * FROM given")
        finally:
            connection.unregister("given")

    def _write(self, connection: duckdb.DuckDBPyConnection, table: str, select: str) -> None:
        """Write the rows of `select`, one file a UTC day, and list the files."""
        day = f"strftime(make_timestamp(epoch_ns({_TIME[table]}) // 1000), '%Y-%m-%d')"
        opened = "count(*) FILTER (is_open IS NOT false)" if table == "orders" else "NULL"
        statistics = (
            f"SELECT {day} AS day, count(*), max(batch), epoch_ns(max({_TIME[table]})), {opened} FROM ({select}) GROUP BY day"
        )
        for date, rows, batch, latest, open_rows in connection.execute(statistics).fetchall():
            file = f"{table}/date={date}/{_new_name(connection)}"
            path = self._files.folder / file
            self._files.make_folder(path.parent)
            of_day = f"SELECT * FROM ({select}) WHERE {day} = '{date}'"
            connection.execute(copy_statement(table, of_day, path))
            _sync(path)
            self._files.own(path, 0o440)
            self._changed = True
            connection.execute(
                "INSERT INTO _sniffer.sealed VALUES (?, ?, ?, ?, make_timestamp_ns(?), ?)",
                [table, file, rows, batch, latest, open_rows],
            )

    def _unlist(self, connection: duckdb.DuckDBPyConnection, paths: Iterable[str]) -> None:
        for path in paths:
            connection.execute("DELETE FROM _sniffer.sealed WHERE file = ?", [str(Path(path).relative_to(self._files.folder))])
            os.utime(path)  # its grace begins


def copy_statement(table: str, select: str, path: Path) -> str:
    """SQL that writes the rows of `select` to a file.

    Orders are looked for by their ids: DuckDB makes a Bloom filter of a column that has a dictionary, as this one allows any.
    """
    options = f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_ROW_GROUP}, ROW_GROUP_SIZE_BYTES {_ROW_GROUP_BYTES}"
    if table == "orders":
        options += f", DICTIONARY_SIZE_LIMIT {_ROW_GROUP}"
    return f"COPY ({select}) TO {quoted(str(path))} ({options})"


def _new_name(connection: duckdb.DuckDBPyConnection) -> str:
    """Of a file of this database."""
    return f"{_database_id(connection)}-{uuid.uuid4().hex[:12]}.parquet"


def _database_id(connection: duckdb.DuckDBPyConnection) -> str:
    return str(connection.execute("SELECT database_id FROM _sniffer.state").fetchall()[0][0])


def _sync(path: Path) -> None:
    for target in (path, path.parent):
        descriptor = os.open(target, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

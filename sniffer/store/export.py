"""Copies of a database that stand alone: a native DuckDB file, Parquet or CSV."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import duckdb

from sniffer.errors import StoreError, UsageError
from sniffer.store.files import errors
from sniffer.store.history import make_views, quoted, sealed_rows
from sniffer.store.private import STORAGE_VERSION
from sniffer.store.read import connect
from sniffer.store.rows import schemas
from sniffer.store.schema import EVENTS, TABLES, create, make_fixed_views, sealed_folder

_FORMATS: Final = {".parquet": "FORMAT parquet, COMPRESSION zstd", ".csv": "FORMAT csv, HEADER"}
_FILES: Final = {**{table: table for table in TABLES}, "orders": "orders_all", "fills": "fills"}
"""What a folder of files holds: name to view. `orders` are all orders there: nobody asks such a file for the last 24 hours."""


def export(path: str | Path, target: str | Path, *, force: bool = False) -> list[Path]:
    """Write the database at `path` to `target`, and return the files that were written.

    - `x.duckdb` (or `.db`): one native DuckDB file with all rows in it and the same views, which a later `replay` can go on
      with; the user's own tables too, but not their views.
    - `fills.parquet`, `orders.csv`, ...: where the stem names a table or view, that one.
    - any other `x.parquet`, `x.csv`: one file a table, `x.messages.parquet`, `x.orders.parquet`, ...
    - a folder, or a name without suffix: the same as Parquet files in that folder, which is made.

    What exists is not overwritten without `force`. Each file is written under another name and then renamed. Nobody may read
    what is made who may not read the database.
    Raises `UsageError` for the target, `StoreError` for the database or the disk.
    """
    if str(target) == "-":
        raise UsageError('-: export writes files alone; for standard output there is `sniffer query --format csv "FROM fills"`')
    path, target = Path(path).resolve(), Path(target).resolve()
    with connect(path) as connection, errors(target):
        source = path.stat()
        if target.suffix in (".duckdb", ".db") and not target.is_dir():
            if target == path:
                raise UsageError(f"{target}: is the database itself; name another file")
            _check_free([target], force)
            with _written(target, source) as partial:
                _native(connection, path, partial)
            return [target]
        files = _targets(target)
        _check_free(list(files), force)
        for file, view in files.items():
            with _written(file, source) as partial:
                try:
                    connection.execute(f"COPY (FROM main.{view}) TO {quoted(str(partial))} ({_FORMATS[file.suffix]})")
                except duckdb.Error as error:
                    raise StoreError(f"{file}: {' '.join(str(error).split())}") from None
        return list(files)


def _targets(target: Path) -> dict[Path, str]:
    if not target.suffix and target.exists() and not target.is_dir():
        raise UsageError(f"{target}: is no folder, as a name without suffix is; name one, or a .duckdb, .parquet or .csv file")
    if target.is_dir() or not target.suffix:
        return {target / f"{name}.parquet": view for name, view in _FILES.items()}
    if target.suffix not in _FORMATS:
        raise UsageError(f"{target}: export knows .duckdb, .parquet, .csv, or a folder")
    if target.stem in _FILES:
        return {target: _FILES[target.stem]}
    return {target.with_name(f"{target.stem}.{name}{target.suffix}"): view for name, view in _FILES.items()}


def _check_free(files: list[Path], force: bool) -> None:
    taken = [file for file in files if file.exists()]
    if odd := [file for file in taken if not file.is_file()]:
        raise UsageError(f"{odd[0]}: is there, and is not a file that could be replaced; name another")
    if taken and not force:
        raise UsageError(f"{taken[0]}: exists; --force overwrites it")


def _native(connection: duckdb.DuckDBPyConnection, path: Path, target: Path) -> None:
    """A database of the same layout in which no row is sealed."""
    try:
        source = connection.execute("SELECT current_database()").fetchall()[0][0].replace('"', '""')
        connection.execute(f"ATTACH {quoted(str(target))} AS copied (STORAGE_VERSION '{STORAGE_VERSION}'); USE copied")
        create(connection, sealed_folder(target))
        make_views(connection, sealed_folder(target), schemas(connection))
        make_fixed_views(connection)
        connection.execute(f'USE "{source}"')
        for table in (*EVENTS, "connections", "orders", "captures"):
            sql = f"FROM _sniffer.{table}"
            if sealed := sealed_rows(connection, sealed_folder(path), table):
                sql += f" UNION ALL {sealed}"
            connection.execute(f"INSERT INTO copied._sniffer.{table} {sql}")
        connection.execute("INSERT INTO copied._sniffer.position FROM _sniffer.position")
        kept = "batch = source.batch, next_key = source.next_key, newest = source.newest"
        connection.execute(f"UPDATE copied._sniffer.state SET {kept} FROM _sniffer.state AS source")
        own = (
            "SELECT schema_name, table_name FROM duckdb_tables()"
            " WHERE database_name = current_database() AND schema_name <> '_sniffer'"
        )
        for schema, table in connection.execute(own).fetchall():
            within, name = ('"' + part.replace('"', '""') + '"' for part in (schema, table))
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS copied.{within}")
            connection.execute(f"CREATE TABLE copied.{within}.{name} AS FROM {within}.{name}")
        connection.execute("DETACH copied")
    except duckdb.Error as error:
        raise StoreError(f"{target}: {' '.join(str(error).split())}") from None


@contextlib.contextmanager
def _written(target: Path, source: os.stat_result) -> Iterator[Path]:
    """A name to write to beside `target`, which takes its place if nothing goes wrong, and else leaves nothing behind.

    `source`: of the database, whose readers may read it too.
    """
    shared = source.st_mode & 0o044
    target.parent.mkdir(mode=0o700 | shared | shared >> 2, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=target.parent) as folder:  # which is for nobody else
        partial = Path(folder) / target.name
        yield partial
        with partial.open("rb") as written:
            made = os.fstat(written.fileno())
            allowed = 0o600 | (shared if made.st_gid == source.st_gid else shared & 0o004)
            os.fchmod(written.fileno(), made.st_mode & allowed)
            os.fsync(written.fileno())
        partial.rename(target)

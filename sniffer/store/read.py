"""Reading a database: always the file as it is now, never in the way of the one who writes it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final, NamedTuple

import duckdb

from sniffer.errors import NotOurDatabase, StoreError, UsageError
from sniffer.store.schema import check_ours, sealed_folder

_PATIENCE: Final = 1.0
"""Seconds to try again: so long at most a foreign `.wal` stands beside a live database before the recorder moves it away."""
_RETRY: Final = 0.05
_RESERVED: Final = ("memory", "system", "temp", "main", "_sniffer")
"""Names that are no good for a catalogue: DuckDB's own, and our schema's."""


class Result(NamedTuple):
    """What a query gave. Values of type TIMESTAMP_NS are ISO 8601 text with nanoseconds: Python's `datetime` has none."""

    columns: list[str]
    types: list[str]
    rows: list[tuple[Any, ...]]


def connect(path: str | Path = "orders.duckdb") -> duckdb.DuckDBPyConnection:
    """A fresh read-only connection to the database as it is now; it keeps showing that until it is closed.

    The file is attached to a DuckDB instance of its own under its stem: DuckDB keeps one instance a path in a process, and a
    second `duckdb.connect` of the path would return the first one's data. A `cursor()` of the connection starts outside the
    database: let it `USE` the same catalogue.

    Raises `StoreError` if the file is missing or someone has it open for writing, `NotOurDatabase` if it is no sniffer's.
    """
    path = Path(path).resolve()
    if path.is_dir():
        raise StoreError(f"{path}: is a folder; --db names a file")
    if not path.exists():
        raise StoreError(f"{path}: no such database; `sniffer replay` or `sniffer record` makes it, --db names another")
    connection = duckdb.connect(":memory:")
    try:
        name = path.stem if path.stem not in _RESERVED else f"{path.stem}_"
        name = '"' + name.replace('"', '""') + '"'
        _attach(connection, path, name)
        connection.execute(f"USE {name}")
        check_ours(connection, path)
        _check_place(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def query(path: str | Path, sql: str) -> Result:
    """Run one statement that only reads. It sees the database and nothing else: no other file, no network.

    Raises `UsageError` for a statement that could write, or more than one; `StoreError` for what DuckDB says of the query.
    """
    try:
        text = sql.encode()
        statements = duckdb.extract_statements(sql)
    except (duckdb.Error, UnicodeError) as error:
        raise UsageError(f"query: {_first_lines(error)}") from None
    if len(statements) != 1:
        raise UsageError(f"query: give one statement, not {len(statements)}")
    # A COPY that writes a file may stand inside a SELECT's WITH, or behind EXPLAIN ANALYZE: no keyword may be one.
    words = {text[offset : offset + 4].upper() for offset, kind in duckdb.tokenize(sql) if kind == duckdb.token_type.keyword}
    if statements[0].type not in (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN) or b"COPY" in words:
        raise UsageError("query: only SELECT, SHOW, DESCRIBE, SUMMARIZE and EXPLAIN; `sniffer export` writes files")
    connection = connect(path)
    try:
        folder = str(sealed_folder(Path(path).resolve())).replace("'", "''")
        connection.execute(f"SET allowed_directories = ['{folder}/']; SET enable_external_access = false")
        connection.execute("SET TimeZone = 'UTC'; SET lock_configuration = true")
        relation = connection.sql(sql)
        if relation is None:
            return Result([], [], [])
        names, types = relation.columns, [str(kind) for kind in relation.types]
        shown = [_shown(f"#{i}", kind) for i, kind in enumerate(types, 1)]
        if any(text != f"#{i}" for i, text in enumerate(shown, 1)):
            relation = relation.project(", ".join(shown))
        return Result([*names], types, relation.fetchall())
    except duckdb.Error as error:
        raise StoreError(f"query: {_first_lines(error)}") from None
    finally:
        connection.close()


def _attach(connection: duckdb.DuckDBPyConnection, path: Path, name: str) -> None:
    quoted = str(path).replace("'", "''")
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            connection.execute(f"ATTACH '{quoted}' AS {name} (READ_ONLY)")
            return
        except duckdb.Error as error:
            text = str(error)
            if "WAL" in text and time.monotonic() < end:
                time.sleep(_RETRY)
                continue
            if "lock" in text:
                raise StoreError(f"{path}: {_first_lines(error)}") from None
            raise NotOurDatabase(f"{path}: {_first_lines(error)}; name another database with --db") from None


def _check_place(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    folder, sealed = connection.execute("SELECT folder, (SELECT count(*) FROM _sniffer.sealed) FROM _sniffer.state").fetchall()[
        0
    ]
    if sealed and folder != str(sealed_folder(path)):
        raise StoreError(
            f"{path}: was moved, and its sealed rows are looked for in {folder}; move {sealed_folder(path).name} beside it, "
            "and run `sniffer replay` or `sniffer record` on it once"
        )


def _shown(column: str, kind: str) -> str:
    """How a column is fetched: DuckDB's client cuts nanoseconds off, and takes another package for times with a zone."""
    if kind == "TIMESTAMP_NS":
        return f"strftime({column}, '%Y-%m-%dT%H:%M:%S.%n')"
    return f"{column}::VARCHAR" if "TIME ZONE" in kind else column


def _first_lines(error: Exception) -> str:
    """DuckDB's words without the excerpt of the query that follows a blank line."""
    return " ".join(str(error).split("\n\n")[0].split())

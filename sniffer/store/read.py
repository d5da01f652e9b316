"""Reading a database: always the file as it is now, never in the way of the one who writes it."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

import duckdb

from sniffer.errors import NotOurDatabase, StoreError, UsageError
from sniffer.store.place import check_place
from sniffer.store.schema import check_ours, sealed_folder

_PATIENCE: Final = 1.0
"""Seconds to try again: so long at most a foreign `.wal` stands beside a live database before the recorder moves it away."""
_RETRY: Final = 0.05
_SETTLED: Final = "`sniffer replay` or `sniffer record` on it once settles where it is"
_RESERVED: Final = ("memory", "system", "temp", "main", "_sniffer")
"""Names that are no good for a catalogue: DuckDB's own, and our schema's."""
_FETCHED: Final = {
    "timestamp_ns": "strftime({}, '%Y-%m-%dT%H:%M:%S.%n')",  # Python's times have microseconds
    "time_ns": "{}::VARCHAR",
    "interval": "{}::VARCHAR",  # Python's has no months, and begins a negative one with a day too many
    "timestamptz_ns": "{}::VARCHAR",
    "timestamp with time zone": "{}::VARCHAR",  # DuckDB's client takes another package for it
    "time with time zone": "{}::VARCHAR",
    "float": "{}::VARCHAR::DOUBLE",  # 0.1, not the sixteen digits of the double that is the same
}
"""How types are fetched that Python does not have."""
_NESTED: Final = ("list", "array", "struct", "tuple", "map", "union")
_parsed: Final = json.JSONDecoder(parse_float=Decimal).decode  # every digit


class Result(NamedTuple):
    """What a query gave. Of what Python does not have, values are text: times with nanoseconds (ISO 8601), intervals."""

    columns: list[str]
    types: list[str]
    rows: list[tuple[Any, ...]]


def connect(path: str | Path = "orders.duckdb") -> duckdb.DuckDBPyConnection:
    """A fresh read-only connection to the database as it is now; it keeps showing that until it is closed.

    The file is attached to a DuckDB instance of its own under its stem: DuckDB keeps one instance a path in a process, and a
    second `duckdb.connect` of the path would return the first one's data. A `cursor()` of the connection starts outside the
    database: let it `USE` the same catalogue. Where the database has moved, its sealed files are found beside it all the same.

    Raises `StoreError` if the file is missing or someone has it open for writing, `NotOurDatabase` if it is no sniffer's.
    """
    path = Path(path).resolve()
    check_place(path)
    if not path.exists():
        raise StoreError(f"{path}: no such database; `sniffer replay` or `sniffer record` makes it, --db names another")
    connection = duckdb.connect(":memory:")
    try:
        name = path.stem if path.stem not in _RESERVED else f"{path.stem}_"
        name = '"' + name.replace('"', '""') + '"'
        _attach(connection, path, name)
        connection.execute(f"USE {name}")
        check_ours(connection, path)
        if (former := _former_place(connection, path)) is not None:
            _look_beside(connection, path, name, former)
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
        shown = [_shown(f"#{i}", kind) for i, kind in enumerate(relation.types, 1)]
        if any(text != f"#{i}" for i, text in enumerate(shown, 1)):
            relation = relation.project(", ".join(shown))
        rows = relation.fetchall()
        for at in [at for at, text in enumerate(shown) if text.startswith("to_json")]:
            rows = [(*row[:at], None if row[at] is None else _parsed(row[at]), *row[at + 1 :]) for row in rows]
        return Result([*names], types, rows)
    except duckdb.Error as error:
        raise StoreError(f"query: {_first_lines(error)}") from None
    finally:
        connection.close()


def _attach(connection: duckdb.DuckDBPyConnection, path: Path, name: str) -> None:
    quoted = str(path).replace("'", "''")
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            # The type, as DuckDB would fetch a reader for another program's file.
            connection.execute(f"ATTACH '{quoted}' AS {name} (READ_ONLY, TYPE duckdb)")
            return
        except duckdb.Error as error:
            text = str(error)
            if "WAL" in text and time.monotonic() < end:
                time.sleep(_RETRY)
                continue
            if "lock" in text:
                raise StoreError(f"{path}: {_first_lines(error)}") from None
            raise NotOurDatabase(f"{path}: {_first_lines(error)}; name another database with --db") from None


def _former_place(connection: duckdb.DuckDBPyConnection, path: Path) -> str | None:
    """The folder that the views name, if it is not the one beside the database: that was moved, and nothing ran on it since."""
    sql = "SELECT folder, (SELECT count(*) FROM _sniffer.sealed) FROM _sniffer.state"
    folder, sealed = connection.execute(sql).fetchall()[0]
    return folder if sealed and folder != str(sealed_folder(path)) else None


def _look_beside(connection: duckdb.DuckDBPyConnection, path: Path, name: str, former: str) -> None:
    """Attach, in the place of the database, a copy of it whose views name the sealed files where they are now.

    The file itself stays as it is: it may be reached by several paths, and who writes it settles which one counts.
    """
    from sniffer.store.history import make_views, quoted
    from sniffer.store.rows import schemas

    folder = sealed_folder(path)
    if not folder.is_dir():
        raise StoreError(f"{path}: was moved, and its sealed rows are looked for in {former}; move them to {folder}")
    connection.execute(f"USE memory; DETACH {name}")  # before the copy, which would drop its lock
    try:
        with tempfile.TemporaryDirectory(prefix="sniffer-", ignore_cleanup_errors=True) as temporary:
            copy = Path(temporary) / path.name
            shutil.copyfile(path, copy)
            attached = f"ATTACH {quoted(str(copy))} AS {name}"
            connection.execute(f"{attached}; USE {name}")
            make_views(connection, folder, schemas(connection))
            connection.execute(f"USE memory; DETACH {name}; {attached} (READ_ONLY); USE {name}")
    except OSError as error:
        raise StoreError(f"{path}: was moved, and cannot be copied to read it: {error.strerror}; {_SETTLED}") from None
    except duckdb.Error as error:
        raise StoreError(f"{path}: was moved, and cannot be read there: {_first_lines(error)}; {_SETTLED}") from None


def _shown(column: str, kind: Any) -> str:
    """SQL for how a column of a DuckDB type is fetched: as it is; what `_FETCHED` names as text; what holds such, as JSON."""
    if kind.id in _FETCHED:
        return _FETCHED[kind.id].format(column)
    return f"to_json({column})" if _holds_fetched(kind) else column


def _holds_fetched(kind: Any) -> bool:
    """Whether a list, struct, map or union has anywhere inside what Python does not have."""
    if kind.id not in _NESTED:
        return False
    inside = [child for _, child in kind.children if hasattr(child, "id")]  # an array's size is none
    return any((child.id in _FETCHED and child.id != "float") or _holds_fetched(child) for child in inside)


def _first_lines(error: Exception) -> str:
    """DuckDB's words without the excerpt of the query that follows a blank line."""
    return " ".join(str(error).split("\n\n")[0].split())

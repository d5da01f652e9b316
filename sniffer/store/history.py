"""The whole of a table: its recent rows in the database and its sealed rows in Parquet files, joined by views.

`_sniffer.sealed` lists the files, relative to the database's folder; the views name exactly those, with absolute paths. All
functions work on the current database of `connection`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from sniffer.store.schema import TABLES

KEYS: Final = {"connections": "connection_id", "orders": "key"}
"""Tables whose sealed rows may be superseded by later ones, and their keys."""
_ORDER_COLUMNS: Final = slice(1, 24)
"""Of the columns of `_sniffer.orders`, those for users; the rest is the fold's."""
_BY_TIME: Final = frozenset({"messages", "order_events", "fill_events"})
"""Tables whose rows all have the time that `_sniffer.sealed` knows of their files: `captured_at`."""
_DAY: Final = 86_400_000_000_000
_LAST_DAY: Final = f"coalesce(epoch_ns(max_time) >= (SELECT epoch_ns(newest) - {_DAY} FROM _sniffer.state), true)"
"""Of files: those with rows of the newest 24 hours."""


def listed(connection: duckdb.DuckDBPyConnection, folder: Path, table: str | None = None, where: str = "true") -> list[str]:
    """Absolute paths of the files of one table or of all; `where` is a condition on `_sniffer.sealed`."""
    rows = connection.execute(
        f"SELECT file FROM _sniffer.sealed WHERE table_name = coalesce(?, table_name) AND ({where}) ORDER BY file", [table]
    ).fetchall()
    return [str(folder / file) for (file,) in rows]


def sealed_rows(connection: duckdb.DuckDBPyConnection, folder: Path, table: str, where: str = "true") -> str | None:
    """SQL for the sealed rows of a table that no later row supersedes, with the column `batch`; None: there is no file."""
    files = listed(connection, folder, table, where)
    if not files:
        return None
    sql = f"SELECT * FROM {read_parquet(files)}"
    if key := KEYS.get(table):
        gone = f"SELECT key AS {key}, batch FROM _sniffer.superseded WHERE table_name = '{table}'"
        sql += f" ANTI JOIN ({gone}) USING ({key}, batch)"
    return sql


def make_views(connection: duckdb.DuckDBPyConnection, folder: Path, schemas: dict[str, pa.Schema]) -> None:
    """Make the tables' views, over the recent rows and the files that are listed now. `schemas` are without `batch`.

    Of a table by time the files of the last day stand apart, and what is older says until when it goes: so who asks for
    the last minute opens none of that. (At 100 million rows the heads of all files took 110 ms.)
    """
    for table in TABLES:
        wheres = (_LAST_DAY, f"NOT ({_LAST_DAY})") if table in _BY_TIME else ("true",)
        _make_view(connection, folder, f"main.{table}", table, ", ".join(schemas[table].names), *wheres)
    columns = ", ".join(schemas["orders"].names[_ORDER_COLUMNS])
    columns += ", price::DOUBLE AS price_f, quantity::DOUBLE AS quantity_f"
    _make_view(connection, folder, "main.orders_all", "orders", columns, "true")
    _make_view(connection, folder, "_sniffer.orders_at_hand", "orders", columns, f"open_rows > 0 OR {_LAST_DAY}")


def read_parquet(paths: Iterable[str], *, filename: bool = False) -> str:
    """The table function over exactly these files: DuckDB takes a name as a pattern only if there is no file of that name."""
    names = ", ".join(map(quoted, paths))
    return f"read_parquet([{names}], hive_partitioning = false{', filename = true' if filename else ''})"


def quoted(text: str) -> str:
    """An SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def _make_view(connection: duckdb.DuckDBPyConnection, folder: Path, view: str, table: str, columns: str, *wheres: str) -> None:
    """`wheres`: conditions on `_sniffer.sealed`, each for a part of the files."""
    sql = f"SELECT {columns} FROM _sniffer.{table}"
    for where in wheres:
        if sealed := sealed_rows(connection, folder, table, where):
            sql += f" UNION ALL SELECT {columns} FROM ({sealed})"
            if table in _BY_TIME:
                sql += f" WHERE captured_at <= '{_latest(connection, table, where)}'::TIMESTAMP_NS"
    connection.execute(f"CREATE OR REPLACE VIEW {view} AS {sql}")


def _latest(connection: duckdb.DuckDBPyConnection, table: str, where: str) -> str:
    """The newest time in these files of a table."""
    latest = f"SELECT max(max_time)::VARCHAR FROM _sniffer.sealed WHERE table_name = ? AND ({where})"
    return str(connection.execute(latest, [table]).fetchall()[0][0])

"""The layout of a database: how it is made, and how one is told from any other."""

from __future__ import annotations

import uuid
from importlib import resources
from pathlib import Path
from typing import Final

import duckdb

from sniffer.errors import NotOurDatabase

FORMAT: Final = 4
"""The version of the schema `_sniffer`; it grows when an older sniffer could not use the file."""
EVENTS: Final = ("messages", "order_events", "fill_events", "losses")
"""Tables that only grow."""
TABLES: Final = ("captures", "connections", *EVENTS)
"""The tables of `schema.sql`."""

# Read with the module: whoever gives up root afterwards may not be able to read its files.
_TABLES, _INTERNAL, _VIEWS = (
    resources.files("sniffer.store").joinpath(name).read_text(encoding="utf-8")
    for name in ("schema.sql", "internal.sql", "views.sql")
)


def create(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Make the tables in the current database, which is empty; `folder` will hold its sealed files."""
    connection.execute("CREATE SCHEMA _sniffer; USE _sniffer")
    connection.execute(_TABLES)
    connection.execute(_INTERNAL)
    connection.execute("INSERT INTO state VALUES (?, ?, ?, 0, 1, NULL)", [FORMAT, uuid.uuid4().hex[:12], str(folder)])
    connection.execute("USE main")


def make_fixed_views(connection: duckdb.DuckDBPyConnection) -> None:
    """Make, or make again, what stands over the tables' views: `orders`, `fills`, `candles`."""
    connection.execute(_VIEWS)


def check_ours(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Raise `NotOurDatabase` unless the current database of `connection` is a sniffer's, and not a newer one's."""
    marked = "SELECT 1 FROM duckdb_tables() WHERE database_name = current_database() AND schema_name = '_sniffer'"
    if not connection.execute(marked).fetchall():
        raise NotOurDatabase(f"{path}: holds no sniffer tables; name another database with --db")
    found = connection.execute("SELECT format FROM _sniffer.state").fetchall()[0][0]
    if found > FORMAT:
        raise NotOurDatabase(
            f"{path}: has format {found}, this sniffer knows {FORMAT}; upgrade order-sniffer, or name another --db"
        )


def check_current(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Raise `NotOurDatabase` if the database, a sniffer's, is of an older format: it can be read, and not be gone on with."""
    found = connection.execute("SELECT format FROM _sniffer.state").fetchall()[0][0]
    if found < FORMAT:
        raise NotOurDatabase(
            f"{path}: has format {found}, this sniffer writes {FORMAT}; it can be queried, but name another --db to load into"
        )


def sealed_folder(path: Path) -> Path:
    """Where the sealed files of the database at `path`, an absolute one, are."""
    return path.with_name(path.name + ".d")

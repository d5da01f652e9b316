"""Taking a capture back (`--replace`): its rows go from the recent tables and, by rewriting them, from the sealed files.

An order may have been seen by several captures, so the orders that this one touched are folded anew from the events of others.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from sniffer.model import OrderEvent
from sniffer.store.book import Book
from sniffer.store.history import make_views
from sniffer.store.orders import row
from sniffer.store.rows import exact, insert, to_arrow
from sniffer.store.schema import EVENTS
from sniffer.store.sealed import Sealed

_FETCH: Final = 10_000
"""Events read at a time."""


def remove_capture(
    connection: duckdb.DuckDBPyConnection, sealed: Sealed, folder: Path, schemas: dict[str, pa.Schema], capture_id: str
) -> None:
    """Remove a capture from the attached database, inside a transaction. `schemas` are without `batch`."""
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE gone AS SELECT DISTINCT connection_id FROM main.connections WHERE capture_id = ?",
        [capture_id],
    )
    connection.execute("CREATE OR REPLACE TEMP TABLE ids AS " + _ids("main.order_events SEMI JOIN gone USING (connection_id)"))
    connection.execute("INSERT INTO ids " + _ids(f"main.orders_all WHERE {_TOUCHED}"))
    connection.execute("SET VARIABLE capture = ?", [capture_id])
    of_capture = "connection_id IN (SELECT connection_id FROM gone)"
    conditions = dict.fromkeys((*EVENTS, "connections"), of_capture)
    conditions["losses"] = "capture_id = getvariable('capture')"
    conditions["orders"] = f"{_TOUCHED} OR (order_id IS NULL AND client_order_id IS NULL AND {of_capture})"
    for table, where in conditions.items():
        connection.execute(f"DELETE FROM _sniffer.{table} WHERE {where}")
        sealed.remove(connection, table, where)
    for table in ("captures", "position"):
        connection.execute(f"DELETE FROM _sniffer.{table} WHERE capture_id = ?", [capture_id])
    make_views(connection, folder, schemas)
    _fold_again(connection, schemas)
    newest = " UNION ALL ".join(f"SELECT max(captured_at) AS latest FROM main.{table}" for table in EVENTS if table != "losses")
    connection.execute(f"UPDATE _sniffer.state SET newest = (SELECT max(latest) FROM ({newest}))")
    connection.execute("DROP TABLE temp.gone; DROP TABLE temp.ids")


_TOUCHED: Final = (
    "((venue, order_id) IN (SELECT (venue, id) FROM ids WHERE kind = 'order')"
    " OR (venue, client_order_id) IN (SELECT (venue, id) FROM ids WHERE kind = 'client'))"
)


def _ids(rows: str) -> str:
    """SQL for the order ids and client ids of `rows`."""
    kinds = (("order", "order_id"), ("client", "client_order_id"))
    return " UNION ".join(
        f"SELECT '{kind}' AS kind, venue, id FROM (SELECT venue, {column} AS id FROM {rows}) WHERE id IS NOT NULL"
        for kind, column in kinds
    )


def _fold_again(connection: duckdb.DuckDBPyConnection, schemas: dict[str, pa.Schema]) -> None:
    number, next_key = connection.execute("SELECT batch, next_key FROM _sniffer.state").fetchall()[0]
    strategies = dict(connection.execute("SELECT connection_id, strategy FROM main.connections").fetchall())
    book = Book(next_key)
    columns = exact(schemas["order_events"])
    found = connection.execute(
        f"SELECT {columns} FROM main.order_events WHERE {_TOUCHED} ORDER BY captured_at, connection_id, position, item"
    )
    while rows := found.fetchmany(_FETCH):
        book.fold((OrderEvent(*values) for values in rows), strategies)
    if book.changed:
        orders = to_arrow("orders", schemas["orders"], [row(order) for order in book.changed.values()])
        insert(connection, "orders", orders, number)
    connection.execute("UPDATE _sniffer.state SET next_key = ?", [book.next_key])

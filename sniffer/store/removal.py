"""Taking rows back: a whole capture (`--replace`), or what a capture's end brought forth when it goes on after all.

The rows go from the recent tables and, by rewriting them, from the sealed files. Other events may have made the same orders, so
the orders that the rows touched are folded anew from what is left.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from sniffer.model import OrderEvent
from sniffer.store.book import Book
from sniffer.store.history import make_views, sealed_rows
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
    connection.execute("SET VARIABLE capture = ?", [capture_id])
    where = dict.fromkeys((*EVENTS, "connections"), "connection_id IN (SELECT connection_id FROM gone)")
    where["losses"] = "capture_id = getvariable('capture')"
    touch(connection, sealed, f"main.order_events WHERE {where['order_events']}")
    remove(connection, sealed, where)
    for table in ("captures", "position"):
        connection.execute(f"DELETE FROM _sniffer.{table} WHERE capture_id = ?", [capture_id])
    make_views(connection, folder, schemas)
    fold_again(connection, schemas)
    newest = " UNION ALL ".join(f"SELECT max(captured_at) AS latest FROM main.{table}" for table in EVENTS if table != "losses")
    connection.execute(f"UPDATE _sniffer.state SET newest = (SELECT max(latest) FROM ({newest}))")
    connection.execute("DROP TABLE temp.gone")


def withdraw(
    connection: duckdb.DuckDBPyConnection, sealed: Sealed, folder: Path, schemas: dict[str, pa.Schema], number: int
) -> None:
    """Remove the events that append `number` brought, inside a transaction; connections stay. `schemas` are without `batch`."""
    events = f"SELECT * FROM _sniffer.order_events WHERE batch = {number}"
    if rows := sealed_rows(connection, folder, "order_events", f"max_batch >= {number}"):
        events += f" UNION ALL {rows} WHERE batch = {number}"
    touch(connection, sealed, f"({events})")
    remove(connection, sealed, dict.fromkeys(EVENTS, f"batch = {number}"), f"max_batch >= {number}")
    make_views(connection, folder, schemas)
    fold_again(connection, schemas)


_BY_ID: Final = (
    "((venue, order_id) IN (SELECT (venue, id) FROM ids WHERE kind = 'order')"
    " OR (venue, client_order_id) IN (SELECT (venue, id) FROM ids WHERE kind = 'client'))"
)
_BY_REQUEST: Final = (
    "(order_id IS NULL AND client_order_id IS NULL AND request_id IS NOT NULL"
    " AND (connection_id, request_id) IN (SELECT (connection_id, request_id) FROM touched))"
)
_TOUCHED: Final = f"({_BY_ID} OR {_BY_REQUEST})"
"""Orders that have events among those that go, and all events of those orders."""


def touch(connection: duckdb.DuckDBPyConnection, sealed: Sealed, events: str) -> None:
    """Note what tells the orders of `events` (SQL for rows): their ids, the requests that made them, and their beginning."""
    columns = "venue, connection_id, request_id, order_id, client_order_id"
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE touched AS"
        f" SELECT {columns}, NULL::VARCHAR AS former_client_order_id, captured_at AS since FROM {events}"
    )
    connection.execute("CREATE OR REPLACE TEMP TABLE ids AS " + _ids("temp.touched"))
    columns += ", former_client_order_id, first_at AS since"
    orders = f"SELECT {columns} FROM _sniffer.orders WHERE {_TOUCHED}"
    if rows := sealed.rows(connection, "orders"):
        orders += f" UNION ALL SELECT {columns} FROM ({rows}) WHERE {_TOUCHED}"
    more = [(1,)]
    while more != [(0,)]:  # an order has ids that its events do not all name, and other orders have one of those
        connection.execute(f"INSERT INTO touched {orders}")
        more = connection.execute(f"INSERT INTO ids {_ids('temp.touched')} EXCEPT FROM ids").fetchall()
    connection.execute("SET VARIABLE since = (SELECT min(since) FROM touched)")


def remove(connection: duckdb.DuckDBPyConnection, sealed: Sealed, where: dict[str, str], files: str = "true") -> None:
    """Delete the rows for which `where` is true, table by table, and the touched orders.

    `files`: which sealed files of events can hold such rows, a condition on `_sniffer.sealed`.
    """
    for table, condition in where.items():
        connection.execute(f"DELETE FROM _sniffer.{table} WHERE {condition}")
        sealed.remove(connection, table, condition, files if table in EVENTS else "true")
    connection.execute(f"DELETE FROM _sniffer.orders WHERE {_TOUCHED}")
    sealed.remove(connection, "orders", _TOUCHED)


def _ids(rows: str) -> str:
    """SQL for the order ids and client ids of `rows`."""
    kinds = (("order", "order_id"), ("client", "client_order_id"), ("client", "former_client_order_id"))
    return " UNION ".join(
        f"SELECT '{kind}' AS kind, venue, id FROM (SELECT venue, {column} AS id FROM {rows}) WHERE id IS NOT NULL"
        for kind, column in kinds
    )


def fold_again(connection: duckdb.DuckDBPyConnection, schemas: dict[str, pa.Schema]) -> None:
    """Make the touched orders anew from the events that are there now."""
    number, next_key = connection.execute("SELECT batch, next_key FROM _sniffer.state").fetchall()[0]
    strategies = dict(connection.execute("SELECT connection_id, strategy FROM main.connections").fetchall())
    book = Book(next_key)
    columns = exact(schemas["order_events"])
    found = connection.execute(
        f"SELECT {columns} FROM main.order_events WHERE captured_at >= getvariable('since') AND {_TOUCHED}"
        " ORDER BY captured_at, connection_id, position, item"
    )
    while rows := found.fetchmany(_FETCH):
        book.fold((OrderEvent(*values) for values in rows), strategies)
    if book.changed:
        orders = to_arrow("orders", schemas["orders"], [row(order) for order in book.changed.values()], number)
        insert(connection, "_sniffer.orders", orders)
    connection.execute("UPDATE _sniffer.state SET next_key = ?", [book.next_key])
    connection.execute("DROP TABLE temp.ids; DROP TABLE temp.touched")

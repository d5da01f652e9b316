"""Rows that change in place: connections and orders. Recent ones are replaced in the file, sealed ones are superseded."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

from sniffer.model import ConnectionRow, OrderEvent
from sniffer.store.book import SETTLED, Book, Missing
from sniffer.store.history import quoted, sealed_rows
from sniffer.store.orders import Order, row
from sniffer.store.rows import exact, insert, to_arrow

_CLOCKS: Final = 1_000_000_000
"""How much earlier (ns) than its first sighting here an order may have been seen at another place."""
_ASKED: Final = 1_000
"""Ids that stand in a query; it is parsed each time."""


class Current:
    """What of connections and orders is at hand, as the attached file holds it. `schemas` are without `batch`."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, folder: Path, schemas: dict[str, pa.Schema]) -> None:
        self._folder = folder
        self._schemas = schemas
        self._order_columns = exact(schemas["orders"])
        newest, next_key = connection.execute("SELECT coalesce(epoch_ns(newest), 0), next_key FROM _sniffer.state").fetchall()[
            0
        ]
        self.reload_connections(connection)
        at_hand = f"is_open IS NOT false OR epoch_ns(updated_at) > {newest - SETTLED}"
        left_until, open_left = connection.execute(
            "SELECT epoch_ns(max(latest)), coalesce(sum(open_rows), 0) > 0"
            f" FROM (SELECT max(updated_at) AS latest, 0 AS open_rows FROM _sniffer.orders WHERE NOT ({at_hand})"
            " UNION ALL SELECT max(max_time), sum(open_rows) FROM _sniffer.sealed WHERE table_name = 'orders')"
        ).fetchall()[0]
        self.book = Book(next_key, left_until, open_left)
        orders = f"SELECT {self._order_columns} FROM _sniffer.orders WHERE {at_hand} ORDER BY updated_at"
        for values in connection.execute(orders).fetchall():
            self.book.admit(Order(*values))
        self.book.leave(newest)

    def reload_connections(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Learn again which connections are in the file itself."""
        self._strategies: dict[int, str | None] = dict(
            connection.execute("SELECT connection_id, strategy FROM _sniffer.connections").fetchall()
        )
        self._sealed_until: int | None = connection.execute(
            "SELECT epoch_ns(max(max_time)) FROM _sniffer.sealed WHERE table_name = 'connections'"
        ).fetchall()[0][0]

    def put_connections(self, connection: duckdb.DuckDBPyConnection, rows: Sequence[ConnectionRow], number: int) -> None:
        """Replace or add connections; orders follow a strategy that becomes known."""
        latest = {one.connection_id: one for one in rows}
        if not latest:
            return
        given = to_arrow("connections", self._schemas["connections"], list(latest.values()), number)
        ids = list(latest)
        connection.execute("DELETE FROM _sniffer.connections WHERE connection_id IN (SELECT unnest(?))", [ids])
        insert(connection, "_sniffer.connections", given)
        until = self._sealed_until
        if until is not None and any(one.opened_at <= until and one.connection_id not in self._strategies for one in rows):
            connection.execute(
                "INSERT INTO _sniffer.superseded SELECT 'connections', connection_id, batch"
                f" FROM ({sealed_rows(connection, self._folder, 'connections')}) WHERE connection_id IN (SELECT unnest(?))",
                [ids],
            )
        named = {
            key: one.strategy
            for key, one in latest.items()
            if one.strategy is not None and self._strategies.get(key) != one.strategy
        }
        self.book.name_strategies(named)
        self._strategies.update((key, one.strategy) for key, one in latest.items())

    def put_orders(self, connection: duckdb.DuckDBPyConnection, events: Sequence[OrderEvent], number: int) -> int:
        """Fold events and write the orders that changed; how many did is returned."""
        book = self.book
        in_time = sorted(events, key=attrgetter("captured_at"))
        if missing := book.missing(in_time):
            self._fetch(connection, missing)
        first = book.next_key
        book.fold(in_time, self._strategies)
        stale = [key for key in (*book.changed, *book.dropped) if key < first]
        if stale:
            connection.execute("DELETE FROM _sniffer.orders WHERE key IN (SELECT unnest(?))", [stale])
        for key in stale:
            if (batch := book.sealed_batch.pop(key, None)) is not None:
                connection.execute("INSERT INTO _sniffer.superseded VALUES ('orders', ?, ?)", [key, batch])
        if book.changed:
            changed = to_arrow("orders", self._schemas["orders"], [row(order) for order in book.changed.values()], number)
            insert(connection, "_sniffer.orders", changed)
        count = len(book.changed)
        book.changed.clear()
        book.dropped.clear()
        return count

    def _fetch(self, connection: duckdb.DuckDBPyConnection, missing: Missing) -> None:
        """Put the orders at hand that a batch may be about and that stand in the tables only."""
        sealed = sealed_rows(connection, self._folder, "orders")
        venues, order_ids = list(zip(*missing.order_ids, strict=True)) or ((), ())
        by_order_id = pa.table({"venue": pa.array(venues, pa.string()), "order_id": pa.array(order_ids, pa.string())})
        venues, client_ids, times = list(zip(*missing.client_ids, strict=True)) or ((), (), ())
        by_client_id = pa.table(
            {
                "venue": pa.array(venues, pa.string()),
                "client_order_id": pa.array(client_ids, pa.string()),
                "seen_at": pa.array(times, pa.timestamp("ns")),
            }
        )
        columns = f"{self._order_columns}, sealed_batch"

        def stored(column: str, ids: Sequence[str]) -> str:
            source = "SELECT *, NULL::BIGINT AS sealed_batch FROM _sniffer.orders"
            if sealed:
                source += f" UNION ALL SELECT *, batch AS sealed_batch FROM ({sealed}) WHERE {_is_one_of(column, ids)}"
            return source

        found: dict[int, tuple[Any, ...]] = {}
        for sql, given in (
            (
                f"SELECT {columns} FROM ({stored('order_id', order_ids)}) SEMI JOIN given USING (venue, order_id)",
                by_order_id,
            ),
            (
                f"SELECT {columns} FROM ({stored('client_order_id', client_ids)}) JOIN given USING (venue, client_order_id)"
                f" WHERE epoch_ns(first_at) <= epoch_ns(seen_at) + {_CLOCKS}"
                " QUALIFY row_number() OVER (PARTITION BY venue, client_order_id, account, symbol, seen_at"
                " ORDER BY first_at DESC) = 1",
                by_client_id,
            ),
        ):
            if given.num_rows:
                connection.register("given", given)
                found.update((values[0], values) for values in connection.execute(sql).fetchall())
                connection.unregister("given")
        for key, values in sorted(found.items()):
            if key not in self.book:
                self.book.admit(Order(*values[:-1]), values[-1])


def _is_one_of(column: str, ids: Sequence[str]) -> str:
    """A condition that Parquet's Bloom filters answer (a join asks them nothing), so that few row groups are read.

    Measured, 2,000,000 sealed orders: an id that is in none of them takes 6 ms instead of 127, a hundred 35 instead of 241.
    Where there are too many ids, or odd ones, the join that follows is left to itself.
    """
    if len(ids) > _ASKED or not all(map(str.isprintable, ids)):
        return "true"
    return f"{column} IN ({', '.join(map(quoted, sorted(set(ids))))})"

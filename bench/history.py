"""A database with a long history: does a publish stay small, and do a monitor's queries stay quick?

The first rows come from a replay, so the store wrote and sealed them; older days are copies of them, in files of the same form
that the store is told of, and takes as its own when it opens the database.
"""

from __future__ import annotations

import time
from decimal import Decimal
from pathlib import Path
from typing import Final

import duckdb

from bench.captures import Workload, capture
from bench.options import Options
from bench.processes import run
from bench.report import Figure, load, median, spread
from bench.runners import SNIFFER, scratch
from sniffer.config import SECOND
from sniffer.model import Batch, MessageRow, OrderEvent, Position
from sniffer.store.sealed import copy_statement
from sniffer.store.store import Store

ROWS: Final = (1_000_000, 10_000_000, 100_000_000)
"""Of all tables together."""
A_DAY: Final = 1_000_000
"""Rows of a day's files."""
LATER: Final = 1.2
"""A publish with the longest history takes at most so many times one with the shortest."""
QUERY: Final = 0.1
"""Seconds of a query at most, connecting included."""
EVENTS: Final = 200
"""Order events that are published at a time: what a second brings."""
_TABLES: Final = ("messages", "order_events", "fill_events", "orders")
_ID: Final = "SELECT database_id FROM _sniffer.state"
_COPIED: Final = "contains(file, '-copy')"
_ONE: Final = Decimal("1.5")
_NONE: Final = Decimal(0)
QUERIES: Final = {
    "the last minute": "SELECT * FROM order_events WHERE captured_at >= make_timestamp_ns({newest} - 60_000_000_000)",
    "open orders": "SELECT * FROM orders WHERE is_open",
}


def figure(options: Options) -> Figure:
    most = options.rows or (5_000 if options.quick else 10_000_000)
    sizes = [5_000] if options.quick else [rows for rows in ROWS if rows <= most]
    times = 3 if options.quick else 15
    rows: list[list[str]] = []
    raw: dict[str, dict[str, list[float]]] = {}
    with scratch() as folder:
        database = folder / "orders.duckdb"
        seed = capture(Workload(1_000 if options.quick else 100_000, order_share=1.0, rate=200.0), options.cache)
        run([SNIFFER, "replay", seed.path, "--db", database])
        for size in sizes:
            held = lengthen(database, size)
            opening, published = publishes(database, times)
            found = {"load": [load()], "opening": [opening], "publish": published}
            newest = _newest(database)
            for name, query in QUERIES.items():
                found[name] = [_asked(database, query.format(newest=newest)) for _ in range(times)]
            raw[f"{held}"] = found
            stored = sum(path.stat().st_size for path in folder.rglob("*.parquet")) / 1e6
            cells = [_milliseconds(found[name]) for name in ("publish", *QUERIES)]
            rows.append([f"{held:,}", f"{stored:,.0f} MB", *cells, f"{median(found['opening']):.2f} s"])
    publish = [median(found["publish"]) for found in raw.values()]
    asked = max(median(found[name]) for found in raw.values() for name in QUERIES)
    later = publish[-1] / publish[0]
    return Figure(
        name="History",
        goal=f"a publish takes at most {LATER} times as long with the longest history; queries under {QUERY * 1000:.0f} ms",
        found=f"{later:.2f} times; {asked * 1000:.0f} ms at most",
        met=None if options.quick else later <= LATER and asked < QUERY,
        columns=["rows of history", "sealed files", f"publish of {EVENTS} events", *QUERIES, "opening for writing"],
        rows=rows,
        raw={"history": raw},
    )


def lengthen(database: Path, rows: int) -> int:
    """Put days before those that the database has until it holds so many rows; how many it holds then is returned."""
    with duckdb.connect(str(database)) as connection:
        folder, database_id = _one(connection, "SELECT folder FROM _sniffer.state"), _one(connection, _ID)
        for table in _TABLES:
            where = "WHERE NOT is_open" if table == "orders" else ""
            files = connection.execute(f"SELECT file FROM _sniffer.sealed WHERE table_name = '{table}' AND NOT {_COPIED}")
            names = [f"'{folder}/{file}'" for (file,) in files.fetchall()]
            stored = f"SELECT * FROM _sniffer.{table}"
            if names:
                stored += f" UNION ALL SELECT * FROM read_parquet([{', '.join(names)}], hive_partitioning = false)"
            connection.execute(f"CREATE TEMP TABLE seed_{table} AS SELECT * FROM ({stored}) {where}")
        seed = sum(int(_one(connection, f"SELECT count(*) FROM seed_{table}")) for table in _TABLES)
        held = seed + int(_one(connection, f"SELECT coalesce(sum(rows), 0)::BIGINT FROM _sniffer.sealed WHERE {_COPIED}"))
        day = int(_one(connection, f"SELECT count(*) FROM _sniffer.sealed WHERE {_COPIED} AND table_name = 'messages'"))
        while held < rows:
            day += 1
            copies = -(-min(A_DAY, rows - held) // seed)
            held += sum(_copy(connection, table, Path(folder), f"{database_id}-copy{day}", day, copies) for table in _TABLES)
    return held


def _copy(connection: duckdb.DuckDBPyConnection, table: str, folder: Path, name: str, day: int, copies: int) -> int:
    """The rows of a table once more, `copies` times behind each other, so many days ago, with ids of their own."""
    columns = connection.execute(
        "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ? AND database_name = 'temp'", [f"seed_{table}"]
    ).fetchall()
    number = f"({day * 1000} + copy)"
    back = f"({day} * 86_400_000_000_000 + copy * 600_000_000_000)"
    made = [f"make_timestamp_ns(epoch_ns({one}) - {back}) AS {one}" for one, kind in columns if kind == "TIMESTAMP_NS"]
    made += [f"{one} || '-' || {number} AS {one}" for one, _ in columns if one in ("order_id", "client_order_id", "trade_id")]
    made += [f"key + {number} * 10_000_000 AS key"] * (table == "orders")
    when = "updated_at" if table == "orders" else "captured_at"
    rows = f"SELECT seed_{table}.* REPLACE ({', '.join(made)}) FROM seed_{table}, range({copies}) AS copies(copy)"
    date = _one(connection, f"SELECT strftime(make_timestamp(epoch_ns(min({when})) // 1000), '%Y-%m-%d') FROM ({rows})")
    file = f"{table}/date={date}/{name}.parquet"
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    connection.execute(copy_statement(table, f"{rows} ORDER BY {when}", folder / file))
    opened = "0" if table == "orders" else "NULL"
    connection.execute(
        f"INSERT INTO _sniffer.sealed SELECT '{table}', '{file}', count(*), max(batch), max({when}), {opened}"
        f" FROM read_parquet('{folder / file}', hive_partitioning = false)"
    )
    return int(_one(connection, f"SELECT rows FROM _sniffer.sealed WHERE file = '{file}'"))


def publishes(database: Path, times: int) -> tuple[float, list[float]]:
    """Seconds until a recording has opened the database, and of each publish of `EVENTS` order events then."""
    found = []
    newest = _newest(database)
    begun = time.perf_counter()
    with Store(database, live=True) as store:
        opening = time.perf_counter() - begun
        for number in range(1, times + 1):
            now = newest + number * SECOND
            store.append(batch(now, now - SECOND if number > 1 else None), Position("bench", number, False, ("bench",)))
            begun = time.perf_counter()
            store.publish()
            found.append(time.perf_counter() - begun)
    return opening, found


def batch(now: int, before: int | None) -> Batch:
    """A second's worth: half are the birth of an order, half the fill of one that was born at `before`."""
    found = Batch()
    half = EVENTS // 2
    for item in range(half if before is None else 0, EVENTS):
        fills = item < half
        at, name = now + item, f"{before if fills else now}-{item % half}"
        status, filled = ("FILLED", _ONE) if fills else ("NEW", _NONE)
        event = OrderEvent(
            connection_id=1,
            sender="server",
            position=at,
            item=0,
            captured_at=at,
            exchange_time=at,
            venue="binance-spot",
            account=None,
            symbol="BTCUSDT",
            kind="update",
            action=None,
            request_id=None,
            client_order_id=f"c{name}",
            order_id=name,
            side="buy",
            order_type="limit",
            time_in_force="gtc",
            status=status,
            status_raw=status,
            price=_ONE,
            stop_price=None,
            quantity=_ONE,
            quantity_unit="base",
            filled_quantity=filled,
            average_price=None,
            reason=None,
        )
        found.order_events.append(event)
        payload = "{" + " " * 500 + "}"
        found.messages.append(
            MessageRow(1, "server", at, at, at, "text", None, None, None, payload, None, event.venue, "update")
        )
    return found


def _asked(database: Path, query: str) -> float:
    """Seconds until a client that has just come has the whole answer, as Arrow: rows as Python objects would cost it more."""
    begun = time.perf_counter()
    with duckdb.connect(str(database), read_only=True) as connection:
        connection.sql(query).to_arrow_table()
    return time.perf_counter() - begun


def _newest(database: Path) -> int:
    with duckdb.connect(str(database), read_only=True) as connection:
        return int(_one(connection, "SELECT epoch_ns(newest) FROM _sniffer.state"))


def _one(connection: duckdb.DuckDBPyConnection, query: str) -> str:
    """The first column of the only row, as text."""
    row = connection.execute(query).fetchone()
    assert row is not None
    return str(row[0])


def _milliseconds(seconds: list[float]) -> str:
    return spread([1000 * one for one in seconds], "ms")

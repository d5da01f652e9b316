"""Ways of saving without a server: in the strategy's process, or in memory that it shares with another."""

from __future__ import annotations

import contextlib
import mmap
import queue
import sqlite3
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from bench.cost.job import Job
from bench.cost.saving import Order, Save
from bench.processes import Background

WRITE_SECONDS: Final = 0.002
"""The write that blocks: a commit on a good disk, or a round trip to a server near by."""
TABLE: Final = "CREATE TABLE orders (exchange_id INTEGER, order_id INTEGER)"
INSERT: Final = "INSERT INTO orders VALUES (?, ?)"
SELECT: Final = "SELECT exchange_id, order_id FROM orders"
RECORD: Final = struct.Struct("=qq")
HEAD: Final = struct.Struct("=q")
"""At the beginning of the shared memory: how many records are whole."""


def behind(save: Callable[[int, int], None]) -> Save:
    """The same call in a coroutine that the handler awaits: no thread, so it holds up all strategies just as before."""

    async def later(exchange: int, order: int) -> None:
        save(exchange, order)

    return Save(later=later)


def write(exchange: int, order: int) -> None:
    """Keeps nothing."""
    time.sleep(WRITE_SECONDS)


async def blocking(job: Job) -> Save:
    return Save(now=write)


async def blocking_async(job: Job) -> Save:
    return behind(write)


def sqlite_commit(job: Job) -> Callable[[int, int], None]:
    """`sqlite3` as it comes: a rollback journal, and each commit on the disk before it returns."""
    database = sqlite3.connect(job.folder / "orders.sqlite")
    database.execute(TABLE)

    def save(exchange: int, order: int) -> None:
        database.execute(INSERT, (exchange, order))
        database.commit()

    return save


async def sqlite(job: Job) -> Save:
    return Save(now=sqlite_commit(job))


async def sqlite_async(job: Job) -> Save:
    return behind(sqlite_commit(job))


async def aiosqlite(job: Job) -> Save:
    """The same commits in aiosqlite's thread; the handler waits for its own."""
    import aiosqlite

    database = await aiosqlite.connect(job.folder / "orders.sqlite")
    await database.execute(TABLE)

    async def save(exchange: int, order: int) -> None:
        await database.execute(INSERT, (exchange, order))
        await database.commit()

    return Save(later=save)


async def thread(job: Job) -> Save:
    """A queue to a thread, which commits whatever has come since its last commit; the handler does not wait."""
    orders: queue.SimpleQueue[Order] = queue.SimpleQueue()

    def commit() -> None:
        database = sqlite3.connect(job.folder / "orders.sqlite")
        database.execute(TABLE)
        while True:
            batch = [orders.get()]
            while not orders.empty():
                batch.append(orders.get())
            database.executemany(INSERT, batch)
            database.commit()

    threading.Thread(target=commit, daemon=True).start()
    return Save(now=lambda exchange, order: orders.put((exchange, order)))


def sqlite_saved(job: Job) -> set[Order]:
    with contextlib.closing(sqlite3.connect(job.folder / "orders.sqlite")) as database:
        try:
            return set(database.execute(SELECT))
        except sqlite3.OperationalError:  # killed before the table was made
            return set()


async def file(job: Job) -> Save:
    """A line appended with one system call each, never synced: it survives the process, not a power cut."""
    lines = (job.folder / "orders.txt").open("ab", buffering=0)

    def save(exchange: int, order: int) -> None:
        lines.write(b"%d:%d\n" % (exchange, order))

    return Save(now=save)


def file_saved(job: Job) -> set[Order]:
    return {_pair(line) for line in (job.folder / "orders.txt").read_text().splitlines()}


def _pair(line: str) -> Order:
    exchange, _, order = line.partition(":")
    return int(exchange), int(order)


async def shared(job: Job) -> Save:
    """Records appended to a file that is mapped into memory, then their count: two stores, no system call."""
    with (job.folder / "orders.shared").open("r+b") as mapped:
        memory = mmap.mmap(mapped.fileno(), 0)
    count = 0

    def save(exchange: int, order: int) -> None:
        nonlocal count
        RECORD.pack_into(memory, HEAD.size + count * RECORD.size, exchange, order)
        count += 1
        HEAD.pack_into(memory, 0, count)

    return Save(now=save)


@contextlib.contextmanager
def follower(job: Job) -> Iterator[int]:
    """The process that reads the shared memory and saves what it finds (`bench.cost.follower`)."""
    with (job.folder / "orders.shared").open("wb") as mapped:
        mapped.truncate(HEAD.size + job.workload.total * RECORD.size)
    with Background([sys.executable, "-m", "bench.cost.follower", job.text()]) as running:
        running.wait_for("following")
        yield running.process.pid


async def duckdb(job: Job) -> Save:
    """A database file of DuckDB in the strategy's process, an insert and commit each."""
    import duckdb

    database = duckdb.connect(str(job.folder / "orders.duckdb"))
    database.execute(TABLE)

    def save(exchange: int, order: int) -> None:
        database.execute(INSERT, (exchange, order))

    return Save(now=save)


def duckdb_saved(job: Job) -> set[Order]:
    import duckdb

    with duckdb.connect(str(job.folder / "orders.duckdb")) as database:
        return set(database.execute(SELECT).fetchall())

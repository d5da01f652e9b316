"""The writer of a database: appends batches to a private file and publishes copies of it.

What a batch brings and the position that it brings the loader to are one transaction, and a publish is one rename: a reader
never sees rows without their position, nor a position without its rows.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from sniffer.errors import NotOurDatabase, StoreError
from sniffer.model import Batch, Position
from sniffer.store.current import Current
from sniffer.store.files import Files
from sniffer.store.history import make_views
from sniffer.store.interrupts import uninterrupted
from sniffer.store.private import Private
from sniffer.store.removal import remove_capture, withdraw
from sniffer.store.rewrite import Rewrite, Rewritten
from sniffer.store.rows import insert, schemas, to_arrow
from sniffer.store.schema import EVENTS, check_current, check_ours, create, make_fixed_views
from sniffer.store.sealed import BYTES, ROWS, Sealed


class Store:
    """One database, open for writing; one process at a time.

    `live`: while the store is open its published file is read-only (0440), and it is there from the start; `group` may read
    it. Either way the file is its user's when the store has been closed.

    Every method raises `StoreError`, one line, when the disk, the permissions or someone else's hand forbid the work. What was
    appended before stays, and the call may be repeated; if what was not yet published is gone, every call says so until
    `position` has been asked where to go on. `NotOurDatabase`: no sniffer wrote the file, or a newer one did.
    """

    def __init__(self, path: Path, *, live: bool = False, group: str | None = None) -> None:
        self._live = live
        self._files = Files(path, group)
        self._closed = False
        self._changed = False
        self._found: str | None = None
        self._number = 0  # of the latest append
        self._newest = 0  # wire time (ns) of the newest row
        self._rows = 0  # that are not sealed yet, and about how many bytes they are
        self._bytes = 0
        self._gone = False  # rows that had been appended, and nobody knows yet
        self._positions: dict[str, Position] = {}
        self._schemas: dict[str, pa.Schema] = {}
        self._sealed: Sealed
        self._current: Current
        self._private = Private(self._files)
        try:
            with uninterrupted(), self._private.errors():
                self._open()
        except BaseException:
            self._private.connection.close()
            self._files.release()
            raise

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def position(self, fingerprint: Sequence[str]) -> Position | None:
        """How far the capture that begins with these packets has been loaded; None: it is new.

        `fingerprint` holds digests of the first 1, 2, ... packets. It matches a stored one if they agree on as many packets
        as both have; of several, the one that agrees on the most.
        """
        if self._private.failed:
            with self._private.errors():
                self._catch_up()
        self._gone = False
        found, agreed = None, 0
        for position in self._positions.values():
            shared = min(len(fingerprint), len(position.fingerprint))
            if shared > agreed and fingerprint[shared - 1] == position.fingerprint[shared - 1]:
                found, agreed = position, shared
        return found

    @uninterrupted()
    def append(self, batch: Batch, position: Position) -> None:
        """Add `batch` and move to `position`, in one transaction. Readers see it, and it is durable, after `publish`.

        A `complete` position: the batch holds what only the capture's end brings forth. A further append takes its events back.
        """
        number = self._number + 1
        rows = {table: getattr(batch, table) for table in EVENTS}
        arrow = {table: to_arrow(table, self._schemas[table], values) for table, values in rows.items() if values}
        times = [one.captured_at for table, values in rows.items() if table != "losses" for one in values]
        with self._transaction() as connection:
            if self._number == number:  # the same append before, whose commit failed after all was on disk
                return
            newest = max(self._newest, max(times, default=0))
            before = self._positions.get(position.capture_id)
            if before is not None and before.complete:
                self._withdraw(connection, position.capture_id)
            for table, values in arrow.items():
                insert(connection, table, values, number)
            if batch.capture is not None:
                connection.execute("DELETE FROM _sniffer.captures WHERE capture_id = ?", [batch.capture.capture_id])
                connection.execute(
                    "INSERT INTO _sniffer.captures VALUES (?, ?, make_timestamp_ns(?), make_timestamp_ns(?), ?, ?, ?, ?)",
                    [*batch.capture, number],
                )
            self._current.put_connections(connection, batch.connections, number)
            orders = self._current.put_orders(connection, batch.order_events, number)
            if before is not None and before.fingerprint == position.fingerprint:
                connection.execute(
                    "UPDATE _sniffer.position SET packets = ?, complete = ?, ticked = ?, keyless = ?, batch = ? "
                    "WHERE capture_id = ?",
                    [position.packets, position.complete, position.ticked, position.keyless, number, position.capture_id],
                )
            else:
                connection.execute("DELETE FROM _sniffer.position WHERE capture_id = ?", [position.capture_id])
                connection.execute("INSERT INTO _sniffer.position VALUES (?, ?, ?, ?, ?, ?, ?)", [*position, number])
            connection.execute(
                "UPDATE _sniffer.state SET batch = ?, next_key = ?, newest = make_timestamp_ns(?)",
                [number, self._current.book.next_key, newest or None],
            )
        self._number, self._newest = number, newest
        self._positions[position.capture_id] = position
        self._changed = True
        self._current.book.leave(newest)
        self._rows += sum(map(len, rows.values())) + len(batch.connections) + orders
        self._bytes += sum(values.nbytes for values in arrow.values())
        if self._rows >= ROWS or self._bytes >= BYTES:
            with contextlib.suppress(StoreError):  # the append itself is done; the next publish will say what is wrong
                self._seal()

    @uninterrupted()
    def publish(self) -> None:
        """Let readers see what was appended: copy the private file, sync the copy, rename it over the published one."""
        if self._changed:
            self._publish()

    @uninterrupted()
    def watch(self) -> str | None:
        """Look for a foreign `.wal`, writer or file; call it every 100 ms or less. A line about what was found and undone."""
        found = self._files.check()
        if found is not None:
            self._publish()
        found, self._found = found or self._found, None
        return found

    @uninterrupted()
    def remove(self, capture_id: str) -> None:
        """Take back everything that came from a capture, in sealed files too. Orders that others saw too are folded anew."""
        with self._transaction() as connection:
            remove_capture(connection, self._sealed, self._files.folder, self._schemas, capture_id)
            self._load()
        self._changed = True

    def rewrite(self, work: Callable[[Rewrite], None]) -> Rewritten:
        """Let `work` make events anew from the stored messages, and put them in the place of the old ones, in one transaction.

        Where nothing differs, nothing is written. Readers see what changed after `publish`.
        """
        with self._transaction() as connection:
            rewriting = Rewrite(connection, self._sealed, self._files.folder, self._schemas)
            work(rewriting)
            done = rewriting.finish()
            if done:
                self._load()
        self._changed = self._changed or bool(done)
        return done

    @uninterrupted()
    def close(self) -> None:
        """Publish what is left, and leave the file to its user, writable. The store is of no use afterwards."""
        if self._closed:
            return
        self._closed, self._live = True, False
        try:
            self.publish()
        finally:
            self._private.connection.close()
            self._files.release()

    def _open(self) -> None:
        adopted = self._files.adopt()
        had_wal = adopted and self._files.has_wal()
        try:
            self._private.attach()
        except duckdb.Error as error:
            if not had_wal:
                raise NotOurDatabase(
                    f"{self._files.path}: {self._private.line(error)}; name another database with --db"
                ) from None
            had_wal = False
            self._found = self._files.discard_wal()  # left beside a newer file, in a recording that was then killed
            self._private.attach()
        if adopted:
            check_ours(self._private.connection, self._files.path)
            check_current(self._private.connection, self._files.path)
        else:
            create(self._private.connection, self._files.folder)
        self._files.claim()
        connection = self._private.connection
        folder = str(self._files.folder)
        moved = connection.execute("SELECT folder FROM _sniffer.state").fetchall() != [(folder,)]
        self._schemas = schemas(connection)
        self._sealed = Sealed(self._files)
        if missing := self._sealed.missing(connection):
            raise StoreError(
                f"{missing[0]}: a sealed file of {self._files.path} is missing; move the folder {folder} with the database"
            )
        connection.execute("UPDATE _sniffer.state SET folder = ?", [folder])
        make_views(connection, self._files.folder, self._schemas)
        make_fixed_views(connection)
        self._load()
        self._sealed.sweep(connection)
        self._bytes = used if (used := self._private.used()) < BYTES else 0  # more are the user's own tables, most likely
        if had_wal or self._live:
            self._private.checkpoint()
            self._files.publish(live=self._live, adopting=had_wal)
        self._changed = adopted and moved and not self._live

    def _load(self) -> None:
        """Learn what stands in the attached file."""
        connection = self._private.connection
        self._number, self._newest = connection.execute(
            "SELECT batch, coalesce(epoch_ns(newest), 0) FROM _sniffer.state"
        ).fetchall()[0]
        stored = connection.execute(
            "SELECT capture_id, packets, complete, fingerprint, ticked, keyless FROM _sniffer.position"
        ).fetchall()
        self._positions = {
            one: Position(one, packets, complete, tuple(digests), ticked, tuple(keyless))
            for one, packets, complete, digests, ticked, keyless in stored
        }
        counts = " + ".join(f"(SELECT count(*) FROM _sniffer.{table})" for table in EVENTS)
        self._rows = connection.execute(f"SELECT {counts}").fetchall()[0][0]
        self._current = Current(connection, self._files.folder, self._schemas)

    def _withdraw(self, connection: duckdb.DuckDBPyConnection, capture_id: str) -> None:
        """The capture goes on: take back what its end brought forth, which its last append holds."""
        last = connection.execute("SELECT batch FROM _sniffer.position WHERE capture_id = ?", [capture_id]).fetchall()[0][0]
        withdraw(connection, self._sealed, self._files.folder, self._schemas, last)
        self._load()

    def _seal(self) -> None:
        with self._transaction() as connection:
            orders = self._sealed.seal(connection, self._newest)
            make_views(connection, self._files.folder, self._schemas)
        with self._private.errors():
            self._private.checkpoint()  # else DuckDB holds on to the rows that went: 8 MB more memory at each seal
        self._current.book.let_go(orders)
        self._current.reload_connections(self._private.connection)
        self._sealed.sweep(self._private.connection)
        self._rows = self._bytes = 0
        self._changed = True

    def _publish(self) -> None:
        problem = None
        with self._private.errors():
            self._attach()
            if self._rows >= ROWS or self._bytes >= BYTES:
                try:
                    self._seal()
                except StoreError as error:  # the rows stay where they are; publish them all the same
                    problem = error
                    self._attach()
            self._private.checkpoint()
            self._found = self._files.publish(live=self._live) or self._found
        self._changed = False
        if problem is not None:
            raise problem

    def _attach(self) -> None:
        self._catch_up()
        if self._gone:
            raise StoreError(f"{self._files.path}: the last rows were not published; run again to load them from their source")

    def _catch_up(self) -> None:
        """Attach the file, and after an error learn anew what stands in it."""
        self._private.attach()
        if self._private.failed:
            known = self._number
            self._load()
            self._gone = self._gone or self._number < known
            self._private.failed = False

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._private.errors():
            self._attach()
            with self._private.transaction() as connection:
                yield connection

"""The writer of a database: gathers batches, brings them into a private file, and publishes copies of that.

What a batch brings and the position that it brings the loader to go there in one transaction, and a publish is one rename: a
reader never sees rows without their position, nor a position without its rows.
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
from sniffer.store.pending import Pending
from sniffer.store.private import Private
from sniffer.store.removal import remove_capture, withdraw
from sniffer.store.rewrite import Rewrite, Rewritten
from sniffer.store.rows import insert, schemas
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
        self._filed = 0  # of the latest one that is in the private file
        self._newest = 0  # wire time (ns) of the newest row
        self._rows = 0  # in the file itself that are not sealed yet, and about how many bytes they are
        self._bytes = 0
        self._stale_views = False  # files were sealed since the views were made
        self._gone = False  # rows that had been appended, and nobody knows yet
        self._positions: dict[str, Position] = {}
        self._moved_by: dict[str, int] = {}  # the append that brought a capture to its position
        self._schemas: dict[str, pa.Schema] = {}
        self._pending: Pending
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
        """Add `batch` and move to `position`, both or neither. Readers see it, and it is durable, after `publish`.

        A `complete` position: the batch holds what only the capture's end brings forth. A further append takes its events back.
        """
        with self._private.errors():
            self._attach()
        before = self._positions.get(position.capture_id)
        goes_on = before is not None and before.complete
        # What is taken back is to be found in the file; and what could not be sealed has to be there before more is taken.
        if self._pending and (goes_on or self._is_full()):
            with self._transaction():
                pass
        number = self._number + 1
        self._pending.add(batch, position, number)
        if goes_on:
            self._pending.withdrawn = self._moved_by[position.capture_id]
        self._number = number
        self._positions[position.capture_id], self._moved_by[position.capture_id] = position, number
        times = [one.captured_at for rows in (batch.messages, batch.order_events, batch.fill_events) for one in rows]
        self._newest = max(self._newest, max(times, default=0))
        self._changed = True
        if self._is_full():
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
        with self._private.errors():
            self._private.lift_limit()
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
            self._sealed.close()
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
        self._pending = Pending(self._schemas)
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
        self._filed, self._newest = connection.execute(
            "SELECT batch, coalesce(epoch_ns(newest), 0) FROM _sniffer.state"
        ).fetchall()[0]
        self._number = self._filed
        stored = connection.execute(
            "SELECT capture_id, packets, complete, fingerprint, ticked, keyless, digests, ending, options, batch"
            " FROM _sniffer.position"
        ).fetchall()
        self._positions = {
            one: Position(one, packets, complete, tuple(names), ticked, tuple(keyless), tuple(digests), *texts)
            for one, packets, complete, names, ticked, keyless, digests, *texts, _ in stored
        }
        self._moved_by = {one: number for one, *_, number in stored}
        counts = " + ".join(f"(SELECT count(*) FROM _sniffer.{table})" for table in EVENTS)
        self._rows = connection.execute(f"SELECT {counts}").fetchall()[0][0]
        self._current = Current(connection, self._files.folder, self._schemas)

    def _is_full(self) -> bool:
        return self._rows + self._pending.rows >= ROWS or self._bytes + self._pending.bytes >= BYTES

    def _seal(self) -> None:
        with self._transaction(with_events=False) as connection:
            orders = self._sealed.seal(connection, self._newest, self._pending.events())
        self._stale_views = True
        self._current.book.let_go(orders)
        with self._private.errors():
            self._current.reload_connections(self._private.connection)
            self._sealed.sweep(self._private.connection)
        self._rows = self._bytes = 0
        self._changed = True

    def _publish(self) -> None:
        problem = None
        with self._private.errors():
            self._attach()
            if self._is_full():
                try:
                    self._seal()
                except StoreError as error:  # the rows stay where they are; publish them all the same
                    problem = error
            with self._transaction():
                pass
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
            filed, newest = self._filed, self._newest
            self._load()
            if self._filed < filed:
                self._gone = True
            if self._filed != filed:  # less: what is pending belongs behind what is gone; more: the failed commit was one
                self._pending = Pending(self._schemas)
            if self._pending:
                self._number, self._newest = self._pending.number, newest
                self._positions.update((one, position) for one, (position, _) in self._pending.positions.items())
                self._moved_by.update((one, number) for one, (_, number) in self._pending.positions.items())
            self._private.failed = False

    @contextlib.contextmanager
    def _transaction(self, *, with_events: bool = True) -> Iterator[duckdb.DuckDBPyConnection]:
        """A transaction that begins by bringing in what is pending; its events too, unless the caller seals them."""
        with self._private.errors():
            self._attach()
            with self._private.transaction() as connection:
                if with_events:
                    self._stale_views = self._sealed.merge(connection) or self._stale_views
                    if self._stale_views:
                        make_views(connection, self._files.folder, self._schemas)
                if self._pending:
                    self._bring_in(connection, with_events)
                yield connection
            self._stale_views = self._stale_views and not with_events
            if self._pending:
                if with_events:
                    self._rows, self._bytes = self._rows + self._pending.rows, self._bytes + self._pending.bytes
                self._filed = self._pending.number
                self._pending = Pending(self._schemas)
                self._current.book.leave(self._newest)

    def _bring_in(self, connection: duckdb.DuckDBPyConnection, with_events: bool) -> None:
        """What is pending, into the attached file."""
        pending = self._pending
        if pending.withdrawn:
            withdraw(connection, self._sealed, self._files.folder, self._schemas, pending.withdrawn)
            self._current = Current(connection, self._files.folder, self._schemas)
        if with_events:
            for table, given in pending.events().items():
                insert(connection, f"_sniffer.{table}", given)
        pending.put_state(connection)
        self._current.put_connections(connection, list(pending.connections.values()), pending.number)
        self._rows += self._current.put_orders(connection, pending.order_events, pending.number)
        connection.execute(
            "UPDATE _sniffer.state SET batch = ?, next_key = ?, newest = make_timestamp_ns(?)",
            [pending.number, self._current.book.next_key, self._newest or None],
        )

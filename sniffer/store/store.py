"""The writer of a database: appends batches to a private file and publishes copies of it.

What a batch brings and the position that it brings the loader to are one transaction, and a publish is one rename: a reader
never sees rows without their position, nor a position without its rows.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from sniffer.errors import NotOurDatabase, StoreError
from sniffer.model import Batch, Position
from sniffer.store.current import Current
from sniffer.store.files import Files, errors
from sniffer.store.removal import remove_capture
from sniffer.store.rows import insert, schemas, to_arrow
from sniffer.store.sealed import BYTES, EVENTS, MARK_END, ROWS, Sealed

FORMAT: Final = 1
"""The version of the schema `_sniffer`; it grows when an older sniffer could not use the file."""
STORAGE_VERSION: Final = "v1.4.0"
"""So that DuckDB 1.4 and all later clients open the file."""
_MEMORY: Final = "256MB"
"""Of DuckDB, for sealing and merging; what does not fit goes to its folder for temporary files."""


class Store:
    """One database, open for writing; one process at a time.

    `live`: while the store is open its published file is read-only (0440), and it is there from the start; `group` may read
    it. Either way the file is its user's when the store has been closed.

    Every method raises `StoreError`, one line, when the disk, the permissions or someone else's hand forbid the work; what was
    appended before stays, and the call may be repeated. `NotOurDatabase`: no sniffer wrote the file, or a newer one did.
    """

    def __init__(self, path: Path, *, live: bool = False, group: str | None = None) -> None:
        self._live = live
        self._files = Files(path, group)
        self._closed = False
        self._attached = False
        self._failed = False
        self._changed = False
        self._found: str | None = None
        self._base = 0  # size of the private file that sealing cannot reduce
        self._schemas: dict[str, pa.Schema] = {}
        self._connection = duckdb.connect(
            ":memory:", config={"threads": 1, "memory_limit": _MEMORY, "temp_directory": str(self._files.folder / "temporary")}
        )
        try:
            with self._errors():
                self._open()
        except BaseException:
            self._connection.close()
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
        found, agreed = None, 0
        for position in self._positions.values():
            shared = min(len(fingerprint), len(position.fingerprint))
            if shared > agreed and fingerprint[shared - 1] == position.fingerprint[shared - 1]:
                found, agreed = position, shared
        return found

    def append(self, batch: Batch, position: Position) -> None:
        """Add `batch` and move to `position`, in one transaction of the private file. Readers see it after `publish`."""
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
                connection.execute(
                    "DELETE FROM _sniffer.losses WHERE capture_id = ? AND starts_with(reason, ?)",
                    [position.capture_id, MARK_END],
                )
            for table, values in arrow.items():
                insert(connection, f"INSERT INTO _sniffer.{table} SELECT *, {number} FROM given", values)
            if batch.capture is not None:
                given = to_arrow("captures", self._schemas["captures"], [batch.capture])
                insert(connection, "DELETE FROM _sniffer.captures WHERE capture_id IN (SELECT capture_id FROM given)", given)
                insert(connection, f"INSERT INTO _sniffer.captures SELECT *, {number} FROM given", given)
            self._current.put_connections(connection, batch.connections, number)
            orders = self._current.put_orders(connection, batch.order_events, number)
            given = to_arrow("position", self._schemas["position"], [position])
            insert(connection, "DELETE FROM _sniffer.position WHERE capture_id IN (SELECT capture_id FROM given)", given)
            insert(connection, "INSERT INTO _sniffer.position SELECT * FROM given", given)
            connection.execute(
                "UPDATE _sniffer.state SET batch = ?, next_key = ?, newest = make_timestamp_ns(?)",
                [number, self._current.book.next_key, newest or None],
            )
        self._number, self._newest = number, newest
        self._positions[position.capture_id] = position
        self._changed = True
        self._current.book.leave(newest)
        self._rows += sum(map(len, rows.values())) + len(batch.connections) + orders
        if self._rows >= ROWS:
            with contextlib.suppress(StoreError):  # the append itself is done; the next publish will say what is wrong
                self._seal()

    def publish(self) -> None:
        """Let readers see what was appended: copy the private file, sync the copy, rename it over the published one."""
        if self._changed:
            self._publish()

    def watch(self) -> str | None:
        """Look for a foreign `.wal`, writer or file; call it every 100 ms or less. A line about what was found and undone."""
        found = self._files.check()
        if found is not None:
            self._publish()
        found, self._found = found or self._found, None
        return found

    def remove(self, capture_id: str) -> None:
        """Take back everything that came from a capture, in sealed files too. Orders that others saw as well are folded anew."""
        with self._transaction() as connection:
            remove_capture(connection, self._sealed, self._schemas, capture_id)
            self._load()
        self._changed = True

    def close(self) -> None:
        """Publish what is left, and leave the file to its user, writable. The store is of no use afterwards."""
        if self._closed:
            return
        self._closed, self._live = True, False
        try:
            self.publish()
        finally:
            self._connection.close()
            self._files.release()

    def _open(self) -> None:
        adopted = self._files.adopt()
        had_wal = adopted and self._files.has_wal()
        try:
            self._attach_file()
        except duckdb.Error as error:
            if not had_wal:
                raise NotOurDatabase(f"{self._files.path}: {self._line(error)}; name another database with --db") from None
            had_wal = False
            self._found = self._files.discard_wal()  # left beside a newer file by a client of a recording that was then killed
            self._attach_file()
        if adopted:
            self._check_ours()
        else:
            self._create()
        self._files.claim()
        connection = self._connection
        folder = str(self._files.folder)
        moved = connection.execute("SELECT folder FROM _sniffer.state").fetchall() != [(folder,)]
        self._schemas = {table: _without_batch(schema) for table, schema in schemas(connection, "_sniffer").items()}
        self._sealed = Sealed(self._files, self._schemas)
        if missing := self._sealed.missing(connection):
            raise StoreError(
                f"{missing[0]}: a sealed file of {self._files.path} is missing; move the folder {folder} with the database"
            )
        connection.execute("UPDATE _sniffer.state SET folder = ?", [folder])
        self._sealed.make_views(connection)
        connection.execute(_sql("views.sql"))
        self._load()
        self._sealed.sweep(connection)
        self._base = size if (size := self._files.private_size()) > BYTES else 0
        if had_wal or self._live:
            self._detach()
            self._files.publish(live=self._live, adopting=had_wal)
        self._changed = adopted and moved and not self._live

    def _check_ours(self) -> None:
        path = self._files.path
        if not self._connection.execute("SELECT 1 FROM duckdb_tables() WHERE schema_name = '_sniffer'").fetchall():
            raise NotOurDatabase(f"{path}: holds no sniffer tables; name another database with --db")
        found = self._connection.execute("SELECT format FROM _sniffer.state").fetchall()[0][0]
        if found > FORMAT:
            raise NotOurDatabase(
                f"{path}: is of format {found}, this sniffer knows {FORMAT}; upgrade order-sniffer, or name another with --db"
            )

    def _create(self) -> None:
        connection = self._connection
        connection.execute("CREATE SCHEMA _sniffer; USE private._sniffer")
        connection.execute(_sql("schema.sql"))
        connection.execute(_sql("internal.sql"))
        connection.execute(
            "INSERT INTO state VALUES (?, ?, ?, 0, 1, NULL)", [FORMAT, uuid.uuid4().hex[:12], str(self._files.folder)]
        )
        connection.execute("USE private.main")

    def _load(self) -> None:
        """Learn what stands in the attached file."""
        connection = self._connection
        self._number, self._newest = connection.execute(
            "SELECT batch, coalesce(epoch_ns(newest), 0) FROM _sniffer.state"
        ).fetchall()[0]
        stored = connection.execute("SELECT capture_id, packets, complete, fingerprint FROM _sniffer.position").fetchall()
        self._positions = {one[0]: Position(*one[:3], tuple(one[3])) for one in stored}
        counts = " + ".join(f"(SELECT count(*) FROM _sniffer.{table})" for table in EVENTS)
        self._rows: int = connection.execute(f"SELECT {counts}").fetchall()[0][0]
        self._current = Current(connection, self._sealed, self._schemas)

    def _seal(self) -> None:
        with self._transaction() as connection:
            orders = self._sealed.seal(connection, self._newest)
        self._current.book.let_go(orders)
        self._current.reload_connections(self._connection)
        self._sealed.sweep(self._connection)
        self._rows = 0
        self._changed = True

    def _publish(self) -> None:
        problem = None
        with self._errors():
            self._detach()
            if self._files.private_size() - self._base >= BYTES:
                try:
                    self._seal()
                    self._detach()
                    self._base = self._files.private_size()
                except StoreError as error:  # the rows stay where they are; publish them all the same
                    problem = error
                    self._attach()
                    self._detach()
            self._found = self._files.publish(live=self._live) or self._found
        self._changed = False
        if problem is not None:
            raise problem

    def _attach_file(self) -> None:
        private = str(self._files.private).replace("'", "''")
        self._connection.execute(f"ATTACH '{private}' AS private (STORAGE_VERSION '{STORAGE_VERSION}'); USE private.main")
        self._attached = True

    def _attach(self) -> None:
        if not self._attached:
            self._attach_file()
        if self._failed:
            known = self._number
            self._load()
            if self._number < known:
                raise StoreError(
                    f"{self._files.private}: what was appended last is gone; run again, it is loaded from its source anew"
                )
            self._failed = False

    def _detach(self) -> None:
        """Bring everything into the private file and let go of it: only then may it be copied."""
        if self._attached:
            try:
                self._connection.execute("CHECKPOINT private; USE memory; DETACH private")
                self._attached = False
            except duckdb.Error:
                self._abandon()
                raise

    def _abandon(self) -> None:
        """After an error: attach anew next time (the `.wal` brings back all that was committed), and read what stands there."""
        self._failed = True
        self._attached = False
        for sql in ("ROLLBACK", "USE memory", "DETACH private"):
            with contextlib.suppress(duckdb.Error):
                self._connection.execute(sql)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._errors():
            self._attach()
            try:
                self._connection.execute("BEGIN")
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                self._abandon()
                raise

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        with errors(self._files.path):
            try:
                yield
            except duckdb.Error as error:
                raise StoreError(f"{self._files.path}: {self._line(error)}") from None

    def _line(self, error: duckdb.Error) -> str:
        """DuckDB's own words, in one line."""
        return " ".join(str(error).split()).replace(str(self._files.private), str(self._files.path))


def _without_batch(schema: pa.Schema) -> pa.Schema:
    return schema.remove(schema.get_field_index("batch")) if "batch" in schema.names else schema


def _sql(name: str) -> str:
    return resources.files("sniffer.store").joinpath(name).read_text(encoding="utf-8")

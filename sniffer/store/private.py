"""The private database file: attached while the store is open, brought up to date before it is copied.

What is durable is the published copy, so commits write no `.wal` and stay in DuckDB's memory until `checkpoint` (measured: an
append of 7,000 rows takes 25 ms less). An error inside a transaction costs that transaction. An error while the file itself is
written (a full disk, most likely) makes DuckDB give the file up: it is attached anew, and stands where it was last published.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Final

import duckdb

from sniffer.errors import StoreError
from sniffer.store.files import Files, errors
from sniffer.store.instance import open_instance

STORAGE_VERSION: Final = "v1.4.0"
"""So that DuckDB 1.4 and all later clients open the file."""
_MEMORY: Final = "64MB"
"""Of DuckDB, for recent rows and sealing."""
_NO_WAL: Final = "RECOVERY_MODE no_wal_writes"
_INNER: Final = "Original error: "
_NEVER: Final = "1TB"
"""Of changes, before DuckDB checkpoints of its own accord: rows that are sealed soon need not be compressed before."""


class Private:
    """A DuckDB instance and the private file attached to it, as its current database while it is attached."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._attached = False
        self.failed = False
        """Whether an error undid a transaction or more: what is known of the file may be wrong."""
        self.connection = self._connect()

    def attach(self) -> None:
        """Attach the file, or make it. Raises `duckdb.Error`."""
        if not self._attached:
            private = str(self._files.private).replace("'", "''")
            new = "" if self._files.private.exists() else f", STORAGE_VERSION '{STORAGE_VERSION}'"
            self.connection.execute(f"ATTACH '{private}' AS private ({_NO_WAL}{new}); USE private.main")
            self._attached = True

    def used(self) -> int:
        """Bytes of the attached file that held something at the last checkpoint. Raises `duckdb.Error`.

        The file itself may be larger: DuckDB uses free blocks again, and cuts off only those at its end.
        """
        sizes = "SELECT used_blocks * block_size FROM pragma_database_size() WHERE database_name = 'private'"
        return int(self.connection.execute(sizes).fetchall()[0][0])

    def lift_limit(self) -> None:
        """DuckDB may have half of the machine's memory from now on: for work over all of the history."""
        half = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
        self.connection.execute(f"SET memory_limit = '{half >> 20}MiB'")

    def checkpoint(self) -> None:
        """Bring everything into the file itself: only then, and until the next transaction, may it be copied.

        Copying drops DuckDB's POSIX lock on the file, as this process then closes another descriptor of it. Nobody else opens
        the file: its folder is the store's own (0700), under a lock of its own. Raises `duckdb.Error`.
        """
        try:
            self.connection.execute("CHECKPOINT private")
        except duckdb.Error:
            self._abandon()
            raise

    @contextlib.contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A transaction on the attached file: committed at the end, or undone on any error."""
        try:
            self.connection.execute("BEGIN")
            yield self.connection
            self.connection.execute("COMMIT")
        except BaseException:
            self.failed = True
            try:
                self.connection.execute("ROLLBACK; FROM _sniffer.state")
            except duckdb.Error:
                self._abandon()
            raise

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Turn DuckDB's and the system's errors into `StoreError`."""
        with errors(self._files.path):
            try:
                yield
            except duckdb.Error as error:
                raise StoreError(f"{self._files.path}: {self.line(error)}; what was published before is whole") from None

    def line(self, error: duckdb.Error) -> str:
        """DuckDB's own words in one line, with the published file's name; of an error that wraps another, the inner one's."""
        text = " ".join(str(error).split()).replace(str(self._files.private), str(self._files.path))
        return text.rpartition(_INNER)[2]

    def _abandon(self) -> None:
        """Let go of the file as it is: a DuckDB instance that failed to write may neither go on nor detach."""
        self.failed = True
        self._attached = False
        with contextlib.suppress(duckdb.Error):
            self.connection.close()
        self.connection = self._connect()

    def _connect(self) -> duckdb.DuckDBPyConnection:
        connection = open_instance(_MEMORY, self._files.private.parent / "temporary")
        connection.execute(f"SET wal_autocheckpoint = '{_NEVER}'")
        return connection

"""Many small sealed files become one, in a thread of its own: neither an append nor a publish waits for it.

In the store's own thread, readers saw nothing new for up to 7 s while files of 100 MB were written anew (at 5,000 messages a
second for 20 minutes). Sealed files do not change, so the thread needs nothing of the database: it writes the new file, and
`Sealed` lists it in the place of the others with the next transaction.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import duckdb

from sniffer.store.instance import open_instance

MERGE: Final = 16
"""Files of about one size, of a table and day, that are merged into one: a year must not become 100,000 files."""
LARGE: Final = 1_000_000
"""Rows of a file that is not merged any more."""
_MEMORY: Final = ("64MB", "256MB", "1GB")
"""Of DuckDB while it merges: several of the largest messages, of 16 MB each. What does not fit is tried again with the next
one: DuckDB 2.0 needs the first for 100 MB of messages of 1 MB, 1.5 the second."""
PATIENCE: Final = 600.0
"""Seconds after which files whose merge failed may be merged again: a full disk has room again some day."""
_NICE: Final = 10
"""Priority of the thread, where threads have one of their own: decoding comes first."""


class Merged(NamedTuple):
    """A file that holds what `parts` hold."""

    table: str
    parts: tuple[str, ...]
    file: Path


def group(files: Iterable[tuple[str, int]]) -> Sequence[str] | None:
    """Which of `files` (path and rows) to merge: the oldest `MERGE` of one day and about one size; None: there are not enough.

    So a row is written anew once for each size that it passes, not with each merge.
    """
    alike: dict[tuple[str, int], list[str]] = defaultdict(list)
    for path, rows in files:
        if rows < LARGE:
            alike[Path(path).parent.name, len(f"{rows:x}")].append(path)
    for paths in alike.values():
        if len(paths) >= MERGE:
            return sorted(paths, key=lambda path: Path(path).stat().st_mtime_ns)[:MERGE]
    return None


class Merger:
    """One merge at a time."""

    def __init__(self, temporary: Path) -> None:
        """`temporary`: a folder for what does not fit into memory."""
        self._temporary = temporary
        self._thread: threading.Thread | None = None
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._under_way: Merged | None = None
        self._written = False
        self._failed: dict[str, float] = {}  # files, and when their merge failed

    @property
    def under_way(self) -> Merged | None:
        """What was begun, and has not been taken."""
        return self._under_way

    def may_merge(self, path: str) -> bool:
        """False for a while after a merge of this file has failed: others come first."""
        return time.monotonic() - self._failed.get(path, -PATIENCE) >= PATIENCE

    def begin(self, merged: Merged, copy: str) -> None:
        """Run `copy`, SQL that writes `merged.file`."""
        self._under_way, self._written = merged, False
        self._connection = open_instance(_MEMORY[0], self._temporary)
        self._thread = threading.Thread(target=self._run, args=(self._connection, copy), name="sniffer-merge", daemon=True)
        self._thread.start()

    def take(self) -> Merged | None:
        """A merge that is done, to be listed; None: there is none. One that failed leaves nothing but that it did."""
        if self._thread is None or self._thread.is_alive():
            return None
        done, written = self._under_way, self._written
        self._end()
        if done is not None and not written:
            done.file.unlink(missing_ok=True)
            self._failed = {path: at for path, at in self._failed.items() if not self.may_merge(path)}
            self._failed |= dict.fromkeys(done.parts, time.monotonic())
            return None
        return done

    def close(self) -> None:
        """Give up what is under way."""
        if self._connection is not None and self._thread is not None:
            while self._thread.is_alive():  # an interrupt that comes before the query has begun is forgotten
                self._connection.interrupt()
                self._thread.join(0.01)
        if self._under_way is not None:
            with contextlib.suppress(OSError):
                self._under_way.file.unlink(missing_ok=True)
        self._end()

    def wait(self) -> None:
        """Until what is under way is done."""
        if self._thread is not None:
            self._thread.join()

    def _run(self, connection: duckdb.DuckDBPyConnection, copy: str) -> None:
        if sys.platform == "linux":
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        for memory in _MEMORY:
            try:
                connection.execute(f"SET memory_limit = '{memory}'; {copy}")
                self._written = True
                return
            except duckdb.OutOfMemoryException:
                continue
            except duckdb.Error:  # a full disk, most likely: the files stay as they are
                return

    def _end(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._thread = self._connection = self._under_way = None

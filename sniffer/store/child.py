"""A store in a process of its own, for a replay: decoding and DuckDB each have a core, and an interpreter, to themselves.

Measured on two cores, 500,000 messages of which one in ten is an order: 4.5 s with the store in a thread, 3.1 s so. A live
recording, whose loader is mostly idle, has the store in a thread (`background.py`).

Calls go through a pipe, to `serving.py`. `append` and `publish` are not waited for: an error is raised by a later call, and
nothing that came behind it is carried out. Rows cross as plain tuples: as NamedTuples they would take twice the time.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sniffer.errors import StoreError
from sniffer.model import Batch, Position
from sniffer.store.interrupts import uninterrupted
from sniffer.store.serving import ROWS


class ChildStore:
    """`Store`, in a child process. What cannot be opened is said by the first call that waits for an answer."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pipe, theirs = multiprocessing.Pipe()
        self._process = _start(theirs.fileno(), path)
        theirs.close()
        self._failed: Exception | None = None

    def position(self, fingerprint: Sequence[str]) -> Position | None:
        """As `Store.position`."""
        found: Position | None = self._ask("position", tuple(fingerprint))
        return found

    def append(self, batch: Batch, position: Position) -> None:
        """As `Store.append`, later. The batch is the store's now."""
        rows = {table: list(map(tuple, getattr(batch, table))) for table in ROWS}
        self._send("append", rows, batch.capture and tuple(batch.capture), position)

    def publish(self) -> None:
        """As `Store.publish`, later."""
        self._send("publish")

    def remove(self, capture_id: str) -> None:
        """As `Store.remove`."""
        self._ask("remove", capture_id)

    def close(self) -> None:
        """Carry out what waits, then `Store.close`. Raises the first error, after the store was closed."""
        try:
            self._ask("close")
        finally:
            self._pipe.close()
            self._process.wait()

    @uninterrupted()
    def _send(self, call: str, *arguments: Any) -> None:
        try:
            while self._pipe.poll():
                _, error, _ = self._pipe.recv()
                self._failed = self._failed or error
            if self._failed is None or call == "close":
                self._pipe.send_bytes(pickle.dumps((call, arguments), protocol=5))
        except (EOFError, OSError):
            self._failed = self._failed or self._ended()
        if self._failed is not None and call != "close":
            raise self._failed

    @uninterrupted()
    def _ask(self, call: str, *arguments: Any) -> Any:
        self._send(call, *arguments)
        try:
            answered = False
            while not answered:
                answered, error, value = self._pipe.recv()
                self._failed = self._failed or error
        except (EOFError, OSError):
            self._failed = self._failed or self._ended()
        if self._failed is not None:
            raise self._failed
        return value

    def _ended(self) -> StoreError:
        code = self._process.wait()
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return StoreError(
            f"{self._path}: the process that writes it ended unexpectedly ({how});"
            " what was published is whole, run again to go on from there"
        )


def _start(pipe: int, path: Path) -> subprocess.Popen[bytes]:
    """The process: a new interpreter that finds what this one finds, and none of the modules that it has loaded.

    A fork took 6 MB more, and loaded numpy, which are 10. Ctrl-C reaches both; that it does not end the child is settled before
    it begins.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        return subprocess.Popen(
            # -P: not what lies in the current folder
            [sys.executable, "-P", "-m", "sniffer.store.serving", str(pipe), str(path)],
            pass_fds=[pipe],
            stdin=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])

"""A store in a process of its own, for a replay: decoding and DuckDB each have a core, and an interpreter, to themselves.

Measured on two cores, 500,000 messages of which one in ten is an order: 4.5 s with the store in a thread, 3.1 s so. A live
recording, whose loader is mostly idle, has the store in a thread (`background.py`).

Calls go through a pipe. `append` and `publish` are not waited for: an error is raised by a later call, and nothing that came
behind it is carried out. Rows cross as plain tuples: as NamedTuples they would take twice the time.
"""

from __future__ import annotations

import multiprocessing
import pickle
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sniffer.errors import SnifferError, StoreError
from sniffer.model import Batch, CaptureRow, ConnectionRow, FillEvent, Loss, MessageRow, OrderEvent, Position
from sniffer.store.interrupts import uninterrupted

if TYPE_CHECKING:
    from sniffer.store.store import Store

WAITING: Final = 2
"""Calls that wait in the store's process for the one that is carried out; a batch takes some megabytes."""
_ROWS: Final[dict[str, Callable[[Iterable[Any]], Any]]] = {
    "connections": ConnectionRow._make,
    "messages": MessageRow._make,
    "order_events": OrderEvent._make,
    "fill_events": FillEvent._make,
    "losses": Loss._make,
}
"""What a batch holds, and how its tuples become rows again."""


class ChildStore:
    """`Store`, in a child process. What cannot be opened is said by the first call that waits for an answer."""

    def __init__(self, path: Path) -> None:
        linux = sys.platform == "linux"  # elsewhere libraries may not survive a fork
        context = multiprocessing.get_context("fork") if linux else multiprocessing.get_context("spawn")
        self._path = path
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._pipe, path), name="sniffer-store")
        self._process.start()
        theirs.close()
        self._failed: Exception | None = None

    def position(self, fingerprint: Sequence[str]) -> Position | None:
        """As `Store.position`."""
        found: Position | None = self._ask("position", tuple(fingerprint))
        return found

    def append(self, batch: Batch, position: Position) -> None:
        """As `Store.append`, later. The batch is the store's now."""
        rows = {table: list(map(tuple, getattr(batch, table))) for table in _ROWS}
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
            self._process.join()

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
        self._process.join()
        code = self._process.exitcode or 0
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return StoreError(
            f"{self._path}: the process that writes it ended unexpectedly ({how});"
            " what was published is whole, run again to go on from there"
        )


def _serve(pipe: Connection, parents: Connection, path: Path) -> None:
    """The child: carry out calls until `close`, or until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both; the parent says when it is over
    parents.close()
    from sniffer.store.store import Store

    calls: queue.Queue[tuple[str, tuple[Any, ...]] | None] = queue.Queue(WAITING)
    threading.Thread(target=_read, args=(pipe, calls), daemon=True).start()
    store: Store | None = None
    failed: Exception | None = None
    try:
        store = Store(path)
    except SnifferError as error:
        failed = error
    while (called := calls.get()) is not None:
        call, arguments = called
        value, known = None, failed
        if store is not None and (failed is None or call == "close"):
            try:
                value = _carry_out(store, call, arguments)
            except SnifferError as error:
                failed = failed or error
        is_answer = call not in ("append", "publish")
        if is_answer or failed is not known:
            pipe.send((is_answer, failed, value))
        if call == "close":
            return
    if store is not None:
        store.close()  # the parent was killed: what it had appended is whole


def _read(pipe: Connection, calls: queue.Queue[tuple[str, tuple[Any, ...]] | None]) -> None:
    try:
        while True:
            calls.put(pickle.loads(pipe.recv_bytes()))
    except (EOFError, OSError):
        calls.put(None)


def _carry_out(store: Store, call: str, arguments: tuple[Any, ...]) -> Any:
    if call != "append":
        return getattr(store, call)(*arguments)
    rows, capture, position = arguments
    batch = Batch()
    batch.capture = CaptureRow(*capture) if capture else None
    for table, row in _ROWS.items():
        setattr(batch, table, list(map(row, rows[table])))
    return store.append(batch, position)

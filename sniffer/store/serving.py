"""The store's process: carries out the calls that `child.py` sends, in their order."""

from __future__ import annotations

import pickle
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sniffer.allocator import keep_freed_memory
from sniffer.errors import SnifferError
from sniffer.model import Batch, CaptureRow, ConnectionRow, FillEvent, Loss, MessageRow, OrderEvent

if TYPE_CHECKING:
    from sniffer.store.store import Store

WAITING: Final = 2
"""Calls that wait for the one that is carried out, as they came: a batch is 3 MB so, and 10 MB of objects."""
ROWS: Final[dict[str, Callable[[Iterable[Any]], Any]]] = {
    "connections": ConnectionRow._make,
    "messages": MessageRow._make,
    "order_events": OrderEvent._make,
    "fill_events": FillEvent._make,
    "losses": Loss._make,
}
"""What a batch holds, and how its tuples become rows again."""


def serve(pipe: Connection, path: Path) -> None:
    """Carry out calls until `close`, or until the parent is gone."""
    from sniffer.store.store import Store

    calls: queue.Queue[bytes] = queue.Queue(WAITING)
    threading.Thread(target=_read, args=(pipe, calls), daemon=True).start()
    store: Store | None = None
    failed: Exception | None = None
    try:
        store = Store(path)
    except SnifferError as error:
        failed = error
    while called := calls.get():
        call, arguments = pickle.loads(called)
        del called  # a batch is there but once: as it came, as it was sent, or as the store's rows
        value, known = None, failed
        if store is not None and (failed is None or call == "close"):
            try:
                value = _carry_out(store, call, arguments)
            except SnifferError as error:
                failed = failed or error
        del arguments
        is_answer = call not in ("append", "publish")
        if is_answer or failed is not known:
            pipe.send((is_answer, failed, value))
        if call == "close":
            return
    if store is not None:
        store.close()  # the parent was killed: what it had appended is whole


def _read(pipe: Connection, calls: queue.Queue[bytes]) -> None:
    """Put calls into the queue, and nothing behind the last one."""
    try:
        while True:
            calls.put(pipe.recv_bytes())
    except (EOFError, OSError):
        calls.put(b"")


def _carry_out(store: Store, call: str, arguments: tuple[Any, ...]) -> Any:
    if call != "append":
        return getattr(store, call)(*arguments)
    rows, capture, position = arguments
    batch = Batch()
    batch.capture = CaptureRow(*capture) if capture else None
    for table, row in ROWS.items():
        setattr(batch, table, list(map(row, rows.pop(table))))
    return store.append(batch, position)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent says when it is over
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    keep_freed_memory()
    sys.modules["numpy"] = None  # type: ignore[assignment]  # pyarrow would load it: 10 MB that nothing here needs
    serve(Connection(int(sys.argv[1])), Path(sys.argv[2]))

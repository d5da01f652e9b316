"""A store that works in a thread of its own, so that decoding goes on while DuckDB inserts, checkpoints and copies.

DuckDB and the disk release the interpreter; measured on two cores, a replay takes a fifth less time. Calls are carried out in
their order. At most one append waits while another is carried out, so the rows that are held stay few; an error is raised by
a call after the one that it belongs to, and by each one from then on: nothing that came behind it is carried out.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

from sniffer.errors import StoreError
from sniffer.model import Batch, Position
from sniffer.store.store import Store

WAITING: Final = 2
"""Calls that may be under way: the one that is carried out, and the one that waits."""


class BackgroundStore:
    """`Store`, from another thread. The store must be used through this alone until it is closed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._thread = ThreadPoolExecutor(1, "sniffer-store")
        self._waiting: list[Future[Any]] = []
        self._failed: BaseException | None = None

    def position(self, fingerprint: Sequence[str]) -> Position | None:
        """As `Store.position`."""
        self._settle(0)
        return self._store.position(fingerprint)

    def append(self, batch: Batch, position: Position) -> None:
        """As `Store.append`, later. The batch is the store's now."""
        self._later(self._store.append, batch, position)

    def publish(self) -> None:
        """As `Store.publish`, later."""
        self._later(self._store.publish)

    def watch(self) -> str | None:
        """As `Store.watch`; None while the store is at work, since a publish looks for itself."""
        self._settle(WAITING)
        if self._waiting:
            return None
        return self._store.watch()  # the thread is idle, and waking it would cost more than the look

    def remove(self, capture_id: str) -> None:
        """As `Store.remove`."""
        self._settle(0)
        self._store.remove(capture_id)

    def close(self) -> None:
        """Carry out what waits, then `Store.close`. Raises the first error, after the store was closed."""
        try:
            self._settle(0)
        except BaseException:
            self._thread.shutdown()
            with contextlib.suppress(StoreError):  # the first error is the cause
                self._store.close()
            raise
        self._thread.shutdown()
        self._store.close()

    def _later(self, call: Callable[..., None], *arguments: Any) -> None:
        self._settle(WAITING - 1)
        if self._failed is not None and not self._waiting:
            raise self._failed
        self._waiting.append(self._thread.submit(self._unless_failed, call, *arguments))

    def _unless_failed(self, call: Callable[..., None], *arguments: Any) -> None:
        if self._failed is None:
            try:
                call(*arguments)
            except BaseException as error:
                self._failed = error
                raise

    def _settle(self, left: int) -> None:
        """Wait until at most `left` calls are under way; raise what went wrong in those that are done."""
        while self._waiting and (len(self._waiting) > left or self._waiting[0].done()):
            self._waiting.pop(0).result()

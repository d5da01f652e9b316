"""What the load process tells about itself: a store that counts what goes through it, for `sniffer status`."""

from __future__ import annotations

import datetime
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from sniffer.errors import SnifferError
from sniffer.model import Batch, ConnectionRow, Position
from sniffer.pipeline import Target

_TOLD: Final = 10
"""Unreadable connections that are told by name; the others are counted."""
_KNOWN: Final = 10_000
"""Unreadable connections that are remembered, the latest: traffic brings them forth without end."""
_TEXT: Final = 200
"""Letters of a host's name or a reason, at most: a record has its size."""


class Figures:
    """A `Target` that hands everything on to another, and counts."""

    def __init__(self, target: Target, lost_today: int = 0) -> None:
        """`lost_today`: rows in `losses` of this UTC day before this process began."""
        self._target = target
        self._rows = {"messages": 0, "order_events": 0, "fill_events": 0}
        self._unreadable: OrderedDict[int, str] = OrderedDict()
        self._day, self._lost = _today(), lost_today
        self._position: Position | None = None
        self._published: int | None = None

    def position(self, fingerprint: tuple[str, ...]) -> Position | None:
        """As of the target."""
        return self._target.position(fingerprint)

    def append(self, batch: Batch, position: Position) -> None:
        """As of the target; counted before, since the batch is the target's then."""
        for name in self._rows:
            self._rows[name] += len(getattr(batch, name))
        if self._day != _today():
            self._day, self._lost = _today(), 0
        self._lost += len(batch.losses)
        for row in batch.connections:
            self._note(row)
        self._position = position
        self._target.append(batch, position)

    def publish(self) -> None:
        """As of the target."""
        self._target.publish()
        self._published = time.time_ns()

    def remove(self, capture_id: str) -> None:
        """As of the target."""
        self._target.remove(capture_id)

    @property
    def stored_packets(self) -> int:
        """Packets of the journal that are in the database, or on their way there; 0 where nothing was appended yet."""
        return self._position.packets if self._position else 0

    def record(self, packets: int, latest: int | None) -> dict[str, Any]:
        """The figures: `packets` of the journal were decoded, the latest of this wire time (ns)."""
        told = [self._unreadable[key] for key in list(self._unreadable)[-_TOLD:]]
        return {
            "packets": packets,
            "latest": latest,
            "published": self._published,
            "lost_today": self._lost,
            "unreadable": len(self._unreadable),
            "unreadable_connections": told,
            **self._rows,
        }

    def _note(self, row: ConnectionRow) -> None:
        """Remember an open connection that cannot be read."""
        self._unreadable.pop(row.connection_id, None)
        if row.closed_at is None and not row.readable:
            where = row.host or f"{row.server_ip}:{row.server_port}"
            self._unreadable[row.connection_id] = f"{where}: {row.unreadable_reason}"[:_TEXT]
            if len(self._unreadable) > _KNOWN:
                self._unreadable.popitem(last=False)


def lost_today(db: Path, query: Callable[[Path, str], tuple[Any, Any, Sequence[Sequence[Any]]]]) -> int:
    """Rows in `losses` of this UTC day; 0 where there is no database yet. To be asked before a store opens the file."""
    if not db.exists():
        return 0
    try:
        _, _, rows = query(db, f"SELECT count(*) FROM losses WHERE to_time >= TIMESTAMP '{_today()}'")
    except SnifferError:
        return 0
    return int(rows[0][0])


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()

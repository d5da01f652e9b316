"""What a run read and stored, counted for the user."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final, TypeVar

from sniffer.errors import DamagedCapture
from sniffer.model import Batch, ConnectionRow

Kind = TypeVar("Kind")

SUMMARY_KINDS: Final = 1000
"""Different losses, hosts and reasons that a summary counts one by one: a live run has no end, and traffic names its hosts."""


@dataclass
class Summary:
    """What a run read and stored, for the user."""

    name: str = ""
    capture_id: str = ""
    packets: int = 0
    bytes: int = 0
    messages: int = 0
    order_events: int = 0
    fill_events: int = 0
    connections: int = 0
    losses: Counter[tuple[str, str]] = field(default_factory=Counter)
    lost_bytes: int = 0
    unexamined: Counter[str] = field(default_factory=Counter)
    unreadable: Counter[str] = field(default_factory=Counter)
    already_loaded: int = 0
    """Packets of this capture that were in the database before."""
    damage: list[DamagedCapture] = field(default_factory=list)
    interrupted: bool = False
    seconds: float = 0.0

    def note(self, batch: Batch) -> None:
        """A batch was stored."""
        self.messages += len(batch.messages)
        self.order_events += len(batch.order_events)
        self.fill_events += len(batch.fill_events)
        for loss in batch.losses:
            count(self.losses, (loss.layer, loss.reason), 1, (loss.layer, "other reasons"))
            self.lost_bytes += loss.bytes or 0

    def note_end(self, row: ConnectionRow) -> None:
        """A connection has ended."""
        self.connections += 1
        where = row.host or f"{row.server_ip}:{row.server_port}"
        if row.unexamined:
            count(self.unexamined, where, row.unexamined, "other hosts")
        if not row.readable:
            count(self.unreadable, f"{where}: {row.unreadable_reason}", 1, "other hosts")


def count(counter: Counter[Kind], kind: Kind, times: int, other: Kind) -> None:
    """Count `kind`, or where there are too many kinds already, `other`."""
    counter[kind if kind in counter or len(counter) < SUMMARY_KINDS else other] += times

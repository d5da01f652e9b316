"""Runs the pipeline for tests: packets at hand as a source, and a target that remembers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb

from sniffer.capture.merge import merge
from sniffer.capture.pcapfile import open_capture
from sniffer.config import Settings
from sniffer.model import Batch, Loss, Packet, Position
from sniffer.pipeline import Pipeline
from sniffer.summary import Summary
from tests.command_line import PCAPS

NEVER = 1e9
"""Seconds between publishes, where only the end is to publish."""
TABLES = ("messages", "order_events", "fill_events", "losses")


class Source:
    """A `PacketSource` over packets at hand. An `identity` makes it a journal, whose `position` may jump."""

    def __init__(self, packets: Sequence[Packet], block: int = 1000, identity: str | None = None) -> None:
        self.name = "fake"
        self.losses: list[Loss] = []
        self.bytes_read = 0
        self.total_bytes = None
        self.kernel_drops: int | None = None
        self.identity = identity
        self.raises: BaseException | None = None
        self._packets = packets
        self._block = block

    def blocks(self) -> Iterator[list[Packet]]:
        for at in range(0, len(self._packets), self._block):
            yield list(self._packets[at : at + self._block])
        if self.raises is not None:
            raise self.raises


class Memory:
    """A `Target` that remembers, and takes back what a capture's end brought forth as the store does."""

    def __init__(self) -> None:
        self.rows: Counter[tuple[Any, ...]] = Counter()
        self.connections: dict[int, tuple[Any, ...]] = {}
        self.saved: Position | None = None
        self.appends: list[int] = []
        self._ended: list[tuple[Any, ...]] = []

    def position(self, fingerprint: tuple[str, ...]) -> Position | None:
        if self.saved is None:
            return None
        shared = min(len(fingerprint), len(self.saved.fingerprint))
        return self.saved if fingerprint[:shared] == self.saved.fingerprint[:shared] else None

    def append(self, batch: Batch, position: Position) -> None:
        if self.saved is not None and self.saved.complete:
            self.rows -= Counter(self._ended)
        self.saved = position
        self.appends.append(len(batch))
        rows = [*batch.messages, *batch.order_events, *batch.fill_events, *batch.losses]
        self.rows.update(rows)
        self._ended = rows if position.complete else []
        self.connections.update((row.connection_id, row) for row in batch.connections)

    def publish(self) -> None:
        pass

    def remove(self, capture_id: str) -> None:
        self.rows.clear()
        self.saved = None


def load(target: Any, source: Any, *, keep: str = "all", **options: Any) -> Summary:
    return Pipeline(target, Settings(keep=keep), publish_interval=NEVER, **options).run(source)


def packets_of(*names: str) -> list[Packet]:
    files = [str(PCAPS / name) for name in names]
    return [packet for block in merge([open_capture(file) for file in files]).blocks() for packet in block]


def content(db: Path) -> dict[str, list[tuple[Any, ...]]]:
    with duckdb.connect(str(db), read_only=True) as connection:
        tables = (*TABLES, "connections", "captures", "orders_all")
        return {table: connection.execute(f"FROM {table} ORDER BY ALL").fetchall() for table in tables}

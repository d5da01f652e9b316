"""Several files as one capture, by time: a rotated set (`tcpdump -C`, `-G`), or captures from several places.

Each file keeps its own order, even where its times step back a little: a packet's place is the latest time its file has shown
so far. Of equal times the file named first comes first. Where files do not overlap, their blocks pass untouched.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from operator import itemgetter
from typing import Final

from sniffer.capture import PacketSource
from sniffer.capture.ownership import Owned
from sniffer.capture.pcapfile import CaptureFile
from sniffer.errors import DamagedCapture
from sniffer.model import Loss, Packet

_time = itemgetter(0)


_BLOCK_PACKETS: Final = 256
"""Where files overlap, so many packets are gathered before they are handed on: a block has a cost of its own."""


class MergedCapture:
    """A `PacketSource` over several. Damage in one does not stop the others; it is raised at the very end."""

    def __init__(self, sources: Sequence[PacketSource]) -> None:
        self.damage: list[DamagedCapture] = []
        """What was cut off or corrupt so far; `blocks` raises the first of them after everything else."""
        self.losses: list[Loss] = []
        self.secrets: list[bytes] = []
        """TLS key logs that the files hold, as they are met."""
        self.owners: list[Owned] = []
        """The same of who has which connection."""
        self._sources = sources
        for source in sources:
            source.losses = self.losses  # one list for all: the reader drains it
            if isinstance(source, CaptureFile):
                source.secrets, source.owners = self.secrets, self.owners

    @property
    def name(self) -> str:
        """The names of all."""
        return ", ".join(source.name for source in self._sources)

    @property
    def bytes_read(self) -> int:
        """Of all sources."""
        return sum(source.bytes_read for source in self._sources)

    @property
    def total_bytes(self) -> int | None:
        """Of all sources; None if one does not know."""
        totals = [source.total_bytes for source in self._sources]
        return None if None in totals else sum(total for total in totals if total is not None)

    @property
    def kernel_drops(self) -> int | None:
        """Of all sources; segments of one journal each count from its beginning, so the highest counts."""
        counts: dict[str | int, int] = {}
        for index, source in enumerate(self._sources):
            if source.kernel_drops is not None:
                key = getattr(source, "journal", None) or index
                counts[key] = max(counts.get(key, 0), source.kernel_drops)
        return sum(counts.values()) if counts else None

    def blocks(self) -> Iterator[list[Packet]]:
        """See `PacketSource`; raises the first of `damage` at the end."""
        waiting: list[tuple[int, int]] = []  # (time of the next packet, rank of the source), a heap
        cursors = [_Cursor(source) for source in self._sources]
        for rank, source in enumerate(self._sources):
            first_time = source.first_time if isinstance(source, CaptureFile) else None
            if first_time is None:  # a pipe, or no packet at all: only reading tells
                yield from self._advance(cursors[rank])
                first_time = cursors[rank].next_time
            if first_time is not None:
                heapq.heappush(waiting, (first_time, rank))
        gathered: list[Packet] = []
        while waiting:
            rank = heapq.heappop(waiting)[1]
            cursor = cursors[rank]
            if cursor.next_time is None:  # so far only its first time was known
                if gathered:
                    yield gathered
                    gathered = []
                yield from self._advance(cursor)
            taken = cursor.take(waiting[0] if waiting else None, rank)
            gathered = gathered + taken if gathered else taken
            # Before a source is read on: what it lost there stands behind these packets.
            if len(gathered) >= _BLOCK_PACKETS or cursor.next_time is None:
                yield gathered
                gathered = []
            if cursor.next_time is None:
                yield from self._advance(cursor)
            if cursor.next_time is not None:
                heapq.heappush(waiting, (cursor.next_time, rank))
        if self.damage:
            raise self.damage[0]

    def _advance(self, cursor: _Cursor) -> Iterator[list[Packet]]:
        """Bring `cursor` to its next packet, if it has one; yields `[]` for each wait."""
        try:
            for block in cursor.blocks:
                if block:
                    cursor.start(block)
                    return
                yield []
        except DamagedCapture as damage:
            self.damage.append(damage)


class _Cursor:
    """Where one source stands."""

    def __init__(self, source: PacketSource) -> None:
        self.blocks = source.blocks()
        self.next_time: int | None = None
        """The place of the next packet, which is the latest time up to it; None if no packet is at hand."""
        self._block: list[Packet] = []
        self._at = 0
        self._before = self._latest = 0  # latest time before the block, and up to its end
        self._times: list[int] = []  # the place of each packet of the block; made only when the block must be split

    def start(self, block: list[Packet]) -> None:
        """Stand at the beginning of a further block."""
        self._block, self._at, self._times = block, 0, []
        self._before = self._latest
        self._latest = max(self._before, max(map(_time, block)))
        self.next_time = max(self._before, block[0][0])

    def take(self, limit: tuple[int, int] | None, rank: int) -> list[Packet]:
        """The packets at hand that come before `limit`, another source's (time, rank)."""
        if limit is None or (self._latest, rank) < limit:
            taken = self._block[self._at :] if self._at else self._block
            self._block, self._at, self.next_time = [], 0, None
            return taken
        if not self._times:
            self._times = list(accumulate(map(_time, self._block), max, initial=self._before))[1:]
        bisect = bisect_right if rank < limit[1] else bisect_left
        end = bisect(self._times, limit[0], self._at)
        taken = self._block[self._at : end]
        self._at, self.next_time = end, self._times[end]
        return taken


def merge(sources: Sequence[PacketSource]) -> MergedCapture:
    """The sources as one, by time; see `MergedCapture`."""
    return MergedCapture(sources)

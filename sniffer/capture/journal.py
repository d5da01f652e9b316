"""The journal: what a live capture writes first, and its loader follows, so that live is replay.

A journal is a folder of segments `00000001.pcapng`, `00000002.pcapng`, ... (see `sniffer.capture.segment`), of limited size in
all: the oldest are deleted, read or not. Each segment's head counts what was written before it, so a reader that finds a
segment gone knows how many packets it missed. A batch that was not written whole ends in a torn packet, at the end of a
segment: a writer that goes on cuts it off and writes it again, so a reader keeps nothing of what is not whole yet; the next run
begins a new segment.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from sniffer.capture import CHUNK_BYTES, POLL_INTERVAL, capture_loss, pcapng
from sniffer.capture.ownership import Owned, gather
from sniffer.capture.segment import (
    END_OF_RUN,
    SegmentHead,
    folder_error,
    segment_head,
    segments,
)
from sniffer.errors import JournalError
from sniffer.model import Loss, Packet

_captured = itemgetter(2)


class Bookmark(NamedTuple):
    """What a reader knew where it began a segment: enough to begin there again."""

    segment: int
    run: int
    packets: int
    bytes: int
    counted: bool
    time: int | None
    ended_at: int | None
    kernel_drops: int | None
    given_up: int = 0


class JournalReader:
    """A `PacketSource` over the journal in `folder`, from its oldest segment on.

    `follow`: wait for more, for which it looks every `poll_interval` seconds, until `stop()`; what is there then is still read.
    `loaded`: so many packets of the journal are in the database already, and that they were deleted meanwhile is no loss.
    `begin`: where to begin, if not with the oldest segment. `blocks` raises `JournalError` if the folder cannot be read;
    damaged segments are losses.
    """

    def __init__(
        self,
        folder: Path,
        *,
        follow: bool = True,
        stop: Callable[[], bool] = lambda: False,
        loaded: int = 0,
        begin: Bookmark | None = None,
        poll_interval: float = POLL_INTERVAL,
    ) -> None:
        self.name = str(folder)
        """`lo@hostname` once a segment was read."""
        self.identity: str | None = None
        """The journal's uuid; None until a segment was read."""
        self.position = 0
        """Packets of the journal before the block that was yielded last; those that were deleted count."""
        self.ended_at: int | None = None
        """When (ns) the latest run ended cleanly, if all of it was read."""
        self.losses: list[Loss] = []
        self.owners: list[Owned] = []
        """Who has which connection, as it is met; the reader drains it."""
        self.bytes_read = 0
        self.total_bytes: int | None = None
        self.kernel_drops: int | None = None
        self._folder, self._follow, self._stop = folder, follow, stop
        self._number = 0  # of the present segment
        self._run = 0
        self._time: int | None = None  # of the latest packet
        # Packets and bytes of the journal up to here, and whether that is known: behind damage it is not.
        self._packets, self._bytes, self._counted = loaded, 0, True
        self._given_up = 0
        self._loaded = loaded
        self._poll_interval = poll_interval
        self.bookmark: Bookmark | None = None
        """Of the segment that the latest block is from."""
        if begin is not None:
            self._number, self._run = begin.segment - 1, begin.run
            self._packets, self._bytes, self._counted = begin.packets, begin.bytes, begin.counted
            self._time, self.ended_at, self.kernel_drops = begin.time, begin.ended_at, begin.kernel_drops
            self._given_up = begin.given_up
        if not follow:
            with contextlib.suppress(FileNotFoundError):  # deleted this moment, by a writer that still runs
                self.total_bytes = sum(path.stat().st_size for _, path in segments(folder))

    @property
    def read_packets(self) -> int:
        """Packets of the journal up to and with the latest block."""
        return self._packets

    @property
    def latest(self) -> int | None:
        """Wire time of the latest packet that was read."""
        return self._time

    def blocks(self) -> Iterator[list[Packet]]:
        """See `PacketSource`."""
        while True:
            stopping = not self._follow or self._stop()
            newer = self._newer()
            if newer:
                self._number, path = newer
                yield from self._read(path)
            elif stopping:
                return
            else:
                yield []
                time.sleep(self._poll_interval)

    def _newer(self) -> tuple[int, Path] | None:
        """The segment after the present one."""
        try:
            return next((found for found in segments(self._folder) if found[0] > self._number), None)
        except JournalError:
            if self.identity is None or not self._follow:
                raise
            return None  # the folder vanished meanwhile: its writer says so, and it may come back

    def _read(self, path: Path) -> Iterator[list[Packet]]:
        """One segment, until it is read and there is a newer one, or the reader is to stop."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return  # deleted this moment: the next head says what it held
        except OSError as error:
            raise folder_error(path, error) from None
        decoder = pcapng.PcapngDecoder(statistics_apart=True)
        self.bookmark = Bookmark(
            self._number,
            self._run,
            self._packets,
            self._bytes,
            self._counted,
            self._time,
            self.ended_at,
            self.kernel_drops,
            self._given_up,
        )
        problem: str | None = None
        offset, head, last_look = 0, None, False
        try:
            while not problem:
                data = os.pread(descriptor, max(CHUNK_BYTES, decoder.wanted), offset)
                packets, used = decoder.decode(data)
                if not used and not decoder.damage:  # nothing more is whole
                    if last_look:
                        break
                    last_look = not self._follow or self._stop() or self._newer() is not None
                    if not last_look:
                        yield []
                        time.sleep(self._poll_interval)
                    continue
                self.bytes_read += used
                offset += used
                problem = decoder.damage
                if head is None:
                    head = segment_head(decoder)
                    if head is None:
                        problem = "it is no segment of a journal"
                        break
                    # Its own time and that of its first packet, which may have waited in the ring.
                    began = [at for at in (decoder.statistics_time, *(packet[0] for packet in packets[:1])) if at is not None]
                    self._begin(head, decoder.names[0] if decoder.names else "", min(began, default=None))
                if decoder.kernel_drops is not None:
                    self.kernel_drops = decoder.kernel_drops
                self.ended_at = decoder.statistics_time if decoder.statistics_comment == END_OF_RUN else None
                gather(self.owners, decoder.comments)
                if packets:
                    self.position = self._packets
                    self._packets += len(packets)
                    self._bytes += sum(map(len, map(_captured, packets)))
                    self._time = packets[-1][0]
                    yield packets
            if problem:
                self._counted = False
            elif data and (not self._follow or self._newer()):  # else the rest may still come
                problem = "its writer was stopped inside a batch"
            if problem:
                size = os.fstat(descriptor).st_size - offset
                self.losses.append(capture_loss(f"journal segment {path.name}: {problem}", size=size, from_time=self._time))
        finally:
            os.close(descriptor)

    def _begin(self, head: SegmentHead, interface: str, began: int | None) -> None:
        """Compare a segment's head with what was read so far, and note what is missing between them. `began`: when (ns)."""
        if self.identity not in (None, head.journal):
            raise JournalError(f"{self._folder}: segments of two journals; move those of one into a folder of their own")
        self.identity = head.journal
        self.name = f"{interface}@{head.host}"
        if self._run and head.run != self._run:
            since, reason = self.ended_at, "the recording was stopped, and started again: nothing was captured in between"
            if since is None:
                reason = "the recording was stopped without its end; packets that it had not written yet are lost"
                since = self._time
            self.losses.append(capture_loss(reason, from_time=since, to_time=began))
        missing = head.packets - self._packets
        if missing > 0 and self._counted:
            size = head.bytes - self._bytes if self._run or not self._loaded else None
            reason = f"journal segments were deleted before they were loaded: {missing} packets"
            if missing == head.given_up - self._given_up:
                reason = f"the journal could not be written, and the capture process was killed: {missing} packets"
            self.losses.append(capture_loss(reason, size=size, from_time=self._time, to_time=began))
        if self._run:  # no journal of ours counts back
            head = head._replace(packets=max(head.packets, self._packets), bytes=max(head.bytes, self._bytes))
        self._run, self._packets, self._bytes, self._counted = head.run, head.packets, head.bytes, True
        self._given_up = head.given_up

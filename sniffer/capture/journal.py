"""The journal: what a live capture writes first, and its loader follows, so that live is replay.

A journal is a folder of segments `00000001.pcapng`, `00000002.pcapng`, ... (see `sniffer.capture.segment`), of limited size in
all: the oldest are deleted, read or not. Each segment's head counts what was written before it, so a reader that finds a
segment gone knows how many packets it missed. Batches are written whole, each with one call, so `kill -9` tears one batch at
most, at the end of a segment; the next run begins a new one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import time
import uuid
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from operator import itemgetter
from pathlib import Path
from typing import Final, NamedTuple

from sniffer.capture import CHUNK_BYTES, POLL_INTERVAL, capture_loss, pcapng
from sniffer.capture.segment import (
    END_OF_RUN,
    SUFFIX,
    SegmentHead,
    encode_head,
    encode_packets,
    encode_statistics,
    folder_error,
    segment_head,
    segments,
)
from sniffer.errors import JournalError
from sniffer.model import Loss, Packet

_captured = itemgetter(2)
_UNFINISHED: Final = ".new"
_SHARES: Final = 4  # segments that a journal of the least size has: its reader must be able to lag behind


class JournalWriter:
    """Appends packets to the journal in `folder`, as a new run in a new segment. A journal has one writer at a time.

    `interfaces` are (name, link type) of what is captured. A segment takes up to `segment_bytes` (or one packet, if that is
    larger), all of them together up to `max_bytes`. Every method raises `JournalError` if folder or disk does not let us;
    what was written before stays readable, and a later `write` tries again in a new segment.
    """

    def __init__(
        self, folder: Path, interfaces: Sequence[tuple[str, int]], *, segment_bytes: int = 64 << 20, max_bytes: int = 4 << 30
    ) -> None:
        self._folder, self._interfaces = folder, interfaces
        self._max_bytes = max_bytes
        self._segment_bytes = min(segment_bytes, max_bytes // _SHARES)
        self._segment: int | None = None  # the descriptor of the one that is written
        self._size = 0  # of it
        self._time = time.time_ns()  # of the latest packet
        self._lock = _lock(folder)
        try:
            existing = segments(folder)
            self._number = existing[-1][0] if existing else 0
            last = _last_state([path for _, path in existing])
            self._state = last._replace(run=last.run + 1, host=socket.gethostname())  # what a next head would say
            self._earlier_drops = last.drops or 0
            self._start_segment()
        except BaseException:
            os.close(self._lock)
            raise

    @property
    def identity(self) -> str:
        """The journal's uuid."""
        return self._state.journal

    def write(self, packets: list[Packet], interface: int = 0) -> None:
        """Append packets of the interface with this index, with their checksum marks."""
        while packets:
            if self._segment is None:
                self._start_segment()
            parts = encode_packets(packets, interface, self._segment_bytes - self._size)
            if not parts and self._state.packets == self._head.packets:  # larger than a whole segment
                parts = encode_packets(packets[:1], interface, pcapng.BLOCK_LIMIT)
            if not parts:
                self._start_segment()
                continue
            count = len(parts) // 3
            self._time = packets[count - 1][0]
            self._put(parts, count)
            packets = packets[count:]

    def statistics(self, drops: int | None) -> None:
        """Note how many packets the kernel has dropped since this run began; None if nobody counts."""
        if drops is None or self._state.drops == self._earlier_drops + drops:
            return
        self._state = self._state._replace(drops=self._earlier_drops + drops)
        if self._segment is not None:
            self._put([encode_statistics(self._time, self._state.drops)])

    def flush(self) -> None:
        """Force what was written onto the disk, against a power cut; readers see it without. Takes milliseconds."""
        if self._segment is not None:
            try:
                os.fdatasync(self._segment)
            except OSError as error:
                raise self._unwritable(error) from None

    def close(self) -> None:
        """End the run: readers then know that nothing is missing."""
        if self._lock < 0:
            return
        try:
            if self._segment is not None:
                self._put([encode_statistics(self._time, self._state.drops, END_OF_RUN)])
        finally:
            self._give_up_segment()
            os.close(self._lock)
            self._lock = -1

    def _start_segment(self) -> None:
        """Begin the next segment, which appears in the folder with its head complete."""
        self._give_up_segment()
        self._head = self._state
        self._number += 1
        path = self._folder / f"{self._number:08}{SUFFIX}"
        unfinished = path.with_suffix(_UNFINISHED)
        try:
            self._make_room()
            unfinished.unlink(missing_ok=True)
            self._segment = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
            if os.geteuid() == 0:  # under sudo, or before privileges are dropped: the folder's owner is to read it
                owner = self._folder.stat()
                os.fchown(self._segment, owner.st_uid, owner.st_gid)
            self._size = 0
            self._put([encode_head(self._head, self._interfaces), encode_statistics(self._time, self._head.drops)])
            unfinished.rename(path)
        except OSError as error:
            self._give_up_segment()
            raise self._unwritable(error) from None
        finally:
            with contextlib.suppress(OSError):
                unfinished.unlink(missing_ok=True)

    def _make_room(self) -> None:
        """Delete the oldest segments until one more fits."""
        sizes = [(path, path.stat().st_size) for _, path in segments(self._folder)]
        total = sum(size for _, size in sizes) + self._segment_bytes
        for path, size in sizes:
            if total <= self._max_bytes:
                break
            path.unlink(missing_ok=True)
            total -= size

    def _put(self, parts: list[bytes], packets: int = 0) -> None:
        """Write blocks; if they are `packets`, `encode_packets` made them."""
        assert self._segment is not None
        data = memoryview(b"".join(parts))
        written = 0
        problem: OSError | None = None
        try:
            while written < len(data):
                written += os.write(self._segment, data[written:])
        except OSError as error:
            # The torn piece stays: a reader may have seen it, so nothing else may ever stand in its place.
            problem = error
            packets = min(packets, bisect_right(list(accumulate(map(len, parts))), written) // 3)
        captured = sum(map(len, parts[1 : 3 * packets : 3]))
        self._state = self._state._replace(packets=self._state.packets + packets, bytes=self._state.bytes + captured)
        self._size += written
        if problem:
            self._give_up_segment()
            raise self._unwritable(problem)

    def _give_up_segment(self) -> None:
        if self._segment is not None:
            os.close(self._segment)
            self._segment = None

    def _unwritable(self, error: OSError) -> JournalError:
        if isinstance(error, FileNotFoundError):
            return folder_error(self._folder, error)
        return JournalError(f"{self._folder}: cannot write the journal: {error.strerror}; what was written before is safe")


def _lock(folder: Path) -> int:
    """A descriptor that holds the folder's lock until it is closed, or the process ends."""
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise folder_error(folder, error) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise JournalError(f"{folder}: another recording writes to this journal; stop it, or name another --journal") from None
    return lock


def _last_state(paths: list[Path]) -> SegmentHead:
    """The counts at the end of the newest segment that is readable; those of a new journal if there is none."""
    for path in reversed(paths):
        decoder = pcapng.PcapngDecoder()
        packets = captured = 0
        rest = b""
        try:
            with path.open("rb") as file:
                while not decoder.damage and (chunk := file.read(CHUNK_BYTES)):
                    block, used = decoder.decode(rest + chunk)
                    rest = (rest + chunk)[used:]
                    packets += len(block)
                    captured += sum(len(packet[2]) for packet in block)
        except OSError as error:
            raise folder_error(path, error) from None
        if head := segment_head(decoder):
            drops = head.drops if decoder.kernel_drops is None else decoder.kernel_drops
            return head._replace(packets=head.packets + packets, bytes=head.bytes + captured, drops=drops)
    return SegmentHead(str(uuid.uuid4()), 0, 0, 0, None, "")


class Bookmark(NamedTuple):
    """What a reader knew where it began a segment: enough to begin there again."""

    segment: int
    run: int
    packets: int
    bytes: int
    counted: bool
    time: int | None
    ended: bool
    kernel_drops: int | None


class JournalReader:
    """A `PacketSource` over the journal in `folder`, from its oldest segment on.

    `follow`: wait for more until `stop()`; what is there then is still read. `loaded`: so many packets of the journal are in
    the database already, and that they were deleted meanwhile is no loss. `begin`: where to begin, if not with the oldest
    segment. `blocks` raises `JournalError` if the folder cannot be read; damaged segments are losses.
    """

    def __init__(
        self,
        folder: Path,
        *,
        follow: bool = True,
        stop: Callable[[], bool] = lambda: False,
        loaded: int = 0,
        begin: Bookmark | None = None,
    ) -> None:
        self.name = str(folder)
        """`lo@hostname` once a segment was read."""
        self.identity: str | None = None
        """The journal's uuid; None until a segment was read."""
        self.position = 0
        """Packets of the journal before the block that was yielded last; those that were deleted count."""
        self.ended = False
        """The latest run ended cleanly, and all of it was read."""
        self.losses: list[Loss] = []
        self.bytes_read = 0
        self.total_bytes: int | None = None
        self.kernel_drops: int | None = None
        self._folder, self._follow, self._stop = folder, follow, stop
        self._number = 0  # of the present segment
        self._run = 0
        self._time: int | None = None  # of the latest packet
        # Packets and bytes of the journal up to here, and whether that is known: behind damage it is not.
        self._packets, self._bytes, self._counted = loaded, 0, True
        self._loaded = loaded
        self.bookmark: Bookmark | None = None
        """Of the segment that the latest block is from."""
        if begin is not None:
            self._number, self._run = begin.segment - 1, begin.run
            self._packets, self._bytes, self._counted = begin.packets, begin.bytes, begin.counted
            self._time, self.ended, self.kernel_drops = begin.time, begin.ended, begin.kernel_drops
        if not follow:
            with contextlib.suppress(FileNotFoundError):  # deleted this moment, by a writer that still runs
                self.total_bytes = sum(path.stat().st_size for _, path in segments(folder))

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
                time.sleep(POLL_INTERVAL)

    def _newer(self) -> tuple[int, Path] | None:
        """The segment after the present one."""
        return next((found for found in segments(self._folder) if found[0] > self._number), None)

    def _read(self, path: Path) -> Iterator[list[Packet]]:
        """One segment, until it is read and there is a newer one, or the reader is to stop."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return  # deleted this moment: the next head says what it held
        except OSError as error:
            raise folder_error(path, error) from None
        decoder = pcapng.PcapngDecoder()
        self.bookmark = Bookmark(
            self._number, self._run, self._packets, self._bytes, self._counted, self._time, self.ended, self.kernel_drops
        )
        problem: str | None = None
        data, offset, head, last_look = b"", 0, None, False
        try:
            while not problem:
                chunk = os.read(descriptor, CHUNK_BYTES)
                if not chunk:
                    if last_look:
                        break
                    last_look = not self._follow or self._stop() or self._newer() is not None
                    if not last_look:
                        yield []
                        time.sleep(POLL_INTERVAL)
                    continue
                self.bytes_read += len(chunk)
                data = data + chunk if data else chunk
                packets, used = decoder.decode(data)
                data = data[used:]
                offset += used
                problem = decoder.damage
                if head is None:
                    head = segment_head(decoder)
                    if head is None:
                        problem = "it is no segment of a journal"
                        break
                    self._begin(head, decoder.names[0] if decoder.names else "", packets)
                if decoder.kernel_drops is not None:
                    self.kernel_drops = decoder.kernel_drops
                self.ended = decoder.statistics_comment == END_OF_RUN
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

    def _begin(self, head: SegmentHead, interface: str, packets: list[Packet]) -> None:
        """Compare a segment's head with what was read so far, and note what is missing between them."""
        if self.identity not in (None, head.journal):
            raise JournalError(f"{self._folder}: segments of two journals; move those of one into a folder of their own")
        self.identity = head.journal
        self.name = f"{interface}@{head.host}"
        to_time = packets[0][0] if packets else None
        if self._run and head.run != self._run and not self.ended:
            reason = "the recording was stopped without its end; packets that it had not written yet are lost"
            self.losses.append(capture_loss(reason, from_time=self._time, to_time=to_time))
        missing = head.packets - self._packets
        if missing > 0 and self._counted:
            size = head.bytes - self._bytes if self._run or not self._loaded else None
            reason = f"journal segments were deleted before they were loaded: {missing} packets"
            self.losses.append(capture_loss(reason, size=size, from_time=self._time, to_time=to_time))
        self._run, self._packets, self._bytes, self._counted = head.run, head.packets, head.bytes, True

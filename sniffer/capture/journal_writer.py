"""What writes the journal; `sniffer.capture.journal` says what a journal is, and reads it.

A batch of packets may be cut short by a full disk or by the writer's death. A full disk: whole packets of the batch stay, a
torn one is cut off, and the writer says how many it took. Its death: the packets are still in the kernel's ring, so another
process takes the writer's place (`resume`), cuts off the torn packet, and counts which of the ring's packets stand in the
segment behind the last `Mark`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import time
import uuid
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Final, NamedTuple

from sniffer.capture import CHUNK_BYTES, pcapng
from sniffer.capture.mounts import Mount
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
    tally,
)
from sniffer.errors import JournalBusy, JournalError
from sniffer.model import Packet

_UNFINISHED: Final = ".new"
_SHARES: Final = 4  # segments that a journal of the least size has: its reader must be able to lag behind


class Mark(NamedTuple):
    """How far a writer has come, for one that takes its place."""

    segment: int  # its number
    size: int  # bytes of it
    packets: int  # of the journal
    bytes: int  # captured bytes of these
    taken: tuple[int, ...]  # of each interface, in the capture's count: all packets up to there are in the journal
    ahead: tuple[int, ...]  # and so many behind it
    held: tuple[int, int] = (0, 0)  # of those up to there, packets and bytes that are not yet: the writer's process has them
    given_up: int = 0  # of `packets`


class JournalWriter:
    """Appends packets to the journal in `folder`, as a new run in a new segment. A journal has one writer at a time.

    `interfaces` are (name, link type) of what is captured. A segment takes up to `segment_bytes` (or one packet, if that is
    larger), all of them together up to `max_bytes`. `commit` is given each mark, before anything is written behind it.
    Every method raises `JournalError` if folder or disk does not let us; what was written before stays readable, and a later
    call tries again.
    """

    def __init__(
        self,
        folder: Path,
        interfaces: Sequence[tuple[str, int]],
        *,
        segment_bytes: int = 64 << 20,
        max_bytes: int = 4 << 30,
        commit: Callable[[Mark], None] = lambda mark: None,
    ) -> None:
        self._folder, self._interfaces, self._commit = folder, interfaces, commit
        self._max_bytes = max_bytes
        self._segment_bytes = min(segment_bytes, max_bytes // _SHARES)
        self._segment: int | None = None  # the descriptor of the one that is written
        self._size = 0  # of it
        self._time = time.time_ns()  # of the latest packet
        self._taken, self._ahead, self._held = [0] * len(interfaces), [0] * len(interfaces), (0, 0)
        self._lock = _lock(folder)
        self._mount = Mount(folder)
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

    @property
    def written(self) -> tuple[int, int]:
        """(packets, captured bytes) of the journal so far."""
        return self._state.packets, self._state.bytes

    def ahead(self, interface: int = 0) -> int:
        """How many packets of an interface stand behind what `settle` was last told: the first ones of its next batch."""
        return self._ahead[interface]

    def write(self, packets: list[Packet], interface: int = 0) -> None:
        """Append packets of the interface with this index, with their checksum marks; after an error, `ahead` says how many."""
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
            self._put(parts, interface)
            packets = packets[count:]

    def settle(self, taken: int, interface: int = 0, held: tuple[int, int] = (0, 0)) -> None:
        """All packets of an interface up to `taken`, in the capture's count, are in the journal.

        `held`: so many packets and bytes of all interfaces are not, but wait in this process, and are written before any other.
        """
        self._taken[interface], self._ahead[interface], self._held = taken, 0, held
        self._commit(self._mark())

    def statistics(self, drops: int | None, comment: str = "") -> None:
        """Note how many packets the kernel has dropped since this run began (None: nobody counts), or what a comment says."""
        if drops is not None:
            drops += self._earlier_drops
        if not comment and (drops is None or self._state.drops == drops):
            return
        if self._segment is None:
            self._start_segment()
        self._state = self._state._replace(drops=self._state.drops if drops is None else drops)
        self._put([encode_statistics(time.time_ns(), self._state.drops, comment)])

    def flush(self) -> None:
        """Force what was written onto the disk, against a power cut; readers see it without. Takes milliseconds."""
        if self._segment is not None:
            try:
                os.fdatasync(self._segment)
            except OSError as error:
                self._give_up_segment()
                raise self._unwritable(error) from None

    def verify(self) -> None:
        """See that the segment still stands in the folder: that may have vanished. The call after an error begins a new one."""
        if self._segment is None:
            self._start_segment()
            return
        self._need_mount()
        try:
            there, ours = self._path(self._number).stat(), os.fstat(self._segment)
            if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
                return
            problem = OSError(0, "its segment was replaced")
        except OSError as error:
            problem = error
        self._give_up_segment()
        raise self._unwritable(problem)

    def detach(self) -> None:
        """Leave the writing to another process, which shares this object by `fork` and calls `resume`."""
        self._give_up_segment()

    def resume(self, mark: Mark, drops: int | None) -> None:
        """Take the place of a writer that died after `mark`; `drops`: packets dropped by the kernel in this run."""
        self._give_up_segment()
        self._number, self._size = mark.segment, mark.size
        self._state = self._state._replace(packets=mark.packets, bytes=mark.bytes, given_up=mark.given_up)
        self._taken, self._ahead = list(mark.taken), list(mark.ahead)
        if drops is not None:
            self._state = self._state._replace(drops=self._earlier_drops + drops)
        self._need_mount()
        try:
            segment = os.open(self._path(mark.segment), os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        except FileNotFoundError:  # it died before the segment appeared
            self._number -= 1
            self._give_up(*mark.held)
            return
        except OSError as error:
            raise self._unwritable(error) from None
        self._segment = segment
        try:
            tail = os.pread(segment, max(0, os.fstat(segment).st_size - mark.size), mark.size)
            whole, captured, counts = tally(tail, len(self._interfaces))
            os.ftruncate(segment, mark.size + whole)
        except OSError as error:
            self._give_up_segment()
            raise self._unwritable(error) from None
        self._size += whole
        self._state = self._state._replace(packets=mark.packets + sum(counts), bytes=mark.bytes + captured)
        if mark.held[0]:  # what stands there is of these; the others died with their process
            self._give_up(mark.held[0] - sum(counts), mark.held[1] - captured)
        else:
            self._ahead = [before + count for before, count in zip(self._ahead, counts, strict=True)]
        self._commit(self._mark())

    def close(self, at: int | None = None) -> None:
        """End the run: readers then know that nothing is missing until `at` (ns; None: now)."""
        if self._segment is not None:
            self._put([encode_statistics(time.time_ns() if at is None else at, self._state.drops, END_OF_RUN)])
        self.abandon()

    def abandon(self) -> None:
        """Close what is open and write nothing: in a process that does not write, or where nothing can be written."""
        self._give_up_segment()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    # --- segments ----------------------------------------------------------------------------------------------------------

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:08}{SUFFIX}"

    def _mark(self) -> Mark:
        state = self._state
        where = self._number, self._size, state.packets, state.bytes
        return Mark(*where, tuple(self._taken), tuple(self._ahead), self._held, state.given_up)

    def _give_up(self, packets: int, captured: int) -> None:
        """Packets that will never be written: the head of a new segment says so."""
        self._held = (0, 0)
        if packets > 0:
            state = self._state
            self._state = state._replace(
                packets=state.packets + packets, bytes=state.bytes + captured, given_up=state.given_up + packets
            )
            self._give_up_segment()

    def _start_segment(self) -> None:
        """Begin the next segment, which appears in the folder with its head complete."""
        self._give_up_segment()
        self._need_mount()
        self._head = self._state
        path = self._path(self._number + 1)
        unfinished = path.with_suffix(_UNFINISHED)
        try:
            self._make_room()
            unfinished.unlink(missing_ok=True)
            self._segment = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
            if os.geteuid() == 0:  # under sudo, or before privileges are dropped: the folder's owner is to read it
                owner = self._folder.stat()
                os.fchown(self._segment, owner.st_uid, owner.st_gid)
            self._size = 0
            self._put([encode_head(self._head, self._interfaces), encode_statistics(time.time_ns(), self._head.drops)])
            self._number += 1
            self._commit(self._mark())
            unfinished.rename(path)
        except OSError as error:
            self._give_up_segment()
            raise self._unwritable(error) from None
        finally:
            with contextlib.suppress(OSError):
                unfinished.unlink(missing_ok=True)

    def _need_mount(self) -> None:
        """What is written beside a mount that vanished would be hidden by it when it comes back."""
        if gone := self._mount.gone:
            self._give_up_segment()
            raise JournalError(f"{self._folder}: cannot write the journal: {gone}")

    def _make_room(self) -> None:
        """Delete the oldest segments until one more fits."""
        sizes = [(path, path.stat().st_size) for _, path in segments(self._folder)]
        total = sum(size for _, size in sizes) + self._segment_bytes
        for path, size in sizes:
            if total <= self._max_bytes:
                break
            path.unlink(missing_ok=True)
            total -= size

    def _put(self, parts: list[bytes], interface: int | None = None) -> None:
        """Write blocks; if they are packets of an interface, `encode_packets` made them, in three parts each."""
        assert self._segment is not None
        data = memoryview(b"".join(parts))
        written = 0
        problem: OSError | None = None
        try:
            while written < len(data):
                written += os.write(self._segment, data[written:])
        except OSError as error:
            problem = error
        packets = len(parts) // 3 if interface is not None else 0
        if problem:
            ends = list(accumulate(map(len, parts)))
            packets = min(packets, bisect_right(ends, written) // 3)
            whole = ends[3 * packets - 1] if packets else 0
            try:
                os.ftruncate(self._segment, self._size + whole)
                written = whole
            except OSError:  # the torn piece stays: nothing may stand behind it
                self._give_up_segment()
        if interface is not None:
            captured = sum(map(len, parts[1 : 3 * packets : 3]))
            self._state = self._state._replace(packets=self._state.packets + packets, bytes=self._state.bytes + captured)
            self._ahead[interface] += packets
        self._size += written
        if problem:
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
        raise JournalBusy(f"{folder}: another recording writes to this journal; stop it, or name another --journal") from None
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

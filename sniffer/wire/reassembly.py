"""One direction of a TCP connection: segments in, an ordered stream of data and gaps out (RFC 9293).

The rules, in the order in which they bite:

1. Bytes are placed by sequence number, never judged by window. Only what stands far from all that was seen has to be proved
   (`strays.py`).
2. Data is handed on when it is *settled*: the peer has acknowledged it, or `gap_wait` of capture time has passed since. Until
   then another copy may still show up. Copies that agree are one; where copies of an unsettled byte differ nobody can tell
   which one the receiver took, so the byte becomes a gap. A copy of a settled byte is ignored, as the receiver ignores it.
   Where more than a limit waits, the oldest is taken as settled.
3. A hole is given up - becomes a gap - when the peer has acknowledged past it and `gap_wait` has passed without a filling
   segment (capture queues reorder), or nobody acknowledges for `gap_wait_unacknowledged`, or a limit on held bytes is passed,
   or the stream ends.
4. A segment that may be damaged (`Side` decides by checksum) never gets here; one that the snap length cut counts as not
   seen. What is known of such bytes only names the reason of the gap.

The result depends on the packets and their order alone, not on how they were cut into blocks: whatever time brings about is
brought about before the next packet is looked at, with the times at which it was due. What time it is, `clock` says: the latest
time of all packets so far, those of other flows included. A packet's own time may step back behind it, and says only when its
bytes came.

Offsets count stream bytes from the first known one; sequence numbers are 32 bits and wrap.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from sniffer.config import Limits
from sniffer.wire.pieces import end_of, index_at, insert_new, mark_conflicts, start_of
from sniffer.wire.stream import End, Gap, Item, time_of

SEQUENCE_SPACE: Final = 1 << 32
SEQUENCE_MASK: Final = SEQUENCE_SPACE - 1
HALF_SPACE: Final = 1 << 31

NOT_CAPTURED: Final = "not captured"
WINDOW: Final = 1 << 20
"""How far from what was seen a number may stand and still be believed: about a window."""
_NEVER: Final = 1 << 64
_REMEMBERED: Final = 64
"""Byte ranges of unusable segments that are remembered, to name the reason of a gap."""


def sequence_difference(a: int, b: int) -> int:
    """a - b of two 32-bit sequence numbers, as the signed distance of less than half the space (RFC 9293 section 3.4)."""
    return ((a - b + HALF_SPACE) & SEQUENCE_MASK) - HALF_SPACE


class Stream:
    """The bytes that one side sends.

    `clean`, `next_seq`, `offset`, `items` and `acked` are read and written by the engine's fast path: while `clean`, a segment
    at `next_seq` may be appended to `items` as it is, and `acked` set to the peer's latest acknowledgement number. `clock` and
    `latest`, the time of the connection's latest packet until then, are set before anything else is told.
    """

    __slots__ = (
        "_end_offset",
        "_ended",
        "_finished",
        "_held",
        "_hole_acked_since",
        "_hole_acked_to",
        "_hole_seen_since",
        "_limits",
        "_sure",
        "_unusable",
        "acked",
        "checked",
        "clean",
        "clock",
        "held_bytes",
        "items",
        "latest",
        "lost",
        "next_seq",
        "offloaded",
        "offset",
        "started",
    )

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.offloaded = False
        """Its checksums mean nothing: see `side.py`."""
        self.checked = False
        """Whether it is known what its checksums are worth; until then no segment may take the fast path past `Side.admit`."""
        self.started = False
        self.clean = False
        self.clock = 0
        self.latest = 0
        self.next_seq = 0
        self.offset = 0
        self.acked = 0
        self.items: list[Item] = []
        """In order and without holes, not handed on yet."""
        self.lost = 0
        self.held_bytes = 0
        self._held: list[Item] = []  # beyond a hole
        self._hole_acked_since: int | None = None
        self._hole_acked_to = 0
        self._hole_seen_since: int | None = None
        self._unusable: deque[tuple[int, int, str, bool]] = deque(maxlen=_REMEMBERED)
        self._end_offset: int | None = None
        self._finished = False  # a FIN said where it ends
        self._ended = False
        self._sure = True  # that its first byte has the number that it was started with

    def start(self, seq: int, *, sure: bool = True) -> None:
        """The first byte of the stream has sequence number `seq`.

        `sure` False: a segment without payload says so, which may be a keep-alive probe. Such a one has the number before.
        """
        self.started, self._sure = True, sure
        self.next_seq = self.acked = seq
        self._update_clean()

    def _correct_start(self, seq: int) -> None:
        """`seq` is heard of: where it is the first that is, and the next one, what began the stream was a probe."""
        if not self._sure and sequence_difference(seq, self.next_seq) == 1 and not self.offset and not self._held:
            self.start(seq)

    def check(self, *, offloaded: bool) -> None:
        """It is known what its checksums are worth: they are right, or mean nothing."""
        self.checked, self.offloaded = True, offloaded
        self._update_clean()

    @property
    def waiting(self) -> bool:
        """Whether time alone can bring something forth: a hole to give up, or data to settle."""
        return bool(self.items) or self._hole_acked_since is not None or self._hole_seen_since is not None

    @property
    def unsettled_bytes(self) -> int:
        """Bytes in order that wait to be settled; a hole among them counts as if it were bytes."""
        return self.offset - start_of(self.items[0]) if self.items else 0

    @property
    def held_since(self) -> int | None:
        """The earliest wire time of what is held beyond a hole."""
        return min(map(time_of, self._held), default=None)

    @property
    def extent(self) -> int:
        """Stream bytes that the sequence numbers seen so far imply."""
        return max(self.offset, end_of(self._held[-1]) if self._held else 0, self._acked_offset(), self._end_offset or 0)

    def _acked_offset(self) -> int:
        """Up to here the peer has taken bytes. A FIN takes a sequence number, but is no byte."""
        acked = self.offset + sequence_difference(self.acked, self.next_seq)
        return acked if self._end_offset is None else min(acked, self._end_offset)

    def is_near(self, number: int) -> bool:
        """Whether a number stands about where something of this side, or an acknowledgement of it, was seen."""
        ahead = sequence_difference(number, self.next_seq)
        if abs(ahead) <= WINDOW or abs(sequence_difference(number, self.acked)) <= WINDOW:
            return True
        return bool(self._held) and abs(self.offset + ahead - end_of(self._held[-1])) <= WINDOW

    # --- segments --------------------------------------------------------------------------------------------------------

    def segment(self, time: int, seq: int, payload: bytes) -> int:
        """Payload at `seq`, in order or not. How much of it lies before the stream's beginning, so has no place in it."""
        self.elapse(time)
        self._correct_start(seq)
        offset = self.offset + sequence_difference(seq, self.next_seq)
        if offset == self.offset - 1 and len(payload) <= 1:
            return 0  # a keep-alive probe: one old byte, of any value (RFC 9293 section 3.8.4)
        before = min(max(0, -offset), len(payload))
        if offset < self.offset:
            payload = self._compare_with_items(time, offset, payload)
            offset = self.offset
        if not payload:
            return before
        if offset == self.offset and not self._held:
            self.items.append((offset, time, payload))
            self._advance(len(payload))
            if self._hole_acked_since is not None or self._hole_seen_since is not None:
                self._hole_advanced(time)
        else:
            self._hold(time, offset, payload)
            self._release(time)
        self._update_clean()
        return before

    def fin(self, time: int, seq: int) -> None:
        """A FIN at `seq`, the number that follows the last byte."""
        self.elapse(time)
        self._correct_start(seq)
        offset = self.offset + sequence_difference(seq, self.next_seq)
        if self._end_offset is None and offset >= self.offset:
            self._end_offset = offset
            self._finished = True
            self._hole_acked_to = min(self._hole_acked_to, offset)  # the number that was acknowledged beyond it is the FIN's
            if self._hole_acked_to <= self.offset:
                self._hole_acked_since = None
        self.clean = False

    def reset(self, time: int, seq: int) -> bool:
        """A RST at `seq`: where the sender stood. False for one from far outside, which is no word of this sender's."""
        if not self.started:
            return True
        self.elapse(time)
        self._correct_start(seq)
        ahead = sequence_difference(seq, self.next_seq)
        if abs(ahead) > WINDOW:
            return False
        if self._end_offset is None and ahead > 0:
            self._end_offset = self.offset + ahead
        self.clean = False
        return True

    def unusable(self, time: int, seq: int, length: int, reason: str, *, proved: bool) -> None:
        """A segment whose bytes cannot be used: if they stay a hole, `reason` is its reason.

        `proved`: its head is believed, so the hole is known of; else only other packets can prove that there is one.
        """
        self.elapse(time)
        if proved:
            self._correct_start(seq)
        offset = self.offset + sequence_difference(seq, self.next_seq)
        if not length or offset + length <= self.offset:
            return
        self._unusable.append((offset, offset + length, reason, proved))
        if proved:
            if self._hole_seen_since is None:
                self._hole_seen_since = time
            self.clean = False

    def acknowledge(self, time: int, ack: int) -> None:
        """The peer acknowledges everything before sequence number `ack`."""
        self.elapse(time)
        self._correct_start(ack)
        if sequence_difference(ack, self.acked) > 0:
            self.acked = ack
        if self._hole_acked_since is None and self._acked_offset() > self.offset:
            self._hole_acked_since, self._hole_acked_to = time, self._acked_offset()
            self._update_clean()

    def _advance(self, length: int) -> None:
        self.offset += length
        self.next_seq = (self.next_seq + length) & SEQUENCE_MASK

    def _update_clean(self) -> None:
        self.clean = (
            self.started
            and self.checked
            and not self._held
            and self._hole_acked_since is None
            and self._hole_seen_since is None
            and self._end_offset is None
        )

    def _compare_with_items(self, time: int, offset: int, payload: bytes) -> bytes:
        """Hold an old segment against what waits to be settled; returns its part that is new."""
        old, new = payload[: self.offset - offset], payload[self.offset - offset :]
        floor = max(offset, self._acked_offset())
        if floor < offset + len(old):
            first = max(self._settled(), index_at(self.items, floor))
            self.lost += mark_conflicts(self.items, first, time, floor, old[floor - offset :])
        return new

    # --- out of order ----------------------------------------------------------------------------------------------------

    def _hold(self, time: int, offset: int, payload: bytes) -> None:
        """Keep a segment that lies beyond a hole; parts that are held already are compared and cut off."""
        if self._hole_seen_since is None:
            self._hole_seen_since = time
        conflicts = mark_conflicts(self._held, index_at(self._held, offset), time, offset, payload)
        self.lost += conflicts
        self.held_bytes += insert_new(self._held, time, offset, payload) - conflicts
        while self.held_bytes > self._limits.reorder_bytes or len(self._held) > self._limits.reorder_segments:
            self.give_up(time, "not captured, and too much came after it")

    def _release(self, time: int) -> None:
        """Move what has become contiguous from the held pieces to the items."""
        held, count = self._held, 0
        while count < len(held) and start_of(held[count]) == self.offset:
            piece = held[count]
            count += 1
            self.items.append(piece)
            if isinstance(piece, tuple):
                self.held_bytes -= len(piece[2])
            self._advance(end_of(piece) - self.offset)
        if count:
            del held[:count]
            self._hole_advanced(time)

    def _hole_advanced(self, time: int) -> None:
        """The hole was filled, or its beginning was: another one starts its own wait."""
        self._hole_acked_to = self._acked_offset()
        self._hole_acked_since = time if self._hole_acked_to > self.offset else None
        self._hole_seen_since = time if self._held or self._proved_end() > self.offset else None

    def _proved_end(self) -> int:
        return max((end for _, end, _, proved in self._unusable if proved), default=0)

    # --- giving up -------------------------------------------------------------------------------------------------------

    def elapse(self, time: int) -> None:
        """Time passes: give up the holes whose time has come at `time` or before, each when it was due, and in that order."""
        if time > self.clock:
            self.clock = time
        limits = self._limits
        while self._hole_acked_since is not None or self._hole_seen_since is not None:
            acked = _NEVER if self._hole_acked_since is None else self._hole_acked_since + limits.gap_wait
            seen = _NEVER if self._hole_seen_since is None else self._hole_seen_since + limits.gap_wait_unacknowledged
            if self.clock < acked and self.clock < seen:
                return
            if acked <= seen:  # only what was acknowledged when the wait began has waited long enough
                self._skip_to(acked, self._hole_acked_to, None)
            else:
                self.give_up(seen, None)

    def give_up(self, time: int, reason: str | None) -> None:
        """Turn the first hole into a gap, whether acknowledged or not."""
        if self._held:
            self._skip_to(time, start_of(self._held[0]), reason)
        elif self._proved_end() > self.offset:
            self._skip_to(time, self._proved_end(), reason)
        else:
            self._hole_seen_since = None
            self._update_clean()

    def _skip_to(self, time: int, target: int, reason: str | None) -> None:
        """A gap from here to the next held byte, or to `target`, whichever comes first; then what follows it."""
        end = min(start_of(self._held[0]), target) if self._held else target
        if end > self.offset:
            length = end - self.offset
            known = (why for start, stop, why, _ in self._unusable if start < end and stop > self.offset)
            self.items.append(Gap(self.offset, time, length, reason or next(known, NOT_CAPTURED), self.latest))
            self.lost += length
            self._advance(length)
        self._hole_advanced(time)
        self._release(time)
        self._update_clean()

    # --- handing on ------------------------------------------------------------------------------------------------------

    def _settled(self) -> int:
        """How many of the items are settled: acknowledged, old enough, or the oldest of too many."""
        items, limits, now = self.items, self._limits, self.clock
        floor = max(self._acked_offset(), self.offset - limits.reorder_bytes)
        if floor >= self.offset:
            return len(items)
        count = max(index_at(items, floor), len(items) - limits.reorder_segments)
        while count < len(items):
            piece = items[count]
            if isinstance(piece, tuple) and now - piece[1] < limits.gap_wait:
                break
            count += 1
        return count

    def take(self, now: int) -> list[Item]:
        """The settled items, in stream order; they are the caller's now."""
        if not self.clean:
            self.elapse(now)
        items = self.items
        if not items:
            return []
        if now > self.clock:
            self.clock = now
        if sequence_difference(self.acked, self.next_seq) < -(1 << 30):
            # Nobody acknowledges; a number that falls half the space behind would be taken for one far ahead.
            self.acked = (self.next_seq - (1 << 29)) & SEQUENCE_MASK
        count = self._settled()
        self.items = items[count:]
        return items if count == len(items) else items[:count]

    def settle(self) -> list[Item]:
        """The items that wait to be settled: a limit over all connections is passed."""
        items, self.items = self.items, []
        return items

    def end(self, time: int, reason: str) -> list[Item]:
        """Everything that is left, holes as gaps, then the end."""
        if self._ended:
            return []
        self._ended = True
        self.elapse(time)
        while self._held:
            self._skip_to(time, start_of(self._held[0]), None)
        if self.started:
            extent = max(self._acked_offset(), self._end_offset or 0, self._proved_end())
            for start, stop, _, _ in sorted(self._unusable):
                # What a damaged segment says of itself is believed where nothing else is known, and it fits exactly.
                if self._end_offset is None and start == max(extent, self.offset):
                    extent = stop
            if extent > self.offset:
                self._skip_to(time, extent, None)
        items, self.items = self.items, []
        items.append(End(self.offset, time, self._finished, reason))
        self.clean = False
        return items

"""One direction of a TCP connection: segments in, an ordered stream of data and gaps out (RFC 9293).

The rules, in the order in which they bite:

1. Bytes are placed by sequence number, never judged by window.
2. Data is handed on when it is *settled*: the peer has acknowledged it, or `gap_wait` of capture time has passed since. Until
   then another copy may still show up. Copies that agree are one; where copies of an unsettled byte differ nobody can tell
   which one the receiver took, so the byte becomes a gap. A copy of a settled byte is ignored, as the receiver ignores it.
3. A hole is given up - becomes a gap - when the peer has acknowledged past it and `gap_wait` has passed without a filling
   segment (capture queues reorder), or nobody acknowledges for `gap_wait_unacknowledged`, or a limit on held bytes is passed,
   or the stream ends.
4. A segment that may be damaged (`Connection` decides by checksum) never gets here; one that the snap length cut counts as
   not seen. What is known of such bytes only names the reason of the gap.

The result depends on the packets and their order alone, not on how they were cut into blocks.

Offsets count stream bytes from the first known one; sequence numbers are 32 bits and wrap.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from typing import Final

from sniffer.config import Limits
from sniffer.wire.stream import Data, End, Gap, Item

SEQUENCE_SPACE: Final = 1 << 32
SEQUENCE_MASK: Final = SEQUENCE_SPACE - 1
HALF_SPACE: Final = 1 << 31

NOT_CAPTURED: Final = "not captured"
CONFLICT: Final = "overlapping segments disagree"
_PLAUSIBLE_AHEAD: Final = 1 << 20
"""How far beyond what was seen a RST may stand and still be believed: about a window."""
_REMEMBERED: Final = 64
"""Byte ranges of unusable segments that are remembered, to name the reason of a gap."""


def sequence_difference(a: int, b: int) -> int:
    """a - b of two 32-bit sequence numbers, as the signed distance of less than half the space (RFC 9293 section 3.4)."""
    return ((a - b + HALF_SPACE) & SEQUENCE_MASK) - HALF_SPACE


class Stream:
    """The bytes that one side sends.

    `clean`, `next_seq`, `offset`, `items` and `acked` are read and written by the engine's fast path: while `clean`, a segment
    at `next_seq` may be appended to `items` as it is, and `acked` set to the peer's latest acknowledgement number.
    """

    __slots__ = (
        "_conflicts",
        "_end_offset",
        "_ended",
        "_held",
        "_hole_acked_since",
        "_hole_seen_since",
        "_limits",
        "_unusable",
        "acked",
        "clean",
        "held_bytes",
        "items",
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
        self.started = False
        self.clean = False
        self.next_seq = 0
        self.offset = 0
        self.acked = 0
        self.items: list[Item] = []
        self.lost = 0
        self.held_bytes = 0
        self._held: list[Data] = []  # beyond a hole: sorted by offset, never overlapping
        self._hole_acked_since: int | None = None
        self._hole_seen_since: int | None = None
        self._conflicts: list[tuple[int, int]] = []
        self._unusable: deque[tuple[int, int, str]] = deque(maxlen=_REMEMBERED)
        self._end_offset: int | None = None
        self._ended = False

    def start(self, seq: int) -> None:
        """The first byte of the stream has sequence number `seq`."""
        self.started = self.clean = True
        self.next_seq = self.acked = seq

    @property
    def waiting(self) -> bool:
        """Whether time alone can bring something forth: a hole to give up, or data to settle."""
        return bool(self.items) or self._hole_acked_since is not None or bool(self._held)

    @property
    def extent(self) -> int:
        """Stream bytes that the sequence numbers seen so far imply."""
        last = self._held[-1] if self._held else None
        return max(self.offset, last[0] + len(last[2]) if last else 0, self._acked_offset(), self._end_offset or 0)

    @property
    def complete(self) -> bool:
        """Whether a FIN was seen and everything before it."""
        return self._end_offset is not None and self.offset >= self._end_offset

    def _acked_offset(self) -> int:
        """Up to here the peer has taken bytes. A FIN takes a sequence number, but is no byte."""
        acked = self.offset + sequence_difference(self.acked, self.next_seq)
        return acked if self._end_offset is None else min(acked, self._end_offset)

    # --- segments --------------------------------------------------------------------------------------------------------

    def segment(self, time: int, seq: int, payload: bytes) -> None:
        """Payload at `seq`, in order or not."""
        self._check_hole(time)
        offset = self.offset + sequence_difference(seq, self.next_seq)
        if offset == self.offset - 1 and len(payload) <= 1:
            return  # a keep-alive probe: one old byte, of any value (RFC 9293 section 3.8.4)
        if offset < self.offset:
            payload = self._compare_with_items(time, offset, payload)
            offset = self.offset
        if not payload:
            return
        if offset == self.offset and not self._held and not self._conflicts:
            self._append(offset, time, payload)
            if self._hole_acked_since is not None or self._hole_seen_since is not None:
                self._hole_advanced(time)
        else:
            self._hold(time, offset, payload)
            self._release(time)
        self._update_clean()

    def fin(self, time: int, seq: int) -> None:
        """A FIN at `seq`, the number that follows the last byte."""
        offset = self.offset + sequence_difference(seq, self.next_seq)
        if self._end_offset is None and offset >= self.offset:
            self._end_offset = offset

    def reset(self, seq: int) -> None:
        """A RST at `seq`: where the sender stood. One from far outside is no word of this sender's."""
        self.clean = False
        ahead = sequence_difference(seq, self.next_seq)
        if self.started and self._end_offset is None and 0 < ahead <= _PLAUSIBLE_AHEAD:
            self._end_offset = self.offset + ahead

    def unusable(self, time: int, seq: int, length: int, reason: str) -> None:
        """A segment whose bytes cannot be used: they stay a hole, and `reason` will be its reason."""
        offset = self.offset + sequence_difference(seq, self.next_seq)
        if length and offset + length > self.offset:
            self._unusable.append((offset, offset + length, reason))
            if self._hole_seen_since is None:
                self._hole_seen_since = time
            self.clean = False

    def acknowledge(self, time: int, ack: int) -> None:
        """The peer acknowledges everything before sequence number `ack`."""
        if sequence_difference(ack, self.acked) > 0:
            self.acked = ack
        if self._hole_acked_since is None and self._acked_offset() > self.offset:
            self._hole_acked_since = time
            self._update_clean()
        self._check_hole(time)

    def _append(self, offset: int, time: int, payload: bytes) -> None:
        self.items.append((offset, time, payload))
        self._advance(len(payload))

    def _advance(self, length: int) -> None:
        self.offset += length
        self.next_seq = (self.next_seq + length) & SEQUENCE_MASK

    def _update_clean(self) -> None:
        self.clean = (
            self.started
            and not self._held
            and not self._conflicts
            and self._hole_acked_since is None
            and self._hole_seen_since is None
            and self._end_offset is None
        )

    # --- copies ----------------------------------------------------------------------------------------------------------

    def _compare_with_items(self, time: int, offset: int, payload: bytes) -> bytes:
        """Hold an old segment against what waits to be settled; returns its part that is new."""
        old, new = payload[: self.offset - offset], payload[self.offset - offset :]
        settled = self._settled_offset(time)
        end = offset + len(old)
        if end > settled:
            for item in self.items:
                if isinstance(item, tuple):
                    self._compare(item, offset, old, settled)
        if self._conflicts:
            self.items = [piece for item in self.items for piece in self._without_conflicts(item, time)]
            self._conflicts = [span for span in self._conflicts if span[1] > self.offset]
        return new

    def _compare(self, item: Data, offset: int, payload: bytes, settled: int = 0) -> None:
        start, _, data = item
        low = max(start, offset, settled)
        high = min(start + len(data), offset + len(payload))
        if low >= high or data[low - start : high - start] == payload[low - offset : high - offset]:
            return
        mine, other = data[low - start : high - start], payload[low - offset : high - offset]
        differing = [index for index, pair in enumerate(zip(mine, other, strict=True)) if pair[0] != pair[1]]
        self._conflicts.append((low + differing[0], low + differing[-1] + 1))

    def _without_conflicts(self, item: Item, time: int) -> list[Item]:
        """`item` with the bytes in conflict turned into gaps."""
        pieces: list[Item] = [item]
        for low, high in self._conflicts:
            cut: list[Item] = []
            for piece in pieces:
                if not isinstance(piece, tuple) or piece[0] >= high or piece[0] + len(piece[2]) <= low:
                    cut.append(piece)
                    continue
                start, at, data = piece
                a, b = max(low - start, 0), min(high - start, len(data))
                if a:
                    cut.append((start, at, data[:a]))
                cut.append(Gap(start + a, time, b - a, CONFLICT))
                self.lost += b - a
                if b < len(data):
                    cut.append((start + b, at, data[b:]))
            pieces = cut
        return pieces

    # --- out of order ----------------------------------------------------------------------------------------------------

    def _hold(self, time: int, offset: int, payload: bytes) -> None:
        """Keep a segment that lies beyond a hole; parts that are held already are compared and cut off."""
        if self._hole_seen_since is None:
            self._hole_seen_since = time
        pieces = [(offset, payload)]
        for item in self._held:
            start, _, data = item
            end = start + len(data)
            if end <= offset or start >= offset + len(payload):
                continue
            self._compare(item, offset, payload)
            fresh: list[tuple[int, bytes]] = []
            for at, piece in pieces:
                if at < start:
                    fresh.append((at, piece[: start - at]))
                if at + len(piece) > end:
                    fresh.append((max(at, end), piece[max(0, end - at) :]))
            pieces = fresh
        for at, piece in pieces:
            if piece:
                insort(self._held, (at, time, piece))
                self.held_bytes += len(piece)
        if self.held_bytes > self._limits.reorder_bytes or len(self._held) > self._limits.reorder_segments:
            self.give_up(time, "not captured, and too much came after it")

    def _release(self, time: int) -> None:
        """Move what has become contiguous from the held segments to the items."""
        advanced = False
        while self._held and self._held[0][0] <= self.offset:
            start, at, payload = self._held.pop(0)
            self.held_bytes -= len(payload)
            if start < self.offset:
                payload = payload[self.offset - start :]
            if not payload:
                continue
            piece: Data = (self.offset, at, payload)
            self.items.extend(self._without_conflicts(piece, time))
            self._advance(len(payload))
            advanced = True
        if advanced:
            self._conflicts = [span for span in self._conflicts if span[1] > self.offset]
            self._hole_advanced(time)

    def _hole_advanced(self, time: int) -> None:
        """The hole was filled, or its beginning was: another one starts its own wait."""
        self._hole_acked_since = time if self._acked_offset() > self.offset else None
        beyond = bool(self._held) or any(end > self.offset for _, end, _ in self._unusable)
        self._hole_seen_since = time if beyond else None

    # --- giving up -------------------------------------------------------------------------------------------------------

    def _check_hole(self, time: int) -> None:
        limits = self._limits
        if self._hole_acked_since is not None and time - self._hole_acked_since >= limits.gap_wait:
            self._skip_to(self._hole_acked_since + limits.gap_wait, self._acked_offset(), None)
        elif self._hole_seen_since is not None and time - self._hole_seen_since >= limits.gap_wait_unacknowledged:
            self.give_up(self._hole_seen_since + limits.gap_wait_unacknowledged, None)

    def give_up(self, time: int, reason: str | None) -> None:
        """Turn the first hole into a gap, whether acknowledged or not."""
        if self._held:
            self._skip_to(time, self._held[0][0], reason)
        else:
            ends = [end for _, end, _ in self._unusable if end > self.offset]
            if ends:
                self._skip_to(time, max(ends), reason)
            else:
                self._hole_seen_since = None
                self._update_clean()

    def _skip_to(self, time: int, target: int, reason: str | None) -> None:
        """A gap from here to the next held byte, or to `target`, whichever comes first; then what follows it."""
        end = min(self._held[0][0], target) if self._held else target
        if end > self.offset:
            length = end - self.offset
            why = reason or next((r for a, b, r in self._unusable if a < end and b > self.offset), NOT_CAPTURED)
            self.items.append(Gap(self.offset, time, length, why))
            self.lost += length
            self._advance(length)
        self._hole_advanced(time)
        self._release(time)
        self._update_clean()

    # --- handing on ------------------------------------------------------------------------------------------------------

    def _settled_offset(self, now: int) -> int:
        """Everything before this offset is settled: acknowledged, or old enough."""
        settled = self._acked_offset()
        wait = self._limits.gap_wait
        for item in reversed(self.items):
            if not isinstance(item, tuple):
                continue
            offset, time, payload = item
            end = offset + len(payload)
            if end <= settled:
                break
            if now - time >= wait:
                settled = end
                break
        return settled

    def take(self, now: int) -> list[Item]:
        """The settled items, in stream order; they are the caller's now."""
        if sequence_difference(self.acked, self.next_seq) < -(1 << 30):
            # Nobody acknowledges; a number that falls half the space behind would be taken for one far ahead.
            self.acked = (self.next_seq - (1 << 29)) & SEQUENCE_MASK
        if not self.clean:
            self._check_hole(now)
        items = self.items
        if not items:
            return items
        settled = self._settled_offset(now)
        count = len(items)
        while count:
            item = items[count - 1]
            if not isinstance(item, tuple) or item[0] + len(item[2]) <= settled:
                break
            count -= 1
        if count == len(items):
            self.items = []
            return items
        self.items = items[count:]
        return items[:count]

    def end(self, time: int, reason: str) -> list[Item]:
        """Everything that is left, holes as gaps, then the end."""
        if self._ended:
            return []
        self._ended = True
        while self._held:
            self._skip_to(time, self._held[0][0], None)
        extent = max(self._acked_offset(), self._end_offset or 0, *(b for _, b, _ in self._unusable), 0)
        if self.started and extent > self.offset:
            self._skip_to(time, extent, None)
        items = self.items
        self.items = []
        items.append(End(self.offset, time, self._end_offset is not None, reason))
        self.clean = False
        return items

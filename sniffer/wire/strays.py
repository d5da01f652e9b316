"""Segments that stand far from all that their connection has seen: late copies of an earlier one's, on the same ports.

One number of the two that a segment has may stand far off: a long stretch of one side was not captured. Where both do, it is
another connection's, or long stretches of both sides were not captured. It is not believed until enough of such segments have
come, of both sides where both are captured, which stand near each other, and nothing where the connection was: a receiver
drops what lies outside of its window, which is 1 GiB at most (RFC 9293 section 3.10.7.4, RFC 7323 section 2.3), so one of them
alone, believed, would be a hole that never was, and all that really follows would seem to be old.
"""

from __future__ import annotations

from typing import Final

from sniffer.wire.packet import ACK, RST, SYN, Segment
from sniffer.wire.reassembly import WINDOW, sequence_difference
from sniffer.wire.side import Side

FAR: Final = "of numbers far from the rest of the connection"
_PROOF: Final = 8
"""Segments that prove that the connection goes on there: a few late copies come together, and then the real ones go on."""

Stray = tuple[Side, Side, Segment]
"""Sender, receiver, segment."""


class Strays:
    """Of one connection."""

    __slots__ = ("_held", "_seen_at", "lost")

    def __init__(self) -> None:
        self._held: list[Stray] = []
        self._seen_at = 0
        self.lost: list[Stray] = []
        """What is not believed any more."""

    def is_one(self, side: Side, peer: Side, segment: Segment) -> bool:
        """Whether `segment` may not be believed."""
        if not segment.flags & ACK or segment.flags & (SYN | RST) or not side.stream.started or not peer.stream.started:
            return False
        return not side.stream.is_near(segment.seq) and not peer.stream.is_near(segment.ack)

    def add(self, side: Side, peer: Side, segment: Segment) -> list[Stray]:
        """Hold one; all that are held, when they are enough."""
        held = self._held
        at = sum(stream.offset + stream.held_bytes for stream in (side.stream, peer.stream))
        if held and (at != self._seen_at or not _goes_with(held[-1], side, segment)):
            self.give_up()
        self._seen_at = at
        if any(_is_copy(of, segment) for one, _, of in held if one is side):
            self.lost.append((side, peer, segment))
            return []
        held.append((side, peer, segment))
        if len(held) < _PROOF:
            return []
        if all(one is side for one, _, _ in held) and peer.heard:
            self.lost.append(held.pop(0))
            return []
        self._held = []
        return held

    def give_up(self) -> None:
        """Nothing more proves what is held."""
        self.lost += self._held
        self._held.clear()


def _is_copy(segment: Segment, other: Segment) -> bool:
    same = segment.seq == other.seq and bool(segment.payload) == bool(other.payload)
    return same and (bool(segment.payload) or segment.ack == other.ack)


def _goes_with(stray: Stray, side: Side, segment: Segment) -> bool:
    """Whether two segments may be of one connection."""
    sender, _, other = stray
    seq, ack = (other.seq, other.ack) if sender is side else (other.ack, other.seq)
    return abs(sequence_difference(segment.seq, seq)) <= WINDOW and abs(sequence_difference(segment.ack, ack)) <= WINDOW

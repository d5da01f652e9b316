"""The first segments of new flows: they wait until both sides' SYN have been seen, or for as long as queues reorder.

A stream begins where its SYN says (RFC 9293 section 3.4). Were segments taken as they come, then one that overtook its SYN in a
capture queue would make a connection that seems to be joined in its middle, without its handshake and its first bytes.

Ports may be used again at once, where the first attempt was refused or reset. So what waits is of one connection alone: a SYN
parts it from what the numbers say is of an earlier one.
"""

from __future__ import annotations

from typing import Final

from sniffer.config import Limits
from sniffer.wire.packet import ACK, SYN, Segment
from sniffer.wire.reassembly import WINDOW, sequence_difference

_SEGMENT_BYTES: Final = 400
"""What a segment costs beyond its payload: a flood of empty ones must count, too."""


class _Opening:
    __slots__ = ("bytes", "segments", "since", "syns")

    def __init__(self, since: int) -> None:
        self.since = since
        self.segments: list[Segment] = []
        self.syns: dict[bytes, int] = {}  # by flow, so by direction: the sequence number of the SYN that has come
        self.bytes = 0


class Openings:
    """All flows that are not open yet. What has its turn is given as lists, each of one connection, in the order of capture."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._openings: dict[bytes, _Opening] = {}  # oldest first, by the flow of the first segment
        self._bytes = 0

    def before(self, segment: Segment, reverse: bytes, now: int) -> list[Segment]:
        """What has its turn before `segment` of the same flow: it waited long enough, or is of an earlier connection.

        `reverse` is the flow of the other direction.
        """
        key = segment.flow if segment.flow in self._openings else reverse
        opening = self._openings.get(key)
        if opening is None:
            return []
        if now - opening.since >= self._limits.gap_wait:
            return self._close(key)
        if not (segment.flags & SYN and segment.checksum_ok) or opening.syns.get(segment.flow) == segment.seq:
            return []
        if segment.flow in opening.syns:
            return self._close(key)
        earlier: list[Segment] = []
        others: list[Segment] = []
        for held in opening.segments:
            (earlier if _is_of_another(held, segment) else others).append(held)
        if not any(held.checksum_ok for held in earlier):  # damaged numbers prove nothing
            return []
        self._close(key)
        for held in others:
            self.add(held, segment.flow if held.flow == reverse else reverse)
        return earlier

    def hold(self, flow: bytes, reverse: bytes) -> bool:
        """Whether anything of a flow waits."""
        return flow in self._openings or reverse in self._openings

    def add(self, segment: Segment, reverse: bytes) -> list[Segment]:
        """Hold a segment; nothing is `before` it. What has its turn now."""
        key = segment.flow if segment.flow in self._openings else reverse
        opening = self._openings.get(key)
        if opening is None:
            key, opening = segment.flow, _Opening(segment.time)
            self._openings[key] = opening
        size = _SEGMENT_BYTES + len(segment.payload)
        opening.segments.append(segment)
        opening.bytes += size
        self._bytes += size
        if segment.flags & SYN and segment.checksum_ok:
            opening.syns[segment.flow] = segment.seq
        limits = self._limits
        if len(opening.syns) > 1 or opening.bytes > limits.reorder_bytes:
            return self._close(key)
        if len(self._openings) > limits.connections or self._bytes > limits.reorder_total_bytes:
            return self._close(next(iter(self._openings)))
        return []

    def due(self, now: int | None) -> list[list[Segment]]:
        """The flows that have waited long enough at `now`; None: all."""
        due: list[list[Segment]] = []
        while self._openings:
            key, opening = next(iter(self._openings.items()))
            if now is not None and now - opening.since < self._limits.gap_wait:
                break
            due.append(self._close(key))
        return due

    def _close(self, key: bytes) -> list[Segment]:
        opening = self._openings.pop(key)
        self._bytes -= opening.bytes
        return opening.segments


def _is_of_another(held: Segment, syn: Segment) -> bool:
    """Whether a segment that came before a SYN did not overtake it, but is of an earlier connection, as its numbers say."""
    if held.flow == syn.flow:
        number = held.seq
    elif held.flags & ACK:
        number = held.ack
    else:
        return False
    return not 0 <= sequence_difference(number, syn.seq) <= WINDOW

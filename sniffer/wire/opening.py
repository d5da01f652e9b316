"""The first segments of new flows: they wait until both sides' SYN have been seen, or for as long as queues reorder.

A stream begins where its SYN says (RFC 9293 section 3.4). Were segments taken as they come, then one that overtook its SYN in a
capture queue would make a connection that seems to be joined in its middle, without its handshake and its first bytes.
"""

from __future__ import annotations

from typing import Final

from sniffer.config import Limits
from sniffer.wire.packet import SYN, Segment

_SEGMENT_BYTES: Final = 400
"""What a segment costs beyond its payload: a flood of empty ones must count, too."""


class _Opening:
    __slots__ = ("bytes", "segments", "since", "syns")

    def __init__(self, since: int) -> None:
        self.since = since
        self.segments: list[Segment] = []
        self.syns: set[bytes] = set()  # flows, so directions, whose SYN has come
        self.bytes = 0


class Openings:
    """All flows that are not open yet."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._openings: dict[bytes, _Opening] = {}  # oldest first, by the flow of the first segment
        self._bytes = 0

    def overdue(self, segment: Segment, reverse: bytes) -> list[Segment]:
        """What has waited long enough when `segment` of the same flow comes, and has its turn before it.

        `reverse` is the flow of the other direction.
        """
        key = segment.flow if segment.flow in self._openings else reverse
        opening = self._openings.get(key)
        return self._close(key) if opening is not None and segment.time - opening.since >= self._limits.gap_wait else []

    def add(self, segment: Segment, reverse: bytes) -> list[Segment]:
        """Hold a segment before which nothing is `overdue`. What has its turn now, in the order to read it."""
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
            opening.syns.add(segment.flow)
        limits = self._limits
        if len(opening.syns) > 1 or opening.bytes > limits.reorder_bytes:
            return self._close(key)
        if len(self._openings) > limits.connections or self._bytes > limits.reorder_total_bytes:
            return self._close(next(iter(self._openings)))
        return []

    def due(self, now: int | None) -> list[Segment]:
        """The segments of the flows that have waited long enough at `now`; None: of all."""
        segments: list[Segment] = []
        while self._openings:
            key, opening = next(iter(self._openings.items()))
            if now is not None and now - opening.since < self._limits.gap_wait:
                break
            segments += self._close(key)
        return segments

    def _close(self, key: bytes) -> list[Segment]:
        """SYNs first, and otherwise as they came."""
        opening = self._openings.pop(key)
        self._bytes -= opening.bytes
        return sorted(opening.segments, key=lambda segment: not segment.flags & SYN)

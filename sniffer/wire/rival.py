"""A SYN on the addresses and ports of an open connection: it may be an old copy, or forged.

A receiver does not give up an open connection for it (RFC 9293 section 3.10.7.4, RFC 5961 section 4), and nor do we before it
is answered, or its sender goes on with its numbers. What comes meanwhile of the connection that it would be waits with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sniffer.wire.packet import ACK, SYN, Segment
from sniffer.wire.reassembly import SEQUENCE_MASK, WINDOW, Stream, sequence_difference

if TYPE_CHECKING:
    from sniffer.wire.connection import Connection
    from sniffer.wire.side import Side

_HELD: Final = 64
"""Segments that wait at most; a handshake and the first requests."""


class Rival:
    """The connection that may have taken the place of an open one."""

    __slots__ = ("_syn", "segments", "since")

    def __init__(self, syn: Segment, now: int) -> None:
        self._syn = syn
        self.since = now
        self.segments = [syn]

    def is_copy(self, syn: Segment) -> bool:
        """Whether `syn` is this one's again."""
        return (syn.flow, syn.seq) == (self._syn.flow, self._syn.seq)

    def may_own(self, segment: Segment, sender: Stream, receiver: Stream) -> bool:
        """Whether a segment may be of this connection. `sender`, `receiver`: of the open one, which has it if it fits there."""
        if segment.seq == sender.next_seq:
            return False
        if not segment.flags & ACK:
            return self._asks(segment)
        same = segment.flow == self._syn.flow
        if not 0 < sequence_difference(segment.seq if same else segment.ack, self._syn.seq) <= WINDOW:
            return False
        return bool(segment.flags & SYN) or not (sender.is_near(segment.seq) or receiver.is_near(segment.ack))

    def proved(self, segment: Segment) -> bool:
        """Whether a segment that it `may_own` answers its SYN, or goes on behind it."""
        number = segment.seq if segment.flow == self._syn.flow else segment.ack
        return number == (self._syn.seq + 1) & SEQUENCE_MASK or self._asks(segment)

    def _asks(self, segment: Segment) -> bool:
        """Whether it is the SYN that this one, captured before it, answers."""
        asks = segment.flow != self._syn.flow and segment.flags & (SYN | ACK) == SYN and bool(self._syn.flags & ACK)
        return asks and (segment.seq + 1) & SEQUENCE_MASK == self._syn.ack


def contest(segment: Segment, side: Side, peer: Side, connection: Connection, now: int, wait: int) -> list[Segment] | None:
    """Whose a segment is. None: the open connection's; else what has come of the one that takes its place; nothing: not yet.

    `wait`: how long (ns) a SYN waits for its answer.
    """
    rival = connection.rival
    if rival is None and not segment.flags & SYN:
        return None
    if rival is not None and now - rival.since > wait:
        connection.keep_place()
        rival = None
    connection.elapse(now)
    if rival is not None and segment.checksum_ok:
        if rival.is_copy(segment) and segment.flags & SYN:
            rival.since = now
            if connection.closed_at is None:
                return []
            connection.keep_place()
            return [segment]
        if rival.may_own(segment, side.stream, peer.stream):
            if rival.proved(segment):
                return [*rival.segments, segment]
            if len(rival.segments) < _HELD:
                rival.segments.append(segment)
                return []
    if not segment.flags & SYN or not is_another(segment, side.stream):
        return None
    connection.keep_place()
    if connection.closed_at is not None or not peer.heard:
        return [segment]
    connection.rival = Rival(segment, now)
    return []


def is_another(syn: Segment, stream: Stream) -> bool:
    """Whether a SYN on a known four-tuple may begin another connection, rather than being a copy of this one's."""
    if not stream.started or not (syn.checksum_ok or stream.offloaded):
        return False
    return (syn.seq + 1) & SEQUENCE_MASK != (stream.next_seq - stream.offset) & SEQUENCE_MASK

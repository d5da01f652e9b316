"""One side of a connection: its stream, and whether its segments may be believed.

A segment whose checksum is wrong was dropped by the receiver's kernel, so using it would store what the application never saw.
But on a sender that offloads checksums to its network card, captures on that host show wrong ones only. So:

- a side is *undecided* until its first right checksum (then it is *verified*, and wrong ones are unusable), and its wrong
  segments are held;
- it is *offloaded*, and everything it sends counts, when all its segments so far were wrong and the peer has acknowledged
  what at least two of them sent (an acknowledgement of nothing proves nothing), or there were `UNANSWERED` of them (a capture
  that shows one direction), or the capture ends with `AT_END` of them.
"""

from __future__ import annotations

from typing import Final

from sniffer.config import Limits
from sniffer.model import Sender
from sniffer.wire.losses import LossLedger
from sniffer.wire.packet import FIN, SYN, Segment
from sniffer.wire.reassembly import Stream, sequence_difference
from sniffer.wire.stream import Gap, Item, time_of

UNANSWERED: Final = 8
AT_END: Final = 4
"""One segment in some thirty is damaged on the worst links in use: four of four by chance is one connection in a million."""
WRONG_CHECKSUM: Final = "wrong TCP checksum"
CUT: Final = "cut by the snap length"
NOT_VERIFIED: Final = "TCP checksums were not verified: all are wrong, as where the sender's network card computes them"


class Side:
    """Stream and trust of one sender."""

    __slots__ = ("doubtful", "finished", "gap_end", "latest", "lost_before", "name", "stream", "unplaced", "verified")

    def __init__(self, name: Sender, limits: Limits) -> None:
        self.name: Sender = name
        self.stream = Stream(limits)
        self.verified = False
        self.doubtful: list[Segment] = []
        self.unplaced: list[Segment] = []
        """Damaged ones from before the stream's beginning was known."""
        self.finished = False  # a FIN was seen
        self.latest = 0
        self.lost_before = 0
        self.gap_end = -1
        """Where the latest gap ended, in the stream."""

    @property
    def heard(self) -> bool:
        """Whether anything that it sent was captured."""
        return self.stream.checked or bool(self.doubtful)

    def admit(self, segment: Segment) -> list[Segment]:
        """The segments that may be used now that `segment` has come: it, none, or those that were held as well."""
        if segment.checksum_ok or self.stream.offloaded:
            if not self.verified and segment.checksum_ok and not segment.missing:  # of a cut one nobody can tell
                self.verified = True
                self.stream.check(offloaded=self.stream.offloaded)
                held, self.doubtful = self.doubtful, []
                for wrong in held:
                    self._refuse(wrong)
            return [segment]
        if self.verified:
            self._refuse(segment)
            return []
        self.doubtful.append(segment)
        return self._offloaded() if len(self.doubtful) >= UNANSWERED else []

    def acknowledged(self, ack: int) -> list[Segment]:
        """The peer acknowledges: held segments that it has taken are right after all."""
        sent = [(segment, length) for segment in self.doubtful if (length := _sequence_length(segment))]
        if len(sent) < 2:
            return []
        last, length = sent[1]
        return self._offloaded() if sequence_difference(ack, last.seq + length) >= 0 else []

    def settle(self) -> list[Segment]:
        """The connection ends: what was wrong throughout is taken as offloaded, unless that is too little to tell."""
        return self._offloaded() if len(self.doubtful) >= AT_END else []

    # --- losses ----------------------------------------------------------------------------------------------------------

    def record_gaps(self, items: list[Item], ledger: LossLedger, opened_at: int) -> None:
        """Each gap in the stream is a loss of its own; what directly continues one is the same trouble again."""
        if self.stream.lost == self.lost_before:  # there is none
            self.latest = time_of(items[-1])
            return
        before = self.latest or opened_at
        for item in items:
            if isinstance(item, Gap):
                length = item.length or 0
                at, time = item.offset, item.time
                if at == self.gap_end:
                    ledger.tally(
                        self.name, "tcp", item.reason, time=time, offset=at, length=length, messages=None, captured=False
                    )
                else:
                    ledger.add(
                        self.name,
                        "tcp",
                        item.reason,
                        from_time=before,
                        to_time=time,
                        offset=at,
                        length=length,
                        captured=False,
                    )
                self.lost_before += length
                self.gap_end = item.offset + length
            elif isinstance(item, tuple):
                before = item[1]
        self.latest = before

    def record_doubts(self, ledger: LossLedger, opened_at: int, time: int) -> None:
        """The connection ends: what was not verified, and what was damaged and has no place in the stream."""
        if self.stream.offloaded:
            ledger.add(self.name, "tcp", NOT_VERIFIED, from_time=opened_at, to_time=time, offset=0, length=0, messages=0)
        for wrong in self.doubtful + self.unplaced:
            length = len(wrong.payload)
            ledger.add(
                self.name, "tcp", WRONG_CHECKSUM, from_time=wrong.time, to_time=time, offset=None, length=length, captured=False
            )

    # --- doubts ----------------------------------------------------------------------------------------------------------

    def _offloaded(self) -> list[Segment]:
        self.stream.check(offloaded=True)
        held, self.doubtful = self.doubtful, []
        return held

    def _refuse(self, segment: Segment) -> None:
        if self.stream.started:
            self.stream.unusable(segment.time, segment.seq, len(segment.payload), WRONG_CHECKSUM, proved=False)
        elif segment.payload:
            self.unplaced.append(segment)


def _sequence_length(segment: Segment) -> int:
    """How many sequence numbers it takes (RFC 9293 section 3.4)."""
    return len(segment.payload) + bool(segment.flags & SYN) + bool(segment.flags & FIN)

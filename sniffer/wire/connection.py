"""One TCP connection: its two sides, and what they say to each other."""

from __future__ import annotations

import hashlib
from typing import Final

from sniffer.config import Limits
from sniffer.model import Sender
from sniffer.wire.conversation import Conversation
from sniffer.wire.disorder import Disorder
from sniffer.wire.keylog import KeyLog
from sniffer.wire.losses import LossLedger
from sniffer.wire.packet import ACK, FIN, RST, SYN, Segment, endpoints
from sniffer.wire.pair import Delivery
from sniffer.wire.reassembly import sequence_difference
from sniffer.wire.rival import Rival
from sniffer.wire.side import CUT, Side
from sniffer.wire.strays import FAR, Strays
from sniffer.wire.stream import CAPTURE_ENDED, Item, time_of

__all__ = ["Connection", "Delivery"]

BEFORE: Final = "of numbers before the first of the stream that is known"


class Connection:
    """A connection and what is known of it; the attributes are columns of `connections`."""

    def __init__(
        self,
        capture_id: str,
        limits: Limits,
        first: Segment,
        captured_first: Segment,
        sender: Sender,
        roles_guessed: bool,
        keylog: KeyLog | None = None,
    ) -> None:
        """`sender`: whose `first` is. `roles_guessed`: no SYN was seen, and who is the client is a guess from the ports.

        `captured_first`: `first`, or what overtook it. It names the connection: a capture that ended between the two shows the
        same one when it goes on. `keylog`: None where no TLS will ever be decrypted.
        """
        self.flow = first.flow
        self.client = Side("client", limits)
        self.server = Side("server", limits)
        source, destination = endpoints(first.flow)
        self.client_address, self.server_address = (source, destination) if sender == "client" else (destination, source)
        ends = f"{min(source, destination)} {max(source, destination)}"
        identity = f"{capture_id} {ends} {captured_first.time} {captured_first.seq}"
        self.id = int.from_bytes(hashlib.blake2b(identity.encode(), digest_size=8).digest()) >> 1
        self.ledger = LossLedger(capture_id, self.id)
        if roles_guessed:
            self.ledger.guess()
        joined_midway = not first.flags & SYN
        self.disorder = Disorder()
        self._strays = Strays()
        self.conversation = Conversation(
            limits,
            self.ledger,
            keylog,
            joined_midway=joined_midway,
            roles_guessed=roles_guessed,
            disorder=self.disorder,
        )
        self.opened_at = self.last_seen = captured_first.time
        self.closed_at: int | None = None
        self.rival: Rival | None = None
        """What may have taken its place."""
        self.touched = False
        self.ended = False

    # --- what is known of it ---------------------------------------------------------------------------------------------

    @property
    def protocol(self) -> str:
        """ws, wss, http, https, tls or tcp."""
        return self.conversation.protocol

    @property
    def host(self) -> str | None:
        """As the client names the server."""
        return self.conversation.host

    @property
    def path(self) -> str | None:
        """Of the request that began the websocket, else of the first one, as it was sent."""
        return self.conversation.path

    @property
    def compression(self) -> str | None:
        """The permessage-deflate parameters that were agreed on."""
        return self.conversation.compression

    @property
    def tls_version(self) -> str | None:
        """As `TLSv1.3`."""
        return self.conversation.tls_version

    @property
    def cipher(self) -> str | None:
        """The suite of TLS, as IANA names it."""
        return self.conversation.cipher

    @property
    def client_random(self) -> bytes | None:
        """What names the TLS connection in a key log."""
        secured = self.conversation.secured
        return secured.layer.client_random if secured is not None else None

    @property
    def waiting(self) -> bool:
        """Whether time alone can bring something forth: data settles, holes are given up, a search goes on."""
        return self.client.stream.waiting or self.server.stream.waiting or self.conversation.due

    @property
    def joined_midway(self) -> bool:
        """The beginning of the connection was not captured."""
        return self.conversation.joined_midway

    @property
    def messages(self) -> int:
        """Whole messages so far."""
        return self.conversation.messages

    @property
    def unreadable_reason(self) -> str | None:
        """Why no messages can be read from it; None: they can."""
        return self.conversation.unreadable_reason

    @property
    def readable(self) -> bool:
        """Whether messages can be read from it."""
        return self.unreadable_reason is None

    @property
    def has_payload(self) -> bool:
        """Whether any byte of the streams was sent."""
        return bool(self.client.stream.extent or self.server.stream.extent)

    def buffered_bytes(self) -> int:
        """Bytes that this connection holds for what is not complete, or not settled yet."""
        client, server = self.client.stream, self.server.stream
        waiting = client.held_bytes + client.unsettled_bytes + server.held_bytes + server.unsettled_bytes
        return waiting + self.conversation.held_bytes()

    # --- segments --------------------------------------------------------------------------------------------------------

    def elapse(self, now: int) -> None:
        """Time passes: see `Stream`."""
        for side in (self.client, self.server):
            stream = side.stream
            stream.latest = self.last_seen
            stream.elapse(now)

    def segment(self, side: Side, peer: Side, segment: Segment, now: int) -> None:
        """A segment that is not simply the next one: the engine's slow path. `now`: what time it is; see `Stream`."""
        stream, other = side.stream, peer.stream
        self.elapse(now)
        if segment.time < self.last_seen:
            self.disorder.note(segment.time, self.last_seen)
        if segment.flags & SYN and self.conversation.roles_guessed and segment.checksum_ok:  # captured after what followed it
            self.conversation.decide_roles((side is self.client) == bool(segment.flags & ACK))
            self._name_sides()
        for admitted in side.admit(segment):
            self._accept(side, peer, admitted)
        if segment.flags & ACK and (segment.checksum_ok or side.stream.offloaded):
            for admitted in peer.acknowledged(segment.ack):
                self._accept(peer, side, admitted)
        if segment.time > self.last_seen:
            self.last_seen = stream.latest = other.latest = segment.time

    def _accept(self, side: Side, peer: Side, segment: Segment) -> None:
        strays = self._strays
        if not strays.is_one(side, peer, segment):
            self._place(side, peer, segment)
            return
        for stray in strays.add(side, peer, segment):
            self._place(*stray)
        self._lose_strays()

    def keep_place(self) -> None:
        """What may have taken its place has not."""
        segments, self.rival = self.rival.segments if self.rival is not None else [], None
        for segment in segments:
            side = self.client if endpoints(segment.flow)[0] == self.client_address else self.server
            self._lose_stray(side, segment)

    def _lose_strays(self) -> None:
        for side, _, segment in self._strays.lost:
            self._lose_stray(side, segment)
        self._strays.lost = []

    def _lose_stray(self, side: Side, segment: Segment) -> None:
        length = len(segment.payload)
        if length:
            self.ledger.tally(
                side.name, "tcp", FAR, time=segment.time, offset=None, length=length, messages=None, captured=False
            )

    def _place(self, side: Side, peer: Side, segment: Segment) -> None:
        stream, flags, time = side.stream, segment.flags, segment.time
        seq, length = segment.seq, len(segment.payload) + segment.missing
        if flags & SYN:
            if not stream.started:
                stream.start(seq + 1 & 0xFFFFFFFF)
            seq = seq + 1 & 0xFFFFFFFF
        elif not stream.started:
            stream.start(seq, sure=bool(length or flags & (FIN | RST)))
        if segment.missing:
            stream.unusable(time, seq, length, CUT, proved=True)
        elif segment.payload and not flags & RST:  # the text of a reset explains it (RFC 9293 section 3.5.3)
            before = stream.segment(time, seq, segment.payload)
            if before:
                self.ledger.tally(
                    side.name, "tcp", BEFORE, time=time, offset=None, length=before, messages=None, captured=False
                )
        if flags & ACK:
            if not peer.stream.started and not peer.doubtful:
                peer.stream.start(segment.ack)
            if peer.stream.started:
                if length and sequence_difference(segment.ack, peer.stream.next_seq) > 0:
                    self.disorder.note(time, stream.clock)
                peer.stream.acknowledge(time, segment.ack)
        if flags & FIN:
            stream.fin(time, seq + length & 0xFFFFFFFF)
            side.finished = True
        is_reset = bool(flags & RST) and stream.reset(time, seq)
        if self.closed_at is None and (is_reset or (side.finished and peer.finished)):
            self.closed_at = time

    # --- layers ----------------------------------------------------------------------------------------------------------

    def deliver(self, now: int) -> Delivery:
        """The messages that have become whole, by sender and in each sender's order."""
        client, server = self.client.stream.take(now), self.server.stream.take(now)
        return self._run(client, server) if client or server or self.conversation.due else []

    def finish(self, time: int, reason: str) -> Delivery:
        """The connection ends, for `reason`: everything that is left."""
        if self.ended:
            return []
        self.ended = True
        for side in (self.client, self.server):
            side.stream.clock, side.stream.latest = time, self.last_seen
        if self.closed_at is None and not reason.startswith(CAPTURE_ENDED):
            self.closed_at = self.last_seen
        for side, peer in ((self.client, self.server), (self.server, self.client)):
            for segment in side.settle():
                self._accept(side, peer, segment)
            side.record_doubts(self.ledger, self.opened_at, time)
        self.keep_place()
        self._strays.give_up()
        self._lose_strays()
        out = self._run(self.client.stream.end(time, reason), self.server.stream.end(time, reason))
        self.ledger.finish()
        return out

    def settle(self) -> Delivery:
        """Take as settled what waits for that: a limit over all connections is passed, and the oldest bytes go first."""
        client, server = self.client.stream.settle(), self.server.stream.settle()
        return self._run(client, server) if client or server else []

    def shed(self, time: int, reason: str) -> Delivery:
        """Give up what is buffered: a limit over all connections is passed. The messages that are read of it all the same."""
        for side in (self.client, self.server):
            while side.stream.held_bytes:
                side.stream.give_up(time, reason)
        return self.settle() + self.conversation.shed(time, reason)

    def _run(self, client: list[Item], server: list[Item]) -> Delivery:
        for side, items in ((self.client, client), (self.server, server)):
            if items:
                side.record_gaps(items, self.ledger, self.opened_at)
        conversation = self.conversation
        guessed = conversation.roles_guessed
        out = conversation.feed(client, server, (_earliest(self.client), _earliest(self.server)))
        if guessed and not conversation.roles_guessed:
            self._name_sides()
        return out

    def _name_sides(self) -> None:
        """It is known who is the client."""
        if self.conversation.roles_swapped:
            self.client, self.server = self.server, self.client
            self.client.name, self.server.name = "client", "server"
            self.client_address, self.server_address = self.server_address, self.client_address


def _earliest(side: Side) -> int | None:
    """Wire time of the first byte that is not handed on yet, be it held beyond a hole: layers above may not hear of that."""
    items, held = side.stream.items, side.stream.held_since
    first = time_of(items[0]) if items else held
    return first if held is None or first is None else min(first, held)

"""The flow table: packets in, the messages and losses of all connections out.

`feed` is the hot loop of the whole program. `heads.py` reads the block's plain packets in bulk; of those, the ones that
their stream expects next cost one dictionary look-up and one append. Everything else goes to `PacketDecoder` and
`Connection.segment`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from operator import itemgetter
from typing import Final

from sniffer.config import SECOND, Limits
from sniffer.model import Loss, Packet, Sender
from sniffer.wire.connection import Connection, Delivery
from sniffer.wire.heads import read_heads
from sniffer.wire.keylog import KeyLog
from sniffer.wire.opening import Openings
from sniffer.wire.packet import ACK, FIN, RST, SYN, PacketDecoder, Segment, endpoints
from sniffer.wire.reassembly import HALF_SPACE, SEQUENCE_MASK, Stream
from sniffer.wire.rival import contest
from sniffer.wire.side import Side
from sniffer.wire.stream import CAPTURE_ENDED

LINGER: Final = 5 * SECOND
"""How long a closed connection stays in the table, so that late copies of its segments do not look like a new one."""
_SWEEP: Final = SECOND
"""How often, in capture time, all connections are looked at for time-outs: at every whole second, before the first packet from
then on, so that the same packets end the same connections however they are cut into blocks."""

_time_of: Final = itemgetter(0)
_BULK: Final = 12
"""Packets from which on reading heads in bulk pays: it costs some 60 us a block, and a packet the other way 5."""
_PACKETS_A_LOOK: Final = 16
"""Packets a connection, of those that had any, for which looking at all of them pays. Measured: 100,000 messages over TLS in a
thousand connections 2.5 s instead of 5.0; with 10, the packets of one block are enough."""
_HELD_BLOCKS: Final = 8
"""Blocks that are held at most: some megabytes."""

Flow = tuple[Side, Side, Connection]
"""Sender, receiver and connection of a flow."""
Entry = tuple[Stream, Stream, Flow | None]
"""The streams of sender and receiver at hand for the fast path, and the flow; None: not watched."""


class Output:
    """What one `feed` brought forth. `more`: it was too much for once, and `feed([])`, or `finish` again, gives the rest."""

    __slots__ = ("closed", "deliveries", "losses", "more")

    def __init__(self) -> None:
        self.deliveries: list[tuple[Connection, Delivery]] = []
        self.closed: list[Connection] = []
        self.losses: list[Loss] = []
        self.more = False


class Engine:
    """All connections of one capture."""

    def __init__(
        self,
        capture_id: str,
        limits: Limits | None = None,
        watch: Callable[[bytes], bool] | None = None,
        keylog: KeyLog | None = None,
    ) -> None:
        """`watch(flow)` says whether a flow is of interest (`--host`, `--port`); None: all are.

        `keylog` may learn more secrets at any time; None: no TLS will ever be decrypted, so no record is held for its keys.
        """
        self._capture_id = capture_id
        self._keylog = keylog
        self._generation = 0
        self._withheld: dict[int, list[Sender]] = {}
        self._limits = limits or Limits()
        self._watch = watch
        self._flows: dict[bytes, Entry] = {}
        nobody = Stream(self._limits)
        self._unwatched: Entry = (nobody, nobody, None)
        self._unwatched_flows = 0
        self._openings = Openings(self._limits)
        self._decoder = PacketDecoder(self._limits, self._lose)
        self._losses: list[Loss] = []
        self._touched: list[Connection] = []
        self._waiting: list[Connection] = []
        self._by_age: deque[tuple[int, int]] = deque()
        self._buffered: dict[int, int] = {}
        self._told: dict[int, str | None] = {}  # why a connection is not readable, as it was handed on last
        self._closed: list[Connection] = []
        self._deliveries: list[tuple[Connection, Delivery]] = []
        self._inflated = 0  # bytes of compressed connections in these deliveries
        self._held_blocks = self._held_packets = 0  # since connections were last looked at
        self._now = 0
        self._next_sweep = 0
        self.connections: dict[int, Connection] = {}
        """The open ones, by id."""

    @property
    def ignored_packets(self) -> int:
        """Packets that carried no TCP."""
        return self._decoder.ignored

    # --- packets ---------------------------------------------------------------------------------------------------------

    def feed(self, packets: list[Packet], *, hold: bool = False) -> Output:
        """A block of packets, in the order of capture.

        `hold`: what it brings forth may be handed on with a later block, where too few packets came for as many connections;
        `feed([])` gives all. That pays where connections are many: to look at one costs what ten packets do.
        """
        if not packets:
            return self._output()
        begin, clocks = 0, _clocks(packets, self._now)
        while clocks[-1] >= self._next_sweep:
            stop = bisect_left(clocks, self._next_sweep, begin)
            self._read(packets[begin:stop], clocks[begin:stop])
            self._sweep(clocks[stop])
            begin = stop
        self._read(packets[begin:], clocks[begin:])
        self._held_blocks += 1
        self._held_packets += len(packets)
        if hold and self._held_blocks < _HELD_BLOCKS and self._held_packets < _PACKETS_A_LOOK * len(self._touched):
            return Output()
        return self._output()

    def _read(self, packets: list[Packet], clocks: list[int]) -> None:
        """`clocks`: what time it is at each packet."""
        if len(packets) < _BULK:
            for packet, clock in zip(packets, clocks, strict=True):
                self._slow(packet, clock)
        else:
            self._feed_bulk(packets, clocks)
            self._now = clocks[-1]

    def _feed_bulk(self, packets: list[Packet], clocks: list[int]) -> None:
        """The hot loop: append each plain packet that its stream expects, and hand any other to `_slow`."""
        touched = self._touched
        entry_of = self._flows.get
        for packet, clock, plain, intact, seq, ack, start, end in zip(packets, clocks, *read_heads(packets), strict=True):
            data = packet[2]
            entry = entry_of(data[26:38]) if plain else None
            if entry is None:
                self._slow(packet, clock)
                continue
            stream, peer, flow = entry
            if flow is None:
                continue
            if (
                not stream.clean
                or not peer.clean
                or seq != stream.next_seq
                or 0 < (ack - peer.next_seq) & SEQUENCE_MASK < HALF_SPACE
                or not (intact or stream.offloaded)
            ):
                self._slow(packet, clock)
                continue
            if (ack - peer.acked) & SEQUENCE_MASK < HALF_SPACE:  # not one that was overtaken
                peer.acked = ack
            connection = flow[2]
            time = packet[0]
            if time > connection.last_seen:
                connection.last_seen = time
            elif time < connection.last_seen:
                connection.disorder.note(time, connection.last_seen)
            if start < end:
                stream.items.append((stream.offset, time, data[start:end]))
                size = end - start
                stream.offset += size
                stream.next_seq = (seq + size) & SEQUENCE_MASK
                if not connection.touched:
                    connection.touched = True
                    touched.append(connection)

    def tick(self, now: int) -> Output:
        """Time passes without packets: holes are given up, data settles, idle connections end."""
        self._now = max(self._now, now)
        if now >= self._next_sweep:
            self._sweep(now)
        return self._output()

    def finish(self, reason: str = CAPTURE_ENDED) -> Output:
        """The capture ends: all connections end with it."""
        self._decoder.flush()
        for came in self._openings.due(None):
            self._begin(came)
        for connection in list(self.connections.values()):
            if self._inflated > self._limits.inflated_bytes:
                break
            self._end(connection, self._now, reason)
        out = self._output()
        out.more = bool(self.connections)
        return out

    def _slow(self, packet: Packet, clock: int) -> None:
        """Any packet that the fast path does not take."""
        self._now = clock
        segment = self._decoder.decode(packet)
        if segment is None:
            return
        entry = self._flows.get(segment.flow)
        if entry is None and (came := self._openings.before(segment, reversed_flow(segment.flow), clock)):
            self._begin(came)
            entry = self._flows.get(segment.flow)
        if entry is not None and entry[2] is not None:
            if self._openings.hold(segment.flow, reversed_flow(segment.flow)):  # what came before was of an earlier one
                successor: list[Segment] | None = [segment]
            else:
                successor = contest(segment, *entry[2], clock, self._limits.gap_wait_unacknowledged)
            if successor is not None:
                self._replace(entry[2][2], successor, clock)
                return
        if entry is not None:
            self._segment(segment, clock)
        elif self._watch is not None and not self._watch(segment.flow):
            self._ignore(segment.flow)
        else:
            self._begin(self._openings.add(segment, reversed_flow(segment.flow)))

    def _replace(self, connection: Connection, successor: list[Segment], now: int) -> None:
        """Another connection has its addresses and ports, of which this has come; nothing: it may have."""
        if not successor:
            return
        connection.rival = None
        self._end(connection, now, "its addresses and ports were used again")
        if len(successor) == 1:  # a SYN
            successor = self._openings.add(successor[0], reversed_flow(successor[0].flow))
        self._begin(successor)

    def _begin(self, came: list[Segment]) -> None:
        """The first segments of a flow, as they came: SYNs have their turn before what overtook them."""
        now = 0  # not the engine's: they may have waited for longer than they had to, by how blocks are cut
        for segment in sorted(came, key=lambda segment: not segment.flags & SYN):
            now = max(now, segment.time)
            self._segment(segment, now, came)

    def _segment(self, segment: Segment, now: int, came: Sequence[Segment] = ()) -> None:
        """A segment whose turn it is. `came`: all that came of its flow, in the order of capture, where it may not be open."""
        entry = self._flows.get(segment.flow)
        flow = entry[2] if entry is not None else self._open(segment, came)
        if flow is None:
            return
        side, peer, connection = flow
        connection.segment(side, peer, segment, now)
        self._touch(connection)

    def _touch(self, connection: Connection) -> None:
        if not connection.touched:
            connection.touched = True
            self._touched.append(connection)

    # --- keys ------------------------------------------------------------------------------------------------------------

    def keyless(self) -> tuple[str, ...]:
        """The sides of connections, as `ID SENDER`, whose TLS records are held for their keys."""
        if self._keylog is None:
            return ()
        return tuple(
            f"{connection.id} {sender}"
            for connection in self.connections.values()
            for sender in connection.conversation.keyless
        )

    def withhold(self, keyless: Iterable[str]) -> None:
        """What `keyless` said when decoding stopped: until `release` these records are held, their keys there or not."""
        for name in keyless:
            identity, _, sender = name.partition(" ")
            self._withheld.setdefault(int(identity), []).append("client" if sender == "client" else "server")
        for number, senders in self._withheld.items():
            if number in self.connections:
                self.connections[number].conversation.withhold(tuple(senders))

    def release(self) -> None:
        """What was withheld may be read from now on."""
        for number in self._withheld:
            if number in self.connections:
                self.connections[number].conversation.withhold(())
                self._touch(self.connections[number])
        self._withheld.clear()

    # --- the table -------------------------------------------------------------------------------------------------------

    def _open(self, segment: Segment, came: Sequence[Segment]) -> Flow | None:
        """A flow that is not in the table, with the segment that has its turn first; `came` as of `_segment`."""
        key = segment.flow
        if _is_tail(segment):
            return None
        if len(self.connections) >= self._limits.connections:
            self._end(self._idle_longest(), self._now, "too many connections: the one idle longest was given up")
        is_client, guessed = self._who(segment)
        side: Sender = "client" if is_client else "server"
        named = next(one for one in came if not _is_tail(one))
        connection = Connection(self._capture_id, self._limits, segment, named, side, guessed, self._keylog)
        if connection.id in self._withheld:
            connection.conversation.withhold(tuple(self._withheld[connection.id]))
        self.connections[connection.id] = connection
        client, server = connection.client, connection.server
        sender, receiver = (client, server) if is_client else (server, client)
        self._flows[key] = (sender.stream, receiver.stream, (sender, receiver, connection))
        self._flows[reversed_flow(key)] = (receiver.stream, sender.stream, (receiver, sender, connection))
        return sender, receiver, connection

    def _idle_longest(self) -> Connection:
        """Found in a list that is sorted anew only when it is used up: a flood of connections must not cost a search each."""
        while True:
            while self._by_age:
                last_seen, number = self._by_age.popleft()
                connection = self.connections.get(number)
                if connection is not None and connection.last_seen == last_seen:
                    return connection
            self._by_age.extend(sorted((connection.last_seen, number) for number, connection in self.connections.items()))

    def _ignore(self, key: bytes) -> None:
        """Remember that a flow is not watched, so that its packets cost little."""
        if self._unwatched_flows >= self._limits.connections:
            for unwatched in [flow for flow, entry in self._flows.items() if entry[2] is None]:
                del self._flows[unwatched]
            self._unwatched_flows = 0
        self._flows[key] = self._unwatched
        self._unwatched_flows += 1

    @staticmethod
    def _who(segment: Segment) -> tuple[bool, bool]:
        """(the sender is the client, that is a guess): a SYN tells; else servers listen on the lower port."""
        if segment.flags & SYN:
            return not segment.flags & ACK, False
        (_, source), (_, destination) = endpoints(segment.flow)
        return source >= destination, True

    def _end(self, connection: Connection, time: int, reason: str) -> None:
        """Take a connection out of the table, with all that is left in it."""
        self._hand_on(connection, connection.finish(time, reason))
        self._losses.extend(connection.ledger.rows)
        connection.ledger.rows = []
        self.connections.pop(connection.id, None)
        self._buffered.pop(connection.id, None)
        self._told.pop(connection.id, None)
        for key in (connection.flow, reversed_flow(connection.flow)):
            entry = self._flows.get(key)
            if entry is not None and entry[2] is not None and entry[2][2] is connection:
                del self._flows[key]
        self._closed.append(connection)

    # --- after a block ---------------------------------------------------------------------------------------------------

    def _output(self) -> Output:
        """Everything since the last output."""
        self._deliver()
        out = Output()
        out.deliveries, out.closed, out.losses = self._deliveries, self._closed, self._losses
        out.more = bool(self._touched)
        self._deliveries, self._closed, self._losses = [], [], []
        self._inflated = 0
        return out

    def _hand_on(self, connection: Connection, delivery: Delivery) -> None:
        self._deliveries.append((connection, delivery))
        if connection.compression is not None:
            self._inflated += sum([len(message[4]) for _, messages in delivery for message in messages])

    def _deliver(self) -> None:
        """Take from each connection what has become whole."""
        now = self._now
        self._held_blocks = self._held_packets = 0
        for came in self._openings.due(now):
            self._begin(came)
        if self._keylog is not None and self._keylog.generation != self._generation:
            self._generation = self._keylog.generation
            for connection in self.connections.values():
                if connection.conversation.keyless:
                    self._touch(connection)
        for connection in self._waiting:  # time alone may bring something forth
            self._touch(connection)
        self._waiting = []
        touched, self._touched = self._touched, []
        for number, connection in enumerate(touched):
            if self._inflated > self._limits.inflated_bytes:
                self._touched = touched[number:]
                break
            connection.touched = False
            if connection.ended:
                continue
            delivery = connection.deliver(now)
            reason = connection.unreadable_reason
            if delivery or reason != self._told.get(connection.id):
                self._told[connection.id] = reason
                self._hand_on(connection, delivery)
            if connection.ledger.rows:
                self._losses.extend(connection.ledger.rows)
                connection.ledger.rows = []
            if connection.waiting:
                self._waiting.append(connection)
            held = connection.buffered_bytes()
            if held:
                self._buffered[connection.id] = held
            else:
                self._buffered.pop(connection.id, None)
        if self._buffered:
            self._enforce_totals(now)

    def _sweep(self, now: int) -> None:
        """Time-outs, as of the latest whole second, once everything before it has been delivered."""
        self._deliver()
        second = now - now % _SWEEP
        self._next_sweep = second + _SWEEP
        limits = self._limits
        gone: list[tuple[Connection, str]] = []
        for connection in self.connections.values():
            idle = second - connection.last_seen
            if connection.closed_at is not None and idle > LINGER:
                gone.append((connection, "closed"))
            elif idle > limits.idle_timeout or (idle > limits.unfinished_timeout and not connection.has_payload):
                gone.append((connection, "idle for too long"))
            elif connection.ledger.running:
                connection.ledger.expire(second)
                self._touch(connection)
        for connection, reason in gone:
            self._end(connection, second, reason)

    def _enforce_totals(self, now: int) -> None:
        """Limits over all connections: the one that holds most is told to let go."""
        limit = self._limits.reorder_total_bytes + self._limits.total_message_bytes
        while self._buffered and sum(self._buffered.values()) > limit:
            largest = max(self._buffered, key=self._buffered.__getitem__)
            connection = self.connections[largest]
            delivery = connection.settle()
            held = connection.buffered_bytes()
            if held < self._buffered[largest]:
                self._buffered[largest] = held
            else:
                delivery += connection.shed(now, "given up: too many bytes wait for the rest over all connections")
                del self._buffered[largest]
            if delivery:
                self._hand_on(connection, delivery)

    def _lose(self, time: int, length: int, reason: str) -> None:
        self._losses.append(Loss(self._capture_id, None, None, time, time, None, length, None, "tcp", reason))


def _clocks(packets: list[Packet], now: int) -> list[int]:
    """What time it is at each packet: the latest time of all until then, since packets' own times may step back.

    Time brings things forth (`Stream`), and the end of a block may bring forth nothing that the next packet would not.
    """
    clocks = list(map(_time_of, packets))
    if clocks[0] < now or sorted(clocks) != clocks:  # to look costs a sixth of what it costs to do it
        clocks = list(accumulate(clocks, max, initial=now))[1:]
    return clocks


def _is_tail(segment: Segment) -> bool:
    """Whether it opens nothing, where nothing is open: the tail of a connection that is gone."""
    return bool(segment.flags & RST) or bool(segment.flags & FIN and not segment.payload)


def reversed_flow(key: bytes) -> bytes:
    """The flow key of the other direction."""
    size = (len(key) - 4) // 2
    return key[size : 2 * size] + key[:size] + key[-2:] + key[-4:-2]

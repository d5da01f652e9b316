"""Bytes that nobody meant: no exception, no hang, bounded memory; and a restart at any packet."""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from sniffer.config import Limits
from sniffer.model import Packet
from sniffer.wire.connection import Connection
from sniffer.wire.encapsulation import LINK_TYPES
from sniffer.wire.engine import Engine, Output
from sniffer.wire.websocket import WebSocketReader
from tests.conversations import SIDES, random_conversation, shuffled
from tests.packets import ACK, FIN, MILLISECOND, PSH, RST, SYN, Flow, Sent

SEEDS = st.integers(0, 2**32 - 1)
SMALL = Limits(
    reorder_bytes=5_000,
    reorder_total_bytes=20_000,
    reorder_segments=50,
    connections=20,
    header_bytes=2_000,
    body_bytes=5_000,
    message_bytes=5_000,
    total_message_bytes=20_000,
    fragments=50,
    ip_fragments=10,
)


def check_bounds(engine: Engine) -> None:
    """Nothing that traffic fills is larger than its limit says, give or take one packet of 64 kB."""
    packet = 65_536
    assert len(engine.connections) <= SMALL.connections
    assert len(engine._flows) <= 2 * SMALL.connections
    assert len(engine._decoder._fragments._datagrams) <= SMALL.ip_fragments
    for connection in engine.connections.values():
        check_connection(connection, packet)
    total = sum(connection.buffered_bytes() for connection in engine.connections.values())
    assert total <= SMALL.reorder_total_bytes + SMALL.total_message_bytes + packet


def check_connection(connection: Connection, packet: int) -> None:
    for side in (connection.client, connection.server):
        stream = side.stream
        assert stream.held_bytes == sum(len(piece[2]) for piece in stream._held if isinstance(piece, tuple))
        assert stream.held_bytes <= SMALL.reorder_bytes
        assert len(stream._held) <= SMALL.reorder_segments
        assert len(stream.items) <= 2 * SMALL.reorder_segments
        assert len(side.doubtful) <= 8
    for reader in connection.conversation._websocket.readers.values() if connection.conversation._websocket else ():
        assert isinstance(reader, WebSocketReader)
        assert reader.buffered_bytes() <= 2 * SMALL.message_bytes + packet
    if connection.conversation._http is not None:
        assert connection.conversation._http.held_bytes() <= 2 * (SMALL.body_bytes + SMALL.header_bytes + packet)
    assert sum(len(items) for items in connection.conversation._detected.values()) <= 40


def feed_all(packets: list[Packet], block: int) -> None:
    engine = Engine("garbage", SMALL)
    begin = time.perf_counter()
    for at in range(0, len(packets), block):
        engine.feed(packets[at : at + block])
        check_bounds(engine)
    engine.finish()
    assert time.perf_counter() - begin < 10


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_random_bytes_on_every_link(seed: int) -> None:
    rng = random.Random(seed)
    links = [*LINK_TYPES, 147, 65_535]
    packets: list[Packet] = []
    for at in range(300):
        data = bytearray(rng.randbytes(rng.choice((0, 1, 13, 14, 20, 54, 60, 200))))
        if len(data) > 40 and rng.random() < 0.7:  # far enough in to do harm
            data[12:14] = rng.choice((b"\x08\x00", b"\x86\xdd", b"\x81\x00", b"\x88\x64", b"\x88\x47", b"\x65\x58"))
            data[rng.randrange(14, 24)] = rng.choice((0x45, 0x60, 0x4F, 6, 47, 17, 4, 41, 44, 0, 43, 51))
            data[14] = rng.choice((0x45, 0x46, 0x60))
            data[23] = rng.choice((6, 6, 47, 17, 4))
        packets.append(
            (at * rng.randint(0, MILLISECOND), rng.choice(links), bytes(data), rng.randint(0, 70_000), rng.choice((0, 0, 1, 2)))
        )
    feed_all(packets, rng.choice((1, 50)))


def mutated(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(changed) or 1)
        how = rng.random()
        if how < 0.6 and changed:
            changed[at] ^= 1 << rng.randrange(8)
        elif how < 0.8:
            changed[at:at] = rng.randbytes(rng.randint(1, 8))
        else:
            del changed[at : at + rng.randint(1, 8)]
    return bytes(changed)


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_mutated_captures(seed: int) -> None:
    """Bits flipped, bytes put in and taken out, anywhere; half of it vouched for, so that it gets through."""
    rng = random.Random(seed)
    conversation = random_conversation(rng, largest=3000)
    packets: list[Packet] = []
    for sent in conversation.sent:
        at, link, data, length, _ = sent.packet()
        if rng.random() < 0.3:
            data = mutated(rng, data)
        packets.append((at, link, data, rng.choice((length, len(data), 0)), rng.choice((0, 1))))
    feed_all(packets, rng.choice((1, 50)))


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_random_heads_and_streams(seed: int) -> None:
    """Right checksums over nonsense: flags, numbers, frames and HTTP at random."""
    rng = random.Random(seed)
    starts = (b"GET / HTTP/1.1\r\n", b"HTTP/1.1 101 x\r\n", b"\x16\x03\x01", b"\x81\x05", b"\x82\x7f", b"\r\n\r\n", b"")
    flows = [Flow((b"\x0a\0\0\1", 40_000 + at), step=1) for at in range(rng.randint(1, 40))]
    packets: list[Packet] = []
    clock = 0
    for _ in range(400):
        flow = rng.choice(flows)
        clock += rng.choice((0, 1, MILLISECOND, 300 * MILLISECOND))
        flow.time = clock
        sender = rng.choice(SIDES)
        flags = rng.choice((ACK, ACK | PSH, ACK, SYN, SYN | ACK, FIN | ACK, RST, RST | ACK, 0, 0x3F))
        payload = rng.choice(starts) + rng.randbytes(rng.choice((0, 1, 20, 1400)))
        at = rng.choice(
            (
                None,
                None,
                rng.getrandbits(32),
                flow.next[sender] - rng.randint(0, 3000),
                flow.next[sender] + rng.randint(0, 9000),
            )
        )
        ack = rng.choice((None, None, rng.getrandbits(32), flow.next["client"] + 5000))
        sent = flow.put(sender, flags, payload, at=at, ack=ack)
        packets.append(sent.packet(rng.choice((0, 1))))
    feed_all(packets, rng.choice((1, 50)))


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_random_frames_after_a_true_handshake(seed: int) -> None:
    rng = random.Random(seed)
    conversation = random_conversation(rng, messages=2, largest=200, close=False)
    flow = Flow(step=1, start=conversation.sent[-1].time + 1)
    flow.next = {side: conversation.numbers[side] + 1 + len(conversation.written[side]) for side in SIDES}
    for _ in range(200):
        head = bytes(
            [rng.choice((0x81, 0x82, 0x01, 0x00, 0x80, 0x88, 0x89, 0xC1, 0xC2, 0x41, rng.getrandbits(8))), rng.getrandbits(8)]
        )
        flow.put(rng.choice(SIDES), ACK, head + rng.randbytes(rng.choice((0, 4, 30, 300))))
    feed_all([sent.packet() for sent in [*conversation.sent, *flow.sent]], rng.choice((1, 50)))


# --- a restart -------------------------------------------------------------------------------------------------------------


def said(outputs: list[Output]) -> Counter[object]:
    found: Counter[object] = Counter()
    for output in outputs:
        for connection, delivery in output.deliveries:
            found.update((connection.id, sender, *message) for sender, messages in delivery for message in messages)
        found.update(output.losses)
        found.update(connection.id for connection in output.closed)
    return found


def blocks(rng: random.Random, packets: list[Packet]) -> list[list[Packet]]:
    cuts = sorted(rng.randint(0, len(packets)) for _ in range(rng.choice((0, 3, 30))))
    return [packets[a:b] for a, b in zip([0, *cuts], [*cuts, len(packets)], strict=True)]


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_what_the_first_packets_bring_forth_is_theirs_alone(seed: int) -> None:
    """Decoding again up to a position and dropping what that gives neither loses nor doubles anything."""
    rng = random.Random(seed)
    sent: list[Sent] = []
    for number in range(rng.randint(1, 4)):
        conversation = random_conversation(rng, largest=3000, messages=6)
        port = 50_000 + number
        late = rng.randint(0, 3000) * MILLISECOND
        for one in conversation.sent:
            if rng.random() < 0.05:
                continue
            late += rng.choice((0, 250, 6000)) * MILLISECOND if rng.random() < 0.02 else 0
            ends = {one.source, one.destination}
            client = next(end for end in ends if end[1] == 50_000)
            own = (client[0], port)
            source = own if one.source == client else one.source
            destination = own if one.destination == client else one.destination
            sent.append(replace(one, source=source, destination=destination).later(late))
    sent.sort(key=lambda one: one.time)
    packets = [one.packet() for one in (shuffled(rng, sent) if rng.random() < 0.5 else sent)]
    position = rng.randint(0, len(packets))
    before = []
    for _ in range(2):
        engine = Engine("restart")
        before.append(said([engine.feed(block) for block in blocks(rng, packets[:position])]))
        rest = said([*[engine.feed(block) for block in blocks(rng, packets[position:])], engine.finish()])
        before.append(rest)
    assert before[0] == before[2]
    assert before[1] == before[3]

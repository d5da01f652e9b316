"""Handshakes that a capture queue has reordered, and what waits for one."""

from __future__ import annotations

import random

import pytest

from sniffer.config import SECOND, Limits
from sniffer.wire.engine import Engine
from sniffer.wire.opening import Openings
from tests.conversations import check_whole, random_conversation
from tests.packets import ACK, MILLISECOND, SYN, Flow
from tests.reading import read_packets

LATE = 150 * MILLISECOND


@pytest.mark.parametrize("seed", range(60))
def test_any_packet_may_be_late(seed: int) -> None:
    """The SYNs, too: each packet comes up to 150 ms later than it was, and nothing is missed."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    conversation = random_conversation(rng)
    packets = sorted((at + rng.randrange(LATE), *rest) for at, *rest in (sent.packet() for sent in conversation.sent))
    seen = check_whole(conversation, read_packets(packets, block=rng.choice((1, 3, 1000))))
    assert not seen.connection.joined_midway
    assert seen.connection.client_address[1] == conversation.sent[0].source[1]


def test_the_blocks_do_not_matter() -> None:
    rng = random.Random(1)
    conversation = random_conversation(rng)
    packets = sorted((at + rng.randrange(3 * LATE), *rest) for at, *rest in (sent.packet() for sent in conversation.sent))
    first, *others = (read_packets(packets, block=block) for block in (1, 2, 10, 1000))
    for other in others:
        assert [(seen.messages, seen.times) for seen in other.connections.values()] == [
            (seen.messages, seen.times) for seen in first.connections.values()
        ]
        assert sorted(other.losses, key=str) == sorted(first.losses, key=str)


@pytest.mark.parametrize("block", [1, 1000])
def test_ports_that_are_used_again_behind_what_has_waited_long_enough(block: int) -> None:
    old, other, new = Flow(), Flow((b"\x0a\0\0\2", 50_000)), Flow(numbers=(9_000, 70_000))
    old.data("client", b"joined in the middle")
    other.time = old.time + 250 * MILLISECOND  # time goes on: block by block the old one is opened here
    other.open()
    new.time = other.time
    new.open()
    engine, packets = Engine("test"), old.packets() + other.packets() + new.packets()
    closed = [connection for at in range(0, len(packets), block) for connection in engine.feed(packets[at : at + block]).closed]
    closed += engine.finish().closed
    assert [connection.opened_at for connection in closed] == [flow.sent[0].time for flow in (old, other, new)]


def test_without_a_syn_it_waits_as_long_as_queues_reorder() -> None:
    flow = Flow()
    flow.time = SECOND // 2
    engine = Engine("test")
    engine.feed([flow.put("client", ACK, b"GET / HTTP/1.1\r\n").packet()])
    assert not engine.tick(SECOND // 2 + LATE).deliveries
    assert not engine.connections
    engine.tick(SECOND // 2 + 200 * MILLISECOND)
    (connection,) = engine.connections.values()
    assert connection.joined_midway
    assert connection.opened_at == SECOND // 2


def test_the_end_of_the_capture_opens_what_waits() -> None:
    engine = Engine("test")
    assert not engine.feed([Flow().put("client", SYN).packet()]).closed
    assert len(engine.finish().closed) == 1


def test_what_waits_is_bounded() -> None:
    """By flow, by bytes over all flows, and by flows; the oldest has its turn first."""
    limits = Limits(connections=10, reorder_bytes=10_000, reorder_total_bytes=50_000)
    many, long, large = Engine("test", limits), Engine("test", limits), Engine("test", limits)
    for number in range(100):
        flow = Flow((b"\x0a\0\0\1", 10_000 + number), start=number)
        many.feed([flow.put("client", SYN).packet()])
        large.feed([flow.put("client", ACK, bytes(9000)).packet()])
        assert len(many._openings._openings) <= 10
        assert large._openings._bytes <= 50_000
    one = Flow()
    for _ in range(100):
        long.feed([one.put("client", ACK, bytes(100)).packet()])
        assert long._openings._bytes <= 10_000
    assert len(long.connections) == 1


def test_nothing_is_left_behind() -> None:
    openings = Openings(Limits())
    assert openings.due(None) == []
    engine = Engine("test")
    flow = Flow()
    flow.open()
    engine.feed(flow.packets())
    assert len(engine.connections) == 1
    assert not engine._openings._openings
    assert engine._openings._bytes == 0

"""Handshakes that a capture queue has reordered, and what waits for one."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from sniffer.config import SECOND, Limits
from sniffer.wire.engine import Engine
from sniffer.wire.opening import Openings
from tests.conversations import check_whole, random_conversation
from tests.frames import frame, request, response
from tests.loading import Memory, Source, load
from tests.packets import ACK, MICROSECOND, MILLISECOND, RST, START, SYN, Flow
from tests.reading import Seen, read_packets

LATE = 150 * MILLISECOND
BLOCKS = (1, 2, 1000)


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


# --- ports that are used again at once -------------------------------------------------------------------------------------


def talk(flow: Flow, text: bytes) -> None:
    """Open a connection, upgrade it, and say something."""
    flow.open()
    flow.data("client", request())
    flow.data("server", response())
    flow.data("client", frame(1, text, mask=b"abcd"))
    flow.data("server", frame(1, text))


def said(seen: Seen, text: bytes) -> bool:
    """Whether the connection is as `talk` made it, and whole."""
    return (
        not seen.losses
        and not seen.connection.joined_midway
        and seen.messages == {"client": [("text", text)], "server": [("text", text)]}
    )


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("refused", [True, False])
@pytest.mark.parametrize("number", [500_000, 999_990, 1_000_100, 3_000_000])
def test_refused_or_given_up_and_connected_again(number: int, refused: bool, block: int) -> None:
    """Another SYN of the same side begins another connection, wherever its number lies."""
    flow = Flow(numbers=(1_000_000, 5000))
    flow.put("client", SYN)
    if refused:
        flow.put("server", RST | ACK, at=0)
    flow.next = {"client": number, "server": 9_000_000}
    talk(flow, b"order")
    reading = read_packets(flow.packets(), block)
    first, second = sorted(reading.connections.values(), key=lambda seen: seen.connection.opened_at)
    assert said(second, b"order")
    assert second.connection.opened_at == next(sent.time for sent in flow.sent if sent.seq == number)
    assert not first.connection.has_payload
    assert first.connection.closed_at == flow.sent[refused].time
    assert not reading.losses


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("number", [500_000, 3_000_000])
def test_reset_and_connected_again_where_one_direction_is_captured(number: int, block: int) -> None:
    flow = Flow(numbers=(1_000_000, 5000))
    for text, begin in ((b"one", 1_000_000), (b"two", number)):
        flow.next["client"] = begin
        flow.open()
        flow.data("client", request())
        flow.put("client", ACK, text)
        flow.put("client", RST | ACK)
    reading = read_packets([sent.packet() for sent in flow.sent if sent.source == flow.addresses["client"]], block)
    assert [seen.connection.client.stream.extent for seen in reading.connections.values()] == [len(request()) + 3] * 2
    assert [seen.http for seen in reading.connections.values()] == [[("client", b"")]] * 2
    assert not [loss for loss in reading.losses if loss.layer == "tcp"]


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("number", [500_000, 3_000_000])
@pytest.mark.parametrize("late", [0, 3, 5])
def test_joined_midway_and_reset_and_connected_again(late: int, number: int, block: int) -> None:
    """The numbers part what is left of the old connection from what overtook the SYN of the new one."""
    old = Flow(numbers=(1_000_000, 70_000))
    old.data("server", b"an old word")
    old.put("client", RST | ACK)
    new = Flow(numbers=(number, 9_000_000), start=old.time)
    talk(new, b"order")
    sent = new.sent
    sent.insert(late, sent.pop(0))
    packets = [(START + at * MILLISECOND, *one.packet()[1:]) for at, one in enumerate(old.sent + sent)]
    first, second = read_packets(packets, block).connections.values()
    assert said(second, b"order")
    assert first.connection.joined_midway
    assert first.connection.server.stream.extent == len(b"an old word")


@pytest.mark.parametrize("block", BLOCKS)
def test_damaged_numbers_part_nothing(block: int) -> None:
    flow = Flow(numbers=(1_000_000, 5000))
    talk(flow, b"order")
    first, answer, *rest = flow.sent
    for damaged in (replace(first, seq=77).damaged(6), rest[0].damaged(4)):
        for order in ([damaged, first, answer, *rest], [first, damaged, answer, *rest], [damaged, *rest, first, answer]):
            packets = [(START + at * MILLISECOND, *sent.packet()[1:]) for at, sent in enumerate(order)]
            reading = read_packets(packets, block)
            (seen,) = reading.connections.values()
            assert not seen.connection.joined_midway
            assert seen.messages == {"client": [("text", b"order")], "server": [("text", b"order")]}
            assert not [loss for loss in reading.losses if loss.bytes]


# --- a capture that ends within the wait, and goes on ----------------------------------------------------------------------


def test_what_overtook_its_syn_names_the_connection() -> None:
    """So a capture that ends between the two, and goes on, shows no connection that never was."""
    flow = Flow()
    talk(flow, b"order")
    one, two, three, four, *rest = flow.sent
    order = [three, four, one, two, *rest]
    packets = [(START + at * 100 * MICROSECOND, *sent.packet()[1:]) for at, sent in enumerate(order)]
    straight, resumed = Memory(), Memory()
    load(straight, Source(packets, identity="journal"))
    for end in (1, 2, 3, len(packets)):
        load(resumed, Source(packets[:end], identity="journal"))
        assert len(resumed.connections) == 1
    assert resumed.connections == straight.connections
    assert resumed.rows == straight.rows
    (row,) = straight.connections.values()
    assert START in row

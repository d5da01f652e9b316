"""The end of a block brings forth nothing that the next packet would not, also where times step back between flows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sniffer.model import Packet
from tests.frames import frame, request, response
from tests.packets import ACK, CLIENT, MILLISECOND, Flow, Sent
from tests.reading import Seen, read_packets

BLOCKS = (1, 2, 3, 1000)
MASK = b"abcd"


def upgraded() -> Flow:
    flow = Flow()
    flow.open()
    flow.data("client", request())
    flow.data("server", response())
    return flow


def other_flow() -> Flow:
    other = Flow(client=(CLIENT[0], CLIENT[1] + 1))
    other.open()
    return other


def later(other: Flow, than: Sent, by: int) -> Packet:
    """A packet of another flow."""
    return replace(other.put("client", ACK), time=than.time + by * MILLISECOND).packet()


def read(packets: list[Packet], block: int) -> Seen:
    (seen,) = [seen for seen in read_packets(packets, block).connections.values() if seen.connection.has_payload]
    return seen


@pytest.mark.parametrize("block", BLOCKS)
def test_a_copy_that_differs_comes_when_the_bytes_are_settled(block: int) -> None:
    flow, other = upgraded(), other_flow()
    (sent,) = flow.data("client", frame(1, b"AAAA", mask=MASK), acknowledge=False)
    copy = replace(sent, payload=frame(1, b"BBBB", mask=MASK), time=sent.time + 199 * MILLISECOND)
    seen = read([*other.packets(), *flow.packets(), later(other, sent, 201), copy.packet()], block)
    assert seen.messages["client"] == [("text", b"AAAA")]
    assert not seen.losses


@pytest.mark.parametrize("block", BLOCKS)
def test_a_filler_comes_when_its_hole_is_given_up(block: int) -> None:
    flow, other = upgraded(), other_flow()
    (missing,) = flow.data("client", frame(1, b"AAAA", mask=MASK), acknowledge=False)
    flow.sent.pop()
    flow.data("client", frame(1, b"BBBB", mask=MASK))
    last = flow.sent[-1]
    filler = replace(missing, time=last.time + 199 * MILLISECOND)
    seen = read([*other.packets(), *flow.packets(), later(other, last, 201), filler.packet()], block)
    assert [(loss.layer, loss.bytes) for loss in seen.losses] == [("tcp", 10), ("websocket", 10)]
    assert not seen.messages["client"]


@pytest.mark.parametrize("block", BLOCKS)
def test_a_hole_that_another_flow_s_time_gave_up_is_before_what_came_next(block: int) -> None:
    """The request is missing, and what answers it is earlier by its own clock than the moment when the hole was due."""
    flow, other = Flow(), other_flow()
    flow.open()
    flow.data("client", request())
    del flow.sent[3]
    acknowledged = flow.sent[-1]
    flow.data("server", response() + frame(1, b"AAAA"))
    packets = flow.packets()
    seen = read([*other.packets(), *packets[:4], later(other, acknowledged, 250), *packets[4:]], block)
    assert seen.connection.joined_midway
    assert [(loss.layer, loss.sender, loss.bytes) for loss in seen.losses] == [
        ("tcp", "client", len(request())),
        ("websocket", "server", len(response() + frame(1, b"AAAA"))),
    ]


@pytest.mark.parametrize("block", BLOCKS)
def test_what_waited_for_its_syn_for_long_waits_for_its_holes_all_the_same(block: int) -> None:
    """Joined in the middle, and silent for so long that a block's end, or only its next packet, opens it."""
    flow, other = Flow(), other_flow()
    flow.data("server", b"joined in the middle", acknowledge=False)
    flow.put("server", ACK, b"lost")
    late = flow.sent.pop()
    flow.data("server", b"and more")
    sent = flow.packets()
    last = flow.sent[-1]
    packets = [*other.packets(), *sent, replace(late, time=last.time).packet()]
    flow.time += 61_000 * MILLISECOND
    flow.data("server", b"the end")
    packets += [later(other, last, 210), *flow.packets()[len(sent) :]]
    seen = read(packets, block)
    assert seen.connection.server.stream.lost == 0

"""Segments that stand far from all that their connection has seen."""

from __future__ import annotations

import pytest

from sniffer.wire.strays import FAR
from tests.frames import frame, request, response
from tests.packets import ACK, FIN, PSH, SYN, Flow
from tests.reading import Reading, read_packets

MASK = b"\1\2\3\4"
OLD, NEW = b'{"order":1,"of":"the old one"}', b'{"order":2,"of":"the new one"}'
FAR_OFF = (1 << 20) + (1 << 16)


def upgraded(flow: Flow) -> Flow:
    flow.open()
    flow.data("client", request())
    flow.data("server", response())
    return flow


def both(flow: Flow, payload: bytes) -> None:
    flow.data("server", frame(1, payload))
    flow.data("client", frame(1, payload, mask=MASK))


def texts(reading: Reading) -> list[bytes]:
    return [payload for _, _, payload in reading.all_messages()]


@pytest.mark.parametrize("block", [1, 3, 100])
@pytest.mark.parametrize("numbers", [(1000 + (1 << 30), 5000 + (1 << 30)), (1000 - (1 << 30), 5000 - (3 << 29))])
@pytest.mark.parametrize("copies", ["data", "all", "end"])
def test_late_copies_of_an_earlier_connection_are_not_the_next_ones(copies: str, numbers: tuple[int, int], block: int) -> None:
    first = upgraded(Flow(numbers=(1000, 5000)))
    both(first, OLD)
    first.close()
    again = Flow(start=first.time, numbers=numbers)
    upgraded(again)
    both(again, NEW)
    stale = [one for one in first.sent[7:] if copies == "all" or bool(one.flags & FIN) == (copies == "end")]
    again.sent += [one.later(again.time + at - one.time) for at, one in enumerate(stale)]
    again.time += 100
    both(again, NEW)
    again.close()
    reading = read_packets(first.packets() + again.packets(), block)
    assert sorted(texts(reading)) == [OLD] * 2 + [NEW] * 4
    lost = {loss.sender: loss.bytes for loss in reading.losses}
    expected = {"server": len(frame(1, OLD)), "client": len(frame(1, OLD, mask=MASK))}
    assert lost == ({} if copies == "end" else expected)
    assert {loss.reason for loss in reading.losses} <= {FAR}


@pytest.mark.parametrize("sides", [["server"], ["client"], ["client", "server"]])
def test_a_long_stretch_that_was_not_captured_is_a_hole(sides: list[str]) -> None:
    """One side's is one at once; both sides' when it is proved, with all that proved it."""
    flow = upgraded(Flow())
    both(flow, OLD)
    for side in sides:
        flow.next[side] += FAR_OFF
    for _ in range(6):
        both(flow, NEW)
    flow.close()
    reading = read_packets(flow.packets())
    assert texts(reading).count(NEW) == 12
    assert {(loss.sender, loss.bytes) for loss in reading.losses} == {(side, FAR_OFF) for side in sides}


def test_a_long_stretch_of_a_capture_of_one_direction() -> None:
    flow = upgraded(Flow())
    both(flow, OLD)
    flow.next["client"] += FAR_OFF
    flow.next["server"] += FAR_OFF
    for _ in range(12):
        flow.data("server", frame(1, NEW))
    flow.sent = [one for one in flow.sent if one.source == flow.addresses["server"]]
    assert texts(read_packets(flow.packets())).count(NEW) == 12


def test_what_is_not_proved_is_a_loss() -> None:
    """Too few, the same ones again, of one side only, or not near each other."""
    at = FAR_OFF
    for places in ([at] * 20, [at + number * 100 for number in range(20)], [at * (1 + number % 2) for number in range(20)]):
        flow = upgraded(Flow())
        for place in places:
            flow.put("server", ACK | PSH, frame(1, OLD), at=flow.next["server"] + place, ack=flow.next["client"] + at)
        both(flow, NEW)
        flow.close()
        reading = read_packets(flow.packets())
        assert sorted(texts(reading)) == [NEW, NEW]
        assert sum(loss.bytes or 0 for loss in reading.losses) == 20 * len(frame(1, OLD))
        assert {(loss.sender, loss.reason) for loss in reading.losses} == {("server", FAR)}


def test_what_has_no_second_number_is_not_judged() -> None:
    flow = Flow()
    flow.put("client", SYN)
    flow.put("client", SYN)
    assert not read_packets(flow.packets()).losses

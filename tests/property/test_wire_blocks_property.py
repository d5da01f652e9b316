"""What is read is a function of the packets and their order alone, also where their times step back between flows, and what a
capture's end brings forth names no connection that the capture, when it goes on, does not show."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from sniffer.model import Packet
from tests.frames import frame, request, response
from tests.packets import ACK, CLIENT, MICROSECOND, MILLISECOND, PSH, RST, START, SYN, Flow, Sent
from tests.reading import Reading, read_blocks

SEEDS = st.integers(0, 2**32 - 1)
STEP_BACK = 300 * MILLISECOND
SIDES = ("client", "server")


def random_flow(rng: random.Random, number: int) -> list[Sent]:
    """A conversation with holes, late fillers and late copies that disagree; some are joined midway, refused, or used again."""
    flow = Flow(
        client=(CLIENT[0], CLIENT[1] + number),
        start=START + rng.randrange(300 * MILLISECOND),
        numbers=(rng.getrandbits(32), rng.getrandbits(32)),
    )
    flow.step = rng.choice((MICROSECOND, 20 * MILLISECOND))
    for _ in range(rng.choice((0, 0, 0, 1, 2))):  # attempts that came to nothing
        flow.put("client", SYN)
        if rng.random() < 0.5:
            flow.put("server", RST | ACK, at=0)
        flow.next["client"] = rng.getrandbits(32)
    if rng.random() < 0.8:
        flow.open()
    flow.data("client", request())
    flow.data("server", response())
    for _ in range(rng.randint(1, 8)):
        side = rng.choice(SIDES)
        mask = b"abcd" if side == "client" else None
        text = bytes(rng.choice(b"xyz") for _ in range(rng.randint(1, 30)))
        flow.data(side, frame(1, text, mask=mask), size=rng.choice((1460, 10)), acknowledge=rng.random() < 0.7)
        if rng.random() < 0.2:
            flow.time += rng.choice((150, 190, 210, 400, 61_000)) * MILLISECOND
    if rng.random() < 0.4:
        flow.close()
    sent: list[Sent] = []
    beginning = rng.choice((0, 6))  # so many packets are likely to be overtaken
    for at, one in enumerate(flow.sent):
        chance = rng.random() * (0.16 if at < beginning else 1)
        late = rng.choice((rng.randint(1, 50), rng.randint(150, 250))) * MILLISECOND
        if chance > 0.08:
            sent.append(one)
        elif chance > 0.02:  # else it is lost; SYNs may be, too
            sent.append(one.later(late))
        if one.payload and rng.random() < 0.15:
            sent.append(replace(one, payload=rng.choice((one.payload, one.payload[::-1])), flags=ACK | PSH).later(late))
    return sorted(sent, key=lambda one: one.time)


def random_capture(rng: random.Random) -> list[Packet]:
    """Several flows in one capture; each is stamped by a clock of its own, which is behind by up to `STEP_BACK`."""
    arrivals: list[tuple[int, int, Sent]] = []
    for number in range(rng.randint(1, 4)):
        behind = rng.choice((0, rng.randrange(STEP_BACK)))
        arrivals += [(one.time + behind, number, one) for one in random_flow(rng, number)]
    arrivals.sort(key=lambda arrival: arrival[:2])
    return [one.packet() for _, _, one in arrivals]


def cut(rng: random.Random, packets: list[Packet], size: int | None) -> Iterator[list[Packet]]:
    """Blocks of `size`; None: each of another."""
    at = 0
    while at < len(packets):
        step = size or rng.choice((1, 2, 5, 13, 40))
        yield packets[at : at + step]
        at += step


def outcome(reading: Reading) -> object:
    connections = sorted(
        (number, seen.messages, seen.times, seen.connection.closed_at, seen.connection.opened_at, seen.connection.protocol)
        for number, seen in reading.connections.items()
    )
    return connections, sorted(map(str, reading.losses))


@settings(max_examples=150, deadline=None)
@given(seed=SEEDS)
def test_how_packets_are_cut_into_blocks_changes_nothing(seed: int) -> None:
    rng = random.Random(seed)
    packets = random_capture(rng)
    whole = outcome(read_blocks([packets]))
    for size in (1, 2, 3, 7, 13, None):
        assert outcome(read_blocks(cut(rng, packets, size))) == whole, size


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_a_capture_that_goes_on_shows_every_connection_that_it_showed(seed: int) -> None:
    packets = random_capture(random.Random(seed))
    whole = read_blocks([packets]).connections.keys()
    for end in range(1, len(packets)):
        assert read_blocks([packets[:end]]).connections.keys() <= whole, end

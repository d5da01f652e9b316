"""Random websocket conversations inside TLS, whole and damaged: what the plain runs hold, with records in between."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from pcaps.kit.tls import AES_128_GCM_13, AES_256_GCM_13, CHACHA20_13, ECDHE_AES_128_GCM, ECDHE_CHACHA20
from tests.conversations import SIDES, Conversation, only_connection, random_conversation, shuffled
from tests.packets import MILLISECOND, Sent
from tests.property.test_wire_damage_property import check_subsequence, outcome
from tests.reading import Reading, key_log, read_packets
from tests.secured import SecuredFlow, secured

SEEDS = st.integers(0, 2**32 - 1)
BLOCKS = (1, 7, 100, 100_000)
SUITES = (AES_128_GCM_13, AES_256_GCM_13, CHACHA20_13, ECDHE_AES_128_GCM, ECDHE_CHACHA20)


def spoken(rng: random.Random) -> tuple[Conversation, SecuredFlow]:
    inside = random_conversation(rng, messages=10, largest=3000)
    return inside, secured(rng, inside, rng.choice(SUITES))


def read(flow: SecuredFlow, sent: list[Sent], block: int, lines: list[str] | None = None) -> Reading:
    """`lines` of the key log; None: all."""
    return read_packets([one.packet() for one in sent], block, keylog=key_log(*(flow.keys if lines is None else lines)))


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_every_message_of_a_whole_capture_is_read(seed: int) -> None:
    """In any order in which queues may hand its packets on, in blocks of any size."""
    rng = random.Random(seed)
    inside, flow = spoken(rng)
    sent = shuffled(rng, flow.flow.sent, within=100 * MILLISECOND) if rng.random() < 0.5 else flow.flow.sent
    reading = read(flow, sent, rng.choice(BLOCKS))
    seen = only_connection(reading)
    assert seen.connection.protocol == "wss"
    for side in SIDES:
        assert seen.messages[side] == inside.messages[side]
        assert seen.positions[side] == list(range(len(seen.positions[side])))
        assert all(first <= last for first, last in seen.times[side])
    assert not [loss for loss in reading.losses if loss.bytes != 0]


@settings(max_examples=80, deadline=None)
@given(seed=SEEDS)
def test_what_is_read_of_a_damaged_capture_was_sent(seed: int) -> None:
    """Segments missing, segments whose payload was changed under a right checksum: what is gone stands in the losses."""
    rng = random.Random(seed)
    inside, flow = spoken(rng)
    share = rng.choice((0.01, 0.05, 0.3))
    keep = rng.choice((3, 5, 12))
    sent: list[Sent] = []
    for at, one in enumerate(flow.flow.sent):
        if at < keep or rng.random() > share:
            sent.append(one)
        elif one.payload and rng.random() < 0.3:
            changed = bytearray(one.payload)
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
            sent.append(Sent(one.time, one.source, one.destination, one.seq, one.ack, one.flags, bytes(changed)))
    reading = read(flow, sent, rng.choice(BLOCKS))
    seen = only_connection(reading)
    for side in SIDES:
        check_subsequence(inside.messages[side], seen.messages[side])
        assert seen.positions[side] == list(range(len(seen.positions[side])))
        if seen.messages[side] != inside.messages[side]:
            assert seen.losses or not seen.connection.readable


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_the_size_of_blocks_changes_nothing(seed: int) -> None:
    """With all keys, some of them, or none; with loss, copies, silences, the beginning missing."""
    rng = random.Random(seed)
    _, flow = spoken(rng)
    lines = rng.choice((None, None, [], [line for line in flow.keys if rng.random() < 0.6]))
    sent: list[Sent] = []
    late = 0
    for one in flow.flow.sent:
        late += rng.choice((0, 0, 50, 250, 1500)) * MILLISECOND if rng.random() < 0.1 else 0
        chance = rng.random()
        if chance < 0.9:
            sent.append(one.later(late))
        if chance > 0.95:
            sent.append(one.later(late + rng.randint(0, 400 * MILLISECOND)))
    sent.sort(key=lambda one: one.time)
    sent = sent[rng.choice((0, 0, 1, 3, 6, 10)) :]
    whole = outcome(read(flow, sent, 100_000, lines))
    for block in (1, 7, rng.randint(2, 50)):
        assert outcome(read(flow, sent, block, lines)) == whole, block

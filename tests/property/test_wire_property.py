"""Random conversations through the engine: the same messages, however they were cut, reordered, copied and read."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conversations import SIDES, check_whole, random_conversation, resegmented, shuffled
from tests.packets import ACK
from tests.reading import read_packets

SEEDS = st.integers(0, 2**32 - 1)
BLOCKS = (1, 7, 100, 100_000)


@pytest.mark.parametrize("block", BLOCKS)
@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_each_message_in_order_with_its_times(block: int, seed: int) -> None:
    conversation = random_conversation(random.Random(seed))
    seen = check_whole(conversation, read_packets([sent.packet() for sent in conversation.sent], block))
    for side in SIDES:
        assert seen.times[side][len(seen.times[side]) - len(conversation.times[side]) :] == conversation.times[side]


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_other_segments_copies_and_order_change_nothing(seed: int) -> None:
    rng = random.Random(seed)
    conversation = random_conversation(rng)
    sent = shuffled(rng, resegmented(rng, conversation))
    if rng.random() < 0.5:  # acknowledgements are late, or missing
        sent = [one for one in sent if one.payload or one.flags != ACK or rng.random() < 0.5]
    check_whole(conversation, read_packets([one.packet() for one in sent], rng.choice(BLOCKS)))


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_one_side_alone_is_read(seed: int) -> None:
    """A capture that shows one direction: what the other sent is lost, and known to be."""
    rng = random.Random(seed)
    conversation = random_conversation(rng, close=False)
    side = rng.choice(SIDES)
    sent = [one for one in conversation.sent if conversation.sender(one) == side]
    reading = read_packets([one.packet() for one in sent], rng.choice(BLOCKS))
    other = "server" if side == "client" else "client"
    seen = next(iter(reading.connections.values()))
    assert not seen.messages[other]
    acknowledged = max(((one.ack - conversation.numbers[other] - 1) & 0xFFFFFFFF for one in sent if one.flags & ACK), default=0)
    assert sum(loss.bytes or 0 for loss in reading.losses if loss.sender == other and loss.layer == "tcp") == acknowledged
    assert not [loss for loss in reading.losses if loss.sender == side and loss.layer == "tcp" and loss.bytes]
    wanted = iter(conversation.messages[side])
    assert all(message in wanted for message in seen.messages[side]), "a message that was not sent, or out of order"


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_acknowledgement_numbers_of_later_packets_only(seed: int) -> None:
    """Acknowledgements that run ahead of the data in the capture, by less than the wait for a hole."""
    rng = random.Random(seed)
    conversation = random_conversation(rng)
    sent = [
        replace(one, time=one.time - rng.randint(0, 100_000_000)) if one.flags == ACK and not one.payload else one
        for one in conversation.sent
    ]
    opened = min(one.time for one in conversation.sent)
    sent = [replace(one, time=max(one.time, opened)) for one in sent]
    head, rest = sent[:3], sent[3:]
    rest.sort(key=lambda one: one.time)
    check_whole(conversation, read_packets([one.packet() for one in head + rest], rng.choice(BLOCKS)))

"""Random conversations with packets lost or damaged: what is given was sent, and what is missing stands in the losses."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from sniffer.model import Loss
from tests.conversations import SIDES, Conversation, check_whole, only_connection, random_conversation, shuffled
from tests.packets import ACK, MILLISECOND, Flow, Sent
from tests.reading import Reading, read_packets

SEEDS = st.integers(0, 2**32 - 1)
BLOCKS = (1, 7, 100, 100_000)


def covered(conversation: Conversation, sent: list[Sent], side: str) -> bytearray:
    """For each byte of the side's stream, whether a usable packet holds it."""
    seen = bytearray(len(conversation.written[side]))
    for one in sent:
        if one.payload and one.damage is None and conversation.sender(one) == side:
            at = conversation.offset(one, side)
            seen[at : at + len(one.payload)] = b"\1" * len(one.payload)
    return seen


def extent(conversation: Conversation, sent: list[Sent], side: str) -> int:
    """How many bytes of the side's stream usable packets prove: its data, the peer's acknowledgements, its FIN.

    Where the FIN itself is missing, its acknowledgement looks like that of one more byte.
    """
    known = 0
    finished = any(one.flags & 1 and one.damage is None and conversation.sender(one) == side for one in sent)
    for one in sent:
        if one.damage is not None:
            continue
        if conversation.sender(one) == side:
            known = max(known, conversation.offset(one, side) + len(one.payload) if one.payload or one.flags & 1 else 0)
        elif one.flags & ACK:
            known = max(known, (one.ack - conversation.numbers[side] - 1) & 0xFFFFFFFF)
    return min(known, len(conversation.written[side]) + (not finished))


def check_subsequence(wanted: list[tuple[str, bytes]], got: list[tuple[str, bytes]]) -> None:
    left = iter(wanted)
    for message in got:
        assert message in left, f"never sent, or not in this order: {message[0]} {message[1][:60]!r}"


def check_damaged(conversation: Conversation, sent: list[Sent], reading: Reading) -> None:
    seen = only_connection(reading)
    for side in SIDES:
        check_subsequence(conversation.messages[side], seen.messages[side])
        assert seen.positions[side] == list(range(len(seen.positions[side])))
        known = extent(conversation, sent, side)
        seen_bytes = covered(conversation, sent, side)
        missing = seen_bytes[:known].count(0) + max(0, known - len(seen_bytes))
        gaps = [loss for loss in seen.losses if loss.sender == side and loss.layer == "tcp" and loss.bytes]
        # A damaged segment at the very end is believed where it says that it stood: nothing contradicts it.
        beyond = getattr(seen.connection, side).stream.extent - known
        assert 0 <= beyond <= sum(len(one.payload) for one in sent if one.damage is not None)
        assert sum(loss.bytes or 0 for loss in gaps) == missing + beyond, (side, gaps)
        if missing == 0 and known == len(conversation.written[side]):
            assert seen.messages[side] == conversation.messages[side] or covered_by_losses(seen.losses, side)


def covered_by_losses(losses: list[Loss], side: str) -> bool:
    """The other side's hole may cost this side its handshake; then that is said."""
    return any(loss.sender == side and loss.bytes for loss in losses)


@settings(max_examples=80, deadline=None)
@given(seed=SEEDS)
def test_deleted_segments(seed: int) -> None:
    rng = random.Random(seed)
    conversation = random_conversation(rng)
    share = rng.choice((0.01, 0.05, 0.3))
    keep = rng.choice((3, 3, 8))  # the SYNs at least
    sent = [one for at, one in enumerate(conversation.sent) if at < keep or rng.random() > share]
    if rng.random() < 0.5:
        sent = shuffled(rng, sent, within=100 * MILLISECOND)
    check_damaged(conversation, sent, read_packets([one.packet() for one in sent], rng.choice(BLOCKS)))


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_damaged_segments(seed: int) -> None:
    """Any byte of the TCP part flipped; nothing of it may be given, nor believed."""
    rng = random.Random(seed)
    conversation = random_conversation(rng)
    share = rng.choice((0.01, 0.05, 0.3))
    sent = []
    for at, one in enumerate(conversation.sent):
        if at > 4 and rng.random() < share:
            one = one.damaged(rng.randrange(4, 20 + len(one.payload)))  # not the ports: another flow's packet then
        sent.append(one)
    check_damaged(conversation, sent, read_packets([one.packet() for one in sent], rng.choice(BLOCKS)))


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_damaged_segments_that_are_sent_again(seed: int) -> None:
    """The receiver drops them, the sender repeats them: nothing is lost."""
    rng = random.Random(seed)
    conversation = random_conversation(rng)
    sent: list[Sent] = []
    late = 0
    for at, one in enumerate(conversation.sent):
        if at > 4 and one.payload and rng.random() < 0.2:
            sent.append(one.damaged(rng.randrange(4, 20 + len(one.payload))).later(late))
            late += 30 * MILLISECOND
        sent.append(one.later(late))
    check_whole(conversation, read_packets([one.packet() for one in sent], rng.choice(BLOCKS)))


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_offloaded_sides_are_read(seed: int) -> None:
    """Bare pseudo-header sums, or no sums at all, as where the network card computes them."""
    rng = random.Random(seed)
    conversation = random_conversation(rng)
    how = {side: rng.choice(("right", "partial", "zero")) for side in SIDES}
    sent = []
    for one in conversation.sent:
        kind = how[conversation.sender(one)]
        sent.append(one.partial_sum() if kind == "partial" else replace(one, checksum=0) if kind == "zero" else one)
    check_whole(conversation, read_packets([one.packet() for one in sent], rng.choice(BLOCKS)))


def outcome(reading: Reading) -> object:
    losses = sorted(
        (str(loss.sender), loss.layer, loss.reason, loss.stream_offset or 0, loss.bytes or 0, loss.from_time, loss.to_time)
        for loss in reading.losses
    )
    messages = sorted(
        (number, side, list(zip(seen.positions[side], seen.times[side], strict=True)), seen.messages[side])
        for number, seen in reading.connections.items()
        for side in SIDES
    )
    return messages, losses


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_the_size_of_blocks_changes_nothing(seed: int) -> None:
    """With everything at once: loss, damage, copies, another order, silences, the beginning missing."""
    rng = random.Random(seed)
    conversation = random_conversation(rng)
    sent: list[Sent] = []
    late = 0
    for one in conversation.sent:
        late += rng.choice((0, 0, 0, 0, 50, 250, 1500, 10_000)) * MILLISECOND if rng.random() < 0.1 else 0
        chance = rng.random()
        if chance < 0.05:
            one = one.damaged(rng.randrange(4, 20 + len(one.payload)))
        if chance < 0.9:
            sent.append(one.later(late))
        if chance > 0.95:
            sent.append(one.later(late + rng.randint(0, 400 * MILLISECOND)))
    sent.sort(key=lambda one: one.time)
    if rng.random() < 0.5:
        sent = shuffled(rng, sent, within=100 * MILLISECOND)
    sent = sent[rng.choice((0, 0, 1, 3, 6, 10)) :]
    packets = [one.packet() for one in sent]
    whole = outcome(read_packets(packets, 100_000))
    for block in (1, 7, rng.randint(2, 50)):
        assert outcome(read_packets(packets, block)) == whole, block


def random_answer(rng: random.Random, method: str) -> tuple[bytes, bytes, int]:
    """An answer on the wire, its body, and the length of one that it may seem to have: it has none, being to a HEAD."""
    status = rng.choice((200, 200, 200, 204, 304, 404))
    body = (
        b"" if status in (204, 304) else rng.choice((b"", b"HTT", b"ok", rng.randbytes(rng.randint(1, 300)), b'{"a":1}' * 50))
    )
    head = b"HTTP/1.1 %d x\r\n" % status
    if rng.random() < 0.2:
        head = b"HTTP/1.1 103 Early Hints\r\n\r\n" + head
    written, seems = body, len(body)
    if status not in (204, 304) and rng.random() < 0.3:
        seems = 0
        head += b"Transfer-Encoding: chunked\r\n"
        written = (b"%x\r\n%s\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"
    elif status not in (204, 304) or rng.random() < 0.5:
        head += b"Content-Length: %d\r\n" % (len(body) or rng.choice((0, 9)) * (status == 304))
    return (head + b"\r\n", b"", seems) if method == "HEAD" else (head + b"\r\n" + written, body, 0)


@settings(max_examples=100, deadline=None)
@given(seed=SEEDS)
def test_answers_behind_a_hole_in_the_requests(seed: int) -> None:
    """Whatever the methods of the requests that are missing: what is given as an answer was one, and the rest is counted."""
    rng = random.Random(seed)
    flow = Flow(step=rng.choice((1, MILLISECOND)))
    flow.open()
    bodies: list[bytes] = []
    said: list[tuple[int, int]] = []  # for each answer: where it ends in the stream, and how long a body it seems to have
    stream = b""
    missing = rng.randint(0, 5)
    lost: list[Sent] = []
    for number in range(8):
        methods = [rng.choice(("GET", "GET", "POST", "HEAD")) for _ in range(rng.choice((1, 1, 3)))]
        asked = b"".join(f"{method} /{number} HTTP/1.1\r\nHost: h.test\r\n\r\n".encode() for method in methods)
        sent = flow.data("client", asked, size=rng.choice((20, 1460)), acknowledge=False)
        if number == missing:
            lost += rng.sample(sent, rng.randint(1, len(sent)))
        answers = [random_answer(rng, method) for method in methods]
        bodies += [body for _, body, _ in answers]
        for answer, _, seems in answers:
            stream += answer
            said.append((len(stream), seems))
        flow.data("server", b"".join(answer for answer, _, _ in answers), size=rng.choice((1, 7, 1460)))
        flow.time += rng.choice((0, 1000 * MILLISECOND))
    if rng.random() < 0.7:
        flow.close()
    seen = only_connection(read_packets([sent.packet() for sent in flow.sent if sent not in lost], rng.choice(BLOCKS)))
    answered = [body for who, body in seen.http if who == "server"]
    assert answered == bodies[: len(answered)]
    # The last one is followed by nothing that would say whether it is to a HEAD; others by what may be their bodies.
    doubts = [n for n, (end, seems) in enumerate(said) if seems and b"HTTP/1.".startswith(stream[end + seems :][:7])]
    assert len(answered) >= min([len(bodies) - 1, *doubts])
    unread = sum(loss.bytes or 0 for loss in seen.losses if loss.sender == "server")
    assert bool(unread) == (len(answered) < len(bodies))
    assert sum(loss.bytes or 0 for loss in seen.losses if loss.layer == "tcp") == sum(len(sent.payload) for sent in lost)

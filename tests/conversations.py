"""Random websocket conversations as TCP packets, with what a perfect recorder gets out of them."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

from tests.frames import Parameters, RandomSide, request, response
from tests.packets import ACK, FIN, MICROSECOND, MILLISECOND, PSH, SYN, Flow, Sent
from tests.reading import Reading, Seen

SIDES = ("client", "server")


@dataclass
class Conversation:
    """`sent`: its packets in the order of their times, each byte once. `messages`, `times`: what they carry, by sender."""

    sent: list[Sent]
    numbers: dict[str, int]
    messages: dict[str, list[tuple[str, bytes]]]
    times: dict[str, list[tuple[int, int]]]
    handshake: dict[str, int]
    """Bytes of the HTTP head, by sender."""
    written: dict[str, bytes]
    parameters: Parameters = field(default_factory=Parameters)

    def offset(self, sent: Sent, sender: str) -> int:
        return (sent.seq - self.numbers[sender] - 1) & 0xFFFFFFFF

    def sender(self, sent: Sent) -> str:
        return "client" if sent.source[1] == self.sent[0].source[1] else "server"


def random_conversation(
    rng: random.Random, *, messages: int = 12, largest: int = 20_000, both_acknowledge: bool = True, close: bool = True
) -> Conversation:
    """A handshake, then `messages` messages of random kinds from random sides."""
    numbers = {side: rng.choice((rng.getrandbits(32), (1 << 32) - rng.randint(1, 5000))) for side in SIDES}
    flow = Flow(numbers=(numbers["client"], numbers["server"]), step=0)
    parameters = Parameters.random(rng)
    sides = {side: RandomSide(rng, side, parameters, largest) for side in SIDES}
    written = {"client": request(parameters.extensions), "server": response(parameters.extensions)}
    handshake = {side: len(head) for side, head in written.items()}

    def tick() -> None:
        flow.time += rng.choice((MICROSECOND, 50 * MICROSECOND, rng.randint(1, 3 * MILLISECOND)))

    def send(side: str, data: bytes) -> None:
        other = "server" if side == "client" else "client"
        at, longest = 0, rng.choice((1, 40, 1460, 1460, 1460, 30_000))
        longest = max(longest, len(data) // 60)
        while at < len(data):
            size = rng.randint(1, longest)
            flow.put(side, ACK | PSH, data[at : at + size])
            at += size
            tick()
            if both_acknowledge and rng.random() < 0.4:
                flow.acknowledge(other)
                tick()

    flow.open()
    tick()
    send("client", written["client"])
    pending = dict.fromkeys(SIDES, b"")
    pending["server"] = written["server"]
    if rng.random() < 0.7:  # else the first frames share a packet with the 101
        send("server", pending["server"])
        pending["server"] = b""
    for _ in range(messages):
        side = rng.choice(SIDES)
        if side == "client" and pending["server"]:
            send("server", pending["server"])
            pending["server"] = b""
        data = sides[side].write()
        written[side] += data
        pending[side] += data
        if rng.random() < 0.8:  # else several messages in one write
            send(side, pending[side])
            pending[side] = b""
    for side in ("server", "client"):
        if pending[side]:
            send(side, pending[side])
    if close:
        flow.close()
    said = {side: sides[side].messages for side in SIDES}
    conversation = Conversation(flow.sent, numbers, said, {}, handshake, written, parameters)
    for side in SIDES:
        spans = [(a + handshake[side], b + handshake[side]) for a, b in sides[side].spans]
        conversation.times[side] = expected_times(conversation, side, spans)
    return conversation


def expected_times(conversation: Conversation, side: str, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """(first_seen, captured_at) of the messages at `spans`, where each byte was captured once, in order."""
    own = [sent for sent in conversation.sent if sent.payload and conversation.sender(sent) == side]
    ends = [(conversation.offset(sent, side) + len(sent.payload), sent.time) for sent in own]
    found = []
    for begin, end in spans:
        first = next(time for stop, time in ends if stop > begin)
        last = next(time for stop, time in ends if stop >= end)
        found.append((first, last))
    return found


def only_connection(reading: Reading) -> Seen:
    assert len(reading.connections) == 1, [seen.connection.client_address for seen in reading.connections.values()]
    return next(iter(reading.connections.values()))


def check_whole(conversation: Conversation, reading: Reading) -> Seen:
    """Every message, byte for byte, in order, at its position, and no byte lost."""
    seen = only_connection(reading)
    assert seen.connection.readable, seen.connection.unreadable_reason
    for side in SIDES:
        assert seen.messages[side] == conversation.messages[side], side
        assert seen.positions[side] == list(range(len(seen.positions[side]))), side
        stream = getattr(seen.connection, side).stream
        assert stream.extent == len(conversation.written[side])
    assert not [loss for loss in reading.losses if loss.bytes != 0]
    return seen


def resegmented(rng: random.Random, conversation: Conversation) -> list[Sent]:
    """The same bytes in other segments: split, with overlaps of what was just sent, and copies."""
    out: list[Sent] = []
    for sent in conversation.sent:
        side = conversation.sender(sent)
        if len(sent.payload) < 2 or rng.random() < 0.5:
            out.append(sent)
        else:
            cut = rng.randint(1, len(sent.payload) - 1)
            out.append(replace(sent, payload=sent.payload[:cut]))
            back = rng.choice((0, 0, rng.randint(0, cut)))
            out.append(replace(sent, seq=sent.seq + cut - back, payload=sent.payload[cut - back :], time=sent.time))
        if sent.payload and rng.random() < 0.2:  # a retransmission that covers more than this segment
            end = conversation.offset(sent, side) + len(sent.payload)
            begin = max(0, end - rng.randint(1, 4000))
            seq = (conversation.numbers[side] + 1 + begin) & 0xFFFFFFFF
            copy = replace(sent, seq=seq, payload=conversation.written[side][begin:end], flags=ACK)
            out.append(copy.later(rng.randint(0, 300 * MILLISECOND)))
    out.sort(key=lambda sent: sent.time)
    return out


def shuffled(rng: random.Random, sent: list[Sent], *, within: int = 150 * MILLISECOND) -> list[Sent]:
    """Some packets reach the capture late, by less than `within`; the handshake and the FINs keep their places."""
    free = [rng.random() < 0.3 and not one.flags & (SYN | FIN) for one in sent]
    out = [one.later(rng.randint(0, within)) if late else one for one, late in zip(sent, free, strict=True)]
    out.sort(key=lambda one: one.time)
    return out

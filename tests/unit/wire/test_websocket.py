from __future__ import annotations

import random
import time as clock

import pytest

from sniffer.config import Limits
from sniffer.model import Loss
from sniffer.wire.deflate import Inflater
from sniffer.wire.losses import LossLedger
from sniffer.wire.stream import End, Gap, Item
from sniffer.wire.websocket import WebSocketReader
from tests.cost import assert_grows_linearly
from tests.frames import Deflater, frame

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
ORDER = b'{"e":"executionReport","s":"BTCUSDT","i":1000001}'


class Harness:
    """A reader, and the offset that the next bytes get."""

    def __init__(self, sender: str = "server", *, limits: Limits | None = None, inflater: Inflater | None = None) -> None:
        self.ledger = LossLedger("capture", 1)
        self.reader = WebSocketReader(sender, limits or Limits(), self.ledger, inflater=inflater)  # type: ignore[arg-type]
        self.offset = self.time = 0
        self.got: list[tuple[int, bytes]] = []

    def feed(self, *parts: bytes) -> None:
        items: list[Item] = []
        for data in parts:
            items.append((self.offset, self.time, data))
            self.offset += len(data)
            self.time += 1
        self.take(items)

    def gap(self, length: int) -> None:
        self.take([Gap(self.offset, self.time, length, "not captured")])
        self.offset += length

    def end(self, reason: str = "closed") -> None:
        self.take([End(self.offset, self.time, True, reason)])

    def take(self, items: list[Item]) -> None:
        self.messages = self.reader.feed(items)
        self.got += [(message[3], message[4]) for message in self.messages]

    def losses(self) -> list[Loss]:
        self.ledger.finish()
        return self.ledger.rows


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 70_000])
@pytest.mark.parametrize("mask", [None, b"\1\2\3\4"])
def test_lengths_and_masks(size: int, mask: bytes | None) -> None:
    one, payload = Harness(), random.Random(size).randbytes(size)
    one.feed(frame(BINARY, payload, mask=mask) + frame(TEXT, b"next", mask=mask))
    assert one.got == [(BINARY, payload), (TEXT, b"next")]


@pytest.mark.parametrize("minimal", [True, False])
def test_a_length_in_more_bytes_than_needed_is_read(minimal: bool) -> None:
    one = Harness()
    one.feed(frame(TEXT, b"abc", minimal=minimal))
    assert one.got == [(TEXT, b"abc")]


def test_every_cut_of_a_stream_gives_the_same_messages() -> None:
    data = frame(TEXT, b"a" * 130) + frame(PING, b"p") + frame(TEXT, b"b", fin=False) + frame(0, b"c") + frame(CLOSE)
    whole = [(TEXT, b"a" * 130), (PING, b"p"), (TEXT, b"bc"), (CLOSE, b"")]
    for at in range(len(data) + 1):
        one = Harness()
        one.feed(data[:at], data[at:])
        assert one.got == whole, at
    one = Harness()
    one.feed(*[data[at : at + 1] for at in range(len(data))])
    assert one.got == whole


def test_times_are_those_of_the_packets_that_begin_and_complete_a_message() -> None:
    one = Harness()
    data = frame(TEXT, b"abcdef") + frame(TEXT, b"ghi")
    one.feed(data[:3], data[3:10], data[10:])
    assert [message[:3] for message in one.messages] == [(0, 0, 1), (1, 1, 2)]


def test_a_message_behind_a_late_hole_has_the_time_of_its_filling() -> None:
    one = Harness()
    one.take([(0, 50, frame(TEXT, b"late")), (6, 10, frame(TEXT, b"held"))])
    assert [message[1:3] for message in one.messages] == [(50, 50), (10, 50)]


def test_control_frames_between_fragments() -> None:
    one = Harness()
    one.feed(frame(TEXT, b"a", fin=False), frame(PING, b"1"), frame(0, b"b", fin=False), frame(PONG, b"2"), frame(0, b"c"))
    assert one.got == [(PING, b"1"), (PONG, b"2"), (TEXT, b"abc")]
    assert not one.losses()


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(frame(3), id="reserved data opcode"),
        pytest.param(frame(11), id="reserved control opcode"),
        pytest.param(frame(TEXT, b"x", rsv=0x20), id="RSV2"),
        pytest.param(frame(PING, b"x", fin=False), id="a control frame in pieces"),
        pytest.param(frame(PING, b"x", rsv=0x10), id="RSV3 on a control frame"),
        pytest.param(frame(PING, b"x", rsv=0x40), id="RSV1 on a control frame"),
        pytest.param(frame(TEXT, b"x", fin=False) + frame(0, b"y", rsv=0x40), id="RSV1 on a continuation"),
        pytest.param(frame(0, b"x"), id="a continuation of nothing"),
        pytest.param(frame(TEXT, b"x", fin=False) + frame(TEXT, b"y"), id="a message inside a fragmented one"),
    ],
)
@pytest.mark.parametrize("compression", [True, False])
@pytest.mark.parametrize("size", [1, 5, 1000])
def test_after_what_fails_a_connection_nothing_is_a_message(bad: bytes, compression: bool, size: int) -> None:
    one = Harness(inflater=Inflater(True, 15, 1 << 20) if compression else None)
    data = frame(TEXT, b"before") + bad + frame(TEXT, b"after") * 2
    one.feed(*[data[at : at + size] for at in range(0, len(data), size)])
    one.gap(10)
    one.feed(*[frame(TEXT, ORDER)] * 4, b"")
    one.end()
    assert one.got == [(TEXT, b"before")]
    assert one.reader.buffered_bytes() == 0
    assert sum(loss.bytes or 0 for loss in one.losses()) == one.offset - 10 - len(frame(TEXT, b"before"))


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_what_follows_a_close_frame_is_no_message(size: int) -> None:
    """Section 1.4: the peer discards it. So is the rest of a message that the close frame came into."""
    close, after = frame(CLOSE, b"\x03\xe8"), frame(TEXT, b"after") + frame(PONG)
    for half, rest in ((b"", b""), (frame(TEXT, b"half", fin=False), frame(0, b"rest"))):
        one = Harness()
        data = frame(TEXT, b"before") + half + close + rest + after
        one.feed(*[data[at : at + size] for at in range(0, len(data), size)])
        one.end()
        assert one.got == [(TEXT, b"before"), (CLOSE, b"\x03\xe8")]
        lost = {loss.reason: (loss.bytes, loss.messages) for loss in one.losses()}
        assert lost.pop("after a close frame") == (len(rest + after), 0)
        assert lost == ({"message without its end after a close frame": (len(half), 1)} if half else {})


def test_a_close_frame_is_no_loss() -> None:
    one = Harness()
    one.feed(frame(CLOSE, b"\x03\xe8"), b"")
    one.end()
    assert not one.losses()


def test_a_close_frame_with_a_hole_in_it_ends_a_side_too() -> None:
    one = Harness()
    data = frame(CLOSE, b"\x03\xe8and why")
    one.feed(data[:5])
    one.gap(3)
    one.feed(data[8:] + frame(TEXT, b"after"))
    one.end()
    assert not one.got
    assert sum(loss.bytes or 0 for loss in one.losses()) == one.offset - 3


@pytest.mark.parametrize("first", [0x83, 0xC9, 0x80])
def test_a_frame_that_is_not_whole_fails_a_connection_by_its_head(first: int) -> None:
    for hole in (True, False):  # else it is longer than what is held
        one = Harness(limits=Limits(message_bytes=100))
        one.feed(bytes([first, 126, 1, 0]) + bytes(50))
        if hole:
            one.gap(106)
            one.feed(bytes(100))
        else:
            one.feed(bytes(206))
        one.feed(frame(TEXT, b"after"))
        one.end()
        assert not one.got
        assert sum(loss.bytes or 0 for loss in one.losses()) == one.offset - 106 * hole


def test_after_a_hole_a_continuation_behind_a_control_frame_is_what_is_left_of_a_message() -> None:
    """Whether a message is under way is not known there, so it is no reason to give the side up."""
    one = Harness()
    one.gap(5)
    one.feed(*[frame(PING, b"p" * 40)] * 3, frame(0, ORDER), *[frame(TEXT, ORDER)] * 3)
    one.end()
    assert [payload for opcode, payload in one.got if opcode == TEXT] == [ORDER] * 3


def test_a_length_of_63_bits_and_more() -> None:
    one = Harness()
    one.feed(b"\x81\xff" + b"\xff" * 8 + bytes(100), bytes(1000))
    one.end()
    assert not one.got
    assert one.reader.buffered_bytes() == 0
    assert sum(loss.bytes or 0 for loss in one.losses()) == one.offset


def test_a_frame_over_the_limit_is_read_past() -> None:
    one = Harness(limits=Limits(message_bytes=100))
    data = frame(BINARY, bytes(5000))
    one.feed(*[data[at : at + 700] for at in range(0, len(data), 700)])
    assert one.reader.buffered_bytes() <= 100
    one.feed(frame(TEXT, b"next"))
    assert one.got == [(TEXT, b"next")]
    assert [(loss.bytes, loss.messages, loss.layer) for loss in one.losses()] == [(len(data), 1, "websocket")]


@pytest.mark.parametrize("limits", [Limits(message_bytes=100), Limits(fragments=5)])
def test_fragments_over_a_limit(limits: Limits) -> None:
    one = Harness(limits=limits)
    one.feed(frame(TEXT, bytes(20), fin=False))
    for _ in range(20):
        one.feed(frame(0, bytes(20), fin=False))
        assert one.reader.buffered_bytes() <= 140
    one.feed(frame(0, b"end") + frame(TEXT, b"next"))
    assert one.got == [(TEXT, b"next")]
    losses = one.losses()
    assert sum(loss.messages or 0 for loss in losses) == 1
    assert sum(loss.bytes or 0 for loss in losses) == one.offset - len(frame(TEXT, b"next"))


def test_a_hole_inside_a_payload_costs_that_message_alone() -> None:
    one = Harness()
    one.feed(frame(TEXT, b"before") + frame(TEXT, ORDER)[:10])
    one.gap(5)
    rest = frame(TEXT, ORDER)[15:]
    one.feed(rest + frame(TEXT, b"after"))
    assert one.got == [(TEXT, b"before"), (TEXT, b"after")]
    assert [message[0] for message in one.messages] == [1]


def test_a_hole_to_the_end_of_a_frame() -> None:
    one = Harness()
    data = frame(TEXT, ORDER)
    one.feed(data[:20])
    one.gap(len(data) - 20)
    one.feed(frame(TEXT, b"after"))
    assert one.got == [(TEXT, b"after")]


@pytest.mark.parametrize("cut", [1, 3])
def test_a_hole_in_or_over_a_head_needs_proof(cut: int) -> None:
    """Text of an order is proof enough after two frames at the end, three before it."""
    one = Harness()
    one.feed(frame(TEXT, b"before"), (frame(TEXT, ORDER * 3))[:cut])
    one.gap(400)
    one.feed(frame(TEXT, ORDER))
    assert one.got == [(TEXT, b"before")]
    one.feed(frame(TEXT, ORDER))
    assert one.got == [(TEXT, b"before")]
    one.feed(frame(TEXT, ORDER))
    assert one.got[1:] == [(TEXT, ORDER)] * 3


def test_a_hole_in_a_fragmented_message() -> None:
    one = Harness()
    one.feed(frame(TEXT, ORDER, fin=False) + frame(0, ORDER, fin=False)[:10])
    one.gap(10)
    one.feed(frame(0, ORDER, fin=False)[20:] + frame(PING, b"p") + frame(0, ORDER) + frame(TEXT, b"after"))
    assert one.got == [(PING, b"p"), (TEXT, b"after")]


def test_after_lost_bytes_a_stream_with_takeover_is_poisoned() -> None:
    deflate = Deflater()
    one = Harness(inflater=Inflater(True, 15, 1 << 20))
    one.feed(frame(TEXT, deflate(b"first"), rsv=0x40))
    torn = frame(TEXT, deflate(ORDER), rsv=0x40)
    one.feed(torn[:5])
    one.gap(3)
    one.feed(torn[8:] + frame(TEXT, deflate(ORDER), rsv=0x40) + frame(TEXT, b"plain"))
    assert one.got == [(TEXT, b"first"), (TEXT, b"plain")]
    assert [loss.messages for loss in one.losses() if loss.layer == "deflate"] == [1]


def test_holes_are_noted_by_the_message_that_comes_next() -> None:
    one = Harness()
    one.feed(frame(TEXT, b"zero"))
    assert one.reader.holes == []
    torn = frame(TEXT, ORDER)
    one.feed(torn[:5])
    one.gap(3)
    one.feed(torn[8:] + frame(TEXT, b"one"))
    assert one.got == [(TEXT, b"zero"), (TEXT, b"one")]
    assert one.reader.holes == [1]
    one.gap(len(frame(TEXT, ORDER)))  # whole messages: between two others nothing else shows it
    assert one.reader.holes == [1, 2]


def test_a_message_that_cannot_be_inflated_is_a_hole() -> None:
    one = Harness(inflater=Inflater(True, 15, 1 << 20))
    one.feed(frame(TEXT, b"plain"), frame(TEXT, b"\xff\xff", rsv=0x40), frame(TEXT, b"next"))
    assert one.reader.holes == [1]


def test_a_torn_plain_message_poisons_nothing() -> None:
    deflate = Deflater()
    one = Harness(inflater=Inflater(True, 15, 1 << 20))
    one.feed(frame(TEXT, deflate(ORDER), rsv=0x40) + frame(TEXT, ORDER)[:5])
    one.gap(3)
    one.feed(frame(TEXT, ORDER)[8:] + frame(TEXT, deflate(ORDER), rsv=0x40))
    assert one.got == [(TEXT, ORDER)] * 2


def test_a_compressed_message_in_fragments_over_a_limit_poisons() -> None:
    deflate = Deflater()
    one = Harness(limits=Limits(fragments=2), inflater=Inflater(True, 15, 1 << 20))
    data = deflate(ORDER)
    pieces = [data[at : at + 10] for at in range(0, len(data), 10)]
    one.feed(
        *[frame(0 if at else TEXT, piece, fin=at == len(pieces) - 1, rsv=0 if at else 0x40) for at, piece in enumerate(pieces)]
    )
    one.feed(frame(TEXT, deflate(ORDER), rsv=0x40))
    assert one.got == []


def test_compression_that_nobody_agreed_on() -> None:
    one = Harness()
    one.feed(frame(TEXT, b"xyz", rsv=0x40) + frame(TEXT, b"after"))
    assert not one.got  # a receiver fails the connection (RFC 6455 section 5.2)
    assert one.losses()[0].reason == "RSV1 is set, and no compression was agreed on"


def test_joined_in_the_middle_compressed_messages_count_if_they_need_no_text_before_them() -> None:
    deflate = Deflater()
    deflate(b"not seen")
    ledger = LossLedger("capture", 1)
    reader = WebSocketReader("server", Limits(), ledger, handshake_seen=False)
    random_text = random.Random(5).randbytes(40).hex().encode()
    frames = [frame(TEXT, deflate(text), rsv=0x40) for text in (random_text, random_text + b"!", ORDER)]
    items: list[Item] = [(0, 0, frame(TEXT, ORDER) * 3 + b"".join(frames))]
    got = [message[4] for message in reader.feed(items)]
    assert got[:3] == [ORDER] * 3
    assert random_text + b"!" not in got
    ledger.finish()
    assert {loss.layer for loss in ledger.rows} == {"deflate"}


def test_the_end_inside_a_message() -> None:
    one = Harness()
    one.feed(frame(TEXT, b"abc", fin=False), frame(TEXT, b"abcdef")[:4])
    one.end("capture ended")
    losses = one.losses()
    assert {loss.reason for loss in losses} == {"capture ended inside a message"}
    assert sum(loss.bytes or 0 for loss in losses) == one.offset


def test_every_byte_is_in_a_message_or_in_a_loss() -> None:
    """Random frames with random holes: heads and payloads add up."""
    for seed in range(60):
        rng, one = random.Random(seed), Harness()
        whole = sizes = 0
        for _ in range(30):
            size = rng.choice((0, 10, 200))
            data = frame(rng.choice((TEXT, BINARY, PING)), b"x" * min(size, 120), fin=True)
            at = rng.randint(0, len(data))
            if rng.random() < 0.2:
                one.feed(data[:at])
                one.gap(min(5, len(data) - at))
                one.feed(data[at + 5 :])
                whole += max(0, len(data) - 5 if at + 5 <= len(data) else at)
            else:
                one.feed(data)
                whole += len(data)
        one.end()
        sizes = sum(len(frame(opcode, payload)) for opcode, payload in one.got)
        lost = sum(loss.bytes or 0 for loss in one.losses())
        assert sizes + lost == whole, seed


@pytest.mark.parametrize("kind", ["fragments", "one-byte segments", "search", "tiny frames"])
def test_hostile_frames_cost_no_more_than_their_length(kind: str) -> None:
    def run(count: int) -> float:
        one = Harness(limits=Limits(fragments=1 << 20))
        if kind == "fragments":
            parts = [frame(TEXT, b"a", fin=False), *[frame(0, b"", fin=False)] * count]
        elif kind == "one-byte segments":
            data = frame(BINARY, bytes(count))
            parts = [data[at : at + 1] for at in range(len(data))]
        elif kind == "tiny frames":
            parts = [frame(TEXT) * count]
        else:  # each segment is a candidate for a frame of 16 MB
            one.gap(5)
            parts = [b"\x82\x7f" + (1 << 24).to_bytes(8) + b"\x82\x05", *[b"\x82\x05"] * count]
        begin = clock.process_time()
        one.feed(*parts)
        return clock.process_time() - begin

    assert_grows_linearly(run, 5_000)

from __future__ import annotations

import random

import pytest

from sniffer.config import Limits
from sniffer.wire.resync import Resync
from sniffer.wire.stream import Data
from tests.frames import Deflater, frame

TEXT, BINARY, PING = 1, 2, 9
ORDER = b'{"e":"executionReport","s":"BTCUSDT","i":1000001}'
MASK = b"\x8a\x11\xf2\x3c"


def search(
    parts: list[bytes], *, masked: bool | None = None, end: bool = False, limits: Limits | None = None
) -> list[Data] | None:
    resync, offset = Resync(masked, True, limits or Limits()), 1000
    for time, part in enumerate(parts):
        found = resync.feed((offset, time, part))
        if found is not None:
            return found
        offset += len(part)
    return resync.finish() if end else None


def given(found: list[Data] | None) -> bytes | None:
    return None if found is None else b"".join(data for _, _, data in found)


@pytest.mark.parametrize("mask", [None, MASK])
def test_three_texts_are_proof(mask: bytes | None) -> None:
    frames = [frame(TEXT, ORDER, mask=mask)] * 3
    assert given(search(frames[:2])) is None
    assert given(search(frames)) == b"".join(frames)
    assert given(search([b"".join(frames)])) == b"".join(frames)


def test_two_texts_are_proof_where_the_stream_ends_with_them() -> None:
    assert given(search([frame(TEXT, ORDER)] * 2, end=True)) == frame(TEXT, ORDER) * 2
    assert given(search([frame(TEXT, ORDER)] * 2 + [b"\x81"], end=True)) is None
    assert given(search([frame(TEXT, ORDER)], end=True)) is None


def test_frames_that_say_nothing_need_to_be_many() -> None:
    frames = [frame(PING, bytes([at] * at)) for at in range(12)]
    assert given(search(frames[:5])) is None
    found = given(search(frames))
    assert found in [b"".join(frames[2:stop]) for stop in range(8, 13)]  # the first two do not stand on their own


def test_the_search_goes_on_at_the_next_segment() -> None:
    torn = frame(TEXT, ORDER * 50)[300:]
    found = search([torn[:1000], torn[1000:], frame(TEXT, ORDER), frame(TEXT, ORDER), frame(TEXT, ORDER)])
    assert given(found) == frame(TEXT, ORDER) * 3
    assert found is not None
    assert found[0][:2] == (1000 + len(torn), 2)


def test_what_is_skipped_is_accounted_for() -> None:
    resync = Resync(None, False, Limits())
    assert resync.feed((50, 7, b"in ASCII no byte begins a frame")) is None
    assert resync.take_skipped() == [(50, 7, 31)]
    assert resync.size == 0


def test_a_mask_must_be_as_it_was() -> None:
    frames = [frame(TEXT, ORDER, mask=MASK)] * 4
    assert given(search(frames, masked=False)) is None
    assert given(search(frames, masked=True)) is not None


def test_frames_inside_a_message_are_not_taken_for_messages() -> None:
    """An enclosing frame that was seen from its beginning is believed first, as long as nothing refutes it."""
    inner = frame(TEXT, b'{"forged":"order"}' * 5) * 4
    outer = frame(BINARY, inner + bytes(2000))
    parts = [outer[:4], outer[4 : 4 + len(inner)], outer[4 + len(inner) :], *[frame(TEXT, ORDER)] * 3]
    assert given(search(parts)) == frame(TEXT, ORDER) * 2


def test_text_that_embeds_frames_cannot_begin_one() -> None:
    """An attacker who puts text into somebody's messages has ASCII and whole characters of UTF-8 at his disposal."""
    text = "\u0081~  ".encode() + b"x" * 300
    assert given(search([text[:1], text[1:200], text[200:]])) is None


def test_two_bytes_before_a_boundary_are_not_a_message() -> None:
    """They look like an empty frame, and end where a true one begins."""
    found = given(search([b"\x82\x00" + frame(TEXT, ORDER) * 3]))
    assert found == frame(TEXT, ORDER) * 3


def test_joined_inside_a_fragmented_message() -> None:
    resync = Resync(None, False, Limits())
    data = frame(0, ORDER) + frame(TEXT, ORDER) * 3
    found = resync.feed((0, 0, data))
    assert given(found) == frame(TEXT, ORDER) * 3


@pytest.mark.parametrize("first", [0x81, 0x82, 0xC1, 0x89])
@pytest.mark.parametrize("size", [30, 32, 1460])
def test_a_false_head_in_text_that_repeats_itself_is_one_however_often(first: int, size: int) -> None:
    """A list of orders of one length, which the masking key goes into: 32 bytes that look like a frame, again and again."""
    order = b'{"id":%06d,"price":"0.0001"},\n'
    assert len(order % 1) == 32
    key = bytes((order[0] ^ first, order[1] ^ (0x80 | 26), 0x5A, 0xA5))
    text = b"".join(order % number for number in range(1000))
    assert frame(TEXT, text, mask=key)[8:10] == bytes((first, 0x80 | 26))
    data = frame(TEXT, text, mask=key)[8:]
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    assert given(search(parts, masked=True)) is None
    assert given(search(parts)) is None


def test_frames_of_one_length_are_proved_by_their_keys() -> None:
    rng = random.Random(1)
    frames = [frame(BINARY, bytes(40), mask=rng.randbytes(4)) for _ in range(20)]
    assert (given(search(frames, masked=True)) or b"").endswith(frames[9])


@pytest.mark.parametrize("kind", ["random", "masked text", "deflate"])
def test_other_bytes_prove_nothing(kind: str) -> None:
    """A million segment starts of what is no frame."""
    rng = random.Random(kind)
    deflate = Deflater()
    for _ in range(40):
        if kind == "random":
            data = rng.randbytes(25_000)
        elif kind == "deflate":
            data = b"".join(deflate(b'{"p":"%d","q":"%d"}' % (rng.getrandbits(40), rng.getrandbits(40))) for _ in range(500))
        else:
            data = frame(TEXT, ORDER * 400, mask=rng.randbytes(4))[8:]
        resync = Resync(None, True, Limits())
        for at in range(0, len(data), 25):
            assert resync.feed((at, at, data[at : at + 25])) is None
            assert resync.size <= 1 << 17


def test_memory_is_bounded() -> None:
    limits = Limits(message_bytes=10_000, fragments=100)
    resync = Resync(None, True, limits)
    head = b"\x82\x7e\x26\x00"
    for at in range(2000):
        resync.feed((at * 40, at, head + b"\x82" * 36))
        assert resync.size <= 10_000 + 40
        assert len(resync._segments) <= 101
    resync = Resync(None, True, limits)
    for at in range(5000):
        resync.feed((at, at, (head + b"\x82" * 5000)[at : at + 1]))
        assert len(resync._segments) <= 101
        assert len(resync._candidates) <= 64

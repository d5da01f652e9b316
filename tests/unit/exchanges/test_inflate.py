"""Compressed payloads: what they hold, what is refused, and that they are searched, redacted and stored as their text."""

from __future__ import annotations

import gzip
import random
import zlib

import pytest

from sniffer.exchanges import inflate as module
from sniffer.exchanges.inflate import inflate, inflated, json_inside
from sniffer.exchanges.numbers import Broken

TEXT = b'{"table":"spot/user/order","data":[{"order_id":"%d","price":"0.5"}]}' % 88123


def raw(payload: bytes, *, end: int = zlib.Z_FINISH) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(payload) + stream.flush(end)


@pytest.mark.parametrize("text", [TEXT, b"[1]", TEXT * 500, '{"msg":"余额不足"}'.encode() * 3])
@pytest.mark.parametrize(
    "pack",
    [gzip.compress, raw, lambda text: raw(text, end=zlib.Z_SYNC_FLUSH), lambda text: text],
    ids=["gz", "raw", "flushed", "no"],
)
def test_all_forms_hold_the_same(text: bytes, pack: object) -> None:
    assert callable(pack)
    assert inflate(pack(text)) == text


@pytest.mark.parametrize("level", range(10))
def test_no_compressed_json_is_taken_for_text(level: int) -> None:
    rng = random.Random(level)
    for _ in range(300):
        text = bytes(rng.choice(b'{["0123456789.,:}]abc ') for _ in range(rng.randrange(20, 200)))
        stream = zlib.compressobj(level, wbits=-15, strategy=rng.choice([zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED]))
        text = rng.choice((b"{", b"[")) + text
        assert inflate(stream.compress(text) + stream.flush()) == text, f"seed {level}"


@pytest.mark.parametrize("pack", [gzip.compress, raw])
def test_each_cut_is_noticed(pack: object) -> None:
    assert callable(pack)
    payload = pack(TEXT)
    for end in range(2, len(payload)):
        if not payload[:end].isascii():
            with pytest.raises(Broken, match=r"cut|neither"):
                inflate(payload[:end])


def test_more_than_one_message_may_hold() -> None:
    with pytest.raises(Broken, match=f"more than {module.LARGEST} bytes"):
        inflate(gzip.compress(bytes(module.LARGEST + 1)))
    assert len(inflate(gzip.compress(bytes(module.LARGEST)))) == module.LARGEST


def test_bytes_behind_the_end() -> None:
    with pytest.raises(Broken, match="other bytes behind it"):
        inflate(gzip.compress(TEXT) + b"x")


def test_noise() -> None:
    with pytest.raises(Broken, match="neither text nor compressed data"):
        inflate(b"\xff\xfe\x00\x01noise")


def test_what_cannot_be_inflated_is_searched_by_the_decoder() -> None:
    search = inflated(lambda payload: b"user/order" in payload)
    assert search(raw(TEXT))
    assert search(TEXT)
    assert not search(raw(b'{"table":"spot/depth5"}'))
    assert search(raw(TEXT)[:-4])


def test_the_text_that_is_stored() -> None:
    assert json_inside(gzip.compress(TEXT)) == TEXT.decode()
    assert json_inside(TEXT) is None
    assert json_inside(b"\xff\xfe\x00\x01noise") is None
    assert json_inside(gzip.compress(b"\xff\xfe")) is None
    assert json_inside(b"\x03\xe8") is None, "the body of a close frame is a deflate stream, of nothing"
    assert json_inside(gzip.compress(b"just words")) is None

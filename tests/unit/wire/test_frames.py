from __future__ import annotations

from sniffer.wire.frames import FIRST_BYTES, frame_head


def test_first_bytes() -> None:
    text_and_binary = {0x01, 0x81, 0x41, 0xC1, 0x02, 0x82, 0x42, 0xC2}
    assert text_and_binary | {0x00, 0x80, 0x88, 0x89, 0x8A} == FIRST_BYTES


def test_heads_that_are_not_whole() -> None:
    assert frame_head(b"\x81", 0) is None
    assert frame_head(b"\x81\x7e\x00", 0) is None
    assert frame_head(b"\x81\xfe\x01\x00abc", 0) is None
    assert frame_head(b"\x81\xfe\x01\x00abcd", 0) == (0x81, True, 8, 256)

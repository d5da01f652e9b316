"""The head of a websocket frame (RFC 6455 section 5.2)."""

from __future__ import annotations

from typing import Final

from sniffer.model import OPCODE_BINARY, OPCODE_CLOSE, OPCODE_PONG, OPCODE_TEXT

FIN: Final = 0x80
RSV1: Final = 0x40
OPCODE_CONTINUATION: Final = 0x0
FIRST_BYTES: Final = frozenset(
    {final | deflated | opcode for final in (0, FIN) for deflated in (0, RSV1) for opcode in (OPCODE_TEXT, OPCODE_BINARY)}
    | {OPCODE_CONTINUATION, FIN | OPCODE_CONTINUATION}
    | {FIN | opcode for opcode in range(OPCODE_CLOSE, OPCODE_PONG + 1)}
)
"""Those that a frame may have: RSV1 is for the first frame of a message (RFC 7692 section 6), no control frame is in pieces."""
_MASKED: Final = 0x80

Head = tuple[int, bool, int, int]
"""(first byte, masked, offset of the payload, length of the payload)."""


def frame_head(data: bytes, at: int) -> Head | None:
    """The frame head at `at`, less the masking key; None while it is incomplete."""
    size = len(data) - at
    if size < 2:
        return None
    first, second = data[at], data[at + 1]
    length, start = second & 0x7F, at + 2
    if length == 126:
        length, start = int.from_bytes(data[start : start + 2]), start + 2
    elif length == 127:
        length, start = int.from_bytes(data[start : start + 8]), start + 8
    if second & _MASKED:
        start += 4
    return (first, bool(second & _MASKED), start, length) if start <= len(data) else None

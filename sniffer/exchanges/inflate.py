"""Payloads that a venue compresses itself, inside a binary websocket message: gzip (HTX), raw deflate (BitMart, OKX's old API).

Each message stands alone, so a damaged one says nothing of the next. What the bytes are, they say themselves: gzip begins with
1f 8b (RFC 1952 section 2.3.1), which no raw deflate stream does (its block type would be the reserved 3, RFC 1951 section
3.2.3), and JSON begins with a bracket, as no stream that holds JSON does. So a venue that compresses only some of its messages
needs no case of its own, and a message that is stored inflated decodes again as it did.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import partial
from typing import Final

from sniffer.config import Limits
from sniffer.exchanges.numbers import Broken

LARGEST: Final = Limits.message_bytes
"""Bytes that one message may inflate to: as many as a websocket message may have."""

_GZIP: Final = b"\x1f\x8b"
_GZIP_BITS: Final = 16 + zlib.MAX_WBITS
_RAW_BITS: Final = -zlib.MAX_WBITS
_BRACKETS: Final = (b"{", b"[")
_LAST_BLOCK: Final = b"\x01\x00\x00\xff\xff"
"""An empty stored block with BFINAL set: what a sender leaves out that only flushes its stream."""


def inflate(payload: bytes) -> bytes:
    """The message that a payload holds: inflated if it is compressed, itself if it is text.

    Raises `Broken` for a stream that is damaged, cut, followed by other bytes, or longer than `LARGEST` when inflated.
    """
    if payload.startswith(_BRACKETS) or payload.isascii():
        return payload
    stream = zlib.decompressobj(_GZIP_BITS if payload.startswith(_GZIP) else _RAW_BITS)
    try:
        message = stream.decompress(payload, LARGEST)
        if stream.unconsumed_tail:
            raise Broken(f"inflates to more than {LARGEST} bytes")
        if not stream.eof and stream.decompress(_LAST_BLOCK, 1):
            raise Broken("compressed data that is cut")
    except zlib.error:
        raise Broken("neither text nor compressed data") from None
    if not stream.eof:
        raise Broken("compressed data that is cut")
    if stream.unused_data:
        raise Broken("compressed data with other bytes behind it")
    return message


def inflated(search: Callable[[bytes], bool]) -> Callable[[bytes], bool]:
    """The byte search `search` for messages that may be compressed; one that cannot be inflated passes, to become a problem."""
    return partial(_found_inside, search)


def _found_inside(search: Callable[[bytes], bool], payload: bytes) -> bool:
    try:
        return search(inflate(payload))
    except Broken:
        return True


def json_inside(payload: bytes) -> str | None:
    """The JSON text of a compressed payload, as it is stored; None if it is not compressed, or holds anything else.

    Any few bytes may be taken for deflate (03 e8, the body of most close frames, is an empty block), so the bracket counts.
    """
    try:
        message = inflate(payload)
        return message.decode() if message is not payload and message.startswith(_BRACKETS) else None
    except (Broken, UnicodeDecodeError):
        return None

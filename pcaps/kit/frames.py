"""Websocket frames and the opening handshake, written out by hand (RFC 6455)."""

from __future__ import annotations

import base64
import hashlib
import struct

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
OPCODES = {"text": TEXT, "binary": BINARY, "close": CLOSE, "ping": PING, "pong": PONG}
RSV1, RSV2, RSV3 = 0x40, 0x20, 0x10
KEY = base64.b64encode(b"not a random key").decode()
ACCEPT = base64.b64encode(hashlib.sha1(f"{KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()).decode()


def frame(
    payload: bytes, opcode: int = TEXT, *, fin: bool = True, rsv: int = 0, mask: bytes | None = None, width: int | None = None
) -> bytes:
    """One frame. `width`: bits of the length field (7, 16 or 64) where it is not to be the shortest."""
    length = len(payload)
    width = width or (7 if length < 126 else 16 if length < 1 << 16 else 64)
    short = {7: length, 16: 126, 64: 127}[width]
    head = bytes([fin << 7 | rsv | opcode, (mask is not None) << 7 | short])
    head += {7: b"", 16: struct.pack(">H", length & 0xFFFF), 64: struct.pack(">Q", length)}[width]
    if mask is None:
        return head + payload
    return head + mask + masked(payload, mask)


def masked(payload: bytes, mask: bytes) -> bytes:
    """RFC 6455 section 5.3."""
    return bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


def close_body(code: int, reason: str = "") -> bytes:
    """A close frame's payload (RFC 6455 section 5.5.1)."""
    return struct.pack(">H", code) + reason.encode()


def upgrade_request(
    extensions: str | None = None, *, target: str = "/ws", host: str = "exchange.example", more: str = ""
) -> bytes:
    """The client's handshake (RFC 6455 section 4.1)."""
    offer = f"Sec-WebSocket-Extensions: {extensions}\r\n" if extensions else ""
    return (
        f"GET {target} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{offer}{more}\r\n"
    ).encode()


def upgrade_response(extensions: str | None = None, *, accept: str = ACCEPT, more: str = "") -> bytes:
    """The server's handshake (RFC 6455 section 4.2.2)."""
    chosen = f"Sec-WebSocket-Extensions: {extensions}\r\n" if extensions else ""
    return (
        f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n{chosen}{more}\r\n"
    ).encode()

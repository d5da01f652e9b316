"""Websocket frames, handshakes and compressors for tests, made without the code under test."""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass
from struct import pack

OPCODES = {"continuation": 0, "text": 1, "binary": 2, "close": 8, "ping": 9, "pong": 10}


def frame(
    opcode: int, payload: bytes = b"", *, mask: bytes | None = None, fin: bool = True, rsv: int = 0, minimal: bool = True
) -> bytes:
    """One frame of RFC 6455 section 5.2; `rsv`: bits of 0x70; `minimal` False: a longer length field than needed."""
    size, masked = len(payload), 0x80 if mask else 0
    head = bytes([(0x80 if fin else 0) | rsv | opcode])
    if size < 126 and minimal:
        head += bytes([masked | size])
    elif size < 65_536 and minimal:
        head += pack("!BH", masked | 126, size)
    else:
        head += pack("!BQ", masked | 127, size)
    if mask:
        payload = bytes(byte ^ mask[at & 3] for at, byte in enumerate(payload)) if size < 64 else xor(payload, mask)
    return head + (mask or b"") + payload


def xor(payload: bytes, mask: bytes) -> bytes:
    size = len(payload)
    number = int.from_bytes(payload) ^ int.from_bytes((mask * (size // 4 + 1))[:size])
    return number.to_bytes(size)


def request(extensions: str = "", target: str = "/ws") -> bytes:
    offer = f"Sec-WebSocket-Extensions: {extensions}\r\n" if extensions else ""
    return (
        f"GET {target} HTTP/1.1\r\nHost: exchange.test:8080\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{offer}\r\n"
    ).encode()


def response(extensions: str = "") -> bytes:
    agreed = f"Sec-WebSocket-Extensions: {extensions}\r\n" if extensions else ""
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n{agreed}\r\n"
    ).encode()


class Deflater:
    """One side's compressor."""

    def __init__(self, bits: int = 15, takeover: bool = True) -> None:
        self._bits, self._takeover = bits, takeover
        self._context = zlib.compressobj(wbits=-bits)

    def __call__(self, payload: bytes) -> bytes:
        if not self._takeover:
            self._context = zlib.compressobj(wbits=-self._bits)
        out = self._context.compress(payload) + self._context.flush(zlib.Z_SYNC_FLUSH)
        assert out.endswith(b"\0\0\xff\xff")
        return out[:-4]


@dataclass
class Parameters:
    """What permessage-deflate agreed on; None of `extensions`: no compression."""

    extensions: str = ""
    bits: dict[str, int] | None = None
    takeover: dict[str, bool] | None = None

    @classmethod
    def random(cls, rng: random.Random) -> Parameters:
        if rng.random() < 0.3:
            return cls()
        bits = {"client": rng.randint(9, 15), "server": rng.randint(9, 15)}
        takeover = {"client": rng.random() < 0.5, "server": rng.random() < 0.5}
        text = "permessage-deflate"
        for side in ("client", "server"):
            if bits[side] < 15 or rng.random() < 0.2:
                text += f"; {side}_max_window_bits={bits[side]}"
            if not takeover[side]:
                text += f"; {side}_no_context_takeover"
        return cls(text, bits, takeover)

    def deflater(self, side: str) -> Deflater | None:
        if self.bits is None or self.takeover is None:
            return None
        return Deflater(self.bits[side], self.takeover[side])


WORDS = (b'{"e":"executionReport",', b'"s":"BTCUSDT",', b'"p":"', b'"q":"0.00100000",', b'"X":"FILLED"}', "é€𝄞".encode())


def random_payload(rng: random.Random, opcode: int, largest: int) -> bytes:
    size = rng.choice((0, 1, 5, 125, 126, 127, 500, 1000, rng.randint(0, 3000), rng.randint(0, largest)))
    if opcode == 2:
        return rng.randbytes(size)
    text = b""
    while len(text) < size:
        text += rng.choice(WORDS) + str(rng.random()).encode()
    return text[:size].decode("utf-8", "ignore").encode()


class RandomSide:
    """One side of a random conversation: writes of whole frames, and the messages that they carry."""

    def __init__(self, rng: random.Random, side: str, parameters: Parameters, largest: int = 70_000) -> None:
        self._rng, self._side, self._largest = rng, side, largest
        self._deflate = parameters.deflater(side)
        self.messages: list[tuple[str, bytes]] = []
        self.spans: list[tuple[int, int]] = []
        """Stream offsets, counted from the first frame, of each message's first byte and of the one after its last."""
        self._written = 0
        self._closed = False

    def write(self) -> bytes:
        """The frames of one message, control frames between its fragments included; nothing follows a close frame."""
        rng = self._rng
        if self._closed:
            return b""
        opcode = 8 if rng.random() < 0.02 else rng.choice((1, 1, 1, 2, 9, 10))
        self._closed = opcode == 8
        if opcode >= 8:
            return self._control(opcode)
        payload = random_payload(rng, opcode, self._largest)
        compressed = self._deflate is not None and rng.random() < 0.7
        data = self._deflate(payload) if compressed and self._deflate else payload
        cuts = sorted(rng.randint(0, len(data)) for _ in range(rng.choice((0, 0, 0, 1, 2, 5))))
        pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        out, begin = b"", self._written
        for index, piece in enumerate(pieces):
            final = index == len(pieces) - 1
            code = opcode if not index else 0
            out += self._frame(code, piece, fin=final, rsv=0x40 if compressed and not index else 0)
            if not final and rng.random() < 0.3:
                out += self._control(rng.choice((9, 10)))
        self._note("text" if opcode == 1 else "binary", payload, begin)
        return out

    def _control(self, opcode: int) -> bytes:
        begin = self._written
        payload = self._rng.randbytes(self._rng.randint(0, 125))
        if opcode == 8:
            payload = pack("!H", 1000) + b"bye"
        out = self._frame(opcode, payload)
        self._note({8: "close", 9: "ping", 10: "pong"}[opcode], payload, begin)
        return out

    def _frame(self, opcode: int, payload: bytes, *, fin: bool = True, rsv: int = 0) -> bytes:
        mask = self._rng.randbytes(4) if self._side == "client" else None
        out = frame(opcode, payload, mask=mask, fin=fin, rsv=rsv)
        self._written += len(out)
        return out

    def _note(self, name: str, payload: bytes, begin: int) -> None:
        self.messages.append((name, payload))
        self.spans.append((begin, self._written))

"""A small DEFLATE compressor (RFC 1951): greedy matches, fixed Huffman codes.

Its own, for two reasons: its bytes are the same on every machine, which zlib's are not (zlib-ng differs), and a maker
chooses block types and distances that no library would.
"""

from __future__ import annotations

import struct
import zlib

# RFC 1951 section 3.2.5: (first length, extra bits) of codes 257.., (first distance, extra bits) of codes 0..
LENGTHS = [(3 + i, 0) for i in range(8)] + [
    (((4 + i % 4) << i // 4 - 1) + 3, i // 4 - 1) for i in range(8, 28)
]  # the 29th code, 285, is length 258 alone
DISTANCES = [(1 + i, 0) for i in range(4)] + [(((2 + i % 2) << i // 2 - 1) + 1, i // 2 - 1) for i in range(4, 30)]


def _reversed(value: int, bits: int) -> int:
    return int(f"{value:0{bits}b}"[::-1], 2)


def _fixed(symbol: int) -> tuple[int, int]:
    """(code, bits) of a literal/length symbol, bits in stream order (RFC 1951 section 3.2.6)."""
    if symbol < 144:
        return _reversed(0x30 + symbol, 8), 8
    if symbol < 256:
        return _reversed(0x190 + symbol - 144, 9), 9
    if symbol < 280:
        return _reversed(symbol - 256, 7), 7
    return _reversed(0xC0 + symbol - 280, 8), 8


CODES = [_fixed(symbol) for symbol in range(288)]


class Bits:
    """Bits on their way into bytes, least significant first."""

    def __init__(self) -> None:
        self.out = bytearray()
        self.held = self.count = 0

    def put(self, value: int, bits: int) -> None:
        """Append the low `bits` of `value`."""
        self.held |= value << self.count
        self.count += bits
        while self.count >= 8:
            self.out.append(self.held & 0xFF)
            self.held >>= 8
            self.count -= 8

    def align(self) -> None:
        """Fill up the byte with zeros."""
        if self.count:
            self.put(0, 8 - self.count)


class Deflater:
    """One direction's compressor. `window_bits`: no match reaches further back than 2 ** window_bits bytes."""

    def __init__(self, window_bits: int = 15, takeover: bool = True) -> None:
        self.window = 1 << window_bits
        self.takeover = takeover
        self.history = b""

    def message(self, data: bytes, *, block: str = "fixed", final: bool = False) -> bytes:
        """One message's payload: compressed, flushed with an empty stored block, whose last four bytes are cut off
        (RFC 7692 section 7.2.1). `block`: fixed, stored (section 7.2.3.3); `final`: BFINAL set (section 7.2.3.4).
        """
        return self.flushed(data, block=block, final=final)[:-4]

    def flushed(self, data: bytes, *, block: str = "fixed", final: bool = False) -> bytes:
        """The same with the four bytes 00 00 ff ff at its end."""
        bits = Bits()
        if block == "stored":
            bits.put(int(final), 3)
            bits.align()
            bits.out += struct.pack("<HH", len(data), len(data) ^ 0xFFFF) + data
        else:
            bits.put(int(final) | 1 << 1, 3)
            self._matches(bits, data)
        self.history = (self.history + data)[-self.window :] if self.takeover else b""
        if final:
            bits.align()
        bits.put(0, 3)
        bits.align()
        return bytes(bits.out) + b"\x00\x00\xff\xff"

    def _matches(self, bits: Bits, data: bytes) -> None:
        text = self.history + data
        latest: dict[bytes, int] = {}
        start = len(self.history)
        for at in range(start - 2):
            latest[text[at : at + 3]] = at
        at = start
        while at < len(text):
            key = text[at : at + 3]
            found = latest.get(key)
            step = 1
            if len(key) == 3 and found is not None and at - found <= self.window:
                step = 3
                while step < 258 and at + step < len(text) and text[found + step] == text[at + step]:
                    step += 1
                put_match(bits, step, at - found)
            else:
                bits.put(*CODES[text[at]])
            for seen in range(max(at - 2, 0), at + step - 2):
                latest[text[seen : seen + 3]] = seen
            at += step
        bits.put(*CODES[256])


def put_match(bits: Bits, length: int, distance: int) -> None:
    """Write "`length` bytes from `distance` back"."""
    if length == 258:
        bits.put(*CODES[285])
    else:
        code = max(i for i, (first, _) in enumerate(LENGTHS) if first <= length)
        bits.put(*CODES[257 + code])
        bits.put(length - LENGTHS[code][0], LENGTHS[code][1])
    code = max(i for i, (first, _) in enumerate(DISTANCES) if first <= distance)
    bits.put(_reversed(code, 5), 5)
    bits.put(distance - DISTANCES[code][0], DISTANCES[code][1])


def gzip_member(data: bytes) -> bytes:
    """One gzip member (RFC 1952) without name and time."""
    body = Deflater().flushed(data, final=True)[:-5]  # the final block alone: no flush behind it
    return b"\x1f\x8b\x08\x00" + bytes(4) + b"\x00\xff" + body + struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)

"""Finding a frame boundary again after a hole, or when a connection is joined in the middle.

A boundary is accepted only at the start of a TCP segment (senders write whole frames), and only if a chain of frames from
there on survives every check that RFC 6455 allows. In ASCII text no byte can begin a frame (bits 4 to 6 of it are reserved
bits, one of them is set in every printable character), and for random bytes the chance that `PROOF_FRAMES` heads in a row fit
is below 1 in 100,000 before the text itself is checked.
"""

from __future__ import annotations

from typing import Final

from websockets.speedups import apply_mask

from sniffer.config import Limits
from sniffer.model import OPCODE_BINARY, OPCODE_CLOSE, OPCODE_TEXT
from sniffer.wire.stream import Data

PROOF_FRAMES: Final = 3
"""Whole frames in a row that prove a boundary."""
PROOF_FRAMES_AT_END: Final = 2
"""The same where the stream ends exactly with the last of them."""
_MAX_CANDIDATES: Final = 64
"""Segment starts that are kept as candidates; the oldest is given up first."""


class _Chain:
    """The verdict on one candidate."""

    __slots__ = ("first_is_continuation", "frames", "masked", "valid", "whole")

    def __init__(self, masked: bool | None) -> None:
        self.frames = 0
        self.valid = True
        self.whole = False  # the last frame ends exactly where the data ends
        self.masked = masked
        self.first_is_continuation = False


class Resync:
    """Buffers what follows a hole until a frame boundary in it is proved."""

    def __init__(self, masked: bool | None, may_compress: bool, limits: Limits) -> None:
        """`masked`: how this side's frames were so far, None if unknown; `may_compress`: RSV1 may be set."""
        self.masked = masked
        self.begins_inside_message = False
        self._may_compress = may_compress
        self._limits = limits
        self._chunks: list[Data] = []
        self._candidates: list[int] = []  # offsets
        self._skipped: list[tuple[int, int, int]] = []
        self.size = 0

    @property
    def offset(self) -> int:
        """Stream offset of the first byte held."""
        return self._chunks[0][0]

    @property
    def time(self) -> int:
        """Wire time of the first byte held."""
        return self._chunks[0][1]

    def take_skipped(self) -> list[tuple[int, int, int]]:
        """(offset, time, length) of what was given up since the last call."""
        skipped, self._skipped = self._skipped, []
        return skipped

    def feed(self, chunk: Data) -> list[Data] | None:
        """One more segment; the chunks from the proved boundary on, once there is one."""
        self._chunks.append(chunk)
        self.size += len(chunk[2])
        self._candidates.append(chunk[0])
        if len(self._candidates) > _MAX_CANDIDATES or self.size > self._limits.message_bytes:
            self._candidates.pop(0)
        return self._decide(at_end=False)

    def finish(self) -> list[Data] | None:
        """The stream ends: a shorter chain that ends exactly with it will do."""
        return self._decide(at_end=True) if self._chunks else None

    def _decide(self, at_end: bool) -> list[Data] | None:
        data = b"".join([chunk[2] for chunk in self._chunks])
        base = self._chunks[0][0]
        remaining = []
        for candidate in self._candidates:
            chain = self._chain(data, candidate - base)
            enough = chain.frames >= PROOF_FRAMES or (at_end and chain.whole and chain.frames >= PROOF_FRAMES_AT_END)
            if chain.valid and enough:
                self.masked = chain.masked
                self.begins_inside_message = chain.first_is_continuation
                self._drop_before(candidate)
                return self._chunks
            if chain.valid:
                remaining.append(candidate)
        self._candidates = remaining
        self._drop_before(remaining[0] if remaining else base + len(data))
        return None

    def _drop_before(self, offset: int) -> None:
        count = 0
        for chunk in self._chunks:
            if chunk[0] >= offset:
                break
            count += 1
            self.size -= len(chunk[2])
            self._skipped.append((chunk[0], chunk[1], len(chunk[2])))
        del self._chunks[:count]

    def _chain(self, data: bytes, at: int) -> _Chain:
        """Follow the frames from `at` on, as far as it takes to decide."""
        chain = _Chain(self.masked)
        inside: bool | None = None  # a fragmented message is under way; None: not known yet
        while chain.frames < PROOF_FRAMES:
            if at + 2 > len(data):
                chain.whole = at == len(data)
                return chain
            first, second = data[at], data[at + 1]
            opcode, final, masked = first & 0x0F, bool(first & 0x80), bool(second & 0x80)
            if chain.masked is None:
                chain.masked = masked
            length, start = second & 0x7F, at + 2
            if length >= 126:
                width = 2 if length == 126 else 8
                if start + width > len(data):
                    chain.valid = self._head_fits(first, second, inside)
                    return chain
                length = int.from_bytes(data[start : start + width])
                start += width
                if length < (126 if width == 2 else 65_536):  # section 5.2: the minimal number of bytes
                    chain.valid = False
            if masked != chain.masked or length > self._limits.message_bytes or not self._head_fits(first, second, inside):
                chain.valid = False
            if not chain.valid:
                return chain
            if opcode < OPCODE_CLOSE:
                if chain.frames == 0 and opcode == 0:
                    chain.first_is_continuation = True
                inside = not final
            start += 4 if masked else 0
            stop = start + length
            if stop > len(data):
                return chain
            if not self._payload_fits(first, data[start:stop], data[start - 4 : start] if masked else b""):
                chain.valid = False
                return chain
            chain.frames += 1
            at = stop
        chain.whole = at == len(data)
        return chain

    def _head_fits(self, first: int, second: int, inside: bool | None) -> bool:
        opcode, final = first & 0x0F, first & 0x80
        if first & 0x30 or OPCODE_BINARY < opcode < OPCODE_CLOSE or opcode > 0xA:
            return False
        if opcode >= OPCODE_CLOSE:
            return bool(final) and not first & 0x40 and second & 0x7F <= 125
        if first & 0x40 and (not self._may_compress or opcode == 0):
            return False
        if opcode == 0:
            return inside is not False
        return inside is not True

    @staticmethod
    def _payload_fits(first: int, payload: bytes, key: bytes) -> bool:
        """What can be checked of a whole frame: text is UTF-8, a close frame holds a status code (section 7.4)."""
        if key and payload:
            payload = apply_mask(payload, key)
        opcode = first & 0x0F
        if opcode == OPCODE_CLOSE:
            return not payload or (len(payload) >= 2 and 1000 <= int.from_bytes(payload[:2]) < 5000)
        if first == 0x80 | OPCODE_TEXT:
            try:
                payload.decode()
            except UnicodeDecodeError:
                return False
        return True

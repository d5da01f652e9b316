"""Finding a frame boundary again after a hole, or when a connection is joined in the middle.

A boundary is accepted only at the start of a TCP segment (senders write whole frames), and only once a chain of whole frames
from there on has survived every check that RFC 6455 allows, and has gathered `PROOF_BITS` of evidence: how unlikely it is that
other bytes look so. In unmasked ASCII text no byte can begin a frame (bits 4 to 6 of it are reserved bits, one of them is set
in every printable character). In masked text, compressed data and ciphertext a head fits by chance once in some twenty bytes,
so frames whose payload says nothing count for little, and text that reads as text for much. Text that repeats itself (a list of
orders) does so behind its mask, too, and one false head is then as many as there are repetitions: a head that is that of the
frame before counts only with a masking key that is another one in every byte, as clients choose theirs.

That a chain is right does not make its first frame one: other bytes that look like a head and happen to end at a true
boundary begin a chain as good. So frames at its beginning are skipped until one stands on evidence of its own.

Of several candidates the first that is not refuted wins. A later one may lie inside its payload, which may hold frames of its
own: it has to wait.
"""

from __future__ import annotations

import re
from typing import Final

from websockets.speedups import apply_mask

from sniffer.config import Limits
from sniffer.model import OPCODE_BINARY, OPCODE_CLOSE, OPCODE_PONG, OPCODE_TEXT
from sniffer.wire.stream import Data

PROOF_FRAMES: Final = 3
"""Whole frames in a row that prove a boundary."""
PROOF_FRAMES_AT_END: Final = 2
"""The same where the stream ends exactly with the last of them."""
PROOF_BITS: Final = 40
"""A false boundary in 10^12 segments: a day of a busy link has some 10^9."""
_HEAD_BITS: Final = 4
"""13 of 256 first bytes are legal."""
_TEXT_BITS: Final = 24
"""At most this for one text, a bit a byte: random bytes are printable UTF-8 less often than every second time."""
_LONG_BITS: Final = 24
"""A 64-bit length within the limit for a message has five bytes of zero; less, since long runs of zero do occur."""
_LANDING_BITS: Final = 12
"""Evidence for a frame, whatever its payload: its head fits, and its length, of 8 bits at least, ends at a boundary."""
_TRUSTED_BITS: Final = 36
"""Evidence from which on a frame of a proved chain is given: text of 24 bytes at once, anything after two other frames."""
_MAX_CANDIDATES: Final = 64
"""Segment starts that are kept as candidates; while they are undecided no more are taken."""

_UNPRINTABLE = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]").search


class _Candidate:
    """A segment start that may begin a frame, and how far the chain of frames from there on has been followed."""

    __slots__ = ("at", "bits", "frames", "head", "inside", "masked", "need", "offset", "trusted_at")

    def __init__(self, offset: int, masked: bool | None) -> None:
        self.offset = self.at = offset  # `at`: where the next frame of the chain begins
        self.need = offset + 2  # the stream must reach here before there is more to say
        self.frames = 0
        self.bits = 0
        self.masked = masked
        self.head: tuple[int, int, bytes] | None = None  # of its latest frame: first byte, length, key
        self.inside: bool | None = None  # a fragmented message is under way; None: not known yet
        self.trusted_at: int | None = None  # the first frame that may be given


class Resync:
    """Buffers what follows a hole until a frame boundary in it is proved."""

    def __init__(self, masked: bool | None, may_compress: bool, limits: Limits) -> None:
        """`masked`: how this side's frames were so far, None if unknown; `may_compress`: RSV1 may be set."""
        self.masked = masked
        self._may_compress = may_compress
        self._limits = limits
        self._data = bytearray()
        self._base = 0  # stream offset of the first byte of `_data`
        self._segments: list[tuple[int, int]] = []  # (offset, wire time) of what makes up `_data`
        self._candidates: list[_Candidate] = []
        self._skipped: list[tuple[int, int, int]] = []

    @property
    def size(self) -> int:
        """Bytes held."""
        return len(self._data)

    @property
    def offset(self) -> int:
        """Stream offset of the first byte held."""
        return self._base

    @property
    def time(self) -> int:
        """Wire time of the first byte held."""
        return self._segments[0][1]

    def take_skipped(self) -> list[tuple[int, int, int]]:
        """(offset, time, length) of what was given up since the last call."""
        skipped, self._skipped = self._skipped, []
        return skipped

    def feed(self, chunk: Data) -> list[Data] | None:
        """One more segment; the segments from the proved boundary on, once there is one."""
        offset, time, data = chunk
        if not self._data:
            self._base = offset
        self._data += data
        self._segments.append((offset, time))
        if len(self._candidates) < _MAX_CANDIDATES:
            self._candidates.append(_Candidate(offset, self.masked))
        if len(self._segments) > self._limits.fragments or len(self._data) > self._limits.message_bytes:
            self._candidates.pop(0)
        return self._decide(at_end=False)

    def finish(self) -> list[Data] | None:
        """The stream ends: a shorter chain that ends exactly with it will do."""
        return self._decide(at_end=True) if self._data else None

    def _decide(self, at_end: bool) -> list[Data] | None:
        end = self._base + len(self._data)
        remaining: list[_Candidate] = []
        for candidate in self._candidates:
            if candidate.need <= end and not self._follow(candidate, end):
                continue
            wanted = PROOF_FRAMES_AT_END if at_end and candidate.at == end else PROOF_FRAMES
            proved = candidate.frames >= wanted and candidate.bits >= PROOF_BITS
            if not remaining and proved and candidate.trusted_at is not None:
                self.masked = candidate.masked
                self._drop_before(candidate.trusted_at)
                return self._take()
            remaining.append(candidate)
        self._candidates = remaining
        self._drop_before(remaining[0].offset if remaining else end)
        return None

    def _take(self) -> list[Data]:
        """All that is held, as the segments in which it came."""
        stops = [offset for offset, _ in self._segments[1:]] + [self._base + len(self._data)]
        data, base = bytes(self._data), self._base
        return [
            (offset, time, data[offset - base : stop - base])
            for (offset, time), stop in zip(self._segments, stops, strict=True)
        ]

    def _drop_before(self, offset: int) -> None:
        end, count = self._base + len(self._data), 0
        for start, time in self._segments:
            if start >= offset:
                break
            count += 1
            stop = self._segments[count][0] if count < len(self._segments) else end
            self._skipped.append((start, time, min(stop, offset) - start))
            if stop > offset:
                count -= 1
                self._segments[count] = (offset, time)
                break
        del self._segments[:count], self._data[: offset - self._base]
        self._base = offset

    def _follow(self, candidate: _Candidate, end: int) -> bool:
        """Follow the frames of a candidate as far as the data goes; False: it is none."""
        data, base = self._data, self._base
        while candidate.need <= end:
            at = candidate.at - base
            first, second = data[at], data[at + 1]
            masked = bool(second & 0x80)
            if candidate.masked is None:
                candidate.masked = masked
            if masked != candidate.masked or not self._head_fits(first, second, candidate.inside):
                return False
            length, start = second & 0x7F, at + 2
            bits = 0
            if length >= 126:
                start += 2 if length == 126 else 8
                candidate.need = base + start
                if candidate.need > end:
                    return True
                shortest = 126 if length == 126 else 65_536  # section 5.2: the minimal number of bytes
                length = int.from_bytes(data[at + 2 : start])
                if not shortest <= length <= self._limits.message_bytes:
                    return False
                bits += _LONG_BITS if shortest > 126 else 0
            key_at = start
            start += 4 if masked else 0
            candidate.need = base + start + length
            if candidate.need > end:
                return True
            key = bytes(data[key_at:start])
            found = self._payload_bits(first, bytes(data[start : start + length]), key)
            if found is None:
                return False
            self._count(candidate, (first, length, key), bits + found)
            candidate.at = base + start + length
            candidate.need = candidate.at + 2
        return True

    @staticmethod
    def _count(candidate: _Candidate, head: tuple[int, int, bytes], bits: int) -> None:
        """One more whole frame; `bits`: what its length and its payload prove."""
        first, _, key = head
        candidate.frames += 1
        if candidate.trusted_at is None and candidate.frames * _LANDING_BITS + bits >= _TRUSTED_BITS:
            candidate.trusted_at = candidate.at
        if first & 0x0F < OPCODE_CLOSE:
            candidate.inside = not first & 0x80
        before, candidate.head = candidate.head, head
        repeats = before is not None and before[:2] == head[:2]
        if not repeats or (before is not None and key and not any(a == b for a, b in zip(before[2], key, strict=True))):
            bits += _HEAD_BITS
        candidate.bits += bits

    def _head_fits(self, first: int, second: int, inside: bool | None) -> bool:
        opcode, final = first & 0x0F, first & 0x80
        if first & 0x30 or OPCODE_BINARY < opcode < OPCODE_CLOSE or opcode > OPCODE_PONG:
            return False
        if opcode >= OPCODE_CLOSE:
            return bool(final) and not first & 0x40 and second & 0x7F <= 125
        if not final and not second & 0x7F:  # an empty piece of a message: so looks every run of zeros, and no sender writes it
            return False
        if first & 0x40 and (not self._may_compress or opcode == 0):
            return False
        if opcode == 0:
            return inside is not False
        return inside is not True

    @staticmethod
    def _payload_bits(first: int, payload: bytes, key: bytes) -> int | None:
        """What a frame's payload proves: text is UTF-8, a close frame holds a status code (section 7.4). None: it is none."""
        if key and payload:
            payload = apply_mask(payload, key)
        if first & 0x0F == OPCODE_CLOSE and payload:
            return 4 if len(payload) >= 2 and 1000 <= int.from_bytes(payload[:2]) < 5000 else None
        if first == 0x80 | OPCODE_TEXT:
            try:
                payload.decode()
            except UnicodeDecodeError:
                return None
            # Masked text that is unmasked with a part of itself is all below 0x80 too, but not printable.
            return 0 if _UNPRINTABLE(payload) else min(len(payload), _TEXT_BITS)
        return 0

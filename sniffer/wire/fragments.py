"""IP fragments to whole datagrams, bounded in number and time.

Fragments that overlap with different bytes are a known attack and never legitimate: the datagram is a loss, not a choice
(RFC 5722 says the same for IPv6).
"""

from __future__ import annotations

from collections.abc import Callable

from sniffer.config import Limits

_MAX_DATAGRAM = 65_535


class _Datagram:
    __slots__ = ("bad", "length", "parts", "seen", "started")

    def __init__(self, started: int) -> None:
        self.started = started
        self.parts: list[tuple[int, bytes]] = []
        self.length: int | None = None
        self.seen = 0
        self.bad = ""


class Fragments:
    """Datagrams under reassembly, by (addresses, protocol, identification)."""

    def __init__(self, limits: Limits, lose: Callable[[int, int, str], None]) -> None:
        self._limits = limits
        self._lose = lose
        self._datagrams: dict[bytes, _Datagram] = {}

    def add(self, time: int, key: bytes, offset: int, data: bytes, more: bool, cut: bool) -> bytes | None:
        """One fragment; the datagram's whole payload when this completes it.

        `offset` in bytes; `more`: further fragments follow; `cut`: the snap length took a part of it.
        """
        self._expire(time)
        datagram = self._datagrams.get(key)
        if datagram is None:
            if len(self._datagrams) >= self._limits.ip_fragments:
                self._drop(next(iter(self._datagrams)), time, "too many IP datagrams in fragments")
            datagram = self._datagrams[key] = _Datagram(time)
        datagram.seen += len(data)
        if cut:
            datagram.bad = "IP fragment cut by the snap length"
        elif offset + len(data) > _MAX_DATAGRAM or (more and len(data) % 8):
            datagram.bad = "IP fragment of a lying length"
        elif self._overlaps_differently(datagram, offset, data):
            datagram.bad = "IP fragments overlap with different bytes"
        else:
            datagram.parts.append((offset, data))
        if not more:
            if datagram.length not in (None, offset + len(data)):
                datagram.bad = "IP fragments disagree about the datagram's length"
            datagram.length = offset + len(data)
        if datagram.bad or datagram.seen > 4 * _MAX_DATAGRAM:
            if datagram.length is not None or datagram.seen > 4 * _MAX_DATAGRAM:
                self._drop(key, time, datagram.bad or "endless IP fragments")
            return None
        return self._whole(key, datagram)

    @staticmethod
    def _overlaps_differently(datagram: _Datagram, offset: int, data: bytes) -> bool:
        for start, part in datagram.parts:
            low, high = max(start, offset), min(start + len(part), offset + len(data))
            if low < high and part[low - start : high - start] != data[low - offset : high - offset]:
                return True
        return False

    def _whole(self, key: bytes, datagram: _Datagram) -> bytes | None:
        if datagram.length is None:
            return None
        out = bytearray()
        for start, part in sorted(datagram.parts):
            if start > len(out):
                return None
            out += part[len(out) - start :]
        if len(out) != datagram.length:
            if len(out) > datagram.length:
                self._drop(key, datagram.started, "IP fragments disagree about the datagram's length")
            return None
        del self._datagrams[key]
        return bytes(out)

    def _expire(self, time: int) -> None:
        while self._datagrams:
            oldest = next(iter(self._datagrams))
            if time - self._datagrams[oldest].started < self._limits.ip_fragment_wait:
                return
            self._drop(oldest, time, "IP datagram never became whole")

    def _drop(self, key: bytes, time: int, reason: str) -> None:
        datagram = self._datagrams.pop(key)
        self._lose(datagram.started, datagram.seen, datagram.bad or reason)

    def flush(self, time: int) -> None:
        """The capture ends: what is unfinished is lost."""
        for key in list(self._datagrams):
            self._drop(key, time, "IP datagram never became whole")

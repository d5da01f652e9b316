"""IP fragments to whole datagrams, bounded in number and time.

Fragments that overlap with different bytes are a known attack and never legitimate: the datagram is a loss, not a choice
(RFC 5722 says the same for IPv6).

A capture on two interfaces shows each fragment twice, and the second one of the last fragment comes when the datagram is whole.
So whole datagrams are remembered for a while. Identifications come again, on a busy link soon: only a fragment with the very
bytes of the whole datagram is a copy, and any other begins a new one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sniffer.config import Limits
from sniffer.wire.pieces import end_of, index_at, insert_new, mark_conflicts
from sniffer.wire.stream import Item

_MAX_DATAGRAM: Final = 65_535
_MAX_FRAGMENTS: Final = 2 * _MAX_DATAGRAM // 8
"""Each but the last holds eight bytes at least; twice that leaves room for copies."""
_REMEMBERED_BYTES: Final = 1 << 22
"""Of whole datagrams: some two thousand that take two packets each. Copies of a fragment come within milliseconds."""


class _Datagram:
    __slots__ = ("bad", "fragments", "held", "length", "parts", "seen", "started")

    def __init__(self, started: int) -> None:
        self.started = started
        self.parts: list[Item] = []
        self.held = 0  # bytes in `parts`
        self.length: int | None = None  # of the whole, once the last fragment has said it
        self.seen = 0
        self.fragments = 0
        self.bad = ""


class Fragments:
    """Datagrams under reassembly, by (addresses, protocol, identification)."""

    def __init__(self, limits: Limits, lose: Callable[[int, int, str], None]) -> None:
        self._limits = limits
        self._lose = lose
        self._datagrams: dict[bytes, _Datagram] = {}
        self._whole: dict[bytes, tuple[int, bytes]] = {}  # by key: time of its first fragment, payload
        self._whole_bytes = 0

    def add(self, time: int, key: bytes, offset: int, data: bytes, more: bool, cut: bool) -> bytes | None:
        """One fragment; the datagram's whole payload when this completes it.

        `offset` in bytes; `more`: further fragments follow; `cut`: the snap length took a part of it.
        """
        self._expire(time)
        datagram = self._datagrams.get(key)
        if datagram is None:
            if self._is_copy(key, offset, data, more or cut):
                return None
            if len(self._datagrams) >= self._limits.ip_fragments:
                self._drop(next(iter(self._datagrams)), "too many IP datagrams in fragments")
            datagram = self._datagrams[key] = _Datagram(time)
        datagram.seen += len(data)
        datagram.fragments += 1
        end = offset + len(data)
        if cut:
            datagram.bad = "IP fragment cut by the snap length"
        elif end > _MAX_DATAGRAM or (more and (len(data) % 8 or not data)):
            datagram.bad = "IP fragment of a lying length"
        elif not datagram.bad:
            if mark_conflicts(datagram.parts, index_at(datagram.parts, offset), time, offset, data):
                datagram.bad = "IP fragments overlap with different bytes"
            else:
                datagram.held += insert_new(datagram.parts, time, offset, data)
        if not more:
            if datagram.length not in (None, end):
                datagram.bad = "IP fragments disagree about the datagram's length"
            datagram.length = end
        if datagram.fragments > _MAX_FRAGMENTS:
            self._drop(key, "endless IP fragments")
        elif datagram.length is not None and (datagram.bad or datagram.held >= datagram.length):
            return self._complete(key, datagram)
        return None

    def _is_copy(self, key: bytes, offset: int, data: bytes, more: bool) -> bool:
        """Whether this is one more copy of a fragment of a datagram that is whole; `more`: it need not end where that ends."""
        whole = self._whole[key][1] if key in self._whole else b""
        end = offset + len(data)
        return bool(data) and whole[offset:end] == data and (more or end == len(whole))

    def _complete(self, key: bytes, datagram: _Datagram) -> bytes | None:
        whole = b"".join([part[2] for part in datagram.parts if isinstance(part, tuple)])
        if datagram.bad or len(whole) != datagram.length or end_of(datagram.parts[-1]) != datagram.length:
            self._drop(key, "IP fragments disagree about the datagram's length")
            return None
        del self._datagrams[key]
        if key in self._whole:
            self._forget(key)
        self._whole[key] = datagram.started, whole
        self._whole_bytes += len(whole)
        while self._whole_bytes > _REMEMBERED_BYTES:
            self._forget(next(iter(self._whole)))
        return whole

    def _forget(self, key: bytes) -> None:
        self._whole_bytes -= len(self._whole.pop(key)[1])

    def _expire(self, time: int) -> None:
        while self._whole:
            oldest = next(iter(self._whole))
            if time - self._whole[oldest][0] < self._limits.ip_fragment_wait:
                break
            self._forget(oldest)
        while self._datagrams:
            oldest = next(iter(self._datagrams))
            if time - self._datagrams[oldest].started < self._limits.ip_fragment_wait:
                return
            self._drop(oldest, "IP datagram never became whole")

    def _drop(self, key: bytes, reason: str) -> None:
        datagram = self._datagrams.pop(key)
        self._lose(datagram.started, datagram.seen, datagram.bad or reason)

    def flush(self) -> None:
        """The capture ends: what is unfinished is lost."""
        for key in list(self._datagrams):
            self._drop(key, "IP datagram never became whole")

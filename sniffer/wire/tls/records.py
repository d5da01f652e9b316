"""What a reader holds: a record under way with the times of its bytes, and items that wait."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from sniffer.wire.stream import Data, Item
from sniffer.wire.tls.protection import HEAD

CHANGE_CIPHER_SPEC: Final = 20
ALERT: Final = 21
HANDSHAKE: Final = 22
_FATAL: Final = 2
_CLOSE_NOTIFY: Final = 0
_USER_CANCELED: Final = 90
_ITEM_COST: Final = 150
"""Memory of an item, beside its bytes."""
_MAX_MARKS: Final = 256
"""Segments whose times are told apart within one record; a flood of one-byte segments must not cost 100 bytes each."""


class HeldItems:
    """Items that wait for something, first in, first out."""

    __slots__ = ("_items", "cost", "since")

    def __init__(self) -> None:
        self.cost = 0
        """Memory, about."""
        self.since: int | None = None
        """No byte that is held has an earlier wire time; None: none is held."""
        self._items: deque[Item] = deque()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, items: Iterable[Item]) -> None:
        """Behind all others."""
        for item in items:
            self._items.append(item)
            self._count(item)

    def put_first(self, items: Sequence[Item]) -> None:
        """Before all others, in their own order."""
        for item in reversed(items):
            self._items.appendleft(item)
            self._count(item)

    def _count(self, item: Item) -> None:
        self.cost += _cost(item)
        if isinstance(item, tuple):
            self.since = item[1] if self.since is None else min(self.since, item[1])

    @property
    def first(self) -> Item | None:
        """The one that `take` gives."""
        return self._items[0] if self._items else None

    def take(self) -> Item:
        """The first."""
        item = self._items.popleft()
        self.cost -= _cost(item)
        if not self._items:
            self.since = None
        return item


def _cost(item: Item) -> int:
    return _ITEM_COST + (len(item[2]) if isinstance(item, tuple) else 0)


class PendingRecord:
    """The record at the reader's place, until it is whole."""

    __slots__ = ("data", "latest", "marks", "offset")

    def __init__(self) -> None:
        self.data = bytearray()
        self.offset = 0
        self.latest = 0
        """Wire time of the packet that completed it."""
        self.marks: list[tuple[int, int]] = []

    def add(self, offset: int, time: int, data: bytes, at: int) -> int:
        """Take from `data` what the record lacks, `at` on; where it ends."""
        held = self.data
        if not held:
            self.offset, self.latest = offset + at, time
            self.marks.clear()
        while True:
            want = self.missing()
            if not want or at >= len(data):
                return at
            marks = self.marks
            if len(marks) == _MAX_MARKS:
                marks[-1] = marks[-1][0], time  # too late rather than too early
            elif not marks or marks[-1][1] != time:
                marks.append((self.offset + len(held), time))
            self.latest = max(self.latest, time)
            part = data[at : at + want]
            held += part
            at += len(part)

    def missing(self) -> int:
        """Bytes that are known to be missing; 0 once it is whole."""
        held = self.data
        if len(held) < HEAD:
            return HEAD - len(held)
        return HEAD + (held[3] << 8 | held[4]) - len(held)

    def take(self) -> bytes:
        """The whole record; this is then empty."""
        whole = bytes(self.data)
        self.data.clear()
        return whole

    def chunks(self) -> list[Data]:
        """What there is of the record, as it came; this is then empty."""
        marks, whole = self.marks if self.data else [], self.take()
        stops = [offset - self.offset for offset, _ in marks[1:]] + [len(whole)]
        return [(offset, time, whole[offset - self.offset : stop]) for (offset, time), stop in zip(marks, stops, strict=False)]

    def items(self, plain: bytes, lead: int, offset: int) -> list[Item]:
        """`plain`, the record's content, as items from `offset` of the plaintext on, each byte with the time of its packet.

        Ciphers keep the places of bytes: the content begins `lead` bytes behind the record's head. A record is not read before
        it is whole, so where it came in pieces an empty item says first when that was.
        """
        if len(self.marks) == 1:
            return [(offset, self.latest, plain)]
        start = self.offset + HEAD + lead
        out: list[Item] = [(offset, self.latest, b"")]
        stops = [at - start for at, _ in self.marks[1:]] + [len(plain)]
        at = 0
        for (_, time), stop in zip(self.marks, stops, strict=True):
            if stop > at and at < len(plain):
                out.append((offset + at, time, plain[at:stop]))
                at = min(stop, len(plain))
        return out


def is_bare(kind: int, body: bytes) -> bool:
    """ChangeCipherSpec, or an alert without protection. TLS 1.3 ignores both (RFC 8446 section 5): it proves nothing."""
    return (kind == CHANGE_CIPHER_SPEC and body == b"\1") or (kind == ALERT and len(body) == 2)


def ends_side(alert: bytes, *, tls13: bool) -> bool:
    """RFC 8446 section 6: all alerts but one end the connection; in RFC 5246 section 7.2 the level says so."""
    if len(alert) != 2:
        return False
    level, description = alert
    return description == _CLOSE_NOTIFY or level == _FATAL or (tls13 and description != _USER_CANCELED)

"""What one side of a connection hands from layer to layer: data, gap, end.

Data is a plain tuple, since there is one for every segment; gap and end are rare and are objects.
"""

from __future__ import annotations

from typing import Final, TypeAlias

Data: TypeAlias = tuple[int, int, bytes]
"""(offset in the stream, wire time in ns, bytes)."""


class Gap:
    """A hole of `length` bytes at `offset`, given up at `time`. None: unknown length.

    `behind`: the time of the latest packet of the connection when it was given up. Where clocks step back, what comes next may
    be earlier than `time`, and still is behind the hole.
    """

    __slots__ = ("behind", "length", "offset", "reason", "time")

    def __init__(self, offset: int, time: int, length: int | None, reason: str, behind: int | None = None) -> None:
        self.offset = offset
        self.time = time
        self.behind = time if behind is None else behind
        self.length = length
        self.reason = reason

    def __repr__(self) -> str:
        return f"Gap({self.offset}, {self.time}, {self.length}, {self.reason!r})"


class End:
    """Nothing more comes from this side. `orderly`: a FIN said so; else RST, time-out, or the capture ended."""

    __slots__ = ("offset", "orderly", "reason", "time")

    def __init__(self, offset: int, time: int, orderly: bool, reason: str) -> None:
        self.offset = offset
        self.time = time
        self.orderly = orderly
        self.reason = reason


Item: TypeAlias = Data | Gap | End


def time_of(item: Item) -> int:
    """Wire time in ns of an item of any kind; of a gap, that of what it is behind."""
    if isinstance(item, tuple):
        return item[1]
    return item.behind if isinstance(item, Gap) else item.time


Place: TypeAlias = tuple[bool, int, bool, bool]
"""Where an item stands among those of both sides, in an order that is the same however they came."""

EVERYTHING_READ: Final[Place] = (True, 1 << 64, True, True)
"""Behind every item."""


def place_of(item: Item, of_server: bool) -> Place:
    """An end comes last, since what waits on its side may need the other's rest; a hole behind bytes of the same moment."""
    return isinstance(item, End), time_of(item), isinstance(item, Gap), of_server


CAPTURE_ENDED: Final = "capture ended"
"""How the reason of a loss begins that only the capture's end caused: a longer capture may show what is missing."""

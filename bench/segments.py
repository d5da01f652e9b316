"""What the exchange says in a capture of `bench.captures`, a segment a message: nothing needs to be reassembled."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from struct import Struct
from typing import Final, TypeAlias

from bench.captures import Capture

Segment: TypeAlias = tuple[int, int, int, bytes]
"""(number of the connection, ordinal of the segment among the server's with payload, time in ns, payload)."""

_RECORD: Final = Struct("<IIII")
_HEADS: Final = 14 + 20 + 32
"""Ethernet, IPv4, TCP with time stamps."""
_FILE_HEAD: Final = 24
_PORT: Final = (9443).to_bytes(2)


def blocks(capture: Capture, size: int) -> Iterator[list[Segment]]:
    """The server's segments that hold payload, in order, so many at a time."""
    ordinals = [0] * capture.workload.connections
    block: list[Segment] = []
    with capture.path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at, end = _FILE_HEAD, len(data)
        while at < end:
            seconds, nanoseconds, length, _ = _RECORD.unpack_from(data, at)
            begin = at + _RECORD.size
            at = begin + length
            if length <= _HEADS or data[begin + 34 : begin + 36] != _PORT:
                continue
            number = int.from_bytes(data[begin + 32 : begin + 34])  # the client's address ends with it
            block.append((number, ordinals[number], seconds * 1_000_000_000 + nanoseconds, data[begin + _HEADS : at]))
            ordinals[number] += 1
            if len(block) >= size:
                yield block
                block = []
    if block:
        yield block

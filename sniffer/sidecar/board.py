"""What one process writes for others to read: the latest version of a small record, in shared memory that outlives it.

A version goes into the slot that nobody reads; then one byte, written last, makes it the present one. So whenever the writer is
killed, a whole version stands there. A reader beside a writer may be overtaken twice, which the checksum shows.
"""

from __future__ import annotations

import json
import mmap
import struct
import zlib
from typing import Any, Final

_HEAD: Final = struct.Struct("=II")  # length, CRC 32
_TRIES: Final = 10


class Board:
    """Room for a record of up to `size` bytes of JSON, shared by all processes forked after it was made; one of them writes."""

    def __init__(self, size: int = 4000) -> None:
        self._slot = size + _HEAD.size
        self._memory = mmap.mmap(-1, 1 + 2 * self._slot)

    def post(self, record: Any) -> None:
        """Make `record` the present version. Raises `ValueError` if it is too large."""
        data = json.dumps(record).encode()
        if len(data) > self._slot - _HEAD.size:
            raise ValueError(f"a record of {len(data)} bytes on a board of {self._slot - _HEAD.size}")
        other = 1 - self._memory[0]
        start = 1 + other * self._slot
        _HEAD.pack_into(self._memory, start, len(data), zlib.crc32(data))
        self._memory[start + _HEAD.size : start + _HEAD.size + len(data)] = data
        self._memory[0] = other

    def read(self) -> Any:
        """The present version; None if there is none yet."""
        for _ in range(_TRIES):
            start = 1 + self._memory[0] * self._slot
            length, checksum = _HEAD.unpack_from(self._memory, start)
            data = self._memory[start + _HEAD.size : start + _HEAD.size + min(length, self._slot)]
            if not length:
                return None
            if zlib.crc32(data) == checksum:
                return json.loads(data)
        return None

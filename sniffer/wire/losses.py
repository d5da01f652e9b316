"""What a connection could not read, gathered into rows.

One loss at a time is a row; a run of the same trouble (every message of a poisoned stream, every byte of an unreadable
connection) is one row for each minute of capture time, so that damage cannot flood the table.
"""

from __future__ import annotations

from typing import Final

from sniffer.config import SECOND
from sniffer.model import Loss, Sender

TALLY_PERIOD: Final = 60 * SECOND


class _Tally:
    __slots__ = ("bytes", "from_time", "messages", "offset", "to_time")

    def __init__(self, from_time: int, offset: int) -> None:
        self.from_time = from_time
        self.to_time = from_time
        self.offset = offset
        self.bytes = 0
        self.messages: int | None = 0


class LossLedger:
    """The losses of one connection. `rows` holds finished ones, for the connection's owner to take."""

    def __init__(self, capture_id: str, connection_id: int) -> None:
        self._capture_id = capture_id
        self._connection_id = connection_id
        self._running: dict[tuple[Sender, str, str], _Tally] = {}
        self.rows: list[Loss] = []
        self.bytes = 0

    def add(
        self,
        sender: Sender,
        layer: str,
        reason: str,
        *,
        from_time: int,
        to_time: int,
        offset: int | None,
        length: int | None,
        messages: int | None = None,
    ) -> None:
        """One loss of `length` bytes and `messages` messages (None: unknown), as a row of its own."""
        self.bytes += length or 0
        self.rows.append(
            Loss(
                self._capture_id,
                self._connection_id,
                sender,
                from_time,
                max(from_time, to_time),
                offset,
                length,
                messages,
                layer,
                reason,
            )
        )

    def tally(
        self, sender: Sender, layer: str, reason: str, *, time: int, offset: int, length: int, messages: int | None
    ) -> None:
        """The same trouble again: joined with its like until a minute is over."""
        key = (sender, layer, reason)
        running = self._running.get(key)
        if running is not None and time - running.from_time >= TALLY_PERIOD:
            self._finish(key)
            running = None
        if running is None:
            running = self._running[key] = _Tally(time, offset)
        running.to_time = max(running.to_time, time)
        running.bytes += length
        if messages is None or running.messages is None:
            running.messages = None
        else:
            running.messages += messages
        self.bytes += length

    def _finish(self, key: tuple[Sender, str, str]) -> None:
        tally = self._running.pop(key)
        sender, layer, reason = key
        self.rows.append(
            Loss(
                self._capture_id,
                self._connection_id,
                sender,
                tally.from_time,
                tally.to_time,
                tally.offset,
                tally.bytes,
                tally.messages,
                layer,
                reason,
            )
        )

    def finish(self) -> None:
        """The connection ends: every running tally becomes a row."""
        for key in list(self._running):
            self._finish(key)

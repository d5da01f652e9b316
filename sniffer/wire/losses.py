"""What a connection could not read, gathered into rows.

One loss at a time is a row; a run of the same trouble (every message of a poisoned stream, every byte of an unreadable
connection) is one row for each minute of capture time, so that damage cannot flood the table.
"""

from __future__ import annotations

from typing import Final

from sniffer.config import SECOND
from sniffer.model import Loss, Sender

TALLY_PERIOD: Final = 60 * SECOND
_MAX_PROVISIONAL: Final = 256
"""Rows that wait for proof of who is the client; a connection that gives so many is not likely to give proof any more."""
_OTHER: Final[dict[Sender, Sender]] = {"client": "server", "server": "client"}


class _Tally:
    __slots__ = ("bytes", "from_time", "messages", "offset", "to_time")

    def __init__(self, from_time: int, offset: int | None) -> None:
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
        self._provisional: list[Loss] | None = None
        self.rows: list[Loss] = []
        self.unreadable = 0
        """Bytes of the streams that were captured, and could not be read."""

    @property
    def running(self) -> bool:
        """Whether any tally is not a row yet."""
        return bool(self._running)

    def guess(self) -> None:
        """Who is the client is a guess: keep rows back until `decide`."""
        self._provisional = []

    def decide(self, swapped: bool) -> None:
        """The guess was right, or `swapped`: the senders are the other way round."""
        provisional, self._provisional = self._provisional or [], None
        if swapped:
            provisional = [row._replace(sender=_OTHER[row.sender]) if row.sender else row for row in provisional]
            self._running = {(_OTHER[sender], layer, why): tally for (sender, layer, why), tally in self._running.items()}
        self.rows += provisional

    def _emit(self, row: Loss) -> None:
        if self._provisional is None:
            self.rows.append(row)
            return
        self._provisional.append(row)
        if len(self._provisional) >= _MAX_PROVISIONAL:
            self.decide(swapped=False)

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
        captured: bool = True,
    ) -> None:
        """One loss of `length` bytes and `messages` messages (None: unknown), as a row of its own. `captured`: not a hole."""
        if captured:
            self.unreadable += length or 0
        self._emit(
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
        self,
        sender: Sender,
        layer: str,
        reason: str,
        *,
        time: int,
        offset: int | None,
        length: int,
        messages: int | None,
        captured: bool = True,
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
        if captured:
            self.unreadable += length

    def _finish(self, key: tuple[Sender, str, str]) -> None:
        tally = self._running.pop(key)
        sender, layer, reason = key
        self._emit(
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

    def expire(self, now: int) -> None:
        """Tallies whose minute is over become rows, so that they are seen while the connection lives."""
        for key in [key for key, tally in self._running.items() if now - tally.from_time >= TALLY_PERIOD]:
            self._finish(key)

    def finish(self) -> None:
        """The connection ends: every running tally becomes a row."""
        for key in list(self._running):
            self._finish(key)
        self.decide(swapped=False)

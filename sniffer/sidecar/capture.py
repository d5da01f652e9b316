"""The capture process: from the kernel's rings into the journal, and nothing else.

A packet leaves the ring when it is in the journal, not before. So where the journal cannot be written (a full disk, a vanished
mount), packets wait in the ring, and what that cannot hold the kernel drops and counts; and where this process is killed, the
next one finds in the ring what it had not written, and in the journal what it had.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from sniffer.capture.journal_writer import JournalWriter, Mark
from sniffer.capture.live import LiveCapture
from sniffer.errors import JournalError
from sniffer.sidecar.board import Board
from sniffer.sidecar.log import Log
from sniffer.sidecar.privileges import keep_memory_private
from sniffer.sidecar.process import Ending

UPKEEP_INTERVAL: Final = 1.0
"""Seconds between looks at what comes rarely: kernel drops, the journal's folder, `--journal-sync second`."""
READ_TIMEOUT: Final = 0.05
"""Seconds that the process waits for packets before it looks whether it is to end."""
RETRY_INTERVAL: Final = 0.2
"""Seconds between tries to write a journal that cannot be written."""
LAST_TRIES: Final = 5.0
"""Seconds after which a process that is to end no longer waits for the journal."""
RESTARTED: Final = "the capture process was started again; it went on in the same ring"


class Capture:
    """Moves packets until it is time to end. `marks` tells where a predecessor was."""

    def __init__(
        self,
        ending: Ending,
        sources: Sequence[LiveCapture],
        writer: JournalWriter,
        sync: str,
        marks: Board,
        facts: Board,
        supervisor: Board,
        say: Log,
    ) -> None:
        self._ending, self._sources, self._writer, self._sync = ending, sources, writer, sync
        self._marks, self._facts, self._supervisor, self._say = marks, facts, supervisor, say
        self._problem: str | None = None
        self._latest: int | None = None  # time of a packet

    def run(self, starts: int) -> None:
        """The whole life of the process; it is the `starts`-th one."""
        mark = Mark(*self._marks.read())
        self._insist(lambda: self._writer.resume(mark, self._drops()))
        for index, source in enumerate(self._sources):
            if not source.resume(mark.taken[index]):
                self._writer.settle(0, index)
        if starts > 1:
            self._insist(lambda: self._writer.statistics(self._drops(), RESTARTED))
        due = 0.0
        while not self._ending():
            ready, _, _ = select.select(self._sources, [], [], READ_TIMEOUT)
            for index, source in enumerate(self._sources):
                if source in ready:
                    self._move(index, 0.0)
            if time.monotonic() >= due:
                due = time.monotonic() + UPKEEP_INTERVAL
                self._upkeep()
        self._drain()

    def _move(self, index: int, timeout: float) -> int | None:
        """Write what is in a ring; the time of its last packet, None if there was none."""
        source = self._sources[index]
        packets = source.read(timeout)
        if not packets:
            return None
        self._insist(lambda: self._writer.write(packets[self._writer.ahead(index) :], index))
        if self._sync == "block":
            self._insist(self._writer.flush)
        self._writer.settle(source.taken, index)
        source.release()
        self._latest = packets[-1][0]
        return self._latest

    def _drain(self) -> None:
        """Write what came before the end; the traffic itself need not end."""
        ended_at = time.time_ns()
        for index in range(len(self._sources)):
            while (latest := self._move(index, 2 * READ_TIMEOUT)) is not None and latest <= ended_at:
                pass
        self._insist(lambda: self._writer.statistics(self._last_drops()))
        self._insist(self._writer.close)
        self._post()

    def _insist(self, write: Callable[[], None]) -> None:
        """Do what may fail for the journal's sake until it succeeds; raises what fails when it is long time to end."""
        patience = LAST_TRIES
        while True:
            try:
                write()
            except JournalError as error:
                if self._problem is None:
                    self._say(f"{error}; packets wait in memory until it can be written")
                self._problem = str(error)
                self._post()
                if self._ending():
                    patience -= RETRY_INTERVAL
                if patience < 0:
                    raise
                time.sleep(RETRY_INTERVAL)
                continue
            if self._problem is not None:
                self._problem = None
                self._say("the journal can be written again")
            return

    def _upkeep(self) -> None:
        self._insist(self._writer.verify)
        self._insist(lambda: self._writer.statistics(self._drops()))
        if self._sync != "never":
            self._insist(self._writer.flush)
        self._post()

    def _post(self) -> None:
        packets, size = self._writer.written
        self._facts.post({"packets": packets, "bytes": size, "latest": self._latest, "problem": self._problem})

    def _drops(self) -> int | None:
        """Packets that the kernel has dropped in this run: what the supervisor has counted."""
        facts: Any = self._supervisor.read()
        return facts["drops"] if facts else None

    def _last_drops(self) -> int | None:
        """The same, with what was dropped until now; nobody counts beside us when the supervisor is gone."""
        since = time.time_ns()
        while not self._ending.orphaned():
            facts: Any = self._supervisor.read()
            if facts and facts["at"] >= since:
                return self._drops()
            time.sleep(READ_TIMEOUT)
        known = self._drops()
        return None if known is None else known + sum(source.new_drops() or 0 for source in self._sources)


def capture(
    send: Callable[[object], None],
    ending: Ending,
    sources: Sequence[LiveCapture],
    writer: JournalWriter,
    sync: str,
    boards: dict[str, Board],
    starts: int,
    say: Log,
) -> None:
    """The process: see `Capture.run`."""
    keep_memory_private()
    try:
        Capture(ending, sources, writer, sync, boards["marks"], boards["capture"], boards["supervisor"], say).run(starts)
    finally:
        writer.abandon()

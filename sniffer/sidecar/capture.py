"""The capture process: from the kernel's rings into the journal, and nothing else.

A packet leaves the ring when it is in the journal, not before. So where this process is killed, the next one finds in the ring
what it had not written, and in the journal what it had. Where the journal cannot be written (a full disk, a vanished mount),
packets wait in this process's memory, then in the ring, and what that cannot hold the kernel drops and counts. An interface
that goes down is waited for: nothing is lost meanwhile. One that is gone ends the recording, with all that came before.
"""

from __future__ import annotations

import select
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sniffer.capture.journal_writer import JournalWriter, Mark
from sniffer.capture.live import LiveCapture
from sniffer.config import Settings
from sniffer.errors import CaptureError, JournalError
from sniffer.model import Packet
from sniffer.sidecar.board import Board
from sniffer.sidecar.log import Log
from sniffer.sidecar.owners import Channel
from sniffer.sidecar.privileges import confine
from sniffer.sidecar.process import Ending

UPKEEP_INTERVAL: Final = 1.0
"""Seconds between looks at what comes rarely: kernel drops, the journal's folder, `--journal-sync second`."""
READ_TIMEOUT: Final = 0.1
"""Seconds that the process waits for packets before it looks whether it is to end."""
RETRY_INTERVAL: Final = 0.2
"""Seconds between tries to write a journal that cannot be written."""
LAST_TRIES: Final = 5.0
"""Seconds after which a process that is to end no longer waits for the journal."""
DROPS_PATIENCE: Final = 2.0
"""Seconds that a process that is to end waits for the supervisor's last look at the kernel's drop counters."""
PACKET_COST: Final = 200
"""Bytes of memory that a packet takes beside its own."""
NOTES: Final = 1000
"""Notes of who has which connection that are taken at once, and kept while the journal cannot be written."""
RESTARTED: Final = "the capture process was started again; it went on in the same ring"


class Capture:
    """Moves packets until it is time to end. `marks` tells where a predecessor was."""

    def __init__(
        self,
        ending: Ending,
        sources: Sequence[LiveCapture],
        writer: JournalWriter,
        settings: Settings,
        boards: Mapping[str, Board],
        owners: Channel,
        say: Log,
    ) -> None:
        self._ending, self._sources, self._writer, self._say = ending, sources, writer, say
        self._sync, self._room = settings.journal_sync, settings.limits.waiting_bytes
        self._marks, self._facts, self._supervisor = boards["marks"], boards["capture"], boards["supervisor"]
        self._owners = owners
        self._notes: deque[str] = deque(maxlen=NOTES)  # of owners, and not in the journal
        self._problem: JournalError | None = None
        self._troubles: list[str | None] = [None] * len(sources)
        self._latest: int | None = None  # time of a packet
        self._held: deque[tuple[int, list[Packet]]] = deque()  # out of the ring, and not in the journal
        self._cost = 0  # bytes of memory that these take

    def run(self, starts: int) -> None:
        """The whole life of the process; it is the `starts`-th one."""
        mark = Mark(*self._marks.read())
        self._insist(lambda: self._writer.resume(mark, self._drops()))
        for index, source in enumerate(self._sources):
            if not source.resume(mark.taken[index]):
                self._writer.settle(0, index)
        if starts > 1:
            self._attempt(lambda: self._writer.statistics(self._drops(), RESTARTED))
        upkeep = 0.0
        try:
            while not self._ending():
                self._wait()
                if (now := time.monotonic()) >= upkeep:
                    upkeep = now + UPKEEP_INTERVAL
                    self._look_at_interfaces()
                    self._upkeep()
        except CaptureError:
            self._drain()
            raise
        self._drain()

    def _wait(self) -> None:
        """Move what comes next, or try again what could not be written."""
        if self._held:
            time.sleep(RETRY_INTERVAL if self._cost >= self._room else READ_TIMEOUT)
            self._unload()
        watched: list[LiveCapture | Channel] = [*self._sources, self._owners]
        ready, _, _ = select.select(watched, [], [], READ_TIMEOUT)
        for index, source in enumerate(self._sources):
            if source in ready and self._cost < self._room:  # else it waits in the ring, which the kernel watches
                self._move(index, 0.0)
        if self._owners in ready:
            self._note_owners()

    def _note_owners(self) -> None:
        """Journal who has which connection: what cannot be written now is tried again, as far as it can be kept."""
        self._notes.extend(self._owners.take(NOTES))
        while self._notes and self._attempt(lambda: self._writer.statistics(None, self._notes[0])):
            self._notes.popleft()

    def _move(self, index: int, timeout: float) -> int | None:
        """Write what is in a ring, or hold it; the time of its last packet, None if there was none."""
        source = self._sources[index]
        packets = source.read(timeout)
        if not packets:
            return None
        self._latest = packets[-1][0]
        rest = packets[self._writer.ahead(index) :]
        if not self._held:
            rest = self._write(index, rest)
        if rest:
            self._held.append((index, rest))
            self._cost += _cost(rest)
        self._settle(index)
        source.release()
        return self._latest

    def _unload(self) -> None:
        """Write what is held, as far as the journal takes it."""
        while self._held:
            index, packets = self._held[0]
            rest = self._write(index, packets)
            self._cost -= _cost(packets) - _cost(rest)
            if rest:
                self._held[0] = index, rest
            else:
                self._held.popleft()
            self._settle(index)
            if rest:
                return

    def _write(self, index: int, packets: list[Packet]) -> list[Packet]:
        """Write packets; those that the journal does not take are given back."""
        before = self._writer.ahead(index)
        written = self._attempt(lambda: self._writer.write(packets, index))
        if written and self._sync == "block":
            self._attempt(self._writer.flush)
        return packets[self._writer.ahead(index) - before :]

    def _settle(self, index: int) -> None:
        """Say for good what is in the journal, or held."""
        count = sum(len(packets) for _, packets in self._held)
        size = sum(len(packet[2]) for _, packets in self._held for packet in packets)
        self._writer.settle(self._sources[index].taken, index, (count, size))

    def _drain(self) -> None:
        """Write what came before the end; the traffic itself need not end."""
        ended_at = time.time_ns()
        for index in range(len(self._sources)):
            while (latest := self._move(index, 2 * READ_TIMEOUT)) is not None and latest <= ended_at:
                pass
        self._insist(self._unload)
        self._insist(lambda: self._writer.statistics(self._last_drops()))
        if not self._ending.orphaned():  # else it is no end that anybody wanted: the next run says what is missing
            self._insist(lambda: self._writer.close(ended_at))
        self._post()

    def _attempt(self, write: Callable[[], None]) -> bool:
        """Do what may fail for the journal's sake; whether it did not. What is new of that is said."""
        try:
            write()
        except JournalError as error:
            if self._problem is None:
                self._say(f"{error}; packets wait in memory until it can be written")
            self._problem = error
            self._post()
            return False
        return True

    def _insist(self, write: Callable[[], None]) -> None:
        """Do it until it succeeds; raises what fails when it is long time to end."""
        patience = LAST_TRIES
        while not self._attempt(write) or self._held:
            if self._ending():
                patience -= RETRY_INTERVAL
            if patience < 0 and self._problem is not None:
                raise self._problem
            time.sleep(RETRY_INTERVAL)

    def _upkeep(self) -> None:
        sound = self._attempt(self._writer.verify) and self._attempt(lambda: self._writer.statistics(self._drops()))
        if self._sync != "never":
            sound = self._attempt(self._writer.flush) and sound
        if self._notes:
            self._note_owners()
        if sound and not self._held and self._problem is not None:
            self._problem = None
            self._say("the journal can be written again")
        self._post()

    def _look_at_interfaces(self) -> None:
        """Say what is new of the troubles that pass. Raises `CaptureError` where one does not."""
        for index, source in enumerate(self._sources):
            before, self._troubles[index] = self._troubles[index], source.trouble()
            if self._troubles[index] != before:
                self._say(self._troubles[index] or f"{source.interface}: the interface is up again, and the recording goes on")

    def _post(self) -> None:
        packets, size = self._writer.written
        problem = next((str(one) for one in (self._problem, *self._troubles) if one is not None), None)
        waiting = sum(len(packets) for _, packets in self._held)
        facts = {"packets": packets, "bytes": size, "latest": self._latest, "waiting": waiting, "problem": problem}
        self._facts.post(facts)

    def _drops(self) -> int | None:
        """Packets that the kernel has dropped in this run: what the supervisor has counted."""
        facts: Any = self._supervisor.read()
        return facts["drops"] if facts else None

    def _last_drops(self) -> int | None:
        """The same, with what was dropped until now; nobody counts beside us when the supervisor is gone."""
        since, end = time.time_ns(), time.monotonic() + DROPS_PATIENCE
        while not self._ending.orphaned() and time.monotonic() < end:
            facts: Any = self._supervisor.read()
            if facts and facts["at"] >= since:
                return self._drops()
            time.sleep(READ_TIMEOUT)
        known = self._drops()
        return None if known is None else known + sum(source.new_drops() or 0 for source in self._sources)


def _cost(packets: list[Packet]) -> int:
    """Bytes of memory."""
    return sum(len(packet[2]) + PACKET_COST for packet in packets)


def capture(
    send: Callable[[object], None],
    ending: Ending,
    sources: Sequence[LiveCapture],
    writer: JournalWriter,
    settings: Settings,
    boards: Mapping[str, Board],
    owners: Channel,
    starts: int,
    say: Log,
) -> None:
    """The process: see `Capture.run`. What it captures with is open already: it keeps no privilege but to write for others."""
    confine(None)
    try:
        Capture(ending, sources, writer, settings, boards, owners, say).run(starts)
    finally:
        writer.abandon()

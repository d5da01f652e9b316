"""The parent: it opens what takes privilege, keeps the other processes running, and ends them in order.

It owns the capture sockets and their rings, and the shared memory in which the others say how far they are, so whichever of
them dies is replaced and goes on. It parses nothing that comes from the network, and serves nobody.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing.connection
import os
import pwd
import time
from collections import Counter
from collections.abc import Callable, Sequence
from multiprocessing.sharedctypes import RawValue
from pathlib import Path
from typing import Final

from sniffer.capture.journal_writer import JournalWriter
from sniffer.capture.live import LiveCapture, open_live
from sniffer.capture.mounts import Mount
from sniffer.capture.segment import segments
from sniffer.config import Settings
from sniffer.errors import NotOurDatabase, SnifferError, UsageError
from sniffer.sidecar.board import Board
from sniffer.sidecar.capture import capture
from sniffer.sidecar.load import load
from sniffer.sidecar.log import Log
from sniffer.sidecar.notify import Notifier
from sniffer.sidecar.owners import Channel, look
from sniffer.sidecar.privileges import keep_memory_private, make_folder, owner_of
from sniffer.sidecar.process import Child, Ending, Keeper, patiently
from sniffer.sidecar.status import serve
from sniffer.store.place import check_begins_as_database, check_place
from sniffer.summary import Summary
from sniffer.watch import resolve

TICK: Final = 0.2
"""Seconds between looks at the children and the kernel's drop counters."""


def record(settings: Settings, interfaces: list[str], *, user: str | None) -> Summary:
    """Capture `interfaces` and load what they show, until SIGINT, SIGTERM or SIGHUP.

    `user`: whom the unprivileged processes become; None: the caller under sudo, else nobody else. Raises `CaptureError`,
    `JournalError`, `StoreError` or `UsageError`.
    """
    for interface, times in Counter(interfaces).items():
        if times > 1:
            raise UsageError(f"{interface}: named {times} times; name each interface once")
    check_place(settings.db)
    check_begins_as_database(settings.db)  # before there is a journal
    owner = owner_of(user)
    journal = settings.journal or Path(f"{settings.db}.journal")
    hosts = tuple(address for host in settings.hosts for address in resolve(host))
    sources: list[LiveCapture] = []
    with contextlib.ExitStack() as stack:
        for interface in interfaces:
            sources.append(open_live(interface, hosts, settings.ports, settings.ring_bytes, settings.gather_interval))
            stack.callback(sources[-1].close)
        made = settings.journal is None and make_folder(journal, settings.db, owner)
        ending = stack.enter_context(Ending())
        marks = Board(1000 + 100 * len(sources))

        def open_journal() -> JournalWriter:
            return JournalWriter(
                journal,
                [(source.interface, source.link_type) for source in sources],
                segment_bytes=settings.journal_segment_bytes,
                max_bytes=settings.journal_max_bytes,
                commit=marks.post,
            )

        writer = patiently(ending, open_journal)
        stack.callback(writer.abandon)
        writer.detach()
        keep_memory_private()
        supervisor = _Supervisor(settings, journal, owner, ending, sources, writer, marks, hosts)
        try:
            return supervisor.run()
        except NotOurDatabase:  # only the load process finds out, and nobody wants a journal beside such a file
            if made and not supervisor.began:
                remove_journal(journal)
            raise


def remove_journal(folder: Path) -> None:
    """Take away a journal that was made for nothing; what else lies in its folder stays, and the folder with it."""
    for _, path in segments(folder):
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


class _Supervisor:
    """One recording, from where everything is open to where its processes have ended."""

    def __init__(
        self,
        settings: Settings,
        journal: Path,
        owner: pwd.struct_passwd | None,
        ending: Ending,
        sources: Sequence[LiveCapture],
        writer: JournalWriter,
        marks: Board,
        hosts: tuple[str, ...],
    ) -> None:
        self._settings, self._journal, self._owner, self._ending = settings, journal, owner, ending
        self._sources, self._writer = sources, writer
        self._boards = {"marks": marks, "supervisor": Board(), "capture": Board(), "load": Board(16 << 10)}
        # A number, not a board: nothing that the load process writes is to be parsed here.
        self._stored = RawValue(ctypes.c_uint64)
        self._channel = Channel()
        self._hosts = hosts
        self._mount = Mount(settings.db.parent)
        self._say = Log(settings.log_format)
        self._notifier = Notifier()
        self._keepers: list[Keeper] = []
        self.began = False
        """Whether the load process could open the database."""

    def run(self) -> Summary:
        """Start the processes, keep them running, end them; what the load process has done."""
        self._tick()
        try:
            # A database that cannot be written for now must not end the capture. Packets wait for the capture alone.
            loader = self._keep("load", self._start_load, forgives=True, progress=lambda: self._stored.value)
            self._keep("capture", self._start_capture, forgives=False, lasting=0.25)
            self._keep("owners", self._start_owners, forgives=True, lasting=2.0)
            loader.await_ready()
            self.began = True
            self._keep("status", self._start_status, forgives=True, lasting=2.0).await_ready()
            where = f"recording {', '.join(source.interface for source in self._sources)} into {self._settings.db}"
            self._say(f"{where} (journal: {self._journal}); Ctrl-C ends it")
            self._notifier.ready(where)
            while not self._ending():
                multiprocessing.connection.wait([keeper.child.sentinel for keeper in self._keepers if keeper.pid], TICK)
                for keeper in self._keepers:
                    keeper.tend()
                self._tick()
        finally:
            self._notifier.stopping()
            results = self._finish()
        assert isinstance(results["load"], Summary)
        if loader.starts > 1:
            self._say(f"the load process was started {loader.starts} times; the summary counts what the last one has stored")
        return results["load"]

    def _keep(
        self,
        name: str,
        start: Callable[[int], Child],
        *,
        forgives: bool,
        lasting: float = 0.0,
        progress: Callable[[], int] | None = None,
    ) -> Keeper:
        keeper = Keeper(name, start, self._say, forgives=forgives, lasting=lasting, progress=progress)
        self._keepers.append(keeper)
        return keeper

    def _finish(self) -> dict[str, object]:
        """End all processes, those first that others read from. Raises the first error that one of them tells."""
        results: dict[str, object] = {}
        first: SnifferError | None = None
        for keeper in sorted(self._keepers, key=lambda keeper: keeper.name):  # capture, load, owners, status
            try:
                results[keeper.name] = keeper.finish(self._tick)
            except SnifferError as error:
                first = first or error
        if first is not None:
            raise first
        return results

    def _tick(self) -> None:
        """What the kernel alone knows, and which processes there are, for the others to read."""
        self._notifier.alive()
        drops = [count for count in (source.drops() for source in self._sources) if count is not None]
        fills = [share for share in (source.fill() for source in self._sources) if share is not None]
        self._boards["supervisor"].post(
            {
                "at": time.time_ns(),
                "drops": sum(drops) if drops else None,
                "fill": max(fills) if fills else None,
                "processes": {"supervisor": [os.getpid(), 1]}
                | {keeper.name: [keeper.pid, keeper.starts] for keeper in self._keepers},
            }
        )

    def _start_capture(self, starts: int) -> Child:
        return Child(
            "capture",
            capture,
            self._ending,
            self._sources,
            self._writer,
            self._settings,
            self._boards,
            self._channel,
            starts,
            self._say,
        )

    def _start_owners(self, _starts: int) -> Child:
        arguments = self._hosts, self._settings.ports, self._channel
        return Child("owners", self._unprivileged, look, *arguments)

    def _start_load(self, _starts: int) -> Child:
        arguments = self._settings, self._journal, self._writer.identity, self._owner, self._mount
        return Child("load", self._unprivileged, load, *arguments, self._boards["load"], self._stored, self._say)

    def _start_status(self, _starts: int) -> Child:
        arguments = self._settings, self._journal, self._owner, self._boards, self._say
        return Child("status", self._unprivileged, serve, *arguments)

    def _unprivileged(self, send: Callable[[object], None], work: Callable[..., object], *arguments: object) -> object:
        """In a child that does not capture: let go of what only capturing takes, then work."""
        for source in self._sources:
            source.close()
        self._writer.abandon()
        return work(send, self._ending, *arguments)

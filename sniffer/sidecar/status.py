"""The status process: what the others tell about themselves, for `sniffer status` and for Prometheus, as an ordinary user.

It answers on a Unix socket in the journal's folder (`status.sock`, 0600): who connects gets one JSON object, and is hung up on.
Nothing is read from anyone.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from sniffer.capture.segment import segments
from sniffer.config import SECOND, Settings
from sniffer.errors import JournalError
from sniffer.sidecar.board import Board
from sniffer.sidecar.log import Log
from sniffer.sidecar.privileges import confine
from sniffer.sidecar.process import READY, Ending

SOCKET: Final = "status.sock"
INTERVAL: Final = 0.5
"""Seconds between samples of the counters."""
WINDOW: Final = 10.0
"""Seconds over which rates are averaged."""
_COUNTERS: Final = (("capture", "packets"), ("capture", "bytes"), ("load", "messages"))


class Status:
    """The record that is told, out of what stands on the boards."""

    def __init__(self, settings: Settings, journal: Path, boards: Mapping[str, Board]) -> None:
        self._db, self._journal, self._boards = settings.db.absolute(), journal.absolute(), boards
        self._samples: deque[tuple[float, dict[str, int | None]]] = deque()

    def sample(self) -> None:
        """Take down the counters, from which rates are made."""
        now = time.monotonic()
        told = {part: self._boards[part].read() or {} for part in ("capture", "load")}
        self._samples.append((now, {f"{part} {name}": told[part].get(name) for part, name in _COUNTERS}))
        while now - self._samples[0][0] > WINDOW:
            self._samples.popleft()

    def record(self) -> dict[str, Any]:
        """Times are nanoseconds since the epoch, rates are per second; None stands for what is not known (yet)."""
        supervisor, capture, load = (self._boards[part].read() or {} for part in ("supervisor", "capture", "load"))
        count, size = self._journal_size()
        caught, read = capture.get("packets"), load.get("packets")
        behind = max(0, caught - read) if caught is not None and read is not None else None
        late = 0.0
        if behind and capture.get("latest") and load.get("latest"):
            late = max(0.0, (capture["latest"] - load["latest"]) / SECOND)
        return {
            "at": time.time_ns(),
            "database": str(self._db),
            "processes": {
                name: {"pid": pid, "starts": starts} for name, (pid, starts) in supervisor.get("processes", {}).items()
            },
            "capture": {
                "packets": caught,
                "bytes": capture.get("bytes"),
                "packets_per_second": self._rate("capture packets"),
                "bytes_per_second": self._rate("capture bytes"),
                "ring_fill": supervisor.get("fill"),
                "kernel_drops": supervisor.get("drops"),
                "waiting": capture.get("waiting"),
                "problem": capture.get("problem"),
            },
            "journal": {
                "folder": str(self._journal),
                "segments": count,
                "bytes": size,
                "behind_packets": behind,
                "behind_seconds": late if behind is not None else None,
            },
            "load": {
                "messages": load.get("messages"),
                "messages_per_second": self._rate("load messages"),
                "order_events": load.get("order_events"),
                "fill_events": load.get("fill_events"),
                "published": load.get("published"),
                "lost_today": load.get("lost_today"),
                "unreadable": load.get("unreadable"),
                "unreadable_connections": load.get("unreadable_connections", []),
            },
        }

    def _rate(self, counter: str) -> float | None:
        """A second's share of what came lately; a process that was started again counts from zero."""
        if len(self._samples) < 2:
            return None
        values = [sample[counter] for _, sample in self._samples]
        steps = [after - before for before, after in pairwise(values) if before is not None and after is not None]
        grown = sum(max(0, step) for step in steps)
        return round(grown / (self._samples[-1][0] - self._samples[0][0]), 1)

    def _journal_size(self) -> tuple[int | None, int | None]:
        """Segments, and bytes of them."""
        try:
            sizes = [path.stat().st_size for _, path in segments(self._journal)]
        except (JournalError, OSError):
            return None, None
        return len(sizes), sum(sizes)


class Door:
    """The socket that others connect to. It is made anew where the journal's folder, or its file system, has been."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self._socket: socket.socket | None = None
        self._ours: tuple[int, int] | None = None

    def open(self) -> socket.socket | None:
        """The socket, in its place; None where that cannot be."""
        if self._socket is not None and self._identity() == self._ours:
            return self._socket
        self.close()
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            os.chdir(self._folder)  # the path of a Unix socket may have 107 bytes only
            Path(SOCKET).unlink(missing_ok=True)
            mask = os.umask(0o177)
            try:
                listening.bind(SOCKET)
            finally:
                os.umask(mask)
            listening.listen(16)
            listening.setblocking(False)
            self._ours = self._identity()
        except OSError:
            listening.close()
            return None
        self._socket = listening
        return listening

    def answer(self, record: Callable[[], dict[str, Any]]) -> None:
        """Tell the next who waits there; one that does not listen is not waited for."""
        with contextlib.suppress(OSError):
            if self._socket is not None:
                client, _ = self._socket.accept()
                with client:
                    client.setblocking(False)
                    client.sendall(json.dumps(record()).encode())  # a few kB, which the socket's buffer holds

    def close(self) -> None:
        """Close the socket and remove it."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            with contextlib.suppress(OSError):
                (self._folder / SOCKET).unlink()

    def _identity(self) -> tuple[int, int] | None:
        """Of what stands in the socket's place; None: nothing."""
        try:
            there = (self._folder / SOCKET).stat()
        except OSError:
            return None
        return there.st_dev, there.st_ino


def serve(
    send: Callable[[object], None],
    ending: Ending,
    settings: Settings,
    journal: Path,
    owner: pwd.struct_passwd | None,
    boards: Mapping[str, Board],
    say: Log,
) -> None:
    """The process: sample, and answer, until it is time to end. Raises `UsageError` where the metrics cannot be served."""
    if settings.metrics_port is not None:
        from sniffer.sidecar.metrics import serve_metrics  # before another user may be kept from Python's own files
    status = Status(settings, journal, boards)
    door = Door(journal)
    confine(owner)
    status.sample()
    if settings.metrics_port is not None:
        serve_metrics(settings.metrics_port, status.record)
    if door.open() is None:
        say(f"{journal}: `sniffer status` will have no answer: no socket can be made there")
    send(READY)
    try:
        due = time.monotonic() + INTERVAL
        while not ending():
            listening = door.open()
            with selectors.DefaultSelector() as selector:
                if listening is not None:
                    selector.register(listening, selectors.EVENT_READ)
                if selector.select(max(0.0, due - time.monotonic())):
                    door.answer(status.record)
            if time.monotonic() >= due:
                due = time.monotonic() + INTERVAL
                status.sample()
    finally:
        door.close()

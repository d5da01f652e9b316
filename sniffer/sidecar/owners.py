"""The process that finds out which process has which connection, for the capture process to journal.

It keeps what looking at other users' processes takes, reads nothing that comes from the network, and serves nobody. The capture
never waits for it: what it finds goes through a socket that takes a few hundred messages, and waits here while that is full.
"""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from sniffer.capture.ownership import Watch, to_comment
from sniffer.sidecar.privileges import LOOK_AT_PROCESSES, confine
from sniffer.sidecar.process import Ending

INTERVAL: Final = 0.2
"""Seconds between looks."""
SHARE: Final = 0.01
"""Of a processor, at most: where looks are expensive, they are rarer."""
STEP: Final = 0.1
"""Seconds between looks whether it is time to end."""
LONGEST: Final = 4096
"""Bytes of one message."""
WAITING: Final = 4096
"""Messages that wait for room; the oldest are dropped."""


class Channel:
    """Comments from this process to the capture process, which read and write it without ever waiting."""

    def __init__(self) -> None:
        self._reading, self._writing = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._reading.setblocking(False)
        self._writing.setblocking(False)
        self._waiting: deque[str] = deque(maxlen=WAITING)

    def fileno(self) -> int:
        """For `select`: readable when a comment is there."""
        return self._reading.fileno()

    def put(self, comment: str) -> None:
        """Sends it, or holds it until `push` finds room."""
        self._waiting.append(comment)
        self.push()

    def push(self) -> None:
        """Sends what is held, as far as there is room."""
        try:
            while self._waiting:
                self._writing.send(self._waiting[0].encode()[:LONGEST])
                self._waiting.popleft()
        except OSError:  # full
            return

    def take(self, most: int) -> Iterator[str]:
        """Up to `most` comments that have come."""
        try:
            for _ in range(most):
                yield self._reading.recv(LONGEST).decode(errors="replace")
        except OSError:  # no more
            return


def look(
    send: Callable[[object], None], ending: Ending, hosts: tuple[str, ...], ports: tuple[int, ...], channel: Channel
) -> None:
    """The process."""
    confine(None, LOOK_AT_PROCESSES)
    watch = Watch(hosts, ports)
    while not ending():
        due, before = time.monotonic() + INTERVAL, time.process_time()
        channel.push()
        for owned in watch.look():
            channel.put(to_comment(owned))
        due = max(due, time.monotonic() + (time.process_time() - before) / SHARE)
        while not ending() and (left := due - time.monotonic()) > 0:
            select.select((), (), (), min(left, STEP))

"""A child process; how one is kept running; and how all of them learn that it is time to end."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Final, NamedTuple, TypeVar

from sniffer.errors import DatabaseBusy, JournalBusy, SnifferError
from sniffer.sidecar.log import Log
from sniffer.sidecar.privileges import name_process

READY: Final = "ready"
"""What a child says when it has all that it needs."""
FINISH: Final = signal.SIGUSR1
"""The signal by which the parent asks a child to finish: one that comes from nobody else."""
FIRST_PAUSE: Final = 0.02
"""Seconds before a child that did not last is started again; doubled with each further time."""
LONGEST_PAUSE: Final = 5.0
"""Or as long as the child had run, if that is more."""
LAST_STARTS: Final = 5
"""How often a child is started that dies while it finishes its work."""
PREDECESSOR_PATIENCE: Final = 3.0
"""Seconds that the processes of a recording that was killed are given to finish their work, before they are in the way."""

T = TypeVar("T")


class Ending:
    """Whether it is time to end: SIGINT, SIGTERM or SIGHUP came to the parent, FINISH to a child, or a child's parent is gone.

    Ctrl-C, a terminal that closes and a shutdown reach all processes; when a child ends is the parent's business, since what
    one still writes, another has to read. `nohup` is heeded. As a context manager it stands before the children do, so that
    no signal falls in between.
    """

    def __init__(self) -> None:
        self._asked = 0  # the process that was asked: a child is not, when its parent was before the fork
        self._parent = os.getpid()

    def __enter__(self) -> Ending:
        numbers = [signal.SIGINT, signal.SIGTERM, FINISH]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            numbers.append(signal.SIGHUP)
        self._previous = {number: signal.signal(number, self._ask) for number in numbers}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _ask(self, signum: int, frame: object) -> None:
        if (signum == FINISH) != (os.getpid() == self._parent):
            self._asked = os.getpid()

    def __call__(self) -> bool:
        """Whether it is."""
        return self._asked == os.getpid() or self.orphaned()

    def orphaned(self) -> bool:
        """Whether this is a child, and its parent is gone."""
        return self._parent not in (os.getpid(), os.getppid())


def patiently(ending: Ending, claim: Callable[[], T]) -> T:
    """What `claim` gives of what the processes of a killed recording may still hold."""
    end = time.monotonic() + PREDECESSOR_PATIENCE
    while True:
        try:
            return claim()
        except (JournalBusy, DatabaseBusy):
            if time.monotonic() > end or ending():
                raise
            time.sleep(0.1)


class End(NamedTuple):
    """How a child ended: with a result, with an error that it sent, or by a death of which it could not tell."""

    result: object
    error: SnifferError | None
    death: str | None
    killed: bool = False


class Child:
    """A child process, and what it sends: words while it works, its result in the end, or its error instead."""

    def __init__(self, name: str, work: Callable[..., object], *arguments: object) -> None:
        """`work(send, *arguments)` is done in the child; what it returns is sent."""
        context = multiprocessing.get_context("fork")
        self._receive, send = context.Pipe(duplex=False)
        self._process = context.Process(target=self._run, args=(send, name, work, arguments), name=f"sniffer-{name}")
        self._process.start()
        send.close()
        self.pid, self.sentinel, self.is_alive = self._process.pid, self._process.sentinel, self._process.is_alive
        self._last: object = None

    @staticmethod
    def _run(send: Connection, name: str, work: Callable[..., object], arguments: tuple[object, ...]) -> None:
        name_process(f"sniffer-{name}")
        try:
            send.send(work(send.send, *arguments))
        except SnifferError as error:
            send.send(error)
            sys.exit(error.exit_code)

    def next_word(self, timeout: float | None = None) -> object:
        """What it sends next within `timeout` seconds (None: however long), or what it sent last if it says nothing more."""
        try:
            if self._receive.poll(timeout):
                self._last = self._receive.recv()
        except (EOFError, OSError):  # the latter: killed inside of a word
            self._process.join()
        return self._last

    def ask(self) -> None:
        """Ask it to finish."""
        if self.pid is not None and self._process.is_alive():
            os.kill(self.pid, FINISH)

    def end(self) -> End | None:
        """How it ended, and nothing is left of it then; None while it runs."""
        if self._process.exitcode is None:
            return None
        while self._receive.poll() if not self._receive.closed else False:  # what it said before it died
            try:
                self._last = self._receive.recv()
            except (EOFError, OSError):
                break
        self._receive.close()
        code = self._process.exitcode
        if isinstance(self._last, SnifferError):
            return End(None, self._last, None)
        if code:
            return End(None, None, signal.Signals(-code).name if code < 0 else f"exit code {code}", killed=code < 0)
        return End(self._last, None, None)


class Keeper:
    """Keeps one child running: one that ends unasked is started again, after pauses that grow while none does well."""

    def __init__(
        self,
        name: str,
        start: Callable[[int], Child],
        say: Log,
        *,
        forgives: bool,
        lasting: float = 0.0,
        progress: Callable[[], int] | None = None,
    ) -> None:
        """A child that was running well when it died is started again at once.

        `progress`: counts how far its work has come. One that has come no further than those before it did not run well,
        however long that took: it may die of the very work that is next. None: one that has run for `lasting` seconds did.
        `forgives`: an error that a child tells is no reason to give up, once the first one was ready.
        """
        self.name, self.starts = name, 1
        self._start, self._say, self._lasting, self._forgives = start, say, lasting, forgives
        self._progress, self._furthest = progress, progress() if progress else 0
        self._pause, self._due = 0.0, 0.0
        self.child = start(1)
        self._began = time.monotonic()

    @property
    def pid(self) -> int | None:
        """Of the child; None while there is none."""
        return None if self._due else self.child.pid

    def await_ready(self) -> None:
        """Wait until the child says `READY`. Raises the error that it tells instead, or that it failed without a word."""
        while self._due or self.child.next_word() != READY:
            end = None if self._due else self.child.end()
            if end is not None and (end.error or not end.killed):
                raise end.error or SnifferError(f"the {self.name} process failed ({_how(end)}); the lines above say why")
            self.tend()
            time.sleep(FIRST_PAUSE)

    def tend(self) -> None:
        """Start it again if it has ended and it is time. Raises the error that it told, if that is not forgiven."""
        if self._due:
            if time.monotonic() >= self._due:
                self._restart()
            return
        end = self.child.end()
        if end is None:
            self.child.next_word(0)  # so that it never waits for us to listen
            return
        if end.error is not None and not self._forgives:
            raise end.error
        now = time.monotonic()
        lived = now - self._began
        # One that takes long to die takes long pauses, too: half of a processor at most goes into that.
        longest = max(LONGEST_PAUSE, lived)
        self._pause = 0.0 if self._ran_well(lived) else min(max(FIRST_PAUSE, 2 * self._pause), longest)
        self._due = now + self._pause
        when = f"in {self._pause:.1f} s" if self._pause >= 0.05 else "at once"
        self._say(f"the {self.name} process ended ({_how(end)}); it is started again {when}")
        if not self._pause:
            self._restart()

    def finish(self, meanwhile: Callable[[], None]) -> object:
        """Ask it to finish, and give its result; one that dies at it is started again. Raises the error that it tells."""
        if self._due:
            self._restart()
        tries = 0
        while True:
            tries += 1
            while (end := self.child.end()) is None:
                self.child.ask()  # more than once: Python forgets what reaches a child in the moment of its fork
                self.child.next_word(0.05)
                meanwhile()
            if end.error is not None:
                raise end.error
            if end.death is None:
                return end.result
            if tries == LAST_STARTS:
                raise SnifferError(
                    f"the {self.name} process ended unexpectedly ({end.death}); what it had written is safe; a new run goes on"
                )
            self._say(f"the {self.name} process ended ({end.death}); it is started again to finish its work")
            self._restart()

    def _ran_well(self, lived: float) -> bool:
        if self._progress is None:
            return lived >= self._lasting
        before, self._furthest = self._furthest, max(self._furthest, self._progress())
        return self._furthest > before

    def _restart(self) -> None:
        self._due, self._began = 0.0, time.monotonic()
        self.starts += 1
        self.child = self._start(self.starts)


def _how(end: End) -> str:
    return str(end.error) if end.error is not None else end.death or "it was asked to"

"""A child process, and how all of them learn that it is time to end."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection

from sniffer.errors import SnifferError


class Ending:
    """Whether it is time to end: SIGINT or SIGTERM came to the parent, SIGTERM to a child, or a child's parent is gone.

    Ctrl-C reaches all three processes; when a child ends is the parent's business. As a context manager it stands before the
    children do, so that no signal falls in between.
    """

    def __init__(self) -> None:
        self._asked = False
        self._parent = os.getpid()

    def __enter__(self) -> Ending:
        self._previous = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _ask(self, signum: int, frame: object) -> None:
        self._asked = self._asked or signum == signal.SIGTERM or os.getpid() == self._parent

    def __call__(self) -> bool:
        """Whether it is."""
        return self._asked or self._parent not in (os.getpid(), os.getppid())


class Child:
    """A child process, and what it sends: words while it works, its result in the end, or its error instead."""

    def __init__(self, name: str, work: Callable[..., object], *arguments: object) -> None:
        """`work(send, *arguments)` is done in the child; what it returns is sent."""
        context = multiprocessing.get_context("fork")
        self._name = name
        self._receive, send = context.Pipe(duplex=False)
        self._process = context.Process(target=self._run, args=(send, work, arguments), name=f"sniffer-{name}")
        self._process.start()
        send.close()
        self.sentinel, self.is_alive = self._process.sentinel, self._process.is_alive
        self._result: object = None

    @staticmethod
    def _run(send: Connection, work: Callable[..., object], arguments: tuple[object, ...]) -> None:
        try:
            send.send(work(send.send, *arguments))
        except SnifferError as error:
            send.send(error)
            sys.exit(error.exit_code)

    def next_word(self) -> object:
        """What it sends next, or what it sent last if it has ended."""
        try:
            self._result = self._receive.recv()
        except EOFError:
            self._process.join()
        return self._result

    def end(self) -> object:
        """Ask it to finish, and wait; its result, or the error that it ended with."""
        if self._process.is_alive():
            self._process.terminate()
        while self._process.exitcode is None:
            self.next_word()
        code = self._process.exitcode
        if code and not isinstance(self._result, SnifferError):
            how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            return SnifferError(
                f"the {self._name} process ended unexpectedly ({how}); what it had written is safe; a new run goes on"
            )
        return self._result

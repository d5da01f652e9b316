"""The live processes. `record` is a parent with two children, which share nothing but the journal:

    capture    moves packets from the kernel's ring into the journal, and does nothing else
    load       follows the journal, decodes and publishes; it gives up root where another user is known

The parent opens the sockets and the journal, so that a missing privilege, interface or folder is said before anything starts.
It turns SIGINT and SIGTERM into an orderly end: capture drains the ring, load drains the journal and publishes.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import pwd
import select
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from sniffer.capture.journal import JournalReader, JournalWriter
from sniffer.capture.live import LiveCapture, open_live
from sniffer.capture.segment import folder_error
from sniffer.config import Settings
from sniffer.errors import SnifferError, StoreError, UsageError
from sniffer.pipeline import Pipeline, Summary, resolve

WATCH_INTERVAL: Final = 0.1
"""Seconds between looks for a foreign lock or `.wal` beside the published file."""
STATISTICS_INTERVAL: Final = 1.0
"""Seconds between readings of the kernel's drop counter."""
READ_TIMEOUT: Final = 0.05
"""Seconds that the capture process waits for packets before it looks whether it is to end."""


def record(settings: Settings, interfaces: list[str], *, user: str | None, say: Callable[[str], None]) -> Summary:
    """Capture `interfaces` and load what they show, until SIGINT or SIGTERM.

    `user`: whom the load process becomes; None: the caller under sudo, else nobody else. Raises `CaptureError`,
    `JournalError`, `StoreError` or `UsageError`.
    """
    owner = _owner(user)
    journal = settings.journal or Path(f"{settings.db}.journal")
    hosts = tuple(address for host in settings.hosts for address in resolve(host))
    sources: list[LiveCapture] = []
    with contextlib.ExitStack() as stack:
        for interface in interfaces:
            sources.append(open_live(interface, hosts, settings.ports))
            stack.callback(sources[-1].close)
        if settings.journal is None:
            _make_folder(journal, settings.db, owner)
        writer = JournalWriter(
            journal,
            [(source.interface, source.link_type) for source in sources],
            segment_bytes=settings.journal_segment_bytes,
            max_bytes=settings.journal_max_bytes,
        )
        stack.callback(writer.close)
        ending = stack.enter_context(_Ending())
        load = _Child("load", _load, ending, settings, journal, writer.identity, owner)
        capture = _Child("capture", _capture, ending, sources, writer)
        try:
            if load.next_word() == _READY:
                where = ", ".join(interfaces)
                say(f"recording {where} into {settings.db} (journal: {journal}); Ctrl-C ends it")
                while not ending() and capture.is_alive() and load.is_alive():
                    multiprocessing.connection.wait([capture.sentinel, load.sentinel], timeout=0.2)
        finally:
            results = [child.end() for child in (capture, load)]
        for result in results:
            if isinstance(result, SnifferError):
                raise result
        assert isinstance(results[1], Summary)
        return results[1]


class _Ending:
    """Whether it is time to end: SIGINT or SIGTERM came to the parent, SIGTERM to a child, or a child's parent is gone.

    Ctrl-C reaches all three processes; when a child ends is the parent's business. As a context manager it stands before the
    children do, so that no signal falls in between.
    """

    def __init__(self) -> None:
        self._asked = False
        self._parent = os.getpid()

    def __enter__(self) -> _Ending:
        self._previous = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _ask(self, signum: int, frame: object) -> None:
        self._asked = self._asked or signum == signal.SIGTERM or os.getpid() == self._parent

    def __call__(self) -> bool:
        return self._asked or self._parent not in (os.getpid(), os.getppid())


_READY: Final = "ready"


class _Child:
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


def _capture(send: Callable[[object], None], ending: _Ending, sources: list[LiveCapture], writer: JournalWriter) -> None:
    """The capture process: ring to journal."""
    noted = time.monotonic()
    try:
        while not ending():
            ready, _, _ = select.select(sources, [], [], READ_TIMEOUT)
            for index, source in enumerate(sources):
                if source in ready:
                    writer.write(source.read(0.0), index)
            if time.monotonic() - noted >= STATISTICS_INTERVAL:
                noted = time.monotonic()
                writer.statistics(_drops(sources))
        ended_at = time.time_ns()
        for index, source in enumerate(sources):
            while packets := source.read(2 * READ_TIMEOUT):
                writer.write(packets, index)
                if packets[-1][0] > ended_at:  # the traffic itself need not end
                    break
        writer.statistics(_drops(sources))
    finally:
        writer.close()


def _drops(sources: list[LiveCapture]) -> int | None:
    counts = [source.drops() for source in sources]
    return sum(count for count in counts if count is not None) if any(count is not None for count in counts) else None


def _load(
    send: Callable[[object], None],
    ending: _Ending,
    settings: Settings,
    journal: Path,
    identity: str,
    owner: pwd.struct_passwd | None,
) -> Summary:
    """The load process: journal to database."""
    from sniffer.store.background import BackgroundStore  # here: the capture process needs none of it
    from sniffer.store.store import Store

    if owner is not None:
        become(owner)
    store = BackgroundStore(Store(settings.db, live=True, group=settings.group))
    watched = time.monotonic()

    def watch(*_: object) -> None:
        nonlocal watched
        if time.monotonic() - watched >= WATCH_INTERVAL:
            watched = time.monotonic()
            found = store.watch()
            if found:
                print(f"sniffer: {found}", file=sys.stderr)

    try:
        store.publish()
        known = store.position((identity,))
        reader = JournalReader(journal, stop=ending, loaded=known.packets if known else 0)
        pipeline = Pipeline(store, settings, publish_interval=settings.publish_interval)
        send(_READY)
        return pipeline.run(reader, watch)
    finally:
        store.close()


# --- users and folders ---------------------------------------------------------------------------------------------------


def _owner(user: str | None) -> pwd.struct_passwd | None:
    """Whom the load process becomes: `--user`, else the caller under sudo; None: no change."""
    if os.geteuid() != 0:
        if user is not None and user != pwd.getpwuid(os.geteuid()).pw_name:
            raise UsageError(f"--user {user}: only root can become another user; start with sudo, or leave --user out")
        return None
    name = user or os.environ.get("SUDO_USER")
    if name is None:
        return None
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise UsageError(f"--user {name}: there is no such user") from None


def become(owner: pwd.struct_passwd) -> None:
    """Give up root for good."""
    if os.geteuid() != 0 or owner.pw_uid == 0:
        return
    os.initgroups(owner.pw_name, owner.pw_gid)
    os.setgid(owner.pw_gid)
    os.setuid(owner.pw_uid)
    os.environ["HOME"] = owner.pw_dir


def _make_folder(folder: Path, db: Path, owner: pwd.struct_passwd | None) -> None:
    """The journal's default folder, made when it is not there; a folder named by the user must exist."""
    if not folder.parent.is_dir():
        raise StoreError(f"{db}: there is no folder {folder.parent}; `mkdir -p` makes it")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if owner is not None:
            os.chown(folder, owner.pw_uid, owner.pw_gid)
    except OSError as error:
        raise folder_error(folder, error) from None

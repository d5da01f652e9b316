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
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Final

from sniffer.capture.journal import JournalReader, JournalWriter
from sniffer.capture.live import LiveCapture, open_live
from sniffer.capture.segment import folder_error
from sniffer.config import Settings
from sniffer.errors import SnifferError, UsageError
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
    if settings.journal is None:
        _make_folder(journal, owner)
    hosts = tuple(address for host in settings.hosts for address in resolve(host))
    sources: list[LiveCapture] = []
    with contextlib.ExitStack() as stack:
        for interface in interfaces:
            sources.append(open_live(interface, hosts, settings.ports))
            stack.callback(sources[-1].close)
        writer = JournalWriter(
            journal,
            [(source.interface, source.link_type) for source in sources],
            segment_bytes=settings.journal_segment_bytes,
            max_bytes=settings.journal_max_bytes,
        )
        stack.callback(writer.close)
        return _supervise(settings, journal, sources, writer, owner, say)


def _supervise(
    settings: Settings,
    journal: Path,
    sources: list[LiveCapture],
    writer: JournalWriter,
    owner: pwd.struct_passwd | None,
    say: Callable[[str], None],
) -> Summary:
    """Start the children, wait for a signal or for one of them to fail, and end them in order."""
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)
    wanted = {"stop": False}

    def stop(signum: int, frame: object) -> None:
        wanted["stop"] = True

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    load = context.Process(target=_child, args=(_load, settings, journal, writer.identity, owner, send), name="sniffer-load")
    capture = context.Process(target=_child, args=(_capture, sources, writer), name="sniffer-capture")
    load.start()
    capture.start()
    where = ", ".join(source.interface for source in sources)
    say(f"recording {where} into {settings.db} (journal: {journal}); Ctrl-C ends it")
    try:
        while not wanted["stop"] and capture.is_alive() and load.is_alive():
            multiprocessing.connection.wait([capture.sentinel, load.sentinel], timeout=0.2)
        failed = [process for process in (capture, load) if not process.is_alive()]
        _end(capture)
        _end(load)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    failed += [process for process in (capture, load) if process.exitcode and process not in failed]
    if failed:
        names = " and ".join(process.name.removeprefix("sniffer-") for process in failed)
        raise SnifferError(
            f"the {names} process ended unexpectedly; what it had written is safe, and a new run goes on from there"
        )
    summary: Summary = receive.recv() if receive.poll(1.0) else Summary()
    return summary


def _end(process: BaseProcess) -> None:
    """Ask a child to finish its work, and wait for it."""
    if process.is_alive() and process.pid is not None:
        os.kill(process.pid, signal.SIGTERM)
    process.join()


class _Ending:
    """Whether this child is to end: SIGTERM came, or the parent is gone. SIGINT is the parent's business."""

    def __init__(self) -> None:
        self._asked = False
        self._parent = os.getppid()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._ask)

    def _ask(self, signum: int, frame: object) -> None:
        self._asked = True

    def __call__(self) -> bool:
        return self._asked or os.getppid() != self._parent


def _child(work: Callable[..., None], *arguments: object) -> None:
    """Run a child's work; its errors are one line."""
    try:
        work(*arguments)
    except SnifferError as error:
        print(f"sniffer: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def _capture(sources: list[LiveCapture], writer: JournalWriter) -> None:
    """The capture process: ring to journal."""
    ending = _Ending()
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
        for index, source in enumerate(sources):
            while packets := source.read(2 * READ_TIMEOUT):
                writer.write(packets, index)
        writer.statistics(_drops(sources))
    finally:
        writer.close()


def _drops(sources: list[LiveCapture]) -> int | None:
    counts = [source.drops() for source in sources]
    return sum(count for count in counts if count is not None) if any(count is not None for count in counts) else None


def _load(
    settings: Settings,
    journal: Path,
    identity: str,
    owner: pwd.struct_passwd | None,
    send: multiprocessing.connection.Connection,
) -> None:
    """The load process: journal to database."""
    ending = _Ending()
    if owner is not None:
        become(owner)
    from sniffer.store.background import BackgroundStore
    from sniffer.store.store import Store

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
        send.send(pipeline.run(reader, watch))
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


def _make_folder(folder: Path, owner: pwd.struct_passwd | None) -> None:
    """The journal's default folder, made when it is not there; a folder named by the user must exist."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if owner is not None:
            os.chown(folder, owner.pw_uid, owner.pw_gid)
    except OSError as error:
        raise folder_error(folder, error) from None

"""The parent: it opens what takes privilege, starts the children, and ends them in order."""

from __future__ import annotations

import contextlib
import multiprocessing.connection
from collections.abc import Callable
from pathlib import Path

from sniffer.capture.journal_writer import JournalWriter
from sniffer.capture.live import LiveCapture, open_live
from sniffer.config import Settings
from sniffer.errors import SnifferError
from sniffer.pipeline import Summary, resolve
from sniffer.sidecar.capture import capture
from sniffer.sidecar.load import READY, load
from sniffer.sidecar.privileges import make_folder, owner_of
from sniffer.sidecar.process import Child, Ending


def record(settings: Settings, interfaces: list[str], *, user: str | None, say: Callable[[str], None]) -> Summary:
    """Capture `interfaces` and load what they show, until SIGINT or SIGTERM.

    `user`: whom the load process becomes; None: the caller under sudo, else nobody else. Raises `CaptureError`,
    `JournalError`, `StoreError` or `UsageError`.
    """
    owner = owner_of(user)
    journal = settings.journal or Path(f"{settings.db}.journal")
    hosts = tuple(address for host in settings.hosts for address in resolve(host))
    sources: list[LiveCapture] = []
    with contextlib.ExitStack() as stack:
        for interface in interfaces:
            sources.append(open_live(interface, hosts, settings.ports))
            stack.callback(sources[-1].close)
        if settings.journal is None:
            make_folder(journal, settings.db, owner)
        writer = JournalWriter(
            journal,
            [(source.interface, source.link_type) for source in sources],
            segment_bytes=settings.journal_segment_bytes,
            max_bytes=settings.journal_max_bytes,
        )
        stack.callback(writer.close)
        ending = stack.enter_context(Ending())
        loader = Child("load", load, ending, settings, journal, writer.identity, owner)
        capturer = Child("capture", capture, ending, sources, writer)
        try:
            if loader.next_word() == READY:
                where = ", ".join(interfaces)
                say(f"recording {where} into {settings.db} (journal: {journal}); Ctrl-C ends it")
                while not ending() and capturer.is_alive() and loader.is_alive():
                    multiprocessing.connection.wait([capturer.sentinel, loader.sentinel], timeout=0.2)
        finally:
            results = [child.end() for child in (capturer, loader)]
        for result in results:
            if isinstance(result, SnifferError):
                raise result
        assert isinstance(results[1], Summary)
        return results[1]

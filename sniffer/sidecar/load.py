"""The load process: from the journal into the database, as an ordinary user."""

from __future__ import annotations

import ctypes
import pwd
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from sniffer.capture.journal import JournalReader
from sniffer.capture.mounts import Mount
from sniffer.capture.segment import segments
from sniffer.config import Settings
from sniffer.errors import StoreError
from sniffer.keys import Keys
from sniffer.pipeline import Pipeline
from sniffer.sidecar.board import Board
from sniffer.sidecar.figures import Figures, lost_today
from sniffer.sidecar.log import Log
from sniffer.sidecar.privileges import confine
from sniffer.sidecar.process import READY, Ending, patiently
from sniffer.snapshot import Snapshots
from sniffer.summary import Summary

WATCH_INTERVAL: Final = 0.1
"""Seconds between looks for a foreign lock or `.wal` beside the published file."""
POST_INTERVAL: Final = 0.5
"""Seconds between two versions of what the process tells about itself."""
ORPHAN_PATIENCE: Final = 1.0
"""Seconds that the capture process is given to drain its ring when the parent of both is gone; it takes a tenth of one."""


def load(
    send: Callable[[object], None],
    ending: Ending,
    settings: Settings,
    journal: Path,
    identity: str,
    owner: pwd.struct_passwd | None,
    mount: Mount,
    board: Board,
    stored: ctypes.c_uint64,
    say: Log,
) -> Summary:
    """The load process: journal to database, as long as the file system of that is mounted (`mount`).

    `stored`: shared with the supervisor, who reads there how many packets are in the database.
    """
    # Here, since the other processes need none of it, and before another user may be kept from Python's own files.
    from sniffer.store import read
    from sniffer.store.background import BackgroundStore
    from sniffer.store.store import Store

    def need_mount() -> None:
        """Beside a mount that vanished a database would begin anew, and take the other one's place when that is back."""
        if gone := mount.gone:
            raise StoreError(f"{settings.db}: cannot be written: {gone}")

    confine(owner)
    need_mount()
    lost = lost_today(settings.db, read.query)
    store = BackgroundStore(patiently(ending, lambda: Store(settings.db, live=True, group=settings.group)))
    figures = Figures(store, lost)
    watched = posted = time.monotonic()
    orphaned = 0.0

    def watch(*_: object) -> None:
        nonlocal watched, posted
        stored.value = figures.stored_packets
        now = time.monotonic()
        if now - watched >= WATCH_INTERVAL:
            watched = now
            need_mount()
            if found := store.watch():
                say(found)
        if now - posted >= POST_INTERVAL:
            posted = now
            board.post(figures.record(reader.read_packets, reader.latest))

    def stopping() -> bool:
        """Capture ends first: the parent sees to that, and where it is gone, the journal says so."""
        nonlocal orphaned
        if not ending.orphaned():
            return ending()
        orphaned = orphaned or time.monotonic()
        return reader.ended_at is not None or time.monotonic() - orphaned > ORPHAN_PATIENCE

    try:
        store.publish()
        known = store.position((identity,))
        loaded = known.packets if known else 0
        keys = Keys(settings, say) if settings.keylog else None
        pipeline = Pipeline(figures, settings, publish_interval=settings.publish_interval, keys=keys)
        snapshots = Snapshots(journal, identity, settings, pipeline.shared, say)
        resumed = snapshots.latest(loaded, [number for number, _ in segments(journal)])
        pipeline.keep_snapshots(snapshots, resumed)
        reader = JournalReader(
            journal,
            stop=stopping,
            loaded=loaded,
            begin=resumed.bookmark if resumed else None,
            poll_interval=settings.gather_interval,
        )
        send(READY)
        return pipeline.run(reader, watch)
    finally:
        store.close()

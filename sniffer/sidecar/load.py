"""The load process: from the journal into the database, as an ordinary user."""

from __future__ import annotations

import pwd
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from sniffer.capture.journal import JournalReader
from sniffer.capture.segment import segments
from sniffer.config import Settings
from sniffer.keys import Keys
from sniffer.pipeline import Pipeline, Summary
from sniffer.sidecar.privileges import become
from sniffer.sidecar.process import Ending
from sniffer.snapshot import Snapshots

WATCH_INTERVAL: Final = 0.1
"""Seconds between looks for a foreign lock or `.wal` beside the published file."""
READY: Final = "ready"
"""What the process says when it follows the journal."""


def load(
    send: Callable[[object], None],
    ending: Ending,
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
                _say(found)

    try:
        store.publish()
        known = store.position((identity,))
        loaded = known.packets if known else 0
        keys = Keys(settings, _say) if settings.keylog else None
        pipeline = Pipeline(store, settings, publish_interval=settings.publish_interval, keys=keys)
        snapshots = Snapshots(journal, identity, settings, pipeline.shared, _say)
        resumed = snapshots.latest(loaded, [number for number, _ in segments(journal)])
        pipeline.keep_snapshots(snapshots, resumed)
        reader = JournalReader(journal, stop=ending, loaded=loaded, begin=resumed.bookmark if resumed else None)
        send(READY)
        return pipeline.run(reader, watch)
    finally:
        store.close()


def _say(line: str) -> None:
    print(f"sniffer: {line}", file=sys.stderr)

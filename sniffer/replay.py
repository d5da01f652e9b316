"""Capture files into the database."""

from __future__ import annotations

import contextlib
import os
import sys
from collections import Counter
from collections.abc import Callable

from sniffer.capture import PacketSource
from sniffer.capture.merge import merge
from sniffer.capture.pcapfile import open_capture
from sniffer.config import Settings
from sniffer.errors import StoreError, UsageError
from sniffer.store.child import ChildStore
from sniffer.summary import Summary

PUBLISH_INTERVAL = 5.0
"""Seconds between two versions of the file while a long replay, or an endless pipe, runs."""


def _warn(line: str) -> None:
    print(f"sniffer: {line}", file=sys.stderr)


def replay_files(files: list[str], settings: Settings, *, replace: bool, say: Callable[[str], None] = _warn) -> Summary:
    """Decode `files`, merged by time, as one capture; `say` gets a line for each key log that cannot be used.

    Raises `CaptureError` for what is no capture, `StoreError` for a database that cannot be used; what is damaged is in
    `Summary.damage`.
    """
    for name, times in Counter(name if name == "-" else os.path.realpath(name) for name in files).items():
        if times > 1:
            raise UsageError(f"{name}: named {times} times; name each file once")
    source = merge([open_capture(name) for name in files])
    store = ChildStore(settings.db)
    try:
        # While the store's process loads DuckDB, this one loads the decoders: 0.2 s less of waiting.
        from sniffer.keys import Keys
        from sniffer.pipeline import Pipeline

        keys = Keys(settings, say, follow=False)
        pipeline = Pipeline(store, settings, publish_interval=PUBLISH_INTERVAL, replace=replace, keys=keys)
        with _Progress() as progress:
            summary = pipeline.run(source, progress)
    except BaseException:
        with contextlib.suppress(StoreError):  # the first error is the cause, and the one to be told
            store.close()
        raise
    store.close()
    return summary


class _Progress:
    """A progress bar on a terminal; nothing elsewhere."""

    def __init__(self) -> None:
        self._update: Callable[[PacketSource, Summary], None] = lambda source, summary: None

    def __enter__(self) -> Callable[[PacketSource, Summary], None]:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("replaying"),
                BarColumn(),
                DownloadColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[orders]} order events"),
                console=Console(stderr=True),
                transient=True,
                refresh_per_second=5,
            )
            task = self._bar.add_task("", total=None, orders=0)
            self._bar.start()

            def update(source: PacketSource, summary: Summary) -> None:
                self._bar.update(
                    task, completed=source.bytes_read, total=source.total_bytes, orders=f"{summary.order_events:,}"
                )

            self._update = update
        return self._update

    def __exit__(self, *_: object) -> None:
        bar = getattr(self, "_bar", None)
        if bar is not None:
            bar.stop()

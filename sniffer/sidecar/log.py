"""What the sidecar says while it runs: one line an event on standard error, as text or as a JSON object."""

from __future__ import annotations

import datetime
import json
import multiprocessing
import select
import sys
from typing import Final

from sniffer.table import visible

FORMATS: Final = ("text", "json")
PATIENCE: Final = 0.1
"""Seconds that a line waits for a slow terminal."""


class Log:
    """Says events; of all the processes, in `form` (one of `FORMATS`)."""

    def __init__(self, form: str = "text") -> None:
        self._json = form == "json"

    def __call__(self, event: str) -> None:
        """Say `event`, one line; what comes from file names or from the wire cannot break it, or steer the terminal.

        Where nobody takes it, it is not said: a terminal that is held (Ctrl-S) must not hold a recording.
        """
        text = visible(" ".join(event.split()))
        if self._json:
            process = multiprocessing.current_process().name.removeprefix("sniffer-")
            now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
            line = json.dumps({"time": now, "process": process, "event": text})
        else:
            line = f"sniffer: {text}"
        if not _listens():
            return
        try:
            sys.stderr.write(line + "\n")  # one write: lines of several processes do not mix
            sys.stderr.flush()
        except (OSError, ValueError):
            pass  # nobody listens any more: a recording goes on without


def _listens() -> bool:
    """Whether standard error takes a line now: not a terminal that is held, nor a pipe that is full."""
    try:
        return bool(select.select((), (sys.stderr,), (), PATIENCE)[1])
    except (OSError, ValueError):  # it is no descriptor, or closed
        return True

"""What the sidecar says while it runs: one line an event on standard error, as text or as a JSON object."""

from __future__ import annotations

import datetime
import json
import multiprocessing
import sys
from typing import Final

from sniffer.table import visible

FORMATS: Final = ("text", "json")


class Log:
    """Says events; of all the processes, in `form` (one of `FORMATS`)."""

    def __init__(self, form: str = "text") -> None:
        self._json = form == "json"

    def __call__(self, event: str) -> None:
        """Say `event`, one line; what comes from file names or from the wire cannot break it, or steer the terminal."""
        text = visible(" ".join(event.split()))
        if self._json:
            process = multiprocessing.current_process().name.removeprefix("sniffer-")
            now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
            line = json.dumps({"time": now, "process": process, "event": text})
        else:
            line = f"sniffer: {text}"
        try:
            sys.stderr.write(line + "\n")  # one write: lines of several processes do not mix
            sys.stderr.flush()
        except (OSError, ValueError):
            pass  # nobody listens any more: a recording goes on without

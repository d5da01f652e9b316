"""What is measured of a recording while it runs, from outside: memory, publishes, seals, rotations."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path
from typing import Final

from tests.live.live_tools import Recording

LOOK: Final = 0.02
"""Seconds between two looks at the published file."""
SAMPLE: Final = 5.0
"""Seconds between two looks at everything else."""


class Gauges:
    """A context manager: a thread looks until it ends."""

    def __init__(self, recording: Recording, db: Path) -> None:
        self.memory: dict[str, list[tuple[float, int]]] = {}
        """Resident bytes of each process, with the seconds since the beginning."""
        self.publishes: list[float] = []
        """Seconds from one version of the published file to the next."""
        self.load: list[float] = []
        """The machine's load average: what else it does bears on all figures."""
        self.sealed: set[str] = set()
        self.segments: set[str] = set()
        """Names of all sealed files and journal segments that there ever were."""
        self._recording, self._db = recording, db
        self._begun = time.monotonic()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Gauges:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        self._sample(time.monotonic() - self._begun)

    def _run(self) -> None:
        changed = time.monotonic()
        version, sampled = self._version(), 0.0
        while not self._ending.wait(LOOK):
            now = time.monotonic()
            if (found := self._version()) != version:
                version = found
                self.publishes.append(now - changed)
                changed = now
            if now - sampled >= SAMPLE:
                sampled = now
                self._sample(now - self._begun)

    def _version(self) -> tuple[int, int]:
        with contextlib.suppress(FileNotFoundError):
            found = self._db.stat()
            return found.st_ino, found.st_mtime_ns  # an inode that became free is used again
        return 0, 0

    def _sample(self, at: float) -> None:
        self.load.append(os.getloadavg()[0])
        for name, pid in {"supervisor": self._recording.pid, **self._recording.children()}.items():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                    if line.startswith("VmRSS:"):
                        self.memory.setdefault(name, []).append((at, int(line.split()[1]) << 10))
        self.sealed.update(path.name for path in self._db.with_name(f"{self._db.name}.d").glob("*/date=*/*.parquet"))
        self.segments.update(path.name for path in self._db.with_name(f"{self._db.name}.journal").glob("*.pcapng"))


def quantile(values: list[float], share: float) -> float:
    """The value that a `share` of all do not pass; NaN of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")

"""The readers of a soak, each a process: started, heard, killed and replaced; and what failed when."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from tests.soak import reader

ROOT: Final = Path(__file__).parents[2]
DEFAULT: Final = "poll:2,hold:2,aggregate:2,killed:2,tail:1,query:1"
LIFE: Final = 1.0
"""Seconds that a reader lives that is to be killed."""
PAUSE: Final = 5.0
"""Seconds between two runs of a command that ends by itself."""
AFTER: Final = 1.0
"""Seconds after a privileged client's death in which an open may fail still."""


class Failure(NamedTuple):
    """What a reader could not do, at a time (ns)."""

    at: int
    manner: str
    reason: str


@dataclass
class Log:
    """What all readers said."""

    looks: Counter[str] = field(default_factory=Counter)
    ages: list[float] = field(default_factory=list)
    """Seconds: of the newest row, when a reader had it in hand."""
    failures: list[Failure] = field(default_factory=list)
    kills: int = 0
    refused: int = 0
    """Read-write clients that were turned away at once."""
    written: int = 0
    """Those that wrote before they were killed."""
    intrusions: list[tuple[int, int]] = field(default_factory=list)
    """From when to when (ns) a privileged client held the file."""

    def unexcused(self) -> list[Failure]:
        """Failures that no privileged client is to blame for."""
        after = int(AFTER * 1e9)
        return [one for one in self.failures if not any(begin <= one.at <= end + after for begin, end in self.intrusions)]


class Reader:
    """A process of one manner, whose words a thread takes down; it is nicer than a strategy."""

    def __init__(self, db: Path, manner: str, log: Log, *more: str) -> None:
        self.manner = manner
        self.born = time.monotonic()
        self.said = threading.Event()
        """It has said something: a read-write client, that it was refused or that it wrote."""
        self.refused = self.wrote = False
        self._log = log
        self._told_to_end = False
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  closed in `end`
        command = ["nice", "-n", "5", sys.executable, "-m", "tests.soak.reader", manner, str(db), *more]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self._errors, text=True, cwd=ROOT)
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def end(self) -> None:
        """SIGKILL."""
        self._told_to_end = self.process.poll() is None
        self.process.kill()
        self.bury()

    def bury(self) -> None:
        """It has ended, as it should or not."""
        code = self.process.wait()
        self._thread.join()
        if code != 0 and not self._told_to_end:
            self._errors.seek(0)
            said = self._errors.read().decode(errors="replace").strip().splitlines()
            self._log.failures.append(Failure(time.time_ns(), self.manner, f"exit code {code}: {' '.join(said[-1:])}"))
        self._errors.close()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self._hear(line)
        self.said.set()

    def _hear(self, line: str) -> None:
        self._log.looks[self.manner] += 1
        if self.manner in ("tail", "query"):
            return
        with contextlib.suppress(ValueError):  # cut off: it was killed
            told = json.loads(line)
            if "age" in told:
                self._log.ages.append(told["age"])
            if self.manner == "intrude":
                self.refused, self.wrote = "failed" in told, "failed" not in told
            elif "failed" in told:
                self._log.failures.append(Failure(told["at"], self.manner, told["failed"]))
            self.said.set()


class Readers:
    """All readers; `tend` is to be called some times a second."""

    def __init__(self, db: Path, manners: str) -> None:
        """`manners`: as `DEFAULT`. Raises `ValueError` for one that is not known."""
        self.log = Log()
        self._db = db
        self._manners = []
        for part in filter(None, manners.split(",")):
            manner, _, count = part.partition(":")
            if manner not in reader.MANNERS or manner == "intrude" or not (count or "1").isdecimal():
                raise ValueError(f"{part}: no manner of reading; known are {', '.join(reader.MANNERS)}")
            self._manners += [manner] * int(count or 1)
        self._readers: list[Reader] = []
        self._resting: list[tuple[float, str]] = []

    def begin(self) -> None:
        self._readers = [Reader(self._db, manner, self.log) for manner in self._manners]

    def tend(self) -> None:
        """Kill those whose time has come, and replace those that are gone."""
        now = time.monotonic()
        for one in list(self._readers):
            if one.manner == "killed" and now - one.born > LIFE:
                one.end()
                self.log.kills += 1
                self._readers[self._readers.index(one)] = Reader(self._db, one.manner, self.log)
            elif one.process.poll() is not None:
                one.bury()
                self._readers.remove(one)
                self._resting.append((now + PAUSE, one.manner))
        for due, manner in list(self._resting):
            if now > due:
                self._resting.remove((due, manner))
                self._readers.append(Reader(self._db, manner, self.log))

    def intrude(self, how: str) -> None:
        """A read-write client as root, killed when it has written; `how`: `open`, or `replace`."""
        begun = time.time_ns()
        client = Reader(self._db, "intrude", self.log, how)
        client.said.wait(10)
        client.end()
        self.log.refused += client.refused
        self.log.written += client.wrote
        if how == "replace" or client.wrote:
            self.log.intrusions.append((begun, time.time_ns()))

    def end(self) -> None:
        for one in self._readers:
            one.end()
        self._readers = []

"""Programs under measurement: wall time, CPU time and memory of a child, read from the kernel."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """A program under measurement did not do its work, so there is nothing to measure."""


@dataclass(frozen=True)
class Run:
    """One finished child. Times in seconds, memory in bytes."""

    seconds: float
    cpu: float
    peak_rss: int
    output: str


def run(command: Sequence[str | Path], output: Path | None = None) -> Run:
    """Run to the end, standard output into `output` (default: kept, so let it be short).

    Raises `Failed` if the program cannot start or exits with other than 0.
    """
    arguments = [str(part) for part in command]
    with tempfile.TemporaryFile() as kept, tempfile.TemporaryFile() as errors:
        target = output.open("wb") if output is not None else kept
        begun = time.perf_counter()
        try:
            child = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=target, stderr=errors)
        except OSError as error:
            raise Failed(f"{arguments[0]}: {error.strerror}") from None
        finally:
            if output is not None:
                target.close()
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - begun
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            errors.seek(0)
            raise Failed(
                f"{' '.join(arguments)}: exit code {child.returncode}: {errors.read().decode(errors='replace')[-2000:]}"
            )
        text = ""
        if output is None:
            kept.seek(0)
            text = kept.read().decode(errors="replace")
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss << 10, text)


@dataclass(frozen=True)
class Usage:
    """One process so far: its name, CPU seconds (of children that it has waited for, too), bytes resident."""

    name: str
    cpu: float
    rss: int
    pss: int
    """Pages that are shared by n processes count a n-th."""


@dataclass(frozen=True)
class Sample:
    """All processes of a tree at one moment: CPU seconds used so far, resident bytes (`rss` counts shared pages once each)."""

    at: float
    cpu: float
    rss: int
    pss: int
    processes: dict[int, Usage]


def sample(pid: int) -> Sample:
    """`pid` and all its descendants that live; CPU of those that have ended and were waited for is in their parent's."""
    found: dict[int, Usage] = {}
    for process in _tree(pid):
        try:
            name, _, fields = Path(f"/proc/{process}/stat").read_text().partition("(")[2].rpartition(")")
            rollup = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        cpu = sum(int(ticks) for ticks in fields.split()[11:15])  # utime stime cutime cstime: proc(5)
        sizes = {line.split()[0]: int(line.split()[1]) << 10 for line in rollup[1:]}
        found[process] = Usage(name, cpu / _TICKS, sizes["Rss:"], sizes["Pss:"])
    every = found.values()
    return Sample(
        time.monotonic(), sum(one.cpu for one in every), sum(one.rss for one in every), sum(one.pss for one in every), found
    )


def percent(before: Sample, after: Sample) -> float:
    """CPU of all processes between two samples, in percent of one core."""
    return 100 * (after.cpu - before.cpu) / (after.at - before.at)


def _tree(pid: int) -> list[int]:
    found = [pid]
    for process in found:
        try:
            for task in Path(f"/proc/{process}/task").glob("*/children"):
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that ended
                    found += [int(child) for child in task.read_text().split()]
        except FileNotFoundError:  # the process ended
            continue
    return found


class Background:
    """A program that runs beside a measurement; leaving the `with` block ends it.

    `cpu`: seconds that it and its children took, once `stop` or `finish` has seen its end.
    """

    def __init__(self, command: Sequence[str | Path]) -> None:
        self.cpu = 0.0
        self._files = files = contextlib.ExitStack()
        self._errors = files.enter_context(tempfile.TemporaryFile())  # noqa: SIM115  closed by the stack
        self._output = files.enter_context(tempfile.TemporaryFile())  # noqa: SIM115  closed by the stack
        self.process = subprocess.Popen(
            [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=self._output, stderr=self._errors
        )

    def __enter__(self) -> Background:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._files.close()

    @property
    def errors(self) -> str:
        """What it has said on standard error so far."""
        return os.pread(self._errors.fileno(), 1 << 20, 0).decode(errors="replace")

    @property
    def output(self) -> str:
        """What it has said on standard output so far."""
        return os.pread(self._output.fileno(), 1 << 20, 0).decode(errors="replace")

    def wait_for(self, text: str, seconds: float = 60.0) -> None:
        """Until standard error says `text`. Raises `Failed`."""
        end = time.monotonic() + seconds
        while text not in self.errors:
            if self.process.poll() is not None or time.monotonic() > end:
                raise Failed(f"{self.process.args!r} did not start: {self.errors}")
            time.sleep(0.02)

    def stop(self, seconds: float = 60.0) -> str:
        """SIGINT, and what it has said on standard output. Raises `Failed` if it does not end well."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.finish(seconds)

    def finish(self, seconds: float = 60.0) -> str:
        """Until it ends by itself, and what it has said on standard output. Raises `Failed` if it does not end well."""
        before = _of_children()
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.process.args!r} did not end within {seconds} s") from None
        self.cpu = _of_children() - before or self.cpu
        if code:
            raise Failed(f"{self.process.args!r}: exit code {code}: {self.errors}")
        return self.output


def _of_children() -> float:
    """CPU seconds of all children that were waited for, and theirs."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime

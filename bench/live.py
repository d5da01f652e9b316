"""Live capture: the highest rate at which nothing is lost, with the generator beside it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from bench.generator import CONNECTIONS
from bench.options import Options
from bench.processes import Failed, sample
from bench.recording import PATIENCE, Generator, Sent, kernel_drops, may_capture, not_measured, recorder
from bench.report import Figure, load, megabytes
from bench.runners import check, scratch

FIRST: Final = 20_000
"""Messages a second to begin with."""
STEP: Final = 1.5
STEPS: Final = 6
"""Rates above the first that are tried, each so many times the one before."""
HALVINGS: Final = 2
"""Rates that are then tried between the last that held and the first that did not."""
REACHED: Final = 0.98
"""The generator kept a rate if it sent at so much of it."""


@dataclass(frozen=True)
class Trial:
    """One rate."""

    asked: int
    sent: Sent
    alone: float | None
    """Where it did not keep the rate: what the generator reaches without the recording, in messages a second."""
    lost: str
    """What the database lacks; empty: nothing."""
    drops: int
    cpu: float
    """Seconds of all processes of the recording, up to its end."""
    pss: int
    end: float
    """Seconds from the last message to the end of the recording."""

    @property
    def kept(self) -> bool:
        return self.sent.rate >= REACHED * self.asked

    @property
    def whole(self) -> bool:
        return not self.lost and self.drops == 0

    @property
    def row(self) -> list[str]:
        messages = self.sent.truth.messages
        verdict = "none" if self.whole else self.lost or f"{self.drops} packets"
        each = f"{self.cpu / messages * 1e6:.1f} us"
        alone = f"{self.alone:,.0f}" if self.alone else ""
        return [f"{self.asked:,}", f"{self.sent.rate:,.0f}", alone, verdict, each, megabytes(self.pss), f"{self.end:.1f} s"]


def figure(options: Options) -> Figure:
    """Each message sent is stored: checked against the generator's truth, the losses and the kernel's drop counter."""
    goal = "never the bottleneck before the generator: nothing lost at any rate that it reaches"
    if not may_capture():
        return not_measured("Live", goal)
    seconds = 0.5 if options.quick else 10.0
    trials = [_trial(2_000, seconds)] if options.quick else _search(seconds)
    whole = [trial for trial in trials if trial.whole]
    best = max(whole, key=lambda trial: trial.sent.rate) if whole else None
    trials.sort(key=lambda trial: trial.asked)
    return Figure(
        name="Live",
        goal=goal,
        found=f"{best.sent.rate:,.0f} messages a second, none lost" if best else "losses at every rate",
        met=None if options.quick else len(whole) == len(trials),
        columns=["rate", "reached", "generator alone", "lost", "CPU a message", "resident, all", "end after"],
        rows=[trial.row for trial in trials],
        raw={
            "load": load(),
            "trials": [
                {
                    "asked": trial.asked,
                    "reached": trial.sent.rate,
                    "alone": trial.alone,
                    "lost": trial.lost,
                    "kernel_drops": trial.drops,
                    "messages": trial.sent.truth.messages,
                    "cpu": trial.cpu,
                    "pss": trial.pss,
                    "end": trial.end,
                }
                for trial in trials
            ],
        },
    )


def _search(seconds: float) -> list[Trial]:
    """Up until something is lost or the generator cannot go faster, then halves between; in the order of the trials."""
    trials = []
    held, rate = 0, FIRST
    for _ in range(1 + STEPS):
        trials.append(_trial(rate, seconds))
        if not (trials[-1].whole and trials[-1].kept):
            break
        held, rate = rate, round(rate * STEP)
    for _ in range(HALVINGS if held and held < trials[-1].asked else 0):
        middle = (held + rate) // 2
        trials.append(_trial(middle, seconds))
        if trials[-1].whole and trials[-1].kept:
            held = middle
        else:
            rate = middle
    return trials


def _trial(rate: int, seconds: float) -> Trial:
    with scratch() as folder, Generator(rate, seconds) as generator:
        with recorder(folder, [generator.port]) as recording:
            before = sample(recording.process.pid)
            generator.begin()
            sent = generator.finish()
            after = sample(recording.process.pid)
            stopping = time.monotonic()
            recording.stop(PATIENCE)
            end = time.monotonic() - stopping
            cpu = recording.cpu - before.cpu
        lost = ""
        try:
            check(folder / "orders.duckdb", sent.truth, CONNECTIONS)
        except Failed as error:
            lost = str(error).partition(": ")[2]
        drops = kernel_drops(folder)
    alone = None
    if sent.rate < REACHED * rate:
        with Generator(rate, seconds) as generator:
            generator.begin()
            alone = generator.finish().rate
    return Trial(rate, sent, alone, lost, drops, cpu, after.pss, end)

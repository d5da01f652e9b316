"""Two cores: one is the strategy's, the other is everything else's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from bench.processes import Failed


@contextmanager
def two_cores() -> Iterator[int]:
    """The core of the strategy; this process stays on another, and so does all else that it starts. Raises `Failed`."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise Failed("two cores are needed: the strategy takes one of its own")
    os.sched_setaffinity(0, cores[:1])
    try:
        yield cores[-1]
    finally:
        os.sched_setaffinity(0, cores)


def ahead_of_others() -> bool:
    """Real-time priority for this process, where it may: a core is its own although the machine has other work. Whether it is.

    Strategy and exchange have it, whatever the way of saving, and so do threads within the strategy; what runs beside has not.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))  # sched(7): before all work without it
    except PermissionError:
        return False
    return True

"""What a way of saving is."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from bench.cost.job import Job

Order = tuple[int, int]
"""(exchange_id, order_id)."""


@dataclass(frozen=True)
class Save:
    """How a handler saves an order: by a call, or by an awaited one. Neither: not at all."""

    now: Callable[[int, int], None] | None = None
    later: Callable[[int, int], Awaitable[None]] | None = None


@contextlib.contextmanager
def nothing_beside(job: Job) -> Iterator[int | None]:
    """For a way that is all in the strategy."""
    yield None


async def no_save(job: Job) -> Save:
    """For a strategy that does not know that its orders are saved, or whose are not."""
    return Save()


def nowhere(job: Job) -> set[Order]:
    """For a way that keeps nothing."""
    return set()


@dataclass(frozen=True)
class Way:
    """One way to save orders."""

    title: str
    opens: str = "saving.no_save"
    """The coroutine that makes the `Save`, in the strategy's process and before its connections: `module.function`."""
    saved: Callable[[Job], set[Order]] = nowhere
    """What a reader finds after the strategy was killed, while what is beside still runs."""
    beside: Callable[[Job], AbstractContextManager[int | None]] = nothing_beside
    """What runs in other processes: the one whose descendants they are."""
    lag: float = 0.0
    """Seconds after which at the latest what was saved can be read."""
    keeps: bool = True
    """False: it is only there to be compared with."""
    tls: bool = False
    keylog: bool = False
    """Whether the strategy is started with SSLKEYLOGFILE."""
    modules: tuple[str, ...] = ()
    """Of Python, imported by `opens` and `saved` only."""
    programs: tuple[str, ...] = ()
    lacks: Callable[[], str | None] = lambda: None
    """What else the machine lacks for it, or None."""

    def missing(self) -> str | None:
        """What this machine lacks for it, or None."""
        for module in self.modules:
            if importlib.util.find_spec(module) is None:
                return f"Python's {module} is not installed (the dependency group `cost`)"
        for program in self.programs:
            if shutil.which(program) is None:
                return f"{program} is not installed"
        return self.lacks()

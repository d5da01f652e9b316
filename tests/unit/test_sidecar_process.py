"""Children and who keeps them running, with children that do as they are told."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sniffer.errors import JournalBusy, StoreError, UsageError
from sniffer.sidecar import process
from sniffer.sidecar.log import Log
from sniffer.sidecar.process import READY, Child, Ending, Keeper, patiently


class Said(Log):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def __call__(self, event: str) -> None:
        self.lines.append(event)


@pytest.fixture
def ending() -> Iterator[Ending]:
    with Ending() as ending:
        yield ending


@pytest.mark.parametrize(("ignored", "ends"), [(False, True), (True, False)])
def test_a_terminal_that_closes_ends_it_but_not_under_nohup(ignored: bool, ends: bool) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
    try:
        with Ending() as ending:
            os.kill(os.getpid(), signal.SIGHUP)
            assert ending() == ends
        assert signal.getsignal(signal.SIGHUP) is (signal.SIG_IGN if ignored else signal.SIG_DFL)
    finally:
        signal.signal(signal.SIGHUP, before)


def until_asked(send: Callable[[object], None], ending: Ending, result: object = "done") -> object:
    send(READY)
    while not ending():
        time.sleep(0.005)
    return result


def failing(send: Callable[[object], None], ending: Ending) -> None:
    raise StoreError("x.duckdb: no room")


def silent(send: Callable[[object], None], ending: Ending) -> None:
    raise SystemExit(3)


def keeper(ending: Ending, work: Callable[..., object], *, forgives: bool = True, **options: Any) -> tuple[Keeper, Said]:
    said = Said()
    return Keeper("test", lambda starts: Child("test", work, ending), said, forgives=forgives, **options), said


def died(kept: Keeper) -> None:
    """Kill its child, and let the keeper see it."""
    assert kept.child.pid is not None
    pid = kept.child.pid
    os.kill(pid, signal.SIGKILL)
    while kept.child.is_alive():
        time.sleep(0.005)
    kept.tend()
    assert not Path(f"/proc/{pid}").exists(), "no zombie is left"


def test_a_result_comes_back(ending: Ending) -> None:
    kept, said = keeper(ending, until_asked)
    kept.await_ready()
    assert kept.finish(lambda: None) == "done"
    assert said.lines == []


def test_a_child_that_lasted_is_replaced_at_once(ending: Ending) -> None:
    kept, said = keeper(ending, until_asked)
    kept.await_ready()
    first = kept.pid
    died(kept)
    assert kept.pid not in (None, first)
    assert kept.starts == 2
    assert said.lines == ["the test process ended (SIGKILL); it is started again at once"]
    kept.finish(lambda: None)


def test_pauses_grow_while_none_lasts(ending: Ending) -> None:
    kept, said = keeper(ending, until_asked, lasting=60.0)
    pauses = []
    for _ in range(4):
        died(kept)
        assert kept.pid is None
        begun = time.monotonic()
        while kept.pid is None:
            time.sleep(0.001)
            kept.tend()
        pauses.append(time.monotonic() - begun)
    assert all(2**n * 0.02 - 0.002 <= pause < 2**n * 0.02 + 0.2 for n, pause in enumerate(pauses)), pauses
    assert said.lines[-1] == "the test process ended (SIGKILL); it is started again in 0.2 s"
    kept.finish(lambda: None)


def test_pauses_grow_while_none_comes_further_however_long_it_lives(ending: Ending) -> None:
    done = [7]
    kept, said = keeper(ending, until_asked, progress=lambda: done[0])
    # A pause of 0.02 or 0.04 s is said as none; after one that came further there is none.
    for far, pauses, how in (
        (7, True, "at once"),
        (7, True, "at once"),
        (7, True, "in 0.1 s"),
        (7, True, "in 0.2 s"),
        (8, False, "at once"),
        (5, True, "at once"),
        (9, False, "at once"),
    ):
        done[0] = far
        died(kept)
        assert said.lines[-1] == f"the test process ended (SIGKILL); it is started again {how}"
        assert (kept.pid is None) == pauses
        while kept.pid is None:
            time.sleep(0.001)
            kept.tend()
    kept.finish(lambda: None)


def test_a_child_that_takes_long_to_die_pauses_as_long(ending: Ending, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "FIRST_PAUSE", 10.0)
    monkeypatch.setattr(process, "LONGEST_PAUSE", 0.05)
    kept, said = keeper(ending, until_asked, progress=lambda: 0)
    time.sleep(0.5)
    died(kept)
    assert (
        float(said.lines[-1].removeprefix("the test process ended (SIGKILL); it is started again in ").removesuffix(" s"))
        >= 0.5
    )
    kept.finish(lambda: None)


def test_no_descriptor_is_left(ending: Ending) -> None:
    kept, _ = keeper(ending, until_asked)
    kept.await_ready()
    died(kept)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(10):
        died(kept)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    kept.finish(lambda: None)


@pytest.mark.parametrize("forgives", [True, False])
def test_an_error_before_it_was_ready_is_told(ending: Ending, forgives: bool) -> None:
    kept, _ = keeper(ending, failing, forgives=forgives)
    with pytest.raises(StoreError, match="no room"):
        kept.await_ready()
    with pytest.raises(StoreError, match="no room"):
        kept.finish(lambda: None)


def test_a_failure_without_a_word_is_told(ending: Ending) -> None:
    kept, _ = keeper(ending, silent)
    with pytest.raises(Exception, match=r"the test process failed \(exit code 3\)"):
        kept.await_ready()


def test_errors_are_forgiven_or_not(ending: Ending) -> None:
    forgiving, said = keeper(ending, failing)
    while forgiving.starts < 3:
        forgiving.tend()
        time.sleep(0.005)
    assert said.lines[0] == "the test process ended (x.duckdb: no room); it is started again at once"
    strict, _ = keeper(ending, failing, forgives=False)
    while strict.child.is_alive():
        time.sleep(0.005)
    with pytest.raises(StoreError, match="no room"):
        strict.tend()
    with pytest.raises(StoreError):
        forgiving.finish(lambda: None)


def test_a_child_killed_at_its_end_is_started_again_to_finish(ending: Ending) -> None:
    kept, said = keeper(ending, until_asked)
    kept.await_ready()
    assert kept.child.pid
    os.kill(kept.child.pid, signal.SIGKILL)
    assert kept.finish(lambda: None) == "done"
    assert said.lines == ["the test process ended (SIGKILL); it is started again to finish its work"]


def test_children_do_not_take_what_the_parent_was_asked(ending: Ending) -> None:
    """Ctrl-C just before a fork: the new child waits until it is asked itself."""
    os.kill(os.getpid(), signal.SIGINT)
    assert ending()
    kept, _ = keeper(ending, until_asked)
    kept.await_ready()
    time.sleep(0.05)
    assert kept.child.is_alive()
    kept.finish(lambda: None)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_reaches_all_processes_ends_no_child_before_its_turn(ending: Ending, how: int) -> None:
    """What one still writes, another has to read: `kill` of a process group, or a shutdown, is the parent's to heed."""
    kept, said = keeper(ending, until_asked)
    kept.await_ready()
    assert kept.child.pid is not None
    os.kill(kept.child.pid, how)
    time.sleep(0.05)
    assert kept.child.is_alive()
    assert kept.finish(lambda: None) == "done"
    assert said.lines == []


def test_patience_with_a_predecessor(ending: Ending) -> None:
    tries = []

    def claim() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise JournalBusy("busy")
        return "mine"

    assert patiently(ending, claim) == "mine"

    def wrong() -> None:
        raise UsageError("wrong")

    with pytest.raises(UsageError):
        patiently(ending, wrong)

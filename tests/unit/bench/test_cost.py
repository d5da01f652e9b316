"""What saving costs the strategy: the traffic, the comparison, and small runs of real processes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from bench.cost import rounds, run
from bench.cost.cores import two_cores
from bench.cost.figure import verdict
from bench.cost.job import Job
from bench.cost.rounds import Runs
from bench.cost.run import Outcome, measure
from bench.cost.statistics import interval, quantiles
from bench.cost.ways import BASES, COMPARED, NOTHING, QUICK, SIDECAR, WAYS
from bench.cost.workload import FULL, Workload
from bench.processes import Failed

TINY = Workload("tiny", 3, 5, 0.01)


def test_each_connection_is_sent_its_orders_in_turn_at_random_intervals() -> None:
    plan = FULL.schedule(seed=1)
    assert plan == sorted(plan)
    assert len(plan) == FULL.total == len({(exchange, order) for _, exchange, order in plan})
    for number in range(FULL.connections):
        of = [(at, order) for at, exchange, order in plan if exchange == number]
        assert [order for _, order in of] == list(range(FULL.orders))
        gaps = [later - at for (at, _), (later, _) in pairwise(of)]
        assert 0 < min(gaps) < FULL.interval / 2 < 1.5 * FULL.interval < max(gaps) < 2 * FULL.interval
    assert plan != FULL.schedule(seed=2)


def test_quantiles_are_values_that_were_measured() -> None:
    assert quantiles([float(value) for value in range(1, 1001)]) == {"p50": 500, "p99": 990, "p99.9": 999, "max": 1000}
    assert quantiles([7.0]) == dict.fromkeys(("p50", "p99", "p99.9", "max"), 7.0)


def test_an_interval_holds_the_median_and_narrows_with_more_rounds() -> None:
    few = [-3.0, -1.0, 0.0, 2.0, 9.0]
    assert interval(few[:4]) is None
    assert interval([5.0] * 6) == (5.0, 5.0)
    wide, narrow = interval(few), interval(few * 20)
    assert wide is not None
    assert narrow is not None
    assert wide[0] <= narrow[0] <= 0 <= narrow[1] < wide[1]


def runs(p50: float, p99: float, count: int, saved: int | None) -> Runs:
    found = Runs()
    for number in range(count):
        found.outcomes[number] = Outcome([p50, p99], 0, 1.0, 0.1, 0.1, saved, 2)
        found.quantiles[number] = {"p50": p50 + number, "p99": p99 + number}
    return found


@pytest.mark.parametrize(
    ("p50", "p99", "count", "saved", "met"),
    [
        (119.0, 5_099.0, 6, 2, True),  # 19 us; 99 us of 2 % of 5,002
        (121.0, 5_000.0, 6, 2, False),
        (100.0, 5_101.0, 6, 2, False),
        (100.0, 5_000.0, 6, 1, False),
        (100.0, 5_000.0, 4, 2, None),
    ],
)
def test_the_sidecar_is_judged_by_both_quantiles_and_by_what_was_saved(
    p50: float, p99: float, count: int, saved: int, met: bool | None
) -> None:
    base = runs(100.0, 5_000.0, count, None)
    assert verdict("tiny", {NOTHING: base, SIDECAR: runs(p50, p99, count, saved)}, SIDECAR).met is met


def test_what_is_compared_is_there() -> None:
    assert {*BASES, *BASES.values(), *COMPARED, *QUICK} <= set(WAYS)
    assert WAYS["questdb"].modules


def test_a_job_reaches_the_processes_as_it_is(tmp_path: Path) -> None:
    job = Job("local.file", TINY, tmp_path, 3, 1, tls=True, seed=7, port=9)
    assert Job.read(job.text()) == job


@pytest.fixture
def core() -> Iterator[int]:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two cores")
    with two_cores() as core:
        yield core


def test_a_run_times_each_order_and_counts_what_outlived_the_strategy(core: int) -> None:
    outcome = measure("file", TINY, seed=1, core=core)
    assert (outcome.saved, outcome.cut, len(outcome.responses)) == (TINY.total, 0, TINY.total)
    assert all(response > 0 for response in outcome.responses)
    assert 0.03 < outcome.wall < run.LIMIT
    assert outcome.cpu > 0


def test_a_run_over_tls(core: int) -> None:
    outcome = measure("nothing-tls", TINY, seed=1, core=core)
    assert (outcome.saved, outcome.cut, len(outcome.responses)) == (None, 0, TINY.total)


def test_a_run_that_is_too_slow_is_cut_off_and_says_so(core: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "LIMIT", 0.3)
    slow = Workload("slow", 2, 200, 0.0001)  # 0.8 s of writes in 0.02 s
    outcome = measure("blocking", slow, seed=1, core=core)
    assert 0 < outcome.cut < slow.total
    assert len(outcome.responses) == slow.total
    assert max(outcome.responses) > 250_000


def test_a_way_that_fails_says_why_and_leaves_the_others_their_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    def measured_or_failed(way: str, workload: Workload, seed: int, core: int) -> Outcome:
        if way == "file" and seed == 0:
            raise Failed("no disk")
        return Outcome([1.0], 0, 1.0, 0.1, 0.1, None, 1)

    monkeypatch.setattr(rounds, "measure", measured_or_failed)
    found = rounds.measured(TINY, [NOTHING, "file", "thread"], rounds.PAIRS + 1, core=0)
    assert (found["file"].failed, list(found["file"].outcomes)) == ("no disk", [])
    assert list(found[NOTHING].outcomes) == list(range(rounds.PAIRS + 1))
    assert list(found["thread"].outcomes) == [0, rounds.PAIRS]


def test_nothing_is_compared_with_what_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(way: str, workload: Workload, seed: int, core: int) -> Outcome:
        raise Failed("no core")

    monkeypatch.setattr(rounds, "measure", fails)
    with pytest.raises(Failed, match="no core"):
        rounds.measured(TINY, [NOTHING], 1, core=0)

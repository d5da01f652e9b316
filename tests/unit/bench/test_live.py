import pytest

from bench import live
from bench.live import Trial
from bench.messages import Truth
from bench.recording import Sent


@pytest.fixture
def machine(monkeypatch):
    """A machine that loses something above `whole`, and whose generator reaches `most`."""

    def of(whole, most):
        def trial(rate, seconds):
            reached = min(rate, most)
            sent = Sent(Truth(messages=round(reached * seconds)), seconds)
            return Trial(rate, sent, None, "" if reached <= whole else "messages are missing", 0, 0.0, 0, 0.0)

        monkeypatch.setattr(live, "_trial", trial)
        return [one.asked for one in live._search(1.0)]

    return of


def test_the_search_closes_in_on_the_rate_at_which_something_is_lost(machine):
    assert machine(whole=70_000, most=1_000_000) == [20_000, 30_000, 45_000, 67_500, 101_250, 84_375, 75_937]


def test_the_search_ends_where_the_generator_does(machine):
    assert machine(whole=1_000_000, most=40_000) == [20_000, 30_000, 45_000, 37_500, 41_250]


def test_a_machine_that_always_loses_is_tried_once(machine):
    assert machine(whole=0, most=1_000_000) == [20_000]

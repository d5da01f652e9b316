"""REST calls and their answers, and the parameters of queries."""

from __future__ import annotations

import pytest

from sniffer.exchanges.base import PENDING
from sniffer.exchanges.calls import Calls, parameters
from sniffer.exchanges.numbers import Broken
from sniffer.model import HttpHead


def head(target: str | None, method: str | None = "POST") -> HttpHead:
    return HttpHead(method, target, None, ())


def test_answers_come_in_turn() -> None:
    calls: Calls[int] = Calls()
    for number in range(3):
        calls.put(head(f"/{number}"), number)
    assert [calls.take(head("/0")), calls.take(head(None)), calls.take(head("/2"))] == [0, 1, 2]
    assert calls.take(head("/2")) is None


def test_a_missed_call_joins_nothing() -> None:
    calls: Calls[int] = Calls()
    calls.put(head("/a"), 1)
    calls.put(head("/b"), 2)
    assert calls.take(head("/b")) is None  # /a was never answered, so whose turn it is nobody knows
    assert calls.take(head("/b")) is None


def test_calls_are_bounded() -> None:
    calls: Calls[int] = Calls()
    for number in range(PENDING + 1):
        calls.put(head("/a"), number)
    assert calls.take(head("/a")) == 1


def test_parameters() -> None:
    assert parameters("a=1&b=%20x+y&flag&c=") == {"a": "1", "b": " x y", "c": ""}
    with pytest.raises(Broken, match="twice"):
        parameters("a=1&%61=2")

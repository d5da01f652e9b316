"""The store's thread: order, back-pressure, errors."""

from __future__ import annotations

import threading
from typing import Any, cast

import pytest

from sniffer.errors import StoreError
from sniffer.model import Batch, Position
from sniffer.store.background import WAITING, BackgroundStore
from sniffer.store.store import Store

AT = Position("capture", 1, False, ("digest",))


class Recorder:
    """Stands for a store: notes what is called, holds until it is let go, and fails where it is told to."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.go = threading.Event()
        self.go.set()
        self.begun = threading.Event()
        self.fail_at: int | None = None

    def _note(self, name: str) -> None:
        self.begun.set()
        assert self.go.wait(10)
        self.calls.append(name)
        if self.fail_at == len(self.calls):
            raise StoreError("disk full")

    def append(self, batch: Batch, position: Position) -> None:
        self._note(f"append {position.packets}")

    def publish(self) -> None:
        self._note("publish")

    def watch(self) -> str | None:
        self.calls.append("watch")
        return "found"

    def position(self, fingerprint: Any) -> Position | None:
        self.calls.append("position")
        return AT

    def remove(self, capture_id: str) -> None:
        self.calls.append("remove")

    def close(self) -> None:
        self.calls.append("close")


def make() -> tuple[Recorder, BackgroundStore]:
    recorder = Recorder()
    return recorder, BackgroundStore(cast("Store", recorder))


def test_calls_are_carried_out_in_their_order_and_all_before_the_close() -> None:
    recorder, store = make()
    for number in range(5):
        store.append(Batch(), AT._replace(packets=number))
        store.publish()
    store.close()
    assert recorder.calls == [name for number in range(5) for name in (f"append {number}", "publish")] + ["close"]


def test_a_question_waits_for_what_was_asked_before() -> None:
    recorder, store = make()
    store.append(Batch(), AT)
    assert store.position(("digest",)) == AT
    store.remove("capture")
    assert recorder.calls == ["append 1", "position", "remove"]
    store.close()


def test_at_most_two_calls_are_under_way() -> None:
    recorder, store = make()
    recorder.go.clear()
    handed_over = []

    def producer() -> None:
        for number in range(4):
            store.append(Batch(), AT._replace(packets=number))
            handed_over.append(number)

    thread = threading.Thread(target=producer)
    thread.start()
    assert recorder.begun.wait(10)
    thread.join(0.2)
    assert thread.is_alive()
    assert len(handed_over) <= WAITING
    recorder.go.set()
    thread.join(10)
    store.close()
    assert recorder.calls == ["append 0", "append 1", "append 2", "append 3", "close"]


def test_an_error_is_raised_later_and_nothing_behind_it_is_carried_out() -> None:
    recorder, store = make()
    recorder.fail_at = 1
    store.append(Batch(), AT)

    def go_on() -> None:
        while True:
            store.append(Batch(), AT._replace(packets=2))

    for _ in range(2):
        with pytest.raises(StoreError, match="disk full"):
            go_on()
    store.close()
    assert recorder.calls == ["append 1", "close"]


def test_close_raises_what_went_wrong_last_and_closes_all_the_same() -> None:
    recorder, store = make()
    recorder.fail_at = 1
    store.publish()
    with pytest.raises(StoreError, match="disk full"):
        store.close()
    assert recorder.calls == ["publish", "close"]


def test_a_close_that_fails_does_not_hide_the_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise StoreError("the last rows were not published")

    recorder, store = make()
    monkeypatch.setattr(recorder, "close", fail)
    recorder.fail_at = 1
    store.publish()
    with pytest.raises(StoreError, match="disk full"):
        store.close()


def test_watch_says_nothing_while_the_store_is_at_work() -> None:
    recorder, store = make()
    assert store.watch() == "found"
    recorder.go.clear()
    store.publish()
    assert recorder.begun.wait(10)
    assert store.watch() is None
    recorder.go.set()
    store.close()
    assert recorder.calls == ["watch", "publish", "close"]

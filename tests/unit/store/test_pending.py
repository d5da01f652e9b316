"""Appends that wait: nothing of them is lost, or comes twice, whatever fails on their way to the file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

import sniffer
from sniffer.errors import StoreError
from sniffer.store import rows
from sniffer.store import store as store_module
from sniffer.store.store import Store
from tests.unit.store.builders import batch, capture, connection, event, fill, loss, message, position


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "orders.duckdb"


def placed(number: int) -> Any:
    """A batch about one order, told from all others by `number`."""
    at = number * 1000
    known = {"order_id": str(number), "client_order_id": f"c{number}"}
    return batch(
        message(at),
        event(at, status="NEW", **known),
        fill(at, order_id=str(number)),
        connection(number),
        of=capture(packets=number),
    )


def content(db: Path) -> tuple[list[int], list[str], int, int]:
    """Positions of messages, order ids of orders, and how many fills and packets."""
    with sniffer.connect(db) as connected:
        positions = [one for (one,) in connected.execute("SELECT position FROM messages ORDER BY 1").fetchall()]
        orders = [one for (one,) in connected.execute("SELECT order_id FROM orders_all ORDER BY 1").fetchall()]
        fills = connected.execute("SELECT count(*) FROM fills").fetchall()[0][0]
        return positions, orders, fills, connected.execute("SELECT packets FROM _sniffer.position").fetchall()[0][0]


def wanted(last: int) -> tuple[list[int], list[str], int, int]:
    return [number * 1000 for number in range(1, last + 1)], [str(number) for number in range(1, last + 1)], last, last


class Failing:
    """`function`, but for calls in which it raises what DuckDB raises on a full disk: each for which `fails` yields True."""

    def __init__(self, function: Any, fails: Iterator[bool]) -> None:
        self._function, self._fails = function, fails

    def __call__(self, *arguments: Any) -> Any:
        if next(self._fails, False):
            raise duckdb.IOException("Could not write file: No space left on device")
        return self._function(*arguments)


def test_readers_see_all_appends_of_a_publish_at_once(db: Path) -> None:
    with Store(db, live=True) as store:
        store.append(placed(1), position(1))
        store.publish()
        store.append(placed(2), position(2))
        store.append(placed(3), position(3))
        assert content(db) == wanted(1)
        store.publish()
        assert content(db) == wanted(3)


@pytest.mark.parametrize("failure", range(4))
def test_what_could_not_be_brought_in_is_brought_in_later(db: Path, monkeypatch: pytest.MonkeyPatch, failure: int) -> None:
    """The insert that fails is that of messages, order events, fills or nothing."""
    with Store(db) as store:
        store.append(placed(1), position(1))
        store.publish()
        store.append(placed(2), position(2))
        store.append(placed(3), position(3))
        monkeypatch.setattr(store_module, "insert", Failing(rows.insert, iter([False] * failure + [True])))
        if failure < 3:
            with pytest.raises(StoreError, match="No space left"):
                store.publish()
        store.append(placed(4), position(4))
        store.publish()
    assert content(db) == wanted(4)


def test_what_can_be_neither_sealed_nor_brought_in_is_not_gathered_for_ever(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "ROWS", 1)
    full = True

    def fails() -> Iterator[bool]:
        while True:
            yield full

    with Store(db) as store:
        monkeypatch.setattr(store._sealed, "seal", Failing(store._sealed.seal, fails()))
        monkeypatch.setattr(store_module, "insert", Failing(rows.insert, fails()))
        store.append(placed(1), position(1))  # cannot be sealed, and waits
        for _ in range(3):
            with pytest.raises(StoreError, match="No space left"):
                store.append(placed(2), position(2))
        full = False
        store.append(placed(2), position(2))
        store.publish()
    assert content(db) == wanted(2)


def test_what_an_end_brought_forth_is_taken_back_though_it_still_waits(db: Path) -> None:
    ended = batch(loss("the end"), message(5000), event(1000, order_id="1", client_order_id="c1", status="CANCELED"))
    with Store(db) as store:
        store.append(placed(1), position(1))
        store.append(ended, position(1, complete=True))
        store.append(placed(2), position(2))
    assert content(db) == wanted(2)
    with sniffer.connect(db) as connected:
        assert connected.execute("SELECT count(*) FROM losses").fetchall() == [(0,)]
        assert connected.execute("SELECT DISTINCT status FROM orders_all").fetchall() == [("NEW",)]


def test_what_waits_is_there_for_whoever_takes_a_capture_back(db: Path) -> None:
    with Store(db) as store:
        store.append(placed(1), position(1))
        store.append(batch(message(7, connection_id=9), connection(9, "other")), position(1, "other"))
        store.remove("cap")
        store.publish()
    with sniffer.connect(db) as connected:
        assert connected.execute("SELECT connection_id FROM messages").fetchall() == [(9,)]
        assert connected.execute("SELECT count(*) FROM orders_all").fetchall() == [(0,)]

"""Orders that are folded anew, since some of their events go: all other events of theirs are found, whichever ids they name."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from sniffer.model import OrderEvent
from sniffer.store.store import Store
from tests.unit.store.builders import batch, event, position, request, response

STORIES: dict[str, list[OrderEvent]] = {
    "renamed": [
        request(0, client_order_id="a", order_type="limit"),
        response(1, request_id="r0", order_id="1", client_order_id="a"),
        event(2, order_id="1", client_order_id="b", status="REPLACED"),
    ],
    "of one name": [
        request(0, client_order_id="same", order_type="limit"),
        response(1, request_id="r0", order_id="1", client_order_id="same", status="NEW"),
        event(2, order_id="1", status="PARTIALLY_FILLED"),
        request(3, client_order_id="same", order_type="limit"),
        response(4, request_id="r3", order_id="2", client_order_id="same", status="NEW"),
        event(5, order_id="2", status="PARTIALLY_FILLED"),
    ],
}


def orders(db: Path) -> list[tuple[Any, ...]]:
    columns = "order_id, client_order_id, status, order_type, requested_at, acknowledged_at, updated_at"
    with duckdb.connect(str(db), read_only=True) as reader:
        return reader.execute(f"SELECT {columns} FROM orders_all ORDER BY ALL").fetchall()


def load(db: Path, events: Iterable[OrderEvent], *, end: OrderEvent | None = None, then: OrderEvent | None = None) -> None:
    """`end`: what only the capture's end brings forth; `then`: it goes on with this."""
    with Store(db) as store:
        store.append(batch(*events), position(1))
        if end is not None:
            store.append(batch(end), position(1, complete=True))
            store.publish()
        if then is not None:
            store.append(batch(then), position(2))


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("name", STORIES)
def test_an_order_folded_anew_is_what_it_would_have_been(
    name: str, sealed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sealed:
        monkeypatch.setattr("sniffer.store.store.ROWS", 1)
    end, then = event(8, order_id="1", status="FILLED"), event(9, order_id="1", status="CANCELED")
    load(tmp_path / "at-once.duckdb", [*STORIES[name], then])
    load(tmp_path / "goes-on.duckdb", STORIES[name], end=end, then=then)
    assert orders(tmp_path / "goes-on.duckdb") == orders(tmp_path / "at-once.duckdb")
    assert all(row[4] is not None for row in orders(tmp_path / "goes-on.duckdb"))

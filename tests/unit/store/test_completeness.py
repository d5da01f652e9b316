"""Was this hour complete? By minute, and for a span."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import sniffer
from sniffer.store.completeness import completeness
from sniffer.store.store import Store
from tests.unit.store.builders import SECOND, T0, batch, capture, connection, loss, position

MINUTE = 60 * SECOND
START = datetime(2024, 5, 1, 10)


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "orders.duckdb"


def stored(db: Path, *rows: Any, end: int = 10 * MINUTE) -> None:
    with Store(db) as store:
        store.append(batch(*rows, of=capture()._replace(started_at=T0, ended_at=T0 + end)), position())


def torn(at: int, until: int, **changes: Any) -> Any:
    values = {"connection_id": 1, "from_time": T0 + at, "to_time": T0 + until, "bytes": 100, "messages": None}
    return loss(**(values | changes))


def minutes(db: Path) -> dict[int, tuple[Any, ...]]:
    with sniffer.connect(db) as reader:
        rows = reader.execute(
            "SELECT minute, connection_id, losses, lost_bytes, lost_messages, complete FROM completeness ORDER BY ALL"
        ).fetchall()
    assert all(row[1] == 1 for row in rows)
    return {(row[0] - START) // timedelta(minutes=1): row[2:] for row in rows}


def test_each_minute_of_a_connection_is_a_row(db: Path) -> None:
    stored(db, connection(1, opened_at=T0 + 30 * SECOND, closed_at=T0 + 3 * MINUTE + SECOND))
    assert minutes(db) == dict.fromkeys(range(4), (0, 0, 0, True))


def test_an_open_connection_goes_to_the_captures_end(db: Path) -> None:
    stored(db, connection(1), end=2 * MINUTE)
    assert list(minutes(db)) == [0, 1, 2]


def test_a_loss_marks_every_minute_that_it_touches_and_counts_once(db: Path) -> None:
    stored(db, connection(1), torn(MINUTE + SECOND, 3 * MINUTE, messages=2), torn(MINUTE, MINUTE), end=4 * MINUTE)
    assert minutes(db) == {
        0: (0, 0, 0, True),
        1: (2, 200, 2, False),
        2: (1, 0, 0, False),
        3: (1, 0, 0, False),
        4: (0, 0, 0, True),
    }


def test_what_the_kernel_dropped_marks_every_connection_that_lived_then(db: Path) -> None:
    dropped = torn(MINUTE, MINUTE + SECOND, connection_id=None, layer="kernel", bytes=None)
    stored(db, connection(1, closed_at=T0 + 2 * MINUTE), connection(2, opened_at=T0 + 5 * MINUTE), dropped)
    with sniffer.connect(db) as reader:
        rows = reader.execute("SELECT connection_id, minute FROM completeness WHERE NOT complete").fetchall()
    assert rows == [(1, START + timedelta(minutes=1))]


def test_a_remark_leaves_a_minute_complete(db: Path) -> None:
    stored(db, connection(1), torn(0, MINUTE, bytes=0, messages=0), end=SECOND)
    assert minutes(db) == {0: (0, 0, 0, True)}
    assert completeness(db).complete


def test_an_unreadable_connection_is_not_complete(db: Path) -> None:
    stored(db, connection(1, readable=False, unreadable_reason="TLS"), end=SECOND)
    assert minutes(db) == {0: (0, 0, 0, False)}


def test_what_cannot_be_read_yet_is_missing_until_that_is_settled(db: Path) -> None:
    """TLS whose keys may still come has no row in `losses`: where they do not, it has one at its end."""
    sealed: dict[str, Any] = {
        "readable": False,
        "unreadable_reason": "no key log line for this client random",
        "protocol": "tls",
    }
    sealed |= {"venue": "okx", "client_bytes": 100}
    stored(
        db,
        connection(1, **sealed, opened_at=T0 + MINUTE, closed_at=T0 + 2 * MINUTE),
        connection(2, **(sealed | {"client_bytes": 0})),
        connection(3, **sealed, closed_at=T0 + MINUTE),
        torn(0, MINUTE, connection_id=3, reason="TLS"),
    )
    found = completeness(db)
    assert not found.complete
    assert [(one.connection_id, one.layer, one.reason) for one in found.missing if one.connection_id != 3] == [
        (1, "tls", "no key log line for this client random")
    ]
    assert [one.reason for one in found.missing if one.connection_id == 3] == ["TLS"]
    assert ("okx", T0, T0 + 2 * MINUTE) in [(window.venue, *window[3:]) for window in found.windows]
    assert completeness(db, T0 + 3 * MINUTE).complete


def test_a_span_asks_for_what_touches_it(db: Path) -> None:
    one = connection(1, venue="okx", account="a", host="ws.okx.com", closed_at=T0 + 4 * MINUTE)
    losses = [
        torn(MINUTE, MINUTE + SECOND),
        torn(MINUTE + SECOND, 2 * MINUTE),
        torn(8 * MINUTE, 8 * MINUTE, connection_id=None),
    ]
    stored(db, one, connection(2, opened_at=T0 + 5 * MINUTE), *losses)
    whole = completeness(db)
    assert whole.recorded == [(T0, T0 + 10 * MINUTE)]
    assert (whole.connections, len(whole.missing), whole.complete) == (2, 3, False)
    assert [tuple(window) for window in whole.windows] == [
        ("okx", "a", "ws.okx.com", T0 + MINUTE, T0 + 2 * MINUTE),
        (None, None, None, T0 + 8 * MINUTE, T0 + 8 * MINUTE),
    ]
    early = completeness(db, T0, T0 + MINUTE - 1)
    assert (early.connections, early.missing, early.complete) == (1, [], True)
    late = completeness(db, T0 + 7 * MINUTE, T0 + 9 * MINUTE)
    assert late.recorded == [(T0 + 7 * MINUTE, T0 + 9 * MINUTE)]
    assert [one.connection_id for one in late.missing] == [None]


def test_a_time_that_was_not_recorded_is_not_complete(db: Path) -> None:
    stored(db, connection(1))
    assert not completeness(db, T0 + 20 * MINUTE).complete
    assert completeness(db, T0 + 20 * MINUTE).recorded == []


def test_a_loss_of_unknown_time_touches_every_span(db: Path) -> None:
    stored(db, connection(1), torn(0, 0, from_time=None, to_time=None))
    found = completeness(db, T0 + MINUTE, T0 + 2 * MINUTE)
    assert len(found.missing) == 1
    assert [window[3:] for window in found.windows] == [(T0 + MINUTE, T0 + 2 * MINUTE)]

"""Sealed rows: the same rows as before, in files; taken back, merged, moved and looked up like any other."""

from __future__ import annotations

import os
import random
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

import sniffer
from sniffer.errors import StoreError
from sniffer.model import Batch
from sniffer.store import sealed
from sniffer.store.export import export
from sniffer.store.read import query
from sniffer.store.store import Store
from tests.unit.store.builders import (
    MS,
    SECOND,
    T0,
    batch,
    capture,
    connection,
    event,
    fill,
    loss,
    message,
    position,
    request,
    response,
)

VIEWS = ("messages", "order_events", "fill_events", "losses", "connections", "captures", "orders", "orders_all", "fills")


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "orders.duckdb"


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seal at every append."""
    monkeypatch.setattr("sniffer.store.store.ROWS", 1)


def everything(db: Path) -> dict[str, list[tuple[Any, ...]]]:
    with sniffer.connect(db) as connected:
        return {view: connected.execute(f"FROM {view} ORDER BY ALL").fetchall() for view in VIEWS}


def rows(db: Path, sql: str) -> list[tuple[Any, ...]]:
    with sniffer.connect(db) as connected:
        return connected.execute(sql).fetchall()


def files(db: Path, table: str = "*") -> list[Path]:
    return sorted(db.with_name(db.name + ".d").glob(f"{table}/date=*/*.parquet"))


def life(number: int, at: int, connection_id: int = 1) -> list[Any]:
    """A request, its acknowledgement, a fill and its message; `at` in ms."""
    ids: dict[str, Any] = {"client_order_id": f"c{number}", "connection_id": connection_id}
    known = ids | {"order_id": str(number)}
    return [
        request(at, **ids, price=Decimal(number), quantity=Decimal(1), side="buy"),
        response(at + 1, **known, request_id=f"r{at}", status="NEW", exchange_time=T0 + at * MS),
        event(at + 2, **known, status="FILLED", filled_quantity=Decimal(1), exchange_time=T0 + (at + 1) * MS),
        fill(at + 2, **known, trade_id=f"t{number}", price=Decimal(number)),
        message(at + 2, connection_id=connection_id),
    ]


def batches(count: int = 6, gap: int = 20_000, connection_id: int = 1, capture_id: str = "cap") -> list[Batch]:
    made = []
    for number in range(1, count + 1):
        at = number * gap
        opened = connection(connection_id, capture_id, opened_at=T0 + gap * MS)
        made.append(batch(*life(number, at, connection_id), opened, loss("torn", capture_id, from_time=T0 + at * MS)))
        made[-1].capture = capture(capture_id, number)
    return made


def load(db: Path, made: list[Batch], capture_id: str = "cap") -> None:
    with Store(db) as store:
        for number, one in enumerate(made, 1):
            store.append(one, position(number, capture_id))
            store.publish()


def test_sealed_or_not_the_views_show_the_same(db: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = tmp_path / "plain.duckdb"
    load(plain, batches())
    monkeypatch.setattr("sniffer.store.store.ROWS", 1)
    load(db, batches())
    assert files(plain) == []
    assert {path.parent.parent.name for path in files(db)} == {"messages", "order_events", "fill_events", "losses", "orders"}
    assert everything(db) == everything(plain)


def wide(first: int, count: int, size: int) -> Batch:
    """Messages of `size` characters, as an order book is where all messages are kept."""
    source = random.Random(first)
    return batch(*(message(at, payload=source.randbytes(size // 2).hex()) for at in range(first, first + count)))


def order_in(file: Path) -> list[int]:
    """Positions of the messages of a file, as they stand in it."""
    sql = f"SELECT position FROM read_parquet('{file}', file_row_number = true) ORDER BY file_row_number"
    return [at for (at,) in duckdb.connect().execute(sql).fetchall()]


def test_more_bytes_than_duckdb_has_memory_are_sealed_and_merged(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sniffer.store.merging.MERGE", 8)
    monkeypatch.setattr(sealed, "GRACE", -1)
    with Store(db) as store:
        store.append(wide(0, 120, 1_000_000), position(1))
        store.publish()
        store._sealed._merger.wait()
        store.remove("no such capture")
        store.publish()
    with Store(db):
        pass  # what was replaced goes
    (file,) = files(db, "messages")
    assert order_in(file) == list(range(120))
    assert rows(db, "SELECT count(*), sum(length(payload)) FROM messages") == [(120, 120_000_000)]


def test_a_day_is_that_of_the_wire_time_in_utc(db: Path, eager: None) -> None:
    midnight = 14 * 3600 * 1000  # T0 is 10:00
    times = {midnight - 1: "2024-05-01", midnight: "2024-05-02"}
    load(db, [batch(*(message(at)._replace(captured_at=T0 + at * MS + 999_999 * (at < midnight)) for at in times))])
    assert [path.parent.name for path in files(db, "messages")] == [f"date={day}" for day in times.values()]
    assert rows(db, "SELECT epoch_ns(captured_at) FROM messages ORDER BY 1") == [
        (T0 + (midnight - 1) * MS + 999_999,),
        (T0 + midnight * MS,),
    ]


def test_rows_are_sealed_at_the_threshold(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sniffer.store.store.ROWS", 100)
    with Store(db) as store:
        store.append(batch(*(message(at) for at in range(99))), position(1))
        assert files(db) == []
        store.append(batch(message(99)), position(2))
        assert len(files(db)) == 1


def test_bytes_are_sealed_at_the_threshold_and_the_file_stays_small(db: Path) -> None:
    with Store(db) as store:
        sizes = []
        for number in range(1, 13):
            store.append(batch(*(message(at, payload=os.urandom(1000).hex()) for at in range(1000))), position(number))
            store.publish()
            sizes.append(db.stat().st_size)
    assert files(db, "messages")
    assert max(sizes) < 3 * sealed.BYTES
    assert rows(db, "SELECT count(*), count(DISTINCT payload) FROM messages") == [(12_000, 12_000)]


def test_who_asks_for_the_last_day_opens_no_older_file_but_the_first(db: Path, eager: None) -> None:
    day = 24 * 3600 * 1000
    times = [T0 + days * day * MS + 123_456_789 for days in (0, 1, 2, 5)]
    load(db, [batch(message(at)._replace(captured_at=time)) for at, time in enumerate(times)])
    assert rows(db, "SELECT epoch_ns(captured_at) FROM messages ORDER BY ALL") == [(time,) for time in times]
    second = files(db, "messages")[1]
    second.chmod(0o600)
    second.write_bytes(b"")
    last = f"FROM messages SELECT position WHERE captured_at >= make_timestamp_ns({times[-1]})"
    assert rows(db, last) == [(3,)]
    with pytest.raises(duckdb.Error):
        rows(db, f"FROM messages SELECT position WHERE captured_at >= make_timestamp_ns({times[1]})")


def test_the_end_of_a_capture_is_withdrawn_from_sealed_files_too(db: Path, eager: None) -> None:
    with Store(db) as store:
        store.append(batch(loss("torn"), event(0, order_id="1", status="NEW")), position(1))
        end = [
            loss("capture ended"),
            event(100_000, order_id="1", status="FILLED"),
            event(100_000, order_id="2", status="FILLED"),
        ]
        store.append(batch(*end), position(1, complete=True))
        store.append(batch(event(200_000, order_id="3", status="NEW"), message(200_000)), position(1, "another"))
        store.append(batch(message(200_001)), position(2))
    assert rows(db, "SELECT reason FROM losses") == [("torn",)]
    assert rows(db, "SELECT order_id, status FROM orders ORDER BY 1") == [("1", "NEW"), ("3", "NEW")]
    assert rows(db, "SELECT order_id FROM order_events ORDER BY 1") == [("1",), ("3",)]


def test_open_and_fresh_rows_stay_in_the_file(db: Path, eager: None) -> None:
    late = 200_000
    made = [event(0, order_id="open", status="NEW"), event(0, order_id="old", status="FILLED")]
    fresh = event(late, order_id="fresh", status="FILLED")
    closed = [connection(7, closed_at=T0), connection(8, closed_at=T0 + late * MS), connection(9)]
    load(db, [batch(*made, fresh, *closed)])
    assert rows(db, "SELECT order_id FROM _sniffer.orders ORDER BY 1") == [("fresh",), ("open",)]
    assert rows(db, "SELECT connection_id FROM _sniffer.connections ORDER BY 1") == [(8,), (9,)]
    assert rows(db, "SELECT order_id FROM orders ORDER BY 1") == [("fresh",), ("old",), ("open",)]
    assert rows(db, "SELECT connection_id FROM connections ORDER BY 1") == [(7,), (8,), (9,)]


def test_late_events_of_a_sealed_order_change_that_order(db: Path, eager: None) -> None:
    load(db, batches())
    assert rows(db, "SELECT count(*) FROM _sniffer.orders WHERE order_id = '2'") == [(0,)]
    ids: dict[str, Any] = {"order_id": "2", "client_order_id": "c2", "connection_id": 2}
    stale = event(20_001, **ids, status="NEW", exchange_time=T0)._replace(captured_at=T0 + 300_000 * MS)
    more = event(40_003, **ids, status="FILLED", filled_quantity=Decimal(3), exchange_time=T0 + 40_003 * MS)
    wanted = "SELECT status, filled_quantity, epoch_ns(updated_at), count(*) OVER () FROM orders_all WHERE order_id = '2'"
    with Store(db) as store:
        store.append(batch(stale), position(100))
        store.publish()
        assert rows(db, wanted) == [("FILLED", 1, T0 + 300_000 * MS, 1)]
        store.append(batch(*(message(at) for at in range(5))), position(101))  # seals it again
        store.append(batch(more), position(102))
        store.publish()
        assert rows(db, wanted) == [("FILLED", 3, T0 + 300_000 * MS, 1)]
    assert rows(db, "SELECT count(*) FROM orders_all") == [(6,)]


def test_the_same_traffic_in_a_second_capture_makes_no_second_order(db: Path, eager: None) -> None:
    load(db, batches())
    before = everything(db)["orders_all"]
    load(db, batches(connection_id=2, capture_id="tap"), "tap")
    assert everything(db)["orders_all"] == before
    assert rows(db, "SELECT count(*), max(observations) FROM fills") == [(6, 2)]
    assert rows(db, "SELECT count(*) FROM order_events") == [(36,)]


def test_a_client_id_used_again_and_again_finds_the_order_of_its_time(db: Path, eager: None) -> None:
    def reuse(number: int, at: int) -> list[Any]:
        return [one._replace(client_order_id="same") for one in life(number, at)[:3]]

    load(db, [batch(*reuse(number, number * 100_000)) for number in range(1, 6)])
    again = [one._replace(connection_id=2) for one in reuse(2, 200_000)]
    load(db, [batch(again[0]), batch(again[1]), batch(again[2])], "tap")
    found = rows(db, "SELECT order_id, status, epoch_ns(requested_at) FROM orders_all ORDER BY 1")
    assert found == [(str(number), "FILLED", T0 + number * 100_000 * MS) for number in range(1, 6)]


def test_an_order_opened_before_the_last_seal_closes_after_it(db: Path, eager: None) -> None:
    with Store(db) as store:
        store.append(batch(event(0, order_id="1", status="NEW")), position(1))
        store.append(batch(message(200_000)), position(2))
        store.append(batch(event(300_000, order_id="1", status="CANCELED")), position(3))
        store.append(batch(message(500_000)), position(4))
    assert rows(db, "SELECT status FROM orders_all") == [("CANCELED",)]


@pytest.mark.parametrize("odd", ["it's", "a\x00b", "line\nbreak", "O'; DROP TABLE x; --", "\u202e"])
def test_an_order_is_found_in_a_sealed_file_whatever_its_id_is(db: Path, eager: None, odd: str) -> None:
    by_id, by_client = {"order_id": odd}, {"client_order_id": f"c{odd}"}
    with Store(db) as store:
        store.append(batch(event(0, status="NEW", **by_id), event(1, status="FILLED", **by_id)), position(1))
        store.append(batch(event(2, status="NEW", **by_client), event(3, status="FILLED", **by_client)), position(2))
        store.append(batch(message(200_000)), position(3))
        assert not store._current.book
        store.append(batch(event(300_000, status="FILLED", **by_id)), position(4))
        store.append(batch(event(300_001, status="FILLED", **by_client)), position(5))
    assert rows(db, "SELECT count(*), count(order_id), count(client_order_id) FROM orders_all") == [(2, 1, 1)]


def test_open_orders_beyond_the_limit_are_sealed_and_come_back(db: Path, eager: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed, "OPEN_ORDERS", 3)
    monkeypatch.setattr("sniffer.store.book.MAX_OPEN", 3)
    with Store(db) as store:
        store.append(batch(*(event(at, order_id=str(at), status="PENDING_TRIGGER") for at in range(10))), position(1))
        store.publish()
        assert rows(db, "SELECT count(*) FROM _sniffer.orders") == [(3,)]
        assert rows(db, "SELECT count(*) FROM orders WHERE is_open") == [(10,)]
        day = 25 * 3600 * 1000
        store.append(batch(event(day, order_id="0", status="NEW"), event(day, order_id="1", status="CANCELED")), position(2))
    assert rows(db, "SELECT status, count(*) FROM orders GROUP BY 1 ORDER BY 1") == [
        ("CANCELED", 1),
        ("NEW", 1),
        ("PENDING_TRIGGER", 8),
    ]


def test_a_sealed_connection_that_comes_again_is_replaced(db: Path, eager: None) -> None:
    with Store(db) as store:
        store.append(batch(connection(1, closed_at=T0, messages=5), message(100_000)), position(1))
        assert files(db, "connections")
        for number, messages in ((2, 6), (3, 7)):
            store.append(batch(connection(1, closed_at=T0, messages=messages), message(100_000 * number)), position(number))
    assert rows(db, "SELECT connection_id, messages FROM connections") == [(1, 7)]


def test_replaced_files_outlive_their_listing_for_a_while(db: Path, eager: None) -> None:
    load(db, batches(3))
    before = set(files(db))
    for path in before:
        os.utime(path, (0, 0))  # long there: the hour begins when they are replaced
    stranger = files(db, "messages")[0].with_name("ffffffffffff-000000000000.parquet")
    stranger.write_bytes(b"of another database")
    os.utime(stranger, (0, 0))
    with Store(db) as store:
        store.remove("cap")
        store.publish()
        assert rows(db, "SELECT count(*) FROM messages") == [(0,)]
    Store(db).close()
    assert before <= set(files(db))
    old = time.time() - sealed.GRACE - 1
    for path in before:
        os.utime(path, (old, old))
    Store(db).close()
    assert files(db) == [stranger]


# --- taking a capture back ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sealing", [False, True])
def test_remove_takes_all_of_a_capture_and_only_that(
    db: Path, tmp_path: Path, sealing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = tmp_path / "alone.duckdb"
    kept = batches(4, 7000, connection_id=2, capture_id="kept")
    for one in kept:
        one.order_events = [
            each._replace(client_order_id=f"k{each.client_order_id}", order_id=each.order_id and f"k{each.order_id}")
            for each in one.order_events
        ]
    if sealing:
        monkeypatch.setattr("sniffer.store.store.ROWS", 1)
    load(alone, kept, "kept")
    load(db, kept, "kept")
    load(db, batches())
    with Store(db) as store:
        assert store.position(("cap-1",)) is not None
        store.remove("cap")
        assert store.position(("cap-1",)) is None
        assert store.position(("kept-1",)) == position(4, "kept")
    assert everything(db) == everything(alone)
    load(db, batches())
    assert rows(db, "SELECT count(*) FROM orders_all") == [(10,)]


@pytest.mark.parametrize("sealing", [False, True])
def test_an_order_that_two_captures_saw_is_folded_again(db: Path, sealing: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if sealing:
        monkeypatch.setattr("sniffer.store.store.ROWS", 1)
    place, ack, done, *_ = life(1, 0)
    load(db, [batch(place, ack, connection(1)), batch(message(500_000))])
    load(db, [batch(done._replace(connection_id=2), connection(2, "tap", opened_at=T0 + 1))], "tap")
    assert rows(db, "SELECT status FROM orders_all") == [("FILLED",)]
    with Store(db) as store:
        store.remove("tap")
        store.publish()
        assert rows(db, "SELECT status, price, closed_at FROM orders_all") == [("NEW", 1, None)]
        store.append(batch(done), position(9))
    assert rows(db, "SELECT status FROM orders_all") == [("FILLED",)]


def test_remove_takes_requests_that_never_got_an_id(db: Path) -> None:
    load(db, [batch(request(0), connection(1))])
    assert rows(db, "SELECT count(*) FROM orders") == [(1,)]
    with Store(db) as store:
        store.remove("cap")
    assert rows(db, "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM order_events)") == [(0, 0)]


def test_remove_that_fails_changes_nothing(db: Path, eager: None, monkeypatch: pytest.MonkeyPatch) -> None:
    load(db, batches())
    before = everything(db)
    with Store(db) as store:
        monkeypatch.setattr("sniffer.store.removal.fold_again", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
        with pytest.raises(StoreError, match="No space left"):
            store.remove("cap")
        assert store.position(("cap-1",)) == position(6)
    assert everything(db) == before


# --- files that move ----------------------------------------------------------------------------------------------------------


def test_moved_together_the_views_follow_at_the_next_run(db: Path, eager: None, tmp_path: Path) -> None:
    load(db, batches())
    before = everything(db)
    there = tmp_path / "we[ird] pla*ce's" / "sniffer.duckdb"
    there.parent.mkdir()
    with duckdb.connect(str(db)) as own:
        own.execute("CREATE VIEW mine AS SELECT count(*) AS n FROM messages")
    db.rename(there)
    with pytest.raises(StoreError, match=r"was moved, and its sealed rows are looked for in .*; move them to .*r\.duckdb\.d"):
        sniffer.connect(there)
    db.with_name("orders.duckdb.d").rename(there.with_name("sniffer.duckdb.d"))
    assert everything(there) == before
    assert query(there, "FROM mine").rows == [(6,)]
    assert export(there, tmp_path / "copy.duckdb") == [tmp_path / "copy.duckdb"]
    assert everything(tmp_path / "copy.duckdb") == before
    with sniffer.connect(there) as connected, pytest.raises(duckdb.Error, match="read-only"):
        connected.execute("CREATE TABLE nope (n INTEGER)")
    with duckdb.connect(str(there), read_only=True) as bare, pytest.raises(duckdb.Error, match="No files found"):
        bare.execute("FROM messages")  # nothing but a writer changes the file
    Store(there).close()
    assert everything(there) == before
    with duckdb.connect(str(there), read_only=True) as bare:
        assert bare.execute("SELECT count(*) FROM messages").fetchall() == [(6,)]


def test_without_its_folder_a_moved_database_is_refused(db: Path, eager: None, tmp_path: Path) -> None:
    load(db, batches())
    alone = tmp_path / "alone" / "orders.duckdb"
    alone.parent.mkdir()
    db.rename(alone)
    with pytest.raises(StoreError, match=r"a sealed file of .* is missing; move the folder"):
        Store(alone)


def test_a_seal_that_fails_does_not_stop_the_publishing(db: Path, eager: None) -> None:
    with Store(db) as store:
        folder = db.with_name("orders.duckdb.d")
        (folder / "messages").write_text("a file where the folder should be")
        store.append(batch(message(1)), position(1))
        store.append(batch(message(2)), position(2))
        with pytest.raises(StoreError, match=r"orders\.duckdb\.d/messages"):
            store.publish()
        assert rows(db, "SELECT count(*) FROM messages") == [(2,)]
        (folder / "messages").unlink()
        store.append(batch(message(3)), position(3))
        store.publish()
        assert files(db, "messages")
    assert rows(db, "SELECT count(*) FROM messages") == [(3,)]


def test_without_new_rows_nothing_is_sealed(db: Path, eager: None) -> None:
    load(db, [batch(message(1), connection(1, closed_at=T0 + SECOND))])
    before = files(db)
    for _ in range(2):
        with Store(db) as store:
            store.publish()
    assert files(db) == before

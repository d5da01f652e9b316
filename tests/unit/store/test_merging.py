"""Small sealed files that become one behind the back of appends and publishes: the tables stay what they were."""

from __future__ import annotations

from pathlib import Path

import pytest

from sniffer.store import merging, sealed
from sniffer.store.merging import group
from sniffer.store.store import Store
from tests.unit.store.builders import position
from tests.unit.store.test_sealing import batches, everything, files, load

DAY = "/d/messages/date=2026-01-01"


@pytest.fixture
def db(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(merging, "MERGE", 4)
    monkeypatch.setattr(sealed, "GRACE", -1)  # what is replaced goes at once
    return tmp_path / "orders.duckdb"


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sniffer.store.store.ROWS", 1)


@pytest.fixture
def wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same batches in a database that nothing was sealed of."""
    with monkeypatch.context() as patch:
        patch.setattr("sniffer.store.store.ROWS", 10**9)
        load(tmp_path / "plain.duckdb", batches(10, 1000))
    return tmp_path / "plain.duckdb"


def fill(store: Store, *, wait: bool) -> None:
    for number, one in enumerate(batches(10, 1000), 1):
        store.append(one, position(number))
        store.publish()
        if wait:
            store._sealed._merger.wait()


def settle(store: Store) -> None:
    """Transactions that bring nothing, until no merge is left to be listed."""
    for _ in range(12):
        store._sealed._merger.wait()
        store.remove("no such capture")


def strays(db: Path) -> set[Path]:
    """Files that the database does not list."""
    with Store(db) as store:
        known = store._private.connection.execute("SELECT file FROM _sniffer.sealed").fetchall()
    return set(files(db)) - {Path(f"{db}.d") / file for (file,) in known}


def test_what_is_merged_together(tmp_path: Path) -> None:
    folder = tmp_path / "date=2026-01-01"
    folder.mkdir()
    for number in range(merging.MERGE + 1):
        (folder / f"{number}.parquet").touch()
    small = [(str(folder / f"{number}.parquet"), 8_000 + number) for number in range(merging.MERGE)]
    assert group(small[:-1]) is None
    found = group(small)
    assert found is not None
    assert sorted(found) == sorted(path for path, _ in small)
    assert group([*small[:-1], (str(tmp_path / "date=2026-01-02/0.parquet"), 8_000)]) is None, "of another day"
    assert group([*small[:-1], (str(folder / "0.parquet"), 200_000)]) is None, "of another size"
    assert group([(path, merging.LARGE) for path, _ in small]) is None


def test_small_files_of_a_day_are_merged(db: Path, eager: None, wanted: Path) -> None:
    with Store(db) as store:
        fill(store, wait=True)
        settle(store)
        store.publish()
        assert everything(db) == everything(wanted)
    assert strays(db) == set()  # it opens the database once more, and so sweeps
    assert len(files(db, "messages")) <= 4
    assert everything(db) == everything(wanted)


def test_a_publish_waits_for_no_merge(db: Path, eager: None, wanted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("threading.Thread.is_alive", lambda thread: thread.name == "sniffer-merge")
    store = Store(db)
    fill(store, wait=False)
    assert everything(db) == everything(wanted)
    assert len(files(db, "messages")) >= 10
    monkeypatch.undo()
    store.close()


def test_a_merge_under_way_is_given_up_at_the_end(db: Path, eager: None, wanted: Path) -> None:
    with Store(db) as store:
        fill(store, wait=False)
    assert everything(db) == everything(wanted)
    assert strays(db) == set()


def test_a_merge_that_fails_leaves_the_files_as_they_are(
    db: Path, eager: None, wanted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = sealed.copy_statement

    def fails(table: str, select: str, path: Path) -> str:
        """Sealing reads tables, merging reads files."""
        return copy(table, select, path / "no" / "folder" if "read_parquet" in select else path)

    monkeypatch.setattr(sealed, "copy_statement", fails)
    with Store(db) as store:
        fill(store, wait=True)
        settle(store)
    assert everything(db) == everything(wanted)
    assert len(files(db, "messages")) == 10
    assert strays(db) == set()


def test_a_merge_that_failed_is_tried_again_some_time_later(
    db: Path, eager: None, wanted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = db.with_name("no folder")
    copy = sealed.copy_statement
    begun: list[Path] = []

    def fails_at_first(table: str, select: str, path: Path) -> str:
        begun.extend([path] if "read_parquet" in select else [])
        return copy(table, select, blocked / "file" if "read_parquet" in select and len(begun) < 20 else path)

    monkeypatch.setattr(sealed, "copy_statement", fails_at_first)
    with Store(db) as store:
        fill(store, wait=True)
        settle(store)
        tries = len(begun)
        assert 0 < tries < 20
        settle(store)
        assert len(begun) == tries, "not yet"
        begun.extend([blocked] * 20)
        monkeypatch.setattr(merging, "PATIENCE", 0.0)
        store._sealed._changed = True  # as each sealed file says
        settle(store)
        store.publish()
    assert everything(db) == everything(wanted)
    assert strays(db) == set()  # it opens the database once more, and so sweeps
    assert len(files(db, "messages")) < 10


def test_a_merge_that_needs_more_memory_gets_it(db: Path, eager: None, wanted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "_MEMORY", ("1MB", "64MB"))
    with Store(db) as store:
        fill(store, wait=True)
        settle(store)
        store.publish()
    assert strays(db) == set()
    assert len(files(db, "messages")) <= 4
    assert everything(db) == everything(wanted)


def test_rows_that_were_taken_back_meanwhile_do_not_come_back(
    db: Path, eager: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(tmp_path / "plain.duckdb", batches(3, 1000, connection_id=2, capture_id="other"), "other")
    with Store(db) as store:
        with monkeypatch.context() as patch:
            patch.setattr(store._sealed._merger, "take", lambda: None)
            fill(store, wait=True)
            assert store._sealed._merger.under_way is not None
            store.remove("cap")
        for number, one in enumerate(batches(3, 1000, connection_id=2, capture_id="other"), 1):
            store.append(one, position(number, "other"))
        store.publish()
    assert everything(db) == everything(tmp_path / "plain.duckdb")
    assert strays(db) == set()

"""The store's process: what it does, what it says when it cannot, and that it does not outlive its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import duckdb
import pytest

from sniffer.errors import NotOurDatabase, StoreError
from sniffer.store.child import ChildStore
from sniffer.store.store import Store
from tests.unit.store.builders import batch, capture, connection, event, fill, loss, message, position


def everything(db: Path) -> list[list[tuple[object, ...]]]:
    tables = ("captures", "connections", "messages", "order_events", "fill_events", "losses", "orders_all")
    with duckdb.connect(str(db), read_only=True) as reader:
        return [reader.execute(f"FROM {table} ORDER BY ALL").fetchall() for table in tables]


def test_it_stores_what_a_store_here_stores(tmp_path: Path) -> None:
    batches = [
        batch(message(0), event(0, order_id="1", status="NEW"), connection(1), loss("torn"), of=capture(packets=4)),
        batch(message(1), event(1, order_id="1", status="FILLED"), fill(1), connection(1, closed_at=7), of=capture(packets=9)),
    ]
    with Store(tmp_path / "here.duckdb") as here:
        for number, rows in enumerate(batches):
            here.append(rows, position(number + 1))
    there = ChildStore(tmp_path / "there.duckdb")
    assert there.position(("a",)) is None
    for number, rows in enumerate(batches):
        there.append(rows, position(number + 1))
        there.publish()
    assert there.position(position(2).fingerprint) == position(2)
    there.close()
    assert everything(tmp_path / "there.duckdb") == everything(tmp_path / "here.duckdb")


def test_a_capture_is_taken_back(tmp_path: Path) -> None:
    store = ChildStore(tmp_path / "orders.duckdb")
    store.append(batch(message(0), connection(1), of=capture()), position(1))
    store.remove("cap")
    store.close()
    assert everything(tmp_path / "orders.duckdb")[2] == []


def test_what_cannot_be_opened_is_said_by_the_first_question(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing of ours" * 10)
    store = ChildStore(tmp_path / "notes.txt")
    with pytest.raises(NotOurDatabase, match="is not a DuckDB file"):
        store.position(("a",))
    with pytest.raises(NotOurDatabase):
        store.close()
    assert (tmp_path / "notes.txt").read_text().startswith("nothing of ours")


def append_until_it_fails(store: ChildStore) -> None:
    """An error is raised by a call after the one that it belongs to."""
    for number in range(3, 200):
        store.append(batch(message(number)), position(number))
        time.sleep(0.01)


def test_an_error_is_raised_by_a_later_call_and_nothing_behind_it_is_carried_out(tmp_path: Path) -> None:
    store = ChildStore(tmp_path / "orders.duckdb")
    store.append(batch(message(0), connection(1)), position(1))
    store.append(batch(message(1, captured_at=1 << 70)), position(2))
    with pytest.raises(StoreError, match="captured_at: a value does not fit"):
        append_until_it_fails(store)
    with pytest.raises(StoreError, match="captured_at: a value does not fit"):
        store.publish()
    with pytest.raises(StoreError, match="captured_at: a value does not fit"):
        store.close()
    with duckdb.connect(str(tmp_path / "orders.duckdb"), read_only=True) as reader:
        assert reader.execute("SELECT position FROM messages").fetchall() == [(0,)]


def test_that_it_was_killed_is_one_line(tmp_path: Path) -> None:
    store = ChildStore(tmp_path / "orders.duckdb")
    assert store.position(("a",)) is None
    os.kill(store._process.pid, signal.SIGKILL)
    store._process.wait()
    with pytest.raises(StoreError, match=r"ended unexpectedly \(SIGKILL\)"):
        append_until_it_fails(store)
    with pytest.raises(StoreError, match=r"ended unexpectedly \(SIGKILL\)"):
        store.close()
    again = ChildStore(tmp_path / "orders.duckdb")
    assert again.position(("a",)) is None
    again.close()


def test_it_publishes_and_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    script = """
        import os, signal, sys
        from pathlib import Path
        from sniffer.store.child import ChildStore
        from tests.unit.store.builders import batch, message, position

        store = ChildStore(Path(sys.argv[1]))
        store.append(batch(message(0)), position(1))
        assert store.position(("unknown",)) is None
        print(store._process.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    db = tmp_path / "orders.duckdb"
    parent = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(db)], capture_output=True, text=True, check=False
    )
    assert parent.returncode == -signal.SIGKILL, parent.stderr
    child = Path(f"/proc/{int(parent.stdout)}")
    deadline = time.monotonic() + 20
    while child.exists() and "Z" not in (child / "stat").read_text().rpartition(")")[2] and time.monotonic() < deadline:
        time.sleep(0.02)
    with Store(db) as store:  # nobody else is writing it
        assert store.position(position(1).fingerprint) == position(1)

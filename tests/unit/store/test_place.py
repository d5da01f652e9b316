"""What may be a database, before anything is made of it: no folder, device, pipe or socket, and no other program's file."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

import sniffer
from sniffer.errors import NotOurDatabase, StoreError
from sniffer.store.place import check_begins_as_database, check_place
from sniffer.store.store import Store
from tests.unit.store.builders import batch, message, position


def test_a_pipe_is_neither_replaced_nor_waited_for(tmp_path: Path) -> None:
    """A device is the same to `stat`; making one takes root, and losing one is not for a test."""
    pipe = tmp_path / "orders.duckdb"
    os.mkfifo(pipe)
    for use in (check_place, Store, sniffer.connect):
        with pytest.raises(StoreError, match=r"orders\.duckdb: is no file but a device, a pipe or a socket; name a file"):
            use(pipe)
    with pytest.raises(StoreError, match="/dev/null: is no file but a device"):
        check_place(Path("/dev/null"))
    assert pipe.is_fifo()
    assert [path.name for path in tmp_path.iterdir()] == ["orders.duckdb"]


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is a folder; --db names a file"):
        check_place(tmp_path)


def test_what_is_not_there_yet_may_become_one(tmp_path: Path) -> None:
    check_place(tmp_path / "orders.duckdb")
    check_begins_as_database(tmp_path / "orders.duckdb")
    (tmp_path / "empty").touch()
    check_begins_as_database(tmp_path / "empty")


def test_the_first_bytes_tell(tmp_path: Path) -> None:
    ours = tmp_path / "orders.duckdb"
    with Store(ours) as store:
        store.append(batch(message()), position())
    check_begins_as_database(ours)
    for content in (b"x", b"not a database, but a text", bytes(4096)):
        (tmp_path / "other").write_bytes(content)
        with pytest.raises(NotOurDatabase, match="other: is not a DuckDB file; name another database with --db"):
            check_begins_as_database(tmp_path / "other")


def test_a_database_of_sqlite_fetches_no_extension(tmp_path: Path) -> None:
    """DuckDB would get a reader of it from the network, and run that."""
    path = tmp_path / "orders.sqlite"
    with sqlite3.connect(path) as made:
        made.execute("CREATE TABLE orders (id)")
    made.close()
    with pytest.raises(NotOurDatabase) as caught:
        sniffer.connect(path)
    assert "extension" not in str(caught.value)

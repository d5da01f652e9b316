"""DuckDB clients of other versions read what this one writes: `make clients` makes them, and runs this.

`SNIFFER_TEST_CLIENTS` lists them, separated by colons: Python interpreters that have duckdb, and DuckDB's own command lines
(programs called `duckdb`).
"""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
from pathlib import Path

import duckdb
import pytest

import sniffer.store.store
from sniffer.config import Settings
from sniffer.replay import replay_files
from tests.live.live_tools import ROOT, ROOT_ONLY
from tests.live.test_store_readers import CONSISTENT, OPENS, READER, consistent, db, run, writer

__all__ = ["db"]  # a fixture

CLIENTS = [client for client in os.environ.get("SNIFFER_TEST_CLIENTS", "").split(":") if client]
pytestmark = [
    pytest.mark.skipif(not CLIENTS, reason="SNIFFER_TEST_CLIENTS names no client; `make clients` makes some"),
    pytest.mark.timeout(60 + OPENS),
]

ASK = """
    import csv, sys
    import duckdb
    with duckdb.connect(sys.argv[1], read_only=True) as connected:
        csv.writer(sys.stdout).writerows(connected.execute(sys.argv[2]).fetchall())
"""
COLUMNS = "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'main' ORDER BY ALL"


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def full(db: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The demo's capture, in a database whose rows are sealed but for the last ones; and a table of the user's own."""
    monkeypatch.setattr(sniffer.store.store, "ROWS", 500)
    replay_files([str(ROOT / "pcaps/demo/demo.pcapng.gz")], Settings(db=db, keep="all"), replace=False)
    with duckdb.connect(str(db)) as own:
        own.execute("CREATE TABLE mine AS SELECT 1 AS one")
    assert len(list(db.parent.glob("orders.duckdb.d/*/*/*.parquet"))) > 3
    return db


def ask(client: str, db: Path, sql: str) -> list[list[str]]:
    """What a client answers, as text, null as an empty one; it opens the file read-only."""
    if Path(client).name == "duckdb":
        command = [client, "-readonly", "-csv", "-noheader", str(db), sql]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        code, out, err = done.returncode, done.stdout, done.stderr
    else:
        with run(ASK, db, sql, python=client) as process:
            out, err = process.communicate(timeout=60)
        code = process.returncode
    assert code == 0, err
    return [["" if value == "NULL" else value for value in row] for row in csv.reader(io.StringIO(out))]


def answer(db: Path, sql: str) -> list[list[str]]:
    """What our own DuckDB answers, as `ask` does."""
    with duckdb.connect(str(db), read_only=True) as connected:
        return [["" if value is None else str(value) for value in row] for row in connected.execute(sql).fetchall()]


def everything(db: Path) -> str:
    """A question about every column of every table and view, and about candles."""
    candles = [("candles(INTERVAL 1 MINUTE)", *row[:2]) for row in answer(db, "DESCRIBE FROM candles(INTERVAL 1 MINUTE)")]
    columns = [*map(tuple, answer(db, COLUMNS)), *candles]
    assert {"captures", "connections", "messages", "orders", "fills", "completeness"} <= {name for name, *_ in columns}
    parts = []
    for name, column, kind in columns:
        # sums of floating point numbers differ in their last digits, as threads come
        value = f'round("{column}", 6)::VARCHAR' if kind == "DOUBLE" else f'"{column}"::VARCHAR'
        parts.append(f"SELECT '{name}', '{column}', count(*), count(DISTINCT {value}), min({value}), max({value}) FROM {name}")
    return " UNION ALL ".join(parts)


def test_it_reads_every_table_and_view_as_we_do(client: str, full: Path) -> None:
    question = everything(full)
    expected = answer(full, question)
    assert sum(int(count) > 0 for _, _, count, *_ in expected) > 100
    assert ask(client, full, COLUMNS) == answer(full, COLUMNS)
    assert ask(client, full, question) == expected


@ROOT_ONLY
def test_it_reads_while_a_recording_runs(client: str, db: Path) -> None:
    """Each open succeeds; and one version, kept by a link, says to it what it says to us."""
    with writer(db) as process:
        if Path(client).name == "duckdb":
            looks = [[int(value or 0) for value in ask(client, db, CONSISTENT)[0]] for _ in range(OPENS // 10)]
            assert all(len(set(look)) == 1 for look in looks)
            assert looks == sorted(looks)
        else:
            with run(READER, db, OPENS, CONSISTENT, python=client) as reader:
                out, err = reader.communicate(timeout=OPENS)
            assert reader.returncode == 0, err
            assert json.loads(out)["times"] == OPENS
        version = db.with_name("version.duckdb")
        version.hardlink_to(db)
        question = everything(version)
        assert ask(client, version, question) == answer(version, question)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert ask(client, db, "SELECT count(*) FROM messages") == [[str(consistent(db))]]

"""One process writes and publishes, others read, interfere, or are killed: real processes on real files."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import duckdb
import pytest

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: to read as another user, and to interfere as root"),
]

OPENS = int(os.environ.get("SNIFFER_TEST_OPENS", "300"))
"""How often a reader opens the file; `make clients` asks for a thousand."""
HELD = float(os.environ.get("SNIFFER_TEST_HELD", "2"))
"""Seconds that a reader keeps the file open, and that the same is measured without it."""
ROOT = Path(__file__).resolve().parents[2]

WRITER = """
    import json, signal, sys, time
    from pathlib import Path
    import sniffer.store.files, sniffer.store.store
    from sniffer.store.store import Store
    from tests.unit.store.builders import batch, capture, event, message, position

    path, locks, rows, pause = Path(sys.argv[1]), sys.argv[2] == "locks", int(sys.argv[3]), float(sys.argv[4])
    if not locks:  # as on a file system that has none
        sniffer.store.files._lock_shared = lambda descriptor: True
    sniffer.store.store.ROWS = rows
    publishes = []
    stop = []
    signal.signal(signal.SIGINT, lambda *_: stop.append(True))
    with Store(path, live=True, group="nogroup") as store:
        found = store.position(("cap-1",))
        number = found.packets if found else 0
        print(number, flush=True)
        while not stop:
            for _ in range(5):
                number += 1
                made = batch(*(message(number * 10 + i) for i in range(10)), of=capture(packets=number))
                made.order_events.append(event(number, order_id=str(number), status="NEW"))
                store.append(made, position(number))
            began = time.monotonic()
            if line := store.watch():
                print(line, flush=True)
            store.publish()
            publishes.append((began, time.monotonic() - began))
            time.sleep(pause)
    print(json.dumps(publishes), flush=True)
"""

CONSISTENT = """
    SELECT
        (SELECT count(*) FROM messages), (SELECT count(DISTINCT position) FROM messages),
        (SELECT count(*) FROM order_events) * 10,
        (SELECT count(*) FROM orders) * 10, (SELECT packets FROM captures) * 10, (SELECT packets FROM _sniffer.position) * 10
"""


@pytest.fixture
def db() -> Iterator[Path]:
    """A database in a folder that every user may enter (pytest's own are the caller's alone)."""
    folder = Path(tempfile.mkdtemp(prefix="sniffer-store-"))
    folder.chmod(0o755)
    yield folder / "orders.duckdb"
    shutil.rmtree(folder)


def run(code: str, *arguments: object, python: str = sys.executable) -> subprocess.Popen[str]:
    command = [python, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)


def line(stream: IO[str] | None) -> str:
    assert stream is not None
    return stream.readline()


@contextlib.contextmanager
def writer(db: Path, *, locks: bool = True, rows: int = 2000, pause: float = 0.05) -> Iterator[subprocess.Popen[str]]:
    """A live writer that has begun; it is interrupted at the end, unless that was done already."""
    with run(WRITER, db, "locks" if locks else "none", rows, pause) as process:
        try:
            assert line(process.stdout).strip().isdecimal(), line(process.stderr)
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)


def consistent(db: Path) -> int:
    """Rows in the file as it is; a torn snapshot fails."""
    with duckdb.connect(str(db), read_only=True) as connected:
        counts = {count or 0 for count in connected.execute(CONSISTENT).fetchall()[0]}
    assert len(counts) == 1, counts
    return int(counts.pop())


READER = """
    import json, os, sys, time
    import duckdb
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
    path, times, statement = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    seen, slowest = [], 0.0
    for _ in range(times):
        began = time.monotonic()
        with duckdb.connect(path, read_only=True) as connected:
            counts = connected.execute(statement).fetchall()[0]
        slowest = max(slowest, time.monotonic() - began)
        assert len({count or 0 for count in counts}) == 1, counts
        seen.append(counts[0])
    assert seen == sorted(seen), "went back"
    print(json.dumps({"times": len(seen), "versions": len(set(seen)), "slowest": slowest}))
"""


@pytest.mark.slow
@pytest.mark.timeout(120 + OPENS)
def test_an_unprivileged_reader_opens_it_again_and_again(db: Path) -> None:
    with writer(db), run(READER, db, OPENS, CONSISTENT) as reader:
        out, err = reader.communicate(timeout=60 + OPENS)
    assert reader.returncode == 0, err
    result: dict[str, Any] = json.loads(out)
    print(result)
    assert result["times"] == OPENS
    assert result["versions"] > OPENS // 50
    assert list(db.parent.glob("orders.duckdb.d/messages/*/*.parquet")), "sealed rows were to be read too"
    consistent(db)


@pytest.mark.timeout(120 + 3 * HELD)
def test_a_reader_that_keeps_it_open_delays_nothing(db: Path) -> None:
    with writer(db) as process:
        time.sleep(HELD / 2)
        with duckdb.connect(str(db), read_only=True) as held:
            begun = time.monotonic()
            before = held.execute(CONSISTENT).fetchall()
            time.sleep(HELD)
            assert held.execute(CONSISTENT).fetchall() == before
            ended = time.monotonic()
        assert consistent(db) > int(before[0][0])
        time.sleep(HELD / 2)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    publishes = json.loads(out.splitlines()[-1])
    during = [took for at, took in publishes if begun < at < ended]
    without = [took for at, took in publishes if not begun < at < ended]
    for what, took in (("held", during), ("not held", without)):
        print(f"{what}: {len(took)} publishes, median {1e3 * statistics.median(took):.1f} ms, slowest {1e3 * max(took):.0f} ms")
    assert statistics.median(during) < 3 * statistics.median(without)
    assert max(during) < 1 + max(without)


FOREIGN = """
    import sys
    import duckdb
    connected = duckdb.connect(sys.argv[1])
    connected.execute("CREATE TABLE mine AS SELECT 1 AS one")
    print("written", flush=True)
    sys.stdin.read()
"""


def test_roots_read_write_client_is_refused_at_once(db: Path) -> None:
    with writer(db) as process:
        for _ in range(5):
            with run(FOREIGN, db) as client:
                out, err = client.communicate(timeout=30)
            assert out == ""
            assert f"PID {process.pid}" in err
            assert not db.with_name("orders.duckdb.wal").exists()
        consistent(db)


@pytest.mark.parametrize("killed", [True, False])
def test_without_locks_a_foreign_writer_breaks_no_open_for_more_than_a_second(db: Path, killed: bool) -> None:
    with writer(db, locks=False) as process:
        for _ in range(3):
            with run(FOREIGN, db) as client:
                assert line(client.stdout) == "written\n", line(client.stderr)
                if killed:
                    client.kill()
                    client.wait()
                end = time.monotonic() + 1
                while True:
                    try:
                        consistent(db)
                        break
                    except duckdb.Error:
                        if time.monotonic() > end:
                            raise
                        time.sleep(0.01)
                for _ in range(20):
                    consistent(db)
                client.kill()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert "orders.duckdb" in out
    consistent(db)


@pytest.mark.slow
def test_a_writer_killed_at_any_moment_leaves_a_whole_file(db: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    source = random.Random(seed)
    rows = 0
    for _ in range(20):
        with writer(db, rows=200, pause=0) as process:
            time.sleep(source.uniform(0, 0.5))
            process.kill()
            process.wait()
        now = consistent(db)
        assert now >= rows
        rows = now
    assert rows > 0
    with writer(db, rows=200) as process:
        time.sleep(0.5)
    assert consistent(db) > rows
    with duckdb.connect(str(db)) as own:  # it is its user's again
        own.execute("CREATE TABLE mine AS SELECT 1")

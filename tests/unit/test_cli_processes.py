"""The command line in a process of its own: signals, closed pipes, encodings and terminals."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path

import duckdb
import pytest

from tests.command_line import ORDERS, PCAPS, PROGRAM, Result, run

pytestmark = pytest.mark.usefixtures("settings_folder")


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "orders.duckdb"


def call(command: str, **options: object) -> subprocess.CompletedProcess[str]:
    """A shell command in which `sniffer` is the program."""
    script = f"sniffer() {{ {PROGRAM[0]} -c '{PROGRAM[2]}' \"$@\"; }}; set -o pipefail; {command}"
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=30, **options)  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize(
    "pipe",
    [
        'sniffer query "SELECT range FROM range(200000)" --db {db} | head -1',
        'sniffer query "SELECT 1" --db {db} --format csv | true',
        "sniffer --help | true",
        "sniffer tail --db {db} --json | true",
    ],
)
def test_a_reader_that_has_seen_enough(loaded: Path, pipe: str) -> None:
    done = call(pipe.format(db=loaded))
    assert done.stderr == ""
    assert done.returncode in (0, 1)


def test_letters_that_the_output_cannot_write_are_escaped(loaded: Path) -> None:
    done = call(f"""PYTHONUTF8=0 PYTHONIOENCODING=ascii sniffer query "SELECT 'ü' AS a" --db {loaded}""")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\xfc" in done.stdout


def interrupt(*arguments: str | Path, after: float, stdin: int | None = None) -> Result:
    pipe = subprocess.PIPE
    process = subprocess.Popen([*PROGRAM, *arguments], stdin=stdin, stdout=pipe, stderr=pipe, text=True)
    maps = Path(f"/proc/{process.pid}/maps")
    # It is still importing: a replay, whose store is a process of its own, numpy; other commands DuckDB.
    while process.poll() is None and maps.exists() and not any(map(maps.read_bytes().__contains__, (b"duckdb", b"numpy"))):
        time.sleep(0.02)
    time.sleep(after)
    assert process.poll() is None, "it has ended too early"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    return Result(process.returncode, out, err)


def test_ctrl_c_ends_tail_in_order(loaded: Path) -> None:
    result = interrupt("tail", "--db", loaded, after=0.8)
    assert (result.code, result.err) == (0, "")


def test_ctrl_c_ends_a_long_query_without_a_word(loaded: Path) -> None:
    sql = "SELECT sum(a.range * b.range) FROM range(10000000) AS a, range(10000) AS b"
    result = interrupt("query", sql, "--db", loaded, after=0.8)
    assert result.code == -signal.SIGINT
    assert (result.out, result.err) == ("", "")


def test_ctrl_c_ends_a_replay_that_waits_and_what_came_is_stored(db: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, ORDERS.read_bytes()[:6000])
    try:
        result = interrupt("replay", "-", "--db", db, after=0.8, stdin=reading)
    finally:
        os.close(reading)
        os.close(writing)
    assert result.code == 130
    assert "interrupted" in result.error
    with duckdb.connect(str(db), read_only=True) as connection:
        assert connection.execute("SELECT count(*) > 0 FROM order_events").fetchall() == [(True,)]


def in_terminal(*arguments: str | Path, columns: int) -> str:
    """What a terminal shows of a call."""
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("4H", 40, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")} | {"TERM": "xterm"}
    process = subprocess.Popen([*PROGRAM, *arguments], stdout=child, stderr=child, env=environment)
    os.close(child)
    shown = b""
    try:
        while piece := os.read(parent, 65536):
            shown += piece
    except OSError:  # the other end is closed: Linux says EIO
        pass
    os.close(parent)
    assert process.wait(10) == 0
    return shown.decode().replace("\r\n", "\n")


def test_a_table_fits_the_terminal(loaded: Path) -> None:
    narrow = in_terminal("query", "SELECT * FROM fills WHERE trade_id = '503'", "--db", loaded, columns=60)
    assert max(map(len, narrow.splitlines())) <= 60
    assert re.search(r"^trade_id +503$", narrow, flags=re.MULTILINE)
    piped = run("query", "SELECT * FROM fills WHERE trade_id = '503'", "--db", loaded).out
    assert len(piped.splitlines()) == 4, "a pipe gets the table as wide as it is"


def test_replay_shows_a_bar_on_a_terminal_only(db: Path) -> None:
    shown = in_terminal("replay", PCAPS / "demo" / "demo.pcapng.gz", "--db", db, columns=100)
    assert "replaying" in shown
    assert "order events" in shown
    assert run("replay", ORDERS, "--db", db).err == ""

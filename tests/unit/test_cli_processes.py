"""The command line in a process of its own: signals, closed pipes, encodings and terminals."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
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


@pytest.mark.parametrize(
    "command",
    [
        'query "SELECT 1" --db {db}',
        'query "SELECT range FROM range(200000)" --db {db} --format csv',
        "losses --db {db}",
        "tail --help",
        "--version",
    ],
)
@pytest.mark.parametrize("unbuffered", ["", "PYTHONUNBUFFERED=1 "])
def test_an_output_that_takes_nothing_is_one_line(loaded: Path, command: str, unbuffered: str) -> None:
    for output, why in ((">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")):
        done = call(f"{unbuffered}sniffer {command.format(db=loaded)} {output}")
        assert (done.returncode, done.stderr) == (1, f"sniffer: standard output: {why}\n")


def test_an_error_comes_before_that_of_the_output(loaded: Path) -> None:
    done = call("sniffer >/dev/full")
    assert (done.returncode, done.stderr) == (2, "")
    done = call(f"sniffer query 'SELECT nope' --db {loaded} >/dev/full")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "nope" in done.stderr


def test_other_streams_that_are_closed(loaded: Path, db: Path) -> None:
    done = call(f"sniffer query --format csv 'SELECT 1 AS a' --db {loaded} <&- 2>&-")
    assert (done.returncode, done.stdout) == (0, "a\n1\n")
    done = call(f"sniffer query 'SELECT nope' --db {loaded} 2>&-")
    assert (done.returncode, done.stdout) == (1, "")
    done = call(f"sniffer replay - --db {db} <&-")
    assert done.returncode == 1
    assert done.stderr.startswith("sniffer: -: this is empty")


@pytest.mark.parametrize(
    "command", ["query 'SELECT 1'", f"replay {ORDERS}", "doctor", "query 'SELECT 1' --db {db}", "service -i lo"]
)
def test_a_current_folder_that_is_gone(tmp_path: Path, loaded: Path, command: str) -> None:
    done = call(f"mkdir {tmp_path}/gone; cd {tmp_path}/gone; rmdir {tmp_path}/gone; sniffer {command.format(db=loaded)}")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "sniffer: the current folder is no longer there; `cd` to one that is\n"


@pytest.mark.parametrize(
    "command",
    [f"replay {ORDERS} --db $NAME", "query 'SELECT 1' --db $NAME", "export --db {db} $NAME", f"replay {ORDERS} --db $NAME/a"],
)
def test_a_name_that_duckdb_cannot_open(tmp_path: Path, loaded: Path, command: str) -> None:
    done = call(f"NAME=$'{tmp_path}/b\\xff.duckdb'; sniffer {command.format(db=loaded)}")
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"sniffer: \S*/b\\xff\.duckdb(/a)?: is not UTF-8, .*\n", done.stderr)
    assert not list(tmp_path.glob("b*"))


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    """Files and a folder that may not be used, not by root either: the commands run without that capability."""
    (tmp_path / "closed").mkdir()
    for name in ("keys.log", "sniffer.toml", "a.duckdb", "a.pcap", "closed"):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(0)
    yield tmp_path
    (tmp_path / "closed").chmod(0o700)


POWERLESS = "setpriv --bounding-set -dac_override,-dac_read_search "


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="root may read everything")
@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("query 'SELECT 1' --db a.duckdb", "a.duckdb: .* name another database with --db"),
        ("query 'SELECT 1' --db closed/a.duckdb", "closed/a.duckdb: Permission denied; name another, or let this user use it"),
        ("query 'SELECT 1' --config sniffer.toml", "sniffer.toml: .* Permission denied; name another file with --config"),
        ("redecode --db closed/a.duckdb", "closed/a.duckdb: Permission denied; name another, or let this user use it"),
        ("replay a.pcap", "a.pcap: Permission denied; name a capture file that you may read, or - for standard input"),
        (f"export-capture {ORDERS} -o closed/a", "closed/a: Permission denied; name another, or let this user use it"),
        (f"replay {ORDERS} --keylog closed --keylog keys.log", ""),
    ],
)
def test_what_may_not_be_read_is_one_line(closed: Path, command: str, text: str) -> None:
    powerless = POWERLESS if os.geteuid() == 0 else ""
    done = call(f"cd {closed}; {powerless}{PROGRAM[0]} -c '{PROGRAM[2]}' {command}")
    if text:
        assert (done.returncode, done.stdout) == (1 if "toml" not in text else 2, "")
        assert re.fullmatch(rf"sniffer: (\S*/)?{text}\n", done.stderr)
    else:
        assert done.returncode == 0, "a key log that cannot be read is a warning, as one that is missing"
        assert done.stderr.count("cannot be read: Permission denied") == 2


def test_a_capture_whose_name_is_not_utf_8_is_loaded(tmp_path: Path, db: Path) -> None:
    done = call(f"cp {ORDERS} $'{tmp_path}/b\\xff.pcap' && sniffer replay $'{tmp_path}/b\\xff.pcap' --db {db}")
    assert (done.returncode, done.stderr) == (0, "")
    with duckdb.connect(str(db), read_only=True) as connection:
        assert connection.execute("SELECT source FROM captures").fetchall() == [(f"{tmp_path}/b\\xff.pcap",)]


def test_ctrl_c_while_modules_are_loaded_says_nothing(tmp_path: Path) -> None:
    """Python itself takes some 10 ms to start, in which nobody can help."""
    (tmp_path / "typer.py").write_text("import time; print('loading', flush=True); time.sleep(20)")
    program = [sys.executable, "-c", "from sniffer.__main__ import main; main()", "query", "SELECT 1"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(tmp_path), *sys.path))}
    pipe = subprocess.PIPE
    with subprocess.Popen(program, stdout=pipe, stderr=pipe, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"loading\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=10) == (b"", b"")
    assert process.returncode == -signal.SIGINT


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

"""The command line as its user meets it: pages, options, errors and exit codes."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from sniffer import __version__
from tests.command_line import ORDERS, PCAPS, PROGRAM, run

COMMANDS = (
    *("record", "status", "service", "replay", "query", "tail", "losses", "export", "export-capture"),
    *("redecode", "decode", "exec", "doctor"),
)
HOSTILE = PCAPS / "hostile"
REFUSAL = "Account has insufficient balance for requested action."

pytestmark = pytest.mark.usefixtures("settings_folder")


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "orders.duckdb"


def rows(db: Path, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(db), read_only=True) as connection:
        return connection.execute(sql).fetchall()


# --- pages ----------------------------------------------------------------------------------------------------------------


def test_the_first_page_lists_every_command_on_a_line_of_its_own() -> None:
    page = run("--help").out
    listed = re.findall(r"^  ([a-z][a-z-]+)  .*[^.]\.$", page, flags=re.MULTILINE)
    assert tuple(listed) == COMMANDS, page  # a line that is cut ends in three dots
    assert run("-h").out == page


@pytest.mark.parametrize("command", COMMANDS)
def test_a_page_is_plain_explains_every_option_and_shows_an_example(command: str) -> None:
    result = run(command, "--help")
    assert result.code == 0
    assert not re.search(r"<\w+|[│╭\x1b]|\{", result.out.replace("'{\"", "")), "no Python types, frames or colours"
    assert max(map(len, result.out.splitlines())) <= 100
    assert (
        f"  sniffer {command} " in result.out
        or f"sudo sniffer {command} " in result.out
        or f"| sniffer {command} " in result.out
    )
    options = re.findall(r"^  (?:-\w, )?(--[\w-]+)(.*\n(?: {6,}.*\n)?)", result.out, flags=re.MULTILINE)
    assert options
    for name, text in options:
        assert len(text.split()) > 2, f"{name} is not explained"


def test_without_a_command_the_first_page_is_shown_and_the_call_is_wrong() -> None:
    result = run()
    assert (result.code, result.err) == (2, "")
    assert result.out.startswith("Usage: sniffer ")


def test_version() -> None:
    assert run("--version").out == f"sniffer {__version__}\n"


# --- wrong calls: exit code 2, one line that names the option and the way out ---------------------------------------------


@pytest.mark.parametrize(
    ("call", "named", "way_out"),
    [
        ("nope", "'nope'", "sniffer --help"),
        ("replay", "FILE", "sniffer replay --help"),
        ("replay --nope x", "--nope", "sniffer replay --help"),
        ("replay --port 70000 x", "--port: 70000", "1 to 65535"),
        ("replay --port 0 x", "--port: 0", "1 to 65535"),
        ("replay --port x y", "--port", "integer"),
        ("replay --keep some x", "--keep: 'some'", "orders or all"),
        ("replay ''", "FILE: an empty text", "sniffer replay --help"),
        ("export-capture '' -o x", "FILE: an empty text", "sniffer export-capture --help"),
        ("record -i ''", "--interface: an empty text", "sniffer record --help"),
        ("doctor -i ''", "--interface: an empty text", "sniffer doctor --help"),
        ("replay - -", "-: named 2 times", "once"),
        ("replay --config /nope.toml x", "/nope.toml", "--config"),
        ("query", "SQL", "sniffer query --help"),
        ("query --format xml x", "--format xml", "table, json, csv, markdown"),
        ("decode --venue nope x", "--venue nope", "binance-spot"),
        ("decode x", "--venue", "binance-spot"),
        ("decode --venue binance-spot --sender me x", "--sender me", "client or server"),
        ("decode --venue binance-spot --http nope x", "--http", "POST /api/v3/order"),
        ("decode --venue binance-spot /nope/x", "/nope/x", "name files"),
        ("record", "--interface", "sniffer record --help"),
        ("record -i lo --publish-interval 0", "--publish-interval: 0.0", "0.01 to 3600"),
        ("record -i lo --journal-max-bytes 5", "--journal-max-bytes: 5", "1048576"),
        ("record -i lo --user nobody-of-this-name", "--user nobody-of-this-name", "no such user"),
    ],
)
def test_a_wrong_call(call: str, named: str, way_out: str) -> None:
    result = run(*shlex.split(call))
    assert (result.code, result.out) == (2, "")
    assert named in result.error
    assert way_out in result.error


def test_a_host_that_does_not_resolve(db: Path) -> None:
    result = run("replay", ORDERS, "--db", db, "--host", "no-such-host.invalid")
    assert result.code == 2
    assert "--host no-such-host.invalid" in result.error
    assert "address" in result.error
    assert not db.exists()


@pytest.mark.parametrize("sql", ["DROP TABLE fills", "SELECT 1; SELECT 2", "", "SELEC", "COPY orders TO 'x.csv'"])
def test_a_query_that_is_none(loaded: Path, sql: str) -> None:
    result = run("query", sql, "--db", loaded)
    assert result.code == 2
    assert result.error.startswith("query: ")


# --- replay: what is no capture, or a damaged one -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["not-a-capture.pcap", "not-a-capture-gzip.pcap.gz", "empty.pcap", "no-section.pcapng"])
def test_what_is_no_capture_is_refused_and_nothing_is_made(name: str, db: Path) -> None:
    result = run("replay", HOSTILE / name, "--db", db)
    assert result.code == 1
    assert str(HOSTILE / name) in result.error
    assert not db.exists()


def test_a_folder_and_a_file_that_is_not_there(db: Path, tmp_path: Path) -> None:
    assert "*.pcap" in run("replay", tmp_path, "--db", db).error
    result = run("replay", ORDERS, tmp_path / "nope.pcap", "--db", db)
    assert result.code == 1
    assert str(tmp_path / "nope.pcap") in result.error
    assert not db.exists(), "a call with a mistyped name loads nothing"


@pytest.mark.parametrize(
    "name",
    [
        "pcap-cut-in-packet.pcap",
        "pcapng-cut.pcapng",
        "gzip-cut.pcap.gz",
        "block-length-huge.pcapng",
        "block-length-zero.pcapng",
    ],
)
def test_a_damaged_capture_is_decoded_as_far_as_it_goes(name: str, db: Path) -> None:
    truth = json.loads((HOSTILE / f"{name.partition('.')[0]}.json").read_text())
    result = run("replay", HOSTILE / name, "--db", db, "--keep", "all")
    assert result.code == 1
    said = re.search(r"stopped at byte (\d+): .*; what came before is stored$", result.error)
    assert said is not None
    assert int(said[1]) == (truth["damage"]["offset"] or 1038)  # inside gzip a truth does not say it
    wanted = len(truth["connections"][0]["messages"])
    assert rows(db, "SELECT count(*) FROM messages WHERE opcode <> 'http'") == [(wanted,)]
    ((reason,),) = rows(db, "SELECT reason FROM losses WHERE layer = 'capture'")
    assert f"at byte {said[1]}" in str(reason)


def test_a_link_type_that_is_not_supported_is_a_loss(db: Path) -> None:
    result = run("replay", HOSTILE / "link-type-unsupported.pcap", "--db", db)
    assert result.code == 0
    assert "link type 147 is not supported: 18 packets" in result.out
    assert rows(db, "SELECT bytes FROM losses") == [(1318,)]


def test_a_rotated_set_is_one_capture_and_damage_in_one_file_does_not_stop_the_others(db: Path, tmp_path: Path) -> None:
    first, second = PCAPS / "formats" / "rotated.pcap", PCAPS / "formats" / "rotated.pcap1"
    assert run("replay", second, first, "--db", db, "--keep", "all").code == 0
    assert rows(db, "SELECT count(*) FROM connections") == [(1,)]
    assert rows(db, "SELECT count(*) FROM losses") == [(0,)]
    cut = tmp_path / "cut.pcap1"
    cut.write_bytes(second.read_bytes()[:-10])
    other = tmp_path / "other.duckdb"
    result = run("replay", first, cut, ORDERS, "--db", other, "--keep", "all")
    assert result.code == 1
    assert f"{cut}: stopped at byte " in result.error
    assert rows(other, "SELECT count(DISTINCT order_id) FROM order_events")[0][0] == 9
    assert rows(other, "SELECT layer FROM losses WHERE layer = 'capture'") == [("capture",)]


def test_standard_input(db: Path) -> None:
    with ORDERS.open("rb") as packets:
        done = subprocess.run([*PROGRAM, "replay", "-", "--db", db], stdin=packets, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    assert "42 order events, 7 fills" in done.stdout


# --- replay again, and further --------------------------------------------------------------------------------------------


def test_again_changes_nothing_and_says_so(db: Path) -> None:
    run("replay", ORDERS, "--db", db)
    before = rows(db, "SELECT * FROM order_events ORDER BY ALL"), rows(db, "SELECT * FROM captures")
    result = run("replay", ORDERS, "--db", db)
    assert result.code == 0
    assert "already in" in result.out
    assert "nothing changed" in result.out
    assert "--replace" in result.out
    assert (rows(db, "SELECT * FROM order_events ORDER BY ALL"), rows(db, "SELECT * FROM captures")) == before


def test_replace_loads_anew(db: Path) -> None:
    run("replay", ORDERS, "--db", db)
    assert rows(db, "SELECT count(*) FROM messages WHERE kind = 'other'") == [(0,)]
    refused = run("replay", ORDERS, "--db", db, "--keep", "all")
    assert refused.code == 2
    assert refused.err.endswith("was loaded with no --host, --port or --keep; give the same, or --replace to load it anew\n")
    result = run("replay", ORDERS, "--db", db, "--keep", "all", "--replace")
    assert result.code == 0
    assert "42 order events, 7 fills" in result.out
    assert rows(db, "SELECT count(*) FROM order_events") == [(42,)]
    assert rows(db, "SELECT count(*) FROM fill_events") == [(7,)]
    assert rows(db, "SELECT count(*) > 0 FROM messages WHERE kind = 'other'") == [(True,)]


def test_a_file_that_has_grown_is_continued(db: Path, tmp_path: Path) -> None:
    whole = ORDERS.read_bytes()
    growing = tmp_path / "growing.pcap"
    growing.write_bytes(whole[: len(whole) // 2])
    assert run("replay", growing, "--db", db).code == 1
    growing.write_bytes(whole)
    result = run("replay", growing, "--db", db)
    assert result.code == 0
    assert "went on from there" in result.out
    at_once = tmp_path / "at-once.duckdb"
    run("replay", ORDERS, "--db", at_once)
    for table in ("messages", "order_events", "fill_events", "losses"):
        wanted = rows(at_once, f"SELECT * FROM {table} ORDER BY ALL")
        assert rows(db, f"SELECT * FROM {table} ORDER BY ALL") == wanted, table


# --- replay into what is not ours -----------------------------------------------------------------------------------------


def test_a_database_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "text.duckdb"
    text.write_text("hello, this is text\n" * 5)
    other = tmp_path / "other.duckdb"
    duckdb.connect(str(other)).execute("CREATE TABLE t AS SELECT 1 AS i").close()
    for file in (text, other):
        before = file.read_bytes()
        for call in (("replay", ORDERS), ("query", "SELECT 1"), ("tail",), ("export", tmp_path / "x.csv")):
            result = run(*call, "--db", file)
            assert result.code == 1
            assert str(file) in result.error
            assert "--db" in result.error
        assert file.read_bytes() == before
        assert sorted(path.name for path in tmp_path.iterdir()) == ["other.duckdb", "text.duckdb"]


def test_a_database_of_a_newer_version(db: Path) -> None:
    run("replay", ORDERS, "--db", db)
    with duckdb.connect(str(db)) as connection:
        connection.execute("UPDATE _sniffer.state SET format = 99")
    for call in (("replay", ORDERS), ("query", "SELECT 1"), ("tail",)):
        result = run(*call, "--db", db)
        assert result.code == 1
        assert "format 99" in result.error
        assert "upgrade" in result.error


def test_a_folder_or_a_missing_folder_as_database(tmp_path: Path) -> None:
    assert "--db" in run("replay", ORDERS, "--db", tmp_path).error
    result = run("replay", ORDERS, "--db", tmp_path / "nope" / "x.duckdb")
    assert result.code == 1
    assert str(tmp_path / "nope") in result.error


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", folder], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"a small disk takes the right to mount: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_one_line_and_what_was_published_stays(small_disk: Path) -> None:
    db = small_disk / "orders.duckdb"
    assert run("replay", ORDERS, "--db", db).code == 0
    before = rows(db, "SELECT * FROM order_events ORDER BY ALL")
    filling = small_disk / "filling"
    filling.write_bytes(bytes(6_500_000))
    result = run("replay", PCAPS / "demo" / "demo.pcapng.gz", "--db", db, "--keep", "all")
    assert result.code == 1
    assert str(db) in result.error
    assert rows(db, "SELECT * FROM order_events ORDER BY ALL") == before
    filling.unlink()
    assert run("replay", PCAPS / "websocket" / "binance-orders-compressed.pcap", "--db", db).code == 0


# --- reading --------------------------------------------------------------------------------------------------------------


def test_query_in_every_format(loaded: Path) -> None:
    sql = "SELECT symbol, price, reason FROM orders WHERE client_order_id = 'strategy-7-rej'"
    assert json.loads(run("query", sql, "--db", loaded, "--format", "json").out) == {
        "symbol": "EXMUSDT", "price": "7.25", "reason": REFUSAL,
    }  # fmt: skip
    assert run("query", sql, "--db", loaded, "--format", "csv").out == f"symbol,price,reason\nEXMUSDT,7.25,{REFUSAL}\n"
    assert run("query", sql, "--db", loaded, "--format", "markdown").out.splitlines()[1] == "|---|---:|---|"
    assert run("query", sql, "--db", loaded).out.endswith("(1 row)\n")


def test_query_of_a_database_that_is_not_there(tmp_path: Path) -> None:
    result = run("query", "SELECT 1", "--db", tmp_path / "nope.duckdb")
    assert result.code == 1
    assert "sniffer replay" in result.error
    assert not list(tmp_path.glob("nope*"))


def test_an_error_in_a_query_is_one_line(loaded: Path) -> None:
    result = run("query", "SELECT nope FROM orders", "--db", loaded)
    assert result.code == 1
    assert '"nope"' in result.error


def test_export_and_not_over_what_is_there(loaded: Path, tmp_path: Path) -> None:
    target = tmp_path / "fills.csv"
    assert run("export", target, "--db", loaded).out == f"wrote {target}\n"
    result = run("export", target, "--db", loaded)
    assert result.code == 2
    assert "--force" in result.error
    assert run("export", target, "--db", loaded, "--force").code == 0
    assert len(target.read_text().splitlines()) == 1 + 5


def test_decode(tmp_path: Path) -> None:
    message = tmp_path / "event.json"
    message.write_text(
        '{"e":"executionReport","E":1700000000123,"s":"EXMUSDT","c":"mine-1","S":"BUY","o":"LIMIT","f":"GTC","q":"2.50","p":"0.10",'
        '"P":"0","F":"0","g":-1,"C":"","x":"NEW","X":"NEW","r":"NONE","i":77,"l":"0","z":"0","L":"0","n":"0","N":null,'
        '"T":1700000000123,"t":-1,"I":1,"w":true,"m":false,"M":false,"O":1700000000123,"Z":"0","Y":"0","Q":"0"}'
    )
    result = run("decode", "--venue", "binance-spot", message)
    row = json.loads(result.out)
    assert (result.code, row["file"], row["table"]) == (0, str(message), "order_events")
    assert (row["price"], row["quantity"], row["order_id"]) == ("0.10", "2.50", "77")
    message.write_text('{"e":"executionReport","s":"EXMUSDT","X":"NEW","x":"NEW","i":77,"p":"many"}')
    broken = run("decode", "--venue", "binance-spot", message)
    assert broken.code == 1
    assert broken.error.startswith(str(message))
    message.write_text("eggs, milk")
    other = run("decode", "--venue", "binance-spot", message)
    assert (other.code, other.out) == (0, "")
    assert other.error.startswith(f"{message}: no order or fill in it")

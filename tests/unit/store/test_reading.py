"""Reading: always the present file, never another one, never a write."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

import sniffer
from sniffer.errors import NotOurDatabase, StoreError, UsageError
from sniffer.model import FillEvent, OrderEvent
from sniffer.store.export import export
from sniffer.store.read import query
from sniffer.store.store import Store
from sniffer.store.tail import Change, changes
from tests.unit.store.builders import MS, T0, batch, capture, connection, event, fill, loss, message, position


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """Two sealed appends and a recent one."""
    path = tmp_path / "orders.duckdb"
    with pytest.MonkeyPatch.context() as patch, Store(path) as store:
        patch.setattr("sniffer.store.store.ROWS", 1)
        for number in (1, 2):
            opened = connection(number, closed_at=T0, strategy=f"s{number}")
            rows = event(number, order_id=str(number), status="FILLED"), fill(number), message(number), loss(), opened
            store.append(batch(*rows, of=capture()), position(number))
        store.append(batch(message(100_000)), position(3))
        patch.setattr("sniffer.store.store.ROWS", 10**9)
        last = event(100_001, connection_id=2, order_id="3", status="NEW", price=Decimal("0.1"))
        store.append(batch(last, loss("capture ended")), position(4))
    return path


# --- connect ------------------------------------------------------------------------------------------------------------------


def test_connect_shows_the_file_as_it_is_now(db: Path) -> None:
    first = sniffer.connect(db)
    assert first.execute("SELECT count(*) FROM messages").fetchall() == [(3,)]
    with Store(db) as store:
        store.append(batch(message(5)), position(5))
        store.publish()
        second = sniffer.connect(str(db))
        assert first.execute("SELECT count(*) FROM messages").fetchall() == [(3,)]
        assert second.execute("SELECT count(*) FROM messages").fetchall() == [(4,)]
    assert sorted(path.name for path in db.parent.iterdir()) == ["orders.duckdb", "orders.duckdb.d"]


def test_times_with_a_zone_are_shown(db: Path) -> None:
    result = query(db, "SELECT TIMESTAMPTZ '2026-01-02 03:04:05+00' AS at, 7 AS number")
    assert result.columns == ["at", "number"]
    assert result.rows == [("2026-01-02 03:04:05+00", 7)]


def test_connect_does_not_write(db: Path) -> None:
    before = db.read_bytes()
    with sniffer.connect(db) as connected:
        for statement in (
            "INSERT INTO _sniffer.messages (position) VALUES (1)",
            "DROP VIEW fills",
            "CREATE TABLE mine (one INT)",
        ):
            with pytest.raises(duckdb.Error, match="read-only"):
                connected.execute(statement)
    assert db.read_bytes() == before


@pytest.mark.parametrize("name", ["memory", "temp", "system", 'my "odd" name', "_sniffer", "main", "orders.backup"])
def test_any_file_name_will_do(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.duckdb"
    with Store(path) as store:
        store.append(batch(message()), position())
    with sniffer.connect(path) as connected:
        assert connected.execute("SELECT (SELECT count(*) FROM messages), (SELECT count(*) FROM orders)").fetchall() == [(1, 0)]


def test_connect_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"nothing\.duckdb: no such database; `sniffer replay`"):
        sniffer.connect(tmp_path / "nothing.duckdb")
    with pytest.raises(StoreError, match="is a folder"):
        sniffer.connect(tmp_path)
    (tmp_path / "text").write_text("not a database, but a text that is long enough to hold a header")
    with pytest.raises(NotOurDatabase, match="name another database with --db") as caught:
        sniffer.connect(tmp_path / "text")
    assert "\n" not in str(caught.value)
    duckdb.connect(str(tmp_path / "own.duckdb")).close()
    with pytest.raises(NotOurDatabase, match="holds no sniffer tables"):
        sniffer.connect(tmp_path / "own.duckdb")


def test_connect_names_who_writes(db: Path) -> None:
    code = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code, str(db)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
        assert client.stdout is not None
        client.stdout.readline()
        with pytest.raises(StoreError, match=f"PID {client.pid}") as caught:
            sniffer.connect(db)
        assert "\n" not in str(caught.value)
        assert client.stdin is not None
        client.stdin.close()


# --- query --------------------------------------------------------------------------------------------------------------------


def test_query_gives_names_types_and_exact_values(db: Path) -> None:
    result = query(db, "SELECT captured_at, price, order_id, exchange_time FROM order_events WHERE order_id = '3'")
    assert result.columns == ["captured_at", "price", "order_id", "exchange_time"]
    assert result.types == ["TIMESTAMP_NS", "DECIMAL(38,18)", "VARCHAR", "TIMESTAMP_NS"]
    assert result.rows == [("2024-05-01T10:01:40.001000000", Decimal("0.1"), "3", None)]


_NS = "TIMESTAMP_NS '2024-01-01 00:00:00.123456789'"
_SHOWN = "2024-01-01 00:00:00.123456789"


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("12345678901234.56::DOUBLE", 12345678901234.56),
        ("0.1::FLOAT", 0.1),
        ("INTERVAL '-5 milliseconds'", "-00:00:00.005"),
        ("INTERVAL 1 MONTH", "1 month"),
        (f"{_NS}", "2024-01-01T00:00:00.123456789"),
        ("[1.000000000000000001::DECIMAL(38, 18)]", [Decimal("1.000000000000000001")]),
        (
            f"{{'at': {_NS}, 'p': 12345678901234567890.000000000000000001::DECIMAL(38, 18)}}",
            {"at": _SHOWN, "p": Decimal("12345678901234567890.000000000000000001")},
        ),
        ("NULL::INTERVAL", None),
        ("TIME_NS '10:00:00.123456789'", "10:00:00.123456789"),
        ("TIMESTAMP_NS 'infinity'", "infinity"),
        (f"[{_NS}, NULL]", [_SHOWN, None]),
        (f"[[{_NS}]]", [[_SHOWN]]),
        ("[INTERVAL 1 MONTH]::INTERVAL[1]", ["1 month"]),
        (f"{{'it''s': {_NS}, 'b': [INTERVAL 1 DAY], 'c': 1}}", {"it's": _SHOWN, "b": ["1 day"], "c": 1}),
        ("NULL::STRUCT(a INTERVAL)", None),
        ("ROW(1, INTERVAL 1 DAY)", [1, "1 day"]),
        (f"MAP {{INTERVAL 1 DAY: [{{'at': {_NS}}}]}}", {"1 day": [{"at": _SHOWN}]}),
        ("NULL::MAP(VARCHAR, INTERVAL)", None),
        ("union_value(a := INTERVAL 1 DAY)", {"a": "1 day"}),
        ("'2024-01-01 00:00:00.5'::TIMESTAMPTZ", "2024-01-01 00:00:00.5+00"),
        ("[TIMESTAMPTZ '2024-01-01 00:00:00+01']", ["2023-12-31 23:00:00+00"]),
        ("{'a': [1], 'b': MAP {'x': 1.5}}", {"a": [1], "b": {"x": Decimal("1.5")}}),
    ],
)
def test_query_keeps_what_python_has_no_type_for_and_lists_stay_lists(db: Path, sql: str, value: object) -> None:
    assert query(db, f"SELECT {sql} AS a").rows == [(value,)]


@pytest.mark.parametrize(
    "sql",
    [
        "SHOW TABLES",
        "DESCRIBE orders",
        "SUMMARIZE fills",
        "EXPLAIN SELECT 1",
        "EXPLAIN ANALYZE SELECT count(*) FROM messages",
        "FROM candles(INTERVAL 15 MINUTE)",
        "WITH a AS (SELECT 1) FROM a;",
        "SELECT 'copy é' AS \"copy\" -- COPY",
        "FROM messages WHERE false",
    ],
)
def test_query_runs_what_reads(db: Path, sql: str) -> None:
    assert query(db, sql).columns


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO _sniffer.messages (position) VALUES (1)",
        "CREATE TEMP TABLE mine AS SELECT 1",
        "COPY orders TO '{target}'",
        "WITH a AS (COPY (SELECT 1) TO '{target}') SELECT 1",
        "SELECT 'ééé' FROM (SELECT 1) UNION ALL (WITH a AS (COPY (SELECT 1) TO '{target}') SELECT '1')",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{target}'",
        "explain analyze /* */ copy (SELECT 1) TO '{target}'",
        "EXPORT DATABASE '{target}'",
        "ATTACH '{target}' AS other",
        "SET enable_external_access = true",
        "PRAGMA threads = 1",
        "CALL pragma_version()",
        "SELECT 1; SELECT 2",
        "INSTALL httpfs",
        "",
        "SELEC 1",
        "SELECT '\ud800'",
    ],
)
def test_query_refuses_what_may_write(db: Path, sql: str) -> None:
    target = next(db.parent.glob("orders.duckdb.d/messages/date=*/*.parquet"))  # the one place that it may read
    before = target.read_bytes()
    with pytest.raises(UsageError, match=r"^query: ") as caught:
        query(db, sql.format(target=target))
    assert "\n" not in str(caught.value)
    assert target.read_bytes() == before


@pytest.mark.parametrize(
    "sql",
    [
        "FROM read_text('/etc/passwd')",
        "FROM read_csv('/etc/passwd')",
        "FROM glob('/etc/*')",
        "FROM '{db}'",
        "FROM query('WITH a AS (COPY (SELECT 1) TO ''{db}.csv'') SELECT 1')",
        "FROM no_such_table",
        "SELECT 1 / 'a'",
    ],
)
def test_query_sees_the_database_and_nothing_else(db: Path, sql: str) -> None:
    with pytest.raises(StoreError, match=r"^query: ") as caught:
        query(db, sql.format(db=db))
    assert "\n" not in str(caught.value)


# --- tail ---------------------------------------------------------------------------------------------------------------------


def test_tail_shows_each_row_once_whatever_its_time(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown, cursor = changes(db)
    assert shown == []
    assert changes(db, cursor) == ([], cursor)
    early = event(-50_000, order_id="early", status="NEW", price=Decimal("0.1"))
    with Store(db) as store:
        assert changes(db, cursor)[0] == []
        store.append(batch(early, fill(9)), position(5))
        store.publish()
        shown, cursor = changes(db, cursor)
        assert shown == [Change(early, "s1"), Change(fill(9), "s1")]
        monkeypatch.setattr("sniffer.store.store.ROWS", 1)
        store.append(batch(event(10, connection_id=77)), position(6))  # sealed at once, with all before it
        store.append(batch(message(11)), position(7))
        store.publish()
        shown, cursor = changes(db, cursor)
        assert shown == [Change(event(10, connection_id=77), None)]
        store.publish()
        assert changes(db, cursor)[0] == []


def test_tail_may_begin_some_appends_ago(db: Path) -> None:
    assert [type(one.event) for one in changes(db, since=99)[0]] == [OrderEvent, FillEvent, OrderEvent, FillEvent, OrderEvent]
    assert [one.event.captured_at for one in changes(db, since=1)[0]] == [T0 + 100_001 * MS]


def test_tail_begins_anew_with_another_database(db: Path) -> None:
    _, cursor = changes(db)
    db.unlink()
    with Store(db) as store:
        store.append(batch(event(1)), position(1))
    assert [one.event for one in changes(db, cursor)[0]] == [event(1)]
    db.unlink()
    with pytest.raises(StoreError, match="no such database"):
        changes(db, cursor)


# --- export -------------------------------------------------------------------------------------------------------------------

VIEWS = ("captures", "connections", "messages", "order_events", "fill_events", "losses", "orders", "orders_all", "fills")


def contents(path: Path) -> dict[str, list[object]]:
    with sniffer.connect(path) as connected:
        return {view: list(connected.execute(f"FROM {view} ORDER BY ALL").fetchall()) for view in VIEWS}


def test_export_to_duckdb_stands_alone_and_can_go_on(db: Path, tmp_path: Path) -> None:
    with duckdb.connect(str(db)) as own:
        own.execute("CREATE TABLE notes AS SELECT 'mine' AS note; CREATE SCHEMA lab; CREATE TABLE lab.t AS SELECT 1 AS one")
        own.execute('CREATE SCHEMA "the ""lab"""; CREATE TABLE "the ""lab"""."t ""1""" AS SELECT 1 AS one')
    target = tmp_path / "elsewhere" / "copy.duckdb"
    assert export(db, target) == [target]
    wanted = contents(db)
    (tmp_path / "orders.duckdb.d").rename(tmp_path / "gone")
    assert contents(target) == wanted
    with duckdb.connect(str(target)) as bare:
        assert bare.execute(
            "SELECT note, one, (SELECT count(*) FROM candles(INTERVAL 1 DAY)) FROM notes, lab.t"
        ).fetchall() == [("mine", 1, 1)]
        assert bare.execute('FROM "the ""lab"""."t ""1"""').fetchall() == [(1,)]
        tags = bare.execute("SELECT tags FROM duckdb_databases() WHERE NOT internal").fetchall()[0][0]
    assert tags["storage_version"].startswith("v1.4.0")
    with Store(target) as store:
        assert store.position(("cap-1",)) == position(4)
        store.append(batch(event(100_002, order_id="3", status="CANCELED")), position(5))
    assert query(target, "SELECT status FROM orders WHERE order_id = '3'").rows == [("CANCELED",)]
    assert sorted(path.name for path in target.parent.iterdir()) == ["copy.duckdb"]


@pytest.mark.parametrize(
    ("name", "reader"), [("out.parquet", "read_parquet"), ("out.csv", "read_csv"), ("out", "read_parquet")]
)
def test_export_to_files(db: Path, tmp_path: Path, name: str, reader: str) -> None:
    written = export(db, tmp_path / name)
    assert {path.name.split(".")[-2] for path in written} == set(VIEWS) - {"orders_all"}
    counted = {
        path.name.split(".")[-2]: duckdb.sql(f"SELECT count(*) FROM {reader}('{path}')").fetchall()[0][0] for path in written
    }
    assert counted == {
        "captures": 1,
        "connections": 2,
        "messages": 3,
        "order_events": 3,
        "fill_events": 2,
        "losses": 3,
        "orders": 3,
        "fills": 2,
    }
    assert not list(tmp_path.glob("**/.export-*"))


def test_export_of_one_table(db: Path, tmp_path: Path) -> None:
    assert export(db, tmp_path / "order_events.csv") == [tmp_path / "order_events.csv"]
    assert "2024-05-01 10:01:40.001" in (tmp_path / "order_events.csv").read_text()
    assert "0.100000000000000000" in (tmp_path / "order_events.csv").read_text()


def test_export_overwrites_only_when_told(db: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.duckdb"
    target.write_text("dear")
    with pytest.raises(UsageError, match=r"copy\.duckdb: exists; --force overwrites it"):
        export(db, target)
    assert target.read_text() == "dear"
    export(db, target, force=True)
    assert contents(target) == contents(db)
    with pytest.raises(UsageError, match="is the database itself"):
        export(db, db, force=True)
    with pytest.raises(UsageError, match=r"export knows \.duckdb, \.parquet, \.csv"):
        export(db, tmp_path / "out.xlsx")
    with pytest.raises(UsageError, match="-: export writes files alone"):
        export(db, "-")


@pytest.mark.parametrize(
    ("mode", "file_mode", "folder_mode"),
    [(0o640, 0o640, 0o750), (0o440, 0o640, 0o750), (0o600, 0o600, 0o700), (0o644, 0o644, 0o755)],
)
def test_export_is_for_those_who_may_read_the_database(
    db: Path, tmp_path: Path, mode: int, file_mode: int, folder_mode: int
) -> None:
    def modes(path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    db.chmod(mode)
    before = os.umask(0o022)
    try:
        written = [file for name in ("copy.duckdb", "fills.csv", "folder") for file in export(db, tmp_path / name)]
        assert {modes(file) for file in written} == {file_mode}
        assert modes(tmp_path / "folder") == folder_mode
        os.umask(0o077)
        assert [modes(file) for file in export(db, tmp_path / "mine" / "fills.csv")] == [0o600]
        assert modes(tmp_path / "mine") == 0o700
    finally:
        os.umask(before)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_export_is_not_for_another_group(db: Path, tmp_path: Path) -> None:
    db.chmod(0o640)
    os.chown(db, -1, 12345)
    assert stat.S_IMODE(export(db, tmp_path / "fills.csv")[0].stat().st_mode) == 0o600


def test_export_replaces_files_only(db: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    with pytest.raises(UsageError, match=r"plain: is no folder, as a name without suffix is"):
        export(db, plain, force=True)
    for name in ("fills.csv", "copy.duckdb"):
        pipe = tmp_path / name
        os.mkfifo(pipe)
        with pytest.raises(UsageError, match=rf"{name}: is there, and is not a file"):
            export(db, pipe, force=True)
        assert pipe.is_fifo()


def test_export_that_fails_leaves_nothing(db: Path, tmp_path: Path) -> None:
    (tmp_path / "in the way").write_text("a file")
    with pytest.raises(StoreError, match="in the way"):
        export(db, tmp_path / "in the way" / "copy.duckdb")
    next(db.parent.glob("orders.duckdb.d/messages/date=*/*.parquet")).unlink()
    with pytest.raises(StoreError) as caught:
        export(db, tmp_path / "copy.duckdb")
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in the way", "orders.duckdb", "orders.duckdb.d"]

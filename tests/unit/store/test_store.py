"""The writer: rows exactly as given, positions with them, one file that is its user's when the run has ended."""

from __future__ import annotations

import os
import random
import re
import stat
import subprocess
import sys
import textwrap
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

import sniffer
from sniffer.errors import NotOurDatabase, StoreError
from sniffer.model import Batch, Position
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


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "orders.duckdb"


def rows(db: Path, sql: str) -> list[tuple[Any, ...]]:
    with sniffer.connect(db) as connected:
        return connected.execute(sql).fetchall()


def load(db: Path, made: Batch, to: Position | None = None, **options: Any) -> None:
    with Store(db, **options) as store:
        store.append(made, to or position())


def child(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


# --- the contract -------------------------------------------------------------------------------------------------------------


def test_tables_are_those_of_the_contract(db: Path) -> None:
    load(db, batch(message()))
    contract = (Path(sniffer.__file__).parent / "store" / "schema.sql").read_text()
    with sniffer.connect(db) as connected:
        for table, body in re.findall(r"CREATE TABLE (\w+) \(.*?\n(.*?)\n\);", contract, re.S):
            wanted = re.findall(r"^\s+(\w+)\s+([A-Z_]+(?:\(38, 18\))?)", body, re.M)
            found = connected.execute(f"DESCRIBE {table}").fetchall()
            assert [(name, kind.replace(",", ", ")) for name, kind, *_ in found] == wanted
        names = {name for (name,) in connected.execute("SHOW TABLES").fetchall()}
    assert names == {
        "captures",
        "completeness",
        "connections",
        "messages",
        "order_events",
        "fill_events",
        "losses",
        "orders",
        "orders_all",
        "fills",
    }


def test_rows_come_back_as_they_went_in(db: Path) -> None:
    huge, tiny = Decimal("99999999999999999999.999999999999999999"), Decimal("-0.000000000000000001")
    odd = event(1, price=huge, stop_price=tiny, quantity=Decimal("1E+3"), reason="a\0b 'quoted' \N{GREEK SMALL LETTER MU}")
    load(
        db, batch(odd._replace(captured_at=T0 + 123_456_789), message(2, payload=None, payload_blob=b"\0\xff", opcode="binary"))
    )
    ((at, price, stop, quantity, reason, exchange),) = rows(
        db, "SELECT epoch_ns(captured_at), price, stop_price, quantity, reason, exchange_time FROM order_events"
    )
    assert (at, price, stop, quantity, reason, exchange) == (T0 + 123_456_789, huge, tiny, 1000, odd.reason, None)
    assert rows(db, "SELECT payload, payload_blob FROM messages") == [(None, b"\0\xff")]


def test_the_file_opens_with_older_clients(db: Path) -> None:
    load(db, batch(message()))
    with duckdb.connect(str(db), read_only=True) as connected:
        tags = connected.execute("SELECT tags FROM duckdb_databases() WHERE NOT internal").fetchall()[0][0]
    assert tags["storage_version"].startswith("v1.4.0")


@pytest.mark.parametrize(
    "bad",
    [
        event(1, price=Decimal("1E+20")),
        event(1, price=Decimal("1E-19")),
        event(1, price=Decimal("NaN")),
        event(1, reason="\ud800"),
        event(1, position=2**63),
        event(1, captured_at="yesterday"),
        connection(1, client_port=2**40),
    ],
)
def test_what_does_not_fit_is_one_line_and_nothing_of_it_is_stored(db: Path, bad: Any) -> None:
    with Store(db) as store:
        store.append(batch(event(0)), position(1))
        with pytest.raises(StoreError, match=r"^\w+\.\w+: a value does not fit") as caught:
            store.append(batch(event(2), bad), position(2))
        assert "\n" not in str(caught.value)
        store.append(batch(event(3)), position(3))
    assert rows(db, "SELECT position FROM order_events ORDER BY 1") == [(0,), (3,)]
    assert rows(db, "SELECT packets FROM _sniffer.position") == [(3,)]


# --- positions ----------------------------------------------------------------------------------------------------------------


def test_position_is_found_by_the_packets_that_both_have(db: Path) -> None:
    load(db, batch(), position(2, "short", digests=("a", "ab")))
    load(db, batch(), position(9, "long", digests=("a", "ab", "abc", "abcd")))
    with Store(db) as store:
        assert store.position(("a", "ab", "abx")) == position(2, "short", digests=("a", "ab"))
        assert store.position(("a", "ab", "abc", "abcd", "abcde")) == position(9, "long", digests=("a", "ab", "abc", "abcd"))
        assert store.position(("a",)) is not None  # a cut copy of either
        assert store.position(("b", "bb")) is None
        assert store.position(()) is None


def test_a_position_names_the_connections_that_wait_for_keys(db: Path) -> None:
    for keyless in (("a1", "b2"), (), ("c3",)):
        wanted = position(1)._replace(keyless=keyless)
        load(db, batch(), wanted)
        with Store(db) as store:
            assert store.position(("cap-1",)) == wanted


def test_going_on_with_a_complete_capture_withdraws_its_end(db: Path) -> None:
    load(db, batch(loss("torn"), event(0, order_id="1", status="NEW")), position(1))
    end = [event(1, order_id="1", status="FILLED"), event(1, order_id="2", status="NEW"), message(1)]
    load(db, batch(*end, loss("capture ended inside a message")), position(1, complete=True))
    load(db, batch(loss("capture ended", "other")), position(1, "other", complete=True))
    assert rows(db, "SELECT order_id, status FROM orders ORDER BY 1") == [("1", "FILLED"), ("2", "NEW")]
    load(db, batch(loss("late"), event(2, order_id="1", status="CANCELED")), position(2))
    reasons = [("cap", "late"), ("cap", "torn"), ("other", "capture ended")]
    assert rows(db, "SELECT capture_id, reason FROM losses ORDER BY ALL") == reasons
    assert rows(db, "SELECT order_id, status FROM orders") == [("1", "CANCELED")]
    assert rows(db, "SELECT count(*) FROM messages") == [(0,)]


def test_an_order_known_by_its_request_alone_outlives_a_withdrawn_answer(db: Path) -> None:
    asked = event(0, kind="request", action="place", request_id="r1", order_id=None, client_order_id=None)
    load(db, batch(asked), position(1))
    refused = asked._replace(kind="response", status="REJECTED", captured_at=T0 + MS, position=1, sender="server")
    load(db, batch(refused), position(1, complete=True))
    assert rows(db, "SELECT status FROM orders") == [("REJECTED",)]
    load(db, batch(), position(2))
    assert rows(db, "SELECT status FROM orders") == [("PENDING_NEW",)]


def test_a_withdrawn_update_leaves_the_request_that_made_the_order(db: Path) -> None:
    asked = event(0, kind="request", action="place", request_id="r1", order_id=None, client_order_id=None)
    answer = event(1, kind="response", action="place", request_id="r1", order_id="7", client_order_id=None, status="NEW")
    load(db, batch(asked, answer), position(1))
    load(db, batch(event(2, order_id="7", client_order_id=None, status="FILLED")), position(1, complete=True))
    load(db, batch(), position(2))
    assert rows(db, "SELECT order_id, status, epoch_ns(requested_at) FROM orders") == [("7", "NEW", T0)]


def test_captures_and_connections_are_replaced(db: Path) -> None:
    with Store(db) as store:
        store.append(batch(connection(1), connection(2), of=capture(packets=1)), position(1))
        store.append(batch(connection(1), connection(1, closed_at=T0 + SECOND), of=capture(packets=5)), position(2))
    assert rows(db, "SELECT packets FROM captures") == [(5,)]
    assert rows(db, "SELECT connection_id, epoch_ns(closed_at) FROM connections ORDER BY 1") == [(1, T0 + SECOND), (2, None)]


# --- runs ---------------------------------------------------------------------------------------------------------------------


def test_nothing_is_made_or_changed_for_nothing(db: Path) -> None:
    Store(db).close()
    assert list(db.parent.iterdir()) == []
    load(db, batch(message()))
    before = db.read_bytes(), db.stat().st_ino
    with Store(db) as store:
        store.publish()
    assert (db.read_bytes(), db.stat().st_ino) == before
    assert list(db.parent.iterdir()) == [db]


def test_what_is_appended_shows_when_published(db: Path) -> None:
    with Store(db) as store:
        store.append(batch(message(1)), position(1))
        store.publish()
        store.append(batch(message(2)), position(2))
        assert rows(db, "SELECT count(*) FROM messages") == [(1,)]
        store.publish()
        assert rows(db, "SELECT count(*) FROM messages") == [(2,)]


def test_live_the_file_is_there_and_read_only_and_then_its_users(db: Path) -> None:
    with Store(db, live=True) as store:
        assert stat.S_IMODE(db.stat().st_mode) == 0o440
        assert rows(db, "SELECT count(*) FROM orders") == [(0,)]
        assert stat.S_IMODE((db.parent / "orders.duckdb.d" / "private").stat().st_mode) == 0o700
        store.append(batch(message()), position())
        store.publish()
        assert stat.S_IMODE(db.stat().st_mode) == 0o440
    assert stat.S_IMODE(db.stat().st_mode) == 0o640
    with duckdb.connect(str(db)) as own:
        own.execute("CREATE TABLE mine AS SELECT 1 AS one")


def test_the_users_mode_survives(db: Path) -> None:
    load(db, batch(message(1)))
    db.chmod(0o644)
    load(db, batch(message(2)), position(2), live=True)
    assert stat.S_IMODE(db.stat().st_mode) == 0o644


def test_what_the_user_made_survives_the_next_run(db: Path) -> None:
    load(db, batch(message(1), fill(1)))
    with duckdb.connect(str(db)) as own:
        own.execute("CREATE TABLE notes AS SELECT 'mine' AS note; CREATE VIEW bought AS SELECT * FROM fills WHERE side = 'buy'")
    load(db, batch(message(2), fill(2)), position(2))
    assert rows(db, "SELECT note, (SELECT count(*) FROM bought) FROM notes") == [("mine", 2)]


WITH_WAL = """
    import duckdb, os, sys
    connected = duckdb.connect(sys.argv[1])
    connected.execute("SET wal_autocheckpoint = '1GB'")
    connected.execute("CREATE TABLE notes AS SELECT 'mine' AS note")
    os._exit(9)
"""


def test_the_wal_of_a_killed_session_of_the_user_is_taken_in(db: Path) -> None:
    load(db, batch(message(1)))
    child(WITH_WAL, db)
    wal = db.with_name("orders.duckdb.wal")
    assert wal.exists()
    with Store(db) as store:
        assert not wal.exists()
        assert store.watch() is None
        assert rows(db, "SELECT note FROM notes") == [("mine",)]
    assert sorted(path.name for path in db.parent.iterdir()) == ["orders.duckdb"]


@pytest.mark.parametrize("renamed", [False, True])
def test_a_run_killed_while_it_took_a_wal_in_loses_nothing(db: Path, renamed: bool) -> None:
    load(db, batch(message(1)))
    child(WITH_WAL, db)
    folder = db.with_name("orders.duckdb.d")
    folder.mkdir()
    db.with_name("orders.duckdb.wal").rename(folder / "adopted.wal")
    if renamed:  # the file with all in it had been put in place already
        aside = db.with_name("copy.duckdb")
        aside.write_bytes(db.read_bytes())
        aside.with_name("copy.duckdb.wal").write_bytes((folder / "adopted.wal").read_bytes())
        duckdb.connect(str(aside)).close()
        aside.rename(db)
    Store(db).close()
    assert rows(db, "SELECT note, (SELECT count(*) FROM messages) FROM notes") == [("mine", 1)]


def test_a_foreign_wal_beside_a_killed_run_is_put_aside(db: Path) -> None:
    load(db, batch(message(1)))
    other = db.with_name("other.duckdb")
    load(other, batch(message(1), message(2)))
    child(WITH_WAL, other)
    other.with_name("other.duckdb.wal").rename(db.with_name("orders.duckdb.wal"))
    with Store(db) as store:
        found = store.watch()
        assert found is not None
        assert "foreign-" in found
        assert "\n" not in found
        store.append(batch(message(2)), position(2))
    assert rows(db, "SELECT count(*) FROM messages") == [(2,)]
    assert [path.suffix for path in db.with_name("orders.duckdb.d").iterdir()] == [".wal"]


def test_a_run_killed_without_an_end_goes_on_from_the_published_file(db: Path) -> None:
    child(
        """
        import os, sys
        from pathlib import Path
        from sniffer.store.store import Store
        from tests.unit.store.builders import batch, message, position
        store = Store(Path(sys.argv[1]), live=True)
        store.append(batch(message(1)), position(1)); store.publish()
        store.append(batch(message(2)), position(2))
        os._exit(9)
        """,
        db,
    )
    assert stat.S_IMODE(db.stat().st_mode) == 0o440
    with Store(db) as store:
        assert store.position(("cap-1",)) == position(1)
        store.append(batch(message(2)), position(2))
    assert rows(db, "SELECT position FROM messages ORDER BY 1") == [(1,), (2,)]
    assert stat.S_IMODE(db.stat().st_mode) == 0o640


# --- others at the same file --------------------------------------------------------------------------------------------------


def test_two_stores_on_one_database(db: Path) -> None:
    with Store(db), pytest.raises(StoreError, match=rf"another sniffer \(PID {os.getpid()}\) is writing it"):
        Store(db)
    Store(db).close()


def test_a_client_that_writes_keeps_the_store_out_and_is_named(db: Path) -> None:
    load(db, batch(message()))
    code = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code, str(db)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
        assert client.stdout is not None
        client.stdout.readline()
        with pytest.raises(StoreError, match=rf"PID {client.pid} \(\S+\) has it open for writing"):
            Store(db)
        assert client.stdin is not None
        client.stdin.close()
    assert [path.name for path in db.parent.iterdir()] == ["orders.duckdb"]


@pytest.mark.parametrize("live", [True, False])
def test_a_store_keeps_writers_out_and_lets_readers_in(db: Path, live: bool) -> None:
    load(db, batch(message(1)))
    read = (
        "import duckdb, sys; print(duckdb.connect(sys.argv[1], read_only=True).sql('SELECT count(*) FROM messages').fetchall())"
    )
    write = "import duckdb, sys; duckdb.connect(sys.argv[1]).execute('CREATE TABLE mine AS SELECT 1')"
    with Store(db, live=live) as store:
        for number in (1, 2):
            refused = child(write, db)
            assert "Could not set lock" in refused.stderr
            assert str(os.getpid()) in refused.stderr
            assert child(read, db).stdout == f"[({number},)]\n"
            store.append(batch(message(2)), position(2))
            store.publish()
    assert child(write, db).returncode == 0


def test_watch_undoes_what_a_foreign_hand_did(db: Path) -> None:
    other = db.with_name("other.duckdb")
    load(other, batch())
    child(WITH_WAL, other)
    with Store(db, live=True) as store:
        store.append(batch(message(1)), position(1))
        store.publish()
        assert store.watch() is None
        other.with_name("other.duckdb.wal").rename(db.with_name("orders.duckdb.wal"))
        with pytest.raises(duckdb.Error):
            duckdb.connect(str(db), read_only=True)
        assert "left this beside a newer file" in (store.watch() or "")
        assert rows(db, "SELECT count(*) FROM messages") == [(1,)]
        db.unlink()
        assert "was removed" in (store.watch() or "")
        assert rows(db, "SELECT count(*) FROM messages") == [(1,)]
        db.with_name("theirs").write_text("theirs")
        db.with_name("theirs").rename(db)
        found = store.watch() or ""
        assert "was replaced" in found
        assert Path(found.split()[-1]).read_text() == "theirs"
        assert rows(db, "SELECT count(*) FROM messages") == [(1,)]
        assert store.watch() is None


# --- not ours -----------------------------------------------------------------------------------------------------------------


def test_not_a_database(db: Path) -> None:
    db.write_text("just some text that a user keeps here")
    with pytest.raises(NotOurDatabase, match=r"orders.duckdb: is not a DuckDB file; name another .*--db"):
        Store(db)
    assert db.read_text().startswith("just some text")
    assert list(db.parent.iterdir()) == [db]


def test_a_users_own_database(db: Path) -> None:
    duckdb.connect(str(db)).close()
    db.chmod(0o444)
    with pytest.raises(NotOurDatabase, match="holds no sniffer tables; name another"):
        Store(db)
    assert stat.S_IMODE(db.stat().st_mode) == 0o444


def test_a_newer_database(db: Path) -> None:
    load(db, batch(message()))
    with duckdb.connect(str(db)) as own:
        own.execute("UPDATE _sniffer.state SET format = 99")
    with pytest.raises(NotOurDatabase, match="has format 99, this sniffer knows 4; upgrade"):
        Store(db)
    with pytest.raises(NotOurDatabase, match="has format 99"):
        sniffer.connect(db)


def test_a_damaged_database(db: Path) -> None:
    load(db, batch(*(message(at) for at in range(2000))))
    content = bytearray(db.read_bytes())
    content[4096 : 3 * 4096] = b"\xaa" * 8192
    db.write_bytes(content)
    with pytest.raises(StoreError) as caught:
        Store(db)
    assert "\n" not in str(caught.value)


def test_an_empty_file_is_a_new_database(db: Path) -> None:
    db.touch()
    load(db, batch(message()))
    assert rows(db, "SELECT count(*) FROM messages") == [(1,)]


def test_a_folder_and_a_missing_one(db: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is a folder"):
        Store(tmp_path)
    with pytest.raises(StoreError, match=r"there is no folder .*missing; `mkdir -p`"):
        Store(tmp_path / "missing" / "orders.duckdb")
    with pytest.raises(StoreError, match="the setting group nobody-has-it: no such group"):
        Store(db, group="nobody-has-it")


# --- a full disk --------------------------------------------------------------------------------------------------------------

FULL = """
    import resource, sys
    from pathlib import Path
    from sniffer.errors import StoreError
    from sniffer.store.store import Store
    from tests.unit.store.builders import batch, message, position
    import os
    store = Store(Path(sys.argv[1]))
    size = int(sys.argv[2])
    def load(number):
        store.append(batch(*(message(number, payload=os.urandom(500).hex()) for _ in range(size))), position(number))
        store.publish()
    load(1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (900_000, limits[1]))
    appended, number = 1, 1
    while number < 40:
        number += 1
        try:
            load(number)
            appended = number
        except StoreError as error:
            print(str(error))
            break
    for _ in range(3):
        try:
            store.publish()
        except StoreError as error:
            assert "\\n" not in str(error), error
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    stored = store.position(("cap-1",)).packets
    assert stored in (appended, number), (stored, appended, number)
    for later in range(stored + 1, 45):
        load(later)
    store.close()
"""


@pytest.mark.parametrize("size", [40, 700])
def test_a_full_disk_is_one_line_and_later_all_goes_on(db: Path, size: int) -> None:
    """RLIMIT_FSIZE stands in for the disk: small appends fail in a publish or checkpoint, large ones in the append itself."""
    done = child(FULL, db, size)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert str(db) in done.stdout
    assert rows(db, "SELECT position, count(*) FROM messages GROUP BY 1 ORDER BY 1") == [(n, size) for n in range(1, 45)]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(db: Path) -> None:
    db.parent.chmod(0o500)
    with pytest.raises(StoreError, match="Permission denied"):
        Store(db)


INTERRUPTED = """
    import _thread, random, sys, threading, time
    from pathlib import Path
    from sniffer.store.store import Store
    from tests.unit.store.builders import batch, message, position
    def interrupt(after):
        time.sleep(after)
        _thread.interrupt_main()
    source = random.Random(int(sys.argv[2]))
    with Store(Path(sys.argv[1])) as store:
        for _ in range(10):
            number = store.position(("cap-1",)).packets if store.position(("cap-1",)) else 0
            threading.Thread(target=interrupt, args=(source.uniform(0.01, 0.1),)).start()
            try:
                while True:
                    number += 1
                    store.append(batch(message(number)), position(number))
                    store.publish()
            except KeyboardInterrupt:
                continue
"""


def test_an_interrupt_is_an_interrupt_and_rows_and_position_agree(db: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    done = child(INTERRUPTED, db, seed)
    assert done.returncode == 0, done.stderr
    counts = "SELECT count(*), count(DISTINCT position), max(position), (SELECT packets FROM _sniffer.position) FROM messages"
    assert len(set(rows(db, counts)[0])) == 1
    assert rows(db, counts)[0][0] > 0


# --- orders over several runs -------------------------------------------------------------------------------------------------


def test_orders_go_on_over_appends_and_runs(db: Path) -> None:
    place = request(0, client_order_id="c", price=Decimal(10), side="buy")
    ack = response(1, client_order_id="c", order_id="7", status="NEW", request_id="r0")
    load(db, batch(place, connection(1, strategy="maker")), position(1))
    with Store(db) as store:
        store.append(batch(ack), position(2))
        store.append(batch(request(2, "cancel", order_id="7")), position(3))
        store.publish()
        assert rows(db, "SELECT status, is_open FROM orders") == [("PENDING_CANCEL", True)]
        store.append(batch(response(3, "cancel", order_id="7", status="REJECTED")), position(4))
    found = "order_id, client_order_id, strategy, status, price, price_f, epoch_ns(requested_at), epoch_ns(acknowledged_at)"
    assert rows(db, f"SELECT {found} FROM orders") == [("7", "c", "maker", "NEW", Decimal(10), 10.0, T0, T0 + MS)]


def test_a_cancel_under_the_name_before_an_amendment_finds_its_order_in_the_next_run(db: Path) -> None:
    named = {"order_id": "1", "status": "NEW"}
    events = [
        request(0, client_order_id="a"), response(1, client_order_id="a", request_id="r0", **named),
        event(100, client_order_id="b", **named), request(200, "cancel", client_order_id="a"),
    ]  # fmt: skip
    for number, one in enumerate(events, 1):
        with Store(db) as store:
            store.append(batch(one, connection(), of=capture(packets=number)), position(number))
    assert rows(db, "SELECT client_order_id, status, epoch_ns(updated_at) FROM orders_all") == [
        ("b", "PENDING_CANCEL", T0 + 200 * MS)
    ]


def test_orders_are_of_the_last_day_of_the_data_or_open(db: Path) -> None:
    day = 24 * 3600 * 1000
    old = [event(0, order_id="open", status="NEW"), event(0, order_id="old", status="FILLED")]
    load(db, batch(*old, event(1, order_id="kept", status="FILLED"), event(day + 1, order_id="new", status="FILLED")))
    assert rows(db, "SELECT order_id FROM orders ORDER BY 1") == [("kept",), ("new",), ("open",)]
    assert rows(db, "SELECT count(*) FROM orders_all") == [(4,)]


def test_a_database_of_an_older_format_is_left_alone(db: Path) -> None:
    load(db, batch(message()))
    with duckdb.connect(str(db)) as connected:
        connected.execute("UPDATE _sniffer.state SET format = 1")
    before = db.read_bytes()
    with pytest.raises(NotOurDatabase, match="has format 1, this sniffer writes 4; it can be queried, but name another --db"):
        Store(db)
    assert db.read_bytes() == before
    assert rows(db, "SELECT count(*) FROM messages") == [(1,)]

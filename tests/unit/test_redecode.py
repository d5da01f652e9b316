"""Decoding anew what a database holds: nothing changes without a reason, rows are won back, and it is all or nothing."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import sniffer
from sniffer import exchanges
from sniffer.config import Settings
from sniffer.errors import StoreError
from sniffer.exchanges import declared
from sniffer.model import Packet
from sniffer.pipeline import Pipeline
from sniffer.redecode import Redecoded, redecode
from sniffer.store import rewrite, sealed, store
from sniffer.store.rewrite import Changes
from sniffer.store.store import Store
from tests.command_line import ORDERS, PCAPS, run
from tests.frames import frame, request, response
from tests.loading import NEVER, Source, content, packets_of
from tests.packets import MICROSECOND, SERVER, Flow

DOCS = Path(__file__).parents[2] / "docs" / "own-venue.md"
TOY = re.findall(r"^```toml\n(.*?)^```$", DOCS.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)[0]
MASK = b"\x01\x02\x03\x04"


@pytest.fixture(autouse=True)
def _known_venues_again() -> Iterator[None]:
    yield
    exchanges.use(())


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "orders.duckdb"


def conversation() -> list[Packet]:
    """Three orders, of which the simulator takes two; and a word of its own."""
    flow = Flow(server=(SERVER[0], 9001))
    flow.open()
    flow.data("client", request())
    flow.data("server", response())
    for text in (b"1:42", b"2:7", b"1:43"):
        flow.data("client", frame(1, text, mask=MASK))
    for text in (b"1:42", b"busy", b"2:7"):
        flow.data("server", frame(1, text))
    flow.close()
    return flow.packets()


def load(db: Path, packets: list[Packet], toy: str | None = None, keep: str = "all") -> None:
    with Store(db) as opened:
        Pipeline(opened, settings(db, toy, keep), publish_interval=NEVER).run(Source(packets))
    exchanges.use(())


def settings(db: Path, toy: str | None, keep: str = "all") -> Settings:
    return Settings(db=db, keep=keep, venues=None if toy is None else tomllib.loads(toy)["venues"])


def again(db: Path, toy: str | None = None) -> Redecoded:
    try:
        return redecode(settings(db, toy))
    finally:
        exchanges.use(())


def rows(db: Path, sql: str) -> list[tuple[Any, ...]]:
    with sniffer.connect(db) as connection:
        return connection.execute(sql).fetchall()


def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nearly every append is sealed."""
    monkeypatch.setattr(store, "ROWS", 2)
    monkeypatch.setattr(sealed, "ROWS", 2)


# --- nothing changes without a reason ---


@pytest.mark.parametrize("capture", sorted(PCAPS.glob("*/*orders*.pcap*")), ids=lambda path: path.name)
@pytest.mark.parametrize("keep", ["orders", "all"])
def test_the_same_decoders_change_nothing(db: Path, capture: Path, keep: str) -> None:
    load(db, packets_of(str(capture.relative_to(PCAPS))), keep=keep)
    before, written = content(db), db.stat().st_mtime_ns
    done = again(db)
    assert not done.rewritten, done
    assert done.messages == len(before["messages"])
    assert (content(db), db.stat().st_mtime_ns) == (before, written)


def test_messages_of_megabytes_are_decoded_anew_a_few_at_a_time(db: Path) -> None:
    flow = Flow(server=(SERVER[0], 9001), step=MICROSECOND)
    flow.open()
    flow.data("client", request())
    flow.data("server", response())
    for number in range(90):
        flow.data("server", frame(1, b'{"depth":"' + b"%07d" % number * 150_000 + b'"}'), size=60_000)
    flow.close()
    load(db, flow.packets())
    before = content(db)
    done = again(db)
    assert (done.messages, bool(done.rewritten)) == (92, False)
    assert content(db) == before


def test_accounts_stay_though_their_keys_are_redacted(db: Path) -> None:
    load(db, packets_of(str(ORDERS.relative_to(PCAPS))))
    known = rows(db, "SELECT DISTINCT account FROM order_events")
    assert known != [(None,)]
    again(db)
    assert rows(db, "SELECT DISTINCT account FROM order_events") == known


# --- rows are won back ---


def test_rows_of_unknown_messages_are_won_back(db: Path) -> None:
    load(db, conversation())
    assert rows(db, "SELECT venue, unexamined FROM connections") == [(None, 8)]
    done = again(db, TOY)
    assert done.rewritten.tables["order_events"] == Changes(5, 0, 0)
    assert done.rewritten.tables["messages"] == Changes(0, 0, 8)
    assert done.rewritten.messages == [
        (None, "other", "toy", "other", 3), (None, "other", "toy", "request", 3), (None, "other", "toy", "response", 2),
    ]  # fmt: skip
    assert rows(db, "SELECT venue, venue_guessed, unexamined FROM connections") == [("toy", False, 0)]
    assert rows(db, "SELECT symbol, order_id, status FROM orders ORDER BY order_id") == [
        ("1", "42", "NEW"), ("1", "43", "PENDING_NEW"), ("2", "7", "NEW"),
    ]  # fmt: skip
    whole = content(db)
    exact = db.with_name("exact.duckdb")
    load(exact, conversation(), TOY)
    assert whole == content(exact)
    assert not again(db, TOY).rewritten


def test_changed_decoders_change_rows_and_orders_in_sealed_files_too(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_files(monkeypatch)
    load(db, conversation(), TOY)
    assert list(db.with_name(db.name + ".d").glob("order_events/*/*.parquet"))
    done = again(db, TOY.replace('"NEW"', '"REJECTED"'))
    assert done.rewritten.tables["order_events"] == Changes(0, 0, 2)
    assert done.rewritten.tables["messages"] == Changes(0, 0, 0)
    assert rows(db, "SELECT order_id, status, is_open FROM orders_all ORDER BY order_id") == [
        ("42", "REJECTED", False), ("43", "PENDING_NEW", True), ("7", "REJECTED", False),
    ]  # fmt: skip
    assert again(db, TOY).rewritten.tables["order_events"] == Changes(0, 0, 2)
    exact = db.with_name("exact.duckdb")
    load(exact, conversation(), TOY)
    assert content(db) == content(exact)


def test_rows_and_losses_come_and_go_with_problems(db: Path) -> None:
    load(db, conversation(), TOY)
    broken = TOY.replace('order_id = "order_id"', 'order_id = "order_id"\nprice = "exchange_id"\nside = "exchange_id"', 1)
    done = again(db, broken)
    assert done.rewritten.tables["order_events"] == Changes(0, 3, 0)
    assert done.rewritten.tables["losses"] == Changes(3, 0, 0)
    assert rows(db, "SELECT layer, reason, bytes, messages, sender FROM losses WHERE layer = 'decoder' ORDER BY ALL") == [
        ("decoder", "field exchange_id: an unknown word", 3, 1, "client"),
        ("decoder", "field exchange_id: an unknown word", 4, 1, "client"),
        ("decoder", "field exchange_id: an unknown word", 4, 1, "client"),
    ]
    assert again(db, TOY).rewritten.tables["losses"] == Changes(0, 3, 0)
    exact = db.with_name("exact.duckdb")
    load(exact, conversation(), TOY)
    assert content(db) == content(exact)


def test_a_login_of_today_is_not_kept_and_todays_secrets_are_redacted(db: Path) -> None:
    load(db, conversation(), TOY)
    login = TOY + '\n[[venues.toy.messages]]\nsender = "server"\nkind = "login"\npattern = "busy"\n'
    done = again(db, login)
    assert done.rewritten.tables["messages"] == Changes(0, 1, 0)
    assert ("toy", "other", None, None, 1) in done.rewritten.messages
    assert rows(db, "SELECT count(*) FROM messages WHERE payload = 'busy'") == [(0,)]


def test_a_venue_that_is_not_known_today_stays_as_it_is(db: Path) -> None:
    load(db, conversation(), TOY)
    before = content(db)
    done = again(db)
    assert (dict(done.unknown), done.messages, bool(done.rewritten)) == ({"toy": 1}, 0, False)
    assert content(db) == before


def test_a_capture_goes_on_after_it_was_decoded_anew(db: Path) -> None:
    packets = conversation()
    load(db, packets[:-6])
    again(db, TOY)
    load(db, packets, TOY)
    exact = db.with_name("exact.duckdb")
    load(exact, packets, TOY)
    sql = "SELECT * EXCLUDE (connection_id) FROM order_events ORDER BY ALL"  # its id comes from the capture's first packets
    assert rows(db, sql) == rows(exact, sql)
    sql = "SELECT order_id, status FROM orders ORDER BY ALL"
    assert rows(db, sql) == rows(exact, sql)


# --- all or nothing ---


def test_a_failure_leaves_everything_as_it_was(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_files(monkeypatch)
    load(db, conversation(), TOY)
    before, written = content(db), db.stat().st_mtime_ns

    def fails(*_: object) -> None:
        raise RuntimeError("in the middle")

    for owner, name in ((declared.DeclaredDecoder, "decode"), (rewrite, "fold_again")):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, fails)
            with pytest.raises(RuntimeError, match="in the middle"):
                again(db, TOY.replace('"NEW"', '"REJECTED"'))
    assert (content(db), db.stat().st_mtime_ns) == (before, written)


def test_a_database_has_to_be_there_and_free(db: Path) -> None:
    with pytest.raises(StoreError, match="no such database"):
        redecode(Settings(db=db))
    assert not db.exists()
    with Store(db), pytest.raises(StoreError):
        redecode(Settings(db=db))


# --- the command ---


def test_the_command_says_what_changed(db: Path, tmp_path: Path) -> None:
    load(db, conversation())
    toy = tmp_path / "sniffer.toml"
    toy.write_text(TOY, encoding="utf-8")
    result = run("redecode", "--db", db, "--config", toy)
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines() == [
        f"8 messages decoded anew -> {db}",
        "  messages: 8 changed",
        "  order_events: 5 added",
        "  connections: 1 changed",
        "  3 messages of no known venue, other -> toy, other",
        "  3 messages of no known venue, other -> toy, request",
        "  2 messages of no known venue, other -> toy, response",
    ]
    assert run("redecode", "--db", db, "--config", toy).out == f"8 messages decoded anew; nothing changed in {db}\n"
    assert run("redecode", "--db", db).out.splitlines()[1:] == [
        "  1 connections of toy stay as they are: that venue is not known today"
    ]
    exchanges.use(())
    assert "no such database" in run("redecode", "--db", tmp_path / "none.duckdb").error

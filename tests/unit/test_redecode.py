"""Decoding anew what a database holds: nothing changes without a reason, rows are won back, and it is all or nothing."""

from __future__ import annotations

import json
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
from sniffer.exchanges.base import ConnectionFacts, Decoded
from sniffer.exchanges.bitmex import BitmexDecoder
from sniffer.model import OPCODE_TEXT, Message, Packet, Sender
from sniffer.pipeline import Pipeline
from sniffer.redecode import Redecoded, _Talk, redecode
from sniffer.store import rewrite, sealed, store
from sniffer.store.rewrite import Changes, Conversation, Hole
from sniffer.store.store import Store
from tests.command_line import ORDERS, PCAPS, run
from tests.frames import frame, request, response
from tests.loading import NEVER, Source, content, packets_of
from tests.packets import MICROSECOND, MILLISECOND, SERVER, Flow

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


def opened(host: str, target: str) -> Flow:
    """A connection to a venue."""
    flow = Flow(server=(SERVER[0], 443))
    flow.open()
    flow.data("client", request(target=target).replace(b"exchange.test:8080", host.encode()))
    flow.data("server", response())
    return flow


def okx() -> Flow:
    return opened("ws.okx.com", "/ws/v5/private")


CANCEL = b'{"id":"1","op":"cancel-order","args":[{"instId":"BTC-USDT","ordId":"2510789768709120"}]}'


@pytest.mark.parametrize("keep", ["orders", "all"])
def test_what_no_search_would_have_found_stays_other(db: Path, keep: str) -> None:
    """Control frames, whose bytes may be anything."""
    flow = okx()
    flow.data("client", frame(9, CANCEL, mask=MASK))
    flow.data("server", frame(8, b"\x03\xe8"))
    flow.close()
    load(db, flow.packets(), keep=keep)
    found = "SELECT opcode, kind, venue FROM messages WHERE opcode <> 'http' ORDER BY captured_at"
    told = [("ping", "other", "okx"), ("close", "other", "okx")] if keep == "all" else []
    for _ in range(2):
        assert rows(db, found) == told
        assert rows(db, "FROM losses UNION ALL BY NAME FROM order_events") == []
        assert not again(db).rewritten


def test_what_came_before_a_venue_was_guessed_stays_of_none(db: Path) -> None:
    """A message of then may be one that the decoder would know, and no guess is made of."""
    flow = Flow(server=(SERVER[0], 9001))
    flow.open()
    flow.data("client", request())
    flow.data("server", response())
    report = {
        "e": "executionReport", "E": 1700000000123, "s": "EXMUSDT", "c": "mine-1", "S": "BUY", "o": "LIMIT", "f": "GTC",
        "q": "2.50", "p": "0.10", "P": "0.00", "F": "0.00", "g": -1, "C": "", "x": "NEW", "X": "NEW", "r": "NONE", "i": 77,
        "l": "0.00", "z": "0.00", "L": "0.00", "n": "0", "N": None, "T": 1700000000123, "t": -1, "I": 1, "w": True, "m": False,
        "M": False, "O": 1700000000123, "Z": "0.00", "Y": "0.00", "Q": "0.00",
    }  # fmt: skip
    for said in ({"id": "1", "status": 400, "error": {"code": -2010, "msg": "no"}}, report, {"result": None, "id": 1}):
        flow.data("server", frame(1, json.dumps(said).encode()))
    flow.close()
    load(db, flow.packets())
    found = "SELECT sender, kind, venue FROM messages WHERE opcode = 'text' ORDER BY position"
    told = [("server", "other", None), ("server", "update", "binance-spot"), ("server", "other", "binance-spot")]
    assert rows(db, found) == told
    unexamined = rows(db, "SELECT unexamined FROM connections")
    assert not again(db).rewritten
    assert rows(db, found) == told
    assert rows(db, "SELECT unexamined FROM connections") == unexamined


# --- what a hole changes ---


def told(**fields: Any) -> bytes:
    """An order of BitMEX; an update tells only what has changed."""
    data = [{"orderID": "o-1", "timestamp": "2026-02-03T04:05:06.789Z"} | fields]
    return frame(1, json.dumps({"table": "order", "action": "update", "data": data}).encode())


FIRST: dict[str, Any] = {"symbol": "SOLUSD", "side": "Sell", "orderQty": 300, "price": 142.75, "ordType": "Limit"}


def with_a_hole(*, handshake: bool = True) -> list[Packet]:
    """An order; then, in a segment that is lost, another price; then what was filled of it."""
    flow = opened("ws.bitmex.com", "/realtime")
    begun = len(flow.sent)
    flow.data("server", told(**FIRST, ordStatus="New"))
    flow.time += MILLISECOND
    flow.data("server", told(cumQty=100))
    flow.time += MILLISECOND
    lost = flow.data("server", told(price=150))
    for filled in (200, 250, 260):
        flow.time += MILLISECOND
        flow.data("server", told(cumQty=filled))
    flow.time += 1000 * MILLISECOND
    for filled in (265, 270):
        flow.data("server", told(cumQty=filled))
    flow.close()
    return [one.packet() for number, one in enumerate(flow.sent) if one not in lost and (handshake or number >= begun)]


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("handshake", [True, False])
def test_no_order_is_completed_across_a_hole(db: Path, monkeypatch: pytest.MonkeyPatch, handshake: bool, small: bool) -> None:
    if small:
        small_files(monkeypatch)
    load(db, with_a_hole(handshake=handshake), keep="orders")
    filled = "SELECT filled_quantity::INT, price::DOUBLE, symbol FROM order_events ORDER BY position"
    none = [(quantity, None, None) for quantity in (200, 250, 260, 265, 270)]
    assert rows(db, filled)[-5:] == none
    order = rows(db, "SELECT * EXCLUDE (average_price) FROM orders_all")
    again(db)
    assert rows(db, filled)[-5:] == none
    assert rows(db, "SELECT * EXCLUDE (average_price) FROM orders_all") == order


class _Forgetful:
    """A decoder that says when it was told of a hole."""

    account = None

    def __init__(self) -> None:
        self.holes: list[Sender] = []

    def wanted(self, _sender: Sender, _opcode: int) -> Any:
        raise AssertionError

    def decode(self, _message: Message) -> Decoded | None:
        raise AssertionError

    def hole(self, sender: Sender) -> None:
        self.holes.append(sender)


@pytest.mark.parametrize(
    ("holes", "forgets_before"),
    [
        ([], []),
        ([Hole(10, 10)], [10, 20]),
        ([Hole(11, 19)], [20]),
        ([Hole(11, 11), Hole(13, 19)], [20]),
        ([Hole(11, 35)], [20, 30, 40]),
        ([Hole(20, 30)], [20, 30, 40]),
        ([Hole(1, 2), Hole(31, 31), Hole(50, 60)], [10, 40]),
    ],
)
def test_decoders_forget_before_each_message_that_may_be_behind_a_hole(holes: list[Hole], forgets_before: list[int]) -> None:
    decoder = _Forgetful()
    stored = Conversation(1, "capture", 443, None, None, None, False, None, 0)
    talk = _Talk(stored, None, ConnectionFacts(), {"server": holes})
    talk.decoder = decoder
    forgot = []
    senders: tuple[Sender, ...] = ("client", "server")
    for at in (10, 20, 30, 40):
        for sender in senders:
            before = len(decoder.holes)
            talk.tell_hole(Message(1, sender, at, at, at, OPCODE_TEXT, b"", None))
            forgot += [(at, told) for told in decoder.holes[before:]]
    assert forgot == [(at, "server") for at in forgets_before]


def test_a_loss_that_is_of_no_message_is_no_hole(db: Path) -> None:
    """That checksums were not verified is said of the whole connection."""
    flow = opened("ws.bitmex.com", "/realtime")
    flow.data("server", told(**FIRST, ordStatus="New"))
    flow.data("server", told(cumQty=100))
    flow.close()
    load(db, [(*packet[:4], False) if number else packet for number, packet in enumerate(flow.packets())], keep="orders")
    before = content(db)
    assert not again(db).rewritten
    assert content(db) == before


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


def test_a_decoder_that_fails_costs_its_message_alone(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what it remembers is doubtful then."""
    flow = opened("ws.bitmex.com", "/realtime")
    flow.data("server", told(**FIRST, ordStatus="New"))
    for filled in (100, 200, 300):
        flow.data("server", told(cumQty=filled))
    flow.close()
    load(db, flow.packets(), keep="orders")
    decode = BitmexDecoder.decode

    def failing(self: BitmexDecoder, message: Message) -> Decoded | None:
        if b'"cumQty": 200' in message.payload:
            raise KeyError("x")
        return decode(self, message)

    with monkeypatch.context() as patch:
        patch.setattr(BitmexDecoder, "decode", failing)
        again(db)
    assert rows(db, "SELECT filled_quantity::INT, symbol FROM order_events ORDER BY position") == [
        (None, "SOLUSD"), (100, "SOLUSD"), (300, None),
    ]  # fmt: skip
    assert rows(db, "SELECT layer, reason, messages FROM losses") == [("decoder", "the decoder failed: KeyError", 1)]
    assert again(db).rewritten.tables["order_events"] == Changes(1, 0, 1)
    assert rows(db, "SELECT count(*), count(symbol) FROM order_events") == [(4, 4)]


# --- all or nothing ---


def test_a_failure_leaves_everything_as_it_was(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_files(monkeypatch)
    load(db, conversation(), TOY)
    before, written = content(db), db.stat().st_mtime_ns

    def fails(*_: object) -> None:
        raise RuntimeError("in the middle")

    for owner, name in ((rewrite.Rewrite, "put"), (rewrite, "fold_again")):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, fails)
            with pytest.raises(RuntimeError, match="in the middle"):
                again(db, TOY.replace('"NEW"', '"REJECTED"'))
    assert (content(db), db.stat().st_mtime_ns) == (before, written)


def test_a_database_has_to_be_there_and_free(db: Path) -> None:
    with pytest.raises(StoreError, match="no such database"):
        redecode(Settings(db=db))
    assert not db.exists()
    with pytest.raises(StoreError, match="is a folder; --db names a file"):
        redecode(Settings(db=db.parent))
    db.touch()
    with pytest.raises(StoreError, match=r"orders\.duckdb: is empty, and no database"):
        redecode(Settings(db=db))
    assert db.stat().st_size == 0
    db.unlink()
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

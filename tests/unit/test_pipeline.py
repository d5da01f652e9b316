"""The loop from packets to rows: the same rows however a capture comes, and each of them once, wherever it was stopped."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pcaps.websocket.orders import API_KEY, LISTEN_KEY
from sniffer.capture.merge import merge
from sniffer.capture.pcapfile import open_capture
from sniffer.config import SECOND, Settings
from sniffer.errors import CaptureError, DamagedCapture, UsageError
from sniffer.model import Batch, Loss, Packet, Position
from sniffer.pipeline import SUMMARY_KINDS, Pipeline, Summary, count, digests, resolve, watch_filter
from sniffer.replay import replay_files
from sniffer.store.store import Store
from tests.command_line import PCAPS

NEVER = 1e9
"""Seconds between publishes, where only the end is to publish."""
TABLES = ("messages", "order_events", "fill_events", "losses")
UNSETTLED = frozenset(("overlap-different-in-order",))
"""Captures that show data, at their end so far, which a later packet contradicts: it has been stored by then."""
SEED = random.randrange(1 << 32)

pytestmark = pytest.mark.usefixtures("settings_folder")


class Source:
    """A `PacketSource` over packets at hand. An `identity` makes it a journal, whose `position` may jump."""

    def __init__(self, packets: Sequence[Packet], block: int = 1000, identity: str | None = None) -> None:
        self.name = "fake"
        self.losses: list[Loss] = []
        self.bytes_read = 0
        self.total_bytes = None
        self.kernel_drops: int | None = None
        self.identity = identity
        self.raises: BaseException | None = None
        self._packets = packets
        self._block = block

    def blocks(self) -> Iterator[list[Packet]]:
        for at in range(0, len(self._packets), self._block):
            yield list(self._packets[at : at + self._block])
        if self.raises is not None:
            raise self.raises


class Memory:
    """A `Target` that remembers, and takes back the losses of a capture's end as the store does."""

    def __init__(self) -> None:
        self.rows: Counter[tuple[Any, ...]] = Counter()
        self.connections: dict[int, tuple[Any, ...]] = {}
        self.saved: Position | None = None
        self.appends: list[int] = []

    def position(self, fingerprint: tuple[str, ...]) -> Position | None:
        if self.saved is None:
            return None
        shared = min(len(fingerprint), len(self.saved.fingerprint))
        return self.saved if fingerprint[:shared] == self.saved.fingerprint[:shared] else None

    def append(self, batch: Batch, position: Position) -> None:
        if self.saved is not None and self.saved.complete:
            for row in [row for row in self.rows if isinstance(row, Loss) and row.reason.startswith("capture ended")]:
                del self.rows[row]
        self.saved = position
        self.appends.append(len(batch))
        for rows in (batch.messages, batch.order_events, batch.fill_events, batch.losses):
            self.rows.update(rows)
        self.connections.update((row.connection_id, row) for row in batch.connections)

    def publish(self) -> None:
        pass

    def remove(self, capture_id: str) -> None:
        self.rows.clear()
        self.saved = None


def load(target: Any, source: Any, *, keep: str = "all", **options: Any) -> Summary:
    return Pipeline(target, Settings(keep=keep), publish_interval=NEVER, **options).run(source)


def packets_of(*names: str) -> list[Packet]:
    files = [str(PCAPS / name) for name in names]
    return [packet for block in merge([open_capture(file) for file in files]).blocks() for packet in block]


def content(db: Path) -> dict[str, list[tuple[Any, ...]]]:
    with duckdb.connect(str(db), read_only=True) as connection:
        tables = (*TABLES, "connections", "captures", "orders_all")
        return {table: connection.execute(f"FROM {table} ORDER BY ALL").fetchall() for table in tables}


def captures(*folders: str) -> list[str]:
    """Single-file captures that are whole and small, by name."""
    found = []
    for folder in folders:
        for path in sorted((PCAPS / folder).glob("*.json")):
            truth = json.loads(path.read_text())
            if truth["damage"] is None and len(truth["files"]) == 1 and truth["packets"] < 200:
                found.append(f"{folder}/{truth['files'][0]}")
    return found


# --- the same rows, however it comes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["tcp", "websocket", "links"])
def test_blocks_of_any_size_give_the_same_rows(folder: str) -> None:
    for name in captures(folder):
        packets = packets_of(name)
        if not packets:
            continue
        wanted = Memory()
        load(wanted, Source(packets))
        for size in (1, 3, 11, 12, 29):
            found = Memory()
            load(found, Source(packets, size))
            assert (found.rows, found.connections) == (wanted.rows, wanted.connections), f"{name} in blocks of {size}"


@pytest.mark.parametrize("folder", ["tcp", "websocket", "links"])
def test_a_capture_that_ended_and_goes_on_gives_what_one_run_gives(folder: str) -> None:
    """As a file that grows: the first run ends its connections, the second one finds them going on."""
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    for name in captures(folder):
        packets = packets_of(name)
        if len(packets) < 2 or Path(name).stem in UNSETTLED:
            continue
        wanted = Memory()
        load(wanted, Source(packets, identity="one"))
        for stop in chance.sample(range(1, len(packets)), min(3, len(packets) - 1)):
            found = Memory()
            load(found, Source(packets[:stop], identity="one"))
            load(found, Source(packets, chance.randrange(1, 40), identity="one"))
            assert found.rows == wanted.rows, f"{name} stopped after {stop} packets, seed {SEED}"
            assert found.connections == wanted.connections


def test_a_run_that_is_killed_is_continued(tmp_path: Path) -> None:
    """The same with the store, and with a first run that never came to its end."""
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    packets = packets_of("websocket/binance-orders.pcap")
    with Store(tmp_path / "one.duckdb") as store:
        load(store, Source(packets))
    wanted = content(tmp_path / "one.duckdb")
    for number in range(4):
        stop = chance.randrange(33, len(packets))
        db = tmp_path / f"{number}.duckdb"
        source = Source(packets[:stop], chance.randrange(1, 20))
        source.raises = ConnectionResetError("killed")
        with Store(db) as store, pytest.raises(ConnectionResetError):
            Pipeline(store, Settings(keep="all"), publish_interval=0.0).run(source)
        with Store(db) as store:
            load(store, Source(packets, chance.randrange(1, 60)))
        assert content(db) == wanted, f"killed after {stop} packets, seed {SEED}"


def test_a_capture_that_ends_twice_is_like_one_that_ends_once(tmp_path: Path) -> None:
    packets = packets_of("websocket/binance-orders-compressed.pcap")
    with Store(tmp_path / "one.duckdb") as store:
        load(store, Source(packets))
    with Store(tmp_path / "two.duckdb") as store:
        for stop in (40, 77, 100, len(packets), len(packets)):
            load(store, Source(packets[:stop], 7))
    assert content(tmp_path / "two.duckdb") == content(tmp_path / "one.duckdb")


def test_what_was_loaded_to_the_last_packet_but_not_to_the_end_is_ended() -> None:
    """A run that is killed after its last append: the end of the connections is still to come."""
    packets = packets_of("tcp/gap-at-the-end.pcap")
    wanted = Memory()
    load(wanted, Source(packets))
    found = Memory()
    load(found, Source(packets))
    assert found.saved is not None
    found.saved = found.saved._replace(complete=False)
    for row in [row for row in found.rows if isinstance(row, Loss)]:
        del found.rows[row]
    summary = load(found, Source(packets))
    assert found.saved is not None
    assert found.saved.complete
    assert found.rows == wanted.rows
    assert summary.losses


def test_losses_of_the_end_say_so_and_go_when_the_capture_goes_on() -> None:
    packets = packets_of("tcp/gap-filled-late.pcap")
    target = Memory()
    for stop in range(1, len(packets)):
        load(target, Source(packets[:stop], identity="one"))
    ended = [row for row in target.rows if isinstance(row, Loss)]
    assert all(row.reason.startswith("capture ended") for row in ended)
    load(target, Source(packets, identity="one"))
    assert not [row for row in target.rows if isinstance(row, Loss)], "all of it came in the end"


def test_nothing_is_loaded_of_what_the_database_has() -> None:
    packets = packets_of("websocket/binance-orders.pcap")
    target = Memory()
    first = load(target, Source(packets))
    before, appends = target.rows.copy(), len(target.appends)
    again = load(target, Source(packets, 17))
    shorter = load(target, Source(packets[:100]))
    assert (target.rows, len(target.appends)) == (before, appends)
    assert (first.already_loaded, again.already_loaded, shorter.already_loaded) == (0, 150, 100)
    assert first.order_events == 42
    assert again.order_events == shorter.order_events == 0


def test_replace_loads_anew() -> None:
    packets = packets_of("websocket/binance-orders.pcap")
    target = Memory()
    load(target, Source(packets), keep="orders")
    few = len(target.rows)
    load(target, Source(packets), keep="all", replace=True)
    assert len(target.rows) > few
    assert set(target.rows.values()) == {1}


def test_what_time_alone_brought_forth_does_not_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A live source that is idle: data that nobody acknowledges settles as time passes, and the run is killed then."""
    packets = packets_of("tcp/server-side-only.pcap")

    class Idle(Source):
        """Waits once after `stop` packets, for longer than anything waits for its acknowledgement, and is killed if asked."""

        def __init__(self, stop: int, *, killed: bool) -> None:
            super().__init__(packets, identity="journal")
            self.stop, self.killed = stop, killed

        def blocks(self) -> Iterator[list[Packet]]:
            yield list(packets[: self.stop])
            monkeypatch.setattr("sniffer.pipeline.time.time_ns", lambda: packets[self.stop - 1][0] + 120 * SECOND)
            yield []
            if self.killed:
                raise ConnectionResetError
            yield list(packets[self.stop :])

    before_idle, behind = 6, 120 * SECOND
    packets[before_idle:] = [(time + behind, *rest) for time, *rest in packets[before_idle:]]  # type: ignore[misc]
    wanted = Memory()
    Pipeline(wanted, Settings(keep="all"), publish_interval=0.0).run(Idle(before_idle, killed=False))
    found = Memory()
    with pytest.raises(ConnectionResetError):
        Pipeline(found, Settings(keep="all"), publish_interval=0.0).run(Idle(before_idle, killed=True))
    stored = found.rows.copy()
    assert any(type(row).__name__ == "MessageRow" for row in stored), "time alone has brought something forth"
    load(found, Source(packets, identity="journal"))
    assert stored <= found.rows
    assert found.rows == wanted.rows


# --- a journal: its packets have numbers, and the oldest may be gone ----------------------------------------------------------


class Journal(Source):
    """A journal of which the packets before `oldest` were deleted unread."""

    def __init__(self, packets: Sequence[Packet], oldest: int, block: int) -> None:
        super().__init__(packets[oldest:], block, identity="journal")
        self.position = oldest
        self._oldest = oldest

    def blocks(self) -> Iterator[list[Packet]]:
        for at, block in enumerate(super().blocks()):
            self.position = self._oldest + at * self._block
            yield block


def test_a_journal_whose_oldest_packets_are_gone_goes_on_where_it_was() -> None:
    """The first connection has ended before the packets that are gone; the second one lies behind them."""
    first = packets_of("links/ethernet.pcap")
    later = [(time + 10**12, *rest) for time, *rest in packets_of("websocket/binance-orders.pcap")]
    packets: list[Packet] = [*first, *later]  # type: ignore[list-item]
    wanted = Memory()
    load(wanted, Journal(packets, 0, 50))
    for oldest in (0, len(first)):
        found = Memory()
        load(found, Journal(packets[: len(first)], 0, 9))
        summary = load(found, Journal(packets, oldest, 13))
        assert found.rows == wanted.rows, f"packets before {oldest} are gone"
        assert summary.packets == len(packets)
        assert found.saved == wanted.saved


def test_a_journal_that_has_lost_packets_unread_counts_them() -> None:
    packets = packets_of("websocket/binance-orders.pcap")
    target = Memory()
    summary = load(target, Journal(packets, 60, 13))
    assert summary.packets == len(packets), "the position says what was there"
    assert target.saved is not None
    assert target.saved.packets == len(packets)


# --- damage, drops, interrupts ---------------------------------------------------------------------------------------------


def test_damage_is_told_after_what_came_before_is_stored() -> None:
    packets = packets_of("websocket/binance-orders.pcap")
    source = Source(packets)
    source.raises = DamagedCapture("x.pcap", 99, "cut off")
    source.losses.append(Loss("", None, None, None, None, None, 5, None, "capture", "x.pcap: cut off, at byte 99"))
    target = Memory()
    summary = load(target, source)
    assert [damage.offset for damage in summary.damage] == [99]
    assert summary.order_events == 42
    (loss,) = [row for row in target.rows if isinstance(row, Loss)]
    assert (loss.layer, loss.bytes, loss.capture_id) == ("capture", 5, summary.capture_id)


def test_an_interrupt_ends_the_capture_there() -> None:
    source = Source(packets_of("websocket/binance-orders.pcap")[:100])
    source.raises = KeyboardInterrupt()
    target = Memory()
    summary = load(target, source)
    assert summary.interrupted
    assert summary.order_events > 0
    load(target, Source(packets_of("websocket/binance-orders.pcap")))
    assert sum(type(row).__name__ == "OrderEvent" for row in target.rows.elements()) == 42


class Dropping(Source):
    """The kernel has dropped 3 packets after the second block, and 10 after the third."""

    def blocks(self) -> Iterator[list[Packet]]:
        for number, block in enumerate(super().blocks()):
            self.kernel_drops = (0, 3, 10)[min(number, 2)]
            yield block


def test_kernel_drops_are_losses_as_they_grow_and_once() -> None:
    packets = packets_of("websocket/binance-orders.pcap")
    target = Memory()
    summary = load(target, Dropping(packets[:60], 20))
    load(target, Dropping(packets, 20))
    reasons = [row.reason for row in target.rows.elements() if isinstance(row, Loss) and row.layer == "kernel"]
    assert sorted(reasons) == [f"{count} packets dropped by the kernel before they could be read" for count in (3, 7)]
    assert sum(times for (layer, _), times in summary.losses.items() if layer == "kernel") == 2


def test_rows_are_appended_as_they_gather_and_the_position_moves_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sniffer.pipeline.APPEND_ROWS", 10)
    target = Memory()
    load(target, Source(packets_of("websocket/binance-orders.pcap"), 5))
    assert len(target.appends) > 5
    assert all(size < 40 for size in target.appends)


# --- small parts -----------------------------------------------------------------------------------------------------------


def test_a_summary_stays_small_whatever_the_traffic_calls_itself() -> None:
    counter: Counter[str] = Counter()
    for number in range(SUMMARY_KINDS * 2):
        count(counter, f"host-{number}", 1, "other hosts")
    count(counter, "host-0", 5, "other hosts")
    assert len(counter) == SUMMARY_KINDS + 1
    assert counter["host-0"] == 6
    assert counter["other hosts"] == SUMMARY_KINDS


def test_digests_tell_captures_apart_by_every_packet() -> None:
    packets = packets_of("links/ethernet.pcap")
    whole = digests(packets)
    assert len(whole) == len(packets)
    assert digests(packets[:5]) == whole[:5]
    changed = [*packets[:4], (packets[4][0] + 1, *packets[4][1:]), *packets[5:]]
    assert digests(changed)[:4] == whole[:4]
    assert not set(digests(changed)[4:]) & set(whole[4:])
    assert len(digests([])) == 1


def test_host_and_port_choose_flows() -> None:
    def chosen(hosts: tuple[str, ...], ports: tuple[int, ...]) -> set[str]:
        target = Memory()
        settings = Settings(keep="all", hosts=hosts, ports=ports)
        Pipeline(target, settings, publish_interval=NEVER).run(Source(packets_of("websocket/binance-orders.pcap")))
        return {f"{row[4]}:{row[5]}" for row in target.connections.values()}

    everyone = chosen((), ())
    assert len(everyone) == 3
    assert chosen((), (9443,)) == everyone
    assert chosen((), (41000,)) == {client for client in everyone if client.endswith(":41000")}
    assert chosen(("192.0.2.1",), ()) == {client for client in everyone if client.startswith("192.0.2.1:")} != set()
    assert chosen(("192.0.2.77",), ()) == chosen((), (1,)) == set()
    assert watch_filter((), ()) is None


def test_resolve() -> None:
    assert resolve("192.0.2.1") == ["192.0.2.1"]
    assert resolve("[2001:db8::1]") == ["2001:db8::1"]
    assert "127.0.0.1" in resolve("localhost")
    for name in ("no-such-host.invalid", "a" * 300, "\udcff"):
        with pytest.raises(UsageError, match="give its address instead"):
            resolve(name)


# --- every capture, to the end ----------------------------------------------------------------------------------------------


def fingerprint(message: dict[str, Any]) -> tuple[str, str, str]:
    """(sender, opcode, digest of the payload) of a message of a truth."""
    payload = message["text"].encode() if "text" in message else base64.b64decode(message.get("base64", ""))
    return message["sender"], message["opcode"], message.get("sha256") or hashlib.sha256(payload).hexdigest()


def test_every_capture_goes_into_one_database(tmp_path: Path) -> None:
    """Each message of the truth is a row, byte for byte, and no other: the layers, the examiner and the store together."""

    class Quiet(Store):
        """Publishing three hundred times is what other tests are for."""

        def publish(self) -> None:
            pass

    known: list[dict[str, Any]] = []
    store = Quiet(tmp_path / "all.duckdb")
    for path in sorted(PCAPS.glob("*/*.json")):
        truth = json.loads(path.read_text())
        files = [str(path.parent / name) for name in truth["files"]]
        try:
            summary = load(store, merge([open_capture(file) for file in files]))
        except CaptureError:
            assert truth["damage"] is not None, path.name
            continue
        assert bool(summary.damage) == (truth["damage"] is not None), path.name
        if not truth.get("other_connections"):
            known.append(truth | {"capture_id": summary.capture_id, "path": path})
    Store.publish(store)
    store.close()
    with duckdb.connect(str(tmp_path / "all.duckdb"), read_only=True) as db:
        found: dict[str, Counter[tuple[str, str, str]]] = {}
        sql = (
            "SELECT capture_id, sender, opcode, sha256(coalesce(encode(payload), payload_blob)) "
            "FROM messages JOIN connections USING (connection_id) WHERE opcode <> 'http'"
        )
        for capture_id, *message in db.execute(sql).fetchall():
            found.setdefault(capture_id, Counter())[tuple(message)] += 1
    loaded = Counter(truth["capture_id"] for truth in known)
    compared = 0
    for truth in known:
        if truth["path"].stem.startswith("binance-orders") or loaded[truth["capture_id"]] > 1:
            continue  # without its secrets; one of those that begin alike, and were taken for one
        messages = [message for one in truth["connections"] for message in one["messages"]]
        required = Counter(fingerprint(message) for message in messages if not message.get("optional"))
        stored = found.get(truth["capture_id"], Counter())
        assert required <= stored <= Counter(map(fingerprint, messages)), truth["path"].name
        compared += bool(stored)
    assert compared > 180


@pytest.mark.parametrize("name", ["hostile", "formats"])
def test_captures_as_replay_takes_them(name: str, tmp_path: Path) -> None:
    """A database each for some of them, through the call of the command line."""
    for path in sorted((PCAPS / name).glob("*.json"))[::4]:
        truth = json.loads(path.read_text())
        db = tmp_path / f"{path.stem}.duckdb"
        try:
            summary = replay_files([str(path.parent / file) for file in truth["files"]], Settings(db=db), replace=False)
        except CaptureError:
            assert truth["damage"] is not None, path.name
            assert not db.exists()
            continue
        assert bool(summary.damage) == (truth["damage"] is not None), path.name
        with duckdb.connect(str(db), read_only=True) as connection:
            ((packets,),) = connection.execute("SELECT packets FROM captures").fetchall()
        assert truth["packets"] in (None, packets), path.name


# --- orders, against what the messages say ---------------------------------------------------------------------------------


def truth_of(name: str) -> list[tuple[str, Any]]:
    """(sender, parsed message) of a capture of `pcaps/websocket`."""
    truth = json.loads((PCAPS / "websocket" / f"{name}.json").read_text())
    return [
        (message["sender"], json.loads(message["text"]))
        for one in truth["connections"]
        for message in one["messages"]
        if message["opcode"] == "text"
    ]


def reports(name: str) -> list[dict[str, Any]]:
    """The execution reports, out of their envelopes."""
    events = [message.get("data", message.get("event", message)) for sender, message in truth_of(name) if sender == "server"]
    return [event for event in events if isinstance(event, dict) and event.get("e") == "executionReport"]


@pytest.mark.parametrize("name", ["binance-orders", "binance-orders-compressed"])
@pytest.mark.parametrize("keep", ["orders", "all"])
def test_orders_are_what_the_messages_say_and_no_secret_is_in_any_file(name: str, keep: str, tmp_path: Path) -> None:
    db = tmp_path / "data" / "orders.duckdb"
    db.parent.mkdir()
    summary = replay_files([str(PCAPS / "websocket" / f"{name}.pcap")], Settings(db=db, keep=keep), replace=False)
    assert not summary.losses
    with duckdb.connect(str(db), read_only=True) as connection:
        updates = connection.execute(
            "SELECT order_id, client_order_id, symbol, side, status, price, stop_price, quantity, filled_quantity "
            "FROM order_events WHERE kind = 'update'"
        ).fetchall()
        fills = connection.execute(
            "SELECT order_id, trade_id, price, quantity, fee, fee_asset, liquidity FROM fill_events WHERE trade_id <> '503'"
        ).fetchall()
        asked = connection.execute(
            "SELECT request_id, action, client_order_id, side, price, quantity FROM order_events WHERE kind = 'request'"
        ).fetchall()
        refused = connection.execute(
            "SELECT request_id, action, client_order_id, status_raw, reason FROM order_events "
            "WHERE kind = 'response' AND reason IS NOT NULL"
        ).fetchall()
        answered = connection.execute(
            "SELECT trade_id, price, quantity, fee FROM fill_events WHERE trade_id = '503'"
        ).fetchall()
        everything = "\n".join(
            str(connection.execute(f"FROM {table}").fetchall()) for table in (*TABLES, "connections", "orders")
        )

    def number(text: str) -> Decimal:
        return Decimal(text)

    assert Counter(updates) == Counter(
        (
            str(event["i"]), event["C"] or event["c"], event["s"], event["S"].lower(), event["X"],
            number(event["p"]), number(event["P"]), number(event["q"]), number(event["z"]),
        )
        for event in reports(name)
    )  # fmt: skip
    assert Counter(fills) == Counter(
        (
            str(event["i"]), str(event["t"]), number(event["L"]), number(event["l"]), number(event["n"]), event["N"],
            "maker" if event["m"] else "taker",
        )
        for event in reports(name)
        if event["x"] == "TRADE"
    )  # fmt: skip
    placed = {
        message["id"]: message["params"]
        for _, message in truth_of(name)
        if isinstance(message, dict) and message.get("method") == "order.place"
    }
    assert sorted(row for row in asked if row[0] in placed) == sorted(
        (
            request_id, "place", params["newClientOrderId"], params["side"].lower(),
            number(params["price"]), number(params["quantity"]),
        )
        for request_id, params in placed.items()
    )  # fmt: skip
    assert [row[:2] for row in answered] == [("503", Decimal("7.25"))]
    errors = {
        message["id"]: message["error"] for _, message in truth_of(name) if isinstance(message, dict) and "error" in message
    }
    assert {row[0]: (int(row[3]), row[4]) for row in refused} == {
        request_id: (error["code"], error["msg"]) for request_id, error in errors.items()
    }
    secrets = [API_KEY, LISTEN_KEY, "00" * 32]
    assert "[redacted]" in everything
    for secret in secrets:
        assert secret not in everything
        for file in (path for path in db.parent.rglob("*") if path.is_file()):
            assert secret.encode() not in file.read_bytes(), file
    assert not re.search("session.logon|authorizedSince", everything)

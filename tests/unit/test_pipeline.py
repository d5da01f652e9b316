"""The loop from packets to rows: the same rows however a capture comes, and each of them once, wherever it was stopped."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from sniffer.config import SECOND, Settings
from sniffer.errors import DamagedCapture, UsageError
from sniffer.model import Loss, Packet
from sniffer.pipeline import Pipeline
from sniffer.store.store import Store
from sniffer.summary import SUMMARY_KINDS, count
from sniffer.watch import resolve, watch_filter
from tests.command_line import PCAPS
from tests.loading import NEVER, Memory, Source, content, load, packets_of

SEED = random.randrange(1 << 32)

pytestmark = pytest.mark.usefixtures("settings_folder")


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
        if len(packets) < 2:
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
    for number in range(3):
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
    assert len(target.appends) >= 5
    assert all(size < 40 for size in target.appends)


def test_large_rows_are_appended_before_there_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sniffer.pipeline.APPEND_SIZE", 2_000)
    target = Memory()
    load(target, Source(packets_of("websocket/binance-orders.pcap"), 5))
    assert len(target.appends) >= 5
    assert sum(target.appends) == target.rows.total()


# --- small parts -----------------------------------------------------------------------------------------------------------


def test_a_summary_stays_small_whatever_the_traffic_calls_itself() -> None:
    counter: Counter[str] = Counter()
    for number in range(SUMMARY_KINDS * 2):
        count(counter, f"host-{number}", 1, "other hosts")
    count(counter, "host-0", 5, "other hosts")
    assert len(counter) == SUMMARY_KINDS + 1
    assert counter["host-0"] == 6
    assert counter["other hosts"] == SUMMARY_KINDS


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

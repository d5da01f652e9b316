"""A capture that was loaded, replayed again: it goes on, nothing changes, or it is refused; no loss of its source is missed."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from sniffer.capture.merge import merge
from sniffer.capture.pcapfile import open_capture
from sniffer.config import SECOND, Settings
from sniffer.errors import CaptureError, UsageError
from sniffer.model import Packet
from sniffer.pipeline import Pipeline
from sniffer.store.store import Store
from sniffer.summary import Summary
from tests.frames import frame, request, response
from tests.loading import NEVER, Source, content
from tests.packets import CLIENT, MILLISECOND, START, Flow

MASK = b"\x01\x02\x03\x04"

pytestmark = pytest.mark.usefixtures("settings_folder")


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "orders.duckdb"


def conversation(port: int = 50_000, start: int = START, words: int = 40) -> list[Packet]:
    flow = Flow(client=(CLIENT[0], port), start=start, step=MILLISECOND)
    flow.open()
    flow.data("client", request())
    flow.data("server", response())
    for number in range(words):
        flow.data("client", frame(1, b"%d" % number, mask=MASK))
    flow.close()
    return flow.packets()


def pcap(packets: list[Packet]) -> bytes:
    head = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262_144, 1)
    rows = (struct.pack("<IIII", at // SECOND, at % SECOND, len(data), size) + data for at, _, data, size, _ in packets)
    return head + b"".join(rows)


def block(kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    return struct.pack("<II", kind, 12 + len(body)) + body + struct.pack("<I", 12 + len(body))


def section() -> bytes:
    """A section header, and an interface with nanoseconds."""
    described = struct.pack("<HHI", 1, 0, 0) + struct.pack("<HHB3x", 9, 1, 9)
    return block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)) + block(1, described)


def enhanced(packets: list[Packet]) -> bytes:
    return b"".join(
        block(6, struct.pack("<IIIII", 0, at >> 32, at & 0xFFFFFFFF, len(data), size) + data)
        for at, _, data, size, _ in packets
    )


def dropped(count: int) -> bytes:
    """Interface statistics (`isb_osdrop`): so many packets dropped since the capture began."""
    return block(5, struct.pack("<III", 0, 0, 0) + struct.pack("<HHQ", 7, 8, count))


def replay(db: Path, *files: Path, settings: Settings | None = None, replace: bool = False) -> Summary:
    with Store(db) as store:
        source = merge([open_capture(str(file)) for file in files])
        return Pipeline(store, settings or Settings(keep="all"), publish_interval=NEVER, replace=replace).run(source)


def losses(db: Path) -> list[tuple[object, ...]]:
    """As they are, but for the name of the capture: a digest of what it began with."""
    return [row[1:] for row in content(db)["losses"]]


# --- what the source lost --------------------------------------------------------------------------------------------------

PACKETS = conversation()
SHAPES = {
    "statistics behind more packets": (section() + enhanced(PACKETS[:20]), enhanced(PACKETS[20:]) + dropped(5)),
    "statistics alone": (section() + enhanced(PACKETS), dropped(5)),
    "statistics before more packets": (section() + enhanced(PACKETS[:20]), dropped(5) + enhanced(PACKETS[20:])),
    "more statistics": (section() + enhanced(PACKETS[:20]) + dropped(2), enhanced(PACKETS[20:]) + dropped(5)),
    "statistics that were there": (section() + enhanced(PACKETS[:20]) + dropped(2), enhanced(PACKETS[20:])),
    "a few packets": (section() + enhanced(PACKETS[:3]), dropped(1) + enhanced(PACKETS[3:]) + dropped(2)),
    "damage": (section() + enhanced(PACKETS), b"\xff" * 5000),
    "damage behind packets": (section() + enhanced(PACKETS[:20]), enhanced(PACKETS[20:]) + b"\xff" * 5000),
    "damage of a pcap": (pcap(PACKETS[:8]), b"\xff" * 5000),
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_file_that_grew_tells_what_it_lost_as_if_it_were_read_at_once(name: str, db: Path, tmp_path: Path) -> None:
    capture = tmp_path / "capture"
    before, behind = SHAPES[name]
    capture.write_bytes(before)
    replay(db, capture)
    capture.write_bytes(before + behind)
    for _ in range(2):  # the second time nothing changes
        replay(db, capture)
        at_once = tmp_path / "at-once.duckdb"
        replay(at_once, capture)
        assert losses(db) == losses(at_once)
        assert {table: len(rows) for table, rows in content(db).items()} == {
            table: len(rows) for table, rows in content(at_once).items()
        }
    assert losses(db)


def test_what_a_file_of_several_lost_stands_behind_its_packets(db: Path, tmp_path: Path) -> None:
    """Another file's packets, of the same time, are at hand already."""
    other = conversation(50_001, START + MILLISECOND // 2)
    files = tmp_path / "a.pcapng", tmp_path / "b.pcap"
    files[0].write_bytes(section() + enhanced(PACKETS[:20]) + dropped(5) + enhanced(PACKETS[20:]))
    files[1].write_bytes(pcap(other))
    replay(db, *files)
    ((from_time, *_),) = [row[3:] for row in content(db)["losses"]]
    assert from_time is not None


# --- whether it is the same ------------------------------------------------------------------------------------------------


def test_other_options_than_it_was_loaded_with_are_refused(db: Path, tmp_path: Path) -> None:
    capture = tmp_path / "a.pcap"
    capture.write_bytes(pcap(PACKETS))
    nothing = Settings(ports=(1,), keep="all")
    assert replay(db, capture, settings=nothing).messages == 0
    assert replay(db, capture, settings=nothing).already_loaded == len(PACKETS)
    with pytest.raises(UsageError, match=r"a\.pcap: was loaded with --port 1 --keep all; give the same, or --replace"):
        replay(db, capture)
    replay(db, capture, replace=True)
    assert len(content(db)["messages"]) == 42
    with pytest.raises(UsageError, match="was loaded with --keep all;"):
        replay(db, capture, settings=Settings())
    with pytest.raises(UsageError, match="was loaded with --keep all;"):
        replay(db, capture, settings=Settings(keep="all", hosts=("192.0.2.1",)))


def test_one_that_only_begins_as_another_is_refused_and_can_take_its_place(db: Path, tmp_path: Path) -> None:
    """Files that overlap in time, of which one was loaded alone: what was loaded are not the first packets of both."""
    files = tmp_path / "a.pcap", tmp_path / "b.pcap"
    files[0].write_bytes(pcap(PACKETS))
    files[1].write_bytes(pcap(conversation(50_001, PACKETS[-10][0] + 1)))
    replay(db, files[0])
    before = content(db)
    with pytest.raises(CaptureError, match=r"a\.pcap, .*b\.pcap: begins as a capture that is in the database, and is another"):
        replay(db, *files)
    assert content(db) == before
    replay(db, *files, replace=True)
    assert len(content(db)["messages"]) == 84
    assert content(db)["losses"] == []


def test_one_that_is_shorter_is_a_part_only_if_it_goes_on_alike(db: Path, tmp_path: Path) -> None:
    """Captures of a simulation, say, whose clocks and first packets are the same."""
    capture, other = tmp_path / "a.pcap", tmp_path / "b.pcap"
    capture.write_bytes(pcap(PACKETS))
    other.write_bytes(pcap(PACKETS[:-8]))
    replay(db, capture)
    before = content(db)
    assert replay(db, other).already_loaded == len(PACKETS) - 8
    other.write_bytes(pcap([*PACKETS[:34], *((at + 1, *rest) for at, *rest in PACKETS[34:-8])]))
    with pytest.raises(CaptureError, match=rf"b\.pcap: .* is another one within {len(PACKETS) - 8} packets; --replace"):
        replay(db, other)
    assert content(db) == before


def test_where_it_was_stopped_and_how_it_is_cut_does_not_make_it_another(db: Path) -> None:
    for stop in (1, 20, 33, len(PACKETS)):
        for size in (1, 7, 1000):
            with Store(db) as store:
                Pipeline(store, Settings(keep="all"), publish_interval=NEVER).run(Source(PACKETS[:stop], size))
    with Store(db) as store:
        Pipeline(store, Settings(keep="all"), publish_interval=NEVER).run(Source(PACKETS))
    assert len(content(db)["messages"]) == 42

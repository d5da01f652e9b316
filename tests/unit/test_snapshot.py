"""Snapshots: decoding goes on as if it had never stopped; and nothing but our own state is ever taken from a file."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pickle
import random
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from sniffer import exchanges
from sniffer.capture.journal import Bookmark, JournalReader
from sniffer.capture.journal_writer import JournalWriter
from sniffer.capture.pcapfile import open_capture
from sniffer.capture.segment import segments
from sniffer.config import SECOND, Limits, Settings, account_name
from sniffer.examine import Examiner
from sniffer.exchanges.base import ConnectionFacts
from sniffer.keys import Keys
from sniffer.model import OPCODE_TEXT, Batch, Message, Packet, Position
from sniffer.pipeline import IDLE_LAG, Pipeline, examine
from sniffer.snapshot import KEPT, SUFFIX, Refused, Snapshot, Snapshots, dump, load
from sniffer.wire.engine import Engine
from sniffer.wire.keylog import KeyLog
from tests.command_line import PCAPS
from tests.loading import Memory, packets_of

SEED = random.randrange(1 << 32)
LIMITS = Limits()
NAME_OF = partial(account_name, b"salt")
SHARED = {"limits": LIMITS, "name of an account": NAME_OF}

pytestmark = pytest.mark.usefixtures("settings_folder")


def captures() -> list[str]:
    found = []
    for path in sorted(PCAPS.glob("*/*.json")):
        truth = json.loads(path.read_text())
        if truth.get("damage") is None and len(truth.get("files", ())) == 1 and (truth["packets"] or 999) < 400:
            found.append(f"{path.parent.name}/{truth['files'][0]}")
    return found


# --- going on ---


def decode(packets: Sequence[Packet], cuts: Sequence[int], secrets: Sequence[bytes], *, again: bool) -> tuple[list[Any], ...]:
    """The rows of `packets`; with `again` the state is put into bytes and out again at each of the cuts."""
    keylog = KeyLog(LIMITS)
    shared = SHARED | {"key log": keylog}
    engine, examiner, batch = Engine("x", LIMITS, keylog=keylog), Examiner("x", True, None, NAME_OF), Batch()
    for lines in secrets:
        keylog.feed("capture", lines)
        keylog.end("capture")
    for begin, end in pairwise((0, *cuts, len(packets))):
        examine(examiner, engine.feed(list(packets[begin:end])), batch)
        if again:
            engine, examiner = load(dump((engine, examiner), shared), shared)
    examine(examiner, engine.finish(), batch)
    return batch.messages, batch.order_events, batch.fill_events, batch.losses


@pytest.mark.parametrize("folder", sorted({name.partition("/")[0] for name in captures()}))
def test_state_that_was_kept_goes_on_as_if_nothing_had_been(folder: str) -> None:
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    for name in captures():
        if name.startswith(f"{folder}/"):
            source = open_capture(str(PCAPS / name))
            packets = [packet for block in source.blocks() for packet in block]
            secrets = getattr(source, "secrets", [])
            cuts = sorted(chance.sample(range(len(packets)), min(6, len(packets))))
            kept, straight = (decode(packets, cuts, secrets, again=again) for again in (True, False))
            assert kept == straight, f"{name}, kept after {cuts} packets"


def test_decoders_of_every_venue_can_be_kept() -> None:
    """Between any two of a venue's fixtures, so that requests that await their answers are among the state."""
    seen = set()
    for path in sorted((Path(__file__).parent / "exchanges").glob("test_*.py")):
        module = importlib.import_module(f"tests.unit.exchanges.{path.stem}")
        for venue in {fixture[0] for fixture in getattr(module, "FIXTURES", ())}:
            seen.add(venue)
            decoders = [exchanges.by_name(venue).decoder(ConnectionFacts(1, name_of=NAME_OF)) for _ in range(2)]
            for position, (_, sender, payload, *http) in enumerate(f for f in module.FIXTURES if f[0] == venue):
                if http:
                    continue
                data = payload if isinstance(payload, bytes) else payload if isinstance(payload, str) else json.dumps(payload)
                data = data.encode() if isinstance(data, str) else data
                message = Message(1, sender, position, position, position, OPCODE_TEXT, data)
                kept, straight = (decoder.decode(message) for decoder in decoders)
                assert kept == straight, f"{venue}, {path.name}, fixture {position}"
                decoders[0] = load(dump(decoders[0], SHARED), SHARED)
    assert seen >= {"binance-spot"}


# --- a journal that is bounded ---


class Idle(JournalReader):
    """A journal to which nothing is added for a second of capture time."""

    def blocks(self) -> Iterator[list[Packet]]:
        latest = 0
        for block in super().blocks():
            yield block
            latest = block[-1][0] if block else latest
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sniffer.pipeline.time.time_ns", lambda: latest + IDLE_LAG + SECOND)
            yield []


class Lagging(Memory):
    """A target whose appends become durable a while after they were made."""

    def __init__(self) -> None:
        super().__init__()
        self._states: list[tuple[Any, ...]] = []

    def append(self, batch: Batch, position: Position) -> None:
        self._states.append((self.saved, self.rows.copy(), self.connections.copy(), self._ended))
        super().append(batch, position)

    def begin(self) -> None:
        """What was appended so far is durable."""
        self._states.clear()

    def crash(self, lost: int) -> None:
        """The last so many appends were not."""
        for _ in range(min(lost, len(self._states))):
            self.saved, self.rows, self.connections, self._ended = self._states.pop()


class Loader:
    """A loader of one journal, run after run, as the sidecar's: it can be cut off, and the journal's segments can go."""

    def __init__(self, folder: Path, target: Memory, settings: Settings) -> None:
        self.folder, self.target, self.settings = folder, target, settings
        self.said: list[str] = []
        self.begun: list[int | None] = []

    def run(self, blocks: int | None = None, *, idle: bool = False) -> None:
        """Load what is there; after so many `blocks` the loader is killed. `idle`: a second passes behind what is there."""
        identity = JournalReader(self.folder, follow=False)
        next(block for block in identity.blocks() if block)
        assert identity.identity is not None
        keys = Keys(self.settings, self.said.append, follow=False)
        pipeline = Pipeline(self.target, self.settings, publish_interval=0.0, keys=keys)
        snapshots = Snapshots(self.folder, identity.identity, self.settings, pipeline.shared, self.said.append)
        known = self.target.position((identity.identity,))
        loaded = known.packets if known else 0
        resumed = snapshots.latest(loaded, [number for number, _ in segments(self.folder)])
        self.begun.append(resumed.bookmark.segment if resumed else None)
        pipeline.keep_snapshots(snapshots, resumed)
        reader = (Idle if idle else JournalReader)(
            self.folder, follow=False, loaded=loaded, begin=resumed.bookmark if resumed else None
        )
        left = [blocks]

        def kill(*_: object) -> None:
            if left[0] is not None:
                left[0] -= 1
                if left[0] < 0:
                    raise ConnectionResetError("killed")

        try:
            pipeline.run(reader, kill)
        except ConnectionResetError:
            return


@pytest.mark.parametrize("name", ["websocket/binance-orders-compressed.pcap", "websocket/binance-orders.pcap"])
def test_a_connection_outlives_the_segments_that_it_began_in(name: str, tmp_path: Path) -> None:
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    packets = packets_of(name)
    folder = tmp_path / "journal"
    folder.mkdir()
    for number in range(6):
        at = 0
        target, everything = Memory(), Memory()
        loader = Loader(folder, target, Settings(keep="all"))
        with_all = Loader(folder, everything, Settings(keep="all"))
        writer = JournalWriter(folder, [("lo", 1)], segment_bytes=4096, max_bytes=1 << 30)
        while at < len(packets):
            step = chance.randrange(1, 40)
            writer.write(packets[at : at + step])
            at += step
            loader.run(chance.choice((None, 0, 1, 2, 3)))
            kept = sorted(int(path.stem) for path in folder.glob(f"*{SUFFIX}"))
            assert len(kept) <= KEPT
            position = target.saved.packets if target.saved else 0
            for segment, path in segments(folder):  # what no snapshot needs is deleted
                if len(kept) == KEPT and segment < kept[0] and position:
                    path.rename(tmp_path / path.name)
        writer.close()
        loader.run()
        assert any(loader.begun), "no snapshot was used"
        assert loader.begun[-1]
        assert loader.begun[-1] > 1
        for path in tmp_path.glob("*.pcapng"):
            path.rename(folder / path.name)
        for path in folder.glob(f"*{SUFFIX}"):
            path.unlink()
        with_all.run()
        assert with_all.begun == [None]
        assert target.rows == everything.rows, f"run {number}, seed {SEED}"
        assert target.connections == everything.connections, f"run {number}, seed {SEED}"
        for path in folder.iterdir():
            path.unlink()


@pytest.mark.parametrize("name", ["tls/late-keys.pcapng", "tls/tls13-compressed.pcapng", "websocket/binance-orders.pcap"])
def test_what_was_held_for_its_keys_comes_once_whenever_they_come(name: str, tmp_path: Path) -> None:
    """Recordings, 2 s apart, each with segments of its own, whose loaders are killed at any moment; the keys come with one."""
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    source = open_capture(str(PCAPS / name))
    packets = [packet for block in source.blocks() for packet in block]
    lines = b"".join(getattr(source, "secrets", ()))
    if not lines:  # holes, and bytes that are never acknowledged; of TLS less is read behind a hole while keys are missing
        packets = [packet for packet in packets if chance.random() > 0.1]
    keys = tmp_path / "keys.log"
    settings = Settings(keep="all", keylog=(keys,))
    for number in range(12):
        folder = tmp_path / f"journal-{number}"
        folder.mkdir()
        keys.write_bytes(b"")
        target = Lagging()
        loader = Loader(folder, target, settings)
        cuts = sorted(chance.sample(range(1, len(packets)), 5))
        known = chance.randrange(len(cuts))
        for turn, (begin, end) in enumerate(pairwise((0, *cuts, len(packets)))):
            writer = JournalWriter(folder, [("lo", 1)], segment_bytes=1 << 20, max_bytes=1 << 30)
            writer.write([(time + turn * 2 * SECOND, *rest) for time, *rest in packets[begin:end]])
            writer.close()
            if turn == known:
                keys.write_bytes(lines)
            for _ in range(chance.randrange(1, 4)):
                target.begin()
                # The end of everything is told alike only where a second has passed behind it.
                loader.run(chance.choice((None, 0, 1, turn, turn + 1)), idle=turn == len(cuts) or chance.random() < 0.5)
                target.crash(chance.choice((0, 0, 1, 2)))
        loader.run(idle=True)
        for path in folder.glob(f"*{SUFFIX}"):
            path.unlink()
        straight = Memory()
        Loader(folder, straight, settings).run(idle=True)
        assert target.rows == straight.rows, f"run {number}, seed {SEED}"


# --- what is refused ---

BOOKMARK = Bookmark(3, 1, 100, 5000, True, 7, None, None)


def keeper(folder: Path, journal: str = "j", said: list[str] | None = None, **changes: Any) -> Snapshots:
    lines: list[str] = [] if said is None else said
    return Snapshots(folder, journal, Settings(**changes), SHARED, lines.append)


def test_the_newest_that_is_behind_the_database_is_found(tmp_path: Path) -> None:
    said: list[str] = []
    snapshots = keeper(tmp_path, said=said)
    for segment in range(3, 8):
        snapshots.keep(Snapshot(BOOKMARK._replace(segment=segment, packets=segment * 100), ["state", segment]))
    files = sorted(tmp_path.iterdir())
    assert [path.name for path in files] == ["00000006.snapshot", "00000007.snapshot"]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    found = snapshots.latest(650, range(10))
    assert found is not None
    assert found.bookmark.segment == 6
    assert found.state == ["state", 6]
    assert said == [
        f"{tmp_path}/00000007.snapshot: is not used: it is not behind the database;"
        " the journal is decoded from an earlier place"
    ]
    assert snapshots.latest(599, range(10)) is None
    assert snapshots.latest(700, [8]) is None
    assert "its segment of the journal is gone" in said[-1]


@pytest.mark.parametrize(
    ("change", "why"),
    [({"journal": "another"}, "it is of another journal"), ({"ports": (9443,)}, "it is of other settings")],
)
def test_of_something_else(tmp_path: Path, change: dict[str, Any], why: str) -> None:
    keeper(tmp_path).keep(Snapshot(BOOKMARK, []))
    said: list[str] = []
    assert keeper(tmp_path, said=said, **change).latest(101, [3]) is None
    assert why in said[0]


def test_of_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper(tmp_path).keep(Snapshot(BOOKMARK, []))
    for name, why in (("__version__", "version"), ("_FORMAT", "format")):
        with monkeypatch.context() as changed:
            changed.setattr(f"sniffer.snapshot.{name}", "0")
            said: list[str] = []
            assert keeper(tmp_path, said=said).latest(101, [3]) is None
            assert f"it is of another {why}" in said[0]
    assert keeper(tmp_path).latest(101, [3]) is not None


def test_damaged_files_are_refused_in_a_line_each(tmp_path: Path) -> None:
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    engine = Engine("x", LIMITS)
    engine.feed(packets_of("websocket/binance-orders-compressed.pcap")[:90])
    snapshots = keeper(tmp_path)
    snapshots.keep(Snapshot(BOOKMARK, engine))
    path = tmp_path / "00000003.snapshot"
    whole = path.read_bytes()
    for _ in range(200):
        damaged = bytearray(whole)
        kind = chance.randrange(3)
        if kind == 0:
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del damaged[chance.randrange(len(damaged)) :]
        else:
            damaged[:0] = chance.randbytes(chance.randrange(1, 20))
        path.write_bytes(damaged)
        said: list[str] = []
        assert keeper(tmp_path, said=said).latest(101, [3]) is None
        assert len(said) == 1
        assert "\n" not in said[0]


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    said: list[str] = []
    snapshots = keeper(tmp_path, said=said)
    (tmp_path / "00000001.snapshot").mkdir()
    os.mkfifo(tmp_path / "00000002.snapshot")
    (tmp_path / "00000003.snapshot").symlink_to(__file__)
    (tmp_path / "00000004.snapshot").write_bytes(b"")
    (tmp_path / "00000005.snapshot").write_bytes(b"[" * 100_000)
    (tmp_path / "notes.snapshot").write_text("not ours")
    assert snapshots.latest(101, range(10)) is None
    assert len(said) == 5


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch evil",)


@pytest.mark.parametrize(
    "hostile",
    [
        Evil(),
        getattr,
        eval,
        Settings(),
        partial(print, "x"),
        pickle.Unpickler,
        exchanges.base.dataclass,
        json.dumps,
    ],
)
def test_a_snapshot_holds_nothing_but_decoding_state(hostile: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Refused):
        load(pickle.dumps([hostile]), SHARED)
    assert list(tmp_path.iterdir()) == []


def test_methods_of_others_are_refused() -> None:
    with pytest.raises(Refused):
        load(dump(Path("/").exists, SHARED), SHARED)


def test_a_mutated_pickle_is_refused_or_loads(tmp_path: Path) -> None:
    """A right digest proves nothing: whatever the bytes, it is our state or a refusal."""
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    engine = Engine("x", LIMITS)
    engine.feed(packets_of("websocket/binance-orders-compressed.pcap")[:90])
    whole = dump(engine, SHARED)
    for _ in range(500):
        mutated = bytearray(whole)
        for _ in range(chance.randrange(1, 6)):
            mutated[chance.randrange(len(mutated))] = chance.randrange(256)
        with contextlib.suppress(Refused):
            load(bytes(mutated), SHARED)


def test_a_folder_that_cannot_be_written_is_said_once(tmp_path: Path) -> None:
    said: list[str] = []
    snapshots = keeper(tmp_path / "gone", said=said)
    for _ in range(3):
        snapshots.keep(Snapshot(BOOKMARK, []))
    assert said == [
        f"{tmp_path}/gone: no snapshot could be kept: No such file or directory; a restart will decode more of the journal"
    ]

"""Random websocket traffic on loopback: what is stored is what was sent and received, also of a capture that was mangled.

`SNIFFER_TEST_ROUNDS=20` runs twenty times as much; a failed test's name ends in its seed, for `SNIFFER_TEST_SEED`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sniffer.capture.pcapfile import open_capture
from sniffer.model import Packet, Sender
from tests.live import live_mangle
from tests.live.live_mangle import Cut, Frames, Streams
from tests.live.live_tools import (
    LIVE,
    TCPDUMP,
    Messages,
    Recording,
    check_equal,
    in_order,
    options,
    rows,
    seeds,
    sniffer_command,
    stored,
    tcpdump,
)
from tests.live.live_traffic import PAIRS, Plan, Talk, listen, ports, run
from tests.reading import Reading, Seen, read_packets

pytestmark = LIVE
LATE = 150_000_000
"""Nanoseconds that a packet may be late: less than the 200 ms after which a hole is given up."""


def captured(tmp_path: Path, plan: Plan) -> tuple[Path, list[Talk]]:
    """Traffic, and a file of its packets as another program wrote it."""
    listening = listen(4)
    path = tmp_path / "traffic.pcap"
    with tcpdump("-w", path, ports=ports(listening)):
        talks = run(plan, listening)
    return path, talks


def packets_of(path: Path) -> Iterator[Packet]:
    for block in open_capture(str(path)).blocks():
        yield from block


def ports_of(seen: Seen) -> tuple[int, int]:
    return seen.connection.client_address[1], seen.connection.server_address[1]


def messages(reading: Reading) -> Messages:
    """What was read, by connection."""
    found: Messages = {}
    for seen in reading.connections.values():
        assert ports_of(seen) not in found, "one connection was taken for two"
        found[ports_of(seen)] = seen.messages
    return found


# --- as it was --------------------------------------------------------------------------------------------------------------


@TCPDUMP
@pytest.mark.parametrize("seed", seeds(1))
def test_replayed(tmp_path: Path, seed: int) -> None:
    path, talks = captured(tmp_path, Plan(seed, connections=random.Random(seed).randint(1, 20), wsproto=0.3))
    db = tmp_path / "orders.duckdb"
    done = sniffer_command("replay", path, "--keep", "all", "--db", db)
    assert (done.code, done.err) == (0, "")
    check_equal(stored(db), talks)
    assert rows(db, "SELECT * FROM losses") == []
    assert rows(db, "SELECT count(*) FROM connections WHERE NOT readable OR closed_at IS NULL") == [(0,)]


@pytest.mark.parametrize("seed", seeds(1))
def test_recorded(tmp_path: Path, seed: int) -> None:
    listening = listen(4)
    db = tmp_path / "orders.duckdb"
    with Recording(db, *options(listening)) as recording:
        talks = run(Plan(seed, connections=20, wsproto=0.3), listening)
        done = recording.stop()
    assert done.code == 0, done
    check_equal(stored(db), talks)
    assert rows(db, "SELECT * FROM losses") == []
    assert rows(db, "SELECT kernel_drops FROM captures") == [(0,)]


# --- mangled ----------------------------------------------------------------------------------------------------------------

Mangler = Callable[[list[Cut], random.Random], list[Cut]]


def everything(cuts: list[Cut], rng: random.Random) -> list[Cut]:
    cuts = live_mangle.overlap(live_mangle.resegment(cuts, rng), rng)
    return live_mangle.reorder(live_mangle.duplicate(cuts, rng, LATE // 2), rng, LATE // 2)


MANGLERS: dict[str, Mangler] = {
    "reordered": lambda cuts, rng: live_mangle.reorder(cuts, rng, LATE),
    "duplicated": lambda cuts, rng: live_mangle.duplicate(cuts, rng, LATE),
    "overlapping": live_mangle.overlap,
    "resegmented": live_mangle.resegment,
    "everything": everything,
}


@TCPDUMP
@pytest.mark.parametrize("seed", seeds(1))
def test_mangled(tmp_path: Path, seed: int) -> None:
    """Reordered, duplicated, overlapping, cut elsewhere, and all of it: the same messages."""
    path, talks = captured(tmp_path, Plan(seed, connections=8, wsproto=0.3))
    cuts = live_mangle.take_apart(packets_of(path))
    for name, mangle in MANGLERS.items():
        rng = random.Random(f"{name} {seed}")
        reading = read_packets(live_mangle.put_together(mangle(cuts, rng)), block=rng.choice([1, 7, 1024]))
        print(name)
        check_equal(messages(reading), talks)
        assert reading.losses == []


# --- with packets missing ---------------------------------------------------------------------------------------------------


@TCPDUMP
@pytest.mark.parametrize("seed", seeds(1))
def test_data_deleted(tmp_path: Path, seed: int) -> None:
    """Each message that is stored was sent, in order, and every byte is in one of them, or in a loss."""
    cuts, whole = intact(tmp_path, seed)
    streams = Streams(cuts)
    for share in (0.005, 0.05, 0.3):
        print(f"share {share}")
        kept = live_mangle.delete(cuts, random.Random(f"{share} {seed}"), share, data_only=True)
        reading = read_packets(live_mangle.put_together(kept))
        assert reading.connections.keys() == whole.connections.keys()
        for connection, seen in reading.connections.items():
            check_account(whole.connections[connection], seen, streams, kept)


@TCPDUMP
@pytest.mark.parametrize("seed", seeds(1))
def test_anything_deleted(tmp_path: Path, seed: int) -> None:
    """Handshakes, acknowledgements and ends are missing, too: what is stored was sent, and what is not leaves a loss."""
    cuts, whole = intact(tmp_path, seed)
    sent = messages(whole)
    for share in (0.02, 0.1, 0.3):
        print(f"share {share}")
        kept = live_mangle.delete(cuts, random.Random(f"{share} {seed}"), share, data_only=False)
        reading = read_packets(live_mangle.put_together(kept))
        for where, said in messages(reading).items():
            if any(said.values()):
                assert where in sent, "client and server were mixed up"
                for sender, _ in PAIRS:
                    assert in_order(said[sender], sent[where][sender])
        for seen in reading.connections.values():
            where = ports_of(seen)
            known = sent.get(where) or sent[where[::-1]]
            if sum(map(len, seen.messages.values())) < sum(map(len, known.values())):
                assert seen.losses, f"messages of {where} are missing, and nothing says so"


def intact(tmp_path: Path, seed: int) -> tuple[list[Cut], Reading]:
    """A capture's segments, and what is read of them while none is missing."""
    path, talks = captured(tmp_path, Plan(seed, connections=8, wsproto=0.3))
    cuts = live_mangle.take_apart(packets_of(path))
    whole = read_packets(live_mangle.put_together(cuts))
    check_equal(messages(whole), talks)
    return cuts, whole


def timed(seen: Seen, sender: Sender) -> list[tuple[str, bytes, int]]:
    """(opcode, payload, time of the first packet) of each websocket message; HTTP comes before all of them."""
    heads = sum(who == sender for who, _ in seen.http)
    times = seen.times[sender][heads:]
    return [(*said, first_seen) for said, (first_seen, _) in zip(seen.messages[sender], times, strict=True)]


def check_account(whole: Seen, seen: Seen, streams: Streams, kept: list[Cut]) -> None:
    """Hold what was read of a connection against what there was, byte for byte."""
    client, server = ports_of(whole)
    flows: dict[Sender, tuple[int, int]] = {"client": (client, server), "server": (server, client)}
    for sender, flow in flows.items():
        losses = [loss for loss in seen.losses if loss.sender == sender]
        assert sum(loss.bytes or 0 for loss in losses if loss.layer == "tcp") == streams.missing(flow, kept)
        # A message is recognised by what it says; the packet that began it may be a later copy of the one that is gone.
        frames = Frames(streams.bytes(flow))
        left = iter(zip(timed(whole, sender), frames.messages, strict=True))
        stored = frames.head if any(who == sender for who, _ in seen.http) else 0
        for said in timed(seen, sender):
            size = next((size for one, size in left if one[:2] == said[:2] and one[2] <= said[2]), None)
            assert size is not None, f"{said[0]} of {len(said[1])} bytes at {said[2]} was not sent, or not here"
            stored += size
        assert stored + sum(loss.bytes or 0 for loss in losses) == len(streams.bytes(flow)), losses

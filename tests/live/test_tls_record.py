"""Random websocket traffic over TLS on loopback: recorded, replayed, with late keys, joined in the middle, mangled."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
import ssl
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from sniffer.capture.pcapfile import open_capture
from sniffer.config import SECOND
from sniffer.model import Packet
from strategies.tls import make_identity, server_context
from tests.live import live_mangle
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
    wait_for,
)
from tests.live.live_traffic import HOST, PAIRS, Plan, Talk, listen, ports, run
from tests.reading import Reading, key_log, read_packets

pytestmark = LIVE
LATE = 150_000_000
"""Nanoseconds that a packet may be late."""


def key_file(folder: Path, name: str = "keys.log") -> Path:
    path = folder / name
    path.touch(0o600)
    return path


def low_port(seed: int) -> socket.socket:
    """A socket that listens on a port below the ephemeral ones."""
    rng = random.Random(f"port {seed}")
    while True:
        with contextlib.suppress(OSError):
            return socket.create_server(("127.0.0.1", rng.randrange(10_000, 30_000)), backlog=64)


def check_known(db: Path) -> None:
    """Each connection is known for what it is."""
    found = rows(db, "SELECT DISTINCT protocol, host, tls_version, readable, closed_at IS NULL FROM connections ORDER BY ALL")
    assert set(found) <= {("wss", HOST, version, True, False) for version in ("TLSv1.2", "TLSv1.3")}
    assert rows(db, "SELECT count(*) FROM connections WHERE cipher IS NULL") == [(0,)]


@pytest.mark.parametrize("seed", seeds(1))
def test_recorded(tmp_path: Path, seed: int) -> None:
    listening = listen(4)
    db, keys = tmp_path / "orders.duckdb", key_file(tmp_path)
    with Recording(db, *options(listening, "--keylog", keys)) as recording:
        talks = run(Plan(seed, connections=20, wsproto=0.3, keylog=keys), listening)
        done = recording.stop()
    assert done.code == 0, done
    check_equal(stored(db), talks)
    check_known(db)
    assert rows(db, "SELECT * FROM losses") == []
    secrets = [line.split()[2] for line in keys.read_text().splitlines() if not line.startswith("#")]
    assert len(secrets) >= 20
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path != keys)
    assert [secret for secret in secrets if bytes.fromhex(secret) in written or secret.encode() in written] == []


@pytest.mark.parametrize("seed", seeds(1))
def test_a_key_log_that_comes_two_seconds_late(tmp_path: Path, seed: int) -> None:
    """It appears under its name when the connections are up, and is rotated while they go on."""
    listening = listen(2)
    db, written, keys = tmp_path / "orders.duckdb", key_file(tmp_path, "written"), tmp_path / "keys.log"
    shown: list[float] = []

    def show() -> None:
        wait_for(lambda: written.stat().st_size, "a handshake")
        time.sleep(2)
        os.link(written, keys)
        shown.append(time.time())

    watcher = threading.Thread(target=show)
    with Recording(db, *options(listening, "--keylog", keys)) as recording:
        watcher.start()
        talks = run(Plan(seed, connections=6, messages=40, largest=5000, pause=0.4, keylog=written), listening)
        watcher.join()
        time.sleep(0.5)
        done = recording.stop()
    assert done.code == 0, done
    check_equal(stored(db), talks)
    check_known(db)
    assert rows(db, "SELECT * FROM losses") == []
    (before,) = rows(db, "SELECT count(*) FROM messages WHERE captured_at < make_timestamp_ns(?)", int((shown[0] - 1) * SECOND))
    assert before[0] > 50, "most of it was held"


@pytest.mark.parametrize("seed", seeds(1))
def test_started_in_the_middle_it_reads_on(tmp_path: Path, seed: int) -> None:
    """Uncompressed, TLS 1.3; of TLS 1.2 the handshake is needed. Servers listen below the ports that clients get."""
    listening = [low_port(seed)]
    db, keys = tmp_path / "orders.duckdb", key_file(tmp_path)
    talks: list[Talk] = []
    plan = Plan(seed, connections=10, messages=100, largest=3000, pause=0.25, compression=False, keylog=keys)
    plan = replace(plan, versions=(ssl.TLSVersion.TLSv1_3,))
    traffic = threading.Thread(target=lambda: talks.extend(run(plan, listening)))
    traffic.start()
    wait_for(lambda: keys.stat().st_size, "a handshake")
    time.sleep(0.3)
    with Recording(db, *options(listening, "--keylog", keys)) as recording:
        traffic.join()
        done = recording.stop()
    assert done.code == 0, done
    sent = {talk.ports: talk.sent for talk in talks}
    read = 0
    for where, said in stored(db).items():
        for sender, peer in PAIRS:
            pongs = [("pong", payload) for opcode, payload in sent[where][peer] if opcode == "ping"]
            assert in_order([one for one in said[sender] if one[0] != "pong"], sent[where][sender])
            assert in_order([one for one in said[sender] if one[0] == "pong"], pongs)
        read += bool(said["client"] and said["server"])
    assert read >= len(sent) // 3, "too few went on for long enough"
    why = {reason for (reason,) in rows(db, "SELECT unreadable_reason FROM connections WHERE NOT readable")}
    assert why <= {"joined in the middle, and no websocket frame was proved"}  # too few frames were left


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_records_that_are_held_when_a_recording_ends_are_read_by_the_next_one(tmp_path: Path, how: signal.Signals) -> None:
    """The first one never sees the keys; the connection goes on, and so does the journal."""
    listening = listen()
    db, written, keys = tmp_path / "orders.duckdb", key_file(tmp_path, "written"), tmp_path / "keys.log"
    first, later = ([f"message {number} of part {part}" for number in range(20)] for part in (1, 2))

    async def talk() -> None:
        async def answer(connection: ServerConnection) -> None:
            async for message in connection:
                await connection.send(message)

        async def say(messages: list[str]) -> None:
            for message in messages:
                await client.send(message)
                assert await client.recv() == message

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.keylog_filename = str(written)
        identity = server_context(make_identity("localhost"))
        recording = Recording(db, *options(listening, "--keylog", keys))
        await asyncio.to_thread(recording.__enter__)
        async with serve(answer, sock=listening[0], ssl=identity, ping_interval=None):
            url = f"wss://127.0.0.1:{ports(listening)[0]}/"
            async with connect(url, ssl=context, ping_interval=None, proxy=None) as client:
                await say(first)
                await asyncio.sleep(1)  # the database says by now that it could not be read
                recording.process.send_signal(how)
                await asyncio.to_thread(recording.process.wait, 20)
                recording.__exit__(None, None, None)
                await asyncio.to_thread(wait_for, lambda: not held_open(db), "the end of the first recording")
                assert rows(db, "SELECT count(*) FROM messages") == [(0,)]
                os.link(written, keys)
                with Recording(db, *options(listening, "--keylog", keys)) as again:
                    await say(later)
                    await client.close()
                    await asyncio.to_thread(again.stop)

    asyncio.run(asyncio.wait_for(talk(), 90))
    found = rows(db, "SELECT sender, payload FROM messages WHERE opcode = 'text' ORDER BY sender, position")
    assert [payload for sender, payload in found if sender == "client"] == [*first, *later]
    assert [payload for sender, payload in found if sender == "server"] == [*first, *later]
    assert rows(db, "SELECT * FROM losses WHERE bytes > 0") == []
    assert rows(db, "SELECT protocol, readable FROM connections") == [("wss", True)]


def held_open(db: Path) -> bool:
    """Whether a process of a recording still has files beside the database open."""
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if str(link.readlink()).startswith(f"{db}."):
                return True
    return False


@TCPDUMP
@pytest.mark.parametrize("seed", seeds(1))
def test_exported_and_replayed(tmp_path: Path, seed: int) -> None:
    """What tcpdump captured, and the file that `export-capture` makes of it, which needs no key log."""
    path, keys, talks = captured(tmp_path, Plan(seed, connections=random.Random(seed).randint(1, 12), wsproto=0.3))
    one, two, closed = (tmp_path / f"{name}.duckdb" for name in ("one", "two", "closed"))
    assert sniffer_command("replay", path, "--keep", "all", "--db", one, "--keylog", keys).err == ""
    done = sniffer_command("export-capture", path, "--keylog", keys, "-o", tmp_path / "open.pcapng")
    assert done.code == 0, done
    assert sniffer_command("replay", tmp_path / "open.pcapng", "--keep", "all", "--db", two).err == ""
    for db in (one, two):
        check_equal(stored(db), talks)
        check_known(db)
        assert rows(db, "SELECT * FROM losses") == []
    assert sniffer_command("replay", path, "--keep", "all", "--db", closed).code == 0
    assert rows(closed, "SELECT DISTINCT protocol, host, unreadable_reason FROM connections") == [
        ("tls", HOST, "TLS, and no key log is read")
    ]
    assert rows(closed, "SELECT count(*) FROM messages") == [(0,)]


# --- mangled ----------------------------------------------------------------------------------------------------------------


def captured(tmp_path: Path, plan: Plan) -> tuple[Path, Path, list[Talk]]:
    """A file of the packets, the key log, and what was said."""
    listening = listen(3)
    path, keys = tmp_path / "traffic.pcap", key_file(tmp_path)
    with tcpdump("-w", path, ports=ports(listening)):
        talks = run(replace(plan, keylog=keys), listening)
    return path, keys, talks


def packets_of(path: Path) -> list[Packet]:
    return [packet for block in open_capture(str(path)).blocks() for packet in block]


def messages(reading: Reading) -> Messages:
    return {
        (seen.connection.client_address[1], seen.connection.server_address[1]): seen.messages
        for seen in reading.connections.values()
    }


@TCPDUMP
@pytest.mark.parametrize("seed", seeds(1))
def test_mangled(tmp_path: Path, seed: int) -> None:
    path, keys, talks = captured(tmp_path, Plan(seed, connections=6, largest=50_000, wsproto=0.3))
    cuts = live_mangle.take_apart(packets_of(path))
    manglers = {
        "reordered": lambda rng: live_mangle.reorder(cuts, rng, LATE),
        "duplicated": lambda rng: live_mangle.duplicate(cuts, rng, LATE),
        "overlapping": lambda rng: live_mangle.overlap(cuts, rng),
        "resegmented": lambda rng: live_mangle.resegment(cuts, rng),
    }
    for name, mangle in manglers.items():
        rng = random.Random(f"{name} {seed}")
        log = key_log(keys.read_bytes())
        reading = read_packets(live_mangle.put_together(mangle(rng)), rng.choice([1, 7, 1024]), keylog=log)
        print(name)
        check_equal(messages(reading), talks)
        assert reading.losses == []


@TCPDUMP
@pytest.mark.parametrize("data_only", [True, False])
@pytest.mark.parametrize("seed", seeds(1))
def test_packets_deleted(tmp_path: Path, seed: int, data_only: bool) -> None:
    """What is read was sent, in order; where a message is missing, there is a loss."""
    path, keys, talks = captured(tmp_path, Plan(seed, connections=6, largest=20_000, wsproto=0.3))
    cuts = live_mangle.take_apart(packets_of(path))
    whole = read_packets(live_mangle.put_together(cuts), keylog=key_log(keys.read_bytes()))
    sent = messages(whole)
    check_equal(sent, talks)
    for share in (0.005, 0.05, 0.3):
        print(f"share {share}")
        kept = live_mangle.delete(cuts, random.Random(f"{share} {seed}"), share, data_only=data_only)
        reading = read_packets(live_mangle.put_together(kept), keylog=key_log(keys.read_bytes()))
        for seen in reading.connections.values():
            where = seen.connection.client_address[1], seen.connection.server_address[1]
            if not any(seen.messages.values()):
                continue
            for sender, _ in PAIRS:
                assert in_order(seen.messages[sender], sent[where][sender])
                if len(seen.messages[sender]) < len(sent[where][sender]):
                    assert seen.losses, f"messages of {where} are missing, and nothing says so"
        if data_only and share == 0.005:
            assert sum(len(said) for seen in messages(reading).values() for said in seen.values())

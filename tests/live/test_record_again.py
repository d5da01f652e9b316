"""Recordings that go on where the last one ended, what users leave in the file, and the packets of a recording replayed."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from tests.live.live_tools import (
    LIVE,
    PATIENCE,
    ROOT,
    SEED,
    SNIFFER,
    TCPDUMP,
    Recording,
    chat,
    check_equal,
    options,
    rows,
    sniffer_command,
    stored,
    tcpdump,
    wait_for,
)
from tests.live.live_traffic import listen, ports

pytestmark = LIVE
EVENTS = ("messages", "order_events", "fill_events", "losses")


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "orders.duckdb"


def kept(db: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All events of a database."""
    return {table: rows(db, f"SELECT * FROM {table} ORDER BY ALL") for table in EVENTS}


# --- restarts ---------------------------------------------------------------------------------------------------------------


def test_a_restart_goes_on(db: Path) -> None:
    """Twice into the same journal and database, with a connection that lives on: no row twice, no byte without account."""
    listening = listen()
    names = [f"message number {number:02} of a connection that outlives a recording" for number in range(30)]
    asyncio.run(asyncio.wait_for(talk_through_a_restart(listening, db, names), 60))
    found = rows(db, "SELECT sender, payload, count(*) FROM messages WHERE opcode = 'text' GROUP BY ALL ORDER BY ALL")
    assert {count for _, _, count in found} == {1}
    assert rows(db, "SELECT (SELECT count(*) FROM captures), (SELECT count(*) FROM connections)") == [(1, 1)]
    for sender, head in (("client", 6), ("server", 2)):
        said = {payload for who, payload, _ in found if who == sender}
        assert said > set(names[:10])
        assert said & set(names[10:20]) == set()
        assert names[-1] in said
        missing = sum(head + len(name) for name in names if name not in said)
        assert rows(db, "SELECT sum(bytes) FROM losses WHERE sender = ?", sender) == [(missing,)]


async def talk_through_a_restart(listening: list[socket.socket], db: Path, names: list[str]) -> None:
    """A third of `names` is said during a recording, a third after it, and a third during the next."""

    async def answer(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async def say(messages: list[str]) -> None:
        for message in messages:
            await client.send(message)
            assert await client.recv() == message

    async with serve(answer, sock=listening[0], compression=None, ping_interval=None):
        async with recorded(db, listening):
            client = await connect(f"ws://127.0.0.1:{ports(listening)[0]}", compression=None, ping_interval=None, proxy=None)
            await say(names[:10])
        await say(names[10:20])
        async with recorded(db, listening):
            await say(names[20:])
            await client.close()


@asynccontextmanager
async def recorded(db: Path, listening: list[socket.socket]) -> AsyncIterator[None]:
    """A recording beside a running event loop."""
    recording = Recording(db, *options(listening))
    await asyncio.to_thread(recording.__enter__)
    try:
        yield
        assert (await asyncio.to_thread(recording.stop)).code == 0
    finally:
        recording.__exit__(None, None, None)


def test_nothing_new_changes_nothing_but_that_nobody_looked_meanwhile(db: Path) -> None:
    listening = listen()
    with Recording(db, *options(listening)) as recording:
        chat(listening)
        assert recording.stop().code == 0
    before = kept(db)
    stopped = time.time()
    with Recording(db, *options(listening)) as recording:
        assert recording.stop().code == 0
    after = kept(db)
    assert after.pop("losses") != before.pop("losses") == []
    assert after == before
    sql = "SELECT reason, epoch_ns(to_time) / 1e9, epoch_ns(from_time) / 1e9 FROM losses"
    ((reason, until, since),) = rows(db, sql)
    assert reason.startswith("the recording was stopped, and started again")
    assert since < stopped < until


def test_what_the_user_added_survives(db: Path) -> None:
    listening = listen()
    for round_ in range(2):
        with Recording(db, *options(listening)) as recording:
            chat(listening, SEED + round_)
            if round_:
                assert rows(db, "SELECT * FROM notes") == [("mine",)]
            assert recording.stop().code == 0
        if not round_:
            with duckdb.connect(str(db)) as mine:
                mine.execute("CREATE TABLE notes AS SELECT 'mine' AS note")
                mine.execute("CREATE VIEW talkers AS SELECT client_port, messages FROM connections")
    assert sniffer_command("replay", ROOT / "pcaps/websocket/binance-orders.pcap", "--db", db).code == 0
    assert rows(db, "SELECT * FROM notes") == [("mine",)]
    assert len(rows(db, "FROM talkers WHERE messages > 0")) > 6


# --- the same packets, replayed -----------------------------------------------------------------------------------------------


def test_a_journal_replays_to_the_same_rows(db: Path, tmp_path: Path) -> None:
    listening = listen(2)
    with Recording(db, *options(listening)) as recording:
        talks = chat(listening, connections=8, messages=20, largest=50_000)
        assert recording.stop().code == 0
    check_equal(stored(db), talks)
    again = tmp_path / "again.duckdb"
    done = sniffer_command("replay", *sorted(tmp_path.glob("*.journal/*")), "--keep", "all", "--db", again)
    assert (done.code, done.err) == (0, "")
    assert stored(again) == stored(db)
    twice = sniffer_command("replay", *sorted(tmp_path.glob("*.journal/*")), "--keep", "all", "--db", again)
    assert "nothing changed" in twice.out


@TCPDUMP
def test_tcpdump_pipes_into_replay(db: Path) -> None:
    """`tcpdump -U -w - | sniffer replay -` shows rows while it runs."""
    listening = listen()
    with tcpdump("-U", "-w", "-", ports=ports(listening), stdout=subprocess.PIPE) as dump:
        command = [SNIFFER, "replay", "-", "--keep", "all", "--db", str(db)]
        replay = subprocess.Popen(command, stdin=dump.stdout, stdout=subprocess.PIPE, text=True)
        try:
            talks = chat(listening)
            wait_for(lambda: db.exists() and rows(db, "FROM messages"), "rows while the pipe is open")
            assert replay.poll() is None
            talks += chat(listening, SEED + 1)
            time.sleep(0.2)
            dump.send_signal(signal.SIGINT)
            out, _ = replay.communicate(timeout=PATIENCE)
        finally:
            replay.kill()
            replay.wait()
    assert replay.returncode == 0, out
    check_equal(stored(db), talks)


@TCPDUMP
def test_a_rotated_set_is_one_capture(db: Path, tmp_path: Path) -> None:
    """`tcpdump -C 1` cuts a connection over its files."""
    listening = listen()
    base = tmp_path / "rotated.pcap"
    with tcpdump("-C", 1, "-w", base, ports=ports(listening)):
        talks = chat(listening, connections=6, messages=150, largest=200_000, pause=0, compression=False)
    files = sorted(tmp_path.glob("rotated.pcap*"))
    assert len(files) > 2
    done = sniffer_command("replay", *reversed(files), "--keep", "all", "--db", db)
    assert (done.code, done.err) == (0, "")
    check_equal(stored(db), talks)
    assert rows(db, "SELECT count(*) FROM captures") == [(1,)]
    assert rows(db, "FROM losses") == []

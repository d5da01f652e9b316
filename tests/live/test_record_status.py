"""`sniffer status` and the metrics of a recording that runs."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.live.live_tools import LIVE, SEED, Recording, chat, options, sniffer_command, wait_for
from tests.live.live_traffic import listen

pytestmark = LIVE


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "orders.duckdb"


def status(db: Path) -> dict[str, Any]:
    done = sniffer_command("status", "--db", db, "--json")
    assert (done.code, done.err) == (0, "")
    record: dict[str, Any] = json.loads(done.out)
    return record


def test_status_says_what_there_is(db: Path) -> None:
    listening = listen()
    with Recording(db, *options(listening)) as recording:
        talks = chat(listening)
        sent = sum(len(said) for talk in talks for said in talk.sent.values())
        wait_for(lambda: (status(db)["load"]["messages"] or 0) >= sent, "the messages")
        wait_for(lambda: status(db)["capture"]["packets"] > 0, "what the capture process says of itself twice a second")
        record = status(db)
        children = recording.children()
        assert {name: facts["pid"] for name, facts in record["processes"].items()} == {"supervisor": recording.pid, **children}
        assert record["load"]["messages"] >= sent
        assert record["capture"]["packets"] > 0
        assert record["capture"]["kernel_drops"] == 0
        assert record["capture"]["problem"] is None
        assert (record["load"]["lost_today"], record["load"]["unreadable"]) == (0, 0)
        assert record["journal"]["bytes"] > 1000
        door = db.with_name(f"{db.name}.journal") / "status.sock"
        assert stat.S_IMODE(door.stat().st_mode) == 0o600
        os.kill(children["capture"], signal.SIGKILL)
        wait_for(lambda: status(db)["processes"]["capture"]["starts"] == 2, "the count of starts")
        os.kill(children["status"], signal.SIGKILL)
        wait_for(lambda: recording.children().get("status", children["status"]) != children["status"], "another one")
        wait_for(lambda: sniffer_command("status", "--db", db).code == 0, "an answer of that")
        text = sniffer_command("status", "--db", db).out
        assert "started 2 times" in text
        assert str(db) in text
        assert recording.stop().code == 0
    assert not door.exists()
    done = sniffer_command("status", "--db", db)
    assert done.code == 1
    assert "no recording runs" in done.one_line()


def test_who_asks_and_does_not_listen_is_not_waited_for(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Recording(db, "--port", 9) as recording:
        monkeypatch.chdir(db.with_name(f"{db.name}.journal"))
        idle = [socket.socket(socket.AF_UNIX) for _ in range(10)]
        for one in idle:
            one.connect("status.sock")
        assert status(db)["at"]
        for one in idle:
            one.close()
        assert recording.stop().code == 0


def test_metrics(db: Path) -> None:
    (reserved,) = listen()
    port = reserved.getsockname()[1]
    taken = sniffer_command("record", "-i", "lo", "--db", db, "--metrics-port", port)
    assert taken.code == 2
    assert f"--metrics-port {port}: cannot be served: Address already in use" in taken.one_line()
    reserved.close()
    listening = listen()
    with Recording(db, *options(listening, "--metrics-port", port)) as recording:
        chat(listening, SEED)

        def scrape() -> str:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                return str(answer.read().decode())

        wait_for(lambda: "\nsniffer_load_messages_total " in scrape(), "messages")
        text = scrape()
        for name in (
            "capture_kernel_drops_total 0.0",
            "journal_behind_packets ",
            'process_starts_total{process="capture"} 1.0',
        ):
            assert f"\nsniffer_{name}" in text
        assert recording.stop().code == 0


def test_events_as_json(db: Path) -> None:
    with Recording(db, "--port", 9, "--log-format", "json") as recording:
        os.kill(recording.children()["capture"], signal.SIGKILL)
        wait_for(lambda: "capture" in recording.children(), "another one")
        done = recording.stop()
    events = [json.loads(line) for line in done.err.splitlines()]
    assert [set(event) for event in events] == [{"time", "process", "event"}] * len(events)
    assert events[0]["event"].startswith("recording lo into ")
    assert "the capture process ended (SIGKILL)" in events[1]["event"]

"""What the doctor says of a recording's connections: their state, their process, and what would help."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sniffer.capture.owner import Owner
from sniffer.config import Settings
from sniffer.doctor import Check
from sniffer.doctor.connections import _Process, advice, checks
from sniffer.model import CaptureRow, ConnectionRow
from sniffer.store.store import Store
from tests.unit.store.builders import SECOND, T0, batch, connection, position

NO_KEY = "no key log line for this client random"
MINUTE = 60 * SECOND
CLIENT = "import socket, sys; s = socket.create_connection(('127.0.0.1', {port})); print(s.getsockname()[1], flush=True)"
HOLD = CLIENT + "; sys.stdin.read()"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(db=tmp_path / "orders.duckdb")


def recorded(settings: Settings, *rows: ConnectionRow, ended_at: int = T0 + MINUTE) -> list[Check]:
    """What is said of a recording of these connections."""
    of = CaptureRow("cap", "lo@host", T0, ended_at, 10, 1000, 0)
    with Store(settings.db) as store:
        store.append(batch(*rows, of=of), position())
        store.publish()
    return list(checks(settings))


def unreadable(number: int = 1, reason: str = NO_KEY, **changes: Any) -> ConnectionRow:
    values = {"readable": False, "unreadable_reason": reason, "client_bytes": 1, "protocol": "tls", "host": "api.example"}
    return connection(number, **(values | changes))


@contextmanager
def strategy(**variables: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """A process with a connection: its pid, and the columns of the connection."""
    environment = {key: value for key, value in os.environ.items() if key != "SSLKEYLOGFILE"} | variables
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        command = [sys.executable, "-u", "-c", HOLD.format(port=port)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            mine = int(process.stdout.readline())
            yield process.pid, {"client_ip": "127.0.0.1", "client_port": mine, "server_ip": "127.0.0.1", "server_port": port}
        finally:
            process.stdin.close()
            process.wait(10)
            process.stdout.close()


def test_no_database(settings: Settings) -> None:
    assert list(checks(settings)) == []


def test_each_connection_has_a_line_the_unreadable_first(settings: Settings) -> None:
    readable = connection(2, opened_at=T0 + SECOND, client_bytes=1, host="ws.example")
    lines = recorded(settings, readable, unreadable(reason="ALPN h2"))
    assert [(check.state, check.text.split(": ")[0]) for check in lines] == [
        ("WARN", "api.example:443 from 10.0.0.1:50000"),
        ("OK", "ws.example:443 from 10.0.0.1:50000"),
    ]
    assert lines[0].text.endswith("ALPN h2; let the client speak HTTP/1.1")
    assert lines[1].text.endswith(": readable")


def test_only_the_last_minutes(settings: Settings) -> None:
    """Of a recording whose last packet came 20 minutes after its first; what said nothing is not named either."""
    old = unreadable(1, closed_at=T0 + MINUTE)
    late = unreadable(2, closed_at=T0 + 10 * MINUTE, client_port=2)
    still_open = unreadable(3, client_port=3)
    empty = unreadable(4, client_bytes=0, client_port=4)
    lines = recorded(settings, old, late, still_open, empty, ended_at=T0 + 20 * MINUTE)
    assert sorted(check.text.split(": ")[0] for check in lines) == [
        "api.example:443 from 10.0.0.1:2", "api.example:443 from 10.0.0.1:3",
    ]  # fmt: skip


def test_many_connections_are_counted(settings: Settings) -> None:
    lines = recorded(settings, *(connection(number, client_bytes=1, client_port=number) for number in range(1, 101)))
    assert len(lines) == 61
    assert lines[-1].text == "and 40 more connections in the last 15 minutes of the recording"


def test_a_strategy_without_a_key_log(settings: Settings) -> None:
    with strategy(SNIFFER_STRATEGY="maker") as (pid, columns):
        (line,) = recorded(settings, unreadable(**columns))
    assert "maker (python" in line.text
    assert f", process {pid})" in line.text
    assert line.text.endswith("it runs without SSLKEYLOGFILE: start it with `sniffer exec -- COMMAND`")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "has written no key there: docs/tls.md"),
        ("# TLS secrets log file\n\n", "has written no key there: docs/tls.md"),
        ("# comment\nCLIENT_RANDOM 00 00\n", "record with `--keylog {file}`"),
    ],
)
def test_a_strategy_with_one(settings: Settings, tmp_path: Path, content: str | None, words: str) -> None:
    file = tmp_path / "keys.log"
    if content is not None:
        file.write_text(content)
    with strategy(SSLKEYLOGFILE=str(file)) as (_, columns):
        (line,) = recorded(settings, unreadable(**columns))
    assert words.format(file=file) in line.text


def test_a_file_relative_to_the_strategys_folder_and_a_pipe(settings: Settings, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in (os.path.relpath(__file__), str(tmp_path / "pipe")):
        with strategy(SSLKEYLOGFILE=name) as (_, columns):
            (line,) = recorded(settings, unreadable(**columns))
        assert ("record with" in line.text) == ("pipe" not in name)


def test_the_process_of_a_connection_that_is_gone(settings: Settings) -> None:
    """As it was recorded; its number may be another's by now."""
    mine = {"pid": os.getpid(), "process": "no such", "strategy": "maker"}
    (line,) = recorded(settings, unreadable(**mine))
    assert f"maker (no such, process {os.getpid()}); its environment is not ours to see, or it is gone" in line.text


def test_nobody_known(settings: Settings) -> None:
    (line,) = recorded(settings, unreadable())
    assert "no process of this machine that we may see has it now; `sniffer exec -- COMMAND`" in line.text


def test_hostile_names_do_not_steer_the_terminal(settings: Settings) -> None:
    (line,) = recorded(settings, unreadable(host="api\x1b[2J\n.example"))
    assert line.text.isprintable()


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("TLS 1.2 handshake not seen: without it the key log's secrets give no keys", "its beginning was not recorded"),
        ("joined in the middle, and no websocket frame was proved", "its beginning was not recorded"),
        ("the TLS handshake was not finished", ""),
        ("neither HTTP nor websocket nor TLS", ""),
        ("TLS, and no key log is read", "sniffer exec"),
        ("key log not found", "sniffer exec"),
    ],
)
def test_advice_by_reason(reason: str, words: str) -> None:
    text = advice(reason, None)
    assert (words in text) if words else (text == "")
    seen = advice(reason, _Process(Owner(1, "python", "maker"), {}))
    assert ("SSLKEYLOGFILE" in seen) == (words == "sniffer exec")

"""Strategies started by `sniffer exec`, recorded over TLS, and what the doctor says of them while they trade."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.live_tools import LIVE, ROOT, SNIFFER, Recording, rows, sniffer_command, wait_for

pytestmark = LIVE
TRADE = ("--assets", "4", "--rate", "5", "--seed", "3")
KEYED = (
    "SELECT readable, protocol, unreadable_reason, count(*) FROM connections WHERE protocol <> 'ws' GROUP BY ALL ORDER BY ALL"
)


class Exchange:
    """The simulated exchange as a process: where it listens, and its certificate's file."""

    def __init__(self, folder: Path) -> None:
        self.certificate = folder / "exchange.pem"
        command = [
            sys.executable,
            "-m",
            "strategies.exchange",
            "--port",
            "0",
            "--tls-port",
            "0",
            "--assets",
            "4",
            "--seed",
            "3",
        ]
        command += ["--certificate", str(self.certificate)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert self._process.stdout is not None
        self.plain, self.secure = re.findall(r"wss?://[\d.:]+", self._process.stdout.readline())

    @property
    def ports(self) -> list[str]:
        return [url.rpartition(":")[2] for url in (self.plain, self.secure)]

    def strategies(self) -> list[str]:
        """A crew of five strategies, two of them over TLS, that trade until they are told to end."""
        urls = ["--url", self.plain, "--tls-url", self.secure, "--certificate", str(self.certificate)]
        return [sys.executable, "-m", "strategies.run", *urls, *TRADE, "--seconds", "60"]

    def close(self) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.communicate(timeout=20)


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    running = Exchange(tmp_path)
    yield running
    running.close()


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    folder = tmp_path / "keys"
    folder.mkdir()
    folder.chmod(0o3770)
    return folder


def environment(**more: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "SSLKEYLOGFILE"} | more


def test_one_strategy_by_exec_and_one_without(tmp_path: Path, exchange: Exchange, keys: Path) -> None:
    """And a recording that is not told where the key logs are: `sniffer exec` and it have the same settings."""
    db = tmp_path / "orders.duckdb"
    config = tmp_path / "sniffer.toml"
    config.write_text(f'keylog_dir = "{keys}"\n')
    watched = [word for port in exchange.ports for word in ("--port", port)]
    with Recording(db, *watched, "--config", config, "--publish-interval", "0.2") as recording:
        started = [SNIFFER, "exec", "--keylog-dir", str(keys), "--", *exchange.strategies()]
        maker = subprocess.Popen(started, cwd=ROOT, env=environment(SNIFFER_STRATEGY="maker"), stdout=subprocess.DEVNULL)
        other = subprocess.Popen(exchange.strategies(), cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL)
        try:
            wait_for(lambda: len(rows(db, KEYED)) >= 2 and min(row[3] for row in rows(db, KEYED)) >= 2, "both to trade")
            said = sniffer_command("doctor", "--db", db, "--keylog", keys)
        finally:
            for process in (maker, other):
                process.send_signal(signal.SIGINT)
            codes = maker.wait(30), other.wait(30)
        done = recording.stop()
    assert codes == (0, 0)
    assert done.code == 0, done.err
    assert {row[:2] for row in rows(db, KEYED)} == {(True, "wss"), (False, "tls")}
    lines = [line for line in said.out.splitlines() if f"{exchange.secure.removeprefix('wss://')} from " in line]
    good, bad = ([line for line in lines if line.startswith(state)] for state in ("OK", "WARN"))
    assert len(good) >= 2
    assert len(bad) >= 2
    assert all("readable; maker (python" in line and f"process {maker.pid})" in line for line in good), said.out
    assert all("no key log line for this client random; strategies.run (" in line for line in bad), said.out
    assert all("runs without SSLKEYLOGFILE: start it with `sniffer exec -- COMMAND`" in line for line in bad)
    assert [path.name for path in keys.iterdir()] == ["maker.log"]


def test_no_sidecar_is_running_when_the_strategy_starts(tmp_path: Path, exchange: Exchange, keys: Path) -> None:
    """Nothing waits for one; and one that comes later reads what is said from then on, uncompressed TLS 1.3."""
    db = tmp_path / "orders.duckdb"
    started = [SNIFFER, "exec", "--keylog-dir", str(keys), "--", *exchange.strategies()]
    strategy = subprocess.Popen(started, cwd=ROOT, env=environment(SNIFFER_STRATEGY="early"), stdout=subprocess.DEVNULL)
    log = keys / "early.log"
    wait_for(lambda: log.exists() and log.read_text().count("SERVER_TRAFFIC_SECRET_0 ") >= 2, "its keys")
    watched = [word for port in exchange.ports for word in ("--port", port)]
    with Recording(db, *watched, "--keylog", keys, "--publish-interval", "0.2") as recording:
        wait_for(lambda: rows(db, "SELECT 1 FROM connections WHERE protocol = 'wss' AND messages > 20"), "TLS messages")
        strategy.send_signal(signal.SIGINT)
        assert strategy.wait(30) == 0
        done = recording.stop()
    assert done.code == 0, done.err
    ((readable, protocol, messages),) = rows(
        db, "SELECT DISTINCT readable, protocol, min(messages) FROM connections WHERE tls_version IS NOT NULL GROUP BY ALL"
    )
    assert (readable, protocol) == (True, "wss")
    assert messages > 10
    assert (
        rows(db, "SELECT count(*) FROM order_events JOIN connections USING (connection_id) WHERE protocol = 'wss'")[0][0] > 10
    )

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sniffer.config import Settings
from sniffer.errors import UsageError
from sniffer.sidecar.notify import Notifier
from sniffer.sidecar.service import unit

ANALYZE = shutil.which("systemd-analyze")


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize(
    "settings",
    [
        Settings(db=Path("/var/lib/orders.duckdb")),
        Settings(
            db=Path("/var/lib/my orders $HOME 100%/o.duckdb"),
            journal=Path('/srv/a "journal"'),
            hosts=("192.0.2.1",),
            ports=(9443, 443),
            keylog=(Path("/run/sniffer/keys"),),
            keep="all",
            metrics_port=9100,
        ),
    ],
    ids=["plain", "odd"],
)
def test_systemd_accepts_the_unit(tmp_path: Path, settings: Settings) -> None:
    file = tmp_path / "sniffer.service"
    file.write_text(unit(settings, ["eth0", "lo"], "root"))
    done = subprocess.run([str(ANALYZE), "verify", "--man=no", file], capture_output=True, text=True, check=False, timeout=60)
    ours = [line for line in done.stderr.splitlines() if "sniffer.service" in line]
    assert ours == []
    assert done.returncode == 0 or "sniffer.service" not in done.stderr


def test_what_the_unit_says() -> None:
    text = unit(Settings(db=Path("/data/o.duckdb"), ports=(9443,)), ["eth0"], "trader")
    assert "record -i eth0 --db /data/o.duckdb --port 9443\n" in text
    for line in (
        "User=trader",
        "AmbientCapabilities=CAP_NET_RAW",
        "NoNewPrivileges=yes",
        "ReadWritePaths=/data",
        "Type=notify",
    ):
        assert f"\n{line}\n" in text


def test_what_it_needs_is_not_hidden_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/opt/sniffer/bin/python")
    monkeypatch.setattr(sys, "argv", ["/opt/sniffer/bin/sniffer"])
    for settings, home, tmp in (
        (Settings(db=Path("/data/o.duckdb")), "yes", "yes"),
        (Settings(db=Path("/home/trader/o.duckdb")), "read-only", "yes"),
        (Settings(db=Path("/data/o.duckdb"), keylog=(Path("/root/keys"),)), "read-only", "yes"),
        (Settings(db=Path("/tmp/o.duckdb")), "yes", "no"),
        (Settings(db=Path("/data/o.duckdb"), journal=Path("/var/tmp/journal")), "yes", "no"),
    ):
        text = unit(settings, ["lo"], "trader")
        assert f"\nProtectHome={home}\n" in text
        assert f"\nPrivateTmp={tmp}\n" in text


def test_an_interpreter_in_a_home_folder_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "python").symlink_to("/root/.local/share/python3")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert "\nProtectHome=read-only\n" in unit(Settings(db=Path("/data/o.duckdb")), ["lo"], "trader")


def test_paths_do_not_depend_on_where_the_unit_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = unit(Settings(db=Path("o.duckdb"), keylog=(Path("keys"),)), ["lo"], "trader")
    assert f"--db {tmp_path}/o.duckdb --keylog {tmp_path}/keys\n" in text


@pytest.mark.parametrize("user", ["", "a b", "x\ny", "-root"])
def test_a_user_that_is_none(user: str) -> None:
    with pytest.raises(UsageError, match="--user"):
        unit(Settings(), ["lo"], user)


def test_a_line_break_cannot_stand_in_a_unit() -> None:
    with pytest.raises(UsageError, match="cannot stand in a systemd unit"):
        unit(Settings(db=Path("/a\nUser=root/o.duckdb")), ["lo"], "sniffer")


def test_the_manager_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        monkeypatch.chdir(tmp_path)  # the path of a Unix socket is short
        manager.bind("notify")
        manager.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", "notify")
        monkeypatch.setenv("WATCHDOG_USEC", "300000")
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
        notifier = Notifier()
        notifier.ready("recording lo")
        assert manager.recv(100) == b"READY=1\nSTATUS=recording lo"
        begun = time.monotonic()
        for _ in range(25):
            notifier.alive()
            time.sleep(0.01)
        notifier.stopping()
        told = []
        while told[-1:] != [b"STOPPING=1"]:
            told.append(manager.recv(100))
        assert set(told[:-1]) == {b"WATCHDOG=1"}
        assert 2 <= len(told[:-1]) <= 2 + (time.monotonic() - begun) / 0.1


def test_without_a_manager_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    Notifier().ready("x")
    monkeypatch.setenv("NOTIFY_SOCKET", "/nonexistent/socket")
    Notifier().ready("x")

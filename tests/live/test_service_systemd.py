"""The unit that `sniffer service` prints, started by a real systemd: readiness, watchdog, the end."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.live_systemd import Systemd
from tests.live.live_tools import LIVE, ROOT_ONLY, ROUNDS, SEED, chat, check_equal, rows, sniffer_command, stored, wait_for
from tests.live.live_traffic import listen, ports
from tests.live.test_privileges_record import USER, readable

pytestmark = [
    *LIVE,
    ROOT_ONLY,
    pytest.mark.skipif(ROUNDS == 1, reason="for SNIFFER_TEST_ROUNDS=2 and more"),
    pytest.mark.skipif(not readable(), reason="no setpriv, or this Python cannot be read by another user"),
]


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=f"sniffer-test-{os.getpid()}-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_a_unit_of_an_ordinary_user(folder: Path) -> None:
    home = folder / "data"
    home.mkdir()
    os.chown(home, USER.pw_uid, USER.pw_gid)
    db = home / "orders.duckdb"
    listening = listen()
    which = [part for port in ports(listening) for part in ("--port", port)]
    unit = sniffer_command("service", "-i", "lo", "--user", USER.pw_name, "--db", db, "--keep", "all", *which).out
    with Systemd(folder, unit, "[Service]\nWatchdogSec=3\n") as manager:
        manager.run("start", "sniffer")  # returns when the unit is ready
        print(manager.run("status", "sniffer"))
        assert manager.facts("ActiveState", "StatusText", "NRestarts") == ["active", f"recording lo into {db}", "0"]
        talks = chat(listening)
        wait_for(lambda: len(stored(db)) == len(talks), "the first rows")
        manager.run("kill", "-s", "STOP", "--kill-who=main", "sniffer")
        wait_for(lambda: manager.facts("ActiveState", "NRestarts") == ["active", "1"], "what the watchdog is for")
        talks += chat(listening, SEED + 1)
        wait_for(lambda: len(stored(db)) == len(talks), "more rows")
        manager.run("stop", "sniffer")
        assert manager.facts("ActiveState", "Result", "ExecMainStatus") == ["inactive", "success", "0"]
    check_equal(stored(db), talks)
    assert rows(db, "SELECT DISTINCT layer FROM losses") == [("capture",)]  # what the watchdog killed had no end

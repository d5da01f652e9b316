"""A recording that no root started: an ordinary user with the ambient capability CAP_NET_RAW, as a systemd unit gives it."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.live_tools import (
    LIVE,
    ROOT_ONLY,
    SEED,
    Recording,
    chat,
    check_equal,
    options,
    rows,
    sniffer_command,
    stored,
    wait_for,
)
from tests.live.live_traffic import listen

pytestmark = [*LIVE, ROOT_ONLY]
CAP_NET_RAW = 1 << 13  # linux/capability.h
USER = pwd.getpwnam("nobody")
SETPRIV = [
    "setpriv",
    f"--reuid={USER.pw_uid}",
    f"--regid={USER.pw_gid}",
    "--clear-groups",
    "--inh-caps=-all,+net_raw",
    "--ambient-caps=-all,+net_raw",
    "--bounding-set=-all,+net_raw",
    "--no-new-privs",
]


def readable() -> bool:
    """Whether that user can run this Python, with that capability."""
    if shutil.which("setpriv") is None:
        return False
    command = [*SETPRIV, "sh", "-c", 'exec "$0" -c "import sniffer"', sys.executable]  # setpriv itself may yet open any file
    return not subprocess.run(command, capture_output=True, check=False).returncode


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of the user's that it can reach; pytest's are root's alone."""
    folder = Path(tempfile.mkdtemp(prefix=f"sniffer-test-{os.getpid()}-"))
    os.chown(folder, USER.pw_uid, USER.pw_gid)
    yield folder
    shutil.rmtree(folder)


def rights(pid: int) -> tuple[int, int, int, int]:
    """(user, capabilities, those that a program it starts would have, whether it can never get more) of a process."""
    facts = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    (user,) = set(facts["Uid"].split())
    permitted, effective, ambient = (int(facts[name], 16) for name in ("CapPrm", "CapEff", "CapAmb"))
    assert permitted == effective
    return int(user), permitted, ambient, int(facts["NoNewPrivs"])


@pytest.mark.skipif(not readable(), reason="no setpriv, or this Python cannot be read by another user")
def test_an_ordinary_user_that_may_capture(folder: Path) -> None:
    """End to end, and through the death of the processes; only the supervisor keeps the capability."""
    db = folder / "orders.duckdb"
    listening = listen()
    with Recording(db, *options(listening), prefix=SETPRIV, env={"HOME": str(folder)}) as recording:
        assert rights(recording.pid) == (USER.pw_uid, CAP_NET_RAW, CAP_NET_RAW, 1)
        talks = chat(listening)
        for name in ("capture", "load"):
            died = recording.children()[name]
            os.kill(died, signal.SIGKILL)
            wait_for(lambda name=name, died=died: recording.children().get(name, died) != died, "another one")
            talks += chat(listening, SEED + len(talks))
        wait_for(lambda: len(stored(db)) == len(talks), "all rows")
        children = recording.children()
        assert set(children) == {"capture", "load", "owners", "status"}
        assert {name: rights(pid) for name, pid in children.items()} == dict.fromkeys(children, (USER.pw_uid, 0, 0, 1))
        assert sniffer_command("status", "--db", db).code == 0
        done = recording.stop()
    assert done.code == 0, done
    check_equal(stored(db), talks)
    assert rows(db, "FROM losses") == []
    made = [path for path in folder.rglob("*") if path.suffix not in (".stdout", ".stderr")]
    assert {path.stat().st_uid for path in made} == {USER.pw_uid}

"""`sniffer record` as its user meets it: signals, drops, wrong calls, missing rights, other users."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from tests.live.live_tools import (
    LIVE,
    PATIENCE,
    ROOT,
    ROOT_ONLY,
    SEED,
    SNIFFER,
    Done,
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

pytestmark = LIVE
NOBODY = "nobody"


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "orders.duckdb"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can reach; pytest's are root's alone."""
    folder = Path(tempfile.mkdtemp(prefix=f"sniffer-test-{os.getpid()}-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# --- signals ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "group"),
    [
        (signal.SIGINT, True),
        (signal.SIGINT, False),
        (signal.SIGTERM, True),
        (signal.SIGTERM, False),
        (signal.SIGHUP, True),
    ],
)
def test_signals_drain_and_publish(db: Path, how: int, group: bool) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # else a run of the tests under `nohup` is heeded
    listening = listen()
    with Recording(db, *options(listening, "--publish-interval", "60"), group=group) as recording:
        children = recording.children()
        assert mode(db) == 0o440
        with pytest.raises(duckdb.IOException):
            duckdb.connect(str(db))
        talks = chat(listening)
        assert stored(db) == {}  # nothing is published before the end
        done = recording.stop(how)
    assert done.code == 0
    assert done.one_line().startswith("sniffer: recording lo into ")
    assert "3 connections" in done.out
    assert not any(Path(f"/proc/{pid}").exists() for pid in children.values())
    check_equal(stored(db), talks)
    assert mode(db) & 0o600 == 0o600
    duckdb.connect(str(db)).close()
    assert not db.with_name(db.name + ".d").exists()


def test_a_signal_at_any_moment_ends_it(db: Path) -> None:
    """From the first moment on: nothing hangs, nothing fails."""
    for delay in (0.0, 0.2, 0.4, 0.6):
        process = subprocess.Popen([SNIFFER, "record", "-i", "lo", "--db", str(db)], stderr=subprocess.PIPE, cwd=db.parent)
        time.sleep(delay)
        process.terminate()
        _, err = process.communicate(timeout=PATIENCE)
        assert process.returncode in (0, -signal.SIGTERM)  # the latter: before it could listen
        assert b"Traceback" not in err, err.decode()


def test_it_ends_while_the_traffic_goes_on(db: Path) -> None:
    (listening,) = listen()
    going_on = threading.Event()
    going_on.set()

    def flood() -> None:
        with socket.create_connection(listening.getsockname()) as sender:
            peer, _ = listening.accept()
            with peer:
                while going_on.is_set():
                    sender.sendall(bytes(100))
                    peer.recv(100)

    flooding = threading.Thread(target=flood)
    with Recording(db, *options([listening])) as recording:
        flooding.start()
        try:
            time.sleep(0.5)
            begun = time.monotonic()
            done = recording.stop()
            assert time.monotonic() - begun < 5
        finally:
            going_on.clear()
            flooding.join()
    assert done.code == 0


@pytest.mark.parametrize("child", ["capture", "load"])
def test_a_child_that_dies_is_replaced_and_said(db: Path, child: str) -> None:
    listening = listen()
    with Recording(db, *options(listening)) as recording:
        talks = chat(listening)
        died = recording.children()[child]
        os.kill(died, signal.SIGKILL)
        wait_for(lambda: recording.children().get(child, died) != died, "another one")
        talks += chat(listening, SEED + 1)
        done = recording.stop()
    assert done.code == 0
    said = [f"the {child} process ended (SIGKILL); it is started again at once"]
    if child == "load":
        said.append("the load process was started 2 times; the summary counts what the last one has stored")
    assert done.err.splitlines()[1:] == [f"sniffer: {line}" for line in said]
    check_equal(stored(db), talks)
    assert rows(db, "FROM losses") == []


def test_children_do_not_outlive_it(db: Path) -> None:
    listening = listen()
    with Recording(db, *options(listening)) as recording:
        children = recording.children().values()
        talks = chat(listening)
        recording.process.kill()
        recording.process.wait()
        wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children), "the end of the children")
    check_equal(stored(db), talks)


# --- what the kernel drops --------------------------------------------------------------------------------------------------


def test_kernel_drops_are_a_loss(db: Path) -> None:
    """The capture process is stopped while more comes than its ring holds."""
    more = 0
    (listening,) = listen()
    with Recording(db, *options([listening])) as recording:
        capture = recording.children()["capture"]
        os.kill(capture, signal.SIGSTOP)
        with socket.create_connection(listening.getsockname()) as sender:
            peer, _ = listening.accept()
            reader = threading.Thread(target=lambda: [None for _ in iter(lambda: peer.recv(1 << 20), b"")])
            reader.start()
            for _ in range(96):
                sender.sendall(bytes(1 << 20))
            os.kill(capture, signal.SIGCONT)

            def told() -> bool:
                nonlocal more
                more += 4
                sender.sendall(b"more")  # what was dropped is told with the packets behind it
                return bool(rows(db, "FROM losses WHERE layer = 'kernel'"))

            wait_for(told, "the drops")
            sender.shutdown(socket.SHUT_WR)
            reader.join()
            peer.close()
        done = recording.stop()
    assert done.code == 0
    ((drops,),) = rows(db, "SELECT kernel_drops FROM captures")
    assert drops > 100
    ((reason,),) = rows(db, "SELECT reason FROM losses WHERE layer = 'kernel'")
    assert reason.startswith(f"{drops} packets dropped by the kernel")
    assert f"lost (kernel): {drops}" in done.out
    ((sent, lost, unread),) = rows(db, "SELECT client_bytes, lost_bytes, unreadable_bytes FROM connections")
    assert sent == lost + unread == (96 << 20) + more  # what came is neither HTTP nor a websocket
    ((missing,),) = rows(db, "SELECT sum(bytes) FROM losses WHERE reason LIKE '%not captured'")
    assert missing == lost
    assert 20 << 20 < missing < 96 << 20


# --- what cannot be -----------------------------------------------------------------------------------------------------------

WRONG: list[tuple[list[str], int, str]] = [
    (["-i", "nonesuch"], 1, "nonesuch: there is no such interface; there are "),
    (["-i", "lo", "--journal", "{tmp}/none"], 1, "none: there is no such journal folder; `mkdir -m 700 "),
    (["-i", "lo", "--journal", "{tmp}/file"], 1, "file: is not a folder"),
    (["-i", "lo", "--db", "{tmp}/none/o.duckdb"], 1, "there is no folder "),
    (["-i", "lo", "--db", "{tmp}"], 1, "is a folder; --db names a file"),
    (["-i", "lo", "--db", "{tmp}/file"], 1, "file: is not a DuckDB file; name another database with --db"),
    (["-i", "lo", "--db", "{tmp}/foreign.duckdb"], 1, "foreign.duckdb: holds no sniffer tables"),
    (["-i", "lo", "--port", "0"], 2, "--port: 0 is no port"),
    (["-i", "lo", "--port", "65536"], 2, "--port: 65536 is no port"),
    (["-i", "lo", "--port", "https"], 2, "'--port'"),
    (["-i", "lo", "--host", "nobody.invalid"], 2, "--host nobody.invalid: cannot be resolved"),
    (["-i", "lo", "--keep", "some"], 2, "--keep"),
    (["-i", "lo", "--publish-interval", "0"], 2, "--publish-interval"),
    (["-i", "lo", "--journal-max-bytes", "1"], 2, "--journal-max-bytes"),
    (["-i", "lo", "--user", "no-such-user"], 2, "--user no-such-user: there is no such user"),
    (["-i", "lo", "-i", "lo"], 2, "lo: named 2 times; name each interface once"),
    (["-i", "lo", "--db", "/dev/null"], 1, "/dev/null: is no file but a device"),
    ([], 2, "-i"),
]


@pytest.mark.parametrize(("call", "code", "text"), WRONG, ids=[" ".join(call) for call, _, _ in WRONG])
def test_what_is_wrong_is_one_line(tmp_path: Path, call: list[str], code: int, text: str) -> None:
    (tmp_path / "file").write_text("no database, and no folder either")
    duckdb.connect(str(tmp_path / "foreign.duckdb")).close()
    before = sorted(tmp_path.iterdir())
    done = sniffer_command("record", *(part.format(tmp=tmp_path) for part in call), cwd=tmp_path)
    assert done.code == code
    assert text in done.one_line()
    assert done.out == ""
    assert sorted(tmp_path.iterdir()) == before


def test_a_database_that_became_another_programs_costs_no_packet(db: Path) -> None:
    """A journal that was made for nothing goes with the call that made it; one that a recording has filled stays."""
    listening = listen()
    with Recording(db, *options(listening)) as recording:
        talks = chat(listening)
        load = recording.children()["load"]
        os.kill(load, signal.SIGSTOP)
        db.unlink()
        duckdb.connect(str(db)).close()
        os.kill(load, signal.SIGKILL)
        done = recording.stop()
    assert done.code == 1
    assert done.err.endswith("holds no sniffer tables; name another database with --db\n")
    db.unlink()
    with Recording(db, *options(listening)) as recording:
        assert recording.stop().code == 0
    check_equal(stored(db), talks)


def as_nobody(folder: Path, *call: object) -> Done:
    """Run `sniffer` as a user without any right. What it needs is loaded before, since Python's files may be root's alone."""
    user = pwd.getpwnam(NOBODY)
    program = f"""
import os, sys
import sniffer.capture.live, sniffer.capture.afpacket, sniffer.cli, sniffer.report, sniffer.follow, sniffer.sidecar
sniffer.cli.app(["--version"], standalone_mode=False)
os.setgroups([])
os.setgid({user.pw_gid})
os.setuid({user.pw_uid})
sniffer.cli.main()
"""
    command = [sys.executable, "-c", program, *map(str, call)]
    environment = os.environ | {"HOME": "/nonexistent", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=folder, env=environment)
    return Done(done.returncode, done.stdout, done.stderr)


@ROOT_ONLY
def test_a_missing_privilege_says_how_to_get_it(open_folder: Path) -> None:
    open_folder.chmod(0o777)
    done = as_nobody(open_folder, "record", "-i", "lo")
    assert done.code == 1
    line = done.one_line()
    assert all(way in line for way in ("lo: capturing needs the privilege CAP_NET_RAW", "sudo", "setcap", "systemd"))
    assert list(open_folder.iterdir()) == []


@ROOT_ONLY
def test_a_folder_that_cannot_be_written(open_folder: Path) -> None:
    """Root may capture; the user who is to load may not write: one line, and the recording ends."""
    (open_folder / "journal").mkdir(mode=0o755)
    shutil.chown(open_folder / "journal", NOBODY)
    done = sniffer_command(
        "record", "-i", "lo", "--user", NOBODY, "--journal", open_folder / "journal", "--db", open_folder / "o.duckdb"
    )
    assert done.code == 1
    assert "o.duckdb" in done.one_line()
    assert "Permission denied" in done.err
    assert list(open_folder.iterdir()) == [open_folder / "journal"]


def test_a_second_recording(db: Path, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    journal.mkdir()
    with Recording(db, "--port", 9, "--journal", journal) as recording:
        for other, text in (
            (["--db", db], "another sniffer"),
            (["--db", tmp_path / "other.duckdb", "--journal", journal], "another recording writes to this journal"),
        ):
            done = sniffer_command("record", "-i", "lo", "--port", "9", *other)
            assert done.code == 1
            assert text in done.one_line()
        replayed = sniffer_command("replay", ROOT / "pcaps/websocket/binance-orders.pcap", "--db", db)
        assert replayed.code == 1
        assert "another sniffer" in replayed.one_line()
        assert recording.process.poll() is None
        assert recording.stop().code == 0


# --- another user -------------------------------------------------------------------------------------------------------------


@ROOT_ONLY
def test_under_sudo_all_belongs_to_the_caller(open_folder: Path) -> None:
    user = pwd.getpwnam(NOBODY)
    os.chown(open_folder, user.pw_uid, user.pw_gid)
    db = open_folder / "orders.duckdb"
    listening = listen()
    sudo = {"SUDO_USER": NOBODY, "SUDO_UID": str(user.pw_uid), "SUDO_GID": str(user.pw_gid)}
    with Recording(db, *options(listening), env=sudo) as recording:
        talks = chat(listening)
        status = Path(f"/proc/{recording.children()['load']}/status").read_text()
        ids = dict(line.split(":", 1) for line in status.splitlines())
        assert ids["Uid"].split() == [str(user.pw_uid)] * 4
        assert ids["Gid"].split() == [str(user.pw_gid)] * 4
        assert int(ids["CapEff"], 16) == 0
        assert owners(open_folder) == {user.pw_uid}
        assert recording.stop().code == 0
    check_equal(stored(db), talks)
    assert owners(open_folder) == {user.pw_uid}
    segments = open_folder.glob("*.journal/*.pcapng")
    replayed = sniffer_command("replay", *segments, "--db", open_folder / "again.duckdb", env=sudo)
    assert replayed.code == 0
    assert owners(open_folder) == {user.pw_uid}


def owners(folder: Path) -> set[int]:
    """Of all that the product made in the folder; the test's own files are root's."""
    return {path.stat().st_uid for path in folder.rglob("*") if path.suffix not in (".stdout", ".stderr")}

"""Recordings whose journal cannot be written for a while: a disk that fills, a folder that vanishes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sized
from pathlib import Path
from typing import Any

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
    stored,
    wait_for,
)
from tests.live.live_traffic import listen

pytestmark = [*LIVE, ROOT_ONLY]
DISK = 50 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 50 MB for the journal."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "sniffer-test", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def said(recording: Recording) -> str:
    return recording.db.with_name(f"{recording.db.name}.stderr").read_text()


def count(talks: Mapping[Any, Mapping[Any, Sized]]) -> int:
    return sum(len(messages) for talk in talks.values() for messages in talk.values())


@pytest.mark.parametrize("kill", [False, True])
def test_a_disk_that_fills_and_is_freed(tmp_path: Path, disk: Path, kill: bool) -> None:
    """Packets wait in memory meanwhile: none is lost, unless the process that holds them is killed; then it is told."""
    db = tmp_path / "orders.duckdb"
    (disk / "journal").mkdir()
    listening = listen()
    with Recording(db, *options(listening, "--journal", disk / "journal", "--log-format", "text")) as recording:
        talks = chat(listening)
        wait_for(lambda: count(stored(db)) >= count({talk.ports: talk.sent for talk in talks}), "what was said so far")
        ballast = disk / "ballast"
        with ballast.open("wb", buffering=0) as file:
            while fill(file.fileno()):
                pass
        meanwhile = [talk for n in range(6) for talk in chat(listening, SEED + 1 + n, messages=20, largest=20_000)]
        wait_for(lambda: "No space left on device; " in said(recording), "the complaint")
        if kill:
            capture = recording.children()["capture"]
            time.sleep(0.2)
            os.kill(capture, signal.SIGKILL)
            wait_for(lambda: said(recording).count("No space left on device; ") == 2, "another process, and its complaint")
        ballast.unlink()
        wait_for(lambda: "the journal can be written again" in said(recording), "the end of it")
        after = chat(listening, SEED + 100)
        done = recording.stop()
    assert done.code == 0
    assert done.err.count("No space left") == 1 + kill
    found = stored(db)
    if not kill:
        check_equal(found, talks + meanwhile + after)
        assert rows(db, "FROM losses") == []
    else:
        ((reason,),) = rows(db, "SELECT reason FROM losses WHERE layer = 'capture'")
        assert reason.startswith("the journal could not be written, and the capture process was killed: ")
        whole = {talk.ports for talk in talks + after}
        check_equal({ports: said for ports, said in found.items() if ports in whole}, talks + after)


def fill(descriptor: int) -> bool:
    try:
        return os.write(descriptor, bytes(4096)) > 0
    except OSError:
        return False


def test_a_journal_folder_that_vanishes(tmp_path: Path) -> None:
    """What was in it and not loaded is lost and told; what comes meanwhile is not."""
    db, journal = tmp_path / "orders.duckdb", tmp_path / "journal"
    journal.mkdir()
    listening = listen()
    with Recording(db, *options(listening, "--journal", journal)) as recording:
        talks = chat(listening)
        wait_for(lambda: len(stored(db)) == len(talks), "the first rows")
        shutil.rmtree(journal)
        wait_for(lambda: "no such journal folder" in said(recording), "the complaint")
        talks += chat(listening, SEED + 1)
        journal.mkdir()
        wait_for(lambda: "the journal can be written again" in said(recording), "the end of it")
        talks += chat(listening, SEED + 2)
        done = recording.stop()
    assert done.code == 0
    check_equal(stored(db), talks)

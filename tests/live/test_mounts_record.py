"""Recordings whose journal, database or both are on a file system that becomes read-only, or vanishes, and comes back.

Nothing is lost, and nothing comes twice: packets wait in memory, and the journal waits for the database.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.live.live_tools import (
    LIVE,
    ROOT_ONLY,
    ROUNDS,
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
SEGMENT = 1 << 16
NAMES = ("journal", "database")


def mount(*options: object) -> None:
    done = subprocess.run(["mount", *map(str, options)], capture_output=True, check=False, text=True)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr}")


class Place:
    """A folder `path` on which a file system is mounted that can be made read-only, or be away.

    It has folders for journal and database; so has the folder beneath it, which then shows.
    """

    def __init__(self, folder: Path) -> None:
        self.path, self._disk = folder / "place", folder / "disk"
        self._disk.mkdir()
        mount("-t", "tmpfs", "-o", "size=64m", "sniffer-test", self._disk)
        for path in (self.path, self._disk):
            for name in NAMES:
                (path / name).mkdir(parents=True)
        self.bring()

    def bring(self) -> None:
        mount("--bind", self._disk, self.path)

    def take_away(self) -> None:
        subprocess.run(["umount", "-l", self.path], check=True)

    def protect(self) -> None:
        """Another mount over the one there is, which is busy: what is open for writing stays so."""
        mount("--bind", self.path, self.path)
        mount("-o", "remount,bind,ro", self.path)

    def clear(self) -> None:
        while self.path.is_mount():
            self.take_away()
        subprocess.run(["umount", "-l", self._disk], check=True)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.clear()


LONG = pytest.mark.skipif(ROUNDS == 1, reason="for SNIFFER_TEST_ROUNDS=2 and more")


@pytest.mark.parametrize(
    "there",
    [NAMES, pytest.param(("journal",), marks=LONG), pytest.param(("database",), marks=LONG)],
    ids=["both", "journal", "database"],
)
@pytest.mark.parametrize(
    ("hurt", "heal", "complaint"),
    [(Place.protect, Place.take_away, "Read-only file system"), (Place.take_away, Place.bring, "nothing is mounted at ")],
    ids=["read-only", "unmounted"],
)
def test_a_file_system_that_comes_back(
    tmp_path: Path,
    place: Place,
    there: tuple[str, ...],
    hurt: Callable[[Place], None],
    heal: Callable[[Place], None],
    complaint: str,
) -> None:
    journal, folder = ((place.path if name in there else tmp_path) / name for name in NAMES)
    journal.mkdir(exist_ok=True)
    folder.mkdir(exist_ok=True)
    db, settings = folder / "orders.duckdb", tmp_path / "sniffer.toml"
    settings.write_text(f'journal = "{journal}"\njournal_segment_bytes = {SEGMENT}\n')
    env = {"SNIFFER_CONFIG": str(settings)}
    listening = listen()
    with Recording(db, *options(listening), env=env, logs=tmp_path) as recording:
        talks = chat(listening)
        wait_for(lambda: len(stored(db)) == len(talks), "the first rows")
        hurt(place)
        talks += chat(listening, SEED + 1, messages=90, largest=20_000)  # more than a segment holds
        if "journal" in there:
            wait_for(lambda: f"{journal}: cannot write the journal: {complaint}" in recording.said(), "what capture says")
        if "database" in there:
            wait_for(lambda: re.search(f"the load process ended .{folder}.*{complaint}", recording.said()), "what load says")
        talks += chat(listening, SEED + 2)
        if not place.path.is_mount():
            assert [path for path in place.path.rglob("*") if path.is_file()] == [], "nothing is put in its place"
        heal(place)
        if "journal" in there:
            wait_for(lambda: "the journal can be written again" in recording.said(), "the end of it")
        talks += chat(listening, SEED + 3)
        wait_for(lambda: len(stored(db)) == len(talks), "all rows")
        wait_for(lambda: sniffer_command("status", "--db", db, env=env).code == 0, "an answer where the journal is")
        done = recording.stop()
    assert done.code == 0
    assert done.err.count(f"cannot write the journal: {complaint}") == ("journal" in there)
    check_equal(stored(db), talks)
    assert rows(db, "FROM losses") == []
    assert [path.name for path in folder.iterdir()] == [db.name]

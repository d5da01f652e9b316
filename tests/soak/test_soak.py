"""A few seconds of what `python -m tests.soak` does for twenty minutes."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.live_tools import LIVE, ROOT_ONLY, SEED
from tests.soak.__main__ import soak

pytestmark = [*LIVE, ROOT_ONLY]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user may enter (pytest's own are the caller's alone)."""
    made = Path(tempfile.mkdtemp(prefix="sniffer-soak-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def test_no_promise_is_broken(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manners = "poll:1,hold:1,aggregate:1,killed:1,tail:1,query:1"
    assert soak(folder, seconds=10, rate=2000, seed=SEED, manners=manners, pause=2) == []
    said = capsys.readouterr().out
    print(said)
    for manner in ("aggregate", "hold", "intrude", "killed", "poll", "query", "tail"):
        assert f"{manner} " in said, "one of the readers saw nothing"

"""`sniffer status`: what it says of a recording's record."""

from __future__ import annotations

from pathlib import Path

import pytest

from sniffer.config import Settings
from sniffer.sidecar.ask import lines
from sniffer.sidecar.board import Board
from sniffer.sidecar.status import Status

pytestmark = pytest.mark.usefixtures("settings_folder")


def losses_line(db: Path, journal: Path) -> str:
    status = Status(Settings(db=db), journal, {part: Board() for part in ("supervisor", "capture", "load")})
    (line,) = (line for line in lines(status.record()) if line.startswith("losses "))
    return line


def test_the_call_that_says_more_asks_the_database_of_the_recording(tmp_path: Path) -> None:
    db = tmp_path / "my orders.duckdb"
    assert losses_line(db, tmp_path).endswith(f"`sniffer query --db '{db}' 'SELECT * FROM losses'` says which")
    assert losses_line(Path("orders.duckdb"), tmp_path).endswith("`sniffer query 'SELECT * FROM losses'` says which")

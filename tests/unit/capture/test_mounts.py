from __future__ import annotations

import os
from pathlib import Path

import pytest

from sniffer.capture.journal_writer import JournalWriter
from sniffer.capture.mounts import Mount
from sniffer.capture.segment import segments
from sniffer.errors import JournalError


def test_a_folder_and_one_that_is_not_there_belong_to_a_mount(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "no" / "such", Path("/")):
        mount = Mount(folder)
        assert mount.point.is_mount()
        assert folder.is_relative_to(mount.point)
        assert mount.gone is None


def test_a_mount_that_is_gone_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "ismount", lambda path: path == tmp_path)
    mount = Mount(tmp_path / "journal")
    assert mount.point == tmp_path
    monkeypatch.setattr(os.path, "ismount", lambda path: False)
    assert mount.gone == f"nothing is mounted at {tmp_path} any more; mount it again"


def test_a_journal_is_not_written_beside_its_mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "ismount", lambda path: path == tmp_path)
    writer = JournalWriter(tmp_path, [("lo", 1)])
    packet = (1_700_000_000_000_000_000, 1, bytes(60), 60, 0)
    writer.write([packet])
    monkeypatch.setattr(os.path, "ismount", lambda path: False)
    for _ in range(2):
        with pytest.raises(JournalError, match="cannot write the journal: nothing is mounted at"):
            writer.verify()
        with pytest.raises(JournalError, match="cannot write the journal: nothing is mounted at"):
            writer.write([packet])
    assert len(segments(tmp_path)) == 1
    monkeypatch.setattr(os.path, "ismount", lambda path: path == tmp_path)
    writer.write([packet])
    assert len(segments(tmp_path)) == 2
    assert writer.written == (2, 120)
    writer.close()

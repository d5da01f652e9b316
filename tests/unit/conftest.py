"""What tests of the top-level modules share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def settings_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A settings folder of the test's own, so that neither `sniffer.toml` nor the salt is the user's."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    monkeypatch.delenv("SNIFFER_CONFIG", raising=False)
    return tmp_path / "settings" / "sniffer"

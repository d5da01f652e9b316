"""What tests of the top-level modules share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command_line import ORDERS, run


@pytest.fixture
def settings_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A settings folder of the test's own, so that neither `sniffer.toml` nor the salt is the user's."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    monkeypatch.delenv("SNIFFER_CONFIG", raising=False)
    return tmp_path / "settings" / "sniffer"


@pytest.fixture(scope="session")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the orders of a capture, for tests that only read."""
    folder = tmp_path_factory.mktemp("loaded")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(folder))
        assert run("replay", ORDERS, "--db", folder / "orders.duckdb").code == 0
    return folder / "orders.duckdb"

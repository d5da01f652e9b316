"""Settings: where they come from, which of them wins, and what each error says. The salt and the names of accounts."""

from __future__ import annotations

import dataclasses
import stat
from pathlib import Path
from typing import Any

import pytest

from sniffer.config import Limits, Settings, account_name, account_salt, config_dir, load_settings
from sniffer.errors import UsageError

pytestmark = pytest.mark.usefixtures("settings_folder")


def written(folder: Path, text: str, name: str = "sniffer.toml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def test_without_a_file_all_is_default() -> None:
    assert load_settings() == Settings()


def test_an_option_wins_over_the_file_and_the_file_over_the_default(settings_folder: Path) -> None:
    written(settings_folder, 'keep = "all"\nports = [9443]\naccount = "main"')
    settings = load_settings(keep=None, ports=[443, 80])
    assert settings == Settings(keep="all", ports=(443, 80), account="main")


def test_the_file_is_the_named_one_else_the_environments_else_the_users(
    settings_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(settings_folder, 'account = "users"')
    assert load_settings().account == "users"
    monkeypatch.setenv("SNIFFER_CONFIG", str(written(tmp_path, 'account = "environments"', "other.toml")))
    assert load_settings().account == "environments"
    assert load_settings(written(tmp_path, 'account = "named"', "named.toml")).account == "named"


def test_every_setting_can_be_set(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        """
        db = "a.duckdb"
        keep = "all"
        hosts = ["192.0.2.1", "exchange.example"]
        ports = [1, 65535]
        publish_interval = 2
        journal = "/var/lib/journal"
        journal_max_bytes = 1048576
        journal_segment_bytes = 65536
        group = "traders"
        account = "main"
        keylog = ["/srv/keys", "~/more.log"]
        keylog_dir = "/srv/keys"
        journal_sync = "second"
        ring_bytes = 8388608
        metrics_port = 9100
        log_format = "json"
        [venues.okx]
        ports = [9001]
        [limits]
        fragments = 7
        """,
    )
    wanted = Settings(
        db=Path("a.duckdb"),
        keep="all",
        hosts=("192.0.2.1", "exchange.example"),
        ports=(1, 65535),
        publish_interval=2.0,
        journal=Path("/var/lib/journal"),
        journal_max_bytes=1 << 20,
        journal_segment_bytes=1 << 16,
        group="traders",
        account="main",
        keylog=(Path("/srv/keys"), Path("~/more.log").expanduser()),
        keylog_dir=Path("/srv/keys"),
        journal_sync="second",
        ring_bytes=8 << 20,
        metrics_port=9100,
        log_format="json",
        venues={"okx": {"ports": [9001]}},
        limits=Limits(fragments=7),
    )
    assert load_settings(file) == wanted
    defaults = Settings()
    for item in dataclasses.fields(Settings):
        assert getattr(wanted, item.name) != getattr(defaults, item.name), f"{item.name} is missing above"


def test_a_home_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert load_settings(written(tmp_path, 'journal = "~/journal"')).journal == Path("/home/someone/journal")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("keep = 5", "setting keep: 5 is unknown; it is orders or all"),
        ('keep = "some"', "setting keep: 'some' is unknown; it is orders or all"),
        ("db = 5", "setting db: 5 is no path"),
        ('journal = ""', "setting journal: '' is no path"),
        ('hosts = "exchange.example"', "setting hosts: 'exchange.example' is no list of hosts"),
        ("hosts = [5]", "setting hosts: [5] is no list of hosts"),
        ("ports = 9443", "setting ports: 9443 is no list of ports, as [9443]"),
        ('ports = ["9443"]', "setting ports: '9443' is no port"),
        ("ports = [true]", "setting ports: True is no port"),
        ("ports = [0]", "setting ports: 0 is no port"),
        ("ports = [65536]", "setting ports: 65536 is no port"),
        ("publish_interval = true", "setting publish_interval: True is out of range"),
        ("publish_interval = nan", "setting publish_interval: nan is out of range"),
        ("publish_interval = 0", "setting publish_interval: 0 is out of range; it is 0.01 to 3600 seconds"),
        ("journal_max_bytes = 1.5e9", "setting journal_max_bytes: 1500000000.0 is no size"),
        ("journal_max_bytes = 1048575", "at least 1048576"),
        ("journal_segment_bytes = 65535", "at least 65536"),
        ("group = 5", "setting group: 5 is no name"),
        ("account = []", "setting account: [] is no name"),
        ("limits = 5", "setting limits: 5 is no table"),
        ("[limits]\nnope = 1", "setting limits: unknown limit 'nope'; known are body_bytes"),
        ("[limits]\nfragments = 0", "setting limits: limit fragments is a whole number above 0"),
        ("[limits]\nfragments = true", "setting limits: limit fragments is a whole number above 0"),
        ("nope = 1", "unknown setting 'nope'; known are account, db"),
        ("keep = ", "is not TOML"),
        ("keep = '\udcff'", "is not TOML"),
    ],
)
def test_an_error_names_the_file_and_what_is_wanted(tmp_path: Path, line: str, said: str) -> None:
    file = tmp_path / "s.toml"
    file.write_bytes(line.encode("utf-8", "surrogateescape"))
    with pytest.raises(UsageError) as caught:
        load_settings(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"ports": [70000]}, "--port: 70000"),
        ({"journal_max_bytes": 1}, "--journal-max-bytes: 1"),
        ({"keep": "x"}, "--keep: 'x'"),
        ({"publish_interval": 1e9}, "--publish-interval: 1000000000.0"),
    ],
)
def test_an_error_names_the_option(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_settings(**options)
    assert str(caught.value).startswith(said)


def test_a_named_file_must_be_there_and_readable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="no such settings file; leave --config out"):
        load_settings(tmp_path / "nope.toml")
    with pytest.raises(UsageError, match="Is a directory; name another file with --config"):
        load_settings(tmp_path)
    monkeypatch.setenv("SNIFFER_CONFIG", str(tmp_path / "nope.toml"))
    with pytest.raises(
        UsageError, match=r"nope\.toml: no such settings file; it is named by SNIFFER_CONFIG; unset that to use the defaults"
    ):
        load_settings()


def test_a_user_without_a_home_has_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setattr(Path, "home", no_home)
    assert config_dir() == Path("/.config/sniffer")
    assert load_settings() == Settings()


# --- accounts ------------------------------------------------------------------------------------------------------------


def test_the_salt_is_made_once_and_is_the_owners_alone(settings_folder: Path) -> None:
    salt = account_salt()
    assert len(salt) == 32
    assert account_salt() == salt
    assert stat.S_IMODE((settings_folder / "salt").stat().st_mode) == 0o600


def test_where_the_salt_cannot_be_kept_it_is_another_each_time(settings_folder: Path) -> None:
    settings_folder.parent.write_text("a file where the folder should be")
    first, second = account_salt(), account_salt()
    assert len(first) == len(second) == 32
    assert first != second


def test_a_cut_salt_is_not_used(settings_folder: Path) -> None:
    settings_folder.mkdir(parents=True)
    (settings_folder / "salt").write_bytes(b"short")
    assert len(account_salt()) == 32


def test_an_account_is_named_by_its_key_and_the_salt() -> None:
    salt, other = bytes(32), bytes(31) + b"\x01"
    assert account_name(salt, "key") == account_name(salt, "key")
    assert len({account_name(salt, "key"), account_name(salt, "key2"), account_name(other, "key")}) == 3
    assert len(account_name(salt, "key")) == 16
    assert "key" not in account_name(salt, "key")

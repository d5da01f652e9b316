"""What the doctor says of a machine, of its folders and of a database."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from sniffer.config import Settings
from sniffer.doctor import Check, checks, machine
from sniffer.replay import replay_files
from tests.command_line import ORDERS, PCAPS, run

pytestmark = pytest.mark.usefixtures("settings_folder")


def found(settings: Settings, interface: str | None = None) -> list[Check]:
    return list(checks(settings, interface))


def saying(words: str, settings: Settings, interface: str | None = None) -> Check:
    """The one line that holds these words."""
    (check,) = [check for check in found(settings, interface) if words in check.text]
    return check


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(db=tmp_path / "orders.duckdb", journal_max_bytes=1 << 20)


def test_every_line_has_a_state_and_a_text_of_one_line(settings: Settings) -> None:
    for check in found(settings, "lo"):
        assert check.state in ("OK", "WARN", "FAIL")
        assert check.text.isprintable()


@pytest.mark.parametrize(
    ("error", "state", "words"),
    [
        (None, "OK", "may capture"),
        (PermissionError(), "FAIL", "CAP_NET_RAW"),
        (OSError(97, "Address family not supported by protocol"), "FAIL", "Address family not supported"),
    ],
)
def test_the_privilege(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, error: OSError | None, state: str, words: str
) -> None:
    class Socket:
        def __init__(self, *_: Any) -> None:
            if error is not None:
                raise error

        def close(self) -> None:
            pass

    monkeypatch.setattr("sniffer.doctor.machine.socket.socket", Socket)
    monkeypatch.setattr("sniffer.doctor.machine.sys.platform", "linux")
    assert saying(words, settings).state == state


def test_another_system(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sniffer.doctor.machine.sys.platform", "darwin")
    assert saying("not Linux", settings).state == "WARN"


@pytest.mark.parametrize(
    ("flags", "operstate", "state", "text"),
    [
        ("0x1003", "up", "OK", "interface {} is there (up)"),
        ("0x9", "unknown", "OK", "interface {} is there (unknown)"),
        ("0x1002", "down", "WARN", "interface {0} is down; `ip link set {0} up` starts it"),
        ("0x1003", "down", "WARN", "interface {} has no link, so nothing goes over it; see to its cable, or what it stands on"),
        ("0x1003", "lowerlayerdown", "WARN", "interface {} has no link, "),
        ("", "", "OK", "interface {} is there (unknown)"),
    ],
)
def test_the_state_of_an_interface(
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    flags: str,
    operstate: str,
    state: str,
    text: str,
) -> None:
    """One that is up may have no link: to set it up again would not help."""
    name = socket.if_nameindex()[0][1]
    folder = tmp_path / name
    folder.mkdir()
    (folder / "flags").write_text(flags)
    (folder / "operstate").write_text(operstate)
    monkeypatch.setattr(machine, "INTERFACES", tmp_path)
    check = saying(f"interface {name} ", settings, name)
    assert check.state == state
    assert check.text.startswith(text.format(name))


def test_interfaces(settings: Settings) -> None:
    names = [name for _, name in socket.if_nameindex()]
    assert saying("interfaces: ", settings).text == f"interfaces: {', '.join(names)}"
    assert saying(f"interface {names[0]} is", settings, names[0]).state in ("OK", "WARN")
    missing = saying("nope0", settings, "nope0")
    assert missing.state == "FAIL"
    assert names[0] in missing.text


def test_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = Settings(db=tmp_path / "o.duckdb", journal=tmp_path / "journal", journal_max_bytes=1 << 20)
    missing = saying("journal is not there", there)
    assert (missing.state, f"mkdir -p {tmp_path / 'journal'}" in missing.text) == ("FAIL", True)
    (tmp_path / "journal").mkdir()
    assert saying("the journal can be written", there).state == "OK"
    assert saying("the database can be written", there).state == "OK"
    assert saying("folder of the database", Settings(db=tmp_path / "nope" / "o.duckdb")).state == "FAIL"
    full = Settings(db=tmp_path / "o.duckdb", journal_max_bytes=1 << 60)
    assert saying("make room", full).state == "WARN"
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert saying("folder of the database cannot be written", Settings(db=tmp_path / "o.duckdb")).state == "FAIL"


def test_a_database_that_is_not_there_yet(settings: Settings) -> None:
    assert saying("not there yet", settings).state == "OK"


def test_a_database_is_read(settings: Settings) -> None:
    replay_files([str(ORDERS)], settings, replace=False)
    assert saying("42 order events", settings).state == "OK"


def test_readable_connections_that_no_venue_examines_and_those_that_cannot_be_read(settings: Settings) -> None:
    for name in ("links/ethernet.pcap", "tls/without-keys.pcapng"):
        replay_files([str(PCAPS / name)], settings, replace=False)
    unexamined = saying("no venue examines", settings)
    assert (unexamined.state, unexamined.text.startswith("exchange.example: ")) == ("WARN", True)
    assert saying("cannot be read: TLS", settings).state == "WARN"


def test_a_file_that_is_no_database(settings: Settings) -> None:
    settings.db.write_text("text\n" * 100)
    assert saying(str(settings.db), settings).state == "FAIL"
    result = run("doctor", "--db", settings.db)
    assert result.code == 1
    assert "FAIL  " in result.out
    assert result.err == ""

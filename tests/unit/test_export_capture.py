"""`sniffer export-capture`: a capture with the secrets that its connections need, and no other."""

from __future__ import annotations

import gzip
import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from pcaps.kit.tls import TlsTalk
from sniffer.capture.journal_writer import JournalWriter
from sniffer.capture.pcapfile import open_capture
from sniffer.model import Packet
from tests.command_line import PCAPS, run

PLAIN = PCAPS / "tls" / "tls13-plain.pcapng"
LATE = PCAPS / "tls" / "late-keys.pcapng"
CLOSED = PCAPS / "tls" / "without-keys.pcapng"
TUNNEL = PCAPS / "tls" / "tunnel.pcapng"


def packets_of(path: Path) -> tuple[list[Packet], bytes]:
    """The packets of a capture, and the key logs in it."""
    source = open_capture(path)
    found = [packet for block in source.blocks() for packet in block]
    return found, b"".join(source.secrets)


def keys_of(path: Path) -> bytes:
    return packets_of(path)[1]


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "out.pcapng"


def test_secrets_stand_before_the_packets_and_only_those_needed(tmp_path: Path, target: Path) -> None:
    keys = tmp_path / "keys.log"
    others = "".join(TlsTalk(seed=seed).shake_hands().key_log for seed in range(20, 30))
    keys.write_bytes(b"# noise\n" + others.encode() + keys_of(LATE) + b"no line\n")
    keys.chmod(0o600)
    result = run("export-capture", CLOSED, "-o", target, "--keylog", keys)
    assert (result.code, result.err) == (0, "")
    assert result.out == f"wrote 54 packets and the secrets of 1 TLS connections to {target}\n"
    packets, secrets = packets_of(target)
    assert packets == packets_of(CLOSED)[0]
    assert sorted(secrets.splitlines()) == sorted(keys_of(LATE).splitlines())
    data = target.read_bytes()
    assert data.index(b"SERVER_TRAFFIC_SECRET_0") < data.index(packets[0][2])
    assert target.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) != []
    assert {path.name for path in tmp_path.iterdir()} == {"keys.log", "out.pcapng"}


def test_what_is_written_is_read_without_a_key_log(tmp_path: Path, target: Path) -> None:
    run("export-capture", LATE, TUNNEL, "-o", target)
    db = tmp_path / "orders.duckdb"
    assert run("replay", target, "--db", db).code == 0
    found = run(
        "query", "SELECT protocol, readable, messages FROM connections ORDER BY server_port", "--db", db, "--format", "csv"
    )
    assert found.out.splitlines()[1:] == ["wss,true,18", "wss,true,16"]


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_decrypts_it_too(target: Path) -> None:
    run("export-capture", LATE, "-o", target)
    found = subprocess.run(["tshark", "-r", target, "-Y", "websocket"], capture_output=True, text=True, check=True)
    assert len(found.stdout.splitlines()) == 16


def test_it_overwrites_nothing_without_being_told(target: Path) -> None:
    target.write_text("mine")
    result = run("export-capture", PLAIN, "-o", target)
    assert (result.code, result.error) == (2, f"{target}: is there already; name another file, or replace it with --force")
    assert target.read_text() == "mine"
    assert run("export-capture", PLAIN, "-o", target, "--force").code == 0
    assert packets_of(target)[0] == packets_of(PLAIN)[0]
    assert target.stat().st_mode & 0o777 == 0o600


def test_it_replaces_files_only(target: Path) -> None:
    os.mkfifo(target)
    for force in ([], ["--force"]):
        result = run("export-capture", PLAIN, "-o", target, *force)
        assert (result.code, result.error) == (2, f"{target}: is there, and is not a file that could be replaced; name another")
    assert target.is_fifo()
    result = run("export-capture", PLAIN, "-o", target.parent, "--force")
    assert (result.code, target.parent.is_dir()) == (2, True)


def test_journals_keep_times_marks_and_link_types(tmp_path: Path, target: Path) -> None:
    journal = tmp_path / "journal"
    journal.mkdir()
    packets = packets_of(PLAIN)[0]
    marked = [(*packet[:4], number % 3) for number, packet in enumerate(packets)]
    writer = JournalWriter(journal, [("lo", 1)], segment_bytes=1 << 16)
    for packet in marked:
        writer.write([packet])
    writer.close()
    keys = tmp_path / "keys.log"
    keys.write_bytes(keys_of(PLAIN))
    keys.chmod(0o600)
    assert run("export-capture", journal, "-o", target, "--keylog", keys).code == 0
    assert packets_of(target) == (marked, keys_of(PLAIN))


def test_link_types_beside_each_other(target: Path) -> None:
    names = [PCAPS / "links" / "ipv4.pcap", PLAIN, PCAPS / "links" / "sll2.pcap"]
    assert run("export-capture", *names, "-o", target).code == 0
    packets = packets_of(target)[0]
    assert sorted(packets) == sorted(packet for name in names for packet in packets_of(name)[0])


def test_connections_without_secrets_are_counted(target: Path) -> None:
    result = run("export-capture", CLOSED, "-o", target)
    assert result.code == 0
    assert "1 more TLS connections have no secrets" in result.out
    assert keys_of(target) == b""


def test_a_damaged_capture_is_written_as_far_as_it_goes(tmp_path: Path, target: Path) -> None:
    cut = tmp_path / "cut.pcapng.gz"
    cut.write_bytes(gzip.compress(PLAIN.read_bytes()[:-100]))
    result = run("export-capture", cut, "-o", target)
    assert result.code == 1
    assert "stopped at byte" in result.error
    assert f"what came before is in {target}" in result.error
    whole = packets_of(PLAIN)[0]
    assert packets_of(target)[0] == whole[: len(packets_of(target)[0])]
    assert 40 < len(packets_of(target)[0]) < len(whole)


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["-", "-o", "x"], 2, "-: a capture is read twice"),
        ([str(PLAIN), "-o", "-"], 2, "--output -: secrets are not written to standard output; name a file"),
        ([str(PLAIN), "-o", "-", "--force"], 2, "--output -"),
        ([str(PLAIN), "-o", "/nowhere/at/all"], 1, "/nowhere/at/all: cannot be written: No such file or directory"),
        ([str(PCAPS / "README.md"), "-o", "x"], 1, "README.md"),
        ([str(PCAPS), "-o", "x"], 1, "this folder is no journal"),
        ([str(PLAIN)], 2, "--output"),
        (["no.pcap", "-o", "x"], 1, "no.pcap: No such file"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    arguments: list[str], code: int, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("export-capture", *arguments)
    assert result.code == code
    assert text in result.error
    assert list(tmp_path.iterdir()) == []


def test_help_says_who_can_read_the_traffic() -> None:
    assert "CAN READ THE TRAFFIC" in run("export-capture", "--help").out


def test_many_secrets_take_several_blocks(tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sniffer.export_capture._BLOCK_SECRETS", 300)
    assert run("export-capture", PLAIN, "-o", target).code == 0
    data = target.read_bytes()
    assert data.count(struct.pack("<I", 0x544C534B)) == 4  # a line each
    assert sorted(keys_of(target).splitlines()) == sorted(keys_of(PLAIN).splitlines())

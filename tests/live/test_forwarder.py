"""A path that loses, reorders, duplicates and corrupts, seen from its ends and from its middle: nothing wrong is stored."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

import pytest

from sniffer.capture import PacketSource
from sniffer.capture.journal import JournalReader
from sniffer.capture.pcapfile import open_capture
from tests.live import live_mangle
from tests.live.live_mangle import Cut, Streams
from tests.live.live_network import inside
from tests.live.live_path import CLIENT, DEVICES, SERVER, BadPath, Faults
from tests.live.live_tools import LIVE, ROOT_ONLY, Recording, check_equal, in_order, rows, seeds, sniffer_command, stored
from tests.live.live_traffic import PAIRS, Plan, Talk, run

pytestmark = [
    *LIVE,
    ROOT_ONLY,
    pytest.mark.skipif(not os.access("/dev/net/tun", os.R_OK | os.W_OK), reason="needs /dev/net/tun"),
    pytest.mark.skipif(not (shutil.which("ip") and shutil.which("nsenter")), reason="needs ip and nsenter"),
]
BETWEEN = f"client_ip = '{CLIENT}' AND server_ip = '{SERVER}'"
"""Damaged addresses make connections with the right ports, too."""


def talk(path: BadPath, seed: int, compression: bool) -> list[Talk]:
    """Traffic from one namespace to the other."""

    def dial(port: int) -> socket.socket:
        with inside(path.client):
            return socket.create_connection((SERVER, port), timeout=20)

    with inside(path.server):
        listening = socket.create_server((SERVER, 0), backlog=16)
    return run(Plan(seed, connections=6, messages=30, largest=20_000, compression=compression), [listening], dial)


def check_stored(db: Path, talks: list[Talk]) -> None:
    """All that was said is there, without a loss; connections that come from damaged headers alone say nothing."""
    found = stored(db)
    real = {one.ports for one in talks}
    assert not any(messages for ports, said in found.items() if ports not in real for messages in said.values())
    check_equal({ports: found[ports] for ports in real}, talks)
    sql = f"SELECT client_port, server_port, losses.* FROM losses JOIN connections USING (connection_id) WHERE {BETWEEN}"
    assert [loss for loss in rows(db, sql) if loss[:2] in real] == []


@pytest.mark.parametrize("seed", seeds(1))
@pytest.mark.parametrize("compression", [False, True], ids=["plain", "compressed"])
def test_bad_path(tmp_path: Path, seed: int, compression: bool) -> None:
    """Recorded at both ends, and captured in the middle."""
    tap = tmp_path / "tap.pcap"
    ends = [tmp_path / f"{device}.duckdb" for device in DEVICES]
    with BadPath(seed, Faults(), tap) as path:
        recordings = [
            Recording(db, "--keep", "all", interface=device, prefix=["nsenter", f"--net={namespace}"])
            for db, device, namespace in zip(ends, DEVICES, (path.client, path.server), strict=True)
        ]
        with recordings[0], recordings[1]:
            talks = talk(path, seed, compression)
            assert [recording.stop().code for recording in recordings] == [0, 0]
    for fault in ("lost", "late", "duplicated", "corrupted", "unseen"):
        assert path.counts[fault] > 0
    for db in ends:
        check_stored(db, talks)
    check_tap(tmp_path, tap, talks)


def check_tap(tmp_path: Path, tap: Path, talks: list[Talk]) -> None:
    """What is stored was sent, in order, and at least all bytes that never passed the tap unharmed are lost."""
    db = tmp_path / "tap.duckdb"
    assert sniffer_command("replay", tap, "--keep", "all", "--db", db).code == 0
    found, sent = stored(db), stored(tmp_path / f"{DEVICES[0]}.duckdb")
    real = {one.ports for one in talks}
    for ports, said in found.items():
        for sender, _ in PAIRS:
            assert in_order(said[sender], sent[ports][sender] if ports in real else [])
    journal = JournalReader(tmp_path / f"{DEVICES[0]}.duckdb.journal", follow=False)
    streams = Streams(segments(journal, real))
    passed = segments(open_capture(str(tap)), real)
    sql = f"""SELECT coalesce(sum(bytes), 0) FROM losses JOIN connections USING (connection_id)
        WHERE {BETWEEN} AND client_port = ? AND server_port = ? AND sender = ? AND layer = 'tcp'"""
    for ports in real:
        for sender, flow in (("client", ports), ("server", ports[::-1])):
            missing = streams.missing(flow, passed)
            ((lost,),) = rows(db, sql, *ports, sender)
            print(ports, sender, "missing", missing, "lost", lost)
            assert lost >= missing


def segments(source: PacketSource, real: set[tuple[int, int]]) -> list[Cut]:
    """What is sound of these connections' segments."""
    packets = [packet for block in source.blocks() for packet in live_mangle.sound(block)]
    return [cut for cut in live_mangle.take_apart(packets, link_header=0) if cut.ports in real or cut.ports[::-1] in real]

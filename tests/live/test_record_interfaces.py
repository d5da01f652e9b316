"""`sniffer record` while its interface goes down, comes back, and vanishes."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.live_tools import LIVE, ROOT_ONLY, Recording, rows, sniffer_command, wait_for
from tests.packets import ACK, CLIENT, SERVER, Sent

pytestmark = [*LIVE, ROOT_ONLY]
DEVICE, PEER = "pair0s", "pair1s"
READ = "SELECT client_bytes, lost_bytes FROM connections"


def ip(command: str) -> None:
    subprocess.run(["ip", *command.split()], check=True)


def add_pair() -> None:
    ip(f"link add {DEVICE} type veth peer name {PEER}")
    ip(f"link set {PEER} up")
    ip(f"link set {DEVICE} up")


@pytest.fixture
def device() -> Iterator[str]:
    add_pair()
    yield DEVICE
    subprocess.run(["ip", "link", "del", DEVICE], check=False, stderr=subprocess.DEVNULL)


def send(first: int, end: int) -> None:
    """These bytes of one connection, over the device, a packet each."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender:
        sender.bind((PEER, 0))
        for number in range(first, end):
            sender.send(Sent(0, CLIENT, SERVER, number, 1, ACK, b"x").packet()[2])


def recording(db: Path) -> Recording:
    return Recording(db, "--port", SERVER[1], "--publish-interval", "0.1", interface=DEVICE)


def test_an_interface_that_is_down_is_waited_for_and_one_that_is_gone_ends_it(tmp_path: Path, device: str) -> None:
    db = tmp_path / "orders.duckdb"
    with recording(db) as first:
        send(0, 3)
        ip(f"link set {device} down")
        wait_for(lambda: f"{device}: the interface is down; `ip link set {device} up` starts it" in first.said(), "a line")
        told = sniffer_command("status", "--db", db)
        assert f"PROBLEM   {device}: the interface is down; `ip link set {device} up` starts it\n" in told.out
        ip(f"link set {device} up")
        wait_for(lambda: f"{device}: the interface is up again, and the recording goes on" in first.said(), "another line")
        assert json.loads(sniffer_command("status", "--db", db, "--json").out)["capture"]["problem"] is None
        send(3, 7)
        ip(f"link del {device}")
        done = first.wait()
    assert done.code == 1
    assert done.err.splitlines()[3:] == [f"sniffer: {device}: the interface is gone; start again when it is back"]
    assert rows(db, READ) == [(7, 0)]

    add_pair()
    with recording(db) as second:
        send(7, 12)
        assert second.stop().code == 0
    assert rows(db, READ) == [(12, 0)]
    ((reason,),) = rows(db, "SELECT reason FROM losses WHERE layer IN ('capture', 'kernel')")
    assert reason.startswith("the recording was stopped, and started again")

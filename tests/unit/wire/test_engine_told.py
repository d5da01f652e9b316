"""A connection that cannot be read is handed on while it is open, so that who looks at a recording sees it and its reason."""

from __future__ import annotations

from sniffer.capture.pcapfile import open_capture
from sniffer.config import Limits
from sniffer.model import Packet
from sniffer.wire.engine import Engine
from sniffer.wire.keylog import KeyLog
from tests.command_line import PCAPS


def packets(name: str) -> list[Packet]:
    return [packet for block in open_capture(str(PCAPS / name)).blocks() for packet in block]


def told(engine: Engine, name: str) -> list[tuple[str | None, int]]:
    """Reason and number of messages each time that the one connection of a capture is handed on, packet by packet."""
    seen = []
    for packet in packets(name)[:-4]:  # all but the good-byes
        for connection, delivery in engine.feed([packet]).deliveries:
            seen.append((connection.unreadable_reason, sum(len(messages) for _, messages in delivery)))
    assert engine.connections, "it is open still"
    return seen


def test_one_without_keys_is_told_of_once() -> None:
    seen = told(Engine("test", keylog=KeyLog(Limits())), "tls/without-keys.pcapng")
    assert [reason for reason, _ in seen if reason] == ["no key log line for this client random"]


def test_one_without_a_key_log_too() -> None:
    seen = told(Engine("test"), "tls/without-keys.pcapng")
    assert [reason for reason, _ in seen if reason] == ["TLS, and no key log is read"]


def test_a_readable_one_only_with_its_messages() -> None:
    seen = told(Engine("test"), "websocket/binance-orders.pcap")
    assert seen
    assert all(reason is None and messages for reason, messages in seen)

"""Reads captures through the production layers, for tests: what an engine says of each connection."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from sniffer.capture.merge import merge
from sniffer.capture.pcapfile import open_capture
from sniffer.config import Limits
from sniffer.errors import CaptureError, DamagedCapture
from sniffer.model import OPCODE_HTTP, OPCODE_NAMES, Loss, Packet, Sender
from sniffer.wire.connection import Connection
from sniffer.wire.engine import Engine, Output
from sniffer.wire.keylog import KeyLog


@dataclass
class Seen:
    """One connection, and its messages by sender: (opcode name, payload)."""

    connection: Connection
    messages: dict[Sender, list[tuple[str, bytes]]] = field(default_factory=lambda: {"client": [], "server": []})
    http: list[tuple[str, bytes]] = field(default_factory=list)
    positions: dict[str, list[int]] = field(default_factory=lambda: {"client": [], "server": []})
    times: dict[str, list[tuple[int, int]]] = field(default_factory=lambda: {"client": [], "server": []})
    losses: list[Loss] = field(default_factory=list)


@dataclass
class Reading:
    """A whole capture."""

    connections: dict[int, Seen] = field(default_factory=dict)
    losses: list[Loss] = field(default_factory=list)
    damage: list[DamagedCapture] = field(default_factory=list)
    error: CaptureError | None = None

    def add(self, output: Output) -> None:
        for connection, delivery in output.deliveries:
            seen = self.connections.setdefault(connection.id, Seen(connection))
            for sender, messages in delivery:
                for position, first_seen, captured_at, opcode, payload, _ in messages:
                    seen.positions[sender].append(position)
                    seen.times[sender].append((first_seen, captured_at))
                    if opcode == OPCODE_HTTP:
                        seen.http.append((sender, payload))
                    else:
                        seen.messages[sender].append((OPCODE_NAMES[opcode], payload))
        for connection in output.closed:
            self.connections.setdefault(connection.id, Seen(connection))
        self.losses += output.losses

    def all_messages(self) -> list[tuple[str, str, bytes]]:
        return [
            (sender, opcode, payload)
            for seen in self.connections.values()
            for sender, messages in seen.messages.items()
            for opcode, payload in messages
        ]


def read_blocks(blocks: Iterable[list[Packet]], limits: Limits | None = None, keylog: KeyLog | None = None) -> Reading:
    """Feed blocks to a new engine, to the end."""
    engine = Engine("test", limits, keylog=keylog)
    reading = Reading()
    for block in blocks:
        reading.add(engine.feed(block))
    reading.add(engine.finish())
    for loss in reading.losses:
        if loss.connection_id is not None:
            reading.connections[loss.connection_id].losses.append(loss)
    return reading


def read_packets(
    packets: list[Packet], block: int = 1024, limits: Limits | None = None, keylog: KeyLog | None = None
) -> Reading:
    return read_blocks([packets[at : at + block] for at in range(0, len(packets), block)], limits, keylog)


def key_log(*lines: bytes | str) -> KeyLog:
    """A key log that holds these lines, or pieces of a file."""
    log = KeyLog(Limits())
    for line in lines:
        log.feed("test", (line if isinstance(line, bytes) else line.encode()) + b"\n")
    return log


def read_files(*paths: Path | str, block: int | None = None) -> Reading:
    """Read files as one capture; damage and what cannot be opened are noted, not raised. `block`: packets a block."""
    packets: list[list[Packet]] = []
    try:
        source = merge([open_capture(str(path)) for path in paths])
    except CaptureError as error:
        return Reading(error=error)
    damage: list[DamagedCapture] = []
    try:
        packets.extend(source.blocks())
    except DamagedCapture as found:
        damage = source.damage or [found]
    except CaptureError as error:
        return Reading(error=error)
    if block is not None:
        flat = [packet for part in packets for packet in part]
        packets = [flat[at : at + block] for at in range(0, len(flat), block)]
    reading = read_blocks(packets, keylog=key_log(*source.secrets))
    reading.losses += source.losses
    reading.damage = damage
    return reading

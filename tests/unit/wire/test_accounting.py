"""Every byte of every connection is read, unreadable or lost, and which it is does not depend on who counts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sniffer.wire.connection import Connection
from sniffer.wire.engine import Engine
from sniffer.wire.stream import Gap
from tests.command_line import PCAPS
from tests.loading import packets_of


def captures() -> list[str]:
    found = []
    for path in sorted(PCAPS.glob("*/*.json")):
        truth = json.loads(path.read_text())
        if truth.get("damage") is None and len(truth.get("files", ())) == 1 and (truth["packets"] or 999) < 400:
            found.append(f"{path.parent.name}/{truth['files'][0]}")
    return found


@pytest.mark.parametrize("folder", sorted({name.partition("/")[0] for name in captures()}))
def test_read_lost_and_unreadable_are_all(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The streams' own items are counted here, and the frames and heads of what was read; the connection counts its losses."""
    handed: dict[int, list[int]] = {}
    run = Connection._run

    def counting(self: Connection, *sides: Any) -> Any:
        counts = handed.setdefault(self.id, [0, 0])
        for items in sides:
            counts[0] += sum(len(item[2]) for item in items if isinstance(item, tuple))
            counts[1] += sum(item.length or 0 for item in items if isinstance(item, Gap))
        return run(self, *sides)

    monkeypatch.setattr(Connection, "_run", counting)
    for name in captures():
        if not name.startswith(f"{folder}/"):
            continue
        handed.clear()
        engine = Engine("x")
        closed, losses = [], []
        for output in (engine.feed(packets_of(name)), engine.finish()):
            closed += output.closed
            losses += output.losses
        for connection in closed:
            seen, holes = handed.get(connection.id, (0, 0))
            implied = connection.client.stream.extent + connection.server.stream.extent
            lost = connection.client.stream.lost + connection.server.stream.lost
            assert lost == holes, f"{name}: holes"
            assert seen + lost == implied, f"{name}: what the sequence numbers imply"
            assert 0 <= connection.ledger.unreadable <= seen, f"{name}: unreadable"
            rows = [loss for loss in losses if loss.connection_id == connection.id]
            told = sum(row.bytes or 0 for row in rows)
            outside = sum(row.bytes or 0 for row in rows if row.stream_offset is None)  # damaged copies, and those of no place
            assert told - outside == lost + connection.ledger.unreadable, f"{name}: the rows"


def test_what_is_read_to_the_last_byte_is_not_unreadable() -> None:
    engine = Engine("x")
    outputs = [engine.feed(packets_of("websocket/binance-orders-compressed.pcap")), engine.finish()]
    for connection in [one for output in outputs for one in output.closed]:
        assert (connection.ledger.unreadable, connection.client.stream.lost, connection.server.stream.lost) == (0, 0, 0)
        assert connection.messages


def test_records_without_keys_are_unreadable() -> None:
    engine = Engine("x")
    outputs = [engine.feed(packets_of("tls/without-keys.pcapng")), engine.finish()]
    for connection in [one for output in outputs for one in output.closed]:
        implied = connection.client.stream.extent + connection.server.stream.extent
        assert implied // 2 < connection.ledger.unreadable < implied, "all but the plain part of the handshake"

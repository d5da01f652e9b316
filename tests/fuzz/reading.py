"""Reads packets with everything that must hold for any packets: bounds, the accounts, and the same result in any blocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import patch

from sniffer.model import Loss, Packet
from sniffer.wire.connection import Connection
from sniffer.wire.engine import Engine
from sniffer.wire.keylog import KeyLog
from sniffer.wire.reassembly import NOT_CAPTURED
from sniffer.wire.side import WRONG_CHECKSUM
from sniffer.wire.stream import Gap, Item
from sniffer.wire.tls.reasons import BEYOND
from tests.property import test_wire_garbage_property as bounds

LIMITS = replace(bounds.SMALL, tls_held_bytes=20_000, tls_tries=2_000)
PACKET = 65_536
_HOLE = "a hole"
_REASONS = (NOT_CAPTURED, WRONG_CHECKSUM)
"""Which of them it was is said by damaged segments, and these may be known as damaged before or after the hole is given up."""


@dataclass
class Read:
    """What an engine made of packets. `items`: what TCP handed on, by connection and side."""

    messages: Counter[Any] = field(default_factory=Counter)
    losses: list[Loss] = field(default_factory=list)
    closed: list[Connection] = field(default_factory=list)
    items: dict[int, dict[str, list[Item]]] = field(default_factory=dict)

    def outcome(self) -> tuple[object, ...]:
        """What may not depend on how packets are cut into blocks."""
        losses = Counter(loss._replace(reason=_HOLE) if loss.reason in _REASONS else loss for loss in self.losses)
        return self.messages, losses, Counter(connection.id for connection in self.closed)


def read(packets: list[Packet], make_keylog: Callable[[], KeyLog | None] = lambda: None) -> Read:
    """The packets at once, which gives the same as one at a time, unless a search of TLS ran out of tries."""
    whole = _read(packets, max(1, len(packets)), make_keylog())
    single = _read(packets, 1, make_keylog())
    if not any(loss.reason == BEYOND for loss in (*whole.losses, *single.losses)):
        assert single.outcome() == whole.outcome(), "blocks"
    _check_accounts(single)
    _check_accounts(whole)
    return whole


def _read(packets: list[Packet], block: int, keylog: KeyLog | None) -> Read:
    engine, found = Engine("fuzz", LIMITS, keylog=keylog), Read()
    run = Connection._run

    def noting(self: Connection, client: list[Item], server: list[Item]) -> Any:
        sides = found.items.setdefault(self.id, {"client": [], "server": []})
        sides["client"] += client
        sides["server"] += server
        return run(self, client, server)

    with patch.object(Connection, "_run", noting):
        outputs = (engine.feed(packets[at : at + block]) for at in range(0, len(packets), block))
        for output in (*map(_bounded(engine), outputs), engine.finish()):
            for connection, delivery in output.deliveries:
                for sender, messages in delivery:
                    found.messages.update((connection.id, sender, *message) for message in messages)
            found.losses += output.losses
            found.closed += output.closed
    return found


def _bounded(engine: Engine) -> Callable[[Any], Any]:
    def check(output: Any) -> Any:
        bounds.check_bounds(engine)
        for connection in engine.connections.values():
            secured = connection.conversation.secured
            assert secured is None or secured.layer.held_bytes() <= 2 * LIMITS.tls_held_bytes + PACKET
        return output

    return check


def _check_accounts(found: Read) -> None:
    """Read, lost and unreadable are all that the sequence numbers imply, and the rows say so."""
    for connection in found.closed:
        sides = found.items.get(connection.id, {})
        items = [item for side in sides.values() for item in side]
        seen = sum(len(item[2]) for item in items if isinstance(item, tuple))
        holes = sum(item.length or 0 for item in items if isinstance(item, Gap))
        streams = connection.client.stream, connection.server.stream
        lost, unreadable = sum(stream.lost for stream in streams), connection.ledger.unreadable
        assert lost == holes, "holes"
        assert seen + lost == sum(stream.extent for stream in streams), "what the sequence numbers imply"
        assert 0 <= unreadable <= seen, f"{unreadable} unreadable of {seen}"
        rows = [loss for loss in found.losses if loss.connection_id == connection.id]
        told = sum(row.bytes or 0 for row in rows if row.stream_offset is not None)
        assert told == lost + unreadable, f"rows tell {told}, lost are {lost}, unreadable {unreadable}"

"""Rows with everything filled in that a test does not care about."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sniffer.model import Batch, CaptureRow, ConnectionRow, FillEvent, Loss, MessageRow, OrderEvent, Position

T0 = 1_714_557_600 * 10**9
"""2024-05-01 10:00:00 UTC."""
MS = 10**6
SECOND = 10**9


def event(at: int = 0, **changes: Any) -> OrderEvent:
    """An update; `at` in ms after T0."""
    values: dict[str, Any] = dict.fromkeys(OrderEvent._fields)
    values |= {"connection_id": 1, "sender": "server", "position": at, "item": 0, "captured_at": T0 + at * MS}
    values |= {"venue": "binance-spot", "account": "acct", "symbol": "BTCUSDT", "kind": "update"}
    return OrderEvent(**(values | changes))


def request(at: int = 0, action: str = "place", **changes: Any) -> OrderEvent:
    return event(at, **({"kind": "request", "action": action, "sender": "client", "request_id": f"r{at}"} | changes))


def response(at: int = 0, action: str = "place", **changes: Any) -> OrderEvent:
    return event(at, **({"kind": "response", "action": action} | changes))


def fill(at: int = 0, **changes: Any) -> FillEvent:
    values: dict[str, Any] = dict.fromkeys(FillEvent._fields)
    values |= {"connection_id": 1, "sender": "server", "position": at, "item": 0, "captured_at": T0 + at * MS}
    values |= {"venue": "binance-spot", "account": "acct", "symbol": "BTCUSDT", "trade_id": str(at), "order_id": "1"}
    values |= {"side": "buy", "price": Decimal(100), "quantity": Decimal(1)}
    return FillEvent(**(values | changes))


def message(at: int = 0, **changes: Any) -> MessageRow:
    values: dict[str, Any] = dict.fromkeys(MessageRow._fields)
    values |= {"connection_id": 1, "sender": "server", "position": at, "first_seen": T0 + at * MS, "captured_at": T0 + at * MS}
    values |= {"opcode": "text", "payload": f"message {at}", "venue": "binance-spot", "kind": "update"}
    return MessageRow(**(values | changes))


def loss(reason: str = "torn", capture_id: str = "cap", **changes: Any) -> Loss:
    values: dict[str, Any] = dict.fromkeys(Loss._fields)
    return Loss(**(values | {"capture_id": capture_id, "layer": "tcp", "reason": reason, "from_time": T0} | changes))


def connection(connection_id: int = 1, capture_id: str = "cap", **changes: Any) -> ConnectionRow:
    values: dict[str, Any] = dict.fromkeys(ConnectionRow._fields, 0)
    values |= {"connection_id": connection_id, "capture_id": capture_id, "opened_at": T0, "closed_at": None}
    values |= {"client_ip": "10.0.0.1", "server_ip": "10.0.0.2", "client_port": 50000, "server_port": 443, "protocol": "ws"}
    values |= dict.fromkeys(("host", "path", "venue", "account", "tls_version", "cipher", "compression"))
    values |= {
        "venue_guessed": False,
        "readable": True,
        "unreadable_reason": None,
        "pid": None,
        "process": None,
        "strategy": None,
    }
    return ConnectionRow(**(values | changes))


def capture(capture_id: str = "cap", packets: int = 1) -> CaptureRow:
    return CaptureRow(capture_id, f"{capture_id}.pcap", T0, T0 + SECOND, packets, 100 * packets, None)


def position(
    packets: int = 1, capture_id: str = "cap", *, complete: bool = False, digests: tuple[str, ...] | None = None
) -> Position:
    return Position(capture_id, packets, complete, digests if digests is not None else (f"{capture_id}-1",))


def batch(*rows: object, of: CaptureRow | None = None) -> Batch:
    """A batch of rows of any kind."""
    made = Batch()
    made.capture = of
    places: dict[type, list[Any]] = {
        OrderEvent: made.order_events,
        FillEvent: made.fill_events,
        MessageRow: made.messages,
        Loss: made.losses,
        ConnectionRow: made.connections,
    }
    for row in rows:
        places[type(row)].append(row)
    return made

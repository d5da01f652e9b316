"""What a message means, as tests look at it."""

from __future__ import annotations

from typing import Any

from sniffer.exchanges.base import Decoded
from sniffer.model import FillEvent, OrderEvent

NUMBERS = ("price", "stop_price", "quantity", "filled_quantity", "average_price", "fee")


def told(decoded: Decoded | None) -> Decoded:
    """A message that has a meaning, without a problem."""
    assert decoded is not None
    assert decoded.problem is None, decoded.problem
    return decoded


def order(decoded: Decoded | None) -> OrderEvent:
    """The one order of a message that has no fills."""
    found = told(decoded)
    assert found.fills == []
    (row,) = found.orders
    return row


def fill(decoded: Decoded | None) -> FillEvent:
    """The one fill of a message."""
    (row,) = told(decoded).fills
    return row


def said(row: OrderEvent | FillEvent) -> dict[str, Any]:
    """What a row says beyond where it was seen: its columns that are not null, decimals as text."""
    skipped = ("connection_id", "sender", "position", "item", "captured_at", "venue")
    columns: dict[str, Any] = row._asdict()  # type: ignore[assignment]
    return {
        name: format(value, "f") if name in NUMBERS else value
        for name, value in columns.items()
        if value is not None and name not in skipped
    }


def problem(decoded: Decoded | None) -> str:
    """Why a message could not be read; it has no rows then."""
    assert decoded is not None
    assert (decoded.orders, decoded.fills) == ([], [])
    assert decoded.problem is not None
    return decoded.problem

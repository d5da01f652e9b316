"""Updates that carry only what changed: the last known terms of each open order, by order id, for one connection.

Kraken v2 and BitMEX tell an order once in full and afterwards only what is new. A decoder reads the columns that a message says
(a column that it says is null included, one that it does not mention left out) and asks for the rest:

    columns = known.completed(order_id, said)
    rows.order(UPDATE, order_id=order_id, **columns)

What no earlier message of the connection said stays out, so its columns are null where a capture starts too late. What has
become doubtful is forgotten rather than repeated: an order whose message could not be read (`forget`), all of them after a hole
(`clear`, when the decoder is told of one: `Remembers.hole`).
"""

from __future__ import annotations

from typing import Any, Final

from sniffer.exchanges.base import Bounded

ORDERS: Final = 8192
"""Open orders remembered of one connection, the one silent longest dropped first; exchanges allow some hundred a market."""
TERMS: Final = (
    "symbol", "client_order_id", "side", "order_type", "time_in_force", "price", "stop_price", "quantity", "quantity_unit",
)  # fmt: skip
"""The columns that are remembered: what an order asks for, never its state. A state that a message leaves out is not said."""


class LastKnown:
    """The terms of the open orders of one connection."""

    __slots__ = ("_orders",)

    def __init__(self) -> None:
        self._orders: Bounded[dict[str, Any]] = Bounded(ORDERS)

    def completed(self, order_id: str, said: dict[str, Any]) -> dict[str, Any]:
        """`said`, with the terms that it leaves out from what was said of this order before; what it says is remembered.

        `said` holds columns of an order event by name. Columns that are no terms pass through.
        """
        before = self._orders.pop(order_id, None)  # put back at the end, which makes it the latest
        columns = said if before is None else {**before, **said}
        self._orders[order_id] = {term: columns[term] for term in TERMS if term in columns}
        return columns

    def forget(self, order_id: str) -> None:
        """The order has ended, or a message about it could not be read."""
        self._orders.pop(order_id, None)

    def clear(self) -> None:
        """Messages are missing: any order may have changed."""
        self._orders.clear()

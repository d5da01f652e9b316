"""What Kraken says of orders and fills: executions in version 2, openOrders and ownTrades in version 1, what REST queries tell.

All of them may carry only what changed, so each order's last known terms complete them (`lastknown.py`).
Docs: docs.kraken.com/exchange/api-reference/spot-websocket-v2/executions, .../spot-websocket-v1/openorders and /owntrades.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from sniffer.exchanges.base import UPDATE, Rows
from sniffer.exchanges.fields import amount, mapped, number, optional_amount, optional_rfc3339, optional_text, text, time
from sniffer.exchanges.jsontext import Row
from sniffer.exchanges.kraken_requests import SIDES, terms_v1, terms_v2
from sniffer.exchanges.lastknown import LastKnown
from sniffer.exchanges.numbers import SECONDS, Broken

STATUSES: Final = {
    "pending_new": "PENDING_NEW",
    "new": "NEW",
    "partially_filled": "PARTIALLY_FILLED",
    "filled": "FILLED",
    "canceled": "CANCELED",
    "expired": "EXPIRED",
}
STATUSES_V1: Final = {
    "pending": "PENDING_NEW",
    "open": "NEW",
    "closed": "FILLED",
    "canceled": "CANCELED",
    "expired": "EXPIRED",
}
"""In version 1 and REST; an open order that is filled in part is open."""
ENDS: Final = frozenset(("FILLED", "CANCELED", "EXPIRED"))
LIQUIDITY: Final = {"m": "maker", "t": "taker"}
NO_END: Final = frozenset(("amended", "restated", "iceberg_refill"))
"""Execution types whose `reason` is not one of an end."""


class Updates:
    """Reads the updates of one connection. `problem` is the first thing of a message that could not be read."""

    def __init__(self, unit: str | None) -> None:
        """`unit`: of quantities that are not said to be cash."""
        self._unit = unit
        self._known = LastKnown()
        self._sequence: int | None = None
        self.problem: str | None = None

    def clear(self) -> None:
        """Messages are missing: any order may have changed."""
        self._known.clear()

    # --- version 2 ---

    def executions(self, rows: Rows, document: Row) -> None:
        """A snapshot or an update of the executions channel."""
        self.problem = None
        self._follow(document.get("sequence"))
        data = document.get("data")
        if type(data) is not list:
            self._known.clear()
            raise Broken("field data: no list")
        for item in data:
            self._read(rows, item.get("order_id") if type(item) is dict else None, item, self._execution)

    def _execution(self, rows: Rows, order_id: str, row: Row) -> None:
        execution = text(row, "exec_type")
        raw = optional_text(row, "order_status") or (execution if execution in STATUSES else None)
        said = terms_v2(row, self._unit)
        if "symbol" in row:
            said["symbol"] = text(row, "symbol")
        if "cl_ord_id" in row:
            said["client_order_id"] = optional_text(row, "cl_ord_id")
        reason = optional_text(row, "reason") or optional_text(row, "cancel_reason")
        columns: dict[str, Any] = {
            "exchange_time": optional_rfc3339(row, "timestamp"),
            "filled_quantity": optional_amount(row, "cum_qty"),
            "average_price": optional_amount(row, "avg_price"),
            "reason": None if execution in NO_END else reason,
        }
        fill = self._fill(row) if execution == "trade" else None
        self._order(rows, order_id, said, raw, STATUSES, columns)
        if fill is not None:
            self._add_fill(rows, fill)

    def _fill(self, row: Row) -> dict[str, Any]:
        """The columns of a fill that are its own."""
        fees = row.get("fees")
        if fees is None:
            fees = []
        if type(fees) is not list or not all(type(fee) is dict for fee in fees):
            raise Broken("field fees: not a list of objects")
        paid = [(number(fee, "qty"), text(fee, "asset")) for fee in fees]
        if len(paid) > 1:
            paid = [fee for fee in paid if fee[0]]
        if len(paid) > 1:
            self.problem = self.problem or "fees in more than one asset: none is stored"
        fee, asset = paid[0] if len(paid) == 1 else (None, None)
        liquidity = optional_text(row, "liquidity_ind")
        return {
            "trade_id": text(row, "exec_id"),
            "price": amount(row, "last_price"),
            "quantity": amount(row, "last_qty"),
            "quantity_unit": self._unit,
            "fee": fee,
            "fee_asset": asset,
            "liquidity": LIQUIDITY.get(liquidity) if liquidity else None,
        }

    def _follow(self, sequence: Any) -> None:
        """Messages are numbered one by one. Where a number is missing, any order may have changed unseen."""
        last, self._sequence = self._sequence, sequence if type(sequence) is int else None
        if (last is not None or sequence is not None) and (last is None or sequence != last + 1):
            self._known.clear()

    # --- version 1 ---

    def open_orders(self, rows: Rows, items: Any, sequence: Any) -> None:
        """An openOrders message: objects that hold orders by their ids."""
        self.problem = None
        self._follow(sequence)
        for order_id, item in by_id(items):
            self._read(rows, order_id, item, self._order_v1)

    def own_trades(self, rows: Rows, items: Any) -> None:
        """An ownTrades message: objects that hold trades by their ids."""
        self.problem = None
        for trade_id, item in by_id(items):
            self._read(rows, trade_id, item, trade_v1)

    def _order_v1(self, rows: Rows, order_id: str, row: Row) -> None:
        said, raw, columns = order_v1(row, "avg_price")
        if row.get("lastupdated") is not None:
            columns["exchange_time"] = time(row, "lastupdated", SECONDS)
        elif raw == "pending" and row.get("opentm") is not None:  # of an order that is just being placed
            columns["exchange_time"] = time(row, "opentm", SECONDS)
        self._order(rows, order_id, said, raw, STATUSES_V1, columns)

    # --- both ---

    def _read(self, rows: Rows, key: Any, item: Any, reader: Callable[[Rows, str, Row], None]) -> None:
        """One item, of the order or trade `key`: all of its rows, or a problem; what is known of the order is then doubtful."""
        try:
            if type(item) is not dict or type(key) is not str or not key:
                raise Broken("an item that is no object, or names no order")
            reader(rows, key, item)
        except Broken as error:
            self.problem = self.problem or str(error)
            if type(key) is str:
                self._known.forget(key)
            else:
                self._known.clear()

    def _order(
        self, rows: Rows, order_id: str, said: dict[str, Any], raw: str | None, words: dict[str, str], columns: dict[str, Any]
    ) -> None:
        status = words.get(raw) if raw else None
        terms = self._known.completed(order_id, said)
        rows.order(UPDATE, order_id=order_id, status=status, status_raw=raw, **terms, **columns)
        if status in ENDS:
            self._known.forget(order_id)

    @staticmethod
    def _add_fill(rows: Rows, fill: dict[str, Any]) -> None:
        """The fill of the order event that was added last."""
        order = rows.orders[-1]
        rows.fill(
            exchange_time=order.exchange_time,
            symbol=order.symbol,
            order_id=order.order_id,
            client_order_id=order.client_order_id,
            side=order.side,
            **fill,
        )


def order_v1(row: Row, average_key: str) -> tuple[dict[str, Any], str | None, dict[str, Any]]:
    """An order of version 1 or REST: its terms, its status word, and its other columns, only as far as they are said."""
    descr = row.get("descr", {})
    if type(descr) is not dict:
        raise Broken("field descr: no object")
    said = terms_v1(row, descr, "vol")
    if "pair" in descr:
        said["symbol"] = text(descr, "pair")
    if "cl_ord_id" in row:
        said["client_order_id"] = optional_text(row, "cl_ord_id")
    columns: dict[str, Any] = {
        "filled_quantity": optional_amount(row, "vol_exec"),
        "average_price": optional_amount(row, average_key),
        "reason": optional_text(row, "cancel_reason") or optional_text(row, "reason"),
    }
    return said, optional_text(row, "status"), columns


def trade_v1(rows: Rows, trade_id: str, row: Row) -> None:
    """Adds a trade of version 1 or REST. Its fee is in the quote currency, which a pair as these write it does not tell."""
    maker = row.get("maker")
    if maker is not None and type(maker) is not bool:
        raise Broken("field maker: not a boolean")
    rows.fill(
        exchange_time=time(row, "time", SECONDS),
        symbol=text(row, "pair"),
        trade_id=trade_id,
        order_id=text(row, "ordertxid"),
        client_order_id=optional_text(row, "cl_ord_id"),
        side=mapped(row, "type", SIDES),
        price=amount(row, "price"),
        quantity=amount(row, "vol"),
        quantity_unit="base",
        fee=number(row, "fee") if row.get("fee") is not None else None,
        liquidity=None if maker is None else "maker" if maker else "taker",
    )


def by_id(items: Any) -> Iterator[tuple[str, Any]]:
    """The entries of an object, or of a list of objects, that holds things by their ids."""
    for item in items if type(items) is list else [items]:
        if type(item) is not dict:
            raise Broken("orders that are no objects")
        yield from item.items()

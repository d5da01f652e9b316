"""Order pushes of OKX's (then OKEx's) API v3: {"table": "spot/order", "data": [order]}, each message raw deflate.

Tables     spot/order, margin/order, futures/order, swap/order, option/order.
Identity   An order: `order_id`. A fill: `last_fill_id`, of the order's latest fill, which later pushes repeat.
Times      RFC 3339.
Pitfalls   - `size` counts contracts of derivatives; a market order to buy on spot is for `notional`, in quote currency.
           - The side of futures and swaps is a number in `type`: opens and closes long, opens and closes short.
           - `fee` is not said to be the fill's or the order's.
Docs       The pages of v3 are gone; docs/venues.md names the clients of that time which are followed.
"""

from __future__ import annotations

from typing import Final

from sniffer.exchanges.base import UPDATE, Rows
from sniffer.exchanges.fields import amount, identity, mapped, optional_amount, optional_text, rfc3339, text
from sniffer.exchanges.jsontext import Row
from sniffer.exchanges.numbers import Broken

TABLES: Final = {
    "spot/order": "base",
    "margin/order": "base",
    "futures/order": "contract",
    "swap/order": "contract",
    "option/order": "contract",
}
"""What `size` counts."""
_SIDES: Final = {"buy": "buy", "sell": "sell"}
_TYPES: Final = {"1": "buy", "2": "sell", "3": "sell", "4": "buy"}
"""Open long, open short, close long, close short."""
_TERMS: Final = {"0": (None, None), "1": (None, "post_only"), "2": (None, "fok"), "3": (None, "ioc"), "4": ("market", None)}
_STATES: Final = {
    "-2": "REJECTED",
    "-1": "CANCELED",
    "0": "NEW",
    "1": "PARTIALLY_FILLED",
    "2": "FILLED",
    "3": "PENDING_NEW",
    "4": "PENDING_CANCEL",
    "failure": "REJECTED",
    "cancelled": "CANCELED",
    "open": "NEW",
    "part_filled": "PARTIALLY_FILLED",
    "filled": "FILLED",
    "ordering": "PENDING_NEW",
    "canceling": "PENDING_CANCEL",
}
"""`state`, and the words or numbers of the older `status`."""


def order(rows: Rows, row: Row, unit: str) -> str | None:
    """An order, and its latest fill; returns what keeps the fill from being read, if anything."""
    state = identity(row, "state") or identity(row, "status")
    if state is None:
        raise Broken("field state is missing")
    spot = unit == "base"
    order_type, time_in_force = _TERMS.get(identity(row, "order_type") or "0", (None, None))
    size, notional = optional_amount(row, "size"), optional_amount(row, "notional")
    bought = spot and not size and bool(notional)
    average = optional_amount(row, "price_avg")
    said = rows.order(
        UPDATE,
        exchange_time=rfc3339(row, "timestamp"),
        symbol=text(row, "instrument_id"),
        client_order_id=optional_text(row, "client_oid"),
        order_id=text(row, "order_id"),
        side=mapped(row, "side", _SIDES) if optional_text(row, "side") else mapped(row, "type", _TYPES),
        order_type=order_type or ((optional_text(row, "type") or "limit").lower() if spot else "limit"),
        time_in_force=time_in_force,
        status=_STATES.get(state),
        status_raw=state,
        price=optional_amount(row, "price"),
        quantity=notional if bought else size,
        quantity_unit="quote" if bought else None if size is None else unit,
        filled_quantity=optional_amount(row, "filled_size" if spot else "filled_qty"),
        average_price=average or None,
    )
    try:
        quantity = optional_amount(row, "last_fill_qty")
        if not quantity:
            return None
        rows.fill(
            exchange_time=rfc3339(row, "last_fill_time"),
            symbol=said.symbol,
            trade_id=text(row, "last_fill_id"),
            order_id=said.order_id,
            client_order_id=said.client_order_id,
            side=said.side,
            price=amount(row, "last_fill_px"),
            quantity=quantity,
            quantity_unit=unit,
        )
    except Broken as error:
        return str(error)
    return None

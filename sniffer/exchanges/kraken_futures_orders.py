"""Kraken Futures' orders and fills: the words of feeds and REST, and the rows of one order, fill or request.

Docs: https://docs.kraken.com/api/docs/futures-api (websocket: open_orders_verbose, fills; trading: send-order, edit-order,
cancel-order, send-batch-order), and futures-rest/trading/public.yml of https://github.com/krakenfx/api-specs.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from sniffer.exchanges.base import AMEND, REQUEST, UPDATE, Rows
from sniffer.exchanges.fields import (
    amount,
    mapped,
    optional_amount,
    optional_flag,
    optional_number,
    optional_text,
    text,
    time,
    whole,
)
from sniffer.exchanges.jsontext import Row
from sniffer.exchanges.lastknown import LastKnown
from sniffer.exchanges.numbers import MILLISECONDS, Broken
from sniffer.exchanges.numbers import total as exact_total

SIDES: Final = {"buy": "buy", "sell": "sell"}
DIRECTIONS: Final = ("buy", "sell")
"""`direction`: 0 or 1."""
ORDER_TYPES: Final[dict[str, tuple[str, str | None]]] = {
    "limit": ("limit", None),
    "lmt": ("limit", None),
    "post": ("limit", "post_only"),
    "ioc": ("limit", "ioc"),
    "fok": ("limit", "fok"),
    "market": ("market", None),
    "mkt": ("market", None),
    "stop": ("stop", None),
    "stp": ("stop", None),
    "take_profit": ("take_profit", None),
    "trailing_stop": ("trailing_stop", None),
}
"""Order type and time in force of the venue's one word for both."""
TRIGGERED: Final = frozenset(("stop", "take_profit", "trailing_stop", "stop_limit", "take_profit_limit"))
REMOVALS: Final = {
    "full_fill": "FILLED",
    "partial_fill": "CANCELED",  # what is left of the order has been discarded
    "contract_expired": "EXPIRED",
    **dict.fromkeys(
        (
            "cancelled_by_user", "cancelled_by_admin", "dead_man_switch", "liquidation", "not_enough_margin", "market_inactive",
        ),
        "CANCELED",
    ),
    **dict.fromkeys(
        (
            "ioc_order_failed_because_it_would_not_be_executed", "post_order_failed_because_it_would_be_filled",
            "post_order_failed_because_it_would_filled", "would_execute_self", "would_not_reduce_position",
        ),
        "REJECTED",
    ),
}  # fmt: skip
"""Why an order left the book. `stop_order_triggered` is not among them: what becomes of the order, others tell."""
TRIGGERED_NOW: Final = "stop_order_triggered"
_DIGITS: Final = 15
"""What a double holds of decimal digits."""
LIQUIDITY: Final = {"maker": "maker", "taker": "taker", "takerAfterEdit": "taker"}


def unit_of(symbol: str | None) -> str | None:
    """Flexible futures (`PF_`, `FF_`) count the base currency, inverse and vanilla ones contracts."""
    if symbol is None:
        return None
    return "base" if symbol[:3].upper() in ("PF_", "FF_") else "contract"


def kind_of(word: str | None, limit_price: Decimal | None) -> tuple[str | None, str | None]:
    """Order type and time in force in the words of the tables; a word that is not known in lower case."""
    if word is None:
        return None, None
    kind, force = ORDER_TYPES.get(word, (word.lower(), None))
    return f"{kind}_limit" if kind in ("stop", "take_profit") and limit_price else kind, force


def terms(row: Row, symbol: str, kind: str, trigger: str) -> dict[str, Any]:
    """The columns of an order that every form of it has; `symbol`, `kind` and `trigger` are the names that the form uses."""
    price = optional_amount(row, "limit_price" if "limit_price" in row else "limitPrice")
    order_type, force = kind_of(optional_text(row, kind), price)
    return {
        "symbol": text(row, symbol),
        "order_type": order_type,
        "time_in_force": force,
        "price": price,
        "stop_price": optional_amount(row, trigger),
    }


def total(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    """The sum of two of the venue's numbers, as of what is still open of an order and what is filled; None if one is not known.

    The venue computes in floating point: 0.8600000000000001 is open of 1 when 0.14 is filled. A double keeps 15 digits as they
    are, so a number that has more is such a remainder, and its sum is not known.
    """
    if one is None or other is None:
        return None
    if not one or not other:
        return one or other
    known = all(len(number.as_tuple().digits) <= _DIGITS for number in (one, other))
    return exact_total(one, other) if known else None


def quantity_of(left: Decimal | None, filled: Decimal | None) -> Decimal | None:
    """The order's quantity, from what is still open of it."""
    return total(left, filled) if filled else left


# --- feeds ---


def add_open_order(rows: Rows, order: Row, reason: str | None, removed: bool, known: LastKnown) -> None:
    """Adds an order of the open orders feed, or of its snapshot (no `reason`), completed by what was said before."""
    order_id = text(order, "order_id")
    try:
        filled = optional_amount(order, "filled")
        said = _said(order, filled, reason, removed) if "instrument" in order else {}
        client_id = optional_text(order, "cli_ord_id")
        if client_id is not None:
            said["client_order_id"] = client_id
        at = order.get("last_update_time")
        exchange_time = time(order, "last_update_time", MILLISECONDS) if at is not None else None
    except Broken:
        known.forget(order_id)
        raise
    columns = known.completed(order_id, said)
    if removed:
        known.forget(order_id)
        status = REMOVALS.get(reason or "")
    else:
        status = _open_status(columns.get("order_type"), filled)
    rows.order(
        UPDATE,
        order_id=order_id,
        exchange_time=exchange_time,
        status=status,
        status_raw=reason,
        filled_quantity=filled,
        reason=reason if removed and status != "FILLED" and reason != TRIGGERED_NOW else None,
        **columns,
    )


def _said(order: Row, filled: Decimal | None, reason: str | None, removed: bool) -> dict[str, Any]:
    said = terms(order, "instrument", "type", "stop_price")
    direction = whole(order, "direction")
    if direction not in (0, 1):
        raise Broken("field direction: neither 0 nor 1")
    said["side"] = DIRECTIONS[direction]
    quantity = quantity_of(optional_amount(order, "qty"), filled)
    if removed and filled and reason != "full_fill":
        quantity = None  # what was discarded may not count as open
    if quantity or reason == "edited_by_user":  # an edit may have changed what it cannot tell
        said["quantity"] = quantity
        said["quantity_unit"] = None if quantity is None else unit_of(said["symbol"])
    return said


def _open_status(order_type: str | None, filled: Decimal | None) -> str | None:
    if filled is None:
        return None
    if filled:
        return "PARTIALLY_FILLED"
    return "PENDING_TRIGGER" if order_type in TRIGGERED else "NEW"


def add_fill(rows: Rows, fill: Row) -> None:
    """Adds a fill of the fills feed."""
    buys = optional_flag(fill, "buy")
    if buys is None:
        raise Broken("field buy is missing")
    symbol = text(fill, "instrument")
    fee = optional_number(fill, "fee_paid")
    rows.fill(
        exchange_time=time(fill, "time", MILLISECONDS),
        symbol=symbol,
        trade_id=text(fill, "fill_id"),
        order_id=text(fill, "order_id"),
        client_order_id=optional_text(fill, "cli_ord_id"),
        side="buy" if buys else "sell",
        price=amount(fill, "price"),
        quantity=amount(fill, "qty"),
        quantity_unit=unit_of(symbol),
        fee=fee,
        fee_asset=None if fee is None else optional_text(fill, "fee_currency"),
        liquidity=LIQUIDITY.get(optional_text(fill, "fill_type") or ""),
    )


# --- requests ---


def ask(rows: Rows, action: str, params: Row) -> None:
    """Adds the order that a call, or one instruction of a batch, names."""
    symbol = optional_text(params, "symbol")
    price = optional_amount(params, "limitPrice")
    kind, force = kind_of(optional_text(params, "orderType"), price)
    size = optional_amount(params, "size")
    if action == AMEND and params.get("qtyMode") != "ABSOLUTE":
        size = None  # "the current open order size is set", not the order's quantity
    rows.order(
        REQUEST,
        symbol=symbol,
        action=action,
        order_id=optional_text(params, "order_id" if "order_id" in params else "orderId"),
        client_order_id=optional_text(params, "cliOrdId"),
        side=mapped(params, "side", SIDES) if params.get("side") is not None else None,
        order_type=kind,
        time_in_force=force,
        price=price,
        stop_price=optional_amount(params, "stopPrice"),
        quantity=size,
        quantity_unit=None if size is None else unit_of(symbol),
    )

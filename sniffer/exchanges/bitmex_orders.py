"""BitMEX's orders and executions: the words of the API, and the rows of one order, execution or request.

REST answers with the same objects that the `order` and `execution` tables of the websocket hold.
Docs: https://www.bitmex.com/api/explorer (Order, Execution), https://www.bitmex.com/app/wsAPI, and the definitions of execution
fields on https://support.bitmex.com.
"""

from __future__ import annotations

from typing import Any, Final

from sniffer.exchanges.base import AMEND, CANCEL, PLACE, REQUEST, RESPONSE, UPDATE, Rows
from sniffer.exchanges.fields import amount, mapped, optional_amount, optional_number, optional_rfc3339, optional_text, text
from sniffer.exchanges.jsontext import Row, parse
from sniffer.exchanges.lastknown import LastKnown
from sniffer.exchanges.numbers import Broken

SIDES: Final = {"Buy": "buy", "Sell": "sell"}
STATUSES: Final = {
    "PendingNew": "PENDING_NEW",
    "New": "NEW",
    "PartiallyFilled": "PARTIALLY_FILLED",
    "Filled": "FILLED",
    "PendingCancel": "PENDING_CANCEL",
    "Canceled": "CANCELED",
    "Rejected": "REJECTED",
    "Expired": "EXPIRED",
}
FINAL: Final = frozenset(("FILLED", "CANCELED", "REJECTED", "EXPIRED"))
ORDER_TYPES: Final = {
    "Market": "market",
    "Limit": "limit",
    "Stop": "stop",
    "StopLimit": "stop_limit",
    "MarketIfTouched": "take_profit",
    "LimitIfTouched": "take_profit_limit",
    "Pegged": "pegged",
}
TIMES_IN_FORCE: Final = {"GoodTillCancel": "gtc", "ImmediateOrCancel": "ioc", "FillOrKill": "fok", "Day": "day"}
POST_ONLY: Final = "ParticipateDoNotInitiate"
TRAILING: Final = "TrailingStopPeg"
LIQUIDITY: Final = {
    "AddedLiquidity": "maker", "Added": "maker", "RemovedLiquidity": "taker", "Removed": "taker",
}  # fmt: skip

FILL: Final = "Trade"
REFUSED_CHANGES: Final = {"CancelReject": CANCEL, "AmendReject": AMEND}
"""What was rejected is the request, which it answers: the order, if there is one, is as it was."""
NO_ORDERS: Final = frozenset(("Funding", "Settlement", "Insurance", "Rebalance"))
"""Payments of positions, in the execution table."""
STATES: Final = frozenset(
    ("New", "Canceled", "Replaced", "Rejected", "Expired", "Restated", "Suspended", "Released", "TriggeredOrActivatedBySystem")
)


def unit_of(symbol: str | None) -> str | None:
    """Quantities count contracts; on spot (`XBT_USDT`) the base currency's smallest unit, for which the tables have no word."""
    return None if symbol is None or "_" in symbol else "contract"


def _terms(row: Row) -> dict[str, Any]:
    """The columns that a row says, one that it says is null included."""
    said: dict[str, Any] = {}
    for column, key in (("symbol", "symbol"), ("client_order_id", "clOrdID")):
        if key in row:
            said[column] = optional_text(row, key)
    if "side" in row:
        said["side"] = None if row["side"] in (None, "") else mapped(row, "side", SIDES)
    kind = optional_text(row, "ordType")
    if kind is not None:
        trails = kind in ("Stop", "Pegged") and row.get("pegPriceType") == TRAILING
        said["order_type"] = "trailing_stop" if trails else ORDER_TYPES.get(kind, kind.lower())
    force = optional_text(row, "timeInForce")
    if POST_ONLY in (optional_text(row, "execInst") or ""):
        said["time_in_force"] = "post_only"
    elif force is not None:
        said["time_in_force"] = TIMES_IN_FORCE.get(force, force.lower())
    for column, key in (("price", "price"), ("stop_price", "stopPx"), ("quantity", "orderQty")):
        if key in row:
            said[column] = optional_amount(row, key)
    return said


def _state(row: Row, refused: bool) -> dict[str, Any]:
    """What a row says of the order's state. `refused`: a rejection in it is that of a request to change the order."""
    raw = optional_text(row, "ordStatus")
    status = None if raw is None or (refused and raw == "Rejected") else STATUSES.get(raw)
    reason = optional_text(row, "ordRejReason")
    if reason is None and raw in ("Canceled", "Rejected", "Expired"):
        reason = optional_text(row, "text") or (raw if refused else None)  # a refusal without a reason would be none
    return {
        "exchange_time": optional_rfc3339(row, "timestamp"),
        "status": status,
        "status_raw": raw,
        "filled_quantity": optional_amount(row, "cumQty"),
        "average_price": optional_amount(row, "avgPx"),
        "reason": reason,
    }


def add_update(rows: Rows, row: Row, known: LastKnown) -> None:
    """Adds a row of the order table, completed by what was said of the order before."""
    order_id = text(row, "orderID")
    try:
        state = _state(row, False)
        columns = known.completed(order_id, _terms(row))
    except Broken:
        known.forget(order_id)
        raise
    if state["status"] in FINAL:
        known.forget(order_id)
    unit = None if columns.get("quantity") is None else unit_of(columns.get("symbol"))
    rows.order(UPDATE, order_id=order_id, **{**columns, **state, "quantity_unit": unit})


def add_execution(rows: Rows, row: Row, kind: str = UPDATE) -> None:
    """Adds a row of the execution table: a fill, or what else happened to an order; nothing for payments of positions.

    Raises `Broken` for an execution type that is not known.
    """
    execution = text(row, "execType")
    if execution == FILL:
        _add_fill(rows, row)
    elif execution in REFUSED_CHANGES:
        add_order(rows, RESPONSE, REFUSED_CHANGES[execution], row, refused=True)
    elif execution in STATES:
        add_order(rows, kind, None, row)
    elif execution not in NO_ORDERS:
        raise Broken("field execType: an unknown word, so a fill may be missing")


def _add_fill(rows: Rows, row: Row) -> None:
    symbol = text(row, "symbol")
    fee = optional_number(row, "execComm")
    rows.fill(
        exchange_time=optional_rfc3339(row, "transactTime" if row.get("transactTime") else "timestamp"),
        symbol=symbol,
        trade_id=text(row, "execID"),
        order_id=text(row, "orderID"),
        client_order_id=optional_text(row, "clOrdID"),
        side=mapped(row, "side", SIDES),
        price=amount(row, "lastPx"),
        quantity=amount(row, "lastQty"),
        quantity_unit=unit_of(symbol),
        fee=fee,
        fee_asset=None if fee is None else optional_text(row, "settlCurrency"),
        liquidity=LIQUIDITY.get(optional_text(row, "lastLiquidityInd") or ""),
    )


def add_order(
    rows: Rows, kind: str, action: str | None, row: Row, refused: bool = False, request_id: str | None = None
) -> None:
    """Adds an order that a message tells in full."""
    terms = _terms(row)
    unit = None if terms.get("quantity") is None else unit_of(terms.get("symbol"))
    columns = {**terms, **_state(row, refused), "quantity_unit": unit}
    rows.order(kind, action=action, request_id=request_id, order_id=text(row, "orderID"), **columns)


def add_answer(rows: Rows, action: str | None, row: Row) -> None:
    """Adds the answer to one order of a request: the order, or (`error`) why nothing was done to it."""
    if "error" in row:
        reason = text(row, "error")
        rows.order(
            RESPONSE,
            action=action,
            exchange_time=optional_rfc3339(row, "timestamp"),
            symbol=optional_text(row, "symbol"),
            status="REJECTED" if action == PLACE else None,
            status_raw=reason,
            reason=reason,
            order_id=optional_text(row, "orderID"),
            client_order_id=optional_text(row, "clOrdID"),
        )
    else:
        add_order(rows, RESPONSE, action, row, refused=action in (AMEND, CANCEL))


def ask(rows: Rows, action: str, params: Row) -> None:
    """Adds the orders that a request names: one, or for a cancellation as many ids as it lists."""
    if action == CANCEL:
        for order_id in (order_ids := _listed(params.get("orderID"))):
            rows.order(REQUEST, action=CANCEL, order_id=order_id)
        for client_id in (client_ids := _listed(params.get("clOrdID"))):
            rows.order(REQUEST, action=CANCEL, client_order_id=client_id)
        if not (order_ids or client_ids):  # of a symbol, or all: no single order is named
            rows.order(REQUEST, action=CANCEL, symbol=optional_text(params, "symbol"))
        return
    terms = _terms({**params, "orderQty": None})
    quantity = optional_number(params, "orderQty")
    if quantity is not None and action == PLACE and terms.get("side") is None:
        terms["side"] = "sell" if quantity.is_signed() else "buy"  # "Defaults to 'Buy' unless `orderQty` is negative"
    original = optional_text(params, "origClOrdID")
    if original is not None:
        terms["client_order_id"] = original
    terms["quantity"] = None if quantity is None else abs(quantity)
    unit = None if quantity is None else unit_of(terms.get("symbol"))
    rows.order(REQUEST, action=action, order_id=optional_text(params, "orderID"), quantity_unit=unit, **terms)


def _listed(value: Any) -> list[str]:
    """Order ids: one, several in a list, or a list written as JSON or with commas."""
    if type(value) is str and value.startswith("["):
        value = parse(value.encode("utf-8", "surrogatepass"))
    if type(value) is str:
        value = [item for item in value.split(",") if item]
    if value is None:
        return []
    if type(value) is list and all(type(item) is str and item for item in value):
        return value
    raise Broken("field orderID or clOrdID: not a text or a list of them")

"""Bybit's orders and executions: the words of the v5 API, and the rows of one order, execution or request.

The same objects stand in websocket topics, in the trade websocket's requests and answers, and in REST bodies.
Docs: https://bybit-exchange.github.io/docs/v5 (enum, order/create-order, order/amend-order, websocket/private/order,
websocket/private/execution, websocket/private/fast-execution).
"""

from __future__ import annotations

from typing import Any, Final

from sniffer.exchanges.base import REQUEST, Rows
from sniffer.exchanges.fields import amount, mapped, optional_amount, optional_flag, optional_number, optional_text, text, time
from sniffer.exchanges.jsontext import Row
from sniffer.exchanges.numbers import MILLISECONDS, Broken

SIDES: Final = {"Buy": "buy", "Sell": "sell"}
STATUSES: Final = {
    "Created": "PENDING_NEW",  # "accepted by the system but not yet put through the matching engine"
    "New": "NEW",
    "Rejected": "REJECTED",
    "PartiallyFilled": "PARTIALLY_FILLED",
    "PartiallyFilledCanceled": "CANCELED",
    "Filled": "FILLED",
    "Cancelled": "CANCELED",
    "Untriggered": "PENDING_TRIGGER",
    "Triggered": "PENDING_NEW",  # "instantaneous state ... from Untriggered to New"
    "Deactivated": "CANCELED",  # "cancelled before they are triggered"
    "PendingCancel": "PENDING_CANCEL",
}
TRIGGERS: Final = {
    "Stop": "stop", "StopLoss": "stop", "PartialStopLoss": "stop", "TakeProfit": "take_profit",
    "PartialTakeProfit": "take_profit", "TrailingStop": "trailing_stop",
}  # fmt: skip
"""Order types of `stopOrderType`; the rest of its words name neither."""
FILLS: Final = frozenset(("Trade", "AdlTrade", "BustTrade", "BlockTrade", "MovePosition", "FutureSpread"))
NO_FILLS: Final = frozenset(("Funding", "Delivery", "Settle", "SessionSettlePnL"))
"""Fees and settlements of positions, on the same topic."""
UNITS: Final = {"linear": "base", "spot": "base", "option": "base", "inverse": "quote"}
"""What quantities count, by category: inverse contracts are of one US dollar."""
_UNSAID: Final = frozenset(("EC_NoError", "UNKNOWN", "None"))


def unit_of(row: Row, category: str | None) -> str | None:
    """What an order's quantity counts; a spot market purchase is "by value by default"."""
    market_unit = optional_text(row, "marketUnit")
    if market_unit is not None:
        return {"baseCoin": "base", "quoteCoin": "quote"}.get(market_unit)
    if category == "spot" and row.get("orderType") == "Market" and row.get("side") == "Buy":
        return "quote"
    return UNITS.get(category or "")


def order_type(row: Row) -> str | None:
    """Limit or market, or what waits for a trigger: `stop`, `stop_limit`, `take_profit`, `trailing_stop`, ..."""
    word = optional_text(row, "orderType")
    if word is None:
        return None
    trigger = optional_text(row, "stopOrderType")
    if trigger is None and optional_amount(row, "triggerPrice"):
        trigger = "Stop"  # "if `triggerPrice` is set, the order will be automatically converted into a conditional order"
    waits = TRIGGERS.get(trigger or "")
    if waits is None:
        return word.lower()
    return f"{waits}_limit" if word == "Limit" and waits != "trailing_stop" else waits


def time_in_force(row: Row) -> str | None:
    """In the words of the tables."""
    word = optional_text(row, "timeInForce")
    return "post_only" if word == "PostOnly" else None if word is None else word.lower()


def ask(rows: Rows, action: str, params: Row, category: str | None, request_id: str | None = None) -> None:
    """Adds the order that a request names."""
    quantity = optional_amount(params, "qty")
    rows.order(
        REQUEST,
        symbol=optional_text(params, "symbol"),
        action=action,
        request_id=request_id,
        client_order_id=optional_text(params, "orderLinkId"),
        order_id=optional_text(params, "orderId"),
        side=mapped(params, "side", SIDES) if params.get("side") is not None else None,
        order_type=order_type(params),
        time_in_force=time_in_force(params),
        price=optional_amount(params, "price"),
        stop_price=optional_amount(params, "triggerPrice"),
        quantity=quantity,
        quantity_unit=None if quantity is None else unit_of(params, category),
    )


def add_order(rows: Rows, kind: str, order: Row, category: str | None, sent: Any = None) -> None:
    """Adds an order's state. `sent` is the envelope's time, used where the order has none (classic spot)."""
    raw = text(order, "orderStatus")
    status = STATUSES.get(raw)
    category = optional_text(order, "category") or category
    reason = optional_text(order, "rejectReason")
    if reason in (None, *_UNSAID):
        reason = optional_text(order, "cancelType") if status == "CANCELED" else None
    quantity = amount(order, "qty")
    rows.order(
        kind,
        exchange_time=_first_time(order, sent),
        symbol=text(order, "symbol"),
        client_order_id=optional_text(order, "orderLinkId"),
        order_id=text(order, "orderId"),
        side=mapped(order, "side", SIDES),
        order_type=order_type(order),
        time_in_force=time_in_force(order),
        status=status,
        status_raw=raw,
        price=optional_amount(order, "price"),
        stop_price=optional_amount(order, "triggerPrice"),
        quantity=quantity,
        quantity_unit=unit_of(order, category),
        filled_quantity=optional_amount(order, "cumExecQty"),
        average_price=optional_amount(order, "avgPrice"),
        reason=None if reason in _UNSAID else reason,
    )


def _first_time(order: Row, sent: Any) -> int | None:
    for key in ("updatedTime", "createdTime"):
        if order.get(key) not in (None, "", "0"):
            return time(order, key, MILLISECONDS)
    return None if sent is None else time({"creationTime": sent}, "creationTime", MILLISECONDS)


def add_execution(rows: Rows, execution: Row, category: str | None) -> None:
    """Adds the fill of an execution; none for funding, settlement and the legs of a spread.

    `execution.fast` tells trades alone and has no `execType`. A spread's leg (`parentExecId`) is told with its own order on the
    `execution` topic. Raises `Broken` for an execution type that is not known.
    """
    kind = optional_text(execution, "execType")
    if kind in NO_FILLS or optional_text(execution, "parentExecId") is not None:
        return
    if kind is not None and kind not in FILLS:
        raise Broken("field execType: an unknown word, so a fill may be missing")
    maker = optional_flag(execution, "isMaker")
    category = optional_text(execution, "category") or category
    fee = optional_number(execution, "execFee")
    rows.fill(
        exchange_time=time(execution, "execTime", MILLISECONDS),
        symbol=text(execution, "symbol"),
        trade_id=text(execution, "execId"),
        order_id=optional_text(execution, "orderId"),
        client_order_id=optional_text(execution, "orderLinkId"),
        side=mapped(execution, "side", SIDES),
        price=amount(execution, "execPrice"),
        quantity=amount(execution, "execQty"),
        quantity_unit=UNITS.get(category or ""),
        fee=fee,
        fee_asset=None if fee is None else optional_text(execution, "feeCurrency") or optional_text(execution, "feeCoin"),
        liquidity=None if maker is None else "maker" if maker else "taker",
    )

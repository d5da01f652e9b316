"""What BitMart says of orders and fills: the order channels of spot and of futures, and the answers to queries.

Docs: https://developer-pro.bitmart.com/en/spot/ (Private Order Progress, v4 queries) and
https://developer-pro.bitmart.com/en/futuresv2/ (Private Order Channel, Get Order Detail, Get Order Trade).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from sniffer.exchanges.base import UPDATE, Rows
from sniffer.exchanges.fields import (
    amount,
    identity,
    mapped,
    optional_amount,
    optional_number,
    optional_text,
    text,
    time,
    whole,
)
from sniffer.exchanges.jsontext import Row
from sniffer.exchanges.numbers import MILLISECONDS, Broken

SIDES: Final = {"buy": "buy", "sell": "sell"}
FUTURES_SIDES: Final = {1: "buy", 2: "buy", 3: "sell", 4: "sell"}
"""Open long, close short, close long, open short; in one-way mode 2 and 3 only reduce."""
MODES: Final = {1: "gtc", 2: "fok", 3: "ioc", 4: "post_only"}
ROLES: Final = {"M": "maker", "T": "taker", "Maker": "maker", "Taker": "taker", "maker": "maker", "taker": "taker"}
STATES: Final = {
    "new": "NEW",
    "partially_filled": "PARTIALLY_FILLED",
    "filled": "FILLED",
    "canceled": "CANCELED",
    "partially_canceled": "CANCELED",
    "4": "NEW",
    "5": "PARTIALLY_FILLED",
    "6": "FILLED",
    "8": "CANCELED",
    "12": "CANCELED",
}
"""`order_state`, and the numbers of `state`, which it replaces."""
APPROVAL: Final = 1
OPEN: Final = 2
FINISHED: Final = 4
"""Of futures orders: status_approval, status_check, status_finish."""
UNSAID: Final = "-"
"""What stands for the trigger of an order that has none."""
LEGACY_TYPES: Final = {"0": None, "1": "post_only", "2": "fok", "3": "ioc"}
TERMS: Final = {
    "limit": ("limit", None),
    "market": ("market", None),
    "limit_maker": ("limit", "post_only"),
    "ioc": ("limit", "ioc"),
    "trailing": ("trailing_stop", None),
    "stop_loss": ("stop", None),
}
"""Order type and time in force of a `type`; take_profit, liquidate, bankruptcy and adl keep their word."""


def terms(row: Row) -> tuple[str | None, str | None]:
    """Order type and time in force; words that are not known in lower case."""
    word = (optional_text(row, "type") or "").lower()
    order_type, force = TERMS.get(word, (word or None, None))
    entrust = (optional_text(row, "entrust_type") or "").lower()
    if entrust in ("limit_maker", "ioc"):
        force = TERMS[entrust][1]
    elif not entrust:
        force = LEGACY_TYPES.get(identity(row, "order_type") or "0") or force
    mode = row.get("mode")
    return order_type, MODES.get(mode) if type(mode) is int else force


def spot_size(row: Row) -> tuple[Decimal | None, str | None]:
    """Quantity and its unit: the notional, in quote currency, of market orders to buy for an amount."""
    size = optional_amount(row, "size")
    if not size and (notional := optional_amount(row, "notional")):
        return notional, "quote"
    return size, None if size is None else "base"


def required(row: Row, key: str) -> str:
    """An id that has to be there."""
    value = identity(row, key)
    if value is None:
        raise Broken(f"field {key} is missing")
    return value


# --- spot ---


def spot_order(rows: Rows, row: Row) -> str | None:
    """An order of the channel, and its latest fill; returns what keeps the fill from being read, if anything."""
    quantity, unit = spot_size(row)
    order_type, time_in_force = terms(row)
    state = optional_text(row, "order_state") or required(row, "state")
    said = rows.order(
        UPDATE,
        exchange_time=time(row, "update_time", MILLISECONDS),
        symbol=text(row, "symbol"),
        client_order_id=identity(row, "client_order_id"),
        order_id=required(row, "order_id"),
        side=mapped(row, "side", SIDES),
        order_type=order_type,
        time_in_force=time_in_force,
        status=STATES.get(state),
        status_raw=state,
        price=optional_amount(row, "price"),
        quantity=quantity,
        quantity_unit=unit,
        filled_quantity=optional_amount(row, "filled_size"),
    )
    try:
        size = optional_amount(row, "last_fill_count")
        if not size:
            return None
        rows.fill(
            exchange_time=time(row, "last_fill_time", MILLISECONDS),
            symbol=said.symbol,
            trade_id=required(row, "detail_id"),
            order_id=said.order_id,
            client_order_id=said.client_order_id,
            side=said.side,
            price=amount(row, "last_fill_price"),
            quantity=size,
            quantity_unit="base",
            fee=optional_number(row, "dealFee"),
            fee_asset=optional_text(row, "deal_fee_coin_name"),
            liquidity=ROLES.get(optional_text(row, "exec_type") or ""),
        )
    except Broken as error:
        return str(error)
    return None


def queried_spot_order(rows: Rows, kind: str, row: Row) -> None:
    """An order as the v4 queries show it."""
    quantity, unit = spot_size(row)
    order_type, time_in_force = terms(row)
    state = text(row, "state")
    rows.order(
        kind,
        exchange_time=time(row, "updateTime", MILLISECONDS),
        symbol=text(row, "symbol"),
        client_order_id=identity(row, "clientOrderId"),
        order_id=required(row, "orderId"),
        side=mapped(row, "side", SIDES),
        order_type=order_type,
        time_in_force=time_in_force,
        status=STATES.get(state),
        status_raw=state,
        price=optional_amount(row, "price"),
        quantity=quantity,
        quantity_unit=unit,
        filled_quantity=optional_amount(row, "filledSize"),
        average_price=optional_amount(row, "priceAvg"),
    )


def queried_spot_trade(rows: Rows, row: Row) -> None:
    """A trade as the v4 queries show it."""
    rows.fill(
        exchange_time=time(row, "createTime", MILLISECONDS),
        symbol=text(row, "symbol"),
        trade_id=required(row, "tradeId"),
        order_id=required(row, "orderId"),
        client_order_id=identity(row, "clientOrderId"),
        side=mapped(row, "side", SIDES),
        price=amount(row, "price"),
        quantity=amount(row, "size"),
        quantity_unit="base",
        fee=optional_number(row, "fee"),
        fee_asset=optional_text(row, "feeCoinName"),
        liquidity=ROLES.get(optional_text(row, "tradeRole") or ""),
    )


# --- futures ---


def futures_side(row: Row) -> str:
    """The side of a futures order, which is a number."""
    side = FUTURES_SIDES.get(whole(row, "side"))
    if side is None:
        raise Broken("field side: an unknown number")
    return side


def futures_order(rows: Rows, kind: str, row: Row) -> str | None:
    """A futures order, and in pushes its latest trade; returns what keeps the trade from being read, if anything."""
    size, filled = amount(row, "size"), optional_amount(row, "deal_size")
    state = whole(row, "state")
    order_type, time_in_force = terms(row)
    said = rows.order(
        kind,
        exchange_time=time(row, "update_time", MILLISECONDS),
        symbol=text(row, "symbol"),
        client_order_id=optional_text(row, "client_order_id"),
        order_id=required(row, "order_id"),
        side=futures_side(row),
        order_type=order_type,
        time_in_force=time_in_force,
        status=_futures_status(row, state, size, filled),
        status_raw=str(state),
        price=optional_amount(row, "executive_price" if "executive_price" in row else "price"),
        stop_price=optional_amount(row, "trigger_price") if row.get("trigger_price") != UNSAID else None,
        quantity=size,
        quantity_unit="contract",
        filled_quantity=filled,
        average_price=optional_amount(row, "deal_avg_price"),
    )
    trade = row.get("last_trade")
    if type(trade) is not dict:
        return None
    try:
        quantity = optional_amount(trade, "fillQty")
        if not quantity:
            return None
        fee = optional_number(trade, "fee")
        rows.fill(
            exchange_time=said.exchange_time,
            symbol=said.symbol,
            trade_id=required(trade, "lastTradeID"),
            order_id=said.order_id,
            client_order_id=said.client_order_id,
            side=said.side,
            price=amount(trade, "fillPrice"),
            quantity=quantity,
            quantity_unit="contract",
            fee=fee.copy_negate() if fee else fee,
            fee_asset=optional_text(trade, "feeCcy"),
        )
    except Broken as error:
        return str(error)
    return None


def _futures_status(row: Row, state: int, size: Decimal, filled: Decimal | None) -> str | None:
    """An order that has finished was filled, or canceled with what is left; a plan order that is open waits for its trigger."""
    if state == APPROVAL:
        return "PENDING_NEW"
    if state == OPEN and filled is None and row.get("trigger_price", UNSAID) != UNSAID:
        return "PENDING_TRIGGER"
    if state == OPEN:
        return "PARTIALLY_FILLED" if filled else "NEW"
    if state == FINISHED and filled is not None:
        return "FILLED" if filled >= size else "CANCELED"
    return None


def queried_futures_trade(rows: Rows, row: Row) -> None:
    """A futures trade as the query shows it."""
    said: dict[str, Any] = {
        "exchange_time": time(row, "create_time", MILLISECONDS),
        "symbol": text(row, "symbol"),
        "trade_id": required(row, "trade_id"),
        "order_id": required(row, "order_id"),
        "side": futures_side(row),
        "price": amount(row, "price"),
        "quantity": amount(row, "vol"),
        "fee": optional_number(row, "paid_fees"),
    }
    rows.fill(quantity_unit="contract", liquidity=ROLES.get(optional_text(row, "exec_type") or ""), **said)

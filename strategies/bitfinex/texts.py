"""The words of Bitfinex: numbers as JavaScript writes them, statuses that tell their history, and why it refuses.

Source: https://docs.bitfinex.com/reference/ws-auth-orders (STATUS), and messages as they were reported to its client libraries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from strategies.dialect import dumps
from strategies.orders import Order, Refusal
from strategies.position import Side

ERRORS: Final = {
    Refusal.ACCOUNTS: "apikey: invalid",
    Refusal.SYMBOL: "symbol: invalid",
    Refusal.TICK: "price: invalid",
    Refusal.LOT: "amount: invalid",
    Refusal.FAR: "Invalid order: price is too far from the market",
    Refusal.SMALL: "Invalid order: amount is below the minimum size",
    Refusal.OPEN_ORDERS: "Invalid order: too many open orders",
    Refusal.DUPLICATE: "cid: duplicate",
    Refusal.TAKES: "Invalid order: post only would take",
    Refusal.FUNDS: "Invalid order: not enough exchange balance",
    Refusal.UNKNOWN: "Order not found.",
}
"""Without the two that it never has: it amends to more, and to the same. It has no codes."""

EXPIRIES: Final = {
    "UNFILLED_FOK_ORDER_EXPIRED": "FILLORKILL CANCELED",
    "UNFILLED_IOC_QUANTITY_EXPIRED": "IOC CANCELED",
    "POST_ONLY_WOULD_TAKE": "POSTONLY CANCELED",
}
"""How an order ended of itself; in all other cases it is plainly CANCELED."""


def number(value: Decimal) -> str:
    """Digits as JavaScript prints them: without trailing zeros, in powers of ten below a millionth."""
    shortest = value.normalize()
    return str(shortest).replace("E", "e") if shortest and shortest.adjusted() < -6 else f"{shortest:f}"


def array(value: Any) -> str:
    """Compact JSON, with exact decimals as numbers."""
    if isinstance(value, Decimal):
        return number(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{','.join(map(array, value))}]"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{dumps(key)}:{array(inner)}' for key, inner in value.items())}}}"
    return dumps(value)


def signed(side: Side, quantity: Decimal) -> Decimal:
    """An amount is below zero where it sells."""
    return quantity if side == "BUY" or not quantity else -quantity


def status(order: Order) -> str:
    """How an order stands, and what it was before."""
    fills = [f"{number(fill.price)}({number(signed(fill.side, fill.quantity))})" for fill in order.fills]
    partly = f"PARTIALLY FILLED @ {fills[-1]}" if fills else ""
    if order.status == "FILLED":
        before = f": was PARTIALLY FILLED @ {', '.join(fills[:-1])}" if len(fills) > 1 else ""
        return f"EXECUTED @ {fills[-1]}{before}"
    if order.is_open:
        return partly or "ACTIVE"
    ended = EXPIRIES.get(order.expiry_reason, "CANCELED")
    return f"{ended} was: {partly}" if partly else ended

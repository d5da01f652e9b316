"""Bitfinex's arrays: one function a message, no state. Amounts are numbers, below zero where they sell; times are ms.

Source: https://docs.bitfinex.com/reference, ws-auth-orders, ws-auth-trades, ws-auth-wallets, ws-auth-notifications,
ws-public-ticker, ws-public-trades.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from strategies.accounts import ZERO, Account
from strategies.bitfinex.texts import signed, status
from strategies.dialect import Top
from strategies.orders import Fill, Order, now_ms

POST_ONLY: Final = 4096
"""Bit of FLAGS (https://docs.bitfinex.com/docs/flag-values)."""
PLACES: Final = 32
"""Length of an order array."""


def order_type(order: Order) -> str:
    """Order type and time in force at once, of the exchange wallet."""
    word = {"IOC": "IOC", "FOK": "FOK"}.get(order.time_in_force, "MARKET" if order.type == "MARKET" else "LIMIT")
    return f"EXCHANGE {word}"


def order(order: Order) -> list[Any]:
    """An order as it stands: [ID, GID, CID, SYMBOL, MTS_CREATE, MTS_UPDATE, AMOUNT, AMOUNT_ORIG, ORDER_TYPE, ...]."""
    average = (order.quote / order.filled).quantize(Decimal("1e-8")) if order.filled else ZERO
    head: list[Any] = [order.order_id, None, int(order.client_order_id), order.symbol, order.created, order.updated]
    head += [signed(order.side, order.remaining), signed(order.side, order.quantity), order_type(order), None, None, None]
    flags = POST_ONLY if order.type == "LIMIT_MAKER" else 0
    tail: list[Any] = [order.price, average, 0, 0, None, None, None, 0, 0, None, None, None, "API>BFX", None, None, None]
    return [*head, flags, status(order), None, None, *tail]


def nothing(order_id: int | None, client_order_id: int | None) -> list[Any]:
    """The order array of a refusal: ids, and nulls."""
    return [order_id, None, client_order_id] + [None] * (PLACES - 3)


def trade(order: Order, fill: Fill, *, with_fee: bool) -> list[Any]:
    """[ID, SYMBOL, MTS, ORDER_ID, EXEC_AMOUNT, EXEC_PRICE, ORDER_TYPE, ORDER_PRICE, MAKER, FEE, FEE_CURRENCY, CID]."""
    what = [fill.trade_id, order.symbol, fill.time, order.order_id, signed(fill.side, fill.quantity), fill.price]
    fee = [-fill.fee, fill.fee_asset] if with_fee else [None, None]
    return [*what, order_type(order), order.price, 1 if fill.maker else -1, *fee, int(order.client_order_id)]


def wallet(account: Account, asset: str) -> list[Any]:
    """A balance: [WALLET_TYPE, CURRENCY, BALANCE, UNSETTLED_INTEREST, AVAILABLE_BALANCE, DESCRIPTION, META]."""
    free = account.free[asset]
    return ["exchange", asset, free + account.locked[asset], 0, free, None, None]


def notification(kind: str, info: list[Any], refusal: str, text: str) -> list[Any]:
    """An answer: [MTS, TYPE, MESSAGE_ID, _, INFO, CODE, STATUS, TEXT]."""
    return [now_ms(), kind, None, None, info, None, "ERROR" if refusal else "SUCCESS", refusal or text]


# --- market data ----------------------------------------------------------------------------------------------------------


def ticker(bid: Top, ask: Top) -> list[Any]:
    """[BID, BID_SIZE, ASK, ASK_SIZE, DAILY_CHANGE, DAILY_CHANGE_RELATIVE, LAST_PRICE, VOLUME, HIGH, LOW]."""
    return [*bid, *ask, 0, 0, bid[0], ZERO, ask[0], bid[0]]


def public_trade(trade_id: int, price: Decimal, quantity: Decimal, at: int, buyer_is_maker: bool) -> list[Any]:
    """[ID, MTS, AMOUNT, PRICE]; the sign is the taker's side."""
    return [trade_id, at, -quantity if buyer_is_maker else quantity, price]

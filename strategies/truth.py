"""The exchange's own record of what happened, as rows that tests hold against what a recorder saw."""

from __future__ import annotations

from decimal import Decimal

from strategies.dialect import Json
from strategies.orders import Fill, Order


def amount(value: Decimal) -> str:
    """A price or quantity with eight decimals."""
    return f"{value:.8f}"


def order_row(venue: str, order: Order) -> Json:
    """One order as it stands; see `Venue.truth`."""
    return {
        "venue": venue,
        "api_key": order.account.api_key,
        "symbol": order.symbol,
        "order_id": order.order_id,
        "client_order_id": order.client_order_ids[-1],
        "client_order_ids": list(order.client_order_ids),
        "side": order.side,
        "type": order.type,
        "time_in_force": order.time_in_force,
        "price": amount(order.price),
        "quantity": amount(order.quantity),
        "filled": amount(order.filled),
        "quote": amount(order.quote),
        "status": order.status,
        "reason": order.expiry_reason or ("" if order.reject_reason == "NONE" else order.reject_reason),
        "created": order.created,
        "updated": order.updated,
    }


def fill_row(venue: str, order: Order, fill: Fill) -> Json:
    """One fill of an order."""
    return {
        "venue": venue,
        "api_key": order.account.api_key,
        "symbol": order.symbol,
        "trade_id": fill.trade_id,
        "order_id": fill.order_id,
        "side": fill.side,
        "price": amount(fill.price),
        "quantity": amount(fill.quantity),
        "fee": amount(fill.fee),
        "fee_asset": fill.fee_asset,
        "maker": fill.maker,
        "time": fill.time,
        "heard": fill.heard,
    }


def merged(truths: list[Json]) -> Json:
    """What happened at several venues."""
    rows = {name: [row for truth in truths for row in truth[name]] for name in ("orders", "fills", "refusals", "secrets")}
    return rows | {"dropped": sum(truth["dropped"] for truth in truths)}

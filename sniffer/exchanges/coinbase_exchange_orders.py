"""Coinbase Exchange's orders: the events of the feed that are one's own, and the order calls of REST with their answers.

Docs: https://docs.cdp.coinbase.com/exchange/websocket-feed/channels (user and full channel),
https://docs.cdp.coinbase.com/api-reference/exchange-api/rest-api/orders (create, cancel, get orders, get fills)
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final, NamedTuple

from sniffer.exchanges.base import CANCEL, PLACE, REQUEST, RESPONSE, UPDATE, Rows
from sniffer.exchanges.fields import (
    amount,
    identity,
    mapped,
    number,
    optional_amount,
    optional_rfc3339,
    optional_text,
    rfc3339,
    text,
    time,
)
from sniffer.exchanges.jsontext import Row
from sniffer.exchanges.lastknown import LastKnown
from sniffer.exchanges.numbers import SECONDS, Broken, difference
from sniffer.model import OrderEvent

SIDES: Final = {"buy": "buy", "sell": "sell"}
OTHER_SIDE: Final = {"buy": "sell", "sell": "buy"}
EVENTS: Final = frozenset(("received", "open", "done", "match", "change", "activate"))
STATUSES: Final = {"received": "NEW", "open": "NEW", "activate": "PENDING_TRIGGER", "filled": "FILLED", "canceled": "CANCELED"}
"""Of events, and of the reasons of `done`; a `change` says nothing of the state."""
REST_STATUSES: Final = {
    "pending": "PENDING_NEW",
    "received": "NEW",
    "open": "NEW",
    "active": "PENDING_TRIGGER",
    "rejected": "REJECTED",
    "filled": "FILLED",
    "canceled": "CANCELED",
}
"""Of the REST API, and of the `done_reason` of orders that are `done`."""
STOP_TYPES: Final = {"limit": "stop_limit", "market": "stop"}
TIMES_IN_FORCE: Final = {"GTC": "gtc", "GTT": "gtd", "IOC": "ioc", "FOK": "fok"}
LIQUIDITY: Final = {"M": "maker", "T": "taker"}
CLIENT: Final = "client:"
"""How a path names an order by its client id."""


class Call(NamedTuple):
    """A REST call that awaits its answer: method and path, the orders that it names, and whose it is."""

    method: str
    path: str
    orders: tuple[OrderEvent, ...]
    account: str | None


# --- the feed ----------------------------------------------------------------------------------------------------------------


def event(rows: Rows, row: Row, known: LastKnown) -> None:
    """Adds what an own event of the feed says: an order, or of a match the fill."""
    kind = text(row, "type")
    if kind == "match":
        _match(rows, row, known)
        return
    order_id = text(row, "order_id")
    raw = text(row, "reason") if kind == "done" else kind
    said: dict[str, Any] = {"symbol": text(row, "product_id"), "side": mapped(row, "side", SIDES)}
    if "price" in row:
        said["price"] = optional_amount(row, "price")
    if kind in ("received", "activate"):
        said |= _size(row) | {"client_order_id": _client_id(row)}
        said["order_type"] = "stop" if kind == "activate" else optional_text(row, "order_type")
    if kind == "activate":
        said["stop_price"] = optional_amount(row, "stop_price")
    if kind == "change":  # its sizes are what is left
        said |= {"quantity": None, "quantity_unit": None}
        if "new_price" in row:
            said["price"] = optional_amount(row, "new_price")
    at = time(row, "timestamp", SECONDS) if kind == "activate" and "time" not in row else rfc3339(row, "time")
    reason = optional_text(row, "cancel_reason") if kind == "done" else None
    columns = known.completed(order_id, said)
    rows.order(
        UPDATE,
        order_id=order_id,
        exchange_time=at,
        status=STATUSES.get(raw),
        status_raw=raw,
        filled_quantity=_filled(row, raw, columns),
        reason=reason,
        **columns,
    )
    if kind == "done":
        known.forget(order_id)


def _filled(row: Row, raw: str, columns: dict[str, Any]) -> Decimal | None:
    """What is filled of an order whose size is known: all, or what is not left; market orders do not say what is.

    Of an open order, that nothing is says nothing of later: matches follow without their sum.
    """
    quantity: Decimal | None = columns.get("quantity")
    if raw not in ("open", "filled", "canceled") or quantity is None or columns.get("quantity_unit") != "base":
        return None
    left = Decimal() if raw == "filled" else optional_amount(row, "remaining_size")
    if left is None or left > quantity or (raw == "canceled" and not left):
        return None
    filled = difference(quantity, left)
    return filled if filled or raw != "open" else None


def _match(rows: Rows, row: Row, known: LastKnown) -> None:
    """A trade with an own order on one side of it, or on both. Its side is that of the maker."""
    user, side = text(row, "user_id"), mapped(row, "side", SIDES)
    roles = [role for role in ("maker", "taker") if row.get(f"{role}_user_id") == user]
    if not roles:
        raise Broken("a match that does not say which of its orders is the own one")
    for role in roles:
        order_id = text(row, f"{role}_order_id")
        rows.fill(
            exchange_time=rfc3339(row, "time"),
            symbol=text(row, "product_id"),
            trade_id=_trade_id(row),
            order_id=order_id,
            client_order_id=known.completed(order_id, {}).get("client_order_id"),
            side=side if role == "maker" else OTHER_SIDE[side],
            price=amount(row, "price"),
            quantity=amount(row, "size"),
            quantity_unit="base",
            liquidity=role,
        )


def _trade_id(row: Row) -> str:
    trade_id = identity(row, "trade_id")
    if trade_id is None:
        raise Broken("field trade_id is missing")
    return trade_id


def _client_id(row: Row) -> str | None:
    return optional_text(row, "client_oid") or optional_text(row, "client-oid")


def _size(row: Row) -> dict[str, Any]:
    """The quantity: of coins; of the quote currency where only funds are given."""
    if (size := optional_amount(row, "size")) is not None:
        return {"quantity": size, "quantity_unit": "base"}
    funds = optional_amount(row, "specified_funds" if row.get("specified_funds") else "funds")
    return {} if funds is None else {"quantity": funds, "quantity_unit": "quote"}


# --- REST --------------------------------------------------------------------------------------------------------------------


def ask_place(rows: Rows, body: Row) -> None:
    """Adds the order of a call that places one."""
    rows.order(
        REQUEST,
        action=PLACE,
        symbol=optional_text(body, "product_id"),
        client_order_id=optional_text(body, "client_oid"),
        side=mapped(body, "side", SIDES) if body.get("side") is not None else None,
        **_terms(body),
    )


def ask_cancel(rows: Rows, name: str, symbol: str | None) -> None:
    """Adds the order that a path names; of a call that cancels all, none."""
    is_client = name.startswith(CLIENT)
    rows.order(
        REQUEST,
        action=CANCEL,
        symbol=symbol,
        order_id=None if is_client else name or None,
        client_order_id=name.removeprefix(CLIENT) if is_client else None,
    )


def _terms(row: Row) -> dict[str, Any]:
    """The terms of an order; a type that is not said is `limit` by default, and stays null here."""
    kind, force = optional_text(row, "type"), optional_text(row, "time_in_force")
    stop = optional_text(row, "stop")
    return {
        "order_type": STOP_TYPES.get(kind, kind) if kind and stop else kind,
        "time_in_force": "post_only"
        if row.get("post_only") is True
        else TIMES_IN_FORCE.get(force, force.lower())
        if force
        else None,
        "price": optional_amount(row, "price"),
        "stop_price": optional_amount(row, "stop_price"),
        **_size(row),
    }


def told(rows: Rows, row: Row, action: str | None) -> None:
    """Adds an order as an answer shows it."""
    raw = text(row, "status")
    done = optional_text(row, "done_reason") if raw == "done" else None
    filled = optional_amount(row, "filled_size")
    if action == PLACE and row.get("type") == "market":
        filled = filled or None  # nothing yet, and events do not tell the sum: see `_filled`
    rows.order(
        RESPONSE,
        action=action,
        exchange_time=optional_rfc3339(row, "created_at" if action == PLACE else "done_at"),
        symbol=text(row, "product_id"),
        order_id=text(row, "id"),
        client_order_id=optional_text(row, "client_oid"),
        side=mapped(row, "side", SIDES),
        status=REST_STATUSES.get(done or raw),
        status_raw=raw,
        filled_quantity=filled,
        reason=optional_text(row, "reject_reason") or (None if done in REST_STATUSES else done),
        **_terms(row),
    )


def fill(rows: Rows, row: Row) -> None:
    """Adds a fill. Its fee is in the quote currency, which is not said."""
    liquidity = optional_text(row, "liquidity")
    rows.fill(
        exchange_time=optional_rfc3339(row, "created_at"),
        symbol=text(row, "product_id"),
        trade_id=_trade_id(row),
        order_id=text(row, "order_id"),
        client_order_id=optional_text(row, "client_oid"),
        side=mapped(row, "side", SIDES),
        price=amount(row, "price"),
        quantity=amount(row, "size"),
        quantity_unit="base",
        fee=number(row, "fee") if row.get("fee") not in (None, "") else None,
        liquidity=LIQUIDITY.get(liquidity) if liquidity else None,
    )


def refused(rows: Rows, call: Call, reason: str, status: int | None) -> None:
    """{"message": text}: the order was not placed (unless the exchange itself failed), or not canceled."""
    action = PLACE if call.method == "POST" else CANCEL
    unknown = status is not None and status >= 500
    said: dict[str, Any] = {"reason": reason, "status": "REJECTED" if action == PLACE and not unknown else None}
    if call.orders:
        rows.rejoined(call.orders[0], **said)
    else:
        rows.order(RESPONSE, action=action, **said)


def canceled(rows: Rows, call: Call, body: Any) -> None:
    """The ids of the orders that a cancel was taken for: one, or a list."""
    order_ids = body if type(body) is list else [body]
    if not all(type(order_id) is str and order_id for order_id in order_ids):
        raise Broken("an answer to a cancel that holds no ids")
    asked = call.orders[0] if len(call.orders) == 1 and len(order_ids) == 1 else None
    for order_id in order_ids:
        if asked is not None and asked.client_order_id is not None and order_id == asked.client_order_id:
            rows.rejoined(asked)
        elif asked is not None and asked.order_id in (None, order_id):
            rows.rejoined(asked, order_id=order_id)
        else:
            rows.order(RESPONSE, action=CANCEL, order_id=order_id)

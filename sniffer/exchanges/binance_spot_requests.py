"""What clients ask of Binance Spot: the words of the API, its order requests, and how REST names them.

The WebSocket API and REST take the same parameters, so a REST call is read as the method of the same meaning.
Docs: web-socket-api.md (Trading requests), rest-api.md, enums.md and faqs/opo.md of github.com/binance/binance-spot-api-docs.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final, NamedTuple

from sniffer.exchanges.base import AMEND, CANCEL, PLACE, REQUEST, Rows
from sniffer.exchanges.calls import parameters
from sniffer.exchanges.fields import identity, mapped, optional_amount, optional_text
from sniffer.exchanges.jsontext import Row
from sniffer.exchanges.numbers import Broken
from sniffer.model import OrderEvent

SIDES: Final = {"BUY": "buy", "SELL": "sell"}
STATUSES: Final = {
    "NEW": "NEW",
    "PENDING_NEW": "PENDING_NEW",
    "PARTIALLY_FILLED": "PARTIALLY_FILLED",
    "FILLED": "FILLED",
    "CANCELED": "CANCELED",
    "PENDING_CANCEL": "PENDING_CANCEL",
    "REJECTED": "REJECTED",
    "EXPIRED": "EXPIRED",
    "EXPIRED_IN_MATCH": "EXPIRED",
}
ORDER_TYPES: Final = {
    "LIMIT": "limit",
    "LIMIT_MAKER": "limit",
    "MARKET": "market",
    "STOP_LOSS": "stop",
    "STOP_LOSS_LIMIT": "stop_limit",
    "TAKE_PROFIT": "take_profit",
    "TAKE_PROFIT_LIMIT": "take_profit_limit",
}
TIMES_IN_FORCE: Final = {"GTC": "gtc", "IOC": "ioc", "FOK": "fok", "GTD": "gtd", "GTX": "post_only"}


class Leg(NamedTuple):
    """One order of a request: what the names of its own parameters, and of side and quantity, begin with."""

    own: str
    shared: str


_SINGLE: Final = (Leg("", ""),)
_PAIR: Final = (Leg("working", "working"), Leg("pending", "pending"))
_TRIPLE: Final = (Leg("working", "working"), Leg("pendingAbove", "pending"), Leg("pendingBelow", "pending"))
LEGS: Final = {
    "order.place": _SINGLE,
    "order.cancelReplace": _SINGLE,
    "sor.order.place": _SINGLE,
    "orderList.place.oco": (Leg("above", ""), Leg("below", "")),
    "orderList.place.oto": _PAIR,
    "orderList.place.opo": _PAIR,
    "orderList.place.otoco": _TRIPLE,
    "orderList.place.opoco": _TRIPLE,
}

ACTIONS: Final = {
    **dict.fromkeys((*LEGS, "orderList.place"), PLACE),
    **dict.fromkeys(("order.cancel", "orderList.cancel", "openOrders.cancelAll"), CANCEL),
    "order.amend.keepPriority": AMEND,
}
"""Methods that ask something of an order; `order.cancelReplace` asks for two things, and its answer says which is which."""
QUERIES: Final = frozenset(("order.status", "openOrders.status", "allOrders", "myTrades", "myAllocations"))
"""Methods whose answers tell states of orders, or fills; an answer of theirs is a `response` that no action asked for."""
NOT_ORDERS: Final = frozenset(
    (
        "order.test", "sor.order.test", "order.amendments", "orderList.status", "openOrderLists.status", "allOrderLists",
        "openOrders.cancelAll.test", "myPreventedMatches",
    )
)  # fmt: skip
LOGINS: Final = frozenset(("session.logon", "session.status", "session.logout"))
ORDER_METHODS: Final = ("order.", "orderList.", "sor.order.", "openOrders.")
"""How methods begin that may be order requests, known or not."""

_SPOT: Final = "/api/v3/"
_MARGIN: Final = "/sapi/v1/margin/"
_ORDER_PATH: Final = re.compile(r"/(?:api/v3|sapi/v\d)/\S*order", re.IGNORECASE)
"""Margin and spot orders, and those of algo, convert and equity products, which are not known here."""
LISTEN_KEY_PATHS: Final = (f"{_SPOT}userDataStream", "/sapi/v1/userDataStream")
_REST: Final = {
    ("POST", "order"): "order.place",
    ("DELETE", "order"): "order.cancel",
    ("GET", "order"): "order.status",
    ("POST", "order/oco"): "orderList.place",
    ("DELETE", "orderList"): "orderList.cancel",
    ("DELETE", "openOrders"): "openOrders.cancelAll",
    ("GET", "openOrders"): "openOrders.status",
    ("GET", "allOrders"): "allOrders",
    ("GET", "myTrades"): "myTrades",
}
REST: Final = {
    **{(verb, _SPOT + path): method for (verb, path), method in _REST.items()},
    **{(verb, _MARGIN + path): method for (verb, path), method in _REST.items()},
    ("POST", _SPOT + "order/test"): "order.test",
    ("POST", _SPOT + "order/cancelReplace"): "order.cancelReplace",
    ("PUT", _SPOT + "order/amend/keepPriority"): "order.amend.keepPriority",
    ("GET", _SPOT + "order/amendments"): "order.amendments",
    ("POST", _SPOT + "orderList/oco"): "orderList.place.oco",
    ("POST", _SPOT + "orderList/oto"): "orderList.place.oto",
    ("POST", _SPOT + "orderList/otoco"): "orderList.place.otoco",
    ("POST", _SPOT + "orderList/opo"): "orderList.place.opo",
    ("POST", _SPOT + "orderList/opoco"): "orderList.place.opoco",
    ("GET", _SPOT + "orderList"): "orderList.status",
    ("POST", _SPOT + "sor/order"): "sor.order.place",
    ("POST", _SPOT + "sor/order/test"): "sor.order.test",
    ("GET", _SPOT + "myAllocations"): "myAllocations",
}


class Request(NamedTuple):
    """A request that awaits its answer: its method, the orders that it names, and whose it is."""

    method: str
    orders: tuple[OrderEvent, ...]
    account: str | None


def terms(row: Row, type_key: str, time_in_force_key: str) -> tuple[str | None, str | None]:
    """Order type and time in force in the words of the tables; a word that is not known in lower case."""
    kind = optional_text(row, type_key)
    force = optional_text(row, time_in_force_key)
    if kind == "LIMIT_MAKER":  # "also known as a POST-ONLY order"
        return "limit", "post_only"
    return (
        ORDER_TYPES.get(kind, kind.lower()) if kind else None,
        TIMES_IN_FORCE.get(force, force.lower()) if force else None,
    )


def quantity(row: Row, base_key: str, quote_key: str) -> tuple[Decimal | None, str | None]:
    """Quantity and its unit: the quote amount where that is what the order is for."""
    base = optional_amount(row, base_key)
    if not base and (quote := optional_amount(row, quote_key)):
        return quote, "quote"
    return base, None if base is None else "base"


def ask(rows: Rows, method: str, params: Row, request_id: str | None) -> None:
    """Adds the orders that an order request names, cancellation first where it holds both."""
    if method == "order.cancelReplace":
        _ask_about(rows, CANCEL, params, request_id, "cancelOrderId", "cancelOrigClientOrderId")
    action = ACTIONS[method]
    if method == "orderList.place":
        _ask_old_pair(rows, params, request_id)
    elif action == PLACE:
        for leg in LEGS[method]:
            _ask_place(rows, leg, params, request_id)
    elif method == "order.cancel" or action == AMEND:
        _ask_about(rows, action, params, request_id, "orderId", "origClientOrderId")
    else:  # of a list, or of all orders of a symbol: no single order is named
        rows.order(REQUEST, symbol=optional_text(params, "symbol"), action=action, request_id=request_id)


def _ask_about(rows: Rows, action: str, params: Row, request_id: str | None, id_key: str, client_key: str) -> None:
    amended = optional_amount(params, "newQty") if action == AMEND else None
    rows.order(
        REQUEST,
        symbol=optional_text(params, "symbol"),
        action=action,
        request_id=request_id,
        order_id=identity(params, id_key),
        client_order_id=optional_text(params, client_key),
        quantity=amended,
        quantity_unit=None if amended is None else "base",
    )


def _ask_place(rows: Rows, leg: Leg, params: Row, request_id: str | None) -> None:
    order_type, time_in_force = terms(params, _name(leg.own, "type"), _name(leg.own, "timeInForce"))
    amount, unit = quantity(params, _name(leg.shared, "quantity"), "quoteOrderQty")
    side = _name(leg.shared, "side")
    rows.order(
        REQUEST,
        symbol=optional_text(params, "symbol"),
        action=PLACE,
        request_id=request_id,
        client_order_id=optional_text(params, _name(leg.own or "new", "clientOrderId")),
        side=mapped(params, side, SIDES) if params.get(side) is not None else None,
        order_type=order_type,
        time_in_force=time_in_force,
        price=optional_amount(params, _name(leg.own, "price")),
        stop_price=optional_amount(params, _name(leg.own, "stopPrice")),
        quantity=amount,
        quantity_unit=unit,
    )


def _ask_old_pair(rows: Rows, params: Row, request_id: str | None) -> None:
    """The first form of OCO, deprecated: a LIMIT_MAKER and a STOP_LOSS, or a STOP_LOSS_LIMIT if a limit price is given."""
    stop_limit = optional_amount(params, "stopLimitPrice")
    limit = {**params, "type": "LIMIT_MAKER", "newClientOrderId": params.get("limitClientOrderId"), "stopPrice": None}
    stop = {
        **params,
        "type": "STOP_LOSS" if stop_limit is None else "STOP_LOSS_LIMIT",
        "newClientOrderId": params.get("stopClientOrderId"),
        "price": params.get("stopLimitPrice"),
        "timeInForce": params.get("stopLimitTimeInForce"),
    }
    for leg in (limit, stop):
        _ask_place(rows, _SINGLE[0], leg, request_id)


def _name(prefix: str, name: str) -> str:
    return prefix + name[0].upper() + name[1:] if prefix else name


def rest_call(verb: str | None, target: str | None) -> tuple[str | None, str, Row]:
    """The method that a REST call stands for (None: not one about orders), its path, and the parameters of its query.

    Raises `Broken` for a call that changes orders in a way that is not known here.
    """
    path, _, query = (target or "").partition("?")
    method = REST.get((verb or "", path))
    if method is None and verb in ("POST", "PUT", "DELETE") and _ORDER_PATH.match(path):
        raise Broken(f"an order call that is not known: {verb} {path}")
    return method, path, parameters(query) if method else {}

"""What clients ask of Bitfinex: the inputs of the websocket and the REST calls of the same meaning, which share their fields.

Docs: https://docs.bitfinex.com/reference (ws-auth-input-order-new, -update, -cancel, -cancel-multi, -multi-op;
rest-auth-submit-order, rest-auth-update-order, rest-auth-cancel-order, rest-auth-order-cancel-multi, rest-auth-order-multi)
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from sniffer.exchanges.base import AMEND, CANCEL, PLACE, REQUEST, Pending, Rows
from sniffer.exchanges.bitfinex_orders import side_and_size, terms
from sniffer.exchanges.fields import identity, optional_list, optional_number, optional_text
from sniffer.exchanges.jsontext import Row
from sniffer.exchanges.numbers import Broken
from sniffer.model import OrderEvent

ACTIONS: Final = {"on": PLACE, "ou": AMEND, "oc": CANCEL, "oc_multi": CANCEL}
SEVERAL: Final = "ox_multi"
"""Holds other inputs."""

_WRITE: Final = "/v2/auth/w/order/"
REST: Final = {
    f"{_WRITE}submit": "on",
    f"{_WRITE}update": "ou",
    f"{_WRITE}cancel": "oc",
    f"{_WRITE}cancel/multi": "oc_multi",
    f"{_WRITE}multi": SEVERAL,
}
ORDER_QUERY: Final = re.compile(r"/v2/auth/r/orders(?:/[^/]+)?(?:/hist)?")
TRADE_QUERY: Final = re.compile(r"/v2/auth/r/(?:trades(?:/[^/]+)?/hist|order/[^/]+/trades)")


class Call(NamedTuple):
    """A REST call that awaits its answer: its path, the orders that it names, and whose it is."""

    path: str
    orders: tuple[OrderEvent, ...]
    account: str | None

    def asked(self, action: str, order_id: str | None, client_order_id: str | None) -> OrderEvent | None:
        """The order that its answer names; the only one, if the answer names none."""
        if order_id is None and client_order_id is None:
            return self.orders[0] if len(self.orders) == 1 else None
        for order in self.orders:
            if order.action == action and (
                order.order_id == order_id if order_id is not None else order.client_order_id == client_order_id
            ):
                return order
        return None


class Asked:
    """The requests of a connection that await their notifications, each by what it asks and the ids that it names."""

    def __init__(self) -> None:
        self._pending: Pending[OrderEvent] = Pending()

    def put(self, orders: list[OrderEvent]) -> None:
        """Notes the orders of a request."""
        for order in orders:
            for name, value in (("order", order.order_id), ("client", order.client_order_id)):
                if value is not None:
                    self._pending.put((order.action, name, value), order)

    def take(self, action: str, order_id: str | None, client_order_id: str | None) -> OrderEvent | None:
        """The request that an answer with these ids answers."""
        found = [
            self._pending.take((action, name, value))
            for name, value in (("order", order_id), ("client", client_order_id))
            if value is not None
        ]
        return next((order for order in found if order is not None), None)


def ask(rows: Rows, name: str, details: Any, request_id: str | None = None) -> None:
    """Adds the orders that an input names; raises `Broken` for one that is not known."""
    if name == SEVERAL:
        operations = details.get("ops") if type(details) is dict else details
        if type(operations) is not list or not operations:
            raise Broken(f"input {SEVERAL}: no list of operations")
        for operation in operations:
            if type(operation) is not list or len(operation) != 2:
                raise Broken(f"input {SEVERAL}: an operation that is no pair")
            inner, inner_details = operation
            if type(inner) is not str or inner not in ACTIONS:
                raise Broken(f"input {SEVERAL}: an operation that is not known")
            ask(rows, inner, inner_details, request_id)
        return
    if type(details) is not dict:
        raise Broken(f"input {name}: no object")
    if name == "oc_multi":
        _ask_cancels(rows, details, request_id)
    else:
        _ask_one(rows, ACTIONS[name], details, request_id)


def _ask_one(rows: Rows, action: str, details: Row, request_id: str | None) -> None:
    asked = {} if action == CANCEL else terms(details, "type", "flags", "tif", "price", "price_aux_limit")
    if action == AMEND and "type" not in details:  # then its price may be a limit or a trigger
        asked = {"price": asked["price"]} if details.get("price_aux_limit") is None else {}
    rows.order(
        REQUEST,
        action=action,
        request_id=request_id,
        symbol=optional_text(details, "symbol"),
        order_id=identity(details, "id"),
        client_order_id=identity(details, "cid"),
        **side_and_size(optional_number(details, "amount") if action != CANCEL else None),
        **asked,
    )


def _ask_cancels(rows: Rows, details: Row, request_id: str | None) -> None:
    """By order ids, by [client id, date], by group, or all: the latter two name no order."""
    for value in optional_list(details, "id"):
        rows.order(REQUEST, action=CANCEL, request_id=request_id, order_id=identity({"id": value}, "id"))
    for value in optional_list(details, "cid"):
        client_id = value[0] if type(value) is list and value else value
        rows.order(REQUEST, action=CANCEL, request_id=request_id, client_order_id=identity({"cid": client_id}, "cid"))
    if not rows.orders:
        rows.order(REQUEST, action=CANCEL, request_id=request_id)

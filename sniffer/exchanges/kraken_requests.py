"""What clients ask of Kraken: the words of its APIs, and the order requests of websocket v2, websocket v1 and REST.

Version 2 has names of its own (`order_qty`, `limit_price`); version 1 and REST share theirs (`volume`, `price`, `price2`).
Docs: docs.kraken.com/exchange/api-reference (spot-websocket-v2, spot-websocket-v1, spot-rest), github.com/krakenfx/api-specs.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final, NamedTuple

from sniffer.exchanges.base import AMEND, CANCEL, PLACE, REQUEST, Rows
from sniffer.exchanges.fields import mapped, optional_amount, optional_text
from sniffer.exchanges.jsontext import Row
from sniffer.exchanges.numbers import Broken
from sniffer.model import OrderEvent

SIDES: Final = {"buy": "buy", "sell": "sell"}
ORDER_TYPES: Final = {"stop-loss": "stop", "stop-loss-limit": "stop_limit"}
"""The others are the words of the tables already, but for the hyphens."""
TRIGGERED: Final = frozenset(("stop-loss", "take-profit", "trailing-stop"))
"""Order types of version 1 and REST whose `price` is the trigger and which have no limit."""
TRIGGERED_LIMIT: Final = frozenset(("stop-loss-limit", "take-profit-limit", "trailing-stop-limit"))
"""Those whose `price` is the trigger, and `price2` the limit."""

V2: Final = {
    "add_order": PLACE,
    "batch_add": PLACE,
    "amend_order": AMEND,
    "edit_order": AMEND,
    "cancel_order": CANCEL,
    "batch_cancel": CANCEL,
    "cancel_all": CANCEL,
}
V1: Final = {"addOrder": PLACE, "amendOrder": AMEND, "editOrder": AMEND, "cancelOrder": CANCEL, "cancelAll": CANCEL}
V1_ANSWERS: Final = {event + "Status": action for event, action in V1.items()}
REST: Final = {
    "AddOrder": PLACE,
    "AddOrderBatch": PLACE,
    "AmendOrder": AMEND,
    "EditOrder": AMEND,
    "CancelOrder": CANCEL,
    "CancelOrderBatch": CANCEL,
    "CancelAll": CANCEL,
}


class Request(NamedTuple):
    """A request that awaits its answer: its name, the orders that it names, and whose it is."""

    name: str
    orders: tuple[OrderEvent, ...]
    account: str | None
    validate: bool = False
    """Checked by the exchange and never placed."""

    def only(self) -> OrderEvent | None:
        """The order, if it is about a single one: an answer that names none answers for that."""
        return self.orders[0] if len(self.orders) == 1 else None


def validates(row: Row) -> bool:
    """Whether a request asks to be checked only; version 1 and forms write the boolean as text."""
    return row.get("validate") in (True, "true", "True", "1")


def order_type(row: Row, key: str) -> str | None:
    """The order type in the words of the tables."""
    word = optional_text(row, key)
    return ORDER_TYPES.get(word, word.replace("-", "_").lower()) if word else None


# --- version 2 -----------------------------------------------------------------------------------------------------------


def ask_v2(rows: Rows, method: str, params: Row, request_id: str | None, unit: str | None) -> None:
    """Adds the orders that a request of version 2 names. `unit`: of quantities that are not said to be cash."""
    if method in ("add_order", "batch_add"):
        orders = objects(params, "orders") if method == "batch_add" else [params]
        for order in orders:
            rows.order(
                REQUEST,
                action=PLACE,
                request_id=request_id,
                symbol=optional_text(order, "symbol") or optional_text(params, "symbol"),
                client_order_id=optional_text(order, "cl_ord_id"),
                **terms_v2(order, unit),
            )
    elif method in ("amend_order", "edit_order"):
        quantity = optional_amount(params, "order_qty")
        rows.order(
            REQUEST,
            action=AMEND,
            request_id=request_id,
            symbol=optional_text(params, "symbol"),
            order_id=optional_text(params, "order_id"),
            client_order_id=optional_text(params, "cl_ord_id"),
            price=price_v2(params, "limit_price", "limit_price_type"),
            stop_price=price_v2(params, "trigger_price", "trigger_price_type")
            if "trigger_price" in params
            else stop_price_v2(params),
            quantity=quantity,
            quantity_unit=None if quantity is None else unit,
        )
    else:
        ids = names(params, "orders" if method == "batch_cancel" else "order_id")
        _ask_cancels(rows, request_id, ids, names(params, "cl_ord_id"))


def terms_v2(row: Row, unit: str | None) -> dict[str, Any]:
    """The terms of an order in version 2, only those that are said: requests leave out what they do not want, updates what is
    as it was."""
    said: dict[str, Any] = {}
    if "side" in row:
        said["side"] = mapped(row, "side", SIDES)
    if "order_type" in row:
        said["order_type"] = order_type(row, "order_type")
    if row.get("post_only") is True:
        said["time_in_force"] = "post_only"
    elif "time_in_force" in row:
        word = optional_text(row, "time_in_force")
        said["time_in_force"] = word.lower() if word else None
    if "limit_price" in row:
        said["price"] = price_v2(row, "limit_price", "limit_price_type")
    if "triggers" in row or "stop_price" in row:
        said["stop_price"] = stop_price_v2(row)
    if (base := optional_amount(row, "order_qty")) or (base is not None and not row.get("cash_order_qty")):
        said["quantity"], said["quantity_unit"] = base, unit
    elif (cash := optional_amount(row, "cash_order_qty")) is not None:
        said["quantity"], said["quantity_unit"] = cash, "quote"
    return said


def price_v2(row: Row, key: str, type_key: str) -> Decimal | None:
    """A price; None if it is an offset from the market (`pct`, `quote`)."""
    return optional_amount(row, key) if row.get(type_key) in (None, "static") else None


def stop_price_v2(row: Row) -> Decimal | None:
    """The trigger price: in effect now, where the order trails the market, else as it was asked for."""
    triggers = row.get("triggers")
    if triggers is None:
        return optional_amount(row, "stop_price")
    if type(triggers) is not dict:
        raise Broken("field triggers: no object")
    return price_v2(triggers, "price", "price_type") or optional_amount(triggers, "actual_price")


# --- version 1 and REST --------------------------------------------------------------------------------------------------


def ask_v1(rows: Rows, event: str, row: Row, request_id: str | None) -> None:
    """Adds the orders that a request of version 1 names."""
    if event == "addOrder":
        _ask_place(rows, row, row, request_id)
    elif event == "amendOrder":
        _ask_amend(rows, row, request_id, "txid", "volume" if "volume" in row else "order_qty")
    elif event == "editOrder":
        _ask_edit(rows, row, request_id, "orderid")
    else:
        _ask_cancels(rows, request_id, names(row, "txid"), names(row, "cl_ord_id"))


def ask_rest(rows: Rows, name: str, body: Row) -> None:
    """Adds the orders that a REST call names."""
    if name in ("AddOrder", "AddOrderBatch"):
        for order in objects(body, "orders") if name == "AddOrderBatch" else [body]:
            _ask_place(rows, order, body, None)
    elif name == "AmendOrder":
        _ask_amend(rows, body, None, "txid", "order_qty")
    elif name == "EditOrder":
        _ask_edit(rows, body, None, "txid")
    elif name == "CancelOrderBatch":
        _ask_cancels(rows, None, names(body, "orders", "txid"), names(body, "cl_ord_ids", "cl_ord_id"))
    else:
        _ask_cancels(rows, None, names(body, "txid"), names(body, "cl_ord_id"))


def _ask_place(rows: Rows, row: Row, shared: Row, request_id: str | None) -> None:
    rows.order(
        REQUEST,
        action=PLACE,
        request_id=request_id,
        symbol=optional_text(shared, "pair"),
        client_order_id=optional_text(row, "cl_ord_id"),
        **terms_v1(row, row, "volume"),
    )


def _ask_amend(rows: Rows, row: Row, request_id: str | None, id_key: str, quantity_key: str) -> None:
    quantity = optional_amount(row, quantity_key)
    rows.order(
        REQUEST,
        action=AMEND,
        request_id=request_id,
        symbol=optional_text(row, "pair"),
        order_id=_order_id(row.get(id_key)),
        client_order_id=optional_text(row, "cl_ord_id"),
        price=price_v1(row, "limit_price"),
        stop_price=price_v1(row, "trigger_price"),
        quantity=quantity,
        quantity_unit=None if quantity is None else "base",
    )


def _ask_edit(rows: Rows, row: Row, request_id: str | None, id_key: str) -> None:
    """`price` is the limit or the trigger, depending on the order's type, which an edit does not say: so it is neither."""
    quantity = optional_amount(row, "volume")
    rows.order(
        REQUEST,
        action=AMEND,
        request_id=request_id,
        symbol=optional_text(row, "pair"),
        order_id=_order_id(row.get(id_key)),
        quantity=quantity,
        quantity_unit=None if quantity is None else "base",
    )


def _ask_cancels(rows: Rows, request_id: str | None, order_ids: list[Any], client_ids: list[Any]) -> None:
    """A request for each order; one for all of them, or for a `userref` (which any number of orders may share), names none."""
    for value in order_ids:
        rows.order(REQUEST, action=CANCEL, request_id=request_id, order_id=_order_id(value))
    for value in client_ids:
        if type(value) is not str:
            raise Broken("field cl_ord_id: not a text")
        rows.order(REQUEST, action=CANCEL, request_id=request_id, client_order_id=value or None)
    if not rows.orders:
        rows.order(REQUEST, action=CANCEL, request_id=request_id)


def terms_v1(row: Row, descr: Row, quantity_key: str) -> dict[str, Any]:
    """The terms of an order in version 1 and REST, only those that are said. `descr` holds side, type and prices."""
    said: dict[str, Any] = {}
    if "type" in descr:
        said["side"] = mapped(descr, "type", SIDES)
    flags = (optional_text(row, "oflags") or "").split(",")
    if "post" in flags:
        said["time_in_force"] = "post_only"
    elif word := optional_text(row, "timeinforce"):
        said["time_in_force"] = word.lower()
    if "ordertype" in descr:
        word = optional_text(descr, "ordertype")
        said["order_type"] = order_type(descr, "ordertype")
        if word in TRIGGERED or word in TRIGGERED_LIMIT:
            said["stop_price"] = price_v1(descr, "price")
            if word in TRIGGERED_LIMIT:
                said["price"] = price_v1(descr, "price2")
        elif "price" in descr:
            said["price"] = price_v1(descr, "price")
    if (quantity := optional_amount(row, quantity_key)) is not None:
        said["quantity"], said["quantity_unit"] = quantity, "quote" if "viqc" in flags else "base"
    return said


def price_v1(row: Row, key: str) -> Decimal | None:
    """A price; None if it is an offset from the market (`+50`, `-2%`, `#10`)."""
    value = row.get(key)
    if type(value) is str and (value.startswith(("+", "-", "#")) or value.endswith("%")):
        return None
    return optional_amount(row, key)


def _order_id(value: Any) -> str | None:
    """An order's id; None for a `userref`, a number of the client's that any number of orders may share."""
    if type(value) is int or value is None:
        return None
    if type(value) is not str:
        raise Broken("an order id that is no text")
    return None if not value or value.lstrip("-").isdecimal() else value


def names(row: Row, key: str, inner: str | None = None) -> list[Any]:
    """The ids under `key`: one or a list of them, bare or as objects that hold them as `inner`."""
    value = row.get(key)
    if value is None or value == "":
        return []
    found = value if type(value) is list else value.split(",") if type(value) is str else [value]
    return [item.get(inner) if inner is not None and type(item) is dict else item for item in found]


def objects(row: Row, key: str) -> list[Row]:
    """A list of objects, one at least."""
    value = row.get(key)
    if type(value) is not list or not value or not all(type(item) is dict for item in value):
        raise Broken(f"field {key}: not a list of objects")
    return value

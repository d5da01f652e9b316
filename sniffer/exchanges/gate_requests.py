"""What clients ask of Gate, over websocket and REST, and what Gate answers.

A REST call is read as the operation of the WebSocket API that does the same: they take the same parameters and answer with the
same objects. Docs: https://www.gate.com/docs/developers/apiv4/en/ and the pages that `gate_orders` names.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from sniffer.exchanges import gate_orders
from sniffer.exchanges.base import AMEND, CANCEL, PLACE, REQUEST, RESPONSE, Rows
from sniffer.exchanges.fields import each, identity, optional_amount, optional_number, optional_text
from sniffer.exchanges.jsontext import Row
from sniffer.exchanges.numbers import Broken
from sniffer.model import OrderEvent

ACTIONS: Final = {
    "order_place": PLACE,
    "order_batch_place": PLACE,
    "order_cancel": CANCEL,
    "order_cancel_ids": CANCEL,
    "order_cancel_cp": CANCEL,
    "order_amend": AMEND,
    "order_batch_amend": AMEND,
}
"""Operations about orders: what follows the market in a channel's name. `cp` is for all orders of a currency pair."""
ORDERS: Final = frozenset(("order_status", "order_list"))
"""Operations that ask for states of orders."""
TRADES: Final = "trades"
"""Calls that ask for trades; they have no operation."""

_CALL: Final = re.compile(
    r"/api/v4/(?P<market>spot|futures|delivery|options)(?:/(?i:usdt|btc|usd))?/(?P<what>\w+)(?:/(?P<id>[^/]+))?"
)
"""Clients write the settlement currency in capitals, too."""
_ORDER_PATH: Final = re.compile(r"/api/v4/(?:spot|futures|delivery|options|crossex|tradfi|stock|alpha)/\S*order\S*")
"""Calls about orders, of markets that are not known here too."""
_COLLECTIONS: Final = {
    ("POST", "orders"): "order_place",
    ("POST", "batch_orders"): "order_batch_place",
    ("DELETE", "orders"): "order_cancel_cp",
    ("POST", "cancel_batch_orders"): "order_cancel_ids",
    ("POST", "batch_cancel_orders"): "order_cancel_ids",
    ("POST", "amend_batch_orders"): "order_batch_amend",
    ("POST", "batch_amend_orders"): "order_batch_amend",
    ("GET", "orders"): "order_list",
    ("GET", "orders_timerange"): "order_list",
    ("GET", "open_orders"): "order_list",
    ("GET", "my_trades"): TRADES,
    ("GET", "my_trades_timerange"): TRADES,
}
_ONE: Final = {"DELETE": "order_cancel", "PATCH": "order_amend", "PUT": "order_amend", "GET": "order_status"}


class Call(NamedTuple):
    """What a REST call asks for; `params` are those of its path. `op` None: nothing about orders."""

    market: str
    op: str | None
    params: Row


class Request(NamedTuple):
    """A request that awaits its answer. `orders` are in the order of the request; None: one that could not be read."""

    op: str | None
    orders: tuple[OrderEvent | None, ...]
    account: str | None


def rest_call(verb: str | None, path: str) -> Call:
    """What a call asks for. Raises `Broken` for one that changes orders in a way that is not known here."""
    verb = verb or ""
    match = _CALL.fullmatch(path)
    if match is not None:
        what, one = match["what"], match["id"]
        if what == "orders" and one is not None and verb in _ONE:
            return Call(match["market"], _ONE[verb], {"order_id": one})
        if one is None and (verb, what) in _COLLECTIONS:
            return Call(match["market"], _COLLECTIONS[verb, what], {})
    if verb != "GET" and _ORDER_PATH.fullmatch(path):
        raise Broken(f"an order call that is not known: {verb} {path}")
    return Call("", None, {})


def ask(rows: Rows, market: str, op: str, params: Any, request_id: str | None) -> str | None:
    """Adds the orders that a request names; returns the first thing that could not be read, if anything."""
    params = params if type(params) is list else [params]
    if op == "order_cancel_ids":
        params = [{"order_id": param} if type(param) is str else param for param in params]
    return each(params, lambda param: _ask(rows, market, op, param, request_id), broken=rows.skip)


def _ask(rows: Rows, market: str, op: str, row: Row, request_id: str | None) -> None:
    action = ACTIONS[op]
    columns: dict[str, Any] = {
        "action": action,
        "request_id": request_id,
        "symbol": optional_text(row, "currency_pair" if market == "spot" else "contract"),
    }
    if action == PLACE:
        quantity, unit, side, order_type = gate_orders.size_of(row)
        columns |= {
            "client_order_id": gate_orders.client_id(row),
            "side": side,
            "order_type": order_type,
            "time_in_force": gate_orders.time_in_force(row),
            "price": optional_amount(row, "price"),
            "quantity": quantity,
            "quantity_unit": unit,
        }
    elif op != "order_cancel_cp":
        named = identity(row, "order_id" if "order_id" in row else "id")
        if named is None:
            raise Broken("field order_id is missing")
        columns["client_order_id" if named.startswith("t-") else "order_id"] = named
    if action == AMEND:
        size = optional_amount(row, "amount") if market == "spot" else optional_number(row, "size")
        columns |= {
            "price": optional_amount(row, "price"),
            "quantity": None if size is None else size.copy_abs(),
            "quantity_unit": None if size is None else "base" if market == "spot" else "contract",
        }
    rows.order(REQUEST, **columns)


def acknowledged(rows: Rows, market: str, op: str, echo: Any, request_id: str | None) -> None:
    """Adds the orders of an acknowledgement, which repeats the request; without a trader's id it says nothing."""
    params = echo.get("req_param") if type(echo) is dict else None
    ask(rows, market, op, params if params is not None else [], request_id)
    said = {"kind": RESPONSE, **_unchanged(ACTIONS[op])}
    rows.orders[:] = [order._replace(**said) for order in rows.orders if order.client_order_id is not None]


def answer(rows: Rows, op: str | None, request: Request | None, request_id: str | None, result: Any) -> str | None:
    """Adds what an answer says of each order; returns the first thing that could not be read. `op` None: it is not known."""
    action = ACTIONS.get(op or "")
    asked = request.orders if request is not None else ()
    results = result if type(result) is list else [result]
    problem = None
    for index, item in enumerate(results):
        try:
            if type(item) is not dict:
                raise Broken("an order that is no object")
            if "orders" in item and type(item["orders"]) is list:  # open orders, by currency pair
                problem = answer(rows, op, None, request_id, item["orders"]) or problem
                continue
            order = asked[index] if len(asked) == len(results) else None
            _answer_one(rows, action, order, request_id, item)
        except Broken as error:
            rows.skip()
            problem = problem or str(error)
    return problem


def _answer_one(rows: Rows, action: str | None, asked: OrderEvent | None, request_id: str | None, item: Row) -> None:
    refused = item.get("succeeded") is False
    if not refused and gate_orders.symbol(item) is not None and ("amount" in item or "size" in item):
        gate_orders.order(rows, RESPONSE, item, action=action, request_id=request_id)
        return
    if action is None:
        raise Broken("an order without a size")
    label = optional_text(item, "label") if refused else None
    said: dict[str, Any] = {
        "request_id": request_id,
        "status": "REJECTED" if refused and action == PLACE else None,
        "status_raw": label,
        "reason": optional_text(item, "message") or label or "succeeded" if refused else None,
    }
    order_id = identity(item, "id" if "id" in item else "order_id")
    client_order_id = gate_orders.client_id(item)
    if asked is not None and _same(order_id, asked.order_id) and _same(client_order_id, asked.client_order_id):
        rows.rejoined(
            asked,
            order_id=order_id or asked.order_id,
            client_order_id=client_order_id or asked.client_order_id,
            **_unchanged(action),
            **said,
        )
    elif order_id or client_order_id:
        name = gate_orders.symbol(item)
        rows.order(RESPONSE, action=action, symbol=name, order_id=order_id, client_order_id=client_order_id, **said)
    else:
        raise Broken("an answer that names no order")


def _same(told: str | None, known: str | None) -> bool:
    return told is None or known is None or told == known


def _unchanged(action: str) -> Row:
    """What a short answer to an amendment leaves open."""
    return {"price": None, "quantity": None, "quantity_unit": None} if action == AMEND else {}


def refused(rows: Rows, op: str, request: Request | None, request_id: str | None, error: Row, unknown: bool) -> None:
    """Adds the refusal of a whole request. `unknown`: the server failed, so that the order may stand all the same."""
    action = ACTIONS[op]
    label = optional_text(error, "label")
    said: dict[str, Any] = {
        "request_id": request_id,
        "status": "REJECTED" if action == PLACE and not unknown else None,
        "status_raw": label,
        "reason": optional_text(error, "message") or optional_text(error, "detail") or label,
    }
    for order in (request.orders if request is not None else ()) or (None,):
        if order is None:
            rows.order(RESPONSE, action=action, **said)
        else:
            rows.rejoined(order, **_unchanged(action), **said)

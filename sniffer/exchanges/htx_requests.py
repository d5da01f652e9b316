"""What clients ask of HTX: REST calls, the same as websocket operations, and the orders that they name.

Spot says side and order type in one word (`buy-limit-maker`) and writes names with hyphens; contracts say `direction` and
`order_price_type` and write them with underscores. Docs: https://www.htx.com/en-us/opend/newApiPages/ (Spot: Trading,
Conditional Order, Websocket Trade; USDT-M futures: Swap Trade Interface).
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final, NamedTuple

from sniffer.exchanges.base import CANCEL, PLACE, REQUEST, Rows
from sniffer.exchanges.fields import each, identity, mapped, optional_amount, optional_text, text
from sniffer.exchanges.jsontext import Row
from sniffer.exchanges.numbers import Broken
from sniffer.model import OrderEvent

SIDES: Final = {"buy": "buy", "sell": "sell"}
SPOT_TYPES: Final = {
    "market": ("market", None),
    "limit": ("limit", None),
    "ioc": ("limit", "ioc"),
    "limit-maker": ("limit", "post_only"),
    "limit-fok": ("limit", "fok"),
    "stop-limit": ("stop_limit", None),
    "stop-limit-fok": ("stop_limit", "fok"),
}
"""What follows the side in an order type of spot: order type and time in force."""
CANCEL_REFUSALS: Final = {"-1": "already closed", "0": "client-order-id not found", "8": "failed"}
CANCEL_STATES: Final = {"5": "CANCELED", "6": "FILLED", "7": "CANCELED"}
"""Of the "cancellation status code" that answers a cancellation by the client's id; 10, "cancelling", and others are taken."""
ALGO_FORCES: Final = {"gtc": "gtc", "boc": "post_only", "ioc": "ioc", "fok": "fok"}
_CONTRACT_TYPES: Final = {"post_only": ("limit", "post_only"), "fok": ("limit", "fok"), "ioc": ("limit", "ioc")}


class Call(NamedTuple):
    """What is asked, and what that asks of an order (None: a query).

    `kind`: place, batch, algo, cancel, cancel-many, cancel-algo, cancel-all or query, after `contract-` for contracts.
    """

    kind: str
    action: str | None


_SPOT: Final = {
    ("POST", "/v1/order/orders/place"): Call("place", PLACE),
    ("POST", "/v1/order/auto/place"): Call("place", PLACE),
    ("POST", "/v1/order/batch-orders"): Call("batch", PLACE),
    ("POST", "/v2/algo-orders"): Call("algo", PLACE),
    ("POST", "/v2/algo-orders/cancellation"): Call("cancel-algo", CANCEL),
    ("POST", "/v1/order/orders/submitCancelClientOrder"): Call("cancel", CANCEL),
    ("POST", "/v1/order/orders/batchcancel"): Call("cancel-many", CANCEL),
    ("POST", "/v1/order/orders/batchCancelOpenOrders"): Call("cancel-all", CANCEL),
}
_CANCEL_ONE: Final = re.compile(r"/v1/order/orders/([0-9]+)/submitcancel")
_SPOT_QUERY: Final = re.compile(
    r"/v1/order/(?:openOrders|orders|history|matchresults|orders/getClientOrder|orders/[0-9]+(?:/matchresults)?)"
    r"|/v2/algo-orders/(?:opening|history|specific)"
)
_CONTRACT: Final = re.compile(r"/(?:linear-swap-api|swap-api|api)/v[0-9]+/(?:swap|contract)_(?:cross_)?(\w+)")
_CONTRACT_CALLS: Final = {
    "order": Call("contract-place", PLACE),
    "lightning_close_position": Call("contract-place", PLACE),
    "batchorder": Call("contract-batch", PLACE),
    "cancel": Call("contract-cancel", CANCEL),
    "cancelall": Call("contract-cancel-all", CANCEL),
    "order_info": Call("contract-query", None),
    "openorders": Call("contract-query", None),
    **dict.fromkeys(("hisorders", "hisorders_exact", "matchresults", "matchresults_exact"), Call("contract-query", None)),
}
_SPOT_OPERATIONS: Final = {
    "create-order": Call("place", PLACE),
    "create-margin-order": Call("place", PLACE),
    "create-batchorder": Call("batch", PLACE),
    "cancel": Call("cancel-many", CANCEL),
    "cancelall": Call("cancel-all", CANCEL),
}
_ORDER_PATH: Final = re.compile(
    r"/v1/order/(?!orders/[0-9]+/?$)|/v2/algo-orders(?!/cancel-all-after$)|.*_(?:order|batchorder|cancel|cancelall)$"
)
"""Of calls that may ask something of orders; a timer (`cancel-all-after`) does not by itself."""


class Request(NamedTuple):
    """A request that awaits its answer: the call, the orders that could be read, and whose it is."""

    call: Call | None
    orders: tuple[OrderEvent, ...]
    account: str | None


def rest_call(verb: str | None, path: str) -> tuple[Call | None, Row]:
    """The call that a method and a path stand for, and what the path says; None: not about orders.

    Raises `Broken` for one that may ask something of orders and is not known here.
    """
    verb = verb or ""
    if (call := _SPOT.get((verb, path))) is not None:
        return call, {}
    if verb == "POST" and (one := _CANCEL_ONE.fullmatch(path)) is not None:
        return Call("cancel", CANCEL), {"order-id": one[1]}
    if verb == "GET" and _SPOT_QUERY.fullmatch(path):
        return Call("query", None), {}
    contract = _CONTRACT.fullmatch(path)
    if contract is not None and contract[1] in _CONTRACT_CALLS:
        return _CONTRACT_CALLS[contract[1]], {}
    if verb == "POST" and _ORDER_PATH.match(path):
        raise Broken(f"an order call that is not known: {verb} {path}")
    return None, {}


def operation(document: Row) -> tuple[Call | None, Any]:
    """The call that a websocket request stands for, and its parameters; None: not about orders."""
    channel, op = document.get("ch"), document.get("op")
    if type(channel) is str and "params" in document:
        return _SPOT_OPERATIONS.get(channel), document["params"]
    if type(op) is str and op != "cancel":
        words = op.replace("create_", "").replace("cross_", "")
        return _CONTRACT_CALLS.get(words), document.get("data")
    return (_CONTRACT_CALLS["cancel"], document.get("data")) if op == "cancel" else (None, None)


def spot_type(word: str | None) -> tuple[str | None, str | None, str | None]:
    """Side, order type and time in force of a word such as `sell-limit-maker`."""
    if word is None:
        return None, None, None
    side, _, kind = word.partition("-")
    if side not in SIDES:
        raise Broken("field type: an unknown side")
    order_type, time_in_force = SPOT_TYPES.get(kind, (kind.lower() or None, None))
    return SIDES[side], order_type, time_in_force


def spot_unit(side: str | None, order_type: str | None) -> str:
    """What an amount counts: "for buy market order, it's order value"."""
    return "quote" if (side, order_type) == ("buy", "market") else "base"


def contract_type(word: str | None) -> tuple[str | None, str | None]:
    """Order type and time in force of an `order_price_type`; prices that the venue picks (`optimal_5`) keep their name."""
    if word is None:
        return None, None
    if word in _CONTRACT_TYPES:
        return _CONTRACT_TYPES[word]
    for force in ("ioc", "fok"):
        if word.endswith(f"_{force}"):
            return word[: -len(force) - 1], force
    return word.lower(), None


def ask(rows: Rows, call: Call, params: Any, request_id: str | None) -> str | None:
    """Adds the orders that a call names; returns the first thing that could not be read of an order of several."""
    if call.kind in ("batch", "contract-batch"):
        items = params.get("orders_data") if type(params) is dict else params
        read = _contract if call.kind == "contract-batch" else _spot
        return _several(rows, items, read, call, request_id)
    if type(params) is not dict:
        raise Broken("parameters that are no object")
    if call.kind == "cancel-many":
        ids = [{"order-id": one} for one in _ids(params, "order-ids")]
        ids += [{"client-order-id": one} for one in _ids(params, "client-order-ids")]
        return _several(rows, ids, _cancelled, call, request_id)
    if call.kind == "cancel-algo":
        return _several(
            rows, [{"client-order-id": one} for one in _ids(params, "clientOrderIds")], _cancelled, call, request_id
        )
    if call.kind == "contract-cancel":
        return _several(rows, _contract_ids(params), _cancelled, call, request_id)
    if call.kind == "cancel-all":
        symbols = optional_text(params, "symbol")
        side = mapped(params, "side", SIDES) if params.get("side") is not None else None
        columns: dict[str, Any] = {"symbol": symbols, "side": side}
    elif call.kind == "contract-cancel-all":
        columns = {"symbol": optional_text(params, "contract_code")}
    else:
        columns = {"place": _spot, "algo": _algo, "contract-place": _contract, "cancel": _cancelled}[call.kind](params)
    rows.order(REQUEST, action=call.action, request_id=request_id, **columns)
    return None


def _several(rows: Rows, items: Any, read: Any, call: Call, request_id: str | None) -> str | None:
    if type(items) is not list or not items:
        raise Broken("a call for several orders that names none")

    def add(item: Row) -> None:
        rows.order(REQUEST, action=call.action, request_id=request_id, **read(item))

    return each(items, add, broken=rows.skip)


def _spot(row: Row) -> dict[str, Any]:
    side, order_type, time_in_force = spot_type(text(row, "type"))
    unit = spot_unit(side, order_type)
    amount = optional_amount(row, "amount")
    if not amount and (value := optional_amount(row, "market-amount")):  # margin orders by value
        amount, unit = value, "quote"
    return {
        "symbol": text(row, "symbol"),
        "client_order_id": optional_text(row, "client-order-id"),
        "side": side,
        "order_type": order_type,
        "time_in_force": time_in_force,
        "price": optional_amount(row, "price"),
        "stop_price": optional_amount(row, "stop-price"),
        "quantity": amount,
        "quantity_unit": None if amount is None else unit,
    }


def algo_terms(row: Row) -> dict[str, Any]:
    """The columns of a conditional order that its request and the answers to queries share."""
    kind, force = optional_text(row, "orderType"), optional_text(row, "timeInForce")
    trailing = row.get("trailingRate") is not None
    size: Decimal | None = optional_amount(row, "orderSize")
    value = optional_amount(row, "orderValue") if size is None else None
    return {
        "symbol": text(row, "symbol"),
        "client_order_id": text(row, "clientOrderId"),
        "side": mapped(row, "orderSide", SIDES),
        "order_type": "trailing_stop" if trailing else {"limit": "stop_limit", "market": "stop"}.get(kind or "", kind),
        "time_in_force": ALGO_FORCES.get(force, force.lower()) if force else None,
        "price": optional_amount(row, "orderPrice"),
        "stop_price": optional_amount(row, "stopPrice"),
        "quantity": value if size is None else size,
        "quantity_unit": "base" if size is not None else "quote" if value is not None else None,
    }


def _algo(row: Row) -> dict[str, Any]:
    return algo_terms(row)


def _contract(row: Row) -> dict[str, Any]:
    order_type, time_in_force = contract_type(optional_text(row, "order_price_type"))
    volume = optional_amount(row, "volume")
    return {
        "symbol": optional_text(row, "contract_code"),
        "client_order_id": identity(row, "client_order_id"),
        "side": mapped(row, "direction", SIDES),
        "order_type": order_type,
        "time_in_force": time_in_force,
        "price": optional_amount(row, "price"),
        "quantity": volume,
        "quantity_unit": None if volume is None else "contract",
    }


def _cancelled(row: Row) -> dict[str, Any]:
    columns = {
        "symbol": optional_text(row, "contract_code"),
        "order_id": identity(row, "order-id"),
        "client_order_id": identity(row, "client-order-id"),
    }
    if columns["order_id"] is None and columns["client_order_id"] is None:
        raise Broken("a cancellation that names no order")
    return columns


def _ids(params: Row, key: str) -> list[Any]:
    value = params.get(key)
    if value is None:
        return []
    if type(value) is not list:
        raise Broken(f"field {key}: not a list")
    return value


def _contract_ids(params: Row) -> list[Row]:
    """Orders of contracts are cancelled by ids joined with commas."""
    found: list[Row] = []
    for key, name in (("order_id", "order-id"), ("client_order_id", "client-order-id")):
        ids = identity(params, key)
        if ids is not None:
            found += [{name: one.strip(), "contract_code": params.get("contract_code")} for one in ids.split(",")]
    return found

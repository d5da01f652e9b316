"""What clients ask of Binance's futures: the words of the API, its order requests, and how REST names them.

REST calls are read as the WebSocket API's method of the same meaning; batches and conditional orders of portfolio margin, which
only REST has, got names of their own. Docs: https://developers.binance.com/docs/derivatives (usds-margined-futures, trade:
websocket-api and rest-api; coin-margined-futures; portfolio-margin).
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from sniffer.exchanges.base import AMEND, CANCEL, PLACE, REQUEST, Rows
from sniffer.exchanges.binance_spot_requests import SIDES, Request
from sniffer.exchanges.calls import parameters
from sniffer.exchanges.fields import identity, mapped, optional_amount, optional_text
from sniffer.exchanges.jsontext import Row, parse
from sniffer.exchanges.numbers import Broken

__all__ = ["AMEND", "CANCEL", "PLACE", "SIDES", "Request"]

ORDER_TYPES: Final = {
    "LIMIT": "limit",
    "MARKET": "market",
    "STOP": "stop_limit",
    "STOP_MARKET": "stop",
    "TAKE_PROFIT": "take_profit_limit",
    "TAKE_PROFIT_MARKET": "take_profit",
    "TRAILING_STOP_MARKET": "trailing_stop",
}
TIMES_IN_FORCE: Final = {"GTX": "post_only"}
"""Words that do not mean themselves: GTX is "Good Till Crossing (Post Only)"."""


class Names(NamedTuple):
    """How one kind of order calls its fields, in requests and answers."""

    order_id: str
    client_id: str
    new_client_id: str
    kind: str
    """Order type in a request."""
    answered_kind: str
    status: str
    quantity: str
    """In an answer."""
    trigger: str


ORDER: Final = Names("orderId", "clientOrderId", "newClientOrderId", "type", "type", "status", "origQty", "stopPrice")
ALGO: Final = Names("algoId", "clientAlgoId", "clientAlgoId", "type", "orderType", "algoStatus", "quantity", "triggerPrice")
STRATEGY: Final = Names(
    "strategyId", "newClientStrategyId", "newClientStrategyId", "strategyType", "strategyType", "strategyStatus", "origQty",
    "stopPrice",
)  # fmt: skip
"""Conditional orders of portfolio margin, before they became algo orders."""

ACTIONS: Final = {
    "order.place": PLACE, "algoOrder.place": PLACE, "strategy.place": PLACE, "batch.place": PLACE,
    "order.modify": AMEND, "batch.modify": AMEND,
    "order.cancel": CANCEL, "algoOrder.cancel": CANCEL, "strategy.cancel": CANCEL, "batch.cancel": CANCEL, "all.cancel": CANCEL,
}  # fmt: skip
QUERIES: Final = frozenset(("order.status", "trades"))
"""Methods whose answers tell states of orders, or fills."""
LOGINS: Final = frozenset(("session.logon", "session.status", "session.logout"))
ORDER_METHODS: Final = ("order.", "algoOrder.")
"""How methods begin that may be order requests, known or not."""

_PREFIXES: Final = ("/fapi/v1/", "/dapi/v1/", "/papi/v1/um/", "/papi/v1/cm/")
_REST: Final = {
    ("POST", "order"): "order.place",
    ("PUT", "order"): "order.modify",
    ("DELETE", "order"): "order.cancel",
    ("POST", "order/test"): "order.test",
    ("POST", "batchOrders"): "batch.place",
    ("PUT", "batchOrders"): "batch.modify",
    ("DELETE", "batchOrders"): "batch.cancel",
    ("DELETE", "allOpenOrders"): "all.cancel",
    ("POST", "algoOrder"): "algoOrder.place",
    ("DELETE", "algoOrder"): "algoOrder.cancel",
    ("DELETE", "algoOpenOrders"): "all.cancel",
    ("POST", "algo/order"): "algoOrder.place",  # this and the like: portfolio margin's
    ("DELETE", "algo/order"): "algoOrder.cancel",
    ("DELETE", "algo/allOpenOrders"): "all.cancel",
    ("POST", "conditional/order"): "strategy.place",
    ("DELETE", "conditional/order"): "strategy.cancel",
    ("DELETE", "conditional/allOpenOrders"): "all.cancel",
    ("GET", "userTrades"): "trades",
    **{
        ("GET", path): "order.status"
        for path in (
            "order", "openOrder", "openOrders", "allOrders", "forceOrders", "algoOrder", "openAlgoOrders", "allAlgoOrders",
            "algo/algoOrder", "algo/openAlgoOrders", "algo/allAlgoOrders",
            "conditional/openOrder", "conditional/openOrders", "conditional/orderHistory", "conditional/allOrders",
        )
    },
}  # fmt: skip
REST: Final = {(verb, prefix + path): method for prefix in _PREFIXES for (verb, path), method in _REST.items()}
LISTEN_KEY_PATHS: Final = ("/fapi/v1/listenKey", "/dapi/v1/listenKey", "/papi/v1/listenKey")
_ORDER_PATH: Final = re.compile(r"/[fdp]api/v\d/\S*order", re.IGNORECASE)
_CONTRACTS: Final = re.compile(r"USD_(?:PERP|[0-9]{6})")


def unit_of(symbol: str | None) -> str:
    """What quantities of a symbol count: contracts on COIN-M (`BTCUSD_PERP`, `BTCUSD_260925`), else the base asset."""
    return "contract" if symbol is not None and _CONTRACTS.search(symbol) else "base"


def order_type(row: Row, key: str) -> str | None:
    """The order type in the words of the tables; a word that is not known in lower case."""
    word = optional_text(row, key)
    return None if word is None else ORDER_TYPES.get(word, word.lower())


def time_in_force(row: Row, key: str) -> str | None:
    """Likewise the time in force."""
    word = optional_text(row, key)
    return None if word is None else TIMES_IN_FORCE.get(word, word.lower())


def ask(rows: Rows, method: str, params: Row, request_id: str | None) -> None:
    """Adds the orders that an order request names."""
    kind, _, verb = method.partition(".")
    if kind == "batch":
        for item in _cancelled(params) if verb == "cancel" else _listed(params, "batchOrders"):
            if type(item) is not dict:
                raise Broken("an order that is no object")
            _ask_one(rows, ORDER, ACTIONS[method], item, request_id)
    elif kind == "all":  # of a symbol: no single order is named
        rows.order(REQUEST, symbol=optional_text(params, "symbol"), action=CANCEL, request_id=request_id)
    else:
        names = {"order": ORDER, "algoOrder": ALGO, "strategy": STRATEGY}[kind]
        _ask_one(rows, names, ACTIONS[method], params, request_id)


def _ask_one(rows: Rows, names: Names, action: str, params: Row, request_id: str | None) -> None:
    symbol = optional_text(params, "symbol")
    if action == PLACE:
        order_id, client_id = None, optional_text(params, names.new_client_id)
    else:
        order_id = identity(params, names.order_id)
        client_id = optional_text(params, "origClientOrderId" if names is ORDER else names.client_id)
    quantity = None if action == CANCEL else optional_amount(params, "quantity")
    rows.order(
        REQUEST,
        symbol=symbol,
        action=action,
        request_id=request_id,
        order_id=order_id,
        client_order_id=client_id,
        side=mapped(params, "side", SIDES) if params.get("side") is not None else None,
        order_type=order_type(params, names.kind) if action == PLACE else None,
        time_in_force=time_in_force(params, "timeInForce"),
        price=optional_amount(params, "price"),
        stop_price=optional_amount(params, names.trigger),
        quantity=quantity,
        quantity_unit=None if quantity is None else unit_of(symbol),
    )


def _cancelled(params: Row) -> list[Any]:
    """The orders of a batch cancellation, each as the single call would name it. Clients write the lists in lower case, too."""
    symbol = params.get("symbol")
    given = {name.lower(): value for name, value in params.items()}
    by_id = [("orderId", value) for value in _listed(given, "orderidlist")]
    by_client = [("origClientOrderId", value) for value in _listed(given, "origclientorderidlist")]
    return [{"symbol": symbol, key: value} for key, value in by_id + by_client]


def _listed(params: Row, key: str) -> list[Any]:
    """A list, written as JSON inside a parameter."""
    value = params.get(key)
    if value is None:
        return []
    if type(value) is str:
        value = parse(value.encode("utf-8", "surrogatepass"))
    if type(value) is not list:
        raise Broken(f"field {key}: not a list")
    return value


def rest_call(verb: str | None, target: str | None) -> tuple[str | None, str, Row]:
    """The method that a REST call stands for (None: not one about orders), its path, and the parameters of its query.

    Raises `Broken` for a call that changes orders in a way that is not known here.
    """
    path, _, query = (target or "").partition("?")
    method = REST.get((verb or "", path))
    if method is None and verb in ("POST", "PUT", "DELETE") and _ORDER_PATH.match(path):
        raise Broken(f"an order call that is not known: {verb} {path}")
    return method, path, parameters(query) if method else {}

"""HTX's version 5 of USDT-M contracts: calls under /v5/, operations of /linear-swap-trade, and pushes of /ws/v5/notification.

Side, type and state are plain words here, quantities count contracts, times and numbers are texts. A conditional order has an
`algo_id`; what it becomes when it triggers is an order of its own. Pushes tell trades under an `id`, "Trade ID", of the match,
the order and a count; a query tells them under another, "Query ID". Both have a `trade_id`, in some examples the match's, which
several trades may share, and in others a number of another kind: nothing tells for sure which trade of a query is which of the
pushes', so only pushes make fills.
Docs: https://www.htx.com/en-us/opend/newApiPages/ (USDT-M futures, version 5: Orders, Algo Orders, Private Channels, Websocket
Trade), and the HTX SDK for Java (topics, operations and the fields of each).
"""

from __future__ import annotations

from typing import Any, Final

from sniffer.exchanges.base import CANCEL, PLACE, REQUEST, Rows
from sniffer.exchanges.fields import amount, each, identity, mapped, optional_amount, optional_text, text, time
from sniffer.exchanges.htx_requests import SIDES, Call
from sniffer.exchanges.jsontext import Row
from sniffer.exchanges.numbers import MILLISECONDS, Broken

PATHS: Final = "/v5/"
PLACES: Final = Call("v5-place", PLACE)
PLACES_ALGO: Final = Call("v5-algo", PLACE)
CLOSES: Final = Call("v5-close", PLACE)
CANCELS: Final = Call("v5-cancel", CANCEL)
CANCELS_ALL: Final = Call("v5-cancel-all", CANCEL)
ORDERS: Final = Call("v5-orders", None)
TRADES: Final = Call("v5-trades", None)
CALLS: Final = frozenset((PLACES, PLACES_ALGO, CLOSES, CANCELS, CANCELS_ALL, ORDERS, TRADES))

_TRADE: Final = "/v5/trade/"
_ALGO: Final = "/v5/algo/"
_REST: Final = {
    **dict.fromkeys((("POST", _TRADE + name) for name in ("order", "batch_orders")), PLACES),
    **dict.fromkeys((("POST", _TRADE + name) for name in ("position", "position_all")), CLOSES),
    **dict.fromkeys((("POST", _TRADE + name) for name in ("cancel_order", "cancel_batch_orders")), CANCELS),
    ("POST", _TRADE + "cancel_all_orders"): CANCELS_ALL,
    ("POST", _ALGO + "order"): PLACES_ALGO,
    ("POST", _ALGO + "cancel_orders"): CANCELS,
    **dict.fromkeys((("GET", f"{path}order{name}") for path in (_TRADE, _ALGO) for name in ("", "/opens", "/history")), ORDERS),
    ("GET", _TRADE + "order/details"): TRADES,
}
_TIMER: Final = _TRADE + "cancel-after"
OPERATIONS: Final = {
    "place_order": PLACES,
    "place_batch_orders": PLACES,
    "cancel_order": CANCELS,
    "cancel_batch_orders": CANCELS,
    "cancel_all_orders": CANCELS_ALL,
}

STATUSES: Final = {
    "new": "NEW",
    "partially_filled": "PARTIALLY_FILLED",
    "filled": "FILLED",
    "partially_canceled": "CANCELED",
    "canceled": "CANCELED",
    "rejected": "REJECTED",
}
ALGO_STATUSES: Final = {"active": "PENDING_TRIGGER", "canceled": "CANCELED"}
"""The states of conditional orders that are known; the pages do not list them."""
LIQUIDITY: Final = {word: word.lower() for role in ("maker", "taker") for word in (role, role.upper(), role.capitalize())}
_TERMS: Final = {"tp": "take_profit", "sl": "stop", "post_only": "limit"}
NO_TRADES: Final = "trades of order/details, whose ids are not those of the pushes: they make no fills"


def rest_call(verb: str | None, path: str) -> Call | None:
    """As `htx_requests.rest_call`."""
    call = _REST.get((verb or "", path))
    if call is None and verb == "POST" and path.startswith((_TRADE, _ALGO)) and path != _TIMER:
        raise Broken(f"an order call that is not known: {verb} {path}")
    return call


# --- requests ------------------------------------------------------------------------------------------------------------


def ask(rows: Rows, call: Call, params: Any, request_id: str | None) -> str | None:
    """Adds the orders that a call names; returns the first thing that could not be read of an order of several."""
    items = params if type(params) is list else [params]
    if not items:
        raise Broken("a call for several orders that names none")
    read = {PLACES: _placed, PLACES_ALGO: _placed_algo, CANCELS: _cancelled}.get(call, _of_a_contract)

    def add(item: Row) -> None:
        for columns in read(item):
            rows.order(REQUEST, action=call.action, request_id=request_id, **columns)

    return each(items, add, broken=rows.skip)


def _placed(row: Row) -> list[Row]:
    volume = optional_amount(row, "volume")
    return [
        {
            "symbol": text(row, "contract_code"),
            "client_order_id": identity(row, "client_order_id"),
            "side": mapped(row, "side", SIDES),
            "price": optional_amount(row, "price"),
            "quantity": volume,
            "quantity_unit": None if volume is None else "contract",
            **_terms(row),
        }
    ]


def _placed_algo(row: Row) -> list[Row]:
    return [{"client_order_id": identity(row, "algo_client_order_id"), **_algo_terms(row)}]


def _of_a_contract(row: Row) -> list[Row]:
    """A position that is to be closed, or orders that are to be cancelled: of a contract, or all."""
    return [
        {
            "symbol": optional_text(row, "contract_code"),
            "client_order_id": identity(row, "client_order_id"),
            "side": mapped(row, "side", SIDES) if row.get("side") is not None else None,
        }
    ]


def _cancelled(row: Row) -> list[Row]:
    """The orders that a cancellation names, by both ids of one or by lists of either id."""
    symbol = optional_text(row, "contract_code")
    named: Row = {
        "order_id": row.get("order_id", row.get("algo_id")),
        "client_order_id": row.get("client_order_id", row.get("algo_client_order_id")),
    }
    if list in map(type, named.values()):
        found = [{name: one} for name, ids in named.items() for one in (ids if type(ids) is list else [ids])]
    else:
        found = [named]
    orders = [{name: identity(one, name) for name in one} for one in found]
    orders = [{"symbol": symbol, **one} for one in orders if any(one.values())]
    if not orders:
        raise Broken("a cancellation that names no order")
    return orders


def _terms(row: Row) -> dict[str, Any]:
    """Order type and time in force; a price that the venue picks (`optimal_5`) keeps its name, as in the calls before."""
    word, force = optional_text(row, "type"), optional_text(row, "time_in_force")
    post_only = word == "post_only"
    return {
        "order_type": optional_text(row, "price_match") or (_TERMS.get(word, word.lower()) if word else None),
        "time_in_force": "post_only" if post_only else force.lower() if force else None,
    }


def _algo_terms(row: Row) -> dict[str, Any]:
    """What a conditional order asks for: its prices stand under names that begin with its type, `tp` or `sl`."""
    word = text(row, "type")
    trigger, limit = {"tp": ("tp_trigger_price", "tp_order_price"), "sl": ("sl_trigger_price", "sl_order_price")}.get(
        word, ("trigger_price", "price")
    )
    volume = optional_amount(row, "volume")
    return {
        "symbol": text(row, "contract_code"),
        "side": mapped(row, "side", SIDES) if row.get("side") is not None else None,
        "order_type": _TERMS.get(word, word.lower()),
        "price": optional_amount(row, limit) or None,  # 0: at the market
        "stop_price": optional_amount(row, trigger),
        "quantity": volume,
        "quantity_unit": None if volume is None else "contract",
    }


# --- what is told --------------------------------------------------------------------------------------------------------


def order(rows: Rows, kind: str, row: Row, request_id: str | None = None) -> None:
    """Adds an order as pushes and queries tell it, a conditional one too."""
    state = text(row, "state")
    said: dict[str, Any]
    if "algo_id" in row:
        ids = {"order_id": identity(row, "algo_id"), "client_order_id": identity(row, "algo_client_order_id")}
        said = {"status": ALGO_STATUSES.get(state), **ids, **_algo_terms(row)}
    else:
        (terms,) = _placed(row)
        filled = "total_trade_volume" if "total_trade_volume" in row else "trade_volume"
        said = {
            **terms,
            "order_id": identity(row, "order_id"),
            "status": STATUSES.get(state),
            "filled_quantity": optional_amount(row, filled),
            "average_price": optional_amount(row, "trade_avg_price") or None,
            "reason": optional_text(row, "cancel_reason"),
        }
    if said["order_id"] is None:
        raise Broken("an order without its id")
    at = "match_time" if "match_time" in row else "updated_time"
    rows.order(kind, exchange_time=time(row, at, MILLISECONDS), request_id=request_id, status_raw=state, **said)


def trade(rows: Rows, row: Row, *, at: str = "updated_time") -> None:
    """Adds a trade; its `updated_time` is "defaulting to execution time". The sign of its `trade_fee` is not known."""
    trade_id, order_id = identity(row, "id"), identity(row, "order_id")
    if trade_id is None or order_id is None:
        raise Broken("a trade without its id, or its order's")
    role = optional_text(row, "role")
    rows.fill(
        exchange_time=time(row, at, MILLISECONDS),
        symbol=text(row, "contract_code"),
        trade_id=trade_id,
        order_id=order_id,
        client_order_id=identity(row, "client_order_id"),
        side=mapped(row, "side" if "side" in row else "direction", SIDES),
        price=amount(row, "trade_price"),
        quantity=amount(row, "trade_volume"),
        quantity_unit="contract",
        liquidity=LIQUIDITY.get(role) if role else None,
    )

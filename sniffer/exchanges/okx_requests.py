"""What clients ask of OKX, over websocket and REST, and what OKX answers: each order of a batch has a result of its own.

A REST call is read as the websocket operation of the same meaning. Docs: https://www.okx.com/docs-v5/en/.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from sniffer.exchanges.base import AMEND, CANCEL, PLACE, REQUEST, RESPONSE, Rows
from sniffer.exchanges.fields import each, identity, mapped, optional_amount, optional_number, optional_text, text, time
from sniffer.exchanges.instruments import Instruments
from sniffer.exchanges.jsontext import Row, parse_object
from sniffer.exchanges.numbers import MILLISECONDS, Broken
from sniffer.exchanges.okx_orders import LEGS, SIDES, Legs, algo_prices, terms, unit
from sniffer.model import OrderEvent

ACTIONS: Final = {
    "order": PLACE,
    "batch-orders": PLACE,
    "cancel-order": CANCEL,
    "batch-cancel-orders": CANCEL,
    "mass-cancel": CANCEL,
    "amend-order": AMEND,
    "batch-amend-orders": AMEND,
    "sprd-order": PLACE,
    "sprd-cancel-order": CANCEL,
    "sprd-mass-cancel": CANCEL,
    "sprd-amend-order": AMEND,
    "order-algo": PLACE,
    "cancel-algos": CANCEL,
    "amend-algos": AMEND,
    "close-position": PLACE,
}
"""Operations about orders. The last four are of REST alone."""
ALGOS: Final = frozenset(("order-algo", "cancel-algos", "amend-algos"))
PLACED: Final[Legs] = (("orderPx", "triggerPx"), *LEGS)
AMENDED: Final[Legs] = (
    ("newOrdPx", "newTriggerPx"), ("newSlOrdPx", "newSlTriggerPx"), ("newTpOrdPx", "newTpTriggerPx"),
)  # fmt: skip
"""Legs of an algo order as the requests name their prices."""
NAMELESS: Final = frozenset(("mass-cancel", "sprd-mass-cancel", "close-position"))
"""Those whose answers name no order."""

_TRADE: Final = "/api/v5/trade/"
_SPREAD: Final = "/api/v5/sprd/"
REST: Final = {
    **{("POST", _TRADE + name): name for name in ("order", "batch-orders", "cancel-order", "amend-order", "mass-cancel")},
    **{("POST", _TRADE + name): name for name in ("order-algo", "cancel-algos", "amend-algos", "close-position")},
    ("POST", _TRADE + "cancel-batch-orders"): "batch-cancel-orders",
    ("POST", _TRADE + "amend-batch-orders"): "batch-amend-orders",
    ("POST", _TRADE + "cancel-advance-algos"): "cancel-algos",
    **{("POST", _SPREAD + name): f"sprd-{name}" for name in ("order", "cancel-order", "amend-order", "mass-cancel")},
    **{("GET", _TRADE + name): "orders" for name in ("order", "orders-pending", "orders-history", "orders-history-archive")},
    **{("GET", _TRADE + name): "fills" for name in ("fills", "fills-history")},
    **{("GET", _TRADE + name): "algos" for name in ("order-algo", "orders-algo-pending", "orders-algo-history")},
    **{("GET", _SPREAD + name): "sprd-orders" for name in ("order", "orders-pending", "orders-history")},
    ("GET", _SPREAD + "orders-history-archive"): "sprd-orders",
    ("GET", _SPREAD + "trades"): "sprd-trades",
    ("GET", "/api/v5/public/instruments"): "instruments",
    ("GET", "/api/v5/account/instruments"): "instruments",
}
"""What a call asks for: an operation, or the channel whose messages its answer resembles."""
NO_ORDERS: Final = frozenset(
    _TRADE + name for name in ("order-precheck", "easy-convert", "one-click-repay", "one-click-repay-v2", "cancel-all-after")
)
"""Calls that change no order by themselves (`cancel-all-after` sets a timer; what it cancels is told by the order channel)."""

OUTCOME_UNKNOWN: Final = frozenset(("50004", "50026"))
"""Endpoint request timeout, which "does not indicate success or failure of order", and system error."""
DONE: Final = "0"
ILLEGAL: Final = "Illegal request"
"""What an error says, code 60012, before a colon and the request."""
_OPERATION: Final = re.compile(r'"op"\s*:\s*"[\w\-]*(?:order|cancel)')
PER_ORDER: Final = ("1", "2")
"""All, or some, of the orders have failed: which and why is told of each."""


class Request(NamedTuple):
    """A request that awaits its answer. `orders` are in the order of the request; None: one that could not be read."""

    op: str
    orders: tuple[OrderEvent | None, ...]
    account: str | None


def ask(rows: Rows, op: str, args: list[Any], request_id: str | None, instruments: Instruments) -> str | None:
    """Adds the orders that a request names; returns the first thing that could not be read, if anything."""
    return each(args, lambda arg: _ask(rows, op, arg, request_id, instruments), broken=rows.skip)


def _ask(rows: Rows, op: str, arg: Row, request_id: str | None, instruments: Instruments) -> None:
    action = ACTIONS[op]
    columns: dict[str, Any] = {"symbol": _symbol(op, arg, instruments), "action": action, "request_id": request_id}
    if not op.endswith("mass-cancel"):
        order_key, client_key = ("algoId", "algoClOrdId") if op in ALGOS else ("ordId", "clOrdId")
        columns |= {"order_id": identity(arg, order_key), "client_order_id": optional_text(arg, client_key)}
    if op == "close-position":  # the venue finds side and quantity
        columns["order_type"] = "market"
    elif action == PLACE:
        order_type, time_in_force = terms(arg)
        size = optional_amount(arg, "sz")
        price, stop_price = algo_prices(arg, PLACED) if op in ALGOS else (optional_number(arg, "px"), None)
        columns |= {
            "side": mapped(arg, "side", SIDES),
            "order_type": order_type,
            "time_in_force": time_in_force,
            "price": price,
            "stop_price": stop_price,
            "quantity": size,
            "quantity_unit": None if size is None else unit(arg, columns["symbol"]),
        }
    elif action == AMEND:
        size = optional_amount(arg, "newSz")
        price, stop_price = algo_prices(arg, AMENDED) if op in ALGOS else (optional_number(arg, "newPx"), None)
        columns |= {
            "price": price,
            "stop_price": stop_price,
            "quantity": size,
            "quantity_unit": None if size is None else unit(arg, columns["symbol"]),
        }
    rows.order(REQUEST, **columns)


def _symbol(op: str, arg: Row, instruments: Instruments) -> str | None:
    """`instIdCode`, the instrument's number, "takes precedence" over its name where both are given."""
    if op.startswith("sprd-"):
        return optional_text(arg, "sprdId")
    code = identity(arg, "instIdCode")
    return optional_text(arg, "instId") if code is None else instruments.symbol(code)


def repeated(error: Row) -> Row:
    """The request that an error without an id repeats in its text; an empty one where it repeats none.

    Raises `Broken` for one that may be about orders and cannot be read.
    """
    said = optional_text(error, "msg") or ""
    begin, _, request = said.partition(": ")
    if begin != ILLEGAL:
        return {}
    try:
        return parse_object(request.encode("utf-8", "surrogatepass"))
    except Broken:
        if _OPERATION.search(request) is not None:
            raise Broken("an error that repeats a part of an order request") from None
        return {}


def answer(rows: Rows, op: str, request: Request | None, request_id: str | None, document: Row, failed: bool) -> str | None:
    """Adds what an answer says of each order of its request; returns the first thing that could not be read, if anything.

    `failed`: the server did (HTTP status 5xx), so that the order may stand all the same.
    """
    code = text(document, "code")
    data = document.get("data")
    asked = request.orders if request is not None else ()
    if type(data) is not list:
        if data is not None:
            raise Broken("field data: not a list")
        data = []
    if not any(type(item) is dict and "sCode" in item for item in data):  # of the request as a whole
        _answer_whole(rows, op, asked, request_id, code, document, failed)
        return None
    problem = None
    for index, item in enumerate(data):
        try:
            if type(item) is not dict:
                raise Broken("a result that is no object")
            _answer_one(rows, op, _asked(asked, index, len(data), item, op), request_id, item, failed)
        except Broken as error:
            rows.skip()
            problem = problem or str(error)
    return problem


def _answer_whole(
    rows: Rows, op: str, asked: tuple[OrderEvent | None, ...], request_id: str | None, code: str, document: Row, failed: bool
) -> None:
    if op not in NAMELESS and (code in (DONE, *PER_ORDER) or document.get("data")):
        raise Broken("an answer that says nothing of its orders")
    said = {"request_id": request_id, **_verdict(op, code, optional_text(document, "msg"), failed)}
    for order in asked or (None,):
        if order is None:
            rows.order(RESPONSE, action=ACTIONS[op], **said)
        else:
            rows.rejoined(order, **_unchanged(op), **said)


def _answer_one(rows: Rows, op: str, asked: OrderEvent | None, request_id: str | None, item: Row, failed: bool) -> None:
    order_key, client_key = ("algoId", "algoClOrdId") if op in ALGOS else ("ordId", "clOrdId")
    said: dict[str, Any] = {
        "request_id": request_id,
        "exchange_time": time(item, "ts", MILLISECONDS) if item.get("ts") not in (None, "") else None,
        **_verdict(op, text(item, "sCode"), optional_text(item, "sMsg"), failed),
    }
    order_id, client_order_id = identity(item, order_key), optional_text(item, client_key)
    if asked is None:
        rows.order(RESPONSE, action=ACTIONS[op], order_id=order_id, client_order_id=client_order_id, **said)
        return
    rows.rejoined(
        asked,
        order_id=order_id or asked.order_id,
        client_order_id=client_order_id or asked.client_order_id,
        **_unchanged(op),
        **said,
    )


def _verdict(op: str, code: str, message: str | None, failed: bool) -> Row:
    """Status and reason of a result: an order that is taken has no state yet, it is told by the order channel."""
    if code == DONE:
        return {"status": None, "status_raw": None, "reason": None}
    rejected = ACTIONS[op] == PLACE and not failed and code not in OUTCOME_UNKNOWN
    return {"status": "REJECTED" if rejected else None, "status_raw": code, "reason": message or code}


def _unchanged(op: str) -> Row:
    """What an answer to an amendment leaves open: that it is taken does not mean that it has been made."""
    return {"price": None, "stop_price": None, "quantity": None, "quantity_unit": None} if ACTIONS[op] == AMEND else {}


def _asked(asked: tuple[OrderEvent | None, ...], index: int, results: int, item: Row, op: str) -> OrderEvent | None:
    """The order that the result at `index` is about: results stand in the order of the request; ids may not differ."""
    order = asked[index] if len(asked) == results else None
    if order is None:
        return None
    order_key, client_key = ("algoId", "algoClOrdId") if op in ALGOS else ("ordId", "clOrdId")
    for told, known in ((item.get(order_key), order.order_id), (item.get(client_key), order.client_order_id)):
        if told and known and told != known:
            return None
    return order

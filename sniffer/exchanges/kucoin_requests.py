"""What clients ask of KuCoin, over websocket and REST, and what KuCoin answers.

The WebSocket API takes the parameters of REST ("Business parameters, same as RestAPI"), so both are read alike.
Docs: https://www.kucoin.com/docs-new/ (Add Order, Cancel Order, Modify Order, WebSocket Add Order, Pro: Place Order).
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from sniffer.exchanges.base import AMEND, CANCEL, PLACE, REQUEST, RESPONSE, Rows
from sniffer.exchanges.fields import each, identity, mapped, optional_amount, optional_text
from sniffer.exchanges.jsontext import Row
from sniffer.exchanges.kucoin_orders import SIDES, UNITS, lower, moment, size_of, time_in_force, unit_of
from sniffer.exchanges.numbers import Broken
from sniffer.model import OrderEvent

CANCEL_ALL: Final = "cancel all"
ORDERS: Final = "orders"
FILLS: Final = "fills"
ACTIONS: Final = {PLACE: PLACE, CANCEL: CANCEL, AMEND: AMEND, CANCEL_ALL: CANCEL}
"""Operations that change orders. `cancel all` names none; `orders` and `fills` are queries."""

WS_OPS: Final = {
    **dict.fromkeys(("spot.order", "spot.sync_order", "margin.order", "futures.order", "futures.multi_order"), PLACE),
    **dict.fromkeys(("spot.cancel", "spot.sync_cancel", "margin.cancel", "futures.cancel", "futures.multi_cancel"), CANCEL),
    "spot.modify": AMEND,
}
_ORDERS: Final = r"/api/v\d/(?:hf/)?(?:margin/)?orders"
_UNIFIED: Final = r"/api/ua/v\d/(?:unified|classic)/order"
_CALLS: Final = tuple(
    (verb, re.compile(path), op)
    for verb, path, op in (
        ("POST", _ORDERS + r"(?:/sync|/multi|/multi/sync)?", PLACE),
        ("POST", r"/api/v\d/(?:hf/)?margin/order|/api/v1/stop-order|/api/v1/st-orders|/api/v3/oco/order", PLACE),
        ("POST", _UNIFIED + r"/(?:place|place-batch)", PLACE),
        ("POST", _ORDERS + r"/alter", AMEND),
        ("POST", _UNIFIED + r"/amend", AMEND),
        ("POST", _UNIFIED + r"/(?:cancel|cancel-batch)", CANCEL),
        ("POST", _UNIFIED + r"/(?:cancel-all\S*|cancel-symbol\S*)", CANCEL_ALL),
        ("DELETE", _ORDERS + r"(?:/cancelAll)?|/api/v1/stopOrders|/api/v1/stop-order/cancel|/api/v3/oco/orders", CANCEL_ALL),
        ("DELETE", _ORDERS + r"/multi-cancel|/api/v1/stop-order/cancelOrderByClientOid", CANCEL),
        ("DELETE", _ORDERS + r"/(?:sync/)?client-order/(?P<client>[^/]+)", CANCEL),
        ("DELETE", r"/api/v\d/(?:oco/)?(?:order/)?client-order/(?P<client>[^/]+)", CANCEL),
        ("DELETE", _ORDERS + r"/cancel/(?P<id>[^/]+)", AMEND),  # of a part of its size: the rest stays
        ("DELETE", _ORDERS + r"/(?:sync/)?(?P<id>[^/]+)", CANCEL),
        ("DELETE", r"/api/v1/stop-order/(?P<id>[^/]+)|/api/v3/oco/order/(?P<oco>[^/]+)", CANCEL),
        ("GET", _ORDERS + r"(?:/active|/active/page|/done|/client-order/[^/]+|/byClientOid|/[0-9a-zA-Z\-]+)?", ORDERS),
        ("GET", r"/api/v1/(?:stopOrders|recentDoneOrders|limit/orders|order/client-order/[^/]+)", ORDERS),
        ("GET", r"/api/v1/stop-order(?:/[^/]+)?", ORDERS),
        ("GET", _UNIFIED + r"/(?:detail|open-list|history)", ORDERS),
        ("GET", r"/api/v\d/(?:hf/)?(?:margin/)?(?:limit/)?(?:fills|recentFills)", FILLS),
        ("GET", _UNIFIED + r"/execution", FILLS),
    )
)
_ORDER_CALL: Final = re.compile(r"/api/\S*order(?!s?/test|s/dead-cancel)\S*", re.IGNORECASE)

DONE: Final = ("200000", "200")
OUTCOME_UNKNOWN: Final = frozenset(("500000",))
"""Internal server error: the order may stand all the same."""


class Request(NamedTuple):
    """A request that awaits its answer. `orders` are in the order of the request; None: one that could not be read."""

    op: str | None
    orders: tuple[OrderEvent | None, ...]
    account: str | None


def rest_call(verb: str | None, path: str) -> tuple[str | None, Row]:
    """What a call asks for (None: nothing about orders), and the parameters of its path.

    Raises `Broken` for one that changes orders in a way that is not known here.
    """
    for its_verb, pattern, op in _CALLS:
        if verb == its_verb and (match := pattern.fullmatch(path)) is not None:
            names = match.groupdict()
            if client := names.get("client"):
                return op, {"clientOid": client}
            order_id = names.get("id") or names.get("oco")
            return op, {"orderId": order_id} if order_id else {}
    if verb in ("POST", "PUT", "DELETE") and _ORDER_CALL.fullmatch(path):
        raise Broken(f"an order call that is not known: {verb} {path}")
    return None, {}


def listed(body: Any) -> list[Any]:
    """The orders of a request: a list of them, a list in an envelope, or one."""
    if type(body) is list:
        return body
    if type(body) is not dict:
        return [body]
    for key in ("orderList", "cancelOrderList", "items"):
        if type(several := body.get(key)) is list:
            shared = {"symbol": body["symbol"]} if "symbol" in body else {}
            return [{**shared, **item} if type(item) is dict else item for item in several]
    if type(ids := body.get("orderIdsList")) is list:
        return [{"orderId": order_id} for order_id in ids]
    if type(client_ids := body.get("clientOidsList")) is list:
        return client_ids
    return [body]


def ask(rows: Rows, op: str, params: list[Any], request_id: str | None) -> str | None:
    """Adds the orders that a request names; returns the first thing that could not be read, if anything."""
    return each(params, lambda param: _ask(rows, op, param, request_id), broken=rows.skip)


def _ask(rows: Rows, op: str, row: Row, request_id: str | None) -> None:
    symbol = optional_text(row, "symbol")
    columns: dict[str, Any] = {"action": ACTIONS[op], "request_id": request_id, "symbol": symbol}
    if op != CANCEL_ALL:
        columns |= {"order_id": identity(row, "orderId"), "client_order_id": optional_text(row, "clientOid")}
    if op == PLACE:
        quantity, unit = size_of(row, symbol, "size")
        columns |= {
            "side": None if row.get("closeOrder") is True and row.get("side") is None else mapped(row, "side", SIDES),
            "order_type": _order_type(row),
            "time_in_force": time_in_force(row),
            "price": optional_amount(row, "price"),
            "stop_price": optional_amount(row, "stopPrice" if "stopPrice" in row else "triggerPrice"),
            "quantity": quantity,
            "quantity_unit": UNITS.get(optional_text(row, "sizeUnit") or "", unit),
        }
    elif op == AMEND:
        size = optional_amount(row, "newSize")
        columns |= {
            "price": optional_amount(row, "newPrice"),
            "quantity": size,
            "quantity_unit": None if size is None else unit_of(symbol),
        }
    elif op == CANCEL and columns["order_id"] is None and columns["client_order_id"] is None:
        raise Broken("field orderId or clientOid is missing")
    rows.order(REQUEST, **columns)


def _order_type(row: Row) -> str | None:
    """`limit` (KuCoin's default) or `market`; with a stop price the stop of that name. An OCO has the prices of both legs."""
    if row.get("limitPrice") not in (None, ""):
        return "oco"
    word = lower(row, "orderType" if "orderType" in row else "type") or "limit"
    if row.get("stopPrice" if "stopPrice" in row else "triggerPrice") in (None, ""):
        return word
    return {"limit": "stop_limit", "market": "stop"}.get(word, word)


def answer(rows: Rows, op: str, request: Request | None, request_id: str | None, document: Row, failed: bool) -> str | None:
    """Adds what an answer says of each order; returns what could not be read, if anything. `failed`: the server did (5xx)."""
    code = identity(document, "code")
    if code is None:
        raise Broken("field code is missing")
    asked = request.orders if request is not None else ()
    if code not in DONE:
        said = _verdict(op, code, optional_text(document, "msg"), request_id, failed)
        for order in asked or (None,):
            _tell(rows, op, order, said)
        return None
    data = document.get("data")
    results = _results(data)
    if op == CANCEL_ALL:
        if not results or not all(type(item) is dict and "orderId" in item for item in results):  # "success", or nothing more
            for order in asked or (None,):
                _tell(rows, op, order, {"request_id": request_id})
            return None
        asked = asked[:1] * len(results)
    problem = None
    for index, item in enumerate(results):
        try:
            if type(item) is not dict:
                raise Broken("a result that is no object")
            order = asked[index] if len(asked) == len(results) else None
            _answer_one(rows, op, order, request_id, item)
        except Broken as error:
            rows.skip()
            problem = problem or str(error)
    return problem


def _results(data: Any) -> list[Any]:
    """What an answer says of each order: a list, a list of ids, a list in an envelope, or one."""
    if type(data) is dict:
        if type(ids := data.get("cancelledOrderIds")) is list:
            return [{"orderId": order_id} for order_id in ids]
        for key in ("items", "data"):
            if type(several := data.get(key)) is list:
                return several
    return data if type(data) is list else [data]


def _answer_one(rows: Rows, op: str, asked: OrderEvent | None, request_id: str | None, item: Row) -> None:
    refused = item.get("success") is False or item.get("status") == "fail" or item.get("code") not in (None, *DONE)
    if refused:
        code = identity(item, "code")
        reason = optional_text(item, "failMsg") or optional_text(item, "msg") or code or "success"
        said = _verdict(op, code, reason, request_id, False)
    else:
        said = {"request_id": request_id, "exchange_time": moment(item, "matchTime", "ts"), **_progress(item)}
    order_id = identity(item, next((key for key in ("newOrderId", "cancelledOrderId", "orderId") if key in item), "id"))
    client_order_id = optional_text(item, "clientOid")
    if asked is not None and _differ(client_order_id, asked.client_order_id):
        asked = None
    if asked is not None and "newOrderId" not in item and _differ(order_id, asked.order_id):
        asked = None
    if asked is None and order_id is None and client_order_id is None and not refused:
        raise Broken("an answer that names no order")
    if order_id is not None:
        said["order_id"] = order_id
    if client_order_id is not None:
        said["client_order_id"] = client_order_id
    _tell(rows, op, asked, said)


def _differ(told: str | None, known: str | None) -> bool:
    return told is not None and known is not None and told != known


def _progress(item: Row) -> Row:
    """What the answers of synchronous calls say of the order's state."""
    state = optional_text(item, "status")
    filled = optional_amount(item, "dealSize")
    if state in (None, "success"):
        return {} if filled is None else {"filled_quantity": filled}
    if state == "open":
        status = "PARTIALLY_FILLED" if filled else "NEW"
    elif state == "done":
        canceled = optional_amount(item, "canceledSize") or optional_amount(item, "canceledFunds")
        status = "CANCELED" if canceled else "FILLED"
    else:
        status = None
    return {"status": status, "status_raw": state, "filled_quantity": filled}


def _verdict(op: str, code: str | None, reason: str | None, request_id: str | None, failed: bool) -> Row:
    unknown = failed or code in OUTCOME_UNKNOWN
    rejected = op == PLACE and not unknown
    reason = reason or code
    return {"request_id": request_id, "status": "REJECTED" if rejected else None, "status_raw": code, "reason": reason}


def _tell(rows: Rows, op: str, asked: OrderEvent | None, said: Row) -> None:
    """A response row; of the request's terms, an amendment that is refused has none."""
    if asked is None:
        rows.order(RESPONSE, action=ACTIONS[op], **said)
    elif op == AMEND and said.get("reason") is not None:
        rows.rejoined(asked, **{**said, "price": None, "quantity": None, "quantity_unit": None})
    else:
        rows.rejoined(asked, **said)

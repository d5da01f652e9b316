"""What clients ask of BitMart over REST, and what BitMart answers; there is no order entry over websocket.

Docs: https://developer-pro.bitmart.com/en/spot/ (Spot / Margin Trading) and https://developer-pro.bitmart.com/en/futuresv2/
(Futures Trading).
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from sniffer.exchanges.base import AMEND, CANCEL, PLACE, REQUEST, RESPONSE, Rows
from sniffer.exchanges.bitmart_orders import SIDES, futures_side, spot_size, terms
from sniffer.exchanges.fields import each, identity, mapped, optional_amount
from sniffer.exchanges.jsontext import Row
from sniffer.exchanges.numbers import Broken
from sniffer.model import OrderEvent

CANCEL_ALL: Final = "cancel all"
ACTIONS: Final = {PLACE: PLACE, CANCEL: CANCEL, AMEND: AMEND, CANCEL_ALL: CANCEL}
SPOT_ORDERS: Final = "spot orders"
SPOT_TRADES: Final = "spot trades"
FUTURES_ORDERS: Final = "futures orders"
FUTURES_TRADES: Final = "futures trades"

_FUTURES: Final = "/contract/private/"
REST: Final = {
    **{
        ("POST", path): PLACE
        for path in ("/spot/v2/submit_order", "/spot/v1/margin/submit_order", "/spot/v2/batch_orders", "/spot/v4/batch_orders")
    },
    **{("POST", path): CANCEL for path in ("/spot/v3/cancel_order", "/spot/v2/cancel_order", "/spot/v4/cancel_orders")},
    **{("POST", path): CANCEL_ALL for path in ("/spot/v1/cancel_orders", "/spot/v4/cancel_all", _FUTURES + "cancel-orders")},
    **{("POST", "/spot/v4/query/" + name): SPOT_ORDERS for name in ("order", "client-order", "open-orders", "history-orders")},
    **{("POST", "/spot/v4/query/" + name): SPOT_TRADES for name in ("trades", "order-trades")},
    **{("POST", f"{_FUTURES}submit-{name}"): PLACE for name in ("order", "plan-order", "tp-sl-order", "trail-order")},
    **{("POST", f"{_FUTURES}cancel-{name}"): CANCEL for name in ("order", "plan-order", "trail-order")},
    **{("POST", f"{_FUTURES}modify-{name}"): AMEND for name in ("limit-order", "plan-order", "tp-sl-order")},
    **{
        ("GET", _FUTURES + name): FUTURES_ORDERS for name in ("order", "order-history", "get-open-orders", "current-plan-order")
    },
    ("GET", _FUTURES + "trades"): FUTURES_TRADES,
}
"""What a call asks for. `cancel all` names no order; the last four are queries."""
DONE: Final = 1000


class Request(NamedTuple):
    """A call that awaits its answer. `orders` are in the order of the call; None: one that could not be read."""

    op: str | None
    orders: tuple[OrderEvent | None, ...]
    account: str | None


def changes_orders(verb: str | None, path: str) -> bool:
    """Whether a call that is not known may change orders; queries are POST too, and a timer changes none by itself."""
    quiet = "/query/" in path or path.endswith("cancel-all-after")
    return verb == "POST" and "order" in path and path.startswith(("/spot/", _FUTURES)) and not quiet


def listed(body: Any) -> list[Any]:
    """The orders of a call: a list of them in the body, lists of ids, or the body itself."""
    if type(body) is not dict:
        return [body]
    shared = {"symbol": body["symbol"]} if "symbol" in body else {}
    for key in ("orderParams", "order_params"):
        if type(several := body.get(key)) is list:
            return [{**shared, **item} if type(item) is dict else item for item in several]
    ids = []
    for key, name in (("orderIds", "order_id"), ("clientOrderIds", "client_order_id")):
        if type(several := body.get(key)) is list:
            ids += [{**shared, name: one} for one in several]
    return ids or [body]


def ask(rows: Rows, op: str, futures: bool, params: list[Any]) -> str | None:
    """Adds the orders that a call names; returns the first thing that could not be read, if anything."""
    return each(params, lambda param: _ask(rows, op, futures, param), broken=rows.skip)


def _ask(rows: Rows, op: str, futures: bool, row: Row) -> None:
    columns: dict[str, Any] = {"action": ACTIONS[op], "symbol": identity(row, "symbol")}
    if op != CANCEL_ALL:
        columns |= {
            "order_id": identity(row, "order_id"),
            "client_order_id": identity(row, "client_order_id" if "client_order_id" in row else "clientOrderId"),
        }
    if op == PLACE:
        quantity, unit = (optional_amount(row, "size"), "contract") if futures else spot_size(row)
        default = "trailing" if "callback_rate" in row else "limit"
        order_type, time_in_force = terms(row if "type" in row else {**row, "type": default})
        columns |= {
            "side": futures_side(row) if futures else mapped(row, "side", SIDES),
            "order_type": order_type,
            "time_in_force": time_in_force,
            "price": optional_amount(row, "executive_price" if "executive_price" in row else "price"),
            "stop_price": optional_amount(row, "trigger_price"),
            "quantity": quantity,
            "quantity_unit": None if quantity is None else unit,
        }
    elif op == AMEND:
        size = optional_amount(row, "size")
        columns |= {
            "price": optional_amount(row, "executive_price" if "executive_price" in row else "price"),
            "stop_price": optional_amount(row, "trigger_price"),
            "quantity": size,
            "quantity_unit": None if size is None else "contract",
        }
    rows.order(REQUEST, **columns)


def answer(rows: Rows, op: str, request: Request | None, document: Row, failed: bool) -> str | None:
    """Adds what an answer says of each order; returns what could not be read, if anything. `failed`: the server did (5xx)."""
    asked = request.orders if request is not None else ()
    data = document.get("data")
    if type(data) is dict and "code" in data:
        document = {"code": DONE if data["code"] == 0 else data["code"], "message": data.get("msg")}
        data = data.get("data")
    code = identity(document, "code")
    if code is None:
        raise Broken("field code is missing")
    if code != str(DONE):
        said = _verdict(op, code, document.get("message"), failed)
        for order in asked or (None,):
            _tell(rows, op, order, said)
        return None
    problem = None
    results = _results({} if data is None and op != PLACE else data)  # the code says that it was taken
    for index, item in enumerate(results):
        try:
            if type(item) is not dict:
                raise Broken("a result that is no object")
            _answer_one(rows, op, asked, index, len(results), item)
        except Broken as error:
            rows.skip()
            problem = problem or str(error)
    return problem


def _results(data: Any) -> list[Any]:
    """What an answer says of each order: results with a code, ids, ids that were and were not canceled, or one order."""
    if type(data) is not dict:
        return [data]
    if type(responses := data.get("responses")) is list:
        return responses
    if type(ids := data.get("orderIds")) is list:
        return [{"order_id": one} for one in ids]
    if type(done := data.get("successIds")) is list:
        gone = failed if type(failed := data.get("failIds")) is list else []
        return [{"id": one} for one in done] + [{"id": one, "failed": True} for one in gone]
    return [data]


def _answer_one(rows: Rows, op: str, asked: tuple[OrderEvent | None, ...], index: int, results: int, item: Row) -> None:
    data = item.get("data")
    code = identity(item, "code")
    row = data if type(data) is dict else item
    order_id = identity(row, next((key for key in ("order_id", "orderId") if key in row), "id"))
    client_order_id = identity(row, "client_order_id" if "client_order_id" in row else "clientOrderId")
    order = _asked(asked, index, results, order_id, client_order_id)
    if order is None and "id" in item:  # the order's or the client's: the request would say
        raise Broken("an answer that lists ids, to a request that was not seen")
    refused = item.get("failed") is True or row.get("result") is False or code not in (None, "0", str(DONE))
    reason = item.get("msg") or item.get("message") or ("in failIds" if "failed" in item else "result false")
    said = _verdict(op, code, reason, False) if refused else {}
    if order is None and order_id is None and client_order_id is None and not refused and op != CANCEL_ALL:
        raise Broken("an answer that names no order")
    if order_id is not None:
        said["order_id"] = order_id
    if client_order_id is not None:
        said["client_order_id"] = client_order_id
    _tell(rows, op, order, said)


def _asked(
    asked: tuple[OrderEvent | None, ...], index: int, results: int, order_id: str | None, client_order_id: str | None
) -> OrderEvent | None:
    """The order that a result is about: the one that it names, else the one at its place, unless its ids say otherwise."""
    for order in asked:
        if order is not None and order_id is not None and order_id in (order.order_id, order.client_order_id):
            return order
    order = asked[index] if len(asked) == results else None
    if order is None:
        return None
    for told, known in ((order_id, order.order_id), (client_order_id, order.client_order_id)):
        if told is not None and known is not None and told != known:
            return None
    return order


def _verdict(op: str, code: str | None, message: Any, failed: bool) -> Row:
    reason = message if type(message) is str and message else code  # a refusal without a reason would count as taken
    return {"status": "REJECTED" if op == PLACE and not failed else None, "status_raw": code, "reason": reason}


def _tell(rows: Rows, op: str, asked: OrderEvent | None, said: Row) -> None:
    """A response row; an amendment that is refused changes no term of the order."""
    if asked is None:
        rows.order(RESPONSE, action=ACTIONS[op], **said)
        return
    if "client_order_id" not in said and said.get("order_id") == asked.client_order_id is not None:
        said = {**said, "order_id": asked.order_id}  # lists of what was canceled hold either id
    unchanged = {"price": None, "stop_price": None, "quantity": None, "quantity_unit": None}
    rows.rejoined(asked, **(unchanged if op == AMEND and "status_raw" in said else {}), **said)

"""What HTX answers to order calls: ids, lists of what was taken and what was not, and refusals joined to their request.

Docs: https://www.htx.com/en-us/opend/newApiPages/ (Spot: Trading, Conditional Order, Websocket Trade; USDT-M futures: Swap
Trade Interface, and Orders and Algo Orders of version 5).
"""

from __future__ import annotations

from typing import Any, Final

from sniffer.exchanges import htx_v5
from sniffer.exchanges.base import CANCEL, PLACE, RESPONSE, Rows
from sniffer.exchanges.fields import identity, optional_objects, optional_text, whole
from sniffer.exchanges.htx_orders import Told
from sniffer.exchanges.htx_requests import CANCEL_REFUSALS, CANCEL_STATES, Call, Request
from sniffer.exchanges.jsontext import Row
from sniffer.exchanges.numbers import Broken
from sniffer.model import OrderEvent

_REFUSED: Final = "rejected"
"""The reason of a refusal that gives none: without one it would count as taken."""


class Answer(Told):
    """Collects what one answer says of the orders of its request."""

    def __init__(self, rows: Rows, request: Request | None, request_id: str | None, failed: bool = False) -> None:
        """`failed`: the server did (HTTP status 5xx), so what became of the orders is unknown."""
        super().__init__(rows, RESPONSE, request_id)
        self._request = request
        self._kind = request.call.kind if request is not None and request.call is not None else ""
        self._failed = failed
        self._skipped = 0

    def answered(self, document: Row) -> None:
        """Reads the answer to a call: {"status": "ok", "data"} or {"code": 200, "data"}, or a refusal."""
        request = self._request
        kind = self._kind
        data = document.get("data")
        if document.get("status") not in (None, "ok") or document.get("code") not in (None, 200):
            self._refused(document)
        elif request is not None and request.call in htx_v5.CALLS:
            self._answered_v5(request, request.call, data)
        elif kind in ("query", "contract-query"):
            self.listed(data)
        elif kind in ("place", "contract-place", "algo"):
            self._placed(data)
        elif kind == "batch":
            self._placed_several(data)
        elif kind == "contract-batch":
            self._placed_contracts(data)
        elif kind in ("cancel-many", "cancel-algo", "contract-cancel", "contract-cancel-all"):
            self._cancelled_several(data)
        elif kind == "cancel" and request is not None:
            for order in request.orders:
                self._cancelled_one(order, data)
        else:  # of all: what was asked is confirmed
            self._confirm(() if request is None else request.orders)

    def _confirm(self, orders: tuple[OrderEvent, ...]) -> None:
        for order in orders:
            self.rows.rejoined(order)

    def _refused(self, document: Row) -> None:
        code = identity(document, "err-code") or identity(document, "err_code") or identity(document, "code")
        reason = optional_text(document, "err-msg") or optional_text(document, "err_msg") or optional_text(document, "message")
        request = self._request
        if request is None or request.call is None:
            raise Broken("a refusal of a request that was not seen")
        for order in request.orders:
            self._refuse(order, code, reason)
        if not request.orders and request.call.action is not None:
            status = "REJECTED" if request.call.action == PLACE and not self._failed else None
            self.rows.order(
                RESPONSE, action=request.call.action, request_id=self.request_id, status=status, status_raw=code,
                reason=reason or code or _REFUSED,
            )  # fmt: skip

    def _refuse(self, asked: OrderEvent, code: str | None, reason: str | None) -> None:
        status = "REJECTED" if asked.action == PLACE and not self._failed else None
        self.rows.rejoined(asked, status=status, status_raw=code, reason=reason or code or _REFUSED)

    def _placed(self, data: Any) -> None:
        """The answer to one order: its id, bare or with the client's."""
        said = _placed_ids({"order-id": data} if type(data) in (str, int) else data)
        asked = self._request.orders if self._request is not None else ()
        status = "PENDING_TRIGGER" if self._request and self._request.call and self._request.call.kind == "algo" else None
        if asked:
            self.rows.rejoined(asked[0], status=status, **said)
        else:
            self.rows.order(RESPONSE, action=PLACE, request_id=self.request_id, status=status, **said)

    def _placed_several(self, data: Any) -> None:
        """ "In same order of the request"."""
        if type(data) is not list:
            raise Broken("field data: not a list")
        asked = {order.item: order for order in self._request.orders} if self._request is not None else {}
        for ordinal, row in enumerate(data):
            self._answered_one(row, asked.get(ordinal), ordinal)

    def _placed_contracts(self, data: Any) -> None:
        """Two lists; `index` counts the request's orders from 1."""
        if type(data) is not dict:
            raise Broken("field data: not an object")
        asked = {order.item: order for order in self._request.orders} if self._request is not None else {}
        answers = [row for key in ("success", "errors") for row in optional_objects(data, key)]
        for row in sorted(answers, key=lambda row: row["index"] if type(row.get("index")) is int else 0):
            ordinal = whole(row, "index") - 1
            self._answered_one(row, asked.get(ordinal), ordinal)

    def _answered_one(self, row: Any, asked: OrderEvent | None, ordinal: int) -> None:
        while len(self.rows.orders) + self._skipped < ordinal:
            self.rows.skip()
            self._skipped += 1
        before = len(self.rows.orders)
        self.part(lambda row: self._answer_of(row, asked), row)
        if len(self.rows.orders) == before:
            self.rows.skip()
            self._skipped += 1

    def _answer_of(self, row: Row, asked: OrderEvent | None) -> None:
        code = identity(row, "err-code") or identity(row, "err_code")
        said: dict[str, Any]
        if code is not None:
            reason = optional_text(row, "err-msg") or optional_text(row, "err_msg")
            said = {"status": "REJECTED", "status_raw": code, "reason": reason}
        else:
            said = _placed_ids(row)
        if asked is not None:
            self.rows.rejoined(asked, **said)
        else:
            self.rows.order(RESPONSE, action=PLACE, request_id=self.request_id, **said)

    # --- version 5 of contracts ---

    def _answered_v5(self, request: Request, call: Call, data: Any) -> None:
        if call == htx_v5.TRADES:
            if data:
                raise Broken(htx_v5.NO_TRADES)
            return
        for row in data if type(data) is list else [data]:
            if call == htx_v5.ORDERS:
                self.part(lambda row: htx_v5.order(self.rows, RESPONSE, row, self.request_id), row)
            else:
                self.part(lambda row: self._outcome_v5(request, call, row), row)

    def _outcome_v5(self, request: Request, call: Call, row: Row) -> None:
        """What became of one order. Results do not stand in the order of the request: only ids tell which is which."""
        said: dict[str, Any] = {}
        for column, keys in (
            ("order_id", ("order_id", "orderId", "algo_id")),
            ("client_order_id", ("client_order_id", "clientOrderId", "algo_client_order_id")),
        ):
            told = next((name for key in keys if (name := identity(row, key)) is not None), None)
            if told is not None:
                said[column] = told
        code = identity(row, "code")
        refused = code not in (None, "200")
        if refused:
            said |= {"status_raw": code, "reason": optional_text(row, "message") or code}
        elif not said:
            raise Broken("an answer that names no order")
        if call.action == PLACE and (refused or call == htx_v5.PLACES_ALGO):
            said["status"] = "REJECTED" if refused else "PENDING_TRIGGER"
        asked = _asked_v5(request.orders, said)
        if asked is not None:
            self.rows.rejoined(asked, **said)
        else:
            self.rows.order(RESPONSE, action=call.action, request_id=self.request_id, **said)

    # --- cancellations ---

    def _cancelled_one(self, asked: OrderEvent, data: Any) -> None:
        """The answer to a cancellation by the order's id is that id; to one by the client's, a code that may be a refusal."""
        code = None if asked.order_id is not None else identity({"data": data}, "data")
        if code in CANCEL_REFUSALS:
            self._refuse(asked, code, CANCEL_REFUSALS[code])
        elif code in CANCEL_STATES:
            self.rows.rejoined(asked, status=CANCEL_STATES[code], status_raw=code)
        else:
            self.rows.rejoined(asked)

    def _cancelled_several(self, data: Any) -> None:
        """Lists of ids that were taken and of those that were not: by name, so each answers the request of its id."""
        if type(data) is not dict:
            raise Broken("field data: not an object")
        taken = data.get("success", data.get("successes", data.get("accepted", [])))
        taken = [one for one in taken.split(",") if one] if type(taken) is str else taken
        refused = data.get("failed", data.get("errors", data.get("rejected", [])))
        if type(taken) is not list or type(refused) is not list:
            raise Broken("field data: not lists of ids")
        for one in taken:
            self.part(self._cancelled, {"id": one})
        for row in refused:
            self.part(self._not_cancelled, row if type(row) is dict else {"client-order-id": row})

    def _cancelled(self, row: Row) -> None:
        name = identity(row, "id")
        if name is None:
            raise Broken("an answer that names no order")
        asked = self._request.orders if self._request is not None else ()
        order = next((order for order in asked if name in (order.order_id, order.client_order_id)), None)
        if order is not None:
            self.rows.rejoined(order)
            return
        if self._kind == "cancel-algo":
            self.rows.order(RESPONSE, action=CANCEL, request_id=self.request_id, client_order_id=name)
        elif self._kind == "contract-cancel-all":
            self.rows.order(RESPONSE, action=CANCEL, request_id=self.request_id, order_id=name)
        else:  # the order's or the client's: the request would say
            raise Broken("an answer that lists ids, to a request that was not seen")

    def _not_cancelled(self, row: Row) -> None:
        names = [identity(row, key) for key in ("order-id", "order_id", "client-order-id", "client_order_id")]
        code = identity(row, "err-code") or identity(row, "err_code")
        reason = optional_text(row, "err-msg") or optional_text(row, "err_msg")
        asked = self._request.orders if self._request is not None else ()
        given = [name for name in names if name]
        order = next((order for order in asked if order.order_id in given or order.client_order_id in given), None)
        if order is not None:
            self._refuse(order, code, reason)
        else:
            self.rows.order(
                RESPONSE, action=CANCEL, request_id=self.request_id, order_id=names[0] or names[1],
                client_order_id=names[2] or names[3], status_raw=code, reason=reason or code or _REFUSED,
            )  # fmt: skip


def _placed_ids(row: Any) -> dict[str, Any]:
    if type(row) is not dict:
        raise Broken("field data: neither an id nor an object")
    said = {
        "order_id": identity(row, "order-id") or identity(row, "order_id_str") or identity(row, "order_id"),
        "client_order_id": identity(row, "client-order-id")
        or identity(row, "client_order_id")
        or identity(row, "clientOrderId"),
    }
    if said["order_id"] is None and said["client_order_id"] is None:
        raise Broken("an answer that names no order")
    return {name: value for name, value in said.items() if value is not None}


def _asked_v5(orders: tuple[OrderEvent, ...], said: dict[str, Any]) -> OrderEvent | None:
    """The order that a result is about: the only one, or the one that has an id that it tells."""
    told = [(name, said[name]) for name in ("order_id", "client_order_id") if name in said]
    if len(orders) == 1:
        return orders[0] if all(getattr(orders[0], name) in (None, value) for name, value in told) else None
    for name, value in told:
        found = [order for order in orders if getattr(order, name) == value]
        if len(found) == 1:
            return found[0]
    return None

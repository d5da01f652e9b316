"""What Kraken answers to order requests: ids, refusals joined to their request, and over REST the state that queries ask for.

Docs: docs.kraken.com/exchange/api-reference (spot-websocket-v2, spot-websocket-v1, spot-rest), github.com/krakenfx/api-specs.
"""

from __future__ import annotations

from typing import Any, Final

from sniffer.exchanges.base import CANCEL, PLACE, RESPONSE, Decoded, Rows
from sniffer.exchanges.fields import optional_amount, optional_text, text, time
from sniffer.exchanges.jsontext import Row
from sniffer.exchanges.kraken_requests import Request, objects
from sniffer.exchanges.kraken_updates import STATUSES_V1, by_id, order_v1, trade_v1
from sniffer.exchanges.numbers import SECONDS, Broken
from sniffer.model import OrderEvent

OUTCOME_UNKNOWN: Final = ("EService:Timeout", "EGeneral:Internal error", "EGeneral:Temporary lockout", "EService:Unavailable")
"""Errors after which the order may stand all the same."""
ORDER_QUERIES: Final = {"OpenOrders": "open", "ClosedOrders": "closed", "QueryOrders": None}
"""REST calls whose result holds orders by their ids, under this key."""
TRADE_QUERIES: Final = {"TradesHistory": "trades", "QueryTrades": None}


class Answer:
    """Collects what one answer says. `asked` is its request, None if that was not seen."""

    def __init__(
        self,
        rows: Rows,
        asked: Request | None,
        action: str | None,
        request_id: str | None = None,
        at: int | None = None,
        failed: bool = False,
    ) -> None:
        """`action`: what the answer says that it answers. `at`: the venue's time of the answer.

        `failed`: the server did (HTTP status 5xx), so what became of the orders is unknown.
        """
        self._rows = rows
        self._asked = asked
        self._action = action
        self._failed = failed
        self._common: dict[str, Any] = {"request_id": request_id, "exchange_time": at}
        self.problem: str | None = None

    def decoded(self) -> Decoded:
        """The meaning of the answer."""
        return self._rows.decoded(RESPONSE, self.problem)

    def version_2(self, document: Row) -> None:
        """An answer of websocket version 2."""
        success, result = document.get("success"), document.get("result")
        if type(success) is not bool:
            raise Broken("field success: not a boolean")
        if type(result) is dict and "orders" in result:
            result = result["orders"]
        if type(result) is list:
            self._each(result, "order_id")
        elif success:
            self._one(result if type(result) is dict else {"count": document.get("orders_cancelled")}, "order_id")
        else:
            self._refuse_all(text(document, "error"))

    def version_1(self, document: Row) -> None:
        """An answer of websocket version 1, an event `addOrderStatus` and the like."""
        status = text(document, "status")
        if status == "error":
            self._refuse_all(text(document, "errorMessage"))
        elif status == "ok":
            self._one(document, "txid")
        else:
            raise Broken("field status: an unknown word")

    def rest(self, document: Row) -> None:
        """An answer to an order call of REST; errors are words in a list, those that begin with W are warnings."""
        if error := rest_error(document):
            self._refuse_all(error)
            return
        result = document.get("result")
        if type(result) is not dict:
            raise Broken("field result: no object")
        if "orders" in result:
            self._each(result["orders"], "txid")
        elif result.get("error_message"):
            self._refuse_all(text(result, "error_message"))
        else:
            self._one(result, "txid")

    def _each(self, items: Any, id_key: str) -> None:
        """A batch: its orders stand in the order of the request, each taken or refused."""
        rows = objects({"orders": items}, "orders")
        asked = self._asked.orders if self._asked else ()
        for index, row in enumerate(rows):
            order = asked[index] if len(asked) == len(rows) else None
            try:
                if error := optional_text(row, "error"):
                    self._refuse(order, error, self._said(row, id_key))
                else:
                    self._accept(order, self._said(row, id_key))
            except Broken as broken:
                self.problem = self.problem or str(broken)

    def _one(self, row: Row, id_key: str) -> None:
        """A success that is about one order, or that names none and is about all that was asked.

        An edit cancels the order that it names, and its answer tells the one that stands for it now.
        """
        said = self._said(row, id_key)
        if self._action == CANCEL and row.get("count") == 0 and row.get("pending") is not True:
            said["reason"] = "no order was cancelled"
        order = self._asked.only() if self._asked else None
        if order is None and self._asked and "order_id" not in said and "client_order_id" not in said:
            for each in self._asked.orders:
                self._accept(each, said)
        else:
            self._accept(order, said)
        replaced = optional_text(row, "original_order_id") or optional_text(row, "originaltxid")
        if replaced not in (None, said.get("order_id")):
            self._rows.order(RESPONSE, action=self._action, order_id=replaced, status="CANCELED", **self._common)

    def _refuse_all(self, error: str) -> None:
        orders = self._asked.orders if self._asked else ()
        for order in orders if len(orders) == 1 or self._action == PLACE else ():
            self._refuse(order, error, {})
        if not self._rows.orders:  # of several cancels, which one is not said
            self._refuse(None, error, {})

    @staticmethod
    def _said(row: Row, id_key: str) -> dict[str, Any]:
        """The ids that an answer names, and the terms that an edit confirms."""
        order_id: Any = row.get(id_key)
        if type(order_id) is list and len(order_id) == 1:  # REST: a list for the days of orders that opened two
            order_id = order_id[0]
        if order_id not in (None, "") and type(order_id) is not str:
            raise Broken(f"field {id_key}: not a text")
        said = {"order_id": order_id, "client_order_id": optional_text(row, "cl_ord_id")}
        if "originaltxid" in row:
            said["quantity"] = optional_amount(row, "volume")
        return {name: value for name, value in said.items() if value not in (None, "")}

    def _accept(self, order: OrderEvent | None, said: dict[str, Any]) -> None:
        if order is not None and order.client_order_id in (None, said.get("client_order_id", order.client_order_id)):
            self._rows.rejoined(order, **self._common, **said)
        else:
            self._rows.order(RESPONSE, action=self._action, **self._common, **said)

    def _refuse(self, order: OrderEvent | None, error: str, said: dict[str, Any]) -> None:
        said |= {"status_raw": error, "reason": error}
        if self._action == PLACE:
            said["status"] = None if self._failed or error.startswith(OUTCOME_UNKNOWN) else "REJECTED"
        elif order is not None:  # what the request wanted to change has not changed
            order = order._replace(price=None, stop_price=None, quantity=None, quantity_unit=None)
        self._accept(order, said)

    # --- REST queries ---

    def orders(self, document: Row, key: str | None) -> None:
        """The orders that a query tells, with their states."""
        for order_id, row in self._told(document, key):
            try:
                said, raw, columns = order_v1(_object(row), "price")
                if row.get("closetm"):
                    columns["exchange_time"] = time(row, "closetm", SECONDS)
                status = STATUSES_V1.get(raw) if raw else None
                self._rows.order(RESPONSE, order_id=order_id, status=status, status_raw=raw, **said, **columns)
            except Broken as broken:
                self.problem = self.problem or str(broken)

    def trades(self, document: Row, key: str | None) -> None:
        """The fills that a query tells."""
        for trade_id, row in self._told(document, key):
            try:
                trade_v1(self._rows, trade_id, _object(row))
            except Broken as broken:
                self.problem = self.problem or str(broken)

    @staticmethod
    def _told(document: Row, key: str | None) -> Any:
        if rest_error(document):
            return ()
        result = document.get("result")
        if type(result) is not dict:
            raise Broken("field result: no object")
        return by_id(result if key is None else result.get(key, {}))


def rest_error(document: Row) -> str | None:
    """The first error of a REST answer, None if it has none; those that begin with W are warnings."""
    errors = document.get("error")
    if errors is None:
        return None
    if type(errors) is not list or not all(type(error) is str for error in errors):
        raise Broken("field error: not a list of texts")
    return next((error for error in errors if error and not error.startswith("W")), None)


def _object(value: Any) -> Row:
    if type(value) is not dict:
        raise Broken("an item that is no object")
    return value

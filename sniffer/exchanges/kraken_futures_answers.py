"""What Kraken Futures' REST answers: the status of each instruction, the events that it caused, and lists of orders and fills.

Docs: futures-rest/trading/public.yml of https://github.com/krakenfx/api-specs (SendOrderStatus, EditOrderStatus,
CancelOrderStatus, BatchInstructionResult, the order events, FillJson, OrderStatus).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final, NamedTuple

from sniffer.exchanges.base import AMEND, CANCEL, PLACE, RESPONSE, Decoded, Rows
from sniffer.exchanges.fields import amount, mapped, objects, optional_amount, optional_rfc3339, optional_text, text
from sniffer.exchanges.jsontext import Row
from sniffer.exchanges.kraken_futures_orders import LIQUIDITY, SIDES, TRIGGERED, quantity_of, terms, total, unit_of
from sniffer.exchanges.numbers import Broken
from sniffer.model import OrderEvent

REJECTIONS: Final = frozenset(
    (
        "invalidOrderType", "invalidSide", "invalidSize", "invalidPrice", "insufficientAvailableFunds", "selfFill",
        "tooManySmallOrders", "tooManyOrders", "maxPositionViolation", "marketSuspended", "marketInactive", "marketIsPostOnly",
        "clientOrderIdAlreadyExist", "clientOrderIdTooLong", "clientOrderIdTooBig", "outsidePriceCollar", "postWouldExecute",
        "iocWouldNotExecute", "fokWouldNotExecute", "wouldCauseLiquidation", "wouldNotReducePosition",
        "wouldIncreasePriceDislocation", "wouldProcessAfterSpecifiedTime", "requiredArgumentMissing",
    )
)  # fmt: skip
"""Words for a placement that was not made."""
_STATUS_KEYS: Final = {"sendStatus": PLACE, "editStatus": AMEND, "cancelStatus": CANCEL}
_PLACED: Final = {"placed": "NEW", "attempted": "PENDING_NEW", "partiallyFilled": "PARTIALLY_FILLED"}
_LISTED: Final = {"untouched": "NEW", "partiallyFilled": "PARTIALLY_FILLED"}
_QUERIED: Final = {
    "ENTERED_BOOK": "NEW", "FULLY_EXECUTED": "FILLED", "REJECTED": "REJECTED", "CANCELLED": "CANCELED",
    "TRIGGER_PLACED": "PENDING_TRIGGER",
}  # fmt: skip


class Request(NamedTuple):
    """A call that awaits its answer: what it asks (None: several things, a batch), its orders, and whose it is."""

    action: str | None
    orders: tuple[OrderEvent, ...]
    account: str | None


class Answer:
    """Reads one answer. `problem` is the first thing in it that could not be read."""

    def __init__(self, rows: Rows, request: Request, failed: bool) -> None:
        """`failed`: the server did (HTTP status 5xx), so what became of the orders is unknown."""
        self._rows = rows
        self._request = request
        self._failed = failed
        self._problem: str | None = None

    def read(self, document: Row) -> Decoded:
        """The meaning of an answer to order calls."""
        orders = self._request.orders
        if document.get("result") == "error":
            reason = optional_text(document, "error") or "error"  # a refusal without a reason would count as taken
            for order in orders or (None,):
                self._refuse(order, order.action if order else self._request.action, reason, None)
            return self._decoded()
        if "batchStatus" in document:
            results = objects(document, "batchStatus")
            together = len(results) == len(orders)
            for index, status in enumerate(results):
                self._part(status, orders[index] if together else None, None)
            return self._decoded()
        for key, action in _STATUS_KEYS.items():
            if key in document:
                self._part(document[key], orders[0] if len(orders) == 1 else None, action)
        return self._decoded()

    def _decoded(self) -> Decoded:
        found = self._rows.orders or self._rows.fills
        if not found and self._problem is None:
            self._problem = "an answer to an order call that names no order"
        return self._rows.decoded(RESPONSE, self._problem)

    def _part(self, status: Any, asked: OrderEvent | None, action: str | None) -> None:
        try:
            if type(status) is not dict:
                raise Broken("a status that is no object")
            self._instruction(status, asked, action)
        except Broken as error:
            self._problem = self._problem or str(error)

    def _instruction(self, status: Row, asked: OrderEvent | None, action: str | None) -> None:
        """One instruction's outcome: a row of the order as its events leave it, and a fill for each execution."""
        raw = text(status, "status")
        at = optional_rfc3339(status, "receivedTime")
        events = objects(status, "orderEvents") if status.get("orderEvents") is not None else []
        action = action or (asked.action if asked else None) or _action_of(raw, events)
        if action == CANCEL and "cancelledOrders" in status:
            self._cancelled(status, events, raw, at)
            return
        if not events and raw in REJECTIONS | {"notFound", "orderForEditNotFound", "orderForEditNotAStop"}:
            self._refuse(asked, action, raw, at, status)
            return
        executed = [event for event in events if event.get("type") == "EXECUTION"]
        columns = _shown(events) or _ids(status)
        if executed:
            columns["filled_quantity"] = _filled(executed)
        refusal = next((optional_text(event, "reason") for event in events if event.get("reason") is not None), None)
        columns |= {"exchange_time": at, "status_raw": raw, "action": action, "reason": refusal}
        columns["status"] = _status(raw, action, columns, asked, events, executed)
        if raw in REJECTIONS:
            columns["reason"] = refusal or raw
        if asked is not None:
            self._rows.rejoined(asked, **{name: value for name, value in columns.items() if value is not None})
        else:
            self._rows.order(RESPONSE, **columns)
        for event in executed:
            self._fill(event)

    def _refuse(
        self,
        asked: OrderEvent | None,
        action: str | None,
        raw: str | None,
        at: int | None,
        status: Row | None = None,
    ) -> None:
        """Adds a refusal, which says why in one word, and of the order at most its ids."""
        said: dict[str, Any] = {"exchange_time": at, "status_raw": raw, "reason": raw}
        if action == PLACE and not self._failed:
            said["status"] = "REJECTED"
        said |= {name: value for name, value in (_ids(status) if status else {}).items() if value is not None}
        if asked is None:
            self._rows.order(RESPONSE, action=action, **said)
        elif action == PLACE:
            self._rows.rejoined(asked, **said)
        else:  # what the request wanted to change has not changed
            self._rows.unchanged(asked, **said)

    def _cancelled(self, status: Row, events: list[Row], raw: str, at: int | None) -> None:
        """Each order that a cancel-all cancelled."""
        shown = {event_columns["order_id"]: event_columns for event in events if (event_columns := _shown([event]))}
        for order in objects(status, "cancelledOrders"):
            order_id = text(order, "order_id")
            columns = shown.get(order_id) or {"order_id": order_id, "client_order_id": optional_text(order, "cliOrdId")}
            self._rows.order(
                RESPONSE, **{**columns, "action": CANCEL, "status": "CANCELED", "status_raw": raw, "exchange_time": at}
            )
        if not self._rows.orders:
            for asked in self._request.orders:
                self._rows.rejoined(asked, status_raw=raw, exchange_time=at)

    def _fill(self, event: Row) -> None:
        order = event.get("orderPriorExecution")
        if type(order) is not dict:
            raise Broken("field orderPriorExecution: no object")
        symbol = text(order, "symbol")
        self._rows.fill(
            symbol=symbol,
            trade_id=text(event, "executionId"),
            order_id=text(order, "orderId"),
            client_order_id=optional_text(order, "cliOrdId"),
            side=mapped(order, "side", SIDES),
            price=amount(event, "price"),
            quantity=amount(event, "amount"),
            quantity_unit=unit_of(symbol),
        )


def _status(
    raw: str, action: str | None, columns: dict[str, Any], asked: OrderEvent | None, events: list[Row], executed: list[Row]
) -> str | None:
    """The status of an order that an instruction left so: `columns` are what its events show of it."""
    if raw in REJECTIONS:
        return "REJECTED" if action == PLACE else None
    if raw in ("filled", "cancelled"):
        return "FILLED" if raw == "filled" else "CANCELED"
    if executed:
        return _status_executed(columns, {event.get("type") for event in events})
    waits = any("orderTrigger" in event for event in events)
    if not events and asked is not None:
        if asked.order_type == "market":
            return None  # it has been executed, or not: the events would say
        waits = asked.order_type in TRIGGERED
    if raw == "edited":
        filled = columns.get("filled_quantity")
        if filled is None and not waits:
            return None
        return "PARTIALLY_FILLED" if filled else "PENDING_TRIGGER" if waits else "NEW"
    return "PENDING_TRIGGER" if raw == "placed" and waits else _PLACED.get(raw)


def _status_executed(columns: dict[str, Any], types: set[Any]) -> str | None:
    """The status of an order that was executed at once: filled, if all of it was. What is left may be on the book, or gone."""
    wanted, filled = columns.get("quantity"), columns.get("filled_quantity")
    if wanted is None or filled is None or filled == wanted:
        return None if wanted is None or filled is None else "FILLED"
    if types & {"CANCEL", "REJECT"} or columns.get("time_in_force") == "ioc":
        return "CANCELED"
    return "PARTIALLY_FILLED" if "PLACE" in types else None


def _filled(executed: list[Row]) -> Decimal | None:
    """What is filled of an order after these executions."""
    before = executed[0].get("orderPriorExecution")
    filled = optional_amount(before, "filled") if type(before) is dict else None
    for event in executed:
        filled = total(filled, amount(event, "amount"))
    return filled


def _action_of(raw: str, events: list[Row]) -> str | None:
    """What an instruction asked whose request was not seen."""
    types = [event.get("type") for event in events]
    if raw == "edited" or "EDIT" in types:
        return AMEND
    if raw in ("cancelled", "notFound") or "CANCEL" in types:
        return CANCEL
    return PLACE if raw in REJECTIONS | {"placed", "attempted"} else None


def _ids(status: Row) -> dict[str, Any]:
    order_id = optional_text(status, "order_id") or optional_text(status, "orderId")
    return {"order_id": order_id, "client_order_id": optional_text(status, "cliOrdId") or optional_text(status, "cli_ord_id")}


def _shown(events: list[Row]) -> dict[str, Any]:
    """The order as the first event that shows it leaves it; nothing if none does."""
    for event in events:
        for key in ("new", "order", "orderTrigger", "orderPriorExecution"):
            order = event.get(key)
            if type(order) is dict:
                return _columns(order, event.get("type") == "EXECUTION", event.get("type") in ("CANCEL", "REJECT"))
    return {}


def _columns(order: Row, executed: bool, ended: bool = False) -> dict[str, Any]:
    """An order of the order events; an execution's is the one before it, so that its filled quantity is old.

    `ended`: what is left of it has been discarded, and may not count as open.
    """
    columns = terms(order, "symbol", "type", "triggerPrice" if "triggerPrice" in order else "stopPrice")
    if "triggerPrice" in order:  # its type is that of what it will place, not whether it is a stop or takes profit
        columns["order_type"] = columns["time_in_force"] = None
    elif columns["time_in_force"] == "ioc":  # so are market orders shown, with a limit that nobody asked for
        columns["order_type"] = columns["price"] = None
    filled = optional_amount(order, "filled")
    quantity = None if ended and filled else quantity_of(optional_amount(order, "quantity"), filled)
    return {
        **columns,
        "order_id": optional_text(order, "orderId") or text(order, "uid"),
        "client_order_id": optional_text(order, "cliOrdId") or optional_text(order, "clientId"),
        "side": mapped(order, "side", SIDES),
        "quantity": quantity,
        "quantity_unit": None if quantity is None else unit_of(columns["symbol"]),
        "filled_quantity": None if executed else filled,
    }


# --- queries ---


def add_listed_order(rows: Rows, row: Row) -> None:
    """Adds an order of `openorders`, or of `orders/status`, which wraps it."""
    order = row.get("order")
    if type(order) is dict:
        raw = text(row, "status")
        reason = optional_text(row, "error") or (optional_text(row, "updateReason") if raw == "CANCELLED" else None)
        status = _QUERIED.get(raw)
        columns = _columns({**order, "type": None}, False, status in ("CANCELED", "REJECTED"))
        if status == "NEW" and columns["filled_quantity"]:
            status = "PARTIALLY_FILLED"
        at = optional_rfc3339(order, "lastUpdateTimestamp")
        rows.order(RESPONSE, exchange_time=at, status=status, status_raw=raw, reason=reason, **columns)
        return
    raw, filled = text(row, "status"), optional_amount(row, "filledSize")
    quantity = quantity_of(optional_amount(row, "unfilledSize"), filled)
    columns = terms(row, "symbol", "orderType", "stopPrice")
    rows.order(
        RESPONSE,
        exchange_time=optional_rfc3339(row, "lastUpdateTime"),
        order_id=text(row, "order_id"),
        client_order_id=optional_text(row, "cliOrdId") or optional_text(row, "cli_ord_id"),
        side=mapped(row, "side", SIDES),
        status="PENDING_TRIGGER" if raw == "untouched" and columns["order_type"] in TRIGGERED else _LISTED.get(raw),
        status_raw=raw,
        quantity=quantity,
        quantity_unit=None if quantity is None else unit_of(columns["symbol"]),
        filled_quantity=filled,
        **columns,
    )


def add_listed_fill(rows: Rows, row: Row) -> None:
    """Adds a fill of `fills`."""
    symbol = text(row, "symbol")
    fee = optional_amount(row, "fee_paid")
    rows.fill(
        exchange_time=optional_rfc3339(row, "fillTime"),
        symbol=symbol,
        trade_id=text(row, "fill_id"),
        order_id=text(row, "order_id"),
        client_order_id=optional_text(row, "cliOrdId") or optional_text(row, "cli_ord_id"),
        side=mapped(row, "side", SIDES),
        price=amount(row, "price"),
        quantity=amount(row, "size"),
        quantity_unit=unit_of(symbol),
        fee=fee,
        fee_asset=None if fee is None else optional_text(row, "fee_currency"),
        liquidity=LIQUIDITY.get(optional_text(row, "fillType") or ""),
    )

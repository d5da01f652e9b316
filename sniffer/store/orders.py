"""What one order's events add up to: a pure fold, one event into one order. Which order that is, `book.py` finds.

The rules:

- The latest state wins: by the venue's time; at the same venue time by how far the order has come; else by wire time.
- A null field of an event never erases a known one. A stale event only fills fields that are still null.
- `filled_quantity` never goes down.
- A final status is final, except that a final status with more filled quantity replaces it.
- An answer that only says that a request was taken is no state of the order: its time is when the venue was done with the
  request, and what became of the order may bear an earlier one.
- Requests say what a trader wants, not what is: a place request makes PENDING_NEW, a cancel request PENDING_CANCEL, until the
  venue answers; the price of an amend request counts when the venue confirms it. A rejected cancel restores the status it
  found; a rejected amend changes nothing; a rejected place is REJECTED, unless the venue has taken the order already.
  Venues whose refusals say nothing of the order itself answer with a reason and no status.
- `status_raw` and `reason` go with a status: the venue's word for it, and why the order ended so.
- A conditional order of which the venue says a word that is none of these has triggered, or failed to: its status is not known.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from decimal import Decimal
from operator import attrgetter
from typing import Final

from sniffer.model import OrderEvent

FINAL: Final = frozenset({"FILLED", "CANCELED", "REJECTED", "EXPIRED"})
"""Statuses after which an order is closed."""

_PROGRESS: Final = {"PENDING_NEW": 0, "PENDING_TRIGGER": 1, "NEW": 2, "PARTIALLY_FILLED": 3, "PENDING_CANCEL": 3}
_PROGRESS_FINAL: Final = 4
_STATED: Final = (
    "side",
    "order_type",
    "time_in_force",
    "price",
    "stop_price",
    "quantity",
    "quantity_unit",
)
"""Fields that a newer event replaces, and any event fills."""
_stated = attrgetter(*_STATED)


@dataclass(slots=True, eq=False)
class Order:
    """One order, latest state. Fields are, in order, the columns of the table `_sniffer.orders` (see `internal.sql`)."""

    key: int
    venue: str
    account: str | None = None
    symbol: str | None = None
    order_id: str | None = None
    client_order_id: str | None = None
    strategy: str | None = None
    side: str | None = None
    order_type: str | None = None
    time_in_force: str | None = None
    status: str | None = None
    status_raw: str | None = None
    is_open: bool | None = None
    price: Decimal | None = None
    stop_price: Decimal | None = None
    quantity: Decimal | None = None
    quantity_unit: str | None = None
    filled_quantity: Decimal | None = None
    average_price: Decimal | None = None
    reason: str | None = None
    requested_at: int | None = None
    acknowledged_at: int | None = None
    updated_at: int = 0
    closed_at: int | None = None
    connection_id: int = 0
    """Of the place request, if that was seen, else of the first event."""
    request_id: str | None = None
    request_item: int | None = None
    first_at: int = 0
    """Wire time of the earliest event."""
    state_time: int | None = None
    """Venue time, wire time and position of the event that the current status comes from."""
    state_at: int | None = None
    state_position: int = -1
    resume_status: str | None = None
    """The status to go back to when a pending cancel is rejected."""
    former_client_order_id: str | None = None
    """The client id before the latest amendment, under which a cancel may be under way."""
    answered: bool = False
    """Whether the response to the place request has been seen."""


row = attrgetter(*(field.name for field in fields(Order)))
"""An order's column values, as a tuple: what `Order(*values)` takes."""


def first_seen(key: int, event: OrderEvent) -> Order:
    """A new order, of which nothing is known but when and where `event` was seen."""
    at = event.captured_at
    return Order(key, event.venue, updated_at=at, first_at=at, connection_id=event.connection_id)


def apply(order: Order, event: OrderEvent) -> None:
    """Fold `event`, which is about `order`, into it. Events come, as far as can be, in the order of their wire times."""
    at = event.captured_at
    late = at < order.updated_at
    if at > order.updated_at:
        order.updated_at = at
    if at < order.first_at:
        order.first_at = at
    if event.kind == "request":
        _apply_request(order, event, late)
    else:
        _apply_answer(order, event)
    order.is_open = None if order.status is None else order.status not in FINAL


def _apply_request(order: Order, event: OrderEvent, late: bool) -> None:
    if event.action == "cancel":
        if not late and order.status is not None and order.status not in FINAL:
            _await_cancel(order)
    elif event.action != "amend":
        if order.requested_at is None or event.captured_at < order.requested_at:
            order.requested_at = event.captured_at
            order.connection_id = event.connection_id
            order.request_id, order.request_item = event.request_id, event.item
        if order.status is None:
            order.status = "PENDING_NEW"
        _fill_nulls(order, event)


def _apply_answer(order: Order, event: OrderEvent) -> None:
    status = event.status
    if event.kind == "response" and event.action in ("cancel", "amend"):
        if is_refusal(event):
            if event.action == "cancel" and order.status == "PENDING_CANCEL" and order.resume_status is not None:
                order.status, order.resume_status = order.resume_status, None
            return
    else:
        _acknowledge(order, event)
        if status == "REJECTED" and event.kind == "response" and order.order_id is not None and order.status != "PENDING_NEW":
            return
    filled, known = event.filled_quantity, order.filled_quantity
    more = filled is not None and (known is None or filled > known)
    final = status in FINAL
    if order.status in FINAL:
        takes = final and filled is not None and filled > (known or 0)
    elif final:
        takes = True
    else:
        takes = (filled is None or known is None or filled >= known) and _is_newer(order, event)
    if more:
        order.filled_quantity = filled
    if event.average_price is not None and (more or takes or order.average_price is None):
        order.average_price = event.average_price
    elif more and known:
        order.average_price = None  # that was of less
    if takes and not _is_receipt(event):
        _take_state(order, event)
    else:
        _fill_nulls(order, event)
        if order.status is None and event.action == "place":
            order.status = "PENDING_NEW"


def is_refusal(event: OrderEvent) -> bool:
    """Whether the answer to a cancel or amend request says that it was refused, or that nobody knows."""
    return event.status == "REJECTED" or (event.status is None and event.reason is not None)


def _is_receipt(event: OrderEvent) -> bool:
    """Whether it is an answer without a status and without terms, those aside that it repeats from a place request."""
    terms = (event.price, event.stop_price, event.quantity)
    return event.kind == "response" and event.status is None and (event.action == "place" or terms == (None, None, None))


def _take_state(order: Order, event: OrderEvent) -> None:
    order.side = event.side or order.side
    order.order_type = event.order_type or order.order_type
    order.time_in_force = event.time_in_force or order.time_in_force
    order.quantity_unit = event.quantity_unit or order.quantity_unit
    if event.price is not None:
        order.price = event.price
    if event.stop_price is not None:
        order.stop_price = event.stop_price
    if event.quantity is not None:
        order.quantity = event.quantity
    status = event.status
    if (status, event.status_raw) != (None, None):
        order.status_raw = event.status_raw
    order.state_time = event.exchange_time if event.exchange_time is not None else order.state_time
    order.state_at = event.captured_at
    order.state_position = event.position
    if status is None:
        if order.status == "PENDING_TRIGGER" and event.kind == "update" and event.status_raw is not None:
            order.status = None
        return
    if status in FINAL:
        order.reason = event.reason or (order.reason if order.status == status else None)
        order.status, order.resume_status = status, None
        if order.closed_at is None:
            order.closed_at = event.captured_at
    elif status == "PENDING_CANCEL":
        _await_cancel(order)
    elif order.status == "PENDING_CANCEL" and event.action != "cancel":
        order.resume_status = status  # the cancel is still unanswered
    else:
        order.status = status


def _await_cancel(order: Order) -> None:
    if order.status != "PENDING_CANCEL":
        order.resume_status, order.status = order.status, "PENDING_CANCEL"


def _acknowledge(order: Order, event: OrderEvent) -> None:
    """Note the first answer. Where the request was not seen, only an event that begins an order counts as one."""
    begins = event.action == "place" or event.status in ("NEW", "PENDING_TRIGGER", "REJECTED")
    if (begins or order.requested_at is not None) and (
        order.acknowledged_at is None or event.captured_at < order.acknowledged_at
    ):
        order.acknowledged_at = event.captured_at


def _is_newer(order: Order, event: OrderEvent) -> bool:
    if order.state_at is None:
        return True
    known = progress(order.resume_status or order.status)
    said = known if event.status is None else progress(event.status)
    if event.exchange_time is not None and order.state_time is not None:
        if event.exchange_time != order.state_time:
            return event.exchange_time > order.state_time
        if said != known:
            return said > known
    elif event.kind == "response" and event.exchange_time is None and said < known:  # it may have been long on its way
        return False
    return (event.captured_at, event.position) >= (order.state_at, order.state_position)


def progress(status: str | None) -> int:
    """How far an order with this status has come: what comes later in a life is larger."""
    return _PROGRESS_FINAL if status in FINAL else _PROGRESS.get(status or "", 0)


def _fill_nulls(order: Order, source: OrderEvent | Order) -> None:
    for name, value in zip(_STATED, _stated(source), strict=True):
        if value is not None and getattr(order, name) is None:
            setattr(order, name, value)
    if order.status == source.status:
        order.status_raw = order.status_raw or source.status_raw
        if order.status in FINAL:
            order.reason = order.reason or source.reason


def absorb(order: Order, request: Order) -> None:
    """`request`, known by its client id or request id only, turns out to be `order`: take over what only it knew, ids apart."""
    _fill_nulls(order, request)
    order.first_at = min(order.first_at, request.first_at)
    order.updated_at = max(order.updated_at, request.updated_at)
    if request.requested_at is not None and (order.requested_at is None or request.requested_at < order.requested_at):
        order.requested_at = request.requested_at
        order.connection_id = request.connection_id
        order.request_id, order.request_item, order.answered = request.request_id, request.request_item, request.answered
        order.strategy = request.strategy or order.strategy
    for name in ("account", "symbol", "strategy"):
        if getattr(order, name) is None:
            setattr(order, name, getattr(request, name))
    if request.status == "PENDING_CANCEL" and order.status not in FINAL:
        _await_cancel(order)
    answers = [at for at in (order.acknowledged_at, request.acknowledged_at) if at is not None]
    order.acknowledged_at = min(answers, default=order.state_at)

"""What Hyperliquid tells of orders and fills, in events, in answers to `info` requests, and in answers to actions.

Docs: https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api (websocket/subscriptions, info-endpoint,
exchange-endpoint, notation); SDK types: https://github.com/nktkas/hyperliquid.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from sniffer.exchanges.base import AMEND, CANCEL, PLACE, RESPONSE, Decoded, Rows
from sniffer.exchanges.fields import (
    amount,
    mapped,
    optional_amount,
    optional_number,
    optional_objects,
    optional_text,
    text,
    time,
    whole,
)
from sniffer.exchanges.hyperliquid_requests import TIMES_IN_FORCE, Request
from sniffer.exchanges.jsontext import Row
from sniffer.exchanges.numbers import MILLISECONDS, SECONDS, Broken
from sniffer.model import OrderEvent

SIDES: Final = {"B": "buy", "A": "sell"}
_CANCELED: Final = (
    "marginCanceled", "vaultWithdrawalCanceled", "openInterestCapCanceled", "selfTradeCanceled", "reduceOnlyCanceled",
    "siblingFilledCanceled", "delistedCanceled", "liquidatedCanceled", "outcomeSettledCanceled", "scheduledCancel",
    "internalCancel",
)  # fmt: skip
_REJECTED: Final = (
    "tickRejected", "minTradeNtlRejected", "perpMarginRejected", "reduceOnlyRejected", "badAloPxRejected", "iocCancelRejected",
    "badTriggerPxRejected", "marketOrderNoLiquidityRejected", "positionIncreaseAtOpenInterestCapRejected",
    "positionFlipAtOpenInterestCapRejected", "tooAggressiveAtOpenInterestCapRejected", "openInterestIncreaseRejected",
    "insufficientSpotBalanceRejected", "oracleRejected", "perpMaxPositionRejected", "tooManyOpenOrdersRejected",
)  # fmt: skip
STATUSES: Final = {
    "open": "NEW",
    "triggered": "NEW",  # "trigger order triggered", and now awaiting execution
    "filled": "FILLED",
    "canceled": "CANCELED",
    "rejected": "REJECTED",
    **dict.fromkeys(_CANCELED, "CANCELED"),
    **dict.fromkeys(_REJECTED, "REJECTED"),
}
TWAP_STATUSES: Final = {"activated": "NEW", "finished": "FILLED", "terminated": "CANCELED", "error": "REJECTED"}
ORDER_TYPES: Final = {
    "Market": "market",
    "Limit": "limit",
    "Stop Market": "stop",
    "Stop Limit": "stop_limit",
    "Take Profit Market": "take_profit",
    "Take Profit Limit": "take_profit_limit",
}
WAITING: Final = ("waitingForFill", "waitingForTrigger")
"""Statuses of TP and SL orders that were taken: they wait for the order that they belong to, or for their price."""
TO_COME: Final = "Price "
"""How the `triggerCondition` of an order begins that waits for it (`Price above 0.6`)."""


class Told:
    """Collects what one message says. `problem` is the first thing in it that could not be read."""

    def __init__(self, rows: Rows, kind: str, request_id: str | None = None) -> None:
        self._rows = rows
        self._kind = kind
        self._request_id = request_id
        self.problem: str | None = None

    def decoded(self) -> Decoded | None:
        """The meaning of the message; None if it says nothing of orders."""
        return self._rows.decoded_if_any(self._kind, self.problem)

    # --- orders and fills, wherever they stand ---

    def tell(self, value: Any) -> None:
        """Reads whatever holds orders and fills: one of either, a list of them, or an object around them."""
        if type(value) is list:
            for item in value:
                self.tell(item)
        elif type(value) is not dict:
            return
        elif "tid" in value and "oid" in value:
            self._part(self._fill, value)
        elif "limitPx" in value and "oid" in value:  # an open order: that it is listed is all that is said of its state
            self._part(self._order, value, None, None)
        elif "order" in value and "statusTimestamp" in value:
            self._part(self._update, value)
        elif "state" in value and "twapId" in value:
            self._part(self._twap, value)
        else:
            for key in ("fill", "order", "fills", "twapSliceFills", "orders", "orderHistory", "history"):
                if type(value.get(key)) in (dict, list):
                    self.tell(value[key])
                elif value.get(key) is not None:
                    self.problem = self.problem or f"field {key}: neither an object nor a list"
            for cancel in optional_objects(value, "nonUserCancel"):
                self._part(self._cancelled, cancel)

    def _part(self, read: Any, *arguments: Any) -> None:
        """One order or one fill: all of its row, or a problem."""
        try:
            read(*arguments)
        except Broken as error:
            self._rows.skip()
            self.problem = self.problem or str(error)

    def _update(self, row: Row) -> None:
        order = row["order"]
        if type(order) is not dict:
            raise Broken("field order: not an object")
        self._order(order, text(row, "status"), time(row, "statusTimestamp", MILLISECONDS))

    def _order(self, row: Row, status_raw: str | None, at: int | None) -> None:
        status = "NEW" if status_raw is None else STATUSES.get(status_raw)
        waits = status_raw in (None, "open") and (optional_text(row, "triggerCondition") or "").startswith(TO_COME)
        size, left = optional_amount(row, "origSz"), amount(row, "sz")
        filled: Decimal | None = None
        if size is not None and status in ("NEW", "FILLED"):  # of an order that has ended otherwise, sz says nothing
            if left > size:
                raise Broken("field sz: more is left than was ordered")
            filled = size - left
        order_type, time_in_force = _terms(row)
        self._rows.order(
            self._kind,
            exchange_time=at,
            symbol=text(row, "coin"),
            request_id=self._request_id,
            client_order_id=optional_text(row, "cloid"),
            order_id=str(whole(row, "oid")),
            side=mapped(row, "side", SIDES),
            order_type=order_type,
            time_in_force=time_in_force,
            status="PENDING_TRIGGER" if waits else "PARTIALLY_FILLED" if status == "NEW" and filled else status,
            status_raw=status_raw,
            price=amount(row, "limitPx"),
            stop_price=optional_amount(row, "triggerPx") or None,  # 0.0 stands for none
            quantity=size,
            quantity_unit=None if size is None else "base",
            filled_quantity=filled,
            reason=status_raw if status_raw in _CANCELED or status_raw in _REJECTED else None,
        )

    def _cancelled(self, row: Row) -> None:
        self._rows.order(
            self._kind, symbol=text(row, "coin"), order_id=str(whole(row, "oid")), status="CANCELED", status_raw="nonUserCancel"
        )

    def _twap(self, row: Row) -> None:
        """The state of a TWAP order, which goes by a number of its own; its times are in seconds."""
        state, status = row["state"], row.get("status")
        if type(state) is not dict or type(status) is not dict:
            raise Broken("field state or status: not an object")
        raw = text(status, "status")
        self._rows.order(
            self._kind,
            exchange_time=time(row, "time", SECONDS),
            symbol=text(state, "coin"),
            order_id=str(whole(row, "twapId")),
            side=mapped(state, "side", SIDES),
            order_type="twap",
            status=TWAP_STATUSES.get(raw),
            status_raw=raw,
            quantity=amount(state, "sz"),
            quantity_unit="base",
            filled_quantity=amount(state, "executedSz"),
            reason=optional_text(status, "description"),
        )

    def _fill(self, row: Row) -> None:
        crossed = row.get("crossed")
        if crossed is not None and type(crossed) is not bool:
            raise Broken("field crossed: not a boolean")
        self._rows.fill(
            exchange_time=time(row, "time", MILLISECONDS),
            symbol=text(row, "coin"),
            trade_id=str(whole(row, "tid")),
            order_id=str(whole(row, "oid")),
            client_order_id=optional_text(row, "cloid"),
            side=mapped(row, "side", SIDES),
            price=amount(row, "px"),
            quantity=amount(row, "sz"),
            quantity_unit="base",
            fee=optional_number(row, "fee"),
            fee_asset=optional_text(row, "feeToken"),
            liquidity=None if crossed is None else "taker" if crossed else "maker",
        )

    # --- answers to actions ---

    def answered(self, answer: Any, request: Request | None) -> None:
        """Reads the answer to an action: {"status": "ok", "response": {"type", "data"}}, or a refusal of the whole."""
        if type(answer) is not dict:
            raise Broken("an answer that is no object")
        status, response = text(answer, "status"), answer.get("response")
        if status == "err":
            if type(response) is not str:
                raise Broken("field response: not a text")
            self.refused(response, request)
            return
        if type(response) is not dict:
            raise Broken("field response: not an object")
        kind, data = text(response, "type"), response.get("data")
        asked = request.orders if request is not None else ()
        if status != "ok":
            raise Broken("field status: an unknown word")
        if type(data) is dict and "statuses" in data:
            self._statuses(data["statuses"], request, CANCEL if kind == "cancel" else None)
        elif type(data) is dict and "status" in data and kind in ("twapOrder", "twapCancel"):
            self._statuses([data["status"]], request, CANCEL if kind == "twapCancel" else PLACE)
        elif kind == "default":  # a modify: the order with the new terms is another one, whose oid is not said
            for order in asked:
                self._rows.unchanged(order, side=None, order_type=None, time_in_force=None)
        elif asked:
            raise Broken("an answer to an order request that names no order")

    def refused(self, reason: str | None, request: Request | None, unknown: bool = False) -> None:
        """A refusal of a whole action. `unknown`: it may have been done all the same."""
        if request is None:
            raise Broken("a refusal of a request that was not seen")
        for order in request.orders:
            self._refuse(order, reason, unknown)

    def _refuse(self, asked: OrderEvent, reason: str | None, unknown: bool = False) -> None:
        self._rows.refused(asked, unknown, status_raw="error", reason=reason)

    def _statuses(self, statuses: Any, request: Request | None, action: str | None) -> None:
        """One status for each order of the request, in its order."""
        if type(statuses) is not list:
            raise Broken("field statuses: not a list")
        asked = request.orders if request is not None else ()
        action = asked[0].action if asked else action  # all of one action are placed, or changed, or cancelled
        ordinals = {order.item: order for order in asked}
        if request is not None and len(statuses) != request.size:
            if len(statuses) != 1 or type(statuses[0]) is not dict or "error" not in statuses[0]:
                raise Broken("an answer with another number of orders than its request")
            statuses = statuses * request.size  # one error for the whole batch, refused before any of it was looked at
        for ordinal, status in enumerate(statuses):
            self._part(self._status, status, ordinals.get(ordinal), action)

    def _status(self, status: Any, asked: OrderEvent | None, action: str | None) -> None:
        said: dict[str, Any] = {}
        word: str
        told: Any = None
        if type(status) is str:
            word = status
        elif type(status) is dict and len(status) == 1:
            ((word, told),) = status.items()
        else:
            raise Broken("a status that is neither a word nor an object")
        if word == "error":
            if type(told) is not str:
                raise Broken("field error: not a text")
            if asked is not None:
                self._refuse(asked, told)
                return
            if action is None:  # a placement is answered like a batch of amendments
                raise Broken("a refusal of a request that was not seen")
            said = {"status": None if action == CANCEL else "REJECTED", "reason": told}
        elif word in ("resting", "filled", "running"):
            if type(told) is not dict:
                raise Broken(f"field {word}: not an object")
            said = self._taken(word, told, asked)
        elif word in WAITING:
            said = {"status": "PENDING_TRIGGER"}
        elif word == "success":
            said = {"status": "CANCELED"} if (asked.action if asked else action) == CANCEL else {}
        else:
            raise Broken("a status that is not known")
        if asked is not None:
            self._rows.rejoined(asked, status_raw=word, **said)
        else:
            self._rows.order(RESPONSE, action=action, request_id=self._request_id, status_raw=word, **said)

    @staticmethod
    def _taken(word: str, told: Row, asked: OrderEvent | None) -> dict[str, Any]:
        """What is said of an order that was taken."""
        if word == "running":
            return {"order_id": str(whole(told, "twapId")), "status": "NEW"}
        waits = asked is not None and asked.stop_price is not None  # it rests outside the book, until its price comes
        said: dict[str, Any] = {"order_id": str(whole(told, "oid")), "status": "PENDING_TRIGGER" if waits else "NEW"}
        cloid = optional_text(told, "cloid")
        if cloid is not None or (asked is not None and asked.action == AMEND):  # the id that was asked about is another order's
            said["client_order_id"] = cloid
        if word == "filled":
            filled = amount(told, "totalSz")
            all_of_it = asked is None or asked.quantity is None or filled >= asked.quantity
            said |= {
                "filled_quantity": filled,
                "average_price": amount(told, "avgPx"),
                "status": "FILLED" if all_of_it else "PARTIALLY_FILLED",
            }
        return said


def _terms(row: Row) -> tuple[str | None, str | None]:
    """Order type and time in force, which the longer form of an order says."""
    kind, force = optional_text(row, "orderType"), optional_text(row, "tif")
    return (
        ORDER_TYPES.get(kind, kind.lower()) if kind else None,
        TIMES_IN_FORCE.get(force, force.lower()) if force else None,
    )

"""What Binance Spot answers to order requests: orders, the fills of a FULL answer, and refusals joined to their request.

A successful answer is read by its shape, which tells the same with its request as without it (a capture may start between the
two); the request adds what was asked. Docs: web-socket-api.md (Trading requests, Account requests) and errors.md of
github.com/binance/binance-spot-api-docs.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from sniffer.exchanges.base import AMEND, CANCEL, PLACE, RESPONSE, Decoded, Rows
from sniffer.exchanges.binance_spot_requests import ACTIONS, ORDER_TYPES, SIDES, STATUSES, Request, quantity, terms
from sniffer.exchanges.fields import amount, mapped, number, optional_amount, optional_objects, optional_text, text, time, whole
from sniffer.exchanges.jsontext import Row
from sniffer.exchanges.numbers import MICROSECONDS, MILLISECONDS, Broken
from sniffer.model import OrderEvent

NO_ID: Final = -1
"""Trade id of an execution that is no trade."""
REFUSALS: Final = {-2010: PLACE, -2011: CANCEL, -2038: AMEND}
"""Error codes that say themselves what was refused: NEW_ORDER_REJECTED, CANCEL_REJECTED, ORDER_AMEND_REJECTED."""
OUTCOME_UNKNOWN: Final = frozenset((-1000, -1001, -1006, -1007))
"""UNKNOWN, DISCONNECTED, UNEXPECTED_RESP and TIMEOUT: the order may have been placed all the same."""
_MICROSECONDS_FROM: Final = 10**14
"""As milliseconds, a time this large is after the year 5138; as microseconds, it is after March 1973."""


def told_unit(row: Row, *keys: str) -> int:
    """The unit that the times of a message agree on: microseconds if there are at least two, all too large for milliseconds."""
    times = [value for key in keys if type(value := row.get(key)) is int and value > 0]
    return MICROSECONDS if len(times) > 1 and min(times) >= _MICROSECONDS_FROM else MILLISECONDS


class Answer:
    """Collects what one answer says. `problem` is the first thing in it that could not be read."""

    def __init__(self, rows: Rows, request: Request | None, request_id: str | None, unit: int | None) -> None:
        self._rows = rows
        self._request = request
        self._request_id = request_id
        self._unit = unit
        self.problem: str | None = None

    def decoded(self) -> Decoded | None:
        """The meaning of the answer; None if it says nothing of orders and none was asked for."""
        told = self._rows.decoded_if_any(RESPONSE, self.problem)
        if told is None and self._request is not None and self._request.method in ACTIONS:
            return self._rows.decoded(RESPONSE, "an answer to an order request that names no order")
        return told

    def told(self, result: Any, action: str | None) -> None:
        """Reads a successful result: an order, a list of them, or one of the envelopes that hold orders."""
        if type(result) is list:
            for item in result:
                self.told(item, action)
        elif type(result) is not dict:
            return
        elif "orderReports" in result:
            self._list(result["orderReports"], action)
        elif "amendedOrder" in result:
            self._part({"transactTime": result.get("transactTime")}, result["amendedOrder"], AMEND)
        elif "cancelResult" in result or "newOrderResult" in result:
            self._cancel_replace(result)
        elif "orderId" in result and ("clientOrderId" in result or "isBuyer" in result):
            self._part({}, result, action)

    def _list(self, reports: Any, action: str | None) -> None:
        """Reads the orders of a list as they were asked for: the venue has an order of its own, the stop of an OCO first."""
        if type(reports) is list and action == PLACE:
            reports = list(reports)
            for leg in self._request.orders if self._request else ():
                report = next((report for report in reports if _may_be(report, leg)), None)
                if report is None:
                    self._rows.skip()
                else:
                    reports.remove(report)
                    self.told(report, action)
        self.told(reports, action)

    def refused(self, error: Any, status: int, action: str | None = None) -> None:
        """Reads a refusal of the whole request, or of its part `action`. `status` is the HTTP-like one."""
        if type(error) is not dict:
            raise Broken("field error: no object")
        data = error.get("data")
        if type(data) is dict and ("cancelResult" in data or "newOrderResult" in data):
            self._cancel_replace(data, status)
            return
        code = whole(error, "code")
        unknown = status >= 500 or code in OUTCOME_UNKNOWN
        told = action or REFUSALS.get(code)
        if told is None and self._request is not None and self._request.method != "order.cancelReplace":
            told = ACTIONS.get(self._request.method)
        self._refuse(told, action, str(code), optional_text(error, "msg") or str(code), unknown)

    def _refuse(self, told: str | None, part: str | None, raw: str, reason: str, unknown: bool = False) -> None:
        """Adds a refusal: `told` is the action that is known from the answer, `part` the one that it is limited to."""
        asked = [order for order in self._request.orders if part in (None, order.action)] if self._request else []
        said: dict[str, Any] = {"request_id": self._request_id, "status_raw": raw, "reason": reason}
        for order in asked:
            if order.action == PLACE:
                self._rows.rejoined(order, status=None if unknown else "REJECTED", **said)
            else:  # what the request wanted to change has not changed
                self._rows.rejoined(order, quantity=None, quantity_unit=None, **said)
        if not asked:
            if told is None:
                raise Broken(f"a refusal ({raw}) of a request that was not seen")
            rejected = told == PLACE and not unknown
            self._rows.order(RESPONSE, action=told, status="REJECTED" if rejected else None, **said)

    def _cancel_replace(self, result: Row, status: int = 200) -> None:
        """Both halves of a cancel-replace; each may have succeeded, failed, or not been tried."""
        for half, result_key, key in (
            (CANCEL, "cancelResult", "cancelResponse"),
            (PLACE, "newOrderResult", "newOrderResponse"),
        ):
            outcome = text(result, result_key)
            if outcome == "SUCCESS":
                self._part({}, result.get(key), half)
            elif outcome == "FAILURE":
                self.refused(result.get(key), status if status < 500 else 400, half)
            elif outcome == "NOT_ATTEMPTED":  # without a reason it would stand for a cancellation that was taken
                self._refuse(half, half, outcome, outcome)
            else:
                raise Broken(f"field {result_key}: an unknown word")

    def _part(self, envelope: Row, part: Any, action: str | None) -> None:
        """One order or one trade: all of its rows, or a problem."""
        try:
            if type(part) is not dict:
                raise Broken("an order that is no object")
            row = {**part, **envelope} if envelope else part
            if "isBuyer" in row:
                self._trade(row)
            else:
                self._order(row, action)
        except Broken as error:
            self.problem = self.problem or str(error)

    def _order(self, row: Row, action: str | None) -> None:
        raw = optional_text(row, "status")
        if action is None and "transactTime" in row:  # answers to queries have `time` and `updateTime`
            action = CANCEL if raw == "CANCELED" else PLACE
        original = optional_text(row, "origClientOrderId")
        client_order_id = optional_text(row, "clientOrderId")
        if action == CANCEL:
            client_order_id = original or client_order_id
        at = self._time(row, "transactTime" if "transactTime" in row else "updateTime")
        order_type, time_in_force = terms(row, "type", "timeInForce")
        if action == AMEND:
            wanted, unit = quantity(row, "qty", "quoteOrderQty")
        else:
            wanted, unit = quantity(row, "origQty", "origQuoteOrderQty")
        symbol = text(row, "symbol")
        order_id = str(whole(row, "orderId"))
        side = mapped(row, "side", SIDES) if row.get("side") is not None else None
        columns: dict[str, Any] = {
            "price": optional_amount(row, "price"),
            "stop_price": optional_amount(row, "stopPrice"),
            "filled_quantity": optional_amount(row, "executedQty"),
        }
        fills = [self._fill_of(fill) for fill in optional_objects(row, "fills")]
        if fills and side is None:
            raise Broken("field side is missing")
        self._rows.order(
            RESPONSE,
            exchange_time=at,
            symbol=symbol,
            action=action,
            request_id=self._request_id,
            client_order_id=client_order_id,
            order_id=order_id,
            side=side,
            order_type=order_type,
            time_in_force=time_in_force,
            status=STATUSES.get(raw) if raw else None,
            status_raw=raw,
            quantity=wanted,
            quantity_unit=unit,
            **columns,
        )
        for trade_id, price, size, fee, asset in fills:
            self._rows.fill(
                exchange_time=at,
                symbol=symbol,
                trade_id=trade_id,
                order_id=order_id,
                client_order_id=client_order_id,
                side=side,
                price=price,
                quantity=size,
                quantity_unit="base",
                fee=fee,
                fee_asset=asset,
            )

    @staticmethod
    def _fill_of(fill: Row) -> tuple[str, Decimal, Decimal, Decimal, str | None]:
        """One of a FULL answer's `fills`: trade id (or allocation id), price, quantity, commission and its asset."""
        trade_id = whole(fill, "tradeId")
        if trade_id == NO_ID:
            trade_id = whole(fill, "allocId")
        if trade_id < 0:
            raise Broken("an execution without an id")
        return (
            str(trade_id),
            amount(fill, "price"),
            amount(fill, "qty"),
            number(fill, "commission"),
            optional_text(fill, "commissionAsset"),
        )

    def _trade(self, row: Row) -> None:
        """One of the trades (or SOR allocations) that a history query answers with."""
        buyer, maker = row.get("isBuyer"), row.get("isMaker")
        if type(buyer) is not bool or type(maker) is not bool:
            raise Broken("field isBuyer or isMaker: not a boolean")
        self._rows.fill(
            exchange_time=self._time(row, "time"),
            symbol=text(row, "symbol"),
            trade_id=str(whole(row, "id" if "id" in row else "allocationId")),
            order_id=str(whole(row, "orderId")),
            side="buy" if buyer else "sell",
            price=amount(row, "price"),
            quantity=amount(row, "qty"),
            quantity_unit="base",
            fee=number(row, "commission"),
            fee_asset=optional_text(row, "commissionAsset"),
            liquidity="maker" if maker else "taker",
        )

    def _time(self, row: Row, key: str) -> int | None:
        if row.get(key) is None:
            return None
        return time(row, key, self._unit or told_unit(row, "transactTime", "workingTime", "time", "updateTime"))


def _may_be(report: Any, leg: OrderEvent) -> bool:
    """Whether a report can be that of an order that was asked for: by client id, type and side, where both say them."""
    if type(report) is not dict:
        return False
    words = [word if type(word := report.get(key)) is str else "" for key in ("clientOrderId", "type", "side")]
    said = (words[0], ORDER_TYPES.get(words[1]), SIDES.get(words[2]))
    asked = (leg.client_order_id, leg.order_type, leg.side)
    return all(not one or other is None or one == other for one, other in zip(said, asked, strict=True))

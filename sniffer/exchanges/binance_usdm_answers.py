"""What Binance's futures say of orders: events of the user data stream, and answers to order requests.

Docs: https://developers.binance.com/docs/derivatives, usds-margined-futures: user-data-streams (Event-Order-Update,
Event-Trade-Lite, Event-Algo-Order-Update, Event-Conditional-Order-Trigger-Reject), trade and error-code; portfolio-margin:
user-data-streams/Event-Conditional-Order-Trade-Update.
"""

from __future__ import annotations

import re
from typing import Any, Final

from sniffer.exchanges.base import CANCEL, PLACE, RESPONSE, UPDATE, Decoded, Rows
from sniffer.exchanges.binance_spot_responses import OUTCOME_UNKNOWN, REFUSALS
from sniffer.exchanges.binance_usdm_requests import (
    ACTIONS,
    ALGO,
    ORDER,
    SIDES,
    STRATEGY,
    Names,
    Request,
    order_type,
    time_in_force,
    unit_of,
)
from sniffer.exchanges.fields import (
    amount,
    identity,
    mapped,
    number,
    optional_amount,
    optional_number,
    optional_text,
    text,
    time,
    whole,
)
from sniffer.exchanges.jsontext import Row
from sniffer.exchanges.numbers import MILLISECONDS, Broken
from sniffer.model import OrderEvent

STATUSES: Final = {
    "NEW": "NEW",
    "PARTIALLY_FILLED": "PARTIALLY_FILLED",
    "FILLED": "FILLED",
    "CANCELED": "CANCELED",
    "REJECTED": "REJECTED",
    "EXPIRED": "EXPIRED",
    "EXPIRED_IN_MATCH": "EXPIRED",
}
CONDITIONAL: Final = {
    "NEW": "PENDING_TRIGGER",  # "not yet been triggered"
    "TRIGGERING": "PENDING_NEW",  # "forwarded to the matching engine"
    "TRIGGERED": "NEW",  # "successfully placed into the matching engine"
    "CANCELED": "CANCELED",
    "CANCELLED": "CANCELED",  # as histories of portfolio margin write it
    "REJECTED": "REJECTED",
    "EXPIRED": "EXPIRED",
}
"""Statuses of conditional orders, which wait outside the matching engine."""
FINISHED: Final = "FINISHED"
"""Of a conditional order: what it triggered "has been filled or canceled in the matching engine"."""
FILLS: Final = frozenset(("TRADE", "CALCULATED"))
"""Execution types that are a fill; CALCULATED is a liquidation's."""
NO_FILLS: Final = frozenset(("NEW", "CANCELED", "EXPIRED", "AMENDMENT", "REJECTED"))
_CODE: Final = re.compile("-?[0-9]{1,9}")
"""An error's code; a number, as text or not."""


def conditional_status(raw: str | None, row: Row, quantity_key: str, executed_key: str) -> str | None:
    """The status of a conditional order; a finished one is FILLED or CANCELED by what it says was executed."""
    if raw != FINISHED:
        return CONDITIONAL.get(raw or "")
    wanted, executed = optional_amount(row, quantity_key), optional_amount(row, executed_key)
    if not wanted or executed is None:
        return None
    return "FILLED" if executed == wanted else "CANCELED"


# --- events ---


def order_trade_update(rows: Rows, event: Row, order: Row) -> Decoded:
    """An order's new state, and the fill that it may hold."""
    execution, raw = text(order, "x"), text(order, "X")
    symbol = text(order, "s")
    expiry = optional_text(order, "er")
    rows.order(
        UPDATE,
        exchange_time=time(event, "T", MILLISECONDS),
        symbol=symbol,
        client_order_id=text(order, "c"),
        order_id=str(whole(order, "i")),
        side=mapped(order, "S", SIDES),
        order_type=order_type(order, "o"),
        time_in_force=time_in_force(order, "f"),
        status=STATUSES.get(raw),
        status_raw=raw,
        price=amount(order, "p"),
        stop_price=optional_amount(order, "sp"),
        quantity=amount(order, "q"),
        quantity_unit=unit_of(symbol),
        filled_quantity=amount(order, "z"),
        average_price=optional_amount(order, "ap"),
        reason=None if expiry == "0" else expiry,
    )
    if execution in FILLS:
        return rows.decoded(UPDATE, _fill(rows, event, order))
    return rows.decoded(UPDATE, None if execution in NO_FILLS else "field x: an unknown word, so a fill may be missing")


def trade_lite(rows: Rows, event: Row) -> Decoded:
    """A fill, told sooner than in the order's update, and without its fee."""
    return rows.decoded(UPDATE, _fill(rows, event, event))


def _fill(rows: Rows, event: Row, trade: Row) -> str | None:
    """Adds a fill; returns what is wrong with it instead if it cannot be one."""
    trade_id, size = whole(trade, "t"), amount(trade, "l")
    if trade_id <= 0 or not size:
        return "a trade without a trade id or a quantity"
    symbol = text(trade, "s")
    rows.fill(
        exchange_time=time(event, "T", MILLISECONDS),
        symbol=symbol,
        trade_id=str(trade_id),
        order_id=str(whole(trade, "i")),
        client_order_id=text(trade, "c"),
        side=mapped(trade, "S", SIDES),
        price=amount(trade, "L"),
        quantity=size,
        quantity_unit=unit_of(symbol),
        fee=optional_number(trade, "n"),
        fee_asset=optional_text(trade, "N") if trade.get("n") is not None else None,
        liquidity=liquidity(trade, "m"),
    )
    return None


def liquidity(row: Row, key: str) -> str | None:
    """Whether the own order made the market, from a boolean."""
    maker = row.get(key)
    if maker is None:
        return None
    if type(maker) is not bool:
        raise Broken(f"field {key}: not a boolean")
    return "maker" if maker else "taker"


def algo_update(rows: Rows, event: Row, order: Row) -> Decoded:
    """A conditional order's new state; the order that it triggers has an id and updates of its own."""
    raw, symbol = text(order, "X"), text(order, "s")
    quantity = optional_amount(order, "q")
    rows.order(
        UPDATE,
        exchange_time=time(event, "T", MILLISECONDS),
        symbol=symbol,
        client_order_id=text(order, "caid"),
        order_id=str(whole(order, "aid")),
        side=mapped(order, "S", SIDES),
        order_type=order_type(order, "o"),
        time_in_force=time_in_force(order, "f"),
        status=conditional_status(raw, order, "q", "aq"),
        status_raw=raw,
        price=optional_amount(order, "p"),
        stop_price=optional_amount(order, "tp"),
        quantity=quantity,
        quantity_unit=None if quantity is None else unit_of(symbol),
        filled_quantity=optional_amount(order, "aq"),
        average_price=optional_amount(order, "ap"),
        reason=optional_text(order, "rm"),
    )
    return rows.decoded(UPDATE)


def strategy_update(rows: Rows, event: Row, order: Row) -> Decoded:
    """The same of portfolio margin's conditional orders."""
    raw, symbol = text(order, "os"), text(order, "s")
    quantity = optional_amount(order, "q")
    rows.order(
        UPDATE,
        exchange_time=time(event, "T", MILLISECONDS),
        symbol=symbol,
        client_order_id=text(order, "c"),
        order_id=str(whole(order, "si")),
        side=mapped(order, "S", SIDES),
        order_type=order_type(order, "st"),
        time_in_force=time_in_force(order, "f"),
        status=CONDITIONAL.get(raw),
        status_raw=raw,
        price=optional_amount(order, "p"),
        stop_price=optional_amount(order, "sp"),
        quantity=quantity,
        quantity_unit=None if quantity is None else unit_of(symbol),
    )
    return rows.decoded(UPDATE)


def trigger_reject(rows: Rows, event: Row, order: Row) -> Decoded:
    """A conditional order whose triggering the matching engine refused."""
    rows.order(
        UPDATE,
        exchange_time=time(event, "T", MILLISECONDS),
        symbol=text(order, "s"),
        order_id=str(whole(order, "i")),
        status="REJECTED",
        status_raw=text(event, "e"),
        reason=optional_text(order, "r"),
    )
    return rows.decoded(UPDATE)


# --- answers ---


class Answer:
    """Collects what one answer says. `problem` is the first thing in it that could not be read."""

    def __init__(self, rows: Rows, request: Request | None, request_id: str | None) -> None:
        self._rows = rows
        self._request = request
        self._request_id = request_id
        self._asked = request.orders if request else ()
        self._action = ACTIONS.get(request.method) if request else None
        self.problem: str | None = None

    def decoded(self) -> Decoded | None:
        """The meaning of the answer; None if it says nothing of orders and none was asked for."""
        told = self._rows.decoded_if_any(RESPONSE, self.problem)
        if told is None and self._action is not None:
            return self._rows.decoded(RESPONSE, "an answer to an order request that names no order")
        return told

    def told(self, result: Any) -> None:
        """Reads a successful result: an order, or a list of orders, refusals and trades in the order of the request."""
        if type(result) is not list:
            self._part(result, self._asked)
            return
        together = len(result) == len(self._asked)
        for index, part in enumerate(result):
            self._part(part, self._asked[index : index + 1] if together else ())

    def refused(self, error: Any, status: int = 400) -> None:
        """Reads a refusal of the whole request. `status` is the HTTP-like one."""
        self._refuse(error, self._asked, status >= 500)

    def _part(self, part: Any, asked: tuple[OrderEvent, ...]) -> None:
        try:
            if type(part) is not dict:
                raise Broken("an order that is no object")
            if "symbol" in part and "orderId" in part and "commission" in part:
                self._trade(part)
            elif "orderId" in part and "clientOrderId" in part:
                self._order(part, ORDER)
            elif "algoId" in part:
                self._order(part, ALGO)
            elif "strategyId" in part:
                self._order(part, STRATEGY)
            elif "code" in part:
                self._refuse(part, asked, False)
            elif part.get("complete") is True:
                self._done(asked)
        except Broken as error:
            self.problem = self.problem or str(error)

    def _order(self, row: Row, names: Names) -> None:
        raw = optional_text(row, names.status)
        if names is ORDER:
            status = STATUSES.get(raw or "")
        else:
            status = conditional_status(raw, row, names.quantity, "actualQty")
        symbol = optional_text(row, "symbol")
        quantity = optional_amount(row, names.quantity)
        action = self._action
        if self._request is None and raw == "CANCELED" and "time" not in row:  # the capture starts between request and answer
            action = CANCEL  # any other answer may be that to a placement or to an amendment
        self._rows.order(
            RESPONSE,
            exchange_time=None if row.get("updateTime") is None else time(row, "updateTime", MILLISECONDS),
            symbol=symbol,
            action=action,
            request_id=self._request_id,
            client_order_id=optional_text(row, names.client_id),
            order_id=str(whole(row, names.order_id)),
            side=mapped(row, "side", SIDES) if row.get("side") is not None else None,
            order_type=order_type(row, names.answered_kind),
            time_in_force=time_in_force(row, "timeInForce"),
            status=status,
            status_raw=raw,
            price=optional_amount(row, "price"),
            stop_price=optional_amount(row, names.trigger),
            quantity=quantity,
            quantity_unit=None if quantity is None else unit_of(symbol),
            filled_quantity=optional_amount(row, "executedQty"),
            average_price=optional_amount(row, "avgPrice"),
        )

    def _trade(self, row: Row) -> None:
        symbol = text(row, "symbol")
        self._rows.fill(
            exchange_time=time(row, "time", MILLISECONDS),
            symbol=symbol,
            trade_id=str(whole(row, "id")),
            order_id=str(whole(row, "orderId")),
            side=mapped(row, "side", SIDES),
            price=amount(row, "price"),
            quantity=amount(row, "qty"),
            quantity_unit=unit_of(symbol),
            fee=number(row, "commission"),
            fee_asset=optional_text(row, "commissionAsset"),
            liquidity=liquidity(row, "maker"),
        )

    def _done(self, asked: tuple[OrderEvent, ...]) -> None:
        """Adds the answer to each order that was `asked` for: done, without a word about the order."""
        for order in asked:
            self._rows.rejoined(order, request_id=self._request_id)

    def _refuse(self, error: Any, asked: tuple[OrderEvent, ...], server_failed: bool) -> None:
        """Adds the answer to each order that was `asked` for: refused, outcome unknown, or (code 200) done without a word."""
        if type(error) is not dict:
            raise Broken("field error: no object")
        code, reason = identity(error, "code"), optional_text(error, "msg")
        if code is None:
            raise Broken("field code is missing")
        if code == "200":  # "The operation of cancel all open order is done."
            self._done(asked)
            return
        number_of_code = int(code) if _CODE.fullmatch(code) else 0
        unknown = server_failed or number_of_code in OUTCOME_UNKNOWN
        said: dict[str, Any] = {"request_id": self._request_id, "status_raw": code, "reason": reason or code}
        for order in asked:
            self._rows.refused(order, unknown, **said)
        if not asked:
            action = self._action or REFUSALS.get(number_of_code)
            if action is None:
                raise Broken(f"a refusal ({number_of_code}) of a request that was not seen")
            self._rows.order(RESPONSE, action=action, status="REJECTED" if action == PLACE and not unknown else None, **said)

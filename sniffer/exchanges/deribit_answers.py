"""What Deribit tells of orders: in answers and in notifications the same two objects, the order and the user trade.

An answer is read by its shape, which tells the same with its request as without it (a capture may start between the two); the
request adds what was asked. Docs: https://docs.deribit.com (api-reference/trading, subscriptions/user, articles/errors).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from sniffer.exchanges.base import AMEND, CANCEL, PLACE, RESPONSE, Decoded, Rows
from sniffer.exchanges.deribit_requests import ACTIONS, MASS_QUOTE, SIDES, Request, price_of, terms, unit_of
from sniffer.exchanges.fields import mapped, number, optional_amount, optional_objects, optional_text, text, time, whole
from sniffer.exchanges.jsontext import Row
from sniffer.exchanges.numbers import MILLISECONDS, Broken
from sniffer.model import OrderEvent

STATUSES: Final = {
    "open": "NEW",
    "filled": "FILLED",
    "rejected": "REJECTED",
    "cancelled": "CANCELED",
    "untriggered": "PENDING_TRIGGER",
}
"""Not `triggered`: that trigger order is done, and the order that it has become has an id of its own."""
QUOTE_SIDES: Final = {"bid": "buy", "ask": "sell"}
LIQUIDITY: Final = {"M": "maker", "T": "taker"}
OUTCOME_UNKNOWN: Final = frozenset((11094, 13028))
"""internal_server_error and temporarily_unavailable ("service is not responding or responding too slow")."""

REFUSED_TERMS: Final = frozenset(
    (
        10002, 10003, *range(10005, 10010), 10011, *range(10012, 10019), *range(10021, 10025), 10026, 10027, 10031, 10032,
        *range(10034, 10040), 10043, 10044, 11013, 11021, 11022, 11035, 11036, 11037, 11038, 11039, 11048, 11054,
    )
)  # fmt: skip
"""Codes that say themselves that an order was not taken as it was wanted: its price, amount, funds, or a limit on orders."""
NO_SUCH_ORDER: Final = frozenset((10004, 10010, 10025, 10029, 10045, 10046, 11008, 11041, 11044))
"""Codes that say that an order could not be cancelled or edited."""


class Told:
    """Collects what one message says. `problem` is the first thing in it that could not be read."""

    def __init__(self, rows: Rows, kind: str, request: Request | None = None, request_id: str | None = None) -> None:
        self._rows = rows
        self._kind = kind
        self._request = request
        self._request_id = request_id
        self.problem: str | None = None

    def decoded(self) -> Decoded | None:
        """The meaning of the message; None if it says nothing of orders."""
        return self._rows.decoded_if_any(self._kind, self.problem)

    def tell(self, value: Any, action: str | None = None) -> None:
        """Reads whatever holds orders and trades: one of either, a list of them, or an object with lists of them."""
        if type(value) is list:
            for item in value:
                self.tell(item, action)
        elif type(value) is not dict:
            return
        elif "trade_id" in value and "price" in value:
            self._part(self._trade, value)
        elif "order_state" in value or ("order_id" in value and "instrument_name" in value):
            self._part(self._order, value, action)
        else:
            self._tell_inside(value, action)

    def _tell_inside(self, value: Row, action: str | None) -> None:
        order = value.get("order")
        if type(order) is dict:  # of a placement or an amendment
            self.tell(order, action or (AMEND if order.get("replaced") is True else PLACE))
            self._triggered_by(order)
        elif "order" in value and "trades" in value:
            self.problem = self.problem or "field order: not an object"
        elif "errors" in value or (self._request is not None and self._request.method == MASS_QUOTE):
            self._part(self._quoted, value)
            return
        for key in ("orders", "result", "trades"):
            if type(value.get(key)) is list:
                self.tell(value[key], action)
            elif value.get(key) is not None and key != "result":
                self.problem = self.problem or f"field {key}: not a list"

    def _triggered_by(self, order: Row) -> None:
        """The one order that a placement will trigger is told by its id alone; of several it is not said which is which."""
        asked = self._request.orders[1:] if self._request is not None else ()
        ids = order.get("oto_order_ids")
        if len(asked) == 1 and type(ids) is list and len(ids) == 1 and type(ids[0]) is str:
            self._rows.rejoined(asked[0], order_id=ids[0], status="PENDING_TRIGGER", status_raw=None)

    def refused(self, error: Any, http_status: int | None) -> None:
        """Reads a refusal of the request that it is joined to, if that was seen."""
        if type(error) is not dict:
            raise Broken("field error: no object")
        code = whole(error, "code")
        reason = optional_text(error, "message") or str(code)  # a refusal without a reason would count as taken
        said: dict[str, Any] = {"status_raw": str(code), "reason": reason}
        if self._request is None:
            if code not in REFUSED_TERMS | NO_SUCH_ORDER:
                raise Broken(f"a refusal ({code}) of a request that was not seen")
            status = "REJECTED" if code in REFUSED_TERMS else None
            self._rows.order(RESPONSE, request_id=self._request_id, status=status, **said)
            return
        unknown = code in OUTCOME_UNKNOWN or (http_status is not None and http_status >= 500)
        if not self._request.orders:
            action = ACTIONS[self._request.method]
            rejected = action == PLACE and not unknown
            self._rows.order(
                RESPONSE, action=action, request_id=self._request_id, status="REJECTED" if rejected else None, **said
            )
        for asked in self._request.orders:
            self._rows.refused(asked, unknown, **said)

    def counted(self, result: Any) -> None:
        """An answer that says how many orders were cancelled, and not which: what was asked is confirmed, unless none was."""
        for asked in self._request.orders if self._request is not None else ():
            if asked.action == CANCEL:
                self._rows.rejoined(asked, reason=None if result else "no order was cancelled")

    def _part(self, read: Callable[..., None], *arguments: Any) -> bool:
        """One order or one trade: all of its row, or a problem. Returns whether it could be read."""
        try:
            read(*arguments)
        except Broken as error:
            self.problem = self.problem or str(error)
            return False
        return True

    def _order(self, row: Row, action: str | None) -> None:
        symbol = text(row, "instrument_name")
        state = text(row, "order_state")
        filled = optional_amount(row, "filled_amount")
        status = STATUSES.get(state)
        quantity = optional_amount(row, "amount")
        unit = None if quantity is None and filled is None else unit_of(symbol)
        if quantity is None and (quantity := optional_amount(row, "contracts")) is not None:
            unit, filled = "contract", None
        order_type, time_in_force = terms(row, "order_type")
        self._rows.order(
            self._kind,
            exchange_time=time(row, "last_update_timestamp", MILLISECONDS),
            symbol=symbol,
            action=action,
            request_id=self._request_id,
            client_order_id=optional_text(row, "label"),
            order_id=text(row, "order_id"),
            side=mapped(row, "direction", SIDES),
            order_type=order_type,
            time_in_force=time_in_force,
            status="PARTIALLY_FILLED" if status == "NEW" and filled else status,
            status_raw=state,
            price=price_of(row, "price", symbol),
            stop_price=optional_amount(row, "trigger_price" if "trigger_price" in row else "stop_price"),
            quantity=quantity,
            quantity_unit=unit,
            filled_quantity=filled,
            average_price=price_of(row, "average_price", symbol) or None,  # 0 stands for none
            reason=optional_text(row, "cancel_reason") or optional_text(row, "reject_reason"),
        )

    def _trade(self, row: Row) -> None:
        legs = row.get("legs")
        self._fill(row)
        if type(legs) is list:  # of a combination: executions of their own, each with its trade id
            for leg in legs:
                if type(leg) is not dict:
                    raise Broken("field legs: not a list of objects")
                self._part(self._fill, leg)

    def _fill(self, row: Row) -> None:
        symbol = text(row, "instrument_name")
        price = price_of(row, "price", symbol)
        quantity = optional_amount(row, "amount")
        unit = unit_of(symbol)
        if quantity is None:
            quantity, unit = optional_amount(row, "contracts"), "contract"
        if price is None or not quantity:
            raise Broken("a trade without price or amount")
        liquidity = optional_text(row, "liquidity")
        if liquidity is not None and liquidity not in LIQUIDITY:
            raise Broken("field liquidity: an unknown word")
        fee = number(row, "fee") if row.get("fee") is not None else None
        self._rows.fill(
            exchange_time=time(row, "timestamp", MILLISECONDS),
            symbol=symbol,
            trade_id=text(row, "trade_id"),
            order_id=optional_text(row, "order_id"),
            client_order_id=optional_text(row, "label"),
            side=mapped(row, "direction", SIDES),
            price=price,
            quantity=quantity,
            quantity_unit=unit,
            fee=fee,
            fee_asset=optional_text(row, "fee_currency"),
            liquidity=LIQUIDITY[liquidity] if liquidity else None,
        )

    def _quoted(self, value: Row) -> None:
        """The answer to a mass quote: orders and refusals, each at the ordinal of the quote that it answers.

        What is answered is told by instrument and side, since refused quotes stand in a list of their own.
        """
        answers: dict[tuple[Any, Any], Row] = {}
        others: list[Row] = []
        for key in ("orders", "errors"):
            for item in optional_objects(value, key):
                side = item.get("direction") if key == "orders" else QUOTE_SIDES.get(str(item.get("side")))
                place = (item.get("instrument_name"), side)
                if type(place[0]) is str and not isinstance(side, (dict, list)) and place not in answers:
                    answers[place] = item
                else:
                    others.append(item)
        for asked in self._request.orders if self._request is not None else ():
            answer = answers.pop((asked.symbol, asked.side), None)
            if answer is None or not self._part(self._quote, answer, asked):
                self._rows.skip()
        for answer in (*answers.values(), *others):
            self._part(self._quote, answer, None)
        self.tell(optional_objects(value, "trades"))

    def _quote(self, row: Row, asked: OrderEvent | None) -> None:
        if "order_state" in row:
            self._order(row, PLACE)
            return
        symbol = text(row, "instrument_name")
        side = mapped(row, "side", QUOTE_SIDES)
        error = row["error"] if type(row.get("error")) is dict else row
        said: dict[str, Any] = {
            "status": "REJECTED",
            "status_raw": str(whole(error, "code")),
            "reason": optional_text(error, "message"),
        }
        if asked is not None:
            self._rows.rejoined(asked, **said)
        else:
            self._rows.order(RESPONSE, action=PLACE, request_id=self._request_id, symbol=symbol, side=side, **said)

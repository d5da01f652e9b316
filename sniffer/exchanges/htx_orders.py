"""What HTX tells of orders: pushes of spot and of contracts, and answers to queries.

Docs: https://www.htx.com/en-us/opend/newApiPages/ (Spot: Websocket Account and Order, Trading; USDT-M futures: WebSocket
Subscriptions - Order, Swap Trade Interface).
"""

from __future__ import annotations

from typing import Any, Final

from sniffer.exchanges.base import UPDATE, Decoded, Rows
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
from sniffer.exchanges.htx_requests import SIDES, algo_terms, contract_type, spot_type, spot_unit
from sniffer.exchanges.jsontext import Row
from sniffer.exchanges.numbers import MILLISECONDS, Broken
from sniffer.model import OrderEvent

STATUSES: Final = {
    "created": "PENDING_NEW",  # "not in the matching queue yet"
    "submitted": "NEW",
    "partial-filled": "PARTIALLY_FILLED",
    "filled": "FILLED",
    "canceling": "PENDING_CANCEL",
    "partial-canceled": "CANCELED",
    "canceled": "CANCELED",
    "rejected": "REJECTED",
}
ALGO_STATUSES: Final = {"created": "PENDING_TRIGGER", "triggered": "NEW", "canceled": "CANCELED", "rejected": "REJECTED"}
CONTRACT_STATUSES: Final = {
    1: "PENDING_NEW",
    2: "PENDING_NEW",
    3: "NEW",
    4: "PARTIALLY_FILLED",
    5: "CANCELED",
    6: "FILLED",
    7: "CANCELED",
    11: "PENDING_CANCEL",
}
LIQUIDITY: Final = {"maker": "maker", "taker": "taker", "Maker": "maker", "Taker": "taker"}


class Told:
    """Collects what one message says. `problem` is the first thing in it that could not be read."""

    def __init__(self, rows: Rows, kind: str, request_id: str | None = None) -> None:
        self.rows = rows
        self.kind = kind
        self.request_id = request_id
        self.problem: str | None = None

    def decoded(self) -> Decoded | None:
        """The meaning of the message; None if it says nothing of orders."""
        return self.rows.decoded_if_any(self.kind, self.problem)

    def part(self, read: Any, row: Any) -> None:
        """One order: all of its rows, or a problem."""
        try:
            if type(row) is not dict:
                raise Broken("an order that is no object")
            read(row)
        except Broken as error:
            self.problem = self.problem or str(error)

    # --- spot pushes ---

    def order_push(self, row: Row) -> None:
        """An event of `orders#`, or a cancellation of `trade.clearing#`."""
        event = text(row, "eventType")
        side, order_type, time_in_force = spot_type(optional_text(row, "type") or optional_text(row, "orderType"))
        if row.get("orderSide") is not None:
            side = mapped(row, "orderSide", SIDES)
        if side is None:
            raise Broken("field type is missing")
        size, value = optional_amount(row, "orderSize"), optional_amount(row, "orderValue")
        unit = spot_unit(side, order_type)
        status = text(row, "orderStatus")
        at = {"creation": "orderCreateTime", "trade": "tradeTime"}.get(event, "lastActTime")
        if event not in ("creation", "trade", "cancellation", "trigger", "deletion"):
            raise Broken("field eventType: an unknown word")
        order = self.rows.order(
            UPDATE,
            exchange_time=time(row, at, MILLISECONDS) if row.get(at) is not None else None,
            symbol=text(row, "symbol"),
            client_order_id=optional_text(row, "clientOrderId"),
            order_id=identity(row, "orderId"),
            side=side,
            order_type=order_type,
            time_in_force=time_in_force,
            status=STATUSES.get(status),
            status_raw=status,
            price=optional_amount(row, "orderPrice"),
            stop_price=optional_amount(row, "stopPrice"),
            quantity=value if unit == "quote" and value is not None else size,
            quantity_unit=unit if (value if unit == "quote" and value is not None else size) is not None else None,
            filled_quantity=optional_amount(row, "execAmt"),
            reason=optional_text(row, "errMessage") or optional_text(row, "canceledSourceDesc"),
        )
        if event == "trade":
            self.rows.fill(**self._execution(row), **_whose(order))

    def clearing(self, row: Row) -> None:
        """An event of `trade.clearing#`: a trade with its fee, or a cancellation."""
        if text(row, "eventType") != "trade":
            self.order_push(row)
            return
        fee, asset = number(row, "transactFee"), optional_text(row, "feeCurrency")
        deducted = optional_number(row, "feeDeduct")
        if not fee and deducted:  # paid in points or in the venue's own coin
            fee, asset = deducted, optional_text(row, "feeDeductType")
        self.rows.fill(
            **self._execution(row),
            symbol=text(row, "symbol"),
            order_id=identity(row, "orderId"),
            client_order_id=optional_text(row, "clientOrderId"),
            side=mapped(row, "orderSide", SIDES),
            fee=fee,
            fee_asset=asset,
        )

    @staticmethod
    def _execution(row: Row) -> dict[str, Any]:
        aggressor = row.get("aggressor")
        if aggressor is not None and type(aggressor) is not bool:
            raise Broken("field aggressor: not a boolean")
        return {
            "exchange_time": time(row, "tradeTime", MILLISECONDS),
            "trade_id": str(whole(row, "tradeId")),
            "price": amount(row, "tradePrice"),
            "quantity": amount(row, "tradeVolume"),
            "quantity_unit": "base",
            "liquidity": None if aggressor is None else "taker" if aggressor else "maker",
        }

    # --- contracts ---

    def contract(self, row: Row) -> None:
        """An order of contracts, in a push or in an answer to a query, with the trades that it lists."""
        status = row.get("status")
        if type(status) is not int:
            raise Broken("field status: not a whole number")
        word = row.get("order_price_type")  # in histories a number, for which no page has the word
        order_type, time_in_force = contract_type(None if type(word) is int else optional_text(row, "order_price_type"))
        at = "ts" if row.get("ts") is not None else "update_time"
        order = self.rows.order(
            self.kind,
            exchange_time=time(row, at, MILLISECONDS) if row.get(at) is not None else None,
            symbol=text(row, "contract_code"),
            client_order_id=identity(row, "client_order_id"),
            order_id=_contract_order_id(row),
            request_id=self.request_id,
            side=mapped(row, "direction", SIDES),
            order_type=order_type,
            time_in_force=time_in_force,
            status=CONTRACT_STATUSES.get(status),
            status_raw=str(status),
            price=optional_amount(row, "price"),
            quantity=amount(row, "volume"),
            quantity_unit="contract",
            filled_quantity=optional_amount(row, "trade_volume"),
            average_price=optional_amount(row, "trade_avg_price") or None,
        )
        trades = row.get("trade")
        for trade in trades if type(trades) is list else []:
            if type(trade) is not dict:
                raise Broken("field trade: not a list of objects")
            self.part(lambda trade: self._contract_fill(trade, order), trade)

    def _contract_fill(self, row: Row, order: OrderEvent) -> None:
        fee = optional_number(row, "trade_fee")
        self.rows.fill(
            exchange_time=time(row, "created_at", MILLISECONDS),
            trade_id=identity(row, "id") or str(whole(row, "trade_id")),  # "trade_id is not unique"
            price=amount(row, "trade_price"),
            quantity=amount(row, "trade_volume"),
            quantity_unit="contract",
            fee=None if fee is None else -fee if fee else fee,  # below zero is paid
            fee_asset=optional_text(row, "fee_asset"),
            liquidity=mapped(row, "role", LIQUIDITY) if row.get("role") is not None else None,
            **_whose(order),
        )

    def _contract_match(self, row: Row) -> None:
        """A trade in the answer to a query, under the `id` that pushes give it."""
        fee = optional_number(row, "trade_fee")
        self.rows.fill(
            exchange_time=time(row, "create_date", MILLISECONDS),
            symbol=text(row, "contract_code"),
            trade_id=text(row, "id"),
            order_id=_contract_order_id(row),
            side=mapped(row, "direction", SIDES),
            price=amount(row, "trade_price"),
            quantity=amount(row, "trade_volume"),
            quantity_unit="contract",
            fee=fee.copy_negate() if fee else fee,  # below zero is paid
            fee_asset=optional_text(row, "fee_asset"),
            liquidity=mapped(row, "role", LIQUIDITY) if row.get("role") is not None else None,
        )

    # --- queries ---

    def listed(self, data: Any) -> None:
        """The answer to a query: orders or trades, one or a list of them."""
        for key in ("orders", "trades"):
            if type(data) is dict and type(data.get(key)) is list:
                data = data[key]
        for row in data if type(data) is list else [data]:
            if row is not None:
                self.part(self._queried, row)

    def _queried(self, row: Row) -> None:
        if "match-id" in row or "trade-id" in row:
            self._match(row)
        elif "match_id" in row:
            self._contract_match(row)
        elif "contract_code" in row:
            self.contract(row)
        elif "orderOrigTime" in row or "orderStatus" in row:
            status = text(row, "orderStatus")
            self.rows.order(
                self.kind, exchange_time=time(row, "lastActTime", MILLISECONDS), request_id=self.request_id,
                order_id=identity(row, "orderId"), status=ALGO_STATUSES.get(status), status_raw=status,
                reason=optional_text(row, "errMessage"), **algo_terms(row),
            )  # fmt: skip
        else:
            self._order(row)

    def _order(self, row: Row) -> None:
        side, order_type, time_in_force = spot_type(text(row, "type"))
        state = text(row, "state")
        unit = spot_unit(side, order_type)
        filled = "quote" if unit == "quote" else "base"
        keys = ("filled-cash-amount", "field-cash-amount") if filled == "quote" else ("filled-amount", "field-amount")
        waiting = state == "created" and order_type == "stop_limit"
        self.rows.order(
            self.kind,
            symbol=text(row, "symbol"),
            request_id=self.request_id,
            client_order_id=optional_text(row, "client-order-id"),
            order_id=str(whole(row, "id")),
            side=side,
            order_type=order_type,
            time_in_force=time_in_force,
            status="PENDING_TRIGGER" if waiting else STATUSES.get(state),
            status_raw=state,
            price=optional_amount(row, "price"),
            stop_price=optional_amount(row, "stop-price"),
            quantity=amount(row, "amount"),
            quantity_unit=unit,
            filled_quantity=optional_amount(row, keys[0] if keys[0] in row else keys[1]),
        )

    def _match(self, row: Row) -> None:
        side, _, _ = spot_type(text(row, "type"))
        fee, asset = number(row, "filled-fees"), optional_text(row, "fee-currency")
        points = optional_number(row, "filled-points")
        if not fee and points:
            fee, asset = points, optional_text(row, "fee-deduct-currency")
        self.rows.fill(
            exchange_time=time(row, "created-at", MILLISECONDS),
            symbol=text(row, "symbol"),
            trade_id=str(whole(row, "trade-id" if "trade-id" in row else "id")),
            order_id=str(whole(row, "order-id")),
            side=side,
            price=amount(row, "price"),
            quantity=amount(row, "filled-amount"),
            quantity_unit="base",
            fee=fee,
            fee_asset=asset,
            liquidity=mapped(row, "role", LIQUIDITY) if row.get("role") is not None else None,
        )


def _contract_order_id(row: Row) -> str | None:
    return identity(row, "order_id_str") or identity(row, "order_id")


def _whose(order: OrderEvent) -> dict[str, Any]:
    """The columns of a fill that are its order's."""
    return {
        "symbol": order.symbol,
        "order_id": order.order_id,
        "client_order_id": order.client_order_id,
        "side": order.side,
    }

"""What Binance Spot's user data events say of an order: the executionReport and the fill that it may hold.

Docs: user-data-stream.md, faqs/stp_faq.md and faqs/order_amend_keep_priority.md of github.com/binance/binance-spot-api-docs.
"""

from __future__ import annotations

from typing import Final

from sniffer.exchanges.base import UPDATE, Decoded, Rows
from sniffer.exchanges.binance_spot_requests import SIDES, STATUSES, quantity, terms
from sniffer.exchanges.binance_spot_responses import NO_ID, told_unit
from sniffer.exchanges.fields import amount, mapped, optional_amount, optional_number, optional_text, text, time, whole
from sniffer.exchanges.jsontext import Row
from sniffer.exchanges.numbers import Broken
from sniffer.model import OrderEvent

NO_FILL: Final = frozenset(("NEW", "CANCELED", "REPLACED", "REJECTED", "EXPIRED", "TRADE_PREVENTION"))
"""Execution types that are no fill; TRADE is the only one that is."""


def report(rows: Rows, event: Row, unit: int | None) -> Decoded:
    """The rows of an executionReport. `unit` is that of its times, None where they have to tell it themselves."""
    execution = text(event, "x")
    status = text(event, "X")
    client_order_id = text(event, "c")
    if execution == "CANCELED":
        original = event.get("C")
        if type(original) is not str:
            raise Broken("field C: not a text")
        if original not in ("", "null"):  # older reports have the word
            client_order_id = original
    order_type, time_in_force = terms(event, "o", "f")
    size, size_unit = quantity(event, "q", "Q")
    if order_type is None or event.get("q") in (None, ""):
        raise Broken("field o or q is missing")
    reason = optional_text(event, "r")
    order = rows.order(
        UPDATE,
        exchange_time=time(event, "T", unit or told_unit(event, "E", "T", "O")),
        symbol=text(event, "s"),
        client_order_id=client_order_id,
        order_id=str(whole(event, "i")),
        side=mapped(event, "S", SIDES),
        order_type=order_type,
        time_in_force=time_in_force,
        status=STATUSES.get(status),
        status_raw=status,
        price=amount(event, "p"),
        stop_price=optional_amount(event, "P"),
        quantity=size,
        quantity_unit=size_unit,
        filled_quantity=amount(event, "z"),
        reason=None if reason == "NONE" else reason,
    )
    if execution == "TRADE":
        return rows.decoded(UPDATE, _fill(rows, event, order))
    known = execution in NO_FILL
    return rows.decoded(UPDATE, None if known else "field x: an unknown word, so a fill may be missing")


def _fill(rows: Rows, event: Row, order: OrderEvent) -> str | None:
    """Adds the fill of a TRADE report; returns what is wrong with it instead if it cannot be one."""
    trade_id = whole(event, "t")
    if trade_id == NO_ID and "a" in event:  # filled by an allocation of smart order routing
        trade_id = whole(event, "a")
    size = amount(event, "l")
    if trade_id < 0 or not size:
        return "a TRADE without a trade id or a quantity"
    maker = event.get("m")
    if maker is not None and type(maker) is not bool:
        raise Broken("field m: not a boolean")
    rows.fill(
        exchange_time=order.exchange_time,
        symbol=order.symbol,
        trade_id=str(trade_id),
        order_id=order.order_id,
        client_order_id=order.client_order_id,
        side=order.side,
        price=amount(event, "L"),
        quantity=size,
        quantity_unit="base",
        fee=optional_number(event, "n"),
        fee_asset=optional_text(event, "N"),
        liquidity=None if maker is None else "maker" if maker else "taker",
    )
    return None

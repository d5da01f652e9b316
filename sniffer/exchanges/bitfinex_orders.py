"""Bitfinex's arrays, read by place: orders, trades, and the notifications that answer requests.

Docs: https://docs.bitfinex.com/reference (ws-auth-orders, ws-auth-trades, ws-auth-notifications, rest-auth-retrieve-orders,
rest-auth-trades), https://docs.bitfinex.com/docs/flag-values
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, TypeAlias

from sniffer.exchanges.base import AMEND, CANCEL, PLACE, RESPONSE, UPDATE, Rows
from sniffer.exchanges.fields import (
    amount,
    identity,
    number,
    optional_amount,
    optional_number,
    optional_text,
    text,
    time,
    whole,
)
from sniffer.exchanges.jsontext import Row
from sniffer.exchanges.numbers import MILLISECONDS, SECONDS, Broken, decimal, total
from sniffer.model import OrderEvent

ORDER: Final = (
    "ID", "GID", "CID", "SYMBOL", "MTS_CREATE", "MTS_UPDATE", "AMOUNT", "AMOUNT_ORIG", "ORDER_TYPE", "TYPE_PREV", "MTS_TIF", "",
    "FLAGS", "STATUS", "", "", "PRICE", "PRICE_AVG", "PRICE_TRAILING", "PRICE_AUX_LIMIT",
)  # fmt: skip
TRADE: Final = (
    "ID", "SYMBOL", "MTS", "ORDER_ID", "EXEC_AMOUNT", "EXEC_PRICE", "ORDER_TYPE", "ORDER_PRICE", "MAKER", "FEE", "FEE_CURRENCY",
    "CID",
)  # fmt: skip
NOTICE: Final = ("MTS", "TYPE", "MESSAGE_ID", "", "INFO", "CODE", "STATUS", "TEXT")

STATUSES: Final = {
    "ACTIVE": "NEW",
    "PARTIALLY FILLED": "PARTIALLY_FILLED",
    "EXECUTED": "FILLED",
    "CANCELED": "CANCELED",
    "POSTONLY CANCELED": "CANCELED",
    "FILLORKILL CANCELED": "CANCELED",
    "IOC CANCELED": "CANCELED",
    "INSUFFICIENT MARGIN": "CANCELED",
    "INSUFFICIENT BALANCE": "CANCELED",
    "RSN_DUST": "REJECTED",
    "RSN_PAUSE": "REJECTED",
}
"""By the words that a status begins with: `EXECUTED @ 107.6(-0.2)`, `CANCELED was: PARTIALLY FILLED @ ...`."""
OPEN: Final = frozenset(("NEW", "PARTIALLY_FILLED"))
NO_REASON: Final = frozenset(("ACTIVE", "PARTIALLY FILLED", "EXECUTED", "CANCELED"))
TYPES: Final = {
    "LIMIT": ("limit", None),
    "MARKET": ("market", None),
    "STOP": ("stop", None),
    "STOP LIMIT": ("stop_limit", None),
    "TRAILING STOP": ("trailing_stop", None),
    "FOK": ("limit", "fok"),
    "IOC": ("limit", "ioc"),
}
STOPS: Final = frozenset(("stop", "trailing_stop"))
"""Orders whose price is the trigger, and which have no limit."""
POST_ONLY: Final = 4096
"""Bit of FLAGS."""
LIQUIDITY: Final = {1: "maker", -1: "taker"}
ANSWERED: Final = {"on-req": PLACE, "ou-req": AMEND, "oc-req": CANCEL, "oc_multi-req": CANCEL}
SEVERAL: Final = "ox_multi-req"
"""The notification whose INFO holds notifications."""
_STATUS: Final = ORDER.index("STATUS")
_SECONDS_BELOW: Final = 10**11
"""Notifications come in milliseconds, some in seconds: as milliseconds, so small a number would be in March 1973."""

FindAsked: TypeAlias = Callable[[str, str | None, str | None], OrderEvent | None]
"""The order of a request, by its action, order id and client order id."""


def named(fields: tuple[str, ...], array: Any) -> Row:
    """The places of an array by their names; those beyond the last name are left out."""
    if type(array) is not list:
        raise Broken("no array where one has to stand")
    return dict(zip(fields, array, strict=False))


def terms(row: Row, type_key: str, flags_key: str, tif_key: str, price_key: str, limit_key: str) -> dict[str, Any]:
    """Order type, time in force and prices of an order or of a request."""
    word = optional_text(row, type_key)
    plain = word.removeprefix("EXCHANGE ") if word else ""
    order_type, force = TYPES.get(plain, (plain.lower().replace(" ", "_") or None, None))
    flags = row.get(flags_key)
    if flags is not None and type(flags) is not int:
        raise Broken(f"field {flags_key}: not a whole number")
    if flags and flags & POST_ONLY:
        force = "post_only"
    elif force is None and row.get(tif_key):
        force = "gtd"
    price, stop = optional_amount(row, price_key), None
    if order_type in STOPS:
        price, stop = None, price
    elif order_type == "stop_limit":
        price, stop = optional_amount(row, limit_key), price
    return {"order_type": order_type, "time_in_force": force, "price": price, "stop_price": stop}


def side_and_size(signed: Decimal | None) -> dict[str, Any]:
    """An amount is below zero where it sells; 0 is no side."""
    if signed is None:
        return {}
    side = None if not signed else "sell" if signed.is_signed() else "buy"
    return {"side": side, "quantity": signed.copy_abs(), "quantity_unit": "base"}


def add_order(rows: Rows, array: Any, kind: str = UPDATE, action: str | None = None) -> OrderEvent:
    """Adds an order as `os`, `on`, `ou`, `oc`, notifications and REST tell it."""
    row = named(ORDER, array)
    raw = text(row, "STATUS")
    words = status_words(raw)
    original, left = number(row, "AMOUNT_ORIG"), number(row, "AMOUNT")
    filled = total(original.copy_abs(), left.copy_abs().copy_negate())
    if filled.is_signed() or (left and left.is_signed() != original.is_signed()):
        raise Broken("field AMOUNT: more is left than was asked for")
    status = STATUSES.get(words)
    if action == CANCEL and status in OPEN:
        status = None  # "submitted for cancellation": the order is shown as it was before
    return rows.order(
        kind,
        action=action,
        exchange_time=time(row, "MTS_UPDATE", MILLISECONDS),
        symbol=text(row, "SYMBOL"),
        order_id=str(whole(row, "ID")),
        client_order_id=identity(row, "CID"),
        status=status,
        status_raw=raw,
        filled_quantity=filled,
        average_price=optional_amount(row, "PRICE_AVG"),
        reason=None if words in NO_REASON else raw,
        **side_and_size(original),
        **terms(row, "ORDER_TYPE", "FLAGS", "MTS_TIF", "PRICE", "PRICE_AUX_LIMIT"),
    )


def status_words(raw: str) -> str:
    """What a status begins with: all before a price, a bracket, or the status that was before."""
    for mark in (" @", " was", ":", " ("):
        raw = raw.partition(mark)[0]
    return raw.strip()


def add_trade(rows: Rows, array: Any) -> None:
    """Adds a trade as `te` (without its fee), `tu` and REST tell it."""
    row = named(TRADE, array)
    signed = number(row, "EXEC_AMOUNT")
    if not signed:
        raise Broken("field EXEC_AMOUNT: 0")
    fee = optional_number(row, "FEE")
    maker = row.get("MAKER")
    rows.fill(
        exchange_time=time(row, "MTS", MILLISECONDS),
        symbol=text(row, "SYMBOL"),
        trade_id=str(whole(row, "ID")),
        order_id=str(whole(row, "ORDER_ID")),
        client_order_id=identity(row, "CID"),
        price=amount(row, "EXEC_PRICE"),
        fee=fee.copy_negate() if fee else fee,  # below zero where it was paid
        fee_asset=optional_text(row, "FEE_CURRENCY"),
        liquidity=LIQUIDITY.get(maker) if type(maker) is int else None,
        **side_and_size(signed),
    )


def add_each(rows: Rows, arrays: Any, add: Any) -> str | None:
    """Adds all of a snapshot; returns the first thing that could not be read, the others stay."""
    if type(arrays) is not list:
        raise Broken("no array where one has to stand")
    problem: str | None = None
    for array in arrays:
        try:
            add(rows, array)
        except Broken as error:
            problem = problem or str(error)
    return problem


class Notices:
    """Reads notifications. `asked` finds the request that one answers."""

    def __init__(self, rows: Rows, asked: FindAsked) -> None:
        self._rows = rows
        self._asked = asked
        self.problem: str | None = None

    def read(self, array: Any) -> None:
        """One notification, or the several that it holds; those about no order are left out."""
        row = named(NOTICE, array)
        kind = row.get("TYPE")
        if kind == SEVERAL and type(row.get("INFO")) is list:
            for inner in row["INFO"]:
                self._guarded(self.read, inner)
        elif type(kind) is str and kind in ANSWERED:
            self._answered(row, ANSWERED[kind])

    def _answered(self, row: Row, action: str) -> None:
        info = row.get("INFO")
        orders = info if type(info) is list and info and type(info[0]) is list else [info]
        succeeded = text(row, "STATUS") == "SUCCESS"
        for order in orders:
            if succeeded and type(order) is list and order[_STATUS : _STATUS + 1] not in ([], [None]):
                self._guarded(lambda array: add_order(self._rows, array, RESPONSE, action), order)
            else:
                self._guarded(lambda array: self._told_little(row, action, array, succeeded), order)

    def _told_little(self, row: Row, action: str, array: Any, succeeded: bool) -> None:
        """An answer whose order array is mostly null: a refusal, or a success that tells ids alone."""
        order = named(ORDER, array if type(array) is list else [])
        ids = {"order_id": identity(order, "ID"), "client_order_id": identity(order, "CID")}
        said: dict[str, Any] = {name: value for name, value in ids.items() if value is not None}
        asked = self._asked(action, said.get("order_id"), said.get("client_order_id"))
        said["exchange_time"] = notice_time(row)
        if not succeeded:
            raw = text(row, "STATUS")
            said |= {"status_raw": raw, "reason": optional_text(row, "TEXT") or raw}  # without one it would count as taken
            if action == PLACE:
                said["status"] = "REJECTED"
            elif asked is not None:  # what the request wanted to change has not changed
                asked = asked._replace(side=None, price=None, stop_price=None, quantity=None, quantity_unit=None)
        if asked is not None:
            self._rows.rejoined(asked, **said)
            return
        said["symbol"] = optional_text(order, "SYMBOL")
        if action == PLACE:  # a refusal may show what was asked for
            signed = optional_number(order, "AMOUNT_ORIG")
            said |= side_and_size(optional_number(order, "AMOUNT") if signed is None else signed)
            said |= terms(order, "ORDER_TYPE", "FLAGS", "MTS_TIF", "PRICE", "PRICE_AUX_LIMIT")
        self._rows.order(RESPONSE, action=action, **said)

    def _guarded(self, read: Any, value: Any) -> None:
        """One order or notification of several; the others stay."""
        try:
            read(value)
        except Broken as error:
            self.problem = self.problem or str(error)


def notice_time(row: Row) -> int | None:
    """When a notification was made."""
    value = row.get("MTS")
    if value is None:
        return None
    return time(row, "MTS", SECONDS if decimal(value) < _SECONDS_BELOW else MILLISECONDS)

"""What clients ask of Deribit: methods, the words of the API, and the orders that a request names.

The WebSocket API and REST take the same methods and parameters; in a REST query the values are texts.
Docs: https://docs.deribit.com (api-reference/trading, articles/deribit-quantity-types).
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, NamedTuple

from sniffer.exchanges.base import AMEND, CANCEL, PLACE, REQUEST, Rows
from sniffer.exchanges.fields import mapped, optional_amount, optional_number, optional_objects, optional_text
from sniffer.exchanges.jsontext import Row
from sniffer.exchanges.numbers import Broken
from sniffer.model import OrderEvent

SIDES: Final = {"buy": "buy", "sell": "sell"}
ORDER_TYPES: Final = {
    "limit": "limit",
    "market": "market",
    "stop_limit": "stop_limit",
    "stop_market": "stop",
    "take_limit": "take_profit_limit",
    "take_market": "take_profit",
    "trailing_stop": "trailing_stop",
}
TIMES_IN_FORCE: Final = {
    "good_til_cancelled": "gtc",
    "good_til_day": "day",
    "fill_or_kill": "fok",
    "immediate_or_cancel": "ioc",
}
TRUE: Final = (True, "true")

MASS_QUOTE: Final = "private/mass_quote"
ACTIONS: Final = {
    **dict.fromkeys(("private/buy", "private/sell", "private/close_position", MASS_QUOTE), PLACE),
    **dict.fromkeys(("private/edit", "private/edit_by_label"), AMEND),
    **dict.fromkeys(
        (
            "private/cancel", "private/cancel_by_label", "private/cancel_all", "private/cancel_all_by_currency",
            "private/cancel_all_by_currency_pair", "private/cancel_all_by_instrument",
            "private/cancel_all_by_kind_or_type", "private/cancel_quotes",
        ),
        CANCEL,
    ),
}  # fmt: skip
"""Methods that ask something of an order."""
QUERIES: Final = frozenset(
    (
        "private/get_order_state", "private/get_order_state_by_label", "private/get_open_orders",
        "private/get_open_orders_by_currency", "private/get_open_orders_by_instrument", "private/get_open_orders_by_label",
        "private/get_order_history_by_currency", "private/get_order_history_by_instrument",
        "private/get_user_trades_by_currency", "private/get_user_trades_by_currency_and_time",
        "private/get_user_trades_by_instrument", "private/get_user_trades_by_instrument_and_time",
        "private/get_user_trades_by_order", "private/execute_block_trade", "private/get_block_trade",
        "private/get_block_trades", "private/get_last_block_trades_by_currency",
    )
)  # fmt: skip
"""Methods whose answers tell states of orders, or fills, though they ask nothing of an order."""
LOGINS: Final = frozenset(("public/auth", "public/fork_token", "public/exchange_token", "private/logout"))
_ORDER_METHOD: Final = re.compile(
    r"private/(?:buy|sell|close_position|mass_quote|(?:edit|cancel)(?!.*(?:rfq|api_key|withdrawal|transfer)))"
)
"""How methods begin that may be order requests, known or not."""

_DATE: Final = r"[0-9]{1,2}[A-Z]{3}[0-9]{2}"
_INVERSE: Final = re.compile(rf"[A-Z0-9]+-(?:PERPETUAL|{_DATE}|FS-.+)")
_LINEAR: Final = re.compile(rf"[A-Z0-9]+_[A-Z0-9]+(?:-(?:PERPETUAL|{_DATE}|FS-.+))?")
_OPTION: Final = re.compile(rf"[A-Z0-9]+(?:_[A-Z0-9]+)?-{_DATE}-[0-9d]+-[CP]")
_COMBO: Final = re.compile(r"[A-Z0-9_]+-[A-Z]+-.+")


class Request(NamedTuple):
    """A request that awaits its answer: its method, the orders that it names, and whose it is."""

    method: str
    orders: tuple[OrderEvent, ...]
    account: str | None


def may_be_about_orders(method: str) -> bool:
    """Whether a method that is not listed here may ask something of an order all the same."""
    return _ORDER_METHOD.match(method) is not None


@lru_cache(maxsize=4096)
def unit_of(symbol: str) -> str | None:
    """What an `amount` of an instrument counts, told by its name; None for combinations of options, and names of other kinds.

    "For perpetual and inverse futures the amount is in USD units. For options and linear futures it is the underlying base
    currency coin." Spot and linear instruments have a pair before the first hyphen (`BTC_USDC-PERPETUAL`).
    """
    if _INVERSE.fullmatch(symbol):
        return "quote"
    return "base" if _LINEAR.fullmatch(symbol) or _OPTION.fullmatch(symbol) else None


def price_of(row: Row, key: str, symbol: str | None) -> Decimal | None:
    """A price; null where a trigger order will be a market order ("market_price")."""
    if row.get(key) == "market_price":
        return None
    combination = symbol is not None and _COMBO.fullmatch(symbol) is not None
    return optional_number(row, key) if combination else optional_amount(row, key)  # the price of a spread may be below zero


def terms(row: Row, type_key: str) -> tuple[str | None, str | None]:
    """Order type and time in force in the words of the tables; a word that is not known as the venue writes it."""
    kind = optional_text(row, type_key)
    force = optional_text(row, "time_in_force")
    post_only = row.get("post_only")
    if post_only not in (True, False, None, "true", "false") or type(post_only) is int:
        raise Broken("field post_only: not a boolean")
    return (
        ORDER_TYPES.get(kind, kind.lower()) if kind else None,
        "post_only" if post_only in TRUE else TIMES_IN_FORCE.get(force, force.lower()) if force else None,
    )


def ask(rows: Rows, method: str, params: Row, request_id: str | None) -> None:
    """Adds the orders that a request names: those of a mass quote, and those that the placed one is to trigger, as well."""
    action = ACTIONS[method]
    if method == MASS_QUOTE:
        _ask_quotes(rows, params, request_id)
        return
    side = {"private/buy": "buy", "private/sell": "sell"}.get(method)
    columns: dict[str, Any] = {}
    if action != CANCEL:
        columns = _asked(params, side)
        if action == PLACE and columns["order_type"] is None and side is not None:
            columns["order_type"] = "limit"  # "order type, default: limit"
    rows.order(
        REQUEST,
        action=action,
        request_id=request_id,
        symbol=optional_text(params, "instrument_name"),
        order_id=optional_text(params, "order_id"),
        client_order_id=optional_text(params, "label"),
        **columns,
    )
    if action == PLACE:
        for leg in optional_objects(params, "otoco_config"):
            rows.order(
                REQUEST,
                action=PLACE,
                request_id=request_id,
                symbol=optional_text(params, "instrument_name"),
                client_order_id=optional_text(leg, "label"),
                **_asked(leg, mapped(leg, "direction", SIDES) if leg.get("direction") is not None else None, params),
            )


def _asked(params: Row, side: str | None, shared: Row | None = None) -> dict[str, Any]:
    """What an order is to be like. `shared` holds the instrument's name if `params` does not."""
    symbol = optional_text(shared or params, "instrument_name")
    amount, unit = optional_amount(params, "amount"), None
    if amount is not None:
        unit = unit_of(symbol) if symbol else None
    elif (amount := optional_amount(params, "contracts")) is not None:
        unit = "contract"
    order_type, time_in_force = terms(params, "type")
    advanced = optional_text(params, "advanced")
    price = price_of(params, "price", symbol)
    return {
        "side": side,
        "order_type": order_type,
        "time_in_force": time_in_force,
        "price": None if advanced else price,  # it is then in USD, or an implied volatility
        "stop_price": optional_amount(params, "trigger_price" if "trigger_price" in params else "stop_price"),
        "quantity": amount,
        "quantity_unit": unit,
    }


def _ask_quotes(rows: Rows, params: Row, request_id: str | None) -> None:
    for quote in optional_objects(params, "quotes"):
        symbol = optional_text(quote, "instrument_name")
        for key, side in (("bid", "buy"), ("ask", "sell")):
            half = quote.get(key)
            if half is None:
                continue
            if type(half) is not dict:
                raise Broken(f"field {key}: not an object")
            columns = _asked(half, side, quote)
            rows.order(REQUEST, action=PLACE, request_id=request_id, symbol=symbol, **{**columns, "order_type": "limit"})

"""Coinbase Advanced Trade's orders: what a request configures, what the user channel and REST tell, what answers say.

Docs: https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-channels (user channel),
https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/rest-api/orders (create, edit, cancel, list orders, list fills)
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from sniffer.exchanges.base import AMEND, CANCEL, PLACE, REQUEST, RESPONSE, UPDATE, Rows
from sniffer.exchanges.fields import amount, mapped, number, optional_amount, optional_rfc3339, optional_text, text
from sniffer.exchanges.jsontext import Row
from sniffer.exchanges.numbers import Broken
from sniffer.model import OrderEvent

ORDERS: Final = "/api/v3/brokerage/orders"
ACTIONS: Final = {
    ORDERS: PLACE,
    f"{ORDERS}/close_position": PLACE,
    f"{ORDERS}/edit": AMEND,
    f"{ORDERS}/batch_cancel": CANCEL,
}
HISTORY: Final = f"{ORDERS}/historical/"
FILLS: Final = f"{HISTORY}fills"

SIDES: Final = {"BUY": "buy", "SELL": "sell"}
STATUSES: Final = {
    "PENDING": "PENDING_NEW",
    "QUEUED": "PENDING_NEW",
    "OPEN": "NEW",
    "EDIT_QUEUED": "NEW",
    "FILLED": "FILLED",
    "CANCEL_QUEUED": "PENDING_CANCEL",
    "CANCELLED": "CANCELED",
    "EXPIRED": "EXPIRED",
    "FAILED": "REJECTED",
}
TIMES_IN_FORCE: Final = {
    "GOOD_UNTIL_CANCELLED": "gtc",
    "GOOD_UNTIL_DATE_TIME": "gtd",
    "IMMEDIATE_OR_CANCEL": "ioc",
    "FILL_OR_KILL": "fok",
}
CONFIGURATIONS: Final = {
    "market_market": "market",
    "limit_limit": "limit",
    "sor_limit": "limit",
    "stop_limit_stop_limit": "stop_limit",
    "trigger_bracket": "bracket",
    "twap_limit": "twap",
    "scaled_limit": "scaled",
}
"""What the name of an order configuration begins with; it ends with the time in force."""
UNKNOWN: Final = "UNKNOWN_"
"""How words begin that say nothing. Of reasons, only UNKNOWN_FAILURE_REASON and its kin do: UNKNOWN_CANCEL_ORDER says why."""
NO_REASON: Final = "REJECT_REASON_UNSPECIFIED"
REASONS: Final = (
    "error", "edit_failure_reason", "failure_reason", "preview_failure_reason", "new_order_failure_reason",
)  # fmt: skip
"""Where answers say in a word why they refuse."""
LIQUIDITY: Final = {"MAKER": "maker", "TAKER": "taker"}


class Call(NamedTuple):
    """A REST call that awaits its answer: its path, the orders that it names, and whose it is."""

    path: str
    orders: tuple[OrderEvent, ...]
    account: str | None


# --- terms -----------------------------------------------------------------------------------------------------------------


def configured(row: Row) -> dict[str, Any]:
    """The terms in `order_configuration`, an object of one object whose name tells type and time in force."""
    configuration = row.get("order_configuration")
    if configuration is None:
        return {}
    if type(configuration) is not dict:
        raise Broken("field order_configuration: no object")
    if len(configuration) != 1:  # none; or all variants at once, as the documentation shows them
        return {}
    ((name, terms),) = configuration.items()
    if type(terms) is not dict:
        raise Broken("field order_configuration: no object in it")
    kind, _, force = name.rpartition("_")
    said: dict[str, Any] = {
        "order_type": CONFIGURATIONS.get(kind, name.lower()),
        "time_in_force": "post_only" if terms.get("post_only") is True else force if kind in CONFIGURATIONS else None,
        "price": optional_amount(terms, "limit_price"),
        "stop_price": optional_amount(terms, "stop_trigger_price" if "stop_trigger_price" in terms else "stop_price"),
    }
    base, quote = optional_amount(terms, "base_size"), optional_amount(terms, "quote_size")
    if base is None or quote is None:  # of both, which one counts is not said
        said["quantity"] = quote if base is None else base
        said["quantity_unit"] = "base" if base is not None else "quote" if quote is not None else None
    return said


def told_terms(row: Row) -> dict[str, Any]:
    """The terms that an order tells itself."""
    kind, force = optional_text(row, "order_type"), optional_text(row, "time_in_force")
    known = kind is not None and not kind.upper().startswith(UNKNOWN)
    post_only = row.get("post_only") in (True, "true")
    return {
        "order_type": kind.lower().replace(" ", "_") if kind and known else None,
        "time_in_force": "post_only" if post_only else TIMES_IN_FORCE.get(force) if force else None,
        "price": optional_amount(row, "limit_price"),
        "stop_price": optional_amount(row, "stop_price"),
    }


def reason_of(row: Row, *keys: str) -> str | None:
    """The first of these texts that says anything."""
    for key in keys:
        word = optional_text(row, key)
        if word is not None and word != NO_REASON and not (word.startswith(UNKNOWN) and word.endswith("_REASON")):
            return word
    return None


# --- the user channel, and REST queries ------------------------------------------------------------------------------------


def update(rows: Rows, row: Row, at: int | None) -> None:
    """Adds an order of the user channel. How much was asked for is not said: what is left is in the currency of the request."""
    raw = text(row, "status")
    rows.order(
        UPDATE,
        exchange_time=at,
        symbol=text(row, "product_id"),
        order_id=text(row, "order_id"),
        client_order_id=optional_text(row, "client_order_id"),
        side=mapped(row, "order_side", SIDES),
        status=STATUSES.get(raw),
        status_raw=raw,
        filled_quantity=optional_amount(row, "cumulative_quantity"),
        average_price=optional_amount(row, "avg_price"),
        reason=reason_of(row, "reject_reason", "cancel_reason"),
        **told_terms(row),
    )


def queried(rows: Rows, row: Row) -> None:
    """Adds an order that a query tells."""
    raw = text(row, "status")
    terms = told_terms(row) | {name: value for name, value in configured(row).items() if value is not None}
    rows.order(
        RESPONSE,
        exchange_time=optional_rfc3339(row, "last_update_time"),
        symbol=text(row, "product_id"),
        order_id=text(row, "order_id"),
        client_order_id=optional_text(row, "client_order_id"),
        side=mapped(row, "side", SIDES),
        status=STATUSES.get(raw),
        status_raw=raw,
        filled_quantity=optional_amount(row, "filled_size"),
        average_price=optional_amount(row, "average_filled_price"),
        reason=reason_of(row, "reject_message", "reject_reason", "cancel_message"),
        **terms,
    )


def fill(rows: Rows, row: Row) -> None:
    """Adds a fill. Its commission is in the quote currency, which is not said."""
    if text(row, "trade_type") != "FILL":  # REVERSAL, CORRECTION, SYNTHETIC
        raise Broken("field trade_type: not a FILL")
    in_quote = row.get("size_in_quote")
    if in_quote is not None and type(in_quote) is not bool:
        raise Broken("field size_in_quote: not a boolean")
    liquidity = optional_text(row, "liquidity_indicator")
    rows.fill(
        exchange_time=optional_rfc3339(row, "trade_time"),
        symbol=text(row, "product_id"),
        trade_id=text(row, "trade_id"),
        order_id=text(row, "order_id"),
        side=mapped(row, "side", SIDES),
        price=amount(row, "price"),
        quantity=amount(row, "size"),
        quantity_unit="quote" if in_quote else "base",
        fee=number(row, "commission") if row.get("commission") not in (None, "") else None,
        liquidity=LIQUIDITY.get(liquidity) if liquidity else None,
    )


# --- calls and their answers -----------------------------------------------------------------------------------------------


def ask(rows: Rows, path: str, body: Row) -> None:
    """Adds the orders that a call names."""
    action = ACTIONS[path]
    if action == CANCEL:
        order_ids = body.get("order_ids")
        if type(order_ids) is not list or not order_ids or not all(type(order_id) is str for order_id in order_ids):
            raise Broken("field order_ids: not a list of texts")
        for order_id in order_ids:
            rows.order(REQUEST, action=CANCEL, order_id=order_id or None)
    elif action == AMEND:
        size = optional_amount(body, "size")
        rows.order(
            REQUEST,
            action=AMEND,
            order_id=optional_text(body, "order_id"),
            price=optional_amount(body, "price"),
            stop_price=optional_amount(body, "stop_price"),
            quantity=size,
            quantity_unit=None if size is None else "base",
        )
    else:
        size = optional_amount(body, "size")  # of a position that is closed
        terms = configured(body) or ({} if size is None else {"quantity": size})
        rows.order(
            REQUEST,
            action=PLACE,
            symbol=optional_text(body, "product_id"),
            client_order_id=optional_text(body, "client_order_id"),
            side=mapped(body, "side", SIDES) if body.get("side") is not None else None,
            **terms,
        )


def answer(rows: Rows, call: Call, body: Row, failed: bool = False) -> str | None:
    """Adds what an answer says of the orders of `call`; returns the first thing in it that could not be read.

    `failed`: the server did (HTTP status 5xx), so what became of the orders is unknown.
    """
    action = ACTIONS[call.path]
    asked = call.orders[0] if len(call.orders) == 1 else None
    if action == CANCEL and "results" in body:
        return _canceled(rows, body["results"])
    success = body.get("success")
    if success is None and "error" in body:  # the gateway's answer, not the order service's
        _refuse(rows, asked, action, body, {}, failed)
    elif type(success) is not bool:
        raise Broken("field success: not a boolean")
    elif success:
        _accept(rows, asked, action, body)
    else:
        errors = body.get("errors")
        first = errors[0] if type(errors) is list and errors and type(errors[0]) is dict else {}
        told = body.get("error_response")
        _refuse(rows, asked, action, {**body, **first, **(told if type(told) is dict else {})}, {}, failed)
    return None


def _accept(rows: Rows, asked: OrderEvent | None, action: str, body: Row) -> None:
    told = body.get("success_response")
    if type(told) is not dict:
        if action == PLACE or told is not None:
            raise Broken("field success_response: no object")
        told = {}  # an edit that succeeded may say no more than that
    said: dict[str, Any] = {} if not told else {"order_id": text(told, "order_id")}
    if told.get("product_id"):
        said["symbol"] = text(told, "product_id")
    if told.get("client_order_id"):
        said["client_order_id"] = text(told, "client_order_id")
    if told.get("side") is not None:
        said["side"] = mapped(told, "side", SIDES)
    if asked is None:
        rows.order(RESPONSE, action=action, **said, **configured(body))
    else:
        rows.rejoined(asked, **said)


def _refuse(rows: Rows, asked: OrderEvent | None, action: str, told: Row, said: dict[str, Any], failed: bool = False) -> None:
    raw = reason_of(told, *REASONS)
    reason = reason_of(told, "error_details", "message", "preview_failure_reason") or raw
    if reason is None and action != PLACE:  # a refused change without a reason would be one that was taken
        reason = next((word for key in REASONS if (word := optional_text(told, key)) is not None), "success false")
    said |= {"status_raw": raw, "reason": reason}
    if action == PLACE:
        said["status"] = None if failed else "REJECTED"
    if asked is None:
        rows.order(RESPONSE, action=action, **said)
    elif action == PLACE:
        rows.rejoined(asked, **said)
    else:  # what the request wanted to change has not changed
        rows.unchanged(asked, **said)


def _canceled(rows: Rows, results: Any) -> str | None:
    problem: str | None = None
    if type(results) is not list or not results:
        raise Broken("field results: no list")
    for row in results:
        try:
            if type(row) is not dict or type(row.get("success")) is not bool:
                raise Broken("field results: a result that is no object, or without success")
            said: dict[str, Any] = {"order_id": text(row, "order_id")}
            if row["success"]:
                rows.order(RESPONSE, action=CANCEL, **said)
            else:
                _refuse(rows, None, CANCEL, row, said)
        except Broken as error:
            problem = problem or str(error)
    return problem

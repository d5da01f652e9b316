"""What clients ask of Hyperliquid: actions, and the orders that they name.

An asset is an index: resolved where an instrument list was seen, else the index itself, as text.
Docs: https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api (exchange-endpoint, asset-ids).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from sniffer.exchanges.base import AMEND, CANCEL, PLACE, REQUEST, Rows
from sniffer.exchanges.fields import amount, each, mapped, optional_text, text, whole
from sniffer.exchanges.instruments import Instruments
from sniffer.exchanges.jsontext import Row
from sniffer.exchanges.numbers import Broken
from sniffer.model import OrderEvent

TIMES_IN_FORCE: Final = {
    "Gtc": "gtc",
    "Ioc": "ioc",
    "Alo": "post_only",  # "add liquidity only"
    "FrontendMarket": "ioc",  # "similar to Ioc"
    "LiquidationMarket": "ioc",
}
_TRIGGERS: Final = {
    ("sl", True): "stop",
    ("sl", False): "stop_limit",
    ("tp", True): "take_profit",
    ("tp", False): "take_profit_limit",
}

SPOT: Final = 10_000
DEX: Final = 100_000
DEX_STEP: Final = 10_000
"""Spot pairs are 10,000 + index; perpetuals of a builder's exchange 100,000 + 10,000 times its index + index."""


class Request(NamedTuple):
    """A request that awaits its answer: the orders that could be read of the `size` that it names, and whose it is.

    `question` is the type of an `info` request, None for an action.
    """

    orders: tuple[OrderEvent, ...]
    size: int
    account: str | None
    question: str | None = None


def ask(rows: Rows, action: Row, request_id: str | None, instruments: Instruments) -> tuple[int, str | None]:
    """Adds the orders that an action names; returns how many it names, and the first thing that could not be read."""
    kind = text(action, "type")
    readers: dict[str, tuple[str, Callable[[Row], dict[str, Any]]]] = {
        "order": ("orders", _place),
        "cancel": ("cancels", _cancel),
        "cancelByCloid": ("cancels", _cancel_by_cloid),
        "batchModify": ("modifies", _modify),
    }
    if kind in readers:
        key, read = readers[kind]
        items: Any = action.get(key)
    elif kind in ("modify", "twapOrder", "twapCancel"):
        read = {"modify": _modify, "twapOrder": _twap, "twapCancel": _cancel_twap}[kind]
        items = [action]
    elif any(key in action for key in ("orders", "cancels", "modifies")):
        raise Broken("an order action that is not known")
    else:
        return 0, None
    if type(items) is not list or not items:
        raise Broken(f"an action {kind} without orders")

    def add(item: Row) -> None:
        columns = read(item)
        rows.order(REQUEST, request_id=request_id, **{**columns, "symbol": instruments.symbol(columns["symbol"])})

    return len(items), each(items, add, broken=rows.skip)


def _place(row: Row) -> dict[str, Any]:
    order_type, time_in_force, stop_price = _type(row.get("t"))
    return {
        "action": PLACE,
        "symbol": whole(row, "a"),
        "client_order_id": optional_text(row, "c"),
        "side": _side(row),
        "order_type": order_type,
        "time_in_force": time_in_force,
        "price": amount(row, "p"),
        "stop_price": stop_price,
        "quantity": amount(row, "s"),
        "quantity_unit": "base",
    }


def _modify(row: Row) -> dict[str, Any]:
    """The order that is to be modified, by number or by client id, and what is to take its place.

    The client id among the new terms is that of another order, which gets an oid of its own: it is not this one's.
    """
    order = row.get("order")
    if type(order) is not dict:
        raise Broken("field order: not an object")
    columns = {**_place(order), "action": AMEND, "client_order_id": None}
    oid = row.get("oid")
    if type(oid) is int:
        columns["order_id"] = str(oid)
    elif type(oid) is str and oid:
        columns["client_order_id"] = oid
    else:
        raise Broken("field oid: not an id")
    return columns


def _cancel(row: Row) -> dict[str, Any]:
    return {"action": CANCEL, "symbol": whole(row, "a"), "order_id": str(whole(row, "o"))}


def _cancel_by_cloid(row: Row) -> dict[str, Any]:
    return {"action": CANCEL, "symbol": whole(row, "asset"), "client_order_id": text(row, "cloid")}


def _twap(row: Row) -> dict[str, Any]:
    twap = row.get("twap")
    if type(twap) is not dict:
        raise Broken("field twap: not an object")
    return {
        "action": PLACE,
        "symbol": whole(twap, "a"),
        "side": _side(twap),
        "order_type": "twap",
        "quantity": amount(twap, "s"),
        "quantity_unit": "base",
    }


def _cancel_twap(row: Row) -> dict[str, Any]:
    return {"action": CANCEL, "symbol": whole(row, "a"), "order_id": str(whole(row, "t"))}


def _side(row: Row) -> str:
    buy = row.get("b")
    if type(buy) is not bool:
        raise Broken("field b: not a boolean")
    return "buy" if buy else "sell"


def _type(value: Any) -> tuple[str, str | None, Any]:
    """Order type, time in force and trigger price of {"limit": {...}} or {"trigger": {...}}."""
    if type(value) is not dict:
        raise Broken("field t: not an object")
    limit, trigger = value.get("limit"), value.get("trigger")
    if type(limit) is dict and trigger is None:
        tif = text(limit, "tif")
        return "market" if tif == "FrontendMarket" else "limit", TIMES_IN_FORCE.get(tif, tif.lower()), None
    if type(trigger) is dict and limit is None:
        market = trigger.get("isMarket")
        if type(market) is not bool:
            raise Broken("field isMarket: not a boolean")
        kind = mapped(trigger, "tpsl", {"tp": "tp", "sl": "sl"})
        return _TRIGGERS[kind, market], None, amount(trigger, "triggerPx")
    raise Broken("field t: neither limit nor trigger")


def learn(instruments: Instruments, value: Any) -> bool:
    """Takes instrument lists out of an answer to an `info` request; whether one of them taught something.

    `meta` is {"universe": [{"name", "szDecimals"}, ...]}, by position; `spotMeta` the same with "index" and "tokens";
    `allPerpMetas` a list of the first, one for each exchange; with contexts, they stand first in a list. The `meta` of a
    builder's exchange alone (names `dex:COIN`) does not say that exchange's index, so it teaches nothing.
    """
    news = False
    metas = value if type(value) is list else [value]
    several = len(metas) > 1 and all(type(meta) is dict and "universe" in meta for meta in metas)
    for dex, meta in enumerate(metas):
        universe = meta.get("universe") if type(meta) is dict else None
        for position, pair in enumerate(universe if type(universe) is list else []):
            number = _number(pair, position, dex if several else None)
            if number is not None:
                news = instruments.learn(number, pair["name"]) or news
    return news


def _number(pair: Any, position: int, dex: int | None) -> int | None:
    """The asset's number of an entry of a universe, if that says it."""
    if type(pair) is not dict or type(pair.get("name")) is not str:
        return None
    if "tokens" in pair:
        return SPOT + pair["index"] if type(pair.get("index")) is int else None
    if dex:
        return DEX + DEX_STEP * dex + position
    return None if ":" in pair["name"] else position

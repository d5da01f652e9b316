"""Our rows against ccxt's own parsers, on the messages that the unit tests of each venue hold.

Where both say something, they say the same: a number is the float nearest to ours, a time the same millisecond. Differences are
settled by the exchange's documentation and listed in `ccxt_differences.toml`, each with the value of either; one that no longer
occurs has to go from there. The last test sees that enough was compared.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from sniffer.exchanges.base import UPDATE, Decoded
from sniffer.exchanges.inflate import json_inside
from sniffer.model import FillEvent, OrderEvent
from tests.differential.oracle_ccxt import Oracle, Unified
from tests.property.test_venues_property import MODULES, Fixture, decode, raw, registered

STATUSES: Final = {
    "PENDING_NEW": "open",
    "NEW": "open",
    "PENDING_TRIGGER": "open",
    "PARTIALLY_FILLED": "open",
    "PENDING_CANCEL": "canceling",
    "FILLED": "closed",
    "CANCELED": "canceled",
    "REJECTED": "rejected",
    "EXPIRED": "expired",
}
TIMES_IN_FORCE: Final = {"gtc": "GTC", "ioc": "IOC", "fok": "FOK", "post_only": "PO"}


class Difference(NamedTuple):
    """One column, said in two ways."""

    venue: str
    column: str
    ours: str
    ccxt: str


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _milliseconds(value: int | None) -> int | None:
    return None if value is None else value // 1_000_000


def _changed(order: Unified) -> Any:
    return order.get("lastUpdateTimestamp") or order.get("lastTradeTimestamp") or order.get("timestamp")


def _fee(part: str) -> Callable[[Unified], Any]:
    return lambda trade: (trade.get("fee") or {}).get(part)


def _same(value: Any) -> Any:
    return value


def _word(value: str | None) -> str | None:
    """A word whatever its case, joined or not."""
    return None if value is None else value.lower().replace("_", "")


Column = tuple[str, Callable[[Any], Any], Callable[[Unified], Any]]

ORDER_COLUMNS: Final[tuple[Column, ...]] = (
    ("order_id", _same, lambda order: order.get("id")),
    ("client_order_id", _same, lambda order: order.get("clientOrderId")),
    ("symbol", _same, lambda order: order.get("symbol")),
    ("side", _same, lambda order: order.get("side")),
    ("order_type", _word, lambda order: _word(order.get("type"))),
    ("time_in_force", TIMES_IN_FORCE.get, lambda order: order.get("timeInForce")),
    ("price", _number, lambda order: order.get("price")),
    ("stop_price", _number, lambda order: order.get("triggerPrice")),
    ("quantity", _number, lambda order: order.get("amount")),
    ("filled_quantity", _number, lambda order: order.get("filled")),
    ("average_price", _number, lambda order: order.get("average")),
    ("status", STATUSES.get, lambda order: order.get("status")),
    ("exchange_time", _milliseconds, _changed),
)
FILL_COLUMNS: Final[tuple[Column, ...]] = (
    ("trade_id", _same, lambda trade: trade.get("id")),
    ("order_id", _same, lambda trade: trade.get("order")),
    ("symbol", _same, lambda trade: trade.get("symbol")),
    ("side", _same, lambda trade: trade.get("side")),
    ("price", _number, lambda trade: trade.get("price")),
    ("quantity", _number, lambda trade: trade.get("amount")),
    ("fee", _number, lambda trade: _number(_fee("cost")(trade))),
    ("fee_asset", _word, lambda trade: _word(_fee("currency")(trade))),
    ("liquidity", _same, lambda trade: trade.get("takerOrMaker")),
    ("exchange_time", _milliseconds, lambda trade: trade.get("timestamp")),
)


EVERY_ORDER: Final = {"order_id", "symbol", "side", "price", "quantity", "filled_quantity", "status", "exchange_time"}
EVERY_FILL: Final = {"trade_id", "order_id", "symbol", "side", "price", "quantity", "fee", "exchange_time"}
"""What is compared at least, of each venue; nearly all have the other columns, too."""


@cache
def settled() -> dict[Difference, str]:
    """Known differences, and what settles each."""
    listed = tomllib.loads(Path(__file__).with_name("ccxt_differences.toml").read_text(encoding="utf-8"))["difference"]
    return {
        Difference(venue, column, *pair): entry["settled_by"]
        for entry in listed
        for venue in entry["venues"]
        for column in entry["columns"]
        for pair in entry["values"]
    }


@cache
def rows(module: str) -> list[tuple[Fixture, Decoded]]:
    """What each server message among the fixtures of a venue's test module means."""
    fixtures, _ = registered(module)
    found = [(one, decode(one, raw(one[2]), fixtures[:at])) for at, one in enumerate(fixtures) if one[1] == "server"]
    return [(fixture, decoded) for fixture, decoded in found if decoded is not None]


@cache
def compared(module: str) -> tuple[set[tuple[str, str, str]], set[Difference]]:
    """((venue, order or fill, column) that both said, differences) over these messages."""
    both: set[tuple[str, str, str]] = set()
    differences: set[Difference] = set()
    symbols = {row.symbol for _, decoded in rows(module) for row in decoded.orders if row.symbol}
    symbols |= {row.symbol for _, decoded in rows(module) for row in decoded.fills if row.symbol}
    oracles = {venue: Oracle(venue, symbols) for venue in {fixture[0] for fixture, _ in rows(module)}}
    for (venue, _, payload, call), decoded in rows(module):
        pushed = decoded.kind == UPDATE and call is None
        orders, trades = (oracles[venue].push if pushed else oracles[venue].answer)(_value(payload))
        pairs = [
            *(("order", ORDER_COLUMNS, *pair) for pair in _orders(decoded.orders, orders)),
            *(("fill", FILL_COLUMNS, *pair) for pair in _fills(decoded.fills, trades)),
        ]
        for kind, columns, ours, theirs in pairs:
            for column, convert, take in columns:
                mine, other = convert(getattr(ours, column)), take(theirs)
                if mine is not None and other is not None:
                    both.add((venue, kind, column))
                    if mine != other:
                        differences.add(Difference(venue, column, str(mine), str(other)))
    return both, differences


def _value(payload: Any) -> Any:
    text = json_inside(payload) if isinstance(payload, bytes) else payload
    return json.loads(text) if isinstance(text, str) else text


def _orders(ours: list[OrderEvent], theirs: list[Unified]) -> Iterator[tuple[OrderEvent, Unified]]:
    """Orders of one id, the latest of each: ccxt keeps no other."""
    mine = {key: row for row in ours for key in (row.client_order_id, row.order_id) if key is not None}
    for key, order in {str(order.get("id") or order.get("clientOrderId")): order for order in theirs}.items():
        if key in mine:
            yield mine[key], order


def _fills(ours: list[FillEvent], theirs: list[Unified]) -> Iterator[tuple[FillEvent, Unified]]:
    """Fills in their order; by their ids where ccxt does not read all of them."""
    if len(ours) == len(theirs):
        yield from zip(ours, theirs, strict=True)
        return
    named = {str(trade["id"]): trade for trade in theirs}
    yield from ((row, named[row.trade_id]) for row in ours if row.trade_id in named)


each_module = pytest.mark.parametrize("module", MODULES)


@each_module
def test_the_same_values(module: str) -> None:
    assert compared(module)[1] - settled().keys() == set()


@each_module
def test_listed_differences_occur(module: str) -> None:
    venues = {fixture[0] for fixture, _ in rows(module)}
    assert {known for known in settled() if known.venue in venues} - compared(module)[1] == set()


@each_module
def test_enough_was_compared(module: str) -> None:
    both = compared(module)[0]
    columns = {kind: {column for _, other, column in both if other == kind} for kind in ("order", "fill")}
    assert EVERY_ORDER - columns["order"] == set()
    assert EVERY_FILL - columns["fill"] == set()

"""What ccxt makes of a venue's message: the orders and trades of its websocket handlers and of its REST parsers.

A message is given to ccxt as its network code would: a push to `handle_message` of the venue's `ccxt.pro` class, an answer to
`parse_order` and `parse_trade` at the places of `PLACES`. What ccxt cannot read (it raises, or finds no id) says nothing here.
A market's unified symbol is the venue's own, so that symbols compare as they are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any, Final

import pytest

pro: Any = pytest.importorskip("ccxt.pro", reason="ccxt is not installed; `make ccxt` does it")

Unified = dict[str, Any]

NAMES: Final = {
    "binance-spot": "binance",
    "binance-usdm": "binanceusdm",
    "binance-coinm": "binancecoinm",
    "coinbase-advanced": "coinbase",
    "coinbase-exchange": "coinbaseexchange",
    "kraken-futures": "krakenfutures",
}
"""ccxt's names where they are not ours."""
MARKET_IDS: Final = {"hyperliquid": "{}/USDC:USDC"}
"""How ccxt itself names a market, where that is not as the venue writes it."""
DERIVATIVES: Final = {"binance-usdm", "binance-coinm", "bitmex", "bybit", "deribit", "hyperliquid", "kraken-futures"}
SWAPS: Final = {"ETH_USDT", "ETHUSDT", "XBTUSDTM", "ETH-USDT-SWAP", "ADA-USDT"}
"""Contracts among the fixtures of venues that have both."""

# Of each venue: where answers hold orders, and where trades; "*" goes through a list, "%" through an object whose keys are ids.
PLACES: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "binance-spot": (("result",), ("result.fills.*",)),
    "binance-usdm": (("result", "*"), ()),
    "binance-coinm": ((), ()),
    "bitfinex": (("2.4", "4.*", "*"), ("*",)),
    "bitmart": (("data", "data.*"), ("data.*",)),
    "bitmex": (("", "*"), ()),
    "bybit": (("data", "data.list.*", "result"), ("data.*",)),
    "coinbase-advanced": (("success_response", "orders.*"), ("fills.*",)),
    "coinbase-exchange": (("", "*"), ("*", "")),
    "deribit": (
        ("result", "result.order", "result.orders.*", "params.data.orders.*"),
        ("result.trades.*", "params.data.*", "params.data.trades.*"),
    ),
    "gate": (("data.result", "data.result.*", "", "*"), ("*",)),
    "htx": (("data.*", "data.success.*"), ()),
    "hyperliquid": (("data.response.payload.response.data.statuses.*", "response.data.statuses.*", "order"), ()),
    "kraken": (("result", "result.orders.*", "result.open.%", "0.*.%"), ("result.trades.%", "0.*.%")),
    "kraken-futures": (("sendStatus", "batchStatus.*"), ()),
    "kucoin": (("data", "data.*", "data.items.*"), ("data.items.*",)),
    "okx": (("data.*",), ("data.*",)),
}


class Client:
    """What ccxt's handlers want of a connection; nobody waits for what they resolve."""

    def __init__(self) -> None:
        self.url = "wss://exchange.example/private"
        self.subscriptions: Unified = {}
        self.futures: Unified = {}

    def resolve(self, *_: object) -> None:
        pass

    def reject(self, *_: object) -> None:
        pass


class Oracle:
    """ccxt's class of one venue, whose markets are `symbols`."""

    def __init__(self, venue: str, symbols: Iterable[str]) -> None:
        self._exchange = getattr(pro, NAMES.get(venue, venue))({"newUpdates": True})
        self._exchange.set_markets([_market(venue, symbol) for symbol in symbols])
        self._order_places, self._trade_places = PLACES[venue]

    def push(self, message: Any) -> tuple[list[Unified], list[Unified]]:
        """Orders and trades of what the venue sends unasked."""
        exchange = self._exchange
        exchange.orders = exchange.triggerOrders = exchange.myTrades = exchange.myLiquidations = None
        if isinstance(message, dict) and "stream" in message:  # a combined stream of Binance; ccxt uses bare ones
            message = message["data"]
        with contextlib.suppress(Exception):  # what was read until then counts
            exchange.handle_message(Client(), message)
        orders = [order for kept in (exchange.orders, exchange.triggerOrders) for order in kept or () if order.get("id")]
        trades = [trade for trade in exchange.myTrades or () if trade.get("id")]
        asked = self.answer(message)
        return orders or asked[0], trades or asked[1]

    def answer(self, message: Any) -> tuple[list[Unified], list[Unified]]:
        """Orders and trades of an answer, or of a REST response."""
        exchange = self._exchange
        return (
            list(_parsed(exchange.parse_order, message, self._order_places)),
            list(_parsed(exchange.parse_trade, message, self._trade_places)),
        )


def _parsed(parse: Any, message: Any, places: tuple[str, ...]) -> Iterator[Unified]:
    for place in places:
        for item in _inside(message, place.split(".") if place else []):
            try:
                found = parse(item)
            except Exception:
                continue
            if isinstance(found, dict) and (found.get("id") or found.get("clientOrderId")):
                yield found


def _inside(value: Any, place: list[str]) -> Iterator[Any]:
    """The values at `place`; none where `value` has another form."""
    if not place:
        if isinstance(value, dict) or (
            isinstance(value, list) and not any(isinstance(item, dict | list) for item in value[:3])
        ):
            yield value
        return
    step, *rest = place
    if step == "*" and isinstance(value, list):
        for item in value:
            yield from _inside(item, rest)
    elif step == "%" and isinstance(value, dict):
        for key, item in value.items():
            yield from _inside({"id": key, **item} if isinstance(item, dict) else item, rest)
    elif isinstance(value, dict) and step in value:
        yield from _inside(value[step], rest)
    elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
        yield from _inside(value[int(step)], rest)


def _market(venue: str, symbol: str) -> Unified:
    spot = venue not in DERIVATIVES and symbol not in SWAPS
    flags = dict.fromkeys(("spot", "margin", "swap", "future", "option", "contract", "linear", "inverse"), False)
    kind = {"type": "spot", "spot": True} if spot else {"type": "swap", "swap": True, "contract": True, "linear": True}
    terms = {"settle": None, "contractSize": None} if spot else {"settle": "USDT", "contractSize": 1}
    names = {"base": "BASE", "baseId": "BASE", "quote": "USDT", "quoteId": "USDT", "lowercaseId": symbol.lower()}
    rules = {"active": True, "info": {}, "limits": {}, "precision": {"amount": 1e-8, "price": 1e-8}}
    return {"id": MARKET_IDS.get(venue, "{}").format(symbol), "symbol": symbol} | flags | kind | terms | names | rules

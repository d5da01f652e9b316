"""Binance Spot: `/ws-api/v3` for orders and the account's events, `/ws` and `/stream` for market data and listen keys."""

from __future__ import annotations

import random
import ssl
from collections.abc import Iterable, Sequence
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

from strategies.accounts import Account, make_key
from strategies.binance import formats
from strategies.binance.api import ApiSession
from strategies.binance.streams import EVENTS, StreamSession
from strategies.binance.trader import BinanceFeed, BinanceTrader
from strategies.binance.watcher import ListenKeyWatcher
from strategies.credentials import Credentials
from strategies.dialect import Dialect, Event, Send, Session, Top
from strategies.orders import Fill, Order
from strategies.rules import Rules
from strategies.venue import Venue


def _new_client_id(rng: random.Random) -> str:
    return make_key(rng)[:22]


class Binance(Dialect):
    """As in `Dialect`."""

    name = "binance-spot"
    quote = "USDT"
    rules = Rules(
        maker_fee=Decimal("0.0008"),
        taker_fee=Decimal("0.0010"),
        pays_in_bnb=True,
        refuses_takers=True,
        amends_to_less_only=True,
        counts_by_symbol=True,
        first_id=0,
        new_client_id=_new_client_id,
    )
    trader = BinanceTrader
    feed = BinanceFeed

    @staticmethod
    def symbol(base: str, quote: str) -> str:
        """BTCUSDT."""
        return base + quote

    def serves(self, path: str) -> bool:
        """As in `Dialect`."""
        return path in ("/ws-api/v3", "/ws", "/stream") or path.startswith("/ws/")

    def session(self, venue: Venue, target: str, send: Send) -> Session:
        """As in `Dialect`."""
        url = urlsplit(target)
        if url.path == "/ws-api/v3":
            return ApiSession(venue, send)
        stream = StreamSession(venue, send, combined=url.path == "/stream")
        names = parse_qs(url.query).get("streams", [""])[0] if stream.combined else url.path.removeprefix("/ws")
        stream.subscribe(name for name in names.split("/") if name)
        return stream

    def watcher(self, url: str, credentials: Credentials, number: int, tls: ssl.SSLContext | None) -> ListenKeyWatcher:
        """Follows the account by listen key: every other one on the combined stream."""
        return ListenKeyWatcher(url, credentials, number % 2 == 0, tls)

    def executed(self, order: Order, execution: str, fill: Fill | None, original: str, execution_id: int) -> Iterable[Event]:
        """As in `Dialect`."""
        return (Event(EVENTS, formats.execution_report(order, execution, fill, original, execution_id)),)

    def balances(self, account: Account, assets: Sequence[str]) -> Iterable[Event]:
        """As in `Dialect`."""
        return (Event(EVENTS, formats.account_position(account, assets)),)

    def top(self, symbol: str, update_id: int, bid: Top, ask: Top) -> str:
        """As in `Dialect`."""
        return formats.book_ticker(symbol, update_id, bid, ask)

    def trades(self, symbol: str, trade_id: int, price: Decimal, quantity: Decimal, at: int, buyer_is_maker: bool) -> list[str]:
        """As in `Dialect`."""
        return [formats.trade(symbol, trade_id, price, quantity, at, buyer_is_maker)]

"""Bitfinex: `/ws/2`, where channel 0 is the account, and every other one market data."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from decimal import Decimal

from strategies.accounts import Account
from strategies.bitfinex import messages
from strategies.bitfinex.session import ACCOUNT, BitfinexSession
from strategies.bitfinex.texts import array
from strategies.bitfinex.trader import BitfinexFeed, BitfinexTrader
from strategies.dialect import Dialect, Event, Send, Session, Top
from strategies.orders import Fill, Order, now_ms
from strategies.rules import Rules
from strategies.venue import Venue


def _new_client_id(_: random.Random) -> str:
    return str(now_ms())


class Bitfinex(Dialect):
    """As in `Dialect`."""

    name = "bitfinex"
    quote = "UST"
    rules = Rules(
        maker_fee=Decimal("0.0010"),
        taker_fee=Decimal("0.0020"),
        pays_in_bnb=False,
        refuses_takers=False,
        amends_to_less_only=False,
        counts_by_symbol=False,
        first_id=10**11,
        new_client_id=_new_client_id,
    )
    trader = BitfinexTrader
    feed = BitfinexFeed

    @staticmethod
    def symbol(base: str, quote: str) -> str:
        """tBTCUST; with a colon where a name is longer, as tLINK:UST."""
        return f"t{base}{quote}" if len(base) == len(quote) == 3 else f"t{base}:{quote}"

    def serves(self, path: str) -> bool:
        """As in `Dialect`."""
        return path == BitfinexTrader.path

    def session(self, venue: Venue, target: str, send: Send) -> Session:
        """As in `Dialect`."""
        return BitfinexSession(venue, send)

    def executed(self, order: Order, execution: str, fill: Fill | None, original: str, execution_id: int) -> Iterable[Event]:
        """As in `Dialect`: a fill is told without its fee, then what has become of the order, then the fill with its fee."""
        name = "on" if execution == "NEW" else "ou" if order.is_open else "oc"
        if fill:
            yield _event("te", messages.trade(order, fill, with_fee=False))
        yield _event(name, messages.order(order))
        if fill:
            yield _event("tu", messages.trade(order, fill, with_fee=True))

    def balances(self, account: Account, assets: Sequence[str]) -> Iterable[Event]:
        """As in `Dialect`."""
        return [_event("wu", messages.wallet(account, asset)) for asset in assets]

    def top(self, symbol: str, update_id: int, bid: Top, ask: Top) -> str:
        """As in `Dialect`."""
        return array(messages.ticker(bid, ask))

    def trades(self, symbol: str, trade_id: int, price: Decimal, quantity: Decimal, at: int, buyer_is_maker: bool) -> list[str]:
        """As in `Dialect`: told twice, as own trades are."""
        told = array(messages.public_trade(trade_id, price, quantity, at, buyer_is_maker))
        return [f'"{name}",{told}' for name in ("te", "tu")]


def _event(name: str, data: list[object]) -> Event:
    return Event(ACCOUNT, array([0, name, data]))

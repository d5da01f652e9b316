"""OKX: `/ws/v5/private` for orders and the account's events, `/ws/v5/public` for market data and instruments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from strategies.accounts import Account
from strategies.dialect import Dialect, Event, Send, Session, Top
from strategies.okx import messages
from strategies.okx.session import OkxSession
from strategies.okx.trader import OkxFeed, OkxTrader
from strategies.orders import Fill, Order
from strategies.rules import Rules
from strategies.venue import Venue


class Okx(Dialect):
    """As in `Dialect`."""

    name = "okx"
    quote = "USDT"
    rules = Rules(
        maker_fee=Decimal("0.0008"),
        taker_fee=Decimal("0.0010"),
        pays_in_bnb=False,
        refuses_takers=False,
        amends_to_less_only=False,
        counts_by_symbol=False,
        first_id=2 * 10**18,
        new_client_id=lambda _: "",
    )
    trader = OkxTrader
    feed = OkxFeed

    @staticmethod
    def symbol(base: str, quote: str) -> str:
        """BTC-USDT."""
        return f"{base}-{quote}"

    def serves(self, path: str) -> bool:
        """As in `Dialect`."""
        return path in (OkxTrader.path, OkxFeed.path)

    def session(self, venue: Venue, target: str, send: Send) -> Session:
        """As in `Dialect`."""
        return OkxSession(venue, send)

    def executed(self, order: Order, execution: str, fill: Fill | None, original: str, execution_id: int) -> Iterable[Event]:
        """As in `Dialect`."""
        yield Event("orders", messages.order_push(order, execution, fill))
        if fill:
            yield Event("fills", messages.fill_push(order, fill))

    def balances(self, account: Account, assets: Sequence[str]) -> Iterable[Event]:
        """As in `Dialect`: the account channel is not simulated."""
        return ()

    def top(self, symbol: str, update_id: int, bid: Top, ask: Top) -> str:
        """As in `Dialect`."""
        return messages.best_prices(update_id, bid, ask)

    def trades(self, symbol: str, trade_id: int, price: Decimal, quantity: Decimal, at: int, buyer_is_maker: bool) -> list[str]:
        """As in `Dialect`."""
        return [messages.trade(symbol, trade_id, price, quantity, at, buyer_is_maker)]

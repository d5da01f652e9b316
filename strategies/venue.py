"""The exchange without its sockets: books, accounts, who listens to what, and the record of what happened."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from strategies import formats
from strategies.accounts import BNB_PRICE, START_BASE_NOTIONAL, START_QUOTE, Account, Sink, make_key
from strategies.instruments import QUOTE, instruments
from strategies.matching import Book
from strategies.orders import Fill, Order, OrderRequest, Rejected

HISTORY: Final = 1_000_000
"""Orders, refusals and signatures kept for `truth`; the oldest go first."""


MAX_ACCOUNTS: Final = 10_000
"""Keys are free to invent, so somebody has to stop."""


class Venue:
    """All books and accounts. Events wait in an outbox until `settle`, so that a caller may answer a request before them."""

    def __init__(self, assets: int, seed: int) -> None:
        self.rng = random.Random(f"venue {seed}")
        self.accounts: dict[str, Account] = {}
        self.listen_keys: dict[str, Account] = {}
        self.market_sinks: dict[str, list[Sink]] = {}
        """Who takes which market stream, by its name."""
        self.books: dict[str, Book] = {}
        for instrument in instruments(assets, seed):
            book_rng = random.Random(self.rng.random())
            self.books[instrument.symbol] = Book(instrument, book_rng, self._executed, self._traded)
        self.orders: deque[Order] = deque(maxlen=HISTORY)
        self.refusals: deque[formats.Json] = deque(maxlen=HISTORY)
        self.signatures: deque[str] = deque(maxlen=HISTORY)
        self.order_count = 0
        self._outbox: list[tuple[Account, str]] = []
        self._tops: dict[str, tuple[tuple[Decimal, Decimal], ...]] = {}

    # --- customers --------------------------------------------------------------------------------------------------------

    def account(self, api_key: str) -> Account:
        """The account of a key; a key never seen opens one, with money in it. Raises `Rejected` (-2015): too many."""
        if api_key not in self.accounts:
            if len(self.accounts) >= MAX_ACCOUNTS:
                raise Rejected(-2015, "Invalid API-key, IP, or permissions for action.")
            # Half of the accounts pay their fees in BNB; which ones depends on the key alone.
            account = Account(api_key, pays_in_bnb=ord(api_key[0]) % 2 == 0)
            account.deposit(QUOTE, START_QUOTE)
            account.deposit("BNB", START_QUOTE / BNB_PRICE)
            for book in self.books.values():
                account.deposit(book.instrument.base, book.instrument.to_lot(START_BASE_NOTIONAL / book.instrument.start))
            self.accounts[api_key] = account
        return self.accounts[api_key]

    def listen_key(self, account: Account) -> str:
        """The account's listen key, the same one while it is valid."""
        for key, owner in self.listen_keys.items():
            if owner is account:
                return key
        key = make_key(self.rng)
        self.listen_keys[key] = account
        return key

    # --- orders -----------------------------------------------------------------------------------------------------------

    def book(self, symbol: object) -> Book:
        """The book of a symbol. Raises `Rejected` (-1121)."""
        book = self.books.get(symbol) if isinstance(symbol, str) else None
        if book is None:
            raise Rejected(-1121, "Invalid symbol.")
        return book

    def place(self, book: Book, account: Account, request: OrderRequest) -> Order:
        """Filters, then the engine. Raises `Rejected`."""
        book.check(account, request)
        return book.place(account, request)

    def tick(self, symbol: str, fill_probability: float) -> None:
        """One step of one symbol's market."""
        self.books[symbol].tick(fill_probability)
        self.settle((symbol,))

    def refused(self, request_id: object, method: str, params: formats.Json, code: int, message: str) -> None:
        """Keep a refusal for `truth`."""
        names = {"apiKey": "api_key", "symbol": "symbol", "newClientOrderId": "client_order_id"}
        row = {ours: params.get(theirs) for theirs, ours in names.items()}
        self.refusals.append({"request_id": request_id, "method": method, **row, "code": code, "message": message})

    # --- events -----------------------------------------------------------------------------------------------------------

    def settle(self, symbols: Iterable[str]) -> None:
        """Send what happened: executions in their order, then balances, then the best prices of `symbols`."""
        outbox, self._outbox = self._outbox, []
        moved: dict[Account, None] = {}
        for account, event in outbox:
            account.publish(event)
            moved[account] = None
        for account in moved:
            if account.touched:
                account.publish(formats.account_position(account, sorted(account.touched)))
                account.touched.clear()
        for symbol in symbols:
            sinks = self.market_sinks.get(f"{symbol.lower()}@bookTicker")
            if sinks:
                book = self.books[symbol]
                top = (book.best("BUY"), book.best("SELL"))
                if self._tops.get(symbol) != top:
                    self._tops[symbol] = top
                    self._send(sinks, formats.book_ticker(symbol, book.update_id, *top))

    def _executed(self, order: Order, execution: str, fill: Fill | None, original: str, execution_id: int) -> None:
        if execution in ("NEW", "REJECTED"):
            self.order_count += 1
            self.orders.append(order)
        report = formats.execution_report(order, execution, fill, original, execution_id)
        self._outbox.append((order.account, report))

    def _traded(self, symbol: str, trade_id: int, price: Decimal, quantity: Decimal, at: int, buyer_is_maker: bool) -> None:
        sinks = self.market_sinks.get(f"{symbol.lower()}@trade")
        if sinks:
            self._send(sinks, formats.trade(symbol, trade_id, price, quantity, at, buyer_is_maker))

    @staticmethod
    def _send(sinks: list[Sink], body: str) -> None:
        for sink in tuple(sinks):
            sink(body)

    # --- what happened ----------------------------------------------------------------------------------------------------

    def truth(self) -> formats.Json:
        """What happened, for tests to compare with what a recorder saw. Amounts are exact strings, times ms.

        `orders`: api_key, symbol, order_id, client_order_id (the last one while open), client_order_ids (all of them), side,
        type, time_in_force, price, quantity (after amendments), filled, quote, status, reason, created, updated.
        `fills`: api_key, symbol, trade_id, order_id, side, price, quantity, fee, fee_asset, maker, time,
        heard (was any socket told of it? when a customer has gone, its orders still fill).
        `refusals`: requests answered with an error. `secrets`: every API key, listen key and signature, none of them real.
        `dropped`: orders no longer kept.
        """
        return {
            "orders": [_order_row(order) for order in self.orders],
            "fills": [_fill_row(order, fill) for order in self.orders for fill in order.fills],
            "refusals": list(self.refusals),
            "secrets": [*self.accounts, *self.listen_keys, *self.signatures],
            "dropped": self.order_count - len(self.orders),
        }


def _order_row(order: Order) -> formats.Json:
    return {
        "api_key": order.account.api_key,
        "symbol": order.symbol,
        "order_id": order.order_id,
        "client_order_id": order.client_order_ids[-1],
        "client_order_ids": list(order.client_order_ids),
        "side": order.side,
        "type": order.type,
        "time_in_force": order.time_in_force,
        "price": formats.amount(order.price),
        "quantity": formats.amount(order.quantity),
        "filled": formats.amount(order.filled),
        "quote": formats.amount(order.quote),
        "status": order.status,
        "reason": order.expiry_reason or ("" if order.reject_reason == "NONE" else order.reject_reason),
        "created": order.created,
        "updated": order.updated,
    }


def _fill_row(order: Order, fill: Fill) -> formats.Json:
    return {
        "api_key": order.account.api_key,
        "symbol": order.symbol,
        "trade_id": fill.trade_id,
        "order_id": fill.order_id,
        "side": fill.side,
        "price": formats.amount(fill.price),
        "quantity": formats.amount(fill.quantity),
        "fee": formats.amount(fill.fee),
        "fee_asset": fill.fee_asset,
        "maker": fill.maker,
        "time": fill.time,
        "heard": fill.heard,
    }

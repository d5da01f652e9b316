"""The exchange without its sockets: books, accounts, who listens to what, and the record of what happened."""

from __future__ import annotations

import random
from collections import deque
from decimal import Decimal
from typing import Final, Literal, TypeAlias

from strategies.accounts import BNB_PRICE, START_BASE_NOTIONAL, START_QUOTE, Account, Sink, make_key
from strategies.dialect import Dialect, Event, Json
from strategies.instruments import instruments
from strategies.matching import Book, Ids
from strategies.orders import Fill, Order, OrderRequest, Refusal, Rejected
from strategies.truth import fill_row, order_row

HISTORY: Final = 1_000_000
"""Orders, refusals and secrets kept for `truth`; the oldest go first."""


MAX_ACCOUNTS: Final = 10_000
"""Keys are free to invent, so somebody has to stop."""

Stream: TypeAlias = tuple[Literal["top", "trade", "depth", "depth@100ms"], str]
"""What market data is about: its kind, and the symbol."""


class Venue:
    """All books and accounts. Events wait in an outbox until `settle`, so that a caller may answer a request before them."""

    def __init__(self, dialect: Dialect, assets: int, seed: int) -> None:
        self.dialect = dialect
        self.rng = random.Random(f"venue {seed}")
        self.accounts: dict[str, Account] = {}
        self.listen_keys: dict[str, Account] = {}
        self.market_sinks: dict[Stream, list[Sink]] = {}
        """Who takes which market stream."""
        self.books: dict[str, Book] = {}
        rules, ids = dialect.rules, None
        for instrument in instruments(assets, seed, dialect.quote, dialect.symbol):
            book_rng = random.Random(self.rng.random())
            if ids is None or rules.counts_by_symbol:
                ids = Ids(rules.first_id, book_rng)
            self.books[instrument.symbol] = Book(instrument, rules, ids, book_rng, self._executed, self._traded)
        self.orders: deque[Order] = deque(maxlen=HISTORY)
        self.refusals: deque[Json] = deque(maxlen=HISTORY)
        self.secrets: deque[str] = deque(maxlen=HISTORY)
        """Signatures and the like, as customers sent them."""
        self.order_count = 0
        self._moved: dict[str, None] = {}
        """Symbols whose best prices may have."""
        self._outbox: list[tuple[Account, Event]] = []
        self._tops: dict[str, tuple[tuple[Decimal, Decimal], ...]] = {}

    # --- customers --------------------------------------------------------------------------------------------------------

    def account(self, api_key: str) -> Account:
        """The account of a key; a key never seen opens one, with money in it. Raises `Rejected`: too many."""
        if api_key not in self.accounts:
            if len(self.accounts) >= MAX_ACCOUNTS:
                raise Rejected(Refusal.ACCOUNTS)
            # Which ones pay in BNB depends on the key alone.
            pays_in_bnb = self.dialect.rules.pays_in_bnb and ord(api_key[0]) % 2 == 0
            account = Account(api_key, pays_in_bnb, user_id=self.rng.randrange(10**17, 10**18))
            account.deposit(self.dialect.quote, START_QUOTE)
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
        """The book of a symbol. Raises `Rejected`."""
        book = self.books.get(symbol) if isinstance(symbol, str) else None
        if book is None:
            raise Rejected(Refusal.SYMBOL)
        return book

    def book_of(self, account: Account, order_id: int | None, client_order_id: str | None) -> Book:
        """The book in which an open order of `account` is. Raises `Rejected`."""
        for book in self.books.values():
            if book.find(account, order_id, client_order_id):
                return book
        raise Rejected(Refusal.UNKNOWN)

    def place(self, book: Book, account: Account, request: OrderRequest) -> Order:
        """Filters, then the engine. Raises `Rejected`."""
        book.check(account, request)
        return book.place(account, request)

    def tick(self, symbol: str, fill_probability: float) -> None:
        """One step of one symbol's market."""
        self.books[symbol].tick(fill_probability)
        self._moved[symbol] = None
        self.settle()

    def refused(
        self,
        request_id: object,
        method: str,
        api_key: str | None,
        symbol: object,
        client_order_id: object,
        code: int | str,
        message: str,
    ) -> None:
        """Keep a refusal for `truth`."""
        row = {"venue": self.dialect.name, "request_id": request_id, "method": method, "api_key": api_key, "symbol": symbol}
        self.refusals.append(row | {"client_order_id": client_order_id, "code": code, "message": message})

    # --- who listens ------------------------------------------------------------------------------------------------------

    def listen(self, stream: Stream, sink: Sink) -> None:
        """`sink` takes this market stream from now on; of one that does not exist there is nothing to take."""
        self.market_sinks.setdefault(stream, []).append(sink)

    def unlisten(self, stream: Stream, sink: Sink) -> None:
        """`sink` takes it no more."""
        self.market_sinks[stream].remove(sink)
        if not self.market_sinks[stream]:
            del self.market_sinks[stream]

    # --- events -----------------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Send what happened: executions in their order, then balances, then the best prices that have moved."""
        outbox, self._outbox = self._outbox, []
        moved: dict[Account, None] = {}
        for account, event in outbox:
            account.publish(*event)
            moved[account] = None
        for account in moved:
            if account.touched:
                for event in self.dialect.balances(account, sorted(account.touched)):
                    account.publish(*event)
                account.touched.clear()
        symbols, self._moved = self._moved, {}
        for symbol in symbols:
            sinks = self.market_sinks.get(("top", symbol))
            if sinks:
                book = self.books[symbol]
                top = (book.best("BUY"), book.best("SELL"))
                if self._tops.get(symbol) != top:
                    self._tops[symbol] = top
                    self._send(sinks, self.dialect.top(symbol, book.update_id, *top))

    def _executed(self, order: Order, execution: str, fill: Fill | None, original: str, execution_id: int) -> None:
        if execution in ("NEW", "REJECTED"):
            self.order_count += 1
            self.orders.append(order)
        self._moved[order.symbol] = None
        for event in self.dialect.executed(order, execution, fill, original, execution_id):
            self._outbox.append((order.account, event))

    def _traded(self, symbol: str, trade_id: int, price: Decimal, quantity: Decimal, at: int, buyer_is_maker: bool) -> None:
        sinks = self.market_sinks.get(("trade", symbol))
        if sinks:
            for body in self.dialect.trades(symbol, trade_id, price, quantity, at, buyer_is_maker):
                self._send(sinks, body)

    @staticmethod
    def _send(sinks: list[Sink], body: str) -> None:
        for sink in tuple(sinks):
            sink(body)

    # --- what happened ----------------------------------------------------------------------------------------------------

    def truth(self) -> Json:
        """What happened, for tests to compare with what a recorder saw. Amounts are exact strings, times ms.

        `orders`: venue, api_key, symbol, order_id, client_order_id (the last one while open), client_order_ids (all of them),
        side, type, time_in_force, price, quantity (after amendments), filled, quote, status, reason, created, updated.
        `fills`: venue, api_key, symbol, trade_id, order_id, side, price, quantity, fee, fee_asset, maker, time,
        heard (was any socket told of it? when a customer has gone, its orders still fill).
        `refusals`: requests answered with an error. `secrets`: every API key, listen key and signature, none of them real.
        `dropped`: orders no longer kept.
        """
        name = self.dialect.name
        return {
            "orders": [order_row(name, order) for order in self.orders],
            "fills": [fill_row(name, order, fill) for order in self.orders for fill in order.fills],
            "refusals": list(self.refusals),
            "secrets": [*self.accounts, *self.listen_keys, *self.secrets],
            "dropped": self.order_count - len(self.orders),
        }

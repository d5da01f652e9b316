"""What the exchange says in the workloads: Binance Spot's combined streams, with market data and the user's own orders.

A combined stream may carry a listen key beside market streams, so one connection brings both, as
{"stream": ..., "data": ...}. Formats: github.com/binance/binance-spot-api-docs, web-socket-streams.md ("Diff. Depth Stream",
"Trade Streams") and user-data-stream.md ("Order Update").
"""

from __future__ import annotations

import random
import string
from dataclasses import dataclass
from typing import Final

HOST: Final = "stream.binance.com:9443"
LOT: Final = 100_000
"""Lots in one unit: quantities have five decimals."""

_SYMBOLS: Final = (
    "BTCUSDT",
    "ETHUSDT",
    "SOLUSDT",
    "XRPUSDT",
    "BNBUSDT",
    "ADAUSDT",
    "DOGEUSDT",
    "LTCUSDT",
    "LINKUSDT",
    "AVAXUSDT",
)
_ALPHABET: Final = string.ascii_letters + string.digits
_LEVEL: Final = '["%d.%02d000000","%d.%05d000"]'
_TRADES_SHARE: Final = 0.2
_MOST_LEVELS: Final = 13
"""Levels a depth message has at most; with the rest of the mix it makes messages of 500 bytes on average."""
_OPEN_ORDERS: Final = 20


@dataclass(slots=True)
class _Order:
    """An order under way. Prices in cents, quantities in lots."""

    number: int
    client_id: str
    side: str
    price: int
    quantity: int
    created: int
    filled: int = 0


@dataclass(slots=True)
class Truth:
    """What a recorder has to find."""

    messages: int = 0
    orders: int = 0
    fills: int = 0
    filled_lots: int = 0

    def add(self, other: Truth) -> None:
        self.messages += other.messages
        self.orders += other.orders
        self.fills += other.fills
        self.filled_lots += other.filled_lots


class Feed:
    """The messages of one connection, and their truth so far. The same number and seed give the same ones."""

    def __init__(self, number: int, seed: int, order_share: float) -> None:
        rng = self._rng = random.Random(f"{seed} {number}")
        self.truth = Truth()
        self._share = order_share
        self._symbol = _SYMBOLS[number % len(_SYMBOLS)]
        self._stream = self._symbol.lower()
        self._listen_key = "".join(rng.choices(_ALPHABET, k=64))
        self._price = rng.randrange(10_000, 6_000_000)
        self._update = rng.randrange(1 << 33, 1 << 35)
        self._trade = rng.randrange(1 << 28, 1 << 31)
        # Numbers of one symbol are shared by all its connections, so each connection has a range of its own.
        self._next_order = number << 40
        self._next_fill = number << 40
        self._open: list[_Order] = []

    @property
    def path(self) -> str:
        """Of the upgrade request."""
        return f"/stream?streams={self._listen_key}/{self._stream}@depth@100ms/{self._stream}@trade"

    def next(self, now: int) -> bytes:
        """The next message, said at `now` (ns)."""
        truth, rng, ms = self.truth, self._rng, now // 1_000_000
        truth.messages += 1
        if rng.random() < self._share:
            truth.orders += 1
            return self._report(ms)
        self._price = max(1_000, self._price + rng.randrange(-50, 51))
        return self._trade_event(ms) if rng.random() < _TRADES_SHARE else self._depth(ms)

    def _depth(self, ms: int) -> bytes:
        rng, price = self._rng, self._price
        sides = []
        for step in (-1, 1):
            numbers: list[int] = []
            count = int(rng.random() * (_MOST_LEVELS - 1)) + 1 if step < 0 else _MOST_LEVELS // 2
            at = price
            for _ in range(count):
                bits = rng.getrandbits(32)
                at += step * ((bits & 63) + 1)
                numbers += (at // 100, at % 100, (bits >> 6 & 255) ** 2 >> 8, (bits >> 14) % LOT)
            sides.append(",".join([_LEVEL] * count) % tuple(numbers))
        first = self._update + 1
        self._update += 1 + rng.getrandbits(6)
        return (
            f'{{"stream":"{self._stream}@depth@100ms","data":{{"e":"depthUpdate","E":{ms},"s":"{self._symbol}",'
            f'"U":{first},"u":{self._update},"b":[{sides[0]}],"a":[{sides[1]}]}}}}'
        ).encode()

    def _trade_event(self, ms: int) -> bytes:
        rng = self._rng
        self._trade += 1
        maker = "true" if rng.random() < 0.5 else "false"
        return (
            f'{{"stream":"{self._stream}@trade","data":{{"e":"trade","E":{ms},"s":"{self._symbol}","t":{self._trade},'
            f'"p":"{_cents(self._price)}","q":"{_lots(rng.getrandbits(20) + 1)}","T":{ms - 1},"m":{maker},"M":true}}}}'
        ).encode()

    def _report(self, ms: int) -> bytes:
        """A new order, or the next step of an open one: a partial fill, the last fill, or a cancel."""
        rng, orders = self._rng, self._open
        if not orders or (len(orders) < _OPEN_ORDERS and rng.random() < 0.4):
            self._next_order += 1
            side = "BUY" if rng.random() < 0.5 else "SELL"
            client_id = "".join(rng.choices(_ALPHABET, k=22))
            order = _Order(self._next_order, client_id, side, self._price, rng.getrandbits(22) + 2, ms)
            orders.append(order)
            return self._execution(order, ms, "NEW", "NEW", 0)
        index = int(rng.random() * len(orders))
        order, left = orders[index], orders[index].quantity - orders[index].filled
        chance = rng.random()
        if chance < 0.25:
            del orders[index]
            return self._execution(order, ms, "CANCELED", "CANCELED", 0)
        last = left if chance < 0.6 or left < 2 else rng.randrange(1, left)
        order.filled += last
        self.truth.fills += 1
        self.truth.filled_lots += last
        if order.filled == order.quantity:
            del orders[index]
            return self._execution(order, ms, "TRADE", "FILLED", last)
        return self._execution(order, ms, "TRADE", "PARTIALLY_FILLED", last)

    def _execution(self, order: _Order, ms: int, kind: str, status: str, last: int) -> bytes:
        price = _cents(order.price)
        cancel = kind == "CANCELED"
        fill = -1
        fee, fee_asset = "0", "null"
        if last:
            self._next_fill += 1
            fill = self._next_fill
            fee, fee_asset = _scaled(order.price * last // 10_000, 8), '"USDT"'
        client_id = f"web_{order.number:018x}" if cancel else order.client_id
        self._update += 1
        filled, paid = _scaled(order.price * order.filled, 7), _scaled(order.price * last, 7)
        on_book, maker = ("true" if flag else "false" for flag in (status == "NEW", last & 1))
        return (
            f'{{"stream":"{self._listen_key}","data":{{"e":"executionReport","E":{ms},"s":"{self._symbol}","c":"{client_id}",'
            f'"S":"{order.side}","o":"LIMIT","f":"GTC","q":"{_lots(order.quantity)}","p":"{price}","P":"0.00000000",'
            f'"F":"0.00000000","g":-1,"C":"{order.client_id if cancel else ""}","x":"{kind}","X":"{status}","r":"NONE",'
            f'"i":{order.number},"l":"{_lots(last)}","z":"{_lots(order.filled)}","L":"{price if last else "0.00000000"}",'
            f'"n":"{fee}","N":{fee_asset},"T":{ms - 1},"t":{fill},"I":{self._update},"w":{on_book},"m":{maker},"M":false,'
            f'"O":{order.created},"Z":"{filled}","Y":"{paid}","Q":"0.00000000","W":{order.created},"V":"NONE"}}}}'
        ).encode()


def _cents(value: int) -> str:
    return _scaled(value, 2)


def _lots(value: int) -> str:
    return _scaled(value, 5)


def _scaled(value: int, digits: int) -> str:
    """`value` / 10 ** `digits`, exactly, with eight decimals."""
    whole, part = divmod(value, 10**digits)
    return f"{whole}.{part:0{digits}d}".ljust(len(str(whole)) + 9, "0")

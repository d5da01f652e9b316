"""OKX's websockets, on the exchange's side: login, subscriptions, and orders one by one or in batches.

Source: https://www.okx.com/docs-v5/en/, WebSocket (login, subscribe), Order Book Trading (WS / Place order, ...).
Keys and signatures are checked for being there only: there is nothing here to protect.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Final

from strategies.accounts import Account, make_key
from strategies.dialect import Json, Send, dumps, exactly
from strategies.matching import Book
from strategies.okx import messages
from strategies.okx.refusals import ERRORS, GRANTED, UNKNOWN_TO_AMEND, Failed, wrong
from strategies.orders import Order, OrderRequest, Refusal, Rejected, now_ms
from strategies.position import Side
from strategies.venue import Stream, Venue

MARKET_CHANNELS: Final[dict[str, Callable[[str], Stream]]] = {
    "bbo-tbt": lambda symbol: ("top", symbol),
    "trades": lambda symbol: ("trade", symbol),
}
ACCOUNT_CHANNELS: Final = ("orders", "fills")
MAX_BATCH: Final = 20
"""Orders a batch ("up to 20 orders")."""
MAX_CHANNELS: Final = 480
"""Subscriptions a connection."""
SIDES: Final[dict[str, Side]] = {"buy": "BUY", "sell": "SELL"}
TYPES: Final = {
    "limit": ("LIMIT", "GTC"),
    "post_only": ("LIMIT_MAKER", "GTC"),
    "market": ("MARKET", "GTC"),
    "ioc": ("LIMIT", "IOC"),
    "fok": ("LIMIT", "FOK"),
}


class OkxSession:
    """One connection, as in `dialect.Session`."""

    def __init__(self, venue: Venue, send: Send) -> None:
        self.venue = venue
        self.send = send
        self.account: Account | None = None
        self.connection_id = make_key(venue.rng)[:8].lower()
        self.codes = {book.instrument.code: book for book in venue.books.values()}
        self.listening: dict[str, Callable[[], None]] = {}
        """By subscription (its `arg`, as text): what ends it."""
        self.operations: dict[str, Callable[[Json], Order]] = {
            "order": self._place,
            "batch-orders": self._place,
            "cancel-order": self._cancel,
            "batch-cancel-orders": self._cancel,
            "amend-order": self._amend,
            "batch-amend-orders": self._amend,
        }

    def close(self) -> None:
        """As in `dialect.Session`."""
        for end in self.listening.values():
            end()
        self.listening.clear()

    def handle(self, text: str | bytes, events_first: bool) -> None:
        """As in `dialect.Session`."""
        if text == "ping":
            self.send("pong")
            return
        try:
            message = json.loads(text)
            op, args = message["op"], message["args"]
        except (ValueError, RecursionError, TypeError, KeyError):
            op, args, message = None, [], {}
        if not isinstance(op, str) or not isinstance(args, list) or not all(isinstance(arg, dict) for arg in args):
            self._event("error", code="60012", msg="Invalid request")
        elif op == "login":
            self._login(args)
        elif op in ("subscribe", "unsubscribe"):
            for arg in args:
                self._subscribe(arg) if op == "subscribe" else self._unsubscribe(arg)
        elif op not in self.operations or not 1 <= len(args) <= (MAX_BATCH if op.startswith("batch-") else 1):
            self._event("error", code="60012", msg=f"Invalid request: {op}", id=message.get("id"))
        elif self.account is None:
            self._event("error", code="60011", msg="Please log in", id=message.get("id"))
        else:
            answer = self._operate(message.get("id"), op, args)
            if events_first:
                self.venue.settle()
            self.send(answer)
            if not events_first:
                self.venue.settle()

    # --- session ----------------------------------------------------------------------------------------------------------

    def _event(self, event: str, **more: object) -> None:
        said = {key: value for key, value in more.items() if value is not None}
        self.send(dumps({"event": event} | said | {"connId": self.connection_id}))

    def _login(self, args: list[Json]) -> None:
        said = [args[0].get(name) if args else None for name in ("apiKey", "passphrase", "timestamp", "sign")]
        if not all(isinstance(value, str) and value for value in said):
            self._event("error", code="60009", msg="Login failed.")
            return
        key, passphrase, _, signature = map(str, said)
        try:
            self.account = self.venue.account(key)
        except Rejected as rejected:
            code, text = ERRORS[rejected.why]
            self._event("error", code=code, msg=text)
            return
        self.venue.secrets += (passphrase, signature, str(self.account.user_id))
        self._event("login", code="0", msg="")

    def _subscribe(self, arg: Json) -> None:
        channel, symbol, name = str(arg.get("channel")), str(arg.get("instId")), dumps(arg)
        private = channel in ACCOUNT_CHANNELS
        if private and self.account is None:
            self._event("error", code="60011", msg="Please log in")
            return
        known = private or channel == "instruments" or (channel in MARKET_CHANNELS and symbol in self.venue.books)
        if not known or len(self.listening) >= MAX_CHANNELS:
            self._event("error", code="60018", msg=f"Wrong URL or {name} doesn't exist.")
            return
        self._event("subscribe", arg=arg)
        if name in self.listening:
            return
        if private and self.account:
            sinks = self.account.sinks[channel]
            sink = self._sink(arg | {"uid": str(self.account.user_id)})
            sinks.append(sink)
            self.listening[name] = partial(sinks.remove, sink)
        elif channel == "instruments":
            self._sink(arg)(messages.instrument_list({name: book.instrument for name, book in self.venue.books.items()}))
        else:
            stream, sink = MARKET_CHANNELS[channel](symbol), self._sink(arg)
            self.venue.listen(stream, sink)
            self.listening[name] = partial(self.venue.unlisten, stream, sink)

    def _unsubscribe(self, arg: Json) -> None:
        if end := self.listening.pop(dumps(arg), None):
            end()
        self._event("unsubscribe", arg=arg)

    def _sink(self, arg: Json) -> Send:
        head = f'{{"arg":{dumps(arg)},"data":'
        return lambda data: self.send(f"{head}{data}}}")

    # --- orders -----------------------------------------------------------------------------------------------------------

    def _operate(self, request_id: object, op: str, args: list[Json]) -> str:
        """Each order has a result of its own; the code outside says whether all, some (2) or none (1) were granted."""
        received = now_ms() * 1000
        results = [self._result(request_id, op, arg) for arg in args]
        granted = sum(result["sCode"] == GRANTED for result in results)
        code = GRANTED if granted == len(results) else "2" if granted else "1"
        answer: Json = {"id": request_id, "op": op, "code": code, "msg": "", "data": results}
        return dumps(answer | {"inTime": str(received), "outTime": str(now_ms() * 1000)})

    def _result(self, request_id: object, op: str, arg: Json) -> Json:
        order_id, client_order_id, code = "", str(arg.get("clOrdId", "")), GRANTED
        text = "Order successfully placed." if self.operations[op] == self._place else ""
        try:
            order = self.operations[op](arg)
            order_id, client_order_id = str(order.order_id), order.client_order_id
        except Rejected as rejected:
            to_amend = rejected.why is Refusal.UNKNOWN and "amend" in op
            code, text = UNKNOWN_TO_AMEND if to_amend else ERRORS[rejected.why]
        except Failed as failed:
            code, text = failed.code, failed.message
        if code != GRANTED:
            key = self.account.api_key if self.account else None
            symbol = book.instrument.symbol if (book := self._named(arg)) else None
            self.venue.refused(request_id, op, key, symbol, arg.get("clOrdId"), code, text)
            order_id = str(arg.get("ordId", ""))
        result = {"ordId": order_id, "clOrdId": client_order_id, "tag": "", "ts": str(now_ms()), "sCode": code, "sMsg": text}
        return result | ({"reqId": str(arg.get("reqId", ""))} if "amend" in op else {})

    def _named(self, arg: Json) -> Book | None:
        """The book that an order names by `instIdCode`: by name alone the websocket takes none, since February 2026."""
        code = arg.get("instIdCode")
        return self.codes.get(code) if isinstance(code, int) else None

    def _book(self, arg: Json) -> tuple[Book, Account]:
        if arg.get("instIdCode") is None:
            raise Failed("50014", "Parameter instIdCode can not be empty.")
        book = self._named(arg)
        if book is None or self.account is None:
            raise Rejected(Refusal.SYMBOL)
        return book, self.account

    def _place(self, arg: Json) -> Order:
        book, account = self._book(arg)
        side, kind = str(arg.get("side")), str(arg.get("ordType"))
        if side not in SIDES:
            raise wrong("side")
        if kind not in TYPES:
            raise wrong("ordType")
        if arg.get("tdMode") != "cash":
            raise wrong("tdMode")
        if kind == "market" and arg.get("tgtCcy", "quote_ccy" if side == "buy" else "base_ccy") != "base_ccy":
            raise wrong("tgtCcy")  # amounts of quote currency are not simulated
        client_id = arg.get("clOrdId", "")
        if not isinstance(client_id, str) or len(client_id) > 32 or (client_id and not client_id.isalnum()):
            raise wrong("clOrdId")
        price = Decimal(0) if kind == "market" else _amount(arg, "px")
        request = OrderRequest(SIDES[side], *TYPES[kind], price, _amount(arg, "sz"), client_id)
        return self.venue.place(book, account, request)

    def _cancel(self, arg: Json) -> Order:
        book, account = self._book(arg)
        return book.cancel(account, *_which(arg), "")[0]

    def _amend(self, arg: Json) -> Order:
        book, account = self._book(arg)
        quantity = _amount(arg, "newSz") if arg.get("newSz") else None
        price = _amount(arg, "newPx") if arg.get("newPx") else None
        if quantity is None and price is None:
            raise wrong("newSz or newPx")
        return book.amend(account, *_which(arg), quantity, price)[0]


def _amount(arg: Json, name: str) -> Decimal:
    amount = exactly(arg.get(name))
    if amount is None or amount <= 0:
        raise wrong(name)
    return amount


def _which(arg: Json) -> tuple[int | None, str | None]:
    """Order id and client order id; "if both are passed, ordId will be used"."""
    order_id, client_order_id = arg.get("ordId"), arg.get("clOrdId")
    if isinstance(order_id, str) and order_id.isdecimal() and len(order_id) < 20:
        return int(order_id), None
    if not isinstance(client_order_id, str) or not client_order_id:
        raise wrong("ordId")
    return None, client_order_id

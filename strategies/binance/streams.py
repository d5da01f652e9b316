"""Market data and the older user data stream: `/ws/<stream>`, `/stream?streams=<stream>/...`, `/ws/<listenKey>`.

Raw connections carry the bare event, combined ones `{"stream": ..., "data": ...}`; either may SUBSCRIBE to more. Sources:
binance-spot-api-docs, web-socket-streams.md, and user-data-stream.md of 2024-04-02 for listen keys.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import partial
from typing import Final, Literal

from strategies.accounts import ZERO, Sink
from strategies.binance import formats
from strategies.dialect import dumps
from strategies.position import Side
from strategies.venue import Stream, Venue

MAX_STREAMS: Final = 1024
"""Streams one connection may listen to (web-socket-streams.md, "Websocket Limits")."""


EVENTS: Final = "events"
"""The only channel of an account: all of its events."""
KINDS: Final[dict[str, Literal["top", "trade", "depth", "depth@100ms"]]] = {
    "bookTicker": "top",
    "trade": "trade",
    "depth": "depth",
    "depth@100ms": "depth@100ms",
}
"""Market streams by what stands behind the symbol and @."""


class StreamSession:
    """One connection that listens. `send` sends one text message."""

    def __init__(self, venue: Venue, send: Callable[[str], None], combined: bool) -> None:
        self.venue = venue
        self.send = send
        self.combined = combined
        self.listening: dict[str, Callable[[], None]] = {}
        """By stream: what ends it."""

    def subscribe(self, streams: Iterable[str]) -> None:
        """Listen to these streams too. The venue takes any name; one that does not exist stays silent."""
        for stream in streams:
            if stream not in self.listening and len(self.listening) < MAX_STREAMS:
                self.listening[stream] = self._listen(stream, self._sink(stream))

    def _listen(self, stream: str, sink: Sink) -> Callable[[], None]:
        """Begin to listen; what is returned ends it."""
        account = self.venue.listen_keys.get(stream)
        if account:
            sinks = account.sinks[EVENTS]
            sinks.append(sink)
            return partial(sinks.remove, sink)
        symbol, _, kind = stream.partition("@")
        if kind not in KINDS:
            return lambda: None
        market: Stream = (KINDS[kind], symbol.upper())
        self.venue.listen(market, sink)
        return partial(self.venue.unlisten, market, sink)

    def unsubscribe(self, streams: Iterable[str]) -> None:
        """Stop listening to these streams."""
        for stream in streams:
            if end := self.listening.pop(stream, None):
                end()

    def close(self) -> None:
        """Stop listening to anything."""
        self.unsubscribe(list(self.listening))

    def handle(self, text: str | bytes, events_first: bool = False) -> None:
        """Carry out one live request: SUBSCRIBE, UNSUBSCRIBE or LIST_SUBSCRIPTIONS. It causes no events."""
        try:
            request = json.loads(text)
            method, request_id, params = request["method"], request.get("id"), request.get("params", [])
        except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
            self.send(dumps({"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"}))
            return
        streams = [stream for stream in params if isinstance(stream, str)] if isinstance(params, list) else []
        result: list[str] | None = None
        if method == "SUBSCRIBE":
            self.subscribe(streams)
        elif method == "UNSUBSCRIBE":
            self.unsubscribe(streams)
        elif method == "LIST_SUBSCRIPTIONS":
            result = list(self.listening)
        else:
            known = "`SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY`"
            text = f"Invalid request: unknown variant {method}, expected one of {known} at line 1 column 28"
            self.send(dumps({"code": 2, "msg": text}))
            return
        self.send(dumps({"result": result, "id": request_id}))

    def _sink(self, stream: str) -> Sink:
        if not self.combined:
            return self.send
        prefix = f'{{"stream":{json.dumps(stream)},"data":'

        def sink(event: str) -> None:
            self.send(f"{prefix}{event}}}")

        return sink


class DepthFeed:
    """`<symbol>@depth` (every second) and `<symbol>@depth@100ms`: what has changed in the book since the last event."""

    def __init__(self, venue: Venue, kind: Literal["depth", "depth@100ms"]) -> None:
        self.venue = venue
        self.kind = kind
        self._last: dict[str, tuple[int, dict[Side, dict[Decimal, Decimal]]]] = {}
        """By symbol: the update id and the levels of the last event."""

    def publish(self) -> None:
        """Send an event for every book that someone listens to and that has moved."""
        for symbol, book in self.venue.books.items():
            sinks = self.venue.market_sinks.get((self.kind, symbol))
            if not sinks:
                self._last.pop(symbol, None)
                continue
            levels: dict[Side, dict[Decimal, Decimal]] = {"BUY": book.levels("BUY"), "SELL": book.levels("SELL")}
            update_id, before = self._last.get(symbol, (book.update_id, levels))
            self._last[symbol] = (book.update_id, levels)
            bids, asks = _changes(before["BUY"], levels["BUY"]), _changes(before["SELL"], levels["SELL"])
            if bids or asks:
                event = formats.depth_update(symbol, update_id + 1, book.update_id, bids, asks)
                for sink in tuple(sinks):
                    sink(event)


def _changes(before: dict[Decimal, Decimal], after: dict[Decimal, Decimal]) -> dict[Decimal, Decimal]:
    gone = {price: ZERO for price in before if price not in after}
    return gone | {price: quantity for price, quantity in after.items() if before.get(price) != quantity}

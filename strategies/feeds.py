"""Sockets that only listen: market data, shared by all strategies, and an account's events on the older user stream."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any, Final

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from strategies.credentials import Credentials

SYMBOLS_A_SOCKET: Final = 300
"""With three streams a symbol, below the 1024 that a socket may have (web-socket-streams.md, "Websocket Limits")."""
_SYMBOLS_A_REQUEST: Final = 50


def batches(symbols: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """`symbols` in runs of at most `size`."""
    for start in range(0, len(symbols), size):
        yield symbols[start : start + size]


async def market_feed(url: str, symbols: Sequence[str], on_book: Callable[[str, Decimal, Decimal], None]) -> None:
    """Listen to best prices, trades and depth of `symbols` (at most `SYMBOLS_A_SOCKET`) until the connection ends.

    `on_book` is told the symbol, the best bid and the best ask. Raises as `Strategy.run` does.
    """
    try:
        async with connect(f"{url}/stream", proxy=None) as socket:
            for number, batch in enumerate(batches(symbols, _SYMBOLS_A_REQUEST)):
                streams = [f"{symbol.lower()}@{kind}" for symbol in batch for kind in ("bookTicker", "trade", "depth")]
                await socket.send(json.dumps({"method": "SUBSCRIBE", "params": streams, "id": number + 1}))
            async for text in socket:
                message = json.loads(text)
                if message.get("stream", "").endswith("@bookTicker"):
                    top = message["data"]
                    on_book(top["s"], Decimal(top["b"]), Decimal(top["a"]))
    except ConnectionClosed:
        pass


class Watcher:
    """Follows an account on `/ws/<listenKey>`, or on `/stream?streams=<listenKey>`: the second pair of eyes on its fills."""

    def __init__(self, url: str, credentials: Credentials, combined: bool, tls: ssl.SSLContext | None = None) -> None:
        self.url = url
        self.tls = tls
        self.credentials = credentials
        self.combined = combined
        self.fills: set[tuple[str, int, int]] = set()
        """(symbol, trade id, order id) of each fill; an order id too, since both sides of a self trade share the trade id."""

    async def run(self) -> None:
        """Get a listen key and listen until the connection ends. Raises as `Strategy.run` does."""
        async with connect(f"{self.url}/ws-api/v3", ssl=self.tls, proxy=None) as socket:
            request = {"id": 1, "method": "userDataStream.start", "params": {"apiKey": self.credentials.api_key}}
            await socket.send(json.dumps(request))
            key = json.loads(await socket.recv())["result"]["listenKey"]
        path = f"/stream?streams={key}" if self.combined else f"/ws/{key}"
        try:
            async with connect(self.url + path, ssl=self.tls, proxy=None) as socket:
                async for text in socket:
                    message = json.loads(text)
                    self._event(message["data"] if self.combined else message)
        except ConnectionClosed:
            pass

    def _event(self, event: dict[str, Any]) -> None:
        if event["e"] == "executionReport" and event["x"] == "TRADE":
            self.fills.add((event["s"], event["t"], event["i"]))

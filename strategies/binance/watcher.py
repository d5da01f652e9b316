"""A socket that only listens to an account, by listen key: the second pair of eyes on its fills."""

from __future__ import annotations

import json
import ssl
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from strategies.credentials import Credentials


class ListenKeyWatcher:
    """Follows an account on `/ws/<listenKey>`, or on `/stream?streams=<listenKey>`."""

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

"""The simulated exchange: a websocket server that speaks as one venue does, for demos and tests. Run it with

    python -m strategies.exchange --venue okx --port 9443 --tls-port 9444 --certificate exchange.pem --assets 100 --seed 7

It keeps its own books, so that what a recorder stored can be held against what really happened: `Exchange.truth()`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import signal
import ssl
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from websockets.asyncio.server import Server, ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.http11 import Request, Response

from strategies.binance.streams import DepthFeed
from strategies.dialects import DIALECTS
from strategies.options import ExchangeConfig, add_exchange_options, add_venue_option, config_from, explain, writable
from strategies.tls import make_identity, server_context
from strategies.truth import merged
from strategies.venue import Venue

MAX_UNSENT: Final = 4 << 20
"""Bytes that a client may leave unread before it is cut off, as exchanges do."""
MAX_MESSAGE: Final = 1 << 20
"""Bytes of one message from a client."""
PING_EVERY: Final = 20
PONG_WITHIN: Final = 60
"""Seconds: "General API Information" of web-socket-api.md."""


class Exchange:
    """The exchange as an asynchronous context manager: it listens inside the `async with`, and only there.

    Raises `OSError` on entry if the port cannot be had.
    """

    def __init__(self, config: ExchangeConfig) -> None:
        self.config = config
        self.venue = Venue(DIALECTS[config.venue], config.assets, config.seed)
        self.port = config.port
        self.tls_port = config.tls_port
        self.certificate: str | None = None
        """PEM: what clients of `tls_url` are to trust; made when it begins to listen."""
        self._rng = random.Random(f"exchange {config.seed}")
        self._listening = contextlib.AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def url(self) -> str:
        """Where it listens, without a path."""
        return f"ws://{self._host}:{self.port}"

    @property
    def tls_url(self) -> str | None:
        """Where it listens with TLS, without a path."""
        return None if self.tls_port is None else f"wss://{self._host}:{self.tls_port}"

    @property
    def _host(self) -> str:
        return f"[{self.config.host}]" if ":" in self.config.host else self.config.host

    def truth(self) -> dict[str, Any]:
        """What happened so far; see `Venue.truth`."""
        return self.venue.truth()

    async def __aenter__(self) -> Exchange:
        async with contextlib.AsyncExitStack() as stack:
            self.port = await self._listen(stack, self.config.port, None)
            if self.config.tls_port is not None:
                identity = make_identity(self.config.host)
                self.certificate = identity.certificate
                self.tls_port = await self._listen(stack, self.config.tls_port, server_context(identity))
            self._listening = stack.pop_all()
        depth = [(DepthFeed(self.venue, "depth"), 1.0), (DepthFeed(self.venue, "depth@100ms"), 0.1)]
        self._tasks = [asyncio.create_task(self._move_markets())]
        self._tasks += [asyncio.create_task(_publish_depth(feed, every)) for feed, every in depth]
        return self

    async def _listen(self, stack: contextlib.AsyncExitStack, port: int, tls: ssl.SSLContext | None) -> int:
        """Listen until `stack` ends; returns the port, which the system chose where `port` is 0."""
        server = serve(
            self._serve,
            self.config.host,
            port,
            ssl=tls,
            process_request=self._known_path,
            extensions=self._extensions(),
            compression=None,
            ping_interval=PING_EVERY,
            ping_timeout=PONG_WITHIN,
            max_size=MAX_MESSAGE,
            server_header=None,
        )
        listening: Server = await stack.enter_async_context(server)
        return int(next(iter(listening.sockets)).getsockname()[1])

    async def halt(self) -> None:
        """Stop the market: from now on only requests make anything happen, so that those who leave miss nothing."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def __aexit__(self, *_: object) -> None:
        await self.halt()
        await self._listening.aclose()

    def _known_path(self, connection: ServerConnection, request: Request) -> Response | None:
        if self.venue.dialect.serves(urlsplit(request.path).path):
            return None
        return connection.respond(404, "Not Found\n")

    def _extensions(self) -> list[ServerPerMessageDeflateFactory]:
        if self.config.compression == "off":
            return []
        fresh = self.config.compression == "no-takeover"
        return [
            ServerPerMessageDeflateFactory(
                server_no_context_takeover=fresh,
                client_no_context_takeover=fresh,
                server_max_window_bits=self.config.window_bits,
                client_max_window_bits=self.config.client_window_bits,
                compress_settings={"memLevel": 5},
            )
        ]

    async def _serve(self, connection: ServerConnection) -> None:
        def send(text: str) -> None:
            if connection.transport.get_write_buffer_size() > MAX_UNSENT:
                connection.transport.abort()
            else:
                broadcast((connection,), text)

        assert connection.request is not None  # the handshake is done
        session = self.venue.dialect.session(self.venue, connection.request.path, send)
        try:
            async for text in connection:
                await asyncio.sleep(self._rng.uniform(*self.config.latency))
                session.handle(text, events_first=self._rng.random() < 0.3)
        except ConnectionClosed:
            pass
        finally:
            session.close()

    async def _move_markets(self) -> None:
        """Move one asset after the other, evenly spread over time; catch up when the loop was late."""
        loop, symbols = asyncio.get_running_loop(), list(self.venue.books)
        every = 1 / (self.config.market_rate * len(symbols)) if self.config.market_rate > 0 else 0
        due = loop.time()
        while every:
            for symbol in symbols:
                due = max(due + every, loop.time() - 1)
                if (wait := due - loop.time()) > 0:
                    await asyncio.sleep(max(wait, 0.005))  # several moves a wake-up are cheaper
                self.venue.tick(symbol, self.config.fill_probability)


async def _publish_depth(feed: DepthFeed, every: float) -> None:
    while True:
        await asyncio.sleep(every)
        feed.publish()


# --- program --------------------------------------------------------------------------------------------------------------


async def run(
    configs: Sequence[ExchangeConfig],
    truth: Path | None,
    stop: asyncio.Event,
    ready: Callable[[Sequence[Exchange]], None],
) -> None:
    """Run exchanges until `stop`, tell `ready` once they listen, and write their truth to the file `truth` in the end.

    Raises `OSError` if a port cannot be had or the file cannot be written.
    """
    async with contextlib.AsyncExitStack() as stack:
        exchanges = [await stack.enter_async_context(Exchange(config)) for config in configs]
        ready(exchanges)
        await stop.wait()
    if truth:
        happened = merged([exchange.truth() for exchange in exchanges])
        truth.write_text(json.dumps(happened, indent=1) + "\n", encoding="utf-8")


async def _main(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    def ready(exchange: Exchange) -> None:
        if options.certificate and exchange.certificate:
            options.certificate.write_text(exchange.certificate, encoding="ascii")
        where = " and ".join(filter(None, (exchange.url, exchange.tls_url)))
        what = f"{options.venue}, {options.assets} assets, compression {options.compression}"
        print(f"exchange: {what}, at {where}; Ctrl-C ends it", flush=True)

    await run([config_from(options, options.venue)], options.truth, stop, lambda exchanges: ready(*exchanges))


def main(arguments: Sequence[str] | None = None) -> int:
    """The program: 0 done, 1 failed, 2 called wrongly."""
    parser = argparse.ArgumentParser(prog="python -m strategies.exchange", description="A simulated exchange.")
    add_venue_option(parser)
    add_exchange_options(parser)
    parser.add_argument(
        "--certificate", type=writable, metavar="FILE", help="write there what clients of --tls-port are to trust"
    )
    options = parser.parse_args(arguments)
    try:
        asyncio.run(_main(options))
    except OSError as error:
        print(explain(error, options), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Market data, shared by all strategies: on the venue, too, it is not on the order socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from strategies.dialect import Feed


def batches(symbols: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """`symbols` in runs of at most `size`."""
    for start in range(0, len(symbols), size):
        yield symbols[start : start + size]


async def market_feed(url: str, feed: Feed, symbols: Sequence[str], on_book: Callable[[str, Decimal, Decimal], None]) -> None:
    """Listen to `symbols` (at most `feed.symbols_a_socket`) until the connection ends.

    `on_book` is told the symbol, the best bid and the best ask. Raises as `Strategy.run` does.
    """
    try:
        async with connect(url + feed.path, proxy=None) as socket:
            for request in feed.subscribe(symbols):
                await socket.send(request)
            async for text in socket:
                for top in feed.hear(text):
                    on_book(*top)
    except ConnectionClosed:
        pass

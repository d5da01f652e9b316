"""A hundred strategies against an exchange that is already there:

    python -m strategies.run --venue okx --url ws://127.0.0.1:9443 --assets 100 --rate 1.5 --seconds 60 --seed 7

Each asset has a strategy with an account of its own. One asset in ten has a second strategy on the same account, which now
and then trades with the first, and, where the venue has such, a watcher on the account's older user stream: their fills are
seen two or three times.
With --tls-url, every second strategy and watcher goes there instead.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import signal
import ssl
import statistics
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import astuple, dataclass
from decimal import Decimal
from pathlib import Path

from websockets.exceptions import WebSocketException

from strategies.credentials import Credentials
from strategies.dialect import Watcher
from strategies.dialects import DEFAULT, DIALECTS
from strategies.feeds import batches, market_feed
from strategies.instruments import instruments
from strategies.options import add_market_options, add_strategy_options, add_venue_option
from strategies.quoter import RandomQuoter
from strategies.strategy import Counts
from strategies.tls import SecureUrl, client_context

SHARED_EVERY = 10
"""One asset in so many is traded by two strategies of one account."""
LAST_EVENTS = 0.2
"""Seconds between the last answer and the good-bye, for the events that follow it."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run came to."""

    strategies: int
    counts: Counts
    acknowledgement: float
    """Median seconds from request to answer; nan without any."""
    cpu: float
    """Seconds of processor time of this process."""

    def __str__(self) -> str:
        counts = self.counts
        return (
            f"{counts.placed} orders placed by {self.strategies} strategies, {counts.acknowledged} acknowledged"
            f" (median {self.acknowledgement * 1000:.1f} ms), {counts.fills} fills, {counts.canceled} cancels,"
            f" {counts.amended} amendments, {counts.expired} expired, {counts.rejected} rejects;"
            f" {self.cpu * 1000 / max(counts.placed, 1):.2f} ms of CPU an order"
        )


@dataclass(frozen=True, slots=True)
class Market:
    """Where to trade, and what: `assets` and `seed` as the exchange has them."""

    url: str
    assets: int
    seed: int
    venue: str = DEFAULT
    secure: SecureUrl | None = None
    """Where every second strategy and watcher goes instead."""


def crew(market: Market, rate: float) -> tuple[list[RandomQuoter], list[Watcher]]:
    """The strategies and watchers of a run."""
    dialect, seed = DIALECTS[market.venue], market.seed
    rng = random.Random(f"crew {seed} {market.venue}")
    plain: tuple[str, ssl.SSLContext | None] = (market.url, None)
    doors, watcher_doors = (itertools.cycle([plain, market.secure or plain]) for _ in range(2))
    strategies: list[RandomQuoter] = []
    watchers: list[Watcher | None] = []
    for number, instrument in enumerate(instruments(market.assets, seed, dialect.quote, dialect.symbol)):
        credentials = Credentials.invent(rng)
        names = [f"s{number:03d}"]
        if number % SHARED_EVERY == 0:
            names.append(f"s{number:03d}b")
            door, tls = next(watcher_doors)
            watchers.append(dialect.watcher(door, credentials, number // SHARED_EVERY, tls))
        for name in names:
            door, tls = next(doors)
            strategies.append(RandomQuoter(dialect.trader(name, instrument, credentials), door, rate, seed, tls))
    return strategies, [watcher for watcher in watchers if watcher]


async def trade(
    markets: Sequence[Market], rate: float, seconds: float, stop: asyncio.Event, before_leaving: Callable[[], None]
) -> Summary:
    """Run crews for so many seconds, or until `stop`; `before_leaving` is called when all have ceased to trade.

    Raises `OSError` or `websockets.exceptions.WebSocketException` if the exchange cannot be reached.
    """
    began = time.process_time()
    strategies: list[RandomQuoter] = []
    jobs: list[Coroutine[None, None, None]] = []
    for market in markets:
        traders, watchers = crew(market, rate)
        strategies += traders
        jobs += _feeds(market, traders)
        jobs += [strategy.run() for strategy in traders] + [watcher.run() for watcher in watchers]
    work: asyncio.Future[object] = asyncio.ensure_future(asyncio.gather(*jobs))
    stopping: asyncio.Future[object] = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((work, stopping), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            await work  # raises what went wrong
        await asyncio.gather(*(strategy.rest() for strategy in strategies))
        before_leaving()
        await asyncio.sleep(LAST_EVENTS)
        await asyncio.gather(*(strategy.close() for strategy in strategies))
    finally:
        for job in (work, stopping):
            job.cancel()
        await asyncio.gather(work, stopping, return_exceptions=True)
    times = [seconds for strategy in strategies for seconds in strategy.acknowledgements]
    counts = Counts(*map(sum, zip(*(astuple(strategy.counts) for strategy in strategies), strict=True)))
    median = statistics.median(times) if times else float("nan")
    return Summary(len(strategies), counts, median, time.process_time() - began)


def _feeds(market: Market, strategies: Sequence[RandomQuoter]) -> list[Coroutine[None, None, None]]:
    """The sockets that tell `strategies` the best prices."""
    by_symbol: dict[str, list[RandomQuoter]] = {}
    for strategy in strategies:
        by_symbol.setdefault(strategy.instrument.symbol, []).append(strategy)

    def on_book(symbol: str, bid: Decimal, ask: Decimal) -> None:
        for strategy in by_symbol[symbol]:
            strategy.on_book(bid, ask)

    feed = DIALECTS[market.venue].feed
    return [market_feed(market.url, feed(), symbols, on_book) for symbols in batches(list(by_symbol), feed.symbols_a_socket)]


def stop_on_signals() -> asyncio.Event:
    """An event that SIGINT and SIGTERM set."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def _trust(text: str) -> ssl.SSLContext:
    """A context that trusts the certificate in a file."""
    try:
        return client_context(Path(text).read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no certificate in PEM: {error}") from None


async def _main(options: argparse.Namespace) -> Summary:
    stop = stop_on_signals()
    secure = SecureUrl(options.tls_url, options.certificate) if options.tls_url else None
    market = Market(options.url, options.assets, options.seed, options.venue, secure)
    return await trade([market], options.rate, options.seconds, stop, lambda: None)


def main(arguments: Sequence[str] | None = None) -> int:
    """The program: 0 done, 1 failed, 2 called wrongly."""
    parser = argparse.ArgumentParser(prog="python -m strategies.run", description="Many strategies against one exchange.")
    parser.add_argument("--url", default="ws://127.0.0.1:9443", help="of the exchange, without a path (%(default)s)")
    parser.add_argument("--tls-url", help="the same with TLS, for every second strategy, as wss://127.0.0.1:9444")
    parser.add_argument("--certificate", type=_trust, metavar="FILE", help="that the exchange wrote (--certificate)")
    add_venue_option(parser)
    add_market_options(parser)
    add_strategy_options(parser)
    options = parser.parse_args(arguments)
    if options.tls_url and options.certificate is None:
        parser.error("--tls-url takes --certificate: whom to trust there")
    try:
        print(asyncio.run(_main(options)))
    except (OSError, WebSocketException, ValueError) as error:
        print(
            f"--url {options.url}: no exchange there ({error}); start one with python -m strategies.exchange", file=sys.stderr
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

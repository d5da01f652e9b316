"""A hundred strategies against an exchange that is already there:

    python -m strategies.run --url ws://127.0.0.1:9443 --assets 100 --rate 1.5 --seconds 60 --seed 7

Each asset has a strategy with an account of its own. One asset in ten has a second strategy on the same account, which now
and then trades with the first, and a watcher on the account's older user stream: their fills are seen three times.
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
from strategies.feeds import SYMBOLS_A_SOCKET, Watcher, batches, market_feed
from strategies.instruments import instruments
from strategies.options import add_market_options, add_strategy_options
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


def crew(
    url: str, assets: int, rate: float, seed: int, secure: SecureUrl | None = None
) -> tuple[list[RandomQuoter], list[Watcher]]:
    """The strategies and watchers of a run; every second one goes to `secure`, if there is one."""
    rng = random.Random(f"crew {seed}")
    plain: tuple[str, ssl.SSLContext | None] = (url, None)
    doors, watcher_doors = itertools.cycle([plain, secure or plain]), itertools.cycle([plain, secure or plain])
    strategies, watchers = [], []
    for number, instrument in enumerate(instruments(assets, seed)):
        credentials = Credentials.invent(rng)
        names = [f"s{number:03d}"]
        if number % SHARED_EVERY == 0:
            names.append(f"s{number:03d}b")
            door, tls = next(watcher_doors)
            watchers.append(Watcher(door, credentials, number % (2 * SHARED_EVERY) == 0, tls))
        for name in names:
            door, tls = next(doors)
            strategies.append(RandomQuoter(name, instrument, credentials, door, rate, seed, tls))
    return strategies, watchers


async def trade(
    url: str,
    assets: int,
    rate: float,
    seconds: float,
    seed: int,
    stop: asyncio.Event,
    before_leaving: Callable[[], None],
    secure: SecureUrl | None = None,
) -> Summary:
    """Run a crew for so many seconds, or until `stop`; `before_leaving` is called when all have ceased to trade.

    Raises `OSError` or `websockets.exceptions.WebSocketException` if the exchange cannot be reached.
    """
    began = time.process_time()
    strategies, watchers = crew(url, assets, rate, seed, secure)
    by_symbol: dict[str, list[RandomQuoter]] = {}
    for strategy in strategies:
        by_symbol.setdefault(strategy.instrument.symbol, []).append(strategy)

    def on_book(symbol: str, bid: Decimal, ask: Decimal) -> None:
        for strategy in by_symbol[symbol]:
            strategy.on_book(bid, ask)

    jobs: list[Coroutine[None, None, None]] = [strategy.run() for strategy in strategies]
    jobs += [watcher.run() for watcher in watchers]
    jobs += [market_feed(url, symbols, on_book) for symbols in batches(list(by_symbol), SYMBOLS_A_SOCKET)]
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
    market = (options.assets, options.rate, options.seconds, options.seed)
    return await trade(options.url, *market, stop, lambda: None, secure)


def main(arguments: Sequence[str] | None = None) -> int:
    """The program: 0 done, 1 failed, 2 called wrongly."""
    parser = argparse.ArgumentParser(prog="python -m strategies.run", description="Many strategies against one exchange.")
    parser.add_argument("--url", default="ws://127.0.0.1:9443", help="of the exchange, without a path (%(default)s)")
    parser.add_argument("--tls-url", help="the same with TLS, for every second strategy, as wss://127.0.0.1:9444")
    parser.add_argument("--certificate", type=_trust, metavar="FILE", help="that the exchange wrote (--certificate)")
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

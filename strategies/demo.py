"""A trading day in small: exchanges in one process, a hundred strategies in another, and loopback between them.

python -m strategies.demo --venues binance-spot okx bitfinex --assets 100 --seconds 10 --port 9443 --tls-port 9453

With --tls-port, half of the strategies trade over `wss`; their keys go to the file that SSLKEYLOGFILE names. Several venues
share the assets, and listen at ports one after the other.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import NamedTuple

from websockets.exceptions import WebSocketException

from strategies.dialects import DEFAULT, DIALECTS
from strategies.exchange import Exchange, run
from strategies.options import ExchangeConfig, add_exchange_options, add_strategy_options, config_from, explain
from strategies.run import Market, Summary, stop_on_signals, trade
from strategies.tls import SecureUrl, client_context


class _Place(NamedTuple):
    """Where an exchange listens: plain, and with TLS, and what to trust there (PEM)."""

    config: ExchangeConfig
    url: str
    tls_url: str | None
    certificate: str | None

    def market(self) -> Market:
        secure = None
        if self.tls_url is not None and self.certificate is not None:
            secure = SecureUrl(self.tls_url, client_context(self.certificate))
        return Market(self.url, self.config.assets, self.config.seed, self.config.venue, secure)


def configs(options: argparse.Namespace) -> list[ExchangeConfig]:
    """One exchange a venue: the assets shared out, the ports counted up."""
    first, number = config_from(options), len(options.venues)
    return [
        replace(
            first,
            venue=venue,
            assets=first.assets // number + (index < first.assets % number),
            port=first.port and first.port + index,
            tls_port=first.tls_port and first.tls_port + index,
        )
        for index, venue in enumerate(options.venues[: first.assets])
    ]


def exchange_process(options: argparse.Namespace, pipe: Connection) -> None:
    """The exchanges' process: sends their `_Place`s, halts when asked to and sends lines of figures, ends when the pipe does.

    So it cannot outlive the demo. What goes wrong is one line on standard error, and exit code 1.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both processes; the demo decides
    try:
        asyncio.run(_serve(options, pipe))
    except OSError as error:
        print(explain(error, options, len(options.venues)), file=sys.stderr)
        sys.exit(1)


async def _serve(options: argparse.Namespace, pipe: Connection) -> None:
    loop, halted, stop = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
    halting: list[asyncio.Task[None]] = []

    def asked() -> None:
        try:
            pipe.recv()
            halted.set()
        except (EOFError, OSError):
            loop.remove_reader(pipe.fileno())
            stop.set()

    async def halt(exchanges: Sequence[Exchange]) -> None:
        await halted.wait()
        for exchange in exchanges:
            await exchange.halt()
        pipe.send("\n".join(map(_figures, exchanges)))

    def ready(exchanges: Sequence[Exchange]) -> None:
        loop.add_reader(pipe.fileno(), asked)
        halting.append(loop.create_task(halt(exchanges)))
        pipe.send([_Place(one.config, one.url, one.tls_url, one.certificate) for one in exchanges])

    await run(configs(options), options.truth, stop, ready)


def _figures(exchange: Exchange) -> str:
    venue = exchange.venue
    fills = sum(len(order.fills) for order in venue.orders)
    return f"{venue.dialect.name + ':':<14}{venue.order_count} orders, {fills} fills, {len(venue.refusals)} refusals"


async def _trade(options: argparse.Namespace, places: Sequence[_Place], pipe: Connection) -> tuple[Summary, str]:
    figures: list[str] = []

    def halt_exchange() -> None:
        pipe.send("halt")
        figures.append(pipe.recv())

    markets = [place.market() for place in places]
    summary = await trade(markets, options.rate, options.seconds, stop_on_signals(), halt_exchange)
    return summary, figures[0]


def main(arguments: Sequence[str] | None = None) -> int:
    """The program: 0 done (also after Ctrl-C), 1 failed, 2 called wrongly."""
    parser = argparse.ArgumentParser(prog="python -m strategies.demo", description="Simulated exchanges and their traders.")
    venues = "exchanges to run (%(default)s)"
    parser.add_argument("--venues", nargs="+", choices=DIALECTS, default=[DEFAULT], metavar="VENUE", help=venues)
    add_exchange_options(parser)
    add_strategy_options(parser)
    options = parser.parse_args(arguments)
    if max(options.port, options.tls_port or 0) + len(options.venues) > 65536:
        parser.error("--port, --tls-port: the last venue's would be above 65535; choose lower ones")
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    exchange = context.Process(target=exchange_process, args=(options, theirs), name="exchange")
    exchange.start()
    theirs.close()
    try:
        places: list[_Place] = ours.recv()
    except (EOFError, KeyboardInterrupt):
        ours.close()
        exchange.join()
        return 1  # the exchange has said why, or was stopped before anything began
    try:
        what = f"{options.rate:g} orders a strategy and second, seed {options.seed}"
        for place in places:
            where = " and ".join(filter(None, (place.url, place.tls_url)))
            print(f"demo: {place.config.venue}, {place.config.assets} assets at {where}, {what}", flush=True)
        summary, figures = asyncio.run(_trade(options, places, ours))
        print(f"strategies:   {summary}\n{figures}", flush=True)
    except (EOFError, OSError, WebSocketException) as error:
        print(f"demo: lost the exchange: {str(error) or 'its process has ended'}; start the demo again", file=sys.stderr)
        return 1
    finally:
        ours.close()
        exchange.join()
    return exchange.exitcode or 0


if __name__ == "__main__":
    sys.exit(main())

"""A trading day in small: an exchange in one process, a hundred strategies in another, and loopback between them.

python -m strategies.demo --assets 100 --seconds 10 --rate 1.5 --port 9443 --tls-port 9444 --seed 7

With --tls-port, half of the strategies trade over `wss`; their keys go to the file that SSLKEYLOGFILE names.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import signal
import sys
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import NamedTuple

from websockets.exceptions import WebSocketException

from strategies.exchange import Exchange, run
from strategies.options import add_exchange_options, add_strategy_options, config_from, explain
from strategies.run import Summary, stop_on_signals, trade
from strategies.tls import SecureUrl, client_context


class _Place(NamedTuple):
    """Where the exchange listens: plain, and with TLS, and what to trust there (PEM)."""

    url: str
    tls_url: str | None
    certificate: str | None

    def secure(self) -> SecureUrl | None:
        if self.tls_url is None or self.certificate is None:
            return None
        return SecureUrl(self.tls_url, client_context(self.certificate))


def exchange_process(options: argparse.Namespace, pipe: Connection) -> None:
    """The exchange's process: sends its `_Place`, halts when asked to and sends a line of figures, and ends when the pipe does.

    So it cannot outlive the demo. What goes wrong is one line on standard error, and exit code 1.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both processes; the demo decides
    try:
        asyncio.run(_serve(options, pipe))
    except OSError as error:
        print(explain(error, options), file=sys.stderr)
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

    async def halt(exchange: Exchange) -> None:
        await halted.wait()
        await exchange.halt()
        pipe.send(_figures(exchange))

    def ready(exchange: Exchange) -> None:
        loop.add_reader(pipe.fileno(), asked)
        halting.append(loop.create_task(halt(exchange)))
        pipe.send(_Place(exchange.url, exchange.tls_url, exchange.certificate))

    await run(config_from(options), options.truth, stop, ready)


def _figures(exchange: Exchange) -> str:
    venue = exchange.venue
    fills = sum(len(order.fills) for order in venue.orders)
    cpu = time.process_time() * 1000 / max(venue.order_count, 1)
    return f"{venue.order_count} orders, {fills} fills, {len(venue.refusals)} refusals; {cpu:.2f} ms of CPU an order"


async def _trade(options: argparse.Namespace, place: _Place, pipe: Connection) -> tuple[Summary, str]:
    figures: list[str] = []

    def halt_exchange() -> None:
        pipe.send("halt")
        figures.append(pipe.recv())

    stop = stop_on_signals()
    market = (options.assets, options.rate, options.seconds, options.seed)
    summary = await trade(place.url, *market, stop, halt_exchange, place.secure())
    return summary, figures[0]


def main(arguments: Sequence[str] | None = None) -> int:
    """The program: 0 done (also after Ctrl-C), 1 failed, 2 called wrongly."""
    parser = argparse.ArgumentParser(prog="python -m strategies.demo", description="A simulated exchange and its traders.")
    add_exchange_options(parser)
    add_strategy_options(parser)
    options = parser.parse_args(arguments)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    exchange = context.Process(target=exchange_process, args=(options, theirs), name="exchange")
    exchange.start()
    theirs.close()
    try:
        place: _Place = ours.recv()
    except (EOFError, KeyboardInterrupt):
        ours.close()
        exchange.join()
        return 1  # the exchange has said why, or was stopped before anything began
    try:
        what = f"{options.rate:g} orders a strategy and second, seed {options.seed}"
        where = " and ".join(filter(None, place[:2]))
        print(f"demo: {options.assets} assets at {where}, {what}", flush=True)
        summary, figures = asyncio.run(_trade(options, place, ours))
        print(f"strategies: {summary}\nexchange:   {figures}", flush=True)
    except (EOFError, OSError, WebSocketException) as error:
        print(f"demo: lost the exchange: {str(error) or 'its process has ended'}; start the demo again", file=sys.stderr)
        return 1
    finally:
        ours.close()
        exchange.join()
    return exchange.exitcode or 0


if __name__ == "__main__":
    sys.exit(main())

"""Settings of the exchange and of the strategies, and the command-line options for them."""

from __future__ import annotations

import argparse
import errno
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from strategies.dialects import DEFAULT, DIALECTS

COMPRESSIONS: Final = ("off", "takeover", "no-takeover")


@dataclass(frozen=True, slots=True)
class ExchangeConfig:
    """How to run the exchange. Rates are per asset and second, the latency is in seconds, port 0 takes any free one."""

    venue: str = DEFAULT
    """Whose dialect it speaks."""
    host: str = "127.0.0.1"
    port: int = 0
    tls_port: int | None = None
    """Listen there with TLS too (`wss`), with a certificate made on the spot; None: plain only."""
    assets: int = 10
    seed: int = 1
    market_rate: float = 2.0
    """How often the price of an asset moves."""
    fill_probability: float = 0.4
    """That a move fills, in part or whole, the best order waiting at the top of the book."""
    latency: tuple[float, float] = (0.001, 0.005)
    """Shortest and longest time from a request to its acknowledgement."""
    compression: str = "off"
    """permessage-deflate: off, takeover (the window is kept from message to message), no-takeover."""
    window_bits: int = 12
    """Largest window of the exchange's compressor, 9 to 15."""
    client_window_bits: int = 12
    """The same for its clients' compressors."""


def add_exchange_options(parser: argparse.ArgumentParser) -> None:
    """Options of the exchange; the demo has them too."""
    add = parser.add_argument
    default = ExchangeConfig(port=9443, assets=100, seed=7)
    add("--host", default=default.host, help="address to listen on (%(default)s)")
    add("--port", type=_whole(0, 65535), default=default.port, help="port to listen on, 0 for any (%(default)s)")
    add("--tls-port", type=_whole(0, 65535), help="listen there with TLS too, 0 for any (plain only)")
    add_market_options(parser)
    add("--market-rate", type=_number(0, 1000), default=default.market_rate, help="moves an asset a second (%(default)s)")
    chance = "that a move fills the best resting order, 0 to 1 (%(default)s)"
    add("--fill-probability", type=_number(0, 1), default=default.fill_probability, help=chance)
    add(
        "--latency", type=_number(0, 60_000), nargs=2, default=(1, 5), metavar="MS", help="least and most ms to an answer (1 5)"
    )
    add(
        "--compression",
        nargs="?",
        choices=COMPRESSIONS,
        default="off",
        const="takeover",
        help="permessage-deflate (%(default)s)",
    )
    add("--window-bits", type=_whole(9, 15), default=default.window_bits, help="of the exchange's compressor (%(default)s)")
    add("--client-window-bits", type=_whole(9, 15), default=default.client_window_bits, help="of its clients' (%(default)s)")
    add("--truth", type=writable, metavar="FILE", help="write there in the end, as JSON, what really happened")


def add_venue_option(parser: argparse.ArgumentParser) -> None:
    """Which exchange it is."""
    parser.add_argument("--venue", choices=DIALECTS, default=DEFAULT, help="whose dialect to speak (%(default)s)")


def add_market_options(parser: argparse.ArgumentParser) -> None:
    """Options that the exchange and the strategies must agree on, for they make the instruments."""
    parser.add_argument("--assets", type=_whole(1, 1000), default=100, help="how many assets are traded (%(default)s)")
    parser.add_argument("--seed", type=int, default=7, help="of everything random (%(default)s)")


def add_strategy_options(parser: argparse.ArgumentParser) -> None:
    """Options of the strategies."""
    parser.add_argument("--rate", type=_number(0.01, 100), default=1.5, help="orders a strategy and second (%(default)s)")
    parser.add_argument("--seconds", type=_number(0.1, 1e7), default=10.0, help="how long to trade (%(default)s)")


def writable(text: str) -> Path:
    """A file to write later: found out now rather than when the run is over."""
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is no file in an existing folder")
    return path


def config_from(options: argparse.Namespace, venue: str = DEFAULT) -> ExchangeConfig:
    """The configuration of `venue` that the options ask for."""
    shortest, longest = sorted(options.latency)
    return ExchangeConfig(
        venue=venue,
        host=options.host,
        port=options.port,
        tls_port=options.tls_port,
        assets=options.assets,
        seed=options.seed,
        market_rate=options.market_rate,
        fill_probability=options.fill_probability,
        latency=(shortest / 1000, longest / 1000),
        compression=options.compression,
        window_bits=options.window_bits,
        client_window_bits=options.client_window_bits,
    )


def explain(error: OSError, options: argparse.Namespace, exchanges: int = 1) -> str:
    """One line for exchanges that cannot run; several listen at ports one after the other."""
    if error.errno == errno.EADDRINUSE:
        more = f" (and the next {exchanges - 1})" if exchanges > 1 else ""
        ports = f"--port {options.port}{more}" + (f", --tls-port {options.tls_port}{more}" if options.tls_port else "")
        return f"{ports}: something listens there on {options.host} already; choose another, or 0 for any"
    if error.filename:
        return f"{error.filename}: cannot be written: {error.strerror}; name another file"
    return f"--host {options.host}, --port {options.port}: {error.strerror or error}; choose an address of this machine"


def _whole(least: int, most: int) -> Callable[[str], int]:
    return _checked(int, least, most, "whole number")


def _number(least: float, most: float) -> Callable[[str], float]:
    return _checked(float, least, most, "number")


def _checked(kind: Callable[[str], Any], least: float, most: float, what: str) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a {what} from {least:g} to {most:g}")
        return value

    return parse

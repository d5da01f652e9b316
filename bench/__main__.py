"""python -m bench [--quick] [--rounds N] [FIGURE...]: measures, prints tables, keeps the raw values in bench/results/."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.options import Options
from bench.processes import Failed
from bench.report import RESULTS, Figure, machine, save, text

FIGURES: Final = {
    "growth": "growth.figure",  # first: it measures memory, which Linux counts from our own size on
    "connections": "growth.connections",
    "history": "history.figure",
    "speed": "speed.figure",
    "tools": "tools.figure",
    "search": "search.figure",
    "records": "search.records",
    "cost": "cost.figure.figure",
    "decoding": "decoding.figure",
    "live": "live.figure",
    "wire": "wire.figure",
    "latency": "latency.figure",
    "idle": "idle.figure",
}
"""Where each is made; a module is imported when its turn comes."""


def made(name: str, options: Options) -> Figure:
    """The figure of that name."""
    module, _, function = FIGURES[name].rpartition(".")
    figure: Figure = getattr(importlib.import_module(f"bench.{module}"), function)(options)
    return figure


def main(arguments: Sequence[str] | None = None) -> int:
    """0: measured, goals met or not; 1: something could not be measured, or what was stored was wrong."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Figures of this machine.")
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=f"{', '.join(FIGURES)} (all)")
    parser.add_argument("--quick", action="store_true", help="small sizes: does everything run?")
    parser.add_argument("--rounds", type=int, default=None, help="rounds of what is compared (5; quick: 1)")
    parser.add_argument("--messages", type=int, default=None, help="messages of the captures of speed, tools and growth")
    parser.add_argument("--rows", type=int, default=None, help="rows of history at most (10,000,000; quick: 20,000)")
    parser.add_argument("--cache", type=Path, default=RESULTS / "captures", help="folder of the captures (%(default)s)")
    given = parser.parse_args(arguments)
    unknown = [name for name in given.figures if name not in FIGURES]
    if unknown:
        parser.error(f"no such figure: {', '.join(unknown)}; known are {', '.join(FIGURES)}")
    rounds = given.rounds or (1 if given.quick else 5)
    options = Options(given.quick, max(1, rounds), given.cache, given.messages, given.rows)
    about, figures, failed = machine(), [], False
    for name in given.figures or FIGURES:
        print(f"bench: {name} ...", file=sys.stderr, flush=True)
        try:
            figures.append(made(name, options))
        except Failed as error:
            print(f"bench: {name}: {error}", file=sys.stderr)
            failed = True
    print(text(about, figures))
    print(f"bench: raw values in {save(about, figures)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

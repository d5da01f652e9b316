"""python -m bench [--quick] [--rounds N] [FIGURE...]: measures, prints tables, keeps the raw values in bench/results/.

`python -m bench plots` draws what was measured before.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.options import Options
from bench.processes import Failed
from bench.report import RESULTS, Figure, machine, new_result, save, text

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
PLOTS: Final = "plots"


def made(name: str, options: Options) -> Figure:
    """The figure of that name."""
    module, _, function = FIGURES[name].rpartition(".")
    figure: Figure = getattr(importlib.import_module(f"bench.{module}"), function)(options)
    return figure


def main(arguments: Sequence[str] | None = None) -> int:
    """0: measured, goals met or not; 1: something could not be measured, or what was stored was wrong."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Figures of this machine.")
    names = ", ".join(FIGURES)
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=f"{names} (all); plots: pictures of the newest results")
    parser.add_argument("--quick", action="store_true", help="small sizes: does everything run?")
    parser.add_argument("--rounds", type=int, default=None, help="rounds of what is compared (3; quick: 1)")
    parser.add_argument("--messages", type=int, default=None, help="messages of the captures of speed, tools and growth")
    parser.add_argument("--rows", type=int, default=None, help="rows of history at most (10,000,000)")
    parser.add_argument(
        "--orders", type=int, choices=(10, 100), help="of speed, the captures with so many percent of orders alone"
    )
    parser.add_argument("--cache", type=Path, default=RESULTS / "captures", help="folder of the captures (%(default)s)")
    given = parser.parse_args(arguments)
    unknown = [name for name in given.figures if name not in (*FIGURES, PLOTS)]
    if unknown:
        parser.error(f"no such figure: {', '.join(unknown)}; known are {names} and {PLOTS}")
    rounds = given.rounds or (1 if given.quick else 3)
    share = given.orders / 100 if given.orders else None
    options = Options(given.quick, max(1, rounds), given.cache, given.messages, given.rows, share)
    figures = [name for name in given.figures or FIGURES if name != PLOTS]
    failed = _measure(figures, options) if figures else False
    if PLOTS in given.figures:
        from bench.plots import draw

        try:
            print("\n".join(map(str, draw())))
        except Failed as error:
            print(f"bench: {PLOTS}: {error}", file=sys.stderr)
            failed = True
    return 1 if failed else 0


def _measure(names: Sequence[str], options: Options) -> bool:
    """Measure, print and keep; whether something could not be measured is returned."""
    about, path, failed = machine(), new_result(), False
    figures: list[Figure] = []
    for name in names:
        print(f"bench: {name} ...", file=sys.stderr, flush=True)
        try:
            figures.append(made(name, options))
        except Failed as error:
            print(f"bench: {name}: {error}", file=sys.stderr)
            failed = True
        save(path, about, figures, options.quick)  # each time: what comes next may be cut off
    print(text(about, figures))
    print(f"bench: raw values in {path}", file=sys.stderr)
    return failed


if __name__ == "__main__":
    sys.exit(main())

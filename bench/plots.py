"""The results as pictures, in docs/plots: for each figure its newest result in `bench/results`. It takes matplotlib."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench import growth, history, idle, latency, speed, tools
from bench.cost import plot as cost
from bench.processes import Failed
from bench.report import RESULTS, median, ratios

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FOLDER: Final = Path(__file__).parents[1] / "docs" / "plots"
_SIZE: Final = (8.0, 4.5)
_GOAL: Final[dict[str, Any]] = {"color": "crimson", "linestyle": "--", "linewidth": 1}
_COLOURS: Final = ("#264653", "#2a9d8f", "#e9c46a", "#f4a261", "#8ab17d", "#6d6875")


def draw(folder: Path = FOLDER, results: Path = RESULTS) -> list[Path]:
    """Pictures of all figures that have a result, and their paths. Raises `Failed` without matplotlib, or without a result."""
    if importlib.util.find_spec("matplotlib") is None:
        raise Failed("matplotlib is missing: .venv/bin/python -m pip install --group bench")
    found = newest(sorted(results.glob("*.json")))
    drawn = [_picture(folder / f"{name}.png", plot, found[of]) for name, (of, plot) in PLOTS.items() if of in found]
    if not drawn:
        raise Failed(f"{results}: no results to draw; measure first")
    return drawn


def newest(files: Iterable[Path]) -> dict[str, dict[str, Any]]:
    """Figures by name, each from the last of `files` that holds it at its real size."""
    found: dict[str, dict[str, Any]] = {}
    for path in files:
        figures = json.loads(path.read_text())["figures"].items()
        found |= {name: figure for name, figure in figures if figure.get("quick") is False}
    return found


def _picture(path: Path, plot: Callable[[Axes, dict[str, Any]], None], figure: dict[str, Any]) -> Path:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    path.parent.mkdir(parents=True, exist_ok=True)
    picture, axes = pyplot.subplots(figsize=_SIZE, layout="constrained")
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_prop_cycle(color=_COLOURS)
    plot(axes, figure)
    picture.savefig(path, dpi=100, metadata={"Software": None})
    pyplot.close(picture)
    return path


def _bars(axes: Axes, groups: list[str], series: dict[str, list[float]]) -> None:
    """A group of bars for each of `groups`, a bar in each for every one of `series`."""
    width = 0.8 / len(series)
    for number, (name, values) in enumerate(series.items()):
        at = [place + (number - (len(series) - 1) / 2) * width for place in range(len(groups))]
        axes.bar(at, values, width, label=name)
    axes.set_xticks(range(len(groups)), groups)


def _legend(axes: Axes) -> None:
    """Below, in rows of two."""
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2, frameon=False, fontsize="small")


def _speed(axes: Axes, figure: dict[str, Any], above: str, below: str) -> None:
    series = {}
    for connections, share in speed.SHAPES:
        shape = f"{connections:,} connections, {share:.0%} orders"
        cells = [figure.get(speed.label(kind, (connections, share))) for kind in speed.KINDS]
        if any(cells):  # of another share of orders, where one was asked for
            series[shape] = [median(ratios(cell[above], cell[below])) if cell and cell[above] else 0.0 for cell in cells]
    _bars(axes, list(speed.KINDS), series)
    _legend(axes)


def _against_tshark(axes: Axes, figure: dict[str, Any]) -> None:
    _speed(axes, figure, "tshark", "sniffer")
    axes.axhline(speed.FASTER, **_GOAL)
    axes.set_ylabel("times as fast as tshark lists frames")
    axes.set_title(f"Replay of {figure['messages']:,} messages into DuckDB (goal: {speed.FASTER:g}, at 10 % orders)")


def _against_floor(axes: Axes, figure: dict[str, Any]) -> None:
    _speed(axes, figure, "sniffer_cpu", "floor_cpu")
    axes.axhline(speed.FLOOR, **_GOAL)
    axes.set_ylabel("times the floor, CPU")
    axes.set_title(f"Replay against the calls that cannot be avoided (goal: {speed.FLOOR:g})")


def _tools(axes: Axes, figure: dict[str, Any]) -> None:
    names, costs = [], []
    for kind in tools.READS:
        for name, runs in figure[kind].items():
            if name != "load":
                names.append(f"{name}\n{kind}")
                costs.append(1e6 * max(median(runs["seconds"]) - median(runs["startup"]), 1e-3) / figure["messages"])
    axes.bar(names, costs, color=_COLOURS[1])
    axes.set_yscale("log")
    axes.tick_params(axis="x", labelsize="small")
    axes.set_ylabel("us a message, without start-up")
    axes.set_title("Counting messages with other tools; sniffer stores the orders, too")


def _growth(axes: Axes, figure: dict[str, Any]) -> None:
    sizes = sorted(int(name) for name in figure if name.isdigit())
    first, *sizes = sizes
    cpu = {size: median([run["cpu"] for run in figure[str(size)]]) for size in (first, *sizes)}
    each = [(cpu[size] - cpu[first]) / (size - first) for size in sizes]
    peaks = [max(run["peak_rss"] for run in figure[str(size)]) for size in sizes]
    for values, what in ((each, f"CPU a message (1: {each[0] * 1e6:.1f} us)"), (peaks, f"memory (1: {peaks[0] / 1e6:.0f} MB)")):
        axes.plot(sizes, ratios(values, [values[0]] * len(values)), "o-", label=what)
    axes.axhline(growth.SLOWER, **_GOAL)
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("messages")
    axes.set_ylabel("times that of the smallest capture")
    _legend(axes)
    axes.set_title(f"Growth (goal: at most {growth.SLOWER} times the CPU time a message)")


def _history(axes: Axes, figure: dict[str, Any]) -> None:
    held = sorted(figure["history"], key=int)
    for name in ("publish", *history.QUERIES):
        values = [1000 * median(figure["history"][rows][name]) for rows in held]
        axes.plot([int(rows) for rows in held], values, "o-", label=name)
    axes.axhline(1000 * history.QUERY, **_GOAL)
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("rows of history")
    axes.set_ylabel("ms")
    _legend(axes)
    axes.set_title(f"A publish, and a monitor's queries (goal: queries under {1000 * history.QUERY:g} ms, publishes flat)")


def _live(axes: Axes, figure: dict[str, Any]) -> None:
    trials = sorted(figure["trials"], key=lambda trial: trial["asked"])
    for name, lost, marker in (("nothing lost", False, "o"), ("something lost", True, "x")):
        of = [trial for trial in trials if bool(trial["lost"] or trial["kernel_drops"]) is lost]
        if of:
            axes.scatter([trial["asked"] for trial in of], [trial["reached"] for trial in of], marker=marker, label=name)
    axes.axline((0, 0), slope=1, color="grey", linewidth=0.5)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("messages a second, asked for")
    axes.set_ylabel("sent")
    _legend(axes)
    axes.set_title("Live capture on loopback, generator and recording on the same two cores")


def _latency(axes: Axes, figure: dict[str, Any]) -> None:
    shares = [number / 10 for number in range(1, 1001)]
    for colour, (interval, most) in zip(_COLOURS, latency.GOALS.items(), strict=False):
        if interval in figure:
            axes.plot(figure[interval]["seconds"], shares, color=colour, label=f"--publish-interval {interval}")
            axes.plot([most], [99], "x", color=_GOAL["color"], label=f"goal of it: 99 % within {most} s")
    axes.set_xlim(left=0)
    axes.set_ylim(0, 101)
    axes.set_xlabel("seconds from the wire to a reader")
    axes.set_ylabel("% of the order events")
    _legend(axes)
    axes.set_title("Wire to queryable")


def _idle(axes: Axes, figure: dict[str, Any]) -> None:
    names = [name for name in idle.GOALS if name in figure]
    bottoms = [0.0] * len(names)
    for process in sorted({process for name in names for share in figure[name] for process in share}):
        values = [median([share.get(process, (0.0, 0))[0] for share in figure[name]]) for name in names]
        axes.bar(names, values, 0.5, bottom=bottoms, label=process)
        bottoms = [bottom + value for bottom, value in zip(bottoms, values, strict=True)]
    for place, name in enumerate(names):
        axes.hlines(idle.GOALS[name], place - 0.3, place + 0.3, **_GOAL)
    axes.set_ylabel("% of a core")
    _legend(axes)
    axes.set_title(f"A recording of {idle.ORDERS} orders a second (goals dashed)")


PLOTS: Final[dict[str, tuple[str, Callable[[Axes, dict[str, Any]], None]]]] = {
    "replay-tshark": ("Replay", _against_tshark),
    "replay-floor": ("Replay", _against_floor),
    "tools": ("Other tools", _tools),
    "cost-full-speed": ("Cost", cost.full),
    "cost-assets": ("Cost", cost.assets),
    "growth": ("Growth", _growth),
    "history": ("History", _history),
    "live": ("Live", _live),
    "latency": ("Wire to reader", _latency),
    "idle": ("Idle", _idle),
}
"""By the picture's name: the figure that it shows, and what draws it."""

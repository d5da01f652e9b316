"""Response times of each way of saving as a picture: where half, 99 % and 99.9 % of them end, and the longest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bench.cost.statistics import QUANTILES
from bench.cost.ways import SIDECAR, SIDECAR_TLS, WAYS
from bench.cost.workload import ASSETS, FULL
from bench.report import median

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARKS: Final = dict(zip(QUANTILES, ("o", "s", "D", "|"), strict=True))
_OURS: Final = "#2a9d8f"
_OTHERS: Final = "#264653"


def full(axes: Axes, figure: dict[str, Any]) -> None:
    """The exchanges at full speed."""
    _draw(axes, figure["workloads"][FULL.name], FULL.name)


def assets(axes: Axes, figure: dict[str, Any]) -> None:
    """The assets."""
    _draw(axes, figure["workloads"][ASSETS.name], ASSETS.name)


def _draw(axes: Axes, ways: dict[str, list[dict[str, Any]]], workload: str) -> None:
    """A line for each way, from its p50 to its longest; medians over the rounds."""
    names = [name for name in WAYS if name in ways]
    for place, name in enumerate(names):
        colour = _OURS if name in (SIDECAR, SIDECAR_TLS) else _OTHERS
        found = {quantile: median([one[quantile] for one in ways[name]]) for quantile in QUANTILES}
        axes.plot([found["p50"], found["max"]], [place, place], color=colour, linewidth=1, alpha=0.5)
        for quantile, value in found.items():
            axes.plot(value, place, _MARKS[quantile], color=colour, markersize=5, label=quantile if not place else None)
    axes.set_xscale("log")
    axes.set_xlabel("response time, us")
    cut = [name for name in names if any(one["cut"] for one in ways[name])]
    axes.set_yticks(range(len(names)), [WAYS[name].title + " (cut off)" * (name in cut) for name in names], fontsize=8)
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.set_title(workload)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, -0.3), ncols=len(QUANTILES), frameon=False, fontsize=8)

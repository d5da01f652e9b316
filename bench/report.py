"""What was measured, on what: tables in Markdown, raw values as JSON."""

from __future__ import annotations

import json
import math
import os
import platform
import shutil
import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import duckdb

RESULTS: Final = Path(__file__).parent / "results"
_PACKAGES: Final = ("duckdb", "pyarrow", "msgspec", "websockets")


@dataclass
class Figure:
    """One measurement: what it found, the goal, and every raw value."""

    name: str
    goal: str
    found: str
    met: bool | None
    """None: the goal does not apply to a run of this size."""
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    raw: dict[str, Any] = field(default_factory=dict)

    def markdown(self) -> str:
        verdict = {True: "met", False: "**missed**", None: "not judged at this size"}[self.met]
        lines = [f"### {self.name}", "", f"Goal: {self.goal}. Found: {self.found}: {verdict}.", ""]
        lines += ["| " + " | ".join(cells) + " |" for cells in (self.columns, ["---"] * len(self.columns), *self.rows)]
        return "\n".join(lines)


def machine() -> dict[str, str]:
    """Hardware and versions."""
    model = platform.machine()
    memory = ""
    cpuinfo, meminfo = Path("/proc/cpuinfo"), Path("/proc/meminfo")
    if cpuinfo.exists() and meminfo.exists():
        models = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = models[0] if models else model
        memory = f", {int(meminfo.read_text().split()[1]) / (1 << 20):.0f} GiB of memory"
    found = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": f"{model}, {os.cpu_count()} cores{memory}",
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }
    found |= {package: metadata.version(package) for package in _PACKAGES} | {"duckdb": duckdb.__version__}
    if shutil.which("tshark"):
        said = subprocess.run(["tshark", "--version"], capture_output=True, text=True, check=False).stdout
        found["tshark"] = said.splitlines()[0].removeprefix("TShark (Wireshark) ").rstrip(".") if said else "unknown"
    return found


def load() -> float:
    """Runnable processes in the last minute: what else the machine did."""
    return os.getloadavg()[0]


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def quantile(values: Sequence[float], share: float) -> float:
    """The least of `values` that at least `share` (0 to 1) of them do not exceed: one that was measured, nothing in between."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Value by value: of two programs, round by round."""
    return [one / other for one, other in zip(above, below, strict=True)]


def spread(values: Sequence[float], unit: str = "s") -> str:
    """Median, and the least and most in brackets."""
    return f"{median(values):.2f} {unit} ({min(values):.2f} to {max(values):.2f})"


def megabytes(count: float) -> str:
    return f"{count / 1e6:.0f} MB"


def new_result() -> Path:
    """A file for the raw values of a run that begins now."""
    RESULTS.mkdir(exist_ok=True)
    return RESULTS / time.strftime("%Y%m%dT%H%M%SZ.json", time.gmtime())


def save(path: Path, about: dict[str, str], figures: Sequence[Figure], quick: bool) -> None:
    """Raw values of a run so far."""
    found = {
        figure.name: {"goal": figure.goal, "found": figure.found, "met": figure.met, "quick": quick} | figure.raw
        for figure in figures
    }
    path.write_text(json.dumps({"about": about, "figures": found}, indent=1))


def text(about: dict[str, str], figures: Sequence[Figure]) -> str:
    """All of it in Markdown."""
    lines = ["| | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in about.items())]
    return "\n\n".join(["\n".join(lines), *(figure.markdown() for figure in figures)])

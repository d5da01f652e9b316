"""`sniffer record` on loopback under load: what it takes while it records, and whether it lost anything."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import duckdb

from bench.generator import CONNECTIONS
from bench.messages import Truth
from bench.options import Options
from bench.processes import Background, Failed, Sample, sample
from bench.report import Figure, load, megabytes
from bench.runners import SNIFFER, check, scratch

RATE: Final = 20_000
"""Messages a second of the live figure."""
IDLE: Final = 5.0
"""Percent of a core, of all processes, at `IDLE_RATE`."""
IDLE_RATE: Final = 200
_ASSETS: Final = 100
_STRATEGIES: Final = 110
"""Of the demo with `_ASSETS` assets: one in ten has two."""


def may_capture() -> bool:
    """Whether this user may open a packet socket: root, or CAP_NET_RAW (packet(7))."""
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    except (AttributeError, OSError):
        return False
    return True


def live(options: Options) -> Figure:
    """Each message sent is stored: checked against the generator's truth, the losses and the kernel's drop counter."""
    rate, seconds = (2_000, 2.0) if options.quick else (RATE, 30.0)
    goal = f"{rate:,} messages a second for {seconds:g} s, none lost, kernel drops 0"
    if not may_capture():
        return _not_measured("Live", goal)
    command = [sys.executable, "-m", "bench.generator", str(rate), str(seconds)]
    with (
        scratch() as folder,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as generator,
    ):
        try:
            assert generator.stdout is not None
            port = generator.stdout.readline()
            if not port:
                raise Failed(f"{' '.join(command)} did not start")
            with _recorder(folder, int(port)) as recorder:
                before = sample(recorder.process.pid)
                output = _begin(generator, 3 * seconds + 30)
                after = sample(recorder.process.pid)
                stopping = time.monotonic()
                recorder.stop()
                drained = time.monotonic() - stopping
        finally:
            generator.kill()
        sent = json.loads(output)
        check(folder / "orders.duckdb", Truth(**sent["truth"]), CONNECTIONS)
        drops = _drops(folder)
    reached = sent["truth"]["messages"] / sent["seconds"]
    held = reached >= 0.99 * rate
    row = [f"{sent['truth']['messages']:,}", f"{sent['truth']['orders']:,}", f"{reached:,.0f}", str(drops), "0"]
    return Figure(
        name="Live",
        goal=goal,
        found=f"{reached:,.0f} a second, none lost, kernel drops {drops}",
        met=None if options.quick else held and drops == 0,
        columns=["messages", "order events", "a second", "kernel drops", "losses", "CPU", "resident, all", "end after"],
        rows=[[*row, f"{_percent(before, after):.0f} % of a core", megabytes(after.pss), f"{drained:.1f} s"]],
        raw=sent | {"kernel_drops": drops, "cpu_percent": _percent(before, after), "end": drained, "load": load()},
    )


def idle(options: Options) -> Figure:
    """CPU of all processes over the middle of a demo run."""
    settling, seconds = (1.0, 2.0) if options.quick else (3.0, 60.0)
    goal = f"at {IDLE_RATE} orders a second under {IDLE:g} % of a core, all processes"
    if not may_capture():
        return _not_measured("Idle", goal)
    port = _free_port()
    demo = [sys.executable, "-m", "strategies.demo", "--assets", str(_ASSETS), "--port", str(port)]
    demo += ["--rate", f"{IDLE_RATE / _STRATEGIES:.3f}", "--seconds", str(settling + seconds + 1)]
    with scratch() as folder, _recorder(folder, port) as recorder, Background(demo) as traders:
        time.sleep(settling)  # connections and logins
        before = sample(recorder.process.pid)
        time.sleep(seconds)
        after = sample(recorder.process.pid)
        said = traders.finish()
        recorder.stop()
        drops = _drops(folder)
        with duckdb.connect(str(folder / "orders.duckdb"), read_only=True) as connection:
            row = connection.execute(
                "SELECT count(*), epoch_ns(max(captured_at)) - epoch_ns(min(captured_at)), (SELECT count(*) FROM losses)"
                " FROM order_events WHERE kind = 'request' AND action = 'place'"
            ).fetchone()
    assert row is not None
    placed = re.search(r"(\d+) orders placed", said)
    if placed is None or row[0] != int(placed[1]) or row[2] or drops:
        raise Failed(f"placed, losses, kernel drops stored are {row[0]}, {row[2]}, {drops}; the demo says: {said}")
    used = _percent(before, after)
    rate = row[0] / (row[1] / 1e9)
    return Figure(
        name="Idle",
        goal=goal,
        found=f"{used:.1f} % at {rate:.0f} orders a second",
        met=None if options.quick else used < IDLE,
        columns=["orders a second", "CPU", "over", "resident, all", "kernel drops", "losses"],
        rows=[[f"{rate:.0f}", f"{used:.1f} % of a core", f"{after.at - before.at:.0f} s", megabytes(after.pss), "0", "0"]],
        raw={"cpu_percent": used, "orders": row[0], "rate": rate, "pss": after.pss, "load": load()},
    )


def _not_measured(name: str, goal: str) -> Figure:
    return Figure(name, goal, "not measured, as this user may not capture live (root or CAP_NET_RAW can)", None, ["-"], [])


@contextlib.contextmanager
def _recorder(folder: Path, port: int) -> Iterator[Background]:
    command: list[str | Path] = [SNIFFER, "record", "-i", "lo", "--port", str(port), "--db", folder / "orders.duckdb"]
    with Background(command) as recorder:
        try:
            recorder.wait_for("recording ")
            yield recorder
        finally:
            with contextlib.suppress(Failed):  # its children end only with it if it is asked to end
                recorder.stop()


def _begin(generator: subprocess.Popen[str], patience: float) -> str:
    """Let it send, and what it says in the end."""
    try:
        output, _ = generator.communicate("begin\n", timeout=patience)
    except subprocess.TimeoutExpired:
        raise Failed(f"bench.generator did not end within {patience:g} s") from None
    if generator.returncode:
        raise Failed(f"bench.generator: exit code {generator.returncode}")
    return output


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _drops(folder: Path) -> int:
    with duckdb.connect(str(folder / "orders.duckdb"), read_only=True) as connection:
        row = connection.execute("SELECT coalesce(sum(kernel_drops), 0)::BIGINT FROM captures").fetchone()
    assert row is not None
    return int(row[0])


def _percent(before: Sample, after: Sample) -> float:
    """CPU of all processes, in percent of one core."""
    return 100 * (after.cpu - before.cpu) / (after.at - before.at)

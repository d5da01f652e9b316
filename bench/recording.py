"""A recording under measurement: `sniffer record` beside its traffic, what its processes take, and what it lost."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from bench.messages import Truth
from bench.processes import Background, Failed
from bench.report import Figure
from bench.runners import SNIFFER

PATIENCE: Final = 600.0
"""Seconds that a recording may take to decode what it has in its journal when it is told to end."""


@dataclass(frozen=True)
class Sent:
    """What a generator says when it is done."""

    truth: Truth
    seconds: float

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.truth.messages / self.seconds


class Generator:
    """`bench.generator`, ready to send; leaving the `with` block ends it."""

    def __init__(self, rate: int, seconds: float, order_share: float = 0.1) -> None:
        """Raises `Failed` if it does not start."""
        self._command = [sys.executable, "-m", "bench.generator", str(rate), str(seconds), str(order_share)]
        self._patience = 3 * seconds + 30
        self.process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        port = self.process.stdout.readline()  # comes when all messages are made
        if not port:
            self.process.kill()
            raise Failed(f"{' '.join(self._command)} did not start")
        self.port = int(port)

    def __enter__(self) -> Generator:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def begin(self) -> None:
        """Send, from now on."""
        assert self.process.stdin is not None
        self.process.stdin.write("begin\n")
        self.process.stdin.flush()

    def finish(self) -> Sent:
        """Until all is sent. Raises `Failed`."""
        try:
            output, _ = self.process.communicate(timeout=self._patience)
        except subprocess.TimeoutExpired:
            raise Failed(f"{' '.join(self._command)} did not end within {self._patience:g} s") from None
        if self.process.returncode:
            raise Failed(f"{' '.join(self._command)}: exit code {self.process.returncode}")
        said = json.loads(output)
        return Sent(Truth(**said["truth"]), said["seconds"])


@contextlib.contextmanager
def recorder(folder: Path, ports: Sequence[int], *more: str | Path, inside: Sequence[str] = ()) -> Iterator[Background]:
    """`sniffer record` into `folder`, on loopback unless `more` names an interface; `inside`: a command that starts it."""
    named = [] if "-i" in more else ["-i", "lo"]
    command: list[str | Path] = [*inside, SNIFFER, "record", *named, "--db", folder / "orders.duckdb", *more]
    for port in ports:
        command += ["--port", str(port)]
    with Background(command) as recording:
        try:
            recording.wait_for("recording ")
            yield recording
        finally:
            with contextlib.suppress(Failed):  # its children end only with it if it is asked to end
                recording.stop()


def kernel_drops(folder: Path) -> int:
    """Packets that the kernel dropped before the capture could see them."""
    with duckdb.connect(str(folder / "orders.duckdb"), read_only=True) as connection:
        row = connection.execute("SELECT coalesce(sum(kernel_drops), 0)::BIGINT FROM captures").fetchone()
    assert row is not None
    return int(row[0])


def may_capture() -> bool:
    """Whether this user may open a packet socket: root, or CAP_NET_RAW (packet(7))."""
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    except (AttributeError, OSError):
        return False
    return True


def not_measured(name: str, goal: str, why: str = "this user may not capture live (root or CAP_NET_RAW can)") -> Figure:
    return Figure(name, goal, f"not measured, as {why}", None, ["-"], [])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])

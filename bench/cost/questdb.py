"""Saving in QuestDB, through its client's sender (ILP over HTTP) with its defaults: rows are sent each second."""

from __future__ import annotations

import contextlib
import csv
import io
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.cost.job import Job
from bench.cost.saving import Order, Save
from bench.processes import Failed, run

VERSION: Final = "9.0.3"
JAR: Final = Path(__file__).parents[1] / "results" / f"questdb-{VERSION}.jar"
"""Fetched once with Maven; `make clean` takes it away."""
_FETCH: Final = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
_OPTIONS: Final = ("http.min.enabled=false", "pg.enabled=false", "line.tcp.enabled=false", "telemetry.enabled=false")
PATIENCE: Final = 30.0


def missing() -> str | None:
    """What there is not: Java, or the jar and what fetches it."""
    if shutil.which("java") is None:
        return "java is not installed"
    if not JAR.exists():
        if shutil.which("mvn") is None:
            return f"{JAR} is not there, nor Maven to fetch it"
        JAR.parent.mkdir(exist_ok=True)
        try:
            run(["mvn", "-q", "-B", _FETCH, f"-Dartifact=org.questdb:questdb:{VERSION}", f"-DoutputDirectory={JAR.parent}"])
        except Failed:
            return f"Maven cannot fetch org.questdb:questdb:{VERSION}"
    return None


@contextlib.contextmanager
def server(job: Job) -> Iterator[int]:
    """A server on a free port of loopback. Raises `Failed` if it does not start."""
    root = job.folder / "questdb"
    (root / "conf").mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    _port_file(job).write_text(str(port))
    (root / "conf" / "server.conf").write_text("\n".join([f"http.bind.to=127.0.0.1:{port}", *_OPTIONS]))
    command = ["java", "-Xmx512m", "-p", str(JAR), "-m", "io.questdb/io.questdb.ServerMain", "-d", str(root)]
    with (root / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            end = time.monotonic() + PATIENCE
            while not _asked(job, "SELECT 1"):
                if process.poll() is not None or time.monotonic() > end:
                    raise Failed(f"QuestDB did not start: {(root / 'server.log').read_text()[-1000:]}")
                time.sleep(0.1)
            _asked(
                job, "CREATE TABLE orders (exchange_id LONG, order_id LONG, at TIMESTAMP) TIMESTAMP(at) PARTITION BY DAY WAL"
            )
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _port_file(job: Job) -> Path:
    return job.folder / "questdb.port"


def _asked(job: Job, query: str) -> list[list[str]]:
    """The answer's lines, the header first; none if the server does not answer."""
    url = f"http://127.0.0.1:{_port_file(job).read_text()}/exp?" + urllib.parse.urlencode({"query": query})
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return list(csv.reader(io.StringIO(answer.read().decode())))
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return []


async def open_sender(job: Job) -> Save:
    from questdb import Sender, TimestampNanos

    sender = Sender.from_conf(f"http::addr=127.0.0.1:{_port_file(job).read_text()};")
    sender.establish()  # type: ignore[no-untyped-call]  # without it the first row would connect

    def save(exchange: int, order: int) -> None:
        sender.row("orders", columns={"exchange_id": exchange, "order_id": order}, at=TimestampNanos.now())

    return Save(now=save)


def saved(job: Job) -> set[Order]:
    return {(int(row[0]), int(row[1])) for row in _asked(job, "SELECT exchange_id, order_id FROM orders")[1:]}

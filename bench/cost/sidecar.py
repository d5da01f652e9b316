"""Saving with the sidecar: the strategy knows nothing of it. `sniffer record` runs beside, at the lowest priority."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import sniffer
from bench.cost.job import Job
from bench.cost.saving import Order
from bench.processes import Background, Failed
from bench.runners import SNIFFER
from sniffer.errors import StoreError

LOWEST: Final = 19
LAG: Final = 60.0
"""Seconds that its rows may take to be readable. A second does on a free machine; on a busy one the lowest priority waits."""
PATIENCE: Final = 60.0
"""Seconds that it may take to start, at that priority."""
_VENUE: Final = r"""
[venues.toy]
ports = [{port}]

[[venues.toy.messages]]
sender = "server"
kind = "update"
pattern = '(?P<exchange_id>\d+):(?P<order_id>\d+)'
[venues.toy.messages.order]
order_id = "order_id"
symbol = "exchange_id"
status = {{ is = "NEW" }}
"""


@contextlib.contextmanager
def recorder(job: Job) -> Iterator[int]:
    settings = job.folder / "sniffer.toml"
    settings.write_text(_VENUE.format(port=job.port), encoding="utf-8")
    command: list[str | Path] = ["nice", "-n", str(LOWEST), SNIFFER, "record", "-i", "lo", "--port", str(job.port)]
    command += ["--config", settings, "--db", job.folder / "orders.duckdb"]
    if job.tls:
        command += ["--keylog", job.keylog]
    with Background(command) as running:
        try:
            running.wait_for("recording ", PATIENCE)
            yield running.process.pid
        finally:
            with contextlib.suppress(Failed):  # its children end only with it if it is asked to end
                running.stop()


def saved(job: Job) -> set[Order]:
    """What a reader finds. Raises `Failed` if an order is there twice."""
    try:
        with sniffer.connect(job.folder / "orders.duckdb") as database:
            found = database.execute("SELECT symbol::INTEGER, order_id::INTEGER FROM order_events").fetchall()
    except StoreError:  # not published yet
        return set()
    if len(found) != len(set(found)):
        raise Failed(f"{job.folder}: {len(found) - len(set(found))} orders are stored twice")
    return set(found)

"""The programs that are compared, each run on a capture and checked against its truth."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Final

import duckdb

from bench.captures import Capture
from bench.messages import LOT, Truth
from bench.processes import Failed, Run, run

SNIFFER: Final = Path(sys.executable).with_name("sniffer")

TSHARK: Final = (
    "tshark",
    "-n",  # no names for addresses and ports
    *("-o", "tcp.analyze_sequence_numbers:FALSE"),  # 5 % of its time
    *("-o", "tcp.calculate_timestamps:FALSE"),  # 3 %, and half of its memory
)
"""In one pass, with what listing frames does not need switched off; its dissectors are those that it comes with."""
_FIELDS: Final = ("-Y", "websocket", "-T", "fields", "-e", "frame.number", "-e", "websocket.opcode")


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder for one measurement, on the file system of the temporary files."""
    with tempfile.TemporaryDirectory(prefix="sniffer-bench-") as folder:
        yield Path(folder)


def replay(capture: Capture) -> Run:
    """`sniffer replay` of a capture into a new database, start-up included. Raises `Failed` if a row is missing or wrong."""
    with scratch() as folder:
        database = folder / "orders.duckdb"
        result = run([SNIFFER, "replay", capture.path, "--db", database, *_keylog("--keylog", capture)])
        check(database, capture.truth, capture.workload.connections)
    return result


def _keylog(option: str, capture: Capture, before: str = "") -> list[str]:
    return [option, f"{before}{capture.keylog}"] if capture.keylog else []


EMPTY: Final = bytes.fromhex("4d3cb2a1020004000000000000000000ffff000001000000")
"""A capture without packets: what a program takes for it is its start-up."""


def startup() -> Run:
    """What a replay costs before the first packet."""
    with scratch() as folder:
        (empty := folder / "empty.pcap").write_bytes(EMPTY)
        return run([SNIFFER, "replay", empty, "--db", folder / "orders.duckdb"])


def tshark_startup() -> Run:
    """What tshark costs before the first packet."""
    with scratch() as folder:
        (empty := folder / "empty.pcap").write_bytes(EMPTY)
        return run([*TSHARK, "-r", empty, *_FIELDS], folder / "frames.tsv")


def check(database: Path, truth: Truth, connections: int) -> None:
    """Raises `Failed` unless the database holds every order and fill of `truth`, saw each message, and no loss.

    A connection has two messages beside those of the truth: the request and the response of its upgrade.
    """
    with duckdb.connect(str(database), read_only=True) as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM order_events), (SELECT count(*) FROM fill_events),"
            " (SELECT coalesce(sum(quantity), 0) FROM fill_events), (SELECT sum(messages) FROM connections),"
            " (SELECT count(*) FROM losses)"
        ).fetchone()
    assert row is not None
    found = (row[0], row[1], row[2], row[3], row[4])
    expected = (truth.orders, truth.fills, Decimal(truth.filled_lots) / LOT, truth.messages + 2 * connections, 0)
    if found != expected:
        raise Failed(f"{database}: order events, fills, filled, messages, losses are {found}, not {expected}")


def tshark(capture: Capture) -> Run:
    """`tshark`, only listing the websocket frames. Raises `Failed` if it lists other than all of them."""
    with scratch() as folder:
        listed = folder / "frames.tsv"
        result = run([*TSHARK, *_keylog("-o", capture, "tls.keylog_file:"), "-r", capture.path, *_FIELDS], listed)
        with listed.open("rb") as file:
            frames = sum(1 for _ in file)
    if frames != capture.truth.messages:
        raise Failed(f"tshark listed {frames} frames of {capture.truth.messages}")
    return result


def have_tshark() -> bool:
    return shutil.which("tshark") is not None

"""`sniffer losses`: what it says of a time, and of times that are none."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from sniffer.config import SECOND
from sniffer.errors import UsageError
from sniffer.losses import span
from sniffer.store.store import Store
from tests.command_line import ORDERS, PCAPS, run
from tests.unit.store.builders import batch, capture, connection, loss, position

pytestmark = pytest.mark.usefixtures("settings_folder")
T0 = 1_792_663_200 * SECOND  # 2026-10-22T10:00:00Z


def test_times_are_iso_8601_and_utc_unless_they_say_otherwise() -> None:
    assert span("2026-10-22T10:00", "2026-10-22T12:00:00.5+02:00", None) == (T0, T0 + SECOND // 2)
    assert span(None, "2026-10-22", None) == (None, T0 - 10 * 3600 * SECOND)
    assert span(None, None, None) == (None, None)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("15m", 900), ("1h", 3600), ("2d", 172_800)])
def test_the_last_while(text: str, seconds: int) -> None:
    since, until = span(None, None, text)
    assert since is not None
    assert until is not None
    assert until - since == seconds * SECOND
    assert abs(until - time.time_ns()) < SECOND


@pytest.mark.parametrize(
    ("start", "end", "last", "why"),
    [
        ("yesterday", None, None, "--from yesterday: an ISO 8601 time"),
        (None, "9999-01-01", None, "--to 9999-01-01: a time between 1970 and 2262"),
        ("1969-01-01", None, None, "--from 1969-01-01: a time between"),
        ("2026-10-22", "2026-10-21", None, "--to 2026-10-21: is before --from 2026-10-22"),
        ("2026-10-22", None, "1h", "--last 1h: give either it"),
        (None, None, "1 h", "--last 1 h: a number and a unit"),
        (None, None, "99999999999d", "--last 99999999999d: a number and a unit"),
    ],
)
def test_what_is_no_time(start: str | None, end: str | None, last: str | None, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        span(start, end, last)


def test_a_complete_capture(tmp_path: Path) -> None:
    db = tmp_path / "orders.duckdb"
    assert run("replay", ORDERS, "--db", db).code == 0
    said = run("losses", "--db", db)
    assert (said.code, said.err) == (0, "")
    recorded, verdict = said.out.splitlines()
    assert recorded.startswith("recorded 20")
    assert verdict == "complete: 3 connections, nothing is missing"
    assert run("losses", "--db", db, "--last", "1h").out == "nothing was recorded in this time\n"


def test_what_is_missing_and_what_to_ask_for(tmp_path: Path) -> None:
    db = tmp_path / "orders.duckdb"
    assert run("replay", PCAPS / "tcp" / "gap-at-the-end.pcap", "--db", db).code == 0
    said = run("losses", "--db", db).out
    assert "not complete: " in said
    assert "ask the exchange's REST API" in said
    found = json.loads(run("losses", "--db", db, "--json").out)
    assert not found["complete"]
    assert {one["layer"] for one in found["missing"]} <= {"tcp", "websocket", "http"}
    (window,) = found["windows"]
    times = [one["from_time"] for one in found["missing"]] + [one["to_time"] for one in found["missing"]]
    assert (window["from_time"], window["to_time"]) == (min(times), max(times))


@pytest.mark.parametrize(
    ("losses", "verdict"),
    [
        ([1, 1, 2], "3 losses in 2 of 2 connections, 30 bytes"),
        ([1, 2, None, None], "2 losses in 2 of 2 connections and 2 losses of no connection, 40 bytes"),
        ([None], "1 loss of no connection, 10 bytes"),
    ],
)
def test_what_belongs_to_no_connection_is_counted_apart(tmp_path: Path, losses: list[int | None], verdict: str) -> None:
    db = tmp_path / "orders.duckdb"
    rows = [loss(connection_id=whose, from_time=T0, to_time=T0, bytes=10, messages=None) for whose in losses]
    with Store(db) as store:
        store.append(batch(connection(1, closed_at=T0), connection(2, closed_at=T0), *rows, of=capture()), position())
    assert f"not complete: {verdict}" in run("losses", "--db", db).out.splitlines()


def test_a_database_that_is_not_there(tmp_path: Path) -> None:
    said = run("losses", "--db", tmp_path / "none.duckdb")
    assert said.code == 1
    assert "no such database" in said.error

"""The lines of `tail`."""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sniffer import follow as following
from sniffer.config import Settings
from sniffer.errors import StoreError
from sniffer.follow import follow, tail_line, when
from sniffer.model import FillEvent, OrderEvent
from sniffer.replay import replay_files
from tests.command_line import ORDERS, PCAPS

pytestmark = pytest.mark.usefixtures("settings_folder")


def order(**fields: Any) -> OrderEvent:
    row = OrderEvent(*[None] * len(OrderEvent._fields))  # type: ignore[arg-type]
    return row._replace(captured_at=1_700_000_000_123_456_789, venue="binance-spot", symbol="EXMUSDT", **fields)


def fill(**fields: Any) -> FillEvent:
    row = FillEvent(*[None] * len(FillEvent._fields))  # type: ignore[arg-type]
    return row._replace(captured_at=1_700_000_000_123_456_789, venue="binance-spot", symbol="EXMUSDT", **fields)


def test_lines_stand_in_columns_and_say_no_more_than_the_message() -> None:
    place = {"kind": "request", "action": "place", "side": "buy", "client_order_id": "c-1"}
    paid = {"fee": Decimal("-0.10"), "fee_asset": "EXM", "trade_id": "5", "liquidity": "maker"}
    part = {"status": "PARTIALLY_FILLED", "quantity": Decimal(3), "filled_quantity": Decimal("1.5")}
    refusal = {"kind": "response", "action": "place", "status": "REJECTED", "reason": "no money", "order_id": "9"}
    lines = [
        tail_line(order(price=Decimal("7.250"), quantity=Decimal(40), **place)),
        tail_line(order(kind="request", action="cancel", client_order_id="c-1")),
        tail_line(order(kind="update", side="sell", **part)),
        tail_line(order(side="buy", **refusal)),
        tail_line(order(kind="update", side="buy", status="NEW", quantity=Decimal(3))),
        tail_line(fill(side="buy", price=Decimal(7), quantity=Decimal(15), **paid)),
    ]
    assert [line.plain for line in lines] == [
        "22:13:20.123  binance-spot  EXMUSDT       buy   request place    sent              40 @ 7.25  c-1",
        "22:13:20.123  binance-spot  EXMUSDT             request cancel   sent                c-1",
        "22:13:20.123  binance-spot  EXMUSDT       sell  update           PARTIALLY_FILLED  3  filled 1.5",
        "22:13:20.123  binance-spot  EXMUSDT       buy   response place   REJECTED            no money  9",
        "22:13:20.123  binance-spot  EXMUSDT       buy   update           NEW               3",
        "22:13:20.123  binance-spot  EXMUSDT       buy   fill             maker             15 @ 7  fee -0.1 EXM  trade 5",
    ]


def test_a_line_cannot_steer_the_terminal() -> None:
    hostile = "\x1b[31m\r\n"
    events = (
        order(kind="update", status_raw=hostile, reason=hostile, client_order_id=hostile)._replace(symbol=hostile),
        fill(fee=Decimal(1), fee_asset=hostile, trade_id=hostile, order_id=hostile)._replace(symbol=hostile),
    )
    for event in events:
        assert tail_line(event).plain.isprintable()


def test_when() -> None:
    assert when(None) is None
    assert when(1_700_000_000_000_000_001) == "2023-11-14T22:13:20.000000001Z"
    assert when(-1) == "1969-12-31T23:59:59.999999999Z"


def followed(db: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], **options: Any) -> list[str]:
    """What `follow` prints of a capture that is loaded while it waits."""
    calls = []

    def wait(seconds: float) -> bool:
        calls.append(seconds)
        if len(calls) == 1:
            replay_files([str(ORDERS)], Settings(db=db), replace=False)
        return len(calls) == 3

    monkeypatch.setattr(following, "_reader_is_gone", wait)
    follow(db, **({"venue": None, "symbol": None, "strategy": None, "as_json": False} | options))
    return capsys.readouterr().out.splitlines()


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """A database with something in it, which `tail` does not show: it begins with what comes."""
    db = tmp_path / "orders.duckdb"
    replay_files([str(PCAPS / "websocket" / "binance-orders-compressed.pcap")], Settings(db=db), replace=False)
    return db


def test_follow_shows_what_comes_once_and_in_order(
    begun: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = followed(begun, monkeypatch, capsys)
    assert len(lines) == 42 + 7
    assert [line[:12] for line in lines] == sorted(line[:12] for line in lines)


def test_follow_as_json(begun: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [json.loads(line) for line in followed(begun, monkeypatch, capsys, as_json=True)]
    assert {row["table"] for row in rows} == {"order_events", "fill_events"}
    assert len(rows) == 49
    first = next(row for row in rows if row["table"] == "fill_events")
    assert (first["price"], first["fee"], first["strategy"]) == ("7.25", "0.015", None)
    assert re.fullmatch(r"2023-11-14T22:13:20\.\d{9}Z", first["captured_at"])


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({"symbol": "EXMUSDT", "venue": "binance-spot"}, 49),
        ({"symbol": "OTHER"}, 0),
        ({"venue": "okx"}, 0),
        ({"strategy": "mine"}, 0),
    ],
)
def test_follow_selects(
    begun: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], options: dict[str, str], count: int
) -> None:
    assert len(followed(begun, monkeypatch, capsys, **options)) == count


@pytest.mark.parametrize("times", [3, 1000])
def test_follow_outlasts_a_client_that_locks_the_file_for_a_moment(
    begun: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], times: int
) -> None:
    looks, found = iter([False, *[True] * times]), following.changes
    monkeypatch.setattr(following, "_PATIENCE", 0.3)

    def changes(*arguments: Any) -> Any:
        if next(looks, False):
            raise StoreError("orders.duckdb: Conflicting lock is held")
        return found(*arguments)

    monkeypatch.setattr(following, "changes", changes)
    calls = []

    def wait(seconds: float) -> bool:
        calls.append(seconds)
        if len(calls) == 1:
            replay_files([str(ORDERS)], Settings(db=begun), replace=False)
        time.sleep(0.01)
        return len(calls) == 6

    monkeypatch.setattr(following, "_reader_is_gone", wait if times == 3 else lambda seconds: time.sleep(0.01))
    options: dict[str, Any] = {"venue": None, "symbol": None, "strategy": None, "as_json": False}
    if times == 3:
        follow(begun, **options)
        assert len(capsys.readouterr().out.splitlines()) == 42 + 7
    else:
        with pytest.raises(StoreError, match="Conflicting lock"):
            follow(begun, **options)


def test_follow_of_no_database(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"nope\.duckdb"):
        follow(tmp_path / "nope.duckdb", venue=None, symbol=None, strategy=None, as_json=False)


def test_a_closed_pipe_is_noticed_while_nothing_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        assert not following._reader_is_gone(0.01)
        threading.Timer(0.1, os.close, [reading]).start()
        assert following._reader_is_gone(10.0)

"""The shipped capture of the demo's traffic, replayed, against the books of the exchanges that it was recorded from."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sniffer.config import Settings
from sniffer.replay import replay_files
from sniffer.store.read import connect

DEMO = Path(__file__).parents[2] / "pcaps" / "demo"


@pytest.fixture(scope="module")
def truth() -> dict[str, Any]:
    return dict(json.loads(gzip.decompress((DEMO / "truth.json.gz").read_bytes())))


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "orders.duckdb"
    summary = replay_files([str(DEMO / "demo.pcapng.gz")], Settings(db=path), replace=False)
    assert not summary.losses
    return path


def test_every_order_stands_as_the_exchange_has_it(db: Path, truth: dict[str, Any]) -> None:
    """OKX and Bitfinex have no word for an order that has expired."""
    with connect(db) as connection:
        rows = connection.sql(
            "SELECT order_id, symbol, side, order_type, price, quantity, filled_quantity, status "
            "FROM orders WHERE order_id IS NOT NULL"
        ).fetchall()
    stored = {(row[0], row[1]): row[2:] for row in rows}
    assert len(rows) == len(stored) == len(truth["orders"])
    for order in truth["orders"]:
        side, kind, price, quantity, filled, status = stored[(str(order["order_id"]), order["symbol"])]
        known = order["status"] if order["venue"] == "binance-spot" else order["status"].replace("EXPIRED", "CANCELED")
        assert (side.upper(), status) == (order["side"], known), order
        assert filled == Decimal(order["filled"]), order
        if order["type"] == "LIMIT":
            assert kind == "limit"
            assert price == Decimal(order["price"]), order
        assert quantity == Decimal(order["quantity"]), order


def test_every_fill_is_shown_once(db: Path, truth: dict[str, Any]) -> None:
    with connect(db) as connection:
        rows = connection.sql(
            "SELECT symbol, trade_id, order_id, side, price, quantity, fee, fee_asset, liquidity FROM fills"
        ).fetchall()
        seen_twice = connection.sql("SELECT count(*) FROM fills WHERE observations > 1").fetchall()[0][0]
    wanted = {
        (
            fill["symbol"], str(fill["trade_id"]), str(fill["order_id"]), fill["side"].lower(), Decimal(fill["price"]),
            Decimal(fill["quantity"]), Decimal(fill["fee"]), fill["fee_asset"], "maker" if fill["maker"] else "taker",
        )
        for fill in truth["fills"] if fill["heard"]
    }  # fmt: skip
    assert len(rows) == len(wanted)
    assert set(rows) == wanted
    assert seen_twice, "the demo has accounts with two sockets"


def test_refused_orders_are_rejected_with_the_reason(db: Path, truth: dict[str, Any]) -> None:
    placed = ("order.place", "order", "on")
    refused = {str(one["client_order_id"]): one["message"] for one in truth["refusals"] if one["method"] in placed}
    with connect(db) as connection:
        rows = dict(
            connection.sql(
                "SELECT client_order_id, reason FROM orders WHERE status = 'REJECTED' AND order_id IS NULL"
            ).fetchall()
        )
    assert {key: rows.get(key) for key in refused} == refused


def test_no_secret_is_in_any_file(db: Path, truth: dict[str, Any]) -> None:
    written = b"".join(path.read_bytes() for path in db.parent.rglob("*") if path.is_file())
    assert written
    for secret in truth["secrets"]:
        assert secret.encode() not in written

"""`fills` and `candles`, as schema.sql promises them. (`orders` is tested with the fold and with sealing.)"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import sniffer
from sniffer.model import FillEvent
from sniffer.store.store import Store
from tests.unit.store.builders import MS, T0, batch, connection, fill, position


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "orders.duckdb"


def shown(db: Path, sql: str, *rows: Any) -> list[tuple[Any, ...]]:
    with Store(db) as store:
        store.append(batch(*rows), position())
    with sniffer.connect(db) as connected:
        return connected.execute(sql).fetchall()


def test_fills_have_the_columns_of_the_contract(db: Path) -> None:
    columns = [name for name, *_ in shown(db, "DESCRIBE fills", fill(1))]
    assert columns == [*FillEvent._fields, "strategy", "observations", "price_f", "quantity_f", "notional"]


def test_a_fill_is_shown_once_with_its_fee_and_its_first_sighting(db: Path) -> None:
    bare = fill(1, trade_id="9")
    paid = fill(5, trade_id="9", connection_id=2, fee=Decimal("0.1"), fee_asset="BNB")
    again = fill(7, trade_id="9", connection_id=3, fee=Decimal("0.1"), fee_asset="BNB")
    sql = "SELECT observations, fee, fee_asset, epoch_ns(captured_at), connection_id, strategy FROM fills"
    named = [connection(1, strategy="maker"), connection(2, strategy="stream")]
    assert shown(db, sql, again, paid, bare, *named) == [(3, Decimal("0.1"), "BNB", T0 + MS, 2, "stream")]


@pytest.mark.parametrize(
    "other",
    [
        {"venue": "okx"},
        {"account": "b"},
        {"account": None},
        {"symbol": "ETHUSDT"},
        {"trade_id": "8"},
        {"order_id": "2"},
        {"side": "sell"},
    ],
)
def test_what_tells_fills_apart(db: Path, other: dict[str, Any]) -> None:
    one = fill(1, trade_id="9")
    assert shown(db, "SELECT observations FROM fills", one, one._replace(position=2, **other)) == [(1,), (1,)]


def test_a_venue_whose_trade_ids_come_again(db: Path) -> None:
    fills = [
        fill(at, venue=venue, trade_id="9", exchange_time=T0 + at % 2) for venue in ("hyperliquid", "okx") for at in (1, 2, 3)
    ]
    sql = "SELECT venue, observations FROM fills ORDER BY ALL"
    assert shown(db, sql, *fills) == [("hyperliquid", 1), ("hyperliquid", 2), ("okx", 3)]


def test_null_keys_are_one_value(db: Path) -> None:
    one = fill(1, trade_id="9", account=None, side=None, order_id=None)
    assert shown(db, "SELECT observations FROM fills", one, one._replace(position=2)) == [(2,)]


def test_without_a_trade_id_nothing_is_merged(db: Path) -> None:
    one = fill(1, trade_id=None)
    rows = [one, one._replace(item=1), one._replace(position=2), one._replace(connection_id=2)]
    assert shown(db, "SELECT observations FROM fills", *rows) == [(1,)] * 4


def test_notional_does_not_overflow(db: Path) -> None:
    huge = fill(1, price=Decimal("99999999999999999999"), quantity=Decimal("0.5"))
    ((price, quantity, notional),) = shown(db, "SELECT price, quantity_f, notional FROM fills", huge)
    assert (price, quantity, notional) == (Decimal("99999999999999999999"), 0.5, pytest.approx(5e19))


def at(seconds: float, price: object, trade_id: str | None = None, **changes: Any) -> FillEvent:
    """A fill whose exchange time is `seconds` after T0, 10:00."""
    known: dict[str, Any] = {"exchange_time": T0 + round(seconds * 10**9), "price": Decimal(str(price))}
    return fill(1, **(known | {"trade_id": trade_id or f"{seconds}"} | changes))


CANDLES = "SELECT bucket, open, high, low, close, volume, notional, trades FROM candles(INTERVAL 15 MINUTE)"
TEN, QUARTER = datetime(2024, 5, 1, 10), datetime(2024, 5, 1, 10, 15)


def test_candles(db: Path) -> None:
    fills = [at(60, 12), at(1, 10, quantity=Decimal("0.1")), at(840, 11), at(61, 9, quantity=Decimal("0.2")), at(900, 20)]
    assert shown(db, CANDLES, *fills) == [
        (TEN, 10, 12, 9, 11, Decimal("2.3"), pytest.approx(12 + 1 + 11 + 1.8), 4),
        (QUARTER, 20, 20, 20, 20, 1, 20, 1),
    ]


def test_candles_have_the_columns_of_the_contract(db: Path) -> None:
    columns = [name for name, *_ in shown(db, "DESCRIBE FROM candles(INTERVAL 1 HOUR)", at(1, 1))]
    assert columns == ["bucket", "venue", "symbol", "open", "high", "low", "close", "volume", "notional", "trades"]


def test_the_last_nanosecond_belongs_to_its_own_bucket(db: Path) -> None:
    last = fill(1, exchange_time=T0 + 15 * 60 * 10**9 - 1)
    assert shown(db, "SELECT bucket FROM candles(INTERVAL 15 MINUTE)", last) == [(TEN,)]


def test_candles_are_of_a_venue_and_symbol(db: Path) -> None:
    fills = [at(1, 1), at(2, 2, symbol="ETHUSDT"), at(3, 3, venue="okx")]
    sql = "SELECT venue, symbol, open FROM candles(INTERVAL 15 MINUTE) ORDER BY open"
    assert shown(db, sql, *fills) == [("binance-spot", "BTCUSDT", 1), ("binance-spot", "ETHUSDT", 2), ("okx", "BTCUSDT", 3)]


def test_fills_of_one_instant_stand_in_the_order_of_their_trade_ids(db: Path) -> None:
    fills = [at(1, 11, "11"), at(1, 9, "9"), at(1, 10, "10")]
    assert shown(db, "SELECT open, close FROM candles(INTERVAL 15 MINUTE)", *fills) == [(9, 11)]


def test_without_an_exchange_time_the_wire_time_counts(db: Path) -> None:
    fills = [at(3, 3), fill(2000, exchange_time=None, price=Decimal(2), trade_id="x")]
    assert shown(db, "SELECT open, close FROM candles(INTERVAL 15 MINUTE)", *fills) == [(2, 3)]


def test_a_fill_seen_twice_counts_once(db: Path) -> None:
    assert shown(
        db, "SELECT volume, trades FROM candles(INTERVAL 15 MINUTE)", at(1, 5, "a"), at(1, 5, "a", connection_id=2)
    ) == [(1, 1)]


def test_weeks_and_months(db: Path) -> None:
    one = at(1, 5)
    assert shown(db, "SELECT bucket FROM candles(INTERVAL 1 MONTH)", one) == [(datetime(2024, 5, 1),)]
    assert shown(db, "SELECT bucket FROM candles(INTERVAL 1 WEEK)", one) == [(datetime(2024, 4, 29),)]

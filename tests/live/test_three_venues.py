"""Three venues at once, at each two strategies on one account, recorded live: held row by row against the exchanges' books."""

from __future__ import annotations

import json
import random
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from strategies.credentials import Credentials
from strategies.dialect import Say
from strategies.instruments import instruments
from strategies.okx.dialect import Okx
from tests.live.live_tools import LIVE, ROOT, SEED, Recording, rows
from tests.live.live_traffic import listen, ports

pytestmark = [*LIVE, pytest.mark.xdist_group("venues")]  # all ask one recording
VENUES = ("binance-spot", "okx", "bitfinex")
ASSETS = 4
"""A venue; the first of them is traded by two strategies of one account."""


@dataclass(frozen=True)
class Day:
    """A recorded day at three venues."""

    db: Path
    ports: tuple[int, ...]
    truth: dict[str, Any]

    def told(self, table: str, venue: str) -> list[dict[str, Any]]:
        """The books' rows of a venue."""
        return [row for row in self.truth[table] if row["venue"] == venue]


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    folder = tmp_path_factory.mktemp("venues")
    db, truth = folder / "orders.duckdb", folder / "truth.json"
    first = neighbours(len(VENUES))
    taken = range(first, first + len(VENUES))
    demo = ["--venues", *VENUES, "--assets", str(ASSETS * len(VENUES)), "--port", str(first), "--truth", str(truth)]
    demo += ["--rate", "8", "--seconds", "4", "--seed", str(SEED), "--market-rate", "8", "--compression"]
    with Recording(db, *(option for port in taken for option in ("--port", port))) as recording:
        command = [sys.executable, "-u", "-m", "strategies.demo", *demo]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as traders:
            assert traders.stdout is not None
            for _ in VENUES:
                print(traders.stdout.readline(), end="")
            time.sleep(1)  # the list of instruments has been told by now
            batches(taken[VENUES.index("okx")])
            traders.communicate(timeout=60)
        assert traders.returncode == 0
        done = recording.stop()
    assert done.code == 0, done.err
    yield Day(db, tuple(taken), json.loads(truth.read_text()))
    print(f"seed {SEED}")


def batches(port: int) -> None:
    """An account of its own on OKX, which places, amends and cancels several orders at a time, some of them in vain."""
    instrument = instruments(2, SEED, Okx.quote, Okx.symbol)[1]
    trader = Okx.trader("batch", instrument, Credentials.invent(random.Random(SEED)))
    far = instrument.to_tick(instrument.start * Decimal("0.9"))
    size = instrument.to_lot(50 / far)
    place = {"tdMode": "cash", "side": "buy", "ordType": "limit", "px": f"{far:f}", "sz": f"{size:f}"}
    steps = {
        "batch-orders": [place | {"clOrdId": "b1"}, place | {"clOrdId": "b2", "sz": "0"}, place | {"clOrdId": "b3"}],
        "batch-amend-orders": [{"clOrdId": "b1", "newSz": f"{2 * size:f}"}, {"clOrdId": "b2", "newSz": f"{size:f}"}],
        "batch-cancel-orders": [{"clOrdId": "b2"}, {"clOrdId": "b3"}],
    }
    with connect(f"ws://127.0.0.1:{port}{trader.path}", proxy=None) as websocket:
        websocket.send(trader.opening())
        for heard in trader.hear(websocket.recv(timeout=5)):
            assert isinstance(heard, Say)  # the subscriptions
            websocket.send(heard.text)
        for step, (op, args) in enumerate(steps.items()):
            time.sleep(0.1)
            orders = [{"instIdCode": instrument.code} | arg for arg in args]
            websocket.send(json.dumps({"id": f"batch{step}", "op": op, "args": orders}))
            while (answer := json.loads(websocket.recv(timeout=5))).get("op") != op:
                pass
            assert answer["code"] == "2", answer


def neighbours(count: int) -> int:
    """The first of so many free ports in a row."""
    for _ in range(100):
        (free,) = listen(1)
        (first,) = ports([free])
        free.close()
        try:
            taken = [socket.create_server(("127.0.0.1", first + n)) for n in range(count)]
        except OSError:
            continue
        for one in taken:
            one.close()
        return first
    raise AssertionError("no free ports in a row")


def test_each_venue_is_known_by_what_it_says(day: Day) -> None:
    """On loopback no host tells: Binance and OKX are known by their paths, Bitfinex by its messages."""
    sql = """SELECT server_port, path, venue, venue_guessed, count(*) FROM connections
        WHERE connection_id IN (SELECT connection_id FROM order_events WHERE kind = 'request')
        GROUP BY ALL ORDER BY server_port"""
    assert rows(day.db, "FROM losses") == []
    paths = ("/ws-api/v3", "/ws/v5/private", "/ws/2")
    connections = (ASSETS + 1, ASSETS + 2, ASSETS + 1)
    known = [(*row[:3], row[2] == "bitfinex", row[3]) for row in zip(day.ports, paths, VENUES, connections, strict=True)]
    assert rows(day.db, sql) == known


def test_instruments_that_orders_name_by_number_have_their_names(day: Day) -> None:
    """OKX's requests hold an `instIdCode`; the list that tells which it is crosses the market data connection."""
    asked = rows(day.db, "SELECT DISTINCT symbol FROM order_events WHERE venue = 'okx' AND kind = 'request'")
    assert {symbol for (symbol,) in asked} == {order["symbol"] for order in day.told("orders", "okx")}
    named = rows(
        day.db, "SELECT count(*) FROM messages WHERE venue = 'okx' AND kind = 'request' AND payload LIKE '%\"instId\"%'"
    )
    assert named == [(0,)]


@pytest.mark.parametrize("venue", VENUES)
def test_every_order_stands_as_the_exchange_has_it(day: Day, venue: str) -> None:
    sql = f"""SELECT symbol, order_id, client_order_id, upper(side), order_type, time_in_force, price, quantity,
        filled_quantity, status, is_open FROM orders_all WHERE venue = '{venue}' AND order_id IS NOT NULL"""
    orders = day.told("orders", venue)
    assert len(orders) > 40
    assert {order["status"] for order in orders} >= {"FILLED", "CANCELED", "EXPIRED"}
    wanted = [wanted_order(venue, order) for order in orders]
    stored = [(*row[:6], None if row[4] == "market" else row[6], *row[7:]) for row in rows(day.db, sql)]
    assert sorted(stored, key=str) == sorted(wanted, key=str)


def wanted_order(venue: str, order: dict[str, Any]) -> tuple[object, ...]:
    """An order of the books as `orders_all` shows it. OKX and Bitfinex have no word for an order that has expired."""
    market, post_only = order["type"] == "MARKET", order["type"] == "LIMIT_MAKER"
    force = "post_only" if post_only else order["time_in_force"].lower()
    if force == "gtc" and venue != "binance-spot":
        force = None  # not said
    status = order["status"] if venue == "binance-spot" else order["status"].replace("EXPIRED", "CANCELED")
    return (
        order["symbol"], str(order["order_id"]), order["client_order_id"], order["side"], "market" if market else "limit",
        force, None if market else Decimal(order["price"]), Decimal(order["quantity"]), Decimal(order["filled"]), status,
        status in ("NEW", "PARTIALLY_FILLED"),
    )  # fmt: skip


@pytest.mark.parametrize("venue", VENUES)
def test_every_fill_is_shown_once(day: Day, venue: str) -> None:
    """With its fee, though sockets of the shared account, channels, and Bitfinex's `te` and `tu` tell it again."""
    sql = f"""SELECT symbol, trade_id, order_id, upper(side), price, quantity, fee, fee_asset, liquidity FROM fills
        WHERE venue = '{venue}'"""
    wanted = [
        (
            fill["symbol"], str(fill["trade_id"]), str(fill["order_id"]), fill["side"], Decimal(fill["price"]),
            Decimal(fill["quantity"]), Decimal(fill["fee"]), fill["fee_asset"], "maker" if fill["maker"] else "taker",
        )
        for fill in day.told("fills", venue) if fill["heard"]
    ]  # fmt: skip
    assert len(wanted) > 20
    assert sorted(rows(day.db, sql)) == sorted(wanted)


@pytest.mark.parametrize("venue", VENUES)
def test_two_sockets_of_an_account_tell_a_fill_twice_and_it_is_shown_once(day: Day, venue: str) -> None:
    sql = f"""SELECT fill.account, count(*), max(fill.sockets) FROM (
        SELECT account, symbol, trade_id, order_id, count(DISTINCT connection_id) AS sockets FROM fill_events
        WHERE venue = '{venue}' GROUP BY ALL) AS fill GROUP BY ALL"""
    stored = rows(day.db, sql)
    fills = Counter(fill["api_key"] for fill in day.told("fills", venue) if fill["heard"])
    assert sorted(count for _, count, _ in stored) == sorted(fills.values())
    assert sorted(sockets > 1 for *_, sockets in stored) == [False] * (ASSETS - 1) + [True]
    assert None not in {account for account, *_ in stored}


@pytest.mark.parametrize("venue", VENUES)
def test_refusals_have_their_reason(day: Day, venue: str) -> None:
    placed = {"binance-spot": ("order.place",), "okx": ("order", "batch-orders"), "bitfinex": ("on",)}[venue]
    wanted = {str(one["client_order_id"]): one["message"] for one in day.told("refusals", venue) if one["method"] in placed}
    sql = f"""SELECT client_order_id, symbol, reason FROM orders_all
        WHERE venue = '{venue}' AND status = 'REJECTED' AND order_id IS NULL"""
    stored = {client_id: reason for client_id, _, reason in rows(day.db, sql)}
    assert {name: stored.get(name) for name in wanted} == wanted != {}
    assert ("b2" in wanted) == (venue == "okx")
    symbols = {order["symbol"] for order in day.told("orders", venue)}
    assert {symbol for _, symbol, _ in rows(day.db, sql)} <= symbols


def test_no_secret_is_in_the_database(day: Day) -> None:
    tables = ("connections", "messages", "order_events", "fill_events", "losses", "orders_all", "fills")
    content = day.db.read_bytes() + b"".join(repr(rows(day.db, f"FROM {table}")).encode() for table in tables)
    secrets = set(day.truth["secrets"])
    assert len(secrets) > 30
    assert [secret for secret in secrets if secret.encode() in content] == []

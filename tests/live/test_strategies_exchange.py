"""Strategies and exchange over real sockets on loopback; no privilege needed."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Coroutine
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from strategies.credentials import Credentials
from strategies.dialects import DIALECTS
from strategies.exchange import Exchange
from strategies.instruments import instruments
from strategies.options import ExchangeConfig
from strategies.quoter import RandomQuoter
from strategies.run import SHARED_EVERY, Market, crew, trade
from strategies.strategy import Order
from strategies.tls import SecureUrl, client_context

T = TypeVar("T")
SEED = 11
ROOT = Path(__file__).parents[2]


def run(job: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(job, 60))


class Recording(RandomQuoter):
    """A quoter that keeps what its hooks told it."""

    fills: list[tuple[int | None, Decimal, Decimal]]
    ended: dict[str, Order]

    def on_fill(self, order: Order, quantity: Decimal, price: Decimal) -> None:
        self.fills.append((order.order_id, quantity, price))

    def on_order_update(self, order: Order) -> None:
        if not order.is_open:
            self.ended[order.client_order_id] = order


async def one_strategy(config: ExchangeConfig, seconds: float) -> tuple[Recording, dict[str, Any]]:
    async with Exchange(config) as exchange:
        credentials = Credentials.invent(random.Random(SEED))
        dialect = exchange.venue.dialect
        instrument = instruments(1, SEED, dialect.quote, dialect.symbol)[0]
        strategy = Recording(dialect.trader("s", instrument, credentials), exchange.url, 60, SEED)
        strategy.fills, strategy.ended = [], {}
        running = asyncio.create_task(strategy.run())
        book = next(iter(exchange.venue.books.values()))
        for _ in range(int(seconds * 50)):
            await asyncio.sleep(0.02)
            strategy.on_book(book.best("BUY")[0], book.best("SELL")[0])
        await exchange.halt()
        await strategy.rest()
        await asyncio.sleep(0.1)
        await strategy.close()
        await running
        return strategy, exchange.truth()


@pytest.mark.parametrize("venue", DIALECTS)
def test_what_a_strategy_holds_in_memory_is_what_happened(venue: str) -> None:
    print(f"seed {SEED}")
    strategy, truth = run(one_strategy(ExchangeConfig(venue, assets=1, seed=SEED, market_rate=20), 2))
    orders = truth["orders"]
    assert len(orders) > 50
    assert {order["status"] for order in orders} > {"FILLED", "CANCELED", "EXPIRED"}
    known = strategy.ended | strategy.orders
    for order in orders:
        mine = known[order["client_order_id"]]
        happened = (order["status"], Decimal(order["filled"]), Decimal(order["quantity"]))
        assert (mine.status, mine.filled, mine.quantity) == happened
        assert mine.order_id == order["order_id"] or mine.status == "REJECTED"
    assert sorted(strategy.fills) == sorted(
        (fill["order_id"], Decimal(fill["quantity"]), Decimal(fill["price"])) for fill in truth["fills"]
    )
    bought = sum(Decimal(fill["quantity"]) * (1 if fill["side"] == "BUY" else -1) for fill in truth["fills"])
    assert strategy.position.quantity == bought
    assert strategy.counts.rejected == len(truth["refusals"]) > 0
    assert all(0.001 <= time < 1 for time in strategy.acknowledgements)


async def a_crew(compression: str, tls: bool) -> tuple[str, dict[str, Any], list[set[tuple[str, int, int]]]]:
    config = ExchangeConfig(
        tls_port=0 if tls else None, assets=12, seed=SEED, market_rate=10, fill_probability=0.8, compression=compression
    )
    async with Exchange(config) as exchange:
        secure = None
        if exchange.tls_url and exchange.certificate:
            secure = SecureUrl(exchange.tls_url, client_context(exchange.certificate))
        market = Market(exchange.url, 12, SEED, secure=secure)
        _, watchers = crew(market, 1)
        watching = [asyncio.create_task(watcher.run()) for watcher in watchers]
        await asyncio.sleep(0.2)
        halted: list[asyncio.Task[None]] = []

        def halt() -> None:
            halted.append(asyncio.create_task(exchange.halt()))

        summary = await trade([market], 20, 1.5, asyncio.Event(), halt)
        truth = exchange.truth()
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, *halted, return_exceptions=True)
        return str(summary), truth, [watcher.fills for watcher in watchers]


@pytest.mark.parametrize(
    ("compression", "tls"), [("off", False), ("takeover", False), ("no-takeover", False), ("off", True), ("takeover", True)]
)
def test_a_crew_trades_and_its_watchers_see_the_fills(compression: str, tls: bool) -> None:
    print(f"seed {SEED}")
    summary, truth, watched = run(a_crew(compression, tls))
    assert f"{12 + len(range(0, 12, SHARED_EVERY))} strategies" in summary
    assert len(truth["orders"]) > 40  # some 200 and more, where nothing else runs
    assert all(fill["heard"] for fill in truth["fills"])
    by_account: defaultdict[str, set[tuple[str, int, int]]] = defaultdict(set)
    sides: defaultdict[tuple[str, int], int] = defaultdict(int)
    for fill in truth["fills"]:
        by_account[fill["api_key"]].add((fill["symbol"], fill["trade_id"], fill["order_id"]))
        sides[fill["symbol"], fill["trade_id"]] += 1
    assert set(map(frozenset, watched)) <= set(map(frozenset, by_account.values()))
    assert set(sides.values()) == {1, 2}  # some with the crowd, some between two strategies of one account
    assert len({(order["symbol"], order["order_id"]) for order in truth["orders"]}) == len(truth["orders"])


async def negotiated(**options: Any) -> str | None:
    async with (
        Exchange(ExchangeConfig(assets=1, **options)) as exchange,
        connect(f"{exchange.url}/ws-api/v3", proxy=None) as socket,
    ):
        await socket.send('{"id": 1, "method": "time"}')
        assert json.loads(await socket.recv())["status"] == 200
        assert socket.response is not None
        return socket.response.headers.get("Sec-WebSocket-Extensions")


def test_compression_is_negotiated_as_asked() -> None:
    assert run(negotiated()) is None
    taken = run(negotiated(compression="takeover", window_bits=10, client_window_bits=14))
    assert taken == "permessage-deflate; server_max_window_bits=10; client_max_window_bits=14"
    fresh = run(negotiated(compression="no-takeover")) or ""
    assert "server_no_context_takeover" in fresh
    assert "client_no_context_takeover" in fresh


async def paths() -> tuple[int, dict[str, Any], dict[str, Any]]:
    async with Exchange(ExchangeConfig(assets=1, seed=SEED, market_rate=50)) as exchange:
        stream = f"{next(iter(exchange.venue.books)).lower()}@bookTicker"
        async with connect(f"{exchange.url}/ws/{stream}", proxy=None) as socket:
            raw = json.loads(await socket.recv())
        async with connect(f"{exchange.url}/stream?streams={stream}", proxy=None) as socket:
            combined = json.loads(await socket.recv())
        try:
            async with connect(f"{exchange.url}/fapi", proxy=None):
                status = 101
        except InvalidStatus as refused:
            status = refused.response.status_code
        return status, raw, combined


def test_paths_are_the_venues() -> None:
    status, raw, combined = run(paths())
    assert status == 404
    assert list(raw) == list("usbBaA")
    assert list(combined) == ["stream", "data"]


def start_demo(*options: str, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "strategies.demo", "--assets", "5", "--port", "0", *options]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": ROOT}
    return subprocess.Popen(command, **pipes, start_new_session=True, env=os.environ | {"PYTHONUNBUFFERED": "1"} | environment)


def test_the_demo_runs_and_leaves_the_truth(tmp_path: Path) -> None:
    truth = tmp_path / "truth.json"
    demo = start_demo("--seconds", "2", "--rate", "5", "--truth", str(truth), "--compression")
    out, err = demo.communicate(timeout=30)
    assert (demo.returncode, err) == (0, "")
    first, strategies, exchange = out.splitlines()
    assert first.startswith("demo: binance-spot, 5 assets at ws://127.0.0.1:")
    orders = json.loads(truth.read_text())["orders"]
    assert f"binance-spot: {len(orders)} orders, " in exchange
    assert "orders placed by 6 strategies" in strategies


def test_half_of_the_demo_goes_over_tls(tmp_path: Path) -> None:
    """Three of six strategies; there is one watcher, and it is plain. Each connection's keys are written once."""
    keys = tmp_path / "keys.log"
    demo = start_demo("--seconds", "1", "--rate", "5", "--tls-port", "0", SSLKEYLOGFILE=str(keys))
    out, err = demo.communicate(timeout=30)
    assert (demo.returncode, err) == (0, "")
    assert re.match(r"demo: binance-spot, 5 assets at ws://127\.0\.0\.1:\d+ and wss://127\.0\.0\.1:\d+, ", out)
    assert keys.read_text().count("CLIENT_TRAFFIC_SECRET_0 ") == 3


@pytest.mark.parametrize("to_group", [True, False])
def test_ctrl_c_ends_the_demo_cleanly(tmp_path: Path, to_group: bool) -> None:
    truth = tmp_path / "truth.json"
    demo = start_demo("--seconds", "60", "--truth", str(truth))
    assert demo.stdout is not None
    demo.stdout.readline()
    time.sleep(1)
    (os.killpg if to_group else os.kill)(demo.pid, signal.SIGINT)
    out, err = demo.communicate(timeout=15)
    assert (demo.returncode, err) == (0, "")
    assert "orders placed" in out
    assert json.loads(truth.read_text())["dropped"] == 0

"""The demo's traffic, half of it over TLS, recorded live, against the books that its exchange kept itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.live.live_tools import LIVE, ROOT, SEED, Done, Recording, rows, sniffer_command
from tests.live.live_traffic import listen, ports

pytestmark = [*LIVE, pytest.mark.xdist_group("demo")]  # all ask one recording
EVENTS = ("messages", "order_events", "fill_events", "losses")
TABLES = ("captures", "connections", *EVENTS)


@dataclass(frozen=True)
class Day:
    """A recorded demo."""

    db: Path
    keys: Path
    truth: dict[str, Any]
    done: Done
    """Of `sniffer record`."""


@pytest.fixture(scope="module", params=["off", "takeover"])
def day(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    folder = tmp_path_factory.mktemp("demo")
    db, truth, keys = folder / "orders.duckdb", folder / "truth.json", folder / "keys.log"
    free = listen(2)
    port, tls_port = ports(free)
    for one in free:
        one.close()
    demo = ["--assets", "20", "--rate", "6", "--seconds", "2.5", "--seed", str(SEED), "--market-rate", "8"]
    demo += ["--port", str(port), "--tls-port", str(tls_port), "--compression", request.param, "--truth", str(truth)]
    environment = os.environ | {"SSLKEYLOGFILE": str(keys)}
    keys.touch(mode=0o600)
    with Recording(db, "--port", port, "--port", tls_port, "--keylog", keys) as recording:
        subprocess.run([sys.executable, "-m", "strategies.demo", *demo], check=True, timeout=60, cwd=ROOT, env=environment)
        done = recording.stop()
    assert done.code == 0, done.err
    yield Day(db, keys, json.loads(truth.read_text()), done)
    print(f"seed {SEED}")


def test_all_was_readable(day: Day) -> None:
    assert rows(day.db, "FROM losses") == []
    carried = "SELECT readable, protocol, tls_version, count(*) FROM connections GROUP BY ALL ORDER BY protocol"
    plain, secure = rows(day.db, carried)
    assert plain[:3] == (True, "ws", None)
    assert secure[:3] == (True, "wss", "TLSv1.3")
    assert min(plain[3], secure[3]) >= 10
    traders = "SELECT DISTINCT venue FROM connections WHERE connection_id IN (SELECT connection_id FROM order_events)"
    assert rows(day.db, traders) == [("binance-spot",)]
    assert rows(day.db, "SELECT kernel_drops FROM captures") == [(0,)]
    assert day.done.one_line().startswith("sniffer: recording")


def test_every_order_stands_as_the_exchange_has_it(day: Day) -> None:
    sql = """SELECT symbol, order_id, client_order_id, upper(side), upper(order_type), price, quantity, filled_quantity, status,
        is_open FROM orders WHERE order_id IS NOT NULL"""
    orders = day.truth["orders"]
    assert len(orders) > 50
    assert {order["status"] for order in orders} >= {"FILLED", "CANCELED", "EXPIRED"}
    wanted = [
        (
            order["symbol"], str(order["order_id"]), order["client_order_id"], order["side"],
            "LIMIT" if order["type"] == "LIMIT_MAKER" else order["type"],
            Decimal(order["price"]) if order["type"] != "MARKET" else None, Decimal(order["quantity"]),
            Decimal(order["filled"]), order["status"], order["status"] in ("NEW", "PARTIALLY_FILLED"),
        )
        for order in orders
    ]  # fmt: skip
    stored = [(*row[:5], row[5] if row[4] != "MARKET" else None, *row[6:]) for row in rows(day.db, sql)]
    assert sorted(stored, key=str) == sorted(wanted, key=str)


def test_every_fill_is_shown_once(day: Day) -> None:
    """Both sides of a trade between two own orders; each once, though accounts with two sockets saw theirs twice."""
    sql = """SELECT symbol, trade_id, order_id, upper(side), price, quantity, fee, fee_asset, liquidity FROM fills"""
    wanted = [
        (
            fill["symbol"], str(fill["trade_id"]), str(fill["order_id"]), fill["side"], Decimal(fill["price"]),
            Decimal(fill["quantity"]), Decimal(fill["fee"]), fill["fee_asset"], "maker" if fill["maker"] else "taker",
        )
        for fill in day.truth["fills"] if fill["heard"]
    ]  # fmt: skip
    assert len(wanted) > 20
    assert sorted(rows(day.db, sql)) == sorted(wanted)
    assert len({fill[:2] for fill in wanted}) < len(wanted), "none traded with another of ours"
    assert rows(day.db, "SELECT count(*) FROM fills WHERE observations > 1")[0][0] > 0


def test_refusals_have_their_reason(day: Day) -> None:
    """Refused orders; those of a cancel-and-replace that was refused as a whole were never tried, and have none."""
    refusals: dict[str, dict[str, str]] = {method: {} for method in ("order.place", "order.cancelReplace")}
    for one in day.truth["refusals"]:
        refusals.setdefault(one["method"], {})[one["client_order_id"]] = one["message"]
    stored = dict(rows(day.db, "SELECT client_order_id, reason FROM orders WHERE status = 'REJECTED' AND order_id IS NULL"))
    placed = refusals["order.place"]
    assert {name: stored.pop(name, None) for name in placed} == placed != {}
    assert stored.keys() <= refusals["order.cancelReplace"].keys()


def test_accounts_are_told_apart(day: Day) -> None:
    accounts = defaultdict(set)
    for order_id, symbol, account in rows(day.db, "SELECT order_id, symbol, account FROM orders WHERE order_id IS NOT NULL"):
        accounts[account].add((order_id, symbol))
    keys = defaultdict(set)
    for order in day.truth["orders"]:
        keys[order["api_key"]].add((str(order["order_id"]), order["symbol"]))
    assert None not in accounts
    assert sorted(map(sorted, accounts.values())) == sorted(map(sorted, keys.values()))


def test_acknowledgements_took_what_the_exchange_takes(day: Day) -> None:
    """Between its shortest latency and what a busy machine adds."""
    ((count, shortest, longest),) = rows(
        day.db,
        """SELECT count(*), min(took), max(took) FROM
        (SELECT (epoch_ns(acknowledged_at) - epoch_ns(requested_at)) / 1e6 AS took FROM orders) WHERE took IS NOT NULL""",
    )
    assert count > len(day.truth["orders"]) * 0.9
    assert 1 <= shortest < longest < 10_000


def test_no_secret_is_left(day: Day) -> None:
    """In no file but the journal of plain traffic, and in no row."""
    secrets = set(day.truth["secrets"])
    assert len(secrets) > 100
    journal = Path(f"{day.db}.journal")
    wire = b"".join(path.read_bytes() for path in journal.iterdir())
    assert any(secret.encode() in wire for secret in secrets)  # in the path of a listen key's socket, if nowhere else
    files = [path for path in day.db.parent.rglob("*") if path.is_file() and journal not in path.parents]
    contents = {path.name: path.read_bytes() for path in files if path not in (day.keys, day.db.with_name("truth.json"))}
    assert {"orders.duckdb", "orders.duckdb.stdout", "orders.duckdb.stderr"} <= contents.keys()
    contents |= {table: repr(rows(day.db, f"FROM {table}")).encode() for table in (*TABLES, "orders", "fills")}
    tls = {line.split()[2] for line in day.keys.read_text().splitlines() if not line.startswith("#")}
    assert len(tls) > 40
    for name, content in contents.items():
        assert [secret for secret in secrets | tls if secret.encode() in content] == [], name
    everything = wire + b"".join(contents.values())
    assert [secret for secret in tls if secret.encode() in wire or bytes.fromhex(secret) in everything] == []


def test_the_journal_replays_to_the_same_rows(day: Day, tmp_path: Path) -> None:
    again = tmp_path / "again.duckdb"
    journal = sorted(Path(f"{day.db}.journal").iterdir())
    assert sniffer_command("replay", *journal, "--keylog", day.keys, "--db", again).code == 0
    key = "client_ip, client_port, server_ip, server_port, opened_at"
    for table in EVENTS:
        sql = f"SELECT {key}, * EXCLUDE (connection_id) FROM {table} JOIN (SELECT connection_id, {key} FROM connections)"
        sql += " USING (connection_id) ORDER BY ALL"
        assert rows(again, sql) == rows(day.db, sql), table
    for view in ("orders", "fills"):
        columns = "* EXCLUDE (connection_id)" if view == "fills" else "*"
        assert rows(again, f"SELECT {columns} FROM {view} ORDER BY ALL") == rows(
            day.db, f"SELECT {columns} FROM {view} ORDER BY ALL"
        )

"""Whose order: which process has a connection, and which strategy that is, in a recording, after a restart, and in a replay."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from websockets.sync.server import Server, ServerConnection, serve

from tests.live.live_tools import LIVE, ROOT_ONLY, Recording, rows, sniffer_command, wait_for

pytestmark = LIVE

BOT = """
import sys
from websockets.sync.client import connect
with connect("ws://127.0.0.1:" + sys.argv[1] + "/ws-api/v3", compression=None, ping_interval=None) as exchange:
    print("connected", flush=True)
    for line in sys.stdin:
        exchange.send(line)
        print(exchange.recv(), flush=True)
"""
"""A strategy: what it reads goes to the exchange."""
WHOSE = "SELECT client_order_id, strategy FROM {} ORDER BY ALL"
CONNECTIONS = "SELECT pid, process, strategy FROM connections ORDER BY ALL"


@pytest.fixture
def exchange() -> Iterator[Server]:
    """It fills each order at once."""

    def answer(client: ServerConnection) -> None:
        for text in client:
            asked = json.loads(text)
            params = asked["params"]
            fill = {"price": params["price"], "qty": params["quantity"], "commission": "0", "commissionAsset": "USDC"}
            state = {"orderId": asked["id"], "clientOrderId": params["newClientOrderId"], "status": "FILLED"}
            amounts = {"origQty": params["quantity"], "executedQty": params["quantity"], "transactTime": 1_780_000_000_000}
            order = params | state | amounts | {"fills": [fill | {"tradeId": asked["id"]}]}
            client.send(json.dumps({"id": asked["id"], "status": 200, "result": order}))

    # no pings: one that falls between two recordings is a hole in the stream
    with serve(answer, "127.0.0.1", 0, ping_interval=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class Bot(NamedTuple):
    """A strategy that runs."""

    process: subprocess.Popen[str]

    def order(self, number: int) -> None:
        """Has it place one, and waits for the answer."""
        params = {"symbol": "ADAUSDC", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": "0.5", "quantity": "3"}
        self._say({"id": number, "method": "order.place", "params": params | {"newClientOrderId": f"order-{number}"}})

    def _say(self, message: Any) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()
        assert "FILLED" in self.process.stdout.readline()


@contextmanager
def bot(folder: Path, script: str, port: int, user: int | None = None, **variables: str) -> Iterator[Bot]:
    path = folder / script
    path.write_text(BOT)
    environment = {name: value for name, value in os.environ.items() if name != "SNIFFER_STRATEGY"} | variables
    process = subprocess.Popen(
        [sys.executable, str(path), str(port)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, user=user,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "connected\n"
        yield Bot(process)
    finally:
        process.communicate(timeout=10)


def port_of(exchange: Server) -> int:
    return int(exchange.socket.getsockname()[1])


def named(db: Path, count: int) -> bool:
    return [strategy is not None for (strategy,) in rows(db, "SELECT strategy FROM connections")] == [True] * count


def test_two_strategies_and_a_restart(tmp_path: Path, exchange: Server) -> None:
    """One is named by its variable, one by its script; one runs before the recording, which is restarted meanwhile."""
    db, port = tmp_path / "orders.duckdb", port_of(exchange)
    options = ["--port", port, "--publish-interval", "0.1"]
    with ExitStack() as stack:
        grid = stack.enter_context(bot(tmp_path, "a.py", port, SNIFFER_STRATEGY="grid"))
        with Recording(db, *options) as recording:
            for number in (1, 2, 3):  # a connection that is joined in its middle is read on after three frames
                grid.order(number)
            maker = stack.enter_context(bot(tmp_path, "maker.py", port))
            maker.order(4)
            wait_for(lambda: named(db, 2), "the owners")
            pids = [(grid.process.pid, "python", "grid"), (maker.process.pid, "python", "maker.py")]
            assert [(pid, process[:6], strategy) for pid, process, strategy in rows(db, CONNECTIONS)] == sorted(pids)
            expected = [*((f"order-{number}", "grid") for number in (1, 2, 3)), ("order-4", "maker.py")]
            wait_for(lambda: len(rows(db, WHOSE.format("fills"))) == 4, "four fills")
            assert rows(db, WHOSE.format("orders")) == rows(db, WHOSE.format("fills")) == expected
            os.kill(recording.children()["load"], 9)
            os.kill(recording.children()["owners"], 9)
            maker.order(5)
            expected.append(("order-5", "maker.py"))
            wait_for(lambda: rows(db, WHOSE.format("fills")) == expected, "the fifth order")
            assert recording.stop().code == 0
        with Recording(db, *options) as recording:
            grid.order(6)
            expected.append(("order-6", "grid"))
            wait_for(lambda: rows(db, WHOSE.format("orders")) == expected, "the sixth order")
            assert recording.stop().code == 0
    assert rows(db, WHOSE.format("orders_all")) == rows(db, WHOSE.format("fills")) == expected
    again = tmp_path / "again.duckdb"
    segments = sorted(Path(f"{db}.journal").glob("*.pcapng"))
    assert sniffer_command("replay", *segments, "--db", again).code == 0
    assert rows(again, WHOSE.format("fills")) == expected
    assert [row[1:] for row in rows(again, CONNECTIONS)] == [row[1:] for row in rows(db, CONNECTIONS)]


@ROOT_ONLY
def test_a_strategy_of_another_user(tmp_path_factory: pytest.TempPathFactory, exchange: Server) -> None:
    folder = tmp_path_factory.mktemp("strategy")
    db, port = folder / "orders.duckdb", port_of(exchange)
    with Recording(db, "--port", port, "--publish-interval", "0.1") as recording:
        status = Path(f"/proc/{recording.children()['owners']}/status").read_text()
        assert f"CapEff:\t{1 << 2 | 1 << 19:016x}\n" in status  # CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE
        # Python's own files may be root's alone; and who changes its user may be looked at by root alone, until it says so.
        become = "    import ctypes, os; os.setuid(65534); ctypes.CDLL(None).prctl(4, 1)\n"
        script = BOT.replace("    print", become + "    print", 1)
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(port)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | {"SNIFFER_STRATEGY": "other"},
        )  # fmt: skip
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == "connected\n"
            Bot(process).order(1)
            wait_for(lambda: named(db, 1), "the owner")
            assert [(pid, strategy) for pid, _, strategy in rows(db, CONNECTIONS)] == [(process.pid, "other")]
            assert process.stdin is not None
            process.stdin.close()
        assert recording.stop().code == 0

"""Every capture of `pcaps/` through all layers into a database, and orders against what their messages say."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pcaps.websocket.orders import API_KEY, LISTEN_KEY
from sniffer.capture.merge import merge
from sniffer.capture.pcapfile import open_capture
from sniffer.config import Settings
from sniffer.errors import CaptureError
from sniffer.keys import Keys
from sniffer.replay import replay_files
from sniffer.store.store import Store
from tests.command_line import PCAPS
from tests.loading import TABLES, load

pytestmark = pytest.mark.usefixtures("settings_folder")


def fingerprint(message: dict[str, Any]) -> tuple[str, str, str]:
    """(sender, opcode, digest of the payload) of a message of a truth."""
    payload = message["text"].encode() if "text" in message else base64.b64decode(message.get("base64", ""))
    return message["sender"], message["opcode"], message.get("sha256") or hashlib.sha256(payload).hexdigest()


def test_every_capture_goes_into_one_database(tmp_path: Path) -> None:
    """Each message of the truth is a row, byte for byte, and no other: the layers, the examiner and the store together."""

    class Quiet(Store):
        """Publishing three hundred times is what other tests are for."""

        def publish(self) -> None:
            pass

    known: list[dict[str, Any]] = []
    store = Quiet(tmp_path / "all.duckdb")
    for path in sorted(PCAPS.glob("*/*.json")):
        truth = json.loads(path.read_text())
        files = [str(path.parent / name) for name in truth["files"]]
        try:
            summary = load(
                store, merge([open_capture(file) for file in files]), keys=Keys(Settings(), pytest.fail, follow=False)
            )  # captures of TLS bring theirs
        except CaptureError:
            assert truth["damage"] is not None, path.name
            continue
        assert bool(summary.damage) == (truth["damage"] is not None), path.name
        if not truth.get("other_connections"):
            known.append(truth | {"capture_id": summary.capture_id, "path": path})
    Store.publish(store)
    store.close()
    with duckdb.connect(str(tmp_path / "all.duckdb"), read_only=True) as db:
        found: dict[str, Counter[tuple[str, str, str]]] = {}
        sql = (
            "SELECT capture_id, sender, opcode, sha256(coalesce(encode(payload), payload_blob)) "
            "FROM messages JOIN connections USING (connection_id) WHERE opcode <> 'http'"
        )
        for capture_id, *message in db.execute(sql).fetchall():
            found.setdefault(capture_id, Counter())[tuple(message)] += 1
    loaded = Counter(truth["capture_id"] for truth in known)
    compared = 0
    for truth in known:
        if truth["path"].stem.startswith("binance-orders") or loaded[truth["capture_id"]] > 1:
            continue  # without its secrets; one of those that begin alike, and were taken for one
        messages = [message for one in truth["connections"] for message in one["messages"]]
        required = Counter(fingerprint(message) for message in messages if not message.get("optional"))
        stored = found.get(truth["capture_id"], Counter())
        assert required <= stored <= Counter(map(fingerprint, messages)), truth["path"].name
        compared += bool(stored)
    assert compared > 180


@pytest.mark.parametrize("name", ["hostile", "formats"])
def test_captures_as_replay_takes_them(name: str, tmp_path: Path) -> None:
    """A database each for some of them, through the call of the command line."""
    for path in sorted((PCAPS / name).glob("*.json"))[::6]:
        truth = json.loads(path.read_text())
        db = tmp_path / f"{path.stem}.duckdb"
        try:
            summary = replay_files([str(path.parent / file) for file in truth["files"]], Settings(db=db), replace=False)
        except CaptureError:
            assert truth["damage"] is not None, path.name
            assert not db.exists()
            continue
        assert bool(summary.damage) == (truth["damage"] is not None), path.name
        with duckdb.connect(str(db), read_only=True) as connection:
            ((packets,),) = connection.execute("SELECT packets FROM captures").fetchall()
        assert truth["packets"] in (None, packets), path.name


# --- orders, against what the messages say ---------------------------------------------------------------------------------


def truth_of(name: str) -> list[tuple[str, Any]]:
    """(sender, parsed message) of a capture of `pcaps/websocket`."""
    truth = json.loads((PCAPS / "websocket" / f"{name}.json").read_text())
    return [
        (message["sender"], json.loads(message["text"]))
        for one in truth["connections"]
        for message in one["messages"]
        if message["opcode"] == "text"
    ]


def reports(name: str) -> list[dict[str, Any]]:
    """The execution reports, out of their envelopes."""
    events = [message.get("data", message.get("event", message)) for sender, message in truth_of(name) if sender == "server"]
    return [event for event in events if isinstance(event, dict) and event.get("e") == "executionReport"]


@pytest.mark.parametrize("name", ["binance-orders", "binance-orders-compressed"])
@pytest.mark.parametrize("keep", ["orders", "all"])
def test_orders_are_what_the_messages_say_and_no_secret_is_in_any_file(name: str, keep: str, tmp_path: Path) -> None:
    db = tmp_path / "data" / "orders.duckdb"
    db.parent.mkdir()
    summary = replay_files([str(PCAPS / "websocket" / f"{name}.pcap")], Settings(db=db, keep=keep), replace=False)
    assert not summary.losses
    with duckdb.connect(str(db), read_only=True) as connection:
        updates = connection.execute(
            "SELECT order_id, client_order_id, symbol, side, status, price, stop_price, quantity, filled_quantity "
            "FROM order_events WHERE kind = 'update'"
        ).fetchall()
        fills = connection.execute(
            "SELECT order_id, trade_id, price, quantity, fee, fee_asset, liquidity FROM fill_events WHERE trade_id <> '503'"
        ).fetchall()
        asked = connection.execute(
            "SELECT request_id, action, client_order_id, side, price, quantity FROM order_events WHERE kind = 'request'"
        ).fetchall()
        refused = connection.execute(
            "SELECT request_id, action, client_order_id, status_raw, reason FROM order_events "
            "WHERE kind = 'response' AND reason IS NOT NULL"
        ).fetchall()
        answered = connection.execute(
            "SELECT trade_id, price, quantity, fee FROM fill_events WHERE trade_id = '503'"
        ).fetchall()
        everything = "\n".join(
            str(connection.execute(f"FROM {table}").fetchall()) for table in (*TABLES, "connections", "orders")
        )

    def number(text: str) -> Decimal:
        return Decimal(text)

    assert Counter(updates) == Counter(
        (
            str(event["i"]), event["C"] or event["c"], event["s"], event["S"].lower(), event["X"],
            number(event["p"]), number(event["P"]), number(event["q"]), number(event["z"]),
        )
        for event in reports(name)
    )  # fmt: skip
    assert Counter(fills) == Counter(
        (
            str(event["i"]), str(event["t"]), number(event["L"]), number(event["l"]), number(event["n"]), event["N"],
            "maker" if event["m"] else "taker",
        )
        for event in reports(name)
        if event["x"] == "TRADE"
    )  # fmt: skip
    placed = {
        message["id"]: message["params"]
        for _, message in truth_of(name)
        if isinstance(message, dict) and message.get("method") == "order.place"
    }
    assert sorted(row for row in asked if row[0] in placed) == sorted(
        (
            request_id, "place", params["newClientOrderId"], params["side"].lower(),
            number(params["price"]), number(params["quantity"]),
        )
        for request_id, params in placed.items()
    )  # fmt: skip
    assert [row[:2] for row in answered] == [("503", Decimal("7.25"))]
    errors = {
        message["id"]: message["error"] for _, message in truth_of(name) if isinstance(message, dict) and "error" in message
    }
    assert {row[0]: (int(row[3]), row[4]) for row in refused} == {
        request_id: (error["code"], error["msg"]) for request_id, error in errors.items()
    }
    secrets = [API_KEY, LISTEN_KEY, "00" * 32]
    assert "[redacted]" in everything
    for secret in secrets:
        assert secret not in everything
        for file in (path for path in db.parent.rglob("*") if path.is_file()):
            assert secret.encode() not in file.read_bytes(), file
    assert not re.search("session.logon|authorizedSince", everything)

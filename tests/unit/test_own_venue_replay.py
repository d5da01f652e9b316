"""A venue of the settings from the wire to the tables: the plain-text protocol of docs/own-venue.md, over a websocket."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import sniffer
from sniffer import exchanges
from sniffer.config import Settings
from sniffer.pipeline import Pipeline
from sniffer.store.store import Store
from tests.command_line import run
from tests.frames import frame, request, response
from tests.loading import NEVER, Source
from tests.packets import SERVER, Flow

DOCS = Path(__file__).parents[2] / "docs" / "own-venue.md"
TOY = re.findall(r"^```toml\n(.*?)^```$", DOCS.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)[0]
MASK = b"\x01\x02\x03\x04"


@pytest.fixture(autouse=True)
def _known_venues_again() -> Iterator[None]:
    yield
    exchanges.use(())


def conversation() -> Flow:
    """Three orders, of which the simulator takes two; and a word of its own."""
    flow = Flow(server=(SERVER[0], 9001))
    flow.open()
    flow.data("client", request())
    flow.data("server", response())
    for text in (b"1:42", b"2:7", b"1:43"):
        flow.data("client", frame(1, text, mask=MASK))
    for text in (b"1:42", b"busy", b"2:7"):
        flow.data("server", frame(1, text))
    flow.close()
    return flow


def test_from_the_wire_to_the_tables(tmp_path: Path) -> None:
    db = tmp_path / "orders.duckdb"
    settings = Settings(keep="orders", venues=tomllib.loads(TOY)["venues"])
    with Store(db) as store:
        summary = Pipeline(store, settings, publish_interval=NEVER).run(Source(conversation().packets()))
    assert summary.order_events == 5
    with sniffer.connect(db) as connection:
        orders = connection.execute("SELECT venue, symbol, order_id, status, is_open FROM orders ORDER BY order_id").fetchall()
        messages = connection.execute("SELECT kind, payload FROM messages ORDER BY captured_at, position").fetchall()
        venue = connection.execute("SELECT venue, venue_guessed, unexamined FROM connections").fetchall()
    assert orders == [("toy", "1", "42", "NEW", True), ("toy", "1", "43", "PENDING_NEW", True), ("toy", "2", "7", "NEW", True)]
    assert messages == [("request", "1:42"), ("request", "2:7"), ("request", "1:43"), ("response", "1:42"), ("response", "2:7")]
    assert venue == [("toy", False, 0)]


def test_decode_knows_it(tmp_path: Path) -> None:
    settings, message = tmp_path / "sniffer.toml", tmp_path / "message"
    settings.write_text(TOY, encoding="utf-8")
    message.write_text("1:42", encoding="utf-8")
    result = run("decode", "--venue", "toy", "--sender", "client", "--config", settings, message)
    (row,) = map(json.loads, result.out.splitlines())
    assert (row["table"], row["venue"], row["order_id"], row["symbol"], row["action"]) == (
        "order_events",
        "toy",
        "42",
        "1",
        "place",
    )


@pytest.mark.parametrize("command", [("decode", "--venue", "toy"), ("replay", "none.pcap"), ("record", "-i", "lo")])
def test_a_mistake_ends_the_command(tmp_path: Path, command: tuple[str, ...]) -> None:
    settings = tmp_path / "sniffer.toml"
    settings.write_text(TOY.replace('"place"', '"plaice"', 1), encoding="utf-8")
    (tmp_path / "none.pcap").write_bytes(b"")
    result = run(*command, "--config", settings)
    assert result.code == 2
    assert "venues.toy.messages, number 1: action is 'plaice'" in result.error

"""Which venue a connection is, and what its search lets through."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sniffer.errors import UsageError
from sniffer.exchanges import VENUES, by_name, guess_venue, venue_of
from sniffer.exchanges.base import ConnectionFacts
from sniffer.exchanges.binance_spot import VENUE
from sniffer.model import OPCODE_BINARY, OPCODE_HTTP, OPCODE_PING, OPCODE_TEXT, Message
from tests.unit.exchanges.binance_messages import answer, ask, canceled, full, message, order, place, refusal, report, trade

DOCS = Path(__file__).parents[3] / "docs" / "venues.md"


@pytest.mark.parametrize(
    ("host", "path", "port"),
    [
        ("ws-api.binance.com", "/ws-api/v3", 443),
        ("stream.binance.com", "/stream?streams=adausdc@trade", 9443),
        ("STREAM.binance.com.", "/ws/x", 9443),
        ("stream.binance.us", None, None),
        ("ws-api.testnet.binance.vision", None, 443),
        ("demo-ws-api.binance.com", None, None),
        ("api3.binance.com", "/api/v3/order", 443),
        ("127.0.0.1", "/ws-api/v3?returnRateLimits=false", 8080),
        (None, "/ws-api/v3/", None),
    ],
)
def test_recognised_by_its_handshake(host: str | None, path: str | None, port: int | None) -> None:
    assert venue_of(host, path, port) is VENUE


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("fstream.binance.com", "/ws/x"), ("ws-fapi.binance.com", "/ws-fapi/v1"), ("ws.okx.com", "/ws/v5/private"),
        ("stream.binance.com.evil.example", "/ws/x"), ("localhost", "/ws/x"), ("localhost", "/"), (None, None),
    ],
)  # fmt: skip
def test_not_recognised(host: str | None, path: str | None) -> None:
    assert venue_of(host, path, 443) is not VENUE


def test_guessed_by_order_messages_only() -> None:
    for sender, payload in (
        ("server", report()), ("server", {"stream": "k", "data": trade()}), ("server", answer(order())),
        ("client", place(type="LIMIT_MAKER")),
        ("client", ask("order.cancelReplace")), ("client", ask("v3/orderList.place.oco")),
    ):  # fmt: skip
        assert guess_venue(sender, json.dumps(payload).encode()) is VENUE  # type: ignore[arg-type]
    for sender, payload in (
        ("server", {"e": "trade", "s": "ADAUSDC", "p": "0.7", "q": "5", "t": 1, "m": True}), ("client", ask("session.logon")),
        ("server", {"e": "ORDER_TRADE_UPDATE", "o": {"x": "NEW", "X": "NEW"}}), ("client", place(positionSide="LONG")),
        ("server", {"topic": "order", "data": [{"orderId": "1"}]}), ("client", {"op": "order.create", "args": []}),
        ("client", place()), ("client", ask("order.cancel", orderId=1)), ("client", ask("order.modify", orderId=1)),
        ("client", {"method": "SUBSCRIBE", "params": ["executionReport"]}), ("server", {"result": None, "id": 1}),
        ("server", answer(order(positionSide="BOTH", reduceOnly=False))),
    ):  # fmt: skip
        assert guess_venue(sender, json.dumps(payload).encode()) is not VENUE  # type: ignore[arg-type]


def test_names() -> None:
    assert [by_name(venue.name) for venue in VENUES] == list(VENUES)
    with pytest.raises(UsageError, match="known are binance-spot"):
        by_name("binance")


def test_every_venue_is_documented() -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert [venue.name for venue in VENUES if f"`{venue.name}`" not in text] == []


KEPT: list[Any] = [
    report(), trade(), {"stream": "x", "data": report()}, {"subscriptionId": 1, "event": report()}, answer(order()),
    answer([canceled()]), answer(full()), refusal(-2010, "no"), answer({"subscriptionId": 0}), answer({"listenKey": "x"}),
    answer({"apiKey": "x", "authorizedSince": 1}), {"e": "listStatus", "E": 1},
    answer([{"symbol": "A", "id": 1, "orderId": 2, "isBuyer": True}]),
]  # fmt: skip
DROPPED: list[Any] = [
    {"e": "depthUpdate", "E": 1, "s": "XRPUSDC", "U": 1, "u": 2, "b": [["0.5", "1"]], "a": []},
    {"stream": "adausdc@trade", "data": {"e": "trade", "s": "ADAUSDC", "p": "0.7", "q": "5", "t": 1, "m": True}},
    {"e": "outboundAccountPosition", "E": 1, "u": 1, "B": []}, {"result": None, "id": 1},
    {"lastUpdateId": 1, "bids": [], "asks": []},
]  # fmt: skip


@pytest.mark.parametrize(
    "dumps", [lambda m: json.dumps(m, separators=(",", ":")), json.dumps, lambda m: json.dumps(m, indent=3)]
)
def test_the_search_keeps_orders_and_drops_market_data(dumps: Any) -> None:
    wanted = VENUE.decoder(ConnectionFacts()).wanted("server", OPCODE_TEXT)
    assert [kept for kept in KEPT if not wanted(dumps(kept).encode())] == []
    assert [dropped for dropped in DROPPED if wanted(dumps(dropped).encode())] == []


def test_what_the_search_drops_has_no_meaning() -> None:
    one = VENUE.decoder(ConnectionFacts())
    assert [one.decode(message("server", dropped)) for dropped in DROPPED] == [None] * len(DROPPED)


def test_all_that_a_client_says_is_wanted_and_control_frames_never() -> None:
    one = VENUE.decoder(ConnectionFacts())
    assert one.wanted("client", OPCODE_TEXT)(b"")
    assert one.wanted("server", OPCODE_HTTP)(b"")
    assert not one.wanted("server", OPCODE_PING)(b"executionReport")


def test_sbe_is_recognised() -> None:
    frame = b"\x7b\x00\x32\x00\x03\x00\x01\x00" + bytes(range(256))
    sent = Message(1, "server", 0, 0, 0, OPCODE_BINARY, frame)
    api = VENUE.decoder(ConnectionFacts(host="ws-api.binance.com", path="/ws-api/v3?responseFormat=sbe&sbeSchemaId=3"))
    for _ in range(2):  # each may be an order
        decoded = api.decode(sent)
        assert decoded is not None
        assert (decoded.orders, (decoded.problem or "")[:4]) == ([], "SBE:")
    market = VENUE.decoder(ConnectionFacts(host="stream-sbe.binance.com"))
    assert [decoded and decoded.kind for decoded in (market.decode(sent), market.decode(sent))] == ["other", None]


def test_json_in_a_binary_frame_is_read() -> None:
    payload = json.dumps(report(), separators=(",", ":")).encode()
    decoded = VENUE.decoder(ConnectionFacts()).decode(Message(1, "server", 0, 0, 0, OPCODE_BINARY, payload))
    assert decoded is not None
    assert len(decoded.orders) == 1

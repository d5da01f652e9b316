"""Messages on hosts that tell nothing: of each venue's fixtures, and of exchanges that no module knows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sniffer.exchanges import VENUES, guess_venue
from sniffer.model import OPCODE_HTTP, OPCODE_TEXT, Batch, Sender
from tests.property.test_venues_property import MODULES, raw, registered
from tests.unit.exchanges.binance_messages import ask, place
from tests.unit.test_examine import connection, examiner

SPACED = [(",", ":"), (", ", ": "), (" ,\n", " :\t")]


def said() -> list[tuple[str, Sender, bytes]]:
    return [
        (venue, sender, raw(payload, separators))
        for module in MODULES
        for venue, sender, payload, call in registered(module)[0]
        if call is None
        for separators in SPACED
    ]


def test_a_message_is_of_its_venue_or_of_none_and_never_of_two() -> None:
    for venue, sender, payload in said():
        claims = [one.name for one in VENUES if one.looks_like(sender, payload)]
        assert claims in ([], [venue]), payload


def test_each_venue_is_recognised_by_what_its_server_says() -> None:
    found = {venue for venue, sender, payload in said() if sender == "server" and guess_venue(sender, payload) is not None}
    assert found == {venue.name for venue in VENUES}


def test_requests_that_two_venues_write_alike_are_of_none() -> None:
    for request in (place(), place(type="MARKET"), ask("order.cancel", symbol="A", orderId=1), ask("order.status", orderId=1)):
        assert guess_venue("client", json.dumps(request).encode()) is None
    coin_m = ask("order.place", symbol="BTCUSD_PERP", side="BUY", type="MARKET", quantity="1", positionSide="LONG")
    assert guess_venue("client", json.dumps(coin_m).encode()).name == "binance-coinm"  # type: ignore[union-attr]
    quarterly = ask("order.place", symbol="BTCUSDT_260327", side="BUY", type="MARKET", quantity="1", positionSide="LONG")
    assert guess_venue("client", json.dumps(quarterly).encode()).name == "binance-usdm"  # type: ignore[union-attr]


OTHERS: list[tuple[Sender, Any]] = [
    # Bitget, www.bitget.com/api-doc and its first version: its envelope is like OKX's
    ("client", {"op": "login", "args": [{"apiKey": "k", "passphrase": "p", "timestamp": "1", "sign": "s"}]}),
    ("client", {"op": "subscribe", "args": [{"instType": "SPOT", "channel": "orders", "instId": "default"}]}),
    ("client", {"op": "trade", "args": [{"channel": "place-order", "instId": "A", "params": {"side": "buy"}}]}),
    (
        "server",
        {
            "action": "snapshot", "arg": {"instType": "SPOT", "channel": "orders", "instId": "default"}, "ts": 1,
            "data": [{"instId": "A", "orderId": "1", "clientOid": "c", "size": "8", "price": "0.5", "status": "live"}],
        },
    ),
    (
        "server",
        {
            "action": "snapshot", "arg": {"instType": "spbl", "channel": "orders", "instId": "default"},
            "data": [{"instId": "A", "ordId": "1", "clOrdId": "c", "px": "0.5", "ordType": "limit", "status": "new"}],
        },
    ),
    ("server", {"action": "update", "arg": {"channel": "trade", "instId": "A"}, "data": [{"price": "1", "size": "2"}]}),
    # MEXC, www.mexc.com/api-docs: spot and contracts
    ("client", {"method": "SUBSCRIPTION", "params": ["spot@private.orders.v3.api"]}),
    ("server", {"c": "spot@private.orders.v3.api", "d": {"A": 8.0, "S": 1, "c": "", "i": "e0"}, "s": "A", "t": 1}),
    ("server", {"channel": "push.personal.order", "data": {"orderId": "1", "side": 1, "state": 2}, "ts": 1}),
    ("server", {"channel": "push.personal.order.deal", "data": {"id": "1", "orderId": "1", "vol": 1}, "ts": 1}),
    # Crypto.com, exchange-docs.crypto.com: channels are named like Deribit's
    ("client", {"id": 1, "method": "private/create-order", "params": {"instrument_name": "A_USD", "side": "BUY"}}),
    (
        "server",
        {
            "id": -1, "method": "subscribe", "code": 0,
            "result": {
                "instrument_name": "A_USD", "subscription": "user.order.A_USD", "channel": "user.order",
                "data": [{"status": "ACTIVE", "side": "BUY", "order_id": "1", "limit_price": "1", "quantity": "2"}],
            },
        },
    ),
    # Phemex, phemex-docs.github.io
    ("server", {"orders": [{"clOrdID": "c", "orderID": "o", "symbol": "uBTCUSD", "ordStatus": "New"}], "sequence": 1}),
    # Gemini, docs.gemini.com
    ("server", [{"type": "accepted", "order_id": "1", "symbol": "adausd", "order_type": "exchange limit", "price": "1"}]),
    # a plain-text protocol, and what is no message
    ("server", "1:42"), ("client", "ping"), ("server", ""), ("server", "{"), ("server", "[0,\"te\"]"),
]  # fmt: skip
MARKET_DATA: list[Any] = [
    {"e": "depthUpdate", "E": 1, "s": "ADAUSDT", "U": 1, "u": 2, "b": [["0.5", "1"]], "a": []},
    {"e": "trade", "E": 1, "s": "ADAUSDT", "t": 1, "p": "0.5", "q": "1", "T": 1, "m": True},
    {"topic": "publicTrade.ADAUSDT", "type": "snapshot", "data": [{"i": "1", "T": 1, "p": "0.5", "v": "1", "S": "Buy"}]},
    {"arg": {"channel": "trades", "instId": "A-USDT"}, "data": [{"tradeId": "1", "px": "1", "sz": "1", "side": "buy"}]},
    [17, "te", [401, 1, -2.5, 0.7]], [17, [[401, 1, -2.5, 0.7]]],
    {"table": "trade", "action": "insert", "data": [{"symbol": "XBTUSD", "side": "Buy", "size": 1, "trdMatchID": "m"}]},
    {"channel": "trades", "data": [{"coin": "SOL", "side": "B", "px": "1", "sz": "1", "time": 1, "hash": "0x", "tid": 1}]},
    {"type": "match", "trade_id": 1, "maker_order_id": "a", "taker_order_id": "b", "side": "sell", "size": "1", "price": "1",
     "product_id": "ADA-EUR", "time": "2025-03-04T05:06:07.123456Z"},
    {"channel": "market_trades", "events": [{"type": "update", "trades": [{"trade_id": "1", "price": "1", "side": "BUY"}]}]},
    {"channel": "trade", "type": "update", "data": [{"symbol": "ADA/EUR", "side": "buy", "price": 1.0, "trade_id": 1}]},
    {"feed": "trade", "product_id": "PF_ADAUSD", "side": "buy", "type": "fill", "qty": 1, "price": 1, "seq": 1},
    {"jsonrpc": "2.0", "method": "subscription", "params": {"channel": "trades.ETH.raw", "data": [{"trade_id": "1"}]}},
    {"type": "message", "topic": "/market/match:SOL-USDT", "data": {"makerOrderId": "a", "takerOrderId": "b", "tradeId": "1"}},
    {"channel": "spot.trades", "event": "update", "result": {"id": 1, "side": "sell", "price": "1", "amount": "1"}},
    {"ch": "market.adausdt.trade.detail", "tick": {"data": [{"tradeId": 1, "price": 1, "amount": 1, "direction": "buy"}]}},
    {"table": "spot/trade", "data": [{"symbol": "SOL_USDT", "price": "1", "side": "buy", "size": "1"}]},
]  # fmt: skip


@pytest.mark.parametrize("keep_all", [False, True])
def test_what_no_venue_writes_is_counted_and_never_a_row(keep_all: bool) -> None:
    batch, unknown, examined = Batch(), connection("exchange.example"), examiner(keep_all=keep_all)
    messages: list[tuple[Sender, Any]] = [*OTHERS, *(("server", data) for data in MARKET_DATA)]
    for position, (sender, value) in enumerate(messages):
        assert guess_venue(sender, raw(value)) is None, value
        opcode = OPCODE_TEXT if position % 7 else OPCODE_HTTP
        examined.examine([(unknown, [(sender, [(position, 5, 7, opcode, raw(value), None)])])], batch)
    assert (batch.order_events, batch.fill_events, batch.losses) == ([], [], [])
    assert bool(batch.messages) == keep_all
    assert examined.facts(unknown)[::4] == (None, len(messages))

"""Deribit: each message of its documentation, with values of our own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sniffer.exchanges import guess_venue, venue_of
from sniffer.exchanges.base import LOGIN, Bounded
from sniffer.exchanges.deribit import VENUE
from sniffer.exchanges.deribit_requests import unit_of
from sniffer.model import OPCODE_PING, OPCODE_TEXT, Sender
from tests.unit.exchanges.talk import Talk, brief, known

JSON = dict[str, Any]
T0 = 1_751_000_000_123


def order(**changes: Any) -> JSON:
    shown: JSON = {
        "time_in_force": "good_til_cancelled", "reduce_only": False, "price": 2410.5, "post_only": False, "order_type": "limit",
        "order_state": "open", "order_id": "ETH-99120034", "last_update_timestamp": T0, "label": "grid-7",
        "instrument_name": "ETH-PERPETUAL", "filled_amount": 0, "direction": "sell", "creation_timestamp": T0 - 9,
        "average_price": 0, "api": True, "amount": 35, "contracts": 35, "replaced": False, "web": False,
    }  # fmt: skip
    return shown | changes


def trade(**changes: Any) -> JSON:
    shown: JSON = {
        "trade_seq": 5501, "trade_id": "ETH-7788101", "timestamp": T0 + 3, "tick_direction": 2, "state": "open",
        "price": 2410.75, "order_type": "limit", "order_id": "ETH-99120034", "matching_id": None, "mark_price": 2410.6,
        "liquidity": "M", "instrument_name": "ETH-PERPETUAL", "index_price": 2411, "fee_currency": "ETH", "fee": -1.5e-7,
        "direction": "sell", "amount": 12, "label": "grid-7",
    }  # fmt: skip
    return shown | changes


def news(channel: str, data: Any) -> JSON:
    return {"jsonrpc": "2.0", "method": "subscription", "params": {"channel": channel, "data": data}}


def ask(method: str, request_id: Any = 31, **params: Any) -> JSON:
    return {"jsonrpc": "2.0", "id": request_id, "method": f"private/{method}", "params": params}


def answer(result: Any, request_id: Any = 31) -> JSON:
    return {"jsonrpc": "2.0", "id": request_id, "result": result, "usIn": 1, "usOut": 2, "usDiff": 1, "testnet": False}


def refusal(code: int, message: str, request_id: Any = 31, **data: Any) -> JSON:
    error = {"code": code, "message": message, **({"data": data} if data else {})}
    return {"jsonrpc": "2.0", "id": request_id, "error": error, "usIn": 1, "usOut": 2, "usDiff": 1}


SELL = ask("sell", instrument_name="ETH-PERPETUAL", amount=35, type="limit", price=2410.5, label="grid-7")
CHANGES = news(
    "user.changes.future.ETH.100ms",
    {
        "instrument_name": "ETH-PERPETUAL",
        "orders": [order(filled_amount=12)],
        "trades": [trade()],
        "positions": [{"size": 1.5}],
    },
)
QUOTES = ask(
    "mass_quote", quote_id="q1", mmp_group="m",
    quotes=[{"instrument_name": "BTC-26DEC25-90000-P", "quote_set_id": "s", "bid": {"price": 0.031, "amount": 2},
             "ask": {"price": 0.0335, "amount": 1.5}}],
)  # fmt: skip
QUOTED = answer(
    {"orders": [order(instrument_name="BTC-26DEC25-90000-P", direction="buy", price=0.031, amount=2, label="", quote=True)],
     "trades": [], "errors": [{"instrument_name": "BTC-26DEC25-90000-P", "side": "ask",
                               "error": {"code": 10007, "message": "price_too_high 0.0331"}}]}
)  # fmt: skip

FIXTURES: list[tuple[str, Sender, Any] | tuple[str, Sender, Any, str]] = [
    ("deribit", "client", SELL),
    ("deribit", "server", answer({"order": order(), "trades": [trade()]})),
    ("deribit", "client", ask("edit", order_id="ETH-99120034", amount=30, price=2412)),
    ("deribit", "server", refusal(11044, "not_open_order")),
    ("deribit", "client", QUOTES),
    ("deribit", "server", QUOTED),
    ("deribit", "server", news("user.orders.ETH-PERPETUAL.raw", order(order_state="cancelled", cancel_reason="user_request"))),
    ("deribit", "server", news("user.trades.any.any.raw", [trade(), trade(trade_id="ETH-7788102", liquidity="T")])),
    ("deribit", "server", CHANGES),
    ("deribit", "client", ask("cancel", order_id="ETH-99120034")),
    ("deribit", "server", answer(order(order_state="cancelled"))),
    ("deribit", "client", "", "GET /api/v2/private/buy?instrument_name=SOL_USDC&amount=2.5&type=market&label=x1"),
    (
        "deribit",
        "server",
        answer({"order": order(), "trades": []}),
        "GET /api/v2/private/buy?instrument_name=SOL_USDC&amount=2.5",
    ),
]
DERIVED = frozenset({"reason"})
"""Of a refusal that gives none."""


# --- requests ---

ASKED = ("action", "request_id", "symbol", "client_order_id", "order_id", "side", "order_type", "time_in_force", "price",
         "stop_price", "quantity", "quantity_unit")  # fmt: skip


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (SELL, ("place", "31", "ETH-PERPETUAL", "grid-7", None, "sell", "limit", None, "2410.5", None, "35", "quote")),
        (
            ask("buy", "a", instrument_name="BTC-26DEC25-90000-C", contracts=0.5, type="stop_limit", price=0.02,
                trigger_price=91000, time_in_force="immediate_or_cancel"),
            ("place", "a", "BTC-26DEC25-90000-C", None, None, "buy", "stop_limit", "ioc", "0.02", "91000", "0.5", "contract"),
        ),
        (
            ask("buy", None, instrument_name="SOL_USDC", amount=2.5, post_only=True, price=140),
            ("place", None, "SOL_USDC", None, None, "buy", "limit", "post_only", "140", None, "2.5", "base"),
        ),
        (
            ask("buy", instrument_name="BTC-26DEC25-90000-C", amount=1, type="limit", advanced="implv", price=61.5),
            ("place", "31", "BTC-26DEC25-90000-C", None, None, "buy", "limit", None, None, None, "1", "base"),
        ),
        (
            ask("close_position", instrument_name="ETH-PERPETUAL", type="market"),
            ("place", "31", "ETH-PERPETUAL", None, None, None, "market", None, None, None, None, None),
        ),
        (
            ask("edit", order_id="ETH-1", amount=30, price=2412),
            ("amend", "31", None, None, "ETH-1", None, None, None, "2412", None, "30", None),
        ),
        (
            ask("edit_by_label", label="grid-7", instrument_name="ETH-PERPETUAL", amount=30, price=2412),
            ("amend", "31", "ETH-PERPETUAL", "grid-7", None, None, None, None, "2412", None, "30", "quote"),
        ),
        (ask("cancel", order_id="ETH-1"), ("cancel", "31", None, None, "ETH-1", *[None] * 7)),
        (ask("cancel_by_label", label="grid-7"), ("cancel", "31", None, "grid-7", None, *[None] * 7)),
        (ask("cancel_all_by_instrument", instrument_name="X"), ("cancel", "31", "X", *[None] * 9)),
        (ask("cancel_all"), ("cancel", "31", *[None] * 10)),
    ],
)  # fmt: skip
def test_requests(request_: JSON, expected: tuple[Any, ...]) -> None:
    decoded = known(Talk("deribit").client(request_))
    (row,) = decoded.orders
    assert (decoded.kind, row.kind, row.status, row.exchange_time) == ("request", "request", None, None)
    assert brief(row, *ASKED) == expected


def test_a_request_asks_for_what_it_triggers_too() -> None:
    legs = [{"amount": 35, "direction": "buy", "type": "take_limit", "label": "tp", "price": 2300, "trigger_price": 2301.5}]
    request = ask("sell", instrument_name="ETH-PERPETUAL", amount=35, price=2410.5, linked_order_type="one_triggers_other",
                  otoco_config=legs)  # fmt: skip
    talk = Talk("deribit")
    rows = known(talk.client(request)).orders
    shown = [
        brief(row, "item", "client_order_id", "side", "order_type", "price", "stop_price", "quantity_unit") for row in rows
    ]
    assert shown == [
        (0, None, "sell", "limit", "2410.5", None, "quote"),
        (1, "tp", "buy", "take_profit_limit", "2300", "2301.5", "quote"),
    ]
    _, leg = known(talk.server(answer({"order": order(oto_order_ids=["OTO-77"]), "trades": []}))).orders
    assert brief(leg, "item", "kind", "order_id", "client_order_id", "status", "side") == (
        1, "response", "OTO-77", "tp", "PENDING_TRIGGER", "buy",
    )  # fmt: skip


def test_a_mass_quote_and_its_partial_refusal() -> None:
    talk = Talk("deribit")
    asked = known(talk.client(QUOTES)).orders
    assert [brief(row, "side", "price", "quantity", "quantity_unit", "order_type") for row in asked] == [
        ("buy", "0.031", "2", "base", "limit"),
        ("sell", "0.0335", "1.5", "base", "limit"),
    ]
    placed, refused = known(talk.server(QUOTED)).orders
    talk.client(
        ask("mass_quote", 32, quotes=[{"instrument_name": "A-PERPETUAL", "ask": {"price": 1}}, QUOTES["params"]["quotes"][0]])
    )
    late = known(talk.server({**QUOTED, "id": 32})).orders  # each answer at the ordinal of what it answers
    assert [brief(row, "item", "side", "status") for row in late] == [(1, "buy", "NEW"), (2, "sell", "REJECTED")]
    assert brief(placed, "kind", "action", "order_id", "side", "status") == ("response", "place", "ETH-99120034", "buy", "NEW")
    assert brief(refused, "status", "status_raw", "reason", "side", "price", "quantity", "request_id", "item") == (
        "REJECTED", "10007", "price_too_high 0.0331", "sell", "0.0335", "1.5", "31", 1,
    )  # fmt: skip


@pytest.mark.parametrize("side", [{"a": 1}, [1, [2]]])
def test_a_quote_whose_side_is_no_word_is_a_problem(side: Any) -> None:
    quoted = answer({"orders": [order(direction=side)], "trades": [], "errors": []})
    talk = Talk("deribit")
    talk.client(QUOTES)
    assert not known(talk.server(quoted), "direction").orders


@pytest.mark.parametrize("method", ["sell_at_dawn", "cancel_all_by_moon", "edit_twice", "mass_quote_v2"])
def test_an_order_method_that_is_not_known_is_a_problem(method: str) -> None:
    assert known(Talk("deribit").client(ask(method, order_id="1")), "not known").orders == []


@pytest.mark.parametrize("method", ["cancel_withdrawal", "cancel_block_rfq", "edit_api_key", "get_positions", "subscribe"])
def test_methods_that_are_not_about_orders(method: str) -> None:
    talk = Talk("deribit")
    assert talk.client(ask(method, id=1)) is None
    assert talk.server(refusal(11050, "bad_request")) is None


# --- answers ---


def test_a_placement_with_its_fills() -> None:
    talk = Talk("deribit")
    talk.client(SELL)
    decoded = known(talk.server(answer({"order": order(filled_amount=12, average_price=2410.75), "trades": [trade()]})))
    (row,) = decoded.orders
    assert decoded.kind == "response"
    assert brief(row, *ASKED) == (
        "place", "31", "ETH-PERPETUAL", "grid-7", "ETH-99120034", "sell", "limit", "gtc", "2410.5", None, "35", "quote",
    )  # fmt: skip
    assert brief(row, "status", "status_raw", "filled_quantity", "average_price", "exchange_time") == (
        "PARTIALLY_FILLED", "open", "12", "2410.75", T0 * 1_000_000,
    )  # fmt: skip
    (fill,) = decoded.fills
    assert brief(fill, "trade_id", "order_id", "client_order_id", "side", "price", "quantity", "quantity_unit", "fee",
                 "fee_asset", "liquidity", "exchange_time") == (
        "ETH-7788101", "ETH-99120034", "grid-7", "sell", "2410.75", "12", "quote", "-0.00000015", "ETH", "maker",
        (T0 + 3) * 1_000_000,
    )  # fmt: skip


def test_answers_without_their_requests() -> None:
    placed = known(Talk("deribit").server(answer({"order": order(), "trades": []}))).orders[0]
    amended = known(Talk("deribit").server(answer({"order": order(replaced=True), "trades": []}))).orders[0]
    shown = known(Talk("deribit").server(answer(order(order_state="cancelled", cancel_reason="mmp_trigger")))).orders[0]
    assert (placed.action, amended.action, shown.action) == ("place", "amend", None)
    assert (shown.status, shown.reason) == ("CANCELED", "mmp_trigger")
    for code, word, status in ((10009, "not_enough_funds", "REJECTED"), (11044, "not_open_order", None)):
        (row,) = known(Talk("deribit").server(refusal(code, word))).orders
        assert brief(row, "action", "status", "status_raw", "reason", "request_id") == (None, status, str(code), word, "31")
    assert known(Talk("deribit").server(refusal(11050, "bad_request")), "not seen").orders == []


def test_refusals() -> None:
    talk = Talk("deribit")
    talk.client(SELL)
    (row,) = known(talk.server(refusal(10009, "not_enough_funds"))).orders
    assert brief(row, "kind", "action", "client_order_id", "price", "status", "status_raw", "reason") == (
        "response", "place", "grid-7", "2410.5", "REJECTED", "10009", "not_enough_funds",
    )  # fmt: skip
    talk.client(SELL)
    assert known(talk.server(refusal(13028, "temporarily_unavailable"))).orders[0].status is None
    talk.client(ask("edit", order_id="ETH-1", amount=30, price=2412))
    (row,) = known(talk.server(refusal(11044, "not_open_order"))).orders
    assert brief(row, "action", "order_id", "status", "price", "quantity", "reason") == (
        "amend", "ETH-1", None, None, None, "not_open_order",
    )  # fmt: skip
    talk.client(ask("cancel", order_id="ETH-1"))
    (row,) = known(talk.server(refusal(11044, ""))).orders
    assert brief(row, "action", "status", "reason") == ("cancel", None, "11044")  # without one it would count as taken


def test_a_request_id_in_flight_twice_joins_nothing() -> None:
    talk = Talk("deribit")
    talk.client(SELL)
    talk.client(ask("cancel", order_id="ETH-1"))
    (row,) = known(talk.server(refusal(10009, "not_enough_funds"))).orders
    assert brief(row, "client_order_id", "order_id", "action") == (None, None, None)


def test_cancelling_several() -> None:
    talk = Talk("deribit")
    talk.client(ask("cancel_by_label", label="grid-7"))
    (row,) = known(talk.server(answer(3))).orders
    assert brief(row, "kind", "action", "client_order_id", "status", "reason") == ("response", "cancel", "grid-7", None, None)
    talk.client(ask("cancel_by_label", label="grid-7", currency="BTC"))
    (row,) = known(talk.server(answer(0))).orders
    assert brief(row, "client_order_id", "status", "reason") == ("grid-7", None, "no order was cancelled")
    talk.client(ask("cancel_all", detailed=True))
    detailed = [{"currency": "ETH", "type": "limit", "result": [order(order_state="cancelled")]}]
    (row,) = known(talk.server(answer(detailed))).orders
    assert brief(row, "action", "order_id", "status") == ("cancel", "ETH-99120034", "CANCELED")


def test_queries() -> None:
    talk = Talk("deribit")
    talk.client(ask("get_open_orders"))
    assert [row.action for row in known(talk.server(answer([order(), order(order_id="ETH-2")]))).orders] == [None, None]
    talk.client(ask("get_user_trades_by_instrument"))
    assert len(known(talk.server(answer({"trades": [trade(), trade(trade_id="2")], "has_more": False}))).fills) == 2
    talk.client(ask("get_open_orders"))
    assert talk.server(answer([])) is None
    talk.client({"jsonrpc": "2.0", "id": 4, "method": "public/get_last_trades_by_instrument", "params": {}})
    public = {"trades": [{"trade_id": "1", "price": 2, "amount": 1, "direction": "buy", "instrument_name": "X"}]}
    assert talk.server(answer(public, 4)) is None


# --- notifications ---


@pytest.mark.parametrize(
    ("state", "changes", "status"),
    [
        ("open", {}, "NEW"),
        ("open", {"filled_amount": 0.5}, "PARTIALLY_FILLED"),
        ("filled", {"filled_amount": 35}, "FILLED"),
        ("cancelled", {"cancel_reason": "user_request"}, "CANCELED"),
        ("rejected", {}, "REJECTED"),
        ("untriggered", {"price": "market_price", "order_type": "stop_market", "trigger_price": 2500}, "PENDING_TRIGGER"),
        ("triggered", {}, None),
        ("sleeping", {}, None),
    ],
)
def test_the_life_of_an_order(state: str, changes: JSON, status: str | None) -> None:
    shown = order(order_state=state, **changes)
    for data in (shown, [shown]):
        (row,) = known(Talk("deribit").server(news("user.orders.ETH-PERPETUAL.raw", data))).orders
        assert (row.kind, row.status, row.status_raw, row.action) == ("update", status, state, None)
        assert row.reason == changes.get("cancel_reason")
        assert brief(row, "price", "stop_price") == ((None, "2500") if "trigger_price" in changes else ("2410.5", None))


def test_changes_tell_orders_and_trades() -> None:
    decoded = known(Talk("deribit").server(CHANGES))
    assert (decoded.kind, len(decoded.orders), len(decoded.fills)) == ("update", 1, 1)
    assert (
        decoded.fills[0].trade_id == known(Talk("deribit").server(news("user.trades.any.any.raw", [trade()]))).fills[0].trade_id
    )
    empty = {"instrument_name": "ETH-PERPETUAL", "orders": [], "trades": [], "positions": []}
    assert Talk("deribit").server(news("user.changes.any.any.raw", empty)) is None


def test_the_legs_of_a_combination_are_fills_of_their_own() -> None:
    whole = trade(instrument_name="ETH-FS-26DEC25_PERP", trade_id="1", price=-3.5, fee=0,
                  legs=[trade(trade_id="2"), trade(trade_id="3", direction="buy")])  # fmt: skip
    fills = known(Talk("deribit").server(news("user.combo_trades.future_combo.ETH.100ms", [whole]))).fills
    shown = [brief(fill, "symbol", "trade_id", "side", "price") for fill in fills]
    assert shown == [
        ("ETH-FS-26DEC25_PERP", "1", "sell", "-3.5"), ("ETH-PERPETUAL", "2", "sell", "2410.75"),
        ("ETH-PERPETUAL", "3", "buy", "2410.75"),
    ]  # fmt: skip


def test_a_broken_order_leaves_the_others() -> None:
    data = [order(), order(price="1_0"), order(order_id="ETH-2", amount=True), order(order_id="ETH-3")]
    decoded = known(Talk("deribit").server(news("user.orders.any.any.100ms", data)), "field price")
    assert [row.order_id for row in decoded.orders] == ["ETH-99120034", "ETH-3"]


@pytest.mark.parametrize(
    "changes",
    [
        {"price": -1}, {"price": "x"}, {"price": True}, {"price": 1e30}, {"amount": "NaN"}, {"order_id": 5},
        {"order_state": None}, {"direction": "up"}, {"last_update_timestamp": 10**18}, {"last_update_timestamp": -1},
        {"last_update_timestamp": "noon"},
        {"label": 7}, {"post_only": 1}, {"instrument_name": ""}, {"filled_amount": []}, {"amount": 10**25},
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_a_problem(changes: JSON) -> None:
    decoded = known(Talk("deribit").server(news("user.orders.any.any.raw", order(**changes))), "field")
    assert (decoded.kind, decoded.orders) == ("update", [])


def test_exact_numbers_and_duplicate_keys() -> None:
    text = (
        json.dumps(news("user.orders.any.any.raw", order()))
        .replace("2410.5", "9.2100e4")
        .replace('"amount": 35', '"amount": 5.0e-8')
    )
    (row,) = known(Talk("deribit").server(text)).orders
    assert brief(row, "price", "quantity") == ("92100", "0.000000050")
    doubled = text.replace('"price"', '"price":1,"price"')
    assert known(Talk("deribit").server(doubled), "twice").orders == []


MARKET: list[JSON] = [
    news(
        "trades.ETH-PERPETUAL.100ms", [{"trade_id": "ETH-1", "price": 2410, "amount": 1, "direction": "sell", "trade_seq": 1}]
    ),
    news("book.ETH-PERPETUAL.100ms", {"type": "change", "change_id": 1, "bids": [], "asks": [["new", 2410.5, 10]]}),
    {"jsonrpc": "2.0", "method": "heartbeat", "params": {"type": "test_request"}},
]


def test_market_data_is_dropped_by_the_search() -> None:
    wanted = Talk("deribit").decoder.wanted("server", OPCODE_TEXT)
    assert [wanted(json.dumps(message).encode()) for message in MARKET] == [False] * 3
    assert not Talk("deribit").decoder.wanted("server", OPCODE_PING)(b"user.orders")
    for channel in ("user.portfolio.btc", "user.access_log", "user.lock", "user.mmp_trigger.btc_usd"):
        assert Talk("deribit").server(news(channel, {"equity": 1, "currency": "BTC"})) is None


# --- REST ---


def test_rest_by_query_and_by_body() -> None:
    talk = Talk("deribit")
    call = "GET /api/v2/private/buy?instrument_name=SOL_USDC&amount=2.5&type=limit&price=141.25&post_only=true&label=x1"
    (row,) = known(talk.call(call, authorization="deri-hmac-sha256 id=KEY-1,ts=1,sig=SIG,nonce=n")).orders
    assert brief(row, *ASKED) == (
        "place", None, "SOL_USDC", "x1", None, "buy", "limit", "post_only", "141.25", None, "2.5", "base",
    )  # fmt: skip
    assert row.account == "name of KEY-1"
    (row,) = known(talk.reply(call, refusal(10009, "not_enough_funds", None), 400)).orders
    assert brief(row, "status", "client_order_id", "account") == ("REJECTED", "x1", "name of KEY-1")
    talk.call("POST /api/v2/private/sell", SELL, authorization="Basic S0VZLTI6c2VjcmV0")
    (row,) = known(talk.reply("POST /api/v2/private/sell", answer({"order": order(), "trades": []}))).orders
    assert brief(row, "action", "request_id", "account") == ("place", "31", "name of KEY-2")
    (row,) = known(talk.call("POST /api/v2", ask("cancel", order_id="ETH-1"))).orders
    assert brief(row, "action", "order_id") == ("cancel", "ETH-1")
    assert talk.call("GET /api/v2/public/get_time") is None


def test_a_reply_whose_call_was_not_seen() -> None:
    call = "GET /api/v2/private/sell?instrument_name=ETH-PERPETUAL&amount=35"
    (row,) = known(Talk("deribit").reply(call, answer({"order": order(), "trades": []}))).orders
    assert brief(row, "action", "order_id") == ("place", "ETH-99120034")


# --- whose, secrets, which venue ---


def login(**params: Any) -> JSON:
    return {"jsonrpc": "2.0", "id": 1, "method": "public/auth", "params": params}


GRANTED = {"access_token": "TOKEN-A", "refresh_token": "TOKEN-R", "expires_in": 900, "token_type": "bearer", "scope": "x"}


def test_logins_are_not_kept_and_name_the_account() -> None:
    aliases: Bounded[str] = Bounded(9)
    talk = Talk("deribit", account="configured", aliases=aliases)
    assert known(talk.client(SELL)).orders[0].account == "configured"
    request = login(grant_type="client_credentials", client_id="KEY-1", client_secret="s")
    assert known(talk.client(request)).kind == LOGIN
    assert known(talk.server(answer(GRANTED, 1))).kind == LOGIN
    assert talk.decoder.account == "name of KEY-1"
    other = Talk("deribit", aliases=aliases)
    row = known(other.client(ask("cancel", order_id="1", access_token="TOKEN-A"))).orders[0]
    assert (row.account, other.decoder.account) == ("name of KEY-1", "name of KEY-1")
    assert (
        known(other.call("GET /api/v2/private/cancel?order_id=1", authorization="Bearer TOKEN-A")).orders[0].account
        == row.account
    )
    assert known(Talk("deribit").server(answer(GRANTED, 1))).kind == LOGIN
    unknown = Talk("deribit", account="configured")
    assert known(unknown.client(ask("cancel", order_id="1", access_token="TOKEN-Z"))).orders[0].account == "configured"


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(login(client_id="PLANTED", client_secret="PLANTED", signature="PLANTED", refresh_token="PLANTED")),
        json.dumps(answer({"access_token": "PLANTED", "refresh_token": "PLANTED"})),
        json.dumps(ask("buy", access_token="PLANTED", instrument_name="X")),
        "authorization: Bearer PLANTED\r\n",
    ],
)
def test_secrets_are_redacted(text: str) -> None:
    assert "PLANTED" not in VENUE.redact("client", text)
    assert "[redacted]" in VENUE.redact("server", text)


def test_secrets_of_a_path() -> None:
    path = "/api/v2/public/auth?client_id=PLANTED&client_secret=PLANTED&grant_type=client_credentials&signature=PLANTED"
    assert "PLANTED" not in VENUE.redact_path(path)
    assert "grant_type=client_credentials" in VENUE.redact_path(path)


def test_recognised_and_guessed() -> None:
    assert venue_of("www.deribit.com", "/ws/api/v2", 443) is VENUE
    assert venue_of("TEST.deribit.com.", None, None) is VENUE
    assert venue_of("127.0.0.1", "/ws/api/v2", 8080) is VENUE
    assert venue_of("deribit.com.evil.example", "/ws", 443) is not VENUE
    assert guess_venue("client", json.dumps(SELL).encode()) is VENUE
    assert guess_venue("server", json.dumps(CHANGES).encode()) is VENUE
    for payload in (*MARKET, {"method": "private/create-order"}, {"channel": "user.order", "data": []}):
        assert guess_venue("server", json.dumps(payload).encode()) is not VENUE
        assert guess_venue("client", json.dumps(payload).encode()) is not VENUE


@pytest.mark.parametrize(
    ("symbol", "unit"),
    [
        ("BTC-PERPETUAL", "quote"), ("ETH-26DEC25", "quote"), ("BTC-FS-26DEC25_PERP", "quote"), ("BTC_USDC-PERPETUAL", "base"),
        ("SOL_USDC", "base"), ("BTC-26DEC25-90000-C", "base"), ("XRP_USDC-26DEC25-2d5-P", "base"),
        ("BTC-CS-26DEC25-90000_95000", None), ("whatever", None),
    ],
)  # fmt: skip
def test_units(symbol: str, unit: str | None) -> None:
    assert unit_of(symbol) == unit

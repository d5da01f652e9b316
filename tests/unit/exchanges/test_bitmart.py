"""BitMart: each message of its documentation, with values of our own."""

from __future__ import annotations

import json
import zlib
from typing import Any

import pytest

from sniffer.exchanges import guess_venue, venue_of
from sniffer.exchanges.base import LOGIN, ConnectionFacts
from sniffer.exchanges.bitmart import VENUE
from sniffer.exchanges.bitmart_requests import changes_orders
from sniffer.exchanges.inflate import json_inside
from sniffer.model import OPCODE_BINARY, OPCODE_TEXT, Message, Sender
from tests.unit.exchanges.conversation import leaves_soon
from tests.unit.exchanges.talk import Talk, brief, known

JSON = dict[str, Any]
T0 = 1_751_000_000_123
NS = T0 * 1_000_000


def spot(**changes: Any) -> JSON:
    order: JSON = {
        "symbol": "SOL_USDT",
        "side": "sell",
        "type": "limit",
        "notional": "",
        "size": "12.5000",
        "ms_t": str(T0 - 9),
        "price": "141.25",
        "filled_notional": "0",
        "filled_size": "0",
        "margin_trading": "0",
        "state": "4",
        "order_id": "31847857398",
        "order_type": "0",
        "last_fill_time": "0",
        "last_fill_price": "0",
        "last_fill_count": "0",
        "exec_type": "",
        "detail_id": "",
        "client_order_id": "grid7x1",
        "create_time": str(T0 - 9),
        "update_time": str(T0),
        "order_mode": "spot",
        "entrust_type": "normal",
        "order_state": "new",
        "dealFee": "0",
        "deal_fee_coin_name": "",
    }
    return order | changes


def filled(**changes: Any) -> JSON:
    fill: JSON = {
        "filled_size": "4.5000",
        "last_fill_time": str(T0 + 1),
        "last_fill_price": "141.30",
        "last_fill_count": "4.50000",
        "exec_type": "T",
        "detail_id": "77120045",
        "order_state": "partially_filled",
        "state": "5",
        "dealFee": "0.63585",
        "deal_fee_coin_name": "USDT",
    }
    return spot(**(fill | changes))


def futures(**changes: Any) -> JSON:
    order: JSON = {
        "order_id": "330906179895578",
        "client_order_id": "h2",
        "price": "2411.5",
        "size": "30",
        "symbol": "ETHUSDT",
        "state": 2,
        "side": 4,
        "type": "limit",
        "leverage": "5",
        "open_type": "cross",
        "deal_avg_price": "0",
        "deal_size": "0",
        "create_time": T0 - 9,
        "update_time": T0,
        "last_trade": None,
    }
    return order | changes


TRADE = {"lastTradeID": 1247592391, "fillQty": "12", "fillPrice": "2411.75", "fee": "-0.0144", "feeCcy": "USDT"}


def push(*orders: JSON) -> JSON:
    return {"data": list(orders), "table": "spot/user/orders"}


def futures_push(*orders: JSON) -> JSON:
    return {"group": "futures/order", "data": [{"action": 1, "order": order} for order in orders]}


def done(data: Any) -> JSON:
    return {"code": 1000, "message": "OK", "trace": "t-1", "data": data}


SELL: JSON = {
    "symbol": "SOL_USDT",
    "side": "sell",
    "type": "limit_maker",
    "client_order_id": "grid7x1",
    "size": "12.5",
    "price": "141.25",
}
SHORT: JSON = {
    "symbol": "ETHUSDT",
    "side": 4,
    "type": "limit",
    "mode": 4,
    "client_order_id": "h2",
    "size": 30,
    "price": "2411.5",
    "leverage": "5",
}
SUBMIT = "POST /spot/v2/submit_order"
BATCH = "POST /spot/v4/batch_orders"

DERIVED = frozenset({"reason"})
"""A refusal without a text is told by a field (`result` false, an id among `failIds`), which the reason then names."""

FIXTURES: list[tuple[str, Sender, Any] | tuple[str, Sender, Any, str]] = [
    ("bitmart", "server", push(spot())),
    ("bitmart", "server", push(filled(), filled(order_state="filled", state="6", filled_size="12.5", detail_id="77120046"))),
    ("bitmart", "server", futures_push(futures(), futures(deal_size="12", last_trade=TRADE))),
    ("bitmart", "client", SELL, SUBMIT),
    ("bitmart", "server", done({"order_id": "31847857398"}), SUBMIT),
    (
        "bitmart",
        "client",
        {
            "symbol": "SOL_USDT",
            "orderParams": [
                {"side": "buy", "type": "limit", "size": "1.5", "price": "140.5", "clientOrderId": "b1"},
                {"side": "buy", "type": "market", "notional": "50.5"},
            ],
        },
        BATCH,
    ),
    ("bitmart", "server", done({"code": 0, "msg": "success", "data": {"orderIds": ["41", "42"]}}), BATCH),
    ("bitmart", "client", {"symbol": "SOL_USDT", "order_id": "31847857398"}, "POST /spot/v3/cancel_order"),
    ("bitmart", "server", done({"result": True}), "POST /spot/v3/cancel_order"),
    ("bitmart", "client", SHORT, "POST /contract/private/submit-order"),
    ("bitmart", "server", {"code": 40012, "message": "Not enough margin", "trace": "t"}, "POST /contract/private/submit-order"),
    (
        "bitmart",
        "server",
        done(
            [
                {
                    "orderId": "5",
                    "clientOrderId": "c",
                    "symbol": "SOL_USDT",
                    "side": "buy",
                    "type": "limit",
                    "state": "filled",
                    "price": "140.5",
                    "priceAvg": "140.4",
                    "size": "1.5",
                    "filledSize": "1.5",
                    "notional": "210.75",
                    "createTime": T0,
                    "updateTime": T0,
                }
            ]
        ),
        "POST /spot/v4/query/history-orders",
    ),
    (
        "bitmart",
        "server",
        done(
            [
                {
                    "tradeId": "9",
                    "orderId": "5",
                    "clientOrderId": "c",
                    "symbol": "SOL_USDT",
                    "side": "buy",
                    "price": "140.4",
                    "size": "1.5",
                    "fee": "0.21",
                    "feeCoinName": "USDT",
                    "tradeRole": "maker",
                    "createTime": T0,
                }
            ]
        ),
        "POST /spot/v4/query/trades",
    ),
    (
        "bitmart",
        "server",
        done(
            [
                {
                    "order_id": "5",
                    "trade_id": "8",
                    "symbol": "ETHUSDT",
                    "side": 3,
                    "price": "2411.5",
                    "vol": "12",
                    "exec_type": "Maker",
                    "paid_fees": "0.0144",
                    "create_time": T0,
                }
            ]
        ),
        "GET /contract/private/trades?symbol=ETHUSDT",
    ),
]

ASKED = (
    "action",
    "symbol",
    "client_order_id",
    "order_id",
    "side",
    "order_type",
    "time_in_force",
    "price",
    "stop_price",
    "quantity",
    "quantity_unit",
)


# --- spot ---


def test_an_update_of_spot() -> None:
    (row,) = known(Talk("bitmart").server(push(spot()))).orders
    assert brief(row, "kind", *ASKED, "status", "status_raw", "filled_quantity") == (
        "update",
        None,
        "SOL_USDT",
        "grid7x1",
        "31847857398",
        "sell",
        "limit",
        None,
        "141.25",
        None,
        "12.5000",
        "base",
        "NEW",
        "new",
        "0",
    )
    assert row.exchange_time == NS


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"order_state": "new"}, "NEW"),
        ({"order_state": "partially_filled"}, "PARTIALLY_FILLED"),
        ({"order_state": "filled"}, "FILLED"),
        ({"order_state": "canceled"}, "CANCELED"),
        ({"order_state": "partially_canceled"}, "CANCELED"),
        ({"order_state": "odd"}, None),
        ({"order_state": None, "state": "4"}, "NEW"),
        ({"order_state": None, "state": "5"}, "PARTIALLY_FILLED"),
        ({"order_state": None, "state": "6"}, "FILLED"),
        ({"order_state": None, "state": "8"}, "CANCELED"),
        ({"order_state": None, "state": "12"}, "CANCELED"),
        ({"order_state": None, "state": "99"}, None),
    ],
)
def test_states_of_spot(changes: JSON, status: str | None) -> None:
    (row,) = known(Talk("bitmart").server(push(spot(**changes)))).orders
    assert (row.status, row.status_raw) == (status, changes["order_state"] or changes["state"])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"entrust_type": "LIMIT_MAKER"}, ("limit", "post_only", "12.5000", "base")),
        ({"entrust_type": "IOC"}, ("limit", "ioc", "12.5000", "base")),
        ({"entrust_type": "", "order_type": "2"}, ("limit", "fok", "12.5000", "base")),
        ({"type": "market", "size": "0", "notional": "500"}, ("market", None, "500", "quote")),
        ({"type": "Odd"}, ("odd", None, "12.5000", "base")),
    ],
)
def test_terms_of_spot(changes: JSON, expected: tuple[Any, ...]) -> None:
    (row,) = known(Talk("bitmart").server(push(spot(**changes)))).orders
    assert brief(row, "order_type", "time_in_force", "quantity", "quantity_unit") == expected


def test_a_fill_of_spot() -> None:
    told = known(Talk("bitmart").server(push(filled())))
    assert brief(told.orders[0], "status", "filled_quantity") == ("PARTIALLY_FILLED", "4.5000")
    (fill,) = told.fills
    assert brief(fill, "symbol", "trade_id", "order_id", "client_order_id", "side", "price", "quantity", "quantity_unit", "fee",
                 "fee_asset", "liquidity") == (
        "SOL_USDT", "77120045", "31847857398", "grid7x1", "sell", "141.30", "4.50000", "base", "0.63585", "USDT", "taker",
    )  # fmt: skip
    assert fill.exchange_time == NS + 1_000_000


def test_a_fill_that_a_later_push_repeats_has_one_name() -> None:
    talk = Talk("bitmart")
    first = known(talk.server(push(filled()))).fills[0]
    again = known(talk.server(push(filled(order_state="partially_canceled", update_time=str(T0 + 50))))).fills[0]
    names = ("venue", "account", "symbol", "trade_id", "order_id", "side", "price", "quantity", "fee", "exchange_time")
    assert brief(first, *names) == brief(again, *names)


def test_a_fill_without_an_id_is_none() -> None:
    told = known(Talk("bitmart").server(push(filled(detail_id=""), spot(order_id="2"))), "field detail_id is missing")
    assert ([row.order_id for row in told.orders], told.fills) == (["31847857398", "2"], [])


def test_compressed_as_spot_sends_it() -> None:
    one = VENUE.decoder(ConnectionFacts())

    def sent(value: Any) -> bytes:
        stream = zlib.compressobj(wbits=-15)
        return stream.compress(json.dumps(value).encode()) + stream.flush()

    search = one.wanted("server", OPCODE_BINARY)
    assert search(sent(push(filled())))
    assert not search(sent(MARKET[0]))
    plain = known(one.decode(Message(1, "server", 0, 0, 0, OPCODE_TEXT, json.dumps(push(filled())).encode())))
    packed = known(one.decode(Message(1, "server", 0, 0, 0, OPCODE_BINARY, sent(push(filled())))))
    assert (packed.orders, packed.fills) == (plain.orders, plain.fills)
    stored = json_inside(sent(push(filled())))
    assert stored is not None
    assert known(one.decode(Message(1, "server", 0, 0, 0, OPCODE_BINARY, stored.encode()))).fills == plain.fills
    known(one.decode(Message(1, "server", 0, 0, 0, OPCODE_BINARY, sent(push(filled()))[:-9])), "compressed data")
    assert guess_venue("server", sent(push(spot()))) is VENUE


# --- futures ---


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"state": 1}, "PENDING_NEW"),
        ({}, "NEW"),
        ({"deal_size": "12"}, "PARTIALLY_FILLED"),
        ({"state": 4, "deal_size": "30"}, "FILLED"),
        ({"state": 4, "deal_size": "12"}, "CANCELED"),
        ({"state": 4, "deal_size": "0"}, "CANCELED"),
        ({"state": 3}, None),
    ],
)
def test_states_of_futures(changes: JSON, status: str | None) -> None:
    (row,) = known(Talk("bitmart").server(futures_push(futures(**changes)))).orders
    assert (row.status, row.status_raw) == (status, str(changes.get("state", 2)))


@pytest.mark.parametrize(("number", "side"), [(1, "buy"), (2, "buy"), (3, "sell"), (4, "sell")])
def test_sides_of_futures(number: int, side: str) -> None:
    told = known(Talk("bitmart").server(futures_push(futures(side=number, deal_size="12", last_trade=TRADE))))
    assert (told.orders[0].side, told.fills[0].side) == (side, side)


def test_an_update_and_a_fill_of_futures() -> None:
    told = known(Talk("bitmart").server(futures_push(futures(deal_size="12", deal_avg_price="2411.75", last_trade=TRADE))))
    assert brief(told.orders[0], *ASKED[1:], "filled_quantity", "average_price") == (
        "ETHUSDT", "h2", "330906179895578", "sell", "limit", None, "2411.5", None, "30", "contract", "12", "2411.75",
    )  # fmt: skip
    assert brief(told.fills[0], "trade_id", "price", "quantity", "quantity_unit", "fee", "fee_asset") == (
        "1247592391", "2411.75", "12", "contract", "0.0144", "USDT",
    )  # fmt: skip
    untriggered = ("trigger_price", "trigger_price_type", "execution_price", "activation_price", "callback_rate")
    dashes = futures(deal_size="12", last_trade=TRADE, **dict.fromkeys(untriggered, "-"))  # as the page shows them
    told = known(Talk("bitmart").server(futures_push(dashes)))
    assert brief(told.orders[0], "status", "price", "stop_price") == ("PARTIALLY_FILLED", "2411.5", None)
    assert len(told.fills) == 1
    bad = known(Talk("bitmart").server(futures_push(futures(side=7), futures(order_id="2"))), "field side: an unknown number")
    assert [row.order_id for row in bad.orders] == ["2"]


# --- REST ---


@pytest.mark.parametrize(
    ("call", "body", "expected"),
    [
        (SUBMIT, SELL, [("place", "SOL_USDT", "grid7x1", None, "sell", "limit", "post_only", "141.25", None, "12.5", "base")]),
        (
            SUBMIT,
            {"symbol": "SOL_USDT", "side": "buy", "type": "market", "notional": "500"},
            [("place", "SOL_USDT", None, None, "buy", "market", None, None, None, "500", "quote")],
        ),
        (
            BATCH,
            FIXTURES[5][2],
            [
                ("place", "SOL_USDT", "b1", None, "buy", "limit", None, "140.5", None, "1.5", "base"),
                ("place", "SOL_USDT", None, None, "buy", "market", None, None, None, "50.5", "quote"),
            ],
        ),
        (
            "POST /spot/v4/cancel_orders",
            {"symbol": "SOL_USDT", "orderIds": ["5"], "clientOrderIds": ["c"]},
            [("cancel", "SOL_USDT", None, "5", *[None] * 7), ("cancel", "SOL_USDT", "c", None, *[None] * 7)],
        ),
        ("POST /spot/v4/cancel_all", {"symbol": "SOL_USDT"}, [("cancel", "SOL_USDT", *[None] * 9)]),
        (
            "POST /contract/private/submit-order",
            SHORT,
            [("place", "ETHUSDT", "h2", None, "sell", "limit", "post_only", "2411.5", None, "30", "contract")],
        ),
        (
            "POST /contract/private/submit-plan-order",
            {"symbol": "ETHUSDT", "side": 3, "type": "limit", "size": 5, "trigger_price": "2300", "executive_price": "2299.5"},
            [("place", "ETHUSDT", None, None, "sell", "limit", None, "2299.5", "2300", "5", "contract")],
        ),
        (
            "POST /contract/private/submit-trail-order",
            {"symbol": "ETHUSDT", "side": 3, "size": 5, "activation_price": "2500", "callback_rate": "1"},
            [("place", "ETHUSDT", None, None, "sell", "trailing_stop", None, None, None, "5", "contract")],
        ),
        ("POST /contract/private/cancel-orders", {"symbol": "ETHUSDT"}, [("cancel", "ETHUSDT", *[None] * 9)]),
        (
            "POST /contract/private/modify-limit-order",
            {"symbol": "ETHUSDT", "order_id": 330906, "price": "2412", "size": 25},
            [("amend", "ETHUSDT", None, "330906", None, None, None, "2412", None, "25", "contract")],
        ),
    ],
)
def test_rest_calls(call: str, body: Any, expected: list[Any]) -> None:
    rows = known(Talk("bitmart").call(call, body)).orders
    assert [brief(row, *ASKED) for row in rows] == expected


def test_an_order_that_is_taken_and_one_that_is_refused() -> None:
    talk = Talk("bitmart")
    assert known(talk.call(SUBMIT, SELL, x_bm_key="KEY-1")).orders[0].account == "name of KEY-1"
    (row,) = known(talk.reply(SUBMIT, done({"order_id": "31847857398"}))).orders
    assert brief(row, "kind", "account", "action", "order_id", "client_order_id", "side", "price", "status") == (
        "response", "name of KEY-1", "place", "31847857398", "grid7x1", "sell", "141.25", None,
    )  # fmt: skip
    talk.call(SUBMIT, SELL)
    (row,) = known(talk.reply(SUBMIT, {"code": 50020, "message": "Balance not enough", "trace": "t", "data": {}}, 400)).orders
    assert brief(row, "client_order_id", "status", "status_raw", "reason") == (
        "grid7x1",
        "REJECTED",
        "50020",
        "Balance not enough",
    )
    talk.call(SUBMIT, SELL)
    (row,) = known(talk.reply(SUBMIT, {"code": 50000, "message": "?"}, 500)).orders
    assert row.status is None


def test_batches() -> None:
    talk = Talk("bitmart")
    talk.call(BATCH, FIXTURES[5][2])
    first, second = known(talk.reply(BATCH, FIXTURES[6][2])).orders
    assert brief(first, "order_id", "client_order_id", "price") == ("41", "b1", "140.5")
    assert brief(second, "item", "order_id", "quantity", "quantity_unit") == (1, "42", "50.5", "quote")
    talk.call(BATCH, FIXTURES[5][2])
    refused = known(talk.reply(BATCH, done({"code": 51012, "msg": "Too many", "data": {"orderIds": []}}))).orders
    assert [brief(row, "status", "status_raw", "reason") for row in refused] == [("REJECTED", "51012", "Too many")] * 2
    older = "POST /spot/v2/batch_orders"
    talk.call(older, {"order_params": [SELL, SELL | {"client_order_id": "x2"}]})
    reply = done({"responses": [{"code": 1000, "data": {"order_id": "1"}}, {"code": 50020, "message": "Balance not enough"}]})
    taken, refused_one = known(talk.reply(older, reply)).orders
    assert brief(taken, "order_id", "client_order_id", "status") == ("1", "grid7x1", None)
    assert brief(refused_one, "item", "client_order_id", "status", "reason") == (1, "x2", "REJECTED", "Balance not enough")


def test_answers_to_cancels() -> None:
    talk = Talk("bitmart")
    call = "POST /spot/v3/cancel_order"
    for result in (True, False):
        talk.call(call, {"symbol": "SOL_USDT", "client_order_id": "grid7x1"})
        (row,) = known(talk.reply(call, done({"result": result}))).orders
        reason = None if result else "result false"
        assert brief(row, "action", "client_order_id", "status", "reason") == ("cancel", "grid7x1", None, reason)
    call = "POST /spot/v4/cancel_orders"
    talk.call(call, {"symbol": "SOL_USDT", "orderIds": ["5", "6"]})
    gone, done_one = known(talk.reply(call, done({"successIds": ["6"], "failIds": ["5"], "totalCount": 2}))).orders[::-1]
    assert brief(done_one, "order_id", "symbol", "status") == ("6", "SOL_USDT", None)
    assert brief(gone, "order_id", "symbol", "status", "reason") == ("5", "SOL_USDT", None, "in failIds")
    call = "POST /spot/v4/cancel_all"
    for answer in (done({}), {"code": 1000, "trace": "t"}, {"code": 1000, "message": "Ok", "data": None}):
        talk.call(call, {"symbol": "SOL_USDT"})
        assert brief(known(talk.reply(call, answer)).orders[0], "action", "symbol") == ("cancel", "SOL_USDT")
    talk.call(SUBMIT, SELL)
    known(talk.reply(SUBMIT, {"code": 1000, "trace": "t"}), "no object")


def test_ids_of_either_kind_are_told_by_the_request_alone() -> None:
    answer = done({"successIds": ["grid7x1"], "failIds": ["6"]})
    decoded = known(Talk("bitmart").reply("POST /spot/v4/cancel_orders", answer), "a request that was not seen")
    assert decoded.orders == []


def test_a_refusal_without_a_text_is_one_all_the_same() -> None:
    talk = Talk("bitmart")
    call = "POST /contract/private/cancel-order"
    talk.call(call, {"symbol": "ETHUSDT", "order_id": "330906"})
    (row,) = known(talk.reply(call, {"code": 40035, "message": ""})).orders
    assert brief(row, "order_id", "status", "reason") == ("330906", None, "40035")


def test_an_amendment() -> None:
    talk = Talk("bitmart")
    call = "POST /contract/private/modify-limit-order"
    talk.call(call, {"symbol": "ETHUSDT", "order_id": 330906, "price": "2412"})
    (row,) = known(talk.reply(call, done({"order_id": 330906, "client_order_id": "h2"}))).orders
    assert brief(row, "action", "order_id", "client_order_id", "price") == ("amend", "330906", "h2", "2412")
    talk.call(call, {"symbol": "ETHUSDT", "order_id": 330906, "price": "2412"})
    (row,) = known(talk.reply(call, {"code": 40035, "message": "Order gone"})).orders
    assert brief(row, "action", "order_id", "price", "status", "reason") == ("amend", "330906", None, None, "Order gone")


def test_queries() -> None:
    talk = Talk("bitmart")
    (row,) = known(talk.reply("POST /spot/v4/query/history-orders", FIXTURES[11][2])).orders
    assert brief(row, "action", "status", "filled_quantity", "average_price") == (None, "FILLED", "1.5", "140.4")
    (fill,) = known(talk.reply("POST /spot/v4/query/trades", FIXTURES[12][2])).fills
    assert brief(fill, "trade_id", "fee", "fee_asset", "liquidity") == ("9", "0.21", "USDT", "maker")
    (fill,) = known(talk.reply("GET /contract/private/trades?symbol=ETHUSDT", FIXTURES[13][2])).fills
    assert brief(fill, "trade_id", "side", "quantity", "quantity_unit", "fee") == ("8", "sell", "12", "contract", "0.0144")
    (row,) = known(talk.reply("GET /contract/private/order?symbol=ETHUSDT", done(futures(last_trade=TRADE)))).orders
    assert brief(row, "kind", "action", "status") == ("response", None, "NEW")
    plan = {
        "order_id": "7",
        "executive_price": "2299.5",
        "trigger_price": "2300",
        "size": "5",
        "symbol": "ETHUSDT",
        "state": 2,
        "side": 3,
        "type": "stop_loss",
        "update_time": T0,
    }
    (row,) = known(talk.reply("GET /contract/private/current-plan-order", done([plan]))).orders
    assert brief(row, "order_type", "price", "stop_price", "status") == ("stop", "2299.5", "2300", "PENDING_TRIGGER")
    assert talk.reply("POST /spot/v4/query/open-orders", done([])) is None


def test_unknown_order_calls_are_not_silent() -> None:
    known(Talk("bitmart").call("POST /spot/v4/algo/submit_order", SELL), "an order call that is not known")
    for path in ("/spot/v4/query/algo/order", "/contract/private/cancel-all-after", "/contract/private/submit-leverage"):
        assert not changes_orders("POST", path)


# --- what is no order, what is broken ---

MARKET: list[Any] = [
    {
        "table": "spot/trade",
        "data": [{"symbol": "SOL_USDT", "price": "162.12", "side": "buy", "size": "11.085", "s_t": 1542337219}],
    },
    {
        "data": [{"asks": [["161.96", "7.37567"]], "bids": [["161.94", "4.552355"]], "symbol": "SOL_USDT"}],
        "table": "spot/depth5",
    },
    {"group": "futures/depth20:BTCUSDT", "data": {"symbol": "BTCUSDT", "way": 1, "depths": [{"price": "1", "vol": "2"}]}},
    {"table": "spot/user/balance", "data": [{"event_type": "TRANSACTION_COMPLETED", "balance_details": [{"ccy": "BTC"}]}]},
    {"event": "subscribe", "topic": "spot/user/order:SOL_USDT"},
    {
        "action": "subscribe",
        "group": "futures/order",
        "success": True,
        "request": {"action": "subscribe", "args": ["futures/order"]},
    },
    {"event": "login"},
    "pong",
]


@pytest.mark.parametrize("message", MARKET)
def test_what_is_no_order(message: Any) -> None:
    for payload in (message, message if isinstance(message, str) else json.dumps(message, separators=(",", ":"))):
        assert Talk("bitmart").server(payload) is None
    assert Talk("bitmart").client({"op": "subscribe", "args": ["spot/user/orders:ALL_SYMBOLS"]}) is None
    assert Talk("bitmart").client("ping") is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("size", "1e30"),
        ("size", "-1"),
        ("price", "0.1234567890123456789"),
        ("price", True),
        ("update_time", "99999999999999999"),
        ("update_time", None),
        ("order_id", ""),
        ("order_id", ["x"]),
        ("symbol", None),
        ("side", "hold"),
        ("filled_size", "NaN"),
        ("client_order_id", {}),
        ("order_state", 3),
    ],
)
def test_a_field_that_cannot_be_read(field: str, value: Any) -> None:
    told = known(Talk("bitmart").server(push(spot(**{field: value}), spot(order_id="2"))), f"field {field}")
    assert [row.order_id for row in told.orders] == ["2"]


def test_an_empty_batch_is_not_silent() -> None:
    known(Talk("bitmart").call("POST /spot/v2/batch_orders", {"order_params": []}), "a request that names no order")


def test_duplicate_keys_and_cut_messages() -> None:
    text = json.dumps(push(spot()))
    for broken in (text.replace('"price"', '"size": "1", "price"'), text[:-3]):
        assert known(Talk("bitmart").server(broken), "").orders == []


# --- whose, secrets, which venue ---


@pytest.mark.parametrize(("key", "word"), [("op", "login"), ("action", "access")])
def test_the_account_is_that_of_the_login(key: str, word: str) -> None:
    talk = Talk("bitmart", account="mine")
    assert known(talk.server(push(spot()))).orders[0].account == "mine"
    login = json.dumps({key: word, "args": ["KEY-1", str(T0), "5f3c", "web"]})
    assert known(talk.client(login)).kind == LOGIN
    assert known(talk.client(login[:-4])).kind == LOGIN, "a cut one is not stored either"
    assert known(talk.server(push(spot()))).orders[0].account == "name of KEY-1"


def test_secrets_are_redacted() -> None:
    texts = [
        json.dumps({"op": "login", "args": ["PLANTED", str(T0), "PLANTED"]}),
        json.dumps({"action": "access", "args": ["PLANTED", str(T0), "PLANTED", "web"]}),
        "X-BM-KEY: PLANTED\r\nX-BM-SIGN: PLANTED\r\n",
    ]
    for text in texts:
        assert "PLANTED" not in VENUE.redact("client", text)
        assert "[redacted]" in VENUE.redact("server", text)
    subscription = json.dumps({"op": "subscribe", "args": ["spot/user/orders:ALL_SYMBOLS"]})
    assert VENUE.redact("client", subscription) == subscription
    assert "PLANTED" not in VENUE.redact_path("/user?protocol=1.1&X-BM-KEY=PLANTED")


def test_recognised_and_guessed() -> None:
    assert venue_of("ws-manager-compress.bitmart.com", "/user?protocol=1.1", 443) is VENUE
    assert venue_of("API-CLOUD-V2.bitmart.com.", None, None) is VENUE
    assert venue_of("127.0.0.1", "/user?protocol=1.1", 8080) is VENUE
    assert venue_of("bitmart.com.evil.example", "/user", 443) is not VENUE
    for _, sender, payload, *http in FIXTURES:
        if not http:
            assert guess_venue(sender, json.dumps(payload).encode()) is VENUE
    for payload in MARKET[:5]:
        assert guess_venue("server", json.dumps(payload).encode()) is not VENUE


def test_the_search_is_quick() -> None:
    search = VENUE.decoder(ConnectionFacts()).wanted("server", OPCODE_TEXT)
    payload = json.dumps(MARKET[1]).replace('["161.96", "7.37567"]', ",".join(['["161.96","7.37567"]'] * 20)).encode()
    leaves_soon(search, payload)

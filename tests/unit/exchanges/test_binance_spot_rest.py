from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.unit.exchanges.binance_messages import T0, canceled, decoder, full, http, order

CALL = "POST /api/v3/order?symbol=ADAUSDC&side=SELL&type=LIMIT&timeInForce=GTC&price=0.7135&quantity=250&newClientOrderId=strat7-0001&timestamp=1&signature=abc"  # noqa: E501


def test_the_order_stands_in_the_query() -> None:
    decoded = decoder().decode(http("client", CALL, x_mbx_apikey="KEY-of-bob"))
    assert decoded is not None
    (row,) = decoded.orders
    assert (row.kind, row.action, row.symbol, row.side, row.price, row.quantity, row.client_order_id, row.request_id) == (
        "request", "place", "ADAUSDC", "sell", Decimal("0.7135"), Decimal(250), "strat7-0001", None,
    )  # fmt: skip
    assert row.account == "name of KEY-of-bob"


def test_or_in_the_form_and_the_query_counts_where_both_say_it() -> None:
    body = b"symbol=ADAUSDC&side=BUY&type=LIMIT&price=0.7&quantity=3"
    decoded = decoder().decode(http("client", "POST /api/v3/order?quantity=4", body))
    assert decoded is not None
    assert [(row.side, row.price, row.quantity) for row in decoded.orders] == [("buy", Decimal("0.7"), Decimal(4))]


def test_a_response_is_joined_to_the_call_before_it() -> None:
    one = decoder()
    for name, body in (("a", b"newClientOrderId=a"), ("b", b"newClientOrderId=b")):
        one.decode(
            http("client", "POST /api/v3/order?symbol=ADAUSDC&side=BUY&type=MARKET&quantity=1", body + b"&x=" + name.encode())
        )
    refusal = {"code": -2010, "msg": "Account has insufficient balance for requested action."}
    found = [
        one.decode(http("server", "POST /api/v3/order?symbol=ADAUSDC&side=BUY&type=MARKET&quantity=1", refusal, 400))
        for _ in "ab"
    ]
    assert [(row.client_order_id, row.status, row.reason) for decoded in found if decoded for row in decoded.orders] == [
        ("a", "REJECTED", refusal["msg"]),
        ("b", "REJECTED", refusal["msg"]),
    ]


def test_a_response_alone_is_joined_to_the_target_in_its_head() -> None:
    decoded = decoder().decode(http("server", CALL, {"code": -1013, "msg": "Filter failure: LOT_SIZE"}, 400))
    assert decoded is not None
    assert [(row.client_order_id, row.sender, row.status) for row in decoded.orders] == [("strat7-0001", "server", "REJECTED")]


def test_calls_in_between_keep_their_places() -> None:
    one = decoder()
    calls: list[tuple[str, Any]] = [
        ("GET /api/v3/time", {"serverTime": T0}),
        (CALL, full()),
        ("GET /api/v3/klines?symbol=A", []),
    ]
    for call, _ in calls:
        one.decode(http("client", call))
    found = [one.decode(http("server", call, body, 200)) for call, body in calls]
    assert [None if decoded is None else len(decoded.fills) for decoded in found] == [None, 2, None]


def test_a_body_of_a_call_whose_head_is_known() -> None:
    for call, body, action in (
        ("POST /api/v3/order", order(), "place"),
        ("DELETE /api/v3/order", canceled(), "cancel"),
        ("DELETE /api/v3/openOrders", [canceled()], "cancel"),
        ("POST /sapi/v1/margin/order", order(isIsolated=False), "place"),
    ):
        decoded = decoder().decode(http("server", call, body))
        assert decoded is not None
        assert [(row.action, row.order_id) for row in decoded.orders] == [(action, "9184736251")]


def test_an_unknown_outcome_is_no_rejection() -> None:
    decoded = decoder().decode(http("server", CALL, {"code": -1001, "msg": "Internal error"}, 503))
    assert decoded is not None
    assert [(row.status, row.status_raw) for row in decoded.orders] == [(None, "-1001")]


def test_what_is_no_order_call() -> None:
    one = decoder()
    for call in (
        "GET /api/v3/depth?symbol=A",
        "POST /api/v3/order/test?symbol=A",
        "GET /index.html",
        "GET /api/v3/order?symbol=A",
    ):
        assert one.decode(http("client", call)) is None
    assert one.decode(http("server", "POST /api/v3/order/test", {})) is None
    assert one.decode(http("server", "GET /index.html", b"<html>", 200)) is None


def test_broken_calls_and_bodies_are_problems() -> None:
    for given in (
        http("client", "POST /api/v3/order?symbol=A&symbol=B"),
        http("client", "POST /api/v3/order?quantity=lots"),
        http("client", "POST /api/v3/order", b"\xff=1"),
        http("client", "POST /api/v3/order/brandNew?symbol=A"),
        http("client", "POST /sapi/v1/algo/futures/newOrderTwap?symbol=A"),
        http("client", "POST /sapi/v1/convert/limit/placeOrder?baseAsset=A"),
        http("client", "POST /sapi/v1/equity/order/place"),
        http("server", CALL, b"<html>502 Bad Gateway</html>", 502),
        http("server", CALL, b"", 200),
    ):
        decoded = decoder().decode(given)
        assert decoded is not None
        assert decoded.orders == []
        assert decoded.problem is not None

"""The WebSocket API without a socket: requests in, answers and events out."""

from __future__ import annotations

import itertools
import json
import random
import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies.binance.api import ApiSession
from strategies.binance.dialect import Binance
from strategies.binance.streams import DepthFeed, StreamSession
from strategies.credentials import Credentials
from strategies.venue import Venue

# Fields in the order of the documents: user-data-stream.md and web-socket-api.md.
REPORT = list("eEscSofqpPFgCxXrilzLnNTtIwmMOZYQWV")
STATE = ["price", "origQty", "executedQty", "origQuoteOrderQty", "cummulativeQuoteQty", "status", "timeInForce", "type", "side"]
PLACED = ["symbol", "orderId", "orderListId", "clientOrderId", "transactTime", *STATE, "workingTime"]
CANCELED = ["symbol", "origClientOrderId", "orderId", "orderListId", "clientOrderId", "transactTime", *STATE]
AMENDED = ["symbol", "orderId", "orderListId", "origClientOrderId", "clientOrderId", "price", "qty", "executedQty"]
AMENDED += ["preventedQty", "quoteOrderQty", "cumulativeQuoteQty", "status", "timeInForce", "type", "side", "workingTime"]
AMENDED += ["selfTradePreventionMode"]


class Client:
    """A session and what it was sent."""

    def __init__(self, venue: Venue, owner: Credentials) -> None:
        self.venue, self.owner = venue, owner
        self.inbox: list[dict[str, Any]] = []
        self.session = ApiSession(venue, lambda text: self.inbox.append(json.loads(text)))
        self.symbol = next(iter(venue.books))

    def ask(self, method: str, events_first: bool = False, **params: Any) -> dict[str, Any]:
        request = {"id": len(self.inbox), "method": method, "params": self.owner.sign({"symbol": self.symbol} | params)}
        before = len(self.inbox)
        self.session.handle(json.dumps(request), events_first)
        (answer,) = (message for message in self.inbox[before:] if message.get("id") == request["id"])
        return answer

    def place(self, side: str, quantity: object, price: object, **more: Any) -> dict[str, Any]:
        order = {"side": side, "type": "LIMIT", "timeInForce": "GTC", "quantity": str(quantity), "price": str(price)}
        return self.ask("order.place", **order | more)

    def reports(self) -> list[dict[str, Any]]:
        events = [message["event"] for message in self.inbox if "event" in message]
        return [event for event in events if event["e"] == "executionReport"]


@pytest.fixture
def venue() -> Venue:
    return Venue(Binance(), assets=2, seed=4)


@pytest.fixture
def client(venue: Venue) -> Client:
    made = Client(venue, Credentials.invent(random.Random(1)))
    assert made.ask("userDataStream.subscribe.signature")["result"] == {"subscriptionId": 0}
    return made


def worth(client: Client, value: int, away: int = 0) -> tuple[Decimal, Decimal]:
    """(quantity, price): `value` of the quote asset, `away` ticks below the middle."""
    book = client.venue.books[client.symbol]
    return book.instrument.to_lot(value / book.crowd.mid), book.crowd.mid - away * book.instrument.tick


def test_an_order_is_answered_and_reported_as_the_documents_say(client: Client) -> None:
    quantity, price = worth(client, 100, away=2)
    answer = client.place("BUY", quantity, price, newClientOrderId="first")
    assert answer["status"] == 200
    assert list(answer["result"]) == [*PLACED, "fills", "selfTradePreventionMode"]
    assert [limit["rateLimitType"] for limit in answer["rateLimits"]] == ["ORDERS", "ORDERS", "REQUEST_WEIGHT"]
    (report,) = client.reports()
    assert list(report) == REPORT
    assert report["p"] == answer["result"]["price"] == f"{price:.8f}"
    assert (report["x"], report["X"], report["w"], report["t"], report["N"]) == ("NEW", "NEW", True, -1, None)
    assert client.inbox[-2]["subscriptionId"] == 0
    position = client.inbox[-1]["event"]
    assert position["e"] == "outboundAccountPosition"
    assert position["B"][0]["l"] == f"{quantity * price:.8f}"


@pytest.mark.parametrize(("kind", "fields"), [("ACK", PLACED[:5]), ("RESULT", [*PLACED, "selfTradePreventionMode"])])
def test_shorter_answers(client: Client, kind: str, fields: list[str]) -> None:
    answer = client.place("BUY", *worth(client, 100, away=2), newOrderRespType=kind, returnRateLimits=False)
    assert list(answer["result"]) == fields
    assert "rateLimits" not in answer


def test_a_fill_is_in_the_answer_and_on_every_socket_of_the_account(venue: Venue, client: Client) -> None:
    second = Client(venue, client.owner)
    second.ask("userDataStream.subscribe.signature")
    key = second.ask("userDataStream.start")["result"]["listenKey"]
    older: list[dict[str, Any]] = []
    combined: list[dict[str, Any]] = []
    StreamSession(venue, lambda text: older.append(json.loads(text)), combined=False).subscribe([key])
    StreamSession(venue, lambda text: combined.append(json.loads(text)), combined=True).subscribe([key])
    answer = client.place("BUY", *worth(client, 100, away=-2))
    (fill,) = answer["result"]["fills"]
    trade = client.reports()[-1]
    assert (trade["t"], trade["L"], trade["l"], trade["n"]) == (fill["tradeId"], fill["price"], fill["qty"], fill["commission"])
    assert trade == second.reports()[-1]
    assert trade in older
    assert {"stream": key, "data": trade} in combined
    truth = venue.truth()
    assert [row["trade_id"] for row in truth["fills"]] == [fill["tradeId"]]
    assert {client.owner.api_key, key} < set(truth["secrets"])


def test_cancel_and_amend_change_the_client_order_id(client: Client) -> None:
    quantity, price = worth(client, 100, away=2)
    client.place("BUY", quantity, price, newClientOrderId="first")
    lots = client.venue.books[client.symbol].instrument
    amended = client.ask("order.amend.keepPriority", origClientOrderId="first", newQty=str(lots.to_lot(quantity / 2)))["result"]
    assert list(amended) == ["transactTime", "executionId", "amendedOrder"]
    assert list(amended["amendedOrder"]) == AMENDED
    report = client.reports()[-1]
    assert (report["x"], report["X"], report["C"]) == ("REPLACED", "NEW", "first")
    assert report["c"] == amended["amendedOrder"]["clientOrderId"] != "first"
    assert report["I"] == amended["executionId"]
    canceled = client.ask("order.cancel", origClientOrderId=report["c"], newClientOrderId="bye")["result"]
    assert list(canceled) == [*CANCELED, "selfTradePreventionMode"]
    assert (canceled["origClientOrderId"], canceled["clientOrderId"], canceled["status"]) == (report["c"], "bye", "CANCELED")
    last = client.reports()[-1]
    assert (last["c"], last["C"], last["x"], last["w"]) == ("bye", report["c"], "CANCELED", False)


def test_events_may_come_before_the_answer(client: Client) -> None:
    quantity, price = worth(client, 100, away=2)
    order = {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": str(quantity), "price": str(price)}
    client.ask("order.place", events_first=True, **order)
    assert "event" in client.inbox[-2]
    assert "result" in client.inbox[-1]


def replace(client: Client, old: str, price: Decimal, mode: str = "STOP_ON_FAILURE", kind: str = "LIMIT") -> dict[str, Any]:
    quantity, _ = worth(client, 100)
    new = {"side": "BUY", "type": kind, "timeInForce": "GTC", "quantity": str(quantity), "price": str(price)}
    return client.ask("order.cancelReplace", cancelReplaceMode=mode, cancelOrigClientOrderId=old, **new)


def test_cancel_replace_can_fail_in_halves(client: Client) -> None:
    quantity, low = worth(client, 100, away=2)
    _, high = worth(client, 100, away=-2)
    client.place("BUY", quantity, low, newClientOrderId="a")
    both = replace(client, "a", low)
    assert (both["status"], both["result"]["cancelResult"], both["result"]["newOrderResult"]) == (200, "SUCCESS", "SUCCESS")
    assert list(both["result"]["cancelResponse"]) == [*CANCELED, "selfTradePreventionMode"]

    stopped = replace(client, "gone", low)
    assert (stopped["status"], stopped["error"]["code"]) == (400, -2022)
    assert stopped["error"]["data"]["newOrderResult"] == "NOT_ATTEMPTED"
    assert stopped["error"]["data"]["newOrderResponse"] is None

    went_on = replace(client, "gone", low, "ALLOW_FAILURE")
    assert (went_on["status"], went_on["error"]["code"]) == (409, -2021)
    assert went_on["error"]["data"]["cancelResponse"] == {"code": -2011, "msg": "Unknown order sent."}
    assert went_on["error"]["data"]["newOrderResponse"]["status"] == "NEW"

    neither = replace(client, "gone", high, "ALLOW_FAILURE", "LIMIT_MAKER")
    assert (neither["status"], neither["error"]["code"]) == (400, -2022)

    client.place("BUY", quantity, low, newClientOrderId="b")
    refused = replace(client, "b", high, kind="LIMIT_MAKER")
    assert (refused["status"], refused["error"]["data"]["cancelResult"]) == (409, "SUCCESS")
    report = client.reports()[-1]
    assert (report["x"], report["X"], report["r"], report["w"]) == ("REJECTED", "REJECTED", "WOULD_MATCH_IMMEDIATELY", False)
    assert "W" not in report


def test_cancel_all(client: Client) -> None:
    assert client.ask("openOrders.cancelAll")["error"]["code"] == -2011
    for name in ("a", "b"):
        client.place("BUY", *worth(client, 100, away=3), newClientOrderId=name)
    assert [order["origClientOrderId"] for order in client.ask("openOrders.cancelAll")["result"]] == ["a", "b"]


def test_a_session_may_log_on_instead_of_signing(client: Client) -> None:
    fresh = Client(client.venue, Credentials.invent(random.Random(2)))
    assert fresh.ask("session.logon")["result"]["apiKey"] == fresh.owner.api_key
    fresh.session.handle('{"id": "s", "method": "userDataStream.subscribe"}', False)
    assert fresh.inbox[-1] == {
        "id": "s",
        "status": 200,
        "result": {"subscriptionId": 0},
        "rateLimits": fresh.inbox[-1]["rateLimits"],
    }
    assert fresh.ask("userDataStream.subscribe.signature")["error"]["code"] == -2035
    assert fresh.ask("session.logout")["result"]["apiKey"] is None
    fresh.session.close()
    assert not fresh.venue.account(fresh.owner.api_key).is_heard


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"symbol": "NOPE"}, -1121),
        ({"side": "HOLD"}, -1117),
        ({"type": "ICEBERG"}, -1116),
        ({"timeInForce": "GTX"}, -1115),
        ({"timeInForce": None}, -1102),
        ({"price": None}, -1102),
        ({"price": "1e5"}, -1100),
        ({"quantity": "-1"}, -1100),
        ({"quantity": "0"}, -1013),
        ({"newClientOrderId": "no blanks"}, -1100),
        ({"apiKey": "short"}, -2014),
        ({"signature": "0"}, -1022),
        ({"timestamp": int(time.time() * 1000) - 60_000}, -1021),
    ],
)
def test_bad_orders_are_refused(client: Client, change: dict[str, Any], code: int) -> None:
    quantity, price = worth(client, 100, away=2)
    order = {"symbol": client.symbol, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "newClientOrderId": "bad"}
    params = client.owner.sign(order | {"quantity": str(quantity), "price": str(price)}) | change
    client.session.handle(json.dumps({"id": "x", "method": "order.place", "params": params}), False)
    assert client.inbox[-1]["id"] == "x"
    assert (client.inbox[-1]["status"], client.inbox[-1]["error"]["code"]) == (400, code)
    (refusal,) = client.venue.truth()["refusals"]
    assert (refusal["request_id"], refusal["code"]) == ("x", code)
    assert not client.reports()


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)
)
names = st.sampled_from(("symbol", "side", "orderId", "origClientOrderId", "newQty", "recvWindow", "subscriptionId", "price"))
methods = st.sampled_from(("order.place", "order.cancel", "order.cancelReplace", "order.amend.keepPriority"))


@settings(max_examples=100, deadline=None)
@given(methods | st.just("userDataStream.unsubscribe") | st.text(max_size=5), st.dictionaries(names, values))
def test_nonsense_gets_an_error_not_an_exception(method: str, params: dict[str, Any]) -> None:
    client = Client(Venue(Binance(), 1, 1), Credentials.invent(random.Random(3)))
    for change in ({}, {"symbol": client.symbol}):
        signed = client.owner.sign({}) | {"side": "BUY", "type": "LIMIT", "quantity": "1", "price": "1"} | params | change
        client.session.handle(json.dumps({"id": 1, "method": method, "params": signed}), False)
        assert "error" in client.inbox[-1] or method in ("time", "ping", "userDataStream.unsubscribe")


@pytest.mark.parametrize("text", ["", "[]", "{", b"\xff", '{"params": 3}', "[" * 100_000])
def test_what_is_no_request_is_said_to_be_none(text: str | bytes) -> None:
    inbox: list[str] = []
    ApiSession(Venue(Binance(), 1, 1), inbox.append).handle(text, False)
    StreamSession(Venue(Binance(), 1, 1), inbox.append, combined=False).handle(text)
    api, stream = map(json.loads, inbox)
    assert api["error"]["code"] == -1135
    assert stream["code"] == 3


def test_market_streams_start_and_stop(venue: Venue, client: Client) -> None:
    inbox: list[dict[str, Any]] = []
    session = StreamSession(venue, lambda text: inbox.append(json.loads(text)), combined=True)
    streams = [f"{client.symbol.lower()}@{kind}" for kind in ("bookTicker", "trade")]
    session.handle(json.dumps({"method": "SUBSCRIBE", "params": streams, "id": 3}))
    assert inbox == [{"result": None, "id": 3}]
    for _ in range(20):
        venue.tick(client.symbol, 0.5)
    by_stream = {message["stream"]: list(message["data"]) for message in inbox[1:]}
    assert by_stream == {streams[0]: list("usbBaA"), streams[1]: list("eEstpqTmM")}
    session.handle(json.dumps({"method": "UNSUBSCRIBE", "params": streams[:1], "id": 4}))
    session.handle(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": 5}))
    assert inbox[-1] == {"result": streams[1:], "id": 5}
    session.close()
    count = len(inbox)
    venue.tick(client.symbol, 0.5)
    assert len(inbox) == count
    assert not venue.market_sinks


def test_depth_events_rebuild_the_book(venue: Venue, client: Client) -> None:
    feed, inbox = DepthFeed(venue, "depth"), []
    StreamSession(venue, lambda text: inbox.append(json.loads(text)), combined=False).subscribe(
        [f"{client.symbol.lower()}@depth"]
    )
    book = venue.books[client.symbol]
    sides = {"b": dict(book.levels("BUY")), "a": dict(book.levels("SELL"))}
    feed.publish()  # where it begins
    for _ in range(30):
        venue.tick(client.symbol, 0.5)
        client.place("BUY", *worth(client, 50, away=3))
        feed.publish()
    assert len(inbox) > 20
    for before, after in itertools.pairwise(inbox):
        assert after["U"] == before["u"] + 1
    for event in inbox:
        for key, levels in sides.items():
            levels.update({Decimal(price): Decimal(quantity) for price, quantity in event[key]})
    left = {key: {price: quantity for price, quantity in levels.items() if quantity} for key, levels in sides.items()}
    assert left == {"b": book.levels("BUY"), "a": book.levels("SELL")}

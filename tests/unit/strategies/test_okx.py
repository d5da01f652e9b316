"""OKX's private and public websockets without a socket: requests in, answers and pushes out."""

from __future__ import annotations

import json
import random
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies.credentials import Credentials
from strategies.okx.dialect import Okx
from strategies.okx.session import OkxSession
from strategies.okx.trader import OkxTrader
from strategies.venue import Venue


class Client:
    """A session that has logged in, and what it was sent."""

    def __init__(self, venue: Venue, owner: Credentials) -> None:
        self.venue, self.owner = venue, owner
        self.inbox: list[dict[str, Any]] = []
        self.session = OkxSession(venue, lambda text: self.inbox.append(json.loads(text)))
        self.symbol = next(iter(venue.books))
        self.book = venue.books[self.symbol]
        self.say(OkxTrader("s", self.book.instrument, owner).opening())
        self.say({"op": "subscribe", "args": [{"channel": "orders", "instType": "SPOT"}, {"channel": "fills"}]})

    def say(self, message: object, events_first: bool = False) -> None:
        self.session.handle(message if isinstance(message, str) else json.dumps(message), events_first)

    def ask(self, op: str, *args: dict[str, Any]) -> dict[str, Any]:
        before = len(self.inbox)
        self.say({"id": "q1", "op": op, "args": [{"instIdCode": self.book.instrument.code} | arg for arg in args]})
        (answer,) = (message for message in self.inbox[before:] if "op" in message or message.get("event") == "error")
        return answer

    def order(self, side: str, worth: int, away: int = 0, **more: Any) -> dict[str, Any]:
        """An order `away` ticks below the middle."""
        price = self.book.crowd.mid - away * self.book.instrument.tick
        size = self.book.instrument.to_lot(worth / price)
        return {"tdMode": "cash", "side": side, "ordType": "limit", "px": str(price), "sz": str(size)} | more

    def pushed(self, channel: str = "orders") -> list[dict[str, Any]]:
        return [
            row for one in self.inbox if "data" in one and one.get("arg", {}).get("channel") == channel for row in one["data"]
        ]


@pytest.fixture
def venue() -> Venue:
    return Venue(Okx(), assets=2, seed=4)


@pytest.fixture
def client(venue: Venue) -> Client:
    return Client(venue, Credentials.invent(random.Random(1)))


def test_a_login_and_subscriptions_are_confirmed(client: Client) -> None:
    assert [message["event"] for message in client.inbox] == ["login", "subscribe", "subscribe"]
    assert (client.inbox[0]["code"], client.inbox[0]["msg"]) == ("0", "")
    assert {client.owner.api_key, client.owner.passphrase} < set(client.venue.truth()["secrets"])
    client.session.close()
    assert not client.venue.account(client.owner.api_key).is_heard


def test_without_a_login_there_are_no_orders(venue: Venue) -> None:
    inbox: list[dict[str, Any]] = []
    session = OkxSession(venue, lambda text: inbox.append(json.loads(text)))
    for message in (
        {"op": "login", "args": [{"apiKey": "k"}]},
        {"op": "subscribe", "args": [{"channel": "orders", "instType": "SPOT"}]},
        {"id": "1", "op": "order", "args": [{}]},
    ):
        session.handle(json.dumps(message), False)
    assert [message["code"] for message in inbox] == ["60009", "60011", "60011"]
    assert inbox[-1]["id"] == "1"


def test_an_order_is_answered_pushed_and_told_by_name_though_asked_for_by_number(client: Client) -> None:
    asked = client.order("buy", 100, away=2, clOrdId="first")
    answer = client.ask("order", asked)
    (result,) = answer["data"]
    assert (answer["id"], answer["op"], answer["code"], result["sCode"], result["clOrdId"]) == (
        "q1",
        "order",
        "0",
        "0",
        "first",
    )
    (live,) = client.pushed()
    assert (live["state"], live["ordId"], live["instId"], live["fillSz"]) == ("live", result["ordId"], client.symbol, "0")
    assert (live["px"], live["sz"]) == (f"{Decimal(asked['px']).normalize():f}", f"{Decimal(asked['sz']).normalize():f}")
    assert client.inbox[-1]["arg"]["uid"].isdecimal()


def test_a_fill_is_told_on_both_channels_and_fees_are_below_zero(client: Client) -> None:
    client.ask("order", client.order("buy", 100, away=-3, clOrdId="taker"))
    live, *filled = client.pushed()
    last, fill = filled[-1], client.pushed("fills")[-1]
    assert (live["state"], last["state"], last["execType"]) == ("live", "filled", "T")
    assert (last["tradeId"], last["fillPx"], last["fillSz"]) == (fill["tradeId"], fill["fillPx"], fill["fillSz"])
    assert Decimal(last["fillFee"]) == -Decimal(client.venue.truth()["fills"][-1]["fee"]) < 0
    assert last["fillFeeCcy"] == client.book.instrument.base
    assert "fee" not in fill
    assert sum(Decimal(row["fillSz"]) for row in filled) == Decimal(last["accFillSz"]) == Decimal(last["sz"])


def test_an_amended_price_and_a_cancel(client: Client) -> None:
    client.ask("order", client.order("buy", 100, away=9, clOrdId="a"))
    price = client.order("buy", 100, away=8)["px"]
    (result,) = client.ask("amend-order", {"clOrdId": "a", "newPx": price, "reqId": "r"})["data"]
    assert (result["sCode"], result["reqId"]) == ("0", "r")
    amended = client.pushed()[-1]
    assert (amended["amendResult"], Decimal(amended["px"]), amended["state"]) == ("0", Decimal(price), "live")
    client.ask("cancel-order", {"ordId": amended["ordId"]})
    ended = client.pushed()[-1]
    assert (ended["state"], ended["cancelSource"], ended["clOrdId"]) == ("canceled", "1", "a")
    assert [client.ask(op, {"clOrdId": "a", "newPx": price})["data"][0]["sCode"] for op in ("cancel-order", "amend-order")] == [
        "51400",
        "51503",
    ]


def test_an_id_that_none_can_have_is_of_no_order(client: Client) -> None:
    for order_id in ("9" * 5000, "12"):
        assert client.ask("cancel-order", {"ordId": order_id, "clOrdId": "a"})["data"][0]["sCode"] == "51400"


@pytest.mark.parametrize(("kind", "away", "source"), [("post_only", -3, "31"), ("ioc", 9, "14"), ("fok", 9, "13")])
def test_an_order_that_ends_at_once_says_why(client: Client, kind: str, away: int, source: str) -> None:
    answer = client.ask("order", client.order("buy", 100, away=away, ordType=kind))
    assert answer["code"] == "0"
    live, ended = client.pushed()
    assert (live["state"], ended["state"], ended["cancelSource"], ended["ordType"]) == ("live", "canceled", source, kind)


def test_a_batch_may_fail_in_part(client: Client) -> None:
    good, bad = client.order("buy", 100, away=5, clOrdId="good"), client.order("buy", 100, away=5, sz="0", clOrdId="bad")
    answer = client.ask("batch-orders", good, bad)
    assert (answer["code"], [result["sCode"] for result in answer["data"]]) == ("2", ["0", "51000"])
    assert client.ask("batch-orders", bad, bad)["code"] == "1"
    assert client.ask("batch-cancel-orders", {"clOrdId": "good"})["code"] == "0"
    assert client.ask("order", good, good)["code"] == "60012"  # one order that is two
    assert [refusal["client_order_id"] for refusal in client.venue.truth()["refusals"]] == ["bad"] * 3


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"instIdCode": None, "instId": "BTC-USDT"}, "50014"),
        ({"instIdCode": 1}, "51001"),
        ({"side": "hold"}, "51000"),
        ({"ordType": "iceberg"}, "51000"),
        ({"tdMode": "cross"}, "51000"),
        ({"ordType": "market"}, "51000"),  # of a buy, for an amount of quote currency
        ({"clOrdId": "no-dashes"}, "51000"),
        ({"px": "NaN"}, "51000"),
        ({"px": 5}, "51000"),
        ({"px": "1_0"}, "51000"),
        ({"sz": "1e30"}, "51000"),
        ({"sz": "0.00000000001"}, "51121"),
        ({"px": "1000000000"}, "51006"),
    ],
)
def test_bad_orders_are_refused(client: Client, change: dict[str, Any], code: str) -> None:
    (result,) = client.ask("order", client.order("buy", 100, away=5) | change)["data"]
    assert (result["sCode"], result["ordId"]) == (code, "")
    assert result["sMsg"]
    assert not client.pushed()


def test_market_data_and_instruments(venue: Venue, client: Client) -> None:
    arg = {"channel": "bbo-tbt", "instId": client.symbol}
    client.say({"op": "subscribe", "args": [arg, {"channel": "trades", "instId": client.symbol}]})
    client.say({"op": "subscribe", "args": [{"channel": "instruments", "instType": "SPOT"}, {"channel": "none"}]})
    assert client.inbox[-1]["code"] == "60018"
    assert {row["instId"]: row["instIdCode"] for row in client.pushed("instruments")} == {
        symbol: book.instrument.code for symbol, book in venue.books.items()
    }
    for _ in range(20):
        venue.tick(client.symbol, 0.5)
    tops, trades = client.pushed("bbo-tbt"), client.pushed("trades")
    assert all(Decimal(top["bids"][0][0]) < Decimal(top["asks"][0][0]) for top in tops)
    assert {trade["side"] for trade in trades} <= {"buy", "sell"} != set()
    client.say({"op": "unsubscribe", "args": [arg]})
    venue.tick(client.symbol, 0.5)
    assert len(client.pushed("bbo-tbt")) == len(tops) > 0
    client.session.close()
    assert not venue.market_sinks


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(("channel", "instId", "sz")), inner, max_size=2)
    ),
)
names = st.sampled_from(
    ("instId", "instIdCode", "side", "ordType", "px", "sz", "clOrdId", "ordId", "newSz", "newPx", "channel")
)
ops = st.sampled_from(("order", "cancel-order", "amend-order", "batch-orders", "login", "subscribe", "unsubscribe"))


@settings(max_examples=150, deadline=None)
@given(ops | values, st.dictionaries(names, values), st.booleans())
def test_nonsense_gets_an_error_not_an_exception(op: object, arg: dict[str, Any], whole: bool) -> None:
    client = Client(Venue(Okx(), 1, 1), Credentials.invent(random.Random(3)))
    count = len(client.inbox)
    client.say({"id": 1, "op": op, "args": [client.order("buy", 100, away=5) | arg if whole else arg]})
    assert len(client.inbox) > count


@pytest.mark.parametrize("text", ["", "[]", "{", b"\xff", '{"op": "order"}', "[" * 100_000, "3"])
def test_what_is_no_request_is_said_to_be_none(client: Client, text: str | bytes) -> None:
    client.session.handle(text, False)
    assert (client.inbox[-1]["event"], client.inbox[-1]["code"]) == ("error", "60012")


def test_a_ping_is_answered(venue: Venue) -> None:
    inbox: list[str] = []
    OkxSession(venue, inbox.append).handle("ping", False)
    assert inbox == ["pong"]

"""Bitfinex's websocket without a socket: inputs in, notifications and events out."""

from __future__ import annotations

import json
import random
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies.bitfinex.dialect import Bitfinex
from strategies.bitfinex.session import BitfinexSession
from strategies.bitfinex.texts import array, number
from strategies.bitfinex.trader import BitfinexTrader
from strategies.credentials import Credentials
from strategies.venue import Venue


class Client:
    """A session that has logged in, and what it was sent."""

    def __init__(self, venue: Venue, owner: Credentials) -> None:
        self.venue, self.owner = venue, owner
        self.inbox: list[Any] = []
        self.session = BitfinexSession(venue, lambda text: self.inbox.append(json.loads(text, parse_float=Decimal)))
        self.symbol = next(iter(venue.books))
        self.book = venue.books[self.symbol]
        self.session.handle(BitfinexTrader("s", self.book.instrument, owner).opening(), False)
        self.cid = 0

    def ask(self, name: str, details: object) -> list[Any]:
        """The notification that answers an input."""
        before = len(self.inbox)
        self.session.handle(json.dumps([0, name, None, details]), True)
        return next(message[2] for message in self.inbox[before:] if message[1] == "n")  # type: ignore[no-any-return]

    def order(self, sign: int, worth: int, away: int = 0, kind: str = "EXCHANGE LIMIT", **more: Any) -> dict[str, Any]:
        """An order `away` ticks below the middle."""
        price = self.book.crowd.mid - away * self.book.instrument.tick
        self.cid += 1
        amount = number(sign * self.book.instrument.to_lot(worth / price))
        return {"cid": self.cid, "type": kind, "symbol": self.symbol, "amount": amount, "price": number(price)} | more

    def told(self, *kinds: str) -> list[tuple[str, list[Any]]]:
        return [(one[1], one[2]) for one in self.inbox if isinstance(one, list) and one[0] == 0 and one[1] in kinds]


@pytest.fixture
def venue() -> Venue:
    return Venue(Bitfinex(), assets=2, seed=4)


@pytest.fixture
def client(venue: Venue) -> Client:
    return Client(venue, Credentials.invent(random.Random(1)))


def test_a_login_brings_snapshots(client: Client) -> None:
    info, auth, *snapshots = client.inbox
    assert (info["event"], info["version"], auth["event"], auth["status"], auth["chanId"]) == ("info", 2, "auth", "OK", 0)
    assert [message[1] for message in snapshots] == ["ps", "ws", "os"]
    client.ask("on", client.order(1, 100, away=5))
    second = Client(client.venue, client.owner)
    ((_, orders),) = second.told("os")
    assert [order[2] for order in orders] == [1]
    client.session.close()
    second.session.close()
    assert not client.venue.account(client.owner.api_key).is_heard


def test_an_order_is_answered_before_its_events(client: Client) -> None:
    asked = client.order(-1, 100, away=-5)
    notice = client.ask("on", asked)
    order = notice[4]
    assert (notice[1], notice[6], len(order)) == ("on-req", "SUCCESS", 32)
    ((_, told),) = client.told("on")
    assert told == order
    assert (told[2], told[3], told[8], told[13]) == (asked["cid"], client.symbol, "EXCHANGE LIMIT", "ACTIVE")
    assert told[6] == told[7] == Decimal(asked["amount"]) < 0
    assert Decimal(told[16]) == Decimal(asked["price"])
    assert [one[1] for one in client.inbox[-3:]] == ["n", "on", "wu"]


def test_a_fill_is_told_without_and_with_its_fee(client: Client) -> None:
    client.ask("on", client.order(1, 100, away=-3))
    (te, first), (end, order), (tu, second) = client.told("te", "ou", "oc", "tu")[-3:]
    assert (te, end, tu) == ("te", "oc", "tu")
    assert first[:9] == second[:9]
    assert (first[9], first[11]) == (None, client.cid)
    fill = client.venue.truth()["fills"][-1]
    assert (-second[9], second[10], second[8]) == (Decimal(fill["fee"]), client.book.instrument.base, -1)
    assert second[9] < 0
    assert (order[6], order[13].partition(" @")[0]) == (0, "EXECUTED")


def test_an_update_says_what_shall_be_left(client: Client) -> None:
    client.ask("on", client.order(1, 100, away=9))
    ((_, order),) = client.told("on")
    left = client.book.instrument.to_lot(Decimal(order[7]) / 2)
    price = client.book.crowd.mid - 8 * client.book.instrument.tick
    notice = client.ask("ou", {"id": order[0], "amount": number(left), "price": number(price)})
    ((_, after),) = client.told("ou")
    assert (notice[1], notice[6], notice[4]) == ("ou-req", "SUCCESS", after)
    assert (after[6], after[7], Decimal(after[16]), after[13]) == (left, left, price, "ACTIVE")
    client.ask("ou", {"id": order[0], "delta": number(left)})
    assert client.told("ou")[-1][1][7] == 2 * left
    notice = client.ask("oc", {"id": order[0]})
    assert (notice[1], notice[4][0], notice[4][13]) == ("oc-req", order[0], "ACTIVE")
    ((_, ended),) = client.told("oc")
    assert ended[13] == "CANCELED"
    assert [client.ask(name, {"id": order[0], "amount": "1"})[7] for name in ("oc", "ou")] == ["Order not found."] * 2


@pytest.mark.parametrize(
    ("kind", "away", "more", "status"),
    [
        ("EXCHANGE LIMIT", -3, {"flags": 4096}, "POSTONLY CANCELED"),
        ("EXCHANGE IOC", 9, {}, "IOC CANCELED"),
        ("EXCHANGE FOK", 9, {}, "FILLORKILL CANCELED"),
    ],
)
def test_an_order_that_ends_at_once_says_why(client: Client, kind: str, away: int, more: dict[str, int], status: str) -> None:
    assert client.ask("on", client.order(1, 100, away, kind, **more))[6] == "SUCCESS"
    (_, new), (_, ended) = client.told("on", "oc")
    assert (new[13], ended[13], ended[8]) == ("ACTIVE", status, kind)


def test_several_operations_are_answered_one_by_one(client: Client) -> None:
    client.ask("on", client.order(1, 100, away=9))
    ((_, old),) = client.told("on")
    notice = client.ask(
        "ox_multi", [["oc", {"id": old[0]}], ["on", client.order(1, 100, away=8)], ["oc", {"id": 5}], ["no", 3]]
    )
    assert (notice[1], notice[6]) == ("ox_multi-req", "SUCCESS")
    assert [(one[1], one[6]) for one in notice[4]] == [
        ("oc-req", "SUCCESS"),
        ("on-req", "SUCCESS"),
        ("oc-req", "ERROR"),
        ("no-req", "ERROR"),
    ]
    today = {"cid": client.cid, "cid_date": "2026-01-01"}
    assert client.ask("oc", today)[6] == "SUCCESS"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"symbol": "tNOPE"}, "symbol: invalid"),
        ({"type": "EXCHANGE STOP"}, "type: invalid"),
        ({"amount": "0"}, "amount: invalid"),
        ({"amount": 1}, "amount: invalid"),
        ({"price": "1e5"}, "price: invalid"),
        ({"price": None}, "price: invalid"),
        ({"amount": "100000000"}, "Invalid order: not enough exchange balance"),
    ],
)
def test_bad_orders_are_refused_with_nulls(client: Client, change: dict[str, Any], text: str) -> None:
    notice = client.ask("on", client.order(1, 100, away=5) | change)
    assert (notice[1], notice[6], notice[7]) == ("on-req", "ERROR", text)
    assert notice[4][:4] == [None, None, client.cid, None]
    assert not client.told("on")
    (refusal,) = client.venue.truth()["refusals"]
    assert (refusal["client_order_id"], refusal["message"]) == (client.cid, text)


def test_public_trades_have_channels_of_their_own(venue: Venue, client: Client) -> None:
    for channel in ("ticker", "trades", "candles"):
        client.session.handle(json.dumps({"event": "subscribe", "channel": channel, "symbol": client.symbol}), False)
    ticker, trades, refused = client.inbox[-3:]
    assert (ticker["event"], trades["pair"], refused["code"]) == ("subscribed", client.symbol[1:], 10302)
    for _ in range(20):
        venue.tick(client.symbol, 0.5)
    tops = [one[1] for one in client.inbox if isinstance(one, list) and one[0] == ticker["chanId"]]
    assert all(len(top) == 10 and top[0] < top[2] for top in tops)
    assert tops
    told = [one[1:] for one in client.inbox if isinstance(one, list) and one[0] == trades["chanId"]]
    assert [kind for kind, _ in told[:2]] == ["te", "tu"]
    assert told[0][1] == told[1][1]
    client.session.close()
    assert not venue.market_sinks


@pytest.mark.parametrize(
    ("value", "text"),
    [("1.500", "1.5"), ("100", "100"), ("0.000001", "0.000001"), ("-0.00000012", "-1.2e-7"), ("0", "0"), ("1E+3", "1000")],
)
def test_numbers_are_javascripts(value: str, text: str) -> None:
    assert number(Decimal(value)) == text
    assert array(["a", Decimal(value), None, {"b": [Decimal(value)]}]) == f'["a",{text},null,{{"b":[{text}]}}]'


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(("id", "cid")), inner, max_size=2),
)
names = st.sampled_from(("id", "cid", "cid_date", "type", "symbol", "amount", "delta", "price", "flags"))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(("on", "ou", "oc", "ox_multi")) | values, st.dictionaries(names, values) | values, st.booleans())
def test_nonsense_gets_an_error_not_an_exception(name: object, details: Any, whole: bool) -> None:
    client = Client(Venue(Bitfinex(), 1, 1), Credentials.invent(random.Random(3)))
    count = len(client.inbox)
    if whole and isinstance(details, dict):
        details = client.order(1, 100, away=5) | details
    client.session.handle(json.dumps([0, name, None, details]), False)
    assert len(client.inbox) > count


@pytest.mark.parametrize("text", ["", "[]", "{", b"\xff", "3", "[1,2,3,4]", '{"event": "unknown"}', "[" * 100_000])
def test_what_is_no_input_is_said_to_be_none(client: Client, text: str | bytes) -> None:
    client.session.handle(text, False)
    assert (client.inbox[-1]["event"], client.inbox[-1]["code"]) == ("error", 10000)


def test_a_login_that_lacks_something_is_refused(venue: Venue) -> None:
    inbox: list[Any] = []
    session = BitfinexSession(venue, lambda text: inbox.append(json.loads(text)))
    session.handle('{"event": "auth", "apiKey": "k"}', False)
    assert (inbox[-1]["status"], inbox[-1]["code"]) == ("FAILED", 10100)
    session.handle('[0,"on",null,{}]', False)
    assert inbox[-1]["event"] == "error"
    session.handle('{"event": "ping", "cid": 7}', False)
    assert (inbox[-1]["event"], inbox[-1]["cid"]) == ("pong", 7)

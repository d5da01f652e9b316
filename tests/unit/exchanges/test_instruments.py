from __future__ import annotations

from sniffer.exchanges.base import Bounded, ConnectionFacts
from sniffer.exchanges.instruments import Instruments


def test_what_one_connection_learns_all_know() -> None:
    shared: Bounded[str] = Bounded(8)
    lists = Instruments(ConnectionFacts(1, instruments=shared), "okx")
    orders = Instruments(ConnectionFacts(2, instruments=shared), "okx")
    assert orders.symbol(10458) == "10458"
    assert lists.learn(10458, "BTC-USDT")
    assert orders.symbol(10458) == orders.symbol("10458") == "BTC-USDT"


def test_news_only() -> None:
    lists = Instruments(ConnectionFacts(), "okx")
    assert lists.learn("7", "A-B")
    assert not lists.learn(7, "A-B")
    assert lists.learn(7, "A-C")


def test_venues_are_told_apart() -> None:
    shared: Bounded[str] = Bounded(8)
    Instruments(ConnectionFacts(instruments=shared), "okx").learn(0, "BTC-USDT")
    assert Instruments(ConnectionFacts(instruments=shared), "hyperliquid").symbol(0) == "0"


def test_bounded() -> None:
    lists = Instruments(ConnectionFacts(instruments=Bounded(2)), "okx")
    for number in range(3):
        lists.learn(number, f"S{number}")
    assert [lists.symbol(number) for number in range(3)] == ["0", "S1", "S2"]

from __future__ import annotations

from sniffer.config import SECOND
from sniffer.wire.losses import LossLedger


def add(ledger: LossLedger, at: int) -> None:
    ledger.add("client", "tcp", "not captured", from_time=at, to_time=at + 1, offset=at, length=5)


def tally(ledger: LossLedger, at: int, messages: int | None = 1) -> None:
    ledger.tally("server", "deflate", "poisoned", time=at, offset=at, length=10, messages=messages)


def test_each_loss_is_a_row() -> None:
    ledger = LossLedger("capture", 7)
    add(ledger, 1)
    add(ledger, 2)
    assert [(row.connection_id, row.sender, row.stream_offset, row.bytes) for row in ledger.rows] == [
        (7, "client", 1, 5),
        (7, "client", 2, 5),
    ]
    assert ledger.unreadable == 10


def test_the_same_trouble_is_a_row_a_minute() -> None:
    ledger = LossLedger("capture", 7)
    for second in range(150):
        tally(ledger, second * SECOND)
    ledger.finish()
    assert [(row.from_time, row.to_time, row.bytes, row.messages) for row in ledger.rows] == [
        (0, 59 * SECOND, 600, 60),
        (60 * SECOND, 119 * SECOND, 600, 60),
        (120 * SECOND, 149 * SECOND, 300, 30),
    ]
    assert ledger.unreadable == 1500


def test_a_tally_becomes_a_row_when_its_minute_is_over() -> None:
    ledger = LossLedger("capture", 7)
    tally(ledger, 0)
    ledger.expire(59 * SECOND)
    assert not ledger.rows
    assert ledger.running
    ledger.expire(60 * SECOND)
    assert len(ledger.rows) == 1
    assert not ledger.running


def test_an_unknown_number_of_messages_stays_unknown() -> None:
    ledger = LossLedger("capture", 7)
    tally(ledger, 0)
    tally(ledger, 1, None)
    tally(ledger, 2)
    ledger.finish()
    assert ledger.rows[0].messages is None


def test_rows_wait_until_it_is_known_who_is_the_client() -> None:
    ledger = LossLedger("capture", 7)
    ledger.guess()
    add(ledger, 1)
    tally(ledger, 2)
    assert not ledger.rows
    ledger.decide(swapped=True)
    ledger.finish()
    assert [row.sender for row in ledger.rows] == ["server", "client"]


def test_rows_do_not_wait_without_bound() -> None:
    ledger = LossLedger("capture", 7)
    ledger.guess()
    for at in range(1000):
        add(ledger, at)
    assert len(ledger.rows) == 1000

"""Facts of who has which connection, joined to connections: in any order, however cut, stopped and gone on."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sniffer.capture.journal_writer import JournalWriter
from sniffer.capture.owner import Endpoints, Owner
from sniffer.capture.ownership import Owned, to_comment
from sniffer.capture.segment import segments
from sniffer.config import SECOND, Settings
from sniffer.model import ConnectionRow, Packet
from sniffer.owners import Owners
from sniffer.snapshot import KEPT, SUFFIX
from tests.loading import Memory, Source, load, packets_of
from tests.unit.test_snapshot import Loader

SEED = random.randrange(1 << 32)
CAPTURE = "websocket/binance-orders.pcap"
ENDS: Endpoints = ("192.0.2.1", 40000, "198.51.100.1", 443)
FIRST, SECOND_ONE = Owner(7, "python", "grid"), Owner(8, "node", "maker")

pytestmark = pytest.mark.usefixtures("settings_folder")


class Told(Source):
    """Packets, and facts that stand before packets of these numbers."""

    def __init__(self, packets: Sequence[Packet], facts: Sequence[tuple[int, Owned]], block: int = 1000) -> None:
        super().__init__(packets, block, identity="one")
        self.owners: list[Owned] = []
        self._facts = facts

    def blocks(self) -> Iterator[list[Packet]]:
        done = -1
        for block in super().blocks():
            at = done + len(block) + (done < 0)
            self.owners += [owned for number, owned in self._facts if done < number <= at]
            done = at
            yield block
        self.owners += [owned for number, owned in self._facts if number > done]


def ends_of(row: ConnectionRow) -> Endpoints:
    return row.client_ip, row.client_port, row.server_ip, row.server_port


def told(memory: Memory) -> dict[Endpoints, tuple[int | None, str | None, str | None]]:
    rows = [ConnectionRow(*row) for row in memory.connections.values()]
    return {ends_of(row): (row.pid, row.process, row.strategy) for row in rows}


def plan(packets: Sequence[Packet]) -> tuple[list[Owned], dict[Endpoints, tuple[int, str, str]]]:
    """A fact for each connection of `packets`, and the owners that the rows are to have."""
    plain = Memory()
    load(plain, Source(packets))
    assert set(told(plain).values()) == {(None, None, None)}
    rows = [ConnectionRow(*row) for row in plain.connections.values()]
    facts = [Owned(row.opened_at + 1, ends_of(row), Owner(100 + n, "python", f"s-{n}")) for n, row in enumerate(rows)]
    return facts, {fact.ends: (fact.owner.pid, fact.owner.process, fact.owner.strategy) for fact in facts}


@pytest.mark.parametrize("number", range(10))
def test_wherever_a_fact_stands(number: int) -> None:
    print(f"seed {SEED + number}")
    rng = random.Random(SEED + number)
    packets = packets_of(CAPTURE)
    facts, expected = plan(packets)
    placed = sorted(((rng.randint(0, len(packets)), fact) for fact in facts), key=lambda one: one[0])
    found = Memory()
    if rng.random() < 0.5:
        stop = rng.randint(1, len(packets))
        load(found, Told(packets[:stop], [one for one in placed if one[0] <= stop], rng.randint(1, 20)))
    load(found, Told(packets, placed, rng.randint(1, 20)))
    assert told(found) == expected


def test_a_loader_that_is_killed_and_goes_on_from_snapshots(tmp_path: Path) -> None:
    """The facts stand in the journal's first segment, which is gone when the loader goes on."""
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    packets = packets_of(CAPTURE)
    facts, expected = plan(packets)
    writer = JournalWriter(tmp_path, [("lo", 1)], segment_bytes=4096)
    for fact in facts:
        writer.statistics(None, to_comment(fact))
    memory = Memory()
    loader = Loader(tmp_path, memory, Settings(keep="all"))
    at = 0
    while at < len(packets):
        step = rng.randrange(1, 40)
        writer.write(packets[at : at + step])
        at += step
        loader.run(rng.choice((None, 0, 1, 2, 3)))
        kept = [int(path.stem) for path in tmp_path.glob(f"*{SUFFIX}")]
        for number, path in segments(tmp_path):
            if len(kept) == KEPT and number < min(kept):  # of one snapshot alone it is not sure that it can be used
                path.unlink()
    writer.close()
    loader.run()
    assert segments(tmp_path)[0][0] > 1
    assert told(memory) == expected


# --- which connection a fact is about ---


def connection(number: int = 1, opened: int = 10 * SECOND, closed: int | None = None, joined_midway: bool = False) -> Any:
    return SimpleNamespace(
        id=number,
        client_address=ENDS[:2],
        server_address=ENDS[2:],
        opened_at=opened,
        closed_at=closed,
        joined_midway=joined_midway,
    )


def test_a_fact_after_the_connection_and_before_it() -> None:
    owners, one = Owners(), connection()
    assert owners.of(one) is None
    assert owners.note([Owned(11 * SECOND, ENDS, FIRST)], [one]) == [one]
    assert owners.of(one) == FIRST
    assert owners.note([Owned(12 * SECOND, ENDS, SECOND_ONE)], [one]) == []
    assert owners.of(one) == FIRST, "the first one counts"
    assert owners.of(connection(2, 12 * SECOND)) == SECOND_ONE


def test_an_earlier_connection_with_the_same_ends() -> None:
    owners = Owners()
    assert owners.note([Owned(9 * SECOND, ENDS, FIRST)], [connection()]) == []
    assert owners.of(connection()) is None
    assert owners.of(connection(2, joined_midway=True)) == FIRST, "it was there before its first packet was seen"


def test_a_later_connection_with_the_same_ends() -> None:
    owners = Owners()
    owners.note([Owned(30 * SECOND, ENDS, FIRST)], [])
    assert owners.of(connection(closed=20 * SECOND)) is None
    assert owners.of(connection(2, opened=29 * SECOND)) == FIRST


def test_the_server_s_end_is_another_matter() -> None:
    owners = Owners()
    owners.note([Owned(11 * SECOND, (*ENDS[2:], *ENDS[:2]), FIRST)], [connection()])
    assert owners.of(connection()) is None


def test_what_has_ended_is_forgotten() -> None:
    owners, one = Owners(), connection()
    owners.note([Owned(11 * SECOND, ENDS, FIRST)], [one])
    owners.forget(one.id)
    owners.note([Owned(12 * SECOND, ENDS, SECOND_ONE)], [])
    assert owners.of(connection(2)) == SECOND_ONE

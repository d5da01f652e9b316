"""The channel from the process that looks owners up to the one that journals them: nobody waits, nothing grows."""

from __future__ import annotations

import select

import pytest

from sniffer.capture.owner import Owner
from sniffer.capture.ownership import Owned
from sniffer.config import Settings
from sniffer.errors import JournalError
from sniffer.sidecar import owners
from sniffer.sidecar.board import Board
from sniffer.sidecar.capture import Capture
from sniffer.sidecar.owners import LONGEST, Channel, look
from sniffer.sidecar.privileges import LOOK_AT_PROCESSES


def readable(channel: Channel) -> bool:
    return select.select([channel], [], [], 0)[0] == [channel]


def test_what_is_put_is_taken_in_order() -> None:
    channel = Channel()
    assert not readable(channel)
    assert list(channel.take(10)) == []
    for text in ("one", "zwei \u00fc", "three"):
        channel.put(text)
    assert readable(channel)
    assert list(channel.take(2)) == ["one", "zwei \u00fc"]
    assert list(channel.take(2)) == ["three"]
    assert not readable(channel)


def test_a_reader_that_sleeps_holds_nobody_up() -> None:
    channel = Channel()
    for number in range(3000):
        channel.put(f"{number} " + "x" * 500)
    taken: list[str] = []
    while readable(channel):
        taken += channel.take(100)
        channel.push()
    assert [int(text.split()[0]) for text in taken] == list(range(3000))


def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owners, "WAITING", 5)
    channel = Channel()
    for number in range(3000):
        channel.put(f"{number} " + "x" * LONGEST)
    taken: list[str] = []
    while readable(channel):
        taken += channel.take(100)
        channel.push()
    numbers = [int(text.split()[0]) for text in taken]
    assert len(numbers) < 2900
    assert numbers == sorted(numbers)
    assert numbers[-5:] == list(range(2995, 3000)), "the latest ones stay"


def test_the_process_looks_until_it_is_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """And gives up what it needs not, before it looks at all."""
    happened: list[object] = []
    owned = Owned(5, ("192.0.2.1", 1, "192.0.2.2", 2), Owner(7, "python", "grid"))

    class Looks:
        def __init__(self, hosts: object, ports: object) -> None:
            happened.append((hosts, ports))

        def look(self) -> list[Owned]:
            happened.append("look")
            return [owned]

    monkeypatch.setattr(owners, "Watch", Looks)
    monkeypatch.setattr(owners, "INTERVAL", 0.0)
    monkeypatch.setattr(owners, "SHARE", 1.0)
    monkeypatch.setattr(owners, "confine", lambda owner, needed: happened.append((owner, needed)))
    channel = Channel()
    look(lambda _: None, lambda: happened.count("look") == 3, ("192.0.2.2",), (2,), channel)  # type: ignore[arg-type]
    assert happened[:2] == [(None, LOOK_AT_PROCESSES), (("192.0.2.2",), (2,))]
    assert len(list(channel.take(10))) == 3


class Writer:
    """A journal's writer on a disk that is full at first."""

    def __init__(self) -> None:
        self.full = True
        self.comments: list[str] = []
        self.written = (0, 0)

    def statistics(self, drops: int | None, comment: str = "") -> None:
        if self.full:
            raise JournalError("journal: cannot write the journal: No space left on device")
        self.comments += [comment] if comment else []

    def verify(self) -> None:
        pass


def test_notes_wait_for_a_journal_that_cannot_be_written() -> None:
    said: list[str] = []
    writer, channel = Writer(), Channel()
    boards = {name: Board() for name in ("marks", "capture", "supervisor")}
    capture = Capture(lambda: False, [], writer, Settings(), boards, channel, said.append)  # type: ignore[arg-type]
    for text in ("one", "two"):
        channel.put(text)
    capture._wait()
    assert writer.comments == []
    assert len(said) == 1
    assert not readable(channel), "taken all the same: nobody is held up"
    capture._upkeep()
    assert writer.comments == []
    writer.full = False
    capture._upkeep()
    assert writer.comments == ["one", "two"]
    capture._upkeep()
    assert writer.comments == ["one", "two"]
    assert said[1:] == ["the journal can be written again"]

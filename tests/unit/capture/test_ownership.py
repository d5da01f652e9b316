"""Who has which connection, as it is found and as the journal tells it."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pcaps.kit.files import interface, section
from sniffer.capture import owner, ownership
from sniffer.capture.journal import JournalReader
from sniffer.capture.journal_writer import JournalWriter
from sniffer.capture.owner import Endpoints, Owner
from sniffer.capture.ownership import TRIES, WHOLE_LOOKS, Owned, Watch, from_comments, gather, to_comment
from sniffer.capture.pcapfile import open_capture
from sniffer.capture.segment import encode_statistics
from sniffer.model import Packet

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="sock_diag and /proc are Linux")
ENDS: Endpoints = ("192.0.2.1", 40000, "198.51.100.1", 443)
OWNED = Owned(5, ENDS, Owner(77, "python", 'gr\u00ecd "1"\n'))


def test_a_comment_says_it_again() -> None:
    assert from_comments([to_comment(OWNED)]) == [OWNED]


GOOD = json.loads(to_comment(OWNED))


@pytest.mark.parametrize(
    "comment",
    [
        "", "the run ended here", "{", "{}", "[]", "[" * 100_000, json.dumps(GOOD | {"at": "5"}), json.dumps(GOOD | {"at": -1}),
        json.dumps(GOOD | {"pid": 1 << 40}), json.dumps(GOOD | {"pid": True}), json.dumps(GOOD | {"strategy": None}),
        json.dumps(GOOD | {"connection": ["a", 1, "b"]}), json.dumps(GOOD | {"connection": ["a", "1", "b", 2]}),
        json.dumps(GOOD | {"connection": None}), json.dumps(GOOD | {"process": ["x"]}), '{"connection": NaN',
    ],
    ids=range(16),
)  # fmt: skip
def test_other_comments_are_passed_over(comment: str) -> None:
    assert from_comments([comment, to_comment(OWNED)]) == [OWNED]


def test_only_the_latest_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ownership, "MOST", 2)
    owners = [OWNED._replace(at=1)]
    comments = [to_comment(OWNED._replace(at=at)) for at in (2, 3)]
    gather(owners, comments)
    assert [owned.at for owned in owners] == [2, 3]
    assert comments == []


# --- looks ---


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_connection(listening.getsockname()) as near:
        far, _ = listening.accept()
        with far:
            yield near, far


@LINUX
def test_a_connection_is_told_once_from_each_end(pair: tuple[socket.socket, socket.socket]) -> None:
    near, far = pair
    ends = (*near.getsockname(), *far.getsockname())
    watch = Watch(ports=[far.getsockname()[1]])
    before = time.time_ns()
    told = watch.look()
    assert {owned.ends for owned in told} == {ends, (*ends[2:], *ends[:2])}
    assert {owned.owner.pid for owned in told} == {os.getpid()}
    assert all(before <= owned.at <= time.time_ns() for owned in told)
    assert watch.look() == []
    assert Watch(["192.0.2.99"], [far.getsockname()[1]]).look() == []
    assert len(Watch(["127.0.0.1"], [far.getsockname()[1]]).look()) == 2


def test_an_owner_that_cannot_be_seen_is_looked_for_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[int, Endpoints]] = []
    monkeypatch.setattr(owner, "openings", lambda: None)
    monkeypatch.setattr(owner, "established", lambda: {9: ENDS})
    monkeypatch.setattr(owner, "holders", lambda wanted: asked.append(wanted) or {})
    watch = Watch()
    for _ in range(2 * TRIES):
        assert watch.look() == []
    assert [wanted for wanted in asked if wanted] == [{9: ENDS}] * TRIES
    monkeypatch.setattr(owner, "holders", lambda wanted: dict.fromkeys(wanted.values(), OWNED.owner))
    assert watch.look() == []
    monkeypatch.setattr(owner, "established", lambda: {10: ENDS})  # another socket with the same ends
    assert [owned.owner for owned in watch.look()] == [OWNED.owner]


def test_all_connections_are_looked_at_when_one_may_have_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    counters, looks, clock = [[b"1"], [b"1"], [b"2"], [b"2"], [b"2"], [b"2"], None, None], [0], [100.0]
    there: dict[int, Endpoints] = {}

    def established() -> dict[int, Endpoints]:
        looks[0] += 1
        return there

    monkeypatch.setattr(owner, "openings", lambda: counters.pop(0))
    monkeypatch.setattr(owner, "established", established)
    monkeypatch.setattr(owner, "holders", lambda wanted: {})
    monkeypatch.setattr("sniffer.capture.ownership.time.monotonic", lambda: clock[0])
    watch, told = Watch(), []
    for step in range(8):
        if step == 4:
            clock[0] += WHOLE_LOOKS  # the time is over
            there = {9: ENDS}  # whose owner is not found: it is looked for again
        watch.look()
        told.append(looks[0])
    assert told == [1, 1, 2, 2, 3, 4, 5, 6]


@LINUX
def test_a_new_connection_moves_the_counters() -> None:
    before = owner.openings()
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_connection(listening.getsockname()):
        assert before is not None
        assert owner.openings() != before


def test_names_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner, "established", lambda: {9: ENDS})
    monkeypatch.setattr(owner, "holders", lambda _: {ENDS: Owner(1, "p" * 5000, "s" * 5000)})
    (owned,) = Watch().look()
    assert len(to_comment(owned)) < 1000


# --- the journal ---


@pytest.mark.parametrize("as_file", [False, True], ids=["journal", "segment as a file"])
def test_the_journal_tells_it_and_packets_stay_as_they_are(tmp_path: Path, as_file: bool) -> None:
    packets: list[Packet] = [(1_700_000_000_000_000_000 + n, 1, bytes(60), 60, 0) for n in range(10)]
    writer = JournalWriter(tmp_path, [("lo", 1)])
    writer.statistics(None, to_comment(OWNED))
    writer.write(packets[:4])
    writer.statistics(None, to_comment(OWNED._replace(at=6)))
    writer.statistics(3, to_comment(OWNED._replace(at=7)))
    writer.write(packets[4:])
    writer.close()
    (segment,) = tmp_path.iterdir()
    reader = open_capture(segment) if as_file else JournalReader(tmp_path, follow=False)
    assert [packet for block in reader.blocks() for packet in block] == packets
    assert [owned.at for owned in reader.owners] == [5, 6, 7]
    assert reader.kernel_drops == 3
    if isinstance(reader, JournalReader):
        assert reader.ended_at is not None


def test_what_others_write_into_comments_is_not_gathered(tmp_path: Path) -> None:
    content = section() + interface() + encode_statistics(1, None, to_comment(OWNED))
    (tmp_path / "other.pcapng").write_bytes(content)
    reader = open_capture(tmp_path / "other.pcapng")
    assert list(reader.blocks()) == []
    assert reader.owners == []

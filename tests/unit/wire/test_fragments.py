from __future__ import annotations

import itertools
import random
import time

import pytest

from sniffer.config import SECOND, Limits
from sniffer.wire.fragments import Fragments

Lost = list[tuple[int, int, str]]


def fragments(**limits: int) -> tuple[Fragments, Lost]:
    lost: Lost = []
    return Fragments(Limits(**limits), lambda time, size, reason: lost.append((time, size, reason))), lost


DATAGRAM = bytes(range(40))
PARTS = [(0, DATAGRAM[:16], True), (16, DATAGRAM[16:32], True), (32, DATAGRAM[32:], False)]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_any_order(order: tuple[int, ...]) -> None:
    whole, lost = fragments()
    found = [whole.add(0, b"key", *PARTS[at], False) for at in order]
    assert found == [None, None, DATAGRAM]
    assert not lost


def test_copies_and_overlaps_that_agree() -> None:
    whole, lost = fragments()
    assert whole.add(0, b"key", *PARTS[0], False) is None
    assert whole.add(0, b"key", *PARTS[0], False) is None
    assert whole.add(0, b"key", 8, DATAGRAM[8:32], True, False) is None
    assert whole.add(0, b"key", *PARTS[2], False) == DATAGRAM
    assert not lost


def test_copies_that_come_when_the_datagram_is_whole() -> None:
    """As of two interfaces: fragment by fragment, or one of them behind the other."""
    for order in ([0, 0, 1, 1, 2, 2], [0, 1, 2, 0, 1, 2], [0, 1, 2, 2, 1, 0]):
        whole, lost = fragments()
        found = [whole.add(at, b"key", *PARTS[part], False) for at, part in enumerate(order)]
        assert found.count(DATAGRAM) == 1
        assert whole.add(9, b"key", 32, DATAGRAM[32:36], False, True) is None  # cut by a shorter snap length
        whole.flush()
        assert not lost


def test_an_identification_that_comes_again_begins_a_new_datagram() -> None:
    whole, lost = fragments()
    other = DATAGRAM[::-1]
    for datagram in (DATAGRAM, other, DATAGRAM):
        found = [whole.add(0, b"key", at, datagram[at : at + 16], at < 32, False) for at in (0, 16, 32)]
        assert found == [None, None, datagram]
    assert whole.add(0, b"key", 0, DATAGRAM[:32], False, False) == DATAGRAM[:32]  # the same bytes, and ends there
    assert whole.add(100 * SECOND, b"key", *PARTS[0], False) is None
    whole.flush()
    assert lost == [(100 * SECOND, 16, "IP datagram never became whole")]


def test_whole_datagrams_are_remembered_within_bounds() -> None:
    whole, lost = fragments()
    payload = bytes(64_000)
    for number in range(200):
        whole.add(number, b"%d" % number, 0, payload, True, False)
        assert whole.add(number, b"%d" % number, len(payload), b"end", False, False)
    assert sum(len(data) for _, data in whole._whole.values()) == whole._whole_bytes < 1 << 23
    whole.add(100 * SECOND, b"later", *PARTS[0], False)
    assert (len(whole._whole), whole._whole_bytes) == (0, 0)
    assert not lost


def test_overlaps_that_differ_are_a_loss() -> None:
    whole, lost = fragments()
    whole.add(0, b"key", *PARTS[0], False)
    whole.add(0, b"key", 8, bytes(24), True, False)
    assert whole.add(0, b"key", *PARTS[2], False) is None
    assert [reason for _, _, reason in lost] == ["IP fragments overlap with different bytes"]


def test_a_hole_of_the_size_of_what_lies_beyond_the_end_is_a_hole() -> None:
    whole, lost = fragments()
    whole.add(0, b"key", 0, bytes(8), True, False)
    whole.add(0, b"key", 16, bytes(8), True, False)
    assert whole.add(0, b"key", 16, b"", False, False) is None
    assert lost


@pytest.mark.parametrize(
    "fragment",
    [(0, b"x" * 7, True, False), (65_530, b"x" * 8, False, False), (0, b"", True, False), (0, b"x" * 8, True, True)],
)
def test_fragments_that_lie_or_are_cut(fragment: tuple[int, bytes, bool, bool]) -> None:
    whole, lost = fragments()
    assert whole.add(5, b"key", *fragment) is None
    whole.add(5, b"key", *PARTS[2], False)
    whole.flush()
    assert lost
    assert lost[0][0] == 5


def test_unfinished_datagrams_end_by_time_and_by_number() -> None:
    whole, lost = fragments(ip_fragments=2)
    for number in range(3):
        whole.add(number, b"%d" % number, *PARTS[0], False)
    assert lost == [(0, 16, "too many IP datagrams in fragments")]
    whole.add(100 * SECOND, b"new", *PARTS[0], False)
    assert lost[1:] == [(1, 16, "IP datagram never became whole"), (2, 16, "IP datagram never became whole")]
    whole.flush()
    assert len(lost) == 4


@pytest.mark.parametrize("kind", ["last first", "copies", "empty"])
def test_hostile_fragments_cost_no_more_than_their_number(kind: str) -> None:
    whole, lost = fragments()
    rng = random.Random(1)
    offsets = list(range(0, 65_528, 8))
    rng.shuffle(offsets)
    begin = time.process_time()
    whole.add(0, b"key", 65_528, b"end", False, False)
    for offset in offsets[1:]:
        whole.add(0, b"key", 800 if kind == "copies" else offset, b"" if kind == "empty" else bytes(8), True, False)
    assert time.process_time() - begin < 1
    for _ in range(20_000):
        whole.add(0, b"key", 8, b"", True, False)
    assert lost

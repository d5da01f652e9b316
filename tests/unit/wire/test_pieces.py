from __future__ import annotations

import random
from itertools import pairwise

import pytest

from sniffer.wire.pieces import differing, end_of, index_at, insert_new, mark_conflicts, start_of
from sniffer.wire.stream import Gap, Item


def data_of(pieces: list[Item]) -> dict[int, int]:
    return {piece[0] + at: byte for piece in pieces if isinstance(piece, tuple) for at, byte in enumerate(piece[2])}


def test_what_is_new_goes_between_what_is_there() -> None:
    pieces: list[Item] = [(2, 0, b"cd"), (6, 0, b"gh")]
    assert insert_new(pieces, 9, 0, b"abcdefghij") == 6
    assert pieces == [(0, 9, b"ab"), (2, 0, b"cd"), (4, 9, b"ef"), (6, 0, b"gh"), (8, 9, b"ij")]


def test_nothing_new_changes_nothing() -> None:
    pieces: list[Item] = [(2, 0, b"cdef")]
    assert insert_new(pieces, 9, 3, b"de") == 0
    assert pieces == [(2, 0, b"cdef")]


@pytest.mark.parametrize(
    ("first", "second", "span"),
    [
        (b"abc", b"abc", None),
        (b"abc", b"aXc", (1, 2)),
        (b"abcd", b"XbcX", (0, 4)),
        (b"\0\0", b"\0\1", (1, 2)),
        (b"", b"", None),
    ],
)
def test_where_two_strings_differ(first: bytes, second: bytes, span: tuple[int, int] | None) -> None:
    assert differing(first, second) == span


def test_differing_bytes_become_a_gap() -> None:
    pieces: list[Item] = [(0, 7, b"abcdef")]
    assert mark_conflicts(pieces, 0, 9, 2, b"cXXf") == 2
    assert pieces[0] == (0, 7, b"abc")
    assert isinstance(pieces[1], Gap)
    assert (pieces[1].offset, pieces[1].length) == (3, 2)
    assert pieces[2] == (5, 7, b"f")


def test_a_conflict_stays_one_whatever_comes_later() -> None:
    pieces: list[Item] = [(0, 7, b"abc")]
    mark_conflicts(pieces, 0, 9, 1, b"X")
    assert mark_conflicts(pieces, 0, 9, 1, b"b") == 0
    assert insert_new(pieces, 9, 0, b"abc") == 0
    assert 1 not in data_of(pieces)


@pytest.mark.parametrize("seed", range(30))
def test_against_a_plain_dictionary(seed: int) -> None:
    rng = random.Random(seed)
    pieces: list[Item] = []
    model: dict[int, int | None] = {}
    for time in range(60):
        offset, payload = rng.randint(0, 60), bytes(rng.choice(b"ab") for _ in range(rng.randint(1, 12)))
        for at, byte in enumerate(payload, offset):  # conflicts are hulls within one piece: at least the differing bytes
            if at in model and model[at] is not None and model[at] != byte:
                model[at] = None
        lost = mark_conflicts(pieces, index_at(pieces, offset), time, offset, payload)
        added = insert_new(pieces, time, offset, payload)
        assert added == sum(at not in model for at in range(offset, offset + len(payload)))
        for at, byte in enumerate(payload, offset):
            model.setdefault(at, byte)
        found = data_of(pieces)
        assert all(model[at] in (byte, None) and model[at] is not None for at, byte in found.items())
        for at in range(offset, offset + len(payload)):
            if at not in found:
                model[at] = None
        assert lost >= 0
    assert all(end_of(a) <= start_of(b) for a, b in pairwise(pieces))
    assert {at for at, byte in model.items() if byte is not None} >= set(data_of(pieces))

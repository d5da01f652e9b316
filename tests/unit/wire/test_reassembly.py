from __future__ import annotations

import random
import time as clock

import pytest

from sniffer.config import SECOND, Limits
from sniffer.wire.pieces import CONFLICT
from sniffer.wire.reassembly import NOT_CAPTURED, SEQUENCE_SPACE, Stream, sequence_difference
from sniffer.wire.stream import End, Gap, Item
from tests.cost import assert_grows_linearly

MS = 1_000_000
WAIT = Limits().gap_wait


def stream(seq: int = 0, **limits: int) -> Stream:
    made = Stream(Limits(**limits))
    made.start(seq)
    made.check(offloaded=False)
    return made


def text(items: list[Item]) -> bytes:
    return b"".join(item[2] for item in items if isinstance(item, tuple))


def gaps(items: list[Item]) -> list[tuple[int, int | None, str]]:
    return [(item.offset, item.length, item.reason) for item in items if isinstance(item, Gap)]


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [(5, 3, 2), (3, 5, -2), (1, SEQUENCE_SPACE - 1, 2), (SEQUENCE_SPACE - 1, 1, -2), (0x80000000, 0, -0x80000000)],
)
def test_sequence_numbers_wrap(a: int, b: int, expected: int) -> None:
    assert sequence_difference(a, b) == expected


def test_data_is_handed_on_when_it_is_acknowledged() -> None:
    one = stream(100)
    one.segment(0, 100, b"abc")
    assert one.take(1) == []
    one.acknowledge(2, 102)
    assert one.take(2) == []  # a part of the segment
    one.acknowledge(3, 103)
    assert one.take(3) == [(0, 0, b"abc")]


def test_data_that_nobody_acknowledges_is_handed_on_after_a_wait() -> None:
    one = stream()
    one.segment(0, 0, b"abc")
    assert one.take(WAIT - 1) == []
    assert text(one.take(WAIT)) == b"abc"


@pytest.mark.parametrize("rest", [b"", b"def"])
def test_the_acknowledgement_of_a_fin_may_be_captured_before_it(rest: bytes) -> None:
    """What it acknowledges beyond the last byte is the FIN, and no byte is missing."""
    one = stream()
    one.segment(0, 0, b"abc")
    one.acknowledge(1, 4 + len(rest))
    if rest:
        one.segment(2, 3, rest)
    one.fin(3, 3 + len(rest))
    items = one.take(2 * WAIT) + one.end(3 * WAIT, "closed")
    assert text(items) == b"abc" + rest
    assert gaps(items) == []
    assert one.extent == 3 + len(rest)


def test_order_does_not_matter() -> None:
    one = stream()
    for seq in (6, 3, 0):
        one.segment(seq, seq, b"abcdefghi"[seq : seq + 3])
    one.acknowledge(10, 9)
    assert one.take(10) == [(0, 0, b"abc"), (3, 3, b"def"), (6, 6, b"ghi")]
    assert one.clean


def test_a_hole_is_given_up_when_its_acknowledgement_is_old() -> None:
    one = stream()
    one.segment(0, 3, b"def")
    one.acknowledge(1 * MS, 6)
    assert one.take(WAIT) == []
    items = one.take(1 * MS + WAIT)
    assert gaps(items) == [(0, 3, NOT_CAPTURED)]
    assert text(items) == b"def"


def test_a_hole_that_is_filled_in_time_is_none() -> None:
    one = stream()
    one.segment(0, 3, b"def")
    one.acknowledge(1 * MS, 6)
    one.segment(WAIT, 0, b"abc")
    assert text(one.take(WAIT)) == b"abcdef"


def test_only_what_was_acknowledged_long_enough_is_given_up() -> None:
    one = stream()
    one.acknowledge(0, 3)
    one.acknowledge(WAIT - 1, 6)  # these bytes may still come
    one.segment(WAIT + 1, 3, b"def")
    items = one.take(WAIT + 1)
    assert gaps(items) == [(0, 3, NOT_CAPTURED)]
    assert text(items) == b"def"


def test_looking_late_changes_nothing() -> None:
    """Holes are given up when they were due, one after the other, however late somebody looks."""

    def run(looks: tuple[int, ...]) -> list[tuple[int, int | None, str]]:
        one = stream()
        found: list[Item] = []
        one.acknowledge(0, 3)
        one.segment(0, 6, b"ghi")
        one.acknowledge(1, 9)
        for now in looks:
            found += one.take(now)
        one.segment(10 * SECOND, 3, b"def")  # too late
        found += one.take(10 * SECOND)
        return gaps(found)

    assert run(()) == run((WAIT, 2 * WAIT, SECOND)) == [(0, 3, NOT_CAPTURED), (3, 3, NOT_CAPTURED)]


def test_holes_are_given_up_in_the_order_in_which_they_are_due() -> None:
    minute = Limits().gap_wait_unacknowledged

    def run(*looks: int) -> list[tuple[int, int, int | None]]:
        one = stream()
        one.segment(0, 10, b"x")
        one.acknowledge(minute - 1, 3)
        items = [item for now in (*looks, 2 * minute) for item in one.take(now)]
        return [(item.time, item.offset, item.length) for item in items if isinstance(item, Gap)]

    assert run() == run(minute) == run(minute + WAIT) == [(minute, 0, 10)]


@pytest.mark.parametrize("block_ends", [True, False])
def test_the_clock_does_not_step_back(block_ends: bool) -> None:
    """Where a packet's own time does, what another one's had settled stays so, and a hole that it gave up stays one."""
    settled, hole = stream(), stream()
    settled.segment(0, 0, b"abc")
    hole.acknowledge(0, 3)
    found: list[list[Item]] = [[], []]
    for one, items in zip((settled, hole), found, strict=True):
        one.clock = WAIT
        if block_ends:
            items += one.take(WAIT)
        one.segment(WAIT - 1, 0, b"XYZ")
        items += one.take(WAIT)
    assert found[0] == [(0, 0, b"abc")]
    assert gaps(found[1]) == [(0, 3, NOT_CAPTURED)]
    assert text(found[1]) == b""


def test_a_hole_that_nobody_acknowledges_is_given_up_after_a_minute() -> None:
    one = stream()
    one.segment(0, 3, b"def")
    wait = Limits().gap_wait_unacknowledged
    assert gaps(one.take(wait - 1)) == []
    assert gaps(one.take(wait)) == [(0, 3, NOT_CAPTURED)]


def test_copies_that_differ_before_they_are_settled_are_a_loss() -> None:
    one = stream()
    one.segment(0, 0, b"abcdef")
    one.segment(1, 2, b"XX")
    one.acknowledge(2, 6)
    items = one.take(2)
    assert text(items) == b"abef"
    assert gaps(items) == [(2, 2, CONFLICT)]
    assert one.lost == 2


def test_a_copy_of_settled_bytes_is_ignored_as_the_receiver_ignores_it() -> None:
    one = stream()
    one.segment(0, 0, b"abcdef")
    one.acknowledge(1, 4)
    one.segment(2, 0, b"XXXXef")
    one.acknowledge(3, 6)
    assert text(one.take(3)) == b"abcdef"


def test_held_copies_that_differ_are_a_loss() -> None:
    one = stream()
    one.segment(0, 3, b"def")
    one.segment(1, 3, b"dXf")
    one.segment(2, 3, b"def")  # a majority proves nothing
    one.segment(3, 0, b"abc")
    one.acknowledge(4, 6)
    items = one.take(4)
    assert text(items) == b"abcdf"
    assert gaps(items) == [(4, 1, CONFLICT)]


def test_a_segment_that_spans_old_and_new() -> None:
    one = stream()
    one.segment(0, 0, b"abcd")
    one.segment(1, 2, b"cdef")
    one.acknowledge(2, 6)
    assert one.take(2) == [(0, 0, b"abcd"), (4, 1, b"ef")]


def test_a_keep_alive_probe_is_no_conflict() -> None:
    one = stream()
    one.segment(0, 0, b"abc")
    one.segment(1, 2, b"\0")
    assert text(one.take(WAIT)) == b"abc"


@pytest.mark.parametrize("told_by", ["acknowledgement", "data", "end", "nothing"])
@pytest.mark.parametrize("first", [4, SEQUENCE_SPACE - 1])
def test_a_stream_that_begins_with_a_keep_alive_probe(first: int, told_by: str) -> None:
    """It has the number before the next byte's: no byte is missing."""
    one = Stream(Limits())
    one.start(first, sure=False)
    one.check(offloaded=False)
    following = (first + 1) % SEQUENCE_SPACE
    if told_by == "acknowledgement":
        one.acknowledge(0, following)
        assert one.take(0) == []
        assert not one.waiting
    if told_by in ("acknowledgement", "data"):
        one.segment(WAIT, following, b"abc")
        one.acknowledge(WAIT, (following + 3) % SEQUENCE_SPACE)
        assert one.take(WAIT) == [(0, WAIT, b"abc")]
    elif told_by == "end":
        one.fin(WAIT, following)
    assert gaps(one.end(2 * WAIT, "closed")) == []


def test_a_hole_at_the_beginning_of_a_stream_that_no_probe_explains() -> None:
    for sure, missing in ((True, 1), (False, 2)):
        one = Stream(Limits())
        one.start(0, sure=sure)
        one.segment(0, missing, b"abc")
        assert gaps(one.end(1, "closed")) == [(0, missing, NOT_CAPTURED)]


def test_bytes_from_before_the_beginning_are_counted() -> None:
    one = stream(1000)
    assert one.segment(0, 999, b"\0") == 0  # a keep-alive probe
    assert one.segment(0, 990, b"abc") == 3
    assert one.segment(0, 998, b"abcd") == 2
    assert one.segment(0, 1002, b"ef") == 0
    assert one.segment(0, 1000, b"cd") == 0
    assert text(one.take(WAIT)) == b"cdef"


def test_the_wrap_of_sequence_numbers() -> None:
    one = stream(SEQUENCE_SPACE - 3)
    one.segment(0, SEQUENCE_SPACE - 3, b"abcdef")
    one.segment(1, 3, b"ghi")
    one.acknowledge(2, 6)
    assert text(one.take(2)) == b"abcdefghi"


def test_offsets_go_beyond_four_gigabytes() -> None:
    """Nine gigabytes in large strides, a hole and a copy among them, acknowledged late or never."""
    one, chunk = stream(7), bytes(1 << 20)
    for number in range(9 << 10):
        seq = (7 + number * len(chunk)) % SEQUENCE_SPACE
        one.segment(number, seq, chunk)
        if number == 8 << 10:
            one.segment(number, (seq - 10) % SEQUENCE_SPACE, bytes(10))
            one.segment(number, (seq + 2 * len(chunk)) % SEQUENCE_SPACE, b"")
        if number < 5000:
            one.acknowledge(number, (seq + len(chunk)) % SEQUENCE_SPACE)
        items = one.take(number * SECOND)
        assert gaps(items) == []
    assert one.offset == 9 << 30
    assert one.extent == 9 << 30


def test_the_end_turns_holes_into_gaps() -> None:
    one = stream()
    one.segment(0, 3, b"def")
    one.fin(1, 9)
    items = one.end(2, "capture ended")
    assert gaps(items) == [(0, 3, NOT_CAPTURED), (6, 3, NOT_CAPTURED)]
    end = items[-1]
    assert isinstance(end, End)
    assert end.orderly
    assert end.offset == 9
    assert one.end(3, "again") == []


def test_a_reset_is_no_orderly_end() -> None:
    one = stream()
    one.segment(0, 0, b"abc")
    assert one.reset(1, 5)
    items = one.end(2, "closed")
    assert gaps(items) == [(3, 2, NOT_CAPTURED)]
    assert isinstance(items[-1], End)
    assert not items[-1].orderly


def test_a_reset_from_far_outside_is_not_believed() -> None:
    one = stream()
    one.segment(0, 0, b"abc")
    assert not one.reset(1, 1 << 30)
    assert one.clean
    one.segment(2, 3, b"def")
    assert text(one.end(3, "capture ended")) == b"abcdef"


def test_a_damaged_segment_opens_no_hole_by_itself() -> None:
    """Its sequence number may be what was damaged: a wait for it would cut the stream off."""
    one = stream()
    one.segment(0, 0, b"abc")
    one.unusable(1, 1 << 30, 100, "wrong TCP checksum", proved=False)
    assert one.clean
    one.segment(3600 * SECOND, 3, b"def")
    items = one.end(3601 * SECOND, "capture ended")
    assert text(items) == b"abcdef"
    assert gaps(items) == []


def test_a_damaged_segment_names_the_reason_of_a_hole() -> None:
    one = stream()
    one.unusable(0, 0, 3, "wrong TCP checksum", proved=False)
    one.segment(1, 3, b"def")
    one.acknowledge(2, 6)
    assert gaps(one.take(SECOND)) == [(0, 3, "wrong TCP checksum")]


def test_a_damaged_segment_at_the_end_is_a_loss() -> None:
    one = stream()
    one.segment(0, 0, b"abc")
    one.unusable(1, 3, 5, "wrong TCP checksum", proved=False)
    assert gaps(one.end(2, "capture ended")) == [(3, 5, "wrong TCP checksum")]


def test_a_cut_segment_is_a_hole() -> None:
    one = stream()
    one.unusable(0, 0, 3, "cut by the snap length", proved=True)
    assert not one.clean
    one.segment(1, 3, b"def")
    assert gaps(one.take(2 * Limits().gap_wait_unacknowledged)) == [(0, 3, "cut by the snap length")]


def test_too_many_bytes_beyond_a_hole() -> None:
    one = stream(reorder_bytes=100)
    for seq in range(10, 300, 10):
        one.segment(seq, seq, bytes(10))
        assert one.held_bytes <= 100
    assert gaps(one.end(1000, "capture ended")) == [(0, 10, "not captured, and too much came after it")]


def test_too_many_segments_beyond_a_hole() -> None:
    one = stream(reorder_segments=10)
    for seq in range(2, 100, 2):
        one.segment(seq, seq, b"x")
    found = gaps(one.end(1000, "capture ended"))
    assert len(found) == 49
    assert sum(length or 0 for _, length, _ in found) == 50


def test_unsettled_data_is_bounded_where_time_stands_still() -> None:
    one = stream(reorder_bytes=1000, reorder_segments=50)
    given = 0
    for number in range(1000):
        one.segment(0, 5 * number, b"abcde")
        given += len(text(one.take(0)))
        assert len(one.items) <= 50
    assert given == 5 * 950


@pytest.mark.parametrize("kind", ["held", "copies", "conflicts", "unsettled copies"])
def test_hostile_order_costs_no_more_than_its_length(kind: str) -> None:
    """Four times the segments take about four times as long; quadratic work would take sixteen."""
    rng = random.Random(kind)

    def run(count: int) -> float:
        one = stream(reorder_segments=count, reorder_bytes=1 << 30)
        if kind == "unsettled copies":
            for at in range(count):
                one.segment(0, 4 * at, b"abcd")
        order = list(range(count))
        rng.shuffle(order)
        begin = clock.process_time()
        for at in order:
            seq = 4 * at if kind == "unsettled copies" else 10 + 4 * at
            one.segment(1, seq, b"abcd" if kind != "held" else b"abc")
            if kind in ("copies", "conflicts"):
                one.segment(1, seq, b"abcd" if kind == "copies" else b"aXcd")
        return clock.process_time() - begin

    assert_grows_linearly(run, 2000)

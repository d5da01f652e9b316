"""Which capture is this: its first packets, and whether it goes on as the one that was loaded."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sniffer.identity import FINGERPRINT_PACKETS, Track, fingerprint
from sniffer.model import Packet
from tests.packets import START

LONG = 5_000


def tracked(times: list[int], cuts: list[int]) -> Track:
    track, lengths = Track(), [60 + at % 1400 for at in times]
    for begin, end in pairwise(sorted({0, *cuts, len(times)})):
        track.note(times[begin:end], lengths[begin:end])
    return track


TIMES = [START + number * 7_919 for number in range(LONG)]


def test_the_fingerprint_tells_captures_apart_by_every_packet() -> None:
    packets: list[Packet] = [(START + number, 1, bytes([number]) * 60, 60, 0) for number in range(40)]
    whole = fingerprint(packets)
    assert len(whole) == len(set(whole)) == FINGERPRINT_PACKETS
    assert fingerprint(packets[:5]) == whole[:5]
    changed = [*packets[:4], (*packets[4][:2], b"\xff" * 60, 60, 0), *packets[5:]]
    assert fingerprint(changed)[:4] == whole[:4]
    assert not set(fingerprint(changed)[4:]) & set(whole[4:])
    assert len(fingerprint([])) == 1


@given(st.integers(0, LONG), st.lists(st.integers(0, LONG), max_size=5))
def test_in_how_many_steps_packets_come_is_all_the_same(packets: int, cuts: list[int]) -> None:
    at_once = tracked(TIMES[:packets], [])
    in_steps = tracked(TIMES[:packets], [cut for cut in cuts if cut <= packets])
    assert in_steps.digests == at_once.digests


@given(st.integers(FINGERPRINT_PACKETS, LONG), st.integers(FINGERPRINT_PACKETS, LONG))
def test_what_is_shorter_is_a_part(one: int, other: int) -> None:
    shorter, longer = sorted((one, other))
    assert not tracked(TIMES[:shorter], []).departs_from(tracked(TIMES[:longer], []).digests, longer)


@given(st.integers(FINGERPRINT_PACKETS + 4, LONG), st.integers(FINGERPRINT_PACKETS + 4, LONG), st.data())
def test_what_differs_is_found_within_an_eighth(one: int, other: int, data: st.DataObject) -> None:
    shorter, longer = sorted((one, other))
    at = data.draw(st.integers(0, shorter - 1))
    changed = [*TIMES[:at], TIMES[at] + 1, *TIMES[at + 1 : shorter]]
    found = tracked(changed, []).departs_from(tracked(TIMES[:longer], []).digests, longer)
    assert found or (shorter < longer and at >= shorter * 7 // 8)


def test_there_are_few_milestones() -> None:
    track, packets = Track(), 1_000_000
    track.note([0] * packets, [0] * packets)
    assert len(track.digests) < 130
    assert sum(map(len, track.digests)) == 32 * len(track.digests)


@pytest.mark.parametrize("packets", [0, 1, FINGERPRINT_PACKETS])
def test_before_the_first_milestone_there_is_one_digest(packets: int) -> None:
    assert len(tracked(TIMES[:packets], []).digests) == 1

from __future__ import annotations

from dataclasses import replace

from sniffer.config import Limits
from sniffer.wire.side import AT_END, UNANSWERED, Side
from tests.packets import ACK, SYN, Flow, Sent


def side() -> Side:
    return Side("client", Limits())


def sends(*payloads: bytes, flags: int = ACK) -> list[Sent]:
    flow = Flow()
    return [flow.put("client", flags, payload) for payload in payloads]


def test_right_segments_are_admitted_at_once() -> None:
    one, sent = side(), sends(b"abc")[0].segment()
    assert one.admit(sent) == [sent]
    assert one.verified


def test_wrong_segments_wait_until_their_side_is_known_to_be_offloaded() -> None:
    one = side()
    first, second, third = (sent.segment(checksum_ok=False) for sent in sends(b"abc", b"def", b"ghi"))
    assert one.admit(first) == []
    assert one.acknowledged(first.seq + 3) == []  # one may be a damaged copy of what the receiver took
    assert one.admit(second) == []
    assert one.acknowledged(second.seq + 3) == [first, second]
    assert one.stream.offloaded
    assert one.admit(third) == [third]


def test_the_acknowledgement_of_nothing_proves_nothing() -> None:
    """Two damaged segments without payload, and the peer goes on: that does not make their sender an offloading one."""
    one = side()
    for sent in sends(b"", b""):
        one.admit(sent.segment(checksum_ok=False))
    assert one.acknowledged(sends(b"")[0].seq) == []
    assert not one.stream.offloaded


def test_one_right_segment_makes_wrong_ones_unusable() -> None:
    one = side()
    wrong, right, again = sends(b"abc", b"def", b"ghi")
    one.admit(wrong.segment(checksum_ok=False))
    assert one.admit(right.segment()) == [right.segment()]
    one.stream.start(right.seq)
    assert one.admit(again.segment(checksum_ok=False)) == []
    assert one.acknowledged(again.seq + 3) == []
    assert [segment.payload for segment in one.unplaced] == [b"abc"]  # from before the stream's beginning


def test_a_cut_segment_proves_nothing() -> None:
    """What the snap length left of it cannot be summed; on an offloading sender the short ones would be refused for it."""
    one = side()
    cut, first, second = sends(b"cut", b"abc", b"def")
    assert one.admit(cut.segment(missing=100)) == [cut.segment(missing=100)]
    assert not one.verified
    one.admit(first.segment(checksum_ok=False))
    one.admit(second.segment(checksum_ok=False))
    assert len(one.acknowledged(second.seq + 3)) == 2


def test_many_wrong_ones_without_an_answer() -> None:
    one = side()
    found = [one.admit(sent.segment(checksum_ok=False)) for sent in sends(*[b"x"] * UNANSWERED)]
    assert [len(admitted) for admitted in found] == [0] * (UNANSWERED - 1) + [UNANSWERED]


def test_the_end_settles_what_is_enough_to_tell() -> None:
    for count in (1, AT_END - 1, AT_END):
        one = side()
        for sent in sends(*[b"x"] * count):
            one.admit(sent.segment(checksum_ok=False))
        assert len(one.settle()) == (count if count >= AT_END else 0)


def test_syn_counts_as_sent() -> None:
    one = side()
    flow = Flow()
    opening, data = flow.put("client", SYN), flow.put("client", ACK, b"abc")
    for sent in (opening, data):
        one.admit(replace(sent).segment(checksum_ok=False))
    assert len(one.acknowledged(data.seq + 3)) == 2

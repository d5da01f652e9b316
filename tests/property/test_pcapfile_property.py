"""Capture files of any content, and any bytes at all: what is whole is read, and nothing but a `CaptureError` comes out."""

from __future__ import annotations

import gzip

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sniffer.capture.pcap import PcapDecoder
from sniffer.capture.pcapfile import open_capture
from sniffer.capture.pcapng import PcapngDecoder
from sniffer.errors import CaptureError, DamagedCapture
from tests.unit.capture.files import ENDINGS, enhanced, interface, old, option, pcap, read_all, section, statistics

SECOND = 10**9
records = st.lists(
    st.tuples(
        st.integers(0, 2**32 - 1),  # seconds
        st.integers(0, SECOND - 1),
        st.binary(max_size=200),
        st.integers(0, 2**32 - 1),  # original length
    ),
    max_size=20,
)
anything = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)


@st.composite
def captures(draw):
    """(file bytes, its packets, offset in the file at which each packet's record ends)."""
    order = draw(st.sampled_from(ENDINGS))
    found = draw(records)
    if draw(st.booleans()):
        content, packets, ends = pcap([], order=order, magic=0xA1B23C4D, link_type=1), [], []
        for seconds, fraction, data, original in found:
            content += pcap([(seconds, fraction, data, original)], order=order)[24:]
            packets.append((seconds * SECOND + fraction, 1, data, original, 0))
            ends.append(len(content))
        return content, packets, ends
    nanoseconds = option(9, b"\x09", order)
    content = section(order) + interface(1, options=nanoseconds, order=order) + interface(101, options=nanoseconds, order=order)
    packets, ends = [], []
    for index, (seconds, fraction, data, original) in enumerate(found):
        at, number = seconds * SECOND + fraction, index % 2
        if index % 5 == 4:
            content += statistics(number, ifdrop=index, order=order) + old(at, data, number=number, order=order)
            original = len(data)
        else:
            original = original or len(data)
            content += enhanced(at, data, original, number=number, order=order)
        packets.append((at, 101 if number else 1, data, original, 0))
        ends.append(len(content))
    return content, packets, ends


def read(tmp_path, content):
    path = tmp_path / "a"
    path.write_bytes(content)
    return read_all(open_capture(path))


@anything
@given(captures(), st.booleans())
def test_packets_come_out_as_they_went_in(tmp_path, capture, zipped):
    content, packets, _ = capture
    assert read(tmp_path, gzip.compress(content) if zipped else content) == (packets, None)


@anything
@given(captures(), st.data())
def test_a_cut_loses_what_is_behind_it_only(tmp_path, capture, data):
    content, packets, ends = capture
    cut = data.draw(st.integers(24, len(content)))
    found, error = read(tmp_path, content[:cut])
    assert found == packets[: sum(end <= cut for end in ends)]
    if error:
        assert isinstance(error, DamagedCapture)
        assert max([end for end in ends if end <= cut], default=0) <= error.offset < cut < len(content)


@anything
@given(captures(), st.lists(st.integers(1, 50), min_size=1, max_size=30))
def test_pieces_give_the_same_as_the_whole(capture, sizes):
    content, packets, _ = capture
    decoder = PcapngDecoder() if content.startswith(b"\n\r\r\n") else PcapDecoder("a")
    found, data, at, turn = [], b"", 0, 0
    while at < len(content):
        size = sizes[turn % len(sizes)]
        data += content[at : at + size]
        at, turn = at + size, turn + 1
        block, used = decoder.decode(data)
        data = data[used:]
        found += block
    assert (found, data, decoder.damage) == (packets, b"", None)


@anything
@given(captures(), st.lists(st.tuples(st.integers(0), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4))
def test_garbage_never_raises_anything_but_our_errors(tmp_path, capture, edits):
    content, packets, ends = capture
    changed = bytearray(content)
    first = len(content)
    for at, garbage in edits:
        at %= len(content)
        first = min(first, at)
        changed[at : at + len(garbage)] = garbage
    try:
        found, error = read(tmp_path, bytes(changed))
    except CaptureError:
        if first >= 24:  # only a file header can make it no capture at all
            raise
        return
    assert error is None or isinstance(error, CaptureError)
    before = sum(end <= first for end in ends)
    assert found[:before] == packets[:before]
    for at, link_type, data, original, mark in found:
        assert -(2**63) <= at < 2**63
        assert 0 <= link_type < 2**16
        assert isinstance(data, bytes)
        assert 0 <= original < 2**32
        assert mark == 0


@anything
@given(
    st.sampled_from([b"", b"\n\r\r\n", b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1\x02\0\x04\0", b"\x1f\x8b\x08\0"]),
    st.binary(max_size=300),
)
def test_any_bytes(tmp_path, start, rest):
    try:
        _, error = read(tmp_path, start + rest)
    except CaptureError as refused:
        error = refused
    assert error is None or isinstance(error, CaptureError)
    assert "\n" not in str(error)

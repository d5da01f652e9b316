from __future__ import annotations

import heapq
import random

import pytest

from sniffer.capture.merge import merge
from sniffer.capture.pcapfile import open_capture
from sniffer.errors import DamagedCapture
from tests.unit.capture.files import interface, option, pcap, read_all, section, statistics

NANOSECONDS = 0xA1B23C4D


def records(times, label):
    return [(at // 10**9, at % 10**9, f"{label}{index}".encode(), 9) for index, at in enumerate(times)]


@pytest.fixture
def captures(tmp_path):
    def captures(*files):
        sources = []
        for index, times in enumerate(files):
            path = tmp_path / f"{index}.pcap"
            path.write_bytes(times if isinstance(times, bytes) else pcap(records(times, f"{index}:"), magic=NANOSECONDS))
            sources.append(open_capture(path))
        return sources

    return captures


def test_a_rotated_set_in_any_order(captures):
    merged = merge(captures([70, 80, 90], [10, 20, 30], [40, 50, 60]))
    packets, error = read_all(merged)
    assert error is None
    assert [packet[0] for packet in packets] == list(range(10, 100, 10))


def test_blocks_pass_untouched_where_files_do_not_overlap(captures):
    files = list(range(5000)), list(range(5000, 10_000))
    alone = [len(found) for source in captures(*files) for found in source.blocks()]
    assert [len(found) for found in merge(captures(*files)).blocks()] == alone


def test_overlap_is_a_stable_merge(captures):
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    files = [sorted(rng.choices(range(3000), k=rng.randrange(4000))) for _ in range(6)]
    packets, error = read_all(merge(captures(*files)))
    assert error is None
    streams = [[(at, rank, f"{rank}:{index}".encode()) for index, at in enumerate(times)] for rank, times in enumerate(files)]
    assert [packet[2] for packet in packets] == [name for _, _, name in heapq.merge(*streams)]


def test_a_files_own_order_is_kept(captures):
    """Times that step back inside a file do not move its packets; its latest time so far is their place."""
    packets, _ = read_all(merge(captures([10, 30, 20, 40], [15, 25, 35])))
    assert [packet[2].decode() for packet in packets] == ["0:0", "1:0", "1:1", "0:1", "0:2", "1:2", "0:3"]


def test_one_damaged_file_does_not_stop_the_others(captures):
    cut = pcap(records([15, 25, 35], "cut"), magic=NANOSECONDS)[:-3]
    merged = merge(captures([10, 20, 30], cut, [40, 50], cut))
    packets, error = read_all(merged)
    assert [packet[0] for packet in packets] == [10, 15, 15, 20, 25, 25, 30, 40, 50]
    assert isinstance(error, DamagedCapture)
    assert [damage.path[-6:] for damage in merged.damage] == ["1.pcap", "3.pcap"]
    assert len(merged.losses) == 2


def test_totals(captures):
    sources = captures(
        [1, 2], pcap([]), section() + interface() + statistics(ifdrop=4), section() + interface() + statistics(osdrop=3)
    )
    merged = merge(sources)
    assert read_all(merged)[1] is None
    assert merged.kernel_drops == 7
    assert merged.bytes_read == merged.total_bytes == sum(source.total_bytes for source in sources)
    assert merged.name == ", ".join(source.name for source in sources)


def test_drops_of_one_journals_segments_are_not_added_up(captures):
    head = '{"journal": "6f0c1a52-8a5e-4b7e-9a52-1d2b0a6f9d11", "run": 1, "packets": 0, "bytes": 0, "drops": null, "host": "h"}'
    parts = section(options=option(1, head.encode()) + option(4, b"sniffer 0.1")) + interface()
    merged = merge(captures(parts + statistics(ifdrop=4), parts + statistics(ifdrop=6)))
    read_all(merged)
    assert merged.kernel_drops == 6


def test_only_the_files_in_use_are_open(captures, monkeypatch):
    import os

    open_now = largest = 0
    real_open, real_close = os.open, os.close

    def counting_open(*args, **kwargs):
        nonlocal open_now, largest
        open_now += 1
        largest = max(largest, open_now)
        return real_open(*args, **kwargs)

    def counting_close(descriptor):
        nonlocal open_now
        open_now -= 1
        real_close(descriptor)

    sources = captures(*([n * 10, n * 10 + 5] for n in range(50)))
    monkeypatch.setattr(os, "open", counting_open)
    monkeypatch.setattr(os, "close", counting_close)
    assert len(read_all(merge(sources))[0]) == 100
    assert largest <= 2

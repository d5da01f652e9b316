from __future__ import annotations

import gzip
import io
import os
import random
import struct
import subprocess
import sys
import threading
import time
import zlib

import dpkt
import pytest

from sniffer.capture import CHUNK_BYTES
from sniffer.capture.pcap import RECORD_LIMIT
from sniffer.capture.pcapfile import open_capture
from sniffer.errors import CaptureError, DamagedCapture
from tests.unit.capture.files import ENDINGS, pcap, read_all

RECORDS = [(1_700_000_001, 7, b"first", 5), (1_700_000_001, 999, b"", 0), (1_700_000_002, 0, b"cut off", 1500)]


@pytest.fixture
def write(tmp_path):
    def write(content: bytes, name: str = "a.pcap"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


@pytest.mark.parametrize("order", ENDINGS)
@pytest.mark.parametrize(("magic", "unit", "tail"), [(0xA1B2C3D4, 1000, 0), (0xA1B23C4D, 1, 0), (0xA1B2CD34, 1000, 8)])
def test_byte_orders_and_resolutions(write, order, magic, unit, tail):
    path = write(pcap(RECORDS, order=order, magic=magic, link_type=113, record_tail=bytes(tail)))
    source = open_capture(path)
    packets, error = read_all(source)
    assert error is None
    assert packets == [(s * 10**9 + f * unit, 113, data, original, 0) for s, f, data, original in RECORDS]
    assert source.name == str(path)
    assert source.bytes_read == source.total_bytes == path.stat().st_size
    assert source.kernel_drops is None
    assert source.losses == []
    assert source.first_time == packets[0][0]


def test_a_name_that_is_not_utf_8_is_escaped(tmp_path):
    path = tmp_path / os.fsdecode(b"b\xc3\xa4d\xff.pcap")
    path.write_bytes(pcap(RECORDS))
    source = open_capture(path)
    assert read_all(source)[1] is None
    assert source.name == f"{tmp_path}/b\xe4d\\xff.pcap"


def test_bits_above_the_link_type_are_no_part_of_it(write):
    packets, _ = read_all(open_capture(write(pcap(RECORDS, link_type=0x5400_0001))))  # FCS length 4 + its flag
    assert {packet[1] for packet in packets} == {1}


def test_agrees_with_dpkt(write):
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    out = io.BytesIO()
    writer = dpkt.pcap.Writer(out, nano=True, snaplen=262144)
    for _ in range(3000):
        writer.writepkt_time(rng.randbytes(rng.choice((0, 1, 60, 1514, 65_000))), rng.randrange(2**31) + rng.random())
    path = write(out.getvalue())
    with path.open("rb") as file:
        expected = [(round(at * 10**9), data) for at, data in dpkt.pcap.Reader(file)]
    packets, error = read_all(open_capture(path))
    assert error is None
    assert [packet[2] for packet in packets] == [data for _, data in expected]
    assert all(abs(packet[0] - at) < 1000 for packet, (at, _) in zip(packets, expected, strict=True))  # dpkt hands floats on


def test_no_packets_is_a_capture(write):
    assert read_all(open_capture(write(pcap([])))) == ([], None)


@pytest.mark.parametrize("cut", [1, 15, 16, 17, 20])
def test_cut_off(write, cut):
    content = pcap(RECORDS)
    offset = 24 + 16 + 5 + 16  # of the last record
    source = open_capture(write(content[: offset + cut]))
    packets, error = read_all(source)
    assert [packet[2] for packet in packets] == [b"first", b""]
    assert isinstance(error, DamagedCapture)
    assert error.offset == offset
    assert [(loss.layer, loss.bytes, loss.from_time) for loss in source.losses] == [("capture", cut, packets[-1][0])]
    assert str(offset) in source.losses[0].reason


def test_cut_off_inside_the_file_header(write):
    packets, error = read_all(open_capture(write(pcap([])[:20])))
    assert packets == []
    assert isinstance(error, DamagedCapture)
    assert error.offset == 0


@pytest.mark.parametrize("length", [RECORD_LIMIT + 1, 0x7FFFFFFF, 0xFFFFFFFF])
def test_lying_length(write, length):
    content = pcap(RECORDS) + struct.pack("<IIII", 1, 1, length, length) + bytes(100_000)
    source = open_capture(write(content))
    packets, error = read_all(source)
    assert len(packets) == 3
    assert isinstance(error, DamagedCapture)
    assert error.offset == len(pcap(RECORDS))
    assert str(length) in error.reason
    assert source.losses[0].bytes == 100_016


def test_snap_length_raises_the_limit_but_not_for_ever(write):
    large = bytes(RECORD_LIMIT + 1)
    packets, error = read_all(open_capture(write(pcap([(1, 1, large, len(large))], snaplen=1 << 20))))
    assert error is None
    assert packets[0][2] == large
    content = pcap([], snaplen=0x7FFFFFFF) + struct.pack("<IIII", 1, 1, 1 << 30, 1 << 30) + bytes(100)
    assert isinstance(read_all(open_capture(write(content)))[1], DamagedCapture)


def test_gzip_also_of_several_members(write):
    content = pcap(RECORDS * 1000)
    half = len(content) // 2
    path = write(gzip.compress(content[:half]) + gzip.compress(content[half:]) + bytes(512), "a.pcap.gz")
    source = open_capture(path)
    packets, error = read_all(source)
    assert error is None
    assert len(packets) == 3000
    assert source.bytes_read == source.total_bytes == path.stat().st_size


def test_gzip_cut_off_gives_what_it_holds(write):
    rng = random.Random(3)
    content = pcap([(n, 0, rng.randbytes(200), 200) for n in range(2000)])
    source = open_capture(write(gzip.compress(content)[:200_000]))
    packets, error = read_all(source)
    assert 900 < len(packets) < 1000
    assert packets == read_all(open_capture(write(content, "plain")))[0][: len(packets)]
    assert isinstance(error, DamagedCapture)
    assert "cut off" in error.reason
    assert error.offset == 24 + 216 * len(packets)
    assert source.losses[0].bytes is None


def test_gzip_damaged_gives_what_comes_before(write):
    content = pcap([(n, 0, b"%4d" % n * 50, 200) for n in range(2000)])
    packed = bytearray(gzip.compress(content))
    middle = len(packed) // 2
    packed[middle : middle + 20] = b"\xff" * 20
    packets, error = read_all(open_capture(write(bytes(packed))))
    assert isinstance(error, DamagedCapture)
    assert len(packets) > 500  # nothing but the damaged half is missing
    assert [packet[2] for packet in packets[:500]] == [b"%4d" % n * 50 for n in range(500)]


def test_gzip_trailing_garbage_is_damage(write):
    packets, error = read_all(open_capture(write(gzip.compress(pcap(RECORDS)) + b"garbage")))
    assert len(packets) == 3
    assert isinstance(error, DamagedCapture)


def test_gzip_bomb_is_read_in_bounded_pieces(write):
    """256 MiB of zeros, which are records without bytes, from 256 KiB; what is held at once stays small."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = packer.compress(pcap([])) + b"".join(packer.compress(bytes(1 << 20)) for _ in range(256)) + packer.flush()
    largest = total = 0
    for found in open_capture(write(packed)).blocks():
        largest = max(largest, len(found))
        total += len(found)
        if total > 200_000:
            break
    assert largest <= 2 * CHUNK_BYTES / 16


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"x", "text"),
        (b'{"e": "trade"}', "JSON"),
        (b"<html>", "HTML"),
        (b"time,price\n1,2\n" * 100, "text"),
        (gzip.compress(b"hello world\n", mtime=0), "gzip of text"),
        (gzip.compress(b"", mtime=0), "empty"),
        (gzip.compress(gzip.compress(pcap(RECORDS), mtime=0), mtime=0), "gzip inside gzip"),
        (b"\x28\xb5\x2f\xfd" + bytes(100), "zstd"),
        (b"PK\x03\x04" + bytes(100), "zip"),
        (bytes(8) + b"DUCK" + bytes(100), "DuckDB"),
        (bytes(range(256)), "binary"),
        (pcap([], version=(1, 0)), "version 1.0"),
    ],
)
def test_not_a_capture(write, content, says):
    with pytest.raises(CaptureError) as caught:
        open_capture(write(content))
    text = str(caught.value)
    assert not isinstance(caught.value, DamagedCapture)
    assert says in text
    assert "a.pcap" in text
    assert "\n" not in text


def test_missing_folder_unreadable(tmp_path):
    with pytest.raises(CaptureError, match="No such file"):
        open_capture(tmp_path / "none.pcap")
    with pytest.raises(CaptureError, match="folder"):
        open_capture(tmp_path)


def test_growing_file_waits_for_the_rest_of_a_record(tmp_path):
    path = tmp_path / "grows.pcap"
    path.touch()
    content = pcap(RECORDS)
    done = threading.Event()
    blocks = open_capture(path, follow=True, stop=done.is_set).blocks()
    assert next(blocks) == []
    got = []
    with path.open("ab", buffering=0) as file:
        for at in range(0, len(content), 7):
            file.write(content[at : at + 7])
            got += next(blocks)
    done.set()
    got += [packet for found in blocks for packet in found]
    assert [packet[2] for packet in got] == [record[2] for record in RECORDS]


def test_growing_file_that_shrinks_is_damage(tmp_path):
    path = tmp_path / "shrinks.pcap"
    path.write_bytes(pcap(RECORDS))
    blocks = open_capture(path, follow=True).blocks()
    assert len(next(blocks)) == 3
    path.write_bytes(b"")
    with pytest.raises(DamagedCapture, match="shorter"):
        next(blocks)


READ_STDIN = """
from sniffer.capture.pcapfile import open_capture
waits = 0
for block in open_capture("-").blocks():
    waits += not block
    for packet in block:
        print(packet[2].decode(), flush=True)
print(waits > 1)
"""


def test_standard_input_as_it_comes():
    content = pcap([(1, 0, b"one", 3), (2, 0, b"two", 3)])
    with subprocess.Popen([sys.executable, "-c", READ_STDIN], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdin.write(content[:-10])
        child.stdin.flush()
        assert child.stdout.readline() == b"one\n"
        time.sleep(0.2)
        child.stdin.write(content[-10:])
        child.stdin.flush()
        assert child.stdout.readline() == b"two\n"
        child.stdin.close()
        assert child.stdout.read() == b"True\n"
    assert child.returncode == 0


def test_named_pipe(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_bytes(gzip.compress(pcap(RECORDS))))
    writer.start()
    packets, error = read_all(open_capture(path))
    writer.join()
    assert error is None
    assert len(packets) == 3

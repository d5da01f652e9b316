from __future__ import annotations

import io
import random
import shutil
import struct
import subprocess
import time

import dpkt
import pytest

from sniffer.capture.merge import merge
from sniffer.capture.pcapfile import open_capture
from sniffer.capture.pcapng import BLOCK_LIMIT
from sniffer.errors import DamagedCapture
from sniffer.model import CHECKSUM_NOT_READY, CHECKSUM_UNKNOWN, CHECKSUM_VALID
from tests.unit.capture.files import (
    ENDINGS,
    block,
    enhanced,
    interface,
    old,
    option,
    pcap,
    read_all,
    section,
    simple,
    statistics,
)

SECOND = 10**9
AT = 1_700_000_000


@pytest.fixture
def read(tmp_path):
    def read(*parts: bytes):
        path = tmp_path / "a.pcapng"
        path.write_bytes(b"".join(parts))
        source = open_capture(path)
        packets, error = read_all(source)
        return source, packets, error

    return read


@pytest.mark.parametrize("order", ENDINGS)
@pytest.mark.parametrize(
    ("resolution", "ticks"),
    [(0, 1), (3, 10**3), (6, 10**6), (9, 10**9), (10, 10**10), (0x80 | 10, 2**10), (0x80 | 32, 2**32), (0x80 | 20, 2**20)],
)
def test_resolutions(read, order, resolution, ticks):
    stamp = AT * ticks + ticks // 2
    _, packets, error = read(
        section(order),
        interface(options=option(9, bytes([resolution]), order), order=order),
        enhanced(stamp, b"data", order=order),
        old(stamp, b"old", order=order),
    )
    assert error is None
    at = AT * SECOND + (SECOND // 2 if ticks > 1 else 0)
    assert packets == [(at, 1, b"data", 4, 0), (at, 1, b"old", 3, 0)]


def test_microseconds_where_no_resolution_is_given(read):
    assert read(section(), interface(), enhanced(AT * 10**6 + 5, b"x"))[1][0][0] == AT * SECOND + 5000


@pytest.mark.parametrize("order", ENDINGS)
@pytest.mark.parametrize("seconds", [3600, -3600])
def test_time_offset(read, order, seconds):
    options = option(14, struct.pack(order + "q", seconds), order) + option(9, b"\x09", order) + option(0, b"")
    _, packets, _ = read(section(order), interface(options=options, order=order), enhanced(AT * SECOND, b"x", order=order))
    assert packets[0][0] == (AT + seconds) * SECOND


def test_several_interfaces_and_sections_of_both_orders(read):
    parts = []
    for order in "<><":
        parts += [
            section(order, length=random.choice((-1, 12345))),
            interface(1, order=order),
            interface(276, options=option(9, b"\x09", order), order=order),
            enhanced(AT * SECOND, b"b", number=1, order=order),
            enhanced(AT * 10**6, b"a", number=0, order=order),
        ]
    _, packets, error = read(*parts)
    assert error is None
    assert packets == [(AT * SECOND, 276, b"b", 1, 0), (AT * SECOND, 1, b"a", 1, 0)] * 3


@pytest.mark.parametrize("order", ENDINGS)
def test_simple_packets_have_the_snap_length_and_the_last_time(read, order):
    _, packets, error = read(
        section(order),
        interface(snaplen=5, order=order),
        enhanced(AT * 10**6, b"abc", order=order),
        simple(b"12345", original=100, order=order),
        simple(b"123", order=order),
    )
    assert error is None
    assert packets[1:] == [(AT * SECOND, 1, b"12345", 100, 0), (AT * SECOND, 1, b"123", 3, 0)]


def test_unknown_blocks_are_skipped(read):
    unknown = [
        block(4, b"names"),
        block(10, b"TLSK" + bytes(400)),
        block(0xBAD, bytes(99)),
        block(0x80000001, b""),
        block(9, b"{}"),
    ]
    _, packets, error = read(section(), *unknown, interface(), *unknown, enhanced(1, b"x"), *unknown)
    assert error is None
    assert len(packets) == 1


def test_packet_options_are_skipped(read):
    options = option(1, b"a comment") + option(2, bytes(4)) + option(0, b"")
    assert read(section(), interface(), enhanced(1, b"x", options=options), enhanced(2, b"y"))[1][1][2] == b"y"


def test_drops_are_the_latest_of_each_interface(read):
    source, _, error = read(
        *(section(), interface(), interface()),
        *(statistics(0, ifdrop=1), statistics(0, ifdrop=5, osdrop=2), statistics(1, osdrop=10)),
        *(section(">"), interface(order=">"), statistics(0, ifdrop=100, order=">")),
    )
    assert error is None
    assert source.kernel_drops == 117


def test_nobody_counted_drops(read):
    assert read(section(), interface(), statistics())[0].kernel_drops is None


def test_absurd_drops_stay_a_database_integer(read):
    assert read(section(), interface(), statistics(0, ifdrop=2**64 - 1))[0].kernel_drops == 2**63 - 1


DESCRIPTIONS = b"checksum unknown", b"checksum valid", b"checksum not ready"


@pytest.mark.parametrize(("application", "ours"), [(b"sniffer 0.1.0", True), (b"tcpdump", False), (b"", False)])
def test_checksum_marks_only_of_our_own_files(read, application, ours):
    _, packets, _ = read(
        section(options=option(4, application)),
        *(interface(options=option(3, description)) for description in DESCRIPTIONS),
        *(enhanced(1, b"x", number=number) for number in range(3)),
    )
    expected = [CHECKSUM_UNKNOWN, CHECKSUM_VALID, CHECKSUM_NOT_READY] if ours else [CHECKSUM_UNKNOWN] * 3
    assert [packet[4] for packet in packets] == expected


GOOD = section() + interface() + enhanced(1, b"good")


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (struct.pack("<II", 6, 8) + bytes(100), "length of 8 bytes"),
        (struct.pack("<II", 6, 0) + bytes(100), "length of 0 bytes"),
        (struct.pack("<II", 99, BLOCK_LIMIT + 4) + bytes(100), "length of"),
        (struct.pack("<II", 6, 0xFFFFFFFF) + bytes(100), "length of"),
        (enhanced(1, b"x")[:-4] + b"\1\2\3\4", "differ"),
        (block(99, b"")[:-4] + b"\1\2\3\4", "differ"),
        (block(6, struct.pack("<5I", 0, 0, 1, 500, 500) + bytes(100)), "500 bytes"),
        (block(2, struct.pack("<HHIIII", 0, 0, 0, 1, 500, 500) + bytes(100)), "500 bytes"),
        (block(3, struct.pack("<I", 500) + bytes(100)), "500 bytes"),
        (enhanced(1, b"x", number=7), "interface"),
        (old(1, b"x", number=7), "interface"),
        (statistics(7), "interface"),
        (block(6, b"too short"), "too short"),
        (block(1, b"123"), "too short"),
        (block(1, struct.pack("<HHI", 1, 0, 0) + struct.pack("<HH", 9, 200) + b"\x06"), "option"),
        (enhanced(2**64 - 1, b"x"), "2262"),
        (old(2**64 - 1, b"x"), "2262"),
        (interface(options=option(14, struct.pack("<q", 2**62))), "if_tsoffset"),
        (block(0x0A0D0D0A, bytes(20)), "byte-order"),
        (section(version=(2, 0)), "version 2.0"),
    ],
)
def test_damage(read, bad, says):
    source, packets, error = read(GOOD, bad, enhanced(2, b"never reached"))
    assert [packet[2] for packet in packets] == [b"good"]
    assert isinstance(error, DamagedCapture)
    assert says in error.reason
    assert error.offset == len(GOOD)
    assert source.losses[0].bytes == len(bad) + len(enhanced(2, b"never reached"))
    assert "\n" not in str(error)


def test_simple_packet_without_interface(read):
    assert isinstance(read(section(), simple(b"x"))[2], DamagedCapture)


@pytest.mark.parametrize("cut", range(1, 36))
def test_cut_off(read, cut):
    _, packets, error = read(GOOD, enhanced(2, b"second")[:cut])
    assert len(packets) == 1
    assert isinstance(error, DamagedCapture)
    assert error.offset == len(GOOD)


def test_interfaces_are_limited(read):
    _, packets, error = read(section(), interface() * 70_000, enhanced(1, b"x"))
    assert packets == []
    assert "interfaces" in error.reason


def test_agrees_with_dpkt(read):
    rng = random.Random(11)
    out = io.BytesIO()
    writer = dpkt.pcapng.Writer(out)
    data = [rng.randbytes(rng.randrange(1500)) for _ in range(2000)]
    for index, content in enumerate(data):
        writer.writepkt(content, AT + index / 1000)
    _, packets, error = read(out.getvalue())
    assert error is None
    assert [packet[2] for packet in packets] == data
    assert [packet[0] // 1000 for packet in packets] == [
        round(at * 10**6) for at, _ in dpkt.pcapng.Reader(io.BytesIO(out.getvalue()))
    ]


@pytest.mark.skipif(not shutil.which("editcap"), reason="editcap (wireshark-common) is not installed")
@pytest.mark.parametrize("name", ["pcapng", "nsecpcap", "pcap"])
def test_editcap_converts_to_the_same(tmp_path, name):
    rng = random.Random(5)
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(pcap([(AT + n, n * 1000, rng.randbytes(60 + n), 60 + n) for n in range(500)], magic=0xA1B23C4D))
    subprocess.run(["editcap", "-F", name, source, target], check=True, capture_output=True)
    assert read_all(open_capture(target)) == read_all(open_capture(source))


def test_large_blocks_cost_no_more_than_their_bytes(read):
    """Joining what is there with each chunk that comes would take half a minute for these."""
    started = time.process_time()
    _, packets, error = read(section(), interface(), *([block(0xBAD, bytes(BLOCK_LIMIT - 12)), enhanced(1, b"x")] * 12))
    assert error is None
    assert len(packets) == 12
    assert time.process_time() - started < 5


KEYS = b"# made up\nCLIENT_RANDOM " + b"5c" * 32 + b" " + b"e1" * 48 + b"\n"
TLS_KEY_LOG, SSH_KEY_LOG = 0x544C534B, 0x5353484B


def secrets(data, kind=TLS_KEY_LOG, order="<", length=None):
    return block(10, struct.pack(order + "II", kind, len(data) if length is None else length) + data, order)


@pytest.mark.parametrize("order", ENDINGS)
def test_tls_secrets_are_handed_on_and_others_are_skipped(read, order):
    source, packets, error = read(
        section(order),
        secrets(b"ssh secrets", SSH_KEY_LOG, order),
        secrets(KEYS, order=order),
        interface(order=order),
        enhanced(1, b"one", order=order),
        secrets(b"", order=order),
        secrets(KEYS[:-1], order=order),  # padded, and found without its padding
        enhanced(2, b"two", order=order),
    )
    assert error is None
    assert [packet[2] for packet in packets] == [b"one", b"two"]
    assert source.secrets == [KEYS, b"", KEYS[:-1]]


def test_secrets_of_merged_files_come_together(tmp_path):
    paths = [tmp_path / name for name in ("a.pcapng", "b.pcapng")]
    for number, path in enumerate(paths):
        path.write_bytes(section() + secrets(b"# %d\n" % number) + interface() + enhanced(number, b"data"))
    source = merge([open_capture(path) for path in paths])
    assert source.secrets == []  # the look at a file's head brings none
    assert len(read_all(source)[0]) == 2
    assert sorted(source.secrets) == [b"# 0\n", b"# 1\n"]


@pytest.mark.parametrize("body", [b"", b"KSLT", struct.pack("<II", TLS_KEY_LOG, 13) + bytes(12)])
def test_secrets_of_a_lying_length_stop_the_file_there(read, body):
    source, packets, error = read(section(), interface(), enhanced(1, b"one"), block(10, body), enhanced(2, b"two"))
    assert isinstance(error, DamagedCapture)
    assert "10" in error.reason or "secrets" in error.reason
    assert [packet[2] for packet in packets] == [b"one"]
    assert source.secrets == []

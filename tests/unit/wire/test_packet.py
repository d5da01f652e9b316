"""Packets to segments. dpkt and scapy are the oracles; `pcaps/links` holds each encapsulation, read by test_pcaps.py."""

from __future__ import annotations

import random
from struct import pack

import dpkt
import pytest
from scapy.layers.inet import GRE, IP, TCP, UDP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.layers.ppp import PPP, PPPoE
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet as ScapyPacket
from scapy.packet import Raw

from sniffer.config import Limits
from sniffer.model import CHECKSUM_NOT_READY, CHECKSUM_UNKNOWN, CHECKSUM_VALID, Packet
from sniffer.wire.encapsulation import LINK_ETHERNET, LINK_LOOP, LINK_NULL, LINK_SLL, LINK_SLL2, find_ip
from sniffer.wire.heads import read_heads
from sniffer.wire.packet import PacketDecoder, Segment, endpoints, is_partial_sum, sum_is_zero
from tests.packets import ACK, PSH, Flow, Sent, ethernet, ip_packet, ones_complement

ETHER = Ether(src="00:00:5e:00:53:01", dst="00:00:5e:00:53:02")  # else scapy asks the network for them
V4 = IP(src="10.0.0.1", dst="10.0.0.2")
V6 = IPv6(src="2001:db8::1", dst="2001:db8::2")


def decoder() -> tuple[PacketDecoder, list[tuple[int, int, str]]]:
    lost: list[tuple[int, int, str]] = []
    return PacketDecoder(Limits(), lambda time, size, reason: lost.append((time, size, reason))), lost


def decode(
    data: bytes, link: int = LINK_ETHERNET, *, length: int | None = None, mark: int = CHECKSUM_UNKNOWN
) -> Segment | None:
    return decoder()[0].decode((7, link, data, len(data) if length is None else length, mark))


def tcp(payload: bytes = b"payload") -> ScapyPacket:
    return TCP(sport=1234, dport=443, seq=77, ack=88, flags="PA") / Raw(payload)


@pytest.mark.parametrize(
    "packet",
    [
        ETHER / V4 / tcp(),
        ETHER / V6 / tcp(),
        ETHER / Dot1Q(vlan=5) / V4 / tcp(),
        ETHER / Dot1AD(vlan=5) / Dot1Q(vlan=6) / V6 / tcp(),
        ETHER / PPPoE() / PPP() / V4 / tcp(),
        ETHER / IP(src="10.0.0.1", dst="10.0.0.2", options=b"\x01\x01\x01\x00") / tcp(),
        ETHER / V6 / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / tcp(),
        ETHER / V6 / IPv6ExtHdrFragment() / tcp(),
        ETHER / IP() / UDP(dport=4789) / VXLAN(vni=3) / ETHER / V4 / tcp(),
        ETHER / IP() / GRE() / V4 / tcp(),
        ETHER / IP() / GRE(proto=0x6558) / ETHER / Dot1Q(vlan=9) / V6 / tcp(),
        ETHER / IP() / V4 / tcp(),
        ETHER / V4 / TCP(sport=1234, dport=443, seq=77, ack=88, flags="PA", options=[("Timestamp", (1, 2))]) / b"payload",
    ],
    ids=lambda packet: packet.summary()[:60],
)
def test_scapys_packets_are_read(packet: ScapyPacket) -> None:
    found = decode(bytes(packet))
    assert found is not None
    assert (found.seq, found.ack, found.payload, found.checksum_ok, found.missing) == (77, 88, b"payload", True, 0)
    assert found.flags == ACK | PSH
    assert endpoints(found.flow)[0][1] == 1234
    damaged = bytearray(bytes(packet))
    damaged[-1] ^= 1
    again = decode(bytes(damaged))
    assert again is not None
    assert not again.checksum_ok


@pytest.mark.parametrize("seed", range(5))
def test_against_dpkt(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(100):
        flow = Flow((rng.randbytes(4), rng.getrandbits(16)), (rng.randbytes(4), rng.getrandbits(16)))
        sent = flow.put("client", rng.choice((ACK, ACK | PSH, 2, 0x12, 0x11)), rng.randbytes(rng.randint(0, 100)))
        data = sent.packet()[2]
        other = dpkt.ethernet.Ethernet(data).data.data
        found = decode(data)
        assert found is not None
        assert (found.seq, found.ack, found.flags, found.payload) == (other.seq, other.ack, other.flags, bytes(other.data))
        assert found.checksum_ok
        heads = read_heads([sent.packet()])
        assert heads.plain[0] == (sent.flags in (ACK, ACK | PSH))
        if heads.plain[0]:
            assert heads.intact[0]
            assert data[heads.start[0] : heads.end[0]] == sent.payload


def test_the_bulk_reader_agrees_with_the_decoder() -> None:
    """On right, partial, zero and damaged sums, odd lengths and odd alignment, padding, and bytes that are no packets."""
    rng = random.Random(11)
    packets: list[Packet] = []
    for _ in range(2000):
        flow = Flow((rng.randbytes(4), rng.getrandbits(16)), (rng.randbytes(4), rng.getrandbits(16)))
        sent: Sent = flow.put("client", ACK, rng.choice((b"", b"\xff" * 20, bytes(20), rng.randbytes(rng.randint(0, 70)))))
        if rng.random() < 0.2:
            sent = sent.partial_sum()
        elif rng.random() < 0.2:
            sent = sent.damaged(rng.randrange(0, 90))
        time, link, data, length, _ = sent.packet()
        if rng.random() < 0.2:
            data += bytes(rng.randint(1, 20))
        if rng.random() < 0.2:
            changed = bytearray(data)
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
            data = bytes(changed)
        if rng.random() < 0.1:
            data = data[: rng.randrange(len(data))]
        packets.append((time, link, data, max(length, len(data)), rng.choice((0, 0, 0, CHECKSUM_VALID))))
    heads = read_heads(packets)
    plain = 0
    for packet, is_plain, intact, seq, ack, start, end in zip(packets, *heads, strict=True):
        if not is_plain:
            continue
        plain += 1
        found = decoder()[0].decode(packet)
        assert found is not None
        assert (seq, ack, packet[2][start:end], intact) == (found.seq, found.ack, found.payload, found.checksum_ok)
    assert plain > 1000


def test_fragments_of_scapy() -> None:
    for order in (1, -1):
        one, lost = decoder()
        parts = fragment(V4 / tcp(bytes(range(256)) * 10), fragsize=600)[::order]
        found = [one.decode((7, 101, bytes(part), len(part), 0)) for part in parts]
        assert [item is None for item in found] == [True] * (len(parts) - 1) + [False]
        assert found[-1] is not None
        assert found[-1].payload == bytes(range(256)) * 10
        assert found[-1].checksum_ok
        assert not lost


@pytest.mark.parametrize("size", [8, 64, 400])
@pytest.mark.parametrize("copies", [1, 2])
@pytest.mark.parametrize(
    "inside",
    [tcp(bytes(600)), IPv6ExtHdrDestOpt() / tcp(bytes(600)), IPv6ExtHdrDestOpt() / V4 / tcp(bytes(600))],
    ids=["TCP", "destination options", "a tunnel behind destination options"],
)
def test_what_fragments_of_ipv6_carry(inside: ScapyPacket, size: int, copies: int) -> None:
    """RFC 8200 section 4.5: extension headers may be a part of what is cut. `copies`: as interfaces show it."""
    one, lost = decoder()
    whole = bytes(V6 / inside)
    following, body = whole[6], whole[40:]
    found = []
    for at in range(0, len(body), size):
        fragment_header = pack("!BBHI", following, 0, at | (at + size < len(body)), 77)
        data = ip_packet(whole[8:24], whole[24:40], 44, fragment_header + body[at : at + size])
        found += [one.decode((7, 101, data, len(data), 0)) for _ in range(copies)]
    one.flush()
    assert [item.payload for item in found if item is not None] == [bytes(600)]
    assert found[-copies] is not None
    assert found[-copies].checksum_ok
    assert not lost
    assert not one.ignored


def test_headers_that_never_end_in_fragments() -> None:
    """Fragments in a fragment: each makes the next one whole."""
    one, lost = decoder()
    body = b"".join(pack("!BBHI", 44, 0, 1, number) for number in range(3000))
    data = ip_packet(bytes(16), bytes(16), 44, pack("!BBHI", 44, 0, 1, 77) + body[:8])
    assert one.decode((7, 101, data, len(data), 0)) is None
    data = ip_packet(bytes(16), bytes(16), 44, pack("!BBHI", 44, 0, 8, 77) + body)
    assert one.decode((7, 101, data, len(data), 0)) is None
    one.flush()
    assert lost


def test_padding_is_no_payload() -> None:
    sent = Flow().put("client", ACK, b"x")
    found = decode(sent.packet()[2] + bytes(5))
    assert found is not None
    assert found.payload == b"x"


def test_a_packet_cut_by_the_snap_length() -> None:
    data = Flow().put("client", ACK, bytes(100)).packet()[2]
    found = decode(data[:-60], length=len(data))
    assert found is not None
    assert (len(found.payload), found.missing, found.checksum_ok) == (40, 60, True)


def test_total_length_0_from_segmentation_offload() -> None:
    data = bytearray(Flow().put("client", ACK, b"offloaded").packet()[2])
    data[16:18] = b"\0\0"
    found = decode(bytes(data))
    assert found is not None
    assert found.payload == b"offloaded"


def test_marks_vouch_for_checksums() -> None:
    data = bytearray(Flow().put("client", ACK, b"abc").packet()[2])
    data[-1] ^= 1
    assert [
        found.checksum_ok
        for mark in (CHECKSUM_UNKNOWN, CHECKSUM_VALID, CHECKSUM_NOT_READY)
        if (found := decode(bytes(data), mark=mark))
    ] == [False, True, True]


def test_a_lying_header_length() -> None:
    """In a segment whose sum is right it is a loss; in a damaged one it is the damage."""
    sent = Flow().put("client", ACK, b"abc")
    for nibble in (0x10, 0xF0):
        bare = bytearray(sent.tcp())
        bare[12] = nibble
        one, lost = decoder()
        data = ethernet(ip_packet(sent.source[0], sent.destination[0], 6, bytes(bare)))
        found = one.decode((7, LINK_ETHERNET, data, len(data), 0))
        assert found is not None
        assert (found.checksum_ok, found.payload) == (False, b"")
        assert one.decode((7, LINK_ETHERNET, data, len(data), CHECKSUM_VALID)) is None
        assert [reason for _, _, reason in lost] == ["TCP header of a lying length"]


def test_heads_that_are_cut_off_are_losses() -> None:
    data = Flow().put("client", ACK, b"abc").packet()[2]
    for size, reason in ((14 + 19, "IP header cut off"), (34 + 19, "TCP header cut off")):
        one, lost = decoder()
        assert one.decode((7, LINK_ETHERNET, data[:size], len(data), 0)) is None
        assert reason in lost[0][2]


def test_other_protocols_are_ignored_and_unknown_links_counted() -> None:
    one, lost = decoder()
    for data in (bytes(12) + b"\x08\x06" + bytes(28), ethernet(ip_packet(b"abcd", b"efgh", 17, bytes(20)))):
        assert one.decode((7, LINK_ETHERNET, data, len(data), 0)) is None
    assert one.ignored == 2
    for time in (8, 9):
        assert one.decode((time, 147, b"abc", 3, 0)) is None
    one.flush()
    assert lost == [(8, 6, "link type 147 is not supported: 2 packets")]


@pytest.mark.parametrize(
    ("link", "head"),
    [
        (LINK_NULL, pack("<I", 2)),
        (LINK_NULL, pack(">I", 2)),
        (LINK_LOOP, pack(">I", 2)),
        (LINK_SLL, bytes(14) + b"\x08\x00"),
        (LINK_SLL2, b"\x08\x00" + bytes(18)),
        (101, b""),
        (228, b""),
    ],
)
def test_link_types(link: int, head: bytes) -> None:
    ip = bytes(V4 / tcp())
    assert find_ip(link, head + ip) == len(head)
    found = decode(head + ip, link)
    assert found is not None
    assert found.payload == b"payload"
    assert decode(head, link) is None


@pytest.mark.parametrize("seed", range(4))
def test_checksums_against_the_plain_sum(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(200):
        addresses, segment = rng.randbytes(8), bytearray(rng.randbytes(rng.randint(20, 60)))
        segment[16:18] = b"\0\0"
        total = ones_complement(addresses + pack("!HH", 6, len(segment)) + bytes(segment))
        segment[16:18] = pack("!H", total)
        assert sum_is_zero(addresses + bytes(segment), len(segment), 6)
        assert not sum_is_zero(addresses + bytes(segment[:-1]) + bytes([segment[-1] ^ 1]), len(segment), 6)
        bare = ~ones_complement(addresses + pack("!HH", 6, len(segment))) & 0xFFFF
        assert is_partial_sum(addresses, len(segment), bare)
        assert not is_partial_sum(addresses, len(segment), bare ^ 1)


@pytest.mark.parametrize(
    "data",
    [
        bytes(12) + b"\x88\x47" + (b"\0\0\1\0" + bytes(12) + b"\x88\x47") * 3000,
        bytes(12) + b"\x88\x47" + b"\0\0\1\0" * 16_000,
        bytes(12) + (b"\x81\x00\x00\x01") * 16_000,
        bytes(12) + b"\x08\x00" + (bytes(V4)[:9] + b"\x04" + bytes(V4)[10:]) * 3000,
        bytes(12) + b"\x88\x47" + bytes(range(256)) * 250,
    ],
    ids=["labels in pseudo-wires", "labels", "tags", "IP in IP", "counting"],
)
def test_endless_headers_end(data: bytes) -> None:
    assert decode(data) is None

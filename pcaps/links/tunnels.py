"""What taps, switches and clouds mirror packets in: VXLAN, GRE, NVGRE, ERSPAN, and plain IP in IP."""

from __future__ import annotations

from scapy.contrib.erspan import ERSPAN, ERSPAN_II, ERSPAN_III, ERSPAN_PlatformSpecific
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import GRE, Dot1Q, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet

from pcaps.kit.files import CLIENT_MAC, SERVER_MAC, Link, ethernet, record
from pcaps.kit.talk import hello
from pcaps.kit.truth import Capture, capture

V6 = ("[2001:db8::1]:40000", "[2001:db8::2]:9443")
OUTER = IP(src="192.0.2.200", dst="192.0.2.201", ttl=64)
INNER = Ether(src=CLIENT_MAC, dst=SERVER_MAC)


def outer(proto: int) -> IP:
    head = OUTER.copy()
    head.proto = proto
    return head


def gre(**fields: int) -> GRE:
    """GRE around IPv4, with the optional words that `fields` ask for."""
    return GRE(proto=0x0800, **fields)


@capture("VXLAN, as cloud traffic mirroring sends it: UDP port 4789, then a whole Ethernet frame", rfc="RFC 7348 section 5")
def vxlan() -> Capture:
    head = VXLAN(vni=77, flags="Instance")
    return record(hello(), hello(*V6), link=Link(1, ethernet(OUTER, UDP(sport=51_234, dport=4789), head, INNER)))


@capture("VXLAN over IPv6, without a UDP checksum, a VLAN tag in the inner frame", rfc="RFC 7348 section 5")
def vxlan_ipv6() -> Capture:
    carrier = IPv6(src="2001:db8::c8", dst="2001:db8::c9", hlim=64)
    layers = (carrier, UDP(sport=51_234, dport=4789, chksum=0), VXLAN(vni=78, flags="Instance"), INNER, Dot1Q(vlan=9))
    return record(hello(), link=Link(1, ethernet(*layers)))


@capture("GRE around IP, no options", rfc="RFC 2784 section 2")
def gre_plain() -> Capture:
    return record(hello(), link=Link(1, ethernet(OUTER, gre())))


@capture("GRE with a key", rfc="RFC 2890 section 2")
def gre_key() -> Capture:
    return record(hello(), link=Link(1, ethernet(OUTER, gre(key_present=1, key=4711))))


@capture("GRE with a checksum, which brings four bytes: the checksum and a reserved word", rfc="RFC 2784 section 2.3")
def gre_checksum() -> Capture:
    return record(hello(), link=Link(1, ethernet(OUTER, gre(chksum_present=1))))


@capture("GRE with a sequence number", rfc="RFC 2890 section 2.2")
def gre_sequence() -> Capture:
    return record(hello(), link=Link(1, ethernet(OUTER, gre(seqnum_present=1, sequence_number=42))))


@capture("GRE with checksum, key and sequence number: twelve bytes of options", rfc="RFC 2890 section 2")
def gre_all_options() -> Capture:
    head = gre(chksum_present=1, key_present=1, key=1, seqnum_present=1, sequence_number=2)
    return record(hello(), link=Link(1, ethernet(OUTER, head)))


@capture("GRE around IPv6, over IPv6", rfc="RFC 7676")
def gre_ipv6() -> Capture:
    carrier = IPv6(src="2001:db8::c8", dst="2001:db8::c9", hlim=64)
    return record(hello(*V6), link=Link(1, ethernet(carrier, GRE(proto=0x86DD))))


@capture("NVGRE: GRE with a key around a whole Ethernet frame", rfc="RFC 7637 section 3.2")
def nvgre() -> Capture:
    return record(hello(), link=Link(1, ethernet(OUTER, GRE(proto=0x6558, key_present=1, key=0x00123401), INNER)))


@capture("transparent Ethernet bridging in GRE without a key, a VLAN tag inside", rfc="RFC 1701")
def gre_bridge() -> Capture:
    return record(hello(), link=Link(1, ethernet(OUTER, GRE(proto=0x6558), INNER, Dot1Q(vlan=12))))


@capture(
    "ERSPAN type I: GRE protocol 0x88be without a sequence number means that no ERSPAN head follows",
    rfc="draft-foschiano-erspan section 4.1",
)
def erspan_1() -> Capture:
    return record(hello(), link=Link(1, ethernet(OUTER, GRE(proto=0x88BE), ERSPAN(), INNER)))


@capture("ERSPAN type II: with a sequence number, eight bytes of head follow", rfc="draft-foschiano-erspan section 4.2")
def erspan_2() -> Capture:
    head = GRE(proto=0x88BE, seqnum_present=1, sequence_number=1)
    return record(hello(), link=Link(1, ethernet(OUTER, head, ERSPAN_II(session_id=5, vlan=1), INNER)))


@capture(
    "ERSPAN type III: GRE protocol 0x22eb, twelve bytes with a hardware time stamp", rfc="draft-foschiano-erspan section 4.3"
)
def erspan_3() -> Capture:
    head = GRE(proto=0x22EB, seqnum_present=1, sequence_number=1)
    mirror = ERSPAN_III(session_id=6, timestamp=123_456, o=0)
    return record(hello(), link=Link(1, ethernet(OUTER, head, mirror, INNER)))


@capture("ERSPAN type III whose O bit says that eight bytes of platform data follow", rfc="draft-foschiano-erspan section 4.3")
def erspan_3_platform() -> Capture:
    head = GRE(proto=0x22EB, seqnum_present=1, sequence_number=1)
    mirror = ERSPAN_III(session_id=6, timestamp=123_456, o=1) / ERSPAN_PlatformSpecific(platf_id=3, info1=1, info2=2)
    return record(hello(), link=Link(1, ethernet(OUTER, head, mirror, INNER)))


@capture("IPv4 in IPv4", rfc="RFC 2003")
def ip_in_ip() -> Capture:
    return record(hello(), link=Link(1, ethernet(outer(4))))


@capture("IPv6 in IPv4", rfc="RFC 4213 section 3")
def ipv6_in_ipv4() -> Capture:
    return record(hello(*V6), link=Link(1, ethernet(outer(41))))


@capture("UDP datagrams to VXLAN's port that are no VXLAN, and GRE of an unknown protocol, beside a plain connection: ignored")
def tunnel_look_alikes() -> Capture:
    talk = hello()
    frames = []
    wrap = ethernet()
    stray: list[Packet] = [
        OUTER / UDP(sport=51_234, dport=4789) / b"short",
        OUTER / UDP(sport=51_234, dport=4789) / (b"\x00" * 60),
        OUTER / GRE(proto=0x0BAD) / (b"\x45" * 40),
    ]
    for i, (time, packet) in enumerate(talk.packets):
        frames.append((time, bytes(wrap(packet))))
        frames.append((time + 500, bytes(wrap(stray[i % len(stray)]))))
    return record(talk, frames=frames)

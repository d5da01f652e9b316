"""One conversation on every link type."""

from __future__ import annotations

import struct

from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import CookedLinux, CookedLinuxV2, Dot1Q
from scapy.packet import Packet

from pcaps.kit.files import ETHERNET, Link, record
from pcaps.kit.talk import hello
from pcaps.kit.truth import Capture, capture

V6 = ("[2001:db8::1]:40000", "[2001:db8::2]:9443")
LOOPBACK = ("127.0.0.1:40000", "127.0.0.1:9443")
LINKTYPES = "tcpdump.org/linktypes.html"


def family(order: str, v6: int) -> Link:
    """LINKTYPE_NULL: the address family in the byte order of the capturing host; AF_INET6 differs between systems."""
    return Link(0, lambda packet: struct.pack(f"{order}I", v6 if IPv6 in packet else 2) + bytes(packet))


@capture("Ethernet, IPv4: the plain case that all others are compared with")
def ethernet() -> Capture:
    return record(hello())


@capture("Ethernet, IPv6")
def ethernet_ipv6() -> Capture:
    return record(hello(*V6))


@capture("BSD loopback (NULL), family in little-endian", rfc=LINKTYPES)
def null_little() -> Capture:
    return record(hello(*LOOPBACK), link=family("<", 30))


@capture("BSD loopback (NULL), family in big-endian, in a little-endian file: the two orders are independent", rfc=LINKTYPES)
def null_big() -> Capture:
    return record(hello(*LOOPBACK), link=family(">", 30))


@capture("BSD loopback, IPv6 with macOS's family 30", rfc=LINKTYPES)
def null_ipv6_macos() -> Capture:
    return record(hello(*V6), link=family("<", 30))


@capture("BSD loopback, IPv6 with FreeBSD's family 28", rfc=LINKTYPES)
def null_ipv6_freebsd() -> Capture:
    return record(hello(*V6), link=family("<", 28))


@capture("BSD loopback, IPv6 with NetBSD's and OpenBSD's family 24", rfc=LINKTYPES)
def null_ipv6_netbsd() -> Capture:
    return record(hello(*V6), link=family("<", 24))


@capture("OpenBSD loopback (LOOP): as NULL, but always in network byte order", rfc=LINKTYPES)
def loop() -> Capture:
    return record(hello(*LOOPBACK), link=Link(108, family(">", 24).wrap))


@capture("RAW (101): the packet begins with its IP head, whose version says which", rfc=LINKTYPES)
def raw() -> Capture:
    return record(hello(), hello(*V6), link=Link(101, bytes))


@capture("link type 12: DLT_RAW's number on most systems, found in files of old programs", rfc=LINKTYPES)
def raw_12() -> Capture:
    return record(hello(), link=Link(12, bytes))


@capture("link type 14: DLT_RAW's number on OpenBSD", rfc=LINKTYPES)
def raw_14() -> Capture:
    return record(hello(), link=Link(14, bytes))


@capture("IPV4 (228): raw IPv4 only", rfc=LINKTYPES)
def ipv4() -> Capture:
    return record(hello(), link=Link(228, bytes))


@capture("IPV6 (229): raw IPv6 only", rfc=LINKTYPES)
def ipv6() -> Capture:
    return record(hello(*V6), link=Link(229, bytes))


def cooked(packet: Packet) -> Packet:
    incoming = packet.sport == 9443
    return CookedLinux(
        pkttype=0 if incoming else 4,
        lladdrtype=1,
        lladdrlen=6,
        src=b"\x00\x00\x5e\x00\x53\x01\x00\x00",
        proto=ethertype(packet),
    )


def cooked_v2(packet: Packet) -> Packet:
    incoming = packet.sport == 9443
    return CookedLinuxV2(
        proto=ethertype(packet),
        ifindex=2,
        lladdrtype=1,
        pkttype=0 if incoming else 4,
        lladdrlen=6,
        src=b"\x00\x00\x5e\x00\x53\x01",
    )


def ethertype(packet: Packet) -> int:
    return 0x86DD if IPv6 in packet else 0x0800


@capture("Linux cooked capture (SLL): what `tcpdump -i any` wrote for long", rfc=LINKTYPES)
def sll() -> Capture:
    return record(hello(), hello(*V6), link=Link(113, lambda packet: cooked(packet) / packet))


@capture("Linux cooked capture v2 (SLL2): what `tcpdump -i any` writes now", rfc=LINKTYPES)
def sll2() -> Capture:
    return record(hello(), hello(*V6), link=Link(276, lambda packet: cooked_v2(packet) / packet))


@capture("a VLAN tag behind a cooked head: the protocol field says 0x8100", rfc=LINKTYPES)
def sll_vlan() -> Capture:
    def wrap(packet: Packet) -> Packet:
        head = cooked(packet)
        head.proto = 0x8100
        return head / Dot1Q(vlan=7, type=ethertype(packet)) / packet

    return record(hello(), link=Link(113, wrap))


@capture("`tcpdump -i any` on a router or a bridge: each packet is captured twice, once on each of two interfaces")
def sll2_twice() -> Capture:
    talk = hello()
    frames = []
    for time, packet in talk.packets:
        for interface in (2, 3):
            head = cooked_v2(packet)
            head.ifindex = interface
            frames.append((time + interface * 1000, bytes(head / packet)))
    return record(talk, link=Link(276, bytes), frames=frames)


@capture("frames that carry no IP between the packets: ARP, LLDP, spanning tree, an unknown EtherType; ignored without a loss")
def other_protocols() -> Capture:
    talk = hello()
    others = [
        bytes.fromhex("ffffffffffff00005e0053010806000108000604000100005e005301c0000201000000000000c6336401") + bytes(18),
        bytes.fromhex("0180c200000e00005e00530188cc") + bytes(46),
        bytes.fromhex("0180c200000000005e0053010026424203") + bytes(43),
        bytes.fromhex("00005e00530200005e00530188b5") + bytes(46),  # local experimental EtherType (IEEE 802)
    ]
    frames = []
    for i, frame in enumerate(ETHERNET.frames(talk.packets)):
        frames.append(frame)
        frames.append((frame[0] + 500, others[i % len(others)]))
    return record(talk, frames=frames)

"""Garbage in the fields of every header below TCP's payload, beside a healthy connection, which must be whole."""

from __future__ import annotations

import random
import struct

from scapy.contrib.mpls import MPLS
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt
from scapy.layers.l2 import GRE, Dot1Q, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Raw

from pcaps.kit.files import CLIENT_MAC, ETHERNET, SERVER_MAC, Frame, Link, record
from pcaps.kit.talk import hello
from pcaps.kit.truth import Capture, capture

INNER = Ether(src=CLIENT_MAC, dst=SERVER_MAC, type=0x0800)
TUNNEL = IP(src="192.0.2.200", dst="192.0.2.201", ttl=64)
STRANGER = (
    IP(src="203.0.113.5", dst="203.0.113.6", ttl=64)
    / TCP(sport=5555, dport=6666, flags="PA", seq=1, ack=1)
    / Raw(b"garbage " * 8)
)


def beside(strays: list[bytes], link: Link = ETHERNET) -> Capture:
    """A healthy connection with `strays` between its packets."""
    talk = hello()
    frames: list[Frame] = []
    for i, frame in enumerate(link.frames(talk.packets)):
        frames.append(frame)
        frames += [(frame[0] + 1000 + n, stray) for n, stray in enumerate(strays[i :: len(talk.packets)])]
    made = record(talk, link=link, frames=frames)
    made.other_connections, made.unassigned_loss = True, None
    return made


def flipped(whole: bytes, first: int, last: int, seed: int) -> list[bytes]:
    """`whole` with each byte from `first` to `last` replaced, and with random bytes over all of them."""
    noise = random.Random(seed)
    out = [
        whole[:at] + bytes([value]) + whole[at + 1 :] for at in range(first, last) for value in (0, 0xFF, noise.randrange(256))
    ]
    return out + [whole[:first] + noise.randbytes(last - first) + whole[last:] for _ in range(60)]


def framed(packet: Packet) -> bytes:
    return bytes(Ether(src=CLIENT_MAC, dst=SERVER_MAC) / packet)


@capture("each byte of the Ethernet, IPv4 and TCP heads replaced by 0, by 255, and at random")
def garbage_ipv4() -> Capture:
    return beside(flipped(framed(STRANGER), 12, 54, 1))


@capture("each byte of the IPv6 and TCP heads and of an extension head replaced")
def garbage_ipv6() -> Capture:
    head = IPv6(src="2001:db8::5", dst="2001:db8::6") / IPv6ExtHdrDestOpt()
    return beside(flipped(framed(head / STRANGER[TCP]), 12, 82, 2))


@capture("each byte of VLAN, MPLS, GRE and VXLAN heads replaced")
def garbage_tunnels() -> Capture:
    strays = flipped(framed(Dot1Q(vlan=5) / MPLS(label=16, s=1) / STRANGER), 12, 22, 3)
    strays += flipped(framed(TUNNEL / GRE(key_present=1, seqnum_present=1, proto=0x0800) / STRANGER), 34, 46, 4)
    strays += flipped(framed(TUNNEL / UDP(sport=1, dport=4789) / VXLAN(vni=1) / INNER / STRANGER), 34, 64, 5)
    return beside(strays)


@capture("each byte of SLL2 heads replaced")
def garbage_sll2() -> Capture:
    head = struct.pack(">HHIHBB8s", 0x0800, 0, 2, 1, 0, 6, b"\x00\x00\x5e\x00\x53\x01\x00\x00")
    link = Link(276, lambda packet: head + bytes(packet))
    return beside(flipped(head + bytes(STRANGER), 0, 20, 6), link)


@capture("packets of 0 to 60 bytes, cut anywhere in their heads")
def short_packets() -> Capture:
    whole = framed(STRANGER)
    return beside([whole[:length] for length in range(61)])


@capture("a TCP data offset below 5 and beyond the segment; options whose lengths are 0, 1, and too large", rfc="RFC 9293 3.1")
def data_offset_lies() -> Capture:
    whole = framed(STRANGER)
    strays = [whole[:46] + bytes([offset << 4]) + whole[47:] for offset in range(16)]
    strays += [whole[:46] + b"\x70" + whole[47:54] + options + whole[62:] for options in OPTIONS]
    return beside(strays)


OPTIONS = [b"\x02\x00" + b"\x00" * 6, b"\x05\x01" + b"\x01" * 6, b"\x08\xff" + b"\x01" * 6, b"\x02", b"\xfe" * 8]


@capture("200 VLAN tags, 400 MPLS labels, neither with anything inside that fits")
def endless_tags() -> Capture:
    tags = b"\x81\x00\x00\x05" * 200 + b"\x08\x00"
    heads = bytes.fromhex("00005e00530200005e005301")
    labels = b"\x88\x47" + b"\x00\x01\x00\x40" * 400
    return beside([heads + tags + bytes(STRANGER), heads + labels + bytes(STRANGER), heads + labels])


@capture("tunnels inside tunnels, forty deep: recursion must be bounded")
def endless_tunnels() -> Capture:
    ip_in_ip, gre, vxlan = TUNNEL.copy(), TUNNEL / GRE(proto=0x0800), TUNNEL / UDP(sport=1, dport=4789)
    ip_in_ip.proto = 4
    strays = []
    for head in (ip_in_ip, gre, vxlan / VXLAN(vni=1, flags="Instance") / INNER):
        inner = bytes(STRANGER)
        for _ in range(40):
            inner = bytes(head / Raw(inner))
        strays.append(bytes(INNER) + inner)
    return beside(strays)


@capture("a chain of 100 IPv6 destination heads, and one that says it is longer than the packet", rfc="RFC 8200 section 4.2")
def endless_extension_heads() -> Capture:
    start = bytes(IPv6(src="2001:db8::5", dst="2001:db8::6", nh=60, plen=840))
    chain = start + (b"\x3c\x00" + b"\x01\x04" + bytes(4)) * 100
    lying = start + b"\x06\xff" + bytes(30)
    head = bytes.fromhex("00005e00530200005e00530186dd")
    return beside([head + chain + bytes(STRANGER[TCP]), head + lying, head + start])


@capture(
    "hostile fragments: beyond 64 kB, of no bytes, overlapping their own head, without a TCP head, 1,200 that never end",
    rfc="RFC 1858",
)
def hostile_fragments() -> Capture:
    def piece(number: int, offset: int, more: bool, data: bytes) -> bytes:
        return framed(
            IP(src="203.0.113.5", dst="203.0.113.6", proto=6, id=number, frag=offset, flags="MF" if more else 0) / Raw(data)
        )

    strays = [piece(1, 8191, True, b"x" * 64), piece(1, 0, True, b"x" * 64), piece(2, 3, True, b""), piece(2, 0, False, b"")]
    strays += [
        piece(3, 0, True, b"x" * 8),
        piece(3, 1, False, b"y" * 40),
        piece(4, 0, True, b"z" * 32),
        piece(4, 3, False, b"z" * 4),
    ]
    strays += [piece(100 + n, 2, True, b"w" * 8) for n in range(1200)]
    return beside(strays)

"""Checksums: corrupted segments that the receiver dropped, and sums that the sender left to its card."""

from __future__ import annotations

import struct
from collections.abc import Callable

from scapy.layers.inet import TCP
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet, Raw

from pcaps.kit.files import record
from pcaps.kit.talk import Talk, hello
from pcaps.kit.truth import Capture, capture
from pcaps.tcp.order import END, ORDERS, finished, started

V6 = ("[2001:db8::1]:40000", "[2001:db8::2]:9443")


def folded(data: bytes) -> int:
    """The ones' complement sum of 16-bit words (RFC 1071), not inverted."""
    total = sum(struct.unpack(f">{len(data) // 2}H", data[: len(data) // 2 * 2])) + (data[-1] << 8 if len(data) % 2 else 0)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def pseudo_sum(packet: Packet) -> int:
    """What an offloading sender leaves in the field: the sum over the pseudo head (RFC 9293 3.1, RFC 8200 8.1)."""
    head = bytes(packet)
    addresses = head[8:40] if IPv6 in packet else head[12:20]
    return folded(addresses + struct.pack(">HH", 6, len(packet[TCP])))


def offloaded(talk: Talk, sender: str | None, value: Callable[[Packet], int]) -> None:
    """Give all packets of `sender` (None: of both) this checksum."""
    for _, packet in talk.packets:
        if sender is None or packet.sport == talk.ends[sender][1]:
            packet[TCP].chksum = value(packet)


@capture(
    "the client's checksums are pseudo-head sums, since its card completes them after the capture; not wrong",
    rfc="RFC 9293 3.1",
)
def offload_partial_client() -> Capture:
    talk = hello()
    offloaded(talk, "client", pseudo_sum)
    return record(talk)


@capture("pseudo-head sums on both sides: Linux loopback", rfc="RFC 9293 3.1")
def offload_partial_both() -> Capture:
    talk = hello("127.0.0.1:40000", "127.0.0.1:9443")
    offloaded(talk, None, pseudo_sum)
    return record(talk)


@capture("pseudo-head sums over IPv6", rfc="RFC 8200 8.1")
def offload_partial_ipv6() -> Capture:
    talk = hello(*V6)
    offloaded(talk, "server", pseudo_sum)
    return record(talk)


@capture("the server's checksums are all 0 from its first segment on: offloaded; `losses` says that nothing was verified")
def offload_zero() -> Capture:
    talk = hello()
    offloaded(talk, "server", lambda packet: 0)
    talk.truth.lost = True
    return record(talk)


@capture("the client's checksums are all wrong in the same way from its first segment on, and its messages were answered")
def offload_garbage() -> Capture:
    talk = hello()
    offloaded(talk, "client", lambda packet: pseudo_sum(packet) ^ 0x5A5A)
    talk.truth.lost = True
    return record(talk)


def corrupted(packet: Packet) -> Packet:
    """The packet with other digits and its old checksum."""
    sent = packet.__class__(bytes(packet))
    sent[Raw].load = sent[Raw].load.replace(b"9", b"8")
    return sent


@capture(
    "a corrupted segment, which the peer's kernel drops, then the same bytes right: only these count", rfc="RFC 9293 3.10.7.4"
)
def corrupted_then_good() -> Capture:
    talk = started()
    data = talk.frame("server", ORDERS)
    base = talk.segment("server", data, "PA")
    time, packet = talk.packets.pop()
    talk.packets.append((time, corrupted(packet)))
    talk.wait(250)
    talk.segment("server", data, "PA", seq=base)
    talk.segment("client")
    talk.expect("server", ORDERS)
    return finished(talk)


@capture("corrupted on the way to the capture only: acknowledged, so it never comes again; its bytes are a gap, not data")
def corrupted_acknowledged() -> Capture:
    talk = started()
    talk.scatter("server", ORDERS, (0, 300), (300, 500), (500, END), truth=False)
    time, packet = talk.packets[-3]
    talk.packets[-3] = time, corrupted(packet)
    talk.wait(300)
    talk.lose("server", 200)
    return finished(talk)


@capture("a corrupted acknowledgement far beyond a hole: it acknowledges nothing; the hole is filled a second later")
def corrupted_acknowledgement() -> Capture:
    talk = started()
    data = talk.frame("server", ORDERS)
    base = talk.next["server"]
    talk.segment("server", data[300:], "PA", seq=base + 300)
    talk.segment("client", ack=base + 5000, chksum=0x1234)
    talk.wait(1000)
    talk.segment("client", ack=base)
    talk.segment("server", data[:300], "PA", seq=base)
    talk.next["server"] = base + len(data)
    talk.segment("client")
    talk.expect("server", ORDERS)
    return finished(talk)


@capture("a corrupted reset: the connection goes on", rfc="RFC 9293 3.1")
def corrupted_reset() -> Capture:
    talk = started()
    talk.segment("server", flags="R", chksum=0x4321)
    talk.say("server", ORDERS)
    return finished(talk)


@capture("a SYN with the numbers of another connection and a wrong checksum, in the middle of this one", rfc="RFC 9293 3.1")
def corrupted_syn() -> Capture:
    talk = started()
    talk.segment("client", flags="S", seq=42, chksum=0x4321)
    talk.say("server", ORDERS)
    return finished(talk)


@capture("segments whose right checksum is 0x0000: zero means no checksum in UDP only", rfc="RFC 9293 3.1")
def checksum_zero() -> Capture:
    talk = started()
    body = b"sum it up:  "
    talk.segment("server", talk.frame("server", body + b"\x00\x00", "binary"), "PA")
    time, packet = talk.packets.pop()
    # the last two bytes stand at an even offset: as one word of the sum, they bring it to 0xffff, whose inverse is 0
    body += struct.pack(">H", packet.__class__(bytes(packet))[TCP].chksum)
    packet[Raw].load = talk.frame("server", body, "binary")
    if packet.__class__(bytes(packet))[TCP].chksum != 0:
        raise ValueError("the checksum was to be 0")
    talk.packets.append((time, packet))
    talk.segment("client")
    talk.expect("server", body, "binary")
    return finished(talk)

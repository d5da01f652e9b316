"""IP: options, extension heads, fragments."""

from __future__ import annotations

from scapy.layers.inet import IP, TCP, IPOption_Router_Alert, IPOption_Timestamp, fragment
from scapy.layers.inet6 import (
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    PadN,
    RouterAlert,
)
from scapy.packet import Packet, Raw

from pcaps.kit.files import record
from pcaps.kit.talk import Talk, Timed, hello
from pcaps.kit.truth import Capture, capture

V6 = ("[2001:db8::1]:40000", "[2001:db8::2]:9443")
LONG = '{"orders":"' + "".join(f"{n:04d}," for n in range(300)) + '"}'


def with_long_message(*ends: str) -> tuple[Talk, int]:
    """A conversation and the index of the packet that holds its long message, whole."""
    talk = Talk(*ends).open().upgrade()
    talk.say("client", "before")
    talk.say("server", LONG, size=4000)
    index = len(talk.packets) - 2
    talk.say("server", "after")
    return talk, index


def replaced(talk: Talk, index: int, pieces: list[Packet]) -> list[Timed]:
    """The packets of `talk`, with packet `index` as `pieces`, some microseconds apart."""
    time = talk.packets[index][0]
    return [*talk.packets[:index], *((time + i * 10_000, p) for i, p in enumerate(pieces)), *talk.packets[index + 1 :]]


def ipv4_pieces(packet: Packet, size: int = 504) -> list[Packet]:
    packet[IP].id = 0x1234
    return fragment(IP(bytes(packet)), fragsize=size)


@capture("IPv4 options: the head is longer than 20 bytes", rfc="RFC 791 section 3.1")
def ipv4_options() -> Capture:
    talk = hello()
    packets = []
    for time, packet in talk.packets:
        packet[IP].options = [IPOption_Router_Alert(), IPOption_Timestamp(internet_address="192.0.2.9", timestamp=1, flg=1)]
        packets.append((time, packet))
    return record(talk, packets=packets)


@capture("the IPv4 head checksum is 0, left to the card: it is not TCP's, and TCP's is right")
def ipv4_checksum_offloaded() -> Capture:
    talk = hello()
    for _, packet in talk.packets:
        packet[IP].chksum = 0
    return record(talk)


@capture("a segment in three IPv4 fragments", rfc="RFC 791 section 3.2")
def ipv4_fragments() -> Capture:
    talk, index = with_long_message()
    packets = replaced(talk, index, ipv4_pieces(talk.packets[index][1]))
    talk.close()
    return record(talk, packets=packets + talk.packets[-3:])


@capture("the fragments come last first, and one of them twice", rfc="RFC 791 section 3.2")
def ipv4_fragments_reordered() -> Capture:
    talk, index = with_long_message()
    pieces = ipv4_pieces(talk.packets[index][1])
    packets = replaced(talk, index, [pieces[2], pieces[1], pieces[1], pieces[0], *pieces[3:]])
    talk.close()
    return record(talk, packets=packets + talk.packets[-3:])


@capture(
    "two fragments cover the same bytes with different content: no one can say which the host took",
    rfc="RFC 5722 section 3; RFC 1858",
)
def ipv4_fragments_overlap_different() -> Capture:
    talk, index = with_long_message()
    del talk.truth.messages[-2]
    talk.truth.messages[-1].optional = True  # the head of the lost frame, which says where the next begins, is not sure
    pieces = ipv4_pieces(talk.packets[index][1])
    evil = pieces[1].copy()
    evil[Raw].load = bytes(byte ^ 1 for byte in evil[Raw].load)
    del evil.chksum
    packets = replaced(talk, index, [pieces[0], pieces[1], evil, *pieces[2:]])
    talk.wait(300)
    talk.close()
    talk.lose("server", len(talk.packets[index][1][TCP].payload))
    return record(talk, packets=packets + talk.packets[-3:])


@capture(
    "one fragment of three is missing, and the segment was acknowledged: its bytes are a gap of known length",
    rfc="RFC 791 section 3.2",
)
def ipv4_fragment_missing() -> Capture:
    talk, index = with_long_message()
    del talk.truth.messages[-2]
    talk.truth.messages[-1].optional = True  # the head of the lost frame, which says where the next begins, is not sure
    pieces = ipv4_pieces(talk.packets[index][1])
    packets = replaced(talk, index, [pieces[0], *pieces[2:]])
    talk.wait(300)
    talk.close()
    talk.lose("server", len(talk.packets[index][1][TCP].payload))
    return record(talk, packets=packets + talk.packets[-3:])


@capture("fragments of two datagrams with the same identification, in both directions, interleaved", rfc="RFC 791 section 3.2")
def ipv4_fragments_interleaved() -> Capture:
    talk = Talk().open().upgrade()
    talk.segment("client", talk.frame("client", LONG), "PA")
    talk.segment("server", talk.frame("server", LONG[::-1]), "PA")
    talk.expect("client", LONG)
    talk.expect("server", LONG[::-1])
    time = talk.packets[-2][0]
    ours, theirs = (ipv4_pieces(packet) for _, packet in talk.packets[-2:])
    mixed = [piece for pair in zip(ours, theirs, strict=True) for piece in pair]
    packets = talk.packets[:-2] + [(time + i * 10_000, piece) for i, piece in enumerate(mixed)]
    talk.segment("client")
    talk.close()
    return record(talk, packets=packets + talk.packets[-4:])


# --- IPv6 ---


def extended(*headers: Packet) -> Capture:
    talk = hello(*V6)
    packets = []
    for time, packet in talk.packets:
        head = IPv6(src=packet[IPv6].src, dst=packet[IPv6].dst)
        for header in headers:
            head /= header.copy()
        packets.append((time, head / packet[TCP]))
    return record(talk, packets=packets)


@capture("IPv6 with a hop-by-hop and a destination head before TCP", rfc="RFC 8200 section 4")
def ipv6_extension_heads() -> Capture:
    return extended(
        IPv6ExtHdrHopByHop(options=[RouterAlert(), PadN(optdata=b"\x00" * 2)]),
        IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\x00" * 12)]),
    )


@capture("IPv6 with a routing head whose segments are all passed: the destination is the real one", rfc="RFC 8200 section 4.4")
def ipv6_routing_head() -> Capture:
    return extended(IPv6ExtHdrRouting(type=253, segleft=0, addresses=["2001:db8::99"]))


@capture("IPv6 atomic fragments: a fragment head with offset 0 and nothing more to come", rfc="RFC 6946 section 4")
def ipv6_atomic_fragments() -> Capture:
    return extended(IPv6ExtHdrFragment(id=7, offset=0, m=0))


def ipv6_pieces(packet: Packet, size: int = 504) -> list[Packet]:
    data = bytes(packet[TCP])
    head = IPv6(src=packet[IPv6].src, dst=packet[IPv6].dst)
    return [
        head / IPv6ExtHdrFragment(id=0xABCDEF, offset=at // 8, m=int(at + size < len(data)), nh=6) / Raw(data[at : at + size])
        for at in range(0, len(data), size)
    ]


def checksummed(talk: Talk, index: int) -> Packet:
    """Packet `index` dissected from its bytes, so that its TCP checksum stays what it is."""
    return IPv6(bytes(talk.packets[index][1]))


@capture("a segment in IPv6 fragments", rfc="RFC 8200 section 4.5")
def ipv6_fragments() -> Capture:
    talk, index = with_long_message(*V6)
    packets = replaced(talk, index, ipv6_pieces(checksummed(talk, index)))
    talk.close()
    return record(talk, packets=packets + talk.packets[-3:])


@capture("IPv6 fragments, the last one first", rfc="RFC 8200 section 4.5")
def ipv6_fragments_reordered() -> Capture:
    talk, index = with_long_message(*V6)
    pieces = ipv6_pieces(checksummed(talk, index))
    packets = replaced(talk, index, [pieces[-1], *pieces[:-1]])
    talk.close()
    return record(talk, packets=packets + talk.packets[-3:])


@capture("IPv6 fragments that overlap: the host must drop the whole datagram, and so do we", rfc="RFC 8200 section 4.5")
def ipv6_fragments_overlap() -> Capture:
    talk, index = with_long_message(*V6)
    del talk.truth.messages[-2]
    talk.truth.messages[-1].optional = True  # the head of the lost frame, which says where the next begins, is not sure
    packet = checksummed(talk, index)
    pieces = ipv6_pieces(packet)
    evil = pieces[1].copy()
    evil[IPv6ExtHdrFragment].offset -= 1
    packets = replaced(talk, index, [pieces[0], evil, *pieces[1:]])
    talk.wait(300)
    talk.close()
    talk.lose("server", len(packet[TCP].payload))
    return record(talk, packets=packets + talk.packets[-3:])

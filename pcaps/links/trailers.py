"""Bytes behind the IP packet, and packets shorter or longer than their heads say."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

from scapy.layers.inet import TCP
from scapy.layers.l2 import Dot1Q

from pcaps.kit.files import ETHERNET, Frame, Link, described, ethernet, pcap, record
from pcaps.kit.talk import Talk, Timed, hello
from pcaps.kit.truth import Capture, capture

V6 = ("[2001:db8::1]:40000", "[2001:db8::2]:9443")


def trailed(talk: Talk, trailer: Callable[[int, bytes], bytes], wrap: Link = ETHERNET) -> list[Frame]:
    """Frames padded to Ethernet's minimum, then `trailer(time, frame)`."""
    frames = [(time, data.ljust(60, b"\x00")) for time, data in wrap.frames(talk.packets)]
    return [(time, data + trailer(time, data)) for time, data in frames]


@capture("short Ethernet frames are padded to 60 bytes with zeros: the IP length ends the packet", rfc="RFC 894")
def padding_zeros() -> Capture:
    talk = hello()
    return record(talk, frames=trailed(talk, lambda time, data: b""))


@capture("padding with leftovers of earlier frames, which look like websocket data", rfc="RFC 1042")
def padding_garbage() -> Capture:
    talk = hello()
    stale = b"\x81\x15" + b'{"side":"SELL","q":9}' + b"\x81\x05wrong"
    frames = [(time, data + stale[: max(0, 60 - len(data))]) for time, data in ETHERNET.frames(talk.packets)]
    return record(talk, frames=frames)


@capture("a frame check sequence that the card left on, though the file does not say so", rfc="IEEE 802.3")
def trailer_fcs() -> Capture:
    talk = hello()
    return record(talk, frames=trailed(talk, lambda time, data: struct.pack("<I", zlib.crc32(data))))


@capture("16 bytes of trailer with the original FCS and a hardware time stamp in seconds and ns (MetaWatch, Arista 7130)")
def trailer_metawatch() -> Capture:
    talk = hello()

    def trailer(time: int, data: bytes) -> bytes:
        seconds, nanos = divmod(time, 10**9)
        return struct.pack("<I", zlib.crc32(data)) + struct.pack(">IIBHB", seconds, nanos, 0, 7, 3)

    return record(talk, frames=trailed(talk, trailer))


@capture("16 bytes of trailer with a binary fraction of a second (ExaLINK, Nexus 3550), in a VLAN, IPv6")
def trailer_exablaze() -> Capture:
    talk = hello(*V6)

    def trailer(time: int, data: bytes) -> bytes:
        seconds, nanos = divmod(time, 10**9)
        fraction = (nanos << 40) // 10**9
        return struct.pack("<I", zlib.crc32(data)) + struct.pack(">BBI", 1, 4, seconds) + fraction.to_bytes(5, "big") + b"\x00"

    return record(talk, frames=trailed(talk, trailer, Link(1, ethernet(Dot1Q(vlan=5)))))


@capture("four bytes of free-running counter before the FCS (Arista 7150, mode append)")
def trailer_counter() -> Capture:
    talk = hello()
    return record(talk, frames=trailed(talk, lambda time, data: struct.pack(">I", (time * 7 // 20) & 0xFFFFFFFF)))


# --- lengths that do not say what is there ---


def with_total_length(packets: list[Timed], index: int, length: int) -> list[Frame]:
    """Packet `index` gets this IPv4 total length, its TCP checksum as it was."""
    frames = ETHERNET.frames(packets)
    time, data = frames[index]
    frames[index] = (time, data[:16] + struct.pack(">H", length) + b"\x00\x00".join([data[18:24], data[26:]]))
    return frames


@capture(
    "an IPv4 total length of 0, and no head checksum: a packet captured before segmentation offload filled them in; "
    "the captured length counts"
)
def total_length_zero() -> Capture:
    talk = Talk().open().upgrade()
    message = '{"orders":[' + ",".join(f'{{"orderId":{n},"status":"NEW"}}' for n in range(8000, 8120)) + "]}"
    talk.say("client", message, size=65_000)
    index = len(talk.packets) - 2
    talk.say("server", "received")
    talk.close()
    return record(talk, frames=with_total_length(talk.packets, index, 0))


@capture("loopback: segments of 65,483 bytes, more than 40 times Ethernet's; no error", rfc="RFC 9293 3.7.1")
def loopback_64k() -> Capture:
    talk = Talk("127.0.0.1:40000", "127.0.0.1:9443").open().upgrade()
    talk.say("server", b"".join(b"%05d," % n for n in range(16_000)), size=65_483)
    talk.say("client", "thanks")
    return record(talk.close())


@capture(
    "packets cut by a snap length of 200: what is cut is lost, and no checksum vouches for what is left of it",
)
def snap_length() -> Capture:
    talk = Talk().open()
    # the handshake is longer than the snap length, so it travels in small segments
    for sender, data in handshake():
        talk.send(sender, data, size=100)
    talk.say("server", "short enough")
    talk.say("server", "x" * 500, truth=False)
    talk.say("client", "the other side is whole")
    talk.say("server", "short again", optional=True)
    talk.wait(300)
    talk.say("client", "still here")
    talk.close()
    talk.lose("server", 14 + 20 + 20 + 4 + 500 - 200)
    frames = ETHERNET.frames(talk.packets)
    return described({"pcap": pcap(frames, snaplen=200)}, frames, talk)


@capture("a snap length of 54: no payload at all, and the SYNs' options are cut; the bytes are counted, none is read")
def snap_length_heads_only() -> Capture:
    talk = hello()
    talk.truth.messages.clear()
    talk.truth.readable = None
    for sender, (_, port) in talk.ends.items():
        talk.lose(sender, sum(len(packet[TCP].payload) for _, packet in talk.packets if packet.sport == port))
    frames = ETHERNET.frames(talk.packets)
    return described({"pcap": pcap(frames, snaplen=54)}, frames, talk)


def handshake() -> list[tuple[str, bytes]]:
    talk = Talk()
    talk.upgrade()
    return [("client" if p.sport == 40_000 else "server", bytes(p[TCP].payload)) for _, p in talk.packets if p[TCP].payload]

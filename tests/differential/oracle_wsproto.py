"""What wsproto makes of a capture, over a reassembly that sorts by sequence number, and stops at a hole."""

import contextlib
import re
import struct
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import scapy.contrib.erspan
import scapy.contrib.mpls
import scapy.layers.ppp
import scapy.layers.vxlan  # noqa: F401  imported for the layers they bind
from scapy.config import conf
from scapy.error import Scapy_Exception
from scapy.layers.inet import IP, TCP, defragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, defragment6
from scapy.layers.l2 import CookedLinux, CookedLinuxV2, Dot1Q, Ether, Loopback
from scapy.packet import Packet, Raw, bind_layers
from scapy.utils import RawPcapNgReader, RawPcapReader
from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import FrameProtocol, Opcode, ParseFailed

from tests.differential.oracle_tshark import Messages

LINKS = {0: Loopback, 1: Ether, 108: Loopback, 113: CookedLinux, 276: CookedLinuxV2}
RAW = (12, 14, 101, 228, 229)
RESPONSE = re.compile(rb"HTTP/1\.1 101 (?:[^\r\n]+\r\n)+\r\n")
REQUEST = re.compile(rb"GET \S+ HTTP/1\.1\r\n(?:[^\r\n]+\r\n)*?sec-websocket-key:(?:[^\r\n]+\r\n)+\r\n", re.IGNORECASE)


def messages(files: list[Path]) -> Messages:
    """All websocket messages of the capture, of each side up to the first hole or the first error."""
    found: Messages = defaultdict(list)
    for (client, server), streams in _connections(_packets(files)):
        sent, answered = (_joined(streams[ends]) for ends in ((client, server), (server, client)))
        answer = RESPONSE.search(answered)
        *_, asked = [None, *REQUEST.finditer(sent)]
        if not answer or not asked or b"websocket" not in answer[0].lower():
            continue
        chosen = re.search(rb"sec-websocket-extensions:\s*([^\r\n]*)", answer[0], re.IGNORECASE)
        parameters = chosen[1].decode() if chosen else ""
        found[client, server] += _read(False, parameters, sent[asked.end() :])
        found[server, client] += _read(True, parameters, answered[answer.end() :])
    return dict(found)


def _packets(files: list[Path]) -> list[Packet]:
    timed = []
    for file in files:
        with contextlib.suppress(Scapy_Exception, EOFError, OSError, ValueError), RawPcapReader(str(file)) as reader:
            while True:
                # packets of loopback are larger than what iterating over the reader would give
                data, head = reader._read_packet(1 << 18)
                ng = isinstance(reader, RawPcapNgReader)
                link = (head.linktype if ng else reader.linktype) & 0xFFFF
                time = (head.tshigh or 0) << 32 | (head.tslow or 0) if ng else head.sec * 10**9 + head.usec
                layer = (IPv6 if data[:1] >= b"\x60" else IP) if link in RAW else LINKS.get(link)
                with contextlib.suppress(struct.error):
                    if layer:
                        timed.append((time if len(files) > 1 else 0, layer(data)))
    packets = [packet for _, packet in sorted(timed, key=lambda item: item[0])]
    return [whole for packet in packets for whole in _whole(packet, packets)]


def _whole(packet: Packet, packets: list[Packet]) -> list[Packet]:
    """The packet itself, or for a first fragment the datagram that its siblings make, or nothing."""
    if IPv6ExtHdrFragment in packet:
        return _whole_ipv6(packet, packets)
    if IP not in packet or not (packet[IP].flags.MF or packet[IP].frag):
        return [packet]
    if packet[IP].frag:
        return []
    same = [packet[IP].src, packet[IP].id]
    pieces = {other[IP].frag: other[IP] for other in packets if IP in other and [other[IP].src, other[IP].id] == same}
    found = defragment(list(pieces.values()))
    return [each for each in found if isinstance(each, Packet) and not each[IP].flags.MF]


def _whole_ipv6(packet: Packet, packets: list[Packet]) -> list[Packet]:
    head = packet[IPv6ExtHdrFragment]
    if head.offset:
        return []
    siblings = [other for other in packets if IPv6ExtHdrFragment in other and other[IPv6ExtHdrFragment].id == head.id]
    return [defragment6(siblings if head.m else [packet])]


Streams = dict[tuple[str, str], list[tuple[int, bytes]]]


def _connections(packets: list[Packet]) -> Iterator[tuple[tuple[str, str], Streams]]:
    """(client, server) and both directions' (sequence number, payload); a SYN with a new number begins a new connection."""
    open_ones: dict[frozenset[str], tuple[tuple[str, str], int, Streams]] = {}
    for packet in packets:
        segment = packet.getlayer(TCP, _count(packet, TCP))
        if segment is None:
            continue
        head = segment.underlayer
        while head is not None and not isinstance(head, IP | IPv6):
            head = head.underlayer
        if head is None:
            continue
        hosts = [f"[{host}]" if ":" in host else host for host in (head.src, head.dst)]
        ends = (f"{hosts[0]}:{segment.sport}", f"{hosts[1]}:{segment.dport}")
        key = frozenset(ends)
        known = open_ones.get(key)
        starts = segment.flags.S and not segment.flags.A
        if known is None or (starts and segment.seq != known[1]):
            if known:
                yield known[0], known[2]
            backwards = segment.flags.S and segment.flags.A
            known = open_ones[key] = (ends[::-1] if backwards else ends, segment.seq if starts else -1, defaultdict(list))
        payload = segment[Raw].load if Raw in segment and not segment.flags.R else b""
        known[2][ends].append((segment.seq + bool(segment.flags.S), payload))
    yield from ((known[0], known[2]) for known in open_ones.values())


def _count(packet: Packet, layer: type[Packet]) -> int:
    return max(1, sum(1 for each in packet.layers() if each is layer))


def _joined(segments: list[tuple[int, bytes]]) -> bytes:
    """The stream up to its first hole; of two copies the one that was captured first."""
    if not segments:
        return b""
    first = segments[0][0]
    out = b""
    for offset, data in sorted(
        (((number - first + (1 << 31)) % (1 << 32) - (1 << 31), data) for number, data in segments), key=lambda s: s[0]
    ):
        if offset > len(out):
            break
        out += data[len(out) - offset :]
    return out


def _read(client: bool, parameters: str, data: bytes) -> list[tuple[str, bytes]]:
    """What the client (or the server) receives in `data`, up to the first error."""
    extensions = []
    found: list[tuple[str, bytes]] = []
    part: list[bytes] = []
    for offer in parameters.split(","):
        if offer.strip().startswith("permessage-deflate"):
            extensions.append(PerMessageDeflate())
            try:
                extensions[-1].finalize(offer.strip())
            except ValueError:
                return found
    protocol = FrameProtocol(client, extensions)
    with contextlib.suppress(ParseFailed, UnicodeError):
        protocol.receive_bytes(data)
        for frame in protocol.received_frames():
            if frame.opcode is Opcode.CLOSE:
                code, reason = frame.payload
                found.append(("close", b"" if code == 1005 else int(code).to_bytes(2, "big") + (reason or "").encode()))
            elif frame.opcode.iscontrol():
                found.append((frame.opcode.name.lower(), bytes(frame.payload)))
            else:
                part.append(frame.payload.encode() if isinstance(frame.payload, str) else bytes(frame.payload))
                if frame.message_finished:
                    found.append((frame.opcode.name.lower(), b"".join(part)))
                    part.clear()
    return found


conf.verb = 0
bind_layers(Ether, Dot1Q, type=0x9100)
for family in (24, 28, 30):
    bind_layers(Loopback, IPv6, type=family)

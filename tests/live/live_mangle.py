"""A capture of loopback taken apart and put together in other ways: what queues, offloads and losses make of the same traffic.

All functions take and give segments in the order of capture, and change no byte of a stream; checksums are computed anew.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sniffer.model import CHECKSUM_UNKNOWN, Packet

FIN, SYN, PSH, ACK = 0x01, 0x02, 0x08, 0x10
SPACE = 1 << 32
_IPV4 = struct.Struct("!BBHHHBBH4s4s")
_TCP = struct.Struct("!HHIIBBHHH")
_ETHERNET = bytes(12) + b"\x08\x00"
_LARGEST = 65_000


class Cut(NamedTuple):
    """A TCP segment, with what is needed to make its packet again."""

    time: int
    source: bytes
    destination: bytes
    ports: tuple[int, int]
    """Of source and destination."""
    seq: int
    ack: int
    flags: int
    window: int
    options: bytes
    payload: bytes

    @property
    def flow(self) -> tuple[int, int]:
        return self.ports

    @property
    def length(self) -> int:
        """Sequence numbers that it takes."""
        return len(self.payload) + bool(self.flags & SYN) + bool(self.flags & FIN)


def take_apart(packets: Iterable[Packet], link_header: int = 14) -> list[Cut]:
    """The TCP segments of IPv4 packets with a link header of so many bytes."""
    cuts = []
    for time, _, data, _, _ in packets:
        first, _, total, _, _, _, protocol, _, source, destination = _IPV4.unpack_from(data, link_header)
        assert (first >> 4, protocol) == (4, 6)
        start = link_header + (first & 0x0F) * 4
        *ports, seq, ack, offset, flags, window, _, _ = _TCP.unpack_from(data, start)
        end = start + (offset >> 4) * 4
        payload = data[end : link_header + total]
        cuts.append(
            Cut(time, source, destination, (ports[0], ports[1]), seq, ack, flags, window, data[start + 20 : end], payload)
        )
    return cuts


def sound(packets: Iterable[Packet]) -> Iterator[Packet]:
    """The packets of link type RAW that are whole, and whose checksums are right: what a receiver's kernel takes."""
    for packet in packets:
        data = packet[2]
        if len(data) < 40 or data[0] != 0x45 or data[9] != 6 or _checksum(data[:20]):
            continue
        length = int.from_bytes(data[2:4], "big") - 20
        tcp = data[20 : 20 + length]
        whole = len(tcp) == length >= 20 and not int.from_bytes(data[6:8], "big") & 0x3FFF
        if whole and (packet[4] != CHECKSUM_UNKNOWN or not _checksum(data[12:20] + struct.pack("!HH", 6, length) + tcp)):
            yield packet


def put_together(cuts: Iterable[Cut]) -> list[Packet]:
    """Ethernet packets with right checksums."""
    packets: list[Packet] = []
    for cut in cuts:
        header = 20 + len(cut.options)
        tcp = _TCP.pack(*cut.ports, cut.seq, cut.ack, header // 4 << 4, cut.flags, cut.window, 0, 0) + cut.options
        length = header + len(cut.payload)
        pseudo = cut.source + cut.destination + struct.pack("!HH", 6, length)
        checksum = _checksum(pseudo + tcp + cut.payload)
        ip = _IPV4.pack(0x45, 0, 20 + length, 0, 0x4000, 64, 6, 0, cut.source, cut.destination)
        ip = ip[:10] + struct.pack("!H", _checksum(ip)) + ip[12:]
        data = _ETHERNET + ip + tcp[:16] + struct.pack("!H", checksum) + tcp[18:] + cut.payload
        packets.append((cut.time, 1, data, len(data), CHECKSUM_UNKNOWN))
    return packets


def _checksum(data: bytes) -> int:
    """RFC 1071."""
    words = struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2))
    total = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _by_time(cuts: Iterable[Cut]) -> list[Cut]:
    return sorted(cuts, key=lambda cut: cut.time)


# --- without loss -----------------------------------------------------------------------------------------------------------


def reorder(cuts: list[Cut], rng: random.Random, within: int) -> list[Cut]:
    """Each packet is up to `within` ns late."""
    return _by_time(cut._replace(time=cut.time + rng.randrange(within)) for cut in cuts)


def duplicate(cuts: list[Cut], rng: random.Random, within: int, share: float = 0.2) -> list[Cut]:
    """A copy of some packets comes up to `within` ns later."""
    copies = [cut._replace(time=cut.time + rng.randrange(within)) for cut in cuts if rng.random() < share]
    return _by_time(cuts + copies)


def resegment(cuts: list[Cut], rng: random.Random) -> list[Cut]:
    """Payloads are cut elsewhere: in pieces of any size, or joined with what follows while nothing else comes between."""
    out: list[Cut] = []
    for cut in cuts:
        last = out[-1] if out else None
        if (
            last is not None
            and last.flow == cut.flow
            and cut.payload
            and last.payload
            and not (last.flags | cut.flags) & (SYN | FIN)
            and (last.seq + len(last.payload)) % SPACE == cut.seq
            and len(last.payload) + len(cut.payload) <= _LARGEST
            and rng.random() < 0.5
        ):
            out[-1] = last._replace(payload=last.payload + cut.payload)
            continue
        out += _pieces(cut, rng)
    return out


def _pieces(cut: Cut, rng: random.Random) -> list[Cut]:
    size = len(cut.payload)
    count = min(rng.choice([1, 2, 3, size // 1400 + 1, rng.randint(1, 40)]), size) or 1
    ends = [*sorted(rng.sample(range(1, size), count - 1)), size] if size > 1 else [size]
    pieces, start = [], 0
    for end in ends:
        flags = cut.flags if end == size else cut.flags & ~(FIN | PSH)
        pieces.append(cut._replace(seq=(cut.seq + start) % SPACE, payload=cut.payload[start:end], flags=flags))
        start = end
    return pieces


def overlap(cuts: list[Cut], rng: random.Random, share: float = 0.3) -> list[Cut]:
    """Segments repeat bytes from before them and bring some from after them."""
    streams = Streams(cuts)
    out = []
    for cut in cuts:
        if cut.payload and not cut.flags & (SYN | FIN) and rng.random() < share:
            start, end = streams.offset(cut), streams.offset(cut) + len(cut.payload)
            stream = streams.bytes(cut.flow)
            room = max(0, _LARGEST - len(cut.payload))
            low = max(0, start - min(rng.choice([0, 1, rng.randint(0, 3000)]), room))
            room -= start - low
            high = min(len(stream), end + min(rng.choice([0, 1, rng.randint(0, 3000)]), room))
            cut = cut._replace(seq=(cut.seq + low - start) % SPACE, payload=stream[low:high])
        out.append(cut)
    return out


# --- with loss --------------------------------------------------------------------------------------------------------------


def delete(cuts: list[Cut], rng: random.Random, share: float, *, data_only: bool) -> list[Cut]:
    """Some packets are gone; `data_only`: of those with payload and neither SYN nor FIN."""
    return [cut for cut in cuts if rng.random() >= share or (data_only and (not cut.payload or cut.flags & (SYN | FIN)))]


class Streams:
    """The bytes of each flow, from segments that hold all of them and each SYN."""

    def __init__(self, cuts: Iterable[Cut]) -> None:
        self._first: dict[tuple[int, int], int] = {}
        self._pieces: dict[tuple[int, int], dict[int, bytes]] = {}
        for cut in cuts:
            if cut.flags & SYN:
                self._first[cut.flow] = (cut.seq + 1) % SPACE
        for cut in cuts:
            if cut.payload:
                known = self._pieces.setdefault(cut.flow, {})
                offset = self.offset(cut)
                known[offset] = max(known.get(offset, b""), cut.payload, key=len)
        self._bytes: dict[tuple[int, int], bytes] = {}

    @property
    def flows(self) -> list[tuple[int, int]]:
        return list(self._first)

    def offset(self, cut: Cut) -> int:
        return (cut.seq - self._first[cut.flow]) % SPACE

    def bytes(self, flow: tuple[int, int]) -> bytes:
        if flow not in self._bytes:
            stream = bytearray()
            for offset, piece in sorted(self._pieces.get(flow, {}).items()):
                assert offset <= len(stream), "the capture itself lacks bytes"
                stream[offset : offset + len(piece)] = piece
            self._bytes[flow] = bytes(stream)
        return self._bytes[flow]

    def missing(self, flow: tuple[int, int], cuts: Iterable[Cut]) -> int:
        """Bytes of the flow that none of `cuts` holds."""
        spans = [(self.offset(cut), len(cut.payload)) for cut in cuts if cut.flow == flow and cut.payload]
        end = missing = 0
        for start, length in sorted(spans):
            missing += max(0, start - end)
            end = max(end, start + length)
        return missing + len(self.bytes(flow)) - end


class Frames:
    """Where each message of a websocket stream lies: what a lost or stored message takes of the stream."""

    def __init__(self, stream: bytes) -> None:
        at = stream.index(b"\r\n\r\n") + 4
        self.head = at
        """Bytes of the handshake."""
        self.messages: list[int] = []
        """Bytes of each message's frames, in the order in which the messages end."""
        under_way = 0
        while at < len(stream):
            start, first, length = at, stream[at], stream[at + 1] & 0x7F
            masked = stream[at + 1] >> 7
            width = {126: 2, 127: 8}.get(length, 0)
            length = int.from_bytes(stream[at + 2 : at + 2 + width], "big") if width else length
            at += 2 + width + 4 * masked + length
            if first & 0x08:
                self.messages.append(at - start)
            elif first & 0x80:
                self.messages.append(under_way + at - start)
                under_way = 0
            else:
                under_way += at - start
        assert at == len(stream)

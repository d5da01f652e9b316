"""Packets by hand, for tests: plain `struct`, right checksums, a few hundred nanoseconds each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from struct import pack
from typing import Final

from sniffer.model import CHECKSUM_UNKNOWN, Packet
from sniffer.wire.encapsulation import LINK_ETHERNET
from sniffer.wire.packet import ACK, FIN, RST, SYN, Segment

PSH: Final = 0x08
START: Final = 1_700_000_000_000_000_000
MICROSECOND: Final = 1_000
MILLISECOND: Final = 1_000_000

CLIENT: Final = (b"\x0a\x00\x00\x01", 50_000)
SERVER: Final = (b"\x0a\x00\x00\x02", 8_080)

Address = tuple[bytes, int]

__all__ = ["ACK", "FIN", "PSH", "RST", "SYN", "Flow", "Sent", "ethernet", "ip_packet", "tcp_sum"]


def ones_complement(data: bytes) -> int:
    """The checksum of RFC 1071, the slow and obvious way."""
    if len(data) % 2:
        data += b"\0"
    total = sum(data[at] << 8 | data[at + 1] for at in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def tcp_sum(source: bytes, destination: bytes, segment: bytes) -> int:
    """The TCP checksum of `segment`, whose own checksum field is zero."""
    number = int.from_bytes(source + destination + segment + b"\0" * (len(segment) % 2)) + 6 + len(segment)
    return 0xFFFF - (number % 0xFFFF or (0xFFFF if number else 0))


def ip_packet(source: bytes, destination: bytes, protocol: int, payload: bytes) -> bytes:
    """An IPv4 or IPv6 packet without options or extension headers, as the addresses' length says."""
    if len(source) == 16:
        return pack("!IHBB", 6 << 28, len(payload), protocol, 64) + source + destination + payload
    head = pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0) + source + destination
    return head[:10] + pack("!H", ones_complement(head)) + head[12:] + payload


def ethernet(ip: bytes) -> bytes:
    return bytes(12) + (b"\x08\x00" if ip[0] >> 4 == 4 else b"\x86\xdd") + ip


@dataclass(frozen=True)
class Sent:
    """One packet of a flow, before it is bytes: what tests reorder, drop, copy and damage."""

    time: int
    source: Address
    destination: Address
    seq: int
    ack: int
    flags: int
    payload: bytes = b""
    damage: int | None = None  # this byte of the TCP segment is flipped, after the checksum was made
    checksum: int | None = None  # instead of the right one

    def tcp(self) -> bytes:
        ports = pack("!HH", self.source[1], self.destination[1])
        numbers = pack("!II", self.seq & 0xFFFFFFFF, self.ack & 0xFFFFFFFF)
        window = pack("!BBH", 5 << 4, self.flags, 65_535)
        bare = ports + numbers + window + b"\0\0\0\0" + self.payload
        checksum = tcp_sum(self.source[0], self.destination[0], bare) if self.checksum is None else self.checksum
        whole = bytearray(bare)
        whole[16:18] = pack("!H", checksum)
        if self.damage is not None:
            whole[self.damage % len(whole)] ^= 0x55
        return bytes(whole)

    def packet(self, mark: int = CHECKSUM_UNKNOWN) -> Packet:
        frame = ethernet(ip_packet(self.source[0], self.destination[0], 6, self.tcp()))
        return self.time, LINK_ETHERNET, frame, len(frame), mark

    def segment(self, *, checksum_ok: bool = True, missing: int = 0) -> Segment:
        """As the decoder would give it."""
        flow = self.source[0] + self.destination[0] + pack("!HH", self.source[1], self.destination[1])
        seq, ack = self.seq & 0xFFFFFFFF, self.ack & 0xFFFFFFFF
        return Segment(flow, self.time, seq, ack, self.flags, self.payload, missing, checksum_ok)

    def damaged(self, at: int) -> Sent:
        """With a byte flipped, unless the right checksum happens to be the bare one too, which no receiver could refuse."""
        whole = self.tcp()
        return self if self.partial_sum().tcp()[16:18] == whole[16:18] else replace(self, damage=at % len(whole))

    def later(self, by: int) -> Sent:
        return replace(self, time=self.time + by)

    def partial_sum(self) -> Sent:
        """With the bare pseudo-header sum that an offloading sender leaves."""
        pseudo = self.source[0] + self.destination[0] + pack("!HH", 6, 20 + len(self.payload))
        return replace(self, checksum=~ones_complement(pseudo) & 0xFFFF)


class Flow:
    """A TCP connection that keeps its sequence numbers, for writing conversations down; `sent` holds its packets."""

    def __init__(
        self,
        client: Address = CLIENT,
        server: Address = SERVER,
        *,
        start: int = START,
        step: int = MILLISECOND,
        numbers: tuple[int, int] = (1000, 5000),
    ) -> None:
        """`step`: time between two packets. `numbers`: initial sequence numbers of client and server."""
        self.addresses = {"client": client, "server": server}
        self.next = {"client": numbers[0], "server": numbers[1]}
        self.time = start
        self.step = step
        self.sent: list[Sent] = []

    def put(self, sender: str, flags: int, payload: bytes = b"", *, at: int | None = None, ack: int | None = None) -> Sent:
        """One packet. `at`: sequence number, instead of the next one, which then does not move."""
        other = "server" if sender == "client" else "client"
        seq = self.next[sender] if at is None else at
        acknowledged = (self.next[other] if ack is None else ack) if flags & ACK else 0
        sent = Sent(self.time, self.addresses[sender], self.addresses[other], seq, acknowledged, flags, payload)
        self.sent.append(sent)
        self.time += self.step
        if at is None:
            self.next[sender] += len(payload) + bool(flags & SYN) + bool(flags & FIN)
        return sent

    def open(self) -> None:
        self.put("client", SYN)
        self.put("server", SYN | ACK)
        self.put("client", ACK)

    def data(self, sender: str, payload: bytes, *, size: int = 1460, acknowledge: bool = True) -> list[Sent]:
        """Payload in segments of `size`, then the peer's acknowledgement."""
        sent = [self.put(sender, ACK | PSH, payload[at : at + size]) for at in range(0, len(payload), size)]
        if acknowledge:
            self.acknowledge("server" if sender == "client" else "client")
        return sent

    def acknowledge(self, sender: str) -> Sent:
        return self.put(sender, ACK)

    def close(self) -> None:
        self.put("client", FIN | ACK)
        self.put("server", FIN | ACK)
        self.put("client", ACK)

    def packets(self) -> list[Packet]:
        return [sent.packet() for sent in self.sent]

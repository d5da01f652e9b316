"""A packet to the TCP segment in it: IPv4 and IPv6 with options, extension headers and fragments, tunnels, and the checksum.

The engine has an inlined fast path for Ethernet / IPv4 without options / TCP; everything else comes through `PacketDecoder`.

Sources: RFC 791, RFC 8200, RFC 9293 section 3.1, RFC 1071 (the checksum), RFC 2675 (length 0).
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from struct import Struct
from typing import Final, NamedTuple

from sniffer.config import Limits
from sniffer.model import CHECKSUM_UNKNOWN, Packet
from sniffer.wire.encapsulation import LINK_TYPES, MAX_HEADERS, find_ip, gre_payload, vxlan_payload
from sniffer.wire.fragments import Fragments

FIN: Final = 0x01
SYN: Final = 0x02
RST: Final = 0x04
ACK: Final = 0x10

_TCP, _UDP, _GRE, _IPIP, _IPV6_IN_IP = 6, 17, 47, 4, 41
_HOP_BY_HOP, _ROUTING, _FRAGMENT, _AUTHENTICATION, _DESTINATION = 0, 43, 44, 51, 60
_VXLAN_PORTS: Final = frozenset({4789, 8472})
"""IANA's, and the one that Linux used before there was one."""

_IPV4_HEADER = Struct("!BBHHHBB2x4s4s").unpack_from
_IPV6_HEADER = Struct("!IHBB16s16s").unpack_from
_TCP_HEADER = Struct("!4xIIH2xH").unpack_from
_UDP_DESTINATION = Struct("!2xH").unpack_from


_LINK_TYPES_COUNTED: Final = 64
"""Unknown link types that are told apart; a file names a handful."""


class Segment(NamedTuple):
    """The TCP part of one packet."""

    flow: bytes  # source address, destination address, source port, destination port, as on the wire: 12 or 36 bytes
    time: int
    seq: int
    ack: int
    flags: int
    payload: bytes
    missing: int  # bytes of the payload that the snap length cut off
    checksum_ok: bool


def endpoints(flow: bytes) -> tuple[tuple[str, int], tuple[str, int]]:
    """((source address, port), (destination address, port)) of a flow key."""
    family, size = (socket.AF_INET, 4) if len(flow) == 12 else (socket.AF_INET6, 16)
    source, destination = socket.inet_ntop(family, flow[:size]), socket.inet_ntop(family, flow[size : 2 * size])
    ports = flow[2 * size :]
    return (source, int.from_bytes(ports[:2])), (destination, int.from_bytes(ports[2:]))


def sum_is_zero(data: bytes, length: int, protocol: int) -> bool:
    """Whether the ones' complement sum over `data` (addresses, then the TCP segment of `length` bytes) says intact.

    Adding 16-bit words with end-around carry is arithmetic modulo 65535, and so is reading all of them as one number.
    """
    number = int.from_bytes(data)
    if len(data) & 1:
        number <<= 8
    return (number + length + protocol) % 65535 == 0


def is_partial_sum(addresses: bytes, length: int, checksum: int) -> bool:
    """Whether `checksum` is the bare pseudo-header sum that an offloading sender leaves for its network card."""
    return (int.from_bytes(addresses) + length + _TCP) % 65535 == checksum % 65535 and checksum != 0


class PacketDecoder:
    """Packets to segments; holds IP fragments until they are whole."""

    def __init__(self, limits: Limits, lose: Callable[[int, int, str], None]) -> None:
        """`lose(time, bytes, reason)` hears of what looked like TCP but could not be read."""
        self._lose = lose
        self._fragments = Fragments(limits, lose)
        self._unsupported: dict[int, tuple[int, int, int]] = {}  # by link type: first time, packets, bytes
        self.ignored = 0
        """Packets that carry no TCP."""

    def decode(self, packet: Packet) -> Segment | None:
        """The segment in `packet`, or None: another protocol, a fragment of an unfinished datagram, or unreadable."""
        time, link_type, data, _, mark = packet
        if link_type not in LINK_TYPES:
            self._count_unsupported(packet)
            return None
        at = find_ip(link_type, data)
        for _ in range(MAX_HEADERS):
            if at is None:
                break
            found = self._ipv4(packet, data, at) if data[at] >> 4 == 4 else self._ipv6(packet, data, at)
            if found is None:
                return None
            data, protocol, addresses, start, end, cut = found
            if protocol == _TCP:
                return self._tcp(time, data, addresses, start, end, cut, mark)
            at = self._tunnel(data, protocol, start)
        self.ignored += 1
        return None

    def flush(self) -> None:
        """The capture ends: unfinished IP datagrams are lost, and so is what came over links that are not known."""
        self._fragments.flush()
        for link_type, (first, packets, size) in self._unsupported.items():
            self._lose(first, size, f"link type {link_type} is not supported: {packets} packets")
        self._unsupported.clear()

    def _count_unsupported(self, packet: Packet) -> None:
        time, link_type, _, length, _ = packet
        first, packets, size = self._unsupported.get(link_type, (time, 0, 0))
        if packets or len(self._unsupported) < _LINK_TYPES_COUNTED:
            self._unsupported[link_type] = (first, packets + 1, size + length)

    def _tunnel(self, data: bytes, protocol: int, start: int) -> int | None:
        """Offset of the IP header inside what `protocol` carries at `start`."""
        if protocol == _GRE:
            return gre_payload(data, start)
        if protocol == _UDP and len(data) >= start + 8 and _UDP_DESTINATION(data, start)[0] in _VXLAN_PORTS:
            return vxlan_payload(data, start + 8)
        if protocol in (_IPIP, _IPV6_IN_IP) and len(data) > start and data[start] >> 4 == (4 if protocol == _IPIP else 6):
            return start
        return None

    def _ipv4(self, packet: Packet, data: bytes, at: int) -> tuple[bytes, int, bytes, int, int, int] | None:
        """(data, protocol, addresses, start and end of the payload, bytes cut off), or None."""
        if len(data) < at + 20:
            self._short(packet)
            return None
        first, _, total, identification, fragment, _, protocol, source, destination = _IPV4_HEADER(data, at)
        header = (first & 0x0F) * 4
        if header < 20 or (total and total < header):
            self._short(packet)
            return None
        start = at + header
        # Length 0: segmentation offload had yet to cut this packet, and 16 bits cannot say its length.
        end = at + total if total else max(start, packet[3] if data is packet[2] else len(data))
        cut = max(0, end - len(data))
        if cut and packet[3] <= len(packet[2]):  # not by the snap length: a receiver drops it
            self._short(packet)
            return None
        if fragment & 0x3FFF:
            key = source + destination + bytes((protocol,)) + identification.to_bytes(2)
            whole = self._fragments.add(
                packet[0], key, (fragment & 0x1FFF) * 8, data[start:end], bool(fragment & 0x2000), bool(cut)
            )
            return None if whole is None else (whole, protocol, source + destination, 0, len(whole), 0)
        return data, protocol, source + destination, start, end, cut

    def _ipv6(self, packet: Packet, data: bytes, at: int) -> tuple[bytes, int, bytes, int, int, int] | None:
        if len(data) < at + 40:
            self._short(packet)
            return None
        _, length, protocol, _, source, destination = _IPV6_HEADER(data, at)
        start = at + 40
        end = start + length
        if not length:  # a jumbogram, or segmentation offload
            end = max(start, packet[3] if data is packet[2] else len(data))
        cut = max(0, end - len(data))
        if cut and packet[3] <= len(packet[2]):  # not by the snap length: a receiver drops it
            self._short(packet)
            return None
        for _ in range(MAX_HEADERS):
            if protocol not in (_HOP_BY_HOP, _ROUTING, _FRAGMENT, _AUTHENTICATION, _DESTINATION):
                break
            if len(data) < start + 8:
                self._short(packet)
                return None
            following = data[start]
            if protocol == _FRAGMENT:
                field = int.from_bytes(data[start + 2 : start + 4])
                if field & 0xFFF9:  # offset or the M flag; neither: an atomic fragment (RFC 6946)
                    key = source + destination + bytes((following,)) + data[start + 4 : start + 8]
                    whole = self._fragments.add(
                        packet[0], key, field & 0xFFF8, data[start + 8 : end], bool(field & 1), bool(cut)
                    )
                    if whole is None:
                        return None
                    data, start, end, cut = whole, 0, len(whole), 0  # more headers may stand in it
                else:
                    start += 8
            elif protocol == _AUTHENTICATION:
                start += (data[start + 1] + 2) * 4
            else:
                start += (data[start + 1] + 1) * 8
            protocol = following
        return data, protocol, source + destination, start, end, cut

    def _tcp(self, time: int, data: bytes, addresses: bytes, start: int, end: int, cut: int, mark: int) -> Segment | None:
        size = len(data)
        if min(size, end) < start + 20:
            self._lose(time, max(0, end - start), "TCP header cut off")
            return None
        seq, ack, offset_flags, checksum = _TCP_HEADER(data, start)
        header = (offset_flags >> 12) * 4
        length = end - start
        checksum_ok = (
            mark != CHECKSUM_UNKNOWN
            or cut > 0  # nobody can tell, and `missing` keeps the payload from being used
            or sum_is_zero(addresses + data[start:end], length, _TCP)
            or is_partial_sum(addresses, length, checksum)
        )
        if header < 20 or header > length:
            if checksum_ok:
                self._lose(time, length, "TCP header of a lying length")
                return None
            header = length  # damaged on the way, as its receiver saw
        payload = data[start + header : end]
        missing = length - header - len(payload)
        return Segment(addresses + data[start : start + 4], time, seq, ack, offset_flags & 0x3F, payload, missing, checksum_ok)

    def _short(self, packet: Packet) -> None:
        self._lose(packet[0], packet[3], "IP header cut off or of a lying length")

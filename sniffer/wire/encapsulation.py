"""From a link-layer frame to the IP header inside it, through VLAN, QinQ, PPPoE, MPLS, and the tunnels that taps mirror with.

Our own code rather than a library's: on hostile bytes a chain of bounds checks that ends in None is easier to trust than a
tree of packet classes that raise, and neither dpkt nor a cheaper library knows VXLAN or ERSPAN. dpkt and scapy are the
oracles of its tests.

Sources: IEEE 802.1Q, RFC 2516 (PPPoE), RFC 3032 (MPLS), RFC 2784 and 2890 (GRE), RFC 7348 (VXLAN),
draft-foschiano-erspan-03 (ERSPAN), the LINKTYPE_ registry of pcap.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

LINK_NULL: Final = 0
LINK_ETHERNET: Final = 1
LINK_LOOP: Final = 108
LINK_SLL: Final = 113
LINK_SLL2: Final = 276
LINK_RAW: Final = frozenset({12, 14, 101, 228, 229})
"""RAW as files spell it (101), as some systems number DLT_RAW (12, 14), and IPV4 (228) and IPV6 (229)."""
LINK_TYPES: Final = frozenset({LINK_NULL, LINK_ETHERNET, LINK_LOOP, LINK_SLL, LINK_SLL2}) | LINK_RAW

MAX_HEADERS: Final = 16
"""Headers between link layer and IP: a real mirror port stacks five or six; a hostile packet would stack thousands."""

_MAX_NESTED: Final = 3
"""Pseudo-wires inside each other; each is tried in two ways, so their number counts as a power of two."""

_IPV4, _IPV6 = 0x0800, 0x86DD
_VLAN_TAGS = frozenset({0x8100, 0x88A8, 0x9100, 0x9200, 0x9300})
_MPLS = frozenset({0x8847, 0x8848})
_PPPOE_SESSION = 0x8864
_TRANSPARENT_ETHERNET = 0x6558
_ERSPAN_I_II, _ERSPAN_III = 0x88BE, 0x22EB
_MAX_LENGTH, _LLC_SNAP = 1500, b"\xaa\xaa\x03\x00\x00\x00"
"""IEEE 802.3: up to here the field is a length, and LLC with SNAP (RFC 1042) says what follows."""
_PPP_IPV4, _PPP_IPV6 = 0x0021, 0x0057
_AF_INET = 2
_AF_INET6 = frozenset({10, 23, 24, 28, 30})
"""AF_INET6 of Linux, Windows, NetBSD and OpenBSD, FreeBSD, and macOS: a NULL header holds the capturing system's number."""

_U16 = Struct("!H").unpack_from
_U32 = Struct("!I").unpack_from
_ETHERNET_HEADER: Final = 14


def find_ip(link_type: int, data: bytes) -> int | None:
    """Offset of the IPv4 or IPv6 header in a frame of `link_type`; None when it carries neither, or is too short to tell."""
    size = len(data)
    if link_type == LINK_ETHERNET:
        return ethernet_payload(data, 0)
    if link_type in LINK_RAW:
        return _ip_version_at(data, 0)
    if link_type in (LINK_NULL, LINK_LOOP):
        if size < 5:
            return None
        family = int.from_bytes(data[:4], "big")
        # NULL is written in the capturing machine's byte order, which the file does not say; families are below 256.
        if link_type == LINK_NULL and family > 0xFFFF:
            family = int.from_bytes(data[:4], "little")
        return _ip_version_at(data, 4) if family == _AF_INET or family in _AF_INET6 else None
    if link_type == LINK_SLL:
        return network_payload(data, 16, _U16(data, 14)[0]) if size >= 16 else None
    if link_type == LINK_SLL2:
        return network_payload(data, 20, _U16(data, 0)[0]) if size >= 20 else None
    return None


def ethernet_payload(data: bytes, start: int, nested: int = 0) -> int | None:
    """Offset of the IP header in the Ethernet frame that begins at `start`; `nested`: the pseudo-wires around it."""
    if len(data) < start + _ETHERNET_HEADER or nested > _MAX_NESTED:
        return None
    return network_payload(data, start + _ETHERNET_HEADER, _U16(data, start + 12)[0], nested)


def network_payload(data: bytes, at: int, ethertype: int, nested: int = 0) -> int | None:
    """Offset of the IP header, given what `ethertype` says stands at offset `at`."""
    size = len(data)
    for _ in range(MAX_HEADERS):
        if ethertype in (_IPV4, _IPV6):
            return _ip_version_at(data, at)
        if ethertype in _VLAN_TAGS:
            if size < at + 4:
                return None
            ethertype = _U16(data, at + 2)[0]
            at += 4
        elif ethertype == _PPPOE_SESSION:
            if size < at + 8:
                return None
            protocol = _U16(data, at + 6)[0]
            at += 8
            return _ip_version_at(data, at) if protocol in (_PPP_IPV4, _PPP_IPV6) else None
        elif ethertype in _MPLS:
            while size >= at + 4 and not data[at + 2] & 1:  # the S bit marks the last label
                at += 4
            return _mpls_payload(data, at + 4, nested + 1)
        elif ethertype == _TRANSPARENT_ETHERNET:
            if size < at + _ETHERNET_HEADER:
                return None
            ethertype = _U16(data, at + 12)[0]
            at += _ETHERNET_HEADER
        elif ethertype <= _MAX_LENGTH and data[at : at + 6] == _LLC_SNAP and size >= at + 8:
            ethertype = _U16(data, at + 6)[0]
            at += 8
        else:
            return None
    return None


def _ip_version_at(data: bytes, at: int) -> int | None:
    return at if len(data) > at and data[at] >> 4 in (4, 6) else None


def _mpls_payload(data: bytes, at: int, nested: int) -> int | None:
    """MPLS does not say what it carries: IP by its version nibble, else a pseudo-wire with or without a control word."""
    found = _ip_version_at(data, at)
    if found is not None:
        return found
    if len(data) > at + 4 and data[at] >> 4 == 0:  # RFC 4385: a control word begins with a zero nibble
        found = ethernet_payload(data, at + 4, nested)
    return found if found is not None else ethernet_payload(data, at, nested)


def gre_payload(data: bytes, at: int) -> int | None:
    """Offset of the IP header inside a GRE header at `at` (RFC 2784, key and sequence number of RFC 2890, ERSPAN I to III)."""
    if len(data) < at + 4:
        return None
    flags, protocol = _U16(data, at)[0], _U16(data, at + 2)[0]
    if flags & 0x4007:  # source routing, or a version other than 0
        return None
    at += 4 + (4 if flags & 0x8000 else 0) + (4 if flags & 0x2000 else 0) + (4 if flags & 0x1000 else 0)
    if protocol == _ERSPAN_I_II:
        return ethernet_payload(data, at + 8 if flags & 0x1000 else at)  # type I has no sequence number and no header
    if protocol == _ERSPAN_III:
        if len(data) < at + 12:
            return None
        has_subheader = _U32(data, at + 8)[0] & 1  # the O bit
        return ethernet_payload(data, at + 12 + (8 if has_subheader else 0))
    return network_payload(data, at, protocol)


def vxlan_payload(data: bytes, at: int) -> int | None:
    """Offset of the IP header inside a VXLAN header at `at`, that is, behind the UDP header (RFC 7348 section 5)."""
    if len(data) < at + 8 or not data[at] & 0x08:  # the I flag: a valid network identifier follows
        return None
    return ethernet_payload(data, at + 8)

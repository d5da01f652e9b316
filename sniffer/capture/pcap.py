"""The pcap format (draft-ietf-opsawg-pcap): bytes in, packets out.

Both byte orders; micro- and nanosecond time stamps; also the "modified" variant of old Linux kernels, whose record heads have
eight more bytes. One `unpack_from` and one slice a record: some 250 ns a packet of 600 bytes on CPython 3.11.
"""

from __future__ import annotations

import struct
from typing import Final, Protocol

from sniffer.errors import CaptureError
from sniffer.model import CHECKSUM_UNKNOWN, Packet

HEADER_BYTES: Final = 24
RECORD_LIMIT: Final = 256 << 10
"""Captured bytes a record may have, as tcpdump's largest snap length; a file's own snap length may raise it."""
SNAPLEN_LIMIT: Final = 16 << 20
"""How far it may: some writers declare 2 GiB, and a lying length must not make us hold that much."""

_RECORD_BYTES: Final = 16
_MODIFIED_RECORD_BYTES: Final = 24  # and interface index, protocol, packet type: pcap_sf_patched_pkthdr of libpcap

_MAGIC: Final[dict[bytes, tuple[str, int, int]]] = {  # byte order, nanoseconds in a unit, bytes of a record head
    struct.pack(order + "I", magic): (order, unit, head)
    for order in "<>"
    for magic, unit, head in (
        (0xA1B2C3D4, 1000, _RECORD_BYTES),
        (0xA1B23C4D, 1, _RECORD_BYTES),
        (0xA1B2CD34, 1000, _MODIFIED_RECORD_BYTES),
    )
}
MAGICS: Final = frozenset(_MAGIC)


class Decoder(Protocol):
    """A capture format, fed with its bytes."""

    damage: str | None
    """Why the bytes that were not consumed make no sense; None while they may only be incomplete."""
    wanted: int
    """So many bytes must come, those that were not consumed included, before `decode` can get on; 0: unknown."""

    @property
    def kernel_drops(self) -> int | None:
        """Packets that the capturing kernel dropped, as far as the bytes said."""

    def decode(self, data: bytes) -> tuple[list[Packet], int]:
        """The whole packets of `data`, and how many bytes they took; the rest comes again, with more behind it."""


class PcapDecoder:
    """Decodes one file, its header first; see `Decoder`. `decode` raises `CaptureError` for an unknown version."""

    kernel_drops: int | None = None

    def __init__(self, name: str) -> None:
        self.damage: str | None = None
        self.wanted = 0
        self._name = name
        self._head = 0  # bytes of a record's head; 0 until the file header has come
        self._unit = self._link_type = self._limit = 0
        self._unpack = struct.Struct("<IIII").unpack_from

    def _header(self, data: bytes) -> None:
        order, self._unit, self._head = _MAGIC[data[:4]]
        major, minor, _zone, _accuracy, snaplen, network = struct.unpack_from(order + "HHiIII", data, 4)
        if major not in (2, 543) or (major, minor) < (2, 3):  # 543: modified; before 2.3 two fields stood the other way round
            raise CaptureError(f"{self._name}: pcap version {major}.{minor} is unknown; `editcap` may convert it")
        self._link_type = network & 0xFFFF  # above it: the length of a frame check sequence, and reserved bits
        self._limit = max(RECORD_LIMIT, min(snaplen, SNAPLEN_LIMIT))
        self._unpack = struct.Struct(order + "IIII").unpack_from

    def decode(self, data: bytes) -> tuple[list[Packet], int]:
        """See `Decoder`."""
        if not self._head:
            if len(data) < HEADER_BYTES:
                return [], 0
            self._header(data)
            packets, used = self._records(data[HEADER_BYTES:])
            return packets, used + HEADER_BYTES
        return self._records(data)

    def _records(self, data: bytes) -> tuple[list[Packet], int]:
        packets: list[Packet] = []
        append = packets.append
        unpack, unit, head, link_type, limit = self._unpack, self._unit, self._head, self._link_type, self._limit
        offset, size = 0, len(data)
        self.wanted = 0
        last = size - head
        while offset <= last:
            seconds, fraction, captured, original = unpack(data, offset)
            start = offset + head
            end = start + captured
            if captured > limit:
                self.damage = f"a record of {captured} bytes, where at most {limit} can be"
                break
            if end > size:
                self.wanted = end - offset
                break
            append((seconds * 1_000_000_000 + fraction * unit, link_type, data[start:end], original, CHECKSUM_UNKNOWN))
            offset = end
        return packets, offset

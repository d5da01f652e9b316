"""The pcapng format (draft-ietf-opsawg-pcapng): bytes in, packets out.

Both byte orders, several sections and interfaces, `if_tsresol` and `if_tsoffset`; enhanced, simple and old packet blocks;
interface statistics; the TLS key logs of decryption secrets blocks. Other blocks (names, custom ones) are skipped. The
section length is not used: a section ends where the next one begins.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from sniffer.config import SECOND
from sniffer.model import CHECKSUM_NOT_READY, CHECKSUM_UNKNOWN, CHECKSUM_VALID, Packet

SECTION_HEADER: Final = 0x0A0D0D0A
INTERFACE_DESCRIPTION: Final = 1
OLD_PACKET: Final = 2
SIMPLE_PACKET: Final = 3
INTERFACE_STATISTICS: Final = 5
ENHANCED_PACKET: Final = 6
DECRYPTION_SECRETS: Final = 10

TLS_KEY_LOG: Final = 0x544C534B
"""Secrets type of a decryption secrets block (section 4.7): the lines of an NSS key log."""

OPT_COMMENT: Final = 1
SHB_USERAPPL: Final = 4
IF_NAME: Final = 2
IF_DESCRIPTION: Final = 3
IF_TSRESOL: Final = 9
IF_TSOFFSET: Final = 14
ISB_IFDROP: Final = 5
ISB_OSDROP: Final = 7

MAGIC: Final = b"\n\r\r\n"  # the section header's type, the same in both byte orders
BYTE_ORDER_MAGIC: Final = 0x1A2B3C4D

BLOCK_LIMIT: Final = 16 << 20
"""Bytes of one block, as wireshark has it; a longer one is a lying length."""
INTERFACE_LIMIT: Final = 65_536
"""Interfaces of one section: old packet blocks cannot name more, and each costs us memory."""
TIME_LIMIT: Final = (1 << 63) - 1
"""The year 2262: later nanoseconds do not fit the database's time stamps."""

OUR_APPLICATION: Final = "sniffer "
"""How `shb_userappl` of our own journal begins; the version follows."""
CHECKSUM_DESCRIPTIONS: Final = {
    "checksum unknown": CHECKSUM_UNKNOWN,
    "checksum valid": CHECKSUM_VALID,
    "checksum not ready": CHECKSUM_NOT_READY,
}
"""In our own journal, an interface's `if_description` says what the kernel said of the checksums of its packets."""

_Clock: TypeAlias = tuple[int, int, int]
"""(numerator and denominator of a tick in ns, ns added)."""
_Interface: TypeAlias = tuple[int, _Clock | None, int, int]
"""(link type, clock or None where ticks are ns, highest upper word of a time stamp, checksum mark)."""

_LATE: Final = "a time after the year 2262"


class _Damage(Exception):
    """A block makes no sense; the text says why."""


class PcapngDecoder:
    """Decodes blocks; see `sniffer.capture.pcap.Decoder` for how it is fed.

    `application` and `comment` are those of the present section's header, `names` are its interfaces' names, and
    `statistics_comment` and `statistics_time` (as it stands there: in our journal, ns) belong to its latest statistics block:
    our journal marks there when a run begins and ends. `secrets` holds the TLS key logs that were met, and `comments`, in our
    own journal, those of all statistics; whoever reads them takes them out. `statistics_apart`: one `decode` ends before a
    statistics block, and the next begins with it, so that it is known whose packets it stands before.
    """

    def __init__(self, *, statistics_apart: bool = False) -> None:
        self._apart = statistics_apart
        self.damage: str | None = None
        self.wanted = 0
        self.application = ""
        self.comment = ""
        self.names: list[str] = []
        self.statistics_comment = ""
        self.statistics_time: int | None = None
        self.comments: list[str] = []
        self.secrets: list[bytes] = []
        self._order = ""  # "" before the first section
        self._interfaces: list[_Interface] = []
        self._snaplen = 0  # of the section's first interface, which simple packets belong to
        self._time = 0  # of the latest packet: simple packets have none of their own
        self._drops: dict[int, int] = {}  # interface of this section -> packets
        self._drops_before: int | None = None  # of earlier sections
        self._enhanced = struct.Struct("<7I").unpack_from
        self._word = struct.Struct("<I").unpack_from

    @property
    def kernel_drops(self) -> int | None:
        """Packets dropped by interfaces and operating system, summed; None if no statistics block said."""
        if self._drops_before is None and not self._drops:
            return None
        return min((self._drops_before or 0) + sum(self._drops.values()), TIME_LIMIT)

    def decode(self, data: bytes) -> tuple[list[Packet], int]:
        """See `sniffer.capture.pcap.Decoder`."""
        packets: list[Packet] = []
        append = packets.append
        offset, size = 0, len(data)
        self.wanted = 0
        try:
            while True:
                # The common block inline; every other, and every doubt, goes to _block. Offsets are absolute in `data`.
                unpack, word, interfaces, time = self._enhanced, self._word, self._interfaces, self._time
                while offset + 32 <= size:
                    kind, length, interface, high, low, captured, original = unpack(data, offset)
                    end = offset + length
                    if kind != ENHANCED_PACKET or captured + 32 > length or end > size or word(data, end - 4)[0] != length:
                        break
                    link_type, clock, highest, mark = interfaces[interface]
                    if high > highest:
                        raise _Damage(_LATE)
                    time = high << 32 | low
                    if clock:
                        numerator, denominator, added = clock
                        time = time * numerator // denominator + added
                    start = offset + 28
                    append((time, link_type, data[start : start + captured], original, mark))
                    offset = end
                self._time = time
                if self._apart and packets and offset + 4 <= size and self._word(data, offset)[0] == INTERFACE_STATISTICS:
                    break
                length = self._block(data, offset, append)
                if not length:
                    break
                offset += length
        except _Damage as damage:
            self.damage = str(damage)
        except IndexError:
            self.damage = "a packet of an interface that was not described"
        return packets, offset

    def _block(self, data: bytes, offset: int, append: Callable[[Packet], None]) -> int:
        """Handle one block of any type; its length, or 0 if it is not whole yet."""
        if len(data) < offset + 12:
            return 0
        if data.startswith(MAGIC, offset):
            self._set_order(data, offset + 8)
        elif not self._order:
            raise _Damage("no section header")
        kind, length = struct.unpack_from(self._order + "II", data, offset)
        length = int(length)
        if not 12 <= length <= BLOCK_LIMIT:
            raise _Damage(f"a block length of {length} bytes")
        if offset + length > len(data):
            self.wanted = length
            return 0
        if self._word(data, offset + length - 4)[0] != length:
            raise _Damage("the block lengths before and behind a block differ")
        body = data[offset + 8 : offset + length - 4]
        handle = self._HANDLERS.get(kind)
        if handle:
            try:
                handle(self, body, append)
            except struct.error:
                raise _Damage(f"a block of type {kind} that is too short") from None
        return length

    def _set_order(self, data: bytes, offset: int) -> None:
        """The byte order of the section whose byte-order magic stands at `offset`."""
        for order in "<>":
            if struct.unpack_from(order + "I", data, offset)[0] == BYTE_ORDER_MAGIC:
                self._order = order
                self._enhanced = struct.Struct(order + "7I").unpack_from
                self._word = struct.Struct(order + "I").unpack_from
                return
        raise _Damage("a section header without byte-order magic")

    def _section(self, body: bytes, _append: object) -> None:
        _magic, major, minor, _length = struct.unpack_from(self._order + "IHHq", body)
        if major != 1:
            raise _Damage(f"a section of pcapng version {major}.{minor}, where 1.0 is known")
        if self._drops:
            self._drops_before = (self._drops_before or 0) + sum(self._drops.values())
        options = dict(self._options(body, 16))
        self.application = _text(options.get(SHB_USERAPPL, b""))
        self.comment = _text(options.get(OPT_COMMENT, b""))
        self.statistics_comment, self.statistics_time = "", None
        self.names, self._interfaces, self._drops = [], [], {}

    def _interface(self, body: bytes, _append: object) -> None:
        link_type, _reserved, snaplen = struct.unpack_from(self._order + "HHI", body)
        if len(self._interfaces) >= INTERFACE_LIMIT:
            raise _Damage(f"more than {INTERFACE_LIMIT} interfaces")
        if not self._interfaces:
            self._snaplen = snaplen
        options = dict(self._options(body, 8))
        resolution = (options.get(IF_TSRESOL) or b"\x06")[0]
        ticks = 1 << (resolution & 0x7F) if resolution & 0x80 else 10**resolution  # a second
        offset = options.get(IF_TSOFFSET, b"")
        added = SECOND * int(struct.unpack(self._order + "q", offset)[0]) if len(offset) == 8 else 0
        if abs(added) > TIME_LIMIT:
            raise _Damage("an if_tsoffset of more than 292 years")
        highest = ((TIME_LIMIT - added) * ticks // SECOND >> 32) - 1
        clock = (SECOND, ticks, added) if ticks != SECOND or added else None
        mark = CHECKSUM_UNKNOWN
        if self.application.startswith(OUR_APPLICATION):
            mark = CHECKSUM_DESCRIPTIONS.get(_text(options.get(IF_DESCRIPTION, b"")), CHECKSUM_UNKNOWN)
        self.names.append(_text(options.get(IF_NAME, b"")))
        self._interfaces.append((link_type, clock, highest, mark))

    def _packet(self, body: bytes, append: Callable[[Packet], None]) -> None:
        """An enhanced packet with something wrong: the fast path takes the others."""
        captured = struct.unpack_from(self._order + "5I", body)[3]
        raise _Damage(f"a packet of {captured} bytes in a block that has room for {len(body) - 20}")

    def _old_packet(self, body: bytes, append: Callable[[Packet], None]) -> None:
        interface, _drops, high, low, captured, original = struct.unpack_from(self._order + "HHIIII", body)
        if captured > len(body) - 20:
            raise _Damage(f"a packet of {captured} bytes in a block that has room for {len(body) - 20}")
        link_type, clock, highest, mark = self._interfaces[interface]
        if high > highest:
            raise _Damage(_LATE)
        numerator, denominator, added = clock or (1, 1, 0)
        self._time = (high << 32 | low) * numerator // denominator + added
        append((self._time, link_type, body[20 : 20 + captured], original, mark))

    def _simple_packet(self, body: bytes, append: Callable[[Packet], None]) -> None:
        (original,) = struct.unpack_from(self._order + "I", body)
        captured = min(original, self._snaplen or original)
        if captured > len(body) - 4:
            raise _Damage(f"a packet of {captured} bytes in a block that has room for {len(body) - 4}")
        link_type, _clock, _highest, mark = self._interfaces[0]
        append((self._time, link_type, body[4 : 4 + captured], original, mark))

    def _statistics(self, body: bytes, _append: object) -> None:
        interface, high, low = struct.unpack_from(self._order + "III", body)
        if interface >= len(self._interfaces):
            raise _Damage("statistics of an interface that was not described")
        self.statistics_time = high << 32 | low
        options = dict(self._options(body, 12))
        self.statistics_comment = _text(options.get(OPT_COMMENT, b""))
        if self.statistics_comment and self.application.startswith(OUR_APPLICATION):
            self.comments.append(self.statistics_comment)
        counts = [options[code] for code in (ISB_IFDROP, ISB_OSDROP) if len(options.get(code, b"")) == 8]
        if counts:
            self._drops[interface] = sum(struct.unpack(self._order + "Q", count)[0] for count in counts)

    def _secrets(self, body: bytes, _append: object) -> None:
        kind, length = struct.unpack_from(self._order + "II", body)
        if length > len(body) - 8:
            raise _Damage("secrets that are longer than their block")
        if kind == TLS_KEY_LOG:
            self.secrets.append(body[8 : 8 + length])

    def _options(self, body: bytes, offset: int) -> Iterator[tuple[int, bytes]]:
        """(code, value) of each option; of a repeated one, `dict` keeps the last."""
        while offset < len(body):
            code, length = struct.unpack_from(self._order + "HH", body, offset)
            if not code:  # opt_endofopt
                return
            offset += 4
            if offset + length > len(body):
                raise _Damage("an option that is longer than its block")
            yield code, body[offset : offset + length]
            offset += (length + 3) & ~3

    _HANDLERS: Final = {
        SECTION_HEADER: _section,
        INTERFACE_DESCRIPTION: _interface,
        OLD_PACKET: _old_packet,
        SIMPLE_PACKET: _simple_packet,
        INTERFACE_STATISTICS: _statistics,
        ENHANCED_PACKET: _packet,
        DECRYPTION_SECRETS: _secrets,
    }


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")

"""A journal's segment: a pcapng file that any tool reads, with what makes it a piece of a journal.

- `shb_userappl` is `sniffer VERSION`; the section header's comment is a `SegmentHead` as JSON.
- Each interface is described three times, once for each checksum mark (in `if_description`), and a packet's interface carries
  its mark: an option would cost 12 bytes a packet, and time.
- Kernel drops are `isb_ifdrop` of the first interface, counted from the journal's beginning.
- A run that ends cleanly closes with a statistics block whose comment is `END_OF_RUN`.
"""

from __future__ import annotations

import json
import struct
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from sniffer import __version__
from sniffer.capture import pcapng
from sniffer.errors import JournalError
from sniffer.model import Packet

END_OF_RUN: Final = "the run ended here"
SUFFIX: Final = ".pcapng"
MARKS: Final = len(pcapng.CHECKSUM_DESCRIPTIONS)
_OUT_OF_REACH: Final = 1 << 62  # no count gets here; a larger number in a head is garbage


class SegmentHead(NamedTuple):
    """What a segment says of itself, and of all that was written before it, in all runs."""

    journal: str  # uuid
    run: int  # of the recordings into this journal, counted from 1
    packets: int
    bytes: int  # captured bytes of these packets
    drops: int | None  # packets dropped by the kernel; None if nobody counts
    host: str
    given_up: int = 0  # of `packets`: were never written, since the journal could not be


def segment_head(decoder: object) -> SegmentHead | None:
    """The head of the segment whose beginning `decoder` has read; None if that is no segment of ours."""
    if not isinstance(decoder, pcapng.PcapngDecoder) or not decoder.application.startswith(pcapng.OUR_APPLICATION):
        return None
    try:
        head = SegmentHead(**json.loads(decoder.comment))
        uuid.UUID(head.journal)
    except (AttributeError, TypeError, ValueError, RecursionError):
        return None
    counts = (head.run, head.packets, head.bytes, head.given_up, 0 if head.drops is None else head.drops)
    valid = isinstance(head.host, str) and all(type(count) is int and 0 <= count < _OUT_OF_REACH for count in counts)
    return head if valid else None


def segments(folder: Path) -> list[tuple[int, Path]]:
    """(number, path) of each segment in `folder`, oldest first. Raises `JournalError` if the folder cannot be read."""
    try:
        return sorted((int(path.stem), path) for path in folder.iterdir() if path.suffix == SUFFIX and path.stem.isdecimal())
    except OSError as error:
        raise folder_error(folder, error) from None


def folder_error(folder: Path, error: OSError) -> JournalError:
    """The line for a journal folder that cannot be used."""
    if isinstance(error, NotADirectoryError):
        return JournalError(f"{folder}: is not a folder; name another --journal")
    if isinstance(error, FileNotFoundError):
        return JournalError(f"{folder}: there is no such journal folder; `mkdir -m 700 {folder}` makes it")
    return JournalError(f"{folder}: cannot use the journal folder: {error.strerror}; it must belong to the user who records")


def encode_head(head: SegmentHead, interfaces: Sequence[tuple[str, int]]) -> bytes:
    """The blocks that a segment begins with."""
    return encode_section(json.dumps(head._asdict()), interfaces)


def encode_section(comment: str, interfaces: Sequence[tuple[str, int]]) -> bytes:
    """A section header, then `MARKS` descriptions of each (name, link type)."""
    options = _option(pcapng.OPT_COMMENT, comment.encode())
    options += _option(pcapng.SHB_USERAPPL, (pcapng.OUR_APPLICATION + __version__).encode())
    blocks = _block(pcapng.SECTION_HEADER, struct.pack("<IHHq", pcapng.BYTE_ORDER_MAGIC, 1, 0, -1) + options + _END)
    for name, link_type in interfaces:
        for description in pcapng.CHECKSUM_DESCRIPTIONS:
            options = _option(pcapng.IF_NAME, name.encode()) + _option(pcapng.IF_DESCRIPTION, description.encode())
            options += _option(pcapng.IF_TSRESOL, b"\x09")  # 10**-9 s
            blocks += _block(pcapng.INTERFACE_DESCRIPTION, struct.pack("<HHI", link_type, 0, 0) + options + _END)
    return blocks


def encode_statistics(time: int, drops: int | None, comment: str = "") -> bytes:
    """A statistics block of the first interface."""
    options = _option(pcapng.OPT_COMMENT, comment.encode()) if comment else b""
    options += b"" if drops is None else _option(pcapng.ISB_IFDROP, struct.pack("<Q", drops))
    return _block(pcapng.INTERFACE_STATISTICS, struct.pack("<III", 0, time >> 32, time & 0xFFFFFFFF) + options + _END)


def encode_secrets(key_log: bytes) -> bytes:
    """A decryption secrets block with the lines of a TLS key log."""
    data = struct.pack("<II", pcapng.TLS_KEY_LOG, len(key_log)) + key_log + bytes(-len(key_log) % 4)
    return _block(pcapng.DECRYPTION_SECRETS, data)


def encode_packets(packets: list[Packet], interface: int, room: int) -> list[bytes]:
    """The enhanced packet blocks of the first packets that fit `room` bytes, in three parts a packet."""
    base = interface * MARKS
    parts: list[bytes] = []
    for time, _, data, original, mark in packets:
        captured = len(data)
        length = (captured + 35) & ~3
        room -= length
        if room < 0:
            break
        parts += (
            _PACKET_HEAD(pcapng.ENHANCED_PACKET, length, base + mark, time >> 32, time & 0xFFFFFFFF, captured, original),
            data,
            _PACKET_TAILS[captured & 3](length),
        )
    return parts


def tally(blocks: bytes, interfaces: int) -> tuple[int, int, list[int]]:
    """(bytes of the whole blocks, captured bytes, packets of each interface) of what follows some whole block of a segment."""
    offset = captured = 0
    counts = [0] * interfaces
    while offset + 12 <= len(blocks):
        kind, length, interface = struct.unpack_from("<3I", blocks, offset)
        if offset + length > len(blocks):
            break
        if kind == pcapng.ENHANCED_PACKET:
            captured += struct.unpack_from("<I", blocks, offset + 20)[0]
            counts[interface // MARKS] += 1
        offset += length
    return offset, captured, counts


_PACKET_HEAD: Final = struct.Struct("<7I").pack
_PACKET_TAILS: Final = tuple(struct.Struct(f"<{padding}xI").pack for padding in (0, 3, 2, 1))  # by captured length modulo 4
_END: Final = bytes(4)  # opt_endofopt


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length

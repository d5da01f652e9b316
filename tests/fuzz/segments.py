"""Targets up to TCP: packets of any bytes, and segments of any numbers."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from struct import pack, unpack

from sniffer.model import CHECKSUM_VALID, Packet
from sniffer.wire.encapsulation import LINK_TYPES
from sniffer.wire.packet import ACK, FIN, RST, SYN
from tests.command_line import PCAPS
from tests.fuzz.reading import read
from tests.fuzz.target import MARK, Target, cut, parts
from tests.loading import packets_of
from tests.packets import MICROSECOND, MILLISECOND, START, Flow

_LINKS = (*LINK_TYPES, 147, 65_535)
_WAITS = (MICROSECOND, 0, 50 * MILLISECOND, 250 * MILLISECOND, 5_000 * MILLISECOND, 400_000 * MILLISECOND, MILLISECOND, 1)


def _packets(data: bytes) -> None:
    """Each part is a packet, behind its link type and a byte of what the capture says of it."""
    packets: list[Packet] = []
    time = START
    for part in parts(data, 60):
        link, how = (*part[:2], 0, 0)[:2]
        time += _WAITS[how & 7]
        original = len(part) - 2 + (how >> 5) * 7
        packets.append((time, _LINKS[link % len(_LINKS)], part[2:], max(0, original), how >> 3 & 1))
    read(packets)


def _packet_seeds() -> Iterator[bytes]:
    for path in sorted((*PCAPS.glob("links/*.pcap"), *PCAPS.glob("tcp/*.pcap"))):
        found = islice(packets_of(str(path.relative_to(PCAPS))), 12)
        yield MARK.join(bytes([list(LINK_TYPES).index(link), 0]) + data for _, link, data, _, _ in found if link in LINK_TYPES)


_FLAGS = (ACK, ACK, ACK, ACK, ACK | FIN, SYN, RST, ACK | SYN)
_STEP = 7


def _segments(data: bytes) -> None:
    """Seven bytes are a segment: how, flags, offset (2), length, acknowledged offset (2).

    What is handed on at an offset is what some segment had there.
    """
    flow = Flow()
    flow.open()
    first = dict(flow.next)
    sent: dict[str, dict[int, set[int]]] = {"client": {}, "server": {}}
    for step in cut(data[: 100 * _STEP], _STEP):
        how, flags, offset, length, acked = unpack("!BBHBH", step.ljust(_STEP, b"\0"))
        sender, other = ("server", "client") if how & 1 else ("client", "server")
        other_content = how >> 1 & 1
        flow.time += _WAITS[how >> 2 & 7]
        payload = bytes((at * 131 + (at >> 8) * 7 + other_content * 85) & 0xFF for at in range(offset, offset + length))
        put = flow.put(sender, _FLAGS[flags & 7], payload, at=first[sender] + offset, ack=first[other] + acked)
        begin = offset + bool(put.flags & SYN)
        for at, byte in enumerate(payload, begin):
            sent[sender].setdefault(at, set()).add(byte)
    found = read([packet.packet(CHECKSUM_VALID) for packet in flow.sent])
    for connection in found.closed:
        if connection.opened_at != START:
            continue
        for side, items in found.items.get(connection.id, {}).items():
            at = 0
            for item in items:
                offset = item[0] if isinstance(item, tuple) else item.offset
                assert offset == at, "a place that is neither handed on nor a hole"
                if isinstance(item, tuple):
                    assert all(byte in sent[side].get(offset + n, ()) for n, byte in enumerate(item[2])), "bytes nobody sent"
                    at += len(item[2])
                else:
                    at += getattr(item, "length", 0) or 0


def _segment_seeds() -> Iterator[bytes]:
    def step(how: int, flags: int, offset: int, length: int, acked: int) -> bytes:
        return pack("!BBHBH", how, flags, offset, length, acked)

    yield b"".join(step(n & 1, 0, n // 2 * 100, 100, n // 2 * 100) for n in range(20))
    yield step(0, 0, 100, 100, 0) + step(0, 0, 0, 100, 0) + step(1, 0, 0, 50, 200) + step(0, 4, 200, 0, 50)
    yield step(0, 0, 0, 100, 0) + step(2, 0, 50, 100, 0) + step(1, 0, 0, 9, 150) + step(13, 0, 9, 9, 150)
    yield step(0, 0, 300, 200, 0) + step(1, 0, 0, 9, 500) + step(13, 0, 9, 9, 500) + step(0, 6, 500, 0, 0)


TARGETS = (Target("packets", _packets, _packet_seeds), Target("segments", _segments, _segment_seeds))

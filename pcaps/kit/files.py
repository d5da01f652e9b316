"""Capture files, byte by byte: pcap (draft-ietf-opsawg-pcap) and pcapng (draft-ietf-opsawg-pcapng)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from scapy.layers.l2 import Ether
from scapy.packet import Packet

from pcaps.kit.talk import Talk, Timed
from pcaps.kit.truth import Capture

CLIENT_MAC, SERVER_MAC = "00:00:5e:00:53:01", "00:00:5e:00:53:02"
"""MAC addresses for documentation (RFC 7042 section 2.1.2)."""

Frame = tuple[int, bytes]
"""(time in ns, captured bytes)."""


@dataclass(frozen=True)
class Link:
    """A LINKTYPE_ number and how an IP packet becomes a frame of it."""

    number: int
    wrap: Callable[[Packet], Packet | bytes]

    def frames(self, packets: Iterable[Timed]) -> list[Frame]:
        """Packets as they are captured on this link."""
        return [(time, bytes(self.wrap(packet))) for time, packet in packets]


def ethernet(*layers: Packet) -> Callable[[Packet], Packet]:
    """Wraps in Ethernet and then, in order, in `layers`."""

    def wrap(packet: Packet) -> Packet:
        frame = Ether(src=CLIENT_MAC, dst=SERVER_MAC)
        for layer in layers:
            frame /= layer.copy()
        return frame / packet

    return wrap


ETHERNET = Link(1, ethernet())


def record(
    *talks: Talk, link: Link = ETHERNET, frames: list[Frame] | None = None, packets: list[Timed] | None = None
) -> Capture:
    """The usual capture: the packets of `talks` merged by time, in one little-endian nanosecond pcap."""
    merged = packets if packets is not None else sorted((p for talk in talks for p in talk.packets), key=lambda p: p[0])
    frames = link.frames(merged) if frames is None else frames
    return described({"pcap": pcap(frames, link.number)}, frames, *talks)


def described(files: dict[str, bytes], frames: Sequence[Frame], *talks: Talk) -> Capture:
    """A capture with `files` as they are; `frames` say how many packets it holds and from when to when."""
    times = [time for time, _ in frames]
    return Capture(files, [talk.truth for talk in talks], len(times), min(times, default=None), max(times, default=None))


# --- pcap ---


def pcap_head(link: int = 1, *, order: str = "<", nano: bool = True, snaplen: int = 262_144) -> bytes:
    return struct.pack(f"{order}IHHiIII", 0xA1B23C4D if nano else 0xA1B2C3D4, 2, 4, 0, 0, snaplen, link)


def pcap_record(time: int, data: bytes, *, order: str = "<", nano: bool = True, original: int | None = None) -> bytes:
    seconds, fraction = divmod(time, 10**9)
    return struct.pack(f"{order}IIII", seconds, fraction if nano else fraction // 1000, len(data), original or len(data)) + data


def pcap(frames: Iterable[Frame], link: int = 1, *, order: str = "<", nano: bool = True, snaplen: int = 262_144) -> bytes:
    """A whole file; frames are cut at `snaplen`."""
    records = (pcap_record(t, d[:snaplen], order=order, nano=nano, original=len(d)) for t, d in frames)
    return pcap_head(link, order=order, nano=nano, snaplen=snaplen) + b"".join(records)


# --- pcapng ---


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def option(code: int, value: bytes, order: str = "<") -> bytes:
    return struct.pack(f"{order}HH", code, len(value)) + padded(value)


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    total = struct.pack(f"{order}I", 12 + len(padded(body)))
    return struct.pack(f"{order}I", kind) + total + padded(body) + total


def section(order: str = "<", options: bytes = b"", length: int = -1) -> bytes:
    return block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, length) + options, order)


def interface(
    link: int = 1,
    *,
    order: str = "<",
    tsresol: int | None = None,
    tsoffset: int | None = None,
    snaplen: int = 0,
    options: bytes = b"",
) -> bytes:
    """An interface description. `tsresol`: the option's byte as it is (10 ** -n, or 2 ** -n with the top bit set)."""
    if tsresol is not None:
        options += option(9, bytes([tsresol]), order)
    if tsoffset is not None:
        options += option(14, struct.pack(f"{order}q", tsoffset), order)
    if options:
        options += option(0, b"", order)
    return block(1, struct.pack(f"{order}HHI", link, 0, snaplen) + options, order)


def _stamp(ticks: int, order: str) -> bytes:
    return struct.pack(f"{order}II", ticks >> 32, ticks & 0xFFFFFFFF)


def enhanced(
    ticks: int, data: bytes, number: int = 0, *, order: str = "<", original: int | None = None, options: bytes = b""
) -> bytes:
    """An enhanced packet block; `ticks` in the interface's own units."""
    head = struct.pack(f"{order}I", number) + _stamp(ticks, order)
    return block(6, head + struct.pack(f"{order}II", len(data), original or len(data)) + padded(data) + options, order)


def simple(data: bytes, *, order: str = "<", original: int | None = None) -> bytes:
    """A simple packet block: no time, always interface 0, the captured length only from the snap length."""
    return block(3, struct.pack(f"{order}I", original or len(data)) + data, order)


def old_packet(ticks: int, data: bytes, number: int = 0, *, order: str = "<", options: bytes = b"") -> bytes:
    """The obsolete packet block."""
    head = struct.pack(f"{order}HH", number, 0xFFFF) + _stamp(ticks, order)
    return block(2, head + struct.pack(f"{order}II", len(data), len(data)) + padded(data) + options, order)

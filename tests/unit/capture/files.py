"""Makers of capture files, byte by byte, independent of what `sniffer.capture` writes and reads."""

from __future__ import annotations

import struct

ENDINGS = ("<", ">")


def pcap(packets, *, order="<", magic=0xA1B2C3D4, link_type=1, snaplen=65535, record_tail=b"", version=(2, 4)):
    """`packets` are (seconds, fraction, data, original length)."""
    out = struct.pack(order + "IHHiIII", magic, *version, 0, 0, snaplen, link_type)
    for seconds, fraction, data, original in packets:
        out += struct.pack(order + "IIII", seconds, fraction, len(data), original) + record_tail + data
    return out


def block(kind, body, order="<"):
    body += bytes(-len(body) % 4)
    length = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + length + body + length


def option(code, value, order="<"):
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def section(order="<", length=-1, options=b"", version=(1, 0)):
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, *version, length) + options, order)


def interface(link_type=1, snaplen=0, options=b"", order="<"):
    return block(1, struct.pack(order + "HHI", link_type, 0, snaplen) + options, order)


def enhanced(ticks, data, original=None, number=0, order="<", options=b""):
    head = struct.pack(order + "5I", number, ticks >> 32, ticks & 0xFFFFFFFF, len(data), original or len(data))
    return block(6, head + data + bytes(-len(data) % 4) + options, order)


def simple(data, original=None, order="<"):
    return block(3, struct.pack(order + "I", original or len(data)) + data, order)


def old(ticks, data, number=0, order="<"):
    head = struct.pack(order + "HHIIII", number, 0, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(data))
    return block(2, head + data, order)


def statistics(number=0, ifdrop=None, osdrop=None, order="<"):
    options = b""
    for code, count in ((5, ifdrop), (7, osdrop)):
        if count is not None:
            options += option(code, struct.pack(order + "Q", count), order)
    return block(5, struct.pack(order + "III", number, 0, 0) + options, order)


def read_all(source):
    """(packets, the error that ended them or None)."""
    packets = []
    try:
        for found in source.blocks():
            packets += found
    except Exception as error:
        return packets, error
    return packets, None

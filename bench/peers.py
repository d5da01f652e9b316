"""python -m bench.peers PROGRAM CAPTURE: counts the websocket messages of a capture with a library that one would use instead.

Each does as little as it can: no order is decoded, nothing stored.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final


def scapy(path: str) -> int:
    """`scapy.sessions.TCPSession`; scapy has no websocket layer, so one of four fields stands for it."""
    from scapy.fields import ByteField, ConditionalField, ShortField, StrLenField
    from scapy.layers.inet import IP, TCP  # noqa: F401  an IP packet is what holds TCP
    from scapy.layers.l2 import Ether  # noqa: F401  the link type of the capture
    from scapy.packet import Packet, Raw, bind_layers
    from scapy.sendrecv import sniff
    from scapy.sessions import TCPSession

    def size(frame: Packet) -> int:
        return int(frame.extended if frame.short == 126 else frame.short)

    class Frame(Packet):
        name = "websocket frame"
        fields_desc = [  # noqa: RUF012  scapy reads it off the class
            ByteField("first", 0x81),
            ByteField("short", 0),
            ConditionalField(ShortField("extended", 0), lambda frame: frame.short == 126),
            StrLenField("content", b"", length_from=size),
        ]

        @classmethod
        def tcp_reassemble(cls, data: bytes, metadata: dict[str, object], session: dict[str, object]) -> Packet | None:
            if data[0] not in (0x81, 0xC1):
                return Raw(data)
            head = 4 if len(data) > 1 and data[1] == 126 else 2
            if len(data) < head or len(data) < head + (int.from_bytes(data[2:4]) if head == 4 else data[1]):
                return None
            return cls(data)

        def extract_padding(self, rest: bytes) -> tuple[bytes, bytes]:
            return b"", rest

    bind_layers(TCP, Frame, sport=9443)
    count = 0

    def look(packet: Packet) -> None:
        nonlocal count
        count += Frame in packet

    sniff(offline=path, session=TCPSession, store=False, prn=look)
    return count


def pyshark(path: str) -> int:
    """tshark's whole decoding of each packet, as Python objects."""
    import pyshark

    count = 0
    with pyshark.FileCapture(path, display_filter="websocket", keep_packets=False) as found:
        for _ in found:
            count += 1
    return count


def wsproto(path: str) -> int:
    """dpkt for the packets, wsproto for the frames, its own permessage-deflate; streams are taken to be in order and whole."""
    import dpkt
    from wsproto.connection import Connection, ConnectionType
    from wsproto.events import TextMessage
    from wsproto.extensions import Extension, PerMessageDeflate

    talks: dict[int, Connection] = {}
    count = 0
    with open(path, "rb") as file:  # noqa: PTH123  dpkt reads an open file
        for _, data in dpkt.pcap.Reader(file):
            segment = dpkt.ethernet.Ethernet(data).data.data
            if segment.sport != 9443 or not segment.data:
                continue
            talk = talks.get(segment.dport)
            if talk is None:  # the answer to the upgrade
                extensions: list[Extension] = []
                if b"permessage-deflate" in segment.data:
                    extensions.append(deflate := PerMessageDeflate())
                    deflate.finalize("permessage-deflate")
                talks[segment.dport] = Connection(ConnectionType.CLIENT, extensions)
                continue
            talk.receive_data(segment.data)
            for event in talk.events():
                count += isinstance(event, TextMessage) and event.message_finished
    return count


PROGRAMS: Final[dict[str, Callable[[str], int]]] = {"scapy": scapy, "pyshark": pyshark, "wsproto": wsproto}

if __name__ == "__main__":
    print(PROGRAMS[sys.argv[1]](sys.argv[2]))

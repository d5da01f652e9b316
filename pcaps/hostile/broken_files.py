"""Capture files that lie, end too early, or are none; the damage is where the first record begins that cannot be read."""

from __future__ import annotations

import struct

from pcaps.kit.deflate import gzip_member
from pcaps.kit.files import (
    ETHERNET,
    block,
    described,
    enhanced,
    interface,
    pcap,
    pcap_head,
    pcap_record,
    section,
)
from pcaps.kit.talk import Talk
from pcaps.kit.truth import Capture, capture

KEPT = 10
"""Packets before the damage: the handshakes, and `said`'s first two messages."""


def said() -> Talk:
    """A conversation whose first `KEPT` packets hold two messages; no truth is written for what comes later."""
    talk = Talk().open().upgrade()
    talk.segment("client", talk.frame("client", "kept"), "PA")
    talk.segment("server", talk.frame("server", "kept too"), "PA")
    talk.segment("client")
    talk.expect("client", "kept")
    talk.expect("server", "kept too")
    for n in range(4):
        talk.say("server", f"gone {n}", truth=False)
    return talk


def damaged(suffix: str, head: bytes, records: list[bytes], broken: bytes) -> Capture:
    """`head`, the first `KEPT` of `records`, then `broken` in place of the rest."""
    talk = said()
    frames = ETHERNET.frames(talk.packets)[:KEPT]
    good = head + b"".join(records[:KEPT])
    made = described({suffix: good + broken}, frames, talk)
    made.damage = {"offset": len(good)}
    made.unassigned_loss = True
    talk.truth.lost = None
    return made


def pcap_records() -> list[bytes]:
    return [pcap_record(time, data) for time, data in ETHERNET.frames(said().packets)]


def blocks(order: str = "<") -> list[bytes]:
    return [enhanced(time // 1000, data, order=order) for time, data in ETHERNET.frames(said().packets)]


@capture("a pcap that ends in the middle of a packet's bytes")
def pcap_cut_in_packet() -> Capture:
    return damaged("pcap", pcap_head(), pcap_records(), pcap_records()[KEPT][:-7])


@capture("a pcap that ends in the middle of a record head")
def pcap_cut_in_record_head() -> Capture:
    return damaged("pcap", pcap_head(), pcap_records(), pcap_records()[KEPT][:9])


@capture("a captured length of 0xffffffff: 4 GB must not be allocated")
def pcap_length_huge() -> Capture:
    return damaged("pcap", pcap_head(), pcap_records(), struct.pack("<IIII", 1_700_000_000, 0, 0xFFFFFFFF, 60) + b"?" * 500)


@capture("a captured length of 100 MB, far over the snap length, in a file of some kB")
def pcap_length_over_snaplen() -> Capture:
    return damaged("pcap", pcap_head(), pcap_records(), struct.pack("<IIII", 1_700_000_000, 0, 100_000_000, 60) + b"?" * 500)


@capture("zeros instead of packet records, as a crashed host leaves them: records of length 0 without end")
def pcap_zeros() -> Capture:
    made = damaged("pcap", pcap_head(), pcap_records(), bytes(16 * 40))
    made.damage = made.packets = made.started_at = made.ended_at = None  # empty records are no damage that a reader must see
    made.unassigned_loss = None
    return made


@capture("a pcapng cut in the middle of a block")
def pcapng_cut() -> Capture:
    return damaged("pcapng", section() + interface(), blocks(), blocks()[KEPT][:-11])


@capture("a block whose length says 2 GB")
def block_length_huge() -> Capture:
    return damaged("pcapng", section() + interface(), blocks(), struct.pack("<II", 6, 0x7FFFFFFC) + blocks()[KEPT][8:])


@capture("a block of length 0: a reader that goes on by it never ends")
def block_length_zero() -> Capture:
    return damaged("pcapng", section() + interface(), blocks(), struct.pack("<II", 6, 0) + blocks()[KEPT][8:])


@capture("a block shorter than its own head and tail")
def block_length_short() -> Capture:
    return damaged("pcapng", section() + interface(), blocks(), struct.pack("<III", 6, 8, 8) + blocks()[KEPT])


@capture("a block length that is no multiple of four", rfc="draft-ietf-opsawg-pcapng section 3.1")
def block_length_odd() -> Capture:
    lying = blocks()[KEPT]
    return damaged("pcapng", section() + interface(), blocks(), lying[:4] + struct.pack("<I", len(lying) - 3) + lying[8:])


@capture("the length behind the block differs from the one before it", rfc="draft-ietf-opsawg-pcapng section 3.1")
def block_length_differs() -> Capture:
    lying = blocks()[KEPT]
    return damaged(
        "pcapng", section() + interface(), blocks(), lying[:-4] + struct.pack("<I", len(lying) + 4) + blocks()[KEPT + 1]
    )


@capture("a packet length larger than the block that holds it", rfc="draft-ietf-opsawg-pcapng section 4.3")
def packet_length_in_block() -> Capture:
    lying = bytearray(blocks()[KEPT])
    lying[20:24] = struct.pack("<I", 5000)
    return damaged("pcapng", section() + interface(), blocks(), bytes(lying))


@capture("a packet of an interface that was never described", rfc="draft-ietf-opsawg-pcapng section 4.3")
def interface_unknown() -> Capture:
    return damaged("pcapng", section() + interface(), blocks(), enhanced(1, b"?" * 60, 9))


@capture("a second section with a byte-order magic that is none", rfc="draft-ietf-opsawg-pcapng section 4.1")
def section_magic() -> Capture:
    broken = block(0x0A0D0D0A, b"\xde\xad\xbe\xef" + struct.pack("<HHq", 1, 0, -1))
    return damaged("pcapng", section() + interface(), blocks(), broken)


@capture("a gzip file cut off, as a copy that ran out of disk; offsets count decompressed bytes", rfc="RFC 1952")
def gzip_cut() -> Capture:
    talk = said()
    content = pcap(ETHERNET.frames(talk.packets))
    whole = gzip_member(content)
    talk.truth.lost = talk.truth.readable = None
    for message in talk.truth.messages:
        message.optional = True
    made = described({"pcap.gz": whole[: len(whole) * 3 // 4]}, ETHERNET.frames(talk.packets), talk)
    made.packets = made.ended_at = None  # how much a reader gets out of it is up to its buffers
    made.damage, made.unassigned_loss = {"offset": None}, True
    return made


@capture("a gzip file with flipped bits: its check sum tells, at the latest at its end", rfc="RFC 1952 section 2.3.1")
def gzip_corrupt() -> Capture:
    talk = said()
    whole = bytearray(gzip_member(pcap(ETHERNET.frames(talk.packets))))
    whole[-8] ^= 0xFF
    talk.truth.lost = None
    made = described({"pcap.gz": bytes(whole)}, ETHERNET.frames(talk.packets), talk)
    for n in range(4):
        talk.expect("server", f"gone {n}")
    for message in talk.truth.messages:
        message.optional = True
    made.packets = made.ended_at = None
    made.damage, made.unassigned_loss = {"offset": None}, True
    return made


def nothing(suffix: str, content: bytes) -> Capture:
    made = described({suffix: content}, [])
    made.packets, made.damage, made.unassigned_loss = None, {"offset": 0}, None
    return made


@capture("an empty file")
def empty() -> Capture:
    return nothing("pcap", b"")


@capture("a pcap whose file head is cut")
def head_cut() -> Capture:
    return nothing("pcap", pcap_head()[:17])


@capture("not a capture: text")
def not_a_capture() -> Capture:
    return nothing("pcap", b"time,price,quantity\n1,7.25,40\n" * 20)


@capture("not a capture: gzip around text")
def not_a_capture_gzip() -> Capture:
    return nothing("pcap.gz", gzip_member(b"time,price,quantity\n1,7.25,40\n" * 20))


@capture("a pcapng that begins with a packet, without a section head", rfc="draft-ietf-opsawg-pcapng section 3.3")
def no_section() -> Capture:
    return nothing("pcapng", b"".join(blocks()))


@capture("a pcapng section whose major version is 9", rfc="draft-ietf-opsawg-pcapng section 4.1")
def section_version() -> Capture:
    return nothing("pcapng", block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 9, 0, -1)) + interface() + b"".join(blocks()))


@capture("a link type that is not supported (USER0): nothing can be read, and a loss says so")
def link_type_unsupported() -> Capture:
    talk = said()
    frames = ETHERNET.frames(talk.packets)
    made = described({"pcap": pcap(frames, 147)}, frames)
    made.unassigned_loss = True
    return made


@capture("two interfaces, one of a link type that is not supported: the other one is read")
def link_type_unsupported_beside() -> Capture:
    talk = said()
    frames = ETHERNET.frames(talk.packets)
    content = section() + interface(147) + interface(1)
    content += b"".join(enhanced(time // 1000, data, 1) + enhanced(time // 1000, b"?" * 40, 0) for time, data in frames)
    made = described({"pcapng": content}, [frame for frame in frames for _ in range(2)], talk)
    for n in range(4):
        talk.expect("server", f"gone {n}")
    made.unassigned_loss = True
    return made

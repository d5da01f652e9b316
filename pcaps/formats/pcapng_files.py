"""pcapng: byte orders, sections, interfaces, time units, and all the kinds of blocks that hold packets or do not."""

from __future__ import annotations

import struct

from pcaps.kit.files import (
    ETHERNET,
    Link,
    block,
    described,
    enhanced,
    interface,
    old_packet,
    option,
    section,
    simple,
)
from pcaps.kit.talk import MS, START, Talk, hello
from pcaps.kit.truth import Capture, capture

SPEC = "draft-ietf-opsawg-pcapng"
RAW = Link(101, lambda packet: packet)


def resolution(tsresol: int | None, ticks_a_second: int, *, step: int = MS, tsoffset: int | None = None) -> Capture:
    """One interface whose clock ticks so often; all times of the capture are whole ticks."""
    talk = hello(step=step)
    frames = ETHERNET.frames(talk.packets)
    offset = (tsoffset or 0) * ticks_a_second
    content = section() + interface(tsresol=tsresol, tsoffset=tsoffset)
    content += b"".join(enhanced(time * ticks_a_second // 10**9 - offset, data) for time, data in frames)
    return described({"pcapng": content}, frames, talk)


@capture("little-endian, no options: microseconds")
def pcapng_little() -> Capture:
    return resolution(None, 10**6)


@capture("big-endian", rfc=f"{SPEC} section 4.1")
def pcapng_big() -> Capture:
    talk = hello()
    frames = ETHERNET.frames(talk.packets)
    content = section(">") + interface(order=">", tsresol=9) + b"".join(enhanced(t, d, order=">") for t, d in frames)
    return described({"pcapng": content}, frames, talk)


@capture("if_tsresol 9: nanoseconds", rfc=f"{SPEC} section 4.2")
def tsresol_nano() -> Capture:
    return resolution(9, 10**9, step=MS + 1)


@capture(
    "if_tsresol 12: picoseconds; 64 bits hold but 213 days of them, so if_tsoffset says from when they count",
    rfc=f"{SPEC} section 4.2",
)
def tsresol_pico() -> Capture:
    return resolution(12, 10**12, step=MS + 1, tsoffset=START // 10**9 - 5)


@capture("if_tsresol 0: whole seconds; the packets of one second keep their order", rfc=f"{SPEC} section 4.2")
def tsresol_seconds() -> Capture:
    return resolution(0, 1, step=10**9)


@capture("if_tsresol 0x89: ticks of 2 ** -9 s, each exactly 1,953,125 ns", rfc=f"{SPEC} section 4.2")
def tsresol_binary() -> Capture:
    return resolution(0x89, 512, step=1_953_125)


@capture("if_tsoffset of +1,000,000,000 s is added to every time", rfc=f"{SPEC} section 4.2")
def tsoffset_positive() -> Capture:
    return resolution(6, 10**6, tsoffset=1_000_000_000)


@capture("a negative if_tsoffset, with nanoseconds", rfc=f"{SPEC} section 4.2")
def tsoffset_negative() -> Capture:
    return resolution(9, 10**9, step=MS + 1, tsoffset=-86_400)


@capture("three interfaces of different link types, time units and offsets, one connection's packets spread over them")
def interfaces() -> Capture:
    talk = hello()
    content = section() + interface(1) + interface(101, tsresol=9)
    frames = []
    for i, (time, packet) in enumerate(talk.packets):
        if i == 4:  # an interface may be described after the first packets
            content += interface(1, tsresol=0x8A, tsoffset=START // 10**9)
        which = (0, 1, 2)[i % 3] if i >= 4 else i % 2
        data = bytes(packet) if which == 1 else ETHERNET.frames([(time, packet)])[0][1]
        ticks = (time // 1000, time, (time - START) * 1024 // 10**9)[which]
        # 1/1024 s is no whole number of ns: what a reader gets is the tick, rounded down
        seen = time if which != 2 else START + ticks * 10**9 // 1024
        frames.append((seen, data))
        content += enhanced(ticks, data, which)
    return described({"pcapng": content}, frames, talk)


@capture("two sections in one file (cat a b), the second big-endian: interfaces count from 0 again", rfc=f"{SPEC} section 4.1")
def sections() -> Capture:
    talk = hello()
    frames = ETHERNET.frames(talk.packets)
    content = section() + interface(tsresol=9) + b"".join(enhanced(t, d) for t, d in frames[:8])
    content += section(">") + interface(101, order=">")
    for time, packet in talk.packets[8:]:
        content += enhanced(time // 1000, bytes(packet), order=">")
    return described({"pcapng": content}, frames, talk)


@capture("a section head that says its length: it need not be -1", rfc=f"{SPEC} section 4.1")
def section_length() -> Capture:
    talk = hello()
    frames = ETHERNET.frames(talk.packets)
    body = interface(tsresol=9) + b"".join(enhanced(t, d) for t, d in frames)
    return described({"pcapng": section(length=len(body)) + body}, frames, talk)


@capture(
    "simple packet blocks: no time, interface 0, the length only from snap length and original length",
    rfc=f"{SPEC} section 4.4",
)
def simple_blocks() -> Capture:
    talk = hello()
    frames = ETHERNET.frames(talk.packets)
    made = described({"pcapng": section() + interface(1, snaplen=2048) + b"".join(simple(d) for _, d in frames)}, frames, talk)
    made.started_at = made.ended_at = None
    return made


@capture("simple packet blocks cut at the snap length of interface 0: the payload's end is missing", rfc=f"{SPEC} section 4.4")
def simple_blocks_cut() -> Capture:
    talk = Talk().open().upgrade()
    talk.say("server", "before")
    talk.say("server", "x" * 900, truth=False)
    talk.say("server", "after the cut", optional=True)
    talk.wait(300)
    talk.close()
    frames = ETHERNET.frames(talk.packets)
    snaplen = 400
    talk.lose("server", 14 + 20 + 20 + 4 + 900 - snaplen)
    blocks = b"".join(simple(data[:snaplen], original=len(data)) for _, data in frames)
    made = described({"pcapng": section() + interface(1, snaplen=snaplen) + blocks}, frames, talk)
    made.started_at = made.ended_at = None
    return made


@capture("the obsolete packet block", rfc=f"{SPEC} appendix A")
def old_blocks() -> Capture:
    talk = hello()
    frames = ETHERNET.frames(talk.packets)
    content = section() + interface(tsresol=9) + b"".join(old_packet(t, d) for t, d in frames)
    return described({"pcapng": content}, frames, talk)


@capture("blocks that hold no packet, known, custom and unknown, between the packets: skipped by their length")
def other_blocks() -> Capture:
    talk = hello()
    frames = ETHERNET.frames(talk.packets)
    others = [
        block(0x00000004, struct.pack("<HH", 1, 13) + b"\xc0\x00\x02\x01client\x00".ljust(16, b"\x00") + bytes(4)),  # names
        block(0x00000005, struct.pack("<III", 0, 395_812, 0) + option(4, struct.pack("<Q", 12)) + option(0, b"")),  # statistics
        block(0x00000009, b"__REALTIME_TIMESTAMP=1700000000000000\nMESSAGE=hello\n"),  # systemd journal
        block(0x00000BAD, struct.pack("<I", 32473) + b"a custom block, RFC 5612's enterprise number"),
        block(0x40000BAD, struct.pack("<I", 32473) + b"a custom block not to be copied"),
        block(0x7FFFFFFF, b"nobody knows this block"),
        block(0x0000000B, b""),  # empty
    ]
    content = section(options=option(4, b"pcaps") + option(0, b"")) + others[5] + interface(tsresol=9)
    for i, (time, data) in enumerate(frames):
        content += enhanced(time, data) + (others[i] if i < len(others) else b"")
    return described({"pcapng": content}, frames, talk)


@capture(
    "packets and interfaces with options, padded to odd lengths, unknown ones among them, and no end-of-options",
    rfc=f"{SPEC} section 3.5",
)
def options() -> Capture:
    talk = hello()
    frames = ETHERNET.frames(talk.packets)
    more = option(2, b"eth0") + option(3, b"an odd name") + option(0x7ABC, b"?") + option(8, struct.pack("<Q", 10**9))
    content = section(options=option(3, b"documentation")) + interface(tsresol=9, options=more)
    for i, (time, data) in enumerate(frames):
        tail = option(1, b"c" * (i % 7)) + option(2, struct.pack("<I", 1)) + (option(0, b"") if i % 2 else b"")
        content += enhanced(time, data, options=tail)
    return described({"pcapng": content}, frames, talk)


@capture(
    "an interface with if_fcslen 4: each frame ends in a frame check sequence, which is not payload", rfc=f"{SPEC} section 4.2"
)
def fcslen() -> Capture:
    talk = hello()
    frames = [(time, data + b"\xfc\xfc\xfc\xfc") for time, data in ETHERNET.frames(talk.packets)]
    content = section() + interface(tsresol=9, options=option(13, b"\x04")) + b"".join(enhanced(t, d) for t, d in frames)
    return described({"pcapng": content}, frames, talk)

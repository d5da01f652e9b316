"""The classic pcap format in all its dialects, and gzip around it."""

from __future__ import annotations

import struct
import zlib

from pcaps.kit.deflate import gzip_member
from pcaps.kit.files import ETHERNET, described, pcap, pcap_head, pcap_record, section
from pcaps.kit.files import enhanced as enhanced_block
from pcaps.kit.files import interface as interface_block
from pcaps.kit.talk import MS, START, Talk, hello
from pcaps.kit.truth import Capture, capture

NANO_STEP = MS + 1
"""Steps with all nine digits in use, so that a nanosecond file read as microseconds shows in the times."""


def dialect(order: str, nano: bool) -> Capture:
    talk = hello(step=NANO_STEP if nano else MS)
    frames = ETHERNET.frames(talk.packets)
    return described({"pcap": pcap(frames, order=order, nano=nano)}, frames, talk)


@capture("little-endian, microseconds: what tcpdump writes")
def pcap_little_micro() -> Capture:
    return dialect("<", nano=False)


@capture("big-endian, microseconds: every number in the file heads is swapped, the packets are not")
def pcap_big_micro() -> Capture:
    return dialect(">", nano=False)


@capture("little-endian with the nanosecond magic: the fraction counts ns")
def pcap_little_nano() -> Capture:
    return dialect("<", nano=True)


@capture("big-endian with the nanosecond magic")
def pcap_big_nano() -> Capture:
    return dialect(">", nano=True)


@capture(
    "the upper bits of the link type say that each frame ends in a frame check sequence of 4 bytes, which is not payload",
    rfc="draft-ietf-opsawg-pcap section 4",
)
def pcap_fcs() -> Capture:
    talk = hello()
    frames = [(time, data + struct.pack("<I", zlib.crc32(data))) for time, data in ETHERNET.frames(talk.packets)]
    return described({"pcap": pcap(frames, 1 | 1 << 26 | 2 << 28)}, frames, talk)


@capture("a head and no packet: nothing was captured, and nothing is wrong")
def pcap_no_packets() -> Capture:
    return described({"pcap": pcap([])}, [])


@capture("packets whose times run backwards by some hundred microseconds, as merged queues of a card write them")
def pcap_times_backwards() -> Capture:
    talk = hello()
    jitter = (0, -30_000, 45_000, -80_000)
    frames = [
        (time + jitter[i % 4] - (i % 3) * 1_200_000, data) for i, (time, data) in enumerate(ETHERNET.frames(talk.packets))
    ]
    return described({"pcap": pcap(frames)}, frames, talk)


@capture("gzip around pcap, as logrotate and tcpdump -z leave it", rfc="RFC 1952")
def pcap_gzip() -> Capture:
    talk = hello()
    frames = ETHERNET.frames(talk.packets)
    return described({"pcap.gz": gzip_member(pcap(frames))}, frames, talk)


@capture("two gzip members joined in the middle of a packet record: one stream all the same", rfc="RFC 1952 section 2.2")
def pcap_gzip_members() -> Capture:
    talk = hello()
    frames = ETHERNET.frames(talk.packets)
    content = pcap(frames)
    middle = len(content) // 2 + 5
    return described({"pcap.gz": gzip_member(content[:middle]) + gzip_member(content[middle:])}, frames, talk)


@capture("gzip around pcapng", rfc="RFC 1952")
def pcapng_gzip() -> Capture:
    talk = hello()
    frames = ETHERNET.frames(talk.packets)
    blocks = b"".join(enhanced_block(time // 1000, data) for time, data in frames)
    return described({"pcapng.gz": gzip_member(section() + interface_block() + blocks)}, frames, talk)


@capture("gzip around pcap whose file name does not say so: the content decides", rfc="RFC 1952 section 2.3.1")
def pcap_gzip_unnamed() -> Capture:
    talk = hello()
    frames = ETHERNET.frames(talk.packets)
    return described({"pcap": gzip_member(pcap(frames))}, frames, talk)


@capture("a rotated set (tcpdump -C): a message begins in the first file and ends in the second; one call, one capture")
def rotated() -> Capture:
    talk = Talk().open().upgrade()
    talk.say("server", '{"e":"executionReport","i":7002,"X":"NEW"}')
    talk.say("server", ("{" + '"note":"split over two files",' * 40 + '"i":7003}'), size=600)
    talk.say("client", b"", "close")
    talk.say("server", b"", "close")
    talk.close()
    frames = ETHERNET.frames(talk.packets)
    middle = next(i for i, (_, data) in enumerate(frames) if b"two files" in data) + 1
    return described({"pcap": pcap(frames[:middle]), "pcap1": pcap(frames[middle:])}, frames, talk)


@capture("two files whose packets interleave in time, in different formats: merged by time, one connection's sides in each")
def two_taps() -> Capture:
    talk = hello()
    frames = ETHERNET.frames(talk.packets)
    sides = {
        end: [f for f, (_, p) in zip(frames, talk.packets, strict=True) if p.sport == talk.ends[end][1]] for end in talk.ends
    }
    files = {"client.pcap": pcap(sides["client"], order=">"), "server.pcapng": section() + interface_block(tsresol=9)}
    files["server.pcapng"] += b"".join(enhanced_block(time, data) for time, data in sides["server"])
    return described(files, frames, talk)


@capture("a packet record whose original length is smaller than the captured one, as some cards with trailers write it")
def pcap_original_shorter() -> Capture:
    talk = hello()
    frames = ETHERNET.frames(talk.packets)
    content = pcap_head() + b"".join(pcap_record(time, data, original=len(data) - 4) for time, data in frames)
    return described({"pcap": content}, frames, talk)


@capture(
    "seconds are unsigned: a capture of the year 2099",
    rfc="draft-ietf-opsawg-pcap section 5",
)
def pcap_after_2038() -> Capture:
    talk = hello(start=START + 76 * 365 * 86_400 * 10**9)
    frames = ETHERNET.frames(talk.packets)
    return described({"pcap": pcap(frames)}, frames, talk)

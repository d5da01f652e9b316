"""Traffic made to cost memory or time, or to be taken for what it is not."""

from __future__ import annotations

import random
import struct

from pcaps.kit.deflate import Bits, Deflater, gzip_member, put_match
from pcaps.kit.files import ETHERNET, described, pcap, record
from pcaps.kit.frames import BINARY, RSV1, TEXT, frame, upgrade_request, upgrade_response
from pcaps.kit.talk import START, Talk, hello
from pcaps.kit.truth import Capture, capture


def zipped(talk: Talk) -> Capture:
    """Large and repetitive, so in gzip."""
    frames = ETHERNET.frames(talk.packets)
    return described({"pcap.gz": gzip_member(pcap(frames))}, frames, talk)


def started() -> Talk:
    talk = Talk().open().upgrade()
    talk.say("client", "before")
    return talk


def swallowed(length: int) -> Capture:
    """A frame head with this 64-bit length; what follows would be its payload."""
    talk = started()
    talk.send("server", bytes([0x80 | BINARY, 127]) + struct.pack(">Q", length) + b"payload without end")
    for _ in range(5):
        talk.send("server", frame(b'{"is":"payload, not a message"}'))
    talk.say("client", "after")
    talk.lose("server", None)
    return record(talk.close())


@capture("a frame of 2 ** 63 bytes: its most significant bit must be 0, so there is no such frame", rfc="RFC 6455 5.2")
def frame_length_2_63() -> Capture:
    return swallowed(1 << 63)


@capture("a frame of 2 ** 62 bytes: possible by the RFC, over every limit", rfc="RFC 6455 10.4")
def frame_length_2_62() -> Capture:
    return swallowed(1 << 62)


@capture("a frame of 2 ** 64 - 1 bytes, which with its head added overflows 64 bits", rfc="RFC 6455 5.2")
def frame_length_2_64() -> Capture:
    return swallowed((1 << 64) - 1)


@capture("a request head that never ends: 200 kB of header lines", rfc="RFC 9110 section 5.4")
def endless_head() -> Capture:
    talk = Talk().open()
    talk.segment("client", b"GET /ws HTTP/1.1\r\n", "PA")
    for n in range(140):
        talk.segment("client", f"X-{n % 10}: {'a' * 1400}\r\n".encode(), "PA")
    talk.segment("server")
    talk.truth.readable = None
    talk.lose("client", None)
    return zipped(talk.close())


@capture("a header line that never ends, without a line break in 200 kB", rfc="RFC 9110 section 5.4")
def endless_line() -> Capture:
    talk = Talk().open()
    for _ in range(140):
        talk.segment("client", b"A" * 1400, "PA")
    talk.segment("server")
    talk.truth.readable = None
    talk.lose("client", None)
    return zipped(talk.close())


@capture("a deflate bomb: 17 MB of zeros in 100 kB, over the message limit", rfc="RFC 7692 8")
def deflate_bomb() -> Capture:
    talk = Talk().open().upgrade("permessage-deflate; server_no_context_takeover")
    talk.say("server", "before")
    bits = Bits()
    bits.put(0b010, 3)
    bits.put(0x0C, 8)  # the literal NUL: code 0x30, first bit first
    for _ in range(17_000_000 // 258):
        put_match(bits, 258, 1)
    bits.put(0, 7)
    bits.put(0, 3)
    bits.align()
    talk.send("server", frame(bytes(bits.out), TEXT, rsv=RSV1), size=60_000)
    talk.lose("server", None)
    talk.say("server", "after", optional=True)
    talk.say("client", "after")
    return zipped(talk.close())


@capture("a message of 70,000 fragments that never ends: bookkeeping must not outgrow the payload", rfc="RFC 6455 10.4")
def endless_fragments() -> Capture:
    talk = started()
    talk.send("server", frame(b"a", TEXT, fin=False) + frame(b"b", 0, fin=False) * 70_000, size=60_000)
    talk.lose("server", None)
    return zipped(talk.close())


@capture("5,000 segments of one byte each behind a hole that nobody fills")
def reorder_flood() -> Capture:
    talk = started()
    talk.step = 1000
    base = talk.next["server"]
    for n in range(5000):
        talk.segment("server", b"\x81", "PA", seq=base + 2 + 2 * n)
    talk.segment("client", ack=base)
    talk.wait(61_000)
    talk.segment("client", flags="RA", ack=base)
    talk.lose("server", None)
    return zipped(talk)


@capture("lengths in HTTP that lie: negative, huge, in words, twice, and beside chunks", rfc="RFC 9112 section 6.3")
def content_lengths() -> Capture:
    talks = []
    for n, fields in enumerate(
        (
            "Content-Length: -5",
            "Content-Length: 99999999999999999999",
            "Content-Length: five",
            "Content-Length: 4\r\nContent-Length: 5",
            "Content-Length: 2\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked, gzip",
        )
    ):
        talk = Talk(f"192.0.2.1:{40_000 + n}", start=START + n * 1_000_000_000).open()
        talk.send("client", b"GET / HTTP/1.1\r\nHost: exchange.example\r\n\r\n")
        talk.send("server", f"HTTP/1.1 200 OK\r\n{fields}\r\n\r\n".encode() + b"ffffffffffffffff0\r\nbody")
        talk.truth.readable = talk.truth.lost = None
        talks.append(talk.close())
    return record(*talks)


@capture("a 101 that nobody asked for, a response before its request, header lines without a colon", rfc="RFC 9112 section 5")
def http_nonsense() -> Capture:
    talks = []
    for n, (first, second) in enumerate(
        (
            (b"GET / HTTP/1.1\r\nno colon here\r\n: no name\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n"),
            (b"GET\r\n\r\n", b"HTTP/9.9 200 OK\r\n\r\n"),
            (b"\x00\x01\x02\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\x02hi"),
        )
    ):
        talk = Talk(f"192.0.2.1:{40_000 + n}", start=START + n * 1_000_000_000).open()
        talk.send("client", first)
        talk.send("server", second)
        talk.truth.readable = talk.truth.lost = None
        talks.append(talk.close())
    return record(*talks)


@capture("two websockets whose clients and servers have each other's addresses and ports: nothing of one may enter the other")
def mirrored_four_tuples() -> Capture:
    one = hello("192.0.2.1:9443", "198.51.100.1:40000")
    return record(one, hello("192.0.2.1:40000", "198.51.100.1:9443", start=one.packets[0][0] + 300_000, seed=9))


@capture("noise inside a websocket that was agreed on: random bytes in both directions; none of it is a message for sure")
def noise_in_websocket() -> Capture:
    talk = started()
    noise = random.Random(77)
    for _ in range(12):
        # all RSV bits and a reserved opcode first, so that no frame can begin where the last one ended
        talk.send("server", b"\x7f" + noise.randbytes(400))
        talk.send("client", b"\x7f" + noise.randbytes(400))
    talk.lose("server", None)
    talk.lose("client", None)
    return record(talk.close())


@capture("a compressed message whose stored block says it is longer than the frame", rfc="RFC 1951 3.2.4")
def stored_block_cut() -> Capture:
    talk = Talk().open()
    talk.send("client", upgrade_request("permessage-deflate"))
    talk.send("server", upgrade_response("permessage-deflate"))
    data = Deflater().message(b"x" * 300, block="stored")
    talk.send("server", frame(data[:100], TEXT, rsv=RSV1))
    talk.lose("server", None)
    talk.say("client", "after")
    return record(talk.close())

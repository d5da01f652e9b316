"""RFC 6455 framing, as it should be and as it should not."""

from __future__ import annotations

from pcaps.kit.deflate import gzip_member
from pcaps.kit.files import ETHERNET, described, pcap, record
from pcaps.kit.frames import BINARY, CONTINUATION, PING, PONG, RSV1, RSV2, TEXT, close_body, frame
from pcaps.kit.talk import START, Talk
from pcaps.kit.truth import Capture, capture


def started(client: str = "192.0.2.1:40000", **how: int) -> Talk:
    return Talk(client, **how).open().upgrade()


def finished(talk: Talk, *, optional: bool = False) -> Capture:
    """Both sides say one message more; `optional` where the violation before it would have ended the connection."""
    talk.say("client", "after", optional=optional)
    talk.say("server", "after", optional=optional)
    return record(talk.close())


@capture(
    "payload lengths 0, 1, 125, 126, 127, 65,535 and 65,536: each side of each change in the length field", rfc="RFC 6455 5.2"
)
def lengths() -> Capture:
    talk = started()
    for length in (0, 1, 125, 126, 127, 65_535, 65_536):
        talk.say("server", bytes(n % 251 for n in range(length)), "binary")
        if length < 1000:
            talk.say("client", bytes(n % 251 for n in range(length)), "binary")
    frames = ETHERNET.frames(talk.close().packets)
    return described({"pcap.gz": gzip_member(pcap(frames))}, frames, talk)


@capture("lengths that are longer than need be: a sender must not, yet the length is clear", rfc="RFC 6455 5.2")
def lengths_non_minimal() -> Capture:
    talk = started()
    talk.say("server", "five!", width=16)
    talk.say("server", "five!", width=64)
    talk.say("client", "x" * 200, width=64)
    talk.say("client", "", width=16)
    return finished(talk)


@capture("masks of zeros, of ones, and with zeros in places; every payload length modulo 4", rfc="RFC 6455 5.3")
def masks() -> Capture:
    talk = started()
    for mask in (b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\x00\x80\x00\x01"):
        for length in range(5):
            talk.say("client", "mask"[:length] + "!", mask=mask)
    return finished(talk)


@capture("a client that does not mask: a server must fail it; it is recorded all the same", rfc="RFC 6455 5.1")
def unmasked_client() -> Capture:
    talk = started()
    talk.say("client", "in the clear", mask=None)
    talk.say("client", b"clear", "ping", mask=None)
    return finished(talk)


@capture("a server that masks: a client must fail it; it is recorded all the same", rfc="RFC 6455 5.1")
def masked_server() -> Capture:
    talk = started()
    talk.say("server", "behind a mask", mask=b"\x01\x02\x03\x04")
    return finished(talk)


@capture(
    "fragments of both sides, with pings, pongs and nothing between them; the control frames come first in the record",
    rfc="RFC 6455 5.4",
)
def fragments() -> Capture:
    talk = started()
    mask = talk.random.randbytes
    parts = [
        frame(b"one ", TEXT, fin=False, mask=mask(4)),
        frame(b"beat", PING, mask=mask(4)),
        frame(b"two ", CONTINUATION, fin=False, mask=mask(4)),
        frame(b"", PONG, mask=mask(4)),
        frame(b"three", CONTINUATION, mask=mask(4)),
    ]
    for part in parts:
        talk.send("client", part)
    talk.expect("client", b"beat", "ping")
    talk.expect("client", b"", "pong")
    talk.expect("client", "one two three")
    talk.send("server", frame(b"\x01", BINARY, fin=False) + frame(b"\x02", CONTINUATION) + frame(b"beat", PONG))
    talk.expect("server", b"\x01\x02", "binary")
    talk.expect("server", b"beat", "pong")
    return finished(talk)


@capture("empty fragments: first, middle and last, and a message of nothing else", rfc="RFC 6455 5.4")
def fragments_empty() -> Capture:
    talk = started()
    empty, full = frame(b"", CONTINUATION, fin=False), frame(b"word", CONTINUATION, fin=False)
    last = frame(b"", CONTINUATION)
    talk.send("server", frame(b"", TEXT, fin=False) + empty + full + empty + full + last)
    talk.expect("server", "wordword")
    talk.send("server", frame(b"", TEXT, fin=False) + last)
    talk.expect("server", "")
    return finished(talk)


@capture("a message in 300 fragments of one byte, a multi-byte character in pieces", rfc="RFC 6455 5.6")
def fragments_many() -> Capture:
    talk = started()
    payload = "€".encode() * 100
    parts = [frame(payload[n : n + 1], TEXT if n == 0 else CONTINUATION, fin=n == 299) for n in range(300)]
    talk.send("server", b"".join(parts))
    talk.expect("server", payload)
    return finished(talk)


@capture("two hundred small messages in one segment, and one message over ten segments", rfc="RFC 6455 5.2")
def many_in_one_segment() -> Capture:
    talk = started()
    talk.send("server", b"".join(frame(b"%d" % n) for n in range(200)))
    for n in range(200):
        talk.expect("server", str(n))
    talk.say("client", "over ten segments " * 8, size=15)
    return finished(talk)


@capture("messages of no bytes: text, binary, ping, pong, close", rfc="RFC 6455 5.6")
def empty_messages() -> Capture:
    talk = started()
    for opcode in ("text", "binary", "ping", "pong"):
        talk.say("client", "", opcode)
        talk.say("server", "", opcode)
    talk.say("client", "", "close")
    talk.say("server", "", "close")
    return record(talk.close())


@capture(
    "one connection a close code, usual, private, reserved and forbidden ones; with a reason, without a code, with half of one",
    rfc="RFC 6455 7.4",
)
def close_codes() -> Capture:
    bodies = [close_body(code, f"code {code}") for code in (1000, 1001, 1008, 1011, 1013, 3000, 4999)]
    bodies += [close_body(code) for code in (999, 1004, 1005, 1006, 1015, 5000)]
    bodies += [b"", b"\x03", close_body(1000, "ä" * 61)]
    talks = []
    for n, body in enumerate(bodies):
        talk = started(f"192.0.2.1:{40_000 + n}", start=START + n * 40_000_000)
        talk.say("server", body, "close")
        talk.say("client", body, "close")
        talks.append(talk.close())
    return record(*talks)


@capture("a message after the close frame: the peer discards it; it may be recorded", rfc="RFC 6455 5.5.1")
def data_after_close() -> Capture:
    talk = started()
    talk.say("server", close_body(1000), "close")
    talk.say("server", "one thing more", optional=True)
    talk.say("client", close_body(1000), "close")
    talk.truth.lost = None
    return record(talk.close())


@capture("control frames of 126 and 300 bytes: too long by the RFC, and clear", rfc="RFC 6455 5.5")
def oversized_control() -> Capture:
    talk = started()
    talk.say("server", b"p" * 300, "ping")
    talk.say("client", b"q" * 126, "pong")
    return finished(talk)


@capture("a ping in two fragments, which control frames must not be: framing stays clear, meaning does not", rfc="RFC 6455 5.4")
def fragmented_control() -> Capture:
    talk = started()
    talk.send("server", frame(b"half", PING, fin=False) + frame(b"rest", CONTINUATION))
    talk.expect("server", b"halfrest", "ping", optional=True)
    talk.truth.lost = None
    return finished(talk, optional=True)


@capture("text messages that are not UTF-8: kept as bytes", rfc="RFC 6455 8.1")
def invalid_utf8() -> Capture:
    talk = started()
    for payload in (b"\xc3\x28", b"cut \xe2\x82", b"\xed\xa0\x80 surrogate", b"\xf8\x88\x80\x80\x80", b"nul \x00 is fine"):
        talk.say("server", payload)
    return finished(talk)


@capture("characters of one to four bytes, noncharacters, and a byte order mark that is kept", rfc="RFC 6455 5.6")
def unicode() -> Capture:
    talk = started()
    talk.say("client", "ascii, ä, €, 🐍")
    talk.say("server", "\ufeffwith a mark, \uffff, \U0010ffff, e\u0301")
    return finished(talk)


@capture("RSV1 set though no extension was agreed on: that payload's meaning is unknown, its end is not", rfc="RFC 6455 5.2")
def rsv_without_extension() -> Capture:
    talk = started()
    talk.send("server", talk.frame("server", "compressed? by what?", rsv=RSV1))
    talk.send("client", talk.frame("client", "and this", rsv=RSV2))
    talk.lose("server", None)
    talk.lose("client", None)
    return finished(talk, optional=True)


@capture("opcodes 3 and 11, which nobody has defined", rfc="RFC 6455 5.2")
def reserved_opcodes() -> Capture:
    talk = started()
    talk.send("server", frame(b"opcode 3", 0x3))
    talk.send("client", frame(b"opcode 11", 0xB, mask=b"mask"))
    talk.lose("server", None)
    talk.lose("client", None)
    return finished(talk, optional=True)


@capture("a continuation of nothing", rfc="RFC 6455 5.4")
def continuation_without_start() -> Capture:
    talk = started()
    talk.send("server", frame(b"goes on", CONTINUATION))
    talk.lose("server", None)
    return finished(talk, optional=True)


@capture("a new message begins inside a fragmented one: the first never ends", rfc="RFC 6455 5.4")
def message_inside_fragments() -> Capture:
    talk = started()
    talk.send("server", frame(b"never ", TEXT, fin=False) + frame(b"inside"))
    talk.expect("server", "inside", optional=True)
    talk.lose("server", None)
    return finished(talk, optional=True)


@capture(
    "the connection ends in the middle of a frame, and on the other side in the middle of a fragmented message",
    rfc="RFC 6455 7.1.7",
)
def unfinished() -> Capture:
    talk = started()
    talk.say("server", "whole")
    talk.send("server", talk.frame("server", "not whole at all")[:9])
    talk.send("client", frame(b"to be continued", TEXT, fin=False, mask=b"mask"))
    talk.lose("server", None)
    talk.lose("client", None)
    return record(talk.close())

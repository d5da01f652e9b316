"""Packets that the capture missed: uncompressed websockets, so frame boundaries decide what can be read again.

Where the hole lies wholly in the payload of a frame whose head was seen, the next frame's place is known exactly. Where a
head is in the hole, it is not: later messages are optional then.
"""

from __future__ import annotations

from pcaps.kit.files import record
from pcaps.kit.frames import BINARY, CONTINUATION, TEXT, frame, upgrade_request, upgrade_response
from pcaps.kit.talk import Talk
from pcaps.kit.truth import Capture, capture
from pcaps.tcp.order import END, ORDERS, finished, started


def holed(*spans: tuple[int, int], payload: str = ORDERS) -> tuple[Talk, int]:
    """A conversation with a server message of which only these spans are seen though all of it is acknowledged.

    The second value counts the bytes in the holes.
    """
    talk = started()
    length = len(frame(payload.encode()))
    seen = {at for start, end in spans for at in range(start, min(end, length))}
    talk.scatter("server", payload, *spans, truth=False)
    return talk, length - len(seen)


def ending(talk: Talk, hole: int, *, sure: bool) -> Capture:
    """The conversation goes on for longer than any wait for the hole; `sure`: the next frame's place is known."""
    talk.wait(300)
    talk.say("client", "after")
    talk.say("server", "after", optional=not sure)
    talk.wait(300)
    talk.say("server", "much later", optional=not sure)
    talk.lose("server", hole)
    return record(talk.close())


@capture(
    "a segment in the middle of a message is missing and acknowledged: the message is lost, the next one is sure",
    rfc="RFC 6455 5.2",
)
def gap_in_payload() -> Capture:
    talk, hole = holed((0, 300), (500, END))
    return ending(talk, hole, sure=True)


@capture("the missing segment is the end of a frame: the next byte seen is a frame head for sure", rfc="RFC 6455 5.2")
def gap_to_frame_end() -> Capture:
    talk, hole = holed((0, 300))
    return ending(talk, hole, sure=True)


@capture("two holes in one message", rfc="RFC 6455 5.2")
def gap_twice() -> Capture:
    talk, hole = holed((0, 100), (200, 300), (400, END))
    return ending(talk, hole, sure=True)


@capture("the missing segment holds the frame's head: where the next frame begins is a guess", rfc="RFC 6455 5.2")
def gap_over_head() -> Capture:
    talk, hole = holed((300, END))
    return ending(talk, hole, sure=False)


@capture("the hole begins in the middle of a frame head: its first two bytes were seen, its length was not", rfc="RFC 6455 5.2")
def gap_in_head() -> Capture:
    talk, hole = holed((0, 2), (300, END))
    return ending(talk, hole, sure=False)


@capture("the missing segment holds two whole frames; nothing tells that it ended at a frame's end", rfc="RFC 6455 5.2")
def gap_whole_frames() -> Capture:
    talk = started()
    data = talk.frame("server", "first of two") + talk.frame("server", "second of two")
    talk.send("server", data, seen=False)
    return ending(talk, len(data), sure=False)


@capture("the missing segment runs from one message's payload over the next one's head into its payload", rfc="RFC 6455 5.2")
def gap_over_two_frames() -> Capture:
    talk = started()
    data = talk.frame("server", ORDERS) + talk.frame("server", ORDERS[::-1])
    base = talk.next["server"]
    talk.segment("server", data[:500], "PA", seq=base)
    talk.segment("server", data[1000:], "PA", seq=base + 1000)
    talk.next["server"] = base + len(data)
    talk.segment("client")
    return ending(talk, 500, sure=False)


@capture(
    "a hole in the payload of one fragment: the fragmented message is lost to its end, then all is sure again",
    rfc="RFC 6455 5.4",
)
def gap_in_fragment() -> Capture:
    talk = started()
    parts = [frame(b"a" * 200, TEXT, fin=False), frame(b"b" * 200, CONTINUATION, fin=False), frame(b"c" * 200, CONTINUATION)]
    talk.send("server", parts[0])
    talk.segment("server", parts[1][:50], "PA")
    talk.segment("server", parts[1][50:150], "PA", seen=False)
    talk.segment("server", parts[1][150:], "PA")
    talk.send("server", parts[2])
    return ending(talk, 100, sure=True)


@capture("a hole in a binary message of 70,000 bytes: the 64-bit length is in the seen head", rfc="RFC 6455 5.2")
def gap_in_large_message() -> Capture:
    talk = started()
    data = talk.frame("server", bytes(range(250)) * 280, "binary")
    assert data[0] & 15 == BINARY
    for at in range(0, len(data), 10_000):
        talk.segment("server", data[at : at + 10_000], "PA", seen=at != 30_000)
    talk.segment("client")
    return ending(talk, 10_000, sure=True)


@capture("the hole is acknowledged but filled 100 ms later, from another queue of the card: nothing is lost")
def gap_filled_late() -> Capture:
    talk = started()
    data = talk.frame("server", ORDERS)
    base = talk.next["server"]
    talk.segment("server", data[:300], "PA", seq=base)
    talk.segment("server", data[500:], "PA", seq=base + 500)
    talk.next["server"] = base + len(data)
    talk.segment("client")
    talk.wait(100)
    talk.segment("server", data[300:500], "PA", seq=base + 300)
    talk.expect("server", ORDERS)
    return finished(talk)


@capture(
    "the peer asks for the missing segment again and again; it comes after 1.5 s: not acknowledged is not lost",
    rfc="RFC 9293 3.8.1",
)
def gap_retransmitted_late() -> Capture:
    talk = started()
    data = talk.frame("server", ORDERS)
    base = talk.next["server"]
    talk.segment("server", data[:300], "PA", seq=base)
    for _ in range(3):
        talk.segment("server", data[500:], "PA", seq=base + 500)
        talk.segment("client", ack=base + 300)
        talk.wait(500)
    talk.segment("server", data[300:500], "PA", seq=base + 300)
    talk.next["server"] = base + len(data)
    talk.segment("client")
    talk.expect("server", ORDERS)
    return finished(talk)


@capture(
    "a hole that was never filled nor acknowledged, then a reset: what stands behind it never reached the peer",
    rfc="RFC 9293 3.10.7.4",
)
def gap_never_filled() -> Capture:
    talk = started()
    data = talk.frame("server", ORDERS)
    base = talk.next["server"]
    talk.segment("server", data[:300], "PA", seq=base)
    talk.segment("server", data[500:] + talk.frame("server", "beyond"), "PA", seq=base + 500)
    talk.segment("client", ack=base + 300)
    talk.wait(2000)
    talk.segment("client", flags="RA", ack=base + 300)
    talk.expect("server", "beyond", optional=True)
    talk.lose("server", 200)
    return record(talk)


@capture("the last message is missing; only its acknowledgement and the FIN's number tell of it")
def gap_at_the_end() -> Capture:
    talk = started()
    talk.say("server", "before")
    data = talk.frame("server", "nobody saw this")
    talk.send("server", data, seen=False)
    talk.lose("server", len(data))
    return record(talk.close())


@capture("the last message is missing, its acknowledgement too, and there is no FIN but a reset with the number behind it")
def gap_at_the_reset() -> Capture:
    talk = started()
    data = talk.frame("server", "nobody saw this")
    talk.segment("server", data, seen=False)
    talk.segment("server", flags="RA")
    talk.lose("server", len(data))
    return record(talk)


@capture("a burst is missing, packets of both directions at once; only later sequence numbers tell")
def gap_both_sides() -> Capture:
    talk = started()
    kept = len(talk.packets)
    ours, theirs = talk.next["client"], talk.next["server"]
    for n in range(4):
        talk.say("client", f"lost {n}", truth=False)
        talk.say("server", f"lost too {n}", truth=False)
    del talk.packets[kept:]
    talk.lose("client", talk.next["client"] - ours)
    hole = talk.next["server"] - theirs
    talk.wait(300)
    talk.say("client", "client again", optional=True)
    return ending_both(talk, hole)


def ending_both(talk: Talk, hole: int) -> Capture:
    made = ending(talk, hole, sure=False)
    for message in talk.truth.messages[1:]:
        message.optional = True
    return made


@capture(
    "a part of the upgrade request is missing; the answer alone says all that the server's messages need", rfc="RFC 6455 4.2.2"
)
def gap_in_request() -> Capture:
    talk = Talk().open()
    request = upgrade_request()
    talk.segment("client", request[:40], "PA")
    talk.segment("client", request[40:120], "PA", seen=False)
    talk.segment("client", request[120:], "PA")
    talk.segment("server")
    talk.wait(300)
    talk.send("server", upgrade_response())
    talk.say("client", "client", optional=True)
    talk.say("server", "server")
    talk.truth.readable = None
    talk.lose("client", 80)
    return record(talk.close())


@capture("the end of the 101's head is missing, where an extension may have stood: no message is sure", rfc="RFC 6455 4.1")
def gap_in_response() -> Capture:
    talk = Talk().open()
    talk.send("client", upgrade_request("permessage-deflate"))
    response = upgrade_response()
    talk.segment("server", response[:90], "PA")
    talk.segment("server", response[90:], "PA", seen=False)
    talk.segment("client")
    talk.wait(300)
    talk.say("client", "client", optional=True)
    talk.say("server", "server", optional=True)
    talk.truth.readable = None
    talk.lose("server", len(response) - 90)
    return record(talk.close())

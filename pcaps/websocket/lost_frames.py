"""What a missing segment does to compressed messages: the poisoning rule.

An inflater that misses one message gives wrong bytes for the next ones, mostly without an error, and in order messages
often valid JSON. So after a loss on a side with context takeover no compressed message may be stored; control frames and
uncompressed messages may, as long as frame boundaries are sure.
"""

from __future__ import annotations

from pcaps.kit.files import record
from pcaps.kit.frames import CONTINUATION, RSV1, TEXT, frame
from pcaps.kit.talk import Talk
from pcaps.kit.truth import Capture, capture
from pcaps.websocket.compression import PLAIN, started, update, updates


def hole_in_payload(talk: Talk, sender: str, payload: str, **how: bool) -> None:
    """One message of which the last but ten bytes are missing; its head is seen, so the next frame's place is known."""
    data = talk.frame(sender, payload, **how)
    base = talk.next[sender]
    talk.segment(sender, data[:12], "PA", seq=base)
    talk.segment(sender, data[-10:], "PA", seq=base + len(data) - 10)
    talk.next[sender] = (base + len(data)) % (1 << 32)
    talk.segment("server" if sender == "client" else "client")
    talk.wait(300)
    talk.lose(sender, len(data) - 22)


@capture(
    "a hole in a compressed message, with context takeover: every later compressed message of that side is lost, "
    "pings, uncompressed messages and the other side are not",
    rfc="RFC 7692 7.2.2",
)
def gap_takeover() -> Capture:
    talk = updates(started(), 0, 3)
    hole_in_payload(talk, "server", update(3) + "a longer message")
    for n in range(4, 8):
        talk.say("server", update(n), truth=False)
        talk.say("client", update(n))
    talk.say("server", b"beat", "ping")
    talk.say("server", update(8), compress=False)
    return record(talk.close())


@capture("the same without context takeover: the next message is whole again", rfc="RFC 7692 7.2.2")
def gap_no_takeover() -> Capture:
    talk = updates(started(f"{PLAIN}; server_no_context_takeover"), 0, 3)
    hole_in_payload(talk, "server", update(3) + "a longer message")
    return record(updates(talk, 4, 3).close())


@capture(
    "a hole on the client's side, which keeps its context; the server's, which does not, is untouched", rfc="RFC 7692 7.2.2"
)
def gap_takeover_client() -> Capture:
    talk = updates(started(f"{PLAIN}; server_no_context_takeover"), 0, 3)
    hole_in_payload(talk, "client", update(3) + "a longer message")
    for n in range(4, 8):
        talk.say("server", update(n))
        talk.say("client", update(n), truth=False)
    talk.say("client", b"beat", "pong")
    return record(talk.close())


@capture("a hole in an uncompressed message between compressed ones: its bytes never were in the window", rfc="RFC 7692 6")
def gap_uncompressed_takeover() -> Capture:
    talk = updates(started(), 0, 3)
    hole_in_payload(talk, "server", update(3) * 2, compress=False)
    for n in range(4, 7):
        talk.say("server", update(n), optional=True)  # sure by the RFC; a recorder may give up the inflater all the same
        talk.say("client", update(n))
    talk.say("server", update(8), compress=False)
    return record(talk.close())


@capture(
    "the missing segment is one whole compressed message; later ones inflate without an error, to JSON with wrong numbers",
    rfc="RFC 7692 7.2.2",
)
def gap_whole_message_takeover() -> Capture:
    talk = updates(started(), 0, 2)
    base = talk.next["server"]
    talk.say("server", update(777), seen=False)
    talk.lose("server", talk.next["server"] - base)
    talk.wait(300)
    for n in range(777, 783):
        talk.say("server", update(n), truth=False)
        talk.say("client", update(n))
    talk.say("server", b"beat", "ping", optional=True)
    return record(talk.close())


@capture(
    "the missing segment is exactly one message, without context takeover: where the next begins is a guess", rfc="RFC 6455 5.2"
)
def gap_whole_message_no_takeover() -> Capture:
    talk = updates(started(f"{PLAIN}; server_no_context_takeover"), 0, 2)
    base = talk.next["server"]
    talk.say("server", update(777), seen=False)
    talk.lose("server", talk.next["server"] - base)
    talk.wait(300)
    for n in range(3, 8):
        talk.say("server", update(n), optional=True)
        talk.say("client", update(n))
    return record(talk.close())


@capture("a hole in one fragment of a compressed message, with context takeover", rfc="RFC 7692 6.2")
def gap_compressed_fragment() -> Capture:
    talk = updates(started(), 0, 2)
    data = talk.deflaters["server"].message((update(2) + update(333)[::-1]).encode())
    first, second = frame(data[:20], TEXT, fin=False, rsv=RSV1), frame(data[20:], CONTINUATION)
    talk.segment("server", first + second[:5], "PA")
    talk.segment("server", second[5:30], "PA", seen=False)
    talk.segment("server", second[30:], "PA")
    talk.segment("client")
    talk.wait(300)
    talk.lose("server", 25)
    talk.say("server", update(3), truth=False)
    talk.say("server", b"beat", "ping")
    talk.say("client", update(4))
    return record(talk.close())


@capture(
    "overlapping segments with different bytes in a compressed message: lost, and the window with it", rfc="RFC 7692 7.2.2"
)
def overlap_different_takeover() -> Capture:
    talk = updates(started(), 0, 2)
    data = talk.frame("server", update(2) + update(444)[::-1])
    base = talk.next["server"]
    talk.segment("server", data[20:], "PA", seq=base + 20)
    talk.segment("server", data[20:30] + bytes(byte ^ 0x11 for byte in data[30:]), "PA", seq=base + 20)
    talk.segment("server", data[:20], "PA", seq=base)
    talk.next["server"] = base + len(data)
    talk.segment("client")
    talk.wait(300)
    talk.lose("server", None)
    for n in range(3, 6):
        talk.say("server", update(n), truth=False)
        talk.say("client", update(n))
    talk.say("server", b"beat", "ping")
    return record(talk.close())


@capture("a websocket with compression first seen in the middle: no compressed message can be read, ever", rfc="RFC 7692 7.2.2")
def first_seen_takeover() -> Capture:
    talk = updates(started(), 0, 3)
    talk.packets.clear()
    talk.truth.messages.clear()
    for n in range(3, 9):
        talk.say("server", update(n), truth=False)
        talk.say("client", update(n), truth=False)
    talk.say("server", b"beat", "ping", optional=True)
    talk.truth.readable = None
    talk.lose("server", None)
    talk.lose("client", None)
    return record(talk.close())

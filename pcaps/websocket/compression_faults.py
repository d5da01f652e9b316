"""RFC 7692 broken: bits where none may be, and payloads that do not inflate."""

from __future__ import annotations

from pcaps.kit.files import record
from pcaps.kit.frames import CONTINUATION, PING, RSV1, RSV2, TEXT, frame
from pcaps.kit.truth import Capture, capture
from pcaps.websocket.compression import PLAIN, started, update, updates


@capture("RSV2 set beside RSV1: unknown, though compression was agreed on", rfc="RFC 6455 5.2")
def rsv2_with_deflate() -> Capture:
    talk = started(f"{PLAIN}; server_no_context_takeover")
    talk.say("server", update(0))
    data = talk.deflaters["server"].message(update(1).encode())
    talk.send("server", frame(data, TEXT, rsv=RSV1 | RSV2))
    talk.lose("server", None)
    talk.say("server", update(2), optional=True)
    return record(talk.close())


@capture("RSV1 on a ping: control frames are never compressed; the message after it is as sure as ever", rfc="RFC 7692 6.1")
def compressed_control() -> Capture:
    talk = started(f"{PLAIN}; server_no_context_takeover")
    talk.say("server", update(0))
    talk.send("server", frame(b"beat", PING, rsv=RSV1))
    talk.expect("server", b"beat", "ping", optional=True)
    talk.say("server", update(1), optional=True)
    talk.truth.lost = None
    return record(talk.close())


@capture("RSV1 on a continuation: the first frame alone says whether a message is compressed", rfc="RFC 7692 6.1")
def rsv1_on_continuation() -> Capture:
    talk = started(f"{PLAIN}; server_no_context_takeover")
    talk.say("server", update(0))
    talk.send("server", frame(b"plain ", TEXT, fin=False) + frame(b"or not", CONTINUATION, rsv=RSV1))
    talk.lose("server", None)
    talk.expect("server", "plain or not", optional=True)
    talk.truth.lost = None
    talk.say("server", update(1), optional=True)
    return record(talk.close())


@capture(
    "a compressed message that is no DEFLATE data: lost, and with it every later compressed message of this side",
    rfc="RFC 7692 7.2.2",
)
def not_deflate() -> Capture:
    talk = updates(started(), 0, 2)
    talk.send("server", frame(b"\x07" + b"\xff" * 30, TEXT, rsv=RSV1))  # block type 3 is reserved (RFC 1951 3.2.3)
    talk.say("server", update(2), truth=False)
    talk.say("server", b"beat", "ping")
    talk.say("server", update(3), compress=False)
    talk.say("client", update(4))
    talk.lose("server", None)
    return record(talk.close())


@capture(
    "a match that reaches back before the first message: there is nothing there, so the message is lost", rfc="RFC 1951 3.2.5"
)
def match_before_start() -> Capture:
    talk = started()
    talk.deflaters["server"].history = b'{"side":"BUY","quantity":"1000"}'
    talk.say("server", '{"side":"BUY","quantity":"1000"}', truth=False)
    talk.lose("server", None)
    talk.say("client", update(0))
    return record(talk.close())

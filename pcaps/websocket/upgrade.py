"""From HTTP to websocket, or not."""

from __future__ import annotations

from pcaps.kit.files import record
from pcaps.kit.frames import KEY, frame, upgrade_request, upgrade_response
from pcaps.kit.talk import Talk
from pcaps.kit.truth import Capture, capture

HOST = "Host: exchange.example\r\n"


def exchange(talk: Talk, request: str, response: str) -> None:
    """One HTTP request and its response; line ends are written as plain newlines in `request` and `response`."""
    talk.send("client", request.replace("\n", "\r\n").encode())
    talk.send("server", response.replace("\n", "\r\n").encode())


def both_speak(talk: Talk) -> Capture:
    talk.say("client", "from the client")
    talk.say("server", "from the server")
    return record(talk.close())


@capture(
    "earlier requests on a kept-alive connection, with every way to end a body: length, chunks with a trailer, HEAD, 204, 304; "
    "then the upgrade",
    rfc="RFC 9112 section 6.3",
)
def kept_alive_then_upgrade() -> Capture:
    talk = Talk().open()
    host = "\nHost: exchange.example\n"
    exchange(talk, f"GET /time HTTP/1.1{host}\n", 'HTTP/1.1 200 OK\nContent-Length: 8\n\n{"t": 1}')
    chunks = '7;name=value\n{"a":1,\n6\n"b":2}\n0\nX-Trailer: yes\n\n'
    exchange(
        talk,
        f"POST /order HTTP/1.1{host}Content-Length: 5\n\na=b&c",
        f"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n{chunks}",
    )
    exchange(talk, f"HEAD /time HTTP/1.1{host}\n", "HTTP/1.1 200 OK\nContent-Length: 8\n\n")
    exchange(talk, f"DELETE /key HTTP/1.1{host}\n", "HTTP/1.1 204 No Content\n\n")
    exchange(talk, f"GET /info HTTP/1.1{host}If-None-Match: x\n\n", "HTTP/1.1 304 Not Modified\nContent-Length: 900\n\n")
    talk.upgrade()
    return both_speak(talk)


@capture("three requests sent at once, the last of them the upgrade; the answers come in order", rfc="RFC 9112 section 9.3.2")
def pipelined_then_upgrade() -> Capture:
    talk = Talk().open()
    one = f"GET /one HTTP/1.1\r\n{HOST}\r\n".encode()
    talk.send("client", one + one.replace(b"one", b"two") + upgrade_request())
    ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    talk.send("server", ok + ok)
    talk.send("server", upgrade_response())
    return both_speak(talk)


@capture("interim answers: 100 before a body, 103 before the 101", rfc="RFC 9110 section 15.2")
def interim_responses() -> Capture:
    talk = Talk().open()
    talk.send("client", f"POST /order HTTP/1.1\r\n{HOST}Content-Length: 2\r\nExpect: 100-continue\r\n\r\n".encode())
    talk.send("server", b"HTTP/1.1 100 Continue\r\n\r\n")
    talk.send("client", b"{}")
    talk.send("server", b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
    talk.send("client", upgrade_request())
    talk.send("server", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + upgrade_response())
    return both_speak(talk)


@capture("two frames and a half in the packet of the 101", rfc="RFC 6455 4.1")
def frames_with_101() -> Capture:
    talk = Talk().open()
    talk.send("client", upgrade_request())
    third = frame(b"the third, torn")
    talk.send("server", upgrade_response() + frame(b"first") + frame(b"\x02", 2) + third[:7])
    talk.send("server", third[7:])
    talk.expect("server", "first")
    talk.expect("server", b"\x02", "binary")
    talk.expect("server", "the third, torn")
    return both_speak(talk)


@capture("the client's first frame is captured before the 101 that allows it: queues of a card are read one after the other")
def frame_captured_before_101() -> Capture:
    talk = Talk().open()
    talk.upgrade()
    answer = len(talk.packets) - 2
    talk.say("client", "eager only in the capture")
    talk.move(answer, len(talk.packets) - 1)
    return both_speak(talk)


@capture(
    "a client that does not wait: its first frame shares a packet with its request; the 101 makes it one", rfc="RFC 6455 4.1"
)
def client_does_not_wait() -> Capture:
    talk = Talk().open()
    talk.send("client", upgrade_request() + talk.frame("client", "too early"))
    talk.expect("client", "too early")
    talk.send("server", upgrade_response())
    return both_speak(talk)


@capture("the upgrade is refused with 403 and a body that looks like a frame: no message", rfc="RFC 6455 4.2.2")
def refused_403() -> Capture:
    talk = Talk().open()
    talk.send("client", upgrade_request())
    talk.send("server", b"HTTP/1.1 403 Forbidden\r\nContent-Length: 7\r\n\r\n" + frame(b"hello"))
    return record(talk.close())


@capture("refused with 401, then accepted on the same connection", rfc="RFC 9110 section 7.8")
def refused_then_accepted() -> Capture:
    talk = Talk().open()
    talk.send("client", upgrade_request())
    talk.send("server", b"HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n")
    talk.upgrade()
    return both_speak(talk)


@capture("an upgrade to h2c: what follows is HTTP/2, no websocket", rfc="RFC 9110 section 7.8")
def upgrade_h2c() -> Capture:
    talk = Talk().open()
    upgrade = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
    talk.send("client", f"GET / HTTP/1.1\r\n{HOST}{upgrade}\r\n".encode())
    settings = bytes.fromhex("000000040000000000")
    talk.send("server", b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n" + settings)
    talk.send("client", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings)
    talk.truth.readable, talk.truth.unreadable_reason = False, "h2c"
    talk.lose("client", None)
    return record(talk.close())


@capture("a wrong Sec-WebSocket-Accept: the client should fail; here both go on, and it is recorded", rfc="RFC 6455 4.1")
def wrong_accept() -> Capture:
    talk = Talk().open()
    talk.send("client", upgrade_request())
    talk.send("server", upgrade_response(accept="AAAAAAAAAAAAAAAAAAAAAAAAAAA="))
    return both_speak(talk)


@capture("no Sec-WebSocket-Accept at all", rfc="RFC 6455 4.1")
def missing_accept() -> Capture:
    talk = Talk().open()
    talk.send("client", upgrade_request())
    talk.send("server", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
    return both_speak(talk)


def unreadable(chosen: str, word: str) -> Capture:
    talk = Talk().open()
    talk.send("client", upgrade_request(chosen))
    talk.send("server", upgrade_response(chosen))
    talk.send("client", talk.frame("client", "who knows what this is", rsv=0x20))
    talk.send("server", talk.frame("server", "nor this", rsv=0x20))
    talk.truth.readable, talk.truth.unreadable_reason = False, word
    talk.lose("client", None)
    talk.lose("server", None)
    return record(talk.close())


@capture("an extension that nobody knows was agreed on: it may change any byte of a frame's payload", rfc="RFC 6455 9.1")
def unknown_extension() -> Capture:
    return unreadable("x-shuffle; seed=4", "x-shuffle")


@capture("an unknown extension beside permessage-deflate", rfc="RFC 6455 9.1")
def unknown_extension_with_deflate() -> Capture:
    return unreadable("permessage-deflate, x-shuffle", "x-shuffle")


@capture("an unknown extension was offered and not accepted: it does not matter", rfc="RFC 6455 9.1")
def unknown_extension_declined() -> Capture:
    talk = Talk().open()
    talk.upgrade(offer="x-shuffle; seed=4, bbf-usp-protocol")
    return both_speak(talk)


@capture("header names in odd case, several tokens in Connection, tabs and spaces around values", rfc="RFC 9110 section 5.6.3")
def header_spelling() -> Capture:
    talk = Talk().open()
    request = "GET /ws HTTP/1.1\r\nhOST:exchange.example\r\nCONNECTION: keep-alive,\tUpgrade\r\nupgrade:\t WebSocket \r\n"
    talk.send("client", f"{request}sec-websocket-KEY: {KEY}\r\nSec-Websocket-Version:13\r\n\r\n".encode())
    answer = (
        upgrade_response()
        .decode()
        .replace("Upgrade: websocket", "UPGRADE:   WebSocket")
        .replace("Connection: U", "connection:u")
    )
    talk.send("server", answer.encode())
    return both_speak(talk)


@capture("a request head of 20 kB, cookies for the most part", rfc="RFC 9110 section 5.4")
def large_head() -> Capture:
    talk = Talk().open()
    cookies = "".join(f"Cookie: c{n}={'v' * 480}\r\n" for n in range(40))
    talk.send("client", upgrade_request(more=cookies))
    talk.send("server", upgrade_response())
    return both_speak(talk)


@capture("an answer without a length: its body ends with the connection", rfc="RFC 9112 section 6.3")
def body_until_close() -> Capture:
    talk = Talk().open()
    exchange(talk, "GET /old HTTP/1.0\n\n", "HTTP/1.0 200 OK\n\nno length, ")
    talk.send("server", b"and yet an end")
    return record(talk.close())


@capture("TLS without keys: unreadable, and said so", rfc="RFC 8446 section 5.1")
def tls() -> Capture:
    talk = Talk().open()
    hello = bytes.fromhex("0303") + bytes(range(32)) + bytes.fromhex("00000213010100000a000a00000600040011b1b2")
    record_head = b"\x16\x03\x01" + (len(hello) + 4).to_bytes(2, "big") + b"\x01" + len(hello).to_bytes(3, "big")
    talk.send("client", record_head + hello)
    talk.send("server", b"\x15\x03\x03\x00\x02\x02\x28")
    return not_http(talk)


@capture("another protocol altogether: FIX, with its own length and checksum fields")
def fix() -> Capture:
    talk = Talk().open()
    talk.send(
        "client",
        b"8=FIX.4.4\x019=63\x0135=A\x0149=TRADER\x0156=VENUE\x0134=1\x0152=20231114-22:13:20\x0198=0\x01108=30\x0110=042\x01",
    )
    talk.send(
        "server", b"8=FIX.4.4\x019=58\x0135=5\x0149=VENUE\x0156=TRADER\x0134=1\x0152=20231114-22:13:20\x0158=no\x0110=017\x01"
    )
    return not_http(talk)


def not_http(talk: Talk) -> Capture:
    talk.truth.readable = False
    talk.truth.lost = None  # nothing is missing, and nothing was read: the connection's row says so
    return record(talk.close())

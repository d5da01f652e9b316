"""Connections that are seen only in part: from the middle on, or one direction alone."""

from __future__ import annotations

from pcaps.kit.files import record
from pcaps.kit.frames import frame
from pcaps.kit.talk import START, Talk, hello
from pcaps.kit.truth import Capture, capture
from pcaps.tcp.order import ORDERS, finished, started


@capture("first seen in the middle of a kept-alive HTTP connection: the upgrade is still to come")
def first_seen_before_upgrade() -> Capture:
    talk = Talk().open()
    talk.send("client", b"GET /time HTTP/1.1\r\nHost: exchange.example\r\n\r\n")
    talk.send("server", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    talk.packets.clear()
    talk.wait(50)
    talk.upgrade()
    talk.say("server", ORDERS)
    talk.truth.lost = None
    return finished(talk)


@capture(
    "first seen in the middle of a websocket: whether compression was agreed on is not known; no message may be wrong",
    rfc="RFC 6455 5.2",
)
def first_seen_in_websocket() -> Capture:
    talk = started()
    talk.packets.clear()
    talk.truth.messages.clear()
    for n in range(6):
        talk.say("server", f'{{"update":{n}}}', optional=True)
        talk.say("client", f'{{"request":{n}}}', optional=True)
    talk.truth.readable = None
    talk.lose("server", None)
    return record(talk.close())


@capture("first seen in the middle of a frame whose rest looks like frames: nothing of it may be stored", rfc="RFC 6455 5.2")
def first_seen_in_frame() -> Capture:
    talk = started()
    # each segment but the first begins with a frame of its own, it seems; what follows cannot be one (all RSV bits set)
    inner = (frame(b'{"side":"BUY"}') + b"\xff" * 144) * 4
    data = talk.frame("server", inner, "binary")
    first = len(data) - len(inner) + 160
    talk.send("server", data[:first], seen=False)
    talk.packets.clear()
    talk.send("server", data[first:], size=160)
    talk.truth.messages.clear()
    talk.truth.readable = None
    talk.lose("server", None)
    talk.say("client", "after", optional=True)
    talk.say("server", "after", optional=True)
    return record(talk.close())


@capture("the SYN was missed; the SYN-ACK says all that it did")
def first_seen_syn_ack() -> Capture:
    talk = hello()
    del talk.packets[0]
    talk.truth.lost = None
    return record(talk)


@capture("only the client's packets: the answer to the upgrade is unknown, and so are the extensions; messages are optional")
def client_side_only() -> Capture:
    talk = hello()
    talk.packets = [(time, packet) for time, packet in talk.packets if packet.sport == 40_000]
    talk.truth.messages = [message for message in talk.truth.messages if message.sender == "client"]
    for message in talk.truth.messages:
        message.optional = True
    talk.truth.readable = None
    talk.lose("server", None)
    return record(talk)


@capture("only the server's packets: its answer to the upgrade says all that its messages need", rfc="RFC 6455 4.2.2")
def server_side_only() -> Capture:
    talk = hello()
    talk.packets = [(time, packet) for time, packet in talk.packets if packet.sport == 9443]
    talk.truth.messages = [message for message in talk.truth.messages if message.sender == "server"]
    talk.lose("client", None)
    return record(talk)


@capture("no packet of the handshake, no payload: two acknowledgements of an idle connection")
def idle() -> Capture:
    talk = Talk(start=START)
    for _ in range(2):
        talk.segment("client")
        talk.segment("server")
        talk.wait(30_000)
    talk.truth.readable = None
    talk.truth.lost = None
    return record(talk)

"""One connection through the engine: protocols, roles, ends, limits."""

from __future__ import annotations

import pytest

from sniffer.config import SECOND, Limits
from sniffer.model import Packet
from sniffer.wire.engine import Engine
from tests.frames import Deflater, frame, request, response
from tests.packets import ACK, FIN, PSH, RST, SYN, Flow
from tests.reading import Reading, Seen, read_packets

TEXT, BINARY, PING = 1, 2, 9
MASK = b"\x01\x02\x03\x04"
ORDER = b'{"e":"executionReport","s":"BTCUSDT","i":1000001}'
TLS = b"\x16\x03\x01\x02\x00" + bytes(50)


def upgraded(flow: Flow, extensions: str = "") -> Flow:
    flow.open()
    flow.data("client", request(extensions))
    flow.data("server", response(extensions))
    return flow


def read(flow: Flow, **limits: int) -> Seen:
    reading = read_packets(flow.packets(), 1, Limits(**limits))
    assert len(reading.connections) == 1
    return next(iter(reading.connections.values()))


def reasons(reading: Reading | Seen) -> set[str]:
    return {loss.reason for loss in reading.losses}


def test_a_conversation_from_syn_to_fin() -> None:
    flow = upgraded(Flow())
    flow.data("server", frame(TEXT, ORDER))
    flow.data("client", frame(TEXT, b"ok", mask=MASK))
    flow.close()
    seen = read(flow)
    connection = seen.connection
    assert seen.messages == {"client": [("text", b"ok")], "server": [("text", ORDER)]}
    assert (connection.protocol, connection.host, connection.path) == ("ws", "exchange.test", "/ws")
    assert connection.opened_at == flow.sent[0].time
    assert connection.closed_at == flow.sent[-2].time
    assert not connection.joined_midway
    assert not seen.losses


@pytest.mark.parametrize(
    ("client", "server", "protocol", "reason"),
    [
        (TLS, b"", "tls", "no key log"),
        (b"", b"SSH-2.0-OpenSSH_9.2\r\n", "tcp", "neither HTTP"),
        (b"", b"HT", "tcp", "neither HTTP"),
        (request("x-unknown"), response("x-unknown"), "ws", "x-unknown"),
        (
            request("permessage-deflate"),
            response("permessage-deflate; server_max_window_bits=1?").replace(b"1?", b"1\xb2"),
            "ws",
            "server_max_window_bits=1\xb2",
        ),
        (request(), response().replace(b"websocket", b"h2c"), "http", "upgraded to h2c"),
        (b"GET / HTTP/1.1\r\nbroken\r\n\r\n", b"", "http", "not HTTP/1.1"),
    ],
)
def test_what_cannot_be_read_says_why_and_counts(client: bytes, server: bytes, protocol: str, reason: str) -> None:
    flow = Flow()
    flow.open()
    for side, data in (("client", client), ("server", server)):
        if data:
            flow.data(side, data)
    flow.data("server", b"more that cannot be read")
    seen = read(flow)
    assert seen.connection.protocol == protocol
    assert reason in (seen.connection.unreadable_reason or "")
    heads = len(client) + len(server) if seen.http else 0
    assert sum(loss.bytes or 0 for loss in seen.losses) + heads == len(client) + len(server) + 24


def test_too_little_to_tell() -> None:
    flow = Flow()
    flow.open()
    flow.data("client", b"GE")
    seen = read(flow)
    assert seen.connection.unreadable_reason == "too short to tell what it is"
    assert [(loss.sender, loss.bytes) for loss in seen.losses] == [("client", 2)]


def test_a_tunnel_is_looked_into_anew() -> None:
    flow = Flow()
    flow.open()
    flow.data("client", b"CONNECT exchange.test:80 HTTP/1.1\r\nHost: exchange.test:80\r\n\r\n")
    flow.data("server", b"HTTP/1.1 200 Connection established\r\n\r\n")
    flow.data("client", request())
    flow.data("server", response() + frame(TEXT, ORDER))
    seen = read(flow)
    assert seen.messages["server"] == [("text", ORDER)]
    assert seen.positions == {"client": [0, 1], "server": [0, 1, 2]}
    assert seen.connection.host == "exchange.test"


@pytest.mark.parametrize("together", [True, False])
def test_the_path_is_that_of_the_first_request(together: bool) -> None:
    flow = Flow()
    flow.open()
    asked = [b"GET /%d HTTP/1.1\r\nHost: h.test\r\n\r\n" % number for number in range(3)]
    for part in [b"".join(asked)] if together else asked:
        flow.data("client", part)
    flow.data("server", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" * 3)
    connection = read(flow).connection
    assert (connection.host, connection.path) == ("h.test", "/0")


@pytest.mark.parametrize("inner", ["http", "ws"])
@pytest.mark.parametrize("tunnel", [True, False])
def test_captured_at_never_steps_back_where_http_ends(inner: str, tunnel: bool) -> None:
    """The answer that switches was lost on the way, and was sent again behind what follows it."""
    flow = Flow()
    flow.open()
    if tunnel:
        flow.data("client", b"CONNECT exchange.test:80 HTTP/1.1\r\nHost: exchange.test:80\r\n\r\n")
        if inner == "ws":
            flow.data("server", b"HTTP/1.1 200 Connection established\r\n\r\n")
            flow.data("client", request())
    else:
        flow.data("client", request())
    switch = response() if inner == "ws" or not tunnel else b"HTTP/1.1 200 Connection established\r\n\r\n"
    lost = flow.data("server", switch, acknowledge=False)[0]
    follows = frame(TEXT, ORDER)
    if inner == "http" and tunnel:
        follows = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        flow.put("client", ACK | PSH, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", ack=lost.seq)
    flow.data("server", follows, acknowledge=False)
    flow.time += 50_000_000
    again = lost.later(flow.time - lost.time)
    flow.sent = [sent for sent in flow.sent if sent is not lost] + [again]
    flow.time += 1000
    flow.acknowledge("client")
    flow.close()
    seen = read(flow)
    captured = [captured_at for _, captured_at in seen.times["server"]]
    assert captured[-2:] == [again.time] * 2


@pytest.mark.parametrize("ports", [(50_000, 8080), (8080, 50_000)])
def test_joined_in_the_middle_masks_tell_who_is_the_client(ports: tuple[int, int]) -> None:
    flow = Flow((b"\x0a\0\0\1", ports[0]), (b"\x0a\0\0\2", ports[1]))
    flow.put("server", ACK, b"x" * 50, at=4000)  # a hole before the frames
    flow.next["server"] = 4100
    for _ in range(4):
        flow.data("client", frame(TEXT, ORDER, mask=MASK))
        flow.data("server", frame(TEXT, ORDER))
    seen = read(flow)
    assert seen.connection.client_address == ("10.0.0.1", ports[0])
    assert seen.messages == {"client": [("text", ORDER)] * 4, "server": [("text", ORDER)] * 4}
    assert {(loss.sender, loss.layer) for loss in seen.losses} == {("server", "tcp"), ("server", "websocket")}
    assert seen.connection.joined_midway
    assert seen.connection.readable


def test_joined_in_the_middle_of_http() -> None:
    flow = Flow((b"\x0a\0\0\1", 80), (b"\x0a\0\0\2", 50_000))
    flow.data("client", b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
    flow.data("server", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    seen = read(flow)
    assert seen.http == [("client", b""), ("server", b"ok")]
    assert seen.connection.client_address[1] == 80


@pytest.mark.parametrize("prober", ["client", "server"])
@pytest.mark.parametrize("answered", [True, False])
def test_joined_at_a_keep_alive_probe_of_an_idle_connection(prober: str, answered: bool) -> None:
    flow = Flow()
    flow.put(prober, ACK, at=flow.next[prober] - 1)
    if answered:
        flow.acknowledge("server" if prober == "client" else "client")
    flow.time += SECOND
    flow.data("client", b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
    flow.data("server", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    flow.close()
    seen = read(flow)
    assert seen.http == [("client", b""), ("server", b"ok")]
    assert [(loss.layer, loss.bytes, loss.messages) for loss in seen.losses] == [("http", 0, 1)]  # to what it is an answer


@pytest.mark.parametrize("block", [1, 100])
def test_joined_where_the_first_segments_changed_places(block: int) -> None:
    """What came before the one that was captured first has no place in the stream, and is told."""
    flow = Flow()
    frames = [frame(TEXT, b'{"number":%d,"text":"of some words"}' % number) for number in range(6)]
    for data in frames:
        flow.data("server", data, acknowledge=False)
    flow.acknowledge("client")
    flow.sent[:2] = flow.sent[1].later(-flow.step), flow.sent[0].later(flow.step)
    reading = read_packets(flow.packets(), block)
    (seen,) = reading.connections.values()
    assert len(seen.messages["server"]) == 5
    (loss,) = seen.losses
    assert (loss.sender, loss.layer, loss.stream_offset, loss.bytes) == ("server", "tcp", None, len(frames[0]))


@pytest.mark.parametrize("challenged", [True, False])
@pytest.mark.parametrize("sender", ["client", "server"])
@pytest.mark.parametrize("off", [5000, -5000, 1 << 30, -(1 << 30), 40])
@pytest.mark.parametrize("block", [1, 100])
def test_a_syn_that_its_receiver_ignores_ends_nothing(off: int, sender: str, challenged: bool, block: int) -> None:
    """An old copy of another connection's, or a forged one (RFC 5961 section 4): the open connection goes on."""
    flow = upgraded(Flow())
    flow.data("server", frame(TEXT, ORDER))
    flow.put(sender, SYN if sender == "client" else SYN | ACK, at=flow.next[sender] + off, ack=7)
    if challenged:
        flow.acknowledge("server" if sender == "client" else "client")
    for _ in range(8):
        flow.data("client", frame(TEXT, ORDER, mask=MASK))
        flow.data("server", frame(TEXT, ORDER))
    flow.close()
    reading = read_packets(flow.packets(), block)
    (seen,) = reading.connections.values()
    assert seen.messages == {"client": [("text", ORDER)] * 8, "server": [("text", ORDER)] * 9}
    assert not reading.losses


@pytest.mark.parametrize("block", [1, 3, 100])
@pytest.mark.parametrize("numbers", [(1 << 22, 1 << 22), (1000 + (1 << 30), 5000 + (1 << 30)), (1 << 31, 1 << 30)])
@pytest.mark.parametrize("how", ["seen", "near", "no SYN/ACK", "SYN late", "near, SYN late", "overtaken", "again"])
def test_a_syn_that_is_answered_begins_another_connection(how: str, numbers: tuple[int, int], block: int) -> None:
    """The open connection had no end, as where a host has crashed."""
    first = upgraded(Flow())
    first.data("server", frame(TEXT, ORDER))
    again = Flow(start=first.time + SECOND, numbers=(9000, 9000) if how.startswith("near") else numbers)
    if how == "again":  # it was asked twice
        again.put("client", SYN, at=numbers[0])
    upgraded(again)
    again.data("server", frame(TEXT, b"of the second"))
    if how == "no SYN/ACK":
        del again.sent[1]
    elif how.endswith("SYN late"):
        again.sent[:2] = again.sent[1::-1]
    elif how == "overtaken":
        again.sent[1:4] = [again.sent[3], again.sent[1], again.sent[2]]
    reading = read_packets(first.packets() + again.packets(), block)
    assert [seen.messages["server"] for seen in reading.connections.values()] == [
        [("text", ORDER)],
        [("text", b"of the second")],
    ]
    assert not reading.losses


@pytest.mark.parametrize("block", [1, 100])
def test_what_came_with_a_syn_that_is_not_answered_is_a_loss(block: int) -> None:
    flow = upgraded(Flow())
    at, ack = flow.next["client"] + (1 << 30), flow.next["server"] + (1 << 30)
    flow.put("client", SYN, b"early", at=at)
    flow.put("client", ACK, b"data", at=at + 600, ack=ack)
    flow.data("server", frame(TEXT, ORDER))
    flow.close()
    reading = read_packets(flow.packets(), block)
    (seen,) = reading.connections.values()
    assert seen.messages["server"] == [("text", ORDER)]
    assert [(loss.sender, loss.bytes) for loss in reading.losses] == [("client", 9)]


def test_a_hole_in_the_requests_costs_no_later_answer() -> None:
    """However many come: the requests behind it are counted, not held."""
    flow = Flow()
    flow.open()
    asked, answer = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    flow.data("client", asked)
    flow.data("server", answer)
    flow.next["client"] += len(asked)
    flow.data("server", answer)
    for _ in range(400):
        flow.time += SECOND
        flow.data("client", asked)
        flow.data("server", answer)
    flow.close()
    seen = read(flow, fragments=300, body_bytes=10_000)
    assert seen.http == [("client", b""), *[("server", b"ok")] * 402]
    unread = [loss for loss in seen.losses if loss.layer == "http" and loss.sender == "client"]
    assert {loss.reason for loss in unread} == {"after a hole in the requests"}
    assert sum(loss.messages or 0 for loss in seen.losses if loss.sender == "server") == 401  # whose requests nobody knows
    assert sum(loss.bytes or 0 for loss in unread) == 400 * len(asked)
    assert len(unread) < 10  # as they come, a minute at a time


def test_a_syn_that_is_captured_late_belongs_to_its_connection() -> None:
    flow = Flow((b"\x0a\0\0\1", 80), (b"\x0a\0\0\2", 50_000))
    upgraded(flow)
    flow.data("server", frame(TEXT, ORDER))
    flow.sent = [*flow.sent[1:4], flow.sent[0], *flow.sent[4:]]
    for first in (flow.sent[0], flow.sent[1]):  # SYN-ACK before SYN, and the request before both
        again = Flow()
        again.sent = [first, *[sent for sent in flow.sent if sent is not first]]
        seen = read(again)
        assert seen.messages["server"] == [("text", ORDER)]
        assert seen.connection.client_address[1] == 80


def test_positions_go_on_when_http_is_left() -> None:
    flow = Flow()
    flow.open()
    for _ in range(2):
        flow.data("client", b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        flow.data("server", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    flow.data("client", request())
    flow.next["server"] += len(response())  # the 101 is lost
    flow.acknowledge("client")
    flow.time += SECOND
    for _ in range(4):
        flow.data("server", frame(TEXT, ORDER))
        flow.data("client", frame(TEXT, ORDER, mask=MASK))
    seen = read(flow)
    assert seen.positions == {"client": list(range(7)), "server": list(range(6))}
    assert seen.messages["server"] == [("text", ORDER)] * 4


def test_bytes_around_a_hole_are_never_joined() -> None:
    """Frames of one size, one of them lost, behind an upgrade whose answer was captured late."""
    flow = Flow()
    flow.open()
    flow.data("client", request())
    data = [frame(TEXT, b"%02d" % at * 20, mask=MASK) for at in range(6)]
    for at, part in enumerate(data):
        if at == 2:
            flow.next["client"] += len(part)
        else:
            flow.data("client", part)
    flow.time += SECOND
    flow.data("server", response())
    seen = read(flow)
    sent = [("text", b"%02d" % at * 20) for at in (0, 1, 3, 4, 5)]
    assert [message for message in sent if message in seen.messages["client"]] == seen.messages["client"]
    assert seen.messages["client"][:2] == sent[:2]


@pytest.mark.parametrize("how", ["rst", "fin", "nothing"])
def test_the_four_tuple_again(how: str) -> None:
    flow = upgraded(Flow())
    flow.data("server", frame(TEXT, b"first"))
    if how == "rst":
        flow.put("client", RST | ACK)
    elif how == "fin":
        flow.close()
    flow.next = {"client": 900_000, "server": 7}
    upgraded(flow)
    flow.data("server", frame(TEXT, b"second"))
    reading = read_packets(flow.packets(), 1)
    assert [seen.messages["server"] for seen in reading.connections.values()] == [[("text", b"first")], [("text", b"second")]]
    assert len(reading.connections) == 2


def test_a_late_copy_of_a_closed_connections_segment_is_no_new_connection() -> None:
    flow = upgraded(Flow())
    sent = flow.data("server", frame(TEXT, b"first"))
    flow.close()
    flow.sent.append(sent[0].later(3 * SECOND))
    assert read(flow).messages["server"] == [("text", b"first")]


def test_a_reset_from_far_outside_closes_nothing() -> None:
    flow = upgraded(Flow())
    flow.put("server", RST, at=flow.next["server"] + (1 << 30))
    flow.time += 60 * SECOND
    flow.put("client", ACK)
    flow.data("server", frame(TEXT, b"still here"))
    seen = read(flow)
    assert seen.messages["server"] == [("text", b"still here")]
    assert seen.connection.closed_at is None


def test_the_explanation_in_a_reset_is_no_data() -> None:
    flow = upgraded(Flow())
    flow.put("server", RST | ACK, b"go away")
    assert not read(flow).messages["server"]


def test_a_damaged_segment_from_before_the_beginning_is_a_loss() -> None:
    flow = Flow()
    flow.data("server", frame(TEXT, ORDER), acknowledge=False)
    flow.sent[0] = flow.sent[0].damaged(30)
    for _ in range(4):
        flow.data("server", frame(TEXT, ORDER))
    seen = read(flow)
    assert ("wrong TCP checksum", len(frame(TEXT, ORDER))) in {(loss.reason, loss.bytes) for loss in seen.losses}
    assert seen.messages["server"] == [("text", ORDER)] * 4


def test_a_sequence_number_that_was_damaged_does_not_cut_the_stream_off() -> None:
    """Silence follows it, as on a feed of orders; then the stream goes on."""
    for byte in (4, 5, 6, 7):
        flow = upgraded(Flow())
        sent = flow.data("server", frame(TEXT, ORDER), acknowledge=False)[0]
        flow.sent[-1] = sent.damaged(byte)
        flow.sent.append(sent.later(1000))
        flow.time += 400 * SECOND
        flow.data("server", frame(TEXT, ORDER))
        seen = read(flow)
        assert seen.messages["server"] == [("text", ORDER)] * 2, byte
        assert not seen.losses


def test_a_side_that_was_right_from_the_start_is_never_taken_as_offloaded() -> None:
    """The peer's acknowledgement began its stream; two of its segments are damaged, and their copies were not captured."""
    flow = upgraded(Flow())
    for _ in range(4):
        flow.data("client", frame(TEXT, ORDER, mask=MASK))
    for _ in range(2):
        flow.data("client", frame(TEXT, ORDER, mask=MASK))
        flow.sent[-2] = flow.sent[-2].damaged(50)
    flow.sent = flow.sent[1:]  # without the SYN
    for block in (1, 100):
        reading = read_packets(flow.packets(), block)
        seen = next(iter(reading.connections.values()))
        assert seen.messages["client"] == [("text", ORDER)] * 4
        assert sum(loss.bytes or 0 for loss in seen.losses if loss.layer == "tcp") == 2 * len(frame(TEXT, ORDER, mask=MASK))


@pytest.mark.parametrize("block", [1, 100])
def test_an_overtaken_acknowledgement_unsettles_nothing(block: int) -> None:
    """The receiver has taken the bytes; what a later copy says is of no interest to it."""
    flow = upgraded(Flow())
    taken = flow.next["server"]
    flow.data("server", frame(TEXT, b"taken"))
    flow.put("client", ACK, ack=taken)
    flow.put("server", ACK, frame(TEXT, b"forge"), at=taken)
    for _ in range(4):
        flow.data("server", frame(TEXT, b"after"))
    seen = next(iter(read_packets(flow.packets(), block).connections.values()))
    assert seen.messages["server"] == [("text", b"taken")] + [("text", b"after")] * 4


def said_over_http(packets: list[Packet], block: int) -> list[tuple[str, bytes, str | None]]:
    """(sender, body, target) of all messages; an answer's target is that of its request."""
    engine = Engine("test")
    outputs = [engine.feed(packets[at : at + block]) for at in range(0, len(packets), block)] + [engine.finish()]
    return [
        (sender, message[4], message[5].target if message[5] is not None else None)
        for output in outputs
        for _, delivery in output.deliveries
        for sender, messages in delivery
        for message in messages
    ]


@pytest.mark.parametrize("block", [1, 100])
def test_an_answer_is_never_joined_to_a_later_request(block: int) -> None:
    """Joined in the middle: the first answer is to a request that was not seen, and is acknowledged after the next was.

    Of two requests in turn the first may not be what the answer is to, either; behind it nothing is waited for.
    """
    flow = Flow()
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
    flow.data("server", answer + b"r0", acknowledge=False)
    flow.put("client", ACK | PSH, b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", ack=5000)
    flow.acknowledge("server")
    flow.acknowledge("client")
    flow.data("server", answer + b"r1")
    flow.data("client", b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
    flow.data("server", answer + b"r2")
    said = said_over_http(flow.packets(), block)
    answers = [("server", b"r0", None), ("server", b"r1", None), ("server", b"r2", "/2")]
    assert said == [answers[0], ("client", b"", "/1"), answers[1], ("client", b"", "/2"), answers[2]]


@pytest.mark.parametrize("block", [1, 2, 5, 100])
@pytest.mark.parametrize("ahead", ["client", "server"])
def test_a_tap_that_is_ahead_joins_no_answer_to_the_wrong_request(ahead: str, block: int) -> None:
    """Joined in the middle: all that one side sends was captured before what it answers."""
    flow = Flow()
    for number in range(6):
        flow.data("client", b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n" % number, acknowledge=False)
        flow.data("server", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nr%d" % number, acknowledge=False)
    late = {"client": 3, "server": 1}[ahead]  # steps that the other side comes too late by
    sent = [one if one.source == flow.addresses[ahead] else one.later(late * flow.step + 1) for one in flow.sent]
    flow.sent = sorted(sent, key=lambda one: one.time)
    answers = [target for sender, _, target in said_over_http(flow.packets(), block) if sender == "server"]
    assert answers in ([None] * 5, [None] * 6)


@pytest.mark.parametrize("block", [1, 3, 100])
def test_time_outs_fall_at_whole_seconds(block: int) -> None:
    flow = Flow()
    flow.open()
    flow.data("client", b"GET / HTTP/1.1\r\nHo")
    flow.put("server", RST | ACK)
    other = Flow((b"\x0a\0\0\7", 1234), start=flow.time + SECOND // 3, step=SECOND // 3)
    upgraded(other)
    for _ in range(20):
        other.acknowledge("client")
    reading = read_packets([*flow.packets(), *other.packets()], block)
    lost = [loss for loss in reading.losses if loss.layer == "http"]
    assert len(lost) == 1
    assert lost[0].to_time is not None
    assert lost[0].to_time % SECOND == 0
    assert 5 * SECOND < lost[0].to_time - flow.time < 7 * SECOND


def test_an_upgrade_whose_request_was_not_seen_says_nothing_of_the_clients_frames() -> None:
    """The first bytes of the client are the rest of a frame, and look like another."""
    flow = Flow()
    flow.data("server", response())
    flow.data("client", frame(TEXT, b"abc", mask=MASK))
    for _ in range(4):
        flow.data("client", frame(TEXT, ORDER, mask=MASK))
    seen = read(flow)
    assert seen.connection.protocol == "ws"
    assert seen.messages["client"] == [("text", ORDER)] * 4


def test_unreadable_requests_after_a_hole_are_accounted_for() -> None:
    flow = Flow()
    flow.open()
    asked = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    for at in range(4):
        if at == 1:
            flow.next["client"] += len(asked)
            flow.acknowledge("server")
            flow.time += SECOND
        else:
            flow.data("client", asked)
        flow.data("server", answer)
    seen = read(flow)
    assert [who for who, _ in seen.http].count("server") == 4
    lost = sum(loss.bytes or 0 for loss in seen.losses if loss.sender == "client")
    assert lost == 3 * len(asked)


def test_one_way_captures_do_not_flood_the_losses() -> None:
    flow = upgraded(Flow())
    for _ in range(500):
        flow.data("server", frame(TEXT, ORDER))
        flow.time += SECOND // 4
    packets = [sent.packet() for sent in flow.sent if sent.source == flow.addresses["client"]]
    reading = read_packets(packets, 1)
    lost = [loss for loss in reading.losses if loss.sender == "server" and loss.layer == "tcp"]
    assert sum(loss.bytes or 0 for loss in lost) == len(response()) + 500 * len(frame(TEXT, ORDER))
    assert len(lost) < 10


# --- limits ----------------------------------------------------------------------------------------------------------------


def beside(packets: list[Packet], **limits: int) -> tuple[Reading, Seen]:
    """The packets of a hostile connection, and among them those of another, which must be read whatever the first does."""
    other = Flow((b"\x0a\0\0\7", 1234), step=0, start=packets[0][0])
    upgraded(other)
    for _ in range(20):
        other.data("server", frame(TEXT, ORDER))
    quiet = other.packets()
    mixed: list[Packet] = []
    stride = max(1, len(packets) // len(quiet))
    for at, packet in enumerate(packets):
        mixed.append(packet)
        if at % stride == 0 and quiet:
            mixed.append((packet[0], *quiet.pop(0)[1:]))
    mixed += [(packets[-1][0], *packet[1:]) for packet in quiet]
    reading = read_packets(mixed, 5, Limits(**limits))
    left = [seen for seen in reading.connections.values() if seen.connection.client_address[1] == 1234]
    assert len(left) == 1
    assert left[0].messages["server"] == [("text", ORDER)] * 20
    assert not left[0].losses
    hostile = [seen for seen in reading.connections.values() if seen is not left[0]]
    return reading, hostile[0]


def test_a_flood_beyond_a_hole() -> None:
    flow = upgraded(Flow(step=1))
    flow.next["server"] += 100
    for _ in range(300):
        flow.data("server", bytes(1000), acknowledge=False)
    _, hostile = beside(flow.packets(), reorder_bytes=20_000)
    assert "not captured, and too much came after it" in reasons(hostile)


def test_a_huge_message_and_a_huge_body() -> None:
    flow = upgraded(Flow(step=1))
    flow.data("server", frame(BINARY, bytes(100_000)))
    _, hostile = beside(flow.packets(), message_bytes=10_000)
    assert reasons(hostile) == {"frame over the limit of bytes for a message"}
    flow = Flow(step=1)
    flow.open()
    flow.data("client", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + bytes(100_000))
    _, hostile = beside(flow.packets(), body_bytes=10_000)
    assert hostile.connection.unreadable_reason == "body over 10000 bytes"
    assert sum(loss.bytes or 0 for loss in hostile.losses) == hostile.connection.client.stream.offset


def test_a_compression_bomb() -> None:
    flow = upgraded(Flow(step=1), "permessage-deflate")
    deflate = Deflater()
    flow.data("server", frame(TEXT, deflate(bytes(10_000_000)), rsv=0x40))
    _, hostile = beside(flow.packets(), message_bytes=100_000)
    assert any("inflates to more than 100000 bytes" in reason for reason in reasons(hostile))


def test_too_many_connections() -> None:
    engine = Engine("test", Limits(connections=50))
    closed = 0
    for number in range(500):
        flow = Flow((b"\x0a\0\0\1", 10_000 + number), start=number * 1000)
        output = engine.feed([flow.put("client", SYN).packet()])
        closed += len(output.closed)
        assert len(engine.connections) <= 50
    closed += len(engine.tick(SECOND).closed)
    assert closed == 450
    assert {connection.opened_at for connection in engine.connections.values()} == set(range(450_000, 500_000, 1000))


def test_the_connection_idle_longest_goes_first() -> None:
    engine = Engine("test", Limits(connections=10))
    flows = [Flow((b"\x0a\0\0\1", 10_000 + number), start=number * 1000) for number in range(10)]
    engine.feed([flow.put("client", SYN).packet() for flow in flows])
    for number in range(10, 200):  # the third one is never idle
        flows[2].time = number * 1000
        new = Flow((b"\x0a\0\0\1", 10_000 + number), start=number * 1000 + 1)
        engine.feed([flows[2].put("client", ACK | PSH, b"x").packet(), new.put("client", SYN).packet()])
    assert 2000 in {connection.opened_at for connection in engine.connections.values()}
    assert len(engine.connections) == 10


def test_connections_end_by_silence() -> None:
    flow = upgraded(Flow())
    flow.time += 3 * SECOND
    engine = Engine("test", Limits(idle_timeout=100 * SECOND, unfinished_timeout=10 * SECOND))
    scan = Flow((b"\x0a\0\0\3", 999))
    engine.feed([*flow.packets(), scan.put("client", SYN).packet()])
    last = max(sent.time for sent in flow.sent)
    engine.tick(last + SECOND)
    assert len(engine.connections) == 2
    assert [connection.client_address[1] for connection in engine.tick(last + 20 * SECOND).closed] == [999]
    assert not engine.tick(last + 99 * SECOND).closed
    assert len(engine.tick(last + 102 * SECOND).closed) == 1
    assert not engine.connections
    assert not engine._flows


def test_all_connections_together_hold_a_bounded_amount() -> None:
    """Many begin a message, an HTTP body, a hole, and never end it."""
    limits = Limits(total_message_bytes=100_000, reorder_total_bytes=100_000)
    engine = Engine("test", limits)
    losses = []
    for number in range(120):
        flow = Flow((b"\x0a\0\0\1", 10_000 + number), step=1)
        if number % 3 == 0:
            flow.open()
            flow.data("client", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + bytes(5000))
        else:
            upgraded(flow)
            if number % 3 == 1:
                flow.next["server"] += 1
            flow.data("server", frame(BINARY, bytes(50_000))[:5000])
        losses += engine.feed(flow.packets()).losses
        assert sum(connection.buffered_bytes() for connection in engine.connections.values()) <= 200_000
    assert any("too many bytes wait" in loss.reason for loss in losses)


def test_unwatched_flows_cost_nothing() -> None:
    engine = Engine("test", Limits(connections=20), watch=lambda flow: flow.endswith(b"\x1f\x90") or flow[8:10] == b"\x1f\x90")
    for number in range(200):
        flow = Flow((b"\x0a\0\0\1", 10_000 + number), (b"\x0a\0\0\2", 443))
        engine.feed([flow.put("client", SYN).packet(), flow.put("client", ACK, TLS).packet()])
    assert not engine.connections
    assert len(engine._flows) <= 20


def test_a_tail_opens_nothing() -> None:
    engine = Engine("test")
    flow = Flow()
    engine.feed([flow.put("client", RST).packet(), flow.put("client", FIN | ACK).packet()])
    assert not engine.connections

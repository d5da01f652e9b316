"""Segments out of order, repeated, overlapping, and numbers that wrap around."""

from __future__ import annotations

from pcaps.kit.files import record
from pcaps.kit.frames import upgrade_request, upgrade_response
from pcaps.kit.talk import Talk, hello
from pcaps.kit.truth import Capture, capture

ORDERS = '{"orders":[' + ",".join(f'{{"orderId":{n},"status":"NEW"}}' for n in range(9000, 9024)) + "]}"
"""A message of some 750 bytes."""
END = 10_000
"""Beyond the end of any message here."""


def started(**how: int) -> Talk:
    talk = Talk(**how).open().upgrade()
    talk.say("client", "before")
    return talk


def finished(talk: Talk) -> Capture:
    talk.say("client", "after")
    talk.say("server", "after")
    return record(talk.close())


@capture("segments arrive as 2, 3, 1", rfc="RFC 9293 3.10.7.4")
def out_of_order() -> Capture:
    talk = started()
    talk.scatter("server", ORDERS, (250, 500), (500, END), (0, 250))
    return finished(talk)


@capture("twenty segments in reverse order, the frame's head last", rfc="RFC 9293 3.10.7.4")
def out_of_order_reversed() -> Capture:
    talk = started()
    spans = [(at, at + 40) for at in range(0, 800, 40)]
    talk.scatter("client", ORDERS, *reversed(spans))
    return finished(talk)


@capture("the response is captured before the request that it answers: queues of a card are read one after the other")
def directions_swapped() -> Capture:
    talk = started()
    talk.say("client", '{"id":5,"method":"order.place"}')
    talk.say("server", '{"id":5,"status":200}')
    talk.move(len(talk.packets) - 4, len(talk.packets) - 1)
    return finished(talk)


@capture("a segment twice before its acknowledgement, and once more after it", rfc="RFC 9293 3.8.1")
def retransmission() -> Capture:
    talk = started()
    talk.scatter("server", ORDERS, (0, 400), (0, 400), (400, END), (0, 400), (400, END))
    talk.packets.append((talk.clock, talk.packets[-3][1]))
    talk.clock += talk.step
    return finished(talk)


@capture("every packet of the connection twice, as a mirror port copies it on the way in and on the way out")
def every_packet_twice() -> Capture:
    talk = hello()
    talk.packets = [(time + extra, packet) for time, packet in talk.packets for extra in (0, 1500)]
    return record(talk)


@capture("retransmitted in other segments than before, one of which holds old and new bytes", rfc="RFC 9293 3.7.1")
def retransmission_repacketized() -> Capture:
    talk = started()
    talk.scatter("server", ORDERS, (300, 600), (0, 450), (450, END), (0, END))
    return finished(talk)


@capture("a retransmission that joins the end of one message and a new one", rfc="RFC 9293 3.8.1")
def retransmission_coalesced() -> Capture:
    talk = started()
    first, second = talk.frame("client", "first"), talk.frame("client", "second")
    base = talk.segment("client", first, "PA")
    talk.segment("client", first + second, "PA", seq=base)
    talk.next["client"] += len(second)
    talk.segment("server")
    talk.expect("client", "first")
    talk.expect("client", "second")
    return finished(talk)


@capture("overlapping segments, all with the same bytes", rfc="RFC 9293 3.10.7.4")
def overlap_same() -> Capture:
    talk = started()
    talk.scatter("server", ORDERS, (100, 300), (200, 400), (50, 350), (500, END), (0, 120), (380, 520))
    return finished(talk)


@capture(
    "two segments, both with right checksums, cover the same bytes with different content before either is acknowledged; "
    "receivers differ in which they keep, so it is lost, never chosen",
    rfc="RFC 9293 3.10.7.4",
)
def overlap_different() -> Capture:
    talk = started()
    data = talk.frame("server", ORDERS)
    base = talk.next["server"]
    talk.segment("server", data[200:500], "PA", seq=base + 200)
    talk.segment("server", data[200:500].replace(b"NEW", b"OLD"), "PA", seq=base + 200)
    talk.segment("server", data[500:], "PA", seq=base + 500)
    talk.segment("server", data[:200], "PA", seq=base)
    talk.next["server"] = base + len(data)
    talk.segment("client")
    talk.wait(300)
    talk.lose("server", None)
    return finished(talk)


@capture(
    "a retransmission with other bytes right behind the first copy, before any acknowledgement: which of the two the peer "
    "took is not known, so a loss stands beside the message if it is stored at all",
    rfc="RFC 9293 3.10.7.4",
)
def overlap_different_in_order() -> Capture:
    talk = started()
    data = talk.frame("server", ORDERS)
    base = talk.segment("server", data, "PA")
    talk.segment("server", data.replace(b"NEW", b"OLD"), "PA", seq=base)
    talk.segment("client")
    talk.expect("server", ORDERS, optional=True)
    talk.lose("server", None)
    return finished(talk)


@capture("a late copy with other bytes of what was acknowledged long ago: the peer discards it", rfc="RFC 9293 3.10.7.4")
def overlap_different_after_ack() -> Capture:
    talk = started()
    data = talk.frame("server", ORDERS)
    base = talk.segment("server", data, "PA")
    talk.expect("server", ORDERS)
    talk.segment("client")
    talk.say("server", "in between")
    talk.segment("server", data.replace(b"NEW", b"OLD"), "PA", seq=base)
    talk.segment("client")
    talk.truth.lost = None
    return finished(talk)


@capture("both sequence numbers wrap around in the middle of messages that arrive out of order", rfc="RFC 9293 3.4")
def wrap_around() -> Capture:
    talk = started(client_isn=2**32 - 400, server_isn=2**32 - 500)
    talk.scatter("server", ORDERS, (300, 600), (0, 300), (600, END))
    talk.scatter("client", ORDERS, (300, 600), (0, 300), (600, END))
    return finished(talk)


@capture("the SYN has the last sequence number of all: the stream begins at 0", rfc="RFC 9293 3.4")
def initial_number_last() -> Capture:
    talk = started(client_isn=2**32 - 1, server_isn=2**32 - 1)
    talk.scatter("server", ORDERS, (300, 600), (0, 300), (600, END))
    return finished(talk)


@capture("a message in segments of one byte each, its frame head torn over several", rfc="RFC 6455 5.2")
def one_byte_segments() -> Capture:
    talk = started()
    talk.say("client", "one byte at a time", size=1)
    talk.say("server", "x" * 130, size=1)
    return finished(talk)


@capture("the whole handshake in segments of one byte", rfc="RFC 6455 4.1")
def one_byte_handshake() -> Capture:
    talk = Talk(step=100_000).open()
    talk.send("client", upgrade_request(), size=1)
    talk.send("server", upgrade_response(), size=1)
    return finished(talk)


@capture("TCP Fast Open: the SYN carries the upgrade request", rfc="RFC 7413 section 4.2")
def syn_with_data() -> Capture:
    talk = Talk().open(upgrade_request())
    talk.send("server", upgrade_response())
    return finished(talk)


@capture(
    "data on a SYN that the server did not take: its acknowledgement covers the SYN alone, and the data comes again",
    rfc="RFC 7413 section 3",
)
def syn_with_data_refused() -> Capture:
    talk = Talk()
    request = upgrade_request()
    isn = talk.segment("client", request, "S", options=[("MSS", 1460)])
    talk.next["client"] = isn + 1
    talk.segment("server", flags="SA", options=[("MSS", 1460)])
    talk.segment("client")
    talk.send("client", request)
    talk.send("server", upgrade_response())
    return finished(talk)


@capture("the SYN and the SYN-ACK are each sent twice, a second apart", rfc="RFC 9293 3.8.1")
def syn_retransmitted() -> Capture:
    talk = Talk()
    isn = talk.segment("client", flags="S")
    talk.wait(1000)
    talk.segment("client", flags="S", seq=isn)
    isn = talk.segment("server", flags="SA")
    talk.wait(1000)
    talk.segment("server", flags="SA", seq=isn)
    talk.segment("client")
    talk.upgrade()
    return finished(talk)

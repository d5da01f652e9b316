"""Probes, and how connections end and begin again."""

from __future__ import annotations

from scapy.layers.inet import TCP

from pcaps.kit.files import record
from pcaps.kit.talk import Talk, hello
from pcaps.kit.truth import Capture, capture
from pcaps.tcp.order import ORDERS, finished, started


@capture(
    "keep-alive probes with no data and with the one byte before the next, which was acknowledged long ago",
    rfc="RFC 1122 4.2.3.6",
)
def keep_alive() -> Capture:
    talk = started()
    last = bytes(talk.packets[-2][1][TCP].payload)[-1:]
    for data in (b"", last):
        talk.wait(45_000)
        talk.segment("client", data, seq=talk.next["client"] - 1)
        talk.segment("server")
    return finished(talk)


@capture("keep-alive probes whose one old byte is garbage, as the RFC allows: no conflict", rfc="RFC 1122 4.2.3.6")
def keep_alive_garbage() -> Capture:
    talk = started()
    for sender, peer in (("client", "server"), ("server", "client")):
        talk.wait(45_000)
        talk.segment(sender, b"\x00", seq=talk.next[sender] - 1)
        talk.segment(peer)
    return finished(talk)


def probed(probe: bytes) -> Talk:
    """The server's window is closed; the client probes with one byte of new data, which the server does not take."""
    talk = started()
    talk.segment("server", window=0)
    data = talk.frame("client", ORDERS)
    base = talk.next["client"]
    for pause in (200, 400):
        talk.wait(pause)
        talk.segment("client", probe or data[:1], seq=base)
        talk.segment("server", window=0, ack=base)
    talk.segment("server", window=65_535, ack=base)
    talk.segment("client", data, "PA", seq=base)
    talk.next["client"] = base + len(data)
    talk.segment("server")
    talk.expect("client", ORDERS)
    return talk


@capture("zero-window probes: one new byte, refused twice, and sent again with the rest", rfc="RFC 9293 3.8.6.1")
def zero_window_probe() -> Capture:
    return finished(probed(b""))


@capture("a zero-window probe of the kind Linux sends: no data, one number too low", rfc="RFC 9293 3.8.6.1")
def zero_window_probe_empty() -> Capture:
    talk = started()
    talk.segment("server", window=0)
    for pause in (200, 400):
        talk.wait(pause)
        talk.segment("client", seq=talk.next["client"] - 1)
        talk.segment("server", window=0)
    talk.segment("server")
    talk.say("client", ORDERS)
    return finished(talk)


@capture("the FIN rides on the last data", rfc="RFC 9293 3.6")
def fin_with_data() -> Capture:
    talk = started()
    talk.segment("server", talk.frame("server", ORDERS) + talk.frame("server", b"\x03\xe8", "close"), "FPA")
    talk.expect("server", ORDERS)
    talk.expect("server", b"\x03\xe8", "close")
    talk.segment("client")
    talk.segment("client", flags="FA")
    talk.segment("server")
    return record(talk)


@capture("the FIN is captured before the data in flight ahead of it", rfc="RFC 9293 3.10.7.4")
def fin_before_data() -> Capture:
    talk = started()
    talk.segment("server", talk.frame("server", ORDERS), "PA")
    talk.expect("server", ORDERS)
    talk.segment("server", flags="FA")
    talk.move(len(talk.packets) - 1, len(talk.packets) - 2)
    talk.segment("client")
    talk.segment("client", flags="FA")
    talk.segment("server")
    return record(talk)


@capture("the client closes its side; the server goes on sending for a while", rfc="RFC 9293 3.6")
def half_close() -> Capture:
    talk = started()
    talk.segment("client", flags="FA")
    talk.segment("server")
    for n in range(3):
        talk.wait(100)
        talk.say("server", f"{n} after the client's FIN")
    talk.segment("server", flags="FA")
    talk.segment("client")
    talk.segment("server", flags="FA", seq=talk.next["server"] - 1)  # sent again: its acknowledgement came too late
    talk.segment("client")
    return record(talk)


@capture(
    "the client resets while a message of the server is in flight; that message may or may not count",
    rfc="RFC 9293 3.5.3",
)
def rst_data_in_flight() -> Capture:
    talk = started()
    talk.say("server", ORDERS)
    talk.segment("client", flags="R")
    talk.segment("server", talk.frame("server", "in flight"), "PA", ack=talk.next["client"])
    talk.expect("server", "in flight", optional=True)
    talk.segment("client", flags="R", seq=talk.next["client"])
    talk.truth.lost = None
    return record(talk)


@capture("a reset that carries a text: it is an explanation, no stream data", rfc="RFC 1122 4.2.2.12")
def rst_with_text() -> Capture:
    talk = started()
    talk.say("server", "last words")
    talk.segment("server", b"\x81\x0anot stream", "RA")
    return record(talk)


@capture("a reset far outside the window, as blind attackers send: the peer ignores it, and so do we", rfc="RFC 9293 3.10.7.4")
def rst_outside_window() -> Capture:
    talk = started()
    talk.segment("client", flags="R", seq=talk.next["client"] + 500_000_000)
    talk.say("server", ORDERS)
    return finished(talk)


@capture("a reset in the middle of a message: what came of it is lost", rfc="RFC 9293 3.5.3")
def rst_mid_message() -> Capture:
    talk = started()
    talk.send("server", talk.frame("server", ORDERS)[:400])
    talk.segment("server", flags="RA")
    talk.lose("server", None)
    return record(talk)


# --- the same four-tuple ---


def again(first: Talk) -> Talk:
    """A second connection between the same ports, ten seconds later."""
    return hello(client_isn=3_111_111_111, server_isn=77, start=first.clock + 10_000_000_000, seed=2)


@capture("the same four-tuple used again after a proper close: two connections", rfc="RFC 9293 3.10.7.4")
def four_tuple_again() -> Capture:
    first = hello()
    return record(first, again(first))


@capture("the same four-tuple used again after a reset", rfc="RFC 9293 3.5.3")
def four_tuple_again_after_rst() -> Capture:
    first = started()
    first.say("server", ORDERS)
    first.segment("client", flags="RA")
    return record(first, again(first))


@capture(
    "the same four-tuple used again though no close was seen: the client crashed; the server answers the SYN anew",
    rfc="RFC 9293 3.5.1",
)
def four_tuple_again_without_close() -> Capture:
    first = started()
    first.say("server", ORDERS)
    return record(first, again(first))


@capture(
    "used again within the same second, the new numbers just above the old ones, as time-wait reuse allows", rfc="RFC 6191"
)
def four_tuple_again_at_once() -> Capture:
    first = hello()
    numbers = {"client_isn": first.next["client"] + 1000, "server_isn": first.next["server"] + 1000}
    return record(first, hello(**numbers, start=first.clock + 1_000_000, seed=3))

"""TLS in a connection: what it is known as, what is read when keys come late, or never, or its beginning was not captured."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace

import pytest

from pcaps.kit.tls import (
    AES_128_GCM_13,
    AES_256_GCM_13,
    CHACHA20_13,
    ECDHE_AES_128_GCM,
    ECDHE_CHACHA20,
    HANDSHAKE,
    Suite,
    record,
)
from sniffer.config import SECOND, Limits
from sniffer.model import Packet
from sniffer.wire.engine import Engine
from sniffer.wire.keylog import KeyLog
from tests.frames import frame, request, response
from tests.packets import Flow, Sent
from tests.reading import Reading, Seen, key_log, read_packets
from tests.secured import TEXT, SecuredFlow

SUITES = [AES_128_GCM_13, AES_256_GCM_13, CHACHA20_13, ECDHE_AES_128_GCM, ECDHE_CHACHA20]
ORDER = b'{"e":"executionReport","s":"EXMUSDT","i":1000001}'
NO_LINE = "no key log line for this client random"


def said(flow: SecuredFlow, count: int = 5) -> SecuredFlow:
    for number in range(count):
        flow.text("client", b'{"id":%d,"method":"order.place","params":{"symbol":"EXMUSDT"}}' % number)
        flow.text("server", b'{"e":"executionReport","s":"EXMUSDT","i":%d}' % number)
    return flow


def read(flow: SecuredFlow, log: KeyLog | None, block: int = 1, **limits: int) -> Seen:
    reading = read_packets(flow.flow.packets(), block, Limits(**limits), log)
    assert len(reading.connections) == 1
    return next(iter(reading.connections.values()))


def facts(seen: Seen) -> tuple[object, ...]:
    return seen.messages, seen.http, seen.positions, seen.times


# --- what it is known as -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: hex(suite.number))
def test_a_websocket_in_tls(suite: Suite) -> None:
    flow = said(SecuredFlow(suite=suite).started())
    flow.flow.close()
    seen = read(flow, key_log(flow.key_log))
    connection = seen.connection
    assert (connection.protocol, connection.path, connection.readable) == ("wss", "/ws", True)
    assert connection.tls_version == ("TLSv1.3" if flow.is_13 else "TLSv1.2")
    assert "_WITH_" in (connection.cipher or "") or (connection.cipher or "").startswith("TLS_AES_") or suite is CHACHA20_13
    assert len(seen.messages["client"]) == len(seen.messages["server"]) == 5
    assert seen.positions["server"] == list(range(6))
    assert not seen.losses


def test_the_name_that_the_client_asks_for_wins_over_the_host_header() -> None:
    flow = SecuredFlow().started()  # the header says exchange.test
    assert read(flow, key_log(flow.key_log)).connection.host == "exchange.example"
    nameless = SecuredFlow()
    nameless.flow.open()
    nameless.shake_hands(hello=record(HANDSHAKE, nameless.client_hello(host=None)))
    nameless.send("client", request())
    assert read(nameless, key_log(nameless.key_log)).connection.host == "exchange.test"


def test_https_and_what_is_neither() -> None:
    flow = SecuredFlow()
    flow.flow.open()
    flow.shake_hands()
    flow.send("client", b"GET /api/v3/time HTTP/1.1\r\nHost: exchange.test\r\n\r\n")
    flow.send("server", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    seen = read(flow, key_log(flow.key_log))
    assert (seen.connection.protocol, seen.http) == ("https", [("client", b""), ("server", b"ok")])
    other = SecuredFlow()
    other.flow.open()
    other.shake_hands()
    other.send("client", b"* no HTTP, whatever it is *")
    connection = read(other, key_log(other.key_log)).connection
    assert (connection.protocol, connection.unreadable_reason) == ("tls", "neither HTTP nor websocket nor TLS")


def test_a_tunnel_has_one_count_of_messages() -> None:
    flow = SecuredFlow()
    flow.flow.open()
    flow.plain("client", b"CONNECT exchange.test:443 HTTP/1.1\r\nHost: exchange.test:443\r\n\r\n")
    flow.plain("server", b"HTTP/1.1 200 Connection established\r\n\r\n")
    flow.shake_hands()
    flow.send("client", request())
    flow.send("server", response())
    said(flow, 2)
    seen = read(flow, key_log(flow.key_log))
    assert seen.positions == {"client": [0, 1, 2, 3], "server": [0, 1, 2, 3]}
    assert (seen.connection.protocol, seen.connection.host, seen.connection.path) == ("wss", "exchange.example", "/ws")
    assert seen.connection.messages == 8


def test_http2_says_so() -> None:
    flow = SecuredFlow().started(protocol="h2")
    seen = read(flow, key_log(flow.key_log))
    assert (seen.connection.protocol, seen.connection.readable) == ("tls", False)
    assert "h2" in (seen.connection.unreadable_reason or "")
    assert seen.losses


def test_a_handshake_that_was_not_finished_is_not_readable() -> None:
    flow = SecuredFlow()
    flow.flow.open()
    flow.plain("client", record(HANDSHAKE, flow.client_hello()))
    flow.flow.close()
    connection = read(flow, key_log()).connection
    assert (connection.host, connection.unreadable_reason) == ("exchange.example", "the TLS handshake was not finished")


# --- without keys ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: hex(suite.number))
def test_without_a_key_log_the_handshake_still_tells(suite: Suite) -> None:
    flow = said(SecuredFlow(suite=suite).started())
    seen = read(flow, None)
    connection = seen.connection
    assert (connection.protocol, connection.host, connection.readable) == ("tls", "exchange.example", False)
    assert connection.unreadable_reason == "TLS, and no key log is read"
    assert connection.tls_version is not None
    assert connection.cipher is not None
    assert {loss.reason for loss in seen.losses} == {"TLS, and no key log is read"}


def test_nothing_is_held_where_no_keys_will_come() -> None:
    flow = said(SecuredFlow().started(), 500)
    engine = Engine("test")
    for packet in flow.flow.packets():
        engine.feed([packet])
        assert all(connection.buffered_bytes() < 20_000 for connection in engine.connections.values())


@pytest.mark.parametrize("trouble", [None, "key log not found", "key log cannot be read"])
def test_the_reason_says_what_is_wrong_with_the_key_log(trouble: str | None) -> None:
    flow = said(SecuredFlow().started())
    log = key_log()
    log.trouble = trouble
    seen = read(flow, log)
    assert seen.connection.unreadable_reason == (trouble or NO_LINE)
    assert {loss.reason for loss in seen.losses if loss.layer == "tls"} == {trouble or NO_LINE}


def test_every_byte_of_records_that_wait_in_vain_is_lost_once() -> None:
    flow = said(SecuredFlow(suite=ECDHE_AES_128_GCM).started(), 40)
    flow.flow.close()
    head = {"client": 0, "server": 0}
    bare = SecuredFlow(suite=ECDHE_AES_128_GCM)
    bare.flow.open()
    bare.shake_hands()
    for sent in bare.flow.sent:
        head["client" if sent.source == bare.flow.addresses["client"] else "server"] += len(sent.payload)
    for limit in (1 << 20, 4000):
        seen = read(flow, key_log(), tls_held_bytes=limit)
        lost = {side: sum(loss.bytes or 0 for loss in seen.losses if loss.sender == side) for side in head}
        for side, stream in (("client", seen.connection.client.stream), ("server", seen.connection.server.stream)):
            finished = len(flow.protection["client"].seal(HANDSHAKE, bytes(16)))  # the one encrypted handshake record
            assert lost[side] == stream.extent - head[side] + finished


def test_a_flood_of_connections_without_keys_is_bounded() -> None:
    limits = Limits(tls_held_bytes=20_000, reorder_total_bytes=100_000, total_message_bytes=100_000)
    engine = Engine("test", limits, keylog=key_log())
    most = 0
    flows = [SecuredFlow(Flow(client=(b"\x0a\0\0\1", 20_000 + number)), seed=number).started() for number in range(40)]
    for flow in flows:
        for _ in range(20):
            flow.text("server", b"x" * 900)
    lost = 0
    for flow in flows:
        for packet in flow.flow.packets():
            output = engine.feed([packet])
            lost += sum(loss.bytes or 0 for loss in output.losses)
            most = max(most, sum(connection.buffered_bytes() for connection in engine.connections.values()))
    assert most <= 200_000 + 2000
    lost += sum(loss.bytes or 0 for loss in engine.finish().losses)
    assert lost >= 40 * 20 * 900


# --- late keys ---------------------------------------------------------------------------------------------------------------


def read_late(packets: list[Packet], lines: Iterable[tuple[int, str]], block: int = 1) -> Reading:
    """Read packets with a key log that gets each (packet, line) before that packet."""
    log = key_log()
    engine = Engine("test", Limits(), keylog=log)
    reading = Reading()
    coming = sorted(lines)
    for at in range(0, len(packets), block):
        while coming and coming[0][0] <= at:
            log.feed("late", coming.pop(0)[1].encode() + b"\n")
        reading.add(engine.feed(packets[at : at + block]))
    while coming:
        log.feed("late", coming.pop(0)[1].encode() + b"\n")
    reading.add(engine.tick(packets[-1][0] + 1))
    reading.add(engine.finish())
    return reading


@pytest.mark.parametrize("block", [1, 7])
@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: hex(suite.number))
def test_keys_may_come_at_any_time(suite: Suite, block: int) -> None:
    flow = said(SecuredFlow(suite=suite).started())
    flow.flow.close()
    packets = flow.flow.packets()
    wanted = facts(read(flow, key_log(flow.key_log)))
    for at in range(0, len(packets) + 1, 3):
        reading = read_late(packets, [(at, line) for line in flow.keys], block)
        (seen,) = reading.connections.values()
        assert facts(seen) == wanted, at
        assert not reading.losses
        assert seen.connection.readable


def test_one_side_may_have_its_keys_before_the_other() -> None:
    flow = said(SecuredFlow().started())
    packets = flow.flow.packets()
    wanted = facts(read(flow, key_log(flow.key_log)))
    for side in ("CLIENT", "SERVER"):
        first = [(0, line) for line in flow.keys if line.startswith(side)]
        later = [(len(packets) - 3, line) for line in flow.keys if not line.startswith(side)]
        (seen,) = read_late(packets, first + later).connections.values()
        assert facts(seen) == wanted


def test_keys_come_behind_the_last_packet_of_an_idle_connection() -> None:
    flow = said(SecuredFlow().started())
    packets = flow.flow.packets()
    log = key_log()
    engine = Engine("test", Limits(), keylog=log)
    reading = Reading()
    reading.add(engine.feed(packets))
    (seen,) = reading.connections.values()
    assert not any(seen.messages.values())
    log.feed("late", flow.key_log.encode())
    reading.add(engine.tick(packets[-1][0] + 2 * SECOND))
    (seen,) = reading.connections.values()
    assert facts(seen) == facts(read(flow, key_log(flow.key_log)))


# --- the beginning was not captured ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suite", [AES_128_GCM_13, AES_256_GCM_13, CHACHA20_13], ids=lambda suite: hex(suite.number))
@pytest.mark.parametrize("cut", [0, 1, 5, 30])
def test_joined_in_the_middle_it_reads_on(suite: Suite, cut: int) -> None:
    """`cut`: bytes of the first records that the capture has not, either."""
    flow = said(SecuredFlow(suite=suite).started(), 3)
    flow.flow.sent.clear()
    said(flow, 8)
    sent = [one for one in flow.flow.sent if one.payload]
    if cut:
        for one in sent[:2]:
            at = flow.flow.sent.index(one)
            flow.flow.sent[at] = Sent(
                one.time, one.source, one.destination, one.seq + cut, one.ack, one.flags, one.payload[cut:]
            )
    seen = read(flow, key_log(flow.key_log))
    assert seen.connection.joined_midway
    assert (seen.connection.protocol, seen.connection.readable) == ("wss", True)
    for side in ("client", "server"):
        assert len(seen.messages[side]) == 8 - bool(cut)
    # Until a segment begins with a record's head, what comes might be a websocket.
    assert {loss.layer for loss in seen.losses} == ({"tcp", "tls", "websocket"} if cut else set())


def test_a_client_hello_that_was_not_captured() -> None:
    flow = said(SecuredFlow().started(), 6)
    hello = next(one for one in flow.flow.sent if one.payload)
    flow.flow.sent.remove(hello)
    seen = read(flow, key_log(flow.key_log))
    assert seen.connection.protocol == "wss"
    assert len(seen.messages["server"]) == 6
    assert "not captured" in {loss.reason for loss in seen.losses}


def in_pieces(sent: list[Sent], size: int) -> list[Sent]:
    """The same, in segments of `size` a tenth of a millisecond apart."""
    out = []
    for one in sent:
        for number, at in enumerate(range(0, max(1, len(one.payload)), size)):
            piece = one.payload[at : at + size]
            out.append(replace(one, time=one.time + number * 100_000, seq=one.seq + at, payload=piece))
    return sorted(out, key=lambda piece: piece.time)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("suite", [AES_128_GCM_13, ECDHE_AES_128_GCM, ECDHE_CHACHA20], ids=lambda suite: hex(suite.number))
def test_holes_in_both_sides_of_a_handshake_however_the_packets_are_cut_into_blocks(suite: Suite, seed: int) -> None:
    """What is held behind one side's hole may have been said before what the other side's hole is told with."""
    rng = random.Random(seed)
    flow = said(SecuredFlow(Flow(step=10_000_000), suite=suite).started(), 15)
    sent = in_pieces(flow.flow.sent, 60)
    for side in flow.flow.addresses.values():
        early = [one for one in sent if one.source == side and one.payload][:12]
        for lost in rng.sample(early, 2):
            sent.remove(lost)
    packets = [one.packet() for one in sent]
    readings = [read_packets(packets, block, Limits(), key_log(flow.key_log)) for block in (1000, 1, 3, 20)]
    seen = [facts(next(iter(reading.connections.values()))) for reading in readings]
    assert seen[1:] == seen[:1] * 3


@pytest.mark.parametrize("ports", [(50_000, 443), (443, 50_000)])
def test_the_hello_says_who_is_the_client_where_no_syn_was_seen(ports: tuple[int, int]) -> None:
    flow = SecuredFlow(Flow((b"\x0a\0\0\1", ports[0]), (b"\x0a\0\0\2", ports[1]))).started()
    said(flow, 2)
    del flow.flow.sent[:3]
    seen = read(flow, key_log(flow.key_log))
    assert seen.connection.client_address == ("10.0.0.1", ports[0])
    assert (len(seen.messages["client"]), len(seen.messages["server"])) == (2, 2)
    assert seen.connection.readable


@pytest.mark.parametrize("ports", [(50_000, 443), (443, 50_000), (50_000, 50_001)])
@pytest.mark.parametrize("late", [False, True])
def test_the_labels_of_the_keys_say_who_is_the_client_in_the_middle(ports: tuple[int, int], late: bool) -> None:
    flow = SecuredFlow(Flow((b"\x0a\0\0\1", ports[0]), (b"\x0a\0\0\2", ports[1]))).started()
    flow.flow.sent.clear()
    said(flow, 8)
    flow.flow.data("server", b"\x17\x03\x03\x00\x20" + bytes(32))  # a record that no key opens
    said(flow, 2)
    if late:
        reading = read_late(flow.flow.packets(), [(12, line) for line in flow.keys])
    else:
        reading = read_packets(flow.flow.packets(), 1, keylog=key_log(flow.key_log))
    (seen,) = reading.connections.values()
    assert seen.connection.client_address == ("10.0.0.1", ports[0])
    assert seen.connection.client.name == "client"
    assert {side: len(messages) for side, messages in seen.messages.items()} == {"client": 10, "server": 10}
    assert b"order.place" in seen.messages["client"][0][1]
    assert {loss.sender for loss in reading.losses} == {"server"}


# --- times -------------------------------------------------------------------------------------------------------------------


def test_times_are_those_of_the_first_byte_and_of_the_record_s_last() -> None:
    flow = SecuredFlow().started()
    begin = len(flow.flow.sent)
    data = flow.sealed("server", frame(TEXT, ORDER * 3))
    flow.flow.data("server", data, size=60)
    own = [one.time for one in flow.flow.sent[begin:] if one.payload]
    assert len(own) > 2
    for block in (1, 100):
        seen = read(flow, key_log(flow.key_log), block)
        assert seen.times["server"][-1] == (own[0], own[-1])

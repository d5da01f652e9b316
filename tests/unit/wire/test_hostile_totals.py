"""Limits over all connections."""

from __future__ import annotations

from dataclasses import replace

from sniffer.config import Limits
from sniffer.wire.engine import Engine
from tests.frames import frame, request, response
from tests.packets import MICROSECOND, Flow

LIMITS = replace(Limits(), reorder_total_bytes=100_000, total_message_bytes=100_000)


def upgraded(number: int) -> Flow:
    flow = Flow((bytes([10, 0, 0, number]), 50_000), step=MICROSECOND)
    flow.open()
    flow.data("client", request())
    flow.data("server", response())
    return flow


def test_what_waits_for_its_acknowledgement_counts_and_is_read_all_the_same() -> None:
    engine, texts = Engine("x", LIMITS), [b"%03d" % number * 500 for number in range(100)]
    for number in range(1, 11):
        flow = upgraded(number)
        for text in texts:
            flow.data("server", frame(1, text), acknowledge=False)
        read = []
        for output in (engine.feed(flow.packets()), engine.feed([])):
            read += [message[4] for _, delivery in output.deliveries for _, messages in delivery for message in messages]
            assert sum(connection.buffered_bytes() for connection in engine.connections.values()) <= 200_000
    losses = [loss for loss in engine.finish().losses if loss.bytes]
    assert not losses
    assert read[-1] == texts[-1]


def test_what_is_given_up_names_the_limit() -> None:
    engine, reasons = Engine("x", LIMITS), set()
    for number in range(1, 11):
        flow = upgraded(number)
        flow.data("server", frame(2, bytes(50_000))[:-1])
        engine.feed(flow.packets())
    for loss in engine.finish().losses:
        reasons.add((loss.layer, loss.reason))
    assert ("websocket", "given up: too many bytes wait for the rest over all connections") in reasons

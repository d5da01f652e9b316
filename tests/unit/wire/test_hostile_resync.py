"""Payload that looks like frames, behind a hole."""

from __future__ import annotations

from tests.frames import frame, request, response
from tests.packets import Flow
from tests.reading import read_packets


def test_a_run_of_zeros_is_no_chain_of_empty_frames() -> None:
    """A binary message of which a segment is missing: its zeros are no frames, so what follows them is no message."""
    flow = Flow()
    flow.open()
    flow.data("client", request())
    flow.data("server", response())
    inside = bytes(2000) + frame(1, b'{"e":"executionReport","p":"0.5"}') * 3 + b"\xff" * 2000
    wire = frame(2, b"\xff" * 1000 + inside)
    flow.data("server", wire[:500])
    flow.next["server"] += 504  # with the head of another frame, for all that a recorder knows
    begin = len(flow.sent)
    flow.data("server", inside)
    assert begin < len(flow.sent)
    flow.data("server", frame(1, b"after, in a segment of its own") * 4)
    flow.sent = [one for at, one in enumerate(flow.sent) if at != 5]  # the message's first segment is missing, too
    seen = next(iter(read_packets(flow.packets()).connections.values()))
    assert ("text", b'{"e":"executionReport","p":"0.5"}') not in seen.messages["server"]
    assert ("text", b"after, in a segment of its own") in seen.messages["server"]

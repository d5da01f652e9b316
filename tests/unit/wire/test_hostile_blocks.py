"""Traffic that once gave other rows in other blocks."""

from __future__ import annotations

from collections import Counter

import pytest

from sniffer.model import Loss, Packet
from tests.packets import ACK, MILLISECOND, Flow
from tests.reading import read_packets
from tests.secured import SecuredFlow


def losses(packets: list[Packet], block: int) -> Counter[Loss]:
    return Counter(read_packets(packets, block).losses)


@pytest.mark.parametrize("block", [1, 2, 7, 20])
def test_a_clock_that_is_set_back_within_a_block(block: int) -> None:
    flow = Flow()
    flow.open()
    flow.next["client"] += 10  # a hole, so that it matters how late it is
    for _ in range(20):
        flow.put("client", ACK, b"x")
        flow.put("server", ACK, ack=flow.next["client"])
        flow.time -= 40 * MILLISECOND if len(flow.sent) % 5 == 0 else 0
    packets = flow.packets()
    whole = losses(packets, 1000)
    assert whole
    assert losses(packets, block) == whole


@pytest.mark.parametrize("block", [2, 3, 1000])
def test_tls_without_a_key_log(block: int) -> None:
    secured = SecuredFlow().started()
    for _ in range(3):
        secured.text("server", b'{"update":1}')
        secured.text("client", b'{"order":1}')
    packets = secured.flow.packets()
    assert losses(packets, block) == losses(packets, 1)

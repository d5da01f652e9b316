"""Compressed messages that cannot be inflated are told, whichever venue compresses."""

from __future__ import annotations

import gzip
import zlib

import pytest

from sniffer.exchanges import by_name
from sniffer.exchanges.base import ConnectionFacts
from sniffer.exchanges.inflate import LARGEST
from sniffer.model import OPCODE_BINARY, Message

BOMBS = {
    "gzip": gzip.compress(bytes(LARGEST + 1)),
    "deflate": zlib.compress(bytes(LARGEST + 1), wbits=-15),
    "cut": gzip.compress(b'{"action":"push","ch":"orders#btcusdt"}' * 9)[:-9],
    "noise": b"\x1f\x8b" + bytes(range(256)),
}


@pytest.mark.parametrize("venue", ["htx", "bitmart", "okx"])
@pytest.mark.parametrize("name", BOMBS)
def test_it_is_a_problem_and_never_nothing(venue: str, name: str) -> None:
    decoder = by_name(venue).decoder(ConnectionFacts(path="/ws/v2"))
    assert decoder.wanted("server", OPCODE_BINARY)(BOMBS[name])
    decoded = decoder.decode(Message(1, "server", 0, 0, 0, OPCODE_BINARY, BOMBS[name]))
    assert decoded is not None
    assert decoded.problem
    assert not decoded.orders
    assert not decoded.fills

"""A target for each venue's decoder: whatever a message says, a row says no more.

The oracle is that of `tests/property/test_venues_property.py`: each word and number of a row stands in the message, or in those
before it on the connection.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

from sniffer.exchanges import by_name
from sniffer.exchanges.base import ConnectionFacts
from sniffer.exchanges.decode import http_head
from sniffer.model import OPCODE_BINARY, OPCODE_HTTP, HttpHead, Message, Sender
from tests.fuzz.target import Target
from tests.property import test_venues_property as oracle

_PACKED: tuple[Callable[[bytes], bytes], ...] = (lambda data: data, gzip.compress, lambda data: zlib.compress(data, wbits=-15))


@cache
def _told_before(module: str, count: int) -> frozenset[str]:
    fixtures, _ = oracle.registered(module)
    return frozenset().union(*(oracle.said(oracle.raw(payload), call) for _, _, payload, call in fixtures[:count]))


def _decode(module: str, data: bytes) -> None:
    """Two bytes name the fixture whose place the payload takes; a third says how it comes.

    bits 0, 1: as it is, in gzip, deflated. 2: behind all fixtures before it. 3: the other side sent it. 4: as binary. 5: as the
    body of a call or of its answer.
    """
    fixtures, derived = oracle.registered(module)
    at, how = int.from_bytes(data[:2]) % len(fixtures), (data[2:3] or b"\0")[0]
    venue, sender, _, call = fixtures[at]
    payload = data[3:]
    before = fixtures[:at] if how & 4 else ()
    told = oracle.said(payload, call) | (_told_before(module, at) if before else frozenset())
    packed = _PACKED[(how & 3) % len(_PACKED)](payload)
    decoder = by_name(venue).decoder(ConnectionFacts())
    for _, other, earlier, its_call in before:
        decoder.decode(oracle.sent(other, oracle.raw(earlier), its_call))
    if how & 8:
        sender = "server" if sender == "client" else "client"
    message = _message(sender, packed, call, how)
    by_name(venue).redact(sender, packed.decode("latin-1"))
    by_name(venue).looks_like(sender, packed)
    if decoder.wanted(sender, message.opcode)(packed):
        oracle.check(decoder.decode(message), told, derived)


def _message(sender: Sender, payload: bytes, call: str | None, how: int) -> Message:
    if how & 32 and call is not None:
        method, target = http_head(call)[:2]
        return Message(
            1, sender, 0, 0, 0, OPCODE_HTTP, payload, HttpHead(method, target, 200 if sender == "server" else None, ())
        )
    message = oracle.sent(sender, payload, call)
    return message._replace(opcode=OPCODE_BINARY, http=None) if how & 16 else message


def _seeds(module: str) -> Iterator[bytes]:
    fixtures, _ = oracle.registered(module)
    for at, (_, _, payload, call) in enumerate(fixtures):
        how: Any = 4 | (32 if call else 0)
        yield at.to_bytes(2) + bytes([how]) + oracle.raw(payload)


TARGETS = tuple(
    Target(f"venue-{module.removeprefix('test_').replace('_', '-')}", partial(_decode, module), partial(_seeds, module))
    for module in oracle.MODULES
)

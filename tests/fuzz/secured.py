"""Targets of TLS: records of any form, with keys and without, and anything inside of records that are right."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sniffer.config import Limits
from sniffer.model import OPCODE_HTTP, OPCODE_PONG
from sniffer.wire.keylog import KeyLog
from sniffer.wire.tls.hello import Handshake, client_hello, encrypted_extensions, server_hello
from tests.frames import frame
from tests.fuzz.conversations import JSON, MOST, Part, packets, script, send, write
from tests.fuzz.reading import read
from tests.fuzz.target import Target, cut, parts
from tests.packets import Flow
from tests.secured import SecuredFlow


def _handshake() -> SecuredFlow:
    return SecuredFlow().started()


def _keys(flow: SecuredFlow) -> Callable[[], KeyLog]:
    text = flow.key_log.encode()

    def make() -> KeyLog:
        log = KeyLog(Limits())
        log.feed("fuzz", text)
        return log

    return make


def _records(data: bytes, *, keys: bool) -> None:
    """Records as they stand in the input, behind a handshake that is whole, or with none before them."""
    secured = _handshake()
    keylog = _keys(secured) if keys else lambda: None
    flow = secured.flow
    if data[:1] > b"\x7f":
        flow = Flow()
        flow.open()
    for part in map(Part, parts(data[1:], MOST)):
        write(flow, part, lambda part: send(flow, part))
    flow.close()
    read(packets(flow), keylog)


def _sealed(data: bytes) -> None:
    """What is inside right records: plaintext of any kind, key updates, records that are missing or broken."""
    secured = _handshake()
    flow = secured.flow
    for part in map(Part, parts(data, MOST)):
        write(flow, part, lambda part: _seal(secured, part))
    flow.close()
    found = read(packets(flow), _keys(secured))
    for message in found.messages:
        assert message[5] <= OPCODE_PONG or message[5] == OPCODE_HTTP


def _seal(secured: SecuredFlow, part: Part) -> None:
    flow, data = secured.flow, part.data[:4000]
    if part.inside == 1:  # a record of another kind, the first byte says which
        wire = secured.protection[part.sender].seal(data[0] if data else 0, data[1:])
    elif part.inside == 2:
        wire = secured.update_keys(part.sender)
    else:
        wire = secured.sealed(part.sender, data)
        if part.inside == 3 and data:
            at = data[0] % len(wire)
            wire = wire[:at] + bytes([wire[at] ^ 1]) + wire[at + 1 :]
    flow.data(part.sender, wire, size=max(part.size, len(wire) // 50), acknowledge=part.acknowledged)


def _record_seeds() -> Iterator[bytes]:
    secured = _handshake()
    text = frame(1, JSON)
    yield b"\0" + script(*((1, secured.sealed("server", text)) for _ in range(4)))
    yield b"\0" + script((1, secured.sealed("server", text)), (0, secured.update_keys("client")), (1, b"\x15\x03\x03\0\2\1\0"))
    flow = _handshake().flow
    yield b"\xff" + script(*((sent.source[1] == 8_080, sent.payload) for sent in flow.sent if sent.payload))


def _sealed_seeds() -> Iterator[bytes]:
    mask = b"\x01\x02\x03\x04"
    server, client = frame(1, JSON), frame(1, JSON, mask=mask)
    yield script((1, server), (0, client), (0x41, b"\x15\x01\x00"), (0x81, b""), (1, server))
    yield script((1, server), (3, server), (1, server), (1, server), (1, server))
    yield script(
        (0xC1, b"\x09" + server), (1, server), (0x11, server), (0x40, b"\x16\x04" + bytes(9)), (0x80, b""), (0, client)
    )


# --- handshake messages ---------------------------------------------------------------------------------------------------


def _hello(data: bytes) -> None:
    """Messages of a handshake, whole or in pieces of records."""
    limit = 2_000
    found = []
    for size in (len(data) or 1, 1, 7):
        handshake, said = Handshake(limit), []
        for piece in cut(data, size):
            said += handshake.feed(piece)
            assert handshake.broken or handshake.held_bytes <= limit + 4
        found.append((said, handshake.broken))
    assert found[0] == found[1] == found[2]
    for _, body in found[0][0]:
        for parse in (client_hello, server_hello, encrypted_extensions):
            parse(body)


def _hello_seeds() -> Iterator[bytes]:
    talk = SecuredFlow()
    yield talk.client_hello(protocols=("h2", "http/1.1"))
    yield talk.server_hello()
    yield b"\x08\x00\x00\x02\x00\x00" + b"\x0b\x00\x00\x03abc" + b"\x14\x00\x00\x20" + bytes(32)


TARGETS = (
    Target("tls-keys", lambda data: _records(data, keys=True), _record_seeds),
    Target("tls-no-keys", lambda data: _records(data, keys=False), _record_seeds),
    Target("tls-inside", _sealed, _sealed_seeds),
    Target("tls-hello", _hello, _hello_seeds),
)

"""Targets above TCP: what two sides write, as an input in parts, carried by right packets.

A part's first byte says who writes it and what is around it (see `Part`); the rest is written. So what the fuzzer changes is
HTTP, frames or records, and not sequence numbers and checksums.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sniffer.model import CHECKSUM_VALID, OPCODE_HTTP, Packet
from sniffer.wire.deflate import CUT_OFF, InflateError, Inflater
from sniffer.wire.stream import Gap
from tests.frames import Deflater, frame, request, response
from tests.fuzz.reading import Read, read
from tests.fuzz.target import MARK, Target, parts
from tests.packets import MILLISECOND, Flow

SIDES = "client", "server"
COMPRESSED = "permessage-deflate"
_SIZES = (1460, 1, 7, 100)
MOST = 40
JSON = b'{"e":"executionReport","i":7,"p":"0.5"}'


class Part:
    """bit 0: the server writes. 1: bytes are missing before it. 2: nobody acknowledges it. 3: 300 ms pass before it.
    4, 5: size of the segments, or of the hole. 6, 7: what is done with it inside TLS."""

    def __init__(self, data: bytes) -> None:
        how = data[0] if data else 0
        self.sender = SIDES[how & 1]
        self.hole, self.acknowledged, self.late = bool(how & 2), not how & 4, bool(how & 8)
        self.size, self.inside = _SIZES[how >> 4 & 3], how >> 6
        self.data = data[1:]


def script(*written: tuple[int, bytes]) -> bytes:
    return MARK.join(bytes([how]) + data for how, data in written)


def packets(flow: Flow) -> list[Packet]:
    return [sent.packet(CHECKSUM_VALID) for sent in flow.sent]


def write(flow: Flow, part: Part, write: Callable[[Part], None]) -> None:
    if part.late:
        flow.time += 300 * MILLISECOND
    if part.hole:
        flow.next[part.sender] += part.size
    write(part)


def _plain(flow: Flow, data: bytes) -> Read:
    """The parts of `data` as TCP payload behind what `flow` has sent."""
    for part in map(Part, parts(data, MOST)):
        write(flow, part, lambda part: send(flow, part))
    flow.close()
    return read(packets(flow))


def send(flow: Flow, part: Part) -> None:
    flow.data(part.sender, part.data[:4000], size=max(part.size, len(part.data) // 50), acknowledge=part.acknowledged)


def _upgraded(extensions: str) -> Flow:
    flow = Flow()
    flow.open()
    flow.data("client", request(extensions))
    flow.data("server", response(extensions))
    return flow


# --- HTTP, and anything else ----------------------------------------------------------------------------------------------


def _http(data: bytes) -> None:
    flow = Flow()
    flow.open()
    _plain(flow, data)


def _midway(data: bytes) -> None:
    """No SYN was captured."""
    _plain(Flow(), data)


def _http_seeds() -> Iterator[bytes]:
    head = b"HTTP/1.1 200 OK\r\n"
    post = b"POST /api/v3/order HTTP/1.1\r\nHost: api.test\r\nContent-Length: 5\r\n\r\na=1&b"
    yield script((0, post), (1, head + b"Content-Length: 2\r\n\r\n{}"))
    yield script((0, b"GET / HTTP/1.0\r\n\r\n"), (1, head + b"\r\nuntil the end"))
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    yield script((0, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 2), (1, chunked), (0x11, chunked))
    yield script((0, b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n"), (1, head + b"\r\n"), (0, post))
    yield script((0, request()), (1, b"HTTP/1.1 100 Continue\r\n\r\n" + response() + frame(1, JSON)))
    yield script((0, request()), (3, response()), (1, frame(1, JSON)))
    yield script((0, b"SSH-2.0-x\r\n"), (1, b"SSH-2.0-y\r\n"))


# --- websocket ------------------------------------------------------------------------------------------------------------


def _websocket(data: bytes) -> None:
    found = _plain(_upgraded(""), data)
    for items in found.items.values():
        for side, of_side in items.items():
            if any(isinstance(item, Gap) for item in of_side):
                return
            stream = b"".join(item[2] for item in of_side if isinstance(item, tuple))
            _check_frames(side, stream[stream.index(b"\r\n\r\n") + 4 :], found)


def _check_frames(side: str, stream: bytes, found: Read) -> None:
    """Where all frames are whole and of the RFC's form, their payloads are the messages' payloads, or a loss is told."""
    sizes = list(_payloads(stream))
    said = sum(len(message[6]) for message in found.messages.elements() if message[1] == side and message[5] != OPCODE_HTTP)
    told = sum(loss.bytes or 0 for loss in found.losses if loss.sender == side)
    assert said <= sum(sizes), "more said than was written"
    assert told or said == sum(sizes), "payload that is neither said nor lost"


def _payloads(stream: bytes) -> Iterator[int]:
    """Payload sizes of the frames in `stream`, the last perhaps cut off (RFC 6455 section 5.2)."""
    at = 0
    while at + 2 <= len(stream):
        size, at, masked = stream[at + 1] & 0x7F, at + 2, stream[at + 1] >> 7
        extra = {126: 2, 127: 8}.get(size, 0)
        if extra:
            size = int.from_bytes(stream[at : at + extra])
        at += extra + 4 * masked
        yield max(0, min(size, len(stream) - at))
        at += size


def _deflated(data: bytes) -> None:
    _plain(_upgraded(COMPRESSED), data)


def _frame_seeds(compressed: bool) -> Callable[[], Iterator[bytes]]:
    def seeds() -> Iterator[bytes]:
        mask = b"\x01\x02\x03\x04"
        deflate = {side: Deflater() for side in SIDES}
        rsv = 0x40 if compressed else 0

        def text(sender: str, how: int, payload: bytes = JSON) -> tuple[int, bytes]:
            payload = deflate[sender](payload) if compressed else payload
            return how, frame(1, payload, mask=mask if sender == "client" else None, rsv=rsv)

        yield script(text("client", 0), text("server", 1), text("server", 0x11), (1, frame(9, b"ping")))
        first, second = JSON[:9], JSON[9:]
        yield script(
            (1, frame(1, first, fin=False)), (1, frame(9, b"?")), (1, frame(0, second)), (0, frame(8, b"\x03\xe8", mask=mask))
        )
        yield script(text("server", 1), text("server", 3), *(text("server", 1) for _ in range(5)))
        yield script(text("server", 1, JSON * 30), (1, frame(2, b"\xff\xfe", minimal=False)), text("client", 8))
        yield script((1, b"\x82\x7f" + (1 << 63).to_bytes(8)), (1, b"\x82\x7f" + (1 << 40).to_bytes(8) + bytes(50)))

    return seeds


def _inflater(data: bytes) -> None:
    """Messages of one side. One that is given is what zlib makes of it, and what goes on after a restart is the same."""
    limit, how = 3_000, data[0] if data else 0
    bits = 9 + (how & 7) % 7
    one, again = (Inflater(bool(how & 8), bits, limit) for _ in range(2))
    for message in parts(data[1:], 20):
        outcomes = []
        for inflater in (one, again):
            try:
                outcomes.append(inflater.inflate(message))
            except InflateError as error:
                assert not how & 8 or inflater.poisoned
                outcomes.append(str(error).encode())
            else:
                assert len(outcomes[-1]) <= limit
                assert not inflater.poisoned
        if again.poisoned == CUT_OFF:
            return
        assert outcomes[0] == outcomes[1], "state that was kept goes on in another way"
        state, again = again.__getstate__(), Inflater(bool(how & 8), bits, limit)
        again.__setstate__({name: list(value) if type(value) is list else value for name, value in state.items()})


def _inflater_seeds() -> Iterator[bytes]:
    for how in (0, 8, 6, 14):
        deflate = Deflater(9 + (how & 7), bool(how & 8))
        yield bytes([how]) + MARK.join(deflate(JSON * n) for n in (1, 2, 50, 1))


TARGETS = (
    Target("http", _http, _http_seeds),
    Target("midway", _midway, _frame_seeds(compressed=False)),
    Target("websocket", _websocket, _frame_seeds(compressed=False)),
    Target("deflate", _deflated, _frame_seeds(compressed=True)),
    Target("inflater", _inflater, _inflater_seeds),
)

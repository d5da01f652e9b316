"""Whole conversations of other implementations: `websockets` negotiates and speaks, `wsproto` reads what we read."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, ServerPerMessageDeflateFactory
from websockets.frames import Opcode
from websockets.server import ServerProtocol
from websockets.uri import parse_uri
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Message, Ping, Pong, TextMessage
from wsproto.events import Request as WsprotoRequest

from tests.conversations import random_conversation
from tests.frames import random_payload
from tests.packets import ACK, PSH, Flow
from tests.reading import read_packets

SEEDS = st.integers(0, 2**32 - 1)
NAMES = {Opcode.TEXT: "text", Opcode.BINARY: "binary", Opcode.PING: "ping", Opcode.PONG: "pong", Opcode.CLOSE: "close"}
Said = dict[str, list[tuple[str, bytes]]]


class Pair:
    """Two endpoints of `websockets`, and the packets between them."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.flow = Flow(numbers=(rng.getrandbits(32), rng.getrandbits(32)), step=rng.randint(1, 1_000_000))
        self.flow.open()
        bits = lambda: rng.choice((None, rng.randint(9, 15)))  # noqa: E731
        offer = ClientPerMessageDeflateFactory(rng.random() < 0.5, rng.random() < 0.5, bits(), rng.choice((True, 9, 12, 15)))
        accept = ServerPerMessageDeflateFactory(rng.random() < 0.5, rng.random() < 0.5, bits(), rng.choice((None, 9, 13)))
        compress = rng.random() < 0.8
        uri = parse_uri("ws://exchange.test:8080/ws")
        self.client = ClientProtocol(uri, extensions=[offer] if compress else None)
        self.server = ServerProtocol(extensions=[accept] if compress else None)
        self.said: Said = {"client": [], "server": []}
        self.client.send_request(self.client.connect())
        self.carry("client")
        request: Any = self.server.events_received()[0]
        self.server.send_response(self.server.accept(request))
        self.carry("server")

    def carry(self, sender: str) -> None:
        """What a side wrote goes over the wire, in segments of any size."""
        side, peer = (self.client, self.server) if sender == "client" else (self.server, self.client)
        for data in side.data_to_send():
            at = 0
            while at < len(data):
                size = self.rng.choice((1, 100, 1460, 60_000))
                self.flow.put(sender, ACK | PSH, data[at : at + size])
                peer.receive_data(data[at : at + size])
                at += size
                if self.rng.random() < 0.3:
                    self.flow.acknowledge("server" if sender == "client" else "client")

    def speak(self) -> None:
        sender = self.rng.choice(("client", "server"))
        side = self.client if sender == "client" else self.server
        kind = self.rng.choice((Opcode.TEXT, Opcode.TEXT, Opcode.BINARY, Opcode.PING, Opcode.PONG))
        payload = random_payload(self.rng, 1 if kind is Opcode.TEXT else 2, 70_000)
        if kind is Opcode.PING:
            side.send_ping(payload[:125])
        elif kind is Opcode.PONG:
            side.send_pong(payload[:125])
        else:
            pieces = self.pieces(payload)
            send = side.send_text if kind is Opcode.TEXT else side.send_binary
            send(pieces[0], fin=len(pieces) == 1)
            for number, piece in enumerate(pieces[1:], 2):
                if self.rng.random() < 0.3:
                    side.send_ping(b"between")
                    self.said[sender].append(("ping", b"between"))
                side.send_continuation(piece, fin=number == len(pieces))
        self.said[sender].append((NAMES[kind], payload[:125] if kind in (Opcode.PING, Opcode.PONG) else payload))
        self.carry(sender)
        self.answer("server" if sender == "client" else "client")

    def pieces(self, payload: bytes) -> list[bytes]:
        cuts = sorted(self.rng.randint(0, len(payload)) for _ in range(self.rng.choice((0, 0, 1, 4))))
        return [payload[a:b] for a, b in zip([0, *cuts], [*cuts, len(payload)], strict=True)]

    def answer(self, sender: str) -> None:
        """The pongs that a side owes."""
        side = self.client if sender == "client" else self.server
        for event in side.events_received():
            if getattr(event, "opcode", None) is Opcode.PING:
                self.said[sender].append(("pong", bytes(event.data)))  # type: ignore[union-attr]
        self.carry(sender)

    def finish(self) -> None:
        self.client.send_close(1000, b"bye".decode())
        self.said["client"].append(("close", b"\x03\xe8bye"))
        self.carry("client")
        self.said["server"].append(("close", b"\x03\xe8bye"))
        self.carry("server")
        self.flow.close()


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS)
def test_what_websockets_speaks_is_read(seed: int) -> None:
    rng = random.Random(seed)
    pair = Pair(rng)
    for _ in range(rng.randint(0, 15)):
        pair.speak()
    pair.finish()
    reading = read_packets(pair.flow.packets(), rng.choice((1, 20, 10_000)))
    seen = next(iter(reading.connections.values()))
    assert seen.messages == pair.said
    assert not reading.losses
    agreed = [extension.name for extension in pair.client.extensions]
    assert (seen.connection.compression or "").startswith("permessage-deflate" if agreed else "")
    assert bool(seen.connection.compression) == bool(agreed)


@pytest.mark.parametrize("seed", range(10))
def test_wsproto_reads_the_same(seed: int) -> None:
    """A `wsproto` server is given the client's stream of a random conversation, and must say what we say."""
    rng = random.Random(seed)
    conversation = random_conversation(rng, messages=20)
    while conversation.parameters.extensions:
        conversation = random_conversation(rng, messages=20)
    oracle = WSConnection(ConnectionType.SERVER)
    head = conversation.handshake["client"]
    oracle.receive_data(conversation.written["client"][:head])
    assert isinstance(next(oracle.events()), WsprotoRequest)
    oracle.send(AcceptConnection())
    oracle.receive_data(conversation.written["client"][head:])
    heard: list[tuple[str, bytes]] = []
    under_way: list[bytes] = []
    for event in oracle.events():
        if isinstance(event, Message):
            data = event.data.encode() if isinstance(event, TextMessage) else bytes(event.data)
            under_way.append(data)
            if event.message_finished:
                heard.append(("binary" if isinstance(event, BytesMessage) else "text", b"".join(under_way)))
                under_way = []
        elif isinstance(event, Ping | Pong):
            heard.append(("ping" if isinstance(event, Ping) else "pong", bytes(event.payload)))
        elif isinstance(event, CloseConnection):
            heard.append(("close", event.code.to_bytes(2) + (event.reason or "").encode()))
            break  # it hears nothing after that
    seen = next(iter(read_packets([sent.packet() for sent in conversation.sent]).connections.values()))
    assert heard == seen.messages["client"][: len(heard)]
    assert len(heard) == len(seen.messages["client"]) or heard[-1][0] == "close"

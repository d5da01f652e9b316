"""Random websocket traffic over real sockets, with books of what each side sent and received.

The clients are `websockets` or `wsproto`, the servers are `websockets`; everything that is random follows from the seed.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, ServerPerMessageDeflateFactory

from sniffer.model import Sender
from strategies.tls import make_identity, server_context
from tests.live.live_wsproto import WsprotoClient

MAX_MESSAGE = 1 << 20
HOST = "exchange.example"
"""What clients ask for, over TLS."""
TIMEOUT = 60.0
"""Seconds after which traffic that does not end is an error."""

Said: TypeAlias = tuple[str, bytes]
"""(opcode name, payload) of a message."""


@dataclass(frozen=True)
class Plan:
    """What traffic there is to be."""

    seed: int
    connections: int = 5
    messages: int = 20
    """Of each side of a connection, at most."""
    largest: int = 200_000
    """Bytes of a message, at most."""
    compression: bool | None = None
    """Whether permessage-deflate is offered; None: chosen anew for each connection and server."""
    wsproto: float = 0.0
    """Share of the clients that are `wsproto`'s. Their servers send no fragments: a control frame between compressed ones makes
    wsproto 1.3 take the rest for uncompressed."""
    pause: float = 0.002
    """Seconds between two messages of a side, at most."""
    keylog: Path | None = None
    """All of it goes over TLS, and the clients' library writes its secrets here; None: no TLS."""
    versions: tuple[ssl.TLSVersion, ...] = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


@dataclass
class Talk:
    """The books of one connection: what each side sent, without pongs, and the data that it received."""

    ports: tuple[int, int]
    """The client's and the server's; of two servers' connections, clients may have the same one."""
    wsproto: bool
    extensions: str | None
    sent: dict[Sender, list[Said]] = field(default_factory=lambda: {"client": [], "server": []})
    received: dict[Sender, list[Said]] = field(default_factory=lambda: {"client": [], "server": []})

    def pings(self, sender: Sender) -> list[bytes]:
        return [payload for opcode, payload in self.sent[sender] if opcode == "ping"]

    def check(self) -> None:
        """What one side received is what the other sent: the traffic itself is sound."""
        for sender, receiver in PAIRS:
            data = [said for said in self.sent[sender] if said[0] in ("text", "binary")]
            assert self.received[receiver] == data, f"the {receiver} did not receive what the {sender} sent"


PAIRS: tuple[tuple[Sender, Sender], ...] = (("client", "server"), ("server", "client"))


class Step(NamedTuple):
    """A message in parts, or a ping; `between` is a ping inside a fragmented message."""

    opcode: str
    parts: list[bytes]
    between: bytes | None
    pause: float


def run(plan: Plan, listening: list[socket.socket], dial: Callable[[int], socket.socket] | None = None) -> list[Talk]:
    """Have `plan` happen between servers on the `listening` sockets and clients that `dial(port)` connects."""
    return asyncio.run(asyncio.wait_for(_run(plan, listening, dial or _dial), TIMEOUT))


def listen(count: int = 1, host: str = "127.0.0.1") -> list[socket.socket]:
    """Sockets that listen on free ports."""
    return [socket.create_server((host, 0), backlog=64) for _ in range(count)]


def ports(sockets: list[socket.socket]) -> list[int]:
    return [one.getsockname()[1] for one in sockets]


def _dial(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


async def _run(plan: Plan, listening: list[socket.socket], dial: Callable[[int], socket.socket]) -> list[Talk]:
    talks: dict[int, Talk] = {}
    rng = random.Random(f"servers {plan.seed}")
    listening_ports = ports(listening)

    async def answer(connection: ServerConnection) -> None:
        assert connection.request is not None
        number = int(connection.request.path.removeprefix("/"))
        while number not in talks:  # the client notes its port once it is connected, too
            await asyncio.sleep(0.001)
        fragments = not talks[number].wsproto
        await _play(connection, "server", talks[number], _script(plan, number, "server", fragments=fragments))
        await connection.wait_closed()

    identity = make_identity("localhost") if plan.keylog else None
    servers = []
    for sock in listening:
        deflate = _server_deflate(plan, rng)
        servers.append(
            await serve(
                answer,
                sock=sock,
                ssl=server_context(identity) if identity else None,
                compression=None,
                extensions=[deflate] if deflate else None,
                max_size=MAX_MESSAGE,
                ping_interval=None,
                close_timeout=TIMEOUT,
                open_timeout=TIMEOUT,
            )
        )
    clients = [_client(plan, number, dial(rng.choice(listening_ports)), talks) for number in range(plan.connections)]
    await asyncio.gather(*clients)
    for server in servers:
        server.close()
        await server.wait_closed()
    return [talks[number] for number in range(plan.connections)]


async def _client(plan: Plan, number: int, sock: socket.socket, talks: dict[int, Talk]) -> None:
    rng = random.Random(f"client {plan.seed} {number}")
    ports = sock.getsockname()[1], sock.getpeername()[1]
    offer = plan.compression if plan.compression is not None else rng.random() < 0.8
    secure = _client_context(plan.keylog, rng.choice(plan.versions)) if plan.keylog else None
    url = f"{'wss' if secure else 'ws'}://{sock.getpeername()[0]}:{ports[1]}/{number}"
    wsproto = rng.random() < plan.wsproto
    if wsproto:
        client: Any = WsprotoClient(sock, url, _wsproto_parameters(rng) if offer else None, secure)
        await client.open()
        extensions = client.extensions
    else:
        deflate = [_client_deflate(rng)] if offer else None
        client = await connect(
            url,
            sock=sock,
            ssl=secure,
            server_hostname=HOST if secure else None,
            compression=None,
            extensions=deflate,
            max_size=MAX_MESSAGE,
            ping_interval=None,
            close_timeout=TIMEOUT,
            open_timeout=TIMEOUT,
            proxy=None,
        )
        extensions = client.response.headers.get("Sec-WebSocket-Extensions")
    talk = talks[number] = Talk(ports, wsproto, extensions)
    await _play(client, "client", talk, _script(plan, number, "client"))
    code, reason = rng.choice([1000, 1001, 3000, 4999]), _text(rng, rng.randint(0, 60)).decode()
    close = ("close", code.to_bytes(2, "big") + reason.encode())
    talk.sent["client"].append(close)
    talk.sent["server"].append(close)  # the answer to a close frame echoes it
    await client.close(code, reason)


async def _play(connection: Any, side: Sender, talk: Talk, script: list[Step]) -> None:
    """Send a side's script and receive the other's, both to their end."""
    sent, received = talk.sent[side], talk.received[side]
    pongs: list[Any] = []

    async def ping(payload: bytes) -> None:
        sent.append(("ping", payload))
        pongs.append(await connection.ping(payload))

    async def parts(step: Step) -> AsyncIterator[bytes]:
        for index, part in enumerate(step.parts):
            if index == 1 and step.between is not None:
                await ping(step.between)
            yield part

    async def send() -> None:
        for step in script:
            if step.opcode == "ping":
                await ping(step.parts[0])
            else:
                message = step.parts[0] if len(step.parts) == 1 else parts(step)
                await connection.send(message, text=step.opcode == "text")
                sent.append((step.opcode, b"".join(step.parts)))
            await asyncio.sleep(step.pause)
        end = f"end of the {side}"
        await connection.send(end)
        sent.append(("text", end.encode()))
        await asyncio.gather(*pongs)

    async def receive() -> None:
        while not received or not (received[-1][0] == "text" and received[-1][1].startswith(b"end of the ")):
            message = await connection.recv()
            received.append(("text", message.encode()) if isinstance(message, str) else ("binary", bytes(message)))

    await asyncio.gather(send(), receive())


# --- what is said -----------------------------------------------------------------------------------------------------------


def _script(plan: Plan, number: int, side: Sender, *, fragments: bool = True) -> list[Step]:
    rng = random.Random(f"{side} {plan.seed} {number}")
    steps = []
    for index in range(rng.randint(1, plan.messages)):
        pause = rng.choice([0.0, rng.uniform(0, plan.pause)])
        ping = f"{side} {index} ".encode() + rng.randbytes(rng.randint(0, 100))
        if rng.random() < 0.15:
            steps.append(Step("ping", [ping], None, pause))
            continue
        opcode = rng.choice(["text", "text", "binary"])
        size = min(plan.largest, rng.choice([rng.randint(0, 130), int(2 ** rng.uniform(0, 18)), 500]))
        whole = _text(rng, size) if opcode == "text" else _binary(rng, size)
        count = rng.choice([1, 1, 1, rng.randint(2, 8)]) if fragments else 1
        cuts = sorted(rng.randint(0, len(whole)) for _ in range(count - 1))
        parts = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
        steps.append(Step(opcode, parts, ping if rng.random() < 0.3 and count > 1 else None, pause))
    return steps


def _text(rng: random.Random, size: int) -> bytes:
    """UTF-8 of about `size` bytes: like orders, or any characters, or the same again and again."""
    style = rng.random()
    if style < 0.6:
        words = {"s": "SIM", "q": str(rng.random()), "p": str(rng.randint(1, 10**9)), "c": rng.randbytes(8).hex()}
        rows = [words | {"n": n, "p": str(rng.randint(1, 10**6))} for n in range(1 + size // 90)]
        text = json.dumps({"data": rows, "id": rng.getrandbits(60)})
    elif style < 0.9:
        text = "".join(rng.choice('\x00\n"\\aZ0 äß€漢🙂\U0010ffff') for _ in range(size))
    else:
        text = rng.choice("xyz ") * size
    return text.encode()[:size].decode(errors="ignore").encode()


def _binary(rng: random.Random, size: int) -> bytes:
    if rng.random() < 0.3:
        return bytes((rng.randrange(256),)) * size
    return rng.randbytes(size)


# --- compression ------------------------------------------------------------------------------------------------------------


def _bits(rng: random.Random) -> int | None:
    return rng.choice([None, 9, 10, 12, 15, rng.randint(9, 15)])


def _client_context(keylog: Path, version: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = version
    context.keylog_filename = str(keylog)
    return context


def _server_deflate(plan: Plan, rng: random.Random) -> ServerPerMessageDeflateFactory | None:
    if plan.compression is False or (plan.compression is None and rng.random() < 0.2):
        return None
    return ServerPerMessageDeflateFactory(
        server_no_context_takeover=rng.random() < 0.3,
        client_no_context_takeover=rng.random() < 0.3,
        server_max_window_bits=_bits(rng),
        client_max_window_bits=_bits(rng),
        compress_settings={"memLevel": rng.randint(1, 9), "level": rng.choice([1, 6, 9])},
    )


def _client_deflate(rng: random.Random) -> ClientPerMessageDeflateFactory:
    return ClientPerMessageDeflateFactory(
        server_no_context_takeover=rng.random() < 0.2,
        client_no_context_takeover=rng.random() < 0.2,
        server_max_window_bits=_bits(rng),
        client_max_window_bits=rng.choice([True, _bits(rng)]),
        compress_settings={"memLevel": rng.randint(1, 9), "level": rng.choice([0, 1, 6, 9])},
    )


def _wsproto_parameters(rng: random.Random) -> dict[str, Any]:
    return {
        "server_no_context_takeover": rng.random() < 0.2,
        "client_no_context_takeover": rng.random() < 0.2,
        "server_max_window_bits": _bits(rng),
        "client_max_window_bits": _bits(rng),
    }

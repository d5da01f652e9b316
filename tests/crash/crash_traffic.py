"""Websocket traffic that goes on until it is told to end, with books of what was sent, and when.

Connections live for about a second, so that what one of them loses (a poisoned inflater, a handshake that nobody saw) ends with
it. Each is of a random `Kind`: plain, TLS 1.2 or TLS 1.3, and half of all are compressed with context takeover. The clients
write the key log.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from sniffer.model import Sender
from strategies.tls import make_identity, server_context
from tests.crash.crash_interfaces import LOOPBACK, Way
from tests.live.live_network import inside

SERVER_PORTS = range(10_000, 12_000)
CLIENT_PORTS = range(12_000, 32_000)
"""Each port is used once, so that the books can tell connections apart; a server's is the lower one, as in real life."""
PAUSE = 0.01
"""Seconds between two messages of a connection, on average."""


class Kind(NamedTuple):
    """What a connection is. `tls`: its version as `connections.tls_version` says it; None: plain."""

    tls: str | None
    compressed: bool

    def __str__(self) -> str:
        return f"{self.tls or 'plain'}{', compressed' if self.compressed else ''}"


KINDS = [Kind(tls, compressed) for tls in (None, "TLSv1.2", "TLSv1.3") for compressed in (False, True)]
_VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}


@dataclass
class Books:
    """What the two sides of one connection sent: (time in ns, text) of each message."""

    kind: Kind
    sent: dict[Sender, list[tuple[int, str]]] = field(default_factory=lambda: {"client": [], "server": []})


class Traffic:
    """A context manager: `clients` connect to four servers a way again and again until it ends. They write `key_log`."""

    def __init__(self, seed: int, key_log: Path, ways: Sequence[Way] = (LOOPBACK,), clients: int = 6) -> None:
        self.books: dict[int, Books] = {}
        """By the client's port."""
        self.ports: dict[tuple[Way, bool, bool], int] = {}
        """The servers', by where they are, whether they speak TLS, and whether they compress."""
        self._ways = ways
        identity = make_identity("localhost")
        self._server_context = server_context(identity)
        self._client_contexts = {name: _client_context(identity.certificate, name, key_log) for name in _VERSIONS}
        self._rng = random.Random(f"traffic {seed}")
        self._server_ports, self._client_ports = (self._shuffled(ports) for ports in (SERVER_PORTS, CLIENT_PORTS))
        self._clients = clients
        self._ending = threading.Event()
        self._begun = threading.Event()
        self._listening = threading.Event()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Traffic:
        self._thread.start()
        self._listening.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def begin(self) -> None:
        """Let the clients connect."""
        self._begun.set()

    def end(self) -> None:
        """Let the connections that there are come to their end."""
        self._ending.set()
        self._begun.set()
        self._thread.join()
        if self._failed is not None:
            raise self._failed

    def _run(self) -> None:
        try:
            asyncio.run(self._talk())
        except BaseException as error:
            self._failed = error
            self._listening.set()

    async def _talk(self) -> None:
        async with contextlib.AsyncExitStack() as stack:
            for way, secure, compressed in itertools.product(self._ways, (False, True), (False, True)):
                listening = self._bound(self._server_ports, way.server, way.server_namespace)
                self.ports[way, secure, compressed] = listening.getsockname()[1]
                context = self._server_context if secure else None
                compression = "deflate" if compressed else None
                server = serve(self._answer, sock=listening, ssl=context, compression=compression, ping_interval=None)
                await stack.enter_async_context(server)
            self._listening.set()
            await asyncio.to_thread(self._begun.wait)
            await asyncio.gather(*(self._client(number) for number in range(self._clients)))

    async def _answer(self, connection: ServerConnection) -> None:
        books = self.books[connection.remote_address[1]]
        async for message in connection:
            answer = json.dumps({"of": message[:40], "filler": "y" * (len(message) % 97)})
            books.sent["server"].append((time.time_ns(), answer))
            await connection.send(answer)

    async def _client(self, number: int) -> None:
        rng = random.Random(f"{self._rng.random()} {number}")
        while not self._ending.is_set():
            way, kind = rng.choice(self._ways), rng.choice(KINDS)
            context = self._client_contexts[kind.tls] if kind.tls else None
            address = way.server, self.ports[way, context is not None, kind.compressed]
            sock = self._bound(self._client_ports, way.client, way.client_namespace)
            sock.connect(address)
            port = sock.getsockname()[1]
            books = self.books[port] = Books(kind)
            scheme, name = ("wss" if context else "ws"), ("localhost" if context else None)
            url = f"{scheme}://{address[0]}:{address[1]}"
            async with connect(url, sock=sock, ssl=context, server_hostname=name, ping_interval=None, proxy=None) as client:
                end = time.monotonic() + rng.uniform(0.3, 1.5)
                while time.monotonic() < end:
                    filler = rng.randbytes(rng.randrange(200)).hex()
                    text = json.dumps({"port": port, "n": len(books.sent["client"]), "filler": filler})
                    books.sent["client"].append((time.time_ns(), text))
                    await client.send(text)
                    await client.recv()
                    await asyncio.sleep(rng.expovariate(1 / PAUSE))

    def _shuffled(self, ports: range) -> Iterator[int]:
        return iter(self._rng.sample(ports, len(ports)))

    @staticmethod
    def _bound(ports: Iterator[int], address: str, namespace: str | None) -> socket.socket:
        """A socket on the next port that is free."""
        while True:
            with inside(namespace) if namespace else contextlib.nullcontext():
                sock = socket.socket()
            try:
                sock.bind((address, next(ports)))
            except OSError:
                sock.close()
            else:
                return sock


def _client_context(certificate: str, version: str, key_log: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=certificate)
    context.minimum_version = context.maximum_version = _VERSIONS[version]
    context.keylog_filename = str(key_log)
    return context

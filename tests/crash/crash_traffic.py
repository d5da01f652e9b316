"""Websocket traffic that goes on until it is told to end, with books of what was sent, and when.

Connections live for about a second, so that what one of them loses (a poisoned inflater, a handshake that nobody saw) ends with
it; half of them are compressed with context takeover.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from sniffer.model import Sender

SERVER_PORTS = range(10_000, 12_000)
CLIENT_PORTS = range(12_000, 32_000)
"""Each port is used once, so that the books can tell connections apart; a server's is the lower one, as in real life."""
PAUSE = 0.01
"""Seconds between two messages of a connection, on average."""


@dataclass
class Books:
    """What the two sides of one connection sent: (time in ns, text) of each message."""

    compressed: bool
    sent: dict[Sender, list[tuple[int, str]]] = field(default_factory=lambda: {"client": [], "server": []})


class Traffic:
    """A context manager: `clients` connect to two servers again and again until it ends."""

    def __init__(self, seed: int, clients: int = 6) -> None:
        self.books: dict[int, Books] = {}
        """By the client's port."""
        self.ports: list[int] = []
        """The servers'."""
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
            for compression in (None, "deflate"):
                listening = self._bound(self._server_ports)
                self.ports.append(listening.getsockname()[1])
                server = serve(self._answer, sock=listening, compression=compression, ping_interval=None)
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
            compressed = rng.random() < 0.5
            sock = self._bound(self._client_ports)
            sock.connect(("127.0.0.1", self.ports[compressed]))
            port = sock.getsockname()[1]
            books = self.books[port] = Books(compressed)
            async with connect(f"ws://127.0.0.1:{self.ports[compressed]}", sock=sock, ping_interval=None, proxy=None) as client:
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
    def _bound(ports: Iterator[int]) -> socket.socket:
        """A socket on the next port that is free."""
        while True:
            sock = socket.socket()
            try:
                sock.bind(("127.0.0.1", next(ports)))
            except OSError:
                sock.close()
            else:
                return sock

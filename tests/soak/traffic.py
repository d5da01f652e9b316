"""The exchange and its clients: websocket traffic on loopback at a steady rate, and books of what was sent.

Strategies are there from beginning to end, and their connections come and go: plain, compressed with context takeover, TLS 1.3,
and both. Every message is one send on a real TCP connection. The clients are a process of their own, and only read.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import multiprocessing
import random
import socket
import ssl
import threading
import time
import zlib
from dataclasses import dataclass, field
from decimal import Decimal
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, Final

from bench.captures import frame, upgrade
from bench.messages import Feed, Truth
from strategies.tls import make_identity, server_context

SLOTS: Final = 12
"""Strategies, each with one connection at a time."""
ORDER_SHARE: Final = 0.1
TICK: Final = 0.005
"""Seconds between two bursts."""
LIFE: Final = 20.0
"""Seconds that a connection lives, on average."""


@dataclass
class Books:
    """What was sent: how much, and a digest of each strategy's order events and of its fills, in their order."""

    truth: Truth = field(default_factory=Truth)
    connections: int = 0
    seconds: float = 0.0
    events: list[str] = field(default_factory=list)
    fills: list[str] = field(default_factory=list)


def line(*values: Any) -> bytes:
    """One row as the books have it; numbers with the scale of the tables."""
    return ("|".join(f"{value:.18f}" if isinstance(value, Decimal) else str(value) for value in values) + "\n").encode()


class Traffic:
    """Two processes, listening since `__init__`; `begin` lets the clients connect, `end` gives the books."""

    def __init__(self, rate: int, seed: int, keylog: Path) -> None:
        context = multiprocessing.get_context("fork")
        listeners = [socket.create_server(("127.0.0.1", 0), backlog=2) for _ in range(SLOTS)]
        self.ports = [listener.getsockname()[1] for listener in listeners]
        feeds = [Feed(number, seed, ORDER_SHARE) for number in range(SLOTS)]
        self._ending = context.Event()
        self._result, sending = context.Pipe(duplex=False)
        self._server = context.Process(target=_serve, args=(listeners, feeds, rate, seed, self._ending, sending))
        self._clients = context.Process(
            target=_read_all, args=(self.ports, [feed.path for feed in feeds], keylog, self._ending)
        )
        self._server.start()
        sending.close()
        for listener in listeners:
            listener.close()

    def begin(self) -> None:
        self._clients.start()

    def end(self) -> Books:
        """Raises `EOFError` if the sender died."""
        self._ending.set()
        books = self._result.recv()
        self._server.join()
        self._clients.join()
        assert isinstance(books, Books)
        return books

    def __enter__(self) -> Traffic:
        return self

    def __exit__(self, *_: object) -> None:
        for process in (self._server, self._clients):
            if process.pid is not None and process.is_alive():
                process.kill()


# --- the exchange -----------------------------------------------------------------------------------------------------------


class _Slot:
    """One strategy's place at the exchange: its feed goes on over all its connections."""

    def __init__(self, number: int, listener: socket.socket, feed: Feed, identity: ssl.SSLContext) -> None:
        self.listener = listener
        self._feed = feed
        self._compressed = bool(number & 1)
        self._identity = identity if number & 2 else None
        self._events, self._fills = hashlib.blake2b(digest_size=16), hashlib.blake2b(digest_size=16)

    def accept(self, until: float) -> None:
        """Take the next connection in, which is to end at `until`."""
        peer, _ = self.listener.accept()
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._peer = self._identity.wrap_socket(peer, server_side=True) if self._identity else peer
        self.until = until
        request, response = upgrade(self._feed.path, compressed=self._compressed)
        _receive(self._peer, len(request))
        self._peer.sendall(response)
        self._compressor = zlib.compressobj(wbits=-15) if self._compressed else None

    def say(self) -> None:
        """The next message, and into the books with it."""
        message = self._feed.next(time.time_ns())
        self._peer.sendall(frame(message, self._compressor))
        if b"executionReport" in message:
            self._note(json.loads(message)["data"])

    def hang_up(self) -> None:
        if isinstance(self._peer, ssl.SSLSocket):
            with contextlib.suppress(OSError):
                self._peer.unwrap()
        self._peer.close()

    def close(self, books: Books) -> None:
        books.truth.add(self._feed.truth)
        books.events.append(self._events.hexdigest())
        books.fills.append(self._fills.hexdigest())

    def _note(self, event: dict[str, Any]) -> None:
        order = event["C"] or event["c"]
        filled, price, quantity = (Decimal(event[key]) for key in ("z", "p", "q"))
        self._events.update(line(event["i"], order, event["X"], filled, price, quantity))
        if event["t"] > 0:
            last, paid, fee = (Decimal(event[key]) for key in ("l", "L", "n"))
            self._fills.update(line(event["t"], event["i"], last, paid, fee))


def _serve(listeners: list[socket.socket], feeds: list[Feed], rate: int, seed: int, ending: Event, result: Connection) -> None:
    rng = random.Random(f"lives {seed}")
    identity = server_context(make_identity("localhost"))
    slots = [_Slot(number, listeners[number], feed, identity) for number, feed in enumerate(feeds)]
    books = Books()

    def accept(slot: _Slot) -> None:
        slot.accept(time.monotonic() + rng.uniform(0.2, 1.8) * LIFE)
        books.connections += 1

    for slot in slots:
        accept(slot)
    burst = max(1, round(rate * TICK))
    tick = turn = 0
    begun = time.monotonic()
    while not ending.is_set():
        tick += 1
        time.sleep(max(0.0, begun + tick * burst / rate - time.monotonic()))
        for _ in range(burst):
            turn += 1
            slots[turn % SLOTS].say()
        old = slots[tick % SLOTS]
        if time.monotonic() > old.until:
            old.hang_up()
            accept(old)
    books.seconds = time.monotonic() - begun
    for slot in slots:
        slot.listener.close()
        slot.hang_up()
        slot.close(books)
    result.send(books)


# --- the clients ------------------------------------------------------------------------------------------------------------


def _read_all(ports: list[int], paths: list[str], keylog: Path, ending: Event) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.keylog_filename = str(keylog)
    threads = [
        threading.Thread(target=_read, args=(port, path, context if number & 2 else None, bool(number & 1), ending))
        for number, (port, path) in enumerate(zip(ports, paths, strict=True))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _read(port: int, path: str, context: ssl.SSLContext | None, compressed: bool, ending: Event) -> None:
    """Connect, read to the end, connect again."""
    request, response = upgrade(path, compressed=compressed)
    while not ending.is_set():
        plain = socket.create_connection(("127.0.0.1", port))
        with context.wrap_socket(plain) if context else plain as peer:
            peer.sendall(request)
            _receive(peer, len(response))
            while peer.recv(1 << 16):
                pass
            if isinstance(peer, ssl.SSLSocket):
                peer.unwrap()


def _receive(peer: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        piece = peer.recv(size - len(found))
        if not piece:
            raise ConnectionError("the other side hung up")
        found += piece
    return found

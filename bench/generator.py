"""python -m bench.generator RATE SECONDS SHARE: websocket traffic on loopback, each message one send on a real TCP connection.

SHARE of the messages are orders.

All messages are made before the first is sent, and a process of its own reads them, so that sending costs little beside what
is measured. It prints its port, begins at a line on standard input, and prints its truth as JSON.
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import selectors
import socket
import sys
import time
from dataclasses import asdict
from typing import Final

from bench.captures import frame, upgrade
from bench.messages import Feed, Truth

CONNECTIONS: Final = 10
TICK: Final = 0.005
"""Seconds between two bursts."""


def main(rate: int, seconds: float, order_share: float) -> None:
    feeds = [Feed(number, 1, order_share) for number in range(CONNECTIONS)]
    ticks, burst = round(seconds / TICK), round(rate * TICK)
    begun = time.time_ns()
    frames = [frame(feeds[number % CONNECTIONS].next(begun + int(number / rate * 1e9))) for number in range(ticks * burst)]
    gc.freeze()
    listener = socket.create_server(("127.0.0.1", 0), backlog=CONNECTIONS)
    port = listener.getsockname()[1]
    print(port, flush=True)
    sys.stdin.readline()
    reader = multiprocessing.get_context("fork").Process(target=_read, args=(port, [feed.path for feed in feeds]))
    reader.start()
    servers = [_accept(listener, feed) for feed in feeds]
    begin = time.monotonic()
    for tick in range(ticks):
        time.sleep(max(0.0, begin + tick * TICK - time.monotonic()))
        for number in range(tick * burst, (tick + 1) * burst):
            servers[number % CONNECTIONS].sendall(frames[number])
    took = time.monotonic() - begin
    for server in servers:
        server.close()
    reader.join()
    truth = Truth()
    for feed in feeds:
        truth.add(feed.truth)
    print(json.dumps({"truth": asdict(truth), "seconds": took, "bytes": sum(map(len, frames))}))


def _accept(listener: socket.socket, feed: Feed) -> socket.socket:
    """The next client, upgraded. Clients come one after the other, in the order of the feeds."""
    server, _ = listener.accept()
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    request, response = upgrade(feed.path, compressed=False)
    if server.recv(len(request), socket.MSG_WAITALL) != request:
        raise ConnectionError("another client came")
    server.sendall(response)
    return server


def _read(port: int, paths: list[str]) -> None:
    """The clients: upgrade, then take in what comes until each connection ends."""
    with selectors.DefaultSelector() as selector:
        for path in paths:
            client = socket.create_connection(("127.0.0.1", port))
            request, response = upgrade(path, compressed=False)
            client.sendall(request)
            client.recv(len(response), socket.MSG_WAITALL)
            selector.register(client, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                assert isinstance(key.fileobj, socket.socket)
                if not key.fileobj.recv(1 << 18):
                    selector.unregister(key.fileobj)
                    key.fileobj.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))

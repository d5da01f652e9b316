"""python -m bench.cost.exchange JOB: the simulated exchange. It prints its port, and begins at a line on standard input.

It never waits for a strategy: each message goes out at its time, in one send, whatever the strategy does meanwhile. The time
before the send is the one from which response time counts: nothing that a strategy or a sidecar does can hide from it.
"""

from __future__ import annotations

import gc
import socket
import ssl
import sys
import time

from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol

from bench.cost.cores import ahead_of_others
from bench.cost.job import Job
from bench.cost.times import Times
from strategies.tls import make_identity, server_context


def main(job: Job) -> None:
    times = Times(job.times, job.workload)
    context = None
    if job.tls:
        identity = make_identity("127.0.0.1")
        job.certificate.write_text(identity.certificate, encoding="ascii")
        context = server_context(identity)
    listener = socket.create_server(("127.0.0.1", 0), backlog=job.workload.connections)
    print(listener.getsockname()[1], flush=True)
    clients = [accepted(listener, context) for _ in range(job.workload.connections)]
    plan = [
        (at, clients[exchange], Frame(Opcode.TEXT, f"{exchange}:{order}".encode()).serialize(mask=False), exchange, order)
        for at, exchange, order in job.workload.schedule(job.seed)
    ]
    gc.freeze()
    sys.stdin.readline()
    sent, orders = times.sent, job.workload.orders
    begun = time.monotonic()
    for at, client, frame, exchange, order in plan:
        wait = begun + at - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        sent[exchange * orders + order] = time.monotonic_ns()
        client.sendall(frame)
    sys.stdin.readline()  # the strategy may still have to read: connections stay open


def accepted(listener: socket.socket, context: ssl.SSLContext | None) -> socket.socket:
    """The next client, once its websocket is open."""
    client, _ = listener.accept()
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if context is not None:
        client = context.wrap_socket(client, server_side=True)
    protocol = ServerProtocol()
    while True:
        protocol.receive_data(client.recv(1 << 16))
        for request in protocol.events_received():
            protocol.send_response(protocol.accept(request))  # type: ignore[arg-type]  # the first event is the request
            for data in protocol.data_to_send():
                client.sendall(data)
            return client


if __name__ == "__main__":
    ahead_of_others()
    try:
        main(Job.read(sys.argv[1]))
    except (BrokenPipeError, ConnectionResetError):
        sys.exit("the strategy went away")

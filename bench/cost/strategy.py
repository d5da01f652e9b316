"""python -m bench.cost.strategy JOB: the strategies, one process on a core of its own. Killed with SIGKILL when all is handled.

Each strategy has a websocket, reads each message, updates its position, and saves the order in the way under measurement. What
a strategy would do beside that (decide, place orders) is left out: it is the same whatever the way.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
import ssl
import sys
import time

from websockets.asyncio.client import ClientConnection, connect

from bench.cost.cores import ahead_of_others
from bench.cost.job import Job
from bench.cost.saving import Save
from bench.cost.times import Times


async def main(job: Job) -> None:
    times = Times(job.times, job.workload)
    trust = ssl.create_default_context(cafile=job.certificate) if job.tls else None
    url = f"{'wss' if job.tls else 'ws'}://127.0.0.1:{job.port}"
    module, _, function = job.opens.partition(".")
    save: Save = await getattr(importlib.import_module(f"bench.cost.{module}"), function)(job)
    # One after the other, so that each is the exchange of its number. Small messages: nothing to deflate.
    sockets = [
        await connect(f"{url}/{number}", ssl=trust, compression=None, ping_interval=None)
        for number in range(job.workload.connections)
    ]
    left = Countdown(job.workload.total)
    tasks = [asyncio.create_task(follow(connection, save, times.done, job.workload.orders, left)) for connection in sockets]
    times.cpu = time.process_time()
    print("ready", flush=True)
    await asyncio.gather(*tasks)
    sys.exit("the exchange ended before all was handled")


class Countdown:
    """Ends this process, as `kill -9` does, when nothing is left."""

    def __init__(self, count: int) -> None:
        self.count = count

    def one(self) -> None:
        self.count -= 1
        if not self.count:
            os.kill(os.getpid(), signal.SIGKILL)


async def follow(connection: ClientConnection, save: Save, done: memoryview[int], orders: int, left: Countdown) -> None:
    """One strategy."""
    position = 0
    now, later = save.now, save.later
    async for message in connection:
        exchange_id, _, order_id = str(message).partition(":")
        exchange, order = int(exchange_id), int(order_id)
        position += 1
        if now is not None:
            now(exchange, order)
        elif later is not None:
            await later(exchange, order)
        done[exchange * orders + order] = time.monotonic_ns()
        left.one()


if __name__ == "__main__":
    told = Job.read(sys.argv[1])
    os.sched_setaffinity(0, {told.core})
    ahead_of_others()
    asyncio.run(main(told))

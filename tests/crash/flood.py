"""Kills the capture process again and again under a flood of small packets: not one may be missing.

python -m tests.crash.flood --kills 50 --rate 20000 [--seed N]
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import socket
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

from tests.live.live_tools import Recording, rows, wait_for

MESSAGE = bytes(150)
BURST = 20


class Outcome(NamedTuple):
    """What came of it."""

    seed: int
    kills: int
    messages: int
    seconds: float
    packets: int

    def __str__(self) -> str:
        rate = self.messages / self.seconds
        return (
            f"seed {self.seed}: capture killed {self.kills} times in {self.seconds:.0f} s under {rate:,.0f} messages a second: "
            f"{self.packets:,} packets, no TCP gap, no kernel drop"
        )


def run(folder: Path, seed: int, kills: int, rate: int) -> Outcome:
    """Raises `AssertionError` where a byte is missing."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    db = folder / "orders.duckdb"
    ending = threading.Event()
    sent = 0
    with socket.create_server(("127.0.0.1", 0)) as server:

        def flood() -> None:
            nonlocal sent
            with socket.create_connection(server.getsockname()) as sender:
                sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                due = time.monotonic()
                while not ending.is_set():
                    for _ in range(BURST):
                        sender.send(MESSAGE)
                    sent += BURST
                    due += BURST / rate
                    time.sleep(max(0.0, due - time.monotonic()))

        def swallow() -> None:
            peer, _ = server.accept()
            with peer:
                while peer.recv(1 << 16):
                    pass

        threads = [threading.Thread(target=flood), threading.Thread(target=swallow)]
        with Recording(db, "--port", server.getsockname()[1]) as recording:
            for thread in threads:
                thread.start()
            begun = time.monotonic()
            for _ in range(kills):
                time.sleep(rng.uniform(0.1, 0.6))
                capture = wait_for(lambda: recording.children().get("capture"), "a capture process")
                os.kill(capture, signal.SIGKILL)
                wait_for(lambda died=capture: recording.children().get("capture", died) != died, "another one")
            ending.set()
            seconds = time.monotonic() - begun
            for thread in threads:
                thread.join()
            time.sleep(0.3)
            os.kill(recording.pid, signal.SIGINT)
            assert recording.process.wait(120) == 0
    ((packets, drops),) = rows(db, "SELECT packets, kernel_drops FROM captures")
    assert drops == 0
    size = sent * len(MESSAGE)
    found = rows(db, "SELECT DISTINCT layer, reason, bytes FROM losses")
    assert [bytes_ for _, _, bytes_ in found] == [size], found  # one, of all: it is neither HTTP nor a websocket
    assert rows(db, "SELECT client_bytes, lost_bytes FROM connections") == [(size, 0)]
    return Outcome(seed, kills, sent, seconds, packets)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--rate", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=random.randrange(1, 10**6))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sniffer-flood-") as folder:
        print(run(Path(folder), options.seed, options.kills, options.rate))


if __name__ == "__main__":
    main()

"""Records the demo's traffic again: `python -m pcaps.demo.record`, on a machine with tcpdump, as one that may capture.

Unlike the other captures it is real traffic, so it is never the same twice; what it must hold stands in `truth.json.gz`,
which the simulated exchange writes of its own books. Half of it is TLS, whose secrets stand in the capture itself: they open
nothing but this made-up traffic.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pcaps.kit.files import enhanced, interface, section
from pcaps.kit.tls import secrets

FOLDER = Path(__file__).parent
ASSETS, SECONDS, RATE, SEED = 24, 8, 1.5, 7
VENUES = ("binance-spot", "okx", "bitfinex")


def free_ports(count: int) -> int:
    """The first of `count` TCP ports in a row that nobody listens on."""
    while True:
        with contextlib.ExitStack() as probes, contextlib.suppress(OSError):
            first = 0
            for offset in range(count):
                probe = probes.enter_context(socket.socket())
                probe.bind(("127.0.0.1", first and first + offset))
                first = first or int(probe.getsockname()[1])
            return first


def with_secrets(pcap: bytes, key_log: str) -> bytes:
    """What tcpdump wrote (a native pcap in microseconds) as pcapng, behind the secrets of its TLS connections."""
    blocks, at = [section(), interface(), secrets(key_log)], 24
    while at < len(pcap):
        seconds, micros, captured, original = struct.unpack_from("=4I", pcap, at)
        blocks.append(enhanced(seconds * 1_000_000 + micros, pcap[at + 16 : at + 16 + captured], original=original))
        at += 16 + captured
    return b"".join(blocks)


def main() -> int:
    """Record, compress, and put capture and truth beside this file."""
    tcpdump = shutil.which("tcpdump")
    if tcpdump is None:
        print("pcaps/demo: left as it is: tcpdump is not installed", file=sys.stderr)
        return 0
    count = len(VENUES)
    port = free_ports(2 * count)
    with tempfile.TemporaryDirectory() as folder:
        raw, truth, keys = (Path(folder) / name for name in ("demo.pcap", "truth.json", "keys.log"))
        dump = subprocess.Popen(
            [
                tcpdump,
                "-i",
                "lo",
                "-U",
                "-s",
                "0",
                "-B",
                "16384",
                "-w",
                str(raw),
                f"tcp portrange {port}-{port + 2 * count - 1}",
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 5
        while not raw.exists() and dump.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        if dump.poll() is not None:
            print(f"pcaps/demo: left as it is: {(dump.stderr.read() if dump.stderr else '').strip()}", file=sys.stderr)
            return 0
        numbers = {"assets": ASSETS, "seconds": SECONDS, "rate": RATE, "seed": SEED, "port": port, "tls-port": port + count}
        options = [text for name, value in numbers.items() for text in (f"--{name}", str(value))]
        command = [sys.executable, "-m", "strategies.demo", "--venues", *VENUES, *options, "--truth", str(truth)]
        subprocess.run(command, check=True, env=os.environ | {"SSLKEYLOGFILE": str(keys)})
        time.sleep(0.5)
        dump.send_signal(signal.SIGINT)
        dump.wait(timeout=10)
        capture = with_secrets(raw.read_bytes(), keys.read_text(encoding="ascii"))
        for name, data in (("demo.pcapng", capture), ("truth.json", truth.read_bytes())):
            with gzip.GzipFile(FOLDER / f"{name}.gz", "wb", 9, mtime=0) as packed:
                packed.write(data)
    return 0


if __name__ == "__main__":
    sys.exit(main())

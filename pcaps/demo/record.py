"""Records the demo's traffic again: `python -m pcaps.demo.record`, on a machine with tcpdump, as one that may capture.

Unlike the other captures it is real traffic, so it is never the same twice; what it must hold stands in `truth.json.gz`,
which the simulated exchange writes of its own books.
"""

from __future__ import annotations

import gzip
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FOLDER = Path(__file__).parent
ASSETS, SECONDS, RATE, SEED = 24, 8, 1.5, 7


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> int:
    """Record, compress, and put capture and truth beside this file."""
    tcpdump = shutil.which("tcpdump")
    if tcpdump is None:
        print("pcaps/demo: left as it is: tcpdump is not installed", file=sys.stderr)
        return 0
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        raw, truth = Path(folder) / "demo.pcap", Path(folder) / "truth.json"
        dump = subprocess.Popen(
            [tcpdump, "-i", "lo", "-U", "-s", "0", "-B", "16384", "-w", str(raw), "tcp", "port", str(port)],
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 5
        while not raw.exists() and dump.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        if dump.poll() is not None:
            print(f"pcaps/demo: left as it is: {(dump.stderr.read() if dump.stderr else '').strip()}", file=sys.stderr)
            return 0
        numbers = {"assets": ASSETS, "seconds": SECONDS, "rate": RATE, "seed": SEED, "port": port}
        options = [text for name, value in numbers.items() for text in (f"--{name}", str(value))]
        subprocess.run([sys.executable, "-m", "strategies.demo", *options, "--truth", str(truth)], check=True)
        time.sleep(0.5)
        dump.send_signal(signal.SIGINT)
        dump.wait(timeout=10)
        for path in (raw, truth):
            with gzip.GzipFile(FOLDER / f"{path.name}.gz", "wb", 9, mtime=0) as packed:
                packed.write(path.read_bytes())
    return 0


if __name__ == "__main__":
    sys.exit(main())

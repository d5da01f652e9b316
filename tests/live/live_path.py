"""Two network namespaces and a bad path between them: a process that forwards packets from one TUN device to another.

It loses, delays, duplicates and corrupts, in two stages with a tap between them. The namespaces have no name, and live as long
as a process is inside or holds them open: they go when this process does, which ends with its standard input.
"""

from __future__ import annotations

import fcntl
import heapq
import itertools
import json
import os
import random
import select
import struct
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

from sniffer.model import CHECKSUM_UNKNOWN
from tests.live.live_mangle import FIN, SYN, sound
from tests.live.live_network import own_network
from tests.live.live_tools import PATIENCE, ROOT

CLIENT, SERVER = "10.77.0.1", "10.77.0.2"
DEVICES = ("client0", "server0")
_TUNSETIFF = 0x400454CA  # linux/if_tun.h, as the next
_IFF_TUN_NO_PI = 0x1001
_LINKTYPE_RAW = 101


@dataclass(frozen=True)
class Faults:
    """Shares of packets, in each stage and direction."""

    lose: float = 0.01
    duplicate: float = 0.02
    corrupt: float = 0.02
    late: float = 0.05
    latest: float = 0.03
    """Seconds that a late packet is late, at most."""
    unseen: float = 0.02
    """Of those with payload, that the tap does not see."""


class BadPath:
    """The path, as a context manager."""

    def __init__(self, seed: int, faults: Faults, tap: Path) -> None:
        """`tap`: the pcap file of what passes between the stages."""
        self._command = [sys.executable, "-m", "tests.live.live_path", str(seed), json.dumps(asdict(faults)), str(tap)]

    def __enter__(self) -> BadPath:
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        assert self._process.stdout is not None
        descriptors = self._process.stdout.readline().split()
        assert len(descriptors) == 2, "the forwarder did not start"
        self.client, self.server = (f"/proc/{self._process.pid}/fd/{number}" for number in descriptors)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            out, _ = self._process.communicate(timeout=PATIENCE)
        finally:
            self._process.kill()
            self._process.wait()
        self.counts: dict[str, int] = json.loads(out)
        print(self.counts)


# --- the process ------------------------------------------------------------------------------------------------------------


def _new_namespace(device: str, address: str) -> tuple[int, int]:
    """Descriptors of a new namespace, in which this process is now, and of its TUN device."""
    own_network()
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, _TUNSETIFF, struct.pack("16sH22x", device.encode(), _IFF_TUN_NO_PI))
    for command in (f"addr add {address}/24 dev {device}", f"link set {device} up"):
        subprocess.run(["ip", *command.split()], check=True)
    return os.open("/proc/self/ns/net", os.O_RDONLY), tun


class _Forwarder:
    def __init__(self, seed: int, faults: Faults, tap: Path, tuns: list[int]) -> None:
        self._rng = random.Random(f"path {seed}")
        self._faults = faults
        self._tuns = tuns
        self._under_way: list[tuple[float, int, int, int, bytes]] = []  # due, number, stage, source, packet
        self._numbers = itertools.count()
        self.counts = dict.fromkeys(("forwarded", "lost", "duplicated", "corrupted", "late", "unseen"), 0)
        self._tap = tap.open("wb")
        self._tap.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 1 << 18, _LINKTYPE_RAW))

    def run(self) -> None:
        poll = select.poll()
        for descriptor in (*self._tuns, sys.stdin.fileno()):
            poll.register(descriptor, select.POLLIN)
        while True:
            wait = max(0.0, self._under_way[0][0] - time.monotonic()) * 1000 if self._under_way else None
            for descriptor, _ in poll.poll(wait):
                if descriptor == sys.stdin.fileno():
                    self._tap.close()
                    return
                self._read(self._tuns.index(descriptor))
            while self._under_way and self._under_way[0][0] <= time.monotonic():
                _, _, stage, source, packet = heapq.heappop(self._under_way)
                self._arrived(stage, source, packet)

    def _read(self, source: int) -> None:
        while True:
            try:
                packet = os.read(self._tuns[source], 1 << 16)
            except BlockingIOError:
                return
            if packet[0] >> 4 == 4:  # not the neighbour discovery of IPv6
                self._stage(1, source, packet)

    def _stage(self, stage: int, source: int, packet: bytes) -> None:
        rng, faults, counts = self._rng, self._faults, self.counts
        if rng.random() < faults.lose:
            counts["lost"] += 1
            return
        copies = 1 + (rng.random() < faults.duplicate)
        counts["duplicated"] += copies - 1
        for _ in range(copies):
            due, copy = time.monotonic(), packet
            if rng.random() < faults.late:
                counts["late"] += 1
                due += rng.uniform(0, faults.latest)
            if rng.random() < faults.corrupt:
                counts["corrupted"] += 1
                copy = self._corrupted(packet)
            heapq.heappush(self._under_way, (due, next(self._numbers), stage, source, copy))

    def _arrived(self, stage: int, source: int, packet: bytes) -> None:
        if stage == 1:
            self._seen(packet)
            self._stage(2, source, packet)
            return
        self.counts["forwarded"] += 1
        try:
            os.write(self._tuns[1 - source], packet)
        except OSError:
            pass  # so corrupted that the kernel does not take it for IP

    def _corrupted(self, packet: bytes) -> bytes:
        """Bits of the payload, or of any byte, are turned, or the end is cut off; a checksum tells, as it was left alone."""
        damaged = packet
        while any(sound([(0, _LINKTYPE_RAW, damaged, len(damaged), CHECKSUM_UNKNOWN)])):  # two turned bits may cancel out
            damaged = self._damaged(packet)
        return damaged

    def _damaged(self, packet: bytes) -> bytes:
        rng = self._rng
        kind, damaged = rng.random(), bytearray(packet)
        if kind > 0.9:
            return packet[: rng.randint(20, len(packet))]
        start = _payload(packet) if kind < 0.6 and _payload(packet) < len(packet) else 0
        for _ in range(rng.choice([1, 1, 2, 5])):
            damaged[rng.randrange(start, len(packet))] ^= 1 << rng.randrange(8)
        return bytes(damaged)

    def _seen(self, packet: bytes) -> None:
        if _payload(packet) < len(packet) and not packet[33] & (SYN | FIN) and self._rng.random() < self._faults.unseen:
            self.counts["unseen"] += 1
            return
        seconds, nanoseconds = divmod(time.time_ns(), 10**9)
        self._tap.write(struct.pack("<4I", seconds, nanoseconds, len(packet), len(packet)) + packet)


def _payload(packet: bytes) -> int:
    """Where the payload of an IPv4/TCP packet without IP options begins, as far as it can be told."""
    return 20 + (packet[32] >> 4) * 4 if len(packet) > 40 else len(packet)


def main() -> None:
    seed, faults, tap = int(sys.argv[1]), Faults(**json.loads(sys.argv[2])), Path(sys.argv[3])
    ends = [_new_namespace(device, address) for device, address in zip(DEVICES, (CLIENT, SERVER), strict=True)]
    forwarder = _Forwarder(seed, faults, tap, [tun for _, tun in ends])
    print(*(namespace for namespace, _ in ends), flush=True)
    forwarder.run()
    print(json.dumps(forwarder.counts), flush=True)


if __name__ == "__main__":
    main()

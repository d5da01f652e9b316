"""Capture files of any size, written packet by packet: plain struct and zlib, some 15 us a message, memory flat.

Each has its truth beside it (`.json`), and is kept until its maker changes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from struct import Struct
from typing import Final

from bench import sealed
from bench.messages import HOST, Feed, Truth
from pcaps.kit import tls

START: Final = 1_760_000_000_000_000_000
"""Time of the first packet, ns: 2025-10-09 08:53:20 UTC."""

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
_FIN, _SYN, _PSH, _ACK = 0x01, 0x02, 0x08, 0x10
_RECORD = Struct("<IIII").pack
_IPV4 = Struct("!HHHBBH8s").pack
_TCP = Struct("!HHIIHHHHHHII").pack
_TCP_SIZE: Final = 32  # with the time stamps option (RFC 7323), as between Linux hosts
_TCP_AT: Final = 34
_CHECKSUM_AT: Final = _TCP_AT + 16
_ETHERNET: Final = bytes.fromhex("020000000002020000000001 0800 4500")


@dataclass(frozen=True)
class Workload:
    """What a capture holds. `rate`: messages a second of capture time, over all connections."""

    messages: int
    connections: int = 10
    order_share: float = 0.1
    compressed: bool = False
    tls: str = ""
    """A version of `bench.sealed.SUITES`; empty: no TLS."""
    offloaded: bool = False
    """Checksums hold only the pseudo-header's sum, as on loopback."""
    rate: float = 5_000.0
    seed: int = 1

    @property
    def name(self) -> str:
        parts = [f"{self.messages}", f"{self.connections}c", f"{self.order_share:.0%}".rstrip("%") + "orders"]
        parts += ["deflate" if self.compressed else "plain"] + ["offloaded"] * self.offloaded
        parts += [f"tls{self.tls}"] * bool(self.tls)
        return "-".join(parts) + (f"-{self.seed}" if self.seed != 1 else "")


@dataclass(frozen=True)
class Capture:
    """A file and what it holds."""

    path: Path
    workload: Workload
    truth: Truth

    @property
    def keylog(self) -> Path | None:
        """The secrets of its connections, where it has any."""
        return self.path.with_suffix(".keys") if self.workload.tls else None

    @property
    def bytes(self) -> int:
        return self.path.stat().st_size


def capture(workload: Workload, folder: Path) -> Capture:
    """The capture of `workload`, made if it is not in `folder` yet."""
    sources = [Path(__file__).with_name(name) for name in ("captures.py", "messages.py")]
    sources += [Path(sealed.__file__), Path(tls.__file__)] * bool(workload.tls)
    version = hashlib.blake2b(b"".join(path.read_bytes() for path in sources), digest_size=4).hexdigest()
    path = folder / f"{workload.name}-{workload.rate:.0f}-{version}.pcap"
    said = path.with_suffix(".json")
    if not said.exists():
        folder.mkdir(parents=True, exist_ok=True)
        truth = write(workload, path)
        said.write_text(json.dumps({"workload": asdict(workload), "truth": asdict(truth)}))
    return opened(path)


def opened(path: Path) -> Capture:
    """A capture that was made before."""
    said = json.loads(path.with_suffix(".json").read_text())
    return Capture(path, Workload(**said["workload"]), Truth(**said["truth"]))


def write(workload: Workload, path: Path) -> Truth:
    """Write the capture; the truth of what it holds."""
    feeds = [Feed(number, workload.seed, workload.order_share) for number in range(workload.connections)]
    keys: list[str] = []
    with path.open("wb", buffering=1 << 20) as file:
        # the nanosecond pcap header: version 2.4, snap length 262144, Ethernet
        file.write(Struct("<IHHiIII").pack(0xA1B23C4D, 2, 4, 0, 0, 262_144, 1))
        for now, packet in _packets(workload, feeds, keys):
            size = len(packet)
            file.write(_RECORD(*divmod(now, 1_000_000_000), size, size) + packet)
    if keys:
        path.with_suffix(".keys").write_text("".join(keys))
    truth = Truth()
    for feed in feeds:
        truth.add(feed.truth)
    return truth


def _packets(workload: Workload, feeds: list[Feed], keys: list[str]) -> Iterator[tuple[int, bytes]]:
    """(time in ns, Ethernet frame), in order of time; the lines of the key log go to `keys`."""
    rng = random.Random(workload.seed)
    now = START
    talks = []
    for number, feed in enumerate(feeds):
        talk = _Talk(number, feed, workload)
        talks.append(talk)
        if talk.handshake is not None:
            keys.append(talk.handshake.key_log)
        for packet in talk.open():
            now += 200_000
            yield now, packet
    pause, pick = 1e9 / workload.rate, rng.random
    for _ in range(workload.messages):
        now += int(rng.expovariate(1.0) * pause) + 1
        talk = talks[int(pick() * len(talks))]
        yield now, talk.message(now)
        if talk.unacknowledged >= 2:
            now += 20_000
            yield now, talk.acknowledge(now)
    for talk in talks:
        for packet in talk.close(now):
            now += 200_000
            yield now, packet


class _Talk:
    """One TCP connection; the server pushes, the client acknowledges every second segment."""

    def __init__(self, number: int, feed: Feed, workload: Workload) -> None:
        self.unacknowledged = 0
        self._feed = feed
        self.handshake = sealed.Handshake(workload.tls, workload.seed + number) if workload.tls else None
        self._compressor = zlib.compressobj(wbits=-15) if workload.compressed else None
        client = bytes((10, 0, number >> 8 & 255, number & 255))
        server = bytes((203, 0, 113, 1 + number % 250))
        self._client = _Side(client, 20_000 + number % 40_000, server, 9443, 1_000_000_000, workload.offloaded)
        self._server = _Side(server, 9443, client, 20_000 + number % 40_000, 2_000_000_000, workload.offloaded)

    def open(self) -> Iterator[bytes]:
        """The handshakes of TCP (RFC 9293 section 3.5) and of the websocket (RFC 6455 section 4)."""
        client, server = self._client, self._server
        yield client.segment(server, b"", _SYN, START)
        yield server.segment(client, b"", _SYN | _ACK, START)
        yield client.segment(server, b"", _ACK, START)
        for sender, data in self.handshake.flights if self.handshake else ():
            side, peer = (client, server) if sender == "client" else (server, client)
            yield side.segment(peer, data, _PSH | _ACK, START)
        request, response = upgrade(self._feed.path, compressed=self._compressor is not None)
        yield client.segment(server, self._seal("client", request), _PSH | _ACK, START)
        yield server.segment(client, self._seal("server", response), _PSH | _ACK, START)
        yield client.segment(server, b"", _ACK, START)

    def message(self, now: int) -> bytes:
        """The next message, as one frame in one segment."""
        self.unacknowledged += 1
        data = frame(self._feed.next(now), self._compressor)
        return self._server.segment(self._client, self._seal("server", data), _PSH | _ACK, now)

    def _seal(self, sender: str, data: bytes) -> bytes:
        return self.handshake.sealed(sender, data) if self.handshake is not None else data

    def acknowledge(self, now: int) -> bytes:
        self.unacknowledged = 0
        return self._client.segment(self._server, b"", _ACK, now)

    def close(self, now: int) -> Iterator[bytes]:
        yield self._client.segment(self._server, b"", _FIN | _ACK, now)
        yield self._server.segment(self._client, b"", _FIN | _ACK, now)
        yield self._client.segment(self._server, b"", _ACK, now)


class _Side:
    """What one end sends."""

    def __init__(self, address: bytes, port: int, peer: bytes, peer_port: int, sequence: int, offloaded: bool) -> None:
        self.sequence = sequence
        self._addresses = address + peer
        self._ports = port, peer_port
        self._offloaded = offloaded
        self._id = port
        self._pseudo = _sum(self._addresses) + 6  # RFC 9293 section 3.1; the length is added later
        self._ip_sum = _sum(self._addresses) + 0x4500 + 0x4000 + 0x4006

    def segment(self, peer: _Side, payload: bytes, flags: int, now: int) -> bytes:
        """An Ethernet frame; a SYN and a FIN take a sequence number each."""
        length = _TCP_SIZE + len(payload)
        self._id = self._id + 1 & 0xFFFF
        header = 0xFFFF - ((self._ip_sum + length + 20 + self._id) % 0xFFFF or 0xFFFF)
        stamp = now // 1_000_000 & 0xFFFFFFFF
        acknowledged = peer.sequence if flags & _ACK else 0
        options = 0x0101, 0x080A, stamp, stamp
        tcp = _TCP(*self._ports, self.sequence, acknowledged, _TCP_SIZE << 10 | flags, 65_535, 0, 0, *options)
        total = self._pseudo + length
        if self._offloaded:
            checksum = total % 0xFFFF or 0xFFFF
        else:
            number = int.from_bytes(tcp + payload)
            checksum = 0xFFFF - ((total + (number << 8 if length & 1 else number)) % 0xFFFF or 0xFFFF)
        self.sequence = self.sequence + len(payload) + (1 if flags & (_SYN | _FIN) else 0) & 0xFFFFFFFF
        ip = _IPV4(length + 20, self._id, 0x4000, 64, 6, header, self._addresses)
        return b"".join((_ETHERNET, ip, tcp[:16], checksum.to_bytes(2), tcp[18:], payload))


def _sum(data: bytes) -> int:
    return int.from_bytes(data) % 0xFFFF


def frame(payload: bytes, compressor: zlib._Compress | None = None) -> bytes:
    """A server's text message as one frame (RFC 6455 section 5.2), deflated with context takeover (RFC 7692 section 7.2.1)."""
    first = 0x81
    if compressor is not None:
        payload = (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
        first = 0xC1
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    return bytes((first, 126, size >> 8, size & 255)) + payload


def upgrade(path: str, *, compressed: bool) -> tuple[bytes, bytes]:
    """Request and response of the opening handshake."""
    key = base64.b64encode(hashlib.blake2b(path.encode(), digest_size=16).digest())
    accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())
    common = b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    extension = b"Sec-WebSocket-Extensions: permessage-deflate\r\n" if compressed else b""
    request = (
        f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n".encode()
        + common
        + b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
        + key
        + b"\r\n"
        + extension
        + b"\r\n"
    )
    response = (
        b"HTTP/1.1 101 Switching Protocols\r\n" + common + b"Sec-WebSocket-Accept: " + accept + b"\r\n" + extension + b"\r\n"
    )
    return request, response

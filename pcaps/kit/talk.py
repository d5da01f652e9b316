"""One TCP connection as both ends speak it: packets for the capture, and on the way the truth of what they hold."""

from __future__ import annotations

import random
from typing import Any

from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet, Raw

from pcaps.kit.deflate import Deflater
from pcaps.kit.frames import OPCODES, RSV1, frame, upgrade_request, upgrade_response
from pcaps.kit.truth import Connection, Message

START = 1_700_000_000_000_000_000
"""First packet of every capture, ns: 2023-11-14 22:13:20 UTC."""
MS = 1_000_000

Timed = tuple[int, Packet]
"""(time in ns, IP packet)."""


def endpoint(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def other(sender: str) -> str:
    return "server" if sender == "client" else "client"


class Talk:
    """Packets stand in `packets` in the order in which they are captured; makers reorder, drop and repeat them there.

    `seen=False` sends a segment that the capture misses though the peer got it, so sequence numbers go on behind a hole.
    """

    def __init__(
        self,
        client: str = "192.0.2.1:40000",
        server: str = "198.51.100.1:9443",
        *,
        client_isn: int = 1_000_000_000,
        server_isn: int = 2_000_000_000,
        start: int = START,
        step: int = MS,
        seed: int = 1,
    ) -> None:
        self.truth = Connection(client, server)
        self.ends = {"client": endpoint(client), "server": endpoint(server)}
        self.next = {"client": client_isn, "server": server_isn}
        self.deflaters: dict[str, Deflater] = {}
        self.packets: list[Timed] = []
        self.clock, self.step = start, step
        self.random = random.Random(seed)

    # --- TCP ---

    def segment(
        self,
        sender: str,
        data: bytes = b"",
        flags: str = "A",
        *,
        seq: int | None = None,
        ack: int | None = None,
        seen: bool = True,
        ip: dict[str, Any] | None = None,
        **tcp: Any,
    ) -> int:
        """One segment; the next in order unless `seq` says otherwise. Returns its sequence number."""
        (source, sport), (target, dport) = self.ends[sender], self.ends[other(sender)]
        number = self.next[sender] if seq is None else seq % (1 << 32)
        if ack is None:
            ack = self.next[other(sender)] if "A" in flags else 0
        head = IPv6(src=source, dst=target, **(ip or {})) if ":" in source else IP(src=source, dst=target, ttl=64, **(ip or {}))
        tcp = {"window": 65_535} | tcp
        packet = head / TCP(sport=sport, dport=dport, seq=number, ack=ack % (1 << 32), flags=flags, **tcp)
        if data:
            packet /= Raw(data)
        if seq is None:
            self.next[sender] = (number + len(data) + ("S" in flags) + ("F" in flags)) % (1 << 32)
        if seen:
            self.packets.append((self.clock, packet))
        self.clock += self.step
        return number

    def open(self, data: bytes = b"") -> Talk:
        """The three-way handshake; `data` rides on the SYN."""
        self.segment("client", data, "S", options=[("MSS", 1460)])
        self.segment("server", flags="SA", options=[("MSS", 1460)])
        self.segment("client")
        return self

    def send(self, sender: str, data: bytes, *, seen: bool = True, size: int = 1460) -> None:
        """Stream bytes in segments of at most `size`, then the peer's acknowledgement."""
        for at in range(0, len(data), size):
            self.segment(sender, data[at : at + size], "PA", seen=seen)
        self.segment(other(sender))

    def close(self) -> Talk:
        """FIN from the client, FIN from the server, the last acknowledgement."""
        self.segment("client", flags="FA")
        self.segment("server", flags="FA")
        self.segment("client")
        return self

    def wait(self, milliseconds: int) -> None:
        """Nothing happens for so long."""
        self.clock += milliseconds * MS

    # --- websocket ---

    def upgrade(
        self,
        chosen: str | None = None,
        *,
        offer: str | None = None,
        bits: tuple[int, int] = (15, 15),
        target: str = "/ws",
        host: str = "exchange.example",
    ) -> Talk:
        """The opening handshake. `chosen`: the extensions that the server accepts; `bits`: windows of client and server."""
        self.send("client", upgrade_request(offer or chosen, target=target, host=host))
        self.send("server", upgrade_response(chosen))
        if chosen and "permessage-deflate" in chosen:
            self.compress(chosen, bits)
        return self

    def compress(self, chosen: str, bits: tuple[int, int] = (15, 15)) -> None:
        """From here on `say` compresses, as the server's answer `chosen` says (RFC 7692 section 7.1)."""
        for sender, size in zip(("client", "server"), bits, strict=True):
            self.deflaters[sender] = Deflater(size, takeover=f"{sender}_no_context_takeover" not in chosen)

    def mask(self, sender: str) -> bytes | None:
        """A client masks, a server does not (RFC 6455 section 5.1)."""
        return self.random.randbytes(4) if sender == "client" else None

    def expect(self, sender: str, payload: bytes | str, opcode: str = "text", *, optional: bool = False) -> None:
        """A recorder gets this message."""
        data = payload.encode() if isinstance(payload, str) else payload
        self.truth.messages.append(Message(sender, opcode, data, optional))

    def frame(
        self, sender: str, payload: bytes | str, opcode: str = "text", *, compress: bool | None = None, **how: Any
    ) -> bytes:
        """One whole message as one frame. `compress`: default wherever it was negotiated, control frames excepted."""
        data = payload.encode() if isinstance(payload, str) else payload
        if compress is None:
            compress = sender in self.deflaters and OPCODES[opcode] < 8
        if compress:
            data = self.deflaters[sender].message(data)
            how["rsv"] = RSV1
        return frame(data, OPCODES[opcode], **({"mask": self.mask(sender)} | how))

    def say(
        self,
        sender: str,
        payload: bytes | str,
        opcode: str = "text",
        *,
        seen: bool = True,
        truth: bool | None = None,
        optional: bool = False,
        size: int = 1460,
        **how: Any,
    ) -> None:
        """Send one message; it joins the truth if it is seen (or as `truth` says)."""
        self.send(sender, self.frame(sender, payload, opcode, **how), seen=seen, size=size)
        if seen if truth is None else truth:
            self.expect(sender, payload, opcode, optional=optional)

    def scatter(self, sender: str, payload: str, *spans: tuple[int, int], truth: bool = True) -> None:
        """One message in segments that cover these (start, end) bytes of its frame, captured in this order, then the ACK."""
        data = self.frame(sender, payload)
        base = self.next[sender]
        for start, end in spans:
            self.segment(sender, data[start:end], "PA", seq=base + start)
        self.next[sender] = (base + len(data)) % (1 << 32)
        if truth:
            self.expect(sender, payload)
        self.segment(other(sender))

    def lose(self, sender: str, count: int | None) -> None:
        """A recorder must report a loss here: `count` stream bytes that no packet brings (None: not said)."""
        self.truth.lost = True
        self.truth.lost_bytes[sender] = count

    # --- captured order ---

    def move(self, index: int, to: int) -> None:
        """Packet `index` is captured at place `to` instead; times stay in order."""
        self.packets.insert(to if to >= 0 else len(self.packets) + to, self.packets.pop(index))
        self.retime()

    def retime(self) -> None:
        """Give the packets, in the order they stand in, times that only grow."""
        times = sorted(time for time, _ in self.packets)
        self.packets = [(time, packet) for time, (_, packet) in zip(times, self.packets, strict=True)]


def hello(client: str = "192.0.2.1:40000", server: str = "198.51.100.1:9443", **how: Any) -> Talk:
    """A short whole connection, for captures whose oddity lies elsewhere."""
    talk = Talk(client, server, **how).open().upgrade()
    talk.say("client", '{"id":1,"method":"order.place","params":{"symbol":"EXMUSDT","price":"7.25","quantity":"40"}}')
    talk.say("server", '{"id":1,"status":200,"result":{"symbol":"EXMUSDT","orderId":7001}}')
    talk.say("server", bytes(range(64)), "binary")
    talk.say("client", b"\x03\xe8", "close")
    talk.say("server", b"\x03\xe8", "close")
    return talk.close()

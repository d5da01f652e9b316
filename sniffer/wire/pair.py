"""Both sides of a websocket."""

from __future__ import annotations

from typing import Final

from sniffer.config import Limits
from sniffer.model import Sender, WireMessage
from sniffer.wire.deflate import Deflate, Inflater
from sniffer.wire.losses import LossLedger
from sniffer.wire.stream import Item
from sniffer.wire.websocket import WebSocketReader

SENDERS: Final[tuple[Sender, Sender]] = ("client", "server")

Delivery = list[tuple[Sender, list[WireMessage]]]
"""Messages by sender, in each sender's order."""


class WebSocketPair:
    """A reader for each sender."""

    def __init__(self, client: WebSocketReader, server: WebSocketReader) -> None:
        self.readers: dict[Sender, WebSocketReader] = {"client": client, "server": server}

    @classmethod
    def agreed(
        cls,
        limits: Limits,
        ledger: LossLedger,
        positions: dict[Sender, int],
        latest: dict[Sender, int],
        deflate: Deflate | None,
        *,
        client_boundary_known: bool,
    ) -> WebSocketPair:
        """After the opening handshake. `positions`, `latest`: where the reader of each sender begins (`WebSocketReader`).

        `client_boundary_known` False: where the client's first frame begins is not known.
        """
        client = server = None
        if deflate is not None:
            client = Inflater(deflate.client_takeover, deflate.client_window_bits, limits.message_bytes, limits.inflated_bytes)
            server = Inflater(deflate.server_takeover, deflate.server_window_bits, limits.message_bytes, limits.inflated_bytes)
        return cls(
            WebSocketReader(
                "client",
                limits,
                ledger,
                position=positions["client"],
                latest=latest["client"],
                inflater=client,
                boundary_known=client_boundary_known,
            ),
            WebSocketReader("server", limits, ledger, position=positions["server"], latest=latest["server"], inflater=server),
        )

    @classmethod
    def joined_midway(
        cls, limits: Limits, ledger: LossLedger, positions: dict[Sender, int], latest: dict[Sender, int]
    ) -> WebSocketPair:
        """No handshake was seen."""
        client, server = (
            WebSocketReader(name, limits, ledger, position=positions[name], latest=latest[name], handshake_seen=False)
            for name in SENDERS
        )
        return cls(client, server)

    @property
    def proved(self) -> bool:
        """Whether a frame boundary of either side was ever known."""
        return any(reader.sends_masked is not None for reader in self.readers.values())

    @property
    def swapped(self) -> bool | None:
        """Whether client and server were mixed up: only clients mask their frames (RFC 6455 section 5.1). None: not known."""
        masked = {name: reader.sends_masked for name, reader in self.readers.items()}
        return masked["client"] is False or masked["server"] is True if self.proved else None

    def held_bytes(self) -> int:
        """Bytes of messages that are not whole yet."""
        return sum(reader.buffered_bytes() for reader in self.readers.values())

    def feed(self, items: dict[Sender, list[Item]]) -> Delivery:
        """The messages that `items` complete."""
        return [(name, self.readers[name].feed(items[name])) for name in SENDERS if items[name]]

    def swap(self) -> None:
        """Client and server were mixed up."""
        self.readers = {"client": self.readers["server"], "server": self.readers["client"]}
        for name, reader in self.readers.items():
            reader.sender = name

    def take_holes(self) -> list[tuple[Sender, int]]:
        """(sender, position) of messages before which something of that sender was lost, since this was last asked."""
        found = []
        for sender, reader in self.readers.items():
            if reader.holes:
                found += [(sender, position) for position in reader.holes]
                reader.holes = []
        return found

    def shed(self, time: int, reason: str) -> None:
        """Give up what is held."""
        for reader in self.readers.values():
            if reader.buffered_bytes():
                reader.shed(time, reason)

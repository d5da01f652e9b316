"""TLS of one connection: ciphertext of both sides in, plaintext out."""

from __future__ import annotations

from sniffer.config import Limits
from sniffer.model import Sender
from sniffer.wire.keylog import KeyLog
from sniffer.wire.losses import LossLedger
from sniffer.wire.stream import EVERYTHING_READ, Item, Place, place_of, time_of
from sniffer.wire.tls.negotiation import Negotiation
from sniffer.wire.tls.reader import SideReader

Plaintext = tuple[list[Item], list[Item]]
"""The client's and the server's items; offsets count bytes of plaintext.

Each piece of data begins where a record, or a packet inside a record, begins. An empty one says only how late it is: the record
that follows was whole no earlier. A gap of unknown length stands where records were lost.
"""


class TlsLayer:
    """Records of both sides to application data, for one connection.

    What cannot be read becomes a loss in the ledger, layer "tls", with offsets of the TCP stream and bytes of ciphertext.
    """

    def __init__(
        self, keylog: KeyLog, limits: Limits, ledger: LossLedger, *, joined_midway: bool, roles_guessed: bool = False
    ) -> None:
        """`joined_midway`: the capture begins after the connection did. `roles_guessed`: who is the client is not known."""
        self._limits = limits
        self._keylog = keylog
        self._generation = keylog.generation
        self._negotiation = Negotiation(keylog, joined_midway=joined_midway)
        self._negotiation.roles_guessed = roles_guessed
        self._renamed = False
        self._client = SideReader("client", self._negotiation, limits, ledger)
        self._server = SideReader("server", self._negotiation, limits, ledger)
        self._client.peer, self._server.peer = self._server, self._client

    # --- what is known ---------------------------------------------------------------------------------------------------

    @property
    def version(self) -> str | None:
        """`TLSv1.3`, `TLSv1.2`, or one that is not read."""
        return self._negotiation.version

    @property
    def cipher(self) -> str | None:
        """The suite's name in IANA's registry."""
        return self._negotiation.cipher

    @property
    def sni(self) -> str | None:
        """The host that the client asked for."""
        return self._negotiation.sni

    @property
    def alpn(self) -> str | None:
        """The protocol that both agreed on."""
        return self._negotiation.alpn

    @property
    def client_random(self) -> bytes | None:
        """What names the connection in a key log, where it was seen or proved."""
        return self._negotiation.client_random

    @property
    def unreadable_reason(self) -> str | None:
        """Why nothing can be read, so far; None: it can be, or nothing was there to be read."""
        if self._negotiation.unreadable is not None:
            return self._negotiation.unreadable
        if self._client.proved or self._server.proved:
            return None
        return self._client.unreadable_reason or self._server.unreadable_reason

    @property
    def waiting(self) -> bool:
        """Whether records are held until the key log has their keys."""
        return self._client.waiting or self._server.waiting

    @property
    def held_since(self) -> tuple[int | None, int | None]:
        """Of each side: as `SideReader.held_since`."""
        return self._client.held_since, self._server.held_since

    @property
    def keyless(self) -> tuple[Sender, ...]:
        """Whose records are held until the key log has their keys, or those of what the other side has to say first."""
        if not self.waiting:
            return ()
        return tuple(side.sender for side in (self._client, self._server) if side.waiting or side.stalled)

    def withhold(self, senders: tuple[Sender, ...]) -> None:
        """Hold the application data of `senders` as if the key log had no keys for it; none: `retry` goes on with it."""
        self._negotiation.withheld = senders

    @property
    def busy(self) -> bool:
        """Whether a search goes on: `retry` does the next slice."""
        return self._client.busy or self._server.busy

    def held_bytes(self) -> int:
        """Memory held for what cannot be read yet, about."""
        return self._client.held_bytes + self._server.held_bytes

    @property
    def roles_guessed(self) -> bool:
        """Whether it is still a guess who is the client: no record has proved itself."""
        return self._negotiation.roles_guessed

    def name_sides(self) -> bool:
        """Give the sides their right names, once it is known that the guess was wrong. True: they have changed places."""
        if not self._negotiation.crossed or self._renamed:
            return False
        self._client, self._server = self._server, self._client
        self._client.sender, self._server.sender = "client", "server"
        self._renamed = True
        return True

    # --- bytes -----------------------------------------------------------------------------------------------------------

    def feed(self, client: list[Item], server: list[Item], waiting: tuple[int | None, int | None] = (None, None)) -> Plaintext:
        """The plaintext that the next items of both sides bring forth.

        `waiting`: wire time in ns of each side's first byte that was captured and is not handed on yet, if there is one.
        """
        out: Plaintext = [], []
        if self._keylog.generation != self._generation:
            out = self.retry()
        before = self._negotiation.progress
        sides = (
            (self._client, client, out[0], _coming(waiting[0], False)),
            (self._server, server, out[1], _coming(waiting[1], True)),
        )
        for side, items, _, coming in sides:
            side.coming = place_of(items[0], side is self._server) if items else coming
        for side, items, plain, coming in sides:
            if items:
                plain += side.feed(items)
                side.coming = coming
        if self._negotiation.progress != before or self._client.stalled or self._server.stalled:
            self._settle(out)
        if self.held_bytes() > self._limits.tls_held_bytes:
            time = max(time_of(items[-1]) for items in (client, server) if items)
            self._give_up(out, time, f"over the limit of held bytes: {self.unreadable_reason or 'the other side is not seen'}")
        return out

    def retry(self) -> Plaintext:
        """The key log has grown, or a search is `busy`: what goes on with that."""
        self._generation = self._keylog.generation
        out: Plaintext = [], []
        self._settle(out)
        return out

    def give_up(self, time: int, reason: str) -> Plaintext:
        """Hold nothing any longer: what is held is lost for `reason`. What comes later is read, if its keys are known."""
        out: Plaintext = [], []
        self._give_up(out, time, reason)
        return out

    def _settle(self, out: Plaintext) -> None:
        """Let each side go on with what the other has said, until neither says more."""
        client, server, before = self._client, self._server, None
        while before != (before := (self._negotiation.progress, client.reached, server.reached)):
            out[0].extend(client.resume())
            out[1].extend(server.resume())

    def _give_up(self, out: Plaintext, time: int, reason: str) -> None:
        sides = [(self._client, out[0]), (self._server, out[1])]
        for side, plain in sorted(sides, key=lambda one: one[0].reached):
            plain += side.give_up(time, reason)
            self._settle(out)


def _coming(time: int | None, of_server: bool) -> Place:
    return EVERYTHING_READ if time is None else (False, time, False, of_server)

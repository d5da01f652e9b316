"""TLS inside a connection: the layer that decrypts, and the conversation in what it decrypts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from sniffer.model import Sender
from sniffer.wire.keylog import KeyLog
from sniffer.wire.pair import Delivery
from sniffer.wire.stream import End, Item, time_of
from sniffer.wire.tls.layer import Plaintext, TlsLayer
from sniffer.wire.tls.reasons import DAMAGED, NO_LINE, NOT_AMONG_NEWEST, NOT_SEEN, NOT_SEEN_TLS12

if TYPE_CHECKING:
    from sniffer.wire.conversation import Conversation, Waiting

NO_KEY_LOG: Final = "TLS, and no key log is read"
_HANDSHAKE_BYTES: Final = 1 << 14
"""Held for a handshake that is of use without keys, too: it names host, version and suite."""
UNFINISHED: Final = "the TLS handshake was not finished"
_WITHOUT_KEYS: Final = frozenset((NO_LINE, NOT_AMONG_NEWEST, NOT_SEEN, NOT_SEEN_TLS12, DAMAGED))
"""Reasons that come of what the key log lacks."""
_PROTOCOLS: Final = {"ws": "wss", "http": "https"}
"""What a protocol is called inside TLS."""


class Secured:
    """Ciphertext of both sides to messages."""

    def __init__(
        self, layer: TlsLayer, keylog: KeyLog | None, plain: Conversation, decide_roles: Callable[[bool], None]
    ) -> None:
        """`keylog`: the layer's, or None where no keys will ever come: nothing is held for them then.

        `decide_roles(swapped)` is called when the keys have told who is the client, where that was a guess.
        """
        self.layer = layer
        self._decide_roles = decide_roles
        self._roles_guessed = layer.roles_guessed
        self.plain = plain
        self._keylog = keylog
        self._generation = keylog.generation if keylog is not None else 0
        self._ended = False
        self._swapped = False

    def __getstate__(self) -> dict[str, object]:
        """For a snapshot: the key log of another run counts anew."""
        return self.__dict__ | {"_generation": -1}

    def withhold(self, senders: tuple[Sender, ...]) -> None:
        """As `Conversation.withhold`."""
        self.layer.withhold(senders)
        self._generation = -1  # so that what was held is looked at again

    @property
    def due(self) -> bool:
        """Whether something may come forth without new bytes: keys have come, or a search goes on."""
        layer, keylog = self.layer, self._keylog
        return layer.busy or (keylog is not None and keylog.generation != self._generation and layer.waiting)

    @property
    def protocol(self) -> str:
        """`wss`, `https`, or `tls` where it is not known what is inside."""
        return _PROTOCOLS.get(self.plain.protocol, "tls")

    @property
    def unreadable_reason(self) -> str | None:
        """Why no messages can be read; None: they can."""
        layer = self.layer
        if self._ended and layer.client_random is not None and layer.version is None:
            return UNFINISHED
        reason = layer.unreadable_reason
        if self._keylog is None:
            return NO_KEY_LOG if reason is None or reason in _WITHOUT_KEYS else reason
        if reason in _WITHOUT_KEYS:
            return self._keylog.trouble or reason
        unfinished = UNFINISHED if self._ended and layer.version is None else None
        return reason or unfinished or self.plain.unreadable_reason

    def held_bytes(self) -> int:
        """Bytes that wait for keys, for the rest of a record, or for the rest of a message."""
        return self.layer.held_bytes() + self.plain.held_bytes()

    def feed(self, client: list[Item], server: list[Item], waiting: Waiting) -> Delivery:
        """As `Conversation.feed`."""
        layer = self.layer
        out: Delivery = []
        last = client[-1] if client else server[-1] if server else None
        if self.due:
            guessed = self._roles_guessed
            out += self._hear(layer.retry(), waiting)
            if guessed and self._swapped:
                client, server, waiting = server, client, waiting[::-1]
        if self._keylog is not None:
            self._generation = self._keylog.generation
        out += self._hear(layer.feed(client, server, waiting), waiting)
        if isinstance(last, End):
            while layer.busy:
                out += self._hear(layer.retry(), waiting)
            self._ended = True
            out += self._hear(layer.give_up(last.time, self.unreadable_reason or last.reason), waiting)
        elif last is not None and self._keylog is None and (layer.waiting or layer.held_bytes() > _HANDSHAKE_BYTES):
            out += self._hear(layer.give_up(time_of(last), NO_KEY_LOG), waiting)
        return out

    def _hear(self, items: Plaintext, waiting: Waiting) -> Delivery:
        """What is said in the plaintext. The first of it, whose keys they are, tells who is the client."""
        if self._roles_guessed and not self.layer.roles_guessed:
            self._roles_guessed = False
            self._swapped = self.layer.name_sides()
            self._decide_roles(self._swapped)
            if self._swapped:
                items, waiting = items[::-1], waiting[::-1]
        held = self.layer.held_since
        return self.plain.feed(*items, (_earlier(waiting[0], held[0]), _earlier(waiting[1], held[1])))

    def shed(self, time: int, reason: str) -> Delivery:
        """As `Conversation.shed`."""
        out = self._hear(self.layer.give_up(time, reason), (None, None))
        return out + self.plain.shed(time, reason)


def _earlier(one: int | None, other: int | None) -> int | None:
    """Of two times; None is none."""
    return other if one is None else one if other is None else min(one, other)

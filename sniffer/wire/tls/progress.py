"""How far a side's handshake has come (RFC 8446 sections 2 and 4, RFC 5246 section 7).

    TLS 1.3   HELLO --> (EARLY -->) HANDSHAKE --> APPLICATION, and there one KeyUpdate after another
    TLS 1.2   HELLO --ChangeCipherSpec--> TLS12 --ChangeCipherSpec, after a renegotiation--> TLS12

A client's hello says nothing of what follows it: it waits for the server's. A server's keys need the client's random.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from sniffer.model import Sender
from sniffer.wire.tls import hello
from sniffer.wire.tls.negotiation import Negotiation, Stage


class Turn(Enum):
    """What a handshake message, or the other side's answer, means for the records that follow."""

    NONE = 0
    NEW_KEYS = 1  # the next protected record has the first keys of the stage that has begun
    NEXT_KEYS = 2  # KeyUpdate
    LOST = 3  # the handshake cannot be followed
    UNREADABLE = 4  # nor can anything after it be read: `Negotiation.unreadable` says why


class Progress:
    """Of one side: its stage, and what it waits for."""

    def __init__(self, sender: Sender, negotiation: Negotiation, limit: int) -> None:
        """`limit`: bytes of one handshake message."""
        self.stage = Stage.HELLO
        self.hellos = 0
        """Its own hellos so far. A repeated ClientHello counts once."""
        self.deaf = False
        """Bytes of the handshake are lost: its messages cannot be followed to the end of the stage, or to the next hello."""
        self._sender: Sender = sender
        self._negotiation = negotiation
        self._messages = hello.Handshake(limit)
        self._repeated = False
        self._ready: Callable[[], bool] | None = None  # methods of its own, both: they are state that can be kept
        self._then: Callable[[], Turn] | None = None

    @property
    def held_bytes(self) -> int:
        """Bytes of a message that is not whole."""
        return self._messages.held_bytes

    @property
    def waits(self) -> bool:
        """Whether what follows cannot be read before the other side has said something."""
        return self._ready is not None

    @property
    def waits_still(self) -> bool:
        """Whether the other side has not said it yet."""
        return self._ready is not None and not self._ready() and self._negotiation.unreadable is None

    def go_on(self) -> Turn | None:
        """What comes of the other side's answer; None while there is none."""
        turn = Turn.NONE
        while self._ready is not None and self._then is not None:
            if self.waits_still:
                return None
            then, self._ready, self._then = self._then, None, None
            turn = then() if self._negotiation.unreadable is None else Turn.UNREADABLE
        return turn

    def stop_waiting(self) -> None:
        """The other side will not answer."""
        self._ready = self._then = None

    def lost_bytes(self) -> None:
        """Handshake bytes may be lost."""
        self._messages.reset()
        self._negotiation.messages_lost(self._sender)
        self.deaf |= self.stage in (Stage.HANDSHAKE, Stage.TLS12)

    def found(self, stage: Stage, *, new_keys: bool) -> None:
        """A record of this stage was proved. Messages do not span a change of keys (RFC 8446 section 5.1)."""
        if new_keys:
            self.deaf = False
            self._messages.reset()
        self.stage = stage

    def _wait(self, ready: Callable[[], bool], then: Callable[[], Turn]) -> None:
        self._ready, self._then = ready, then

    def _begin(self, stage: Stage) -> Turn:
        self.stage = stage
        self.deaf = False
        return Turn.NEW_KEYS

    # --- messages --------------------------------------------------------------------------------------------------------

    def content(self, content: bytes) -> Turn:
        """The content of one handshake record."""
        if self.deaf and (self.stage is not Stage.TLS12 or not hello.begins_hello(content)):
            return Turn.NONE
        self.deaf = False
        turn = Turn.NONE
        for kind, body in self._messages.feed(content):
            found = self._message(kind, body)
            if found is Turn.UNREADABLE:
                return found
            turn = turn if found is Turn.NONE else found
        # RFC 8446 section 5.1: a message after which the keys change ends its record. A hello that is waited for does as well.
        if self._messages.broken or (self._messages.inside and (self.waits or turn is not Turn.NONE)):
            turn = Turn.LOST
        if turn is Turn.LOST:
            self.stop_waiting()
            self.lost_bytes()
        return turn

    def _message(self, kind: int, body: bytes) -> Turn:
        stage, is_client = self.stage, self._sender == "client"
        if stage in (Stage.HELLO, Stage.TLS12):
            if kind == hello.CLIENT_HELLO and is_client:
                return self._client_hello(body)
            if kind == hello.SERVER_HELLO and not is_client:
                return self._server_hello(body)
            if stage is Stage.HELLO and not self.hellos and kind != hello.HELLO_REQUEST:
                return Turn.LOST
        elif stage is Stage.HANDSHAKE and kind == hello.ENCRYPTED_EXTENSIONS and not is_client:
            if not self._negotiation.encrypted_extensions(hello.encrypted_extensions(body)):
                return Turn.UNREADABLE
        elif stage is Stage.HANDSHAKE and kind == hello.FINISHED:
            return self._begin(Stage.APPLICATION)
        elif stage is Stage.EARLY and kind == hello.END_OF_EARLY_DATA:
            return self._begin(Stage.HANDSHAKE)
        elif stage is Stage.APPLICATION and kind == hello.KEY_UPDATE:
            return Turn.NEXT_KEYS
        return Turn.NONE

    def _client_hello(self, body: bytes) -> Turn:
        negotiation, renegotiates = self._negotiation, self.stage is Stage.TLS12
        parsed = hello.client_hello(body)
        if parsed is None or (self.hellos and not renegotiates and (self._repeated or not negotiation.retried)):
            return Turn.LOST
        if not negotiation.client_hello(parsed):
            return Turn.UNREADABLE
        self._repeated = self.hellos > 0 and not renegotiates
        if not self._repeated:
            self.hellos += 1
        if not renegotiates:  # else what follows is told by its own ChangeCipherSpec
            self._wait(self._answered, self._hear)
        return Turn.NONE

    def _answered(self) -> bool:
        negotiation = self._negotiation
        return bool(negotiation.servers) or "server" in negotiation.absent or (negotiation.retried and not self._repeated)

    def _hear(self) -> Turn:
        """The client's hello was answered, or will not be."""
        negotiation = self._negotiation
        if negotiation.retried and not self._repeated:  # another hello follows
            return Turn.NONE
        if not negotiation.servers:
            return Turn.LOST
        if negotiation.tls13:
            self._wait(self._extensions_done, self._begin_protected)
        return Turn.NONE

    def _extensions_done(self) -> bool:
        return self._negotiation.extensions_done

    def _begin_protected(self) -> Turn:
        return self._begin(Stage.EARLY if self._negotiation.early_data else Stage.HANDSHAKE)

    def _server_hello(self, body: bytes) -> Turn:
        negotiation = self._negotiation
        parsed = hello.server_hello(body)
        if parsed is None:
            return Turn.LOST
        if not negotiation.server_hello(parsed):
            return Turn.UNREADABLE
        if parsed.is_retry:
            return Turn.NONE
        self.hellos += 1
        if negotiation.tls13:
            self._wait(self._client_heard, self._begin_handshake)
        return Turn.NONE

    def _client_heard(self) -> bool:
        return bool(self._negotiation.clients) or "client" in self._negotiation.absent

    def _begin_handshake(self) -> Turn:
        return self._begin(Stage.HANDSHAKE)

    def change_cipher_spec(self) -> Turn:
        """ChangeCipherSpec of TLS 1.2: what follows has the keys of the handshake that this side's latest hello belongs to."""
        return self._begin(Stage.TLS12)

    def wait_for_extensions(self) -> None:
        """Whether the server takes early data must be known before anything of the client is found."""
        if self._sender == "client" and self.stage is Stage.HELLO and not self._negotiation.extensions_done:
            self._wait(self._extensions_done, self._nothing)

    def _nothing(self) -> Turn:
        return Turn.NONE

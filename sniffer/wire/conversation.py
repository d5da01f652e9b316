"""What the two sides of a connection say, from the first byte to the last: the protocol, and its messages.

    detect --> HTTP --(101 websocket)--> websocket
      |          |----(CONNECT 2xx)--> detect
      |          |----(other switch, or not HTTP)--> opaque
      |--(joined in the middle)--> websocket, once frames are proved
      |--(TLS)--> secured: what is decrypted is a conversation of its own
      |--(anything else)--> opaque

What is opaque is counted, byte by byte, with the reason why it cannot be read.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from sniffer.config import Limits
from sniffer.model import HttpHead, Sender, WireMessage
from sniffer.wire.deflate import UnknownExtension, parse_extensions
from sniffer.wire.detect import CLIENT_HELLO, ENOUGH, SERVER_HELLO, Speech, begins_record, handshake_type, recognise
from sniffer.wire.disorder import Disorder
from sniffer.wire.http import HttpConversation, HttpError, HttpGap, header, without_port
from sniffer.wire.keylog import KeyLog
from sniffer.wire.losses import LossLedger
from sniffer.wire.pair import SENDERS, Delivery, WebSocketPair
from sniffer.wire.secured import Secured
from sniffer.wire.stream import CAPTURE_ENDED, Data, End, Gap, Item, place_of, time_of
from sniffer.wire.tls.layer import TlsLayer

_MAX_WAITING: Final = 256
"""Segments that wait for earlier ones of the other side to settle."""
_BEHIND_HOLE: Final = "after a hole in the requests"
_TO_WHAT: Final = "an answer whose request is not known: nothing says what it is about"

Waiting = tuple[int | None, int | None]
"""Wire time (ns) of the first byte of client and server that was captured and is not handed on yet; None: there is none."""


class _Stage(Enum):
    DETECT = 1
    HTTP = 2
    WEBSOCKET = 3
    SECURED = 4
    OPAQUE = 5


class Conversation:
    """Both sides' bytes to messages. The attributes are columns of `connections`."""

    def __init__(
        self,
        limits: Limits,
        ledger: LossLedger,
        keylog: KeyLog | None,
        *,
        joined_midway: bool,
        roles_guessed: bool,
        positions: dict[Sender, int] | None = None,
        latest: dict[Sender, int] | None = None,
        disorder: Disorder | None = None,
    ) -> None:
        """`keylog`: None where no TLS will ever be decrypted. `joined_midway`: the first bytes were not captured.

        `roles_guessed`: who is the client is not known for certain. `positions`: of each side's next message. `latest`: wire
        time (ns) that no later message of the side was there before. `disorder`: what the layers below note of it.
        """
        self._limits = limits
        self._ledger = ledger
        self._disorder = disorder or Disorder()
        self._keylog = keylog
        self.joined_midway = joined_midway
        self.roles_guessed = roles_guessed
        self.roles_swapped = False
        """The guess was wrong."""
        self.protocol = "tcp"
        self.host: str | None = None
        self.path: str | None = None
        self.upgrade_request: HttpHead | None = None
        self.compression: str | None = None
        self.tls_version: str | None = None
        self.cipher: str | None = None
        self.unreadable_reason: str | None = None
        self.messages = 0
        self._stage = _Stage.DETECT
        self._opaque_layer = "tcp"
        self._detected: dict[Sender, list[Item]] = {"client": [], "server": []}
        self._todo: dict[Sender, list[Item]] = {"client": [], "server": []}
        self._waiting: Waiting = (None, None)
        self._http: HttpConversation | None = None
        self._secured: Secured | None = None
        self._withheld: tuple[Sender, ...] = ()
        self._positions: dict[Sender, int] = positions if positions is not None else {"client": 0, "server": 0}
        self._latest: dict[Sender, int] = latest if latest is not None else {"client": 0, "server": 0}
        self._websocket: WebSocketPair | None = None

    @property
    def secured(self) -> Secured | None:
        """The TLS that it is inside of."""
        return self._secured

    @property
    def keyless(self) -> tuple[Sender, ...]:
        """Whose TLS records are held until the key log has their keys."""
        return self._secured.layer.keyless if self._secured is not None else ()

    def withhold(self, senders: tuple[Sender, ...]) -> None:
        """Hold the TLS records of `senders` as if their keys had not come yet; none: go on with what was held."""
        self._withheld = senders
        if self._secured is not None:
            self._secured.withhold(senders)

    @property
    def due(self) -> bool:
        """Whether something may come forth without new bytes."""
        return self._secured is not None and self._secured.due

    def held_bytes(self) -> int:
        """Bytes of messages that are not whole yet, or cannot be decrypted yet."""
        held, todo = 0, self._todo
        if todo["client"] or todo["server"]:
            held = sum(len(item[2]) for items in todo.values() for item in items if isinstance(item, tuple))
        if self._secured is not None:
            return held + self._secured.held_bytes()
        held += self._http.held_bytes() if self._http is not None else 0
        return held + (self._websocket.held_bytes() if self._websocket is not None else 0)

    def feed(self, client: list[Item], server: list[Item], waiting: Waiting) -> Delivery:
        """The messages that become whole with these items, by sender and in each sender's order."""
        left = self._todo
        if left["client"] or left["server"]:
            client, server = left["client"] + client, left["server"] + server
        todo = self._todo = {"client": client, "server": server}
        self._waiting = waiting
        out: Delivery = self._read(self._take()) if self.due else []
        while todo["client"] or todo["server"]:
            if self._stage is _Stage.OPAQUE:
                self._count()
            elif self._sides_stand_alone:
                out += self._read(self._take())
            else:
                sender = self._earlier()
                if self._must_wait(sender):
                    break
                item = todo[sender].pop(0)
                if self._stage is _Stage.DETECT:
                    self._detect(sender, item)
                elif self._stage is _Stage.HTTP:
                    self._converse(sender, item, out)
                elif self._stage is _Stage.WEBSOCKET and isinstance(item, tuple) and begins_record(item[2]):
                    self._turn_out_tls(sender, item)
                else:
                    out += self._read(
                        {"client": [item], "server": []} if sender == "client" else {"client": [], "server": [item]}
                    )
        for _, messages in out:
            self.messages += len(messages)
        return out

    def take_holes(self) -> list[tuple[Sender, int]]:
        """(sender, position) of messages before which something of that sender was lost, since this was last asked."""
        if self._secured is not None:
            return self._secured.plain.take_holes()
        return self._websocket.take_holes() if self._websocket is not None else []

    def shed(self, time: int, reason: str) -> Delivery:
        """Give up what is held: a limit over all connections is passed. The messages that are read of it all the same."""
        out: Delivery = []
        if self._secured is not None:
            out = self._secured.shed(time, reason)
            for _, messages in out:
                self.messages += len(messages)
        if self._websocket is not None:
            self._websocket.shed(time, reason)
        if self._http is not None and self._http.held_bytes():
            for name in SENDERS:
                self._http.tear(name)
                self._todo[name] = self._http.rest(name)
            for name, offset, began, length in self._http.torn:
                self._lose_http(name, reason, began, time, offset, length, 1)
            self._become_opaque("http", reason)
            self._count()
        return out

    # --- whose turn it is ------------------------------------------------------------------------------------------------

    def _earlier(self) -> Sender:
        """Whose next item was on the wire first."""
        client, server = self._todo["client"], self._todo["server"]
        if not client or not server:
            return "client" if client else "server"
        return "client" if place_of(client[0], False) < place_of(server[0], True) else "server"

    def _must_wait(self, sender: Sender) -> bool:
        """What one side says may decide how the other is read: theirs is the order of the wire, not of acknowledgements."""
        other: Sender = "server" if sender == "client" else "client"
        todo, earliest = self._todo, self._waiting[SENDERS.index(other)]
        if earliest is None or todo[other]:
            return False
        item = todo[sender][0]
        if place_of((0, earliest, b""), other == "server") > place_of(item, sender == "server"):
            return False
        if len(todo[sender]) <= _MAX_WAITING:
            return True
        self._disorder.note(earliest, time_of(item))
        return False

    # --- stages ----------------------------------------------------------------------------------------------------------

    @property
    def _sides_stand_alone(self) -> bool:
        """Whether what one side says is read in the same way whatever the other has said so far.

        A websocket that is not proved may turn out to be TLS; TLS without keys holds nothing until the other's hello is here.
        """
        if self._stage is _Stage.SECURED:
            return self._keylog is not None
        return self._stage is _Stage.WEBSOCKET and self.unreadable_reason is None

    def _take(self) -> dict[Sender, list[Item]]:
        """All that is to be read."""
        taken = self._todo.copy()
        for held in self._todo:
            self._todo[held] = []
        return taken

    def _read(self, items: dict[Sender, list[Item]]) -> Delivery:
        return self._read_websocket(items) if self._stage is _Stage.WEBSOCKET else self._read_secured(items)

    def _read_websocket(self, items: dict[Sender, list[Item]]) -> Delivery:
        websocket = self._websocket
        assert websocket is not None
        out = websocket.feed(items)
        if self.roles_guessed and not self.messages:
            swapped = websocket.swapped
            if swapped is not None:
                self.decide_roles(swapped)
            if swapped:
                out = [("server" if sender == "client" else "client", messages) for sender, messages in out]
        if self.protocol != "ws" and websocket.proved:
            self.protocol, self.unreadable_reason = "ws", None
        return out

    def _detect(self, sender: Sender, item: Item) -> None:
        """Look at the first bytes."""
        held = self._detected
        if isinstance(item, End):
            if any(held.values()):
                self._become_opaque("tcp", "too short to tell what it is")
            return
        held[sender].append(item)
        if isinstance(item, Gap):
            self._join_midway()
            return
        start = b"".join([piece[2] for piece in held[sender] if isinstance(piece, tuple)])[:ENOUGH]
        is_client = sender == "client"
        speech = recognise(start, client=is_client or self.roles_guessed, server=not is_client or self.roles_guessed)
        if speech is Speech.TLS:
            if len(start) >= ENOUGH or handshake_type(start) is not None:
                self._become_secured(sender, start)
        elif speech is Speech.REQUEST or speech is Speech.RESPONSE:
            if self.roles_guessed:
                self.decide_roles(is_client != (speech is Speech.REQUEST))
            self.protocol, self._stage = "http", _Stage.HTTP
            seen = not self.joined_midway
            self._http = HttpConversation(
                self._limits, self._positions, self._latest, first_request_seen=seen, disorder=self._disorder
            )
            self._replay_detected()
        elif speech is Speech.UNDECIDED and len(start) < ENOUGH:
            return
        elif self.joined_midway:
            self._join_midway()
        else:
            self._become_opaque("tcp", "neither HTTP nor websocket nor TLS")

    def _join_midway(self) -> None:
        """No handshake to go by: look for websocket frames on both sides."""
        self.joined_midway = True
        self._stage = _Stage.WEBSOCKET
        self.unreadable_reason = "joined in the middle, and no websocket frame was proved"
        self._websocket = WebSocketPair.joined_midway(self._limits, self._ledger, self._positions, self._latest)
        self._http = None
        self._replay_detected()

    def _converse(self, sender: Sender, item: Item, out: Delivery) -> None:
        """One item for the HTTP layer."""
        http = self._http
        assert http is not None
        failure: HttpError | None = None
        try:
            if isinstance(item, End):
                http.end(sender, item.time, item.orderly)
                self._lose_unfinished(http, sender, item)
            else:
                http.feed(sender, item)
        except HttpError as error:
            failure = error
            for name in SENDERS:
                http.tear(name)
        if http.switched is not None:
            http.tear("client")  # joined in the middle of a request, perhaps the one that was answered
        for name, offset, time, length in http.torn:
            self._lose_http(name, "HTTP message is not whole", time, time, offset, length, 1)
        for offset, time, data in http.passed_over:
            self._ledger.tally("client", "http", _BEHIND_HOLE, time=time, offset=offset, length=len(data), messages=None)
        if self.host is None or self.path is None:
            self._learn_target(http.messages)
        for who, message in http.messages:
            if (head := message[5]) is not None and head.status is not None and head.method is None:
                self._ledger.tally(who, "http", _TO_WHAT, time=message[2], offset=None, length=0, messages=1)
            out.append((who, [message]))
        http.messages, http.torn, http.passed_over = [], [], []
        if failure is not None or http.switched is not None:
            for name in SENDERS:
                self._todo[name][:0] = http.rest(name)
        if isinstance(failure, HttpGap):
            self._join_midway()
        elif failure is not None:
            self._become_opaque("http", str(failure))
        elif http.switched is not None:
            self._switch(http, *http.switched)

    def _learn_target(self, messages: list[tuple[Sender, WireMessage]]) -> None:
        """Of the first request, and the host of the first one that names it; `_switch` knows better."""
        for _, message in messages:
            head = message[5]
            if head is not None and head.status is None:
                self.host = self.host or without_port(header(head, "host"))
                self.path = self.path or head.target

    def _lose_unfinished(self, http: HttpConversation, sender: Sender, end: End) -> None:
        """What a side that ends leaves unread: a message without its end, and bytes that wait for the other side."""
        ended_early = end.reason.startswith(CAPTURE_ENDED)
        http.tear(sender)
        for name, offset, time, length in http.torn:
            reason = f"{CAPTURE_ENDED} inside a message" if ended_early else "HTTP message is not whole"
            self._lose_http(name, reason, time, end.time, offset, length, 1)
        http.torn = []
        waiting = [item for item in http.rest(sender) if isinstance(item, tuple)]
        if waiting:
            reason = _BEHIND_HOLE if http.client_lost else "HTTP without the other side's message"
            length = sum(len(data) for _, _, data in waiting)
            self._lose_http(sender, reason, waiting[0][1], end.time, waiting[0][0], length, None)

    def _lose_http(
        self, sender: Sender, reason: str, start: int, end: int, offset: int, length: int, messages: int | None
    ) -> None:
        self._ledger.add(sender, "http", reason, from_time=start, to_time=end, offset=offset, length=length, messages=messages)

    def _switch(self, http: HttpConversation, request: HttpHead | None, response: HttpHead) -> None:
        """HTTP has ended: a websocket, or something that we do not read."""
        self.upgrade_request = request
        if request is not None:
            self.host, self.path = without_port(header(request, "host")) or self.host, request.target
        self._http = None
        if request is not None and request.method == "CONNECT":
            self.host, self.path = without_port(request.target), None
            self._stage = _Stage.DETECT
            return
        protocol = (header(response, "upgrade") or (request and header(request, "upgrade")) or "").lower()
        if protocol != "websocket":
            self._become_opaque("http", f"upgraded to {protocol[:40] or 'something that was not named'}")
            return
        self._become_websocket(header(response, "sec-websocket-extensions"), http)

    def _become_websocket(self, extensions: str | None, http: HttpConversation) -> None:
        self.protocol = "ws"
        try:
            deflate = parse_extensions(extensions) if extensions else None
        except UnknownExtension as error:
            self._become_opaque("websocket", str(error))
            return
        self.compression = extensions if deflate else None
        self._stage = _Stage.WEBSOCKET
        known = self.upgrade_request is not None and not http.client_lost
        self._websocket = WebSocketPair.agreed(
            self._limits, self._ledger, self._positions, self._latest, deflate, client_boundary_known=known
        )

    # --- TLS -------------------------------------------------------------------------------------------------------------

    def _become_secured(self, sender: Sender, start: bytes) -> None:
        """TLS, as `start`, the first bytes of a segment of `sender`, says."""
        hello = handshake_type(start)
        if self.roles_guessed and hello in (CLIENT_HELLO, SERVER_HELLO):
            self.decide_roles(hello == (CLIENT_HELLO if sender == "server" else SERVER_HELLO))
        self._stage = _Stage.SECURED
        self.protocol, self.unreadable_reason = "tls", None
        self._websocket = None
        joined_midway = self.joined_midway and hello != CLIENT_HELLO
        keylog = self._keylog
        plain = Conversation(
            self._limits,
            self._ledger,
            keylog,
            joined_midway=joined_midway,
            roles_guessed=False,
            positions=self._positions,
            latest=self._latest,
            disorder=self._disorder,
        )
        secrets = keylog if keylog is not None else KeyLog(self._limits)
        layer = TlsLayer(secrets, self._limits, self._ledger, joined_midway=joined_midway, roles_guessed=self.roles_guessed)
        layer.withhold(self._withheld)
        self._secured = Secured(layer, keylog, plain, self.decide_roles)
        self._replay_detected()

    def _read_secured(self, items: dict[Sender, list[Item]]) -> Delivery:
        secured = self._secured
        assert secured is not None
        out = secured.feed(items["client"], items["server"], self._waiting)
        layer, plain = secured.layer, secured.plain
        self.protocol, self.unreadable_reason = secured.protocol, secured.unreadable_reason
        self.tls_version, self.cipher = layer.version, layer.cipher
        self.host = layer.sni or plain.host or self.host
        self.path, self.compression, self.upgrade_request = plain.path, plain.compression, plain.upgrade_request
        return out

    def _turn_out_tls(self, sender: Sender, item: Data) -> None:
        """Joined in the middle, with no frame proved yet, and a segment begins with the head of a TLS record."""
        if self._websocket is not None:
            self._websocket.shed(item[1], "joined in the middle of TLS")
        self._todo[sender].insert(0, item)
        self._become_secured(sender, item[2][:ENOUGH])

    def _become_opaque(self, layer: str, reason: str) -> None:
        self._stage = _Stage.OPAQUE
        self._opaque_layer = layer
        self.unreadable_reason = reason
        self._http = None
        self._replay_detected()

    def _replay_detected(self) -> None:
        """What was held to look at goes to the layer that was chosen."""
        for sender in SENDERS:
            self._todo[sender][:0] = self._detected[sender]
            self._detected[sender] = []

    def _count(self) -> None:
        """Account for bytes that cannot be read."""
        reason = self.unreadable_reason or "unreadable"
        for sender in SENDERS:
            for item in self._todo[sender]:
                if isinstance(item, tuple):
                    offset, time, data = item
                    self._ledger.tally(
                        sender, self._opaque_layer, reason, time=time, offset=offset, length=len(data), messages=None
                    )
            self._todo[sender].clear()

    # --- roles -----------------------------------------------------------------------------------------------------------

    def decide_roles(self, swapped: bool) -> None:
        """It is known who is the client: the guess was right, or it was `swapped`."""
        self.roles_guessed, self.roles_swapped = False, swapped
        self._ledger.decide(swapped)
        if not swapped:
            return
        for held in (self._detected, self._todo):
            held["client"], held["server"] = held["server"], held["client"]
        self._waiting = self._waiting[::-1]
        if self._websocket is not None:
            self._websocket.swap()

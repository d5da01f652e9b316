"""Messages to rows: whose they are, which are worth a decoder's look, and what is kept of them."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Final

from sniffer import exchanges
from sniffer.exchanges.base import (
    ALIASES,
    INSTRUMENTS,
    LOGIN,
    OTHER,
    Bounded,
    ConnectionFacts,
    Decoder,
    Remembers,
    Venue,
)
from sniffer.exchanges.inflate import json_inside
from sniffer.model import (
    OPCODE_BINARY,
    OPCODE_CLOSE,
    OPCODE_HTTP,
    OPCODE_NAMES,
    OPCODE_TEXT,
    Batch,
    Loss,
    Message,
    MessageRow,
    Sender,
    WireMessage,
)
from sniffer.owners import Owners
from sniffer.wire.connection import Connection, Delivery

_by_capture_time: Final = attrgetter("captured_at")


def _by_wire_time(sent: tuple[Sender, WireMessage]) -> int:
    """The same of a message that is not wrapped yet."""
    return sent[1][2]


def _venue(connection: Connection) -> Venue | None:
    """Whose it is by host, path and port."""
    return exchanges.venue_of(connection.host, connection.path, connection.server_address[1])


class _Examined:
    """What is known of one connection beyond the wire."""

    __slots__ = ("_searches", "decoder", "guessed", "holes", "unexamined", "venue")

    def __init__(self, venue: Venue | None, decoder: Decoder | None) -> None:
        self.venue = venue
        self.decoder = decoder
        self.guessed = False
        self.unexamined = 0
        self.holes: list[tuple[Sender, int]] = []
        """(sender, position) of messages before which something was lost, and of which the decoder has not heard."""
        self._searches: dict[tuple[Sender, int], Callable[[bytes], bool]] = {}

    def __getstate__(self) -> tuple[None, dict[str, object]]:
        """For a snapshot: the searches are made again."""
        return None, {name: getattr(self, name) for name in self.__slots__ if name != "_searches"}

    def __setstate__(self, state: tuple[None, dict[str, object]]) -> None:
        for name, value in state[1].items():
            setattr(self, name, value)
        self._searches = {}

    def search(self, sender: Sender, opcode: int) -> Callable[[bytes], bool]:
        """The decoder's byte search for this side's messages of this opcode."""
        found = self._searches.get((sender, opcode))
        if found is None:
            assert self.decoder is not None
            found = self._searches[(sender, opcode)] = self.decoder.wanted(sender, opcode)
        return found


class Examiner:
    """The decoders of one capture's connections."""

    def __init__(self, capture_id: str, keep_all: bool, account: str | None, name_of: Callable[[str], str]) -> None:
        """`keep_all`: every message becomes a row. `account`: the name of accounts whose key is not seen."""
        self._capture_id = capture_id
        self._keep_all = keep_all
        self._account = account
        self._name_of = name_of
        self._aliases: Bounded[str] = Bounded(ALIASES)
        self._instruments: Bounded[str] = Bounded(INSTRUMENTS)
        self._known: dict[int, _Examined] = {}
        self.owners = Owners()

    def examine(self, deliveries: list[tuple[Connection, Delivery]], batch: Batch) -> None:
        """Decode the messages of deliveries into `batch`: of all connections in the order of capture, so that what one of them
        teaches another (an account's listen key, an instrument's number) comes before what needs it; at the same time in the
        order of deliveries, the client first."""
        kept: list[Message] = []
        beginning: dict[int, Connection] = {}
        for connection, delivery in deliveries:
            if self._begins(connection):
                beginning[connection.id] = connection
                kept += [Message(connection.id, sender, *message) for sender, messages in delivery for message in messages]
            else:
                kept += self._wanted(connection, delivery, batch)
        kept.sort(key=_by_capture_time)
        for message in kept:
            if (first := beginning.get(message.connection_id)) is None:
                self._decode(self._known[message.connection_id], message, batch)
            else:
                for wanted in self._wanted(first, [(message.sender, [message[2:]])], batch):
                    self._decode(self._known[first.id], wanted, batch)
        for connection, _ in deliveries:
            examined = self._known.get(connection.id)
            if examined is not None and len(examined.holes) > 1:
                # What comes next is behind all of them: one a sender is enough, however many there are.
                examined.holes = list(dict(examined.holes).items())

    def _begins(self, connection: Connection) -> bool:
        """Whether its decoder is still to be made: with its first message, since it is told what others have taught by then."""
        examined = self._known.get(connection.id)
        return examined is None or (examined.decoder is None and _venue(connection) is not None)

    def _wanted(self, connection: Connection, delivery: Delivery, batch: Batch) -> list[Message]:
        """The messages of one delivery that are to be decoded."""
        examined = self._known.get(connection.id) or self._begin(connection)
        examined.holes += connection.conversation.take_holes()
        if examined.decoder is None:
            delivery = self._guess(connection, examined, delivery, batch)
        kept: list[Message] = []
        for sender, messages in delivery:
            if self._keep_all:
                kept += [Message(connection.id, sender, *message) for message in messages]
            else:
                self._search(connection.id, examined, sender, messages, kept)
        return kept

    @staticmethod
    def _tell_holes(examined: _Examined, message: Message) -> None:
        """Before the first message behind a hole: what a decoder remembers may have changed in it."""
        reached = [hole for hole in examined.holes if hole[0] == message.sender and hole[1] <= message.position]
        if reached:
            examined.holes = [hole for hole in examined.holes if hole not in reached]
            if isinstance(examined.decoder, Remembers):
                examined.decoder.hole(message.sender)

    def facts(self, connection: Connection) -> tuple[str | None, bool, str | None, str | None, int]:
        """(venue, guessed, account, path without secrets, messages that no decoder looked at) of a connection."""
        examined = self._known.get(connection.id) or self._begin(connection)
        venue = examined.venue
        path = connection.path
        if path is not None:
            path = exchanges.redact_path(venue, path)
        account = examined.decoder.account if examined.decoder else self._account
        return venue.name if venue else None, examined.guessed, account, path, examined.unexamined

    def forget(self, connection_id: int) -> None:
        """The connection has ended, and its rows are stored."""
        self._known.pop(connection_id, None)
        self.owners.forget(connection_id)

    # --- which venue -----------------------------------------------------------------------------------------------------

    def _begin(self, connection: Connection) -> _Examined:
        venue = _venue(connection)
        examined = _Examined(venue, self._decoder(venue, connection) if venue else None)
        self._known[connection.id] = examined
        return examined

    def _decoder(self, venue: Venue, connection: Connection) -> Decoder:
        port = connection.server_address[1]
        facts = ConnectionFacts(
            connection.id, connection.host, connection.path, port,
            self._account, self._name_of, self._aliases, self._instruments,
        )  # fmt: skip
        return venue.decoder(facts)

    def _guess(self, connection: Connection, examined: _Examined, delivery: Delivery, batch: Batch) -> Delivery:
        """Look for a venue's order messages on a connection that names none; returns what is still to be examined.

        In the order of capture, so that the same messages are examined however the packets are cut into blocks.
        """
        if connection.host is not None:  # it may have been learnt since
            venue = _venue(connection)
            if venue is not None:
                examined.venue, examined.decoder = venue, self._decoder(venue, connection)
                return delivery
        messages = [(sender, message) for sender, messages in delivery for message in messages]
        if len(delivery) > 1:
            messages.sort(key=_by_wire_time)
        for index, (sender, message) in enumerate(messages):
            venue = exchanges.guess_venue(sender, message[4]) if message[3] < OPCODE_CLOSE else None
            if venue is not None:
                examined.venue, examined.decoder, examined.guessed = venue, self._decoder(venue, connection), True
                return [(sender, [message]) for sender, message in messages[index:]]
            examined.unexamined += 1
            if self._keep_all and not exchanges.may_be_login(message[4]):
                batch.add_message(self._row(examined, Message(connection.id, sender, *message), OTHER))
        return []

    # --- which messages --------------------------------------------------------------------------------------------------

    @staticmethod
    def _search(
        connection_id: int, examined: _Examined, sender: Sender, messages: list[WireMessage], kept: list[Message]
    ) -> None:
        """The byte search: once for every message of a known venue, so text, which nearly all are, goes without a look-up."""
        text = examined.search(sender, OPCODE_TEXT)
        for message in messages:
            opcode, payload = message[3], message[4]
            if text(payload) if opcode == OPCODE_TEXT else examined.search(sender, opcode)(payload):
                kept.append(Message(connection_id, sender, *message))

    def _decode(self, examined: _Examined, message: Message, batch: Batch) -> None:
        if examined.holes:
            self._tell_holes(examined, message)
        # What is kept with all the rest, and no search would have found, is no order message, and so none that is broken.
        wanted = not self._keep_all or examined.search(message.sender, message.opcode)(message.payload)
        decoded = exchanges.meaning(examined.decoder, message) if wanted and examined.decoder is not None else None
        if decoded is None:
            if self._keep_all:
                batch.add_message(self._row(examined, message, OTHER))
            return
        if decoded.kind == LOGIN:
            return
        batch.add_message(self._row(examined, message, decoded.kind))
        batch.order_events += decoded.orders
        batch.fill_events += decoded.fills
        if decoded.problem is not None:
            at = message.captured_at
            batch.losses.append(
                Loss(
                    self._capture_id,
                    message.connection_id,
                    message.sender,
                    at,
                    at,
                    None,
                    len(message.payload),
                    1,
                    "decoder",
                    decoded.problem,
                )
            )

    @staticmethod
    def _row(examined: _Examined, message: Message, kind: str) -> MessageRow:
        """The message as it is kept: text where it is text, or a known venue's compressed JSON, secrets out."""
        venue, http = examined.venue, message.http
        text: str | None = None
        blob: bytes | None = None
        if message.opcode in (OPCODE_TEXT, OPCODE_HTTP):
            try:
                text = exchanges.redact(venue, message.sender, message.payload.decode())
            except UnicodeDecodeError:
                blob = exchanges.redact_blob(venue, message.sender, message.payload)
        elif venue and message.opcode == OPCODE_BINARY and (inside := json_inside(message.payload)) is not None:
            text = exchanges.redact(venue, message.sender, inside)
        else:
            blob = exchanges.redact_blob(venue, message.sender, message.payload)
        return MessageRow(
            message.connection_id,
            message.sender,
            message.position,
            message.first_seen,
            message.captured_at,
            OPCODE_NAMES[message.opcode],
            http.method if http else None,
            exchanges.redact_path(venue, http.target) if http and http.target is not None else None,
            http.status if http else None,
            text,
            blob,
            venue.name if venue else None,
            kind,
        )

"""Today's decoders over the raw messages that a database holds: rows of unknown messages are won back, others corrected.

A message is decoded as it was in the capture: per connection, in the order of wire times, with what the messages before it
told. What no longer stands in it is taken from the tables: a key that is `[redacted]` says nothing, so a message's rows keep
the account that they have, and new ones get that of the connection. Where messages were lost, the losses say within which time
that was, and no longer before which message: decoders forget what they remember before each that may be it. A connection of a
venue that is not known today (one of the user's own, say, that the settings no longer declare) stays as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from sniffer import exchanges
from sniffer.config import REDACTED, Settings, account_name, account_salt
from sniffer.errors import StoreError, UsageError
from sniffer.exchanges.base import (
    ALIASES,
    INSTRUMENTS,
    LOGIN,
    OTHER,
    Bounded,
    ConnectionFacts,
    Decoded,
    Decoder,
    Remembers,
    Venue,
)
from sniffer.exchanges.own import use_own_venues
from sniffer.model import OPCODE_CLOSE, OPCODE_NAMES, FillEvent, HttpHead, Loss, Message, MessageRow, OrderEvent, Sender
from sniffer.store.place import check_place
from sniffer.store.rewrite import Conversation, Hole, Rewrite, Rewritten, Stored
from sniffer.store.store import Store

_OPCODES: Final = {name: opcode for opcode, name in OPCODE_NAMES.items()}
_ROWS: Final = 5_000
"""Messages whose rows are gathered before they go to the database."""
_SIZE: Final = 8_000_000
"""And of how many bytes of payloads: where all messages are kept, some have megabytes."""


@dataclass
class Redecoded:
    """What a run came to. `unknown`: connections that stay as they are, by a venue that is not known today."""

    messages: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    rewritten: Rewritten = field(default_factory=Rewritten)


def redecode(settings: Settings) -> Redecoded:
    """Decode anew what the database of `settings` holds, and store what changed, in one publish.

    Raises `StoreError` for a database that is missing, in use, or not ours.
    """
    use_own_venues(settings.venues)
    check_place(settings.db)
    if not settings.db.exists():
        raise StoreError(f"{settings.db}: no such database; name it with --db")
    if not settings.db.stat().st_size:
        raise StoreError(f"{settings.db}: is empty, and no database; name it with --db")
    done = Redecoded()
    salt = account_salt()
    with Store(settings.db) as store:

        def work(rewrite: Rewrite) -> None:
            for capture_id in rewrite.captures():
                _Capture(rewrite, capture_id, lambda key: account_name(salt, key), done).run()

        done.rewritten = store.rewrite(work)
    return done


def lines(done: Redecoded, db: str) -> Iterator[str]:
    """What a run came to, for the user."""
    tables = done.rewritten.tables
    if not done.rewritten:
        yield f"{done.messages:,} messages decoded anew; nothing changed in {db}"
    else:
        yield f"{done.messages:,} messages decoded anew -> {db}"
        for table, (added, removed, changed) in tables.items():
            said = ((added, "added"), (removed, "removed"), (changed, "changed"))
            counts = [f"{count:,} {what}" for count, what in said if count]
            if counts:
                yield f"  {table}: {', '.join(counts)}"
    for venue, kind, venue_now, kind_now, count in done.rewritten.messages:
        now = "not kept: a login" if kind_now is None else f"{venue_now or 'of no known venue'}, {kind_now}"
        yield f"  {count:,} messages {venue or 'of no known venue'}, {kind} -> {now}"
    for venue, count in done.unknown.most_common():
        yield f"  {count:,} connections of {venue} stay as they are: that venue is not known today"


class _Talk:
    """One connection, decoded anew."""

    def __init__(
        self, stored: Conversation, venue: Venue | None, facts: ConnectionFacts, holes: dict[Sender, list[Hole]]
    ) -> None:
        """`holes`: what was lost of each sender, the earliest first."""
        self.stored = stored
        self.venue = venue
        self.facts = facts
        self.decoder: Decoder | None = venue.decoder(facts) if venue else None
        self.guessed = stored.venue_guessed
        self.won = 0
        """Messages that no decoder had looked at."""
        self._holes = {sender: found[::-1] for sender, found in holes.items()}
        self._reached: dict[Sender, int] = {}  # `captured_at` of the latest message

    def tell_hole(self, message: Message) -> None:
        """Before a message that may be the first behind a hole: what a decoder remembers may have changed in it.

        A hole lies between a message and the one before it, unless it ended before the one or began behind the other.
        """
        if not (holes := self._holes.get(message.sender)):
            return
        before = self._reached.get(message.sender, 0)
        self._reached[message.sender] = message.captured_at
        while holes and holes[-1].until < before:
            holes.pop()
        if holes and holes[-1].since <= message.captured_at and isinstance(self.decoder, Remembers):
            self.decoder.hole(message.sender)

    def guess(self, message: Message) -> None:
        """See whether a message of a connection that names no venue is an order message of one."""
        if message.opcode < OPCODE_CLOSE:
            self._is_of(exchanges.guess_venue(message.sender, message.payload))

    def recall(self, venue: str) -> None:
        """From this message on the venue was guessed, when it was decoded first."""
        self._is_of(_by_name(venue))

    def _is_of(self, venue: Venue | None) -> None:
        if venue is not None:
            self.venue, self.decoder, self.guessed = venue, venue.decoder(self.facts), True

    def now(self) -> Conversation:
        """The connection as it is now."""
        account = self.stored.account or (self.decoder.account if self.decoder else None) or None
        return self.stored._replace(
            venue=self.venue.name if self.venue else self.stored.venue,
            venue_guessed=self.guessed,
            account=account,
            unexamined=max(self.stored.unexamined - self.won, 0),
        )


class _Capture:
    """The decoders of one capture's connections, which share what they learn."""

    def __init__(self, rewrite: Rewrite, capture_id: str, name_of: Callable[[str], str], done: Redecoded) -> None:
        self._rewrite = rewrite
        self._capture_id = capture_id
        self._done = done
        aliases: Bounded[str] = Bounded(ALIASES)
        instruments: Bounded[str] = Bounded(INSTRUMENTS)
        self._talks: dict[int, _Talk] = {}
        holes = rewrite.holes(capture_id)
        for stored in rewrite.conversations(capture_id):
            venue = exchanges.venue_of(stored.host, stored.path, stored.server_port)
            known = venue or _by_name(stored.venue)
            if known is None and stored.venue is not None:
                done.unknown[stored.venue] += 1
                continue
            if not stored.venue_guessed:
                venue = known
            facts = ConnectionFacts(
                stored.connection_id, stored.host, stored.path, stored.server_port,
                stored.account, _names(name_of, stored.account), aliases, instruments,
            )  # fmt: skip
            self._talks[stored.connection_id] = _Talk(stored, venue, facts, holes.get(stored.connection_id, {}))

    def run(self) -> None:
        """Decode the capture's messages, in their order."""
        rows: tuple[list[Any], ...] = ([], [], [], [])
        size = 0
        for stored in self._rewrite.messages(self._capture_id):
            talk = self._talks.get(stored.message.connection_id)
            if talk is None:
                continue
            self._done.messages += 1
            self._decode(talk, stored, *rows)
            size += stored.message.payload_size
            if len(rows[0]) >= _ROWS or size >= _SIZE:
                self._rewrite.put(*rows)
                rows, size = ([], [], [], []), 0
        self._rewrite.put(*rows)
        self._rewrite.redecoded([talk.now() for talk in self._talks.values()])

    def _decode(
        self,
        talk: _Talk,
        stored: Stored,
        messages: list[tuple[MessageRow, int]],
        orders: list[tuple[OrderEvent, int]],
        fills: list[tuple[FillEvent, int]],
        losses: list[tuple[Loss, int]],
    ) -> None:
        row, batch = stored.message, stored.batch
        message = _message(row)
        if talk.decoder is None:
            talk.recall(row.venue) if row.venue is not None else talk.guess(message)
        talk.tell_hole(message)
        if talk.decoder is None or talk.venue is None:
            messages.append((row, batch))
            return
        talk.won += row.venue is None
        # As `Examiner` does; but of what was found once a redaction may have taken what is searched.
        wanted = row.kind != OTHER or talk.decoder.wanted(message.sender, message.opcode)(message.payload)
        decoded = (exchanges.meaning(talk.decoder, message) if wanted else None) or Decoded(OTHER, [], [])
        if decoded.kind == LOGIN:
            return
        messages.append((_redacted(row, talk.venue)._replace(venue=talk.venue.name, kind=decoded.kind), batch))
        orders += [(one._replace(account=stored.account or one.account or None), batch) for one in decoded.orders]
        fills += [(one._replace(account=stored.account or one.account or None), batch) for one in decoded.fills]
        if decoded.problem is not None:
            at, size = row.captured_at, None if _is_redacted(row) else len(message.payload)
            loss = Loss(self._capture_id, row.connection_id, row.sender, at, at, None, size, 1, "decoder", decoded.problem)
            losses.append((loss, batch))


def _by_name(name: str | None) -> Venue | None:
    try:
        return None if name is None else exchanges.by_name(name)
    except UsageError:
        return None


def _names(name_of: Callable[[str], str], account: str | None) -> Callable[[str], str]:
    """Names of keys: one that is not there any more stands for the account that the connection had; "" if it had none."""
    return lambda key: (account or "") if REDACTED in key else name_of(key)


def _message(row: MessageRow) -> Message:
    """The message that a row keeps, as far as it does: without its HTTP header fields."""
    payload = row.payload.encode() if row.payload is not None else row.payload_blob or b""
    opcode = _OPCODES[row.opcode]
    head = HttpHead(row.http_method, row.http_target, row.http_status, ()) if row.opcode == "http" else None
    return Message(row.connection_id, row.sender, row.position, row.first_seen, row.captured_at, opcode, payload, head)


def _redacted(row: MessageRow, venue: Venue) -> MessageRow:
    """The message without what is called a secret today."""
    text, blob, target = row.payload, row.payload_blob, row.http_target
    return row._replace(
        payload=None if text is None else exchanges.redact(venue, row.sender, text),
        payload_blob=None if blob is None else exchanges.redact_blob(venue, row.sender, blob),
        http_target=None if target is None else exchanges.redact_path(venue, target),
    )


def _is_redacted(row: MessageRow) -> bool:
    return REDACTED in (row.payload or "") or REDACTED.encode() in (row.payload_blob or b"")

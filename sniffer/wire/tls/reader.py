"""One side of a TLS connection: records in, proved application data out (RFC 8446 sections 4 and 5, RFC 5246 sections 6 and 7).

The side is at one of these places:

- it *reads*: the next byte begins a record, or lies in the one under way, and the keys are known (`_opener`), or none are
  needed yet (`Stage.HELLO`);
- it *waits* (`_ready`) for what the other side's hello says; what comes is queued;
- it *searches* (`search.py`) for a record that its candidate keys prove: where keys change, where the key log lacks them, and
  after damage;
- it *skips* what is left of a record that a gap tore, whose head was seen;
- it is *over*: nothing that follows can be read, and why.

Each byte is read, or lost in the TCP layer's gaps, or tallied here. A side's result depends on its own bytes, the other side's
hello, and the key log.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from sniffer.config import Limits
from sniffer.model import Sender
from sniffer.wire.losses import LossLedger
from sniffer.wire.stream import CAPTURE_ENDED, Data, End, Gap, Item
from sniffer.wire.tls import hello
from sniffer.wire.tls.negotiation import Candidate, Negotiation, Stage
from sniffer.wire.tls.protection import HEAD, MAX_BODY_12, Aead13, Opener
from sniffer.wire.tls.records import PendingRecord
from sniffer.wire.tls.search import Budget, Found, Search

CHANGE_CIPHER_SPEC: Final = 20
ALERT: Final = 21
HANDSHAKE: Final = 22
APPLICATION_DATA: Final = 23
_TYPES: Final = range(20, 25)
_FATAL: Final = 2
_CLOSE_NOTIFY: Final = 0
_USER_CANCELED: Final = 90
_NO_RENEGOTIATION: Final = 100

TORN: Final = "TLS record torn by a gap"
UNPROVED: Final = "TLS record that its tag does not prove"
NO_HEAD: Final = "not a TLS record"
BETWEEN: Final = "between a gap and the next proved TLS record"
BEYOND: Final = "the TLS sequence number lies beyond the search"
REJECTED: Final = "early data that the server rejected"
AFTER_CLOSE: Final = "after the end of the TLS connection"
NOT_SEEN: Final = "TLS handshake not seen (joined in the middle), and no secret of the key log fits"
DAMAGED: Final = "TLS handshake not seen whole, and no secret of the key log fits"
NO_LINE: Final = "no key log line for this client random"
NOT_FITTING: Final = "the key log's secrets for this client random do not fit"

_GENERATIONS: Final = 2
"""KeyUpdates that a hole may have swallowed."""
_ITEM_COST: Final = 150
"""Memory of an item that is held, beside its bytes."""


class SideReader:
    """Records to plaintext, for one sender."""

    def __init__(self, sender: Sender, negotiation: Negotiation, budget: Budget, limits: Limits, ledger: LossLedger) -> None:
        self.sender: Sender = sender
        self.proved = False
        """Whether any record was opened."""
        self._negotiation = negotiation
        self._budget = budget
        self._ledger = ledger
        self._stage = Stage.HELLO
        self._opener: Opener | None = None  # set only while it reads protected records
        self._keys: Opener | None = None  # the latest that proved themselves
        self._previous: Opener | None = None  # those before
        self._record = PendingRecord()
        self._handshake = hello.Handshake(limits.header_bytes)
        self._deaf = False  # bytes of the handshake were lost: its messages cannot be followed
        self._hellos = 0  # that this side has said
        self._ready: Callable[[], bool] | None = None
        self._then: Callable[[], None] | None = None
        self._search: Search | None = None
        self._skip = 0
        self._over: str | None = None
        self._queue: deque[Item] = deque()
        self._queued = 0  # memory, about
        self._offset = 0  # of the plaintext
        self._out: list[Item] = []

    # --- for the layer ---------------------------------------------------------------------------------------------------

    @property
    def held_bytes(self) -> int:
        """Memory held for what cannot be read yet, about."""
        search = self._search.held_bytes if self._search is not None else 0
        return self._queued + search + len(self._record.data) + self._handshake.held_bytes

    @property
    def waiting(self) -> bool:
        """Whether records are held until keys come."""
        return self._search is not None and self._may_get_keys() and self._search.held_bytes > 0

    @property
    def busy(self) -> bool:
        """Whether a search goes on, slice by slice."""
        return self._search is not None and self._search.busy

    @property
    def unreadable_reason(self) -> str | None:
        """Why nothing can be read from this side (so far); None: it can, or nothing was there to be read."""
        search = self._search
        if self._over is not None or search is None or self.proved:
            return self._over if not self.proved and self._over != AFTER_CLOSE else None
        if search.beyond:
            return BEYOND
        if self._negotiation.client_random is None or not self._hellos:
            return NOT_SEEN if self._negotiation.joined_midway else DAMAGED
        return NOT_FITTING if search.has_candidates else NO_LINE

    def feed(self, items: list[Item]) -> list[Item]:
        """The plaintext that `items` bring forth."""
        out = self._out = []
        queue = self._queue
        if queue:
            self._hold(items)
        else:
            record = self._record
            for number, item in enumerate(items):
                opener = self._opener
                if opener is not None and type(item) is tuple and not record.data:
                    start, time, data = item
                    at, self._offset = opener.application_data(data, 0, time, self._offset, out)
                    if at == len(data):
                        continue
                    item = (start + at, time, data[at:])
                if not self._item(item) or queue:
                    self._hold(items[number + 1 :])
                    break
        self._drain()
        return out

    def resume(self) -> list[Item]:
        """The other side, or the key log, has said more, or a search goes on: the plaintext that comes of it."""
        out = self._out = []
        if self._search is not None:
            self._refill(self._search)
            self._look(at_end=False)
        self._drain()
        return out

    def give_up(self, time: int, reason: str) -> list[Item]:
        """Stop holding records: those held are lost for `reason`. Reading goes on with what comes later, if keys do."""
        out = self._out = []
        while self._search is not None or self._queue:
            search = self._search
            if search is not None:
                if self._look(at_end=True):
                    self._drain()
                    continue
                self._lose(search.drop(), reason)
                search.lost_at = None
            elif self._ready is not None:  # for a hello that does not come
                self._ready = self._then = None
                self._lose_place(None, reason)
            if not self._queue:
                break
            item = self._pop()
            if isinstance(item, tuple):
                self._lose([item], reason)
            elif isinstance(item, End):
                self._end(item)
        return out

    def stop(self, reason: str) -> None:
        """Nothing more of this side can be read."""
        self._over = self._over or reason
        self._opener = None
        if self._search is not None:
            self._lose(self._search.drop(), reason)
            self._search = None
        self._lose(self._record.chunks(), reason)

    # --- the queue -------------------------------------------------------------------------------------------------------

    def _hold(self, items: Iterable[Item]) -> None:
        for item in items:
            self._queue.append(item)
            self._queued += _cost(item)

    def _hold_first(self, items: Sequence[Item]) -> None:
        for item in reversed(items):
            self._queue.appendleft(item)
            self._queued += _cost(item)

    def _pop(self) -> Item:
        item = self._queue.popleft()
        self._queued -= _cost(item)
        return item

    def _drain(self) -> None:
        while self._queue and self._item(self._pop()):
            pass

    def _item(self, item: Item) -> bool:
        """One item; False: it must wait, and is first in the queue."""
        if isinstance(item, tuple):
            done = self._data(*item)
        elif isinstance(item, Gap):
            done = self._gap(item)
        else:
            done = self._end(item)
        return done

    # --- data ------------------------------------------------------------------------------------------------------------

    def _data(self, offset: int, time: int, data: bytes) -> bool:
        at, size = 0, len(data)
        while True:
            if self._search is not None:
                if at < size:
                    self._search.feed((offset + at, time, data[at:]))
                self._look(at_end=False)
                return True
            if at == size:
                return True
            if self._over is not None:
                self._lose([(offset + at, time, data[at:])], self._over)
                return True
            if not self._go():
                self._hold_first([(offset + at, time, data[at:])])
                return False
            if self._skip:
                taken = min(self._skip, size - at)
                self._lose([(offset + at, time, data[at : at + taken])], TORN)
                self._skipped(taken)
                at += taken
            elif self._search is None and self._over is None:
                if self._opener is not None and not self._record.data:
                    at, self._offset = self._opener.application_data(data, at, time, self._offset, self._out)
                    if at == size:
                        return True
                at = self._record.add(offset, time, data, at)
                self._check_record()

    def _go(self) -> bool:
        """False: what this side waits for has not come."""
        if self._ready is not None:
            if not self._ready():
                return False
            then, self._ready, self._then = self._then, None, None
            if self._negotiation.unreadable is not None:
                self.stop(self._negotiation.unreadable)
            elif then is not None:
                then()
        return True

    def _wait(self, ready: Callable[[], bool], then: Callable[[], None]) -> None:
        self._ready, self._then = ready, then
        self._opener = None

    def _check_record(self) -> None:
        """The record under way has grown."""
        record = self._record
        head = bytes(record.data[:HEAD])
        if len(head) < HEAD:
            return
        if head[0] not in _TYPES or head[1] != 3 or int.from_bytes(head[3:]) > MAX_BODY_12:
            self._lose_place(record.offset, NO_HEAD)
        elif not record.missing():
            if self._opener is None:
                self._unprotected(head[0], bytes(record.data[HEAD:]))
            else:
                self._protected(self._opener, head, bytes(record.data[HEAD:]))

    def _protected(self, opener: Opener, head: bytes, body: bytes) -> None:
        record = self._record
        if opener.tls13 and head[0] in (CHANGE_CIPHER_SPEC, ALERT) and len(body) <= 2:
            record.take()  # RFC 8446 section 5: sent for middleboxes, and ignored. An alert in the clear proves nothing
            return
        opened = opener.open(head, body, opener.sequence)
        if opened is None:
            self._lose_place(record.offset, UNPROVED)
            return
        opener.sequence += 1
        content, plain = opened
        if content == APPLICATION_DATA:
            self._out += record.items(plain, opener.lead, self._offset)
            self._offset += len(plain)
        record.take()
        if content == HANDSHAKE:
            self._messages(plain)
        elif content == ALERT and len(plain) == 2:
            self._alert(*plain)
        elif content == CHANGE_CIPHER_SPEC and not opener.tls13:
            self._change_keys12()

    def _unprotected(self, kind: int, body: bytes) -> None:
        record, negotiation = self._record, self._negotiation
        if self._stage is not Stage.HELLO:  # keys begin with the next protected record
            if kind == APPLICATION_DATA or self._stage is Stage.TLS12:
                self._lose_place(record.offset, UNPROVED)
            elif kind == HANDSHAKE:
                self._lose(record.chunks(), NO_HEAD)
            else:
                record.take()
        elif kind == HANDSHAKE:
            offset, chunks = record.offset, record.chunks()
            if not self._messages(body):
                self._lose_place(offset, BETWEEN, chunks)
        elif kind == APPLICATION_DATA and self.sender == "client" and negotiation.retried:
            self._lose(record.chunks(), REJECTED)
        elif kind == APPLICATION_DATA or not (self._hellos or negotiation.retried):
            self._lose_place(record.offset, BETWEEN)
        else:
            record.take()
            if kind == CHANGE_CIPHER_SPEC and negotiation.tls13 is False:
                self._change_keys12()

    # --- handshake -------------------------------------------------------------------------------------------------------

    def _messages(self, content: bytes) -> bool:
        """The handshake messages that end in a record. False: this is no handshake from its beginning on."""
        if self._deaf:
            return True
        negotiation = self._negotiation
        for kind, body in self._handshake.feed(content):
            if kind == hello.CLIENT_HELLO and self.sender == "client" and self._stage in (Stage.HELLO, Stage.TLS12):
                self._client_hello(body)
            elif kind == hello.SERVER_HELLO and self.sender == "server" and self._stage in (Stage.HELLO, Stage.TLS12):
                self._server_hello(body)
            elif self._stage is Stage.HELLO:
                if not self._hellos and kind:  # a HelloRequest (0) may come first
                    return False
            elif kind == hello.ENCRYPTED_EXTENSIONS and self.sender == "server" and self._stage is Stage.HANDSHAKE:
                negotiation.encrypted_extensions(hello.encrypted_extensions(body))
                if negotiation.unreadable is not None:
                    self.stop(negotiation.unreadable)
                    return True
            elif kind == hello.FINISHED and self._stage is Stage.HANDSHAKE:
                self._begin(Stage.APPLICATION)
            elif kind == hello.END_OF_EARLY_DATA and self._stage is Stage.EARLY:
                self._begin(Stage.HANDSHAKE)
            elif kind == hello.KEY_UPDATE and self._stage is Stage.APPLICATION and isinstance(self._opener, Aead13):
                self._previous, self._keys = self._opener, self._opener.successor()
                self._opener = self._keys
        return True

    def _client_hello(self, body: bytes) -> None:
        negotiation = self._negotiation
        again = self._hellos > 0
        renegotiated = self._stage is Stage.TLS12
        negotiation.client_hello(hello.client_hello(body))
        if not again or renegotiated:
            self._hellos += 1
        if not renegotiated:
            seen = 2 if again else 1
            self._wait(
                lambda: bool(negotiation.servers or negotiation.absent or (negotiation.retried and seen == 1)),
                lambda: self._hear(seen),
            )

    def _hear(self, seen: int) -> None:
        """The client's hello, the first or the second one, was answered."""
        negotiation = self._negotiation
        if negotiation.retried and seen == 1:
            return  # with a request for the second one
        if not negotiation.servers:
            self._lose_place(None, BETWEEN)
        elif negotiation.tls13:
            early = negotiation.clients[0].early_data and not negotiation.retried
            begin = Stage.EARLY if early else Stage.HANDSHAKE

            def go() -> None:
                self._begin(Stage.HANDSHAKE if negotiation.early_data is False else begin)

            self._wait(lambda: negotiation.extensions_done, go)

    def _server_hello(self, body: bytes) -> None:
        negotiation = self._negotiation
        parsed = hello.server_hello(body)
        negotiation.server_hello(parsed)
        if negotiation.unreadable is not None:
            self.stop(negotiation.unreadable)
        elif parsed is not None and not parsed.is_retry:
            self._hellos += 1
            if negotiation.tls13:
                self._wait(
                    lambda: bool(negotiation.clients or "client" in negotiation.absent), lambda: self._begin(Stage.HANDSHAKE)
                )

    def _change_keys12(self) -> None:
        """ChangeCipherSpec of TLS 1.2: the keys of the handshake that this side's latest hello belongs to."""
        negotiation, number = self._negotiation, self._hellos
        self._wait(
            lambda: bool(negotiation.absent) or (len(negotiation.clients) >= number and len(negotiation.servers) >= number),
            lambda: self._begin(Stage.TLS12),
        )

    def _begin(self, stage: Stage) -> None:
        """The next record is protected with the first keys of `stage`."""
        self._stage = stage
        self._previous, self._keys, self._opener = self._keys, None, None

    def _alert(self, level: int, description: int) -> None:
        """RFC 8446 section 6: all but two end the connection; in RFC 5246 section 7.2 the level says so."""
        if description == _NO_RENEGOTIATION and self.sender == "server":
            self._hellos += 1
            self._negotiation.refused()
        fatal = level == _FATAL or (self._negotiation.tls13 and description != _USER_CANCELED)
        if description == _CLOSE_NOTIFY or fatal:
            self.stop(AFTER_CLOSE)

    # --- holes and searches ----------------------------------------------------------------------------------------------

    def _gap(self, gap: Gap) -> bool:
        if self._over is not None:
            return True
        if not self._go():
            self._hold_first([gap])
            return False
        length, record = gap.length, self._record
        if self._search is not None:
            return self._run_ends(self._search, gap)
        if self._skip:
            if length is not None and length <= self._skip:
                self._skipped(length)
                return True
            self._skip = 0
        elif record.data:
            left = record.missing()
            if length is not None and len(record.data) >= HEAD and length <= left and self._opener is not None:
                self._lose(record.chunks(), TORN)
                self._keys, self._opener = self._opener, None
                self._skip = left
                self._out.append(Gap(self._offset, gap.time, None, TORN))
                self._skipped(length)
                return True
            self._lose_place(record.offset if length is not None else None, BETWEEN, [])
            self._lose(record.chunks(), TORN)
            return True
        self._lose_place(gap.offset if length is not None else None, BETWEEN)
        return True

    def _skipped(self, length: int) -> None:
        """`length` more bytes of a torn record have passed."""
        self._skip -= length
        if not self._skip and self._keys is not None:
            self._opener = self._keys
            self._opener.sequence += 1

    def _run_ends(self, search: Search, item: Gap | End) -> bool:
        """A gap or the end comes while the place is not known: what is held is all that there is to find it in."""
        self._hold_first([item])
        if self._look(at_end=True):
            return True
        if self._may_get_keys():
            return False
        self._pop()
        self._lose(search.drop(), BEYOND if search.beyond else search.reason)
        if isinstance(item, End):
            return self._end(item)
        if search.beyond:
            self.stop(BEYOND)
        if item.length is None:
            search.lost_at = None
        return True

    def _may_get_keys(self) -> bool:
        """Whether a search may yet be given the keys that it lacks."""
        search = self._search
        if search is None or search.beyond or self._keys is not None:
            return False
        return self._negotiation.client_random is None or not search.has_candidates

    def _lose_place(self, at: int | None, reason: str, chunks: list[Data] | None = None) -> None:
        """Search for the next record that opens. `at`: where the record with the next number begins; None: not known.

        `chunks`: what is there of it, else what is there of the record under way.
        """
        self._opener = None
        negotiation = self._negotiation
        if not self._hellos:
            negotiation.hello_lost(self.sender)
            at = None
        elif self.sender == "server" and not negotiation.extensions_done and self._stage is Stage.HELLO:
            negotiation.hello_lost("server")
        search = self._search = Search(self._budget, at, reason, tls13=negotiation.tls13)
        for chunk in self._record.chunks() if chunks is None else chunks:
            search.feed(chunk)
        keys = self._keys
        if keys is not None:
            search.add([Candidate(keys, keys.sequence, self._stage, None)])
            if self._previous is not None:
                search.add([Candidate(self._previous, self._previous.sequence, self._stage, None)])
            if self._stage is Stage.APPLICATION:
                search.add(_successors(Candidate(keys, 0, self._stage, None), _GENERATIONS))
        self._refill(search)

    def _refill(self, search: Search) -> None:
        """Give a search the candidates that the key log has now."""
        stages = [self._stage]
        tls13 = self._negotiation.tls13
        if self._stage is Stage.HELLO:
            stages = [Stage.HANDSHAKE, Stage.APPLICATION] if tls13 else [Stage.TLS12]
            if tls13 is None:
                stages.append(Stage.APPLICATION)
        elif self._stage is Stage.EARLY:
            stages = [Stage.EARLY, Stage.HANDSHAKE, Stage.APPLICATION]
        elif self._stage is Stage.HANDSHAKE:
            stages = [Stage.HANDSHAKE, Stage.APPLICATION]
        known = self._negotiation.client_random is not None
        for stage in stages:
            if stage is self._stage and self._keys is not None:
                continue
            found = self._negotiation.candidates(self.sender, stage, self._hellos - 1, search.tried)
            search.add(found)
            if stage is Stage.APPLICATION:
                for candidate in found:
                    search.add(_successors(candidate, _GENERATIONS if known else 1))

    def _look(self, *, at_end: bool) -> bool:
        """Go on searching; True: a record was found, and what follows it is first in the queue."""
        search = self._search
        if search is None:
            return False
        found = search.find(at_end=at_end)
        if found is None:
            if search.beyond and not at_end:
                self._lose(search.drop(), BEYOND)
                self.stop(BEYOND)
            return False
        self._search = None
        self._place(found, search)
        return True

    def _place(self, found: Found, search: Search) -> None:
        """The place is known again: the record that was found."""
        candidate, begins = found.candidate, found.chunks[0]
        rejected = (
            self._stage is Stage.EARLY and candidate.stage is Stage.HANDSHAKE and self._negotiation.early_data is not True
        )
        self._lose(found.skipped, REJECTED if rejected else search.reason)
        if self._misses_data(found, search):
            self._out.append(Gap(self._offset, begins[1], None, search.reason))
        opener = candidate.opener
        if opener is not self._keys:
            self._previous, self._keys = self._keys, opener
        if candidate.stage is Stage.HANDSHAKE and found.sequence > candidate.base:
            self._deaf = True
        elif candidate.stage is not Stage.HANDSHAKE:
            self._deaf = False
        opener.sequence = found.sequence
        self._handshake.reset()
        self._stage = candidate.stage
        self._opener = opener
        self.proved = True
        self._negotiation.proved(candidate)
        if (
            self.sender == "server"
            and not self._negotiation.extensions_done
            and (self._deaf or self._stage is Stage.APPLICATION)
        ):
            self._negotiation.encrypted_extensions(None)
        self._hold_first(found.chunks)

    def _misses_data(self, found: Found, search: Search) -> bool:
        """Whether application data may have been lost before the record that was found."""
        candidate = found.candidate
        if candidate.opener is self._keys or (candidate.stage is self._stage and candidate.stage is not Stage.TLS12):
            return candidate.stage is not Stage.HANDSHAKE and (not candidate.first or found.sequence > candidate.base)
        if self._stage is Stage.EARLY and self._negotiation.early_data and found.chunks[0][0] != search.lost_at:
            return True
        if candidate.stage is Stage.HANDSHAKE:
            return False
        return not candidate.first or found.sequence > (1 if candidate.stage is Stage.TLS12 else 0)

    def _end(self, end: End) -> bool:
        if not self._hellos:
            self._negotiation.hello_lost(self.sender)
        if self._over is None:
            if not self._go():
                self._hold_first([end])
                return False
            if self._search is not None and self._search.held_bytes:
                return self._run_ends(self._search, end)
        inside = CAPTURE_ENDED if end.reason.startswith(CAPTURE_ENDED) else "connection ended"
        self._lose(self._record.chunks(), f"{inside} inside a TLS record")
        if self._search is not None and self.proved:
            self._out.append(Gap(self._offset, end.time, None, self._search.reason))
        self._search = None
        if self.sender == "server" and not self._negotiation.extensions_done:
            self._negotiation.encrypted_extensions(None)
        self._out.append(End(self._offset, end.time, end.orderly, end.reason))
        return True

    def _lose(self, chunks: Iterable[Data], reason: str) -> None:
        for offset, time, data in chunks:
            self._ledger.tally(self.sender, "tls", reason, time=time, offset=offset, length=len(data), messages=None)


def _successors(candidate: Candidate, generations: int) -> list[Candidate]:
    """The keys after one or more KeyUpdates."""
    out, opener = [], candidate.opener
    for _ in range(generations):
        if not isinstance(opener, Aead13):
            break
        opener = opener.successor()
        out.append(candidate._replace(opener=opener, base=0, first=False))
    return out


def _cost(item: Item) -> int:
    return _ITEM_COST + (len(item[2]) if isinstance(item, tuple) else 0)

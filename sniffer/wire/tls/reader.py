"""One side of a TLS connection: records in, proved application data out (RFC 8446 section 5, RFC 5246 section 6).

The side is at one of these places:

- it *reads*: the next byte begins a record, or lies in the one under way, and the keys are known (`_opener`), or none are
  needed yet;
- it *waits* for what the other side's hello says (`progress.py`); what comes is held;
- it *searches* (`search.py`, `recovery.py`) for a record that its candidates' keys prove: where keys change, where the key log
  lacks them, and after damage;
- it is *over*: nothing that follows can be read, and why.

Each byte is read, or lost in a gap of the TCP layer, or lost here. A side's result depends on its own bytes, the other side's
hello, and the key log.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sniffer.config import Limits
from sniffer.model import Sender
from sniffer.wire.losses import LossLedger
from sniffer.wire.stream import EVERYTHING_READ, Data, End, Gap, Item, Place, place_of
from sniffer.wire.tls.negotiation import Negotiation, Stage
from sniffer.wire.tls.progress import Progress, Turn
from sniffer.wire.tls.protection import APPLICATION_DATA, HEAD, MAX_BODY_12, Opener
from sniffer.wire.tls.reasons import AFTER_CLOSE, BETWEEN, NO_HEAD, REJECTED, TORN, UNPROVED, cut_off
from sniffer.wire.tls.records import ALERT, CHANGE_CIPHER_SPEC, HANDSHAKE, HeldItems, PendingRecord, ends_side, is_bare
from sniffer.wire.tls.recovery import Recovery
from sniffer.wire.tls.search import Search

_TYPES: Final = range(20, 25)


class SideReader:
    """Records to plaintext, for one sender."""

    def __init__(self, sender: Sender, negotiation: Negotiation, limits: Limits, ledger: LossLedger) -> None:
        self.sender: Sender = sender
        self.proved = False
        """Whether any record was opened."""
        self.peer = self
        """The other side's reader."""
        self.coming: Place = EVERYTHING_READ
        """Where the first item stands that has not been fed."""
        self._negotiation = negotiation
        self._ledger = ledger
        self._progress = Progress(sender, negotiation, limits.header_bytes)
        self._recovery = Recovery(sender, negotiation, self._progress, limits)
        self._opener: Opener | None = None  # set only while it reads protected records
        self._record = PendingRecord()
        self._search: Search | None = None
        self._dormant: str | None = None  # the search holds nothing until the key log says more, and why
        self._over: str | None = None
        self._giving_up = self._lacks_keys = False
        self._heard = 0  # progress of the negotiation that a search has taken into account
        self._held = HeldItems()
        self._offset = 0  # of the plaintext
        self._latest = 0  # wire time up to which the side has been followed, where it is not simply read
        self._out: list[Item] = []

    # --- for the layer ---------------------------------------------------------------------------------------------------

    @property
    def held_bytes(self) -> int:
        """Memory held for what cannot be read yet, about."""
        search = self._search.held_bytes if self._search is not None else 0
        return self._held.cost + search + len(self._record.data) + self._progress.held_bytes

    @property
    def waiting(self) -> bool:
        """Whether records are held until keys come."""
        search = self._search
        return search is not None and search.held_bytes > 0 and self._recovery.may_get_keys(search)

    @property
    def stalled(self) -> bool:
        """Whether records are held until the other side has said more, or been read so far."""
        return bool(self._held)

    @property
    def held_since(self) -> int | None:
        """No byte that is held until the other side was read so far has an earlier wire time; None: none is."""
        return self._held.since if self._held and self.reached != EVERYTHING_READ else None

    @property
    def busy(self) -> bool:
        """Whether a search goes on, slice by slice."""
        return self._search is not None and self._search.busy and not self._progress.waits_still

    @property
    def unreadable_reason(self) -> str | None:
        """Why nothing can be read from this side, so far; None: it can, or nothing was there to be read."""
        if self.proved:
            return None
        if self._search is None:
            return self._over if self._over != AFTER_CLOSE else None
        return self._recovery.why_not(self._search)

    @property
    def _keeps_step(self) -> bool:
        """Whether it matters what the other side has said, or proved, up to here: that may tell which keys to look for."""
        unheard = not self._negotiation.settled or self._heard != self._negotiation.progress
        return unheard and self._search is not None and not self._giving_up

    @property
    def reached(self) -> Place:
        """Where the first item stands that is not read yet. Who lacks keys, or the other's word, does not hold the other up."""
        if self._lacks_keys or self._progress.waits_still:
            return EVERYTHING_READ
        return (False, self._latest, False, False) if self._progress.waits else self._place

    @property
    def _place(self) -> Place:
        first = self._held.first
        return self.coming if first is None else place_of(first, self.sender == "server")

    def feed(self, items: list[Item]) -> list[Item]:
        """The plaintext that `items` bring forth."""
        out = self._out = []
        if self._held or self._keeps_step:
            self._held.put(items)
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
                if not self._item(item) or self._held or self._keeps_step:
                    self._held.put(items[number + 1 :])
                    break
        self._drain()
        return out

    def resume(self) -> list[Item]:
        """The other side, or the key log, has said more, or a search goes on: the plaintext that comes of it."""
        out = self._out = []
        self._hear()
        self._drain()
        return out

    def give_up(self, time: int, reason: str) -> list[Item]:
        """Hold nothing any longer: what is held is lost for `reason`. What comes later is read once its keys are known."""
        out = self._out = []
        lost: list[Data] = []
        self._giving_up = True
        while self._search is not None or self._held:
            if self._progress.waits:  # for what the other side does not say
                self._progress.stop_waiting()
                if self._search is None:
                    self._lose_place(None, reason)
                    self._progress.stop_waiting()
            if self._look(at_end=True, last=True):
                self._drain()
                continue
            if self._search is not None:
                lost += self._search.drop()
                self._search.lost_at = None
                if self._recovery.may_get_keys(self._search):
                    self._dormant = reason
                    self._search.forget()
            if not self._held:
                break
            item = self._held.take()
            if isinstance(item, tuple):
                if self._dormant is not None:
                    lost.append(item)
                else:
                    self._item(item)
                    self._drain()
            elif isinstance(item, End):
                self._end(item)
        self._giving_up = self._lacks_keys = False
        if length := sum(len(data) for _, _, data in lost):  # one row
            offset, since, _ = lost[0]
            self._ledger.add(self.sender, "tls", reason, from_time=since, to_time=time, offset=offset, length=length)
        return out

    def _stop(self, reason: str) -> None:
        """Nothing more of this side can be read."""
        self._over = reason
        self._opener = None
        self._progress.lost_bytes()
        if self._search is not None:
            self._lose(self._search.drop(), reason)
            self._search = None
        self._lose(self._record.chunks(), reason)

    # --- items -----------------------------------------------------------------------------------------------------------

    def _drain(self) -> None:
        while self._held and self._in_step() and self._item(self._held.take()):
            pass

    def _in_step(self) -> bool:
        """False: the other side must be read first up to the item that is next here."""
        if self._keeps_step:
            if not self._negotiation.settled and self.peer.reached < self._place:
                return False
            if self._heard != self._negotiation.progress:
                self._hear()
        return True

    def _hear(self) -> None:
        """The other side, or the key log, has said more: that may prove a record of those that are searched."""
        self._heard = self._negotiation.progress
        search = self._search
        if search is not None:
            known = search.candidates
            self._recovery.refill(search)
            if search.candidates > known:
                self._dormant = None
            if self._may_go_on():
                self._look(at_end=False)

    def _item(self, item: Item) -> bool:
        """One item; False: it must wait, and is held before all others."""
        self._lacks_keys = False
        if isinstance(item, tuple):
            return self._data(*item)
        return self._gap(item) if isinstance(item, Gap) else self._end(item)

    # --- records ---------------------------------------------------------------------------------------------------------

    def _data(self, offset: int, time: int, data: bytes) -> bool:
        at, size = 0, len(data)
        self._latest = max(self._latest, time)
        while True:
            rest = (offset + at, time, data[at:])
            if self._over is None and not self._may_go_on():
                if at < size:
                    self._held.put_first([rest])
                return at == size
            if self._search is not None and self._dormant is not None:
                self._lose([rest], self._dormant)
                return True
            if self._search is not None:
                self._search.feed(rest)
                self._look(at_end=False)
                return True
            if at == size:
                return True
            if self._over is not None:
                self._lose([rest], self._over)
                return True
            if self._opener is not None and not self._record.data:
                at, self._offset = self._opener.application_data(data, at, time, self._offset, self._out)
            at = self._record.add(offset, time, data, at)
            self._look_at_record()

    def _may_go_on(self) -> bool:
        """False: the other side has not said what this one waits for."""
        turn = self._progress.go_on()
        if turn is None:
            return False
        self._follow(turn)
        return True

    def _follow(self, turn: Turn) -> None:
        """What a handshake message, or the other side's answer, has changed."""
        if turn is Turn.UNREADABLE:
            self._stop(self._negotiation.unreadable or BETWEEN)
        elif turn is Turn.NEW_KEYS:
            self._recovery.new_keys()
            self._opener = None
        elif turn is Turn.NEXT_KEYS:
            self._recovery.next_keys()
            self._opener = self._recovery.keys
        elif turn is Turn.LOST:
            self._lose_place(None, BETWEEN)

    def _look_at_record(self) -> None:
        """The record under way has grown."""
        record = self._record
        head = bytes(record.data[:HEAD])
        if len(head) < HEAD:
            return
        if head[0] not in _TYPES or head[1] != 3 or int.from_bytes(head[3:]) > MAX_BODY_12:
            self._lose_place(record.offset, NO_HEAD)
        elif not record.missing():
            body = bytes(record.data[HEAD:])
            if self._opener is not None:
                self._protected(self._opener, head, body)
            elif self._progress.stage is Stage.HELLO:
                self._unprotected(head[0], body)
            elif self._progress.stage is not Stage.TLS12 and is_bare(head[0], body):
                record.take()
            else:
                self._lose_place(record.offset, UNPROVED)  # its keys have to be found

    def _protected(self, opener: Opener, head: bytes, body: bytes) -> None:
        record = self._record
        if opener.tls13 and is_bare(head[0], body):
            record.take()
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
            self._follow(self._progress.content(plain))
        elif content == ALERT and ends_side(plain, tls13=opener.tls13):
            self._stop(AFTER_CLOSE)
        elif content == CHANGE_CIPHER_SPEC and not opener.tls13:
            self._follow(self._progress.change_cipher_spec())
        if self._progress.waits:
            self._opener = None

    def _unprotected(self, kind: int, body: bytes) -> None:
        record, negotiation, progress = self._record, self._negotiation, self._progress
        if kind == HANDSHAKE:
            turn = progress.content(body)
            if turn is Turn.LOST:
                self._lose_place(record.offset, BETWEEN)
            else:
                record.take()
                self._follow(turn)
        elif kind == APPLICATION_DATA and self.sender == "client" and negotiation.retried:
            self._lose(record.chunks(), REJECTED)
        elif not is_bare(kind, body) or not (progress.hellos or negotiation.retried):
            self._lose_place(record.offset, BETWEEN)
        else:
            record.take()
            if kind == CHANGE_CIPHER_SPEC and negotiation.tls13 is False:
                self._follow(progress.change_cipher_spec())

    # --- holes and searches ----------------------------------------------------------------------------------------------

    def _gap(self, gap: Gap) -> bool:
        self._latest = max(self._latest, gap.time)
        if self._over is None and not self._may_go_on():
            self._held.put_first([gap])
            return False
        if self._over is not None:
            return True
        if self._search is None:
            torn = bool(self._record.data)
            self._lose_place(self._record.offset if torn else gap.offset, TORN if torn else BETWEEN)
            if self._keeps_step:
                self._held.put_first([gap])
                return True
        return self._run_ends(gap)

    def _lose_place(self, at: int | None, reason: str) -> None:
        """Search for the next record that opens, from the record under way on.

        `at`: stream offset of the record with the next sequence number; None: not known.
        """
        negotiation = self._negotiation
        self._opener = None
        if not self._progress.hellos or (self.sender == "server" and self._progress.stage is Stage.HELLO):
            negotiation.hello_lost(self.sender)
        self._progress.wait_for_extensions()
        known = self._recovery.keys is not None or self._progress.hellos > 0
        self._search = self._recovery.search(at if known else None, reason)
        self._heard = negotiation.progress
        self._dormant = None
        for chunk in self._record.chunks():
            self._search.feed(chunk)

    def _look(self, *, at_end: bool, last: bool = False) -> bool:
        """Go on searching; True: a record was found, and what follows it is held before all else."""
        search, recovery = self._search, self._recovery
        if search is None:
            return False
        found = search.find(at_end=at_end, last=last)
        if found is None:
            if search.beyond is not None and not at_end:
                self._stop(search.beyond)
            return False
        self._search = None
        self.proved = True
        self._lose(found.skipped, REJECTED if recovery.early_data_rejected(found) else search.reason)
        if recovery.misses_data(found, search):
            self._negotiation.messages_lost(self.sender)
            self._out.append(Gap(self._offset, self._latest, None, search.reason))
        self._progress.found(found.candidate.stage, new_keys=found.candidate.opener is not recovery.keys)
        if found.sequence > found.candidate.base:
            self._progress.lost_bytes()
        self._opener = recovery.take(found)
        self._negotiation.proved(found.candidate)
        if self._progress.deaf or self._progress.stage is Stage.APPLICATION:
            self._negotiation.extensions_lost(self.sender)
        self._held.put_first(found.chunks)
        return True

    def _run_ends(self, item: Gap | End) -> bool:
        """A gap or the end comes while the place is not known: what is held is all that there is to find it in."""
        self._held.put_first([item])
        if not self._may_go_on():
            return False
        search = self._search
        if search is None or self._look(at_end=True, last=isinstance(item, End)):
            return True
        worth_holding = search.has_data or isinstance(item, End)
        if worth_holding and self._dormant is None and self._recovery.may_get_keys(search):
            self._lacks_keys = True
            return False
        self._held.take()
        self._lose(search.drop(), search.beyond or search.reason)
        if isinstance(item, End):
            return self._pass_end(item)
        search.reason = BETWEEN
        if search.beyond is not None:
            self._stop(search.beyond)
        if item.length is None:
            search.lost_at = None
        return True

    def _end(self, end: End) -> bool:
        if not self._progress.hellos:
            self._negotiation.hello_lost(self.sender)
        if self._over is None:
            if not self._may_go_on():
                self._held.put_first([end])
                return False
            if self._opener is not None and self._record.data:  # cut off, or its length is damaged
                self._lose_place(self._record.offset, cut_off(end))
                if self._keeps_step:
                    self._held.put_first([end])
                    return True
            if self._search is not None and self._search.held_bytes:
                return self._run_ends(end)
        return self._pass_end(end)

    def _pass_end(self, end: End) -> bool:
        self._lose(self._record.chunks(), cut_off(end))
        if self._search is not None and self.proved and self._search.reason != cut_off(end):
            self._out.append(Gap(self._offset, end.time, None, self._search.reason))
        self._over = self._over or self.unreadable_reason or AFTER_CLOSE  # as it was while there was a search
        self._search = None
        self._progress.lost_bytes()
        self._negotiation.extensions_lost(self.sender)
        self._out.append(End(self._offset, end.time, end.orderly, end.reason))
        return True

    # --- losses ----------------------------------------------------------------------------------------------------------

    def _lose(self, chunks: Iterable[Data], reason: str) -> None:
        for offset, time, data in chunks:
            if data:
                self._ledger.tally(self.sender, "tls", reason, time=time, offset=offset, length=len(data), messages=None)

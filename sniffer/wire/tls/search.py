"""Which record is this, under which keys? After a hole, in the middle of a connection, and at each change of keys.

What follows is held, cut into what may be records by the look of their heads, and tried with every candidate's keys. Only the
tag or MAC of a whole record is proof. The numbers are tried nearest first:

1. each record with the next number, with those that it suggests itself (`Opener.hints`), and with the `NEAR` next ones;
2. then, for ciphers that suggest none, all others that the lost bytes leave room for, on the smallest of the first `AT_HAND`
   records of application data: a slice a call, so that other connections need not wait, and within a budget for each side.

What comes out depends on the bytes alone, not on the slices: at the end of the bytes all that is left of the budget is spent.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from sniffer.wire.keylog import KeyLog
from sniffer.wire.stream import Data
from sniffer.wire.tls.negotiation import Candidate, Stage
from sniffer.wire.tls.protection import APPLICATION_DATA, HEAD, MAX_BODY_12, MAX_BODY_13
from sniffer.wire.tls.reasons import BEYOND, NO_GUESSES
from sniffer.wire.tls.suites import Suite

NEAR: Final = 64
AT_HAND: Final = 8
_SHORTEST: Final = 9
"""Bytes of the shortest body: a content type, and the tag of CCM_8."""
SLICE: Final = 5000
"""Microseconds a call."""
STRIDE: Final = 16
"""Numbers tried under one candidate's keys before the next one's turn."""
_SET_UP: Final = 8
"""What it costs to derive keys."""
_GLANCE: Final = 1
"""What it costs to see that a record is too short or too long for a candidate, at most."""

_HEAD_13: Final = re.compile(rb"\x17\x03\x03")
_HEAD_ANY: Final = re.compile(rb"[\x14-\x18]\x03\x03")


class Budget:
    """What is left to a side for tries, in microseconds of CPU time, about."""

    def __init__(self, tries: int, keylog: KeyLog) -> None:
        self.guessing = False
        """Whether it tries many secrets: then all such sides spend from the key log's budget, too."""
        self._left = tries
        self._keylog = keylog

    def left(self, exact: bool = False) -> int:
        """To spend. Where all guess, half is kept for keys that are `exact`: they cost little and say no for certain."""
        if not self.guessing:
            return self._left
        return min(self._left, self._keylog.guesses - (0 if exact else self._keylog.reserve))

    def spend(self, price: int) -> None:
        """Tries were made."""
        self._left -= price
        if self.guessing:
            self._keylog.guesses -= price

    @property
    def spent(self) -> str | None:
        """Why no more tries are made; None: they are."""
        if self._left <= 0:
            return BEYOND
        return NO_GUESSES if self.left(exact=True) <= 0 else None


class Found(NamedTuple):
    """The first record that is proved."""

    candidate: Candidate
    sequence: int
    chunks: list[Data]  # from that record on, as they came
    skipped: list[Data]  # what came before it

    @property
    def offset(self) -> int:
        """Where the record begins in the stream."""
        return self.chunks[0][0]


class _Trial:
    """How far a candidate was tried."""

    __slots__ = ("candidate", "record", "step")

    def __init__(self, candidate: Candidate) -> None:
        self.candidate = candidate
        self.record = 0
        self.step = NEAR


class Search:
    """Holds the bytes from where the place was lost, or a change of keys, until a record among them is proved."""

    def __init__(self, budget: Budget, lost_at: int | None, reason: str, *, tls13: bool | None) -> None:
        """`lost_at`: stream offset of the record that has the least number that candidates name; None: not known.

        `reason`: why bytes before the proved record are lost.
        """
        self.reason = reason
        self.lost_at = lost_at
        self.beyond: str | None = None
        """The budget is spent: which."""
        self.skipped: str | None = None
        """Keys were not tried on a record, since what is kept for others was not to be spent on it: why."""
        self.looks_like_tls12 = False
        """Records came of types that TLS 1.3 hides, or that write a nonce which counts (RFC 5288 section 3)."""
        self.is_tls12 = False
        """The latter: by chance 64 bits do not count, so no key of TLS 1.3 is worth a try."""
        self.tried: set[bytes] = set()
        self.guessed: list[Candidate] = []
        """Of the candidates that were given, those whose later generations were not."""
        self._budget = budget
        self._head = _HEAD_13 if tls13 else _HEAD_ANY
        self._most = MAX_BODY_13 if tls13 else MAX_BODY_12
        self._data = bytearray()
        self._offset = 0  # stream offset of the first byte of `_data`
        self._marks: list[tuple[int, int]] = []  # (offset, time) of the chunks that make up `_data`
        self._at = 0  # where to look for the next head
        self._records: list[tuple[int, int]] = []  # (start, stop) in `_data` of what may be whole records
        self._at_hand: list[int] = []  # numbers of the first of application data
        self._trials: list[_Trial] = []
        self._added = 0
        self._near = 0  # what was spent on tries that every hole needs
        self._next_nonce: tuple[int, int] | None = None  # where the next record would begin, and its nonce in TLS 1.2
        self._counting: int | None = None  # number of the first record whose nonce is the next

    @property
    def held_bytes(self) -> int:
        """Memory held, about."""
        return len(self._data) + 100 * len(self._marks)

    @property
    def has_candidates(self) -> bool:
        """Whether there were any keys to try."""
        return self._added > 0

    def forget(self) -> None:
        """Keys that have failed so far are not tried again: each takes some 2 kB."""
        self._trials.clear()
        self.guessed.clear()

    @property
    def has_data(self) -> bool:
        """Whether application data may be held."""
        return any(self._data[start] == APPLICATION_DATA for start, _ in self._records)

    @property
    def candidates(self) -> int:
        """How many were ever given."""
        return self._added

    @property
    def busy(self) -> bool:
        """Whether tries are left to do on what is held."""
        return any(trial.record < len(self._records) for trial in self._trials) or bool(self._deep_trials(False))

    def add(self, candidates: list[Candidate]) -> None:
        """More keys to try, on all that is held."""
        self._trials += [_Trial(candidate) for candidate in candidates]
        self._trials.sort(key=lambda trial: not trial.candidate.opener.exact)  # those cost least, and say no for certain
        self._added += len(candidates)
        self._spend_near(_SET_UP * len(candidates))

    def restrict(self, client_random: bytes, suite: Suite | None, crossed: bool | None) -> None:
        """It is known whose keys it must be: drop all others. `crossed` None: who is the client is still a guess."""

        def fits(candidate: Candidate) -> bool:
            if candidate.client_random is None or candidate.stage is Stage.TLS12:  # in force already, or renegotiated
                return True
            known = candidate.client_random == client_random and suite in (None, candidate.opener.suite)
            return known and crossed in (None, candidate.crossed)

        self._trials = [trial for trial in self._trials if fits(trial.candidate)]
        self.guessed = [candidate for candidate in self.guessed if fits(candidate)]

    def feed(self, chunk: Data) -> None:
        """What follows."""
        if not chunk[2]:
            return
        if not self._data:
            self._offset = chunk[0]
        self._marks.append(chunk[:2])
        self._data += chunk[2]

    def drop(self) -> list[Data]:
        """Give up what is held. The candidates stay, for what comes."""
        lost = self._chunks(0, len(self._data))
        self._data.clear()
        self._marks.clear()
        self._records.clear()
        self._at_hand.clear()
        self._at = 0
        self._counting = None
        for trial in self._trials:
            trial.record, trial.step = 0, NEAR
        return lost

    def find(self, *, at_end: bool, last: bool = False) -> Found | None:
        """Go on searching. `at_end`: a hole follows, so what is held is searched to its end; `last`: nothing follows."""
        self._cut(at_end)
        first = min((trial.record for trial in self._trials), default=len(self._records))
        for number in range(first, len(self._records)):
            if number == self._counting and not self.is_tls12:
                self.is_tls12 = True  # here, in the order of the records: what is spent must not depend on how many have come
                self._trials = [trial for trial in self._trials if not trial.candidate.opener.tls13]
            if self._budget.left(exact=True) <= 0:
                self.beyond = self._budget.spent
                return None
            for trial in self._trials:
                if trial.record > number:
                    continue
                trial.record = number + 1
                sequence = self._try_near(trial.candidate, number)
                if sequence is not None:
                    return self._found(trial.candidate, number, sequence)
        return self._search_deep(at_end, last)

    # --- records ---------------------------------------------------------------------------------------------------------

    def _cut(self, at_end: bool) -> None:
        """Find what may be records. A head inside another record looks the same, so none rules out another."""
        data = self._data
        while match := self._head.search(data, self._at):
            start = match.start()
            stop = start + HEAD
            stop += int.from_bytes(data[start + 3 : stop]) if stop <= len(data) else 0
            if stop - start - HEAD <= self._most and (start + HEAD > len(data) or stop > len(data)):
                self._at = start
                if not at_end:
                    return
            elif stop - start - HEAD <= self._most:
                if data[start] == APPLICATION_DATA and stop - start - HEAD >= _SHORTEST and len(self._at_hand) < AT_HAND:
                    self._at_hand.append(len(self._records))
                self._records.append((start, stop))
                self._tell_version(start, stop)
            self._at = start + 1
        self._at = max(self._at, len(data) - 2)

    def _tell_version(self, start: int, stop: int) -> None:
        data = self._data
        nonce = int.from_bytes(data[start + HEAD : start + HEAD + 8])
        counting = self._next_nonce == (start, nonce)
        if counting and self._counting is None:
            self._counting = len(self._records) - 1
        self.looks_like_tls12 |= data[start] != APPLICATION_DATA or counting
        self._next_nonce = stop, nonce + 1

    def _record(self, number: int) -> tuple[bytes, bytes]:
        start, stop = self._records[number]
        return bytes(self._data[start : start + HEAD]), bytes(self._data[start + HEAD : stop])

    def _found(self, candidate: Candidate, number: int, sequence: int) -> Found:
        """A record is proved; those before it that lead up to it without a break may be as well."""
        while number and sequence > candidate.base and self._records[number - 1][1] == self._records[number][0]:
            if candidate.opener.open(*self._record(number - 1), sequence - 1) is None:
                break
            number, sequence = number - 1, sequence - 1
        self._budget.spend(-self._near)  # else a connection with many small holes would end for it
        start, end = self._records[number][0], len(self._data)
        return Found(candidate, sequence, self._chunks(start, end), self._chunks(0, start))

    def _chunks(self, first: int, last: int) -> list[Data]:
        """What is held from `first` to `last`, as it came."""
        base, data, out = self._offset, bytes(self._data), []
        stops = [offset - base for offset, _ in self._marks[1:]] + [len(data)]
        for (offset, time), stop in zip(self._marks, stops, strict=False):  # where nothing is held there is no mark
            begin, stop = max(offset - base, first), min(stop, last)
            if begin < stop:
                out.append((base + begin, time, data[begin:stop]))
        return out

    # --- tries -----------------------------------------------------------------------------------------------------------

    def _room(self, candidate: Candidate, number: int) -> int | None:
        """How many records may have come before this one since the place was lost; None: not known."""
        if self.lost_at is None:
            return None
        return (self._offset + self._records[number][0] - self.lost_at) // (HEAD + candidate.opener.least)

    def _fits(self, candidate: Candidate, number: int) -> bool:
        opener, (start, stop) = candidate.opener, self._records[number]
        return opener.least <= stop - start - HEAD <= opener.most and (
            not opener.tls13 or self._data[start] == APPLICATION_DATA
        )

    def _spend_near(self, price: int) -> None:
        self._near += price
        self._budget.spend(price)

    def _try_near(self, candidate: Candidate, number: int) -> int | None:
        opener, base, budget = candidate.opener, candidate.base, self._budget
        if not self._fits(candidate, number):
            self._spend_near(_GLANCE)  # many heads and many secrets are minutes, else
            return None
        head, body = self._record(number)
        if budget.left(opener.exact) <= 0:
            self.beyond, self.skipped = budget.spent, NO_GUESSES
            return None
        self._spend_near(opener.price(len(body), 0))
        if opener.open(head, body, base) is not None:
            return base
        room = self._room(candidate, number)
        if room == 0:
            return None
        for sequence in opener.hints(head, body):
            if sequence >= base and opener.open(head, body, sequence) is not None:
                return sequence
        if opener.exact:
            return None
        near = NEAR if number < AT_HAND else 1
        near = near if room is None else min(near, room + 1)
        self._spend_near(opener.price(len(body), near))
        return opener.search(head, body, base + 1, near - 1)

    def _deep_trials(self, last: bool) -> list[tuple[_Trial, int]]:
        """The candidates whose numbers must be tried one by one, each with the record that this costs least on.

        Scraps between holes are not worth the budget.
        """
        if self._budget.left() <= 0 or len(self._at_hand) < (1 if last else AT_HAND):
            return []
        smallest_first = sorted(self._at_hand, key=lambda number: self._records[number][1] - self._records[number][0])
        out = []
        for trial in self._trials:
            candidate = trial.candidate
            if candidate.opener.exact or candidate.stage not in (Stage.APPLICATION, Stage.TLS12):
                continue  # a handshake has but a few records
            number = next((number for number in smallest_first if self._fits(candidate, number)), None)
            if number is not None and self._has_room(trial, number):
                out.append((trial, number))
        return out

    def _has_room(self, trial: _Trial, number: int) -> bool:
        """Whether more numbers may be those of this record than were tried."""
        room = self._room(trial.candidate, number)
        return room is None or trial.step <= room

    def _search_deep(self, at_end: bool, last: bool) -> Found | None:
        trials, budget = self._deep_trials(last), self._budget
        records = {number: self._record(number) for _, number in trials}
        least = 0 if at_end else budget.left() - SLICE
        while trials and budget.left() > max(least, 0):
            for trial, number in trials:
                candidate, (head, body) = trial.candidate, records[number]
                budget.spend(candidate.opener.price(len(body), STRIDE))
                sequence = candidate.opener.search(head, body, candidate.base + trial.step, STRIDE)
                if sequence is not None:
                    return self._found(candidate, number, sequence)
                trial.step += STRIDE
            trials = [(trial, number) for trial, number in trials if self._has_room(trial, number)]
        if trials:
            self.beyond = budget.spent
        return None

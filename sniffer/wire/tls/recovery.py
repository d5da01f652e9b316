"""Which keys may protect the next record, where that is not known for certain, and what the record that is found tells.

After damage these are the keys in force, those before (a damaged message may have been taken for a change), those after one or
two KeyUpdates, or of the stages that follow. At a change of keys, and in the middle of a connection, the key log's.
"""

from __future__ import annotations

from typing import Final

from sniffer.config import Limits
from sniffer.model import Sender
from sniffer.wire.tls.negotiation import Candidate, Hellos, Negotiation, Stage
from sniffer.wire.tls.progress import Progress
from sniffer.wire.tls.protection import Aead13, Opener
from sniffer.wire.tls.reasons import DAMAGED, NO_LINE, NOT_AMONG_NEWEST, NOT_FITTING, NOT_SEEN, NOT_SEEN_TLS12
from sniffer.wire.tls.search import Budget, Found, Search

GENERATIONS: Final = 2
"""KeyUpdates that a hole may have swallowed."""


class Recovery:
    """A side's keys, and its searches."""

    def __init__(self, sender: Sender, negotiation: Negotiation, progress: Progress, limits: Limits) -> None:
        self.keys: Opener | None = None
        """The latest that proved themselves in this stage."""
        self._previous: Opener | None = None
        self._hellos = Hellos()  # of the handshake of TLS 1.2 that the latest keys come of
        self._sender: Sender = sender
        self._negotiation = negotiation
        self._progress = progress
        # A side's own, so that what it can read does not depend on which side is read first.
        self._budget = Budget(limits.tls_tries // 2, negotiation.keylog)

    def new_keys(self) -> None:
        """A stage begins, with keys of its own."""
        self._previous, self.keys = self.keys, None

    def next_keys(self) -> None:
        """A KeyUpdate."""
        if isinstance(self.keys, Aead13):
            self._previous, self.keys = self.keys, self.keys.successor()

    def search(self, at: int | None, reason: str) -> Search:
        """A search for the next record. `at`: stream offset of the one with the next sequence number; None: not known."""
        stage, keys, previous = self._progress.stage, self.keys, self._previous
        search = Search(self._budget, at, reason, tls13=self._negotiation.tls13)
        if keys is not None:
            search.add([Candidate(keys, keys.sequence, stage, None)])
            if previous is not None and previous.tls13 and stage is Stage.APPLICATION:
                search.add([Candidate(previous, previous.sequence, stage, None)])
            if stage is Stage.APPLICATION:
                search.add(_successors(Candidate(keys, 0, stage, None), GENERATIONS))
        self.refill(search)
        return search

    def refill(self, search: Search) -> None:
        """Give a search the candidates that the key log has by now."""
        negotiation = self._negotiation
        random = negotiation.client_random
        self._budget.guessing = random is None
        if self._budget.spent is not None:
            search.beyond = self._budget.spent
            return
        if random is not None:
            search.restrict(random, negotiation.suite, None if negotiation.roles_guessed else negotiation.crossed)
        for stage in self._stages():
            if search.is_tls12 and stage is not Stage.TLS12:
                continue
            found = negotiation.candidates(self._sender, stage, self._hellos, search.tried)
            search.add(found)
            if stage is not Stage.APPLICATION:
                continue
            if random is None:
                search.guessed += found
                # Of many secrets only those that cost next to nothing.
                search.add([after for one in found if one.opener.exact for after in _successors(one, 1)])
            else:
                search.add([after for one in found for after in _successors(one, GENERATIONS)])
        if random is not None:  # now it is known that they were right
            guessed, search.guessed = search.guessed, []
            search.add([after for one in guessed for after in _successors(one, GENERATIONS)[int(one.opener.exact) :]])

    def _stages(self) -> list[Stage]:
        """The stages whose keys the key log has to give."""
        stage, tls13 = self._progress.stage, self._negotiation.tls13
        later: list[Stage] = [Stage.HANDSHAKE, Stage.APPLICATION]
        if stage is Stage.TLS12:  # a hole may have swallowed a renegotiation
            return [stage]
        if stage is Stage.HELLO:  # the version may not be known yet; without the server's hello TLS 1.2 has no keys
            return [Stage.TLS12] if tls13 is False else later if tls13 else [Stage.TLS12, *later]
        stages: list[Stage] = (
            [stage, *later] if stage is Stage.EARLY else later[later.index(stage) :] if stage in later else [stage]
        )
        return stages if self.keys is None else stages[1:]

    def may_get_keys(self, search: Search) -> bool:
        """Whether the key log may yet give a search the keys that it lacks."""
        if search.beyond is not None or self.keys is not None:
            return False
        renegotiated = self._hellos != Hellos()  # then a candidate may be of hellos that do not belong together
        return self._negotiation.client_random is None or not search.has_candidates or renegotiated

    def why_not(self, search: Search) -> str:
        """Why nothing was ever found."""
        negotiation = self._negotiation
        if (reason := search.beyond or search.skipped) is not None:
            return reason
        if negotiation.client_random is not None and self._progress.hellos:
            return NOT_FITTING if search.has_candidates else NO_LINE
        if search.looks_like_tls12 and not negotiation.tls13:
            return NOT_SEEN_TLS12
        if len(negotiation.keylog) > negotiation.keylog.tried_at_once:
            return NOT_AMONG_NEWEST
        return NOT_SEEN if negotiation.joined_midway else DAMAGED

    def take(self, found: Found) -> Opener:
        """A record is proved: its keys are in force."""
        opener = found.candidate.opener
        opener.sequence = found.sequence
        if opener is not self.keys:
            self._previous, self.keys, self._hellos = self.keys, opener, found.candidate.hellos
        return opener

    def early_data_rejected(self, found: Found) -> bool:
        """Whether what came before the record that is found was early data that the server did not take."""
        negotiation = self._negotiation
        if (
            self._sender != "client"
            or found.candidate.stage is not Stage.HANDSHAKE
            or found.sequence
            or not negotiation.clients
        ):
            return False
        return negotiation.clients[0].early_data and negotiation.early_data is False

    def misses_data(self, found: Found, search: Search) -> bool:
        """Whether application data may have been lost before the record that is found. To be asked before `take`."""
        candidate, sequence, stage = found.candidate, found.sequence, self._progress.stage
        clients, early_data = self._negotiation.clients, self._negotiation.early_data
        offered = not clients or clients[0].early_data
        may_send_early = self._sender == "client" and offered and early_data is not False
        if may_send_early and stage in (Stage.HELLO, Stage.EARLY, Stage.HANDSHAKE) and found.offset != search.lost_at:
            return True
        if candidate.stage is Stage.HANDSHAKE:
            return False
        if candidate.opener is self.keys:
            return sequence > candidate.base
        if candidate.stage is Stage.TLS12:  # number 0 is Finished
            return self.keys is not None or sequence > 1
        return not candidate.first or sequence > 0


def _successors(candidate: Candidate, generations: int) -> list[Candidate]:
    """The keys after one or more KeyUpdates."""
    out, opener = [], candidate.opener
    for _ in range(generations):
        if not isinstance(opener, Aead13):
            break
        opener = opener.successor()
        out.append(candidate._replace(opener=opener, base=0, first=False))
    return out

"""Who has which connection, found out while a recording runs, and told in its journal: as comments of statistics blocks.

`Watch` compares what the kernel lists with what it listed before: no packet has to be looked at. A connection that is shorter
than the pause between two looks may be missed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable
from typing import Any, Final, NamedTuple

from sniffer.capture import owner
from sniffer.capture.owner import Endpoints, Owner

TRIES: Final = 5
"""Looks for the owner of a connection: a process that is about to accept one has no descriptor of it yet."""
WHOLE_LOOKS: Final = 1.0
"""Seconds between looks at all connections while the kernel's counters say that none began: as one began another may have
ended, and no counter tells when a process accepts one."""
MOST: Final = 16_384
"""Facts that a reader holds until somebody takes them: a file may be nothing else."""
_KEY: Final = "connection"
_LONGEST: Final = 200
"""Characters of a name. Both are the process's own: a comment has to stay small."""


class Owned(NamedTuple):
    """At time `at` (ns) the process `owner` had the first one of these ends."""

    at: int
    ends: Endpoints
    owner: Owner


def to_comment(owned: Owned) -> str:
    """As the journal holds it."""
    return json.dumps({_KEY: owned.ends, "at": owned.at} | owned.owner._asdict())


def from_comments(comments: Iterable[str]) -> list[Owned]:
    """Those of `comments` that tell an owner; whatever the others are, they are passed over."""
    return [owned for comment in comments if (owned := _from_comment(comment)) is not None]


def gather(owners: list[Owned], comments: list[str]) -> None:
    """Move what `comments` tell to the end of `owners`, of which the latest ones stay."""
    owners += from_comments(comments)
    comments.clear()
    del owners[:-MOST]


def _from_comment(comment: str) -> Owned | None:
    if not comment.startswith("{"):
        return None
    try:
        told: Any = json.loads(comment)
        local, local_port, remote, remote_port = told[_KEY]
        found = Owned(
            told["at"], (local, local_port, remote, remote_port), Owner(told["pid"], told["process"], told["strategy"])
        )
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    numbers = (found.at, local_port, remote_port, found.owner.pid)
    texts = (local, remote, found.owner.process, found.owner.strategy)
    valid = all(type(number) is int and 0 <= number < 1 << 62 for number in numbers) and found.owner.pid < 1 << 31
    return found if valid and all(type(text) is str for text in texts) else None


class Watch:
    """The connections of this machine to `hosts` and `ports` (none: to all), each told once, from each end that is here."""

    def __init__(self, hosts: Collection[str] = (), ports: Collection[int] = ()) -> None:
        self._hosts, self._ports = frozenset(hosts), frozenset(ports)
        self._tries: dict[tuple[int, Endpoints], int] = {}  # of those that are there now; 0: told, or given up
        self._openings: list[bytes] | None = None
        self._due = 0.0

    def look(self) -> list[Owned]:
        """The owners of connections that are new since the last look, or that could not be found in it."""
        openings, now = owner.openings(), time.monotonic()
        changed = openings is None or openings != self._openings or any(self._tries.values())
        if not changed and now < self._due:
            return []
        self._openings, self._due = openings, now + WHOLE_LOOKS
        there = [(inode, ends) for inode, ends in owner.established().items() if self._watched(ends)]
        at = time.time_ns()
        self._tries = {key: self._tries.get(key, TRIES) for key in there}
        wanted = {inode: ends for (inode, ends), tries in self._tries.items() if tries}
        found = owner.holders(wanted)
        for inode, ends in wanted.items():
            self._tries[inode, ends] = 0 if ends in found else self._tries[inode, ends] - 1
        return [Owned(at, ends, _short(who)) for ends, who in found.items()]

    def _watched(self, ends: Endpoints) -> bool:
        local, local_port, remote, remote_port = ends
        hosts, ports = self._hosts, self._ports
        return (not hosts or local in hosts or remote in hosts) and (not ports or local_port in ports or remote_port in ports)


def _short(who: Owner) -> Owner:
    return Owner(who.pid, who.process[:_LONGEST], who.strategy[:_LONGEST])

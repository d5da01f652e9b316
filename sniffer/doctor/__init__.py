"""Whether this machine can capture and read, and what to do where it cannot.

machine        privilege, interfaces, folders
keys           the key logs of strategies, tried as a strategy's user would
database       what a recording holds, and what it could not read
connections    each connection of its last minutes, and the process behind it
check          one line of all this
"""

from __future__ import annotations

from collections.abc import Iterator

from sniffer.config import Settings
from sniffer.doctor import connections, database, keys, machine
from sniffer.doctor.check import Check

__all__ = ["Check", "checks"]


def checks(settings: Settings, interface: str | None, user: str | None = None) -> Iterator[Check]:
    """All checks, in the order in which a user meets their causes. `user`: as whom the strategies run; None: as we do.

    Raises `UsageError` if there is no such user, or only root could try as that one.
    """
    who = keys.strategy_user(user)
    yield from machine.checks(settings, interface)
    yield from keys.checks(settings, who)
    yield from database.checks(settings.db)
    yield from connections.checks(settings)

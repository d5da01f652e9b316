"""One line of the doctor's."""

from __future__ import annotations

from typing import Final, NamedTuple

RECENT: Final = 15
"""Minutes of a recording that are looked at."""


class Check(NamedTuple):
    """One line: OK, WARN or FAIL, and what to do."""

    state: str
    text: str

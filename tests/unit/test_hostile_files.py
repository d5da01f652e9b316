"""Files that somebody changed on purpose."""

from __future__ import annotations

import pickle
import struct

import pytest

from sniffer import exchanges
from sniffer.errors import UsageError
from sniffer.exchanges.declaration import declarations
from sniffer.snapshot import Refused, dump, load


def test_a_pickle_that_asks_for_memory_by_number_is_refused_before_it_gets_any() -> None:
    """Unpickling would make a table of 2**31 places."""
    state = dump([1, 2, 3], {})
    hostile = state[:-1] + pickle.LONG_BINPUT + struct.pack("<I", 1 << 31) + pickle.STOP
    with pytest.raises(Refused, match="memory"):
        load(hostile, {})
    assert load(state, {}) == [1, 2, 3]


def test_an_error_about_a_declaration_is_one_printable_line() -> None:
    message = {"sender": "server", "kind": "update", "order": {"status": {"at": "st", "map": {"open": "a\tb\n\x1b[2J"}}}}
    table = {"x": {"ports": [1], "messages": [message]}}
    with pytest.raises(UsageError) as refused:
        declarations(table, exchanges.VENUES)
    assert str(refused.value).isprintable()
    assert r"a\tb\n\x1b[2J" in str(refused.value)

"""What a connection speaks, by the first bytes of a side."""

from __future__ import annotations

from enum import Enum
from typing import Final

CLIENT_STARTS: Final = (b"GET ", b"POST ", b"PUT ", b"DELETE ", b"HEAD ", b"OPTIONS ", b"PATCH ", b"CONNECT ", b"TRACE ")
SERVER_START: Final = b"HTTP/1."
_TLS_RECORDS: Final = frozenset({0x14, 0x15, 0x16, 0x17})

ENOUGH: Final = 16
"""Bytes that decide; the longest HTTP method with its space has eight."""


class Speech(Enum):
    """What it is."""

    REQUEST = "an HTTP request"
    RESPONSE = "an HTTP response"
    TLS = "a TLS record"
    OTHER = "none of these"
    UNDECIDED = "too short to tell"


def recognise(start: bytes, *, client: bool, server: bool) -> Speech:
    """What `start`, the first bytes of a side, is. `client`, `server`: which sides it may be."""
    if len(start) >= 3 and start[0] in _TLS_RECORDS and start[1] == 3 and start[2] <= 4:
        return Speech.TLS
    if client and start.startswith(CLIENT_STARTS):
        return Speech.REQUEST
    if server and start.startswith(SERVER_START):
        return Speech.RESPONSE
    known = (CLIENT_STARTS if client else ()) + ((SERVER_START,) if server else ())
    if len(start) < 3 or any(one.startswith(start) for one in known):
        return Speech.UNDECIDED
    return Speech.OTHER

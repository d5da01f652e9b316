"""What a connection speaks, by the first bytes of a side."""

from __future__ import annotations

from enum import Enum
from typing import Final

CLIENT_STARTS: Final = (b"GET ", b"POST ", b"PUT ", b"DELETE ", b"HEAD ", b"OPTIONS ", b"PATCH ", b"CONNECT ", b"TRACE ")
SERVER_START: Final = b"HTTP/1."
_TLS_RECORDS: Final = frozenset({0x14, 0x15, 0x16, 0x17})
_TLS_HANDSHAKE: Final = 0x16
_TLS_LONGEST: Final = (1 << 14) + 2048  # RFC 5246 section 6.2.3
CLIENT_HELLO: Final = 1
SERVER_HELLO: Final = 2

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


def begins_record(data: bytes) -> bool:
    """Whether `data` begins with the whole head of a TLS record (RFC 8446 section 5.1); no websocket frame begins so."""
    return (
        len(data) >= 5
        and data[0] in _TLS_RECORDS
        and data[1] == 3
        and data[2] <= 4
        and 0 < int.from_bytes(data[3:5]) <= _TLS_LONGEST
    )


def handshake_type(start: bytes) -> int | None:
    """Of the TLS handshake message that `start` begins with (RFC 8446 section 4); None: it begins with no such message."""
    return start[5] if len(start) > 5 and start[0] == _TLS_HANDSHAKE else None

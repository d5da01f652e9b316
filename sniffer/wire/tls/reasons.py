"""Why bytes of a TLS connection could not be read: what the rows of `losses` and `connections.unreadable_reason` say."""

from __future__ import annotations

from typing import Final

from sniffer.wire.stream import CAPTURE_ENDED, End

TORN: Final = "TLS record torn by a gap"
UNPROVED: Final = "TLS record that its tag does not prove"
NO_HEAD: Final = "not a TLS record"
BETWEEN: Final = "between a gap and the next proved TLS record"
BEYOND: Final = "the TLS sequence number lies beyond the search"
NO_GUESSES: Final = "TLS handshake not seen, and the key log's secrets were tried for too many such connections"
REJECTED: Final = "early data that the server rejected"
AFTER_CLOSE: Final = "after the end of the TLS connection"
NOT_SEEN: Final = "TLS handshake not seen (joined in the middle), and no secret of the key log fits"
NOT_AMONG_NEWEST: Final = "TLS handshake not seen, and none of the key log's newest secrets, which were tried, fits"
NOT_SEEN_TLS12: Final = "TLS 1.2 handshake not seen: without it the key log's secrets give no keys"
DAMAGED: Final = "TLS handshake not seen whole, and no secret of the key log fits"
NO_LINE: Final = "no key log line for this client random"
NOT_FITTING: Final = "the key log's secrets for this client random do not fit"


def cut_off(end: End) -> str:
    """Why a record that was under way is lost when its side ends."""
    ended = CAPTURE_ENDED if end.reason.startswith(CAPTURE_ENDED) else "connection ended"
    return f"{ended} inside a TLS record"

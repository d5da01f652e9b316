"""The exchanges: what messages mean. One plain module a venue; `VENUES` lists them, `base.py` says what each has to give."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sniffer.errors import UsageError
from sniffer.exchanges import (
    binance_spot,
    binance_usdm,
    bitfinex,
    bitmart,
    bitmex,
    bybit,
    coinbase_advanced,
    coinbase_exchange,
    deribit,
    gate,
    htx,
    hyperliquid,
    kraken,
    kraken_futures,
    kucoin,
    okx,
)
from sniffer.exchanges.base import OTHER, Decoded, Decoder, Remembers, Venue
from sniffer.exchanges.declared import Place
from sniffer.exchanges.redact import UNKNOWN_VENUE, is_login
from sniffer.model import Message, Sender

VENUES: Final[tuple[Venue, ...]] = (
    binance_spot.VENUE,
    binance_usdm.VENUE,
    binance_usdm.VENUE_COIN_M,
    bitmex.VENUE,
    bybit.VENUE,
    deribit.VENUE,
    htx.VENUE,
    hyperliquid.VENUE,
    okx.VENUE,
    kraken.VENUE,
    kraken_futures.VENUE,
    bitfinex.VENUE,
    coinbase_advanced.VENUE,
    coinbase_exchange.VENUE,
    gate.VENUE,
    kucoin.VENUE,
    bitmart.VENUE,
)


_own: list[Venue] = []
_places: list[tuple[Place, Venue]] = []


def use(own: Iterable[Venue], places: Iterable[tuple[Place, Venue]] = ()) -> None:
    """Make `own` the user's venues, and `places` those that the user adds to known ones; `own.py` finds both."""
    _own[:], _places[:] = own, places


def venues() -> tuple[Venue, ...]:
    """All venues, the user's first: where the user names a host, the user knows best."""
    return (*_own, *VENUES)


def venue_of(host: str | None, path: str | None, port: int | None) -> Venue | None:
    """The venue that a connection's handshake names: host (without port), path of the upgrade request, and server port.

    The user's own come first, then those that list the host: HTX has calls under a path that is Bybit's anywhere else.
    """
    placed = next((venue for place, venue in _places if place.holds(host, path, port)), None)
    name = (host or "").lower().rstrip(".")
    candidates = (*_own, *(venue for venue in VENUES if name in venue.hosts), *VENUES)
    return placed or next((venue for venue in candidates if venue.recognises(host, path, port)), None)


def guess_venue(sender: Sender, payload: bytes) -> Venue | None:
    """The venue whose order messages look like this one; for connections that their host does not tell."""
    return next((venue for venue in venues() if venue.looks_like(sender, payload)), None)


def meaning(decoder: Decoder, message: Message) -> Decoded | None:
    """What a message means. A decoder never raises; where one does all the same, it costs that message and no recording."""
    try:
        return decoder.decode(message)
    except Exception as error:
        if isinstance(decoder, Remembers):
            decoder.hole(message.sender)  # it may have taken in a part
        return Decoded(OTHER, [], [], f"the decoder failed: {type(error).__name__}")


def by_name(name: str) -> Venue:
    """The venue of that name. Raises `UsageError` with the list of names for any other."""
    for venue in venues():
        if venue.name == name:
            return venue
    raise UsageError(f"--venue {name}: no such venue; known are {', '.join(venue.name for venue in venues())}")


def may_be_login(payload: bytes) -> bool:
    """Whether a message of an unknown venue looks like one that is never stored."""
    return is_login(payload.decode("latin-1"))


def redact(venue: Venue | None, sender: Sender, text: str) -> str:
    """A message's text without secrets; of an unknown venue, without whatever is usually called one."""
    return UNKNOWN_VENUE.text(text) if venue is None else venue.redact(sender, text)


def redact_blob(venue: Venue | None, sender: Sender, payload: bytes) -> bytes:
    """The same for bytes that are no text: each byte is taken as one character."""
    return redact(venue, sender, payload.decode("latin-1")).encode("latin-1", "replace")


def redact_path(venue: Venue | None, path: str) -> str:
    """The same for a connection's path or a request target."""
    return UNKNOWN_VENUE.target(path) if venue is None else venue.redact_path(path)

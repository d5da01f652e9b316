"""The user's own venues: those that the settings declare, and those that installed packages offer as entry points."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from sniffer import exchanges
from sniffer.errors import UsageError
from sniffer.exchanges.base import OTHER, ConnectionFacts, Decoded, Decoder, Venue
from sniffer.exchanges.declaration import declarations
from sniffer.model import Message, Sender

GROUP: Final = "sniffer.venues"
"""The entry point group: each entry is an object that has what `base.Venue` asks for."""
_ASKED: Final = ("name", "hosts", "recognises", "looks_like", "decoder", "redact", "redact_path")


def check_declared(declared: Mapping[str, Any] | None) -> None:
    """Raises `UsageError` for a declaration that is wrong. It loads no package: root may call it."""
    declarations(declared, exchanges.VENUES)


def use_own_venues(declared: Mapping[str, Any] | None) -> None:
    """Make the user's venues known to this process, before those of the product; `declared` is the setting `venues`.

    Raises `UsageError` for a declaration that is wrong, and for an entry point that cannot be loaded or is no venue.
    """
    venues, places = declarations(declared, exchanges.VENUES)
    offered = [_offered(entry) for entry in entry_points(group=GROUP)]
    names = {venue.name for venue in (*exchanges.VENUES, *venues)}
    for venue in offered:
        if venue.name in names:
            raise UsageError(f"entry point {GROUP}: two venues are named {venue.name}; uninstall or rename one")
        names.add(venue.name)
    exchanges.use((*venues, *offered), places)


def _offered(entry: EntryPoint) -> Venue:
    try:
        venue = entry.load()
    except Exception as error:  # of a foreign package anything may come
        raise UsageError(
            f"entry point {GROUP}, {entry.name} = {entry.value}: cannot be loaded: {type(error).__name__}: {error}; "
            "mend or uninstall the package"
        ) from None
    missing = [name for name in _ASKED if not hasattr(venue, name)]
    if missing:
        raise UsageError(
            f"entry point {GROUP}, {entry.name} = {entry.value}: it has no {missing[0]}, as sniffer.exchanges.base.Venue asks; "
            "mend or uninstall the package"
        )
    return Foreign(venue)


class Foreign:
    """A venue of another package, as in `base.Venue`: an exception in it costs one message, and is a loss, not a crash."""

    def __init__(self, venue: Venue) -> None:
        self.name: str = venue.name
        self.hosts: tuple[str, ...] = venue.hosts
        self.recognises = venue.recognises
        self.looks_like = venue.looks_like
        self.redact = venue.redact
        self.redact_path = venue.redact_path
        self._venue = venue

    def decoder(self, facts: ConnectionFacts) -> ForeignDecoder:
        """A decoder for one connection."""
        return ForeignDecoder(self.name, self._venue.decoder(facts))


class ForeignDecoder:
    """A decoder of another package, as in `base.Decoder`."""

    def __init__(self, venue: str, decoder: Decoder) -> None:
        self._venue = venue
        self._decoder = decoder

    @property
    def account(self) -> str | None:
        """As `Decoder.account`."""
        return self._decoder.account

    def wanted(self, sender: Sender, opcode: int) -> Callable[[bytes], bool]:
        """As `Decoder.wanted`."""
        return self._decoder.wanted(sender, opcode)

    def decode(self, message: Message) -> Decoded | None:
        """As `Decoder.decode`; what the package raises is the message's problem."""
        try:
            return self._decoder.decode(message)
        except Exception as error:
            return Decoded(OTHER, [], [], f"the decoder of {self._venue} failed: {type(error).__name__}")

"""Symbols of venues that name an instrument by a number (OKX `instIdCode`, Hyperliquid's asset index).

Which number is which symbol stands in instrument lists, and those cross other connections than the orders do: so what one
connection learns, all decoders of the capture know. A message that taught something is kept, as `REFERENCE`: decoding the kept
messages again gives the same symbols.
"""

from __future__ import annotations

from sniffer.exchanges.base import ConnectionFacts


class Instruments:
    """One venue's symbols by its own number for them, as far as the capture has told."""

    def __init__(self, facts: ConnectionFacts, venue: str) -> None:
        self._known = facts.instruments
        self._venue = venue

    def learn(self, number: int | str, symbol: str) -> bool:
        """Notes a symbol; whether that was news."""
        key = (self._venue, str(number))
        if self._known.get(key) == symbol:
            return False
        self._known[key] = symbol
        return True

    def symbol(self, number: int | str) -> str:
        """The symbol of a number; the number itself, as text, while no list has told."""
        return self._known.get((self._venue, str(number)), str(number))

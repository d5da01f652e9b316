"""Times of which it is not certain in which order the two sides of a connection spoke.

Of a capture one expects what happened first to come first. It did not where an acknowledgement was captured before what it
acknowledges (each direction has a tap or a queue of its own, or bytes were not captured), and where times step back. Layers
know items by their times, so that is how they ask.
"""

from __future__ import annotations

from typing import Final

_SPANS: Final = 64
"""Spans that are remembered; the two oldest become one, with what is between them."""


class Disorder:
    """Of one connection."""

    __slots__ = ("_spans",)

    def __init__(self) -> None:
        self._spans: list[tuple[int, int]] = []

    def note(self, begin: int, end: int) -> None:
        """What has a time (ns) from `begin` to `end` may have come in another order. `end` never steps back."""
        spans = self._spans
        while spans and spans[-1][1] >= begin:
            first, last = spans.pop()
            begin, end = min(begin, first), max(end, last)
        spans.append((begin, end))
        if len(spans) > _SPANS:
            spans[:2] = [(spans[0][0], spans[1][1])]

    def within(self, begin: int, end: int) -> bool:
        """Whether anything from `begin` to `end` may have come in another order."""
        return any(first <= end and last >= begin for first, last in self._spans)

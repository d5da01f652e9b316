"""HTTP joined in the middle: from which request on an answer is known to be its own.

How many requests from before still wait for their answers no number of TCP tells. But behind a request that is not idempotent
a client sends nothing until it has the status of the answer (RFC 9112 section 9.3.2). So if one answer came between such a
request and the next, nothing else is waited for when the next one is sent, and the answer that begins behind it is its own; if
that is the order in which they were sent, not only that of the capture.
"""

from __future__ import annotations

from typing import Final

from sniffer.model import HttpHead
from sniffer.wire.disorder import Disorder

_NOT_IDEMPOTENT: Final = frozenset({"POST", "PATCH"})


class Join:
    """Finds the first request whose answer is known to be its."""

    def __init__(self, disorder: Disorder) -> None:
        self._disorder = disorder
        self._asked: int | None = None  # when the latest request began, where the client sends nothing behind it
        self._answers = 0  # that have begun since
        self._waits = True  # nothing was seen to be sent behind it too early
        self._overlapped = False  # an answer began within the request that is being read
        self._in_turn = False  # which came behind the one answer to the latest
        self._began = self._whole = 0  # the time from which on order matters; when the request was whole

    def request_begins(self, time: int, latest_of_server: int, *, answering: bool) -> None:
        """`answering`: an answer has begun and is not whole."""
        asked, answers, self._overlapped = self._asked, self._answers, False
        if asked is not None and not answers and not self._disorder.within(asked, time):
            self._waits = False
        self._in_turn = asked is not None and answers == 1 and self._waits and not answering and latest_of_server < time

    def is_next(self, head: HttpHead, began: int, whole: int) -> bool:
        """A request is whole. Whether the next answer is its own, if it `follows`."""
        if self._in_turn and self._asked is not None:
            self._began, self._whole = self._asked, whole
            return True
        self._asked = began if head.method in _NOT_IDEMPOTENT and not self._overlapped else None
        self._answers = 0
        return False

    def answer_begins(self) -> None:
        """One whose request is not known."""
        self._answers += 1
        self._overlapped, self._in_turn = True, False

    def follows(self, time: int) -> bool:
        """An answer begins: whether it is that of the request that `is_next`. If not, all begins anew."""
        if self._whole < time and not self._disorder.within(self._began, time):
            return True
        self._asked, self._in_turn = None, False
        return False

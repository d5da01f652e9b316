"""REST: the calls of one connection, their answers, and the parameters of a query or a form.

Answers come in the order of their calls (RFC 9112 section 9.3.2), so the oldest call that waits is the one that is answered.
The response's head names the call that the wire layer saw it answer; where the two differ, one was missed: nothing is joined.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar
from urllib.parse import unquote_plus

from sniffer.exchanges.base import PENDING
from sniffer.exchanges.jsontext import Row, parse_object
from sniffer.exchanges.numbers import Broken
from sniffer.model import HttpHead

V = TypeVar("V")


class Calls(Generic[V]):
    """What is known of the calls that await their answers, the oldest dropped beyond `PENDING`."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: deque[tuple[str | None, str | None, V]] = deque(maxlen=PENDING)

    def put(self, head: HttpHead, call: V) -> None:
        """Notes a call. Every call takes its place, one that is not about orders too."""
        self._waiting.append((head.method, head.target, call))

    def take(self, head: HttpHead) -> V | None:
        """The call that the response with this head answers; None if it was not seen."""
        method, target, call = self._waiting.popleft() if self._waiting else (None, None, None)
        if head.target is None or (head.method, head.target) == (method, target):
            return call
        self._waiting.clear()
        return None


def header(head: HttpHead, name: str) -> str | None:
    """The value of a header field, named in lower case; None if the head does not have it."""
    return next((value for key, value in head.headers if key == name), None)


def path_and_query(head: HttpHead) -> tuple[str, str]:
    """The two parts of a call's target; empty where they are not known."""
    path, _, query = (head.target or "").partition("?")
    return path, query


def body_parameters(body: bytes) -> Row:
    """The parameters in a body, which is a JSON object or a form. Raises `Broken`."""
    return parse_object(body) if body.lstrip().startswith(b"{") else form_parameters(body)


def form_parameters(body: bytes) -> Row:
    """The parameters of a form body, as texts. Raises `Broken`."""
    try:
        return parameters(body.decode())
    except UnicodeDecodeError:
        raise Broken("a form that is not UTF-8") from None


def parameters(form: str) -> Row:
    """The parameters of a query or of a form body, as texts. Raises `Broken` for one that stands twice."""
    found: Row = {}
    for pair in form.split("&"):
        name, mark, value = pair.partition("=")
        if not mark:
            continue
        name = unquote_plus(name)
        if name in found:
            raise Broken("a parameter stands twice in one call")
        found[name] = unquote_plus(value)
    return found

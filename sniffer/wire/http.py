"""HTTP/1.1, both sides of one connection: requests and responses, until one of them turns the connection into something else.

`h11` does the parsing (RFC 9112). It is made for an endpoint, so each message gets a parser of its own: one that plays the
server reads a request, one that plays the client and has "sent" that request reads its response.

After a hole in what the client sends, its requests are not read any more: which answer belongs to which could only be guessed.
Answers to requests from before the hole are still theirs; of the others nobody knows whether they are to a HEAD, which have no
body whatever their head says (`_Probe`). After a hole in what the server sends, nothing is read.

Joined in the middle, requests from before may wait for their answers, so an answer is one to an unknown request until it is
proved that none do (`join.py`).
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Sequence
from typing import Final

import h11

from sniffer.config import Limits
from sniffer.model import OPCODE_HTTP, HttpHead, Sender, WireMessage
from sniffer.wire.disorder import Disorder
from sniffer.wire.join import Join
from sniffer.wire.stream import Data, Gap, Item, time_of

_SWITCHING: Final = 101
_NO_BODY: Final = frozenset({204, 304})
_STATUS_LINE: Final = b"HTTP/1."
_HOLE: Final = "bytes are missing in an HTTP message"
_MAX_REQUESTS: Final = 1024
"""Requests without an answer: clients pipeline a few at most."""
_KEPT: Final = 256
"""Segments behind a hole in the requests: a websocket's first frames may be among them, where its answer is read late."""


class HttpError(Exception):
    """Not HTTP/1.x, or past a limit: the connection cannot be read from here on."""


class HttpGap(HttpError):
    """Bytes are missing in what the server sends."""


def header(head: HttpHead, name: str) -> str | None:
    """The value of header field `name` (lower case); several are joined by commas (RFC 9110 section 5.3)."""
    values = [value for key, value in head.headers if key == name]
    return ", ".join(values) if values else None


def without_port(host: str | None) -> str | None:
    """`host` or `host:port` as a Host header or the target of a CONNECT says it; IPv6 without brackets."""
    if not host:
        return None
    name, colon, port = host.rpartition(":")
    if colon and port.isdigit() and (":" not in name or name.endswith("]")):
        host = name
    return host.removeprefix("[").removesuffix("]")


class _Reader:
    """One message of one side."""

    def __init__(self, connection: h11.Connection, request: HttpHead | None) -> None:
        """`request`: the one that is answered, where that is known."""
        self._connection = connection
        self.request = request
        self._body = bytearray()
        self.head: HttpHead | None = None
        self.offset = 0
        self.first_seen = 0
        self.fed = 0
        self.switched = False

    def feed(self, item: Data, body_limit: int) -> bool:
        """Whether the message is whole. No bytes say that the stream ended."""
        offset, time, data = item
        if not self.fed:
            self.offset, self.first_seen = offset, time
        self.fed += len(data)
        try:
            self._connection.receive_data(data)
            while True:
                event = self._connection.next_event()
                if event is h11.NEED_DATA:
                    return False
                if event is h11.PAUSED:  # the response switched protocols: what follows is no longer HTTP
                    return self.head is not None
                if isinstance(event, h11.Request):
                    self.head = HttpHead(_text(event.method), _text(event.target), None, _fields(event))
                elif isinstance(event, h11.Response | h11.InformationalResponse):
                    asked = self.request
                    head = HttpHead(asked and asked.method, asked and asked.target, event.status_code, _fields(event))
                    if event.status_code == _SWITCHING:
                        self.head, self.switched = head, True
                        return True
                    if isinstance(event, h11.Response):
                        self.head = head
                elif isinstance(event, h11.Data):
                    self._body += event.data
                    if len(self._body) > body_limit:
                        raise HttpError(f"body over {body_limit} bytes")
                elif isinstance(event, h11.EndOfMessage):
                    return True
                elif isinstance(event, h11.ConnectionClosed):
                    return False
        except h11.RemoteProtocolError as error:
            raise HttpError(f"not HTTP/1.1: {_without_quotation(error)}") from None

    @property
    def body(self) -> bytes:
        return bytes(self._body)

    @property
    def rest(self) -> bytes:
        """What was fed beyond the message's end."""
        return bytes(self._connection.trailing_data[0])


class _Probe:
    """Finds out how to read an answer whose request was not captured: as one to a HEAD, or as one to anything else.

    What follows the head tells, and until it is here nobody knows. Behind an answer to a HEAD that is the next status line. A
    body may begin so, too (it may hold an answer), but not one in chunks, and one of a known length has the next status line
    behind it.
    """

    def __init__(self, connection: h11.Connection) -> None:
        """`connection`: has sent a HEAD."""
        self._connection = connection
        self._looked = 0
        self._head_read = False
        self._chunked = self._may_tunnel = False
        self._length: int | None = None  # of the body that there may be
        self._follows = 0  # bytes behind the head so far,
        self._first = self._behind = b""  # the first of them, and those behind such a body

    def method(self, waiting: Sequence[Data | Gap]) -> str | None:
        """HEAD, or GET for all others; None where `waiting`, whose first bytes begin the answer, does not say it yet."""
        try:
            while self._looked < len(waiting):
                item = waiting[self._looked]
                if isinstance(item, Gap):
                    raise HttpGap(_HOLE)
                self._looked += 1
                found = self._look(item[2]) if item[2] else None
                if found is not None:
                    return found
        except h11.RemoteProtocolError as error:
            raise HttpError(f"not HTTP/1.1: {_without_quotation(error)}") from None
        return None

    def _look(self, data: bytes) -> str | None:
        if not self._head_read:
            self._connection.receive_data(data)
            while not self._head_read:
                event = self._connection.next_event()
                if event is h11.NEED_DATA:
                    return None
                if isinstance(event, h11.InformationalResponse) and event.status_code == _SWITCHING:
                    return "GET"
                if isinstance(event, h11.Response):
                    fields = dict(event.headers)
                    length = fields.get(b"content-length")
                    self._head_read, self._chunked = True, b"transfer-encoding" in fields
                    self._length = int(length) if length is not None else None
                    if event.status_code in _NO_BODY or (not self._chunked and self._length == 0):
                        return "GET"  # no body whatever was asked
                    self._may_tunnel = event.status_code < 300 and not self._chunked and length is None
            data = bytes(self._connection.trailing_data[0])
        self._take(data)
        if not _STATUS_LINE.startswith(self._first):
            if self._may_tunnel:
                raise HttpError("an answer to a request that was not captured, and either a body or a tunnel follows")
            return "GET"
        if self._first != _STATUS_LINE:
            return None
        if self._chunked or not _STATUS_LINE.startswith(self._behind):
            return "HEAD"
        if self._length is None or self._behind == _STATUS_LINE:
            raise HttpError("an answer to a request that was not captured, and either its body or another answer follows")
        return None

    def _take(self, data: bytes) -> None:
        """More of what follows the head."""
        at, size = self._follows, len(_STATUS_LINE)
        self._first += data[: max(0, size - at)]
        if self._length is not None:
            self._behind += data[max(0, self._length - at) : max(0, self._length + size - at)]
        self._follows += len(data)


def _without_quotation(error: h11.ProtocolError) -> str:
    """What h11 found wrong, less the line that it quotes, which may hold a secret."""
    return str(error).partition(":")[0][:80]


def _text(value: bytes) -> str:
    return value.decode("latin-1")


def _fields(event: h11.Request | h11.Response | h11.InformationalResponse) -> tuple[tuple[str, str], ...]:
    return tuple((_text(name), _text(value)) for name, value in event.headers)


class HttpConversation:
    """Both sides. Feed each side's bytes in wire order; read `messages`, `switched` and the bytes that follow a switch."""

    def __init__(
        self,
        limits: Limits,
        positions: dict[Sender, int],
        latest: dict[Sender, int],
        *,
        first_request_seen: bool,
        disorder: Disorder | None = None,
    ) -> None:
        """`positions`: of each side's next message; `latest`: the running maximum of each side's wire times. Both are counted
        on in place. `first_request_seen` False: joined in the middle, so responses may come whose requests were not seen.
        `disorder`: when the order of both sides is not certain.
        """
        self._limits = limits
        self._first_request_seen = first_request_seen
        self._join = None if first_request_seen else Join(disorder or Disorder())
        self._proposal: HttpHead | None = None  # the latest request, if it proposes an upgrade
        self._requests: deque[HttpHead] = deque()
        self._readers: dict[Sender, _Reader] = {}
        self._probe: _Probe | None = None
        self._waiting: dict[Sender, deque[Data | Gap]] = {"client": deque(), "server": deque()}
        self._waiting_bytes: dict[Sender, int] = {"client": 0, "server": 0}
        self._latest = latest
        self._proposed_switch = False
        self.client_lost = False
        """Bytes of a request are missing: the answers alone are read on."""
        self.positions = positions
        self.messages: list[tuple[Sender, WireMessage]] = []
        self.torn: list[tuple[Sender, int, int, int]] = []
        """(sender, offset, time, bytes) of messages that have begun and will not be read to their end."""
        self.passed_over: list[Data] = []
        """What the client sent behind a hole in its requests, and is not kept."""
        self.switched: tuple[HttpHead | None, HttpHead] | None = None
        """The request and the response that ended HTTP: 101, or a 2xx to CONNECT."""

    def feed(self, sender: Sender, item: Data | Gap) -> None:
        """Bytes of one side, or a hole in them. Raises `HttpError` where this is not HTTP or passes a limit."""
        if isinstance(item, tuple):
            self._waiting_bytes[sender] += len(item[2])
        self._waiting[sender].append(item)
        self._advance()
        if self.client_lost and self.switched is None:
            self._pass_over()
        limits = self._limits
        if self.switched is None and (
            self._waiting_bytes[sender] > limits.body_bytes or len(self._waiting[sender]) > limits.fragments
        ):
            raise HttpError("too many bytes that belong to no message")

    def end(self, sender: Sender, time: int, orderly: bool) -> None:
        """This side ends: a response without a length ends with it, if it was not cut off."""
        reader = self._readers.get(sender)
        if orderly and reader is not None and reader.head is not None:
            with contextlib.suppress(HttpError):  # it has a length, and is too short
                if reader.feed((0, time, b""), self._limits.body_bytes):
                    self._finish(sender, reader)

    def rest(self, sender: Sender) -> list[Item]:
        """What came after the switch, or is still held for a message of the other side."""
        return list(self._waiting[sender])

    def held_bytes(self) -> int:
        """Bytes of messages that are not whole, and of those that wait for the other side."""
        return sum(self._waiting_bytes.values()) + sum(reader.fed for reader in self._readers.values())

    def tear(self, sender: Sender) -> None:
        """Give up the message that this side has begun."""
        reader = self._readers.pop(sender, None)
        if reader is not None and reader.fed:
            self.torn.append((sender, reader.offset, reader.first_seen, reader.fed))

    def _lose_client(self) -> None:
        """Bytes are missing on the client's side; whether it goes on as HTTP only the server's answer can tell."""
        self.client_lost = True
        self._first_request_seen = False
        self.tear("client")

    def _pass_over(self) -> None:
        """Keep of what the client sends behind a hole only the latest: answers may come for days, and frames with the last.

        Many go at once, so that they are few rows.
        """
        waiting, limit = self._waiting["client"], self._limits.header_bytes
        if len(waiting) <= _KEPT and self._waiting_bytes["client"] <= limit:
            return
        while len(waiting) > _KEPT // 2 or self._waiting_bytes["client"] > limit // 2:
            item = waiting.popleft()
            if isinstance(item, tuple):
                self._waiting_bytes["client"] -= len(item[2])
                self._latest["client"] = max(self._latest["client"], item[1])
                if item[2]:
                    self.passed_over.append(item)

    def _advance(self) -> None:
        progress = True
        while progress and not self.switched:
            progress = self._read("client") if not self._proposed_switch and not self.client_lost else False
            if not self.switched and (self._requests or not self._first_request_seen):
                progress = self._read("server") or progress

    def _read(self, sender: Sender) -> bool:
        """Feed what waits to the side's reader; whether a message became whole."""
        waiting = self._waiting[sender]
        while waiting:
            item = waiting[0]
            if sender not in self._readers and isinstance(item, tuple) and item[2] and not self._begin(sender):
                return False
            waiting.popleft()
            if isinstance(item, Gap):
                if sender == "server":
                    raise HttpGap(_HOLE)
                self._lose_client()
                return True
            self._waiting_bytes[sender] -= len(item[2])
            self._latest[sender] = max(self._latest[sender], item[1])
            if not item[2]:  # it only says how late the next bytes are
                continue
            reader = self._readers[sender]
            if reader.feed(item, self._limits.body_bytes):
                rest = reader.rest
                if rest:
                    offset, time, data = item
                    waiting.appendleft((offset + len(data) - len(rest), time, rest))
                    self._waiting_bytes[sender] += len(rest)
                self._finish(sender, reader)
                return True
        return False

    def _begin(self, sender: Sender) -> bool:
        """Make the reader of the next message; False: what waits does not say yet how it has to be read."""
        request = method = None
        if self._join is not None and self._probe is None:
            self._look_for_turn(self._join, sender, time_of(self._waiting[sender][0]))
        if sender == "server" and self._requests and self._probe is None:
            request = self._requests[0]
            method = request.method
        elif sender == "server":
            if self._probe is None:
                self._probe = _Probe(self._asking("HEAD", proposes=True))
            method = self._probe.method(self._waiting[sender])
            if method is None:
                return False
            self._probe = None
        if method is None:
            connection = h11.Connection(h11.SERVER, max_incomplete_event_size=self._limits.header_bytes)
        else:
            connection = self._asking(method, proposes=request is None or header(request, "upgrade") is not None)
        self._readers[sender] = _Reader(connection, request)
        return True

    def _look_for_turn(self, join: Join, sender: Sender, time: int) -> None:
        """Joined in the middle: a message begins at `time`."""
        if sender == "client":
            answering = "server" in self._readers or bool(self._waiting["server"])
            join.request_begins(time, self._latest["server"], answering=answering)
        elif not self._requests:
            join.answer_begins()
        elif join.follows(time):
            self._join, self._first_request_seen = None, not self.client_lost
        else:
            self._requests.clear()

    def _asking(self, method: str, *, proposes: bool) -> h11.Connection:
        """A parser of the answer to a request that it seems to have sent.

        The answer's length depends on the request's method, and 101 is legal only where it was proposed.
        """
        connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=self._limits.header_bytes)
        fields = [("Host", "-"), *([("Upgrade", "-"), ("Connection", "upgrade")] if proposes else [])]
        try:
            connection.send(h11.Request(method=method, target="/" if method != "CONNECT" else "-:1", headers=fields))
            connection.send(h11.EndOfMessage())
        except h11.LocalProtocolError as error:
            raise HttpError(f"request cannot be followed: {_without_quotation(error)}") from None
        return connection

    def _finish(self, sender: Sender, reader: _Reader) -> None:
        """A message is whole."""
        head, latest = reader.head, self._latest[sender]
        assert head is not None
        del self._readers[sender]
        message: WireMessage = (self.positions[sender], reader.first_seen, latest, OPCODE_HTTP, reader.body, head)
        self.positions[sender] += 1
        self.messages.append((sender, message))
        if sender == "client":
            if self._join is None or self._requests or self._join.is_next(head, reader.first_seen, latest):
                self._requests.append(head)
            if len(self._requests) > _MAX_REQUESTS:
                raise HttpError(f"over {_MAX_REQUESTS} requests without an answer")
            self._proposed_switch = header(head, "upgrade") is not None or head.method == "CONNECT"
            self._proposal = head if header(head, "upgrade") is not None else None
            return
        request = reader.request
        if request is not None:
            self._requests.popleft()
        elif reader.switched and not self.client_lost:
            request = self._proposal  # nothing is sent behind a proposal that is accepted, so it was the latest one
        if not self._requests:
            self._proposed_switch = False
        status = head.status or 0
        if reader.switched or (request is not None and request.method == "CONNECT" and 200 <= status < 300):
            self.switched = (request, head)

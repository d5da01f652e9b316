"""What the venues of the product have in common: how one is told, what it keeps secret, and the frame of its decoder.

A venue's module has one class of each kind below, and in it only what is that venue's. `base.py` says what a venue has to give;
one of another package may give it in any way.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from sniffer.exchanges.accounts import Accounts
from sniffer.exchanges.base import (
    LOGIN,
    REQUEST,
    RESPONSE,
    UPDATE,
    ConnectionFacts,
    Decoded,
    Decoder,
    always,
    never,
)
from sniffer.exchanges.numbers import Broken
from sniffer.exchanges.redact import Secrets
from sniffer.model import OPCODE_BINARY, OPCODE_HTTP, OPCODE_TEXT, HttpHead, Message, Sender


class ListedVenue:
    """A venue whose hosts and secrets can be listed, as in `base.Venue`."""

    def __init__(
        self, name: str, hosts: tuple[str, ...], secrets: Secrets, decoder: Callable[[ConnectionFacts], Decoder]
    ) -> None:
        self.name = name
        self.hosts = hosts
        self.secrets = secrets
        self.decoder = decoder

    def recognises(self, host: str | None, path: str | None, port: int | None) -> bool:
        """By host; and by a path that no other venue has."""
        return (host or "").lower().rstrip(".") in self.hosts or (path is not None and self.owns_path(path))

    def owns_path(self, path: str) -> bool:
        """Whether a connection's path, query included, is this venue's at any host. Here: no path is."""
        return False

    def looks_like(self, sender: Sender, payload: bytes) -> bool:
        """As `Venue.looks_like`. Here: no message is."""
        return False

    def redact(self, sender: Sender, text: str) -> str:
        """The secrets of a message, in JSON, forms and header lines."""
        return self.secrets.text(text)

    def redact_path(self, path: str) -> str:
        """The secrets of a path and of its query."""
        return self.secrets.target(path)


class VenueDecoder(ABC):
    """The frame of a decoder, as in `base.Decoder`: whose orders, what is wanted, and what becomes of what cannot be read.

    A venue's decoder says what the messages of its websocket mean (`_websocket`), its REST calls (`_call`) and their answers
    (`_call_answer`), and is free to raise `Broken` in each.
    """

    __slots__ = ("_accounts",)

    wanted_text: ClassVar[staticmethod[[bytes], bool]] = staticmethod(always)
    """The search for text messages of the server."""
    wanted_binary: ClassVar[staticmethod[[bytes], bool]] = staticmethod(always)
    """The search for its binary messages; `never`, where no side sends any."""

    def __init__(self, facts: ConnectionFacts, listen_key: re.Pattern[str] | None = None) -> None:
        """`listen_key`: as of `Accounts`."""
        self._accounts = Accounts(facts, listen_key)

    @property
    def account(self) -> str | None:
        """As `Decoder.account`."""
        return self._accounts.current

    def wanted(self, sender: Sender, opcode: int) -> Callable[[bytes], bool]:
        """As `Decoder.wanted`. All that a client says is wanted: it is little, and answers are joined to it."""
        if opcode == OPCODE_HTTP:
            return always
        search = self.wanted_text if opcode == OPCODE_TEXT else self.wanted_binary if opcode == OPCODE_BINARY else never
        return always if sender == "client" and search is not never else search

    def decode(self, message: Message) -> Decoded | None:
        """As `Decoder.decode`."""
        try:
            return self._http(message) if message.opcode == OPCODE_HTTP else self._websocket(message)
        except Broken as error:
            kind = self._unread(message)
            return None if kind is None else Decoded(kind, [], [], None if kind == LOGIN else str(error))

    @abstractmethod
    def _websocket(self, message: Message) -> Decoded | None:
        """The meaning of a websocket message, of either side."""

    def _http(self, message: Message) -> Decoded | None:
        head = message.http
        if head is None:
            return None
        return self._call(message, head) if message.sender == "client" else self._call_answer(message, head)

    def _call(self, message: Message, head: HttpHead) -> Decoded | None:
        """The meaning of a REST call. Here: no call is about orders."""
        return None

    def _call_answer(self, message: Message, head: HttpHead) -> Decoded | None:
        """The meaning of the answer to a REST call, which `head` names."""
        return None

    def _unread(self, message: Message) -> str | None:
        """The kind of a message that cannot be read; None: it is not about orders. Here: each may be about orders."""
        return REQUEST if message.sender == "client" else RESPONSE if message.opcode == OPCODE_HTTP else UPDATE

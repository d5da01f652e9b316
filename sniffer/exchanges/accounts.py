"""Whose orders a connection carries, told from the keys that cross it.

An account's name is what `ConnectionFacts.name_of` makes of an API key: a salted hash. A listen key, which stands for an API
key on a stream connection, goes by the name of that key if the answer that gave it out was seen on any connection.
"""

from __future__ import annotations

import re
from typing import Any, Final

from sniffer.exchanges.base import Bounded, ConnectionFacts
from sniffer.exchanges.jsontext import Row

SUBSCRIPTIONS: Final = 1024
"""Subscriptions of one connection, each with an account; a connection has a handful."""
CHANNELS: Final = 16
"""Listen keys of one connection whose hashes are kept: a user stream names its key in each message."""
LONGEST_KEY: Final = 256
"""A listen key longer than this is hashed each time; Binance's has 64 characters."""


class Accounts:
    """The accounts of one connection. `current` is that of the first key, or of the last login, else the configured name."""

    def __init__(self, facts: ConnectionFacts, listen_key: re.Pattern[str] | None = None) -> None:
        """`listen_key`: what a channel's name looks like when it is a listen key."""
        self.current = facts.account
        self._facts = facts
        self._listen_key = listen_key
        self._seen = False
        self._subscriptions: Bounded[str | None] = Bounded(SUBSCRIPTIONS)
        self._hashes: Bounded[str] = Bounded(CHANNELS)

    def key(self, key: Any, login: bool = False) -> str | None:
        """The account of a request that holds this API key; that of the connection if it holds none."""
        if type(key) is not str or not key:
            return self.current
        return self._saw(self._facts.name_of(key), login)

    def listen_key(self, key: str) -> str:
        """The account of a listen key that the connection was opened or subscribed with."""
        account = self._hashes.get(key)
        if account is None:
            account = self._facts.name_of(key)
            if len(key) <= LONGEST_KEY:
                self._hashes[key] = account
        return self._saw(self._facts.aliases.get(account, account))

    def channel(self, name: Any) -> str | None:
        """The account of a channel's events: that of the listen key if the channel's name is one, else the connection's."""
        if type(name) is not str:
            return self.current
        if name in self._hashes or (self._listen_key is not None and self._listen_key.fullmatch(name)):
            return self.listen_key(name)
        return self.current

    def of_subscription(self, number: Any) -> str | None:
        """The account whose events a subscription brings; the connection's if its answer was not seen."""
        return self._subscriptions.get(number, self.current) if type(number) is int else self.current

    def granted(self, result: Row, account: str | None) -> None:
        """Notes what an answer gave to `account`: a subscription by number, or a listen key."""
        number, key = result.get("subscriptionId"), result.get("listenKey")
        if type(number) is int:
            self._subscriptions[number] = account
        if type(key) is str and key and account is not None:
            self._facts.aliases[self._facts.name_of(key)] = account

    def lend(self, token: Any, account: str | None) -> None:
        """Notes a token (or another key) that was given to `account`, for this and every other connection."""
        if type(token) is str and token and account is not None:
            self._facts.aliases[self._facts.name_of(token)] = account

    def borrowed(self, token: Any) -> str | None:
        """The account that a token was given to; the connection's if that was not seen, since tokens change by the hour."""
        known = self._facts.aliases.get(self._facts.name_of(token)) if type(token) is str and token else None
        return self.current if known is None else self._saw(known)

    def _saw(self, account: str, login: bool = False) -> str:
        if login or not self._seen:
            self.current, self._seen = account, True
        return account

"""Secrets out of everything that is stored or logged: payload texts, request targets, connection paths, header lines.

It works on the text, not on a parsed value: a message that is broken is kept raw, and its secrets have to go all the same.
So a secret is found by its key, wherever it stands, however JSON spaces or escapes it, inside a JSON text inside a string too,
and its value goes whole: a string (to the end of the text if it is cut), an object, an array, a bare word.

Bytes that are not UTF-8, and binary payloads, are gone through in the same way, each byte taken as one character: JSON inside
them loses its secrets, and what holds none stays as it is. Packed formats (Binance SBE) are sent by servers and hold no keys.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Final
from urllib.parse import unquote

from sniffer.config import REDACTED

_KEY: Final = re.compile(r'(?P<escape>\\{0,8})"(?P<name>(?:[^"\\]|\\u[0-9a-fA-F]{4})*)(?P=escape)"\s*:\s*')
"""A JSON key and its colon; `escape` holds the backslashes of a JSON text inside a string (bounded, so that a long run of them
is not gone over again from each of its places)."""
_STRING: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)
"""A JSON string, or what is there of one that is cut."""
_STRINGS: Final = re.compile(r'\[\s*(?:(?:"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|[\w.+\-]+)[\s,]*)*', re.DOTALL)
"""The strings and numbers that a JSON array begins with (Bybit's login: `["key", 1662350400000, "signature"]`)."""
_ESCAPED_LIST: Final = re.compile(r'\[\s*\\+"[^\]]*\]?')
_WORD: Final = re.compile(r'[^\s,"\\\[\]]+')
_BARE: Final = re.compile(r'[^\s,\]}"]*')
_PIECE: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)
_PAIR: Final = re.compile(r"(?<![^?&;\s\"])([\w%.\-]+)=([^&\s\"#]*)")
"""A `name=value` of a query or of a form body."""
_HEADER: Final = re.compile(r"^([\w\-]+):[ \t]*([^\r\n]+)", re.MULTILINE)
_LOWER: Final = bytes(range(256)).lower()
_NO_SECRET: Final = frozenset(("null", "true", "false", ""))


class Secrets:
    """What one venue calls a secret, and how to take it out.

    `keys`: names of JSON keys, query parameters and headers whose value is a secret; case does not matter.
    `channels`: JSON keys and query parameters whose value is a channel name or a list of them, one of which may be a secret:
    a name goes if `public` says no to it, and so do the segments of a path that starts with `channel_path`.
    """

    def __init__(
        self,
        keys: Iterable[str],
        channels: Iterable[str] = (),
        channel_path: str | None = None,
        public: Callable[[str], bool] = lambda name: True,
    ) -> None:
        self._keys = frozenset(key.lower() for key in keys)
        self._channels = frozenset(channel.lower() for channel in channels)
        self._channel_path = channel_path
        self._public = public
        names = self._keys | self._channels
        # Most texts hold no name at all; a name that holds another needs no search of its own.
        self._hints = tuple(name for name in names if not any(other in name for other in names - {name}))
        letters = "".join(self._hints)
        self._no_letters = bytes(code for code in range(128) if chr(code).lower() not in letters)
        self._names = re.compile(rf'"(?P<name>{"|".join(map(re.escape, names))})"\s*:\s*(?P<escape>)')
        self._opening = re.compile(rf'\{{"(?:{"|".join(map(re.escape, self._channels))})":"([a-zA-Z0-9_@!\-]*)"')

    def text(self, text: str) -> str:
        """A JSON text, form body or header block without its secrets; the rest is unchanged, to the character."""
        if self._channels and (opening := self._opening.match(text)) is not None:
            start, end = opening.span(1)
            if self._nameless(text[end:]):  # most messages of a stream hold no other name
                return text if self._public(opening[1]) else text[:start] + REDACTED + text[end:]
        elif self._nameless(text):
            return text
        escaped = "\\" in text
        if escaped or not text.isascii():
            text = self._json(text, _KEY, text)
        else:  # a name is found by its letters, where it stands
            text = self._json(text, self._names, text.lower())
        if "=" in text:
            text = _PAIR.sub(self._pair("="), text)
        if not text.lstrip().startswith(("{", "[")):
            text = _HEADER.sub(self._pair(": "), text)
        return text

    def _nameless(self, text: str) -> bool:
        """Whether no name of a secret stands in `text` for sure: it is plain, and without other letters still holds no hint.

        Taking out all that no hint has leaves a quarter of an order message to search, and no hint is torn by it.
        """
        if not text.isascii() or "\\" in text or "%" in text:
            return False
        letters = text.encode().translate(_LOWER, self._no_letters).decode()
        return not any(map(letters.__contains__, self._hints))

    def target(self, target: str) -> str:
        """A request target, or the path of a connection, without its secrets."""
        path, mark, query = target.partition("?")
        if self._channel_path is not None and path.startswith(self._channel_path):
            path = self._channel_path + self._segments(path[len(self._channel_path) :])
        return path + mark + "&".join(self._query_pair(pair) for pair in query.split("&"))

    def _segments(self, names: str) -> str:
        """Channel names joined by slashes."""
        return "/".join(name if not name or self._public(unquote(name)) else REDACTED for name in names.split("/"))

    def _query_pair(self, pair: str) -> str:
        name, mark, value = pair.partition("=")
        if unquote(name).lower() in self._keys:
            return name + mark + REDACTED
        return name + mark + (self._segments(value) if unquote(name).lower() in self._channels else value)

    def _pair(self, mark: str) -> Callable[[re.Match[str]], str]:
        def replace(match: re.Match[str]) -> str:
            return match[1] + mark + REDACTED if unquote(match[1]).lower() in self._keys else match[0]

        return replace

    def _json(self, text: str, names: re.Pattern[str], searched: str) -> str:
        """One pass over the keys that `names` finds in `searched`, which is `text` or as long, letter by letter."""
        parts: list[str] = []
        done = at = 0
        while key := names.search(searched, at):
            at, escape = key.end(), key["escape"]
            name = _unescaped(key["name"]).lower()
            if name in self._keys:
                end = _value_end(text, at, escape)
                value = text[at:end] if text[at:end] in _NO_SECRET else f'{escape}"{REDACTED}{escape}"'
            elif name in self._channels:
                end, value = self._channel_value(text, at, escape)
            else:
                continue
            parts += text[done:at], value
            done = at = end
        return "".join(parts) + text[done:] if parts else text

    def _channel_value(self, text: str, at: int, escape: str) -> tuple[int, str]:
        """Where the channel name, or the list of names, at `at` ends, and what stands there afterwards."""
        if escape:  # inside a string, where a list goes as a whole
            several = _ESCAPED_LIST.match(text, at)
            if several is None and not text.startswith(f'{escape}"', at):
                return at, ""
            end = several.end() if several else _value_end(text, at, escape)
            public = all(map(self._public, _WORD.findall(text, at, end)))
            return end, text[at:end] if public else f'{escape}"{REDACTED}{escape}"'
        if (single := _STRING.match(text, at)) is not None:
            return single.end(), self._channel(single)
        if (several := _STRINGS.match(text, at)) is not None:
            return several.end(), _STRING.sub(self._channel, several[0])
        return at, ""

    def _channel(self, string: re.Match[str]) -> str:
        return string[0] if self._public(_unescaped(string[0].strip('"'))) else f'"{REDACTED}"'


def _unescaped(text: str) -> str:
    """The characters that a JSON string stands for; the string itself where its escapes are broken."""
    if "\\" not in text:
        return text
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError:
        return text


def _value_end(text: str, at: int, escape: str) -> int:
    """Where the JSON value at `at` ends: the end of the text if it is cut.

    `escape` is what stands before each quote where the JSON is itself inside a string.
    """
    if escape and text.startswith(f'{escape}"', at):
        end = text.find(f'{escape}"', at + len(escape) + 1)
        return end + len(escape) + 1 if end >= 0 else len(text)
    if (string := _STRING.match(text, at)) is not None:
        return string.end()
    if text[at : at + 1] not in ("[", "{"):
        bare = _BARE.match(text, at)
        return bare.end() if bare else at
    depth = 0
    for piece in _PIECE.finditer(text, at):
        if piece[0] in ("[", "{"):
            depth += 1
        elif piece[0] in ("]", "}"):
            depth -= 1
            if depth == 0:
                return piece.end()
    return len(text)


def _not_a_key(name: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9_\-.~+/=]{32,}", name) is None


UNKNOWN_VENUE: Final = Secrets(
    (
        "key", "apikey", "api_key", "api-key", "accesskey", "accesskeyid", "x-mbx-apikey", "client_id",
        "secret", "apisecret", "client_secret", "sign", "sig", "signature", "signatures", "api-signature",
        "authsig", "authpayload", "authnonce", "original_challenge", "signed_challenge",
        "passphrase", "password", "otp", "tfa", "authorization", "cookie",
        "token", "access_token", "refresh_token", "authtoken", "jwt", "listenkey", "listentoken",
    ),
    channels=("stream", "streams", "args", "params"),
    channel_path="/",
    public=_not_a_key,
)  # fmt: skip
"""For connections of no known venue: whatever is usually called a secret, and path segments as long as a key.

A long word in a payload is not taken for one: nothing says that it is, and what no venue claims is kept as it was sent."""

_LOGIN: Final = re.compile(
    r'"(?:op|action|event|method|type|ch|channel)"\s*:\s*"(?:auth|access|login|session\.logon|public/auth|authKey\w*|\w+\.login)"'
)


def is_login(text: str) -> bool:
    """Whether a message of an unknown venue exists to carry a secret: it is what venues call a login."""
    return _LOGIN.search(text) is not None

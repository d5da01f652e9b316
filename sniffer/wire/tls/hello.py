"""The handshake messages that matter to a reader: both hellos, EncryptedExtensions; of the others only that they were there.

A hello whose lengths do not add up is None: its receiver fails the connection, and so does the reader.
"""

from __future__ import annotations

from typing import Final, NamedTuple

HELLO_REQUEST: Final = 0
CLIENT_HELLO: Final = 1
SERVER_HELLO: Final = 2
END_OF_EARLY_DATA: Final = 5
ENCRYPTED_EXTENSIONS: Final = 8
FINISHED: Final = 20
KEY_UPDATE: Final = 24

_MAX_MESSAGE: Final = 1 << 17
"""Longer ones are lies, or not handshake messages: OpenSSL takes chains of certificates up to 100 kB."""
_PARSED: Final = frozenset({CLIENT_HELLO, SERVER_HELLO, ENCRYPTED_EXTENSIONS})
_RETRY_RANDOM: Final = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
"""SHA-256 of "HelloRetryRequest" (RFC 8446 section 4.1.3)."""

_SERVER_NAME: Final = 0
_ALPN: Final = 16
_ENCRYPT_THEN_MAC: Final = 22
_EARLY_DATA: Final = 42
_SUPPORTED_VERSIONS: Final = 43


class ClientHello(NamedTuple):
    """RFC 8446 section 4.1.2, RFC 5246 section 7.4.1.2."""

    random: bytes
    sni: str | None
    early_data: bool


class ServerHello(NamedTuple):
    """RFC 8446 section 4.1.3, RFC 5246 section 7.4.1.3. `version`: the negotiated one, 0x0304 for TLS 1.3."""

    version: int
    random: bytes
    suite: int
    is_retry: bool
    alpn: str | None
    encrypt_then_mac: bool


class EncryptedExtensions(NamedTuple):
    """RFC 8446 section 4.3.1."""

    alpn: str | None
    early_data: bool


class _Lie(Exception):
    """A length reaches beyond what there is."""


class _Cursor:
    """Reads fields off a message."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> bool:
        return self._at < len(self._data)

    def take(self, size: int) -> bytes:
        taken = self._data[self._at : self._at + size]
        if len(taken) < size:
            raise _Lie
        self._at += size
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size))

    def vector(self, size: int) -> bytes:
        """Bytes behind a length of `size` bytes."""
        return self.take(self.number(size))

    def extensions(self) -> dict[int, bytes]:
        """The extensions that end a message; RFC 5246 lets a hello end without."""
        found: dict[int, bytes] = {}
        if self.left:
            block = _Cursor(self.vector(2))
            while block.left:
                kind = block.number(2)
                found[kind] = block.vector(2)
            if self.left:
                raise _Lie
        return found


def client_hello(body: bytes) -> ClientHello | None:
    """A ClientHello, less its message head."""
    try:
        cursor = _Cursor(body)
        cursor.number(2)
        random = cursor.take(32)
        cursor.vector(1)  # session id
        cursor.vector(2)  # suites
        cursor.vector(1)  # compression methods
        extensions = cursor.extensions()
        return ClientHello(random, _server_name(extensions), _EARLY_DATA in extensions)
    except _Lie:
        return None


def server_hello(body: bytes) -> ServerHello | None:
    """A ServerHello or HelloRetryRequest, less its message head."""
    try:
        cursor = _Cursor(body)
        version, random = cursor.number(2), cursor.take(32)
        cursor.vector(1)
        suite = cursor.number(2)
        cursor.number(1)
        extensions = cursor.extensions()
        if _SUPPORTED_VERSIONS in extensions:
            version = _Cursor(extensions[_SUPPORTED_VERSIONS]).number(2)
        return ServerHello(
            version, random, suite, random == _RETRY_RANDOM, _protocol(extensions), _ENCRYPT_THEN_MAC in extensions
        )
    except _Lie:
        return None


def encrypted_extensions(body: bytes) -> EncryptedExtensions | None:
    """EncryptedExtensions, less its message head."""
    try:
        extensions = _Cursor(body).extensions()
        return EncryptedExtensions(_protocol(extensions), _EARLY_DATA in extensions)
    except _Lie:
        return None


def _server_name(extensions: dict[int, bytes]) -> str | None:
    """The host name of RFC 6066 section 3."""
    if not extensions.get(_SERVER_NAME):
        return None
    names = _Cursor(_Cursor(extensions[_SERVER_NAME]).vector(2))
    while names.left:
        kind, name = names.number(1), names.vector(2)
        if kind == 0:
            return _text(name)
    return None


def _protocol(extensions: dict[int, bytes]) -> str | None:
    """The one protocol that a server picked (RFC 7301 section 3.1)."""
    if not extensions.get(_ALPN):
        return None
    return _text(_Cursor(_Cursor(extensions[_ALPN]).vector(2)).vector(1))


def _text(name: bytes) -> str | None:
    """A name that may be shown; a hostile one may not."""
    text = name.decode("ascii", "replace")
    return text if text.isprintable() and text.isascii() and len(text) <= 255 else None


def begins_hello(content: bytes) -> bool:
    """Whether it looks as if the content of a record began with a hello, that is at the start of a message."""
    return content[:1] in (b"\1", b"\2") and content[4:6] == b"\3\3"


class Handshake:
    """The handshake messages of one side, cut from the contents of its records. Holds one message of at most `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = bytearray()
        self._skip = 0  # bytes left of a message that is not looked into,
        self._skipped = 0  # and its type

        self.broken = False
        """What came cannot be handshake messages."""

    @property
    def held_bytes(self) -> int:
        """Bytes of a message that is not whole."""
        return len(self._held)

    @property
    def inside(self) -> bool:
        """Whether a message is under way."""
        return bool(self._held or self._skip)

    def reset(self) -> None:
        """Bytes were lost: what comes next begins a message, as far as one can tell."""
        self._held.clear()
        self._skip = 0
        self.broken = False

    def feed(self, content: bytes) -> list[tuple[int, bytes]]:
        """(type, body) of the messages that `content` completes; the body is empty where it is not one that is parsed."""
        out: list[tuple[int, bytes]] = []
        held = self._held
        held += content
        while True:
            if self._skip:
                taken = min(self._skip, len(held))
                del held[:taken]
                self._skip -= taken
                if self._skip:
                    return out
                out.append((self._skipped, b""))
            if len(held) < 4:
                return out
            kind, length = held[0], int.from_bytes(held[1:4])
            if length > _MAX_MESSAGE:
                self.broken = True
                return out
            if kind not in _PARSED or length > self._limit:
                self._skip, self._skipped = 4 + length, kind
            elif len(held) < 4 + length:
                return out
            else:
                out.append((kind, bytes(held[4 : 4 + length])))
                del held[: 4 + length]

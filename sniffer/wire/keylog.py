"""The key log: secrets by client random, in the format of NSS (draft-ietf-tls-keylogfile; `SSLKEYLOGFILE`).

A line is `<label> <client random> <secret>`, the last two in hex. Nothing here shows a secret: not in a text, not in an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from sniffer.config import Limits

MASTER_SECRET: Final = "CLIENT_RANDOM"
"""The label of TLS 1.2: the secret is the master secret, extended or not (RFC 7627)."""
CLIENT_EARLY: Final = "CLIENT_EARLY_TRAFFIC_SECRET"
CLIENT_HANDSHAKE: Final = "CLIENT_HANDSHAKE_TRAFFIC_SECRET"
SERVER_HANDSHAKE: Final = "SERVER_HANDSHAKE_TRAFFIC_SECRET"
CLIENT_TRAFFIC: Final = "CLIENT_TRAFFIC_SECRET_0"
SERVER_TRAFFIC: Final = "SERVER_TRAFFIC_SECRET_0"

_TRAFFIC_SIZES: Final = (32, 48)
"""The hashes of TLS 1.3: SHA-256, SHA-384."""
_SIZES: Final[dict[str, tuple[int, ...]]] = {
    MASTER_SECRET: (48,),
    CLIENT_EARLY: _TRAFFIC_SIZES,
    CLIENT_HANDSHAKE: _TRAFFIC_SIZES,
    SERVER_HANDSHAKE: _TRAFFIC_SIZES,
    CLIENT_TRAFFIC: _TRAFFIC_SIZES,
    SERVER_TRAFFIC: _TRAFFIC_SIZES,
    "EXPORTER_SECRET": _TRAFFIC_SIZES,
    "EARLY_EXPORTER_SECRET": _TRAFFIC_SIZES,
}
_NOT_KEPT: Final = frozenset({"EXPORTER_SECRET", "EARLY_EXPORTER_SECRET"})
"""They protect no record: checked as lines, and forgotten."""
_RANDOM: Final = 32
_MAX_LINE: Final = 512
"""The longest line in use takes 32 + 1 + 64 + 1 + 96 characters."""
_MAX_CANDIDATES: Final = 8
"""Secrets kept for one label of one client random: one is right, and a log that was written twice has a few."""

_NOTHING: Final[Mapping[str, tuple[bytes, ...]]] = MappingProxyType({})


class KeyLog:
    """Secrets from any number of sources (files, or blocks of a capture), each fed as it grows."""

    def __init__(self, limits: Limits) -> None:
        self.generation = 0
        """Grows whenever a secret was learnt."""
        self.lines = 0
        """Whole lines read, comments and empty ones too."""
        self.bad_lines = 0
        """Lines that are no key log lines."""
        self.trouble: str | None = None
        """Why nothing could be learnt at all, as its feeder knows: no file was there, or could be read."""
        self.guesses = limits.tls_guesses
        """What is left for connections that do not know which of the secrets are theirs, to try them: microseconds."""
        self.reserve = limits.tls_guesses // 2
        """The part of it that is kept for keys that cost little to try."""
        self.tried_at_once = limits.tls_secrets
        """Secrets that are tried at once where it is not known whose they must be, the newest ones."""
        self._limit = limits.key_log_randoms
        self._secrets: dict[bytes, dict[str, tuple[bytes, ...]]] = {}  # by client random, the oldest first
        self._tails: dict[str, bytes | None] = {}  # by source; None: inside a line that is too long

    def __len__(self) -> int:
        """How many client randoms are known."""
        return len(self._secrets)

    def feed(self, source: str, data: bytes) -> None:
        """More bytes of `source`. Whole lines count; a last line that is still being written waits for its end."""
        known = self.generation
        *lines, rest = data.split(b"\n")
        tail = self._tails.get(source, b"")
        learnt = False
        for line in lines:
            whole, tail = (None if tail is None else tail + line), b""
            self.lines += 1
            if whole is None:  # counted as bad when it became too long
                continue
            learnt |= self._read(whole)
        if tail is not None:
            tail += rest
            if len(tail) > _MAX_LINE:
                tail, self.bad_lines = None, self.bad_lines + 1
        self._tails[source] = tail
        if learnt:
            self.generation = known + 1

    def end(self, source: str) -> None:
        """Nothing more comes from `source`: its last line is whole without a line feed."""
        tail = self._tails.pop(source, b"")
        if tail:
            self.lines += 1
            self.generation += self._read(tail)

    def restart(self, source: str) -> None:
        """`source` was truncated or replaced: what comes next is not the rest of its last line."""
        self._tails.pop(source, None)

    def find(self, client_random: bytes) -> Mapping[str, tuple[bytes, ...]]:
        """The secrets of a connection by label, newest first.

        More than one a label may be there, and none of them need be right: what a record's tag proves decides.
        """
        return self._secrets.get(client_random, _NOTHING)

    def secrets(self, label: str) -> Iterator[tuple[bytes, bytes]]:
        """(client random, secret) of every connection that has this label, the newest first."""
        for client_random in reversed(self._secrets):
            for secret in self._secrets[client_random].get(label, ()):
                yield client_random, secret

    def _read(self, line: bytes) -> bool:
        """One line; True if it taught a secret."""
        if len(line) > _MAX_LINE:  # as of one that comes in pieces, which is not kept to be looked at
            self.bad_lines += 1
            return False
        line = line.strip()
        if not line or line.startswith(b"#"):
            return False
        try:
            label, first, second = line.decode("ascii").split()
            client_random, secret = bytes.fromhex(first), bytes.fromhex(second)
        except ValueError:
            self.bad_lines += 1
            return False
        if label not in _SIZES:  # of other protocols, and of versions to come
            return False
        if len(client_random) != _RANDOM or len(secret) not in _SIZES[label]:
            self.bad_lines += 1
            return False
        return label not in _NOT_KEPT and self._learn(client_random, label, secret)

    def _learn(self, client_random: bytes, label: str, secret: bytes) -> bool:
        labels = self._secrets.get(client_random)
        if labels is None:
            if len(self._secrets) >= self._limit:
                del self._secrets[next(iter(self._secrets))]
            labels = self._secrets[client_random] = {}
        known = labels.get(label, ())
        if secret in known:
            return False
        labels[label] = (secret, *known[: _MAX_CANDIDATES - 1])
        return True

"""What both sides' hellos agreed on, and the key log's secrets for it. Both readers of a connection share one."""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple, TypeVar

from sniffer.model import Sender
from sniffer.wire.keylog import (
    CLIENT_EARLY,
    CLIENT_HANDSHAKE,
    CLIENT_TRAFFIC,
    MASTER_SECRET,
    SERVER_HANDSHAKE,
    SERVER_TRAFFIC,
    KeyLog,
)
from sniffer.wire.tls.hello import ClientHello, EncryptedExtensions, ServerHello
from sniffer.wire.tls.protection import Aead13, Opener, openers12
from sniffer.wire.tls.schedule import HASH_SIZES
from sniffer.wire.tls.suites import SUITES, TLS13_SUITES, Suite

TLS12: Final = 0x0303
TLS13: Final = 0x0304
_VERSIONS: Final = {0x0002: "SSL 2.0", 0x0300: "SSL 3.0", 0x0301: "TLS 1.0", 0x0302: "TLS 1.1"}
_MAX_HANDSHAKES: Final = 64
"""Renegotiations of TLS 1.2 that are followed; a connection in use has one, if any."""
_ROUNDS: Final = 4
"""How many times `KeyLog.tried_at_once` secrets one search tries, however long it goes on while others connect."""
_AHEAD: Final = 4
"""Renegotiations that a hole may have swallowed."""


class Stage(Enum):
    """How far a side has come; each has keys of its own. TLS 1.2 has `HELLO` and `TLS12`."""

    HELLO = 0
    EARLY = 1
    HANDSHAKE = 2
    APPLICATION = 3
    TLS12 = 4


_OTHER: Final[dict[Sender, Sender]] = {"client": "server", "server": "client"}
_LABELS: Final[dict[tuple[Sender, Stage], str]] = {
    ("client", Stage.EARLY): CLIENT_EARLY,
    ("client", Stage.HANDSHAKE): CLIENT_HANDSHAKE,
    ("client", Stage.APPLICATION): CLIENT_TRAFFIC,
    ("server", Stage.HANDSHAKE): SERVER_HANDSHAKE,
    ("server", Stage.APPLICATION): SERVER_TRAFFIC,
}


_Hello = TypeVar("_Hello", ClientHello, ServerHello)


class Hellos(NamedTuple):
    """Which hello of each side, of all that were seen, a handshake of TLS 1.2 is made of; -1: one that was not seen."""

    client: int = -1
    server: int = -1


class Candidate(NamedTuple):
    """Keys that a side's next record may have been protected with, and the least sequence number that it may have."""

    opener: Opener
    base: int
    stage: Stage
    client_random: bytes | None
    first: bool = True
    """No other keys protected records of this stage before."""
    crossed: bool = False
    """They are those of the other side, if client and server are who they are taken for."""
    hellos: Hellos = Hellos()


class Negotiation:
    """Of one connection. `progress` grows whenever a side may go on that waited for the other."""

    def __init__(self, keylog: KeyLog, *, joined_midway: bool) -> None:
        self.keylog = keylog
        self.joined_midway = joined_midway
        self.progress = 0
        self.clients: list[ClientHello] = []
        self.servers: list[ServerHello] = []
        self.retried = False
        """The server asked for another ClientHello."""
        self.absent: set[Sender] = set()
        """Whose hello will not be seen."""
        self.torn: set[Sender] = set()
        """Whose hello of a renegotiation may have been lost."""
        self.extensions_done = False
        """What the server says under protection was read, or will not be."""
        self.early_data: bool | None = None
        """Whether the server accepts early data, where it has said so."""
        self.sni: str | None = None
        self.alpn: str | None = None
        self.suite: Suite | None = None
        self.client_random: bytes | None = None
        self.version: str | None = None
        self.cipher: str | None = None
        self.unreadable: str | None = None
        """Why what follows cannot be read. Each side heeds it at a place of its own: behind what it said itself, or where it
        waits for the other's word."""
        self.roles_guessed = False
        """Who is the client is a guess, which the key log's labels may prove wrong."""
        self.crossed = False
        """It was wrong."""
        self.withheld: tuple[Sender, ...] = ()
        """Whose application data is not to be read yet, even where the key log has its keys."""

    @property
    def tls13(self) -> bool | None:
        """Whether it is TLS 1.3; None: not known."""
        return self.suite.tls13 if self.suite is not None else None

    @property
    def settled(self) -> bool:
        """Whether no more can be learnt of a side about the other's keys. TLS 1.2 may always renegotiate."""
        return self.suite is not None and self.suite.tls13 and self.client_random is not None and not self.roles_guessed

    # --- what the sides say ----------------------------------------------------------------------------------------------

    def client_hello(self, hello: ClientHello) -> bool:
        """A ClientHello. False: what follows it cannot be read."""
        self.progress += 1
        if len(self.clients) >= _MAX_HANDSHAKES:
            return self._refuse("too many renegotiations")
        if self.retried and len(self.clients) == 1:
            self.clients[0] = hello._replace(random=self.clients[0].random)  # the same (RFC 8446 section 4.1.2)
        else:
            self.clients.append(hello)
        if self.client_random is None:
            self.sni, self.client_random = hello.sni, hello.random
        return True

    def server_hello(self, hello: ServerHello) -> bool:
        """A ServerHello, or a request for another ClientHello. False: what follows it cannot be read."""
        self.progress += 1
        if hello.is_retry:
            self.retried = True
            return True
        if len(self.servers) >= _MAX_HANDSHAKES:
            return self._refuse("too many renegotiations")
        self.servers.append(hello)
        return len(self.servers) > 1 or self._judge(hello)

    def encrypted_extensions(self, extensions: EncryptedExtensions | None) -> bool:
        """What the server says under protection; None: it cannot be read. False: nor can what follows."""
        self.progress += 1
        self.extensions_done = True
        if extensions is None:
            return True
        self.early_data = extensions.early_data
        return self._agree(extensions.alpn)

    def hello_lost(self, sender: Sender) -> None:
        """This side's hello was not seen, and will not be."""
        hellos = self.clients if sender == "client" else self.servers
        if not hellos and sender not in self.absent:
            self.progress += 1
            self.absent.add(sender)
        self.extensions_lost(sender)

    def extensions_lost(self, sender: Sender) -> None:
        """What the server says under protection will not be read."""
        if sender == "server" and not self.extensions_done:
            self.encrypted_extensions(None)

    def messages_lost(self, sender: Sender) -> None:
        """Handshake messages of this side may be lost: a hello of a renegotiation, too."""
        if sender not in self.torn:
            self.progress += 1
            self.torn.add(sender)

    def proved(self, candidate: Candidate) -> None:
        """A record opened: this is the suite, and whose keys they are."""
        suite = candidate.opener.suite
        if self.roles_guessed:
            self.roles_guessed, self.crossed = False, candidate.crossed
        if self.suite is None or self.client_random is None:
            self.progress += 1
            self.suite = suite
            self.client_random = self.client_random or candidate.client_random
        if self.version is None:
            self.version, self.cipher = "TLSv1.3" if suite.tls13 else "TLSv1.2", suite.name

    def _judge(self, hello: ServerHello) -> bool:
        if hello.version not in (TLS12, TLS13):
            name = _VERSIONS.get(hello.version, f"TLS version 0x{hello.version:04x}")
            self.version = name.replace("TLS ", "TLSv").replace("SSL ", "SSLv") if hello.version in _VERSIONS else None
            return self._refuse(f"{name} is not read")
        self.version = "TLSv1.3" if hello.version == TLS13 else "TLSv1.2"
        suite = SUITES.get(hello.suite)
        if suite is None or suite.tls13 != (hello.version == TLS13):
            return self._refuse(f"cipher suite 0x{hello.suite:04x} is not read")
        self.suite, self.cipher = suite, suite.name
        if suite.tls13:
            return True
        self.extensions_done = True
        return self._agree(hello.alpn)

    def _agree(self, protocol: str | None) -> bool:
        self.alpn = protocol or self.alpn
        return protocol != "h2" or self._refuse("HTTP/2 (ALPN h2) is not read")

    def _refuse(self, reason: str) -> bool:
        self.unreadable = self.unreadable or reason
        return False

    # --- keys ------------------------------------------------------------------------------------------------------------

    def candidates(self, sender: Sender, stage: Stage, after: Hellos, tried: set[bytes]) -> list[Candidate]:
        """The key log's keys for a stage of a side, from sequence number 0 on, less the secrets in `tried`, which grows.

        `after`: the handshake whose keys the side has, in TLS 1.2; one that follows is meant.
        """
        if sender in self.withheld and stage is not Stage.HANDSHAKE:
            return []
        if self.client_random is None and len(tried) >= _ROUNDS * self.keylog.tried_at_once:
            return []
        if stage is Stage.TLS12:
            return self._candidates12(sender, after, tried)
        out = []
        size = HASH_SIZES[self.suite.hash] if self.suite else None
        for crossed in (self.crossed, not self.crossed) if self.roles_guessed else (self.crossed,):
            label = _LABELS.get((_OTHER[sender] if crossed else sender, stage))
            for client_random, secret in self._secrets(label, self.client_random) if label else ():
                if secret in tried or (size is not None and len(secret) != size):
                    continue
                tried.add(secret)
                fitting = [self.suite] if self.suite else [one for one in TLS13_SUITES if HASH_SIZES[one.hash] == len(secret)]
                out += [Candidate(Aead13(suite, secret), 0, stage, client_random, crossed=crossed) for suite in fitting]
        return out

    def _candidates12(self, sender: Sender, after: Hellos, tried: set[bytes]) -> list[Candidate]:
        """Hellos may have been lost, and requests refused, so any later hello of one side may belong to any of the other."""
        out = []
        for number, server in _later(self.servers, after.server):
            suite = SUITES.get(server.suite)
            if suite is None or suite.tls13:
                continue
            for client_number, random in self._client_randoms(after.client):
                for client_random, master in self._secrets(MASTER_SECRET, random):
                    keys = master + client_random + server.random
                    if keys in tried:
                        continue
                    tried.add(keys)
                    pair = openers12(suite, master, client_random, server.random, server.encrypt_then_mac)
                    hellos = Hellos(client_number, number)
                    out.append(Candidate(pair[sender == "server"], 0, Stage.TLS12, client_random, hellos=hellos))
        return out

    def _client_randoms(self, after: int) -> list[tuple[int, bytes | None]]:
        """What the client called itself in the hellos after that one; None: it may be anybody, since a hello was not seen."""
        randoms: list[tuple[int, bytes | None]] = [(number, client.random) for number, client in _later(self.clients, after)]
        if "client" in self.absent | self.torn:
            randoms.append((after, None))
        return randoms

    def _secrets(self, label: str, client_random: bytes | None) -> list[tuple[bytes, bytes]]:
        if client_random is not None:
            return [(client_random, secret) for secret in self.keylog.find(client_random).get(label, ())]
        return [pair for pair, _ in zip(self.keylog.secrets(label), range(self.keylog.tried_at_once), strict=False)]


def _later(hellos: list[_Hello], after: int) -> list[tuple[int, _Hello]]:
    """The next ones, and their numbers."""
    return list(enumerate(hellos))[after + 1 : after + 1 + _AHEAD]

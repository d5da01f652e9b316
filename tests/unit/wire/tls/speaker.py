"""A TLS speaker for tests: what two endpoints would write, built apart from the code under test.

No keys are exchanged: a passive reader sees the hellos, the records and the key log, so random secrets do.
"""

from __future__ import annotations

import hashlib
import hmac
import random
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305

from sniffer.model import Sender

CCS, ALERT, HANDSHAKE, DATA = 20, 21, 22, 23
RETRY = hashlib.sha256(b"HelloRetryRequest").digest()

SUITES_13 = {
    0x1301: ("gcm", 16, "sha256"),
    0x1302: ("gcm", 32, "sha384"),
    0x1303: ("chacha", 32, "sha256"),
    0x1304: ("ccm", 16, "sha256"),
    0x1305: ("ccm8", 16, "sha256"),
}
SUITES_12 = {
    0xC02F: ("gcm", 16, "sha256", ""),
    0xC030: ("gcm", 32, "sha384", ""),
    0xCCA8: ("chacha", 32, "sha256", ""),
    0xC0AC: ("ccm", 16, "sha256", ""),
    0xC0AE: ("ccm8", 16, "sha256", ""),
    0xC013: ("cbc", 16, "sha256", "sha1"),
    0xC027: ("cbc", 16, "sha256", "sha256"),
    0xC028: ("cbc", 32, "sha384", "sha384"),
}


def vector(data: bytes, size: int) -> bytes:
    return len(data).to_bytes(size) + data


def message(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + vector(body, 3)


def record(kind: int, body: bytes, version: int = 0x0303) -> bytes:
    return bytes([kind]) + version.to_bytes(2) + vector(body, 2)


def extension(kind: int, body: bytes) -> bytes:
    return kind.to_bytes(2) + vector(body, 2)


def client_hello(
    rand: bytes, *, sni: str = "exchange.test", early: bool = False, filler: int = 0, session: bytes = b""
) -> bytes:
    extensions = extension(0, vector(b"\0" + vector(sni.encode(), 2), 2)) if sni else b""
    extensions += extension(43, vector(b"\x03\x04\x03\x03", 1)) + extension(16, vector(vector(b"http/1.1", 1), 2))
    extensions += extension(42, b"") if early else b""
    extensions += extension(21, bytes(filler)) if filler else b""
    return message(
        1, b"\x03\x03" + rand + vector(session, 1) + vector(b"\x13\x01\xc0\x2f", 2) + b"\1\0" + vector(extensions, 2)
    )


def server_hello(
    rand: bytes, suite: int, *, tls13: bool, alpn: str = "", etm: bool = False, version: int = 0x0303, session: bytes = b""
) -> bytes:
    extensions = extension(43, b"\x03\x04") if tls13 else b""
    extensions += extension(16, vector(vector(alpn.encode(), 1), 2)) if alpn else b""
    extensions += extension(22, b"") if etm else b""
    body = version.to_bytes(2) + rand + vector(session, 1) + suite.to_bytes(2) + b"\0"
    return message(2, body + (vector(extensions, 2) if extensions else b""))


def expand(name: str, secret: bytes, label: str, size: int) -> bytes:
    info = size.to_bytes(2) + vector(b"tls13 " + label.encode(), 1) + b"\0"
    return hmac.digest(secret, info + b"\1", name)[:size]


def prf(name: str, secret: bytes, seed: bytes, size: int) -> bytes:
    out, a = b"", seed
    while len(out) < size:
        a = hmac.digest(secret, a, name)
        out += hmac.digest(secret, a + seed, name)
    return out[:size]


def aead(mode: str, key: bytes) -> AESGCM | AESCCM | ChaCha20Poly1305:
    if mode == "gcm":
        return AESGCM(key)
    if mode == "chacha":
        return ChaCha20Poly1305(key)
    return AESCCM(key, 8 if mode == "ccm8" else 16)


class Keys13:
    def __init__(self, suite: int, secret: bytes) -> None:
        self.suite, self.secret, self.sequence = suite, secret, 0
        self.mode, size, self.hash = SUITES_13[suite]
        self.aead = aead(self.mode, expand(self.hash, secret, "key", size))
        self.iv = expand(self.hash, secret, "iv", 12)

    def protect(self, kind: int, plain: bytes, padding: int = 0) -> bytes:
        inner = plain + bytes([kind]) + bytes(padding)
        tag = 8 if self.mode == "ccm8" else 16
        head = b"\x17\x03\x03" + (len(inner) + tag).to_bytes(2)
        nonce = bytes(a ^ b for a, b in zip(self.iv, self.sequence.to_bytes(12), strict=True))
        self.sequence += 1
        return head + self.aead.encrypt(nonce, inner, head)

    def updated(self) -> Keys13:
        return Keys13(self.suite, expand(self.hash, self.secret, "traffic upd", hashlib.new(self.hash).digest_size))


class Keys12:
    def __init__(
        self, suite: int, master: bytes, rands: tuple[bytes, bytes], sender: Sender, etm: bool, first_nonce: int
    ) -> None:
        self.mode, size, prf_hash, self.mac = SUITES_12[suite]
        self.sequence, self.etm, self.nonce = 0, etm, first_nonce
        mac_size = hashlib.new(self.mac).digest_size if self.mac else 0
        iv_size = {"cbc": 0, "chacha": 12}.get(self.mode, 4)
        block = prf(prf_hash, master, b"key expansion" + rands[1] + rands[0], 2 * (mac_size + size + iv_size))
        parts = []
        for part in (mac_size, mac_size, size, size, iv_size, iv_size):
            parts.append(block[:part])
            block = block[part:]
        self.mac_key, self.key, self.iv = parts[sender == "server" :: 2]

    def protect(self, kind: int, plain: bytes, padding: int = 0) -> bytes:
        numbered = self.sequence.to_bytes(8) + bytes([kind]) + b"\x03\x03"
        if self.mode == "cbc":
            body = self._cbc(numbered, plain, padding)
        elif self.mode == "chacha":
            nonce = bytes(a ^ b for a, b in zip(self.iv, self.sequence.to_bytes(12), strict=True))
            body = aead(self.mode, self.key).encrypt(nonce, plain, numbered + len(plain).to_bytes(2))
        else:
            written = (self.nonce + self.sequence & (1 << 64) - 1).to_bytes(8)
            body = written + aead(self.mode, self.key).encrypt(self.iv + written, plain, numbered + len(plain).to_bytes(2))
        self.sequence += 1
        return record(kind, body)

    def _cbc(self, numbered: bytes, plain: bytes, padding: int) -> bytes:
        iv = hashlib.sha256(numbered).digest()[:16]

        def mac(content: bytes) -> bytes:
            return hmac.digest(self.mac_key, numbered + vector(content, 2), self.mac)

        content = plain if self.etm else plain + mac(plain)
        length = 15 - len(content) % 16 + 16 * (padding % 8)
        encryptor = Cipher(algorithms.AES(self.key), modes.CBC(iv)).encryptor()
        body = iv + encryptor.update(content + bytes([length]) * (length + 1))
        return body + mac(body) if self.etm else body


@dataclass
class Written:
    """One record as it went onto the wire. `plain`: application data that the receiver is given."""

    sender: Sender
    wire: bytes
    plain: bytes | None = None


@dataclass
class Talk:
    """A conversation as it is written, record by record."""

    rng: random.Random
    suite: int
    etm: bool = False
    written: list[Written] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    keys: dict[Sender, Keys12 | Keys13] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.client_random, self.server_random = self.rng.randbytes(32), self.rng.randbytes(32)

    @property
    def tls13(self) -> bool:
        return self.suite in SUITES_13

    @property
    def key_log(self) -> bytes:
        return "".join(line + "\n" for line in self.log).encode()

    def secret(self, label: str, *, logged: bool = True) -> bytes:
        size = hashlib.new(SUITES_13[self.suite][2]).digest_size if self.tls13 else 48
        value = self.rng.randbytes(size)
        if logged:
            self.log.append(f"{label} {self.client_random.hex()} {value.hex()}")
        return value

    def write(self, sender: Sender, wire: bytes, plain: bytes | None = None) -> None:
        self.written.append(Written(sender, wire, plain))

    def clear(self, sender: Sender, kind: int, body: bytes, piece: int = 1 << 14) -> None:
        for at in range(0, len(body), piece):
            self.write(sender, record(kind, body[at : at + piece]))

    def protect(self, sender: Sender, kind: int, plain: bytes, padding: int = 0) -> None:
        self.write(sender, self.keys[sender].protect(kind, plain, padding), plain if kind == DATA else None)

    def data(self, sender: Sender, plain: bytes, padding: int = 0) -> None:
        self.protect(sender, DATA, plain, padding)

    def close(self, sender: Sender) -> None:
        self.protect(sender, ALERT, b"\1\0")

    def key_update(self, sender: Sender) -> None:
        self.protect(sender, HANDSHAKE, message(24, b"\0"))
        keys = self.keys[sender]
        assert isinstance(keys, Keys13)
        self.keys[sender] = keys.updated()

    def ticket(self) -> None:
        self.protect("server", HANDSHAKE, message(4, self.rng.randbytes(150)))

    # --- handshakes ------------------------------------------------------------------------------------------------------

    def handshake(self, **options: object) -> Talk:
        (self.handshake13 if self.tls13 else self.handshake12)(**options)  # type: ignore[arg-type]
        return self

    def handshake13(
        self,
        *,
        alpn: str = "http/1.1",
        retry: bool = False,
        early: tuple[bytes, ...] = (),
        accepted: bool = True,
        compat: bool = True,
        piece: int = 1 << 14,
        client_certificate: bool = False,
        filler: int = 0,
        early_logged: bool = True,
    ) -> None:
        accepted = accepted and not retry
        self.clear("client", HANDSHAKE, client_hello(self.client_random, early=bool(early), filler=filler), piece)
        if compat and early:
            self.clear("client", CCS, b"\1")
        if early:
            keys = Keys13(self.suite, self.secret("CLIENT_EARLY_TRAFFIC_SECRET", logged=early_logged))
            for part in early:
                self.write("client", keys.protect(DATA, part), part if accepted and early_logged else None)
        if retry:
            self.clear("server", HANDSHAKE, server_hello(RETRY, self.suite, tls13=True), piece)
            if compat:
                self.clear("server", CCS, b"\1")
            self.clear("client", HANDSHAKE, client_hello(self.client_random, filler=filler), piece)
        self.clear("server", HANDSHAKE, server_hello(self.server_random, self.suite, tls13=True), piece)
        if compat:
            self.clear("server", CCS, b"\1")
        server = Keys13(self.suite, self.secret("SERVER_HANDSHAKE_TRAFFIC_SECRET"))
        client = Keys13(self.suite, self.secret("CLIENT_HANDSHAKE_TRAFFIC_SECRET"))
        agreed = (extension(16, vector(vector(alpn.encode(), 1), 2)) if alpn else b"") + (
            extension(42, b"") if early and accepted else b""
        )
        flight = message(8, vector(agreed, 2)) + message(11, self.rng.randbytes(900)) + message(15, self.rng.randbytes(80))
        flight += message(20, self.rng.randbytes(32))
        cut = min(piece, self.rng.randrange(100, 700))
        for at in range(0, len(flight), cut):
            self.write("server", server.protect(HANDSHAKE, flight[at : at + cut]))
        if early and accepted:
            self.write("client", keys.protect(HANDSHAKE, message(5, b"")))
        if compat and not early:
            self.clear("client", CCS, b"\1")
        finished = message(20, self.rng.randbytes(32))
        if client_certificate:
            finished = message(11, self.rng.randbytes(700)) + message(15, self.rng.randbytes(70)) + finished
        self.write("client", client.protect(HANDSHAKE, finished))
        self.keys["server"] = Keys13(self.suite, self.secret("SERVER_TRAFFIC_SECRET_0"))
        self.keys["client"] = Keys13(self.suite, self.secret("CLIENT_TRAFFIC_SECRET_0"))
        self.secret("EXPORTER_SECRET")

    def handshake12(
        self, *, alpn: str = "http/1.1", resumed: bool = False, piece: int = 1 << 14, again: bool = False, filler: int = 0
    ) -> None:
        """`again`: a renegotiation, under the protection that there is."""
        if again:
            self.client_random, self.server_random = self.rng.randbytes(32), self.rng.randbytes(32)

        def say(sender: Sender, kind: int, body: bytes) -> None:
            for at in range(0, len(body), piece):
                if again:
                    self.protect(sender, kind, body[at : at + piece])
                else:
                    self.clear(sender, kind, body[at : at + piece])

        say("client", HANDSHAKE, client_hello(self.client_random, filler=filler))
        answer = server_hello(self.server_random, self.suite, tls13=False, alpn=alpn, etm=self.etm)
        if not resumed:
            answer += message(11, self.rng.randbytes(700)) + message(12, self.rng.randbytes(100)) + message(14, b"")
        say("server", HANDSHAKE, answer)
        master = self.secret("CLIENT_RANDOM")
        rands = (self.client_random, self.server_random)
        fresh = {
            sender: Keys12(
                self.suite, master, rands, sender, self.etm, self.rng.getrandbits(64) if self.rng.random() < 0.5 else 0
            )
            for sender in ("client", "server")
        }

        def finish(sender: Sender) -> None:
            if sender == "client" and not resumed:
                say("client", HANDSHAKE, message(16, self.rng.randbytes(66)))
            say(sender, CCS, b"\1")
            self.keys[sender] = fresh[sender]
            self.protect(sender, HANDSHAKE, message(20, self.rng.randbytes(12)))

        for sender in ("server", "client") if resumed else ("client", "server"):
            finish(sender)

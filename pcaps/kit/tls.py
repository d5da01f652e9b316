"""TLS as both ends speak it, without an end: records and handshakes with made-up secrets (RFC 8446, RFC 5246).

A recorder proves nothing but the records' tags, so keys that nobody has agreed on do as well, and are the same in every run.
Certificates, signatures and Finished messages are of the right form and hold noise.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from pcaps.kit.files import ETHERNET, block, described, enhanced, interface, option, section
from pcaps.kit.talk import Talk
from pcaps.kit.truth import Capture

CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, DATA = 20, 21, 22, 23
CLOSE_NOTIFY = b"\x01\x00"
LARGEST: Final = 1 << 14
"""Plaintext bytes of one record (RFC 8446 section 5.1)."""


@dataclass(frozen=True)
class Suite:
    """A cipher suite (IANA TLS parameters): number, hash, bytes of a key, whether it is ChaCha20."""

    number: int
    digest: str
    key: int
    chacha: bool = False


AES_128_GCM_13 = Suite(0x1301, "sha256", 16)
AES_256_GCM_13 = Suite(0x1302, "sha384", 32)
CHACHA20_13 = Suite(0x1303, "sha256", 32, chacha=True)
ECDHE_AES_128_GCM = Suite(0xC02F, "sha256", 16)
ECDHE_AES_256_GCM = Suite(0xC030, "sha384", 32)
ECDHE_CHACHA20 = Suite(0xCCA8, "sha256", 32, chacha=True)


def expand_label(secret: bytes, label: str, size: int, digest: str) -> bytes:
    """HKDF-Expand-Label with an empty context (RFC 8446 section 7.1, RFC 5869 section 2.3)."""
    full = b"tls13 " + label.encode()
    info = struct.pack(">HB", size, len(full)) + full + b"\x00"
    out, part, count = b"", b"", 1
    while len(out) < size:
        part = hmac.digest(secret, part + info + bytes([count]), digest)
        out, count = out + part, count + 1
    return out[:size]


def prf(secret: bytes, label: bytes, seed: bytes, size: int, digest: str) -> bytes:
    """The PRF of TLS 1.2 (RFC 5246 section 5)."""
    out, a = b"", label + seed
    while len(out) < size:
        a = hmac.digest(secret, a, digest)
        out += hmac.digest(secret, a + label + seed, digest)
    return out[:size]


def record(kind: int, body: bytes, version: int = 0x0303) -> bytes:
    return struct.pack(">BHH", kind, version, len(body)) + body


def message(kind: int, body: bytes) -> bytes:
    """A handshake message."""
    return bytes([kind]) + len(body).to_bytes(3) + body


def extension(kind: int, body: bytes) -> bytes:
    return struct.pack(">HH", kind, len(body)) + body


def vector(body: bytes, size: int) -> bytes:
    """A variable-length vector: its length in `size` bytes, then itself."""
    return len(body).to_bytes(size) + body


def der(tag: int, *parts: bytes) -> bytes:
    """A value in DER (X.690 section 8.1)."""
    body = b"".join(parts)
    size = bytes([len(body)]) if len(body) < 128 else b"\x82" + len(body).to_bytes(2)
    return bytes([tag]) + size + body


def certificate(key: bytes) -> bytes:
    """As little as a certificate needs (RFC 5280 section 4.1), its key and signature noise."""
    algorithm = der(0x30, der(0x06, b"\x2b\x65\x70"))  # Ed25519
    day = der(0x17, b"230101000000Z")
    signed = der(0x02, b"\x01"), algorithm, der(0x30), der(0x30, day, day), der(0x30)
    public = der(0x30, algorithm, der(0x03, b"\x00", key))
    return der(0x30, der(0x30, *signed, public), algorithm, der(0x03, b"\x00", key * 2))


def alpn(*names: str) -> bytes:
    return extension(16, vector(b"".join(vector(name.encode(), 1) for name in names), 2))


class Protection:
    """One direction's keys."""

    def __init__(self, suite: Suite, key: bytes, iv: bytes, secret: bytes | None = None) -> None:
        """`secret`: the traffic secret of TLS 1.3; None: TLS 1.2."""
        self.suite, self.iv, self.secret = suite, iv, secret
        self.aead = ChaCha20Poly1305(key) if suite.chacha else AESGCM(key)
        self.sequence = 0

    @classmethod
    def of_13(cls, suite: Suite, secret: bytes) -> Protection:
        """The keys of a traffic secret (RFC 8446 section 7.3)."""
        key = expand_label(secret, "key", suite.key, suite.digest)
        return cls(suite, key, expand_label(secret, "iv", 12, suite.digest), secret)

    def updated(self) -> Protection:
        """After a KeyUpdate (RFC 8446 section 7.2)."""
        assert self.secret is not None
        return Protection.of_13(self.suite, expand_label(self.secret, "traffic upd", len(self.secret), self.suite.digest))

    def seal(self, kind: int, data: bytes, padding: int = 0) -> bytes:
        """One record."""
        number = self.sequence
        self.sequence += 1
        if self.secret is not None:  # RFC 8446 section 5.2
            inner = data + bytes([kind]) + bytes(padding)
            head = struct.pack(">BHH", DATA, 0x0303, len(inner) + 16)
            return head + self.aead.encrypt(self._mixed(number), inner, head)
        known = struct.pack(">QBHH", number, kind, 0x0303, len(data))
        if self.suite.chacha:  # RFC 7905 section 2
            return record(kind, self.aead.encrypt(self._mixed(number), data, known))
        explicit = struct.pack(">Q", number)  # RFC 5288 section 3
        return record(kind, explicit + self.aead.encrypt(self.iv + explicit, data, known))

    def _mixed(self, number: int) -> bytes:
        return (int.from_bytes(self.iv) ^ number).to_bytes(12)


class TlsTalk(Talk):
    """A `Talk` whose `send` encrypts, once `shake_hands` was called."""

    def __init__(self, *, suite: Suite = AES_128_GCM_13, **how: Any) -> None:
        super().__init__(**how)
        self.suite = suite
        self.is_13 = suite.number >> 8 == 0x13
        self.client_random, self.server_random = self.random.randbytes(32), self.random.randbytes(32)
        self.keys: list[str] = []
        self.protection: dict[str, Protection] = {}
        self.largest = LARGEST

    # --- handshake ---

    def noise(self, size: int) -> bytes:
        """What nobody reads."""
        return self.random.randbytes(size)

    def secret(self, label: str) -> bytes:
        """Made up, and noted in the key log."""
        size = 48 if label == "CLIENT_RANDOM" else hashlib.new(self.suite.digest).digest_size
        secret = self.noise(size)
        self.keys.append(f"{label} {self.client_random.hex()} {secret.hex()}")
        return secret

    def client_hello(self, *, host: str | None = "exchange.example", protocols: tuple[str, ...] = ()) -> bytes:
        """The message (RFC 8446 section 4.1.2)."""
        extensions = extension(0, vector(b"\x00" + vector(host.encode(), 2), 2)) if host else b""
        extensions += extension(10, vector(b"\x00\x1d\x00\x17", 2)) + extension(13, vector(b"\x04\x03\x08\x04", 2))
        if self.is_13:
            extensions += extension(43, vector(b"\x03\x04\x03\x03", 1))
            extensions += extension(51, vector(b"\x00\x1d" + vector(self.noise(32), 2), 2))
        extensions += alpn(*protocols) if protocols else b""
        suites = struct.pack(">HH", self.suite.number, 0x00FF)
        body = b"\x03\x03" + self.client_random + vector(b"", 1) + vector(suites, 2) + b"\x01\x00" + vector(extensions, 2)
        return message(1, body)

    def server_hello(self, *, more: bytes = b"", random: bytes | None = None) -> bytes:
        """The message (RFC 8446 section 4.1.3, RFC 5246 section 7.4.1.3)."""
        extensions = more
        if self.is_13:
            extensions += extension(43, b"\x03\x04") + extension(51, b"\x00\x1d" + vector(self.noise(32), 2))
        else:
            extensions += extension(0xFF01, b"\x00") + extension(23, b"")
        body = b"\x03\x03" + (random or self.server_random) + vector(b"", 1)
        return message(2, body + struct.pack(">HB", self.suite.number, 0) + vector(extensions, 2))

    def shake_hands(self, *, protocol: str | None = None, hello: bytes | None = None) -> TlsTalk:
        """Both sides' handshake. `protocol`: what the server chooses (ALPN). `hello`: the client's; empty: it was sent."""
        offered = ("h2", "http/1.1") if protocol else ()
        if hello is None:
            hello = record(HANDSHAKE, self.client_hello(protocols=offered), 0x0301)
        self.plain("client", hello)
        chosen = alpn(protocol) if protocol else b""
        if self.is_13:
            self._rest_of_13(chosen)
        else:
            self._rest_of_12(chosen)
        return self

    def _rest_of_13(self, chosen: bytes) -> None:
        handshake = {
            side: Protection.of_13(self.suite, self.secret(f"{side.upper()}_HANDSHAKE_TRAFFIC_SECRET"))
            for side in ("client", "server")
        }
        size = hashlib.new(self.suite.digest).digest_size
        shown = vector(b"", 1) + vector(vector(certificate(self.noise(32)), 3) + vector(b"", 2), 3)
        flight = message(8, vector(chosen, 2)) + message(11, shown)
        flight += message(15, b"\x04\x03" + vector(self.noise(70), 2)) + message(20, self.noise(size))
        compatible = record(CHANGE_CIPHER_SPEC, b"\x01")  # RFC 8446 appendix D.4
        self.plain("server", record(HANDSHAKE, self.server_hello()) + compatible + handshake["server"].seal(HANDSHAKE, flight))
        for side in ("client", "server"):
            self.protection[side] = Protection.of_13(self.suite, self.secret(f"{side.upper()}_TRAFFIC_SECRET_0"))
        finished = message(20, self.noise(size))
        self.plain("client", compatible + handshake["client"].seal(HANDSHAKE, finished))
        ticket = struct.pack(">II", 7200, 1) + vector(b"\x00", 1) + vector(self.noise(48), 2) + vector(b"", 2)
        self.plain("server", self.protection["server"].seal(HANDSHAKE, message(4, ticket)))

    def _rest_of_12(self, chosen: bytes) -> None:
        suite = self.suite
        flight = self.server_hello(more=chosen) + message(11, vector(vector(certificate(self.noise(32)), 3), 3))
        key_exchange = b"\x03\x00\x1d" + vector(self.noise(32), 1) + b"\x04\x03" + vector(self.noise(70), 2)
        flight += message(12, key_exchange) + message(14, b"")
        self.plain("server", record(HANDSHAKE, flight))
        master, implicit = self.secret("CLIENT_RANDOM"), 12 if suite.chacha else 4
        keys = prf(master, b"key expansion", self.server_random + self.client_random, 2 * (suite.key + implicit), suite.digest)
        ivs = keys[2 * suite.key :]
        for at, side in enumerate(("client", "server")):
            key = keys[at * suite.key :][: suite.key]
            self.protection[side] = Protection(suite, key, ivs[at * implicit :][:implicit])
        change = record(CHANGE_CIPHER_SPEC, b"\x01")
        finished = {side: self.protection[side].seal(HANDSHAKE, message(20, self.noise(12))) for side in ("client", "server")}
        self.plain("client", record(HANDSHAKE, message(16, vector(self.noise(32), 1))) + change + finished["client"])
        self.plain("server", change + finished["server"])

    # --- records ---

    def plain(self, sender: str, data: bytes, **how: Any) -> None:
        """Bytes as they are."""
        super().send(sender, data, **how)

    def send(self, sender: str, data: bytes, *, seen: bool = True, size: int = 1460) -> None:
        """Application data in records of at most `largest` bytes; before the handshake, bytes as they are."""
        self.plain(sender, self.sealed(sender, data) if sender in self.protection else data, seen=seen, size=size)

    def sealed(self, sender: str, data: bytes, *, padding: int = 0) -> bytes:
        """The records of application data."""
        protection = self.protection[sender]
        pieces = [data[at : at + self.largest] for at in range(0, len(data), self.largest)]
        return b"".join(protection.seal(DATA, piece, padding) for piece in pieces)

    def update_keys(self, sender: str, *, answer: bool = False) -> bytes:
        """The record of a KeyUpdate (RFC 8446 section 4.6.3); what `sender` seals afterwards has the next keys."""
        update = self.protection[sender].seal(HANDSHAKE, message(24, bytes([answer])))
        self.protection[sender] = self.protection[sender].updated()
        return update

    def bye(self) -> TlsTalk:
        """close_notify from both sides (RFC 8446 section 6.1), then the TCP connection ends."""
        for sender in ("client", "server"):
            self.plain(sender, self.protection[sender].seal(ALERT, CLOSE_NOTIFY))
        self.close()
        return self

    @property
    def key_log(self) -> str:
        """What the client's library would have written."""
        return "".join(f"{line}\n" for line in self.keys)


def secrets(key_log: str) -> bytes:
    """A decryption secrets block with TLS secrets (draft-ietf-opsawg-pcapng section 4.7)."""
    data = key_log.encode()
    return block(10, struct.pack("<II", 0x544C534B, len(data)) + data)


def sealed_record(*talks: TlsTalk, key_log: str | None = None, late: bool = False) -> Capture:
    """One pcapng with the packets of `talks` by time, behind their secrets, or `late`: before them.

    `key_log`: instead of what the talks have noted; empty: no block.
    """
    lines = "".join(talk.key_log for talk in talks) if key_log is None else key_log
    packets = sorted((timed for talk in talks for timed in talk.packets), key=lambda timed: timed[0])
    frames = ETHERNET.frames(packets)
    keys = secrets(lines) if lines else b""
    head = section(options=option(4, b"pcaps.make") + option(0, b"")) + interface(tsresol=9)
    body = b"".join(enhanced(time, data) for time, data in frames)
    return described({"pcapng": head + body + keys if late else head + keys + body}, frames, *talks)

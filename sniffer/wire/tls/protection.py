"""Opening protected records: AEAD of TLS 1.3 and 1.2, and CBC with a MAC of TLS 1.2.

An opener holds one side's keys from one change of keys to the next. What does not prove itself by tag or MAC is None.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.decrepit.ciphers.algorithms import Camellia, TripleDES
from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm, Cipher, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.constant_time import bytes_eq
from cryptography.hazmat.primitives.hmac import HMAC

from sniffer.wire.stream import Item
from sniffer.wire.tls.schedule import HASH_SIZES, HASHES, key_block, next_traffic_secret, traffic_keys
from sniffer.wire.tls.suites import Mode, Suite

APPLICATION_DATA: Final = 23
HEAD: Final = 5
"""Bytes of a record's head (RFC 8446 section 5.1)."""
MAX_BODY_13: Final = (1 << 14) + 256
"""RFC 8446 section 5.2."""
MAX_BODY_12: Final = (1 << 14) + 2048
"""RFC 5246 section 6.2.3."""

Opened: TypeAlias = tuple[int, bytes]
"""(content type, plaintext) of a record."""
_Aead: TypeAlias = AESGCM | AESCCM | ChaCha20Poly1305
_BLOCK_CIPHERS: Final[dict[str, Callable[[bytes], BlockCipherAlgorithm]]] = {
    "AES": AES,
    "CAMELLIA": Camellia,
    "3DES": TripleDES,
}
_SEQUENCES: Final = 1 << 64
_HEAD_12: Final = b"\x17\3\3"
"""How a record's head begins, application data of TLS 1.2: authenticated with sequence number and length
(RFC 5246 section 6.2.3.3), here as a number."""
_NUMBERED: Final = int.from_bytes(_HEAD_12) << 16
_PRICES: Final[dict[Mode, tuple[int, int]]] = {"gcm": (1, 16_384), "chacha20": (2, 4096), "ccm": (2, 1024), "cbc": (1, 1024)}
"""Microseconds that one more sequence number costs in a search, and bytes that cost another one (`python -m bench search`)."""
_BYTES_FIRST: Final = {"AES": 4096, "CAMELLIA": 256, "3DES": 32}
"""Bytes that a block cipher, CBC, decrypts in a microsecond."""


def _aead(suite: Suite, key: bytes) -> _Aead:
    if suite.mode == "gcm":
        return AESGCM(key)
    if suite.mode == "ccm":
        return AESCCM(key, suite.tag)
    return ChaCha20Poly1305(key)


class Opener:
    """One side's keys, and the sequence number of its next record."""

    lead = 0
    """Bytes of a record's body before the ciphertext."""
    least = 0
    """Bytes of the shortest body."""
    most = MAX_BODY_12
    """Bytes of the longest."""
    tls13 = False
    exact = False
    """Whether `hints` are all there is: no other sequence number is worth a try."""
    first_try = 4
    """What `open` and `hints` cost for a record, in microseconds, about: see `price`."""
    bytes_first = 4096
    """Bytes of a body that make that a microsecond more."""

    def __init__(self, suite: Suite, *keys: object) -> None:
        self.suite = suite
        self._try, self._bytes_a_try = _PRICES[suite.mode]
        self.sequence = 0
        self._made_of = (suite, *keys)

    def __reduce__(self) -> tuple[object, ...]:
        """For a snapshot: ciphers that are set up stay behind."""
        return type(self), self._made_of, {"sequence": self.sequence}

    def open(self, head: bytes, body: bytes, sequence: int) -> Opened | None:
        """The record with this sequence number; None unless it proves itself. Changes nothing."""
        raise NotImplementedError

    def hints(self, head: bytes, body: bytes) -> list[int]:
        """Sequence numbers that the record itself suggests."""
        return []

    def price(self, size: int, tries: int) -> int:
        """Microseconds to open a record with a body of `size` bytes, and to search for it with so many numbers."""
        return self.first_try + size // self.bytes_first + tries * (self._try + size // self._bytes_a_try)

    def search(self, head: bytes, body: bytes, first: int, count: int) -> int | None:
        """Which of `count` sequence numbers from `first` on proves the record; None: none does."""
        for sequence in range(first, first + count):
            if self.open(head, body, sequence) is not None:
                return sequence
        return None

    def application_data(self, data: bytes, at: int, time: int, offset: int, out: list[Item]) -> tuple[int, int]:
        """Open the whole records of application data in `data` from `at` on, as items of plaintext from `offset` on.

        Stops before the first record that is anything else, incomplete, or does not prove itself. The new `at` and `offset`.
        """
        size = len(data)
        while at + HEAD <= size:
            start = at + HEAD
            stop = start + (data[at + 3] << 8 | data[at + 4])
            if stop > size or data[at] != APPLICATION_DATA:
                break
            opened = self.open(data[at:start], data[start:stop], self.sequence)
            if opened is None or opened[0] != APPLICATION_DATA:
                break
            self.sequence += 1
            out.append((offset, time, opened[1]))
            offset += len(opened[1])
            at = stop
        return at, offset


class Aead13(Opener):
    """TLS 1.3 (RFC 8446 section 5.2): the head is authenticated, the content type is inside, padding follows it."""

    most = MAX_BODY_13
    tls13 = True

    def __init__(self, suite: Suite, secret: bytes) -> None:
        super().__init__(suite, secret)
        self.secret = secret
        self._key, iv = traffic_keys(suite, secret)
        self._iv = int.from_bytes(iv)
        self._decrypt = _aead(suite, self._key).decrypt
        self.least = 1 + suite.tag
        self.exact = suite.mode == "gcm"
        self.first_try = 16 if self.exact else 4

    def successor(self) -> Aead13:
        """The keys after a KeyUpdate."""
        return Aead13(self.suite, next_traffic_secret(self.suite, self.secret))

    def open(self, head: bytes, body: bytes, sequence: int) -> Opened | None:
        """See `Opener.open`."""
        try:
            inner = self._decrypt((self._iv ^ sequence).to_bytes(12), body, head)
        except InvalidTag:
            return None
        inner = inner.rstrip(b"\0")
        return (inner[-1], inner[:-1]) if inner and len(body) <= MAX_BODY_13 else None

    def search(self, head: bytes, body: bytes, first: int, count: int) -> int | None:
        """See `Opener.search`."""
        decrypt, iv = self._decrypt, self._iv
        for sequence in range(first, first + count):
            try:
                decrypt((iv ^ sequence).to_bytes(12), body, head)
            except InvalidTag:
                continue
            return sequence
        return None

    def hints(self, head: bytes, body: bytes) -> list[int]:
        """With GCM the record gives its own number away, to who has the key: no search.

        The tag is GHASH(head, ciphertext) XOR E(nonce || 1) (NIST SP 800-38D section 7.1), and GHASH does not depend on the
        nonce. So the tag that the same ciphertext has under any other nonce gives E(nonce || 1), and the block cipher run
        backwards the nonce. 12 us, instead of one for each number.
        """
        if not self.exact:
            return []
        block = Cipher(AES(self._key), modes.ECB())
        ciphertext, tag = body[:-16], body[-16:]
        nonce = bytes(12)
        keystream = Cipher(AES(self._key), modes.CTR(nonce + b"\0\0\0\2")).encryptor()
        other_tag = AESGCM(self._key).encrypt(nonce, keystream.update(ciphertext), head)[-16:]
        masked = block.encryptor().update(nonce + b"\0\0\0\1")
        counter = block.decryptor().update(_xor(_xor(tag, other_tag), masked))
        sequence = int.from_bytes(counter[:12]) ^ self._iv
        return [sequence] if counter[12:] == b"\0\0\0\1" and sequence < _SEQUENCES else []

    def application_data(self, data: bytes, at: int, time: int, offset: int, out: list[Item]) -> tuple[int, int]:
        """See `Opener.application_data`. Flat: it runs for every record, and costs 0.8 us beside C."""
        decrypt, iv, sequence, size = self._decrypt, self._iv, self.sequence, len(data)
        while at + HEAD <= size:
            start = at + HEAD
            length = data[at + 3] << 8 | data[at + 4]
            stop = start + length
            if stop > size or data[at] != APPLICATION_DATA or length > MAX_BODY_13:
                break
            try:
                inner = decrypt((iv ^ sequence).to_bytes(12), data[start:stop], data[at:start])
            except InvalidTag:
                break
            if inner[-1:] != b"\x17":
                break
            sequence += 1
            out.append((offset, time, inner[:-1]))
            offset += len(inner) - 1
            at = stop
        self.sequence = sequence
        return at, offset


class Aead12(Opener):
    """GCM (RFC 5288), CCM (RFC 6655), ChaCha20 (RFC 7905) of TLS 1.2; the first two write part of the nonce into the record."""

    def __init__(self, suite: Suite, key: bytes, iv: bytes) -> None:
        super().__init__(suite, key, iv)
        self._iv = iv
        self._mask = int.from_bytes(iv)
        self._decrypt = _aead(suite, key).decrypt
        self.lead = 0 if suite.mode == "chacha20" else 8
        self._overhead = self.least = self.lead + suite.tag
        self._distance: int | None = None  # from the sequence number to the nonce that was written

    def __reduce__(self) -> tuple[object, ...]:
        """See `Opener.__reduce__`."""
        return type(self), self._made_of, {"sequence": self.sequence, "_distance": self._distance}

    def open(self, head: bytes, body: bytes, sequence: int) -> Opened | None:
        """See `Opener.open`."""
        length = len(body) - self._overhead
        if length < 0 or len(body) > MAX_BODY_12 or sequence >= _SEQUENCES:
            return None
        lead = self.lead
        nonce = self._iv + body[:8] if lead else (self._mask ^ sequence).to_bytes(12)
        try:
            plain = self._decrypt(nonce, body[lead:], sequence.to_bytes(8) + head[:3] + length.to_bytes(2))
        except InvalidTag:
            return None
        if lead:
            self._distance = (int.from_bytes(body[:8]) - sequence) % _SEQUENCES
        return head[0], plain

    def hints(self, head: bytes, body: bytes) -> list[int]:
        """The nonce of a record counts on in step with its sequence number, in every implementation in use."""
        if not self.lead:
            return []
        written = int.from_bytes(body[:8])
        return [written] if self._distance is None else [(written - self._distance) % _SEQUENCES, written]

    def search(self, head: bytes, body: bytes, first: int, count: int) -> int | None:
        """See `Opener.search`."""
        length, lead = len(body) - self._overhead, self.lead
        if length < 0 or len(body) > MAX_BODY_12:
            return None
        decrypt, mask, nonce, sealed = self._decrypt, self._mask, self._iv + body[:8], body[lead:]
        rest = int.from_bytes(head[:3]) << 16 | length
        for sequence in range(first, min(first + count, _SEQUENCES)):
            try:
                decrypt(nonce if lead else (mask ^ sequence).to_bytes(12), sealed, (sequence << 40 | rest).to_bytes(13))
            except InvalidTag:
                continue
            return sequence if self.open(head, body, sequence) is not None else None
        return None

    def application_data(self, data: bytes, at: int, time: int, offset: int, out: list[Item]) -> tuple[int, int]:
        """See `Opener.application_data`. Flat, as that of TLS 1.3."""
        decrypt, iv, mask, lead, overhead = self._decrypt, self._iv, self._mask, self.lead, self._overhead
        sequence, size, nonce = self.sequence, len(data), b""
        while at + HEAD <= size and sequence < _SEQUENCES:
            start = at + HEAD
            length = data[at + 3] << 8 | data[at + 4]
            stop = start + length
            if stop > size or data[at : at + 3] != _HEAD_12 or not overhead <= length <= MAX_BODY_12:
                break
            tried = iv + data[start : start + 8] if lead else (mask ^ sequence).to_bytes(12)
            try:
                plain = decrypt(tried, data[start + lead : stop], (sequence << 40 | _NUMBERED | length - overhead).to_bytes(13))
            except InvalidTag:
                break
            nonce = tried
            sequence += 1
            out.append((offset, time, plain))
            offset += len(plain)
            at = stop
        if nonce and lead:
            self._distance = (int.from_bytes(nonce[4:]) - sequence + 1) % _SEQUENCES
        self.sequence = sequence
        return at, offset


class Cbc12(Opener):
    """CBC of TLS 1.2: MAC, then encrypt (RFC 5246 section 6.2.3.2), or encrypt, then MAC (RFC 7366)."""

    def __init__(self, suite: Suite, key: bytes, mac_key: bytes, encrypt_then_mac: bool) -> None:
        super().__init__(suite, key, mac_key, encrypt_then_mac)
        assert suite.mac is not None
        self._algorithm = _BLOCK_CIPHERS[suite.cipher](key)
        self._block = self._algorithm.block_size // 8
        self.bytes_first = _BYTES_FIRST[suite.cipher]
        self._mac = HMAC(mac_key, HASHES[suite.mac])
        self._mac_size = HASH_SIZES[suite.mac]
        self._encrypt_then_mac = encrypt_then_mac
        self.lead = self._block
        content = self._block if encrypt_then_mac else -(-(self._mac_size + 1) // self._block) * self._block
        self.least = self._block + content + (self._mac_size if encrypt_then_mac else 0)

    def open(self, head: bytes, body: bytes, sequence: int) -> Opened | None:
        """See `Opener.open`."""
        if len(body) < self.least or len(body) > MAX_BODY_12 or sequence >= _SEQUENCES:
            return None
        size, numbered = self._mac_size, sequence.to_bytes(8) + head[:3]
        if self._encrypt_then_mac:
            body, mac = body[:-size], body[-size:]
            if not self._proves(numbered, body, mac):
                return None
        content = self._decipher(body)
        if content is None or self._encrypt_then_mac:
            return None if content is None else (head[0], content)
        if len(content) < size or not self._proves(numbered, content[:-size], content[-size:]):
            return None
        return head[0], content[:-size]

    def search(self, head: bytes, body: bytes, first: int, count: int) -> int | None:
        """See `Opener.search`. What is decrypted is the same whatever the number: only the MAC is tried anew."""
        size, mac_size = len(body), self._mac_size
        if size < self.least or size > MAX_BODY_12:
            return None
        content = body if self._encrypt_then_mac else self._decipher(body)
        if content is None or len(content) < mac_size:
            return None
        content, mac = content[:-mac_size], content[-mac_size:]
        keyed, rest = self._mac, head[:3] + len(content).to_bytes(2) + content
        for sequence in range(first, min(first + count, _SEQUENCES)):
            check = keyed.copy()
            check.update(sequence.to_bytes(8) + rest)
            if bytes_eq(check.finalize(), mac):
                return sequence if self.open(head, body, sequence) is not None else None
        return None

    def _proves(self, numbered: bytes, content: bytes, mac: bytes) -> bool:
        check = self._mac.copy()
        check.update(numbered + len(content).to_bytes(2) + content)
        return bytes_eq(check.finalize(), mac)

    def _decipher(self, body: bytes) -> bytes | None:
        """Decrypted, less the padding."""
        if len(body) % self._block:
            return None
        decryptor = Cipher(self._algorithm, modes.CBC(body[: self._block])).decryptor()
        padded = decryptor.update(body[self._block :])
        length = padded[-1] + 1
        if length > len(padded) or padded[-length:] != padded[-1:] * length:
            return None
        return padded[:-length]


def openers12(
    suite: Suite, master: bytes, client_random: bytes, server_random: bytes, encrypt_then_mac: bool
) -> tuple[Opener, Opener]:
    """The client's and the server's opener of TLS 1.2, from the master secret (RFC 5246 section 6.3)."""
    mac = HASH_SIZES[suite.mac] if suite.mac else 0
    iv = {"gcm": 4, "ccm": 4, "chacha20": 12, "cbc": 0}[suite.mode]
    sizes = (mac, mac, suite.key, suite.key, iv, iv)
    macs_keys_ivs = key_block(suite, master, client_random, server_random, sizes)

    def opener(at: int) -> Opener:
        mac_key, key, salt = macs_keys_ivs[at::2]
        if suite.mode == "cbc":
            return Cbc12(suite, key, mac_key, encrypt_then_mac)
        return Aead12(suite, key, salt)

    return opener(0), opener(1)


def _xor(a: bytes, b: bytes) -> bytes:
    return (int.from_bytes(a) ^ int.from_bytes(b)).to_bytes(len(a))

"""From secrets to keys: HKDF of TLS 1.3 (RFC 8446 section 7), PRF of TLS 1.2 (RFC 5246 sections 5 and 6.3)."""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from sniffer.wire.tls.suites import Suite

HASHES: Final[dict[str, hashes.HashAlgorithm]] = {
    "sha1": hashes.SHA1(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
}
HASH_SIZES: Final = {"sha1": 20, "sha256": 32, "sha384": 48}


def expand_label(name: str, secret: bytes, label: str, size: int) -> bytes:
    """HKDF-Expand-Label with an empty context (RFC 8446 section 7.1); `name` of the hash."""
    full = b"tls13 " + label.encode()
    info = size.to_bytes(2) + bytes([len(full)]) + full + b"\0"
    return HKDFExpand(HASHES[name], size, info).derive(secret)


def traffic_keys(suite: Suite, secret: bytes) -> tuple[bytes, bytes]:
    """(key, IV of 12 bytes) of a traffic secret of TLS 1.3 (section 7.3)."""
    return expand_label(suite.hash, secret, "key", suite.key), expand_label(suite.hash, secret, "iv", 12)


def next_traffic_secret(suite: Suite, secret: bytes) -> bytes:
    """The secret after a KeyUpdate (section 7.2)."""
    return expand_label(suite.hash, secret, "traffic upd", HASH_SIZES[suite.hash])


def prf(name: str, secret: bytes, label: bytes, seed: bytes, size: int) -> bytes:
    """The PRF of TLS 1.2, P_hash (RFC 5246 section 5); `name` of the hash."""
    keyed = HMAC(secret, HASHES[name])

    def mac(data: bytes) -> bytes:
        step = keyed.copy()
        step.update(data)
        return step.finalize()

    seed = label + seed
    out, chained = b"", seed
    while len(out) < size:
        chained = mac(chained)
        out += mac(chained + seed)
    return out[:size]


def key_block(suite: Suite, master: bytes, client_random: bytes, server_random: bytes, sizes: tuple[int, ...]) -> list[bytes]:
    """The key material of TLS 1.2 cut into `sizes` (RFC 5246 section 6.3)."""
    block = prf(suite.hash, master, b"key expansion", server_random + client_random, sum(sizes))
    parts, at = [], 0
    for size in sizes:
        parts.append(block[at : at + size])
        at += size
    return parts

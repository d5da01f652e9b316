"""The cipher suites that are read, by their codes in IANA's registry (TLS Cipher Suites).

A suite's name says all that reading needs: the cipher, the size of its key, and the hash. How the keys were exchanged does not
matter, since the key log holds what came of it. Not read: ARIA, which `cryptography` lacks, NULL, and what only TLS 1.1 knows.
"""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple, TypeAlias

Mode: TypeAlias = Literal["gcm", "ccm", "chacha20", "cbc"]


class Suite(NamedTuple):
    """What a suite means for reading. Sizes are bytes."""

    name: str
    tls13: bool
    cipher: str  # AES, CAMELLIA, 3DES, CHACHA20
    mode: Mode
    key: int
    tag: int  # of an AEAD; 0 for CBC
    hash: str  # of the key schedule (RFC 8446 section 7.1) or the PRF (RFC 5246 section 5)
    mac: str | None  # CBC only: the hash of the record's HMAC


_TLS13: Final = {
    0x1301: "AES_128_GCM_SHA256",
    0x1302: "AES_256_GCM_SHA384",
    0x1303: "CHACHA20_POLY1305_SHA256",
    0x1304: "AES_128_CCM_SHA256",
    0x1305: "AES_128_CCM_8_SHA256",
}

_TLS12: Final[dict[str, dict[int, str]]] = {
    "3DES_EDE_CBC_SHA": {
        0x000A: "RSA",
        0x0013: "DHE_DSS",
        0x0016: "DHE_RSA",
        0xC003: "ECDH_ECDSA",
        0xC008: "ECDHE_ECDSA",
        0xC00D: "ECDH_RSA",
        0xC012: "ECDHE_RSA",
    },
    "AES_128_CBC_SHA": {
        0x002F: "RSA",
        0x0032: "DHE_DSS",
        0x0033: "DHE_RSA",
        0x0034: "DH_anon",
        0x008C: "PSK",
        0x0090: "DHE_PSK",
        0x0094: "RSA_PSK",
        0xC004: "ECDH_ECDSA",
        0xC009: "ECDHE_ECDSA",
        0xC00E: "ECDH_RSA",
        0xC013: "ECDHE_RSA",
        0xC018: "ECDH_anon",
        0xC01D: "SRP_SHA",
        0xC01E: "SRP_SHA_RSA",
        0xC01F: "SRP_SHA_DSS",
        0xC035: "ECDHE_PSK",
    },
    "AES_128_CBC_SHA256": {
        0x003C: "RSA",
        0x0040: "DHE_DSS",
        0x0067: "DHE_RSA",
        0x006C: "DH_anon",
        0x00AE: "PSK",
        0x00B2: "DHE_PSK",
        0x00B6: "RSA_PSK",
        0xC023: "ECDHE_ECDSA",
        0xC025: "ECDH_ECDSA",
        0xC027: "ECDHE_RSA",
        0xC029: "ECDH_RSA",
        0xC037: "ECDHE_PSK",
    },
    "AES_128_CCM": {
        0xC09C: "RSA",
        0xC09E: "DHE_RSA",
        0xC0A4: "PSK",
        0xC0A6: "DHE_PSK",
        0xC0AC: "ECDHE_ECDSA",
    },
    "AES_128_CCM_8": {
        0xC0A0: "RSA",
        0xC0A2: "DHE_RSA",
        0xC0A8: "PSK",
        0xC0AA: "PSK_DHE",
        0xC0AE: "ECDHE_ECDSA",
    },
    "AES_128_GCM_SHA256": {
        0x009C: "RSA",
        0x009E: "DHE_RSA",
        0x00A2: "DHE_DSS",
        0x00A6: "DH_anon",
        0x00A8: "PSK",
        0x00AA: "DHE_PSK",
        0x00AC: "RSA_PSK",
        0xC02B: "ECDHE_ECDSA",
        0xC02D: "ECDH_ECDSA",
        0xC02F: "ECDHE_RSA",
        0xC031: "ECDH_RSA",
    },
    "AES_256_CBC_SHA": {
        0x0035: "RSA",
        0x0038: "DHE_DSS",
        0x0039: "DHE_RSA",
        0x003A: "DH_anon",
        0x008D: "PSK",
        0x0091: "DHE_PSK",
        0x0095: "RSA_PSK",
        0xC005: "ECDH_ECDSA",
        0xC00A: "ECDHE_ECDSA",
        0xC00F: "ECDH_RSA",
        0xC014: "ECDHE_RSA",
        0xC019: "ECDH_anon",
        0xC020: "SRP_SHA",
        0xC021: "SRP_SHA_RSA",
        0xC022: "SRP_SHA_DSS",
        0xC036: "ECDHE_PSK",
    },
    "AES_256_CBC_SHA256": {
        0x003D: "RSA",
        0x006A: "DHE_DSS",
        0x006B: "DHE_RSA",
        0x006D: "DH_anon",
    },
    "AES_256_CBC_SHA384": {
        0x00AF: "PSK",
        0x00B3: "DHE_PSK",
        0x00B7: "RSA_PSK",
        0xC024: "ECDHE_ECDSA",
        0xC026: "ECDH_ECDSA",
        0xC028: "ECDHE_RSA",
        0xC02A: "ECDH_RSA",
        0xC038: "ECDHE_PSK",
    },
    "AES_256_CCM": {
        0xC09D: "RSA",
        0xC09F: "DHE_RSA",
        0xC0A5: "PSK",
        0xC0A7: "DHE_PSK",
        0xC0AD: "ECDHE_ECDSA",
    },
    "AES_256_CCM_8": {
        0xC0A1: "RSA",
        0xC0A3: "DHE_RSA",
        0xC0A9: "PSK",
        0xC0AB: "PSK_DHE",
        0xC0AF: "ECDHE_ECDSA",
    },
    "AES_256_GCM_SHA384": {
        0x009D: "RSA",
        0x009F: "DHE_RSA",
        0x00A3: "DHE_DSS",
        0x00A7: "DH_anon",
        0x00A9: "PSK",
        0x00AB: "DHE_PSK",
        0x00AD: "RSA_PSK",
        0xC02C: "ECDHE_ECDSA",
        0xC02E: "ECDH_ECDSA",
        0xC030: "ECDHE_RSA",
        0xC032: "ECDH_RSA",
    },
    "CAMELLIA_128_CBC_SHA": {
        0x0041: "RSA",
        0x0044: "DHE_DSS",
        0x0045: "DHE_RSA",
        0x0046: "DH_anon",
    },
    "CAMELLIA_128_CBC_SHA256": {
        0x00BA: "RSA",
        0x00BD: "DHE_DSS",
        0x00BE: "DHE_RSA",
        0x00BF: "DH_anon",
        0xC072: "ECDHE_ECDSA",
        0xC076: "ECDHE_RSA",
        0xC094: "PSK",
        0xC096: "DHE_PSK",
        0xC098: "RSA_PSK",
        0xC09A: "ECDHE_PSK",
    },
    "CAMELLIA_256_CBC_SHA": {
        0x0084: "RSA",
        0x0087: "DHE_DSS",
        0x0088: "DHE_RSA",
        0x0089: "DH_anon",
    },
    "CAMELLIA_256_CBC_SHA256": {
        0x00C0: "RSA",
        0x00C3: "DHE_DSS",
        0x00C4: "DHE_RSA",
        0x00C5: "DH_anon",
    },
    "CAMELLIA_256_CBC_SHA384": {
        0xC073: "ECDHE_ECDSA",
        0xC077: "ECDHE_RSA",
        0xC095: "PSK",
        0xC097: "DHE_PSK",
        0xC099: "RSA_PSK",
        0xC09B: "ECDHE_PSK",
    },
    "CHACHA20_POLY1305_SHA256": {
        0xCCA8: "ECDHE_RSA",
        0xCCA9: "ECDHE_ECDSA",
        0xCCAA: "DHE_RSA",
        0xCCAB: "PSK",
        0xCCAC: "ECDHE_PSK",
        0xCCAD: "DHE_PSK",
        0xCCAE: "RSA_PSK",
    },
}
"""Cipher and hash: the codes of its suites, and how each exchanges keys."""

_NAME: Final = re.compile(
    r"(?P<cipher>AES|CAMELLIA|3DES|CHACHA20)_(?P<bits>128|256|EDE|POLY1305)"
    r"(?:_(?P<mode>GCM|CCM|CBC)(?P<short>_8)?)?(?:_(?P<hash>SHA(?:256|384)?))?"
)
_MODES: Final[dict[str, Mode]] = {"GCM": "gcm", "CCM": "ccm", "CBC": "cbc"}
_KEY_SIZES: Final = {"128": 16, "256": 32, "EDE": 24, "POLY1305": 32}


def _suite(name: str, tail: str, *, tls13: bool) -> Suite:
    match = _NAME.fullmatch(tail)
    assert match is not None, tail
    mode: Mode = _MODES[match["mode"]] if match["mode"] else "chacha20"
    named = (match["hash"] or "SHA256").lower()
    return Suite(
        name=name,
        tls13=tls13,
        cipher=match["cipher"],
        mode=mode,
        key=_KEY_SIZES[match["bits"]],
        tag=0 if mode == "cbc" else 8 if match["short"] else 16,
        hash="sha384" if named == "sha384" else "sha256",  # RFC 5246 section 5: SHA-256, unless a suite says more
        mac={"sha": "sha1"}.get(named, named) if mode == "cbc" else None,
    )


SUITES: Final[dict[int, Suite]] = {code: _suite(f"TLS_{tail}", tail, tls13=True) for code, tail in _TLS13.items()} | {
    code: _suite(f"TLS_{exchange}_WITH_{tail}", tail, tls13=False)
    for tail, codes in _TLS12.items()
    for code, exchange in codes.items()
}
"""Every suite that is read, by its code."""

TLS13_SUITES: Final = tuple(suite for suite in SUITES.values() if suite.tls13)

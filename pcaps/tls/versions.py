"""Versions, suites and handshakes."""

from __future__ import annotations

import struct

from pcaps.kit import tls
from pcaps.kit.talk import Talk
from pcaps.kit.tls import HANDSHAKE, TlsTalk, message, record, sealed_record
from pcaps.kit.truth import Capture, capture

COMPRESSED = "permessage-deflate"


def order(number: int, status: str = "NEW") -> str:
    price = f"7.2{number % 10}000000"
    return f'{{"e":"executionReport","s":"EXMUSDT","i":{7100 + number},"X":"{status}","q":"40.00000000","p":"{price}"}}'


def orders(talk: TlsTalk, count: int = 6, *, first: int = 0) -> TlsTalk:
    """Requests of the client and their answers."""
    for number in range(first, first + count):
        talk.say(
            "client", f'{{"id":{number},"method":"order.place","params":{{"symbol":"EXMUSDT","price":"7.2{number % 10}"}}}}'
        )
        talk.say("server", order(number))
    return talk


def conversation(suite: tls.Suite, chosen: str | None = None) -> TlsTalk:
    """From SYN to FIN, with nothing odd about it."""
    talk = TlsTalk(suite=suite, server="198.51.100.1:443")
    talk.open()
    talk.shake_hands().upgrade(chosen)
    orders(talk)
    talk.say("server", b"", "ping")
    talk.say("client", b"", "pong")
    talk.say("client", b"\x03\xe8", "close")
    talk.say("server", b"\x03\xe8", "close")
    return talk.bye()


@capture("TLS 1.3 with AES-128-GCM, a websocket without compression", "RFC 8446")
def tls13_plain() -> Capture:
    return sealed_record(conversation(tls.AES_128_GCM_13))


@capture("TLS 1.3 with AES-256-GCM, a websocket with permessage-deflate and context takeover", "RFC 8446")
def tls13_compressed() -> Capture:
    return sealed_record(conversation(tls.AES_256_GCM_13, COMPRESSED))


@capture("TLS 1.3 with ChaCha20-Poly1305", "RFC 8446")
def tls13_chacha() -> Capture:
    return sealed_record(conversation(tls.CHACHA20_13))


@capture("TLS 1.2 with ECDHE and AES-128-GCM, a websocket without compression", "RFC 5246, RFC 5288")
def tls12_plain() -> Capture:
    return sealed_record(conversation(tls.ECDHE_AES_128_GCM))


@capture("TLS 1.2 with ECDHE and AES-256-GCM, a websocket with permessage-deflate", "RFC 5246, RFC 5288")
def tls12_compressed() -> Capture:
    return sealed_record(conversation(tls.ECDHE_AES_256_GCM, COMPRESSED))


@capture("TLS 1.2 with ChaCha20-Poly1305, whose nonces are not in the record", "RFC 7905")
def tls12_chacha() -> Capture:
    return sealed_record(conversation(tls.ECDHE_CHACHA20))


@capture("the secrets stand behind the packets that they are for", "draft-ietf-opsawg-pcapng section 4.7")
def late_keys() -> Capture:
    return sealed_record(conversation(tls.AES_128_GCM_13), late=True)


@capture("records split at every byte boundary that hurts, several in a segment, messages over several records, padding")
def records_split_and_joined() -> Capture:
    talk = TlsTalk(server="198.51.100.1:443", seed=3)
    talk.open()
    talk.shake_hands().upgrade()
    text = order(1)
    frame = talk.frame("server", text)
    data = b"".join(talk.sealed("server", bytes([byte])) for byte in frame[:20]) + talk.sealed(
        "server", frame[20:], padding=900
    )
    talk.expect("server", text)
    for size in (23, 1, 4, 5, 6, 21, 22):  # in the head, behind it, in the tag
        text = order(size)
        talk.expect("server", text)
        data += talk.sealed("server", talk.frame("server", text))
        talk.plain("server", data, size=size)
        data = b""
    talk.largest = 7
    text = order(99, "FILLED")
    talk.expect("server", text)
    talk.plain("server", talk.sealed("server", talk.frame("server", text)), size=333)
    talk.plain("server", talk.protection["server"].seal(tls.DATA, b"", 30))  # nothing but padding
    talk.largest = tls.LARGEST
    for name in ("first", "second", "third"):
        talk.expect("client", name)
    talk.plain("client", b"".join(talk.sealed("client", talk.frame("client", name)) for name in ("first", "second", "third")))
    return sealed_record(talk.bye())


@capture("a KeyUpdate of the server, of the client, of both at once, and two in a row", "RFC 8446 4.6.3")
def key_updates() -> Capture:
    talk = TlsTalk(server="198.51.100.1:443", suite=tls.AES_256_GCM_13)
    talk.open()
    talk.shake_hands().upgrade()
    orders(talk, 2)
    talk.plain("server", talk.update_keys("server"))
    orders(talk, 2, first=2)
    talk.plain("client", talk.update_keys("client", answer=True))
    talk.plain("server", talk.update_keys("server"))
    orders(talk, 2, first=4)
    text = order(6)
    talk.expect("server", text)
    updates = talk.update_keys("server") + talk.update_keys("server")
    talk.plain("server", updates + talk.sealed("server", talk.frame("server", text)), size=30)
    return sealed_record(orders(talk, 2, first=7).bye())


@capture("a ClientHello in three records and seven segments", "RFC 8446 5.1")
def hello_in_pieces() -> Capture:
    talk = TlsTalk(server="198.51.100.1:443")
    talk.open()
    whole = talk.client_hello()
    pieces = [whole[:3], whole[3:60], whole[60:]]
    hello = b"".join(record(HANDSHAKE, piece, 0x0301) for piece in pieces)
    for at in range(0, len(hello), 24):
        talk.plain("client", hello[at : at + 24])
    return sealed_record(orders(talk.shake_hands(hello=b"").upgrade()).bye())


@capture("a HelloRetryRequest, and a second ClientHello with the same random", "RFC 8446 4.1.4")
def hello_retry_request() -> Capture:
    talk = TlsTalk(server="198.51.100.1:443")
    talk.open()
    retry = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
    chosen = tls.extension(43, b"\x03\x04") + tls.extension(51, b"\x00\x17")
    body = b"\x03\x03" + retry + b"\x00" + struct.pack(">HB", talk.suite.number, 0) + tls.vector(chosen, 2)
    talk.plain("client", record(HANDSHAKE, talk.client_hello(), 0x0301))
    talk.plain("server", record(HANDSHAKE, message(2, body)) + record(tls.CHANGE_CIPHER_SPEC, b"\x01"))
    return sealed_record(orders(talk.shake_hands().upgrade()).bye())


@capture("TLS inside a proxy's tunnel (CONNECT)", "RFC 9110 section 9.3.6")
def tunnel() -> Capture:
    talk = TlsTalk(server="198.51.100.1:3128")
    talk.open()
    talk.plain("client", b"CONNECT exchange.example:443 HTTP/1.1\r\nHost: exchange.example:443\r\n\r\n")
    talk.plain("server", b"HTTP/1.1 200 Connection established\r\n\r\n")
    return sealed_record(orders(talk.shake_hands().upgrade()).bye())


def unreadable(talk: Talk, reason: str) -> None:
    talk.truth.readable, talk.truth.unreadable_reason, talk.truth.lost = False, reason, True
    talk.truth.messages.clear()


@capture("HTTP/2, as ALPN says inside the handshake's encrypted part", "RFC 7301")
def http2() -> Capture:
    talk = TlsTalk(server="198.51.100.1:443")
    talk.open()
    talk.shake_hands(protocol="h2")
    talk.send("client", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9))
    unreadable(talk, "h2")
    return sealed_record(talk.bye())


@capture("no secrets at all", None)
def without_keys() -> Capture:
    talk = conversation(tls.AES_128_GCM_13)
    unreadable(talk, "key log")
    return sealed_record(talk, key_log="")


@capture("secrets of other connections only", None)
def keys_of_others() -> Capture:
    talk = conversation(tls.ECDHE_AES_128_GCM)
    unreadable(talk, "key log")
    return sealed_record(talk, key_log=TlsTalk(seed=99).shake_hands().key_log)


@capture("secrets that are wrong, for the right client random", None)
def wrong_keys() -> Capture:
    talk = conversation(tls.AES_128_GCM_13)
    unreadable(talk, "do not fit")
    key_log = "".join(f"{line[:-4]}{'0000' if line[-4:] != '0000' else '1111'}\n" for line in talk.keys)
    return sealed_record(talk, key_log=key_log)

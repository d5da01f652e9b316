"""Records that are lost, damaged, or were sent before the capture began."""

from __future__ import annotations

from pcaps.kit import tls
from pcaps.kit.tls import TlsTalk, sealed_record
from pcaps.kit.truth import Capture, capture
from pcaps.tls.versions import COMPRESSED, order, orders


def started(suite: tls.Suite = tls.AES_128_GCM_13, chosen: str | None = None) -> TlsTalk:
    """A websocket inside TLS, two messages of each side on."""
    talk = TlsTalk(suite=suite, server="198.51.100.1:443", seed=7)
    talk.open()
    talk.shake_hands().upgrade(chosen)
    return orders(talk, 2)


def lose_one(talk: TlsTalk) -> None:
    """A whole record of the server is not captured."""
    data = talk.sealed("server", talk.frame("server", order(50)))
    talk.lose("server", len(data))
    talk.plain("server", data, seen=False)


@capture("a record of the server that was not captured, without compression: everything else is read", "RFC 8446 5.3")
def lost_record() -> Capture:
    talk = started()
    lose_one(talk)
    return sealed_record(orders(talk, 6, first=2).bye())


@capture("the same with TLS 1.2", "RFC 5246 6.2.3.3")
def lost_record_12() -> Capture:
    talk = started(tls.ECDHE_AES_128_GCM)
    lose_one(talk)
    return sealed_record(orders(talk, 6, first=2).bye())


@capture("the same with ChaCha20-Poly1305, whose sequence numbers have to be searched for", "RFC 8446 5.3")
def lost_record_chacha() -> Capture:
    talk = started(tls.CHACHA20_13)
    lose_one(talk)
    return sealed_record(orders(talk, 6, first=2).bye())


@capture("a lost record in a compressed stream with context takeover: what follows on that side is lost", "RFC 7692 7.2.2")
def lost_record_compressed() -> Capture:
    talk = started(chosen=COMPRESSED)
    lose_one(talk)
    for number in range(4):
        talk.say("server", order(number), truth=False)
        talk.say("client", order(number))
    return sealed_record(talk.bye())


@capture("lost: a KeyUpdate, and the first record behind it", "RFC 8446 4.6.3")
def lost_key_update() -> Capture:
    talk = started()
    data = talk.update_keys("server") + talk.sealed("server", talk.frame("server", order(50)))
    talk.lose("server", len(data))
    talk.plain("server", data, seen=False)
    return sealed_record(orders(talk, 6, first=2).bye())


@capture("a record with a flipped bit and a right TCP checksum: it is lost, and the next one is read", "RFC 8446 5.2")
def flipped_bit() -> Capture:
    talk = started()
    data = bytearray(talk.sealed("server", talk.frame("server", order(50))))
    data[20] ^= 1
    talk.lose("server", None)
    talk.plain("server", bytes(data))
    return sealed_record(orders(talk, 6, first=2).bye())


@capture("a record that is longer than the RFC allows, in between", "RFC 8446 5.2")
def record_too_long() -> Capture:
    talk = started()
    talk.truth.lost = True
    talk.plain("server", b"\x17\x03\x03\xff\xff" + talk.noise(0xFFFF))
    for number in range(4):
        talk.say("client", order(number))
    return sealed_record(talk.close())


@capture("the capture begins after the handshake: every record's keys are found by trying", "RFC 8446 5.3")
def joined_midway() -> Capture:
    talk = started()
    talk.packets.clear()
    talk.truth.messages.clear()
    talk.truth.lost = None
    orders(talk, 6, first=2)
    return sealed_record(talk.bye())


@capture("a handshake message that says it is 16 MB long", "RFC 8446 section 4")
def endless_hello() -> Capture:
    talk = TlsTalk(server="198.51.100.1:443")
    talk.open()
    for _ in range(30):
        talk.plain("client", tls.record(tls.HANDSHAKE, b"\x01\xff\xff\xff" + talk.noise(1000), 0x0301))
    talk.truth.readable, talk.truth.lost, talk.truth.unreadable_reason = False, None, "handshake"
    return sealed_record(talk.close(), key_log="")

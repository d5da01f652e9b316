"""The traces of RFC 8448: simple 1-RTT, resumed 0-RTT, HelloRetryRequest, client authentication, compatibility mode.

Each is whole: what the reader hands on is the RFC's plaintext, nothing is lost, and both Finished messages, which cover every
byte of the handshake in the clear and decrypted, hold.
"""

from __future__ import annotations

import hashlib
import hmac

import pytest

from sniffer.model import Sender
from sniffer.wire.stream import End, Gap
from sniffer.wire.tls.protection import HEAD, Aead13
from sniffer.wire.tls.schedule import expand_label, traffic_keys
from sniffer.wire.tls.suites import SUITES
from tests.unit.wire.tls.listening import SENDERS, Packet, data_of, ends, key_log, listen
from tests.unit.wire.tls.rfc8448 import TRACES, Trace

PAYLOAD = bytes(range(0x32))
SAID: dict[int, tuple[bytes, bytes]] = {3: (PAYLOAD, PAYLOAD), 4: (b"ABCDEF" + PAYLOAD, PAYLOAD)}
"""What the client and the server say, by section; in the other sections they say nothing."""
EARLY, CLIENT_HANDSHAKE = "CLIENT_EARLY_TRAFFIC_SECRET", "CLIENT_HANDSHAKE_TRAFFIC_SECRET"
SERVER_HANDSHAKE = "SERVER_HANDSHAKE_TRAFFIC_SECRET"
LABELS: dict[Sender, tuple[str, ...]] = {
    "client": (EARLY, CLIENT_HANDSHAKE, "CLIENT_TRAFFIC_SECRET_0"),
    "server": (SERVER_HANDSHAKE, "SERVER_TRAFFIC_SECRET_0"),
}
HANDSHAKE, DATA = 22, 23
each_trace = pytest.mark.parametrize("trace", TRACES, ids=[trace.name for trace in TRACES])


def packets(trace: Trace, size: int) -> list[Packet]:
    """The trace in packets of `size` bytes, one a nanosecond."""
    out: list[Packet] = []
    offsets: dict[Sender, int] = {"client": 0, "server": 0}
    for sender, data in trace.sent():
        for at in range(0, len(data), size):
            part = data[at : at + size]
            out.append((sender, (offsets[sender], len(out), part)))
            offsets[sender] += len(part)
    return out


@each_trace
@pytest.mark.parametrize(("size", "block"), [(1 << 14, 1), (1 << 14, 3), (1 << 14, 100), (1, 1), (7, 1000)])
def test_a_trace_is_read_byte_for_byte(trace: Trace, size: int, block: int) -> None:
    sent = packets(trace, size)
    heard = listen(sent + ends(sent), key_log(trace.key_log), block=block)
    said = SAID.get(trace.section, (b"", b""))
    assert (heard.plain("client"), heard.plain("server")) == said
    for sender in SENDERS:
        assert isinstance(heard.items[sender][-1], End)
        assert not any(isinstance(item, Gap) for item in heard.items[sender])
    assert not heard.losses
    layer = heard.layer
    assert (layer.version, layer.cipher, layer.sni, layer.alpn) == ("TLSv1.3", "TLS_AES_128_GCM_SHA256", "server", None)
    assert layer.unreadable_reason is None
    assert layer.client_random == bytes.fromhex(trace.client_random)


@each_trace
def test_each_message_has_the_time_of_its_packet(trace: Trace) -> None:
    sent = packets(trace, 1 << 14)
    heard = listen(sent + ends(sent), key_log(trace.key_log))
    for sender in SENDERS:
        for _, time, plain in data_of(heard.items[sender]):
            (packet,) = (item for who, item in sent if who == sender and isinstance(item, tuple) and item[1] == time)
            assert len(packet[2]) == HEAD + len(plain) + 1 + 16  # the record that holds it


@each_trace
def test_without_the_key_log_nothing_is_read_and_all_application_records_are_lost(trace: Trace) -> None:
    sent = packets(trace, 1 << 14)
    heard = listen(sent + ends(sent), key_log())
    assert (heard.plain("client"), heard.plain("server")) == (b"", b"")
    assert heard.layer.unreadable_reason == "no key log line for this client random"
    for sender in SENDERS:
        sizes = {kind: sum(len(data) for who, data in trace.sent() if who == sender and data[0] == kind) for kind in (20, DATA)}
        assert sizes[DATA] <= heard.lost(sender) <= sizes[DATA] + sizes[20]  # a ChangeCipherSpec may be held with them


@each_trace
def test_both_finished_messages_prove_the_handshake_that_was_decrypted(trace: Trace) -> None:
    """RFC 8446 section 4.4.4, over the transcript of section 4.4.1."""
    openers = {label: Aead13(SUITES[0x1301], bytes.fromhex(secret)) for label, secret in trace.secrets.items()}
    keys: dict[Sender, list[str]] = {sender: [label for label in LABELS[sender] if label in openers] for sender in SENDERS}
    transcript, proved = b"", []
    for sender, data in trace.sent():
        head, body = data[:HEAD], data[HEAD:]
        if head[0] == HANDSHAKE:
            if body[6:38].hex().startswith("cf21ad74e59a6111"):  # HelloRetryRequest: the first hello counts as its hash
                transcript = b"\xfe\0\0\x20" + hashlib.sha256(transcript).digest()
            transcript += body
        if head[0] != DATA:
            continue
        opener = openers[keys[sender][0]]
        opened = opener.open(head, body, opener.sequence)
        assert opened is not None
        opener.sequence += 1
        kind, plain = opened
        if kind == HANDSHAKE and plain == b"\5\0\0\0":  # EndOfEarlyData
            transcript += plain
            keys[sender].pop(0)
        elif kind == HANDSHAKE and keys[sender][0] in (CLIENT_HANDSHAKE, SERVER_HANDSHAKE):
            transcript, finished = transcript + plain[:-36], plain[-36:]
            finished_key = expand_label("sha256", opener.secret, "finished", 32)
            assert finished == b"\x14\0\0\x20" + hmac.digest(finished_key, hashlib.sha256(transcript).digest(), "sha256")
            transcript += finished
            proved.append(sender)
            keys[sender].pop(0)
    assert proved == ["server", "client"]


def test_keys_of_the_server_handshake() -> None:
    """RFC 8448 section 3."""
    key, iv = traffic_keys(SUITES[0x1301], bytes.fromhex(TRACES[0].secrets[SERVER_HANDSHAKE]))
    assert key == bytes.fromhex("3f ce 51 60 09 c2 17 27 d0 f2 e4 e8 6e e4 03 bc")
    assert iv == bytes.fromhex("5d 31 3e b2 67 12 76 ee 13 00 0b 30")

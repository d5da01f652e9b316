"""What a connection is known as, what cannot be read and why, late keys, limits."""

from __future__ import annotations

import random

import pytest

from sniffer.config import Limits
from sniffer.model import Sender
from sniffer.wire.losses import LossLedger
from sniffer.wire.stream import Data, Gap, Item
from sniffer.wire.tls.layer import TlsLayer
from tests.unit.wire.tls.listening import SENDERS, Packet, ends, key_log, listen, packets, said, total
from tests.unit.wire.tls.speaker import ALERT, HANDSHAKE, SUITES_12, SUITES_13, Talk, message, record, server_hello

ORDER = b'{"e":"executionReport","s":"BTCUSDT","i":1000001}'


def talk(suite: int = 0x1301, seed: int = 1, **options: object) -> Talk:
    return Talk(random.Random(seed), suite).handshake(**options)


def exchange(one: Talk, count: int = 3) -> Talk:
    for number in range(count):
        one.data("client", ORDER + b"%d" % number)
        one.data("server", ORDER * 5)
    return one


def sent(one: Talk) -> list[Packet]:
    whole = packets(one)
    return whole + ends(whole)


@pytest.mark.parametrize("suite", [*SUITES_13, *SUITES_12])
def test_every_suite(suite: int) -> None:
    one = exchange(talk(suite))
    heard = listen(sent(one), key_log(one.key_log))
    for sender in SENDERS:
        assert heard.plain(sender) == said(one, sender)
    assert not heard.losses
    layer = heard.layer
    assert layer.version == ("TLSv1.3" if suite in SUITES_13 else "TLSv1.2")
    assert layer.cipher is not None
    assert (layer.sni, layer.alpn, layer.unreadable_reason) == ("exchange.test", "http/1.1", None)


@pytest.mark.parametrize("suite", [suite for suite, spec in SUITES_12.items() if spec[0] == "cbc"])
def test_encrypt_then_mac(suite: int) -> None:
    one = Talk(random.Random(1), suite, etm=True).handshake()
    exchange(one)
    heard = listen(sent(one), key_log(one.key_log))
    assert heard.plain("server") == said(one, "server")
    assert not heard.losses


@pytest.mark.parametrize(
    ("options", "reads"),
    [
        ({"retry": True}, True),
        ({"client_certificate": True}, True),
        ({"compat": False}, True),
        ({"piece": 40, "filler": 3000}, True),
        ({"early": (b"GET / HTTP/1.1\r\n", b"\r\n")}, True),
        ({"alpn": ""}, True),
        ({"alpn": "h2"}, False),
    ],
)
def test_handshakes_of_tls13(options: dict[str, object], reads: bool) -> None:
    one = exchange(talk(**options))
    for block in (1, 1000):
        heard = listen(sent(one), key_log(one.key_log), block=block)
        if reads:
            assert [heard.plain(sender) for sender in SENDERS] == [said(one, sender) for sender in SENDERS]
            assert not heard.losses
        else:
            assert [heard.plain(sender) for sender in SENDERS] == [b"", b""]
            assert heard.layer.alpn == "h2"
            assert heard.layer.unreadable_reason == "HTTP/2 (ALPN h2) is not read"
            assert heard.reasons() == {"HTTP/2 (ALPN h2) is not read"}


@pytest.mark.parametrize("retry", [False, True])
def test_early_data_that_is_rejected_is_no_message(retry: bool) -> None:
    one = exchange(talk(early=(b"an order", b"another"), accepted=False, retry=retry))
    for block in (1, 1000):
        heard = listen(sent(one), key_log(one.key_log), block=block)
        assert heard.plain("client") == said(one, "client")
        assert b"an order" not in heard.plain("client")
        assert heard.reasons() == {"early data that the server rejected"}
        assert heard.lost("client") == sum(len(written.wire) for written in one.written[1:4] if written.wire[0] == 23)
        assert not heard.gaps("client")


def test_accepted_early_data_without_its_secret_is_lost_behind_a_gap() -> None:
    one = exchange(talk(early=(b"an order",), early_logged=False))
    heard = listen(sent(one), key_log(one.key_log))
    assert heard.plain("client") == said(one, "client")
    assert heard.gaps("client") == 1
    assert heard.lost("client") > 0


@pytest.mark.parametrize("suite", [0x1302, 0xC02F])
def test_late_keys_lose_nothing(suite: int) -> None:
    one = exchange(talk(suite), 20)
    whole = sent(one)
    for at in (0, 5, len(whole) // 2, len(whole)):
        heard = listen(whole, key_log(), late=one.key_log, late_at=at)
        assert [heard.plain(sender) for sender in SENDERS] == [said(one, sender) for sender in SENDERS]
        assert not heard.losses
        assert not heard.gaps("server")


def test_keys_may_come_line_by_line() -> None:
    one = exchange(talk())
    layer = TlsLayer(log := key_log(), Limits(), LossLedger("c", 1), joined_midway=False)
    out: dict[Sender, bytes] = {"client": b"", "server": b""}
    feed: dict[Sender, list[Item]] = {who: [item for sender, item in packets(one) if sender == who] for who in SENDERS}
    layer.feed(feed["client"], feed["server"])
    assert layer.waiting
    assert layer.unreadable_reason == "no key log line for this client random"
    for line in one.key_log.splitlines(keepends=True):
        log.feed("file", line)
        for who, items in zip(SENDERS, layer.retry(), strict=True):
            out[who] += b"".join(item[2] for item in items if isinstance(item, tuple))
    assert [out[sender] for sender in SENDERS] == [said(one, sender) for sender in SENDERS]
    assert not layer.waiting
    assert layer.unreadable_reason is None


@pytest.mark.parametrize("suite", [0x1303, 0xC030])
def test_wrong_keys_for_the_right_random(suite: int) -> None:
    one = exchange(talk(suite))
    secrets = random.Random(9)
    wrong = b"".join(
        b" ".join((*line.split()[:2], secrets.randbytes(len(line.split()[2]) // 2).hex().encode())) + b"\n"
        for line in one.key_log.splitlines() * 3
    )
    heard = listen(sent(one), key_log(wrong, one.key_log, wrong.swapcase()))
    assert [heard.plain(sender) for sender in SENDERS] == [said(one, sender) for sender in SENDERS]
    only_wrong = listen(sent(one), key_log(wrong))
    assert only_wrong.plain("server") == b""
    assert only_wrong.layer.unreadable_reason == "the key log's secrets for this client random do not fit"


def test_a_connection_without_a_line_is_lost_byte_by_byte_with_the_reason() -> None:
    one, other = exchange(talk()), talk(seed=2)
    heard = listen(sent(one), key_log(other.key_log))
    assert heard.layer.unreadable_reason == "no key log line for this client random"
    assert heard.reasons() == {"no key log line for this client random"}
    for sender, clear in (("client", 1), ("server", 2)):  # the hello; and behind the server's the ChangeCipherSpec
        written = [len(one.wire) for one in one.written if one.sender == sender]
        assert heard.lost(sender) == sum(written[clear:])


def test_held_records_are_bounded_and_later_ones_are_read_when_keys_come() -> None:
    one = talk()
    for number in range(200):
        one.data("server", b"%04d" % number + bytes(1000))
    whole, limits = packets(one), Limits(tls_held_bytes=20_000)
    ledger = LossLedger("c", 1)
    layer = TlsLayer(log := key_log(), limits, ledger, joined_midway=False)
    plain: list[Item] = []
    for at, (sender, item) in enumerate(whole):
        if at == len(whole) - 10:
            log.feed("late", one.key_log)
        out = layer.feed([item] if sender == "client" else [], [item] if sender == "server" else [])
        plain += out[1]
        assert layer.held_bytes() <= 20_000 + 2000
    ledger.finish()
    assert any("over the limit" in row.reason for row in ledger.rows)
    data: list[Data] = [item for item in plain if isinstance(item, tuple)]
    assert isinstance(plain[0], Gap)
    assert data[-1][2] == b"0199" + bytes(1000)
    assert len(data) >= 9
    lost = sum(row.bytes or 0 for row in ledger.rows if row.sender == "server")
    read = sum(len(written.wire) for written in one.written[-len(data) :])
    head = sum(len(written.wire) for written in one.written[:4] if written.sender == "server" and written.wire[0] != 23)
    assert lost + read + head == total(one, "server")


@pytest.mark.parametrize(
    ("version", "suite", "reason"),
    [
        (0x0301, 0x002F, "TLS 1.0 is not read"),
        (0x0302, 0x002F, "TLS 1.1 is not read"),
        (0x0300, 0x002F, "SSL 3.0 is not read"),
        (0x0303, 0xC05C, "cipher suite 0xc05c is not read"),
        (0x0303, 0x1301, "cipher suite 0x1301 is not read"),
    ],
)
def test_what_is_not_read_says_why(version: int, suite: int, reason: str) -> None:
    one = Talk(random.Random(1), 0xC02F)
    hello = Talk(random.Random(1), 0xC02F).handshake().written[0].wire
    one.write("client", hello)
    one.clear("server", HANDSHAKE, server_hello(bytes(32), suite, tls13=False, version=version))
    one.write("client", record(23, bytes(100)))
    heard = listen(sent(one), key_log())
    assert heard.layer.unreadable_reason == reason
    assert heard.reasons() == {reason}
    assert heard.lost("client") == 105


@pytest.mark.parametrize("cut", [1, 20, 36, 40, 60])
def test_hellos_of_lying_length(cut: int) -> None:
    whole = Talk(random.Random(1), 0x1301).handshake().written[0].wire
    one = Talk(random.Random(1), 0x1301)
    one.clear("client", HANDSHAKE, message(1, whole[9 : 9 + cut]))
    one.write("server", record(23, bytes(50)))
    heard = listen(sent(one), key_log())
    assert heard.layer.unreadable_reason is not None
    assert [heard.lost(sender) for sender in SENDERS] == [total(one, sender) for sender in SENDERS]


@pytest.mark.parametrize("speaker", SENDERS)
@pytest.mark.parametrize("suite", [0x1301, 0xC02F])
def test_a_malformed_hello_is_as_one_that_was_lost(speaker: Sender, suite: int) -> None:
    """In TLS 1.3 the key log's secrets prove what follows; in 1.2 the server's random, too, is part of the keys."""
    one = exchange(talk(suite))
    at = next(number for number, written in enumerate(one.written) if written.sender == speaker)
    wire = one.written[at].wire
    one.written[at].wire = wire[:43] + b"\xff" + wire[44:]  # the length of the session id
    is_read = suite == 0x1301 or speaker == "client"
    losses = []
    for block in (1, 2, 1000):
        heard = listen(sent(one), key_log(one.key_log), block=block)
        losses.append(heard.losses)
        for sender in SENDERS:
            assert heard.plain(sender) == (said(one, sender) if is_read else b"")
    assert losses[0]
    assert losses[0] == losses[1] == losses[2]


def test_too_many_renegotiations_end_each_side_at_its_own_place() -> None:
    one = talk(0xC02F)
    for number in range(70):
        one.data("client", b"%d," % number)
        one.data("server", b"%d;" % number)
        one.handshake12(again=True)
    heard = [listen(sent(one), key_log(one.key_log), block=block) for block in (1, 1000)]
    assert heard[0].plain("client") == heard[1].plain("client") == b"".join(b"%d," % number for number in range(64))
    assert heard[0].plain("server") == heard[1].plain("server") == b"".join(b"%d;" % number for number in range(64))
    assert heard[0].losses == heard[1].losses
    assert heard[0].layer.unreadable_reason == "too many renegotiations"


def test_a_handshake_message_longer_than_any() -> None:
    one = Talk(random.Random(1), 0x1301)
    for _ in range(100):
        one.clear("client", HANDSHAKE, b"\x01\xff\xff\xff" + bytes(16_000))
    heard = listen(sent(one), key_log())
    assert heard.plain("client") == b""
    assert heard.lost("client") == total(one, "client")


def test_records_after_the_close_are_lost() -> None:
    one = exchange(talk())
    one.close("server")
    one.data("server", b"never delivered")
    heard = listen(sent(one), key_log(one.key_log))
    assert heard.plain("server") == said(one, "server").removesuffix(b"never delivered")
    assert heard.reasons() == {"after the end of the TLS connection"}


@pytest.mark.parametrize("suite", [0x1301, 0xC02F])
def test_warnings_do_not_end_it_and_fatal_alerts_do(suite: int) -> None:
    one = talk(suite)
    one.protect("server", ALERT, bytes([1, 90]))
    one.data("server", b"goes on")
    one.protect("server", ALERT, bytes([2, 80]))
    heard = listen(sent(one), key_log(one.key_log))
    assert heard.plain("server") == b"goes on"
    assert not heard.losses


def test_tickets_key_updates_and_padding() -> None:
    one = talk(0x1303)
    for number in range(10):
        one.ticket()
        one.key_update("client")
        one.data("client", b"%d" % number, padding=number * 50)
        if number % 3 == 0:
            one.key_update("server")
        one.data("server", b"%d" % number, padding=900)
    heard = listen(sent(one), key_log(one.key_log))
    assert heard.plain("client") == heard.plain("server") == b"0123456789"


def test_renegotiation_and_one_that_is_refused() -> None:
    one = talk(0xC02F)
    one.data("client", b"first")
    one.protect("client", HANDSHAKE, message(1, one.written[0].wire[9:]))
    one.protect("server", ALERT, bytes([1, 100]))
    one.data("server", b"no")
    one.handshake12(again=True)
    one.data("client", b"second")
    one.data("server", b"yes")
    for block in (1, 1000):
        heard = listen(sent(one), key_log(one.key_log), block=block)
        assert heard.plain("client") == b"firstsecond"
        assert heard.plain("server") == b"noyes"
        assert not heard.losses


def test_a_capture_that_ends_inside_a_record() -> None:
    one = exchange(talk())
    whole = packets(one)
    sender, last = whole[-1]
    assert isinstance(last, tuple)
    cut: list[Packet] = [*whole[:-1], (sender, (last[0], last[1], last[2][:-3]))]
    heard = listen(cut + ends(cut, orderly=False), key_log(one.key_log))
    assert heard.reasons() == {"capture ended inside a TLS record"}
    assert heard.lost(sender) == len(last[2]) - 3


def test_what_is_not_tls_at_all() -> None:
    noise: list[Packet] = [
        ("client", (0, 0, b"\x16\x03\xff" + bytes(range(255, -1, -1)) * 40)),
        ("server", (0, 1, bytes(9000))),
    ]
    heard = listen(noise + ends(noise), key_log())
    assert heard.plain("client") == heard.plain("server") == b""
    assert heard.lost("client") == 3 + 256 * 40
    assert heard.lost("server") == 9000

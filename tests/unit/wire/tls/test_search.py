"""After a hole, or joined in the middle: which record, whose keys, which number."""

from __future__ import annotations

import random
import time

import pytest

from sniffer.config import Limits
from sniffer.wire.losses import LossLedger
from sniffer.wire.stream import Gap, Item
from sniffer.wire.tls.layer import TlsLayer
from sniffer.wire.tls.protection import Aead13, Opener, openers12
from sniffer.wire.tls.suites import SUITES
from tests.unit.wire.tls.listening import Packet, ends, key_log, listen, packets
from tests.unit.wire.tls.speaker import DATA, Keys13, Talk

TEXT = b'{"e":"executionReport","i":%d}'


def long_talk(suite: int, count: int, seed: int = 1) -> Talk:
    talk = Talk(random.Random(seed), suite).handshake()
    for number in range(count):
        talk.data("server", TEXT % number)
    return talk


def without(sent: list[Packet], first: int, last: int) -> list[Packet]:
    """The packets with those from `first` up to `last` as gaps."""
    out: list[Packet] = []
    for at, (sender, item) in enumerate(sent):
        if first <= at < last and isinstance(item, tuple):
            out.append((sender, Gap(item[0], item[1], len(item[2]), "not captured")))
        else:
            out.append((sender, item))
    return out


@pytest.mark.parametrize("suite", [0x1301, 0x1303, 0x1304, 0xC02F, 0xCCA8, 0xC0AE, 0xC013, 0xC028])
@pytest.mark.parametrize("missing", [1, 30, 400])
def test_reading_goes_on_after_a_hole(suite: int, missing: int) -> None:
    talk = long_talk(suite, 500)
    sent = packets(talk)
    first = len(sent) - 450
    sent = without(sent, first, first + missing)
    for block in (1, 10_000):
        heard = listen(sent + ends(sent), key_log(talk.key_log), block=block)
        want = b"".join(TEXT % number for number in (*range(50), *range(50 + missing, 500)))
        assert heard.plain("server") == want
        assert heard.gaps("server") == 1
        assert not heard.losses  # the hole is the TCP layer's


@pytest.mark.parametrize("suite", [0x1302, 0x1303])
def test_a_hole_may_swallow_key_updates(suite: int) -> None:
    talk = long_talk(suite, 20)
    lost = len(packets(talk))
    for number in range(20, 40):
        if number in (25, 35):
            talk.key_update("server")
        talk.data("server", TEXT % number)
    found = len(packets(talk))
    for number in range(40, 60):
        talk.data("server", TEXT % number)
    sent = without(packets(talk), lost, found)
    heard = listen(sent + ends(sent), key_log(talk.key_log))
    assert heard.plain("server") == b"".join(TEXT % number for number in (*range(20), *range(40, 60)))


@pytest.mark.parametrize("suite", [0x1301, 0x1302, 0x1303])
def test_joined_in_the_middle(suite: int) -> None:
    talk = long_talk(suite, 3000)
    others = b"".join(Talk(random.Random(seed), suite).handshake().key_log for seed in range(100, 110))
    sent = packets(talk)[-40:]
    heard = listen(sent + ends(sent), key_log(others, talk.key_log, others), midway=True)
    assert heard.plain("server") == b"".join(TEXT % number for number in range(2960, 3000))
    assert heard.layer.cipher == SUITES[suite].name
    assert heard.layer.version == "TLSv1.3"
    assert heard.layer.unreadable_reason is None
    assert isinstance(heard.items["server"][0], Gap)
    assert not heard.losses


def test_aes_gcm_needs_no_search_however_far_it_is() -> None:
    talk = long_talk(0x1301, 0)
    far = 3 << 40
    keys = talk.keys["server"]
    keys.sequence = far
    talk.written.clear()
    for number in range(5):
        talk.data("server", TEXT % number)
    sent = packets(talk)
    heard = listen(sent + ends(sent), key_log(talk.key_log), midway=True, limits=Limits(tls_tries=1000))
    assert heard.plain("server") == b"".join(TEXT % number for number in range(5))


def test_the_number_that_a_gcm_record_gives_away() -> None:
    rng = random.Random(3)
    for suite in (0x1301, 0x1302):
        secret = rng.randbytes(32 if suite == 0x1301 else 48)
        keys, opener = Keys13(suite, secret), Aead13(SUITES[suite], secret)
        for size in (0, 1, 15, 16, 17, 300, 16384):
            keys.sequence = sequence = rng.getrandbits(rng.choice((1, 20, 64)))
            record = keys.protect(DATA, rng.randbytes(size))
            assert opener.hints(record[:5], record[5:]) == [sequence]
            assert opener.hints(record[:5], record[5:-1] + bytes([record[-1] ^ 1])) == []
        stranger = Aead13(SUITES[suite], rng.randbytes(len(secret)))
        assert stranger.hints(record[:5], record[5:]) == []


def test_where_the_key_log_has_more_secrets_than_are_tried_the_reason_says_so() -> None:
    talk, later = long_talk(0x1302, 3), [long_talk(0x1302, 0, seed) for seed in range(2, 5)]
    talk.written.clear()
    for number in range(10):
        talk.data("server", TEXT % number)
    sent = packets(talk)
    texts = (talk.key_log, *(one.key_log for one in later))
    few = listen(sent + ends(sent), key_log(*texts, limits=Limits(tls_secrets=3)), midway=True)
    assert few.plain("server") == b""
    assert few.reasons() == {"TLS handshake not seen, and none of the key log's newest secrets, which were tried, fits"}
    assert few.layer.unreadable_reason in few.reasons()
    enough = listen(sent + ends(sent), key_log(*texts, limits=Limits(tls_secrets=4)), midway=True)
    assert enough.plain("server") == b"".join(TEXT % number for number in range(10))


def test_past_the_budget_the_reason_is_that() -> None:
    talk = long_talk(0x1303, 0)
    talk.keys["server"].sequence = 50_000
    talk.written.clear()
    for number in range(10):
        talk.data("server", TEXT % number)
    sent = packets(talk)
    heard = listen(sent + ends(sent), key_log(talk.key_log), midway=True, limits=Limits(tls_tries=10_000))
    assert heard.plain("server") == b""
    assert heard.layer.unreadable_reason == "the TLS sequence number lies beyond the search"
    assert heard.reasons() == {"the TLS sequence number lies beyond the search"}
    assert heard.lost("server") == sum(len(written.wire) for written in talk.written)
    enough = listen(sent + ends(sent), key_log(talk.key_log), midway=True, limits=Limits(tls_tries=2_000_000))
    assert enough.plain("server") == b"".join(TEXT % number for number in range(10))


def test_a_search_goes_in_slices() -> None:
    talk = long_talk(0x1303, 0)
    talk.keys["server"].sequence = 1 << 40
    talk.written.clear()
    for number in range(30):
        talk.data("server", TEXT % number)
    log, longest = key_log(talk.key_log), 0.0
    layer = TlsLayer(log, Limits(tls_tries=400_000), LossLedger("c", 1), joined_midway=True)
    for _, item in packets(talk):
        began = time.process_time()
        layer.feed([], [item])
        longest = max(longest, time.process_time() - began)
    assert layer.busy
    assert longest < 0.3
    slices = 0
    while layer.busy:
        layer.retry()
        slices += 1
    assert 10 < slices < 100


def test_a_search_ends_where_no_record_at_hand_can_be_one() -> None:
    """Heads of records that are too short for any cipher: there is nothing to try numbers on."""
    layer = TlsLayer(key_log(long_talk(0x1303, 0).key_log), Limits(), LossLedger("c", 1), joined_midway=True)
    layer.feed([], [(0, 0, b"\x17\3\3\0\0" * 20)])
    for _ in range(10):
        layer.retry()
    assert not layer.busy


def test_what_only_looks_like_short_records_does_not_hide_those_that_are() -> None:
    talk = long_talk(0x1303, 5000)
    sent = packets(talk)[-40:]
    _, (first, _, _) = sent[0]  # type: ignore[misc]
    scraps = b"\x17\3\3\0\0" * 8
    heard = listen([("server", (first - len(scraps), 0, scraps)), *sent, *ends(sent)], key_log(talk.key_log), midway=True)
    assert heard.plain("server") == b"".join(TEXT % number for number in range(4960, 5000))


@pytest.mark.parametrize("head", [b"\x17\3\3\0\0", b"\x16\3\3\0\x20", b"\x17\3\3\x40\0"])
def test_a_flood_of_heads_costs_no_more_than_the_budget(head: bytes) -> None:
    """However many secrets there are to hold against each of them."""
    log = key_log(*(Talk(random.Random(seed), 0x1302).handshake().key_log for seed in range(200)))
    layer = TlsLayer(log, Limits(tls_tries=1_000_000), LossLedger("c", 1), joined_midway=True)
    data = head * 40_000
    begun = time.process_time()
    for at in range(0, len(data), 1400):
        layer.feed([], [(at, at, data[at : at + 1400])])
    layer.give_up(1, "the end")
    assert time.process_time() - begun < 5


def test_tls12_in_the_middle_says_that_it_needs_its_handshake() -> None:
    talk = long_talk(0xC02F, 50)
    sent = packets(talk)[-20:]
    heard = listen(sent + ends(sent), key_log(talk.key_log), midway=True)
    assert heard.layer.unreadable_reason == "TLS 1.2 handshake not seen: without it the key log's secrets give no keys"


@pytest.mark.parametrize("block", [1, 10_000])
def test_tls12_whose_nonces_count_costs_no_search_among_the_keys_of_tls13(block: int) -> None:
    log = key_log(*(Talk(random.Random(seed), 0x1303).handshake().key_log for seed in range(100, 120)))
    before = log.guesses
    talk = long_talk(0xC02F, 500)
    sent = packets(talk)[-400:]
    heard = listen(sent + ends(sent), log, midway=True, block=block)
    assert heard.layer.unreadable_reason == "TLS 1.2 handshake not seen: without it the key log's secrets give no keys"
    assert heard.lost("server") == sum(len(item[2]) for _, item in sent if isinstance(item, tuple))
    assert 0 < before - log.guesses < 20_000  # the first record; a search spends 7,500,000


def test_in_the_middle_without_a_secret_that_fits() -> None:
    talk, other = long_talk(0x1302, 50), long_talk(0x1302, 0, seed=7)
    sent = packets(talk)[-20:]
    heard = listen(sent + ends(sent), key_log(other.key_log), midway=True)
    assert heard.layer.unreadable_reason == "TLS handshake not seen (joined in the middle), and no secret of the key log fits"


def test_in_the_middle_the_keys_may_come_late() -> None:
    talk = long_talk(0x1302, 100)
    sent = packets(talk)[-60:]
    heard = listen(sent + ends(sent), key_log(), late=talk.key_log, late_at=30, midway=True)
    assert heard.plain("server") == b"".join(TEXT % number for number in range(40, 100))


@pytest.mark.parametrize("suite", [0x1301, 0xC02F, 0xC013])
def test_a_damaged_record_is_lost_and_the_next_is_read(suite: int) -> None:
    talk = long_talk(suite, 20)
    sent = packets(talk)
    sender, item = sent[-10]
    assert isinstance(item, tuple)
    sent[-10] = sender, (item[0], item[1], item[2][:-1] + bytes([item[2][-1] ^ 1]))
    heard = listen(sent + ends(sent), key_log(talk.key_log))
    assert heard.plain("server") == b"".join(TEXT % number for number in range(20) if number != 10)
    assert heard.reasons() == {"TLS record that its tag does not prove"}
    assert heard.lost("server") == len(item[2])
    assert heard.gaps("server") == 1


@pytest.mark.parametrize("lost", ["client", "server"])
def test_a_hello_that_is_lost(lost: str) -> None:
    talk = long_talk(0x1302, 10)
    talk.data("client", b"order")
    sent = packets(talk)
    at = next(number for number, (sender, _) in enumerate(sent) if sender == lost)
    sent = without(sent, at, at + 1)
    heard = listen(sent + ends(sent), key_log(talk.key_log))
    assert heard.plain("server") == b"".join(TEXT % number for number in range(10))
    assert heard.plain("client") == b"order"


def renegotiating_talk(suite: int) -> tuple[Talk, list[int]]:
    """Ten messages of the server, a renegotiation, ten more; and the packet numbers where it begins and ends."""
    talk = Talk(random.Random(5), suite).handshake()
    bounds = []
    for part in range(2):
        for number in range(10):
            talk.data("server", TEXT % (10 * part + number))
        if not part:
            bounds.append(len(packets(talk)))
            talk.handshake12(again=True)
            bounds.append(len(packets(talk)))
    talk.data("client", b"order")
    return talk, bounds


@pytest.mark.parametrize("suite", [0xC02F, 0xCCA8, 0xC013])
@pytest.mark.parametrize("block", [1, 3, 1000])
def test_a_hole_may_swallow_any_record_of_a_renegotiation(suite: int, block: int) -> None:
    """But for the server's hello: its random is in no key log."""
    talk, (begin, end) = renegotiating_talk(suite)
    messages = b"".join(TEXT % number for number in range(20))
    for hole in range(begin, end):
        sent = without(packets(talk), hole, hole + 1)
        heard = listen(sent + ends(sent), key_log(talk.key_log), block=block)
        is_server_hello = hole == begin + 1
        assert heard.plain("server") == (b"".join(TEXT % number for number in range(10)) if is_server_hello else messages)
        assert heard.plain("client") == (b"" if is_server_hello else b"order")
        after_the_hole = sum(len(written.wire) for written in talk.written[begin:] if written.sender == "server")
        assert heard.lost("server") <= (after_the_hole if is_server_hello else 0)


def test_what_is_read_after_a_hole_waits_for_the_other_side_that_waits_for_a_segment() -> None:
    """The server's records under new keys are here, the client's hello that they follow from is held back by TCP."""
    talk, (begin, end) = renegotiating_talk(0xC02F)
    sent = without(packets(talk), end - 2, end - 1)  # the server's ChangeCipherSpec
    sent = without(sent, end + 3, end + 4)  # and a record of its data: what is not proved by then is lost
    sent += ends(sent)
    apart: list[list[Packet]] = [[], []]
    for number, packet in enumerate(sent):
        apart[packet[0] == "client" and number >= begin].append(packet)
    log, outcomes = key_log(talk.key_log), []
    for held_back in (True, False):
        ledger = LossLedger("c", 1)
        layer = TlsLayer(log, Limits(), ledger, joined_midway=False)
        plain = b""
        first = [item for sender, item in apart[0] if sender == "client"]
        server = [item for sender, item in apart[0] if sender == "server"]
        rest = [item for _, item in apart[1]]
        fed = (
            [(first, server, (begin, None)), (rest, [], (None, None))] if held_back else [(first + rest, server, (None, None))]
        )
        for items_client, items_server, waiting in fed:
            _, out = layer.feed(list(items_client), list(items_server), waiting)
            plain += b"".join(item[2] for item in out if isinstance(item, tuple))
        assert layer.held_bytes() == 0
        ledger.finish()
        outcomes.append((plain, [(loss.reason, loss.bytes) for loss in ledger.rows]))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0][0] == b"".join(TEXT % number for number in range(20) if number != 13)


def far_talk(suite: int, seed: int, count: int = 30) -> Talk:
    """Nothing but messages of the server, the first with a number that no search reaches."""
    talk = long_talk(suite, 0, seed)
    talk.written.clear()
    talk.keys["server"].sequence = 1 << 50
    for number in range(count):
        talk.data("server", TEXT % number)
    return talk


@pytest.mark.parametrize("suite", [0x1303, 0x1304])
def test_a_flood_of_connections_joined_in_the_middle_spends_no_more_than_there_is_for_all(suite: int) -> None:
    limits = Limits(tls_guesses=200_000)
    stranger = far_talk(suite, 1)
    log = key_log(stranger.key_log, limits=limits)
    reasons = set()
    begun = time.process_time()
    for seed in range(2, 40):
        sent = packets(far_talk(suite, seed))
        heard = listen(sent + ends(sent), log, midway=True, limits=limits)
        assert heard.plain("server") == b""
        assert heard.lost("server") == sum(len(item[2]) for _, item in sent if isinstance(item, tuple))
        reasons |= heard.reasons()
    assert time.process_time() - begun < 3  # 38 of them would take 95 s
    assert log.guesses > -20_000
    assert "TLS handshake not seen, and the key log's secrets were tried for too many such connections" in reasons


def test_a_flood_leaves_what_aes_gcm_needs() -> None:
    limits = Limits(tls_guesses=400_000)
    stranger, known = far_talk(0x1303, 1), far_talk(0x1302, 2)
    log = key_log(stranger.key_log, known.key_log, limits=limits)
    for seed in range(3, 12):
        sent = packets(far_talk(0x1303, seed))
        assert listen(sent + ends(sent), log, midway=True, limits=limits).plain("server") == b""
    sent = packets(known)
    heard = listen(sent + ends(sent), log, midway=True, limits=limits)
    assert heard.plain("server") == b"".join(TEXT % number for number in range(30))
    whole = long_talk(0x1303, 500)  # its handshake is seen: its budget is its own
    log.feed("more", whole.key_log)
    sent = without(packets(whole), len(packets(whole)) - 400, len(packets(whole)) - 10)
    heard = listen(sent + ends(sent), log, limits=limits)
    assert heard.plain("server") == b"".join(TEXT % number for number in (*range(100), *range(490, 500)))


def test_many_small_holes_do_not_use_up_the_budget() -> None:
    talk = long_talk(0x1303, 2000)
    sent = packets(talk)
    first = len(sent) - 2000
    for number in range(first + 10, len(sent) - 1, 2):
        sent = sent[:number] + without(sent[number : number + 1], 0, 1) + sent[number + 1 :]
    heard = listen(sent + ends(sent), key_log(talk.key_log), limits=Limits(tls_tries=20_000))
    assert heard.plain("server").count(b"executionReport") == 10 + 995
    assert not heard.losses


def opener_of(talk: Talk) -> Opener:
    """What reads the server's records after the handshake."""
    keys, suite = talk.keys["server"], SUITES[talk.suite]
    if isinstance(keys, Keys13):
        return Aead13(suite, keys.secret)
    (master,) = (bytes.fromhex(line.split()[2]) for line in talk.log if line.startswith("CLIENT_RANDOM"))
    return openers12(suite, master, talk.client_random, talk.server_random, talk.etm)[1]


@pytest.mark.parametrize("suite", [0x1301, 0x1303, 0x1304, 0xC02F, 0xCCA8, 0xC0AC, 0xC013, 0xC028])
@pytest.mark.parametrize("size", [200, 16_000])
def test_the_price_of_a_try_is_what_it_costs(suite: int, size: int) -> None:
    """In microseconds, within a factor that covers slower and busier machines: else 5 M of them are not some 5 s."""
    talk = Talk(random.Random(9), suite).handshake()
    opener, record = opener_of(talk), talk.keys["server"].protect(DATA, random.Random(1).randbytes(size))
    costs = []
    for _ in range(5):
        begun = time.process_time()
        assert opener.search(record[:5], record[5:], 1 << 40, 500) is None
        costs.append((time.process_time() - begun) * 1e6)
    assert 0.1 < min(costs) / opener.price(len(record) - 5, 500) < 4


@pytest.mark.parametrize("suite", [0xC02F, 0xCCA8, 0xC013, 0x1301, 0x1303])
def test_numbers_end_with_64_bits(suite: int) -> None:
    """A peer that follows no rules may come to the last one; nothing can follow it (RFC 5246 section 6.1)."""
    last = (1 << 64) - 1
    talk = Talk(random.Random(4), suite).handshake()
    keys = talk.keys["server"]
    opener = opener_of(talk)
    opener.sequence = keys.sequence = last
    wire = keys.protect(DATA, b"last")
    out: list[Item] = []
    assert opener.application_data(wire + wire, 0, 0, 0, out) == (len(wire), 4)
    assert out == [(0, 0, b"last")]
    assert opener.open(wire[:5], wire[5:], last + 1) is None
    assert opener.search(wire[:5], wire[5:], last - 3, 10) == last
    assert opener.search(wire[:5], wire[5:], last + 1, 10) is None


@pytest.mark.parametrize("suite", [0x1301, 0xC02F, 0xCCA8, 0xC013])
@pytest.mark.parametrize("at", range(5))
def test_each_byte_of_a_records_head_is_proved(suite: int, at: int) -> None:
    talk = long_talk(suite, 3)
    opener, sent = opener_of(talk), [written.wire for written in talk.written if written.plain]
    opener.sequence = talk.keys["server"].sequence - 3
    damaged = sent[0][:at] + bytes([sent[0][at] ^ 4]) + sent[0][at + 1 :]
    out: list[Item] = []
    assert opener.application_data(damaged + sent[1] + sent[2], 0, 0, 0, out) == (0, 0)
    assert not out

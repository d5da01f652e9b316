"""Random TLS conversations, cut into packets at will, some of them lost or damaged.

What is given was sent, at its place and time; what is not given is lost for a reason; and how it is cut changes nothing.
"""

from __future__ import annotations

import random

from hypothesis import given, note, settings
from hypothesis import strategies as st

from sniffer.config import Limits
from sniffer.wire.stream import End, Gap, time_of
from tests.unit.wire.tls.listening import SENDERS, Heard, Packet, data_of, ends, key_log, listen, normal, packets, said
from tests.unit.wire.tls.speaker import SUITES_12, SUITES_13, Talk

SEEDS = st.integers(0, 2**32 - 1)
BLOCKS = (1, 3, 50, 100_000)


def random_talk(rng: random.Random, *, smallest: int = 1) -> Talk:
    talk = Talk(rng, rng.choice([*SUITES_13, *SUITES_12]), etm=rng.random() < 0.5)
    options: dict[str, object] = {"piece": rng.choice((60, 1 << 14, 1 << 14)), "filler": rng.choice((0, 0, 2000))}
    if talk.tls13:
        options |= {"retry": rng.random() < 0.2, "compat": rng.random() < 0.7, "client_certificate": rng.random() < 0.3}
        if rng.random() < 0.3:
            options |= {"early": (rng.randbytes(70), rng.randbytes(8)), "accepted": rng.random() < 0.6}
    else:
        options["resumed"] = rng.random() < 0.4
    talk.handshake(**options)
    for _ in range(rng.choice((5, 30))):
        sender = rng.choice(SENDERS)
        kind = rng.random()
        if kind < 0.06 and talk.tls13:
            talk.key_update(sender)
        elif kind < 0.1 and talk.tls13:
            talk.ticket()
        elif kind < 0.1 and not talk.tls13:
            talk.handshake12(again=True, resumed=rng.random() < 0.5)
        else:
            talk.data(sender, rng.randbytes(rng.choice((smallest, 20, 200, 3000, 16384))), rng.choice((0, 0, 7)))
    if rng.random() < 0.7:
        for sender in SENDERS:
            talk.close(sender)
    return talk


def check_times(sent: list[Packet], talk: Talk, heard: Heard) -> None:
    """Each byte has its packet's time, and is not given before its record was whole."""
    for sender in SENDERS:
        where = [(item[0], item[1]) for who, item in sent if who == sender and isinstance(item, tuple)]
        arrival = {}
        wire = offset = 0
        for written in (one for one in talk.written if one.sender == sender):
            wire += len(written.wire)
            if written.plain:
                arrival[offset] = max(time for at, time in where if at < wire)
                offset += len(written.plain)
        latest, starts = 0, sorted(arrival)
        for at, time, data in data_of(heard.items[sender]):
            latest = max(latest, time)
            if data:
                complete = arrival[max(start for start in starts if start <= at)]
                assert time <= complete <= latest


@settings(max_examples=120, deadline=None)
@given(seed=SEEDS)
def test_whole_conversations(seed: int) -> None:
    rng = random.Random(seed)
    talk = random_talk(rng)
    sent = packets(talk, rng)
    sent += ends(sent)
    first = None
    for block in (1, rng.choice(BLOCKS)):
        late = rng.random() < 0.4
        log = key_log() if late else key_log(talk.key_log)
        heard = listen(sent, log, block=block, late=talk.key_log if late else b"", late_at=rng.randrange(len(sent) - 2))
        for sender in SENDERS:
            assert heard.plain(sender) == said(talk, sender)
            assert heard.gaps(sender) == 0
            assert [type(item).__name__ for item in heard.items[sender]].count("End") == 1
        rejected = {"early data that the server rejected"}
        assert heard.reasons() <= rejected
        check_times(sent, talk, heard)
        form = [normal(heard.items[sender]) for sender in SENDERS]
        first = first or form
        assert form == first


def damage(rng: random.Random, sent: list[Packet], share: float) -> tuple[list[Packet], dict[str, set[int]], dict[str, int]]:
    """Packets lost (gaps) and bytes changed; the stream offsets hit, and the bytes in gaps."""
    out: list[Packet] = []
    hit: dict[str, set[int]] = {"client": set(), "server": set()}
    missing = {"client": 0, "server": 0}
    for sender, item in sent:
        assert isinstance(item, tuple)
        offset, time, data = item
        if rng.random() >= share:
            out.append((sender, item))
        elif rng.random() < 0.6:
            out.append((sender, Gap(offset, time, len(data), "not captured")))
            hit[sender] |= set(range(offset, offset + len(data)))
            missing[sender] += len(data)
        else:
            at = rng.randrange(len(data))
            changed = data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
            out.append((sender, (offset, time, changed)))
            hit[sender].add(offset + at)
    return out, hit, missing


def handshake_hit(talk: Talk, hit: dict[str, set[int]]) -> bool:
    """Whether any record was damaged that is not application data."""
    at = {"client": 0, "server": 0}
    for one in talk.written:
        start = at[one.sender]
        at[one.sender] += len(one.wire)
        if one.plain is None and not hit[one.sender].isdisjoint(range(start, at[one.sender])):
            return True
    return False


def check_damaged(talk: Talk, heard: Heard, hit: dict[str, set[int]], missing: dict[str, int]) -> None:
    only_data_hit = not handshake_hit(talk, hit)
    for sender in SENDERS:
        plain, gaps_at, gap_before = b"", set(), False
        for item in heard.items[sender]:
            if isinstance(item, Gap):
                gap_before = True
            elif isinstance(item, tuple) and item[2]:
                assert item[0] == len(plain)
                if gap_before:
                    gaps_at.add(len(plain))
                plain, gap_before = plain + item[2], False
        # Each record is given whole and in its place, or left out behind a gap.
        wire = given = unread = other = 0
        left_out = False
        missed = []
        for one in (one for one in talk.written if one.sender == sender):
            touched = not hit[sender].isdisjoint(range(wire, wire + len(one.wire)))
            wire += len(one.wire)
            if one.plain is None:
                other += len(one.wire)
            elif plain.startswith(one.plain, given):
                assert not touched, "a damaged record was given"
                assert not left_out or given in gaps_at, "records are missing, and no gap says so"
                given += len(one.plain)
                left_out = False
            else:
                unread += len(one.wire)
                left_out = True
                missed += [] if touched else [len(one.plain)]
        assert given == len(plain), "bytes that were not sent, or not in this order"
        assert unread <= heard.lost(sender) + missing[sender] <= unread + other
        if only_data_hit:
            assert not missed, "what was not damaged is read"


@settings(max_examples=150, deadline=None)
@given(seed=SEEDS)
def test_damaged_conversations(seed: int) -> None:
    rng = random.Random(seed)
    talk = random_talk(rng, smallest=8)
    sent, hit, missing = damage(rng, packets(talk, rng), rng.choice((0.003, 0.03, 0.2)))
    sent += ends(sent)
    first = None
    for block in (1, rng.choice(BLOCKS)):
        heard = listen(sent, key_log(talk.key_log), block=block, limits=Limits(tls_tries=100_000))
        note(f"losses {heard.losses}")
        check_damaged(talk, heard, hit, missing)
        form = [normal(heard.items[sender]) for sender in SENDERS], [heard.lost(sender) for sender in SENDERS]
        first = first or form
        assert form == first


def joined_midway(sent: list[Packet], skipped: int) -> list[Packet]:
    """Less the first packets; offsets count from what is left, as those of TCP do then."""
    out: list[Packet] = []
    begin: dict[str, int] = {}
    for sender, item in sent[skipped:]:
        offset, time = item[0] if isinstance(item, tuple) else item.offset, time_of(item)
        offset -= begin.setdefault(sender, offset)
        if isinstance(item, Gap):
            out.append((sender, Gap(offset, time, item.length, item.reason)))
        elif isinstance(item, tuple):
            out.append((sender, (offset, time, item[2])))
    return out


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS)
def test_conversations_joined_in_the_middle(seed: int) -> None:
    """Among the secrets of others: what is given was said, in order, and neither side's place in a block matters."""
    rng = random.Random(seed)
    talk = random_talk(rng, smallest=8)
    sent, _, _ = damage(rng, packets(talk, rng), rng.choice((0, 0.01, 0.1)))
    others = [random_talk(rng).key_log for _ in range(rng.choice((0, 2)))]
    sent = joined_midway(sent, rng.randrange(len(sent)))
    captured = {
        sender: sum(len(item[2]) for who, item in sent if who == sender and isinstance(item, tuple)) for sender in SENDERS
    }
    last = max(time_of(item) for _, item in sent)
    sent += [(sender, End(captured[sender], last + 1, True, "connection ended")) for sender in SENDERS]
    first = None
    for block in (1, rng.choice(BLOCKS)):
        heard = listen(sent, key_log(*others, talk.key_log), block=block, midway=True, limits=Limits(tls_tries=200_000))
        for sender in SENDERS:
            rest = heard.plain(sender)
            for one in talk.written:
                if one.sender == sender and one.plain:
                    rest = rest.removeprefix(one.plain)
            assert not rest, "bytes that were not sent, or not in this order"
            assert len(heard.plain(sender)) + heard.lost(sender) <= captured[sender]
        form = [normal(heard.items[sender]) for sender in SENDERS], [heard.lost(sender) for sender in SENDERS]
        first = first or form
        assert form == first

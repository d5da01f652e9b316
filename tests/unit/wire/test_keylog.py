"""Key log lines: what counts, what waits, what is bounded."""

from __future__ import annotations

import pytest

from sniffer.config import Limits
from sniffer.wire.keylog import CLIENT_TRAFFIC, MASTER_SECRET, SERVER_TRAFFIC, KeyLog

RANDOM = bytes(range(32))
SECRET = bytes(range(100, 148))


def line(label: str = MASTER_SECRET, random: bytes = RANDOM, secret: bytes = SECRET) -> bytes:
    return f"{label} {random.hex()} {secret.hex()}\n".encode()


def fed(*parts: bytes, limit: int = 100) -> KeyLog:
    log = KeyLog(Limits(key_log_randoms=limit))
    for part in parts:
        log.feed("file", part)
    return log


@pytest.mark.parametrize("size", [32, 48])
@pytest.mark.parametrize(
    "label",
    [
        "CLIENT_EARLY_TRAFFIC_SECRET",
        "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
        "SERVER_HANDSHAKE_TRAFFIC_SECRET",
        "CLIENT_TRAFFIC_SECRET_0",
        "SERVER_TRAFFIC_SECRET_0",
    ],
)
def test_every_label_that_protects_records(label: str, size: int) -> None:
    log = fed(line(label, secret=bytes(size)))
    assert dict(log.find(RANDOM)) == {label: (bytes(size),)}
    assert log.generation == 1


def test_exporter_secrets_are_lines_and_are_not_kept() -> None:
    log = fed(line("EXPORTER_SECRET"), line("EARLY_EXPORTER_SECRET"))
    assert (log.lines, log.bad_lines, log.generation, len(log)) == (2, 0, 0, 0)


def test_comments_carriage_returns_upper_case_and_empty_lines() -> None:
    log = fed(b"# a comment\r\n\r\n   \n" + line().upper().replace(b"\n", b"\r\n"))
    assert log.find(RANDOM)[MASTER_SECRET] == (SECRET,)
    assert (log.lines, log.bad_lines) == (4, 0)


@pytest.mark.parametrize(
    "bad",
    [
        b"CLIENT_RANDOM\n",
        b"CLIENT_RANDOM " + RANDOM.hex().encode() + b"\n",
        line(secret=SECRET[:-1]),
        line(random=RANDOM[:-1]),
        line(CLIENT_TRAFFIC, secret=bytes(33)),
        line().replace(b"0a", b"0g"),
        line().replace(b" ", b"\xff"),
        bytes(range(128, 256)) + b"\n",
        b"x" * 100_000 + b"\n",
        line()[:-1] + b" more\n",
    ],
)
def test_bad_lines_are_counted_and_cost_nothing_else(bad: bytes) -> None:
    log = fed(bad + line())
    assert (log.lines, log.bad_lines) == (2, 1)
    assert log.find(RANDOM)[MASTER_SECRET] == (SECRET,)


def test_labels_of_others_are_no_bad_lines() -> None:
    assert fed(line("QUIC_CLIENT_TRAFFIC_SECRET_0"), b"RSA " + b"00" * 8 + b" " + b"00" * 48 + b"\n").bad_lines == 0


def test_a_last_line_waits_for_its_end() -> None:
    whole = line()
    log = KeyLog(Limits())
    for at in range(len(whole)):
        assert not log.find(RANDOM)
        log.feed("file", whole[at : at + 1])
    assert log.find(RANDOM)


def test_the_end_of_a_source_ends_its_last_line() -> None:
    log = fed(line()[:-1])
    assert not log.find(RANDOM)
    log.end("file")
    assert log.find(RANDOM)
    assert log.generation == 1


def test_sources_do_not_run_into_each_other() -> None:
    log = KeyLog(Limits())
    first, second = line(), line(random=bytes(32))
    log.feed("one", first[:50])
    log.feed("two", second[:60])
    log.feed("one", first[50:])
    log.feed("two", second[60:])
    assert log.find(RANDOM)
    assert log.find(bytes(32))
    assert log.bad_lines == 0


def test_a_truncated_source_begins_anew() -> None:
    log = fed(line()[:70])
    log.restart("file")
    log.feed("file", line(random=bytes(32)))
    assert (len(log), log.bad_lines) == (1, 0)


def test_several_secrets_for_one_label_newest_first_and_bounded() -> None:
    log = fed(*(line(secret=bytes([n]) * 48) for n in range(20)))
    found = log.find(RANDOM)[MASTER_SECRET]
    assert found[0] == bytes([19]) * 48
    assert 2 <= len(found) <= 8


def test_the_same_line_again_teaches_nothing() -> None:
    log = fed(line())
    log.feed("file", line() * 3)
    assert log.generation == 1


def test_the_oldest_connections_go() -> None:
    log = fed(*(line(random=n.to_bytes(32)) for n in range(10)), limit=4)
    assert len(log) == 4
    assert not log.find((5).to_bytes(32))
    assert [random for random, _ in log.secrets(MASTER_SECRET)] == [n.to_bytes(32) for n in (9, 8, 7, 6)]
    assert not list(log.secrets(SERVER_TRAFFIC))


@pytest.mark.parametrize("size", [1, 100, 10_000])
def test_a_line_that_is_too_long_is_bad_in_pieces_and_at_once(size: int) -> None:
    data = b"#" + bytes(600) + b"\nQUIC_X 00 " + b"0b" * 300 + b"\n" + line()
    log = fed(*(data[at : at + size] for at in range(0, len(data), size)))
    assert (log.lines, log.bad_lines, len(log)) == (3, 2, 1)


def test_memory_is_bounded_on_a_line_without_end() -> None:
    log = KeyLog(Limits())
    for _ in range(1000):
        log.feed("file", b"x" * 10_000)
    assert log.bad_lines == 1
    assert sum(len(tail or b"") for tail in log._tails.values()) <= 512


def test_nothing_shows_a_secret() -> None:
    log = fed(line())
    for text in (repr(log), str(log), repr(vars(log).keys())):
        assert SECRET.hex() not in text
        assert repr(SECRET) not in text

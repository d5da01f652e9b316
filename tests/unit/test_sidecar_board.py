from __future__ import annotations

import os
import random
import signal
import time

import pytest

from sniffer.sidecar.board import Board


def test_the_latest_record_stands() -> None:
    board = Board()
    assert board.read() is None
    for number in range(5):
        board.post({"number": number, "list": [1, 2, None]})
        assert board.read() == {"number": number, "list": [1, 2, None]}


def test_a_record_that_is_too_large_leaves_the_one_before() -> None:
    board = Board(100)
    board.post("small")
    with pytest.raises(ValueError, match="102 bytes on a board of 100"):
        board.post("x" * 100)
    assert board.read() == "small"


def test_a_writer_killed_at_any_moment_leaves_a_whole_record() -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    board = Board()
    for _ in range(30):
        child = os.fork()
        if not child:
            number = 0
            while True:
                number += 1
                board.post([number] * (number % 300))
        time.sleep(rng.uniform(0.001, 0.01))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        record = board.read()
        if record:
            assert set(record) == {record[0]}
            assert len(record) == record[0] % 300


def test_a_reader_beside_a_writer_sees_whole_records_only() -> None:
    board = Board()
    child = os.fork()
    if not child:
        number = 0
        while True:
            number += 1
            board.post([number] * (1 + number % 300))
            time.sleep(0.0001)
    try:
        seen = set()
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            record = board.read()
            if record is not None:
                assert len(set(record)) == 1
                assert len(record) == 1 + record[0] % 300
                seen.add(record[0])
        assert len(seen) > 100
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)

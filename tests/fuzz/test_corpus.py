"""Each target runs its seeds, and each input that once showed a fault, in bounded time."""

from __future__ import annotations

import time

import pytest

from tests.fuzz.__main__ import CORPUS
from tests.fuzz.targets import TARGETS

LONGEST = 10.0
"""Seconds of processor time for one input; the slowest takes some tenths."""


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_and_what_was_found(name: str) -> None:
    target = TARGETS[name]
    inputs = [("seed", seed) for seed in target.seeds()]
    inputs += [(path.name, path.read_bytes()) for path in sorted((CORPUS / name).glob("*"))]
    assert inputs
    for where, data in inputs:
        begin = time.process_time()
        target.run(data)
        assert time.process_time() - begin < LONGEST, where


def test_the_corpus_belongs_to_targets() -> None:
    assert {path.name for path in CORPUS.iterdir()} <= TARGETS.keys()

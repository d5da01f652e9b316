"""Deflate streams that no sender writes."""

from __future__ import annotations

import pickle
import zlib

import pytest

from sniffer.wire.deflate import CUT_OFF, InflateError, Inflater
from tests.frames import Deflater


def test_a_kept_state_inside_a_block_is_poisoned() -> None:
    """A message may stop in the middle of a block, and every receiver takes it; what zlib then remembers cannot be kept."""
    compressor = zlib.compressobj(wbits=-15, strategy=zlib.Z_FIXED)
    cut = (compressor.compress(b'{"p":"0.5"}') + compressor.flush())[:-1]
    inflater = Inflater(True, 15, 1000)
    assert inflater.inflate(cut) == b'{"p":"0.5"}'
    kept = pickle.loads(pickle.dumps(inflater))
    with pytest.raises(InflateError, match=CUT_OFF):
        kept.inflate(Deflater()(b"{}"))


def test_any_other_state_is_kept() -> None:
    deflate, inflater = Deflater(), Inflater(True, 15, 1000)
    for number in range(5):
        text = b'{"number":%d}' % number
        assert inflater.inflate(deflate(text)) == text
        inflater = pickle.loads(pickle.dumps(inflater))

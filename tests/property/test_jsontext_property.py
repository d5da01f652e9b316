"""A key that stands twice is found however the JSON is spaced, and whatever colons and quotes its strings hold."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from sniffer.exchanges.jsontext import _refuse_duplicates, parse
from sniffer.exchanges.numbers import Broken

STRINGS = st.sampled_from(["a", "b", "a:b", '"', '":', "\\", 'x" :', "12:30:00", 'a":"b', " :", '\\":', "\t:"]).map(json.dumps)
SPACE = st.sampled_from(["", "", "", " ", "\t", "\n", "\r", "  "])


def _pairs(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pair = st.tuples(STRINGS, SPACE, SPACE, values).map(lambda p: f"{p[0]}{p[1]}:{p[2]}{p[3]}")
    return st.lists(pair, max_size=4).map(lambda found: "{" + ",".join(found) + "}")


TEXTS = st.recursive(
    STRINGS | st.just("1"),
    lambda values: _pairs(values) | st.lists(values, max_size=3).map(lambda found: "[" + ",".join(found) + "]"),
    max_leaves=12,
)


def refused(read: object, payload: bytes) -> bool:
    assert callable(read)
    try:
        read(payload)
    except Broken:
        return True
    return False


@settings(max_examples=400, deadline=None, print_blob=True)
@given(TEXTS)
def test_the_quick_count_agrees_with_a_second_reading(text: str) -> None:
    payload = text.encode()
    assert refused(parse, payload) == refused(_refuse_duplicates, payload)

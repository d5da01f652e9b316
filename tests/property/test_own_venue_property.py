"""Venues of the settings: whatever is declared is refused in one line or works, and whatever arrives never raises."""

from __future__ import annotations

import copy
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sniffer import exchanges
from sniffer.errors import UsageError
from sniffer.exchanges.base import ConnectionFacts
from sniffer.exchanges.declaration import declarations
from sniffer.model import OPCODE_BINARY, OPCODE_HTTP, OPCODE_TEXT, HttpHead, Message

DOCS = Path(__file__).parents[2] / "docs" / "own-venue.md"
EXAMPLES = re.findall(r"^```toml\n(.*?)^```$", DOCS.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
DECLARED: dict[str, Any] = {name: table for text in EXAMPLES[:3] for name, table in tomllib.loads(text)["venues"].items()}

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(10**17, 10**40), st.text(max_size=6),
    st.sampled_from(["order", "trade", "B", "open", "1:42", "NaN", "1e400", "-1", "9" * 50, "data.0", "(", "(?P<a>.)"]),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)
ORDER = {
    "channel": "order",
    "data": [{"t": 1, "s": "A", "id": 7, "side": "B", "st": "open", "px": "1", "qty": 2, "fill": {"total": 1}}],
}
TRADE = {
    "channel": "trade",
    "data": {"t": 1, "s": "A", "tid": 5, "id": 7, "side": "S", "px": "1", "qty": "3", "fee": "0", "m": "M"},
}


@pytest.fixture(autouse=True)
def _known_venues_again() -> Iterator[None]:
    yield
    exchanges.use(())


def places(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, child in items for found in [(*way, key), *places(child, (*way, key))]]


def changed(document: Any, data: st.DataObject) -> Any:
    """A document with one place dropped or replaced."""
    document = copy.deepcopy(document)
    *way, last = data.draw(st.sampled_from(places(document)))
    parent = document
    for key in way:
        parent = parent[key]
    if data.draw(st.booleans()):
        del parent[last]
    else:
        parent[last] = data.draw(VALUES)
    return document


def messages(payload: bytes) -> Iterator[Message]:
    for opcode, head in ((OPCODE_TEXT, None), (OPCODE_BINARY, None), (OPCODE_HTTP, HttpHead("POST", "/orders", None, ()))):
        yield Message(1, "client", 0, 0, 0, opcode, payload, head)
        yield Message(1, "server", 0, 0, 0, opcode, payload, head)


@settings(max_examples=300, deadline=None, print_blob=True)
@given(st.data())
def test_a_declaration_is_refused_in_one_line_or_works(data: st.DataObject) -> None:
    table = changed(DECLARED, data)
    refused = ""
    try:
        declared, _ = declarations(table, exchanges.VENUES)
    except UsageError as error:
        declared, refused = [], str(error)
    assert not refused or (refused.startswith("setting venues") and "\n" not in refused)
    for venue in declared:
        assert venue.recognises("localhost", "/", 1) in (True, False)
        decoder = venue.decoder(ConnectionFacts())
        for payload in (b"1:42", json.dumps(ORDER).encode(), json.dumps(TRADE).encode()):
            for message in messages(payload):
                decoder.decode(message)
                decoder.wanted(message.sender, message.opcode)(payload)


@settings(max_examples=300, deadline=None, print_blob=True)
@given(st.data())
def test_what_arrives_is_a_row_or_a_problem_and_never_raises(data: st.DataObject) -> None:
    declared, _ = declarations(DECLARED, exchanges.VENUES)
    document = changed(data.draw(st.sampled_from([ORDER, TRADE])), data)
    payload = json.dumps(document).encode()
    if data.draw(st.booleans()):
        payload = payload[: data.draw(st.integers(0, len(payload)))] + data.draw(st.binary(max_size=4))
    for venue in declared:
        decoder = venue.decoder(ConnectionFacts())
        for message in messages(payload):
            decoded = decoder.decode(message)
            if decoded is None or decoded.kind == "login":
                continue
            assert decoded.orders or decoded.fills or decoded.problem or document.get("data") == []
            for row in decoded.orders:
                assert row.side in (None, "buy", "sell")
                assert row.exchange_time is None or 0 <= row.exchange_time < 2**63
            for fill in decoded.fills:
                assert fill.price is not None
                assert fill.quantity

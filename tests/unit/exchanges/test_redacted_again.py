"""What is stored decodes as what was captured: each venue's fixtures, and the same without their secrets and HTTP headers.

`sniffer redecode` relies on it. Accounts are not compared: a key that is redacted tells none.
"""

from __future__ import annotations

from typing import Any

import pytest

from sniffer.config import REDACTED
from sniffer.exchanges import by_name, redact, redact_blob, redact_path
from sniffer.exchanges.base import LOGIN, ConnectionFacts, Decoder
from sniffer.exchanges.inflate import json_inside
from sniffer.model import Message
from tests.property.test_venues_property import MODULES, raw, registered, sent


def meaning(decoder: Decoder, message: Message) -> Any:
    """Kind, rows without their accounts, and problem. A message that no decoder wanted is not stored."""
    decoded = decoder.decode(message) if decoder.wanted(message.sender, message.opcode)(message.payload) else None
    if decoded is None:
        return None
    rows: list[Any] = [*decoded.orders, *decoded.fills]
    return decoded.kind, [row._replace(account=None) for row in rows], decoded.problem


def stored(venue: str, message: Message) -> Message:
    """The message as the tables keep it."""
    whose, payload, head = by_name(venue), message.payload, message.http
    try:
        text = json_inside(payload) or payload.decode()
        payload = redact(whose, message.sender, text).encode()
    except UnicodeDecodeError:
        payload = redact_blob(whose, message.sender, payload)
    if head is not None and head.target is not None:
        head = head._replace(target=redact_path(whose, head.target), headers=())
    return message._replace(payload=payload, http=head)


@pytest.mark.parametrize("module", MODULES)
def test_without_secrets_all_is_as_it_was(module: str) -> None:
    fixtures, _ = registered(module)
    decoders: dict[str, tuple[Decoder, Decoder]] = {}
    compared = 0
    for venue, sender, payload, call in fixtures:
        if venue not in decoders:
            facts = ConnectionFacts(name_of=lambda key: "" if REDACTED in key else key)
            decoders[venue] = (by_name(venue).decoder(ConnectionFacts()), by_name(venue).decoder(facts))
        message = sent(sender, raw(payload), call)
        first = meaning(decoders[venue][0], message)
        if first is None or first[0] == LOGIN:  # not stored
            continue
        assert meaning(decoders[venue][1], stored(venue, message)) == first, payload
        compared += 1
    assert compared

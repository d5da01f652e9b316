"""The frame of the venues, by the smallest venue that there is."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from sniffer.exchanges import VENUES, venue_of
from sniffer.exchanges.base import (
    AMEND,
    JOINED_BYTES,
    LOGIN,
    PLACE,
    REQUEST,
    RESPONSE,
    UPDATE,
    ConnectionFacts,
    Decoded,
    Rows,
    always,
    never,
)
from sniffer.exchanges.calls import body_parameters, header
from sniffer.exchanges.fields import each, optional_list, optional_objects, request_id_of, text
from sniffer.exchanges.jsontext import Row, parse_object
from sniffer.exchanges.numbers import Broken
from sniffer.exchanges.redact import Secrets
from sniffer.exchanges.venue import ListedVenue, VenueDecoder
from sniffer.model import OPCODE_BINARY, OPCODE_HTTP, OPCODE_PING, OPCODE_TEXT, HttpHead, Message, Sender
from tests.unit.exchanges.conversation import connect, message, shown


def marked(payload: bytes) -> bool:
    return b"order" in payload


class SmallDecoder(VenueDecoder):
    __slots__ = ()

    wanted_text = staticmethod(marked)

    def _websocket(self, message: Message) -> Decoded | None:
        rows = Rows(message, "small", self.account)
        rows.order(UPDATE, order_id=text(parse_object(message.payload), "order"))
        return rows.decoded(UPDATE)


class CarefulDecoder(SmallDecoder):
    __slots__ = ()

    wanted_binary = staticmethod(never)

    def _unread(self, message: Message) -> str | None:
        return LOGIN if b"key" in message.payload else None


class Small(ListedVenue):
    def owns_path(self, path: str) -> bool:
        return path == "/small?v=1"


VENUE = Small("small", ("a.example", "b.example"), Secrets(("key",)), SmallDecoder)
CAREFUL = ListedVenue("careful", ("c.example",), Secrets(("key",)), CarefulDecoder)


def test_a_venue_is_told_by_its_hosts_and_by_a_path_of_its_own() -> None:
    assert VENUE.recognises("B.example.", None, None)
    assert VENUE.recognises("other.example", "/small?v=1", 443)
    assert not VENUE.recognises("other.example", "/small", 443)
    assert not VENUE.recognises(None, None, None)
    assert not CAREFUL.recognises("other.example", "/small?v=1", 443)
    assert not CAREFUL.looks_like("server", b'{"order":"1"}')


def test_a_host_that_a_venue_lists_is_that_venues_whatever_the_path() -> None:
    for path in ("/v5/trade/order", "/v5/private", "/ws-api/v3", "/ws/api/v2"):
        assert {host: venue_of(host, path, 443) for venue in VENUES for host in venue.hosts} == {
            host: venue for venue in VENUES for host in venue.hosts
        }


def test_secrets_go() -> None:
    assert "PLANTED" not in VENUE.redact("client", '{"key":"PLANTED"}') + VENUE.redact_path("/x?key=PLANTED")


@pytest.mark.parametrize(
    ("venue", "sender", "opcode", "search"),
    [
        (VENUE, "client", OPCODE_TEXT, always),
        (VENUE, "server", OPCODE_TEXT, marked),
        (VENUE, "client", OPCODE_BINARY, always),
        (VENUE, "server", OPCODE_BINARY, always),
        (CAREFUL, "client", OPCODE_BINARY, never),
        (CAREFUL, "server", OPCODE_BINARY, never),
        (CAREFUL, "client", OPCODE_HTTP, always),
        (CAREFUL, "server", OPCODE_HTTP, always),
        (VENUE, "client", OPCODE_PING, never),
    ],
)
def test_what_is_wanted(venue: ListedVenue, sender: Sender, opcode: int, search: Any) -> None:
    assert connect(venue).wanted(sender, opcode) is search


def test_what_cannot_be_read_is_a_problem_of_the_kind_that_it_has() -> None:
    decoder = connect(VENUE, account="alice")
    read = decoder.decode(message("server", {"order": "1"}))
    assert read is not None
    assert [shown(row, "order_id", "account") for row in read.orders] == [("1", "alice")]
    for sender, kind in (("client", REQUEST), ("server", UPDATE)):
        assert decoder.decode(message(sender, {"order": 1})) == Decoded(kind, [], [], "field order: not a text")  # type: ignore[arg-type]
    careful = connect(CAREFUL)
    assert careful.decode(message("server", {"order": 1})) is None
    assert careful.decode(message("client", {"key": 1})) == Decoded(LOGIN, [], [])  # a login is never kept, nor is a loss


def test_a_venue_without_rest_reads_none() -> None:
    decoder = connect(VENUE)
    assert decoder.decode(message("client", {"order": "1"}, "POST /order")) is None
    assert decoder.decode(message("server", {"order": "1"}, "POST /order", 200)) is None
    assert decoder.decode(Message(1, "client", 0, 0, 0, OPCODE_HTTP, b"")) is None


# --- what its parts are built of ---


def rows_of(payload: bytes = b"x") -> Rows:
    return Rows(Message(1, "server", 5, 0, 9, OPCODE_TEXT, payload), "small", None)


def test_a_request_that_is_too_long_is_not_kept() -> None:
    for size, kept in ((JOINED_BYTES, 1), (JOINED_BYTES + 1, 0)):
        rows = rows_of(b"x" * size)
        rows.skip()
        order = rows.order(REQUEST, action=PLACE)
        assert rows.to_join() == (order,) * kept
        assert rows.to_join_by_ordinal(3) == (None, order, None)[: 3 * kept]


def test_a_refusal_rejects_a_placement_and_changes_nothing_else() -> None:
    one = Decimal(1)
    asked = [rows_of().order(REQUEST, action=action, price=one, quantity_unit="base") for action in (PLACE, AMEND)]
    rows = rows_of()
    for order in asked:
        rows.refused(order, reason="no")
        rows.refused(order, unknown=True)
    columns = ("kind", "sender", "position", "item", "captured_at", "status", "price", "quantity_unit", "reason")
    assert [shown(row, *columns) for row in rows.orders] == [
        (RESPONSE, "server", 5, 0, 9, "REJECTED", one, "base", "no"),
        (RESPONSE, "server", 5, 1, 9, None, one, "base", None),
        (RESPONSE, "server", 5, 2, 9, None, None, None, "no"),
        (RESPONSE, "server", 5, 3, 9, None, None, None, None),
    ]


def test_orders_that_belong_together_stand_all_or_none() -> None:
    rows = rows_of()

    def ask() -> str | None:
        rows.skip()
        rows.order(REQUEST)
        if len(rows.orders) > 1:
            raise Broken("the second")
        return None

    assert rows.all_or_none(ask, needed=True).problem is None
    assert rows.all_or_none(ask, needed=True) == Decoded(REQUEST, [], [], "the second")
    assert rows.order(REQUEST).item == 0
    assert rows_of().all_or_none(lambda: None) == Decoded(REQUEST, [], [])
    assert rows_of().all_or_none(lambda: None, needed=True).problem == "an order request that names no order"


def test_a_broken_item_leaves_the_others() -> None:
    read: list[str] = []
    skipped: list[None] = []

    def add(row: Row) -> str | None:
        read.append(text(row, "id"))
        return "of its own" if row["id"] == "b" else None

    items = [{"id": "a"}, 7, {"id": "b"}, {}, {"id": "c"}]
    assert each(items, add, what="a thing", broken=lambda: skipped.append(None)) == "a thing that is no object"
    assert (read, len(skipped)) == (["a", "b", "c"], 2)
    assert each(items[2:], add) == "of its own"
    assert each([], add) is None


def test_fields_that_may_be_missing() -> None:
    assert [request_id_of({"id": value}, "id") for value in (None, "", "x", 7)] == [None, "", "x", "7"]
    for value in (True, [], {}):
        with pytest.raises(Broken, match="field id"):
            request_id_of({"id": value}, "id")
    assert optional_list({}, "a") == optional_list({"a": None}, "a") == optional_objects({"a": None}, "a") == []
    assert optional_objects({"a": [{}]}, "a") == [{}]
    for read, value in ((optional_list, {}), (optional_objects, [1]), (optional_objects, {})):
        with pytest.raises(Broken, match="field a"):
            read({"a": value}, "a")


def test_a_call() -> None:
    head = HttpHead("GET", "/x", None, (("key", "a"), ("key", "b")))
    assert (header(head, "key"), header(head, "other")) == ("a", None)
    assert body_parameters(b"a=1&b=x%20y") == {"a": "1", "b": "x y"}
    assert body_parameters(json.dumps({"a": 1}).encode()) == {"a": 1}
    with pytest.raises(Broken, match="UTF-8"):
        body_parameters(b"a=\xff")


def test_a_decoder_has_no_attributes_but_its_slots() -> None:
    with pytest.raises(AttributeError):
        CarefulDecoder(ConnectionFacts()).other = 1  # type: ignore[attr-defined]

"""Messages to rows: whose they are, what is kept of them, what never is, and in which order they are examined."""

from __future__ import annotations

import gzip
import itertools
import json
import zlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sniffer.config import REDACTED
from sniffer.examine import Examiner
from sniffer.exchanges import VENUES
from sniffer.exchanges.base import Decoded
from sniffer.exchanges.binance_spot import BinanceSpotDecoder
from sniffer.exchanges.bitmex import BitmexDecoder
from sniffer.model import (
    OPCODE_BINARY,
    OPCODE_CLOSE,
    OPCODE_HTTP,
    OPCODE_PING,
    OPCODE_PONG,
    OPCODE_TEXT,
    Batch,
    HttpHead,
    Message,
    Sender,
    WireMessage,
)
from sniffer.wire.connection import Connection, Delivery
from tests.property.test_venues_property import MODULES, raw, registered

KEY = "MadeUpKeyForThisTestOnly" + "a1" * 20
SPOT = "stream.binance.com"


def connection(host: str | None = None, path: str | None = "/ws", number: int = 1) -> Connection:
    """As much of a connection as an examiner asks for; `holes` are what was lost."""
    found = SimpleNamespace(id=number, host=host, path=path, server_address=("198.51.100.1", 9443), holes=[])

    def take_holes() -> list[tuple[Sender, int]]:
        holes, found.holes = found.holes, []
        return holes

    found.conversation = SimpleNamespace(take_holes=take_holes)
    return cast("Connection", found)


def examiner(*, keep_all: bool = False, account: str | None = None) -> Examiner:
    return Examiner("capture", keep_all, account, lambda secret: f"account of {len(secret)} letters")


def message(
    payload: Any, at: int = 1, *, position: int = 0, opcode: int = OPCODE_TEXT, http: HttpHead | None = None
) -> WireMessage:
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return position, at, at, opcode, data, http


def server(*messages: WireMessage) -> Delivery:
    return [("server", list(messages))]


def client(*messages: WireMessage) -> Delivery:
    return [("client", list(messages))]


def report(**fields: Any) -> dict[str, Any]:
    """An execution report as Binance Spot documents it."""
    event = {
        "e": "executionReport", "E": 1700000000123, "s": "EXMUSDT", "c": "mine-1", "S": "BUY", "o": "LIMIT", "f": "GTC",
        "q": "2.50", "p": "0.10", "P": "0.00", "F": "0.00", "g": -1, "C": "", "x": "NEW", "X": "NEW", "r": "NONE", "i": 77,
        "l": "0.00", "z": "0.00", "L": "0.00", "n": "0", "N": None, "T": 1700000000123, "t": -1, "I": 1, "w": True, "m": False,
        "M": False, "O": 1700000000123, "Z": "0.00", "Y": "0.00", "Q": "0.00",
    }  # fmt: skip
    return event | fields


def place(**params: Any) -> dict[str, Any]:
    order = {"symbol": "EXMUSDT", "side": "SELL", "type": "LIMIT", "timeInForce": "GTC", "price": "0.20", "quantity": "3"}
    return {"id": "r-1", "method": "order.place", "params": order | {"apiKey": KEY, "signature": "5" * 64} | params}


DEPTH = {"stream": "exmusdt@depth", "data": {"e": "depthUpdate", "s": "EXMUSDT", "b": [["0.10", "5"]], "a": []}}
LOGON = {"id": "l", "method": "session.logon", "params": {"apiKey": KEY, "signature": "5" * 64, "timestamp": 1}}


def everything(batch: Batch) -> str:
    return repr((batch.messages, batch.order_events, batch.fill_events, batch.losses))


# --- whose it is ---------------------------------------------------------------------------------------------------------


def test_a_venue_is_known_by_its_host_and_only_order_messages_are_kept() -> None:
    batch, spot = Batch(), connection(SPOT)
    examined = examiner()
    examined.examine([(spot, server(message(DEPTH), message(report(), position=1)))], batch)
    assert [(row.position, row.kind, row.venue) for row in batch.messages] == [(1, "update", "binance-spot")]
    assert [(row.order_id, str(row.price)) for row in batch.order_events] == [("77", "0.10")]
    assert examined.facts(spot) == ("binance-spot", False, None, "/ws", 0)


def test_a_venue_is_known_by_its_path_whatever_the_host() -> None:
    batch, spot = Batch(), connection("127.0.0.1", "/ws-api/v3")
    examined = examiner()
    examined.examine([(spot, client(message(place())))], batch)
    assert [row.kind for row in batch.order_events] == ["request"]
    assert examined.facts(spot)[:2] == ("binance-spot", False)


def test_a_venue_is_guessed_by_an_order_message_and_what_came_before_is_counted() -> None:
    batch, unknown = Batch(), connection("127.0.0.1")
    examined = examiner()
    examined.examine([(unknown, server(message(DEPTH), message(b"", opcode=OPCODE_PING, position=1)))], batch)
    assert examined.facts(unknown) == (None, False, None, "/ws", 2)
    examined.examine([(unknown, server(message(report(), position=2), message(DEPTH, position=3)))], batch)
    assert [row.position for row in batch.messages] == [2]
    assert examined.facts(unknown) == ("binance-spot", True, None, "/ws", 2)


def test_a_connection_of_nobody_is_counted_and_not_kept() -> None:
    batch, unknown = Batch(), connection("exchange.example")
    examined = examiner()
    for at in range(3):
        examined.examine([(unknown, server(message({"orders": [at]}, position=at)))], batch)
    assert not batch
    assert examined.facts(unknown) == (None, False, None, "/ws", 3)


def test_a_host_that_is_learnt_later_counts() -> None:
    batch, late = Batch(), connection(None, None)
    examined = examiner()
    examined.examine([(late, server(message(DEPTH)))], batch)
    late.host = SPOT
    examined.examine([(late, server(message(report(), position=1)))], batch)
    assert len(batch.order_events) == 1
    assert examined.facts(late)[:2] == ("binance-spot", False)


def test_connections_are_told_apart_and_forgotten() -> None:
    batch, examined = Batch(), examiner()
    one, two = connection(SPOT, number=1), connection("exchange.example", number=2)
    for at in range(2):
        examined.examine([(one, server(message(report(), position=at)))], batch)
        examined.examine([(two, server(message({"a": at}, position=at)))], batch)
    assert {row.connection_id for row in batch.messages} == {1}
    assert examined.facts(two)[4] == 2
    examined.forget(2)
    assert examined.facts(two)[4] == 0, "known of it is nothing any more"


# --- what is kept --------------------------------------------------------------------------------------------------------


def test_all_messages_are_kept_when_asked_also_those_of_nobody() -> None:
    batch, examined = Batch(), examiner(keep_all=True)
    examined.examine([(connection(SPOT), server(message(DEPTH), message(report(), position=1)))], batch)
    examined.examine(
        [(connection("exchange.example", number=2), client(message({"a": 1}), message(b"x", opcode=OPCODE_PING)))], batch
    )
    kept = [(row.connection_id, row.opcode, row.venue, row.kind) for row in batch.messages]
    assert kept == [
        (1, "text", "binance-spot", "other"), (1, "text", "binance-spot", "update"),
        (2, "text", None, "other"), (2, "ping", None, "other"),
    ]  # fmt: skip
    assert examined.facts(connection("exchange.example", number=2))[4] == 2


@pytest.mark.parametrize("module", MODULES)
def test_what_is_decoded_does_not_depend_on_what_is_kept(module: str) -> None:
    """Of control frames and of bytes, too: what no search would find is no order and no loss, whatever is in it."""
    hosts = {venue.name: venue.hosts[0] for venue in VENUES}
    fixtures = [(hosts[venue], raw(value)) for venue, _, value, call in registered(module)[0] if call is None]
    fixtures += [(host, gzip.compress(payload)) for host, payload in fixtures] + [(fixtures[0][0], b"\x03\xe8")]
    sides: tuple[Sender, ...] = ("client", "server")
    seen = 0
    for opcode in (OPCODE_TEXT, OPCODE_BINARY, OPCODE_CLOSE, OPCODE_PING, OPCODE_PONG):
        found = []
        for keep_all in (False, True):
            batch, examined = Batch(), examiner(keep_all=keep_all)
            for number, (host, payload) in enumerate(fixtures):
                for side in sides:
                    said: Delivery = [(side, [message(payload, number + 1, opcode=opcode)])]
                    examined.examine([(connection(host, None, number), said)], batch)
            found.append((batch.order_events, batch.fill_events, batch.losses))
        assert found[0] == found[1]
        assert opcode < OPCODE_CLOSE or not any(found[0])
        seen += len(batch.order_events)
    assert seen


def test_a_login_is_never_kept() -> None:
    answer = {"id": "l", "status": 200, "result": {"apiKey": KEY, "authorizedSince": 1, "connectedSince": 1}}
    for keep_all in (False, True):
        batch, examined = Batch(), examiner(keep_all=keep_all)
        api = connection("ws-api.binance.com", "/ws-api/v3")
        examined.examine([(api, client(message(LOGON)))], batch)
        examined.examine([(api, server(message(answer)))], batch)
        assert not batch
        assert examined.facts(api)[2] == f"account of {len(KEY)} letters", "but it says whose orders these are"


def test_no_secret_is_kept_of_a_venue_or_of_nobody() -> None:
    for host in ("ws-api.binance.com", "exchange.example"):
        batch, examined = Batch(), examiner(keep_all=True)
        path = f"/ws?listenKey={KEY}"
        there = connection(host, path)
        head = HttpHead("POST", f"/order?signature={KEY}&symbol=EXMUSDT", None, (("x-mbx-apikey", KEY),))
        examined.examine([(there, client(message(b"", opcode=OPCODE_HTTP, http=head)))], batch)
        examined.examine([(there, client(message({"apiKey": KEY, "symbol": "EXMUSDT"})))], batch)
        examined.examine([(there, client(message(b'{"apiKey":"' + KEY.encode() + b'","a":"\xff"}')))], batch)
        examined.examine([(there, client(message(b'{"apiKey":"' + KEY.encode() + b'"}\x00', opcode=OPCODE_BINARY)))], batch)
        assert len(batch.messages) == 4
        assert KEY not in everything(batch)
        assert everything(batch).count(REDACTED) >= 4
        assert "EXMUSDT" in (batch.messages[0].http_target or "")
        assert KEY not in str(examined.facts(there)[3])


def test_text_that_is_not_utf8_and_binary_are_kept_as_bytes() -> None:
    batch = Batch()
    examiner(keep_all=True).examine(
        [(connection("exchange.example"), server(message(b"\xff\xfe"), message(b"\x00\x01", opcode=OPCODE_BINARY)))], batch
    )
    assert [(row.opcode, row.payload, row.payload_blob) for row in batch.messages] == [
        ("text", None, b"\xff\xfe"), ("binary", None, b"\x00\x01"),
    ]  # fmt: skip


def test_an_order_message_that_is_broken_is_kept_with_a_loss() -> None:
    batch = Batch()
    examiner().examine([(connection(SPOT), server(message(report(p="many"), 5, position=3)))], batch)
    assert [(row.position, row.kind) for row in batch.messages] == [(3, "update")]
    assert '"many"' in (batch.messages[0].payload or "")
    (loss,) = batch.losses
    assert (loss.capture_id, loss.connection_id, loss.sender, loss.from_time, loss.messages) == ("capture", 1, "server", 5, 1)
    assert loss.layer == "decoder"
    assert loss.bytes == len(json.dumps(report(p="many")))
    assert all(row.price is None for row in batch.order_events), "nothing is guessed"


def test_http_calls_are_joined_with_their_answers() -> None:
    batch, rest = Batch(), connection("api.binance.com", None)
    examined = examiner()
    target = f"/api/v3/order?symbol=EXMUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=0.1&quantity=5&signature={KEY}"
    headers = (("x-mbx-apikey", KEY),)
    refusal = {"code": -2010, "msg": "Account has insufficient balance for requested action."}
    examined.examine([(rest, client(message(b"", 1, opcode=OPCODE_HTTP, http=HttpHead("POST", target, None, headers))))], batch)
    head = HttpHead("POST", target, 400, ())
    examined.examine([(rest, server(message(refusal, 2, opcode=OPCODE_HTTP, http=head)))], batch)
    assert [(row.kind, row.symbol, str(row.price), row.status) for row in batch.order_events] == [
        ("request", "EXMUSDT", "0.1", None), ("response", "EXMUSDT", "0.1", "REJECTED"),
    ]  # fmt: skip
    assert [(row.http_method, row.http_status) for row in batch.messages] == [("POST", None), ("POST", 400)]
    assert KEY not in everything(batch)


def test_the_configured_account_is_used_where_no_key_is_seen() -> None:
    batch, examined = Batch(), examiner(account="main")
    examined.examine([(connection(SPOT), server(message(report())))], batch)
    assert [row.account for row in batch.order_events] == ["main"]
    assert examined.facts(connection("exchange.example", number=2))[2] == "main"


# --- in which order ------------------------------------------------------------------------------------------------------


def test_both_sides_are_examined_in_the_order_of_capture_the_client_first() -> None:
    answer = {"id": "r-1", "status": 400, "error": {"code": -2010, "msg": "no"}}
    batch = Batch()
    delivery: Delivery = [
        ("server", [message(report(i=1), 1), message(answer, 5, position=1), message(report(i=2), 6, position=2)]),
        ("client", [message(place(), 5)]),
    ]
    delivery.sort()  # as the engine gives it: the client first
    examiner().examine([(connection("ws-api.binance.com", "/ws-api/v3"), delivery)], batch)
    assert [(row.sender, row.kind, row.status) for row in batch.order_events] == [
        ("server", "update", "NEW"),
        ("client", "request", None),
        ("server", "response", "REJECTED"),
        ("server", "update", "NEW"),
    ]


def test_a_guess_does_not_depend_on_how_messages_are_delivered() -> None:
    sent: list[tuple[Sender, WireMessage]] = [
        ("server", message(DEPTH, 1)),
        ("client", message({"ping": 1}, 2)),
        ("server", message(report(), 3, position=1)),
        ("client", message(place(), 4, position=1)),
        ("server", message(DEPTH, 5, position=2)),
    ]

    def deliveries(size: int) -> Iterator[Delivery]:
        for at in range(0, len(sent), size):
            part = sent[at : at + size]
            sides: tuple[Sender, ...] = ("client", "server")
            yield [(side, found) for side in sides if (found := [one for sender, one in part if sender == side])]

    for keep_all in (False, True):
        seen = []
        for size in range(1, len(sent) + 1):
            batch, examined, unknown = Batch(), examiner(keep_all=keep_all), connection("127.0.0.1")
            for delivery in deliveries(size):
                examined.examine([(unknown, delivery)], batch)
            seen.append((everything(batch), examined.facts(unknown)))
        assert all(one == two for one, two in itertools.pairwise(seen))
        assert seen[0][1][4] == 2


def test_what_one_connection_teaches_comes_before_what_another_needs_it_for() -> None:
    """Whichever connection is delivered first."""
    listed = {"code": "0", "data": [{"instId": "SOL-USDC", "instIdCode": 20459, "instType": "SPOT"}], "msg": ""}
    target = "/api/v5/public/instruments?instType=SPOT"
    order = {"instIdCode": 20459, "tdMode": "cash", "side": "buy", "ordType": "limit", "px": "2", "sz": "1"}
    rest = connection("www.okx.com", number=2)
    lists = [
        *client(message(b"", 1, opcode=OPCODE_HTTP, http=HttpHead("GET", target, None, ()))),
        *server(message(listed, 2, opcode=OPCODE_HTTP, http=HttpHead("GET", target, 200, ()))),
    ]
    private = connection("ws.okx.com", "/ws/v5/private")
    orders = client(message({"id": "1", "op": "order", "args": [order]}, 3))
    for deliveries in itertools.permutations([(rest, lists), (private, orders)]):
        batch = Batch()
        examiner().examine(list(deliveries), batch)
        assert [event.symbol for event in batch.order_events] == ["SOL-USDC"]


def test_a_listen_key_is_known_by_the_account_that_another_connection_got_it_for() -> None:
    """Though both are delivered at once, and its connection before the other's."""
    key = "l" * 60
    start = {"id": "1", "method": "userDataStream.start", "params": {"apiKey": KEY}}
    given = {"id": "1", "status": 200, "result": {"listenKey": key}}
    api, stream = connection("ws-api.binance.com", "/ws-api/v3"), connection(SPOT, f"/ws/{key}", number=2)
    talk = [*client(message(start, 1)), *server(message(given, 2))]
    events = server(message(report(), 3))
    for deliveries in itertools.permutations([(api, talk), (stream, events)]):
        batch = Batch()
        examiner().examine(list(deliveries), batch)
        assert [event.account for event in batch.order_events] == [f"account of {len(KEY)} letters"]


# --- what a hole changes ---------------------------------------------------------------------------------------------


def row(**fields: Any) -> dict[str, Any]:
    """An order of BitMEX; an update tells only what has changed."""
    return {
        "table": "order",
        "action": "update",
        "data": [{"orderID": "o-1", "timestamp": "2026-02-03T04:05:06.789Z"} | fields],
    }


def test_what_may_have_changed_in_a_hole_is_not_said_of_an_order() -> None:
    first = {"symbol": "SOLUSD", "side": "Sell", "orderQty": 300, "price": 142.75, "ordType": "Limit", "ordStatus": "New"}
    told = [
        message(row(**first), 1, position=0),
        message(row(ordStatus="PartiallyFilled", cumQty=100), 2, position=1),
        message(row(cumQty=200), 3, position=2),
    ]
    for size in (1, 2, 3):
        batch, bitmex = Batch(), cast("Any", connection("ws.bitmex.com", "/realtime"))
        examined = examiner()
        for at in range(0, 3, size):
            if at <= 2 < at + size:  # lost behind the second message: known with the third at the latest
                bitmex.holes = [("server", 2)]
            examined.examine([(bitmex, server(*told[at : at + size]))], batch)
        assert [str(event.price) for event in batch.order_events] == ["142.75", "142.75", "None"], f"blocks of {size}"
        assert [event.symbol for event in batch.order_events] == ["SOLUSD", "SOLUSD", None]


def test_a_hole_in_what_the_client_says_changes_nothing() -> None:
    batch, bitmex = Batch(), cast("Any", connection("ws.bitmex.com", "/realtime"))
    examined = examiner()
    examined.examine([(bitmex, server(message(row(symbol="SOLUSD", price=142.75, ordStatus="New"), 1)))], batch)
    bitmex.holes = [("client", 0)]
    examined.examine([(bitmex, client(message({"op": "ping"}, 2)))], batch)
    examined.examine([(bitmex, server(message(row(cumQty=5), 3, position=1)))], batch)
    assert [event.symbol for event in batch.order_events] == ["SOLUSD", "SOLUSD"]


def test_a_decoder_that_fails_costs_its_message_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    decode = BinanceSpotDecoder.decode

    def failing(self: BinanceSpotDecoder, message: Message) -> Decoded | None:
        if message.position == 1:
            raise KeyError("x")
        return decode(self, message)

    monkeypatch.setattr(BinanceSpotDecoder, "decode", failing)
    batch = Batch()
    examiner().examine([(connection(SPOT), server(*[message(report(), at, position=at) for at in range(3)]))], batch)
    assert [row.position for row in batch.order_events] == [0, 2]
    assert [(row.position, row.kind) for row in batch.messages] == [(0, "update"), (1, "other"), (2, "update")]
    assert [loss.reason for loss in batch.losses] == ["the decoder failed: KeyError"]


def test_a_decoder_that_fails_may_have_taken_in_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    decode = BitmexDecoder.decode

    def failing(self: BitmexDecoder, message: Message) -> Decoded | None:
        decoded = decode(self, message)
        if message.position == 1:
            raise KeyError("x")
        return decoded

    monkeypatch.setattr(BitmexDecoder, "decode", failing)
    batch, told = Batch(), [row(symbol="SOLUSD", price=142.75, ordStatus="New"), row(price=150), row(cumQty=5)]
    bitmex = connection("ws.bitmex.com", "/realtime")
    examiner().examine([(bitmex, server(*[message(one, at, position=at) for at, one in enumerate(told)]))], batch)
    assert [(event.position, event.symbol, event.price) for event in batch.order_events][1:] == [(2, None, None)]


def test_a_login_of_nobody_is_not_kept() -> None:
    batch, unknown = Batch(), connection("exchange.example")
    examined = examiner(keep_all=True)
    examined.examine([(unknown, server(message({"op": "auth", "args": ["k", 1, "s"]}), message({"a": 1}, position=1)))], batch)
    assert [row.position for row in batch.messages] == [1]
    assert examined.facts(unknown)[4] == 2


def test_bytes_that_no_venue_claims_are_kept_as_they_are() -> None:
    """Any few bytes may be taken for deflate."""
    batch, bytes_sent = Batch(), [b"\x03\xe8", gzip.compress(b'{"a": 1}'), zlib.compress(b"[1]")[2:-4]]
    examined = examiner(keep_all=True)
    opcodes = (OPCODE_CLOSE, OPCODE_BINARY, OPCODE_BINARY)
    told = [message(data, position=at, opcode=code) for at, (data, code) in enumerate(zip(bytes_sent, opcodes, strict=True))]
    examined.examine([(connection("exchange.example"), server(*told))], batch)
    assert [row.payload_blob for row in batch.messages] == bytes_sent
    assert [row.payload for row in batch.messages] == [None] * 3


def test_holes_that_no_decoder_hears_of_do_not_pile_up() -> None:
    unknown = cast("Any", connection("exchange.example"))
    examined = examiner()
    for position in range(1000):
        unknown.holes = [("server", position), ("client", position)]
        examined.examine([(unknown, server(message("market data", position, position=position)))], Batch())
    assert examined._known[unknown.id].holes == [("server", 999), ("client", 999)]

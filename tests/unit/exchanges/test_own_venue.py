"""Venues of the user's own: those of the settings, held by the examples of the documentation, and those of entry points."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sniffer import exchanges
from sniffer.errors import UsageError
from sniffer.exchanges import by_name, guess_venue, redact, redact_path, venue_of
from sniffer.exchanges.base import LOGIN
from sniffer.exchanges.own import use_own_venues
from sniffer.model import OPCODE_PING, OPCODE_TEXT
from tests.unit.exchanges.talk import Talk, brief, known

DOCS = Path(__file__).parents[3] / "docs" / "own-venue.md"
T0 = 1_751_000_000_123
JSON = dict[str, Any]


def examples(language: str) -> list[str]:
    """The examples of the documentation, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCS.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


TOY, JSON_VENUE, PLACED, ENTRY_POINT = examples("toml")


@pytest.fixture(autouse=True)
def _known_venues_again() -> Iterator[None]:
    yield
    exchanges.use(())


def use(*texts: str) -> None:
    use_own_venues(tomllib.loads("\n".join(texts))["venues"])


# --- the examples of the documentation ---


def test_the_plain_text_protocol() -> None:
    use(TOY)
    assert venue_of("localhost", "/", 9001) is by_name("toy")
    talk = Talk("toy")
    (asked,) = known(talk.client("1:42")).orders
    assert brief(asked, "venue", "kind", "action", "order_id", "symbol", "status") == (
        "toy", "request", "place", "42", "1", None,
    )  # fmt: skip
    (taken,) = known(talk.server("1:42")).orders
    assert brief(taken, "kind", "action", "order_id", "symbol", "status") == ("response", "place", "42", "1", "NEW")
    for other in ("1:42 ", "hello", "1:", ":42", "1:4_2", b"\xff1:42"):
        assert talk.client(other) is None


UPDATE = {"channel": "order", "data": [
    {"t": T0, "s": "ADA-USDT", "id": 77, "cid": "c1", "side": "B", "st": "part", "px": "0.71350", "qty": 250,
     "fill": {"total": "1e2"}},
    {"t": T0, "s": "ADA-USDT", "id": 78, "side": "S", "st": "asleep", "px": 0.5, "qty": "1"},
]}  # fmt: skip
TRADE = {"channel": "trade", "data": {
    "t": T0 * 1000 + 4, "s": "ADA-USDT", "tid": 5, "id": 77, "side": "S", "px": "0.7", "qty": "3", "fee": "-0.01", "m": "M",
}}  # fmt: skip


def test_an_exchange_that_speaks_json() -> None:
    use(JSON_VENUE)
    talk = Talk("my-exchange", account="configured")
    assert known(talk.client({"op": "auth", "token": "KEY"})).kind == LOGIN
    assert talk.decoder.account == "name of KEY"
    first, second = known(talk.server(UPDATE)).orders
    assert brief(first, "exchange_time", "symbol", "order_id", "client_order_id", "side", "order_type", "status", "status_raw",
                 "price", "quantity", "quantity_unit", "filled_quantity", "account", "item") == (
        T0 * 1_000_000, "ADA-USDT", "77", "c1", "buy", "limit", "PARTIALLY_FILLED", "part", "0.71350", "250", "base", "100",
        "name of KEY", 0,
    )  # fmt: skip
    assert brief(second, "status", "status_raw", "client_order_id", "filled_quantity", "item") == (
        None,
        "asleep",
        None,
        None,
        1,
    )
    (fill,) = known(talk.server(TRADE)).fills
    assert brief(fill, "exchange_time", "trade_id", "order_id", "side", "price", "quantity", "fee", "fee_asset",
                 "liquidity") == (
        (T0 * 1000 + 4) * 1000, "5", "77", "sell", "0.7", "3", "-0.01", "USDT", "maker",
    )  # fmt: skip
    assert talk.server({"channel": "other", "data": '"order"'}) is None
    assert talk.server({"channel": "book", "data": []}) is None


def test_a_known_venue_at_a_place_of_ones_own() -> None:
    use(PLACED)
    assert venue_of("okx-proxy.example", "/ws", 8443) is by_name("okx")
    assert venue_of("okx-proxy.example", "/ws", 443) is not by_name("okx")


def test_an_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = examples("python")
    install(tmp_path, monkeypatch, "toy_venue", code)
    use_own_venues(None)
    assert venue_of("localhost", "/", 9002) is by_name("toy-in-python")
    (row,) = known(Talk("toy-in-python").server("1:42")).orders
    assert brief(row, "venue", "kind", "order_id", "symbol", "status") == ("toy-in-python", "response", "42", "1", "NEW")
    assert Talk("toy-in-python").server("1:x") is None


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, module: str, code: str) -> None:
    """A package with one module and the entry point of the documentation."""
    (entry,) = tomllib.loads(ENTRY_POINT)["project"]["entry-points"]["sniffer.venues"].items()
    (folder / f"{module}.py").write_text(code, encoding="utf-8")
    info = folder / f"{module}-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[sniffer.venues]\n{entry[0]} = {module}:VENUE\n", encoding="utf-8")
    monkeypatch.syspath_prepend(folder)


@pytest.mark.parametrize(
    ("module", "code", "said"),
    [
        ("toy_broken", "1 / 0", "cannot be loaded: ZeroDivisionError"),
        ("toy_bare", "class VENUE:\n    name = 'bare'", "it has no hosts"),
        ("toy_twin", "from sniffer.exchanges.okx import VENUE", "two venues are named okx"),
    ],
)
def test_an_entry_point_that_is_no_venue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, code: str, said: str
) -> None:
    install(tmp_path, monkeypatch, module, code)
    with pytest.raises(UsageError, match=said):
        use_own_venues(None)


def test_an_exception_of_a_foreign_decoder_costs_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = examples("python")[0].replace("exchange, _, order =", "1 / (message.payload != b'bad'); exchange, _, order =")
    install(tmp_path, monkeypatch, "toy_raising", code)
    use_own_venues(None)
    talk = Talk("toy-in-python")
    assert known(talk.server("bad"), "failed: ZeroDivisionError").orders == []
    assert len(known(talk.server("1:42")).orders) == 1


# --- what a declaration says ---

PORT = "[venues.x]\nports = [1]\n"
MESSAGE = '[[venues.x.messages]]\nsender = "server"\nkind = "update"\n'
ORDER = "[venues.x.messages.order]\n"


def declared(message: str, order: str = 'order_id = "id"') -> Talk:
    use(f"{PORT}{MESSAGE}{message}\n{ORDER}{order}")
    return Talk("x")


def test_where_a_venue_is() -> None:
    use('[venues.x]\nhosts = ["Sim.example"]\nports = [1, 2]\npaths = ["/ws"]\n', MESSAGE, ORDER, 'order_id = "id"')
    assert venue_of("sim.example.", "/ws?x=1", 2) is by_name("x")
    for host, path, port in (("sim.example", "/ws", 3), ("sim.example", "/", 2), ("other", "/ws", 2), (None, None, None)):
        assert venue_of(host, path, port) is None
    assert guess_venue("server", b'{"id": 1}') is None


def test_markers_are_searched_for() -> None:
    talk = declared("marker = 'order'")
    wanted = talk.decoder.wanted("server", OPCODE_TEXT)
    assert (wanted(b"an order"), wanted(b"a trade")) == (True, False)
    assert not talk.decoder.wanted("client", OPCODE_TEXT)(b"an order")
    assert not talk.decoder.wanted("server", OPCODE_PING)(b"an order")


def test_http() -> None:
    talk = declared('http = "POST /orders"')
    assert known(talk.reply("POST /orders?x=1", {"id": 5})).orders[0].order_id == "5"
    assert talk.reply("GET /orders", {"id": 5}) is None
    assert talk.server({"id": 5}) is None


def test_paths_through_lists_and_missing_values() -> None:
    talk = declared("", 'order_id = "a.0.id"\nsymbol = "a.1.s"\nprice = "b.c"')
    assert brief(known(talk.server({"a": [{"id": 5}, {"s": None}]})).orders[0], "order_id", "symbol", "price") == (
        "5",
        None,
        None,
    )
    assert brief(known(talk.server({"a": [{"id": "x"}], "b": None})).orders[0], "order_id", "symbol") == ("x", None)
    known(talk.server({"a": "text"}), "neither an object nor a list")
    known(talk.server({"a": [{"id": {}}]}), "not an id")


@pytest.mark.parametrize(
    ("when", "value", "fits"),
    [
        ('{ data.kind = "order" }', {"data": {"kind": "order", "more": 1}}, True),
        ('{ "data.kind" = "order" }', {"data": {"kind": "order", "more": 1}}, True),
        ('{ data.kind = "order", data.of = 1 }', {"data": {"kind": "order"}}, False),
        ('{ "data.kind" = "order" }', {"data": "pong"}, False),
        ('{ "data.kind" = "order" }', {"data": ["pong"]}, False),
        ("{ v = 1.5 }", {"v": 1.5}, True),
        ("{ v = 2 }", {"v": 2.0}, True),
        ("{ v = 2 }", {"v": "2"}, True),
        ("{ v = 2 }", {"v": "two"}, False),
        ("{ v = 0 }", {"v": False}, False),
        ("{ v = 1 }", {"v": True}, False),
        ("{ v = true }", {"v": True}, True),
        ("{ v = true }", {"v": 1}, False),
        ("{ v = false }", {"v": 0}, False),
        ("{ v = false }", {}, False),
    ],
)
def test_when(when: str, value: JSON, fits: bool) -> None:
    decoded = declared(f"when = {when}", 'order_id = "id"').server({"id": 5, **value})
    assert (decoded is not None) is fits
    assert not fits or known(decoded).orders[0].order_id == "5"


def test_numbers_in_a_plain_text() -> None:
    talk = declared("pattern = '(?P<kind>\\d):(?P<id>\\d+)'\nwhen = { kind = 1 }", 'order_id = "id"')
    assert known(talk.server("1:42")).orders[0].order_id == "42"
    assert talk.server("2:42") is None


def test_a_map_of_true_and_false() -> None:
    talk = declared("", 'order_id = "id"\nside = { at = "buys", map = { true = "buy", false = "sell" } }')
    for buys, side in ((True, "buy"), (False, "sell"), (None, None)):
        assert known(talk.server({"id": 1, "buys": buys})).orders[0].side == side
    known(declared("", 'order_id = "id"\nside = "buys"').server({"id": 1, "buys": True}), "an unknown word")


@pytest.mark.parametrize(
    ("order", "value", "said"),
    [
        ('order_id = "id"\nprice = "v"', "-1", "below zero"), ('order_id = "id"\nprice = "v"', "NaN", "not a decimal"),
        ('order_id = "id"\nprice = "v"', 10**30, "does not fit"), ('order_id = "id"\nside = "v"', "hold", "an unknown word"),
        ('order_id = "id"\nexchange_time = { at = "v", unit = "s" }', 10**17, "out of range"),
        ('order_id = "id"\nclient_order_id = "v"', True, "not an id"),
        ('order_id = "none"\nprice = "v"', "1", "names no order"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_a_problem(order: str, value: Any, said: str) -> None:
    decoded = known(declared("", order).server({"id": 1, "v": value}), said)
    assert (decoded.kind, decoded.orders) == ("update", [])


def test_words_without_a_map() -> None:
    talk = declared("", 'order_id = "id"\nside = "side"\nstatus = "st"\norder_type = "type"')
    (row,) = known(talk.server({"id": 1, "side": "SELL", "st": "Filled", "type": "IceBerg"})).orders
    assert brief(row, "side", "status", "status_raw", "order_type") == ("sell", "FILLED", "Filled", "iceberg")


def test_one_broken_item_leaves_the_others_and_broken_json_is_a_problem() -> None:
    talk = declared('each = "data"', 'order_id = "id"\nprice = "p"')
    decoded = known(talk.server({"data": [{"id": 1}, {"id": 2, "p": "x"}, 5, {"id": 4}]}), "field p")
    assert [(row.order_id, row.item) for row in decoded.orders] == [("1", 0), ("4", 3)]
    known(talk.server('{"data": [{"id": 1}'), "not JSON")
    known(talk.server('{"data": [{"id": 1, "id": 2}]}'), "twice")
    known(talk.server({"data": 5}), "not a list")
    assert talk.server("pong") is None


def test_secrets_and_accounts() -> None:
    use(PORT, 'secrets = ["token"]\n', MESSAGE, 'account = "token"\n', ORDER, 'order_id = "id"')
    assert known(Talk("x").server({"id": 1, "token": "KEY"})).orders[0].account == "name of KEY"
    assert "KEY" not in redact(by_name("x"), "server", json.dumps({"token": "KEY"}))
    assert "KEY" not in redact_path(by_name("x"), "/ws?token=KEY")
    use(PORT, MESSAGE, ORDER, 'order_id = "id"')
    assert redact(by_name("x"), "server", '{"token": "KEY"}') == '{"token": "KEY"}'
    assert redact_path(by_name("x"), "/ws?token=KEY") == "/ws?token=KEY"


WRONG: list[tuple[str, str]] = [
    ("[venues]\nx = 5", "venues.x: not a table"),
    ("[venues.x]\nmessages = []", "names no hosts, ports or paths"),
    ("[venues.x]\nports = [0]", "venues.x.ports: not a list of ports"),
    ('[venues.x]\nhosts = ""', "venues.x.hosts: not a list of texts"),
    ("[venues.X]\nports = [1]", "lower case"),
    (PORT, "it has no"),
    (PORT + "colour = 1\n" + MESSAGE, "unknown key colour"),
    ('[venues.okx]\nports = [1]\nsecrets = ["a"]', "okx is known already"),
    (f"{PORT}[[venues.x.messages]]\nkind = 'update'\n", "sender is None"),
    (f"{PORT}[[venues.x.messages]]\nsender = 'server'\nkind = 'news'\n", "kind is 'news'"),
    (PORT + MESSAGE, "neither order nor fill"),
    (f"{PORT}{MESSAGE}action = 'buy'\n{ORDER}", "action is 'buy'"),
    (f"{PORT}{MESSAGE}pattern = '('\n{ORDER}", "no regular expression"),
    (f"{PORT}{MESSAGE}pattern = '(?P<a>.)'\n{ORDER}order_id = 'b'", "no group b; it has a"),
    (f"{PORT}{MESSAGE}pattern = '(?P<a>.)'\neach = 'a'\n{ORDER}order_id = 'a'", "each is for JSON"),
    (f"{PORT}{MESSAGE}http = '/orders'\n{ORDER}order_id = 'a'", "a method and a path"),
    (f"{PORT}{MESSAGE}when = 1\n{ORDER}order_id = 'a'", "when is no table"),
    (f"{PORT}{MESSAGE}when = {{ a = [1] }}\n{ORDER}order_id = 'a'", "when a: [1] is neither a text"),
    (f"{PORT}{MESSAGE}when = {{ a.b = {{}} }}\n{ORDER}order_id = 'a'", "when a.b: {} is neither"),
    (f"{PORT}{MESSAGE}when = {{ a = inf }}\n{ORDER}order_id = 'a'", "inf is no number"),
    (f"{PORT}{MESSAGE}marker = 1\n{ORDER}order_id = 'a'", "marker is no text"),
    (f"{PORT}{MESSAGE}order = 1", "order is no table"),
    (f"{PORT}{MESSAGE}{ORDER}colour = 'a'", "no such column"),
    (f"{PORT}{MESSAGE}{ORDER}order_id = 1", "give a path"),
    (f"{PORT}{MESSAGE}{ORDER}order_id = ''", "not a path"),
    (f"{PORT}{MESSAGE}{ORDER}side = {{ at = 'a', is = 'buy' }}", "either at or is"),
    (f"{PORT}{MESSAGE}{ORDER}side = {{ is = 'up' }}", "is is 'up'"),
    (f"{PORT}{MESSAGE}{ORDER}price = {{ is = 'much' }}", "is no number"),
    (f"{PORT}{MESSAGE}{ORDER}exchange_time = {{ is = 5 }}", "a time is read"),
    (f"{PORT}{MESSAGE}{ORDER}exchange_time = 'a'", "unit is None"),
    (f"{PORT}{MESSAGE}{ORDER}price = {{ at = 'a', unit = 's' }}", "unit is for times"),
    (f"{PORT}{MESSAGE}{ORDER}price = {{ at = 'a', map = {{ b = '1' }} }}", "map is a table"),
    (f"{PORT}{MESSAGE}{ORDER}status = {{ at = 'a', map = {{ b = 'OPEN' }} }}", "OPEN is no status"),
]


@pytest.mark.parametrize(("text", "said"), WRONG, ids=[said for _, said in WRONG])
def test_a_mistake_is_one_line_that_names_the_place(text: str, said: str) -> None:
    with pytest.raises(UsageError) as error:
        use(text)
    line = str(error.value)
    assert said in line
    assert line.startswith("setting venues")
    assert "\n" not in line
    assert line.endswith("docs/own-venue.md shows the form")

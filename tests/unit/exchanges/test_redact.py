"""A marked secret is put in every place that the documentation calls one; it must be gone, and the rest unchanged."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

import pytest

from sniffer.config import REDACTED
from sniffer.exchanges import redact, redact_blob, redact_path
from sniffer.exchanges.binance_spot import VENUE
from sniffer.exchanges.redact import UNKNOWN_VENUE, is_login
from sniffer.model import Sender
from tests.unit.exchanges.binance_messages import answer, full, order, place, refusal, report

MARK = "PLANTEDpLaNtEdPLANTED0123456789abcdefPLANTED"

CLIENT: list[Any] = [
    *(
        {"id": 1, "method": method, "params": {"symbol": "A", "apiKey": MARK, "timestamp": 1, "signature": MARK + "=="}}
        for method in ("order.place", "session.logon", "userDataStream.subscribe.signature", "account.status", "klines")
    ),
    {"id": 1, "method": "userDataStream.start", "params": {"apiKey": MARK}},
    {"id": 1, "method": "userDataStream.ping", "params": {"listenKey": MARK, "apiKey": MARK}},
    {"id": 1, "method": "userDataStream.subscribe.listenToken", "params": {"listenToken": MARK}},
    {"method": "SUBSCRIBE", "params": ["adausdc@trade", MARK], "id": 1},
    {"method": "UNSUBSCRIBE", "params": [MARK], "id": 1},
    {"params": {"apiKey": {"nested": [MARK, {"deep": MARK}]}, "signature": [MARK, "]", MARK]}},
    {"params": {"APIKEY": MARK, "Signature": MARK}},
]
SERVER: list[Any] = [
    {"stream": MARK, "data": report()},
    {"id": 1, "status": 200, "result": {"listenKey": MARK}},
    {"listenKey": MARK},
    {"token": MARK, "expirationTime": 5},
    {"id": 1, "status": 200, "result": {"apiKey": MARK, "authorizedSince": 1}},
    {"result": ["adausdc@trade", MARK, "!miniTicker@arr"], "id": 3},
    {"subscriptionId": 0, "event": {"e": "listenKeyExpired", "E": 1, "listenKey": MARK}},
    {"error": {"code": -1, "msg": json.dumps({"params": {"apiKey": MARK, "signature": MARK}})}, "status": 400},
    {"log": json.dumps({"again": json.dumps({"listenKey": MARK})})},
    {"log": json.dumps({"stream": MARK})},
    {"log": json.dumps({"result": ["adausdc@trade", MARK]})},
]
PLACES: list[tuple[Sender, Any]] = [*(("client", case) for case in CLIENT), *(("server", case) for case in SERVER)]


def spelled(case: Any) -> list[str]:
    """The same message as JSON writers differ."""
    compact = json.dumps(case, separators=(",", ":"))
    return [
        compact,
        json.dumps(case, indent=2),
        json.dumps(case, separators=(" ,\t", " :\n")),
        json.dumps({"\u5e01": "\u5e01\u0130"} | case, ensure_ascii=False),
        re.sub(r'"(api|sig|listen|str|par)', lambda key: f'"\\u{ord(key[1][0]):04x}{key[1][1:]}', compact),
    ]


@pytest.mark.parametrize(("sender", "case"), PLACES, ids=range(len(PLACES)))
def test_a_planted_secret_is_gone(sender: Sender, case: Any) -> None:
    for text in spelled(case):
        clean = VENUE.redact(sender, text)
        assert MARK not in clean, text
        assert REDACTED in clean
        json.loads(clean)


@pytest.mark.parametrize(("sender", "case"), PLACES, ids=range(len(PLACES)))
def test_and_from_text_that_is_no_json_any_more(sender: Sender, case: Any) -> None:
    text = json.dumps(case)
    for end in range(len(text)):
        assert MARK[:20] not in VENUE.redact(sender, text[:end]), text[:end]
    for broken in (text.replace(",", ",,"), text + "}", text.replace("{", "", 1), "garbage " + text):
        assert MARK not in VENUE.redact(sender, broken), broken


@pytest.mark.parametrize(("sender", "case"), PLACES, ids=range(len(PLACES)))
def test_and_from_bytes_that_are_no_text(sender: Sender, case: Any) -> None:
    payload = b"\xff\x00" + json.dumps(case).encode() + b"\xfe"
    clean = redact_blob(VENUE, sender, payload)
    assert MARK.encode() not in clean
    assert clean[:2] + clean[-1:] == b"\xff\x00\xfe"


@pytest.mark.parametrize(
    "message",
    [report(), answer(full()), answer([order()]), refusal(-2010, "no"), {"stream": "adausdc@trade", "data": {"e": "trade"}}],
)
def test_messages_without_secrets_stay_as_they_are(message: Any) -> None:
    for text in (
        json.dumps(message),
        json.dumps(message, indent=1),
        json.dumps(message).replace("ADA", "\u5e01"),
        "not json",
        "",
    ):
        assert VENUE.redact("server", text) == text


@pytest.mark.parametrize("channel", [MARK, "adausdc@trade", "", f"token={MARK}", f"a%3D{MARK}", f"\u5e01{MARK}", f'a\\"{MARK}'])
@pytest.mark.parametrize(
    "rest",
    [
        ',"data":{"e":"executionReport","c":"tok-EN","n":"s.i.g.n.a.t.u.r.e"}}',
        f',"data":{{"apiKey":"{MARK}"}}}}',
        f',"data":{{"x":"{{\\"TOKEN\\":\\"{MARK}\\"}}"}}}}',
        f',"data":{{"x":"signature={MARK}"}}}}',
        f',"stream":"{MARK}"}}',
        f' , "params" : ["{MARK}"',
    ],
)
def test_what_follows_an_opening_channel(channel: str, rest: str) -> None:
    clean = VENUE.redact("server", f'{{"stream":"{channel}"{rest}')
    assert MARK not in clean
    if MARK not in rest:
        assert clean.endswith(rest)


def test_only_the_secrets_change() -> None:
    request = place()
    clean = json.loads(VENUE.redact("client", json.dumps(request)))
    assert clean == request | {"params": request["params"] | {"apiKey": REDACTED, "signature": REDACTED}}
    nothing = '{"result":{"apiKey":null,"authorizedSince":null}}'
    assert VENUE.redact("server", nothing) == nothing


def test_forms_and_header_lines() -> None:
    form = f"symbol=A&quantity=1&signature={MARK}&timestamp=5"
    assert VENUE.redact("client", form) == f"symbol=A&quantity=1&signature={REDACTED}&timestamp=5"
    assert MARK not in VENUE.redact("client", f"%73ignature={MARK}")
    assert MARK not in VENUE.redact("client", f"symbol=A&listenKey={quote(MARK)}==")
    head = f"Host: api.binance.com\r\nX-MBX-APIKEY: {MARK}\r\nx-mbx-apikey:{MARK}\r\nAccept: */*"
    assert VENUE.redact("client", head) == (
        f"Host: api.binance.com\r\nX-MBX-APIKEY: {REDACTED}\r\nx-mbx-apikey: {REDACTED}\r\nAccept: */*"
    )


@pytest.mark.parametrize(
    ("path", "clean"),
    [
        (f"/ws/{MARK}", f"/ws/{REDACTED}"),
        (f"/ws/adausdc@trade/{MARK}", f"/ws/adausdc@trade/{REDACTED}"),
        (
            f"/stream?streams=adausdc@depth/{MARK}&timeUnit=MICROSECOND",
            f"/stream?streams=adausdc@depth/{REDACTED}&timeUnit=MICROSECOND",
        ),
        (f"/stream?Streams={MARK}", f"/stream?Streams={REDACTED}"),
        ("/ws/adausdc%40trade", "/ws/adausdc%40trade"),
        ("/stream?streams=!miniTicker@arr", "/stream?streams=!miniTicker@arr"),
        ("/ws-api/v3?returnRateLimits=false", "/ws-api/v3?returnRateLimits=false"),
        (f"/api/v3/order?symbol=A&signature={MARK}", f"/api/v3/order?symbol=A&signature={REDACTED}"),
        (f"/api/v3/userDataStream?listenKey={MARK}", f"/api/v3/userDataStream?listenKey={REDACTED}"),
        (f"/api/v3/order?%73ignature={MARK}&x", f"/api/v3/order?%73ignature={REDACTED}&x"),
        ("/ws", "/ws"),
        ("", ""),
    ],
)
def test_paths_and_targets(path: str, clean: str) -> None:
    assert VENUE.redact_path(path) == clean


def test_a_connection_of_no_known_venue() -> None:
    for text in (
        f'{{"op":"login","args":[{{"apiKey":"{MARK}","passphrase":"{MARK}","sign":"{MARK}"}}]}}',
        f'{{"event":"auth","authSig":"{MARK}","authPayload":"{MARK}"}}',
        f"Authorization: Bearer {MARK}\nCookie: {MARK}",
    ):
        assert MARK not in redact(None, "client", text)
    assert redact_path(None, f"/v2/{MARK}/x?token={MARK}") == f"/v2/{REDACTED}/x?token={REDACTED}"
    assert redact_path(None, "/realtime?subscribe=trade") == "/realtime?subscribe=trade"


@pytest.mark.timeout(20)
def test_hostile_texts_take_no_time() -> None:
    size = 300_000
    for text in (
        "\\" * size, '"' * size, '\\"' * size, '"apiKey":' + "[" * size, '"apiKey"' + " " * size, '"apiKey":"' + "\\" * size,
        '"apiKey":' * (size // 9), "a=" * size, "=" * size, '{"result":[' + '"",' * (size // 3), "%" * size + "signature",
        "signature" + "a" * size,
    ):  # fmt: skip
        VENUE.redact("client", text)


@pytest.mark.parametrize(
    "text",
    [
        '{"op":"auth","args":["short",1662350400000,"5f3c"]}', '{"event": "auth", "token": "x"}',
        '[0,"s","t",{"op":"authKeyExpires"}]', '{"method":"session.logon"}', '{"method" : "public/auth"}',
        '{"channel":"spot.login"}', '{"action":"access","args":["k"]}',
    ],
)  # fmt: skip
def test_what_may_be_a_login(text: str) -> None:
    assert is_login(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "pong", '{"op":"order","args":[{"instId":"SOL-USDC"}]}', '{"event":"subscribe"}', '["trade","SOLUSD"]',
        '{"type":"order","note":"login"}', "a text with spaces that is longer than any key would be, and no key",
    ],
)  # fmt: skip
def test_what_is_no_login(text: str) -> None:
    assert not is_login(text)


def test_of_an_unknown_venue_names_as_long_as_a_key_go() -> None:
    assert UNKNOWN_VENUE.target(f"/stream?streams=adausdc@trade/{MARK}&api-signature=x") == (
        "/stream?streams=adausdc@trade/[redacted]&api-signature=[redacted]"
    )
    text = f'{{"params": ["adausdc@trade", "{MARK}"], "otp": "1"}}'
    assert UNKNOWN_VENUE.text(text) == '{"params": ["adausdc@trade", "[redacted]"], "otp": "[redacted]"}'
    for plain in (MARK, f'["{MARK}"]', f'{{"message": "{MARK}"}}'):  # nothing says that it is one, and it may be anything
        assert UNKNOWN_VENUE.text(plain) == plain
    assert not is_login(MARK)

"""Whose orders: keys, logins, listen keys and subscriptions."""

from __future__ import annotations

from typing import Any

from sniffer.exchanges.accounts import CHANNELS
from sniffer.exchanges.base import Bounded, ConnectionFacts, Pending
from sniffer.exchanges.binance_spot import VENUE
from tests.unit.exchanges.binance_messages import answer, ask, decoder, http, message, place, report

LISTEN_KEY = "pN4fQ8rTz2LkXw7VbY1cDs9hJm3gKe6uAo5iWx0RqEvBnSlGtCyHdPfZjMaUk4Ob"


def account_of(one: Any, payload: Any, sender: Any = "server") -> str | None:
    decoded = one.decode(message(sender, payload))
    assert decoded is not None
    name: str | None = decoded.orders[0].account
    return name


def test_the_configured_name_until_a_key_is_seen() -> None:
    one = decoder(account="desk 4")
    assert account_of(one, report()) == "desk 4"
    assert account_of(one, place(), "client") == "name of KEY-of-alice"
    assert account_of(one, report()) == "name of KEY-of-alice"
    assert one.account == "name of KEY-of-alice"


def test_the_listen_key_in_the_path() -> None:
    for path in (
        f"/ws/{LISTEN_KEY}",
        f"/ws/adausdc@trade/{LISTEN_KEY}",
        f"/stream?streams=adausdc@depth/{LISTEN_KEY}",
        "/ws/short",
    ):
        secret = "short" if path.endswith("short") else LISTEN_KEY
        assert account_of(decoder(path=path), report()) == f"name of {secret}"
    assert decoder(path="/ws/adausdc@trade").account is None
    assert decoder(path="/ws-api/v3?returnRateLimits=false").account is None


def test_the_listen_key_as_a_stream_name_or_in_a_subscription() -> None:
    one = decoder(path="/stream")
    assert account_of(one, {"stream": LISTEN_KEY, "data": report()}) == f"name of {LISTEN_KEY}"
    two = decoder(path="/ws")
    assert two.decode(message("client", {"method": "SUBSCRIBE", "params": ["adausdc@trade", LISTEN_KEY], "id": 1})) is None
    assert account_of(two, report()) == f"name of {LISTEN_KEY}"


def test_a_listen_key_is_hashed_once_and_takes_its_later_alias() -> None:
    hashed: list[str] = []

    def name_of(secret: str) -> str:
        hashed.append(secret)
        return f"name of {secret}"

    facts = ConnectionFacts(path="/stream", name_of=name_of)
    one = VENUE.decoder(facts)
    event = {"stream": LISTEN_KEY, "data": report()}
    assert [account_of(one, event) for _ in range(3)] == [f"name of {LISTEN_KEY}"] * 3
    facts.aliases[f"name of {LISTEN_KEY}"] = "name of KEY-of-alice"
    assert account_of(one, event) == "name of KEY-of-alice"
    assert hashed == [LISTEN_KEY]
    many = [LISTEN_KEY + str(n) for n in range(100)]
    assert [account_of(one, {"stream": key, "data": report()}) for key in many] == [f"name of {key}" for key in many]
    assert len(one._accounts._hashes) <= CHANNELS


def test_a_login_counts_over_keys_of_single_requests() -> None:
    one = decoder()
    one.decode(message("client", place()))
    login = ask("session.logon")
    login["params"]["apiKey"] = "KEY-of-carol"
    one.decode(message("client", login))
    assert account_of(one, report()) == "name of KEY-of-carol"
    assert account_of(one, place(), "client") == "name of KEY-of-alice"
    assert account_of(one, report()) == "name of KEY-of-carol"


def test_each_subscription_has_its_own_account() -> None:
    one = decoder()
    for n, key in enumerate(("KEY-1", "KEY-2")):
        request = ask("userDataStream.subscribe.signature", n)
        request["params"]["apiKey"] = key
        one.decode(message("client", request))
        one.decode(message("server", answer({"subscriptionId": n}, n)))
    assert [account_of(one, {"subscriptionId": n, "event": report()}) for n in (1, 0)] == ["name of KEY-2", "name of KEY-1"]


def test_a_listen_key_goes_by_the_name_of_the_key_it_was_given_to() -> None:
    for over_rest in (False, True):
        facts = ConnectionFacts(name_of=lambda secret: f"name of {secret}")
        one = VENUE.decoder(facts)
        if over_rest:
            one.decode(http("client", "POST /api/v3/userDataStream", x_mbx_apikey="KEY-of-alice"))
            one.decode(http("server", "POST /api/v3/userDataStream", {"listenKey": LISTEN_KEY}, 200))
        else:
            one.decode(message("client", ask("userDataStream.start")))
            one.decode(message("server", answer({"listenKey": LISTEN_KEY})))
        other = ConnectionFacts(path=f"/ws/{LISTEN_KEY}", name_of=facts.name_of, aliases=facts.aliases)
        assert account_of(VENUE.decoder(other), report()) == "name of KEY-of-alice"


def test_answers_are_of_the_account_that_asked() -> None:
    one = decoder(account="desk 4")
    request = place("a")
    request["params"]["apiKey"] = "KEY-of-carol"
    one.decode(message("client", place("b")))
    one.decode(message("client", request))
    refused = {"id": "a", "status": 400, "error": {"code": -2010, "msg": "no"}}
    assert account_of(one, refused) == "name of KEY-of-carol"


def test_a_bounded_dict_drops_its_oldest() -> None:
    bounded: Bounded[int] = Bounded(3)
    for n in range(5):
        bounded[n] = n
    assert list(bounded) == [2, 3, 4]


def test_an_id_in_flight_twice_joins_nothing_until_all_its_answers_are_here() -> None:
    pending: Pending[int] = Pending()
    for n in range(1000):
        pending.put("same", n)
    assert [pending.take("same") for _ in range(999)] == [None] * 999
    pending.put("same", 7)  # one answer of those before is still to come, and would be taken for that to this one
    assert [pending.take("same"), pending.take("same")] == [None, None]
    assert pending.peek("same") is None
    pending.put("same", 8)
    assert [pending.peek("same"), pending.peek("same"), pending.take("same")] == [8] * 3
    assert pending.take("same") is None

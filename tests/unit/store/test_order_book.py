"""Which order an event is about, and what it does to it."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import pytest

from sniffer.model import OrderEvent
from sniffer.store import book as book_module
from sniffer.store.book import Book
from sniffer.store.orders import Order, row
from tests.unit.store.builders import MS, T0, event, request, response

D = Decimal


def fold(*events: OrderEvent, strategies: dict[int, str | None] | None = None) -> list[Order]:
    """The orders that `events` make, oldest first."""
    book = Book(1)
    book.fold(sorted(events, key=lambda one: one.captured_at), strategies or {})
    return [order for _, order in sorted(book.changed.items())]


def one(*events: OrderEvent, **options: Any) -> Order:
    orders = fold(*events, **options)
    assert len(orders) == 1, [(order.order_id, order.client_order_id, order.status) for order in orders]
    return orders[0]


PLACE = request(0, client_order_id="c", side="buy", price=D("10.5"), quantity=D(2), status="PENDING_NEW")
ACK = response(1, client_order_id="c", order_id="7", status="NEW", request_id="r0", exchange_time=T0, filled_quantity=D(0))


def update(at: int, status: str, filled: str | None = None, **changes: Any) -> OrderEvent:
    known = {"order_id": "7", "client_order_id": "c", "exchange_time": T0 + at * MS}
    return event(at, status=status, filled_quantity=None if filled is None else D(filled), **(known | changes))


def test_request_is_pending_until_answered() -> None:
    order = one(PLACE)
    assert (order.status, order.is_open, order.order_id) == ("PENDING_NEW", True, None)
    assert (order.requested_at, order.acknowledged_at, order.closed_at) == (T0, None, None)


def test_request_response_and_updates_are_one_order() -> None:
    order = one(PLACE, ACK, update(2, "PARTIALLY_FILLED", "0.5"), update(3, "FILLED", "2", average_price=D("10.4")))
    assert (order.order_id, order.client_order_id, order.status, order.is_open) == ("7", "c", "FILLED", False)
    assert (order.filled_quantity, order.average_price, order.price) == (D(2), D("10.4"), D("10.5"))
    assert (order.requested_at, order.acknowledged_at, order.updated_at, order.closed_at) == (
        T0,
        T0 + MS,
        T0 + 3 * MS,
        T0 + 3 * MS,
    )


def test_a_number_that_stands_for_a_symbol_is_that_of_any_name() -> None:
    numbered = {"symbol": "20459"}
    order = one(PLACE._replace(**numbered), ACK._replace(**numbered), update(2, "FILLED", "2", symbol="SOL-USDC"))
    assert (order.symbol, order.status, order.price) == ("SOL-USDC", "FILLED", D("10.5"))
    assert len(fold(PLACE._replace(**numbered), update(2, "NEW", order_id="8", symbol="7"))) == 2


@pytest.mark.parametrize("answer_at", [1, 3])
def test_an_answer_without_a_status_does_not_make_the_first_update_old(answer_at: int) -> None:
    """OKX answers when it is done with a request: by its clock after the order's first time, on the wire before or after it."""
    answer = response(answer_at, client_order_id="c", order_id="7", request_id="r0", exchange_time=T0 + 5 * MS, price=D("10.5"))
    order = one(PLACE, answer, update(2, "NEW", "0", price=D("10.6"), exchange_time=T0 + 4 * MS))
    assert (order.order_id, order.status, order.price, order.acknowledged_at) == (
        "7",
        "NEW",
        D("10.6"),
        T0 + min(answer_at, 2) * MS,
    )
    assert one(PLACE, answer).status == "PENDING_NEW"
    taken = response(answer_at + 5, "amend", order_id="7", exchange_time=T0 + 9 * MS)
    amended = update(7, "NEW", "0", price=D("10.7"), exchange_time=T0 + 8 * MS)
    assert one(PLACE, answer, update(2, "NEW", "0"), taken, amended).price == D("10.7")


def test_update_seen_before_the_response_joins_the_request() -> None:
    order = one(PLACE, update(1, "NEW", client_order_id=None), ACK._replace(captured_at=T0 + 2 * MS))
    assert (order.requested_at, order.acknowledged_at, order.client_order_id) == (T0, T0 + MS, "c")


def test_request_without_client_id_is_joined_by_its_request_id() -> None:
    place = PLACE._replace(client_order_id=None)
    order = one(place, event(1, order_id="7", client_order_id="auto", status="NEW"), ACK._replace(client_order_id="auto"))
    assert (order.requested_at, order.order_id, order.client_order_id) == (T0, "7", "auto")


def test_two_requests_of_one_message_stay_two_orders() -> None:
    places = [PLACE._replace(client_order_id=None, item=item, price=D(10 + item)) for item in (0, 1)]
    answers = [ACK._replace(client_order_id=None, item=item, order_id=str(20 + item)) for item in (0, 1)]
    assert [(order.order_id, order.price) for order in fold(*places, *answers)] == [("20", D(10)), ("21", D(11))]


def test_client_id_used_again_after_the_end_is_a_new_order() -> None:
    again = PLACE._replace(captured_at=T0 + 9 * MS, request_id="r9")
    first, second = fold(PLACE, ACK, update(2, "CANCELED"), again)
    assert (first.status, second.status, second.order_id) == ("CANCELED", "PENDING_NEW", None)


def test_client_id_used_again_without_a_request_seen() -> None:
    first, second = fold(ACK, update(2, "FILLED", "2"), update(9, "NEW", "0", order_id="8"))
    assert (first.order_id, first.status, second.order_id, second.status) == ("7", "FILLED", "8", "NEW")


def test_second_request_with_the_client_id_of_an_open_order_may_be_refused_without_harm() -> None:
    duplicate = PLACE._replace(captured_at=T0 + 5 * MS, request_id="r5", price=D(99))
    refusal = response(6, client_order_id="c", request_id="r5", status="REJECTED", reason="Duplicate order sent.")
    kept, refused = fold(PLACE, ACK, duplicate, refusal)
    assert (kept.status, kept.price, kept.order_id) == ("NEW", D("10.5"), "7")
    assert (refused.status, refused.reason, refused.order_id) == ("REJECTED", "Duplicate order sent.", None)


def test_the_same_request_seen_twice_is_one_order() -> None:
    assert one(PLACE, PLACE._replace(connection_id=2, captured_at=T0 + 300)).requested_at == T0


def test_the_same_request_id_much_later_is_another_request() -> None:
    assert len(fold(PLACE, PLACE._replace(captured_at=T0 + 2000 * MS))) == 2


def test_stale_update_from_a_second_socket_changes_nothing() -> None:
    stale = update(1, "NEW", "0")._replace(captured_at=T0 + 50 * MS, connection_id=2)
    order = one(PLACE, ACK, update(2, "PARTIALLY_FILLED", "1"), stale)
    assert (order.status, order.filled_quantity) == ("PARTIALLY_FILLED", D(1))
    order = one(PLACE, ACK, update(3, "FILLED", "2"), stale)
    assert (order.status, order.closed_at, order.updated_at) == ("FILLED", T0 + 3 * MS, T0 + 50 * MS)


def test_of_one_venue_time_the_further_status_wins() -> None:
    early, late = update(5, "NEW", None), update(5, "PARTIALLY_FILLED", None)
    for events in ((early, late._replace(position=6)), (late, early._replace(position=6, captured_at=T0 + 9 * MS))):
        assert one(*events).status == "PARTIALLY_FILLED"


def test_without_venue_times_the_wire_decides() -> None:
    order = one(ACK._replace(exchange_time=None), update(2, "PARTIALLY_FILLED", "1", exchange_time=None))
    assert order.status == "PARTIALLY_FILLED"


def test_filled_quantity_never_goes_down() -> None:
    order = one(ACK, update(2, "PARTIALLY_FILLED", "1"), update(3, "NEW", "0.4", price=D(11)))
    assert (order.filled_quantity, order.status) == (D(1), "PARTIALLY_FILLED")


def test_final_is_final_but_for_more_filled() -> None:
    order = one(ACK, update(2, "CANCELED", "0.5"), update(3, "NEW", "0.5"), update(4, "PARTIALLY_FILLED", "0.7"))
    assert (order.status, order.filled_quantity, order.closed_at) == ("CANCELED", D("0.7"), T0 + 2 * MS)
    assert one(ACK, update(2, "CANCELED", "0.5"), update(3, "EXPIRED", "0.5")).status == "CANCELED"
    order = one(ACK, update(2, "CANCELED", "0.5"), update(3, "EXPIRED", "0.5"), update(4, "FILLED", "2"))
    assert (order.status, order.filled_quantity, order.closed_at) == ("FILLED", D(2), T0 + 2 * MS)


def test_nulls_never_erase_and_stale_events_fill_them() -> None:
    order = one(
        ACK, update(5, "NEW", "0", side=None), update(2, "NEW", "0", side="sell", reason="late", captured_at=T0 + 9 * MS)
    )
    assert (order.side, order.reason) == ("sell", None)  # a reason is of an end
    order = one(PLACE, ACK, update(3, "CANCELED", price=None, quantity=None))
    assert (order.price, order.quantity, order.side) == (D("10.5"), D(2), "buy")


def test_reason_and_raw_status_go_with_the_status() -> None:
    refused = update(5, "NEW", reason="Order amendment failed", status_raw="live")
    assert (one(PLACE, ACK, refused).reason, one(PLACE, ACK, refused).status_raw) == (None, "live")
    filled = update(9, "FILLED", "2")
    order = one(PLACE, ACK, refused, filled)
    assert (order.status, order.status_raw, order.reason) == ("FILLED", None, None)
    unknown = response(2, request_id="r0", client_order_id="c", reason="Timeout", status_raw="-1007")
    assert one(PLACE, unknown, filled).reason is None
    late = update(2, "PENDING_NEW", status_raw="received", captured_at=T0 + 12 * MS)
    assert one(PLACE, ACK, filled, late).status_raw is None
    ended = update(6, "CANCELED", reason="by user", status_raw="canceled")
    again = update(6, "CANCELED", captured_at=T0 + 12 * MS)
    for events in ((ended, again), (again, ended)):
        order = one(PLACE, ACK, *events)
        assert (order.status, order.status_raw, order.reason) == ("CANCELED", "canceled", "by user")
    order = one(PLACE, ACK, ended, update(7, "FILLED", "2"))  # the cancel came too late, as the venue says
    assert (order.status, order.reason) == ("FILLED", None)


def test_an_answer_without_a_time_takes_no_state_back() -> None:
    """Its push may have come before it, and others since."""
    partly = update(4, "PARTIALLY_FILLED", "1")
    resting = response(5, request_id="r0", order_id="7", status="NEW", status_raw="resting")
    assert one(PLACE, partly, resting).status == "PARTIALLY_FILLED"
    assert one(PLACE, resting).status == "NEW"


def test_an_average_price_is_of_all_that_is_filled() -> None:
    one_of_two = update(4, "PARTIALLY_FILLED", "1", average_price=D(100))
    assert one(PLACE, ACK, one_of_two).average_price == D(100)
    assert one(PLACE, ACK, one_of_two, update(6, "FILLED", "2")).average_price is None
    assert one(
        PLACE, ACK, one_of_two, update(6, "FILLED", "2"), update(7, "FILLED", "2", average_price=D(99))
    ).average_price == D(99)
    assert one(PLACE, ACK, one_of_two, update(5, "PARTIALLY_FILLED", "1")).average_price == D(100)


def test_an_answer_that_comes_behind_the_end_of_its_order_begins_no_other() -> None:
    """REST answers name a client id and no request."""
    gone, answer = update(3, "CANCELED", client_order_id="c"), response(6, client_order_id="c", status="NEW")
    order = one(PLACE, gone, answer)
    assert (order.status, order.order_id) == ("CANCELED", "7")
    book = Book(1)
    book.fold([PLACE, gone, answer, answer._replace(captured_at=T0 + 9 * MS)], {})
    assert [order.status for order in book.changed.values()] == ["CANCELED", "NEW"]  # whose second request was not seen


def test_a_refusal_tells_of_no_order() -> None:
    for status, reason in (("REJECTED", None), (None, "Unknown order sent.")):
        refused = response(3, "cancel", request_id="r0", order_id="999", status=status, reason=reason)
        book = Book(1)
        book.fold([request(0, "cancel", order_id="999"), refused], {})
        assert not book.changed


def test_the_answer_to_an_amendment_names_the_order_anew() -> None:
    amend = request(5, "amend", order_id="7", quantity=D(1))
    answer = response(7, "amend", request_id="r5", order_id="7", client_order_id="n2", status="NEW", quantity=D(1))
    order = one(PLACE, ACK, amend, answer)
    assert (order.client_order_id, order.former_client_order_id) == ("n2", "c")
    assert one(PLACE, ACK, amend, answer._replace(client_order_id="c")).client_order_id == "c"
    assert one(PLACE, ACK, amend, answer._replace(status="REJECTED", reason="no")).client_order_id == "c"
    late = update(8, "NEW", client_order_id="n2"), answer._replace(client_order_id="c", captured_at=T0 + 9 * MS)
    assert one(PLACE, ACK, amend, *late).client_order_id == "n2"


def test_a_conditional_order_that_has_triggered_is_not_known_to_be_open() -> None:
    waits, gone = update(1, "PENDING_TRIGGER", status_raw="live"), update(9, None, status_raw="effective")
    order = one(waits, gone)
    assert (order.status, order.is_open, order.status_raw) == (None, None, "effective")
    assert one(waits, gone, update(12, "CANCELED")).status == "CANCELED"
    assert one(waits, update(9, None)).status == "PENDING_TRIGGER"
    assert one(update(1, "NEW"), gone).status == "NEW"


CANCEL = request(5, "cancel", order_id="7", client_order_id="c", status="PENDING_CANCEL", price=D(1), side="sell")


def test_cancel_request_is_pending_and_its_rejection_restores() -> None:
    refusal = response(6, "cancel", order_id="7", status="REJECTED", price=D(1), reason="Unknown order sent.", request_id="r5")
    order = one(PLACE, ACK, CANCEL)
    assert (order.status, order.is_open, order.price, order.side) == ("PENDING_CANCEL", True, D("10.5"), "buy")
    order = one(PLACE, ACK, CANCEL, refusal)
    assert (order.status, order.is_open, order.price, order.side, order.reason) == ("NEW", True, D("10.5"), "buy", None)


def test_fill_while_a_cancel_is_pending() -> None:
    refusal = response(8, "cancel", order_id="7", status="REJECTED")
    events = (PLACE, ACK, CANCEL, update(6, "PARTIALLY_FILLED", "1"))
    order = one(*events)
    assert (order.status, order.filled_quantity) == ("PENDING_CANCEL", D(1))
    assert one(*events, refusal).status == "PARTIALLY_FILLED"
    assert one(*events, update(7, "FILLED", "2"), refusal).status == "FILLED"
    assert one(*events, response(7, "cancel", order_id="7", status="CANCELED")).status == "CANCELED"


def test_cancel_of_a_closed_order_does_not_reopen_it() -> None:
    assert one(PLACE, ACK, update(3, "FILLED", "2"), CANCEL).status == "FILLED"


def test_cancel_before_the_order_id_is_known() -> None:
    cancel = request(1, "cancel", client_order_id="c", status="PENDING_CANCEL")
    order = one(PLACE, update(0, "NEW", client_order_id=None), cancel, ACK._replace(captured_at=T0 + 2 * MS))
    assert (order.status, order.resume_status) == ("PENDING_CANCEL", "NEW")


def test_a_cancel_that_is_only_asked_for_or_refused_proves_no_order() -> None:
    refusal = response(6, "cancel", order_id="7", status="REJECTED")
    assert fold(CANCEL, refusal, request(7, "amend", order_id="7", price=D(3))) == []
    assert one(CANCEL, response(6, "cancel", order_id="7", status="CANCELED")).status == "CANCELED"


def test_an_answer_that_names_no_order_begins_one_only_if_it_is_of_a_placement() -> None:
    for action in ("cancel", "amend", None):
        assert fold(response(1, action, request_id="r9", status="CANCELED")) == []
    assert len(fold(response(1, "place", request_id="r9", status="REJECTED"))) == 1


def test_amend_counts_when_it_is_confirmed() -> None:
    ask = request(5, "amend", order_id="7", price=D(12), quantity=D(1), status="NEW")
    assert one(PLACE, ACK, ask).price == D("10.5")
    refused = one(PLACE, ACK, ask, response(6, "amend", order_id="7", status="REJECTED", price=D(12)))
    assert (refused.price, refused.status, refused.is_open) == (D("10.5"), "NEW", True)
    amended = one(PLACE, ACK, ask, response(6, "amend", order_id="7", status="NEW", price=D(12), exchange_time=T0 + 6 * MS))
    assert amended.price == D(12)


def test_amend_that_renames_the_order() -> None:
    renamed = update(6, "NEW", "0", client_order_id="c2")
    order = one(PLACE, ACK, renamed, request(7, "cancel", client_order_id="c2"))
    assert (order.client_order_id, order.status) == ("c2", "PENDING_CANCEL")


def test_a_cancel_under_the_name_before_an_amendment() -> None:
    """It was under way when the amendment gave the order another client id."""
    cancel = request(5, "cancel", client_order_id="c", request_id="r5")
    renamed = update(6, "NEW", "0", client_order_id="c2")
    refusal = response(7, "cancel", client_order_id="c", request_id="r5", reason="Unknown order sent.")
    order = one(PLACE, ACK, cancel, renamed, refusal)
    assert (order.client_order_id, order.status, order.is_open, order.reason) == ("c2", "NEW", True, None)
    taken = response(7, "cancel", client_order_id="c", request_id="r5")
    assert one(PLACE, ACK, cancel, renamed, taken).status == "PENDING_CANCEL"
    again = PLACE._replace(captured_at=T0 + 9 * MS, request_id="r9")
    assert [order.client_order_id for order in fold(PLACE, ACK, renamed, again)] == ["c2", "c"]


def admitted_anew(book: Book) -> Book:
    """What a restart makes of a book: its orders, as the tables keep them."""
    orders = sorted(book.changed.values(), key=lambda order: order.updated_at)
    again = Book(book.next_key)
    for order in orders:
        again.admit(Order(*row(order)))
    again.changed |= {order.key: order for order in (*again._open.values(), *again._closed.values())}
    return again


AUTO = update(1, "NEW", client_order_id=None)
RENAMED = update(2, "NEW", "0", client_order_id="c2")


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([PLACE, ACK, RENAMED, request(3, "cancel", client_order_id="c")], id="a former name"),
        pytest.param(
            [PLACE, ACK, RENAMED, update(3, "CANCELED", client_order_id="c2"), PLACE._replace(captured_at=T0 + 9 * MS)],
            id="a former name that is used again",
        ),
        pytest.param(
            [PLACE, update(1, "NEW"), response(2, request_id="r0", reason="Too many requests.")],
            id="an answer without ids behind the update",
        ),
        pytest.param([PLACE, AUTO, update(2, "NEW"), response(3, request_id="r0")], id="and behind two orders that were one"),
        pytest.param(
            [PLACE, ACK, response(2, request_id="r0", status="REJECTED", reason="no")], id="a second answer, of another request"
        ),
    ],
)
def test_orders_are_the_same_with_a_restart_behind_each_event(events: list[OrderEvent]) -> None:
    whole, restarted = Book(1), Book(1)
    for one_event in events:
        whole.fold([one_event], {})
        restarted = admitted_anew(restarted)
        restarted.fold([one_event], {})
        for key in restarted.dropped:
            restarted.changed.pop(key, None)
    assert [row(order) for _, order in sorted(restarted.changed.items())] == [
        row(order) for _, order in sorted(whole.changed.items())
    ]


def test_an_answer_without_ids_is_that_of_the_request_though_an_update_came_first() -> None:
    order = one(PLACE, AUTO, update(2, "NEW"), response(3, request_id="r0"))
    assert (order.order_id, order.client_order_id, order.status) == ("7", "c", "NEW")


def test_names_that_are_gone_are_forgotten() -> None:
    book = Book(1)
    names = [update(2 + n, "NEW", "0", client_order_id=f"c{n % 3}") for n in range(20)]
    book.fold([PLACE, ACK, *names], {})
    assert len(book._by_client_id) == 2
    book.fold([update(40, "CANCELED", client_order_id="c1")], {})
    book.leave(T0 + 60_000 * MS)
    assert not book._by_client_id
    assert not book._by_request


def test_a_request_seen_at_two_places_leaves_nothing_behind() -> None:
    """As behind a proxy on the same host: the answer may be seen once, or not at all."""
    book = Book(1)
    book.fold([PLACE, PLACE._replace(connection_id=2), ACK, update(40, "CANCELED")], {})
    book.leave(T0 + 60_000 * MS)
    assert len(book) == 0
    assert not book._by_request
    assert not book._awaited


def test_an_answer_without_ids_may_be_seen_at_the_other_place() -> None:
    refused = response(1, request_id="r0", status="REJECTED", reason="Insufficient balance.")
    order = one(PLACE, PLACE._replace(connection_id=2), refused._replace(connection_id=2))
    assert (order.status, order.client_order_id) == ("REJECTED", "c")


def test_an_answer_that_may_be_to_either_of_two_requests_is_to_neither() -> None:
    """Clients reuse request ids; whose refusal it is, nothing says until all answers under the id are here."""
    refused = response(3, request_id="r0", status="REJECTED", reason="Insufficient balance.")
    taken = response(4, client_order_id="d", request_id="r0", order_id="o9")
    book = Book(1)
    book.fold([PLACE, PLACE._replace(client_order_id="d", captured_at=T0 + MS), refused, taken], {})
    found = {order.client_order_id: (order.order_id, order.status) for order in book.changed.values()}
    assert found == {"c": (None, "PENDING_NEW"), "d": ("o9", "PENDING_NEW"), None: (None, "REJECTED")}
    assert not book._ambiguous
    third = PLACE._replace(client_order_id="e", captured_at=T0 + 5 * MS)
    book.fold([third, refused._replace(captured_at=T0 + 6 * MS)], {})
    assert {order.client_order_id: order.status for order in book.changed.values()}["e"] == "REJECTED"


def test_ids_whose_answers_never_come_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sniffer.store.book.MAX_AMBIGUOUS", 3)
    book = Book(1)
    for number in range(10):
        one = PLACE._replace(request_id=f"r{number}", client_order_id=f"a{number}")
        book.fold([one, one._replace(client_order_id=f"b{number}")], {})
    assert len(book._ambiguous) == 3


def test_rejected_place() -> None:
    order = one(PLACE, response(1, client_order_id="c", request_id="r0", status="REJECTED", reason="Insufficient balance."))
    assert (order.status, order.is_open, order.reason, order.closed_at) == ("REJECTED", False, "Insufficient balance.", T0 + MS)
    assert order.acknowledged_at == T0 + MS


def test_null_symbol_and_account_fit_if_one_order_does() -> None:
    assert one(PLACE, ACK._replace(symbol=None, account=None), update(3, "FILLED", "2")).status == "FILLED"
    assert one(ACK._replace(symbol=None), update(3, "NEW", "0")).symbol == "BTCUSDT"


def test_order_ids_are_of_a_symbol_and_an_ambiguous_event_is_not_fold() -> None:
    other = ACK._replace(symbol="ETHUSDT", client_order_id="d")
    nameless = update(5, "FILLED", "2", symbol=None, client_order_id=None)
    assert [(order.symbol, order.status) for order in fold(ACK, other, nameless)] == [("BTCUSDT", "NEW"), ("ETHUSDT", "NEW")]


def test_accounts_are_told_apart() -> None:
    assert len(fold(PLACE, PLACE._replace(account="other", connection_id=2))) == 2


def test_joined_in_the_middle_says_no_acknowledgement() -> None:
    order = one(update(5, "PARTIALLY_FILLED", "1"))
    assert (order.requested_at, order.acknowledged_at, order.status) == (None, None, "PARTIALLY_FILLED")


def test_strategy_is_that_of_the_requests_connection() -> None:
    strategies: dict[int, str | None] = {1: "maker", 2: "user stream"}
    stream = {"connection_id": 2}
    assert one(PLACE, ACK, update(3, "FILLED", "2", **stream), strategies=strategies).strategy == "maker"
    assert one(update(0, "NEW", **stream)._replace(captured_at=T0 - 1), PLACE, ACK, strategies=strategies).strategy == "maker"


def test_strategy_that_becomes_known_later() -> None:
    book = Book(1)
    book.fold([PLACE], {})
    book.changed.clear()
    book.name_strategies({1: "maker", 5: "other"})
    assert [order.strategy for order in book.changed.values()] == ["maker"]


def test_two_sockets_give_the_same_order_in_any_interleaving() -> None:
    life = [
        update(1, "NEW", "0"),
        update(2, "PARTIALLY_FILLED", "0.5", average_price=D("10.5")),
        update(3, "PARTIALLY_FILLED", "1.5", average_price=D("10.4")),
        update(4, "FILLED", "2", average_price=D("10.3")),
    ]
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    source = random.Random(seed)
    for _ in range(300):
        events = [PLACE]
        for socket in (1, 2):
            at = T0
            for seen in life:
                at = max(at, seen.captured_at) + source.randrange(6 * MS)
                events.append(seen._replace(connection_id=socket, captured_at=at))
        order = one(*events)
        assert (order.status, order.filled_quantity, order.average_price) == ("FILLED", D(2), D("10.3"))
        assert order.closed_at == min(seen.captured_at for seen in events if seen.status == "FILLED")


def test_settled_orders_leave_and_are_missed() -> None:
    book = Book(1)
    book.fold([PLACE, ACK, update(2, "FILLED", "2")], {})
    book.leave(T0 + 2 * MS + book_module.SETTLED - 1)
    assert len(book) == 1
    book.leave(T0 + 2 * MS + book_module.SETTLED)
    assert len(book) == 0
    late = update(2, "FILLED", "2")._replace(captured_at=T0 + 100_000 * MS, connection_id=2)
    assert book.missing([late]).order_ids == {("binance-spot", "7")}


def test_the_birth_of_a_new_order_is_not_looked_up() -> None:
    book = Book(1, left_until=T0)
    later = [one._replace(captured_at=one.captured_at + 10 * MS, exchange_time=T0 + 11 * MS) for one in (PLACE, ACK)]
    assert not book.missing([*later, update(20, "FILLED", "2")])
    assert book.missing([PLACE]).client_ids == {("binance-spot", "c", T0)}  # as old as what has left: maybe seen before


@pytest.mark.parametrize("name", ["MAX_OPEN", "MAX_CLOSED"])
def test_the_book_is_bounded(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(book_module, name, 10)
    status = "NEW" if name == "MAX_OPEN" else "FILLED"
    book = Book(1)
    book.fold([update(at, status, order_id=str(at), client_order_id="same") for at in range(50)], {})
    book.leave(T0 + 50 * MS)
    assert len(book) == 10
    assert (book.open_left, book.left_until) == (name == "MAX_OPEN", T0 + 39 * MS)
    assert sum(map(len, book._by_client_id.values())) == sum(map(len, book._by_order_id.values())) == 10

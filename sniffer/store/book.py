"""Which order an event is about: the orders at hand, found by the venue's id, the client's id or the request's id.

An order is (venue, account, symbol, order_id), or (venue, account, symbol, client_order_id) while no order id is known, or the
request itself (connection, request id, item) while the trader gave no client id. A null account or symbol fits any, and a
venue's number for a symbol, which stands in requests before any instrument list was seen, fits any symbol's name, if that
leaves one order; if it leaves several, the event is not folded: it stays in `order_events`, and no order is guessed.

A client id that comes again after a final status is a new order. At hand are the open orders and those closed in the last
15 seconds, within bounds; what left the book stands in the tables, and `missing` says which of those a batch needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from operator import attrgetter
from typing import Final, NamedTuple, TypeAlias

from sniffer.model import OrderEvent
from sniffer.store.orders import FINAL, Order, absorb, apply, first_seen, is_refusal

SETTLED: Final = 15_000_000_000
"""An order closed for 15 s (ns of capture time) leaves the book: sockets of one account differ by far less."""
MAX_OPEN: Final = 50_000
"""Open orders at hand, some 1.5 kB each; in one-sided captures no order is ever seen to close. The one idle longest leaves."""
MAX_CLOSED: Final = 20_000
"""Closed orders at hand."""
MAX_AMBIGUOUS: Final = 10_000
"""Request ids with several orders in flight; the one heard of longest ago is forgotten."""
_SAME_REQUEST: Final = 1_000_000_000
"""Two sightings of a request with one id and at most 1 s (ns) between them are the same request, seen at two places."""
_SAME_CLIENT_ID: Final = 64
"""How many orders that had one client id are looked at: some traders give every order the same."""
_age: Final = attrgetter("first_at", "key")

_Place: TypeAlias = tuple[int, str, int]
"""What tells a place request from all others: its connection, its id, and where it stands in its message."""


class Missing(NamedTuple):
    """Orders that may stand in the tables: (venue, order id) and (venue, client order id, wire time of the event)."""

    order_ids: set[tuple[str, str]]
    client_ids: set[tuple[str, str, int]]

    def __bool__(self) -> bool:
        return bool(self.order_ids or self.client_ids)


class Book:
    """The orders at hand. `changed` and `dropped` say what to write since they were last cleared."""

    def __init__(self, next_key: int, left_until: int | None = None, open_left: bool = False) -> None:
        self.next_key = next_key
        self.left_until = left_until
        """No order that has left the book was updated after this wire time (ns); None: none has left."""
        self.open_left = open_left
        """Whether some that left are open: then an update to NEW need not be a birth."""
        self.changed: dict[int, Order] = {}
        self.dropped: set[int] = set()
        self.sealed_batch: dict[int, int] = {}
        """Of the orders at hand whose row is in a sealed file: that row's batch."""
        self._open: dict[int, Order] = {}  # the one idle longest first
        self._closed: dict[int, Order] = {}  # the one closed first first
        self._by_order_id: dict[tuple[str, str], list[Order]] = {}
        self._by_client_id: dict[tuple[str, str], list[Order]] = {}  # by time of their first event
        self._by_request: dict[_Place, Order] = {}  # whose place requests await their responses
        self._awaited: dict[int, set[_Place]] = {}  # by order: one of these for each place where its request was seen
        self._ambiguous: dict[_Place, int] = {}  # where requests of several orders were in flight: responses to come

    def __len__(self) -> int:
        return len(self._open) + len(self._closed)

    def __contains__(self, key: int) -> bool:
        return key in self._open or key in self._closed

    def admit(self, order: Order, sealed_batch: int | None = None) -> None:
        """Put an order from the tables at hand; `sealed_batch` is the batch of its row, if that is in a sealed file."""
        if sealed_batch is not None:
            self.sealed_batch[order.key] = sealed_batch
        (self._closed if order.status in FINAL else self._open)[order.key] = order
        self._index(order)

    def fold(self, events: Iterable[OrderEvent], strategies: Mapping[int, str | None]) -> None:
        """Fold `events`, of any connections, sorted by wire time. `strategies` are by connection id."""
        for event in events:
            order = self._find(event) or self._begin(event)
            if order is None:
                continue
            self._identify(order, event)
            apply(order, event)
            if event.kind == "response" and event.action == "place":
                order.answered = True
            order.strategy = strategies.get(order.connection_id) or order.strategy
            self._open.pop(order.key, None)
            if order.status not in FINAL:
                self._open[order.key] = order
            elif order.key not in self._closed:
                self._closed[order.key] = order
            self.changed[order.key] = order

    def name_strategies(self, strategies: Mapping[int, str]) -> None:
        """The strategies behind these connections became known, maybe after their first orders."""
        if strategies:
            for order in (*self._open.values(), *self._closed.values()):
                if order.connection_id in strategies and order.strategy != strategies[order.connection_id]:
                    order.strategy = strategies[order.connection_id]
                    self.changed[order.key] = order

    def leave(self, now: int) -> None:
        """Let go of what has settled before `now` (ns) or is over the limits. Call it when `changed` has been written."""
        while self._closed:
            order = next(iter(self._closed.values()))
            if len(self._closed) <= MAX_CLOSED and order.updated_at > now - SETTLED:
                break
            self._forget(order)
        while len(self._open) > MAX_OPEN:
            self._forget(next(iter(self._open.values())))
            self.open_left = True

    def let_go(self, keys: Iterable[int]) -> None:
        """These orders have been sealed: the tables keep them."""
        for key in keys:
            if (order := self._closed.get(key) or self._open.get(key)) is not None:
                self._forget(order)

    def missing(self, events: Iterable[OrderEvent]) -> Missing:
        """What `events` (sorted by wire time) may be about that is not at hand; nothing for the plain birth of an order."""
        found = Missing(set(), set())
        if self.left_until is None:
            return found
        born: set[tuple[str, str, str]] = set()
        for event in events:
            venue, order_id, client_id = event.venue, event.order_id, event.client_order_id
            names = [("order", venue, order_id)] if order_id is not None else []
            if client_id is not None:
                names.append(("client", venue, client_id))
            by_order_id = order_id is not None and ((venue, order_id) in self._by_order_id or names[0] in born)
            if by_order_id:
                born.update(names)
                continue
            recent = min(event.captured_at, event.exchange_time or event.captured_at) > self.left_until
            by_client_id = client_id is not None and ((venue, client_id) in self._by_client_id or names[-1] in born)
            if recent and (by_client_id or event.action == "place" or (begins(event) and not self.open_left)):
                born.update(names)
                continue
            if order_id is not None:
                found.order_ids.add((venue, order_id))
            if client_id is not None:
                found.client_ids.add((venue, client_id, event.captured_at))
        return found

    def _begin(self, event: OrderEvent) -> Order | None:
        """A new order, if `event` proves that there is one: a cancel or amend that is only asked for, or refused, does not."""
        if event.action in ("cancel", "amend") and (event.kind == "request" or is_refusal(event)):
            return None
        if event.order_id is None and event.client_order_id is None and (event.action != "place" or event.request_id is None):
            return None
        if any(fits(event, order) for order in self._by_order_id.get((event.venue, event.order_id or ""), ())):
            return None  # several orders fit: see the top
        order = first_seen(self.next_key, event)
        self.next_key += 1
        return order

    def _find(self, event: OrderEvent) -> Order | None:
        order = None
        if event.order_id is not None:
            order = _only(event, self._by_order_id.get((event.venue, event.order_id), ()))
        if event.kind == "response" and event.action == "place" and event.request_id is not None:
            place = (event.connection_id, event.request_id, event.item)
            asked = self._by_request.get(place)
            if place in self._ambiguous:
                self._count_ambiguous(place, -1)
            elif asked is not None and asked.key in self and _answers(event, asked):
                self._answered(place, asked)
                order = self._joined(order, asked) or asked
        if event.client_order_id is not None and (order is None or order.client_order_id is None):
            order = self._joined(order, self._by_client(event))
        return order

    def _joined(self, order: Order | None, asked: Order | None) -> Order | None:
        """One order where the venue's id found `order` and the trader's id found `asked`."""
        if order is None or asked is None or asked is order or asked.order_id is not None:
            return order if order is not None else asked
        awaited = self._awaited.get(asked.key, set()).copy()
        self._remove(asked)
        self.changed.pop(asked.key, None)
        self.dropped.add(asked.key)
        absorb(order, asked)
        for place in awaited:
            self._await(place, order)
        if order.client_order_id is None and asked.client_order_id is not None:
            self._rename(order, asked.client_order_id)
        return order

    def _by_client(self, event: OrderEvent) -> Order | None:
        """The order that had this client id when the event was captured."""
        at = event.captured_at
        places = event.kind == "request" and event.action == "place"
        order = None
        for candidate in islice(
            reversed(self._by_client_id.get((event.venue, event.client_order_id or ""), ())), _SAME_CLIENT_ID
        ):
            same_id = candidate.order_id is None or event.order_id is None or candidate.order_id == event.order_id
            if same_id and fits(event, candidate):
                order = candidate
                if order.first_at <= at:
                    break
        if order is None:
            return None
        if at < order.first_at:
            again = places and order.requested_at is not None
        elif order.status in FINAL:
            again = (
                order.closed_at is not None
                and at > order.closed_at
                and (places or (begins(event) and not _is_late(event, order)))
                and not (event.kind == "response" and order.requested_at is not None and not order.answered)  # its own, at last
            )
        else:
            seen_twice = order.requested_at is None or (
                event.request_id == order.request_id and at - order.requested_at <= _SAME_REQUEST
            )
            again = places and not seen_twice
        return None if again else order

    def _identify(self, order: Order, event: OrderEvent) -> None:
        """Take over the ids that `event` brings, and index the order under them."""
        if order.account is None:
            order.account = event.account
        if order.symbol is None or (event.symbol is not None and order.symbol.isdecimal()):
            order.symbol = event.symbol
        if order.order_id is None and event.order_id is not None:
            order.order_id = event.order_id
            self._by_order_id.setdefault((order.venue, order.order_id), []).append(order)
        client_id = event.client_order_id
        if client_id is not None and client_id != order.client_order_id:
            says = event.kind == "update" or (event.action == "amend" and event.status is not None and not is_refusal(event))
            amended = says and event.captured_at >= order.updated_at and client_id != order.former_client_order_id
            if order.client_order_id is None or amended:
                self._rename(order, client_id)
        if event.kind == "request" and event.action == "place" and event.request_id is not None:
            self._await((event.connection_id, event.request_id, event.item), order)
            order.answered = False

    def _await(self, place: _Place, order: Order) -> None:
        """The response to the request at this place is to come. Where another's is, too, nobody knows whose the next one is."""
        other = self._by_request.get(place)
        if place in self._ambiguous:
            self._count_ambiguous(place, 1)
        elif other is not None and other is not order:
            self._answered(place, other)
            self._count_ambiguous(place, 2)
        else:
            self._by_request[place] = order
            self._awaited.setdefault(order.key, set()).add(place)

    def _count_ambiguous(self, place: _Place, change: int) -> None:
        count = self._ambiguous.pop(place, 0) + change
        if count:
            self._ambiguous[place] = count
        if len(self._ambiguous) > MAX_AMBIGUOUS:
            del self._ambiguous[next(iter(self._ambiguous))]

    def _answered(self, place: _Place, order: Order) -> None:
        del self._by_request[place]
        self._awaited[order.key].remove(place)
        if not self._awaited[order.key]:
            del self._awaited[order.key]

    def _index(self, order: Order) -> None:
        if order.order_id is not None:
            self._by_order_id.setdefault((order.venue, order.order_id), []).append(order)
        if (place := _request_of(order)) is not None and not order.answered:
            self._await(place, order)
        for name in (order.client_order_id, order.former_client_order_id):
            if name is not None:
                self._index_by_client_id(order, name)

    def _rename(self, order: Order, client_order_id: str) -> None:
        _discard(self._by_client_id, (order.venue, order.former_client_order_id), order)
        order.former_client_order_id, order.client_order_id = order.client_order_id, client_order_id
        self._index_by_client_id(order, client_order_id)

    def _index_by_client_id(self, order: Order, name: str) -> None:
        bucket = self._by_client_id.setdefault((order.venue, name), [])
        bucket.append(order)
        if len(bucket) > 1 and _age(bucket[-2]) > _age(order):
            bucket.sort(key=_age)

    def _forget(self, order: Order) -> None:
        self._remove(order)
        self.sealed_batch.pop(order.key, None)
        self.left_until = max(order.updated_at, self.left_until or 0)

    def _remove(self, order: Order) -> None:
        self._open.pop(order.key, None)
        self._closed.pop(order.key, None)
        _discard(self._by_order_id, (order.venue, order.order_id), order)
        _discard(self._by_client_id, (order.venue, order.client_order_id), order)
        _discard(self._by_client_id, (order.venue, order.former_client_order_id), order)
        for place in self._awaited.pop(order.key, ()):
            del self._by_request[place]


def fits(event: OrderEvent, order: Order) -> bool:
    """Whether account and symbol of both agree; null agrees with any, and the number of a symbol with any name."""
    return (
        event.symbol is None
        or order.symbol is None
        or event.symbol == order.symbol
        or event.symbol.isdecimal() != order.symbol.isdecimal()
    ) and (event.account is None or order.account is None or event.account == order.account)


def begins(event: OrderEvent) -> bool:
    """Whether `event` is how an order's life begins."""
    return event.action == "place" or (
        event.kind != "request" and event.status in ("PENDING_NEW", "PENDING_TRIGGER", "NEW") and not event.filled_quantity
    )


def _only(event: OrderEvent, orders: Sequence[Order]) -> Order | None:
    """The one order that fits: where several do, the one that says the same account and symbol; None if that is not one."""
    fitting = [order for order in orders if fits(event, order)]
    if len(fitting) > 1:
        fitting = [order for order in fitting if (order.account, order.symbol) == (event.account, event.symbol)]
    return fitting[0] if len(fitting) == 1 else None


def _request_of(order: Order) -> _Place | None:
    """The first sighting of its place request; None: none was seen, or it has no id."""
    if order.request_id is None or order.request_item is None:
        return None
    return order.connection_id, order.request_id, order.request_item


def _answers(event: OrderEvent, asked: Order) -> bool:
    """Whether the response `event` can be the answer to the request `asked`, whose request id it has; clients reuse those."""
    return (
        fits(event, asked)
        and (asked.order_id is None or event.order_id in (None, asked.order_id))
        and (None in (event.client_order_id, asked.client_order_id) or event.client_order_id == asked.client_order_id)
    )


def _is_late(event: OrderEvent, order: Order) -> bool:
    """Whether the venue says that `event` was before `order` took its present state."""
    return event.exchange_time is not None and order.state_time is not None and event.exchange_time <= order.state_time


def _discard(index: dict[tuple[str, str], list[Order]], name: tuple[str, str | None], order: Order) -> None:
    orders = index.get(name)  # type: ignore[arg-type]  # a None is in no name, and finds nothing
    if orders is not None and order in orders:
        orders.remove(order)
        if not orders:
            del index[name]  # type: ignore[arg-type]  # it was found

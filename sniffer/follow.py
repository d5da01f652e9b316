"""Orders and fills as they come: `sniffer tail`."""

from __future__ import annotations

import contextlib
import datetime
import json
import select
import sys
import time
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from sniffer.config import SECOND
from sniffer.errors import StoreError
from sniffer.model import FillEvent, OrderEvent
from sniffer.report import unexamined
from sniffer.store.read import query
from sniffer.store.tail import Cursor, changes
from sniffer.table import json_value, plain, visible

_TAIL_INTERVAL: Final = 0.2
_PATIENCE: Final = 5.0
"""Seconds for which a database that could be read before may be kept from us."""
_TIMES: Final = frozenset(("captured_at", "exchange_time"))
UNEXAMINED: Final = (
    "SELECT coalesce(host, server_ip || ':' || server_port), sum(unexamined)::BIGINT FROM connections "
    "WHERE unexamined > 0 GROUP BY 1 ORDER BY 2 DESC LIMIT 10"
)
_COLOURS: Final = {"buy": "green", "sell": "red"}


def follow(db: Path, *, venue: str | None, symbol: str | None, strategy: str | None, as_json: bool) -> None:
    """Print order events and fills as they are published, until Ctrl-C, or until nobody reads them any more.

    Starts with what comes from now on. Raises `StoreError` if the database cannot be read; where it could be before, if it
    cannot for some seconds: a client that opened it for writing keeps readers out for less than that.
    """
    console = Console(highlight=False, soft_wrap=True)
    cursor: Cursor | None = None
    named: set[str] = set()
    failing_since: float | None = None
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            before = cursor
            try:
                found, cursor = changes(db, before)
                failing_since = None
            except StoreError:
                failing_since = failing_since or time.monotonic()
                if before is None or time.monotonic() - failing_since > _PATIENCE:
                    raise
                found = []
            for event, whose in found:
                shown = zip((venue, symbol, strategy), (event.venue, event.symbol, whose), strict=True)
                if any(wanted not in (None, value) for wanted, value in shown):
                    continue
                if as_json:
                    print(json.dumps(_change(event, whose), ensure_ascii=False), flush=True)
                else:
                    console.print(tail_line(event))
            if cursor != before and not as_json and sys.stderr.isatty():
                with contextlib.suppress(StoreError):  # the next look says what is wrong
                    _name_unexamined(db, named)
            if _reader_is_gone(_TAIL_INTERVAL):
                return


def _reader_is_gone(seconds: float) -> bool:
    """Wait so long, or until the pipe that standard output goes to is closed at its other end, as by `| head`."""
    if sys.stdout.isatty():  # macOS cannot poll terminals
        time.sleep(seconds)
        return False
    poll = select.poll()
    poll.register(sys.stdout, 0)
    return bool(poll.poll(seconds * 1000))


def _name_unexamined(db: Path, named: set[str]) -> None:
    """Say once of each host that its messages can be read, and nobody examines them."""
    for where, count in query(db, UNEXAMINED).rows:
        if where not in named:
            named.add(where)
            print(f"sniffer: {unexamined(where, count)}", file=sys.stderr)


def _change(event: OrderEvent | FillEvent, strategy: str | None) -> dict[str, Any]:
    table = "fill_events" if isinstance(event, FillEvent) else "order_events"
    fields = {name: when(value) if name in _TIMES else json_value(value) for name, value in event._asdict().items()}
    return {"table": table, **fields, "strategy": strategy}


def when(nanoseconds: int | None) -> str | None:
    """A wire time or exchange time as ISO 8601 with nanoseconds, UTC."""
    if nanoseconds is None:
        return None
    seconds, rest = divmod(nanoseconds, SECOND)
    return f"{datetime.datetime.fromtimestamp(seconds, datetime.UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def tail_line(event: OrderEvent | FillEvent) -> Text:
    """One order event or fill, as a line in columns: time (UTC), venue, symbol, side, what it is, how much at what price."""
    line = Text((when(event.captured_at) or "")[11:23])
    line.append(f"  {event.venue}", style="dim")
    line.append(f"  {visible(event.symbol or '?'):<12}")
    line.append(f"  {event.side or '':<4}", style=_COLOURS.get(event.side or "", ""))
    if isinstance(event, FillEvent):
        line.append(f"  {'fill':<15}  {event.liquidity or '':<16}  {_size(event)}", style="bold")
        if event.fee is not None:
            line.append(f"  fee {plain(event.fee)} {visible(event.fee_asset or '')}", style="dim")
        line.append(f"  trade {visible(event.trade_id or '?')}", style="dim")
    else:
        status = event.status or event.status_raw or ("sent" if event.kind == "request" else "")
        line.append(f"  {' '.join(filter(None, (event.kind, event.action))):<15}  {visible(status):<16}  {_size(event)}")
        if event.filled_quantity:
            line.append(f"  filled {plain(event.filled_quantity)}")
        if event.reason:
            line.append(f"  {visible(event.reason)}", style="yellow")
    line.append(f"  {visible(event.client_order_id or event.order_id or '')}", style="dim")
    line.rstrip()
    return line


def _size(event: OrderEvent | FillEvent) -> str:
    """Quantity and price, as far as the message says them: a cancel says neither, an order at the market no price."""
    price = f"@ {plain(event.price)}" if event.price is not None else ""
    return " ".join(filter(None, (plain(event.quantity), price)))

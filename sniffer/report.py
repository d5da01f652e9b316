"""What the commands print: the summary of a run, the rows of a query, orders and fills as they come."""

from __future__ import annotations

import csv
import datetime
import itertools
import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sniffer.config import SECOND
from sniffer.model import FillEvent, OrderEvent
from sniffer.pipeline import Summary
from sniffer.store.read import query
from sniffer.store.tail import Cursor, changes

FORMATS: Final = ("table", "json", "csv", "markdown")
_LISTED: Final = 8
"""Kinds of loss, hosts and so on that a summary names; the rest is counted."""
_TAIL_INTERVAL: Final = 0.2
_TIMES: Final = frozenset(("captured_at", "exchange_time"))
UNEXAMINED: Final = (
    "SELECT coalesce(host, server_ip || ':' || server_port), sum(unexamined)::BIGINT FROM connections "
    "WHERE unexamined > 0 GROUP BY 1 ORDER BY 2 DESC LIMIT 10"
)
_COLOURS: Final = {"buy": "green", "sell": "red"}


def summary_lines(summary: Summary, db: str) -> Iterator[str]:
    """A run, for the user: what was stored, what could not be read, and which traffic nobody looked at."""
    if summary.already_loaded and summary.already_loaded >= summary.packets:
        yield f"{summary.name}: already in {db} ({summary.packets:,} packets); nothing changed (--replace loads it anew)"
        return
    if summary.already_loaded:
        yield f"{summary.name}: {summary.already_loaded:,} packets were in {db} already; went on from there"
    rate = f" in {summary.seconds:.1f} s" if summary.seconds >= 0.05 else ""
    yield (
        f"{summary.packets:,} packets, {_many(summary.connections, 'connection')}{rate}: "
        f"{_many(summary.order_events, 'order event')}, {_many(summary.fill_events, 'fill')} -> {db}"
    )
    for (layer, reason), count in _first(summary.losses.most_common()):
        yield f"  lost ({layer}): {reason}" + (f" ({count:,} times)" if count > 1 else "")
    if summary.lost_bytes:
        yield f"  {summary.lost_bytes:,} bytes were lost in all; `select * from losses` says where"
    for where, count in _first(summary.unexamined.most_common()):
        yield f"  not examined: {_many(count, 'message')} of {where}, which no venue recognises"
    for where, count in _first(summary.unreadable.most_common()):
        yield f"  not readable: {where}" + (f" ({_many(count, 'connection')})" if count > 1 else "")


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")


def _first(items: Sequence[Any]) -> Iterator[Any]:
    yield from items[:_LISTED]


def plain(value: Any) -> str:
    """A value as text: exact decimals without an exponent or trailing zeros, times with what they have of a second."""
    if value is None:
        return ""
    if isinstance(value, Decimal):
        text = f"{value:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, datetime.datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


def print_rows(names: list[str], types: list[str], rows: Iterable[tuple[Any, ...]], form: str) -> None:
    """Rows of a query to standard output, as one of `FORMATS`."""
    if form == "json":
        for row in rows:
            print(json.dumps(dict(zip(names, map(_json, row), strict=True)), ensure_ascii=False))
    elif form == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([plain(value) for value in row] for row in rows)
    elif form == "markdown":
        print("| " + " | ".join(names) + " |")
        print("|" + "|".join("---:" if _is_number(kind) else "---" for kind in types) + "|")
        for row in rows:
            print("| " + " | ".join(plain(value).replace("|", "\\|").replace("\n", " ") for value in row) + " |")
    else:
        _print_table(names, types, rows)


def _print_table(names: list[str], types: list[str], rows: Iterable[tuple[Any, ...]]) -> None:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name, kind in zip(names, types, strict=True):
        table.add_column(name, justify="right" if _is_number(kind) else "left", overflow="fold")
    count = 0
    for row in rows:
        table.add_row(*[Text(plain(value)) for value in row])
        count += 1
    console = Console(width=None if sys.stdout.isatty() else 10_000, highlight=False)
    console.print(table)
    console.print(f"({_many(count, 'row')})", style="dim")


def _is_number(kind: str) -> bool:
    return kind.upper().startswith(("DECIMAL", "DOUBLE", "FLOAT", "BIGINT", "INTEGER", "HUGEINT", "SMALLINT", "TINYINT", "U"))


def _json(value: Any) -> Any:
    if isinstance(value, Decimal | datetime.datetime | bytes):
        return plain(value)
    if isinstance(value, int | float | str | bool) or value is None:
        return value
    return str(value)


def follow(db: Path, *, venue: str | None, symbol: str | None, strategy: str | None, as_json: bool) -> None:
    """Print order events and fills as they are published, until Ctrl-C. Starts with what comes from now on."""
    console = Console(highlight=False, soft_wrap=True)
    cursor: Cursor | None = None
    named: set[str] = set()
    try:
        while True:
            found, cursor = changes(db, cursor)
            for event, whose in found:
                if (venue, symbol, strategy) not in _selections(event.venue, event.symbol, whose):
                    continue
                if as_json:
                    print(json.dumps(_change(event, whose), ensure_ascii=False), flush=True)
                else:
                    console.print(tail_line(event))
            if not as_json and sys.stderr.isatty():
                _name_unexamined(db, named)
            time.sleep(_TAIL_INTERVAL)
    except KeyboardInterrupt:
        pass


def _selections(*values: str | None) -> Iterator[tuple[str | None, ...]]:
    """Every way in which options that may be left out can name these values."""
    return itertools.product(*[(None, value) if value is not None else (None,) for value in values])


def _name_unexamined(db: Path, named: set[str]) -> None:
    """Say once of each host that its messages can be read, and nobody examines them."""
    _, _, rows = query(db, UNEXAMINED)
    for where, count in rows:
        if where not in named:
            named.add(where)
            print(f"sniffer: not examined: {_many(count, 'message')} of {where}, which no venue recognises", file=sys.stderr)


def _change(event: OrderEvent | FillEvent, strategy: str | None) -> dict[str, Any]:
    table = "fill_events" if isinstance(event, FillEvent) else "order_events"
    fields = {name: when(value) if name in _TIMES else _json(value) for name, value in event._asdict().items()}
    return {"table": table, **fields, "strategy": strategy}


def when(nanoseconds: int | None) -> str | None:
    """A wire time or exchange time as ISO 8601 with nanoseconds, UTC."""
    if nanoseconds is None:
        return None
    seconds, rest = divmod(nanoseconds, SECOND)
    return f"{datetime.datetime.fromtimestamp(seconds, datetime.UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}"


def tail_line(event: OrderEvent | FillEvent) -> Text:
    """One order event or fill, as a line."""
    line = Text((when(event.captured_at) or "")[11:23])
    line.append(f"  {event.venue} ", style="dim")
    line.append(f"{event.symbol or '?':<12} ")
    line.append(f"{event.side or '':<5}", style=_COLOURS.get(event.side or "", ""))
    size = f"{plain(event.quantity) or '?'} @ {plain(event.price) or '?'}"
    if isinstance(event, FillEvent):
        line.append(f"FILL {size}", style="bold")
        if event.fee is not None:
            line.append(f"  fee {plain(event.fee)} {event.fee_asset or ''}", style="dim")
        line.append(f"  trade {event.trade_id or '?'}", style="dim")
    else:
        line.append(
            f"{' '.join(filter(None, (event.kind, event.action)))}: {event.status or event.status_raw or 'sent'}  {size}"
        )
        if event.filled_quantity:
            line.append(f"  filled {plain(event.filled_quantity)}")
        if event.reason:
            line.append(f"  {event.reason}", style="yellow")
    line.append(f"  {event.client_order_id or event.order_id or ''}", style="dim")
    return line

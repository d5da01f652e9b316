"""What the commands print: the summary of a run, the rows of a query, orders and fills as they come."""

from __future__ import annotations

import csv
import datetime
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

from sniffer.pipeline import Summary

FORMATS: Final = ("table", "json", "csv", "markdown")
_LISTED: Final = 8
"""Kinds of loss, hosts and so on that a summary names; the rest is counted."""
_TAIL_INTERVAL: Final = 0.2
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
    from sniffer.store.tail import Tail

    console = Console(highlight=False, soft_wrap=True)
    tail = Tail(db, venue=venue, symbol=symbol, strategy=strategy)
    try:
        while True:
            for row in tail.changes():
                if as_json:
                    print(json.dumps({key: _json(value) for key, value in row.items()}, ensure_ascii=False), flush=True)
                else:
                    console.print(tail_line(row))
            time.sleep(_TAIL_INTERVAL)
    except KeyboardInterrupt:
        pass


def tail_line(row: dict[str, Any]) -> Text:
    """One order event or fill, as a line."""
    fill = row["table"] == "fill_events"
    line = Text(plain(row["captured_at"])[:23])
    line.append(f"  {row['venue']} ", style="dim")
    line.append(f"{row.get('symbol') or '?':<12}")
    side = row.get("side") or ""
    line.append(f"{side:<5}", style=_COLOURS.get(side, ""))
    if fill:
        line.append(f"FILL {plain(row['quantity'])} @ {plain(row['price'])}", style="bold")
        if row.get("fee") is not None:
            line.append(f"  fee {plain(row['fee'])} {row.get('fee_asset') or ''}", style="dim")
        line.append(f"  trade {row.get('trade_id') or '?'}", style="dim")
    else:
        what = row.get("status") or row.get("status_raw") or row.get("action") or row.get("kind")
        line.append(f"{row['kind']}: {what} ")
        line.append(f"{plain(row['quantity'])} @ {plain(row['price'])}")
        if row.get("filled_quantity"):
            line.append(f"  filled {plain(row['filled_quantity'])}")
        if row.get("reason"):
            line.append(f"  {row['reason']}", style="yellow")
    line.append(f"  {row.get('client_order_id') or row.get('order_id') or ''}", style="dim")
    return line

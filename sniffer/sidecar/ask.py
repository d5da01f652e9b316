"""`sniffer status`: ask a running recording how it is, and say it."""

from __future__ import annotations

import contextlib
import datetime
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from sniffer.config import SECOND, Settings
from sniffer.errors import SnifferError
from sniffer.report import query_call
from sniffer.sidecar.status import SOCKET
from sniffer.table import visible

_PATIENCE: Final = 5.0
"""Seconds for an answer that takes milliseconds."""
_LIMIT: Final = 1 << 20


def ask(settings: Settings) -> dict[str, Any]:
    """The record of `sniffer.sidecar.status.Status`. Raises `SnifferError` where no recording answers."""
    journal = settings.journal or Path(f"{settings.db}.journal")
    nobody = f"{settings.db}: no recording runs (nobody answers at {journal / SOCKET}); `sniffer record` starts one"
    answer = bytearray()
    try:
        with contextlib.chdir(journal), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.settimeout(_PATIENCE)
            asking.connect(SOCKET)
            while (piece := asking.recv(65536)) and len(answer) < _LIMIT:
                answer += piece
        record = json.loads(answer)
    except PermissionError:
        raise SnifferError(f"{journal}: belongs to another user; ask as that user, or with sudo") from None
    except TimeoutError:
        raise SnifferError(f"{settings.db}: the recording does not answer; `ps` shows its processes") from None
    except (OSError, ValueError):
        raise SnifferError(nobody) from None
    if not isinstance(record, dict):
        raise SnifferError(nobody)
    return record


def lines(record: dict[str, Any]) -> Iterator[str]:
    """The record for people, one subject a line."""
    capture, journal, load = record["capture"], record["journal"], record["load"]
    yield "processes   " + ", ".join(
        f"{name} {facts['pid'] or 'is about to be started again'}" + _times(facts["starts"])
        for name, facts in record["processes"].items()
    )
    yield (
        f"capture     {_count(capture['packets'])} packets, {_rate(capture['packets_per_second'])} packets/s; "
        f"ring {_percent(capture['ring_fill'])} full; {_count(capture['kernel_drops'])} dropped by the kernel in this run"
    )
    if capture["problem"]:
        waiting = f"; {_count(capture['waiting'])} packets wait in memory" if capture["waiting"] else ""
        yield f"  PROBLEM   {visible(capture['problem'])}{waiting}"
    yield (
        f"journal     {_size(journal['bytes'])} in {_count(journal['segments'])} segments; "
        f"{_count(journal['behind_packets'])} packets ({_rate(journal['behind_seconds'])} s) not loaded yet"
    )
    yield (
        f"load        {_count(load['messages'])} messages, {_rate(load['messages_per_second'])} messages/s; "
        f"{_count(load['order_events'])} order events, {_count(load['fill_events'])} fills"
    )
    yield f"published   {_ago(load['published'], record['at'])} -> {visible(record['database'])}"
    which = query_call("SELECT * FROM losses", record["database"])
    yield f"losses      {_count(load['lost_today'])} today (UTC); `{which}` says which"
    yield f"unreadable  {_count(load['unreadable'])} open connections"
    for connection in load["unreadable_connections"]:
        yield f"  {visible(connection)}"


def _count(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def _rate(value: float | None) -> str:
    return "?" if value is None else f"{value:,.1f}"


def _percent(value: float | None) -> str:
    return "?" if value is None else f"{100 * value:.0f}%"


def _size(value: int | None) -> str:
    return "?" if value is None else f"{value / (1 << 20):,.1f} MiB"


def _times(starts: int) -> str:
    return "" if starts == 1 else f" (started {starts:,} times)"


def _ago(at: int | None, now: int) -> str:
    if at is None:
        return "nothing yet"
    when = datetime.datetime.fromtimestamp(at // SECOND, datetime.UTC)
    return f"{max(0, now - at) / SECOND:.1f} s ago, at {when:%Y-%m-%d %H:%M:%S} UTC"

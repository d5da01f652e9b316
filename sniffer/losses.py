"""`sniffer losses`: was this time complete, and what is to be asked for?"""

from __future__ import annotations

import datetime
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from sniffer.config import SECOND
from sniffer.errors import UsageError
from sniffer.store.completeness import Completeness, Missing, Window, completeness
from sniffer.table import table

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_LAST_SECOND: Final = (1 << 63) // SECOND - 1
"""The last whole second that a TIMESTAMP_NS can say."""


def span(start: str | None, end: str | None, last: str | None) -> tuple[int | None, int | None]:
    """(from, to) in ns, of the options `--from`, `--to` and `--last`. Raises `UsageError`."""
    if last is not None:
        if start is not None or end is not None:
            raise UsageError(f"--last {last}: give either it, or --from and --to")
        found = re.fullmatch(r"(\d{1,9})([smhd])", last)
        if found is None:
            raise UsageError(f"--last {last}: a number and a unit, as 90s, 15m, 1h or 2d")
        now = time.time_ns()
        return max(0, now - int(found[1]) * _UNITS[found[2]] * SECOND), now
    since, until = _time("--from", start), _time("--to", end)
    if since is not None and until is not None and since > until:
        raise UsageError(f"--to {end}: is before --from {start}")
    return since, until


def _time(option: str, text: str | None) -> int | None:
    """An ISO 8601 time, UTC where it names no zone, in ns."""
    if text is None:
        return None
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} {text}: an ISO 8601 time, as 2026-11-21T10:00 or 2026-11-21T10:00:00Z") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    delta = moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    seconds = delta.days * 86_400 + delta.seconds
    if not 0 <= seconds < _LAST_SECOND:
        raise UsageError(f"{option} {text}: a time between 1970 and 2262")
    return seconds * SECOND + delta.microseconds * 1000


def report(path: Path, since: int | None, until: int | None, *, as_json: bool) -> Iterator[str]:
    """The lines to print."""
    found = completeness(path, since, until)
    if as_json:
        yield json.dumps(_as_json(found), ensure_ascii=False)
        return
    if not found.recorded:
        yield "nothing was recorded in this time"
        return
    for start, end in found.recorded:
        yield f"recorded {_text(start)} to {_text(end)}"
    if found.complete:
        yield f"complete: {found.connections:,} connections, nothing is missing"
        return
    whose = [one.connection_id for one in found.missing if one.connection_id is not None]
    apart = len(found.missing) - len(whose)
    where = [f"{_losses(len(whose))} in {len(set(whose)):,} of {found.connections:,} connections"] if whose else []
    where += [f"{_losses(apart)} of no connection"] if apart else []
    unknown = " at least" if any(one.bytes is None for one in found.missing) else ""
    yield f"not complete: {' and '.join(where)},{unknown} {sum(one.bytes or 0 for one in found.missing):,} bytes"
    yield ""
    yield from table(Missing._fields[1:], ["VARCHAR"] * 12, [_row(one)[1:] for one in found.missing])
    yield ""
    yield "ask the exchange's REST API for the orders and trades of:"
    yield from table(Window._fields, ["VARCHAR"] * 5, [_row(one) for one in found.windows])


def _losses(count: int) -> str:
    return f"{count:,} loss{'' if count == 1 else 'es'}"


def _as_json(found: Completeness) -> dict[str, Any]:
    return {
        "complete": found.complete,
        "recorded": [{"from_time": _text(start), "to_time": _text(end)} for start, end in found.recorded],
        "connections": found.connections,
        "missing": [dict(zip(one._fields, _row(one), strict=True)) for one in found.missing],
        "windows": [dict(zip(one._fields, _row(one), strict=True)) for one in found.windows],
    }


def _row(one: Missing | Window) -> list[Any]:
    values: dict[str, Any] = one._asdict()
    return [_text(value) if name.endswith("_time") else value for name, value in values.items()]


def _text(at: int | None) -> str | None:
    """ISO 8601 with nanoseconds."""
    if at is None:
        return None
    moment = datetime.datetime.fromtimestamp(at // SECOND, datetime.UTC).replace(tzinfo=None)
    return f"{moment.isoformat()}.{at % SECOND:09}Z"

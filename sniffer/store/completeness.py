"""Was this hour complete? What the database says of a span of time, and what to ask the exchange for."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, NamedTuple

from sniffer.store.read import connect

WINDOW: Final = 1_000_000_000
"""Windows closer than this (ns) are one: a request to the exchange costs more than a second of its history."""


class Missing(NamedTuple):
    """One trouble of one connection, or of a whole capture (`connection_id` None). Times are ns; None: unknown."""

    capture_id: str
    connection_id: int | None
    venue: str | None
    host: str | None
    strategy: str | None
    account: str | None
    sender: str | None
    from_time: int | None
    to_time: int | None
    bytes: int | None
    messages: int | None
    layer: str
    reason: str


class Window(NamedTuple):
    """A span (ns, both ends included) whose orders and trades the exchange's REST API should be asked for."""

    venue: str | None
    account: str | None
    host: str | None
    from_time: int
    to_time: int


class Completeness(NamedTuple):
    """What is known of a span of time."""

    recorded: list[tuple[int, int]]
    """(from, to) of the captures in it, in ns: outside of these nothing was seen."""
    connections: int
    """Those that lived then, or of which something is missing then: a loss may be known after its connection's end."""
    missing: list[Missing]
    windows: list[Window]

    @property
    def complete(self) -> bool:
        """Whether something was recorded, and nothing of that is missing."""
        return bool(self.recorded) and not self.missing


def completeness(path: str | Path, start: int | None = None, end: int | None = None) -> Completeness:
    """What `losses` and `connections` say of the time from `start` to `end` (ns; None: as far as the database goes).

    A loss counts if it touches the span; remarks (losses of nothing) do not. What cannot be read becomes a loss when that is
    settled, since keys may still come: until then its connection counts. Raises as `connect` does.
    """
    since, until = (start if start is not None else 0), (end if end is not None else (1 << 63) - 1)
    with connect(path) as connection:
        recorded = connection.execute(
            "SELECT greatest(epoch_ns(started_at), $since), least(epoch_ns(ended_at), $until) FROM captures"
            " WHERE epoch_ns(started_at) <= $until AND epoch_ns(ended_at) >= $since ORDER BY ALL",
            {"since": since, "until": until},
        ).fetchall()
        rows: list[tuple[Any, ...]] = connection.execute(
            "SELECT losses.capture_id, losses.connection_id, venue, host, strategy, account, sender,"
            " epoch_ns(from_time), epoch_ns(to_time), bytes, losses.messages, layer, reason"
            " FROM losses LEFT JOIN connections ON connections.connection_id = losses.connection_id"
            " WHERE (bytes IS DISTINCT FROM 0 OR losses.messages IS DISTINCT FROM 0)"
            " AND coalesce(epoch_ns(from_time), epoch_ns(to_time), $since) <= $until"
            " AND coalesce(epoch_ns(to_time), epoch_ns(from_time), $until) >= $since"
            " ORDER BY coalesce(from_time, to_time), losses.connection_id, sender, stream_offset",
            {"since": since, "until": until},
        ).fetchall()
        unread: list[tuple[Any, ...]] = connection.execute(
            "SELECT capture_id, connection_id, venue, host, strategy, account, NULL,"
            " epoch_ns(opened_at), epoch_ns(coalesce(closed_at, ended_at, opened_at)), NULL, NULL,"
            " CASE protocol WHEN 'ws' THEN 'websocket' WHEN 'tls' THEN 'tls' WHEN 'http' THEN 'http' ELSE 'tcp' END,"
            " unreadable_reason"
            " FROM connections LEFT JOIN captures USING (capture_id)"
            " WHERE NOT readable AND client_bytes + server_bytes > 0 AND NOT connection_id IN (SELECT unnest($lost))"
            " AND epoch_ns(opened_at) <= $until AND epoch_ns(coalesce(closed_at, ended_at, opened_at)) >= $since"
            " ORDER BY opened_at, connection_id",
            {"since": since, "until": until, "lost": [row[1] for row in rows if row[1] is not None]},
        ).fetchall()
        missing = [Missing(*row) for row in rows + unread]
        connections = connection.execute(
            "SELECT count(*) FROM connections LEFT JOIN captures USING (capture_id)"
            " WHERE connection_id IN (SELECT unnest($lost))"
            " OR epoch_ns(opened_at) <= $until AND epoch_ns(coalesce(closed_at, ended_at, opened_at)) >= $since",
            {"since": since, "until": until, "lost": list({one.connection_id for one in missing})},
        ).fetchall()[0][0]
    return Completeness(recorded, connections, missing, windows(missing, recorded))


def windows(missing: list[Missing], recorded: list[tuple[int, int]]) -> list[Window]:
    """The spans to ask for, by venue, account and host, what is close joined; a loss without times spans what was recorded."""
    first = min((start for start, _ in recorded), default=0)
    last = max((end for _, end in recorded), default=0)
    found: list[Window] = []
    latest: dict[tuple[str | None, str | None, str | None], int] = {}  # the window at hand of each, by its index
    for one in sorted(missing, key=lambda one: one.from_time or one.to_time or first):
        start = one.from_time or one.to_time or first
        end = max(start, one.to_time or (one.from_time if one.from_time is not None else last))
        whose = (one.venue, one.account, one.host)
        at = latest.get(whose)
        if at is not None and start <= found[at].to_time + WINDOW:
            found[at] = found[at]._replace(to_time=max(end, found[at].to_time))
        else:
            latest[whose] = len(found)
            found.append(Window(*whose, start, end))
    return sorted(found, key=lambda window: (window.from_time, str(window[:3])))

"""Each connection of a recording's last minutes: can it be read, whose is it, and what would help?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from sniffer.capture.owner import Endpoints, Owner, describe, environment, find_owners
from sniffer.config import Settings
from sniffer.doctor.check import RECENT, Check
from sniffer.errors import StoreError
from sniffer.execute import VARIABLE

_SHOWN: Final = 60
"""Connections that get a line, the unreadable ones first; the rest is counted."""
_LOOKED_AT: Final = 4 << 20
"""Bytes of a key log that are looked through for a key."""

_SQL: Final = f"""
WITH latest AS (SELECT max(ended_at) AS last FROM captures)
SELECT coalesce(host, server_ip) || ':' || server_port, client_ip, client_port, server_ip, server_port,
    unreadable_reason, pid, process, strategy
FROM connections JOIN captures USING (capture_id), latest
WHERE ended_at > last - INTERVAL {RECENT} MINUTE AND (closed_at IS NULL OR closed_at > last - INTERVAL {RECENT} MINUTE)
    AND client_bytes + server_bytes > 0
ORDER BY readable, opened_at DESC, connection_id LIMIT 1000
"""


class _Process(NamedTuple):
    """The process behind a connection, and the environment with which it was started, where we may see it."""

    owner: Owner
    environment: dict[str, str] | None


def checks(settings: Settings) -> Iterator[Check]:
    """A line for each connection, with what to do about one that cannot be read."""
    from sniffer.store import read
    from sniffer.table import visible

    if not settings.db.exists():
        return
    try:
        _, _, rows = read.query(settings.db, _SQL)
    except StoreError:
        return  # said of the database already
    ends: list[Endpoints] = [tuple(row[1:5]) for row in rows]
    owners = find_owners(ends)
    for row, end in list(zip(rows, ends, strict=True))[:_SHOWN]:
        where, client, port, _, _, reason, *recorded = row
        process = _process(owners.get(end), *recorded)
        whose = "" if process is None else f"; {process.owner.strategy} ({process.owner.process}, process {process.owner.pid})"
        line = f"{where} from {client}:{port}: {reason or 'readable'}{whose}"
        if reason is not None:
            line += advice(reason, process)
        yield Check("OK" if reason is None else "WARN", visible(line))
    if len(rows) > _SHOWN:
        yield Check("OK", f"and {len(rows) - _SHOWN:,} more connections in the last {RECENT} minutes of the recording")


def _process(owner: Owner | None, pid: int | None, name: str | None, strategy: str | None) -> _Process | None:
    """Who owns it now, else who did when it was recorded."""
    if owner is not None:
        return _Process(owner, environment(owner.pid))
    if pid is None:
        return None
    now = describe(pid)
    same = now is not None and now.process == name  # the number may be another's by now
    return _Process(Owner(pid, name or "?", strategy or "?"), environment(pid) if same else None)


def advice(reason: str, process: _Process | None) -> str:
    """What helps, as the rest of a line; "" where nothing does."""
    if "h2" in reason:
        return "; let the client speak HTTP/1.1"
    if "handshake not seen" in reason or "middle" in reason:
        return "; its beginning was not recorded, and the next one will be whole"
    if "key" not in reason:
        return ""
    if process is None:
        return (
            f"; no process of this machine that we may see has it now; `sniffer exec -- COMMAND` sets {VARIABLE} for a strategy"
        )
    if process.environment is None:
        return f"; its environment is not ours to see, or it is gone; root can see whether {VARIABLE} is set"
    file = process.environment.get(VARIABLE)
    if not file:
        return f"; it runs without {VARIABLE}: start it with `sniffer exec -- COMMAND`"
    if _has_keys(Path(f"/proc/{process.owner.pid}/cwd") / file):
        return f"; its keys are in {file}: record with `--keylog {file}`"
    return f"; its {VARIABLE} is {file}, and its TLS library has written no key there: docs/tls.md says what each needs"


def _has_keys(file: Path) -> bool:
    """Whether there is anything but comments in a key log; one that we may not read may have some."""
    try:
        if not file.is_file():
            return False
        with file.open("rb") as log:
            return any(line.strip() and not line.startswith(b"#") for line in log.read(_LOOKED_AT).split(b"\n"))
    except OSError:
        return True

"""One reader, in a process of its own: `python -m tests.soak.reader MANNER DB`. All but `intrude` read as an unprivileged user.

Each look at the database is a line of JSON on standard output: `{"at": ns}` with `age`, where it was asked for, or with
`failed` and the reason. `tail` and `query` are the commands of that name, and say what they always say.
"""

from __future__ import annotations

import contextlib
import grp
import json
import os
import pwd
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import duckdb

import sniffer.cli
from sniffer.errors import SnifferError

USER: Final = "nobody"
GROUP: Final = grp.getgrgid(pwd.getpwnam(USER).pw_gid).gr_name
"""Whom the recording lets read."""
HELD: Final = 60.0
"""Seconds that `hold` keeps the file open."""

_LOOK: Final = """
    SELECT packets, (SELECT packets FROM _sniffer.position),
        (SELECT count(*) FROM order_events), (SELECT count(*) FROM fill_events),
        (SELECT epoch_ns(newest) FROM _sniffer.state)
    FROM captures
"""
_AGGREGATIONS: Final = (
    "SELECT count(*), sum(notional), sum(observations) FROM fills",
    "FROM candles(INTERVAL 15 MINUTE)",
    """SELECT symbol, status, quantile_cont(epoch_ns(captured_at) - epoch_ns(exchange_time), 0.99), count(DISTINCT order_id)
        FROM order_events GROUP BY ALL""",
    "SELECT count(*), max(length(payload)) FROM messages WHERE payload LIKE '%FILLED%'",
    "SELECT count(*) FILTER (complete), count(*) FROM completeness",
)


class WrongError(Exception):
    """A version of the database that contradicts itself, or an earlier one."""


def look(connection: duckdb.DuckDBPyConnection, before: tuple[int, int]) -> tuple[tuple[int, int], float | None]:
    """(order events, fills), and the age (s) of the newest row. Raises `WrongError`."""
    rows = connection.execute(_LOOK).fetchall()
    if not rows:  # nothing has been captured yet
        return before, None
    packets, position, *counts, newest = rows[0]
    if packets != position:
        raise WrongError(f"{packets} packets, and the position is {position}")
    if counts[0] < before[0] or counts[1] < before[1]:
        raise WrongError(f"{counts} rows after {before}")
    return (counts[0], counts[1]), (time.time_ns() - newest) / 1e9 if newest else None


@contextlib.contextmanager
def opened(db: Path, **config: Any) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(db), read_only=True, config={"threads": 1, **config}) as connection:
        yield connection


def poll(db: Path) -> None:
    """Open, ask, close, again and again."""
    seen = (0, 0)

    def once() -> float | None:
        nonlocal seen
        with opened(db) as connection:
            seen, age = look(connection, seen)
        return age

    repeat(once, 0.2)


def hold(db: Path) -> None:
    """Keep it open for a minute: what one sees stays as it was, sealed files too."""

    def once() -> None:
        end = time.monotonic() + HELD
        with opened(db) as connection:
            first, _ = look(connection, (0, 0))
            while time.monotonic() < end:
                time.sleep(2)
                if look(connection, first)[0] != first:
                    raise WrongError("an open version changed")
                tell()

    repeat(once, 0)


def aggregate(db: Path) -> None:
    """Long questions, over all that there is, with as many threads as DuckDB likes."""

    def once() -> None:
        with opened(db, threads=os.cpu_count()) as connection:
            for sql in _AGGREGATIONS:
                connection.execute(sql).fetchall()

    repeat(once, 3)


def killed(db: Path) -> None:
    """Open, and ask until one is killed."""

    def once() -> None:
        with opened(db) as connection:
            while True:
                look(connection, (0, 0))
                tell()
                time.sleep(0.05)

    repeat(once, 0)


def intrude(db: Path) -> None:
    """As root: open it read-write, which is refused; or put a copy in its place, write to that, and hold it."""
    if sys.argv[3] == "replace":
        copy = db.with_name("copy.duckdb")
        shutil.copyfile(db, copy)
        copy.chmod(0o644)
        copy.rename(db)
    try:
        connection = duckdb.connect(str(db))
        connection.execute("CREATE TABLE intruded AS SELECT 1 AS one")
    except duckdb.Error as error:
        tell(failed=str(error))
        return
    tell()
    time.sleep(HELD)


def tail(db: Path) -> None:
    """`sniffer tail`."""
    sniffer.cli.app(["tail", "--json", "--db", str(db)], standalone_mode=False)


def query(db: Path) -> None:
    """`sniffer query`, for the open orders."""
    sql = "SELECT * FROM orders WHERE is_open"
    sniffer.cli.app(["query", "--format", "json", "--db", str(db), sql], standalone_mode=False)


MANNERS: Final[dict[str, Callable[[Path], None]]] = {
    one.__name__: one for one in (poll, hold, aggregate, killed, intrude, tail, query)
}


def repeat(once: Callable[[], float | None], pause: float) -> None:
    while True:
        try:
            age = once()
        except (duckdb.Error, WrongError) as error:
            tell(failed=" ".join(str(error).split()))
            age = None
            time.sleep(0.1)
        else:
            tell(**{"age": age} if age is not None else {})
        time.sleep(pause)


def tell(**what: Any) -> None:
    print(json.dumps({"at": time.time_ns(), **what}), flush=True)


def become_nobody() -> None:
    user = pwd.getpwnam(USER)
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    os.environ["HOME"] = user.pw_dir  # settings are looked for there
    os.environ.pop("XDG_CONFIG_HOME", None)


def main() -> None:
    manner, db = MANNERS[sys.argv[1]], Path(sys.argv[2])
    if manner in (tail, query):  # once for the imports: the user may be kept from Python's own files
        with contextlib.suppress(SnifferError):
            manner(db.with_name("missing.duckdb"))
    if manner is not intrude:
        become_nobody()
    manner(db)


if __name__ == "__main__":
    main()

"""The ways of saving that are compared."""

from __future__ import annotations

from typing import Final

from bench.cost import local, questdb, servers, sidecar
from bench.cost.saving import Way

NOTHING: Final = "nothing"
AGAIN: Final = "nothing-again"
SIDECAR: Final = "sidecar"
NOTHING_TLS: Final = "nothing-tls"
SIDECAR_TLS: Final = "sidecar-tls"

WAYS: Final[dict[str, Way]] = {
    NOTHING: Way("nothing", keeps=False),
    AGAIN: Way("nothing, once more (A/A)", keeps=False),
    SIDECAR: Way("the sidecar", saved=sidecar.saved, beside=sidecar.recorder, lag=sidecar.LAG),
    NOTHING_TLS: Way("nothing, over TLS", keeps=False, tls=True),
    SIDECAR_TLS: Way(
        "the sidecar, over TLS", saved=sidecar.saved, beside=sidecar.recorder, lag=sidecar.LAG, tls=True, keylog=True
    ),
    "file": Way("append-only file", "local.file", local.file_saved),
    "mmap": Way("append-only shared mmap, read by another process", "local.shared", local.sqlite_saved, local.follower, lag=5),
    "thread": Way("thread with a queue into SQLite", "local.thread", local.sqlite_saved),
    "blocking": Way("blocking write of 2 ms", "local.blocking", keeps=False),
    "blocking-async": Way("the same behind async", "local.blocking_async", keeps=False),
    "sqlite": Way("sqlite3, a commit each", "local.sqlite", local.sqlite_saved),
    "sqlite-async": Way("the same behind async", "local.sqlite_async", local.sqlite_saved),
    "aiosqlite": Way("aiosqlite, a commit each", "local.aiosqlite", local.sqlite_saved, modules=("aiosqlite",)),
    "duckdb": Way("DuckDB in-process", "local.duckdb", local.duckdb_saved),
    "redis": Way(
        "Redis (XADD, append-only file)",
        "servers.redis",
        servers.redis_saved,
        servers.redis_server,
        modules=("redis",),
        programs=("redis-server",),
    ),
    "mariadb": Way(
        "MariaDB through aiomysql",
        "servers.mariadb",
        servers.mariadb_saved,
        servers.mariadb_server,
        modules=("aiomysql",),
        programs=("mariadbd", "mariadb-install-db"),
    ),
    "postgres": Way(
        "PostgreSQL through asyncpg",
        "servers.postgres",
        servers.postgres_saved,
        servers.postgres_server,
        modules=("asyncpg",),
        lacks=servers.postgres_missing,
    ),
    "questdb": Way(
        "QuestDB through its ILP sender",
        "questdb.open_sender",
        questdb.saved,
        questdb.server,
        lag=5,
        modules=("questdb",),
        lacks=questdb.missing,
    ),
}
"""By name, in the order of the table."""

BASES: Final = {SIDECAR_TLS: NOTHING_TLS, NOTHING_TLS: NOTHING_TLS}
"""What a way is compared with, where that is not `NOTHING`."""
COMPARED: Final = (NOTHING, AGAIN, SIDECAR, NOTHING_TLS, SIDECAR_TLS)
"""What is measured in every round: a goal is about them."""
QUICK: Final = (NOTHING, SIDECAR, "file", "mmap")
"""What needs no server and no library beside sniffer's own, and takes a second each."""

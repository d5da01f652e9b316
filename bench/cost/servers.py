"""Ways of saving in a database server: a real one, with its defaults, started for the run on a Unix socket in its folder."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from bench.cost.job import Job
from bench.cost.local import SELECT, TABLE
from bench.cost.saving import Order, Save
from bench.processes import Failed, run

POOL: Final = 10
"""Connections to a server: a strategy each, up to so many."""
POSTGRES: Final = "postgres"
"""The user that PostgreSQL is, where we are root; Debian's package makes it."""
PATIENCE: Final = 30.0
"""Seconds that a server may take to start, and to end."""


@contextlib.contextmanager
def server(command: Sequence[str | Path], ready: Path) -> Iterator[int]:
    """A server that listens once the socket `ready` can be connected to. Raises `Failed` if it does not start."""
    arguments = [str(part) for part in command]
    with (ready.parent / "server.log").open("wb") as log:
        process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            end = time.monotonic() + PATIENCE
            while not listens(ready):
                if process.poll() is not None or time.monotonic() > end:
                    raise Failed(f"{arguments[0]} did not start: {(ready.parent / 'server.log').read_text()[-1000:]}")
                time.sleep(0.02)
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


# --- Redis ------------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def redis_server(job: Job) -> Iterator[int]:
    """Persisted by its append-only file, which is synced each second (its default, once switched on)."""
    path = job.folder / "redis.sock"
    options: list[str | Path] = ["--port", "0", "--unixsocket", path, "--dir", job.folder, "--appendonly", "yes", "--save", ""]
    with server(["redis-server", *options], path) as pid:
        yield pid


async def redis(job: Job) -> Save:
    from redis.asyncio import Redis

    client = Redis(unix_socket_path=str(job.folder / "redis.sock"))
    await client.ping()

    async def save(exchange: int, order: int) -> None:
        await client.xadd("orders", {"exchange_id": exchange, "order_id": order})

    return Save(later=save)


def redis_saved(job: Job) -> set[Order]:
    import redis

    with redis.Redis(unix_socket_path=str(job.folder / "redis.sock")) as client:
        found: Any = client.xrange("orders")
    return {(int(entry[b"exchange_id"]), int(entry[b"order_id"])) for _, entry in found}


# --- MariaDB ----------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def mariadb_server(job: Job) -> Iterator[int]:
    """With its defaults: each commit is on the disk before it is acknowledged."""
    data, path = job.folder / "mariadb", job.folder / "mariadb.sock"
    user = pwd.getpwuid(os.getuid()).pw_name
    common = ["--no-defaults", f"--datadir={data}", f"--user={user}"]
    run(["mariadb-install-db", *common, "--auth-root-authentication-method=normal", "--skip-test-db"])
    with server(["mariadbd", *common, f"--socket={path}", "--skip-networking", "--skip-grant-tables"], path) as pid:
        yield pid


async def mariadb(job: Job) -> Save:
    import aiomysql

    size = min(POOL, job.workload.connections)
    pool = await aiomysql.create_pool(
        unix_socket=str(job.folder / "mariadb.sock"), user="root", minsize=size, maxsize=size, autocommit=True
    )
    async with pool.acquire() as connection, connection.cursor() as cursor:
        await cursor.execute("CREATE DATABASE bench")
        await cursor.execute(TABLE.replace("orders", "bench.orders"))

    async def save(exchange: int, order: int) -> None:
        async with pool.acquire() as connection, connection.cursor() as cursor:
            await cursor.execute("INSERT INTO bench.orders VALUES (%s, %s)", (exchange, order))

    return Save(later=save)


def mariadb_saved(job: Job) -> set[Order]:
    import pymysql

    with (
        contextlib.closing(pymysql.connect(unix_socket=str(job.folder / "mariadb.sock"), user="root")) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(SELECT.replace("orders", "bench.orders"))
        return {(exchange, order) for exchange, order in cursor.fetchall()}


# --- PostgreSQL -------------------------------------------------------------------------------------------------------------


def postgres_program(name: str) -> str | None:
    """Of the newest version; Debian keeps them out of the path."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name.partition(".")[0]))
    return next((str(folder / name) for folder in reversed(folders) if (folder / name).exists()), shutil.which(name))


def postgres_missing() -> str | None:
    return None if postgres_program("initdb") and postgres_program("postgres") else "PostgreSQL's server is not installed"


@contextlib.contextmanager
def postgres_server(job: Job) -> Iterator[int]:
    """With its defaults: each commit is on the disk before it is acknowledged. It refuses root."""
    initdb, program = postgres_program("initdb"), postgres_program("postgres")
    assert initdb is not None
    assert program is not None
    folder = job.folder / "postgres"
    folder.mkdir()
    become: list[str] = []
    if os.getuid() == 0:
        become = ["setpriv", f"--reuid={POSTGRES}", f"--regid={POSTGRES}", "--init-groups"]
        job.folder.chmod(0o711)
        shutil.chown(folder, POSTGRES)
    run([*become, initdb, "-D", folder / "data", "-U", "bench", "-A", "trust"])
    options: list[str | Path] = ["-D", folder / "data", "-k", folder, "-c", "listen_addresses="]
    with server([*become, program, *options], folder / ".s.PGSQL.5432") as pid:
        yield pid


async def postgres(job: Job) -> Save:
    import asyncpg

    size = min(POOL, job.workload.connections)
    pool = await asyncpg.create_pool(
        host=str(job.folder / "postgres"), user="bench", database="postgres", min_size=size, max_size=size
    )
    await pool.execute(TABLE)

    async def save(exchange: int, order: int) -> None:
        await pool.execute("INSERT INTO orders VALUES ($1, $2)", exchange, order)

    return Save(later=save)


def postgres_saved(job: Job) -> set[Order]:
    import asyncio

    import asyncpg

    async def read() -> set[Order]:
        connection = await asyncpg.connect(host=str(job.folder / "postgres"), user="bench", database="postgres")
        try:
            return {(row[0], row[1]) for row in await connection.fetch(SELECT)}
        finally:
            await connection.close()

    return asyncio.run(read())

"""What the live tests share: whether they can run here, the command line as a process, and the database against books."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, TypeAlias

import pytest

import sniffer
from sniffer.model import Sender
from tests.live.live_traffic import PAIRS, Plan, Said, Talk, ports, run

SNIFFER = str(Path(sys.executable).with_name("sniffer"))
ROOT = Path(__file__).parents[2]
ROUNDS = int(os.environ.get("SNIFFER_TEST_ROUNDS", "1"))
"""How many times as much random traffic as by default."""
_RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID")  # the same in all processes of a run
SEED = int(os.environ.get("SNIFFER_TEST_SEED", "0")) or random.Random(_RUN).randrange(1, 10**6)
"""The seed of all that is random here: a new one in each run, so a failure's seed must be given to see it again."""
PATIENCE = 20.0
"""Seconds that a test waits for something that should take less than one."""


def may_capture() -> bool:
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    except (AttributeError, OSError):
        return False
    return True


LIVE = [
    pytest.mark.live,
    pytest.mark.skipif(not may_capture(), reason="needs CAP_NET_RAW"),
    pytest.mark.timeout(90),
    pytest.mark.usefixtures("network"),
]
ROOT_ONLY = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")
TCPDUMP = pytest.mark.skipif(not shutil.which("tcpdump"), reason="tcpdump is not installed")


def seeds(count: int) -> list[int]:
    """Seeds for a test's rounds; pytest shows a failing one in the test's name."""
    return [SEED + n for n in range(count * ROUNDS)]


def wait_for(what: Callable[[], Any], why: str, seconds: float = PATIENCE) -> Any:
    """The first true value of `what()`; fails with `why` after so many seconds."""
    end = time.monotonic() + seconds
    while not (value := what()):
        assert time.monotonic() < end, f"waited {seconds} s for {why}"
        time.sleep(0.02)
    return value


# --- the command line -------------------------------------------------------------------------------------------------------


class Done(NamedTuple):
    """A command that has ended."""

    code: int
    out: str
    err: str

    def one_line(self) -> str:
        """The only line on standard error: no traceback, no second line."""
        assert self.err.startswith("sniffer: "), self.err
        assert self.err.count("\n") == 1, self.err
        return self.err.rstrip()


def sniffer_command(*options: object, env: dict[str, str] | None = None, cwd: Path = ROOT, timeout: float = 60) -> Done:
    """Run `sniffer` to its end."""
    command = [SNIFFER, *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=os.environ | (env or {}), cwd=cwd)
    return Done(done.returncode, done.stdout, done.stderr)


class Recording:
    """`sniffer record` as a process; a context manager that begins to capture on entry, and is gone on exit."""

    def __init__(
        self,
        db: Path,
        *options: object,
        interface: str = "lo",
        env: dict[str, str] | None = None,
        prefix: Sequence[str] = (),
        group: bool = False,
        logs: Path | None = None,
        patience: float = PATIENCE,
    ) -> None:
        """`prefix`: a command that runs it; `group`: in a process group of its own, as a shell does.

        `logs`: the folder for what it says; None: the database's. `patience`: seconds within which it must begin, and end.
        """
        self.db = db
        self._command = [*prefix, SNIFFER, "record", "-i", interface, "--db", str(db), *map(str, options)]
        self._env = os.environ | {"PYTHONUNBUFFERED": "1"} | (env or {})
        self._out, self._err = ((logs or db.parent) / f"{db.name}.{name}" for name in ("stdout", "stderr"))
        self._group, self._patience = group, patience

    def __enter__(self) -> Recording:
        with self._out.open("w") as out, self._err.open("w") as err:
            self.process = subprocess.Popen(
                self._command, stdout=out, stderr=err, env=self._env, cwd=ROOT, start_new_session=self._group
            )
        try:
            wait_for(
                lambda: "recording " in self._err.read_text() or self.process.poll() is not None, "a recording", self._patience
            )
            assert self.process.poll() is None, self._err.read_text()
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._kill()
        if kind is not None:
            print(self._err.read_text())

    @property
    def pid(self) -> int:
        return self.process.pid

    def children(self) -> dict[str, int]:
        """PIDs of the parent's processes (`load`, `capture`, ...), by the names that they give themselves."""
        found = {}
        for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split():
            with suppress(FileNotFoundError):  # it ends this moment
                found[Path(f"/proc/{pid}/comm").read_text().strip().removeprefix("sniffer-")] = int(pid)
        return found

    def said(self) -> str:
        """What it has said on standard error so far."""
        return self._err.read_text()

    def stop(self, how: int = signal.SIGINT) -> Done:
        """End it as a user does, and wait."""
        (os.killpg if self._group else os.kill)(self.pid, how)
        return self.wait()

    def wait(self) -> Done:
        code = self.process.wait(self._patience)
        return Done(code, self._out.read_text(), self._err.read_text())

    def _kill(self) -> None:
        if self.process.poll() is None:
            children = self.children().values()
            for pid in (self.pid, *children):
                os.kill(pid, signal.SIGCONT)
            self.process.kill()
            self.process.wait()
            # Its children see that it is gone, and end.
            wait_for(
                lambda: not any(Path(f"/proc/{pid}").exists() for pid in children), "the end of the children", self._patience
            )


@contextmanager
def tcpdump(*options: object, ports: Iterable[int], stdout: int | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """`tcpdump` on loopback, capturing when the context begins; on exit it has written all it saw."""
    expression = " or ".join(f"tcp port {port}" for port in ports)
    # Otherwise it becomes a user of its own, who may not write here, and takes a second to see a packet.
    command = ["tcpdump", "-i", "lo", "-n", "-Z", "root", "-B", "32768", "--immediate-mode", *map(str, options), expression]
    process = subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE)
    try:
        assert process.stderr is not None
        said = b""
        while b"listening on" not in said:
            line = process.stderr.readline()
            assert line, said.decode()
            said += line
        yield process
        if process.poll() is None:
            time.sleep(0.2)  # what it has not read yet when it is told to end, it leaves unread
            process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=PATIENCE)
        assert re.search(rb"\b0 packets dropped by kernel", rest), rest.decode()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


# --- a little traffic ------------------------------------------------------------------------------------------------------


def chat(listening: list[socket.socket], seed: int = SEED, **plan: Any) -> list[Talk]:
    """A little traffic."""
    settings = {"connections": 3, "messages": 5, "largest": 2000} | plan
    return run(Plan(seed, **settings), [socket.fromfd(one.fileno(), one.family, one.type) for one in listening])


def options(listening: list[socket.socket], *more: object) -> list[object]:
    """All messages of these servers, published at once."""
    return ["--keep", "all", "--publish-interval", "0.1", *(x for port in ports(listening) for x in ("--port", port)), *more]


# --- the database -----------------------------------------------------------------------------------------------------------


def rows(db: Path, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """What a read-only query gives."""
    connection = sniffer.connect(db)
    try:
        return connection.execute(sql, list(parameters)).fetchall()
    finally:
        connection.close()


Messages: TypeAlias = dict[tuple[int, int], dict[Sender, list[Said]]]
"""By the ports of client and server, then by sender, in order."""


def stored(db: Path) -> Messages:
    """The websocket messages of the table, where positions count every readable message."""
    found: Messages = {}
    positions: dict[tuple[int, int, Sender], int] = {}
    sql = """SELECT client_port, server_port, sender, position, opcode, payload, payload_blob
        FROM connections LEFT JOIN messages USING (connection_id) ORDER BY ALL"""
    for client, server, sender, position, opcode, payload, blob in rows(db, sql):
        talk = found.setdefault((client, server), {"client": [], "server": []})
        if position is None:
            continue
        assert position == positions.get((client, server, sender), 0), f"a position is missing or twice: {position}"
        positions[client, server, sender] = position + 1
        assert (payload is None) != (blob is None), "a payload is stored once"
        if opcode != "http":
            talk[sender].append((opcode, payload.encode() if blob is None else bytes(blob)))
    return found


def check_equal(found: Messages, talks: list[Talk]) -> None:
    """Each message was sent, each that was sent is there, byte for byte, in order, both ways; pongs answer their pings."""
    assert sorted(found) == sorted(talk.ports for talk in talks), "other connections"
    for talk in talks:
        talk.check()
        for sender, peer in PAIRS:
            said = found[talk.ports][sender]
            where = f"{sender} of {talk.ports} ({talk.extensions})"
            check_same([one for one in said if one[0] != "pong"], talk.sent[sender], where)
            check_same([one for one in said if one[0] == "pong"], [("pong", ping) for ping in talk.pings(peer)], where)


def in_order(some: list[Said], of: list[Said]) -> bool:
    """Whether `some` can be had from `of` by leaving messages out."""
    rest = iter(of)
    return all(said in rest for said in some)


def check_same(found: list[Said], expected: list[Said], where: str) -> None:
    """Two lists of messages are the same; of megabytes, pytest's own comparison would say too much."""
    if found != expected:
        at = next((n for n, (a, b) in enumerate(zip(found, expected, strict=False)) if a != b), min(len(found), len(expected)))
        seen, real = (
            f"{one[at][0]} {len(one[at][1])} bytes {one[at][1][:80]!r}" if at < len(one) else "-" for one in (found, expected)
        )
        pytest.fail(f"{where}: {len(found)} messages for {len(expected)}; number {at} is {seen}, and should be {real}")

"""Which process owns a connection: over real sockets, of this process and of others."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sniffer.capture import owner
from sniffer.capture.owner import Endpoints, Owner, describe, environment, find_owners, strategy_name

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sock_diag and /proc are Linux")

CONNECTED = "import socket, sys; s = socket.create_connection(('127.0.0.1', {port})); print(s.getsockname()[1], flush=True)"
HOLD = CONNECTED + "; sys.stdin.read()"


@contextmanager
def client(port: int, **variables: str) -> Iterator[tuple[int, Endpoints]]:
    """A process with one connection to `port`: its pid, and the connection from its end."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", HOLD.format(port=port)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | variables,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.pid, ("127.0.0.1", int(process.stdout.readline()), "127.0.0.1", port)
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def test_each_connection_has_its_own_owner(server: socket.socket) -> None:
    port = server.getsockname()[1]
    with client(port, SNIFFER_STRATEGY="first") as (one, first), client(port, SNIFFER_STRATEGY="second") as (two, second):
        owners = find_owners([first, second, ("127.0.0.1", 1, "127.0.0.1", 2)])
        assert {key: (found.pid, found.strategy) for key, found in owners.items()} == {
            first: (one, "first"), second: (two, "second"),
        }  # fmt: skip
        assert owners[first].process.startswith("python")
    assert find_owners([first]) == {}


@pytest.mark.parametrize(("listen", "connect"), [("::1", "::1"), ("::", "127.0.0.1")])
def test_ipv6_and_ipv4_on_a_socket_of_both(listen: str, connect: str) -> None:
    with socket.socket(socket.AF_INET6) as both:
        both.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        try:
            both.bind((listen, 0))
        except OSError:
            pytest.skip("no IPv6 here")
        both.listen()
        with socket.create_connection((connect, both.getsockname()[1])) as near:
            far, _ = both.accept()
            with far:
                mine = (*near.getsockname()[:2], *near.getpeername()[:2])
                theirs = (mine[2], mine[3], mine[0], mine[1])
                assert {found.pid for found in find_owners([mine, theirs]).values()} == {os.getpid()}
                assert len(find_owners([mine, theirs])) == 2
                listed = set(owner.established().values())
                plain = tuple(part.removeprefix("::ffff:") if isinstance(part, str) else part for part in theirs)
                assert mine in listed
                assert plain in listed


def test_what_the_kernel_lists(server: socket.socket) -> None:
    with client(server.getsockname()[1]) as (_, mine):
        found = owner.established()
        (inode,) = (inode for inode, ends in found.items() if ends == mine)
        assert inode > 0
        assert find_owners([mine]) == owner.holders({inode: mine})
    assert mine not in owner.established().values()


def test_what_may_not_be_seen_is_not_found(server: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> list[str]:
        if path == "/proc":
            return ["1", "self", str(os.getpid())]
        raise PermissionError(13, "Permission denied", path)

    with client(server.getsockname()[1]) as (_, mine):
        monkeypatch.setattr(owner.os, "listdir", refuse)
        assert find_owners([mine]) == {}


def test_a_kernel_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError(93, "Protocol not supported")

    monkeypatch.setattr(owner.socket, "socket", none)
    assert find_owners([("127.0.0.1", 1, "127.0.0.1", 2)]) == {}
    assert owner.established() == {}


def test_an_address_that_is_none() -> None:
    assert find_owners([("nowhere", 1, "127.0.0.1", 2)]) == {}


def test_a_process_that_is_gone() -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    assert describe(done.pid) is None
    assert environment(done.pid) is None


def test_oneself() -> None:
    mine = describe(os.getpid())
    assert isinstance(mine, Owner)
    assert mine.pid == os.getpid()
    assert (environment(os.getpid()) or {})["PATH"] == os.environ["PATH"]


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("python bot.py --live", "bot.py"),
        ("/usr/bin/python3.11 -u -X dev -W error /srv/desk/bot.py x.py", "bot.py"),
        ("python -m desk.bot --symbol BTCUSDT", "desk.bot"),
        ("python -c pass", "python"),
        ("python", "python"),
        ("uv run bot.py", "bot.py"),
        ("node --tls-keylog=keys.log bot.js", "bot.js"),
        ("java -Xmx1g -cp a.jar:b.jar com.example.Bot", "com.example.Bot"),
        ("java -jar /srv/bot.jar", "bot.jar"),
        ("/srv/bot --live", "bot"),
        ("pythonic x.py", "pythonic"),
        ("", ""),
    ],
)
def test_the_name_of_a_strategy(command: str, name: str) -> None:
    assert strategy_name(command.split(), {}) == name
    assert strategy_name(command.split(), {"SNIFFER_STRATEGY": "mine"}) == "mine"

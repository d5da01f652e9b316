"""Which process of this machine owns a TCP connection, and which strategy that process is.

The kernel is asked for the socket of a connection (netlink `sock_diag`, linux/inet_diag.h; it answers anyone), and the links
of `/proc/PID/fd` (proc(5)) say who holds it, which only root and the process's own user may see. Everything here is a look:
a process that is gone by now, or that we may not look at, is simply not found. Sockets of another network namespace, as of a
container, are not seen either.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

Endpoints: TypeAlias = tuple[str, int, str, int]
"""(address, port) of the end whose owner is asked for, and (address, port) of its peer."""

STRATEGY: Final = "SNIFFER_STRATEGY"
"""The environment variable that names a strategy."""

_NETLINK_SOCK_DIAG: Final = 4  # linux/netlink.h
_SOCK_DIAG_BY_FAMILY: Final = 20  # linux/sock_diag.h
_NLM_F_REQUEST: Final = 1
_NLM_F_DUMP: Final = 0x300
_ESTABLISHED: Final = 1  # linux/tcp_states.h
_ANY: Final = 0xFFFFFFFF  # all states; no cookie
_HEAD = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_REQUEST = struct.Struct("=BBBBI")  # inet_diag_req_v2, before its inet_diag_sockid
_ENDPOINTS = struct.Struct("!HH16s16s")  # inet_diag_sockid: ports and addresses
_REST = struct.Struct("=III")  # its interface and cookie
_IDS_AT: Final = _HEAD.size + 4  # in inet_diag_msg: its inet_diag_sockid
_INODE_AT: Final = _HEAD.size + 68
_DUMPED: Final = 64 << 10
"""Bytes taken at once of a dump; the kernel fills up to 32 KiB."""
_MAPPED: Final = bytes(10) + b"\xff\xff"  # an IPv4 address in IPv6 (RFC 4291 section 2.5.5.2)
_TIMEOUT: Final = 0.5
"""Seconds for an answer, which the kernel gives at once."""

_INTERPRETERS: Final = frozenset(("python", "pypy", "node", "nodejs", "bun", "deno", "java", "ruby", "perl", "uv"))
_WITH_VALUE: Final = frozenset(("-W", "-X", "-r", "--require", "--import", "-cp", "-classpath", "--class-path"))
"""Options of these whose value is the next word."""


class Owner(NamedTuple):
    """A process; the fields are columns of `connections`."""

    pid: int
    process: str
    strategy: str


def find_owners(wanted: Collection[Endpoints]) -> dict[Endpoints, Owner]:
    """The owners of those of these connections whose owner can be seen.

    All processes are looked through once, so many connections in one call cost little more than one.
    """
    return holders({inode: endpoints for endpoints in wanted if (inode := _inode(endpoints))})


def holders(inodes: Mapping[int, Endpoints]) -> dict[Endpoints, Owner]:
    """The same of sockets whose inodes are known."""
    found: dict[Endpoints, Owner] = {}
    for pid, inode in _sockets() if inodes else ():
        endpoints = inodes.get(inode)
        if endpoints is not None and endpoints not in found and (owner := describe(pid)) is not None:
            found[endpoints] = owner
            if len(found) == len(inodes):
                break
    return found


def established() -> dict[int, Endpoints]:
    """The established TCP connections of this machine, from each end that is here: the socket's inode, and the ends.

    An end that no process has accepted yet has no inode, and is left out. Empty where the kernel does not say.
    """
    return {inode: ends for family in (socket.AF_INET, socket.AF_INET6) for inode, ends in _dumped(family) if inode}


def openings() -> list[bytes] | None:
    """How many TCP connections were opened, by either side, and how many are established; None where the kernel does not say.

    From /proc/net/snmp (RFC 4022: tcpActiveOpens, tcpPassiveOpens, tcpCurrEstab); measured: a tenth of `established`.
    """
    try:
        names, values = (line.split() for line in Path("/proc/net/snmp").read_bytes().splitlines() if line.startswith(b"Tcp:"))
        counts = dict(zip(names, values, strict=True))
        return [counts[name] for name in (b"ActiveOpens", b"PassiveOpens", b"CurrEstab")]
    except (OSError, ValueError, KeyError):
        return None


def describe(pid: int) -> Owner | None:
    """A process by its number; None if it is gone."""
    folder = Path(f"/proc/{pid}")
    try:
        process = (folder / "comm").read_text(errors="replace").rstrip("\n")
        arguments = (folder / "cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return None
    return Owner(pid, process, strategy_name(arguments[:-1], environment(pid) or {}) or process)


def environment(pid: int) -> dict[str, str] | None:
    """The environment with which a process was started; None if it is gone or not ours to look at."""
    try:
        text = Path(f"/proc/{pid}/environ").read_text(errors="replace")
    except OSError:
        return None
    return dict(entry.split("=", 1) for entry in text.split("\0") if "=" in entry)


def strategy_name(arguments: Sequence[str], variables: Mapping[str, str]) -> str:
    """What a process is called: its `SNIFFER_STRATEGY`, else the name of its script, else of its program."""
    return variables.get(STRATEGY) or _script(arguments)


def _script(arguments: Sequence[str]) -> str:
    """`bot.py` of `python -u /srv/bot.py --live`, `desk.bot` of `python -m desk.bot`, `bot` of `/srv/bot --live`."""
    if not arguments:
        return ""
    program, rest = Path(arguments[0]).name, iter(arguments[1:])
    if program.rstrip("0123456789.") not in _INTERPRETERS:
        return program
    for word in rest:
        if word in ("-m", "-jar"):
            return Path(next(rest, program)).name
        if word in ("-c", "-e"):
            break
        if word in _WITH_VALUE:
            next(rest, None)
        elif not word.startswith("-") and word != "run":  # uv run bot.py
            return Path(word).name
    return program


def _inode(endpoints: Endpoints) -> int:
    """The inode of a connection's socket at its first end; 0 if there is none, or if the kernel does not say."""
    local, local_port, remote, remote_port = endpoints
    family = socket.AF_INET6 if ":" in local else socket.AF_INET
    try:
        addresses = [socket.inet_pton(family, address) for address in (local, remote)]
        request = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, 0, _ANY)
        request += _ENDPOINTS.pack(local_port, remote_port, *addresses) + _REST.pack(0, _ANY, _ANY)
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as netlink:
            netlink.settimeout(_TIMEOUT)
            netlink.send(_HEAD.pack(_HEAD.size + len(request), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 0, 0) + request)
            answer = netlink.recv(4096)
    except (AttributeError, OSError):  # not Linux; or no such thing in this kernel
        return 0
    if len(answer) < _INODE_AT + 4 or _HEAD.unpack_from(answer)[1] != _SOCK_DIAG_BY_FAMILY:
        return 0
    return int(struct.unpack_from("=I", answer, _INODE_AT)[0])


def _dumped(family: int) -> Iterator[tuple[int, Endpoints]]:
    """(inode, ends) of each established connection of an address family; IPv4 that an IPv6 socket carries is IPv4."""
    request = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, 0, 1 << _ESTABLISHED) + bytes(_ENDPOINTS.size + _REST.size)
    size = 4 if family == socket.AF_INET else 16
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as netlink:
            netlink.settimeout(_TIMEOUT)
            flags = _NLM_F_REQUEST | _NLM_F_DUMP
            netlink.send(_HEAD.pack(_HEAD.size + len(request), _SOCK_DIAG_BY_FAMILY, flags, 0, 0) + request)
            while True:
                answer = netlink.recv(_DUMPED)
                at = 0
                while at + _HEAD.size <= len(answer):
                    length, kind = _HEAD.unpack_from(answer, at)[:2]
                    if kind != _SOCK_DIAG_BY_FAMILY or length < _INODE_AT + 4:  # the end, or an error
                        return
                    port, remote_port, address, remote = _ENDPOINTS.unpack_from(answer, at + _IDS_AT)
                    (inode,) = struct.unpack_from("=I", answer, at + _INODE_AT)
                    yield inode, (_address(address[:size]), port, _address(remote[:size]), remote_port)
                    at += (length + 3) & ~3
    except (AttributeError, OSError):  # not Linux; or no such thing in this kernel
        return


def _address(packed: bytes) -> str:
    if packed.startswith(_MAPPED) and len(packed) == 16:
        packed = packed[12:]
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


def _sockets() -> Iterator[tuple[int, int]]:
    """(pid, inode) of every socket that a process holds, as far as we may see. Plain names: there may be a hundred thousand."""
    for name in os.listdir("/proc"):  # noqa: PTH208  plain names, as said above
        if not name.isdigit():
            continue
        try:
            descriptors = os.listdir(f"/proc/{name}/fd")  # noqa: PTH208  plain names, as said above
        except OSError:
            continue
        for descriptor in descriptors:
            try:
                target = os.readlink(f"/proc/{name}/fd/{descriptor}")  # noqa: PTH115  the same
            except OSError:
                continue
            if target.startswith("socket:["):
                yield int(name), int(target[8:-1])

"""Network namespaces: one that a process makes for itself, and those of others."""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CLONE_NEWNET = 0x40000000  # linux/sched.h
_SIOCSIFFLAGS = 0x8914  # linux/sockios.h
_IFF_UP = 1  # linux/if.h


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """What this thread opens is of another network namespace."""
    with Path("/proc/thread-self/ns/net").open() as own, Path(namespace).open() as other:
        _call("setns", other.fileno(), _CLONE_NEWNET)
        try:
            yield
        finally:
            _call("setns", own.fileno(), _CLONE_NEWNET)


def _call(name: str, *arguments: int) -> None:
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments):
        raise OSError(ctypes.get_errno(), name)


def own_network() -> None:
    """A new namespace for this thread and all that it starts; loopback is up. Raises `PermissionError` without the right to."""
    _call("unshare", _CLONE_NEWNET)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", _IFF_UP))

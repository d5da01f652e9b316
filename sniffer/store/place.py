"""What stands where a database is to be: looked at before anything is made, locked or attached."""

from __future__ import annotations

import os
from pathlib import Path

from sniffer.errors import NotOurDatabase, StoreError

_MAGIC_AT, _MAGIC = 8, b"DUCK"  # after a checksum, DuckDB's MainHeader


def check_place(path: Path) -> None:
    """Raise `StoreError` where there can be no database: at a folder, a device, a pipe or a socket.

    A new version takes a file's place by rename, which as root would put a file where `/dev/null` was.
    """
    if path.is_dir():
        raise StoreError(f"{path}: is a folder; --db names a file")
    if path.exists() and not path.is_file():
        raise StoreError(f"{path}: is no file but a device, a pipe or a socket; name a file with --db")


def check_begins_as_database(path: Path) -> None:
    """Raise `NotOurDatabase` for a file that DuckDB has not written. An empty one may become a database, and so may none.

    It is opened for that, so not where this process may have a lock on it: POSIX drops that with any descriptor of the file.
    """
    if path.exists():
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size:
                check_magic(path, file.read(_MAGIC_AT + len(_MAGIC)))


def check_magic(path: Path, head: bytes) -> None:
    """Raise `NotOurDatabase` unless `head`, the first bytes of the file, are DuckDB's."""
    if head[_MAGIC_AT : _MAGIC_AT + len(_MAGIC)] != _MAGIC:
        raise NotOurDatabase(f"{path}: is not a DuckDB file; name another database with --db")

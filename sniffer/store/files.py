"""The database as files: who may open it, how a new version takes its place, and what others left beside it.

    orders.duckdb               what users open; replaced by rename, never written in place
    orders.duckdb.d/            lock            held by the one store that may write
                                private/        what the store writes: the private file, its `.wal` (0700)
                                <table>/date=YYYY-MM-DD/*.parquet    sealed rows
                                foreign-*       what a foreign read-write client left beside a newer file

While a store is open it holds a shared lock on the published file, the same POSIX lock that a DuckDB reader takes: DuckDB then
refuses every read-write open itself, root's too, and lets every reader in. `check` finds those who came in all the same (a file
system without locks, a file put in its place).
"""

from __future__ import annotations

import contextlib
import fcntl
import grp
import os
import shutil
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sniffer.errors import DatabaseBusy, NotOurDatabase, StoreError
from sniffer.store.place import check_magic, check_place
from sniffer.store.schema import sealed_folder

WAL_SUFFIXES: Final = (".wal", ".wal.checkpoint", ".wal.recovery")
"""What DuckDB puts beside a database file that is open for writing."""
LIVE_MODE: Final = 0o440
_NEW_MODE: Final = 0o640
_FOLDER_MODE: Final = 0o750
_ADOPTED: Final = "adopted"
_FLOCK: Final = "hhqqi4x"
"""struct flock of <fcntl.h> on 64-bit Linux: type, whence, start, length, pid."""


class Files:
    """The files of one database, locked for this process until `release`. Raises `StoreError` from every method."""

    def __init__(self, path: Path, group: str | None = None) -> None:
        self.path = path.resolve()
        self.folder = sealed_folder(self.path)
        self.private = self.folder / "private" / "private.duckdb"
        self._published: int | None = None
        self._mode = _NEW_MODE
        self._claimed = False
        with errors(self.path):
            check_place(self.path)
            if not self.path.parent.is_dir():
                raise StoreError(f"{self.path}: there is no folder {self.path.parent}; `mkdir -p` makes it")
            self._owner = self._find_owner(group)
            self._lock = self._take_lock()
            self._discard_private()
            self.private.parent.mkdir(mode=0o700)

    def adopt(self) -> bool:
        """Take the published file, with the `.wal` that a user's own session left, as the start; False if there is none."""
        with errors(self.path):
            for suffix in WAL_SUFFIXES:  # a run was killed between taking a `.wal` in and publishing what it held
                aside = self.folder / (_ADOPTED + suffix)
                if aside.exists() and not _beside(self.path, suffix).exists():
                    aside.rename(_beside(self.path, suffix))
            if not self.path.exists() or self.path.stat().st_size == 0:
                return False
            descriptor = os.open(self.path, os.O_RDONLY)
            try:
                check_magic(self.path, os.pread(descriptor, 12, 0))
            except NotOurDatabase:
                os.close(descriptor)
                raise
            if not _lock_shared(descriptor):
                who = writer(descriptor)
                os.close(descriptor)
                raise StoreError(
                    f"{self.path}: {who} has it open for writing; close it there, or open it read-only, and try again"
                )
            self._published = descriptor
            mode = os.fstat(descriptor).st_mode & 0o777
            self._mode = mode if mode & 0o200 else _NEW_MODE
            for suffix in ("", *WAL_SUFFIXES):
                target = _beside(self.private, suffix)
                if not suffix:  # never by another descriptor: see `_lock_shared`
                    self._write(target, descriptor, 0o600)
                elif (source := _beside(self.path, suffix)).exists():
                    with source.open("rb") as opened:
                        self._write(target, opened.fileno(), 0o600)
        return True

    def claim(self) -> None:
        """The published file is a sniffer database: `release` may set its mode."""
        self._claimed = True

    def has_wal(self) -> bool:
        """Whether a `.wal` stands beside the published file."""
        return any(_beside(self.path, suffix).exists() for suffix in WAL_SUFFIXES)

    def publish(self, *, live: bool, adopting: bool = False) -> str | None:
        """Put a copy of the private file in the published one's place; what `check` then found is returned."""
        with errors(self.path):
            with self.private.open("rb") as private:
                new = self._write(
                    self.folder / "publishing.duckdb", private.fileno(), LIVE_MODE if live else self._mode, keep=True
                )
            _lock_shared(new)  # before anyone can find the file
            found = self._move_wal(_ADOPTED) if adopting else self._move_wal(f"foreign-{time.time_ns()}")
            (self.folder / "publishing.duckdb").rename(self.path)
            _sync_folder(self.path.parent)
            self._close_published()
            self._published = new
            if adopting:
                for suffix in WAL_SUFFIXES:
                    (self.folder / (_ADOPTED + suffix)).unlink(missing_ok=True)
        return found

    def check(self) -> str | None:
        """What a foreign client did to the published file, in a line; None: nothing. A `.wal` of its has been moved aside."""
        if self._published is None:
            return None
        with errors(self.path):
            who = writer(self._published)
            moved = self._move_wal(f"foreign-{time.time_ns()}")
            if moved is not None:
                return f"{moved} ({who})" if who else moved
            if who is not None:
                return f"{self.path}: {who} opened it for writing during the recording; what it writes is lost"
            try:
                if self.path.stat().st_ino == os.fstat(self._published).st_ino:
                    return None
            except FileNotFoundError:
                return f"{self.path}: was removed during the recording; published again"
            aside = self.folder / f"foreign-{time.time_ns()}.duckdb"
            try:
                os.link(self.path, aside)  # so that there is a file, for readers, until the next publish puts ours in its place
            except OSError:
                self.path.rename(aside)
            return f"{self.path}: was replaced during the recording; published again, and what stood there is {aside}"

    def own(self, path: Path, mode: int) -> None:
        """Give a file or folder that we made its owner and mode."""
        if self._owner != (-1, -1):
            os.chown(path, *self._owner)
        path.chmod(mode)

    def make_folder(self, folder: Path) -> None:
        """Make a folder of ours, and those above it up to the database's own."""
        if not folder.is_dir():
            if folder != self.folder:
                self.make_folder(folder.parent)
            folder.mkdir()
            self.own(folder, _FOLDER_MODE)

    def release(self) -> None:
        """Leave the published file to its user: writable, unlocked; the private file goes, an empty folder too."""
        with errors(self.path):
            if self._published is not None and self._claimed:
                os.fchmod(self._published, self._mode)
            self._close_published()
            self._discard_private()
            (self.folder / "lock").unlink(missing_ok=True)
            os.close(self._lock)
            with contextlib.suppress(OSError):
                self.folder.rmdir()

    def discard_wal(self) -> str | None:
        """The copied `.wal` does not belong to the copied file: put both it and its original aside, and say so."""
        for suffix in WAL_SUFFIXES:
            _beside(self.private, suffix).unlink(missing_ok=True)
        return self._move_wal(f"foreign-{time.time_ns()}")

    def _take_lock(self) -> int:
        self.make_folder(self.folder)
        while True:
            lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pid = os.pread(lock, 20, 0).decode(errors="replace").strip() or "unknown"
                os.close(lock)
                raise DatabaseBusy(
                    f"{self.path}: another sniffer (PID {pid}) is writing it; stop that one or use another --db"
                ) from None
            with contextlib.suppress(FileNotFoundError):
                if (self.folder / "lock").stat().st_ino == os.fstat(lock).st_ino:
                    os.truncate(lock, 0)
                    os.pwrite(lock, str(os.getpid()).encode(), 0)
                    return lock
            os.close(lock)  # its holder has just removed it

    def _find_owner(self, group: str | None) -> tuple[int, int]:
        """(uid, gid) for our files, -1 for "as it comes": under sudo the caller's; for root, those of the present file."""
        uid, gid = -1, -1
        if os.geteuid() == 0:
            if "SUDO_UID" in os.environ and "SUDO_GID" in os.environ:
                uid, gid = int(os.environ["SUDO_UID"]), int(os.environ["SUDO_GID"])
            elif self.path.exists():
                uid, gid = self.path.stat().st_uid, self.path.stat().st_gid
        if group is not None:
            try:
                gid = int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid
            except KeyError:
                raise StoreError(f"the setting group {group}: no such group on this machine") from None
        return uid, gid

    def _write(self, target: Path, source: int, mode: int, *, keep: bool = False) -> int:
        """Copy an open file to `target`, synced; with `keep` the open descriptor of the copy is returned."""
        target.unlink(missing_ok=True)
        descriptor = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with open(source, "rb", closefd=False) as reading, open(descriptor, "wb", closefd=False) as writing:
                shutil.copyfileobj(reading, writing, 1 << 20)
            if self._owner != (-1, -1):
                os.fchown(descriptor, *self._owner)
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        except BaseException:
            os.close(descriptor)
            target.unlink(missing_ok=True)
            raise
        if not keep:
            os.close(descriptor)
        return descriptor

    def _move_wal(self, name: str) -> str | None:
        moved = None
        for suffix in WAL_SUFFIXES:
            aside = self.folder / (name + suffix)
            with contextlib.suppress(FileNotFoundError):
                _beside(self.path, suffix).rename(aside)
                moved = (
                    f"{self.path}{suffix}: a read-write client left this beside a newer file, it is now {aside}; open read-only"
                )
        return moved

    def _close_published(self) -> None:
        if self._published is not None:
            os.close(self._published)
            self._published = None

    def _discard_private(self) -> None:
        if self.private.parent.is_dir():
            shutil.rmtree(self.private.parent)


@contextlib.contextmanager
def errors(path: Path) -> Iterator[None]:
    """Turn the system's errors into `StoreError`, one line each."""
    try:
        yield
    except OSError as error:
        where = error.filename or path
        raise StoreError(
            f"{where}: {error.strerror or error}; nothing is lost that was published; make room or grant access"
        ) from None


def writer(descriptor: int) -> str | None:
    """Who holds a write lock on an open file, as far as can be told; None: nobody does."""
    asked = struct.pack(_FLOCK, fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
    if sys.platform != "linux":
        return None
    try:
        kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    except OSError:
        return None
    if kind == fcntl.F_UNLCK:
        return None
    with contextlib.suppress(OSError):
        return f"PID {pid} ({Path(f'/proc/{pid}/comm').read_text().strip()})"
    return f"PID {pid}" if pid > 0 else "another process"


def _lock_shared(descriptor: int) -> bool:
    """Take the lock of a DuckDB reader; False if someone writes. Where there are no locks, go without.

    Twice: the process's own lock, which DuckDB names to whom it refuses, is dropped when this process closes any other
    descriptor of the file; the open file description's is not.
    """
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        if hasattr(fcntl, "F_OFD_SETLK"):
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0))
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        pass
    return True


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

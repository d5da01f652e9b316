"""Key logs on disk: what TLS libraries write their secrets into (`SSLKEYLOGFILE`), followed while it grows.

A name stands for a file, or for a folder of which every file counts. A file is known by its inode, so that one that is renamed
is not read twice; of a file that was named, the descriptor is kept, so that what its writer adds after a rename is read, too.
Nothing here waits: what is no file is refused, and what is not there yet is looked for again. Texts name files, never what
stands in them.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

from sniffer.capture import CHUNK_BYTES

POLL_INTERVAL: Final = 0.1
"""Seconds between looks at the files. A look at very many of them takes its time, so it then comes less often."""
_SHARE: Final = 20
"""Of so many parts of the time one may go into looking."""
_POLL_BYTES: Final = 4 << 20
"""Bytes read in one look: packets must not wait for a huge file."""
FILE_BYTES: Final = 256 << 20
"""Of a larger file only its end is read: that is some 300,000 handshakes."""
_FORMER: Final = 4
"""Files that were renamed or deleted under a name given, and may still be written: so many are kept open."""
_HEAD: Final = 256
"""Bytes at a file's beginning by which it is recognised: another file may get its inode, or it may be written anew."""
_LINE: Final = 512
"""No line is longer."""
_TOLD: Final = 1000
"""Warnings that are remembered, so as to be given once."""

_LOOKS_RIGHT = re.compile(rb"^(#|[A-Z][A-Z_0-9]+ [0-9a-fA-F]{64} )", re.MULTILINE).search

NOT_FOUND: Final = "key log not found"
NOT_READABLE: Final = "key log cannot be read"


class Sink(Protocol):
    """Where the bytes go: the key log that decryption asks. A source is one file."""

    def feed(self, source: str, data: bytes) -> None:
        """More bytes of a source."""

    def end(self, source: str) -> None:
        """The source is gone."""

    def restart(self, source: str) -> None:
        """What follows is the source's beginning: it was written anew."""


class _File:
    """How far one file has been read."""

    __slots__ = ("changed", "descriptor", "head", "position", "source")

    def __init__(self, source: str) -> None:
        self.source = source
        self.position = 0
        self.head = b""
        self.changed = (-1, -1)  # size and time of change when it was last read to its end
        self.descriptor: int | None = None  # kept open where the file itself was named


class KeyLogFiles:
    """Feeds the key logs at `paths` to `sink`; `say` gets a line for the user where one cannot be used."""

    def __init__(self, paths: Sequence[Path], sink: Sink, say: Callable[[str], None], *, follow: bool = True) -> None:
        """`follow`: `poll` will come again and again; else it is `read_all`, once."""
        self._missing = "it is read when it appears" if follow else "what it has the secrets of stays unread"
        self._paths = paths
        self._sink = sink
        self._say = say
        self._files: dict[tuple[int, int], _File] = {}  # by device and inode
        self._told: set[str] = set()
        self._due = 0.0
        self._left = 0
        self._refused = False
        self._found = False

    @property
    def trouble(self) -> str | None:
        """Why not one key log could be read so far; None: one was."""
        if self._found:
            return None
        return NOT_READABLE if self._refused else NOT_FOUND

    def poll(self) -> None:
        """Read what has been added, if it is time to look."""
        begun = time.monotonic()
        if begun < self._due:
            return
        self._look()
        ended = time.monotonic()
        self._due = ended + max(POLL_INTERVAL, _SHARE * (ended - begun)) if self._left > 0 else ended

    def read_all(self) -> None:
        """Read everything that is there now."""
        self._look()
        while self._left <= 0:
            self._look()

    def close(self) -> None:
        """Let go of the files: a last line counts without its line feed, too."""
        for file in self._files.values():
            _close(file)
            self._sink.end(file.source)
        self._files.clear()

    # --- looking ---------------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        self._left = _POLL_BYTES
        seen: set[tuple[int, int]] = set()
        for path in self._paths:
            status = self._status(path)
            if status is None:
                continue
            if not stat.S_ISDIR(status.st_mode):
                self._visit(path, status, seen, named=True)
                continue
            try:
                names = sorted(path.iterdir())
            except OSError as error:
                self._refuse(path, f"the folder cannot be read: {error.strerror}; let the user who decodes read it")
                continue
            for name in names:
                found = self._status(name)
                if found is not None and not stat.S_ISDIR(found.st_mode):
                    self._visit(name, found, seen, named=False)
        former = [identity for identity, file in self._files.items() if identity not in seen and file.descriptor is not None]
        for identity in former[-_FORMER:]:
            seen.add(identity)
            self._pull(self._files[identity])
        for identity in self._files.keys() - seen:
            file = self._files.pop(identity)
            _close(file)
            self._sink.end(file.source)

    def _status(self, path: Path) -> os.stat_result | None:
        try:
            return path.stat()
        except FileNotFoundError:
            self._tell(path, f"there is no such key log; {self._missing}")
        except (OSError, ValueError) as error:
            self._refuse(path, f"the key log cannot be read: {getattr(error, 'strerror', None) or error}")
        return None

    def _visit(self, path: Path, status: os.stat_result, seen: set[tuple[int, int]], *, named: bool) -> None:
        if not stat.S_ISREG(status.st_mode):
            self._refuse(path, "this is no file; a key log is a file, or a folder of files")
            return
        identity = status.st_dev, status.st_ino
        seen.add(identity)
        file = self._files.get(identity)
        if file is not None and (file.descriptor is not None or file.changed == (status.st_size, status.st_mtime_ns)):
            self._pull(file)
            return
        try:
            # Between the look and this call a pipe may have taken the file's place: opening one must not wait.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError as error:
            if not isinstance(error, FileNotFoundError):
                self._refuse(path, f"the key log cannot be read: {error.strerror}; let the user who decodes read it")
            return
        opened = os.fstat(descriptor)
        if (opened.st_dev, opened.st_ino) != identity:  # it was replaced this moment: the next look finds out
            os.close(descriptor)
            return
        if file is None:
            file = self._files[identity] = self._first_sight(path, descriptor, opened)
        file.descriptor = descriptor
        try:
            self._pull(file)
        finally:
            if not named:
                _close(file)

    def _first_sight(self, path: Path, descriptor: int, status: os.stat_result) -> _File:
        self._found = True
        file = _File(f"{status.st_dev}:{status.st_ino}")
        if status.st_mode & stat.S_IROTH:
            self._tell(path, f"every user of this machine can read this key log, and so your traffic; `chmod o-r {path}`")
        if status.st_size > FILE_BYTES:
            file.position = status.st_size - FILE_BYTES
            self._tell(path, f"a key log of {status.st_size:,} bytes: only its last {FILE_BYTES:,} are read; rotate it")
        beginning = os.pread(descriptor, CHUNK_BYTES, 0)
        if (b"\n" in beginning or len(beginning) > _LINE) and not _LOOKS_RIGHT(beginning):
            self._tell(path, "this does not look like a key log; name the file that SSLKEYLOGFILE names")
        return file

    # --- reading ---------------------------------------------------------------------------------------------------------

    def _pull(self, file: _File) -> None:
        """Hand on what is new in a file, as far as this look goes."""
        descriptor = file.descriptor
        if descriptor is None:
            return
        try:
            status = os.fstat(descriptor)
            changed = status.st_size, status.st_mtime_ns
            if changed == file.changed:
                return
            if status.st_size < file.position or os.pread(descriptor, len(file.head), 0) != file.head:
                self._sink.restart(file.source)
                file.position, file.head = 0, b""
            while self._left > 0:
                data = os.pread(descriptor, CHUNK_BYTES, file.position)
                if not data:
                    file.changed = changed
                    break
                if file.position == len(file.head) < _HEAD:
                    file.head += data[: _HEAD - len(file.head)]
                file.position += len(data)
                self._left -= len(data)
                self._sink.feed(file.source, data)
        except OSError as error:
            self._tell(Path(file.source), f"a key log cannot be read any more: {error.strerror}")

    def _refuse(self, path: Path, why: str) -> None:
        self._refused = True
        self._tell(path, why)

    def _tell(self, path: Path, what: str) -> None:
        text = f"{path}: {what}"
        if text not in self._told and len(self._told) < _TOLD:
            self._told.add(text)
            self._say(text)


def _close(file: _File) -> None:
    if file.descriptor is not None:
        os.close(file.descriptor)
        file.descriptor = None

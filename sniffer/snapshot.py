"""The decoding state of a live capture, kept where a journal segment begins, so that a restart goes on from there.

Without one a restarted loader decodes its journal from the oldest segment, and a connection that is older than the journal is
joined in its middle. With one the journal may be bounded to a few segments even where connections live for a day: what a
connection needs to be read on (reassembly, TLS secrets and sequence numbers, inflate windows, parts of messages, requests that
await their answers) is in the snapshot.

A snapshot is a head (a line of JSON), a digest and a pickle of our own classes. It holds secrets, so it is a file of mode 0600.
Whatever it says is checked before it is used: of another version, code, journal or Python, with a wrong digest, or with a class
that has no business in it, it is refused, and the reason is said.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import pickle
import pickletools
import sys
from collections.abc import Callable, Collection, Mapping
from enum import Enum
from functools import cache
from importlib import resources
from pathlib import Path
from types import MethodType
from typing import Any, Final, NamedTuple

from sniffer import __version__
from sniffer.capture.journal import Bookmark
from sniffer.config import Settings
from sniffer.exchanges import venues
from sniffer.exchanges.base import Venue

SUFFIX: Final = ".snapshot"
KEPT: Final = 2
"""Snapshots that are kept: the newest may be ahead of what the database had when the loader was killed."""
_FORMAT: Final = "sniffer snapshot 1"
_HEAD_LIMIT: Final = 4096
_STATE: Final = ("sniffer.wire.", "sniffer.exchanges.", "h11._")
"""Where the classes live whose objects are decoding state."""
_OTHERS: Final = frozenset(
    (
        ("builtins", "bytearray"),
        ("builtins", "frozenset"),
        ("builtins", "set"),
        ("collections", "OrderedDict"),
        ("collections", "defaultdict"),
        ("collections", "deque"),
        ("decimal", "Decimal"),
        ("re", "_compile"),
        ("sniffer.capture.journal", "Bookmark"),
        ("sniffer.examine", "Examiner"),
        ("sniffer.examine", "_Examined"),
        ("sniffer.owners", "Owners"),
        ("sniffer.snapshot", "Snapshot"),
        ("sniffer.snapshot", "_method"),
    )
)
_MODEL: Final = "sniffer.model"


class Refused(Exception):
    """A snapshot that cannot be used, and why."""


class Snapshot(NamedTuple):
    """The decoding state where the reader was at `bookmark`, the beginning of a segment."""

    bookmark: Bookmark
    state: Any


class Snapshots:
    """The snapshots in one folder, the journal's. `shared` objects are not in them: they are the running process's own."""

    def __init__(
        self, folder: Path, journal: str, settings: Settings, shared: Mapping[str, object], say: Callable[[str], None]
    ) -> None:
        """`journal`: the uuid of the journal. `settings`: what is decoded, and how, must be as it was. `say` gets a line for
        each snapshot that is refused or cannot be written.
        """
        decoded = (settings.keep, settings.hosts, settings.ports, settings.account, settings.venues)
        self._folder = folder
        self._shared = shared
        self._say = say
        self._failing = False
        self._head = {
            "format": _FORMAT,
            "version": __version__,
            "code": _code(),
            "Python": f"{sys.version_info.major}.{sys.version_info.minor}",
            "journal": journal,
            "settings": repr(decoded),
        }

    def keep(self, snapshot: Snapshot) -> None:
        """Write one, and delete all but the newest ones. Where that fails nothing is lost: a restart takes longer."""
        try:
            self._write(self._folder / f"{snapshot.bookmark.segment:08}{SUFFIX}", dump(snapshot, self._shared))
            for _, old in self._paths()[:-KEPT]:
                old.unlink(missing_ok=True)
            self._failing = False
        except OSError as error:
            if not self._failing:
                self._say(
                    f"{self._folder}: no snapshot could be kept: {error.strerror}; a restart will decode more of the journal"
                )
            self._failing = True

    def latest(self, packets: int, segments: Collection[int]) -> Snapshot | None:
        """The newest that is behind the database, which has `packets` packets, and of whose journal is left.

        At the very same packet is not enough: what time, or keys that came late, brought forth there may be in the one, and not
        in the other. `segments`: the numbers of the journal's segments.
        """
        for _, path in reversed(self._paths()):
            try:
                found = self._read(path)
                if found.bookmark.packets >= packets:
                    raise Refused("it is not behind the database")
                if found.bookmark.segment not in segments:
                    raise Refused("its segment of the journal is gone")
            except (OSError, Refused) as error:
                why = error.strerror if isinstance(error, OSError) else error
                self._say(f"{path}: is not used: {why}; the journal is decoded from an earlier place")
            else:
                return found
        return None

    def _write(self, path: Path, body: bytes) -> None:
        new = path.with_suffix(".new-snapshot")
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            head = json.dumps(self._head).encode() + b"\n"
            file.write(head + hashlib.blake2b(head + body).digest() + body)
            file.flush()
            os.fsync(descriptor)
        new.rename(path)

    def _paths(self) -> list[tuple[int, Path]]:
        with contextlib.suppress(OSError):
            return sorted((int(path.stem), path) for path in self._folder.glob(f"*{SUFFIX}") if path.stem.isdecimal())
        return []

    def _read(self, path: Path) -> Snapshot:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            line = file.readline(_HEAD_LIMIT)
            try:
                head = json.loads(line)
            except (ValueError, RecursionError):
                head = None
            if not isinstance(head, dict):
                raise Refused("it is not a snapshot")
            for name, value in self._head.items():
                if head.get(name) != value:
                    raise Refused(f"it is of another {name}" if name != "settings" else "it is of other settings")
            digest, body = file.read(hashlib.blake2b().digest_size), file.read()
        if hashlib.blake2b(line + body).digest() != digest:
            raise Refused("it is damaged")
        snapshot = load(body, self._shared)
        if not isinstance(snapshot, Snapshot) or not isinstance(snapshot.bookmark, Bookmark):
            raise Refused("it is not a snapshot")
        return snapshot


def dump(state: object, shared: Mapping[str, object]) -> bytes:
    """The bytes of `state`, less what is in `shared` and the venues, which are named."""
    out = io.BytesIO()
    _Pickler(out, shared).dump(state)
    return out.getvalue()


def load(data: bytes, shared: Mapping[str, object]) -> Any:
    """What `dump` was given. Raises `Refused` for anything else."""
    try:
        if any("PUT" in opcode.name for opcode, _, _ in pickletools.genops(data)):
            raise Refused("it asks for memory by number")  # any amount; what protocol 5 writes takes one place after the other
        return _Unpickler(io.BytesIO(data), shared).load()
    except Refused:
        raise
    except Exception as error:  # of hostile or foreign bytes a pickle may raise anything
        raise Refused(f"it does not fit ({type(error).__name__})") from None


class _Pickler(pickle.Pickler):
    def __init__(self, out: io.BytesIO, shared: Mapping[str, object]) -> None:
        super().__init__(out, protocol=5)
        self._names = {id(value): name for name, value in shared.items() if value is not None}
        self._names |= {id(venue): f"venue {venue.name}" for venue in venues()}

    def persistent_id(self, obj: object) -> str | None:
        return self._names.get(id(obj))

    def reducer_override(self, obj: object) -> Any:
        if isinstance(obj, MethodType):
            return _method, (obj.__self__, obj.__name__)
        if isinstance(obj, Enum):  # of its own accord Python 3.11.2 would look it up by `getattr`
            return type(obj), (obj.value,)
        return NotImplemented


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: io.BytesIO, shared: Mapping[str, object]) -> None:
        super().__init__(data)
        self._shared = shared

    def persistent_load(self, name: str) -> object:
        kind, _, venue = name.partition(" ")
        if kind == "venue":
            return _venue(venue)
        return self._shared[name]

    def find_class(self, module: str, name: str) -> Any:
        ours = module.startswith(_STATE) or module == _MODEL
        if (module, name) in _OTHERS:
            return super().find_class(module, name)
        if not ours or "." in name:
            raise Refused(f"it holds {module}.{name}")
        found = super().find_class(module, name)
        if getattr(found, "__module__", module) != module:  # an import of that module's, not a class of its own
            raise Refused(f"it holds {module}.{name}")
        return found


def _method(owner: object, name: str) -> Any:
    """A bound method of a layer, as its owner's callback."""
    if not type(owner).__module__.startswith(_STATE) or not isinstance(method := getattr(owner, name), MethodType):
        raise Refused(f"it holds a method of {type(owner).__name__}")
    return method


def _venue(name: str) -> Venue:
    found = next((venue for venue in venues() if venue.name == name), None)
    if found is None:
        raise Refused(f"it holds the venue {name[:40]}")
    return found


@cache
def _code() -> str:
    """A digest of the code whose state a snapshot is: it may change within a version."""
    digest = hashlib.blake2b(digest_size=16)
    package = resources.files("sniffer")
    for folder in ("wire", "exchanges"):
        _digest_of(package.joinpath(folder), digest)
    for name in ("model.py", "config.py", "examine.py", "pipeline.py", "snapshot.py"):
        digest.update(package.joinpath(name).read_bytes())
    return digest.hexdigest()


def _digest_of(folder: Any, digest: Any) -> None:
    for entry in sorted(folder.iterdir(), key=lambda entry: str(entry.name)):
        if entry.is_dir():
            _digest_of(entry, digest)
        elif entry.name.endswith(".py"):
            digest.update(entry.name.encode() + b"\0" + entry.read_bytes())

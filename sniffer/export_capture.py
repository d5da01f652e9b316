"""A capture and the secrets that its TLS connections need, as one pcapng file that any tool decrypts.

The capture is read twice: once to learn which client randoms it holds, once to be copied behind their secrets.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Final

from sniffer.capture import pcapng
from sniffer.capture.merge import MergedCapture, merge
from sniffer.capture.pcapfile import STANDARD_INPUT, open_capture
from sniffer.capture.segment import encode_packets, encode_secrets, encode_section, segments
from sniffer.config import Settings
from sniffer.errors import CaptureError, DamagedCapture, UsageError
from sniffer.keys import Keys
from sniffer.model import Packet
from sniffer.wire.connection import Connection
from sniffer.wire.engine import Engine

_link_type = itemgetter(1)
_COMMENT: Final = "with the secrets of its TLS connections: whoever has this file can read the traffic"
_UNFINISHED: Final = ".new"
_ROOM: Final = 1 << 62
"""The file may become as large as the disk lets it."""
_BLOCK_SECRETS: Final = pcapng.BLOCK_LIMIT // 2
"""Bytes of key log in one block; a capture may need more than one."""


@dataclass
class Exported:
    """What was written."""

    packets: int = 0
    connections: int = 0
    """TLS connections whose secrets are in the file."""
    without: int = 0
    """TLS connections whose secrets were not found."""
    damage: list[DamagedCapture] = field(default_factory=list)


def export_capture(
    names: Sequence[str], target: Path, settings: Settings, *, force: bool, say: Callable[[str], None]
) -> Exported:
    """Write the packets of `names` (capture files, journal folders) with their secrets to `target`, readable by its owner only.

    Raises `CaptureError` for what is no capture, or cannot be written, and `UsageError` for a target that is there, unless
    `force` says that it may be replaced. What a damaged capture holds before the damage is written.
    """
    if str(target) == STANDARD_INPUT:
        raise UsageError("--output -: secrets are not written to standard output; name a file")
    if target.exists() and not target.is_file():
        raise UsageError(f"{target}: is there, and is not a file that could be replaced; name another")
    if not force and target.exists():
        raise UsageError(f"{target}: is there already; name another file, or replace it with --force")
    if STANDARD_INPUT in names:
        raise UsageError("-: a capture is read twice, so standard input will not do; name a file")
    paths = list(_files(names))
    keys = Keys(settings, say, follow=False)
    exported = Exported()
    link_types, secrets = _look_through(paths, keys, settings, exported)
    unfinished = target.with_name(target.name + _UNFINISHED)
    try:
        unfinished.unlink(missing_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(encode_section(_COMMENT, [(f"link type {number}", number) for number in link_types]))
            for lines in _in_blocks(secrets):
                file.write(encode_secrets(lines))
            for block in _blocks(_open(paths)):
                exported.packets += len(block)
                for number, packets in groupby(block, key=_link_type):
                    file.writelines(encode_packets(list(packets), link_types.index(number), _ROOM))
            file.flush()
            os.fsync(file.fileno())
        _put_in_place(unfinished, target, force)
    except OSError as error:
        raise CaptureError(f"{target}: cannot be written: {error.strerror}; name a file in a folder of yours") from None
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
    return exported


def _put_in_place(unfinished: Path, target: Path, force: bool) -> None:
    """Under its name at last; one that has appeared meanwhile stays, unless it may be replaced."""
    if force:
        unfinished.replace(target)
        return
    try:
        os.link(unfinished, target)
    except FileExistsError:
        raise UsageError(f"{target}: is there already; name another file, or replace it with --force") from None


def _files(names: Sequence[str]) -> Iterator[str]:
    """The capture files; a folder is a journal."""
    for name in names:
        path = Path(name)
        if not path.is_dir():
            yield name
            continue
        found = [str(segment) for _, segment in segments(path)]
        if not found:
            raise CaptureError(f"{name}: this folder is no journal; name the capture files in it, as {path / '*.pcap'}")
        yield from found


def _open(paths: Sequence[str]) -> MergedCapture:
    return merge([open_capture(path) for path in paths])


def _blocks(source: MergedCapture) -> Iterator[list[Packet]]:
    """The packets of a source up to its end, or to where it is damaged."""
    with contextlib.suppress(DamagedCapture):  # `source.damage` has it
        yield from source.blocks()


def _look_through(paths: Sequence[str], keys: Keys, settings: Settings, exported: Exported) -> tuple[list[int], bytes]:
    """The link types of a capture, and the key log lines of the connections in it."""
    source = _open(paths)
    engine = Engine("", settings.limits, keylog=keys.log)
    link_types: dict[int, None] = {}
    lines: dict[bytes, None] = {}

    def gather(connections: Sequence[Connection]) -> None:
        for connection in connections:
            random = connection.client_random
            if random is None:
                continue
            found = [
                b"%s %s %s\n" % (label.encode(), random.hex().encode(), secret.hex().encode())
                for label, secrets in keys.log.find(random).items()
                for secret in reversed(secrets)
            ]
            lines.update(dict.fromkeys(found))
            exported.connections += bool(found)
            exported.without += not found

    for block in _blocks(source):
        link_types.update(dict.fromkeys(map(_link_type, block)))
        keys.look(source)
        gather(engine.feed(block).closed)
    while engine.connections:
        gather(engine.finish().closed)
    exported.damage = source.damage
    return list(link_types), b"".join(lines)


def _in_blocks(lines: bytes) -> Iterator[bytes]:
    """Whole lines, in pieces that a block can hold."""
    while lines:
        end = len(lines) if len(lines) <= _BLOCK_SECRETS else lines.rindex(b"\n", 0, _BLOCK_SECRETS) + 1
        yield lines[:end]
        lines = lines[end:]

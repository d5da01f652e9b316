"""Targets of what is read from disk: captures, journals, key logs, snapshots, settings: all is read, or an error says why."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import tempfile
import tomllib
import uuid
from collections.abc import Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from sniffer import exchanges
from sniffer.capture.journal import Bookmark, JournalReader
from sniffer.capture.pcapfile import open_capture
from sniffer.capture.segment import END_OF_RUN, SUFFIX, SegmentHead, encode_head, encode_packets, encode_statistics
from sniffer.config import Limits, Settings, load_settings
from sniffer.errors import CaptureError, DamagedCapture, JournalError, UsageError
from sniffer.examine import Examiner
from sniffer.exchanges.base import ConnectionFacts
from sniffer.exchanges.declaration import declarations
from sniffer.model import Batch, Packet
from sniffer.pipeline import examine
from sniffer.snapshot import Refused, Snapshot, Snapshots, dump, load
from sniffer.wire.engine import Engine
from sniffer.wire.keylog import KeyLog
from tests.command_line import PCAPS
from tests.fuzz.target import MARK, Target, cut, parts
from tests.loading import packets_of
from tests.property import test_own_venue_property as own
from tests.secured import SecuredFlow

_LARGEST_SEED = 4_000


def _one_line(error: Exception) -> None:
    text = str(error)
    assert text
    assert text.isprintable(), text


@contextlib.contextmanager
def _file(data: bytes) -> Iterator[str]:
    """A file in memory."""
    descriptor = os.memfd_create("fuzz", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, data)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


# --- captures -------------------------------------------------------------------------------------------------------------


def _capture(data: bytes) -> None:
    """What is not read is a loss that says how much; packets are what the interface between the parts says."""
    with _file(data) as name:
        try:
            source = open_capture(name)
        except CaptureError as error:
            _one_line(error)
            return
        packets: list[Packet] = []
        try:
            for block in source.blocks():
                packets += block
            assert not source.losses
        except DamagedCapture as error:
            _one_line(error)
            read = error.offset
            assert len(source.losses) == 1
            assert data[:2] == b"\x1f\x8b" or read + (source.losses[0].bytes or 0) == len(data)
        except CaptureError as error:
            _one_line(error)
    for time, link_type, captured, original, mark in packets:
        assert -(2**63) <= time < 2**63
        assert 0 <= link_type < 2**16
        assert len(captured) <= len(data) or data[:2] == b"\x1f\x8b"
        assert 0 <= original < 2**32
        assert mark in (0, 1, 2)


def _captures(*patterns: str) -> Iterator[bytes]:
    paths = sorted(path for pattern in patterns for path in PCAPS.glob(pattern))
    for path in paths:
        data = path.read_bytes()
        yield data if len(data) < _LARGEST_SEED else data[:_LARGEST_SEED]


def _journal(data: bytes) -> None:
    """Each part is a segment. Bytes of all segments are read or lost."""
    segments = parts(data, 4)
    with tempfile.TemporaryDirectory() as folder:
        for number, segment in enumerate(segments, 1):
            Path(folder, f"{number:08}{SUFFIX}").write_bytes(segment)
        reader = JournalReader(Path(folder), follow=False)
        position = 0
        try:
            for block in reader.blocks():
                assert reader.position >= position
                position = reader.position + len(block)
        except JournalError as error:
            _one_line(error)
            return
    for loss in reader.losses:
        assert loss.reason.isprintable()
    lost = sum(loss.bytes or 0 for loss in reader.losses if loss.reason.startswith("journal segment 0"))
    assert reader.bytes_read + lost == sum(map(len, segments))


def _segment(run: int, packets: list[Packet], before: int, *, end: bool = True, **more: Any) -> bytes:
    head = SegmentHead(str(uuid.UUID(int=7)), run, before, before * 100, None, "host", **more)
    body = b"".join(encode_packets(packets, 0, 1 << 20))
    return encode_head(head, [("lo", 1)]) + body + (encode_statistics(1, 3, END_OF_RUN) if end else b"")


def _journals() -> Iterator[bytes]:
    packets = [packet for packet in packets_of("websocket/binance-orders-compressed.pcap") if packet[1] == 1][:6]
    yield MARK.join((_segment(1, packets[:3], 0, end=False), _segment(1, packets[3:], 3)))
    yield MARK.join((_segment(1, packets[:3], 0), _segment(2, packets[3:], 9, given_up=6)))
    yield _segment(1, packets, 0, end=False)[:-20]


# --- key logs -------------------------------------------------------------------------------------------------------------


def _keylog(data: bytes) -> None:
    """In pieces it says the same as at once; no more is kept than the limit."""
    limits = Limits(key_log_randoms=3)
    found = []
    for size in (len(data) or 1, 1, 40):
        log = KeyLog(limits)
        for piece in cut(data, size):
            log.feed("fuzz", piece)
            assert len(log) <= limits.key_log_randoms
            assert len(log._tails["fuzz"] or b"") <= 512
        log.end("fuzz")
        found.append((log._secrets, log.lines, log.bad_lines, bool(log.generation)))
    assert found[0] == found[1] == found[2]


def _keylogs() -> Iterator[bytes]:
    text = SecuredFlow().started().key_log.encode()
    yield text
    yield b"# comment\r\n\r\n" + text.replace(b"\n", b"\r\n") + b"CLIENT_RANDOM " + b"0a" * 32 + b" " + b"0b" * 48
    yield b"EXPORTER_SECRET " + b"0a" * 32 + b" " + b"0b" * 32 + b"\nQUIC_X 00 11\n" + b"x" * 600 + b"\n"


# --- snapshots ------------------------------------------------------------------------------------------------------------

_LIMITS = Limits()


def _shared() -> dict[str, object]:
    return {"limits": _LIMITS, "name of an account": str, "key log": KeyLog(_LIMITS)}


def _snapshot(data: bytes) -> None:
    """The state, as bytes that somebody changed: refused, or some state, and nothing else comes of it."""
    with contextlib.suppress(Refused):
        load(data, _shared())


@cache
def _folder() -> tuple[Path, Snapshots, list[str]]:
    said: list[str] = []
    folder = Path(tempfile.mkdtemp())
    return folder, Snapshots(folder, "j", Settings(), _shared(), said.append), said


def _snapshot_file(data: bytes) -> None:
    """The whole file: nothing but what was written is ever used."""
    folder, snapshots, said = _folder()
    said.clear()
    (folder / "00000001.snapshot").write_bytes(data)
    assert snapshots.latest(10, {1}) is None
    assert len(said) == 1
    assert said[0].isprintable()


def _state(name: str, count: int) -> Snapshot:
    shared = _shared()
    engine = Engine("x", _LIMITS, keylog=shared["key log"])  # type: ignore[arg-type]  # one of several kinds
    examiner = Examiner("x", True, None, str)
    examine(examiner, engine.feed(packets_of(name)[:count]), Batch())
    return Snapshot(Bookmark(1, 1, 0, 0, True, None, None, None), (engine, examiner))


def _states() -> Iterator[bytes]:
    for name, count in (("websocket/binance-orders-compressed.pcap", 12), ("tls/without-keys.pcapng", 9)):
        yield dump(_state(name, count), _shared())
    yield dump(Snapshot(Bookmark(1, 1, 0, 0, True, None, None, None), ()), _shared())


def _snapshot_files() -> Iterator[bytes]:
    folder, snapshots, _ = _folder()
    snapshots.keep(Snapshot(Bookmark(2, 1, 0, 0, True, None, None, None), ()))
    written = (folder / "00000002.snapshot").read_bytes()
    (folder / "00000002.snapshot").unlink()
    yield written[:-1]
    yield written + b"."


# --- settings -------------------------------------------------------------------------------------------------------------


def _settings(data: bytes) -> None:
    with _file(data) as name:
        try:
            load_settings(Path(name))
        except UsageError as error:
            _one_line(error)


def _settings_seeds() -> Iterator[bytes]:
    yield b'db = "a.duckdb"\nkeep = "all"\nhosts = ["192.0.2.1"]\nports = [443]\npublish_interval = 0.5\nkeylog = ["a"]\n'
    yield b'journal = "~/j"\njournal_max_bytes = 1048576\njournal_sync = "second"\nmetrics_port = 9\nlog_format = "json"\n'
    yield b'account = "a"\ngroup = "g"\n[limits]\nconnections = 5\ngap_wait = 9\n[venues.x]\nports = [1]\n'


def _declared(data: bytes) -> None:
    """TOML of the user's own venues: refused in one line, or they work on some messages."""
    try:
        table = tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError):
        return
    if not isinstance(table.get("venues"), dict):
        return
    try:
        declared, _ = declarations(table["venues"], exchanges.VENUES)
    except UsageError as error:
        _one_line(error)
        return
    for venue in declared:
        decoder = venue.decoder(ConnectionFacts())
        for value in (own.ORDER, own.TRADE, [own.ORDER] * 2, "1:42"):
            for message in own.messages(json.dumps(value).encode()):
                decoder.wanted(message.sender, message.opcode)(message.payload)
                decoder.decode(message)


TARGETS = (
    Target("pcap", _capture, lambda: _captures("formats/*.pcap", "hostile/*.pcap")),
    Target("pcapng", _capture, lambda: _captures("formats/*.pcapng", "hostile/*.pcapng", "tls/*.pcapng")),
    Target("capture-gzip", _capture, lambda: (gzip.compress(data, mtime=0) for data in islice(_captures("*/*.pcapng"), 20))),
    Target("journal", _journal, _journals),
    Target("keylog", _keylog, _keylogs),
    Target("snapshot", _snapshot, _states),
    Target("snapshot-file", _snapshot_file, _snapshot_files),
    Target("settings", _settings, _settings_seeds),
    Target("own-venue", _declared, lambda: (text.encode() for text in own.EXAMPLES[:3])),
)

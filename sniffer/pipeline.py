"""The one loop: packets -> engine -> exchanges -> store. Replay and live run it alike; they differ in the source alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from typing import Final, Protocol, TypeAlias

from sniffer.capture import PacketSource
from sniffer.capture.journal import Bookmark
from sniffer.capture.ownership import Owned
from sniffer.config import SECOND, Settings, account_name, account_salt
from sniffer.connections import Connections
from sniffer.errors import CaptureError, DamagedCapture, UsageError
from sniffer.examine import Examiner
from sniffer.exchanges.own import use_own_venues
from sniffer.identity import FINGERPRINT_PACKETS, Track, fingerprint
from sniffer.keys import Keys
from sniffer.model import Batch, CaptureRow, Loss, Packet, Position
from sniffer.snapshot import Snapshot, Snapshots
from sniffer.summary import Summary
from sniffer.watch import watch_filter
from sniffer.wire.engine import Engine, Output
from sniffer.wire.stream import CAPTURE_ENDED

APPEND_ROWS: Final = 4_000
"""Rows that are gathered at most before they go to the private file. They are Python objects of some kB each: a replay peaked
at 278 MB with 50,000 and at 183 with 10,000. (8,000 would take a fifth of the store's time less, and memory comes first.)"""
APPEND_SIZE: Final = 8_000_000
"""And of their payloads: where all messages are kept, some have megabytes."""
IDLE_LAG: Final = SECOND
"""Where a live source is idle, capture time is taken to be the wall clock less this: the journal is written well within."""


_Read: TypeAlias = tuple[list[Packet], list[Loss], int | None]
"""A block, what the source lost before it, and how many packets the kernel had dropped by then."""


class Target(Protocol):
    """Where rows go; `sniffer.store.Store` is one."""

    def position(self, fingerprint: tuple[str, ...]) -> Position | None:
        """How far the capture that begins so has been loaded; None: it is new."""

    def append(self, batch: Batch, position: Position) -> None:
        """Add rows and move to `position`, in one transaction.

        An append that is `complete` holds what only the capture's end brings forth; a further one takes it back.
        """

    def publish(self) -> None:
        """Let readers see what was appended."""

    def remove(self, capture_id: str) -> None:
        """Take back everything that came from a capture."""


class Pipeline:
    """Loads one capture. `run` until the source ends; `summary` says what came of it."""

    def __init__(
        self,
        target: Target,
        settings: Settings,
        *,
        publish_interval: float,
        replace: bool = False,
        keys: Keys | None = None,
    ) -> None:
        """`replace`: what the database holds of this capture is removed first. `keys`: None decrypts no TLS."""
        self._replace = replace
        self._keys = keys
        self._target = target
        self._settings = settings
        self._publish_interval = publish_interval
        use_own_venues(settings.venues)
        self._watch = watch_filter(settings.hosts, settings.ports)
        self._snapshots: Snapshots | None = None
        self._resumed: Snapshot | None = None
        self._segment = 0  # of the latest snapshot
        self._engine: Engine
        self._examiner: Examiner
        self._batch = Batch()
        self._connections = Connections()
        self._position: Position
        self._skip = 0
        self._ticked = 0
        self._stored_tick = 0
        self._known: Position | None = None
        self._track: Track | None = None
        self._going_on = False
        self._packets = 0
        self._bytes = 0
        self._started_at: int | None = None
        self._ended_at: int | None = None
        self._kernel_drops: int | None = None
        self._published = time.monotonic()
        self.summary = Summary()

    @cached_property
    def _name_of(self) -> Callable[[str], str]:
        return partial(account_name, account_salt())

    @property
    def shared(self) -> dict[str, object]:
        """What decoding state refers to and does not hold: it is this process's own; see `Snapshots`."""
        keylog = self._keys.log if self._keys is not None else None
        return {"limits": self._settings.limits, "watch": self._watch, "name of an account": self._name_of, "key log": keylog}

    def keep_snapshots(self, snapshots: Snapshots, resumed: Snapshot | None) -> None:
        """Before `run`, whose source begins at `resumed`: keep a snapshot wherever a segment of the journal begins."""
        self._snapshots, self._resumed = snapshots, resumed

    def run(self, source: PacketSource, progress: Callable[[PacketSource, Summary], None] | None = None) -> Summary:
        """Read `source` to its end, and publish what it holds.

        Damage of the source is recorded (`summary.damage`, a loss) after everything before it was stored. What cannot be
        opened at all raises `CaptureError`; the database's troubles raise `StoreError`.
        """
        begun = time.monotonic()
        self.summary.name = source.name
        for block, losses, drops in self._identified(source, self._guarded(source)):
            if self._keys is not None:
                self._keys.look(source)
            self._learn_owners(source)
            if block:
                self._keep_snapshot(source)
                at: int | None = getattr(source, "position", None)
                if at is not None:  # a journal counts its packets itself, those that were deleted unread included
                    self._packets = at
                told, fresh = self._source_losses(losses, drops), self._packets >= self._skip
                self._load(block)
                self._batch.losses += told if fresh else ()
            else:
                self._go_on()
                self._ticked = time.time_ns() - IDLE_LAG
                self._take(self._engine.tick(self._ticked))
            if block and self._packets <= self._skip:
                self._forget()
            self._flush(source)
            if progress is not None:
                progress(source, self.summary)
        self._finish(source)
        self.summary.seconds = time.monotonic() - begun
        return self.summary

    def _guarded(self, source: PacketSource) -> Iterator[_Read]:
        try:
            for block in source.blocks():
                losses, drops = (source.losses.copy(), source.kernel_drops) if block else ([], None)
                if block:
                    source.losses.clear()
                yield block, losses, drops
        except DamagedCapture as damage:
            self.summary.damage = list(getattr(source, "damage", ())) or [damage]
        except KeyboardInterrupt:
            self.summary.interrupted = True

    # --- which capture is this? ------------------------------------------------------------------------------------------

    def _identified(self, source: PacketSource, blocks: Iterator[_Read]) -> Iterator[_Read]:
        """Settle the capture's identity from its first packets, then hand on all blocks."""
        read: list[_Read] = []
        first: list[Packet] = []
        for one in blocks:
            if one[0]:
                read.append(one)
            first += one[0]
            if len(first) >= FINGERPRINT_PACKETS or getattr(source, "identity", None) or (not one[0] and first):
                break
        identity: str | None = getattr(source, "identity", None)
        names = (identity,) if identity else fingerprint(first)
        known = self._target.position(names)
        if known and self._replace:
            self._target.remove(known.capture_id)
            known = None
        options = ""
        if not identity:  # a journal is what it is; a file is read from its beginning
            self._track, options = Track(), self._settings.loaded_options
            if known and known.options != options:
                said = known.options or "no --host, --port or --keep"
                raise UsageError(f"{source.name}: was loaded with {said}; give the same, or --replace to load it anew")
        capture_id = known.capture_id if known else names[-1]
        self._skip = known.packets if known else 0
        self._stored_tick = known.ticked if known else 0
        self._known = known
        self._position = Position(capture_id, self._skip, False, names, options=options)
        self.summary.capture_id = capture_id
        if self._resumed is not None:
            self._segment, self._packets = self._resumed.bookmark.segment, self._resumed.bookmark.packets
            self._engine, self._examiner, (self._bytes, self._started_at, self._ended_at, self._kernel_drops) = (
                self._resumed.state
            )
        else:
            keylog = self._keys.log if self._keys is not None else None
            self._engine = Engine(capture_id, self._settings.limits, self._watch, keylog)
            self._examiner = Examiner(capture_id, self._settings.keep == "all", self._settings.account, self._name_of)
        self._engine.withhold(known.keyless if known else ())
        yield from read
        yield from blocks

    def _keep_snapshot(self, source: PacketSource) -> None:
        """Where a segment begins, and what came before it is on its way to the readers, keep the decoding state."""
        bookmark: Bookmark | None = getattr(source, "bookmark", None)
        if self._snapshots is None or bookmark is None or bookmark.segment == self._segment:
            return
        first, self._segment = not self._packets, bookmark.segment
        if first or self._packets < self._skip:
            return
        self._go_on()  # else what is held for its keys, and is stored by then, would be held in the snapshot, and come again
        self._append(source, complete=False, counters=True)
        self._target.publish()
        counts = (self._bytes, self._started_at, self._ended_at, self._kernel_drops)
        self._snapshots.keep(Snapshot(bookmark, (self._engine, self._examiner, counts)))

    # --- packets to rows -------------------------------------------------------------------------------------------------

    def _load(self, block: list[Packet]) -> None:
        """Decode a block; what the database holds already is decoded for its state alone."""
        fresh_from = self._skip - self._packets
        if 0 < fresh_from < len(block):
            self._load(block[:fresh_from])
            self._load(block[fresh_from:])
            return
        if fresh_from <= 0:
            self._go_on()
        self._ticked = 0
        lengths = [packet[3] for packet in block]
        self._packets += len(block)
        self._bytes += sum(lengths)
        if self._started_at is None:
            self._started_at = block[0][0]
        self._ended_at = max(self._ended_at or 0, block[-1][0])
        if self._track is not None:
            self._track.note([packet[0] for packet in block], lengths)
            known = self._known
            if known and self._packets <= known.packets and self._track.departs_from(known.digests, known.packets):
                raise CaptureError(
                    f"{self.summary.name}: begins as a capture that is in the database, and is another one within"
                    f" {self._packets:,} packets; --replace loads it in the place of that one"
                )
        fresh = fresh_from <= 0
        self._take_all(self._engine.feed(block, hold=fresh))
        if not fresh:
            self._forget()

    def _take_all(self, output: Output) -> None:
        self._take(output)
        while output.more:
            output = self._engine.feed([])
            self._take(output)

    def _go_on(self) -> None:
        """Before anything new: what is stored is not to come twice, and what was held for its keys, and is not, may come now.

        Stored is what followed from the packets, of connections that were not held (their keys may have come after a snapshot
        was kept), and what time alone brought forth behind the last packet.
        """
        if self._going_on or self._packets < self._skip:
            return
        self._going_on = True
        if self._skip:
            self._take_all(self._engine.feed([]))
            if self._stored_tick:
                self._take_all(self._engine.tick(self._stored_tick))
                self._ticked = self._stored_tick
            self._forget()
        self._engine.release()

    def _take(self, output: Output) -> None:
        """Examine what the engine gave, and gather the rows."""
        for connection, _ in output.deliveries:
            self._connections.note(connection)
        for connection in output.closed:
            self._connections.note(connection)
        examine(self._examiner, output, self._batch)

    def _forget(self) -> None:
        """Drop rows that are stored already."""
        self.summary.already_loaded = self._packets
        self._batch = Batch()
        self._connections.forget(self._examiner)

    def _learn_owners(self, source: PacketSource) -> None:
        """Take in whose connections are, as far as the source tells; their rows are told anew, which changes nothing else."""
        told: list[Owned] = getattr(source, "owners", [])
        for connection in self._examiner.owners.note(told, self._engine.connections.values()):
            self._connections.note(connection)
        told.clear()

    def _source_losses(self, lost: list[Loss], drops: int | None) -> list[Loss]:
        """What the source itself lost: packets that the kernel dropped, damaged files.

        That stands between two packets, and is told with the block that begins behind it, so that a run that goes on knows
        whether it is stored; behind the last packet, with what the capture's end brings forth.
        """
        capture_id = self._position.capture_id
        losses = [loss._replace(capture_id=capture_id) for loss in lost]
        if drops is not None and drops > (self._kernel_drops or 0):
            count = drops - (self._kernel_drops or 0)
            reason = f"{count} packets dropped by the kernel before they could be read"
            now = self._ended_at
            losses.append(Loss(capture_id, None, None, now, now, None, None, None, "kernel", reason))
        if drops is not None:
            self._kernel_drops = drops
        return losses

    # --- rows to the store -----------------------------------------------------------------------------------------------

    def _flush(self, source: PacketSource) -> None:
        """Append what has gathered, when there is enough or it is time; publish when it is time."""
        due = time.monotonic() - self._published >= self._publish_interval
        if not (due or len(self._batch) >= APPEND_ROWS or self._batch.payload_size >= APPEND_SIZE):
            return
        if self._packets > self._skip:
            self._append(source, complete=False)
        if due:
            self._target.publish()
            self._published = time.monotonic()

    def _append(self, source: PacketSource, *, complete: bool, counters: bool = False) -> None:
        """What has gathered, and where it brings us to; `counters` as of `Connections.rows`."""
        self._take_all(self._engine.feed([]))
        batch, capture_id = self._batch, self._position.capture_id
        rows = self._connections.rows(self._examiner, capture_id, counters=complete or counters)
        batch.connections = [row for row, _ in rows]
        if not batch and not complete:
            return
        batch.capture = CaptureRow(
            capture_id, source.name, self._started_at, self._ended_at, self._packets, self._bytes, self._kernel_drops
        )
        self._position = self._position._replace(
            packets=self._packets,
            complete=complete,
            ticked=self._ticked,
            keyless=self._position.keyless if complete else self._engine.keyless(),
            digests=self._track.digests if self._track is not None else (),
        )
        self._target.append(batch, self._position)
        self.summary.packets, self.summary.bytes = self._packets, self._bytes
        self.summary.note(batch)
        self._batch = Batch()
        for row, ended in rows:
            if ended:
                self.summary.note_end(row)
                self._examiner.forget(row.connection_id)

    def _finish(self, source: PacketSource) -> None:
        """The source has ended. What that brings forth is an append of its own: it is taken back if the capture goes on."""
        self._learn_owners(source)
        told = self._source_losses(source.losses, source.kernel_drops)
        source.losses.clear()
        ending = f"{self._kernel_drops or 0} packets dropped, damage of {[loss.bytes for loss in told]} bytes"
        if self._packets < self._skip or (
            self._packets == self._skip and self._known is not None and self._known.complete and self._known.ending == ending
        ):
            self.summary.already_loaded = self._packets
            self._forget()
            self.summary.packets, self.summary.bytes = self._packets, self._bytes
            return
        self._go_on()
        self._append(source, complete=False)  # what time brought forth is not the end's
        self._position = self._position._replace(keyless=self._engine.keyless(), ending=ending)
        self._batch.losses += told
        more = True
        while more:
            output = self._engine.finish()
            output.losses = [at_end(loss) for loss in output.losses]
            self._take(output)
            more = output.more
        self._append(source, complete=True)
        self._target.publish()


def examine(examiner: Examiner, output: Output, batch: Batch) -> None:
    """The rows of what an engine gave, into `batch`."""
    examiner.examine(output.deliveries, batch)
    batch.losses += output.losses


def at_end(loss: Loss) -> Loss:
    """A loss that stands only because the capture ends: its reason says so."""
    return loss if loss.reason.startswith(CAPTURE_ENDED) else loss._replace(reason=f"{CAPTURE_ENDED}: {loss.reason}")

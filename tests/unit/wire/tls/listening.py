"""Reading a talk with `TlsLayer`: cut into packets, some lost or damaged, in blocks of any size."""

from __future__ import annotations

import random
from dataclasses import dataclass

from sniffer.config import Limits
from sniffer.model import Loss, Sender
from sniffer.wire.keylog import KeyLog
from sniffer.wire.losses import LossLedger
from sniffer.wire.stream import Data, End, Gap, Item
from sniffer.wire.tls.layer import TlsLayer
from tests.unit.wire.tls.speaker import Talk

SENDERS: tuple[Sender, Sender] = ("client", "server")
Packet = tuple[Sender, Item]


def key_log(*texts: bytes, limits: Limits | None = None) -> KeyLog:
    log = KeyLog(limits or Limits())
    for number, text in enumerate(texts):
        log.feed(str(number), text)
    return log


def packets(talk: Talk, rng: random.Random | None = None, size: int = 1500) -> list[Packet]:
    """The talk in packets of at most `size` bytes, one packet a nanosecond; cut and joined at random with `rng`."""
    runs: list[tuple[Sender, bytearray]] = []
    for written in talk.written:
        if rng is not None and runs and runs[-1][0] == written.sender and rng.random() < 0.5:
            runs[-1][1].extend(written.wire)
        else:
            runs.append((written.sender, bytearray(written.wire)))
    out: list[Packet] = []
    offsets = {"client": 0, "server": 0}
    for sender, run in runs:
        at = 0
        while at < len(run):
            take = size if rng is None else rng.choice((1, 2, 5, 60, 400, size))
            part = bytes(run[at : at + take])
            out.append((sender, (offsets[sender], len(out), part)))
            offsets[sender] += len(part)
            at += len(part)
    return out


def ends(sent: list[Packet], orderly: bool = True) -> list[Packet]:
    lengths = {"client": 0, "server": 0}
    for sender, item in sent:
        if isinstance(item, tuple):
            lengths[sender] = item[0] + len(item[2])
        elif isinstance(item, Gap):
            lengths[sender] = item.offset + (item.length or 0)
    reason = "connection ended" if orderly else "capture ended"
    return [(sender, End(lengths[sender], len(sent), orderly, reason)) for sender in SENDERS]


@dataclass
class Heard:
    layer: TlsLayer
    items: dict[Sender, list[Item]]
    losses: list[Loss]

    def plain(self, sender: Sender) -> bytes:
        return b"".join(item[2] for item in self.items[sender] if isinstance(item, tuple))

    def gaps(self, sender: Sender) -> int:
        return sum(isinstance(item, Gap) for item in self.items[sender])

    def lost(self, sender: Sender) -> int:
        return sum(loss.bytes or 0 for loss in self.losses if loss.sender == sender)

    def reasons(self) -> set[str]:
        return {loss.reason for loss in self.losses}


def listen(
    sent: list[Packet],
    log: KeyLog,
    *,
    block: int = 1,
    limits: Limits | None = None,
    late: bytes = b"",
    late_at: int = 0,
    midway: bool = False,
) -> Heard:
    """Feed `sent` in blocks. `late`: key log text that comes before packet `late_at`."""
    ledger = LossLedger("capture", 1)
    layer = TlsLayer(log, limits or Limits(), ledger, joined_midway=midway)
    items: dict[Sender, list[Item]] = {"client": [], "server": []}

    def take(out: tuple[list[Item], list[Item]]) -> None:
        items["client"] += out[0]
        items["server"] += out[1]

    def teach() -> None:
        log.feed("late", late)
        take(layer.retry())

    taught = not late
    for at in range(0, len(sent), block):
        if not taught and at >= late_at:
            teach()
            taught = True
        part = sent[at : at + block]
        client: list[Item] = [item for sender, item in part if sender == "client"]
        take(layer.feed(client, [item for sender, item in part if sender == "server"]))
    if not taught:
        teach()
    take(layer.give_up(len(sent), layer.unreadable_reason or "connection ended"))
    assert layer.held_bytes() == 0
    ledger.finish()
    return Heard(layer, items, ledger.rows)


def said(talk: Talk, sender: Sender) -> bytes:
    return b"".join(written.plain or b"" for written in talk.written if written.sender == sender)


def total(talk: Talk, sender: Sender) -> int:
    return sum(len(written.wire) for written in talk.written if written.sender == sender)


def normal(items: list[Item]) -> list[tuple[object, ...]]:
    """Items that can be compared."""
    return [item if isinstance(item, tuple) else (type(item).__name__, item.offset, item.time) for item in items]


def data_of(items: list[Item]) -> list[Data]:
    return [item for item in items if isinstance(item, tuple)]

"""Packets in: capture files, the journal, and live interfaces, all as blocks of `sniffer.model.Packet`.

pcapfile    a pcap or pcapng file, plain or gzip, standard input, a file that grows
  pcap, pcapng   the two formats: bytes in, packets out
  streams        the bytes of a file or pipe as they come, unzipped
merge       several files as one capture, by time
journal     the rotating pcapng segments between a live capture and its loader
keylogs     files of TLS secrets, followed while they grow
live        one interface: afpacket (Linux), scapy_live (other systems), filtered by bpf
owner       the process, and so the strategy, behind a connection

Link types and tunnels are not decoded here: that is `sniffer.wire`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

from sniffer.model import Loss, Packet

POLL_INTERVAL: Final = 0.05
"""Seconds between looks for more, and so between the empty blocks of a source that waits."""

CHUNK_BYTES: Final = 512 << 10
"""Bytes read at once, so a thousand packets a block: enough for what costs once a block and connection, and still in the
processor's cache. Measured with `allocator.py`, CPU time from packets to rows: 500,000 messages in 10 connections 2.5 s with
256 KiB, 2.4 with 512, 2.7 with 1 MiB, 3.7 with 4 MiB; 100,000 messages in 1,000 connections 2.2, 2.0, 1.9 and 1.9 s."""


class PacketSource(Protocol):
    """Where packets come from. A source is read once."""

    losses: list[Loss]
    """What the source could not read; the reader drains it and fills in `capture_id`."""

    @property
    def name(self) -> str:
        """A file's name as it was given, `-` for standard input, or `lo@hostname`."""

    @property
    def bytes_read(self) -> int:
        """Of the file as it lies on disk, so compressed bytes for `.gz`."""

    @property
    def kernel_drops(self) -> int | None:
        """Packets the kernel dropped so far; None where nobody counted."""

    @property
    def total_bytes(self) -> int | None:
        """What `bytes_read` will be at the end; None where that cannot be known."""

    def blocks(self) -> Iterator[list[Packet]]:
        """Packets in order, up to some thousand a list; a source that waits yields `[]` about every 50 ms.

        Raises `DamagedCapture` at the end, after all that could be read, if the input is cut off or corrupt.
        """


def capture_loss(reason: str, *, size: int | None = None, from_time: int | None = None, to_time: int | None = None) -> Loss:
    """A loss of the capture layer: `size` bytes (None: unknown) between two wire times."""
    return Loss("", None, None, from_time, to_time, None, size, None, "capture", reason)

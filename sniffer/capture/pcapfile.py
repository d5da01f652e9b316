"""Capture files: pcap and pcapng, plain or gzip, from a path or standard input, at rest or still growing."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Final

from sniffer.capture import capture_loss, pcap, pcapng
from sniffer.capture.ownership import Owned, gather
from sniffer.capture.segment import segment_head
from sniffer.capture.streams import GZIP_MAGIC, BrokenStream, Chunks, read_file, unzipped
from sniffer.errors import CaptureError, DamagedCapture
from sniffer.model import Loss, Packet

STANDARD_INPUT: Final = "-"
_HEAD_BYTES: Final = 512  # what a message about a file that is no capture looks at

_OTHER_FORMATS: Final = (  # (offset, bytes there, what it is, the way out)
    (0, b"\x28\xb5\x2f\xfd", "zstd-compressed data", "`zstd -d` unpacks it"),
    (0, b"\xfd7zXZ\0", "xz-compressed data", "`xz -d` unpacks it"),
    (0, b"BZh", "bzip2-compressed data", "`bzip2 -d` unpacks it"),
    (0, GZIP_MAGIC, "gzip inside gzip", "`gzip -d` unpacks it"),
    (0, b"PK\x03\x04", "a zip archive", "unpack it first"),
    (257, b"ustar", "a tar archive", "unpack it first"),
    (0, b"snoop\0\0\0", "a snoop capture", "`editcap -F pcapng OLD NEW` converts it"),
    (0, b"GMBU", "a Network Monitor capture", "`editcap -F pcapng OLD NEW` converts it"),
    (0, b"RTSS", "a Network Monitor capture", "`editcap -F pcapng OLD NEW` converts it"),
    (8, b"DUCK", "a DuckDB database", "it is opened with `sniffer query --db`"),
)
_WAY_OUT: Final = "`tcpdump -w FILE` writes one"


def open_capture(
    path: str | os.PathLike[str], *, follow: bool = False, stop: Callable[[], bool] = lambda: False
) -> CaptureFile:
    """The capture at `path`, `-` for standard input; `follow`: wait for more at its end, until `stop()`.

    Raises `CaptureError` for what cannot be opened or is no capture; of a pipe or a followed file only `blocks` can tell.
    """
    source = CaptureFile(os.fspath(path), follow, stop)
    if source.total_bytes is not None:
        source.probe()
    return source


class CaptureFile:
    """A `PacketSource` over one file. A file at rest is open only while `blocks` runs: sets have thousands of them."""

    def __init__(self, name: str, follow: bool, stop: Callable[[], bool]) -> None:
        self.name = os.fsencode(name).decode(errors="backslashreplace")
        """For people and for the database, which takes UTF-8 only."""
        self._path = name
        self.losses: list[Loss] = []
        self.secrets: list[bytes] = []
        """TLS key logs that the file holds (pcapng), as they are met; the reader drains it."""
        self.owners: list[Owned] = []
        """The same of who has which connection, in a segment of a journal."""
        self.bytes_read = 0
        self.total_bytes: int | None = None
        self.first_time: int | None = None
        """Wire time of the first packet, ns; None if there is none, or if it is not known before the file is read."""
        self._follow, self._stop = follow, stop
        self._zipped = False
        self._decoder: pcap.Decoder | None = None
        if name == STANDARD_INPUT:
            return
        try:
            status = Path(name).stat()
        except OSError as error:
            raise self._unreadable(error) from None
        if stat.S_ISDIR(status.st_mode):
            raise CaptureError(f"{self.name}: this is a folder; name the capture files in it, as {Path(self.name) / '*.pcap'}")
        if stat.S_ISREG(status.st_mode) and not follow:
            self.total_bytes = status.st_size

    @property
    def kernel_drops(self) -> int | None:
        """Packets dropped by the capturing kernel, as the file's statistics say; None if it has none."""
        return self._decoder.kernel_drops if self._decoder else None

    @property
    def journal(self) -> str | None:
        """The uuid of the journal that this file is a segment of; its kernel drops then count from the journal's beginning."""
        head = segment_head(self._decoder)
        return head.journal if head else None

    def probe(self) -> None:
        """Read the file's head: sets `first_time`. Raises `CaptureError` if this is no capture."""
        blocks = self.blocks()
        try:
            self.first_time = next(blocks)[0][0]
        except (StopIteration, DamagedCapture):
            pass  # damage is reported when the file is read
        blocks.close()
        self.losses.clear()
        self.secrets.clear()
        self.owners.clear()
        self.bytes_read = 0

    def blocks(self) -> Generator[list[Packet], None, None]:
        """See `PacketSource`."""
        self._decoder = None
        try:
            descriptor = 0 if self.name == STANDARD_INPUT else os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise self._unreadable(error) from None
        try:
            yield from self._decode(unzipped(self._counted(read_file(descriptor, follow=self._follow, stop=self._stop))))
        finally:
            if descriptor:
                os.close(descriptor)

    def _counted(self, chunks: Chunks) -> Chunks:
        """The raw chunks, counted into `bytes_read`."""
        for chunk in chunks:
            if chunk:
                self._zipped = self._zipped if self.bytes_read else chunk.startswith(GZIP_MAGIC)
                self.bytes_read += len(chunk)
            yield chunk

    def _decode(self, chunks: Chunks) -> Iterator[list[Packet]]:
        data, offset = b"", 0  # what is not decoded yet, and where in the unzipped stream it begins
        pieces: list[bytes] = []  # more of it, gathered while a large record comes: joined once, not with every chunk
        gathered = 0
        decoder: pcap.Decoder | None = None
        time: int | None = None
        problem: str | None = None
        try:
            for chunk in chunks:
                if chunk is None:
                    yield []
                    continue
                pieces.append(chunk)
                gathered += len(chunk)
                if decoder and len(data) + gathered < decoder.wanted:
                    continue
                data = b"".join((data, *pieces))
                pieces, gathered = [], 0
                if decoder is None:
                    decoder = self._decoder = self._detect(data)
                    if decoder is None:
                        continue
                packets: list[Packet] | None = None
                while packets is None or (packets and not decoder.damage):  # a block ends where statistics stand
                    packets, used = decoder.decode(data)
                    if isinstance(decoder, pcapng.PcapngDecoder) and (decoder.secrets or decoder.comments):
                        self.secrets += decoder.secrets
                        decoder.secrets.clear()
                        gather(self.owners, decoder.comments)
                    data = data[used:]
                    offset += used
                    if packets:
                        time = packets[-1][0]
                        yield packets
                if decoder.damage:
                    break
        except BrokenStream as error:
            problem = str(error)
        except OSError as error:
            problem = error.strerror or str(error)
        if decoder is None and problem is None and not self._follow:
            raise CaptureError(f"{self.name}: {_what_it_is(data)}; {_WAY_OUT}")
        if decoder and decoder.damage:
            problem = decoder.damage
        elif (data or pieces) and not problem and not self._follow:
            problem = "the file is cut off inside a record"
        if problem:
            size = None if self._zipped or self.total_bytes is None else self.total_bytes - offset
            self.losses.append(capture_loss(f"{self.name}: {problem}, at byte {offset}", size=size, from_time=time))
            raise DamagedCapture(self.name, offset, problem)

    def _detect(self, data: bytes) -> pcap.Decoder | None:
        """The decoder for bytes that begin like `data`; None while they are too few. Raises `CaptureError`."""
        magic = data[:4]
        if len(magic) < 4:
            return None
        if magic in pcap.MAGICS:
            return pcap.PcapDecoder(self.name)
        if magic == pcapng.MAGIC:
            return pcapng.PcapngDecoder(statistics_apart=True)
        for at, mark, what, way_out in _OTHER_FORMATS:
            if data.startswith(mark, at):
                raise CaptureError(f"{self.name}: this is {what}, not a pcap or pcapng file; {way_out}")
        raise CaptureError(f"{self.name}: {_what_it_is(data, self._zipped)}; {_WAY_OUT}")

    def _unreadable(self, error: OSError) -> CaptureError:
        return CaptureError(f"{self.name}: {error.strerror}; name a capture file that you may read, or - for standard input")


def _what_it_is(data: bytes, zipped: bool = False) -> str:
    """What a file that is no capture looks like, as the middle of an error line."""
    if not data:
        return "this is empty, not a pcap or pcapng file"
    head = data[:_HEAD_BYTES]
    if b"\0" in head or sum(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in head):
        what = "binary data"
    elif head.lstrip()[:1] in (b"{", b"["):
        what = "JSON"
    elif head.lstrip()[:1] == b"<":
        what = "HTML or XML"
    else:
        what = "text"
    return f"this looks like {'gzip of ' if zipped else ''}{what}, not a pcap or pcapng file"

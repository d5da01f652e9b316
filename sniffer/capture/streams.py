"""The bytes of a file, pipe or standard input as they come; gzip is recognised by its content (RFC 1952).

A stream is a generator of chunks; `None` among them means that nothing came for 50 ms.
"""

from __future__ import annotations

import os
import select
import stat
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from sniffer.capture import CHUNK_BYTES, POLL_INTERVAL

Chunks: TypeAlias = Iterator[bytes | None]

GZIP_MAGIC: Final = b"\x1f\x8b"
_GZIP: Final = 16 + zlib.MAX_WBITS  # zlib's way to ask for a gzip header and trailer


class BrokenStream(Exception):
    """The bytes end too early or cannot be decompressed; the text says why."""


def read_file(descriptor: int, *, follow: bool, stop: Callable[[], bool]) -> Chunks:
    """The chunks of an open file, up to its end; `follow`: also what is appended later, until `stop()`.

    Pipes and terminals are waited for without blocking. Raises `BrokenStream` if a followed file shrinks.
    """
    waits = not stat.S_ISREG(os.fstat(descriptor).st_mode)
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    position = 0
    while True:
        if waits and not poll.poll(POLL_INTERVAL * 1000):
            if stop():
                return
            yield None
            continue
        stopping = follow and stop()  # asked before the read: what was there when the end was called for is still read
        chunk = os.read(descriptor, CHUNK_BYTES)
        if chunk:
            position += len(chunk)
            yield chunk
        elif waits or not follow or stopping:
            return
        elif os.fstat(descriptor).st_size < position:
            raise BrokenStream("the file became shorter while it was followed")
        else:
            time.sleep(POLL_INTERVAL)
            yield None


def unzipped(chunks: Chunks) -> Chunks:
    """The chunks as they are, or decompressed if they begin like gzip."""
    head = b""
    for chunk in chunks:
        if chunk is None:
            yield None
            continue
        head += chunk
        if len(head) >= len(GZIP_MAGIC):
            break
    rest = _chain(head, chunks)
    yield from _gunzip(rest) if head.startswith(GZIP_MAGIC) else rest


def _chain(head: bytes, chunks: Chunks) -> Chunks:
    if head:
        yield head
    yield from chunks


def _gunzip(chunks: Chunks) -> Chunks:
    """All members of a gzip stream; zero padding after a member is skipped, as gzip(1) does."""
    member: zlib._Decompress | None = None
    between = b""  # bytes to strip in front of a further member
    for chunk in chunks:
        if chunk is None:
            yield None
            continue
        while chunk:
            if member is None:
                chunk = chunk.lstrip(between)
                if not chunk:
                    break
                member, between = zlib.decompressobj(_GZIP), b"\0"
            yield from _inflate(member, chunk)
            chunk = member.unused_data
            if member.eof:
                member = None
    if member is not None:
        raise BrokenStream("the gzip stream is cut off")


def _inflate(member: zlib._Decompress, data: bytes) -> Iterator[bytes]:
    """What `data` inflates to, in pieces of bounded size however well it was compressed."""
    while not member.eof:
        before = member.copy()
        try:
            piece = member.decompress(data, CHUNK_BYTES)
        except zlib.error as error:
            yield _salvage(before, data)
            raise BrokenStream(f"the gzip stream is damaged ({error})") from None
        if piece:
            yield piece
        data = member.unconsumed_tail
        if not data and len(piece) < CHUNK_BYTES:  # else zlib may hold more output back
            return


def _salvage(member: zlib._Decompress, data: bytes) -> bytes:
    """What `data` inflates to up to the byte that zlib cannot accept: a failing call gives back nothing of its own."""
    out = bytearray()
    try:
        for index in range(len(data)):
            out += member.decompress(data[index : index + 1])
    except zlib.error:
        pass
    return bytes(out)

"""Sorted lists of byte pieces that never overlap: finding, comparing, and cutting what is new.

A piece is `Data`, or a `Gap` where copies of the same bytes disagreed. All look-ups are by bisection and all comparisons are a
few operations on whole byte strings, since hostile traffic chooses how many pieces there are and how they overlap.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

from sniffer.wire.stream import Gap, Item

CONFLICT: Final = "overlapping segments disagree"


def start_of(piece: Item) -> int:
    """Offset of the first byte."""
    return piece[0] if isinstance(piece, tuple) else piece.offset


def end_of(piece: Item) -> int:
    """Offset behind the last byte."""
    if isinstance(piece, tuple):
        return piece[0] + len(piece[2])
    return piece.offset + (piece.length or 0 if isinstance(piece, Gap) else 0)


def index_at(pieces: list[Item], offset: int) -> int:
    """Index of the first piece that ends behind `offset`."""
    return bisect_right(pieces, offset, key=end_of)


def differing(first: bytes, second: bytes) -> tuple[int, int] | None:
    """From the first to behind the last byte in which two strings of one length differ; None: they are equal."""
    if first == second:
        return None
    difference = int.from_bytes(first) ^ int.from_bytes(second)
    low = len(first) - (difference.bit_length() + 7) // 8
    high = len(first) - ((difference & -difference).bit_length() - 1) // 8
    return low, high


def mark_conflicts(pieces: list[Item], first: int, time: int, offset: int, payload: bytes) -> int:
    """Turn bytes that differ from `payload` at `offset` into gaps, from index `first` on; how many bytes that cost."""
    end, index, lost = offset + len(payload), first, 0
    while index < len(pieces) and start_of(pieces[index]) < end:
        piece = pieces[index]
        index += 1
        if not isinstance(piece, tuple):
            continue
        start, seen, data = piece
        low, high = max(start, offset), min(start + len(data), end)
        span = differing(data[low - start : high - start], payload[low - offset : high - offset]) if low < high else None
        if span is None:
            continue
        a, b = low + span[0] - start, low + span[1] - start
        parts: list[Item] = [(start, seen, data[:a])] if a else []
        parts.append(Gap(start + a, time, b - a, CONFLICT))
        if b < len(data):
            parts.append((start + b, seen, data[b:]))
        pieces[index - 1 : index] = parts
        index += len(parts) - 1
        lost += b - a
    return lost


def insert_new(pieces: list[Item], time: int, offset: int, payload: bytes) -> int:
    """Put in those parts of `payload` that no piece covers; how many bytes these are."""
    end, at, added = offset + len(payload), offset, 0
    first = index = index_at(pieces, offset)
    found: list[Item] = []
    while index < len(pieces) and start_of(pieces[index]) < end:
        piece = pieces[index]
        if at < start_of(piece):
            found.append((at, time, payload[at - offset : start_of(piece) - offset]))
            added += start_of(piece) - at
        found.append(piece)
        at = end_of(piece)
        index += 1
    if at < end:
        found.append((at, time, payload[at - offset :]))
        added += end - at
    if added:
        pieces[first:index] = found
    return added

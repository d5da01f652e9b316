"""What is fuzzed: a function that takes any bytes and holds what must be true of them, and inputs to begin with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

MARK = b"\xf5\xfa"
"""Separates the parts of an input. 0xf5 is in no UTF-8 text, and a mark survives bytes put in and taken out elsewhere."""


@dataclass(frozen=True)
class Target:
    """`run` raises for an input that shows a fault; `seeds` are whole inputs that its parser likes."""

    name: str
    run: Callable[[bytes], None]
    seeds: Callable[[], Iterable[bytes]]


def parts(data: bytes, most: int) -> list[bytes]:
    """The parts of an input, at most so many."""
    return data.split(MARK)[:most]


def cut(data: bytes, size: int) -> list[bytes]:
    """Pieces of `size` bytes."""
    return [data[at : at + size] for at in range(0, len(data), size)]

"""Which capture is this? Digests that tell one from another, and say whether it goes on as the one that was loaded.

Its first packets, bytes and all, name a capture. Behind them times and lengths have to do: 0.1 us a packet, where one of their
bytes would take 0.6. One capture may be longer than the other, so a digest is kept at milestones, too, which lie an eighth of
what came before apart, or less: 200 for a thousand million packets.
"""

from __future__ import annotations

import hashlib
from array import array
from typing import Final

from sniffer.model import Packet

FINGERPRINT_PACKETS: Final = 32
"""So many first packets tell one capture from another; captures from one interface may share the very first."""
_DIGEST_BYTES: Final = 8


def fingerprint(packets: list[Packet]) -> tuple[str, ...]:
    """A digest of the first 1, 2, ... packets: time, link type, length and bytes. Of no packets: of nothing."""
    running = hashlib.blake2b(digest_size=16)
    found = []
    for at, link_type, data, length, _ in packets[:FINGERPRINT_PACKETS]:
        running.update(f"{at} {link_type} {length} ".encode())
        running.update(data)
        found.append(running.copy().hexdigest())
    return tuple(found) or (running.hexdigest(),)


class Track:
    """Times and lengths of all packets so far; in how many steps they come is all the same."""

    def __init__(self) -> None:
        self._times = hashlib.blake2b(digest_size=_DIGEST_BYTES)
        self._lengths = hashlib.blake2b(digest_size=_DIGEST_BYTES)
        self._packets = 0
        self._milestone = _milestone_after(FINGERPRINT_PACKETS)
        self._passed: list[str] = []

    def note(self, times: list[int], lengths: list[int]) -> None:
        """The next packets."""
        begin = 0
        while self._packets + len(times) - begin >= self._milestone:
            stop = begin + self._milestone - self._packets
            self._add(times[begin:stop], lengths[begin:stop])
            self._passed.append(self._digest())
            self._milestone = _milestone_after(self._packets)
            begin = stop
        self._add(times[begin:], lengths[begin:])

    @property
    def digests(self) -> tuple[str, ...]:
        """At each milestone that was passed, and of all packets so far."""
        return *self._passed, self._digest()

    def departs_from(self, digests: tuple[str, ...], packets: int) -> bool:
        """Whether the packets so far are not those of the capture with `digests` of its first `packets`, which are no fewer."""
        own = self.digests if self._packets == packets else tuple(self._passed)
        return own != digests[: len(own)]

    def _add(self, times: list[int], lengths: list[int]) -> None:
        self._times.update(array("q", times))
        self._lengths.update(array("q", lengths))
        self._packets += len(times)

    def _digest(self) -> str:
        return self._times.hexdigest() + self._lengths.hexdigest()


def _milestone_after(packets: int) -> int:
    """36, 40, ... 60, 64, 72, ... 120, 128, 144, ..."""
    step = 1 << max(0, packets.bit_length() - 4)
    return (packets // step + 1) * step

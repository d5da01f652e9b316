"""Live capture of one interface, by what the system offers."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Protocol

from sniffer.model import Packet


class LiveCapture(Protocol):
    """A running capture: `afpacket.Ring` on Linux, `scapy_live.ScapyLive` elsewhere."""

    interface: str
    link_type: int
    """LINKTYPE_ value of its packets."""
    taken: int
    """Up to where `read` has given packets, in the capture's own count; 0: nowhere yet."""

    def fileno(self) -> int:
        """What `select` can wait for."""

    def read(self, timeout: float) -> list[Packet]:
        """The packets that are there, after at most `timeout` seconds; raises `CaptureError` when the capture cannot go on."""

    def release(self) -> None:
        """The packets of the latest `read` are safe: their room may be filled again. `read` itself says so, too."""

    def resume(self, taken: int) -> bool:
        """In the place of a process that died: go on behind `taken`. False: what it had read and not released is gone."""

    def fill(self) -> float | None:
        """How much of the room for packets is taken, 0 to 1; None where nobody says."""

    def drops(self) -> int | None:
        """Packets that the kernel has dropped since the start; None where it does not say."""

    def new_drops(self) -> int | None:
        """The same, since any process that shares the capture has last looked."""

    def trouble(self) -> str | None:
        """What keeps packets from coming, and passes by itself; None: nothing. Raises `CaptureError` as `read` does."""

    def close(self) -> None:
        """Stop capturing."""


def open_live(
    interface: str,
    hosts: Sequence[str] = (),
    ports: Sequence[int] = (),
    ring_bytes: int | None = None,
    retire: float | None = None,
) -> LiveCapture:
    """Begin to capture TCP of these hosts and ports (either side), or everything if none are given.

    `ring_bytes`: room for packets that wait; `retire`: seconds for which they are gathered; both where the system lets us
    choose. Raises `CaptureError` if the interface cannot be captured, `UsageError` for a host or port that is none.
    """
    if sys.platform == "linux":
        from sniffer.capture.afpacket import RETIRE, RING_BYTES, Ring, interface_link_type
        from sniffer.capture.bpf import compile_filter

        program = compile_filter(interface_link_type(interface), hosts, ports)
        return Ring(interface, program, ring_bytes or RING_BYTES, retire or RETIRE)
    from sniffer.capture.scapy_live import ScapyLive

    return ScapyLive(interface, hosts, ports)

"""Live capture where there is no AF_PACKET (macOS, the BSDs, Windows with Npcap), through scapy's listening socket.

It has no drop counts, no checksum marks and, mostly, microseconds. scapy is imported when a capture is opened, not before.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import Any, Final

from sniffer.config import SECOND
from sniffer.errors import CaptureError
from sniffer.model import CHECKSUM_UNKNOWN, Packet

_SNAP_LENGTH: Final = 512 << 10
"""Longer than any packet that segmentation offload makes."""
_SOCKET_BUFFER: Final = 16 << 20
"""What may wait for us in the system, where it grants that much; scapy's 64 KiB hold one packet of segmentation offload."""
_PACKETS_A_READ: Final = 4096
_LINK_TYPES: Final = {  # what scapy takes the first layer for -> LINKTYPE_
    "Ether": 1,
    "Loopback": 0,
    "LoopbackOpenBSD": 108,
    "CookedLinux": 113,
    "CookedLinuxV2": 276,
    "IP": 101,
    "IPv6": 101,
    "IPv46": 101,
}


class ScapyLive:
    """A capture of one interface with the same methods as `afpacket.Ring`. Raises `CaptureError` as that does."""

    def __init__(self, interface: str, hosts: Sequence[str] = (), ports: Sequence[int] = ()) -> None:
        try:
            from scapy.all import conf, get_if_list
            from scapy.error import Scapy_Exception
        except ImportError:
            raise CaptureError(
                "live capture on this system needs scapy; `pip install 'order-sniffer[scapy]'` installs it"
            ) from None
        if interface not in get_if_list():
            raise CaptureError(f"{interface}: there is no such interface; there are {', '.join(get_if_list())}")
        self.interface = interface
        self.taken = 0
        """Always 0: what was read cannot be read again."""
        conf.bufsize = _SOCKET_BUFFER
        try:
            self._socket: Any = conf.L2listen(iface=interface, filter=filter_text(hosts, ports))
        except PermissionError:
            raise CaptureError(f"{interface}: capturing needs the privilege to; use sudo") from None
        except (OSError, ValueError, Scapy_Exception) as error:
            raise CaptureError(f"{interface}: cannot capture: {error}; sudo may be missing") from None
        layer = getattr(self._socket, "LL", None) or getattr(self._socket, "guessed_cls", None)
        name = layer.__name__ if layer else "unknown"
        if name not in _LINK_TYPES:
            self._socket.close()
            raise CaptureError(f"{interface}: interfaces of type {name} are not supported; `tcpdump -w` may capture it")
        self.link_type = _LINK_TYPES[name]
        """LINKTYPE_ value of the packets."""
        with contextlib.suppress(AttributeError, OSError):  # on Linux, where lo would show each packet twice
            from sniffer.capture.afpacket import ignore_outgoing

            ignore_outgoing(self._socket.ins, interface)

    def fileno(self) -> int:
        """The socket, for `select`."""
        return int(self._socket.fileno())

    def read(self, timeout: float) -> list[Packet]:
        """The packets that are there, up to some thousand, after at most `timeout` seconds; [] if there are none."""
        packets: list[Packet] = []
        select = type(self._socket).select  # knows packets that scapy has taken from the system already
        while len(packets) < _PACKETS_A_READ and select([self._socket], 0 if packets else timeout):
            try:
                _, data, at = self._socket.recv_raw(_SNAP_LENGTH)
            except OSError as error:
                raise CaptureError(f"{self.interface}: the capture has ended: {error.strerror}") from None
            if data:
                when = time.time_ns() if at is None else round(at * SECOND)
                packets.append((when, self.link_type, data, len(data), CHECKSUM_UNKNOWN))
        return packets

    def release(self) -> None:
        """Nothing: the system forgets a packet when it is read."""

    def resume(self, taken: int) -> bool:
        """False: what a process held that died is gone."""
        return False

    def fill(self) -> float | None:
        """None: scapy does not say."""
        return None

    def drops(self) -> int | None:
        """None: scapy does not say."""
        return None

    def new_drops(self) -> int | None:
        """None: scapy does not say."""
        return None

    def trouble(self) -> str | None:
        """None: scapy does not say."""
        return None

    def close(self) -> None:
        """Stop capturing."""
        self._socket.close()


def filter_text(hosts: Sequence[str], ports: Sequence[int]) -> str | None:
    """What `bpf.compile_filter` passes, in libpcap's language, but for VLAN tags; None if nothing is asked for."""
    terms = []
    if hosts:
        terms.append(" or ".join(f"host {host}" for host in hosts))
    extensions = "ip6 and (" + " or ".join(f"ip6[6] = {number}" for number in (0, 43, 44, 51, 60)) + ")"
    if ports:
        wanted = " or ".join(f"tcp port {port}" for port in ports)
        terms.append(f"{wanted} or (ip proto 6 and ip[6:2] & 0x1fff != 0) or ({extensions})")
    elif hosts:
        terms.append(f"tcp or ({extensions})")
    return " and ".join(f"({term})" for term in terms) or None

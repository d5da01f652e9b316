"""Live capture on Linux: an AF_PACKET socket whose ring (TPACKET_V3) the kernel fills and we read in place.

See packet(7) and Documentation/networking/packet_mmap.rst. The kernel gathers packets in blocks and hands a block over when it
is full or some 100 ms old; we copy its packets out and, when they are safe, give it back. Constants that the socket module
lacks are from linux/if_packet.h, unless another header is named.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import select
import socket
import struct
import sys
from collections.abc import Sequence
from typing import Final

from sniffer.capture.bpf import Instruction
from sniffer.config import SECOND
from sniffer.errors import CaptureError
from sniffer.model import CHECKSUM_NOT_READY, CHECKSUM_UNKNOWN, CHECKSUM_VALID, Packet

_SOL_PACKET = 263  # linux/socket.h
_SO_ATTACH_FILTER = 26  # asm-generic/socket.h
_ETH_P_ALL = 3  # linux/if_ether.h
_ETH_P_8021Q = 0x8100
_PACKET_ADD_MEMBERSHIP = 1
_PACKET_RX_RING = 5
_PACKET_STATISTICS = 6
_PACKET_VERSION = 10
_PACKET_IGNORE_OUTGOING = 23
_PACKET_MR_PROMISC = 1
_TPACKET_V3 = 2
_TP_STATUS_KERNEL = 0
_TP_STATUS_USER = 1 << 0
_TP_STATUS_CSUMNOTREADY = 1 << 3
_TP_STATUS_VLAN_VALID = 1 << 4
_TP_STATUS_VLAN_TPID_VALID = 1 << 6
_TP_STATUS_CSUM_VALID = 1 << 7

_SIOCGIFFLAGS = 0x8913  # linux/sockios.h
_SIOCGIFHWADDR = 0x8927
_IFF_UP = 1  # linux/if.h
_ARPHRD_LOOPBACK = 772  # linux/if_arp.h
_LINK_TYPES: Final = {
    1: 1,  # ARPHRD_ETHER: LINKTYPE_ETHERNET
    _ARPHRD_LOOPBACK: 1,  # with Ethernet headers, all zero addresses
    519: 101,  # ARPHRD_RAWIP: LINKTYPE_RAW
    0xFFFE: 101,  # ARPHRD_NONE, as of TUN devices and WireGuard
}

BLOCK_BYTES: Final = 1 << 20
"""One block: the largest packet, 512 KiB from segmentation offload, must fit, or the kernel cuts it."""
RING_BYTES: Final = 64 << 20
"""What may wait while the journal's disk is slow, or the capture process is replaced: a second of 20,000 messages a second and
their acknowledgements; of less traffic 6 seconds, since a block that is handed over before it is full takes its room, too."""
RETIRE: Final = 0.1
"""Seconds after which a block that is not full is handed over."""
_BLOCKS_A_READ: Final = 8  # so that the journal gets its share while the ring fills
_FRAME_BYTES: Final = 2048  # TPACKET_V3 packs packets of any size; the request must name one all the same

_RING_REQUEST = struct.Struct("=7I")  # tpacket_req3
_BLOCK_HEAD = struct.Struct("=3I4xQ")  # tpacket_hdr_v1: status, packets, offset of the first, sequence number
_BLOCK_HEAD_AT = 8  # in tpacket_block_desc, behind version and private offset
_BLOCK_STATUS = struct.Struct("=I")
_PACKET_HEAD = struct.Struct("=6I2H2IH")  # tpacket3_hdr, with tpacket_hdr_variant1
_VLAN_TAG = struct.Struct("!HH")
_STATISTICS = struct.Struct("=3I")  # tpacket_stats_v3


class Ring:
    """A capture of one interface, running from its construction to `close`.

    The kernel numbers its blocks 1, 2, ... (`seq_num`) and fills them in turn, so a block's number says where in the ring it
    stands. A process that dies with its blocks unreleased leaves them there: one that shares socket and ring by `fork` reads
    them again.

    `program` is a filter for the kernel (`sniffer.capture.bpf`), or None. `retire`: seconds after which a block is handed over
    that is not full. `promiscuous`: also frames for other hosts, as mirrored ones are. Raises `CaptureError` if the interface
    does not exist, is down or of an unknown type, or if we may not capture.
    """

    def __init__(
        self,
        interface: str,
        program: Sequence[Instruction] | None = None,
        ring_bytes: int = RING_BYTES,
        retire: float = RETIRE,
        *,
        promiscuous: bool = True,
    ) -> None:
        self.interface = interface
        self.link_type = interface_link_type(interface)
        """LINKTYPE_ value of the packets: 1 Ethernet, 101 RAW."""
        self._blocks = max(2, ring_bytes // BLOCK_BYTES)
        self.taken = 0
        """Number of the latest block that `read` has given; 0: none yet."""
        self._released = 0  # blocks up to this number are the kernel's again
        self._drops = 0
        try:
            # Without a protocol nothing arrives; the bind, last, opens the tap when filter and ring stand.
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        except PermissionError:
            raise _no_privilege(interface) from None
        try:
            self._ring = self._set_up(program, promiscuous, retire)
        except OSError as error:
            self._socket.close()
            raise CaptureError(f"{interface}: cannot capture: {error.strerror}") from None
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN | select.POLLERR)

    def _set_up(self, program: Sequence[Instruction] | None, promiscuous: bool, retire: float) -> mmap.mmap:
        sock = self._socket
        sock.setsockopt(_SOL_PACKET, _PACKET_VERSION, _TPACKET_V3)
        if program is not None:
            code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *instruction) for instruction in program))
            try:
                sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(program), ctypes.addressof(code)))
            except OSError as error:
                if error.errno != errno.ENOMEM:
                    raise
                raise OSError(
                    errno.ENOMEM, "the filter is longer than sysctl net.core.optmem_max allows; name fewer hosts"
                ) from None
        frames = self._blocks * BLOCK_BYTES // _FRAME_BYTES
        request = (BLOCK_BYTES, self._blocks, _FRAME_BYTES, frames, max(1, round(retire * 1000)), 0, 0)
        try:
            sock.setsockopt(_SOL_PACKET, _PACKET_RX_RING, _RING_REQUEST.pack(*request))
        except (OSError, struct.error):  # the latter: not even a number of the kernel's
            size = self._blocks * BLOCK_BYTES
            raise OSError(errno.ENOMEM, f"there is no memory for a ring of {size:,} bytes; give less as `ring_bytes`") from None
        if not ignore_outgoing(sock, self.interface) and promiscuous:
            index = socket.if_nametoindex(self.interface)
            sock.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, struct.pack("=iHH8x", index, _PACKET_MR_PROMISC, 0))
        ring = mmap.mmap(sock.fileno(), self._blocks * BLOCK_BYTES)
        sock.bind((self.interface, _ETH_P_ALL))
        if trouble := self.trouble():
            raise CaptureError(trouble)
        return ring

    def fileno(self) -> int:
        """The socket, for `select`: readable when a block is ready."""
        return self._socket.fileno()

    def read(self, timeout: float) -> list[Packet]:
        """The packets of the ready blocks (up to 8 MiB of them), after at most `timeout` seconds; [] if there are none.

        The blocks stay ours until `release` or the next `read`. Raises `CaptureError` when the interface is gone and everything
        before was read; one that is down gives nothing, and when it comes up again, the same ring goes on.
        """
        self.release()
        packets: list[Packet] = []
        self._drain(packets)
        if not packets:
            events = self._poll.poll(timeout * 1000)
            self._drain(packets)
            if not packets and any(event & select.POLLERR for _, event in events):
                error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # or `select` would not wait any more
                if error not in (0, errno.ENETDOWN):
                    raise CaptureError(f"{self.interface}: cannot capture: {os.strerror(error)}")
                self.trouble()
        return packets

    def _drain(self, packets: list[Packet]) -> None:
        ring, unpack, link_type = self._ring, _PACKET_HEAD.unpack_from, self.link_type
        for _ in range(_BLOCKS_A_READ):
            block = self.taken % self._blocks * BLOCK_BYTES
            state, count, first, number = _BLOCK_HEAD.unpack_from(ring, block + _BLOCK_HEAD_AT)
            if not state & _TP_STATUS_USER or number <= self.taken:  # the latter: all of the ring is ours and unreleased
                return
            offset = block + first
            for _ in range(count):
                step, seconds, nanoseconds, captured, length, status, mac, _net, _hash, tag, protocol = unpack(ring, offset)
                start = offset + mac
                data = ring[start : start + captured]
                offset += step
                if status & _TP_STATUS_VLAN_VALID and link_type == 1:  # the kernel took the tag out of the frame
                    protocol = protocol if status & _TP_STATUS_VLAN_TPID_VALID else _ETH_P_8021Q
                    data = data[:12] + _VLAN_TAG.pack(protocol, tag & 0xFFFF) + data[12:]
                    length += 4
                mark = CHECKSUM_UNKNOWN
                if status & _TP_STATUS_CSUM_VALID:
                    mark = CHECKSUM_VALID
                elif status & _TP_STATUS_CSUMNOTREADY:
                    mark = CHECKSUM_NOT_READY
                packets.append((seconds * SECOND + nanoseconds, link_type, data, length, mark))
            self.taken = number

    def release(self) -> None:
        """Give the blocks that were read back to the kernel."""
        while self._released < self.taken:
            _BLOCK_STATUS.pack_into(self._ring, self._released % self._blocks * BLOCK_BYTES + _BLOCK_HEAD_AT, _TP_STATUS_KERNEL)
            self._released += 1

    def resume(self, taken: int) -> bool:
        """Go on behind block `taken`, in place of a process that died; True: what it had read and not released comes again.

        It may have died before it had released all blocks up to there.
        """
        for block in range(0, self._blocks * BLOCK_BYTES, BLOCK_BYTES):
            state, _, _, number = _BLOCK_HEAD.unpack_from(self._ring, block + _BLOCK_HEAD_AT)
            if state & _TP_STATUS_USER and number <= taken:
                _BLOCK_STATUS.pack_into(self._ring, block + _BLOCK_HEAD_AT, _TP_STATUS_KERNEL)
        self.taken = self._released = taken
        return True

    def fill(self) -> float:
        """Share of the ring's blocks that wait to be released, 0 to 1."""
        heads = range(_BLOCK_HEAD_AT, self._blocks * BLOCK_BYTES, BLOCK_BYTES)
        taken = sum(int(_BLOCK_STATUS.unpack_from(self._ring, head)[0]) & _TP_STATUS_USER for head in heads)
        return taken / self._blocks

    def drops(self) -> int:
        """Packets that found the ring full, since the capture began."""
        self._drops += self.new_drops()
        return self._drops

    def new_drops(self) -> int:
        """The same, since the last look of any process: the kernel counts from zero after each."""
        return int(_STATISTICS.unpack(self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, _STATISTICS.size))[1])

    def trouble(self) -> str | None:
        """What keeps packets from coming, and passes: the interface is down. Raises `CaptureError` when it is gone.

        Another one of its name is another interface: what went over that before anybody looked is not known.
        """
        name = self._socket.getsockname()[0]
        try:
            if not name:
                raise OSError(errno.ENODEV, "no such device")
            flags = struct.unpack_from("=H", _ask_interface(self._socket, _SIOCGIFFLAGS, name.encode()), 16)[0]
        except OSError:
            raise CaptureError(f"{self.interface}: the interface is gone; start again when it is back") from None
        if flags & _IFF_UP:
            return None
        return f"{self.interface}: the interface is down; `ip link set {self.interface} up` starts it"

    def close(self) -> None:
        """Stop capturing and free the ring."""
        self._ring.close()
        self._socket.close()


def ignore_outgoing(sock: socket.socket, interface: str) -> bool:
    """On loopback, take each packet once: not when it is sent, only when it is received. True if `interface` is loopback."""
    loopback = interface_hardware(interface) == _ARPHRD_LOOPBACK
    if loopback:
        sock.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
    return loopback


def interface_hardware(interface: str) -> int:
    """The ARPHRD_ value of an interface (linux/if_arp.h). Raises `CaptureError` if there is no such interface."""
    name = interface.encode()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            if not 0 < len(name) < 16:  # IFNAMSIZ of linux/if.h
                raise OSError(errno.ENODEV, "no such device")
            answer = _ask_interface(sock, _SIOCGIFHWADDR, name)
        except OSError:
            there = ", ".join(_interfaces())
            raise CaptureError(f"{interface}: there is no such interface; there are {there}") from None
    return int(struct.unpack_from("=H", answer, 16)[0])


def interface_link_type(interface: str) -> int:
    """The LINKTYPE_ value of what a capture of `interface` gives. Raises `CaptureError` if it is missing or not supported."""
    hardware = interface_hardware(interface)
    if hardware not in _LINK_TYPES:
        raise CaptureError(
            f"{interface}: interfaces of hardware type {hardware} are not supported; `tcpdump -w` may capture it"
        )
    return _LINK_TYPES[hardware]


def _ask_interface(sock: socket.socket, request: int, name: bytes) -> bytes:
    """A `struct ifreq` (netdevice(7)) with the answer. Raises `OSError`."""
    return fcntl.ioctl(sock, request, struct.pack("16s24x", name))


def _interfaces() -> list[str]:
    return [name for _, name in socket.if_nameindex()]


def _no_privilege(interface: str) -> CaptureError:
    python = os.path.realpath(sys.executable)
    return CaptureError(
        f"{interface}: capturing needs the privilege CAP_NET_RAW: use sudo, or `sudo setcap cap_net_raw+ep {python}`, "
        "or AmbientCapabilities=CAP_NET_RAW in a systemd unit"
    )

"""A classic BPF program that passes TCP of given hosts and ports, built without libpcap.

The instructions are those of the kernel's socket filter (linux/filter.h, linux/bpf_common.h); a program returns how many bytes
of a packet to keep. What it passes:

- IPv4 and IPv6, plain or behind up to two VLAN tags. (Linux takes the outer tag out before the filter runs, so most frames
  come without.) The hosts and ports are those of the outer IP header: tunnels are not looked into.
- A packet if one of its addresses is among the hosts (or no hosts are given) and one of its TCP ports among the ports (or no
  ports are given).
- IPv4 fragments but the first, and IPv6 packets with an extension header, by their hosts alone: their ports are elsewhere.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Final, TypeAlias

from sniffer.errors import UsageError

Instruction: TypeAlias = tuple[int, int, int, int]
"""(code, jump if true, jump if false, k): struct sock_filter."""

PROGRAM_LIMIT: Final = 4096
"""Instructions: BPF_MAXINSNS of linux/bpf_common.h."""
WHOLE_PACKET: Final = 0xFFFFFFFF

_LD_WORD, _LD_HALF, _LD_BYTE = 0x40, 0x48, 0x50  # BPF_LD | BPF_IND | size: A = packet[X + k]
_LD_HALF_AT, _LD_BYTE_AT = 0x28, 0x30  # BPF_LD | BPF_ABS: A = packet[k]
_LDX = 0x01  # BPF_LDX | BPF_IMM: X = k
_AND, _SHIFT_LEFT, _ADD_X = 0x54, 0x64, 0x0C  # BPF_ALU: A &= k, A <<= k, A += X
_TAX = 0x07  # X = A
_JUMP, _JUMP_EQUAL, _JUMP_SET = 0x05, 0x15, 0x45  # BPF_JMP: always, if A == k, if A & k
_RETURN = 0x06

_ETHERNET, _RAW = 1, 101  # LINKTYPE_ values
_IPV4, _IPV6 = 0x0800, 0x86DD
_VLAN_TAGS = (0x8100, 0x88A8, 0x9100)  # 802.1Q, 802.1ad, and what came before 802.1ad
_TCP = 6
_EXTENSIONS = (0, 43, 44, 51, 60)  # hop-by-hop, routing, fragment, authentication, destination options


class _Assembler:
    """Instructions with named targets; all jumps lead forward.

    A conditional jump reaches 255 instructions only, so each is followed by an unconditional one, which reaches all.
    """

    def __init__(self) -> None:
        self._code: list[tuple[int, int, int, int | str]] = []
        self._labels: dict[str, int] = {}

    def emit(self, code: int, k: int | str = 0) -> None:
        """Append an instruction that is no conditional jump."""
        self._code.append((code, 0, 0, k))

    def jump_if(self, code: int, k: int, label: str) -> None:
        """Go to `label` if A compares; else fall through."""
        self._code += [(code, 0, 1, k), (_JUMP, 0, 0, label)]

    def jump_unless(self, code: int, k: int, label: str) -> None:
        """Go to `label` unless A compares; else fall through."""
        self._code += [(code, 1, 0, k), (_JUMP, 0, 0, label)]

    def label(self, name: str) -> None:
        """The next instruction is called so."""
        self._labels[name] = len(self._code)

    def program(self) -> list[Instruction]:
        """The instructions, with their targets resolved."""
        return [
            (code, true, false, k if isinstance(k, int) else self._labels[k] - index - 1)
            for index, (code, true, false, k) in enumerate(self._code)
        ]


def compile_filter(link_type: int, hosts: Sequence[str], ports: Sequence[int]) -> list[Instruction] | None:
    """The program for a link type, Ethernet (1) or RAW (101); None, so no filter, if neither hosts nor ports are given.

    Raises `UsageError` for what is no address or port, for another link type, and for more of them than a program can hold.
    """
    if not hosts and not ports:
        return None
    addresses = [_address(host) for host in hosts]
    for port in ports:
        if not 0 < port < 65536:
            raise UsageError(f"--port {port}: a port is a number from 1 to 65535")
    out = _Assembler()
    if link_type == _ETHERNET:
        _ethernet(out)
    elif link_type == _RAW:
        _raw(out)
    else:
        raise UsageError(f"--host and --port cannot filter an interface of link type {link_type}; leave them out")
    for version, first_port in (4, 0), (6, 40):
        wanted = [address for address in addresses if address.version == version]
        out.label(f"ip{version}")
        if hosts:
            _match_hosts(out, version, wanted)
        out.label(f"next{version}")
        (_next_ipv4 if version == 4 else _next_ipv6)(out, bool(ports))
        if ports:
            _match_ports(out, first_port, ports)
    out.label("accept")
    out.emit(_RETURN, WHOLE_PACKET)
    program = out.program()
    if len(program) > PROGRAM_LIMIT:
        count = f"{len(hosts)} hosts and {len(ports)} ports make {len(program)} filter instructions"
        raise UsageError(f"--host, --port: {count}, and the kernel takes {PROGRAM_LIMIT}; name fewer")
    return program


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        raise UsageError(f"--host {host}: this is no IPv4 or IPv6 address; names are not looked up") from None


def _ethernet(out: _Assembler) -> None:
    """Go to `ip4` or `ip6` with X at the IP header."""
    for tags in range(3):
        ip = 14 + 4 * tags
        out.label(f"tags{tags}")
        out.emit(_LDX, ip)
        out.emit(_LD_HALF_AT, ip - 2)
        out.jump_if(_JUMP_EQUAL, _IPV4, "ip4")
        out.jump_if(_JUMP_EQUAL, _IPV6, "ip6")
        if tags < 2:
            for tag in _VLAN_TAGS:
                out.jump_if(_JUMP_EQUAL, tag, f"tags{tags + 1}")
        out.emit(_RETURN, 0)


def _raw(out: _Assembler) -> None:
    """The same, where a packet begins with its IP header: the upper half of the first byte is the version."""
    out.emit(_LDX, 0)
    out.emit(_LD_BYTE_AT, 0)
    out.emit(_AND, 0xF0)
    out.jump_if(_JUMP_EQUAL, 0x40, "ip4")
    out.jump_if(_JUMP_EQUAL, 0x60, "ip6")
    out.emit(_RETURN, 0)


def _match_hosts(out: _Assembler, version: int, hosts: Sequence[ipaddress.IPv4Address | ipaddress.IPv6Address]) -> None:
    """Go to `next4` or `next6` if source or destination is one of `hosts`; else drop."""
    first, size = (12, 4) if version == 4 else (8, 16)
    for field in (first, first + size):
        for index, host in enumerate(hosts):
            other = f"not{version}.{field}.{index}"
            for at in range(0, size, 4):
                out.emit(_LD_WORD, field + at)
                out.jump_unless(_JUMP_EQUAL, int.from_bytes(host.packed[at : at + 4]), other)
            out.emit(_JUMP, f"next{version}")
            out.label(other)
    out.emit(_RETURN, 0)


def _next_ipv4(out: _Assembler, ports: bool) -> None:
    """Fall through with X at the TCP header; drop what is not TCP."""
    out.emit(_LD_BYTE, 9)
    out.jump_if(_JUMP_EQUAL, _TCP, "tcp4")
    out.emit(_RETURN, 0)
    out.label("tcp4")
    if ports:
        out.emit(_LD_HALF, 6)
        out.jump_if(_JUMP_SET, 0x1FFF, "accept")  # a fragment, not the first
        out.emit(_LD_BYTE, 0)
        out.emit(_AND, 0x0F)
        out.emit(_SHIFT_LEFT, 2)  # header length
        out.emit(_ADD_X)
        out.emit(_TAX)
    else:
        out.emit(_RETURN, WHOLE_PACKET)


def _next_ipv6(out: _Assembler, ports: bool) -> None:
    """Fall through if TCP follows at once; accept extension headers; drop the rest."""
    out.emit(_LD_BYTE, 6)
    out.jump_if(_JUMP_EQUAL, _TCP, "tcp6")
    for extension in _EXTENSIONS:
        out.jump_if(_JUMP_EQUAL, extension, "accept")
    out.emit(_RETURN, 0)
    out.label("tcp6")
    if not ports:
        out.emit(_RETURN, WHOLE_PACKET)


def _match_ports(out: _Assembler, at: int, ports: Sequence[int]) -> None:
    """Go to `accept` if source or destination port, at X + `at`, is one of `ports`; else drop."""
    for field in (at, at + 2):
        out.emit(_LD_HALF, field)
        for port in ports:
            out.jump_if(_JUMP_EQUAL, port, "accept")
    out.emit(_RETURN, 0)

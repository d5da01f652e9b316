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
_LD, _LDX = 0x00, 0x01  # BPF_LD, BPF_LDX | BPF_IMM: A = k, X = k
_AND, _SHIFT_LEFT, _ADD_X = 0x54, 0x64, 0x0C  # BPF_ALU: A &= k, A <<= k, A += X
_TAX = 0x07  # X = A
_JUMP, _JUMP_EQUAL, _JUMP_SET = 0x05, 0x15, 0x45  # BPF_JMP: always, if A == k, if A & k
_RETURN = 0x06

_ETHERNET, _RAW = 1, 101  # LINKTYPE_ values
_IPV4, _IPV6 = 0x0800, 0x86DD
_VLAN_TAGS = (0x8100, 0x88A8, 0x9100)  # 802.1Q, 802.1ad, and what came before 802.1ad
_TCP = 6
_GROUP = 250
_EXTENSIONS = (0, 43, 44, 51, 60)  # hop-by-hop, routing, fragment, authentication, destination options


class _Assembler:
    """Instructions with named targets; all jumps lead forward.

    A conditional jump reaches 255 instructions only, so an unconditional one, which reaches all, stands close behind.
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

    def jump_if_any(self, values: Sequence[int], label: str) -> None:
        """Go to `label` if A equals one of `values`: one instruction a value, and two for each `_GROUP`."""
        for start in range(0, len(values), _GROUP):
            group = values[start : start + _GROUP]
            self._code += [(_JUMP_EQUAL, len(group) - index, 0, value) for index, value in enumerate(group)]
            self._code += [(_JUMP, 0, 0, 1), (_JUMP, 0, 0, label)]

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
    out.label("ip4")
    if hosts:
        _match_ipv4(out, [address for address in addresses if address.version == 4])
    _next_ipv4(out)
    out.label("ip6")
    if hosts:
        _match_ipv6(out, [address for address in addresses if address.version == 6])
    _next_ipv6(out)
    out.label("tcp")  # with X at the TCP header
    if ports:
        for field in (0, 2):  # source, destination
            out.emit(_LD_HALF, field)
            out.jump_if_any(ports, "accept")
        out.emit(_RETURN, 0)
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
            out.jump_if_any(_VLAN_TAGS, f"tags{tags + 1}")
        out.emit(_RETURN, 0)


def _raw(out: _Assembler) -> None:
    """The same, where a packet begins with its IP header: the upper half of the first byte is the version."""
    out.emit(_LDX, 0)
    out.emit(_LD_BYTE_AT, 0)
    out.emit(_AND, 0xF0)
    out.jump_if(_JUMP_EQUAL, 0x40, "ip4")
    out.jump_if(_JUMP_EQUAL, 0x60, "ip6")
    out.emit(_RETURN, 0)


def _match_ipv4(out: _Assembler, hosts: Sequence[ipaddress.IPv4Address | ipaddress.IPv6Address]) -> None:
    """Fall through if source or destination is one of `hosts`; else drop."""
    for field in (12, 16):
        out.emit(_LD_WORD, field)
        out.jump_if_any([int(host) for host in hosts], "next4")
    out.emit(_RETURN, 0)
    out.label("next4")


def _match_ipv6(out: _Assembler, hosts: Sequence[ipaddress.IPv4Address | ipaddress.IPv6Address]) -> None:
    """The same, for addresses of four words."""
    for field in (8, 24):
        for index, host in enumerate(hosts):
            other = f"not {field} {index}"
            for at in range(0, 16, 4):
                out.emit(_LD_WORD, field + at)
                out.jump_unless(_JUMP_EQUAL, int.from_bytes(host.packed[at : at + 4]), other)
            out.emit(_JUMP, "next6")
            out.label(other)
    out.emit(_RETURN, 0)
    out.label("next6")


def _next_ipv4(out: _Assembler) -> None:
    """Go to `tcp` with X at the TCP header, or to `accept` for a fragment without one; drop what is not TCP."""
    out.emit(_LD_BYTE, 9)
    out.jump_if(_JUMP_EQUAL, _TCP, "tcp over ip4")
    out.emit(_RETURN, 0)
    out.label("tcp over ip4")
    out.emit(_LD_HALF, 6)
    out.jump_if(_JUMP_SET, 0x1FFF, "accept")  # an offset: not the first fragment
    out.emit(_LD_BYTE, 0)
    out.emit(_AND, 0x0F)
    out.emit(_SHIFT_LEFT, 2)  # header length
    out.emit(_ADD_X)
    out.emit(_TAX)
    out.emit(_JUMP, "tcp")


def _next_ipv6(out: _Assembler) -> None:
    """Fall through with X at the TCP header, or go to `accept` for an extension header; drop the rest."""
    out.emit(_LD_BYTE, 6)
    out.jump_if_any(_EXTENSIONS, "accept")
    out.jump_if(_JUMP_EQUAL, _TCP, "tcp over ip6")
    out.emit(_RETURN, 0)
    out.label("tcp over ip6")
    out.emit(_LD, 40)
    out.emit(_ADD_X)
    out.emit(_TAX)

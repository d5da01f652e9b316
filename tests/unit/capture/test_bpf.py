from __future__ import annotations

import random
import shutil
import struct
import subprocess

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether
from scapy.packet import Raw

from sniffer.capture.bpf import PROGRAM_LIMIT, WHOLE_PACKET, compile_filter
from sniffer.errors import UsageError
from tests.unit.capture.files import pcap

ETHERNET, RAW = 1, 101
HOSTS = ["10.0.0.1", "192.168.7.9", "2001:db8::1", "::1"]
PORTS = [443, 9443, 8765]


def run(program, packet):
    """The filter machine of linux/bpf_common.h: what `program` returns for `packet`."""
    a = x = 0
    memory = [0] * 16
    at = 0
    while True:
        code, true, false, k = program[at]
        at += 1
        kind = code & 0x07
        if kind in (0x00, 0x01):  # LD, LDX
            mode, size = code & 0xE0, {0x00: 4, 0x08: 2, 0x10: 1}[code & 0x18]
            if mode == 0x00:
                value = k
            elif mode == 0x60:
                value = memory[k]
            elif mode == 0x80:
                value = len(packet)
            else:
                start = k + (x if mode == 0x40 else 0)
                if start + size > len(packet):
                    return 0
                value = int.from_bytes(packet[start : start + size])
                value = 4 * (value & 0xF) if mode == 0xA0 else value
            if kind == 0x00:
                a = value
            else:
                x = value
        elif kind in (0x02, 0x03):  # ST, STX
            memory[k] = a if kind == 0x02 else x
        elif kind == 0x04:  # ALU
            operand = x if code & 0x08 else k
            a = {
                0x00: a + operand,
                0x10: a - operand,
                0x40: a | operand,
                0x50: a & operand,
                0x60: a << (operand & 31),
                0x70: a >> (operand & 31),
            }[code & 0xF0] & 0xFFFFFFFF
        elif kind == 0x05:  # JMP
            operand = x if code & 0x08 else k
            test = code & 0xF0
            if test == 0x00:
                at += k
            else:
                holds = {0x10: a == operand, 0x20: a > operand, 0x30: a >= operand, 0x40: bool(a & operand)}[test]
                at += true if holds else false
        elif kind == 0x06:
            return a if code & 0x18 == 0x10 else k
        else:
            a, x = (a, a) if code == 0x07 else (x, x)


def passes(program, packet):
    assert all(0 <= true < 256 and 0 <= false < 256 for _, true, false, _ in program)
    return run(program, bytes(packet)) == WHOLE_PACKET


def tcpdump(tmp_path, link_type, expression):
    path = tmp_path / "empty.pcap"
    path.write_bytes(pcap([], link_type=link_type))
    done = subprocess.run(["tcpdump", "-ddd", "-r", path, expression], capture_output=True, text=True, check=True)
    return [tuple(map(int, line.split())) for line in done.stdout.splitlines()[1:]]


def expression(hosts, ports, tags):
    """What the module's docstring promises, in tcpdump's language."""
    four = " or ".join(f"ip host {host}" for host in hosts if ":" not in host) or "less 0"
    six = " or ".join(f"ip6 host {host}" for host in hosts if ":" in host) or "less 0"
    port = " or ".join(f"tcp port {port}" for port in ports)
    extensions = " or ".join(f"ip6[6] = {number}" for number in (0, 43, 44, 51, 60))
    text4 = (
        "ip and ip[9] = 6" + (f" and ({four})" if hosts else "") + (f" and (ip[6:2] & 0x1fff != 0 or {port})" if ports else "")
    )
    text6 = "ip6" + (f" and ({six})" if hosts else "")
    text6 += f" and ({extensions} or (ip6[6] = 6" + (f" and ({port})))" if ports else "))")
    plain = f"({text4}) or ({text6})"
    return f"({plain}) or (vlan and (({plain}) or (vlan and ({plain}))))" if tags else plain


def random_packet(rng, link_type):
    """Mostly near to what the filters ask for, sometimes anything."""
    if rng.random() < 0.1:
        return rng.randbytes(rng.randrange(120))
    ports = [*PORTS, 80, rng.randrange(65536)]
    if rng.random() < 0.8:
        segment = TCP(sport=rng.choice(ports), dport=rng.choice(ports))
    else:
        segment = UDP(sport=rng.choice(ports), dport=rng.choice(ports))
    segment = segment / Raw(rng.randbytes(rng.randrange(20)))
    if rng.random() < 0.5:
        hosts = ["10.0.0.1", "192.168.7.9", "10.0.0.2", "1.2.3.4"]
        fragment = rng.choice((0, 0, 0, 1, 185, 8191))
        options = rng.choice(([], [], b"\x01" * 4, b"\x01" * 40))
        packet = IP(
            src=rng.choice(hosts), dst=rng.choice(hosts), frag=fragment, flags=rng.choice(("", "MF", "DF")), options=options
        )
    else:
        hosts = ["2001:db8::1", "::1", "2001:db8::2", "::"]
        packet = IPv6(src=rng.choice(hosts), dst=rng.choice(hosts))
        if rng.random() < 0.4:
            packet /= rng.choice((IPv6ExtHdrHopByHop(), IPv6ExtHdrFragment(offset=3), IPv6ExtHdrDestOpt()))
    packet /= segment
    if link_type == ETHERNET:
        for _ in range(rng.choice((0, 0, 0, 1, 2, 3))):
            packet = rng.choice((Dot1Q, Dot1AD))(vlan=rng.randrange(4096)) / packet
        packet = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / packet
    data = bytearray(bytes(packet))
    if rng.random() < 0.1:  # not inside the headers, where what is looked at first decides
        data = data[: rng.randrange(90, 200)]
    if rng.random() < 0.1 and data:
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


@pytest.mark.skipif(not shutil.which("tcpdump"), reason="tcpdump is not installed")
@pytest.mark.parametrize("link_type", [ETHERNET, RAW])
@pytest.mark.parametrize(
    ("hosts", "ports"),
    [(HOSTS, PORTS), (HOSTS, []), ([], PORTS), (HOSTS[:1], [443]), (HOSTS[2:], [443]), (["10.0.0.1"], [])],
)
def test_agrees_with_libpcap(tmp_path, link_type, hosts, ports):
    ours = compile_filter(link_type, hosts, ports)
    theirs = tcpdump(tmp_path, link_type, expression(hosts, ports, tags=link_type == ETHERNET))
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    results = set()
    for _ in range(700):
        packet = random_packet(rng, link_type)
        expected = run(theirs, packet) > 0
        results.add(expected)
        assert passes(ours, packet) == expected, packet.hex()
    assert results == {True, False}


ETHER = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")  # named, or scapy asks the network


def ip4(src="10.9.9.9", dst="10.9.9.8", **fields):
    return IP(src=src, dst=dst, **fields)


def ip6(dst):
    return IPv6(src="2001:db8::99", dst=dst)


def tcp(**addresses):
    return ip4(**addresses) / TCP(sport=443, dport=50000)


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (ETHER / tcp(src="10.0.0.1"), True),
        (ETHER / tcp(dst="10.0.0.1"), True),
        (ETHER / tcp(dst="10.0.0.2"), False),
        (ETHER / ip4(dst="10.0.0.1") / TCP(sport=1, dport=443), True),
        (ETHER / ip4(dst="10.0.0.1") / TCP(sport=1, dport=2), False),
        (ETHER / ip4(dst="10.0.0.1") / UDP(sport=1, dport=443), False),
        (ETHER / ip4(dst="10.0.0.1", options=b"\x01" * 8) / TCP(sport=1, dport=443), True),
        (ETHER / ip4(dst="10.0.0.1", frag=5, proto=6) / Raw(b"no ports here"), True),
        (ETHER / ip4(dst="10.0.0.2", frag=5, proto=6) / Raw(b"no ports here"), False),
        (ETHER / ip6("2001:db8::1") / TCP(dport=443), True),
        (ETHER / ip6("2001:db8::2") / TCP(dport=443), False),
        (ETHER / ip6("2001:db8::1") / TCP(dport=444), False),
        (ETHER / ip6("2001:db8::1") / IPv6ExtHdrFragment(offset=9, nh=6) / Raw(b"no ports"), True),
        (ETHER / ip6("2001:db8::2") / IPv6ExtHdrFragment(offset=9, nh=6) / Raw(b"no ports"), False),
        (ETHER / Dot1Q(vlan=5) / tcp(src="10.0.0.1"), True),
        (ETHER / Dot1AD(vlan=5) / Dot1Q(vlan=6) / tcp(src="10.0.0.1"), True),
        (ETHER / Dot1Q(vlan=5) / tcp(src="10.0.0.2"), False),
        (ETHER / Dot1Q() / Dot1Q() / Dot1Q() / tcp(src="10.0.0.1"), False),
        (ETHER / ARP(psrc="10.0.0.1", pdst="10.0.0.2", hwsrc="02:00:00:00:00:01"), False),
        (b"", False),
    ],
)
def test_ethernet(packet, expected):
    assert passes(compile_filter(ETHERNET, ["10.0.0.1", "2001:db8::1"], [443]), packet) == expected


def test_nothing_asked_for_is_no_filter():
    assert compile_filter(ETHERNET, [], []) is None


def test_far_jumps():
    """More hosts and ports than a conditional jump reaches."""
    hosts = [f"10.1.{n // 250}.{n % 250}" for n in range(500)] + [f"2001:db8::{n:x}" for n in range(20)]
    ports = list(range(1000, 1300))
    program = compile_filter(ETHERNET, hosts, ports)
    assert 1000 < len(program) <= PROGRAM_LIMIT
    assert passes(program, ETHER / ip4(dst=hosts[0]) / TCP(dport=1000))
    assert passes(program, ETHER / ip4(src=hosts[499]) / TCP(sport=1299))
    assert passes(program, ETHER / IPv6(src=hosts[-1], dst="::7") / TCP(sport=1299))
    assert not passes(program, ETHER / ip4(src=hosts[499]) / TCP(sport=1300, dport=1))
    assert not passes(program, ETHER / IPv6(src="2001:db9::1", dst="::7") / TCP(sport=1299))


@pytest.mark.parametrize(
    ("hosts", "ports", "says"),
    [
        (["example.com"], [], "--host example.com"),
        ([], [0], "--port 0"),
        ([], [65536], "--port 65536"),
        ([f"10.{n // 250}.{n % 250}.1" for n in range(2100)], [], "2100 hosts and 0 ports"),
    ],
)
def test_wrong_calls(hosts, ports, says):
    with pytest.raises(UsageError, match=says):
        compile_filter(ETHERNET, hosts, ports)


def test_link_type_that_cannot_be_filtered():
    with pytest.raises(UsageError, match="113"):
        compile_filter(113, ["10.0.0.1"], [])
    assert compile_filter(113, [], []) is None


def test_instructions_fit_the_kernels_structure():
    for instruction in compile_filter(RAW, HOSTS, PORTS):
        struct.pack("=HBBI", *instruction)

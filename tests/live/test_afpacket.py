"""The ring and scapy's capture against real traffic, on loopback or in a network namespace that the test makes for itself."""

from __future__ import annotations

import ctypes
import fcntl
import itertools
import os
import select
import socket
import struct
import subprocess
import threading
import time
import traceback

import pytest

from sniffer.capture.afpacket import BLOCK_BYTES, Ring
from sniffer.capture.bpf import compile_filter
from sniffer.capture.journal import JournalReader
from sniffer.capture.journal_writer import JournalWriter
from sniffer.capture.live import open_live
from sniffer.capture.scapy_live import ScapyLive
from sniffer.errors import CaptureError
from sniffer.model import CHECKSUM_NOT_READY
from tests.unit.capture.files import read_all


def _may_capture():
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    except OSError:
        return False
    return True


pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not _may_capture(), reason="needs CAP_NET_RAW"),
    pytest.mark.usefixtures("network"),
]
NAMESPACE = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a network namespace")


def in_namespace(body):
    """Run `body` in a child process with a network namespace of its own, which goes with the child."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if ctypes.CDLL(None, use_errno=True).unshare(0x40000000):  # CLONE_NEWNET of linux/sched.h
                raise OSError(ctypes.get_errno(), "unshare")
            ip("link set lo up")
            body()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def ip(command):
    subprocess.run(["ip", *command.split()], check=True)


def link_up(*interfaces):
    for interface in interfaces:
        ip(f"link set {interface} up")
    for interface in interfaces:
        while "LOWER_UP" not in subprocess.run(["ip", "link", "show", interface], capture_output=True, text=True).stdout:
            time.sleep(0.01)


def veth():
    ip("link add v0 type veth peer name v1")
    link_up("v0", "v1")


def send_frames(interface, *frames):
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender:
        sender.bind((interface, 0))
        for frame in frames:
            sender.send(frame)


def ipv4_tcp(source, destination, ports=(1, 2), fragment=0, payload=b"payload"):
    body = struct.pack("!HHIIBBHHH", *ports, 1, 1, 0x50, 0x18, 1000, 0, 0) + payload if not fragment & 0x1FFF else payload
    addresses = socket.inet_aton(source) + socket.inet_aton(destination)
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 1, fragment, 64, 6, 0) + addresses + body


def ethernet(payload, tags=b""):
    return bytes.fromhex("020000000002 020000000001") + tags + b"\x08\x00" + payload


def collect(capture, seconds=0.3):
    """What comes until it is quiet for so long."""
    packets = []
    while found := capture.read(seconds):
        packets += found
    return packets


def transfer(sizes, family=socket.AF_INET, host="127.0.0.1", server=None):
    """Send random bytes over a connection; (them, the server's port)."""
    server = server or socket.create_server((host, 0), family=family)
    sent = [os.urandom(size) for size in sizes]
    received = bytearray()
    with server, socket.create_connection(server.getsockname()[:2]) as client:
        peer, _ = server.accept()

        def receive():
            while chunk := peer.recv(1 << 20):
                received.extend(chunk)

        reader = threading.Thread(target=receive)
        reader.start()
        for chunk in sent:
            client.sendall(chunk)
        client.shutdown(socket.SHUT_WR)
        reader.join()
        peer.close()
        port = server.getsockname()[1]
    assert bytes(received) == b"".join(sent)
    return bytes(received), port


def payload_to(port, packets, header=20):
    """The stream to `port`, from sequence numbers; fails where a byte is missing, or where many come twice.

    Two processors may swap packets even on loopback, and a busy machine retransmits one now and then.
    """
    bodies, start = [], 0
    for _, _, data, _, _ in packets:
        tcp = 14 + header
        _, destination, sequence = struct.unpack_from("!HHI", data, tcp)
        if destination != port:
            continue
        if data[tcp + 13] & 0x02:
            start = sequence + 1
            continue
        end = tcp - header + struct.unpack_from("!H", data, 16)[0] if header == 20 else len(data)
        body = data[tcp + (data[tcp + 12] >> 4) * 4 : end]
        if body:
            bodies.append((sequence, body))
    stream = b""
    for at, body in sorted(((sequence - start) % 2**32, body) for sequence, body in bodies):
        assert at <= len(stream), f"a hole of {at - len(stream)} bytes"
        stream += body[len(stream) - at :]
    assert sum(len(body) for _, body in bodies) < 1.5 * len(stream)
    return stream


def free_server(family=socket.AF_INET, host="127.0.0.1"):
    return socket.create_server((host, 0), family=family)


def test_each_byte_once_with_kernel_times_and_marks():
    server = free_server()
    ring = open_live("lo", ["127.0.0.1"], [server.getsockname()[1]])
    before = time.time_ns()
    sent, port = transfer([1, 100, 65_000, 3_000_000, 7], server=server)
    packets = collect(ring)
    after = time.time_ns()
    drops = ring.drops()
    ring.close()
    assert payload_to(port, packets) == sent
    assert drops == 0
    times = [packet[0] for packet in packets]
    assert before <= times[0]
    assert times[-1] <= after
    # The kernel takes the time before it queues for the ring, so two processors may swap by some microseconds.
    assert max(earlier - later for earlier, later in itertools.pairwise(times)) < 10**7
    assert len({at % 1000 for at in times}) > 5  # nanoseconds, not microseconds
    assert {(link_type, mark) for _, link_type, _, _, mark in packets} == {(1, CHECKSUM_NOT_READY)}
    assert all(len(data) == original for _, _, data, original, _ in packets)


def test_packets_of_segmentation_offload_are_whole():
    server = free_server()
    ring = Ring("lo", compile_filter(1, [], [server.getsockname()[1]]))
    sent, port = transfer([12_000_000], server=server)
    packets = collect(ring)
    assert ring.drops() == 0
    ring.close()
    sizes = [len(packet[2]) for packet in packets]
    assert max(sizes) > 60_000
    assert all(len(data) == original for _, _, data, original, _ in packets)
    assert payload_to(port, packets) == sent


def test_ports_are_filtered_in_the_kernel():
    wanted, other = free_server(), free_server()
    ring = open_live("lo", [], [wanted.getsockname()[1]])
    transfer([1000], server=other)
    sent, port = transfer([1000], server=wanted)
    packets = collect(ring)
    ring.close()
    assert payload_to(port, packets) == sent
    assert all(port in struct.unpack_from("!HH", packet[2], 34) for packet in packets)


def test_ipv6():
    try:
        server = free_server(socket.AF_INET6, "::1")
    except OSError:
        pytest.skip("no IPv6 on lo")
    ring = open_live("lo", ["::1"], [server.getsockname()[1]])
    sent, port = transfer([5000, 70_000], server=server)
    packets = collect(ring)
    ring.close()
    assert payload_to(port, packets, header=40) == sent


def test_drops_of_a_full_ring_are_counted_and_stay_counted():
    ring = Ring("lo", ring_bytes=2 * BLOCK_BYTES)
    transfer([30_000_000])
    drops = ring.drops()
    assert drops > 0
    assert ring.drops() >= drops
    assert collect(ring)  # and the ring still works
    sent, port = transfer([1000])
    again = [packet for packet in collect(ring) if port in struct.unpack_from("!HH", packet[2], 34)]
    ring.close()
    assert payload_to(port, again) == sent


def test_ring_to_journal_to_reader(tmp_path):
    ring = Ring("lo")
    writer = JournalWriter(tmp_path, [(ring.interface, ring.link_type)])
    transfer([100_000] * 5)
    packets = collect(ring)
    writer.write(packets)
    writer.statistics(ring.drops())
    ring.close()
    writer.close()
    reader = JournalReader(tmp_path, follow=False)
    assert read_all(reader) == (packets, None)
    assert reader.kernel_drops == 0


@NAMESPACE
def test_vlan_tags_are_put_back():
    def body():
        veth()
        ring = Ring("v1")
        packet = ipv4_tcp("10.7.0.1", "10.7.0.2")
        frames = [
            ethernet(packet),
            ethernet(packet, struct.pack("!HH", 0x8100, 0x6007)),  # priority 3, VLAN 7
            ethernet(packet, struct.pack("!HHHH", 0x88A8, 100, 0x8100, 200)),  # QinQ
        ]
        send_frames("v0", *frames)
        got = [(data, original) for _, _, data, original, _ in collect(ring) if data[:12] == frames[0][:12]]
        assert got == [(frame, len(frame)) for frame in frames], got

    in_namespace(body)


@NAMESPACE
def test_the_kernel_runs_the_filter_over_tags_and_fragments():
    def body():
        veth()
        hosts, ports = ["10.7.0.2"], [443]
        tag = struct.pack("!HH", 0x8100, 7)
        wanted = [
            ethernet(ipv4_tcp("10.7.0.1", "10.7.0.2", (9, 443))),
            ethernet(ipv4_tcp("10.7.0.2", "10.7.0.1", (443, 9))),
            ethernet(ipv4_tcp("10.7.0.1", "10.7.0.2", (9, 443)), tag),
            ethernet(ipv4_tcp("10.7.0.1", "10.7.0.2", (9, 443)), struct.pack("!HH", 0x88A8, 5) + tag),
            ethernet(ipv4_tcp("10.7.0.1", "10.7.0.2", fragment=185)),
        ]
        unwanted = [
            ethernet(ipv4_tcp("10.7.0.1", "10.7.0.2", (9, 444))),
            ethernet(ipv4_tcp("10.7.0.1", "10.7.0.3", (9, 443))),
            ethernet(ipv4_tcp("10.7.0.1", "10.7.0.3", fragment=185)),
            ethernet(ipv4_tcp("10.7.0.1", "10.7.0.3", (9, 443)), tag),
        ]
        ring = Ring("v1", compile_filter(1, hosts, ports))
        send_frames("v0", *unwanted, *wanted, *unwanted)
        got = [packet[2] for packet in collect(ring)]
        assert got == wanted, got

    in_namespace(body)


def test_a_ring_larger_than_any_memory_is_refused():
    with pytest.raises(CaptureError, match=r"cannot capture: .* ring of 35,184,372,088,832 bytes; give less as `ring_bytes`"):
        Ring("lo", ring_bytes=1 << 45)


@NAMESPACE
def test_a_filter_as_long_as_the_kernel_takes():
    def body():
        hosts = [f"10.{n // 250}.{n % 250}.1" for n in range(1500)]
        ports = list(range(400, 778))
        ring = Ring("lo", compile_filter(1, [*hosts, "127.0.0.1"], ports))
        server = socket.create_server(("127.0.0.1", 777))
        sent, port = transfer([5000], server=server)
        assert payload_to(port, collect(ring)) == sent

    in_namespace(body)


@NAMESPACE
def test_tun_devices_give_raw_ip():
    def body():
        tun = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", b"tun7", 0x1001))  # TUNSETIFF, IFF_TUN | IFF_NO_PI
        ip("addr add 10.9.0.1/24 dev tun7")
        ip("link set tun7 up")
        packet = ipv4_tcp("10.9.0.2", "10.9.0.1", (9, 443))
        ring = open_live("tun7", ["10.9.0.2"], [443])
        os.write(tun, ipv4_tcp("10.9.0.2", "10.9.0.1", (9, 80)))
        os.write(tun, packet)
        assert [found[1:3] for found in collect(ring) if found[2][9] == 6] == [(101, packet)]

    in_namespace(body)


@NAMESPACE
def test_an_interface_that_goes_down_comes_back_and_vanishes():
    def body():
        veth()
        ring = Ring("v1")
        frame = ethernet(ipv4_tcp("10.7.0.1", "10.7.0.2"))
        collect(ring)
        send_frames("v0", frame)
        time.sleep(0.1)
        ip("link set v1 down")
        assert frame in [packet[2] for packet in ring.read(1)]  # what came before is read first
        assert ring.trouble() == "v1: the interface is down; `ip link set v1 up` starts it"
        collect(ring)
        assert not select.select([ring], [], [], 0)[0], "it is waited for, not asked again and again"
        link_up("v1", "v0")
        assert ring.trouble() is None
        send_frames("v0", frame)
        assert frame in [packet[2] for packet in collect(ring)]
        ip("link set v1 down")
        collect(ring)
        ip("link del v0")
        veth()  # of the same names, and others
        for look in (ring.trouble, ring.trouble):
            with pytest.raises(CaptureError, match="v1: the interface is gone"):
                look()
        ring = Ring("v1")
        ip("link del v0")
        with pytest.raises(CaptureError, match="v1: the interface is gone"):
            collect(ring)

    in_namespace(body)


@NAMESPACE
def test_interface_that_is_down():
    def body():
        ip("link add v0 type veth peer name v1")
        with pytest.raises(CaptureError, match="v0: the interface is down"):
            Ring("v0")

    in_namespace(body)


@pytest.mark.parametrize("name", ["nonesuch", "", "far-too-long-for-an-interface", "..", "ä"])
@pytest.mark.parametrize("capture", [open_live, ScapyLive])
def test_missing_interface_lists_those_there_are(name, capture):
    with pytest.raises(CaptureError, match=r"there is no such interface; there are .*\blo\b") as caught:
        capture(name)
    assert "\n" not in str(caught.value)


@NAMESPACE
def test_missing_privilege_says_how_to_grant_it():
    def body():
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        with pytest.raises(CaptureError, match=r"CAP_NET_RAW.*sudo.*setcap.*AmbientCapabilities") as caught:
            open_live("lo", ["127.0.0.1"])
        assert "\n" not in str(caught.value)

    in_namespace(body)


def test_scapy_gives_each_byte_once():
    server = free_server()
    capture = ScapyLive("lo", ["127.0.0.1"], [server.getsockname()[1]])
    sent, port = transfer([1, 100, 30_000], server=server)
    packets = collect(capture)
    assert capture.drops() is None
    assert capture.fileno() >= 0
    capture.close()
    assert payload_to(port, packets) == sent
    assert {packet[1] for packet in packets} == {1}
    assert abs(packets[-1][0] - time.time_ns()) < 10 * 10**9

"""Traffic made to cost memory: it stays under the limits, is told as lost, and an ordinary connection beside it is read.

Each case runs in a process of its own (`python -m tests.unit.test_hostile_memory CASE`), which says how much it grew at most.
"""

from __future__ import annotations

import ctypes
import gc
import gzip
import json
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sniffer.config import Limits
from sniffer.examine import Examiner
from sniffer.model import CHECKSUM_VALID, Batch, Packet
from sniffer.pipeline import examine
from sniffer.wire.engine import Engine, Output
from sniffer.wire.keylog import KeyLog
from tests.frames import frame, request, response
from tests.packets import ACK, CLIENT, MICROSECOND, PSH, SERVER, START, SYN, Flow, Sent
from tests.secured import SecuredFlow

MB = 1 << 20
LIMITS = replace(
    Limits(),
    reorder_bytes=MB,
    reorder_total_bytes=4 * MB,
    connections=2_000,
    message_bytes=2 * MB,
    body_bytes=2 * MB,
    total_message_bytes=12 * MB,
    tls_held_bytes=MB,
    inflated_bytes=10 * MB,
)
GROWTH = 64
"""MB: the limits over all connections, twice (a buffer that grows is copied), and what 2,000 connections cost."""
ORDER = (
    b'{"e":"executionReport","E":1,"s":"AB","c":"c-%d","S":"BUY","o":"LIMIT","f":"GTC","q":"2","p":"1","P":"0","x":"NEW",'
    b'"X":"NEW","r":"NONE","i":%d,"l":"0","z":"0","L":"0","n":"0","N":null,"T":3,"t":-1}'
)
BLOCK_BYTES = 256 << 10
"""As sources read them."""

Case = Callable[[], Iterator[list[Packet]]]


# --- what is sent ---------------------------------------------------------------------------------------------------------


def bystander(sent: list[Packet]) -> Iterator[Packet]:
    """`sent`, among which another connection says an order now and then: 20 in all."""
    flow = Flow((b"\x0a\0\0\x63", 40_000), start=sent[0][0], step=0)
    flow.open()
    flow.data("client", request(target="/ws/listenkey"))
    flow.data("server", response())
    step, orders = max(1, len(sent) // 20), 0
    for number, packet in enumerate(sent):
        if number % step == 0 and orders < 20:
            flow.time = packet[0]
            orders += 1
            flow.data("server", frame(1, ORDER % (orders, orders)))
            yield from (one.packet(CHECKSUM_VALID) for one in flow.sent)
            flow.sent.clear()
        yield packet


def upgraded(number: int = 1, extensions: str = "") -> Flow:
    flow = Flow((struct.pack("!BBH", 10, 1, number), 50_000), step=MICROSECOND)
    flow.open()
    flow.data("client", request(extensions))
    flow.data("server", response(extensions))
    return flow


def packets(*flows: Flow) -> list[Packet]:
    sent = sorted((one for flow in flows for one in flow.sent), key=lambda one: one.time)
    return [one.packet(CHECKSUM_VALID) for one in sent]


def deflate_bombs(size: int) -> list[Packet]:
    """Messages that inflate to `size` bytes each, 100 that stand alone and 100 in a stream of which the first is the last."""
    flows = []
    for number, how in enumerate(("; server_no_context_takeover", "")):
        flow = upgraded(number, f"permessage-deflate{how}")
        compressor = zlib.compressobj(9, wbits=-15)
        bomb = compressor.compress(bytes(size)) + compressor.flush(zlib.Z_SYNC_FLUSH)
        for _ in range(100):
            flow.data("server", frame(2, bomb[:-4], rsv=0x40), acknowledge=False, size=60_000)
        flow.acknowledge("client")
        flows.append(flow)
    return packets(*flows)


def many_bombs() -> list[Packet]:
    """60 connections, 3 messages each that inflate to 2 MB."""
    compressor = zlib.compressobj(9, wbits=-15)
    bomb = compressor.compress(bytes(2 * MB - 1)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    flows = [upgraded(number, "permessage-deflate; server_no_context_takeover") for number in range(60)]
    for flow in flows:
        flow.data("server", frame(2, bomb[:-4], rsv=0x40) * 3)
    return packets(*flows)


def bombs_inside_messages() -> list[Packet]:
    """Binary messages of a venue that zips them itself (HTX), each of 100 MB."""
    flow = Flow(step=MICROSECOND)
    flow.open()
    flow.data("client", request(target="/ws/v2").replace(b"exchange.test:8080", b"api.huobi.pro"))
    flow.data("server", response())
    bomb = gzip.compress(bytes(100 * MB))
    for _ in range(8):
        flow.data("server", frame(2, bomb), size=60_000)
    return packets(flow)


def huge_frames() -> list[Packet]:
    """Heads of 2**63 - 1 and of 2**62 bytes, and payload for it that does not end."""
    flows = [upgraded(number) for number in range(2)]
    for flow, length in zip(flows, ((1 << 63) - 1, 1 << 62), strict=True):
        flow.data("server", b"\x82\x7f" + struct.pack("!Q", length))
        flow.data("server", bytes(20 * MB), size=60_000)
    return packets(*flows)


def endless_fragments() -> list[Packet]:
    flow = upgraded()
    flow.data("server", frame(1, b"x", fin=False))
    flow.data("server", frame(0, b"", fin=False) * 30_000 + frame(0, bytes(1000), fin=False) * 10_000, size=60_000)
    return packets(flow)


def many_messages() -> list[Packet]:
    """On 200 connections, 1 MB each of a message that does not end."""
    flows = [upgraded(number) for number in range(200)]
    for flow in flows:
        flow.data("server", frame(2, bytes(2 * MB - 100))[:MB], size=60_000)
    return packets(*flows)


def endless_heads() -> list[Packet]:
    """200 kB of head on each of 50 connections, and half a body of 2 MB on 50 more."""
    flows = []
    for number in range(100):
        flow = Flow((struct.pack("!BBH", 10, 2, number), 50_000), step=MICROSECOND)
        flow.open()
        if number % 2:
            flow.data("client", b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 35_000, size=60_000)
        else:
            flow.data("client", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n" + bytes(MB), size=60_000)
        flows.append(flow)
    return packets(*flows)


def half_open() -> list[Packet]:
    """SYNs from 12,000 places, a microsecond apart."""
    one = Sent(START, CLIENT, SERVER, 7, 0, SYN).packet(CHECKSUM_VALID)
    time, link, data, length, mark = one
    head, tail = data[:26], data[38:]
    return [
        (time + n * MICROSECOND, link, head + struct.pack("!I4sHH", n, SERVER[0], 50_000, 80) + tail, length, mark)
        for n in range(12_000)
    ]


def holes() -> list[Packet]:
    """On 50 connections every second segment is missing, and nobody acknowledges: 25 MB are held for what never comes."""
    flows = [upgraded(number) for number in range(50)]
    for flow in flows:
        for _ in range(400):
            flow.next["server"] += 10
            flow.put("server", ACK | PSH, frame(1, b"a" * 1380))
    return packets(*flows)


def deep_json() -> list[Packet]:
    """Depth 100,000, on a connection that says orders."""
    flow = upgraded()
    flow.data("server", frame(1, ORDER % (0, 0)))
    for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
        deep = opening * 100_000 + b"1" + closing * 100_000
        flow.data("server", frame(1, b'{"e":"executionReport","x":' + deep + b"}"), size=60_000)
    return packets(flow)


def records_without_keys() -> list[Packet]:
    """TLS of 30 connections, 2 MB each, whose keys never come."""
    flows = []
    for number in range(30):
        secured = SecuredFlow(Flow((struct.pack("!BBH", 10, 3, number), 50_000), step=MICROSECOND), seed=number)
        secured.flow.open()
        secured.shake_hands()
        record = b"\x17\x03\x03\x40\x00" + bytes(1 << 14)
        for _ in range(128):
            secured.flow.data("server", record, size=60_000)
        flows.append(secured.flow)
    return packets(*flows)


CASES: dict[str, tuple[Callable[[], list[Packet]], str]] = {
    "deflate-bombs": (lambda: deflate_bombs(100 * MB), "inflates to more than"),
    "deflate-bombs-in-all": (lambda: deflate_bombs(2 * MB - 1), "inflates, with the messages that came with it, to more than"),
    "deflate-bombs-of-many": (many_bombs, ""),
    "bombs-inside-messages": (bombs_inside_messages, "decoder: inflates to more than"),
    "huge-frames": (huge_frames, "frame over the limit of bytes"),
    "endless-fragments": (endless_fragments, "message over"),
    "many-messages": (many_messages, "too many bytes wait"),
    "endless-heads": (endless_heads, "too many bytes wait"),
    "half-open": (half_open, ""),
    "holes": (holes, "too many bytes"),
    "deep-json": (deep_json, "nested too deeply"),
    "records-without-keys": (records_without_keys, "over the limit of held bytes"),
}


# --- in a process of its own ----------------------------------------------------------------------------------------------


def blocks(sent: list[Packet]) -> Iterator[list[Packet]]:
    block: list[Packet] = []
    size = 0
    for packet in sent:
        block.append(packet)
        size += len(packet[2]) + 32
        if size >= BLOCK_BYTES:
            yield block
            block, size = [], 0
    yield block


def main(name: str) -> None:
    sent = list(bystander(CASES[name][0]()))
    engine, batch = Engine("x", LIMITS, keylog=KeyLog(LIMITS)), Batch()
    examiner = Examiner("x", False, None, str)
    before = start_measuring()

    def take(output: Output) -> None:
        examine(examiner, output, batch)
        for connection in output.closed:
            examiner.forget(connection.id)

    for block in blocks(sent):
        output = engine.feed(block)
        take(output)
        while output.more:
            output = engine.feed([])
            take(output)
    more = True
    while more:
        output = engine.finish()
        take(output)
        more = output.more
    del output
    grown = memory("VmHWM") - before
    reasons = sorted({f"{loss.layer}: {loss.reason}" for loss in batch.losses})
    orders = len({row.order_id for row in batch.order_events} - {"0"})
    print(json.dumps({"grown": grown, "before": before, "reasons": reasons, "orders": orders}))


def memory(what: str) -> int:
    """MB that this process has (VmRSS), or has had at most since `start_measuring` (VmHWM)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(what):
            return int(line.split()[1]) >> 10
    raise AssertionError(what)


def start_measuring() -> int:
    """What freed memory there is goes back; then the mark of the most memory is set to what there is (proc(5), clear_refs)."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return memory("VmRSS")


@pytest.mark.parametrize("name", CASES)
def test_memory_stays_under_its_limits_and_others_are_read(name: str) -> None:
    command = [sys.executable, "-m", "tests.unit.test_hostile_memory", name]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    said = json.loads(done.stdout)
    assert said["grown"] <= GROWTH, said
    assert said["orders"] == 20, said
    assert any(CASES[name][1] in reason for reason in said["reasons"]) or not CASES[name][1], said


if __name__ == "__main__":
    main(sys.argv[1])

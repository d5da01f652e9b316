"""python -m bench.floor CAPTURE: the messages of a capture through nothing but the C calls that cannot be avoided.

AES-GCM and inflate for each message where the traffic has them, one byte search, JSON of the orders, and their rows through
Arrow into DuckDB. No packet is parsed, no stream reassembled, no secret redacted, no order folded: what the calls are given is
cut out of the capture beforehand, outside the time that is measured. It prints what it took and found as JSON.
"""

from __future__ import annotations

import json
import sys
import time
import zlib
from collections.abc import Callable
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import Any, Final

import duckdb
import msgspec
import pyarrow as pa

from bench import sealed
from bench.captures import Capture, opened, upgrade
from bench.messages import LOT, Feed
from bench.processes import Failed, run
from bench.runners import scratch
from bench.segments import Segment, blocks

BLOCK: Final = 20_000
"""Messages at a time: what is held stays small however long the capture is."""
MARKER: Final = b'"executionReport"'
_TAIL: Final = b"\x00\x00\xff\xff"  # RFC 7692 section 7.2.2
_EXPLICIT, _TAG = 8, 16
"""Bytes of AES-GCM in a record: the nonce's explicit part (TLS 1.2; RFC 5288 section 3), and the tag."""
_DECIMAL: Final = pa.decimal128(38, 18)

Cut = tuple[Callable[[bytes, bytes, bytes], bytes], bytes, bytes, bytes]
"""What decrypting a record takes: the cipher's call, nonce, ciphertext and associated data."""


def floor(capture: Capture) -> tuple[float, float]:
    """Seconds of wall and of CPU time of the bare loop. Raises `Failed` if it finds other than what the capture holds."""
    made = run([sys.executable, "-m", "bench.floor", capture.path])
    said = json.loads(made.output)
    found, truth = (said["orders"], said["fills"], said["lots"]), capture.truth
    if found != (truth.orders, truth.fills, truth.filled_lots):
        raise Failed(f"{capture.path}: the bare loop found {found} order events, fills and filled lots, not {truth}")
    return said["seconds"], said["cpu"]


class Loop:
    """The calls, a block at a time; `seconds` and `cpu` add up what they took."""

    def __init__(self, capture: Capture, database: Path) -> None:
        self.seconds = self.cpu = 0.0
        workload = capture.workload
        self._tls, self._deflated = workload.tls, workload.compressed
        self._spoken = [Feed(number, workload.seed, 0).path for number in range(workload.connections)]
        self._talks = [sealed.Handshake(workload.tls, workload.seed + n) for n in range(workload.connections) if workload.tls]
        self._inflate = [zlib.decompressobj(wbits=-15).decompress for _ in range(workload.connections)]
        # what the server says before its first message: its flights of the handshake, and the answer to the upgrade
        self._before = [1 + sum(sender == "server" for sender, _ in talk.flights) for talk in self._talks]
        for talk, path in zip(self._talks, self._spoken, strict=False):
            talk.sealed("server", upgrade(path, compressed=workload.compressed)[1])
        self._database = duckdb.connect(str(database))
        self._database.execute(resources.files("sniffer.store").joinpath("schema.sql").read_text())
        self._decode = msgspec.json.Decoder(float_hook=Decimal).decode

    def block(self, segments: list[Segment]) -> None:
        """Messages, in the order of the capture."""
        before = self._before
        said = [one for one in segments if one[1] >= (before[one[0]] if before else 1)]
        cut = [self._cut(number, ordinal, data) for number, ordinal, _, data in said] if self._tls else []
        heads = -1 if self._tls == "1.3" else None  # the content type behind the plaintext (RFC 8446 section 5.2)
        inflate = [self._inflate[number] for number, *_ in said] if self._deflated else []
        begun, begun_cpu = time.perf_counter(), time.process_time()
        if cut:
            frames = [decrypt(nonce, body, known) for decrypt, nonce, body, known in cut]
        else:
            frames = [one[3] for one in said]
        payloads = [frame[4 if frame[1] == 126 else 2 : heads] for frame in frames]
        if inflate:
            payloads = [call(payload + _TAIL) for call, payload in zip(inflate, payloads, strict=True)]
        wanted = [(one, payload) for one, payload in zip(said, payloads, strict=True) if MARKER in payload]
        decode = self._decode
        self._insert([(one, payload, decode(payload)["data"]) for one, payload in wanted])
        self.cpu += time.process_time() - begun_cpu
        self.seconds += time.perf_counter() - begun

    def finish(self) -> tuple[int, int, int]:
        """Onto the disk; order events, fills and filled lots are returned."""
        begun, begun_cpu = time.perf_counter(), time.process_time()
        self._database.execute("CHECKPOINT")
        self.cpu += time.process_time() - begun_cpu
        self.seconds += time.perf_counter() - begun
        row = self._database.execute(
            "SELECT (SELECT count(*) FROM order_events), count(*), coalesce(sum(quantity), 0) FROM fill_events"
        ).fetchone()
        assert row is not None
        self._database.close()
        return row[0], row[1], int(row[2] * LOT)

    def _cut(self, number: int, ordinal: int, record: bytes) -> Cut:
        talk = self._talks[number]
        protection = talk.protection["server"]
        sequence = protection.sequence + ordinal - self._before[number]
        head, body = record[:5], record[5:]
        if talk.is_13:
            return protection.aead.decrypt, (int.from_bytes(protection.iv) ^ sequence).to_bytes(12), body, head
        known = sequence.to_bytes(8) + head[:3] + (len(body) - _EXPLICIT - _TAG).to_bytes(2)
        return protection.aead.decrypt, protection.iv + body[:_EXPLICIT], body[_EXPLICIT:], known

    def _insert(self, found: list[tuple[Segment, bytes, dict[str, Any]]]) -> None:
        if not found:
            return
        size = len(found)
        where = {
            "connection_id": pa.array([one[0] for one, _, _ in found], pa.int64()),
            "sender": pa.repeat("server", size),
            "position": pa.array([one[1] for one, _, _ in found], pa.int64()),
            "captured_at": pa.array([one[2] for one, _, _ in found], pa.timestamp("ns")),
            "venue": pa.repeat("binance-spot", size),
        }
        self._into(
            "messages",
            where
            | {
                "first_seen": where["captured_at"],
                "opcode": pa.repeat("text", size),
                "payload": pa.array([payload for _, payload, _ in found], pa.string()),
                "kind": pa.repeat("update", size),
            },
        )
        reports = [report for _, _, report in found]
        where["item"] = pa.repeat(pa.scalar(0, pa.int32()), size)
        where["symbol"] = _texts(reports, "s")
        where["exchange_time"] = pa.array([report["E"] * 1_000_000 for report in reports], pa.timestamp("ns"))
        where["order_id"] = pa.array([str(report["i"]) for report in reports])
        where["client_order_id"] = pa.array([report["C"] or report["c"] for report in reports])
        where["side"] = _texts(reports, "S")
        self._into(
            "order_events",
            where
            | {name: _decimals(reports, key) for name, key in (("price", "p"), ("quantity", "q"), ("filled_quantity", "z"))}
            | {name: _texts(reports, key) for name, key in (("order_type", "o"), ("time_in_force", "f"), ("status_raw", "X"))}
            | {"status": _texts(reports, "X"), "kind": pa.repeat("update", size)},
        )
        traded = [at for at, report in enumerate(reports) if report["x"] == "TRADE"]
        fills = [reports[at] for at in traded]
        self._into(
            "fill_events",
            {name: column.take(pa.array(traded, pa.int32())) for name, column in where.items()}
            | {name: _decimals(fills, key) for name, key in (("price", "L"), ("quantity", "l"), ("fee", "n"))}
            | {"trade_id": pa.array([str(report["t"]) for report in fills], pa.string()), "fee_asset": _texts(fills, "N")},
        )

    def _into(self, table: str, columns: dict[str, pa.Array]) -> None:
        self._database.register("given", pa.table(columns))
        self._database.execute(f"INSERT INTO {table} BY NAME SELECT * FROM given")
        self._database.unregister("given")


def _texts(reports: list[dict[str, Any]], key: str) -> pa.Array:
    return pa.array([report[key] for report in reports], pa.string())


def _decimals(reports: list[dict[str, Any]], key: str) -> pa.Array:
    """Exactly, from the digits, which this venue puts in strings."""
    return _texts(reports, key).cast(_DECIMAL)


def main(path: Path) -> None:
    capture = opened(path)
    with scratch() as folder:
        loop = Loop(capture, folder / "floor.duckdb")
        for segments in blocks(capture, BLOCK):
            loop.block(segments)
        orders, fills, lots = loop.finish()
    print(json.dumps({"seconds": loop.seconds, "cpu": loop.cpu, "orders": orders, "fills": fills, "lots": lots}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

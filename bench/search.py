"""What one try costs in the search for a lost sequence number of TLS: opening a record of a given size that is another one."""

from __future__ import annotations

import time
from typing import Final

from bench.options import Options
from bench.report import Figure, median, spread
from bench.sealed import SUITES, Handshake
from sniffer.wire.tls.protection import HEAD, Aead13
from sniffer.wire.tls.suites import SUITES as KNOWN

GOALS: Final = {"1.3": 1.5, "1.3-chacha20": 3.0}
"""Microseconds, by what is spoken."""
SIZES: Final = (100, 500)
"""Bytes of the record's content: orders and their answers."""
FAR: Final = 1 << 40
"""Sequence numbers from here on are not the record's."""


def figure(options: Options) -> Figure:
    tries = 5_000 if options.quick else 100_000
    rows: list[list[str]] = []
    raw: dict[str, object] = {}
    worst = 0.0
    for name, goal in GOALS.items():
        handshake = Handshake(name, seed=1)
        secret = handshake.protection["server"].secret
        assert secret is not None
        opener = Aead13(KNOWN[SUITES[name].number], secret)
        for size in SIZES:
            record = handshake.sealed("server", bytes(size))
            head, body = record[:HEAD], record[HEAD:]
            found = []
            for _ in range(options.rounds):
                begun = time.process_time()
                assert opener.search(head, body, FAR, tries) is None
                found.append((time.process_time() - begun) / tries * 1e6)
            worst = max(worst, median(found) / goal)
            rows.append([opener.suite.name, f"{size} bytes", spread(found, "us"), f"{goal} us"])
            raw[f"{opener.suite.name} {size}"] = found
    return Figure(
        name="A try in the search for a TLS sequence number",
        goal="under 1.5 us with AES-GCM and 3 us with ChaCha20, up to 500 bytes",
        found=f"{worst:.2f} of the goal at worst",
        met=None if options.quick else worst < 1,
        columns=["suite", "record", "a try", "goal"],
        rows=rows,
        raw=raw,
    )

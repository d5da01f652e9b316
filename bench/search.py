"""What a record of TLS costs: one of application data that is simply the next, and one try in the search for a lost number."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from bench.options import Options
from bench.report import Figure, median, spread
from bench.sealed import Handshake
from sniffer.wire.stream import Item
from sniffer.wire.tls.protection import HEAD, Aead13, Opener, openers12
from sniffer.wire.tls.suites import SUITES as KNOWN

GOALS: Final = {"1.3": 1.5, "1.3-aes-256": 1.5, "1.2": 1.5, "1.3-chacha20": 3.0, "1.2-chacha20": 3.0}
"""Microseconds a try, by what is spoken."""
SIZES: Final = (100, 500)
"""Bytes of the record's content: orders and their answers."""
FAR: Final = 1 << 40
"""Sequence numbers from here on are not the record's."""
OURS: Final = 1.0
"""Microseconds a record may cost beside what `cryptography` takes to decrypt it."""


def opener_of(handshake: Handshake) -> Opener:
    """What reads the server's records, from the key log's line."""
    suite, secret = KNOWN[handshake.suite.number], handshake.protection["server"].secret
    if secret is not None:
        return Aead13(suite, secret)
    (master,) = (bytes.fromhex(line.split()[2]) for line in handshake.keys if line.startswith("CLIENT_RANDOM"))
    return openers12(suite, master, handshake.client_random, handshake.server_random, False)[1]


def figure(options: Options) -> Figure:
    """A try."""
    tries = 5_000 if options.quick else 100_000
    rows: list[list[str]] = []
    raw: dict[str, object] = {}
    worst = 0.0
    for name, goal in GOALS.items():
        handshake = Handshake(name, seed=1)
        opener = opener_of(handshake)
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


def records(options: Options) -> Figure:
    """A record of application data, 200 bytes, one a segment, on a side whose keys are known."""
    count, size = (500 if options.quick else 5_000), 200
    rows: list[list[str]] = []
    raw: dict[str, object] = {}
    worst = 0.0
    for name in GOALS:
        handshake = Handshake(name, seed=1)
        sealed = [handshake.sealed("server", bytes(size)) for _ in range(count)]

        def read(handshake: Handshake = handshake, sealed: list[bytes] = sealed) -> float:
            opener, out = opener_of(handshake), list[Item]()
            opener.sequence = handshake.protection["server"].sequence - count
            offset = 0
            begun = time.process_time()
            for record in sealed:
                _, offset = opener.application_data(record, 0, 0, offset, out)
            taken = time.process_time() - begun
            assert offset == count * size
            return taken

        def decrypt(handshake: Handshake = handshake, sealed: list[bytes] = sealed) -> float:
            aead, nonce, bodies = handshake.protection["server"].aead, bytes(12), [record[HEAD:] for record in sealed]
            sealed_anew = [aead.encrypt(nonce, body[:-16], b"") for body in bodies]
            begun = time.process_time()
            for body in sealed_anew:
                aead.decrypt(nonce, body, b"")
            return time.process_time() - begun

        def microseconds(measured: Callable[[], float]) -> list[float]:
            return [measured() / count * 1e6 for _ in range(max(options.rounds, 3))]

        whole, alone = microseconds(read), microseconds(decrypt)
        ours = min(whole) - min(alone)
        worst = max(worst, ours)
        rows.append([KNOWN[handshake.suite.number].name, spread(whole, "us"), spread(alone, "us"), f"{ours:.2f} us"])
        raw[rows[-1][0]] = {"record": whole, "decrypting alone": alone}
    return Figure(
        name="A record of application data",
        goal=f"what decrypting costs and {OURS:.0f} us",
        found=f"{worst:.2f} us beside it at worst",
        met=None if options.quick else worst < OURS,
        columns=["suite", f"a record of {size} bytes", "decrypting alone", "beside it"],
        rows=rows,
        raw=raw,
    )

"""The TLS of the captures: the handshake as bytes, and what seals one side's messages."""

from __future__ import annotations

from typing import Any, Final

from pcaps.kit.tls import AES_128_GCM_13, AES_256_GCM_13, CHACHA20_13, ECDHE_AES_128_GCM, ECDHE_CHACHA20, Suite, TlsTalk

SUITES: Final[dict[str, Suite]] = {
    "1.3": AES_128_GCM_13,
    "1.3-aes-256": AES_256_GCM_13,
    "1.2": ECDHE_AES_128_GCM,
    "1.3-chacha20": CHACHA20_13,
    "1.2-chacha20": ECDHE_CHACHA20,
}
"""What clients and exchanges agree on where both have AES in hardware, and ChaCha20."""


class Handshake(TlsTalk):
    """Both sides' handshake without the packets: `flights` holds who sent what."""

    def __init__(self, version: str, seed: int) -> None:
        super().__init__(suite=SUITES[version], seed=seed)
        self.flights: list[tuple[str, bytes]] = []
        self.shake_hands()

    def plain(self, sender: str, data: bytes, **how: Any) -> None:
        self.flights.append((sender, data))

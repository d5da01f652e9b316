"""TLS connections as packets, for tests: the handshake and the records of `pcaps.kit.tls`, carried by a `Flow`."""

from __future__ import annotations

import random
from typing import Any

from pcaps.kit.tls import AES_128_GCM_13, DATA, Suite, TlsTalk
from tests.conversations import Conversation
from tests.frames import frame, request, response
from tests.packets import Flow

TEXT = 1


class SecuredFlow(TlsTalk):
    """`open`, `shake_hands`, then `send`; `flow` has the packets, `key_log` the secrets."""

    def __init__(self, flow: Flow | None = None, *, suite: Suite = AES_128_GCM_13, seed: int = 1) -> None:
        super().__init__(suite=suite, seed=seed)
        self.flow = flow or Flow()

    def plain(self, sender: str, data: bytes, *, seen: bool = True, size: int = 1460) -> None:
        assert seen
        self.flow.data(sender, data, size=size)

    def started(self, extensions: str = "", **how: Any) -> SecuredFlow:
        """From SYN to the websocket inside."""
        self.flow.open()
        self.shake_hands(**how)
        self.send("client", request(extensions))
        self.send("server", response(extensions))
        return self

    def text(self, sender: str, payload: bytes) -> None:
        """One message in one frame in one record."""
        mask = self.random.randbytes(4) if sender == "client" else None
        self.send(sender, frame(TEXT, payload, mask=mask))


def secured(rng: random.Random, inside: Conversation, suite: Suite) -> SecuredFlow:
    """`inside` again, its segments as records of TLS. They are split over segments, and several share one, at random."""
    flow = SecuredFlow(
        Flow(numbers=(inside.numbers["client"], inside.numbers["server"])), suite=suite, seed=rng.getrandbits(30)
    )
    flow.flow.open()
    flow.shake_hands()
    held = {"client": b"", "server": b""}
    for sent in inside.sent:
        sender = inside.sender(sent)
        if sent.payload:
            flow.largest = rng.choice((1 << 14, rng.randint(1, 400)))
            padding = rng.choice((0, 0, rng.randint(1, 50))) if flow.is_13 else 0
            held[sender] += flow.sealed(sender, sent.payload, padding=padding)
            if flow.is_13 and rng.random() < 0.03:
                held[sender] += flow.update_keys(sender)
            if rng.random() < 0.02:
                held[sender] += flow.protection[sender].seal(DATA, b"")
        if held[sender] and rng.random() < 0.8:
            flow.flow.data(
                sender, held[sender], size=rng.choice((1460, 1460, rng.randint(20, 700))), acknowledge=rng.random() < 0.7
            )
            held[sender] = b""
    for sender, rest in held.items():
        if rest:
            flow.flow.data(sender, rest)
    for sender in held:
        flow.flow.acknowledge(sender)
    flow.flow.close()
    return flow

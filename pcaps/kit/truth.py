"""What a perfect passive recorder gets out of a capture, and the list of all captures."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

LONGEST_INLINE = 1500
"""Payloads above this many bytes stand in the truth as length and SHA-256."""


@dataclass
class Message:
    """One websocket message. `optional`: a recorder may or may not recover it, since it cannot be proven to be whole."""

    sender: str
    opcode: str
    payload: bytes
    optional: bool = False

    def to_json(self) -> dict[str, Any]:
        """As it stands in the truth."""
        out: dict[str, Any] = {"sender": self.sender, "opcode": self.opcode}
        if len(self.payload) > LONGEST_INLINE:
            out |= {"length": len(self.payload), "sha256": hashlib.sha256(self.payload).hexdigest()}
        else:
            try:
                if self.opcode != "text":
                    raise ValueError
                out["text"] = self.payload.decode()
            except ValueError:
                out["base64"] = base64.b64encode(self.payload).decode()
        if self.optional:
            out["optional"] = True
        return out


@dataclass
class Connection:
    """One TCP connection. None stands for "not said": a recorder is free there."""

    client: str
    server: str
    messages: list[Message] = field(default_factory=list)
    readable: bool | None = True
    unreadable_reason: str | None = None
    lost: bool | None = False
    lost_bytes: dict[str, int | None] = field(default_factory=lambda: {"client": None, "server": None})

    def to_json(self) -> dict[str, Any]:
        """As it stands in the truth."""
        return {
            "client": self.client,
            "server": self.server,
            "readable": self.readable,
            "unreadable_reason": self.unreadable_reason,
            "messages": [message.to_json() for message in self.messages],
            "lost": self.lost,
            "lost_bytes": self.lost_bytes,
        }


@dataclass
class Capture:
    """The files of one capture (suffix -> content) and its truth; see `pcaps/README.md` for the meaning of each field."""

    files: dict[str, bytes]
    connections: list[Connection] = field(default_factory=list)
    packets: int | None = None
    started_at: int | None = None
    ended_at: int | None = None
    damage: dict[str, int | None] | None = None
    unassigned_loss: bool | None = False
    other_connections: bool = False


@dataclass(frozen=True)
class Maker:
    """One capture's name (`tcp/out-of-order`), what is odd about it, the rule that settles it, and how it is made."""

    name: str
    about: str
    rfc: str | None
    make: Callable[[], Capture]

    def outputs(self) -> tuple[dict[str, bytes], dict[str, Any]]:
        """The files to write (path below `pcaps/` -> content), and the truth."""
        made = self.make()
        files = {f"{self.name}.{suffix}": content for suffix, content in made.files.items()}
        truth = {
            "about": self.about,
            "rfc": self.rfc,
            "files": [path.rpartition("/")[2] for path in files],
            "packets": made.packets,
            "started_at": made.started_at,
            "ended_at": made.ended_at,
            "connections": [connection.to_json() for connection in made.connections],
            "other_connections": made.other_connections,
            "unassigned_loss": made.unassigned_loss,
            "damage": made.damage,
        }
        return files, truth


MAKERS: dict[str, Maker] = {}
"""All captures by name, in the order in which their modules were imported."""


def capture(about: str, rfc: str | None = None) -> Callable[[Callable[[], Capture]], Callable[[], Capture]]:
    """Register a maker: `pcaps.tcp.order.out_of_order` makes `pcaps/tcp/out-of-order.*`."""

    def register(make: Callable[[], Capture]) -> Callable[[], Capture]:
        folder = make.__module__.split(".")[-2]
        name = f"{folder}/{make.__name__.replace('_', '-')}"
        if name in MAKERS:
            raise ValueError(f"two makers of {name}")
        MAKERS[name] = Maker(name, about, rfc, make)
        return make

    return register

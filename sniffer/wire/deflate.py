"""permessage-deflate: what was negotiated, and the inflating of one side's messages (RFC 7692).

**A stream with context takeover that has lost a byte is poisoned.** Its messages refer to text that is not there, zlib does
not notice, and the result may be valid JSON with wrong numbers. Poisoned means lost, until the connection ends.
"""

from __future__ import annotations

import zlib
from typing import Final, NamedTuple

from sniffer.config import Limits

_TAIL: Final = b"\x00\x00\xff\xff"
"""What the sender cut off and the receiver puts back (section 7.2.2)."""
_WINDOW: Final = 32_768
_HISTORY_TRIM: Final = 2 * _WINDOW
_FINAL_BLOCKS: Final = 16
"""Deflate streams that one message may end: senders that end any end one. Each costs a copy of what is left."""
_WINDOW_BITS: Final = {str(bits): bits for bits in range(8, 16)}
"""As a parameter says them: decimal, without leading zeros (section 7.1.2)."""

_LAST_BLOCK: Final = b"\x01\x00\x00\xff\xff"
"""An empty stored block with BFINAL set (RFC 1951 section 3.2.4)."""
CUT_OFF: Final = "after a restart behind a message that did not end its deflate block"


class InflateError(Exception):
    """A message that cannot be inflated, and why."""


class Deflate(NamedTuple):
    """The negotiated parameters (section 7.1)."""

    server_takeover: bool = True
    client_takeover: bool = True
    server_window_bits: int = 15
    client_window_bits: int = 15


class UnknownExtension(Exception):
    """The handshake agreed on an extension, or a parameter, that this recorder does not know."""


def parse_extensions(header: str) -> Deflate | None:
    """The `Sec-WebSocket-Extensions` of a 101 response; None when nothing was agreed on.

    Raises `UnknownExtension` for anything but permessage-deflate with the parameters of RFC 7692 section 7.1.
    """
    found: Deflate | None = None
    for offer in header.split(","):
        name, *parameters = (part.strip() for part in offer.split(";"))
        if not name and not parameters:
            continue
        if name.lower() != "permessage-deflate":
            raise UnknownExtension(f"websocket extension {name[:40]!r} is not known")
        if found is not None:
            raise UnknownExtension("permessage-deflate was agreed on twice")
        found = _parameters(parameters)
    return found


def _parameters(parameters: list[str]) -> Deflate:
    deflate = Deflate()
    for parameter in parameters:
        name, _, value = (part.strip() for part in parameter.partition("="))
        name, value = name.lower(), value.strip('"')
        if name == "server_no_context_takeover" and not value:
            deflate = deflate._replace(server_takeover=False)
        elif name == "client_no_context_takeover" and not value:
            deflate = deflate._replace(client_takeover=False)
        elif name == "server_max_window_bits" and value in _WINDOW_BITS:
            deflate = deflate._replace(server_window_bits=_WINDOW_BITS[value])
        elif name == "client_max_window_bits" and value in _WINDOW_BITS:
            deflate = deflate._replace(client_window_bits=_WINDOW_BITS[value])
        else:
            raise UnknownExtension(f"permessage-deflate parameter {parameter[:40]!r} is not known")
    return deflate


class Inflater:
    """Inflates the messages of one side."""

    def __init__(self, takeover: bool, window_bits: int, limit: int, at_once: int = Limits.inflated_bytes) -> None:
        """`limit`: bytes that one message may inflate to; `at_once`: and all messages between two calls of `replenish`."""
        self._takeover = takeover
        # zlib cannot deflate raw data with a window of 256 bytes and quietly uses 512, so some peers that agreed on 8 send 9.
        self._bits = -max(window_bits, 9)
        self._limit = limit
        self._at_once = self._left = at_once
        self._context = zlib.decompressobj(self._bits)
        self._history: list[bytes] = []
        self._history_bytes = 0
        self.poisoned = ""

    def __getstate__(self) -> dict[str, object]:
        """For a snapshot: between two messages the window is all that zlib remembers, if the last one ended its block."""
        state = self.__dict__.copy()
        del state["_context"]
        if self._takeover and not self.poisoned and not _between_blocks(self._context):
            state |= {"poisoned": CUT_OFF, "_history": [], "_history_bytes": 0}
        return state

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        window = b"".join(self._history)[-_WINDOW:]
        self._context = zlib.decompressobj(self._bits, window) if window else zlib.decompressobj(self._bits)

    def poison(self, reason: str) -> None:
        """A byte of this side was lost. Without context takeover each message stands alone, and nothing follows from it."""
        if self._takeover and not self.poisoned:
            self.poisoned = reason
            self._history.clear()

    def replenish(self) -> None:
        """What was inflated so far is out of our hands."""
        self._left = self._at_once

    def inflate(self, payload: bytes) -> bytes:
        """One whole message. Raises `InflateError`; the stream is poisoned then, unless messages stand alone."""
        if self.poisoned:
            raise InflateError(self.poisoned)
        if not self._takeover:
            self._context = zlib.decompressobj(self._bits)
        context = self._context
        try:
            message = context.decompress(payload, self._limit)
            if context.eof:
                message = self._after_final_block(message)
                context = self._context
            elif not context.unconsumed_tail and context.decompress(_TAIL):
                raise self._failed("ends inside a block")
        except zlib.error as error:
            raise self._failed(f"not deflate data: {error}") from None
        if context.unconsumed_tail:
            raise self._failed(f"inflates to more than {self._limit} bytes")
        self._left -= len(message)
        if self._left < 0:
            raise self._failed(f"inflates, with the messages that came with it, to more than {self._at_once} bytes")
        if self._takeover:
            self._remember(message)
        return message

    def _failed(self, reason: str) -> InflateError:
        self.poison(f"after a message that could not be inflated ({reason})")
        return InflateError(reason)

    def _remember(self, message: bytes) -> None:
        """Keep the window's worth of text, for a sender that ends a deflate stream (BFINAL) and goes on with its window."""
        self._history.append(message[-_WINDOW:])
        self._history_bytes += len(self._history[-1])
        if self._history_bytes > _HISTORY_TRIM:
            tail = b"".join(self._history)[-_WINDOW:]
            self._history = [tail]
            self._history_bytes = len(tail)

    def _after_final_block(self, message: bytes) -> bytes:
        """The message held a block with BFINAL set (section 7.2.3.4): another deflate stream begins, in the same window."""
        rest = self._context.unused_data + _TAIL
        for _ in range(_FINAL_BLOCKS):
            window = (b"".join(self._history) + message)[-_WINDOW:]
            self._context = zlib.decompressobj(self._bits, window) if window else zlib.decompressobj(self._bits)
            # Senders pad the final block with an empty stored block whose 00 00 ff ff they cut off again, as for any other.
            more = self._context.decompress(rest, max(1, self._limit - len(message)))
            message += more
            if not self._context.eof:
                return message
            rest = self._context.unused_data
        raise zlib.error("endless final blocks")


def _between_blocks(context: zlib._Decompress) -> bool:
    """Whether the next byte would begin a block: then one that ends the stream is read as that, and as nothing else."""
    trial = context.copy()
    try:
        return not trial.decompress(_LAST_BLOCK) and trial.eof and not trial.unused_data
    except zlib.error:
        return False

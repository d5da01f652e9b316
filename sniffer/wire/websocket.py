"""One side of a websocket connection: a byte stream in, whole messages out (RFC 6455 sections 5 and 6, RFC 7692).

A passive recorder records what it sees: a client that does not mask, an oversized control frame or text that is not UTF-8 is a
message like any other. Only what cannot be read is a loss.

A side is over with a close frame, and with a frame that its receiver must fail the connection for: the receiver takes nothing
of what follows for a message, and so do we.

After a hole the reader is in one of three places:

- inside a frame whose head was seen, and the hole ends inside it: that message is lost, the next frame begins where it must;
- anywhere else: the frame boundaries are lost. `resync.py` looks for them again, at segment starts;
- either way, a message that was under way is lost, and a compressed stream with context takeover is poisoned (`deflate.py`).
"""

from __future__ import annotations

from typing import Final

from websockets.speedups import apply_mask

from sniffer.config import Limits
from sniffer.model import OPCODE_BINARY, OPCODE_CLOSE, OPCODE_TEXT, Sender, WireMessage
from sniffer.wire.deflate import InflateError, Inflater
from sniffer.wire.frames import FIN, FIRST_BYTES, OPCODE_CONTINUATION, RSV1, frame_head
from sniffer.wire.losses import LossLedger
from sniffer.wire.resync import Resync
from sniffer.wire.stream import CAPTURE_ENDED, Data, End, Gap, Item

_FIN_DATA: Final = frozenset({FIN | OPCODE_TEXT, FIN | OPCODE_BINARY})
_FIN_TEXT_DEFLATED: Final = FIN | RSV1 | OPCODE_TEXT
_UNMASKED_16: Final = 126
"""The second byte of an unmasked frame whose length stands in the next two."""

_TORN: Final = "message torn by a gap"
_TOO_LONG: Final = "frame over the limit of bytes for a message"
_AFTER_FAILURE: Final = "after a frame that makes a receiver fail the connection"
_AFTER_CLOSE: Final = "after a close frame"


class _Fragments:
    """A message whose final frame is still to come."""

    __slots__ = ("began", "bytes", "compressed", "offset", "opcode", "parts", "size")

    def __init__(self, opcode: int, compressed: bool, began: int, offset: int) -> None:
        self.opcode = opcode
        self.compressed = compressed
        self.began = began
        self.offset = offset
        self.parts: list[bytes] = []
        self.bytes = 0  # of the payloads
        self.size = 0  # of the frames


class _Discard:
    """Payload bytes that are read past: what is left of a frame that is lost."""

    __slots__ = ("began", "left", "messages", "offset", "reason", "seen")

    def __init__(self, offset: int, began: int, seen: int, left: int, messages: int, reason: str) -> None:
        self.offset = offset
        self.began = began
        self.seen = seen
        self.left = left
        self.messages = messages
        self.reason = reason


class WebSocketReader:
    """Frames to messages, for one sender."""

    def __init__(
        self,
        sender: Sender,
        limits: Limits,
        ledger: LossLedger,
        *,
        position: int = 0,
        latest: int = 0,
        inflater: Inflater | None = None,
        handshake_seen: bool = True,
        boundary_known: bool = True,
    ) -> None:
        """`position`: of the next message. `latest`: wire time of what this side had to send before, at its latest.
        `inflater`: where permessage-deflate was agreed on.

        `handshake_seen` False: joined in the middle. Frame boundaries must be found, and a compressed message counts only if
        it inflates without any text before it: zlib refuses a reference to text that it was not given. `boundary_known` False:
        the parameters are known, but not where this side's first frame begins.
        """
        self.sender = sender
        self.position = position
        self.holes: list[int] = []
        """Positions of messages before which something was lost; for the reader's owner to take."""
        self.compressed_seen = False
        self._limits = limits
        self._ledger = ledger
        self._handshake_seen = handshake_seen
        self._inflater = inflater
        if not handshake_seen:
            self._inflater = Inflater(False, 15, limits.message_bytes, limits.inflated_bytes)
        self._latest = latest
        self._pending = bytearray()  # not a list: a flood of small segments must not cost an object each
        self._pending_bytes = 0
        self._need = 0
        self._began = 0
        self._offset = 0
        self._fragments: _Fragments | None = None
        self._broken = False  # the fragments up to the next final frame, if there are any, belong to a message that is lost
        self._discard: _Discard | None = None
        self._masked: bool | None = None if not handshake_seen else sender == "client"
        self._resync: Resync | None = None
        self._over = ""  # why nothing that follows is a message
        self._out: list[WireMessage] = []
        if not handshake_seen or not boundary_known:
            self._resync = self._new_resync()
        if not boundary_known:
            self._poison()

    @property
    def sends_masked(self) -> bool | None:
        """Whether this side masks its frames, as only clients do; None: no frame boundary was ever known."""
        return self._masked

    def buffered_bytes(self) -> int:
        """Bytes of incomplete messages that are held."""
        fragments = self._fragments.bytes if self._fragments else 0
        return self._pending_bytes + fragments + (self._resync.size if self._resync else 0)

    def shed(self, time: int, reason: str) -> None:
        """Give up what is held, for `reason`."""
        self._gap(Gap(0, time, None, reason), reason)

    def feed(self, items: list[Item]) -> list[WireMessage]:
        """The messages that `items` complete."""
        out = self._out = []
        if self._inflater is not None:
            self._inflater.replenish()
        for item in items:
            if type(item) is tuple:
                offset, time, data = item
                if time > self._latest:
                    self._latest = time
                if self._pending_bytes or self._discard or self._resync or self._over:
                    self._continue(item)
                elif (
                    len(data) > 4
                    and data[1] == _UNMASKED_16
                    and len(data) == 4 + (data[2] << 8 | data[3])
                    and data[0] in _FIN_DATA
                    and self._fragments is None
                    and not self._broken
                ):
                    # What servers send nearly always, a segment or record that is one whole frame: 310 ns, and `_frames` 510.
                    out.append((self.position, time, self._latest, data[0] & 0x0F, data[4:], None))
                    self.position += 1
                else:
                    self._frames(offset, time, data)
            elif isinstance(item, Gap):
                self._gap(item)
            elif isinstance(item, End):
                self._end(item)
        self._out = []  # whoever has the messages now, decides how long they live
        return out

    # --- frames ----------------------------------------------------------------------------------------------------------

    def _frames(self, offset: int, began: int, data: bytes, carried: int | None = None) -> None:
        """Read the frames of `data`, which begins at a frame boundary; what is incomplete becomes pending.

        `began`: wire time of the packet that holds the first byte; `carried`: of the packet that holds the rest, where they
        differ. Flat, since it runs once a message (some 500 ns a frame here, against 2,850 for a general protocol object).
        """
        out, latest, inflater = self._out, self._latest, self._inflater
        limit = self._limits.message_bytes
        at, size = 0, len(data)
        while True:
            if size - at < 2:
                need = at + 2
                break
            first, second = data[at], data[at + 1]
            length = second & 0x7F
            start = at + 2
            if length > 125:
                start = at + 4 if length == 126 else at + 10
                if start > size:
                    need = start
                    break
                length = int.from_bytes(data[at + 2 : start])
            if second & 0x80:
                start += 4
            stop = start + length
            if stop > size:
                if length >> 63:
                    self._fail(offset + at, began, size - at, "a frame of 2^63 bytes or more")
                    return
                if length > limit and start <= size:
                    self._lose_frame(first, offset + at, began, size - at, stop - size, _TOO_LONG)
                    return
                need = stop
                break
            if second & 0x80:
                payload = apply_mask(data[start:stop], data[start - 4 : start]) if length else b""
            else:
                payload = data[start:stop]
            if first in _FIN_DATA and self._fragments is None and not self._broken:
                out.append((self.position, began, latest, first & 0x0F, payload, None))
                self.position += 1
            elif first == _FIN_TEXT_DEFLATED and inflater is not None and self._fragments is None and not self._broken:
                self._message(OPCODE_TEXT, True, began, offset + at, stop - at, payload)
            else:
                self._frame(first, began, offset + at, stop - at, payload)
                if self._over:
                    self._skip(offset + stop, began, size - stop)
                    return
            at = stop
            if carried is not None:
                began, carried = carried, None
        if at < size:
            self._pending = bytearray(data[at:])
            self._pending_bytes = size - at
            self._need = need - at
            self._began = began
            self._offset = offset + at

    def _frame(self, first: int, began: int, offset: int, size: int, payload: bytes) -> None:
        """A whole frame of `size` bytes, head included, that is not simply a whole message."""
        violation = self._violation(first)
        if violation:
            self._fail(offset, began, size, violation)
            return
        opcode, compressed = first & 0x0F, bool(first & RSV1)
        if opcode >= OPCODE_CLOSE:
            self._emit(opcode, began, payload)
            if opcode == OPCODE_CLOSE:
                self._stop(_AFTER_CLOSE)
        elif opcode == OPCODE_CONTINUATION and self._broken:
            self._lose(offset, began, size, "fragment of a message that is lost", messages=0)
            self._broken = not first & FIN
        elif opcode == OPCODE_CONTINUATION:
            self._fragment(size, payload, bool(first & FIN))
        else:
            self._broken = False
            if first & FIN:
                self._message(opcode, compressed, began, offset, size, payload)
            else:
                self._fragments = _Fragments(opcode, compressed, began, offset)
                self._fragment(size, payload, False)

    def _violation(self, first: int) -> str:
        """Why a receiver fails the connection over a frame that begins so (sections 5.2 and 5.4); empty: it does not."""
        if first not in FIRST_BYTES:
            return f"reserved opcode or bits, or a control frame in pieces (0x{first:02x})"
        if first & RSV1 and self._inflater is None:
            return "RSV1 is set, and no compression was agreed on"
        if first & 0x0F == OPCODE_CONTINUATION:
            return "" if self._broken or self._fragments is not None else "continuation of a message that did not begin"
        if first & 0x0F <= OPCODE_BINARY and self._fragments is not None:
            return "a new message began before the last one ended"
        return ""

    def _fragment(self, size: int, payload: bytes, final: bool) -> None:
        fragments = self._fragments
        assert fragments is not None
        fragments.parts.append(payload)
        fragments.bytes += len(payload)
        fragments.size += size
        if fragments.bytes > self._limits.message_bytes or len(fragments.parts) > self._limits.fragments:
            self._drop_fragments("message over the limit of bytes or fragments")
            self._broken = not final
        elif final:
            self._fragments = None
            whole = b"".join(fragments.parts)
            self._message(fragments.opcode, fragments.compressed, fragments.began, fragments.offset, fragments.size, whole)

    def _message(self, opcode: int, compressed: bool, began: int, offset: int, size: int, payload: bytes) -> None:
        """A whole message, not yet inflated; its frames take `size` bytes of the stream."""
        if compressed:
            self.compressed_seen = True
            assert self._inflater is not None
            try:
                inflated = self._inflater.inflate(payload)
            except InflateError as error:
                reason = str(error) if self._handshake_seen else "compressed, and the handshake was not seen"
                self._ledger.tally(self.sender, "deflate", reason, time=self._latest, offset=offset, length=size, messages=1)
                self._note_hole()
                return
            payload = inflated
        self._emit(opcode, began, payload)

    def _emit(self, opcode: int, began: int, payload: bytes) -> None:
        self._out.append((self.position, began, self._latest, opcode, payload, None))
        self.position += 1

    # --- across segments -------------------------------------------------------------------------------------------------

    def _continue(self, item: Data) -> None:
        """More bytes for what is under way: a frame, a discard, or the search for a frame boundary."""
        offset, time, data = item
        if self._over:
            self._skip(offset, time, len(data))
        elif self._resync is not None:
            self._search(item)
        elif self._discard is not None:
            taken = min(self._discard.left, len(data))
            self._discard.left -= taken
            self._discard.seen += taken
            if not self._discard.left:
                self._finish_discard()
                if taken < len(data):
                    self._frames(offset + taken, time, data[taken:])
        else:
            self._pending += data
            self._pending_bytes += len(data)
            if self._pending_bytes < self._need:
                return
            whole = bytes(self._pending)
            self._pending = bytearray()
            self._pending_bytes = 0
            self._frames(self._offset, self._began, whole, time)

    def _lose_frame(self, first: int, offset: int, began: int, seen: int, left: int, reason: str) -> None:
        """A frame whose head was seen is not read: `seen` bytes of it were captured so far, `left` bytes are to come."""
        violation = self._violation(first)
        if violation:
            self._fail(offset, began, seen, violation)
        elif first & 0x0F == OPCODE_CLOSE:
            self._lose(offset, began, seen, reason)
            self._stop(_AFTER_CLOSE)
        else:
            self._break(first)
            self._discard = _Discard(offset, began, seen, left, 1, reason)
            if not left:
                self._finish_discard()

    def _break(self, first: int) -> None:
        """The message that the frame with this first byte belongs to is lost."""
        opcode = first & 0x0F
        if opcode >= OPCODE_CLOSE:
            return
        compressed = bool(first & RSV1)
        if self._fragments is not None:
            compressed = self._fragments.compressed
            self._drop_fragments(_TORN)
        if compressed or (self._broken and self._inflater is not None):
            self._poison()
        self._broken = not first & FIN

    def _poison(self) -> None:
        if self._inflater is not None:
            self._inflater.poison("after lost bytes in a compressed stream with context takeover")

    def _finish_discard(self) -> None:
        discard = self._discard
        assert discard is not None
        self._discard = None
        self._note_hole()
        self._ledger.add(
            self.sender,
            "websocket",
            discard.reason,
            from_time=discard.began,
            to_time=self._latest,
            offset=discard.offset,
            length=discard.seen,
            messages=discard.messages,
        )

    def _drop_fragments(self, reason: str) -> None:
        fragments = self._fragments
        assert fragments is not None
        self._fragments = None
        if fragments.compressed:
            self._poison()
        self._lose(fragments.offset, fragments.began, fragments.size, reason)

    def _lose(self, offset: int, began: int, length: int, reason: str, messages: int | None = 1) -> None:
        self._ledger.tally(self.sender, "websocket", reason, time=began, offset=offset, length=length, messages=messages)
        self._note_hole()

    def _note_hole(self) -> None:
        if not self.holes or self.holes[-1] != self.position:
            self.holes.append(self.position)

    def _fail(self, offset: int, began: int, length: int, reason: str) -> None:
        """A frame that makes a receiver fail the connection (section 5.2): nothing that follows is a message."""
        self._lose(offset, began, length, reason)
        self._stop(_AFTER_FAILURE)

    def _stop(self, over: str) -> None:
        """The receiver takes nothing that follows for a message: it lets it lie (sections 1.4 and 7.1.7)."""
        self._over = over
        if self._fragments is not None:
            self._drop_fragments(f"message without its end {over}")

    def _skip(self, offset: int, time: int, length: int) -> None:
        """Bytes of a side that is over: no messages after a close frame, and else nobody knows what they were."""
        if length:
            self._lose(offset, time, length, self._over, messages=0 if self._over == _AFTER_CLOSE else None)

    def _lose_sync(self, reason: str) -> None:
        if self._fragments is not None:
            self._drop_fragments(reason)
        self._broken = False
        self._poison()
        self._resync = self._new_resync()

    # --- holes -----------------------------------------------------------------------------------------------------------

    def _gap(self, gap: Gap, reason: str = _TORN) -> None:
        self._note_hole()
        if self._over:
            return
        if self._resync is not None:
            self._lose_buffered(self._resync, "between a gap and the next proved frame")
            self._resync = self._new_resync()
            return
        length = gap.length
        if self._discard is not None:
            if length is not None and length <= self._discard.left:
                self._discard.left -= length
                if not self._discard.left:
                    self._finish_discard()
                return
            self._finish_discard()
        elif self._pending_bytes:
            data = bytes(self._pending)
            head = frame_head(data, 0)
            self._pending = bytearray()
            self._pending_bytes = 0
            if head is not None and length is not None:
                first, _, start, size = head
                left = start + size - len(data) - length
                if left >= 0:
                    self._lose_frame(first, self._offset, self._began, len(data), left, reason)
                    return
            self._lose(self._offset, self._began, len(data), reason)
        self._lose_sync(reason)

    def _new_resync(self) -> Resync:
        return Resync(self._masked, self._inflater is not None, self._limits)

    def _search(self, item: Data) -> None:
        resync = self._resync
        assert resync is not None
        found = resync.feed(item)
        self._account_skipped(resync)
        if found is not None:
            self._resume(found)

    def _resume(self, chunks: list[Data]) -> None:
        """A frame boundary is proved: read on from there."""
        resync = self._resync
        assert resync is not None
        self._masked = resync.masked
        # A continuation can only belong to a message whose beginning is lost, and one may follow control frames.
        self._broken = True
        self._resync = None
        for chunk in chunks:
            if self._pending_bytes or self._discard or self._over:
                self._continue(chunk)
            else:
                self._frames(*chunk)

    def _account_skipped(self, resync: Resync) -> None:
        for offset, time, length in resync.take_skipped():
            self._lose(offset, time, length, "between a gap and the next proved frame", messages=None)

    def _lose_buffered(self, resync: Resync, reason: str) -> None:
        self._account_skipped(resync)
        if resync.size:
            self._lose(resync.offset, resync.time, resync.size, reason, messages=None)

    def _end(self, end: End) -> None:
        reason = (
            CAPTURE_ENDED + " inside a message" if end.reason.startswith(CAPTURE_ENDED) else "connection ended inside a message"
        )
        if self._resync is not None:
            found = self._resync.finish()
            self._account_skipped(self._resync)
            if found is not None:
                self._resume(found)
            else:
                self._lose_buffered(self._resync, "no frame boundary could be proved")
        if self._discard is not None:
            self._finish_discard()
        if self._pending_bytes:
            self._lose(self._offset, self._began, self._pending_bytes, reason)
            self._pending = bytearray()
            self._pending_bytes = 0
        if self._fragments is not None:
            self._drop_fragments(reason)

"""The values that cross layers. This module imports nothing of ours.

Two kinds live here. *Wire values* (`Packet`, `WireMessage`) are plain tuples with a documented shape: one is made for every
packet or message, and on CPython 3.11 a tuple display costs 17 ns where a NamedTuple costs 144. *Rows* are NamedTuples whose
fields are, in order, the columns of the table of the same name in `store/schema.sql`: only what is kept becomes a row.

Times are integer nanoseconds since the Unix epoch, UTC.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final, Literal, NamedTuple, TypeAlias

Sender: TypeAlias = Literal["client", "server"]
"""Who sent it: the side that opened the TCP connection, or the side that accepted it."""

# --- packets: capture -> wire ---------------------------------------------------------------------------------------------

Packet: TypeAlias = tuple[int, int, bytes, int, int]
"""(time in ns, link type, captured bytes, original length on the wire, checksum mark).

The link type is a LINKTYPE_ value of the pcap registry (1 Ethernet, 0 NULL, 101 RAW, 113 SLL, 276 SLL2, ...).
"""

CHECKSUM_UNKNOWN: Final = 0
"""Nobody vouches for the TCP checksum: verify it."""
CHECKSUM_VALID: Final = 1
"""The kernel verified it (TP_STATUS_CSUM_VALID)."""
CHECKSUM_NOT_READY: Final = 2
"""The packet was captured on its way out, before the checksum was computed (TP_STATUS_CSUMNOTREADY)."""

# --- messages: wire -> exchanges ------------------------------------------------------------------------------------------

OPCODE_TEXT: Final = 0x1
OPCODE_BINARY: Final = 0x2
OPCODE_CLOSE: Final = 0x8
OPCODE_PING: Final = 0x9
OPCODE_PONG: Final = 0xA
OPCODE_HTTP: Final = 0x100
"""Not a websocket opcode (those are four bits, RFC 6455 section 5.2): the message is an HTTP request or response."""

OPCODE_NAMES: Final[dict[int, str]] = {
    OPCODE_TEXT: "text",
    OPCODE_BINARY: "binary",
    OPCODE_CLOSE: "close",
    OPCODE_PING: "ping",
    OPCODE_PONG: "pong",
    OPCODE_HTTP: "http",
}


class HttpHead(NamedTuple):
    """Start line and header fields of an HTTP/1.x message; names are lower case, values stripped."""

    method: str | None  # of the request; on a response: of the request that it answers, where known
    target: str | None
    status: int | None  # responses only
    headers: tuple[tuple[str, str], ...]


WireMessage: TypeAlias = tuple[int, int, int, int, bytes, HttpHead | None]
"""(position, first_seen, captured_at, opcode, payload, HTTP head): one whole message, unmasked and inflated.

`first_seen` is the wire time of the packet that holds its first byte; `captured_at` the latest wire time among all packets of
this side that its delivery needed, so a hole that was filled late counts, and it never decreases from message to message.
"""


class Message(NamedTuple):
    """A `WireMessage` that is worth a decoder's look, with where it was seen."""

    connection_id: int
    sender: Sender
    position: int
    first_seen: int
    captured_at: int
    opcode: int
    payload: bytes
    http: HttpHead | None = None


# --- rows: everything -> store ---------------------------------------------------------------------------------------------


class CaptureRow(NamedTuple):
    """One source of packets. `kernel_drops` is None where nobody counted (a file)."""

    capture_id: str
    source: str
    started_at: int | None
    ended_at: int | None
    packets: int
    bytes: int
    kernel_drops: int | None


class ConnectionRow(NamedTuple):
    """One TCP connection, as known so far. `closed_at` is None while it is open."""

    connection_id: int
    capture_id: str
    opened_at: int
    closed_at: int | None
    client_ip: str
    client_port: int
    server_ip: str
    server_port: int
    protocol: str
    host: str | None
    path: str | None
    venue: str | None
    venue_guessed: bool
    account: str | None
    tls_version: str | None
    cipher: str | None
    compression: str | None
    readable: bool
    unreadable_reason: str | None
    client_bytes: int
    server_bytes: int
    lost_bytes: int
    messages: int
    unexamined: int
    pid: int | None
    process: str | None
    strategy: str | None
    unreadable_bytes: int


class MessageRow(NamedTuple):
    """One kept message, secrets redacted. `kind`: request, response, update, reference, other."""

    connection_id: int
    sender: Sender
    position: int
    first_seen: int
    captured_at: int
    opcode: str
    http_method: str | None
    http_target: str | None
    http_status: int | None
    payload: str | None
    payload_blob: bytes | None
    venue: str | None
    kind: str

    @property
    def payload_size(self) -> int:
        """Characters or bytes of the payload."""
        return len(self.payload or self.payload_blob or b"")


class OrderEvent(NamedTuple):
    """One order in one message. Prices and quantities are exact: parsed from the venue's digits, never through a float."""

    connection_id: int
    sender: Sender
    position: int
    item: int
    captured_at: int
    exchange_time: int | None
    venue: str
    account: str | None
    symbol: str | None
    kind: str
    action: str | None
    request_id: str | None
    client_order_id: str | None
    order_id: str | None
    side: str | None
    order_type: str | None
    time_in_force: str | None
    status: str | None
    status_raw: str | None
    price: Decimal | None
    stop_price: Decimal | None
    quantity: Decimal | None
    quantity_unit: str | None
    filled_quantity: Decimal | None
    average_price: Decimal | None
    reason: str | None


class FillEvent(NamedTuple):
    """One execution in one message; the same execution may be seen more than once."""

    connection_id: int
    sender: Sender
    position: int
    item: int
    captured_at: int
    exchange_time: int | None
    venue: str
    account: str | None
    symbol: str | None
    trade_id: str | None
    order_id: str | None
    client_order_id: str | None
    side: str | None
    price: Decimal | None
    quantity: Decimal | None
    quantity_unit: str | None
    fee: Decimal | None
    fee_asset: str | None
    liquidity: str | None


class Loss(NamedTuple):
    """Something that could not be read: where, how much (None: unknown), and why."""

    capture_id: str
    connection_id: int | None
    sender: Sender | None
    from_time: int | None
    to_time: int | None
    stream_offset: int | None
    bytes: int | None
    messages: int | None
    layer: str  # kernel, capture, tcp, tls, http, websocket, deflate, decoder, store
    reason: str


class Batch:
    """Rows on their way to the store. `connections` and `capture` replace what is there; the rest is appended."""

    __slots__ = ("capture", "connections", "fill_events", "losses", "messages", "order_events", "payload_size")

    def __init__(self) -> None:
        self.capture: CaptureRow | None = None
        self.connections: list[ConnectionRow] = []
        self.messages: list[MessageRow] = []
        self.order_events: list[OrderEvent] = []
        self.fill_events: list[FillEvent] = []
        self.losses: list[Loss] = []
        self.payload_size = 0
        """Of `messages`, as far as `add_message` brought them."""

    def add_message(self, row: MessageRow) -> None:
        """Append to `messages`."""
        self.messages.append(row)
        self.payload_size += row.payload_size

    def __bool__(self) -> bool:
        return bool(self.connections or self.messages or self.order_events or self.fill_events or self.losses)

    def __len__(self) -> int:
        return len(self.messages) + len(self.order_events) + len(self.fill_events) + len(self.losses)


class Position(NamedTuple):
    """How far a capture has been loaded; kept in the same file as its rows, so the two can never disagree.

    Decoding is deterministic, so `packets` alone says where to go on: everything that follows from the first `packets`
    packets of the capture is stored, nothing that follows from later ones.
    """

    capture_id: str
    packets: int
    complete: bool
    fingerprint: tuple[str, ...]
    """Digests of the first 1, 2, ... up to 32 packets: a file that has grown since is recognised as the same capture."""
    ticked: int = 0
    """Capture time (ns) up to which time alone has brought things forth since the last of these packets; 0: none has."""
    keyless: tuple[str, ...] = ()
    """Sides of TLS connections (`Engine.keyless`) whose records were held for their keys: what they hold is not stored."""
    digests: tuple[str, ...] = ()
    """Of its times and lengths (`identity.py`): it must go on as it did. Empty: its source names itself."""
    ending: str = ""
    """What the source said to have lost behind the last packet, where `complete`."""
    options: str = ""
    """The options that decide what of a capture is loaded, as the user gives them."""

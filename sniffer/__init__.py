"""sniffer: a packet-capture sidecar that puts the orders of trading strategies into DuckDB.

Words, as they are used throughout:

packet        captured bytes with a nanosecond wire time and a link type
segment       the TCP part of one packet: flow, sequence number, flags, payload
connection    one TCP connection, from SYN (or first sight) to FIN, RST or time-out, with a client and a server side
data, gap, end    what a byte layer hands on per side: bytes at a stream offset, a hole of known or unknown length, the end
message       one whole websocket message (or HTTP request or response), unmasked, inflated, with its wire times
order event   a message's meaning for an order: a request, a response or an update
fill          one execution of an order, identified by the venue's own trade id
venue         one exchange API
loss          bytes or messages that could not be read, and the reason
journal       the rotating pcapng files into which a live capture writes every packet before anything is decoded
capture       one source of packets: one `replay` call (its files merged by time), or one journal with all its runs
account       whose orders: a salted hash of the API key or listen key seen, else a configured name
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing's takes 7 ms, in which Ctrl-C would be a traceback: see `sniffer.__main__`
if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

__version__ = "0.1.0"


def connect(path: str | Path = "orders.duckdb") -> duckdb.DuckDBPyConnection:
    """A fresh read-only DuckDB connection to the database file as it is now.

    In one process a second `duckdb.connect` beside an open one silently returns the old data; this never does.

    Raises `sniffer.errors.StoreError` if the file is missing or is not a sniffer database.
    """
    from sniffer.store.read import connect as read_connect

    return read_connect(path)

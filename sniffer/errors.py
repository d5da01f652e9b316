"""The error tree. Each error's text is one line: it names the file or option, and the way out.

    SnifferError                 the work failed: exit code 1
    ├── UsageError               the call is wrong: exit code 2
    ├── CaptureError             packets cannot be had: no privilege, no interface, not a capture file
    │   └── DamagedCapture       a capture file ends, or stops making sense, at a known byte
    ├── JournalError             the journal's folder cannot be used
    └── StoreError               the database cannot be used
        └── NotOurDatabase       it is not a sniffer database, or one of a newer version

Damaged *traffic* is never an exception that leaves the engine: it becomes a gap and a row in `losses`.
"""

from __future__ import annotations


class SnifferError(Exception):
    """Base of all errors that the command line turns into one line."""

    exit_code = 1


class UsageError(SnifferError):
    """The call itself is wrong."""

    exit_code = 2


class CaptureError(SnifferError):
    """Packets cannot be read."""


class DamagedCapture(CaptureError):
    """A capture file is cut off or corrupt; everything before `offset` was read.

    `offset` counts bytes from the start of the file (of the decompressed stream for `.gz`).
    """

    def __init__(self, path: str, offset: int, reason: str) -> None:
        super().__init__(f"{path}: stopped at byte {offset}: {reason}; what came before is stored")
        self.path = path
        self.offset = offset
        self.reason = reason


class JournalError(SnifferError):
    """The journal's folder is missing or cannot be written."""


class StoreError(SnifferError):
    """The database file cannot be used."""


class NotOurDatabase(StoreError):
    """The file is not a sniffer database, or was written by a newer version."""

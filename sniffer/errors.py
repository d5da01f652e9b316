"""The error tree. Each error's text is one line: it names the file or option, and the way out.

    SnifferError                 the work failed: exit code 1
    ├── UsageError               the call is wrong: exit code 2
    ├── CaptureError             packets cannot be had: no privilege, no interface, not a capture file
    │   └── DamagedCapture       a capture file ends, or stops making sense, at a known byte
    ├── CommandError             the command of `sniffer exec` cannot be started: exit code 127 or 126, as of a shell
    ├── JournalError             the journal's folder cannot be used
    │   └── JournalBusy          another recording writes to it
    └── StoreError               the database cannot be used
        ├── DatabaseBusy         another sniffer writes it
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


class JournalBusy(JournalError):
    """Another recording writes to this journal, or is about to end."""


class CommandError(SnifferError):
    """The command that `sniffer exec` is to start is `missing` (127), or cannot be run (126)."""

    def __init__(self, message: str, missing: bool) -> None:
        super().__init__(message)
        self.exit_code = 127 if missing else 126


class StoreError(SnifferError):
    """The database file cannot be used."""


class DatabaseBusy(StoreError):
    """Another sniffer writes this database, or is about to end."""


class NotOurDatabase(StoreError):
    """The file is not a sniffer database, or was written by a newer version."""

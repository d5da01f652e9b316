"""The key log of one run: the files that were named, and what the capture itself brings."""

from __future__ import annotations

import resource
from collections.abc import Callable
from typing import Final

from sniffer.capture import PacketSource
from sniffer.capture.keylogs import KeyLogFiles
from sniffer.config import Settings
from sniffer.wire.keylog import KeyLog
from sniffer.wire.secured import NO_KEY_LOG

_IN_THE_CAPTURE: Final = "in the capture"


class Keys:
    """Keeps a `KeyLog` up to date."""

    def __init__(self, settings: Settings, say: Callable[[str], None], *, follow: bool = True) -> None:
        """`say` gets a line for each key log that cannot be used. What they hold is read at once.

        `follow`: they are looked at again and again; else the capture has ended, and they have with it.
        """
        _leave_no_core()
        self.log = KeyLog(settings.limits)
        self._files = KeyLogFiles(settings.keylog, self.log, say, follow=follow) if settings.keylog else None
        self._trouble: str | None = NO_KEY_LOG
        if self._files is not None:
            self._files.read_all()  # what was known when a recording was stopped is to be known when it goes on
            if not follow:
                self._trouble = self._files.trouble
                self._files.close()
                self._files = None
        self._note()

    def look(self, source: PacketSource) -> None:
        """What files and capture have brought since the last look."""
        if self._files is not None:
            self._files.poll()
        secrets: list[bytes] = getattr(source, "secrets", [])
        for lines in secrets:
            self.log.feed(_IN_THE_CAPTURE, lines)
            self.log.end(_IN_THE_CAPTURE)
        secrets.clear()
        self._note()

    def _note(self) -> None:
        """Why nothing is known at all: the reason of what then cannot be read."""
        if self._files is not None:
            self._trouble = self._files.trouble
        self.log.trouble = None if len(self.log) else self._trouble


def _leave_no_core() -> None:
    """From now on this process holds secrets: if it crashes, its memory is not to be written to the disk."""
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))

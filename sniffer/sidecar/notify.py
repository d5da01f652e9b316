"""What systemd is told: that the service is ready, that it lives, that it is about to end. See sd_notify(3)."""

from __future__ import annotations

import os
import socket
import time


class Notifier:
    """Tells the service manager that `$NOTIFY_SOCKET` names; without one, nothing. It is never waited for."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        watchdog = os.environ.get("WATCHDOG_USEC", "")
        ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self._interval = int(watchdog) / 3e6 if watchdog.isdecimal() and ours else None
        self._due = 0.0

    def ready(self, status: str) -> None:
        """The work has begun; `status` is a line for `systemctl status`."""
        self._tell(f"READY=1\nSTATUS={status}")

    def alive(self) -> None:
        """Say so, as often as the watchdog of the unit wants: every third of its time."""
        if self._interval is not None and time.monotonic() >= self._due:
            self._due = time.monotonic() + self._interval
            self._tell("WATCHDOG=1")

    def stopping(self) -> None:
        """The end has begun."""
        self._tell("STOPPING=1")

    def _tell(self, state: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.setblocking(False)
                sender.sendto(state.encode(), address)
        except OSError:
            pass  # the manager is not there: the recording is more important

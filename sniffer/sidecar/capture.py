"""The capture process: from the kernel's rings into the journal, and nothing else."""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from typing import Final

from sniffer.capture.journal_writer import JournalWriter
from sniffer.capture.live import LiveCapture
from sniffer.sidecar.process import Ending

STATISTICS_INTERVAL: Final = 1.0
"""Seconds between readings of the kernel's drop counter."""
READ_TIMEOUT: Final = 0.05
"""Seconds that the capture process waits for packets before it looks whether it is to end."""


def capture(send: Callable[[object], None], ending: Ending, sources: list[LiveCapture], writer: JournalWriter) -> None:
    """The capture process: ring to journal."""
    noted = time.monotonic()
    try:
        while not ending():
            ready, _, _ = select.select(sources, [], [], READ_TIMEOUT)
            for index, source in enumerate(sources):
                if source in ready:
                    writer.write(source.read(0.0), index)
            if time.monotonic() - noted >= STATISTICS_INTERVAL:
                noted = time.monotonic()
                writer.statistics(_drops(sources))
        ended_at = time.time_ns()
        for index, source in enumerate(sources):
            while packets := source.read(2 * READ_TIMEOUT):
                writer.write(packets, index)
                if packets[-1][0] > ended_at:  # the traffic itself need not end
                    break
        writer.statistics(_drops(sources))
    finally:
        writer.close()


def _drops(sources: list[LiveCapture]) -> int | None:
    counts = [source.drops() for source in sources]
    return sum(count for count in counts if count is not None) if any(count is not None for count in counts) else None

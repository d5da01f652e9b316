"""When each message was sent and handled, in memory that exchange, strategy and bench share: it outlives a killed process.

All times are `time.monotonic_ns`, one clock for all processes of a machine (clock_gettime(2)). The memory has no file
behind it, so writing a time never waits for a disk.
"""

from __future__ import annotations

import mmap
import os

from bench.cost.workload import Workload


class Times:
    """`sent` and `done` have an entry for each message, at `exchange_id * orders + order_id`; 0: not yet."""

    def __init__(self, descriptor: int, workload: Workload) -> None:
        self.descriptor = descriptor
        cells = memoryview(mmap.mmap(descriptor, 8 * (1 + 2 * workload.total))).cast("q")
        self._cpu = cells[:1]
        self.sent = cells[1 : 1 + workload.total]
        self.done = cells[1 + workload.total :]

    @classmethod
    def new(cls, workload: Workload) -> Times:
        descriptor = os.memfd_create("times")
        os.ftruncate(descriptor, 8 * (1 + 2 * workload.total))
        return cls(descriptor, workload)

    @property
    def cpu(self) -> float:
        """CPU seconds that the strategy had used when its connections were open."""
        return self._cpu[0] / 1e9

    @cpu.setter
    def cpu(self, seconds: float) -> None:
        self._cpu[0] = int(seconds * 1e9)

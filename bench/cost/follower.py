"""python -m bench.cost.follower JOB: reads the orders in the shared memory, each millisecond, and commits them to SQLite."""

from __future__ import annotations

import mmap
import sqlite3
import sys
import time
from typing import Final

from bench.cost.job import Job
from bench.cost.local import HEAD, INSERT, RECORD, TABLE

PAUSE: Final = 0.001


def main(job: Job) -> None:
    database = sqlite3.connect(job.folder / "orders.sqlite")
    database.execute(TABLE)
    with (job.folder / "orders.shared").open("rb") as mapped:
        memory = mmap.mmap(mapped.fileno(), 0, access=mmap.ACCESS_READ)
    print("following", file=sys.stderr, flush=True)
    read = 0
    while True:
        (count,) = HEAD.unpack_from(memory)
        if count > read:
            records = memory[HEAD.size + read * RECORD.size : HEAD.size + count * RECORD.size]
            database.executemany(INSERT, RECORD.iter_unpack(records))
            database.commit()
            read = count
        time.sleep(PAUSE)


if __name__ == "__main__":
    main(Job.read(sys.argv[1]))

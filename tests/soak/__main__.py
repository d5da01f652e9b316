"""The soak's command line: see the package."""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import duckdb

from sniffer.config import Settings
from sniffer.errors import SnifferError
from sniffer.sidecar.ask import ask
from tests.live.live_tools import Recording, wait_for
from tests.soak.gauges import Gauges
from tests.soak.reader import GROUP
from tests.soak.readers import DEFAULT, Readers
from tests.soak.traffic import Traffic
from tests.soak.verdict import Found, broken, summary

SETTINGS: Final = f"""
group = "{GROUP}"
journal_segment_bytes = 8388608
journal_max_bytes = 268435456
"""
"""Default but for a journal of which segments go all the time; it holds more than a minute."""
INTRUSIONS: Final = ("open", "replace")


def soak(folder: Path, seconds: float, rate: int, seed: int, manners: str, pause: float) -> list[str]:
    """Run it, print the figures; the promises that broke. `pause`: seconds between two intrusions, 0 for none.

    Raises `ValueError` for a manner of reading that there is not, `AssertionError` where the recording itself fails.
    """
    db, config, keys = (folder / name for name in ("orders.duckdb", "sniffer.toml", "keys.log"))
    config.write_text(SETTINGS)
    keys.touch(0o600)
    readers = Readers(db, manners)
    with Traffic(rate, seed, keys) as traffic:
        ports = [option for port in traffic.ports for option in ("--port", port)]
        with Recording(db, "--config", config, "--keylog", keys, *ports) as recording:
            try:
                readers.begin()
                with Gauges(recording, db) as gauges:
                    traffic.begin()
                    tend(readers, seconds, pause)
                    books = traffic.end()
                wait_for(lambda: drained(db), "the journal to be loaded", 60)
                done = recording.stop()
            finally:
                readers.end()
    found = Found.read(db)
    for line in summary(found, books, readers.log, gauges):
        print(line, flush=True)
    problems = list(broken(found, books, readers.log, gauges))
    if done.code != 0 or "Traceback" in done.err:
        problems.append(f"the recording ended with exit code {done.code}: {done.err[-2000:]}")
    told = sum(str(db) in line for line in done.err.splitlines()[1:])
    if told < readers.log.written:
        problems.append(f"{readers.log.written} clients wrote, and the recording tells of {told}: {done.err}")
    with duckdb.connect(str(db)) as own:  # it is its user's again
        own.execute("CREATE TABLE mine AS SELECT 1 AS one")
    return problems


def tend(readers: Readers, seconds: float, pause: float) -> None:
    """Look after the readers for so long, and send in a privileged client now and then."""
    now = time.monotonic()
    end, due, count = now + seconds, now + pause, 0
    while now < end:
        time.sleep(min(0.1, end - now))
        readers.tend()
        now = time.monotonic()
        if pause and now > due:
            readers.intrude(INTRUSIONS[count % len(INTRUSIONS)])
            count += 1
            due = now + pause


def drained(db: Path) -> bool:
    """Whether all that was captured is loaded."""
    try:
        return bool(ask(Settings(db=db))["journal"]["behind_packets"] == 0)
    except SnifferError:  # the machine is busy
        return False


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--rate", type=int, default=5_000, help="messages a second, one in ten an order")
    parser.add_argument("--seed", type=int, default=random.randrange(1, 10**6))
    parser.add_argument("--readers", default=DEFAULT, help=f"manners of reading, and how many of each [{DEFAULT}]")
    parser.add_argument("--intrusions", type=float, default=30.0, help="seconds between read-write clients of root; 0: none")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))  # not without its processes
    print(f"seed {options.seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="sniffer-soak-"))
    folder.chmod(0o755)  # for every user, as pytest's and Python's own are not
    try:
        problems = soak(folder, options.minutes * 60, options.rate, options.seed, options.readers, options.intrusions)
    except ValueError as error:
        parser.error(str(error))
    finally:
        shutil.rmtree(folder)
    for problem in problems:
        print(f"BROKEN      {problem}")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()

"""Kills the processes of a recording at random while traffic goes on, and compares the database with what was sent.

    python -m tests.crash.killing --kills 200 [--seed N] [--only capture,load] [--interfaces]

The traffic is plain and over TLS, compressed and not, on loopback or (`--interfaces`) on loopback and a veth pair. Where only
children are killed, nothing may be missing. Where the supervisor is, what was sent between its death and the next recording is
missing, and each such message must be covered by a row in `losses`. A child that waits to be started again is not killed, nor
counted.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from sniffer.config import Limits
from tests.crash.crash_interfaces import DEVICE, LOOPBACK, Namespaces
from tests.crash.crash_traffic import Books, Kind, Traffic
from tests.live.live_tools import Recording, rows, sniffer_command, wait_for

KEY_LOG = "keys.log"
CHILDREN = ("capture", "load")
TARGETS = (*CHILDREN, "supervisor", "all")
SLACK = 1_000_000_000
"""ns between a message's sending and the packets around it, at most, on a busy machine."""

LONGEST = 180.0
"""Seconds that processes may take to begin, and to finish what they have, on a busy machine."""


class Outcome(NamedTuple):
    """What came of it."""

    seed: int
    kills: Counter[str]
    connections: int
    sent: Counter[Kind]
    stored: Counter[Kind]
    """Each other message is missing, and covered by a row in `losses`."""
    losses: Counter[str]

    def __str__(self) -> str:
        kills = ", ".join(f"{count} {target}" for target, count in sorted(self.kills.items()))
        sent, stored = self.sent.total(), self.stored.total()
        by_kind = "".join(
            f"\n  {kind}: {self.stored[kind]:,} of {count:,} stored" for kind, count in sorted(self.sent.items(), key=str)
        )
        return (
            f"seed {self.seed}: killed {kills}; {self.connections:,} connections, {sent:,} messages sent, "
            f"{stored:,} stored, {sent - stored:,} missing and accounted for by {self.losses.total():,} rows in losses{by_kind}"
        )


def run(
    folder: Path, seed: int, kills: int, targets: tuple[str, ...] = TARGETS, namespaces: Namespaces | None = None
) -> Outcome:
    """Kill `kills` times, then compare. Raises `AssertionError` where a promise is broken.

    `namespaces`: where the traffic goes over two interfaces; None: loopback alone.
    """
    print(f"seed {seed}")
    rng = random.Random(f"kills {seed}")
    db, keys = folder / "orders.duckdb", folder / KEY_LOG
    keys.touch(0o600)
    killed: Counter[str] = Counter()
    ways, prefix = (namespaces.ways, namespaces.prefix) if namespaces else ([LOOPBACK], [])
    with Traffic(seed, keys, ways) as traffic:
        options = ["--keep", "all", "--publish-interval", "0.1", "--keylog", keys]
        options += [part for port in traffic.ports.values() for part in ("--port", port)]
        options += ["-i", DEVICE] if namespaces else []
        recording = Recording(db, *options, prefix=prefix, patience=LONGEST)
        recording.__enter__()
        traffic.begin()
        try:
            while killed.total() < kills:
                time.sleep(rng.uniform(0.05, 0.8))
                children = recording.children()
                there = [target for target in targets if target in children or target not in CHILDREN]
                if not there:
                    continue
                target = rng.choice(there)
                killed[target] += 1
                if kill(recording, target, children):
                    recording.__exit__(None, None, None)
                    recording = Recording(db, *options, prefix=prefix, patience=LONGEST)
                    recording.__enter__()
            time.sleep(0.5)
            traffic.end()
            done = recording.stop()
        finally:
            recording.__exit__(None, None, None)
    assert done.code == 0, done.err
    assert "Traceback" not in done.err, done.err
    return compare(db, seed, killed, traffic.books)


def kill(recording: Recording, target: str, children: dict[str, int]) -> bool:
    """Kill a process, or all at once; True if the recording is over by that."""
    if target in CHILDREN:
        os.kill(children[target], signal.SIGKILL)
        return False
    pids = [recording.pid, *(children.values() if target == "all" else ())]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    recording.process.wait()
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children.values()), "the end of the children", LONGEST)
    return True


def compare(db: Path, seed: int, killed: Counter[str], books: dict[int, Books]) -> Outcome:
    """The database against the books: nothing wrong, nothing twice, nothing missing without account."""
    whole = not killed["supervisor"] and not killed["all"]
    stored = messages(db)
    losses = rows(db, "SELECT layer || ': ' || reason, connection_id, from_time, to_time FROM losses")
    ports = {port for _, port in rows(db, "SELECT DISTINCT connection_id, client_port FROM connections")}
    assert ports <= set(books)
    versions = dict(rows(db, "SELECT client_port, tls_version FROM connections WHERE tls_version IS NOT NULL"))
    assert all(books[port].kind.tls == version for port, version in versions.items()), "another version of TLS"
    windows = rows(db, "SELECT epoch_ns(from_time), epoch_ns(to_time) FROM losses WHERE connection_id IS NULL")
    lossy = {port for (port,) in rows(db, "SELECT client_port FROM losses JOIN connections USING (connection_id)")}
    sent: Counter[Kind] = Counter()
    kept: Counter[Kind] = Counter()
    for port, book in books.items():
        for sender, said in book.sent.items():
            found = stored.get((port, sender), [])
            texts = [text for _, text in said]
            rest = iter(texts)
            assert all(text in rest for text in found), (
                f"{sender} of {port}: a message that was not sent, twice, or out of order"
            )
            missing = set(texts) - set(found)
            sent[book.kind] += len(texts)
            kept[book.kind] += len(found)
            for at, text in said:
                if text in missing:
                    assert not whole, f"{sender} of {port}: lost {text[:60]}, where no packet may be lost"
                    inside = any((start or 0) - SLACK <= at <= (end or at) + SLACK for start, end in windows)
                    assert port in lossy or inside, f"{sender} of {port} ({book.kind}): {text[:60]} is missing without account"
    if whole:
        assert losses == []
    again = db.with_name("again.duckdb")
    journal = sorted(db.parent.glob("*.journal/*.pcapng"))
    # Each load process had this budget for itself; and the log has the secrets of later connections now, too.
    settings = db.with_name("sniffer.toml")
    guesses, secrets = Limits().tls_guesses * (1 + killed.total()), len(books)
    settings.write_text(f"[limits]\ntls_guesses = {guesses}\ntls_secrets = {secrets}\n")
    env = {"SNIFFER_CONFIG": str(settings)}
    call = ["replay", *journal, "--keep", "all", "--keylog", db.with_name(KEY_LOG), "--db", again]
    sniffer_command(*call, env=env, timeout=60 + 10 * killed.total())
    assert messages(again) == stored, "the journal, decoded again, gives other messages"
    return Outcome(seed, killed, len(books), sent, kept, Counter(loss[0] for loss in losses))


def messages(db: Path) -> dict[tuple[int, str], list[str]]:
    """The text messages of each side, by the client's port, in their order; fails where a position stands twice."""
    found: dict[tuple[int, str], list[str]] = {}
    last: dict[tuple[int, str], tuple[int, int]] = {}
    sql = """SELECT client_port, sender, opened_at::VARCHAR, position, payload
        FROM messages JOIN connections USING (connection_id)
        WHERE opcode = 'text' ORDER BY client_port, sender, opened_at, position"""
    for port, sender, opened, position, payload in rows(db, sql):
        assert last.get((port, sender)) != (opened, position), f"{sender} of {port}: position {position} stands twice"
        last[port, sender] = opened, position
        found.setdefault((port, sender), []).append(payload)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.randrange(1, 10**6))
    parser.add_argument("--only", default=",".join(TARGETS), help="what is killed, of " + ",".join(TARGETS))
    parser.add_argument("--folder", type=Path, help="an empty folder, which is left as it is in the end")
    parser.add_argument("--interfaces", action="store_true", help="on two interfaces; needs root")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sniffer-crash-")))
        namespaces = stack.enter_context(Namespaces()) if options.interfaces else None
        outcome = run(folder, options.seed, options.kills, tuple(options.only.split(",")), namespaces)
    print(outcome)
    for reason, count in outcome.losses.most_common(12):
        print(f"  {count:6} {reason}")


if __name__ == "__main__":
    main()

"""TLS through the loop from packets to rows: keys that come late, between two runs, or stand in the capture itself."""

from __future__ import annotations

import random
import resource
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pcaps.kit.tls import AES_128_GCM_13, CHACHA20_13, ECDHE_AES_128_GCM
from sniffer.config import Settings
from sniffer.keys import Keys
from sniffer.model import ConnectionRow, Loss, Packet
from sniffer.pipeline import Pipeline
from sniffer.store.store import Store
from sniffer.summary import Summary
from tests.command_line import PCAPS, run
from tests.conversations import random_conversation
from tests.loading import NEVER, Memory, Source, content
from tests.secured import SecuredFlow, secured

SEED = random.randrange(1 << 32)
SUITES = [AES_128_GCM_13, CHACHA20_13, ECDHE_AES_128_GCM]

pytestmark = pytest.mark.usefixtures("settings_folder")


class KeyFile:
    """A key log on disk."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "keys.log"
        self.path.touch(0o600)

    def write(self, text: str) -> None:
        self.path.write_text(text)


@pytest.fixture
def key_file(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path)


def load(target: Memory | Store, source: Source, key_file: KeyFile, publish_interval: float = NEVER) -> Summary:
    settings = Settings(keep="all", keylog=(key_file.path,))
    keys = Keys(settings, lambda line: pytest.fail(line), follow=False)
    return Pipeline(target, settings, publish_interval=publish_interval, keys=keys).run(source)


def random_tls(rng: random.Random, messages: int = 8) -> SecuredFlow:
    return secured(rng, random_conversation(rng, messages=messages, largest=600), rng.choice(SUITES))


def losses(memory: Memory) -> list[Loss]:
    return [row for row in memory.rows if isinstance(row, Loss)]


# --- between two runs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(4))
def test_keys_that_come_between_two_runs(key_file: KeyFile, number: int) -> None:
    """Whatever was stored without them: the second run stores what was held, once, and nothing twice."""
    print(f"seed {SEED + number}")
    rng = random.Random(SEED + number)
    flow = random_tls(rng)
    packets = flow.flow.packets()
    key_file.write(flow.key_log)
    wanted = Memory()
    load(wanted, Source(packets, identity="one"), key_file)
    assert not losses(wanted)
    closing = next(at for at, sent in enumerate(flow.flow.sent) if sent.flags & 1)
    for stop in sorted(rng.sample(range(1, closing), 12)):
        known = rng.randrange(len(flow.keys))  # lines that the first run had; the last one may be torn
        found = Memory()
        key_file.write("".join(f"{line}\n" for line in flow.keys[:known]) + flow.keys[known][: rng.randrange(200)])
        load(found, Source(packets[:stop], rng.randrange(1, 20), identity="one"), key_file)
        key_file.write(flow.key_log)
        load(found, Source(packets, rng.randrange(1, 20), identity="one"), key_file)
        assert found.rows == wanted.rows, f"stopped after {stop} packets with {known} lines"
        assert found.connections == wanted.connections


def test_a_run_that_is_killed_while_records_are_held(tmp_path: Path, key_file: KeyFile) -> None:
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    flow = random_tls(rng, 40)
    packets = flow.flow.packets()
    key_file.write(flow.key_log)
    with Store(tmp_path / "one.duckdb") as store:
        load(store, Source(packets), key_file)
    wanted = content(tmp_path / "one.duckdb")
    closing = next(at for at, sent in enumerate(flow.flow.sent) if sent.flags & 1)
    for number in range(3):
        db = tmp_path / f"{number}.duckdb"
        source = Source(packets[: rng.randrange(40, closing)], rng.randrange(1, 10))
        source.raises = ConnectionResetError("killed")
        key_file.write("")
        with Store(db) as store, pytest.raises(ConnectionResetError):
            load(store, source, key_file, publish_interval=0.0)
        key_file.write(flow.key_log)
        with Store(db) as store:
            load(store, Source(packets, rng.randrange(1, 30)), key_file)
        assert content(db) == wanted


def test_keys_that_come_after_the_connection_s_end_change_nothing(key_file: KeyFile) -> None:
    """Its loss is stored; `--replace` reads it anew."""
    flow = random_tls(random.Random(5))
    flow.flow.time += 10_000_000_000
    flow.flow.put("client", 2)  # a SYN of another time: the connection before it has ended
    packets = flow.flow.packets()
    found = Memory()
    load(found, Source(packets, identity="one"), key_file)
    before = found.rows.copy()
    assert {loss.reason for loss in losses(found) if loss.layer == "tls"} == {"no key log line for this client random"}
    key_file.write(flow.key_log)
    load(found, Source([*packets, packets[-1]], identity="one"), key_file)
    assert found.rows == before


# --- while it runs -----------------------------------------------------------------------------------------------------------


class Growing(Source):
    """A source during which the key log grows."""

    def __init__(self, packets: Sequence[Packet], block: int, key_file: KeyFile, at: int, text: str) -> None:
        super().__init__(packets, block)
        self._grow = key_file, at, text

    def blocks(self) -> Iterator[list[Packet]]:
        key_file, at, text = self._grow
        for number, block in enumerate(super().blocks()):
            if number == at:
                key_file.write(text)
            yield block


def test_a_followed_key_log_is_read_between_blocks(key_file: KeyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sniffer.capture.keylogs.POLL_INTERVAL", 0.0)
    monkeypatch.setattr("sniffer.capture.keylogs._SHARE", 0)
    flow = random_tls(random.Random(6))
    packets = flow.flow.packets()
    key_file.write(flow.key_log)
    wanted = Memory()
    load(wanted, Source(packets), key_file)
    for at in (0, 1, 5, len(packets) // 8):
        key_file.write("# nothing yet\n")
        settings = Settings(keep="all", keylog=(key_file.path,))
        found = Memory()
        source = Growing(packets, 7, key_file, at, "# nothing yet\n" + flow.key_log)
        Pipeline(found, settings, publish_interval=0.0, keys=Keys(settings, lambda line: pytest.fail(line))).run(source)
        assert found.rows == wanted.rows


# --- what the table says -----------------------------------------------------------------------------------------------------


def rows_of(*names: str, keylog: tuple[Path, ...] = (), said: list[str] | None = None) -> list[ConnectionRow]:
    from sniffer.capture.merge import merge
    from sniffer.capture.pcapfile import open_capture

    settings = Settings(keep="all", keylog=keylog)
    keys = Keys(settings, (said if said is not None else []).append, follow=False)
    memory = Memory()
    source = merge([open_capture(str(PCAPS / name)) for name in names])
    Pipeline(memory, settings, publish_interval=NEVER, keys=keys).run(source)
    return [ConnectionRow(*row) for row in memory.connections.values()]


def test_columns_of_a_connection() -> None:
    (row,) = rows_of("tls/tls12-compressed.pcapng")
    assert (row.protocol, row.host, row.path) == ("wss", "exchange.example", "/ws")
    assert (row.tls_version, row.cipher) == ("TLSv1.2", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384")
    assert (row.compression, row.readable, row.unreadable_reason) == ("permessage-deflate", True, None)
    assert (row.messages, row.lost_bytes) == (18, 0)


def test_secrets_behind_the_packets_do() -> None:
    (late,) = rows_of("tls/late-keys.pcapng")
    (plain,) = rows_of("tls/tls13-plain.pcapng")
    assert (late.protocol, late.messages, late.lost_bytes) == (plain.protocol, plain.messages, 0)


def test_why_it_cannot_be_read(tmp_path: Path) -> None:
    name = "tls/without-keys.pcapng"
    (row,) = rows_of(name)
    assert row.unreadable_reason == "TLS, and no key log is read"
    said: list[str] = []
    (row,) = rows_of(name, keylog=(tmp_path / "no.log",), said=said)
    assert row.unreadable_reason == "key log not found"
    assert said == [f"{tmp_path / 'no.log'}: there is no such key log; what it has the secrets of stays unread"]
    (row,) = rows_of(name, keylog=(Path("/dev/null"),))
    assert row.unreadable_reason == "key log cannot be read"
    (row,) = rows_of("tls/keys-of-others.pcapng")
    assert row.unreadable_reason == "no key log line for this client random"


def test_the_command_line_reads_several_key_logs(tmp_path: Path) -> None:
    flows = [SecuredFlow(seed=seed).started() for seed in (11, 12)]
    keys = [tmp_path / f"{number}.log" for number in range(2)]
    for flow, path in zip(flows, keys, strict=True):
        path.write_text(flow.key_log)
        path.chmod(0o644)
    found = run(
        "replay", PCAPS / "tls" / "without-keys.pcapng", "--keylog", keys[0], "--keylog", keys[1], "--db", tmp_path / "a.duckdb"
    )
    assert found.code == 0
    assert [line.partition(": ")[2].partition(":")[0] for line in found.err.splitlines()] == [str(path) for path in keys]
    assert "not readable: exchange.example: no key log line for this client random" in found.out


def test_who_holds_secrets_leaves_no_core() -> None:
    before = resource.getrlimit(resource.RLIMIT_CORE)
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
        Keys(Settings(), print)
        assert resource.getrlimit(resource.RLIMIT_CORE) == (0, before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)


def test_secrets_are_nowhere(tmp_path: Path) -> None:
    """Neither in the database, nor in what is printed, nor in what an object shows of itself."""
    db = tmp_path / "orders.duckdb"
    capture = PCAPS / "tls" / "tls13-plain.pcapng"
    result = run("replay", capture, "--db", db, "--keep", "all")
    from tests.unit.test_export_capture import keys_of

    secrets = [line.split()[2] for line in keys_of(capture).decode().splitlines()]
    assert len(secrets) == 4
    stored = db.read_bytes() + b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for secret in secrets:
        assert secret not in result.out + result.err
        assert bytes.fromhex(secret) not in stored
        assert secret.encode() not in stored

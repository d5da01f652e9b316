"""Real TLS libraries on loopback, captured live and read with their key log: every byte that was said, and in its place.

One capture for all conversations, so that each costs a few milliseconds. `docs/tls.md` lists them, which is
checked here.
"""

from __future__ import annotations

import itertools
import random
import shutil
import socket
import ssl
import struct
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sniffer.model import Packet
from tests.live.live_openssl import SUITES_13, Pair, free_port, standard_names
from tests.live.live_tls import Capture, Heard, Said, make_certificates, read
from tests.live.live_tls_cases import KEY_UPDATES, RENEGOTIATIONS, SUITES_PSK, Stage, openssl_cases, python_cases
from tests.live.live_tools import LIVE, ROOT, SEED

pytestmark = [
    *LIVE,
    pytest.mark.xdist_group("stacks"),  # all ask one capture
    pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed"),
    pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1"),  # what is old must be told from what is broken
]

PYTHON = dict(python_cases())
HANDSHAKE = 12
"""Packets within which most handshakes are over."""
OPENSSL_SERVERS = 12
"""How many `s_server` there are at most; each has a port of its own."""


@dataclass
class Day:
    """All conversations, what was captured of them, and what was read."""

    said: dict[str, Said]
    heard: dict[str, Heard]
    packets: list[Packet]
    keys: bytes


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    yield hold(tmp_path_factory.mktemp("tls"), random.Random(f"tls {SEED}"))
    print(f"seed {SEED}")


def hold(folder: Path, rng: random.Random) -> Day:
    """Hold all conversations, and read them."""
    make_certificates(folder)
    said: dict[str, Said] = {}
    servers: dict[str, tuple[int, int]] = {}
    ports = [free_port() for _ in range(OPENSSL_SERVERS)]
    left = iter(ports)
    counts: dict[int, int] = defaultdict(int)
    now = 0

    def pair(*options: object) -> Pair:
        nonlocal now
        now = next(left)
        return Pair(now, folder / "openssl.keys", rng, *options)

    with socket.create_server(("127.0.0.1", free_port())) as listener:
        own = listener.getsockname()[1]
        with Capture([own, *ports]) as capture:
            stage = Stage(folder, listener, folder / "python.keys", rng)
            for name, case in PYTHON.items():
                said[name] = case(stage)
            for name, talk in openssl_cases(pair, folder):
                said[name] = talk
                servers[name] = (now, counts[now])
                counts[now] += 1
    keys = b"".join((folder / f"{name}.keys").read_bytes() for name in ("python", "openssl"))
    by_port: dict[int, list[Heard]] = defaultdict(list)
    for one in read(capture.packets, keys):
        by_port[one.server_port].append(one)
    clients = {one.client_port: one for one in by_port[own]}
    heard = {name: clients[talk.port] for name, talk in said.items() if talk.port}
    heard |= {name: by_port[port][number] for name, (port, number) in servers.items()}
    return Day(said, heard, capture.packets, keys)


def reason(name: str) -> str | None:
    """Why a conversation cannot be read, where it cannot."""
    if "ARIA" in name or "NULL" in name:
        return "suite"
    if name in ("TLSv1", "TLSv1.1"):
        return "TLS 1.0" if name == "TLSv1" else "TLS 1.1"
    return "h2" if name.endswith("h2") else None


def names() -> list[str]:
    """All conversations, as far as they are known before they are held."""
    more = [f"TLSv1.3 {suite}" for suite in SUITES_13]
    more += [f"TLSv1.2 {suite}" for suite in SUITES_PSK]
    more += [f"TLSv1.3, {name}" for name in KEY_UPDATES]
    more += [f"TLSv1.2, {name}" for name in RENEGOTIATIONS]
    more += ["TLSv1.3, pre-shared key", "TLSv1.3, pre-shared key alone", "TLSv1.3, padded"]
    more += [f"TLSv1.3, {what}" for what in ("before early data", "early data accepted", "early data refused")]
    return [*PYTHON, *more]


@pytest.mark.parametrize("name", names())
def test_what_was_said_is_what_was_read(day: Day, name: str) -> None:
    said, heard, why = day.said[name], day.heard[name], reason(name)
    layer = heard.layer
    if why is not None:
        assert why in (layer.unreadable_reason or "")
        assert (heard.client, heard.server) == (b"", b"")
        assert {loss.layer for loss in heard.losses} == {"tls"}
        assert sum(loss.bytes or 0 for loss in heard.losses) >= len(said.client) + len(said.server)
        return
    not_delivered = ["early data that the server rejected"] if name.endswith("refused") and "early" in name else []
    assert [loss.reason for loss in heard.losses] == not_delivered
    assert heard.client == said.client
    assert heard.server == said.server
    assert layer.unreadable_reason is None
    assert layer.version == said.version
    if said.cipher is not None:
        assert layer.cipher == standard_names()[said.cipher]
    assert not layer.waiting
    assert layer.held_bytes() == 0


def test_all_conversations_are_known(day: Day) -> None:
    assert set(day.said) == set(names())


def test_names_and_protocols(day: Day) -> None:
    assert {day.heard[name].layer.sni for name in PYTHON if "no SNI" not in name} == {"exchange.example"}
    for version in ("TLSv1.2", "TLSv1.3"):
        assert day.heard[f"{version}, no SNI"].layer.sni is None
        assert day.heard[f"{version}, ALPN http/1.1"].layer.alpn == "http/1.1"
        assert day.heard[version].layer.alpn is None


def test_blocks_do_not_matter(day: Day) -> None:
    """One packet at a time gives the same bytes and the same losses."""
    for one, other in zip(read(day.packets, day.keys, 1), read(day.packets, day.keys, 10_000), strict=True):
        assert (one.client, one.server) == (other.client, other.server)
        assert one.losses == other.losses
        assert one.layer.unreadable_reason == other.layer.unreadable_reason


def test_without_keys_nothing_is_read_and_every_connection_says_why(day: Day) -> None:
    for one in read(day.packets, b""):
        assert (one.client, one.server) == (b"", b"")
        assert one.layer.unreadable_reason


def test_with_the_keys_of_others_nothing_is_read(day: Day) -> None:
    """Each client random with the secrets of the line before: they must be refused by tag or MAC."""
    lines = [line.split() for line in day.keys.decode().splitlines() if line and not line.startswith("#")]
    by_label: dict[str, list[list[str]]] = defaultdict(list)
    for line in lines:
        by_label[f"{line[0]} {len(line[2])}"].append(line)
    mixed = [
        f"{line[0]} {line[1]} {other[2]}\n"
        for group in by_label.values()
        for line, other in zip(group, group[1:] + group[:1], strict=True)
        if line[2] != other[2]
    ]
    for one in read(day.packets, "".join(mixed).encode()):
        assert (one.client, one.server) == (b"", b"")


# --- with less than everything ---------------------------------------------------------------------------------------------


def in_order(runs: list[bytearray], said: bytes) -> bool:
    """Whether each run stands in what was said, one behind the other."""
    at = 0
    for run in runs:
        found = said.find(run, at)
        if found < 0:
            return False
        at = found + len(run)
    return True


def numbered(day: Day) -> Iterator[tuple[str, int, Packet]]:
    """Each packet with its conversation, and its number in it, from 1."""
    names = {(one.client_port, one.server_port): name for name, one in day.heard.items()}
    seen: dict[str, int] = defaultdict(int)
    for packet in day.packets:
        source, destination = struct.unpack_from("!HH", packet[2], 34)
        name = names.get((source, destination)) or names.get((destination, source))
        if name is not None:
            seen[name] += 1
            yield name, seen[name], packet


def partly(day: Day, packets: list[Packet]) -> dict[str, Heard]:
    """What is read of some of the packets, by conversation; nothing that was not said, nothing out of order."""
    names = {(one.client_port, one.server_port): name for name, one in day.heard.items()}
    found = {names[one.client_port, one.server_port]: one for one in read(packets, day.keys)}
    for name, one in found.items():
        assert in_order(one.client_runs, day.said[name].client), name
        assert in_order(one.server_runs, day.said[name].server), name
    return found


def test_joined_in_the_middle(day: Day) -> None:
    """The first packets are not captured, so the handshake is not, or all but its end: TLS 1.3 is read from there on."""
    readable = {name for name in day.said if name.startswith("TLSv1.3") and reason(name) is None}
    found = partly(day, [packet for name, number, packet in numbered(day) if name in readable and number > HANDSHAKE])
    assert sum(bool(one.client and one.server) for one in found.values()) >= 15


@pytest.mark.parametrize("share", [0.02, 0.2])
def test_packets_are_missing(day: Day, share: float) -> None:
    """What is not read is accounted for, and it goes on behind it."""
    rng = random.Random(f"{SEED} {share}")
    some = [packet for _, number, packet in numbered(day) if number <= HANDSHAKE or rng.random() > share]
    gone_on = 0
    for name, one in partly(day, some).items():
        if (one.client, one.server) != (day.said[name].client, day.said[name].server):
            assert one.losses, name
        gone_on += len(one.client_runs) > 1 and len(one.client_runs[-1]) > 0
    assert gone_on >= 10


# --- docs/tls.md --------------------------------------------------------------------------------------------------------------


def table(heading: str) -> dict[str, list[str]]:
    """A table of `docs/tls.md` by the first words of its head: the other columns by the first."""
    lines = (ROOT / "docs" / "tls.md").read_text(encoding="utf-8").splitlines()
    rows = itertools.takewhile(lambda line: line.startswith("|"), itertools.dropwhile(lambda line: heading not in line, lines))
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return {first: rest for first, *rest in cells[2:]}


def family(suite: str) -> str:
    """The row of a suite: by its cipher."""
    words = {"ARIA": "ARIA-GCM", "NULL": "NULL", "CHACHA20": "ChaCha20-Poly1305", "GCM": "AES-GCM", "CCM": "AES-CCM, CCM-8"}
    words |= {"CAMELLIA": "Camellia-CBC", "": "AES-CBC"}
    return next(row for word, row in words.items() if word in suite)


def test_the_table_of_suites() -> None:
    rows = table("| cipher |")
    counts = Counter((family(name), name[:7]) for name in names() if " " in name and "," not in name)
    readable = {family(name): reason(name) is None for name in names() if " " in name and "," not in name}
    assert {row: cells[2].startswith("yes") for row, cells in rows.items()} == readable
    if ssl.OPENSSL_VERSION.split()[1] in (ROOT / "docs" / "tls.md").read_text(encoding="utf-8"):
        shown = {(row, f"TLSv1.{n}"): int(cells[n - 2]) for row, cells in rows.items() for n in (2, 3) if cells[n - 2] != "-"}
        assert shown == counts


def test_the_table_of_everything_else() -> None:
    held: dict[str, dict[str, bool]] = defaultdict(dict)
    for name in names():
        which, _, what = name.partition(", ")
        if what and what != "MAC then encrypt":
            held[what][which[:7]] = reason(name) is None
    shown = {
        row: {f"TLSv1.{n}": cells[n - 2] == "yes" for n in (2, 3) if cells[n - 2] != "-"}
        for row, cells in table("| tried with |").items()
    }
    assert shown == held


def test_every_suite_of_this_openssl_was_held() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers("ALL:eNULL:!SRP:@SECLEVEL=0")
    tried = {name.split(" ")[1].rstrip(",") for name in names() if " " in name}
    assert {suite["name"] for suite in context.get_ciphers()} <= tried

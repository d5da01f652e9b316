"""Secrets planted wherever a venue's documentation has one (`secret_places.txt`) are in no file that the product writes.

The same traffic, plain and over TLS, on the venues' hosts and on unknown ones, is replayed with every message kept. Files are
searched as they lie on disk, and what is compressed in them as a reader sees it; the canaries, which are found, show that.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import duckdb
import pytest

from pcaps.kit.files import record
from pcaps.kit.frames import upgrade_request, upgrade_response
from pcaps.kit.talk import Talk
from pcaps.kit.tls import HANDSHAKE, TlsTalk, sealed_record
from pcaps.kit.tls import record as tls_record
from sniffer.exchanges import VENUES
from sniffer.model import Sender
from sniffer.store.store import Store
from tests.command_line import Result, run

MARK, CANARY = b"pLaNtEd", b"cAnArY"
PRINTABLE = "sEcReT0123456789"
NAMELESS = ("binance-spot: /stream", "bitfinex: /v2/auth/w/token", "kraken-futures: /ws/v1", "kucoin: /v1/private?")
"""Places whose secret is a value that nothing names (a lone word, a `result`): on a host of no known venue it may be anything,
and is kept by `--keep all` as it was sent; docs/operating.md says so."""

pytestmark = pytest.mark.usefixtures("settings_folder")


class Place(NamedTuple):
    """A connection: a websocket, or one HTTP call (`method`)."""

    venue: str
    host: str
    method: str | None
    target: str
    headers: list[str]
    said: list[tuple[Sender, str]]


def _places() -> Iterator[Place]:
    text = Path(__file__).with_name("secret_places.txt").read_text(encoding="utf-8")
    for block in text.split("\n\n")[1:]:
        first, *lines = block.splitlines()
        venue, host, method, target = first.split(" ")
        said: list[tuple[Sender, str]] = [
            ("client" if line[0] == ">" else "server", line[2:]) for line in lines if line[0] in "<>"
        ]
        headers = [line for line in lines if line[0] not in "<>"]
        yield Place(venue, host, None if method == "WEBSOCKET" else method, target, headers, said)


PLACES = list(_places())


class Planter:
    """Puts a mark of its own into every place, so that one that is found says which place it is from."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self.places: dict[str, str] = {}

    def plant(self, text: str, where: str) -> str:
        while "SECRET" in text:
            mark = f"{MARK.decode()}{next(self._numbers):04d}{PRINTABLE * 3}"
            self.places[mark] = where
            text = text.replace("SECRET", mark, 1)
        return text.replace("CANARY", CANARY.decode())


def traffic(planter: Planter, *, known: bool, secured: bool) -> list[Talk]:
    """A connection for each place. `known`: it goes to the venue's own host."""
    return [
        _connection(planter, place, number, place.host if known else "exchange.example", secured)
        for number, place in enumerate(PLACES)
    ]


def _connection(planter: Planter, place: Place, number: int, host: str, secured: bool) -> Talk:
    ends = f"192.0.2.{1 + number // 200}:{40000 + number}", f"198.51.100.7:{443 if secured else 9443}"
    start = 1_780_000_000_000_000_000 + number * 1_000_000_000

    def plant(text: str) -> str:
        return planter.plant(text, f"{place.venue}: {place.target}")

    talk = Talk(*ends, start=start)
    if secured:
        talk = tls = TlsTalk(client=ends[0], server=ends[1], start=start, seed=number)
        tls.open()
        tls.shake_hands(hello=tls_record(HANDSHAKE, tls.client_hello(host=host), 0x0301))
    else:
        talk.open()
    headers = [plant(header) for header in place.headers]
    if place.method is None:
        more = "".join(f"{header}\r\n" for header in headers)
        talk.send("client", upgrade_request(target=plant(place.target), host=host, more=more))
        talk.send("server", upgrade_response())
        for sender, text in place.said:
            talk.say(sender, plant(text))
        return talk.close()
    (_, body), (_, answer) = place.said
    talk.send("client", _http(f"{place.method} {plant(place.target)} HTTP/1.1", plant(body), f"Host: {host}", *headers))
    talk.send("server", _http("HTTP/1.1 200 OK", plant(answer), f"Set-Cookie: session={plant('SECRET')}"))
    return talk.close()


def _http(first: str, body: str, *headers: str) -> bytes:
    return "\r\n".join((first, *headers, f"Content-Length: {len(body.encode())}", "", body)).encode()


def found(needle: bytes, folder: Path) -> list[tuple[str, bytes]]:
    """(file, what stands before and after) for each place of `needle` in the files of `folder`."""
    places = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        for text in (path.read_bytes(), *_inside(path)):
            at = text.find(needle)
            while at >= 0:
                places.append((path.name, text[max(0, at - 60) : at + 80]))
                at = text.find(needle, at + 1)
    return places


def _inside(path: Path) -> Iterator[bytes]:
    """The rows of a database or of a Parquet file, which may be compressed there."""
    if path.suffix == ".parquet":
        yield repr(duckdb.read_parquet(str(path)).fetchall()).encode()
    if path.suffix == ".duckdb":
        with duckdb.connect(str(path), read_only=True) as connection:
            for schema, name in connection.execute("SELECT schema_name, table_name FROM duckdb_tables()").fetchall():
                yield repr(connection.execute(f'SELECT * FROM "{schema}"."{name}"').fetchall()).encode()


def written(folder: Path, capture: Path) -> Result:
    """Everything that the product writes of a capture, in `folder`; the output is one of the files."""
    db = folder / "orders.duckdb"
    calls: list[tuple[str | Path, ...]] = [
        ("replay", capture, "--db", db, "--keep", "all"),
        ("redecode", "--db", db),
        ("losses", "--db", db),
        ("query", "SELECT * FROM messages", "--db", db, "--format", "json"),
        ("query", "SELECT * FROM connections", "--db", db, "--format", "csv"),
        ("export", folder / "copy.duckdb", "--db", db),
        ("export", folder / "exported", "--db", db),
        ("export", folder / "exported.csv", "--db", db),
    ]
    results = [run(*call) for call in calls]
    for number, result in enumerate(results):
        assert result.code == 0, (calls[number], result.err)
        (folder / f"{number}.out").write_text(result.out + result.err)
    return results[0]


def test_there_is_a_place_for_every_venue() -> None:
    assert {place.venue for place in PLACES} == {venue.name for venue in VENUES}


@pytest.mark.parametrize(
    ("known", "secured"),
    [(True, False), (True, True), (False, False)],
    ids=["plain", "TLS", "unknown hosts"],
)
def test_no_secret_is_written(known: bool, secured: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sniffer.replay.ChildStore", Store)  # here, where rows can be made to be sealed
    monkeypatch.setattr("sniffer.store.store.ROWS", 1)
    planter = Planter()
    talks = traffic(planter, known=known, secured=secured)
    tls = [talk for talk in talks if isinstance(talk, TlsTalk)]
    (content,) = (sealed_record(*tls) if secured else record(*talks)).files.values()
    capture, folder = tmp_path / "planted.pcap", tmp_path / "written"
    capture.write_bytes(content)
    folder.mkdir()
    replayed = written(folder, capture)

    assert len(planter.places) > 200
    assert replayed.err == ""
    holding = {name for name, _ in found(CANARY, folder)}
    assert {"orders.duckdb", "copy.duckdb", "messages.parquet", "exported.messages.csv", "3.out"} <= holding
    assert holding & {path.name for path in (folder / "orders.duckdb.d").rglob("*.parquet")}
    leaks = {(name, planter.places.get(_mark(around), "?"), around) for name, around in found(MARK, folder)}
    assert {leak for leak in leaks if known or not leak[1].startswith(NAMELESS)} == set()
    if known:
        with duckdb.connect(str(folder / "orders.duckdb"), read_only=True) as connection:
            rows = connection.execute("SELECT venue, sum(unexamined), count(*) FROM connections GROUP BY venue").fetchall()
        assert {venue: (int(left), count) for venue, left, count in rows} == {
            venue.name: (0, sum(place.venue == venue.name for place in PLACES)) for venue in VENUES
        }


def _mark(around: bytes) -> str:
    at = around.find(MARK)
    return around[at : at + len(MARK) + 4 + 3 * len(PRINTABLE)].decode()

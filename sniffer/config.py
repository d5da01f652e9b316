"""Settings and limits. Every buffer that traffic can grow is bounded by a named limit here, with its reason.

Settings come, later ones winning, from: the defaults below, the file `sniffer.toml` (`--config FILE`, else
`$SNIFFER_CONFIG`, else `$XDG_CONFIG_HOME/sniffer/sniffer.toml`), and the command line.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from sniffer.errors import UsageError

SECOND: Final = 1_000_000_000
"""Nanoseconds in a second; all times are integer nanoseconds."""

REDACTED: Final = "[redacted]"
"""Stands wherever a key, a signature, a listen key or a token stood."""


@dataclass(frozen=True)
class Limits:
    """What traffic may make us hold. Passing a limit is a row in `losses`, never an error."""

    reorder_bytes: int = 4 << 20
    """Out-of-order bytes held a side: more than a TCP window in use between a trader and an exchange."""
    reorder_total_bytes: int = 64 << 20
    """The same over all connections, what waits for its acknowledgement included. With `total_message_bytes` it is one limit of
    all that is held; past it the connection that holds most takes what is in order as settled, then the rest as lost."""
    reorder_segments: int = 4096
    """Out-of-order segments held a side: a flood of one-byte segments must not cost 100 bytes of bookkeeping each."""
    gap_wait: int = SECOND // 5
    """A hole that the peer has acknowledged past is given up after 200 ms of capture time: queues reorder by less."""
    gap_wait_unacknowledged: int = 60 * SECOND
    """A hole nobody acknowledges (one-sided capture) is given up after a minute: longer than any usual retransmission pause."""
    connections: int = 65_536
    """Open connections; the one idle longest is closed first. One costs some 5 kB."""
    idle_timeout: int = 24 * 3600 * SECOND
    """A connection silent for so long is taken as gone. Exchanges ping every few minutes and cut at 24 hours."""
    unfinished_timeout: int = 300 * SECOND
    """The same for a connection that never carried payload: a port scan must not fill the table."""
    header_bytes: int = 64 << 10
    """One HTTP head; servers in use refuse more than 8 to 64 kB."""
    body_bytes: int = 16 << 20
    """One HTTP body."""
    message_bytes: int = 16 << 20
    """One websocket message, before and after inflating; the largest snapshots of exchanges are some 5 MB."""
    inflated_bytes: int = 128 << 20
    """What the messages that one side has said at once may inflate to; and all sides', before they are looked at. Of the 4 MB
    that may wait for an acknowledgement it is 32 times; JSON deflates to a fifth, a bomb to a thousandth."""
    total_message_bytes: int = 128 << 20
    """All messages that are still incomplete, over all connections."""
    fragments: int = 65_536
    """Frames of one message."""
    waiting_bytes: int = 128 << 20
    """Packets that wait while the journal cannot be written; the kernel's ring holds a few more, then it drops and counts."""
    ip_fragments: int = 1024
    """IP datagrams under reassembly."""
    ip_fragment_wait: int = 30 * SECOND
    """RFC 791 and RFC 8200 section 4.5 give a datagram up to 60 s; captures show a fragment's siblings within ms."""
    key_log_randoms: int = 65_536
    """TLS connections whose secrets are kept, the latest ones: as many as connections. One costs some 1.3 kB."""
    tls_held_bytes: int = 4 << 20
    """TLS records held a connection while its keys are not known: some seconds of a busy feed, hours of one's own orders."""
    tls_tries: int = 5_000_000
    """Trial decryptions a connection in search of a sequence number, half for each side: some 5 s of CPU time. One of AES-GCM
    costs a microsecond and is the unit; other ciphers and long records count as several."""
    tls_secrets: int = 256
    """Secrets of the key log, the newest ones, that are tried at once on a connection whose handshake was not seen; four times
    as many while others connect. One costs some 2 kB and 10 to 200 us a side."""
    tls_guesses: int = 30_000_000
    """The same over all connections whose handshake was not seen, to try the key log's secrets: a flood of them takes 30 s."""


@dataclass(frozen=True)
class Settings:
    """What a user may set. Field names are the keys of `sniffer.toml`."""

    db: Path = Path("orders.duckdb")
    keep: str = "orders"
    hosts: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    publish_interval: float = 1.0
    journal: Path | None = None
    journal_max_bytes: int = 4 << 30
    journal_segment_bytes: int = 64 << 20
    journal_sync: str = "never"
    ring_bytes: int = 64 << 20
    metrics_port: int | None = None
    log_format: str = "text"
    group: str | None = None
    account: str | None = None
    keylog: tuple[Path, ...] = ()
    keylog_dir: Path = Path("/run/sniffer/keys")
    venues: Mapping[str, Any] | None = None
    limits: Limits = field(default_factory=Limits)

    @property
    def loaded_options(self) -> str:
        """The options that decide what of a capture is loaded, as they are given."""
        hosts, ports = (f"--host {host}" for host in sorted(self.hosts)), (f"--port {port}" for port in sorted(self.ports))
        return " ".join((*hosts, *ports, *(("--keep all",) if self.keep == "all" else ())))

    @property
    def gather_interval(self) -> float:
        """Seconds for which a live capture's packets are gathered in the kernel's ring, and again in the journal.

        A block costs its readers something whatever it holds; measured at 200 orders a second, blocks of 100 ms instead of 40
        take a third less of the capture process's CPU time, 7 % less of decoding's. It is small against the publish interval,
        of which readers wait anyway, and large enough for the ring (`afpacket.BLOCK_BYTES`) to hold 1.6 s of light traffic.
        """
        return min(0.1, max(0.025, self.publish_interval / 4))


def config_dir() -> Path:
    """The folder of `sniffer.toml` and the account salt."""
    base = os.environ.get("XDG_CONFIG_HOME")
    if base:
        return Path(base) / "sniffer"
    try:
        return Path.home() / ".config" / "sniffer"
    except RuntimeError:  # a user without a home, as in containers
        return Path("/.config/sniffer")


def load_settings(path: Path | None = None, **overrides: Any) -> Settings:
    """Settings from the file (if there is one) and `overrides`; an override of None counts as not given.

    Raises `UsageError` for a file that is missing (when named), is not TOML, or holds an unknown key or a wrong type.
    """
    named = path or (Path(os.environ["SNIFFER_CONFIG"]) if os.environ.get("SNIFFER_CONFIG") else None)
    file = named or config_dir() / "sniffer.toml"
    values: dict[str, Any] = {}
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if named:
            way_out = "leave --config out" if path else "it is named by SNIFFER_CONFIG; unset that"
            raise UsageError(f"{file}: no such settings file; {way_out} to use the defaults") from None
    except OSError as error:
        raise UsageError(f"{file}: cannot read the settings: {error.strerror}; name another file with --config") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{file}: is not TOML: {error}; docs/operating.md shows such a file") from None
    known = {item.name: item for item in fields(Settings)}
    for key in values:
        if key not in known:
            raise UsageError(f"{file}: unknown setting {key!r}; known are {', '.join(sorted(known))}")
    checked = {key: _checked(f"{file}: setting {key}", key, value) for key, value in values.items()}
    for key, value in overrides.items():
        if value is not None:
            option = f"--{key.removesuffix('s') if key in ('hosts', 'ports') else key}".replace("_", "-")
            checked[key] = _checked(option, key, value)
    return Settings(**checked)


def _checked(where: str, key: str, value: Any) -> Any:
    """`value` in the type of setting `key`; `where` names it in an error."""
    try:
        return _CHECKS[key](value)
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from None


def _path(value: Any) -> Path:
    if not isinstance(value, str | Path) or not str(value):
        raise ValueError(f"{value!r} is no path")
    return Path(value).expanduser() if str(value).startswith("~/") else Path(value)


def _keep(value: Any) -> str:
    if value not in ("orders", "all"):
        raise ValueError(f"{value!r} is unknown; it is orders or all")
    return str(value)


def _one_of(*words: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in words:
            raise ValueError(f"{value!r} is unknown; it is {', '.join(words[:-1])} or {words[-1]}")
        return str(value)

    return check


def _port(value: Any) -> int:
    return _ports([value])[0]


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r} is no name")
    return value


def _hosts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(host, str) and host for host in value):
        raise ValueError(f'{value!r} is no list of hosts, as ["192.0.2.1"]')
    return tuple(value)


def _ports(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"{value!r} is no list of ports, as [9443]")
    for port in value:
        if type(port) is not int or not 0 < port < 65536:
            raise ValueError(f"{port!r} is no port; a port is a number from 1 to 65535")
    return tuple(value)


def _paths(value: Any) -> tuple[Path, ...]:
    return tuple(_path(path) for path in value) if isinstance(value, list | tuple) else (_path(value),)


def _interval(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.01 <= value <= 3600:
        raise ValueError(f"{value!r} is out of range; it is 0.01 to 3600 seconds")
    return float(value)


def _size(least: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if type(value) is not int or value < least:
            raise ValueError(f"{value!r} is no size for it; give a whole number of bytes, at least {least}")
        return value

    return check


def _venues(table: Any) -> Mapping[str, Any]:
    """The `[venues]` table, as it stands: `exchanges/declaration.py` reads it."""
    if not isinstance(table, dict):
        raise ValueError(f"{table!r} is no table, as [venues.NAME] begins one; docs/own-venue.md shows the form")
    return table


def _limits(table: Any) -> Limits:
    """The `[limits]` table: byte and count limits as they are, times in nanoseconds."""
    if isinstance(table, Limits):
        return table
    if not isinstance(table, dict):
        raise ValueError(f"{table!r} is no table, as [limits] begins one")
    known = {item.name for item in fields(Limits)}
    for key, value in table.items():
        if key not in known:
            raise ValueError(f"unknown limit {key!r}; known are {', '.join(sorted(known))}")
        if type(value) is not int or value <= 0:
            raise ValueError(f"limit {key} is a whole number above 0")
    return Limits(**table)


_CHECKS: Final[dict[str, Callable[[Any], Any]]] = {
    "db": _path,
    "keep": _keep,
    "hosts": _hosts,
    "ports": _ports,
    "publish_interval": _interval,
    "journal": _path,
    "journal_max_bytes": _size(1 << 20),
    "journal_segment_bytes": _size(1 << 16),
    "journal_sync": _one_of("never", "second", "block"),
    "ring_bytes": _size(2 << 20),
    "metrics_port": _port,
    "log_format": _one_of("text", "json"),
    "group": _name,
    "account": _name,
    "keylog": _paths,
    "keylog_dir": _path,
    "venues": _venues,
    "limits": _limits,
}


def account_salt() -> bytes:
    """The salt of the account hashes, made once in the settings folder (0600), so an account keeps its name across databases.

    Where the folder cannot be written, a salt for this process only: accounts are then told apart but not recognised again.
    """
    path = config_dir() / "salt"
    salt = secrets.token_bytes(32)
    with contextlib.suppress(OSError):  # it is there, most of the time
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(salt)
    with contextlib.suppress(OSError):
        found = path.read_bytes()
        if len(found) == len(salt):
            return found
    return salt


def account_name(salt: bytes, secret: str) -> str:
    """How an account is named in the tables: 16 hex digits of a keyed hash; the key it comes from cannot be told from it."""
    return hashlib.blake2b(secret.encode(), key=salt, digest_size=8).hexdigest()

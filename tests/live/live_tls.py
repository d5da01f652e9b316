"""TLS for the live tests: certificates, conversations over loopback whose every byte is known, and what is read of them.

A conversation is spoken by two `ssl` objects in memory; a pump carries their bytes over a real TCP connection, cut into
segments at random. So one thread suffices, and no library decides how records fall into segments.
"""

from __future__ import annotations

import contextlib
import datetime
import random
import select
import socket
import ssl
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from unittest import mock

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.x509.oid import NameOID

from sniffer.capture.afpacket import Ring, interface_link_type
from sniffer.capture.bpf import compile_filter
from sniffer.config import Limits
from sniffer.model import Loss, Packet
from sniffer.wire import connection, conversation
from sniffer.wire.engine import Engine
from sniffer.wire.keylog import KeyLog
from sniffer.wire.stream import Gap, Item
from sniffer.wire.tls.layer import Plaintext, TlsLayer

HOST: Final = "exchange.example"
_NO_MESSAGES: Final = ("neither HTTP", "too short")
"""Reasons of the layer above, for which what is said here means nothing."""

# --- certificates ----------------------------------------------------------------------------------------------------------


def make_certificates(folder: Path) -> None:
    """`rsa.pem`, `ecdsa.pem`, `dsa.pem`: keys with certificates that sign themselves; `dh.pem`: parameters."""
    keys = {
        "rsa": rsa.generate_private_key(65537, 2048),
        "ecdsa": ec.generate_private_key(ec.SECP256R1()),
        "dsa": dsa.generate_private_key(2048),
    }
    now = datetime.datetime.now(datetime.UTC)
    for kind, key in keys.items():
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
        builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(days=1))
        certificate = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (folder / f"{kind}.pem").write_bytes(private + certificate)
    parameters = ["openssl", "genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:ffdhe2048"]
    subprocess.run([*parameters, "-out", str(folder / "dh.pem")], check=True, capture_output=True)


def server_context(folder: Path) -> ssl.SSLContext:
    """All kinds of certificates, all key exchanges, all versions that OpenSSL has."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:eNULL:@SECLEVEL=0")
    for kind in ("dsa", "ecdsa", "rsa"):
        context.load_cert_chain(folder / f"{kind}.pem")
    context.load_dh_params(folder / "dh.pem")
    return context


def client_context(keys: Path) -> ssl.SSLContext:
    """A client that trusts anybody and writes its keys."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:eNULL:@SECLEVEL=0")
    context.keylog_filename = str(keys)
    return context


# --- conversations ---------------------------------------------------------------------------------------------------------


@dataclass
class Said:
    """What a conversation was: who said what, as what."""

    client: bytearray = field(default_factory=bytearray)
    server: bytearray = field(default_factory=bytearray)
    version: str | None = None
    cipher: str | None = None
    """As OpenSSL calls it."""
    resumed: bool = False
    port: int = 0
    """The client's."""


class Speaker:
    """Both ends of one conversation over a TCP connection to `listener`. What goes wrong in a handshake raises."""

    def __init__(
        self,
        listener: socket.socket,
        client: ssl.SSLContext,
        server: ssl.SSLContext,
        rng: random.Random,
        session: ssl.SSLSession | None = None,
        host: str | None = HOST,
    ) -> None:
        self.said = Said()
        self.hello_record: int | None = None
        """Bytes a record into which the ClientHello is cut; None: as the library does, so one."""
        self._rng = rng
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
        self._sockets = (near, far)
        for end in self._sockets:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.said.port = near.getsockname()[1]
        bios = [ssl.MemoryBIO() for _ in range(4)]
        self.client = client.wrap_bio(bios[0], bios[1], server_hostname=host, session=session)
        self.server = server.wrap_bio(bios[2], bios[3], server_side=True)
        self._ways = ((bios[1], near, far, bios[2]), (bios[3], far, near, bios[0]))

    def __enter__(self) -> Speaker:
        return self

    def __exit__(self, *_: object) -> None:
        for end in self._sockets:
            end.close()

    def handshake(self) -> None:
        for _ in range(10):
            for side in (self.client, self.server):
                with contextlib.suppress(ssl.SSLWantReadError):
                    side.do_handshake()
            self.pump()
        self.said.version = self.client.version()
        self.said.cipher = (self.client.cipher() or (None,))[0]
        self.said.resumed = bool(self.client.session_reused)

    def say(self, chunks: int = 6, largest: int = 3000) -> None:
        """Both sides talk, in turns."""
        for _ in range(chunks):
            for side, said, other in (
                (self.client, self.said.client, self.server),
                (self.server, self.said.server, self.client),
            ):
                text = self._rng.randbytes(self._rng.choice((1, 20, 300, self._rng.randint(1, largest))))
                side.write(text)
                said += text
                self.pump()
                heard = b""
                while len(heard) < len(text):
                    heard += other.read(len(text) - len(heard))
                assert heard == text, "the libraries themselves disagree"

    def close(self) -> None:
        """Good-byes of both sides (close_notify)."""
        for side in (self.client, self.server):
            with contextlib.suppress(ssl.SSLError):
                side.unwrap()
            self.pump()

    def pump(self) -> None:
        """Carry what is there, in a few segments a flight."""
        for out, source, target, into in self._ways:
            while flight := out.read():
                if self.hello_record and source is self._sockets[0]:
                    flight, self.hello_record = _in_records(flight, self.hello_record), None
                cuts = sorted(self._rng.randint(0, len(flight)) for _ in range(self._rng.choice((0, 0, 1, 3))))
                for begin, end in zip([0, *cuts], [*cuts, len(flight)], strict=True):
                    source.sendall(flight[begin:end])
                    left = end - begin
                    while left:
                        got = target.recv(left)
                        into.write(got)
                        left -= len(got)


def _in_records(record: bytes, size: int) -> bytes:
    """A handshake record as several (RFC 8446 section 5.1)."""
    head, body = record[:3], record[5:]
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(head + len(piece).to_bytes(2) + piece for piece in pieces)


# --- capturing and reading ----------------------------------------------------------------------------------------------------


class Capture:
    """The packets of some server ports on loopback, from entry to exit."""

    def __init__(self, ports: Sequence[int]) -> None:
        self.packets: list[Packet] = []
        self._ports = ports

    def __enter__(self) -> Capture:
        self._ring = Ring("lo", compile_filter(interface_link_type("lo"), (), self._ports))
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def _run(self) -> None:
        while not self._ending.is_set():
            select.select([self._ring], [], [], 0.05)
            self.packets += self._ring.read(0)
        while more := self._ring.read(0.1):
            self.packets += more

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        assert self._ring.drops() == 0
        self._ring.close()


@dataclass
class Heard:
    """What was read of one connection."""

    client_port: int
    server_port: int
    layer: TlsLayer
    client_runs: list[bytearray]
    """What was read without a gap in it, run by run."""
    server_runs: list[bytearray]
    losses: list[Loss]

    @property
    def client(self) -> bytes:
        return b"".join(self.client_runs)

    @property
    def server(self) -> bytes:
        return b"".join(self.server_runs)


class _Kept(TlsLayer):
    """The layer, keeping what it hands on."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.runs = [bytearray()], [bytearray()]

    def _keep(self, out: Plaintext) -> Plaintext:
        for runs, items in zip(self.runs, out, strict=True):
            for item in items:
                if isinstance(item, tuple):
                    runs[-1] += item[2]
                elif isinstance(item, Gap):
                    runs.append(bytearray())
        return out

    def feed(self, client: list[Item], server: list[Item], waiting: tuple[int | None, int | None] = (None, None)) -> Plaintext:
        return self._keep(super().feed(client, server, waiting))

    def retry(self) -> Plaintext:
        return self._keep(super().retry())

    def give_up(self, time: int, reason: str) -> Plaintext:
        return self._keep(super().give_up(time, reason))


def read(packets: Sequence[Packet], keys: bytes, block: int = 500) -> list[Heard]:
    """What is known to be TLS of a capture's connections, in the order in which they began, read by the engine."""
    log = KeyLog(Limits())
    log.feed("keys", keys)
    log.end("keys")
    losses: list[Loss] = []
    found: dict[int, connection.Connection] = {}
    engine = Engine("live", keylog=log)
    with mock.patch.object(conversation, "TlsLayer", _Kept):
        for at in range(0, len(packets), block):
            out = engine.feed(list(packets[at : at + block]))
            losses += out.losses
            found |= {one.id: one for one in (*out.closed, *engine.connections.values())}
        out = engine.finish()
    losses += out.losses
    found |= {one.id: one for one in out.closed}
    heard = []
    for one in sorted(found.values(), key=lambda item: item.opened_at):
        secured = one.conversation.secured
        if secured is None:  # too little of it is there to tell that it is TLS
            continue
        layer = secured.layer
        assert isinstance(layer, _Kept)
        mine = [loss for loss in losses if loss.connection_id == one.id and loss.layer in ("tls", "tcp")]
        unread = [loss for loss in mine if not (loss.layer == "tcp" and loss.reason.startswith(_NO_MESSAGES))]
        heard.append(Heard(one.client_address[1], one.server_address[1], layer, *layer.runs, unread))
    return heard

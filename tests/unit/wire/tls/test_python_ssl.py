"""What Python's own `ssl` writes, between two memory buffers, with the key log that it writes."""

from __future__ import annotations

import datetime
import random
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sniffer.model import Sender
from tests.unit.wire.tls.listening import SENDERS, ends, key_log, listen, packets
from tests.unit.wire.tls.speaker import Talk

NAME = "exchange.test"
CIPHERS = [
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-ECDSA-AES128-CCM",
    "ECDHE-ECDSA-AES256-CCM8",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA384",
]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    builder = builder.not_valid_before(now - datetime.timedelta(1)).not_valid_after(now + datetime.timedelta(1))
    built = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), False).sign(key, hashes.SHA256())
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(key.private_bytes(*plain) + built.public_bytes(serialization.Encoding.PEM))
    return file


class Pair:
    """A client and a server, and what they wrote so far."""

    def __init__(self, client: ssl.SSLContext, server: ssl.SSLContext, session: ssl.SSLSession | None = None) -> None:
        buffers = [ssl.MemoryBIO() for _ in range(4)]
        self.talk = Talk(random.Random(0), 0x1301)
        self.said: dict[Sender, bytes] = {"client": b"", "server": b""}
        self.ends: dict[Sender, ssl.SSLObject] = {
            "client": client.wrap_bio(buffers[0], buffers[1], server_hostname=NAME, session=session),
            "server": server.wrap_bio(buffers[2], buffers[3], server_side=True),
        }
        self.pipes = (("client", buffers[1], buffers[2]), ("server", buffers[3], buffers[0]))
        waiting: list[Sender] = list(SENDERS)
        while waiting:
            for sender in list(waiting):
                try:
                    self.ends[sender].do_handshake()
                    waiting.remove(sender)
                except ssl.SSLWantReadError:
                    pass
                self.carry()

    def carry(self) -> None:
        for sender, source, target in self.pipes:
            data = source.read()
            if data:
                self.talk.write("client" if sender == "client" else "server", data)
                target.write(data)

    def send(self, sender: Sender, data: bytes) -> None:
        receiver = self.ends["server" if sender == "client" else "client"]
        self.ends[sender].write(data)
        self.said[sender] += data
        self.carry()
        received = b""
        while len(received) < len(data):
            received += receiver.read(1 << 16)
        assert received == data

    def close(self) -> None:
        for sender in SENDERS:
            try:
                self.ends[sender].unwrap()
            except ssl.SSLWantReadError:
                pass
            self.carry()


def contexts(
    certificate: Path, log: Path, version: ssl.TLSVersion, ciphers: str | None
) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    client, server = ssl.create_default_context(cafile=certificate), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    for context in (client, server):
        context.minimum_version = context.maximum_version = version
        context.set_alpn_protocols(["http/1.1"])
        if ciphers:
            context.set_ciphers(ciphers + ":@SECLEVEL=0")
    client.keylog_filename = str(log)
    return client, server


@pytest.mark.parametrize(
    ("version", "ciphers"),
    [(ssl.TLSVersion.TLSv1_3, None), (ssl.TLSVersion.TLSv1_2, None), *((ssl.TLSVersion.TLSv1_2, one) for one in CIPHERS)],
)
def test_what_python_writes_is_read(certificate: Path, tmp_path: Path, version: ssl.TLSVersion, ciphers: str | None) -> None:
    client, server = contexts(certificate, tmp_path / "keys", version, ciphers)
    session = None
    for again in range(3):
        pair = Pair(client, server, session)
        rng = random.Random(again)
        for _ in range(10):
            pair.send(rng.choice(SENDERS), rng.randbytes(rng.choice((1, 60, 900, 40_000))))
        pair.close()
        assert pair.ends["client"].session_reused == bool(again)
        session = pair.ends["client"].session
        for cut in (None, rng):
            sent = packets(pair.talk, cut)
            heard = listen(sent + ends(sent), key_log((tmp_path / "keys").read_bytes()), block=rng.choice((1, 7, 1000)))
            assert [heard.plain(sender) for sender in SENDERS] == [pair.said[sender] for sender in SENDERS]
            assert not heard.losses
        name = pair.ends["client"].cipher()
        assert name is not None
        assert (heard.layer.version, heard.layer.sni, heard.layer.alpn) == (pair.ends["client"].version(), NAME, "http/1.1")

"""TLS for the simulated exchange: a certificate made on the spot, and clients that trust it and nothing else.

Clients use `ssl.create_default_context`, as every usual library does: so Python writes the keys of their connections to the
file that the environment variable SSLKEYLOGFILE names, and not a line of a strategy is about it.
"""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import ssl
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID: Final = datetime.timedelta(days=365)
"""For how long: a simulated exchange that runs longer is to be started again."""


class Identity(NamedTuple):
    """What the exchange shows to its clients, and the key that proves it; both PEM."""

    certificate: str
    private_key: str


class SecureUrl(NamedTuple):
    """Where an exchange listens with TLS (`wss://`, without a path), and the context that trusts it."""

    url: str
    trust: ssl.SSLContext


def make_identity(host: str) -> Identity:
    """A certificate that signs itself, for `host` and for the names of this machine's loopback interface."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "simulated exchange")])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))  # the clocks of two machines differ
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectAlternativeName(_names({host, "localhost", "127.0.0.1", "::1"})), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return Identity(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode(), secret)


def _names(hosts: set[str]) -> list[x509.GeneralName]:
    """`hosts` as a certificate names them: addresses as addresses, the rest as domain names."""
    names: list[x509.GeneralName] = []
    for host in sorted(hosts):
        address = None
        with contextlib.suppress(ValueError):
            address = ipaddress.ip_address(host)
        names.append(x509.DNSName(host) if address is None else x509.IPAddress(address))
    return names


def server_context(identity: Identity) -> ssl.SSLContext:
    """The exchange's side. It writes no key log: the strategy's side does."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:  # 0700; OpenSSL takes both from files only
        file = Path(folder) / "identity.pem"
        file.write_text(identity.private_key + identity.certificate, encoding="ascii")
        context.load_cert_chain(file)
    return context


def client_context(certificate: str) -> ssl.SSLContext:
    """A client's side that trusts `certificate` (PEM). Raises `ssl.SSLError` if it is none."""
    return ssl.create_default_context(cadata=certificate)

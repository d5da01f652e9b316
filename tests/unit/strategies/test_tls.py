"""The exchange's certificate: trusted by those who are given it, for its own names, and by nobody else."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from strategies import run
from strategies.tls import Identity, client_context, make_identity, server_context


def handshake(server: Identity, trusted: str, name: str) -> ssl.SSLObject:
    """A handshake in memory; the client's end of it."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context(trusted).wrap_bio(to_client, to_server, server_hostname=name)
    exchange = server_context(server).wrap_bio(to_server, to_client, server_side=True)
    for _ in range(3):
        for side in (client, exchange):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                pass
    return client


@pytest.fixture(scope="module")
def identity() -> Identity:
    return make_identity("demo.example")


@pytest.mark.parametrize("name", ["demo.example", "localhost", "127.0.0.1", "::1"])
def test_it_is_trusted_for_its_names(identity: Identity, name: str) -> None:
    assert handshake(identity, identity.certificate, name).version() == "TLSv1.3"


def test_it_is_not_trusted_for_other_names(identity: Identity) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(identity, identity.certificate, "other.example")


def test_another_one_is_not_trusted(identity: Identity) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(identity, make_identity("demo.example").certificate, "demo.example")


def test_python_writes_the_keys_of_clients_where_it_is_told(
    identity: Identity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = tmp_path / "keys.log"
    monkeypatch.setenv("SSLKEYLOGFILE", str(keys))
    handshake(identity, identity.certificate, "localhost")
    labels = [line.split(" ")[0] for line in keys.read_text().splitlines() if not line.startswith("#")]
    assert sorted(labels) == sorted(set(labels)), "the exchange's side must write none"
    assert {"CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"} <= set(labels)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--tls-url", "wss://127.0.0.1:9444"], "--tls-url takes --certificate"),
        (["--certificate", "/nowhere/at/all.pem"], "'/nowhere/at/all.pem' is no certificate in PEM"),
        (["--certificate", __file__], "is no certificate in PEM"),
    ],
)
def test_a_wrong_option_is_one_line(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        run.main(arguments)
    assert left.value.code == 2
    assert says in capsys.readouterr().err.splitlines()[-1]

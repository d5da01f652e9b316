"""The conversations of `test_tls_stacks`, each a name and a function that holds it: by Python's `ssl`, and by `openssl`."""

from __future__ import annotations

import contextlib
import random
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.live.live_openssl import PSK, SUITES_13, Pair, suites
from tests.live.live_tls import Said, Speaker, client_context, server_context

NO_EXTENDED_MASTER_SECRET: Final = 1 << 0  # openssl/ssl.h: SSL_OP_NO_EXTENDED_MASTER_SECRET, and so on
ALLOW_CLIENT_RENEGOTIATION: Final = 1 << 8
NO_ENCRYPT_THEN_MAC: Final = 1 << 19
MIDDLEBOX_COMPAT: Final = 1 << 20

V10, V11, V12, V13 = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@dataclass
class Stage:
    """What a case needs: where to listen, certificates, a key log, and chance."""

    folder: Path
    listener: socket.socket
    keys: Path
    rng: random.Random

    def contexts(self, *versions: ssl.TLSVersion) -> tuple[ssl.SSLContext, ssl.SSLContext]:
        """(client, server) that agree on one version, or on what they like."""
        pair = client_context(self.keys), server_context(self.folder)
        for context in pair:
            if versions:
                context.minimum_version = context.maximum_version = versions[0]
        return pair

    def talk(
        self,
        client: ssl.SSLContext,
        server: ssl.SSLContext,
        *,
        session: ssl.SSLSession | None = None,
        sni: str | None = "exchange.example",
        hello: int | None = None,
        largest: int = 3000,
        polite: bool = True,
    ) -> tuple[Said, ssl.SSLSession | None]:
        """A whole conversation: what was said, and the session to resume. `hello`: the ClientHello's bytes a record."""
        with Speaker(self.listener, client, server, self.rng, session, sni) as both:
            both.hello_record = hello
            both.handshake()
            both.say(largest=largest)
            if polite:
                both.close()
            return both.said, both.client.session


Case = Callable[[Stage], Said]


def _suites_of_python() -> list[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers("ALL:eNULL:!PSK:!SRP:@SECLEVEL=0")
    return [suite["name"] for suite in context.get_ciphers() if suite["protocol"] != "TLSv1.3"]


def _suite(name: str, options: int = 0) -> Case:
    def case(stage: Stage) -> Said:
        client, server = stage.contexts(V12)
        client.set_ciphers(f"{name}:@SECLEVEL=0")
        client.options |= options
        said, _ = stage.talk(client, server)
        assert said.cipher == name
        return said

    return case


def _version(version: ssl.TLSVersion) -> Case:
    return lambda stage: stage.talk(*stage.contexts(version))[0]


def _resumed(version: ssl.TLSVersion, tickets: bool) -> Case:
    def case(stage: Stage) -> Said:
        client, server = stage.contexts(version)
        if not tickets:
            client.options |= ssl.OP_NO_TICKET
        _, session = stage.talk(client, server)
        said, _ = stage.talk(client, server, session=session)
        assert said.resumed
        return said

    return case


def _client_certificate(version: ssl.TLSVersion, *, later: bool = False) -> Case:
    """`later`: asked for when the handshake is over (RFC 8446 section 4.6.2)."""

    def case(stage: Stage) -> Said:
        client, server = stage.contexts(version)
        client.load_cert_chain(stage.folder / "rsa.pem")
        server.load_verify_locations(stage.folder / "rsa.pem")
        client.post_handshake_auth = later
        server.verify_mode = ssl.CERT_OPTIONAL if later else ssl.CERT_REQUIRED
        with Speaker(stage.listener, client, server, stage.rng) as both:
            both.handshake()
            both.say(2)
            if later:
                both.server.verify_client_post_handshake()
            both.say(4)
            assert both.server.getpeercert(True)
            both.close()
            return both.said

    return case


def _hello_retry(stage: Stage) -> Said:
    """The client guesses X25519, and the server takes nothing but P-384."""
    client, server = stage.contexts(V13)
    server.set_ecdh_curve("secp384r1")
    return stage.talk(client, server)[0]


def _alpn(version: ssl.TLSVersion, name: str) -> Case:
    def case(stage: Stage) -> Said:
        client, server = stage.contexts(version)
        client.set_alpn_protocols([name])
        server.set_alpn_protocols([name])
        return stage.talk(client, server)[0]

    return case


def _option(version: ssl.TLSVersion, option: int, *, on: bool) -> Case:
    def case(stage: Stage) -> Said:
        pair = stage.contexts(version)
        for context in pair:
            context.options = context.options | option if on else context.options & ~option
        return stage.talk(*pair)[0]

    return case


def _refused(stage: Stage) -> Said:
    """The client does not know the server's certificate: an alert ends the handshake."""
    client, server = stage.contexts(V13)
    client.verify_mode = ssl.CERT_REQUIRED
    with Speaker(stage.listener, client, server, stage.rng) as both:
        with contextlib.suppress(ssl.SSLError):
            both.handshake()
        both.pump()
        both.said.version = "TLSv1.3"
        return both.said


def python_cases() -> Iterator[tuple[str, Case]]:
    """What Python's `ssl` can hold."""
    names = _suites_of_python()
    for name in names:
        yield f"TLSv1.2 {name}", _suite(name)
        if "GCM" not in name and "CCM" not in name and "POLY" not in name and "NULL" not in name:
            yield f"TLSv1.2 {name}, MAC then encrypt", _suite(name, NO_ENCRYPT_THEN_MAC)
    for name in ("AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305", "AES128-SHA"):
        yield f"TLSv1.2 {name}, no extended master secret", _suite(name, NO_EXTENDED_MASTER_SECRET)
    yield "TLSv1", _version(V10)
    yield "TLSv1.1", _version(V11)
    for label, version in (("TLSv1.2", V12), ("TLSv1.3", V13)):
        yield label, _version(version)
        yield f"{label}, resumed by ticket", _resumed(version, True)
        yield f"{label}, client certificate", _client_certificate(version)
        yield f"{label}, ALPN http/1.1", _alpn(version, "http/1.1")
        yield f"{label}, ALPN h2", _alpn(version, "h2")
        yield f"{label}, no SNI", lambda stage, version=version: stage.talk(*stage.contexts(version), sni=None)[0]
        yield (
            f"{label}, hello in many records",
            lambda stage, version=version: stage.talk(*stage.contexts(version), hello=50)[0],
        )
        yield f"{label}, large records", lambda stage, version=version: stage.talk(*stage.contexts(version), largest=70_000)[0]
        yield f"{label}, no good-bye", lambda stage, version=version: stage.talk(*stage.contexts(version), polite=False)[0]
    yield "TLSv1.2, resumed by session id", _resumed(V12, False)
    yield "TLSv1.3, resumed by a ticket that the server remembers", _resumed(V13, False)
    yield "TLSv1.3, client certificate after the handshake", _client_certificate(V13, later=True)
    yield "TLSv1.3, hello retry request", _hello_retry
    yield "TLSv1.3, no middlebox compatibility", _option(V13, MIDDLEBOX_COMPAT, on=False)
    yield "TLSv1.3, certificate refused", _refused


# --- openssl s_server and s_client --------------------------------------------------------------------------------------------

KEY_UPDATES: Final = {
    "key update of the client": "client k",
    "key update of the client, asking for the server's": "client K",
    "key update of the server": "server k",
    "key update of the server, asking for the client's": "server K",
}
RENEGOTIATIONS: Final = {
    "renegotiated by the client": "client R",
    "renegotiated by the server": "server r",
    "renegotiated by the server, asking for a certificate": "server R",
}
"""Who gives which command of `s_client` and `s_server`."""


def openssl_cases(pair: Callable[..., Pair], folder: Path) -> Iterator[tuple[str, Said]]:
    """What takes `openssl`: held as they are asked for, one after the other. `pair(*options)` starts a server."""
    certificate = ("-cert", folder / "rsa.pem")

    def plain(server: Pair, *options: object, lines: int = 3) -> Said:
        with server.client(*options) as (said, client):
            server.say(said, client, lines)
        return said

    def commanded(server: Pair, command: str, *options: object) -> Said:
        who, letter = command.split(" ")
        with server.client(*options) as (said, client):
            for _ in range(3):
                server.say(said, client, 2)
                (client if who == "client" else server.server).command(letter.encode())
            server.say(said, client, 2)
        return said

    with pair(*certificate, "-ciphersuites", ":".join(SUITES_13)) as server:
        for suite in SUITES_13:
            yield f"TLSv1.3 {suite}", plain(server, "-tls1_3", "-ciphersuites", suite)
        for name, command in KEY_UPDATES.items():
            yield f"TLSv1.3, {name}", commanded(server, command, "-tls1_3")
    with pair(*certificate, "-psk", PSK, "-cipher", "PSK:@SECLEVEL=0", "-tls1_2") as server:
        for suite in SUITES_PSK:
            yield f"TLSv1.2 {suite}", plain(server, "-tls1_2", "-psk", PSK, "-cipher", f"{suite}:@SECLEVEL=0", lines=1)
    with pair("-nocert", "-psk", PSK, "-tls1_3", "-allow_no_dhe_kex") as server:
        yield "TLSv1.3, pre-shared key", plain(server, "-tls1_3", "-psk", PSK)
        yield "TLSv1.3, pre-shared key alone", plain(server, "-tls1_3", "-psk", PSK, "-allow_no_dhe_kex")
    with pair(*certificate, "-tls1_3", "-record_padding", "700") as server:
        yield "TLSv1.3, padded", plain(server, "-tls1_3", "-record_padding", "1000")
    with pair(*certificate, "-tls1_2", "-client_renegotiation") as server:
        for name, command in RENEGOTIATIONS.items():
            yield f"TLSv1.2, {name}", commanded(server, command, "-tls1_2", *certificate)
    yield from _early_data(pair, folder)


SUITES_PSK: Final = suites("-tls1_2", "-psk", "PSK:@SECLEVEL=0")


def _early_data(pair: Callable[..., Pair], folder: Path) -> Iterator[tuple[str, Said]]:
    """0-RTT: accepted, and refused since the server has seen the ticket before (RFC 8446 section 8.1)."""
    session, early = folder / "session.pem", folder / "early"
    early.write_bytes(b"x early data\n")
    with pair("-cert", folder / "rsa.pem", "-tls1_3", "-early_data") as server:
        with server.client("-tls1_3", "-sess_out", session) as (said, client):
            server.say(said, client, 1)
        yield "TLSv1.3, before early data", said
        for what, sent in (("accepted", early.read_bytes()), ("refused", b"")):
            with server.client("-tls1_3", "-sess_in", session, "-early_data", early, early=sent) as (said, client):
                client.wait_for(f"Early data was {'accepted' if sent else 'rejected'}".encode())
                server.say(said, client)
            yield f"TLSv1.3, early data {what}", said

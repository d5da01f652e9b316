"""Conversations between `openssl s_server` and `openssl s_client`, for what Python's `ssl` cannot do.

Both are driven through their standard input, whose lines they send, but for the command letters that a line may begin with:
K and k update keys (with and without asking the peer to), R and r renegotiate. What one sends is waited for at the other.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tests.live.live_tls import Said

PATIENCE: Final = 15.0
SUITES_13: Final = [
    "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_CCM_SHA256",
    "TLS_AES_128_CCM_8_SHA256",
]  # fmt: skip
"""All of TLS 1.3; OpenSSL leaves the last two out of its defaults."""
PSK: Final = "00112233445566778899aabbccddeeff" * 2


class Program:
    """An `openssl` command; its output is gathered, both streams together."""

    def __init__(self, *command: object) -> None:
        self.output = bytearray()
        self._process = subprocess.Popen(
            ["openssl", *map(str, command)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as pipe:
            while more := pipe.read1():  # type: ignore[attr-defined]  # it is buffered
                self.output += more

    def write(self, text: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(text)
        self._process.stdin.flush()

    def command(self, letter: bytes) -> None:
        """A command letter; it must be alone in what the program reads, and not every one of them is answered."""
        self.write(letter + b"\n")
        time.sleep(0.1)

    def wait_for(self, text: bytes, begin: int = 0) -> None:
        """Wait until it has printed `text` behind `begin` bytes of output."""
        end = time.monotonic() + PATIENCE
        while text not in self.output[begin:]:
            assert time.monotonic() < end, f"waited for {text!r} in {bytes(self.output)[-2000:].decode(errors='replace')}"
            time.sleep(0.002)

    def end(self, *, ask: bytes = b"") -> None:
        """End it, as it is asked to, else by force."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.write(ask)
            self._process.stdin.close()
        try:
            self._process.wait(2 if ask else 0)
        except subprocess.TimeoutExpired:
            self._process.terminate()
            self._process.wait(PATIENCE)
        self._reader.join()


def free_port() -> int:
    """Below those that clients get: whoever joins in the middle takes the lower port for the server's."""
    while True:
        port = random.randint(20_000, 30_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


class Pair:
    """An `s_server` that takes one `s_client` after the other."""

    def __init__(self, port: int, keys: Path, rng: random.Random, *server: object) -> None:
        self._port = port
        self._keys = keys
        self._rng = rng
        self._numbers = itertools.count()
        self.server = Program("s_server", "-accept", f"127.0.0.1:{port}", *server)
        self.server.wait_for(b"ACCEPT")

    def __enter__(self) -> Pair:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.end()

    @contextlib.contextmanager
    def client(self, *options: object, early: bytes = b"") -> Iterator[tuple[Said, Program]]:
        """A client that has finished its handshake; on exit it says good-bye."""
        began = len(self.server.output)
        client = Program(
            "s_client", "-connect", f"127.0.0.1:{self._port}", "-keylogfile", self._keys, *options
        )  # fmt: skip
        try:
            client.wait_for(b"---\nread R BLOCK" if b"TLSv1.3" in client.output else b"Verify return code")
            self.server.wait_for(b"CIPHER is", began)
            said = Said(version=_value(client, b"Protocol  : ") or _second(client), cipher=_value(client, b"Cipher is "))
            said.resumed = b"Reused, " in client.output
            said.client += early
            yield said, client
        finally:
            client.end(ask=b"Q\n")
        self.server.wait_for(b"DONE", began)

    def say(self, said: Said, client: Program, lines: int = 3) -> None:
        """Both sides talk, in turns."""
        for _ in range(lines):
            for program, book, other in ((client, said.client, self.server), (self.server, said.server, client)):
                line = b"x%032x %s\n" % (self._rng.getrandbits(128), b"y" * self._rng.randint(0, 500))
                program.write(line)
                other.wait_for(line)
                book += line


def _value(program: Program, name: bytes) -> str | None:
    _, found, rest = bytes(program.output).partition(name)
    return rest.split(b"\n")[0].decode().strip() if found else None


def _second(program: Program) -> str | None:
    """`New, TLSv1.3, Cipher is ...` names the version, too."""
    for head in (b"New, ", b"Reused, "):
        if found := _value(program, head):
            return found.split(",")[0]
    return None


def suites(*options: str) -> list[str]:
    """What `openssl ciphers` lists, by OpenSSL's names."""
    done = subprocess.run(["openssl", "ciphers", "-s", *options], capture_output=True, text=True)
    return [name for name in done.stdout.strip().split(":") if name]


def standard_names() -> dict[str, str]:
    """IANA's names by OpenSSL's."""
    command = ["openssl", "ciphers", "-stdname", "-psk", "-ciphersuites", ":".join(SUITES_13), "ALL:eNULL:PSK:@SECLEVEL=0"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    words: Sequence[list[str]] = [line.split() for line in lines]
    return {word[2]: word[0] for word in words}

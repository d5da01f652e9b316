"""Two network namespaces with a veth pair between them, so that a recording has two interfaces: loopback and the pair's end.

The namespaces have no name: each lives as long as its process, which ends with its standard input.
"""

from __future__ import annotations

import subprocess
from types import TracebackType
from typing import NamedTuple

from tests.live.live_tools import wait_for

DEVICE = "pair0"
"""The pair's end in the namespace of clients and recording."""
NEAR, FAR = "10.78.0.1", "10.78.0.2"


class Way(NamedTuple):
    """Where a server listens, and where its clients are: addresses, and network namespaces (None: this process's own)."""

    server: str
    client: str
    server_namespace: str | None = None
    client_namespace: str | None = None


LOOPBACK = Way("127.0.0.1", "127.0.0.1")


class Namespaces:
    """The namespaces, as a context manager; needs root."""

    def __enter__(self) -> Namespaces:
        self._processes = [
            subprocess.Popen(
                ["unshare", "--net", "sh", "-c", "echo ready; exec cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            for _ in range(2)
        ]
        self.near, self.far = (f"/proc/{process.pid}/ns/net" for process in self._processes)
        try:
            for process in self._processes:
                assert process.stdout is not None
                assert process.stdout.readline() == b"ready\n", "no network namespace can be made here"
            far = self._processes[1].pid
            self._ip(self.near, f"link add {DEVICE} type veth peer name pair1 netns {far}")
            for namespace, device, address in ((self.near, DEVICE, NEAR), (self.far, "pair1", FAR)):
                self._ip(namespace, f"addr add {address}/24 dev {device}")
                self._ip(namespace, f"link set {device} up")
            self._ip(self.near, "link set lo up")
            wait_for(lambda: "state UP" in self._ip(self.near, f"link show {DEVICE}"), "the pair")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for process in self._processes:
            process.communicate(timeout=10)

    @property
    def ways(self) -> list[Way]:
        """Over loopback, and through the pair."""
        return [LOOPBACK._replace(server_namespace=self.near, client_namespace=self.near), Way(FAR, NEAR, self.far, self.near)]

    @property
    def prefix(self) -> list[str]:
        """Runs a command where the clients are."""
        return ["nsenter", f"--net={self.near}"]

    @staticmethod
    def _ip(namespace: str, command: str) -> str:
        done = subprocess.run(
            ["nsenter", f"--net={namespace}", "ip", *command.split()], check=True, capture_output=True, text=True
        )
        return done.stdout

"""`--host` and `--port`: which flows are of interest."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable

from sniffer.errors import UsageError


def watch_filter(hosts: tuple[str, ...], ports: tuple[int, ...]) -> Callable[[bytes], bool] | None:
    """What `--host` and `--port` leave of the flows, as a test of the engine's flow keys; None: everything.

    Raises `UsageError` for a name that cannot be resolved.
    """
    if not hosts and not ports:
        return None
    addresses = {ipaddress.ip_address(address).packed for host in hosts for address in resolve(host)}
    wanted_ports = {port.to_bytes(2) for port in ports}

    def watched(flow: bytes) -> bool:
        half = (len(flow) - 4) // 2
        if addresses and flow[:half] not in addresses and flow[half : 2 * half] not in addresses:
            return False
        return not wanted_ports or flow[-4:-2] in wanted_ports or flow[-2:] in wanted_ports

    return watched


def resolve(host: str) -> list[str]:
    """The addresses of a host, which may be one already. Raises `UsageError`."""
    try:
        return [str(ipaddress.ip_address(host.strip("[]")))]
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"--host {host}: cannot be resolved ({error}); give its address instead") from None
    return sorted({str(entry[4][0]) for entry in found})

from __future__ import annotations

import pytest

from sniffer.wire.detect import CLIENT_STARTS, ENOUGH, Speech, recognise


@pytest.mark.parametrize(
    ("start", "client", "server", "expected"),
    [
        (b"GET / HTTP/1.1", True, False, Speech.REQUEST),
        (b"GET / HTTP/1.1", False, True, Speech.OTHER),
        (b"GET / HTTP/1.1", True, True, Speech.REQUEST),
        (b"HTTP/1.1 200 OK", False, True, Speech.RESPONSE),
        (b"HTTP/1.1 200 OK", True, False, Speech.OTHER),
        (b"HTTP/2", False, True, Speech.OTHER),
        (b"\x16\x03\x01\x02", True, False, Speech.TLS),
        (b"\x17\x03\x03", False, True, Speech.TLS),
        (b"\x16\x04\x01", True, False, Speech.OTHER),
        (b"", True, False, Speech.UNDECIDED),
        (b"\x16\x03", True, False, Speech.UNDECIDED),
        (b"OPTIO", True, False, Speech.UNDECIDED),
        (b"OPTIX", True, False, Speech.OTHER),
        (b"SSH-2.0-OpenSSH", False, True, Speech.OTHER),
        (b"PRI * HTTP/2.0\r\n", True, False, Speech.OTHER),
    ],
)
def test_first_bytes(start: bytes, client: bool, server: bool, expected: Speech) -> None:
    assert recognise(start, client=client, server=server) is expected


def test_enough_bytes_decide() -> None:
    assert all(len(start) < ENOUGH for start in CLIENT_STARTS)
